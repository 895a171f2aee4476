"""What recording operations and differentiating them costs, on us and on the peers installed.

    python benchmarks/eager.py [--rounds N] [--quick]

First all engines differentiate the same small graph, and the gradients must agree. Then four
tables, each with its aims beside it; times are nanoseconds per operation that the user writes:

- mixed: add, mul, sub, div and pow on 900 values near 1, about 110 deep;
- growth: the same forward passes at rising sizes, with Python's cyclic collector on and off;
- dot: 64 pairs as one node against the same sum of mul and add nodes;
- chain: mul and add in turn, each on the one before.

A table's `forward` and `backward` are those of the round with the best total; `total` is their sum
and leaves out making the leaves and freeing the graph. `bytes/op` is how much the resident memory
of the process has grown after the backward pass; what tracemalloc counts, in a run of its own, is
printed below, and doesn't see memory that belongs to C++. `collector off` is `gc.disable()`.
Every measurement has a process of its own, after a small one to warm up; `--quick` does one round
at small sizes, to see that all of it works.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from itertools import cycle, islice
from math import isclose
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from common import aim, best, installed, machine, median, run_job, run_rounds, table, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from common import Job, Result

SCRIPT = Path(__file__).resolve()
WARM_UP = 2000
WIDTH = 900
PAIRS = 64
TOLERANCE = 1e-9
# The size of the mixed workload and the chain, and the sizes of the growth.
FULL = 10**5, (10**4, 10**5, 10**6)
QUICK = 2000, (2000, 4000, 8000)
# A forward pass "rises" if an operation costs that much more in the largest graph than in the
# smallest: what separates a trend from the difference between two measurements here.
RISE = 1.25
PEERS = {"micrograd": "micrograd", "xad": "xad", "torch": "torch 0-d tensors"}


# --- engines --------------------------------------------------------------------------------------


class Engine(Protocol):
    """What a benchmark asks of an engine."""

    def leaves(self, numbers: Sequence[float]) -> list[Any]:
        """Return one leaf per number."""

    def backward(self, y: Any) -> None:
        """Differentiate `y`."""

    def gradient(self, leaf: Any) -> float:
        """Return ∂y/∂leaf."""


class Plain:
    """Us and micrograd, which have the same interface."""

    def __init__(self, module: str) -> None:
        self.leaf = import_module(module).Value

    def leaves(self, numbers: Sequence[float]) -> list[Any]:
        """Return one leaf per number."""
        return [self.leaf(x) for x in numbers]

    def backward(self, y: Any) -> None:
        """Differentiate `y`."""
        y.backward()

    def gradient(self, leaf: Any) -> float:
        """Return ∂y/∂leaf."""
        return float(leaf.grad)


class Xad:
    """XAD, whose tape is C++; it has to be told what goes in and what comes out."""

    def __init__(self) -> None:
        self.module = import_module("xad.adj_1st")
        self.tape: Any = None

    def leaves(self, numbers: Sequence[float]) -> list[Any]:
        """Return one leaf per number, registered on a fresh tape."""
        if self.tape is not None:
            self.tape.deactivate()  # only now: a leaf asks the active tape for its derivative
        self.tape = self.module.Tape()
        self.tape.activate()
        leaves = [self.module.Real(x) for x in numbers]
        self.tape.registerInputs(leaves)
        self.tape.newRecording()
        return leaves

    def backward(self, y: Any) -> None:
        """Differentiate `y`."""
        self.tape.registerOutput(y)
        y.derivative = 1.0
        self.tape.computeAdjoints()

    def gradient(self, leaf: Any) -> float:
        """Return ∂y/∂leaf."""
        return float(leaf.derivative)


class Torch:
    """torch, with one tensor per scalar."""

    def __init__(self) -> None:
        self.module = import_module("torch")
        self.module.set_num_threads(1)

    def leaves(self, numbers: Sequence[float]) -> list[Any]:
        """Return one leaf per number."""
        kind = {"dtype": self.module.float64, "requires_grad": True}
        return [self.module.tensor(x, **kind) for x in numbers]

    def backward(self, y: Any) -> None:
        """Differentiate `y`."""
        y.backward()

    def gradient(self, leaf: Any) -> float:
        """Return ∂y/∂leaf."""
        return float(leaf.grad)


ENGINES: dict[str, Callable[[], Engine]] = {
    "autograd": lambda: Plain("autograd"),
    "micrograd": lambda: Plain("micrograd.engine"),
    "xad": Xad,
    "torch": Torch,
}


@contextmanager
def _collector_off() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def collector(mode: str) -> AbstractContextManager[None]:
    """Return the context in which a measurement is made: the collector `on`, `off`, or paused."""
    if mode == "no_collector":
        paused: AbstractContextManager[None] = import_module("autograd").no_collector()
        return paused
    return _collector_off() if mode == "off" else nullcontext()


# --- workloads ------------------------------------------------------------------------------------


class Workload(NamedTuple):
    """A computation: its leaves' numbers, how many operations it has, and the function itself."""

    numbers: list[float]
    operations: int
    record: Callable[[list[Any]], Any]


