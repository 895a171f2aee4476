"""What drawing costs: time and size of DOT, SVG and the stepper's page, beside two peers.

    python benchmarks/draw.py [--rounds N] [--quick]

The graphs are scoped networks (as `nn` makes them), the same without scopes, and chains; beyond
what is drawn one by one they collapse. Our times include everything from the value on; the layout
is warm: each process has made one small drawing before. `svg` is DOT and layout, `page` the whole
stepper page, which holds a drawing of its own. The peers write SVG by the system's `dot`:

- micrograd's drawing recipe: a record for each value and a node for each operation;
- torchviz: `make_dot` of the same chain in torch.

Every measurement has a process of its own. Times are milliseconds, best and median of the rounds;
sizes are kB. `--quick` does one round at the smallest sizes, to see that all of it works.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from common import ROOT, aim, best, installed, machine, median, run_rounds, table, worker

sys.path.insert(0, str(ROOT))  # this checkout, whatever is installed under the name

import autograd
from autograd import Value, draw, scope, stepper, tanh
from autograd.draw import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from common import Job, Result

SCRIPT = Path(__file__).resolve()
FULL = (10, 100, 1000, 10_000)
QUICK = (10, 100)
AIM = 1000.0  # milliseconds, for the SVG of a thousand values
LIMIT = 60.0  # seconds that a peer's layout may take
PEERS = {
    "micrograd's recipe": ("micrograd", "graphviz"),
    "torchviz": ("torch", "torchviz", "graphviz"),
}


# --- graphs ---------------------------------------------------------------------------------------


def chain(size: int, leaf: Callable[[float], Any] = Value) -> Any:
    """Return the last of `size` values, each from the one before."""
    y = leaf(1.0)
    for _ in range(size - 1):
        y = y.tanh()
    return y


def unscoped(size: int) -> Value:
    """Return the output of a network of about `size` values: layers of five neurons."""
    return _network(size, scoped=False)


def scoped(size: int) -> Value:
    """Return the same with a scope for each layer and each neuron."""
    return _network(size, scoped=True)


def _network(size: int, *, scoped: bool) -> Value:
    xs = [Value(0.1 * i) for i in range(5)]
    for number in range(max(1, size // 80)):
        xs = [_neuron(xs, number, i, scoped=scoped) for i in range(min(5, max(1, size // 17)))]
        xs += [Value(0.5) for _ in range(5 - len(xs))]
    return autograd.sum(xs)


def _neuron(xs: list[Value], number: int, i: int, *, scoped: bool) -> Value:
    if scoped:
        with scope(f"layer{number}"), scope(f"neuron{i}"):
            return _neuron(xs, number, i, scoped=False)
    total = Value(0.1)
    for x in xs:
        total = total + Value(0.3) * x
    return tanh(total)


GRAPHS: dict[str, Callable[[int], Value]] = {
    "scoped": scoped,
    "unscoped": unscoped,
    "chain": chain,
}


# --- what a worker does ---------------------------------------------------------------------------


def do(job: Job) -> Result:
    """Return the times in milliseconds and the sizes in kB of one drawing."""
    if job["who"] == "ours":
        return ours(job)
    return {"micrograd's recipe": recipe, "torchviz": torchviz}[job["who"]](job["size"])


def _timed(work: Callable[[], str]) -> tuple[float, float]:
    begin = perf_counter()
    text = work()
    return 1000 * (perf_counter() - begin), len(text.encode()) / 1000


def ours(job: Job) -> Result:
    """Draw with us, by the engine that the job names."""
    engine = job["engine"]
    _ = stepper(Value(1.0) * 2.0, engine=engine).html  # warm
    y = GRAPHS[job["graph"]](job["size"])
    y.backward()
    result: Result = {"values": draw(y, engine=engine)._picture.values}  # noqa: SLF001
    for name, work in (
        ("dot", lambda: draw(y, engine=engine).dot),
        ("svg", lambda: draw(y, engine=engine).svg),
        ("page", lambda: stepper(y, engine=engine).html),
    ):
        result[name], result[f"{name} size"] = _timed(work)
    return result


def recipe(size: int) -> Result:
    """Draw a chain with micrograd and the recipe of its notebook."""
    graphviz, engine = import_module("graphviz"), import_module("micrograd.engine")
    y = chain(size, engine.Value) if hasattr(engine.Value, "tanh") else _relus(size, engine.Value)

    def written() -> Any:
        graph = graphviz.Digraph(format="svg", graph_attr={"rankdir": "LR"})
        seen, waiting = {y}, [y]  # not by recursion: a chain of 1,000 would end it
        while waiting:
            v = waiting.pop()
            label = f"{{ data {v.data:.4f} | grad {v.grad:.4f} }}"
            graph.node(str(id(v)), label=label, shape="record")
            if v._op:  # noqa: SLF001  (as the recipe has it)
                graph.node(f"{id(v)}{v._op}", label=v._op)  # noqa: SLF001
                graph.edge(f"{id(v)}{v._op}", str(id(v)))  # noqa: SLF001
            for parent in v._prev:  # noqa: SLF001
                graph.edge(str(id(parent)), f"{id(v)}{v._op}")  # noqa: SLF001
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return graph

    return {"values": size} | _peer(written)


def _relus(size: int, leaf: Callable[[float], Any]) -> Any:
    y = leaf(1.0)
    for _ in range(size - 1):
        y = y.relu()
    return y


def torchviz(size: int) -> Result:
    """Draw a chain with torchviz."""
    torch, viz = import_module("torch"), import_module("torchviz")
    x = torch.tensor(1.0, requires_grad=True)
    return {"values": size} | _peer(lambda: viz.make_dot(chain(size, lambda _: x), params={"x": x}))


def _peer(written: Callable[[], Any]) -> Result:
    execute = import_module("graphviz.backend.execute")

    def svg() -> str:
        source = written().source.encode()
        command = ["dot", "-Tsvg"]
        done = execute.run_check(command, input=source, capture_output=True, timeout=LIMIT)
        text: str = done.stdout.decode()
        return text

    result: Result = {}
    result["dot"], result["dot size"] = _timed(lambda: written().source)
    result["svg"], result["svg size"] = _timed(svg)
    return result


# --- what is printed ------------------------------------------------------------------------------

KINDS = ("dot", "svg", "page")
HEAD = ["best (median)", "values", *[cell for kind in KINDS for cell in (f"{kind} ms", "kB")]]


def _cells(results: list[Result]) -> list[str]:
    if "error" in results[-1]:
        return [results[-1]["error"][:40], *[""] * (len(HEAD) - 2)]
    cells = [f"{results[0]['values']:,}"]
    for kind in KINDS:
        there = kind in results[0]
        time = f"{best(results, kind):,.1f} ({median(results, kind):,.1f})" if there else ""
        cells += [time, f"{best(results, f'{kind} size'):,.0f}" if there else ""]
    return cells


def missing() -> dict[str, str]:
    """Return the peers that can't run here, and what they lack."""
    found: dict[str, str] = {}
    for peer, packages in PEERS.items():
        lacks = [package for package in packages if not installed(package)]
        lacks += [] if shutil.which("dot") else ["dot"]
        if lacks:
            found[peer] = ", ".join(lacks)
    return found


