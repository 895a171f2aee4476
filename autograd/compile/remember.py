"""Traces of earlier runs: found again by what the function is, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from autograd import scopes

from . import cache
from .fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autograd.value import Value

    from .options import Options
    from .structure import Structure
    from .trace import Traced

KEPT = 16  # ways through one function for one structure of its arguments, the latest first


class _Identity(NamedTuple):
    name: str
    leaves: list[Value]


def recall(f: Any, structures: Sequence[Structure], options: Options) -> list[Traced]:
    """Return the traces of f, as it is now, that earlier runs have made."""
    identity = _identity(f, structures, options)
    if identity is None:
        return []
    leaves = identity.leaves
    return [
        traced._replace(captured=[leaves[i] for i in traced.captured])
        for traced in cache.get(identity.name) or []
    ]


def remembered(
    f: Any, structures: Sequence[Structure], options: Options, make: Callable[[], Traced]
) -> Traced:
    """Return the trace that `make` makes of f, and keep it for later runs."""
    before = _identity(f, structures, options)
    traced = make()
    after = before and _identity(f, structures, options)
    if before is None or after is None or not _same(before, after):
        return traced  # f isn't what it was: tracing it has changed what it depends on
    place = {x: i for i, x in enumerate(after.leaves)}
    if all(x in place for x in traced.captured):
        captured: list[Any] = [place[x] for x in traced.captured]
        kept = traced._replace(captured=captured)
        others = cache.get(after.name) or []
        cache.put(after.name, [kept, *others[: KEPT - 1]])
    return traced


def _identity(f: Any, structures: Sequence[Structure], options: Options) -> _Identity | None:
    if not options.cache or cache.directory() is None:
        return None
    told = fingerprint(f)
    if told is None:
        return None
    wanted = (options.rows, options.reduce is not None, options.exact, scopes.path_or_none())
    name = cache.key("trace", told.digest, tuple(structures), wanted)
    return None if name is None else _Identity(name, told.leaves)


def _same(before: _Identity, after: _Identity) -> bool:
    pairs = zip(before.leaves, after.leaves, strict=False)
    return before.name == after.name and all(x is y for x, y in pairs)
