"""The laws of tracing: a graph that was recorded once holds for other numbers, or says where not.

A function is run on Values inside `tracing()`, and the graph that it left is computed again with
other data of the leaves: that has to be what the function gives when it is run afresh.
"""

from __future__ import annotations

import copy
import operator
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import inf, isfinite, isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import (
    REGISTRY,
    Value,
    backward,
    cbrt,
    clip,
    exp,
    grad,
    gradients,
    hessian,
    hvp,
    hypot,
    ieee,
    jacobian,
    jvp,
    log,
    maximum,
    minimum,
    relu,
    sign,
    sqrt,
    tracing,
    value_and_grad,
    vjp,
    where,
)
from autograd.testing import strategies as ad
from autograd.testing.exact import rerun
from autograd.testing.rounding import rounding_bound
from autograd.value import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autograd.op import Op
    from autograd.testing.strategies import Expression

BUILTIN = [op for op in REGISTRY.values() if op.builtin]
every_operation = pytest.mark.parametrize("op", BUILTIN, ids=lambda op: op.name)
few = settings(max_examples=20)


class Traced(NamedTuple):
    """The Values that a function was run on, its result, and the record of the run."""

    inputs: list[Value]
    result: Any
    record: tracing.Record

    def again(self, *numbers: float) -> list[float]:
        """Return the numbers of the result, computed with other data of the inputs."""
        return self.with_leaves(dict(zip(self.inputs, numbers, strict=True)))

    def with_leaves(self, known: dict[Value, Any]) -> list[float]:
        """Return the numbers of the result, computed with other data of these leaves."""
        with ieee():
            return [evaluate(y, known) for y in flat(self.result)]

    def holds(self, *numbers: float) -> bool:
        """Say whether all of its decisions would be the same with these numbers."""
        known: dict[Value, Any] = dict(zip(self.inputs, numbers, strict=True))
        with ieee():
            return all(
                (evaluate(guard.condition, known) != 0.0) == guard.answer
                for guard in self.record.guards
            )


def evaluate(y: Any, known: dict[Value, Any]) -> float:
    if type(y) is not Value:
        return float(y)
    return float(rerun(y, known, float, lambda op, xs: op.evaluate(*xs)))


def trace(f: Callable[..., Any], *numbers: float, careful: bool = False) -> Traced:
    inputs = [Value(x) for x in numbers]
    with ieee(), tracing.tracing(careful=careful) as record:
        result = f(*inputs)
    return Traced(inputs, result, record)


def flat(result: Any) -> list[Any]:
    if isinstance(result, list | tuple):
        return [x for part in result for x in flat(part)]
    return [result]


def fresh(f: Callable[..., Any], *numbers: float) -> list[float]:
    """Return the numbers of f's result as they are without a trace."""
    with ieee():
        return [plain(y) for y in flat(f(*numbers))]


def same(found: Sequence[float], expected: Sequence[float]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(a == b or (isnan(a) and isnan(b)) for a, b in pairs)


# --- comparisons and decisions --------------------------------------------------------------------

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
NUMBERS = [-1.0, -0.0, 0.0, 0.5, 1.0, inf, -inf, nan]


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda f: f.__name__)
def test_a_comparison_in_a_trace_is_a_value_that_is_1_where_it_holds(
    compare: Callable[[Any, Any], Any],
) -> None:
    for a, b in product(NUMBERS, NUMBERS):
        holds = compare(a, b)
        for f in (
            compare,
            lambda x, _, b=b: compare(x, b),
            lambda _, y, a=a: compare(a, y),
        ):
            traced = trace(f, a, b)
            assert type(traced.result) is Value
            assert traced.result.data == float(holds)
            assert traced.record.guards == []
            assert f(Value(a), Value(b)) is holds  # outside it is a bool, as ever
            assert traced.again(1.0, 1.0) == [float(f(1.0, 1.0))]


def test_what_is_no_number_is_equal_to_no_value_in_a_trace_either() -> None:
    traced = trace(lambda x: [float(x == "1"), float(x != "1"), float(x in ("1", None))], 1.0)
    assert traced.result == [0.0, 1.0, 0.0]
    with pytest.raises(TypeError, match="'<' not supported between instances of 'Value' and 'str'"):
        trace(lambda x: x < "1", 1.0)


