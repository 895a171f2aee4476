"""Without llvmlite the same programs run on numpy: by the same criterion, bound, and in threads."""

from __future__ import annotations

import subprocess
import sys
from array import array
from typing import Any

import numpy as np
import pytest
from test_compile_equal import (
    CORNERS,
    INF,
    NAN,
    OPERATIONS,
    PROGRAMS,
    SCALARS,
    STEP,
    WEIGHTS,
    WS,
    XS,
    assert_equal,
    assert_found,
    batch,
    columns_of,
    compiled,
    each_array,
    ends,
    fast_and_exact,
    interpreted,
    is_near,
    nth,
    over_rows,
    row_loss,
)

import autograd
from autograd import Value, hessian, ieee, value_and_grad
from autograd.compile import program
from autograd.compile.interpret import Interpreted, Numpy


@pytest.fixture(autouse=True)
def _without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "find_spec", lambda _: None)


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


# --- which one runs -------------------------------------------------------------------------------


def test_here_it_is_numpy_that_runs():
    f = compiled(autograd.sin)
    assert is_near(f(0.5), autograd.sin(0.5))
    assert isinstance(f.programs[0].loaded(), Interpreted)


def test_llvmlite_is_not_needed():
    script = """
import sys
sys.modules["llvmlite"] = None
import numpy as np
import autograd
f = autograd.compile(autograd.value_and_grad(lambda x: x * x * x), cache=False)
print(f(2.0))
print(autograd.compile(lambda x, w: x * w, rows=0, cache=False)(np.array([1.0, 2.0]), 3.0))
"""
    done = run_python(script)
    assert done.stderr == ""
    assert done.stdout == "(8.0, 12.0)\n[3. 6.]\n"


def test_without_numpy_the_remedy_is_named():
    done = run_python(
        "import sys; sys.modules['numpy'] = None; import autograd; autograd.compile(abs)"
    )
    assert 'ImportError: compile needs numpy: pip install "chainrule[compile]"' in done.stderr


# --- the numbers ----------------------------------------------------------------------------------


@fast_and_exact
@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_an_operation_is_equal_at_the_ends_of_the_doubles(op, exact):
    def f(xs: list[Any]) -> Any:
        return [op.apply(tuple(xs))]

    points = ends(op)
    if op.domain and op.domain[0].low == op.domain[0].high:  # an order, such as polygamma's
        points = [[1.0, *point[1:]] for point in points]
    got = compiled(f, rows=0, exact=exact)(np.array(points))
    for point, found in zip(points, columns_of(got, len(points)), strict=True):
        assert_found(f, found, interpreted(f, point), (point,), exact=exact)


@fast_and_exact
@pytest.mark.parametrize("case", CORNERS, ids=lambda case: f"{case[0]}, {case[2]}, {case[3]}")
def test_a_corner_case_comes_out_right(case, exact):
    _, f, order, x, y = case
    derivative = nth(f, order)
    assert is_near(compiled(derivative, exact=exact)(x), y)


@fast_and_exact
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_equal_by_itself_and_on_rows(name, exact):
    f = PROGRAMS[name]
    assert_equal(f, compiled(f, exact=exact)(XS, WS), XS, WS, exact=exact)
    X = np.outer(np.linspace(0.5, 1.5, 19), XS)
    result = compiled(f, rows=0, exact=exact)(X, WS)
    columns = [column.reshape(19, -1) for column in each_array(result)]
    for r, row in enumerate(X.tolist()):
        own = [float(x) for column in columns for x in column[r]]
        assert_equal(f, own, row, WS, exact=exact)


@fast_and_exact
@pytest.mark.parametrize("name", SCALARS)
def test_the_derivatives_of_a_program_are_equal_and_add_up_over_rows(name, exact):
    f = PROGRAMS[name]
    for g in (value_and_grad(f, argnums=(0, 1)), hessian(f)):
        assert_equal(g, compiled(g, exact=exact)(XS, WS), XS, WS, exact=exact)
    one = value_and_grad(f, argnums=1)
    X = np.outer(np.linspace(0.5, 1.5, 19), XS)
    got = compiled(one, rows=0, reduce="sum", exact=exact)(X, WS)
    assert_equal(lambda ws: over_rows(lambda w, row: one(row, w), "sum", ws, X), got, WS)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 257])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_rows_add_up_whatever_their_number(reduce, rows, threads):
    X, targets = batch(rows)

    def total(weights: Any, scale: Any) -> Any:
        def one(shared: Any, row: Any, target: Any) -> Any:
            return STEP(row, shared[0], target, shared[1])

        return over_rows(one, reduce, (weights, scale), X, targets)

    f = compiled(STEP, rows=(0, 2), reduce=reduce, threads=threads)
    assert_equal(total, f(X, WEIGHTS, targets, 1.3), WEIGHTS, 1.3)


