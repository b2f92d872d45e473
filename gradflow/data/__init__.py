"""Image data sets as arrays, and the loader that cuts them into batches."""

from .dataset import DataError, Dataset, Split
from .digits import load_digits
from .fashion_mnist import load_fashion_mnist
from .idx import read_idx
from .loader import DataLoader
from .transforms import random_shift

__all__ = [
    "DataError",
    "DataLoader",
    "Dataset",
    "Split",
    "load_digits",
    "load_fashion_mnist",
    "random_shift",
    "read_idx",
]
