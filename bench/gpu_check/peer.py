"""A process that serves one library: `python -m bench.gpu_check.peer LIBRARY DEVICE`, a line of JSON each way.

    {"load": key, "module": name, "options": {...}}   -> {"check": [...], "memory": bytes, ...}
    {"time": key, "seconds": s}                       -> {"seconds": [...]}
    {"clear": true}                                   -> {}

`module` has a function `make(place, **options)` that returns what to time and a function for the numbers on which
libraries must agree, which is called first and may return None. What goes wrong is answered as {"error": text}.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from .place import Place


def serve(library: str, device: str) -> None:
    """Answer until the pipe closes."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers

        def answer(found: dict[str, Any]) -> None:
            print(json.dumps(found), file=answers, flush=True)

        try:
            place = Place(library, device)
            answer(place.facts())
        except Exception as error:
            answer({"error": f"{type(error).__name__}: {error}"})
            return
        loaded: dict[str, Callable[[], Any]] = {}
        for line in sys.stdin:
            try:
                answer(respond(place, loaded, json.loads(line)))
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                answer({"error": text[:500], "missing": isinstance(error, (AttributeError, NotImplementedError))})


def respond(place: Place, loaded: dict[str, Callable[[], Any]], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    if "load" in request:
        place.forget_memory()
        call, check = importlib.import_module(request["module"]).make(place, **request["options"])
        loaded[request["load"]] = call
        numbers = check()
        call()
        place.wait()
        return {"check": numbers, "memory": place.memory(), "note": getattr(call, "note", "")}
    if "time" in request:
        return {"seconds": place.times(loaded[request["time"]], request["seconds"])}
    loaded.clear()
    gc.collect()
    place.forget_memory()
    return {}


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
