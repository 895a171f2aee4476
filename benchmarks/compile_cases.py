"""What compile.py measures: the data of each case, and its formulas on numbers of any kind.

A case is called by its kind and its size: "moons 100" and "digits 1797" by their rows,
"rosenbrock 10" by its variables, "irregular 1000" and "deep 10000" by their operations. Everything
is made of the standard library, from a fixed seed: the peers' Pythons import it, too.
"""

from __future__ import annotations

from itertools import cycle, islice, pairwise
from math import exp, tanh
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

L2 = train.L2
CLASSES = 10


class Prepared(NamedTuple):
    """A case made ready by an engine.

    `call` is what is measured. `result` returns the numbers of the last call: the value and, where
    the case has one, the gradient, a network's in the order of `flat`. `loop` makes that many calls
    without Python in between; `kept` is what must live as long, where `call` knows addresses only.
    """

    call: Callable[[], object]
    result: Callable[[], list[float]]
    loop: Callable[[int], object] | None = None
    kept: object = None


class Case(NamedTuple):
    """A kind, and the data: a `train.Problem`, the numbers of a point, or a `Graph`."""

    kind: str
    size: int
    data: Any


def case(name: str) -> Case:
    """Return the case of that name."""
    kind, size = name.split()
    make = {"moons": moons, "digits": digits, "rosenbrock": point, "irregular": irregular}
    return Case(kind, int(size), (make | {"deep": deep})[kind](int(size)))


# --- training -------------------------------------------------------------------------------------


def moons(rows: int) -> train.Problem:
    """Return the rows, labels and weights of train.py's moons, in turn if there are more."""
    return _turns(train.moons(), rows)


def digits(rows: int) -> train.Problem:
    """Return the rows, labels and weights of train.py's digits, in turn if there are more."""
    return _turns(train.digits(), rows)


def _turns(problem: train.Problem, rows: int) -> train.Problem:
    inputs, targets = (islice(cycle(xs), rows) for xs in (problem.rows, problem.targets))
    return problem._replace(rows=list(inputs), targets=[float(target) for target in targets])


def flat(problem: train.Problem) -> list[float]:
    """Return the parameters, per neuron w1 … wn and b."""
    return [w for layer in problem.weights for neuron in layer for w in neuron]


def one_hot(problem: train.Problem) -> list[list[float]]:
    """Return a row of ten numbers for each target: 1 at its class, 0 elsewhere."""
    return [[float(k == target) for k in range(CLASSES)] for target in problem.targets]


def matrices(problem: train.Problem) -> list[tuple[list[list[float]], list[float]]]:
    """Return each layer's weights as w[input][output], and its biases."""
    layers: list[tuple[list[list[float]], list[float]]] = []
    for layer in problem.weights:
        *weights, biases = map(list, zip(*layer, strict=True))
        layers.append((weights, biases))
    return layers


def by_neuron(layers: Sequence[tuple[Any, Any]]) -> list[float]:
    """Return the numbers of w[input][output] and the biases of each layer in the order of `flat`.

    What is indexed can be any library's matrices and vectors.
    """
    numbers: list[float] = []
    for weights, biases in layers:
        for neuron in zip(*weights, biases, strict=True):
            numbers += map(float, neuron)
    return numbers


def row_loss(kind: str, widths: Sequence[int], maths: Any) -> Callable[..., Any]:
    """Return the loss of one row as a function of its inputs, its target and all parameters.

    `maths` has the functions relu, tanh, dot and logsumexp. The target of moons is -1 or 1, that of
    digits a row of `one_hot`.
    """
    activation = maths.relu if kind == "moons" else maths.tanh

    def outputs(x: Any, p: Any) -> list[Any]:
        at = 0
        for nin, nout in pairwise(widths):
            starts = range(at, at + nout * (nin + 1), nin + 1)
            sums = [maths.dot(p[i : i + nin], x) + p[i + nin] for i in starts]
            at += nout * (nin + 1)
            x = [activation(s) for s in sums]
        return sums

    def moons_loss(x: Any, y: Any, p: Any) -> Any:
        (score,) = outputs(x, p)
        return maths.relu(1.0 - y * score) + L2 * maths.dot(p, p)

    def digits_loss(x: Any, y: Any, p: Any) -> Any:
        z = outputs(x, p)
        return maths.logsumexp(z) - maths.dot(y, z)

    return moons_loss if kind == "moons" else digits_loss


# --- Rosenbrock's function ------------------------------------------------------------------------


def point(size: int) -> list[float]:
    """Return where the function is taken, off its valley."""
    rng = Random(0)  # noqa: S311  (no cryptography)
    return [rng.uniform(-1.5, 1.5) for _ in range(size)]


def rosenbrock(x: Sequence[Any], total: Callable[[list[Any]], Any] = sum) -> Any:
    """Return Rosenbrock's function of numbers of any kind, which `total` adds up."""
    parts = []
    for a, b in pairwise(x):
        slope, rest = b - a * a, 1.0 - a
        parts.append(100.0 * (slope * slope) + rest * rest)
    return total(parts)


# --- irregular graphs -----------------------------------------------------------------------------

