"""Every operation, defined once: a table of formulas to read.

`y` is the operation's value and `a`, `b`, `c` are its operands. A partial derivative is written
with the operations themselves, so that the one rule serves floats (a gradient) and Values (one that
can be differentiated again). The forms are chosen for accuracy, not for brevity: tanh' is sech² a,
because 1 - y² has lost every digit at a = 19.

The derivatives are those of Abramowitz & Stegun, Handbook of Mathematical Functions, chapters 3, 4,
6 and 7, and of the DLMF that succeeds it, rearranged as the comments say.
"""

from __future__ import annotations

import math
import operator
from builtins import sum as exact_sum
from fractions import Fraction
from math import copysign, fsum, inf, nan, pi
from typing import TYPE_CHECKING, Any, overload

from . import lowering, special
from .op import Binary, Interval, Kink, Ternary, Unary, Variadic, all_finite, sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .value import Value

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "clip",
    "cocircle",
    "cos",
    "cosh",
    "direction",
    "div",
    "dot",
    "elu",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "gauss",
    "gelu",
    "hypot",
    "inversion",
    "leaky_relu",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_sigmoid",
    "logaddexp",
    "logsumexp",
    "maximum",
    "mean",
    "minimum",
    "mul",
    "neg",
    "normal_cdf",
    "polygamma",
    "pos",
    "pow",
    "pow_below",
    "relu",
    "sech2",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "step",
    "sub",
    "sum",
    "tan",
    "tanh",
    "where",
]

POSITIVE = Interval(0.0, inf)
UNIT = Interval(-1.0, 1.0)
EXPONENTS = Interval(-708.0, 709.0)  # exp(a) is a normal double

# --- arithmetic -----------------------------------------------------------------------------------


def _ieee_div(a: float, b: float) -> float:
    return nan if a == 0.0 or a != a else copysign(inf, a) * copysign(1.0, b)


def _pow(a: float, b: float) -> float:
    if a == 0.0 and b < 0.0:
        raise ZeroDivisionError
    return math.pow(a, b)


def _ieee_pow(a: float, b: float) -> float:
    odd = b % 2.0 == 1.0 if math.isfinite(b) else False
    if a < 0.0 and b % 1.0:
        return nan
    return copysign(inf, a) if odd else inf


add = Binary(
    "add",
    "a + b",
    operator.add,
    (1.0, 1.0),
    locals=("1", "1"),
    symbol="+",
    lowering="add",
)
sub = Binary(
    "sub",
    "a - b",
    operator.sub,
    (1.0, -1.0),
    locals=("1", "-1"),
    symbol="-",
    lowering="sub",
)
mul = Binary(
    "mul",
    "a · b",
    operator.mul,
    (lambda y, a, b: b, lambda y, a, b: a),
    locals=("b", "a"),
    symbol="×",
    lowering="mul",
)
div = Binary(
    "div",
    "a / b",
    operator.truediv,
    (lambda y, a, b: 1.0 / b, lambda y, a, b: -y / b),
    locals=("1/b", "-a/b²"),
    rule="the divisor must not be 0",
    ieee=_ieee_div,
    symbol="/",
    lowering="div",
)
neg = Unary(
    "neg",
    "-a",
    operator.neg,
    (-1.0,),
    locals=("-1",),
    symbol="-",
    lowering="neg",
)
pos = Unary(
    "pos",
    "+a",
    operator.pos,
    (1.0,),
    locals=("1",),
    symbol="+",
    lowering=lambda m, a: a,
)


def _pow_below(a: float, b: float) -> float:
    if (
        a != 0.0 and not 0.5 <= b <= 2.0**53
    ):  # b - 1 would be rounded: |log a| times as much is lost
        return math.pow(a, b) / a
    return _pow(a, b - 1.0)


def _ieee_pow_below(a: float, b: float) -> float:
    if a != 0.0 and not 0.5 <= b <= 2.0**53:  # as above: whether b is whole, it says itself
        return _ieee_pow(a, b) / a
    return _ieee_pow(a, b - 1.0)


