"""Runs the parts one after the other and writes the results anew after each."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from .book import write_whole
from .page import markdown
from .parts import Part

ROOT = Path(__file__).parents[2]
LEAST = 3.0  # seconds below which a part is not begun
PAUSE = 3.0  # seconds between two looks at what a part has written
GRACE = 5.0  # seconds a part has to end by itself once its budget is used up


def run(
    parts: Sequence[Part],
    device: str,
    folder: Path,
    *,
    budget: float,
    data: str | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Path, dict[str, Any]]:
    """Run parts and return the path of the JSON file, the page beside it, and all that is in it.

    The file's name is that of the GPU, which the part "environment" finds, or "rehearsal-<device>".
    """
    started = monotonic()
    found: dict[str, Any] = {
        "device": device,
        "rehearsal": device != "cuda",
        "gpu": None,
        "date": datetime.date.today().isoformat(),
        "seconds": 0.0,
        "finished": False,
        "parts": [{"name": p.name, "title": p.title, "status": "not run", "budget": p.budget} for p in parts],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path: Path | None = None
    with tempfile.TemporaryDirectory() as scratch:
        for i, part in enumerate(parts):
            left = budget - (monotonic() - started)
            if left < LEAST:
                found["parts"][i]["reason"] = "no time was left"
                say(f"{part.name}: no time was left")
                continue
            if path is not None:
                found["parts"][i]["status"] = "running"
                save(path, found)
            say(f"{part.name} ...")
            keep = partial(save_unfinished, path, found, i)
            result = run_part(part, device, min(part.budget, left), Path(scratch) / f"{part.name}.json", data, keep)
            found["parts"][i].update(result)
            say(f"{part.name}: {result['status']} in {result['seconds']:.1f} s {result['reason']}".rstrip())
            found["gpu"] = found["gpu"] or gpu_name(result)
            found["seconds"] = round(monotonic() - started, 1)
            if path is None:
                path = free_path(folder, found)
            save(path, found)
    found["finished"] = True
    if path is None:
        path = free_path(folder, found)
    save(path, found)
    return path, found


def run_part(
    part: Part, device: str, seconds: float, file: Path, data: str | None, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:  # fmt: skip
    """One part in a process of its own, which is killed with all it has started when its time is up.

    `keep` is called now and then with what it has so far.
    """
    command = [sys.executable, "-m", "bench.gpu_check.part", part.module, str(file), device, f"{seconds:.1f}"]
    start = monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, data] if data else command,
            cwd=ROOT,
            env=environ(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end, ended = start + seconds + GRACE, False
        try:
            while not ended and monotonic() < end:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(PAUSE, max(end - monotonic(), 0)))
                    ended = True
                keep(written(file))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    result = written(file)
    if not ended:
        result.update(status="out of time", reason=f"stopped after {seconds:.0f} s")
    elif result["status"] is None:
        last = said.splitlines()[-1] if said else ""
        result.update(status="failed", reason=f"its process ended with {process.returncode}; {last}"[:300].rstrip("; "))
    if result["status"] in ("failed", "out of time"):
        result["output"] = said[-4000:]
    return {**result, "seconds": round(monotonic() - start, 1)}


def written(file: Path) -> dict[str, Any]:
    """What a part has written down, which is nothing where it never got so far."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    return {"status": None, "reason": "", "notes": [], "faults": [], "left out": [], "tables": {}}


def environ() -> dict[str, str]:
    """This process's environment with the checkout on Python's path, and a place for what CuPy compiles."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    home = os.path.expanduser("~")  # where CuPy keeps it, and cannot be imported if that fails
    cache = {} if os.access(home, os.W_OK) else {"CUPY_CACHE_DIR": os.path.join(tempfile.gettempdir(), "cupy")}
    return {**cache, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}


def gpu_name(result: dict[str, Any]) -> str | None:
    for row in result["tables"].get("", []):
        if row.get("what") == "GPU":
            return str(row["value"])
    return None


def free_path(folder: Path, found: dict[str, Any]) -> Path:
    """`<gpu>-<date>.json`, or with a number where there is one of that name already."""
    name = f"rehearsal {found['device']}" if found["rehearsal"] else found["gpu"] or "unknown gpu"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    stem, number = f"{slug}-{found['date']}", 1
    while (folder / f"{stem}.json").exists():
        number += 1
        stem = f"{slug}-{found['date']}-{number}"
    return folder / f"{stem}.json"


def save_unfinished(path: Path | None, found: dict[str, Any], i: int, written: dict[str, Any]) -> None:
    """Keep what the i-th part has so far."""
    if path is not None:
        found["parts"][i].update(written, status="running")
        save(path, found)


def save(path: Path, found: dict[str, Any]) -> None:
    """Write the JSON file and the page, each whole."""
    write_whole(path, json.dumps(found, indent=1) + "\n")
    write_whole(path.with_suffix(".md"), markdown(found))
