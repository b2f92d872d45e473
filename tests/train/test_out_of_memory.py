"""Running out of memory: what is said to take it, how exact that is, and that the size it names really fits."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn, optim
from gradflow.backend import get_backend
from gradflow.nn.functional import cross_entropy
from gradflow.ops.random import default_generator
from gradflow.train.memory_report import OutOfMemory
from gradflow.train.out_of_memory import explain_out_of_memory, is_out_of_memory

CPU = get_backend("cpu")
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def cnn(norm: bool = False, width: int = 16) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 1
    for size in (width, 2 * width):
        layers += [nn.Conv2d(channels, size, 3, padding=1), *([nn.BatchNorm2d(size)] if norm else []), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        channels = size
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 49, 10))


def steps_of(model: nn.Module, shape: tuple[int, ...] = (1, 28, 28), device: str = "cpu") -> Callable[[int], Any]:
    def build(n: int) -> Callable[[], Any]:
        images = gf.tensor(np.ones((n, *shape), np.float32), device=device)
        labels = gf.tensor(np.arange(n) % 10, device=device)
        return lambda: cross_entropy(model(images), labels)

    return build


@pytest.mark.parametrize("norm", [False, True])
def test_the_forecast_is_what_training_takes(norm: bool) -> None:
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        model = cnn(norm)
        optimizer = optim.Adam(model.parameters())
        build = steps_of(model)
        for _ in range(2):
            loss = build(64)()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            del loss
        measured = tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()
    sizes: list[int] = []
    model = cnn(norm)
    build = steps_of(model)
    found = explain_out_of_memory(
        lambda n: sizes.append(n) or build(n), model, optim.Adam(model.parameters()), 64, CPU, limit=measured
    )
    assert found.needed == pytest.approx(measured, rel=0.1)
    assert max(sizes) <= 16
    assert 64 * found.per_image < found.needed < 64 * found.per_image + found.fixed + 8 * MIB
    assert 0.6 * 64 < found.fits < 64


class Branches(nn.Module):
    """y = W x, then V (sin(y) + cos(y) + y): two operations that keep y, and one that keeps their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(100, 1000, bias=False)
        self.outer = nn.Linear(1000, 10, bias=False)

    def forward(self, x: Any) -> Any:
        y = self.inner(x)
        return self.outer(gf.sin(y) + y.reshape(-1, 10, 100).cos().reshape(-1, 1000) + y)


def test_a_storage_counts_once_for_the_first_that_keeps_it() -> None:
    model = Branches()
    found = explain_out_of_memory(steps_of(model, (100,)), model, optim.SGD(model.parameters()), 500, CPU, GIB)
    rows = {(row.op, row.layer): row.bytes for row in found.rows}
    assert rows["sin", ""] == 500 * 4000  # y
    assert rows["matmul", "outer"] == 500 * 4000  # the sum
    assert rows["the batch", ""] == 500 * 400
    assert not {"cos", "reshape", "add"} & {op for op, _ in rows}
    assert [row.bytes for row in found.rows] == sorted([row.bytes for row in found.rows], reverse=True)


def test_a_batch_that_is_part_of_more_counts_for_what_it_is() -> None:
    model = nn.Linear(100, 10)
    images, labels = gf.rand(1000, 100, device="cpu"), gf.tensor(np.arange(1000) % 10)
    found = explain_out_of_memory(
        lambda n: lambda: cross_entropy(model(images[:n]), labels[:n]),
        model, optim.SGD(model.parameters()), 64, CPU, GIB,
    )  # fmt: skip
    assert {row.op: row.bytes for row in found.rows}["the batch"] == 64 * 400


WEIGHTS = 4 * (100 * 1000 + 1000 * 10)


