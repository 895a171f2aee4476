"""Compiled functions are the functions that they were made of, and so are their derivatives.

What "equal" is: each operation may be 2 units in the last place (ulp) off, and n of them where it
adds up n terms, relative to the sum of their sizes. What that does to a result is found by running
the graph on ranges instead of numbers (`ranges`): an operation makes a range of the ends of its
operands', and it becomes wider by its own ulps. An infinite number stays one, and a nan a nan,
wherever the ranges leave no choice. With `exact=True` nothing is off, and the ranges are points.
"""

from __future__ import annotations

import itertools
import math
import operator
import struct
from array import array
from functools import cache, partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import autograd
from autograd import REGISTRY, Value, define, grad, hessian, ieee, ops, value_and_grad
from autograd.backward import sort
from autograd.compile import compile as compile_
from autograd.testing import strategies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from autograd import Op

# What earlier versions of the compiler have left on disk would speak for them.
compiled = partial(compile_, cache=False)

INF = math.inf
NAN = math.nan
TINY = 2.0**-1074
LEAST_NORMAL = 2.0**-1022
LARGEST = math.nextafter(INF, 0.0)

# --- ranges ---------------------------------------------------------------------------------------

# The functions of the machine whose distance from the operation is more than 2 ulp, most of it the
# operation's own: see test_compile_vector.py, which judges both by mpmath. (sech2 is off by 3.2
# itself, and by 2.9 where it is computed together with tanh.)
ULPS = {"gelu": 6, "normal_cdf": 4, "sech2": 6, "silu": 3}
SUMS = {"sum", "mean", "dot", "logsumexp", "logaddexp"}
FEW = 3  # operands whose ends are all combined


class Range(NamedTuple):
    """Where a compiled number may lie; with `nan` it may be a nan, too."""

    low: float
    high: float
    nan: bool = False

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Range:
        """Return the least range that holds all of these."""
        listed = list(numbers)
        known = [x for x in listed if x == x]  # noqa: PLR0124  (no nan)
        return cls(min(known, default=INF), max(known, default=-INF), len(known) < len(listed))

    def including(self, x: float) -> Range:
        """Return the range with one more number in it."""
        if math.isnan(x):
            return self._replace(nan=True)
        return self._replace(low=min(self.low, x), high=max(self.high, x))

    def widened(self, ulps: float, *more: float) -> Range:
        """Return the range with so many ulp more at both ends, and so much more besides."""
        low, high = (
            x if math.isinf(x) else ulps * math.ulp(x) + sum(more) for x in (self.low, self.high)
        )
        return Range(
            self.low if math.isinf(self.low) else self.low - low,
            self.high if math.isinf(self.high) else self.high + high,
            self.nan,
        )

    def __contains__(self, x: object) -> bool:
        return isinstance(x, float) and (self.nan if math.isnan(x) else self.low <= x <= self.high)

    def choices(self, x: float) -> list[float]:
        """Return the numbers to try for an operand that is x."""
        ends = [y for y in (self.low, self.high) if self.low <= self.high and y != x]
        return [x, *ends, *([NAN] if self.nan and not math.isnan(x) else [])]


def ranges(results: Sequence[Any]) -> list[Range]:
    """Return where compiled results may lie, for the Values that the function itself returns."""
    known: dict[Value, Range] = {}
    with ieee():
        for y in results:
            for node in sort(y)[0] if type(y) is Value else ():
                if node not in known:
                    known[node] = _range(node, known)
    return [known.get(y, Range.of([plain(y)])) for y in results]


def plain(x: Any) -> float:
    return x._data if type(x) is Value else x


