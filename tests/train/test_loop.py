"""The loop: what it computes, reports, refuses, and how it goes on after a pause."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import DataLoader, Split, load_digits
from gradflow.data.augment import Compose, Mixup, RandomShift
from gradflow.models import cnn
from gradflow.optim.lr_scheduler import LambdaLR
from gradflow.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from gradflow.train import DivergedError, EpochReport, Scores, Training, evaluate, fit, step_report
from gradflow.train.packing import pack, unpack
from gradflow.train.state import Tally

DIGITS = load_digits()


def part(split: Split, count: int) -> Split:
    return Split(split.pixels[:count], split.labels[:count], split.top)


FEW, TEST = part(DIGITS.train, 150), part(DIGITS.test, 60)


def loader(split: Split = FEW, batch_size: int = 40, **options) -> DataLoader:
    return DataLoader(split, batch_size, shuffle=True, seed=0, device="cpu", **options)


def in_order(split: Split = TEST) -> DataLoader:
    return DataLoader(split, 25, device="cpu")


def small(seed: int = 0) -> gf.nn.Module:
    gf.manual_seed(seed)
    return cnn(10, DIGITS.input_shape).to("cpu")


def adam(model: gf.nn.Module, lr: float = 5e-3) -> gf.optim.Optimizer:
    return gf.optim.Adam(model.parameters(), lr=lr)


def weights(model: gf.nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def test_a_few_images_are_learned_by_heart():
    model = small()
    t = fit(model, loader(batch_size=16), adam(model), epochs=12, test_loader=in_order())
    assert [r.epoch for r in t.history] == list(range(1, 13))
    assert t.history[0].train.loss > 1.5
    assert t.history[-1].train.loss < 0.1
    assert t.history[-1].train.accuracy > 0.97
    assert t.history[-1].test is not None
    assert t.history[-1].test.accuracy > 0.7
    assert (t.epoch, t.step, t.batch) == (12, 120, 0)
    assert t.stop is None


def test_the_loop_does_what_a_plain_loop_does():
    model, plain = small(), small()
    schedule = partial(LambdaLR, lr_lambda=lambda step: 1 / (1 + step))
    optimizer, by_hand = adam(model), adam(plain)
    fit(model, loader(), optimizer, epochs=2, scheduler=schedule(optimizer), max_norm=0.5)
    scheduler = schedule(by_hand)
    batches = loader()
    for _ in range(2):
        for images, labels in batches:
            by_hand.zero_grad()
            gf.nn.functional.cross_entropy(plain(images), labels).backward()
            gf.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
            by_hand.step()
            scheduler.step()
    assert weights(model) == weights(plain)


def test_accumulated_batches_make_the_step_of_their_union():
    """In float64, so that the order of sums is all that differs; 120 images are 3 batches of 40, or 6 of 20."""
    split = part(DIGITS.train, 120)
    found = []
    for size, accumulate in ((40, 1), (20, 2)):
        model = small().double()
        optimizer = gf.optim.SGD(model.parameters(), lr=0.1)
        batches = loader(split, size, transform=lambda x, y, rng: (x.double(), y))
        t = fit(model, batches, optimizer, epochs=2, accumulate=accumulate)
        assert t.step == 6
        found.append(model.state_dict())
    for name, value in found[0].items():
        np.testing.assert_allclose(value.numpy(), found[1][name].numpy(), rtol=1e-10, atol=1e-14)


def test_a_last_group_of_fewer_batches_is_their_mean():
    """7 images, one a batch, 3 to a step: the last step is that of one image alone."""
    split, steps = part(DIGITS.train, 7), []
    model = small().double()
    optimizer = gf.optim.SGD(model.parameters(), lr=0.1)
    batches = loader(split, 1, transform=lambda x, y, rng: (x.double(), y))
    fit(model, batches, optimizer, epochs=1, accumulate=3, on_step=[lambda t: steps.append((t.step, t.batch))])
    assert steps == [(1, 3), (2, 6), (3, 7)]
    plain, order = small().double(), np.random.default_rng((0, 0)).permutation(7)
    optimizer = gf.optim.SGD(plain.parameters(), lr=0.1)
    images, labels = gf.tensor(split.images, dtype=gf.float64, device="cpu"), gf.tensor(split.labels, device="cpu")
    for chosen in (order[:3], order[3:6], order[6:]):
        optimizer.zero_grad()
        gf.nn.functional.cross_entropy(plain(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), plain.state_dict()[name].numpy(), rtol=1e-10, atol=1e-14)


def test_reports_count_up_to_the_epoch():
    model, steps, epochs = small(), [], []
    t = fit(
        model, loader(), adam(model), epochs=2, test_loader=in_order(),
        on_step=[lambda t: steps.append(step_report(t))],
        on_epoch=[lambda t: epochs.append((t.epoch, t.batch, t.tally.count))],
    )  # fmt: skip
    assert [(r.epoch, r.seen, r.step) for r in steps] == [
        *((1, seen, i + 1) for i, seen in enumerate((40, 80, 120, 150))),
        *((2, seen, i + 5) for i, seen in enumerate((40, 80, 120, 150))),
    ]
    assert steps[3].scores == t.history[0].train
    assert all(r.images == 150 and r.epochs == 2 and r.lr == 5e-3 and r.images_per_second > 0 for r in steps)
    assert steps[0].seconds_left is not None
    assert steps[-1].seconds_left == 0
    assert epochs == [(1, 0, 0), (2, 0, 0)]
    assert t.seconds == pytest.approx(sum(r.seconds for r in t.history))


def test_evaluation_every_so_often_and_at_the_end():
    model = small()
    t = fit(model, loader(), adam(model), epochs=5, test_loader=in_order(), eval_every=2)
    assert [r.epoch for r in t.history if r.test is not None] == [2, 4, 5]


def test_evaluate_equals_the_formula_and_records_nothing():
    model = small()
    scores = evaluate(model, DataLoader(DIGITS.test, 100, device="cpu"))
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    logits = model(gf.as_tensor(DIGITS.test.images, device="cpu")).detach().numpy().astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -log_probabilities[np.arange(360), DIGITS.test.labels].mean()
    np.testing.assert_allclose(scores.loss, loss, rtol=1e-5)
    assert scores.accuracy == (logits.argmax(1) == DIGITS.test.labels).mean()


def test_the_average_is_what_is_evaluated():
    model = small()
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    t = fit(model, loader(), adam(model), epochs=2, test_loader=in_order(), ema=ema)
    assert t.best_model is ema.module
    assert weights(model) != weights(ema.module)
    assert t.history[-1].test == evaluate(ema.module, in_order())


def test_half_precision_trains():
    for name in ("bfloat16", "float16"):
        model = small()
        scaler = gf.amp.GradScaler() if name == "float16" else None
        t = fit(model, loader(), adam(model), epochs=3, dtype=getattr(gf, name), scaler=scaler)
        assert t.history[-1].train.loss < 0.9 * t.history[0].train.loss
        assert all(p.dtype == gf.float32 for p in model.parameters())


def test_a_step_that_the_scaler_leaves_out_moves_neither_schedule_nor_average():
    model = small()
    optimizer, scaler = adam(model), gf.amp.GradScaler(init_scale=2.0**24)
    ema, schedule = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)), LambdaLR(optimizer, lambda i: 0.5**i)
    t = fit(model, loader(), optimizer, epochs=4, dtype=gf.float16, scaler=scaler, scheduler=schedule, ema=ema)
    assert 0 < ema.n_averaged.item() < t.step == 16
    assert schedule.last_epoch == ema.n_averaged.item()
    assert t.lr == 5e-3 * 0.5 ** (schedule.last_epoch - 1)  # of the last step, not of the next


def test_gradients_are_clipped_at_their_own_size_and_not_at_the_scaled_one():
    start, held = next(iter(small().parameters())).numpy(), []
    for scale in (2.0**4, 2.0**8):
        model = small()
        optimizer, scaler = gf.optim.SGD(model.parameters(), lr=1.0), gf.amp.GradScaler(init_scale=scale)
        fit(model, loader(), optimizer, epochs=1, dtype=gf.float16, scaler=scaler, max_norm=0.01)
        held.append(next(iter(model.parameters())).numpy())
    np.testing.assert_allclose(held[0] - start, held[1] - start, rtol=0.05, atol=1e-5)


def test_a_callback_ends_the_training_after_its_step():
    model = small()

    def stop(t: Training) -> None:
        t.stop = "enough" if t.step == 6 else None

    t = fit(model, loader(), adam(model), epochs=9, on_step=[stop])
    assert (t.stop, t.step, t.epoch, t.batch, t.tally.count) == ("enough", 6, 1, 2, 80)
    assert all(p.grad is None for p in model.parameters())


def test_without_epochs_a_callback_ends_it():
    model = small()
    t = fit(model, loader(), adam(model), on_epoch=[lambda t: setattr(t, "stop", "done" if t.epoch == 3 else None)])
    assert len(t.history) == 3
    t.tally.add(gf.zeros(1, 2), gf.zeros(1, dtype=gf.int64), gf.zeros(()))
    assert step_report(t).seconds_left is None


# -- going on after a pause --------------------------------------------------------------------------------------------


class Dropping(gf.nn.Module):
    """Batch norm's statistics and dropout's random numbers are part of what must be taken up."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = gf.nn.Sequential(
            *(gf.nn.Conv2d(1, 4, 3, bias=False), gf.nn.BatchNorm2d(4), gf.nn.ReLU(), gf.nn.Dropout(0.3)),
            *(gf.nn.Flatten(), gf.nn.Linear(144, 10)),
        )

    def forward(self, x):
        return self.layers(x)


