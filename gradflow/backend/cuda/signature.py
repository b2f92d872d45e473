"""What a kernel takes, read from its source: the parameters of each `__global__` function, and structs among them.

This is no C++ parser. It reads what gradflow's kernels consist of, and refuses the rest by name: parameters that are
pointers to, or values of, arithmetic types, template parameters, `acc_t<T>`, and plain structs of those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..dtypes import as_dtype

C_TYPES: dict[str, str] = {
    "float": "f4", "double": "f8", "__half": "f2", "half": "f2", "__nv_bfloat16": "bfloat16",
    "bool": "?", "char": "i1", "signed char": "i1", "unsigned char": "u1", "short": "i2", "unsigned short": "u2",
    "int": "i4", "unsigned": "u4", "unsigned int": "u4", "long long": "i8", "unsigned long long": "u8",
    "int8_t": "i1", "uint8_t": "u1", "int16_t": "i2", "uint16_t": "u2", "int32_t": "i4", "uint32_t": "u4",
    "int64_t": "i8", "uint64_t": "u8", "size_t": "u8",
}  # fmt: skip
"""C's names of arithmetic types, and the dtype of each."""

C_NAMES = {
    "f4": "float", "f8": "double", "f2": "__half", "bfloat16": "__nv_bfloat16", "?": "bool", "i1": "signed char",
    "u1": "unsigned char", "i2": "short", "u2": "unsigned short", "i4": "int", "u4": "unsigned", "i8": "long long",
    "u8": "unsigned long long",
}  # fmt: skip
"""The name a dtype has as a template argument."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_KERNEL = re.compile(
    r"(?:template\s*<(?P<template>[^{};]*?)>\s*)?(?:extern\s*\"C\"\s*)?"
    r"__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?"
    r"(?P<name>\w+)\s*\((?P<parameters>[^{};]*?)\)\s*\{"
)
_STRUCT = re.compile(r"(?:template\s*<(?P<template>[^{};<>]*)>\s*)?struct\s+(?P<name>\w+)\s*\{(?P<fields>[^{}]*)\}\s*;")


class SignatureError(TypeError):
    """A kernel whose parameters cannot be read, or an argument that does not fit one."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: `type` is C's name of the value's or the pointed-to type, "" for void."""

    name: str
    type: str
    pointer: bool
    const: bool


@dataclass(frozen=True)
class Signature:
    """A kernel's name, the names of its template's parameters, and its own."""

    name: str
    template: tuple[str, ...]
    parameters: tuple[Parameter, ...]

    def bind(self, arguments: tuple[Any, ...]) -> tuple[str, tuple[Parameter, ...]]:
        """The name of one instance, and its parameters with the template's arguments put in.

        An argument is a dtype, an integer, a bool or a C type's name.
        """
        if len(arguments) != len(self.template):
            wanted = ", ".join(self.template) or "none"
            raise SignatureError(f"[{self.name}] got {len(arguments)} template arguments, it has {wanted}")
        spelled = tuple([_spell(self.name, a) for a in arguments])
        values = dict(zip(self.template, spelled, strict=True))
        bound = tuple([Parameter(p.name, _substitute(p.type, values), p.pointer, p.const) for p in self.parameters])
        return (f"{self.name}<{', '.join(spelled)}>" if spelled else self.name), bound


def _spell(kernel: str, argument: Any) -> str:
    if isinstance(argument, bool):
        return "true" if argument else "false"
    if isinstance(argument, (int, np.integer)):
        return str(int(argument))
    if isinstance(argument, str) and argument in C_TYPES:
        return argument
    if isinstance(argument, str) and re.fullmatch(r"[A-Z]\w*(<.*>)?", argument):  # a struct of the source
        return argument
    try:
        return C_NAMES[dtype_key(as_dtype("" if argument is None else argument))]  # NumPy takes None for float64
    except (TypeError, KeyError):
        raise SignatureError(f"[{kernel}] {argument!r} is no dtype, integer or C type") from None


def dtype_key(dtype: np.dtype) -> str:
    """A dtype's short name: "f4", "i8", "?", or "bfloat16"."""
    return "bfloat16" if dtype.name == "bfloat16" else dtype.str[1:].replace("b1", "?")


def _substitute(text: str, values: dict[str, str]) -> str:
    text = re.sub(r"\w+", lambda m: values.get(m.group(), m.group()), text)
    accumulator = re.fullmatch(r"acc_t\s*<\s*(.+?)\s*>", text)
    if accumulator:
        return accumulator.group(1) if accumulator.group(1) in ("double", "int", "long long") else "float"
    return text


@lru_cache(maxsize=256)
def parse_kernels(source: str) -> dict[str, Signature]:
    """The signatures of all `__global__` functions of a source, by name."""
    text, aliases = _strip(source), parse_aliases(source)
    found = {}
    for match in _KERNEL.finditer(text):
        name = match["name"]
        template = tuple([p.split()[-1] for p in (match["template"] or "").split(",") if p.strip()])
        parameters = tuple([_parameter(name, p, aliases) for p in _split(match["parameters"])])
        found[name] = Signature(name, template, parameters)
    return found


def _strip(source: str) -> str:
    return re.sub(r"^\s*#[^\n]*", "", _COMMENT.sub(" ", source), flags=re.M)