def _range(node: Value, known: dict[Value, Range]) -> Range:
    op: Any = node.op
    numbers = [plain(x) for x in node.operands]
    choices = [
        known[x].choices(x._data) if type(x) is Value and x in known else [plain(x)]
        for x in node.operands
    ]
    if len(numbers) <= FEW:
        found = Range.of(op.evaluate(*point) for point in itertools.product(*choices))
    else:
        found = _range_of_many(op, numbers, choices)
    if op.name in ("mul", "dot"):
        found = found.including(_fused(numbers))
    if op.name in SUMS:
        return found.widened(len(numbers), len(numbers) * math.ulp(_size(op, numbers)))
    return found.widened(ULPS.get(op.name, 2) * max(1, len(numbers) // 2))


def _range_of_many(op: Op, numbers: list[float], choices: list[list[float]]) -> Range:
    # What each operand does by itself, added up.
    here = op.evaluate(*numbers)
    low = high = 0.0
    others = [here]
    for i, own in enumerate(choices):
        moved = [op.evaluate(*numbers[:i], x, *numbers[i + 1 :]) for x in own[1:]]
        changes = [x - here for x in moved if math.isfinite(x - here)]
        low += min(0.0, *changes, 0.0)
        high += max(0.0, *changes, 0.0)
        others += [x for x in moved if not math.isfinite(x - here)]
    return Range.of([*others, here + low, here + high])


def _fused(factors: list[float]) -> float:
    # A fused multiply-add doesn't round the product: from beyond the doubles, it may come back.
    half = len(factors) // 2
    total = 0.0
    for a, b in zip(factors[:half], factors[half:], strict=True):
        is_finite = math.isfinite(a) and math.isfinite(b)
        total += min(max(a * b, -LARGEST), LARGEST) if is_finite else a * b
    return total


def _size(op: Op, numbers: list[float]) -> float:
    # Of what is added up. Where that is beyond the doubles, the order decides about the sum.
    if op.name == "dot":
        half = len(numbers) // 2
        numbers = [a * b for a, b in zip(numbers[:half], numbers[half:], strict=True)]
    elif op.name in ("logsumexp", "logaddexp"):
        # Where the result is near 0, that is what cancels in it; elsewhere the result is larger.
        greatest, *others = sorted(numbers, reverse=True)
        numbers = [autograd.expm1(min(greatest, 1.0)), *[autograd.exp(min(x, 1.0)) for x in others]]
    return sum(map(abs, numbers))


# --- comparing ------------------------------------------------------------------------------------


def added(xs: Iterable[Any]) -> Any:
    """Return x₁ + x₂ + …, added one by one: from 3.12 on `sum` makes up for rounding in floats."""
    return reduce(operator.add, xs, 0.0)


def flat(thing: Any) -> list[Any]:
    """Return the numbers of a result in order, rows after rows of an array."""
    if isinstance(thing, np.ndarray):
        return [float(x) for x in thing.reshape(-1)]
    if isinstance(thing, list | tuple):
        return [x for part in thing for x in flat(part)]
    return [thing if type(thing) is Value else float(thing)]


def bits(x: float) -> bytes:
    """The bits of a float; all nans are one."""
    return struct.pack("<d", NAN if math.isnan(x) else x)


def unsigned(x: float) -> float:
    """The float, -0.0 as 0.0: gradients of floats are added up from 0.0."""
    return x + 0.0


def lift(args: Any) -> Any:
    """Return the arguments with a Value in the place of each number."""
    if isinstance(args, list | tuple):
        return type(args)([lift(x) for x in args])
    return Value(args)


def is_near(x: float, y: float) -> bool:
    return x == y or (math.isnan(x) and math.isnan(y)) or abs(x - y) <= 2.0 * math.ulp(y)


def assert_equal(f: Callable[..., Any], got: Any, *args: Any, exact: bool = False) -> None:
    """Assert that compiled results are f's at these arguments, by the criterion above."""
    assert_found(f, flat(got), interpreted(f, *args), args, exact=exact)


def interpreted(f: Callable[..., Any], *args: Any) -> list[float]:
    with ieee():
        return [plain(y) for y in flat(f(*args))]


def assert_found(
    f: Any, found: list[float], expected: list[float], args: Any, *, exact: bool
) -> None:
    assert len(found) == len(expected)
    if exact:
        assert [bits(unsigned(x)) for x in found] == [bits(unsigned(y)) for y in expected]
    elif not all(map(is_near, found, expected)):
        with ieee():
            allowed = ranges(flat(f(*lift(list(args)))))
        wrong = [
            (i, x, y, own)
            for i, (x, y, own) in enumerate(zip(found, expected, allowed, strict=True))
            if x not in own
        ]
        assert not wrong, (args, wrong[:3])


# --- every operation ------------------------------------------------------------------------------

define(
    "compile_equal_cube",
    lambda a: a * a * a,
    lambda _, a: 3.0 * a * a,
)
norm = define(
    "compile_equal_norm",
    lambda *xs: math.sqrt(math.fsum(x * x for x in xs)),
    lambda y, *xs: [x / y for x in xs],
    domain=[(0.5, INF)],
)
OPERATIONS = [op for op in REGISTRY.values() if op.builtin or op.name.startswith("compile_equal")]
every_operation = pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
fast_and_exact = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])

MANY = 4  # operands of an operation that takes any number
POINTS = [0.0, TINY, 1e-310, LEAST_NORMAL, 1e-300, 1e-160, 1e-20, 1e-8, 0.001, 0.3, 0.5]
POINTS += [1.0 - 2.0**-53, 1.0, 1.0 + 2.0**-52, 1.5, 2.0, 3.0, 19.0, 40.0, 300.0, 708.0, 709.7]
POINTS += [710.0, 745.2, 800.0, 1e5, 2.0**53, 2.0**53 + 2.0, 1e16, 1e160, 1e300, LARGEST, INF]
POINTS = [*POINTS, *[-x for x in POINTS], NAN]


def count(op: Op) -> int:
    return op.arity or MANY


def derivatives(op: Op) -> Callable[[list[Any]], list[Any]]:
    """Return the function of the operands that gives value, gradient and Hessian."""
    orders = [i for i, (low, high, _) in enumerate(op.domain) if low == high]

    def along(xs: list[Any]) -> Any:
        return op.apply(tuple(1.0 if i in orders else x for i, x in enumerate(xs)))

    return lambda xs: [along(xs), grad(along)(xs), hessian(along)(xs)]


@cache
def compiled_derivatives(op: Op, *, exact: bool) -> Any:
    return compiled(derivatives(op), rows=0, exact=exact)


def ends(op: Op) -> list[list[float]]:
    """Return points of the tails, the ends and the middle of the doubles."""
    n = count(op)
    if n == 1:
        return [[x] for x in POINTS]
    # Every number once with each of some steps to the others, and some moderate points.
    strides = (0, 1, 7, 12, 33, 34, 41) if n == 2 else (0, 5, 12, 31)
    points = [
        [POINTS[(at + k * stride) % len(POINTS)] for k in range(n)]
        for stride in strides
        for at in range(len(POINTS))
    ]
    return points + [[0.3 + 0.1 * at + (-1.0) ** k * k for k in range(n)] for at in range(9)]


@cache
def results_at_the_ends(op: Op) -> list[list[float]]:
    return [interpreted(derivatives(op), point) for point in ends(op)]


def each_array(thing: Any) -> Iterator[Any]:
    if isinstance(thing, np.ndarray):
        yield thing
    else:
        for part in thing:
            yield from each_array(part)


@fast_and_exact
@every_operation
def test_an_operation_and_its_derivatives_are_equal_at_the_ends_of_the_doubles(op, exact):
    points = ends(op)
    got = columns_of(compiled_derivatives(op, exact=exact)(np.array(points)), len(points))
    for point, found, expected in zip(points, got, results_at_the_ends(op), strict=True):
        assert_found(derivatives(op), found, expected, (point,), exact=exact)
        if exact:  # a value's zero has its sign, too
            assert bits(found[0]) == bits(expected[0])


