"""What each operation is, in mpmath: its value and its derivatives, in closed form.

The values are those of `autograd.testing.exact`. A derivative is written from the mathematics, not
from `autograd.ops`. The functions take and return mpmath numbers; where one raises, or returns a
complex number, the value or the derivative does not exist. Where two formulas exist the one without
cancellation stands here: `BITS` is then enough from the smallest subnormal to the largest double.
"""

# ruff: noqa: ARG005  (a derivative takes all operands, whichever it needs)

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from mpmath import mp, mpf

from autograd.testing import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Function = Callable[..., Any]

BITS = 320
EXACT = 2300  # bits that hold the sum of any two doubles, largest and smallest


class Derivatives(NamedTuple):
    """Those of one operation: first(i, *xs), second(i, j, *xs), and points to look at."""

    first: Function
    second: Function
    near: tuple[float, ...] = ()
    bits: int = BITS


class Truth(NamedTuple):
    """One operation: value(*xs), and what `Derivatives` says."""

    value: Function
    first: Function
    second: Function
    near: tuple[float, ...]
    bits: int


def unary(first: Function, second: Function, *near: float) -> Derivatives:
    """Return the entry of an operation of one operand; `near` are its zeros and boundaries."""
    return Derivatives(lambda i, x: first(x), lambda i, j, x: second(x), near)


def fixed(first: Sequence[Function], second: Sequence[Function], bits: int = BITS) -> Derivatives:
    """Return the entry of an operation of n operands; `second` is aa, ab, …, bb, bc, …."""
    n = len(first)
    pairs = {(i, j): k for k, (i, j) in enumerate((i, j) for i in range(n) for j in range(i, n))}
    return Derivatives(
        lambda i, *xs: first[i](*xs),
        lambda i, j, *xs: second[pairs[min(i, j), max(i, j)]](*xs),
        bits=bits,
    )


def undefined(*_: Any) -> Any:
    """Say that there is no such derivative."""
    raise ValueError


def zero(*_: Any) -> Any:
    return mpf(0)


def one(*_: Any) -> Any:
    return mpf(1)


def value(name: str) -> Function:
    """Return the value of the operation of that name."""
    return partial(exact.FUNCTIONS[name], mp)


cbrt = value("cbrt")
cocircle = value("cocircle")
hypot = value("hypot")
normal_cdf = value("normal_cdf")
polygamma = value("polygamma")
sech2 = value("sech2")
sigmoid = value("sigmoid")
sign = value("sign")
step = value("step")
power = partial(exact.power, mp)
shares = partial(exact.shares, mp)


def power_entry(less: int) -> Derivatives:
    """Return the entry of a**(b - less)."""

    def by_base(a: Any, b: Any) -> Any:
        return mpf(0) if b == less else (b - less) * power(a, b, less + 1)

    def by_base_twice(a: Any, b: Any) -> Any:
        if b in {less, less + 1}:
            return mpf(0)
        return (b - less) * (b - less - 1) * power(a, b, less + 2)

    def by_exponent(a: Any, b: Any) -> Any:
        return mpf(0) if a == 0 and b > less else power(a, b, less) * mp.log(a)

    def by_exponent_twice(a: Any, b: Any) -> Any:
        return mpf(0) if a == 0 and b > less else power(a, b, less) * mp.log(a) ** 2

    def by_both(a: Any, b: Any) -> Any:
        if a == 0:
            return mpf(0) if b > less + 1 else undefined()
        return power(a, b, less + 1) * (1 + (b - less) * mp.log(a))

    return fixed(
        [by_base, by_exponent],
        [by_base_twice, by_both, by_exponent_twice],
    )


def logistic_slope(x: Any) -> Any:
    return sech2(x / 2) / 4


