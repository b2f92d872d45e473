"""`gradflow eval`, `predict`, `runs`, `models` and `data`: their options. What they do is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options as o
from .errors import one_line
from .names import DATA, OUT, complete_run

Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A run's name or folder, its weights.safetensors or best.safetensors, or one of its checkpoints.",
        metavar="CHECKPOINT",
        autocompletion=complete_run,
    ),
]
Out = Annotated[Path, typer.Option("--out", "--runs-dir", help="Folder that holds the runs.", metavar="DIR")]
Best = Annotated[bool, typer.Option("--best", help="The weights of the run's best epoch, not its last.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda or cuda:1.", autocompletion=lambda: ["auto", "cpu", "cuda"])
]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the files, if not where they are looked for.")]

EVAL_EXAMPLES = o.examples("gradflow eval digits", "gradflow eval runs/digits/best.safetensors --json")
PREDICT_EXAMPLES = o.examples(
    "gradflow predict digits five.png", "gradflow predict digits --invert --top 1 scans/*.jpg"
)
RUNS_EXAMPLES = o.examples(
    "gradflow runs --sort accuracy", "gradflow runs compare digits digits-2", "gradflow runs best"
)

runs_app = typer.Typer(help="List runs, compare them, find the best.", rich_markup_mode=None)
data_app = typer.Typer(help="List the data sets, and fetch them.", rich_markup_mode=None)


def evaluate(
    checkpoint: Checkpoint,
    data: Annotated[
        str | None,
        typer.Option(
            help="Other data than it was trained on, by name or path.", metavar="NAME|PATH", callback=o.check_data
        ),
    ] = None,
    data_dir: DataDir = None,
    device: Device = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at a time.", metavar="N")] = None,
    best: Best = False,
    out: Out = OUT,
    json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say how well a trained model does on test images: loss, accuracy by class, what it confuses."""
    with one_line(debug):
        from .evaluate import run

        code = run(
            checkpoint,
            data=data,
            data_dir=None if data_dir is None else str(data_dir),
            device=device,
            batch_size=batch_size,
            best=best,
            out=out,
            as_json=json,
        )
    raise typer.Exit(code)


def predict(
    checkpoint: Checkpoint,
    images: Annotated[list[Path], typer.Argument(help="Image files, or arrays as .npy.", metavar="IMAGE")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.", metavar="N")] = 3,
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap dark and bright: the digits are white on black.")
    ] = False,
    device: Device = None,
    best: Best = False,
    out: Out = OUT,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    debug: Debug = False,
) -> None:
    """Say what a trained model takes images for, and how sure it is."""
    with one_line(debug):
        from .predict import run

        code = run(checkpoint, images, top=top, invert=invert, device=device, best=best, out=out, as_json=json)
    raise typer.Exit(code)


def models(json: AsJson = False, debug: Debug = False) -> None:
    """List the models there are."""
    with one_line(debug):
        from .models import run

        code = run(as_json=json)
    raise typer.Exit(code)


@data_app.callback(invoke_without_command=True)
def data(ctx: typer.Context, data_dir: DataDir = None, json: AsJson = False, debug: Debug = False) -> None:
    """List the data sets: what they are, their licences, what is here; or fetch them."""
    if ctx.invoked_subcommand is not None:
        return
    with one_line(debug):
        from .data import run

        code = run(data_dir=data_dir, as_json=json)
    raise typer.Exit(code)


@data_app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(help="Names of data sets.", metavar="NAME", autocompletion=lambda: list(DATA)),
    ],
    data_dir: Annotated[Path | None, typer.Option(help="Folder to put them in, if not the cache.")] = None,
    debug: Debug = False,
) -> None:
    """Download data sets, or check those that are downloaded."""
    with one_line(debug):
        from .data import run_fetch

        code = run_fetch(names=names, data_dir=data_dir)
    raise typer.Exit(code)


@runs_app.callback(invoke_without_command=True, epilog=RUNS_EXAMPLES)
def runs(
    ctx: typer.Context,
    out: Out = OUT,
    sort: Annotated[
        Literal["accuracy", "time", "loss", "name"], typer.Option(help="What to sort by, the best first.")
    ] = "name",
    json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the runs in a folder; compare some of them; find the best."""
    if ctx.invoked_subcommand is not None:
        return
    with one_line(debug):
        from .runs import run_list

        code = run_list(out=out, sort=sort, as_json=json)
    raise typer.Exit(code)


@runs_app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Names or folders of runs.", metavar="RUN", autocompletion=complete_run),
    ],
    out: Out = OUT,
    json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show in which settings runs differ, and their metrics, side by side."""
    with one_line(debug):
        from .runs import run_compare

        code = run_compare(runs, out=out, as_json=json)
    raise typer.Exit(code)


@runs_app.command("best")
def best_run(out: Out = OUT, json: AsJson = False, debug: Debug = False) -> None:
    """Name the run with the highest test accuracy on each data set, and how to use it."""
    with one_line(debug):
        from .runs import run_best

        code = run_best(out=out, as_json=json)
    raise typer.Exit(code)
