"""What `import autograd` costs over a bare start of Python.

    python benchmarks/startup.py [ROUNDS]

Each round starts a bare interpreter and one that imports autograd, each in a fresh process and one
after the other, so that a busy spell of the machine slows both. The best round says what the
import costs, the median what a user meets.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from time import perf_counter

from common import ROOT, machine

AIM = 30.0
FEWEST_ROUNDS = 15
PROGRAMS = {"bare start": "pass", "import autograd": "import autograd", "import nn": "import nn"}


def milliseconds(program: str, environment: dict[str, str]) -> float:
    """Return how long a fresh interpreter takes to run `program`, its own start included."""
    begin = perf_counter()
    # The working directory is on the path of `-c`, so it is this checkout that is measured.
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    return 1000 * (perf_counter() - begin)


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of every round by the name of the program."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as bytecode:
        # An installed package is compiled already. Where the machine's settings or a read-only
        # checkout keep bytecode from being written, each round would compile it anew.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for program in PROGRAMS.values():
            milliseconds(program, environment)  # compiles, and warms the disk's cache: not counted
        for _ in range(rounds):
            for name, program in PROGRAMS.items():
                times[name].append(milliseconds(program, environment))
    return times


def main() -> None:
    """Measure, and print the table."""
    rounds = max(FEWEST_ROUNDS, *map(int, sys.argv[1:2]), 0)
    times = measure(rounds)
    print(f"{machine()}; {rounds} rounds, ms")
    print(f"{'':16}{'best':>9}{'median':>9}{'best over bare':>16}{'median over bare':>18}")
    bare = times["bare start"]
    for name, each in times.items():
        best, median = min(each), statistics.median(each)
        over = best - min(bare), median - statistics.median(bare)
        print(f"{name:16}{best:9.1f}{median:9.1f}{over[0]:16.1f}{over[1]:18.1f}")
    print(f"aim: import autograd at most {AIM:.0f} ms over a bare start")


if __name__ == "__main__":
    main()
