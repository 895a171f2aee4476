"""What a compiled gradient costs, on us, on C written by hand and on the peers installed.

    python benchmarks/compile.py [--rounds N] [--cases A,B] [--engines A,B] [--peers DIRECTORY]
                                 [--install] [--limit SECONDS] [--quick]

All is float64 on one thread, from the same numbers (compile_cases.py). The cases:

- moons: MLP 2-16-16-1, relu, max-margin loss and 1e-4 times the sum of squares, value and gradient
  of 337 parameters on 100 rows;
- digits: MLP 64-32-10, tanh, softmax cross-entropy, 2410 parameters, on 100 rows and on 1797;
- rosenbrock: value and gradient at a point of 10 and of 1000 numbers;
- compile: from the function to the first result, with nothing cached; of moons, of digits and of
  irregular graphs (a value of add, mul, sub, div and a few tanh and exp, about 110 deep or, `deep`,
  an eighth of their operations), with what an operation costs afterwards;
- again: the same where an earlier process has left a cache, in a fresh process, after its imports.

Those two are in processor time, that of gcc included, which other programs on the machine disturb
less; `elapsed` is the best by the clock on the wall.

A line is an engine and how it is called: `bound` to buffers that stay, or `called` with arrays or a
list. `in C` is a loop in C, without the call from Python. The C is compile_by_hand.c, compiled with
-march=native. Times are in microseconds: the best of all rounds and the median of the rounds'
medians; `ours/best` is our best line's time over this line's, small where we are fast.

Every measurement is a process of its own, after a call to warm up, and rounds go through all lines
in turn. The value and the gradient of every process must agree with those of C to 1e-9 of the
largest number. Peers are taken from virtual environments in DIRECTORY, or else from this Python;
`--install` makes those that are missing. What takes longer than `--limit` is given up, and so are
larger graphs on that line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from importlib import import_module
from math import inf, isnan
from pathlib import Path
from statistics import median as middle
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

from common import ROOT, aim, best, installed, machine, median, table, worker
from compile_cases import Floats, Graph, case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common import Job, Result
    from compile_cases import Prepared

    Results = dict[str, list[Result]]

SCRIPT = Path(__file__).resolve()
TOLERANCE = 1e-9
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


class Engine(NamedTuple):
    """Where an engine's builder is, what it imports, and the environment that it comes from."""

    builder: str
    imports: tuple[str, ...]
    environment: str = ""
    requirements: tuple[str, ...] = ()


ENGINES = {
    "ours": Engine("compile_ours.ours", ("autograd", "numpy", "llvmlite.binding")),
    "c": Engine("compile_c.by_hand", ()),
    "numpy": Engine("compile_arrays.numpy", ("numpy",)),
    "torch": Engine("compile_arrays.torch", ("torch",), "torch", ("torch==2.13.0",)),
    "jax": Engine("compile_arrays.jax", ("jax", "jax.numpy"), "jax", ("jax", "jaxlib")),
    "pytensor": Engine(
        "compile_arrays.pytensor", ("pytensor", "pytensor.tensor"), "pytensor", ("pytensor",)
    ),
    "casadi": Engine("compile_scalars.casadi", ("casadi", "numpy"), "casadi", ("casadi",)),
    "ddx": Engine("compile_scalars.ddx", ("ddx", "numpy"), "ddx", ("ddx-ad", "numpy")),
    "symengine": Engine(
        "compile_scalars.symengine", ("symengine", "numpy"), "symengine", ("symengine", "numpy")
    ),
}


class Line(NamedTuple):
    """A line of a table: an engine, the style in which its builder makes the case, and a loop."""

    engine: str
    style: str = ""
    in_c: bool = False


OURS = {"ours, bound": Line("ours", "bound"), "ours, called": Line("ours", "called")}
C = {
    "C -O3": Line("c", "-O3"),
    "C -O3, in C": Line("c", "-O3", in_c=True),
    "C -ffast-math": Line("c", "-ffast-math"),
    "C -ffast-math, in C": Line("c", "-ffast-math", in_c=True),
    "C tuned -O3": Line("c", "tuned -O3"),
    "C tuned -ffast-math": Line("c", "tuned -ffast-math"),
}
ARRAYS = {
    "numpy by hand": Line("numpy"),
    "torch": Line("torch"),
    "jax.jit": Line("jax"),
    "pytensor": Line("pytensor"),
}
SCALARS = {
    "casadi, bound": Line("casadi", "bound"),
    "casadi C, bound": Line("casadi", "C bound"),
    "casadi C, called": Line("casadi", "C called"),
    "ddx, interpreted": Line("ddx", "interpreted"),
    "ddx, compiled": Line("ddx", "compiled"),
}
SYMENGINE = {"symengine LLVM": Line("symengine")}
PEERS = {**ARRAYS, **SCALARS, **SYMENGINE}

