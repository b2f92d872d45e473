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


def table(rows: list[Usage]) -> Iterator[str]:
    """One line for each kernel, its architectures side by side."""
    registers = [f"Registers, {architecture}" for architecture in ARCHITECTURES]
    header = ["File", "Kernel", "Instances", *registers, "Most in", "Shared memory, bytes", "Spills, bytes"]
    yield f"| {' | '.join(header)} |"
    yield f"| --- | --- | ---: |{' ---: |' * len(registers)} --- | ---: | ---: |"
    kernels: dict[tuple[str, str], list[Usage]] = {}
    for row in rows:
        kernels.setdefault((row.file, row.instance.split("<")[0]), []).append(row)
    for (file, kernel), found in sorted(kernels.items()):
        by = [[u.registers for u in found if u.architecture == architecture] for architecture in ARCHITECTURES]
        most = max(found, key=lambda u: (u.architecture == ARCHITECTURES[-1], u.registers, u.instance))
        cells = [file, kernel, str(len(by[0])), *map(span, by), f"`{most.instance.removeprefix(kernel) or '-'}`"]
        cells += [span([u.shared + u.dynamic_shared for u in found]), str(max([u.spills for u in found]))]
        yield f"| {' | '.join(cells)} |"


def span(numbers: list[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def main() -> int:
    """Compile, and write the report; 1 where there is no compiler."""
    found = compiler()
    if found is None:
        print("no compiler: install the wheels nvidia-cuda-nvrtc, -runtime and -crt, or nvcc", file=sys.stderr)
        return 1
    rows, warnings = usages(found, thorough=True)
    lines = [
        f"# Kernels on {' and '.join(ARCHITECTURES)}",
        "",
        f"{len(rows) // len(ARCHITECTURES)} instances, those that the kernel cases ask for and some that count in 64 "
        f"bits; {found.name}, {len(warnings)} warnings. Written by `python -m bench.compile_report`.",
        "",
        *table(rows),
    ]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(REPORT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
