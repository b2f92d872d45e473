"""VGG-11, VGG-16 and VGG-19 (Simonyan and Zisserman, 2014), with and without batch norm."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..functions import flatten

STAGES = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each ended by 2x2 max pooling, and three linear layers.

    Images (N, in_channels, H, W) of 32 pixels or more -> (N, num_classes); made for 224. Keys and shapes of the
    state_dict are torchvision's. depth is 11, 16 or 19.
    """

    def __init__(
        self, depth: int, batch_norm: bool = False, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"[VGG] depth must be 11, 16 or 19, got {depth}")
        layers: list[nn.Module] = []
        for count, width in zip(STAGES[depth], WIDTHS, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(in_channels, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
                in_channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(4096, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def vgg11(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG-11: 132,863,336 parameters for ImageNet."""
    return VGG(11, False, num_classes, in_channels, dropout)


def vgg11_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG-11 with batch norm: 132,868,840 parameters for ImageNet."""
    return VGG(11, True, num_classes, in_channels, dropout)


def vgg16(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG-16: 138,357,544 parameters for ImageNet."""
    return VGG(16, False, num_classes, in_channels, dropout)


def vgg16_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG-16 with batch norm: 138,365,992 parameters for ImageNet."""
    return VGG(16, True, num_classes, in_channels, dropout)


def vgg19(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG-19: 143,667,240 parameters for ImageNet."""
    return VGG(19, False, num_classes, in_channels, dropout)


def vgg19_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG-19 with batch norm: 143,678,248 parameters for ImageNet."""
    return VGG(19, True, num_classes, in_channels, dropout)


__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]
