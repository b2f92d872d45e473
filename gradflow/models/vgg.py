"""VGG-11, VGG-16 and VGG-19 (Simonyan and Zisserman, 2014), with and without batch norm."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..functions import flatten

STAGES = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)
"""Channels of each stage, as multiples of the first one's."""


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each ended by 2x2 max pooling, and three linear layers.

    Images (N, in_channels, H, W) of 32 pixels or more -> (N, num_classes); made for 224. Keys and shapes of the
    state_dict are torchvision's. depth is 11, 16 or 19. head is "imagenet" (three large linear layers) or "cifar": the
    mean over what is left of the image and one linear layer, for images of any size. width is the channels of the first
    stage, to which all others are in proportion.
    """

    def __init__(
        self,
        depth: int,
        batch_norm: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        head: str = "imagenet",
        width: int = 64,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"[VGG] depth must be 11, 16 or 19, got {depth}")
        if head not in ("imagenet", "cifar"):
            raise ValueError(f"[VGG] head must be 'imagenet' or 'cifar', got {head!r}")
        large, wide = head == "imagenet", 64 * width
        layers: list[nn.Module] = []
        for count, multiple in zip(STAGES[depth], WIDTHS, strict=True):
            for _ in range(count):
                channels = multiple * width
                layers.append(nn.Conv2d(in_channels, channels, 3, padding=1))
                layers += [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
                in_channels = channels
            layers.append(nn.MaxPool2d(2, ceil_mode=not large))  # which leaves one pixel of one
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7 if large else 1)
        hidden: list[nn.Module] = [nn.Dropout(dropout)]
        if large:
            hidden = [
                *(nn.Linear(in_channels * 7 * 7, wide), nn.ReLU(), nn.Dropout(dropout)),
                *(nn.Linear(wide, wide), nn.ReLU(), nn.Dropout(dropout)),
            ]
        last = nn.Linear(wide if large else in_channels, num_classes)
        self.classifier = nn.Sequential(*hidden, last)
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
