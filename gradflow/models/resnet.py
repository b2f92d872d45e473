"""ResNet-18 and ResNet-34 (He et al., 2015), for ImageNet and, with a smaller stem, for CIFAR."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..functions import flatten
from ..nn import functional as F

STEMS = ("imagenet", "cifar")


def check_stem(model: str, stem: str) -> bool:
    """Whether a stem is the one for large images; ValueError unless it is one of the two."""
    if stem not in STEMS:
        raise ValueError(f"[{model}] stem must be 'imagenet' or 'cifar', got {stem!r}")
    return stem == "imagenet"


class BasicBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + x), where a strided 1x1 convolution brings x to a new shape if need be."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x), activation="relu")
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """Four stages of residual blocks of 64, 128, 256 and 512 channels: images (N, in_channels, H, W) -> (N, classes).

    blocks is how many each stage has. stem is "imagenet" (a 7x7 convolution of stride 2, then 3x3 max pooling of stride
    2: made for 224 pixels) or "cifar" (a 3x3 convolution of stride 1: made for 32). With the former, keys and shapes of
    the state_dict are torchvision's. width is the channels of the first stage; the next have 2, 4 and 8 times as many.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
        width: int = 64,
    ) -> None:
        super().__init__()
        large = check_stem("ResNet", stem)
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        channels = width
        for i, count in enumerate(blocks):
            wide = width << i
            stage = [BasicBlock(channels if k == 0 else wide, wide, 2 if i and k == 0 else 1) for k in range(count)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
            channels = wide
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.bn1(self.conv1(x), activation="relu"))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(flatten(self.avgpool(x), 1))


def resnet18(num_classes: int = 1000, in_channels: int = 3, stem: str = "imagenet", width: int = 64) -> ResNet:
    """ResNet-18: 11,689,512 parameters for ImageNet, 11,173,962 for CIFAR-10 (num_classes=10, stem="cifar")."""
    return ResNet((2, 2, 2, 2), num_classes, in_channels, stem, width)


def resnet34(num_classes: int = 1000, in_channels: int = 3, stem: str = "imagenet", width: int = 64) -> ResNet:
    """ResNet-34: 21,797,672 parameters for ImageNet, 21,282,122 for CIFAR-10 (num_classes=10, stem="cifar")."""
    return ResNet((3, 4, 6, 3), num_classes, in_channels, stem, width)


__all__ = ["ResNet", "resnet18", "resnet34"]
