"""The documents are true: their Python prints what they say, their commands exist, their links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import readme_table
import typer.main

import gradflow
from gradflow.cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "kernels/README.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = re.compile(r"\s*print\(.*\)  # (.+)")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def blocks(language: str) -> list[tuple[str, str]]:
    """(where, text) of all code blocks in a language."""
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match[1] == language:
                found.append((f"{name}:{text.count(chr(10), 0, match.start()) + 1}", match[2]))
    return found


PYTHON, CONSOLE = blocks("python"), blocks("console")


def test_the_list_of_what_there_is_is_true() -> None:
    assert readme_table.parts()[1] == readme_table.table(), "write it anew: python tests/readme_table.py"


def test_there_is_something_to_check() -> None:
    assert len(PYTHON) >= 8
    fences = [f for name in DOCUMENTS for f in re.findall(r"^```(.*)$", (ROOT / name).read_text("utf-8"), re.M)]
    assert set(fences) == {"", "python", "console", "text"}


@pytest.mark.parametrize("where, code", PYTHON, ids=[where for where, _ in PYTHON])
def test_python_prints_what_its_comments_say(where: str, code: str, tmp_path: Path) -> None:
    """`print(x)  # text` prints that text; "about ..." is for readers only."""
    paths = [str(Path(gradflow.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "GRADFLOW_DEVICE": "cpu"}
    (tmp_path / "block.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "block.py"], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{where}: {done.stderr}"
    expected = [match[1] for match in map(EXPECTED.fullmatch, code.splitlines()) if match]
    printed = done.stdout.splitlines()
    assert len(printed) == len(expected), f"{where} has a print whose result is not beside it: {done.stdout}"
    assert [p if not e.startswith("about ") else e for p, e in zip(printed, expected, strict=True)] == expected


def test_ten_statements_train_a_network() -> None:
    code = next(code for _, code in PYTHON if "optimizer.step()" in code)
    training = ast.parse(code.partition("images, labels = gf.tensor")[0])
    statements = [node for node in ast.walk(training) if isinstance(node, ast.stmt)]
    assert len([s for s in statements if not isinstance(s, (ast.Import, ast.ImportFrom))]) == 10


@pytest.mark.parametrize("where, text", CONSOLE, ids=[where for where, _ in CONSOLE])
def test_commands_exist(where: str, text: str) -> None:
    """Subcommands and options parse, extras are declared, files are there."""
    for command in re.split(r"&&|\n", text):
        words = shlex.split(command)
        if words[:1] == ["gradflow"]:
            sub = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
            sub.make_context(words[1], words[2:])
        elif words[:2] == ["pip", "install"]:
            declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            extras = [e for word in words for e in re.findall(r"\[([\w,]+)\]", word)]
            assert all(re.search(rf"^{e} = \[", declared, re.M) for group in extras for e in group.split(","))
        elif words[:1] in (["pytest"], ["python"]) and len(words) > 1 and not words[1].startswith("-"):
            path = ROOT / words[1]
            assert path.exists()
            if words[0] == "python":
                assert all(word in path.read_text(encoding="utf-8") for word in words if word.startswith("--"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in LINK.findall(text):
        assert ((ROOT / name).parent / target).exists(), f"{name} links to {target}"


def test_the_test_command_is_spelled_as_ci_runs_it() -> None:
    assert "\npip install '.[test]' && pytest\n" in (ROOT / "README.md").read_text(encoding="utf-8")
