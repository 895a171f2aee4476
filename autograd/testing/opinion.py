"""What mpmath says where differences are too noisy to tell."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from .verdict import Judgement

if TYPE_CHECKING:
    from autograd.value import Value

_CONFIRMED = 1e-9  # relative: what mpmath and we have to agree to


def second_opinion(found: Judgement, ours: float | Exception, y: Value, x: Value) -> Judgement:
    """Return the verdict on ∂y/∂x; where it is too noisy to tell, mpmath is asked if it is there.

    It runs the same graph with as many digits as it takes. A number that it confirms is right; one
    that it doesn't may still be as good as doubles allow.
    """
    if found.verdict != "too noisy to tell" or find_spec("mpmath") is None:
        return found
    from .exact import derivative_by_mpmath  # noqa: PLC0415  (mpmath is an extra)

    try:
        exact = derivative_by_mpmath(y, x)
    except (ArithmeticError, ValueError, LookupError):  # an operation of a user's own, perhaps
        return found
    note = f"differences are too noisy to tell; mpmath gives {exact:.10g}"
    if isinstance(ours, float) and abs(ours - exact) <= _CONFIRMED * abs(exact):
        return Judgement("right", exact, abs(exact) * _CONFIRMED, note=note)
    return found._replace(note=f"{note}. {found.note}")
