"""What the laws are tried on: the product's strategies, and what the suite wants beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import mpmath as mp
from hypothesis import strategies as st
from oracle import ORACLE

from autograd import REGISTRY, Op, add
from autograd.testing import strategies
from autograd.testing.strategies import SPELLED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "OPERATIONS",
    "SPELLED",
    "Expression",
    "bounds",
    "differentiable",
    "expressions",
    "numbers",
    "points",
]

OPERATIONS = [op for op in REGISTRY.values() if op.builtin]

numbers = strategies.operands(add, 0)


def is_order(op: Op, index: int) -> bool:
    """Say whether an operand is a whole number, in which nothing can be differentiated."""
    low, high = bounds(op, index)
    return low == high


def differentiable(op: Op, point: Sequence[float]) -> list[int]:
    """Return the indices of the operands that have a derivative."""
    chosen = op.name == "where" and point[0] == 0.0  # the condition's kink, and half of its domain
    return [i for i in range(len(point)) if not is_order(op, i) and not (chosen and i == 0)]


def bounds(op: Op, index: int) -> tuple[float, float]:
    """Return where the operand may lie."""
    low, high, _ = op.domain[index if op.arity else 0]
    return low, high


def points(op: Op) -> st.SearchStrategy[tuple[float, ...]]:
    """Draw operands of `op`: the product's, every order of polygamma, both branches of where."""
    drawn = strategies.points(op)
    if op.name == "polygamma":
        return st.tuples(st.integers(0, 3).map(float), strategies.operands(op, 1))
    if op.name == "where":
        return drawn | drawn.map(lambda point: (0.0, *point[1:]))
    return drawn


class Expression(strategies.Expression):
    """The product's, and the exact results of all its lines."""

    def exact(  # of every line, and by the suite's own oracle
        self, inputs: Sequence[mp.mpf], factors: Sequence[mp.mpf] = ()
    ) -> list[mp.mpf]:
        """Return all values by mpmath, the result of line k multiplied by factors[k]."""
        remaining = iter(factors)

        def apply(name: str, operands: tuple[Any, ...]) -> mp.mpf:
            return ORACLE[name].value(*map(mp.mpf, operands)) * next(remaining, mp.mpf(1))

        return self.run(inputs, apply)


def expressions(most_lines: int = 10) -> st.SearchStrategy[Expression]:
    """Draw one of the product's expressions."""
    drawn = strategies.expressions(max_operations=most_lines, max_condition=math.inf)
    return drawn.map(lambda expression: Expression(expression.inputs, expression.lines))
