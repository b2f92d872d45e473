"""New tensors, dtypes and what is in place, as PyTorch has them."""

import numpy as np
import pytest
from parity.same import floats, integers, same, torch

import gradflow as gf

DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]

CREATE = {
    "zeros": lambda t: t.zeros(2, 3), "zeros_tuple": lambda t: t.zeros((2, 3), dtype=t.int8),
    "zeros_0d": lambda t: t.zeros(()), "ones": lambda t: t.ones(3, 0), "ones_bool": lambda t: t.ones(2, dtype=t.bool),
    "negative": lambda t: t.zeros(-1), "full": lambda t: t.full((2,), 3), "full_float": lambda t: t.full((2, 2), 0.5),
    "full_bool": lambda t: t.full([2], True), "full_dtype": lambda t: t.full((2,), 3, dtype=t.float64),
    "full_tensor": lambda t: t.full((2,), t.tensor(2)), "full_inf": lambda t: t.full((1,), float("inf")),
    "eye": lambda t: t.eye(3), "eye_wide": lambda t: t.eye(2, 4, dtype=t.int64), "eye_empty": lambda t: t.eye(0, 2),
    "eye_negative": lambda t: t.eye(-1), "arange": lambda t: t.arange(5),
    "arange_float": lambda t: t.arange(0.5, 3.7, 0.3), "arange_down": lambda t: t.arange(5, 1, -2),
    "arange_empty": lambda t: t.arange(3, 3), "arange_wrong": lambda t: t.arange(3, 1),
    "arange_step": lambda t: t.arange(1, 2, 0), "arange_dtype": lambda t: t.arange(3, dtype=t.float64),
    "arange_mixed": lambda t: t.arange(1, 3.5), "arange_tensor": lambda t: t.arange(t.tensor(4)),
    "arange_int": lambda t: t.arange(0.9, 4.9, 1.5, dtype=t.int64),
    "arange_int32": lambda t: t.arange(0.9, 4.9, 1.5, dtype=t.int32),
    "arange_cut": lambda t: t.arange(0, 2, 0.5, dtype=t.int64), "arange_nan": lambda t: t.arange(0, float("nan")),
    "arange_inf": lambda t: t.arange(0, float("inf")), "arange_keywords": lambda t: t.arange(start=1, end=10, step=4),
    "arange_small": lambda t: t.arange(0, 1, 0.1, dtype=t.float64), "linspace": lambda t: t.linspace(-1, 2, 7),
    "linspace_one": lambda t: t.linspace(3, 10, 1), "linspace_none": lambda t: t.linspace(3, 10, 0),
    "linspace_int": lambda t: t.linspace(0, 10, 4, dtype=t.int64), "linspace_negative": lambda t: t.linspace(0, 1, -1),
    "linspace_down": lambda t: t.linspace(1, 0, 5, dtype=t.float64),
    "linspace_tensor": lambda t: t.linspace(t.tensor(1.0), t.tensor(2.0), 3),
    "linspace_keywords": lambda t: t.linspace(start=0, end=1, steps=3), "logspace": lambda t: t.logspace(-2, 2, 5),
    "logspace_base": lambda t: t.logspace(0, 4, 5, base=2.0, dtype=t.float64),
    "logspace_one": lambda t: t.logspace(2, 9, 1), "logspace_negative_base": lambda t: t.logspace(0, 3, 4, base=-2.0),
    "tensor": lambda t: t.tensor([[1, 2], [3, 4]]), "tensor_float": lambda t: t.tensor([1.5, 2]),
    "tensor_bool": lambda t: t.tensor([True, False]), "tensor_mixed": lambda t: t.tensor([True, 2]),
    "tensor_empty": lambda t: t.tensor([]), "tensor_empty2": lambda t: t.tensor([[], []]),
    "tensor_0d": lambda t: t.tensor(3), "tensor_none": lambda t: t.tensor(None), "tensor_str": lambda t: t.tensor("a"),
    "tensor_ragged": lambda t: t.tensor([[1], [2, 3]]), "tensor_dtype": lambda t: t.tensor([1.7, -1.7], dtype=t.int64),
    "tensor_overflow": lambda t: t.tensor([300], dtype=t.uint8),
    "tensor_nested": lambda t: t.tensor([t.tensor(1.0, dtype=t.float64), t.tensor(2.0, dtype=t.float64)]),
    "tensor_nested_int": lambda t: t.tensor([t.tensor(1), t.tensor(2)]),
    "tensor_array": lambda t: t.tensor(np.arange(3, dtype="i4")),
    "tensor_numpy_scalar": lambda t: t.tensor(np.float64(1.5)), "tensor_numpy_f4": lambda t: t.tensor(np.float32(1.5)),
    "tensor_scalars": lambda t: t.tensor([np.float64(1.0), np.float64(2.0)]),
    "tensor_huge": lambda t: t.tensor([2**63]), "tensor_grad_int": lambda t: t.tensor([1], requires_grad=True),
    "tensor_range": lambda t: t.tensor(range(4)), "scalar_tensor": lambda t: t.scalar_tensor(3),
    "scalar_tensor_int": lambda t: t.scalar_tensor(3, dtype=t.int64), "as_tensor": lambda t: t.as_tensor([1, 2]),
    "asarray": lambda t: t.asarray([1.0, 2.0]), "asarray_copy": lambda t: t.asarray(np.ones(2), copy=True),
    "asarray_never": lambda t: t.asarray([1.0], copy=False), "empty": lambda t: t.empty(2, 3).shape,
    "empty_like": lambda t: t.empty_like(t.ones(2, 3, dtype=t.int8)) * 0,
    "zeros_like": lambda t: t.zeros_like(t.ones(2, dtype=t.int32)),
    "ones_like": lambda t: t.ones_like(t.zeros(2, 2), dtype=t.float64),
    "full_like": lambda t: t.full_like(t.zeros(2, dtype=t.int64), 7),
    "full_like_cut": lambda t: t.full_like(t.zeros(2, dtype=t.int64), 2.5), "like_number": lambda t: t.zeros_like(3),
    "new_zeros": lambda t: t.ones(2, dtype=t.int8).new_zeros(2, 1),
    "new_ones": lambda t: t.ones(2, dtype=t.float64).new_ones((3,)),
    "new_full": lambda t: t.ones(2, dtype=t.int64).new_full((2,), 3),
    "new_tensor": lambda t: t.ones(2, dtype=t.float64).new_tensor([1, 2]),
    "new_empty": lambda t: t.ones(2).new_empty(2, 3) * 0, "new_dtype": lambda t: t.ones(2).new_zeros(2, dtype=t.bool),
    "rand_shape": lambda t: t.rand(2, 3) * 0, "randn_shape": lambda t: t.randn((2, 3), dtype=t.float64) * 0,
    "rand_int": lambda t: t.rand(2, dtype=t.int64), "randint": lambda t: t.randint(3, 4, (2,)),
    "randint_high": lambda t: t.randint(1, (2, 2)), "randint_size": lambda t: t.randint(1, size=(3,)),
    "randint_keywords": lambda t: t.randint(low=2, high=3, size=(1,)),
    "randint_float": lambda t: t.randint(3, 4, (2,), dtype=t.float32),
    "randint_narrow": lambda t: t.randint(0, 300, (2,), dtype=t.uint8),
    "randint_empty": lambda t: t.randint(3, 3, (2,)),
    "randint_like": lambda t: t.randint_like(t.ones(2, dtype=t.int8), 2, 3),
    "randint_like_high": lambda t: t.randint_like(t.ones(2), 1),
    "rand_like": lambda t: t.rand_like(t.ones(2, dtype=t.float64)) * 0,
    "randn_like": lambda t: t.randn_like(t.ones(2)) * 0,
    "rand_like_int": lambda t: t.rand_like(t.ones(2, dtype=t.int64)), "randperm": lambda t: t.randperm(5).sort()[0],
    "randperm_negative": lambda t: t.randperm(-1), "randperm_dtype": lambda t: t.randperm(1, dtype=t.int32),
    "bernoulli": lambda t: t.bernoulli(t.tensor([0.0, 1.0])),
    "bernoulli_p": lambda t: t.bernoulli(t.tensor([0.3, 0.2]), 1.0),
    "bernoulli_wrong": lambda t: t.bernoulli(t.tensor([1.5])),
    "bernoulli_nan": lambda t: t.bernoulli(t.tensor([float("nan")])),
    "bernoulli_int": lambda t: t.bernoulli(t.tensor([1])),
    "multinomial": lambda t: t.multinomial(t.tensor([0.0, 1.0, 0.0]), 1),
    "multinomial_rows": lambda t: t.multinomial(t.tensor([[0.0, 1.0], [2.0, 0.0]]), 3, replacement=True),
    "multinomial_all": lambda t: t.multinomial(t.tensor([0.2, 1.0, 5.0]), 3).sort()[0],
    "multinomial_many": lambda t: t.multinomial(t.tensor([0.2, 1.0]), 3),
    "multinomial_negative": lambda t: t.multinomial(t.tensor([-1.0, 1.0]), 1),
    "multinomial_zero": lambda t: t.multinomial(t.tensor([0.0, 0.0]), 1, True),
    "multinomial_3d": lambda t: t.multinomial(t.ones(1, 2, 3), 1),
    "multinomial_int": lambda t: t.multinomial(t.tensor([1, 2]), 1),
    "multinomial_none": lambda t: t.multinomial(t.tensor([1.0, 2.0]), 0),
    "multinomial_inf": lambda t: t.multinomial(t.tensor([1.0, float("inf")]), 1),
    "normal": lambda t: t.normal(t.tensor([1.0, 2.0]), t.tensor([0.0, 0.0])),
    "normal_mean": lambda t: t.normal(t.tensor([1.0, 2.0]), 0.0),
    "normal_std": lambda t: t.normal(3.0, t.tensor([0.0])), "normal_size": lambda t: t.normal(2.0, 0.0, (2, 2)),
    "normal_negative": lambda t: t.normal(0.0, -1.0, (2,)),
    "normal_broadcast": lambda t: t.normal(t.ones(2, 1), t.zeros(3)),
    "poisson": lambda t: t.poisson(t.tensor([0.0, 0.0])), "poisson_negative": lambda t: t.poisson(t.tensor([-1.0])),
    "poisson_int": lambda t: t.poisson(t.tensor([1])),
}  # fmt: skip