@pytest.mark.parametrize(
    ("make", "states"),
    [
        (optim.SGD, 0),
        (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), 1),
        (optim.Adam, 2),
        (lambda p: optim.Adam(p, amsgrad=True), 3),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_what_is_fixed(make: Any, states: int, begun: bool) -> None:
    model = Branches()
    optimizer = make(model.parameters())
    if begun:
        steps_of(model, (100,))(2)().backward()
        optimizer.step()
    found = explain_out_of_memory(steps_of(model, (100,)), model, optimizer, 8, CPU, GIB)
    assert found.fixed == (2 + states) * WEIGHTS
    assert found.needed >= found.fixed + 2 * 400_000


def test_weights_that_are_not_trained_have_no_gradients() -> None:
    model = Branches()
    model.inner.requires_grad_(False)
    found = explain_out_of_memory(steps_of(model, (100,)), model, optim.Adam(model.parameters()), 8, CPU, GIB)
    assert found.fixed == WEIGHTS + 3 * 40_000
    assert not any([row.layer == "inner" for row in found.rows])


def test_checkpointed_parts_keep_nothing() -> None:
    plain, saving = cnn(), cnn()
    saving.forward = lambda x: gf.utils.checkpoint.checkpoint_sequential(saving, 2, x)
    reports = [explain_out_of_memory(steps_of(m), m, optim.SGD(m.parameters()), 64, CPU, GIB) for m in (plain, saving)]
    kept = [sum([row.bytes for row in report.rows]) for report in reports]
    assert kept[1] < kept[0] / 2


def test_nothing_is_changed() -> None:
    gf.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.Dropout(0.5), nn.Linear(20, 10))
    optimizer = optim.Adam(model.parameters())
    steps_of(model)(4)().backward()
    grads = [(p.grad, p.grad.numpy()) for p in model.parameters()]
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    state, dicts = default_generator.state, [m.__dict__.copy() for m in model.modules()]
    explain_out_of_memory(steps_of(model), model, optimizer, 64, CPU, GIB)
    assert default_generator.state == state
    assert [m.__dict__ for m in model.modules()] == dicts
    assert optimizer.state == {} and not optimizer.stepped
    for p, (grad, value) in zip(model.parameters(), grads, strict=True):
        assert p.grad is grad
        np.testing.assert_array_equal(grad.numpy(), value)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name], err_msg=name)
    assert not tracemalloc.is_tracing()


def test_what_the_error_holds_is_let_go_first() -> None:
    model = nn.Linear(100, 10)
    refs: list[Any] = []

    def fails() -> None:
        held = np.ones(1 << 20)
        refs.append(weakref.ref(held))
        raise MemoryError("no more")

    def alive(n: int) -> Any:
        refs.append(refs[0]())
        return steps_of(model, (100,))(n)

    try:
        fails()
    except MemoryError:
        found = explain_out_of_memory(alive, model, optim.SGD(model.parameters()), 64, CPU, GIB)
    assert refs[1:] and set(refs[1:]) == {None}
    assert found.needed > 0


