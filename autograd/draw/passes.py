"""The two passes in words: each value as it is computed, then each step of the chain rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autograd.backward import sort
from autograd.steps import name_values, show, steps
from autograd.value import Value, plain

from .text import shorten, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autograd.op import Op
    from autograd.steps import Step

    from .graph import Box

# A step is 60 to 120 bytes of a page and a row of its table. Browsers take ten times as many, but
# nobody reads them.
MOST_STEPS = 20_000
MOST_OPERANDS = 8  # of a sum or a dot product that are spelt out


class Row(NamedTuple):
    """A line of a pass, in its parts between equal signs; `label` is a label that was shortened."""

    left: str
    rule: str
    numbers: str
    label: str = ""


class Passes:
    """What happens in the forward and in the backward pass from y.

    Raises:
        TypeError, RuntimeError, ZeroDivisionError, OverflowError, ValueError: as `steps`; a
            ValueError, too, for more than MOST_STEPS steps.

    """

    def __init__(self, y: Value) -> None:
        computed, leaves = sort(y)
        _check_size(y, sum(len(value.parents) for value in computed))
        self.y = y
        self.steps = steps(y)
        self._labels = {v: visible(x) for v, x in name_values(y, leaves, computed).items()}
        self.names = {v: shorten(label) for v, label in self._labels.items()}
        self._texts: dict[Value, list[str]] = {y: [show(1.0)]}
        for step in self.steps:
            self._texts.setdefault(step.parent, []).append(show(step.accumulated))

    def forward(self, values: Iterable[Value]) -> list[Row]:
        """Return how each value is computed: `c = a × b = 2 × (-3) = -6`."""
        return [self._computed(value) for value in values]

    def _computed(self, value: Value) -> Row:
        name, label = self.names[value], self._labels[value]
        label = "" if label == name else label
        if value.op is None:
            return Row(name, "", show(value.data), label)
        texts = [self.names[x] if type(x) is Value else show(x) for x in value.operands]
        data = [show(plain(x)) for x in value.operands]
        numbers = f"{_formula(value.op, data)} = {show(value.data)}"
        return Row(name, _formula(value.op, texts), numbers, label)

    def backward(self, *, spelt_out: bool) -> tuple[str, list[Row]]:
        """Return the rule, the pass' beginning, ∂y/∂y = 1, and its steps as `str(step)` has them.

        Rows that aren't spelt out have just the names of the parent and the value in the rule.
        """
        y = self.names[self.y]
        rule = f"∂{y}/∂parent = ∂{y}/∂value · ∂value/∂parent"
        if spelt_out:
            return rule, [Row(f"∂{y}/∂{y}", "", show(1.0)), *map(self._step, self.steps)]
        rows = [
            Row(self.names[step.parent], self.names[step.value], self._step(step).numbers)
            for step in self.steps
        ]
        return f"parent, value: {rule}", [Row(y, "", show(1.0)), *rows]

    def _step(self, step: Step) -> Row:
        names = (self.names[self.y], self.names[step.value], self.names[step.parent])
        result, value, parent = names
        left, rule = f"∂{result}/∂{parent}", f"∂{result}/∂{value} · ∂{value}/∂{parent}"
        line = str(step._replace(names=names))
        return Row(left, rule, line.removeprefix(f"{left} = {rule} = "))

    def final_grad(self, box: Box) -> str:
        """Return what a box says when the pass is over."""
        if box.kind != "group":
            return f"grad {self._texts.get(box.values[0], [show(0.0)])[-1]}"
        largest = max(abs(self.steps.grad(value)) for value in box.values)
        return f"max abs grad {show(largest)}"

    def widest_grad(self, box: Box) -> str:
        """Return the longest of what a box says in the course of the pass: room is kept for it."""
        texts = [text for value in box.values for text in self._texts.get(value, ())]
        words = "max abs grad" if box.kind == "group" else "grad"
        return f"{words} {max(texts, key=len, default=show(0.0))}"

    def walk(self, values: Sequence[Value]) -> list[tuple[int, list[int]]]:
        """Return the backward pass in indices into `values`: (value, its operands), in order.

        A constant operand is -1.
        """
        index = {value: i for i, value in enumerate(values)}
        walked = dict.fromkeys(step.value for step in self.steps)
        return [
            (index[v], [index[x] if type(x) is Value else -1 for x in v.operands]) for v in walked
        ]


def _check_size(y: Value, count: int) -> None:
    if count > MOST_STEPS:
        name = shorten(visible(y.label or "y"))
        message = (
            f"stepper({name}): {count:,} chain-rule steps are more than the {MOST_STEPS:,} that a "
            "page can hold; step through a part, from a value nearer to the leaves, or use draw"
        )
        raise ValueError(message)


def _formula(op: Op, operands: Sequence[str]) -> str:
    """Return an operation with its operands plugged in, as a person would write it."""
    if op.arity == 2 and not op.symbol.isidentifier():  # noqa: PLR2004
        first, second = operands
        first = _bracket(first) if op.symbol == "^" or " " in first else first
        return f"{first} {op.symbol} {_bracket(second)}"
    if op.name in ("neg", "pos"):
        return op.symbol + _bracket(operands[0])
    shown = list(operands[:MOST_OPERANDS])
    if len(shown) < len(operands):
        shown.append(f"… ({len(operands) - len(shown)} more)")
    return f"{op.name}({', '.join(shown)})"


def _bracket(text: str) -> str:
    return f"({text})" if text.startswith("-") or " " in text else text
