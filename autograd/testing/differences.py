"""A numerical derivative that knows how accurate it is, and where there is none.

A difference quotient with a fixed step has an error that nobody knows. Here a function is sampled
at 21 points of an interval and written as a sum of Chebyshev polynomials, whose coefficients tell
all that is needed: how fast they fall says how well the interval resolves the function, and the
level at which they stop falling is the function's own noise, whatever its source. So each estimate
comes with a bound on its error, and the best of several intervals is taken.

A function with a kink is not resolved by any interval around it, but by one on either side.

Source: L. N. Trefethen, Approximation Theory and Approximation Practice (SIAM, 2013), chapters 3,
8 and 21.
"""

from __future__ import annotations

from itertools import pairwise
from math import cos, fabs, inf, isfinite, nan, pi
from operator import mul
from sys import float_info
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_COUNT = 21  # samples of an interval; odd, so that its middle is one of them
_POINTS = [cos(pi * (j + 0.5) / _COUNT) for j in range(_COUNT)]
_POINTS[_COUNT // 2] = 0.0  # cos(π/2) is not, in floats
# The k-th coefficient of a function is the mean of 2 · f · T_k over the points.
_POLYNOMIALS = [
    [2.0 / _COUNT * cos(k * pi * (j + 0.5) / _COUNT) for j in range(_COUNT)]
    for k in range(1, _COUNT)
]
_TAIL = 5  # coefficients kept out of every sum, to see what is left over

_WIDEST = 0.5  # half the first interval, in units of the point's own size
_SHRINK = 12.0  # from one interval to the next
_STEPS = 6  # down to 2e-6, where a double's rounding leaves few digits of a difference
_RESOLVED = 1e-4  # an error, in units of the slopes nearby, at which f has been seen
SEEN = 0.1  # one that leaves no room for a kink, a jump or noise that hides all
_TIGHT = 1e-11  # one that need not be better
_SUBNORMAL = 16.0 * 5e-324  # the roundings of numbers so small that they have few digits
_FINE = 1e-3  # the part of |x| below which a function may be smooth by rounding
_NOISES = 4.0  # times the noise, in which a rise may get lost
_SLIGHT = 1e-6  # noise that a number has from rounding, and no kink


class Estimate(NamedTuple):
    """A derivative and a bound on its error, both in units of f per unit of x.

    `scale` is the size of the slopes nearby, by which an error is small or large where the
    derivative itself is 0; `limit` is the value that f tends to, with a bound on its error.
    """

    derivative: float
    error: float
    scale: float = 0.0
    limit: float = nan
    limit_error: float = inf

    def differs(self, other: Estimate) -> bool:
        """Say whether the two can't be the same derivative."""
        return fabs(self.derivative - other.derivative) > 2.0 * (self.error + other.error)


UNKNOWN = Estimate(nan, inf)


class Place(NamedTuple):
    """Where in an interval the derivative is wanted: at its middle, or at one of its ends."""

    left: float  # the interval's ends, in units of its size, the point being 0
    right: float
    slopes: list[float]  # the derivative of each Chebyshev polynomial there
    values: list[float]  # and its value


class Curve(NamedTuple):
    """A function and the point where it is looked at.

    f may raise Python's arithmetic errors or return nan where it isn't defined, and is not
    evaluated outside of `low` … `high`. `noise` is what is known of the error in its values beyond
    a rounding of them, and `doubt` of one in its slope, relative to that, which no difference sees.
    """

    f: Callable[[float], float]
    x: float
    low: float = -inf
    high: float = inf
    noise: float = 0.0
    doubt: float = 0.0

    @property
    def own(self) -> float:
        """The scale that the point itself suggests."""
        return fabs(self.x) or 1.0

    def at(self, x: float) -> float:
        """Return f(x), or nan where f isn't defined."""
        try:
            y = self.f(x)
        except (ArithmeticError, ValueError):
            return nan
        return nan if isinstance(y, complex) else float(y)

    def rounding(self, size: float) -> float:
        """Return the error in values of that size."""
        return max(float_info.epsilon * size, self.noise)


_DEGREES = range(1, _COUNT)
MIDDLE = Place(
    -1.0,
    1.0,
    [k * (0.0, 1.0, 0.0, -1.0)[k % 4] for k in _DEGREES],
    [(1.0, 0.0, -1.0, 0.0)[k % 4] for k in _DEGREES],
)
RIGHT = Place(0.0, 1.0, [-((-1.0) ** k) * k * k for k in _DEGREES], [(-1.0) ** k for k in _DEGREES])
LEFT = Place(-1.0, 0.0, [float(k * k) for k in _DEGREES], [1.0] * len(_DEGREES))


def derivative(
    f: Callable[[float], float], x: float, low: float = -inf, high: float = inf
) -> Estimate:
    """Return f'(x) and a bound on its error; `UNKNOWN`, (nan, inf), where nothing can be told.

    f may raise Python's arithmetic errors or return nan where it isn't defined, and is not
    evaluated outside of `low` … `high`.
    """
    return slope_of(Curve(f, x, low, high))


def slope_of(curve: Curve, place: Place = MIDDLE) -> Estimate:
    """Return the derivative of a curve or, at the place `LEFT` or `RIGHT`, that from one side.

    The curve is evaluated on that side only: up to 0.5 |x| from x (or 0.5, where that is more), and
    up to 72 |x| in the middle where it drowns in rounding.
    """
    tried: dict[float, Estimate] = {}
    units = (curve.own, 1.0) if curve.own < 1.0 else (curve.own,)  # |x| may say nothing
    for unit in units:
        if _try(curve, place, unit, range(_STEPS), tried):
            return _best(curve, tried)
    found = _best(curve, tried)
    size = next((size for size, estimate in tried.items() if estimate is found), curve.own)
    if _relative(found) > _RESOLVED or not _agrees_closely(curve, size, place, found):
        _try(curve, place, curve.own, range(_STEPS, 2 * _STEPS), tried)
    if place is MIDDLE:
        _try(curve, place, curve.own, (-1, -2), tried)
    return _best(curve, tried)


def slope_close_by(curve: Curve) -> Estimate:
    """Return the derivative as it looks within a millionth of x, below what hides noise afar."""
    tried: dict[float, Estimate] = {}
    _try(curve, MIDDLE, curve.own, range(_STEPS, 2 * _STEPS), tried)
    return min(tried.values(), key=_error, default=UNKNOWN)


def _try(
    curve: Curve, place: Place, unit: float, steps: Iterable[int], tried: dict[float, Estimate]
) -> bool:
    """Add the estimates on intervals that shrink step by step; say whether one is good enough."""
    above = curve.high - curve.x if place.right else inf
    below = curve.x - curve.low if place.left else inf
    for step in steps:
        size = min(_WIDEST * unit * _SHRINK**-step, 0.95 * min(above, below))
        estimate = None if size in tried else _on_interval(curve, size, place)
        if estimate is None or (step < 0 and not _holds_nearby(curve, estimate)):
            continue
        tried[size] = estimate
        if estimate.scale == 0.0 and len(tried) > 1:
            continue  # constant near by only: see `_best`
        if _relative(estimate) < _TIGHT and _agrees_closely(curve, size, place, estimate):
            return True
    return False


def _holds_nearby(curve: Curve, wide: Estimate) -> bool:
    # What is smooth over 72 |x| may be anything within |x|, such as x² sin(1/x) around 0.
    for part in (0.5, 0.04, 0.003):
        step = part * curve.own
        rise = curve.at(curve.x + step) - curve.at(curve.x - step)
        expected = 2.0 * step * wide.derivative
        margin = 8.0 * wide.limit_error + 0.2 * step * wide.scale
        if fabs(rise - expected) > margin:
            return False
    return True


def _best(curve: Curve, tried: dict[float, Estimate]) -> Estimate:
    believed: dict[float, Estimate] = {}
    for size in sorted(tried, reverse=True):
        closer = tried[size]
        if believed and _relative(closer) > SEEN:
            believed[size] = closer  # noise to its own eyes: no witness against a wider interval
            continue
        fine = size < _FINE * curve.own
        if fine and any(_is_texture(closer, size, wider) for wider in believed.values()):
            continue
        # An interval that strides over what f does near x is resolved for nothing: where a closer
        # look contradicts, it is the one to believe.
        agreeing = {s: wider for s, wider in believed.items() if not wider.differs(closer)}
        sloped = [wider for wider in believed.values() if wider.scale]
        if sloped and closer.scale == 0.0 and not _is_plateau(curve):
            best = min(sloped, key=_relative)
            return best._replace(error=max(best.scale, best.error))
        believed = {**agreeing, size: closer}
    resolved = [found for found in believed.values() if found.error <= SEEN * found.scale]
    # That f changes too little to be seen over a wide interval says nothing of what it does near x.
    near = [found for size, found in believed.items() if size <= _WIDEST * curve.own]
    return min(resolved or near or believed.values(), key=_error, default=UNKNOWN)


def _is_texture(closer: Estimate, size: float, wider: Estimate) -> bool:
    # Rounding deep inside f can leave it smooth between its jumps. Such a slope doesn't go on for
    # longer than it takes to get lost in the noise that was seen from afar.
    noise = wider.limit_error
    lost = size * fabs(closer.derivative - wider.derivative) <= _NOISES * noise
    return lost and wider.differs(closer) and noise <= _SLIGHT * fabs(wider.limit)


def _is_plateau(curve: Curve) -> bool:
    # Constant near by and not from afar: beside a kink it is constant up to the other side, but
    # where f only rounds what it is given, no side is.
    y = curve.at(curve.x)
    return any(
        all(curve.at(curve.x + sign * part * curve.own) == y for part in (0.5, 0.2, 0.1, 0.05))
        for sign in (1.0, -1.0)
    )


def _error(estimate: Estimate) -> float:
    return estimate.error


def _relative(estimate: Estimate) -> float:
    return estimate.error / estimate.scale if estimate.scale else estimate.error


def _on_interval(curve: Curve, size: float, place: Place) -> Estimate | None:
    half = 0.5 * (place.right - place.left) * size
    middle = curve.x + 0.5 * (place.right + place.left) * size
    if middle + half == middle:
        return None
    ys = []
    for point in _POINTS:
        y = curve.at(middle + half * point)
        if not isfinite(y):
            return None
        ys.append(y)
    centre = ys[_COUNT // 2]
    rises = [y - centre for y in ys]
    coefficients = [sum(map(mul, row, rises)) for row in _POLYNOMIALS]
    # f is taken to be right to a rounding of its value and, as if x were, of its slope times x.
    reach = fabs(curve.x) / half * max(map(fabs, coefficients))
    rounding = curve.rounding(max(reach, *map(fabs, ys))) + _SUBNORMAL
    mean = centre + sum(rises) / _COUNT
    return _from_coefficients(coefficients, rounding, half, place, mean)


def _from_coefficients(
    coefficients: list[float], rounding: float, half: float, place: Place, mean: float
) -> Estimate | None:
    # The sum is broken off where what is left over is least. Nobody can see past the last
    # coefficients, so some always count as left over; 2 allows for those that would follow.
    scale = max(map(fabs, coefficients)) / half
    weights = [float(k) if place is MIDDLE else float(k * k) for k in _DEGREES]
    sizes = [w * fabs(c) for w, c in zip(weights, coefficients, strict=True)]
    beyond = 0.0
    if 1e-3 * max(sizes[5:10]) < max(sizes[-_TAIL:]) < 0.4 * max(sizes[5:10]):
        beyond = _COUNT * max(sizes[-_TAIL:])  # they fall slowly: many small ones would follow
    least, kept = inf, 0
    squares = 0.0
    for count in range(1, _COUNT - _TAIL):
        squares += weights[count - 1] ** 2
        # What the noise in the coefficients left over says of that in those that are summed.
        noise = max(rounding, *map(fabs, coefficients[count:]))
        error = 2.0 * max(sizes[count:]) + beyond + noise * squares**0.5
        if error < least:
            least, kept = error, count
    slope = sum(map(mul, coefficients[:kept], place.slopes)) / half
    error = least / half
    if not (isfinite(slope) and isfinite(error)):
        return None
    limit = mean + sum(map(mul, coefficients[:kept], place.values))
    return Estimate(slope, error, max(scale, fabs(slope)), limit, least)


def _agrees_closely(curve: Curve, size: float, place: Place, found: Estimate) -> bool:
    far, near = (1.0, -1.0) if place is MIDDLE else (2.0, 1.0)
    sign = -1.0 if place is LEFT else 1.0
    for part in (1e-2, 1e-4, 1e-6):
        a, b = (curve.x + sign * steps * part * size for steps in (far, near))
        if a == b:
            break
        above, below = curve.at(a), curve.at(b)
        rounding = curve.rounding(max(fabs(above), fabs(below), fabs(curve.x * found.scale)))
        bend = 10.0 * found.scale * (part * part if place is MIDDLE else part)
        noise = 8.0 * max(rounding, found.limit_error) / fabs(a - b)
        margin = 0.05 * fabs(found.derivative) + bend + noise
        if not fabs((above - below) / (a - b) - found.derivative) <= margin:
            return False
    return True


def grows_without_bound(curve: Curve) -> bool:
    """Say whether the difference quotients of a curve grow and grow as their step shrinks."""
    middle = curve.at(curve.x)
    least = 16.0 * curve.rounding(fabs(middle))
    for sign in (1.0, -1.0):
        steps = [sign * curve.own * 10.0**-power for power in range(2, 11, 2)]
        rises = [fabs(curve.at(curve.x + step) - middle) for step in steps]
        slopes = [rise / fabs(step) for rise, step in zip(rises, steps, strict=True)]
        growing = all(b > 1.1 * a for a, b in pairwise(slopes)) and slopes[-1] > 3.0 * slopes[0]
        falling = all(b < 0.9 * a for a, b in pairwise(rises))  # else it is a jump, or noise
        if growing and falling and min(rises) > least:
            return True
    return False
