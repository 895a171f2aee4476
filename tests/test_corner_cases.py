"""Every case that published engines got wrong, judged by mpmath: one test or more per row."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import mpmath as mp
import numpy as np
import pytest

import autograd
from autograd import Value, grad, gradients

if TYPE_CHECKING:
    from collections.abc import Callable

INF = math.inf
NAN = math.nan


def ulps(value: float, exact: Any) -> float:
    """Measure the error in units in the last place of the exact number."""
    if not math.isfinite(value):
        return INF
    return float(abs(mp.mpf(value) - exact) / math.ulp(float(exact)))


def nth(f: Callable[[Any], Any], order: int) -> Callable[[float], float]:
    """Return the derivative of f of that order."""
    for _ in range(order):
        f = grad(f)
    return f


def differentiate(f: Callable[..., Any], *data: float) -> list[float]:
    """Return f's gradient at the point, by `backward` on leaves."""
    leaves = [Value(x) for x in data]
    f(*leaves).backward()
    return [x.grad for x in leaves]


# --- powers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exponent", "order", "expected"),
    [(0, 1, 0.0), (2, 1, 0.0), (2, 2, 2.0), (2, 3, 0.0), (1.875, 1, 0.0), (1, 1, 1.0), (3, 3, 6.0)],
)
def test_a_power_has_its_derivatives_at_zero(exponent: float, order: int, expected: float) -> None:
    for f in (lambda x: x**exponent, lambda x: autograd.pow(x, float(exponent))):
        assert nth(f, order)(0.0) == expected


def test_a_cube_at_a_negative_base_has_its_derivative_also_where_the_exponent_is_a_value() -> None:
    assert differentiate(lambda x: x**3, -2.0) == [12.0]
    x, n = Value(-2.0), Value(3.0)
    y = x**n
    assert gradients(y, [x])[0].data == 12.0
    with pytest.raises(ValueError, match="the derivative in operand 2 is undefined"):
        y.backward()
    with autograd.ieee():
        y.backward()
    assert x.grad == 12.0
    assert math.isnan(n.grad)


@pytest.mark.parametrize("exponent", [1.0, 0.5, 2.0, 1e-300, 1e300])
def test_zero_to_a_positive_power_has_derivative_zero_in_the_exponent(exponent: float) -> None:
    assert differentiate(lambda y: 0.0**y, exponent) == [0.0]
    x, y = Value(0.0), Value(exponent)
    assert gradients(x**y, [y])[0].data == 0.0


@pytest.mark.parametrize("build", [lambda: Value(-1.0) ** 0.5, lambda: (-1.0) ** Value(0.5)])
def test_a_root_of_a_negative_number_is_an_error_and_never_complex(build: Any) -> None:
    with pytest.raises(ValueError, match=r"pow\(-1\.0, 0\.5\): a negative base takes whole"):
        build()
    with autograd.ieee():
        assert math.isnan(build().data)


def test_division_of_all_small_integers_is_exactly_ieee_division() -> None:
    for a in range(-64, 65):
        for b in [*range(-64, 0), *range(1, 65)]:
            assert (Value(a) / b).data == (a / Value(b)).data == (Value(a) / Value(b)).data == a / b


# --- zero times infinity --------------------------------------------------------------------------

DENTED: list[Callable[[Any], Any]] = [
    lambda x: autograd.sqrt(x) ** 2,
    lambda x: autograd.sqrt(x * x),
    lambda x: autograd.hypot(x, 0.0),
]


@pytest.mark.parametrize("f", DENTED)
def test_a_root_and_its_square_at_zero_give_a_clear_error_or_the_declared_subgradient(
    f: Callable[[Any], Any],
) -> None:
    if f is DENTED[2]:
        assert differentiate(f, 0.0) == [0.0]
        return
    with pytest.raises(ZeroDivisionError, match=r"sqrt\(0\.0\): the derivative is infinite here"):
        differentiate(f, 0.0)


@pytest.mark.parametrize("f", DENTED)
@pytest.mark.parametrize("x", [1e-150, 1e-20, 1.0, 1e150])
def test_a_root_and_its_square_near_zero_give_the_true_limit(
    f: Callable[[Any], Any], x: float
) -> None:
    assert ulps(differentiate(f, x)[0], 1) <= 4
    if f is not DENTED[0]:
        assert ulps(differentiate(f, -x)[0], -1) <= 4


def test_hypot_of_the_smallest_number_and_zero_has_slope_one() -> None:
    assert differentiate(lambda x: autograd.hypot(x, 0.0), 5e-324) == [1.0]
    assert differentiate(lambda x: autograd.sqrt(x) ** 2, 5e-324) == [1.0]


