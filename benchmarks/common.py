"""What the benchmarks share: a process of its own for each measurement, rounds, a table.

A benchmark's script plays two parts. Started by a person it is the parent: it deals out jobs and
prints. Started with `--job JSON` it is a worker: it does that one job and prints its result as
JSON, so that no engine sees another one's imports, heap or garbage.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent

Job = dict[str, Any]
Result = dict[str, Any]


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def machine() -> str:
    """Return the line that says which Python this is and on which machine."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = f"{os.cpu_count()} cores"
    return f"{python}, {platform.system()} {platform.machine()}, {processor()}, {cores}"


def installed(package: str) -> bool:
    """Say whether a peer can be imported, without importing it."""
    return find_spec(package) is not None


def run_job(script: Path, job: Job) -> Result:
    """Return the result of `job`, done by `script` in a process of its own.

    A worker that dies gives {"error": the last line it wrote}.
    """
    # This checkout comes first, whatever is installed under the name autograd.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, str(script), "--job", json.dumps(job)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"error": lines[-1]}
    result: Result = json.loads(done.stdout)
    return result


def run_rounds(script: Path, jobs: Mapping[str, Job], rounds: int) -> dict[str, list[Result]]:
    """Return every round's result by the job's name.

    Each round does each job once, one after the other, so that a busy spell of the machine slows
    all of them. A job's own `rounds` bounds its number; one that failed isn't repeated.
    """
    results: dict[str, list[Result]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, job in jobs.items():
            failed = any("error" in result for result in results[name])
            if number < job.get("rounds", rounds) and not failed:
                results[name].append(run_job(script, job))
    return results


def worker(do: Callable[[Job], Result]) -> bool:
    """Do the job on the command line and print its result; false if there is none."""
    if sys.argv[1:2] != ["--job"]:
        return False
    print(json.dumps(do(json.loads(sys.argv[2]))))
    return True


def best(results: Sequence[Result], key: str) -> float:
    """Return the smallest of all rounds: what the work costs."""
    return float(min(result[key] for result in results))


def median(results: Sequence[Result], key: str) -> float:
    """Return the median of all rounds: what a user meets."""
    return float(statistics.median(result[key] for result in results))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as text, the first column flush left and the numbers flush right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for first, *others in lines:
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        text.append("  ".join([first.ljust(widths[0]), *numbers]))
    return "\n".join(text)


def aim(what: str, figure: float, limit: float) -> str:
    """Return the line that says whether `figure` is at most `limit`."""
    verdict = "met" if figure <= limit else "NOT MET"
    return f"aim: {what} <= {limit:g}: {figure:.3g}, {verdict}"
