"""The stepper in the programs that people read notebooks with: JupyterLab and the others, for real.

Where CHAINRULE_SCREENSHOTS names a folder, a picture of each state that is tested goes there.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import browser
import pytest
from browser import Page, neuron, walk_back
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

import autograd
from autograd import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

ROOT = Path(__file__).parents[1]
SUMMARY = "All steps: 10 values forward, 9 steps backward"
PATIENCE = 30  # seconds; what is waited for takes a few of them

# The cells of the notebook, and of the marimo app.
MAKE = """\
import autograd
from autograd import Value, tanh

x1, x2 = Value(2.0, "x1"), Value(0.0, "x2")
w1, w2 = Value(-3.0, "w1"), Value(1.0, "w2")
o = tanh(x1 * w1 + x2 * w2 + Value(6.8813735870195432, "b"))
o.label = "o"
"""
CELLS = (MAKE, "autograd.draw(o)", "autograd.stepper(o)")

pytestmark = [pytest.mark.browser, browser.needed]


def needs(*modules):
    """Return the mark of a test that can't run without these programs."""
    missing = [name for name in modules if find_spec(name) is None]
    reason = f'no {", ".join(missing)}: pip install -e ".[browser]"'
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory) -> Iterator[Chrome]:
    # The programs' pages ask for fonts and news: whatever isn't on this machine doesn't exist.
    alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with browser.chromium(tmp_path_factory.mktemp("profile"), alone) as driver:
        yield driver


@pytest.fixture
def page(chrome, tmp_path, request) -> Iterator[Page]:
    page = Page(chrome, tmp_path)
    page.prefix = autograd.stepper(neuron()).prefix
    page.size(1280, 1000)
    page.media()
    page.scripts(on=True)
    yield page
    look(page, f"{request.node.name}-at-the-end")
    chrome.switch_to.default_content()
    chrome.get("about:blank")  # and no page asks a server that is gone


# --- Servers ----------------------------------------------------------------------------------


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def surroundings(folder):
    """Return an environment in which no settings of the user's count, and this checkout does."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "IPYTHON", "PYTHON", "MARIMO", "XDG_"))
    }
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        own[name] = str(folder / name.lower())
    own |= {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    own |= {"PYTHONPATH": str(ROOT)}
    return own


@contextmanager
def serving(command, folder, url, port):
    """Run a server until the block ends, however it ends; then its port is free again."""
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=surroundings(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: server.poll() is not None or answers(url), f"{command[0]} to answer")
        assert server.poll() is None, log.read_text("utf-8")
        yield
    finally:
        stop(server)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))


def answers(url):
    try:
        with urlopen(url, timeout=5) as reply:  # noqa: S310  (of our own server)
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def stop(server):
    for how in (signal.SIGTERM, signal.SIGKILL):
        if server.poll() is None:
            os.killpg(server.pid, how)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            continue
        return


def until(true: Callable[[], Any], what: str) -> Any:
    """Return what the function returns as soon as that is true."""
    end = monotonic() + PATIENCE
    while not (found := true()):
        assert monotonic() < end, f"waited {PATIENCE} s for {what}"
        sleep(0.1)
    return found


# --- Notebooks --------------------------------------------------------------------------------


def write_notebook(path):
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}}
    path.write_text(json.dumps(content | {"nbformat": 4, "nbformat_minor": 5}), "utf-8")


def outputs(path):
    """Return the outputs that have been saved in a notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [output for cell in cells for output in cell["outputs"]]


@contextmanager
def jupyter(module, folder):
    """Serve a folder with a notebook in it as JupyterLab or Notebook does; give the address."""
    kernel = folder / "jupyter_data_dir" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), "utf-8")
    settings = folder / "jupyter_config_dir" / "labconfig"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    overrides = {"@jupyterlab/apputils-extension:notification": quiet}
    (settings / "default_setting_overrides.json").write_text(json.dumps(overrides), "utf-8")
    work = folder / "work"
    work.mkdir()
    write_notebook(work / "neuron.ipynb")
    port = free_port()
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": work,
        "IdentityProvider.token": "",
        "LabApp.extension_manager": "readonly",
    }
    command = [module, *(f"--{name}={value}" for name, value in options.items())]
    address = f"http://127.0.0.1:{port}"
    with serving(command, folder, f"{address}/api", port):
        yield address, work


