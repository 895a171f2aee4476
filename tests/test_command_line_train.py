"""`autograd train`: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nn import MLP, Sequential, Standardize, load
from nn.command import main

ROOT = Path(__file__).resolve().parent.parent
QUICK = ("--epochs", "2", "--layers", "3")
HOUSES = "size,garden,price\n" + "".join(
    f"{size},{'yes' if size % 3 else 'no'},{1000 * size + 5000 * (size % 3 > 0)}\n"
    for size in range(40, 80)
)


def run(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    status = main(list(map(str, words)))
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return status, printed.out, printed.err


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    path = tmp_path / "houses.csv"
    path.write_text(HOUSES, encoding="utf-8")
    return path


# --- what is learned ------------------------------------------------------------------------------


def test_moons_are_told_apart(capsys: Any) -> None:
    status, out, err = run(capsys, "moons", "--layers", "8")
    assert (status, err) == (0, "")
    assert "moons: 100 examples, 80 of them to train on" in out
    assert "target: moon, 2 classes\nloss: binary_cross_entropy" in out
    share = re.search(r"^validation accuracy: (.*)%$", out, re.MULTILINE)
    assert share is not None
    assert float(share[1]) >= 95.0
    assert out.endswith("\n\nnothing is wrong with this run\n")


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        ("iris", ("--layers", ""), "loss: cross_entropy"),
        ("iris", ("--loss", "hinge"), "loss: hinge"),
        ("moons", ("--loss", "max_margin"), "loss: max_margin"),
        ("moons", ("--loss", "cross_entropy"), "MLP(2, [3, 2])"),
        ("digits", ("--batch-size", "64", "--epochs", "1"), "MLP(64, [3, 10])"),
        ("moons", ("--optimizer", "sgd", "--activation", "tanh"), "Layer(2, 3, 'tanh')"),
    ],
)
def test_samples_losses_and_optimisers_go_together(
    capsys: Any, data: str, options: tuple[str, ...], words: str
) -> None:
    status, out, err = run(capsys, data, *QUICK, *options)
    assert (status, err) == (0, "")
    assert words in out
    assert "validation accuracy: " in out


def test_a_table_of_ones_own_is_learned_in_its_own_unit(capsys: Any, houses: Path) -> None:
    status, out, err = run(capsys, houses, "--layers", "4", "--epochs", "150")
    assert (status, err) == (0, "")
    assert re.search(r"^target: price = [\d.]+ \+ [\d.]+ · output$", out, re.MULTILINE)
    error = re.search(r"^typical error: (.*), in the unit of price$", out, re.MULTILINE)
    assert error is not None
    assert float(error[1]) < 3000.0
    assert "accuracy" not in out
    assert "Standardize(3)" in out  # size, garden=no, garden=yes
    _, out, _ = run(capsys, houses, *QUICK, "--target", "garden")
    assert "target: garden, 2 classes" in out


def test_the_same_seed_prints_the_same_figures_and_until_ends_the_run(capsys: Any) -> None:
    def figures(*options: str) -> str:
        return re.sub(r"in [\d.e-]+ s", "", run(capsys, "moons", *QUICK, *options)[1])

    assert figures("--seed", "1") == figures("--seed", "1") != figures("--seed", "2")
    assert "stopped where `until` was reached" in figures("--until", "100")


# --- files ----------------------------------------------------------------------------------------


def test_parameters_are_saved_with_the_inputs_scale_and_load_again(
    capsys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    status, out, _ = run(capsys, "moons", *QUICK, "--save", path)
    assert status == 0
    assert out.endswith(f"save: {path}\n")
    assert json.loads(path.read_text())["standardize1.mean"] != [0.0, 0.0]
    model = Sequential(Standardize(2), MLP(2, [3, 1]))
    assert load(model, path)([0.0, 0.0]).data != 0.0


def test_the_graph_of_one_example_is_drawn_with_layers_and_gradients(
    capsys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "g.dot"
    status, _, err = run(capsys, "moons", *QUICK, "--graph", path)
    assert (status, err) == (0, "")
    assert "layer1" in path.read_text()


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_loss_curve_and_the_boundary_are_plotted(
    capsys: Any, tmp_path: Path, suffix: str
) -> None:
    curve, boundary = tmp_path / f"c{suffix}", tmp_path / f"b{suffix}"
    words = ("--loss-curve", curve, "--boundary", boundary)
    status, _, err = run(capsys, "moons", *QUICK, *words)
    assert (status, err) == (0, "")
    head = {".svg": b"<?xml", ".png": b"\x89PNG"}[suffix]
    assert curve.read_bytes().startswith(head)
    assert boundary.read_bytes().startswith(head)
    assert sorted(tmp_path.iterdir()) == [boundary, curve]


# --- errors ---------------------------------------------------------------------------------------

USAGE: list[tuple[tuple[str, ...], str]] = [
    (("nope.csv",), "'nope.csv' can't be read (No such file or directory): name a CSV file, or"),
    (("moons", "--target", "a"), "--target is for a FILE.csv: moons has its own"),
    (("moons", "--loss", "mse"), "mse doesn't suit the target 'moon', 2 classes"),
    (("moons", "--validation", "0.001"), "leaves none on one side"),
    (("moons", "--save", "m.txt"), "--save: 'm.txt' must end in .json or .safetensors"),
    (("moons", "--graph", "no/m.svg"), "--graph: there is no folder 'no'; make it first"),
    (("iris", "--boundary", "b.svg"), "here 'iris' is classes, from 4 inputs"),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[m[:30] for _, m in USAGE])
def test_what_has_to_change_is_said_before_the_training(
    capsys: Any, monkeypatch: Any, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith("autograd: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", "0"), "'0' isn't a whole number from 1 on"),
        (("--layers", "3,x"), "'x' isn't a whole number from 1 on"),
        (("--lr", "nan"), "'nan' isn't a number above 0; use one such as 0.1"),
        (("--validation", "1"), "'1' isn't between 0 and 1; use one such as 0.2"),
        (("--optimizer", "sgdd"), "invalid choice: 'sgdd'"),
    ],
)
def test_wrong_options_are_named(capsys: Any, words: tuple[str, ...], message: str) -> None:
    status, out, err = run(capsys, "moons", *words)
    assert (status, out) == (2, "")
    assert "autograd train: error: argument" in err
    assert message in err


def test_errors_in_a_table_have_their_line(capsys: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,\n")
    status, out, err = run(capsys, path)
    assert (status, out) == (2, "")
    assert "autograd: t.csv, line 3, column 'b': the field is empty" in err


def test_missing_packages_are_named(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    status, _, err = run(capsys, "moons")
    assert status == 1
    assert "moons comes from scikit-learn" in err
    monkeypatch.undo()
    monkeypatch.setattr("nn.outputs.find_spec", lambda _: None)
    status, out, err = run(capsys, "moons", "--save", tmp_path / "m.safetensors")
    assert (status, out) == (1, "")
    assert "--save: safetensors isn't installed: pip install safetensors" in err


def test_a_file_that_can_not_be_written_fails_after_the_figures(
    capsys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    path.mkdir()
    status, out, err = run(capsys, "moons", *QUICK, "--save", path)
    assert status == 1
    assert "accuracy" in out
    assert f"autograd: '{path}' can't be written" in err
    assert list(tmp_path.iterdir()) == [path]


def test_a_diverging_training_says_where_it_came_from_and_fails(capsys: Any) -> None:
    status, out, _ = run(capsys, "moons", *QUICK, "--optimizer", "sgd", "--lr", "1e300")
    assert status == 1
    assert "stopped by a number that isn't finite" in out
    assert "remedy" in out


def test_an_interrupt_keeps_what_was_learned(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    def interrupted(*_: Any) -> float:
        signal.raise_signal(signal.SIGINT)
        return 0.0

    monkeypatch.setattr(sys.modules["nn.fit"], "accuracy", interrupted)  # nn.fit is a function
    path = tmp_path / "m.json"
    status, out, err = run(capsys, "moons", *QUICK, "--save", path)
    assert (status, err) == (130, "")
    assert ", interrupted" in out
    assert path.exists()


def test_help_lists_every_option(capsys: Any) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for option in ("--target", "--layers", "--loss-curve", "--boundary", "--graph", "--save"):
        assert option in out


def test_a_pipe_that_closes_is_left_in_peace(houses: Path) -> None:
    program = "import sys; from nn.command import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, str(houses), *QUICK]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
