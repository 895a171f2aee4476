"""`autograd explain`: what it prints, where it reads from, and how it ends."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import autograd
from autograd.__main__ import EXAMPLES, main

HOME = str(Path(str(autograd.__file__)).parents[1])
CLOSE = 6e-13  # the documents' figures have twelve places


def run(capsys, *words):
    status = main(["explain", *words])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def as_json(capsys, *words):
    status, out, err = run(capsys, *words, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def numbers(rows, key="value"):
    return {row["name"]: row[key] for row in rows}


def process(*words, **settings):
    environment = {**os.environ, "PYTHONPATH": HOME}
    environment |= {"PYTHONIOENCODING": "utf-8"} | settings.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", "autograd", *words],
        capture_output=True,
        check=False,
        env=environment,
        timeout=60,
        **settings,
    )


# --- the documents' networks ----------------------------------------------------------------------


def test_the_neuron_has_the_documents_figures(capsys):
    result = as_json(capsys, "neuron", "--lr", "0.1")
    values = numbers(result["values"])
    assert values["yhat"] == pytest.approx(1.1, abs=CLOSE)
    assert values["L"] == pytest.approx(0.005, abs=CLOSE)
    assert numbers(result["gradients"], "gradient")["w"] == pytest.approx(0.2, abs=CLOSE)
    assert numbers(result["descent"]["parameters"], "after")["w"] == pytest.approx(0.48, abs=CLOSE)


def test_the_chain_has_the_documents_figures(capsys):
    result = as_json(capsys, "chain")
    values = numbers(result["values"])
    assert values["h"] == pytest.approx(0.549833997312478, abs=1e-15)
    assert values["yhat"] == pytest.approx(0.581735142037886, abs=1e-15)
    assert values["L"] == pytest.approx(0.0874727457030337, abs=1e-15)
    gradients = numbers(result["gradients"], "gradient")
    assert gradients["w2"] == pytest.approx(-0.0559576727449952, abs=1e-15)


VALUES = {
    "z1_1": 0.625,
    "z1_2": 0.69,
    "a1_1": 0.651354864666,
    "a1_2": 0.665966926752,
    "z2": 1.193525409242,
    "yhat": 0.767370987853,
    "L": 0.027058128646,
}
GRADIENTS = {
    "z2": -0.041527245817,
    "w2_1": -0.027048973579,
    "w2_2": -0.027655772274,
    "z1_1": -0.003772197222,
    "z1_2": -0.004618971303,
    "w1_11": -0.001886098611,
    "w1_12": -0.003017757777,
    "w1_21": -0.002309485651,
    "w1_22": -0.003695177042,
    "b1_1": -0.003772197222,
    "b1_2": -0.004618971303,
    "b2": -0.041527245817,
}
PARAMETERS = ["w1_11", "w1_12", "b1_1", "w1_21", "w1_22", "b1_2", "w2_1", "w2_2", "b2"]


def test_the_network_has_the_documents_figures(capsys):
    result = as_json(capsys, "network", "--wrt", ",".join(GRADIENTS))
    values = numbers(result["values"])
    assert {name: values[name] for name in VALUES} == pytest.approx(VALUES, abs=CLOSE)
    assert numbers(result["gradients"], "gradient") == pytest.approx(GRADIENTS, abs=CLOSE)
    assert {row["verdict"] for row in result["gradients"]} == {"right"}


@pytest.mark.parametrize("wrt", [[], ["--wrt", "w*,b*"], ["--wrt", ",".join(PARAMETERS)]])
def test_one_descent_step_of_the_network_ends_where_the_documents_do(capsys, wrt):
    descent = as_json(capsys, "network", "--lr", "0.5", *wrt)["descent"]
    assert {row["name"] for row in descent["parameters"]} == set(PARAMETERS)
    after = numbers(descent["values"], "after")
    assert after["yhat"] == pytest.approx(0.774367732370, abs=CLOSE)
    assert after["L"] == pytest.approx(0.025454960098, abs=CLOSE)


def test_every_shipped_example_says_how_to_run_it_and_does(capsys):
    shipped = sorted(EXAMPLES.glob("*.txt"))
    assert [path.stem for path in shipped] == ["chain", "network", "neuron"]
    for path in shipped:
        tried = re.search(r"# Try: +autograd (.+)", path.read_text(encoding="utf-8"))
        assert tried is not None
        assert main(tried[1].split()) == 0
        assert "wrong" not in capsys.readouterr().out


# --- what is printed ------------------------------------------------------------------------------

EXPLAINED = """\
Values  expression, computed from top to bottom
  x     3   input
  w     2   input
  v1    6   = w * x
  y    36   = v1 ** 2

