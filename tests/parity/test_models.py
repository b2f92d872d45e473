"""Our models against torchvision's: the same keys and shapes of weights, and with the same weights the same logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")
try:
    from torchvision import models as theirs
except (ImportError, RuntimeError) as error:  # RuntimeError: one that is made for another PyTorch
    pytest.skip(f"torchvision is not usable: {error}", allow_module_level=True)

NAMES = ["resnet18", "resnet34", "squeezenet1_1", "mobilenet_v2"]
LARGE = ["vgg11", "vgg16_bn", "vgg19"]


@pytest.mark.parametrize("name", [*NAMES, *[pytest.param(n, marks=pytest.mark.slow) for n in LARGE]])
def test_same_weights_same_logits(name: str) -> None:
    torch.manual_seed(0)
    one: Any = getattr(theirs, name)(weights=None).eval()
    other: Any = getattr(gf.models, name)().eval()
    state = one.state_dict()
    assert {k: tuple(v.shape) for k, v in other.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    assert list(other.state_dict()) == list(state)
    rng = np.random.default_rng(0)
    for key, value in state.items():
        if key.endswith("running_var"):
            value.copy_(torch.from_numpy(rng.uniform(0.5, 2.0, tuple(value.shape))))
        elif key.endswith("running_mean"):
            value.copy_(torch.from_numpy(rng.normal(0, 0.1, tuple(value.shape))))
    other.load_state_dict({k: v.numpy() for k, v in state.items()})
    x = rng.standard_normal((2, 3, 97, 64)).astype("f4")
    with torch.no_grad():
        expected = one(torch.from_numpy(x)).numpy()
    found = other(gf.tensor(x)).detach().numpy()
    assert np.linalg.norm(found - expected) <= 2e-4 * np.linalg.norm(expected)
