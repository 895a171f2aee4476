"""Break the engine on purpose, one mistake at a time, and show that the laws notice each.

`python -m tests.mutants` plants the mutants one after another, runs the laws that ought to catch
each, and prints a table. The exit status is 1 if one isn't caught as it ought to be.

Each is for two sides to catch: for laws of the suite, and for `check_gradients`, by a law that asks
it (mutants_checks.py). The exceptions change no derivative, or none that it could know to be wrong;
the table says why, and the checker has to agree.

A law that fails without the mutant has caught nothing, so each is tried on the sound engine too.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import io
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # pytest does it, python -m doesn't

from mutants_compile import compiler
from mutants_engine import engine
from mutants_operations import mutants_of
from mutants_planting import Mutant, StaleMutantError

from autograd import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30  # seconds for one law: a mutant may well loop for ever
ATTEMPTS = 5  # for a law that draws its examples
CHUNK = 16  # mutants that a worker takes at a time: neighbours are judged by the same laws


@cache
def all_mutants() -> list[Mutant]:
    """Return every mutant, in the order of the table."""
    builtin = [operation for operation in REGISTRY.values() if operation.builtin]
    operations = [mutant for operation in builtin for mutant in mutants_of(operation)]
    return [*operations, *engine(), *compiler()]


@cache
def _modules() -> list[Any]:
    # Nothing found here is worth keeping or making smaller, and every run should see the same.
    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415  (a worker's business)

    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    gc.set_threshold(50_000)  # as in conftest.py
    names = "laws", "value", "transforms", "tracing", "compile_equal", "compile_paths"
    return [*(import_module(f"test_{name}") for name in names), import_module("mutants_checks")]


def _law(name: str) -> Any:
    return next(law for m in _modules() if (law := getattr(m, f"test_{name}", None)) is not None)


class _OutOfTimeError(BaseException):
    """Raised by the alarm; no `except Exception` stops it."""


def _alarm(*_: object) -> None:
    raise _OutOfTimeError


def _failure(test: Any, call: dict[str, Any], attempt: int) -> BaseException | None:
    from hypothesis import seed  # noqa: PLC0415  (as above)

    seed(attempt)(test)  # of use to the laws that draw; the others don't look at it
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            contextvars.copy_context().run(test, **call)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (pytest's own are no Exceptions)
        return error
    finally:
        signal.alarm(0)
    return None


def _calls(law: str, operation: str) -> list[dict[str, Any]]:
    # The arguments of pytest's parametrize; those with that operation, if one is named.
    calls: list[dict[str, Any]] = [{}]
    for mark in getattr(_law(law), "pytestmark", []):
        names, rows = mark.args
        names = [names] if isinstance(names, str) else names
        parts = [dict(zip(names, row if len(names) > 1 else (row,), strict=True)) for row in rows]
        calls = [call | part for call, part in product(calls, parts)]
    if operation:
        calls = [call for call in calls if "op" not in call or call["op"].name == operation]
    return calls


_sound: dict[tuple[Any, ...], bool] = {}


def catches(law: str, mutant: Mutant) -> bool:
    """Say whether the law fails with the mutant and holds without."""
    asks = law in mutant.checks + mutant.blind
    # What a law draws changes with any number in the source, since Hypothesis tries those, too: one
    # that had no luck draws again. `check_gradients` needs none.
    attempts = range(1 if asks else ATTEMPTS)
    # Whatever goes wrong in a law of the suite tells. But `check_gradients` has to say by its
    # report that something is wrong: an error in it is no verdict.
    telling = AssertionError if asks else BaseException
    test = _law(law)
    for attempt, call in product(attempts, _calls(law, mutant.operation)):
        with mutant.plant():
            failure = _failure(test, call, attempt)
        if isinstance(failure, telling) and _is_sound(law, call, attempt):
            return True
    return False


def _is_sound(law: str, call: dict[str, Any], attempt: int) -> bool:
    key = (law, attempt, *call.values())
    if key not in _sound:
        _sound[key] = _failure(_law(law), call, attempt) is None
    return _sound[key]


class Verdict(NamedTuple):
    """A mutant's name, the laws that caught it, and what is wrong with that, if something is."""

    mutant: str
    caught_by: tuple[str, ...]
    complaint: str


def judge(number: int) -> Verdict:
    """Try one mutant, and let each of its laws have its say, and those that should have none."""
    mutant = all_mutants()[number]
    try:
        caught_by = tuple(law for law in mutant.catchers + mutant.blind if catches(law, mutant))
    except StaleMutantError as error:
        return Verdict(mutant.name, (), str(error))
    missed = ", ".join(law for law in mutant.catchers if law not in caught_by)
    seen = ", ".join(law for law in mutant.blind if law in caught_by)
    complaints = [f"NOT CAUGHT by {missed}"] if missed else []
    complaints += [f"UNEXPECTED: {seen}, although {mutant.why}"] if seen else []
    return Verdict(mutant.name, caught_by, "; ".join(complaints))


def judge_all() -> Iterator[Verdict]:
    """Yield a verdict for each mutant, in the order of the table."""
    # A fresh interpreter each, since forking a process with threads is asking for trouble.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), mp_context=context) as pool:
        yield from pool.map(judge, range(len(all_mutants())), chunksize=CHUNK)


def main() -> int:
    """Print the table and return the exit status."""
    start = time.monotonic()
    width = max(len(mutant.name) for mutant in all_mutants())
    count = wrong = 0
    for mutant, verdict in zip(all_mutants(), judge_all(), strict=True):
        words = list(filter(None, (", ".join(verdict.caught_by), verdict.complaint)))
        if mutant.why and not verdict.complaint:
            others = ", ".join(mutant.blind) if mutant.checks else "check_gradients"
            words.append(f"not by {others}: {mutant.why}")
        sys.stdout.write(f"{mutant.name:<{width}}  {'; '.join(words)}\n")
        count += 1
        wrong += bool(verdict.complaint)
    seconds = time.monotonic() - start
    sys.stdout.write(f"{count} mutants, {count - wrong} caught as expected ({seconds:.0f} s)\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