CALLS = {
    "moons": "moons 100",
    "digits": "digits 100",
    "digits1797": "digits 1797",
    "rosenbrock10": "rosenbrock 10",
    "rosenbrock1000": "rosenbrock 1000",
}
GRAPHS = ("irregular 1000", "irregular 10000", "deep 10000", "irregular 100000", "deep 100000")
NETWORKS = ("moons 100", "digits 100")
COMPILERS = ("ours, bound", "C -O3", "jax.jit", "pytensor", "casadi C, bound", "ddx, compiled")
OF_GRAPHS = ("ours, bound", "jax.jit", *SCALARS)
CACHES = {
    "ours": Line("ours", "cached"),
    "C -O3": Line("c", "-O3"),
    "jax.jit": Line("jax"),
    "pytensor": Line("pytensor"),
    "ddx, compiled": Line("ddx", "compiled"),
}
CASES = (*CALLS, "compile", "again")


# --- the worker: one measurement ------------------------------------------------------------------


def do(job: Job) -> Result:
    """Make a case ready, the imports before the clock starts; measure, and return its numbers."""
    engine, scratch = ENGINES[job["engine"]], Path(job["scratch"])
    begin = processor_time()
    for module in engine.imports:
        import_module(module)
    imported = processor_time()
    module, _, name = engine.builder.partition(".")
    build = getattr(import_module(module), name)
    each = case(job["case"])
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))
    start, worked = perf_counter(), processor_time()
    prepared = build(each, job["style"], scratch)
    prepared.call()
    result = {"imports": imported - begin, "first": processor_time() - worked}
    result |= {"elapsed": perf_counter() - start, "numbers": prepared.result()}
    if job["seconds"]:
        result |= time_calls(prepared, job["seconds"], in_c=job["in_c"])
    if isinstance(each.data, Graph):
        result["operations"] = len(each.data.operations)
    return result


def processor_time() -> float:
    """Return the seconds that this process has computed, and those that it has waited for."""
    times = os.times()
    return process_time() + times.children_user + times.children_system


def time_calls(prepared: Prepared, seconds: float, *, in_c: bool) -> Result:
    """Return the best and the median of samples of half a millisecond or one call, in µs."""
    repeat = prepared.loop if in_c else _python_loop(prepared)
    times = 1
    while (took := _sample(repeat, times)) < 0.5e-3:  # noqa: PLR2004  (see the docstring)
        times = max(2 * times, int(times * 0.5e-3 / max(took, 1e-7)))
    samples = [_sample(repeat, times) for _ in range(5)]
    end = perf_counter() + seconds
    while perf_counter() < end:
        samples.append(_sample(repeat, times))
    each = [sample / times * 1e6 for sample in samples]
    return {"best": min(each), "median": middle(each)}


def _python_loop(prepared: Prepared) -> Any:
    call = prepared.call

    def repeat(times: int) -> None:
        for _ in range(times):
            call()

    return repeat


def _sample(repeat: Any, times: int) -> float:
    begin = perf_counter()
    repeat(times)
    return perf_counter() - begin


# --- the parent: engines and their environments ---------------------------------------------------


def interpreter(peers: Path, environment: str) -> Path:
    """Return the Python of a peer's virtual environment."""
    return peers / environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(peers: Path) -> None:
    """Make the virtual environments that are missing."""
    for engine in ENGINES.values():
        if engine.environment and not interpreter(peers, engine.environment).exists():
            venv.create(peers / engine.environment, with_pip=True)
            python = str(interpreter(peers, engine.environment))
            command = [python, "-m", "pip", "install", "--quiet", *engine.requirements]
            if subprocess.run(command, check=False).returncode:
                print(f"{engine.environment}: not installed, see pip's message above")