def drawn(op: Op) -> st.SearchStrategy[list[list[float]]]:
    """Draw points inside and outside of the domain, each of any size."""
    inside = [
        strategies.operands(op, i if op.arity else 0, tails=True, boundaries=True)
        for i in range(count(op))
    ]
    ties = st.floats().map(lambda x: [x] * count(op))
    point = st.tuples(*inside).map(list) | st.lists(
        st.floats(), min_size=count(op), max_size=count(op)
    )
    return st.lists(point | ties, min_size=1, max_size=12)


@fast_and_exact
@every_operation
@settings(max_examples=8)
@given(data=st.data())
def test_an_operation_and_its_derivatives_are_equal_at_any_point(op, exact, data):
    points = data.draw(drawn(op))
    got = columns_of(compiled_derivatives(op, exact=exact)(np.array(points)), len(points))
    for point, found in zip(points, got, strict=True):
        assert_equal(derivatives(op), found, point, exact=exact)


# Two functions of one number that share most of their work, where a program has both.
PAIRED = [(autograd.sin, autograd.cos), (autograd.tanh, autograd.sech2)]


@pytest.mark.parametrize(("first", "second"), PAIRED, ids=lambda op: op.name)
def test_two_functions_of_one_number_are_those_by_themselves(first, second):
    points = [[x] for x in POINTS] + [[x * 0.37 - 20.0] for x in range(110)]
    points += [[(k + d) * math.pi / 4.0] for k in (1, 2, 3, 4, 1000, 10**8) for d in (0.0, 1e-9)]
    both = compiled(lambda xs: [first(xs[0]), second(xs[0])], rows=0)(np.array(points))
    alone = compiled(lambda xs: first(xs[0]), rows=0)(np.array(points))
    assert list(map(bits, both[:, 0].tolist())) == list(map(bits, alone.tolist()))
    for width in (1, 3):  # without rows there are other loops, over the numbers
        xs = [x for point in points for x in point][:width] + [0.7] * (3 - width)
        got = compiled(lambda xs: [[first(x), second(x)] for x in xs])(xs)
        assert_equal(lambda xs: [[first(x), second(x)] for x in xs], got, xs)
    for point, found in zip(points, both.tolist(), strict=True):
        assert_equal(lambda x: [first(x), second(x)], found, point[0])


# --- graphs ---------------------------------------------------------------------------------------


def with_derivatives(f: Callable[..., Any]) -> Callable[[list[Any]], list[Any]]:
    """Return the function of a list of inputs that gives value, gradient and Hessian."""

    def along(xs: list[Any]) -> Any:
        return f(*xs)

    return lambda xs: [value_and_grad(along)(xs), hessian(along)(xs)]


@fast_and_exact
@settings(max_examples=12)
@given(expression=strategies.expressions(max_operations=8))
@example(expression=strategies.Expression.parse("x0 = 0.7; v0 = gelu(x0); v1 = v0 * v0"))
@example(expression=strategies.Expression.parse("x0 = 0.25; v0 = x0 ** x0; v1 = abs(v0)"))
def test_a_graph_and_its_derivatives_are_equal(exact, expression):
    f, inputs = with_derivatives(expression), list(expression.inputs)
    first, second = compiled(f, exact=exact)(inputs)
    assert_equal(lambda xs: f(xs)[0], first, inputs, exact=exact)
    # The side of a choice that isn't taken is compiled, too. Second derivatives behind one may be
    # added up in another order for it.
    in_order = exact and not has_choice(expression)
    assert_equal(lambda xs: f(xs)[1], second, inputs, exact=in_order)


def has_choice(expression: strategies.Expression) -> bool:
    """Whether an operation in the graph of the gradient routes."""
    y, leaves = expression.graph()
    nodes = [node for g in autograd.gradients(y, leaves) for node in [*sort(g)[0], *sort(y)[0]]]
    return any(node.op is not None and node.op.routes for node in nodes)


@fast_and_exact
@settings(max_examples=6)
@given(expression=strategies.expressions(max_operations=6, max_inputs=2), data=st.data())
def test_a_graph_that_exists_is_a_function_of_the_data_of_its_inputs(exact, expression, data):
    y, leaves = expression.graph()
    numbers = data.draw(st.tuples(*[st.floats(0.5, 2.0)] * len(leaves)))
    f = compiled(y, inputs=leaves, exact=exact)
    for point in (expression.inputs, numbers):
        assert_equal(expression, f(*point), *point, exact=exact)


@settings(max_examples=5)
@given(network=strategies.networks(activations=["tanh", "sigmoid", "relu", "gelu"]))
def test_a_network_and_its_gradient_are_equal_whole_and_row_by_row(network):
    f = value_and_grad(network.loss)
    assert_equal(f, compiled(f)(network.weights), network.weights)

    def loss_of_row(weights: Any, row: Any, target: Any) -> Any:
        return autograd.square(network.sums(weights, row)[-1][0] - target)

    one = value_and_grad(loss_of_row)
    data = (np.array(network.rows), np.array(network.targets))
    step = compiled(one, rows=(1, 2), reduce="mean")
    got = step(network.weights, *data)
    assert_equal(lambda weights: over_rows(one, "mean", weights, *data), got, network.weights)


def over_rows(f: Any, reduce: str, shared: Any, *columns: Any) -> list[Any]:
    """Return what f gives for each row, added up by the operation of that name."""
    results = [flat(f(shared, *row)) for row in zip(*map(np.ndarray.tolist, columns), strict=True)]
    return [getattr(autograd, reduce)(list(numbers)) for numbers in zip(*results, strict=True)]


# --- rows -----------------------------------------------------------------------------------------

