"""The fake's functions: NumPy's, behind CuPy's signatures and refusals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .array import host, ndarray, wrap, wrap_index


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Public names of NumPy 2.4 that CuPy 14.2 does not have.
LACKING = words(
    "asmatrix block bmat core ctypeslib dtypes einsum_path emath errstate frompyfunc geomspace getbufsize geterr "
    "geterrcall histogram_bin_edges insert ma matrix matvec memmap nanpercentile nanquantile ndenumerate nditer "
    "nested_iters polyder polydiv polyint rec recarray record seterr seterrcall setbufsize show_runtime spacing "
    "strings unstack vecdot vecmat void"
)

# Arguments of NumPy's functions that CuPy 14.2's do not take.
REFUSED = {
    **dict.fromkeys(words("all any mean std var nanmean nanstd nanvar"), "where mean correction"),
    **dict.fromkeys(words("amax amin max min sum prod nanmax nanmin nansum nanprod"), "where initial"),
    **dict.fromkeys(words("asarray asanyarray zeros ones empty full arange eye linspace"), "device like"),
    **dict.fromkeys(words("zeros_like ones_like full_like empty_like astype"), "device"),
    **dict.fromkeys(words("argsort sort"), "order stable"),
    "array": "like ndmax",
    "broadcast_to": "subok",
    "clip": "min max",
    "count_nonzero": "keepdims",
    "einsum": "optimize out",
    "isin": "kind",
    "lexsort": "axis",
    "take": "mode",
    "unique": "sorted",
}

PLAIN = words(  # their results are Python objects or dtypes, and they take anything
    "broadcast_shapes can_cast common_type dtype finfo iinfo iscomplexobj isdtype isrealobj isscalar issubdtype "
    "iterable may_share_memory min_scalar_type ndim promote_types result_type shape shares_memory size"
)
CREATING = words("arange empty eye full identity indices linspace ones tri zeros")
LIKE = words("empty_like full_like ones_like zeros_like")  # these keep the layout


def find(name: str) -> Any:
    """CuPy's attribute `name`."""
    if name in SPECIAL:
        return SPECIAL[name]
    value = getattr(np, name)
    if isinstance(value, np.ufunc):
        return _ufunc(name)
    if isinstance(value, type) or not callable(value):
        return value
    return _function(name)


@functools.cache
def _function(name: str) -> Callable[..., Any]:
    function = getattr(np, name)
    refused = set(REFUSED.get(name, "").split())

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        wrong = refused & set(kwargs)
        if wrong:
            raise TypeError(f"{name}() got an unexpected keyword argument {sorted(wrong)}")
        if name in PLAIN:
            return function(*_hosted(args, [], True), **_hosted(kwargs, [], True))
        arrays: list[ndarray] = []
        out = kwargs.pop("out", None)
        real_args, real_kwargs = _hosted(args, arrays), _hosted(kwargs, arrays)
        if not arrays and name not in CREATING:
            raise TypeError(f"cupy.{name} expects a cupy.ndarray, got {[type(a).__name__ for a in args]}")
        with np.errstate(all="ignore"):
            return _wrapped(function(*real_args, **real_kwargs), arrays, out, name in LIKE)

    return call


def _hosted(value: Any, arrays: list[ndarray], anywhere: bool = False) -> Any:
    """`value` with the arrays in it on the host, collected in `arrays`; NumPy arrays are refused."""
    if isinstance(value, ndarray):
        arrays.append(value)
        return host(value, anywhere)
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if type(value) in (list, tuple):
        return type(value)([_hosted(v, arrays, anywhere) for v in value])
    if isinstance(value, dict):
        return {k: _hosted(v, arrays, anywhere) for k, v in value.items()}
    return value


