"""An operation of one's own: defined like ours, and checked before it is believed."""

from __future__ import annotations

import sys
from keyword import iskeyword
from math import fabs, inf, isfinite
from typing import TYPE_CHECKING, Any

from .backward import gradients
from .op import (
    REGISTRY,
    Binary,
    Interval,
    Kink,
    Op,
    Ternary,
    Unary,
    Variadic,
    sequence,
    to_float,
)
from .testing.differences import derivative
from .value import Value, add_method, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Rule = Any  # a function (y, *operands), or a number where the derivative is constant

_CLASSES: dict[int | None, type[Op]] = {None: Variadic, 1: Unary, 2: Binary, 3: Ternary}
_RESERVED = {"compile", "diagnose", "kinks", "stepper", "testing"}  # the package's own, later
_SAMPLES = (0.37, -0.61, 1.43, -1.9, 3.1, 0.05, -7.3, 11.7)
_FRACTIONS = (0.41, 0.13, 0.77, 0.59, 0.29, 0.91, 0.05, 0.67)


def define(  # noqa: PLR0913  (an operation's record: all but three have defaults)
    name: str,
    forward: Callable[..., float],
    partials: Sequence[Rule] | Callable[..., Any],
    *,
    formula: str = "",
    locals: Sequence[str] = (),  # noqa: A002  (the record's word for them)
    rule: str = "",
    domain: Sequence[Interval | tuple[float, float]] = (),
    kinks: Sequence[Kink] = (),
    routes: bool = False,
    ieee: Callable[..., float] | None = None,
    symbol: str = "",
    replace: bool = False,
) -> Any:
    """Register an operation and return it: a function on floats and Values, and a Value method.

    `forward(a, …)` computes the value on floats. `partials` has one function `(y, a, …)` per
    operand, which returns ∂y/∂operand and is written with operations (`autograd.cos`, not
    `math.cos`), so that it runs on Values too; a number stands for a constant derivative. With one
    operand it may be the function itself. A forward function with `*xs` takes any number of
    operands, and `partials` is then one function that returns the list of all derivatives. The
    other fields are those of `Op`.

    Before it is registered, each derivative is compared with differences of `forward` at several
    points of `domain`, and so is the derivative's own derivative.

    >>> cube = define("cube", lambda a: a * a * a, lambda y, a: 3 * a * a)
    >>> cube(2.0)
    8.0

    Raises:
        ValueError: if the name is taken (without `replace`, which is for one's own operations), a
            derivative is wrong or can't be checked, or `partials` and `forward` don't match.
        TypeError: if a derivative doesn't run on Values.

    """
    _check_name(name, replace=replace)
    arity = _arity(name, forward)
    rules = _rules(name, arity, partials)
    intervals = [_interval(name, bounds) for bounds in sequence(domain, f"{name}: domain")]
    if intervals and arity is not None and len(intervals) != arity:
        message = f"{name}: domain has {len(intervals)} intervals for {arity} operands"
        raise ValueError(message)
    previous = REGISTRY.get(name)
    try:
        op = _CLASSES[arity](
            name,
            str(formula) or f"{name}({', '.join('abc'[: arity or 0]) or 'a₁, …, aₙ'})",
            forward,
            rules,
            locals=[str(text) for text in sequence(locals, f"{name}: locals")],
            rule=str(rule),
            domain=intervals,
            kinks=_kinks(name, kinks),
            routes=routes,
            ieee=ieee,
            symbol=str(symbol),
            builtin=False,
        )
        _check_derivatives(op)
    except BaseException:
        REGISTRY.pop(name, None)
        if previous is not None:
            REGISTRY[name] = previous
        raise
    add_method(op)
    return op


def _check_name(name: Any, *, replace: bool) -> None:
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
        message = f"an operation's name must be a Python name; got {name!r}"
        raise ValueError(message)
    known = REGISTRY.get(name)
    package = sys.modules[__package__ or "autograd"]
    taken = hasattr(Value, name) or name in Value.__slots__ or name in vars(package)
    if known is not None and not known.builtin:
        if not replace:
            message = f"{name!r} is defined already; pass replace=True to define it anew"
            raise ValueError(message)
    elif known is not None or taken or name in _RESERVED or name.startswith("_"):
        message = f"{name!r} is taken: choose another name"
        raise ValueError(message)


def _interval(name: str, bounds: Any) -> Interval:
    what = f"{name}: an interval of domain"
    parts = sequence(bounds, what)
    if len(parts) in (2, 3):
        closed = len(parts) == 3 and bool(parts[2])  # noqa: PLR2004
        interval = Interval(to_float(parts[0], what), to_float(parts[1], what), closed)
        if interval.low <= interval.high:
            return interval
    message = f"{what} is (low, high) or (low, high, closed); got {bounds!r}"
    raise ValueError(message)


def _kinks(name: str, kinks: Any) -> Sequence[Kink]:
    for kink in sequence(kinks, f"{name}: kinks"):
        if not isinstance(kink, Kink):
            message = f"{name}: kinks has autograd.Kink objects; got {kink!r}"
            raise TypeError(message)
    return kinks  # type: ignore[no-any-return]  # checked just now


def _arity(name: str, forward: Callable[..., float]) -> int | None:
    from inspect import signature  # noqa: PLC0415  (a fifth of the package's import time)

    if not callable(forward):
        message = f"{name}: forward must be a function; got {forward!r}"
        raise TypeError(message)
    try:
        parameters = signature(forward).parameters.values()
    except ValueError:
        message = f"{name}: forward has no signature to count operands in: wrap it in a lambda"
        raise ValueError(message) from None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    arity = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    if arity not in _CLASSES:
        message = (
            f"{name}: forward takes {arity} operands; one, two or three are possible, "
            "or any number with *xs"
        )
        raise ValueError(message)
    return arity