ROWS = [1, 2, 7, 8, 9, 15, 16, 17, 63, 100, 257, 1000]


def row_loss(row: list[Any], weights: list[list[Any]], target: Any, scale: Any) -> Any:
    """A function of two arguments with rows and two without: all operations' kinds are in it."""
    hidden = [autograd.tanh(autograd.dot(own[:-1], row) + own[-1]) for own in weights]
    total = autograd.softplus(scale * hidden[0]) + autograd.relu(hidden[1]) * row[0]
    share = autograd.softmax([*hidden, target])[1]
    penalty = added(x * x for own in weights for x in own)
    return (
        autograd.square(total - target) * share + 0.01 * penalty + abs(row[1]) / (1.0 + target**2)
    )


STEP = value_and_grad(row_loss, argnums=(1, 3))
WEIGHTS = [[0.3, -0.7, 1.1], [0.9, 0.2, -0.4]]
SCALE = 1.3


def batch(rows: int) -> tuple[Any, Any]:
    random = np.random.default_rng(rows)
    return random.normal(size=(rows, 2)), random.normal(size=rows)


@cache
def compiled_step(reduce: Any, *, exact: bool = False, threads: int = 1) -> Any:
    return compiled(STEP, rows=(0, 2), reduce=reduce, exact=exact, threads=threads)


def columns_of(result: Any, rows: int) -> list[list[float]]:
    """Return the numbers of each row."""
    columns = [column.reshape(rows, -1) for column in each_array(result)]
    return [[float(x) for column in columns for x in column[r]] for r in range(rows)]


@fast_and_exact
@pytest.mark.parametrize("rows", ROWS)
def test_every_row_is_equal_whatever_their_number(rows, exact):
    X, targets = batch(rows)
    results = columns_of(compiled_step(None, exact=exact)(X, WEIGHTS, targets, SCALE), rows)
    for r in {*range(0, rows, 11), *range(min(rows, 2)), *range(max(0, rows - 9), rows)}:
        args = (X[r].tolist(), WEIGHTS, float(targets[r]), SCALE)
        assert_equal(STEP, results[r], *args, exact=exact)


@pytest.mark.parametrize("rows", ROWS)
def test_a_row_is_the_same_to_the_last_bit_wherever_it_is(rows):
    X, targets = batch(rows)
    f = compiled_step(None)
    together = columns_of(f(X, WEIGHTS, targets, SCALE), rows)
    last = columns_of(f(X[-1:], WEIGHTS, targets[-1:], SCALE), 1)
    assert together[-1:] == last
    assert together == columns_of(f(X[::-1], WEIGHTS, targets[::-1], SCALE), rows)[::-1]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_rows_add_up_whatever_their_number(reduce, exact, threads):
    f = compiled_step(reduce, exact=exact, threads=threads)
    for rows in ROWS:
        X, targets = batch(rows)
        each = columns_of(compiled_step(None, exact=exact)(X, WEIGHTS, targets, SCALE), rows)
        share = rows if reduce == "mean" else 1
        loss, (weights, scale) = f(X, WEIGHTS, targets, SCALE)
        assert isinstance(loss, float)
        assert isinstance(scale, float)
        assert isinstance(weights[0], np.ndarray)
        for x, column in zip(flat([loss, weights, scale]), zip(*each, strict=True), strict=True):
            # Every addition is rounded, and the terms themselves may be fused otherwise.
            allowed = (rows + 16.0) * 2.0**-52 * math.fsum(map(abs, column)) / share
            assert abs(x - math.fsum(column) / share) <= allowed, rows


def test_the_sum_over_rows_is_that_of_the_function_itself():
    X, targets = batch(17)
    got = compiled_step("sum")(X, WEIGHTS, targets, SCALE)

    def summed(weights: Any, scale: Any) -> list[Any]:
        return over_rows(
            lambda w, row, target: STEP(row, w[0], target, w[1]),
            "sum",
            (weights, scale),
            X,
            targets,
        )

    assert_equal(summed, got, WEIGHTS, SCALE)


# --- kinds of arguments ---------------------------------------------------------------------------

