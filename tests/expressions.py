"""What the laws are tried on: points in an operation's domain, and random expression graphs.

An `Expression` is a straight-line program. It runs on Values (a graph), on floats (the same numbers
without a graph) and on mpmath's numbers (what the result ought to be).
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mpmath as mp
from hypothesis import strategies as st
from oracle import ORACLE

from autograd import REGISTRY, Op, Value
from autograd.op import find

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OPERATIONS = [op for op in REGISTRY.values() if op.builtin]

# --- points ---------------------------------------------------------------------------------------

SMALLEST, LARGEST = 1e-3, 30.0  # sizes at which differences of every operation tell something
MARGIN = 0.03  # distance from a kink and from the ends of a domain, in units of the numbers there

sizes = st.floats(SMALLEST, LARGEST)
numbers = st.builds(operator.mul, sizes, st.sampled_from([1.0, -1.0]))


def is_order(op: Op, index: int) -> bool:
    """Say whether an operand is a whole number, in which nothing can be differentiated."""
    low, high, _ = op.domain[index if op.arity else 0]
    return low == high


def differentiable(op: Op, point: Sequence[float]) -> list[int]:
    """Return the indices of the operands that have a derivative."""
    chosen = op.name == "where" and point[0] == 0.0  # the condition's kink, and half of its domain
    return [i for i in range(len(point)) if not is_order(op, i) and not (chosen and i == 0)]


def bounds(op: Op, index: int) -> tuple[float, float]:
    """Return where the operand may lie."""
    low, high, _ = op.domain[index if op.arity else 0]
    return low, high


def operand(op: Op, index: int) -> st.SearchStrategy[float]:
    """Draw a number for one operand, a little inside its domain."""
    if is_order(op, index):
        return st.integers(0, 3).map(float)
    low, high = bounds(op, index)
    if op.name == "where" and index == 0:
        return st.just(0.0) | numbers
    if low == -math.inf and high == math.inf:
        return numbers
    if high == math.inf:
        return sizes.map(lambda size: low + size)
    if low == -math.inf:
        return sizes.map(lambda size: high - size)
    low, high = max(low, -LARGEST), min(high, LARGEST)
    return st.floats(MARGIN, 1.0 - MARGIN).map(lambda part: low + part * (high - low))


def is_clear(op: Op, point: Sequence[float]) -> bool:
    """Say whether a point keeps its distance from kinks: they lie at 0 or where operands tie."""
    if not op.kinks or op.name == "where":
        return True
    pairs = [(x, y) for i, x in enumerate(point) for y in (0.0, *point[:i])]
    return all(abs(x - y) > MARGIN * max(abs(x), abs(y), SMALLEST) for x, y in pairs)


def points(op: Op) -> st.SearchStrategy[tuple[float, ...]]:
    """Draw operands of `op`, away from the ends of its domain and from its kinks."""
    if op.name == "dot":
        pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=3)
        return pairs.map(lambda drawn: (*[a for a, _ in drawn], *[b for _, b in drawn]))
    if op.arity is None:
        return st.lists(numbers, min_size=1, max_size=5).map(tuple)
    drawn = st.tuples(*[operand(op, index) for index in range(op.arity)])
    return drawn.filter(lambda point: is_clear(op, point))


# --- random expressions ---------------------------------------------------------------------------

# Python's own spelling where there is one, so that operators and reflected operators are tried too.
SPELLED: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
}

_BOUND = 1e3  # no value of an expression is larger: a larger one drowns the others

Place = int | float  # an earlier value, by its number, or a constant


@dataclass(frozen=True)
class Expression:
    """A program of operations: each line is an operation's name and its operands' places.

    Places 0, 1, … are the inputs, the next ones the lines. The last line is the result.
    """

    inputs: tuple[float, ...]
    lines: tuple[tuple[str, tuple[Place, ...]], ...]

    def __str__(self) -> str:
        """Return the program as text, a line per operation."""
        text = [f"v{place} = {x!r}" for place, x in enumerate(self.inputs)]
        for place, (name, row) in enumerate(self.lines, len(self.inputs)):
            words = [f"v{x}" if isinstance(x, int) else repr(x) for x in row]
            text.append(f"v{place} = {name}({', '.join(words)})")
        return "\n".join(text)

    __repr__ = __str__

    def run(self, inputs: Sequence[Any], apply: Callable[..., Any]) -> list[Any]:
        """Return all values, `apply(name, operands)` being the result of one operation."""
        values = list(inputs)
        for name, row in self.lines:
            operands = tuple(values[x] if isinstance(x, int) else x for x in row)
            values.append(apply(name, operands))
        return values

    def graph(self) -> tuple[Value, list[Value]]:
        """Return the result and the leaves, as Values."""
        leaves = [Value(x) for x in self.inputs]
        return self.run(leaves, record)[-1], leaves

    def __call__(self, *inputs: Any) -> Any:
        """Return the result on Values or floats."""
        return self.run(inputs, record)[-1]

    def on_floats(self, *inputs: float) -> float:
        """Return the result on floats, from the operations' forward functions alone."""
        return float(self.run(inputs, evaluate)[-1])

    def exact(self, inputs: Sequence[mp.mpf], factors: Sequence[mp.mpf] = ()) -> list[mp.mpf]:
        """Return all values by mpmath, the result of line k multiplied by factors[k]."""
        remaining = iter(factors)

        def apply(name: str, operands: tuple[Any, ...]) -> mp.mpf:
            return ORACLE[name].value(*map(mp.mpf, operands)) * next(remaining, mp.mpf(1))

        return self.run(inputs, apply)


