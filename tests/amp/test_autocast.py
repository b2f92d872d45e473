"""Autocast: which precision what is computed in, regions, threads, and training with a scaled loss."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.amp.autocast_mode import FOLLOWING, LOW, REGIONS, WIDE
from gradflow.autograd.primitive import PRIMITIVES, casting

F = gf.nn.functional
HALF = gf.float16


def region(**given: Any) -> gf.autocast:
    return gf.autocast("cpu", dtype=HALF, **given)


def test_the_lists_name_primitives() -> None:
    assert {*FOLLOWING, *LOW, *WIDE} - {"linear"} <= set(PRIMITIVES)


X, W, IMAGE, KERNEL = gf.ones(4, 3), gf.ones(3, 3), gf.ones(2, 3, 5, 5), gf.ones(6, 3, 3, 3)
LOW_CASES: dict[str, Any] = {
    "matmul": lambda x: x(X) @ x(W),
    "vectors": lambda x: gf.matmul(x(X)[0], x(W)[0]),
    "batches": lambda x: gf.matmul(x(IMAGE), x(IMAGE)),
    "linear": lambda x: F.linear(x(X), x(W), x(gf.ones(3))),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x(IMAGE), x(KERNEL[:3]), x(gf.ones(3))),
    "conv2d": lambda x: F.conv2d(x(IMAGE), x(KERNEL), x(gf.ones(6))),
}
WIDE_CASES: dict[str, Any] = {
    "exp": lambda x: gf.exp(x(X)),
    "log": lambda x: x(X).log(),
    "pow": lambda x: x(X) ** 2.5,
    "softmax": lambda x: F.softmax(x(X), 1),
    "log_softmax": lambda x: F.log_softmax(x(X), 1),
    "cross_entropy": lambda x: F.cross_entropy(x(X), gf.tensor([0, 1, 2, 0])),
    "layer_norm": lambda x: F.layer_norm(x(X), (3,)),
    "batch_norm": lambda x: F.batch_norm(x(X), None, None, training=True),
    "sum": lambda x: x(X).sum(1),
    "cumsum": lambda x: x(X).cumsum(0),
}
SAME_CASES: dict[str, Any] = {
    "relu": lambda x: gf.relu(x(X)),
    "add": lambda x: x(X) + x(X),
    "max_pool2d": lambda x: F.max_pool2d(x(IMAGE), 2),
    "reshape": lambda x: x(X).reshape(12),
    "cat": lambda x: gf.cat([x(X), x(X)]),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", [*LOW_CASES, *WIDE_CASES, *SAME_CASES])
def test_dtypes(name: str, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    kind = getattr(gf, dtype)
    run = {**LOW_CASES, **WIDE_CASES, **SAME_CASES}[name]
    expected = kind if kind == gf.float64 or name in SAME_CASES else HALF if name in LOW_CASES else gf.float32
    with region():
        assert run(lambda t: t.to(kind)).dtype == expected
    assert run(lambda t: t.to(kind)).dtype == kind


def test_mixed_operands_widen() -> None:
    with region():
        y = X @ W
        assert (y + X).dtype == gf.float32 and gf.cat([y, X]).dtype == gf.float32
        assert (y * 2.0).dtype == HALF and gf.where(y > 0, y, X).dtype == gf.float32
        assert (X @ np.ones((3, 2), "f4")).dtype == HALF


def test_values_are_those_of_casts_by_hand() -> None:
    gf.manual_seed(0)
    x, w, b = gf.randn(5, 7), gf.randn(4, 7, requires_grad=True), gf.randn(4, requires_grad=True)
    with region():
        y = F.linear(x, w, b)
    expected = F.linear(x.half(), w.half(), b.half())
    assert np.array_equal(y.detach().numpy(), expected.detach().numpy())
    cotangent = gf.randn(5, 4, dtype=HALF)
    found = gf.autograd.grad(y, [w, b], cotangent)
    for g, h in zip(found, gf.autograd.grad(expected, [w, b], cotangent), strict=True):
        assert g.dtype == gf.float32 and np.array_equal(g.numpy(), h.numpy())


LOSSES: dict[str, Any] = {
    "mse_loss": lambda a, b: F.mse_loss(a, b),
    "kl_div": lambda a, b: F.kl_div(a, b),
    "huber_loss": lambda a, b: F.huber_loss(a, b, delta=300.0),
    "gaussian_nll_loss": lambda a, b: F.gaussian_nll_loss(a, b, gf.ones(2, dtype=HALF)),
    "triplet_margin_loss": lambda a, b: F.triplet_margin_loss(a, b, -b),
    "cosine_embedding_loss": lambda a, b: F.cosine_embedding_loss(a[None], b[None], gf.tensor([1.0])),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_do_not_overflow(name: str) -> None:
    a, b = gf.tensor([-300.0, 200.0], dtype=HALF), gf.tensor([300.0, 100.0], dtype=HALF)
    with region():
        found = LOSSES[name](a, b)
    assert found.dtype == gf.float32
    expected = LOSSES[name](a.float(), b.float()).item()
    assert np.isfinite(expected)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_regions_nest_and_end() -> None:
    assert not gf.is_autocast_enabled() and casting[0] is None
    with region() as outer:
        assert gf.is_autocast_enabled("cpu") and not gf.is_autocast_enabled("cuda")
        with region(enabled=False):
            assert not gf.is_autocast_enabled() and (X @ W).dtype == gf.float32
            with outer:
                assert (X @ W).dtype == HALF
            assert (X @ W).dtype == gf.float32
        with gf.autocast("cuda"):
            assert (X @ W).dtype == HALF and gf.get_autocast_dtype("cuda") == HALF
        with pytest.raises(ZeroDivisionError), region(enabled=False):
            raise ZeroDivisionError
        assert (X @ W).dtype == HALF and gf.get_autocast_dtype("cpu") == HALF
        assert not REGIONS.kept  # only casts of what requires grad are
    assert (X @ W).dtype == gf.float32 and casting[0] is None


def test_devices_are_left_alone_that_are_not_named() -> None:
    with gf.autocast("cuda"):
        assert (X @ W).dtype == gf.float32


def test_as_a_decorator() -> None:
    @region()
    def product(n: int) -> Any:
        """Down to nothing."""
        return X @ W if n == 0 else product(n - 1)

    assert product(2).dtype == HALF and product.__doc__ == "Down to nothing." and not gf.is_autocast_enabled()


def test_threads_have_regions_of_their_own() -> None:
    found: list[Any] = []

    def work() -> None:
        found.append((X @ W).dtype)
        with gf.autocast("cpu", dtype=HALF):
            found.append((X @ W).dtype)

    with region():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert (X @ W).dtype == HALF
    assert found == [gf.float32, HALF]


def nodes(y: Any) -> list[str]:
    found, stack = set(), [y.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found.add(node)
            stack += [e[0] if isinstance(e, tuple) else e for e in node.edges if not hasattr(e, "grad")]
    return [n.name() for n in found]


@pytest.mark.parametrize("keep", [True, False])
def test_a_weight_is_cast_once(keep: bool) -> None:
    w = gf.randn(3, 3, requires_grad=True)
    with region(cache_enabled=keep):
        y = F.linear(F.linear(X.half(), w), w)
        with region():
            y = y @ w
    assert nodes(y).count("astype") == (1 if keep else 3) and not REGIONS.kept
    y.sum().backward()
    assert w.grad.dtype == gf.float32


def test_a_kept_cast_does_not_outlive_its_weight() -> None:
    w = gf.ones(3, 3, requires_grad=True)
    with region():
        with gf.no_grad():
            assert not (X @ w).requires_grad
        y = X @ w
        assert y.requires_grad
        y.sum().backward()
        with gf.no_grad():
            w.mul_(2)
        z = X @ w
        z.sum().backward()
    assert z[0, 0].item() == 6.0 and w.grad.tolist() == [[8.0] * 3] * 3


def test_transforms_and_higher_derivatives() -> None:
    x, w = gf.randn(4, 3), gf.randn(3, 3)
    with region():
        y = gf.func.vmap(lambda row: row @ w)(x)
        assert y.dtype == HALF
        g = gf.func.grad(lambda w: ((x @ w) ** 2).sum())(w)
        value, tangent = gf.func.jvp(lambda w: x @ w, (w,), (w,))
    assert g.dtype == gf.float32 and (value.dtype, tangent.dtype) == (HALF, HALF)
    np.testing.assert_allclose(g.numpy(), 2 * x.numpy().T @ (x.numpy() @ w.numpy()), rtol=2e-2, atol=2e-2)
    v = w.requires_grad_()
    with region():
        loss = ((x @ v) ** 2).sum()
    (first,) = gf.autograd.grad(loss, v, create_graph=True)
    (second,) = gf.autograd.grad(first.sum(), v)
    expected = 2 * x.numpy().T @ x.numpy() @ np.ones((3, 3))
    np.testing.assert_allclose(second.numpy(), expected, rtol=2e-2, atol=2e-2)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[autocast\] device_type must be 'cpu', 'cuda', 'emulated', got 'tpu'"):
        gf.autocast("tpu")
    with pytest.raises(ValueError, match=r"\[autocast\] dtype must be float16 or bfloat16, got float64"):
        gf.autocast("cpu", dtype=gf.float64)


def test_bfloat16_without_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r"\[autocast\] bfloat16 needs the package ml_dtypes.*dtype=gf.float16"):
        gf.autocast("cpu")
    with region():
        assert (X @ W).dtype == HALF
    with gf.autocast("cpu", enabled=False):
        assert (X @ W).dtype == gf.float32
