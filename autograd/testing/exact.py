"""What each operation is, as mathematics: values to any precision, and derivatives without rules.

`FUNCTIONS[name](m, *operands)` is the operation's value in the arithmetic of m, one of mpmath's
contexts: `mpmath.mp` (any precision) or `mpmath.fp` (Python's floats and complex numbers). None of
the engine's derivatives is used here, so that they can be judged by what follows from it.

Operands are m's real numbers, or complex ones whose imaginary part is a step, so small that its
square doesn't count: f(x + ih) = f(x) + ih · f'(x). A function that isn't analytic (`abs`, `relu`,
`maximum`) consists of branches that are, and the real part chooses one. Where an operation has no
value, there is a ValueError or a ZeroDivisionError, or a complex number, as from mpmath.
"""

from __future__ import annotations

import operator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import fabs, frexp, isfinite, isnan, ldexp
from typing import TYPE_CHECKING, Any

from autograd.backward import sort
from autograd.value import Value, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autograd.op import Op

    Function = Callable[..., Any]


def _is_real(x: Any) -> bool:
    """Say whether a number of m has no imaginary part."""
    return not x.imag


def _has_digits(m: Any) -> bool:
    return hasattr(m, "workprec")


def _more_bits(m: Any, bits: int) -> AbstractContextManager[Any]:
    # mpmath.fp has the 53 bits of a double and no others.
    return m.workprec(m.prec + bits) if _has_digits(m) else nullcontext()


_NOTHING = 12_000  # bits; mpmath's log adds squares exactly, and would fill the memory


def _trim(m: Any, a: Any) -> Any:
    """Return a number without a step that is nothing."""
    if not a.imag or (_has_digits(m) and m.mag(a.imag) < -_NOTHING):
        return a.real
    return a


def _greatest(xs: tuple[Any, ...]) -> Any:
    return max(xs, key=lambda x: x.real)


def _no_value(operation: str, rule: str) -> Any:
    message = f"{operation}: {rule}"
    raise ValueError(message)


# --- powers ---------------------------------------------------------------------------------------


def power(m: Any, a: Any, b: Any, less: int = 0) -> Any:
    """Return a**(b - less), whose sign is that of the exponent as it is before it is rounded."""
    if b == less:
        return m.mpf(1)
    if a.real == 0:
        return _power_of_zero(m, a, b - less)
    if a.real > 0:
        return _positive_power(m, a, b, less)
    if b != m.floor(b.real):
        _no_value("pow", "a negative base takes whole exponents only")
    result = _positive_power(m, -a, b, less)
    return -result if (int(b.real) - less) % 2 else result


def _power_of_zero(m: Any, a: Any, exponent: Any) -> Any:
    if exponent.real <= 0:
        message = "pow: 0 takes no negative exponents"
        raise ZeroDivisionError(message)
    return m.mpf(0) if _is_real(a) or exponent.real > 1 else a**exponent


def _positive_power(m: Any, a: Any, b: Any, less: int) -> Any:
    if not _has_digits(m):
        return a ** (b - less)
    # mpmath's own takes the logarithm with too few bits for a huge exponent.
    with _more_bits(m, max(0, int(m.mag(b))) if b else 0):
        return m.exp((b - less) * m.log(a))


def _cbrt(m: Any, a: Any) -> Any:
    if a.real < 0:
        return -_cbrt(m, -a)
    return m.cbrt(a) if _is_real(a) else m.exp(m.log(a) / 3)


# --- exponentials ---------------------------------------------------------------------------------


def _expm1(m: Any, a: Any) -> Any:
    if abs(a.real) > 1:
        return m.exp(a) - 1
    return 2 * m.sinh(a / 2) * m.exp(a / 2)


def _log1p(m: Any, a: Any) -> Any:
    a = _trim(m, a)
    if m.mag(a) <= 1 - m.prec:
        return a
    # The rounding of 1 + a cancels: log(u) / (u - 1) hardly changes with u (Kahan, HP-15C).
    u = 1 + a
    return m.log(u) * (a / (u - 1))


def _softplus(m: Any, a: Any) -> Any:
    if a.real > 0:
        return a + _log1p(m, m.exp(-a))
    return _log1p(m, m.exp(a))


