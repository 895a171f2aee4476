"""The exact functions are the operations, and derivatives by mpmath are right to the last place."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import fp, mp, mpf
from oracle import BITS, ORACLE

import autograd
from autograd import REGISTRY, Op, Value, define
from autograd.testing.exact import (
    FUNCTIONS,
    derivative_by_complex_step,
    derivative_by_mpmath,
    power,
    replay,
)
from autograd.testing.strategies import expressions, points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autograd.testing.strategies import Expression

BUILTIN = [op for op in REGISTRY.values() if op.builtin]
every_operation = pytest.mark.parametrize("op", BUILTIN, ids=lambda op: op.name)
some = settings(max_examples=12)


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    registry, functions, attributes = dict(REGISTRY), dict(FUNCTIONS), set(vars(Value))
    yield
    for name in set(REGISTRY) - set(registry):
        del REGISTRY[name]
    FUNCTIONS.clear()
    FUNCTIONS.update(functions)
    for name in set(vars(Value)) - attributes:
        delattr(Value, name)


def own(forward: Callable[..., Any], slope: Callable[..., Any]) -> Any:
    """Define an operation of one's own."""
    return define("own", forward, slope)


def applied(op: Op, point: tuple[float, ...]) -> tuple[Value, list[Value]]:
    """Return the operation's value there, as a graph, and its operands."""
    leaves = [Value(x) for x in point]
    return op.apply(tuple(leaves)), leaves


def true_derivative(op: Op, index: int, point: tuple[float, ...]) -> float:
    """Return the closed form's number, rounded once."""
    with mp.workprec(BITS):
        return float(mpf(ORACLE[op.name].first(index, *map(mpf, point))))


def has_derivative(op: Op, index: int) -> bool:
    return op.name != "polygamma" or index > 0  # its order is a whole number


# --- values ---------------------------------------------------------------------------------------


def test_every_operation_has_a_function_and_every_function_its_operation() -> None:
    assert {op.name for op in BUILTIN} == set(FUNCTIONS)


@every_operation
@some
@given(data=st.data())
def test_a_value_in_floats_is_the_operation_s_to_rounding(op: Op, data: st.DataObject) -> None:
    point = data.draw(points(op))
    # mpmath's floats, without the engine's care for the zeros of these.
    tolerance = 1e-14 if op.name in {"lgamma", "polygamma"} else 0.0
    value = FUNCTIONS[op.name](fp, *point)
    assert type(value) is float
    assert value == pytest.approx(op.evaluate(*point), rel=1e-12, abs=tolerance)


def test_a_choice_is_made_by_the_real_part_and_keeps_the_step() -> None:
    up, down = 2.0 + 1e-9j, -2.0 + 1e-9j
    for name, xs, value in (
        ("abs", (down,), -down),
        ("relu", (up,), up),
        ("relu", (down,), 0.0),
        ("leaky_relu", (down, 0.5), 0.5 * down),
        ("maximum", (down, up), up),
        ("minimum", (down, up), down),
        ("clip", (up, -1.0, 1.0), 1.0),
        ("clip", (up, down, 3.0), up),
        ("clip", (-3.0, down, 3.0), down),
        ("where", (1e-9j, up, down), down),
        ("where", (up, up, down), up),
        ("less", (down, up), 1.0),
        ("less_equal", (up, 2.0), 1.0),
        ("equal", (up, 2.0), 1.0),
        ("equal", (up, down), 0.0),
        ("sign", (down,), -1.0),
        ("step", (up,), 1.0),
    ):
        assert FUNCTIONS[name](fp, *xs) == value, name


@pytest.mark.parametrize(
    ("name", "xs", "words"),
    [
        ("lgamma", (-2.0,), "lgamma: operand must not be 0 or a negative whole number"),
        ("polygamma", (1.0, -3.0), "polygamma: operand must not be 0"),
        ("polygamma", (0.5, 1.0), "polygamma: the order must be a whole number >= 0"),
        ("atanh", (1.0,), r"atanh: operand must lie in \(-1, 1\)"),
        ("clip", (0.0, 1.0, -1.0), "clip: the lower bound must be <= the upper one"),
        ("pow", (-2.0, 0.5), "pow: a negative base takes whole exponents only"),
    ],
)
def test_where_there_is_no_value_the_error_says_why(
    name: str, xs: tuple[float, ...], words: str
) -> None:
    for m in (mp, fp):
        with pytest.raises(ValueError, match=words):
            FUNCTIONS[name](m, *map(m.convert, xs))


