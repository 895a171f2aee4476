"""What a training step costs, on us and on the peers installed, and what `fit` adds to the loop.

    python benchmarks/train.py [--rounds N] [--quick]

First all engines take a step from the same weights; the loss, the gradients and the loss after that
step must agree. Then three tables, with their aims below them, in milliseconds per full-batch step:
forward, backward and update, on 100 rows.

- moons: two half circles, MLP 2-16-16-1, relu, max-margin loss and 1e-4 times the sum of squares;
- digits: MLP 64-32-10, tanh, softmax cross-entropy, on random numbers in the place of the images
  (what is on them costs the same). micrograd has no exp or log, and would take about 12 s;
- fit: the moons network trained by `nn.fit`, beside the same steps as a plain loop.

Every measurement is a process of its own, after one step to warm up. `best` is the fastest step of
all rounds and `median` the median of the rounds' medians, both in processor time, which other
programs on the machine disturb less. `textbook` is our engine with a node for each product and sum,
as micrograd has it; `collector off` is `gc.disable()`.
"""

from __future__ import annotations

import argparse
import gc
import sys
from importlib import import_module
from itertools import pairwise
from math import cos, isclose, pi, sin, sqrt
from pathlib import Path
from random import Random
from statistics import median as middle
from time import process_time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from common import aim, best, installed, machine, median, run_job, run_rounds, table, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common import Job, Result

    Step = Callable[[], tuple[float, list[float]]]

SCRIPT = Path(__file__).resolve()
ROWS = 100
LR = 0.1
L2 = 1e-4
TOLERANCE = 1e-9
PEERS = ("micrograd", "xad")
OURS = "autograd"
# By problem: the lines of the table, each an engine and what the collector does.
LINES = {
    "moons": {
        OURS: (OURS, "on"),
        f"{OURS}, collector off": (OURS, "off"),
        f"{OURS}, textbook": ("textbook", "on"),
        "micrograd": ("micrograd", "on"),
        "micrograd, collector off": ("micrograd", "off"),
        "xad": ("xad", "on"),
        "xad, collector off": ("xad", "off"),
    },
    "digits": {
        OURS: (OURS, "on"),
        f"{OURS}, collector off": (OURS, "off"),
        "xad": ("xad", "on"),
        "xad, collector off": ("xad", "off"),
    },
    "fit": {"loop": ("loop", "on"), "fit": ("fit", "on")},
}


# --- problems -------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A network's widths, the data, and the weights to begin with: per neuron w1 … wn and b."""

    widths: list[int]
    rows: list[list[float]]
    targets: list[Any]
    weights: list[list[list[float]]]


def moons() -> Problem:
    """Return two half circles that reach into each other, with labels -1 and 1."""
    rng = Random(0)  # noqa: S311  (no cryptography)
    rows, targets = [], []
    for i in range(ROWS):
        upper, angle = i % 2 == 0, pi * i / ROWS
        x, y = (cos(angle), sin(angle)) if upper else (1.0 - cos(angle), 0.5 - sin(angle))
        rows.append([x + rng.gauss(0.0, 0.1), y + rng.gauss(0.0, 0.1)])
        targets.append(-1.0 if upper else 1.0)
    widths = [2, 16, 16, 1]
    return Problem(widths, rows, targets, _weights(widths, rng))


def digits() -> Problem:
    """Return rows of 64 numbers from 0 to 1 with a class from 0 to 9 each."""
    rng = Random(0)  # noqa: S311  (as above)
    rows = [[rng.randint(0, 16) / 16 for _ in range(64)] for _ in range(ROWS)]
    widths = [64, 32, 10]
    return Problem(widths, rows, [i % 10 for i in range(ROWS)], _weights(widths, rng))


def _weights(widths: Sequence[int], rng: Random) -> list[list[list[float]]]:
    layers = []
    for nin, nout in pairwise(widths):
        bound = 1.0 / sqrt(nin)
        neurons = [[rng.uniform(-bound, bound) for _ in range(nin)] for _ in range(nout)]
        layers.append([[*w, rng.uniform(-bound, bound)] for w in neurons])
    return layers


PROBLEMS = {"moons": moons, "digits": digits}


# --- engines: each makes a step, which returns the loss and the gradients that it used ------------


def _flat(weights: list[list[list[float]]]) -> list[float]:
    return [w for layer in weights for neuron in layer for w in neuron]


def ours(problem: Problem, name: str, *, textbook: bool = False) -> Step:
    """Return the step of our engine, as a user's loop has it."""
    nn, autograd = import_module("nn"), import_module("autograd")
    activation = "tanh" if name == "digits" else "relu"
    model = nn.MLP(problem.widths[0], problem.widths[1:], activation, textbook=textbook)
    parameters = model.parameters()
    for p, number in zip(parameters, _flat(problem.weights), strict=True):
        p.data = number

    def step() -> tuple[float, list[float]]:
        outputs = [model(x) for x in problem.rows]
        if name == "digits":
            loss = nn.cross_entropy(outputs, problem.targets)
        else:
            squares = autograd.dot(parameters, parameters)
            loss = nn.max_margin(outputs, problem.targets) + L2 * squares
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= LR * p.grad
        return loss.data, [p.grad for p in parameters]

    return step


