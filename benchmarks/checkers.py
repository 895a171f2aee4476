"""Which gradient checker finds the mistakes, and which cries wolf: ours beside three others.

    python benchmarks/checkers.py [--peers DIRECTORY] [--install] [--list]

Every checker judges the same 200 pairs of a function and the gradient that is claimed for it
(checkers_cases.py): 100 with a mistake, and 100 that are right, though differences of the function
are hard to take there. If mpmath is installed, it first confirms which are which. Each checker is
called through its public interface, with its own defaults, on float64:

- ours: `check_gradients(f, *point, gradient=g)`;
- ours, in a graph: `check_gradients(op, *point)` of an operation with the function f and the local
  derivatives g;
- torch: `torch.autograd.gradcheck` of a `torch.autograd.Function`;
- JAX: `jax.test_util.check_grads(order=1, modes=["rev"])` of a `jax.custom_vjp`;
- HIPS autograd: `autograd.test_util.check_grads(order=1, modes=["rev"])` of a `primitive`.

A mistake counts as found, and a right gradient as a false alarm, if the report is false or an error
is raised; at a kink, all between the slopes to its two sides is right. `too noisy` counts the right
gradients of which we could not tell, which is no alarm. Where f has no value, the peers see inf or
nan, as from their own operations. The time is that of the checks, one run in a process of its own
after a first check to warm up.

Each peer has a virtual environment of its own in DIRECTORY (HIPS' package has our import name);
`--install` makes those that are missing there. `--list` names each case that was judged wrongly.
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
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from checkers_cases import (
    DIFFICULT,
    DIGITS,
    FLOATS,
    MISTAKES,
    Case,
    deviation,
    exact_names,
    functions,
    read,
)
from common import aim, installed, machine, run_job, table, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common import Job, Result

SCRIPT = Path(__file__).resolve()
CASES = read(MISTAKES) + read(DIFFICULT)
COUNT = len(read(MISTAKES))

Function = Any  # a function of one to three floats, or its derivative in one of them


class Peer(NamedTuple):
    """Somebody else's checker: its name for people, and what pip installs for it."""

    name: str
    distribution: str
    requirements: tuple[str, ...]


PEERS = {
    "torch": Peer("torch gradcheck", "torch", ("torch==2.13.0",)),
    "jax": Peer("JAX check_grads", "jax", ("jax", "jaxlib")),
    "hips": Peer("HIPS autograd check_grads", "autograd", ("autograd",)),
}
OURS = {"ours": "ours", "graph": "ours, in a graph"}


# --- the checkers ---------------------------------------------------------------------------------

# Each takes a function, its derivatives and a point, and returns whether it was too noisy to tell.
# A derivative that it finds wrong is an error.


def ours() -> Callable[..., bool]:
    """Return our check of a gradient written by hand."""
    check = import_module("autograd.testing").check_gradients

    def judge(f: Function, slopes: Sequence[Function], point: Sequence[float]) -> bool:
        return _told(check(f, *point, gradient=lambda *xs: [slope(*xs) for slope in slopes]))

    return judge


def graph() -> Callable[..., bool]:
    """Return our check of an operation in a graph."""
    check = import_module("autograd.testing").check_gradients
    op = import_module("autograd.op")
    kinds = {1: op.Unary, 2: op.Binary, 3: op.Ternary}

    def judge(f: Function, slopes: Sequence[Function], point: Sequence[float]) -> bool:
        rules = [lambda _, *xs, slope=slope: slope(*xs) for slope in slopes]
        operation = kinds[len(point)]("claimed", "f", f, rules, builtin=False)
        return _told(check(operation, *point))

    return judge


def _told(report: Any) -> bool:
    if not report:
        raise AssertionError(str(report))
    return bool(report.unclear)


def torch() -> Callable[..., bool]:
    """Return torch's check, of a `Function` on tensors without dimensions."""
    module = import_module("torch")
    module.set_num_threads(1)

    def judge(f: Function, slopes: Sequence[Function], point: Sequence[float]) -> bool:
        class Claimed(module.autograd.Function):  # type: ignore[misc, name-defined]  # any class
            @staticmethod
            def forward(ctx: Any, *xs: Any) -> Any:
                ctx.save_for_backward(*xs)
                return xs[0].new_tensor(value(f, xs))

            @staticmethod
            def backward(ctx: Any, upstream: Any) -> Any:
                gradient = [upstream * value(slope, ctx.saved_tensors) for slope in slopes]
                return tuple(gradient)

        kind = {"dtype": module.float64, "requires_grad": True}
        module.autograd.gradcheck(Claimed.apply, [module.tensor(x, **kind) for x in point])
        return False

    return judge