def test_zero_takes_no_negative_power_and_a_direction_has_no_derivative_at_the_origin() -> None:
    with pytest.raises(ZeroDivisionError, match="pow: 0 takes no negative exponents"):
        power(fp, 0.0, -1.0)
    for name in ("atan2", "direction"):
        assert FUNCTIONS[name](fp, 0.0, 0.0) == 0.0
        with pytest.raises(ZeroDivisionError, match=r"no derivative at \(0, 0\)"):
            FUNCTIONS[name](fp, 1e-40j, 0.0)


def test_the_sign_of_a_huge_power_is_that_of_the_exact_exponent() -> None:
    even = mpf(2) ** 1000
    assert power(mp, mpf(-1), even) == 1
    assert power(mp, mpf(-1), even, less=1) == -1


# --- derivatives of each operation ----------------------------------------------------------------


@every_operation
@some
@given(data=st.data())
def test_mpmath_s_derivative_is_the_true_one_to_the_last_place(op: Op, data: st.DataObject) -> None:
    point = data.draw(points(op, tails=True))
    try:
        y, leaves = applied(op, point)
    except (OverflowError, ValueError):  # a sum of infinities
        return
    for i, x in enumerate(leaves):
        if has_derivative(op, i) and math.isfinite(true := true_derivative(op, i, point)):
            assert derivative_by_mpmath(y, x) == true


EDGES: list[tuple[str, tuple[float, ...]]] = [
    ("tanh", (350.0,)),  # 1 to a thousand bits: no difference of values shows a slope
    ("sigmoid", (-700.0,)),
    ("softplus", (1e16,)),
    ("log_sigmoid", (-1e16,)),
    ("softplus", (-700.0,)),
    ("cocircle", (5.8e-251,)),
    ("sech2", (-2.3e-308,)),
    ("direction", (1e-200, -5e-324)),
    ("hypot", (1e300, 1e-5)),
    ("inversion", (1e-150, 1e-160)),
    ("atan2", (1e300, -1e-300)),
    ("erf", (26.0,)),
    ("normal_cdf", (-37.0,)),
    ("gelu", (-0.7517915246935645,)),
    ("silu", (-1.2784645427610738,)),
    ("lgamma", (1.4616321449683623,)),
    ("lgamma", (-2.4570247382208006,)),
    ("lgamma", (-1e15 - 0.5,)),
    ("polygamma", (3.0, -2.5)),
    ("polygamma", (4.0, -30.3)),
    ("polygamma", (0.0, 1e-100)),
    ("asin", (1.0 - 2.0**-53,)),
    ("acosh", (1.0 + 2.0**-52,)),
    ("atanh", (-1.0 + 2.0**-53,)),
    ("tan", (1.5707963267948966,)),
    ("sin", (1e22,)),
    ("log1p", (-1.0 + 2.0**-53,)),
    ("pow", (-3.0, 5.0)),
    ("pow", (0.0, 3.0)),
    ("pow", (1e-300, 0.5)),
    ("cbrt", (-1e-300,)),
    ("logsumexp", (1.0, -1e191, 2.0)),
    ("logaddexp", (1e100, 1e100)),
    ("softmax", (700.0, -700.0, 0.0)),
]


@pytest.mark.parametrize(("name", "point"), EDGES, ids=[f"{n}{p}" for n, p in EDGES])
def test_mpmath_s_derivative_is_the_true_one_at_the_edges(
    name: str, point: tuple[float, ...]
) -> None:
    op = REGISTRY[name]
    y, leaves = applied(op, point)
    for i, x in enumerate(leaves):
        if has_derivative(op, i) and (name, point[0], i) != ("pow", -3.0, 1):
            assert derivative_by_mpmath(y, x) == true_derivative(op, i, point)


@every_operation
@some
@given(data=st.data())
def test_a_complex_step_gives_the_derivative_to_rounding(op: Op, data: st.DataObject) -> None:
    y, leaves = applied(op, point := data.draw(points(op)))
    # Terms cancel at the zeros of these derivatives.
    tolerance = 1e-14 if op.name in {"gelu", "inversion", "lgamma", "silu"} else 0.0
    for i, x in enumerate(leaves):
        # The step is 1e-40: what is smaller than 1e-268 vanishes.
        if has_derivative(op, i) and abs(true := true_derivative(op, i, point)) > 1e-260:
            found = derivative_by_complex_step(y, x)
            assert found == pytest.approx(true, rel=1e-12, abs=tolerance)


