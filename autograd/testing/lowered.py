"""What an operation's formula for the compiler gives, without a compiler: computed on Values."""

from __future__ import annotations

from functools import reduce
from math import copysign
from typing import TYPE_CHECKING, Any

from autograd import ops
from autograd.op import REGISTRY, ieee, to_float
from autograd.value import Value, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autograd.op import Op


class Machine:
    """What a formula asks for as `m` (see lowering.py): choices, sums, and functions by name."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the operation of that name."""
        if name not in REGISTRY:
            message = f"lowering: m has no function {name!r}"
            raise AttributeError(message)
        return lambda *args: REGISTRY[name].apply(args)

    def if_less(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Return c where a < b, else d."""
        return ops.where(ops.less(a, b), c, d)

    def if_less_equal(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Return c where a <= b, else d."""
        return ops.where(ops.less_equal(a, b), c, d)

    def if_equal(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Return c where a = b, else d."""
        return ops.where(ops.equal(a, b), c, d)

    def copysign(self, a: Any, b: Any) -> Value:
        """Return a with the sign of b."""
        return Value(copysign(plain(a), plain(b)))

    def power(self, a: Any, b: Any) -> Any:
        """Return aᵇ."""
        return ops.pow(a, b)

    def const(self, x: float) -> Value:
        """Return a number as a term."""
        return Value(x)

    def constant(self, _: Any) -> None:
        """Return the number that a term always is: none is known."""

    def sum(self, xs: Sequence[Any]) -> Any:
        """Return the sum."""
        return ops.sum(xs)

    def max(self, xs: Sequence[Any]) -> Any:
        """Return the largest."""
        return reduce(ops.maximum, xs)

    def dot(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        """Return the sum of products."""
        return ops.dot(xs, ys)

    def in_one_order(self, xs: Sequence[Any]) -> list[Any]:
        """Return the terms in an order that doesn't depend on theirs."""
        return sorted(xs, key=plain)


def lowered(op: Op, point: Sequence[float]) -> float:
    """Return what an operation's formula for the compiler gives at a point.

    Raises:
        TypeError, AttributeError: if it doesn't run on terms or asks for what the machine hasn't.

    """
    formula: Any = op.lowering
    with ieee():
        result = formula(Machine(), *map(Value, point))
    return to_float(plain(result), f"{op.name}: what lowering returns")