INPUTS = 100
OPERATIONS = {"add": 60, "mul": 60, "sub": 45, "div": 30, "tanh": 1, "exp": 10}
SPAN = 0.25, 4.0
GROWTH = 1e6
TRIES = 20
FAR = 0.3


class Graph(NamedTuple):
    """The numbers of the inputs, and operations on them: a name and the operands' positions.

    The inputs come first, each operation's result has the next position, and the last one is the
    graph's.
    """

    inputs: list[float]
    operations: list[tuple[str, int, int]]

    def record(self, inputs: Sequence[Any], maths: Any) -> Any:
        """Return the result for inputs of any kind; `maths` has the functions tanh and exp."""
        xs = list(inputs)
        for name, i, j in self.operations:
            a = xs[i]
            if name == "add":
                xs.append(a + xs[j])
            elif name == "mul":
                xs.append(a * xs[j])
            elif name == "sub":
                xs.append(a - xs[j])
            elif name == "div":
                xs.append(a / xs[j])
            else:
                xs.append(getattr(maths, name)(a))
        return xs[-1]


def irregular(size: int) -> Graph:
    """Return a graph about 110 deep, like the mixed workload of eager.py."""
    return _random_graph(size, size // 110)


def deep(size: int) -> Graph:
    """Return a graph of eight operations a level."""
    return _random_graph(size, 8)


def _random_graph(size: int, width: int) -> Graph:
    builder = _Builder()
    layer = before = list(range(INPUTS))
    while len(builder.operations) + width + (width - 1) <= size:
        # Each takes one result of the last layer, so that none is left without a use.
        firsts = islice(cycle(builder.rng.sample(layer, len(layer))), width)
        near = layer + before
        layer, before = [builder.any_operation(i, near) for i in firsts], layer
    while len(layer) > 1:
        pairs = zip(layer[::2], layer[1::2], strict=False)
        rest = layer[len(layer) & ~1 :]
        layer = [builder.operation("add", i, j) for i, j in pairs] + rest
    return Graph(builder.values[:INPUTS], builder.operations)


class _Builder:
    """Operations chosen at random, of those that keep numbers in range and errors small.

    Of those with two operands, a share `FAR` takes an input for the second. A number's growth
    bounds its relative error, in roundings: what exceeds `GROWTH` would differ between engines for
    no other reason than the order of their roundings.
    """

    def __init__(self) -> None:
        self.rng = Random(0)  # noqa: S311  (as above)
        self.values = [self.rng.uniform(0.5, 1.5) for _ in range(INPUTS)]
        self.growths = [0.0] * INPUTS
        self.operations: list[tuple[str, int, int]] = []

    def any_operation(self, i: int, near: Sequence[int]) -> int:
        """Append an operation on i and, where it takes two, one of `near` or an input."""
        names, weights = zip(*OPERATIONS.items(), strict=True)
        for name in self.rng.choices(names, weights, k=TRIES):
            far = self.rng.random() < FAR
            j = self.rng.randrange(INPUTS) if far else self.rng.choice(near)
            value, growth = self._outcome(name, i, j)
            if SPAN[0] <= abs(value) <= SPAN[1] and growth <= GROWTH:
                return self.operation(name, i, j)
        # Scaling by an input adds one rounding; one of the two ways stays in range.
        j = self.rng.randrange(INPUTS)
        small = SPAN[0] <= abs(self._outcome("mul", i, j)[0]) <= SPAN[1]
        return self.operation("mul" if small else "div", i, j)

    def operation(self, name: str, i: int, j: int) -> int:
        """Append an operation; return its result's position."""
        value, growth = self._outcome(name, i, j)
        self.operations.append((name, i, j if name not in {"tanh", "exp"} else i))
        self.values.append(value)
        self.growths.append(growth)
        return len(self.values) - 1

    def _outcome(self, name: str, i: int, j: int) -> tuple[float, float]:
        a, b = self.values[i], self.values[j]
        of_a, of_b = self.growths[i], self.growths[j]
        if name in {"add", "sub"}:
            value = a + b if name == "add" else a - b
            return value, (abs(a) * of_a + abs(b) * of_b) / max(abs(value), 1e-9) + 1.0
        if name in {"mul", "div"}:
            return a * b if name == "mul" else a / b, of_a + of_b + 1.0
        if name == "exp":
            return exp(a), abs(a) * of_a + 1.0
        value = tanh(a)
        return value, of_a * abs(a * (1.0 - value * value) / value) + 1.0


class Floats:
    """The functions that `Graph.record` needs, on floats."""

    tanh = staticmethod(tanh)
    exp = staticmethod(exp)


def inputs_of(each: Case) -> list[float]:
    """Return the numbers of all inputs of a case that has no rows."""
    numbers: list[float] = each.data.inputs if isinstance(each.data, Graph) else each.data
    return numbers


def function_of(each: Case, maths: Any) -> Callable[[Sequence[Any]], Any]:
    """Return the function of a case that has no rows, on the numbers that `maths` takes."""
    if isinstance(each.data, Graph):
        graph = each.data
        return lambda xs: graph.record(xs, maths)
    # A library's own sum is one operation, where Python's is a chain of additions.
    return lambda x: rosenbrock(x, getattr(maths, "sum", sum))
