"""gf.testing: what is close, and what is said of what is not."""

import numpy as np
import pytest

import gradflow as gf
from gradflow.testing import assert_close, make_tensor


def test_what_differs_is_told():
    with pytest.raises(AssertionError) as caught:
        assert_close(gf.tensor([1.0, 2.0, 3.0]), gf.tensor([1.0, 2.5, 4.0]))
    assert str(caught.value).splitlines() == [
        "Tensor-likes are not close!", "", "Mismatched elements: 2 / 3 (66.7%)",
        "Greatest absolute difference: 1.0 at index (2,) (up to 1e-05 allowed)",
        "Greatest relative difference: 0.25 at index (2,) (up to 1.3e-06 allowed)",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match=r"Expected 2.0 but got 1.0[\s\S]*item \['a'\]\[0\]$"):
        assert_close({"a": [1.0]}, {"a": [2.0]})
    with pytest.raises(AssertionError, match=r"^loss: Scalars"):
        assert_close(1.0, 2.0, msg=lambda text: f"loss: {text}")


def test_what_is_close():
    assert_close(
        {"w": [gf.ones(2), np.ones(2)], "n": 3, "none": None},
        {"w": (gf.ones(2) + 1e-6, np.ones(2)), "n": 3, "none": None},
    )
    assert_close(gf.ones(2), np.ones(2, "f4"))
    assert_close(gf.ones(2), gf.ones(2).double(), check_dtype=False)
    assert_close(gf.tensor([np.nan]), gf.tensor([np.nan]), equal_nan=True)
    assert_close(gf.ones(1), gf.ones(1, device="emulated"), check_device=False)
    assert_close(gf.zeros(0), gf.zeros(0))


WRONG = {
    "'dtype' do not match: float32 != float64": lambda: assert_close(gf.ones(1), gf.ones(1).double()),
    "'shape' do not match": lambda: assert_close(gf.ones(1), gf.ones(2)),
    "'device' do not match: cpu != emulated": lambda: assert_close(gf.ones(1), gf.ones(1, device="emulated")),
    "nan at index": lambda: assert_close(gf.tensor([np.nan]), gf.tensor([np.nan])),
    "Additional keys in the actual mapping: .'a'.": lambda: assert_close({"a": 1}, {}),
    "length of the sequences mismatch: 1 != 2": lambda: assert_close([1], [1, 2]),
    "Greatest absolute difference: 1 at index": lambda: assert_close(gf.tensor([2**62]), gf.tensor([2**62 + 1])),
    "None mismatch": lambda: assert_close(None, 1),
    r"stride\(\)": lambda: assert_close(gf.ones(2, 2), gf.ones(2, 4)[:, ::2], check_stride=True),
    "types do not match": lambda: assert_close(1, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_what_is_not(message):
    with pytest.raises(AssertionError, match=message):
        WRONG[message]()


def test_misuse():
    with pytest.raises(ValueError, match="both rtol and atol"):
        assert_close(1.0, 1.0, rtol=1.0)
    with pytest.raises(TypeError, match="cannot compare a str"):
        assert_close("a", "a")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", "bool", "int64"])
def test_tensors_are_made(dtype):
    x = make_tensor(20, 30, dtype=dtype)
    assert (
        x.shape == (20, 30)
        and x.dtype == np.dtype(dtype)
        and x.double().abs().amax().item() <= 9
        and len(set(x.numpy().ravel().tolist())) > 1
    )
    y = make_tensor((4, 6), dtype=dtype, noncontiguous=True, low=0, high=2, exclude_zero=True)
    assert not y.is_contiguous() and (y != 0).all() and y.shape == (4, 6) and (y.double() < 2.1).all()
    with pytest.raises(ValueError, match=r"\[make_tensor\] low must be below high"):
        make_tensor(2, dtype=dtype, low=3, high=3)
