"""The package's own source files: what was kept by one version of them is nothing for another."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

from . import LOADED

_ROOT = __file__.removesuffix(os.path.join("autograd", "compile", "sources.py"))  # noqa: PTH118  (pathlib would cost each start)
_FOLDERS = ("autograd", os.path.join("autograd", "compile"), "nn")  # noqa: PTH118  (as above)


@cache
def version() -> str | None:
    """Return what tells the sources that traces depend on from all others: sizes and times.

    None where there are none, or where they have changed since they were imported: what is made
    then isn't what these files would make.
    """
    try:
        states = [(path, os.stat(path)) for path in sorted(_files())]  # noqa: PTH116  (as above)
    except OSError:  # one is just being replaced
        return None
    if not states or any(max(x.st_mtime, x.st_ctime) > LOADED for _, x in states):
        return None
    told = [(path, x.st_size, x.st_mtime_ns, x.st_ctime_ns) for path, x in states]
    return str(told)


def is_ours(thing: Any) -> bool:
    """Say whether a function or a class is the package's: known by the package's version."""
    space = getattr(thing, "__globals__", None)
    name = thing.__module__ if space is None else space.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or getattr(module, "__file__", None) not in _files():
        return False
    return space is None or space is vars(module)


@cache
def _files() -> frozenset[str]:
    # Of the folders, not of what is imported: that is another thing in each program.
    found = set()
    for folder in _FOLDERS:
        path = os.path.join(_ROOT, folder)  # noqa: PTH118  (as above)
        if os.path.isdir(path):  # noqa: PTH112  (as above)
            with os.scandir(path) as entries:
                found |= {entry.path for entry in entries if entry.name.endswith(".py")}
    return frozenset(found)