def _sigmoid(m: Any, a: Any) -> Any:
    if a.real >= 0:
        return 1 / (1 + m.exp(-a))
    e = m.exp(a)
    return e / (1 + e)


def _sech2(m: Any, a: Any) -> Any:
    if abs(a.real) < 1:
        return 1 / m.cosh(a) ** 2
    e = m.exp(-2 * a if a.real > 0 else 2 * a)  # cosh would overflow in fp
    return 4 * e / (1 + e) ** 2


def shares(m: Any, *xs: Any) -> list[Any]:
    """Return the softmax of xs: e^x / Σ e^x for each."""
    greatest = _greatest(xs)
    terms = [m.exp(x - greatest) for x in xs]
    total = m.fsum(terms)
    return [term / total for term in terms]


def _logsumexp(m: Any, *xs: Any) -> Any:
    others = list(xs)
    greatest = _greatest(xs)
    others.remove(greatest)
    return greatest + _log1p(m, m.fsum([m.exp(x - greatest) for x in others]))


# --- circles --------------------------------------------------------------------------------------


def _cocircle(m: Any, a: Any) -> Any:
    # Near 0 a factor would lose all of a; near 1 it keeps 1 - a, which 1 - a² loses in fp.
    return m.sqrt(1 - a * a if 2 * abs(a.real) < 1 else (1 - a) * (1 + a))


# mpmath's own functions of a complex number lose a step this small (asin before 1.4). The addition
# theorems give the angle by which it turns, which is so small that it is its own sine and tangent.


def _asin(m: Any, a: Any) -> Any:
    x = a.real
    if _is_real(a):
        return m.asin(x)
    turn = a * _cocircle(m, x) - x * _cocircle(m, a)
    return m.asin(x) + (turn - turn.real)


def _atan(m: Any, a: Any) -> Any:
    x = a.real
    return m.atan(x) + (a - x) / (1 + a * x)


def _undirected(m: Any, a: Any, b: Any) -> Any:
    # The value at (0, 0), where `hypot` has a kink and a direction has no derivative at all.
    if _is_real(a) and _is_real(b):
        return m.mpf(0)
    message = "a direction has no derivative at (0, 0)"
    raise ZeroDivisionError(message)


# Squares of doubles overflow, and a² + b² would lose a small b: so the smaller one is divided by
# the other first.


def _hypot(m: Any, a: Any, b: Any) -> Any:
    if abs(a.real) < abs(b.real):
        a, b = b, a
    if a.real == 0:
        return m.mpf(0)
    length = a * m.sqrt(1 + (b / a) ** 2)
    return -length if a.real < 0 else length


def _direction(m: Any, a: Any, b: Any) -> Any:
    if a.real == b.real == 0:
        return _undirected(m, a, b)
    if abs(a.real) < abs(b.real):
        cosine = a / b / m.sqrt(1 + (a / b) ** 2)
        return -cosine if b.real < 0 else cosine
    cosine = 1 / m.sqrt(1 + (b / a) ** 2)
    return -cosine if a.real < 0 else cosine


def _inversion(_: Any, a: Any, b: Any) -> Any:
    if abs(a.real) < abs(b.real):
        return a / b / (1 + (a / b) ** 2) / b
    return 1 / (1 + (b / a) ** 2) / a


def _atan2(m: Any, a: Any, b: Any) -> Any:
    if a.real == b.real == 0:
        return _undirected(m, a, b)
    half_turn = -m.pi if a.real < 0 else +m.pi
    if abs(a.real) > abs(b.real):
        return half_turn / 2 - _atan(m, b / a)
    return _atan(m, a / b) + (half_turn if b.real < 0 else 0)


def _asinh(m: Any, a: Any) -> Any:
    if a.real < 0:
        return -_asinh(m, -a)
    return _log1p(m, a + a * (a / (1 + _hypot(m, a, m.mpf(1)))))


def _acosh(m: Any, a: Any) -> Any:
    return _log1p(m, (a - 1) + m.sqrt(a - 1) * m.sqrt(a + 1))


