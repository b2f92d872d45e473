"""Data sets, samplers, and the loader that makes batches; images to classify, their sources and augmentation.

Names are loaded when they are first asked for, each from the file that `_ORIGINS` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from .arrays import load_npz
    from .augment import (
        Augmentation,
        ColorJitter,
        Compose,
        CutMix,
        Cutout,
        Mixup,
        Normalize,
        RandomChoice,
        RandomCrop,
        RandomHorizontalFlip,
        RandomRotation,
        RandomShift,
        parse_augment,
    )
    from .catalog import SOURCES, load_data
    from .collate import default_collate, default_convert
    from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
    from .digits import load_digits
    from .errors import DataError
    from .folder import load_folder
    from .idx import read_idx
    from .images import ImageData, Split
    from .loader import DataLoader
    from .mnist import load_fashion_mnist
    from .sampler import (
        BatchSampler,
        RandomSampler,
        Sampler,
        SequentialSampler,
        ShuffledSampler,
        SubsetRandomSampler,
        WeightedRandomSampler,
    )
    from .source import Source, data_home, find_files

_ORIGINS = {
    "augment": "Augmentation ColorJitter Compose CutMix Cutout Mixup Normalize RandomChoice RandomCrop "
    "RandomHorizontalFlip RandomRotation RandomShift parse_augment",
    "arrays": "load_npz",
    "catalog": "SOURCES load_data",
    "collate": "default_collate default_convert",
    "dataset": "ConcatDataset Dataset IterableDataset Subset TensorDataset random_split",
    "digits": "load_digits",
    "errors": "DataError",
    "folder": "load_folder",
    "idx": "read_idx",
    "images": "ImageData Split",
    "loader": "DataLoader",
    "mnist": "load_fashion_mnist",
    "sampler": "BatchSampler RandomSampler Sampler SequentialSampler ShuffledSampler SubsetRandomSampler "
    "WeightedRandomSampler",
    "source": "Source data_home find_files",
}
"""The public names of each file of this folder."""

_FILES = {name: file for file, names in _ORIGINS.items() for name in names.split()}

__all__ = [  # as in _ORIGINS
    "SOURCES",
    "Augmentation",
    "BatchSampler",
    "ColorJitter",
    "Compose",
    "ConcatDataset",
    "CutMix",
    "Cutout",
    "DataError",
    "DataLoader",
    "Dataset",
    "ImageData",
    "IterableDataset",
    "Mixup",
    "Normalize",
    "RandomChoice",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomSampler",
    "RandomShift",
    "Sampler",
    "SequentialSampler",
    "ShuffledSampler",
    "Source",
    "Split",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "data_home",
    "default_collate",
    "default_convert",
    "find_files",
    "load_data",
    "load_digits",
    "load_fashion_mnist",
    "load_folder",
    "load_npz",
    "parse_augment",
    "random_split",
    "read_idx",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _FILES:
        value = globals()[name] = getattr(import_module(f".{_FILES[name]}", __name__), name)
        return value  # type: ignore[no-any-return]
    raise AttributeError(f"module 'gradflow.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES})
