"""Shapes, joining, cutting and padding as PyTorch has them."""

from __future__ import annotations

import numpy as np
import pytest
from parity.same import floats, integers, same

SHAPES = [(), (1,), (5,), (0,), (2, 3), (3, 1), (1, 1, 4), (2, 0, 3), (2, 3, 4), (2, 1, 3, 2)]
INPUTS = [pytest.param(floats(*s), id="x".join(map(str, s)) or "0d") for s in SHAPES]
INPUTS += [
    pytest.param(floats(4, 3).T, id="transposed"), pytest.param(floats(5, 6)[::2, 1::2], id="stepped"),
    pytest.param(integers(2, 3, 4), id="int64"), pytest.param(integers(2, 3, dtype="u1") > 2, id="bool"),
    pytest.param(floats(2, 3, dtype="f2"), id="float16"),
]  # fmt: skip

LINES = {
    "reshape": lambda t, x: [x.reshape(-1), t.reshape(x, (1, -1))],
    "reshape fixed": lambda t, x: x.reshape(2, 3),
    "reshape wild": lambda t, x: x.reshape((4, -1)),
    "reshape two wild": lambda t, x: x.reshape(-1, -1),
    "reshape negative": lambda t, x: x.reshape(-2, 3),
    "view": lambda t, x: [x.view(-1), x.view((1, *x.shape))],
    "view_as": lambda t, x: [x.reshape(-1).view_as(x), x.reshape_as(x), x.expand_as(x)],
    "ravel": lambda t, x: [t.ravel(x), x.ravel()],
    "flatten": lambda t, x: [t.flatten(x), x.flatten(-1), x.flatten(0, -1)],
    "flatten 1": lambda t, x: [x.flatten(1), t.flatten(x, start_dim=0, end_dim=1)],
    "flatten backwards": lambda t, x: x.flatten(1, 0),
    "unflatten": lambda t, x: [t.unflatten(x, 0, (1, -1)), x.unflatten(-1, (x.shape[-1], 1))],
    "unflatten wrong": lambda t, x: x.unflatten(0, (7, 2)),
    "permute": lambda t, x: [x.permute(tuple(range(x.ndim))), t.permute(x, tuple(range(-1, -x.ndim - 1, -1)))],
    "permute twice": lambda t, x: x.permute(*[0] * x.ndim, 0),
    "transpose": lambda t, x: [t.transpose(x, 0, -1), x.swapaxes(-1, 0), t.swapdims(x, 0, 0)],
    "transpose 1": lambda t, x: x.transpose(1, -2),
    "movedim": lambda t, x: [t.movedim(x, 0, -1), x.moveaxis(-1, 0), x.movedim((0,), (-1,))],
    "movedim two": lambda t, x: [t.movedim(x, (0, -1), (1, 0)), t.moveaxis(x, (1, 0), (-1, 0))],
    "movedim wrong": lambda t, x: t.movedim(x, (0, 0), (1, 0)),
    "t": lambda t, x: [t.t(x), x.t()],
    "adjoint": lambda t, x: [t.adjoint(x), x.mT, x.mH] if x.ndim else x,
    "H": lambda t, x: x.H if x.ndim == 2 else x.reshape(1, -1).H,
    "squeeze": lambda t, x: [t.squeeze(x), x.squeeze(0), x.squeeze(-1)],
    "squeeze many": lambda t, x: [x.squeeze((0, -2)), t.squeeze(x, ())],
    "squeeze twice": lambda t, x: x.squeeze((0, 0)),
    "unsqueeze": lambda t, x: [t.unsqueeze(x, 0), x.unsqueeze(-1), x.unsqueeze(x.ndim), x.unsqueeze(-x.ndim - 1)],
    "unsqueeze far": lambda t, x: x.unsqueeze(4),
    "expand": lambda t, x: [x.expand(2, *x.shape), x.expand([-1] * x.ndim), t.broadcast_to(x, (3, 1, *x.shape))],
    "expand ones": lambda t, x: x.expand(size=tuple([4 if n == 1 else n for n in x.shape])),
    "expand wrong": lambda t, x: [x.expand(*[n + 1 for n in x.shape], 2)],
    "expand lead": lambda t, x: x.expand(-1, *x.shape),
    "atleast": lambda t, x: [t.atleast_1d(x), t.atleast_2d(x), t.atleast_3d(x), *t.atleast_2d([x, x])],
    "broadcast_tensors": lambda t, x: t.broadcast_tensors(x, x.reshape(-1)[:1], t.zeros(3, *[1] * x.ndim)),
    "repeat": lambda t, x: [x.repeat(*[2] * x.ndim, 1, 3), x.repeat([1] * x.ndim), x.repeat((0, *[1] * x.ndim))],
    "repeat few": lambda t, x: x.repeat(2),
    "tile": lambda t, x: [t.tile(x, (2,)), x.tile(3, 1, 2), t.tile(x, ())],
    "repeat_interleave": lambda t, x: [
        t.repeat_interleave(x, 3),
        x.repeat_interleave(2, 0),
        x.repeat_interleave(0, -1),
    ],
    "repeat_interleave many": lambda t, x: t.repeat_interleave(
        x, t.arange(x.shape[0]) if x.ndim else t.tensor([2]), dim=0
    ),
    "repeat_interleave alone": lambda t, x: t.repeat_interleave(t.tensor([2, 0, 3])),
    "repeat_interleave flat": lambda t, x: t.repeat_interleave(x, t.tensor([2])),
    "repeat_interleave wrong": lambda t, x: t.repeat_interleave(x, t.tensor([2, 1, 1]), dim=-1),
    "flip": lambda t, x: [t.flip(x, (0,)), x.flip(-1), t.flip(x, dims=()) if x.ndim else x],
    "flip two": lambda t, x: [x.flip(0, 1), t.fliplr(x), t.flipud(x)],
    "flip twice": lambda t, x: x.flip(0, 0),
    "flipud": lambda t, x: x.flipud(),
    "rot90": lambda t, x: [t.rot90(x, k, (0, 1)) for k in range(-2, 6)],
    "rot90 other": lambda t, x: x.rot90(1, (-1, 0)),
    "roll": lambda t, x: [t.roll(x, 2), x.roll(-7), x.roll(1, 0), x.roll((3, -1), (0, -1)), x.roll(1, -1)],
    "roll wrong": lambda t, x: x.roll((1, 2), 0),
    "tril": lambda t, x: [t.tril(x), x.triu(), x.tril(1), x.triu(-1), t.triu(x, diagonal=2), t.tril(x, -5)],
    "diagonal": lambda t, x: [t.diagonal(x), x.diagonal(1), x.diagonal(-1, -1, 0)],
    "diagonal far": lambda t, x: x.diagonal(9, 0, -1),
    "diagonal same": lambda t, x: x.diagonal(0, 0, 0),
    "diag": lambda t, x: [t.diag(x), x.diag(1), x.diag(-1)],
    "diag far": lambda t, x: t.diag(x, 7),
    "diag_embed": lambda t, x: [t.diag_embed(x), x.diag_embed(1), t.diag_embed(x, -2, 0, -1), t.diag_embed(x, 0, 1, 0)],
    "diag_embed same": lambda t, x: t.diag_embed(x, 0, 1, 1),
    "diagflat": lambda t, x: [t.diagflat(x), x.diagflat(-1)],
    "split": lambda t, x: [*t.split(x, 2), *x.split(1, -1)],
    "split sizes": lambda t, x: t.split(x, [1, x.shape[0] - 1]),
    "split tensor": lambda t, x: t.split(x, t.tensor(2)),
    "split wrong": lambda t, x: [*t.split(x, [1, 7])],
    "split zero": lambda t, x: [*t.split(x, 0)],
    "chunk": lambda t, x: [*t.chunk(x, 2), *x.chunk(3, -1), *x.chunk(1)],
    "chunk many": lambda t, x: [*x.chunk(7)],
    "chunk zero": lambda t, x: x.chunk(0),
    "tensor_split": lambda t, x: [*t.tensor_split(x, 3), *x.tensor_split((1, 2), -1), *x.tensor_split((2, 1, -1, 9))],
    "tensor_split tensor": lambda t, x: [*t.tensor_split(x, t.tensor([1, 3])), *t.tensor_split(x, t.tensor(2))],
    "hsplit": lambda t, x: [*t.hsplit(x, (1,)), *x.hsplit(1)],
    "hsplit 3": lambda t, x: t.hsplit(x, 3),
    "vsplit": lambda t, x: [*t.vsplit(x, (1,)), *x.vsplit(1)],
    "dsplit": lambda t, x: [*t.dsplit(x, (1,)), *x.dsplit(1)],
    "unbind": lambda t, x: [*t.unbind(x), *x.unbind(-1)],
    "cat": lambda t, x: [t.cat([x, x, x[:0]]), t.cat((x, x * 2), dim=-1), t.concat([x]), t.concatenate([x, x], -1)],
    "cat none": lambda t, x: [t.cat([t.zeros(0), x, t.zeros(0)])],
    "stack": lambda t, x: [t.stack([x, x]), t.stack((x, x * 2), -1), t.stack([x], dim=0)],
    "stacks": lambda t, x: [f([x, x * 2]) for f in (t.hstack, t.vstack, t.dstack, t.column_stack, t.row_stack)],
    "unfold": lambda t, x: [x.unfold(0, 1, 1), x.unfold(-1, 1, 2)],
    "unfold 2": lambda t, x: [x.unfold(0, 2, 1), x.unfold(-1, 3, 2), x.unfold(-1, 2, 3)],
    "unfold zero": lambda t, x: x.unfold(-1, 0, 1),
    "unfold wrong": lambda t, x: x.unfold(0, 9, 1),
    "narrow": lambda t, x: [t.narrow(x, 0, 0, 1), x.narrow(-1, -1, 1), x.narrow(-1, x.shape[-1], 0)],
    "narrow wrong": lambda t, x: t.narrow(x, 0, 1, 9),
    "select": lambda t, x: [t.select(x, 0, 0), x.select(-1, -1)],
    "select odd": lambda t, x: [t.select(x, 0, t.tensor(0))],
    "select float": lambda t, x: t.select(x, 0, 0.5),
    "select wrong": lambda t, x: t.select(x, 0, 9),
    "pad": lambda t, x: [t.nn.functional.pad(x, (1, 2)), t.nn.functional.pad(x, (0, 1), "constant", -1)],
    "pad two": lambda t, x: [t.nn.functional.pad(x, (1, 2, 0, 3), value=2.0), t.nn.functional.pad(x, (-1, 2, 1, -1))],
    "pad odd": lambda t, x: t.nn.functional.pad(x, (1, 2, 3)),
    "pad away": lambda t, x: t.nn.functional.pad(x, (-9, 2)),
    "iterate": lambda t, x: list(x),
}


