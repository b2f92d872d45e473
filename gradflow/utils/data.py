"""Data sets, samplers and the loader where PyTorch's users look for them; they live in `gradflow.data`."""

from ..data.collate import default_collate, default_convert
from ..data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from ..data.loader import DataLoader
from ..data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def get_worker_info() -> None:
    """None, as outside of PyTorch's worker processes: threads share one data set, there is nothing to divide."""
    return None


__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]
