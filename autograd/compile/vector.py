"""Elementary functions of W doubles at a time, as functions in LLVM IR.

`function(module, name, width)` puts one into a module, to be called. None of them needs a pass of
the optimiser. Their results do not depend on the width, nor on what the other lanes hold.

How they work.  The argument is brought into a small interval by an identity, with what its rounding
loses kept as a second double, `low` beside `high` (Cody and Waite, "Software Manual for the
Elementary Functions", 1980; T. J. Dekker, "A floating-point technique for extending the available
precision", 1971; with an fma as in J.-M. Muller, "Elementary Functions", chapter 11). There a
polynomial gives the function's small part, which is added last, so that the result is off by little
more than the last rounding. The polynomials are minimax ones, found by Remez' exchange in 400 bits
and rounded coefficient by coefficient; each says its error relative to the function.
"""

from __future__ import annotations

from functools import wraps
from math import inf, nan
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from .lanes import (
    DOUBLE,
    Lanes,
    Mask,
    Number,
    at_least,
    at_most,
    copysign,
    floor,
    fma,
    polynomial,
    rarely,
    select,
    sqrt,
    vector_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lanes import Operand

    Function = Callable[..., Number]

_FUNCTIONS: dict[str, Function] = {}
NAMES: dict[str, int] = {}
"""The functions by name, and how many operands each takes."""

_PAIRS: dict[tuple[str, str], Callable[[Number], tuple[Number, Number]]] = {}
PAIRS: dict[str, tuple[str, str]] = {}
"""Functions that have most of their work in common with another, each with the pair it is in."""


def function(module: ir.Module, name: str, width: int, *, has_fma: bool = True) -> ir.Function:
    """Return the module's function of that name and width, emitted if it is new.

    It takes and returns `<width x double>`, plain doubles for a width of 1. Without `has_fma`, the
    C library's functions are called on each lane where there are any.

    Raises:
        KeyError: if there is no function of that name, see `NAMES`.

    """
    kind = vector_type(DOUBLE, width)
    symbol = f"chainrule.{name}.{width}"
    if symbol in module.globals:
        return module.globals[symbol]
    result, lanes = _begin(module, symbol, kind, [kind] * NAMES[name], has_fma=has_fma)
    lanes.builder.ret(_FUNCTIONS[name](*[Number(lanes, x) for x in result.args]).value)
    return result


def pair(module: ir.Module, names: tuple[str, str], width: int) -> ir.Function:
    """Return the module's function of one number that returns both functions of it: see `PAIRS`.

    The first is the same to the last bit as by itself. It needs an fma.
    """
    kind = vector_type(DOUBLE, width)
    symbol = f"chainrule.{'.'.join(names)}.{width}"
    if symbol in module.globals:
        return module.globals[symbol]
    both = ir.LiteralStructType([kind, kind])
    result, lanes = _begin(module, symbol, both, [kind], has_fma=True)
    value: ir.Value = ir.Constant(both, ir.Undefined)
    for i, number in enumerate(_PAIRS[names](Number(lanes, result.args[0]))):
        value = lanes.builder.insert_value(value, number.value, i)
    lanes.builder.ret(value)
    return result


def _begin(
    module: ir.Module, symbol: str, result: ir.Type, operands: list[ir.Type], *, has_fma: bool
) -> tuple[ir.Function, Lanes]:
    made = ir.Function(module, ir.FunctionType(result, operands), symbol)
    made.linkage = "internal"
    made.attributes.add("nounwind")
    builder = ir.IRBuilder(made.append_basic_block())
    width = operands[0].count if isinstance(operands[0], ir.VectorType) else 1
    return made, Lanes(builder, width, has_fma=has_fma)


def _unary(emit: Function) -> Function:
    _FUNCTIONS[emit.__name__] = emit
    NAMES[emit.__name__] = 1
    return emit


def _binary(emit: Function) -> Function:
    _unary(emit)
    NAMES[emit.__name__] = 2
    return emit


def _pair(first: str, second: str) -> Callable[[Any], Any]:
    names = first, second

    def register(emit: Callable[[Number], tuple[Number, Number]]) -> Any:
        _PAIRS[names] = emit
        PAIRS[first] = PAIRS[second] = names
        return emit

    return register


def _with_fma(emit: Function) -> Function:
    """Leave the function to the C library's one of that name where there is no fma."""

    @wraps(emit)
    def choose(*operands: Number) -> Number:
        lanes = operands[0].lanes
        return emit(*operands) if lanes.has_fma else lanes.libm(emit.__name__, *operands)

    return choose


# --- sums without loss ------------------------------------------------------------------------


def _sum_error(a: Operand, b: Operand, total: Number) -> Number:
    """Return the exact a + b - total, where total is a + b rounded (Dekker).

    It is exact where a is a multiple of the last bit of b: for |a| >= |b|, for 0, and for 1.0
    beside any b below 2**53.
    """
    return (a - total) + b


def _normal(high: Number, low: Number) -> tuple[Number, Number]:
    """Return the two numbers' sum as two, the second a rounding error of the first."""
    total = high + low
    return total, _sum_error(high, low, total)


def _two_sum(a: Number, b: Operand) -> tuple[Number, Number]:
    """Return a + b rounded, and the exact error of that (Knuth, volume 2, 4.2.2)."""
    total = a + b
    b_virtual = total - a
    return total, (a - (total - b_virtual)) + (b - b_virtual)


def _product(high: Number, factor: float, factor_low: float) -> tuple[Number, Number]:
    """Return high * (factor + factor_low) as two numbers."""
    product = high * factor
    return product, fma(high, factor_low, fma(high, factor, -product))


def _product_of(a: Number, b: Number) -> tuple[Number, Number]:
    """Return a * b rounded, and the exact error of that."""
    product = a * b
    return product, fma(a, b, -product)


def _quotient(high: Number, low: Operand, by: Number, by_low: Operand) -> tuple[Number, Number]:
    """Return (high + low) / (by + by_low) as two numbers, lows being rounding errors of highs."""
    quotient, rest, inverse = _divide(high, low, by, by_low)
    return quotient, rest * inverse


def _rounded_quotient(high: Number, low: Operand, by: Number, by_low: Operand) -> Number:
    quotient, rest, inverse = _divide(high, low, by, by_low)
    return fma(rest, inverse, quotient)


def _divide(
    high: Number, low: Operand, by: Number, by_low: Operand
) -> tuple[Number, Number, Number]:
    """Return a quotient that is nearly rounded, what it leaves of the dividend, and 1 / by."""
    inverse = 1.0 / by
    quotient = high * inverse
    return quotient, fma(-quotient, by, high) + fma(-quotient, by_low, low), inverse


# --- exponentials -----------------------------------------------------------------------------

# 1.5 * 2**52: added to a small number it rounds that to whole, which then stands in the last bits.
_SHIFT = 6755399441055744.0
_EXPONENT = 52  # place of a double's exponent bits
_EXPONENT_RANGE = 708.0  # e^a is a normal double for |a| below it
_ONE = 1023 << _EXPONENT  # 1.0 as bits
_QUARTER = 1021 << _EXPONENT

_LOG2_E = 1.4426950408889634
_LN2 = 0.6931471805599453
_LN2_LOW = 2.3190468138462996e-17  # ln 2 - _LN2

# (e^r - 1 - r - r²/2) / r³ for |r| <= ln(2)/2; 2**-59.8 of e^r.
_EXP = (
    0.16666666666666669,
    0.0416666666666666,
    0.00833333333333018,
    0.0013888888888958571,
    0.0001984126986255947,
    2.4801587100419033e-05,
    2.7557269122037893e-06,
    2.755752425206969e-07,
    2.5100108456960118e-08,
    2.082176024906454e-09,
)


def _round_quotient(a: Number, inverse: float) -> tuple[Number, Number]:
    """Return a * inverse rounded to a whole number n, as n + _SHIFT and as n."""
    shifted = fma(a, inverse, _SHIFT)
    return shifted, shifted - _SHIFT


def _exp_parts(a: Number) -> tuple[Number, Number, Number]:
    """Return high, low and n + _SHIFT with e^a = 2^n * (high + low), 0.7 < high < 1.42.

    a = n ln 2 + r, and e^r = 1 + r + r²(1/2 + ...), where 1 + r is made without an error.
    """
    shifted, n = _round_quotient(a, _LOG2_E)
    rest = fma(n, -_LN2, a)  # exact
    r = fma(n, -_LN2_LOW, rest)
    high = r + 1.0
    low = fma(n, -_LN2_LOW, (1.0 - high) + rest)
    return high, _exp_tail(r, low), shifted


def _exp_tail(r: Number, low: Number) -> Number:
    """Return low + e^r - 1 - r, for |r| <= ln(2)/2."""
    return fma(r * r, fma(polynomial(r, _EXP), r, 0.5), low)


def _power_of_2(shifted: Number, scale: int = _ONE) -> Number:
    """Return 2**n times what the bits `scale` stand for, both it and the result normal."""
    return ((shifted.bits() << _EXPONENT) + scale).number()


def _powers_of_2(shifted: Number) -> tuple[Number, Number]:
    """Return two numbers whose product is 2**n, for |n| < 2044, which need not be a double."""
    half = fma(shifted - _SHIFT, 0.5, _SHIFT)
    other = shifted.bits() - half.bits()
    return _power_of_2(half), ((other << _EXPONENT) + _ONE).number()


# Beyond these bounds e^a, and even a * e^a, is 0 or infinite.
_EXP_LEAST = -760.0
_EXP_GREATEST = 710.0


def _scaled_exp(a: Number) -> tuple[Number, Number, Number]:
    """Return three factors of e^a, of which the first is a normal double."""
    if not a.lanes.has_fma:
        normal = at_least(a, -_EXPONENT_RANGE)
        rest = at_least(at_most(a + _EXPONENT_RANGE, 0.0), _EXP_LEAST + _EXPONENT_RANGE)
        return exp(normal), exp(rest), a.lanes.number(1.0)
    high, low, shifted = _exp_parts(at_least(at_most(a, _EXP_GREATEST), _EXP_LEAST))
    return high + low, *_powers_of_2(shifted)


@_unary
@_with_fma
def exp(a: Number) -> Number:
    """Return e^a."""
    fraction, power, power_2 = _scaled_exp(a)
    return fraction * power * power_2


def _expm1_quarter(a: Number) -> tuple[Number, Number]:
    """Return (e^a - 1) / 4 as two numbers, for -40 < a < 710.6: e^a itself may overflow."""
    high, low, shifted = _exp_parts(a)
    power = _power_of_2(shifted, _QUARTER)
    difference, error = _two_sum(power * high, -0.25)
    return _normal(difference, fma(power, low, error))


@_unary
@_with_fma
def expm1(a: Number) -> Number:
    """Return e^a - 1."""
    high, low = _expm1_quarter(at_least(at_most(a, _EXP_GREATEST), -39.0))
    return select(abs(a) < 2.0**-54, a, (high + low) * 4.0)


@_unary
def exp2(a: Number) -> Number:
    """Return 2^a."""
    if not a.lanes.has_fma:
        return a.lanes.libm("pow", 2.0, a)  # as the operation does it
    a = at_least(at_most(a, 1025.0), -1080.0)
    shifted, n = _round_quotient(a, 1.0)
    r, r_low = _product(a - n, _LN2, _LN2_LOW)
    high = r + 1.0
    low = _exp_tail(r, _sum_error(1.0, r, high) + r_low)
    power, power_2 = _powers_of_2(shifted)
    return (high + low) * power * power_2


@_unary
def gauss(a: Number) -> Number:
    """Return e^(-a²/2): a² is kept exactly, since an exponential multiplies its rounding."""
    size = at_most(abs(a), 39.0)
    square = size * size
    return exp(square * -0.5) * fma(fma(size, size, -square), -0.5, 1.0)


@_unary
@_with_fma
def tanh(a: Number) -> Number:
    """Return tanh a = t / (t + 2) with t = e^2|a| - 1."""
    size = abs(a)
    quotient, rest, inverse, *_ = _tanh_parts(at_most(size + size, 40.0))  # tanh 20 rounds to 1
    return copysign(fma(rest, inverse, quotient), a)


def _tanh_parts(double: Number) -> tuple[Number, Number, Number, Number, Number]:
    """Return `_divide` of t by t + 2, e^double, of which t is 1 less, and what 1/(t + 2) lacks."""
    high, low, shifted = _exp_parts(double)
    power = _power_of_2(shifted)
    exponential = power * (high + low)
    # Exact, like the error of the sum below: 1 and 2 are multiples of the other number's last bit.
    high, low = _normal(fma(power, high, -1.0), power * low)
    by = high + 2.0
    by_low = _sum_error(2.0, high, by) + low
    quotient, rest, inverse = _divide(high, low, by, by_low)
    lacking = fma(-inverse, by, 1.0) - inverse * by_low
    return quotient, rest, inverse, exponential, lacking


# Up to here e^2|a| and its inverse are normal doubles.
_PAIRED = 340.0


@_pair("tanh", "sech2")
def _tanh_and_sech2(a: Number) -> tuple[Number, Number]:
    """Return tanh a, and sech² a = 4e / (e + 1)² with the same e and the same e + 1."""
    size = abs(a)
    clamped = at_most(size, _PAIRED)
    quotient, rest, inverse, e, lacking = _tanh_parts(clamped + clamped)
    rounded = fma(inverse, lacking, inverse)
    inverse_2 = rounded + rounded
    slope = inverse_2 * (e * inverse_2)
    # In the far tail, and for a nan, as by itself.
    slope = rarely(~(size <= _PAIRED), slope, lambda: sech2(a))
    return copysign(fma(rest, inverse, quotient), a), slope


@_unary
@_with_fma
def sinh(a: Number) -> Number:
    """Return sinh a = (t + t / (t + 1)) / 2 with t = e^|a| - 1, all of it in quarters."""
    size = abs(a)
    high, low = _expm1_quarter(at_most(size, 710.5))
    by = high + 0.25
    by_low = _sum_error(0.25, high, by) + low
    quotient, rest = _quotient(high * 0.25, low * 0.25, by, by_low)
    total = high + quotient
    total = total + (_sum_error(high, quotient, total) + (rest + low))
    return select(size < 2.0**-28, a, copysign(total + total, a))


@_unary
@_with_fma
def cosh(a: Number) -> Number:
    """Return cosh a = e/2 + 1/2e with e = e^|a|, in quarters, which do not overflow."""
    high, low, shifted = _exp_parts(at_most(abs(a), 710.5))
    power = _power_of_2(shifted, _QUARTER)
    high, low = _normal(power * high, power * low)
    half = high + fma(1.0 / high, 0.0625, low)
    return half + half


@_unary
def sech2(a: Number) -> Number:
    """Return 1/cosh² a = 4e / (1 + e)² with e = e^-2|a|, whose exponent is put back last."""
    size = abs(a)
    fraction, power, power_2 = _scaled_exp(size * -2.0)
    by = fraction * power * power_2 + 1.0
    return fraction * 4.0 / (by * by) * power * power_2


@_unary
def sigmoid(a: Number) -> Number:
    """Return 1 / (1 + e^-a), written for each sign so that the exponential is at most 1."""
    e = exp(-abs(a))
    return select(a < 0.0, e, 1.0) / (e + 1.0)


@_unary
def silu(a: Number) -> Number:
    """Return a / (1 + e^-a); where e^a is small, its exponent is put back last."""
    fraction, power, power_2 = _scaled_exp(-abs(a))
    by = fraction * power * power_2 + 1.0
    low = at_least(a, _EXP_LEAST) * (fraction / by) * power * power_2
    return select(a < 0.0, low, a * (1.0 / by))


# --- logarithms -------------------------------------------------------------------------------

_SQRT_2_LESS_1 = 0.41421356237309503
_MANTISSA = (1 << _EXPONENT) - 1
_SQRT_HALF = 0x3FE6A09E00000000  # near sqrt(1/2), as bits
_TWO_52 = 4503599627370496.0
_TWO_52_BITS = (1023 + 52) << _EXPONENT

_LN2_SHORT = 0.6931471803691238  # 32 bits, so that a product with an exponent is exact
_LN2_REST = 1.9082149292705877e-10  # ln 2 - _LN2_SHORT

# (2 artanh s - 2s) / s³ in z = s², for |s| <= 3 - sqrt 8; 2**-58.5 of 2 artanh s.
_LOG = (
    0.6666666666666734,
    0.39999999999416663,
    0.28571428742020477,
    0.2222219860591585,
    0.18183562807096812,
    0.15314085935903887,
    0.1479562262529044,
)


def _log_near_1(f: Number) -> tuple[Number, Number]:
    """Return log(1 + f) as two numbers, for 1 + f between sqrt(1/2) and sqrt(2).

    With s = f / (2 + f) it is 2 artanh s = f - f²/2 + s(f²/2 + 2s²/3 + ...), as in fdlibm.
    """
    s = f / (f + 2.0)
    z = s * s
    half = f * 0.5
    square = half * f
    high = f - square
    low = _sum_error(f, -square, high) - fma(half, f, -square)
    return high, fma(s, fma(z, polynomial(z, _LOG), square), low)


def _plus_exponent(k: Number, high: Number, low: Number) -> tuple[Number, Number]:
    """Return k ln 2 + high + low."""
    exponent = k * _LN2_SHORT
    total = exponent + high
    return total, fma(k, _LN2_REST, _sum_error(exponent, high, total) + low)


def _split(x: Number) -> tuple[Number, Number]:
    """Return k and f with x = 2^k * (1 + f), 1 + f between sqrt(1/2) and sqrt(2), for normal x."""
    bits = x.bits() + (_ONE - _SQRT_HALF)
    exponent = ((bits >> _EXPONENT) | _TWO_52_BITS).number()
    fraction = (bits & _MANTISSA) + _SQRT_HALF
    return exponent - (_TWO_52 + 1023.0), fraction.number() - 1.0


def _log_parts(x: Number) -> tuple[Number, Number]:
    """Return log x as two numbers, for a positive, finite x."""
    subnormal = x < 2.0**-1022
    k, f = _split(select(subnormal, x * 2.0**54, x))
    return _plus_exponent(k - select(subnormal, 54.0, 0.0), *_log_near_1(f))


def _log_edges(a: Number, inside: Number) -> Number:
    """Return `inside` where a is positive and finite, and the logarithm's limit elsewhere."""
    inside = select(a < inf, inside, a)
    inside = select(a.equals(0.0), -inf, inside)
    return select(a < 0.0, nan, inside)


@_unary
@_with_fma
def log(a: Number) -> Number:
    """Return log a."""
    high, low = _log_parts(a)
    return _log_edges(a, high + low)


def _log_times(a: Number, factor: float, factor_low: float) -> Number:
    high, low = _normal(*_log_parts(a))
    product, error = _product(high, factor, factor_low)
    return _log_edges(a, product + fma(low, factor, error))


@_unary
@_with_fma
def log2(a: Number) -> Number:
    """Return the logarithm to base 2."""
    return _log_times(a, 1.4426950408889634, 2.0355273740931033e-17)


@_unary
@_with_fma
def log10(a: Number) -> Number:
    """Return the logarithm to base 10."""
    return _log_times(a, 0.4342944819032518, 1.098319650216765e-17)


def _log1p_parts(a: Number, a_low: Operand = 0.0, exponent: Operand = 0.0) -> tuple[Number, Number]:
    """Return log((1 + a + a_low) * 2^exponent) as two numbers.

    It is for a finite a > -1 and an a_low that is no more than its rounding error.
    """
    x, x_low = _two_sum(a, 1.0)
    k, f = _split(x)
    high, low = _log_near_1(f)
    f_low = (x_low + a_low) * _power_of_2(_SHIFT - at_most(k, 1022.0))
    # log(1 + f + d) is d (1 - f + f² - d/2 ...) more than log(1 + f), d being below 2**-53.
    middle = fma(f_low, 0.5, f)
    low = fma(f_low, middle * (middle - 1.0), low) + f_low
    return _plus_exponent(k + exponent, high, low)


@_unary
@_with_fma
def log1p(a: Number) -> Number:
    """Return log(1 + a)."""
    high, low = _log1p_parts(a)
    return _log_edges(a + 1.0, copysign(high + low, a))


_ALL_LARGE = 2.0**55  # where a² + 1 and a² - 1 round to a²


@_unary
@_with_fma
def asinh(a: Number) -> Number:
    """Return arsinh a = log(1 + v), v = |a| + a² / (1 + √(a² + 1)); log 2|a| for a large a."""
    size = abs(a)
    large = size > _ALL_LARGE
    square = size * size
    high, low = _normal(size, select(large, 0.0, square / (sqrt(square + 1.0) + 1.0)))
    high, low = _log1p_parts(high, low, select(large, 1.0, 0.0))
    return select(size < inf, copysign(high + low, a), a)


@_unary
@_with_fma
def acosh(a: Number) -> Number:
    """Return arcosh a = log(1 + t + √(t² + 2t)) with t = a - 1, and log 2a for large a."""
    large = a > _ALL_LARGE
    t = a - 1.0
    double = t + t
    square = fma(t, t, double)
    root = sqrt(square)
    error = fma(t, t, double - square) + fma(-root, root, square)
    high = root + t
    low = _sum_error(root, t, high) + error * 0.5 / at_least(root, 2.0**-500)
    high, low = _log1p_parts(
        select(large, a, high), select(large, 0.0, low), select(large, 1.0, 0.0)
    )
    inside = select(a < inf, high + low, a)
    return select(a < 1.0, nan, inside)


@_unary
@_with_fma
def atanh(a: Number) -> Number:
    """Return artanh a = log(1 + 2|a| / (1 - |a|)) / 2."""
    size = abs(a)
    by = 1.0 - size
    quotient, rest = _quotient(size + size, 0.0, by, _sum_error(1.0, -size, by))
    high, low = _log1p_parts(quotient, rest)
    inside = select(size < 1.0, (high + low) * 0.5, select(size.equals(1.0), inf, nan))
    return copysign(inside, a)


@_unary
def softplus(a: Number) -> Number:
    """Return log(1 + e^a) = max(a, 0) + log(1 + e) with e = e^-|a|, at most 1."""
    e = exp(-abs(a))
    return at_least(a, 0.0) + (_log1p_unit(e) if a.lanes.has_fma else log1p(e))


def _log1p_unit(e: Number) -> Number:
    """Return log(1 + e), for 0 <= e <= 1: from √2 - 1 on it is ln 2 + log((1 + e)/2)."""
    large = e > _SQRT_2_LESS_1
    high, low = _log_near_1(select(large, fma(e, 0.5, -0.5), e))
    high, low = _plus_exponent(select(large, 1.0, 0.0), high, low)
    return high + low


@_unary
def log_sigmoid(a: Number) -> Number:
    """Return log(1 / (1 + e^-a))."""
    return -softplus(-a)


# --- circular functions -----------------------------------------------------------------------

_TWO_OVER_PI = 0.6366197723675814
_HALF_PI = 1.5707963267948966
_HALF_PI_LOW = 6.123233995736766e-17  # pi/2 - _HALF_PI
_HALF_PI_LEAST = -1.4973849048591833e-33  # and what both leave of pi/2
_MANY_TURNS = 2.0**30  # up to here the three parts of pi/2 are enough

# (sin r - r) / r³ and (cos r - 1 + z/2) / z² in z = r², for |r| <= pi/4; 2**-58 of sin r, 2**-64.
_SIN = (
    -0.16666666666666632,
    0.00833333333332249,
    -0.00019841269829856773,
    2.7557313706258377e-06,
    -2.505076006696027e-08,
    1.589689604195416e-10,
)
_COS = (
    0.0416666666666666,
    -0.0013888888888874476,
    2.480158728967383e-05,
    -2.755731440189632e-07,
    2.087572942125807e-09,
    -1.1359942470442257e-11,
)


def _quarter_turns(a: Number) -> tuple[Number, Number, Number]:
    """Return n + _SHIFT and, as two numbers, r in a = n pi/2 + r with |r| <= pi/4."""
    shifted, n = _round_quotient(a, _TWO_OVER_PI)
    rest = fma(n, -_HALF_PI, a)  # exact
    # rest may be as small as the product taken off: both errors are kept.
    product = n * _HALF_PI_LOW
    high, low = _two_sum(rest, -product)
    low = low - fma(n, _HALF_PI_LOW, -product)
    return shifted, high, fma(n, -_HALF_PI_LEAST, low)


def _sin_cos(r: Number, r_low: Number) -> tuple[Number, Number, Number, Number]:
    """Return sin r and cos r, each as two numbers."""
    z = r * r
    cube = z * r
    half = z * 0.5
    sin_low = fma(cube, polynomial(z, _SIN), r_low * (1.0 - half))
    cos_high = 1.0 - half
    cos_low = _sum_error(1.0, -half, cos_high) - 0.5 * fma(r, r, -z)
    cos_low = fma(r, -r_low, cos_low)
    return r, sin_low, cos_high, fma(z * z, polynomial(z, _COS), cos_low)


def _circular(a: Number, *quarters: int) -> list[Number]:
    """Return sin(a + n * pi/2) for each n of `quarters`."""
    shifted, r, r_low = _quarter_turns(a)
    sin_high, sin_low, cos_high, cos_low = _sin_cos(r, r_low)
    results = []
    for n in quarters:
        turns = shifted.bits() + n
        odd = ~(turns & 1).is_zero()
        sign = (turns & 2) << 62
        value = select(odd, cos_high + cos_low, sin_high + sin_low)
        results.append((value.bits() ^ sign).number())
    return results


@_pair("sin", "cos")
def _sin_and_cos(a: Number) -> tuple[Number, Number]:
    """Return sin a and cos a."""
    size = abs(a)
    sine, cosine = _circular(a, 0, 1)
    sine = select(size < 2.0**-27, a, sine)
    far = size > _MANY_TURNS
    sine = rarely(far, sine, lambda: a.lanes.libm("sin", a))
    return sine, rarely(far, cosine, lambda: a.lanes.libm("cos", a))


@_unary
@_with_fma
def sin(a: Number) -> Number:
    """Return sin a."""
    (usual,) = _circular(a, 0)
    usual = select(abs(a) < 2.0**-27, a, usual)
    return rarely(abs(a) > _MANY_TURNS, usual, lambda: a.lanes.libm("sin", a))


@_unary
@_with_fma
def cos(a: Number) -> Number:
    """Return cos a."""
    (usual,) = _circular(a, 1)
    return rarely(abs(a) > _MANY_TURNS, usual, lambda: a.lanes.libm("cos", a))


@_unary
@_with_fma
def tan(a: Number) -> Number:
    """Return tan a: sin/cos or -cos/sin."""
    shifted, r, r_low = _quarter_turns(a)
    sin_high, sin_low, cos_high, cos_low = _sin_cos(r, r_low)
    sin_high, sin_low = _normal(sin_high, sin_low)
    cos_high, cos_low = _normal(cos_high, cos_low)
    even = (shifted.bits() & 1).is_zero()
    quotient = _rounded_quotient(
        select(even, sin_high, -cos_high),
        select(even, sin_low, -cos_low),
        select(even, cos_high, sin_high),
        select(even, cos_low, sin_low),
    )
    usual = select(abs(a) < 2.0**-27, a, quotient)
    return rarely(abs(a) > _MANY_TURNS, usual, lambda: a.lanes.libm("tan", a))


# (arcsin x - x) / x³ in z = x², for |x| <= 1/2; 2**-59.8 of arcsin x.
_ASIN = (
    0.16666666666666763,
    0.0749999999997013,
    0.04464285717525283,
    0.030381942676975856,
    0.02237221585563852,
    0.01735159644304221,
    0.013981006791531405,
    0.011397392470101549,
    0.010788746506333075,
    0.003674417298973223,
    0.021785074145416094,
    -0.021108641558296042,
    0.032696996013387034,
)
# (arctan x - x) / x³ in z = x², for |x| <= tan(pi/8); 2**-58.6 of arctan x.
_ATAN = (
    -0.333333333333332,
    0.1999999999995382,
    -0.1428571428022482,
    0.11111110785253328,
    -0.0909089782347581,
    0.07692061678355143,
    -0.06663124375923062,
    0.05848065641289223,
    -0.050402300501887994,
    0.03809136550135984,
    -0.017940057226644473,
)


def _asin_parts(size: Number) -> tuple[Mask, Number, Number]:
    """Return where size > 1/2, and as two numbers arcsin(size), but arccos(size) / 2 there.

    The latter is arcsin √((1 - size) / 2).
    """
    large = size > 0.5  # noqa: PLR2004  (where the formula changes)
    half = fma(size, -0.5, 0.5)
    root = sqrt(half)
    root_low = fma(-root, root, half) * 0.5 / at_least(root, 2.0**-500)
    x = select(large, root, size)
    z = select(large, half, size * size)
    low = fma(x * z, polynomial(z, _ASIN), select(large, root_low, 0.0))
    return large, x, low


@_unary
@_with_fma
def asin(a: Number) -> Number:
    """Return arcsin a; from 1/2 on it is pi/2 - arccos a."""
    large, high, low = _asin_parts(abs(a))
    far = _HALF_PI - high * 2.0
    far_low = _sum_error(_HALF_PI, high * -2.0, far) + fma(low, -2.0, _HALF_PI_LOW)
    return copysign(select(large, far + far_low, high + low), a)


@_unary
@_with_fma
def acos(a: Number) -> Number:
    """Return arccos a = pi/2 - arcsin a; from 1/2 on it is made itself, below -1/2 pi less that."""
    large, high, low = _asin_parts(abs(a))
    factor = select(large, 2.0, -1.0)
    negative = a < 0.0
    offset = select(large, select(negative, 2.0, 0.0), 1.0)
    factor = select(negative, -factor, factor)
    high = high * factor
    start = offset * _HALF_PI
    total = start + high
    rest = _sum_error(start, high, total) + fma(offset, _HALF_PI_LOW, low * factor)
    return total + rest


_TAN_PI_8 = 0.41421356237309503  # √2 - 1


def _atan_tail(x: Number, x_low: Number) -> Number:
    """Return arctan(x + x_low) - x, for |x| <= tan(pi/8)."""
    z = x * x
    return fma(x * z, polynomial(z, _ATAN), fma(x_low, -z, x_low))


@_unary
@_with_fma
def atan(a: Number) -> Number:
    """Return arctan a, which is that of (|a| - 1)/(|a| + 1) and pi/4, or of -1/|a| and pi/2."""
    size = at_most(abs(a), 2.0**100)
    middle = size > _TAN_PI_8
    large = size > 1.0 / _TAN_PI_8
    edge = middle & ~large
    above, below = size - 1.0, size + 1.0
    x, x_low = _quotient(
        select(large, -1.0, select(middle, above, size)),
        select(edge, _sum_error(-1.0, size, above), 0.0),
        select(large, size, select(middle, below, 1.0)),
        select(edge, _sum_error(1.0, size, below), 0.0),
    )
    quarters = select(large, 1.0, select(middle, 0.5, 0.0))
    start = quarters * _HALF_PI
    total = start + x
    rest = _sum_error(start, x, total) + fma(quarters, _HALF_PI_LOW, _atan_tail(x, x_low))
    return copysign(total + rest, a)


@_binary
@_with_fma
def atan2(a: Number, b: Number) -> Number:
    """Return the angle of the direction (b, a).

    It is a multiple of pi/4, more or less the arctangent of s/l or (s - l)/(s + l), l and
    s being the larger and the smaller of |a| and |b|.
    """
    rising, right = abs(a), abs(b)
    steep = rising > right
    large, small = select(steep, rising, right), select(steep, right, rising)
    # The direction is the same for (1, 1) as for infinities, and for (1, 0) as for (0, 0).
    endless = large.equals(inf)
    small = select(endless, select(small.equals(inf), 1.0, 0.0), small)
    large = select(endless | large.equals(0.0), 1.0, large)
    scale = select(large > 2.0**900, 2.0**-200, select(large < 2.0**-900, 2.0**200, 1.0))
    large, small = large * scale, small * scale

    diagonal = small > large * _TAN_PI_8
    less, more = small - large, small + large
    x, x_low = _quotient(
        select(diagonal, less, small),
        select(diagonal, _sum_error(-large, small, less), 0.0),
        select(diagonal, more, large),
        select(diagonal, _sum_error(large, small, more), 0.0),
    )
    low = _atan_tail(x, x_low)
    left = copysign(1.0, b) < 0.0
    turned = (steep & ~left) | (left & ~steep)
    quarters = select(diagonal, select(turned, -0.5, 0.5), 0.0)
    quarters = quarters + select(steep, 1.0, select(left, 2.0, 0.0))
    x, low = select(turned, -x, x), select(turned, -low, low)
    start = quarters * _HALF_PI
    total = start + x
    start_low = fma(quarters, _HALF_PI_LOW, fma(quarters, _HALF_PI, -start))
    angle = total + (_sum_error(start, x, total) + (start_low + low))
    return copysign(select(a.is_nan() | b.is_nan(), nan, angle), a)


# --- powers and roots -------------------------------------------------------------------------

# The same as _LOG with one more coefficient; 2**-65.6 of 2 artanh s.
_LOG_CLOSE = (
    0.4000000000000492,
    0.2857142856941214,
    0.22222222606851005,
    0.18181778361799888,
    0.15386988681875682,
    0.13252149917992792,
    0.13234774482349237,
)
_LOG_CLOSE_FIRST = 0.6666666666666666


def _close_log(k: Number, f: Number) -> tuple[Number, Number]:
    """Return k ln 2 + log(1 + f) as two numbers, to 2**-64 of it."""
    by = f + 2.0
    s, s_low = _quotient(f, 0.0, by, _sum_error(2.0, f, by))
    z, z_low = _product_of(s, s)
    z_low = fma(s + s, s_low, z_low)
    rest = z * polynomial(z, _LOG_CLOSE)
    factor = rest + _LOG_CLOSE_FIRST
    factor_low = _sum_error(_LOG_CLOSE_FIRST, rest, factor)
    cube, cube_low = _product_of(z, factor)
    cube_low = fma(z, factor_low, fma(z_low, factor, cube_low))
    part, part_low = _product_of(s, cube)
    part_low = fma(s, cube_low, fma(s_low, cube, part_low))
    double = s + s
    high = double + part
    low = _sum_error(double, part, high) + fma(s_low, 2.0, part_low)
    return _normal(*_plus_exponent(k, high, low))


@_binary
@_with_fma
def pow(a: Number, b: Number) -> Number:  # noqa: A001  (named as its operation)
    """Return a^b = e^(b log |a|), with the sign of a where b is odd.

    The C library sees to bases that are 0, subnormal or infinite, and to results near the ends of
    the range.
    """
    size = abs(a)
    high, low = _close_log(*_split(size))
    exponent = b * high
    exponent_low = fma(b, low, fma(b, high, -exponent))
    high, low, shifted = _exp_parts(exponent)
    high, low = _normal(high, low)
    value = (high + fma(high, exponent_low, low)) * _power_of_2(shifted)

    half = b * 0.5
    negative = a < 0.0
    whole, even = floor(b).equals(b), floor(half).equals(half)
    value = select(negative & ~even, -value, value)
    value = select(negative & ~whole, nan, value)
    usual = (size >= 2.0**-1022) & (size < inf) & (abs(exponent) < _EXPONENT_RANGE)
    return rarely(~usual, value, lambda: a.lanes.libm("pow", a, b))


# 1/∛m for sqrt(1/2) <= m <= sqrt(2); 2**-17.4 of it.
_CBRT = (
    1.999170225023538,
    -2.485916019397338,
    2.792199927137533,
    -1.898118620950446,
    0.7007306500130807,
    -0.10806230844583103,
)


@_unary
def cbrt(a: Number) -> Number:
    """Return the cube root: Newton's steps to 1/∛m, then one to ∛m with the exact residual."""
    size = abs(a)
    subnormal = size < 2.0**-1022
    k, f = _split(select(subnormal, size * 2.0**54, size))
    shifted, third = _round_quotient(k, 1.0 / 3.0)
    rest = fma(third, -3.0, k)
    m = f + 1.0
    inverse = polynomial(m, _CBRT)
    # The rest of k is -1, 0 or 1: into the argument goes 2**rest, into 1/∛m its root.
    m = m * select(rest < 0.0, 0.5, select(rest > 0.0, 2.0, 1.0))
    inverse = inverse * select(
        rest < 0.0, 1.2599210498948732, select(rest > 0.0, 0.7937005259840998, 1.0)
    )
    for _ in range(2):
        error = fma(inverse * inverse * inverse, -m, 1.0)
        inverse = fma(inverse * (1.0 / 3.0), error, inverse)
    square = inverse * inverse
    root = m * square
    power, power_low = _product_of(root, root)
    cube, cube_low = _product_of(power, root)
    residual = (m - cube) - fma(power_low, root, cube_low)
    root = fma(residual * (1.0 / 3.0), square, root)
    root = root * _power_of_2(shifted) * select(subnormal, 2.0**-18, 1.0)
    return select((size > 0.0) & (size < inf), copysign(root, a), a)


@_binary
def hypot(a: Number, b: Number) -> Number:
    """Return √(a² + b²), scaled so that nothing overflows, the squares' errors put back."""
    a, b = abs(a), abs(b)
    swap = a < b
    large, small = select(swap, b, a), select(swap, a, b)
    scale = select(large > 2.0**500, 2.0**-600, select(large < 2.0**-400, 2.0**600, 1.0))
    back = select(large > 2.0**500, 2.0**600, select(large < 2.0**-400, 2.0**-600, 1.0))
    x, x_low = _product_of(large * scale, large * scale)
    y, y_low = _product_of(small * scale, small * scale)
    total = x + y
    low = _sum_error(x, y, total) + (x_low + y_low)
    root = sqrt(total)
    rest = fma(-root, root, total) + low
    root = root + rest * 0.5 / at_least(root, 2.0**-500)
    return select(large.equals(inf) | small.equals(inf), inf, root * back)


# --- the error function -----------------------------------------------------------------------

_ERF_NEAR = 0.75
# erf z / z - 1 in z², for z <= 3/4; 2**-56 of erf z / z.
_ERF = (
    0.1283791670955126,
    -0.3761263890318418,
    0.11283791670979552,
    -0.026866170650536387,
    0.005223977685828067,
    -0.0008548330853547741,
    0.00012055477773433924,
    -1.4928896634546592e-05,
    1.6501628478490797e-06,
    -1.653293686416502e-07,
    1.3578287116362656e-08,
)
# (1 + 2z) e^z² erfc z - _ERFC_CENTRE in t = (z - 3)/(z + 3), for 3/4 <= z <= 28; 2**-56.
_ERFC_CENTRE = 1.21875
_ERFC = (
    0.034258058269729656,
    -0.1356211061245812,
    -0.047562294353451266,
    0.1296451587027646,
    -0.11927366341526728,
    0.06830802734381584,
    -0.023770514919870506,
    0.002529391819419376,
    0.0018886903766447563,
    -0.0007798323136327038,
    -0.00010515993536767527,
    0.00012509968294266102,
    4.950080516690726e-06,
    -2.0102290179253447e-05,
    -7.328576067735766e-07,
    3.4782128402137356e-06,
    3.5733830580312084e-07,
    -6.286980492775044e-07,
    -1.366898204887006e-07,
    1.156606037492667e-07,
    3.059057058731336e-08,
    -1.9387252264570524e-08,
)
_ERFC_ZERO = 28.0  # from 27.3 on erfc rounds to 0


def _erf_near(z: Number) -> Number:
    """Return erf z - z, for 0 <= z <= 3/4."""
    return z * polynomial(z * z, _ERF)


def _erfc_far(z: Number, z_low: Operand) -> tuple[Number, Number]:
    """Return erfc(z + z_low) as two numbers, for 3/4 <= z <= 28.

    The form is that of M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of
    (1 + 2x) exp(x²) erfc x in 0 <= x < inf", Mathematics of Computation 36 (1981).
    """
    square, square_low = _product_of(z, z)
    high, low, shifted = _exp_parts(-square)
    high, low = _normal(high, low)
    low = fma(high, -fma(z + z, z_low, square_low), low)
    series = polynomial((z - 3.0) / (z + 3.0), _ERFC)
    factor = series + _ERFC_CENTRE
    by = z + z + 1.0
    by_low = _sum_error(1.0, z + z, by) + 2.0 * z_low
    factor, factor_low = _quotient(factor, _sum_error(_ERFC_CENTRE, series, factor), by, by_low)
    product, error = _product_of(high, factor)
    high, low = _normal(product, fma(high, factor_low, fma(low, factor, error)))
    power, power_2 = _powers_of_2(shifted)
    return high * power * power_2, low * power * power_2


@_unary
@_with_fma
def erf(a: Number) -> Number:
    """Return erf a."""
    z = at_most(abs(a), _ERFC_ZERO)
    near = z < _ERF_NEAR
    far, far_low = _erfc_far(z, 0.0)
    start = select(near, 0.0, 1.0)
    high = select(near, z, -far)
    low = select(near, _erf_near(z), -far_low)
    total = start + high
    return copysign(total + (_sum_error(start, high, total) + low), a)


def _erfc(negative: Mask, z: Number, z_low: Operand = 0.0) -> Number:
    """Return erfc(z + z_low), or erfc(-z - z_low) where that is asked for, for 0 <= z <= 28."""
    near = z < _ERF_NEAR
    far, far_low = _erfc_far(z, z_low)
    high = select(near, -z, far)
    slope = fma(z * z, -0.87, 1.128)  # of erf, to 4 percent: z_low is a rounding error
    low = select(near, -fma(slope, z_low, _erf_near(z)), far_low)
    start = select(near, 1.0, select(negative, 2.0, 0.0))
    high = select(negative, -high, high)
    total = start + high
    return total + (_sum_error(start, high, total) + select(negative, -low, low))


@_unary
@_with_fma
def erfc(a: Number) -> Number:
    """Return 1 - erf a."""
    return _erfc(a < 0.0, at_most(abs(a), _ERFC_ZERO))


_SQRT_1_2 = 0.7071067811865476
_SQRT_1_2_LOW = -4.833646656726457e-17
_INV_SQRT_PI = 0.5641895835477563


@_unary
def normal_cdf(a: Number) -> Number:
    """Return erfc(-a/√2) / 2."""
    if not a.lanes.has_fma:
        return _normal_cdf_of_libm(a)
    z, z_low = _product(at_most(abs(a), 39.5), _SQRT_1_2, _SQRT_1_2_LOW)
    return _erfc(a > 0.0, z, z_low) * 0.5


def _normal_cdf_of_libm(a: Number) -> Number:
    # As autograd.special does it: the rounding of z is put back to first order.
    inside = at_least(at_most(a, 9.0), -39.0)
    z, z_low = _product(inside, _SQRT_1_2, _SQRT_1_2_LOW)
    return 0.5 * a.lanes.libm("erfc", -z) + z_low * gauss(inside) * _INV_SQRT_PI


@_unary
def gelu(a: Number) -> Number:
    """Return a times normal_cdf(a), and 0 at -inf."""
    return select(a.equals(-inf), 0.0, a * normal_cdf(a))
