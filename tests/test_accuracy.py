"""Every operation is exact: its value, its derivatives and theirs, judged by mpmath.

The law: the result is the true one at the given doubles to 4 units in the last place (ulp), from
the smallest subnormal to the largest double. Three refinements say what that means at the edges.

- Below the normal range an ulp is the smallest subnormal, 4.9e-324: the error there is absolute.
- Where the true result is ill-conditioned, the bound is 1e-14 relative. Its condition number κ is
  the sum over the operands of |x · ∂result/∂x| / |result|; "ill" is κ >= 8, where half an ulp in
  an operand moves the result by 4.
- Where the true result is beyond the largest double, infinite or undefined, there is an error
  (ValueError, ZeroDivisionError, OverflowError) or the infinity of the right sign: never a nan,
  never a number.

What falls short is in `EXCEPTIONS`. `python tests/test_accuracy.py` prints the worst error of each
operation and where it is.
"""

# ruff: noqa: ARG005  (an allowance and a derivative take all operands, whichever they need)

from __future__ import annotations

import math
import random
import sys
from functools import cache, lru_cache
from itertools import islice, product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from mpmath import mp, mpc, mpf
from oracle import ORACLE

from autograd import Value, gradients
from autograd.op import REGISTRY, Op, ieee

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Point = tuple[float, ...]

ULP = 4.0
RELATIVE = 1e-14
ILL_CONDITIONED = 8.0

HUGE = sys.float_info.max
TINY = sys.float_info.min
SUBNORMAL = math.ulp(0.0)
OVERFLOW = mpf(2) ** 1024 - mpf(2) ** 970  # what is at least this rounds to infinity
LETTERS = "abcdefgh"

NAMES = sorted(name for name, op in REGISTRY.items() if op.builtin)


class Allowance(NamedTuple):
    """Where an operation may fall short of the law, how far, and why.

    `what` is "value", "a", "ab" …, several of them, or "first" or "second" for all of an order.
    `ulp` is the bound in units in the last place of the result, or of `scale(*operands)` where that
    is greater: near a zero the error is absolute. With `error`, there may also be an error where
    the true result is a number; a number must still be right.
    """

    operations: str
    what: str
    reason: str
    ulp: float = ULP
    scale: Callable[..., float] | None = None
    error: bool = False
    applies: Callable[..., bool] = lambda *_: True

    def covers(self, name: str, what: str, xs: Point) -> bool:
        """Say whether this allowance is for that result."""
        order = {1: "first", 2: "second"}.get(len(what), "value")
        kinds = self.what.split()
        return (
            name in self.operations.split()
            and (what in kinds or order in kinds)
            and self.applies(*xs)
        )


def tiny(*xs: float) -> bool:
    return any(math.fabs(x) < 5.7e-309 for x in xs)


def unit(*_: float) -> float:
    return 1.0


def power_is_subnormal(a: float, b: float) -> bool:
    """Say whether aᵇ, aᵇ⁻¹, aᵇ⁻² or aᵇ⁻³ is so small that it has lost digits."""
    return a != 0.0 and any((b - k) * math.log2(math.fabs(a)) < -1020.0 for k in range(4))


