"""Models by name, made to fit a data set: what `gradflow train --model` builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import nn
from . import mobilenet, resnet, small, squeezenet, vgg, vit
from .files import ModelError, Shape, build_from_file, file_digest, is_file_spec

REFERENCE: tuple[int, Shape] = (10, (1, 28, 28))
LARGE = 64  # pixels: smaller images get the stems and heads made for CIFAR
PATCHES = (16, 8, 4, 2, 1)  # pixels of a side of a transformer's patch
PATCHES_A_SIDE = range(7, 17)


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be built by name.

    `build(num_classes, input_shape)`, or `build(num_classes, input_shape, width)` where there is a `width`, its
    default, makes it. `smallest` is the least height and width of its images; `images` says what it takes where there
    is more to say. `parameters` is how many it has for the classes and images of REFERENCE.
    """

    name: str
    about: str
    build: Callable[..., nn.Module]
    width: int | None
    smallest: int
    parameters: int
    images: str = ""

    @property
    def takes(self) -> str:
        """The images it takes, in words."""
        return self.images or f"from {self.smallest}x{self.smallest}"


# -- how each is fitted to the images ----------------------------------------------------------------------------------


def _stem(input_shape: Shape) -> str:
    return "imagenet" if min(input_shape[1:]) >= LARGE else "cifar"


