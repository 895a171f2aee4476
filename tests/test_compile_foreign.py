"""The tape as a function for another engine: numpy for all, and JAX and PyTorch where they are."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from test_compile_equal import (
    OPERATIONS,
    PROGRAMS,
    SCALARS,
    STEP,
    WEIGHTS,
    WS,
    XS,
    assert_equal,
    batch,
    compiled,
    flat,
    over_rows,
    row_loss,
)

import autograd
from autograd import Value, define, grad, ieee, value_and_grad
from autograd.compile.foreign import function
from autograd.compile.interpret import Numpy

if find_spec("torch"):
    import torch
if find_spec("jax"):
    import jax

    jax.config.update("jax_enable_x64", val=True)

LIBRARIES = ["numpy", *[name for name in ("jax", "torch") if find_spec(name)]]
every_library = pytest.mark.parametrize("name", LIBRARIES)


def converted(f: Any, name: str) -> Any:
    """Return the function of the library's arrays that a compiled function is."""
    if name == "numpy":
        return function(f._last, Numpy(), "numpy")
    return f.to_jax() if name == "jax" else f.to_torch()


# All but one, which has an operation that Python computes.
CONVERTIBLE = [name for name in PROGRAMS if name != "counts"]


def of_all(thing: Any) -> list[float]:
    """Return the numbers of arrays of any library, in lists or not, in order."""
    if isinstance(thing, list | tuple):
        return [x for part in thing for x in of_all(part)]
    return [float(x) for x in np.asarray(thing).reshape(-1)]


bump = define(
    "compile_foreign_bump",
    lambda a: 1.0 / (a * a + 1.0),
    lambda y, a: -2.0 * a * y * y,
    lowering=lambda m, a: m.if_less(abs(a), 1e8, 1.0 / (a * a + 1.0), 1.0 / a / a),
)

# --- the numbers ----------------------------------------------------------------------------------


@every_library
@pytest.mark.parametrize("program", CONVERTIBLE)
def test_a_program_is_equal_by_itself_and_on_rows(program, name):
    f = PROGRAMS[program]
    own = compiled(f)
    own(XS, WS)
    assert_equal(f, of_all(converted(own, name)(XS, WS)), XS, WS)
    X = np.outer(np.linspace(0.5, 1.5, 7), XS)
    rows = compiled(f, rows=0)
    expected = flat(rows(X, WS))
    got = of_all(converted(rows, name)(X, WS))
    assert got == pytest.approx(expected, rel=1e-14, abs=1e-15, nan_ok=True)


@every_library
@pytest.mark.parametrize("program", SCALARS)
def test_the_derivatives_of_a_program_are_equal(program, name):
    f = value_and_grad(PROGRAMS[program], argnums=(0, 1))
    own = compiled(f)
    own(XS, WS)
    assert_equal(f, of_all(converted(own, name)(XS, WS)), XS, WS)


@every_library
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_rows_add_up(reduce, name):
    X, targets = batch(33)
    own = compiled(STEP, rows=(0, 2), reduce=reduce)
    own(X, WEIGHTS, targets, 1.3)
    got = of_all(converted(own, name)(X, WEIGHTS, targets, 1.3))

    def total(weights: Any, scale: Any) -> Any:
        def one(shared: Any, row: Any, target: Any) -> Any:
            return STEP(row, shared[0], target, shared[1])

        return over_rows(one, reduce, (weights, scale), X, targets)

    assert_equal(total, got, WEIGHTS, 1.3)


def lowered() -> list[Any]:
    return [op for op in OPERATIONS if op.lowering is not None]


def inside(op: Any) -> list[float]:
    """Two thirds of the way into the domain of each operand."""
    point = []
    for i in range(op.arity or 4):
        low, high, _ = op.domain[i % len(op.domain)] if op.domain else (-2.0, 2.0, False)
        low, high = max(low, -2.0), min(high, 2.0)
        point.append(low + (0.6 + 0.05 * i) * (high - low))
    return point


@every_library
@pytest.mark.parametrize("op", lowered(), ids=lambda op: op.name)
def test_an_operation_is_equal(op, name):
    point = inside(op)

    def f(xs: list[Any]) -> Any:
        return op.apply(tuple(xs))

    own = compiled(f)
    with ieee():
        own(point)
        expected = f(point)
    got = of_all(converted(own, name)(point))
    assert got == pytest.approx([expected], rel=1e-13, abs=1e-15)


# --- what goes in and what comes out --------------------------------------------------------------


@every_library
def test_results_have_the_structure_of_the_functions_own(name):
    f = compiled(lambda x, w: (x * w[0], [x, w[1]], [[w[0], x], [x, x]]))
    f(2.0, [3.0, 5.0])
    number, numbers, lists = converted(f, name)(2.0, [3.0, 5.0])
    assert np.shape(number) == ()
    assert np.asarray(numbers).tolist() == [2.0, 5.0]
    assert isinstance(lists, list)
    assert [np.asarray(own).tolist() for own in lists] == [[3.0, 2.0], [2.0, 2.0]]


@every_library
def test_an_array_is_as_good_as_the_lists_it_stands_for(name):
    f = compiled(lambda m: m[0][0] * m[1][1] - m[0][1] * m[1][0])
    assert f([[1.0, 2.0], [3.0, 5.0]]) == -1.0
    g = converted(f, name)
    for matrix in ([[1.0, 2.0], [3.0, 5.0]], np.array([[1.0, 2.0], [3.0, 5.0]])):
        assert of_all(g(matrix)) == [-1.0]
    rows = [np.array([1.0, 2.0]), np.array([3.0, 5.0])]
    if name == "numpy":  # an engine's lists are of the engine's own arrays
        assert of_all(g(rows)) == [-1.0]