X17, T17 = batch(17)
LAYOUTS: dict[str, Any] = {
    "columns first": np.asfortranarray(X17),
    "a transpose": np.ascontiguousarray(X17.T).T,
    "every other row": np.repeat(X17, 2, axis=0)[::2],
    "every third column": np.repeat(X17, 3, axis=1)[:, ::3],
    "backwards": X17[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": X17.astype(">f8"),
    "not aligned": np.frombuffer(b"x" + X17.tobytes(), dtype=np.uint8)[1:]
    .view("f8")
    .reshape(17, 2),
    "of objects no more": X17.astype(object).astype(float),
    "lists of lists": X17.tolist(),
    "a tuple of lists": tuple(X17.tolist()),
    "a list of tuples": [tuple(row) for row in X17.tolist()],
    "a list of arrays": list(X17),
    "read-only": np.frombuffer(X17.tobytes()).reshape(17, 2),
}


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("reduce", [None, "sum"])
def test_rows_are_read_from_arrays_of_any_layout_and_from_lists(kind, reduce):
    f = compiled_step(reduce)
    expected = flat(f(X17, WEIGHTS, T17, SCALE))
    assert flat(f(LAYOUTS[kind], WEIGHTS, T17, SCALE)) == expected
    assert flat(f(LAYOUTS[kind], WEIGHTS, T17.tolist(), SCALE)) == expected


@pytest.mark.parametrize("dtype", ["f2", "f4", "i1", "u1", "i4", "u8", "i8", "?", ">i2", "<f8"])
def test_numbers_of_every_dtype_are_those_doubles(dtype):
    X = (X17 * 3.0).round().astype(np.int8).astype(dtype)
    targets = T17.astype(np.int8).astype(dtype)
    f = compiled_step(None)
    expected = f(X.astype(float), WEIGHTS, targets.astype(float), SCALE)
    assert flat(f(X, WEIGHTS, targets, SCALE)) == flat(expected)


def test_a_row_that_is_broadcast_is_the_same_for_all():
    X = np.broadcast_to(X17[3], (17, 2))
    f = compiled_step(None)
    assert flat(f(X, WEIGHTS, T17, SCALE)) == flat(f(X.copy(), WEIGHTS, T17, SCALE))


@pytest.mark.parametrize(
    "weights",
    [
        np.array(WEIGHTS),
        np.asfortranarray(WEIGHTS),
        np.array(WEIGHTS)[::-1, ::-1][::-1, ::-1],
        [array("d", own) for own in WEIGHTS],
        [memoryview(array("d", own)) for own in WEIGHTS],
        [np.array(own, dtype=object).astype(float) for own in WEIGHTS],
        tuple(WEIGHTS),
        [tuple(own) for own in WEIGHTS],
        [[np.float64(x) for x in own] for own in WEIGHTS],
        [[np.array(x) for x in own] for own in WEIGHTS],
    ],
    ids=lambda x: type(x).__name__ + " of " + type(x[0]).__name__,
)
def test_shared_arguments_are_read_from_lists_and_arrays(weights):
    f = compiled_step("sum")
    expected = flat(f(X17, WEIGHTS, T17, SCALE))
    assert flat(f(X17, weights, T17, np.float64(SCALE))) == expected
    assert flat(compiled(STEP)([0.5, -1.5], weights, 0.25, SCALE)) == flat(
        compiled(STEP)([0.5, -1.5], WEIGHTS, 0.25, SCALE)
    )


def test_rows_of_matrices_have_the_structure_of_nested_lists():
    cubes = np.random.default_rng(0).normal(size=(9, 3, 2))

    def f(matrix: Any, weights: Any) -> Any:
        return [autograd.dot(row, weights) for row in matrix], added(map(added, matrix))

    for data in (cubes, np.asfortranarray(cubes), cubes[:, ::-1][:, ::-1], cubes.tolist()):
        results, totals = compiled(f, rows=0)(data, [0.5, -2.0])
        assert results.shape == (9, 3)
        assert totals.shape == (9,)
        for r, own in enumerate(cubes.tolist()):
            assert_equal(f, [results[r], totals[r]], own, [0.5, -2.0])


# --- programs -------------------------------------------------------------------------------------


def chain(xs: list[Any], weights: list[Any]) -> Any:
    total = 0.0
    for x, w in zip(xs, weights, strict=True):
        total = total + w * x
    return total


def odd_order(xs: list[Any], weights: list[Any]) -> Any:
    first = xs[0] * weights[0] + (xs[1] + weights[1] * xs[2])
    second = weights[2] + xs[3] * weights[3] - xs[4] * weights[4]
    return (second - first * xs[0]) + (first + xs[2]) + weights[1] * (xs[1] - second) - first


def backwards(xs: list[Any], weights: list[Any]) -> Any:
    total = weights[0]
    for x, w in reversed([*zip(xs, weights, strict=True)]):
        total = (x * w + total) - (x - w) * x
    return total


def convolution(xs: list[Any], weights: list[Any]) -> list[Any]:
    kernel = weights[:3]
    return [added(k * x for k, x in zip(kernel, xs[i:], strict=False)) for i in range(len(xs) - 2)]


def recurrent(xs: list[Any], weights: list[Any]) -> Any:
    state = [0.0, 0.0]
    for x in xs:
        a = autograd.tanh(weights[0] * state[0] + weights[1] * state[1] + weights[2] * x)
        state = [a, autograd.tanh(weights[3] * state[0] - weights[4] * x)]
    return state


def rosenbrock(xs: list[Any], weights: list[Any]) -> Any:
    pairs = itertools.pairwise(xs)
    return added(weights[0] * (b - a**2) ** 2 + (1.0 - a) ** 2 for a, b in pairs)


def horner(xs: list[Any], weights: list[Any]) -> Any:
    total = 0.0
    for w in weights:
        total = total * xs[0] + w
    return total


def cross_entropy(xs: list[Any], weights: list[Any]) -> Any:
    scores = [w * x for w, x in zip(weights, xs, strict=True)]
    return autograd.logsumexp(scores) - scores[1]


def matrix_product(xs: list[Any], weights: list[Any]) -> list[list[Any]]:
    a = [xs[:2], xs[2:4], xs[1:3]]
    b = [weights[:3], weights[2:5]]
    columns = [*zip(*b, strict=True)]
    return [[added(x * w for x, w in zip(r, c, strict=True)) for c in columns] for r in a]


def results_that_are_arguments(xs: list[Any], weights: list[Any]) -> Any:
    y = xs[0] * weights[1]
    return [xs[0], y, y, 2.0, xs[0]], (weights[2], 3, True, y), [], [[], [xs[1]]], ()


def nothing(_xs: list[Any], _weights: list[Any]) -> list[Any]:
    return []


def constants(_xs: list[Any], _weights: list[Any]) -> list[Any]:
    return [1.5, -0.0, INF, autograd.exp(1.0), [2], (NAN,)]


def cancelling(xs: list[Any], weights: list[Any]) -> list[Any]:
    a, b = xs[0], weights[0]
    return [
        a - a,
        a / a,
        a * b - a * b,
        (a + b) - b,
        a * 0.0,
        0.0 - a,
        a - (-b),
        +a,
        a * -1.0,
        (-a) * b,
        (-a) / b,
    ]


def counts(xs: list[Any], weights: list[Any]) -> list[Any]:
    sums = [autograd.sum(xs[:n]) for n in range(6)]
    norms = [norm(weights[:n]) for n in (1, 2, 5)]
    return [
        sums,
        norms,
        autograd.mean(xs[:2]),
        autograd.mean(xs),
        autograd.dot(xs[:2], weights[:2]),
    ]


def shared_nodes(xs: list[Any], weights: list[Any]) -> Any:
    y = xs[0]
    for w in weights:
        y = y * y + w * y  # a path for each way down: 2ⁿ of them
    return y + y


def choices(xs: list[Any], weights: list[Any]) -> Any:
    total = 0.0
    for x, w in zip(xs, weights, strict=True):
        leaky = autograd.leaky_relu(x) * w + autograd.elu(x - w, 0.5)
        larger = autograd.maximum(x, w) - autograd.minimum(x * w, 0.25)
        between = autograd.clip(x, -0.5, 1.5) * autograd.abs(w)
        chosen = autograd.where(x > w, x * w, autograd.where(x < 0.0, 1.0, w))
        total = total + leaky * larger + between * chosen
    return total


PROGRAMS = {
    f.__name__: f
    for f in (
        chain,
        odd_order,
        backwards,
        convolution,
        recurrent,
        rosenbrock,
        horner,
        cross_entropy,
        matrix_product,
        results_that_are_arguments,
        nothing,
        constants,
        cancelling,
        choices,
        counts,
        shared_nodes,
    )
}
SCALARS = ["chain", "odd_order", "backwards", "rosenbrock", "horner", "cross_entropy"]
SCALARS += ["choices", "shared_nodes"]
XS = [0.5, -1.25, 0.75, 2.0, -0.3]
WS = [1.1, 0.2, -0.7, 0.4, 0.9]


def same_structure(a: Any, b: Any) -> bool:
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same_structure, a, b))
    return type(a) is float


