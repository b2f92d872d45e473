"""Changes in place against PyTorch: values, the dtype that stays, and what is refused."""

import numpy as np
import pytest

from .same import same

DTYPES = ("bool", "uint8", "int16", "int64", "float16", "bfloat16", "float32", "float64")
VALUES = {
    "2": lambda t: 2,
    "2.25": lambda t: 2.25,
    **{d: lambda t, d=d: t.tensor([[1, 3, 2]]).to(getattr(t, d)) for d in DTYPES},
    "0-d": lambda t: t.tensor(0.75, dtype=t.float64),
    "too large": lambda t: t.ones(2, 2, 3),
}
METHODS = [
    "add_", "mul_", "div_", "floor_divide_", "remainder_", "pow_", "copy_", "bitwise_and_", "bitwise_or_",
    "bitwise_xor_", "bitwise_left_shift_", "bitwise_right_shift_", "eq_", "ge_", "true_divide_", "multiply_",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", METHODS)
def test_dtypes(name, value):
    for dtype in DTYPES:

        def run(t, dtype=dtype):
            x = t.tensor([[1, 4, 2], [3, 7, 5]]).to(getattr(t, dtype))
            assert getattr(x, name)(VALUES[value](t)) is x
            return x.to(t.float64), str(x.dtype).endswith(dtype)

        same(run, rtol=1e-2 if "float16" in (dtype, value) or "bfloat16" in (dtype, value) else 1e-6)


OPERATORS = ("iadd", "isub", "imul", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor", "ilshift", "irshift")


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_change_the_tensor_itself(name):
    def run(t, x):
        assert getattr(x, f"__{name}__")(t.tensor([2, 1, 3])) is x
        return x

    same(run, np.array([5, 6, 7]))


ONE, TWO = np.array([0.3, -0.4, 0.9]), np.array([[2.0, -1.0], [0.5, 3.0]])
CALLS = {
    "asinh_": (ONE,), "acosh_": (ONE + 1.5,), "atanh_": (ONE,), "erfc_": (ONE,), "lgamma_": (ONE,), "digamma_": (ONE,),
    "sinc_": (ONE,), "logit_": (np.array([0.2, 0.7]),), "atan2_": (ONE, ONE[::-1].copy()), "hypot_": (ONE, ONE + 1),
    "copysign_": (ONE, -ONE), "xlogy_": (ONE, ONE + 1), "cumsum_": (TWO, 1), "cumprod_": (TWO, 0), "lt_": (ONE, 0.5),
    "addmm_": (TWO, TWO, TWO), "addmv_": (ONE[:2].copy(), TWO, ONE[1:]), "addr_": (TWO, ONE[:2], ONE[1:]),
    "baddbmm_": (TWO[None].copy(), TWO[None], TWO[None]), "logical_xor_": (ONE, ONE), "negative_": (ONE,),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_functions(name):
    same(lambda t, x, *args: getattr(x, name)(*args), *CALLS[name], grad=False)
