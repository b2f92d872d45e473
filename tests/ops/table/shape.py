"""The table's part on shapes."""

from __future__ import annotations

import numpy as np
from ops.case import case

import gradflow as gf

CASES = [
    case("reshape", lambda x: gf.reshape(x, 3, -1), (2, 3, 2), ref=lambda x: x.reshape(3, 4)),
    case("reshape-0d", lambda x: gf.reshape(x, ()), (1, 1), ref=lambda x: x.reshape(())),
    case("reshape-transposed", lambda x: gf.reshape(gf.transpose(x, 0, 1), (6,)), (2, 3), ref=lambda x: x.T.reshape(6)),
    case("flatten", lambda x: gf.flatten(x, 1), (2, 3, 2), ref=lambda x: x.reshape(2, 6), rows=(0,)),
    case("flatten-middle", lambda x: gf.flatten(x, -3, 2), (2, 3, 2, 2), ref=lambda x: x.reshape(2, 6, 2)),
    case("flatten-0d", gf.flatten, (), ref=lambda x: x.reshape(1)),
    case("ravel", gf.ravel, (2, 3), ref=np.ravel, light=True),
    case("unflatten", lambda x: gf.unflatten(x, -1, (2, -1)), (2, 6), ref=lambda x: x.reshape(2, 2, 3), light=True),
    case("permute", lambda x: gf.permute(x, 2, 0, -2), (2, 3, 2), ref=lambda x: x.transpose(2, 0, 1)),
    case("permute-two-of-three", lambda x: gf.permute(x, (1, 2, 0)), (2, 3, 4), ref=lambda x: x.transpose(1, 2, 0)),
    case("transpose", lambda x: gf.transpose(x, -1, 0), (2, 3, 4), ref=lambda x: x.swapaxes(0, 2)),
    case("movedim", lambda x: gf.movedim(x, (0, -1), (1, 0)), (2, 3, 4), ref=lambda x: np.moveaxis(x, (0, -1), (1, 0)),
        light=True),
    case("t", gf.t, (2, 3), ref=np.transpose, light=True),
    case("adjoint", gf.adjoint, (2, 3, 4), ref=lambda x: x.swapaxes(1, 2), light=True),
    case("atleast", lambda x, y: (*gf.atleast_1d(x, -y), gf.atleast_2d(y), *gf.atleast_3d([x, y])), (), (2,),
        ref=lambda x, y: (*np.atleast_1d(x, -y), np.atleast_2d(y), *np.atleast_3d(x, y)), mixed=False, light=True),
    case("unsqueeze", lambda x: gf.unsqueeze(x, -2), (2, 3), ref=lambda x: x[:, None, :]),
    case("squeeze", gf.squeeze, (1, 2, 1), ref=np.squeeze),
    case("squeeze-dim", lambda x: gf.squeeze(x, (0, 1)), (1, 2, 1), ref=lambda x: x[0]),
    case("expand", lambda x: gf.expand(x, 2, -1, 4), (3, 1), ref=lambda x: np.broadcast_to(x, (2, 3, 4))),
    case("broadcast_to", lambda x: gf.broadcast_to(x, (2, 3)), (), ref=lambda x: np.broadcast_to(x, (2, 3))),
    case("broadcast_tensors", gf.broadcast_tensors, (2, 1), (3,), ref=lambda x, y: tuple(np.broadcast_arrays(x, y)),
        mixed=False, light=True),
    case("broadcast_shapes", lambda x: gf.expand(x, gf.broadcast_shapes(x.shape, (3, 1), 2)), (1, 2),
        ref=lambda x: np.broadcast_to(x, (3, 2)), light=True),
    case("cat", lambda a, b, k: gf.cat([a, k, b], 1), (2, 3), (2, 1), c=np.ones((2, 2)),
        ref=lambda a, b, k: np.concatenate([a, k, b], 1), rows=(0, 1), constant_rows=(0,)),
    case("cat-twice", lambda x: gf.cat((x, x), -2), (2, 3), ref=lambda x: np.concatenate([x, x], 0)),
    case("stack", lambda a, b: gf.stack([a, b], -1), (2, 3), (2, 3), ref=lambda a, b: np.stack([a, b], -1)),
    case("split", lambda x: gf.split(x, 2, 1), (2, 5), ref=lambda x: tuple(np.split(x, [2, 4], 1)), rows=(0,)),
    case("split-sizes", lambda x: gf.split(x, (1, 0, 4), -1), (2, 5), ref=lambda x: tuple(np.split(x, [1, 1], -1))),
    case("split-one-used", lambda x: gf.split(x, 2)[1], (5, 2), ref=lambda x: x[2:4]),
    *[
        case(f.__name__, lambda a, b, f=f: f([a, b]), (2, 3), (2, 3), ref=lambda a, b, r=r: r([a, b]), light=True)
        for f, r in ((gf.hstack, np.hstack), (gf.vstack, np.vstack), (gf.dstack, np.dstack),
            (gf.column_stack, np.column_stack))
    ],
    case("meshgrid", lambda a, b: gf.meshgrid(a, b, indexing="xy"), (2,), (3,),
        ref=lambda a, b: tuple(np.meshgrid(a, b)), mixed=False, light=True),
    case("cartesian_prod", gf.cartesian_prod, (2,), (2,), ref=lambda a, b: np.array([[i, j] for i in a for j in b]),
        mixed=False, light=True),
    case("chunk", lambda x: gf.chunk(x, 2, 1), (2, 5), ref=lambda x: (x[:, :3], x[:, 3:]), light=True),
    case("tensor_split", lambda x: gf.tensor_split(x, 3), (5, 2), ref=lambda x: tuple(np.array_split(x, 3)),
        light=True),
    case("tensor_split-indices", lambda x: gf.tensor_split(x, (3, 1, -1), 1), (2, 5),
        ref=lambda x: tuple(np.split(x, (3, 1, -1), 1)), light=True),
    *[
        case(f.__name__, lambda x, f=f: f(x, (1,)), (2, 3, 2), ref=lambda x, r=r: tuple(r(x, (1,))), light=True)
        for f, r in ((gf.hsplit, np.hsplit), (gf.vsplit, np.vsplit), (gf.dsplit, np.dsplit))
    ],
    case("unbind", lambda x: gf.unbind(x, -1), (2, 3), ref=lambda x: tuple(x.T), light=True),
]  # fmt: skip
