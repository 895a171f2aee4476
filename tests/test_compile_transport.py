"""Compiled functions are copied, pickled, and sent to other processes with their programs."""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys
from array import array
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import autograd
import nn
from autograd import Value, dot, hessian, sin, value_and_grad

if TYPE_CHECKING:
    from collections.abc import Callable

cache = import_module("autograd.compile.cache")
compiled_module = import_module("autograd.compile.compiled")
code = import_module("autograd.compile.code")
sources = import_module("autograd.compile.sources")
transport = import_module("autograd.compile.transport")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _nothing_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "")
    monkeypatch.setattr(sources, "LOADED", float("inf"))  # see test_compile_cache.py
    sources.version.cache_clear()
    cache._environment.cache_clear()


@pytest.fixture
def no_trace(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes tracing an error from now on."""
    return lambda: monkeypatch.setattr(compiled_module, "trace", None)


@pytest.fixture
def only_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let functions travel by their names only."""
    monkeypatch.setattr(transport, "BY_VALUE", ())


def again(thing: Any, protocol: int | None = None) -> Any:
    """Return a thing after its journey."""
    return arrived_from(pickle.dumps(thing, protocol))


def arrived_from(sent: bytes) -> Any:
    return pickle.loads(sent)  # noqa: S301  (our own)


def curve(x: Any) -> Any:
    return sin(x) * x if x > 0.0 else x * 3.0


scale = Value(2.0)


def scaled(x: Any) -> Any:
    return x * scale


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_arrives_computes_the_same(no_trace, protocol):
    compiled = autograd.compile(value_and_grad(curve))
    points = [-2.0, 3.0, 0.0, math.inf, 1e-300]
    expected = [compiled(x) for x in points]
    arrived = again(compiled, protocol)
    no_trace()
    assert [str(arrived(x)) for x in points] == [str(y) for y in expected]  # a nan is a nan


@pytest.mark.usefixtures("only_pickle")
def test_a_function_with_a_name_comes_along_and_its_derivatives_do():
    for f in (curve, value_and_grad(curve), hessian(curve), autograd.grad(autograd.grad(curve))):
        compiled = autograd.compile(f)
        compiled(1.0)
        arrived = again(compiled)
        assert arrived(-1.5) == compiled(-1.5)  # another way through the function: it is traced


@pytest.mark.usefixtures("only_pickle")
def test_another_process_calls_what_arrives_without_tracing(tmp_path):
    compiled = autograd.compile(value_and_grad(lambda x, w: dot(x, w) ** 2, argnums=1))
    expected = compiled([1.0, 2.0], [3.0, 4.0])
    rows = autograd.compile(lambda x: x * x, rows=0)
    table = rows(np.array([0.1, 0.2]))
    path = tmp_path / "compiled"
    path.write_bytes(pickle.dumps((compiled, rows)))
    script = f"""
import pickle
from importlib import import_module
from pathlib import Path
compiled, rows = pickle.loads(Path({str(path)!r}).read_bytes())
module = import_module("autograd.compile.compiled")
module.trace = None
import_module("autograd.compile.emit").emit = None
print(compiled([1.0, 2.0], [3.0, 4.0]), rows([0.1, 0.2]).tolist())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{expected} {table.tolist()}"


@pytest.mark.usefixtures("only_pickle")
def test_without_its_function_what_arrives_says_what_to_do_where_it_is_needed():
    compiled = autograd.compile(lambda x: x * 2.0 if x > 0.0 else x)
    compiled(1.0)
    arrived = again(again(compiled))
    assert arrived(4.0) == 8.0
    for new in (-1.0, [1.0], Value(1.0)):
        with pytest.raises(RuntimeError, match=r"<lambda> didn't come along .*install cloudpickle"):
            arrived(new)


@pytest.mark.usefixtures("only_pickle")
def test_a_name_that_leads_nowhere_over_there_leaves_the_programs(monkeypatch):
    compiled = autograd.compile(curve)
    compiled(1.0)
    sent = pickle.dumps(compiled)
    monkeypatch.delattr(sys.modules[__name__], "curve")
    arrived = arrived_from(sent)
    assert arrived(2.0) == compiled(2.0)
    with pytest.raises(RuntimeError, match=r"curve didn't come along .*AttributeError"):
        arrived([1.0])


def test_with_cloudpickle_a_lambda_comes_along():
    pytest.importorskip("cloudpickle")
    factor = 3.0
    compiled = autograd.compile(lambda x: x * factor)
    compiled(1.0)
    assert again(compiled)([2.0][0]) == 6.0
    assert again(autograd.compile(lambda x: x[0] * factor))([2.0]) == 6.0


def test_values_that_travel_with_it_are_still_the_ones_that_it_reads(no_trace):
    model = nn.MLP(2, [2, 1], activation="tanh")
    compiled = autograd.compile(model)
    before = compiled([1.0, 2.0])
    other, arrived = again((model, compiled))
    no_trace()
    assert arrived([1.0, 2.0]) == before
    other.parameters()[0].data += 1.0
    assert arrived([1.0, 2.0]) == pytest.approx(other([1.0, 2.0]).data, rel=1e-14)
    assert arrived([1.0, 2.0]) != before
    assert compiled([1.0, 2.0]) == before


@pytest.mark.usefixtures("only_pickle")
def test_a_function_by_name_reads_the_values_that_its_name_leads_to():
    compiled = autograd.compile(scaled)
    assert compiled(1.0) == 2.0
    arrived = again(compiled)
    try:
        scale.data = 5.0
        assert arrived(1.0) == compiled(1.0) == 5.0
    finally:
        scale.data = 2.0


def test_the_values_of_a_lambda_travel_with_it(no_trace):
    pytest.importorskip("cloudpickle")
    weight = Value(2.0)
    compiled = autograd.compile(lambda x: x * weight)
    compiled(1.0)
    arrived = again(compiled)
    no_trace()
    weight.data = 7.0
    assert (compiled(1.0), arrived(1.0)) == (7.0, 2.0)


def test_a_compiled_graph_travels_with_its_graph(no_trace):
    a, b, w = Value(1.0, "a"), Value(2.0, "b"), Value(3.0, "w")
    compiled = autograd.compile(a * b + w, inputs=[a, b])
    weight, arrived = again((w, compiled))
    no_trace()
    assert arrived(4.0, 5.0) == 23.0
    weight.data = 0.0
    assert arrived(4.0, 5.0) == 20.0
    traced = arrived(Value(4.0), 5.0)
    assert traced.data == 20.0


def test_machine_code_that_is_small_comes_along(monkeypatch):
    pytest.importorskip("llvmlite")
    emit = import_module("autograd.compile.emit")
    compiled = autograd.compile(curve)
    expected = compiled(1.0)
    sent = pickle.dumps(compiled)
    monkeypatch.setattr(emit, "emit", None)
    assert arrived_from(sent)(1.0) == expected


def test_machine_code_that_is_large_stays_behind(monkeypatch):
    pytest.importorskip("llvmlite")
    compiled = autograd.compile(curve)
    expected = compiled(1.0)
    whole = len(pickle.dumps(compiled))
    monkeypatch.setattr(code, "SMALL", 10)
    other = autograd.compile(curve)
    other(1.0)
    sent = pickle.dumps(other)
    assert len(sent) < whole / 2
    assert arrived_from(sent)(1.0) == expected


def test_machine_code_for_another_processor_is_compiled_anew(monkeypatch):
    pytest.importorskip("llvmlite")
    compiled = autograd.compile(curve)
    expected = compiled(1.0)
    sent = pickle.dumps(compiled)
    monkeypatch.setattr(cache, "_environment", lambda: "another processor")
    assert arrived_from(sent)(1.0) == expected
    monkeypatch.setattr(code, "_make", None)
    with pytest.raises(TypeError, match="not callable"):  # it was made, and has to be
        arrived_from(sent)(1.0)


def test_a_copy_has_the_programs_and_goes_its_own_way(no_trace):
    compiled = autograd.compile(curve)
    compiled(1.0)
    for made in (copy.copy(compiled), copy.deepcopy(compiled)):
        assert made(-1.0) == -3.0
        assert (len(made.paths), len(compiled.paths)) == (2, 1)
    no_trace()
    assert copy.deepcopy(compiled)(2.0) == compiled(2.0)


def test_a_deep_copy_of_a_compiled_model_has_parameters_of_its_own():
    model = nn.MLP(1, [1])
    compiled = autograd.compile(model)
    before = compiled([1.0])
    shallow, deep = copy.copy(compiled), copy.deepcopy(compiled)
    model.parameters()[0].data += 1.0
    assert shallow([1.0]) == compiled([1.0]) == before + 1.0
    assert deep([1.0]) == before


def test_bound_functions_say_that_they_cant_be_pickled():
    weight = Value(2.0)
    for f in (sin, lambda x: x * weight):
        run = autograd.compile(f).bind(array("d", [1.0])[0], out=array("d", [0.0]))
        with pytest.raises(TypeError, match=r"bound function can't be pickled.*bind it where"):
            pickle.dumps(run)


# --- joblib and Dask, as they are -----------------------------------------------------------------

SHARDS = """
import os, signal, sys
from importlib import import_module
from pathlib import Path
import numpy as np
import autograd
from autograd import dot, tanh, value_and_grad

def loss(x, y, w):
    return (tanh(dot(x, w)) - y) ** 2

step = autograd.compile(value_and_grad(loss, argnums=2), rows=(0, 1), reduce="sum")

def on_shard(step, X, y, w, marker=None):
    import_module("autograd.compile.compiled").trace = None  # nothing is traced over here
    if marker is not None and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return (*step(X, y, w), os.getpid())

def check(parts):
    values, gradients, processes = zip(*parts)
    np.testing.assert_allclose(sum(values), whole[0], rtol=1e-12)
    np.testing.assert_allclose(sum(gradients), whole[1], rtol=1e-12)
    assert os.getpid() not in processes
    return processes

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(1000, 3)), rng.normal(size=1000), rng.normal(size=3)
    whole = step(X, y, w)
    shards = np.array_split(np.arange(1000), 8)