@pytest.mark.parametrize("data", [-1.0, 0.0])
def test_a_branch_that_is_not_taken_does_not_reach_the_gradient(data: float) -> None:
    x = Value(data)
    with pytest.raises(ValueError, match=r"log\(.*\): operand must be > 0"):
        autograd.where(x > 0, autograd.log(x), 0)
    with autograd.ieee():
        y = autograd.where(x > 0, autograd.log(x), 0)
        y.backward()
        assert (y.data, x.grad) == (0.0, 0.0)
        assert gradients(y, [x])[0].data == 0.0
        assert autograd.jvp(lambda a: autograd.where(a > 0, a.log(), 0), [data], [1.0])[1] == 0.0
    x.grad = 1.0
    y.backward()
    assert x.grad == 1.0


def test_a_blanket_zero_times_infinity_is_not_how_a_branch_is_cut() -> None:
    assert differentiate(autograd.softplus, 800.0) == [1.0]
    assert differentiate(lambda a, b: autograd.logsumexp([a, b]), 800.0, 0.0) == [1.0, 0.0]
    with autograd.ieee():
        x = Value(0.0)
        (x.sqrt() * 0.0).backward()
        assert math.isnan(x.grad)


# --- kinks ----------------------------------------------------------------------------------------


def test_the_maximum_and_minimum_of_a_value_and_itself_have_slope_one() -> None:
    assert differentiate(lambda x: autograd.maximum(x, x), 3.0) == [1.0]
    assert differentiate(lambda x: autograd.minimum(x, x), 3.0) == [1.0]


@pytest.mark.parametrize(
    ("f", "point", "expected"),
    [
        (autograd.relu, (0.0,), [0.0]),
        (autograd.relu, (-0.0,), [0.0]),
        (autograd.abs, (0.0,), [0.0]),
        (autograd.abs, (-0.0,), [0.0]),
        (autograd.maximum, (2.0, 2.0), [0.5, 0.5]),
        (autograd.minimum, (2.0, 2.0), [0.5, 0.5]),
        (autograd.maximum, (0.0, -0.0), [0.5, 0.5]),
    ],
)
def test_at_a_kink_the_declared_subgradient_is_returned(
    f: Any, point: tuple[float, ...], expected: list[float]
) -> None:
    assert differentiate(f, *point) == expected
    assert [list(k.subgradient(*point)) for k in f.kinks if k.holds(*point)] == [expected]


@pytest.mark.parametrize(
    ("f", "first", "second"),
    [(autograd.softplus, 0.5, 0.25), (autograd.log_sigmoid, 0.5, -0.25)],
)
def test_a_smooth_function_has_no_kink_at_zero(f: Any, first: float, second: float) -> None:
    assert (nth(f, 1)(0.0), nth(f, 2)(0.0)) == (first, second)
    assert f.kinks == ()


@pytest.mark.parametrize(
    "f",
    [
        autograd.relu,
        lambda x: autograd.maximum(x, 1.0),
        lambda x: autograd.maximum(1.0, x),
        lambda x: autograd.minimum(x, 1.0),
        lambda x: autograd.minimum(1.0, x),
        autograd.abs,
        autograd.sign,
        autograd.step,
        autograd.leaky_relu,
        autograd.elu,
        autograd.gelu,
        autograd.silu,
        lambda x: autograd.clip(x, 0.0, 1.0),
        lambda x: autograd.sum([x, 1.0]),
        lambda x: autograd.logsumexp([x, 1.0]),
    ],
)
def test_a_nan_stays_a_nan(f: Callable[[Any], Any]) -> None:
    assert math.isnan(f(NAN))
    assert math.isnan(f(Value(NAN)).data)


# --- overflow and cancellation, judged by mpmath --------------------------------------------------

mp_sigmoid = lambda a: 1 / (1 + mp.exp(-a))  # noqa: E731
mp_slope = lambda a: 1 / (2 * mp.cosh(a / 2)) ** 2  # noqa: E731

