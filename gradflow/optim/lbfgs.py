"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.grad_mode import enable_grad
from ..autograd.value import backend_under, stamp
from ..backend.base import guarded
from ..creation import tensor
from .line_search import strong_wolfe
from .optimizer import Optimizer, _numbers, _on_host, gradient
from .options import not_negative


class LBFGS(Optimizer):
    """w -= t H g, with the inverse Hessian H estimated from the last history_size changes of w and g.

    A step needs a closure that computes the loss and its gradients, and makes up to max_iter iterations with up to
    max_eval evaluations (by default 1.25 max_iter). It ends where no gradient exceeds tolerance_grad, or where the loss
    or all of w changes by less than tolerance_change. The step size t is lr, or found by a line search where
    line_search_fn is "strong_wolfe". One group of parameters on one device (Liu and Nocedal, 1989).
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        not_negative("LBFGS", lr=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"[LBFGS] line_search_fn must be 'strong_wolfe' or None, got {line_search_fn!r}")
        options = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        tolerances = {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(
            params, {**options, **tolerances, "history_size": history_size, "line_search_fn": line_search_fn}
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("[LBFGS] has one group of parameters only")
        super().add_param_group(param_group)

    # -- the parameters as one vector ---------------------------------------------------------------------------------

    def _gradient(self, np: Any) -> Any:
        return np.concatenate(
            [np.zeros(p.size_, p.dtype) if p.grad is None else gradient(p).ravel() for p in self._params()]
        )

    def _write(self, vectors: Any) -> None:
        for p, v in zip(self._params(), vectors, strict=True):
            p.below[...] = v
            stamp(p.version)

    def _move(self, t: float, d: Any) -> None:
        start, moved = 0, []
        for p in self._params():
            moved.append(p.below + (d[start : start + p.size_] * t).reshape(p.shape))
            start += p.size_
        self._write(moved)

    # -- a step -------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Some iterations; the loss before them. The closure computes the loss again, and its gradients."""
        if closure is None:
            raise TypeError("[LBFGS] step needs a closure that computes the loss and its gradients")
        backend = backend_under(self._params()[0])
        for p in self._params():
            if backend_under(p) is not backend:
                raise RuntimeError(f"[LBFGS] parameters must be on one device, got {backend.device} and {p.device}")
        with guarded(backend):
            return self._iterate(backend.module, closure)

    def _iterate(self, np: Any, closure: Callable[[], Any]) -> Any:
        group, state = _numbers(self.param_groups[0]), self.state[self._params()[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with enable_grad():
            first = closure()
        loss, g, evaluations = float(first), self._gradient(np), 1
        state["func_evals"] += 1
        if _largest(np, g) <= group["tolerance_grad"]:
            return first
        d, before, n = state.get("d"), state.get("prev_loss"), 0
        t: Any = state.get("t")
        while n < group["max_iter"]:
            n += 1
            state["n_iter"] += 1
            begins = state["n_iter"] == 1
            d = self._begin(state, g) if begins else self._direction(np, state, g, d, t, group["history_size"])
            state["prev_flat_grad"], before = g, loss
            t = (min(1.0, 1.0 / float(np.add.reduce(np.abs(g)))) if begins else 1.0) * group["lr"]
            slope = float(g @ d)
            if slope > -group["tolerance_change"]:
                break
            loss, g, t, used = self._search(np, closure, loss, g, d, t, slope, group, evaluations, n)
            evaluations += used
            state["func_evals"] += used
            if n == group["max_iter"] or evaluations >= group["max_eval"]:
                break
            if _largest(np, g) <= group["tolerance_grad"] or _largest(np, d) * abs(t) <= group["tolerance_change"]:
                break
            if abs(loss - before) < group["tolerance_change"]:
                break
        state.update(d=d, t=t, prev_loss=before)
        return first

    def _begin(self, state: dict[str, Any], g: Any) -> Any:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -g

    def _direction(self, np: Any, state: dict[str, Any], g: Any, d: Any, t: float, size: int) -> Any:
        """-H g by the two-loop recursion, with the last change of w and g taken into the history."""
        dirs, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], d * t
        ys = float(y @ s)
        if ys > 1e-10:
            if len(dirs) == size:
                for held in (dirs, steps, ro):
                    held.pop(0)
            dirs.append(y)
            steps.append(s)
            ro.append(1.0 / ys)
            state["H_diag"] = ys / float(y @ y)
        d, alphas = -g, [0.0] * len(dirs)
        for i in range(len(dirs) - 1, -1, -1):
            alphas[i] = float(steps[i] @ d) * ro[i]
            d -= dirs[i] * alphas[i]
        d *= state["H_diag"]
        for i in range(len(dirs)):
            d += steps[i] * (alphas[i] - float(dirs[i] @ d) * ro[i])
        return d

    def _search(
        self, np: Any, closure: Any, loss: float, g: Any, d: Any, t: float, slope: float, group: dict[str, Any],
        evaluations: int, n: int,
    ) -> tuple[float, Any, float, int]:  # fmt: skip
        """Move along d; (loss, gradient, step size, evaluations) there."""

        def evaluate(size: float) -> tuple[float, Any]:
            self._move(size, d)
            with enable_grad():
                value = float(closure())
            found = value, self._gradient(np)
            self._write(start)
            return found

        if group["line_search_fn"] is not None:
            start = [p.below.copy() for p in self._params()]
            most = group["max_eval"] - evaluations
            loss, g, t, used = strong_wolfe(evaluate, t, d, _largest(np, d), loss, g, slope, most)
            self._move(t, d)
            return loss, g, t, used
        self._move(t, d)
        if n == group["max_iter"]:
            return loss, g, t, 0
        with enable_grad():
            loss = float(closure())
        return loss, self._gradient(np), t, 1

    # -- state: vectors over all parameters, numbers, and lists of both ----------------------------------------------

    def saved(self, p: Any, value: Any) -> Any:
        if isinstance(value, list):
            return [self.saved(p, v) for v in value]
        return tensor(value, device=p.device) if hasattr(value, "dtype") else value

    def restored(self, p: Any, name: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self.restored(p, name, v) for v in value]
        if not hasattr(value, "dtype"):
            return value
        if not value.shape:
            return float(value)
        return tensor(_on_host(value), dtype=p.dtype, device=p.device).below


def _largest(np: Any, x: Any) -> float:
    return float(np.abs(x).max()) if x.size else 0.0
