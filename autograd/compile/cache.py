"""What was made once, kept on disk for the next run of a program.

A file for each key, in the user's own cache directory: `$CHAINRULE_CACHE`, or else `chainrule` in
`$XDG_CACHE_HOME` (by default `~/.cache`), in `~/Library/Caches` on macOS, in `%LOCALAPPDATA%` on
Windows. An empty `$CHAINRULE_CACHE` switches it off. All files together take about 200 MB at most:
beyond that, those go that were not used for the longest time.

A file is believed only if it is the user's, and complete, and was written under its own name. What
is wrong with it otherwise doesn't matter: it isn't there, and what it had is made again. Where
nothing can be written, nothing is kept; a warning says so, once.
"""

from __future__ import annotations

import os
import pickle
import platform
import sys
import warnings
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import numpy as np

from . import sources

BOUND = 200 * 2**20
"""How many bytes all files together may have."""

LARGEST = BOUND // 10  # what is larger would push out too much of the rest
SLACK = BOUND // 100  # one process writes so much before it looks at the bound again
SUFFIX = ".chainrule"
UNFINISHED = ".chainrule-part"
MAGIC = b"chainrule 1\n"
SEAL = len(MAGIC) + 32

_unchecked = BOUND  # bytes since the bound was looked at: before the first time, any number
_warned = False


def key(*things: Any) -> str | None:
    """Return the name for what these things determine; None where no name would be safe.

    This version of the package, Python and the processor are always among them.
    """
    where = _environment()
    if where is None:
        return None
    return blake2b(repr((where, things)).encode(), digest_size=32).hexdigest()


def get(name: str) -> Any:
    """Return what was put under that name, or None."""
    folder = directory()
    data = folder and _read(folder / f"{name}{SUFFIX}")
    if not data or data[:SEAL] != _seal(name, data[SEAL:]):
        return None
    try:
        return pickle.loads(data[SEAL:])  # noqa: S301  (the user's own file; code in it is run anyway)
    except Exception:  # noqa: BLE001  (whatever is wrong with it)
        return None


def put(name: str, thing: Any) -> None:
    """Keep a thing under that name, if it isn't too large."""
    global _unchecked  # noqa: PLW0603  (one for the process)
    folder = directory()
    data = pickle.dumps(thing, 5)
    if folder is None or len(data) > LARGEST:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder, name, _seal(name, data) + data)
        _unchecked += len(data)
        if _unchecked > SLACK:
            _unchecked = 0
            trim(folder)
    except OSError as error:
        _warn(str(folder), str(error))


def directory() -> Path | None:
    """Return where files are kept, whether that exists or not; None if nowhere."""
    chosen = os.environ.get("CHAINRULE_CACHE")
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # nobody's home
        return None
    return Path(base) / "chainrule"


def trim(folder: Path, bound: int = BOUND) -> None:
    """Delete what was not used for the longest time, until the rest is within the bound."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((SUFFIX, UNFINISHED)):
                with suppress(OSError):  # gone since: another process does the same
                    state = entry.stat()
                    found.append((state.st_mtime_ns, state.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= bound:
            return
        with suppress(OSError):
            Path(path).unlink()
        total -= size


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            if sys.platform != "win32" and os.fstat(file.fileno()).st_uid != os.getuid():
                return None  # what somebody else has put there would be run as code
            data = file.read()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(path)  # used now
    return data


def _write(folder: Path, name: str, data: bytes) -> None:
    # Complete or not at all, whoever else reads or writes it now.
    path = folder / f"{name}{SUFFIX}"
    handle, part = mkstemp(suffix=UNFINISHED, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(part).replace(path)
    except OSError:
        with suppress(OSError):
            Path(part).unlink()
        if not path.exists():  # Windows replaces no file that somebody reads: it is as good
            raise


def _seal(name: str, data: bytes) -> bytes:
    return MAGIC + blake2b(data, key=bytes.fromhex(name), digest_size=32).digest()


@cache
def _environment() -> str | None:
    # Of the processor because numbers are computed while a function is traced, too.
    made_by = sources.version()
    if made_by is None:
        return None
    python = (sys.implementation.name, sys.version, sys.platform, sys.flags.optimize)
    return repr((made_by, python, np.__version__, _processor()))


def _processor() -> Any:
    try:
        from .machine import identity  # noqa: PLC0415  (seldom wanted)
    except ImportError:
        return platform.machine(), platform.processor()
    return identity()


def _warn(folder: str, problem: str) -> None:
    global _warned  # noqa: PLW0603  (once in a process)
    if _warned:
        return
    _warned = True
    message = (
        f"compiled programs can't be kept in {folder} ({problem}): they will be compiled again in "
        "the next run; set CHAINRULE_CACHE to a directory, or to nothing to keep none"
    )
    warnings.warn(message, RuntimeWarning, stacklevel=2)
