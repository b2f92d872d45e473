"""One side of `bench.fashion`: the loop, written once, as gradflow has PyTorch's names and `lib` may be either.

    python bench/fashion_peer.py FOLDER LIBRARY

It is a process of its own that imports NumPy and the library that it was started for, and nothing else, because two in
one process slow each other down. FOLDER holds `job.json`, the images and labels as .npy and the initial weights as
.npz. What it finds is printed as lines of JSON: facts, the trial of memory formats, the first losses, epochs.
"""

from __future__ import annotations

import copy
import importlib
import json
import math
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

WARM_UP = 0.1  # the share of all steps in which the learning rate rises
EVALUATION_BATCH = 500  # images; nothing is recorded, so only speed counts
CHECKED = 3  # the losses of that many steps are compared

Say = Callable[..., None]


# -- the nets, which are those of gradflow.models with the same keys ---------------------------------------------------


def cnn(nn: Any, classes: int, input_shape: tuple[int, int, int], width: int) -> Any:
    """Three 3x3 convolutions with ReLU and max pooling, and a linear layer, for images of 16 pixels or more."""
    channels, height, side = input_shape
    layers: list[Any] = []
    for wide in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, side = wide, height // 2, side // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * side, classes))


def resnet9(nn: Any, classes: int, input_shape: tuple[int, int, int], width: int) -> Any:
    """Eight convolutions with batch norm and two residual blocks, and a linear layer."""

    def convolution(inputs: int, outputs: int, pool: bool = False) -> Any:
        layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.body = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    return nn.Sequential(
        *(convolution(input_shape[0], width), convolution(width, 2 * width, pool=True), Residual(2 * width)),
        *(convolution(2 * width, 4 * width, pool=True), convolution(4 * width, 8 * width, pool=True)),
        *(Residual(8 * width), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes)),
    )


NETS = {"cnn": cnn, "resnet9": resnet9}


def network(lib: Any, job: dict[str, Any]) -> Any:
    """The job's net; gradflow's own is that of its users, and the other library's its copy."""
    if lib.__name__ == "gradflow":
        return lib.models.build_model(job["model"], job["classes"], job["input_shape"], job["width"])
    return NETS[job["model"]](lib.nn, job["classes"], job["input_shape"], job["width"])


# -- training ----------------------------------------------------------------------------------------------------------


def one_cycle(step: int, steps: int) -> float:
    """The share of the highest learning rate at a step of `steps`: a straight rise to 1, then half a cosine to 0."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def batches(seed: int, epoch: int, count: int, size: int) -> list[np.ndarray]:
    """The indices of an epoch's images, a batch at a time: the order that gradflow's DataLoader has."""
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return [order[start : start + size] for start in range(0, count, size)]


class Side:
    """One library's net, optimizer and data."""

    def __init__(self, lib: Any, folder: Path, job: dict[str, Any]) -> None:
        self.lib, self.job, self.layout = lib, job, ""
        arrays = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("x", "y", "test_x", "test_y")]
        self.x, self.y, self.test_x, self.test_y = [lib.from_numpy(array) for array in arrays]
        self.model = network(lib, job)
        with np.load(folder / "weights.npz", allow_pickle=False) as weights:
            self.model.load_state_dict({name: lib.from_numpy(weights[name]) for name in weights.files})
        self.optimizer = self._adam()

    def _adam(self) -> Any:
        return self.lib.optim.Adam(self.model.parameters(), lr=self.job["lr"])

    def use(self, layout: str) -> None:
        """Compute in a memory format from now on: "channels_last" or "contiguous", for a library that has them."""
        last = layout == "channels_last"
        self.layout = layout
        self.model = self.model.to(memory_format=self.lib.channels_last if last else self.lib.contiguous_format)
        self.optimizer = self._adam()

    def batch(self, x: Any, y: Any, chosen: Any) -> tuple[Any, Any]:
        """Images and labels by their indices."""
        images = x[chosen]
        if self.layout == "channels_last":
            images = images.to(memory_format=self.lib.channels_last)
        return images, y[chosen]

    def step(self, chosen: np.ndarray, lr: float) -> tuple[Any, Any]:
        """One step on a batch; its loss, and how many answers were right, before it."""
        lib = self.lib
        images, labels = self.batch(self.x, self.y, lib.from_numpy(chosen))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        logits = self.model(images)
        loss = lib.nn.functional.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with lib.no_grad():
            return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def evaluate(self) -> dict[str, float]:
        """Loss and accuracy on the test images."""
        lib, count = self.lib, len(self.test_y)
        self.model.eval()
        loss, right = 0.0, 0
        with lib.no_grad():
            for start in range(0, count, EVALUATION_BATCH):
                images, labels = self.batch(self.test_x, self.test_y, slice(start, start + EVALUATION_BATCH))
                logits = self.model(images)
                loss += lib.nn.functional.cross_entropy(logits, labels).item() * len(labels)
                right += (logits.argmax(1) == labels).sum().item()
        self.model.train()
        return {"test_loss": loss / count, "test_accuracy": right / count}


