"""What the table's cases should compute, in NumPy and as plainly as possible."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2, otypes=["f8"])(x)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * normal_cdf(x)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def slope(f: Any, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """f'(x) of an elementwise function, from six points, in O(h^6)."""
    first, second, third = [(f(x + k * h) - f(x - k * h)) / (2 * k * h) for k in (1, 2, 3)]
    return (15 * first - 6 * second + third) / 10


def bias_act(x: np.ndarray, bias: np.ndarray, activation: Any, axis: int = 1) -> np.ndarray:
    """activation(x + bias along an axis)."""
    return activation(x + np.expand_dims(bias, tuple(range(1, x.ndim - axis))))


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.0)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def scatter(g: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of `shape` with g added at an index."""
    out = np.zeros(shape)
    np.add.at(out, index, g)
    return out


def place(g: np.ndarray, index: np.ndarray, axis: int, n: int) -> np.ndarray:
    """Zeros with g put where `index` says along a new axis of size n."""
    out = np.zeros((*g.shape[:axis], n, *g.shape[axis:]))
    np.put_along_axis(out, np.expand_dims(index, axis), np.expand_dims(g, axis), axis)
    return out


def conv2d(
    x: np.ndarray, w: np.ndarray, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> np.ndarray:
    """Convolution, one output pixel at a time; padding is (top, left), or ((top, bottom), (left, right))."""
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    rows, cols = [pair(p) for p in pair(padding)]
    x = np.pad(x, ((0, 0), (0, 0), rows, cols))
    k, cg, r, s = w.shape
    high = (x.shape[2] - dh * (r - 1) - 1) // sh + 1
    wide = (x.shape[3] - dw * (s - 1) - 1) // sw + 1
    y = np.zeros((x.shape[0], k, high, wide))
    for out in range(k):
        first = out // (k // groups) * cg
        for i in range(high):
            for j in range(wide):
                top, left = i * sh, j * sw
                rows_seen = slice(top, top + dh * (r - 1) + 1, dh)
                cols_seen = slice(left, left + dw * (s - 1) + 1, dw)
                window = x[:, first : first + cg, rows_seen, cols_seen]
                y[:, out, i, j] = (window * w[out]).sum(axis=(1, 2, 3))
    return y if b is None else y + b[:, None, None]


def conv2d_adjoint(
    g: np.ndarray, other: np.ndarray, shape: tuple[int, ...], which: str, **options: Any
) -> np.ndarray:  # fmt: skip
    """The cotangent of conv2d's x or w, one element at a time, by linearity: <conv2d(e, other), g>."""
    out = np.zeros(shape)
    for at in np.ndindex(shape):
        unit = np.zeros(shape)
        unit[at] = 1
        y = conv2d(unit, other, **options) if which == "x" else conv2d(other, unit, **options)
        out[at] = (y * g).sum()
    return out


def windows(
    x: np.ndarray, kernel: Any, stride: Any, padding: Any, dilation: Any, out: tuple[int, int], fill: float
) -> np.ndarray:  # fmt: skip
    """(N, C, *out, R * S): what each pooling window sees."""
    (r, s), (sh, sw), (p, q), (dh, dw) = pair(kernel), pair(stride), pair(padding), pair(dilation)
    n, c, h, w = x.shape
    seen = np.full((n, c, *out, r * s), fill)
    for i in range(out[0]):
        for j in range(out[1]):
            for k in range(r * s):
                row, col = i * sh + k // s * dh - p, j * sw + k % s * dw - q
                if 0 <= row < h and 0 <= col < w:
                    seen[:, :, i, j, k] = x[:, :, row, col]
    return seen


def max_pool2d(
    x: np.ndarray, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> np.ndarray:
    """Max pooling, one window at a time."""
    stride = kernel if stride is None else stride
    out = pool_size(x, kernel, stride, padding, dilation, ceil_mode)
    return windows(x, kernel, stride, padding, dilation, out, -np.inf).max(axis=-1)


def pool_size(x: np.ndarray, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> tuple[int, int]:
    """How many windows fit."""
    out = []
    for n, k, s, p, d in zip(x.shape[2:], pair(kernel), pair(stride), pair(padding), pair(dilation), strict=True):
        starts = range(-p, n + (p if not ceil_mode else 0), s)  # ceil_mode: any window that starts inside
        ends = n + p - d * (k - 1) + (s - 1 if ceil_mode else 0)
        out.append(len([a for a in starts if a < ends]))
    return out[0], out[1]


def avg_pool2d(
    x: np.ndarray,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> np.ndarray:
    """Average pooling, one window at a time: what ceil_mode adds beyond the padding never counts."""
    stride = kernel if stride is None else stride
    out, (p, q) = pool_size(x, kernel, stride, padding, 1, ceil_mode), pair(padding)
    ones = np.ones((1, 1, *x.shape[2:]))
    counted = windows(ones, kernel, stride, padding, 1, out, 0.0)
    if count_include_pad:
        ones = np.pad(ones, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=1.0)
        counted = windows(ones, kernel, stride, 0, 1, out, 0.0)
    sums = windows(x, kernel, stride, padding, 1, out, 0.0).sum(axis=-1)
    return sums / (divisor_override or counted.sum(axis=-1))


def adaptive_pool2d(x: np.ndarray, out: Any, reduce: Any) -> np.ndarray:
    """Adaptive pooling, one window at a time."""
    y = np.zeros((*x.shape[:2], *out))
    for at in np.ndindex(*out):
        rows, cols = [
            slice(int(np.floor(i * n / o)), int(np.ceil((i + 1) * n / o)))
            for i, n, o in zip(at, x.shape[2:], out, strict=True)
        ]
        y[:, :, at[0], at[1]] = reduce(x[:, :, rows, cols], axis=(2, 3))
    return y


def batch_norm(
    x: np.ndarray, weight: Any = None, bias: Any = None, mean: Any = None, var: Any = None, eps: float = 1e-5
) -> np.ndarray:
    """Batch normalisation by the statistics given, or else by x's own."""
    axes, shape = (0, *range(2, x.ndim)), (1, x.shape[1], *(1,) * (x.ndim - 2))
    mean = x.mean(axis=axes) if mean is None else mean
    var = x.var(axis=axes) if var is None else var
    y = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def batch_norm_backward(g: np.ndarray, x: np.ndarray, weight: Any, var: Any, eps: float) -> Any:
    """Cotangents of batch norm's x, weight and bias, a channel at a time."""
    dx, r = np.empty_like(x), 1 / np.sqrt(var + eps)
    for c, scale in enumerate(weight * r):
        gc, d = g[:, c], x[:, c] - x[:, c].mean()
        dx[:, c] = scale * (gc - gc.mean() - d * r[c] ** 2 * (gc * d).mean())
    axes = (0, *range(2, x.ndim))
    return dx, (g * (x - x.mean(axes, keepdims=True))).sum(axes) * r, g.sum(axes)


def layer_norm_backward(g: np.ndarray, x: np.ndarray, weight: Any, eps: float) -> Any:
    """Cotangents of layer norm's x (rows, columns), weight and bias, a row at a time."""
    r = 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    z = (x - x.mean(1, keepdims=True)) * r
    dx = [s * (h - h.mean() - k * (h * k).mean()) for h, k, s in zip(g * weight, z, r, strict=True)]
    return np.array(dx).reshape(x.shape), (g * z).sum(0), g.sum(0)


def layer_norm(x: np.ndarray, dims: int, weight: Any, bias: Any, eps: float) -> np.ndarray:
    """Layer normalisation, a row at a time."""
    rows = x.reshape(-1, int(np.prod(x.shape[x.ndim - dims :])))
    y = np.array([(row - row.mean()) / np.sqrt(row.var() + eps) for row in rows]).reshape(x.shape)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: Any = None,
    ignore: int = -100,
    reduction: str = "mean",
    smoothing: float = 0.0,
) -> Any:
    """Cross entropy with class indices, a row at a time."""
    classes = x.shape[1]
    weight = np.ones(classes) if weight is None else weight
    rows, labels = np.moveaxis(x, 1, -1).reshape(-1, classes), target.reshape(-1)
    losses, counted = np.zeros(len(labels)), 0.0
    for i, t in enumerate(labels):
        if t == ignore:
            continue
        logs = np.log(softmax(rows[i], 0))
        losses[i] = -(1 - smoothing) * weight[t] * logs[t] - smoothing / classes * (weight * logs).sum()
        counted += weight[t]
    if reduction == "none":
        return losses.reshape(target.shape)
    return losses.sum() if reduction == "sum" else losses.sum() / counted


def soft_cross_entropy(x: np.ndarray, q: np.ndarray, weight: Any = None, smoothing: float = 0.0) -> Any:
    """Cross entropy with class probabilities q of x's shape, as a mean over rows."""
    classes = x.shape[1]
    q = q * (1 - smoothing) + smoothing / classes
    shape = (1, classes, *(1,) * (x.ndim - 2))
    logs = np.log(softmax(x, 1)) * (1.0 if weight is None else weight.reshape(shape))
    return -(q * logs).sum() * classes / x.size


def cosine(x: Any, y: Any) -> Any:
    """The cosine of the angle between rows."""
    return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
