"""From settings to parts."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.data import ImageData, Split, load_digits
from gradflow.train import Settings, fit, recipe
from gradflow.train.settings import LEARNING_RATES

DIGITS = load_digits()
CPU = get_backend("cpu").device


def suited(**options) -> Settings:
    return Settings(**options).suited(DIGITS)


def test_statistics_are_those_of_the_scaled_images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2300, 3, 4, 5), dtype=np.uint8)
    pixels[:, 2] = 7
    for split in (Split(pixels, np.zeros(2300, np.int64)), Split(pixels / np.float32(255), np.zeros(2300, np.int64))):
        found = recipe.statistics(split)
        np.testing.assert_allclose(found.mean, pixels.mean((0, 2, 3)) / 255, rtol=1e-6)
        np.testing.assert_allclose(found.std[:2], pixels[:, :2].std((0, 2, 3)) / 255, rtol=1e-6)
    assert recipe.statistics(Split(pixels, np.zeros(2300, np.int64))).std[2] == 1.0


def test_batches_are_normalised_alike_in_training_and_evaluation():
    settings = suited(augment=(), batch_size=2000)
    measured = recipe.statistics(DIGITS.train)
    ((images, _),) = recipe.train_loader(settings, DIGITS, measured, CPU)
    assert abs(images.mean().item()) < 1e-5
    assert abs(images.std().item() - 1) < 1e-3
    (first, _), *_ = recipe.test_loader(settings, DIGITS.test, measured, CPU)
    wanted = (DIGITS.test.images[: len(first)] - measured.mean[0]) / measured.std[0]
    np.testing.assert_allclose(first.numpy(), wanted, rtol=1e-5, atol=1e-6)
    ((plain, _),) = recipe.train_loader(settings, DIGITS, None, CPU)
    assert plain.min().item() == 0
    ((wide, _),) = recipe.train_loader(dataclasses.replace(settings, dtype="float64"), DIGITS, measured, CPU)
    assert wide.dtype == gf.float64


def test_a_part_is_held_out_by_class():
    data, test = recipe.load(Settings(validation=0.2, seed=1))
    assert len(data.test) == 287
    assert len(data.train) + len(data.test) == len(DIGITS.train)
    np.testing.assert_array_equal(test.pixels, DIGITS.test.pixels)
    both = np.concatenate([data.train.pixels, data.test.pixels])
    assert sorted(map(bytes, both)) == sorted(map(bytes, DIGITS.train.pixels))
    share = np.bincount(data.test.labels) / np.bincount(DIGITS.train.labels)
    assert np.abs(share - 0.2).max() < 0.01
    whole, same = recipe.load(Settings())
    assert same is whole.test


def test_digest_sees_every_pixel_and_label():
    found = {recipe.digest(DIGITS)}
    for split in ("train", "test"):
        for part in ("pixels", "labels"):
            array = getattr(getattr(DIGITS, split), part).copy()
            array.reshape(-1)[-1] ^= 1
            changed = dataclasses.replace(getattr(DIGITS, split), **{part: array})
            found.add(recipe.digest(dataclasses.replace(DIGITS, **{split: changed})))
    assert len(found) == 5


@pytest.mark.parametrize("name", sorted(LEARNING_RATES))
def test_each_optimiser_learns(name: str):
    few = dataclasses.replace(DIGITS, train=Split(DIGITS.train.pixels[:200], DIGITS.train.labels[:200], 16))
    settings = suited(optimizer=name, epochs=8, batch_size=20, augment=())
    model = recipe.make_model(settings, few, CPU)
    loader = recipe.train_loader(settings, few, recipe.statistics(few.train), CPU)
    optimizer = recipe.make_optimizer(settings, model)
    schedule = recipe.make_schedule(settings, optimizer, len(loader), lambda: 0.0)
    t = fit(model, loader, optimizer, recipe.make_loss(settings), epochs=8, scheduler=schedule)
    assert t.history[0].train.accuracy < 0.5 < 0.6 < t.history[-1].train.accuracy
    assert t.history[-1].train.loss < 0.85 * t.history[0].train.loss


def test_schedules():
    def rates(kind: str, warmup: float) -> list[float]:
        settings = suited(schedule=kind, warmup=warmup, epochs=10, lr=1.0, optimizer="sgd")
        optimizer = gf.optim.SGD([gf.nn.Parameter(gf.zeros(1, device="cpu"))], lr=1.0)
        scheduler = recipe.make_schedule(settings, optimizer, 10, lambda: 0.0)
        found = []
        for _ in range(100):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return found

    for kind in ("cosine", "linear", "step", "constant"):
        found = rates(kind, 0.1)
        assert found[:10] == pytest.approx([(i + 1) / 10.1 for i in range(10)])
        assert found[10:] == sorted(found[10:], reverse=True)
        assert found[99] > 0
        assert rates(kind, 0.0)[0] > 0.98
    assert rates("cosine", 0.1)[99] < 1e-3
    assert rates("linear", 0.1)[99] < 0.02
    assert [rates("step", 0.1)[i] for i in (20, 48, 60, 74, 80, 99)] == [1, 1, 0.1, 0.1, 0.01, 0.01]
    assert rates("constant", 0.1)[50:] == [1.0] * 50
    cosine = rates("cosine", 0.1)
    assert cosine[54] == pytest.approx(0.5 * (1 + math.cos(math.pi * (55 / 101 - 0.1) / 0.9)))


def test_without_epochs_the_schedule_follows_the_clock():
    settings = suited(time_limit=100.0, lr=1.0, schedule="linear", warmup=0.1)
    assert settings.epochs is None
    optimizer, now = gf.optim.SGD([gf.nn.Parameter(gf.zeros(1, device="cpu"))], lr=1.0), [0.0]
    scheduler = recipe.make_schedule(settings, optimizer, 10, lambda: now[0])
    found = [optimizer.param_groups[0]["lr"]]
    for now[0] in (5.0, 10.0, 55.0, 100.0, 120.0):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([0.01, 0.5, 1.0, 0.5, 0.0, 0.0])


def test_the_average_follows_closely_at_first():
    settings, steps = suited(ema=0.99), [0]
    model = recipe.make_model(settings, DIGITS, CPU)
    average = recipe.make_average(settings, model, lambda: steps[0])
    assert average is not None
    weight, mean = model[0].weight, average.module[0].weight
    average.update_parameters(model)
    expected = mean.numpy().copy()
    for steps[0] in (1, 2, 5000):
        with gf.no_grad():
            weight.add_(1.0)
        average.update_parameters(model)
        decay = min(0.99, (1 + steps[0]) / (10 + steps[0]))
        expected = decay * expected + (1 - decay) * weight.detach().numpy()
        np.testing.assert_allclose(mean.detach().numpy(), expected, rtol=1e-5)
    assert recipe.make_average(suited(), model, lambda: 0) is None


def test_images_go_to_a_device_that_has_room_for_them():
    emulated = get_backend("emulated").device
    assert recipe.placed(suited(), DIGITS, CPU) is DIGITS
    assert recipe.placed(suited(data_on="host"), DIGITS, emulated) is DIGITS
    there = recipe.placed(suited(data_on="device"), DIGITS, emulated)
    assert isinstance(there.train.pixels, gf.Tensor)
    assert there.train.pixels.dtype == np.uint8


def test_the_seed_makes_the_weights():
    first, same, other = [recipe.make_model(suited(seed=seed), DIGITS, CPU) for seed in (1, 1, 2)]
    assert first[0].weight.tolist() == same[0].weight.tolist() != other[0].weight.tolist()
    assert recipe.make_model(suited(dtype="float64"), DIGITS, CPU)[0].weight.dtype == gf.float64


def test_label_smoothing():
    logits, labels = gf.tensor([[2.0, 0.0]], device="cpu"), gf.tensor([0], device="cpu")
    found = recipe.make_loss(suited(label_smoothing=0.2))(logits, labels).item()
    log = np.log(np.exp([2.0, 0.0]) / np.exp([2.0, 0.0]).sum())
    assert found == pytest.approx(-(0.9 * log[0] + 0.1 * log[1]), rel=1e-6)


def test_classes_of_one_image(monkeypatch):
    """Held out of few images, still at least one."""
    few = ImageData("few", Split(DIGITS.train.pixels[:5], DIGITS.train.labels[:5], 16), DIGITS.test, DIGITS.classes)
    monkeypatch.setattr(recipe, "load_data", lambda *arguments: few)
    data, _ = recipe.load(Settings(validation=0.01))
    assert (len(data.train), len(data.test)) == (4, 1)