@pytest.mark.parametrize("name", CREATE)
def test_creation(name):
    same(lambda t: CREATE[name](t))


@pytest.mark.parametrize("a", DTYPES)
def test_dtypes_combine(a):
    for b in DTYPES:
        ours, theirs = [getattr(gf, n) for n in (a, b)], [getattr(torch, n) for n in (a, b)]
        assert str(gf.promote_types(*ours)) == str(torch.promote_types(*theirs)).partition(".")[2]
        assert gf.can_cast(*ours) == torch.can_cast(*theirs)
        for shapes in (((2,), (2,)), ((), (2,)), ((), ())):
            found = gf.result_type(*[gf.zeros(s, dtype=d) for s, d in zip(shapes, ours, strict=True)])
            expected = torch.result_type(*[torch.zeros(s, dtype=d) for s, d in zip(shapes, theirs, strict=True)])
            assert str(found) == str(expected).partition(".")[2]
    for number in (True, 3, 2.5):
        found, expected = (
            gf.result_type(gf.zeros(2, dtype=ours[0]), number),
            torch.result_type(torch.zeros(2, dtype=theirs[0]), number),
        )
        assert str(found) == str(expected).partition(".")[2]


@pytest.mark.parametrize("name", DTYPES[:-1])
def test_limits_of_dtypes(name):
    ours, theirs = getattr(gf, name), getattr(torch, name)
    kind, fields = (
        ("finfo", "bits eps max min tiny smallest_normal resolution")
        if theirs.is_floating_point
        else ("iinfo", "bits max min")
    )
    a, b = getattr(gf, kind)(ours), getattr(torch, kind)(theirs)
    assert [getattr(a, f) for f in fields.split()] == [getattr(b, f) for f in fields.split()] and a.dtype == ours
    assert repr(a) == repr(b) or kind == "iinfo"  # PyTorch shortens the limits of wide integers
    wrong = {"finfo": "iinfo", "iinfo": "finfo"}[kind]
    with pytest.raises(TypeError, match=rf"\[{wrong}\]"):
        getattr(gf, wrong)(ours)