def _pow_slope(a: Any, b: Any) -> Any:
    # At a = b = 0 it is 0 · a⁰ = 0 (True counts as 1); 0 · a⁻¹ doesn't exist there.
    return b * pow_below(a, b + (b == 0.0) * (a == 0.0))


def _pow_partial_b(y: Any, a: Any, b: Any) -> Any:
    # At a = 0 and b > 0 the function is the constant 0 in b, while log 0 doesn't exist.
    return y * log(where(a == 0.0, where(b > 0.0, 1.0, a), a))


pow = Binary(
    "pow",
    "aᵇ",
    _pow,
    (lambda y, a, b: _pow_slope(a, b), _pow_partial_b),
    locals=("b · aᵇ⁻¹", "aᵇ · log a"),
    rule="a negative base takes whole exponents only, and 0 no negative ones",
    domain=(POSITIVE, Interval()),
    ieee=_ieee_pow,
    symbol="^",
    lowering=lowering.pow,
)
# aᵇ⁻¹ with an exponent that isn't rounded first.
pow_below = Binary(
    "pow_below",
    "aᵇ⁻¹",
    _pow_below,
    (lambda y, a, b: _pow_slope(a, b - 1.0), lambda y, a, b: _pow_partial_b(y, a, b - 1.0)),
    locals=("(b - 1) · aᵇ⁻²", "aᵇ⁻¹ · log a"),
    rule="a negative base takes whole exponents only, and 0 none below 1",
    domain=(POSITIVE, Interval()),
    ieee=_ieee_pow_below,
    lowering=lowering.pow_below,
)
abs = Unary(
    "abs",
    "|a|",
    math.fabs,
    (lambda y, a: sign(a),),
    locals=("sign a",),
    kinks=(Kink("a = 0", lambda a: a == 0.0, (0.0,)),),
    routes=True,
    lowering="abs",
)
square = Unary(
    "square",
    "a²",
    lambda a: a * a,
    (lambda y, a: 2.0 * a,),
    locals=("2a",),
    symbol="²",
    lowering=lambda m, a: a * a,
)
sqrt = Unary(
    "sqrt",
    "√a",
    math.sqrt,
    (lambda y, a: 0.5 / y,),
    locals=("1 / 2√a",),
    rule="operand must be >= 0",
    domain=(POSITIVE,),
    symbol="√",
    lowering="sqrt",
)
cbrt = Unary(
    "cbrt",
    "∛a",
    special.cbrt,
    (lambda y, a: 1.0 / y / y / 3.0,),  # 3y² would underflow in the second derivative
    locals=("1 / 3∛a²",),
    symbol="∛",
    lowering="cbrt",
)

# --- exponentials and logarithms ------------------------------------------------------------------


def _ieee_log(a: float) -> float:
    return -inf if a == 0.0 else nan


exp = Unary(
    "exp",
    "eᵃ",
    math.exp,
    (lambda y, a: y,),
    locals=("eᵃ",),
    domain=(EXPONENTS,),
    lowering="exp",
)
expm1 = Unary(
    "expm1",
    "eᵃ - 1",
    math.expm1,
    (lambda y, a: exp(a),),
    locals=("eᵃ",),
    domain=(EXPONENTS,),
    lowering="expm1",
)
exp2 = Unary(
    "exp2",
    "2ᵃ",
    lambda a: math.pow(2.0, a),  # math.exp2 is exact no more often, and glibc's pow is tighter
    (lambda y, a: math.log(2.0) * y,),
    locals=("2ᵃ · log 2",),
    domain=(Interval(-1022.0, 1024.0),),
    lowering="exp2",
)
log = Unary(
    "log",
    "log a",
    math.log,
    (lambda y, a: 1.0 / a,),
    locals=("1/a",),
    rule="operand must be > 0",
    domain=(POSITIVE,),
    ieee=_ieee_log,
    lowering="log",
)
log1p = Unary(
    "log1p",
    "log(1 + a)",
    math.log1p,
    (lambda y, a: 1.0 / (1.0 + a),),
    locals=("1 / (1 + a)",),
    rule="operand must be > -1",
    domain=(Interval(-1.0, inf),),
    ieee=lambda a: _ieee_log(a + 1.0),
    lowering="log1p",
)
log2 = Unary(
    "log2",
    "log₂ a",
    math.log2,
    (lambda y, a: math.log2(math.e) / a,),
    locals=("1 / (a · log 2)",),
    rule="operand must be > 0",
    domain=(POSITIVE,),
    ieee=_ieee_log,
    lowering="log2",
)
log10 = Unary(
    "log10",
    "log₁₀ a",
    math.log10,
    (lambda y, a: math.log10(math.e) / a,),
    locals=("1 / (a · log 10)",),
    rule="operand must be > 0",
    domain=(POSITIVE,),
    ieee=_ieee_log,
    lowering="log10",
)

