"""Memory by tracemalloc, to which NumPy reports its arrays: what a training step takes, and what a chain retains."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradflow as gf
from gradflow.cli.bench_peers import lenet

MEGABYTE = 10**6


class Trace:
    """Bytes above what was there at the start: the highest so far, and now."""

    def __init__(self) -> None:
        self.start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()

    @property
    def peak(self) -> int:
        return tracemalloc.get_traced_memory()[1] - self.start

    @property
    def held(self) -> int:
        return tracemalloc.get_traced_memory()[0] - self.start


@contextmanager
def traced(warm_up: Callable[[], Any] = lambda: None) -> Iterator[Trace]:
    """Trace allocations from after `warm_up`, without the garbage collector: what needs it counts as retained."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        warm_up()
        yield Trace()
    finally:
        tracemalloc.stop()
        gc.enable()


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

    with traced(step) as memory:
        step()
        assert memory.peak <= 8.7 * MEGABYTE
        assert memory.held < 20_000


def test_chained_additions_retain_one_output():
    """Of x + 1 + 1 + ..., 20 times on 2 MB, no intermediate is needed for the gradient: each is freed at once."""
    x = gf.ones(500_000, requires_grad=True)
    with traced() as memory:
        y = x
        for _ in range(20):
            y = y + 1.0
        assert memory.held < 1.1 * 2 * MEGABYTE
        assert memory.peak < 2.1 * 2 * MEGABYTE
        y.sum().backward()
        del y
        assert x.grad is not None
        assert x.grad.tolist()[:2] == [1.0, 1.0]
        assert memory.held < 1.1 * 2 * MEGABYTE  # the gradient of x


def test_a_graph_that_is_dropped_is_freed_at_once():
    """No reference cycles: without a backward pass, the graph goes with the last reference to its result."""
    w = gf.ones(1000, 250, requires_grad=True)
    x = gf.ones(500, 1000)
    with traced(lambda: (x @ w).sigmoid().sum()) as memory:
        for _ in range(10):
            loss = gf.softmax((x @ w).sigmoid(), 1).sum()
            del loss
        assert memory.held < 20_000


def test_a_convolution_keeps_no_columns():
    """im2col's columns of a whole batch would be nine times the images."""
    x, w = gf.ones(64, 16, 32, 32), gf.ones(16, 16, 3, 3, requires_grad=True)
    size = 4 * 64 * 16 * 32 * 32
    with traced() as memory:
        y = gf.nn.functional.conv2d(x, w, padding=1)
        assert memory.held < 1.05 * size
        assert memory.peak < 2.5 * size
        y.sum().backward()
        assert memory.peak < 4 * size
