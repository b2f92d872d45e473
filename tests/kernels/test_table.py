"""The whole table of cases on the devices that have kernels: values and gradients are the CPU's."""

from __future__ import annotations

import pytest
from kernels.harness import DEVICES
from ops.cases import CASES, Case
from ops.harness import all_close, constants, floating, gradients, leaves, many, project, to_host

from gradflow.backend import get_backend

every_device = pytest.mark.parametrize("device", DEVICES)
every_case = pytest.mark.parametrize("case", CASES, ids=repr)


@every_device
@every_case
def test_values_and_gradients_are_those_of_the_cpu(case: Case, device: str) -> None:
    if case.lands is not None:  # moves to the CPU by itself
        device = "cpu"
    outs, grads = {}, {}
    for place in ("cpu", device):
        xs, fixed = leaves(case, device=place), constants(case, device=place)
        ys = many(case.call(*xs, *fixed))
        outs[place] = [to_host(y) for y in ys]
        assert all([y.device == get_backend(place).device for y in ys])
        if floating(ys):
            grads[place] = [to_host(g) for g in gradients(project(floating(ys)), xs)]
    all_close(outs[device], outs["cpu"], 1e-11, "output")
    all_close(grads.get(device, []), grads.get("cpu", []), 1e-10, "gradient")


@every_device
@every_case
def test_recorded_gradients_are_those_of_the_cpu(case: Case, device: str) -> None:
    if case.lands is not None:
        device = "cpu"
    found = {}
    for place in ("cpu", device):
        xs, fixed = leaves(case, device=place), constants(case, device=place)
        ys = floating(many(case.call(*xs, *fixed)))
        found[place] = [to_host(g) for g in gradients(project(ys), xs, create_graph=True)] if ys else []
    all_close(found[device], found["cpu"], 1e-10, "recorded gradient")
