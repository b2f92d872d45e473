"""Models by name and from files: sizes, widths, the images each takes, and what a person reads where one cannot be."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.models import MODELS, ModelError, build_model, model_digest
from gradflow.models.build import REFERENCE

GOOD = """
import gradflow as gf
from neighbour import HIDDEN

class Net(gf.nn.Module):
    def __init__(self, num_classes, input_shape, width=HIDDEN):
        super().__init__()
        c, h, w = input_shape
        self.width, self.hidden = width, gf.nn.Linear(c * h * w, width)
        self.drop, self.last = gf.nn.Dropout(0.5), gf.nn.Linear(width, num_classes)

    def forward(self, x):
        return self.last(self.drop(gf.relu(self.hidden(x.flatten(1)))))

def build(num_classes, in_channels, depth=1):
    pool = gf.nn.AdaptiveAvgPool2d(1)
    return gf.nn.Sequential(gf.nn.Conv2d(in_channels, 4, 3), pool, gf.nn.Flatten(), gf.nn.Linear(4, num_classes))

def told(num_classes, input_shape, *, width):
    net = Net(num_classes, input_shape, width or 3)
    net.told = width
    return net

def loose(**options):
    assert options == {}
    return gf.nn.Sequential(gf.nn.Flatten(), gf.nn.Linear(48, 3))

def late(num_classes):
    from neighbour import HIDDEN
    return loose().double()

def partly():
    net = loose()
    net[1].eval()
    return net

class Drawing(gf.nn.Module):
    def forward(self, x):
        return gf.rand(2, 3)