def halve_or_negate(x: Any) -> Any:
    if x > 1.0:
        return x / 2.0
    return -x


def test_where_python_asks_for_a_truth_the_question_the_answer_and_the_line_are_noted() -> None:
    line = halve_or_negate.__code__.co_firstlineno + 1
    for number, answer in ((4.0, True), (0.5, False)):
        traced = trace(halve_or_negate, number)
        (guard,) = traced.record.guards
        assert guard.answer is answer
        assert guard.place == f"test_tracing.py:{line}"
        assert guard.condition.op is autograd.less
        assert guard.condition.operands == (1.0, traced.inputs[0])
        assert traced.result.data == halve_or_negate(number)


def count_down(x: Any) -> Any:
    y = x
    while y > 1.0:
        y = y - 1.0
    return y * x


# Each with the number of decisions at 3.5; how often `sorted` compares depends on Python's version.
DECISIONS: dict[str, tuple[Callable[..., Any], int | None]] = {
    "if": (halve_or_negate, 1),
    "while": (count_down, 4),
    "bool": (lambda x: 1.0 if x else x, 1),
    "not": (lambda x: -x if not x > 2.0 else x, 1),
    "and": (lambda x: x if x > 0.0 and x < 9.0 else -x, 2),
    "between": (lambda x: x if 0.0 < x <= 3.5 else -x, 2),
    "max": (lambda x: max(x, 2.0 * x, 3.0 - x), 2),
    "sorted": (lambda x: sorted([x, 2.0, x * x])[1], None),
    "in": (lambda x: x if x in (2.0, 3.5) else -x, 2),
    "a derivative": (lambda x: grad(halve_or_negate)(x) * x, 1),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_a_trace_holds_exactly_where_its_decisions_are_the_same(name: str) -> None:
    f, count = DECISIONS[name]
    assert count in {None, len(trace(f, 3.5).record.guards)}
    for p, q in product((-2.0, 0.0, 0.5, 2.0, 3.5, 12.0), repeat=2):
        traced = trace(f, p)
        assert traced.holds(p)
        answers = [guard.answer for guard in trace(f, q).record.guards]
        assert traced.holds(q) == (answers == [guard.answer for guard in traced.record.guards])
        if traced.holds(q):
            assert traced.again(q) == fresh(f, q)


def test_outside_a_trace_nothing_is_noted() -> None:
    x = Value(2.0)
    assert (x > 1.0) is True
    assert (bool(x), x.data, x.grad) == (True, 2.0, 0.0)
    with tracing.tracing() as record:
        pass
    assert (x == 2.0) is True
    assert x.op is None
    assert (record.guards, record.leaves) == ([], [])
    assert not tracing.are_active


def test_a_trace_ends_with_its_block_also_by_an_error_and_the_outer_one_goes_on() -> None:
    x = Value(2.0)
    with pytest.raises(ZeroDivisionError, match="the divisor must not be 0"), tracing.tracing():
        _ = x / 0.0
    assert not tracing.are_active
    with tracing.tracing() as outer:
        with tracing.tracing() as inner:
            assert x > 1.0
        assert tracing.active()
        assert x > 0.0
    assert [len(record.guards) for record in (outer, inner)] == [1, 1]
    assert not tracing.are_active


def test_a_trace_is_of_its_own_thread_only() -> None:
    x = Value(2.0)

    def elsewhere() -> list[Any]:
        found = [x > 1.0, bool(x), x.data, tracing.active(), Value(1.0).data]
        (x * 3.0).backward()
        with tracing.tracing() as own:
            found.append(bool(x > 5.0))
        return [*found, own.guards[0].answer]

    with ThreadPoolExecutor() as pool, tracing.tracing() as record:
        found = pool.submit(elsewhere).result()
        assert tracing.active()  # that the other's has ended is no matter
    assert found == [True, True, 2.0, False, 1.0, False, False]
    assert (record.guards, record.leaves) == ([], [])
    assert x.grad == 3.0


# --- what a trace refuses -------------------------------------------------------------------------


def set_data(x: Value) -> None:
    x.data = 1.0


def set_grad(x: Value) -> None:
    x.grad = 0.0


FROZEN: dict[str, tuple[Callable[[Value], Any], str]] = {
    "data": (lambda x: x.data, ".data was read"),
    "data, set": (set_data, ".data was set"),
    "grad": (lambda x: x.grad, ".grad was read"),
    "grad, set": (set_grad, ".grad was set"),
    "backward": (lambda x: (x * 2.0).backward(), r"backward\(\) was called"),
    "edges": (lambda x: (x * x).edges()[0][1](), "an edge's derivative was read"),
    "copy": (copy.copy, "a copy was made"),
    "deepcopy": (lambda x: copy.deepcopy([x * 2.0]), "a copy was made"),
    "pickle": (pickle.dumps, "a copy was made"),
}


@pytest.mark.parametrize("name", FROZEN)
def test_what_would_freeze_a_number_is_an_error_in_a_trace_and_the_remedy_is_named(
    name: str,
) -> None:
    f, words = FROZEN[name]
    message = f"{words} while this function is compiled, .* use the Value itself .*autograd.grad"
    with pytest.raises(TypeError, match=message):
        trace(f, 2.0)
    f(Value(2.0))  # without a trace it is none


def test_a_value_can_be_shown_in_a_trace() -> None:
    traced = trace(lambda x: [f"{x:.1f}", repr(x)], 2.0)
    assert traced.result == ["2.0", "Value(data=2.0, grad=0.0)"]


# --- what a trace names ---------------------------------------------------------------------------


def test_a_value_is_named_by_the_line_that_made_it_and_a_derivative_by_that_of_its_value() -> None:
    def f(x: Any) -> Any:
        return x * x * x

    line = f"test_tracing.py:{f.__code__.co_firstlineno + 1}"
    result = trace(value_and_grad(f), 2.0).result
    assert result[0].scope == line
    assert result[1].scope == f"∂ {line}"
    with autograd.scope("mlp"):
        assert trace(f, 2.0).result.scope == "mlp"
        assert trace(grad(f), 2.0).result.scope == "∂ mlp"
        assert (Value(1.0) * 2.0).scope == "mlp"


def test_an_error_in_a_derivative_leaves_the_scope_as_it_was() -> None:
    with pytest.raises(ValueError, match="polygamma has no derivative in n"):
        trace(grad(lambda n: autograd.polygamma(n, 2.0)), 1.0)
    with autograd.scope("mlp"):
        assert Value(1.0).scope == "mlp"


def test_the_leaves_that_a_function_makes_are_noted() -> None:
    before = Value(3.0)
    traced = trace(lambda x: x * Value(2.0) * before, 1.0)
    assert [leaf.data for leaf in traced.record.leaves] == [2.0]


# --- derivatives ----------------------------------------------------------------------------------

# Each is infinite or undefined somewhere that its result doesn't depend on.
CHOICES: dict[str, Callable[[Any], Any]] = {
    "log": lambda x: where(x > 0.0, log(x), 0.0),
    "exp": lambda x: where(x < 700.0, exp(x), 0.0),
    "cbrt": lambda x: where(x > 0.0, cbrt(x), x),
    "hypot": lambda x: where(hypot(x, x) > 0.0, hypot(x, x), x),
    "root of both": lambda x: where(x > 0.0, sqrt(x), -sqrt(-x)),
    "condition": lambda x: where(sqrt(x) > 1.0, x * x, 2.0 * x),
    "condition itself": lambda x: where(log(x), x * x, 2.0 * x),
    "condition and branch": lambda x: where(r := sqrt(x), r * x, x),
    "two branches": lambda x: where(x > 0.0, (r := sqrt(x)) * x, x) + where(x > 1.0, r, 0.0),
    "behind a root": lambda x: sqrt(relu(x)) + sqrt(maximum(x - 1.0, 0.0)) * x,
    "nested": lambda x: where(x > 0.0, log(where(x > 1.0, sqrt(x - 1.0), 0.5 * x)), x),
    "chained": lambda x: where(x < 1.0, x * x, where(x > 1.0, log(x - 1.0), 1.0)) * x,
    "after arithmetic": lambda x: where(x > 0.0, (2.0 * log(x) + x) * x, -x),
    "division": lambda x: where(x == 0.0, 1.0, (exp(x) - 1.0) / x),
    "power": lambda x: where(x > 0.0, x**0.5, x * x),
    "relu": lambda x: relu(log(x)) + x * x,
    "abs": lambda x: abs(where(x > 0.0, log(x), x)),
    "maximum": lambda x: maximum(log(x), x * x - 1.0),
    "minimum": lambda x: minimum(sqrt(x), x),
    "clip": lambda x: clip(log(x), -1.0, 1.0) * x,
    "a choice of nothing": lambda x: where(x > 0.5, maximum(x, log(x)), x * x),
    "sign": lambda x: sign(sqrt(x)) * x * x,
    "less": lambda x: autograd.less(log(x), 1.0) * x * x,
    "sum": lambda x: autograd.sum([where(x > 0.0, log(x), x), relu(sqrt(x)), x]),
    "network": lambda x: relu(2.0 * relu(x * x - 1.0) - relu(1.0 / x)) * x,
    "by its square": lambda x: where(x * x > 1.0, 1.0 / (x * x - 1.0), x),
}

WAYS: dict[str, Callable[[Callable[[Any], Any]], Callable[[Any], Any]]] = {
    "value and grad": value_and_grad,
    "second grad": lambda f: grad(grad(f)),
    "third grad": lambda f: grad(grad(grad(f))),
    "jvp": lambda f: lambda x: jvp(f, [x], [3.0]),
    "second jvp": lambda f: lambda x: jvp(lambda a: jvp(f, [a], [1.0])[1], [x], [1.0]),
    "vjp": lambda f: lambda x: vjp(f, x)[1](3.0),
    "hvp": lambda f: lambda x: hvp(f, x, 3.0),
    "jacobian": lambda f: jacobian(lambda x: [f(x), x * f(x)]),
    "hessian": hessian,
    "grad of jvp": lambda f: grad(lambda x: jvp(f, [x], [1.0])[1]),
}

POINTS = (-800.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, 800.0)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("way", WAYS)
def test_a_traced_derivative_is_right_wherever_a_choice_goes_the_other_way(
    way: str, name: str
) -> None:
    derivative = WAYS[way](CHOICES[name])
    expected = [fresh(derivative, q) for q in POINTS]
    for p in POINTS:
        traced = trace(derivative, p)
        assert traced.record.guards == []
        for q, results in zip(POINTS, expected, strict=True):
            assert same(traced.again(q), results), (p, q, traced.again(q), results)


# Each is finite where its branches are products that overflow, or of what isn't finite.
FAR: dict[str, Callable[[Any], Any]] = {
    "missing": lambda x: where(x == x, 2.0 * x * x, 0.0),  # noqa: PLR0124  (a nan isn't)
    "infinite": lambda x: where(x < inf, x * x, 1.0),
    "overflow": lambda x: where(x < 1e100, x * x * x, x),
    "overflow, relu": lambda x: relu(1.0 - x * x) * x + x,
    "overflow, maximum": lambda x: maximum(-x * x * x, minimum(x, 3.0)),
    "two steps": lambda x: where(x * x < 1e100, where(x < 0.0, x * x * x, 3.0 * x), x),
}
FAR_POINTS = (*POINTS, 1e200, -1e200, inf, -inf, nan)


@pytest.mark.parametrize("name", CHOICES | FAR)
@pytest.mark.parametrize("way", WAYS)
def test_a_careful_trace_is_right_for_numbers_that_are_not_finite_too(way: str, name: str) -> None:
    derivative = WAYS[way]((CHOICES | FAR)[name])
    for p in (-1.0, 0.5, 2.0):
        traced = trace(derivative, p, careful=True)
        assert traced.record.unmasked == []
        for q in FAR_POINTS:
            found, expected = traced.again(q), fresh(derivative, q)
            assert same(found, expected), (p, q, found, expected)


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("way", WAYS)
def test_a_trace_is_right_where_what_it_has_left_unmasked_is_finite(way: str, name: str) -> None:
    derivative = WAYS[way](FAR[name])
    traced = trace(derivative, 2.0)
    for q in FAR_POINTS:
        left = Traced(traced.inputs, traced.record.unmasked, traced.record)
        if all(map(isfinite, left.again(q))):
            assert same(traced.again(q), fresh(derivative, q)), q
        else:
            assert q not in (0.5, 1.0, 2.0)


def test_a_branch_that_is_not_taken_leaves_no_nan() -> None:
    for name, at in (("log", -1.0), ("log", 0.0), ("exp", 800.0)):
        for way in ("value and grad", "second grad", "jvp", "hvp"):
            found = trace(WAYS[way](CHOICES[name]), 2.0).again(at)
            assert found == [0.0] * len(found)


numbers = st.sampled_from(POINTS) | st.floats(-30.0, 30.0)
programs = ad.expressions(max_operations=4, max_inputs=2, max_condition=inf)
CHOOSERS: dict[str, Callable[[Any, Any], Any]] = {
    "where": lambda x, y: where(x > 0.5, y, x * x),
    "where it is small": lambda x, y: where(y < 1.0, y * y, x),
    "maximum": maximum,
    "minimum": minimum,
    "clip": lambda x, y: clip(y, -1.0, x * x),
    "relu": lambda x, y: relu(y) * x,
    "abs": lambda x, y: abs(y) * x,
    "its sign": lambda x, y: sign(y) * x * x,
    "nothing": lambda x, y: y * x,
}


def chosen(first: Expression, second: Expression, name: str) -> Callable[..., Any]:
    """Return a function of two numbers in which one expression is put behind another, by choice."""

    def f(x: Any, y: Any) -> Any:
        inner = first(*(x, y)[: len(first.inputs)])
        outer = CHOOSERS[name](x, inner)
        return second(*(outer, x)[: len(second.inputs)])

    return f


@settings(max_examples=100)
@given(programs, programs, st.sampled_from(sorted(CHOOSERS)), st.lists(numbers, min_size=4))
def test_the_derivatives_of_any_program_with_a_choice_are_right_for_other_numbers(
    first: Expression, second: Expression, name: str, at: list[float]
) -> None:
    f = chosen(first, second, name)
    p, q = at[:2], at[2:4]
    for derivative in (
        value_and_grad(f, (0, 1)),
        grad(grad(f), 1),
        lambda x, y: jvp(f, [x, y], [1.0, -2.0]),
    ):
        traced = trace(derivative, *p)
        assert traced.record.guards == []
        with ieee():
            afresh = flat(derivative(*map(Value, q)))
        # Contributions may be added up in another order.
        bounds = [2.0 * rounding_bound(y) if type(y) is Value else 0.0 for y in afresh]
        for found, y, bound in zip(traced.again(*q), afresh, bounds, strict=True):
            assert same([found], [plain(y)]) or abs(found - plain(y)) <= bound


@every_operation
@few
@given(st.data())
def test_an_operation_s_derivatives_are_right_for_other_numbers_to_the_last_bit(
    op: Op, data: st.DataObject
) -> None:
    p = data.draw(ad.points(op))
    anywhere = ad.points(op, tails=True, boundaries=True)
    points = anywhere | ad.points(op, kinks=True) if op.kinks else anywhere
    q = data.draw(points.filter(lambda x: len(x) == len(p)))
    free = [i for i in range(len(p)) if op.name != "polygamma" or i == 1]

    def derivatives(*xs: Any) -> Any:
        f = lambda *moved: op.apply(with_moved(xs, free, moved))  # noqa: E731  (short)
        moved = [xs[i] for i in free]
        first = value_and_grad(f, tuple(range(len(free))))(*moved)
        return first, grad(grad(f), len(free) - 1)(*moved)

    traced = trace(derivatives, *p)
    assert traced.record.guards == []
    found, expected = traced.again(*q), fresh(derivatives, *q)
    assert same(found, expected), (found, expected)


def with_moved(xs: Sequence[Any], places: Sequence[int], moved: Sequence[Any]) -> tuple[Any, ...]:
    result = list(xs)
    for place, x in zip(places, moved, strict=True):
        result[place] = x
    return tuple(result)


@every_operation
@few
@given(st.data())
def test_an_operation_that_is_never_singular_is_finite_with_its_derivatives_of_two_orders(
    op: Op, data: st.DataObject
) -> None:
    # That is why what is behind such an operation needs no mask: 0 times its derivative is 0.
    if backward._is_singular(op):
        return
    drawn = ad.points(op) | ad.points(op, kinks=True) if op.kinks else ad.points(op)
    origin = ad.points(op).map(lambda x: (0.0,) * len(x))
    xs = [Value(x) for x in data.draw(drawn | origin)]
    y = op.apply(tuple(xs))
    first = gradients(y, xs)
    second = [slope for g in first for slope in gradients(g, xs)]
    assert all(isfinite(x.data) for x in [y, *first, *second])


def test_an_operation_of_ones_own_counts_as_singular_since_nobody_knows() -> None:
    name = "reciprocal_of_a_distance"
    try:
        op = autograd.define(name, lambda a: 1.0 / (a - 3.0), [lambda y, _: -y * y])
        f = grad(lambda x: where(x > 3.0, op(x), x))
        assert trace(f, 4.0).again(3.0) == [1.0]
    finally:
        del REGISTRY[name]
        delattr(Value, name)


# --- transforms in a trace ------------------------------------------------------------------------


INSIDE: dict[str, tuple[Callable[[Any, Any], Any], Callable[[float, float], Any]]] = {
    "grad": (lambda _, w: grad(lambda a: a * a * w)(3.0), lambda _, w: 6.0 * w),
    "value_and_grad": (lambda x, _: value_and_grad(lambda a: a * x)(3.0), lambda x, _: [3 * x, x]),
    "jvp": (lambda x, _: jvp(lambda a: a * a * x, [3.0], [1.0]), lambda x, _: [9 * x, 6 * x]),
    "a tangent": (lambda x, _: jvp(lambda a: a * a, [3.0], [x]), lambda x, _: [9.0, 6 * x]),
    "vjp": (lambda x, w: vjp(lambda a: [a * x, w], 3.0)[1]([1.0, 1.0]), lambda x, _: [x]),
    "jacobian": (lambda x, w: jacobian(lambda a: [a * w, a * x])(3.0), lambda x, w: [w, x]),
    "hessian": (lambda x, _: hessian(lambda a: a * a * x)(3.0), lambda x, _: [2 * x]),
    "hvp": (lambda x, w: hvp(lambda a: a * a * w, 3.0, x), lambda x, w: [2 * w * x]),
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_transform_inside_a_trace_keeps_its_graph_also_at_plain_numbers(name: str) -> None:
    f, truth = INSIDE[name]
    w = Value(5.0)
    traced = trace(lambda x: f(x, w), 2.0)
    assert [plain(y) for y in flat(traced.result)] == flat([truth(2.0, 5.0)])
    found = traced.with_leaves({traced.inputs[0]: 10.0, w: 7.0})
    assert found == flat([truth(10.0, 7.0)])


def test_the_derivatives_of_nested_transforms_are_not_confused_in_a_trace() -> None:
    for f in (
        grad(lambda x: x * grad(lambda y: x * y)(1.0)),
        grad(lambda x: x * jvp(lambda y: x * y, [1.0], [1.0])[1]),
        lambda x: jvp(lambda a: a * grad(lambda y: a * y)(1.0), [x], [1.0])[1],
    ):
        traced = trace(f, 3.0)
        assert traced.result.data == 6.0
        assert traced.again(5.0) == [10.0]


def test_a_trace_is_the_only_place_where_a_derivative_of_numbers_is_a_value() -> None:
    assert type(trace(lambda x: grad(lambda a: a * a)(3.0) * x, 1.0).result) is Value
    assert type(grad(lambda a: a * a)(3.0)) is float