def find(page, selector, count=1):
    """Wait until there are so many of these elements; return them."""
    elements = lambda: page.chrome.find_elements(By.CSS_SELECTOR, selector)  # noqa: E731
    return until(lambda: len(found := elements()) >= count and found, f"{count} {selector}")


def chord(page, modifier, key):
    keys = ActionChains(page.chrome)
    keys.key_down(modifier).send_keys(key).key_up(modifier).perform()


def look(page, name):
    """Keep a picture of the page, where a folder for pictures is given."""
    folder = os.environ.get("CHAINRULE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.chrome.save_screenshot(str(Path(folder) / f"{name}.png"))


def open_notebook(page, address, path):
    """Open a notebook, and wait until there is a kernel that listens."""
    page.chrome.get(f"{address}/{path}")
    find(page, ".jp-Notebook .jp-CodeCell .cm-content", len(CELLS))
    until(lambda: "idle" in kernel_states(address, path), "the kernel")
    offline = '.jp-Notebook-ExecutionIndicator [data-icon="ui-components:offline-bolt"]'
    find(page, ".jp-Notebook-ExecutionIndicator svg")
    until(lambda: not page.chrome.find_elements(By.CSS_SELECTOR, offline), "the kernel's circle")


def kernel_states(address, path):
    with urlopen(f"{address}/api/sessions", timeout=PATIENCE) as reply:  # noqa: S310  (as above)
        sessions = json.load(reply)
    kernels = [each["kernel"] for each in sessions if path.endswith(each["path"])]
    return [kernel["execution_state"] for kernel in kernels if kernel["connections"]]


def run_cells(page, saved):
    """Run the notebook's cells, one by one, and save what comes out."""
    find(page, ".jp-Notebook .jp-CodeCell .cm-content")[0].click()
    for _ in CELLS:
        chord(page, Keys.SHIFT, Keys.ENTER)
    find(page, ".ag-live")
    until(lambda: saves(page, saved), "the notebook to be saved")


def saves(page, saved):
    chord(page, Keys.CONTROL, "s")
    sleep(0.3)
    return len(outputs(saved)) == len(CELLS) - 1


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    with jupyter("jupyterlab", tmp_path_factory.mktemp("lab")) as served:
        yield served


@needs("jupyterlab", "ipykernel")
def test_jupyterlab_steps_when_the_cell_is_run_and_when_the_notebook_is_reloaded(page, lab):
    address, work = lab
    open_notebook(page, address, "lab/tree/neuron.ipynb")
    run_cells(page, work / "neuron.ipynb")
    look(page, "jupyterlab-run")
    assert page.text(".ag-count") == "forward 0 / 10"
    walk_back(page, neuron())
    look(page, "jupyterlab-stepped")
    page.chrome.refresh()
    find(page, ".ag-live")
    assert page.text(".ag-count") == "forward 0 / 10"
    assert find(page, ".jp-RenderedHTML > .ag-image")[0].is_displayed()  # draw's
    walk_back(page, neuron())
    look(page, "jupyterlab-reloaded")


@needs("jupyterlab", "ipykernel")
def test_jupyterlab_shows_an_untrusted_notebook_as_images_and_the_table(page, lab):
    address, work = lab
    fill_in(work / "stranger.ipynb")
    # A workspace of its own, in which no other notebook is open.
    open_notebook(page, address, "lab/workspaces/stranger/tree/stranger.ipynb")
    assert_it_reads_without_scripts(page, ".jp-OutputArea-output", "jupyterlab-untrusted")


@needs("notebook", "ipykernel")
def test_notebook_does_what_jupyterlab_does(page, tmp_path):
    with jupyter("notebook", tmp_path) as (address, work):
        open_notebook(page, address, "notebooks/neuron.ipynb")
        run_cells(page, work / "neuron.ipynb")
        walk_back(page, neuron())
        look(page, "notebook-stepped")
        page.chrome.refresh()
        find(page, ".ag-live")
        page.click("Next step")
        assert page.text(".ag-equation") == "x1 = 2"
        look(page, "notebook-reloaded")
        fill_in(work / "stranger.ipynb")
        open_notebook(page, address, "notebooks/stranger.ipynb")
        assert_it_reads_without_scripts(page, ".jp-OutputArea-output", "notebook-untrusted")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The notebook as nbconvert exports it: the page's address."""
    folder = tmp_path_factory.mktemp("exported")
    fill_in(folder / "neuron.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "neuron.ipynb"]
    done = subprocess.run(
        command, cwd=folder, env=surroundings(folder), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return (folder / "neuron.html").as_uri()


@needs("nbconvert")
def test_an_exported_page_steps_without_a_kernel(page, exported):
    page.chrome.get(exported)
    find(page, ".ag-live")
    walk_back(page, neuron())
    look(page, "nbconvert-stepped")


@needs("nbconvert")
def test_an_exported_page_reads_without_scripts(page, exported):
    page.scripts(on=False)
    page.chrome.get(exported)
    assert_it_reads_without_scripts(page, ".jp-OutputArea-output", "nbconvert-without-scripts")


def fill_in(path):
    """Write the notebook as somebody else ran it: with outputs, and not trusted here."""
    write_notebook(path)
    content = json.loads(path.read_text("utf-8"))
    shown: tuple[Any, ...] = (autograd.draw(neuron()), autograd.stepper(neuron()))
    for cell, output in zip(content["cells"][1:], shown, strict=True):
        data = output._repr_mimebundle_()
        result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
        cell["outputs"] = [result | {"data": data}]
    path.write_text(json.dumps(content), "utf-8")


def assert_it_reads_without_scripts(page, output, name):
    """Two images and a table to unfold, and besides these no control and not a word."""
    images = find(page, f"{output} img", 2)
    wide = lambda: all(x.get_property("naturalWidth") > 500 for x in images)  # noqa: E731
    until(wide, "images that can be read")
    for image in images:
        assert image.is_displayed()
        assert image.get_attribute("alt").startswith("Computation graph of o: 10 values")
    look(page, name)
    controls = f"{output} :is(button, input, .ag-live)"
    assert page.chrome.find_elements(By.CSS_SELECTOR, controls) == []
    shown = [part.text for part in find(page, output)]
    assert shown == ["", SUMMARY]
    (summary,) = find(page, f"{output} summary")
    summary.click()
    rows = [row.text for row in find(page, f"{output} tr")]
    assert rows[10:] == ["∂o/∂o 1", *map(in_the_table, steps(neuron()))]
    look(page, f"{name}-table")


def in_the_table(step):
    left, rule, numbers = str(step).split(" = ", 2)
    return f"{left} {rule} {numbers}"


# --- marimo -----------------------------------------------------------------------------------


def write_app(path):
    cells = [indent(cell, "    ") for cell in CELLS]
    path.write_text(
        f"""\
import marimo

app = marimo.App()


@app.cell
def _():
{cells[0]}    return autograd, o


@app.cell
def _(autograd, o):
{cells[1]}
    return


@app.cell
def _(autograd, o):
{cells[2]}
    return


if __name__ == "__main__":
    app.run()
""",
        "utf-8",
    )


@needs("marimo")
def test_a_marimo_app_steps_in_a_frame(page, tmp_path):
    write_app(tmp_path / "app.py")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["marimo", "run", "app.py", "--headless", "--no-token", "--port", str(port)]
    with serving(command, tmp_path, f"{address}/health", port):
        page.chrome.get(address)
        (drawing,) = find(page, "img.ag-image")
        assert drawing.is_displayed()
        (frame,) = find(page, 'iframe[title="Computation graph of o"]')
        look(page, "marimo-run")
        page.chrome.switch_to.frame(frame)
        find(page, ".ag-live")
        walk_back(page, neuron())
        page.chrome.switch_to.default_content()
        look(page, "marimo-stepped")