def _rules(name: str, arity: int | None, partials: Any) -> Any:
    if arity is None:
        if not callable(partials):
            message = f"{name}: with *xs, partials must be a function (y, *xs) -> list"
            raise ValueError(message)
        return partials
    rules = (partials,) if callable(partials) else sequence(partials, f"{name}: partials")
    if len(rules) != arity:
        message = f"{name}: forward takes {arity} operands, so partials needs {arity}; "
        raise ValueError(message + f"got {len(rules)}")
    return [_rule(name, arity, rule) for rule in rules]


def _rule(name: str, arity: int, rule: Any) -> Any:
    from inspect import signature  # noqa: PLC0415  (as above)

    if not callable(rule):
        return to_float(rule, f"{name}: a partial that is no function")
    try:
        signature(rule).bind(0.0, *[0.0] * arity)
    except (TypeError, ValueError):
        call = ", ".join(("y", *"abc"[:arity]))
        message = f"{name}: a partial takes ({call}): the value first"
        raise ValueError(message) from None
    return rule


# --- the check -------------------------------------------------------------------------------


def _check_derivatives(op: Op) -> None:
    count = op.arity or 3
    told = [0] * count  # points at which the comparison could tell right from wrong
    for point in _points(op, count):
        try:
            y = op.evaluate(*point)
        except (ArithmeticError, ValueError):
            continue
        if type(y) is not float:
            message = f"{op.name}: forward must return a float; got {y!r} ({type(y).__name__})"
            raise TypeError(message)
        if not isfinite(y) or any(kink.holds(*point) for kink in op.kinks):
            continue
        for index in range(count):
            told[index] += _check_at(op, index, y, point)
    for index, times in enumerate(told):
        if not times:
            message = (
                f"{op.name}: the derivative in operand {index + 1} couldn't be checked at any "
                "point: give the domain in which forward is defined and smooth"
            )
            raise ValueError(message)


def _points(op: Op, count: int) -> Iterator[list[float]]:
    domain = op.domain if op.arity else [Interval()] * count
    for number in range(len(_SAMPLES)):
        # A stride of its own for each operand, so that no two stay equal.
        yield [_inside(domain[i], number * (2 * i + 1) + i) for i in range(count)]


def _inside(interval: Interval, number: int) -> float:
    low, high = interval[:2]
    sample = _SAMPLES[number % len(_SAMPLES)]
    if low == -inf and high == inf:
        return sample
    if low == -inf:
        return high - fabs(sample)
    if high == inf:
        return low + fabs(sample)
    return low + (high - low) * _FRACTIONS[number % len(_FRACTIONS)]


def _check_at(op: Op, index: int, y: float, point: list[float]) -> bool:
    try:
        local = plain(_local(op, index, y, point))
    except (ArithmeticError, ValueError):
        return False  # infinite or undefined here; the other points decide
    before, after = point[:index], point[index + 1 :]
    place = f"operand {index + 1} at {tuple(point)}"

    def value_along(x: float) -> float:
        return op.evaluate(*before, x, *after)

    def partial_along(x: float) -> float:
        return plain(_local(op, index, value_along(x), [*before, x, *after]))

    interval = op.domain[index] if op.arity else Interval()
    told = _agree(f"{op.name}: ∂/∂{place}", value_along, point[index], interval, local)
    second = _second_derivative(op, index, point, local)
    if second is not None:
        _agree(f"{op.name}: ∂²/∂²{place}", partial_along, point[index], interval, second)
    return told


def _local(op: Op, index: int, y: Any, operands: Sequence[Any]) -> Any:
    local = op.local(index, y, operands) if op.arity else op.every_local(y, operands)[index]
    return local if type(local) is Value else to_float(local, f"{op.name}: a partial's result")


def _agree(
    what: str, f: Callable[[float], float], x: float, interval: Interval, ours: float
) -> bool:
    numeric, error = derivative(f, x, interval.low, interval.high)
    scale = max(fabs(numeric), fabs(ours))
    if not error < 1e-4 * scale + 1e-9:  # the differences say nothing; nan included
        return False
    if fabs(ours - numeric) <= 100.0 * error + 1e-9 * scale:
        return True
    ratio = f", {ours / numeric:.9g} times that" if numeric else ""
    message = (
        f"{what}: differences of the function give {numeric:.12g} ± {error:.1g}, "
        f"the rule {ours!r}{ratio}"
    )
    raise ValueError(message)


def _second_derivative(op: Op, index: int, point: list[float], local: float) -> float | None:
    xs = [Value(x) for x in point]
    try:
        node = xs[0].record(op, tuple(xs))
        lifted = _local(op, index, node, xs)
    except TypeError as error:
        message = (
            f"{op.name}: the derivative in operand {index + 1} must run on Values, too, for "
            f"second derivatives: use autograd's functions in it ({error})"
        )
        raise TypeError(message) from None
    except (ArithmeticError, ValueError):
        return None
    if not fabs(plain(lifted) - local) <= 1e-9 * fabs(local):
        message = f"{op.name}: on Values the derivative is {plain(lifted)!r}, on floats {local!r}"
        raise ValueError(message)
    if type(lifted) is not Value:
        return 0.0
    try:
        return gradients(lifted, [xs[index]])[0].data
    except (ArithmeticError, ValueError):
        return None
