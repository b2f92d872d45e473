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
    case("permute", lambda x: gf.permute(x, 2, 0, -2), (2, 3, 2), ref=lambda x: x.transpose(2, 0, 1)),
    case("permute-two-of-three", lambda x: gf.permute(x, (1, 2, 0)), (2, 3, 4), ref=lambda x: x.transpose(1, 2, 0)),
    case("transpose", lambda x: gf.transpose(x, -1, 0), (2, 3, 4), ref=lambda x: x.swapaxes(0, 2)),
    case("unsqueeze", lambda x: gf.unsqueeze(x, -2), (2, 3), ref=lambda x: x[:, None, :]),
    case("squeeze", gf.squeeze, (1, 2, 1), ref=np.squeeze),
    case("squeeze-dim", lambda x: gf.squeeze(x, (0, 1)), (1, 2, 1), ref=lambda x: x[0]),
    case("expand", lambda x: gf.expand(x, 2, -1, 4), (3, 1), ref=lambda x: np.broadcast_to(x, (2, 3, 4))),
    case("broadcast_to", lambda x: gf.broadcast_to(x, (2, 3)), (), ref=lambda x: np.broadcast_to(x, (2, 3))),
    case("cat", lambda a, b, k: gf.cat([a, k, b], 1), (2, 3), (2, 1), c=np.ones((2, 2)),
        ref=lambda a, b, k: np.concatenate([a, k, b], 1), rows=(0, 1), constant_rows=(0,)),
    case("cat-twice", lambda x: gf.cat((x, x), -2), (2, 3), ref=lambda x: np.concatenate([x, x], 0)),
    case("stack", lambda a, b: gf.stack([a, b], -1), (2, 3), (2, 3), ref=lambda a, b: np.stack([a, b], -1)),
    case("split", lambda x: gf.split(x, 2, 1), (2, 5), ref=lambda x: tuple(np.split(x, [2, 4], 1)), rows=(0,)),
    case("split-sizes", lambda x: gf.split(x, (1, 0, 4), -1), (2, 5), ref=lambda x: tuple(np.split(x, [1, 1], -1))),
    case("split-one-used", lambda x: gf.split(x, 2)[1], (5, 2), ref=lambda x: x[2:4]),
]  # fmt: skip
