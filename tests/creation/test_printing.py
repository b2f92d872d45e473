"""What tensors print, in the words of this library; tests/parity/test_printing.py compares the rest with PyTorch."""

import numpy as np
import pytest

import gradflow as gf

PRINTED = {
    "tensor([1., 2.])": lambda: gf.tensor([1.0, 2.0]), "tensor(5)": lambda: gf.tensor(5),
    "tensor([], dtype=int64)": lambda: gf.tensor([], dtype=gf.int64),
    "tensor([], size=(2, 0))": lambda: gf.zeros(2, 0),
    "tensor([1.0000e-05, 1.0000e+00])": lambda: gf.tensor([1e-5, 1.0]),
    "tensor([ True, False])": lambda: gf.tensor([True, False]),
    "tensor([nan, inf, 2.])": lambda: gf.tensor([np.nan, np.inf, 2.0]),
    "tensor([1.5000], dtype=float64)": lambda: gf.tensor([1.5], dtype=gf.float64),
    "tensor([1.], requires_grad=True)": lambda: gf.ones(1, requires_grad=True),
    "tensor(3., grad_fn=<sum>)": lambda: gf.ones(3, requires_grad=True).sum(),
    "tensor([1.], device='emulated')": lambda: gf.ones(1, device="emulated"),
    "tensor([   0,    1,    2,  ..., 1998, 1999, 2000])": lambda: gf.arange(2001),
    "Parameter containing:\ntensor([[1.],\n        [1.]], requires_grad=True)": lambda: gf.nn.Parameter(gf.ones(2, 1)),
    "tensor([1, 2], dtype=uint8)": lambda: gf.tensor([1, 2], dtype=gf.uint8),
}  # fmt: skip


@pytest.mark.parametrize("text", PRINTED)
def test_printed(text):
    assert str(PRINTED[text]()) == repr(PRINTED[text]()) == text


def test_options_and_formats():
    x = gf.tensor([1.23456, 1000.5])
    try:
        gf.set_printoptions(precision=2, sci_mode=False)
        assert repr(x) == "tensor([   1.23, 1000.50])"
        gf.set_printoptions(profile="short", threshold=3, edgeitems=1)
        assert repr(gf.arange(5)) == "tensor([0,  ..., 4])"
    finally:
        gf.set_printoptions(profile="default")
    assert (
        f"{x[0]:.3f} {gf.tensor([2.5]):.1f} {gf.tensor(3):>3}" == "1.235 2.5   3"
        and f"{gf.ones(2)}" == "tensor([1., 1.])"
    )
    with pytest.raises(TypeError, match=r"\[format\] '.3f' is for tensors of one element, not \(2,\)"):
        format(x, ".3f")


def test_printing_inside_a_transform_says_what_it_is():
    seen = []
    gf.func.vmap(lambda row: seen.append(f"{row} {row.sum()}") or row)(gf.ones(2, 3))
    assert seen == ["<value inside vmap, shape (3,), float32> <value inside vmap, shape (), float32>"]