def pythons(peers: Path, wanted: Sequence[str]) -> dict[str, str]:
    """Return the Python of each engine that is there; say which aren't."""
    found = {}
    for name in wanted:
        engine = ENGINES[name]
        python = interpreter(peers, engine.environment)
        if engine.environment and python.exists():
            found[name] = str(python)
        elif all(installed(module.partition(".")[0]) for module in engine.imports):
            found[name] = sys.executable
        else:
            print(f"{name}: not installed, left out")
    return found


class Bench(NamedTuple):
    """How to measure: each engine's Python, rounds, seconds of calls per round, and the limit."""

    pythons: Mapping[str, str]
    rounds: int
    seconds: float
    limit: float
    scratch: Path

    def ask(self, job: Job) -> Result:
        """Return the result of a job, done by the engine's Python; {"error": why} if it fails."""
        command = [self.pythons[job["engine"]], str(SCRIPT), "--job", json.dumps(job)]
        # Where an engine that isn't told the directory of its cache has it.
        caches = {"XDG_CACHE_HOME": job["scratch"]}
        caches |= {"PYTENSOR_FLAGS": f"base_compiledir={job['scratch']}"}
        # Only ours must see this checkout: HIPS' package, in a peer's Python, has our import name.
        path = {"PYTHONPATH": str(ROOT) if job["engine"] == "ours" else ""}
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **ONE_THREAD, **caches, **path},
                capture_output=True,
                text=True,
                timeout=self.limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"more than {self.limit:g} s"}
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
        result: Result = json.loads(done.stdout.splitlines()[-1])
        return result

    def measure(self, lines: Mapping[str, Line], name: str, *, fresh: bool = False) -> Results:
        """Return every round's results of the lines whose engines are there.

        The rounds share what an engine has stored, unless each is to begin `fresh`.
        """
        there = {title: line for title, line in lines.items() if line.engine in self.pythons}
        results: Results = {title: [] for title in there}
        for _ in range(self.rounds):
            for title, line in there.items():
                if any("error" in each for each in results[title]):
                    continue
                results[title].append(self.ask(self._job(line, name, fresh=fresh)))
        return results

    def _job(self, line: Line, name: str, *, fresh: bool) -> Job:
        stored = self.scratch / f"{line.engine} {line.style} {name}"
        stored.mkdir(exist_ok=True)
        scratch = tempfile.mkdtemp(dir=stored) if fresh else str(stored)
        return {"case": name, "scratch": scratch, "seconds": self.seconds, **line._asdict()}


# --- the parent: what is printed ------------------------------------------------------------------


def agree(name: str, results: Results) -> bool:
    """Print how far the results of all processes are from others than ours; false if too far.

    A graph is compared with what it comes to on Python's floats. False, too, where ours failed.
    """
    done = good(results)
    failed = any(title.startswith("ours") for title in results.keys() - done.keys())
    if not done:
        return not failed
    graph = case(CALLS.get(name, name)).data
    if isinstance(graph, Graph):
        first, expected = "Python", [graph.record(graph.inputs, Floats)]
    else:
        first = next((title for title in done if not title.startswith("ours")), next(iter(done)))
        expected = done[first][0]["numbers"]
    scale = max(map(abs, expected))
    worst = {
        title: max(_distance(expected, result["numbers"]) for result in each) / scale
        for title, each in done.items()
    }
    figures = (
        f"{len(done)} lines, {len(expected)} numbers, off by {max(worst.values()):.1g} at most"
    )
    print(f"{name}: {figures}")
    wrong = [title for title, distance in worst.items() if distance > TOLERANCE]
    for title in wrong:
        print(f"{name}, {title}: DIFFERENT results from those of {first}")
    return not wrong and not failed


def _distance(expected: list[float], numbers: list[float]) -> float:
    if len(expected) != len(numbers) or any(map(isnan, numbers)):
        return inf
    return max(abs(a - b) for a, b in zip(expected, numbers, strict=True))


def good(results: Results) -> Results:
    """Return the lines on which nothing failed."""
    return {
        title: each
        for title, each in results.items()
        if each and not any("error" in result for result in each)
    }


def failures(results: Results) -> list[str]:
    """Return what to say of the lines that failed."""
    texts = []
    for title, each in results.items():
        errors = [result["error"] for result in each if "error" in result]
        texts += [f"{title}: failed, {error}" for error in errors[:1]]
    return texts


