"""Convolutions of one to three axes and their transposes against PyTorch, over generated configurations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from parity.same import floats, same

import gradflow as gf

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's, about its defaults and its speed

SIZES = {1: (7,), 2: (6, 7), 3: (4, 5, 6)}
KERNELS = {1: [(1,), (2,), (3,)], 2: [(3, 3), (2, 3), (1, 4)], 3: [(2, 3, 2), (1, 2, 3), (3, 1, 1)]}
STRIDES: list[Any] = [1, 2, 3]
PADDINGS: list[Any] = [0, 1, 2]


def cases(rank: int) -> list[Any]:
    """Part of the configurations: kernel, stride, padding, dilation, groups. Every two of them meet."""
    every = list(itertools.product(range(3), range(3), range(3), range(2), range(3)))
    return [e for i, e in enumerate(every) if i % (5 if rank < 3 else 7) == 0]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions(rank: int) -> None:
    for k, s, p, d, g in cases(rank):
        kernel, groups = KERNELS[rank][k], (1, 2, 4)[g]
        x, w = floats(2, 4, *SIZES[rank]), floats(8, 4 // groups, *kernel)
        b = [floats(8)] if k else []
        options = {"stride": STRIDES[s], "padding": PADDINGS[p], "dilation": d + 1, "groups": groups}
        same(
            lambda t, x, w, *b, o=options: getattr(t.nn.functional, f"conv{rank}d")(x, w, *b, **o),
            x, w, *b, second=True,
        )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolutions(rank: int) -> None:
    """Output paddings up to what is refused; those from stride on count where the dilation is larger."""
    for k, s, p, d, g in cases(rank):
        kernel, groups = KERNELS[rank][k], (1, 2, 4)[g]
        x, w = floats(2, 4, *[n - 2 for n in SIZES[rank]]), floats(4, 8 // groups, *kernel)
        b = [floats(8)] if k else []
        for extra in (0, 1, 2):
            options = {
                "stride": STRIDES[s], "padding": PADDINGS[p], "dilation": d + 1, "groups": groups,
                "output_padding": extra,
            }  # fmt: skip
            same(
                lambda t, x, w, *b, o=options: getattr(t.nn.functional, f"conv_transpose{rank}d")(x, w, *b, **o),
                x, w, *b, second=extra == 0,
            )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid", "full"])
@pytest.mark.parametrize("stride", [1, 2])
def test_named_paddings(rank: int, padding: str, stride: int) -> None:
    for kernel in KERNELS[rank]:
        x, w = floats(2, 3, *SIZES[rank]), floats(2, 3, *kernel)
        same(
            lambda t, x, w: getattr(t.nn.functional, f"conv{rank}d")(x, w, None, stride, padding, rank), x, w
        )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
@pytest.mark.parametrize("lead", [(), (0,), (1,), (3,)])
def test_batches_and_dtypes(rank: int, dtype: str, op: str, lead: tuple[int, ...]) -> None:
    x, w = floats(*lead, 3, *SIZES[rank], dtype=dtype), floats(3, 3, *KERNELS[rank][1], dtype=dtype)
    b = floats(3, dtype=dtype)
    same(lambda t, x, w, b: getattr(t.nn.functional, f"{op}{rank}d")(x, w, b, 2, 1), x, w, b, grad=dtype != "f2")


REFUSED: list[Any] = [
    lambda nn, x, w: nn.conv1d(x, w, stride=0),
    lambda nn, x, w: nn.conv1d(x, w, stride=(1, 1)),
    lambda nn, x, w: nn.conv1d(x, w, padding=-1),
    lambda nn, x, w: nn.conv1d(x[0, 0], w),
    lambda nn, x, w: nn.conv1d(x[:, :2], w),
    lambda nn, x, w: nn.conv1d(x, w, w[0, 0, :1]),
    lambda nn, x, w: nn.conv1d(x, w, groups=2),
    lambda nn, x, w: nn.conv1d(x, w, dilation=9),
    lambda nn, x, w: nn.conv2d(x, w),
    lambda nn, x, w: nn.conv3d(x[None, None], w[None, None], padding=(1, 2)),
    lambda nn, x, w: nn.conv3d(x[None], w[None, None]),
    lambda nn, x, w: nn.conv_transpose1d(x, w, output_padding=1),
    lambda nn, x, w: nn.conv_transpose1d(x, w, padding=9),
    lambda nn, x, w: nn.conv_transpose1d(x, w[:2]),
    lambda nn, x, w: nn.conv_transpose1d(x, w, w[0, 0, :1]),
    lambda nn, x, w: nn.conv_transpose1d(x, w, padding="same"),
    lambda nn, x, w: nn.conv_transpose1d(x, w, stride=-1),
    lambda nn, x, w: nn.conv_transpose1d(x, w, dilation=0),
    lambda nn, x, w: nn.conv_transpose2d(x, w),
]


@pytest.mark.parametrize("run", REFUSED, ids=range(len(REFUSED)))
def test_both_refuse(run: Any) -> None:
    for t, make in ((gf, gf.tensor), (torch, torch.from_numpy)):
        with pytest.raises((ValueError, RuntimeError, TypeError)):
            run(t.nn.functional, make(floats(2, 4, 7)), make(floats(4, 4, 3)))


LAYERS: list[Any] = [
    lambda nn: nn.Conv1d(4, 6, 3, 2, 1, 2, 2),
    lambda nn: nn.Conv1d(4, 2, 2, padding="same", padding_mode="circular"),
    lambda nn: nn.Conv1d(4, 2, 3, padding=2, padding_mode="reflect", bias=False),
    lambda nn: nn.Conv2d(4, 6, (3, 2), 1, "same", 2),
    lambda nn: nn.Conv2d(4, 2, 3, padding=(1, 2), padding_mode="reflect"),
    lambda nn: nn.Conv2d(4, 2, (2, 3), padding="same", padding_mode="replicate"),
    lambda nn: nn.Conv2d(4, 2, 3, padding="valid", padding_mode="circular"),
    lambda nn: nn.Conv3d(4, 2, (1, 2, 3), (1, 2, 1), (0, 1, 1)),
    lambda nn: nn.Conv3d(4, 2, 3, padding=1, padding_mode="replicate"),
    lambda nn: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2),
    lambda nn: nn.ConvTranspose2d(4, 2, (3, 2), 2, 1, (1, 0), dilation=2, bias=False),
    lambda nn: nn.ConvTranspose3d(4, 2, 2, 2),
    lambda nn: nn.Unfold(3, 2, 1, 2),
    lambda nn: nn.Unfold((2, 3)),
    lambda nn: nn.Conv2d(4, 6, 3, groups=3),
    lambda nn: nn.Conv2d(4, 6, 3, padding="odd"),
    lambda nn: nn.Conv2d(4, 6, 3, 2, padding="same"),
    lambda nn: nn.Conv2d(4, 6, 3, padding_mode="odd"),
    lambda nn: nn.ConvTranspose2d(4, 6, 3, padding_mode="circular"),
]


def built(t: Any, make: Any) -> Any:
    try:
        return make(t.nn)
    except (ValueError, TypeError, RuntimeError) as error:
        return error


def copied(ours: Any, theirs: Any) -> None:
    """theirs' parameters in ours, both in float64."""
    theirs.double()
    ours.to(gf.float64).load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})


