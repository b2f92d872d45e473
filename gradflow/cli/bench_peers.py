"""What `gradflow bench` times, written once: gradflow has PyTorch's names, so `lib` may be either library.

Run as a script, this file is one peer: a process that serves one library and does what it is asked over a pipe (see
`bench_turns`). It imports nothing but the library it was started for, because two in one process slow each other down.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

BATCH = 128
CHAIN = 100  # multiplies of the tape's chain

Work = tuple[Callable[[], Any], Callable[[], list[float]]]
"""What is timed, and a function that returns numbers on which all libraries must agree. The latter is called first."""


# -- the nets ----------------------------------------------------------------------------------------------------------


def mlp(nn: Any) -> Any:
    """784-256-128-10 with sigmoids."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.Sigmoid(), nn.Linear(256, 128), nn.Sigmoid(), nn.Linear(128, 10)
    )


def lenet(nn: Any) -> Any:
    """LeNet-5 with sigmoids and max pooling (LeCun et al., 1998)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def cnn(nn: Any) -> Any:
    """Four 3x3 convolutions of 32, 32, 64 and 64 channels, and two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def cnn_bn(nn: Any) -> Any:
    """Three 3x3 convolutions of 32, 32 and 64 channels with batch norm, and one linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 10)),
    )


NETS: dict[str, Callable[[Any], Any]] = {"mlp": mlp, "lenet": lenet, "cnn": cnn, "cnn_bn": cnn_bn}


# -- the work ----------------------------------------------------------------------------------------------------------


def noise(lib: Any, *shape: int, scale: float = 1.0, seed: int = 0, dtype: Any = None) -> Any:
    """Uniform in [-scale, scale], the same numbers in every library; they repeat after 2^16."""
    count = math.prod(shape)
    block = lib.tensor(list(random.Random(seed).randbytes(min(count, 1 << 16))), dtype=dtype or lib.float32)
    data = lib.cat([block] * -(-count // (1 << 16)))[:count]
    return ((data - 127.5) * (scale / 127.5)).reshape(*shape)


def fill(lib: Any, model: Any) -> Any:
    """Set a model's weights to the same numbers in every library: zero biases, uniform in +-1/sqrt(fan in)."""
    with lib.no_grad():
        for seed, (name, p) in enumerate(model.named_parameters()):
            if p.ndim > 1:
                fan_in = math.prod(tuple(p.shape)[1:])
                p.copy_(noise(lib, *p.shape, scale=fan_in**-0.5, seed=seed, dtype=p.dtype))
            elif name.endswith("bias"):
                p.zero_()
    return model


def tape(lib: Any, channels_last: bool = False) -> Work:
    """A chain of recorded multiplies of four numbers, forward and backward: what the tape itself costs."""
    a, b = lib.ones(4, requires_grad=True), lib.ones(4, requires_grad=True)

    def chain() -> None:
        x = a
        for _ in range(CHAIN):
            x = x * b
        x.sum().backward()

    def check() -> list[float]:
        a.grad = b.grad = None
        chain()
        return [a.grad.sum().item(), b.grad.sum().item()]

    return chain, check


def conv(lib: Any, channels_last: bool = False, backward: bool = False) -> Work:
    """A 3x3 convolution, 32 to 32 channels, of 128 images of 28x28; with its gradients for `backward`."""
    x, w = noise(lib, BATCH, 32, 28, 28), noise(lib, 32, 32, 3, 3, scale=0.06, seed=1)
    probe = noise(lib, BATCH, 32, 28, 28, seed=2)
    if channels_last:
        x, w, probe = [t.to(memory_format=lib.channels_last) for t in (x, w, probe)]
    x.requires_grad_(backward)
    w.requires_grad_(backward)

    def step() -> Any:
        y = lib.nn.functional.conv2d(x, w, padding=1)
        if backward:
            x.grad = w.grad = None
            y.backward(probe)
        return y

    def check() -> list[float]:
        y = step().detach()
        found = [(y * probe).mean().item(), y.abs().mean().item()]
        return found + [t.grad.abs().mean().item() for t in (x, w) if backward]

    return step, check


