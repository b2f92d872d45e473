"""The command line, as a person meets it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gradflow.cli import errors
from gradflow.train import load_weights, read_metrics

COMMAND = [sys.executable, "-m", "gradflow.cli"]
LAST_LINE = re.compile(r"test accuracy \d{1,3}\.\d\d %")


def gradflow(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `cwd`, with this checkout's package."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=_environment(**environment), capture_output=True, text=True, timeout=120
    )


def _environment(**more: str) -> dict[str, str]:
    import gradflow as gf

    paths = [str(Path(gf.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "GRADFLOW_DEVICE": "cpu", **more}


def test_a_short_training_from_end_to_end(tmp_path: Path):
    done = gradflow("train", "--epochs", "2", "--seed", "7", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert LAST_LINE.fullmatch(lines[-1])
    assert lines[-2].startswith("next      gradflow train ")
    assert sum(line.startswith("epoch ") for line in lines) == 2
    folder = tmp_path / "runs" / "digits"
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "metrics.jsonl"}
    final = read_metrics(folder / "metrics.jsonl")[-1]
    assert lines[-1] == f"test accuracy {100 * final['test_accuracy']:.2f} %"
    assert load_weights(folder / "weights.safetensors")[1]["seed"] == 7

    # The same command again: a folder of its own, and the same weights in it.
    assert gradflow("train", "--epochs", "2", "--seed", "7", cwd=tmp_path).returncode == 0
    weights = [tmp_path / "runs" / name / "weights.safetensors" for name in ("digits", "digits-2")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_saves_what_there_is(tmp_path: Path):
    process = subprocess.Popen(
        [*COMMAND, "train", "--epochs", "500"],
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert re.search(r"stopped by Ctrl-C after \d+ of 500 epochs; what was learned so far is saved", out)
    assert "test accuracy" not in out
    folder = tmp_path / "runs" / "digits"
    assert load_weights(folder / "weights.safetensors")[1]["epochs"] == 500
    assert read_metrics(folder / "metrics.jsonl")[-1]["interrupted"] is True


def in_process(arguments: list[str], monkeypatch, capsys, cwd: Path) -> tuple[int, str, str]:
    """Run a command in this process, which saves an interpreter's start."""
    from gradflow.cli import main

    monkeypatch.chdir(cwd)
    monkeypatch.setenv("GRADFLOW_DEVICE", "cpu")
    monkeypatch.setattr(sys, "argv", ["gradflow", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    code = caught.value.code
    return (0 if code is None else int(code)), *capsys.readouterr()


FAILURES = [
    (["--data", "fashion-mnist", "--data-dir", "nowhere"], "there is no folder nowhere; install the files with"),
    (["--data", "fashion-mnist", "--data-dir", "."], "train-images-idx3-ubyte.gz, train-labels"),
    (["--name", "taken"], "there is a run runs/taken already; choose another name"),
    (["--name", "../up"], "'../up' cannot be the name of a folder"),
    (["--lr", "-1"], "lr must be positive, got -1.0"),
    (["--device", "gpu"], "'gpu' names no device; say 'auto', 'cpu'"),
    (["--runs-dir", "file"], "file is a file, not a folder for runs"),
]


@pytest.mark.parametrize(("options", "message"), FAILURES)
def test_an_error_is_one_line(options: list[str], message: str, tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    code, out, err = in_process(["train", "--epochs", "1", *options], monkeypatch, capsys, tmp_path)
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["taken"]


def test_asking_for_cuda_where_it_cannot_be_had(no_cupy, tmp_path: Path, monkeypatch, capsys):
    code, _, err = in_process(["train", "--device", "cuda"], monkeypatch, capsys, tmp_path)
    assert code == 1
    assert "cuda:0 cannot be had" in err
    assert "pip install" in err
    assert err.count("\n") == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_fails_leaves_no_empty_folder(tmp_path: Path, monkeypatch, capsys):
    options = ["train", "--optimizer", "sgd", "--lr", "1e20"]
    code, _, err = in_process(options, monkeypatch, capsys, tmp_path)
    assert code == 1
    assert "try a smaller lr" in err
    assert list((tmp_path / "runs").iterdir()) == []


def test_debug_shows_the_traceback(tmp_path: Path):
    done = gradflow("train", "--debug", "--lr", "-1", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "ValueError: [train] lr must be positive, got -1.0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["train", "--epochs", "0"], "'--epochs'"),
        (["train", "--batch-size", "many"], "'--batch-size'"),
        (["train", "--data", "cats"], "'digits', 'fashion-mnist'"),
        (["train", "--sedd", "3"], "--sedd"),
        (["trian"], "trian"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], message: str, tmp_path: Path, monkeypatch, capsys):
    code, out, err = in_process(options, monkeypatch, capsys, tmp_path)
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_version_and_help(tmp_path: Path, monkeypatch, capsys):
    from gradflow import __version__

    assert in_process(["--version"], monkeypatch, capsys, tmp_path) == (0, f"gradflow {__version__}\n", "")
    code, out, _ = in_process(["--help"], monkeypatch, capsys, tmp_path)
    assert code == 0
    assert all(command in out for command in ("train", "doctor", "bench"))
    code, out, _ = in_process(["train", "--help"], monkeypatch, capsys, tmp_path)
    names = (
        "data",
        "data-dir",
        "epochs",
        "batch-size",
        "lr",
        "optimizer",
        "device",
        "seed",
        "name",
        "runs-dir",
        "debug",
    )
    assert code == 0
    assert all(f"--{name}" in out for name in names)


def test_help_imports_neither_rich_nor_the_trainer(tmp_path: Path):
    script = (
        "import sys; sys.argv = ['gradflow', 'train', '--help']\n"
        "from gradflow.cli.main import main\n"
        "try: main()\n"
        "finally: print({'rich', 'safetensors', 'gradflow.train', 'gradflow.cli.train'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("command", ["doctor", "bench"])
def test_the_code_of_doctor_and_bench_is_theirs(command: str, tmp_path: Path, monkeypatch, capsys):
    import types

    module = types.ModuleType(f"gradflow.cli.{command}")
    module.run = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"gradflow.cli.{command}", module)
    assert in_process([command], monkeypatch, capsys, tmp_path)[0] == 3


def test_an_unforeseen_error_names_its_type_and_debug():
    assert errors.describe(KeyError("x")) == "KeyError: 'x' (--debug shows where)"
    assert errors.describe(ValueError("two\n  lines")) == "two lines"
    assert errors.describe(RuntimeError()) == "RuntimeError (--debug shows where)"


def test_ctrl_c_before_the_training_starts(capsys):
    with pytest.raises(SystemExit) as caught, errors.one_line(debug=False):
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_second_ctrl_c_does_not_wait():
    from gradflow.cli.interrupt import StopRequest

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopRequest() as stop:
            assert not stop.asked()
            signal.raise_signal(signal.SIGINT)
            assert stop.asked()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_that_is_ignored_stays_ignored():
    from gradflow.cli.interrupt import StopRequest

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
