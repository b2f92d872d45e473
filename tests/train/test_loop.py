"""The loop, its schedule, its settings and the model it trains."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import Dataset, Split, load_digits
from gradflow.models import cnn
from gradflow.train import (
    BatchReport,
    DivergedError,
    EpochReport,
    Settings,
    default_settings,
    evaluate,
    fit,
)
from gradflow.train.loop import one_cycle

DIGITS = load_digits()
FEW = dataclasses.replace(
    DIGITS,
    train=Split(DIGITS.train.images[:150], DIGITS.train.labels[:150]),
    test=Split(DIGITS.test.images[:60], DIGITS.test.labels[:60]),
)


def model_for(dataset: Dataset, seed: int = 0):
    gf.manual_seed(seed)
    return cnn(len(dataset.classes), dataset.input_shape).to("cpu")


def epochs_of(settings: Settings, seed: int = 0) -> list[EpochReport]:
    return [r for r in fit(model_for(FEW, seed), FEW, settings, "cpu") if isinstance(r, EpochReport)]


def scores_of(reports: list[EpochReport]) -> list[tuple[float, float]]:
    return [(r.train.loss, r.test.loss) for r in reports]


def test_a_few_images_are_learned_by_heart():
    reports = epochs_of(Settings(epochs=12, batch_size=16, lr=5e-3))
    assert [r.epoch for r in reports] == list(range(1, 13))
    assert reports[0].train.loss > 1.5
    assert reports[-1].train.loss < 0.1
    assert reports[-1].train.accuracy > 0.97
    assert reports[-1].test.accuracy > 0.7


def test_sgd_learns():
    reports = epochs_of(Settings(epochs=6, batch_size=16, lr=0.1, optimizer="sgd"))
    assert reports[-1].train.loss < 0.7 * reports[0].train.loss


def test_the_same_seed_gives_the_same_numbers():
    settings = Settings(epochs=2, batch_size=40, lr=5e-3, shift=1)
    first = scores_of(epochs_of(settings))
    assert scores_of(epochs_of(settings)) == first
    assert scores_of(epochs_of(dataclasses.replace(settings, seed=1))) != first
    assert scores_of(epochs_of(settings, seed=1)) != first


def test_batch_reports_count_up_to_the_epoch():
    settings = Settings(epochs=2, batch_size=40, lr=1e-3)
    reports = list(fit(model_for(FEW), FEW, settings, "cpu", report_every=0))
    seen = [(r.epoch, r.seen) for r in reports if isinstance(r, BatchReport)]
    assert seen == [(epoch, count) for epoch in (1, 2) for count in (40, 80, 120, 150)]
    last, epoch = reports[3], reports[4]
    assert isinstance(last, BatchReport)
    assert isinstance(epoch, EpochReport)
    assert last.scores == epoch.train
    assert epoch.images_per_second > 0
    assert epoch.seconds > 0


def test_evaluate_equals_the_formula_and_records_nothing():
    model = model_for(DIGITS)
    scores = evaluate(model, DIGITS.test, "cpu")
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    logits = model(gf.as_tensor(DIGITS.test.images, device="cpu")).detach().numpy().astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -log_probabilities[np.arange(360), DIGITS.test.labels].mean()
    np.testing.assert_allclose(scores.loss, loss, rtol=1e-5)
    assert scores.accuracy == (logits.argmax(1) == DIGITS.test.labels).mean()


def test_evaluate_takes_batches_of_unequal_size_by_their_weight():
    model = model_for(DIGITS)
    both = evaluate(model, Split(DIGITS.train.images[:600], DIGITS.train.labels[:600]), "cpu")
    first = evaluate(model, Split(DIGITS.train.images[:500], DIGITS.train.labels[:500]), "cpu")
    rest = evaluate(model, Split(DIGITS.train.images[500:600], DIGITS.train.labels[500:600]), "cpu")
    np.testing.assert_allclose(both.loss, (5 * first.loss + rest.loss) / 6, rtol=1e-5)
    np.testing.assert_allclose(both.accuracy, (5 * first.accuracy + rest.accuracy) / 6, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_no_number_is_an_error():
    with pytest.raises(
        DivergedError, match=r"the loss is (nan|inf) in epoch \d with sgd at lr 1e\+15; try a smaller lr"
    ):
        epochs_of(Settings(epochs=3, batch_size=16, lr=1e15, optimizer="sgd"))


def test_one_cycle():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert rates[0] == 0.1
    assert rates[9] == rates[10] == 1
    assert 0 < rates[99] < 1e-3
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert [one_cycle(0, 1), one_cycle(0, 2), one_cycle(1, 2)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": float("nan")}, "lr must be positive, got nan"),
        ({"optimizer": "lion"}, "optimizer must be one of adam, sgd, got 'lion'"),
    ],
)
def test_settings_are_checked(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Settings(epochs=1, batch_size=1, lr=0.1), **change)


def test_default_settings_suit_the_size_of_the_data():
    images, labels = np.zeros((10_000, 1, 4, 4), np.float32), np.zeros(10_000, np.int64)
    large = Dataset("large", Split(images, labels), Split(images[:1], labels[:1]), ("zero",))
    assert default_settings(DIGITS) == Settings(epochs=30, batch_size=64, lr=5e-3, shift=1)
    assert default_settings(large) == Settings(epochs=5, batch_size=128, lr=5e-3)
    assert default_settings(DIGITS, optimizer="sgd").lr == 0.1
    asked = default_settings(DIGITS, epochs=1, batch_size=2, lr=0.5, optimizer="sgd", seed=9)
    assert asked == Settings(epochs=1, batch_size=2, lr=0.5, optimizer="sgd", shift=1, seed=9)


@pytest.mark.parametrize(
    ("shape", "parameters"), [((1, 8, 8), 25_866), ((1, 28, 28), 29_066), ((3, 32, 32), 33_834), ((1, 4, 15), 25_226)]
)
def test_cnn_fits_the_images(shape: tuple[int, int, int], parameters: int):
    model = cnn(10, shape).to("cpu")
    assert sum(int(np.prod(tuple(p.shape))) for p in model.parameters()) == parameters
    assert tuple(model(gf.as_tensor(np.zeros((2, *shape), np.float32), device="cpu")).shape) == (2, 10)


def test_cnn_refuses_specks():
    with pytest.raises(ValueError, match=r"\[cnn\] images must be at least 4x4, got 3x8"):
        cnn(10, (1, 3, 8))
