"""What an operation is: one record that the engine, the steps, the docs and the tests all read."""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import ContextVar
from decimal import Decimal
from math import inf, isfinite, nan
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextvars import Token

    from .value import Value

REGISTRY: dict[str, Op] = {}
"""Every operation by name, the users' own included."""


class Operand:
    """Base class of whatever records operations instead of computing a float: `Value`."""

    __slots__ = ()

    @property
    def data(self) -> float:
        """The number."""
        raise NotImplementedError

    def record(
        self, op: Op, operands: tuple[Any, ...], parts: tuple[tuple[Any, ...], ...] = ()
    ) -> Value:
        """Return the node that holds `op(*operands)`; `parts` as in `Op.apply`."""
        raise NotImplementedError


class Interval(NamedTuple):
    """Where an operand may lie: from `low` to `high`, the ends themselves only where `closed`."""

    low: float = -inf
    high: float = inf
    closed: bool = False

    def __contains__(self, x: object) -> bool:
        """Say whether `x` lies inside."""
        if not isinstance(x, float):
            return False
        return self.low < x < self.high or (self.closed and x in (self.low, self.high))


class Kink(NamedTuple):
    """Points where a function has no derivative, and the subgradient that is returned there.

    `at` is for people ("a = 0"), and `holds(*operands)` says whether a point is one of them.
    `declared` has one entry per operand: a number, or the letter of the operand that it equals.
    """

    at: str
    holds: Callable[..., bool]
    declared: tuple[float | str, ...]

    def subgradient(self, *operands: float) -> tuple[float, ...]:
        """Return the derivative in each operand that is declared for that point."""
        letters = dict(zip("abc", operands, strict=False))
        return tuple(letters[x] if isinstance(x, str) else x for x in self.declared)

    def __str__(self) -> str:
        """Return the declaration for people: `a = b: 0.5, 0.5`."""
        return (
            f"{self.at}: {', '.join(x if isinstance(x, str) else f'{x:g}' for x in self.declared)}"
        )


class ieee:  # noqa: N801  (used as `with autograd.ieee():`, so it is spelt like a function)
    """Inside `with ieee():` an arithmetic error is the inf or nan that IEEE 754 defines instead.

    It holds for the current thread or task only, and may be nested.
    """

    __slots__ = ("_tokens",)
    _active: ContextVar[bool] = ContextVar("autograd.ieee", default=False)

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(ieee._active.set(True))

    def __exit__(self, *_: object) -> None:
        ieee._active.reset(self._tokens.pop())

    @staticmethod
    def active() -> bool:
        """Say whether the caller is inside `with ieee():`."""
        return ieee._active.get()


def to_float(number: Any, what: str = "data") -> float:
    """Return any real number as the nearest double.

    Accepted are int, float, bool, Fraction, Decimal and numpy's real scalars and 0-d arrays.

    Raises:
        TypeError: for everything else, complex numbers and text included.
        OverflowError: for a finite number beyond 1.8e308.
        ValueError: for a signalling nan.

    """
    if type(number) is float:
        return number
    if not is_real(number):
        _reject(number, what)
    try:
        result = float(number)
    except OverflowError:
        result = inf
    except (TypeError, ValueError) as error:
        message = f"{what} must be a real number; got {number!r} ({error})"
        raise type(error)(message) from None
    if result in (inf, -inf) and number != result:
        message = f"{what} is beyond the largest double, 1.8e308; got {type(number).__name__}"
        raise OverflowError(message)
    return result


def is_real(thing: object) -> bool:
    """Say whether it is a real number of a kind that we know: Python's, or numpy's."""
    # numpy isn't imported for this: its objects can exist only where somebody else did.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(thing, numpy.generic | numpy.ndarray):
        is_masked = bool(getattr(thing, "mask", False)) if thing.shape == () else False
        return thing.shape == () and thing.dtype.kind in "biuf" and not is_masked
    return isinstance(thing, Real | Decimal)


def _reject(thing: object, what: str) -> NoReturn:
    if type(thing).__name__ == "MaskedConstant":
        remedy = "a masked number: fill it or leave it out first"
    elif isinstance(thing, Operand):
        remedy = "a Value already: use it as it is, or its .data for a copy without history"
    elif isinstance(thing, complex):
        remedy = "complex: real and imaginary part go into two Values"
    elif isinstance(thing, list | tuple):
        remedy = f"a {type(thing).__name__}: make one Value per element, [Value(x) for x in ...]"
    elif isinstance(thing, str | bytes):
        remedy = f"text, {_shorten(repr(thing))}: convert it first, float(...)"
    else:
        remedy = f"{type(thing).__name__}: pass a number, such as float(x) or x.item()"
    message = f"{what} must be a real number; got {remedy}"
    raise TypeError(message)


