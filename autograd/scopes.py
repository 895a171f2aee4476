"""Names for parts of a graph: `with scope("layer1"):` names the values that are made inside."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextvars import Token

_path: ContextVar[str | None] = ContextVar("autograd.scope", default=None)
_lock = Lock()
_count = 0

# Whether a scope is open in any thread: while none is, naming costs a value no more than this look.
are_open = False


def path() -> str | None:
    """Return the path of the caller's open scopes, such as "mlp/layer1"; None if none is open.

    Each thread or task has scopes of its own.
    """
    return _path.get()


class scope:  # noqa: N801  (used as `with autograd.scope(...):`, so it is spelt like a function)
    """Name the values made inside the `with`: drawings group and collapse them by it.

    Scopes nest: inside `scope("mlp")`, `scope("layer1")` makes "mlp/layer1". A scope may be
    entered again, and holds for the current thread or task only.

    Raises:
        TypeError: if the name isn't text.
        ValueError: if it is empty.

    """

    __slots__ = ("_tokens", "name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            message = f"a scope's name must be text; got {name!r}"
            raise TypeError(message)
        if not name:
            message = "a scope's name must not be empty"
            raise ValueError(message)
        self.name = name
        self._tokens: list[Token[str | None]] = []

    def __enter__(self) -> None:
        outer = _path.get()
        self._tokens.append(_path.set(f"{outer}/{self.name}" if outer else self.name))
        _note(1)

    def __exit__(self, *_: object) -> None:
        _path.reset(self._tokens.pop())
        _note(-1)


def _note(change: int) -> None:
    global are_open, _count  # noqa: PLW0603  (one count for all threads)
    with _lock:
        _count += change
        are_open = _count > 0
