"""The notebooks run from top to bottom in a real kernel, and show what they say they show."""

from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "{http://www.w3.org/2000/svg}"
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
    unwanted = ("HYPOTHESIS", "IPYTHON", "JUPYTER", "MATPLOTLIB", "MPL", "PYTHON")
    own = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return own | {"IPYTHONDIR": str(folder), "PYTHONPATH": str(ROOT)}


@cache
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
    wanted = {
        "01_chain_rule",
        "02_seeing_graphs",
        "03_checking_gradients",
        "04_train_a_network",
        "05_when_training_fails",
        "06_optimisers",
        "07_convolution_recurrence_transfer",
        "08_compile",
    }
    assert wanted <= {path.stem for path in NOTEBOOKS}


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
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    trees = [ast.parse(TransformerManager().transform_cell(source)) for source in sources]
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
        assert root.tag == f"{SVG}svg"
        assert data["text/html"].startswith('<img class="ag-image"')


def test_whatever_a_notebook_displays_is_a_picture_or_a_page(run):
    for data in (data for cell in run.cells for data in shown(cell)):
        assert {"text/html", "image/svg+xml"} & data.keys()


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
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert {"x1", "w1", "x2", "w2", "b", "n", "o"} <= texts
    grads = {float(text[5:]) for text in texts if text and text.startswith("grad ")}
    assert grads == {-1.5, 1.0, 0.5, 0.0}


@pytest.fixture(scope="module")
def third() -> Run:
    return execute(ROOT / "notebooks" / "03_checking_gradients.ipynb")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("1e-200      1e+00      1e+00", id="no-difference-is-left-at-1e-200"),
        pytest.param("  kink\n", id="kink"),
        pytest.param("  too noisy to tell\n", id="noise"),
        pytest.param("  edge of the domain\n", id="edge"),
        pytest.param("  infinite or undefined\n", id="infinite"),
        pytest.param("w1[0][1]  -0.003017757777  -0.003017757777 ± ", id="W3"),
        pytest.param("guess  -0.233  -0.466 ± ", id="listing"),
        pytest.param('; v0 = logit(x0)")', id="shrunk"),
        pytest.param("reverse mode         -12.353553390593273  10.25699027111255 ", id="exercise"),
        pytest.param("v4 = sqrt(v3) = sqrt(0.0) = 0.0", id="nan"),
    ],
)
def test_the_third_notebook_prints_the_figures_that_learners_look_for(third, text):
    assert text in third.printed


def test_the_third_notebook_plots_in_svg_with_labelled_axes_on_a_transparent_ground(third):
    plotting = [cell for cell in third.cells if "plt.show()" in cell.source]
    assert len(plotting) == 3
    for cell in plotting:
        (data,) = shown(cell)
        assert {"image/svg+xml", "text/plain"} == data.keys()
        root = ET.fromstring(data["image/svg+xml"])  # noqa: S314  (our own)
        texts = {"".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")}
        labels = re.findall(r'(?:[xy]label|title)="(.+)"', cell.source)
        assert len(labels) == 3
        assert texts.issuperset(labels)
        for ground in ("patch_1", "patch_2"):  # the figure's and the axes'
            (path,) = root.iterfind(f".//{SVG}g[@id='{ground}']/{SVG}path")
            assert "fill: none" in path.get("style", "")


def test_the_colours_of_the_third_notebooks_plots_can_be_seen_on_white_and_on_black(third):
    for cell in (cell for cell in third.cells if "plt.show()" in cell.source):
        (data,) = shown(cell)
        colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", data["image/svg+xml"]))
        assert colours == {"#2563eb", "#dc2626", "#64748b"}


@pytest.fixture(scope="module")
def eighth() -> Run:
    return execute(ROOT / "notebooks" / "08_compile.ipynb")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("b[i] + the sum over k < 2 of W[i][k] · x[k]", id="matrix-product"),
        pytest.param("for i < 2, j < 16:  result[1][0][j][i] += x[i] · ", id="outer-product"),
        pytest.param("[0.0, 4.0, 4.0, 7.0] by 3 programs", id="paths"),
        pytest.param("the rows disagree: ", id="rows"),
        pytest.param("exact=True   100.0% the same, the furthest 0 ulp off", id="exact"),
        pytest.param("compiled:    nan -inf inf\nin ieee():   nan -inf inf", id="ieee"),
        pytest.param("points\nNumPy ", id="race"),
    ],
)
def test_the_eighth_notebook_prints_what_becomes_of_a_graph(eighth, text):
    assert text in eighth.printed