CASTS = ["half", "bfloat16", "float", "double", "char", "short", "int", "long", "byte", "bool"]


@pytest.mark.parametrize("name", CASTS)
def test_casts(name):
    for x in (np.array([0.0, 1.7, -1.7, 100.2]), integers(4), np.array([True, False])):
        if name == "byte" and x.dtype.kind != "b":
            x = np.abs(x)
        same(lambda t, x: getattr(x, name)(), x, rtol=1e-2)
    assert getattr(gf, {"byte": "uint8", "char": "int8"}.get(name, name)) == getattr(gf.ones(1), name)().dtype


ABOUT = {
    "itemsize": lambda x: x.itemsize, "element_size": lambda x: x.element_size(), "nbytes": lambda x: x.nbytes,
    "numel": lambda x: x.numel(), "stride": lambda x: list(x.stride()), "stride_of": lambda x: x.stride(-1),
    "transposed": lambda x: list(x.transpose(0, 1).stride()),
    "contiguous": lambda x: [v.is_contiguous() for v in (x, x.transpose(0, 1), x.transpose(0, 1).contiguous())],
    "nelement": lambda x: x.nelement(), "dim": lambda x: x.dim(), "size": lambda x: list(x.size()),
    "type_as": lambda x: x.type_as(x.long()), "is_floating_point": lambda x: [x.is_floating_point(), x.is_complex()],
}  # fmt: skip


