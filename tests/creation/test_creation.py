"""Creation: memory that is shared or not, devices, requires_grad, and what is refused in which words."""

import math

import numpy as np
import pytest

import gradflow as gf


def test_asarray_shares_where_it_may():
    array, x = np.ones(2, "f4"), gf.ones(2, requires_grad=True)
    shared, copied = gf.asarray(array), gf.asarray(array, copy=True)
    array[0] = 5
    assert shared[0].item() == 5 and copied[0].item() == 1
    assert gf.asarray(x).data_ptr() == x.data_ptr() and gf.asarray(x).is_leaf and not gf.asarray(x).requires_grad
    assert gf.asarray(array, copy=False).data_ptr() == array.__array_interface__["data"][0]
    for call in (lambda: gf.asarray([1.0], copy=False), lambda: gf.asarray(array, dtype=gf.float64, copy=False)):
        with pytest.raises(ValueError, match=r"\[asarray\] cannot share the memory"):
            call()
    assert gf.asarray([1.0], requires_grad=True).requires_grad


LIKE = {
    "zeros_like": gf.zeros_like, "ones_like": gf.ones_like, "empty_like": gf.empty_like, "rand_like": gf.rand_like,
    "randn_like": gf.randn_like, "full_like": lambda x, **k: gf.full_like(x, 2, **k),
    "randint_like": lambda x, **k: gf.randint_like(x, 3, **k), "new_zeros": lambda x, **k: x.new_zeros(x.shape, **k),
    "new_ones": lambda x, **k: x.new_ones(*x.shape, **k), "new_full": lambda x, **k: x.new_full(x.shape, 1.5, **k),
    "new_empty": lambda x, **k: x.new_empty(x.shape, **k),
    "new_tensor": lambda x, **k: x.new_tensor(np.ones((2, 3)), **k),
}  # fmt: skip


@pytest.mark.parametrize("name", LIKE)
def test_new_tensors_are_like_the_old(name, fake_cuda):
    x = gf.ones(2, 3, dtype=gf.float64, device="cuda:1")
    for options, dtype, device in (
        ({}, "float64", "cuda:1"),
        ({"dtype": gf.float32, "device": "cpu"}, "float32", "cpu"),
    ):
        y = LIKE[name](x, **options)
        assert y.shape == (2, 3) and str(y.dtype) == dtype and str(y.device) == device and not y.requires_grad
    assert LIKE[name](x, requires_grad=True).requires_grad
    with pytest.raises(TypeError, match=r"only floating tensors can require gradients|makes floating numbers"):
        LIKE[name](x, dtype=gf.int64, requires_grad=True)


@pytest.mark.parametrize("dtype", [None, gf.float64])
@pytest.mark.parametrize("device", [None, "cuda:0", "cpu"])
def test_copies_of_device_arrays_are_made_where_they_are_wanted(fake_cuda, device, dtype):
    array = gf.ones(2, device="cuda:1").below
    x = gf.tensor(array, device=device, dtype=dtype)
    assert str(x.device) == (device or "cuda:1") and x.dtype == (dtype or gf.float32)
    assert x.tolist() == [1.0, 1.0] and x.below is not array


@pytest.mark.parametrize("dtype", ["complex64", "float128", "U3", "object"])
def test_dtypes_that_no_tensor_holds_are_refused(dtype):
    for call in (
        lambda: gf.zeros(2, dtype=dtype),
        lambda: gf.tensor([1.0], dtype=dtype),
        lambda: gf.ones(1).to(dtype=dtype),
    ):
        with pytest.raises(TypeError, match=f"cannot hold .*{dtype[-3:]}|cannot hold"):
            call()


