"""Kernel cases of products of matrices, all by BLAS."""

from __future__ import annotations

from kernels.harness import kernel_case

TOLERANCE = {"f4": 5e-6, "f2": 2e-3, "bfloat16": 1.6e-2}


def product(a: tuple[int, ...], b: tuple[int, ...], **options: tuple[str, ...]):
    return kernel_case("matmul", a, b, tolerance=TOLERANCE, **options)


F4 = ("f4",)
CASES = [
    product((3, 5), (5, 4)),
    product((33, 70), (70, 65)),
    product((2, 3, 5), (2, 5, 4)),
    product((4, 1, 3, 2), (5, 2, 3), dtypes=F4),
    product((3, 2), (2, 2, 2, 5), dtypes=F4),
    product((2, 1, 3, 4), (1, 3, 4, 2), dtypes=F4),
    product((1, 1), (1, 1)),
    product((1, 7), (7, 1)),
    product((7, 1), (1, 7), dtypes=F4),
    product((3, 0), (0, 4)),
    product((0, 3), (3, 4), dtypes=F4),
    product((0, 2, 3), (0, 3, 4), dtypes=F4),
    product((2, 3, 0), (2, 0, 4), dtypes=F4),
]