def _atanh(m: Any, a: Any) -> Any:
    if abs(a.real) >= 1:
        _no_value("atanh", "operand must lie in (-1, 1)")
    return _log1p(m, 2 * a / (1 - a)) / 2 if a.real >= 0 else -_atanh(m, -a)


# --- probability ----------------------------------------------------------------------------------


def _gauss(m: Any, a: Any) -> Any:
    return m.exp(-a * a / 2)


def _erf_along_step(m: Any, a: Any) -> Any:
    # erf(x + ih) - erf(x) is 2/√π times the integral of e^(-t²) over the step, by its midpoint:
    # mpmath's series for complex numbers lose a small imaginary part in the tail.
    middle = a.real + (a - a.real) / 2
    return 2 / m.sqrt(m.pi) * m.exp(-middle * middle) * (a - a.real)


def _erf(m: Any, a: Any) -> Any:
    return m.erf(a.real) + (0 if _is_real(a) else _erf_along_step(m, a))


def _normal_cdf(m: Any, a: Any) -> Any:
    if a.real < -1e5:  # noqa: PLR2004
        # Here mpmath gives up; nobody sees the other factor, 1 / |a|√(2π).
        return _gauss(m, a)
    z = -a / m.sqrt(2)
    return (m.erfc(z.real) - (0 if _is_real(z) else _erf_along_step(m, z))) / 2


def _circle_at(m: Any, a: Any) -> tuple[Any, Any]:
    """Return sin πa and cos πa but for a common sign: without the whole part, no digit is lost."""
    part = a - m.floor(a.real + 0.5)
    return m.sinpi(part), m.cospi(part)


def _check_pole(m: Any, name: str, a: Any) -> None:
    if a.real <= 0 and a.real == m.floor(a.real):
        _no_value(name, "operand must not be 0 or a negative whole number")


def _lgamma(m: Any, a: Any) -> Any:
    _check_pole(m, "lgamma", a)
    if a.real > 0:
        return m.loggamma(a)
    # The reflection formula [DLMF 5.5.3].
    sin, _ = _circle_at(m, a)
    return m.log(m.pi / (sin if sin.real > 0 else -sin)) - m.loggamma(1 - a)


