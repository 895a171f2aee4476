"""Building large graphs without the cyclic garbage collector in the way."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_collector() -> Iterator[None]:
    """Pause Python's cyclic garbage collector inside the `with`, for the whole process.

    A graph of Values has no cycles: it is freed by reference counting, at once, and the collector
    can only walk over it and find nothing. It does so each time the number of objects has grown by
    a quarter, which from some 50,000 nodes on costs more than building them
    (`benchmarks/eager.py` prints how much). Cycles that other code leaves meanwhile are collected
    afterwards.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
