"""How a mistake is planted: by another attribute, or by an edit of a function's source.

An edited function is compiled and its code put in the place of the old one, so that whoever has
imported the function runs the mutant.
"""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Plant = Callable[[], contextlib.AbstractContextManager[None]]

RECORD_CHECK = "check_gradients_finds_a_record_right"
KINK_CHECK = "check_gradients_finds_a_subgradient_right"
OWN_CHECK = "check_gradients_finds_our_gradients_right"
WAY_CHECK = "check_gradients_finds_each_way_to_a_gradient_right"
STALE_CHECK = "check_gradients_finds_a_gradient_right_or_it_is_refused_after_a_change"


class StaleMutantError(LookupError):
    """The text that a mutant changes isn't there any more."""


class Mutant(NamedTuple):
    """A mistake: how to plant it, and who is expected to catch it.

    `laws` are those of the suite, `checks` those that ask `check_gradients`. To the ones in `blind`
    the mistake is none, and `why` says why not.
    """

    name: str
    plant: Plant
    laws: tuple[str, ...]
    checks: tuple[str, ...]
    operation: str = ""
    blind: tuple[str, ...] = ()
    why: str = ""

    @property
    def catchers(self) -> tuple[str, ...]:
        """All that are expected to catch it."""
        return self.laws + self.checks


@contextlib.contextmanager
def changed(thing: Any, attribute: str, new: Any) -> Iterator[None]:
    """Give a thing another attribute for a while."""
    old = getattr(thing, attribute)
    setattr(thing, attribute, new)
    try:
        yield
    finally:
        setattr(thing, attribute, old)


def code_with(function: Any, edits: Sequence[tuple[str, str, int]]) -> CodeType:
    """Return a function's code after edits of its source, each (old text, new text, occurrence)."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new, occurrence in edits:
        parts = source.split(old)
        if len(parts) <= occurrence:
            message = f"{function.__qualname__} has changed: {old!r} isn't in it; edit the mutant"
            raise StaleMutantError(message)
        source = old.join(parts[:occurrence]) + new + old.join(parts[occurrence:])
    source = "from __future__ import annotations\n" + source
    module = compile(source, f"<mutant of {function.__qualname__}>", "exec")
    return next(
        part
        for part in module.co_consts
        if isinstance(part, CodeType) and part.co_name == function.__name__
    )


def edited(  # noqa: PLR0913  (the record of a mutant, most of it seldom given)
    law: str | tuple[str, ...],
    name: str,
    function: Any,
    *edits: tuple[str, str] | tuple[str, str, int],
    check: str = OWN_CHECK,
    unseen: str = "",
    operation: str = "",
    then: Callable[[], None] = lambda: None,
) -> Mutant:
    """Return the mutant of a function; `then` is called once it is planted, and once it is gone.

    `unseen` says why it changes no derivative that `check_gradients` could judge.
    """

    @cache  # a mutant is planted once for every call of its laws
    def code() -> CodeType:
        full = [(old, new, *(place or (1,))) for old, new, *place in edits]
        return code_with(function, full)

    @contextlib.contextmanager
    def plant() -> Iterator[None]:
        with changed(function, "__code__", code()):
            then()
            try:
                yield
            finally:
                function.__code__ = original
                then()

    original = function.__code__
    laws = (law,) if isinstance(law, str) else law
    checks, blind = ((), (OWN_CHECK, WAY_CHECK, STALE_CHECK)) if unseen else ((check,), ())
    return Mutant(name, plant, laws, checks, operation, blind, unseen)


def seen_on_kinks(mutant: Mutant) -> Mutant:
    """Return the mutant of a subgradient that a gradient on the kink shows, too."""
    return mutant._replace(checks=(RECORD_CHECK, KINK_CHECK))


SUBGRADIENT = "it lies between the slopes on the two sides, so it is a subgradient as well"


def blind_on_kinks(mutant: Mutant, why: str = SUBGRADIENT) -> Mutant:
    """Return the mutant of a subgradient that only the record's declaration shows to be wrong."""
    return mutant._replace(blind=(KINK_CHECK,), why=why)