@pytest.mark.parametrize("make", LAYERS, ids=range(len(LAYERS)))
def test_layers(make: Any) -> None:
    """repr, names and shapes of parameters, results for a batch and for one image."""
    ours, theirs = built(gf, make), built(torch, make)
    assert isinstance(ours, Exception) == isinstance(theirs, Exception)
    if isinstance(ours, Exception):
        return
    assert repr(ours) == repr(theirs)
    copied(ours, theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rank = getattr(ours, "rank", 2)
    x = floats(2, 4, *SIZES[rank])
    for each in (x, x[0]):
        same(lambda t, x: (ours if t is gf else theirs)(x), np.ascontiguousarray(each))


def test_starting_values() -> None:
    for name in ("Conv1d", "ConvTranspose1d", "Conv3d", "ConvTranspose2d"):
        layers = [getattr(t.nn, name)(32, 48, 3, groups=2) for t in (gf, torch)]
        for key in ("weight", "bias"):
            ours, theirs = [np.abs(getattr(layer, key).detach().numpy()) for layer in layers]
            assert ours.max() == pytest.approx(theirs.max(), rel=0.15)
            assert ours.mean() == pytest.approx(ours.max() / 2, rel=0.4)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_output_sizes_of_transposed_layers(rank: int) -> None:
    make = f"ConvTranspose{rank}d"
    ours, theirs = getattr(gf.nn, make)(2, 3, 3, 2, 1), getattr(torch.nn, make)(2, 3, 3, 2, 1)
    copied(ours, theirs)
    x = floats(2, 2, *[4] * rank)
    for size in ([7] * rank, [8] * rank, [2, 3] + [8] * rank, [9] * rank, [6] * rank, [8] * (rank + 1)):
        same(lambda t, x, size=size: (ours if t is gf else theirs)(x, output_size=size), x)