def _wrapped(value: Any, arrays: list[ndarray], out: ndarray | None = None, keep_order: bool = False) -> Any:
    if isinstance(value, (list, tuple)):
        parts = [_wrapped(v, arrays) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    if value is None:
        return None
    source = next((a for a in arrays if np.may_share_memory(np.asarray(value), a._data)), None)
    return wrap(value, source, out, keep_order)


class Ufunc:
    """One of CuPy's ufuncs: arrays of the current device or scalars in, arrays in C order out."""

    SCATTERING = {
        "add": "int32 int64 float16 float32 float64 uint32 uint64",
        "subtract": "int32 uint32",
        "maximum": "int32 int64 float32 float64 uint32 uint64",
        "minimum": "int32 int64 float32 float64 uint32 uint64",
    }
    METHODS = {"reduce": {"add": "sum", "multiply": "prod"}, "accumulate": {"add": "cumsum", "multiply": "cumprod"}}

    def __init__(self, name: str) -> None:
        self.np = getattr(np, name)
        self.name, self.__name__ = f"cupy_{self.np.__name__}", self.np.__name__
        self.nin, self.nout, self.nargs = self.np.nin, self.np.nout, self.np.nargs

    def __call__(self, *args: Any, out: Any = None, _where: Any = None, **kwargs: Any) -> Any:
        allowed = {"dtype", "casting"} | ({"axes", "axis", "keepdims", "order"} if self.np.signature else set())
        if set(kwargs) - allowed:
            raise TypeError(f"Wrong arguments {kwargs}")
        inputs, outs = [self._operand(a) for a in args[: self.nin]], args[self.nin :]
        if isinstance(out, tuple):
            out = out[0]
        out = outs[0] if outs else out
        with np.errstate(all="ignore"):
            result = self.np(*inputs, **kwargs)
        if out is None:
            return wrap(result) if self.nout == 1 else tuple([wrap(r) for r in result])
        if not isinstance(out, ndarray):
            raise TypeError("Output arguments type must be cupy.ndarray")
        if out.shape != np.shape(result):
            raise ValueError("Out shape is mismatched")
        with np.errstate(all="ignore"):
            mask = True if _where is None else host(_where)
            np.copyto(host(out), result, kwargs.get("casting", "same_kind"), where=mask)
        return out

    @staticmethod
    def _operand(value: Any) -> Any:
        if isinstance(value, ndarray):
            return host(value)
        if type(value) in (bool, int, float, complex) or isinstance(value, np.generic):
            return value
        raise TypeError(f"Unsupported type {type(value)}")

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        kinds = self.SCATTERING.get(self.__name__)
        if kinds is None:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        index = wrap_index(a.shape, indices)
        masks = [i for i in index if isinstance(i, np.ndarray) and i.dtype.kind == "b"]
        if any(isinstance(i, np.ndarray) for i in index) and not masks and a.dtype.name not in kinds.split():
            raise TypeError(f"{self.name}.at only supports {kinds} as data type, not {a.dtype}")
        with np.errstate(all="ignore"):
            self.np.at(host(a), index, np.asarray(host(b)).astype(a.dtype))

    def _by_method(self, kind: str, array: ndarray, *args: Any, **kwargs: Any) -> Any:
        method = self.METHODS[kind].get(self.__name__)
        if method is None:
            raise NotImplementedError(f"`{self.name}.{kind}` is not supported yet")
        return getattr(array, method)(*(args or (kwargs.pop("axis", 0),)), **kwargs)

    def reduce(self, array: ndarray, *args: Any, **kwargs: Any) -> Any:
        return self._by_method("reduce", array, *args, **kwargs)

    def accumulate(self, array: ndarray, *args: Any, **kwargs: Any) -> Any:
        return self._by_method("accumulate", array, *args, **kwargs)

    def outer(self, a: ndarray, b: ndarray, **kwargs: Any) -> Any:
        return self(a.reshape(a.shape + (1,) * b.ndim), b, **kwargs)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"


@functools.cache
def _ufunc(name: str) -> Ufunc:
    return Ufunc(name)


# -- functions whose CuPy form differs from NumPy's by more than arguments ------------------------------------------


def array(
    obj: Any, dtype: Any = None, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0, *,
    blocking: bool = False,
) -> ndarray:  # fmt: skip
    from . import cuda

    if isinstance(obj, ndarray) and obj._device == cuda.current_device():
        same = dtype is None or np.dtype(dtype) == obj.dtype
        return obj if not copy and same and obj.ndim >= ndmin else wrap(np.array(host(obj), dtype, ndmin=ndmin))
    value = host(obj, anywhere=True)
    if isinstance(value, (list, tuple)):
        value = _hosted_anywhere(value)
    value = np.array(value, dtype, ndmin=ndmin)
    if value.dtype.kind in "OSUmM":
        raise ValueError(f"Unsupported dtype {value.dtype}")
    return wrap(value)  # type: ignore[no-any-return]


def _hosted_anywhere(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_hosted_anywhere(v) for v in value]
    return host(value, anywhere=True)


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    return array(a, dtype, bool(copy))


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    a = asarray(a, dtype)
    return a if a.flags.c_contiguous else a.copy("C")


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a)  # type: ignore[no-any-return]


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return condition.nonzero()
    condition = condition.astype("?", copy=False)
    return wrap(np.where(host(condition), Ufunc._operand(x), Ufunc._operand(y)))


def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if isinstance(src, np.ndarray) and src.size != 1:
        raise ValueError("non-scalar numpy.ndarray cannot be used for copyto")
    np.copyto(host(dst), host(src, anywhere=True), casting, where=True if where is None else host(where))  # type: ignore[arg-type]


def put_along_axis(arr: ndarray, indices: ndarray, values: Any, axis: int) -> None:
    data = host(arr)
    np.put_along_axis(data, host(indices) % data.shape[axis], host(values), axis)


def take_along_axis(a: ndarray, indices: ndarray, axis: int | None) -> ndarray:
    data = host(a).ravel() if axis is None else host(a)
    axis = axis or 0
    return wrap(np.take_along_axis(data, host(indices) % max(data.shape[axis], 1), axis))  # type: ignore[no-any-return]


def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return wrap(np.lib.stride_tricks.as_strided(x._data, shape, strides), x)  # type: ignore[no-any-return]


def sliding_window_view(
    x: ndarray, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> ndarray:
    if writeable:
        raise NotImplementedError("Writeable views are not supported.")
    return wrap(np.lib.stride_tricks.sliding_window_view(x._data, window_shape, axis), x)  # type: ignore[no-any-return]


def _method_of(name: str) -> Callable[..., Any]:
    """A function that CuPy hands to the array's method, so that it takes arrays only."""
    return lambda a, *args, **kwargs: getattr(a, name)(*args, **kwargs)


SPECIAL: dict[str, Any] = {
    "array": array,
    "asanyarray": asarray,
    "asarray": asarray,
    "ascontiguousarray": ascontiguousarray,
    "asnumpy": asnumpy,
    "copyto": copyto,
    "ndarray": ndarray,
    "nonzero": _method_of("nonzero"),
    "put": _method_of("put"),
    "put_along_axis": put_along_axis,
    "take": _method_of("take"),
    "take_along_axis": take_along_axis,
    "where": where,
}
