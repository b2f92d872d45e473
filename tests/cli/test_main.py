"""The command line, as a person meets it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import typer.main

from gradflow.cli import commands_train, commands_use, errors, names
from gradflow.cli.main import app
from gradflow.train import Settings, load_weights, read_metrics

from .conftest import environment, process

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_a_short_training_from_end_to_end(tmp_path: Path, gradflow):
    done = process("train", "--epochs", "1", "--seed", "7", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"test accuracy \d{1,3}\.\d\d %", lines[-1])
    assert lines[-2].startswith("next      gradflow ")
    assert lines[-5].startswith("trained   1 epoch in ")
    assert sum(line.startswith("epoch 1/1 ") for line in lines) == 1
    folder = tmp_path / "runs" / "digits"
    final = read_metrics(folder / "metrics.jsonl")[-1]
    assert lines[-1] == f"test accuracy {100 * final['test_accuracy']:.2f} %"
    assert load_weights(folder / "weights.safetensors")[1]["settings"]["seed"] == 7

    # The same command again: a folder of its own, and the same weights in it.
    assert gradflow("train", "--epochs", "1", "--seed", "7").code == 0
    weights = [tmp_path / "runs" / name / "weights.safetensors" for name in ("digits", "digits-2")]
    one, two = [load_weights(path)[0] for path in weights]
    assert {k: v.numpy().tobytes() for k, v in one.items()} == {k: v.numpy().tobytes() for k, v in two.items()}


# -- errors ------------------------------------------------------------------------------------------------------------

FAILURES = [
    (["--data", "fashion-mnist", "--data-dir", "nowhere"], "nowhere; install the files with"),
    (["--data", "file"], "file"),
    (["--name", "taken"], "there is a run runs/taken already; choose another name"),
    (["--name", "../up"], "'../up' cannot be the name of a folder"),
    (["--lr", "-1"], "lr must be positive, got -1.0"),
    (["--warmup", "1"], "warmup must be in [0, 1), got 1.0"),
    (["--device", "gpu"], "'gpu' names no device; say 'auto', 'cpu'"),
    (["--runs-dir", "file"], "file is a file, not a folder for runs"),
    (["--config", "nowhere.toml"], "cannot read nowhere.toml"),
    (["--config", "file"], "there is no setting 'sedd'"),
    (["--model", "nowhere.py:build"], "nowhere.py"),
    (["--augmentations", "crop=many"], "'many' is no number"),
]


@pytest.mark.parametrize(("options", "message"), FAILURES)
def test_an_error_is_one_line_and_leaves_nothing(options: list[str], message: str, tmp_path: Path, gradflow):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "file").write_text("sedd = 3\n")
    done = gradflow("train", "--epochs", "1", *options)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["taken"]


def test_asking_for_cuda_where_it_cannot_be_had(no_cupy, gradflow):
    done = gradflow("train", "--device", "cuda")
    assert done.code == 1
    assert "cuda:0 cannot be had" in done.err
    assert "pip install" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_fails_leaves_no_empty_folder(tmp_path: Path, gradflow):
    done = gradflow("train", "--optimizer", "sgd", "--lr", "1e20")
    assert done.code == 1
    assert "try a lower lr" in done.err
    assert done.err.count("\n") == 1
    assert list((tmp_path / "runs").iterdir()) == []


def test_debug_shows_the_traceback(gradflow, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gradflow", "train", "--debug", "--lr", "-1"])
    with pytest.raises(ValueError, match=r"^\[train\] lr must be positive, got -1.0$"):
        app(prog_name="gradflow")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["train", "--epochs", "0"], "'--epochs'"),
        (["train", "--batch-size", "many"], "'--batch-size'"),
        (["train", "--data", "cats"], "'digits', 'mnist', 'fashion-mnist'"),
        (["train", "--model", "resnet"], "resnet9"),
        (["train", "--optimizer", "lbfgs"], "'adam'"),
        (["train", "--schedule", "cosin"], "'cosine'"),
        (["train", "--augmentations", "flip,fold"], "there is no 'fold'"),
        (["train", "--no-augment", "--augmentations", "flip"], "exclude each other"),
        (["train", "--time-limit", "soon"], "no time"),
        (["train", "--time-limit", ""], "no time"),
        (["train", "--quiet", "--json"], "exclude each other"),
        (["train", "--resume", "a", "--name", "b"], "--resume and --name exclude each other"),
        (["train", "--resume", "a", "--config", "b"], "--resume and --config exclude each other"),
        (["train", "--from-previous"], "--from-previous is for --resume"),
        (["train", "--sedd", "3"], "--sedd"),
        (["eval"], "Missing argument"),
        (["predict", "digits"], "Missing argument"),
        (["verify-resume", "--steps", "1"], "'--steps'"),
        (["runs", "--sort", "size"], "'accuracy'"),
        (["runs", "compare"], "Missing argument"),
        (["trian"], "trian"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], message: str, gradflow, tmp_path: Path):
    done = gradflow(*options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_unforeseen_error_names_its_type_and_debug():
    assert errors.describe(KeyError("x")) == "KeyError: 'x' (--debug shows where)"
    assert errors.describe(ValueError("two\n  lines")) == "two lines"
    assert errors.describe(RuntimeError()) == "RuntimeError (--debug shows where)"


def test_ctrl_c_before_the_training_starts(capsys):
    with pytest.raises(SystemExit) as caught, errors.one_line(debug=False):
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


# -- help --------------------------------------------------------------------------------------------------------------


def test_version_and_help(gradflow):
    from gradflow import __version__

    assert gradflow("--version") == (0, f"gradflow {__version__}\n", "")
    done = gradflow("--help")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()] == [
        *("train", "eval", "predict", "models", "verify-resume", "doctor", "bench", "audit", "warmup", "runs", "data")
    ]
    assert "..." not in done.out.partition("Commands:")[2]  # nothing was cut short
    for name in COMMANDS:
        assert gradflow(name, "--help").code == 0
    for words in (("runs", "compare"), ("runs", "best"), ("data", "fetch")):
        assert gradflow(*words, "--help").code == 0


def test_the_help_of_train_is_in_groups_and_knows_the_defaults(gradflow):
    text = gradflow("train", "--help").out
    groups = re.findall(r"^(\w[\w ]+):$", text, re.M)
    assert groups == [
        *("Data", "Model", "Length", "Steps", "Against overfitting", "Machine", "What is kept", "What is shown"),
        "Options",
    ]
    usual = {field.name: field.default for field in fields(Settings)}
    shown = {
        param.name: param.show_default for param in COMMANDS["train"].params if isinstance(param.show_default, str)
    }
    assert shown.pop("normalize") == "normalize" and usual["normalize"] is True
    assert shown.pop("save_every") == f"{usual['save_every']:g}s"
    assert shown == {name: f"{usual[name]:g}" if name in NUMBERS else usual[name] for name in shown}
    assert {"data", "model", "optimizer", *NUMBERS} <= set(shown)
    assert "[default: cosine]" in " ".join(text.split())


NUMBERS = {
    "validation", "eval_every", "accumulate", "momentum", "warmup", "label_smoothing", "seed", "keep",
}  # fmt: skip

EXAMPLES = [
    *(commands_train.TRAIN_EXAMPLES, commands_train.VERIFY_EXAMPLES, commands_use.EVAL_EXAMPLES),
    *(commands_use.PREDICT_EXAMPLES, commands_use.RUNS_EXAMPLES),
]


@pytest.mark.parametrize("line", [line for text in EXAMPLES for line in text.splitlines()[2:]])
def test_the_examples_are_well_formed(line: str):
    program, command, *words = shlex.split(line)
    assert program == "gradflow"
    if command == "runs" and words[0] in COMMANDS["runs"].commands:
        COMMANDS["runs"].commands[words[0]].make_context(words[0], words[1:])
    else:
        COMMANDS[command].make_context(command, words)


def test_help_imports_nothing_heavy():
    script = (
        "import sys; sys.argv = ['gradflow', 'train', '--help']\n"
        "from gradflow.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'rich', 'safetensors', 'scipy', 'pooch', 'PIL', 'filelock', 'gradflow.train', "
        "'gradflow.data', 'gradflow.models', 'gradflow.nn', 'gradflow.cli.train'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


# -- where it is shown -------------------------------------------------------------------------------------------------


def test_names_that_the_output_cannot_show(tmp_path: Path):
    (tmp_path / "runs" / "räume").mkdir(parents=True)
    done = process("runs", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"r\xe4ume" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="closes a file descriptor")
def test_an_output_that_is_closed(tmp_path: Path):
    command = ["sh", "-c", 'exec "$0" -m gradflow.cli runs >&-', sys.executable]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# -- completion --------------------------------------------------------------------------------------------------------


def test_the_names_are_those_of_the_parts():
    from gradflow.data.augment.names import NAMES
    from gradflow.data.catalog import SOURCES
    from gradflow.models import MODELS
    from gradflow.train.settings import DTYPES, LEARNING_RATES, PLACES, SCHEDULES

    assert tuple(SOURCES) == names.DATA
    assert tuple(MODELS) == names.MODELS
    assert tuple(NAMES) == names.AUGMENTATIONS
    assert get_args(names.Optimizer) == tuple(LEARNING_RATES)
    assert (get_args(names.Schedule), get_args(names.Dtype), get_args(names.Place)) == (SCHEDULES, DTYPES, PLACES)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("gradflow ver", "verify-resume"),
        ("gradflow train --data fa", "fashion-mnist"),
        ("gradflow train --data ph", "photos/"),
        ("gradflow train --model resnet1", "resnet18"),
        ("gradflow train --model ./n", "./net.py"),
        ("gradflow train --optimizer ada", "adam adamw adamax adagrad adadelta"),
        ("gradflow train --resume f", "first"),
        ("gradflow train --out elsewhere --resume s", "second"),
        ("gradflow train --out nowhere --resume s", ""),
        ("gradflow eval runs/", "runs/first/"),
        ("gradflow runs compare first f", "first"),
        ("gradflow data fetch ci", "cifar10 cifar100"),
        ("gradflow train --device c", "cpu cuda"),
    ],
)
def test_a_shell_completes(typed: str, found: str, gradflow, tmp_path: Path, monkeypatch):
    for folder in ("runs/first", "elsewhere/second", "photos"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "net.py").touch()
    monkeypatch.setenv("_GRADFLOW_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    done = gradflow()
    assert (done.code, done.out.split()) == (0, found.split())


# -- the other commands ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["doctor", "bench"])
def test_the_code_of_doctor_and_bench_is_theirs(command: str, gradflow, monkeypatch):
    import types

    module = types.ModuleType(f"gradflow.cli.{command}")
    module.run = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"gradflow.cli.{command}", module)
    assert gradflow(command).code == 3


def test_models_and_data_are_listed(gradflow, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("GRADFLOW_DATA", str(tmp_path))
    assert "resnet9" in gradflow("models").out
    assert '"resnet9"' in gradflow("models", "--json").out
    assert '"cifar10"' in gradflow("data", "--json").out
    done = gradflow("data", "fetch", "cats")
    assert (done.code, done.out) == (1, "")
    assert "there is no data set cats" in done.err
