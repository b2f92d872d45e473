"""A small vision transformer (Dosovitskiy et al., 2020)."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..creation import zeros
from ..functions import cat


class VisionTransformer(nn.Module):
    """Patches of an image as a sequence: images (N, in_channels, image_size, image_size) -> (N, num_classes).

    Each patch_size x patch_size patch becomes a vector of dim numbers; a class token goes before them, learned
    positions are added, and `depth` encoder layers of `heads` heads follow, normalised first; the class token is what
    is classified. Raises ValueError unless patches fill the image and heads divide dim.
    """

    def __init__(
        self,
        image_size: int = 32,
        patch_size: int = 4,
        num_classes: int = 10,
        in_channels: int = 3,
        dim: int = 192,
        depth: int = 12,
        heads: int = 3,
        mlp_dim: int = 768,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"[VisionTransformer] patches of {patch_size} do not fill an image of {image_size}")
        self.image_size = image_size
        self.conv_proj = nn.Conv2d(in_channels, dim, patch_size, patch_size)
        self.class_token = nn.Parameter(zeros(1, 1, dim))
        self.pos_embedding = nn.Parameter(zeros(1, (image_size // patch_size) ** 2 + 1, dim))
        nn.init.trunc_normal_(self.pos_embedding, std=0.02)
        layers = [
            nn.TransformerEncoderLayer(dim, heads, mlp_dim, dropout, "gelu", 1e-6, batch_first=True, norm_first=True)
            for _ in range(depth)
        ]
        self.encoder = nn.Sequential(nn.Dropout(dropout), *layers, nn.LayerNorm(dim, eps=1e-6))
        self.head = nn.Linear(dim, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Any) -> Any:
        if tuple(x.shape[2:]) != (self.image_size, self.image_size):
            raise ValueError(
                f"[VisionTransformer] made for images of {self.image_size} x {self.image_size}, got {tuple(x.shape)}"
            )
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        token = self.class_token.expand(x.shape[0], -1, -1)
        return self.head(self.encoder(cat([token, patches], 1) + self.pos_embedding)[:, 0])


def vit_tiny(
    num_classes: int = 10,
    image_size: int = 32,
    patch_size: int = 4,
    in_channels: int = 3,
    dropout: float = 0.0,
    width: int = 192,
) -> VisionTransformer:
    """ViT-Ti (12 layers of 192 numbers and 3 heads) for 32 x 32 images: 5,362,762 parameters for CIFAR-10.

    width is how many numbers stand for a patch; a head has 64 of them, or all where there are fewer. ValueError where
    that leaves a rest.
    """
    heads = max(1, width // 64)
    if width % heads:
        raise ValueError(f"[vit_tiny] width must be a multiple of 64, or at most 64, got {width}")
    return VisionTransformer(image_size, patch_size, num_classes, in_channels, width, 12, heads, 4 * width, dropout)


__all__ = ["VisionTransformer", "vit_tiny"]
