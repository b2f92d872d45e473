"""Memory by tracemalloc, to which NumPy reports its arrays: what a training step takes, and what a chain retains."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gradflow as gf
from gradflow.backend import threads
from gradflow.cli.bench_peers import lenet

MEGABYTE = 10**6


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each thread of a convolution has a workspace; the figures are those of two, whatever the machine has."""
    monkeypatch.setenv("GRADFLOW_NUM_THREADS", "2")
    threads._setup.cache_clear()
    yield
    threads._setup.cache_clear()


def memory_of(call: Callable[[], Any]) -> tuple[int, int]:
    """(peak, held) in bytes: the most that call() had at a time, and what its result keeps.

    After a first call, which also imports what it needs, the least of three: in one of them the interpreter may enlarge
    a table of its own. The garbage collector is off, so that what needs it counts as held.
    """
    call()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    found = []
    try:
        for _ in range(3):
            start = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            result = call()
            held, peak = tracemalloc.get_traced_memory()
            found.append((peak - start, held - start))
            del result
    finally:
        tracemalloc.stop()
        gc.enable()
    return min([peak for peak, _ in found]), min([held for _, held in found])


def test_a_lenet_step_peaks_below_pytorch():
    """128 images, float32, SGD with momentum: at most 8.7 MB, PyTorch's peak by its profiler's memory events.

    Weights, momentum and data are there before. The weights' gradients (0.25 MB) count: they are made within the step,
    as in PyTorch, since zero_grad() drops them.
    """
    model = lenet(gf.nn)
    optimizer = gf.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images, labels = gf.randn(128, 1, 28, 28), gf.randint(0, 10, (128,))

    def step() -> None:
        gf.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    peak, held = memory_of(step)
    assert peak <= 8.7 * MEGABYTE
    assert held < 20_000


def test_chained_additions_retain_one_output():
    """Of x + 1 + 1 + ..., 20 times on 2 MB, no intermediate is needed for the gradient: each is freed at once."""
    x = gf.ones(500_000, requires_grad=True)

    def chain() -> gf.Tensor:
        y = x
        for _ in range(20):
            y = y + 1.0
        return y

    peak, held = memory_of(chain)
    assert held < 1.1 * 2 * MEGABYTE
    assert peak < 2.1 * 2 * MEGABYTE

    def gradient() -> Any:
        chain().sum().backward()
        g, x.grad = x.grad, None
        return g

    assert gradient().tolist()[:2] == [1.0, 1.0]
    assert memory_of(gradient)[1] < 1.1 * 2 * MEGABYTE


def test_a_graph_that_is_dropped_is_freed_at_once():
    """No reference cycles: without a backward pass, the graph goes with the last reference to its result."""
    w = gf.ones(1000, 250, requires_grad=True)
    x = gf.ones(500, 1000)

    def forward() -> None:
        gf.softmax((x @ w).sigmoid(), 1).sum()

    peak, held = memory_of(forward)
    assert peak > 2 * 4 * 500 * 250
    assert held < 20_000


def test_a_convolution_keeps_no_columns():
    """im2col's columns of a whole batch would be nine times the images."""
    x, w = gf.ones(64, 16, 32, 32), gf.ones(16, 16, 3, 3, requires_grad=True)
    size = 4 * 64 * 16 * 32 * 32

    def convolve() -> gf.Tensor:
        y: gf.Tensor = gf.nn.functional.conv2d(x, w, padding=1)
        return y

    def convolve_and_back() -> None:
        convolve().sum().backward()
        w.grad = None

    peak, held = memory_of(convolve)
    assert held < 1.05 * size
    assert peak < 2.5 * size
    assert memory_of(convolve_and_back)[0] < 4 * size