def _figure(number: float) -> str:
    return f"{number:,.3f}" if number < 10 else f"{number:,.1f}"  # noqa: PLR2004  (digits shown)


def print_calls(name: str, results: Results) -> None:
    """Print the table of one case."""
    lines = good(results)
    ours = [best(each, "best") for title, each in lines.items() if title in OURS]
    rows = []
    for title, each in sorted(lines.items(), key=lambda item: best(item[1], "best")):
        fastest = best(each, "best")
        ratio = f"{min(ours) / fastest:.2f}" if ours else "-"
        rows.append([title, _figure(fastest), _figure(median(each, "median")), ratio])
    head = [f"{name}: µs per call", "best", "median", "ours/best"]
    print("\n" + "\n".join([table(head, rows), *failures(results)]), end="\n\n")


def ratio_aims(name: str, results: Results) -> list[str]:
    """Return the aims of one case, as ratios of our best time bound to buffers to others'."""
    wanted = {
        "moons": (("C -O3", "C tuned -O3"), 0.6, 0.6),
        "digits": (("C -ffast-math", "C tuned -ffast-math"), 0.8, 0.8),
        "digits1797": (("numpy by hand",), 0.8, None),
        "rosenbrock10": (("casadi C, bound",), 1.0, None),
        "rosenbrock1000": (("C -O3", "C -O3, in C"), 1.5, None),
    }
    (rivals, limit, of_peers), lines = wanted[name], good(results)
    missing = [title for title in ("ours, bound", *rivals) if title not in lines]
    if missing:
        return [f"aim: {name}: not measured, for want of {' and '.join(missing)}"]
    ours = best(lines["ours, bound"], "best")
    texts = [
        aim(f"{name}, ours over {rival}", ours / best(lines[rival], "best"), limit)
        for rival in rivals
    ]
    peers = {title: best(each, "best") for title, each in lines.items() if title in PEERS}
    if of_peers and peers:
        fastest = min(peers, key=peers.__getitem__)
        what = f"{name}, ours over every peer, the fastest is {fastest}"
        texts.append(aim(what, ours / peers[fastest], of_peers))
    return texts


def run_calls(bench: Bench, name: str) -> tuple[list[str], bool]:
    """Measure one case and print its table; return its aims and whether results agree."""
    networks = {**OURS, **C, **ARRAYS, **SCALARS}
    lines = networks if name in {"moons", "digits", "digits1797"} else {**networks, **SYMENGINE}
    results = bench.measure(lines, CALLS[name])
    same = agree(name, results)
    print_calls(name, results)
    return ratio_aims(name, results), same


def run_compile(bench: Bench, names: Sequence[str]) -> tuple[list[str], bool]:
    """Measure how long compiling takes; print a table per case; return aims and agreement."""
    limits = {"moons 100": 0.15, "digits 100": 0.4, "irregular 100000": 3.0}
    each_operation = {"irregular 1000": 1.5, "irregular 10000": 1.5, "irregular 100000": 7.0}
    aims, same, given_up = [], True, set()
    for name in names:
        every = {**OURS, **C, **PEERS}
        titles = COMPILERS if name in NETWORKS else OF_GRAPHS
        # A line that has failed on a graph is spared the larger ones.
        lines = {title: every[title] for title in titles if title not in given_up}
        results = bench.measure(lines, name, fresh=True)
        given_up |= results.keys() - good(results).keys() if name not in NETWORKS else set()
        same &= agree(name, results)
        print_compile(name, results, sorted(given_up - results.keys()))
        ours = good(results).get("ours, bound")
        if ours and name in limits:
            figure = best(ours, "first")
            aims.append(aim(f"compile {name}, seconds", figure, limits[name]))
        if ours and name in each_operation:
            figure = per_operation(ours, best)
            aims.append(aim(f"{name}, ns per operation", figure, each_operation[name]))
        if not ours and name in {*limits, *each_operation}:
            aims.append(f"aim: compile {name}: not measured, ours is missing")
    return aims, same


def per_operation(results: list[Result], which: Any) -> float:
    """Return the nanoseconds that an operation of a graph costs."""
    key = "best" if which is best else "median"
    return float(1e3 * which(results, key) / results[0]["operations"])