# --- circular functions ---------------------------------------------------------------------------

FINITE = "operand must be finite"

sin = Unary(
    "sin",
    "sin a",
    math.sin,
    (lambda y, a: cos(a),),
    locals=("cos a",),
    rule=FINITE,
    lowering="sin",
)
cos = Unary(
    "cos",
    "cos a",
    math.cos,
    (lambda y, a: -sin(a),),
    locals=("-sin a",),
    rule=FINITE,
    lowering="cos",
)
tan = Unary(
    "tan",
    "tan a",
    math.tan,
    (lambda y, a: 1.0 + square(y),),
    locals=("1 + tan² a",),
    rule=FINITE,
    lowering="tan",
)


def _cocircle(a: float) -> float:
    # Near 0 the two factors are rounded, and a² is not worth a digit.
    return math.sqrt(1.0 - a * a if -0.5 < a < 0.5 else (1.0 - a) * (1.0 + a))


# √(1 - a²) as an operation of its own: (1 - a)(1 + a) keeps every digit at ±1, and the derivative
# -a/y keeps them at 0, where differentiating the two factors would cancel.
cocircle = Unary(
    "cocircle",
    "√(1 - a²)",
    _cocircle,
    (lambda y, a: -a / y,),
    locals=("-a / √(1 - a²)",),
    rule="operand must lie in [-1, 1]",
    domain=(UNIT,),
    lowering=lowering.cocircle,
)
asin = Unary(
    "asin",
    "arcsin a",
    math.asin,
    (lambda y, a: 1.0 / cocircle(a),),
    locals=("1 / √(1 - a²)",),
    rule="operand must lie in [-1, 1]",
    domain=(UNIT,),
    aliases=("arcsin",),
    lowering="asin",
)
acos = Unary(
    "acos",
    "arccos a",
    math.acos,
    (lambda y, a: -1.0 / cocircle(a),),
    locals=("-1 / √(1 - a²)",),
    rule="operand must lie in [-1, 1]",
    domain=(UNIT,),
    aliases=("arccos",),
    lowering="acos",
)
atan = Unary(
    "atan",
    "arctan a",
    math.atan,
    (lambda y, a: inversion(1.0, a),),  # 1 + a² would overflow at 1e160
    locals=("1 / (1 + a²)",),
    aliases=("arctan",),
    lowering="atan",
)


