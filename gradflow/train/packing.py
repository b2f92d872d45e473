"""Trees of plain Python values and tensors as named arrays and JSON, and back without a loss.

What JSON has stands for itself. All else is an object with one key that begins with `$`:

    {"$tensor": name}, {"$array": name}, {"$scalar": name}  a Tensor, a NumPy array or scalar: the array of that name
    {"$tuple": [...]}, {"$counter": [[key, count], ...]}
    {"$dict": [[key, value], ...]}  a dict whose keys are not all texts
    {"$int": hex}, {"$float": hex}  an integer beyond 64 bits; a float that is not finite, by its bits
    {"$str": hex}                   a text with lone surrogates, as names of files may have them
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..creation import from_numpy
from ..tensor import Tensor
from .tensorfile import METADATA, NAMES

DEEPEST = 100  # levels: a structure that holds itself ends there, and JSON's reader goes not much deeper


def pack(tree: Any) -> tuple[dict[str, np.ndarray], Any]:
    """`tree` as arrays by name and a value for JSON, from which `unpack` makes the same again.

    tree  dicts (keys: str, int), lists, tuples, Counters, str, bool, int, float, None, Tensors of any dtype, layout and
          device, NumPy arrays and scalars of the same dtypes

    CPU tensors and arrays are not copied: what comes back shares their memory. Whether a tensor requires grad is not
    kept. TypeError, with the path to it, for anything else; subclasses too, as they would come back as another type.
    """
    arrays: dict[str, np.ndarray] = {}
    return arrays, _pack(tree, (), arrays)


def unpack(arrays: Mapping[str, np.ndarray], plain: Any) -> Any:
    """The tree that `pack` took: Tensors on the CPU, which share the memory of `arrays`, and all else as it was.

    ValueError for a `plain` that `pack` cannot have made, or where an array is missing.
    """
    if isinstance(plain, list):
        return [unpack(arrays, item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    tag = next((key for key in plain if key.startswith("$")), None)
    if tag is None:
        return {key: unpack(arrays, item) for key, item in plain.items()}
    try:
        (held,) = plain.values()
        return _READERS[tag](arrays, held)
    except (LookupError, TypeError, ValueError, struct.error) as error:
        raise ValueError(f"[checkpoint] cannot make out {tag} of {str(plain)[:80]}: {error!r}") from error


def on_host(value: Tensor) -> np.ndarray:
    """The tensor as an array on the host: its own memory where that is there already."""
    held = value.detach()
    return held.numpy() if value.device.type == "cuda" else np.asarray(held)


def _pack(value: Any, path: tuple[Any, ...], arrays: dict[str, np.ndarray]) -> Any:
    if len(path) > DEEPEST:
        raise TypeError(
            f"[checkpoint] cannot save {_name(path[:4])}...: it is more than {DEEPEST} levels deep; flatten it"
        )
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind in _WRITERS:
        return _WRITERS[kind](value)
    if kind in (list, tuple):
        items = [_pack(item, (*path, i), arrays) for i, item in enumerate(value)]
        return items if kind is list else {"$tuple": items}
    if kind in (dict, Counter):
        return _pack_dict(value, path, arrays)
    if isinstance(value, Tensor):
        return {"$tensor": _keep(on_host(value), path, arrays)}
    if kind is np.ndarray and value.dtype.name in NAMES:
        return {"$array": _keep(value, path, arrays)}
    if isinstance(value, np.generic) and value.dtype.name in NAMES:
        return {"$scalar": _keep(np.asarray(value), path, arrays)}
    what = f"an array of {value.dtype}" if kind is np.ndarray else f"of type {kind.__name__}"
    raise TypeError(
        f"[checkpoint] cannot save {_name(path)}, which is {what}; "
        "make it of dicts, lists, tuples, numbers, texts, tensors and arrays of numbers"
    )


def _pack_dict(value: dict[Any, Any], path: tuple[Any, ...], arrays: dict[str, np.ndarray]) -> Any:
    for key in value:
        if type(key) not in (str, int):
            raise TypeError(
                f"[checkpoint] cannot save {_name(path)}: its key {key!r} is of type {type(key).__name__}; "
                "use texts or integers for keys"
            )
    items = [(key, _pack(item, (*path, key), arrays)) for key, item in value.items()]
    if type(value) is dict and all(type(key) is str and key == _text(key) and key[:1] != "$" for key in value):
        return dict(items)
    return {"$dict" if type(value) is dict else "$counter": [[_WRITERS[type(k)](k), item] for k, item in items]}


def _keep(array: np.ndarray, path: tuple[Any, ...], arrays: dict[str, np.ndarray]) -> str:
    """Put an array among the others, under a name no other has: "a.b" can be one key or two."""
    plain = name = _name(path).encode(errors="replace").decode()
    number = 1
    while name in arrays or name == METADATA:
        number += 1
        name = f"{plain}~{number}"
    arrays[name] = array
    return name


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path)) or "state"


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$str": value.encode("utf-8", "surrogatepass").hex()}
    return value


def _integer(value: int) -> Any:
    return value if -(2**63) <= value < 2**64 else {"$int": hex(value)}


def _float(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}


_WRITERS: dict[type, Callable[[Any], Any]] = {str: _text, int: _integer, float: _float}


_READERS: dict[str, Callable[[Mapping[str, np.ndarray], Any], Any]] = {
    "$tensor": lambda arrays, name: from_numpy(arrays[name]),
    "$array": lambda arrays, name: arrays[name],
    "$scalar": lambda arrays, name: arrays[name][()],
    "$tuple": lambda arrays, items: tuple([unpack(arrays, item) for item in items]),
    "$dict": lambda arrays, items: {unpack(arrays, key): unpack(arrays, item) for key, item in items},
    "$counter": lambda arrays, items: Counter({unpack(arrays, key): unpack(arrays, item) for key, item in items}),
    "$int": lambda _, digits: int(digits, 16),
    "$float": lambda _, digits: struct.unpack(">d", bytes.fromhex(digits))[0],
    "$str": lambda _, digits: bytes.fromhex(digits).decode("utf-8", "surrogatepass"),
}