def phi(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def share_first(i: int, *xs: Any) -> Any:
    """∂(share of the first)/∂xᵢ = s₀ (δ₀ᵢ - sᵢ)."""
    s = shares(*xs)
    return s[0] * mp.fsum(s[1:]) if i == 0 else -s[0] * s[i]


def share_second(i: int, j: int, *xs: Any) -> Any:
    """∂²s₀/∂xᵢ∂xⱼ = s₀ ((δ₀ᵢ - sᵢ)(δ₀ⱼ - sⱼ) - sᵢ (δᵢⱼ - sⱼ))."""
    s = shares(*xs)

    def less(k: int, m: int) -> Any:
        return mp.fsum(s[:k] + s[k + 1 :]) if k == m else -s[m]

    return s[0] * (less(0, i) * less(0, j) - s[i] * less(i, j))


def logsumexp_second(i: int, j: int, *xs: Any) -> Any:
    s = shares(*xs)
    return s[i] * mp.fsum(s[:i] + s[i + 1 :]) if i == j else -s[i] * s[j]


def elu_slope(a: Any, b: Any) -> Any:
    return mpf(1) if a > 0 else b * mp.exp(a)


LN2 = 0.6931471805599453
PI = 3.141592653589793
PI_HALF = 1.5707963267948966
SQRT2 = 1.4142135623730951
CONSTANT = [zero] * 3

DERIVATIVES: dict[str, Derivatives] = {
    "add": fixed([one, one], CONSTANT, EXACT),
    "sub": fixed([one, lambda a, b: mpf(-1)], CONSTANT, EXACT),
    "mul": fixed([lambda a, b: b, lambda a, b: a], [zero, one, zero]),
    "div": fixed(
        [lambda a, b: 1 / b, lambda a, b: -a / b**2],
        [zero, lambda a, b: -1 / b**2, lambda a, b: 2 * a / b**3],
    ),
    "neg": unary(lambda x: mpf(-1), zero),
    "pos": unary(one, zero),
    "pow": power_entry(0),
    "pow_below": power_entry(1),
    "abs": unary(sign, zero),
    "square": unary(lambda x: 2 * x, lambda x: mpf(2)),
    "sqrt": unary(lambda x: 1 / mp.sqrt(x) / 2, lambda x: -1 / (4 * x * mp.sqrt(x))),
    "cbrt": unary(lambda x: 1 / cbrt(x) ** 2 / 3, lambda x: -2 / cbrt(x) ** 5 / 9),
    "exp": unary(mp.exp, mp.exp),
    "expm1": unary(mp.exp, mp.exp),
    "exp2": unary(
        lambda x: mpf(2) ** x * mp.ln2,
        lambda x: mpf(2) ** x * mp.ln2**2,
        *(-1074.0, -1022.0, 1024.0),
    ),
    "log": unary(lambda x: 1 / x, lambda x: -1 / x**2, 1.0),
    "log1p": unary(lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2, -1.0),
    "log2": unary(
        lambda x: 1 / x / mp.ln2,
        lambda x: -1 / x**2 / mp.ln2,
    ),
    "log10": unary(
        lambda x: 1 / x / mp.ln10,
        lambda x: -1 / x**2 / mp.ln10,
    ),
    "sin": unary(mp.cos, lambda x: -mp.sin(x), PI, PI_HALF),
    "cos": unary(lambda x: -mp.sin(x), lambda x: -mp.cos(x), PI, PI_HALF),
    "tan": unary(lambda x: mp.sec(x) ** 2, lambda x: 2 * mp.tan(x) * mp.sec(x) ** 2, PI, PI_HALF),
    "cocircle": unary(lambda x: -x / cocircle(x), lambda x: -1 / cocircle(x) ** 3),
    "asin": unary(lambda x: 1 / cocircle(x), lambda x: x / cocircle(x) ** 3),
    "acos": unary(lambda x: -1 / cocircle(x), lambda x: -x / cocircle(x) ** 3),
    "atan": unary(lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    "direction": fixed(
        [lambda a, b: b**2 / hypot(a, b) ** 3, lambda a, b: -a * b / hypot(a, b) ** 3],
        [
            lambda a, b: -3 * a * b**2 / hypot(a, b) ** 5,
            lambda a, b: b * (2 * a * a - b * b) / hypot(a, b) ** 5,
            lambda a, b: a * (2 * b * b - a * a) / hypot(a, b) ** 5,
        ],
    ),
    "inversion": fixed(
        [
            lambda a, b: (b - a) * (b + a) / (a * a + b * b) ** 2,
            lambda a, b: -2 * a * b / (a * a + b * b) ** 2,
        ],
        [
            lambda a, b: 2 * a * (a * a - 3 * b * b) / (a * a + b * b) ** 3,
            lambda a, b: 2 * b * (3 * a * a - b * b) / (a * a + b * b) ** 3,
            lambda a, b: -2 * a * (a * a - 3 * b * b) / (a * a + b * b) ** 3,
        ],
    ),
    "hypot": fixed(
        [lambda a, b: a / hypot(a, b), lambda a, b: b / hypot(a, b)],
        [
            lambda a, b: b * b / hypot(a, b) ** 3,
            lambda a, b: -a * b / hypot(a, b) ** 3,
            lambda a, b: a * a / hypot(a, b) ** 3,
        ],
    ),
    "atan2": fixed(
        [lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)],
        [
            lambda a, b: -2 * a * b / (a * a + b * b) ** 2,
            lambda a, b: (a - b) * (a + b) / (a * a + b * b) ** 2,
            lambda a, b: 2 * a * b / (a * a + b * b) ** 2,
        ],
    ),
    "sinh": unary(mp.cosh, mp.sinh, 710.4758600739439),
    "cosh": unary(mp.sinh, mp.cosh, 710.4758600739439),
    "sech2": unary(
        lambda x: -2 * sech2(x) * mp.tanh(x),
        lambda x: 2 * sech2(x) * (2 * mp.tanh(x) ** 2 - sech2(x)),
        *(0.6584789484624084, -0.6584789484624084),
    ),
    "tanh": unary(sech2, lambda x: -2 * sech2(x) * mp.tanh(x)),
    "asinh": unary(lambda x: 1 / hypot(x, mpf(1)), lambda x: -x / hypot(x, mpf(1)) ** 3),
    "acosh": unary(
        lambda x: 1 / mp.sqrt((x - 1) * (x + 1)),
        lambda x: -x / mp.sqrt((x - 1) * (x + 1)) ** 3,
    ),
    "atanh": unary(
        lambda x: 1 / ((1 - x) * (1 + x)),
        lambda x: 2 * x / ((1 - x) * (1 + x)) ** 2,
    ),
    "gauss": unary(
        lambda x: -x * mp.exp(-x * x / 2),
        lambda x: (x - 1) * (x + 1) * mp.exp(-x * x / 2),
        38.5,
    ),
    "normal_cdf": unary(phi, lambda x: -x * phi(x), -38.4, 8.3),
    "erf": unary(
        lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
        lambda x: -4 * x / mp.sqrt(mp.pi) * mp.exp(-x * x),
        *(26.6, -26.6),
    ),
    "polygamma": fixed(
        [undefined, lambda n, x: polygamma(n + 1, x)],
        [undefined, undefined, lambda n, x: polygamma(n + 2, x)],
    ),
    "lgamma": unary(
        lambda x: polygamma(0, x),
        lambda x: polygamma(1, x),
        *(2.0, 1.4616321449683623, -0.5, -1.5, -2.4570247382208006, -0.504083008264455, 2.55e305),
    ),
    "sigmoid": unary(logistic_slope, lambda x: -logistic_slope(x) * mp.tanh(x / 2), 36.7, -708.4),
    "log_sigmoid": unary(lambda x: sigmoid(-x), lambda x: -logistic_slope(x), 36.7, -708.4),
    "softplus": unary(sigmoid, logistic_slope, 36.7, -708.4),
    "relu": unary(step, zero),
    "leaky_relu": fixed(
        [lambda a, b: mpf(1) if a > 0 else b, lambda a, b: min(a, mpf(0))],
        [zero, lambda a, b: mpf(a < 0), zero],
    ),
    "elu": fixed(
        [elu_slope, lambda a, b: mp.expm1(min(a, mpf(0)))],
        [
            lambda a, b: mpf(0) if a > 0 else b * mp.exp(a),
            lambda a, b: mpf(0) if a > 0 else mp.exp(a),
            zero,
        ],
    ),
    "gelu": unary(
        lambda x: normal_cdf(x) + x * phi(x),
        lambda x: (2 - x * x) * phi(x),
        *(-0.7517915246935645, SQRT2, -SQRT2, -8.0, -20.0, -38.4),
    ),
    "silu": unary(
        lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
        lambda x: logistic_slope(x) * (2 - x * mp.tanh(x / 2)),
        *(-1.2784645427610738, 2.399357280520547, -2.399357280520547, -700.0, -740.0),
    ),
    "sign": unary(zero, zero),
    "step": unary(zero, zero),
    "maximum": fixed([lambda a, b: mpf(a > b), lambda a, b: mpf(b > a)], CONSTANT),
    "minimum": fixed([lambda a, b: mpf(a < b), lambda a, b: mpf(b < a)], CONSTANT),
    "clip": fixed(
        [
            lambda a, low, high: mpf(low < a < high),
            lambda a, low, high: mpf(a < low),
            lambda a, low, high: mpf(a > high),
        ],
        [zero] * 6,
    ),
    "where": fixed(
        [
            zero,
            lambda condition, a, b: mpf(condition != 0),
            lambda condition, a, b: mpf(condition == 0),
        ],
        [zero] * 6,
    ),
    "less": fixed([zero] * 2, CONSTANT),
    "less_equal": fixed([zero] * 2, CONSTANT),
    "equal": fixed([zero] * 2, CONSTANT),
    "sum": Derivatives(one, zero, bits=EXACT),
    "mean": Derivatives(lambda i, *xs: 1 / mpf(len(xs)), zero, bits=EXACT),
    "dot": Derivatives(
        lambda i, *xs: xs[(i + len(xs) // 2) % len(xs)],
        lambda i, j, *xs: mpf(abs(i - j) == len(xs) // 2),
        bits=2 * EXACT,
    ),
    "softmax": Derivatives(share_first, share_second),
    "logsumexp": Derivatives(lambda i, *xs: shares(*xs)[i], logsumexp_second),
    "logaddexp": Derivatives(lambda i, *xs: shares(*xs)[i], logsumexp_second),
}

ORACLE = {name: Truth(value(name), *entry) for name, entry in DERIVATIVES.items()}