def textbook(problem: Problem, name: str) -> Step:
    """Return our step with products and sums as nodes."""
    return ours(problem, name, textbook=True)


def micrograd(problem: Problem, name: str) -> Step:
    """Return micrograd's step, which is that of its demo."""
    if name != "moons":
        message = f"micrograd has no operations for {name}"
        raise ValueError(message)
    model = import_module("micrograd.nn").MLP(problem.widths[0], problem.widths[1:])
    parameters = model.parameters()
    for p, number in zip(parameters, _flat(problem.weights), strict=True):
        p.data = number

    def step() -> tuple[float, list[float]]:
        scores = list(map(model, problem.rows))
        pairs = zip(problem.targets, scores, strict=True)
        losses = [(1 + -t * score).relu() for t, score in pairs]
        loss = sum(losses) * (1.0 / len(losses)) + L2 * sum(p * p for p in parameters)
        model.zero_grad()
        loss.backward()
        for p in parameters:
            p.data -= LR * p.grad
        return loss.data, [p.grad for p in parameters]

    return step


def xad(problem: Problem, name: str) -> Step:
    """Return xad's step; its numbers can't be changed, so each step makes new ones."""
    xad_engine, maths = import_module("xad.adj_1st"), import_module("xad.math")
    weights = problem.weights

    def forward(layers: Any, x: list[Any]) -> list[Any]:
        for depth, layer in enumerate(layers, start=1):
            sums = []
            for *w, b in layer:
                total = b
                for weight, number in zip(w, x, strict=True):
                    total = total + weight * number
                sums.append(total)
            if depth < len(layers):
                # Python's max is faster than xad's, which is an operation on the tape.
                x = [maths.tanh(s) if name == "digits" else max(0.0, s) for s in sums]
        return sums

    def loss_of(layers: Any, leaves: list[Any]) -> Any:
        outputs = [forward(layers, x) for x in problem.rows]
        pairs = list(zip(outputs, problem.targets, strict=True))
        if name == "digits":
            total = sum(maths.log(sum(map(maths.exp, z))) - z[t] for z, t in pairs)
            return total * (1.0 / len(pairs))
        total = sum(max(0.0, 1.0 - t * score) for (score,), t in pairs)
        return total * (1.0 / len(pairs)) + L2 * sum(p * p for p in leaves)

    def step() -> tuple[float, list[float]]:
        nonlocal weights
        tape = xad_engine.Tape()
        tape.activate()
        layers = [[list(map(xad_engine.Real, neuron)) for neuron in layer] for layer in weights]
        leaves = [w for layer in layers for neuron in layer for w in neuron]
        tape.registerInputs(leaves)
        tape.newRecording()
        loss = loss_of(layers, leaves)
        tape.registerOutput(loss)
        loss.derivative = 1.0
        tape.computeAdjoints()
        gradients = [p.derivative for p in leaves]
        updated = (p.value - LR * g for p, g in zip(leaves, gradients, strict=True))
        weights = [[[next(updated) for _ in neuron] for neuron in layer] for layer in layers]
        tape.deactivate()
        return loss.value, gradients

    return step


ENGINES: dict[str, Callable[[Problem, str], Step]] = {
    OURS: ours,
    "textbook": textbook,
    "micrograd": micrograd,
    "xad": xad,
}


# --- the worker: one measurement ------------------------------------------------------------------


def do(job: Job) -> Result:
    """Do one job in this process, after a step to warm up."""
    if job["problem"] == "fit":
        return train(job["engine"], job["steps"])
    step = ENGINES[job["engine"]](PROBLEMS[job["problem"]](), job["problem"])
    loss, gradients = step()
    if job["steps"] == 0:
        return {"loss": loss, "gradients": gradients, "after": step()[0]}
    gc.collect()
    if job["collector"] == "off":
        gc.disable()
    times = []
    for _ in range(job["steps"]):
        begin = process_time_ns()
        step()
        times.append((process_time_ns() - begin) / 1e6)
        if job["collector"] == "off" and job["engine"] == "micrograd":
            gc.collect()  # its graphs are cycles: without this, memory would grow with every step
    return {"best": min(times), "median": middle(times)}