def jax() -> Callable[..., bool]:
    """Return JAX's check, of a `custom_vjp` whose two parts call back."""
    module, numpy = import_module("jax"), import_module("numpy")
    module.config.update("jax_enable_x64", True)  # noqa: FBT003  (that is how JAX takes it)
    check = import_module("jax.test_util").check_grads
    shape = module.ShapeDtypeStruct((), numpy.float64)

    def called(f: Function, xs: Sequence[Any]) -> Any:
        return module.pure_callback(lambda *xs: numpy.float64(value(f, xs)), shape, *xs)

    def judge(f: Function, slopes: Sequence[Function], point: Sequence[float]) -> bool:
        claimed = module.custom_vjp(lambda *xs: called(f, xs))

        def backward(xs: Sequence[Any], upstream: Any) -> Any:
            return tuple(upstream * called(slope, xs) for slope in slopes)

        claimed.defvjp(lambda *xs: (claimed(*xs), xs), backward)
        check(claimed, [module.numpy.asarray(x) for x in point], order=1, modes=["rev"])
        return False

    return judge


def hips() -> Callable[..., bool]:
    """Return HIPS autograd's check, of a `primitive`, in all arguments at once."""
    extend = import_module("autograd.extend")
    check = import_module("autograd.test_util").check_grads
    random = import_module("numpy").random

    def judge(f: Function, slopes: Sequence[Function], point: Sequence[float]) -> bool:
        claimed = extend.primitive(lambda *xs: value(f, xs))
        extend.defvjp(claimed, *[_vjp(slope) for slope in slopes])
        random.seed(0)  # the direction is drawn: let it be the same in each run
        arguments = tuple(range(len(point))) if len(point) > 1 else 0
        check(claimed, arguments, order=1, modes=["rev"])(*point)
        return False

    return judge


def _vjp(slope: Function) -> Callable[..., Any]:
    return lambda _, *xs: lambda upstream: upstream * value(slope, xs)


def value(f: Function, xs: Sequence[Any]) -> float:
    """Return f of the numbers as arrays have it: inf and nan instead of errors."""
    try:
        return float(f(*map(float, xs)))
    except OverflowError:
        return float("inf")
    except (ValueError, ZeroDivisionError):
        return float("nan")


CHECKERS = {"ours": ours, "graph": graph, "torch": torch, "jax": jax, "hips": hips}


# --- the worker: all cases before one checker -----------------------------------------------------


def do(job: Job) -> Result:
    """Let the checker judge all cases; return its verdicts in their order, and the time."""
    judge = CHECKERS[job["checker"]]()
    _verdict(judge, CASES[-1])
    begin = perf_counter()
    verdicts = [_verdict(judge, case) for case in CASES]
    seconds = perf_counter() - begin
    return {"verdicts": verdicts, "seconds": seconds, "version": version(job["distribution"])}


def _verdict(judge: Callable[..., bool], case: Case) -> Result:
    f, *slopes = functions(case, FLOATS)
    try:
        return {"noisy": judge(f, slopes, case.point), "alarm": ""}
    except Exception as error:  # noqa: BLE001  (a checker that crashes has raised the alarm, too)
        return {"noisy": False, "alarm": f"{type(error).__name__}: {error}"}


# --- the parent -----------------------------------------------------------------------------------


def confirm() -> bool:
    """Print that mpmath finds the mistakes wrong and the others right; false if it doesn't."""
    if not installed("mpmath"):
        print("mpmath: not installed, the cases are taken as they are")
        return True
    mp = import_module("mpmath").mp
    with mp.workdps(DIGITS):
        names = exact_names(mp)
        off = [deviation(case, mp, names) for case in CASES]
    # Nothing in between: a mistake that small would be no mistake.
    right, wrong = [d <= 1.0 for d in off], [d >= 1e2 for d in off]  # noqa: PLR2004
    doubtful = [case.name for i, case in enumerate(CASES) if not (wrong if i < COUNT else right)[i]]
    print(f"mpmath: {sum(wrong)} gradients are wrong, {sum(right)} right", *doubtful, sep="\n  ")
    return not doubtful


