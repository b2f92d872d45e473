"""Optimiser steps by one kernel for all parameters, against one parameter after the other in NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kernels.compiled import Recorder
from kernels.harness import DEVICES, randoms

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.backend.cuda import launchers
from gradflow.backend.cuda.launcher import forget_plans
from gradflow.backend.cuda.launchers.optim import CAPACITIES
from gradflow.backend.cuda.plan import Operand, Planner, Runtime
from gradflow.backend.cuda.program import packaged
from gradflow.backend.cuda.signature import struct_dtype

SHAPES = [(3, 5), (), (7,), (0, 4), (2, 3, 4, 5), (5000,), (1,), (64, 70)]
TOLERANCE = {"float64": 1e-12, "float32": 1e-6, "float16": 5e-3, "bfloat16": 4e-2}
DECAY, FLAGS = (0.0, 0.1), (False, True)

SGD = [
    {"momentum": m, "dampening": d, "nesterov": n, "weight_decay": w, "maximize": x}
    for m, d, n, w, x in itertools.product((0.0, 0.9), (0.0, 0.3), FLAGS, DECAY, FLAGS)
    if not n or (m and not d)
]
ADAM = [
    {"amsgrad": a, "weight_decay": w, "maximize": x, "betas": (0.8, 0.95)}
    for a, w, x in itertools.product(FLAGS, DECAY, FLAGS)
]
OPTIMISERS = [
    *[(gf.optim.SGD, options) for options in SGD],
    *[(cls, options) for cls in (gf.optim.Adam, gf.optim.AdamW) for options in ADAM],
]


def name_of(cls: Any, options: dict[str, Any]) -> str:
    return "-".join([cls.__name__, *[str(v) for v in options.values()]])


every_device = pytest.mark.parametrize("device", DEVICES)


def parameters(device: str, dtype: Any = "float32", shapes: Sequence[tuple[int, ...]] = SHAPES) -> list[Any]:
    return [
        gf.tensor(randoms(s, "weight", i), dtype=dtype, device=device, requires_grad=True)
        for i, s in enumerate(shapes)
    ]  # fmt: skip


def give_gradients(params: Sequence[Any], step: int) -> None:
    for i, p in enumerate(params):
        p.grad = gf.tensor(randoms(tuple(p.shape), f"gradient {step}", i), dtype=p.dtype, device=p.device)


def train(
    device: str,
    make: Callable[[Any], Any],
    steps: int = 20,
    params: list[Any] | None = None,
    change: Callable[[int, list[Any], Any], None] | None = None,
) -> tuple[list[Any], Any]:
    """Some steps with a learning rate that falls; change(step, parameters, optimiser) runs before each."""
    params = parameters(device) if params is None else params
    optimiser = make(params)
    for step in range(steps):
        give_gradients(params, step)
        if change:
            change(step, params, optimiser)
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] *= 0.95
    return params, optimiser


def same(found: Sequence[Any], expected: Sequence[Any], dtype: str = "float32") -> None:
    for a, b in zip(found, expected, strict=True):
        a, b = a.detach().numpy().astype("f8"), b.detach().numpy().astype("f8")
        assert a.shape == b.shape
        assert np.linalg.norm(a - b) <= TOLERANCE[dtype] * np.linalg.norm(b)


def state_of(optimiser: Any) -> list[Any]:
    return [v for held in optimiser.state_dict()["state"].values() for v in held.values() if hasattr(v, "dtype")]


def counted(kernel: str) -> tuple[int, dict[str, int]]:
    return gf.kernels.launches().get(kernel, 0), gf.kernels.fallbacks().get(kernel, {})


RUNS = [(cls, options, "float64") for cls, options in OPTIMISERS]
RUNS += [(cls, options, "float32") for cls, options in (OPTIMISERS[0], OPTIMISERS[-1], OPTIMISERS[len(SGD) - 1])]


@every_device
@pytest.mark.parametrize("cls, options, dtype", RUNS, ids=[f"{name_of(*r[:2])}-{r[2]}" for r in RUNS])
def test_twenty_steps_are_numpys(cls: Any, options: Any, dtype: str, device: str) -> None:
    def run(where: str) -> Any:
        return train(where, lambda params: cls(params, lr=0.02, **options), params=parameters(where, dtype))

    expected, reference = run("cpu")
    gf.kernels.reset()
    found, optimiser = run(device)
    assert counted(cls.kernel) == (20, {})
    same(found, expected, dtype)
    same(state_of(optimiser), state_of(reference), dtype)
    plain, other = optimiser.state_dict(), reference.state_dict()
    assert plain["param_groups"] == other["param_groups"]
    assert [list(held) for held in plain["state"].values()] == [list(held) for held in other["state"].values()]


@every_device
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.AdamW])
def test_sixteen_bit_parameters_are_updated_in_float32(cls: Any, dtype: str, device: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    options = {"momentum": 0.9} if cls is gf.optim.SGD else {"eps": 1e-3}
    params = parameters(device, dtype)
    wide = [gf.tensor(p.detach().cpu(), dtype="float64", requires_grad=True) for p in params]
    ours, reference = cls(params, lr=0.05, **options), cls(wide, lr=0.05, **options)
    gf.kernels.reset()
    for step in range(4):
        give_gradients(params, step)
        for p, q in zip(params, wide, strict=True):
            q.grad = gf.tensor(p.grad.cpu(), dtype="float64")
        ours.step()
        reference.step()
    assert counted(cls.kernel) == (4, {})
    same(params, wide, dtype)


@every_device
def test_changing_numbers_make_no_new_plans(device: str) -> None:
    params = parameters(device)
    for optimiser, kernel in ((gf.optim.SGD(params), "sgd_step"), (gf.optim.Adam(params), "adam_step")):
        plans = get_backend(device).kernels[kernel].plans  # type: ignore[attr-defined]
        for step in range(6):
            give_gradients(params, step)
            for group in optimiser.param_groups:
                group.update(lr=0.1 / (step + 1), weight_decay=0.01 * step)
            optimiser.step()
            if step == 0:
                count = len(plans)
        assert len(plans) == count


@every_device
@pytest.mark.parametrize("count", [1, 40, 73, 601])
def test_any_number_of_parameters(count: int, device: str) -> None:
    shapes = [(1 + i % 3,) for i in range(count)]

    def run(where: str) -> Any:
        make = lambda params: gf.optim.AdamW(params, lr=0.1, amsgrad=True)  # noqa: E731
        return train(where, make, steps=2, params=parameters(where, shapes=shapes))[0]

    gf.kernels.reset()
    found = run(device)
    assert counted("adam_step") == (2, {})
    same(found, run("cpu"))


@every_device
@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.Adam])
def test_parameters_that_joined_late_are_at_a_step_of_their_own(cls: Any, device: str) -> None:
    options = {"momentum": 0.9} if cls is gf.optim.SGD else {}

    def change(step: int, params: list[Any], optimiser: Any) -> None:
        if step < 3:
            params[2].grad = None
        if step in (1, 5):
            params[4].grad = None

    def run(where: str) -> Any:
        return train(where, lambda params: cls(params, lr=0.02, **options), 8, change=change)[0]

    same(run(device), run("cpu"))


@every_device
def test_groups_and_dtypes_have_options_and_launches_of_their_own(device: str) -> None:
    def run(where: str) -> Any:
        narrow, wide = parameters(where), parameters(where, "float64")
        groups = [{"params": narrow[:3] + wide[:2], "lr": 0.1}, {"params": narrow[3:] + wide[2:], "momentum": 0.5}]
        return train(where, lambda _: gf.optim.SGD(groups, lr=0.01), 3, narrow + wide)[0]

    expected = run("cpu")
    gf.kernels.reset()
    same(run(device), expected)
    assert counted("sgd_step") == (12, {})


@every_device
@pytest.mark.parametrize("large", [True, False])
def test_tables_are_no_longer_than_kernel_arguments_may_be(
    large: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(Arguments of 32764 bytes are newer than some GPUs and drivers; 8 floats and 3 flags come after the table.)"""
    assert CAPACITIES[-2:] == (72, 600)
    for capacity in CAPACITIES:
        for arrays in (2, 3, 4, 5):
            table = struct_dtype(packaged("optimizer.cu").text, f"Table<{arrays * capacity}, {capacity}>")
            assert table.itemsize + 8 * 8 + 3 <= (32764 if capacity > 72 else 4096)
    monkeypatch.setattr(launchers.optim, "_large_arguments", lambda backend: large)
    forget_plans()
    params = parameters(device, shapes=[(2,)] * 145)
    optimiser = gf.optim.SGD(params, lr=1.0)
    give_gradients(params, 0)
    expected = [p.detach().numpy() - p.grad.numpy() for p in params]
    optimiser.step()
    assert np.array_equal([p.detach().numpy() for p in params], expected)
    plan = list(get_backend(device).kernels["sgd_step"].plans.values())[-1]  # type: ignore[attr-defined]
    assert len(plan.steps) == (1 if large else 3)
    forget_plans()


