"""The fake's `ndarray`: a NumPy array inside, which nothing reaches by accident."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import cuda

VIEWS = ("reshape", "transpose", "swapaxes", "squeeze", "ravel", "diagonal")

# Parameters of CuPy 14.2's methods; NumPy's `where` and `initial` are not among them.
METHODS = {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis out keepdims",
    "argmin": "axis out keepdims",
    "argpartition": "kth axis",
    "argsort": "axis kind",
    "clip": "min max out",
    "compress": "condition axis out",
    "conj": "",
    "cumprod": "axis dtype out",
    "cumsum": "axis dtype out",
    "diagonal": "offset axis1 axis2",
    "dot": "b out",
    "flatten": "order",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "partition": "kth axis",
    "prod": "axis dtype out keepdims",
    "ravel": "order",
    "repeat": "repeats axis",
    "reshape": "order copy",
    "round": "decimals out",
    "searchsorted": "v side sorter",
    "sort": "axis kind",
    "squeeze": "axis",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2",
    "trace": "offset axis1 axis2 dtype out",
    "transpose": "axes",
    "var": "axis dtype out ddof keepdims",
}


class Flags:
    """CuPy's flags: there is no `writeable`, and broadcast views can be written."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata, self.fnc, self.forc = flags.owndata, flags.fnc, flags.forc


