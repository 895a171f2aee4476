"""The laws of `define`: a user's operation has the powers of ours and is checked before that."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import autograd
from autograd import Interval, Kink, Value, define
from autograd.op import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    before = dict(REGISTRY)
    attributes = set(vars(Value))
    yield
    for name in set(REGISTRY) - set(before):
        del REGISTRY[name]
    REGISTRY.update(before)
    for name in set(vars(Value)) - attributes:
        delattr(Value, name)


def cube() -> Any:
    """Define a³."""
    return define("cube", lambda a: a * a * a, lambda _y, a: 3.0 * a * a, symbol="a³")


def test_an_operation_of_ones_own_works_on_floats_and_values_and_as_a_method() -> None:
    op = cube()
    assert op(2.0) == 8.0
    assert type(op(2)) is float
    x = Value(2.0)
    y = op(x)
    y.backward()
    assert (y.data, x.grad, y.op) == (8.0, 12.0, op)
    method: Any = Value(3.0)
    assert method.cube().data == 27.0
    assert autograd.cube is op  # type: ignore[attr-defined]


def test_it_differentiates_to_any_order_by_every_transform() -> None:
    op = cube()
    assert autograd.grad(autograd.grad(op))(2.0) == 12.0
    assert autograd.grad(autograd.grad(autograd.grad(op)))(2.0) == 6.0
    assert autograd.jvp(op, [2.0], [0.5]) == (8.0, 6.0)
    assert autograd.hessian(op)(2.0) == 12.0


def test_it_appears_in_steps_copies_and_pickles_under_its_name() -> None:
    x = Value(2.0, "x")
    y = cube()(x)
    y.label = "y"
    assert str(autograd.steps(y)[0]) == "∂y/∂x = ∂y/∂y · ∂y/∂x = 1 × 12 = 12"
    dumped = pickle.dumps(y)
    for made in (copy.deepcopy(y), pickle.loads(dumped)):  # noqa: S301  (our own bytes)
        made.backward()
        assert made.parents[0].grad == 12.0
    del REGISTRY["cube"]
    with pytest.raises(LookupError, match="no operation is called 'cube'; define it before"):
        pickle.loads(dumped)  # noqa: S301


@pytest.mark.parametrize(
    "constant", [-1.0, -1, Fraction(-1), np.float64(-1.0), np.int64(-1)], ids=repr
)
def test_a_number_stands_for_a_constant_derivative(constant: Any) -> None:
    op = define("opposite", lambda a: -a, [constant])
    x = Value(3.0)
    op(x).backward()
    assert x.grad == -1.0
    assert type(x.grad) is float
    assert autograd.gradients(op(x), [x])[0].data == -1.0
    assert autograd.steps(op(x))[0].local == -1.0


def test_operations_of_two_three_and_any_number_of_operands_can_be_defined() -> None:
    two = define(
        "scaled", lambda a, b: a * b * b, [lambda _y, _a, b: b * b, lambda _y, a, b: 2 * a * b]
    )
    three = define(
        "fused",
        lambda a, b, c: a * b + c,
        [lambda _y, _a, b, _c: b, lambda _y, a, _b, _c: a, 1.0],
    )
    many = define(
        "squares",
        lambda *xs: math.fsum([x * x for x in xs]),
        lambda _y, *xs: [2.0 * x for x in xs],
    )
    a, b, c = Value(2.0), Value(3.0), Value(5.0)
    for y, data, expected in (
        (two(a, b), 18.0, [9.0, 12.0, 0.0]),
        (three(a, b, c), 11.0, [3.0, 2.0, 1.0]),
        (many([a, b, c]), 38.0, [4.0, 6.0, 10.0]),
        (many([a, 1.0, a]), 9.0, [8.0, 0.0, 0.0]),
        (two(2.0, b), 18.0, [0.0, 12.0, 0.0]),
    ):
        for v in (a, b, c):
            v.grad = 0.0
        y.backward()
        assert y.data == data
        assert [v.grad for v in (a, b, c)] == expected
        assert [g.data for g in autograd.gradients(y, [a, b, c])] == expected


def test_its_errors_are_in_its_words_and_ieee_holds_for_it() -> None:
    op = define(
        "halfroot",
        lambda a: math.sqrt(a) / 2.0,
        lambda y, a: 0.125 / y,  # noqa: ARG005
        rule="operand must be >= 0",
        domain=[(0.0, math.inf)],
    )
    with pytest.raises(ValueError, match=r"^halfroot\(-1\.0\): operand must be >= 0$"):
        op(Value(-1.0))
    with pytest.raises(ZeroDivisionError, match=r"halfroot\(0\.0\): the derivative is infinite"):
        op(Value(0.0)).backward()
    with autograd.ieee():
        assert math.isnan(op(Value(-1.0)).data)
        x = Value(0.0)
        op(x).backward()
        assert x.grad == math.inf


def test_a_kink_is_not_held_against_the_derivative() -> None:
    op = define(
        "hinge",
        lambda a: a - 0.37 if a > 0.37 else 0.0,
        lambda _y, a: autograd.step(a - 0.37),
        kinks=[Kink("a = 0.37", lambda a: a == 0.37, (0.0,))],
        routes=True,
    )
    assert autograd.grad(op)(1.0) == 1.0
    assert autograd.grad(op)(0.37) == 0.0


# --- what is caught -------------------------------------------------------------------------------

WRONG: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("a sign", {"partials": lambda _y, a: -2.0 * a}, ValueError, "differences of .*-1"),
    ("a factor", {"partials": lambda _y, a: 2.00002 * a}, ValueError, "1.00001 times the diff"),
    ("a constant", {"partials": [2.0]}, ValueError, "differences of"),
    ("another function", {"partials": lambda y, _a: y}, ValueError, "differences of"),
    ("too many partials", {"partials": [2.0, 3.0]}, ValueError, "takes 1 operands, so"),
    ("no partials", {"partials": []}, ValueError, "takes 1 operands, so"),
    ("a partial without y", {"partials": [lambda: 1.0]}, ValueError, r"a partial takes \(y, a\)"),
    (
        "math in a partial",
        {"forward": math.sin, "partials": lambda _y, a: math.cos(a)},
        TypeError,
        "must run on Values, too.*use autograd's functions",
    ),
    (
        "a partial that drops the graph",
        {
            "partials": lambda _y, a: (
                2.0 * autograd.grad(lambda b: 0.5 * b * b)(getattr(a, "data", a))
            )
        },
        ValueError,
        "∂²|second derivative|graph",
    ),
    (
        "four operands",
        {"forward": lambda a, b, c, d: a + b + c + d},
        ValueError,
        "takes 4 operands",
    ),
    ("no operand", {"forward": lambda: 1.0}, ValueError, "takes 0 operands"),
    ("an int for a result", {"forward": lambda a: 2}, TypeError, "must return a float; got 2"),  # noqa: ARG005
    ("a result of no kind", {"forward": lambda a: None}, TypeError, "must return a float"),  # noqa: ARG005
    (
        "nothing to check it at",
        {"forward": lambda a: math.sqrt(-1.0 - a * a)},
        ValueError,
        "couldn't be checked at any point: give the domain",
    ),
    (
        "two intervals",
        {"domain": [(0.0, 1.0), (0.0, 1.0)]},
        ValueError,
        "2 intervals for 1 operands",
    ),
    ("an empty interval", {"domain": [(2.0, 1.0)]}, ValueError, "domain"),
    ("an interval of text", {"domain": [("a", "b")]}, TypeError, "domain"),
    ("a domain of no kind", {"domain": 5}, TypeError, "domain"),
    ("partials of no kind", {"partials": None}, TypeError, "partials"),
    ("a lowering of no kind", {"lowering": "mul"}, TypeError, "lowering must be a function"),
    ("a lowering without m", {"lowering": lambda a: a}, ValueError, r"lowering takes \(m, a\)"),
    ("a wrong lowering", {"lowering": lambda _m, a: a * 2.0}, ValueError, "the lowering gives"),
    (
        "no such code",
        {"lowering": lambda m, a: m.sqr(a)},
        AttributeError,
        "m has no function 'sqr'",
    ),
    ("no term", {"lowering": lambda m, _a: m}, TypeError, "what lowering returns must be a real"),
    ("a function of no kind", {"forward": 5}, TypeError, "forward"),
    ("a function without a signature", {"forward": max}, (ValueError, TypeError), "signature"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("what", "change", "kind", "words"), WRONG, ids=[w[0] for w in WRONG])
def test_a_wrong_definition_is_caught_named_and_leaves_nothing_behind(
    what: str, change: dict[str, Any], kind: type[Exception], words: str
) -> None:
    assert what
    good: dict[str, Any] = {"forward": lambda a: a * a, "partials": lambda _y, a: 2.0 * a}
    before = dict(REGISTRY)
    with pytest.raises(kind, match=words):
        define("mine", **{**good, **change})
    assert before == REGISTRY
    assert not hasattr(Value, "mine")
    assert define("mine", **good)(3.0) == 9.0


@pytest.mark.parametrize("index", [0, 1])
def test_a_wrong_derivative_is_named_by_its_operand(index: int) -> None:
    partials: list[Callable[..., Any]] = [lambda _y, _a, b: b, lambda _y, a, _b: a]
    partials[index] = lambda _y, a, b: a + b
    with pytest.raises(ValueError, match=f"mine: ∂/∂operand {index + 1} at "):
        define("mine", lambda a, b: a * b, partials)


def test_a_lowering_may_choose_and_take_any_number_of_operands() -> None:
    op = define(
        "huber",
        lambda a: a * a / 2.0 if -1.0 < a < 1.0 else abs(a) - 0.5,
        lambda _y, a: autograd.clip(a, -1.0, 1.0),
        lowering=lambda m, a: m.if_less(abs(a), 1.0, a * a / 2.0, abs(a) - 0.5),
    )
    assert op(-3.0) == 2.5
    squares = define(
        "squares",
        lambda *xs: math.fsum([x * x for x in xs]),
        lambda _y, *xs: [2.0 * x for x in xs],
        lowering=lambda m, *xs: m.dot(xs, xs),
    )
    assert squares([1.0, 2.0]) == 5.0
    assert squares.lowering is not None


def test_a_wrong_derivative_in_any_of_many_operands_is_caught() -> None:
    for place in range(3):

        def partials(_y: Any, *xs: Any, place: int = place) -> list[Any]:
            return [x + 1.0 if i == place else 2.0 * x for i, x in enumerate(xs)]

        with pytest.raises(ValueError, match=f"∂/∂operand {place + 1}"):
            define("mine", lambda *xs: math.fsum([x * x for x in xs]), partials)


@pytest.mark.parametrize(
    "name",
    [
        "tanh",
        "add",
        "dot",
        "arctan",
        "data",
        "grad",
        "label",
        "op",
        "backward",
        "parents",
        "edges",
        "operands",
        "steps",
        "paths",
        "gradients",
        "jvp",
        "vjp",
        "hessian",
        "Value",
        "ieee",
        "define",
        "find",
        "draw",
        "compile",
        "_data",
        "__add__",
    ],
)
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    meant = getattr(autograd, name, None)
    with pytest.raises(ValueError, match=rf"'{name}' is taken"):
        define(name, lambda a: a * a, lambda _y, a: 2.0 * a)
    assert getattr(autograd, name, None) is meant


@pytest.mark.parametrize("name", ["", "1a", "a b", "a.b", "class", "None", "__array_ufunc__"])
def test_a_name_that_is_none_in_python_or_belongs_to_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        define(name, lambda a: a * a, lambda _y, a: 2.0 * a)


@pytest.mark.parametrize("name", [None, 5, b"x", ["x"], len])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="name must be a Python name"):
        define(name, lambda a: a * a, lambda _y, a: 2.0 * a)


def test_ones_own_operation_is_replaced_only_when_that_is_said() -> None:
    first = cube()
    with pytest.raises(ValueError, match="'cube' is defined already; pass replace=True"):
        cube()
    second = define("cube", lambda a: a**3, lambda _y, a: 3.0 * a**2, replace=True)
    assert autograd.cube is second  # type: ignore[attr-defined]
    assert second is not first
    with pytest.raises(ValueError, match="differences of"):
        define("cube", lambda a: a**3, lambda _y, a: 4.0 * a**2, replace=True)
    assert autograd.cube is second  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="'tanh' is taken"):
        define("tanh", math.tanh, lambda y, _a: 1.0 - y * y, replace=True)


def test_the_domain_may_be_given_as_intervals_or_pairs() -> None:
    for domain in ([(0.0, math.inf)], [Interval(0.0)]):
        op = define(
            "ln",
            lambda a: math.log(a),  # noqa: PLW0108
            lambda _y, a: 1.0 / a,
            domain=domain,
            replace="ln" in REGISTRY,
        )
        assert op(1.0) == 0.0
