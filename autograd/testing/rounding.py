"""How much of a computed number is rounding."""

from __future__ import annotations

from math import fabs, isfinite
from sys import float_info
from typing import TYPE_CHECKING

from autograd.backward import contributions, sort
from autograd.op import ieee

if TYPE_CHECKING:
    from autograd.value import Value


def rounding_bound(y: Value) -> float:
    """Return a bound on the rounding error in y's data: ε · Σ |∂y/∂v · v| over all that it took.

    Each operation rounds its result v once, and what that does to y the chain rule tells. Where
    that can't be told, for want of a derivative, it is one rounding of y.

    Source: S. Linnainmaa, Taylor expansion of the accumulated rounding error, BIT 16 (1976)
    146-160, where reverse-mode differentiation comes from.
    """
    computed, _ = sort(y)
    grads: dict[Value, float] = {y: 1.0}
    try:
        with ieee():
            for _ in contributions(computed, grads):
                pass
    except (ArithmeticError, ValueError):  # an operation of a user's own, written without ieee
        grads = {y: 1.0}
    terms = [fabs(grads[v] * v.data) for v in computed if v in grads]
    total = float_info.epsilon * sum(terms)
    return total if isfinite(total) else float_info.epsilon * fabs(y.data)
