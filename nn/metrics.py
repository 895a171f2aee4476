"""How good outputs are, as people tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograd import Value

if TYPE_CHECKING:
    from collections.abc import Sequence


def accuracy(outputs: Sequence[Any], targets: Sequence[Any]) -> float:
    """Return the share of examples that are classified rightly.

    An output that is a list says the class where it is largest; its target is that class' number,
    or a list that is largest there. An output that is a number says yes where it is > 0, as logits
    and scores do; its target is 1 for yes, and 0 or -1 for no.
    """
    return sum(map(_is_right, outputs, targets)) / len(outputs)


def _is_right(output: Any, target: Any) -> bool:
    if hasattr(output, "__len__"):
        label = _largest(target) if hasattr(target, "__len__") else target
        return bool(_largest(output) == label)
    return bool((output > 0.0) == (target > 0.5))  # noqa: PLR2004  (between 1 and 0 or -1)


def _largest(numbers: Sequence[Any]) -> int:
    plain = [x.data if type(x) is Value else x for x in numbers]
    return plain.index(max(plain))
