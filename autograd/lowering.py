"""How an operation is computed by a machine, where that isn't one function of the machine's own.

Each is written once, for terms `a`, `b`, … with Python's arithmetic, and `m` that has the rest:
`m.if_less(a, b, c, d)` is c where a < b and d elsewhere (and where either is a nan), likewise
`if_less_equal` and `if_equal`; `m.exp(a)` and so on are the functions. The formulas are those of
ops.py and special.py, with choices in the place of `if`: both sides are computed and one is taken,
so that what isn't taken may be inf or nan.
"""

from __future__ import annotations

from math import inf, nan
from typing import Any

# 2**600: what is scaled by it is as exact as before, and its square is far from both ends.
_FAR = 2.0**600


def relu(m: Any, a: Any) -> Any:
    """Return a, or 0 where a <= 0; a nan stays."""
    return m.if_less_equal(a, 0.0, 0.0, a)


def leaky_relu(m: Any, a: Any, slope: Any) -> Any:
    """Return a, or slope · a where not a > 0."""
    return m.if_less(0.0, a, a, slope * a)


def elu(m: Any, a: Any, alpha: Any) -> Any:
    """Return a, or alpha · (eᵃ - 1) where not a > 0."""
    return m.if_less(0.0, a, a, alpha * m.expm1(a))


def sign(m: Any, a: Any) -> Any:
    """Return 1, -1 or 0, and nan for a nan."""
    return m.if_less(0.0, a, 1.0, m.if_less(a, 0.0, -1.0, m.if_equal(a, a, 0.0, a)))


def step(m: Any, a: Any) -> Any:
    """Return 1 or 0, and nan for a nan."""
    return m.if_less(0.0, a, 1.0, m.if_equal(a, a, 0.0, a))


def clip(m: Any, a: Any, low: Any, high: Any) -> Any:
    """Return a between the bounds; nan if they are the wrong way round."""
    return m.if_less(high, low, nan, m.minimum(m.maximum(a, low), high))


def where(m: Any, condition: Any, a: Any, b: Any) -> Any:
    """Return b where the condition is 0, else a: a nan counts as true, as in Python."""
    return m.if_equal(condition, 0.0, b, a)


def pow(m: Any, a: Any, b: Any) -> Any:  # noqa: A001  (named as its operation)
    """Return aᵇ: for the small whole exponents that programs are full of, by multiplication."""
    exponent = m.constant(b)
    if exponent == 0.0:
        return m.const(1.0)
    if exponent == 1.0:
        return a
    if exponent == 2.0:  # noqa: PLR2004  (a square)
        return a * a
    if exponent == 3.0:  # noqa: PLR2004  (a cube)
        return a * a * a
    if exponent == -1.0:
        return 1.0 / a
    return m.power(a, b)


def pow_below(m: Any, a: Any, b: Any) -> Any:
    """Return aᵇ⁻¹, without rounding the exponent where b < ½ or b > 2⁵³."""
    exponent = m.constant(b)
    if exponent is not None:
        if 0.5 <= exponent <= 2.0**53:  # noqa: PLR2004  (see ops.pow_below)
            return pow(m, a, m.const(exponent - 1.0))
        return m.if_equal(a, 0.0, pow(m, a, m.const(exponent - 1.0)), pow(m, a, b) / a)
    plain = m.power(a, b - 1.0)
    careful = m.if_equal(a, 0.0, plain, m.power(a, b) / a)
    return m.if_less(b, 0.5, careful, m.if_less(2.0**53, b, careful, plain))


def cocircle(m: Any, a: Any) -> Any:
    """Return √(1 - a²)."""
    return m.sqrt(m.if_less(abs(a), 0.5, 1.0 - a * a, (1.0 - a) * (1.0 + a)))


def _scale(m: Any, largest: Any) -> Any:
    # A power of two that takes both ends of the doubles' range away from the ends.
    far = m.if_less(1e290, largest, 1.0 / _FAR, 1.0)
    return m.if_less(largest, 1e-290, _FAR, far)


def direction(m: Any, a: Any, b: Any) -> Any:
    """Return a / √(a² + b²), and 0 at the origin."""
    largest = m.maximum(abs(a), abs(b))
    scale = _scale(m, largest)
    scaled = a * scale
    return m.if_equal(largest, 0.0, 0.0, scaled / m.hypot(scaled, b * scale))