def interpreter(peers: Path, key: str) -> Path:
    """Return the Python of a peer's virtual environment."""
    return peers / key / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(peers: Path) -> None:
    """Make the virtual environments that are missing."""
    for key, peer in PEERS.items():
        python = interpreter(peers, key)
        if not python.exists():
            venv.create(peers / key, with_pip=True)
            command = [str(python), "-m", "pip", "install", "--quiet", *peer.requirements]
            subprocess.run(command, check=True)


def ask_peer(python: Path, job: Job) -> Result:
    """Return the result of a job done by a peer's Python, which must not see this checkout."""
    command = [str(python), str(SCRIPT), "--job", json.dumps(job)]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["?"])[-1]}
    result: Result = json.loads(done.stdout)
    return result


def ask_all(peers: Path) -> dict[str, Result]:
    """Return each checker's result by its name for people; say which peer is absent."""
    results = {
        name: run_job(SCRIPT, {"checker": key, "distribution": "chainrule"})
        for key, name in OURS.items()
    }
    for key, peer in PEERS.items():
        python = interpreter(peers, key)
        if not python.exists():
            print(f"{peer.name}: not in {peers}, left out")
            continue
        result = ask_peer(python, {"checker": key, "distribution": peer.distribution})
        results[f"{peer.name} {result.get('version', '')}".strip()] = result
    return results


def misjudged(result: Result) -> list[int]:
    """Return the numbers of the cases on which the checker is wrong."""
    alarms = [bool(verdict["alarm"]) for verdict in result["verdicts"]]
    return [i for i, alarm in enumerate(alarms) if alarm != (i < COUNT)]


def row(name: str, result: Result) -> list[str]:
    """Return the checker's line of the table."""
    wrong = misjudged(result)
    missed = sum(i < COUNT for i in wrong)
    noisy = sum(verdict["noisy"] for verdict in result["verdicts"][COUNT:])
    seconds = result["seconds"]
    counts = [f"{COUNT - missed}", f"{len(wrong) - missed}", f"{noisy}" if noisy else "-"]
    return [name, *counts, f"{seconds:.2f}", f"{1000 * seconds / len(CASES):.2f}"]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def print_misjudged(name: str, result: Result) -> None:
    """Print each case on which the checker is wrong, and what it said."""
    for i in misjudged(result):
        case = CASES[i]
        kind = "missed" if i < COUNT else "false alarm"
        print(f"{name}: {kind}: {case.name}: {case.function} at {case.point}")
        print(f"    claimed {'; '.join(case.gradient)}")
        for line in result["verdicts"][i]["alarm"].splitlines():
            print(f"    {line}")


def main() -> int:
    """Confirm the cases, ask every checker and print; the status is 1 where something failed."""
    parser = argparse.ArgumentParser(description="Gradient checkers, side by side.")
    place = Path(tempfile.gettempdir()) / "chainrule-peers"
    parser.add_argument("--peers", type=Path, default=place, help=f"where they are ({place})")
    parser.add_argument("--install", action="store_true", help="make the environments missing")
    parser.add_argument("--list", action="store_true", help="name the cases judged wrongly")
    options = parser.parse_args()
    if options.install:
        install(options.peers)
    if not confirm():
        return 1
    results = ask_all(options.peers)
    failed = {name: result["error"] for name, result in results.items() if "error" in result}
    for name, error in failed.items():
        print(f"{name}: {error}")
    judged = {name: result for name, result in results.items() if name not in failed}
    if options.list:
        for name, result in judged.items():
            print_misjudged(name, result)
    head = ["checker", f"mistakes found, of {COUNT}", f"false alarms, of {len(CASES) - COUNT}"]
    head += ["too noisy", "seconds", "ms a check"]
    rows = [row(name, result) for name, result in judged.items()]
    print(machine(), table(head, rows), markdown(head, rows), sep="\n\n", end="\n\n")
    for name in filter(judged.__contains__, OURS.values()):
        wrong = misjudged(judged[name])
        print(aim(f"{name}, mistakes missed", sum(i < COUNT for i in wrong), 0))
        print(aim(f"{name}, false alarms", sum(i >= COUNT for i in wrong), 0))
    return 1 if failed else 0


if __name__ == "__main__":
    if not worker(do):
        sys.exit(main())
