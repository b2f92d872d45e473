"""How long `import gradflow` takes in a fresh process, against `import numpy`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from gradflow.cli.bench_turns import environ_for, race_imports

CODE = (
    "import sys; sys.path += {paths!r}; import {module}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
)


def loaded(module: str) -> set[str]:
    """The top-level modules that an import brings."""
    code = CODE.format(paths=sys.path, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_only_numpy_is_imported() -> None:
    other = loaded("gradflow") - loaded("numpy") - sys.stdlib_module_names
    assert other == {"gradflow"}


@pytest.mark.parametrize("module", ["numpy", "gradflow"])
def test_import(benchmark: Any, module: str) -> None:
    """The whole process; the import alone is in `seconds of the import`."""
    code = f"import sys; sys.path += {sys.path!r}; import {module}"
    benchmark.pedantic(
        subprocess.run,
        args=([sys.executable, "-c", code],),
        kwargs={"check": True, "env": environ_for(["PYTHONDONTWRITEBYTECODE"])},
        rounds=10,
        warmup_rounds=1,
    )
    times = race_imports({"numpy": sys.executable, "gradflow": sys.executable})
    benchmark.extra_info["seconds of the import"] = round(times[module].median, 4)
    benchmark.extra_info["times NumPy's"] = round(times[module].median / times["numpy"].median, 2)
