"""Loop nests in lists of places: what advances by constant steps, and what that is a part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.int64]

MANY = 16  # rows: with fewer to a loop nest, a table of their places is as good


class Shape(NamedTuple):
    """Loops over consecutive rows: the first row's places, and their steps in each loop."""

    base: tuple[int, ...]
    dims: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]


def loops(columns: Matrix) -> tuple[Any, list[Shape]] | None:
    """Return an order of the rows, and the few loop nests that they are in that order.

    None if there is no order in which they are few.
    """
    best: tuple[Any, list[Shape]] | None = None
    for order in _orders(columns):
        runs = _runs(columns[order])
        if runs is None:
            continue
        shapes = _fold(runs)
        if best is None or len(shapes) < len(best[1]):
            best = (order, shapes)
        if len(shapes) == 1:
            break
    if best is None:
        return None
    few = len(best[1]) <= 2 or len(best[1]) * MANY <= len(columns)  # noqa: PLR2004  (two are few, and a loop in any order)
    return best if few else None


def _orders(columns: Matrix) -> Iterator[Any]:
    count, width = columns.shape
    yield np.arange(count)
    if count > 2:  # noqa: PLR2004  (two are few, and a loop in any order)
        for first in range(width):
            # By this column, then by the others; lexsort's last key comes first.
            rest = [columns[:, i] for i in range(width) if i != first]
            yield np.lexsort([*reversed(rest), columns[:, first]])


def _runs(columns: Matrix) -> list[Shape] | None:
    """Return the longest stretches from the left in which every column advances evenly.

    None if hardly any do.
    """
    count = len(columns)
    if count == 1:
        return [Shape(tuple(columns[0].tolist()), (1,), ((0,) * columns.shape[1],))]
    steps = np.diff(columns, axis=0)
    changes = (np.flatnonzero((steps[1:] != steps[:-1]).any(axis=1)) + 1).tolist()
    if count > MANY and len(changes) * 4 > count * 3:
        return None
    shapes = []
    start = 0
    bases, moves = columns.tolist(), steps.tolist()
    for change in [*changes, count - 1]:
        if change <= start:
            continue  # the step to a run's first row is no part of it
        length = change - start + 1
        shapes.append(Shape(tuple(bases[start]), (length,), (tuple(moves[start]),)))
        start = change + 1
    if start < count:
        shapes.append(Shape(tuple(bases[start]), (1,), ((0,) * columns.shape[1],)))
    return shapes


def _fold(shapes: list[Shape]) -> list[Shape]:
    """Return fewer loop nests: equal ones whose bases advance evenly are one with one loop more."""
    while True:
        folded: list[Shape] = []
        i = 0
        while i < len(shapes):
            shape = shapes[i]
            j = i + 1
            step: tuple[int, ...] | None = None
            while j < len(shapes) and shapes[j][1:] == shape[1:]:
                advance = _difference(shapes[j].base, shapes[j - 1].base)
                if step is None:
                    step = advance
                elif advance != step:
                    break
                j += 1
            if step is None:
                folded.append(shape)
            elif shape.dims == (1,):
                folded.append(Shape(shape.base, (j - i,), (step,)))
            else:
                folded.append(Shape(shape.base, (j - i, *shape.dims), (step, *shape.steps)))
            i = j
        if len(folded) == len(shapes):
            return folded
        shapes = folded


def _difference(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([x - y for x, y in zip(a, b, strict=True)])
