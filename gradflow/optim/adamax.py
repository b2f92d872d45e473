"""Adam's relatives: Adamax, NAdam and RAdam."""

from __future__ import annotations

import math
from typing import Any

from .optimizer import Optimizer
from .options import approach, check_betas, check_hints, direction, mean_square, not_negative, shrink


class Adamax(Optimizer):
    """w -= lr * m / u, with the running mean m of g, corrected for its start at 0, and u = max(b2 u, |g| + eps).

    weight_decay adds that much of w to g (Kingma and Ba, 2015).
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        not_negative("Adamax", lr=lr, eps=eps, weight_decay=weight_decay)
        check_hints("Adamax", differentiable)
        options = {"lr": lr, "betas": check_betas("Adamax", betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group)
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(w), exp_inf=np.zeros_like(w))
        state["step"] += 1
        (b1, b2), m, u = group["betas"], state["exp_avg"], state["exp_inf"]
        approach(m, g, 1 - b1)
        size = np.abs(g)
        size += group["eps"]
        u *= b2
        np.maximum(u, size, out=u)
        np.divide(m, u, out=size)
        size *= group["lr"] / (1 - b1 ** state["step"])
        w -= size


class _Means(Optimizer):
    """What NAdam and RAdam share: running means of g and g^2, and weight decay of either kind."""

    def __init__(
        self, params: Any, lr: Any, betas: Any, eps: float, weight_decay: float, decoupled: bool, maximize: bool,
        differentiable: bool, **more: Any,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay, **more)
        check_hints(name, differentiable)
        options = {"lr": lr, "betas": check_betas(name, betas), "eps": eps, "weight_decay": weight_decay, **more}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled, "maximize": maximize})

    def means(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any], **start: Any) -> Any:
        """(g, m, v) with weight decay and the new gradient in them."""
        decoupled = group["decoupled_weight_decay"]
        g = direction(w, g, group, decay=not decoupled)
        if decoupled:
            shrink(w, group)
        if not state:
            state.update(step=0, **start, exp_avg=np.zeros_like(w), exp_avg_sq=np.zeros_like(w))
        state["step"] += 1
        b1, b2 = group["betas"]
        approach(state["exp_avg"], g, 1 - b1)
        mean_square(state["exp_avg_sq"], g, b2)
        return g, state["exp_avg"], state["exp_avg_sq"]


class NAdam(_Means):
    """Adam with Nesterov momentum: the mean is looked at one step ahead (Dozat, 2016).

    momentum_decay says how fast the momentum grows towards betas[0]; weight_decay adds that much of w to g, or with
    decoupled_weight_decay shrinks w itself.
    """

    numbers = ("step", "mu_product")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, decoupled_weight_decay, maximize, differentiable,
            momentum_decay=momentum_decay,
        )  # fmt: skip

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g, m, v = self.means(np, w, g, group, state, mu_product=1.0)
        step, (b1, b2), lr = state["step"], group["betas"], group["lr"]
        mu, following = [b1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)]
        product = state["mu_product"] = state["mu_product"] * mu
        scale = v / (1 - b2**step)
        np.sqrt(scale, out=scale)
        scale += group["eps"]
        ahead = g * (lr * (1 - mu) / (1 - product))
        ahead += m * (lr * following / (1 - product * following))
        ahead /= scale
        w -= ahead.astype(w.dtype, copy=False)


class RAdam(_Means):
    """Adam that begins with plain momentum, until the variance of its step size is bounded (Liu et al., 2020).

    weight_decay adds that much of w to g, or with decoupled_weight_decay shrinks w itself.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, decoupled_weight_decay, maximize, differentiable
        )  # fmt: skip

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        _, m, v = self.means(np, w, g, group, state)
        step, (b1, b2) = state["step"], group["betas"]
        rest, most = 1 - b2**step, 2 / (1 - b2) - 1
        length = most - 2 * step * b2**step / rest  # of the average that v is
        rate = group["lr"] / (1 - b1**step)
        if length > 5.0:
            rate *= math.sqrt(
                (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length) * rest
            )  # fmt: skip
            scale = np.sqrt(v)
            scale += group["eps"]
            np.divide(m, scale, out=scale)
            scale *= rate
        else:
            scale = m * rate
        w -= scale.astype(w.dtype, copy=False)
