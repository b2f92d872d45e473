"""Write what every kernel takes on sm_80 and sm_90, as their compiler reports it: `python -m bench.compile_report`.

Needs no GPU, but the wheels of NVRTC, which the extra `test` brings, or nvcc. Takes minutes the first time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from kernels.compiled import ARCHITECTURES, Usage, compiler, usages  # noqa: E402

REPORT = ROOT / "bench" / "results" / f"kernels-{'-'.join(ARCHITECTURES)}.md"
"""Where the table is kept."""


def summary(rows: list[Usage]) -> Iterator[str]:
    """One line for each kernel and architecture."""
    yield "| File | Kernel | Architecture | Instances | Registers | Shared memory, bytes | Spills, bytes |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: |"
    kernels: dict[tuple[str, str, str], list[Usage]] = {}
    for row in rows:
        kernels.setdefault((row.file, row.instance.split("<")[0], row.architecture), []).append(row)
    for key, found in sorted(kernels.items()):
        registers = span([u.registers for u in found])
        shared = span([u.shared + u.dynamic_shared for u in found])
        yield f"| {' | '.join(key)} | {len(found)} | {registers} | {shared} | {max(u.spills for u in found)} |"


def table(rows: list[Usage]) -> Iterator[str]:
    """One line for each instance, its architectures side by side."""
    yield f"| Instance | Registers ({', '.join(ARCHITECTURES)}) | Shared, static | Shared, dynamic | Spills |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    instances: dict[tuple[str, str], dict[str, Usage]] = {}
    for row in rows:
        instances.setdefault((row.file, row.instance), {})[row.architecture] = row
    for (_, name), by in sorted(instances.items()):
        each = [by[architecture] for architecture in ARCHITECTURES]
        registers = ", ".join([str(u.registers) for u in each])
        shared, spills = max(u.shared for u in each), max(u.spills for u in each)
        yield f"| `{name}` | {registers} | {shared} | {each[0].dynamic_shared} | {spills} |"


def span(numbers: list[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def main() -> int:
    """Compile, and write the report; 1 where there is no compiler."""
    found = compiler()
    if found is None:
        print("no compiler: install the wheels nvidia-cuda-nvrtc, -runtime and -crt, or nvcc", file=sys.stderr)
        return 1
    rows, warnings = usages(found)
    lines = [
        f"# Kernels on {' and '.join(ARCHITECTURES)}",
        "",
        f"{len(rows) // len(ARCHITECTURES)} instances, those that the kernel cases ask for; {found.name}, "
        f"{len(warnings)} warnings. Written by `python -m bench.compile_report`.",
        "",
        *summary(rows),
        "",
        "## Every instance",
        "",
        *table(rows),
    ]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(REPORT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