def record(name: str, operands: tuple[Any, ...]) -> Any:
    """Apply an operation as a user would: by Python's operator, as a method or by its function."""
    if name in SPELLED:
        return SPELLED[name](*operands)
    if len(operands) == 1 and find(name).arity == 1 and type(operands[0]) is Value:
        return getattr(operands[0], name)()
    return find(name).apply(operands)


def evaluate(name: str, operands: tuple[float, ...]) -> float:
    """Apply an operation's forward function."""
    return find(name).forward(*operands)


def _suits(op: Op, operands: Sequence[float]) -> bool:
    # Values inside the domain, away from its ends and from kinks, and a result that is no giant.
    for index, x in enumerate(operands):
        low, high = bounds(op, index)
        if not low + MARGIN <= x <= high - MARGIN and not is_order(op, index):
            return False
    if (op.kinks or op.name in {"div", "cbrt", "atan2", "pow"}) and not all(
        abs(x) > MARGIN or (op.name == "where" and x == 0.0) for x in operands
    ):
        return False
    if not is_clear(op, operands):
        return False
    try:
        return abs(op.forward(*operands)) < _BOUND
    except (ArithmeticError, ValueError):
        return False


_ARITIES: dict[int | None, list[Op]] = {
    arity: [op for op in OPERATIONS if op.arity == arity and op.name != "polygamma"]
    for arity in (1, 2, 3, None)
}

constants = st.builds(
    operator.mul, st.floats(0.25, 4.0), st.sampled_from([1.0, -1.0])
) | st.sampled_from([1.0, 2.0, -1.0, 0.5])


@st.composite
def expressions(draw: st.DrawFn, most_lines: int = 10) -> Expression:
    """Draw an expression in which values are shared and constants stand on either side.

    Its values keep clear of kinks and of the ends of domains. Every line has a part in the result.
    """
    inputs = draw(st.lists(constants, min_size=1, max_size=3))
    values = list(inputs)
    lines: list[tuple[str, tuple[Place, ...]]] = []
    unused = set(range(len(inputs)))
    for _ in range(draw(st.integers(1, most_lines))):
        places = st.integers(0, len(values) - 1)
        kind = draw(st.sampled_from([2, 1, 1, 1, 2, 1, 3, None]))
        count = kind or 2 * draw(st.integers(1, 2))
        row: list[Place] = draw(st.lists(places | constants, min_size=count, max_size=count))
        if not any(isinstance(x, int) for x in row):
            row[draw(st.integers(0, count - 1))] = draw(places)
        operands = [values[x] if isinstance(x, int) else x for x in row]
        suitable = [op for op in _ARITIES[kind] if _suits(op, operands)]
        if kind == 1 and _suits(find("lgamma"), operands):
            suitable.append(find("polygamma"))
        if not suitable:
            continue
        op = draw(st.sampled_from(suitable))
        if op.name == "where" and operands[0] == 0.0 and isinstance(row[0], int):
            continue  # a computed condition of 0 is a kink; a constant one is the other half
        if op.name == "polygamma":
            row.insert(0, draw(st.sampled_from([0.0, 1.0, 2.0])))
            operands.insert(0, float(row[0]))
            if not abs(op.forward(*operands)) < _BOUND:
                continue
        values.append(op.forward(*operands))
        lines.append((op.name, tuple(row)))
        unused.difference_update(x for x in row if isinstance(x, int))
        unused.add(len(values) - 1)
    if len(unused) > 1 or not lines:
        lines.append(("sum", tuple(sorted(unused))))
    return Expression(tuple(inputs), tuple(lines))
