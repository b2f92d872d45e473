"""`gradflow predict`: images in, classes out; what cannot be read is said and passed over."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gradflow.cli.predict import read


@pytest.fixture
def images(trained: Path) -> np.ndarray:
    """The test images of the run `trained`, uint8 (20, 8, 8), in its folder as .npy and .png too."""
    folder = trained.parents[1]
    pixels = np.load(folder / "tiny.npz")["x_test"]
    np.save(folder / "all.npy", pixels)
    np.save(folder / "one.npy", pixels[0].astype(np.float32) / 255)
    return pixels


def test_images_are_recognised(gradflow, trained: Path, images: np.ndarray):
    pillow = pytest.importorskip("PIL.Image")
    folder = trained.parents[1]
    pillow.fromarray(images[0]).save(folder / "grey.png")
    pillow.fromarray(images[0]).resize((80, 80), 0).convert("RGB").save(folder / "large.png")
    pillow.fromarray(255 - images[0]).convert("RGB").save(folder / "inverted.png")
    accuracy = json.loads(gradflow("eval", "tiny", "--json").out)["accuracy"]

    done = gradflow("predict", "tiny", "all.npy", "one.npy", "grey.png", "large.png", "--json")
    assert (done.code, done.err) == (0, "")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [a["image"] for a in answers] == [*[f"all.npy[{i}]" for i in range(20)], "one.npy", "grey.png", "large.png"]
    right = [a["classes"][0]["class"] == str(i % 3) for i, a in enumerate(answers[:20])]
    assert sum(right) / 20 == accuracy  # as `eval` found
    for a in answers:
        assert sum([c["probability"] for c in a["classes"]]) == pytest.approx(1, abs=1e-5)
    first = [c["probability"] for c in answers[0]["classes"]]
    for a, error in zip(answers[20:], (1e-5, 1e-5, 0.01), strict=True):  # the same image; made smaller again, nearly so
        assert [c["probability"] for c in a["classes"]] == pytest.approx(first, abs=error)

    done = gradflow("predict", "tiny", "inverted.png", "--invert", "--top", "1")
    best = answers[0]["classes"][0]
    assert done.out == f"inverted.png: {best['class']} {100 * best['probability']:.2f} %\n"


def test_one_that_cannot_be_read_does_not_stop_the_others(gradflow, trained: Path, images: np.ndarray):
    pytest.importorskip("PIL.Image")
    folder = trained.parents[1]
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    done = gradflow("predict", "tiny", "missing.png", "bad.png", "missing.npy", "one.npy")
    assert done.code == 1
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["one.npy"]
    errors = done.err.splitlines()
    assert len(errors) == 3
    assert all(line.startswith("error: ") for line in errors)
    assert [name in line for name, line in zip(("missing.png", "bad.png", "missing.npy"), errors, strict=True)] == [
        True
    ] * 3
    done = gradflow("predict", "tiny", "bad.png", "--json")
    assert json.loads(done.out)["image"] == "bad.png"
    assert "bad.png" in json.loads(done.out)["error"]


@pytest.mark.parametrize(
    ("array", "shape", "found"),
    [
        (np.full((8, 8), 51, np.uint8), (1, 8, 8), (1, 1, 8, 8)),
        (np.full((1, 8, 8), 0.2), (1, 8, 8), (1, 1, 8, 8)),
        (np.full((5, 8, 8), 0.2, np.float16), (1, 8, 8), (5, 1, 8, 8)),
        (np.full((5, 1, 8, 8), 51), (1, 8, 8), (5, 1, 8, 8)),
        (np.full((3, 4, 4), 51), (3, 4, 4), (1, 3, 4, 4)),
        (np.full((2, 3, 4, 4), 51), (3, 4, 4), (2, 3, 4, 4)),
        (np.full((4, 4), 51), (3, 4, 4), "int64 of shape (4, 4), the model takes images of shape (3, 4, 4)"),
        (np.full((8, 9), 51), (1, 8, 8), "the model takes images of shape (1, 8, 8)"),
        (np.full((8, 8), 1j), (1, 8, 8), "complex128"),
        (np.full((8, 8), 256), (1, 8, 8), "values beyond 0 to 255"),
        (np.full((8, 8), -0.1), (1, 8, 8), "values beyond 0 to 1"),
        (np.full((8, 8), np.nan), (1, 8, 8), "values beyond 0 to 1"),
        (np.full((0, 1, 8, 8), 0.5), (1, 8, 8), "holds no images"),
        (np.array([None]), (1, 8, 8), "is no whole .npy file of numbers"),
    ],
)
def test_arrays(array: np.ndarray, shape: tuple[int, int, int], found: tuple[int, ...] | str, tmp_path: Path):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    if isinstance(found, str):
        with pytest.raises(ValueError) as caught:
            read(tmp_path / "a.npy", shape)
        assert found in str(caught.value)
    else:
        result = read(tmp_path / "a.npy", shape)
        assert (result.shape, result.dtype) == (found, np.float32)
        np.testing.assert_allclose(result, 0.2, rtol=1e-3)


def test_a_missing_pillow_names_the_cure(gradflow, trained: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    done = gradflow("predict", "tiny", "a.png")
    assert (done.code, done.out) == (1, "")
    assert 'pip install "gradflow[images]"' in done.err
    assert done.err.count("\n") == 1