def jobs_for(sizes: tuple[int, ...], absent: dict[str, str]) -> dict[str, Job]:
    """Return what is to be measured by its name."""
    jobs: dict[str, Job] = {
        f"{graph} {size:,}, {engine}": {
            "who": "ours",
            "graph": graph,
            "size": size,
            "engine": engine,
        }
        for graph in GRAPHS
        for size in sizes
        for engine in layout.available()
    }
    for peer in PEERS:
        if peer not in absent:
            jobs |= {
                f"{peer}, chain {size:,}": {"who": peer, "size": size, "rounds": 3}
                for size in sizes
            }
    return jobs


def main() -> int:
    """Measure and print; the status is 1 where one of our drawings failed."""
    parser = argparse.ArgumentParser(description="Drawing, beside torchviz and micrograd.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--quick", action="store_true", help="one round at small sizes")
    options = parser.parse_args()
    rounds = 1 if options.quick else max(1, options.rounds)
    print(machine())
    absent = missing()
    for peer, lacks in absent.items():
        print(f"{peer}: not installed ({lacks}), left out")
    for engine in layout.available():
        print(f"{engine}: {layout.describe(engine)}")
    jobs = jobs_for(QUICK if options.quick else FULL, absent)
    results = run_rounds(SCRIPT, jobs, rounds)
    print(f"\ndrawing: {rounds} rounds\n")
    print(table(HEAD, [[name, *_cells(each)] for name, each in results.items()]), end="\n\n")
    failed = False
    for name, job in jobs.items():
        if job["who"] != "ours":
            continue
        if "error" in results[name][-1]:
            failed = True
        elif job["size"] in (FULL[2], QUICK[-1]):
            print(aim(f"{name}, svg in ms", best(results[name], "svg"), AIM))
    return int(failed)


if __name__ == "__main__":
    if not worker(do):
        sys.exit(main())