@fast_and_exact
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_equal_in_its_numbers_and_its_structure(name, exact):
    f = PROGRAMS[name]
    got = compiled(f, exact=exact)(XS, WS)
    assert_equal(f, got, XS, WS, exact=exact)
    assert same_structure(got, f(XS, WS))


@fast_and_exact
@pytest.mark.parametrize("name", SCALARS)
def test_the_derivatives_of_a_program_are_equal(name, exact):
    f = PROGRAMS[name]
    first = value_and_grad(f, argnums=(0, 1))
    assert_equal(first, compiled(first, exact=exact)(XS, WS), XS, WS, exact=exact)
    for second in (hessian(f), jacobian_of_gradient(f)):
        got = compiled(second, exact=exact)(XS, WS)
        assert_equal(second, got, XS, WS, exact=exact and f is not choices)


def jacobian_of_gradient(f: Any) -> Any:
    return autograd.jacobian(grad(f, argnums=1), argnums=0)


@fast_and_exact
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_equal_on_rows(name, exact):
    f = PROGRAMS[name]
    X = np.outer(np.linspace(0.5, 1.5, 19), XS)
    result = compiled(f, rows=0, exact=exact)(X, WS)
    columns = [column.reshape(19, -1) for column in each_array(result)]
    for r, row in enumerate(X.tolist()):
        own = [float(x) for column in columns for x in column[r]]
        assert_equal(f, own, row, WS, exact=exact)


@fast_and_exact
@pytest.mark.parametrize("name", SCALARS)
def test_the_gradient_of_a_program_adds_up_over_rows(name, exact):
    f = value_and_grad(PROGRAMS[name], argnums=1)
    X = np.outer(np.linspace(0.5, 1.5, 19), XS)
    got = compiled(f, rows=0, reduce="sum", exact=exact)(X, WS)
    assert_equal(lambda ws: over_rows(lambda w, row: f(row, w), "sum", ws, X), got, WS)


@fast_and_exact
@pytest.mark.parametrize("transform", [autograd.jvp, autograd.vjp, autograd.hvp])
def test_the_other_transforms_are_equal(transform, exact):
    def f(xs: list[Any], direction: list[Any]) -> Any:
        if transform is autograd.jvp:
            return autograd.jvp(lambda own: recurrent(own, WS), [xs], [direction])
        if transform is autograd.vjp:
            y, pull = autograd.vjp(lambda own: recurrent(own, WS), xs)
            return [y, pull(direction[:2])]
        return autograd.hvp(lambda own: rosenbrock(own, WS), xs, direction)

    assert_equal(f, compiled(f, exact=exact)(XS, WS), XS, WS, exact=exact)


@pytest.mark.slow
def test_a_chain_of_ten_thousand_operations_is_equal():
    def f(x: Any, w: Any, links: int = 5_000) -> Any:
        for _ in range(links):
            x = autograd.sin(x) * w
        return x

    assert compiled(f, exact=True)(0.5, 1.01) == f(0.5, 1.01)
    assert_equal(f, compiled(f)(0.5, 1.01), 0.5, 1.01)

    def slopes(x: Any, w: Any) -> Any:
        return value_and_grad(lambda a, b: f(a, b, 500), argnums=(0, 1))(x, w)

    assert_equal(slopes, compiled(slopes)(0.5, 1.01), 0.5, 1.01)


# --- captured values ------------------------------------------------------------------------------


def test_the_data_of_a_captured_value_is_read_at_every_call():
    w, b = Value(2.0), Value(1.0)

    def f(x: Any) -> Any:
        return w * x + b

    own = compiled(f)
    slope = compiled(grad(f))
    rows = compiled(f, rows=0)
    for data in (2.0, -3.0, 0.0, INF):
        w.data, b.data = data, 0.5
        assert own(3.0) == data * 3.0 + 0.5
        assert slope(3.0) == data
        assert rows([3.0, 4.0]).tolist() == [data * 3.0 + 0.5, data * 4.0 + 0.5]
    assert len(own.paths) == 1


