"""`gradflow warmup`: compile ahead of time the kernels that training a network needs on a device."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from .. import nn, optim
from ..autograd import no_grad
from ..backend import Device, get_backend, kernels
from ..backend.cache import cache_dir
from ..backend.cuda.launcher import LAUNCHERS
from ..creation import manual_seed, rand, randint
from ..nn.functional import cross_entropy
from .audit import CLASSES, build, images_in


@dataclass(frozen=True)
class Warmup:
    """What was made ready. `compiled` counts new files in `folder`, `fallbacks` is what array code computes."""

    device: Device
    batch_size: int
    computations: int
    instances: int
    compiled: int
    folder: Path
    fallbacks: dict[str, dict[str, int]]
    seconds: float
    step_seconds: float


def warm_up(model: str, device: str | None, batch_size: int | None, optimizer: str) -> Warmup:
    """Train a network for a step and evaluate it, on random images; then a second step, which finds all compiled.

    Raises DeviceError where the device cannot be had, ValueError for the CPU.
    """
    backend = get_backend(device)
    if backend.device.type == "cpu":
        raise ValueError("[warmup] nothing is compiled for the CPU; say --device cuda or --device emulated")
    size = images_in(batch_size, backend)
    folder = _folder(backend.device)
    before = _files(folder)
    kernels.reset()
    start = perf_counter()
    manual_seed(0)
    network = build(model).to(backend.device)
    images = rand(size, 1, 28, 28, device=backend.device)
    labels = randint(0, CLASSES, (size,), device=backend.device)
    parameters = network.parameters()
    steps = optim.Adam(parameters) if optimizer == "adam" else optim.SGD(parameters, lr=0.01, momentum=0.9)

    def step() -> float:
        begin = perf_counter()
        steps.zero_grad()
        cross_entropy(network(images), labels).backward()
        steps.step()
        backend.synchronize()
        return perf_counter() - begin

    step()
    _evaluate(network, images)
    seconds = perf_counter() - start
    programs = {launcher.program() for launcher in LAUNCHERS.values()}
    return Warmup(
        device=backend.device,
        batch_size=size,
        computations=len(kernels.launches()),
        instances=sum([len(program.instances) for program in programs if program]),
        compiled=len(_files(folder) - before),
        folder=folder,
        fallbacks=kernels.fallbacks(),
        seconds=seconds,
        step_seconds=step(),
    )


def _evaluate(network: nn.Module, images: object) -> None:
    network.eval()
    with no_grad():
        network(images).argmax(1).numpy()
    network.train()


def _folder(device: Device) -> Path:
    """Where compiled code for a device is kept; on GPUs that is CuPy's cache."""
    if device.type == "emulated":
        return cache_dir() / "emulated"
    return Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")


def _files(folder: Path) -> set[str]:
    """The compiled files in a folder, by name."""
    return {path.name for path in folder.glob("*") if path.suffix in (".so", ".cubin")}


def run(*, model: str, device: str | None, batch_size: int | None, optimizer: str) -> int:
    """Warm up and say what was done."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    with console.status(f"compiling what {model} needs"):
        done = warm_up(model, device, batch_size, optimizer)
    kept = f"{done.compiled} new files in {done.folder}" if done.compiled else f"nothing: all was in {done.folder}"
    console.print(f"model     {model}, batches of {done.batch_size}, {optimizer}, on {done.device}", markup=False)
    console.print(f"kernels   {done.instances} instances for {done.computations} computations", markup=False)
    console.print(f"compiled  {kept}", markup=False)
    for name, reasons in done.fallbacks.items():
        console.print(f"no kernel {name}: {'; '.join(reasons)}", style="yellow", markup=False)
    took = f"{done.seconds:.1f} s; a training step now takes {done.step_seconds * 1e3:.1f} ms"
    console.print(f"ready in  {took}", style="green", markup=False)
    return 0
