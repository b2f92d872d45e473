"""The commands and their options. What a command does is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from . import commands_train, commands_use
from .errors import one_line
from .options import Grouped

app = typer.Typer(
    help="Train neural networks on a tensor autograd engine, on a GPU or a CPU.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DEBUG = typer.Option("--debug", help="Show the traceback of an error.")


class OptimizerName(str, Enum):
    """The optimizers that can be warmed up."""

    ADAM = "adam"
    SGD = "sgd"


class ModelName(str, Enum):
    """The networks that can be audited and warmed up."""

    DEFAULT = "default"
    MLP = "mlp"
    LENET = "lenet"
    CNN = "cnn"
    CNN_BN = "cnn_bn"


def _add(command: Callable[..., None], summary: str, epilog: str | None = None, name: str | None = None) -> None:
    app.command(name, cls=Grouped, short_help=summary, epilog=epilog)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"gradflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Train neural networks on a tensor autograd engine, on a GPU or a CPU."""


_add(commands_train.train, "Train a model, or go on with it.", commands_train.TRAIN_EXAMPLES)
_add(commands_use.evaluate, "Evaluate a trained model.", commands_use.EVAL_EXAMPLES, "eval")
_add(commands_use.predict, "Classify images by a trained model.", commands_use.PREDICT_EXAMPLES)
_add(commands_use.models, "List the models there are.")
_add(commands_train.verify_resume, "Prove that a killed run goes on.", commands_train.VERIFY_EXAMPLES, "verify-resume")
app.add_typer(commands_use.runs_app, name="runs")
app.add_typer(commands_use.data_app, name="data")


@app.command(short_help="Say which device is used and why.")
def doctor(debug: Annotated[bool, DEBUG] = False) -> None:
    """Say which device will be used and why, and what is missing."""
    with one_line(debug):
        from .doctor import run

        code = run()
    raise typer.Exit(code)


@app.command(short_help="Time the engine on this machine.")
def bench(debug: Annotated[bool, DEBUG] = False) -> None:
    """Time the engine on this machine, beside PyTorch where that is installed."""
    with one_line(debug):
        from .bench import run

        code = run()
    raise typer.Exit(code)


@app.command(short_help="Compare a device with NumPy, op by op.")
def audit(
    model: Annotated[
        ModelName, typer.Option(help="The network; default is the one that gradflow train trains.")
    ] = ModelName.CNN,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or emulated.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images in the step; 128, or 8 when emulated.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and of the images.")] = 0,
    tolerance: Annotated[
        float | None, typer.Option(min=1.0, help="How many times NumPy's own error counts as divergence; 32.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="A file to write everything to.")] = None,
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Compare every operation of a training step with NumPy in float64; exit with 1 where one diverges."""
    with one_line(debug):
        from .audit import run

        code = run(
            model=model.value,
            device=device,
            batch_size=batch_size,
            seed=seed,
            tolerance=tolerance,
            json_file=json,
        )
    raise typer.Exit(code)


@app.command(short_help="Compile a network's kernels ahead of time.")
def warmup(
    model: Annotated[
        ModelName, typer.Option(help="The network; default is the one that gradflow train trains.")
    ] = ModelName.DEFAULT,
    device: Annotated[str, typer.Option(help="cuda, cuda:1 or emulated.")] = "cuda",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images in a step; 128, or 8 when emulated.")] = None,
    optimizer: Annotated[OptimizerName, typer.Option(help="How the step is taken.")] = OptimizerName.ADAM,
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Compile ahead of time the kernels that training a network needs on a device."""
    with one_line(debug):
        from .warmup import run

        code = run(model=model.value, device=device, batch_size=batch_size, optimizer=optimizer.value)
    raise typer.Exit(code)


def main() -> NoReturn:
    """The command `gradflow`."""
    if logging.lastResort is not None:  # what prints warnings where nobody set logging up
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="backslashreplace")  # for names that the terminal cannot show
    app(prog_name="gradflow")
    sys.exit()