def test_a_captured_value_that_is_an_argument_of_another_call_is_its_own():
    w = Value(2.0)
    f = compiled(lambda x: w * x + w)
    assert f(5.0) == 12.0
    y = f(w)  # a Value: somebody wants the graph
    assert type(y) is Value
    y.backward()
    assert w.grad == 5.0


def test_a_graph_can_be_a_function_of_computed_values_and_of_some_of_its_leaves():
    a, b, c = Value(2.0, "a"), Value(3.0, "b"), Value(5.0, "c")
    middle = a * b
    y = autograd.exp(middle - c) * a
    assert compiled(y, inputs=[middle, a])(5.5, 1.5) == math.exp(0.5) * 1.5
    f = compiled(y, inputs=[a])
    assert f(2.0) == y.data
    c.data = 4.0
    with pytest.raises(RuntimeError, match="the data of leaf 'c' changed"):
        compiled(y, inputs=[a])
    assert f(1.0) == math.exp(3.0 - 4.0)
    assert compiled(middle, inputs=[middle, a])(7.0, 1.0) == 7.0
    assert compiled(middle, inputs=[])() == 6.0


# --- corner cases ---------------------------------------------------------------------------------


def nth(f: Any, order: int) -> Any:
    for _ in range(order):
        f = grad(f)
    return f


# A function of one number, how often it is differentiated, where, and what comes out.
CORNERS: list[tuple[str, Callable[[Any], Any], int, float, float]] = [
    ("x**0", lambda x: x**0, 1, 0.0, 0.0),
    ("x**2", lambda x: x**2, 1, 0.0, 0.0),
    ("x**2", lambda x: x**2, 2, 0.0, 2.0),
    ("x**2", lambda x: x**2, 3, 0.0, 0.0),
    ("x**1.875", lambda x: x**1.875, 1, 0.0, 0.0),
    ("x**3 at -2", lambda x: x**3, 1, -2.0, 12.0),
    ("x**Value(3)", lambda x: autograd.pow(x, Value(3.0)), 1, -2.0, 12.0),
    ("0**y", lambda y: 0.0**y, 1, 0.5, 0.0),
    ("a root of -1", lambda x: autograd.pow(x, 0.5), 0, -1.0, NAN),
    ("log of -1", autograd.log, 0, -1.0, NAN),
    ("log of 0", autograd.log, 0, 0.0, -INF),
    ("1/x at -0", lambda x: autograd.div(1.0, x), 0, -0.0, -INF),
    ("sqrt'", autograd.sqrt, 1, 0.0, INF),
    ("hypot(x, 0)", lambda x: autograd.hypot(x, 0.0), 1, 5e-324, 1.0),
    ("a branch", lambda x: autograd.where(x > 0.0, autograd.log(x), 0.0), 1, -1.0, 0.0),
    ("a branch at 0", lambda x: autograd.where(x > 0.0, autograd.sqrt(x), 0.0), 1, 0.0, 0.0),
    ("relu of log", lambda x: autograd.relu(autograd.log(x)), 1, 0.0, 0.0),
    ("a maximum", lambda x: autograd.maximum(autograd.log(x), -3.0), 1, 0.0, 0.0),
    ("a clip", lambda x: autograd.clip(autograd.sqrt(x), 0.5, 2.0), 1, 0.0, 0.0),
    ("softplus'", autograd.softplus, 1, 800.0, 1.0),
    ("logsumexp'", lambda x: autograd.logsumexp([x, 0.0]), 1, 800.0, 1.0),
    ("maximum(x, x)", lambda x: autograd.maximum(x, x), 1, 3.0, 1.0),
    ("minimum(x, x)", lambda x: autograd.minimum(x, x), 1, 3.0, 1.0),
    ("relu'", autograd.relu, 1, 0.0, 0.0),
    ("abs'", abs, 1, 0.0, 0.0),
    ("a tie", lambda x: autograd.maximum(x, 1.0), 1, 1.0, 0.5),
    ("a tie from below", lambda x: autograd.minimum(1.0, x), 1, 1.0, 0.5),
    ("softplus'", autograd.softplus, 1, 0.0, 0.5),
    ("log_sigmoid'", autograd.log_sigmoid, 1, 0.0, 0.5),
    ("softplus''", autograd.softplus, 2, 0.0, 0.25),
    ("log_sigmoid''", autograd.log_sigmoid, 2, 0.0, -0.25),
    ("relu of nan", autograd.relu, 0, NAN, NAN),
    ("maximum of nan", lambda x: autograd.maximum(x, 1.0), 0, NAN, NAN),
    ("maximum with nan", lambda x: autograd.maximum(1.0, x), 0, NAN, NAN),
    ("sigmoid", autograd.sigmoid, 0, -800.0, 0.0),
    ("tanh", autograd.tanh, 0, 400.0, 1.0),
    ("tanh'", autograd.tanh, 1, 400.0, 0.0),
    ("logaddexp", lambda x: autograd.logaddexp(x, 2.0), 0, -INF, 2.0),
    ("logsumexp of -inf", lambda x: autograd.logsumexp([x, x]), 0, -INF, -INF),
    ("log1p", autograd.log1p, 0, 1e-20, 1e-20),
    ("expm1", autograd.expm1, 0, 1e-20, 1e-20),
    ("tanh'", autograd.tanh, 1, 19.0, 1.2556531168192118e-16),
    ("sigmoid'", autograd.sigmoid, 1, 40.0, 4.248354255291589e-18),
    ("asin'", autograd.asin, 1, 1.0 - 1e-12, 707114.6025256454),
    ("asinh'", autograd.asinh, 1, 1e200, 1e-200),
    ("atan2'", lambda x: autograd.atan2(x, 1e160), 1, 1e160, 5e-161),
    ("atan2'", lambda x: autograd.atan2(x, 1e-160), 1, 1e-160, 5e159),
    ("a quotient", lambda x: x / 1e160, 1, 1e160, 1e-160),
    ("a - a", lambda x: x - x, 1, 3.0, 0.0),
    ("a / a", lambda x: x / x, 1, 3.0, 0.0),
    ("a * a", lambda x: x * x, 2, 3.0, 2.0),
    ("a result that is its input", lambda x: x, 1, 3.0, 1.0),
    ("a result that isn't its", lambda _: 2.0, 1, 3.0, 0.0),
    ("confusion", lambda x: x * grad(lambda y: x + y)(1.0), 1, 1.0, 1.0),
    ("nested", lambda x: x * grad(lambda y: x * y * y)(2.0), 1, 3.0, 24.0),
]