"""
JOBLIB = """
    from joblib import Parallel, delayed
    check(Parallel(n_jobs=2)(delayed(on_shard)(step, X[s], y[s], w) for s in shards))
    print("added up")
"""
DASK = """
    from distributed import Client, LocalCluster
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(n_workers=3, **options) as cluster, Client(cluster) as client:
        for marker in (None, sys.argv[1]):
            marked = [marker if k == 3 else None for k in range(len(shards))]
            futures = [
                client.submit(on_shard, step, X[s], y[s], w, mark, pure=False)
                for s, mark in zip(shards, marked)
            ]
            assert len({*check(client.gather(futures))}) > 1
    assert Path(sys.argv[1]).exists()
    print("added up")
"""


def run_script(tmp_path: Path, text: str) -> str:
    script = tmp_path / "script.py"
    script.write_text(SHARDS + text)
    command = [sys.executable, str(script), str(tmp_path / "marker")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_joblib_s_processes_add_up_the_gradients_of_shards(tmp_path):
    pytest.importorskip("joblib")
    assert "added up" in run_script(tmp_path, JOBLIB)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_dask_cluster_adds_up_the_gradients_of_shards_also_when_a_worker_is_killed(tmp_path):
    pytest.importorskip("distributed")
    assert "added up" in run_script(tmp_path, DASK)
