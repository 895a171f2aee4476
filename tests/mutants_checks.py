"""The laws by which `check_gradients` has to find a mutant: it is asked, and must find all right.

- A record: `check_gradients(op)` looks at each local derivative, at its derivatives, at the domain
  and the kinks. On a kink itself, `check_gradients(op, *point)` can tell only what lies outside of
  the slopes on the two sides: everything between is a subgradient, and right.
- The gradients of small programs, at first and second order: `check_gradients(f, *args, order=2)`.
- The same by every other way: `check_gradients(f, *args, gradient=g)`, where f runs on floats and g
  asks `steps`, `jvp`, a pickled graph … for its gradient.
- A gradient of a graph with a leaf that changed in between: it is refused, or it is right.

All of them hold of the sound engine.
"""

from __future__ import annotations

import copy
import math
import pickle
from contextlib import suppress
from fractions import Fraction
from functools import cache
from operator import contains
from typing import TYPE_CHECKING, Any

import pytest
from expressions import OPERATIONS
from test_laws import KINKS, points_on

import autograd
from autograd import Value
from autograd.testing import check_gradients
from autograd.value import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Program = Callable[..., Any]
    Reader = Callable[[Value, list[Value]], Sequence[Any]]

# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_check_gradients_finds_a_record_right(op):
    assert check_gradients(op)


@pytest.mark.parametrize(("op", "kink"), KINKS, ids=lambda x: getattr(x, "name", None) or x.at)
def test_check_gradients_finds_a_subgradient_right(op, kink):
    inside = [p for p in points_on(op, kink) if all(map(contains, op.domain, p))]
    for point in inside[::5][:5]:
        assert check_gradients(op, *point)


# --- programs -------------------------------------------------------------------------------------


def exp(x: Any) -> Any:
    """eˣ, by the method where there is one."""
    return x.exp() if type(x) is Value else autograd.exp(x)