@pytest.mark.parametrize("name", ABOUT)
def test_what_a_tensor_says(name):
    same(lambda t, x: ABOUT[name](x), floats(2, 3, dtype="f4"), grad=False)
    same(lambda t, x: ABOUT[name](x), integers(2, 3, dtype="i1"), grad=False)


def test_memory_formats():
    def run(t, x):
        y = x.contiguous(memory_format=t.channels_last)
        z = x.to(memory_format=t.channels_last)
        return y, list(y.stride()), [v.is_contiguous(memory_format=t.channels_last) for v in (x, y, z)], (y * y).sum()

    same(run, floats(2, 3, 4, 5))
    same(run, floats(2, 3))


def test_questions():
    same(
        lambda t, x: [t.is_tensor(x), t.is_tensor(3), t.is_floating_point(x), t.is_complex(x), t.numel(x)],
        floats(2),
        grad=False,
    )
    same(lambda t, x: t.is_nonzero(x), floats(1), grad=False)
    same(lambda t, x: t.is_nonzero(x), floats(2), grad=False)


# -- in place ---------------------------------------------------------------------------------------------------------

IN_PLACE = [
    "abs_",
    "neg_",
    "square_",
    "reciprocal_",
    "exp_",
    "exp2_",
    "expm1_",
    "log_",
    "log2_",
    "log10_",
    "log1p_",
    "sqrt_",
    "rsqrt_",
    "sin_",
    "cos_",
    "tan_",
    "sinh_",
    "cosh_",
    "tanh_",
    "asin_",
    "acos_",
    "atan_",
    "erf_",
    "erfinv_",
    "floor_",
    "ceil_",
    "round_",
    "trunc_",
    "frac_",
    "relu_",
    "sigmoid_",
    "nan_to_num_",
    "tril_",
    "triu_",
    "zero_",
    "logical_not_",
]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    def run(t, x):
        y = x.clone()
        z = getattr(y, name)()
        return y, z is y

    for x in (
        floats(3, 4),
        np.abs(floats(2, 3, dtype="f4")) + 0.5,
        integers(2, 2),
        np.array([[0.3, np.nan], [np.inf, -0.2]]),
    ):
        same(run, x, grad=False)