def _mlp(num_classes: int, input_shape: Shape, width: int) -> nn.Module:
    channels, height, side = input_shape
    return small.mlp(channels * height * side, (width, max(1, width // 2)), num_classes)


def _lenet(num_classes: int, input_shape: Shape) -> nn.Module:
    channels, height, side = input_shape
    if height != side or side not in (28, 32):
        raise ModelError(
            f"[models] lenet takes images of 28x28 or 32x32 pixels, got {height}x{side}; cnn takes those of any size"
        )
    return small.lenet(num_classes, channels, side)


def _resnet9(num_classes: int, input_shape: Shape, width: int) -> nn.Module:
    return small.resnet9(num_classes, input_shape[0], width)


def _resnet(make: Callable[..., resnet.ResNet]) -> Callable[[int, Shape, int], nn.Module]:
    return lambda num_classes, input_shape, width: make(num_classes, input_shape[0], _stem(input_shape), width)


def _vgg(depth: int, batch_norm: bool) -> Callable[[int, Shape, int], nn.Module]:
    def build(num_classes: int, input_shape: Shape, width: int) -> nn.Module:
        return vgg.VGG(depth, batch_norm, num_classes, input_shape[0], head=_stem(input_shape), width=width)

    return build


def _squeezenet(num_classes: int, input_shape: Shape) -> nn.Module:
    return squeezenet.squeezenet1_1(num_classes, input_shape[0], stem=_stem(input_shape))


def _mobilenet(num_classes: int, input_shape: Shape, width: int) -> nn.Module:
    multiple = width / mobilenet.FIRST
    return mobilenet.mobilenet_v2(num_classes, input_shape[0], multiple, stem=_stem(input_shape))


def _vit(num_classes: int, input_shape: Shape, width: int) -> nn.Module:
    channels, height, side = input_shape
    fitting = [p for p in PATCHES if side % p == 0 and side // p in PATCHES_A_SIDE]
    if height != side or not fitting:
        sizes = ", ".join([str(p) for p in PATCHES[::-1]])
        raise ModelError(
            f"[models] vit_tiny cuts square images into {PATCHES_A_SIDE[0]} to {PATCHES_A_SIDE[-1]} square patches a "
            f"side, of {sizes} pixels; images of {height}x{side} cannot be cut so; "
            "resize them, say to 32x32"
        )
    return vit.vit_tiny(num_classes, side, fitting[0], channels, width=width)


# -- the table ---------------------------------------------------------------------------------------------------------

MODELS: dict[str, ModelInfo] = {
    info.name: info
    for info in (
        ModelInfo("mlp", "two hidden layers, ReLU", _mlp, 256, 1, 235_146, "any"),
        ModelInfo("lenet", "LeNet-5 of 1998, tanh", _lenet, None, 28, 61_706, "28x28 or 32x32"),
        ModelInfo("cnn", "three convolutions, ReLU", small.cnn, 16, 4, 29_066),
        ModelInfo("resnet9", "batch norm, quick to train", _resnet9, 64, 8, 6_571_978),
        ModelInfo("resnet18", "residual, 18 layers", _resnet(resnet.resnet18), 64, 8, 11_172_810),
        ModelInfo("resnet34", "residual, 34 layers", _resnet(resnet.resnet34), 64, 8, 21_280_970),
        ModelInfo("vgg11", "VGG, 11 layers", _vgg(11, False), 64, 8, 9_224_458),
        ModelInfo("vgg11_bn", "VGG, 11 layers, batch norm", _vgg(11, True), 64, 8, 9_229_962),
        ModelInfo("vgg16", "VGG, 16 layers", _vgg(16, False), 64, 8, 14_718_666),
        ModelInfo("vgg16_bn", "VGG, 16 layers, batch norm", _vgg(16, True), 64, 8, 14_727_114),
        ModelInfo("vgg19", "VGG, 19 layers", _vgg(19, False), 64, 8, 20_028_362),
        ModelInfo("vgg19_bn", "VGG, 19 layers, batch norm", _vgg(19, True), 64, 8, 20_039_370),
        ModelInfo("squeezenet1_1", "few parameters", _squeezenet, None, 8, 726_474),
        ModelInfo("mobilenet_v2", "few multiplications", _mobilenet, 32, 8, 2_236_106),
        ModelInfo("vit_tiny", "transformer, 12 layers", _vit, 192, 7, 5_353_738, "squares from 7x7"),
    )
}  # fmt: skip
"""What there is, by name. Where images have fewer than 64 pixels a side, the large nets have CIFAR's stems."""


def build_model(spec: str, num_classes: int, input_shape: tuple[int, int, int], width: int | None = None) -> nn.Module:
    """A new model for images of `input_shape`, (channels, height, width), with (N, num_classes) logits.

    `spec` is a name of MODELS or "path/to/file.py:function" (see `build_from_file`). `width`, where a model has one, is
    the channels of its first stage, to which all others are in proportion: of `mlp` the first hidden layer's size, of
    `vit_tiny` the numbers of a patch, of `mobilenet_v2` rounded to multiples of 8. The weights follow from
    `gf.manual_seed`. ModelError, a ValueError, where that cannot be done.
    """
    if num_classes < 1 or len(input_shape) != 3 or min(input_shape) < 1:
        raise ModelError(
            f"[models] expected a positive num_classes and input_shape (channels, height, width), "
            f"got {num_classes} and {tuple(input_shape)}"
        )
    if width is not None and width < 1:
        raise ModelError(f"[models] width must be at least 1, got {width}")
    if is_file_spec(spec):
        return build_from_file(spec, num_classes, input_shape, width)
    info = MODELS.get(spec)
    if info is None:
        raise ModelError(f"[models] there is no model {spec!r}{_advice(spec)}")
    if width is not None and info.width is None:
        raise ModelError(f"[models] {spec} has no width that can be chosen; leave it out")
    if min(input_shape[1:]) < info.smallest:
        height, side = input_shape[1:]
        raise ModelError(
            f"[models] {spec} takes images of {info.smallest}x{info.smallest} pixels or more, got {height}x{side}"
        )
    return info.build(num_classes, input_shape, *([] if info.width is None else [width or info.width]))


def model_digest(spec: str) -> str | None:
    """SHA-256 of the text of the file that `spec` names, in hexadecimal; None for a name of MODELS.

    A checkpoint that holds it can tell that the file has changed since. ModelError where the file cannot be read.
    """
    return file_digest(spec) if is_file_spec(spec) else None


def _advice(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), MODELS, n=3, cutoff=0.6)
    close += [other for other in MODELS if other.startswith(name) and other not in close][:3]
    meant = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(MODELS)}."
    return f"{meant} A model of your own is path/to/file.py:function"


__all__ = ["MODELS", "ModelError", "ModelInfo", "build_model", "model_digest"]
