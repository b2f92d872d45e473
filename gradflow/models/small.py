"""Small nets: what examples, tutorials and first experiments train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn


def mlp(in_features: int = 784, hidden: Sequence[int] = (256, 128), num_classes: int = 10) -> nn.Sequential:
    """Linear layers with ReLU between them: (N, ...) with in_features numbers each -> (N, num_classes)."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size in hidden:
        layers += [nn.Linear(in_features, size), nn.ReLU()]
        in_features = size
    return nn.Sequential(*layers, nn.Linear(in_features, num_classes))


def lenet(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Sequential:
    """LeNet-5 with its tanh and average pooling (LeCun et al., 1998): 61,706 parameters.

    Images have 28 x 28 pixels, to which two of padding are added on each side, or 32 x 32 as in the paper; ValueError
    for any other image_size.
    """
    if image_size not in (28, 32):
        raise ValueError(f"[lenet] images must be 28x28 or 32x32, got {image_size}x{image_size}")
    return nn.Sequential(
        *(nn.Conv2d(in_channels, 6, 5, padding=(32 - image_size) // 2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, num_classes)),
    )


def cnn(num_classes: int = 10, input_shape: tuple[int, int, int] = (1, 28, 28), width: int = 16) -> nn.Sequential:
    """Three 3x3 convolutions with ReLU and 2x2 max pooling, then one linear layer: images (N, *input_shape).

    `input_shape` is (channels, height, width). Images under 16 pixels keep their size in the first stage. 25,866
    parameters for 1x8x8 images, 29,066 for 1x28x28. `width` is the channels of the first convolution; the others have
    two and four times as many. Raises ValueError for images under 4x4.
    """
    channels, height, side = input_shape
    if min(height, side) < 4:
        raise ValueError(f"[cnn] images must be at least 4x4, got {height}x{side}")
    layers: list[nn.Module] = []
    for stage, out_channels in enumerate((width, 2 * width, 4 * width)):
        layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
        channels = out_channels
        if stage > 0 or min(height, side) >= 16:
            layers.append(nn.MaxPool2d(2))
            height, side = height // 2, side // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * side, num_classes))


def _convolution(in_channels: int, out_channels: int, pool: bool = False) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU, and 2x2 max pooling if asked for."""
    layers = [nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Any) -> Any:
        return x + self.body(x)


def resnet9(num_classes: int = 10, in_channels: int = 3, width: int = 64) -> nn.Sequential:
    """Eight convolutions and a linear layer with two residual blocks, for 32 x 32 images (after Page, 2018).

    6,573,130 parameters for CIFAR-10; any size from 8 pixels works, as the last pooling is over all that is left.
    width is the channels of the first convolution, to which all others are in proportion: with 16 there are 412,954
    parameters, which two cores can train.
    """
    return nn.Sequential(
        _convolution(in_channels, width),
        _convolution(width, 2 * width, pool=True),
        Residual(_convolution(2 * width, 2 * width), _convolution(2 * width, 2 * width)),
        _convolution(2 * width, 4 * width, pool=True),
        _convolution(4 * width, 8 * width, pool=True),
        Residual(_convolution(8 * width, 8 * width), _convolution(8 * width, 8 * width)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, num_classes),
    )


__all__ = ["cnn", "lenet", "mlp", "resnet9"]
