"""A numerical derivative is within its own bound of the true one, and the bound is tight."""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any

import mpmath as mp
import pytest
from expressions import OPERATIONS, bounds, differentiable, points
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import ORACLE

from autograd import special
from autograd.testing.differences import LEFT, RIGHT, UNKNOWN, Curve, derivative, slope_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from autograd import Op

Case = tuple[str, "Callable[[float], float]", float, float]


def single(x: float) -> float:
    """The nearest number of 32 bits."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


# Functions on which a fixed step fails: its scale is too large or too small, or noise hides it.
DIFFICULT: list[Case] = [
    ("a tiny point", math.log, 1e-300, 1e300),
    ("a tiny point of a function that bends at 1", math.cos, 1e-300, -1e-300),
    ("a huge point", lambda x: x * x, 1e150, 2e150),
    ("a huge constant beside it", lambda x: 1e8 + x, 1.0, 1.0),
    ("a tiny function", lambda x: math.tanh(x / 1e10), 1.0, 1e-10),
    ("ten thousand radians a unit", lambda x: math.sin(1e4 * x), 0.3, 1e4 * math.cos(3e3)),
    ("a pole nearby", lambda x: 1.0 / (x - 1.0), 1.0000001, -1.0 / (1.0000001 - 1.0) ** 2),
    ("steep", lambda x: math.exp(50.0 * x), 1.0, 50.0 * math.exp(50.0)),
    ("flat", lambda x: x**7, 0.0, 0.0),
    ("constant", lambda _: 3.0, 1.0, 0.0),
    ("cancellation", lambda x: (1.0 - math.cos(x)) / x**2, 1e-3, -1e-3 / 12.0),
    ("rounded to 32 bits", lambda x: single(math.sin(single(x))), 1.0, math.cos(1.0)),
    ("a kink a millionth away", lambda x: max(x, 1.0), 1.0 + 1e-6, 1.0),
    ("a kink in the second derivative", lambda x: x * abs(x), 0.0, 0.0),
    (
        "nearly constant, and seen from afar a constant with a bump",
        lambda x: 8.0 / math.hypot(8.0, special.inversion(special.inversion(x, x), 4.0)),
        -6.0,
        -7.05199735340074e-08,
    ),
    (
        "a wiggle narrower than most steps",
        lambda x: math.sin(x) + (x - 1.0) * math.exp(-(((x - 1.0) / 1e-5) ** 2)),
        1.0,
        math.cos(1.0) + 1.0,
    ),
]


@pytest.mark.parametrize(
    ("what", "f", "x", "exact"), DIFFICULT, ids=[case[0] for case in DIFFICULT]
)
def test_the_true_derivative_lies_within_the_bound(what, f, x, exact):
    found = derivative(f, x)
    assert abs(found.derivative - exact) <= found.error, what


EASY: list[Case] = [
    ("exp", math.exp, 1.0, math.e),
    ("log", math.log, 2.0, 0.5),
    ("sin", math.sin, 0.0, 1.0),
    ("a square at its minimum", lambda x: x * x, 0.0, 0.0),
]


@pytest.mark.parametrize(("what", "f", "x", "exact"), EASY, ids=[case[0] for case in EASY])
def test_the_bound_is_tight_where_the_function_is_smooth(what, f, x, exact):
    found = derivative(f, x)
    assert abs(found.derivative - exact) <= found.error <= 1e-12 * found.scale, what


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
@settings(max_examples=15)
@given(data=st.data())
def test_the_bound_holds_for_every_operation(op: Op, data: Any):
    point = data.draw(points(op))
    for index in differentiable(op, point):

        def along(x: float, index: int = index) -> float:
            return float(op.forward(*point[:index], x, *point[index + 1 :]))

        with mp.workprec(300):
            exact = float(ORACLE[op.name].first(index, *map(mp.mpf, point)))
        found = derivative(along, point[index], *bounds(op, index))
        assert abs(found.derivative - exact) <= found.error


def test_a_side_is_evaluated_on_that_side_only():
    asked: list[float] = []

    def f(x: float) -> float:
        asked.append(x)
        return abs(x - 2.0)

    left = slope_of(Curve(f, 2.0), LEFT)
    assert max(asked) < 2.0
    asked.clear()
    right = slope_of(Curve(f, 2.0), RIGHT)
    assert min(asked) > 2.0
    assert abs(left.derivative + 1.0) <= left.error < 1e-9
    assert abs(right.derivative - 1.0) <= right.error < 1e-9


def test_nothing_is_evaluated_outside_the_domain():
    def f(x: float) -> float:
        assert 0.0 <= x <= 1.0
        return math.sqrt(x)

    found = derivative(f, 0.25, 0.0, 1.0)
    assert abs(found.derivative - 1.0) <= found.error


def test_where_nothing_can_be_evaluated_nothing_is_claimed():
    def f(_: float) -> float:
        raise ZeroDivisionError

    assert derivative(f, 1.0) == UNKNOWN


def test_a_kink_at_the_point_leaves_a_bound_that_claims_nothing():
    found = derivative(abs, 0.0)
    assert found.error > 0.1 * found.scale


@given(st.floats(1e-3, 1e3), st.floats(1e-12, 1e-4))
def test_noise_of_any_size_is_seen_and_bounded(x, noise):
    # A function that is right to `noise` only: which way it is off looks random.
    def f(t: float) -> float:
        dice = float(zlib.crc32(struct.pack("d", t))) / 2**31 - 1.0
        return float(math.exp(0.1 * t) * (1.0 + noise * dice))

    found = derivative(f, x)
    assert abs(found.derivative - 0.1 * math.exp(0.1 * x)) <= 2.0 * found.error