EXCEPTIONS = (
    Allowance(
        "acos asin atan2 atanh cbrt direction gelu inversion pow pow_below sech2 silu softmax",
        "second",
        "up to a dozen factors and terms, each rounded",
        ulp=8.0,
    ),
    Allowance("inversion", "first", "eight factors, each rounded: it is atan2's second", ulp=8.0),
    # --- sums that cancel near a zero of the derivative
    Allowance(
        "gauss sech2",
        "second",
        "(a² - 1) and the like cancel at the zeros",
        scale=unit,
        applies=lambda x: math.fabs(x) < 2.0,
    ),
    Allowance(
        "gelu silu",
        "first second",
        "the terms of the sum cancel at the zeros",
        scale=unit,
        applies=lambda x: math.fabs(x) < 5.0,
    ),
    Allowance(
        "direction",
        "ab ba",
        "2a² - b² and a² - b² cancel at their zeros",
        scale=lambda a, b: 1.0 / (a * a + b * b),
        ulp=8.0,
        applies=lambda a, b: 0.1 < math.fabs(a / (b or 1.0)) < 10.0,
    ),
    Allowance(
        "softmax",
        "second",
        "s(1 - s)(1 - 2s): the terms cancel near s = ½",
        scale=lambda *xs: math.exp(xs[0] - max(xs)),
        ulp=8.0,
    ),
    Allowance(
        "inversion",
        "second",
        "the terms cancel at its zeros, and where a or b is small beside the other",
        scale=lambda a, b: math.hypot(a, b) ** -3 if math.hypot(a, b) > 1e-100 else math.inf,
        ulp=16.0,
    ),
    Allowance(
        "pow pow_below",
        "ab ba",
        "1 + b·log a cancels at its zero",
        scale=lambda a, b: math.pow(math.fabs(a), b - 1.0) if a else 0.0,
        ulp=8.0,
    ),
    Allowance(
        "lgamma",
        "value a",
        "at the zeros below 0 the error is absolute, as special.lgamma and polygamma say",
        scale=lambda x: 40.0,
        applies=lambda x: x < 0.0,
    ),
    Allowance(
        "dot",
        "value",
        "the products are rounded before they are added, exactly",
        scale=lambda *xs: math.fsum(
            math.fabs(x * y) for x, y in zip(xs[: len(xs) // 2], xs[len(xs) // 2 :], strict=True)
        ),
    ),
    Allowance(
        "pow pow_below",
        "first second",
        "b - 1 is rounded where |b| < ½, once it is differentiated again: |log a| times as much",
        ulp=1000.0,
        applies=lambda a, b: -1.0 < b < 0.5,
    ),
    Allowance(
        "pow pow_below",
        "first second",
        "whether b - 1 or b - 2 is odd can't be told beyond 2⁵³",
        ulp=math.inf,
        applies=lambda a, b: a < 0.0 and math.fabs(b) > 2.0**53,
    ),
    Allowance(
        "pow",
        "ba",
        "∂/∂b is the constant 0 along a = 0, of which no derivative in a is infinite",
        ulp=math.inf,
        applies=lambda a, b: a == 0.0,
    ),
    # --- subnormal numbers on the way
    Allowance("gauss", "a", "38 times a subnormal y", ulp=40.0, applies=lambda x: x * x > 1400.0),
    Allowance(
        "gauss", "aa", "1500 times a subnormal", ulp=1500.0, applies=lambda x: x * x > 1400.0
    ),
    Allowance("normal_cdf", "aa", "38 times a subnormal", ulp=40.0, applies=lambda x: x < -37.0),
    Allowance("gelu", "value a", "38 times a subnormal Φ", ulp=40.0, applies=lambda x: x < -37.0),
    Allowance("gelu", "aa", "1500 times a subnormal", ulp=1500.0, applies=lambda x: x < -37.0),
    Allowance(
        "silu", "a aa", "745 times a subnormal σ", ulp=750.0, applies=lambda x: math.fabs(x) > 707.0
    ),
    Allowance(
        "elu",
        "a aa",
        "b·eᵃ where eᵃ is subnormal",
        scale=lambda a, b: math.fabs(b) * 2.2e-308,
        ulp=4.0e15,
        applies=lambda a, b: a < -708.0,
    ),
    Allowance(
        "div",
        "b bb",
        "a subnormal quotient has lost digits, which a divisor below 1 brings to light",
        scale=lambda a, b: 2.0 * SUBNORMAL / b / b / ULP * 2.0**52 if b * b > 1e-300 else math.inf,
        applies=lambda a, b: math.fabs(a / b) < TINY,
    ),
    Allowance(
        "pow pow_below",
        "first second",
        "a subnormal power has lost digits, and is multiplied by b, b² or log² a",
        ulp=math.inf,
        applies=power_is_subnormal,
    ),
    # --- errors where there is a number
    Allowance("div direction", "second", "1/b overflows on the way", error=True, applies=tiny),
    Allowance(
        "atan2 direction hypot inversion pow pow_below",
        "first second",
        "1/a, 1/a² or 1/a³ overflows on the way, or hypot does",
        error=True,
        applies=lambda a, b: (
            not 1e-100 < math.fabs(a) + math.fabs(b) < HUGE or 0.0 < abs(a) < 1e-100
        ),
    ),
    Allowance(
        "direction",
        "first second",
        "hypot overflows, and the subnormal result is taken for 0",
        ulp=math.inf,
        applies=lambda a, b: math.isinf(math.hypot(a, b)),
    ),
    # --- no second derivative
    Allowance(
        "elu leaky_relu",
        "second",
        "the first derivative has a kink at 0: any number between its two sides",
        ulp=math.inf,
        applies=lambda a, b: a == 0.0,
    ),
)


# --- where to look --------------------------------------------------------------------------------

LANDMARKS = (
    *(SUBNORMAL, 1e-310, TINY, 1e-160, 1e-20, 1e-8, 0.01, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    *(19.0, 40.0, 170.5, 300.0, 354.9, 700.0, 709.7, 710.4, 745.1, 800.0, 1e5, 1e16),
    *(1e102, 1e154, 1e160, 1e250, 1e300, HUGE),
)
FEW = (
    SUBNORMAL,
    1e-310,
    TINY,
    1e-200,
    1e-160,
    1e-8,
    0.5,
    1.0,
    3.0,
    40.0,
    800.0,
    1e100,
    1e160,
    HUGE,
)


def neighbours(x: float) -> list[float]:
    """Return a double and the nearest on both sides."""
    around = [math.nextafter(x, -math.inf), x, math.nextafter(x, math.inf)]
    return [y for y in around if math.isfinite(y)]


def magnitude(chance: random.Random, low: float, high: float) -> float:
    """Return 10**low to 10**high of either sign, evenly spread over the exponents."""
    return math.copysign(10.0 ** chance.uniform(low, high), chance.random() - 0.5)


def anywhere(chance: random.Random) -> float:
    """Return a double, most often an ordinary one."""
    kind = chance.random()
    if kind < 0.2:
        return magnitude(chance, -323.0, 308.2)
    if kind < 0.5:
        return magnitude(chance, -10.0, 4.0)
    return chance.uniform(-1.0, 1.0) if kind < 0.65 else chance.uniform(-10.0, 10.0)


def unary_places(op: Op, chance: random.Random) -> Iterator[Point]:
    truth = ORACLE[op.name]
    for x in (*LANDMARKS, *map(abs, truth.near)):
        for y in neighbours(x):
            yield (y,)
            yield (-y,)
    for x in truth.near:
        for _ in range(20):
            yield (x * (1.0 + magnitude(chance, -16.0, -1.0)),)
    yield (0.0,)
    for _ in range(300):
        yield (anywhere(chance),)
    for _ in range(50):  # close to 1 on both sides: the edge of many a domain
        yield (math.copysign(1.0 - 10.0 ** chance.uniform(-16.0, 0.0), chance.random() - 0.5),)
        yield (1.0 + 10.0 ** chance.uniform(-16.0, 0.0),)


def binary_places(op: Op, chance: random.Random) -> Iterator[Point]:
    if op.name == "polygamma":
        for n in (0.0, 1.0, 2.0, 3.0, 10.0):
            for x in (*FEW[:-4], 1.4616321449683622, -0.5, -2.5, -10.7, 1e8, 1e-100):
                yield n, x
            for _ in range(25):
                yield n, 10.0 ** chance.uniform(-5.0, 5.0)
        yield from ((0.5, 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, -3.0))
        return
    signed = [s * x for x in FEW for s in (1.0, -1.0)]
    yield from product([*signed, 0.0], repeat=2)
    for _ in range(250):
        yield anywhere(chance), anywhere(chance)
    for _ in range(80):
        a = anywhere(chance)
        yield a, math.copysign(a, chance.random() - 0.5) * (1.0 + magnitude(chance, -16.0, 0.5))
    if op.name in {"pow", "pow_below"}:
        for _ in range(150):
            yield 10.0 ** chance.uniform(-308.0, 308.0), chance.uniform(-1.0, 1.0)
            yield chance.uniform(0.0, 10.0), chance.uniform(-50.0, 50.0)
            yield chance.uniform(-10.0, 10.0), float(chance.randrange(-9, 10))


def ternary_places(op: Op, chance: random.Random) -> Iterator[Point]:
    for _ in range(300):
        a, b, c = anywhere(chance), anywhere(chance), anywhere(chance)
        if op.name == "clip" and chance.random() < 0.9:
            b, c = min(b, c), max(b, c)
        yield a, b, c
    yield from product((0.0, -1.0, 1.0, 2.0, HUGE, -SUBNORMAL), repeat=3)


def variadic_places(op: Op, chance: random.Random) -> Iterator[Point]:
    for size in (1, 2, 2, 2, 3, 4):
        width = size * (2 if op.name == "dot" else 1)
        for x in FEW if size < 3 else ():
            yield (x,) * width
            yield (-x,) * width
        for _ in range(60):
            yield tuple(anywhere(chance) for _ in range(width))
            centre = chance.uniform(-5.0, 5.0)
            yield tuple(centre + chance.uniform(-2.0, 2.0) for _ in range(width))
    for _ in range(20):  # sums that cancel
        a, b, c = chance.random(), chance.random(), chance.random()
        yield a, b, c, -a * c / b


def places(op: Op) -> Iterator[Point]:
    """Yield the points at which an operation is judged, the same in every run."""
    chance = random.Random(op.name)  # noqa: S311  (nothing secret)
    kinds = {1: unary_places, 2: binary_places, 3: ternary_places, None: variadic_places}
    return kinds[op.arity](op, chance)


# --- the judgement --------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """How far off one result is: in ulp, and as a multiple of its bound (1 and less is good)."""

    what: str
    at: Point
    got: Any
    ulp: float
    excess: float
    allowed: bool = False


def true_result(function: Callable[..., Any], xs: Point) -> Any:
    """Return the true number, or None where it doesn't exist."""
    try:
        result = function(*exact(*xs))
        # Asked first, since mpf() of a complex number writes out all its digits for its error.
        result = None if isinstance(result, mpc) else mpf(result)
    except (ArithmeticError, ValueError, TypeError):  # TypeError: an order of complex numbers
        return None
    return None if result is None or mp.isnan(result) else result


@lru_cache(maxsize=1)  # all that is judged at a point is judged in a row
def exact(*xs: float) -> tuple[mpf, ...]:
    """Return the doubles as mpmath's numbers."""
    return tuple(map(mpf, xs))


def gradient(y: Value, x: Value) -> Value:
    return gradients(y, [x])[0]


def outcome(compute: Callable[..., Any], *args: Any) -> Any:
    """Return what a computation gives, its error if that is one of the three."""
    try:
        return compute(*args)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        return error


def plain(result: Any) -> Any:
    """Return the number of a Value; an error stays one."""
    return result if isinstance(result, Exception) else result.data


def condition(function: Callable[..., Any], xs: Point, true: Any) -> float:
    """Return the condition number of a result, by differences in mpmath."""
    kappa = mpf(0)
    for i, x in enumerate(xs):
        moved = [mpf(z) for z in xs]
        moved[i] = mpf(x) * (1 + mpf(2) ** -100)
        try:
            kappa += abs(mpf(function(*moved)) - true) * mpf(2) ** 100 / abs(true)
        except (ArithmeticError, ValueError, TypeError):
            return math.inf
    return float(kappa)


def judge(op: Op, what: str, xs: Point, got: Any, function: Callable[..., Any]) -> Verdict:
    """Compare one result with the truth."""
    true = true_result(function, xs)
    if true is None or abs(true) >= OVERFLOW:
        right = isinstance(got, Exception) or (
            math.isinf(got) and (true is None or (got > 0.0) == (true > 0))
        )
        covered = any(e.covers(op.name, what, xs) and math.isinf(e.ulp) for e in EXCEPTIONS)
        return Verdict(what, xs, got, 0.0, 0.0 if right or covered else math.inf, not right)
    if isinstance(got, Exception) or not math.isfinite(got):
        ulp = math.inf
    else:
        # A power of two has its finer grid below it; the coarser one is the law's.
        ulp = float(abs(mpf(got) - true) / math.ulp(float(true)))
    if ulp <= ULP:
        return Verdict(what, xs, got, ulp, ulp / ULP)
    bound = ULP
    if abs(true) >= TINY and condition(function, xs, true) >= ILL_CONDITIONED:
        bound = RELATIVE * float(abs(true)) / math.ulp(float(true))
    excess = ulp / bound
    if excess <= 1.0:
        return Verdict(what, xs, got, ulp, excess)
    for exception in EXCEPTIONS:
        if exception.covers(op.name, what, xs):
            excess = min(excess, excuse(exception, xs, got, true))
    return Verdict(what, xs, got, ulp, excess, allowed=excess <= 1.0)


def excuse(exception: Allowance, xs: Point, got: Any, true: Any) -> float:
    """Return the error as a multiple of an exception's bound."""
    if math.isinf(exception.ulp):
        return 0.0
    if isinstance(got, Exception) or math.isinf(got):
        return 0.0 if exception.error else math.inf
    scale = abs(float(true))
    if exception.scale is not None:
        scale = max(scale, exception.scale(*xs))
    if math.isinf(scale):
        return 0.0
    return float(abs(mpf(got) - true) / math.ulp(scale) / exception.ulp)


def judge_at(op: Op, xs: Point) -> Iterator[Verdict]:
    """Judge an operation at a point: value, first and second derivatives."""
    truth = ORACLE[op.name]
    letters = LETTERS[: len(xs)]
    operands = [Value(x) for x in xs]
    y = outcome(op.apply, tuple(operands))
    yield judge(op, "value", xs, plain(y), truth.value)
    if isinstance(y, Exception) or not math.isfinite(y.data):
        return  # an infinity has no derivative
    kinked = any(kink.holds(*xs) for kink in op.kinks)
    if kinked:
        return
    for i, x in enumerate(operands):
        first = outcome(gradient, y, x)
        yield judge(op, letters[i], xs, plain(first), lambda *z, i=i: truth.first(i, *z))
        if isinstance(first, Exception) or not math.isfinite(first.data):
            continue
        for j, z in enumerate(operands):
            second = outcome(gradient, first, z)
            what = letters[i] + letters[j]
            yield judge(op, what, xs, plain(second), lambda *u, i=i, j=j: truth.second(i, j, *u))


@cache
def verdicts(name: str) -> list[Verdict]:
    """Judge an operation everywhere."""
    op = REGISTRY[name]
    result: list[Verdict] = []
    with mp.workprec(ORACLE[name].bits):
        for xs in places(op):
            result += judge_at(op, xs)
    return result


# --- the laws -------------------------------------------------------------------------------------


def complaint(bad: list[Verdict]) -> str:
    """Describe the worst failures."""
    bad.sort(key=lambda verdict: -verdict.excess)
    return f"{len(bad)} results are off; the worst:\n" + "\n".join(
        f"  {v.what} at {v.at}: {v.got!r}, {v.ulp:.3g} ulp, {v.excess:.3g} times its bound"
        for v in bad[:5]
    )


def test_every_operation_has_an_oracle():
    missing = [name for name in NAMES if name not in ORACLE]
    assert not missing, f"add to ORACLE in tests/oracle.py: {', '.join(missing)}"


@pytest.mark.parametrize("name", NAMES)
def test_value_and_derivatives_are_the_true_ones(name):
    if name not in ORACLE:
        pytest.fail(
            f"{name} has no entry in ORACLE: add its value and derivatives to tests/oracle.py"
        )
    bad = [verdict for verdict in verdicts(name) if verdict.excess > 1.0]
    assert not bad, complaint(bad)


@pytest.mark.parametrize("name", NAMES)
def test_a_local_derivative_on_floats_is_that_on_values(name):
    op = REGISTRY[name]
    for xs in islice(places(op), 0, None, 7):
        y = outcome(op.evaluate, *xs)
        if isinstance(y, Exception) or not math.isfinite(y):
            continue
        values = [Value(x) for x in xs]
        lifted = op.apply(tuple(values))
        for i, x in enumerate(values):
            on_floats = outcome(op.local, i, y, xs)
            on_values = plain(outcome(gradient, lifted, x))
            if isinstance(on_values, Exception):
                assert isinstance(on_floats, Exception) or not math.isfinite(on_floats), xs
            else:
                assert on_floats == on_values, xs


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_is_its_own_derivative(name):
    truth = ORACLE[name]
    width = REGISTRY[name].arity or 4
    xs = {
        "polygamma": (2.0, 1.7),
        "acosh": (1.7,),
        "clip": (0.3, -0.5, 0.9),
        "dot": (0.3, 0.7, -0.4, 1.1),
    }.get(name, (0.31, 0.67, 0.83, 0.52)[:width])
    with mp.workprec(200):
        at = [mpf(x) for x in xs]
        for i in range(len(xs)):
            if name == "polygamma" and i == 0:
                continue  # the order is no variable
            order = tuple(int(k == i) for k in range(len(xs)))
            assert mp.almosteq(mp.diff(truth.value, at, order), truth.first(i, *at), 1e-20, 1e-20)
            for j in range(len(xs)):
                if name == "polygamma" and j == 0:
                    continue
                order = tuple(int(k == j) for k in range(len(xs)))
                slope = mp.diff(lambda *z, i=i: truth.first(i, *z), at, order)
                assert mp.almosteq(slope, truth.second(i, j, *at), 1e-20, 1e-20), (i, j)


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda e: f"{e.operations}: {e.what}")
def test_every_exception_is_needed(exception):
    found = [
        verdict
        for name in exception.operations.split()
        for verdict in verdicts(name)
        if verdict.allowed and exception.covers(name, verdict.what, verdict.at)
    ]
    assert found, f"take it out of EXCEPTIONS: {exception.reason}"


@pytest.mark.parametrize(
    ("name", "xs", "infinity"),
    [
        ("lgamma", (1e306,), math.inf),
        ("polygamma", (1.0, 1e-300), math.inf),
        ("polygamma", (2.0, 1e-300), -math.inf),
        ("polygamma", (2.0, -1e-300), math.inf),
        ("exp", (710.0,), math.inf),
        ("sinh", (-711.0,), -math.inf),
        ("pow", (-10.0, 309.0), -math.inf),
    ],
)
def test_an_overflow_is_an_error_and_inside_ieee_the_infinity_of_its_sign(name, xs, infinity):
    op = REGISTRY[name]
    with pytest.raises(OverflowError, match=f"^{name}.*beyond the largest double"):
        op.evaluate(*xs)
    with ieee():
        assert op.evaluate(*xs) == infinity


def test_a_sum_or_mean_overflows_only_if_its_result_does():
    assert REGISTRY["sum"].evaluate(1e308, 1e308, -1e308) == 1e308
    assert REGISTRY["mean"].evaluate(1e308, 1.5e308) == 1.25e308


# --- the table ------------------------------------------------------------------------------------


def table() -> Iterator[str]:
    """Yield the lines of the table: operation, what, worst error, where."""
    yield f"{'operation':12} {'what':6} {'worst error':>12}  where"
    for name in NAMES:
        worst: dict[str, Verdict] = {}
        for verdict in verdicts(name):
            if verdict.what not in worst or verdict.ulp > worst[verdict.what].ulp:
                worst[verdict.what] = verdict
        for what, verdict in worst.items():
            error = "an error" if math.isinf(verdict.ulp) else f"{verdict.ulp:.2f} ulp"
            where = ", ".join(map(repr, verdict.at))
            note = "  (an exception)" if verdict.allowed else ""
            yield f"{name:12} {'' if what == 'value' else '∂'}{what:6} {error:>12}  ({where}){note}"
    yield ""
    for exception in EXCEPTIONS:
        yield f"{exception.operations} [{exception.what}]: {exception.reason}"


if __name__ == "__main__":
    for line in table():
        sys.stdout.write(line + "\n")
