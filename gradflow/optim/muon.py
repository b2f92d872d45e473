"""Muon."""

from __future__ import annotations

import math
from typing import Any

from ..backend.dtypes import is_half
from .optimizer import Optimizer
from .options import approach, not_negative, shrink


class Muon(Optimizer):
    """w -= lr * U V^T for the matrix U S V^T of running means of the gradient: matrices (out, in) only.

    U V^T is approached by ns_steps Newton-Schulz steps x -> a x + (b x x^T + c (x x^T)^2) x with the ns_coefficients
    (a, b, c), from the mean (nesterov: one step ahead) over its Frobenius norm, at least eps. adjust_lr_fn scales lr by
    the shape: "original" (the default) by sqrt(max(1, out / in)), "match_rms_adamw" by 0.2 sqrt(max(out, in)).
    weight_decay shrinks w by lr * weight_decay. The steps are taken in float32, or in float64 for parameters of it,
    where PyTorch takes them in bfloat16 (Jordan et al., 2024; Liu et al., 2025). Use another optimiser for biases,
    embeddings, and the first and last layers.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        not_negative("Muon", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"[Muon] adjust_lr_fn must be 'original' or 'match_rms_adamw', got {adjust_lr_fn!r}")
        if ns_steps >= 100 or len(ns_coefficients) != 3:
            raise ValueError(
                f"[Muon] takes fewer than 100 steps with three coefficients, got {ns_steps} and {ns_coefficients}"
            )
        options = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov}
        steps = {"ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn}
        super().__init__(params, {**options, **steps})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.ndim != 2:
                self.param_groups.pop()
                raise ValueError(f"[Muon] optimises matrices only, got a parameter {tuple(p.shape)}")

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        momentum, lr = group["momentum"], group["lr"]
        if not state:
            state["momentum_buffer"] = np.zeros_like(w)
        m = state["momentum_buffer"]
        approach(m, g, 1 - momentum)
        x = m
        if group["nesterov"]:
            x = m - g
            x *= momentum
            x += g
        x = orthogonal(np, x, group["ns_coefficients"], group["ns_steps"], group["eps"])
        shrink(w, group)
        rows, columns = w.shape
        wide = group["adjust_lr_fn"] == "match_rms_adamw"
        x *= lr * (0.2 * math.sqrt(max(rows, columns)) if wide else math.sqrt(max(1, rows / columns)))
        w -= x.astype(w.dtype, copy=False)


def orthogonal(np: Any, x: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """Nearly U V^T, a fresh array, for x = U S V^T: singular values between about 0.7 and 1.2 after five steps."""
    a, b, c = coefficients
    x = x.astype("f4") if is_half(x.dtype) else x
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / np.maximum(np.sqrt(np.add.reduce(x * x, axis=None)), eps)
    for _ in range(steps):
        gram = x @ x.T
        update = gram @ gram
        update *= c
        gram *= b
        update += gram
        following = update @ x
        x *= a
        x += following
    return x.T if tall else x