PAUSES = [
    ("adam", {}),
    ("sgd", {"accumulate": 2, "max_norm": 0.1}),
    ("adamw", {"average": True, "scaler": True}),
    ("lion", {"mixup": True, "average": True}),
    ("rmsprop", {"accumulate": 3, "mixup": True}),
    ("radam", {}),
]
OPTIMIZERS = {
    "adam": gf.optim.Adam, "sgd": partial(gf.optim.SGD, momentum=0.9, nesterov=True), "adamw": gf.optim.AdamW,
    "lion": gf.optim.Lion, "rmsprop": partial(gf.optim.RMSprop, momentum=0.9, centered=True), "radam": gf.optim.RAdam,
}  # fmt: skip


def training(
    name: str, average: bool = False, scaler: bool = False, mixup: bool = False, **options
) -> tuple[gf.nn.Module, partial[Training]]:
    """A model, and what trains it for two epochs when called."""
    gf.manual_seed(3)
    model = Dropping().to("cpu")
    optimizer = OPTIMIZERS[name](model.parameters(), lr=1e-2)
    changes = [RandomShift(1), *([Mixup(0.4, 10)] if mixup else [])]
    batches = loader(part(DIGITS.train, 46), 8, transform=Compose(changes), num_workers=1)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)) if average else None
    scaling = {"scaler": gf.amp.GradScaler(init_scale=2.0**20), "dtype": gf.float16} if scaler else {}
    schedule = LambdaLR(optimizer, lambda step: 0.9**step)
    parts = {"test_loader": in_order(), "scheduler": schedule, "ema": ema, **scaling, **options}
    return model, partial(fit, model, batches, optimizer, epochs=2, **parts)


