"""The laws of lowering.py: an operation's formula for the compiler gives what the operation gives.

They are computed on Values here, without a compiler; what the compiler makes of them is for
test_compile_*.py.
"""

from __future__ import annotations

from itertools import product
from math import inf, isnan, nan, ulp
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import REGISTRY, ieee
from autograd.op import Variadic
from autograd.testing import strategies as ad
from autograd.testing.lowered import lowered

if TYPE_CHECKING:
    from autograd.op import Op

FORMULAS = [op for op in REGISTRY.values() if op.builtin and callable(op.lowering)]
every_formula = pytest.mark.parametrize("op", FORMULAS, ids=lambda op: op.name)

# How far a formula may be from `forward`, in units in the last place: none where nothing is rounded
# but what `forward` rounds, too.
ULP = {
    "cocircle": 1.0,
    "direction": 2.0,
    "inversion": 3.0,
    "logaddexp": 8.0,
    "logsumexp": 8.0,
    "mean": 1.0,
    "pow_below": 2.0,
    "softmax": 4.0,
}


def value(op: Op, point: tuple[float, ...]) -> float:
    with ieee():
        return op.evaluate(*point)


def agree(op: Op, point: tuple[float, ...]) -> bool:
    found, expected = lowered(op, point), value(op, point)
    if found == expected or (isnan(found) and isnan(expected)):
        return True
    return abs(found - expected) <= ULP.get(op.name, 0.0) * ulp(expected)


def test_the_formulas_are_all_here() -> None:
    assert {"relu", "where", "clip", "less", "softmax", "logsumexp", "dot"} <= {
        op.name for op in FORMULAS
    }
    assert ULP.keys() <= {op.name for op in FORMULAS}


@every_formula
@settings(max_examples=60)
@given(st.data())
def test_a_formula_gives_the_operation_s_value(op: Op, data: st.DataObject) -> None:
    points = ad.points(op, tails=True, boundaries=True) | ad.points(op)
    point = data.draw(points | ad.points(op, kinks=True) if op.kinks else points)
    assert agree(op, point), (point, lowered(op, point), value(op, point))


SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -2.0, 1e308, -1e-310, inf, -inf, nan)


@every_formula
def test_a_formula_has_ieee_754_s_values_at_the_ends(op: Op) -> None:
    width = op.arity or (4 if op.name == "dot" else 2)
    # The sum of a mean may overflow where the mean itself doesn't.
    numbers = [x for x in SPECIAL if x != 1e308 or op.name != "mean"]
    for point in product(numbers, repeat=width):
        assert agree(op, point), (point, lowered(op, point), value(op, point))


def test_sums_of_nothing_are_those_of_the_operations() -> None:
    for op in FORMULAS:
        if isinstance(op, Variadic) and op.name != "softmax":  # which has a first operand
            found, expected = lowered(op, ()), value(op, ())
            assert found == expected or (isnan(found) and isnan(expected)), op.name
