"""Curves and seconds of Fashion-MNIST in gradflow and in PyTorch, from the same weights on the same batches.

    python -m bench.fashion --torch-python ~/torch/bin/python --out bench/results/fashion-mnist.md
    python -m bench.fashion --model resnet9 --width 16 --epochs 3 --peer none
    python -m bench.fashion --small

Whole runs cannot take turns, so they come one after the other, gradflow's first, each in a process of its own with as
many threads as there are cores. Both run the loop in `fashion_peer.py`: Adam, a learning rate that rises and falls
once, no augmentation. The last command is a rehearsal on 500 images of digits.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np

import gradflow as gf
from gradflow.backend.blas import PINS, THREADS
from gradflow.backend.threads import cores
from gradflow.cli.bench import NAMES, commit
from gradflow.cli.bench_turns import SERVE, agree, environ_for, paths_for
from gradflow.cli.doctor import machine
from gradflow.data import ImageData, Split, load_digits, load_fashion_mnist
from gradflow.models import MODELS, build_model

PEER = Path(__file__).with_name("fashion_peer.py")
TRIAL = (3, 5, 4)  # of PyTorch's memory formats: steps that are not timed, then timed ones, in each of how many turns
LATER = 0.05  # how far apart, as a share, the losses after a few steps may be
SMALL = (500, 100)  # training and test images of a rehearsal


class FashionError(RuntimeError):
    """A side failed, or the two disagree."""


@dataclass
class Run:
    """What one library's process said."""

    library: str
    facts: dict[str, Any] = field(default_factory=dict)
    trial: dict[str, float] = field(default_factory=dict)
    layout: str = ""
    first: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)

    def take(self, found: dict[str, Any]) -> None:
        """Add what a line said."""
        if "epoch" in found:
            self.epochs.append(found)
        else:
            for name, value in found.items():
                setattr(self, name, value)

    @property
    def seconds(self) -> float:
        """Seconds of training, without the evaluations."""
        return sum([epoch["seconds"] for epoch in self.epochs])


# -- what both sides get -----------------------------------------------------------------------------------------------


def prepare(folder: Path, data: ImageData, job: dict[str, Any]) -> int:
    """Write data, initial weights and the job to a folder; the number of parameters."""
    for prefix, split in (("", data.train), ("test_", data.test)):
        np.save(folder / f"{prefix}x.npy", np.asarray(split.images, np.float32))
        np.save(folder / f"{prefix}y.npy", np.asarray(split.labels, np.int64))
    gf.manual_seed(job["seed"])
    model = build_model(job["model"], job["classes"], job["input_shape"], job["width"])
    np.savez(folder / "weights.npz", **{name: value.numpy() for name, value in model.cpu().state_dict().items()})
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return sum([p.numel() for p in model.parameters()])


def small_data() -> ImageData:
    """Some digits, with an edge around them that makes them 28x28."""
    digits = load_digits()
    edge = ((0, 0), (0, 0), (10, 10), (10, 10))
    train, test = [
        Split(np.pad(np.asarray(part.images[:count]), edge), part.labels[:count])
        for part, count in zip((digits.train, digits.test), SMALL, strict=True)
    ]
    return ImageData("digits, for rehearsal", train, test, digits.classes)


# -- running -----------------------------------------------------------------------------------------------------------