def mixed(size: int) -> Workload:
    """Return about `size` operations of five kinds in a rolling window of `WIDTH` values near 1."""
    steps = max(1, (size - WIDTH + 1) // 5)
    pairs = [(k, (7 * k + 3) % WIDTH) for k in range(WIDTH)]

    def record(leaves: list[Any]) -> Any:
        *w, scale, divisor, offset = leaves
        for k, j in islice(cycle(pairs), steps):
            t = w[k] + w[j]
            t = t * scale
            t = t / divisor
            t = t**0.5
            w[k] = t - offset
        return _total(w)

    numbers = [1.0 + 0.1 * ((37 * k) % WIDTH) / WIDTH for k in range(WIDTH)]
    return Workload([*numbers, 1.02, 0.99, 0.41], 5 * steps + WIDTH - 1, record)


def _total(xs: list[Any]) -> Any:
    # By halves, which keeps the graph as shallow as micrograd's recursion needs it.
    while len(xs) > 1:
        rest = xs[len(xs) & ~1 :]
        xs = [a + b for a, b in zip(xs[::2], xs[1::2], strict=False)] + rest
    return xs[0]


def chain(size: int) -> Workload:
    """Return mul and add in turn, `size` of them, each on the one before."""

    def record(leaves: list[Any]) -> Any:
        y, a, b = leaves
        for _ in range(size // 2):
            y = y * a
            y = y + b
        return y

    return Workload([1.0, 0.999, 0.001], size // 2 * 2, record)


def dot(_: int) -> Workload:
    """Return the dot product of `PAIRS` pairs as one node."""

    def record(leaves: list[Any]) -> Any:
        return import_module("autograd").dot(leaves[:PAIRS], leaves[PAIRS:])

    return Workload(_pairs(), 2 * PAIRS - 1, record)


def nodes(_: int) -> Workload:
    """Return the dot product of `PAIRS` pairs as nodes of mul and add."""

    def record(leaves: list[Any]) -> Any:
        products = [a * b for a, b in zip(leaves[:PAIRS], leaves[PAIRS:], strict=True)]
        total = products[0]
        for product in products[1:]:
            total = total + product
        return total

    return Workload(_pairs(), 2 * PAIRS - 1, record)


def _pairs() -> list[float]:
    return [0.5 + k / PAIRS for k in range(2 * PAIRS)]


WORKLOADS = {"mixed": mixed, "chain": chain, "dot": dot, "nodes": nodes}


# --- the worker: one measurement ------------------------------------------------------------------


def resident() -> int | None:
    """Return the bytes of memory that the process occupies, where the system tells it."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * import_module("resource").getpagesize()  # type: ignore[no-any-return]


def differentiate(engine: Engine, workload: Workload) -> Result:
    """Record and differentiate once; return times and memory per operation, and the gradients."""
    leaves = engine.leaves(workload.numbers)
    gc.collect()
    resident_before, traced_before = resident(), tracemalloc.get_traced_memory()[0]
    times = [perf_counter_ns()]
    y = workload.record(leaves)
    times.append(perf_counter_ns())
    engine.backward(y)
    times.append(perf_counter_ns())
    grown = (resident() or 0) - (resident_before or 0)
    traced = tracemalloc.get_traced_memory()[0] - traced_before
    each = workload.operations
    return {
        "forward": (times[1] - times[0]) / each,
        "backward": (times[2] - times[1]) / each,
        "total": (times[2] - times[0]) / each,
        "resident": None if resident_before is None else grown / each,
        "traced": traced / each,
        "gradients": [engine.gradient(leaf) for leaf in leaves],
    }


def do(job: Job) -> Result:
    """Do one job in this process, after a small one to warm up; of `repeat` passes, the best."""
    make = WORKLOADS[job["workload"]]
    workload, small = make(job["size"]), make(min(job["size"], WARM_UP))
    engine = ENGINES[job["engine"]]()
    repeat = job.get("repeat", 1)
    try:
        differentiate(engine, small)
        if job.get("trace"):
            tracemalloc.start()
        with collector(job["collector"]):
            passes = [differentiate(engine, workload) for _ in range(repeat)]
    except RecursionError:
        return {"error": "RecursionError"}
    result = min(passes, key=lambda each: each["total"])
    if repeat > 1:
        result["resident"] = None  # a later pass lives in the memory of the one before
    return result if job.get("gradients") else {**result, "gradients": None}


# --- the parent: what is printed ------------------------------------------------------------------


def jobs_for(engines: Sequence[str], workload: str, size: int) -> dict[str, Job]:
    """Return the jobs of one workload by the name that the table gives them."""
    modes = {
        "autograd": ["on", "off", "no_collector"],
        "micrograd": ["on", "off"],
    }
    jobs: dict[str, Job] = {}
    for engine in engines:
        for mode in modes.get(engine, ["on"]):
            name = f"{PEERS.get(engine, engine)}, collector {mode}"
            name = name.replace("collector no_collector", "in no_collector()")
            jobs[name] = {"engine": engine, "workload": workload, "size": size, "collector": mode}
    for name in jobs.keys() & {"micrograd, collector on", "torch 0-d tensors, collector on"}:
        jobs[name]["rounds"] = 3  # seconds each; the others need the time more
    return jobs


def check(engines: Sequence[str], size: int) -> bool:
    """Print how far each peer's gradients are from ours; false if one is too far."""
    base: Job = {"workload": "mixed", "size": size, "collector": "off", "gradients": True}
    results = {engine: run_job(SCRIPT, {**base, "engine": engine}) for engine in engines}
    for engine, result in results.items():
        if "error" in result:
            print(f"{engine}: {result['error']}")
            return False
    ours = results.pop("autograd")["gradients"]
    same = [_compare(engine, ours, each["gradients"]) for engine, each in results.items()]
    return all(same)


def _compare(engine: str, ours: list[float], theirs: list[float]) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    worst = max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs)
    same = all(isclose(a, b, rel_tol=TOLERANCE) for a, b in pairs)
    verdict = "same gradients" if same else "DIFFERENT gradients"
    print(f"{engine}: {verdict}, {len(pairs)} of them, relative difference {worst:.1g} at most")
    return same


def timings(results: dict[str, list[Result]], reference: str) -> str:
    """Return the table of a workload, the last two columns as multiples of the reference."""
    head = ["ns per operation", "forward", "backward", "total best", "total median"]
    head += ["bytes/op", "best/ours", "median/ours"]
    rows, failures = [], []
    for name, each in results.items():
        error = next((result["error"] for result in each if "error" in result), None)
        if error is None:
            rows.append([name, *_cells(each, results[reference])])
        else:
            rows.append([name, "failed", *["-"] * 6])
            failures.append(f"{name}: {error}")
    return "\n".join([table(head, rows), *failures])


def _cells(each: list[Result], unit: list[Result]) -> list[str]:
    top = min(each, key=lambda result: result["total"])
    times = [top["forward"], top["backward"], top["total"], median(each, "total")]
    known = all(result["resident"] is not None for result in each)
    size = f"{median(each, 'resident'):,.0f}" if known else "-"
    ratios = [f(each, "total") / f(unit, "total") for f in (best, median)]
    return [*[f"{x:,.0f}" for x in times], size, *[f"{x:.2f}" for x in ratios]]


def traced(engines: Sequence[str], size: int) -> dict[str, float]:
    """Return the bytes per operation that tracemalloc counts, by engine."""
    job: Job = {"workload": "mixed", "size": size, "collector": "off", "trace": True}
    return {each: run_job(SCRIPT, {**job, "engine": each})["traced"] for each in engines}


def report_mixed(engines: Sequence[str], size: int, rounds: int) -> None:
    """Print times and memory of the mixed workload, and four aims."""
    jobs = jobs_for(engines, "mixed", size)
    results = run_rounds(SCRIPT, jobs, rounds)
    ours = "autograd, collector on"
    print(f"\nmixed: {size:,} operations, about {max(1, size // WIDTH)} deep, {rounds} rounds\n")
    print(timings(results, ours))
    counted = traced(engines, size)
    numbers = ", ".join(f"{engine} {number:,.0f}" for engine, number in counted.items())
    print(f"\nbytes/op that tracemalloc counts: {numbers}\n")
    if "xad, collector on" in results:
        share = best(results[ours], "total") / best(results["xad, collector on"], "total")
        print(aim("collector on, total over xad's", share, 1.0))
    if "micrograd, collector off" in results:
        off = results["autograd, collector off"]
        share = best(off, "total") / best(results["micrograd, collector off"], "total")
        print(aim("collector off, total over micrograd's", share, 0.35))
    known = results[ours][0]["resident"] is not None
    figure = max(counted["autograd"], median(results[ours], "resident") if known else 0.0)
    print(aim("bytes per operation after backward()", figure, 200))


def report_growth(sizes: Sequence[int], rounds: int) -> None:
    """Print our forward pass at rising sizes, and whether it rises."""
    jobs = {
        f"{name}, {size}": {**job, "rounds": 3 if size == sizes[-1] else rounds}
        for size in sizes
        for name, job in jobs_for(["autograd"], "mixed", size).items()
    }
    results = run_rounds(SCRIPT, jobs, rounds)
    names = list(jobs_for(["autograd"], "mixed", sizes[0]))
    print(f"\ngrowth: the forward pass of the mixed workload, ns per operation, {rounds} rounds\n")
    rows = []
    for name in names:
        each = [results[f"{name}, {size}"] for size in sizes]
        cells = [f"{best(r, 'forward'):,.0f} ({median(r, 'forward'):,.0f})" for r in each]
        rows.append([name, *cells])
    print(table(["best (median)", *[f"{size:,}" for size in sizes]], rows), end="\n\n")
    for name in names:
        ends = sizes[0], sizes[-1]
        first, last = (best(results[f"{name}, {size}"], "forward") for size in ends)
        print(aim(f"{name}, largest over smallest", last / first, RISE))


def report_dot(rounds: int) -> None:
    """Print one `dot` node against its sum of nodes, and the aim."""
    one, many = f"dot of {PAIRS} pairs, one node", f"{2 * PAIRS - 1} mul and add nodes"
    job: Job = {"engine": "autograd", "size": 0, "collector": "on", "repeat": 200}
    jobs = {one: {**job, "workload": "dot"}, many: {**job, "workload": "nodes"}}
    results = run_rounds(SCRIPT, jobs, rounds)
    print(f"\ndot: best of 200 passes in each of {rounds} rounds\n")
    print(timings(results, many), end="\n\n")
    share = best(results[one], "total") / best(results[many], "total")
    print(aim("one node over many, forward and backward", share, 0.1))


def report_chain(engines: Sequence[str], size: int, rounds: int) -> None:
    """Print what a deep graph costs; micrograd recurses, and reports so."""
    jobs = jobs_for(engines, "chain", size)
    print(f"\nchain: {size:,} operations deep, {rounds} rounds\n")
    print(timings(run_rounds(SCRIPT, jobs, rounds), "autograd, collector on"))


def main() -> int:
    """Check, measure and print; the status is 1 where gradients differ."""
    parser = argparse.ArgumentParser(description="Recording and differentiating, side by side.")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (7)")
    parser.add_argument("--quick", action="store_true", help="one round at small sizes")
    options = parser.parse_args()
    rounds = 1 if options.quick else max(1, options.rounds)
    size, sizes = QUICK if options.quick else FULL
    engines = ["autograd", *filter(installed, PEERS)]
    print(machine())
    for peer in sorted(PEERS.keys() - set(engines)):
        print(f"{peer}: not installed, left out")
    if not check(engines, sizes[0]):
        return 1
    report_mixed(engines, size, rounds)
    report_growth(sizes, rounds)
    report_dot(rounds)
    report_chain(engines, size, rounds)
    return 0


if __name__ == "__main__":
    if not worker(do):
        sys.exit(main())
