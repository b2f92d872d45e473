"""How wide the accesses of kernels with a bias are: 16 bytes, where all addresses are multiples of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES

from gradflow.backend import get_backend
from gradflow.backend.cuda import plan
from gradflow.backend.cuda.launcher import forget_plans


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("odd", [None, "x", "bias"])
def test_vectors_are_read_at_aligned_addresses_only(device: str, odd: str | None, monkeypatch: Any) -> None:
    backend, templates = get_backend(device), []
    launch_of = plan.Planner.launch

    def spy(self: plan.Planner, kernel: str, template: Any, *arguments: Any, **geometry: Any) -> None:
        templates.append(template)
        launch_of(self, kernel, template, *arguments, **geometry)

    monkeypatch.setattr(plan.Planner, "launch", spy)
    forget_plans()
    host = {"x": np.arange(24, dtype="f4"), "bias": np.arange(8, dtype="f4")}
    data = {
        k: backend.from_host(np.append(v[:1], v))[1:] if k == odd else backend.from_host(v) for k, v in host.items()
    }
    y = backend.kernels["bias_add"](data["x"].reshape(3, 8), data["bias"], axis=1)
    assert templates[0][-2:] == [1 if odd else 4, True]
    np.testing.assert_array_equal(backend.to_host(y), host["x"].reshape(3, 8) + host["bias"])
