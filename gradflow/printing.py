"""How tensors print: PyTorch's way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .autograd.tape import MAIN
from .backend.dtypes import get_default_dtype, is_floating

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options: dict[str, Any] = {**PROFILES["default"], "sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print from now on.

    precision  digits behind the point (4)
    threshold  tensors of more elements are summarised (1000)
    edgeitems  how many elements at either end of a dimension a summary shows (3)
    linewidth  characters per line (80)
    profile    "default", "short" or "full" to begin with
    sci_mode   whether floats have exponents; None decides for each tensor
    """
    if profile is not None:
        if profile not in PROFILES:
            raise ValueError(f"[set_printoptions] profile must be one of {', '.join(PROFILES)}, got {profile!r}")
        _options.update(PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


class _Format:
    """One look for all elements of an array: width, digits, exponents."""

    def __init__(self, array: np.ndarray) -> None:
        digits = _options["precision"]
        self.floating, self.spec, self.point = array.dtype.kind == "f", "", ""
        values = array.ravel()
        if self.floating:
            values = values[np.isfinite(values) & (values != 0)]
            self.spec, self.point = ".0f", "."
            if values.size:
                whole, sizes = bool((values == np.ceil(values)).all()), np.abs(values.astype("f8"))
                exponents = _options["sci_mode"]
                if exponents is None:
                    exponents = bool(sizes.max() / sizes.min() > 1000 or sizes.max() > 1e8 or sizes.min() < 1e-4)
                if exponents or not whole:
                    self.spec, self.point = f".{digits}{'e' if exponents else 'f'}", ""
        self.width = max([1, *[len(self.text(v)) for v in values.tolist()]])

    def text(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        return format(value, self.spec) + (self.point if math.isfinite(value) else "")

    def __call__(self, value: Any) -> str:
        return self.text(value).rjust(self.width)


def _edges(array: np.ndarray) -> np.ndarray:
    """The elements that a summary shows."""
    n = _options["edgeitems"]
    for axis, size in enumerate(array.shape):
        if size > 2 * n:
            array = np.take(array, [*range(n), *range(size - n, size)], axis)
    return array


def _body(array: np.ndarray, indent: int, short: bool, text: _Format) -> str:
    if array.ndim == 0:
        return text(array.item())
    n = _options["edgeitems"]
    cut = short and len(array) > 2 * n
    first, last = (array[:n], array[len(array) - n :]) if cut else (array, array[:0])
    if array.ndim == 1:
        per_line = max(1, (_options["linewidth"] - indent) // (text.width + 2))
        # PyTorch's dots have a space of their own, except where they stand alone
        dots = ([" ..."] if n else ["..."]) if cut else []
        words = [*map(text, first.tolist()), *dots, *map(text, last.tolist())]
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [_body(row, indent + 1, short, text) for row in first]
    parts += ["..."] if cut else []
    parts += [_body(row, indent + 1, short, text) for row in last]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def show(x: Any) -> str:
    """`tensor([1., 2.], requires_grad=True)`, with dtype and device where they are not the usual ones."""
    if x.level is not MAIN:
        return f"<value inside {x.level.name}, shape {tuple(x.shape)}, {x.dtype}>"
    array, prefix = x.numpy(), "tensor("
    usual: list[Any] = [get_default_dtype(), np.dtype("i8"), np.dtype("?")]
    extra: list[str] = []
    if str(x.device) != "cpu":
        extra.append(f"device='{x.device}'")
    if not array.size:
        body, usual = "[]", usual[:1]
        if array.ndim != 1:
            extra.append(f"size={array.shape}")
    else:
        wide = array.astype("f4") if is_floating(array.dtype) and array.dtype.itemsize == 2 else array
        short = array.size > _options["threshold"]
        body = _body(wide, len(prefix), short, _Format(_edges(wide) if short else wide))
    if array.dtype not in usual:
        extra.append(f"dtype={array.dtype}")
    if x.grad_fn is not None:
        extra.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.tracked:
        extra.append("requires_grad=True")
    text = prefix + body
    column = len(text) - text.rfind("\n") + 1
    for word in extra:
        if column + len(word) + 2 > _options["linewidth"]:
            text, column = f"{text},\n{' ' * len(prefix)}{word}", len(prefix) + len(word)
        else:
            text, column = f"{text}, {word}", column + len(word) + 2
    return text + ")"
