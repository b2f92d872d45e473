"""Kernel cases of random numbers and dropout: those of the host, bit for bit."""

from __future__ import annotations

from kernels.harness import KernelCase, kernel_case

from gradflow.backend.dtypes import as_dtype

Key = tuple[int, int]
KEYS = [(123456789, 2**40), (2**64 - 1, 2**64 - 3)]  # the second's blocks go on beyond 2^64
PLAIN = {"specials": False, "layouts": False}


def numbers(shape: tuple[int, ...], key: Key) -> list[KernelCase]:
    """Integers and permutations, of which there are no floats: "f8" only names them."""
    label = f"{shape}-{key[1]}".replace(" ", "")
    found = []
    if shape:
        found.append(kernel_case(
            "random_permutation", id=f"random_permutation-{label}", dtypes=("f8",), shape=shape, key=key, **PLAIN
        ))  # fmt: skip
    for low, span in ((0, 10), (-5, 2**63), (-(2**63), 2**64 - 1), (7, 1)):
        found.append(kernel_case(
            "random_integers", id=f"random_integers-{label}-{low}-{span}", dtypes=("f8",), shape=shape, key=key,
            low=low, span=span, **PLAIN,
        ))  # fmt: skip
    return found


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


CASES = [
    *[c for shape in [(0,), (), (5,), (33, 131)] for key in KEYS for c in numbers(shape, key)],
    *[c for n in (0, 1, 3, 4, 5, 6, 7, 8, 9, 5003) for key in KEYS for c in floats((n,), key, "f4" if n % 2 else "f8")],
    *[c for dtype in ("f4", "f8", "f2", "bfloat16") for key in KEYS for c in floats((3, 7, 11), key, dtype)],
    *floats((), KEYS[0], "f4"),
    *[dropped(x, 0.5, len(x)) for x in [(), (0,), (1,), (9,), (16, 64), (2, 3, 4, 5), (37, 1009)]],
    *[dropped((4, 6, 10), 0.3, covered) for covered in (0, 1, 2, 3)],
    *[dropped((300, 9), 0.3, 1), dropped((3, 2, 3, 4), 0.3, 3)],
    *[dropped((5, 8), p, 2, (2**64 - 1, 2**64 - 1)) for p in (1.0, 1e-3, 1 - 1e-12)],
]
