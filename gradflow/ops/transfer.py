"""Copies between devices, and into row-major memory."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import primitive
from ..autograd.value import device_under
from ..backend.device import backend_of, get_backend


def _back(xp: Any, g: Any, source: str) -> Any:
    return xp._to_device(g, source=str(device_under(g)), device=source)


@primitive(vjps=(_back,), batch=elementwise, linear=(0,), moves=True)
def _to_device(np: Any, x: Any, *, device: str, source: str) -> Any:
    """x copied to another device, by way of the host; to a GPU without blocking."""
    target, here = get_backend(device), backend_of(x)
    if target is here:
        return x
    return target.from_host(x if here.device.type == "cpu" else here.to_host(x))


def to_device(x: Any, *, device: str) -> Any:
    """x on another device, differentiably: the gradient is copied back."""
    return _to_device(x, device=device, source=str(device_under(x)))