def training_step(
    lib: Any, channels_last: bool = False, net: Callable[[Any], Any] = lenet, dtype: Any = None
) -> Work:  # fmt: skip
    """Forward, cross entropy, backward and SGD with momentum on one batch. `check` gives the first three losses."""
    model, x = net(lib.nn), noise(lib, BATCH, 1, 28, 28, dtype=dtype)
    if dtype is not None:
        model = model.to(dtype=dtype)
    if channels_last:
        model, x = model.to(memory_format=lib.channels_last), x.to(memory_format=lib.channels_last)
    fill(lib, model)
    labels = lib.tensor([i % 10 for i in range(BATCH)])
    optimizer = lib.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step() -> Any:
        optimizer.zero_grad()
        loss = lib.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step, lambda: [step().item() for _ in range(3)]


@dataclass(frozen=True)
class Case:
    """Something to time. A result is shown in `unit` ("us" or "ms") per `per` parts.

    `layouts`: a library with memory formats is timed in both, and its faster one counts.
    """

    label: str
    make: Callable[..., Work]
    unit: str = "ms"
    per: int = 1
    layouts: bool = False


def _step_of(net: Callable[[Any], Any]) -> Callable[..., Work]:
    return lambda lib, channels_last=False: training_step(lib, channels_last, net)


CASES: dict[str, Case] = {
    "tape": Case("recorded multiply", tape, "us", per=CHAIN),
    "conv": Case("conv2d, 1.8 GFLOP", conv, layouts=True),
    "conv_backward": Case(
        "conv2d with backward, 5.5 GFLOP",
        lambda lib, channels_last=False: conv(lib, channels_last, backward=True),
        layouts=True,
    ),
    "mlp": Case("training step, mlp", _step_of(mlp)),
    "lenet": Case("training step, lenet", _step_of(lenet), layouts=True),
    "cnn": Case("training step, cnn", _step_of(cnn), layouts=True),
    "cnn_bn": Case("training step, cnn_bn", _step_of(cnn_bn), layouts=True),
}


# -- the peer ----------------------------------------------------------------------------------------------------------


def facts(lib: Any) -> dict[str, Any]:
    """What a library is: its version, threads and, for gradflow, the BLAS below it."""
    found = {"version": str(lib.__version__), "python": sys.version.split()[0]}
    if lib.__name__ == "torch":
        return {**found, "threads": lib.get_num_threads()}
    blas = importlib.import_module("gradflow.backend.blas").blas_facts()
    core = f", computing for {blas.core}" if blas.core else ""
    numpy = importlib.import_module("numpy").__version__
    return {**found, "threads": blas.threads, "numpy": numpy, "blas": f"{blas.name} {blas.version}{core}"}


def serve(library: str) -> None:
    """Answer requests, each a line of JSON, with a line of JSON, until the pipe closes.

    {"load": key, "case": name, "channels_last": bool} -> {"check": [...], "seconds": one step's}
    {"time": key, "runs": n} -> {"seconds": [n numbers]}; of several, after one untimed: caches and threads settle
    {"clear": true} -> {}
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers

        def answer(**found: Any) -> None:
            print(json.dumps(found), file=answers, flush=True)

        try:
            lib = importlib.import_module(library)
            answer(**facts(lib))
            loaded: dict[str, Callable[[], Any]] = {}
            for line in sys.stdin:
                answer(**respond(lib, loaded, json.loads(line)))
        except BrokenPipeError:
            os._exit(1)
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}")


def respond(lib: Any, loaded: dict[str, Callable[[], Any]], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; see `serve`."""
    if "load" in request:
        step, check = CASES[request["case"]].make(lib, channels_last=request["channels_last"])
        loaded[request["load"]] = step
        return {"check": check(), "seconds": seconds_of(step)}
    if "time" in request:
        step = loaded[request["time"]]
        if request["runs"] > 1:
            step()
        return {"seconds": [seconds_of(step) for _ in range(request["runs"])]}
    loaded.clear()
    return {}


def seconds_of(step: Callable[[], Any]) -> float:
    """How long one call takes."""
    start = perf_counter()
    step()
    return perf_counter() - start


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(sys.argv[1])
