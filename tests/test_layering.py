"""Floors import downward only, and `import gradflow` brings in no third-party package but NumPy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradflow

ROOT = Path(gradflow.__file__).parent
FLOORS = (
    "backend version", "autograd", "func ops typeinfo", "creation", "functions", "inplace linalg methods printing",
    "tensor", "testing", "amp", "nn custom", "data", "utils", "models optim toplevel", "train", "__init__", "cli",
)  # fmt: skip
FLOOR = {name: i for i, names in enumerate(FLOORS) for name in names.split()}
FILES = sorted(ROOT.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """A file's imports, those inside functions too; not those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")):
            yield from imports(node)


def parts_used(path: Path) -> set[str]:
    """The parts of the package that a file imports: its folders and the files at its top."""
    package, used = ["gradflow", *path.relative_to(ROOT).parts[:-1]], set()
    for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = [*base, *(node.module.split(".") if node.module else [])]
            names = [[*origin, alias.name] for alias in node.names]
        used |= {n[1] if n[1:2] and n[1] in FLOOR else "__init__" for n in names if n[0] == "gradflow"}
    return used


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_floors_import_downward_only(path: Path) -> None:
    part = path.relative_to(ROOT).with_suffix("").parts[0]
    assert part in FLOOR, f"say in this test on which floor {part} stands"
    assert [p for p in sorted(parts_used(path)) if p != part and FLOOR[p] >= FLOOR[part]] == []


def test_importing_gradflow_loads_numpy_only() -> None:
    def loaded(package: str) -> set[str]:
        code = f"import sys, {package}; print(*sys.modules)"
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
        return {m.split(".")[0] for m in run.stdout.split()}

    assert loaded("gradflow") - loaded("numpy") - sys.stdlib_module_names == {"gradflow"}