def scores_of(history: list[EpochReport]) -> list[tuple[Scores, Scores | None]]:
    return [(r.train, r.test) for r in history]


@pytest.mark.parametrize(("name", "options"), PAUSES, ids=[name for name, _ in PAUSES])
def test_a_training_taken_up_at_any_step_ends_in_the_same_bits(name: str, options: dict):
    saved: list[str] = []
    arrays: list[dict[str, np.ndarray]] = []

    def save(t: Training) -> None:
        held, plain = pack(t.state_dict())
        arrays.append({k: v.copy() for k, v in held.items()})
        saved.append(json.dumps(plain))

    model, run = training(name, **options)
    whole = run(on_step=[save], on_epoch=[save])
    assert len(saved) == whole.step + 2
    for i in range(0, len(saved), 3 if len(saved) > 9 else 2):
        other, run = training(name, **options)
        t = run(resume=unpack(arrays[i], json.loads(saved[i])))
        assert weights(other) == weights(model), f"taken up at save {i}"
        assert weights(t.best_model) == weights(whole.best_model)
        assert scores_of(t.history) == scores_of(whole.history)
        assert t.step == whole.step


def test_a_state_of_other_parts_is_refused():
    _, run = training("adam")
    state = run().state_dict()
    _, other = training("adam", average=True)
    with pytest.raises(ValueError, match=r"the saved state is of loader, .*these are ema, .*make the parts that were"):
        other(resume=state)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_the_operation():
    class Broken(gf.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = cnn(10, DIGITS.input_shape)
            self.count, self.drawn = 0, []

        def forward(self, x):
            self.count += 1
            self.drawn.append(gf.rand(1).item())
            y = self.body(x)
            return y if self.count < 3 else (y - y.max() - 1).log() * 0.5

    gf.manual_seed(0)
    model = Broken().to("cpu")
    before: list[dict[str, bytes]] = []
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 1, after 2 steps: .*\blog\b.*lower lr"):
        fit(model, loader(), adam(model), epochs=1, on_step=[lambda t: before.append(weights(t.model))])
    assert weights(model) == before[-1]  # the step that would have spoilt them was not taken
    assert model.drawn[3] == model.drawn[2] != model.drawn[1]  # the search began where the step had begun


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_that_are_no_numbers_stop_the_training_before_the_weights_are_lost():
    class Root(gf.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = gf.nn.Linear(64, 10)

        def forward(self, x):
            y = self.linear(x.flatten(1))
            return y + (y * 0).abs().sqrt() * 0  # 0 with a slope of inf * 0

    gf.manual_seed(0)
    model = Root().to("cpu")
    held = weights(model)
    with pytest.raises(DivergedError, match=r"the sum of the gradients is nan in epoch 1, after 0 steps: .*sqrt"):
        fit(model, loader(), adam(model), epochs=1)
    assert weights(model) == held


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_look_now_and_then_finds_it_too():
    model = small()
    optimizer = gf.optim.SGD(model.parameters(), lr=1e15)
    with pytest.raises(DivergedError, match=r"the (mean )?loss is (nan|inf) in epoch 1.*; try a lower lr than 1e\+15"):
        fit(model, loader(), optimizer, epochs=1, check_every=3)
    model = small()
    optimizer = gf.optim.SGD(model.parameters(), lr=1e15)
    with pytest.raises(DivergedError, match=r"the mean loss is .* origin is gone.*--check-every 1\) would name"):
        fit(model, loader(), optimizer, epochs=1, check_every=100)


def test_images_that_are_no_numbers_are_not_blamed_on_the_learning_rate():
    model = small()
    spoilt = loader(transform=lambda x, y, rng: (x * float("nan"), y))
    with pytest.raises(DivergedError, match="after 0 steps") as caught:
        fit(model, spoilt, adam(model), epochs=1)
    assert "images" in str(caught.value)
    assert "lower lr" not in str(caught.value)


def test_an_empty_loader_is_refused():
    model = small()
    with pytest.raises(ValueError, match=r"\[fit\] the loader has no batches: 3 images, drop_last=True"):
        fit(model, loader(part(DIGITS.train, 3), 5, drop_last=True), adam(model), epochs=1)


def test_what_is_no_loader_and_no_loss_is_refused():
    model = small()
    with pytest.raises(TypeError, match=r"\[fit\] the loader, a list, has no dataset, state_dict, .*give a DataLoader"):
        fit(model, list(loader()), adam(model), epochs=1)
    with pytest.raises(ValueError, match=r"\[fit\] loss_fn gives a loss of shape \(40,\), not one number"):
        fit(model, loader(), adam(model), partial(gf.nn.functional.cross_entropy, reduction="none"), epochs=1)


def test_a_model_without_parameters_is_evaluated():
    loss = evaluate(gf.nn.Flatten(), in_order(), lambda y, labels: y.mean()).loss
    assert loss == pytest.approx(TEST.images.mean(), rel=1e-5)


def test_an_epoch_that_was_done_stays_done_with_other_batches():
    """Paused after the last step of an epoch and before its report, then cut into more batches or fewer."""

    def stop(t: Training) -> None:
        t.stop = "enough" if t.batch == len(t.loader) else None

    model = small()
    state = fit(model, loader(), adam(model), epochs=2, on_step=[stop]).state_dict()
    for size, steps in ((10, 15), (75, 2)):
        other = small()
        t = fit(other, loader(batch_size=size), adam(other), epochs=2, resume=state)
        assert [(r.epoch, r.step) for r in t.history] == [(1, 4), (2, 4 + steps)]


def test_the_time_that_a_device_takes_counts(monkeypatch):
    """Reading the loss waits for the steps that a GPU has still to do: here a clock stands still but for that."""
    now = [0.0]
    monkeypatch.setattr("gradflow.train.loop.perf_counter", lambda: now[0])
    scores = Tally.scores

    def waits(tally: Tally) -> Scores:
        now[0] += 5.0
        return scores(tally)

    monkeypatch.setattr(Tally, "scores", waits)
    model, reports = small(), []
    t = fit(model, loader(), adam(model), epochs=2, on_step=[lambda t: reports.append(step_report(t))])
    assert reports[0].images_per_second == 40 / 5
    assert [r.seconds for r in t.history] == [20.0, 20.0]  # a wait at the end, and three looks that steps came after
    assert t.seconds == 40.0


def test_soft_labels_are_scored_by_their_largest_class():
    model = small()
    soft = loader(transform=lambda x, y, rng: (x, 0.8 * gf.nn.functional.one_hot(y, 10).float() + 0.02))
    hard, mixed = fit(small(), loader(), adam(small()), epochs=1), fit(model, soft, adam(model), epochs=1)
    assert 0 < mixed.history[0].train.accuracy < 1
    assert hard.history[0].train.loss != mixed.history[0].train.loss
    assert not math.isnan(mixed.history[0].train.loss)
