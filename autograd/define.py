"""An operation of one's own: defined like ours, and checked before it is believed."""

from __future__ import annotations

import sys
from keyword import iskeyword
from math import isclose, isfinite
from typing import TYPE_CHECKING, Any

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
from .value import Value, add_method

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Rule = Any  # a function (y, *operands), or a number where the derivative is constant

_CLASSES: dict[int | None, type[Op]] = {None: Variadic, 1: Unary, 2: Binary, 3: Ternary}
_EXACT = 1e-9  # how well a lowering has to repeat forward, in units of that
_RESERVED = {"diagnose", "testing"}  # the package's own, imported later


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
    lowering: Callable[..., Any] | None = None,
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

    `lowering(m, a, …)` is the formula that compiled code computes, with Python's arithmetic, the
    functions of m, such as `m.exp(a)`, and its choices: `m.if_less(a, b, c, d)` is c where a < b,
    else d. Without it compiled code calls `forward`, which takes a hundred times as long.

    Before it is registered, each derivative is compared with differences of `forward` at several
    points of `domain`, and so is the derivative's own derivative; the lowering with `forward`.

    >>> cube = define("cube", lambda a: a * a * a, lambda y, a: 3 * a * a)
    >>> cube(2.0)
    8.0

    Raises:
        ValueError: if the name is taken (without `replace`, which is for one's own operations), a
            derivative or the lowering is wrong or can't be checked, or `partials` and `forward`
            don't match.
        TypeError: if a derivative doesn't run on Values, or the lowering is no function.

    """
    _check_name(name, replace=replace)
    arity = _arity(name, forward)
    rules = _rules(name, arity, partials)
    intervals = [_interval(name, bounds) for bounds in sequence(domain, f"{name}: domain")]
    if intervals and arity is not None and len(intervals) != arity:
        message = f"{name}: domain has {len(intervals)} intervals for {arity} operands"
        raise ValueError(message)
    if lowering is not None:
        _check_takes(name, "lowering", lowering, ("m", *"abc"[: arity or 2]))
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
            lowering=lowering,
            symbol=str(symbol),
            builtin=False,
        )
        _check_derivatives(op)
        if lowering is not None:
            _check_lowering(op)
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
    if not callable(rule):
        return to_float(rule, f"{name}: a partial that is no function")
    _check_takes(name, "a partial", rule, ("y", *"abc"[:arity]))
    return rule


def _check_takes(name: str, what: str, function: Any, operands: Sequence[str]) -> None:
    from inspect import signature  # noqa: PLC0415  (a fifth of the package's import time)

    if not callable(function):
        message = f"{name}: {what} must be a function; got {function!r}"
        raise TypeError(message)
    try:
        signature(function).bind(*operands)
    except (TypeError, ValueError):
        message = f"{name}: {what} takes ({', '.join(operands)})"
        raise ValueError(message) from None


def _check_derivatives(op: Op) -> None:
    from .testing.operation import derivative_checks  # noqa: PLC0415  (for definitions only)

    told = dict.fromkeys(range(1, (op.arity or 1) + 1), False)
    for check in derivative_checks(op):
        found = check.found
        if not found.ok:
            said = f"the rule gives {check.ours!r}; {found.note}"
            if isfinite(found.numeric):
                numbers = f"{found.numeric:.12g} ± {found.error:.1g}"
                said = f"differences of the function give {numbers}, {said}"
            message = f"{op.name}: {check.what} at {check.point}: {said}"
            raise ValueError(message)
        if found.verdict == "right":
            told |= {index: True for index in told if check.what == f"∂/∂operand {index}"}
    for index, was_told in told.items():
        if not was_told:
            message = (
                f"{op.name}: the derivative in operand {index} couldn't be checked at any "
                "point: give the domain in which forward is defined and smooth"
            )
            raise ValueError(message)


def _check_lowering(op: Op) -> None:
    from .testing.lowered import lowered  # noqa: PLC0415  (for definitions only)
    from .testing.operation import values  # noqa: PLC0415  (for definitions only)

    for point, expected in values(op):
        found = lowered(op, point)
        if not isclose(found, expected, rel_tol=_EXACT):
            message = f"{op.name}: at {point} the lowering gives {found!r}, forward {expected!r}"
            raise ValueError(message)