def inversion(m: Any, a: Any, b: Any) -> Any:
    """Return a / (a² + b²): inf at the origin, and 0 with the sign of a at infinity."""
    largest = m.maximum(abs(a), abs(b))
    far = m.if_less(1e150, largest, 1.0 / _FAR, 1.0)
    scale = m.if_less(largest, 1e-150, _FAR, far)
    x, y = a * scale, b * scale
    # From one end to the other it takes two such steps: scaled once, the larger is about 1e±130.
    inner = m.if_less(1e80, m.maximum(abs(x), abs(y)), 2.0**-300, 1.0)
    inner = m.if_less(m.maximum(abs(x), abs(y)), 1e-80, 2.0**300, inner)
    u, v = x * inner, y * inner
    result = (u / (u * u + v * v)) * inner * scale
    at_end = m.if_equal(largest, inf, m.copysign(0.0, a), result)
    return m.if_equal(largest, 0.0, inf, at_end)


def _two_difference(a: Any, b: Any, d: Any) -> Any:
    # What a - b has lost to rounding, d being the difference (Knuth's two-sum).
    back = d - a
    return (a - (d - back)) - (b + back)


def softmax(m: Any, *xs: Any) -> Any:
    """Return e^x₁ / Σ e^x, as `special.softmax_shares`."""
    greatest = m.max(m.in_one_order(xs))
    parts = []
    for x in xs:
        d = x - greatest
        term = m.if_less(-746.0, d, m.exp(d) * (1.0 + _two_difference(x, greatest, d)), 0.0)
        parts.append(m.if_equal(x, greatest, 1.0, term))
    total = m.sum(m.in_one_order(parts))
    share = parts[0] / total
    # Two or more infinities, or nothing but -inf, have no shares.
    at_end = m.if_equal(greatest, inf, m.if_equal(total, 1.0, share, nan), share)
    at_end = m.if_equal(greatest, -inf, nan, at_end)
    return m.if_equal(greatest, greatest, at_end, nan)


def logsumexp(m: Any, *xs: Any) -> Any:
    """Return log Σ e^x, as `special.logsumexp`: m + log(1 + rest), or forms that don't cancel."""
    if not xs:
        return m.const(-inf)
    greatest = m.max(m.in_one_order(xs))
    # e^(x - m) of all but one greatest: of those that are equal to it, one is left out.
    others = [m.if_equal(x, greatest, 0.0, m.exp(x - greatest)) for x in xs]
    ties = [m.if_equal(x, greatest, 1.0, 0.0) for x in xs]
    rest = m.sum(m.in_one_order(others)) + (m.sum(m.in_one_order(ties)) - 1.0)
    result = greatest + m.log1p(rest)
    small = m.log(m.exp(greatest) * (1.0 + rest))
    near_zero = m.log1p(m.expm1(greatest) + m.exp(greatest) * rest)
    close = m.if_less(-0.7, result, near_zero, small)
    finite = m.if_less(abs(result), 4.0, close, result)
    return m.if_equal(abs(greatest), inf, greatest, m.if_equal(greatest, greatest, finite, nan))


def mean(m: Any, *xs: Any) -> Any:
    """Return the sum over n; nan for none."""
    return m.sum(xs) / float(len(xs)) if xs else m.const(nan)


def total(m: Any, *xs: Any) -> Any:
    """Return the sum."""
    return m.sum(xs) if xs else m.const(0.0)


def dot(m: Any, *xs: Any) -> Any:
    """Return the sum of the products of the first half with the second."""
    half = len(xs) // 2
    return m.dot(xs[:half], xs[half:])


def less(m: Any, a: Any, b: Any) -> Any:
    """Return 1 where a < b, else 0."""
    return m.if_less(a, b, 1.0, 0.0)


def less_equal(m: Any, a: Any, b: Any) -> Any:
    """Return 1 where a <= b, else 0."""
    return m.if_less_equal(a, b, 1.0, 0.0)


def equal(m: Any, a: Any, b: Any) -> Any:
    """Return 1 where a = b, else 0."""
    return m.if_equal(a, b, 1.0, 0.0)
