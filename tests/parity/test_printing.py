"""Tensors print as PyTorch's do; only the names of dtypes and of graph nodes are shorter."""

import re

import numpy as np
import pytest
from parity.same import floats, integers, torch

import gradflow as gf

ARRAYS = {
    "floats": floats(2, 3), "float32": floats(4, dtype="f4"), "half": floats(3, dtype="f2"),
    "whole": np.array([1.0, -2.0, 30.0]), "scientific": np.array([1e-6, 1.0, 1e3]), "big": np.array([1.5e9, 2.0]),
    "big_whole": np.array([2e9, 1.0]), "small": np.array([1e-5, 2e-5]),
    "nan": np.array([np.nan, 1.5, np.inf, -np.inf]), "only_nan": np.array([np.nan, np.inf]),
    "whole_nan": np.array([np.nan, 12.0, 0.0]), "zeros": np.zeros((2, 2)), "negative_zero": np.array([-0.0, 1.5]),
    "ints": integers(3, 4), "int8": integers(3, dtype="i1"), "uint8": integers(3, dtype="u1"),
    "wide_ints": np.array([1, -100, 10**12]), "bools": np.array([[True, False], [False, False]]), "0d": np.array(1.5),
    "0d_int": np.array(3), "0d_bool": np.array(True), "0d_whole": np.array(2.0), "0d_small": np.array(1e-7),
    "empty": np.zeros(0), "empty_f4": np.zeros(0, "f4"), "empty_int": np.zeros((0, 3), "i8"),
    "empty_2d": np.zeros((2, 0), "f4"), "3d": floats(2, 2, 3), "4d": floats(2, 1, 2, 2), "line": floats(30),
    "line_int": np.arange(60), "long": np.arange(1001.0), "long_small": floats(2000) / 1e5, "matrix": floats(40, 50),
    "tall": floats(1000, 3), "wide": floats(3, 1000), "cube": floats(12, 11, 10), "threshold": np.arange(1000),
    "ones": np.ones((1, 1, 1)), "ratio": np.array([1.0, 1001.5]), "ratio_not": np.array([1.0, 999.5]),
    "rounded": np.array([0.99999, 1.00001]), "least": np.array([1e-4, 1.5e-4]),
}  # fmt: skip


def _joined(text):
    """Without our or PyTorch's line break before what follows the elements, as names of dtypes differ in length."""
    return re.sub(r",\s+(dtype|size|requires_grad)=", r", \1=", text.replace("torch.", ""))


@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_look_alike(name):
    a, b = gf.from_numpy(ARRAYS[name]), torch.from_numpy(ARRAYS[name])
    assert _joined(repr(a)) == _joined(repr(b)) and str(a) == repr(a)
    if a.is_floating_point():
        assert repr(a.float().requires_grad_()) == repr(b.float().requires_grad_())


def test_bfloat16_and_default_dtypes():
    pytest.importorskip("ml_dtypes")
    assert repr(gf.tensor([1.5, 2.25]).bfloat16()) == repr(torch.tensor([1.5, 2.25]).bfloat16()).replace("torch.", "")
    gf.set_default_dtype(gf.float64)
    try:
        assert repr(gf.ones(2)) == "tensor([1., 1.])" and repr(gf.ones(2).float()) == "tensor([1., 1.], dtype=float32)"
    finally:
        gf.set_default_dtype(gf.float32)


OPTIONS = [
    {"precision": 2}, {"precision": 8}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1},
    {"edgeitems": 2, "threshold": 10}, {"linewidth": 40}, {"sci_mode": True}, {"sci_mode": False},
    {"profile": "short"}, {"profile": "full"}, {"profile": "short", "precision": 3},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options):
    try:
        gf.set_printoptions(**options)
        torch.set_printoptions(**options)
        for name, array in ARRAYS.items():
            if array.size < 1000 or options.get("profile") != "full":
                assert _joined(repr(gf.from_numpy(array))) == _joined(repr(torch.from_numpy(array))), name
    finally:
        gf.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")


@pytest.mark.parametrize("spec", ["", ".3f", "8.2e", ">10"])
def test_formats(spec):
    for x in (1.5, 3, True):
        assert format(gf.tensor(x), spec) == format(torch.tensor(x), spec)
    assert format(gf.tensor([1.5]), ".3f") == "1.500" and f"{gf.tensor([1.5])}" == "tensor([1.5000])"
    with pytest.raises(TypeError, match=r"\[format\]"):
        format(gf.ones(2), ".3f")
