"""Launchers of normalisation: batch norm, on rows of pixels or on planes of channels, and layer norm, on rows."""

from __future__ import annotations

import math
from typing import Any

from ..launcher import launcher
from ..operand import Operand
from ..plan import BLOCK, INT_SIZE, WARP, Planner

LANES = 64
"""Vectors of channels that a block takes side by side at most."""


class Walk:
    """How the kernels of batch_norm.cu walk over x (N, C, ...): its layout, and the geometry of their launches.

    planes   whether each channel of an image is contiguous; else the channels of a pixel are
    sizes    the kernels' last arguments: vectors of a channel, channels, vectors side by side, elements of a plane
    template the kernels' template arguments: the dtype, whether 16 bytes are read at once, planes, the index type
    """

    def __init__(self, plan: Planner, x: Operand, *others: Operand | None) -> None:
        """x, and operands and results of its shape that are to be walked along with it."""
        self.plan, self.shape, channels = plan, x.shape, x.shape[1]
        self.plane = math.prod(x.shape[2:])
        plan.require(self.plane < 2**31, "2**31 elements or more in a channel of an image")
        self.order = (0, *range(2, x.ndim), 1)
        self.planes = self.plane > 1 and (x.is_c or not x.transpose(*self.order).is_c)
        given = [self.laid_out(o) for o in (x, *others) if o is not None]
        self.x, self.others = given[0], iter(given[1:])
        length = self.plane if self.planes else channels
        self.wide = _wide(length, *given)
        self.width = 16 // x.itemsize if self.wide else 1
        lanes = 1 if self.planes else channels // self.width
        lanes = lanes if lanes <= LANES else LANES // 2
        self.groups = channels if self.planes else -(-channels // (self.width * lanes))
        self.count = x.shape[0] * self.plane // (self.width if self.planes else 1)
        self.rows = BLOCK // lanes
        divisor = plan.fast_div(self.plane // self.width if self.planes else 1)
        self.sizes = (self.count, channels, lanes, self.plane, divisor)
        self.template = [x.dtype, int(self.wide), int(self.planes), plan.index_type(x)]

    def laid_out(self, o: Operand) -> Operand:
        return self.plan.contiguous(o) if self.planes else self.plan.channels_last(o)

    def empty(self) -> Operand:
        """A result in x's layout."""
        return self.plan.empty(self.shape, self.x.dtype, None if self.planes else self.order)

    def grid(self, each: int) -> tuple[int, int]:
        """(channel groups, shares of a channel), enough blocks to fill the device, `each` vectors a thread or more."""
        shares = 8 * self.plan.multiprocessors // self.groups
        return self.groups, max(1, min(shares, -(-self.count // (self.rows * each)), 65535))

    def partial(self, kernel: str, *operands: Operand | None) -> tuple[Operand, int]:
        """The kernel's three partial results per channel and share of it, and how many shares there are."""
        grid = self.grid(8)
        out = self.plan.empty((3, self.shape[1], grid[1]), self.x.sum_dtype)
        self.plan.launch(kernel, self.template, *operands, out, *self.sizes, grid=grid)
        return out, grid[1]

    def finish(self, kernel: str, shares: int, *arguments: Any) -> None:
        """A kernel that merges partial results, a team of threads a channel; `arguments` but for its last three."""
        channels, team = self.shape[1], min(BLOCK, 1 << (shares - 1).bit_length())
        blocks = -(-channels * team // BLOCK)
        self.plan.launch(kernel, [self.x.dtype], *arguments, shares, channels, team, grid=(blocks,))

    def each(self, kernel: str, *arguments: Any) -> None:
        """A kernel that writes every element."""
        self.plan.launch(kernel, self.template, *arguments, *self.sizes, grid=self.grid(2))


def _wide(length: int, *operands: Operand) -> bool:
    """Whether contiguous runs of `length` elements can be read 16 bytes at a time."""
    return length * operands[0].itemsize % 16 == 0 and all([o.aligned for o in operands])


def _dense(plan: Planner, *operands: Operand | None) -> list[Any]:
    """In C order; what is None stays so."""
    return [None if o is None else plan.contiguous(o) for o in operands]


@launcher("batch_norm.cu", names=("batch_norm", "batch_norm_relu"))
def batch_norm(
    plan: Planner, x: Operand, weight: Operand | None, bias: Operand | None, *, eps: float
) -> tuple[Operand, ...]:
    channels = x.shape[1]
    if not x.size:
        return plan.empty_like(x), *[plan.zeros((channels,), x.dtype) for _ in range(2)]
    walk = Walk(plan, x)
    weight, bias = _dense(plan, weight, bias)
    partial, shares = walk.partial("moments", walk.x)
    mean, var = [plan.empty((channels,), x.dtype) for _ in range(2)]
    params, first = plan.empty((4, channels), x.sum_dtype), walk.plane if walk.planes else 1
    walk.finish("finish_moments", shares, partial, walk.x, weight, bias, mean, var, params, first, eps)
    y = walk.empty()
    walk.each("normalise", walk.x, params, y, plan.name == "batch_norm_relu")
    return y, mean, var


@launcher("batch_norm.cu")
def batch_norm_inference(
    plan: Planner, x: Operand, mean: Operand, var: Operand, weight: Operand | None, bias: Operand | None, *,
    eps: float, relu: bool,
) -> Operand:  # fmt: skip
    if not x.size:
        return plan.empty_like(x)
    walk = Walk(plan, x)
    y = walk.empty()
    walk.each("normalise_given", walk.x, *_dense(plan, mean, var, weight, bias), y, eps, relu)
    return y


@launcher("batch_norm.cu")
def batch_norm_backward(
    plan: Planner, g: Operand, x: Operand, y: Operand | None, weight: Operand | None, mean: Operand, var: Operand, *,
    eps: float,
) -> tuple[Operand, ...]:  # fmt: skip
    channels = x.shape[1]
    if not x.size:
        return plan.empty_like(x), *[plan.zeros((channels,), x.dtype) for _ in range(2)]
    walk = Walk(plan, x, g, y)
    g, y = next(walk.others), next(walk.others, None)
    weight, mean, var = _dense(plan, weight, mean, var)
    partial, shares = walk.partial("cotangent_sums", g, walk.x, y, mean)
    dweight, dbias = [plan.empty((channels,), x.dtype) for _ in range(2)]
    params = plan.empty((3, channels), x.sum_dtype)
    walk.finish("finish_sums", shares, partial, weight, var, dweight, dbias, params, channels / x.size, eps)
    dx = walk.empty()
    walk.each("input_cotangent", g, walk.x, y, mean, params, dx)
    return dx, dweight, dbias


@launcher("batch_norm.cu", inplace=True, runtime=("momentum",))
def update_running(
    plan: Planner, running_mean: Operand, running_var: Operand, mean: Operand, var: Operand, rate: Operand | None, *,
    momentum: Any, unbias: float,
) -> None:  # fmt: skip
    """`momentum` is a number, or where `rate` is given what that holds (), so that the host need not know it."""
    plan.require(running_mean.is_c and running_var.is_c, "running statistics that are not contiguous")
    plan.require(running_mean.dtype == running_var.dtype, "running statistics of two dtypes")
    rate = None if rate is None else plan.cast(rate, "f8")
    plan.launch(
        "update_running", [running_mean.dtype, mean.dtype], *_dense(plan, mean, var), rate, running_mean, running_var,
        mean.size, momentum, unbias, threads=mean.size,
    )  # fmt: skip


# -- layer norm --------------------------------------------------------------------------------------------------------


class Rows:
    """How the kernels of layer_norm.cu share out rows of x: a warp or a block each, kept in shared memory or not."""

    def __init__(self, plan: Planner, dims: int, arrays: int, *operands: Operand | None) -> None:
        """`arrays` are read of each row; `operands` have x's shape, or that of its last axes."""
        given = [o for o in operands if o is not None]
        x = given[0]
        self.plan, self.size = plan, math.prod(x.shape[x.ndim - dims :])
        plan.require(self.size < INT_SIZE, "rows of 2**31 elements or more")
        self.count, wide = x.size // self.size, _wide(self.size, *given)
        access = 16 if wide else x.itemsize
        self.vectors = self.size * x.itemsize // access
        self.team = WARP if self.size <= 1024 else BLOCK
        if self._shared(arrays * access) > plan.shared_limit:
            self.team = BLOCK
        self.cached = self._shared(arrays * access) <= plan.shared_limit
        self.shared = self._shared(arrays * access) if self.cached else 0
        self.template = [x.dtype, int(wide)]

    def _shared(self, width: int) -> int:
        """Bytes of shared memory in which each thread of a block keeps its part of a row, `width` bytes a vector."""
        return -(-self.vectors // self.team) * BLOCK * width

    def launch(self, kernel: str, *arguments: Any) -> None:
        blocks = -(-self.count * self.team // BLOCK)
        self.plan.launch(
            kernel, self.template, *arguments, self.team, self.cached, grid=(min(blocks, self.plan.max_blocks),),
            shared=self.shared,
        )  # fmt: skip


@launcher("layer_norm.cu")
def layer_norm(
    plan: Planner, x: Operand, weight: Operand | None, bias: Operand | None, *, dims: int, eps: float
) -> Operand:
    y = plan.empty(x.shape, x.dtype)
    if not x.size:
        return y
    x, weight, bias = _dense(plan, x, weight, bias)
    rows = Rows(plan, dims, 1, x, weight, bias)
    rows.launch("layer_norm", x, weight, bias, y, rows.count, rows.size, eps)
    return y


@launcher("layer_norm.cu")
def layer_norm_backward(
    plan: Planner, g: Operand, x: Operand, weight: Operand | None, *, dims: int, eps: float
) -> tuple[Operand, ...]:
    dx = plan.empty(x.shape, x.dtype)
    if not x.size:
        return (dx,) if weight is None else (dx, *[plan.zeros(weight.shape, x.dtype) for _ in range(2)])
    g, x, weight = _dense(plan, g, x, weight)
    rows = Rows(plan, dims, 2, x, g, weight)
    stats = None if weight is None else plan.empty((rows.count, 3), x.sum_dtype)
    rows.launch("layer_norm_backward", g, x, weight, dx, stats, rows.count, rows.size, eps)
    if weight is None:
        return (dx,)
    lanes = rows.vectors if rows.vectors <= LANES else LANES // 2
    tiles, height = -(-rows.vectors // lanes), BLOCK // lanes
    shares = max(1, min(8 * plan.multiprocessors // tiles, -(-rows.count // (height * 8)), 65535))
    partial = plan.empty((2, shares, rows.size), x.sum_dtype)
    plan.launch("weight_sums", rows.template, g, x, stats, partial, rows.count, rows.size, lanes, grid=(tiles, shares))
    dweight, dbias = [plan.empty(weight.shape, x.dtype) for _ in range(2)]
    plan.launch(
        "finish_weight_sums", [x.dtype], partial, dweight, dbias, shares, rows.size, grid=(-(-rows.size // WARP),)
    )
    return dx, dweight, dbias
