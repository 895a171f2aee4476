"""A numerical derivative that knows how accurate it is."""

from __future__ import annotations

from math import fabs, inf, isfinite, nan
from sys import float_info
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_SHRINK = 1.6  # from one step to the next
_ROWS = 12
_STARTS = (0.5, 0.1, 1e-2, 1e-3, 1e-5)  # first steps, in units of the point's own size


class Estimate(NamedTuple):
    """A derivative and a bound on its error, both in units of f per unit of x."""

    derivative: float
    error: float


def derivative(
    f: Callable[[float], float], x: float, low: float = -inf, high: float = inf
) -> Estimate:
    """Return f'(x) by central differences, extrapolated to step 0, with an error estimate.

    Ridders' method: differences at geometrically shrinking steps are combined so that one power of
    h² after another cancels (Neville's scheme); the best entry of the table is the one that its two
    neighbours agree with most. To that is added the rounding error of the differences used. Steps
    keep inside `low` … `high`. Several first steps are tried, because nobody knows the scale on
    which f bends. f is taken to be right to a rounding of its value and of x. Where it can't be
    evaluated on both sides the result is (nan, inf).

    Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering
    Software 4 (1982) 75-76.
    """
    room = min(x - low, high - x)
    size = fabs(x) or 1.0
    kept: list[Estimate] = []
    for start in _STARTS:
        step = min(start * size, 0.9 * room)
        if x + step == x:
            continue
        closer = _extrapolate(f, x, step)
        # Steps that stride over what f does near x agree with one another for nothing: where a
        # closer look contradicts, it is the one to believe.
        if kept and fabs(closer.derivative - kept[-1].derivative) > 10.0 * (
            closer.error + kept[-1].error
        ):
            kept.clear()
        kept.append(closer)
    return min(kept, key=lambda estimate: estimate.error, default=Estimate(nan, inf))


def _extrapolate(f: Callable[[float], float], x: float, step: float) -> Estimate:
    best = Estimate(nan, inf)
    previous: list[float] = []
    for _ in range(_ROWS):
        try:
            above, below = x + step, x - step
            f_above, f_below = f(above), f(below)
        except (ArithmeticError, ValueError):
            previous, step = [], step / _SHRINK
            continue
        width = above - below  # exactly the distance of the two points, not 2 · step
        if width == 0.0:
            break
        row = [(f_above - f_below) / width]
        # f is rounded by its own size and, as if x were, by that of x · f'.
        size = max(fabs(f_above), fabs(f_below), fabs(x * row[0])) + float_info.min
        noise = 2.0 * float_info.epsilon * size / width
        factor = 1.0
        for older in previous:
            factor *= _SHRINK * _SHRINK
            row.append(row[-1] + (row[-1] - older) / (factor - 1.0))
        for new, left, old in zip(row[1:], row, previous, strict=False):
            error = max(fabs(new - left), fabs(new - old)) + noise
            if isfinite(new) and error < best.error:
                best = Estimate(new, error)
        previous, step = row, step / _SHRINK
    return best
