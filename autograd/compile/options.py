"""What was asked for when a function was compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `compile`, checked."""

    rows: tuple[int, ...] = ()
    reduce: Literal["sum", "mean"] | None = None
    exact: bool = False
    threads: int = 1
    cache: bool = True
