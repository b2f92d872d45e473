"""Backends: the array modules that computations run on, one per device, and how a device is chosen."""

from .base import Array, Backend, Device, DeviceError
from .device import (
    DeviceLike,
    backend_of,
    default_device,
    get_backend,
    mixed_devices_error,
    parse_device,
    set_default_device,
)

__all__ = [
    "Array",
    "Backend",
    "Device",
    "DeviceError",
    "DeviceLike",
    "backend_of",
    "default_device",
    "get_backend",
    "mixed_devices_error",
    "parse_device",
    "set_default_device",
]
