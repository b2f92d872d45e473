"""Reductions, scans and sorting: what is refused and in which words, and that overflow is silent."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.autograd.value import TransformError

INF = float("inf")


@pytest.mark.parametrize("values", [[INF, -INF, 1.0], [3e38, 3e38, 3e38], [INF, 0.0, INF], [float("nan"), 1.0, INF]])
@pytest.mark.parametrize(
    "name",
    [
        "sum", "mean", "prod", "var", "std", "norm", "nansum", "nanmean", "max", "amin", "argmax", "any", "logsumexp",
        "cumsum", "cumprod", "cummax", "logcumsumexp", "diff", "sort", "median", "quantile", "topk", "mode", "softmax",
    ],
)  # fmt: skip
def test_numpy_does_not_warn(name: str, values: list[float]) -> None:
    arguments = {"quantile": (0.3,), "topk": (2,)}
    along = ("logsumexp", "cumsum", "cumprod", "cummax", "logcumsumexp", "softmax")
    x = gf.tensor(values, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gf_filter()
        out = getattr(gf, name)(x, *arguments.get(name, (0,) if name in along else ()))
        y = out[0] if isinstance(out, tuple) else out
        if y.requires_grad:
            y.sum().backward()


def gf_filter() -> None:
    """What `import gradflow` sets, which catch_warnings took away."""
    text = r".*(overflow|underflow|divide by zero|invalid value)"
    warnings.filterwarnings("ignore", text, RuntimeWarning, r"gradflow\.")


X = gf.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: gf.sum(X, 2), IndexError, r"\[sum\] dim 2 is out of range for x \(2, 3\)"),
        (lambda: gf.amax(X[:0]), ValueError, r"\[amax\] over an empty tensor"),
        (lambda: gf.max(X[:0], 0), ValueError, r"\[max\] over dimensions of size 0 \(\(0,\)\) .* \(0, 3\)"),
        (lambda: gf.max(X, keepdim=True), TypeError, r"\[max\] keepdim needs a dim; amax"),
        (lambda: gf.mean(X.long()), TypeError, r"\[mean\] needs a floating tensor, got int64; pass dtype"),
        (lambda: gf.std(X.long()), TypeError, r"\[std\] needs a floating tensor, got int64"),
        (lambda: gf.var(X, unbiased=True, correction=1), TypeError, r"\[var\] give unbiased or correction, not both"),
        (lambda: gf.norm(X, "max"), ValueError, r"\[norm\] p must be a number, 'fro' or 'nuc', got 'max'"),
        (lambda: gf.norm(X[0], "nuc"), ValueError, r"\[norm\] with p='nuc', x must be a matrix"),
        (lambda: gf.norm(X[:0], INF), ValueError, r"\[norm\] over an empty tensor"),
        (lambda: gf.topk(X, 4), ValueError, r"\[topk\] k is 4, and dim -1 of x \(2, 3\) has 3 elements"),
        (lambda: gf.kthvalue(X, 0), ValueError, r"\[kthvalue\] k is 0"),
        (lambda: gf.median(X[:0], 0), IndexError, r"\[median\] over dim 0 of size 0"),
        (lambda: gf.quantile(X, 1.5), ValueError, r"\[quantile\] q must be between 0 and 1, got 1.5"),
        (lambda: gf.quantile(X, [0.5]), TypeError, r"\[quantile\] q must be a number or a tensor, got \[0.5\]"),
        (lambda: gf.quantile(X, 0.5, interpolation="cubic"), ValueError, r"interpolation must be one of"),
        (lambda: gf.bincount(X), ValueError, r"\[bincount\] needs a 1-d tensor of integers, got \(2, 3\) float32"),
        (lambda: gf.bincount(gf.tensor([1, -2])), ValueError, r"\[bincount\] needs integers from 0, got -2"),
        (lambda: gf.histc(X * INF), ValueError, r"\[histc\] the range from inf to inf is not finite"),
        (lambda: gf.histc(X, 3, 2, 1), ValueError, r"\[histc\] needs bins > 0 and min <= max"),
        (lambda: gf.searchsorted(X, X[:, :1].T), ValueError, r"\[searchsorted\] .* \(sequences \(2, 3\), values"),
        (lambda: gf.searchsorted(X[0], X, side="middle"), ValueError, r"side must be 'left' or 'right'"),
        (lambda: gf.bucketize(X, X), ValueError, r"\[bucketize\] boundaries must be 1-d, got \(2, 3\)"),
        (lambda: gf.diff(X[0, 0]), ValueError, r"\[diff\] needs a tensor of at least one dimension"),
        (lambda: gf.diff(X, -1), ValueError, r"\[diff\] n must not be negative, got -1"),
        (lambda: gf.trapezoid(X, X[0], dx=1.0), TypeError, r"\[trapezoid\] give x or dx, not both"),
        (lambda: gf.trapezoid(X, X[0, :2]), ValueError, r"\[trapezoid\] x \(2,\) must have as many elements"),
        (lambda: gf.cov(X[None]), ValueError, r"\[cov\] needs at most 2 dimensions, got x \(1, 2, 3\)"),
        (lambda: gf.cov(X, fweights=gf.ones(2)), ValueError, r"\[cov\] fweights \(2,\) must be \(n,\)"),
        (lambda: gf.unique(X[:, :0], dim=0), ValueError, r"\[unique\] slices along dim 0 hold nothing to compare"),
    ],
)  # fmt: skip
def test_refusals(call: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize(
    "function", [gf.unique, gf.unique_consecutive, gf.bincount, lambda x: gf.bincount(x, minlength=9),
                 lambda x: gf.histc(x.float(), 3)]
)  # fmt: skip
def test_results_of_unknown_shape_are_refused_under_vmap(function: Callable[..., Any]) -> None:
    with pytest.raises(TransformError, match="vmap maps over an operand"):
        gf.func.vmap(function)(gf.tensor([[1, 2], [2, 2]]))


def test_results_have_names() -> None:
    assert X.max(0).values.tolist() == [4.0, 5.0, 6.0]
    assert X.sort(1, descending=True).indices.tolist() == [[2, 1, 0]] * 2
    smallest, largest = X.aminmax(dim=0)
    assert (smallest.tolist(), largest.tolist()) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert X.aminmax().max.item() == 6.0
    values, indices = X.topk(2)
    assert (values.tolist(), indices.tolist()) == ([[3.0, 2.0], [6.0, 5.0]], [[2, 1]] * 2)


def test_numpys_words() -> None:
    assert X.cumsum(axis=0).tolist() == X.cumsum(0).tolist()
    assert X.std(axis=1, keepdims=True).shape == (2, 1)
    assert X.quantile(0.5, axis=1, keepdims=True).shape == (2, 1)


def test_nanmean_of_16_bits_does_not_overflow() -> None:
    assert gf.nanmean(gf.full((1000,), 100.0, dtype=gf.float16)).item() == 100.0


def test_third_derivative_of_a_product_with_zeros() -> None:
    """x y z at 0: all derivatives but the third mixed ones are 0."""
    found = gf.func.jacfwd(gf.func.jacrev(gf.func.grad(gf.prod)))(gf.zeros(3, dtype=gf.float64)).numpy()
    expected = np.zeros((3, 3, 3))
    for i, j, k in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]:
        expected[i, j, k] = 1
    assert np.array_equal(found, expected)
