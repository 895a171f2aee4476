"""The notebooks run from top to bottom in a real kernel, and show what they say they show."""

from __future__ import annotations

import ast
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST = 60  # seconds a notebook may take; they take a few

pytestmark = pytest.mark.notebooks

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class ThisPython(AsyncKernelManager):
    """Starts the interpreter that runs the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="this Python", language="python")


class Run(NamedTuple):
    """An executed notebook, how long it took, and what lay in its directory when it had ended."""

    notebook: Any
    seconds: float
    left_behind: list[str]

    @property
    def cells(self) -> list[Any]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def printed(self) -> str:
        outputs = (output for cell in self.cells for output in cell.outputs)
        return "".join(output.text for output in outputs if output.output_type == "stream")


def surroundings(folder):
    """Return an environment in which no settings of the user's count, and this checkout does.

    PYTHONWARNINGS is one of those left out: what the kernel's own libraries warn of isn't ours.
    """
    unwanted = ("IPYTHON", "JUPYTER", "PYTHON")
    own = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return own | {"IPYTHONDIR": str(folder), "PYTHONPATH": str(ROOT)}


def execute(path: Path) -> Run:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    # Not pytest's directory, whose name can be too long for that of a socket.
    with tempfile.TemporaryDirectory() as name:
        working, settings = (Path(name) / part for part in ("working", "settings"))
        working.mkdir()
        settings.mkdir()
        # Over files that are nobody else's: a port is there for all to see, and ipykernel warns.
        transport = "tcp" if sys.platform == "win32" else "ipc"
        connection = {"connection_file": str(Path(name) / "kernel.json"), "transport": transport}
        client = NotebookClient(
            notebook,
            kernel_manager_class=ThisPython,
            config=Config(KernelManager=connection),
            timeout=LONGEST,
        )
        begin = monotonic()
        client.execute(env=surroundings(settings), cwd=str(working))
        seconds = monotonic() - begin
        return Run(notebook, seconds, [file.name for file in working.iterdir()])


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def run(request) -> Run:
    return execute(request.param)


def shown(cell) -> Iterator[dict[str, str]]:
    """Yield what the cell displays, by MIME type."""
    for output in cell.outputs:
        if output.output_type in {"display_data", "execute_result"}:
            yield output.data


def last_line(cell):
    return cell.source.splitlines()[-1]


# The files


def test_the_notebooks_are_there():
    assert {"01_chain_rule", "02_seeing_graphs"} <= {path.stem for path in NOTEBOOKS}


@every_notebook
def test_a_notebook_is_valid_and_each_cell_has_an_id_of_its_own(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@every_notebook
def test_a_notebook_is_kept_without_outputs(path):
    for cell in nbformat.read(path, as_version=nbformat.NO_CONVERT).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@every_notebook
def test_a_notebook_defines_nothing_but_formulas(path):
    # What could be used again belongs into the packages. A function to differentiate is one line.
    cells = nbformat.read(path, as_version=nbformat.NO_CONVERT).cells
    trees = [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]
    for node in (node for tree in trees for node in ast.walk(tree)):
        assert not isinstance(node, ast.ClassDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.FunctionDef):
            assert [type(line) for line in node.body] == [ast.Return], node.name


# What they do


def test_a_notebook_runs_to_its_end_and_nothing_is_complained_of(run):
    assert run.seconds < LONGEST
    assert all(cell.execution_count for cell in run.cells)
    streams = {output.get("name", "stdout") for cell in run.cells for output in cell.outputs}
    assert streams == {"stdout"}


def test_a_notebook_leaves_no_file_behind(run):
    assert run.left_behind == []


def test_a_cell_that_ends_in_a_drawing_shows_it_as_svg_and_as_an_image(run):
    drawing = [cell for cell in run.cells if last_line(cell).startswith("draw(")]
    assert drawing
    for cell in drawing:
        (data,) = shown(cell)
        assert {"image/svg+xml", "text/html", "text/plain"} == data.keys()
        root = ET.fromstring(data["image/svg+xml"])  # noqa: S314  (our own)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert data["text/html"].startswith('<img class="ag-image"')


def test_whatever_a_notebook_displays_is_a_picture_or_a_page(run):
    assert all("text/html" in data for cell in run.cells for data in shown(cell))


def test_a_cell_that_ends_in_a_stepper_shows_it_as_html(run):
    stepping = [cell for cell in run.cells if last_line(cell).startswith("stepper(")]
    assert stepping
    for cell in stepping:
        (data,) = shown(cell)
        assert {"text/html", "text/plain"} == data.keys()
        assert 'class="ag-stepper"' in data["text/html"]
        assert "<table" in data["text/html"]


@pytest.fixture(scope="module")
def first() -> Run:
    return execute(ROOT / "notebooks" / "01_chain_rule.ipynb")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("∂L/∂w = 0.2000   new w = 0.4800", id="W1"),
        pytest.param("ŷ = 0.581735142037886   L = 0.0874727457030337", id="W2"),
        pytest.param("dz2                -0.0416    -0.041527245817", id="W3-document-and-exact"),
        pytest.param("ŷ after the step    0.772      0.774367732370", id="W3-after-the-step"),
        pytest.param("L after the step    0.0265     0.025454960098", id="W3-loss-after-the-step"),
        pytest.param("{'x1': -1.5, 'w1': 1.0, 'x2': 0.5, 'w2': 0.0}", id="neuron"),
        pytest.param("✗ too early: ∂y/∂b becomes 48", id="recursive-order"),
        pytest.param("loss 2.175515", id="negative-log-likelihood"),
    ],
)
def test_the_first_notebook_prints_the_figures_that_learners_look_for(first, text):
    assert text in first.printed


def test_the_first_notebook_draws_the_neuron_with_its_gradients(first):
    (cell,) = [cell for cell in first.cells if last_line(cell) == "draw(o)"]
    (data,) = shown(cell)
    root = ET.fromstring(data["image/svg+xml"])  # noqa: S314  (our own)
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"x1", "w1", "x2", "w2", "b", "n", "o"} <= texts
    grads = {float(text[5:]) for text in texts if text and text.startswith("grad ")}
    assert grads == {-1.5, 1.0, 0.5, 0.0}
