"""MobileNetV2 (Sandler et al., 2018)."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..functions import flatten
from .resnet import check_stem

STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, channels, blocks and first stride of each stage."""
FIRST, LAST = 32, 1280


def _scaled(channels: float, step: int = 8) -> int:
    """Channels rounded to a multiple of `step`, by no more than a tenth downward."""
    rounded = max(step, int(channels + step / 2) // step * step)
    return rounded + step if rounded < 0.9 * channels else rounded


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU6."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU6())


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a 3x3 one in each, a 1x1 one to few; x is added where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        layers: list[nn.Module] = [_convolution(in_channels, wide, 1)] if expansion != 1 else []
        layers.append(_convolution(wide, wide, 3, stride, groups=wide))
        self.conv = nn.Sequential(*layers, nn.Conv2d(wide, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """Images (N, in_channels, H, W) -> (N, num_classes); width_mult scales the channels of all layers.

    Keys and shapes of the state_dict are torchvision's. stem is "imagenet" or "cifar": with the latter the first
    convolution and the second stage have stride 1, so that an image of 32 pixels ends as 4x4, not as one pixel.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width_mult: float = 1.0,
        dropout: float = 0.2,
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        large = check_stem("MobileNetV2", stem)
        channels, last = _scaled(FIRST * width_mult), _scaled(LAST * max(1.0, width_mult))
        layers: list[nn.Module] = [_convolution(in_channels, channels, 3, stride=2 if large else 1)]
        for stage, (expansion, width, count, stride) in enumerate(STAGES):
            stride = 1 if stage == 1 and not large else stride
            out_channels = _scaled(width * width_mult)
            for i in range(count):
                layers.append(InvertedResidual(channels, out_channels, stride if i == 0 else 1, expansion))
                channels = out_channels
        self.features = nn.Sequential(*layers, _convolution(channels, last, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def mobilenet_v2(
    num_classes: int = 1000,
    in_channels: int = 3,
    width_mult: float = 1.0,
    dropout: float = 0.2,
    stem: str = "imagenet",
) -> MobileNetV2:
    """MobileNetV2: 3,504,872 parameters for ImageNet."""
    return MobileNetV2(num_classes, in_channels, width_mult, dropout, stem)


__all__ = ["MobileNetV2", "mobilenet_v2"]