def _split(parameters: str) -> list[str]:
    """Cut at the commas outside <>."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(parameters):
        depth += (c == "<") - (c == ">")
        if c == "," and depth == 0:
            parts.append(parameters[start:i])
            start = i + 1
    parts.append(parameters[start:])
    return [p for p in parts if p.strip()]


def _parameter(kernel: str, text: str, aliases: dict[str, str]) -> Parameter:
    words = re.sub(r"\b(?:__restrict__|__restrict|volatile)\b|(?:__align__\s*\(\d+\))", " ", text)
    match = re.fullmatch(r"\s*(const\s+)?(.+?)\s*(\bconst\b)?\s*(\*?)\s*(?:const\s+)?(\w+)\s*", words, re.S)
    if not match or "&" in words or "**" in words.replace(" ", ""):
        raise SignatureError(f"[{kernel}] cannot read the parameter {text.strip()!r}; take pointers and plain values")
    const, kind, late, star, name = match.groups()
    kind = " ".join(kind.split())
    kind = aliases.get(kind, kind)
    return Parameter(name, "" if kind == "void" else kind, star == "*", bool(const or late))


@lru_cache(maxsize=256)
def parse_structs(source: str) -> dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]:
    """The plain structs of a source: name -> (template parameters, (field, type) pairs); "[n]" ends an array's type."""
    found = {}
    for match in _STRUCT.finditer(_strip(source)):
        template = tuple([p.split()[-1] for p in (match["template"] or "").split(",") if p.strip()])
        fields = _fields(match["fields"])
        if fields is not None:
            found[match["name"]] = (template, fields)
    return found


def _fields(text: str) -> tuple[tuple[str, str], ...] | None:
    """The fields of a struct's text; None where it holds more than fields."""
    fields = []
    for line in [part for part in text.split(";") if part.strip()]:
        match = re.fullmatch(
            r"\s*((?:const\s+)?(?:\w+\s+)*?\w+)(\s+|\s*\*\s*)(\w+\s*(?:[,\[].*)?)", line.rstrip(), re.S
        )
        if not match or "(" in line or "=" in line:
            return None
        kind, star, names = match.groups()
        kind = " ".join(kind.split())
        for declared in names.split(","):
            field = re.fullmatch(r"\s*(\*?)\s*(\w+)\s*((?:\[\s*\w+\s*\])*)\s*", declared)
            if not field:
                return None
            pointer = "*" if "*" in star or field[1] else ""
            fields.append((field[2], kind + pointer + field[3].replace(" ", "")))
    return tuple(fields)


@lru_cache(maxsize=256)
def parse_aliases(source: str) -> dict[str, str]:
    """Other names of arithmetic types: `using Word = unsigned long long;`."""
    found = re.findall(r"\busing\s+(\w+)\s*=\s*([\w\s]+?)\s*;", _strip(source))
    return {name: " ".join(kind.split()) for name, kind in found if " ".join(kind.split()) in C_TYPES}


@lru_cache(maxsize=1024)
def struct_fields(source: str, spelled: str) -> tuple[Parameter, ...]:
    """The fields of a struct, as parameters; arrays as their elements. `spelled` may have <arguments>."""
    return tuple([field for field, _ in _members(source, spelled)])


@lru_cache(maxsize=1024)
def struct_dtype(source: str, spelled: str) -> np.dtype:
    """The NumPy dtype of a struct as C lays it out; pointers are 64-bit integers. `spelled` may have <arguments>."""
    members: list[Any] = []
    for field, shape in _members(source, spelled):
        if field.pointer:
            dtype = np.dtype("u8")
        elif field.type in C_TYPES:
            dtype = as_dtype(C_TYPES[field.type])
        else:
            dtype = struct_dtype(source, field.type)
        members.append((field.name, dtype, shape) if shape else (field.name, dtype))
    return np.dtype(members, align=True)


def _members(source: str, spelled: str) -> list[tuple[Parameter, tuple[int, ...]]]:
    """The fields of a struct, each with the shape of an array."""
    structs, aliases = parse_structs(source), parse_aliases(source)
    match = re.fullmatch(r"(\w+)\s*(?:<(.+)>)?", spelled)
    if not match or match[1] not in structs:
        known = ", ".join(structs) or "none"
        raise SignatureError(f"there is no type or plain struct {spelled!r} in the source (structs: {known})")
    template, fields = structs[match[1]]
    arguments = [a.strip() for a in match[2].split(",")] if match[2] else []
    if len(arguments) != len(template):
        raise SignatureError(f"struct {match[1]} has template parameters {template}, got {arguments}")
    values = dict(zip(template, arguments, strict=True))
    found = []
    for name, text in fields:
        kind, *sizes = re.split(r"\[|\]\[", text.rstrip("]"))
        pointer, const = kind.endswith("*"), kind.startswith("const ")
        kind = _substitute(kind.removeprefix("const ").rstrip("*"), values)
        kind = "" if kind == "void" else aliases.get(kind, kind)
        shape = tuple([_size(spelled, name, _substitute(s, values)) for s in sizes])
        found.append((Parameter(name, kind, pointer, const), shape))
    return found


def _size(struct: str, field: str, text: str) -> int:
    if not text.isdecimal():
        raise SignatureError(f"[{struct}] the size of {field} is {text!r}; make it a number or a template parameter")
    return int(text)
