"""The user's own CUDA kernels as differentiable operations: `cuda_kernel`."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .autograd.gradcheck import gradcheck
from .autograd.primitive import PRIMITIVES, Primitive, Raw, bind, prepare, raw_over
from .backend import get_backend
from .backend.base import guarded
from .backend.cuda.launcher import FLOATS, USER_LAUNCHERS, Launcher, add_launcher
from .backend.cuda.program import Program
from .backend.cuda.signature import dtype_key
from .backend.dtypes import as_dtype, is_floating
from .backend.kernels import Declined
from .creation import tensor

Rule = Callable[..., Any]

TOLERANCE = {"f4": 1e-5, "f8": 1e-12, "f2": 4e-3, "bfloat16": 3e-2}
"""Largest difference from the reference in float64, relative to its largest number (or 1)."""


class CheckError(AssertionError):
    """A kernel that does not compute what its reference does."""


class Checked(NamedTuple):
    """One kernel, checked: its largest error relative to the reference, and how fast it moved its operands."""

    kernel: str
    dtype: str
    error: float
    seconds: float
    bytes: int

    @property
    def bandwidth(self) -> float:
        """Bytes per second: each operand and result read or written once."""
        return self.bytes / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.kernel} {self.dtype}: error {self.error:.1e}, {self.seconds * 1e6:.0f} us, "
            f"{self.bandwidth / 1e9:.2f} GB/s"
        )


class CudaKernel:
    """An operation with a kernel and a reference; made by `cuda_kernel`. Call it on tensors."""

    def __init__(self, program: Program, plan: Rule, reference: Rule, dtypes: Sequence[str]) -> None:
        name = plan.__name__
        _refuse_taken(name)
        self.program, self.dtypes, self.__name__, self.__doc__ = program, tuple(dtypes), name, reference.__doc__
        self.primitive = Primitive(reference, name=name, promote="same")
        self._reverse: Primitive | None = None
        self._launcher = self._register(name, plan)

    def __call__(self, *args: Any, **static: Any) -> Any:
        self._refuse_replaced()
        return bind(self.primitive, args, self._options(args, static))

    def _refuse_replaced(self) -> None:
        if USER_LAUNCHERS[self.__name__] is not self._launcher:
            raise RuntimeError(f"[{self.__name__}] was defined anew; use the new one, or name one of them otherwise")

    def _options(self, args: Sequence[Any], static: dict[str, Any]) -> dict[str, Any]:
        """All statics; refuses operands and statics that the reference does not take."""
        prim = self.primitive
        if len(args) != len(prim.inputs):
            wanted = ", ".join(prim.inputs)
            raise TypeError(f"[{prim.name}] takes {len(prim.inputs)} operands ({wanted}), got {len(args)}")
        unknown = set(static) - set(prim.statics)
        if unknown:
            raise TypeError(f"[{prim.name}] has no option {', '.join(sorted(unknown))}; it has {prim.statics}")
        return {**prim.defaults, **static}

    def backward(self, *, reference: Rule) -> Callable[[Rule], Rule]:
        """Decorates the launcher of the backward kernel.

        `reference(xp, g, <inputs and statics it wants, by the forward's names>)` is the same as a formula of
        operators and `xp` names; it returns the cotangent of each input, or of the only one. It is what is
        differentiated for higher orders.
        """

        def define(plan: Rule) -> Rule:
            prim, name = self.primitive, plan.__name__
            _refuse_taken(name)
            if name == prim.name:
                raise ValueError(f"[cuda_kernel] the backward kernel of {name!r} needs a name of its own")
            formula = Primitive(reference, name=name, formula=reference)
            unknown = [
                n for n in (*formula.inputs[1:], *formula.statics) if n not in (*prim.inputs, *prim.statics, "y")
            ]
            if formula.inputs[:1] != ("g",) or unknown:
                raise TypeError(
                    f"[{name}] the reference takes (xp, g, ...) and names of {prim.name}'s inputs {prim.inputs}, "
                    f"'y' or statics {prim.statics}; got {formula.inputs + formula.statics}"
                )
            count = len(formula.inputs)
            single = len(prim.inputs) == 1

            def joint(xp: Any, needs: Any, *values: Any) -> tuple[Any, ...]:
                arrays, static = values[:count], dict(zip(formula.statics, values[count:], strict=True))
                if isinstance(xp, Raw):
                    out = xp.run(formula, prepare(formula, arrays, xp.backend), static)[0]
                else:
                    out = bind(formula, arrays, static)
                return (out,) if single and not isinstance(out, tuple) else tuple(out)

            self._reverse, prim.joint = formula, joint
            prim.joint_plan = (("needs", 0), *[prim._source(n) for n in (*formula.inputs, *formula.statics)])
            self._register(name, plan)
            return plan

        return define

    def _register(self, name: str, plan: Rule) -> Launcher:
        made = Launcher(plan, lambda: self.program, self.dtypes, False, (), self.__name__)
        add_launcher(name, made)
        return made

    # -- checking -------------------------------------------------------------------------------------------------

    def check(self, *operands: Any, device: Any = None, **static: Any) -> list[Checked]:
        """Run the kernels on random inputs and compare them with their references, in every dtype; gradcheck them.

        `operands` are shapes, to be filled with standard normal numbers, or arrays. `device` is "cuda" where there is
        a GPU and "emulated" where there is none, unless given. Returns what was measured, one entry per kernel and
        dtype; raises CheckError where a kernel differs from its reference or declines.
        """
        if device is None:
            device = "cuda" if get_backend("auto").device.type == "cuda" else "emulated"
        self._refuse_replaced()
        static = self._options(operands, static)
        hosts = [
            _random(o, self.__name__, i) if isinstance(o, tuple) else np.asarray(o) for i, o in enumerate(operands)
        ]
        if not any([is_floating(h.dtype) for h in hosts]):
            raise TypeError(f"[{self.__name__}] check takes shapes, which are tuples, and arrays; none here has floats")
        report = []
        for dtype in self.dtypes:
            cast = [h.astype(as_dtype(dtype)) if is_floating(h.dtype) else h for h in hosts]
            report.append(_compare(self.primitive, cast, static, dtype, device))
            if self._reverse is not None:
                report.append(
                    _compare(self._reverse, self._cotangents(cast, static), self._statics(static), dtype, device)
                )
        if self._reverse is not None and "f8" in self.dtypes:
            inputs = [tensor(h, device=device, requires_grad=is_floating(h.dtype)) for h in hosts]
            gradcheck(lambda *xs: self(*xs, **static), inputs)
        return report

    def _cotangents(self, hosts: list[Any], static: dict[str, Any]) -> list[Any]:
        """The host operands of the backward reference: a random cotangent, and the inputs it names."""
        assert self._reverse is not None
        dtype = next(h.dtype for h in hosts if is_floating(h.dtype))  # bfloat16 times a Python number is float32
        y = np.asarray(self.primitive.body(np, *hosts, **static)).astype(dtype)
        values = {**dict(zip(self.primitive.inputs, hosts, strict=True)), "y": y}
        values["g"] = _random(y.shape, self._reverse.name, 0).astype(dtype)
        return [values[n] for n in self._reverse.inputs]

    def _statics(self, static: dict[str, Any]) -> dict[str, Any]:
        assert self._reverse is not None
        return {n: static[n] for n in self._reverse.statics}


def cuda_kernel(
    *, source: str, reference: Rule, dtypes: Sequence[str] = FLOATS[:2]
) -> Callable[[Rule], CudaKernel]:  # fmt: skip
    """Make an operation of a CUDA kernel of your own: decorates its launcher.

    `source` is CUDA C++ with `__global__` functions, templates over the element type if you like. `reference` is the
    same computation as array code, `reference(np, *arrays, **statics)`: it runs on the CPU, wherever the launcher
    declines, and the kernel is checked against it. The launcher receives a Planner and stand-ins for the arrays:

        @gf.cuda_kernel(source=SOURCE, reference=lambda np, x, *, k=1.0: np.sin(k * x))
        def wave(plan, x, *, k=1.0):
            y = plan.empty_like(x)
            plan.launch("wave", [x.dtype], x, y, x.size, k, threads=x.size)
            return y

    Arguments are checked against the kernel's parameters. `wave.backward(reference=...)` adds the gradient, and
    `wave.check((1000,))` compares kernels and references. Runs on a GPU, and with device="emulated" on any machine.
    """
    if not isinstance(source, str) or not callable(reference):
        raise TypeError("[cuda_kernel] takes a source, which is text, and a reference, which is a function")
    names = [dtype_key(as_dtype(d)) for d in dtypes]
    if not names or set(names) - set(FLOATS):
        raise ValueError(f"[cuda_kernel] dtypes are of {FLOATS}, one at least, got {dtypes!r}")
    return lambda plan: CudaKernel(Program(source, f"{plan.__name__}.cu"), plan, reference, names)


def _refuse_taken(name: str) -> None:
    if name in PRIMITIVES:
        raise ValueError(f"[cuda_kernel] gradflow itself has an operation called {name!r}; name yours otherwise")


def _random(shape: Sequence[int], name: str, i: int) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape} {i}".encode()))
    return np.asarray(rng.standard_normal(tuple(shape)))


def _compare(prim: Primitive, hosts: list[Any], static: dict[str, Any], dtype: str, device: Any) -> Checked:
    """One kernel against its reference in float64, and the best time of a few launches."""
    backend = get_backend(device)
    arrays = [backend.from_host(h) for h in hosts]
    wide = [h.astype("f8") if is_floating(h.dtype) else h for h in hosts]
    with np.errstate(all="ignore"):
        expected = (
            prim.formula(raw_over(get_backend("cpu")), *wide, **static)
            if prim.formula
            else prim.body(np, *wide, **static)
        )
    if prim.name not in backend.kernels:
        raise ValueError(f"[{prim.name}] there are no kernels on {backend.device}; check on cuda or emulated")
    with guarded(backend):
        found = backend.kernels[prim.name](*arrays, **static)
        if isinstance(found, Declined):
            raise CheckError(f"[{prim.name}] the kernel declined {dtype}: {found.reason}")
        seconds = _time(lambda: backend.kernels[prim.name](*arrays, **static), backend)
    ours, theirs = _many(found), _many(expected)
    if len(ours) != len(theirs):
        raise CheckError(f"[{prim.name}] gives {len(ours)} results, its reference {len(theirs)}")
    error = max([_error(prim.name, backend.to_host(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)])
    if not error <= TOLERANCE[dtype]:
        raise CheckError(
            f"[{prim.name}] differs from its reference in {dtype} by {error:.1e} (may: {TOLERANCE[dtype]:.0e})"
        )
    moved = sum([a.nbytes for a in arrays]) + sum([a.nbytes for a in _many(found)])
    return Checked(prim.name, dtype, error, seconds, moved)


def _many(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


def _error(name: str, found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        raise CheckError(f"[{name}] gives the shape {found.shape}, its reference {expected.shape}")
    if not found.size:
        return 0.0
    found, expected = found.astype("f8"), expected.astype("f8")
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return math.inf
    off = float(np.abs(found[finite] - expected[finite]).max(initial=0.0))
    return off / max(float(np.abs(expected[finite]).max(initial=0.0)), 1.0) if math.isfinite(off) else math.inf


def _time(call: Callable[[], Any], backend: Any, repeats: int = 5) -> float:
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        backend.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


__all__ = ["CheckError", "Checked", "CudaKernel", "cuda_kernel"]