def _polygamma(m: Any, n: Any, a: Any) -> Any:
    _check_pole(m, "polygamma", a)
    if not _is_real(n) or n < 0 or n != m.floor(n):
        _no_value("polygamma", "the order must be a whole number >= 0")
    order = int(n)
    if a.real >= 0.5:  # noqa: PLR2004
        return m.psi(order, a)
    # The reflection formula [DLMF 5.15.6], since mpmath's own way takes minutes at -1e15. The
    # derivatives of π cot πa are polynomials p in c = cot πa: c' = -π(1 + c²).
    sin, cos = _circle_at(m, a)
    p = [0, 1]
    for _ in range(order):
        slope = [k * x for k, x in enumerate(p)][1:]
        p = [-x - y for x, y in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    other = 0
    for x in reversed(p):
        other = other * (cos / sin) + x
    return (-1) ** order * m.psi(order, 1 - a) - m.pi ** (order + 1) * other


# --- choices --------------------------------------------------------------------------------------


def _sign(m: Any, a: Any) -> Any:
    return m.mpf((a.real > 0) - (a.real < 0))


def _step(m: Any, a: Any) -> Any:
    return m.mpf(a.real > 0)


def _maximum(_: Any, a: Any, b: Any) -> Any:
    return a if a.real > b.real else b


def _minimum(_: Any, a: Any, b: Any) -> Any:
    return a if a.real < b.real else b


def _clip(m: Any, a: Any, low: Any, high: Any) -> Any:
    if low.real > high.real:
        _no_value("clip", "the lower bound must be <= the upper one")
    return low if a.real <= low.real else _minimum(m, a, high)


def _holds(compare: Callable[[Any, Any], bool]) -> Function:
    return lambda m, a, b: m.mpf(compare(a.real, b.real))


def _dot(m: Any, *xs: Any) -> Any:
    half = len(xs) // 2
    return m.fsum([a * b for a, b in zip(xs[:half], xs[half:], strict=True)])


FUNCTIONS: dict[str, Function] = {
    "add": lambda _, a, b: a + b,
    "sub": lambda _, a, b: a - b,
    "mul": lambda _, a, b: a * b,
    "div": lambda _, a, b: a / b,
    "neg": lambda _, a: -a,
    "pos": lambda _, a: +a,
    "pow": power,
    "pow_below": lambda m, a, b: power(m, a, b, 1),
    "abs": lambda _, a: -a if a.real < 0 else a,
    "square": lambda _, a: a * a,
    "sqrt": lambda m, a: m.sqrt(a),
    "cbrt": _cbrt,
    "exp": lambda m, a: m.exp(a),
    "expm1": _expm1,
    "exp2": lambda m, a: power(m, m.mpf(2), a),
    "log": lambda m, a: m.log(a),
    "log1p": _log1p,
    "log2": lambda m, a: m.log(a) / m.ln2,
    "log10": lambda m, a: m.log(a) / m.ln10,
    "sin": lambda m, a: m.sin(a),
    "cos": lambda m, a: m.cos(a),
    "tan": lambda m, a: m.tan(a),
    "cocircle": _cocircle,
    "asin": _asin,
    "acos": lambda m, a: m.acos(a) if _is_real(a) else m.pi / 2 - _asin(m, a),
    "atan": _atan,
    "direction": _direction,
    "inversion": _inversion,
    "hypot": _hypot,
    "atan2": _atan2,
    "sinh": lambda m, a: m.sinh(a),
    "cosh": lambda m, a: m.cosh(a),
    "sech2": _sech2,
    "tanh": lambda m, a: m.tanh(a),
    "asinh": _asinh,
    "acosh": _acosh,
    "atanh": _atanh,
    "gauss": _gauss,
    "normal_cdf": _normal_cdf,
    "erf": _erf,
    "polygamma": _polygamma,
    "lgamma": _lgamma,
    "sigmoid": _sigmoid,
    "log_sigmoid": lambda m, a: -_softplus(m, -a),
    "softplus": _softplus,
    "relu": lambda m, a: a if a.real > 0 else m.mpf(0),
    "leaky_relu": lambda _, a, b: a if a.real > 0 else b * a,
    "elu": lambda m, a, b: a if a.real > 0 else b * _expm1(m, a),
    "gelu": lambda m, a: a * _normal_cdf(m, a),
    "silu": lambda m, a: a * _sigmoid(m, a),
    "sign": _sign,
    "step": _step,
    "maximum": _maximum,
    "minimum": _minimum,
    "clip": _clip,
    "where": lambda _, a, b, c: b if a.real != 0 else c,
    "less": _holds(operator.lt),
    "less_equal": _holds(operator.le),
    "equal": _holds(operator.eq),
    "sum": lambda m, *xs: m.fsum(xs),
    "mean": lambda m, *xs: m.fsum(xs) / len(xs),
    "dot": _dot,
    "softmax": lambda m, *xs: shares(m, *xs)[0],
    "logsumexp": _logsumexp,
    "logaddexp": _logsumexp,
}
"""Every operation's value: name -> function (m, *operands). An operation of your own goes in here,
too, `FUNCTIONS["cube"] = lambda m, a: a**3`, and may be written for real numbers only."""


# --- recorded graphs ------------------------------------------------------------------------------


def replay(y: Value, inputs: Sequence[Value], m: Any) -> Function:
    """Return y as a function of `inputs` in m's arithmetic: (numbers of m) -> number of m.

    It evaluates the graph that y recorded. All leaves but `inputs` stay the numbers they are, and
    so do the branches that Python took while the graph was recorded.

    Raises:
        TypeError: if y or one of `inputs` isn't a Value.
        LookupError: for an operation of the user's own that has no entry in `FUNCTIONS`, unless its
            `forward` runs on m's numbers and gives what was recorded. The returned function raises
            it, too, at complex numbers where `forward` isn't analytic.
        RuntimeError: if a leaf was changed after a value was computed from it.

    """
    for v in (y, *inputs):
        if type(v) is not Value:
            message = f"a graph is replayed from Values to a Value; got {v!r} ({type(v).__name__})"
            raise TypeError(message)
    for node in sort(y)[0]:
        if not _op(node).builtin:
            _check_recorded(node, m)

    def evaluate(*numbers: Any) -> Any:
        known = dict(zip(inputs, numbers, strict=True))
        return rerun(y, known, m.convert, lambda op, xs: _trim(m, _function(op)(m, *xs)))

    return evaluate


def rerun(
    y: Value,
    known: dict[Value, Any],
    convert: Callable[[float], Any],
    apply: Callable[[Op, list[Any]], Any],
) -> Any:
    """Return y, evaluated anew with another arithmetic's numbers.

    Values in `known` are what stands there; other leaves and constants are `convert(number)`, and
    an operation's value is `apply(op, operands)`.
    """
    computed, leaves = sort(y)
    for x in leaves:
        known.setdefault(x, convert(x.data))
    for node in computed:
        if node not in known:
            xs = [known[x] if type(x) is Value else convert(x) for x in node.operands]
            known[node] = apply(_op(node), xs)
    return known[y]


def _op(node: Value) -> Op:
    return node.op  # type: ignore[return-value]  # a computed value has one


def _function(op: Op) -> Function:
    return FUNCTIONS[op.name] if op.builtin else partial(_own, op)


# --- operations of the user's own -----------------------------------------------------------------

_HALF_THE_DIGITS = 1e-8  # rounding inside a `forward` takes fewer, a wrong function takes more


def _name(op: Op) -> str:
    return "that in FUNCTIONS" if op.name in FUNCTIONS else "its forward function"


def _unknown(op: Op, reason: str) -> LookupError:
    operands = ", ".join(("m", *"abc"[: op.arity])) if op.arity else "m, *xs"
    return LookupError(
        f"operation {op.name!r} has no exact function: {reason}. Write it with mpmath: "
        f"autograd.testing.exact.FUNCTIONS[{op.name!r}] = lambda {operands}: ..."
    )


def _check_recorded(node: Value, m: Any) -> None:
    op = _op(node)
    xs = [m.convert(plain(x)) for x in node.operands]
    value = _function(op)(m, *xs)
    error = abs(value - m.convert(node.data))
    if isfinite(node.data) and not error <= _HALF_THE_DIGITS * fabs(node.data):
        call = op.call_text(map(plain, node.operands))
        raise _unknown(op, f"{call} was recorded as {node.data!r}, and gives {m.nstr(value)} here")


def _own(op: Op, m: Any, *xs: Any) -> Any:
    if all(map(_is_real, xs)):
        return _own_value(op, m, xs)
    return _value_by_differences(op, m, xs) if _has_digits(m) else _analytic_value(op, m, xs)


def _own_value(op: Op, m: Any, xs: Sequence[Any]) -> Any:
    function = partial(FUNCTIONS[op.name], m) if op.name in FUNCTIONS else op.forward
    try:
        result: Any = function(*xs)
    except (TypeError, AttributeError) as error:
        message = f"{_name(op)} doesn't run on mpmath's numbers ({error})"
        raise _unknown(op, message) from error
    # A whole number is exact whatever its type: the constant of a branch. Any other float was
    # rounded to 53 bits.
    if isinstance(result, int | float) and m.isint(result):
        return m.convert(result)
    if not isinstance(result, m.mpf | m.mpc):
        raise _unknown(op, f"{_name(op)} returns a {type(result).__name__}")
    return result


def _moved(xs: Sequence[Any], index: int, h: Any) -> list[Any]:
    moved = [x.real for x in xs]
    moved[index] += h
    return moved


def _value_by_differences(op: Op, m: Any, xs: Sequence[Any]) -> Any:
    # A central difference loses a third of its bits and its step costs another: with three times
    # as many, all are right, and the function may compare, as no complex number can.
    bits = m.prec
    step = m.mpf(0)
    for i, x in enumerate(xs):
        if _is_real(x):
            continue
        h = m.ldexp(abs(x.real) or m.mpf(1), -bits)
        with m.workprec(3 * bits):
            above, below = (_own_value(op, m, _moved(xs, i, d)) for d in (h, -h))
            step += (above - below) / (2 * h) * x.imag
    return m.mpc(_own_value(op, m, [x.real for x in xs]), step)


def _analytic_value(op: Op, m: Any, xs: Sequence[Any]) -> Any:
    # abs(x + ih) is a real number, and no error: an analytic function has the same derivative
    # along the imaginary axis (Cauchy and Riemann), which tells.
    for i, x in enumerate(xs):
        if _is_real(x):
            continue
        h = 1e-5 * (abs(x.real) or 1.0)
        along = _own_value(op, m, _moved(xs, i, 1j * h)).imag / h
        above, below = (_own_value(op, m, _moved(xs, i, d)) for d in (h, -h))
        slope = (above - below) / (2.0 * h)
        noise = 1e-13 * (abs(above) + abs(below)) / h
        if not abs(along - slope) <= 1e-3 * abs(slope) + noise:
            raise _unknown(op, f"{_name(op)} isn't analytic")
    return _own_value(op, m, xs)


# --- derivatives ----------------------------------------------------------------------------------


def _contexts() -> tuple[Any, Any]:
    try:
        from mpmath import fp, mp  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        message = 'exact derivatives need mpmath: pip install "chainrule[check]"'
        raise ImportError(message) from error
    return mp, fp


_PRECISIONS = (320, 640, 1280, 2560, 5120)  # in bits
_STEP = -4000  # as a power of 2: its square counts beside no double


def _widest(y: Value) -> int:
    """Return how many bits apart the operands of an operation are at most."""
    widest = 0
    for node in sort(y)[0]:
        sizes = [frexp(plain(x))[1] for x in node.operands if plain(x)]
        if sizes:
            widest = max(widest, max(sizes) - min(sizes))
    return widest


def derivative_by_mpmath(y: Value, x: Value) -> float:
    """Return ∂y/∂x, rounded from a value with hundreds of digits, without a derivative rule.

    A complex step h = |x| · 2⁻⁴⁰⁰⁰ goes through the replayed graph: f(x + ih) = f(x) + ih · f'(x),
    but for h². Nothing cancels in Im f / h, so that it is right to the precision of the arithmetic,
    which holds the sum of any two operands and is doubled until two results round to one double. At
    a kink it is the derivative of the branch that `FUNCTIONS` takes.

    Raises:
        ImportError: if mpmath isn't installed.
        TypeError, LookupError, RuntimeError: as `replay`.
        OverflowError: if the derivative is infinite or beyond the largest double.
        ArithmeticError, ValueError: if there is none.

    """
    mp, _ = _contexts()
    f = replay(y, [x], mp)
    h = mp.ldexp(abs(mp.convert(x.data)) or 1, _STEP)
    results: list[float] = []
    for bits in [bits for bits in _PRECISIONS if bits >= 256 + _widest(y)]:
        with mp.workprec(bits):
            results.append(_finite(f(mp.mpc(x.data, h)).imag / h))
        if results[-1:] == results[-2:-1]:
            return results[-1]
    message = f"the derivative can't be told to {bits} bits: the last two are {results[-2:]}"
    raise ArithmeticError(message)


def derivative_by_complex_step(y: Value, x: Value) -> float:
    """Return ∂y/∂x by a step along the imaginary axis, in double precision.

    Im f(x + ih) / h is the derivative to the rounding of the evaluation itself: no difference is
    formed, so h may be as small as one likes. It is |x| · 10⁻⁴⁰, rounded to a power of 2, by which
    dividing costs no rounding, and 10⁻⁴⁰ at 0. Where Im f underflows, below 1e-308, it is 0.

    Source: W. Squire and G. Trapp, Using Complex Variables to Estimate Derivatives of Real
    Functions, SIAM Review 40 (1998) 110-112.

    Raises:
        ImportError: if mpmath isn't installed.
        TypeError, LookupError, RuntimeError: as `replay`.
        ArithmeticError, ValueError: if there is no derivative, or none in double precision.

    """
    _, fp = _contexts()
    _, exponent = frexp(x.data)
    h = ldexp(1.0, exponent - 133)
    if not h:
        message = f"no step is small beside x = {x.data!r} and yet a double"
        raise ArithmeticError(message)
    return _finite(replay(y, [x], fp)(complex(x.data, h)).imag / h)


def _finite(number: Any) -> float:
    result = float(number)
    if not isfinite(result):
        message = f"the derivative is {'undefined' if isnan(result) else 'infinite'} here"
        raise OverflowError(message)
    return result