class ndarray:
    """An array on a fake GPU."""

    __slots__ = ("__weakref__", "_data", "_device")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> None:
        if memptr is not None:
            self._data, self._device = _on_memory(tuple(shape), np.dtype(dtype), memptr, strides), memptr.device_id
            return
        if strides is not None:
            raise ValueError("memptr is required if strides is given.")
        self._data: np.ndarray = np.empty(shape, dtype, order or "C")  # type: ignore[call-overload]
        self._device = cuda.current_device()

    # -- about the array ------------------------------------------------------------------------------------------

    __cuda_array_interface__ = property(
        lambda self: {"version": 3, "shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False)}
    )
    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    itemsize = property(lambda self: self._data.itemsize)
    nbytes = property(lambda self: self._data.nbytes)
    strides = property(lambda self: self._data.strides)
    flags = property(lambda self: Flags(self._data.flags))
    device = property(lambda self: cuda.Device(self._device))
    data = property(lambda self: cuda.MemoryPointer(self._data, 0, self._device))
    base = property(lambda self: None if self._data.base is None else wrap(self._data.base, self))
    T = property(lambda self: self.transpose())

    @property
    def mT(self) -> ndarray:
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return self.swapaxes(-1, -2)  # type: ignore[attr-defined, no-any-return]

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[ndarray]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # -- to and from the host -------------------------------------------------------------------------------------

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        cuda.world().waits += 1
        value = host(self, anywhere=True)
        if out is None:
            return np.array(value, order=order)  # type: ignore[call-overload, no-any-return]
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError("Shape or dtype mismatch")
        out[...] = value
        return out  # type: ignore[no-any-return]

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy from the host: later, where the source is pinned, and then from what the memory holds by then."""
        world = cuda.world()
        if world.memory_error is not None:
            raise world.memory_error
        if type(arr) is not np.ndarray or arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError("set() takes a NumPy array of the same shape and dtype")
        if not self._data.flags.c_contiguous:
            raise RuntimeError("Cannot set to non-contiguous array")
        block, address = world.pinned_block(arr.ctypes.data), arr.ctypes.data
        world.started += 1
        if block is None or not arr.flags.c_contiguous:
            world.finish()
            self._data[...] = arr
            world.finished += 1
            return
        start = address - block.ctypes.data
        source = block[start : start + arr.nbytes].view(arr.dtype).reshape(arr.shape)
        target = self._data
        world.waiting.append(lambda: np.copyto(target, source))

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return self.get().tobytes(order)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __bool__(self) -> bool:
        if self.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    # -- copies ---------------------------------------------------------------------------------------------------

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        with np.errstate(all="ignore"):
            return wrap(host(self).astype(dtype, order=order), keep_order=True)

    def copy(self, order: Any = "C") -> ndarray:
        return wrap(host(self, anywhere=True).copy(order), keep_order=True)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> ndarray:
        with self.device:
            return self.copy()

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return wrap(self._data.view() if dtype is None else self._data.view(dtype), self)

    def fill(self, value: Any) -> None:
        value = host(value) if isinstance(value, ndarray) else np.asarray(value, self.dtype)
        if value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        host(self)[...] = value

    # -- indexing: index arrays out of range wrap, and host arrays are uploaded without a word -----------------------

    def __getitem__(self, index: Any) -> ndarray:
        index = wrap_index(self.shape, index)
        copies = any(isinstance(i, np.ndarray) for i in index)
        return wrap((host(self) if copies else self._data)[index], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        index = wrap_index(self.shape, index)
        if isinstance(value, ndarray):
            value = host(value)
        elif not any(isinstance(i, np.ndarray) for i in index) and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        with np.errstate(all="ignore"):
            host(self)[index] = value

    def take(self, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        data = host(self)
        indices = np.asarray(host(indices) if isinstance(indices, ndarray) else indices)
        size = data.size if axis is None else data.shape[axis]
        if size == 0 and indices.size:
            raise IndexError("cannot do a non-empty take from an empty axes.")
        return wrap(np.take(data, indices % max(size, 1), axis), out=out)

    def put(self, indices: Any, values: Any, mode: str = "wrap") -> None:
        np.put(host(self), host(indices), host(values), mode=mode)

    def nonzero(self) -> tuple[ndarray, ...]:
        if self.ndim == 0:
            raise ValueError("Calling nonzero on 0d arrays is not allowed.")
        return tuple([wrap(i) for i in host(self).nonzero()])

    # -- NumPy's protocols ----------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from . import functions

        if isinstance(kwargs.get("out"), tuple):
            kwargs["out"] = kwargs["out"][0]
        function = functions.find(ufunc.__name__)
        return (function if method == "__call__" else getattr(function, method))(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from . import functions

        if func.__name__ in functions.LACKING:
            return NotImplemented
        return functions.find(func.__name__)(*args, **kwargs)


def _on_memory(shape: tuple[int, ...], dtype: np.dtype, pointer: Any, strides: Any) -> np.ndarray:
    """An array on memory that a pointer names; it keeps the memory alive."""
    if strides is None:
        strides = np.empty(shape, np.int8).strides
        strides = tuple([s * dtype.itemsize for s in strides])

    class Memory:
        __array_interface__ = {
            "version": 3, "shape": shape, "strides": tuple(strides), "typestr": f"|V{dtype.itemsize}",
            "data": (pointer.ptr, False),
        }  # fmt: skip
        owner = pointer.owner

    return np.asarray(Memory()).view(dtype)


def host(value: Any, anywhere: bool = False) -> Any:
    """The NumPy array inside, once all copies to it are done; refused on another than the current device."""
    if not isinstance(value, ndarray):
        return value
    if not anywhere and value._device != cuda.current_device():
        raise ValueError(
            f"The device where the array resides ({value._device}) is different from the current device "
            f"({cuda.current_device()}). Peer access is unavailable between these devices."
        )
    cuda.world().finish()
    return value._data


def wrap(value: Any, source: Any = None, out: ndarray | None = None, keep_order: bool = False) -> Any:
    """A result as an array of the current device, in C order; a view of `source` stays where that is, as it is."""
    if out is not None:
        host(out)[...] = value
        return out
    result = ndarray.__new__(ndarray)
    data = np.asarray(value)
    if source is not None and np.may_share_memory(data, source._data):
        result._data, result._device = data, source._device
        return result
    result._data = data if keep_order else np.asarray(data, order="C")
    result._device = cuda.current_device()
    return result


def wrap_index(shape: tuple[int, ...], index: Any) -> tuple[Any, ...]:
    """An index for NumPy: arrays on the host, integers in them wrapped into range, and a result that is an array."""
    parts = list(index) if isinstance(index, tuple) else [index]
    for i, part in enumerate(parts):
        if isinstance(part, (ndarray, list, np.ndarray)):
            part = np.asarray(host(part))
            part = part.astype(np.int32) if part.size == 0 and isinstance(parts[i], list) else part
            if part.dtype.kind not in "biu":
                raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {part.dtype})")
            parts[i] = part
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    taken = sum([_consumed(part) for part in parts])
    axis = 0
    for i, part in enumerate(parts):
        if part is Ellipsis:
            axis += len(shape) - taken
            continue
        if isinstance(part, np.ndarray) and part.dtype.kind != "b" and axis < len(shape) and shape[axis]:
            parts[i] = part % np.array(shape[axis], np.int64)
        axis += _consumed(part)
    return tuple(parts)


def _consumed(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1


def _method(name: str, parameters: set[str]) -> Callable[..., Any]:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        unknown = set(kwargs) - parameters
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument {sorted(unknown)}")
        out = kwargs.pop("out", None)
        if name in VIEWS:
            view = getattr(self._data, name)(*args, **kwargs)
            if np.may_share_memory(view, self._data):
                return wrap(view, self)
        data = host(self)
        args = tuple([host(a) for a in args])
        with np.errstate(all="ignore"):
            result = getattr(data, name)(*args, **{k: host(v) for k, v in kwargs.items()})
        if result is None:  # sort and partition work in place
            return None
        return wrap(result, self, out)

    call.__name__ = name
    return call


for _name, _parameters in METHODS.items():
    setattr(ndarray, _name, _method(_name, set(_parameters.split())))


def _operator(name: str, swapped: bool, in_place: bool) -> Callable[..., Any]:
    def call(self: ndarray, *other: Any) -> Any:
        from . import functions

        if other and not isinstance(other[0], ndarray) and getattr(other[0], "__array_ufunc__", self) is None:
            return NotImplemented
        if name in ("equal", "not_equal") and other[0] is None:
            return functions.find("full")(self.shape, name == "not_equal")
        operands = (*other, self) if swapped else (self, *other)
        return functions.find(name)(*operands, **({"out": self} if in_place else {}))

    return call


for _symbol, _name in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}.items():  # fmt: skip
    setattr(ndarray, f"__{_symbol}__", _operator(_name, False, False))
    setattr(ndarray, f"__r{_symbol}__", _operator(_name, True, False))
    if _symbol != "matmul":  # CuPy has none: `a @= b` binds `a` anew
        setattr(ndarray, f"__i{_symbol}__", _operator(_name, False, True))
for _symbol, _name in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert",
}.items():  # fmt: skip
    setattr(ndarray, f"__{_symbol}__", _operator(_name, False, False))