@pytest.mark.parametrize("x", INPUTS)
@pytest.mark.parametrize("name", LINES)
def test_one_operand(name, x):
    same(LINES[name], x)


MODES = ["reflect", "replicate", "circular"]
PADS = [
    ((4,), (1, 2)), ((2, 4), (3, 0)), ((2, 4), (1, 2)), ((2, 4), (4, 4)), ((2, 4), (5, 1)), ((2, 4), (0, 0)),
    ((2, 3, 4), (1, 2)), ((2, 3, 4), (1, 2, 2, 0)), ((2, 3, 4), (1, 1, 3, 1)), ((2, 1, 3, 4), (3, 1, 1, 2)),
    ((2, 3, 4, 3), (2, 1, 0, 3, 1, 2)), ((1, 2, 3, 4, 3), (2, 1, 0, 3, 1, 2)), ((2, 3, 4), (-1, 2)),
    ((2, 3, 4), (2, -1)), ((2, 3, 5), (-1, -2)), ((2, 2, 0), (1, 1)), ((2, 3), (1, 1, 1, 1)),
    ((2, 3, 4), (1, 1, 1, 1, 1, 1)), ((2, 3, 1), (1, 1)), ((2, 3, 4), (-3, -3)),
]  # fmt: skip


@pytest.mark.parametrize("shape, pad", PADS)
@pytest.mark.parametrize("mode", MODES)
def test_padding_with_own_elements(mode, shape, pad):
    same(lambda t, x: t.nn.functional.pad(x, pad, mode), floats(*shape), second=True)
    same(lambda t, x: t.nn.functional.pad(x, pad, mode), integers(*shape))