def choose_layout(side: Side, say: Say) -> None:
    """Try some steps in both memory formats, by turns, on copies of the net, and go on in the faster one."""
    untimed, timed, turns = side.job["trial"]
    tried: dict[str, tuple[Side, list[float]]] = {}
    for layout in ("contiguous", "channels_last"):
        other = copy.copy(side)
        other.model = copy.deepcopy(side.model)
        other.use(layout)
        tried[layout] = (other, [])
    chosen = np.arange(min(side.job["batch_size"], len(side.y)))
    for _ in range(turns):
        for other, seconds in tried.values():
            for k in range(untimed + timed):
                start = perf_counter()
                other.step(chosen, side.job["lr"])
                if k >= untimed:
                    seconds.append(perf_counter() - start)
    medians = {layout: statistics.median(seconds) for layout, (_, seconds) in tried.items()}
    side.use(min(medians, key=lambda layout: medians[layout]))
    say(trial=medians, layout=side.layout)


def train(side: Side, say: Say) -> None:
    """The whole run, epoch by epoch."""
    job = side.job
    count, size = len(side.y), job["batch_size"]
    step, steps = 0, job["epochs"] * -(-count // size)
    first: list[float] = []
    for epoch in range(job["epochs"]):
        loss, right = 0.0, 0
        start = perf_counter()
        for chosen in batches(job["seed"], epoch, count, size):
            found, hits = side.step(chosen, job["lr"] * one_cycle(step, steps))
            loss, right = loss + found * len(chosen), right + hits
            step += 1
            if len(first) < CHECKED:
                first.append(found.item())
                if len(first) == min(CHECKED, steps):
                    say(first=first)
        scores = {"loss": float(loss) / count, "accuracy": int(right) / count}
        seconds = perf_counter() - start
        say(epoch=epoch + 1, seconds=seconds, **scores, **side.evaluate())


# -- the process -------------------------------------------------------------------------------------------------------


def facts(lib: Any) -> dict[str, Any]:
    """Versions and threads."""
    found = {"version": str(lib.__version__), "python": sys.version.split()[0], "numpy": np.__version__}
    if lib.__name__ == "torch":
        return {**found, "threads": lib.get_num_threads()}
    blas = importlib.import_module("gradflow.backend.blas").blas_facts()
    core = f", computing for {blas.core}" if blas.core else ""
    threads = importlib.import_module("gradflow.backend.threads").workers()
    return {**found, "threads": threads, "blas": f"{blas.name} {blas.version}{core}"}


def main(folder: Path, library: str) -> None:
    """Run the job of a folder and print what comes of it."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers

        def say(**found: Any) -> None:
            print(json.dumps(found), file=answers, flush=True)

        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        job["input_shape"] = tuple(job["input_shape"])
        lib = importlib.import_module(library)
        if library == "torch":
            lib.set_num_threads(job["threads"])
        say(facts=facts(lib))
        side = Side(lib, folder, job)
        if library == "torch":
            choose_layout(side, say)
        train(side, say)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
