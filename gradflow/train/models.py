"""The network that is trained where none is named."""

from __future__ import annotations

from .. import nn

CHANNELS = (16, 32, 64)


def default_cnn(input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Three 3x3 convolutions with ReLU and 2x2 max pooling, then one linear layer: logits (n, classes).

    `input_shape` is (channels, height, width). Images under 16 pixels keep their size in the first stage. 25,866
    parameters for 1x8x8 images, 29,066 for 1x28x28.
    """
    channels, height, width = input_shape
    if min(height, width) < 4:
        raise ValueError(f"[default_cnn] images must be at least 4x4, got {height}x{width}")
    layers: list[nn.Module] = []
    for stage, out_channels in enumerate(CHANNELS):
        layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
        channels = out_channels
        if stage > 0 or min(height, width) >= 16:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))
