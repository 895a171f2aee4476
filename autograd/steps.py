"""The backward pass as a sequence of chain-rule steps, to iterate over, print and reason about."""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

from .backward import check_finite, contributions, local_derivatives, sort
from .op import ieee, to_float
from .value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Order = Literal["topological", "recursive"]


class Step(NamedTuple):
    """One edge's part in the chain rule: ∂L/∂parent += ∂L/∂value · ∂value/∂parent.

    `local` is ∂value/∂parent, `upstream` is ∂L/∂value, and `contribution` their product.
    `before` and `accumulated` are ∂L/∂parent as it stands before and after the step. `complete` is
    ∂L/∂value at the end of the pass: the same as `upstream` unless the order was wrong.
    """

    value: Value
    parent: Value
    local: float
    upstream: float
    contribution: float
    before: float
    accumulated: float
    complete: float
    names: tuple[str, str, str]

    @property
    def is_premature(self) -> bool:
        """Whether `value` passed its gradient on before all of it had arrived."""
        return self.upstream != self.complete and not isnan(self.complete)

    def __str__(self) -> str:
        """Return the step as a line: `∂L/∂w = ∂L/∂z · ∂z/∂w = -0.0415 × 0.6514 = -0.0270`."""
        result, value, parent = self.names
        rule = f"∂{result}/∂{parent} = ∂{result}/∂{value} · ∂{value}/∂{parent}"
        numbers = f"{show(self.upstream)} × {show(self.local)} = {show(self.contribution)}"
        line = f"{rule} = {numbers}"
        if self.before:
            line += f", with {show(self.before)} from before: {show(self.accumulated)}"
        if self.is_premature:
            line += f"   ✗ too early: ∂{result}/∂{value} becomes {show(self.complete)}"
        return line


class Steps:
    """The steps of one backward pass: a sequence, and as `str` a table to read."""

    def __init__(self, result: Value, steps: list[Step], grads: dict[Value, float]) -> None:
        self.result = result
        self._steps = steps
        self._grads = grads

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        return self._steps[index]

    def grad(self, x: Value) -> float:
        """Return ∂result/∂x as these steps add it up; 0.0 if no step reaches x."""
        if type(x) is not Value:
            message = f"grad(x) takes a Value; got {x!r} ({type(x).__name__})"
            raise TypeError(message)
        return self._grads.get(x, 0.0)

    @property
    def premature(self) -> list[Step]:
        """The steps that passed on an unfinished gradient: none in a topological order."""
        return [step for step in self._steps if step.is_premature]

    def __repr__(self) -> str:
        return f"<{len(self)} chain-rule steps from {self.result!r}>"

    def __str__(self) -> str:
        """Return a line per step, the equal signs under one another."""
        rows = [str(step).split(" = ", 2) for step in self._steps]
        if not rows:
            return "no steps: the result is a leaf"
        left, right = (max(len(row[i]) for row in rows) for i in (0, 1))
        digits = len(str(len(rows)))
        return "\n".join(
            f"{number:>{digits}}  {row[0]:<{left}} = {row[1]:<{right}} = {row[2]}"
            for number, row in enumerate(rows, 1)
        )


def steps(y: Value, *, order: Order = "topological", seed: float = 1.0) -> Steps:
    """Return the backward pass from y as data: one `Step` per edge, in the order of the pass.

    No `grad` is changed. The contributions to a value add up to what `y.backward(seed)` gives it,
    to the last bit.

    `order="recursive"` shows what naive recursion does instead: each value passes its gradient on
    as soon as the first contribution arrives. In a graph where values are used twice that is too
    early, and the steps say where.

    Raises:
        TypeError: if y isn't a Value.
        ValueError: if there is no such order.
        RuntimeError, ZeroDivisionError, OverflowError: as `Value.backward`.

    """
    if type(y) is not Value:
        message = f"steps(y) takes the Value to differentiate; got {y!r} ({type(y).__name__})"
        raise TypeError(message)
    if str(order) not in ("topological", "recursive"):
        message = f"order (={order!r}) must be 'topological' or 'recursive'"
        raise ValueError(message)
    seed = to_float(seed, "seed")
    computed, leaves = sort(y)
    complete: dict[Value, float] = {y: seed}
    walked = list(contributions(computed, complete))
    if not ieee.active():
        check_finite(y, [complete.get(x, 0.0) for x in leaves])
    called = name_values(y, leaves, computed)
    if order == "recursive":
        return _recursive_steps(y, seed, complete, called)
    running: dict[Value, float] = {}
    made = []
    for c in walked:
        before = running.get(c.parent, 0.0)
        running[c.parent] = before + c.contribution
        names = (called[y], called[c.value], called[c.parent])
        sums = (before, running[c.parent], c.upstream)
        made.append(
            Step(c.value, c.parent, c.local, c.upstream, c.contribution, *sums, names=names)
        )
    return Steps(y, made, complete)