def print_compile(name: str, results: Results, given_up: Sequence[str]) -> None:
    """Print the table of what compiling one case took."""
    lines = good(results)
    ours = lines.get("ours, bound")
    rows = []
    for title, each in sorted(lines.items(), key=lambda item: best(item[1], "first")):
        seconds = best(each, "first")
        ratio = f"{best(ours, 'first') / seconds:.2f}" if ours else "-"
        cells = [f"{seconds:.3f}", f"{median(each, 'first'):.3f}", ratio]
        cells += [f"{best(each, 'elapsed'):.3f}"]
        if "operations" in each[0]:
            cells += [f"{per_operation(each, which):.2f}" for which in (best, median)]
        rows.append([title, *cells])
    head = [f"compile {name}: seconds", "best", "median", "ours/best", "elapsed"]
    head += [] if name in NETWORKS else ["ns/operation", "median"]
    texts = failures(results) + [f"{each}: left out, failed on a smaller one" for each in given_up]
    print("\n" + "\n".join([table(head, rows), *texts]), end="\n\n")


def run_again(bench: Bench) -> tuple[list[str], bool]:
    """Measure a program's second run, the first one having filled the cache; print the table."""
    scratch = bench.scratch / "again"
    scratch.mkdir()
    again = bench._replace(seconds=0.0, scratch=scratch)
    before = again._replace(rounds=1)
    same, aims = True, []
    for name in NETWORKS:
        cold = before.measure(CACHES, name)
        results = again.measure(CACHES, name)
        same &= agree(name, results)
        lines, rows = good(results), []
        for title, each in lines.items():
            figures = [f(each, "first") for f in (best, median)] + [best(cold[title], "first")]
            figures += [best(each, "elapsed"), best(each, "imports")]
            rows.append([title, *(f"{1e3 * figure:,.1f}" for figure in figures)])
        head = [f"{name} again: ms", "best", "median", "first run", "elapsed", "imports"]
        print("\n" + "\n".join([table(head, rows), *failures(results)]), end="\n\n")
        if "ours" in lines:
            figure = 1e3 * best(lines["ours"], "first")
            aims.append(aim(f"{name} again, ms after imports", figure, 20.0))
        else:
            aims.append(f"aim: {name} again: not measured, ours is missing")
    return aims, same


def run(bench: Bench, cases: Sequence[str], *, quick: bool) -> int:
    """Measure and print all; the status is 1 where ours failed or results differ."""
    aims, same = [], True
    for name in cases:
        if name == "compile":
            names = ("moons 100", "irregular 1000") if quick else (*NETWORKS, *GRAPHS)
            some = bench._replace(rounds=min(bench.rounds, 3))  # minutes for some of the peers
            more, agreed = run_compile(some, names)
        elif name == "again":
            more, agreed = run_again(bench)
        else:
            more, agreed = run_calls(bench, name)
        aims += more
        same &= agreed
    print("\n".join(aims))
    return 0 if same else 1


def main() -> int:
    """Read the options, find the engines and measure; return the status of `run`."""
    parser = argparse.ArgumentParser(description="Compiled gradients, side by side.")
    place = Path(tempfile.gettempdir()) / "chainrule-peers"
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (7)")
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {','.join(CASES)} (all)")
    parser.add_argument(
        "--engines", default=",".join(ENGINES), help=f"of {','.join(ENGINES)} (all)"
    )
    parser.add_argument("--peers", type=Path, default=place, help=f"where they are ({place})")
    parser.add_argument("--install", action="store_true", help="make the environments missing")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a process (60)")
    parser.add_argument("--quick", action="store_true", help="one round of few calls")
    options = parser.parse_args()
    cases, engines = options.cases.split(","), options.engines.split(",")
    for unknown in [*(set(cases) - set(CASES)), *(set(engines) - ENGINES.keys())]:
        parser.error(f"{unknown} is neither a case nor an engine; see --help")
    if options.install:
        install(options.peers)
    print(machine())
    rounds, seconds = (1, 0.01) if options.quick else (max(1, options.rounds), 0.2)
    with tempfile.TemporaryDirectory() as scratch:
        found = pythons(options.peers, engines)
        bench = Bench(found, rounds, seconds, options.limit, Path(scratch))
        return run(bench, cases, quick=options.quick)


if __name__ == "__main__":
    if not worker(do):
        sys.exit(main())