def test_a_parameter_may_have_more_elements_than_32_bits_count() -> None:
    w, g = [Operand(i, (2**33,), np.dtype("f4"), (4,)) for i in range(2)]
    planner = Planner("sgd_step", packaged("optimizer.cu"), Recorder(132, 4224, 227 << 10), 2, True)
    numbers = dict.fromkeys(("lr", "momentum", "undamped", "decay"), Runtime(lambda values: 0.1))
    launchers.optim.sgd_step(planner, w, g, arrays=2, first=False, nesterov=False, maximize=False, **numbers)
    assert len(planner.steps) == 1


@pytest.mark.parametrize(
    "nvrtc, driver, capability, large",
    [
        ((12, 1), 12010, "70", True),
        ((13, 2), 13000, "120", True),
        ((12, 0), 12010, "90", False),
        ((13, 0), 12000, "90", False),
        ((12, 9), 12090, "61", False),
    ],
)
def test_large_arguments_need_a_new_cuda_and_gpu(nvrtc: Any, driver: int, capability: str, large: bool) -> None:
    space = SimpleNamespace
    cuda = space(
        nvrtc=space(getVersion=lambda: nvrtc),
        runtime=space(driverGetVersion=lambda: driver),
        Device=lambda index: space(compute_capability=capability),
    )
    backend = space(module=space(cuda=cuda), device=space(index=0))
    assert launchers.optim._large_arguments(backend) == large


