"""The commands and their options. What a command does is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .errors import one_line

app = typer.Typer(
    help="Train neural networks on a tensor autograd engine, on a GPU or a CPU.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DEBUG = typer.Option("--debug", help="Show the traceback of an error.")


class DataName(str, Enum):
    """The data sets there are."""

    DIGITS = "digits"
    FASHION_MNIST = "fashion-mnist"


class OptimizerName(str, Enum):
    """The optimizers there are."""

    ADAM = "adam"
    SGD = "sgd"


class ModelName(str, Enum):
    """The networks that can be audited and warmed up."""

    DEFAULT = "default"
    MLP = "mlp"
    LENET = "lenet"
    CNN = "cnn"
    CNN_BN = "cnn_bn"


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


@app.command()
def train(
    data: Annotated[DataName, typer.Option(help="The data set.")] = DataName.DIGITS,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with the files of fashion-mnist, if not where Debian puts them.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images in a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate of the schedule.")] = None,
    optimizer: Annotated[OptimizerName, typer.Option(help="How steps are taken.")] = OptimizerName.ADAM,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:1; by default what GRADFLOW_DEVICE says, or auto.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and of the order of the images.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the run, by default that of the data set.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    debug: Annotated[bool, DEBUG] = False,
) -> None:
    """Train the default CNN and keep its weights and metrics in RUNS_DIR/NAME.

    Epochs, batch size and learning rate are chosen to suit the data set where they are not given.
    """
    with one_line(debug):
        from .train import run

        code = run(
            data=data.value,
            data_dir=data_dir,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer.value,
            device=device,
            seed=seed,
            name=name,
            runs_dir=runs_dir,
        )
    raise typer.Exit(code)


@app.command()
def doctor(debug: Annotated[bool, DEBUG] = False) -> None:
    """Say which device will be used and why, and what is missing."""
    with one_line(debug):
        from .doctor import run

        code = run()
    raise typer.Exit(code)


@app.command()
def bench(debug: Annotated[bool, DEBUG] = False) -> None:
    """Time the engine on this machine, beside PyTorch where that is installed."""
    with one_line(debug):
        from .bench import run

        code = run()
    raise typer.Exit(code)


@app.command()
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


@app.command()
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
    app(prog_name="gradflow")
    sys.exit()
