"""Names for parts of a graph: `with scope("layer1"):` names the values that are made inside."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

_path: ContextVar[str | None] = ContextVar("autograd.scope", default=None)
_lines: ContextVar[bool] = ContextVar("autograd.lines", default=False)
_OURS = __file__.removesuffix("scopes.py")
_lock = Lock()
_count = 0

# Whether a scope is open in any thread: while none is, naming costs a value no more than this look.
are_open = False


def path() -> str | None:
    """Return the path of the caller's open scopes, such as "mlp/layer1"; None if none is open.

    Each thread or task has scopes of its own.
    """
    found = _path.get()
    return line() if found is None and _lines.get() else found


def path_or_none() -> str | None:
    """Return the path of the caller's open scopes, or None, whether lines are wanted or not."""
    return _path.get()


def line() -> str:
    """Return where the caller's own code is: "moons.py:12", the innermost line that isn't ours."""
    frame = sys._getframe(1)  # noqa: SLF001  (inspect.stack would take a thousand times as long)
    while frame.f_code.co_filename.startswith(_OURS) and frame.f_back:
        frame = frame.f_back
    return f"{_file_name(frame.f_code.co_filename)}:{frame.f_lineno}"


@lru_cache(256)
def _file_name(path: str) -> str:
    # The file's name without its directories; of a notebook's cell, as the notebook calls it.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cell = shell and shell.compile.format_code_name(path)
    return cell[1] if cell else path.replace("\\", "/").rpartition("/")[2]


@contextmanager
def lines() -> Iterator[None]:
    """Inside, values that no scope names are named by the line that made them."""
    token = _lines.set(True)
    _note(1)
    try:
        yield
    finally:
        _note(-1)
        _lines.reset(token)


def name_as(path: str | None) -> None:
    """Name what is made from now on as made in that place; None for the place where it is made."""
    _path.set(path)


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
