"""What a drawing shows: values, edges and scopes, collapsed where there are too many of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import fabs, nan
from typing import TYPE_CHECKING, NamedTuple

from autograd.backward import sort
from autograd.steps import name_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autograd.value import Value

Scope = tuple[str, ...]

# Values without a scope can't be grouped in a way that means something. Up to here they are drawn
# one by one, which takes Graphviz a second; beyond, all but the last ones become one box. Those
# are fewer, since edges from that box reach across the whole drawing: Graphviz' time grows with
# an edge's length. benchmarks/draw.py has the figures.
MOST_VALUES = 500
LAST_VALUES = 150

# How many ranks all edges may cross in all: a hundred of them, crossing hundreds of others on the
# way, keep Graphviz busy for minutes. Beyond, fewer boxes are drawn.
MOST_CROSSED = 2000
FEWEST_VALUES = 10
EARLIER = "earlier values"


@dataclass(slots=True)
class Box:
    """One box of a drawing: a value, or a group of values.

    `number` counts the values in the order of evaluation, from 1, and a group has that of its
    first value. `kind` is leaf, parameter, interior, result or group.
    """

    number: int
    name: str
    kind: str
    scope: Scope
    values: list[Value]

    @property
    def largest_grad(self) -> float | None:
        """The gradient of the largest magnitude, None where no backward pass has been."""
        grads = [value._grad for value in self.values if value._grad is not None]
        return max(grads, key=fabs) if grads else None


class Edge(NamedTuple):
    """An operand's way into a value, or all the ways from one group to another.

    `place` is the operand's index (from 0); `local` is the local derivative, nan where it doesn't
    exist, and None for a bundle of `size` edges.
    """

    tail: int
    head: int
    place: int
    local: float | None
    size: int


class Picture(NamedTuple):
    """What a drawing shows: boxes by number, edges, how many values, and the box of each."""

    boxes: dict[int, Box]
    edges: list[Edge]
    values: int
    numbers: dict[Value, int]


def picture(y: Value, *, scopes: bool, collapse: int, most: int = MOST_VALUES) -> Picture:
    """Return what a drawing of y's graph shows.

    More than `collapse` values: scopes become one box each, the innermost first, as few levels of
    them as it takes. More than `most` boxes even then: all but the last ones become one box. Fewer
    than that are drawn where edges are many and long.

    Raises:
        RuntimeError: if a leaf was changed after y was computed.

    """
    computed, leaves = sort(y)
    values = _in_order(leaves, computed)
    names = name_values(y, leaves, computed)
    paths = {v: tuple(v.scope.split("/")) for v in values if scopes and v.scope}
    shown = _shown(computed, values, names, paths, y, collapse, most)
    while most > FEWEST_VALUES and crossed(shown) > MOST_CROSSED:
        most = min(most, len(shown.boxes)) // 2
        shown = _shown(computed, values, names, paths, y, collapse, most)
    return shown


def _shown(  # noqa: PLR0913, PLR0917  (one step of picture)
    computed: Sequence[Value],
    values: Sequence[Value],
    names: dict[Value, str],
    paths: dict[Value, Scope],
    y: Value,
    collapse: int,
    most: int,
) -> Picture:
    grouped = _grouping(values, paths, collapse, most)
    boxes: dict[int, Box] = {}
    opened: dict[Scope, Box] = {}
    numbers: dict[Value, int] = {}
    for number, v in enumerate(values, 1):
        group = grouped.get(v)
        if group is None:
            scope = paths.get(v, ())
            boxes[number] = Box(number, names[v], _kind(v, y, scope), scope, [v])
            numbers[v] = number
            continue
        box = opened.get(group)
        if box is None:
            opened[group] = box = boxes[number] = Box(number, group[-1], "group", group[:-1], [])
        box.values.append(v)
        numbers[v] = box.number
    return Picture(boxes, _edges(computed, numbers, boxes), len(values), numbers)


def crossed(shown: Picture) -> int:
    """Return how many ranks the edges cross in all, roughly: groups may depend on one another."""
    ranks = dict.fromkeys(shown.boxes, 0)
    edges = sorted(shown.edges, key=lambda edge: edge.head)
    for edge in edges:
        ranks[edge.head] = max(ranks[edge.head], ranks[edge.tail] + 1)
    return sum(abs(ranks[edge.head] - ranks[edge.tail]) - 1 for edge in edges)


def _in_order(leaves: Sequence[Value], computed: Sequence[Value]) -> list[Value]:
    # Each leaf just before the first value that uses it, as a reader would meet it.
    waiting = set(leaves)
    order: list[Value] = []
    for node in computed:
        for operand in node.operands:  # `parents` would cost a million values half a second
            if type(operand) is not float and operand in waiting:
                waiting.remove(operand)
                order.append(operand)
        order.append(node)
    return [*order, *waiting]  # what waits still is a result that is a leaf


def _kind(v: Value, y: Value, scope: Scope) -> str:
    if v is y:
        return "result"
    if v.op is not None:
        return "interior"
    return "parameter" if scope else "leaf"


def _grouping(
    values: Sequence[Value], paths: dict[Value, Scope], collapse: int, most: int
) -> dict[Value, Scope]:
    """Return the group of each value that doesn't stand for itself."""
    depth = max(map(len, paths.values()), default=0)
    level = depth + 1  # scopes of this many names and more are collapsed
    while level > 1 and _boxes(values, paths, level) > min(collapse, most):
        level -= 1
    grouped = {v: path[:level] for v, path in paths.items() if len(path) >= level}
    if _boxes(values, paths, level) <= most:
        return grouped
    kept: set[Value | Scope] = set()
    for v in reversed(values):
        if len(kept) == min(most, LAST_VALUES):
            break
        kept.add(grouped.get(v, v))
    if not grouped:
        return dict.fromkeys(values[: -len(kept)], (EARLIER,))
    return grouped | {v: (EARLIER,) for v in values if grouped.get(v, v) not in kept}


def _boxes(values: Sequence[Value], paths: dict[Value, Scope], level: int) -> int:
    cut = Counter(path[:level] for path in paths.values() if len(path) >= level)
    return len(values) - cut.total() + len(cut)


def _edges(
    computed: Sequence[Value], numbers: dict[Value, int], boxes: dict[int, Box]
) -> list[Edge]:
    edges: list[Edge] = []
    bundles: Counter[tuple[int, int]] = Counter()
    groups = {number for number, box in boxes.items() if box.kind == "group"}
    for node in computed:
        head = numbers[node]
        if head in groups:
            for operand in node.operands:
                if type(operand) is not float and numbers[operand] != head:
                    bundles[numbers[operand], head] += 1
            continue
        for place, operand in enumerate(node.operands):
            if type(operand) is float:
                continue  # a constant
            tail = numbers[operand]
            if tail in groups:
                bundles[tail, head] += 1
            else:
                edges.append(Edge(tail, head, place, _local(node, place), 1))
    edges += [Edge(tail, head, 0, None, count) for (tail, head), count in bundles.items()]
    return edges


def _local(node: Value, place: int) -> float:
    try:
        return node._local(place)
    except (ArithmeticError, ValueError):
        return nan  # infinite or undefined; the drawing says so
