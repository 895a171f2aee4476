"""Scalar functions of floats whose accuracy the ``math`` module does not give.

Every function takes floats and returns a float.  Unless its docstring says otherwise the result
is within 4 units in the last place (ulp) of the true value at the given doubles, over the whole
range of doubles.  A result too small for a normal double underflows gradually, and is then
within 2 units of the smallest subnormal; a result too large for a double is a signed infinity,
never an ``OverflowError``.  A nan among the arguments gives nan.

The bounds were measured against mpmath, and rest on ``exp``, ``expm1``, ``log``, ``log1p`` and
``pow`` of the platform being good to 1 ulp, and ``erfc`` to 4.

Sources.  [DLMF] is the NIST Digital Library of Mathematical Functions, cited by equation.
[Dekker] is T. J. Dekker, "A floating-point technique for extending the available precision",
Numerische Mathematik 18 (1971), and [Knuth] is D. E. Knuth, "The Art of Computer Programming",
volume 2, section 4.2.2; they give the exact errors of a product and of a sum.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "cbrt",
    "gauss",
    "inversion",
    "lgamma",
    "log_sigmoid",
    "logaddexp",
    "logsumexp",
    "normal_cdf",
    "polygamma",
    "sech2",
    "sigmoid",
    "silu",
    "softmax_share",
    "softmax_shares",
    "softplus",
]

# Below this, exp(x) rounds to 0.0: the logarithm of half the smallest subnormal is -745.13...
_EXP_UNDERFLOW = -746.0


def _product_error(a: float, b: float, product: float) -> float:
    """Return the exact a*b - product, where product is a*b rounded [Dekker].

    Each factor is split into two halves of at most 26 bits (Veltkamp), whose products are exact.
    Valid while nothing overflows (factors below 1e300) and the error itself is a normal number.
    """
    c = 134217729.0 * a  # 2**27 + 1
    a_high = c - (c - a)
    a_low = a - a_high
    c = 134217729.0 * b
    b_high = c - (c - b)
    b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _difference_error(a: float, b: float, difference: float) -> float:
    """Return the exact (a - b) - difference, where difference is a - b rounded [Knuth]."""
    b_virtual = difference - a
    return (a - (difference - b_virtual)) - (b + b_virtual)


# --- Algebraic functions --------------------------------------------------------------------


def cbrt(x: float) -> float:
    """The cube root, within 1 ulp: the platform's (glibc's is off by 2) after a step of Newton's.

    The residual x - y**3 is formed exactly but for its last bits.
    """
    if x == 0.0 or not math.isfinite(x):
        return x
    mantissa, exponent = math.frexp(x)
    exponent, rest = divmod(exponent, 3)
    mantissa = math.ldexp(mantissa, rest)
    y = math.cbrt(mantissa)
    square = y * y
    cube = square * y
    error = _product_error(square, y, cube) + _product_error(y, y, square) * y
    return math.ldexp(y + ((mantissa - cube) - error) / (3.0 * square), exponent)


def inversion(a: float, b: float) -> float:
    """a/(a*a + b*b), the real part of 1/(a + ib), scaled so that the greater of the two is near 1.

    ZeroDivisionError at (0, 0); OverflowError where the result is too large.
    """
    if math.isnan(a) or math.isnan(b):
        return math.nan
    if math.isinf(a) or math.isinf(b):
        return math.copysign(0.0, a)
    exponent = math.frexp(max(abs(a), abs(b)))[1]
    x, y = math.ldexp(a, -exponent), math.ldexp(b, -exponent)
    square = x * x + y * y
    if exponent < 0 and abs(x) < 1e-18:  # x may be subnormal yet, and the result is not
        return math.ldexp(a, -2 * exponent) / square
    return math.ldexp(x / square, -exponent)


# --- The normal distribution ---------------------------------------------------------------


def gauss(x: float) -> float:
    """exp(-x*x/2), the normal density without its constant; within 2 ulp.

    Rounding x*x costs up to 2**-53 of it, which the exponential turns into a relative error of
    x*x/2 * 2**-53: hundreds of ulps in the tail.  So x*x = p + e exactly, and
    exp(-(p + e)/2) = exp(-p/2) * (1 - e/2), the next term, e*e/8, being below 1e-27.
    """
    if abs(x) > 39.0:
        return 0.0  # the result rounds to zero from 38.604 on; x*x need not be formed
    square = x * x
    return math.exp(-0.5 * square) * (1.0 - 0.5 * _product_error(x, x, square))


_SQRT_HALF = 0.7071067811865476
_SQRT_HALF_LOW = -4.833646656726457e-17  # sqrt(1/2) - _SQRT_HALF
_INV_SQRT_PI = 0.5641895835477563


def normal_cdf(x: float) -> float:
    """Return the normal distribution function of x, erfc(-x/sqrt(2))/2 [DLMF 7.2.2].

    The rounding of z = x/sqrt(2) is amplified by 2*z*z in the lower tail.  With x/sqrt(2) =
    z + delta, the first-order correction is delta * d/dz erfc(-z)/2 = delta * gauss(x)/sqrt(pi).
    What is left is the error of the platform's erfc: glibc's, of up to 3.4 ulp, leaves the whole
    within 4 ulp, and one of 40 ulp would leave it within 1e-14.
    """
    if x < -39.0:
        return 0.0  # below half the smallest subnormal, which is reached at -38.49
    if x > 9.0:
        return 1.0  # the upper tail is below 2**-54 from 8.3 on
    z = x * _SQRT_HALF
    delta = _product_error(x, _SQRT_HALF, z) + x * _SQRT_HALF_LOW
    return 0.5 * math.erfc(-z) + delta * gauss(x) * _INV_SQRT_PI


# --- Hyperbolic and logistic functions -----------------------------------------------------


def sech2(x: float) -> float:
    """1/cosh(x)**2, the derivative of tanh, as 4*e/(1 + e)**2 with e = exp(-2*|x|).

    Unlike 1 - tanh(x)**2 it keeps its relative accuracy in the tails, and unlike cosh it cannot
    overflow.
    """
    x = abs(x)
    if x > 300.0:
        # The denominator is 1, and e may be subnormal while 4*e is not: square last.
        root = 2.0 * math.exp(-x)
        return root * root
    e = math.exp(-2.0 * x)
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def sigmoid(x: float) -> float:
    """1/(1 + exp(-x)), written for each sign so that the exponential is at most 1."""
    if x < 0.0:
        e = math.exp(x)
        return e / (1.0 + e)
    return 1.0 / (1.0 + math.exp(-x))


def silu(x: float) -> float:
    """x*sigmoid(x), in halves where sigmoid(x) is subnormal and x would multiply its error."""
    if x < -700.0:
        root = math.exp(0.5 * x)
        return x * root * root if x > -1500.0 else -0.0
    return x * sigmoid(x)


def softplus(x: float) -> float:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)): two terms of one sign, no overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sigmoid(x: float) -> float:
    """log(1/(1 + exp(-x))) = -softplus(-x)."""
    return -softplus(-x)


# --- Sums of exponentials ------------------------------------------------------------------


def logsumexp(xs: Sequence[float]) -> float:
    """log(sum of exp(x)); -inf for no terms or only -inf, inf if any term is inf.

    In general it is m + log1p(sum of exp(x - m) over the others), m being the greatest term.  That
    cancels where the result is small, so there the exponentials themselves are added: their
    sum, in floats, is no further from 1 than exp(4).

    Within 4 ulp, except that near the zeros of the function the error is absolute: below
    2**-52 times the sum of |exp(m) - 1| and the other exponentials, besides 4 ulp of the result.
    """
    if any(map(math.isnan, xs)):
        return math.nan
    greatest = max(xs, default=-math.inf)
    if math.isinf(greatest):
        return greatest
    others = list(xs)
    others.remove(greatest)
    result = greatest + math.log1p(math.fsum([math.exp(x - greatest) for x in others]))
    if abs(result) < 4.0:
        exponentials = [math.exp(x) for x in others]
        if result > -0.7:
            # exp(m) - 1 rather than exp(m), whose rounding would swamp a result near zero.
            return math.log1p(math.fsum([math.expm1(greatest), *exponentials]))
        return math.log(math.fsum([math.exp(greatest), *exponentials]))
    return result


def logaddexp(a: float, b: float) -> float:
    """log(exp(a) + exp(b)), with the accuracy and the infinities of `logsumexp`."""
    return logsumexp((a, b))


def softmax_share(xs: Sequence[float]) -> float:
    """exp(xs[0]) / sum of exp(x): the share of the first term; see softmax_shares."""
    return softmax_shares(xs)[0]


def softmax_shares(xs: Sequence[float]) -> list[float]:
    """exp(x) / sum of exp(x) for each x.

    Each exponential is of d = x - m, m being the greatest term.  The rounding of d, up to 5.7e-14
    where d is near -700, is put back to first order: exp(d + e) = exp(d)*(1 + e), the next term
    being below 2e-27.

    A single inf takes the whole share; two or more, or nothing but -inf, give nan.
    ValueError if there are no terms.
    """
    if not xs:
        raise ValueError("softmax_share(xs): xs must not be empty")
    greatest = max(xs)
    if any(map(math.isnan, xs)) or greatest == -math.inf:
        return [math.nan] * len(xs)
    if greatest == math.inf:
        if sum(x == math.inf for x in xs) > 1:
            return [math.nan] * len(xs)
        return [1.0 if x == math.inf else 0.0 for x in xs]
    terms = []
    for x in xs:
        d = x - greatest
        # Beyond the test the term is 0.0, and d may be -inf, which has no rounding error.
        terms.append(
            math.exp(d) * (1.0 + _difference_error(x, greatest, d)) if d > _EXP_UNDERFLOW else 0.0
        )
    total = math.fsum(terms)
    return [term / total for term in terms]


# --- The gamma function's logarithm and its derivatives ------------------------------------

_EULER = 0.5772156649015329
_ONE_LESS_EULER = 0.42278433509846713

# The positive zero of digamma, to twice the precision, and lgamma there (its least value).
_ROOT = 1.4616321449683622
_ROOT_LOW = 9.549995429965697e-17
_LGAMMA_ROOT = -0.12148629053584961

# B(2j)/(2j)! for j = 1 to 10: Bernoulli's numbers [DLMF 24.2] over factorials.
_BERNOULLI = tuple(
    numerator / (denominator * math.factorial(2 * j))
    for j, (numerator, denominator) in enumerate(
        (
            (1, 6),
            (-1, 30),
            (1, 42),
            (-1, 30),
            (5, 66),
            (-691, 2730),
            (7, 6),
            (-3617, 510),
            (43867, 798),
            (-174611, 330),
        ),
        start=1,
    )
)


def _tail(n: float, y: float) -> float:
    """1/(2y) + sum over j of B(2j)/(2j)! * (n+1)(n+2)...(n+2j-1) / y**(2j), for y >= n + 10.

    The end corrections of Euler and Maclaurin [DLMF 25.11.28], common to all orders n.  The
    first term left out is below 1e-17 of the sum to which this belongs.
    """
    total = 0.5 / y
    factor = ((n + 1.0) / y) / y
    k = n + 2.0
    for coefficient in _BERNOULLI:
        total += coefficient * factor
        factor *= (k / y) * ((k + 1.0) / y)
        k += 2.0
    return total


def _scaled_zeta(n: float, x: float, scale: float) -> float:
    """scale**n * zeta(n + 1, x), with Hurwitz's zeta(s, x) = sum over k >= 0 of (x + k)**-s.

    For n >= 1 and x > 0.  With a scale near x the powers neither overflow nor underflow; if it is a
    power of two they are also as exact as without.  Terms are added one by one up to
    y = n + 10, the rest by the formula of Euler and Maclaurin: y**-n * (1/n + _tail(n, y))
    [DLMF 25.11.28].  The rounding of y = x + k, which the powers multiply by n, is put back.
    """
    if x >= n + 10.0:
        return math.pow(x / scale, -n) * (1.0 / n + _tail(n, x))
    terms = [math.pow(x / scale, -n) / x]
    k = 1.0
    while True:
        y = x + k
        relative = _difference_error(x, -k, y) / y  # (1 + relative)**-n is exp(-n*relative)
        power = math.pow(y / scale, -n)
        if y >= n + 10.0:
            terms.append(power * (1.0 / n + _tail(n, y)) * math.exp(-n * relative))
            break
        terms.append(power / y * math.exp(-(n + 1.0) * relative))
        if terms[-1] < 1e-18 * terms[0]:
            break  # n is large, and the rest is smaller still
        k += 1.0
    return math.fsum(terms)


class _Series(NamedTuple):
    """Taylor series of digamma and lgamma about one centre, used up to x = upper.

    digamma(centre + t) = sum of digamma[j] * t**j, and term by term its integral is
    lgamma(centre + t) = lgamma_here + t * (sum of lgamma[j] * t**j).
    """

    upper: float
    centre: float
    centre_low: float
    lgamma_here: float
    digamma: tuple[float, ...]
    lgamma: tuple[float, ...]

    @classmethod
    def about(
        cls, upper: float, centre: float, centre_low: float, lgamma_here: float, digamma_here: float
    ) -> "_Series":
        """Compute the coefficients of a series about centre + centre_low.

        For n >= 1 digamma's is (-1)**(n+1) * zeta(n + 1, centre) [DLMF 5.7.4, 5.15.1].
        """
        # 27 terms: |t|/centre is at most 1/4 in the intervals below, and 4**-28 is under 2e-17.
        digamma = [digamma_here]
        for n in range(1, 28):
            value = _scaled_zeta(float(n), centre, 1.0)
            digamma.append(value if n % 2 else -value)
        integral = tuple(c / (j + 1) for j, c in enumerate(digamma))
        return cls(upper, centre, centre_low, lgamma_here, tuple(digamma), integral)


# About the zeros of lgamma (1 and 2) and of digamma, where only such a series keeps the relative
# accuracy; between them they cover 0.75 to 2.3.
_SERIES = (
    _Series.about(1.2, 1.0, 0.0, 0.0, -_EULER),
    _Series.about(1.75, _ROOT, _ROOT_LOW, _LGAMMA_ROOT, 0.0),
    _Series.about(2.3, 2.0, 0.0, 0.0, _ONE_LESS_EULER),
)


def _series_near(x: float) -> _Series:
    """Return the series to use at x, for 0.75 <= x <= 2.3."""
    first, second, third = _SERIES
    return first if x <= first.upper else second if x <= second.upper else third


def _horner(coefficients: tuple[float, ...], t: float) -> float:
    """Evaluate the polynomial with these coefficients, the constant first."""
    total = 0.0
    for coefficient in reversed(coefficients):
        total = total * t + coefficient
    return total


def _is_pole(x: float) -> bool:
    """Tell whether the gamma function has a pole at x: zero and the negative integers."""
    return x <= 0.0 and x.is_integer()


def _digamma(x: float) -> float:
    """digamma(x) for x > 0: the asymptotic series [DLMF 5.11.2], or a Taylor series.

    The recurrence digamma(x + 1) = digamma(x) + 1/x [DLMF 5.5.2] leads to the Taylor series,
    downwards for preference: then the terms added are positive and nothing cancels.
    """
    if x >= 10.0:
        return math.log(x) - _tail(0.0, x)
    if x < 0.75:
        return _digamma(x + 1.0) - 1.0 / x
    steps = 0.0
    while x > 2.3:
        x -= 1.0  # exact, for x below 10 and the result above 1
        steps += 1.0 / x
    series = _series_near(x)
    return steps + _horner(series.digamma, (x - series.centre) - series.centre_low)


def _gamma_zeta(n: float, x: float) -> float:
    """Return n! * zeta(n + 1, x) for n >= 1, and -digamma(x) for n = 0, where x > 0."""
    if n == 0.0:
        return -_digamma(x)
    if x == math.inf:
        return 0.0
    try:
        if n > 170.0:  # n! is above all doubles, though n!/x**n may not be
            log_zeta = math.log(_scaled_zeta(n, x, x)) - n * math.log(x)
            return math.exp(math.lgamma(n + 1.0) + log_zeta)
        exponent = math.frexp(x)[1] - 1  # 2**exponent <= x < 2**(exponent + 1)
        scaled = _scaled_zeta(n, x, math.ldexp(1.0, exponent))
        return math.ldexp(math.factorial(int(n)) * scaled, -exponent * int(n))
    except OverflowError:
        return math.inf


def polygamma(n: float, x: float) -> float:
    """Return the n-th derivative of digamma at x, digamma being that of log(gamma(x)).

    For x > 0, (-1)**(n+1) * n! * zeta(n + 1, x) [DLMF 5.15.1, 25.11.12].  For x < 0, the sum of
    (x + k)**-(n+1) over k >= 0 is that over all integers, which has period 1 and so may be taken
    at the exactly reduced r = x - round(x), less that over k < 0, which is a zeta at 1 - x:
    the reflection formula [DLMF 5.15.6] without its derivatives of the cotangent.

    For x > 0 within 4 ulp up to n = 170, digamma's zero at 1.4616... included; beyond, within
    2**-51 * (log(n!) + n*|log(x)|) relative.  For x < 0 the rounding of 1 - |r| is multiplied by up
    to n + 1.  There an odd n keeps 4 ulp up to n = 3 and 1e-14 up to n = 20; an even n has a zero
    between each two poles, near which the error is absolute: below 4 ulp plus
    5e-16 * ((n+1)! * 2**(n+1) + |polygamma(n, 1 - x)|).

    ValueError at the poles, or if n is not a whole number.  The limit at inf is given; there is
    none at -inf, which gives nan.
    """
    if not (n >= 0.0 and float(n).is_integer()):
        raise ValueError("polygamma(n, x): n must be 0 or a positive whole number")
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if _is_pole(x):
        raise ValueError("polygamma(n, x): x must not be 0 or a negative integer")
    odd = n % 2.0 == 1.0
    if x > 0.0:
        value = _gamma_zeta(n, x)
    else:
        parity = 1.0 if odd else -1.0  # (-1)**(n+1), the sign of (-1)**-(n+1)
        r = math.remainder(x, 1.0)
        value = _gamma_zeta(n, abs(r))
        if math.isfinite(value):  # else the rest, which may be infinite as well, is smaller
            value += parity * _gamma_zeta(n, 1.0 - abs(r))
            value = (parity * value if r < 0.0 else value) - parity * _gamma_zeta(n, 1.0 - x)
        elif r < 0.0:
            value *= parity
    return value if odd else -value


def lgamma(x: float) -> float:
    """log(|gamma(x)|), as ``math.lgamma`` but accurate about its zeros at 1 and 2 also.

    There the error of ``math.lgamma`` is absolute, hundreds to millions of ulps.  Below 10 the
    recurrence gamma(x + 1) = x*gamma(x) [DLMF 5.5.1] leads to a Taylor series about the nearest of
    1, 2 and the minimum [DLMF 5.7.3].

    Within 4 ulp for x > 0.  For x < 0 the result is that of ``math.lgamma``, whose error is
    below 4e-15 absolute or 8 ulp, whichever is the greater; there are zeros from -2.45 down.

    ValueError at the poles, 0 and the negative integers; inf where the result overflows.
    """
    if _is_pole(x):
        raise ValueError("lgamma(x): x must not be 0 or a negative integer")
    if x < 0.0 or x >= 10.0 or math.isnan(x):
        try:
            return math.lgamma(x)
        except OverflowError:
            return math.inf
    if x < 0.75:
        return lgamma(x + 1.0) - math.log(x)
    product = 1.0
    while x > 2.3:
        x -= 1.0  # exact, as in _digamma
        product *= x
    series = _series_near(x)
    t = (x - series.centre) - series.centre_low
    return (series.lgamma_here + t * _horner(series.lgamma, t)) + math.log(product)
