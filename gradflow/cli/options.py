"""The options of `gradflow train`, which other commands share, each written once; and how their help is laid out.

None of them has a default: what is not given is left to a run's config, and to `train.Settings` at last.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from . import names

DATA, MODEL, LENGTH = "Data", "Model", "Length"
STEPS, REGULAR, MACHINE, KEEPING, SHOWING = "Steps", "Against overfitting", "Machine", "What is kept", "What is shown"


DEFAULT = re.compile(r"\[default: \((.*?)\)")  # in parentheses where a text stands for it


class Grouped(TyperCommand):
    """A command whose help lists its options in groups, in the order in which they first come."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                record = (record[0], DEFAULT.sub(r"[default: \1", record[1]))
                usual = "Arguments" if param.param_type_name == "argument" else "Options"
                groups.setdefault(getattr(param, "rich_help_panel", None) or usual, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def examples(*lines: str) -> str:
    """An epilog that shows commands as they are typed."""
    return "\b\nExamples:\n" + "\n".join([f"  {line}" for line in lines])


# -- what is typed, checked --------------------------------------------------------------------------------------------

TIME = re.compile(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?")
SECONDS = (86400, 3600, 60, 1)


def seconds(text: str | float) -> float:
    """`90s`, `10m`, `1h30m` or `90` in seconds."""
    match = TIME.fullmatch(str(text).strip())
    try:
        if match is None or not any(match.groups()):
            raise ValueError
        return sum([float(part) * unit for part, unit in zip(match.groups(), SECONDS, strict=True) if part])
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write 90s, 10m, 1h30m or a number of seconds.") from None


def check_data(text: str | None) -> str | None:
    """Refuse what is neither a data set nor a path."""
    if text is None or text in names.DATA or Path(text).exists():
        return text
    raise typer.BadParameter(
        f"{text!r} is neither a data set nor a path; there are {', '.join([repr(name) for name in names.DATA])}."
    )


def _model(text: str | None) -> str | None:
    if text is None or text in names.MODELS or text.endswith(".py") or any([mark in text for mark in ":/\\"]):
        return text
    raise typer.BadParameter(
        f"{text!r} is no model; there are {', '.join(names.MODELS)}, and your own as path/to/file.py:function."
    )


def _augmentations(text: str | None) -> str | None:
    for part in (text or "").split(","):
        name = part.partition("=")[0].strip()
        if name and name not in names.AUGMENTATIONS:
            raise typer.BadParameter(f"there is no {name!r}; there are {', '.join(names.AUGMENTATIONS)}.")
    return text


def _name(group: str, *words: str, default: str = "", **more: Any) -> Any:
    """An option in a group of the help, which says what `default` it has in the end."""
    return typer.Option(*words, rich_help_panel=group, show_default=default or False, **more)


# -- data --------------------------------------------------------------------------------------------------------------

Data = Annotated[
    str | None,
    _name(
        DATA,
        help="A data set (`gradflow data` lists them), a folder with a folder of images for each class, or an .npz "
        "file with x and y.",
        default="digits",
        callback=check_data,
        autocompletion=names.complete_data,
        metavar="NAME|PATH",
    ),
]
DataDir = Annotated[
    str | None,
    _name(DATA, help="Folder with the files of a data set, if not where they are looked for.", metavar="DIR"),
]
Augment = Annotated[
    bool | None,
    _name(DATA, "--augment/--no-augment", help="Change training images at random in ways that suit the data, or not."),
]
Augmentations = Annotated[
    str | None,
    _name(
        DATA,
        help=f"How to change them: any of {', '.join(names.AUGMENTATIONS)}; as flip,crop=4.",
        callback=_augmentations,
        metavar="LIST",
    ),
]
Normalize = Annotated[
    bool | None,
    _name(
        DATA,
        "--normalize/--no-normalize",
        help="Shift and scale images to mean 0 and deviation 1.",
        default="normalize",
    ),
]
Validation = Annotated[
    float | None, _name(DATA, help="Share of the training images held out to choose by.", default="0", metavar="SHARE")
]

# -- model -------------------------------------------------------------------------------------------------------------

Model = Annotated[
    str | None,
    _name(
        MODEL,
        help="A model (`gradflow models` lists them) or your own as file.py:function.",
        default="cnn",
        callback=_model,
        autocompletion=names.complete_model,
        metavar="NAME|FILE",
    ),
]
Width = Annotated[int | None, _name(MODEL, min=1, help="Its width: channels of the first stage.", metavar="N")]

# -- how long, and by which steps --------------------------------------------------------------------------------------

Epochs = Annotated[int | None, _name(LENGTH, min=1, help="Passes over the training images.", metavar="N")]
TimeLimit = Annotated[
    float | None,
    _name(
        LENGTH, parser=seconds, help="Time to train for, as 90s, 10m or 1h30m: the schedule fits it.", metavar="TIME"
    ),
]
EvalEvery = Annotated[
    int | None, _name(LENGTH, min=1, help="Epochs between two evaluations.", default="1", metavar="N")
]
Patience = Annotated[
    int | None,
    _name(LENGTH, min=0, help="Stop after so many evaluations without a better one, and keep the best.", metavar="N"),
]

BatchSize = Annotated[int | None, _name(STEPS, min=1, help="Images in a batch.", metavar="N")]
Accumulate = Annotated[int | None, _name(STEPS, min=1, help="Batches to a step.", default="1", metavar="N")]
OptimizerName = Annotated[
    names.Optimizer | None,
    _name(
        STEPS, help=f"How steps are taken: by {', '.join(get_args(names.Optimizer))}.", default="adam", metavar="NAME"
    ),
]
LearningRate = Annotated[float | None, _name(STEPS, help="Highest learning rate of the schedule.", metavar="X")]
Momentum = Annotated[float | None, _name(STEPS, help="Of sgd and rmsprop.", default="0.9", metavar="X")]
ScheduleName = Annotated[names.Schedule | None, _name(STEPS, help="How the learning rate falls.", default="cosine")]
Warmup = Annotated[
    float | None,
    _name(STEPS, help="Share of all steps in which the learning rate rises.", default="0.1", metavar="SHARE"),
]
ClipNorm = Annotated[float | None, _name(STEPS, help="Upper bound of the gradients' norm; 0: none.", metavar="X")]

WeightDecay = Annotated[float | None, _name(REGULAR, help="How strongly weights are drawn to 0.", metavar="X")]
LabelSmoothing = Annotated[
    float | None, _name(REGULAR, help="Share of the target that goes to all classes.", default="0", metavar="SHARE")
]
Ema = Annotated[
    float | None, _name(REGULAR, help="Keep a moving average of the weights, of this decay, say 0.999.", metavar="X")
]

# -- machine -----------------------------------------------------------------------------------------------------------

DeviceName = Annotated[
    str | None,
    _name(
        MACHINE,
        help="auto, cpu, cuda or cuda:1; if not said what GRADFLOW_DEVICE says, or auto.",
        autocompletion=lambda: ["auto", "cpu", "cuda"],
        metavar="NAME",
    ),
]
DtypeName = Annotated[
    names.Dtype | None,
    _name(MACHINE, help="Type of the numbers; float16 and bfloat16 are mixed precision.", default="float32"),
]
Seed = Annotated[int | None, _name(MACHINE, min=0, help="Of weights, order and changes.", default="0", metavar="N")]
Workers = Annotated[
    int | None, _name(MACHINE, min=0, help="Threads that make batches ahead; if not said 1 for a GPU.", metavar="N")
]
CheckEvery = Annotated[
    int | None,
    _name(
        MACHINE,
        min=1,
        help="Steps between two looks at loss and gradients; if not said 1, or 20 on a GPU, which has to wait for it.",
        metavar="N",
    ),
]
DataOn = Annotated[names.Place | None, _name(MACHINE, help="Where the images are kept.", default="auto")]

# -- keeping and showing -----------------------------------------------------------------------------------------------

Out = Annotated[
    Path,
    typer.Option("--out", "--runs-dir", rich_help_panel=KEEPING, help="Folder that holds the runs.", metavar="DIR"),
]
RunName = Annotated[
    str | None, _name(KEEPING, help="Name of the run, that of the data set if not said.", metavar="NAME")
]
Resume = Annotated[
    str | None,
    _name(
        KEEPING,
        help="Go on with a run, by its name or folder, as it was begun but for options that are given.",
        autocompletion=names.complete_run,
        metavar="RUN",
    ),
]
FromPrevious = Annotated[
    bool, _name(KEEPING, "--from-previous", help="Go on from the checkpoint before, where the newest is damaged.")
]
Config = Annotated[
    Path | None,
    _name(KEEPING, help="Settings from a TOML file, as each run saves them; options come first.", metavar="FILE"),
]
SaveEvery = Annotated[
    float | None,
    _name(KEEPING, parser=seconds, help="Time between checkpoints, as 30s or 5m.", default="60s", metavar="TIME"),
]
Keep = Annotated[int | None, _name(KEEPING, min=1, help="How many checkpoints to keep.", default="2", metavar="N")]

Quiet = Annotated[bool, _name(SHOWING, "--quiet", help="Nothing but warnings.")]
Json = Annotated[bool, _name(SHOWING, "--json", help="A JSON object a line.")]
Debug = Annotated[bool, _name(SHOWING, "--debug", help="Show the traceback of an error.")]


def given(params: dict[str, Any]) -> dict[str, Any]:
    """The settings among a command's parameters that were given, as `train.Settings` names and holds them."""
    skipped = {"augment", "augmentations", *OTHER}
    found = {name: value for name, value in params.items() if name not in skipped and value is not None}
    augment, listed = params.get("augment"), params.get("augmentations")
    if augment is False and listed:
        raise typer.BadParameter("--no-augment and --augmentations exclude each other.")
    if listed is not None:
        found["augment"] = tuple([part.strip() for part in listed.split(",") if part.strip()])
    elif augment is not None:
        found["augment"] = ("auto",) if augment else ()
    return found


OTHER = ("out", "name", "resume", "from_previous", "config", "quiet", "json", "debug", "steps", "kills")
"""Parameters of commands that are no settings."""