@every_device
@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.Adam])
def test_nan_and_infinities_are_numpys(cls: Any, device: str) -> None:
    options = {"momentum": 0.9, "nesterov": True} if cls is gf.optim.SGD else {"amsgrad": True}

    def change(step: int, params: list[Any], optimiser: Any) -> None:
        if step == 1:
            g = params[0].grad.cpu().numpy().copy()
            g[0, :3] = np.nan, np.inf, -np.inf
            params[0].grad = gf.tensor(g, device=params[0].device)

    with np.errstate(all="ignore"):
        found, expected = [
            train(where, lambda params: cls(params, lr=0.1, **options), 3, parameters(where, shapes=[(3, 5)]), change)
            for where in (device, "cpu")
        ]
    for a, b in zip([*found[0], *state_of(found[1])], [*expected[0], *state_of(expected[1])], strict=True):
        assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6, equal_nan=True)


@every_device
def test_a_group_may_lie_on_several_devices_and_have_parameters_without_gradients(device: str) -> None:
    def run(*where: str) -> list[Any]:
        params = [p for w in where for p in parameters(w)]
        optimiser = gf.optim.Adam(params, lr=0.1)
        for step in range(2):
            for part in (params[: len(SHAPES)], params[len(SHAPES) :]):
                give_gradients(part, step)
            params[1].grad = params[-2].grad = None
            optimiser.step()
        return params

    same(run(device, "cpu"), run("cpu", "cpu"))


