"""SqueezeNet 1.1 (Iandola et al., 2016)."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..functions import cat, flatten, relu
from .resnet import check_stem


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions side by side, each with ReLU."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Any) -> Any:
        x = relu(self.squeeze(x))
        return relu(cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """Eight fire modules between convolutions: images (N, in_channels, H, W) of 17 pixels or more -> (N, num_classes).

    Keys and shapes of the state_dict are those of torchvision's squeezenet1_1. stem is "imagenet" or "cifar": with the
    latter the first convolution has stride 1 and no pooling follows it, and images of 4 pixels are enough.
    """

    def __init__(
        self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5, stem: str = "imagenet"
    ) -> None:
        super().__init__()
        large = check_stem("SqueezeNet", stem)

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        stride, padding = (2, 0) if large else (1, 1)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 3, stride, padding),
            nn.ReLU(),
            pool() if large else nn.Identity(),
            *(Fire(64, 16, 64), Fire(128, 16, 64), pool()),
            *(Fire(128, 32, 128), Fire(256, 32, 128), pool()),
            *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        )
        last = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(last.weight, 0, 0.01)

    def forward(self, x: Any) -> Any:
        return flatten(self.classifier(self.features(x)), 1)


def squeezenet1_1(
    num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5, stem: str = "imagenet"
) -> SqueezeNet:
    """SqueezeNet 1.1: 1,235,496 parameters for ImageNet."""
    return SqueezeNet(num_classes, in_channels, dropout, stem)


__all__ = ["SqueezeNet", "squeezenet1_1"]
