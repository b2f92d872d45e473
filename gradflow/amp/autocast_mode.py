"""`autocast`: regions in which primitives choose the precision they compute in."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd.grad_mode import MODE
from ..autograd.primitive import casting
from ..autograd.tape import MAIN
from ..autograd.value import Value, backend_under
from ..backend.dtypes import as_dtype, bfloat16, float16, float32, is_floating, is_half
from ..ops.elementwise import astype

DEFAULTS = {"cpu": "bfloat16", "cuda": "float16", "emulated": "float16"}

LOW = frozenset(["matmul", "linear", "conv2d", "conv2d_input_grad"])
"""Primitives that compute in the region's dtype (the last is the transposed convolution), and `linear`."""

WIDE = frozenset(
    [
        *("exp", "expm1", "log", "log10", "log1p", "log2", "power", "rsqrt", "tan", "sinh", "cosh", "acos", "asin"),
        *("erfinv", "softplus", "softmax", "log_softmax", "sum", "prod", "cumsum", "cumprod"),
        *("softmax_cross_entropy", "softmax_cross_entropy_probabilities", "cross_entropy_mean"),
        *("layer_norm", "batch_norm", "batch_norm_inference", "batch_norm_relu"),
    ]
)
"""Primitives that compute in float32."""


FOLLOWING = frozenset(["bias_add"])
"""Primitives whose other operands are cast to the dtype of a first one of 16 bits: the bias of a product."""


class _Regions(threading.local):
    """Per thread: the dtype by type of device, whether casts of weights are kept, which, and the regions outside."""

    table: dict[str, np.dtype] = {}  # replaced, never changed
    keeps = True

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}
        self.outside: list[Any] = []


REGIONS = _Regions()
_lock = threading.Lock()
_active = [0]


def _switch(by: int) -> None:
    """Count the regions of all threads: primitives look for one only while there is any."""
    with _lock:
        _active[0] += by
        casting[0] = cast if _active[0] else None


def _enter(table: dict[str, np.dtype], keeps: bool, kept: dict[Any, Any]) -> None:
    REGIONS.outside.append((REGIONS.table, REGIONS.keeps, REGIONS.kept))
    REGIONS.table, REGIONS.keeps, REGIONS.kept = table, keeps, kept
    _switch(1)


def _leave() -> None:
    _switch(-1)
    REGIONS.table, REGIONS.keeps, REGIONS.kept = REGIONS.outside.pop()
    if not REGIONS.outside:
        REGIONS.kept = {}


