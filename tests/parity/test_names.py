"""What PyTorch has at top level is here too, or listed as missing; and layers' functions there take its arguments."""

from __future__ import annotations

import types
from typing import Any

import pytest
from parity.same import floats, same

import gradflow as gf

torch = pytest.importorskip("torch")

OTHER_ARGUMENTS = (
    "adaptive_max_pool1d alpha_dropout batch_norm binary_cross_entropy_with_logits cosine_embedding_loss ctc_loss "
    "dropout embedding embedding_bag feature_alpha_dropout hinge_embedding_loss instance_norm kl_div "
    "margin_ranking_loss poisson_nll_loss triplet_margin_loss"
)
"""Of nn.functional, at top level with other arguments: another order, `train`, reductions that are numbers."""
MISSING = {
    "complex numbers": "angle conj conj_physical eig imag is_conj is_neg istft real resolve_conj resolve_neg stft",
    "quantization": "dequantize int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale "
    "q_zero_point",
    "sparse tensors": "smm sspaddmm",
    "PyTorch's storage, devices and modes": "as_strided as_strided_scatter get_device hash_tensor is_distributed "
    "is_inference is_same_size is_signed narrow_copy nonzero_static slice_inverse split_with_sizes unsafe_chunk "
    "unsafe_split unsafe_split_with_sizes",
    "removed from PyTorch, or on their way": "lstsq solve symeig triangular_solve",
    "factorizations in LAPACK's form": "cholesky_inverse geqrf lu lu_solve orgqr ormqr",
    "seldom used": "detach dist frexp histogram i0 igamma igammac index_reduce ldexp mvlgamma nextafter put renorm",
}


def test_functions_of_tensors_exist() -> None:
    """torch's functions that are methods too, but those in place: here at top level, or in a list above."""
    kinds = (types.BuiltinFunctionType, types.FunctionType)
    names = [n for n in dir(torch) if n[0] != "_" and n[-1] != "_" and isinstance(getattr(torch, n), kinds)]
    methods = {n for n in names if hasattr(torch.Tensor, n)}
    assert methods - set(dir(gf)) - {n for names in MISSING.values() for n in names.split()} == set()
    layers = set(names) & set(gf.nn.functional.__all__)
    assert layers - set(dir(gf)) == set(OTHER_ARGUMENTS.split())


X, W = floats(2, 4, 6), floats(2, 4, 3)
CALLS: dict[str, Any] = {
    "adaptive_avg_pool1d": lambda t, x, w: t.adaptive_avg_pool1d(x, 4),
    "avg_pool1d": lambda t, x, w: t.avg_pool1d(x, 3, 2, 1, True, False),
    "bilinear": lambda t, x, w: t.bilinear(x[:, 0], w[:, 0], t.stack([w[0].T @ x[0]] * 2).mT, w[0, :2, 0]),
    "celu": lambda t, x, w: t.celu(x, 0.5),
    "channel_shuffle": lambda t, x, w: t.channel_shuffle(x, 2),
    "conv1d": lambda t, x, w: t.conv1d(x, w[:, :2], w[:, 0, 0], 2, 1, 2, 2),
    "conv2d": lambda t, x, w: t.conv2d(x[None], w[:, :2, None], None, (1, 2), (0, 1)),
    "conv3d": lambda t, x, w: t.conv3d(x[None, None], w[None, None], None, 1, (0, 0, 1)),
    "conv_transpose1d": lambda t, x, w: t.conv_transpose1d(x, w[0, :, None, :], w[0, 0, :2], 2, 1, 1, 2, 2),
    "conv_transpose2d": lambda t, x, w: t.conv_transpose2d(x[None], w[:, :, None], None, (1, 2)),
    "conv_transpose3d": lambda t, x, w: t.conv_transpose3d(x[None, None], w[None, None], None, 2),
    "cosine_similarity": lambda t, x, w: t.cosine_similarity(x[:, :, :3], w, 2, 0.1),
    "group_norm": lambda t, x, w: t.group_norm(x, 2, w[0, :, 0], w[1, :, 0], 0.1),
    "hardshrink": lambda t, x, w: t.hardshrink(x, 0.7),
    "layer_norm": lambda t, x, w: t.layer_norm(w, (3,), w[0, 0], w[1, 0], 0.1),
    "max_pool1d": lambda t, x, w: t.max_pool1d(x, 2, 2, 1, 2, True),
    "max_pool2d": lambda t, x, w: t.max_pool2d(x, 2, 1, 1, 1, True),
    "max_pool3d": lambda t, x, w: t.max_pool3d(x[None], 2, (1, 2, 1), 1),
    "pairwise_distance": lambda t, x, w: t.pairwise_distance(x[..., :3], w, 3.0, 0.1, True),
    "pixel_shuffle": lambda t, x, w: t.pixel_shuffle(x[0, :, None], 2),
    "pixel_unshuffle": lambda t, x, w: t.pixel_unshuffle(x, 2),
    "prelu": lambda t, x, w: t.prelu(x, w[0, :, 0]),
    "rms_norm": lambda t, x, w: t.rms_norm(w, (3,), w[0, 0], 0.1),
    "rrelu": lambda t, x, w: t.rrelu(x, 0.1, 0.3, False),
    "selu": lambda t, x, w: t.selu(x),
    "threshold": lambda t, x, w: t.threshold(x, 0.1, 5.0),
}


def test_every_layer_function_is_called() -> None:
    assert sorted(CALLS) == gf.toplevel.__all__


@pytest.mark.parametrize("name", CALLS)
def test_functions_of_layers_take_the_same_arguments(name: str) -> None:
    CALLS[name](torch, torch.from_numpy(X), torch.from_numpy(W))  # is no refusal
    same(CALLS[name], X, W)


def test_operands_may_be_named() -> None:
    def run(t: Any, x: Any, y: Any) -> Any:
        named = t.exp(input=x) + t.mul(input=x, other=y) + x.sub(other=y) + t.maximum(x, other=y)
        return named + t.sum(input=x, dim=0), t.softmax(input=x, dim=1), t.amax(input=x, dim=(0, 1)), x.eq(other=y)

    same(run, floats(2, 3), floats(3))
