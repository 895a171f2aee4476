"""What a graph can't say by itself: the decisions that a function took while it was traced.

A trace is one run of a function on Values, whose graph is to be computed again with other numbers.
The graph holds only if the function would do the same with those. So, while a function is traced,
comparisons are recorded as operations, and where Python asks for a truth (`if x > 0`) the question
and its answer are noted as a guard.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from . import scopes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .value import Value

# Whether a function is traced in any thread: while none is, a comparison costs no more than this.
are_active = False

_count = 0
_lock = Lock()
_record: ContextVar[Record | None] = ContextVar("autograd.record", default=None)


class Guard(NamedTuple):
    """A decision: the value that was asked for its truth, the answer, and where it was asked."""

    condition: Value
    answer: bool
    place: str


class Record(NamedTuple):
    """What a trace notes: its guards, and the leaves that were made in it.

    `unmasked` are the contributions to a gradient that are 0 where they aren't reached only if all
    numbers are finite. A `careful` trace leaves none: each is masked, whatever it costs.
    """

    guards: list[Guard]
    leaves: list[Value]
    unmasked: list[Value]
    careful: bool


@contextmanager
def tracing(*, careful: bool = False) -> Iterator[Record]:
    """Trace what is computed inside, and yield the record of it.

    It holds for the current thread or task only.
    """
    record = Record([], [], [], careful)
    token = _record.set(record)
    _note(1)
    try:
        with scopes.lines():
            yield record
    finally:
        _note(-1)
        _record.reset(token)


def active() -> bool:
    """Say whether the caller is being traced."""
    return are_active and _record.get() is not None


def decide(condition: Value, *, answer: bool) -> bool:
    """Note that Python asked for the truth of a value, and return the answer."""
    record = _record.get()
    if record is not None:
        record.guards.append(Guard(condition, answer, scopes.line()))
    return answer


def note_leaf(leaf: Value) -> None:
    """Note that a leaf was made: its number is a constant of what is traced."""
    record = _record.get()
    if record is not None:
        record.leaves.append(leaf)


def may_leave_unmasked(contribution: Value) -> bool:
    """Say whether a contribution may do without a mask, as in a trace that isn't careful."""
    record = _record.get()
    if record is None or record.careful:
        return False
    record.unmasked.append(contribution)
    return True


def _note(change: int) -> None:
    global are_active, _count  # noqa: PLW0603  (one count for all threads)
    with _lock:
        _count += change
        are_active = _count > 0