def test_padding_takes_only_known_modes_and_values():
    for line in [
        lambda t, x: t.nn.functional.pad(x, (1, 1), "mirror"),
        lambda t, x: t.nn.functional.pad(x, (1, 1), "reflect", 1.0),
        lambda t, x: t.nn.functional.pad(x, (1, 1) * 4),
    ]:
        same(line, floats(2, 3, 4))


PAIRS = [
    ((2, 3), (2, 3)), ((2, 3), (1, 3)), ((2, 3), (3,)), ((2,), (3,)), ((), (3,)), ((), ()), ((2, 3, 4), (2, 1, 4)),
    ((0, 3), (2, 3)),
]  # fmt: skip
SEVERAL = {
    "cat": lambda t, x, y: t.cat([x, y]),
    "cat last": lambda t, x, y: t.cat([x, y], -1),
    "stack": lambda t, x, y: t.stack([x, y], 1),
    "hstack": lambda t, x, y: t.hstack([x, y]),
    "vstack": lambda t, x, y: t.vstack((x, y)),
    "dstack": lambda t, x, y: t.dstack([x, y]),
    "column_stack": lambda t, x, y: t.column_stack([x, y]),
    "meshgrid": lambda t, x, y: t.meshgrid(x, y, indexing="ij"),
    "meshgrid xy": lambda t, x, y: t.meshgrid([x, y], indexing="xy"),
    "meshgrid three": lambda t, x, y: t.meshgrid(x, y, x, indexing="xy"),
    "cartesian_prod": lambda t, x, y: t.cartesian_prod(x, y, y),
    "broadcast_tensors": lambda t, x, y: t.broadcast_tensors(x, y),
    "expand_as": lambda t, x, y: x.expand_as(y),
    "reshape_as": lambda t, x, y: x.reshape_as(y),
}