def two_deep(a: Any, b: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """A value that is used at two depths: it has to wait for the other use of it."""
    h = a * b
    return combine(h, exp(h))


def stack_of_diamonds(a: Any) -> Any:
    """Values that are used twice, four deep."""
    for _ in range(4):
        a = a * autograd.sin(a)
    return a


PROGRAMS: dict[str, tuple[Program, tuple[float, ...]]] = {
    "a * a": (lambda a: a * a, (3.0,)),
    "one operand": (lambda a: exp(a) * autograd.sin(a) - autograd.tanh(a), (0.7,)),
    "two operands": (lambda a, b: (a - b) * (b / a) + autograd.sub(a, b * b), (1.0, 1.5)),
    "numbers": (
        lambda a: (2.0 - a) / 3.0 + 2.0**a + (Fraction(1, 2) / a) - a**2.5,
        (1.3,),
    ),
    "three operands": (
        # At the tie the derivatives of clip are ½, which add up to 1; everywhere else 0 or 1.
        lambda a, b: autograd.clip(a, a, a + b) + b * autograd.where(1.0, b * b, a),
        (0.4, 1.3),
    ),
    "many operands": (
        lambda a, b: autograd.sum([a, a * b, a]) * autograd.dot([a, b], [b, exp(a)]),
        (0.6, -1.2),
    ),
    "many operands and numbers": (
        lambda a, b: autograd.dot([a, 2.0, b], [b, a, a]) * autograd.logsumexp([a, 0.5, a]),
        (0.6, -1.2),
    ),
    "a wait": (lambda a, b: two_deep(a, b, lambda h, k: h * k), (0.5, 0.8)),
    "a wait the other way round": (lambda a, b: two_deep(a, b, lambda h, k: k * h), (0.5, 0.8)),
    "a wait of many": (
        lambda a, b: two_deep(a, b, lambda h, k: autograd.logsumexp([h, k, h])),
        (0.5, 0.8),
    ),
    "a wait of many the other way round": (
        lambda a, b: two_deep(a, b, lambda h, k: autograd.logsumexp([k, h, k])),
        (0.5, 0.8),
    ),
    "a stack of diamonds": (stack_of_diamonds, (1.1,)),
}


def far_root(a: Any) -> Any:
    """√a² - 9, which at 0 has no derivative and is too small to be chosen."""
    return autograd.sqrt(a * a) - 9.0


# The derivative at 0 exists, if only those are asked that have a part in it.
CHOICES: dict[str, Program] = {
    "one operand": lambda a: autograd.relu(far_root(a)) + a,
    "first of two": lambda a: autograd.maximum(far_root(a), a),
    "second of two": lambda a: autograd.maximum(a, far_root(a)),
    "first of three": lambda a: autograd.clip(far_root(a), a, a + 1.0),
    "last of three": lambda a: autograd.where(1.0, a, far_root(a)),
    "nothing": lambda a: autograd.relu(far_root(a) * exp(a)) + a,
}


def cube(a: Any) -> Any:
    """a³, whose derivative in the exponent doesn't exist below 0, but nobody wants it."""
    return a ** (Value(3.0) if type(a) is Value else 3.0)


class Model:
    """A model of one parameter."""

    def __init__(self) -> None:
        self.w = Value(0.8)

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the parameter's name and the parameter."""
        return [("w", self.w)]

    def __call__(self) -> Any:
        """Return something of it."""
        return exp(self.w) * self.w


OURS: dict[str, tuple[Program, Sequence[Any], int]] = {
    **{name: (f, point, 2) for name, (f, point) in PROGRAMS.items()},
    **{f"a choice, {name}": (f, [0.0], 1) for name, f in CHOICES.items()},
    "an exponent": (cube, [-2.0], 1),
    "a model": (lambda model: model(), [Model()], 1),
}


@pytest.mark.parametrize("program", OURS)
def test_check_gradients_finds_our_gradients_right(program):
    f, point, order = OURS[program]
    assert check_gradients(f, *point, order=order)


# --- the ways to a gradient -----------------------------------------------------------------------


def by_backward(y: Value, leaves: list[Value]) -> list[float]:
    y.backward(-2.0)
    return [x.grad / -2.0 for x in leaves]


def by_backward_twice(y: Value, leaves: list[Value]) -> list[float]:
    y.backward()
    y.backward()
    return [x.grad / 2.0 for x in leaves]


def by_backward_inside_ieee(y: Value, leaves: list[Value]) -> list[float]:
    with autograd.ieee():
        return by_backward(y, leaves)


def by_backward_around_a_failure(y: Value, leaves: list[Value]) -> list[float]:
    with autograd.ieee():
        y.backward()
    with suppress(ZeroDivisionError):
        (autograd.sqrt(Value(0.0)) - y).backward()
    y.backward()
    return [x.grad / 2.0 for x in leaves]


def by_steps(y: Value, leaves: list[Value]) -> list[float]:
    sums = {step.parent: step.accumulated for step in autograd.steps(y, seed=-2.0)}
    return [sums[x] / -2.0 for x in leaves]


def by_edges(y: Value, leaves: list[Value]) -> list[float]:
    def along(v: Value, x: Value) -> float:
        parts = [(local(), parent) for parent, local in v.edges()]
        return float(v is x) + sum(local * along(parent, x) for local, parent in parts if local)

    return [along(y, x) for x in leaves]


def by_paths(y: Value, leaves: list[Value]) -> list[float]:
    return [math.fsum(way.product for way in autograd.paths(y, x)) for x in leaves]


def by_a_copy(y: Value, leaves: list[Value]) -> list[float]:
    y.backward()
    return by_backward_on(*copy.deepcopy((y, leaves)))


def by_a_pickle(y: Value, leaves: list[Value]) -> list[float]:
    y.backward()
    return by_backward_on(*pickle.loads(pickle.dumps((y, leaves))))  # noqa: S301  (our own bytes)


def by_backward_on(y: Value, leaves: list[Value]) -> list[float]:
    """The second of two passes, the first of which somebody else made."""
    y.backward()
    return [x.grad / 2.0 for x in leaves]


READERS: list[Reader] = [
    by_backward,
    by_backward_twice,
    by_backward_inside_ieee,
    by_backward_around_a_failure,
    autograd.gradients,
    by_steps,
    by_edges,
    by_paths,
    by_a_copy,
    by_a_pickle,
]


def read_by(read: Reader, f: Program) -> Program:
    """The gradient of f as a function of its inputs."""

    def gradient(*xs: float) -> list[float]:
        leaves = [Value(x) for x in xs]
        return [plain(g) for g in read(f(*leaves), leaves)]

    return gradient


def units(count: int) -> list[list[float]]:
    """The rows of the identity."""
    return [[float(i == j) for j in range(count)] for i in range(count)]


def by_grad(f: Program) -> Program:
    return lambda *xs: autograd.grad(f, tuple(range(len(xs))))(*xs)


def by_jvp(f: Program) -> Program:
    return lambda *xs: [autograd.jvp(f, xs, unit)[1] for unit in units(len(xs))]


def by_hvp(f: Program) -> Program:
    """The gradient of the first component of f's own."""

    def of_list(xs: Any) -> Any:
        return f(*xs)

    return lambda *xs: [autograd.hvp(of_list, [*xs], unit)[0] for unit in units(len(xs))]


NESTED: list[Program] = [
    lambda a: a * autograd.grad(lambda b: a * b * b)(2.0),
    lambda a: autograd.grad(lambda b: b * b * a)(a),
]


def ways() -> dict[str, tuple[Program, Sequence[float], Program]]:
    """A function, a point, and the gradient of it by one of the ways, by name."""
    found: dict[str, tuple[Program, Sequence[float], Program]] = {}
    for name, (f, point) in PROGRAMS.items():
        found |= {f"{name}, {r.__name__}": (f, point, read_by(r, f)) for r in READERS}
        found[f"{name}, grad"] = f, point, by_grad(f)
        found[f"{name}, jvp"] = f, point, by_jvp(f)
        found[f"{name}, hvp"] = autograd.grad(f), point, by_hvp(f)
    found |= {f"a choice, {name}, jvp": (f, [0.0], by_jvp(f)) for name, f in CHOICES.items()}
    found["an exponent, jvp"] = cube, [-2.0], by_jvp(cube)
    found |= {f"nested, {k}": (f, [1.5], by_grad(f)) for k, f in enumerate(NESTED)}
    return found


WAYS = ways()


@pytest.mark.parametrize("way", WAYS)
def test_check_gradients_finds_each_way_to_a_gradient_right(way):
    f, point, gradient = WAYS[way]
    assert check_gradients(f, *point, gradient=gradient)


# --- a leaf that changes --------------------------------------------------------------------------

ONE = Value(1.0)


@cache
def pair(a: Any) -> tuple[Any, Any]:
    """A tuple that is the same for the same leaf."""
    return a, a


# A leaf in each place that an operation has for it, alone there. The rules use the result, which
# is old then: where they use nothing but the operands, what they return is right by chance.
PLACES: dict[str, Program] = {
    "only operand": autograd.sigmoid,
    "only operand, method": exp,
    "first operand": lambda a: autograd.hypot(a, 1.0),
    "second operand": lambda a: 2.0**a,
    "second operand, method": lambda a: (ONE if type(a) is Value else 1.0) / a,
    "many operands": lambda a: autograd.logsumexp([0.0, a]),
    "one tuple for two": lambda a: autograd.logsumexp(pair(a)),
}

# What is computed after the change is young, and doesn't excuse what is old.
MIXTURES: dict[str, Program] = {
    "alone": lambda old, _: old,
    "first": lambda old, new: old * new,
    "last": lambda old, new: new * old,
}


@pytest.mark.parametrize("read", [by_backward, autograd.gradients, by_steps, by_edges])
@pytest.mark.parametrize("mix", MIXTURES)
@pytest.mark.parametrize("place", PLACES)
def test_check_gradients_finds_a_gradient_right_or_it_is_refused_after_a_change(place, mix, read):
    f, mixed = PLACES[place], MIXTURES[mix]

    def gradient(x: float) -> list[float]:
        leaf = Value(0.5)
        old = f(leaf)
        leaf.data = x
        return [plain(g) for g in read(mixed(old, f(leaf)), [leaf])]

    with suppress(RuntimeError):
        assert check_gradients(lambda a: mixed(f(a), f(a)), 0.8, gradient=gradient)