def test_a_step_is_small_beside_a_small_operand_and_beside_the_way_to_the_end_of_a_domain() -> None:
    for f, x, slope in (
        (autograd.log, 1e-200, 1e200),
        (autograd.log, 1e300, 1e-300),
        (autograd.asin, 1.0 - 2.0**-53, 2.0**26),
        (autograd.sin, 1e16, math.cos(1e16)),
    ):
        leaf = Value(x)
        assert derivative_by_complex_step(f(leaf), leaf) == pytest.approx(slope, rel=1e-12)
    leaf = Value(5e-324)
    with pytest.raises(ArithmeticError, match=r"no step is small beside x = 5e-324"):
        derivative_by_complex_step(leaf * 2.0, leaf)


@pytest.mark.parametrize(("name", "x"), [("sqrt", 0.0), ("cbrt", 0.0), ("asin", 1.0)])
def test_an_infinite_derivative_is_an_error_and_in_doubles_a_large_number(
    name: str, x: float
) -> None:
    y, (leaf,) = applied(REGISTRY[name], (x,))
    assert derivative_by_complex_step(y, leaf) > 1e15
    with pytest.raises(OverflowError, match="the derivative is infinite here"):
        derivative_by_mpmath(y, leaf)


# --- graphs ---------------------------------------------------------------------------------------


def example(a: Any, b: Any, c: Any) -> Any:
    return -(a**3) + autograd.sin(3 * b) - 1.0 / c + b**2.5 - a**0.5


def test_the_documents_example_has_its_derivatives_by_both_methods() -> None:
    leaves = [Value(2.0), Value(3.0), Value(4.0)]
    y = example(*leaves)
    with mp.workprec(200):
        true = [
            -12 - 1 / (2 * mp.sqrt(2)),
            3 * mp.cos(9) + mpf(5) / 2 * mp.sqrt(27),
            mpf(1) / 16,
        ]
    assert [derivative_by_mpmath(y, x) for x in leaves] == list(map(float, true))
    by_step = [derivative_by_complex_step(y, x) for x in leaves]
    assert by_step == pytest.approx(list(map(float, true)), rel=1e-15)


@given(expressions(max_condition=1e3))
@settings(max_examples=50)
def test_mpmath_s_derivatives_of_a_graph_are_those_of_backward(expression: Expression) -> None:
    y, leaves = expression.graph()
    y.backward()
    for x in leaves:
        assert x.grad == pytest.approx(derivative_by_mpmath(y, x), rel=1e-11)


@given(expressions(), st.data())
@settings(max_examples=50)
def test_a_graph_is_replayed_at_the_numbers_that_are_given(
    expression: Expression, data: st.DataObject
) -> None:
    y, leaves = expression.graph()
    moved = [x.data * data.draw(st.floats(0.999, 1.001)) for x in leaves]
    with mp.workprec(320):
        assert replay(y, leaves, mp)(*map(mpf, moved)) == expression.exact(*moved)


def test_leaves_that_are_no_inputs_stay_and_a_value_that_doesn_t_matter_has_no_derivative() -> None:
    a, b, c = Value(2.0), Value(0.1), Value(5.0)
    y = a * b + 0.5
    assert replay(y, [a], fp)(4.0) == 4.0 * 0.1 + 0.5
    assert replay(y, [b, a], fp)(3.0, 4.0) == 12.5
    with mp.workprec(200):
        assert replay(y, [], mp)() == 2 * mpf(0.1) + mpf(0.5)  # the double 0.1, exactly
    for method in (derivative_by_mpmath, derivative_by_complex_step):
        assert method(y, c) == 0.0
        assert method(c, c) == 1.0


def test_a_long_chain_is_replayed_without_recursion() -> None:
    x = Value(0.5)
    y = x
    for _ in range(5_000):
        y = y + x
    assert sys.getrecursionlimit() < 5_000
    assert derivative_by_mpmath(y, x) == 5_001.0
    assert derivative_by_complex_step(y, x) == 5_001.0


def test_cancellation_is_met_with_more_digits() -> None:
    x = Value(1e-200, "x")
    y = (x + 1.0) ** 2 - 1.0  # x vanishes beside 1, in the float and to 320 bits
    assert derivative_by_mpmath(y, x) == 2.0
    z = x * 1e300 - x * (1e300 - 1e284) - x * 1e284
    assert derivative_by_mpmath(z, x) == 1e300 - (1e300 - 1e284) - 1e284


@pytest.mark.parametrize("large", [1e100, 1e200, 1e300])
def test_a_number_that_vanishes_beside_another_is_still_there_for_mpmath(large: float) -> None:
    x = Value(3.0)
    for z in (x + large - large, x + 1.0 + large - 1.0 - large):
        y = z * z
        assert y.data == 0.0
        assert derivative_by_mpmath(y, x) == 6.0