@pytest.mark.parametrize("a, b", PAIRS)
@pytest.mark.parametrize("name", SEVERAL)
def test_several_operands(name, a, b):
    same(SEVERAL[name], floats(*a), floats(*b, seed=1), second=True)
    if not name.startswith("meshgrid"):
        same(SEVERAL[name], floats(*a, dtype="f4"), floats(*b, seed=1))
        same(SEVERAL[name], integers(*a, dtype="i4"), integers(*b, seed=1))


def test_what_needs_no_input():
    for shapes in [((2, 1), (3,)), ((), (4,)), (3, (1,)), ((2,), (3,)), ((0, 1), (5,))]:
        same(lambda t, x, s=shapes: t.tensor(list(t.broadcast_shapes(*s))), np.zeros(()))
    for args in [(3, 4), (3, 4, 1), (2, 5, -1), (0, 3), (3, 3, 9), (3, 2, -4)]:
        same(lambda t, x, a=args: [t.tril_indices(*a), t.triu_indices(*a, dtype=t.int32)], np.zeros(()))
    for args in [(-1, 4), (2, -1), (3.5, 3)]:
        same(lambda t, x, a=args: t.tril_indices(*a), np.zeros(()))
    same(lambda t, x: t.cartesian_prod(x), floats(3))
    same(lambda t, x: t.meshgrid(x, indexing="xy"), floats(3))
    same(lambda t, x: t.cat([]), floats(3))
    same(lambda t, x: t.meshgrid(x, indexing="yx"), floats(3))


def test_views_share_memory_and_copies_do_not():
    for line in [
        lambda t, x: x.view(-1), lambda t, x: x.t(), lambda t, x: x.diagonal(), lambda t, x: x.narrow(0, 1, 2),
        lambda t, x: x.select(1, 0), lambda t, x: x.unbind()[1], lambda t, x: x.chunk(2)[0], lambda t, x: x[None, 1:],
        lambda t, x: x.movedim(0, 1), lambda t, x: x.unsqueeze(0).squeeze(0), lambda t, x: x.tensor_split(2, 1)[1],
        lambda t, x: x.flip(0), lambda t, x: x.roll(1), lambda t, x: x.repeat(1, 1), lambda t, x: x.diag(),
        lambda t, x: x.tril(9), lambda t, x: x.index_select(0, t.tensor([0, 1, 2])), lambda t, x: x[[0, 1, 2]],
        lambda t, x: x.rot90(0), lambda t, x: x.repeat_interleave(1, 0), lambda t, x: x.tile(1), lambda t,
        x: x.flatten(),
    ]:  # fmt: skip

        def written(t, x, line=line):
            line(t, x).fill_(7.0)
            return x

        same(written, floats(3, 3), grad=False)


def test_shapes_change_in_place():
    for line in [
        lambda t, x: x.unsqueeze_(1), lambda t, x: x.t_(), lambda t, x: x.unsqueeze_(0).squeeze_(),
        lambda t, x: x.transpose_(0, 1), lambda t, x: x.squeeze_(0), lambda t, x: x.unsqueeze_(7),
    ]:  # fmt: skip
        same(lambda t, x, line=line: [line(t, x), x, t.tensor(x.shape)], floats(2, 3), grad=False)