EXACT: list[tuple[str, int, float, Callable[[Any], Any]]] = [
    # operation, order of the derivative, point, the same in mpmath
    ("sigmoid", 0, -800.0, mp_sigmoid),
    ("sigmoid", 0, -740.0, mp_sigmoid),
    ("sigmoid", 0, -700.0, mp_sigmoid),
    ("sigmoid", 0, 800.0, mp_sigmoid),
    ("sigmoid", 1, -800.0, mp_slope),
    ("sigmoid", 1, 800.0, mp_slope),
    ("sigmoid", 1, -700.0, mp_slope),
    ("sigmoid", 1, 40.0, mp_slope),
    ("sigmoid", 1, -40.0, mp_slope),
    ("tanh", 0, 400.0, mp.tanh),
    ("tanh", 0, -400.0, mp.tanh),
    ("tanh", 1, 400.0, lambda a: mp.sech(a) ** 2),
    ("tanh", 1, 350.0, lambda a: mp.sech(a) ** 2),
    ("tanh", 1, 19.0, lambda a: mp.sech(a) ** 2),
    ("tanh", 1, -19.0, lambda a: mp.sech(a) ** 2),
    ("tanh", 2, 19.0, lambda a: -2 * mp.tanh(a) * mp.sech(a) ** 2),
    ("softplus", 0, 800.0, lambda a: mp.log(1 + mp.exp(a))),
    ("softplus", 0, -700.0, lambda a: mp.log(1 + mp.exp(a))),
    ("softplus", 1, 800.0, mp_sigmoid),
    ("softplus", 1, -700.0, mp_sigmoid),
    ("log_sigmoid", 0, -800.0, lambda a: -mp.log(1 + mp.exp(-a))),
    ("log_sigmoid", 0, 40.0, lambda a: -mp.log(1 + mp.exp(-a))),
    ("log_sigmoid", 1, 40.0, lambda a: mp_sigmoid(-a)),
    ("asin", 1, 1 - 1e-12, lambda a: 1 / mp.sqrt(1 - a * a)),
    ("asin", 1, -1 + 1e-12, lambda a: 1 / mp.sqrt(1 - a * a)),
    ("acos", 1, 1 - 1e-12, lambda a: -1 / mp.sqrt(1 - a * a)),
    ("atanh", 1, 1 - 1e-12, lambda a: 1 / (1 - a * a)),
    ("acosh", 1, 1 + 1e-12, lambda a: 1 / mp.sqrt(a * a - 1)),
    ("log1p", 0, 1e-20, mp.log1p),
    ("log1p", 0, -1e-20, mp.log1p),
    ("log1p", 1, 1e-20, lambda a: 1 / (1 + a)),
    ("expm1", 0, 1e-20, mp.expm1),
    ("expm1", 0, -1e-20, mp.expm1),
    ("expm1", 1, 1e-20, mp.exp),
    ("asinh", 1, 1e200, lambda a: 1 / mp.sqrt(a * a + 1)),
    ("asinh", 1, -1e308, lambda a: 1 / mp.sqrt(a * a + 1)),
    ("acosh", 1, 1e200, lambda a: 1 / mp.sqrt(a * a - 1)),
    ("atan", 1, 1e150, lambda a: 1 / (a * a + 1)),
    ("atan", 1, 1e200, lambda a: 1 / (a * a + 1)),
    ("cbrt", 1, 1e-200, lambda a: 1 / (3 * mp.cbrt(a) ** 2)),
    ("cbrt", 1, 1e300, lambda a: 1 / (3 * mp.cbrt(a) ** 2)),
    ("erf", 1, 20.0, lambda a: 2 / mp.sqrt(mp.pi) * mp.exp(-a * a)),
    ("gelu", 0, -30.0, lambda a: a * mp.ncdf(a)),
    ("sqrt", 1, 5e-324, lambda a: 1 / (2 * mp.sqrt(a))),
    ("log", 1, 1e-300, lambda a: 1 / a),
]


@pytest.mark.parametrize(("name", "order", "point", "exact"), EXACT, ids=lambda x: str(x)[:12])
def test_a_derivative_is_that_of_the_real_function_to_4_units_in_the_last_place(
    name: str, order: int, point: float, exact: Callable[[Any], Any]
) -> None:
    result = nth(getattr(autograd, name), order)(point)
    with mp.workprec(3000):
        assert ulps(result, exact(mp.mpf(point))) <= 4


def test_logsumexp_and_logaddexp_are_defined_with_minus_infinity() -> None:
    pair = lambda a, b: autograd.logsumexp([a, b])  # noqa: E731
    for f in (pair, autograd.logaddexp):
        assert f(-INF, 2.0) == f(2.0, -INF) == 2.0
        assert f(-INF, -INF) == -INF
        assert f(INF, -INF) == INF
        assert differentiate(f, -INF, 2.0) == [0.0, 1.0]
        assert differentiate(f, 2.0, -INF) == [1.0, 0.0]


# --- scale ----------------------------------------------------------------------------------------

SCALES = [
    (1e160, 1e160),
    (1e-160, 1e-160),
    (1e-160, 1.0),
    (1.0, 1e160),
    (-1e160, 1e160),
    (3e160, 4e160),
    (3e-160, -4e-160),
    (1e-300, 1e-160),
    (1e160, 1.0),
    (1e300, 1e300),
]

TWO: list[tuple[str, Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
    ("div", lambda a, b: 1 / (a * 0 + b), lambda a, b: -a / b**2),
    ("hypot", lambda a, b: a / mp.hypot(a, b), lambda a, b: b / mp.hypot(a, b)),
    ("atan2", lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)),
]