class Counting(gf.nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append((x.shape, x.sum().item(), self.training, gf.is_grad_enabled()))
        return x.flatten(1)[:, :3]
"""

SPOILED = """
import gradflow as gf
from gradflow.nn import Linear

def needs(num_classes, depth): pass
def positional(num_classes, /): pass
def number(): return 5
def fails(num_classes):
    return {}['no such key']
def wrong(num_classes): return gf.nn.Sequential(gf.nn.Flatten(), Linear(48, 4))
def several(): return Pair()
def unfit(): return Linear(7, 3)
class Pair(gf.nn.Module):
    def forward(self, x): return x, x
_hidden = 3
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with files of models, good and bad."""
    texts = {
        "good": GOOD,
        "spoiled": SPOILED,
        "neighbour": "HIDDEN = 5\n",
        "syntax": "x = 1\ndef f(:\n    pass\n",
        "helped": "import unsound\n",
        "unsound": "\n\n)\n",
        "raises": "import gradflow\n\nraise RuntimeError('no luck')\n",
        "missing": "import gradflow\nimport no_such_module_anywhere\n",
        "parses": "import ast\nast.literal_eval('1 +')\n",
        "leaves": "import sys\nsys.exit(3)\n",
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "nulls.py").write_bytes(b"x = 1\0\n")
    return tmp_path


@pytest.fixture(autouse=True)
def as_before() -> Any:
    """Nothing of a test's modules stays."""
    known, path = set(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - known:
        if name in ("neighbour", "unsound") or name.startswith("_gradflow_model_"):
            del sys.modules[name]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights without random numbers, which take long."""
    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(gf.Tensor, name, lambda self, *arguments, **options: self)


def parameters(model: gf.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# -- by name -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", MODELS)
def test_the_table_tells_how_large_a_model_is(name: str):
    assert MODELS[name].name == name
    assert parameters(build_model(name, *REFERENCE)) == MODELS[name].parameters


NARROW = {"mlp": 4, "cnn": 2, "resnet9": 2, "resnet18": 2, "resnet34": 2, "mobilenet_v2": 8, "vit_tiny": 6}


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_images_and_no_smaller_ones(name: str):
    width, side = NARROW.get(name, 2 if name.startswith("vgg") else None), MODELS[name].smallest
    assert (width is None) == (MODELS[name].width is None)
    model = build_model(name, 7, (2, side, side), width)
    assert model(gf.ones(3, 2, side, side)).shape == (3, 7)
    if side > 1:
        with pytest.raises(
            ModelError, match=rf"\[models\] {name} takes images of {side}x{side} pixels or more, got 9x1"
        ):
            build_model(name, 7, (2, 9, 1), width)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name, shape, width",
    [
        ("mlp", (3, 5, 4), 1),
        ("lenet", (3, 32, 32), None),
        ("cnn", (3, 33, 20), 3),
        ("resnet9", (1, 28, 28), 16),
        ("resnet18", (3, 32, 32), 4),
        ("resnet18", (3, 64, 80), 4),
        ("vgg11_bn", (3, 28, 30), 2),
        ("vgg11", (3, 64, 64), 1),
        ("squeezenet1_1", (1, 28, 28), None),
        ("squeezenet1_1", (3, 64, 64), None),
        ("mobilenet_v2", (1, 28, 28), 8),
        ("vit_tiny", (1, 28, 28), 64),
        ("vit_tiny", (1, 30, 30), 128),
        ("vit_tiny", (3, 224, 224), 16),
    ],
)
def test_images_of_many_sizes(name: str, shape: tuple[int, int, int], width: int | None):
    assert build_model(name, 5, shape, width).eval()(gf.zeros(1, *shape)).shape == (1, 5)


@pytest.mark.parametrize(
    "name, width, shapes",
    [
        ("mlp", 10, [(10, 48), (5, 10), (3, 5)]),
        ("cnn", 4, [(4, 3, 3, 3), (8, 4, 3, 3), (16, 8, 3, 3), (3, 16)]),
        ("resnet9", 4, [(4, 3, 3, 3), (8, 4, 3, 3), *[(8, 8, 3, 3)] * 2, (16, 8, 3, 3), (32, 16, 3, 3)]),
        ("resnet18", 4, [(4, 3, 3, 3), *[(4, 4, 3, 3)] * 4, (8, 4, 3, 3), (8, 8, 3, 3), (8, 4, 1, 1)]),
        ("vgg11", 4, [(4, 3, 3, 3), (8, 4, 3, 3), (16, 8, 3, 3), (16, 16, 3, 3), (32, 16, 3, 3)]),
        ("mobilenet_v2", 16, [(16, 3, 3, 3), (16, 1, 3, 3), (8, 16, 1, 1)]),
    ],
)
def test_width_is_the_first_stages_and_the_others_follow(name: str, width: int, shapes: list[tuple[int, ...]]):
    side = 4 if name in ("mlp", "cnn") else 8
    model = build_model(name, 3, (3, side, side), width)
    found = [tuple(p.shape) for p in model.parameters() if p.ndim > 1]
    assert found[: len(shapes)] == shapes


@pytest.mark.usefixtures("undrawn")
def test_small_images_keep_their_size_in_the_first_layers():
    x, large = gf.zeros(1, 1, 32, 32), gf.zeros(1, 1, 64, 64)
    for name, layers, sides in (("mobilenet_v2", 1, (32, 32)), ("squeezenet1_1", 3, (32, 15))):
        small_net, large_net = [build_model(name, 3, (1, side, side)) for side in (32, 64)]
        assert [net.features[:layers](v).shape[-1] for net, v in ((small_net, x), (large_net, large))] == list(sides)
    assert build_model("vgg11", 3, (1, 32, 32), 1).features(x).shape[-2:] == (1, 1)


def test_the_seed_decides_the_weights():
    once, again, other = [gf.manual_seed(s) and build_model("cnn", 3, (1, 8, 8), 2).state_dict() for s in (1, 1, 2)]
    assert all([np.array_equal(once[k].numpy(), again[k].numpy()) for k in once])
    assert not np.array_equal(once["0.weight"].numpy(), other["0.weight"].numpy())


@pytest.mark.parametrize(
    "spec, options, message",
    [
        ("resnet10", {}, r"there is no model 'resnet10'; did you mean resnet\d+ or"),
        ("vit", {}, r"did you mean vit_tiny\? A model of your own is path/to/file.py:function"),
        ("qqq", {}, r"there is no model 'qqq'; there are mlp, lenet, cnn, "),
        ("lenet", {"width": 6}, "lenet has no width that can be chosen; leave it out"),
        ("lenet", {"input_shape": (1, 30, 30)}, "lenet takes images of 28x28 or 32x32 pixels, got 30x30; cnn takes"),
        ("lenet", {"input_shape": (1, 28, 32)}, "lenet takes images of 28x28 or 32x32 pixels, got 28x32"),
        ("cnn", {"width": 0}, "width must be at least 1, got 0"),
        ("cnn", {"num_classes": 0}, r"expected a positive num_classes .* got 0 and \(1, 28, 28\)"),
        ("cnn", {"input_shape": (28, 28)}, r"input_shape \(channels, height, width\), got 10 and \(28, 28\)"),
        ("vit_tiny", {"input_shape": (1, 33, 33)}, "7 to 16 square patches a side, .*; images of 33x33 cannot"),
        ("vit_tiny", {"input_shape": (1, 32, 28)}, "square patches a side, .*; images of 32x28 cannot be cut so"),
    ],
)  # fmt: skip
def test_what_cannot_be_built(spec: str, options: dict[str, Any], message: str):
    with pytest.raises(ModelError, match=rf"^\[models\] .*{message}"):
        build_model(spec, **{"num_classes": 10, "input_shape": (1, 28, 28), **options})


def test_a_width_that_a_transformer_cannot_have():
    with pytest.raises(ValueError, match=r"\[vit_tiny\] width must be a multiple of 64, or at most 64, got 129"):
        build_model("vit_tiny", 10, (1, 28, 28), 129)


# -- from a file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function, width, found",
    [("Net", None, 5), ("Net", 7, 7), ("told", None, 3), ("told", 8, 8), ("build", None, None), ("loose", None, None)],
)
def test_a_file_gets_what_it_names(files: Path, function: str, width: int | None, found: int | None):
    model = build_model(f"{files / 'good.py'}:{function}", 3, (3, 4, 4), width)
    assert getattr(model, "width", None) == found
    assert model(gf.zeros(6, 3, 4, 4)).shape == (6, 3)
    if function == "told":
        assert model.told == width


def test_a_file_by_a_relative_path(files: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(files)
    assert build_model("good.py:Net", 3, (3, 4, 4)).width == 5
    monkeypatch.setenv("HOME", str(files))
    assert model_digest("~/good.py:Net") == model_digest("good.py:Net")


def test_a_function_may_import_neighbours_when_it_is_called(files: Path):
    sys.modules.pop("neighbour", None)
    model = build_model(f"{files / 'good.py'}:late", 3, (3, 4, 4))
    assert next(iter(model.parameters())).dtype == gf.float64  # and its images were of that dtype


def test_a_model_is_tried_without_a_trace(files: Path):
    gf.manual_seed(3)
    before = gf.get_rng_state().tolist()
    build_model(f"{files / 'good.py'}:Drawing", 3, (3, 4, 4))
    with pytest.raises(ModelError):
        build_model(f"{files / 'good.py'}:Drawing", 4, (3, 4, 4))
    assert gf.get_rng_state().tolist() == before
    model = build_model(f"{files / 'good.py'}:partly", 3, (3, 4, 4))
    assert [part.training for part in model.modules()] == [True, True, False]
    model = build_model(f"{files / 'good.py'}:Counting", 3, (3, 4, 4))
    assert model.seen == [((2, 3, 4, 4), 0.0, False, False)]
    assert model.training


def test_every_build_runs_the_file_anew_as_a_module_of_its_own(files: Path):
    spec = f"{files / 'good.py'}:Net"
    first = type(build_model(spec, 3, (3, 4, 4)))
    # As many bytes, in the same second: what goes by the file's size and time does not see the change.
    (files / "good.py").write_text(GOOD.replace("self.width, self", "self.hidth, self"))
    second = type(build_model(spec, 3, (3, 4, 4)))
    assert first.__module__ != second.__module__
    assert sys.modules[first.__module__].Net is first
    assert sys.modules[second.__module__].Net is second
    assert not hasattr(build_model(spec, 3, (3, 4, 4)), "width")
    assert not list(files.glob("__pycache__/good*"))


@pytest.mark.parametrize(
    "spec, message",
    [
        ("syntax.py:f", "{}syntax.py, line 2: invalid syntax: def f(:"),
        ("helped.py:f", "{}unsound.py, line 3: unmatched ')': )"),
        ("raises.py:f", "{}raises.py cannot be imported: RuntimeError: no luck ({}raises.py, line 3)"),
        ("missing.py:f", "{}missing.py cannot be imported: ModuleNotFoundError: No module named "
                         "'no_such_module_anywhere' ({}missing.py, line 2)"),
        ("parses.py:f", "{}parses.py cannot be imported: SyntaxError: invalid syntax (<unknown>, line 1) ({}parses.py, "
                        "line 2)"),
        ("leaves.py:f", "{}leaves.py cannot be imported: SystemExit: 3 ({}leaves.py, line 2)"),
        ("empty.py:f", "{}empty.py has no function 'f'; it defines none"),
        ("nowhere.py:f", "there is no file {}nowhere.py"),
        ("nowhere.py", "there is no file {}nowhere.py"),
        ("good.py", "{}good.py names no function; say which one makes the model: {}good.py:function"),
        ("good.txt:build", "'{}good.txt:build' names no Python file; a model in a file is path/to/file.py:function"),
        ("spoiled.py:nope", "{}spoiled.py has no function 'nope'; it has needs, positional, number, fails, wrong, "
                            "several, unfit, Pair"),
        ("spoiled.py:_hidden", "{}spoiled.py has no function '_hidden'; it has needs"),
        ("spoiled.py:needs", "{}spoiled.py:needs needs an argument 'depth', but is called by keyword with those of "
                             "num_classes, input_shape, in_channels, width that it names; give 'depth' a default"),
        ("spoiled.py:positional", "{}spoiled.py:positional needs an argument 'num_classes', but is called by keyword"),
        ("spoiled.py:number", "{}spoiled.py:number returned builtins.int, not a gradflow.nn.Module"),
        ("spoiled.py:fails", "{}spoiled.py:fails failed: KeyError: 'no such key' ({}spoiled.py, line 9)"),
        ("spoiled.py:wrong", "the model of {}spoiled.py:wrong gives shape (2, 4) for images of shape (2, 3, 4, 4); "
                             "with 3 classes it must give logits of shape (2, 3)"),
        ("spoiled.py:several", "the model of {}spoiled.py:several gives a tuple for images of shape (2, 3, 4, 4)"),
        ("spoiled.py:unfit", "the model of {}spoiled.py:unfit fails on images of shape (2, 3, 4, 4): ValueError: ["),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(files: Path, spec: str, message: str):
    modules = set(sys.modules)
    with pytest.raises(ModelError, match=re.escape("[models] " + message.replace("{}", f"{files}/"))):
        build_model(str(files / spec), 3, (3, 4, 4))
    left = {m for m in set(sys.modules) - modules if m.startswith("_gradflow_model_")}
    assert len(left) == (spec.startswith("spoiled") or spec == "empty.py:f")  # those that could be imported
    assert "unsound" not in sys.modules


def test_a_file_with_null_bytes(files: Path):
    with pytest.raises(ModelError, match=r"nulls.py cannot be imported: \w+Error: .* null bytes"):
        build_model(f"{files / 'nulls.py'}:f", 3, (3, 4, 4))


def test_a_file_that_names_no_width(files: Path):
    with pytest.raises(ModelError, match=r"good.py:build has no argument 'width'; leave the width out"):
        build_model(f"{files / 'good.py'}:build", 3, (3, 4, 4), 8)


def test_the_digest_is_that_of_the_text(files: Path):
    path = files / "good.py"
    assert model_digest("cnn") is None
    assert model_digest(f"{path}:Net") == hashlib.sha256(GOOD.encode()).hexdigest()
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert model_digest(f"{path}:Net") == hashlib.sha256(GOOD.encode()).hexdigest()
    path.write_text(GOOD + "#\n")
    assert model_digest(f"{path}:Net") != hashlib.sha256(GOOD.encode()).hexdigest()
    with pytest.raises(ModelError, match=r"there is no file nowhere.py \(looked for in /"):
        model_digest("nowhere.py:Net")
    (files / "folder.py").mkdir()
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        model_digest(f"{files / 'folder.py'}:Net")
