"""Launchers: the functions that stand between a computation and its kernels.

A launcher has the name of a primitive or fused formula, takes what its body takes, and records a plan (see `plan`). It
runs once for each combination of dtypes, shapes, layouts and statics; calls after that replay the plan.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from ..dtypes import is_floating
from ..kernels import Declined
from .operand import Operand
from .plan import DeclineError, Plan, Planner, Runtime
from .program import Program, packaged
from .signature import dtype_key

FLOATS = ("f4", "f8", "f2", "bfloat16")
LAUNCHERS: dict[str, Launcher] = {}
"""gradflow's own launchers, by the name of the computation."""

USER_LAUNCHERS: dict[str, Launcher] = {}
"""Those that `cuda_kernel` made."""

MAX_PLANS = 4096
"""Plans a launcher keeps on a device; shapes that never come again must not fill the memory."""

_FLOATING = (float, np.floating)

_caches: weakref.WeakSet[PlanCache] = weakref.WeakSet()
_backends: weakref.WeakSet[Any] = weakref.WeakSet()


class Launcher:
    """A function that plans, for one or more computations.

    dtypes   the floating dtypes it takes; operands of others are declined
    inplace  kernels may write to operands
    runtime  the statics that change from call to call and do not enter the plan's key
    owner    the user's operation that it belongs to
    """

    def __init__(
        self, plan: Callable[..., Any], program: Callable[[], Program | None], dtypes: Sequence[str], inplace: bool,
        runtime: Sequence[str], owner: str = "",
    ) -> None:  # fmt: skip
        self.plan, self.program, self.dtypes = plan, program, frozenset(dtypes)
        self.inplace, self.runtime, self.owner = inplace, tuple(runtime), owner

    def on(self, backend: Any, name: str) -> PlanCache:
        """The launcher of one computation on one device."""
        return PlanCache(self, backend, name)


class PlanCache:
    """Called with arrays and statics, runs the plan for them; returns the result, or Declined with the reason."""

    def __init__(self, launcher: Launcher, backend: Any, name: str) -> None:
        self.launcher, self.backend, self.name = launcher, backend, name
        self.array_type, self.address = backend.array_type, backend.address
        self.runtime = launcher.runtime
        self.plans: dict[Any, Plan | Declined] = {}
        _caches.add(self)

    def __call__(self, *args: Any, **static: Any) -> Any:
        values = {k: static.pop(k) for k in self.runtime if k in static} if self.runtime else {}
        kind, address = self.array_type, self.address
        key = (
            *[(a.dtype, a.shape, a.strides, address(a) & 15 == 0) if type(a) is kind else _exactly(a) for a in args],
            *[(k, _exactly(v)) for k, v in static.items()],
            *values,
        )
        plans = self.plans
        try:
            plan = plans.get(key)
        except TypeError:
            return Declined(f"an operand or static that is neither an array of {self.backend.device} nor hashable")
        if plan is None:
            plan = self._make(args, static, values)
            if len(plans) >= MAX_PLANS:
                plans.clear()
            plans[key] = plan
        return plan if type(plan) is Declined else plan.run(args, values)  # type: ignore[union-attr]

    def _make(self, args: Sequence[Any], static: dict[str, Any], values: dict[str, Any]) -> Plan | Declined:
        launcher, operands = self.launcher, []
        for i, a in enumerate(args):
            if type(a) is not self.array_type:
                operands.append(a)
                continue
            if is_floating(a.dtype) and dtype_key(a.dtype) not in launcher.dtypes:
                return Declined(f"an operand of dtype {a.dtype}")
            if not a.dtype.isnative:
                return Declined("an operand whose bytes are in another order than the device's")
            operands.append(Operand(i, a.shape, a.dtype, a.strides, 0, self.address(a) % 16 == 0))
        if launcher.owner and not any([is_floating(x.dtype) for x in operands if isinstance(x, Operand)]):
            return Declined("operands that are all integers")
        planner = Planner(self.name, launcher.program(), self.backend, len(args), launcher.inplace)
        symbols = {k: Runtime(itemgetter(k)) for k in values}
        try:
            result = launcher.plan(planner, *operands, **static, **symbols)
        except DeclineError as error:
            return Declined(str(error))
        if launcher.owner and (result is None or result == ()):
            raise TypeError(f"[{self.name}] its launcher returns nothing; return the result's Operand")
        return Plan(planner, result)


_PLAIN = frozenset([int, str, type(None)])


def _exactly(value: Any) -> Any:
    """A static as part of a key: 1, 1.0 and True differ, so do 0.0 and -0.0, and NaN is NaN."""
    kind = type(value)
    return value if kind in _PLAIN else (kind, repr(value) if kind is tuple or isinstance(value, _FLOATING) else value)


def launcher(
    source: str | None,
    *,
    dtypes: Sequence[str] = FLOATS,
    names: Sequence[str] = (),
    inplace: bool = False,
    runtime: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function the launcher of the computation of its name, or of `names`.

    `source` is a file of kernels/cuda, or None for a computation that needs nothing but BLAS.
    The function gets a Planner, Operands for the body's arrays, and the body's statics.
    """

    def register(plan: Callable[..., Any]) -> Callable[..., Any]:
        made = Launcher(plan, lambda: packaged(source) if source else None, dtypes, inplace, runtime)
        for name in names or (plan.__name__,):
            if name in LAUNCHERS:
                raise ValueError(f"there is already a launcher for {name!r}")
            LAUNCHERS[name] = made
        return plan

    return register


def launchers_on(backend: Any) -> dict[str, PlanCache]:
    """All launchers for a device, by the name of the computation."""
    from . import launchers  # noqa: F401  registers them

    _backends.add(backend)
    return {name: found.on(backend, name) for name, found in {**LAUNCHERS, **USER_LAUNCHERS}.items()}


def add_launcher(name: str, made: Launcher) -> None:
    """Make a user's launcher known to all devices; one of the same name and owner is replaced."""
    from . import launchers  # noqa: F401  registers gradflow's own

    if name in LAUNCHERS:
        raise ValueError(f"[cuda_kernel] gradflow itself has a kernel called {name!r}; name yours otherwise")
    if name in USER_LAUNCHERS and USER_LAUNCHERS[name].owner != made.owner:
        owner = USER_LAUNCHERS[name].owner
        raise ValueError(f"[cuda_kernel] {owner!r} already has a kernel called {name!r}; name this one otherwise")
    USER_LAUNCHERS[name] = made
    for backend in _backends:
        backend.kernels[name] = made.on(backend, name)


def forget_plans() -> None:
    """Plan anew at the next calls: a setting that launchers read has changed."""
    for cache in _caches:
        cache.plans = {}  # not cleared: a plan that another thread is making goes to the old one
