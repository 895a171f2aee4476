"""`autograd check`: the verdicts, what is said of a wrong gradient, and the exit status."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import autograd
from autograd import cbrt, relu, sin, sqrt, step, where
from autograd.__main__ import EXAMPLES, main
from autograd.testing import check_gradients
from autograd.testing.verdict import Verdict

HOME = str(Path(str(autograd.__file__)).parents[1])
TWO_KINKS = ("relu(x) - relu(-x)", "x=0")  # it is x, and made of two declared slopes 0


def run(capsys, *words, command="check"):
    status = main([command, *words])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return status, printed.out, printed.err


def as_json(capsys, *words):
    status, out, err = run(capsys, *words, "--json")
    assert err == ""
    return status, json.loads(out)


def said(text):
    return " ".join(text.split())  # in one line, however it is wrapped


@pytest.fixture
def _wrong_sine(monkeypatch):
    monkeypatch.setattr(sin, "partials", (lambda _, a: 2.0 * autograd.cos(a),))


# --- the verdicts ---------------------------------------------------------------------------------

FUNCTIONS = {
    "sin(x) * x": (lambda x: sin(x) * x, (0.0, 0.5, -3.0)),
    "relu(x)": (relu, (0.0, 1e-9, -2.0)),
    "relu(x) - relu(-x)": (lambda x: relu(x) - relu(-x), (0.0, 1.0)),
    "step(x)": (step, (0.0, 1.0)),
    "x ** 1.5": (lambda x: x**1.5, (0.0, 4.0)),
    "sqrt(x)": (sqrt, (0.0, 1e-300, 2.0)),
    "cbrt(x) ** 3": (lambda x: cbrt(x) ** 3.0, (0.0, 2.0)),
    "where(x - 1, x*x, 5)": (lambda x: where(x - 1.0, x * x, 5.0), (1.0, 2.0)),
    "(1 + x*1e-13) - 1": (lambda x: (1.0 + x * 1e-13) - 1.0, (0.3, 7.0)),
}
CASES = [(text, f, x) for text, (f, xs) in FUNCTIONS.items() for x in xs]


@pytest.mark.parametrize(("text", "f", "x"), CASES)
def test_the_verdicts_are_those_of_check_gradients(capsys, text, f, x):
    status, found = as_json(capsys, text, f"x={x!r}")
    report = check_gradients(f, x)
    (row,), (expected,) = found["gradients"], report.rows
    assert (row["gradient"], row["verdict"]) == (expected.ours, expected.verdict)
    assert (row["ok"], row["note"]) == (expected.ok, expected.note)
    assert (found["ok"], status) == (bool(report), 0 if report else 1)
    assert len(found["kinks"]) == len(report.kinks)
    assert bool(found["culprit"]) == bool(report.culprit)


@pytest.mark.parametrize("example", sorted(path.stem for path in EXAMPLES.glob("*.txt")))
def test_the_gradients_of_every_shipped_example_are_right(capsys, example):
    status, out, err = run(capsys, example)
    rows = out.split("\n\n")[0].split("\n")[2:]
    assert (status, err) == (0, "")
    assert all(row.endswith(" right") for row in rows)
    assert out.endswith(f"\n\n{len(rows)} right\n")


@pytest.mark.usefixtures("_wrong_sine")
def test_explain_prints_what_check_finds_and_goes_on(capsys):
    for words in (("network",), TWO_KINKS, ("sin(x) + relu(x)", "x=0")):
        found = run(capsys, *words)[1].rpartition("\n\n")[0]
        status, out, _ = run(capsys, *words, command="explain")
        assert status == 0
        assert out.endswith(f"\n\n{found}\n")


def test_a_second_name_for_a_value_has_the_gradient_of_the_value(capsys, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("a = 2*x\nb = a\nL = a*b\nM = L\n", encoding="utf-8")
    for output in ("L", "M"):
        status, found = as_json(capsys, str(path), "x=3", "--wrt", "x,a,b,L", "--output", output)
        assert [row["gradient"] for row in found["gradients"]] == [24.0, 12.0, 12.0, 1.0]
        assert {row["verdict"] for row in found["gradients"]} == {"right"}
        assert status == 0


def test_beyond_the_budget_gradients_are_shown_unchecked(capsys, monkeypatch):
    monkeypatch.setattr("autograd.explain.CHECK_BUDGET", 20_000)
    status, out, _ = run(capsys, "network")
    assert status == 0
    assert "choose fewer by --wrt" in out
    assert re.search(r"^[1-9]\d* right, [1-9]\d* unchecked$", out, re.MULTILINE)


# --- what is said ---------------------------------------------------------------------------------


def test_an_evaluation_on_two_kinks_whose_slopes_do_not_add_up_is_wrong_and_says_so(capsys):
    status, out, _ = run(capsys, *TWO_KINKS)
    assert status == 1
    assert "v1 = relu(0.0) sits on its kink a = 0" in out
    assert "v3 = relu(-0.0) sits on its kink a = 0" in out
    assert "A gradient that is made of subgradients may be wrong" in said(out)
    assert out.endswith("\n\n1 wrong\n")


def test_one_kink_is_listed_and_nothing_is_wrong(capsys):
    status, out, _ = run(capsys, "relu(x) + y**2", "x=0", "y=2")
    assert status == 0
    assert "v1 = relu(0.0) sits on its kink a = 0" in out
    assert "A gradient that is made of subgradients may be wrong" not in said(out)
    assert out.endswith("\n\n1 right, 1 kink\n")
    _, out, _ = run(capsys, "maximum(x, y)", "x=0", "y=0")
    assert out.endswith("\n\n2 kinks\n")


def test_many_kinks_are_counted_and_not_all_listed(capsys):
    text = " + ".join(["relu(x)"] * 15)
    _, out, _ = run(capsys, text, "x=0")
    assert out.count("sits on its kink") == 10
    assert "\n  and 5 more\n" in out
    assert len(as_json(capsys, text, "x=0")[1]["kinks"]) == 15


@pytest.mark.usefixtures("_wrong_sine")
def test_the_operation_that_is_wrong_is_named(capsys):
    status, out, _ = run(capsys, "exp(sin(x) * y)", "x=0.5", "y=2")
    assert status == 1
    assert "a factor 2 too many" in said(out)
    assert "the first mistake is in v1 = sin(x): at sin(0.5)" in said(out)
    assert out.endswith("\n\n1 right, 1 wrong\n")


def test_a_gradient_that_is_missing_is_wrong_if_it_exists_and_fine_if_not(capsys):
    status, out, _ = run(capsys, "cbrt(x)**3", "x=0")
    assert (status, out.split("\n")[-2]) == (1, "1 wrong (infinite or undefined)")
    status, out, _ = run(capsys, "x**n", "x=-2", "n=3", "--wrt", "n")
    assert (status, out.split("\n")[-2]) == (0, "1 infinite or undefined")


def test_the_numbers_have_the_digits_that_were_asked_for(capsys):
    assert " 0.8776 " in run(capsys, "sin(x)", "x=0.5", "--digits", "4")[1]


@pytest.mark.usefixtures("_wrong_sine")
def test_no_line_is_wider_than_a_terminal(capsys):
    for words in (("network",), TWO_KINKS, ("sin(x)", "x=0.5"), ("cbrt(x)**3", "x=0")):
        lines = run(capsys, *words)[1].split("\n")
        assert max(map(len, lines)) <= 82
        assert not any(line.endswith(" ") for line in lines)


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ["x", "x=1"]),
        (0, ["relu(x)", "x=0"]),
        (0, ["x**1.5", "x=0"]),
        (0, ["sqrt(x)", "x=0"]),
        (0, ["relu(x)*1e200*1e200", "x=-1"]),
        (0, ["--help"]),
        (1, [*TWO_KINKS]),
        (1, [*TWO_KINKS, "--json"]),
        (1, ["1/x", "x=0"]),
        (2, []),
        (2, ["x +", "x=1"]),
        (2, ["x"]),
        (2, ["x", "x=1", "--wrt", "z"]),
        (2, ["x", "x=1", "--digits", "0"]),
        (2, ["x", "x=1", "--lr", "0.1"]),
        (2, ["x", "x=1", "--svg", "-"]),
    ],
)
def test_the_exit_status_is_0_or_1_for_a_wrong_gradient_or_2_for_usage(capsys, status, words):
    assert run(capsys, *words)[0] == status


def test_a_wrong_gradient_stays_wrong_when_the_reader_stops_early():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "autograd", "check", *TWO_KINKS],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": HOME, "PYTHONIOENCODING": "utf-8"},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_help_says_what_each_verdict_means(capsys):
    _, out, _ = run(capsys, "--help")
    assert out.isascii()
    for verdict in (*get_args(Verdict), "unchecked"):
        assert re.search(rf"^    {verdict}  +\w", out, re.MULTILINE)
    assert "check network" in out
    assert "--svg" not in out


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("words", "colours"),
    [
        (["sin(x)", "x=1"], {"right": "32", "1 right": "32"}),
        (["relu(x) + y", "x=0", "y=1"], {"right": "32", "kink": "33", "1 right, 1 kink": "33"}),
        ([*TWO_KINKS], {"wrong": "31", "1 wrong": "31"}),
        (
            ["cbrt(x)**3", "x=0"],
            {"wrong (infinite or undefined)": "31", "1 wrong (infinite or undefined)": "31"},
        ),
    ],
)
def test_right_is_green_wrong_is_red_and_the_rest_is_yellow(monkeypatch, words, colours):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    main(["check", *words])
    painted = re.findall(r"\x1b\[(3\d)m(.*?)\x1b", terminal.getvalue())
    assert {text: code for code, text in painted} == colours