def test_rows_that_need_several_blocks_are_all_computed(monkeypatch):
    monkeypatch.setattr(program, "BLOCK", 1 << 12)
    X, targets = batch(1000)
    values = compiled(row_loss, rows=(0, 2))(X, WEIGHTS, targets, 1.3)
    for r in range(1000):
        assert_equal(row_loss, values[r], X[r].tolist(), WEIGHTS, float(targets[r]), 1.3)
    mean = compiled(row_loss, rows=(0, 2), reduce="mean")(X, WEIGHTS, targets, 1.3)
    assert mean == pytest.approx(values.mean(), rel=1e-14)


@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_rows_are_read_wherever_they_lie(step):
    X, targets = batch(20)
    f = compiled(row_loss, rows=(0, 2))
    expected = f(X[::step].copy(), WEIGHTS, targets[::step].copy(), 1.3)
    for array_of in (lambda x: x, np.asfortranarray, lambda x: x[:, ::-1][:, ::-1]):
        got = f(array_of(X)[::step], WEIGHTS, targets[::step], 1.3)
        assert got.tolist() == expected.tolist()


def test_erf_and_the_functions_made_of_it_take_whole_arrays():
    x = np.array([[-INF, -40.0, -1.0], [0.0, 9.5, NAN]])
    for name in ("erf", "normal_cdf", "gelu", "gauss", "silu", "sech2", "softplus", "log_sigmoid"):
        got = Numpy().of(name)(x)
        with ieee():
            for own, y in zip(x.flat, got.flat, strict=True):
                expected = autograd.REGISTRY[name].evaluate(float(own))
                assert y == pytest.approx(expected, rel=2e-15, abs=0.0, nan_ok=True)


# --- decisions, captured Values, Python's operations ----------------------------------------------


def test_another_decision_is_traced_anew():
    f = compiled(lambda x: 2.0 * x if x > 0.0 else 3.0 * x)
    assert [f(1.0), f(-1.0), f(2.0)] == [2.0, -3.0, 4.0]
    assert len(f.paths) == 2


def test_rows_that_disagree_are_an_error():
    f = compiled(lambda x: 2.0 * x if x > 0.0 else 3.0 * x, rows=0)
    assert f([1.0, 2.0]).tolist() == [2.0, 4.0]
    assert f([-1.0, -2.0]).tolist() == [-3.0, -6.0]
    with pytest.raises(ValueError, match=r"the rows disagree: .* is true in 1 of 2"):
        f([1.0, -1.0])


def test_the_data_of_a_captured_value_is_read_at_every_call():
    w = Value(2.0)
    f = compiled(lambda x: x * w)
    assert f(3.0) == 6.0
    w.data = 5.0
    assert f(3.0) == 15.0


def test_operations_that_python_computes_are_called_for_each_number():
    f = compiled(lambda x, y: autograd.lgamma(x) * y, rows=0)
    assert f([0.5, 3.5, -1.0], 2.0).tolist() == [
        2.0 * autograd.lgamma(0.5),
        2.0 * autograd.lgamma(3.5),
        INF,
    ]


# --- bound to buffers -----------------------------------------------------------------------------


def test_a_bound_function_reads_and_writes_in_place():
    x, out = array("d", [1.0, 2.0]), array("d", [0.0, 0.0])
    run = compiled(lambda x: [x[0] * 3.7 + x[1] * 1.3, x[0] / 7.7]).bind(x, out=out)
    assert run() is None
    assert out.tolist() == pytest.approx([6.3, 1.0 / 7.7], rel=1e-15)
    x[0] = 7.7
    run()
    assert out[1] == 1.0


def test_a_bound_function_takes_another_way_where_it_has_to():
    x, out = array("d", [1.0]), np.zeros(1)
    run = compiled(lambda x: 2.0 * x[0] if x[0] > 0.0 else 3.0 * x[0]).bind(x, out=out)
    run()
    assert out[0] == 2.0
    x[0] = -1.0
    run()
    assert out[0] == -3.0


def test_a_bound_sum_over_rows_writes_its_gradient():
    X, targets = batch(9)
    value, slopes = np.zeros(1), np.zeros(6)
    f = compiled(value_and_grad(flat_loss, argnums=1), rows=(0, 2), reduce="sum")
    run = f.bind(X, np.ravel(WEIGHTS), targets, out=(value, slopes))
    run()
    expected = f(X, np.ravel(WEIGHTS), targets)
    assert value[0] == expected[0]
    assert slopes.tolist() == expected[1].tolist()


def flat_loss(row: list[Any], weights: list[Any], target: Any) -> Any:
    return row_loss(row, [weights[:3], weights[3:]], target, 1.3)
