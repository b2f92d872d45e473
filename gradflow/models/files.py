"""Models of people's own: a function in a Python file, named as "path/to/file.py:function"."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from .. import nn
from ..autograd.grad_mode import no_grad
from ..creation import zeros
from ..creation.random import get_rng_state, set_rng_state
from ..tensor import Tensor

Shape: TypeAlias = tuple[int, int, int]
OFFERED = ("num_classes", "input_shape", "in_channels", "width")
"""The arguments that a function may name."""

_numbers = count(1)


class ModelError(ValueError):
    """A model that cannot be built; the message names it and the cure."""


def is_file_spec(spec: str) -> bool:
    """Whether a model is meant that is in a file, rather than one that has a name."""
    return spec.endswith(".py") or any([mark in spec for mark in (":", "/", os.sep)])


def build_from_file(spec: str, num_classes: int, input_shape: Shape, width: int | None = None) -> nn.Module:
    """The model that "path/to/file.py:function" makes for images of `input_shape`, (channels, height, width).

    The file is run as a module of its own, each time anew, with its folder on `sys.path` so that it can import its
    neighbours. The function, or class, is called by keyword with those of these that its signature names: num_classes,
    input_shape, in_channels, and width, which is None where nobody chose one and the function has no default. What it
    returns is tried, in evaluation mode, on two images of zeros. ModelError, which names the line where there is one,
    where the file cannot be read or run, the function is not there or takes something else, or what it returns is no
    Module or does not give (2, num_classes).
    """
    path, name = _parts(spec)
    with _folder_on_path(path.resolve().parent):
        module = _load(path)
        function = getattr(module, name, None)
        if not callable(function):
            own = _own_callables(module)
            there = f"it has {', '.join(own)}" if own else "it defines none"
            raise ModelError(f"[models] {path} has no function {name!r}; {there}")
        chosen = {"num_classes": num_classes, "input_shape": input_shape, "in_channels": input_shape[0], "width": width}
        arguments = _arguments(spec, function, chosen)
        with _blamed_on(path, f"{spec} failed"):
            model = function(**arguments)
        if not isinstance(model, nn.Module):
            kind = f"{type(model).__module__}.{type(model).__qualname__}"
            raise ModelError(f"[models] {spec} returned {kind}, not a gradflow.nn.Module")
        _try_out(model, spec, path, num_classes, input_shape)
    return model


def whole_spec(spec: str) -> str:
    """`spec` with the whole path of its file, by which it is found from any folder."""
    path, name = _parts(spec)
    return ":".join(filter(None, (str(path.resolve()), name)))


def file_digest(spec: str) -> str:
    """SHA-256 of the file's text, in which all lines end alike, in hexadecimal."""
    from hashlib import sha256

    return sha256(_read(_parts(spec)[0]).replace(b"\r\n", b"\n")).hexdigest()


def _parts(spec: str) -> tuple[Path, str]:
    """The file and the function, whose name is empty where none is given."""
    file, colon, name = spec.rpartition(":")
    if not colon or name.endswith(".py"):
        file, name = spec, ""  # a colon may be that of a drive
    path = Path(file).expanduser()
    if path.suffix != ".py":
        raise ModelError(f"[models] {spec!r} names no Python file; a model in a file is path/to/file.py:function")
    if not name and path.is_file():
        raise ModelError(f"[models] {spec} names no function; say which one makes the model: {path}:function")
    return path, name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        where = "" if path.is_absolute() else f" (looked for in {Path.cwd()})"
        raise ModelError(f"[models] there is no file {path}{where}") from None
    except OSError as error:
        raise ModelError(f"[models] {path} cannot be read: {error.strerror or error}") from error


def _load(path: Path) -> ModuleType:
    """The file, run as a module under a name that no other has; nothing is left behind where that fails."""
    from importlib.util import module_from_spec, spec_from_file_location

    source = _read(path)
    name = f"_gradflow_model_{next(_numbers)}_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    # Not by the spec's loader: compiled files that it keeps go by size and whole seconds, and miss a quick edit.
    sys.modules[name] = module  # where dataclasses and typing look for it
    try:
        with _blamed_on(path, f"{path} cannot be imported"):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    """Have imports look in a folder first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:  # the file may have changed the list
            sys.path.remove(str(folder))


@contextmanager
def _blamed_on(path: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong in a user's code into a ModelError with the file and line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError) and error.lineno and str(error.filename).endswith(".py"):
            line = (error.text or "").strip()
            where = f"{error.filename}, line {error.lineno}"
            raise ModelError(f"[models] {where}: {error.msg}{f': {line}' if line else ''}") from error
        where = _last_line(error, path)
        text = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))
        raise ModelError(f"[models] {what}: {text}{f' ({where})' if where else ''}") from error


def _last_line(error: BaseException, path: Path) -> str:
    """The innermost line of the file on the way to an error."""
    found, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            found = f"{path}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _own_callables(module: ModuleType) -> list[str]:
    """Functions and classes that are defined in the module, not imported into it."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _arguments(spec: str, function: Callable[..., Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Those of the chosen arguments that the function names."""
    import inspect

    try:
        named = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise ModelError(f"[models] {spec} does not tell its arguments; wrap it in a function that does") from None
    fixed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for name, parameter in named.items():
        wanted = parameter.default is parameter.empty and parameter.kind not in fixed[1:]
        if wanted and (name not in OFFERED or parameter.kind in fixed):
            raise ModelError(
                f"[models] {spec} needs an argument {name!r}, but is called by keyword with those of "
                f"{', '.join(OFFERED)} that it names; give {name!r} a default"
            )
    taken = {name: chosen[name] for name in OFFERED if name in named and named[name].kind not in fixed}
    if chosen["width"] is not None and "width" not in taken:
        raise ModelError(f"[models] {spec} has no argument 'width'; leave the width out")
    if taken.get("width", 0) is None and named["width"].default is not inspect.Parameter.empty:
        del taken["width"]  # nobody chose one: the function's own default
    return taken


@no_grad()
def _try_out(model: nn.Module, spec: str, path: Path, num_classes: int, input_shape: Shape) -> None:
    """Run two images of zeros through a model in evaluation mode; its modes and the random state stay as they were."""
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    place: dict[str, Any] = {} if first is None else {"dtype": first.dtype, "device": first.device}
    modes, state = [(part, part.training) for part in model.modules()], get_rng_state()
    size = (2, *input_shape)
    try:
        with _blamed_on(path, f"the model of {spec} fails on images of shape {size}"):
            model.eval()
            logits = model(zeros(*size, **place))
    finally:
        set_rng_state(state)
        for part, training in modes:
            part.training = training
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, num_classes):
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ModelError(
            f"[models] the model of {spec} gives {got} for images of shape {size}; "
            f"with {num_classes} classes it must give logits of shape {(2, num_classes)}"
        )
