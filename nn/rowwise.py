"""Losses and accuracy of a single row, of numbers alone: what compiled steps are made of.

A loss of a batch is the mean of a loss of each row. In that the target is a row of numbers, too: a
class is the list that has 1 in its place and 0 elsewhere. What a label says is not looked up but
computed with, so that one formula holds for all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd import Value, dot, logsumexp, maximum, mean, relu, softplus, where
from autograd import sum as total

from .labels import is_list
from .losses import binary_cross_entropy, cross_entropy, hinge, max_margin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .data import Rows
    from .losses import Loss

    Table = NDArray[np.float64]

OfRow = Callable[[Any, "Sequence[Any]"], Any]


def loss_of_row(loss: Loss, targets: Rows, output: Any) -> tuple[Table, OfRow]:
    """Return the targets as rows of numbers, and the function (output, such a row) -> loss.

    `output` is one of the model's, to know its kind from.
    """
    table = np.array(targets, dtype=np.float64)
    rows = table.reshape(len(table), -1)
    if loss is binary_cross_entropy:
        hard = bool(np.isin(rows, (0.0, 1.0)).all())
        return (1.0 - 2.0 * rows, _binary_by_sign) if hard else (rows, _binary)
    if loss is cross_entropy:
        return (one_hot(table, len(output)) if table.ndim == 1 else rows), _cross_entropy
    if loss in (hinge, max_margin):
        if not is_list(output):
            return -rows, lambda s, t: relu(s * t[0] + 1.0)
        return one_hot(table, len(output)), _hinge if loss is hinge else _max_margin
    shape = table.shape[1:]
    return rows, lambda y, t: loss([y], [nested(iter(t), shape)])


def one_hot(labels: Table, count: int) -> Table:
    """Return a row for each class: 1 in its place, 0 elsewhere."""
    table: Table = (labels.reshape(-1, 1) == np.arange(count)).astype(np.float64)
    return table


def nested(numbers: Iterator[Any], shape: tuple[int, ...]) -> Any:
    """Return the numbers in lists of that shape; a number if it is ()."""
    if not shape:
        return next(numbers)
    return [nested(numbers, shape[1:]) for _ in range(shape[0])]


# --- losses ---------------------------------------------------------------------------------------


def _binary_by_sign(z: Any, t: Sequence[Any]) -> Any:
    # The label 1 has the sign -1: softplus(-z) is -log σ(z).
    return mean([softplus(a * sign) for a, sign in zip(_listed(z), t, strict=True)])


def _binary(z: Any, t: Sequence[Any]) -> Any:
    pairs = zip(_listed(z), t, strict=True)
    return mean([p * softplus(-a) + (1.0 - p) * softplus(a) for a, p in pairs])


def _cross_entropy(z: Any, t: Sequence[Any]) -> Any:
    return logsumexp(z) - dot(t, z)


def _hinge(s: Any, t: Sequence[Any]) -> Any:
    # At the class itself it is relu(0).
    right = dot(t, s)
    return total([relu(a - right + (1.0 - p)) for a, p in zip(s, t, strict=True)])


def _max_margin(s: Any, t: Sequence[Any]) -> Any:
    others = [where(p, -inf, a) for a, p in zip(s, t, strict=True)]
    return relu(reduce(maximum, others) - dot(t, s) + 1.0)


def _listed(z: Any) -> Any:
    return z if is_list(z) else [z]


# --- accuracy -------------------------------------------------------------------------------------


def accuracy_of_row(targets: Rows, output: Any) -> tuple[Table, OfRow] | None:
    """Return the same for `accuracy`, whose function is 1 or 0; None for what it can't be told of.

    Its function holds while it is traced, where comparisons are numbers.
    """
    table = np.array(targets, dtype=np.float64)
    if type(output) is Value:
        return (table.reshape(-1, 1) > 0.5).astype(np.float64), _answers  # noqa: PLR2004  (as accuracy)
    if not is_list(output) or any(type(z) is not Value for z in output):
        return None
    labels = table if table.ndim == 1 else table.argmax(axis=1)
    rows = one_hot(labels, len(output))
    # A class that no output is for is never right.
    return (rows, _is_largest) if rows.any(axis=1).all() else None


def _answers(z: Any, t: Sequence[Any]) -> Any:
    return (z > 0.0) == t[0]


def _is_largest(z: Any, t: Sequence[Any]) -> Any:
    # Of several that are largest the first one counts.
    right, later, wrong = dot(t, z), 1.0, []
    for a, p in zip(z, t, strict=True):
        later = later - p
        wrong += [a > right, (a == right) * later]
    return total(wrong) == 0.0
