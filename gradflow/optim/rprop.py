"""Rprop, and averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import check_hints, direction, not_negative


class Rprop(Optimizer):
    """w -= s * sign(g), element by element: s grows while g keeps its sign, and shrinks where g changes it.

    etas are the factors by which s shrinks and grows, step_sizes its bounds, lr its start. Where g changes its sign, w
    stays (Riedmiller and Braun, 1993). For whole batches.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        not_negative("Rprop", lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"[Rprop] etas must be below and above 1, got {etas}")
        check_hints("Rprop", differentiable)
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        if group["maximize"]:
            g = -g
        if not state:
            state.update(step=0, prev=np.zeros_like(w), step_size=np.full_like(w, group["lr"]))
        state["step"] += 1
        before, size, (minus, plus) = state["prev"], state["step_size"], group["etas"]
        same = g * before
        turned = same < 0
        size[same > 0] *= plus
        size[turned] *= minus
        np.clip(size, *group["step_sizes"], out=size)
        before[...] = g
        before[turned] = 0
        np.sign(before, out=same)
        same[same != same] = 0  # NaN: no step, as PyTorch's sign has it
        same *= size
        w -= same


class ASGD(Optimizer):
    """w -= eta * (g + lambd w), whose running average is kept in the state's "ax" from step t0 on.

    eta = lr / (1 + lambd lr t)^alpha; weight_decay adds that much of w to g (Polyak and Juditsky, 1992).
    """

    numbers = ("step", "eta", "mu")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        not_negative("ASGD", lr=lr, weight_decay=weight_decay)
        check_hints("ASGD", differentiable)
        options = {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0}
        super().__init__(params, {**options, "weight_decay": weight_decay, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group)
        lr, lambd = group["lr"], group["lambd"]
        if not state:
            state.update(step=0, eta=float(lr), mu=1.0, ax=np.zeros_like(w))
        step = state["step"] = state["step"] + 1
        eta, mu, mean = state["eta"], state["mu"], state["ax"]
        w *= 1 - lambd * eta
        change = g * eta
        w -= change.astype(w.dtype, copy=False)
        if mu == 1:
            mean[...] = w
        else:
            np.subtract(w, mean, out=change)
            change *= mu
            mean += change
        state["eta"], state["mu"] = lr / (1 + lambd * lr * step) ** group["alpha"], 1 / max(1, step - group["t0"])
