"""Convolution's kernels where the batch is worked on in parts, and where indices take 64 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES, randoms

import gradflow as gf
from gradflow.backend.cuda.launcher import forget_plans
from gradflow.backend.cuda.launchers import columns, conv
from gradflow.backend.cuda.operand import Operand
from gradflow.backend.cuda.plan import Planner
from gradflow.nn import functional as F

every_device = pytest.mark.parametrize("device", DEVICES)
GEOMETRIES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((5, 8, 6, 5), (4, 8, 3, 3), {"padding": 1}),
    "one-channel": ((5, 1, 7, 8), (3, 1, 3, 3), {"padding": (1, 0)}),
    "strided": ((5, 4, 7, 6), (6, 4, 3, 2), {"stride": 2, "padding": 1, "dilation": (1, 2)}),
    "groups": ((5, 8, 6, 5), (6, 4, 3, 3), {"stride": (1, 2), "padding": 1, "groups": 2}),
    "depthwise": ((5, 8, 6, 5), (8, 1, 3, 3), {"padding": 1, "groups": 8}),
    "depthwise-strided": ((5, 8, 6, 5), (8, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 8}),
    "pointwise": ((5, 8, 6, 5), (4, 8, 1, 1), {}),
}
layouts = pytest.mark.parametrize("layout", ["NCHW", "NHWC", "apart"])
"""Of images in memory; "apart": NHWC with gaps between images, so that one by itself is contiguous and all are not."""
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES)


@pytest.fixture(autouse=True)
def _afterwards() -> Iterator[None]:
    before = gf.get_conv_workspace()
    yield
    gf.set_conv_workspace(before)


def gradients(device: str, geometry: str, layout: str, dtype: str = "f8") -> list[np.ndarray]:
    """conv2d with a bias and its gradients, unfold and fold, of images in a layout: see `layouts`."""
    x_shape, w_shape, options = GEOMETRIES[geometry]
    x = randoms(x_shape, "x").astype(dtype)
    if layout != "NCHW":
        x = x.transpose(0, 2, 3, 1)
    if layout == "apart":
        x = x.repeat(2, axis=0)
    xs = [
        gf.tensor(a, device=device, requires_grad=True)
        for a in (np.ascontiguousarray(x), randoms(w_shape, "w").astype(dtype), randoms(w_shape[:1], "b").astype(dtype))
    ]
    images = xs[0] if layout == "NCHW" else xs[0][:: 2 if layout == "apart" else 1].permute(0, 3, 1, 2)
    y = F.conv2d(images, *xs[1:], **options)
    window = {k: v for k, v in options.items() if k != "groups"}
    columns = F.unfold(images, w_shape[2:], **window)
    back = F.fold(columns, x_shape[2:], w_shape[2:], **window)
    return [a.detach().numpy() for a in (y, columns, back, *gf.autograd.grad((y * y).sum(), xs))]


def assert_near(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 1e-12) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        a, b = a.astype("f8"), b.astype("f8")
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max()))


@every_device
@every_geometry
@layouts
def test_a_small_workspace_gives_the_same(device: str, geometry: str, layout: str) -> None:
    """Two images at a time, the last part of the five being one; then one at a time, none of which fits."""
    x, w, options = GEOMETRIES[geometry]
    places = np.zeros(x)[:, :1]
    per_image = int(np.prod(w[1:])) * options.get("groups", 1) * F.conv2d(
        gf.tensor(places), gf.zeros(1, 1, *w[2:], dtype=gf.float64), **{**options, "groups": 1}
    ).numpy()[0].size * 8  # fmt: skip
    expected = gradients("cpu", geometry, layout)
    for workspace in (2 * per_image + 8, 0):
        gf.set_conv_workspace(workspace)
        gf.kernels.reset()
        assert_near(gradients(device, geometry, layout), expected)
        assert {"conv2d", "conv2d_input_grad", "conv2d_weight_grad", "unfold", "fold"} <= set(gf.kernels.launches())
        assert gf.kernels.fallbacks() == {}


@every_device
@pytest.mark.parametrize("workspace, parts", [(1 << 20, [5]), (2 * 8 * 72 * 30, [2, 2, 1]), (0, [1, 1, 1, 1, 1])])
def test_the_workspace_sets_the_parts(
    device: str, workspace: int, parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, columns_of = [], columns.columns_of

    def spy(plan: Any, x: Any, *rest: Any) -> Any:
        seen.append(x.shape[0])
        return columns_of(plan, x, *rest)

    monkeypatch.setattr(conv, "columns_of", spy)
    gf.set_conv_workspace(workspace)
    x, w = randoms((5, 8, 6, 5), "x"), randoms((4, 8, 3, 3), "w")
    F.conv2d(gf.tensor(x, device=device), gf.tensor(w, device=device), padding=1)
    assert seen == parts


@every_device
@pytest.mark.parametrize("geometry", ["plain", "strided", "depthwise-strided"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_64_bit_indices_give_the_same(device: str, geometry: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrays of 2^31 elements take, one image at a time."""
    expected = gradients("cpu", geometry, layout)
    assert_near(gradients(device, geometry, layout), expected)
    instances: list[str] = []
    monkeypatch.setattr(columns, "INT_SIZE", 1)
    for module in (columns, conv):
        monkeypatch.setattr(module, "index_of", lambda *xs: instances.append("long long") or "long long")
    forget_plans()
    try:
        found = gradients(device, geometry, layout)
    finally:
        forget_plans()
    assert instances
    assert_near(found, expected)