def _direction(a: float, b: float) -> float:
    largest = max(math.fabs(a), math.fabs(b))
    if a == b == 0.0:  # not `largest`: of 0 and a nan that is 0
        return 0.0
    if largest < 1e-290 or 1e290 < largest < inf:  # hypot would round to a subnormal, or overflow
        scale = math.ldexp(1.0, -math.frexp(largest)[1] // 2)
        a, b = a * scale * scale, b * scale * scale
    return a / math.hypot(a, b)


# a / √(a² + b²), the cosine of the direction (a, b): hypot's derivative as an operation of its own,
# because its own derivative b²/h³ would be lost in 1/h - a²/h³ where b is small.
direction = Binary(
    "direction",
    "a / √(a² + b²)",
    _direction,
    (
        # In this order neither overflows nor underflows before its result does.
        lambda y, a, b: direction(b, a) * (direction(b, a) / hypot(a, b)),
        lambda y, a, b: -y * direction(b, a) / hypot(a, b),
    ),
    locals=("b² / √(a² + b²)³", "-ab / √(a² + b²)³"),
    lowering=lowering.direction,
)


def _inversion_slope(y: Any, a: Any, b: Any) -> Any:
    length = hypot(a, b)
    return ((b - a) / length) * ((b + a) / length) / length / length  # b² - a² would cancel


# a / (a² + b²), the real part of 1 / (a + ib), without overflow or underflow on the way.
inversion = Binary(
    "inversion",
    "a / (a² + b²)",
    special.inversion,
    (_inversion_slope, lambda y, a, b: -2.0 * inversion(b, a) * y),
    locals=("(b² - a²) / (a² + b²)²", "-2ab / (a² + b²)²"),
    rule="(0, 0) has no inverse",
    ieee=lambda a, b: copysign(inf, a) if a else inf,
    lowering=lowering.inversion,
)
hypot = Binary(
    "hypot",
    "√(a² + b²)",
    math.hypot,
    (lambda y, a, b: direction(a, b), lambda y, a, b: direction(b, a)),
    locals=("a / √(a² + b²)", "b / √(a² + b²)"),
    kinks=(Kink("a = b = 0", lambda a, b: a == b == 0.0, (0.0, 0.0)),),
    lowering="hypot",
)
atan2 = Binary(
    "atan2",
    "arctan(a / b)",
    math.atan2,
    (
        lambda y, a, b: inversion(b, a),
        lambda y, a, b: -inversion(a, b),
    ),
    locals=("b / (a² + b²)", "-a / (a² + b²)"),
    rule="the direction of (0, 0) is not defined",
    aliases=("arctan2",),
    lowering="atan2",
)

# --- hyperbolic functions -------------------------------------------------------------------------

sinh = Unary(
    "sinh",
    "sinh a",
    math.sinh,
    (lambda y, a: cosh(a),),
    locals=("cosh a",),
    domain=(Interval(-710.0, 710.0),),
    ieee=lambda a: copysign(inf, a),
    lowering="sinh",
)
cosh = Unary(
    "cosh",
    "cosh a",
    math.cosh,
    (lambda y, a: sinh(a),),
    locals=("sinh a",),
    domain=(Interval(-710.0, 710.0),),
    lowering="cosh",
)
sech2 = Unary(
    "sech2",
    "sech² a",
    special.sech2,
    (lambda y, a: -2.0 * y * tanh(a),),
    locals=("-2 sech² a · tanh a",),
    lowering="sech2",
)
tanh = Unary(
    "tanh",
    "tanh a",
    math.tanh,
    (lambda y, a: sech2(a),),
    locals=("sech² a",),
    lowering="tanh",
)
asinh = Unary(
    "asinh",
    "arsinh a",
    math.asinh,
    (lambda y, a: 1.0 / hypot(a, 1.0),),
    locals=("1 / √(a² + 1)",),
    aliases=("arcsinh",),
    lowering="asinh",
)
acosh = Unary(
    "acosh",
    "arcosh a",
    math.acosh,
    (lambda y, a: 1.0 / (sqrt(a - 1.0) * sqrt(a + 1.0)),),
    locals=("1 / √(a² - 1)",),
    rule="operand must be >= 1",
    domain=(Interval(1.0, inf),),
    aliases=("arccosh",),
    lowering="acosh",
)
atanh = Unary(
    "atanh",
    "artanh a",
    math.atanh,
    (lambda y, a: 1.0 / square(cocircle(a)),),
    locals=("1 / (1 - a²)",),
    rule="operand must lie in (-1, 1)",
    domain=(UNIT,),
    ieee=lambda a: copysign(inf, a) if math.fabs(a) == 1.0 else nan,
    aliases=("arctanh",),
    lowering="atanh",
)

# --- probability ----------------------------------------------------------------------------------

# e^(-a²/2), from which the derivatives of erf and gelu are made; exp(-a · a / 2) would lose three
# digits in the tail to the rounding of a · a.
gauss = Unary(
    "gauss",
    "exp(-a²/2)",
    special.gauss,
    (lambda y, a: -a * y,),
    locals=("-a · y",),
    lowering="gauss",
)
normal_cdf = Unary(
    "normal_cdf",
    "Φ(a)",
    special.normal_cdf,
    (lambda y, a: gauss(a) / math.sqrt(2.0 * pi),),
    locals=("exp(-a²/2) / √2π",),
    lowering="normal_cdf",
)
erf = Unary(
    "erf",
    "erf a",
    math.erf,
    (lambda y, a: 2.0 / math.sqrt(pi) * square(gauss(a)),),
    locals=("2/√π · exp(-a²)",),
    lowering="erf",
)


def _no_silent_infinity(function: Callable[..., float]) -> Callable[..., float]:
    # special's functions return the infinity at an overflow, where math's raise an error.
    def loud(*xs: float) -> float:
        result = function(*xs)
        if math.isinf(result) and all_finite(xs):
            raise OverflowError
        return result

    return loud


def _ieee_polygamma(n: float, a: float) -> float:
    try:
        return special.polygamma(n, a)  # an overflow: the infinity has its sign
    except ValueError:
        return inf if n % 2.0 == 1.0 else nan  # at the poles an odd order is positive on both sides


polygamma = Binary(
    "polygamma",
    "ψ⁽ᵃ⁾(b)",
    _no_silent_infinity(special.polygamma),
    (lambda y, n, a: _not_differentiable("polygamma", "n"), lambda y, n, a: polygamma(n + 1.0, a)),
    locals=("-", "ψ⁽ᵃ⁺¹⁾(b)"),
    rule="operand must not be 0 or a negative whole number, and the order a whole number >= 0",
    domain=(Interval(0.0, 0.0, closed=True), POSITIVE),
    ieee=_ieee_polygamma,
)
lgamma = Unary(
    "lgamma",
    "log |Γ(a)|",
    _no_silent_infinity(special.lgamma),
    (lambda y, a: polygamma(0.0, a),),
    locals=("ψ(a)",),
    rule="operand must not be 0 or a negative whole number",
    domain=(POSITIVE,),
    ieee=lambda a: inf,
)


def _not_differentiable(name: str, operand: str) -> float:
    message = f"{name} has no derivative in {operand}"
    raise ValueError(message)


# --- neural networks ------------------------------------------------------------------------------

sigmoid = Unary(
    "sigmoid",
    "1 / (1 + e⁻ᵃ)",
    special.sigmoid,
    (lambda y, a: 0.25 * sech2(0.5 * a),),  # y · (1 - y) loses its digits at 40
    locals=("y · (1 - y)",),
    symbol="σ",
    lowering="sigmoid",
)
log_sigmoid = Unary(
    "log_sigmoid",
    "log σ(a)",
    special.log_sigmoid,
    (lambda y, a: sigmoid(-a),),
    locals=("σ(-a)",),
    lowering="log_sigmoid",
)
softplus = Unary(
    "softplus",
    "log(1 + eᵃ)",
    special.softplus,
    (lambda y, a: sigmoid(a),),
    locals=("σ(a)",),
    lowering="softplus",
)
relu = Unary(
    "relu",
    "max(a, 0)",
    lambda a: 0.0 if a <= 0.0 else a,  # nan stays nan
    (lambda y, a: step(a),),
    locals=("1 if a > 0 else 0",),
    kinks=(Kink("a = 0", lambda a: a == 0.0, (0.0,)),),
    routes=True,
    lowering=lowering.relu,
)
leaky_relu = Binary(
    "leaky_relu",
    "a if a > 0 else b·a",
    lambda a, slope: a if a > 0.0 else slope * a,
    (
        lambda y, a, slope: where(a > 0.0, 1.0, slope),
        lambda y, a, slope: where(a > 0.0, 0.0, a),
    ),
    locals=("1 if a > 0 else b", "0 if a > 0 else a"),
    kinks=(Kink("a = 0", lambda a, slope: a == 0.0 and slope != 1.0, ("b", 0.0)),),
    defaults=(0.01,),
    lowering=lowering.leaky_relu,
)
elu = Binary(
    "elu",
    "a if a > 0 else b(eᵃ - 1)",
    lambda a, alpha: a if a > 0.0 else alpha * math.expm1(a),
    (
        # minimum keeps exp from overflowing on the side that isn't taken.
        lambda y, a, alpha: where(a > 0.0, 1.0, alpha * exp(minimum(a, 0.0))),
        lambda y, a, alpha: where(a > 0.0, 0.0, expm1(minimum(a, 0.0))),
    ),
    locals=("1 if a > 0 else b·eᵃ", "0 if a > 0 else eᵃ - 1"),
    kinks=(Kink("a = 0, b ≠ 1", lambda a, alpha: a == 0.0 and alpha != 1.0, ("b", 0.0)),),
    defaults=(1.0,),
    lowering=lowering.elu,
)


def _gate(share: Callable[[float], float]) -> Callable[[float], float]:
    # a · share(a), whose limit at -inf is 0 and not -inf · 0.
    def gated(a: float) -> float:
        return 0.0 if a == -inf else a * share(a)

    return gated


gelu = Unary(
    "gelu",
    "a · Φ(a)",
    _gate(special.normal_cdf),
    (lambda y, a: normal_cdf(a) + a * (gauss(a) / math.sqrt(2.0 * pi)),),
    locals=("Φ(a) + a · φ(a)",),
    lowering="gelu",
)
silu = Unary(
    "silu",
    "a · σ(a)",
    special.silu,
    (lambda y, a: sigmoid(a) * (1.0 + a * sigmoid(-a)),),
    locals=("σ(a) · (1 + a · σ(-a))",),
    lowering="silu",
)

# --- choices --------------------------------------------------------------------------------------


def _sign(a: float) -> float:
    return a if a != a else float((a > 0.0) - (a < 0.0))


sign = Unary(
    "sign",
    "sign a",
    _sign,
    (0.0,),
    locals=("0",),
    kinks=(Kink("a = 0", lambda a: a == 0.0, (0.0,)),),
    routes=True,
    lowering=lowering.sign,
)
step = Unary(
    "step",
    "1 if a > 0 else 0",
    lambda a: a if a != a else float(a > 0.0),
    (0.0,),
    locals=("0",),
    kinks=(Kink("a = 0", lambda a: a == 0.0, (0.0,)),),
    routes=True,
    lowering=lowering.step,
)


def _above(a: Any, b: Any) -> Any:
    # 1 where a > b, 0 where a < b, ½ at a tie, nan where that can't be told.
    return 0.5 + 0.5 * sign(a - b)


def _maximum(a: float, b: float) -> float:
    return a if a > b or a != a else b


def _minimum(a: float, b: float) -> float:
    return a if a < b or a != a else b


TIE = Kink("a = b", lambda a, b: a == b, (0.5, 0.5))

maximum = Binary(
    "maximum",
    "max(a, b)",
    _maximum,
    (lambda y, a, b: _above(a, b), lambda y, a, b: _above(b, a)),
    locals=("1 if a > b else 0", "1 if b > a else 0"),
    kinks=(TIE,),
    routes=True,
    lowering="maximum",
)
minimum = Binary(
    "minimum",
    "min(a, b)",
    _minimum,
    (lambda y, a, b: _above(b, a), lambda y, a, b: _above(a, b)),
    locals=("1 if a < b else 0", "1 if b < a else 0"),
    kinks=(TIE,),
    routes=True,
    lowering="minimum",
)


def _clip(a: float, low: float, high: float) -> float:
    if low > high:
        raise ValueError
    return _minimum(_maximum(a, low), high)


clip = Ternary(
    "clip",
    "min(max(a, b), c)",
    _clip,
    (
        # Between equal bounds the result doesn't depend on a, though a ties with both.
        lambda y, a, low, high: _above(a, low) * _above(high, a) * where(low < high, 1.0, 0.0),
        lambda y, a, low, high: _above(low, a),
        lambda y, a, low, high: _above(a, high),
    ),
    locals=("1 if b < a < c else 0", "1 if a < b else 0", "1 if a > c else 0"),
    rule="the lower bound must be <= the upper one",
    domain=(Interval(), Interval(-inf, 0.0), Interval(0.0, inf)),
    kinks=(
        Kink("a = b", lambda a, low, high: a == low < high, (0.5, 0.5, 0.0)),
        Kink("a = c", lambda a, low, high: a == high > low, (0.5, 0.0, 0.5)),
        Kink("b = a = c", lambda a, low, high: a == low == high, (0.0, 0.5, 0.5)),
    ),
    routes=True,
    lowering=lowering.clip,
)
where = Ternary(
    "where",
    "b if a else c",
    lambda condition, a, b: a if condition else b,
    (
        0.0,
        lambda y, condition, a, b: where(condition, 1.0, 0.0),
        lambda y, condition, a, b: where(condition, 0.0, 1.0),
    ),
    locals=("0", "1 if a else 0", "0 if a else 1"),
    kinks=(Kink("a = 0", lambda condition, a, b: condition == 0.0 and a != b, (0.0, 0.0, 1.0)),),
    routes=True,
    lowering=lowering.where,
)


def _comparison(name: str, formula: str, compare: Callable[[float, float], bool]) -> Binary:
    # What `a < b` is while a function is traced (see tracing.py): 1 where it holds, 0 elsewhere.
    return Binary(
        name,
        f"1 if {formula} else 0",
        lambda a, b: float(compare(a, b)),
        (0.0, 0.0),
        locals=("0", "0"),
        kinks=(Kink("a = b", lambda a, b: a == b, (0.0, 0.0)),),
        routes=True,
        lowering=getattr(lowering, name),
        symbol=formula[2:-2],
    )


less = _comparison("less", "a < b", operator.lt)
less_equal = _comparison("less_equal", "a ≤ b", operator.le)
equal = _comparison("equal", "a = b", operator.eq)

# --- any number of operands: one node ------------------------------------------------------------


def _total(*xs: float) -> float:
    try:
        return fsum(xs)  # rounded once, whatever the order and the cancellation
    except OverflowError:  # on the way, perhaps: 1e308 + 1e308 - 1e308 is 1e308
        return float(exact_sum(map(Fraction, xs)))


def _ieee_total(*xs: float) -> float:
    total = 0.0
    for x in xs:
        total += x
    return total


sum = Variadic(
    "sum",
    "a₁ + … + aₙ",
    _total,
    lambda y, *xs: [1.0] * len(xs),
    locals=("1",),
    rule="the infinities in it have different signs",
    ieee=_ieee_total,
    symbol="Σ",
    lowering=lowering.total,
)


def _mean(*xs: float) -> float:
    try:
        return fsum(xs) / len(xs)
    except OverflowError:
        return float(exact_sum(map(Fraction, xs)) / len(xs))


mean = Variadic(
    "mean",
    "(a₁ + … + aₙ) / n",
    _mean,
    lambda y, *xs: [1.0 / len(xs)] * len(xs),
    locals=("1/n",),
    rule="it needs at least one operand, and no infinities of different signs",
    ieee=lambda *xs: _ieee_total(*xs) / len(xs) if xs else nan,
    lowering=lowering.mean,
)


def _dot(*xs: float) -> float:
    half = len(xs) // 2
    try:
        return fsum(map(operator.mul, xs[:half], xs[half:]))
    except OverflowError:
        return _total(*map(operator.mul, xs[:half], xs[half:]))


def _ieee_dot(*xs: float) -> float:
    half = len(xs) // 2
    return _ieee_total(*map(operator.mul, xs[:half], xs[half:]))


def _dot_locals(y: Any, *xs: Any) -> list[Any]:
    half = len(xs) // 2
    return [*xs[half:], *xs[:half]]


_dot_op = Variadic(
    "dot",
    "a₁b₁ + … + aₙbₙ",
    _dot,
    _dot_locals,
    locals=("bᵢ", "aᵢ"),
    rule="the infinities in it have different signs",
    ieee=_ieee_dot,
    symbol="·",
    lowering=lowering.dot,
)


@overload
def dot(xs: Sequence[Value], ys: Sequence[float] | Sequence[Value]) -> Value: ...
@overload
def dot(xs: Sequence[float], ys: Sequence[Value]) -> Value: ...
@overload
def dot(xs: Sequence[float], ys: Sequence[float]) -> float: ...
@overload
def dot(xs: Sequence[float | Value], ys: Sequence[float | Value]) -> Any: ...
def dot(xs: Any, ys: Any) -> Any:
    """Return x₁y₁ + … + xₙyₙ as one operation with 2n operands: the xs, then the ys.

    Raises:
        ValueError: if the sequences differ in length.

    """
    xs, ys = sequence(xs, "dot"), sequence(ys, "dot")
    if len(xs) != len(ys):
        message = f"dot takes two sequences of one length; got {len(xs)} and {len(ys)}"
        raise ValueError(message)
    return _dot_op.apply(xs + ys, (xs, ys))


def _share(*xs: float) -> float:
    return special.softmax_share(xs)


def _share_locals(y: Any, *xs: Any) -> list[Any]:
    # 1 - y is added up from the other shares: where y is nearly 1, the difference has no digits.
    others = [_share_op.apply(_first(xs, i)) for i in range(1, len(xs))]
    return [y * sum(others), *[-y * other for other in others]]


def _first(xs: tuple[Any, ...], i: int) -> tuple[Any, ...]:
    return (xs[i], *xs[:i], *xs[i + 1 :])


_share_op = Variadic(
    "softmax",
    "e^a₁ / (e^a₁ + … + e^aₙ)",
    _share,
    _share_locals,
    locals=("y · (1 - y) for a₁, -y · softmaxᵢ for the others",),
    rule="it needs at least one operand",
    lowering=lowering.softmax,
)


@overload
def softmax(xs: Sequence[Value]) -> list[Value]: ...
@overload
def softmax(xs: Sequence[float]) -> list[float]: ...
@overload
def softmax(xs: Sequence[float | Value]) -> list[Any]: ...
def softmax(xs: Any) -> Any:
    """Return [e^x₁/s, …, e^xₙ/s] with s = e^x₁ + … + e^xₙ; each share is one operation.

    The operands of a share are its own x first, then the others in their order.
    """
    operands = sequence(xs, "softmax")
    if operands and {*map(type, operands)} == {float}:
        return special.softmax_shares(operands)  # all at once: logsumexp's derivative asks for it
    return [_share_op.apply(_first(operands, i)) for i in range(len(operands))]


logsumexp = Variadic(
    "logsumexp",
    "log(e^a₁ + … + e^aₙ)",
    lambda *xs: special.logsumexp(xs),
    lambda y, *xs: softmax(xs),
    locals=("e^aᵢ / Σ e^a",),
    rule="it needs at least one operand",
    lowering=lowering.logsumexp,
)
logaddexp = Binary(
    "logaddexp",
    "log(eᵃ + eᵇ)",
    special.logaddexp,
    (lambda y, a, b: _share_op.apply((a, b)), lambda y, a, b: _share_op.apply((b, a))),
    locals=("σ(a - b)", "σ(b - a)"),
    lowering=lowering.logsumexp,
)