@fast_and_exact
@pytest.mark.parametrize("case", CORNERS, ids=lambda case: f"{case[0]}, {case[2]}, {case[3]}")
def test_a_corner_case_comes_out_right(case, exact):
    _, f, order, x, y = case
    derivative = nth(f, order)
    got = compiled(derivative, exact=exact)(x)
    assert is_near(got, y)
    assert_equal(derivative, got, x, exact=exact)


# What a compiler may be tempted to leave out, and mayn't where x is infinite, a nan or a zero.
TEMPTING: dict[str, Callable[[Any], Any]] = {
    "x · 0": lambda x: x * 0.0,
    "0 · x": lambda x: 0.0 * x,
    "-0 · x": lambda x: x * -0.0,
    "x - x": lambda x: x - x,
    "x / x": lambda x: x / x,
    "0 / x": lambda x: autograd.div(0.0, x),
    "x + 0": lambda x: x + 0.0,
    "0 + x": lambda x: 0.0 + x,
    "x + -0": lambda x: x + -0.0,
    "x - 0": lambda x: x - 0.0,
    "x - -0": lambda x: x - -0.0,
    "0 - x": lambda x: 0.0 - x,
    "-0 - x": lambda x: -0.0 - x,
    "x · 1": lambda x: x * 1.0,
    "x · -1": lambda x: x * -1.0,
    "x / 1": lambda x: x / 1.0,
    "x / -1": lambda x: x / -1.0,
    "-(-x)": lambda x: autograd.neg(-x),
    "x + (-x)": lambda x: x + (-x),
    "-x + 1": lambda x: (-x) + 1.0,
    "-0 and 0": lambda x: [x * 0.0, x * -0.0, 0.0, -0.0],
    "1 - x and x - 1": lambda x: [1.0 - x, x - 1.0],
    "a product less a number": lambda x: x * 3.0 - 1.0,
    "a number less a product": lambda x: 1.0 - x * 5.0,
    "a number and a negative one": lambda x: [1.0 + (-x), (-x) + 2.0],
    "|x|": lambda x: [abs(x), abs(-x)],
    "x⁰": lambda x: x**0,
    "x¹": lambda x: x**1,
    "x³": lambda x: x**3,
    "x⁻¹": lambda x: autograd.pow(x, -1.0),
    "a sum of one": lambda x: autograd.sum([x]),
    "a mean of one": lambda x: autograd.mean([x]),
    "x · 1 as a dot product": lambda x: autograd.dot([x], [1.0]),
    "a bias": lambda x: autograd.dot([x, 1.0], [2.0, x]),
    "a choice that is made": lambda x: autograd.where(1.0, x, 2.0) + autograd.where(0.0, x, 2.0),
    "a choice of a choice": lambda x: autograd.where(autograd.step(x), 2.0, x),
    "a choice by a comparison": lambda x: autograd.where(x > 0.5, x, 2.0),
    "the same twice": lambda x: autograd.where(x, 3.0, 3.0),
}


@fast_and_exact
def test_nothing_is_left_out_that_matters_to_a_zero_an_infinity_or_a_nan(exact):
    def f(x: Any) -> Any:
        return [flat(g(x)) for g in TEMPTING.values()]

    def signed(name: str, x: float) -> bytes:
        # A sum of any number of terms has no order, and so no sign of a zero.
        return bits(unsigned(x) if name in SUMS_OF_MANY and not exact else x)

    points = [0.0, -0.0, 1.0, -1.5, INF, -INF, NAN, LARGEST, TINY]
    names = [name for name, g in TEMPTING.items() for _ in flat(g(Value(1.0)))]
    own = compiled(f, exact=exact)
    together = columns_of(compiled(f, rows=0, exact=exact)(points), len(points))
    for x, row in zip(points, together, strict=True):
        expected = interpreted(f, Value(x))
        for found in (flat(own(x)), row):
            for name, y, z in zip(names, found, expected, strict=True):
                assert signed(name, y) == signed(name, z), (name, x)


SUMS_OF_MANY = {"a sum of one", "a mean of one", "x · 1 as a dot product", "a bias"}


def test_a_quotient_of_small_whole_numbers_is_exactly_that_of_ieee_754():
    pairs = np.array([(a, b) for a in range(-20, 21) for b in range(-20, 21) if b], dtype=float)
    quotients = compiled(lambda x: x[0] / x[1], rows=0)(pairs)
    assert quotients.tolist() == (pairs[:, 0] / pairs[:, 1]).tolist()


def test_sums_whose_first_terms_lie_here_and_there_are_equal():
    # One begins with an argument and the other with what has been computed: there is no step that
    # leads from the one place to the other.
    def f(x: Any) -> Any:
        e, s, c, t = ([op(a) for a in x] for op in (ops.exp, ops.sin, ops.cos, ops.tanh))
        return [x[3] + e[0] * s[0] + c[0] * t[0], ops.sinh(x[2]) + e[1] * s[1] + c[1] * t[1]]

    point = [0.1, 0.2, 0.3, 0.4]
    assert_found(f, flat(compiled(f)(point)), interpreted(f, point), (point,), exact=False)
