"""What goes into a loss: outputs beside their targets, and labels of the kind that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograd import Value

if TYPE_CHECKING:
    from collections.abc import Collection


def is_list(x: Any) -> bool:
    """Say whether x is a list, tuple, array or series; not text, nor an array of no dimension."""
    return hasattr(x, "__len__") and not isinstance(x, str) and getattr(x, "shape", None) != ()


def pair_examples(
    name: str, outputs: Collection[Any], targets: Collection[Any]
) -> list[tuple[Any, Any]]:
    """Return (output, target) of each example.

    Raises:
        TypeError: if outputs or targets aren't lists.
        ValueError: if they are empty or differ in length.

    """
    for what, given in (("outputs", outputs), ("targets", targets)):
        if not is_list(given):
            message = (
                f"{name}: {what} must be a list with one entry per example; got {given!r}. "
                f"One example is a list, too: {name}([model(x)], [y])"
            )
            raise TypeError(message)
    if len(outputs) != len(targets):
        message = (
            f"{name}: {len(outputs)} outputs for {len(targets)} targets; "
            "each example needs one of each"
        )
        raise ValueError(message)
    if len(outputs) == 0:
        message = f"{name}: the batch has no examples, so there is no mean; pass one at least"
        raise ValueError(message)
    return list(zip(outputs, targets, strict=True))


def pair_numbers(
    name: str, outputs: Collection[Any], targets: Collection[Any]
) -> list[tuple[Any, Any]]:
    """Return (number, target) for each number in the outputs of all examples.

    Raises:
        TypeError, ValueError: as `pair_examples`, and if an output and its target differ in size.

    """
    pairs: list[tuple[Any, Any]] = []
    for i, (y, t) in enumerate(pair_examples(name, outputs, targets)):
        if not is_list(y) and not is_list(t):
            pairs.append((y, t))
        elif is_list(y) and is_list(t) and len(y) == len(t):
            pairs += zip(y, t, strict=True)
        else:
            message = (
                f"{name}: outputs[{i}] is {_size(y)} and targets[{i}] is {_size(t)}; both must be "
                "numbers, or lists of one length (y.ravel() flattens a column of targets)"
            )
            raise ValueError(message)
    return pairs


def check_classes(name: str, i: int, z: Any, instead: str) -> None:
    """Raise a ValueError unless output i is a list with a number for each class."""
    if not is_list(z) or len(z) < 2:  # noqa: PLR2004  (one class leaves nothing to choose)
        message = (
            f"{name}: outputs[{i}] must be a list with a number for each of two or more classes; "
            f"got {_size(z)}. For two classes by a single number there is {instead}"
        )
        raise ValueError(message)


def class_label(name: str, i: int, t: Any, count: int) -> int:
    """Return target i, a class out of `count`; else raise a TypeError or ValueError."""
    label = _label(name, t)
    if label not in range(count):
        message = (
            f"{name}: targets[{i}] is {label:g}; with {count} outputs a class is a whole number "
            f"from 0 to {count - 1}"
        )
        raise ValueError(message)
    return int(label)


def sign_label(name: str, i: int, t: Any) -> float:
    """Return target i, -1.0 or 1.0; else raise a TypeError or ValueError."""
    label = _label(name, t)
    if label not in {-1.0, 1.0}:
        message = (
            f"{name}: labels are -1 and 1; targets[{i}] is {label:g}. "
            "Labels 0 and 1 become -1 and 1 by 2 * y - 1"
        )
        raise ValueError(message)
    return label


def probability(name: str, t: Any) -> float:
    """Return a label from 0 to 1; raise a TypeError or ValueError if it is none."""
    label = _label(name, t)
    if not 0.0 <= label <= 1.0:
        message = (
            f"{name}: a label must lie between 0 and 1; got {label:g}. "
            "Labels -1 and 1 become 0 and 1 by (y + 1) / 2"
        )
        raise ValueError(message)
    return label


def _label(name: str, t: Any) -> float:
    if isinstance(t, str | Value) or is_list(t):
        message = f"{name}: a label must be a plain number; got {t!r}"
        raise TypeError(message)
    return float(t)


def _size(x: Any) -> str:
    return f"a list of {len(x)}" if is_list(x) else "one number"