REFUSED = {
    r"\[arange\] step must not be 0": lambda: gf.arange(0, 1, 0),
    r"\[arange\] steps of 1 lead away from end \(start 3, end 1\)": lambda: gf.arange(3, 1),
    r"\[arange\] bounds must be finite": lambda: gf.arange(0, math.nan),
    r"\[linspace\] sizes must not be negative, got \(-1,\)": lambda: gf.linspace(0, 1, -1),
    r"\[linspace\] bounds must be numbers, got 'a'": lambda: gf.linspace("a", 1, 2),
    r"\[zeros\] sizes must not be negative, got \(-1,\)": lambda: gf.zeros(-1),
    r"\[eye\] sizes must not be negative": lambda: gf.eye(-1),
    r"\[rand\] sizes must not be negative, got \(3, -1\)": lambda: gf.nn.Linear(-1, 3),
    r"\[full\] fill_value must be a number, got a tensor \(2,\)": lambda: gf.full((1,), gf.ones(2)),
    r"\[full\] fill_value must be a number, got \(1\+2j\)": lambda: gf.full((1,), 1 + 2j),
    r"\[full\] cannot convert float NaN to integer": lambda: gf.full((1,), math.nan, dtype=gf.int32),
    r"\[tensor\] cannot hold object data": lambda: gf.tensor([None], dtype=gf.float32),
    r"\[tensor\] Python integer 300 out of bounds for uint8": lambda: gf.tensor([300], dtype=gf.uint8),
    r"\[zeros\] sizes must be integers": lambda: gf.zeros((2,), size=(2,)),
    r"\[linspace\] numbers from 0.0 to 300.0 do not fit into uint8": lambda: gf.linspace(0, 300, 4, dtype=gf.uint8),
    r"\[randperm\] integers from 0 to 299 do not fit into uint8": lambda: gf.randperm(300, dtype=gf.uint8),
    r"\[randint\] integers from 0 to 69999 do not fit into float16": lambda: gf.randint(70000, (1,), dtype=gf.float16),
    r"\[normal\] the shapes do not broadcast \(mean \(2,\), std \(3,\)\)": lambda: gf.normal(gf.ones(2), gf.ones(3)),
    r"\[bernoulli\] expected a tensor, got list": lambda: gf.bernoulli([0.5]),
    r"\[scalar_tensor\] expected a number": lambda: gf.scalar_tensor([1.0]),
    r"\[dtype\] no dtype was given": lambda: gf.promote_types(gf.float32, None),
    r"\[dtype\] data type 'foo' not understood": lambda: gf.zeros(1, dtype="foo"),
    r"\[stride\] dim 2 is out of range": lambda: gf.ones(1).stride(2),
    r"\[numel\] expected a tensor, got int": lambda: gf.numel(3),
    r"\[fill_\] value must be a number or a 0-d tensor": lambda: gf.ones(2).fill_(gf.ones(2)),
    r"\[add_\] expected a tensor, an array or a number, got list": lambda: gf.ones(2).add_([1, 2], alpha=2),
    r"\[setitem\] expected a tensor, an array or a number, got NoneType": lambda: gf.ones(2).__setitem__(0, None),
    r"\[setitem\] a list that is no array": lambda: gf.ones(2).__setitem__(0, [[1], [1, 2]]),
    r"\[add_\] Python integer 300 out of bounds for uint8 \(x \(2,\) uint8": lambda: gf.ones(2, dtype=gf.uint8).add_(
        300
    ),
    r"\[zeros_like\] expected a tensor, got int": lambda: gf.zeros_like(3),
    r"\[randint\] needs a size": lambda: gf.randint(3),
    r"\[randint\] integers from 0 to 299 do not fit into uint8": lambda: gf.randint(0, 300, (1,), dtype=gf.uint8),
    r"\[bernoulli\] probabilities must be in \[0, 1\], got 1.5 to 1.5": lambda: gf.bernoulli(gf.tensor([1.5])),
    r"\[bernoulli\] expected floating probabilities, got \(1,\) int64": lambda: gf.bernoulli(gf.tensor([1])),
    r"\[multinomial\] cannot draw 2 of 1 categories without replacement": lambda: gf.multinomial(
        gf.tensor([0.0, 1.0]), 2
    ),
    r"\[multinomial\] weights must be finite and not negative": lambda: gf.multinomial(gf.tensor([-1.0, 1.0]), 2),
    r"\[normal\] needs a size where mean and std are numbers": lambda: gf.normal(0.0, 1.0),
    r"\[normal\] std must not be negative, got -1": lambda: gf.normal(0.0, -1.0, (1,)),
    r"\[normal\] tensors give the size": lambda: gf.normal(gf.ones(1), 1.0, (1,)),
    r"\[poisson\] rates must be from 0 to 9e18": lambda: gf.poisson(gf.tensor([-1.0])),
    r"\[tensor\] integers beyond 2\*\*63 - 1": lambda: gf.tensor([2**63]),
    r"\[to\] expected a device, a dtype or a tensor, got list": lambda: gf.ones(1).to([]),
    r"\[uniform_\] the range from 2 to 1 is empty": lambda: gf.ones(1).uniform_(2, 1),
    r"\[normal_\] makes floating numbers, the tensor is int64": lambda: gf.tensor([1]).normal_(),
    r"\[exponential_\] lambd must be positive": lambda: gf.ones(1).exponential_(0),
    r"\[exp_\] a result of float32 does not fit into a tensor of int64": lambda: gf.tensor([1]).exp_(),
    r"\[lerp_\] the result \(2, 3\) does not fit into x \(3,\)": lambda: gf.ones(3).lerp_(gf.ones(2, 3), 0.5),
    r"\[exp_\] a leaf that requires grad": lambda: gf.ones(1, requires_grad=True).exp_(),
    r"\[normal_\] a leaf that requires grad": lambda: gf.ones(1, requires_grad=True).normal_(),
    r"\[clamp_\] a value that requires grad": lambda: gf.ones(1).clamp_(min=gf.ones(1, requires_grad=True)),
    r"\[set_printoptions\] profile must be one of": lambda: gf.set_printoptions(profile="long"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    with pytest.raises((ValueError, TypeError, IndexError, RuntimeError, OverflowError), match=message):
        REFUSED[message]()


def test_weights_decide_what_is_drawn():
    generator, weights = gf.Generator(0), gf.tensor([[1.0, 0.0, 3.0], [5.0, 5.0, 0.0]])
    drawn = gf.multinomial(weights, 20_000, replacement=True, generator=generator).numpy()
    shares = np.stack([np.bincount(row, minlength=3) for row in drawn]) / 20_000
    np.testing.assert_allclose(shares, [[0.25, 0, 0.75], [0.5, 0.5, 0]], atol=0.015)
    firsts = gf.multinomial(gf.tensor([1.0, 2.0, 1.0]).expand(20_000, 3), 3, generator=generator).numpy()
    assert (np.sort(firsts, 1) == [0, 1, 2]).all()
    np.testing.assert_allclose(np.bincount(firsts[:, 0]) / 20_000, [0.25, 0.5, 0.25], atol=0.015)


FILL = {  # mean, variance
    "uniform_": ((-1.0, 3.0), 1.0, 4 / 3), "normal_": ((2.0, 0.5), 2.0, 0.25), "exponential_": ((4.0,), 0.25, 1 / 16),
    "bernoulli_": ((0.3,), 0.3, 0.21),
    "geometric_": ((0.25,), 4.0, 12.0),
    "log_normal_": ((0.0, 0.5), math.exp(0.125), (math.exp(0.25) - 1) * math.exp(0.25)),
    "random_": ((0, 7), 3.0, 4.0),
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "emulated"])
@pytest.mark.parametrize("name", FILL)
def test_random_numbers_in_place(name, device):
    args, mean, variance = FILL[name]
    x = gf.zeros(200, 100, dtype=gf.float64, device=device)
    assert getattr(x, name)(*args, generator=gf.Generator(1)) is x
    drawn = x.numpy()
    assert abs(drawn.mean() - mean) < 0.05 * max(variance**0.5, 0.5) and abs(drawn.var() / variance - 1) < 0.06
    np.testing.assert_allclose(
        getattr(gf.zeros(200, 100, dtype=gf.float64), name)(*args, generator=gf.Generator(1)).numpy(), drawn, rtol=1e-6
    )
    gf.manual_seed(1)
    np.testing.assert_allclose(getattr(gf.zeros(200, 100, dtype=gf.float64), name)(*args).numpy(), drawn, rtol=1e-6)


def test_other_distributions():
    gf.manual_seed(2)
    rates = gf.poisson(gf.full((20_000,), 3.5)).numpy()
    assert abs(rates.mean() - 3.5) < 0.05 and abs(rates.var() - 3.5) < 0.15 and rates.dtype == np.float32
    x = gf.normal(gf.tensor([0.0, 10.0]).expand(10_000, 2), gf.tensor([1.0, 0.1])).numpy()
    np.testing.assert_allclose([x.mean(0), x.std(0)], [[0, 10], [1, 0.1]], atol=0.03)
    assert abs(gf.bernoulli(gf.full((10_000,), 0.2)).mean().item() - 0.2) < 0.02
    assert np.median(gf.zeros(9999).cauchy_(3.0).numpy()) == pytest.approx(3, abs=0.1)
    assert (
        gf.zeros(100, dtype=gf.int8).random_().numpy().max() > 60 and gf.zeros(10_000).exponential_().numpy().min() > 0
    )


def test_random_operations_under_vmap():
    x = gf.full((3, 400), 0.5)
    each = gf.func.vmap(gf.bernoulli, randomness="different")(x).numpy()
    same = gf.func.vmap(gf.bernoulli, randomness="same")(x).numpy()
    assert not np.array_equal(each[0], each[1]) and np.array_equal(same[0], same[1]) and set(each.ravel()) == {0.0, 1.0}
    with pytest.raises(RuntimeError, match="randomness='different'"):
        gf.func.vmap(gf.rand_like)(x)


def test_every_twin_in_place_has_a_function():
    twins = [name for name in dir(gf.Tensor) if name.endswith("_") and not name.endswith("__") and name != "size_"]
    own = "add sub mul div copy fill zero requires_grad detach uniform normal log_normal exponential cauchy geometric "
    own += "bernoulli random"
    missing = [name for name in twins if name[:-1] not in own.split() and not hasattr(gf, name[:-1])]
    assert len(twins) > 60 and missing == []


def test_changes_in_place_are_noticed_by_a_backward_pass():
    x, kept = gf.ones(3, requires_grad=True), gf.ones(3)
    y = (x * kept).sum()
    kept.exp_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_changes_in_place_round_as_results_do(name, dtype):
    pytest.importorskip("ml_dtypes")
    x = gf.linspace(-2, 3, 50, dtype=dtype)
    for other in (0.3, gf.tensor(0.3, dtype=gf.float64)):
        assert getattr(x.clone(), f"{name}_")(other).tolist() == getattr(x, name)(other).tolist()


def test_lists_of_different_kinds_have_the_dtype_that_holds_all():
    for dtype, data, expected in (
        (gf.float32, [[gf.tensor(1), 2.5], [True, 3]], [[1, 2.5], [1, 3]]),
        (gf.float64, [[1, 2.5], [np.float64(2.5), np.int8(1)]], [[1, 2.5], [2.5, 1]]),
        (gf.int64, [gf.tensor(7, dtype=gf.int8), 300], [7, 300]),
    ):
        x = gf.tensor(data)
        assert x.dtype == dtype and x.tolist() == expected
