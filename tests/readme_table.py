"""README's list of what there is, made from the code: `python tests/readme_table.py` writes it anew."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- made by tests/readme_table.py -->\n", "<!-- end -->\n"
SPACES = {
    "functions": "`gf`: functions, most of them methods of `Tensor` as well",
    "creation": "`gf`: new tensors",
    "toplevel": "`gf`: layers",
    "linalg": "`gf.linalg`",
    "func": "`gf.func`",
    "nn.functional": "`gf.nn.functional`",
    "nn": "`gf.nn`",
    "nn.init": "`gf.nn.init`",
    "nn.utils": "`gf.nn.utils`",
    "nn.utils.rnn": "`gf.nn.utils.rnn`",
    "nn.utils.parametrize": "`gf.nn.utils.parametrize`",
    "autograd": "`gf.autograd`",
    "typeinfo": "`gf`: dtypes",
    "optim": "`gf.optim`",
    "optim.lr_scheduler": "`gf.optim.lr_scheduler`",
    "optim.swa_utils": "`gf.optim.swa_utils`",
    "amp": "`gf.amp`",
    "utils.checkpoint": "`gf.utils.checkpoint`",
    "testing": "`gf.testing`",
    "models": "`gf.models`",
}


def rows(space: ModuleType) -> list[tuple[str, list[str]]]:
    """The names that a namespace gives out, by the file they stand in, with what that file says it holds."""
    left = [n for n in space.__all__ if not n.startswith("_") and not isinstance(getattr(space, n), ModuleType)]
    found = []
    modules = [m for m in vars(space).values() if isinstance(m, ModuleType)]
    for module in sorted(modules, key=lambda m: m.__name__):
        if module.__name__.rpartition(".")[0] == space.__name__:
            names = [n for n in getattr(module, "__all__", []) if n in left]
            left = [n for n in left if n not in names]
            if names:
                found.append((about(module), names))
    return [*found, (about(space), left)] if left else found


def about(module: ModuleType) -> str:
    """The first sentence of a module's text, or what stands before its colon."""
    text = " ".join((module.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"\.(?: |$)|:(?: |$)", text)[0]


def table() -> str:
    """A line of Markdown for each family of each namespace."""
    lines = []
    for path, title in SPACES.items():
        lines += [f"**{title}**", "", "| | |", "| --- | --- |"]
        for what, names in rows(import_module(f"gradflow.{path}")):
            lines.append(f"| {what} | {' '.join([f'`{n}`' for n in sorted(names, key=str.lower)])} |")
        lines.append("")
    return "\n".join(lines)


def parts() -> tuple[str, str, str]:
    """README before the table, the table, and what follows."""
    before, rest = README.read_text(encoding="utf-8").split(START)
    held, after = rest.split(END)
    return before, held, after


if __name__ == "__main__":
    before, _, after = parts()
    README.write_text(f"{before}{START}{table()}{END}{after}", encoding="utf-8")
