"""The laws of `kinks`: which points without a derivative an evaluation sat on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_backward import graphs

import autograd
from autograd import REGISTRY, Kink, Value, define, kinks

if TYPE_CHECKING:
    from collections.abc import Callable


def at_zero(f: Callable[..., Any], count: int = 1) -> list[tuple[str, tuple[float, ...]]]:
    """Return the kinks of f at 0, each as its operation and the subgradient."""
    y = f(*[Value(0.0) for _ in range(count)])
    return [(found.op.name, found.subgradient) for found in kinks(y)]


# --- what is a kink -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (autograd.relu, [("relu", (0.0,))]),
        (autograd.abs, [("abs", (0.0,))]),
        (autograd.sign, [("sign", (0.0,))]),
        (autograd.step, [("step", (0.0,))]),
        (autograd.leaky_relu, [("leaky_relu", (0.01, 0.0))]),
        (lambda x: autograd.elu(x, 2.0), [("elu", (2.0, 0.0))]),
        (lambda x: autograd.maximum(x, 0.0), [("maximum", (0.5, 0.5))]),
        (lambda x: autograd.minimum(0.0, x), [("minimum", (0.5, 0.5))]),
        (lambda x: autograd.clip(x, 0.0, 1.0), [("clip", (0.5, 0.5, 0.0))]),
        (lambda x: autograd.clip(x, -1.0, 0.0), [("clip", (0.5, 0.0, 0.5))]),
        (lambda x: autograd.where(x, x + 1.0, x), [("where", (0.0, 0.0, 1.0))]),
        (lambda x: autograd.hypot(x, 0.0), [("hypot", (0.0, 0.0))]),
        (lambda x: autograd.hypot(x, x), [("hypot", (0.0, 0.0))]),
    ],
)
def test_a_kink_comes_with_the_subgradient_that_is_returned_there(
    f: Any, expected: list[tuple[str, tuple[float, ...]]]
) -> None:
    assert at_zero(f) == expected


@pytest.mark.parametrize(
    "f",
    [
        autograd.softplus,
        autograd.elu,
        autograd.sqrt,  # infinitely steep, which is an error and no kink
        lambda x: autograd.relu(x + 1.0),
        lambda x: autograd.maximum(x, 1.0),
        lambda x: autograd.hypot(x, 1.0),
        lambda x: autograd.leaky_relu(x, 1.0),
        lambda x: autograd.where(x, x, x),
    ],
)
def test_where_there_is_a_derivative_there_is_no_kink(f: Any) -> None:
    assert at_zero(f) == []


@pytest.mark.parametrize(
    "f",
    [
        lambda x: autograd.leaky_relu(0.0, x),
        lambda x: autograd.elu(0.0, x),
        lambda x: autograd.where(0.0, x, x + 1.0),
        lambda x: autograd.where(x > 0.0, x, x + 1.0),
    ],
)
def test_a_kink_in_an_operand_that_is_a_plain_number_is_none(f: Any) -> None:
    assert at_zero(f) == []


@pytest.mark.parametrize(
    "f",
    [
        lambda x: autograd.maximum(x, x),
        lambda x: autograd.minimum(x, x),
        lambda x: autograd.clip(x, x, 1.0),
    ],
)
def test_a_tie_of_a_value_with_itself_is_none(f: Any) -> None:
    assert at_zero(f) == []
    assert autograd.grad(f)(0.0) == 1.0


def test_only_what_the_backward_pass_comes_to_is_listed() -> None:
    assert at_zero(lambda x: autograd.where(1.0, x, autograd.relu(x))) == []
    assert at_zero(lambda x: autograd.maximum(autograd.relu(x) - 1.0, x)) == []
    assert [name for name, _ in at_zero(lambda x: autograd.abs(autograd.relu(x)))] == ["abs"]
    x = Value(0.0)
    assert len(autograd.relu(x).parents) == 1  # beside the result, not below it
    assert kinks(x + 1.0) == []
    assert kinks(x) == []


def test_a_derivative_that_does_not_exist_elsewhere_is_no_error_here() -> None:
    assert at_zero(lambda x: autograd.sqrt(autograd.relu(x))) == [("relu", (0.0,))]


def test_the_kinks_come_in_the_order_of_evaluation_each_as_often_as_it_was_computed() -> None:
    x, z = Value(0.0), Value(0.0)
    hidden = autograd.relu(x)
    y = autograd.sum([hidden, hidden, autograd.abs(z), autograd.maximum(x, z)])
    assert [found.op.name for found in kinks(y)] == ["relu", "abs", "maximum"]
    first = kinks(y)[0]
    assert first.value is hidden
    assert first.operands == (0.0,)
    assert first.kink is autograd.relu.kinks[0]


@given(graphs(), st.sampled_from([0.0, 1.0]))
def test_a_value_is_listed_if_the_pass_asks_for_a_derivative_at_a_declared_kink(
    graph: tuple[list[Value], Value], zero: float
) -> None:
    _, y = graph
    # Moved by its own data the graph ends in 0, the kink of |a|; otherwise away from it.
    ends = autograd.abs(y - (y.data + zero))
    found = {at.value for at in kinks(ends)}
    assert (ends in found) == (zero == 0.0)
    reached = {step.value for step in autograd.steps(ends)}
    for at in kinks(ends):
        assert at.value in reached
        assert at.kink in at.op.kinks
        assert at.kink.holds(*at.operands)
        assert at.subgradient == at.kink.subgradient(*at.operands)


def test_a_kink_of_ones_own_operation_is_listed_too() -> None:
    op = define(
        "hinge",
        lambda a: max(0.0, 1.0 - a),
        lambda _y, a: -autograd.step(1.0 - a),
        kinks=[Kink("a = 1", lambda a: a == 1.0, (0.0,))],
    )
    try:
        assert [str(at) for at in kinks(op(Value(1.0)))] == [
            "y = hinge(1.0) sits on its kink a = 1; the subgradient returned there is 0"
        ]
        assert kinks(op(Value(0.5))) == []
    finally:
        del REGISTRY["hinge"]
        del Value.hinge  # type: ignore[attr-defined]


# --- as text --------------------------------------------------------------------------------------


def test_a_kink_reads_as_a_sentence() -> None:
    x = Value(0.0, "x")
    with autograd.scope("layer1"):
        hidden = autograd.relu(x)
    y = autograd.maximum(hidden, 0.0)
    found = kinks(y)
    assert str(found) == (
        "v1 = relu(0.0) in layer1 sits on its kink a = 0; the subgradient returned there is 0\n"
        "y = maximum(0.0, 0.0) sits on its kink a = b; the subgradient returned there is (0.5, 0.5)"
    )
    assert repr(found) == str(found)
    assert repr(found[0]) == str(found[0])


def test_no_kinks_print_as_that_and_are_false() -> None:
    found = kinks(Value(1.0) * 2.0)
    assert not found
    assert str(found) == "no kinks"


def test_of_many_kinks_the_first_are_printed() -> None:
    y = autograd.sum([autograd.relu(Value(0.0)) for _ in range(1234)])
    lines = str(kinks(y)).split("\n")
    assert len(kinks(y)) == 1234
    assert len(lines) == 21
    assert lines[-1] == "… 1,214 more …"


def test_the_names_are_those_of_the_steps() -> None:
    x = Value(0.0)
    y = autograd.relu(x) * 2.0 + x
    assert [at.name for at in kinks(y)] == [s.names[1] for s in autograd.steps(y) if s.local == 0.0]


# --- errors ---------------------------------------------------------------------------------------


def test_a_changed_leaf_is_the_error_that_backward_raises() -> None:
    x = Value(0.0, "x")
    y = autograd.relu(x)
    x.data = 1.0
    with pytest.raises(RuntimeError, match=r"the data of leaf 'x' changed .* after relu"):
        kinks(y)


@pytest.mark.parametrize("thing", [1.0, None, [Value(1.0)], math.nan])
def test_what_is_no_value_is_a_type_error(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"kinks\(y\) takes a Value; got "):
        kinks(thing)


def test_200_000_values_have_their_kinks_listed() -> None:
    x = y = Value(0.0)
    with autograd.no_collector():
        for _ in range(200_000):
            y = y + 0.0
        found = kinks(autograd.relu(y) + x)
    assert [at.op.name for at in found] == ["relu"]
