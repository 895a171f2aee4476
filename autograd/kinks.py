"""The kinks that an evaluation sat on: where a derivative is a choice, and which one was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .backward import local_derivatives, sort
from .steps import name_values
from .value import Value, plain

if TYPE_CHECKING:
    from .op import Kink, Op


class KinkAt(NamedTuple):
    """A value whose operation has no derivative at its operands, and what is returned instead.

    `subgradient` has an entry per operand.
    """

    value: Value
    kink: Kink
    operands: tuple[float, ...]
    subgradient: tuple[float, ...]
    name: str

    @property
    def op(self) -> Op:
        """The operation."""
        return _op(self.value)

    def __str__(self) -> str:
        """Return it as a line for people."""
        scope = f" in {self.value.scope}" if self.value.scope else ""
        numbers = ", ".join(f"{x:g}" for x in self.subgradient)
        returned = f"({numbers})" if len(self.subgradient) > 1 else numbers
        return (
            f"{self.name} = {self.op.call_text(self.operands)}{scope} sits on its kink "
            f"{self.kink.at}; the subgradient returned there is {returned}"
        )

    def __repr__(self) -> str:
        return str(self)


_MOST = 20  # lines that are printed


class Kinks(list[KinkAt]):
    """A list of kinks; as `str` a line for each."""

    def __str__(self) -> str:
        """Return a line per kink, or that there is none."""
        lines = [str(kink) for kink in self[:_MOST]]
        if len(self) > _MOST:
            lines.append(f"… {len(self) - _MOST:,} more …")
        return "\n".join(lines) or "no kinks"

    __repr__ = __str__  # a notebook shows it by itself


def kinks(y: Value) -> Kinks:
    """Return the kinks that the values below y sit on, in the order of evaluation.

    A tie in `maximum`, `relu` at 0: there the function has no derivative, and the gradient is made
    with the subgradient that the operation declares. Listed are those that the backward pass from y
    comes to: not what lies behind a branch that `where` didn't take. A kink that no Value can leave
    doesn't matter: a `where` whose condition is a plain number, or `maximum(x, x)`, which is x.

    >>> from autograd import Value, relu
    >>> print(kinks(relu(Value(0.0, "x"))))
    y = relu(0.0) sits on its kink a = 0; the subgradient returned there is 0

    Raises:
        TypeError: if y isn't a Value.
        RuntimeError: if a leaf was changed after a value was computed from it.

    """
    if type(y) is not Value:
        message = f"kinks(y) takes a Value; got {y!r} ({type(y).__name__})"
        raise TypeError(message)
    computed, leaves = sort(y)
    found = [(node, kink) for node in _reached(y, computed) for kink in _kinks_at(node)]
    names = name_values(y, leaves, computed) if found else {}
    return Kinks(_record(node, kink, names[node]) for node, kink in found)


def _record(node: Value, kink: Kink, name: str) -> KinkAt:
    operands = _data(node)
    return KinkAt(node, kink, operands, kink.subgradient(*operands), name)


def _data(node: Value) -> tuple[float, ...]:
    return tuple(plain(x) for x in node.operands)


def _reached(y: Value, computed: list[Value]) -> list[Value]:
    # The values that the backward pass comes to. No derivative is evaluated but a choice's own, so
    # that one which is infinite elsewhere is no error here.
    reached = {y}
    for node in reversed(computed):
        if node not in reached:
            continue
        if _op(node).routes:
            reached.update(x for _, x, local in local_derivatives(node) if local != 0.0)
        else:
            reached.update(node.parents)
    return [node for node in computed if node in reached]


def _op(node: Value) -> Op:
    return node.op  # type: ignore[return-value]  # a computed value has one


def _kinks_at(node: Value) -> list[Kink]:
    held = [kink for kink in _op(node).kinks if kink.holds(*_data(node))]
    return [kink for kink in held if any(_leads_off(kink, node, x) for x in node.parents)]


def _leads_off(kink: Kink, node: Value, x: Value) -> bool:
    # Whether moving x, wherever it stands among the operands, leads off the kink. The distance is
    # no round number, which might be a special one for another operand.
    distance = 0.1234567 * (1.0 + abs(x.data))
    moved = [plain(other) + distance * (other is x) for other in node.operands]
    return not kink.holds(*moved)