def _shorten(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


class Op:
    """One operation, defined once.

    Parameters
    ----------
    name:
        how it is called: `autograd.<name>` and `value.<name>()`.
    formula:
        the operation for people, in the operands' names: "a · b".
    forward:
        floats -> float; raises Python's own arithmetic errors.
    partials:
        one function `(y, *operands) -> ∂y/∂operand` per operand, or, for any number of operands,
        one function that returns the list of them all. They are written with operations, not
        with `math` and `if`, so that they run on floats and on Values alike. A plain number
        stands for a constant derivative.
    locals:
        the partials for people: ("b", "a").
    rule:
        what an operand has to be, for errors: "operand must be > 0".
    domain:
        an `Interval` per operand: where values and derivatives are finite.
    kinks:
        the points without a derivative and the subgradient returned there.
    routes:
        true where the operation passes one operand on and ignores the others (`where`, `relu`,
        `maximum`): a local derivative of exactly 0 then means that the operand doesn't matter, and
        nothing behind it is asked for its derivative. It is not a blanket 0 · inf = 0:
        softplus'(800) is 1 although 1 / (1 + exp(800)) is 0 on the way.
    ieee:
        floats -> float: the value inside `with ieee():` where `forward` raises. Without it an
        overflow gives inf and a domain error nan.
    lowering:
        how the compiler computes it: the name of a function of the machine, or a formula of
        lowering.py. None has compiled code call `forward`.
    defaults:
        values of the last operands when they are left out.
    symbol:
        what a drawing shows; the name if empty.

    """

    __slots__ = (
        "aliases",
        "arity",
        "builtin",
        "defaults",
        "domain",
        "formula",
        "forward",
        "ieee",
        "kinks",
        "locals",
        "lowering",
        "name",
        "partials",
        "routes",
        "rule",
        "symbol",
    )

    lift: ClassVar[Callable[[float], Operand]]
    """What makes a leaf of a float: `Value`, set by value.py, which imports this module."""

    def __init__(  # noqa: PLR0913  (a record; every field but three has a default)
        self,
        name: str,
        formula: str,
        forward: Callable[..., float],
        partials: Sequence[Callable[..., Any] | float] | Callable[..., list[Any]],
        *,
        locals: Sequence[str] = (),  # noqa: A002  (the product's word for these)
        rule: str = "",
        domain: Sequence[Interval] = (),
        kinks: Sequence[Kink] = (),
        routes: bool = False,
        ieee: Callable[..., float] | None = None,
        lowering: str | Callable[..., Any] | None = None,
        defaults: tuple[float, ...] = (),
        symbol: str = "",
        aliases: tuple[str, ...] = (),
        builtin: bool = True,
    ) -> None:
        self.name = name
        self.formula = formula
        self.forward = forward
        self.partials: Any = partials if callable(partials) else tuple(partials)
        self.arity = None if callable(partials) else len(partials)
        self.locals = tuple(locals)
        self.rule = rule
        self.domain = tuple(domain) or (Interval(),) * (self.arity or 1)
        self.kinks = tuple(kinks)
        self.routes = routes
        self.ieee = ieee
        self.lowering = lowering
        self.defaults = defaults
        self.symbol = symbol or name
        self.aliases = aliases
        self.builtin = builtin
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find, (self.name,)

    def evaluate(self, *operands: float) -> float:
        """Return the operation's value on floats.

        Raises:
            ValueError, ZeroDivisionError, OverflowError: in the operation's words; none of them
                inside `with ieee():`.

        """
        try:
            return self.forward(*operands)
        except (ArithmeticError, ValueError) as error:
            return self.exceptional(error, *operands)

    def exceptional(self, error: Exception, *operands: float) -> float:
        """Return IEEE 754's value where `forward` raised `error`, or raise it in our words."""
        overflow = isinstance(error, OverflowError)
        if ieee.active():
            if self.ieee is not None:
                return self.ieee(*operands)
            return inf if overflow else nan
        words = "the result is beyond the largest double, 1.8e308" if overflow else self.rule
        message = f"{self.call_text(operands)}: {words or error}"
        raise type(error)(message) from None

    def call_text(self, operands: Iterable[float]) -> str:
        """Return the call as text: `log(-1.0)`."""
        return f"{self.name}({', '.join(map(repr, operands))})"

    def apply(self, operands: tuple[Any, ...], parts: tuple[tuple[Any, ...], ...] = ()) -> Any:
        """Return `self(*operands)`: a Value if any operand is one, else a float.

        `parts` are tuples that make up the operands, if their caller has them.
        """
        for operand in operands:
            if isinstance(operand, Operand):
                return operand.record(self, operands, parts)
        return self.evaluate(
            *[to_float(operand, f"an operand of {self.name}") for operand in operands]
        )

    def local(self, index: int, y: Any, operands: Sequence[Any]) -> Any:
        """Return ∂y/∂operands[index], computed on floats or, for its graph, on Values.

        Raises:
            ZeroDivisionError, OverflowError, ValueError: where it is infinite or undefined; inf or
                nan inside `with ieee():` instead.

        """
        return self._differentiate(_rule(self, index), y, operands, f" in operand {index + 1}")

    def every_local(self, y: Any, operands: Sequence[Any]) -> list[Any]:
        """Return the list of all local derivatives of a variadic operation; errors as `local`."""
        return self._differentiate(self.partials, y, operands, "")  # type: ignore[no-any-return]

    def _differentiate(self, rule: Any, y: Any, operands: Sequence[Any], which: str) -> Any:
        try:
            return rule(y, *operands)
        except (ArithmeticError, ValueError) as error:
            if ieee.active():
                # On Values each operation in the rule follows IEEE 754; Python's own `/` doesn't.
                lifted = rule(*map(_lift, (y, *operands)))
                if any(isinstance(x, Operand) for x in (y, *operands)):
                    return lifted
                return [_plain(x) for x in lifted] if isinstance(lifted, list) else _plain(lifted)
            infinite = isinstance(error, ZeroDivisionError | OverflowError)
            data = [_plain(x) for x in operands]
            message = (
                f"{self.call_text(data)}: the derivative{which if self.arity != 1 else ''} is "
                f"{'infinite' if infinite else 'undefined'} here ({error})"
            )
            raise type(error)(message) from None


def _plain(x: Any) -> float:
    return x.data if isinstance(x, Operand) else x


def _lift(x: Any) -> Operand:
    return x if isinstance(x, Operand) else Op.lift(x)


def _rule(op: Op, index: int) -> Callable[..., Any]:
    if callable(op.partials):
        every = op.partials
        return lambda y, *operands: every(y, *operands)[index]
    partial = op.partials[index]
    return partial if callable(partial) else lambda *_: partial


# Floats go straight to `forward`: rules call operations, and gradients are made of rules.


_LEFT_OUT: Any = object()


class Unary(Op):
    """An operation of one operand."""

    __slots__ = ()

    @overload
    def __call__(self, a: Value, /) -> Value: ...
    @overload
    def __call__(self, a: float, /) -> float: ...
    def __call__(self, a: Any, /) -> Any:
        """Return the operation at `a`: float -> float, Value -> Value."""
        if type(a) is not float:
            return self.apply((a,))
        try:
            return self.forward(a)
        except (ArithmeticError, ValueError) as error:
            return self.exceptional(error, a)


class Binary(Op):
    """An operation of two operands."""

    __slots__ = ()

    @overload
    def __call__(self, a: Value, b: float | Value = ..., /) -> Value: ...
    @overload
    def __call__(self, a: float, b: Value, /) -> Value: ...
    @overload
    def __call__(self, a: float, b: float = ..., /) -> float: ...
    def __call__(self, a: Any, b: Any = _LEFT_OUT, /) -> Any:
        """Return the operation at `a`, `b`: a Value if either is one, else a float."""
        if type(a) is not float or type(b) is not float:
            if b is not _LEFT_OUT:
                return self.apply((a, b))
            if not self.defaults:
                message = f"{self.name} takes two operands ({self.formula}); got one"
                raise TypeError(message)
            return self.apply((a, *self.defaults))
        try:
            return self.forward(a, b)
        except (ArithmeticError, ValueError) as error:
            return self.exceptional(error, a, b)


class Ternary(Op):
    """An operation of three operands."""

    __slots__ = ()

    @overload
    def __call__(self, a: Value, b: float | Value, c: float | Value, /) -> Value: ...
    @overload
    def __call__(self, a: float, b: Value, c: float | Value, /) -> Value: ...
    @overload
    def __call__(self, a: float, b: float, c: Value, /) -> Value: ...
    @overload
    def __call__(self, a: float, b: float, c: float, /) -> float: ...
    def __call__(self, a: Any, b: Any, c: Any, /) -> Any:
        """Return the operation at its operands: a Value if any is one, else a float."""
        return self.apply((a, b, c))


class Variadic(Op):
    """An operation of any number of operands, given as one sequence."""

    __slots__ = ()

    @overload
    def __call__(self, xs: Sequence[Value], /) -> Value: ...
    @overload
    def __call__(self, xs: Sequence[float], /) -> float: ...
    @overload
    def __call__(self, xs: Sequence[float | Value], /) -> Any: ...
    def __call__(self, xs: Any, /) -> Any:
        """Return the operation on the sequence `xs`: a Value if any element is one."""
        return self.apply(sequence(xs, self.name))


def sequence(xs: Any, name: str) -> tuple[Any, ...]:
    """Return the elements of `xs` as a tuple; TypeError if it isn't a sequence of numbers."""
    if type(xs) is tuple:  # as it is: who passes it again and again may be known by it
        return xs
    if not isinstance(xs, Operand | str | bytes | bytearray | memoryview | dict):
        with suppress(TypeError):  # what can't be iterated over says so in many ways
            return tuple(xs)
    message = f"{name} takes a sequence, such as [a, b, c]; got {type(xs).__name__}"
    raise TypeError(message)


def find(name: Any) -> Op:
    """Return the registered operation of that name.

    Raises:
        LookupError: if there is none.

    """
    op = REGISTRY.get(name) if isinstance(name, str) else None
    if op is None:
        message = f"no operation is called {name!r}; define it before unpickling a graph with it"
        raise LookupError(message)
    return op


def all_finite(numbers: Iterable[float]) -> bool:
    """Say whether no number is inf or nan."""
    return all(map(isfinite, numbers))
