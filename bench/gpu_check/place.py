"""One library on one device: how to wait for it, time it, and see what memory it took."""

from __future__ import annotations

import contextlib
import importlib
import math
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter
from typing import Any

BLOCK = 0.02  # seconds of calls between two looks at the clock, so that launches queue up as in real work


class Place:
    """`lib` is gradflow or torch; both have PyTorch's names, so that most of what is timed is written once."""

    def __init__(self, library: str, device: str) -> None:
        self.library, self.device, self.small = library, device, device != "cuda"
        self.lib: Any = importlib.import_module(library)
        if library == "torch":
            self.device = device if device == "cuda" else "cpu"
            products = self.lib.backends.cuda.matmul
            products.allow_tf32 = self.lib.backends.cudnn.allow_tf32 = False
            products.allow_fp16_reduced_precision_reduction = products.allow_bf16_reduced_precision_reduction = False
            self.lib.backends.cudnn.benchmark = True
        else:
            self.lib.set_default_device(device)
        self.cupy: Any = importlib.import_module("cupy") if library == "gradflow" and device == "cuda" else None

    def facts(self) -> dict[str, Any]:
        return {"library": self.library, "version": str(self.lib.__version__), "device": self.device}

    def default(self) -> Any:
        """A context in which new tensors go to the device. PyTorch's slows every call down, so time outside of it."""
        return self.lib.device(self.device) if self.library == "torch" else contextlib.nullcontext()

    def wait(self) -> None:
        if self.library == "gradflow":
            importlib.import_module("gradflow.backend").get_backend(self.device).synchronize()
        elif self.device == "cuda":
            self.lib.cuda.synchronize()

    def times(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """Seconds of a call, the mean of a block each, until `seconds` are up, after one that does not count."""
        if self.small:
            return [self._block(call, 1)]
        count = max(1, min(2000, round(BLOCK / max(self._block(call, 1), 1e-6))))
        found: list[float] = []
        start = perf_counter()
        while not found or perf_counter() - start < seconds:
            found.append(self._block(call, count))
        return found

    def _block(self, call: Callable[[], Any], count: int) -> float:
        """Seconds a call, of `count` in a row; by the GPU's own clock where there is one."""
        if self.device != "cuda":
            start = perf_counter()
            for _ in range(count):
                call()
            self.wait()
            return (perf_counter() - start) / count
        if self.library == "torch":
            first, last = [self.lib.cuda.Event(enable_timing=True) for _ in range(2)]
        else:
            first, last = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        self.wait()
        first.record()
        for _ in range(count):
            call()
        last.record()
        last.synchronize()
        took = first.elapsed_time(last) if self.library == "torch" else self.cupy.cuda.get_elapsed_time(first, last)
        return float(took) / 1e3 / count

    def forget_memory(self) -> None:
        """Give unused memory back, and count anew."""
        if self.device != "cuda":
            return
        self.wait()
        if self.library == "torch":
            self.lib.cuda.empty_cache()
            self.lib.cuda.reset_peak_memory_stats()
        else:
            self.cupy.get_default_memory_pool().free_all_blocks()

    def memory(self) -> int:
        """The most bytes of the GPU that the library's allocator has held since `forget_memory`; 0 without a GPU."""
        if self.device != "cuda":
            return 0
        if self.library == "torch":
            return int(self.lib.cuda.max_memory_reserved())
        return int(self.cupy.get_default_memory_pool().total_bytes())  # it gives nothing back by itself


def probe(place: Place, *tensors: Any) -> list[float]:
    """Numbers that tell tensors apart, to be the same in every library: both ends against noise, in units of the mean
    size, and its logarithm."""
    from gradflow.cli.bench_peers import noise

    found = []
    with place.default():
        for t in tensors:
            flat = t.detach().reshape(-1).to(place.lib.float32)
            m = min(flat.shape[0], 1 << 16)
            weights = noise(place.lib, m, seed=9)
            size = flat.abs().mean().item()
            ends = [(part * weights).mean().item() for part in (flat[:m], flat[-m:])]
            found += [end / size for end in ends] + [math.log10(size)] if size > 0 else [*ends, size]
    return found


def dtypes_here(*names: str) -> list[str]:
    """Those dtypes that gradflow has here: bfloat16 needs ml_dtypes."""
    return [name for name in names if name != "bfloat16" or find_spec("ml_dtypes") is not None]


def spread(seconds: list[float]) -> float:
    """Half the distance between the quartiles, as a share of the median."""
    if len(seconds) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(seconds, n=4)
    return (high - low) / 2 / middle