def train(by: str, epochs: int) -> Result:
    """Return what an epoch of `fit`, or of the same loop, costs, and the losses."""
    nn, problem = import_module("nn"), moons()
    model = nn.MLP(problem.widths[0], problem.widths[1:])
    optimizer = nn.SGD(model, lr=LR)
    gc.collect()
    begin = process_time_ns()
    if by == "fit":
        options = {"loss": "max_margin", "optimizer": optimizer, "epochs": epochs}
        history = nn.fit(model, problem.rows, problem.targets, **options, progress=False)
        losses = history.loss
    else:
        losses = []
        for _ in range(epochs):
            loss = nn.max_margin([model(x) for x in problem.rows], problem.targets)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.data)
    each = (process_time_ns() - begin) / 1e6 / epochs
    return {"best": each, "median": each, "losses": losses}


# --- the parent: what is printed ------------------------------------------------------------------


def check(problem: str, engines: Sequence[str]) -> bool:
    """Print how far each engine's first step is from ours; false if one is too far."""
    base: Job = {"problem": problem, "collector": "on", "steps": 0}
    results = {engine: run_job(SCRIPT, {**base, "engine": engine}) for engine in engines}
    for engine, result in results.items():
        if "error" in result:
            print(f"{engine}: {result['error']}")
            return False
    numbers = {e: [r["loss"], r["after"], *r["gradients"]] for e, r in results.items()}
    expected = numbers.pop(OURS)
    same = [_compare(problem, engine, expected, found) for engine, found in numbers.items()]
    return all(same)


def _compare(problem: str, engine: str, expected: list[float], found: list[float]) -> bool:
    scale = max(map(abs, expected[2:]))
    pairs = list(zip(expected, found, strict=True))
    same = all(isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale) for a, b in pairs)
    worst = max(abs(a - b) for a, b in pairs) / scale
    verdict = "same losses and gradients" if same else "DIFFERENT losses or gradients"
    count = len(pairs) - 2
    print(f"{problem}, {engine}: {verdict}, {count} of them, off by {worst:.1g} at most")
    return same


def measure(problem: str, engines: Sequence[str], steps: int, rounds: int) -> dict[str, Any]:
    """Print the table of one problem; return the results by line."""
    jobs: dict[str, Job] = {}
    for name, (engine, collector) in LINES[problem].items():
        if engine in engines:
            jobs[name] = {"problem": problem, "engine": engine, "collector": collector}
            slow = engine == "micrograd"
            jobs[name] |= {"steps": min(steps, 5) if slow else steps}
            jobs[name] |= {"rounds": 3} if slow else {}
    results = run_rounds(SCRIPT, jobs, rounds)
    print(f"\n{problem}: ms per step, {steps} steps in each of {rounds} rounds\n")
    first = next(iter(results.values()))
    rows, failures = [], []
    for name, each in results.items():
        errors = [result["error"] for result in each if "error" in result]
        if errors:
            failures.append(f"{name}: {errors[0]}")
            continue
        times = best(each, "best"), median(each, "median")
        ratios = times[0] / best(first, "best"), times[1] / median(first, "median")
        rows.append([name, *(f"{t:,.1f}" for t in times), *(f"{r:.2f}" for r in ratios)])
    of_first = f"/{next(iter(results))}"
    head = ["", "best", "median", f"best{of_first}", f"median{of_first}"]
    print("\n".join([table(head, rows), *failures]), end="\n\n")
    return {} if failures else results


def aims(problem: str, results: dict[str, Any]) -> None:
    """Print what was aimed at, of the lines that there are."""
    wanted = {
        "moons": (("micrograd, collector off", 10 / 120), ("xad", 10 / 41)),
        "digits": (("xad", 1.0),),
        "fit": (("loop", 1.05),),
    }
    first = "fit" if problem == "fit" else OURS
    for other, limit in wanted[problem]:
        if first in results and other in results:
            share = best(results[first], "best") / best(results[other], "best")
            print(aim(f"{problem}, {first} over {other}", share, round(limit, 3)))


def main() -> int:
    """Check, measure and print; the status is 1 where results differ."""
    parser = argparse.ArgumentParser(description="Training steps, side by side.")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (7)")
    parser.add_argument("--quick", action="store_true", help="one round of one step")
    options = parser.parse_args()
    rounds, steps = (1, 1) if options.quick else (max(1, options.rounds), 20)
    there = [OURS, "textbook", *filter(installed, PEERS)]
    print(machine())
    for peer in sorted(set(PEERS) - set(there)):
        print(f"{peer}: not installed, left out")
    without = [engine for engine in there if engine != "micrograd"]
    if not (check("moons", there) and check("digits", without)):
        return 1
    aims("moons", measure("moons", there, steps, rounds))
    aims("digits", measure("digits", there, max(1, steps // 4), rounds))
    results = measure("fit", ["loop", "fit"], steps, rounds)
    aims("fit", results)
    losses = [result["losses"] for each in results.values() for result in each]
    if any(each != losses[0] for each in losses):
        print("fit and the loop: DIFFERENT losses")
        return 1
    return 0


if __name__ == "__main__":
    if not worker(do):
        sys.exit(main())
