"""Kernel cases of random numbers and dropout: those of the host, bit for bit."""

from __future__ import annotations

from kernels.harness import DTYPES, KernelCase, kernel_case

from gradflow.backend.dtypes import as_dtype

Key = tuple[int, int]
KEYS = [(123456789, 2**40), (2**64 - 1, 2**64 - 3)]  # the second's blocks go on beyond 2^64
PLAIN = {"specials": False, "layouts": False}


def integers(shape: tuple[int, ...], low: int, span: int, key: Key) -> KernelCase:
    """Of these there are no floats: "f8" only names them."""
    return kernel_case(
        "random_integers", id=f"random_integers-{shape}-{low}-{span}-{key[1]}".replace(" ", ""), dtypes=("f8",),
        shape=shape, key=key, low=low, span=span, **PLAIN,
    )  # fmt: skip


def permutation(shape: tuple[int, ...], key: Key) -> KernelCase:
    label = f"random_permutation-{shape}-{key[1]}".replace(" ", "")
    return kernel_case("random_permutation", id=label, dtypes=("f8",), shape=shape, key=key, **PLAIN)


def floats(shape: tuple[int, ...], key: Key, dtype: str) -> list[KernelCase]:
    return [
        kernel_case(
            name, id=f"{name}-{shape}-{key[1]}".replace(" ", ""), dtypes=(dtype,), exact=exact, shape=shape, key=key,
            dtype=as_dtype(dtype), **PLAIN,
        )
        for name, exact in (("random_uniform", True), ("random_normal", False))
    ]  # fmt: skip


def dropped(x: tuple[int, ...], p: float, covered: int, key: tuple[int, int] = (3, 5)) -> KernelCase:
    """`covered`: how many of x's last axes the mask extends over."""
    mask = x[len(x) - covered :]
    return kernel_case(
        "dropout", x, id=f"dropout-{x}-{covered}-{p}-{key}".replace(" ", ""), exact=True, key=key, p=p, mask_shape=mask
    )


RANGES = [(0, 10), (-5, 2**63), (-(2**63), 2**64 - 1), (7, 1)]
HERE, BEYOND = KEYS
CASES = [
    *[integers((33, 131), low, span, key) for low, span in RANGES for key in KEYS],
    *[integers(shape, -5, 2**63, BEYOND) for shape in [(), (0,), (5,)]],
    *[permutation(shape, key) for shape in [(5,), (33, 131)] for key in KEYS],
    permutation((0,), HERE),
    *[c for n in (0, 1, 4, 9, 11, 14, 16, 5003) for c in floats((n,), HERE, "f4")],
    *[c for n in (3, 5, 7, 8) for c in floats((n,), BEYOND, "f8")],
    *[c for dtype in DTYPES for c in floats((3, 7, 111), BEYOND, dtype)],
    *floats((), HERE, "f4"),
    *[dropped(x, 0.5, len(x)) for x in [(), (0,), (1,), (9,), (16, 64), (2, 3, 4, 5), (2, 3, 4, 4)]],
    *[dropped(x, 0.5, len(x)) for x in [(37, 1009), (2, 65, 5, 33)]],
    *[dropped((4, 6, 10), 0.3, covered) for covered in (0, 1, 2)],
    *[dropped((300, 9), 0.3, 1), dropped((3, 2, 3, 4), 0.3, 3)],
    *[dropped((5, 8), p, 2, (2**64 - 1, 2**64 - 1)) for p in (1.0, 1e-3, 1 - 1e-12)],
]
