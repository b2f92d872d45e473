"""Kernel sources made ready to compile: includes put into the text, and which instances of it are wanted."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from ..sources import kernel_source
from .signature import Parameter, Signature, SignatureError, parse_kernels

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"[^\n]*$', re.M)


class Program:
    """One source: its whole text, the kernels in it, and the instances asked for so far.

    `filename` is what compilers call it in their messages. `shares_types`: its templates take all float types alike.
    """

    def __init__(self, source: str, filename: str, shares_types: bool = False) -> None:
        self.filename, self.shares_types = filename, shares_types
        self.text = inline(source, filename)
        self.kernels = parse_kernels(self.text)
        self.instances: dict[str, tuple[Parameter, ...]] = {}
        self.lock = threading.Lock()
        if not self.kernels:
            raise SignatureError(f"[{filename}] there is no __global__ function in this source")

    def signature(self, kernel: str) -> Signature:
        if kernel not in self.kernels:
            known = ", ".join(self.kernels)
            raise SignatureError(f"[{self.filename}] there is no kernel {kernel!r} (there are: {known})")
        return self.kernels[kernel]

    def instance(self, kernel: str, arguments: Sequence[Any]) -> tuple[str, tuple[Parameter, ...]]:
        """The name of an instance, noted as wanted, and its parameters."""
        name, parameters = self.signature(kernel).bind(tuple(arguments))
        with self.lock:
            self.instances[name] = parameters
        return name, parameters

    def __repr__(self) -> str:
        return f"<program {self.filename}>"


def defines(instance: str) -> tuple[str, ...]:
    """The macros by which common.cuh includes the headers of the 16-bit floats that an instance needs."""
    return tuple([d for d, kind in (("GF_F16", "__half"), ("GF_BF16", "__nv_bfloat16")) if kind in instance])


def inline(source: str, filename: str) -> str:
    """The source with its own headers put in, as caches of compiled code see the text only, each once.

    #line directives keep the compilers' messages true.
    """
    seen: set[str] = set()

    def expand(text: str, name: str) -> str:
        lines = [f'#line 1 "{name}"']
        for number, line in enumerate(text.split("\n"), 1):
            match = _INCLUDE.match(line)
            if not match:
                lines.append("" if line.strip() == "#pragma once" else line)
            elif match[1] not in seen:
                seen.add(match[1])
                lines += [expand(kernel_source(f"cuda/{match[1]}"), match[1]), f'#line {number + 1} "{name}"']
            else:
                lines.append("")
        return "\n".join(lines)

    return expand(source, filename)


@cache
def packaged(filename: str) -> Program:
    """The program of one of gradflow's own files, such as "softmax.cu"."""
    return Program(kernel_source(f"cuda/{filename}"), filename, shares_types=True)