@pytest.mark.parametrize("least", [1, 3])
def test_where_small_batches_do_not_fit_either(least: int) -> None:
    model = nn.Linear(100, 10)

    def build(n: int) -> Any:
        if n >= least:
            raise MemoryError("no more")
        return steps_of(model, (100,))(n)

    found = explain_out_of_memory(build, model, optim.SGD(model.parameters()), 64, CPU, 900 * KIB)
    if least == 1:
        assert found == OutOfMemory(64, (), 8080, 0, 0, 900 * KIB, 0)
        assert str(found) == (
            "[train] out of memory: not even the smallest batch fits into the 900.0 KiB that are there; "
            "use a smaller model"
        )
    else:  # two small batches were enough for a forecast; as it says that 64 fit, less is advised
        assert found.fits == 32
    with pytest.raises(ZeroDivisionError):
        explain_out_of_memory(lambda n: 1 // 0, model, optim.SGD(model.parameters()), 64, CPU)


def test_more_calls_for_larger_batches() -> None:
    """Then moments cannot be told apart, but the most that is in use can."""
    model = nn.Linear(1000, 10)

    def build(n: int) -> Any:
        images, labels = gf.ones(n, 1000, device="cpu"), gf.tensor(np.arange(n) % 10)
        return lambda: sum([cross_entropy(model(images[i : i + 1] * 1.0), labels[i : i + 1]) for i in range(n)])

    found = explain_out_of_memory(build, model, optim.SGD(model.parameters()), 64, CPU, GIB)
    assert 2 * 4000 <= found.per_image < 4 * 4000


def test_no_limit_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradflow.train import out_of_memory

    model = nn.Linear(100, 10)
    monkeypatch.setattr(out_of_memory, "memory_limit", lambda backend: None)
    found = explain_out_of_memory(steps_of(model, (100,)), model, optim.SGD(model.parameters()), 64, CPU)
    assert (found.limit, found.fits) == (None, None)
    assert str(found).endswith("; try --batch-size 32 --accumulate 2")
    assert "are there" not in str(found)


def test_what_else_is_in_use_is_not_there_for_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradflow.train import out_of_memory

    model = nn.Linear(100, 10)
    monkeypatch.setattr(out_of_memory, "memory_limit", lambda backend: 10_000_000)
    monkeypatch.setattr(out_of_memory, "memory_used", lambda backend: 3_000_000 + 4040)
    found = explain_out_of_memory(steps_of(model, (100,)), model, optim.SGD(model.parameters()), 64, CPU)
    assert found.limit == 7_000_000


# -- a process that has too little -------------------------------------------------------------------------------------

CHILD = """
import resource, sys
import numpy as np
import gradflow as gf
from gradflow import optim
from gradflow.backend import get_backend
from gradflow.models import resnet9
from gradflow.nn.functional import cross_entropy
from gradflow.train.out_of_memory import explain_out_of_memory, is_out_of_memory

model = resnet9(10, 3, 16)
optimizer = optim.Adam(model.parameters())

def build(n):
    images, labels = gf.tensor(np.ones((n, 3, 32, 32), np.float32)), gf.tensor(np.arange(n) % 10)
    return lambda: cross_entropy(model(images), labels)

def train(n):
    for _ in range(2):
        loss = build(n)()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

train(16)  # threads and BLAS have what they need
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (160 << 20),) * 2)
try:
    train(256)
except BaseException as error:
    assert is_out_of_memory(error), error
    found = explain_out_of_memory(build, model, optimizer, 256, get_backend("cpu"))
    print(found)
train(found.fits)
print("trained", found.fits)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of the address space need Linux")
def test_the_size_it_names_fits_where_the_other_did_not() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    said, trained = done.stdout.splitlines()
    assert said.startswith("[train] out of memory: batch size 256 needs about 25")
    assert "largest: batch_norm_relu in layer 1.1 (64.0 MiB), " in said
    size = int(re.search(r"--batch-size (\d+)", said)[1])  # type: ignore[index]
    assert trained == f"trained {size}" or size <= int(trained.split()[1])
    assert 48 <= size < 160


# -- other devices -----------------------------------------------------------------------------------------------------


def test_on_the_emulated_device() -> None:
    device = get_backend("emulated")
    model = nn.PReLU(1000).to("emulated")
    build = lambda n: lambda: gf.sin(gf.ones(n, 1000, device="emulated") * model.weight).sum()  # noqa: E731
    found = explain_out_of_memory(build, model, optim.Adagrad(model.parameters()), 1000, device, 8 * MIB)
    assert {row.op: row.bytes for row in found.rows} == {"multiply": 4_000_000, "sin": 4_000_000}
    assert 12_000_000 < found.needed < 20_000_000
    assert 0 < found.fits < 800


def test_on_the_stand_in_for_a_gpu(fake_cuda: Any) -> None:
    """Its kernels' results come from the pool, which tells hooks of them as CuPy's does."""
    module, hooks = fake_cuda(devices=1, cached={0: MIB}), []

    class MemoryHook:
        def __enter__(self) -> Any:
            hooks.append(self)
            return self

        def __exit__(self, *_: object) -> None:
            hooks.remove(self)

    def alloc(size: int) -> Any:
        pointer = plain(size)
        for hook in hooks:
            block = {"device_id": 0, "mem_size": size, "mem_ptr": pointer.ptr, "pmem_id": 1}
            hook.malloc_postprocess(size=size, **block)
            hook.malloc_postprocess(size=size, **{**block, "mem_ptr": 0})  # as where there was none
            weakref.finalize(pointer.owner, hook.free_postprocess, **block)
        return pointer

    plain, module.cuda.alloc, module.cuda.MemoryHook = module.cuda.alloc, alloc, MemoryHook
    model = nn.Linear(1000, 1000, bias=False, device="cpu").to("cuda")
    build = lambda n: lambda: model(gf.ones(n, 1000, device="cuda")).sum()  # noqa: E731
    found = explain_out_of_memory(build, model, optim.Adagrad(model.parameters()), 1000, get_backend("cuda"), 32 * MIB)
    assert hooks == [] and module.world.cached == {}
    assert found.fixed == 3 * 4 * 1000 * 1000
    assert found.per_image >= 4000
    assert {"the batch"} <= {row.op for row in found.rows}
    assert found.limit == 32 * MIB


def error_named(name: str, status: int) -> Exception:
    error = type(name, (RuntimeError,), {})("no")
    error.status = status  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((1 << 60,), np.dtype("f4")), True),
        (type("OutOfMemoryError", (MemoryError,), {})(), True),  # CuPy's
        (error_named("CUDARuntimeError", 2), True),
        (error_named("CUDARuntimeError", 700), False),
        (error_named("CUBLASError", 3), True),
        (error_named("OtherError", 2), False),
        (RuntimeError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_which_errors_are_of_memory(error: BaseException, is_one: bool) -> None:
    assert is_out_of_memory(error) is is_one
