"""How often `check_gradients` is wrong: random functions, right gradients and planted mistakes.

`python benchmarks/verdicts.py` draws 100,000 functions, each a composition of up to four of the
package's operations at a random point, and judges each twice: with its right gradient, and with one
that is off by a millionth. Counted are right gradients that were called wrong (none should be) and
mistakes that were missed on well-conditioned functions (none should be): those whose value and
derivative change by at most a thousand times as much, relatively, as the input does, that depend on
it by more than a thousandth, and in whose computation rounding is not amplified more than that. The
right gradient is the engine's own; where the two differ mpmath decides, and an inexact one (an
underflow on the way) is counted by itself.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from multiprocessing import Pool
from typing import TYPE_CHECKING, Any

import common

from autograd import REGISTRY, Op, Value, grad
from autograd.testing.differences import Curve
from autograd.testing.exact import derivative_by_mpmath
from autograd.testing.rounding import rounding_bound
from autograd.testing.verdict import KNOWN, judge

if TYPE_CHECKING:
    from collections.abc import Callable

MISTAKE = 1.0 + 1e-6
CONDITION = 1e3
SMALLEST = 1e-290  # below, numbers lose their digits
# Left out: an operation's order in which there is no derivative, and operations that are choices of
# a constant, which leave nothing to differentiate.
OPERATIONS = [
    op
    for op in REGISTRY.values()
    if op.builtin and op.name not in {"polygamma", "sign", "step", "where"}
]
ARITY = 3  # operands given to an operation of any number
COUNTS = ("checked", "inexact", "false alarms", "too noisy", "kinks", "well-conditioned", "missed")


def number(dice: random.Random, op: Op, index: int) -> float:
    """Return a random operand inside the operation's domain, of a size from 1e-4 to 100."""
    low, high = op.domain[index if op.arity else 0][:2]
    size: float = 10.0 ** dice.uniform(-4.0, 2.0)
    if math.isinf(low) and math.isinf(high):
        return dice.choice([1.0, -1.0]) * size
    if math.isinf(high):
        return low + size
    if math.isinf(low):
        return high - size
    return dice.uniform(max(low, -CONDITION), min(high, CONDITION))


def draw(dice: random.Random) -> Callable[[Any], Any]:
    """Return a random composition of operations, each with one operand that varies."""
    chain = []
    for _ in range(dice.randint(1, 4)):
        op = dice.choice(OPERATIONS)
        arity = op.arity or (2 if op.name == "dot" else ARITY)
        place = dice.randrange(arity)
        chain.append((op, [number(dice, op, i) for i in range(arity)], place))

    def f(x: Any) -> Any:
        for op, operands, place in chain:
            x = op.apply((*operands[:place], x, *operands[place + 1 :]))
        return x

    f.__doc__ = str([(op.name, operands, place) for op, operands, place in chain])
    return f


def is_well_conditioned(x: float, value: float, first: float, second: float, noise: float) -> bool:
    """Say whether a relative change of x is felt, and hardly more of it, by value and slope."""
    if min(abs(first), abs(value), abs(x)) < SMALLEST:
        return False
    felt = abs(x * first)
    return (
        1.0 / CONDITION <= felt / abs(value) <= CONDITION
        and abs(x * second / first) <= CONDITION
        and noise <= CONDITION * sys.float_info.epsilon * felt
    )


def is_exact(f: Callable[[Any], Any], x: float, first: float) -> bool:
    """Say whether our own derivative is right, which it isn't where it underflows on the way."""
    leaf = Value(x)
    try:
        exact = derivative_by_mpmath(f(leaf), leaf)
    except (ArithmeticError, ValueError):
        return False
    return abs(first - exact) <= 1e-6 * abs(exact)


def judged(arguments: tuple[int, int]) -> dict[str, Any]:
    """Return the counts, and the cases to look at, for that many functions from that seed."""
    seed, count = arguments
    dice = random.Random(seed)  # noqa: S311  (no secrets are drawn)
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"cases": []}
    while counts["checked"] < count:
        f = draw(dice)
        x = number(dice, OPERATIONS[0], 0)
        try:
            value, first, second = f(x), grad(f)(x), grad(grad(f))(x)
        except (ArithmeticError, ValueError):
            continue
        counts["checked"] += 1
        noise = rounding_bound(f(Value(x)))
        curve = Curve(f, x, noise=noise, doubt=KNOWN)
        found = judge(first, curve)
        if not found.ok and not is_exact(f, x, first):
            counts["inexact"] += 1
            continue
        counts["false alarms"] += not found.ok
        counts["too noisy"] += found.verdict == "too noisy to tell"
        counts["kinks"] += found.verdict == "kink"
        if not found.ok:
            counts["cases"].append(f"false alarm at {x!r} of {f.__doc__}: {found}, ours {first!r}")
        if is_well_conditioned(x, value, first, second, noise):
            counts["well-conditioned"] += 1
            planted = judge(first * MISTAKE, curve)
            counts["missed"] += planted.ok
            if planted.ok:
                counts["cases"].append(f"missed at {x!r} of {f.__doc__}: {planted}")
    return counts


def main() -> None:
    """Judge, and print both rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checks", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    share = 250
    jobs = [(arguments.seed + i, share) for i in range(-(-arguments.checks // share))]
    begin = time.perf_counter()
    with Pool() as pool:
        parts = pool.map(judged, jobs, chunksize=1)
    seconds = time.perf_counter() - begin
    total = {key: sum(part[key] for part in parts) for key in COUNTS}
    print(common.machine())
    print(common.table(("", "functions"), [(key, f"{total[key]:,}") for key in COUNTS]))
    print(f"{seconds:.0f} s in all")
    for case in [case for part in parts for case in part["cases"]][:20]:
        print(case)
    print(common.aim("right gradients called wrong", total["false alarms"], 0))
    print(common.aim("mistakes of a millionth missed", total["missed"], 0))


if __name__ == "__main__":
    main()