@pytest.mark.parametrize(("a", "b"), SCALES)
@pytest.mark.parametrize(("name", "first", "second"), TWO, ids=[t[0] for t in TWO])
def test_huge_and_tiny_operands_give_no_spurious_zero_infinity_or_nan(
    name: str, first: Any, second: Any, a: float, b: float
) -> None:
    grads = differentiate(getattr(autograd, name), a, b)
    with mp.workprec(300):
        for found, exact in zip(grads, (first, second), strict=True):
            assert ulps(found, exact(mp.mpf(a), mp.mpf(b))) <= 4


def test_a_quotient_whose_derivative_is_beyond_the_doubles_says_so() -> None:
    with pytest.raises(OverflowError, match=r"infinite"):
        differentiate(lambda b: 1.0 / b, 1e-160)


# --- the graph ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda a: a + a, 2.0),
        (lambda a: a * a, 6.0),
        (lambda a: a - a, 0.0),
        (lambda a: a / a, 0.0),
        (lambda a: (a * a) * (a * a), 108.0),
        (lambda a: (a + a) * (a - a / 2.0), 6.0),
        (lambda a: (b := a * 2.0) * b + b, 26.0),
    ],
)
def test_shared_operands_diamonds_and_reused_interior_values_are_exact(
    f: Callable[[Any], Any], expected: float
) -> None:
    assert differentiate(f, 3.0) == [expected]


def test_backward_twice_a_seed_a_leaf_and_an_input_without_a_path_are_exact() -> None:
    x, other = Value(3.0), Value(4.0)
    y = (2.0 * x) ** 2.0
    y.backward()
    y.backward()
    assert x.grad == 48.0
    x.grad = 0.0
    y.backward(seed=0.25)
    assert (x.grad, other.grad) == (6.0, 0.0)
    other.backward()
    assert other.grad == 1.0
    assert grad(lambda a, b: a * a, argnums=1)(3.0, 4.0) == 0.0  # noqa: ARG005


def test_nested_derivatives_are_not_confused() -> None:
    inner = lambda x: x * grad(lambda y: x + y)(1.0)  # noqa: E731
    assert grad(inner)(1.0) == 1.0
    product = lambda x: x * grad(lambda y: x * y)(1.0)  # noqa: E731
    assert grad(product)(3.0) == 6.0


# --- copies and types -----------------------------------------------------------------------------


def test_a_value_of_a_value_is_an_error() -> None:
    with pytest.raises(TypeError, match="got a Value already"):
        Value(Value(3))


def test_the_copys_own_leaves_get_the_gradients() -> None:
    x = Value(3.0, "x")
    y = x * x
    for made in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):  # noqa: S301  (our own bytes)
        made.backward()
        own = made.parents[0]
        assert own is made.parents[1]
        assert (own.grad, x.grad, own.label) == (6.0, 0.0, "x")


KINDS = [
    3,
    True,
    Fraction(3, 2),
    Decimal("1.5"),
    np.float32(1.5),
    np.float64(1.5),
    np.int64(3),
    np.array(1.5),
]


@pytest.mark.parametrize("number", KINDS, ids=lambda x: type(x).__name__)
def test_every_kind_of_number_works_as_data_and_on_the_left_of_every_operator(number: Any) -> None:
    x = float(number)
    assert Value(number).data == x
    v = Value(2.0)
    results = [number + v, number - v, number * v, number / v, number**v]
    assert [type(r) for r in results] == [Value] * 5
    assert [r.data for r in results] == [x + 2.0, x - 2.0, x * 2.0, x / 2.0, x**2.0]
    for result, slope in zip(results[:4], [1.0, -1.0, x, -x / 4.0], strict=True):
        assert gradients(result, [v])[0].data == slope


@pytest.mark.parametrize(
    ("thing", "remedy"),
    [
        (1j, "real and imaginary part go into two Values"),
        (None, "pass a number"),
        ("2", "convert it first"),
        ([2.0], "one Value per element"),
    ],
)
def test_what_is_no_real_number_is_a_type_error_with_the_remedy(thing: Any, remedy: str) -> None:
    v = Value(2.0)
    uses: list[Callable[[], Any]] = [
        lambda: Value(thing),
        lambda: v + thing,
        lambda: thing + v,
        lambda: thing - v,
        lambda: v * thing,
        lambda: thing * v,
        lambda: v / thing,
        lambda: thing**v,
        lambda: autograd.tanh(thing),
        lambda: v.maximum(thing),
        lambda: autograd.sum([v, thing]),
    ]
    for use in uses:
        with pytest.raises(TypeError, match=remedy):
            use()
