"""What can be chosen about a run: checks, defaults that suit the data, and the TOML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gradflow.data import ImageData, Split, load_digits
from gradflow.train import Settings, load_settings
from gradflow.train.settings import LEARNING_RATES, augmentations, checked

DIGITS = load_digits()


def images(count: int, channels: int, side: int, name: str = "mine") -> ImageData:
    pixels, labels = np.zeros((count, channels, side, side), np.uint8), np.zeros(count, np.int64)
    return ImageData(name, Split(pixels, labels), Split(pixels[:1], labels[:1]), ("zero",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"keep": 0}, "keep must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ({"clip_norm": float("nan")}, "clip_norm must be at least 0, got nan"),
        ({"weight_decay": float("inf")}, "weight_decay must be at least 0, got inf"),
        ({"check_every": 0}, "check_every must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": float("nan")}, "lr must be positive, got nan"),
        ({"time_limit": float("inf")}, "time_limit must be positive, got inf"),
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\), got 1.0"),
        ({"ema": -0.1}, r"ema must be in \[0, 1\), got -0.1"),
        ({"validation": 1}, r"validation must be in \[0, 1\), got 1"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of adam, .*sgd.*, got 'lbfgs'"),
        ({"schedule": "cosin"}, "schedule must be one of cosine, linear, step, constant, got 'cosin'"),
        ({"dtype": "int8"}, "dtype must be one of float32, .*, got 'int8'"),
        ({"data_on": "moon"}, "data_on must be one of auto, host, device, got 'moon'"),
    ],
)
def test_settings_are_checked(change: dict, message: str):
    with pytest.raises(ValueError, match=rf"\[train\] {message.replace(', got', '(, and finite)?, got')}"):
        Settings(**change)


def test_what_is_left_open_suits_the_data():
    found = Settings().suited(DIGITS)
    assert (found.epochs, found.batch_size, found.lr, found.augment) == (30, 64, 5e-3, ("shift=1",))
    large = images(10_000, 1, 4)
    found = Settings(optimizer="sgd").suited(large)
    assert (found.epochs, found.batch_size, found.lr, found.augment) == (5, 128, 0.1, ())
    assert found.weight_decay == 5e-4
    assert Settings(time_limit=60).suited(large).epochs is None
    asked = Settings(epochs=1, batch_size=2, lr=0.5, augment=(), weight_decay=0.0, optimizer="sgd")
    assert asked.suited(DIGITS) == asked


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (images(1, 1, 8), ("shift=1",)),
        (images(1, 1, 28), ("crop=3",)),
        (images(1, 1, 28, "fashion-mnist"), ("flip", "crop=3", "cutout=7")),
        (images(1, 3, 32), ("flip", "crop=4", "cutout=8")),
    ],
)
def test_augmentations_suit_the_images(data: ImageData, found: tuple[str, ...]):
    assert augmentations(data) == found


def test_a_file_gives_the_same_settings(tmp_path: Path):
    odd = Settings(
        data='a "quoted"\\path/ünï', augment=("flip", "crop=4"), lr=0.1 + 0.2, epochs=None, time_limit=60.0, seed=2**40
    )
    for settings in (Settings(), odd, odd.suited(DIGITS)):
        settings.save(tmp_path / "config.toml")
        assert Settings(**load_settings(tmp_path / "config.toml")) == settings


def test_every_setting_can_be_read_back():
    values = {
        "str": "x", "str | None": "x", "int": 3, "int | None": 3, "float": 0.5, "float | None": 0.5, "bool": True,
        "tuple[str, ...] | None": ["a", "b"],
    }  # fmt: skip
    given = {field.name: values[str(field.type)] for field in dataclasses.fields(Settings)}
    assert set(checked(given, "here")) == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3\nlearning_rate = 1\n", "there is no setting 'learning_rate'; there are data, "),
        ("epochs = 3.5", "epochs must be an integer, got 3.5"),
        ("epochs = true", "epochs must be an integer, got True"),
        ('lr = "fast"', "lr must be a number, got 'fast'"),
        ("augment = 'flip'", "augment must be a list of strings, got 'flip'"),
        ("normalize = 1", "normalize must be true or false, got 1"),
        ("epochs = ", "is not TOML"),
        ("\x00", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, message: str):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_settings(path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ValueError, match=r"\[config\] cannot read .*nowhere.toml: No such file"):
        load_settings(tmp_path / "nowhere.toml")


def test_a_whole_number_will_do_for_a_float(tmp_path: Path):
    (tmp_path / "a.toml").write_text("lr = 1\nsave_every = 60\n")
    found = load_settings(tmp_path / "a.toml")
    assert found == {"lr": 1.0, "save_every": 60.0}
    assert all(isinstance(value, float) for value in found.values())


def test_each_optimiser_has_a_rate():
    for name in LEARNING_RATES:
        assert Settings(optimizer=name).suited(DIGITS).lr == LEARNING_RATES[name]