@every_device
def test_parts_of_weight_gradients_are_summed_in_float32(device: str) -> None:
    """Five parts of 2049 each, which float16 would round to 2048."""
    gf.set_conv_workspace(0)
    x = np.ones((5, 1, 1, 3), "f2")
    x[..., 1] = 2048
    weight = gf.ones(1, 1, 1, 2, dtype=gf.float16, device=device, requires_grad=True)
    F.conv2d(gf.tensor(x, device=device), weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.numpy().tolist() == [[[[10248, 10248]]]]  # 10245, rounded once


@every_device
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_float16_is_summed_in_float32(device: str, groups: int, stride: int) -> None:
    """Two of these numbers overflow float16, though the sums of all are 0."""
    signs = np.array([[60000, 60000], [-60000, -60000]], "f2")
    ones = gf.ones(4, 4 // groups, 2, 2, dtype=gf.float16, device=device)
    y = F.conv2d(gf.tensor(signs, device=device).expand(1, 4, 2, 2), ones, groups=groups)
    assert y.numpy().tolist() == np.zeros((1, 4, 1, 1)).tolist()

    x = gf.ones(1, 4, 3 + stride, 3 + stride, dtype=gf.float16, device=device, requires_grad=True)
    w = gf.ones(4, 4 // groups, 3, 3, dtype=gf.float16, device=device, requires_grad=True)
    y = F.conv2d(x, w, stride=stride, groups=groups)
    dx, dw = gf.autograd.grad(y, [x, w], gf.tensor(signs, device=device).expand(1, 4, 2, 2))
    assert dx.numpy()[0, :, stride, stride].tolist() == [0, 0, 0, 0]  # which all windows see
    assert not dw.numpy().any()

    row, images = [gf.tensor(a, device=device).expand(1, 4, 1, 4) for a in (signs.reshape(4), np.ones(4, "f2"))]
    w = gf.ones(4, 4 // groups, 1, 1, dtype=gf.float16, device=device, requires_grad=True)
    (dw,) = gf.autograd.grad(F.conv2d(images, w, groups=groups), [w], row)
    assert not dw.numpy().any()

    columns = np.repeat(signs.reshape(1, 1, 4), 4, axis=1)
    assert F.fold(gf.tensor(columns, device=device), 3, 2).numpy()[0, 0, 1, 1] == 0


@every_device
@pytest.mark.parametrize("channels, columns", [(14, "im2col"), (16, "col2im")])
def test_the_input_gradient_takes_the_smaller_columns(
    device: str, channels: int, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At stride 1 a convolution, whose columns are those of y, unless they are twice as large as x's."""
    seen, launch = [], Planner.launch

    def spy(plan: Planner, kernel: str, *rest: Any, **options: Any) -> None:
        seen.append(kernel)
        launch(plan, kernel, *rest, **options)

    monkeypatch.setattr(Planner, "launch", spy)
    forget_plans()
    x = gf.tensor(randoms((1, 8, 4, 4)), device=device, requires_grad=True)
    y = F.conv2d(x, gf.tensor(randoms((channels, 8, 3, 3)), device=device), padding=1)
    (y * y).sum().backward()
    assert seen[-1].startswith(columns), seen


@every_device
@pytest.mark.parametrize("geometry", ["depthwise", "depthwise-strided"])
@pytest.mark.parametrize("most", [1, 4])
def test_depthwise_weight_gradients_in_few_runs(
    device: str, geometry: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows in one run, and several to a run, the last being shorter."""
    expected = gradients("cpu", geometry, "NHWC")
    runs: list[int] = []
    launch = Planner.launch

    def spy(plan: Planner, kernel: str, *rest: Any, **options: Any) -> None:
        if kernel == "depthwise_sum_runs":
            runs.append(rest[3])
        launch(plan, kernel, *rest, **options)

    monkeypatch.setattr(Planner, "launch", spy)
    monkeypatch.setattr(conv, "MOST_RUNS", most)
    forget_plans()
    try:
        found = gradients(device, geometry, "NHWC")
    finally:
        forget_plans()
    assert runs == [most]
    assert_near(found, expected)


def test_indices_are_of_32_bits_where_they_can_be() -> None:
    """Also of arrays with gaps between elements, and of the parts of a batch."""
    for shape, strides, wanted in [
        ((2, 3), (12, 4), "int"),
        ((2, 1 << 30), (4 << 30, 4), "long long"),
        ((2, 3), (-(8 << 30), 4), "long long"),
    ]:
        assert columns.index_of(Operand(0, shape, np.dtype("f4"), strides)) == wanted
    gf.set_conv_workspace(1 << 40)
    batch = columns.geometry((40, 64, 1024, 1024), (8, 64, 1, 2), (1, 1), (0, 0), (1, 1), 1)
    assert [part.stop - part.start for part in columns.parts_of(batch, 4)] == [14, 14, 12]


@every_device
@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2}, {"padding": 1, "groups": 2}])
def test_results_are_channels_last_and_weights_may_be(device: str, options: dict[str, Any]) -> None:
    groups = options.get("groups", 1)
    x, w = randoms((2, 8, 5, 6), "x"), randoms((4, 8 // groups, 3, 3), "w")
    expected = F.conv2d(gf.tensor(x), gf.tensor(w), **options).numpy()
    images = gf.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), device=device).permute(0, 3, 1, 2)
    weight = gf.tensor(np.ascontiguousarray(w.transpose(0, 2, 3, 1)), device=device).permute(0, 3, 1, 2)
    y = F.conv2d(images, weight, **options)
    assert y.numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    assert_near([y.numpy()], [expected])


@every_device
def test_integers_are_left_to_the_array_code(device: str) -> None:
    gf.kernels.reset()
    columns = F.unfold(gf.arange(9, device=device).reshape(1, 1, 3, 3), 2)
    assert columns.numpy().tolist() == [[[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]]
    assert gf.kernels.fallbacks()


@pytest.mark.parametrize("wrong", [-1, 1.5, True, None])
def test_a_workspace_is_a_number_of_bytes(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"\[set_conv_workspace\]"):
        gf.set_conv_workspace(wrong)
    assert gf.get_conv_workspace() == 256 << 20