WITH_OPERANDS = {
    "div_floor": lambda t, x, y: x.div_(y, rounding_mode="floor"),
    "copy_now": lambda t, x, y: x.copy_(y, non_blocking=True),
    "add": lambda t, x, y: x.add_(y, alpha=2), "sub": lambda t, x, y: x.sub_(y, alpha=0.5),
    "mul": lambda t, x, y: x.mul_(y), "div": lambda t, x, y: x.div_(y), "pow": lambda t, x, y: x.pow_(2),
    "ipow": lambda t, x, y: x.__ipow__(2), "clamp": lambda t, x, y: x.clamp_(-0.5, 0.5),
    "clamp_min": lambda t, x, y: x.clamp_min_(0.1), "lerp": lambda t, x, y: x.lerp_(y, 0.3),
    "addcmul": lambda t, x, y: x.addcmul_(y, y, value=2), "addcdiv": lambda t, x, y: x.addcdiv_(y, y, value=0.5),
    "copy": lambda t, x, y: x.copy_(y), "fill": lambda t, x, y: x.fill_(3),
    "remainder": lambda t, x, y: x.remainder_(0.7), "masked_fill": lambda t, x, y: x.masked_fill_(x > 0, 1.5),
    "fmod": lambda t, x, y: x.fmod_(0.7), "logical_and": lambda t, x, y: x.logical_and_(y),
    "floor_divide": lambda t, x, y: x.floor_divide_(0.3), "clamp_tensor": lambda t, x, y: x.clamp_(max=y),
    "iadd": lambda t, x, y: x.__iadd__(y),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_OPERANDS)
def test_in_place_with_operands(name):
    def run(t, x, y):
        z = x.clone()
        return WITH_OPERANDS[name](t, z, y), z

    for pair in ((floats(2, 3), floats(2, 3, seed=1)), (floats(2, 3), floats(3, seed=1)), (floats(3), floats(2, 3)),
                 (floats(2, dtype="f4"), floats(2)), (integers(3), floats(3)), (integers(3),) * 2):  # fmt: skip
        if name != "lerp" or pair[0].dtype == pair[1].dtype:  # PyTorch refuses to mix dtypes there
            same(run, *pair, grad=False)


def test_leaves_in_a_graph_are_protected():
    for call in (
        lambda x: x.exp_(),
        lambda x: x.normal_(),
        lambda x: x.clamp_(0, 1),
        lambda x: x.uniform_(),
        lambda x: x.fill_(1),
    ):
        same(lambda t, x, call=call: call(x), floats(3))  # requires grad: refused by both


def test_detach_in_place():
    same(lambda t, x: [(x * 2).detach_().requires_grad, (x * 2).detach_().is_leaf], floats(2))


RANDOM = {
    "uniform_": ((2.0, 2.0),), "normal_": ((3.0, 0.0),), "bernoulli_": ((1.0,), (0.0,)), "random_": ((3, 4), (1,)),
    "log_normal_": (), "exponential_": (), "geometric_": (), "cauchy_": (),
}  # fmt: skip


@pytest.mark.parametrize("name", RANDOM)
def test_random_in_place(name):
    for args in RANDOM[name]:
        same(lambda t, x: getattr(x, name)(*args), floats(2, 3), grad=False)  # noqa: B023
        same(lambda t, x: getattr(x, name)(*args), floats(2, 3, dtype="f2"), grad=False)  # noqa: B023
    same(lambda t, x: getattr(x, name)(*(1.5, -1.0)) is None, floats(2), grad=False)
    rest = {"geometric_": (0.3,)}.get(name, ())
    same(lambda t, x: getattr(x, name)(*rest).shape, floats(2), grad=False)
    same(lambda t, x: getattr(x, name)(*rest).shape, integers(2), grad=False)