def cast(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A primitive's operands as this thread's region has them: 16 bits for products, float32 for what needs it."""
    table = REGIONS.table
    if not table:
        return args
    if name in LOW:
        return tuple([_operand(a, None, table) for a in args])
    if name in WIDE:
        return tuple([_operand(a, float32, table) for a in args])
    if name in FOLLOWING and is_half(args[0].dtype):
        return tuple([_operand(a, args[0].dtype, table) for a in args])
    return args


def widened(*tensors: Any) -> tuple[Any, ...]:
    """16-bit tensors in float32 where a region is active: the operands of losses, which would overflow."""
    table = REGIONS.table if casting[0] is not None else None
    return tuple([_operand(t, float32, table) for t in tensors]) if table else tensors


def _operand(a: Any, wanted: np.dtype | None, table: dict[str, np.dtype]) -> Any:
    """One operand in a dtype, by default the region's."""
    dtype = getattr(a, "dtype", None)
    if dtype is None or isinstance(a, np.generic) or not is_floating(dtype) or dtype.itemsize > 4:
        return a
    target = table.get(backend_under(a).device.type)
    wanted = wanted or target
    if target is None or dtype == wanted:
        return a
    weight = isinstance(a, Value) and a.level is MAIN and a.edge is None and a.tracked
    if wanted == float32 or not weight or not REGIONS.keeps:
        return astype(a, dtype=wanted)
    key = id(a), wanted, MODE.cutoff
    held = REGIONS.kept.get(key)
    if held is None or held[1] != a.version[0]:
        held = REGIONS.kept[key] = (a, a.version[0], astype(a, dtype=wanted))
    return held[2]


class autocast:
    """A region, as a `with` block or a decorated function, in which products are computed in 16 bits.

    device_type  "cpu", "cuda" or "emulated": tensors elsewhere are left alone
    dtype        float16 or bfloat16; by default bfloat16 on "cpu", float16 on the others
    enabled      False: a region inside another in which nothing is cast

    Matrix products and convolutions, and what is made of them (linear, attention, recurrent layers), cast float32 and
    16-bit operands to dtype, with their biases. exp, log, powers, softmax, batch and layer norm, losses, sums and
    products of elements cast 16-bit operands to float32 (on CPUs too, where PyTorch does so for fewer). Everything else
    follows its operands. But for losses this holds of primitives: functions composed of several follow from their
    parts, where PyTorch may say otherwise (a mean is a float32 sum, addmm's sum and an LSTM's state promote, group norm
    keeps its input's dtype). float64 is never cast.

    Casts are recorded, and gradients come in the dtype of what was cast; casts of weights are made once in the
    outermost region, unless cache_enabled is False. Run backward outside of the region (Micikevicius et al., 2018).

    On a CPU 16-bit products are computed in float32 and rounded: right, but no faster. Raises ImportError for bfloat16
    without ml_dtypes.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        _check_type("autocast", device_type)
        self.device, self.enabled = device_type, bool(enabled)
        self.cache_enabled = REGIONS.keeps if cache_enabled is None else bool(cache_enabled)
        self.dtype = _low(device_type, dtype) if self.enabled else None

    def __enter__(self) -> autocast:
        table = {k: v for k, v in REGIONS.table.items() if k != self.device}
        if self.dtype is not None:
            table[self.device] = self.dtype
        _enter(table, self.cache_enabled, REGIONS.kept)
        return self

    def __exit__(self, *_: object) -> None:
        _leave()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return call


def _check_type(op: str, device_type: Any) -> None:
    if device_type not in DEFAULTS:
        known = ", ".join([repr(d) for d in DEFAULTS])
        raise ValueError(f"[{op}] device_type must be {known}, got {device_type!r}")


def _low(device_type: str, dtype: Any) -> np.dtype:
    """The dtype of a region."""
    try:
        chosen = as_dtype(DEFAULTS[device_type] if dtype is None else dtype)
        if chosen == float16 or chosen == bfloat16():
            return chosen
    except ImportError as error:
        if dtype is None or as_dtype(dtype) == float16:
            raise ImportError(f"[autocast] {error}; or pass dtype=gf.float16") from None
        raise
    raise ValueError(f"[autocast] dtype must be float16 or bfloat16, got {chosen}")


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether this thread is in a region that casts on a type of device (on any, if none is named)."""
    if device_type is None:
        return bool(REGIONS.table)
    _check_type("is_autocast_enabled", device_type)
    return device_type in REGIONS.table


def get_autocast_dtype(device_type: str) -> np.dtype:
    """The dtype that products have in this thread's region, or would have in one without a dtype."""
    _check_type("get_autocast_dtype", device_type)
    found = REGIONS.table.get(device_type)
    return as_dtype(DEFAULTS[device_type]) if found is None else found


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` knows a type of device."""
    return device_type in DEFAULTS


def current() -> Any:
    """This thread's region, for `restored`."""
    return REGIONS.table, REGIONS.keeps


@contextmanager
def restored(region: Any) -> Iterator[None]:
    """A region that `current` named, with casts of its own."""
    table, keeps = region
    _enter(table, keeps, {})
    try:
        yield
    finally:
        _leave()


__all__ = ["autocast", "get_autocast_dtype", "is_autocast_available", "is_autocast_enabled"]