@every_library
def test_a_way_that_was_not_traced_is_nan(name):
    f = compiled(lambda x: 2.0 * x if x > 0.0 else 3.0 * x)
    f(1.0)
    g = converted(f, name)
    assert of_all(g(4.0)) == [8.0]
    assert np.isnan(of_all(g(-4.0))).all()
    rows = compiled(lambda x: 2.0 * x if x > 0.0 else 3.0 * x, rows=0)
    rows([1.0])
    assert of_all(converted(rows, name)([1.0, 2.0])) == [2.0, 4.0]
    assert np.isnan(of_all(converted(rows, name)([1.0, -2.0]))).all()


@every_library
def test_captured_data_are_constants_of_the_function(name):
    w = Value(2.0)
    f = compiled(lambda x: x * w)
    f(1.0)
    g = converted(f, name)
    w.data = 5.0
    assert of_all(g(3.0)) == [6.0]


@every_library
def test_other_numbers_than_were_compiled_for_are_refused(name):
    def product(x: list[Any], w: list[Any]) -> Any:
        return autograd.dot(x, w)

    f = compiled(product, rows=0)
    f([[1.0, 2.0]], [3.0, 4.0])
    g = converted(f, name)
    with pytest.raises(ValueError, match=r"w must have the 2 numbers .* compiled for; got 3"):
        g([[1.0, 2.0]], [3.0, 4.0, 5.0])
    with pytest.raises(ValueError, match=r"x must have the 2 numbers in each row .*; got 1"):
        g([[1.0]], [3.0, 4.0])
    with pytest.raises(TypeError, match="the function takes 2 arguments; got 1"):
        g([[1.0, 2.0]])


def test_an_operation_that_python_computes_is_refused():
    f = compiled(lambda x: autograd.lgamma(x) * autograd.lgamma(2.0 * x))
    f(1.5)
    with pytest.raises(ValueError, match=r"^lgamma: computed by Python, with no formula for numpy"):
        converted(f, "numpy")
    exact = compiled(autograd.sigmoid, exact=True)
    exact(1.5)
    with pytest.raises(ValueError, match=r"sigmoid: .*without exact=True they may have one"):
        converted(exact, "numpy")


def test_a_function_that_was_not_called_has_nothing_to_convert():
    f = compiled(lambda x: x)
    for convert in (f.to_c, partial(converted, f, "numpy")):
        with pytest.raises(RuntimeError, match="no tape yet: call it once"):
            convert()


# --- the engines' own -----------------------------------------------------------------------------

SMOOTH = ["sigmoid", "softplus", "log_sigmoid", "sech2", "gauss", "normal_cdf", "gelu", "silu"]

if find_spec("torch"):

    def test_pytorch_differentiates_it():
        X, targets = batch(20)
        f = compiled(row_loss, rows=(0, 2), reduce="mean")
        step = compiled(value_and_grad(row_loss, argnums=1), rows=(0, 2), reduce="mean")
        f(X, WEIGHTS, targets, 1.3)
        _, expected = step(X, WEIGHTS, targets, 1.3)
        weights = torch.tensor(WEIGHTS, dtype=torch.float64, requires_grad=True)
        f.to_torch()(X, weights, targets, 1.3).backward()
        assert of_all(weights.grad) == pytest.approx(of_all(expected), rel=1e-12)

    @pytest.mark.parametrize("name", SMOOTH)
    def test_pytorch_has_the_right_slope_everywhere(name):
        points = [-300.0, -20.0, -1.5, 0.0, 0.5, 9.5, 25.0, 800.0]
        f = compiled(getattr(autograd, name), rows=0)
        f(points)
        x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        f.to_torch()(x).sum().backward()
        expected = [grad(getattr(autograd, name))(p) for p in points]
        assert of_all(x.grad) == pytest.approx(expected, rel=1e-10, abs=1e-16)


if find_spec("jax"):

    def test_jax_differentiates_and_jits_it():
        X, targets = batch(20)
        f = compiled(row_loss, rows=(0, 2), reduce="mean")
        step = compiled(value_and_grad(row_loss, argnums=1), rows=(0, 2), reduce="mean")
        f(X, WEIGHTS, targets, 1.3)
        _, expected = step(X, WEIGHTS, targets, 1.3)
        slope = jax.jit(jax.grad(converted(f, "jax"), argnums=1))
        got = slope(X, jax.numpy.array(WEIGHTS), targets, 1.3)
        assert of_all(got) == pytest.approx(of_all(expected), rel=1e-12)

    def test_jax_has_to_be_told_that_doubles_are_wanted():
        f = compiled(autograd.sin)
        f(1.0)
        jax.config.update("jax_enable_x64", val=False)
        try:
            with pytest.raises(RuntimeError, match="jax_enable_x64"):
                f.to_jax()
        finally:
            jax.config.update("jax_enable_x64", val=True)


@every_library
def test_a_users_own_operation_goes_along_if_it_has_a_lowering(name):
    f = compiled(lambda x: bump(x) * 2.0)
    f(3.0)
    assert of_all(converted(f, name)(7.0)) == pytest.approx([0.04], rel=1e-15)