def _recursive_steps(
    y: Value, seed: float, complete: dict[Value, float], called: dict[Value, str]
) -> Steps:
    # backward(x): for each parent: parent.grad += local · x.grad, then backward(parent) if it
    # hasn't been yet. The stack holds the edges that the recursion has still to come back to.
    running: dict[Value, float] = {y: seed}
    made = []
    visited = {y}
    stack = [(y, local_derivatives(y))] if y.op else []
    while stack:
        value, edges = stack[-1]
        edge = next(edges, None)
        if edge is None:
            stack.pop()
            continue
        _, parent, local = edge
        upstream, before = running[value], running.get(parent, 0.0)
        contribution = local * upstream
        running[parent] = before + contribution
        names = (called[y], called[value], called[parent])
        sums = (before, running[parent], complete.get(value, 0.0))
        made.append(Step(value, parent, local, upstream, contribution, *sums, names=names))
        if parent.op and parent not in visited:
            visited.add(parent)
            stack.append((parent, local_derivatives(parent)))
    return Steps(y, made, running)


class Path(NamedTuple):
    """One way from a result back to a value; its part of the gradient is the product of locals."""

    values: tuple[Value, ...]
    locals: tuple[float, ...]
    product: float
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Return the path and the product: `L → z → w:  -0.2326 × 0.1785 = -0.0415`."""
        factors = " × ".join(map(show, self.locals)) or "1"
        return f"{' → '.join(self.names)}:  {factors} = {show(self.product)}"


def paths(y: Value, x: Value, limit: int = 1000) -> list[Path]:
    """Return every path from y back to x: ∂y/∂x is the sum of their products.

    That is what the chain rule says when it is written out. The backward pass gets the same sum
    without listing the paths, of which there are exponentially many.

    Raises:
        ValueError: if there are more than `limit` paths; it says how many.
        TypeError, RuntimeError, ZeroDivisionError, OverflowError: as `steps`.

    """
    for v in (y, x):
        if type(v) is not Value:
            message = f"paths(y, x) takes two Values; got {v!r} ({type(v).__name__})"
            raise TypeError(message)
    if not isinstance(limit, int):
        message = f"limit (={limit!r}) must be an int"
        raise TypeError(message)
    computed, leaves = sort(y)
    count = {x: 1}  # paths from each value to x
    for node in computed:
        if node is not x:
            count[node] = sum(count.get(parent, 0) for parent in node.parents)
    total = count.get(y, 0)
    if total > limit:
        number = str(total) if total < 10**15 else f"about 2^{total.bit_length() - 1}"
        message = f"{number} paths lead from the result to that value; the limit is {limit}"
        raise ValueError(message)
    called = name_values(y, leaves, computed)
    found = []
    stack: list[tuple[tuple[Value, ...], tuple[float, ...], float]] = [((y,), (), 1.0)]
    while stack:
        values, factors, product = stack.pop()
        if values[-1] is x:
            found.append(Path(values, factors, product, tuple(called[v] for v in values)))
            continue
        wanted = {parent for parent in values[-1].parents if count.get(parent)}
        edges = local_derivatives(values[-1], wanted=wanted) if wanted else ()
        further = [((*values, p), (*factors, d), product * d) for _, p, d in edges]
        stack += reversed(further)
    return found


def name_values(y: Value, leaves: Sequence[Value], computed: Sequence[Value]) -> dict[Value, str]:
    """Return a name for each value: its label, or v1, v2, … in the order of evaluation."""
    taken = {v.label for v in (*leaves, *computed)}
    names = {}
    number = 0
    for v in (*leaves, *computed):
        name = v.label
        if not name and v is y and "y" not in taken:
            name = "y"
        while not name:
            number += 1
            if f"v{number}" not in taken:
                name = f"v{number}"
        names[v] = name
    return names


def show(x: float) -> str:
    """Return x for people: four decimals, more where three significant digits need them.

    A number that is exact in fewer digits is written with fewer: 0.5, but 0.6514 for 0.651354…
    """
    if not isfinite(x):
        return str(x)
    if x == 0.0 or 1e-4 <= abs(x) < 1e6:  # noqa: PLR2004
        decimals = 4
        while x and abs(x) < 10.0 ** (2 - decimals):
            decimals += 1
        text = f"{x:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if float(text) == x else text
    return f"{x:.3e}"
