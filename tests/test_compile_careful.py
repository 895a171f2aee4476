"""Compiled derivatives where a choice leaves out what isn't finite: missing data, overflows.

A program hopes that all numbers are finite, since then 0 times a derivative that isn't reached is
0. Where a result isn't finite, a careful one answers.
"""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor
from math import inf, isnan, nan
from typing import TYPE_CHECKING, Any

import pytest

import autograd
from autograd import compile as compiled_from
from autograd import grad, hessian, ieee, jacobian, jvp, maximum, relu, value_and_grad, where
from autograd.value import plain

np = pytest.importorskip("numpy")

if TYPE_CHECKING:
    from collections.abc import Callable


def present(x: Any, w: Any) -> Any:
    """A product of data that may be missing, which nan says."""
    return where(x == x, w * x, 0.0)  # noqa: PLR0124  (a nan isn't equal to itself)


def moderate(x: Any, w: Any) -> Any:
    return where(x < 1e100, x * x * x * w, x * w)


def kept(x: Any, w: Any) -> Any:
    return relu(1.0 - x * x * w) * x + w


PROGRAMS = {"present": present, "moderate": moderate, "kept": kept}
WAYS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "value and grad": lambda f: value_and_grad(f, (0, 1)),
    "grad in w": lambda f: grad(f, 1),
    "jacobian": lambda f: jacobian(lambda x, w: [f(x, w), f(x, w) * w], (0, 1)),
    "hessian": lambda f: hessian(f, 1),
    "jvp": lambda f: lambda x, w: jvp(f, [x, w], [1.0, 2.0]),
}
NUMBERS = (1.0, nan, -2.0, inf, -inf, 1e200, -1e200, 0.0)


def flat(result: Any) -> list[float]:
    if isinstance(result, list | tuple):
        return [x for part in result for x in flat(part)]
    return [float(plain(result))]


def agree(found: list[float], expected: list[float]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(a == pytest.approx(b, rel=1e-14) or (isnan(a) and isnan(b)) for a, b in pairs)


def afresh(f: Callable[..., Any], *args: Any) -> list[float]:
    with ieee():
        return flat(f(*args))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_that_are_not_finite_have_the_function_s_derivatives(
    name: str, way: str, *, exact: bool
) -> None:
    f = WAYS[way](PROGRAMS[name])
    compiled = compiled_from(f, exact=exact)
    for x in NUMBERS * 2:
        found, expected = flat(compiled(x, 2.0)), afresh(f, x, 2.0)
        assert agree(found, expected), (x, found, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_row_has_them_whatever_the_others_are(name: str, way: str) -> None:
    f = WAYS[way](PROGRAMS[name])
    compiled = compiled_from(f, rows=0)
    rows = np.array(NUMBERS * 5)
    results = compiled(rows, 2.0)
    columns = [*leaves(results)]
    for i, x in enumerate(rows):
        found, expected = [float(column[i]) for column in columns], afresh(f, float(x), 2.0)
        assert agree(found, expected), (x, found, expected)


def leaves(results: Any) -> list[Any]:
    if isinstance(results, list | tuple):
        return [x for part in results for x in leaves(part)]
    # A list of numbers is one array, with a row for each.
    return [results] if results.ndim == 1 else leaves([*results.T])


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_that_are_missing_leave_no_trace_in_a_sum(reduce: Any, threads: int) -> None:
    f = value_and_grad(present, argnums=1)
    compiled = compiled_from(f, rows=0, reduce=reduce, threads=threads)
    rows = np.array([1.0, nan, -2.0, inf, 4.0] * 40)
    rows[rows == inf] = nan
    known = rows[~np.isnan(rows)]
    total, slope = compiled(rows, 2.0)
    count = len(rows) if reduce == "mean" else 1
    assert total == pytest.approx(2.0 * known.sum() / count)
    assert slope == pytest.approx(known.sum() / count)


def test_bound_buffers_have_them_too_and_go_on_when_the_numbers_are_finite_again() -> None:
    compiled = compiled_from(value_and_grad(lambda x, w: present(x[0], w[0]), argnums=1))
    x, w, value, slope = (array("d", [number]) for number in (3.0, 2.0, 0.0, 0.0))
    run = compiled.bind(x, w, out=(value, slope))
    for number in (3.0, nan, 5.0, nan, -1.0):
        x[0] = number
        run()
        expected = (0.0, 0.0) if isnan(number) else (2.0 * number, number)
        assert (value[0], slope[0]) == expected


def test_threads_share_the_careful_program() -> None:
    compiled = compiled_from(value_and_grad(present, argnums=1))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: compiled(nan if i % 2 else 3.0, 2.0), range(200)))
    assert results == [(0.0, 0.0) if i % 2 else (6.0, 3.0) for i in range(200)]


def test_a_decision_on_a_gradient_that_may_be_hidden_is_the_function_s() -> None:
    def clipped(x: Any, w: Any) -> Any:
        slope = grad(present, 1)(x, w)
        return max(slope, -1.0)

    def limited(x: Any, w: Any) -> Any:
        return maximum(grad(present, 1)(x, w), -1.0)

    def chosen(x: Any, w: Any) -> Any:
        return where(grad(present, 1)(x, w) < 5.0, x * 0.0 + 1.0, w)

    for f in (clipped, limited, chosen):
        compiled = compiled_from(f)
        for x in (1.0, nan, -3.0, 7.0, nan, inf):
            found, expected = flat(compiled(x, 2.0)), afresh(f, x, 2.0)
            assert agree(found, expected), (f.__name__, x, found, expected)


def test_what_is_nan_in_the_function_is_nan_in_the_program() -> None:
    f = value_and_grad(lambda x: autograd.log(x) * x)
    compiled = compiled_from(f)
    for x in (-1.0, 0.0, nan, 2.0):
        assert agree(flat(compiled(x)), afresh(f, x))
