"""The loop on the stand-in for a GPU: how often the host waits, and that images stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gradflow as gf
from gradflow.data import ImageData, Split, load_digits
from gradflow.train import Settings, Training, fit, recipe, step_report
from gradflow.train.loop import GPU_CHECK

DIGITS = load_digits()
DATA = ImageData(
    "few",
    *[Split(s.pixels[:84], s.labels[:84], s.top) for s in (DIGITS.train, DIGITS.test)],
    DIGITS.classes,
)


def run(settings: Settings, on_step: Callable[[Training], None]) -> Training:
    device = gf.zeros(1, device="cuda").device
    settings = settings.suited(DATA)
    data = recipe.placed(settings, DATA, device)
    assert isinstance(data.train.pixels, gf.Tensor) == (settings.data_on != "host")
    model = recipe.make_model(settings, data, device)
    measured = recipe.statistics(DATA.train)
    loader = recipe.train_loader(settings, data, measured, device)
    optimizer = recipe.make_optimizer(settings, model)
    schedule = recipe.make_schedule(settings, optimizer, len(loader), lambda: 0.0)
    return fit(
        model,
        loader,
        optimizer,
        recipe.make_loss(settings),
        epochs=settings.epochs,
        scheduler=schedule,
        max_norm=settings.clip_norm or None,
        ema=recipe.make_average(settings, model, lambda: schedule.last_epoch),
        on_step=[on_step],
    )


def test_steps_do_not_wait_for_the_gpu(fake_cuda: Any) -> None:
    """Only every so often, when loss and gradients are looked at; with all that a step may have."""
    world = fake_cuda().world
    waits: list[int] = []
    for place in ("host", "device"):
        settings = Settings(
            model="mlp", width=4, epochs=1, batch_size=2, ema=0.9, clip_norm=1.0, label_smoothing=0.1, data_on=place,
            augment=("shift=1", "flip", "mixup", "cutmix"),
        )  # fmt: skip
        waits.clear()
        run(settings, lambda t: waits.append(world.waits))
        between = [b - a for a, b in pairwise(waits)]
        looks = [step for step, count in enumerate(between, 2) if count]
        assert len(waits) == 42
        assert looks == [GPU_CHECK + 1, 2 * GPU_CHECK + 1]


def test_a_report_waits(fake_cuda: Any) -> None:
    """So `gradflow train` asks for one only where the loop has waited anyway."""
    world = fake_cuda().world
    counts = []

    def report(t: Training) -> None:
        before = world.waits
        step_report(t)
        counts.append(world.waits - before)

    run(Settings(model="mlp", width=4, epochs=1, batch_size=42), report)
    assert all(count > 0 for count in counts)
