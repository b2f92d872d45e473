"""The models: sizes, shapes, learning, refusals. That they are torchvision's is in `parity/test_models.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow import models

SIZES: list[tuple[str, dict[str, Any], int]] = [
    ("mlp", {}, 235_146),
    ("lenet", {}, 61_706),
    ("cnn", {}, 29_066),
    ("cnn", {"input_shape": (1, 8, 8)}, 25_866),
    ("resnet9", {}, 6_573_130),
    ("resnet18", {}, 11_689_512),
    ("resnet18", {"num_classes": 10, "stem": "cifar"}, 11_173_962),
    ("resnet34", {}, 21_797_672),
    ("resnet34", {"num_classes": 10, "stem": "cifar"}, 21_282_122),
    ("squeezenet1_1", {}, 1_235_496),
    ("mobilenet_v2", {}, 3_504_872),
    ("vit_tiny", {}, 5_362_762),
]
LARGE = [
    ("vgg11", 132_863_336), ("vgg11_bn", 132_868_840), ("vgg16", 138_357_544), ("vgg16_bn", 138_365_992),
    ("vgg19", 143_667_240), ("vgg19_bn", 143_678_248),
]  # fmt: skip


KEYS = {  # the start of SHA-256 of the keys and shapes of torchvision 0.28's state_dicts, a line each
    "resnet18": "84fb10d9c6905a1c",
    "resnet34": "28f9096d51307499",
    "squeezenet1_1": "1d365589393f9c1e",
    "mobilenet_v2": "37bbbce8932fd0c4",
    "vgg11": "cb3dc23f2a13e182",
    "vgg11_bn": "8b6717e727c0ecf9",
    "vgg16": "35c4623e0cd4a39d",
    "vgg16_bn": "347371586a8ea365",
    "vgg19": "4723255af8f6c485",
    "vgg19_bn": "fc3ff6fab2b5cc09",
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * n.startswith("vgg")) for n in KEYS])
def test_weights_are_named_and_shaped_as_torchvisions(name: str) -> None:
    state = getattr(models, name)().state_dict()
    text = "\n".join([f"{key} {tuple(value.shape)}" for key, value in state.items()])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == KEYS[name]


def parameters(model: gf.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name, options, count", SIZES, ids=[f"{n}-{c}" for n, _, c in SIZES])
def test_sizes(name: str, options: dict[str, Any], count: int) -> None:
    assert parameters(getattr(models, name)(**options)) == count


@pytest.mark.slow
@pytest.mark.parametrize("name, count", LARGE)
def test_sizes_of_vgg(name: str, count: int) -> None:
    assert parameters(getattr(models, name)()) == count


@pytest.mark.parametrize(
    "build, images",
    [
        (lambda: models.lenet(7), (2, 1, 28, 28)),
        (lambda: models.mlp(12, [5], 7), (2, 3, 4)),
        (lambda: models.cnn(7, (2, 4, 5)), (3, 2, 4, 5)),
        (lambda: models.resnet9(7), (2, 3, 8, 8)),
        (lambda: models.resnet18(7, stem="cifar"), (2, 3, 16, 16)),
        (lambda: models.resnet18(7, in_channels=1), (2, 1, 40, 33)),
        (lambda: models.squeezenet1_1(7), (2, 3, 33, 40)),
        (lambda: models.mobilenet_v2(7, width_mult=0.35), (2, 3, 33, 40)),
        (lambda: models.vit_tiny(7, image_size=8), (2, 3, 8, 8)),
    ],
)
def test_logits(build: Callable[[], gf.nn.Module], images: tuple[int, ...]) -> None:
    gf.manual_seed(0)
    model = build()
    x = gf.randn(*images)
    model(x).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []
    model.eval()
    once = model(x)
    assert once.shape == (images[0], 7)
    assert np.isfinite(once.detach().numpy()).all()
    assert np.allclose(model(x[:1]).detach().numpy(), once[:1].detach().numpy(), atol=1e-4)


def test_vit_by_hand() -> None:
    gf.manual_seed(0)
    model = models.VisionTransformer(4, 2, 3, 1, dim=8, depth=1, heads=2, mlp_dim=16).eval()
    for p in model.parameters():
        gf.nn.init.normal_(p)
    x = gf.randn(2, 1, 4, 4)
    patches = x.reshape(2, 2, 2, 2, 2).transpose(2, 3).reshape(2, 4, 4)
    patches = patches @ model.conv_proj.weight.reshape(8, 4).T + model.conv_proj.bias
    tokens = gf.cat([model.class_token.expand(2, 1, 8), patches], 1) + model.pos_embedding
    expected = model.head(model.encoder(tokens)[:, 0])
    assert np.allclose(model(x).detach().numpy(), expected.detach().numpy(), atol=1e-4)


def test_parts() -> None:
    x, sizes, resnet = gf.zeros(1, 64, 16, 16), [], models.resnet18(stem="cifar")
    for stage in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        x = stage(x)
        sizes.append(x.shape[-1])
    assert sizes == [16, 8, 4, 2]
    fire, x = models.squeezenet.Fire(2, 3, 4), gf.randn(1, 2, 5, 5)
    first = gf.relu(fire.expand1x1(gf.relu(fire.squeeze(x))))
    assert np.allclose(fire(x)[:, :4].detach().numpy(), first.detach().numpy())
    assert [models.mobilenet._scaled(n) for n in (11.2, 8.4, 33.6)] == [16, 8, 32]


def test_residual_adds() -> None:
    assert models.small.Residual(gf.nn.Identity())(gf.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("build", [models.lenet, lambda: models.cnn(input_shape=(1, 28, 28)), lambda: models.mlp()])
def test_learning(build: Callable[[], gf.nn.Module]) -> None:
    gf.manual_seed(0)
    model = build()
    x, y = gf.randn(16, 1, 28, 28), gf.arange(16) % 10
    optimizer = gf.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = gf.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: models.cnn(10, (1, 3, 8)), r"\[cnn\] images must be at least 4x4, got 3x8"),
        (lambda: models.resnet18(stem="mnist"), r"\[ResNet\] stem must be 'imagenet' or 'cifar', got 'mnist'"),
        (lambda: models.mobilenet_v2(stem="mnist"), r"\[MobileNetV2\] stem must be 'imagenet' or 'cifar', got 'mnist'"),
        (lambda: models.squeezenet1_1(stem="mnist"), r"\[SqueezeNet\] stem must be 'imagenet' or 'cifar', got 'mnist'"),
        (lambda: models.VGG(11, head="mnist"), r"\[VGG\] head must be 'imagenet' or 'cifar', got 'mnist'"),
        (lambda: models.lenet(image_size=30), r"\[lenet\] images must be 28x28 or 32x32, got 30x30"),
        (lambda: models.VGG(13), r"\[VGG\] depth must be 11, 16 or 19, got 13"),
        (lambda: models.vit_tiny(image_size=30), r"\[VisionTransformer\] patches of 4 do not fill an image of 30"),
        (lambda: models.vit_tiny(image_size=8)(gf.zeros(1, 3, 16, 16)), r"made for images of 8 x 8, got"),
    ],
)
def test_refusals(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