Steps  the chain rule, from the result back: upstream × local
  1 ∂y/∂v1 = ∂y/∂y  · ∂y/∂v1 =  1 × 12 = 12
  2 ∂y/∂w  = ∂y/∂v1 · ∂v1/∂w = 12 ×  3 = 36
  3 ∂y/∂x  = ∂y/∂v1 · ∂v1/∂x = 12 ×  2 = 24

Gradients  by the chain rule, and checked by finite differences
"""


def test_values_steps_gradients_and_their_check_are_printed_in_aligned_columns(capsys):
    status, out, err = run(capsys, "(w*x)**2", "x=3", "w=2")
    assert (status, err) == (0, "")
    assert out.startswith(EXPLAINED)
    table = out.partition("Gradients")[2].split("\n")
    assert re.split(r"\s{3,}", table[1].strip()) == [
        "gradient",
        "finite difference",
        "its error",
        "verdict",
    ]
    for line, name, gradient in zip(table[2:4], "xw", ("24", "36"), strict=True):
        cells = re.split(r"\s{3,}", line.strip())
        assert cells[:3] == [f"∂y/∂{name}", gradient, gradient]
        assert float(cells[3]) < 1e-9
        assert cells[4] == "right"
    assert not re.search(r" $", out, re.MULTILINE)


def test_a_value_that_is_used_twice_shows_how_its_gradient_adds_up(capsys):
    _, out, _ = run(capsys, "x*x + x", "x=3")
    steps = [line.split() for line in out.partition("Steps")[2].split("\n")[1:5]]
    assert [line[2] for line in steps] == ["=", "=", "+=", "+="]
    assert steps[2][-2:] == ["total", "4"]
    assert steps[3][-2:] == ["total", "7"]


def test_numbers_have_as_many_significant_digits_as_asked_for(capsys):
    assert "0.333333 " in run(capsys, "x*3", "x=1/3")[1]
    assert "0.33 " in run(capsys, "x*3", "x=1/3", "--digits", "2")[1]
    assert "0.33333333333333331 " in run(capsys, "x*3", "x=1/3", "--digits", "17")[1]


def test_a_zero_has_no_sign(capsys):
    assert "-0" not in run(capsys, "-(x*0)", "x=1")[1].partition("Gradients")[0]


def test_json_has_every_number_exactly(capsys):
    result = as_json(capsys, "sin(x)*w", "x=0.1", "w=1/3", "--lr", "0.1")
    x, w = autograd.Value(0.1), autograd.Value(1.0 / 3.0)
    y = autograd.sin(x) * w
    y.backward()
    assert result["value"] == y.data
    assert result["output"] == "y"
    assert numbers(result["gradients"], "gradient") == {"x": x.grad, "w": w.grad}
    assert {step["value"] for step in result["steps"]} == {"y", "v1"}
    assert numbers(result["descent"]["parameters"], "after")["x"] == 0.1 - 0.1 * x.grad


def test_json_has_null_for_a_number_that_doesnt_exist(capsys):
    row = as_json(capsys, "x**n", "x=-2", "n=3")["gradients"][1]
    assert (row["gradient"], row["difference"], row["error"]) == (None, None, None)
    assert row["verdict"] == "infinite or undefined"
    (step, *_) = as_json(capsys, "relu(x)*1e200*1e200", "x=-1")["steps"][1:]
    assert (step["parent"], step["contribution"]) == ("v1", None)


def test_a_note_stands_under_the_table_and_not_in_it(capsys):
    _, out, _ = run(capsys, "x**n", "x=-2", "n=3")
    table, _, note = out.partition("  ∂y/∂n: ours is missing: pow(-2.0, 3.0): the derivative in ")
    assert table.endswith("   infinite or undefined\n")
    assert " ".join(note.split()) == "operand 2 is undefined here (log(-2.0): operand must be > 0)"


# --- options --------------------------------------------------------------------------------------


def test_wrt_chooses_gradients_and_leaves_out_the_steps_that_lead_elsewhere(capsys):
    result = as_json(capsys, "network", "--wrt", "w1_1?, b2")
    assert list(numbers(result["gradients"], "gradient")) == ["w1_11", "w1_12", "b2"]
    assert "w2_1" not in {step["parent"] for step in result["steps"]}


def test_output_chooses_what_is_differentiated(capsys):
    result = as_json(capsys, "network", "--output", "z1_1", "--wrt", "w1_12")
    assert result["value"] == pytest.approx(0.625)
    assert result["gradients"][0]["gradient"] == 0.8


def test_an_output_that_is_an_input_has_the_gradient_1(capsys):
    status, out, _ = run(capsys, "x", "x=3")
    assert status == 0
    assert "none: y is x itself" in out
    status, out, _ = run(capsys, "network", "--output", "x1", "--wrt", "x2")
    assert "none: x1 doesn't depend on what was asked for" in out


def test_a_negative_rate_climbs(capsys):
    status, out, _ = run(capsys, "x**2", "--lr", "-0.1", "x=3")
    assert status == 0
    assert "w becomes w + 0.1 · ∂y/∂w" in out


def test_inputs_and_options_may_come_in_any_order(capsys):
    plain = run(capsys, "network", "w1_11=0.3", "b2=0", "--lr", "0.5", "--wrt", "b2")
    mixed = run(capsys, "--lr", "0.5", "network", "w1_11=0.3", "--wrt", "b2", "b2=0")
    assert plain == mixed
    assert plain[0] == 0


def test_an_expression_may_begin_with_a_minus(capsys):
    assert as_json(capsys, "-x**2", "x=3")["value"] == -9.0
    assert as_json(capsys, "--", "-x**2", "x=-3")["value"] == -9.0


# --- where the text comes from --------------------------------------------------------------------


def test_a_file_is_read_and_named_in_its_errors(capsys, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("x = 2\ny = x*ẑ\n", encoding="utf-8")
    assert as_json(capsys, str(path), "ẑ=4")["value"] == 8.0
    status, out, err = run(capsys, str(path))
    assert (status, out) == (2, "")
    assert err.startswith(f"autograd: {path}, line 2, column 7\n    y = x*ẑ\n          ^\n")


def test_a_file_comes_before_an_example_of_the_same_name(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert as_json(capsys, "neuron")["output"] == "L"
    Path("neuron").write_text("z = 2*q", encoding="utf-8")
    assert as_json(capsys, "neuron", "q=1")["output"] == "z"


def test_a_directory_doesnt_stand_in_the_way_of_a_name(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    assert run(capsys, "x", "x=1")[0] == 0
    status, _, err = run(capsys, ".")
    assert status == 2
    assert "can't be read" in err


def test_a_dash_reads_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("w = 2\nz = w*x"))
    assert as_json(capsys, "-", "x=5")["value"] == 10.0
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf# \xc3\xa9\n2*\xff"))
    )
    status, _, err = run(capsys, "-")
    assert status == 2
    assert "standard input, line 2, column 3" in err
    assert "byte 0xff isn't UTF-8" in err
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in run(capsys, "-")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["netwrk"], "did you mean network?"),
        (["missing.txt"], "there is no such file"),
        (["a/b.txt"], "there is no such file"),
        (["q"], "q has no value: add q=..."),
    ],
)
def test_a_word_that_is_neither_file_nor_example_nor_expression_says_so(capsys, words, message):
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ["explain", "x", "x=1"]),
        (0, ["explain", "relu(x)", "x=0"]),
        (0, ["--version"]),
        (0, ["--help"]),
        (0, ["explain", "--help"]),
        (1, ["explain", "1/x", "x=0"]),
        (1, ["explain", "9**9**9"]),
        (1, ["explain", "sqrt(x)", "x=0"]),
        (1, ["explain", "log(x)", "x=1", "--lr", "100"]),
        (2, []),
        (2, ["explain"]),
        (2, ["explode"]),
        (2, ["explain", "x +", "x=1"]),
        (2, ["explain", "x"]),
        (2, ["explain", "x", "x=1", "x=2"]),
        (2, ["explain", "x", "x=1", "--bogus"]),
        (2, ["explain", "x", "x=1", "--lr", "fast"]),
        (2, ["explain", "x", "x=1", "--lr", "inf"]),
        (2, ["explain", "x", "x=1", "--lr"]),
        (2, ["explain", "x", "x=1", "--digits", "0"]),
        (2, ["explain", "x", "x=1", "--digits", "99"]),
        (2, ["explain", "x", "x=1", "--wrt", "z"]),
        (2, ["explain", "x", "x=1", "--wrt", ""]),
        (2, ["explain", "x", "x=1", "--wrt", "y", "--lr", "1"]),
        (2, ["explain", "x", "x=1", "--output", "z"]),
    ],
)
def test_the_exit_status_is_0_or_1_for_a_failed_computation_or_2_for_usage(capsys, status, words):
    assert main(words) == status
    printed = capsys.readouterr()
    assert bool(printed.err) == (status > 0 and words != [])
    assert "Traceback" not in printed.err


def test_an_unknown_name_in_an_option_is_pointed_at(capsys):
    _, _, err = run(capsys, "network", "--wrt", "b2, yhta")
    assert err.startswith("autograd: --wrt, line 1, column 5\n    b2, yhta\n        ^\n")
    assert "did you mean yhat?" in err
    _, _, err = run(capsys, "network", "--wrt", "b2,z2", "--lr", "1")
    assert "z2 is computed: only an input can be stepped" in err


def test_the_help_names_options_examples_and_operations_in_ascii(capsys):
    assert main(["explain", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    for word in ("--wrt", "--output", "--lr", "--json", "# data", "network", "log_sigmoid", "dot"):
        assert word in out


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"autograd (chainrule {autograd.__version__})\n"


WORDS = st.text(st.characters(exclude_characters="\0"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["explain", "check"]),
    st.lists(st.one_of(WORDS, st.sampled_from(["x=1", "--lr", "0.1", "--wrt", "x*x"]))),
)
def test_any_command_line_ends_with_one_of_the_statuses(
    capsys, tmp_path, monkeypatch, command, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("x = 2"))
    assert main([command, *words]) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err


# --- the terminal ---------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_there_is_colour_on_a_terminal_only_and_not_if_it_isnt_wanted(
    monkeypatch, environment, coloured
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, setting in environment.items():
        monkeypatch.setenv(name, setting)
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["explain", "network", "--lr", "0.5"]) == 0
    assert ("\x1b[" in terminal.getvalue()) == coloured
    assert re.sub(r"\x1b\[\d*m", "", terminal.getvalue()) == file.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_the_letters_gets_stand_ins(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["explain", "2*w + ж", "w=1", "ж=2"]) == 0
    stream.seek(0)
    out = stream.read()
    assert "dy/dw = dy/dv1 * dv1/dw = 1 x 2 = 2" in re.sub(" +", " ", out)
    assert "dy/d\\u0436" in out


def test_errors_too_fit_a_stream_without_the_letters(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["explain", "ж×2"]) == 2
    stream.seek(0)
    assert "\\u0436x2" in stream.read()


def test_the_module_runs_as_a_program_in_an_ascii_world():
    done = process("explain", "network", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"dL/dw1_11" in done.stdout


def test_a_reader_that_stops_early_isnt_an_error():
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONPATH": HOME}
    done = subprocess.run(
        [sys.executable, "-m", "autograd", "explain", "network"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's device that is always full")  # noqa: PTH110
def test_a_full_disk_is_a_failure_with_its_reason():
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "autograd", "explain", "network"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONPATH": HOME},
        )
    assert done.returncode == 1
    assert b"autograd: the output can't be written" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_command_line_doesnt_load_what_it_may_not_need():
    code = (
        "import sys, autograd.__main__\n"
        "heavy = {'numpy', 'graphviz', 'llvmlite', 'hypothesis', 'json', 'importlib.metadata'}\n"
        "sys.exit(' '.join(heavy & sys.modules.keys()) or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": HOME}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, b"")