@every_device
def test_a_gradient_may_have_gaps_or_repeat(device: str) -> None:
    w, plain = [gf.tensor(randoms((4, 6)), dtype="float32", device=d, requires_grad=True) for d in (device, "cpu")]
    wide = randoms((4, 12)).astype("f4")
    gf.kernels.reset()
    for p in (w, plain):
        optimiser = gf.optim.SGD([p], lr=0.1, momentum=0.9)
        for g in (gf.tensor(wide, device=p.device)[:, ::2], gf.ones(1, 6, device=p.device).expand(4, 6)):
            p.grad = g
            optimiser.step()
    same([w], [plain])
    assert counted("sgd_step") == (2, {})


@every_device
def test_a_gradient_elsewhere_is_an_error(device: str) -> None:
    w = gf.ones(3, device=device, requires_grad=True)
    w.grad = gf.ones(3)
    with pytest.raises(RuntimeError, match=rf"\[optim\] a parameter is on {device}\S*, its gradient on cpu"):
        gf.optim.SGD([w]).step()


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@every_device
def test_memory_orders_may_differ(device: str) -> None:
    """Weights in one order, gradients in another, and addresses that are no multiples of 16."""
    backend, shape = get_backend(device), (3, 4, 2, 5)
    values, flat = randoms(shape, "weight").astype("f4"), np.zeros(121, "f4")
    flat[1:] = values.ravel()
    weights = [
        gf.tensor(values, device=device),
        gf.tensor(channels_last(values), device=device),
        gf.tensor(flat, device=device)[1:].reshape(shape).detach(),
    ]
    assert weights[1].below.strides == channels_last(values).strides
    assert backend.address(weights[2].below) % 16 == 4  # type: ignore[attr-defined]
    plain = [gf.tensor(values, requires_grad=True) for _ in weights]
    weights = [w.requires_grad_() for w in weights]
    ours, reference = gf.optim.Adam(weights, lr=0.1), gf.optim.Adam(plain, lr=0.1)
    gf.kernels.reset()
    for step in range(3):
        g = randoms(shape, f"gradient {step}").astype("f4")
        for i, (w, p) in enumerate(zip(weights, plain, strict=True)):
            w.grad = gf.tensor(channels_last(g) if (i + step) % 2 else g, device=device)
            p.grad = gf.tensor(g)
        ours.step()
        reference.step()
    assert counted("adam_step") == (3, {})
    same(weights, plain)


@every_device
def test_a_parameter_with_gaps_is_left_to_the_array_code(device: str) -> None:
    values = randoms((4, 6), "weight")
    storage = gf.tensor(values, dtype="float32", device=device)
    ours, plain = storage[:, ::2].detach().requires_grad_(), gf.tensor(values[:, ::2], dtype="float32")
    gf.kernels.reset()
    for w in (ours, plain.requires_grad_()):
        train(str(w.device), lambda params: gf.optim.SGD(params, lr=0.1, momentum=0.9), 3, [w])
    assert counted("sgd_step") == (0, {"a parameter whose memory has gaps": 3})
    same([ours], [plain])
    assert np.array_equal(storage.numpy()[:, 1::2], values.astype("f4")[:, 1::2])


@every_device
@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.AdamW])
def test_state_moves_between_devices(cls: Any, device: str) -> None:
    options = {"momentum": 0.9} if cls is gf.optim.SGD else {"amsgrad": True}

    def make(params: Any) -> Any:
        return cls(params, lr=0.02, **options)

    params, optimiser = train("cpu", make, 3)
    moved = [gf.tensor(p.detach(), device=device, requires_grad=True) for p in params]
    saved = optimiser.state_dict()

    def load(step: int, params: list[Any], optimiser: Any) -> None:
        if step == 0:
            optimiser.load_state_dict(saved)

    gf.kernels.reset()
    found, _ = train(device, make, 3, moved, load)
    assert counted(cls.kernel) == (3, {})
    same(found, train("cpu", make, 3, params, load)[0])


@every_device
def test_a_step_is_seen_by_version_counters(device: str) -> None:
    w = gf.ones(3, device=device, requires_grad=True)
    loss = (w * w).sum()
    w.grad = gf.ones(3, device=device)
    gf.optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="multiply"):
        loss.backward()