def test_digits_that_cancel_twice_are_met_with_twice_the_digits() -> None:
    x = Value(3.0)
    z = x + 1e100 + 1e200 - 1e200 - 1e100
    assert derivative_by_mpmath(z * z, x) == 6.0


def test_steps_that_vanish_cost_no_memory() -> None:
    x = Value(1e15)
    y = autograd.log(autograd.exp(-x) + 1.0)
    assert derivative_by_mpmath(y, x) == 0.0


def test_a_leaf_that_changed_meanwhile_is_an_error() -> None:
    x = Value(2.0, "x")
    y = x * x
    x.data = 3.0
    with pytest.raises(RuntimeError, match="the data of leaf 'x' changed"):
        derivative_by_mpmath(y, x)


def test_what_is_no_value_is_a_type_error() -> None:
    x = Value(1.0)
    bad: Any = 3.0
    for call in (lambda: replay(bad, [x], fp), lambda: replay(x, [bad], fp)):
        with pytest.raises(TypeError, match=r"from Values to a Value; got 3\.0 \(float\)"):
            call()


def test_without_mpmath_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpmath", None)
    x = Value(1.0)
    for method in (derivative_by_mpmath, derivative_by_complex_step):
        with pytest.raises(ImportError, match=r'need mpmath: pip install "chainrule\[check\]"'):
            method(x * x, x)


# --- operations of the user's own -----------------------------------------------------------------


def test_plain_arithmetic_of_ones_own_runs_on_any_numbers() -> None:
    x = Value(2.0)
    y = own(lambda a: a * a * a - 1.0 / a, lambda _, a: 3.0 * a * a + 1.0 / (a * a))(x)
    assert derivative_by_mpmath(y, x) == 12.25
    assert derivative_by_complex_step(y, x) == 12.25


def test_a_forward_that_compares_is_differentiated_by_mpmath_and_not_by_a_complex_step() -> None:
    op = own(lambda a: a if a > 0 else 0.0, lambda _, a: autograd.step(a))
    for number, slope in ((2.0, 1.0), (-2.0, 0.0)):
        x = Value(number)
        assert derivative_by_mpmath(op(x), x) == slope
        with pytest.raises(
            LookupError, match=r"operation 'own' has no exact function: .*FUNCTIONS"
        ):
            derivative_by_complex_step(op(x), x)


def test_a_forward_that_drops_the_imaginary_part_is_found_out() -> None:
    x = Value(3.0)
    y = own(lambda a: abs(a) * a, lambda _, a: 2.0 * autograd.abs(a))(x)
    assert derivative_by_mpmath(y, x) == 6.0
    with pytest.raises(LookupError, match="its forward function isn't analytic"):
        derivative_by_complex_step(y, x)


@pytest.mark.parametrize(
    ("forward", "partials", "entry", "call"),
    [
        (math.sin, [lambda _, a: autograd.cos(a)], lambda m, a: m.sin(a), "m, a"),
        (lambda a, b: math.fsum((a, b)), [1.0, 1.0], lambda _, a, b: a + b, "m, a, b"),
        (
            lambda *xs: math.fsum(xs),
            lambda _, *xs: [1.0] * len(xs),
            lambda m, *xs: m.fsum(xs),
            "m, ",
        ),
    ],
    ids=["one", "two", "any number"],
)
def test_a_forward_for_floats_only_needs_a_function_and_the_error_writes_it(
    forward: Any, partials: Any, entry: Any, call: str
) -> None:
    op = define("own", forward, partials)
    x = Value(0.3)
    y = op.apply((x, Value(0.4))[: op.arity])
    slope = y.edges()[0][1]()
    words = r"returns a float\. Write it .*FUNCTIONS\['own'\] = lambda " + call
    with pytest.raises(LookupError, match=words):
        derivative_by_mpmath(y, x)
    FUNCTIONS["own"] = entry
    assert derivative_by_mpmath(y, x) == slope
    assert derivative_by_complex_step(y, x) == slope


def test_a_function_of_ones_own_may_use_powers_of_negative_numbers() -> None:
    x = Value(-2.0)
    y = own(lambda a: math.pow(a, 3.0), lambda _, a: 3.0 * a * a)(x)
    FUNCTIONS["own"] = lambda _, a: a**3
    assert derivative_by_mpmath(y, x) == derivative_by_complex_step(y, x) == 12.0


def test_a_function_that_is_another_one_is_refused() -> None:
    x = Value(2.0)
    y = own(lambda a: a * a, lambda _, a: 2.0 * a)(x)
    FUNCTIONS["own"] = lambda _, a: a**3
    with pytest.raises(LookupError, match=r"own\(2\.0\) was recorded as 4\.0, and gives 8\.0 here"):
        derivative_by_mpmath(y, x)
