"""The README says what is so: its examples run, its commands exist, its table is in step."""

from __future__ import annotations

import doctest
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import autograd
from autograd.__main__ import main
from autograd.op import REGISTRY

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def fenced(language: str) -> list[str]:
    """Return the text of every block of the README in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_every_example_prints_what_the_readme_shows():
    # One after the other in one namespace, as a reader would type them.
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner()
    report: list[str] = []
    for number, text in enumerate(fenced("python"), 1):
        example = doctest.DocTestParser().get_doctest(
            text, names, f"block {number}", "README.md", 0
        )
        runner.run(example, out=report.append, clear_globs=False)
        names = example.globs
    assert "".join(report) == ""


def test_no_python_in_the_readme_goes_unchecked():
    for text in fenced("python"):
        assert text.startswith(">>> "), "write it as Python's prompt shows it, with its results"


def test_the_readme_has_two_commands_of_one_line():
    assert [text.count("\n") for text in fenced("sh")] == [1, 1]


@pytest.mark.parametrize("command", fenced("sh"))
def test_a_command_makes_its_environment_and_installs_this_checkout_there(command):
    make, install, run = command.strip().split(" && ")
    assert make == "python3 -m venv .venv"
    pip, *words, target = shlex.split(install)
    assert [pip, *words[:2]] == [".venv/bin/pip", "install", "-q"]
    extras = re.findall(r"\w+", target)
    assert target == (f".[{','.join(extras)}]" if extras else ".")
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    assert run.startswith(".venv/bin/")


def test_the_first_command_explains_a_network_by_the_script_of_the_distribution(capsys):
    program, *arguments = shlex.split(fenced("sh")[0].split(" && ")[-1])
    assert PROJECT["scripts"][Path(program).name] == "autograd.__main__:main"
    assert main(arguments) in {0, None}
    assert "∂" in capsys.readouterr().out


def test_the_second_command_installs_the_tests_needs_and_runs_them_all():
    _, install, run = fenced("sh")[1].strip().split(" && ")
    assert install.endswith('".[test,browser]"')
    assert run == ".venv/bin/pytest"


def operation_rows() -> dict[str, str]:
    """Return the rows of the README's table of operations by the name in their first cell."""
    begin, end = "<!-- operations -->", "<!-- /operations -->"
    table = README.split(begin)[1].split(end)[0]
    rows = re.findall(r"^\| *`(\w+)[^`]*` *\|(.*)\|$", table, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "an operation has one row"
    return {name: row.replace(r"\|", "|") for name, row in rows}


def test_the_table_of_operations_is_in_step_with_their_definitions():
    defined = {name: op for name, op in REGISTRY.items() if op.builtin}
    public = {name for name, op in defined.items() if getattr(autograd, name, None) is op}
    rows = operation_rows()
    assert public <= rows.keys() <= defined.keys()
    for name, row in rows.items():
        for text in (defined[name].formula, *defined[name].locals):
            assert text in row, f"{name}: {text}"
