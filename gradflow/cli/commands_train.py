"""`gradflow train` and `gradflow verify-resume`: their options. What they do is imported when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .errors import one_line
from .names import OUT

TRAIN_EXAMPLES = o.examples(
    "gradflow train",
    "gradflow train --data fashion-mnist --epochs 5",
    "gradflow train --data fashion-mnist --model resnet9 --augment --epochs 15",
    "gradflow train --data cifar10 --model resnet9 --width 16 --augment --time-limit 30m",
    "gradflow train --optimizer sgd --lr 0.2 --ema 0.99 --name with-sgd",
    "gradflow train --resume with-sgd --epochs 60",
    "gradflow train --config runs/with-sgd/config.toml --seed 1",
)
VERIFY_EXAMPLES = o.examples(
    "gradflow verify-resume",
    "gradflow verify-resume --optimizer sgd --ema 0.9 --augment --accumulate 2",
)


def train(
    ctx: typer.Context,
    data: o.Data = None,
    data_dir: o.DataDir = None,
    augment: o.Augment = None,
    augmentations: o.Augmentations = None,
    normalize: o.Normalize = None,
    validation: o.Validation = None,
    model: o.Model = None,
    width: o.Width = None,
    epochs: o.Epochs = None,
    time_limit: o.TimeLimit = None,
    eval_every: o.EvalEvery = None,
    patience: o.Patience = None,
    batch_size: o.BatchSize = None,
    accumulate: o.Accumulate = None,
    optimizer: o.OptimizerName = None,
    lr: o.LearningRate = None,
    momentum: o.Momentum = None,
    schedule: o.ScheduleName = None,
    warmup: o.Warmup = None,
    clip_norm: o.ClipNorm = None,
    weight_decay: o.WeightDecay = None,
    label_smoothing: o.LabelSmoothing = None,
    ema: o.Ema = None,
    device: o.DeviceName = None,
    dtype: o.DtypeName = None,
    seed: o.Seed = None,
    workers: o.Workers = None,
    data_on: o.DataOn = None,
    check_every: o.CheckEvery = None,
    out: o.Out = OUT,
    name: o.RunName = None,
    resume: o.Resume = None,
    from_previous: o.FromPrevious = False,
    config: o.Config = None,
    save_every: o.SaveEvery = None,
    keep: o.Keep = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Train a model and keep what comes of it in OUT/NAME: weights, metrics, settings and checkpoints.

    What is not given is chosen to suit the data. Ctrl-C ends the step, saves, and says how to go on.
    """
    given = o.given(ctx.params)
    if resume is not None and (config is not None or name is not None):
        raise typer.BadParameter(f"--resume and {'--config' if config is not None else '--name'} exclude each other.")
    if from_previous and resume is None:
        raise typer.BadParameter("--from-previous is for --resume.")
    if quiet and json:
        raise typer.BadParameter("--quiet and --json exclude each other.")
    with one_line(debug):
        from .train import run

        code = run(
            given=given,
            config=config,
            resume=resume,
            from_previous=from_previous,
            out=out,
            name=name,
            mode="json" if json else "quiet" if quiet else "auto",
        )
    raise typer.Exit(code)


def verify_resume(
    ctx: typer.Context,
    data: o.Data = None,
    data_dir: o.DataDir = None,
    augment: o.Augment = None,
    augmentations: o.Augmentations = None,
    normalize: o.Normalize = None,
    model: o.Model = None,
    width: o.Width = None,
    batch_size: o.BatchSize = None,
    accumulate: o.Accumulate = None,
    optimizer: o.OptimizerName = None,
    lr: o.LearningRate = None,
    momentum: o.Momentum = None,
    schedule: o.ScheduleName = None,
    warmup: o.Warmup = None,
    clip_norm: o.ClipNorm = None,
    weight_decay: o.WeightDecay = None,
    label_smoothing: o.LabelSmoothing = None,
    ema: o.Ema = None,
    device: o.DeviceName = None,
    dtype: o.DtypeName = None,
    seed: o.Seed = None,
    workers: o.Workers = None,
    data_on: o.DataOn = None,
    steps: Annotated[int, typer.Option(min=2, help="Steps of the short run, about.", metavar="N")] = 20,
    kills: Annotated[int, typer.Option(min=1, help="How many times to kill it.", metavar="N")] = 3,
    debug: o.Debug = False,
) -> None:
    """Prove on a short run that training goes on, after it was killed, to the very same result.

    Trains in one go; then again, killed at random moments and taken up each time by a new process; and compares every
    tensor of the two last checkpoints bit for bit. Exits with 1 where one differs.
    """
    given = o.given(ctx.params)
    with one_line(debug):
        from .verify import run

        code = run(given=given, steps=steps, kills=kills)
    raise typer.Exit(code)