def execute(library: str, python: str, folder: Path, first: Sequence[float]) -> Run:
    """Train in a process and tell how it goes; FashionError where it fails or where its first losses are not `first`.

    Variables that pin the BLAS or the number of threads are unset in it.
    """
    command = [python, "-c", SERVE, str(PEER), str(folder), library, paths_for(python)]
    environ = {**environ_for([*PINS, *THREADS]), "GRADFLOW_NUM_THREADS": str(cores())}
    run = Run(library)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            run.take(found)
            if "first" in found and first and not same_start(first, run.first):
                raise FashionError(f"[fashion] the first losses in {NAMES[library]} are {run.first}, not {list(first)}")
            if "epoch" in found:
                print(progress(run), file=sys.stderr, flush=True)
        if process.wait():
            raise FashionError(f"[fashion] the process of {NAMES[library]} ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return run


def same_start(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether the losses of the first steps agree: the first but for roundings, the next ones roughly.

    Adam's first steps have the size of the learning rate whatever the gradient's, be it only a rounding's.
    """
    near = [abs(a - b) <= LATER * abs(a) for a, b in zip(ours, theirs, strict=True)]
    return agree(ours[:1], theirs[:1]) and all(near)


def progress(run: Run) -> str:
    """The last epoch in a line."""
    cells = [f"{title} {text}" for title, text in zip(COLUMNS, shown(run.epochs[-1]), strict=True)]
    return f"{NAMES[run.library]:<8}  epoch {run.epochs[-1]['epoch']}  {'  '.join(cells)}"


# -- the page ----------------------------------------------------------------------------------------------------------

COLUMNS = ("loss", "train accuracy", "test accuracy", "seconds")


def shown(epoch: dict[str, float]) -> list[str]:
    """An epoch's numbers as they are printed."""
    accuracies = [f"{100 * epoch[name]:.2f} %" for name in ("accuracy", "test_accuracy")]
    return [f"{epoch['loss']:.4f}", *accuracies, f"{epoch['seconds']:.1f}"]


def markdown(runs: Sequence[Run], facts: Sequence[tuple[str, str]], notes: Sequence[str], title: str) -> str:
    """Runs as a page: what they depend on, a row an epoch with the libraries side by side, what to know."""
    header = ["epoch", *[f"{NAMES[run.library]}: {name}" for run in runs for name in COLUMNS]]
    rows = [header, ["---:"] * len(header)]
    for epochs in zip(*[run.epochs for run in runs], strict=True):
        rows.append([str(epochs[0]["epoch"]), *[cell for epoch in epochs for cell in shown(epoch)]])
    rows.append(["all", *[cell for run in runs for cell in ("", "", "", f"{run.seconds:.1f}")]])
    lines = [f"# {title}", "", *[f"- {name}: {value}" for name, value in facts], ""]
    lines += [f"| {' | '.join([cell or ' ' for cell in row])} |" for row in rows]
    return "\n".join([*lines, "", *[f"{note}\n" for note in notes]]).rstrip() + "\n"


def facts_of(runs: Sequence[Run], data: ImageData, job: dict[str, Any], parameters: int) -> list[tuple[str, str]]:
    """Everything that the numbers depend on."""
    here, ours = machine(), runs[0].facts
    rows = [
        ("machine", f"{here['cpu']}, {here['cores'].replace('usable', 'cores')}, {here['system']}"),
        ("gradflow", f"{ours['version']}{commit()}, on the CPU, NumPy {ours['numpy']}, Python {ours['python']}"),
        ("BLAS", f"{ours['blas']}, {ours['threads']} threads"),
    ]
    for run in runs[1:]:
        found = run.facts
        rows.append((NAMES[run.library], f"{found['version']}, {found['threads']} threads, Python {found['python']}"))
    shape = "x".join([str(n) for n in job["input_shape"]])
    rows += [
        ("data", f"{data.name}, {len(data.train):,} training and {len(data.test):,} test images of {shape}"),
        ("model", f"{job['model']} of width {job['width']}, {parameters:,} parameters"),
        (
            "training",
            f"{job['epochs']} epoch{'s' * (job['epochs'] != 1)}, batches of {job['batch_size']}, Adam at "
            f"{job['lr']:g}, one cycle with a tenth of all steps to rise, seed {job['seed']}, no augmentation",
        ),
        ("command", f"`{shlex.join(['python', '-m', 'bench.fashion', *sys.argv[1:]])}`"),
    ]
    return rows


def notes_of(runs: Sequence[Run], busy: float) -> list[str]:
    """How it was done, and what spoils it."""
    notes = [
        "Loss (nats) and train accuracy are means over an epoch, as the weights change, test accuracy that after it. "
        "Seconds are those of training, without evaluation."
    ]
    for run in runs[1:]:
        trial = " and ".join([f"{1e3 * found:.1f} ms {name}" for name, found in run.trial.items()])
        ours, theirs = [", ".join([f"{loss:.6f}" for loss in side.first]) for side in (runs[0], run)]
        notes.append(
            f"Both start from gradflow's initial weights and see the same batches in the same order. The losses of the "
            f"first steps are {ours} in gradflow and {theirs} in {NAMES[run.library]}."
        )
        notes.append(
            f"The whole run of gradflow came first, then that of {NAMES[run.library]}, each in a process of its own. "
            f"{NAMES[run.library]} computed in {run.layout} memory format, the faster in a short trial just before, "
            f"where a step took {trial}.".replace("channels_last", "channels-last")
        )
    if busy > 0.5:
        notes.append(f"The machine was busy with other work before (load {busy:.1f}): the times may be too long.")
    return notes


# -- the command -------------------------------------------------------------------------------------------------------


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train on Fashion-MNIST in gradflow and in PyTorch.")
    parser.add_argument("--model", choices=("cnn", "resnet9"), default="cnn", help="the net; cnn")
    parser.add_argument("--width", type=int, help="channels of its first stage; the model's own")
    parser.add_argument("--epochs", type=int, help="passes over the training images; 5, or 1 with --small")
    parser.add_argument("--batch-size", type=int, default=128, help="images in a step; 128")
    parser.add_argument("--lr", type=float, default=5e-3, help="highest learning rate; 5e-3")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order of the images; 0")
    parser.add_argument("--data-dir", type=Path, help="folder with the files of Fashion-MNIST")
    parser.add_argument("--peer", choices=("torch", "none"), default="torch", help="whom to compare with; torch")
    parser.add_argument("--torch-python", help="interpreter that has PyTorch, if not this one")
    parser.add_argument("--out", type=Path, help="file for the page, say in bench/results/; else it is printed")
    parser.add_argument("--small", action="store_true", help="rehearse on 500 images of digits")
    return parser.parse_args()


def main() -> None:
    """Read the options, train on both sides, write the page."""
    chosen = options()
    pythons = {"gradflow": sys.executable}
    if chosen.peer == "torch":
        found = chosen.torch_python or (sys.executable if find_spec("torch") else None)
        if found is None:
            sys.exit("error: PyTorch is not installed here; name a Python that has it (--torch-python), or --peer none")
        if which(found) is None:
            sys.exit(f"error: there is no Python {found} to run")
        pythons["torch"] = found
    if chosen.out is not None and not chosen.out.parent.is_dir():
        sys.exit(f"error: there is no folder {chosen.out.parent} for the page")
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    data = small_data() if chosen.small else load_fashion_mnist(chosen.data_dir)
    job = {
        "model": chosen.model,
        "width": chosen.width or MODELS[chosen.model].width,
        "classes": len(data.classes),
        "input_shape": data.input_shape,
        "epochs": chosen.epochs or (1 if chosen.small else 5),
        "batch_size": chosen.batch_size,
        "lr": chosen.lr,
        "seed": chosen.seed,
        "threads": cores(),
        "trial": (1, 2, 1) if chosen.small else TRIAL,
    }
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="gradflow-fashion-") as folder:
        parameters = prepare(Path(folder), data, job)
        try:
            for library, python in pythons.items():
                runs.append(execute(library, python, Path(folder), runs[0].first if runs else ()))
        except FashionError as error:
            sys.exit(f"error: {error}")
    day = datetime.date.today().isoformat()
    title = f"Rehearsal on digits, {day}: no times to keep" if chosen.small else f"Fashion-MNIST, {day}"
    page = markdown(runs, facts_of(runs, data, job, parameters), notes_of(runs, busy), title)
    if chosen.out is None:
        print(page, end="")
    else:
        chosen.out.write_text(page, encoding="utf-8")
        print(f"written to {chosen.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
