"""The laws that every operation, and every graph of operations, has to keep."""

from __future__ import annotations

import copy
import itertools
import math
import operator
import pickle
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import mpmath as mp
import pytest
from expressions import (
    OPERATIONS,
    SPELLED,
    Expression,
    bounds,
    differentiable,
    expressions,
    numbers,
    points,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import ORACLE

import autograd
from autograd import REGISTRY, Kink, Op, Value, backward, value
from autograd.op import find
from autograd.testing.differences import derivative

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDING = 2.0**-53  # half a unit in the last place of 1

every_operation = pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
some = settings(max_examples=20)


def bits(x: float) -> bytes:
    """The bits of a float; -0.0 counts as 0.0, since gradients are added up from 0.0."""
    assert type(x) is float
    return struct.pack("<d", x + 0.0)


def local_at(op: Op, index: int, point: Sequence[float]) -> float:
    return float(op.local(index, op.evaluate(*point), point))


def exact_local(op: Op, index: int, point: Sequence[float]) -> mp.mpf:
    """The derivative by mpmath, from the operation's value alone."""
    before, after = point[:index], point[index + 1 :]

    def along(x: mp.mpf) -> mp.mpf:
        return ORACLE[op.name].value(*map(mp.mpf, before), x, *map(mp.mpf, after))

    with mp.workprec(200):
        return mp.diff(along, mp.mpf(point[index]))


def terms(op: Op, point: Sequence[float]) -> float:
    """The size of what a dot product adds up: its rounding is in proportion to that."""
    half = len(point) // 2
    products = map(operator.mul, point[:half], point[half:])
    return math.fsum(map(abs, products)) if op.name == "dot" else 0.0


def nearby(op: Op, index: int, x: float) -> tuple[float, float]:
    """Where differences may look: beyond a peak both sides are 0, which looks like an answer."""
    low, high = bounds(op, index)
    return max(low, x - 1.0), min(high, x + 1.0)


def is_close(x: float, exact: Any, tolerance: Any) -> bool:
    return bool(abs(mp.mpf(x) - exact) <= tolerance)


# --- each operation -------------------------------------------------------------------------------


@every_operation
@some
@given(data=st.data())
def test_a_value_is_that_of_mpmath(op, data):
    on_kinks = [point for kink in op.kinks for point in points_on(op, kink)]
    point = data.draw(points(op) | st.sampled_from(on_kinks) if on_kinks else points(op))
    with mp.workprec(200):
        exact = ORACLE[op.name].value(*map(mp.mpf, point))
        # A sum may cancel, and log is as good as its argument: then the error is absolute.
        tolerance = 1e-14 * abs(exact) + 1e-16 + 2.0 * ROUNDING * terms(op, point)
    assert is_close(op.evaluate(*point), exact, tolerance)


@every_operation
@some
@given(data=st.data())
def test_a_local_derivative_is_that_of_mpmath(op, data):
    point = data.draw(points(op))
    # In pow_below's own derivative the exponent b - 1 is rounded, and |log a| times that is lost.
    relative = 1e-13 if op.name == "pow_below" else 1e-14
    for index in differentiable(op, point):
        exact = exact_local(op, index, point)
        assert is_close(local_at(op, index, point), exact, relative * abs(exact) + 1e-18)


@every_operation
@some
@given(data=st.data())
def test_a_local_derivative_is_that_of_differences(op, data):
    point = data.draw(points(op))
    # Differences judge their rounding by the size of the value: a constant makes that large enough.
    offset = 2.0 * terms(op, point)
    for index in differentiable(op, point):
        before, after = point[:index], point[index + 1 :]

        def along(x: float, before: Any = before, after: Any = after) -> float:
            return float(op.evaluate(*before, x, *after)) + offset

        numeric, error = derivative(along, point[index], *nearby(op, index, point[index]))[:2]
        assert abs(local_at(op, index, point) - numeric) <= 2.0 * error


@every_operation
@some
@given(data=st.data())
def test_a_second_derivative_is_that_of_differences_of_the_first(op, data):
    point = data.draw(points(op))
    leaves = [Value(x) for x in point]
    wanted = differentiable(op, point)
    firsts = autograd.gradients(op.apply(tuple(leaves)), [leaves[i] for i in wanted])
    for i, first in zip(wanted, firsts, strict=True):
        seconds = autograd.gradients(first, [leaves[j] for j in wanted])
        for j, second in zip(wanted, seconds, strict=True):
            before, after = point[:j], point[j + 1 :]

            def along(x: float, i: int = i, before: Any = before, after: Any = after) -> float:
                return local_at(op, i, (*before, x, *after))

            numeric, error = derivative(along, point[j], *nearby(op, j, point[j]))[:2]
            # What cancels in a second derivative, as y(1 - y)(1 - 2y), is of the first one's size.
            allowed = 2.0 * error + 32.0 * ROUNDING * abs(first.data)
            assert abs(second.data - numeric) <= allowed, (i, j)


@every_operation
@some
@given(data=st.data())
def test_a_local_derivative_on_values_is_that_on_floats(op, data):
    point = data.draw(points(op))
    leaves = tuple(Value(x) for x in point)
    y = op.apply(leaves)
    for index in differentiable(op, point):
        lifted = op.local(index, y, leaves)
        assert value.plain(lifted) == local_at(op, index, point)


@every_operation
@some
@given(data=st.data())
def test_forward_mode_is_the_transpose_of_reverse_mode(op, data):
    point = data.draw(points(op))
    wanted = differentiable(op, point)
    part = st.lists(numbers, min_size=len(wanted), max_size=len(wanted))
    direction, u = data.draw(part), data.draw(st.tuples(numbers, numbers))

    def two_results(xs: list[Any]) -> list[Any]:
        operands: list[Any] = list(point)
        for index, x in zip(wanted, xs, strict=True):
            operands[index] = x
        y = op.apply(tuple(operands))
        return [y, y * xs[0]]

    inputs = [point[index] for index in wanted]
    data_forward, along = autograd.jvp(two_results, [inputs], [direction])
    data_reverse, pull = autograd.vjp(two_results, inputs)
    (back,) = pull(list(u))
    assert data_forward == data_reverse
    left = [a * b for a, b in zip(u, along, strict=True)]
    right = [a * b for a, b in zip(back, direction, strict=True)]
    sizes = [
        abs(u[0] * local_at(op, i, point)) * abs(d)
        + abs(u[1] * (d * data_forward[0]))
        + abs(u[1] * inputs[0] * local_at(op, i, point) * d)
        for i, d in zip(wanted, direction, strict=True)
    ]
    assert abs(math.fsum(left) - math.fsum(right)) <= 32.0 * ROUNDING * math.fsum(sizes)


@every_operation
@some
@given(data=st.data())
def test_an_operation_passes_back_upstream_times_its_local_derivatives(op, data):
    point = data.draw(points(op))
    seed = data.draw(numbers)
    wanted = differentiable(op, point)
    operands: list[Any] = list(point)
    for index in wanted:
        operands[index] = Value(point[index])
    op.apply(tuple(operands)).backward(seed)
    for index in wanted:
        assert bits(operands[index].grad) == bits(local_at(op, index, point) * seed)


@every_operation
@some
@given(data=st.data())
def test_an_edge_holds_a_parent_and_its_local_derivative(op, data):
    point = data.draw(points(op))
    wanted = differentiable(op, point)
    operands = tuple(Value(x) if i in wanted else x for i, x in enumerate(point))
    node = op.apply(operands)
    edges = node.edges()
    assert list(map(id, node.parents)) == [id(operands[i]) for i in wanted]
    assert [id(parent) for parent, _ in edges] == [id(operands[i]) for i in wanted]
    locals_ = [bits(local()) for _, local in edges]
    assert locals_ == [bits(local_at(op, i, point)) for i in wanted]


@every_operation
@some
@given(data=st.data())
def test_a_float_gives_a_float_and_a_value_a_value(op, data):
    point = data.draw(points(op))
    y = op.apply(point)
    assert type(y) is float
    for count in range(1, 2 ** len(point)):
        mixed = tuple(Value(x) if count >> i & 1 else x for i, x in enumerate(point))
        node = op.apply(mixed)
        assert type(node) is Value
        assert bits(node.data) == bits(y)
        assert [type(x) for x in node.operands] == [type(x) for x in mixed]


@every_operation
@some
@given(data=st.data())
def test_numbers_of_every_kind_become_the_same_float(op, data):
    point = data.draw(points(op))
    y = op.apply(point)
    assert bits(op.apply(tuple(map(Fraction, point)))) == bits(y)
    first, *others = point
    node = op.apply((Value(first), *map(Fraction, others)))
    assert node.operands == (first, *others)
    assert {type(x) for x in node.operands[1:]} <= {float}


FUNCTIONS: dict[str, Any] = {
    "sum": autograd.sum,
    "mean": autograd.mean,
    "logsumexp": autograd.logsumexp,
    "softmax": lambda xs: autograd.softmax(xs)[0],
    "dot": lambda xs: autograd.dot(xs[: len(xs) // 2], xs[len(xs) // 2 :]),
}


@every_operation
@some
@given(data=st.data())
def test_the_public_function_is_the_operation(op, data):
    point = data.draw(points(op))
    leaves = [Value(x) for x in point]
    function = getattr(autograd, op.name)
    for operands in (point, leaves):
        y = FUNCTIONS[op.name](operands) if op.arity is None else function(*operands)
        assert y == op.evaluate(*point)
        assert type(y) is (float if operands is point else Value)
    assert y.op is op
    assert all(a is b for a, b in zip(y.operands, leaves, strict=True))


def state(node: Value) -> list[Any]:
    """All that a node holds; operands by identity where they are Values."""
    operands = [id(x) if type(x) is Value else bits(x) for x in node.operands]
    raw = [type(node._first), type(node._second)]
    others = set(Value.__slots__) - {"__weakref__", "_data", "_first", "_second", "_scope"}
    rest = [getattr(node, slot) for slot in sorted(others)]
    return [operands, raw, bits(node.data), node.scope, *rest]


@every_operation
@some
@given(data=st.data())
def test_methods_and_operators_record_what_record_does(op, data):
    point = data.draw(points(op))
    a = Value(point[0])
    others = tuple(point[1:])
    values = tuple(map(Value, others))
    if op.arity is not None:
        for operands in {others, values}:
            expected = state(a.record(op, (a, *operands)))
            for name in (op.name, *op.aliases):
                assert state(getattr(a, name)(*operands)) == expected
            if op.name in SPELLED:
                assert state(SPELLED[op.name](a, *operands)) == expected
        expected = state(a.record(op, (a,) * op.arity)) if _meets_itself(op, point[0]) else []
        if expected:
            assert state(getattr(a, op.name)(*(a,) * (op.arity - 1))) == expected
    if op.arity == 2 and op.name in SPELLED:
        (b,) = values
        assert state(SPELLED[op.name](point[0], b)) == state(b.record(op, (point[0], b)))


def _meets_itself(op: Op, x: float) -> bool:
    try:
        op.forward(*(x,) * (op.arity or 1))
    except (ArithmeticError, ValueError):
        return False
    return True


@every_operation
@some
@given(data=st.data())
def test_a_node_survives_pickle_and_deepcopy_with_its_gradients(op, data):
    point = data.draw(points(op))
    wanted = differentiable(op, point)
    operands = [Value(x, f"x{i}") if i in wanted else x for i, x in enumerate(point)]
    y = op.apply(tuple(operands))
    y.label = "y"
    y.backward(3.0)
    _assert_copies(y, [x for x in operands if type(x) is Value])


def _assert_copies(y: Value, leaves: list[Value]) -> None:
    """Copies have the same state, share what was shared, and have gradients of their own."""
    changed = Value(0.0)
    changed.data = 1.0  # time passes: a copy must not look older than its leaves
    for remake in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):  # noqa: S301
        further = y * 2.0
        y2, further2, leaves2 = remake((y, further, leaves))
        assert further2.operands[0] is y2
        assert further2.data == further.data
        before = [x.grad for x in leaves]
        olds = [v for part in reversed(backward.sort(y)) for v in part]
        news = [v for part in reversed(backward.sort(y2)) for v in part]
        place = {v: k for k, v in enumerate(olds)}
        place2 = {v: k for k, v in enumerate(news)}
        assert place.keys().isdisjoint(place2)
        assert [place[x] for x in leaves if x in place] == [
            place2[x] for x in leaves2 if x in place2
        ]
        for old, new in zip(olds, news, strict=True):
            assert new.op is old.op
            assert (new._grad, new.label) == (old._grad, old.label)
            assert bits(new.data) == bits(old.data)
            assert [place.get(x, x) for x in old.operands] == [
                place2.get(x, x) for x in new.operands
            ]
        y2.backward(3.0)
        assert [x.grad for x in leaves] == before
        y.backward(3.0)
        assert [bits(x.grad) for x in leaves2] == [bits(x.grad) for x in leaves]


def _defined_copy(op: Op, name: str) -> Op:
    # `define` reads the number of operands off the signature; those of `math` don't all have one.
    forward = op.forward
    wrapped: Any = {
        1: lambda a: forward(a),  # noqa: PLW0108  (the signature is the point)
        2: lambda a, b: forward(a, b),  # noqa: PLW0108
        3: lambda a, b, c: forward(a, b, c),  # noqa: PLW0108
        None: lambda *xs: forward(*xs),  # noqa: PLW0108
    }[op.arity]
    defined: Op = autograd.define(
        name,
        wrapped,
        op.partials,
        formula=op.formula,
        locals=op.locals,
        rule=op.rule,
        domain=op.domain if op.arity else (),
        kinks=op.kinks,
        routes=op.routes,
        ieee=op.ieee,
    )
    return defined


@pytest.fixture
def name_to_define() -> Iterator[str]:
    """A name that is free again after the test."""
    name = "copied_for_a_test"
    yield name
    REGISTRY.pop(name, None)
    if name in vars(Value):
        delattr(Value, name)


# polygamma: see below. dot takes an even number of operands, and `define` tries three.
CHECKED = [op for op in OPERATIONS if op.name not in {"polygamma", "dot"}]


@pytest.mark.parametrize("op", CHECKED, ids=lambda op: op.name)
def test_a_defined_copy_of_an_operation_behaves_like_it(op, name_to_define):
    copied = _defined_copy(op, name_to_define)

    @settings(parent=some, database=None)
    @given(data=st.data())
    def behaves_alike(data: st.DataObject) -> None:
        point = data.draw(points(op))
        assert bits(copied.evaluate(*point)) == bits(op.evaluate(*point))
        sides = [[Value(x) for x in point] for _ in range(2)]
        results = [f.apply(tuple(xs)) for f, xs in zip((op, copied), sides, strict=True)]
        if op.arity is not None:
            method = getattr(sides[1][0], name_to_define)
            assert state(method(*sides[1][1:])) == state(results[1])
        for y, xs in zip(results, sides, strict=True):
            y.backward(0.7)
            (y * y).backward()
            _assert_copies(y, xs)
            xs.extend(autograd.gradients(autograd.gradients(y, xs)[0], xs))
        ours, theirs = sides
        for a, b in zip(ours, theirs, strict=True):
            assert (bits(a.data), bits(a.grad)) == (bits(b.data), bits(b.grad))

    behaves_alike()


def test_a_copy_of_polygamma_is_refused_since_its_order_has_no_derivative(name_to_define):
    with pytest.raises(ValueError, match="operand 1 couldn't be checked"):
        _defined_copy(find("polygamma"), name_to_define)
    assert name_to_define not in REGISTRY


def test_polygamma_has_no_derivative_in_its_order():
    n, x = Value(1.0), Value(2.0)
    with pytest.raises(ValueError, match="polygamma has no derivative in n"):
        autograd.polygamma(n, x).backward()
    assert (n.grad, x.grad) == (0.0, 0.0)
    autograd.polygamma(1.0, x).backward()
    assert x.grad == autograd.polygamma(2.0, 2.0)


# --- kinks and routes -----------------------------------------------------------------------------

KINKS = [(op, kink) for op in OPERATIONS for kink in op.kinks]
GRID = (-2.0, -1.0, 0.0, 0.01, 0.5, 1.0, 2.0)


def points_on(op: Op, kink: Kink) -> list[tuple[float, ...]]:
    """Points of a small grid that lie on the kink."""
    every = itertools.product(GRID, repeat=op.arity or 1)
    found = []
    for point in every:
        try:
            op.forward(*point)
        except (ArithmeticError, ValueError):
            continue
        if kink.holds(*point):
            found.append(point)
    return found


@pytest.mark.parametrize(("op", "kink"), KINKS, ids=lambda x: getattr(x, "name", None) or x.at)
def test_on_a_kink_the_derivative_is_the_declared_subgradient(op, kink):
    found = points_on(op, kink)
    assert found
    with autograd.ieee():  # where it is infinite, inf; outside it's an error that says so
        for point in found:
            locals_ = tuple(local_at(op, index, point) for index in range(len(point)))
            assert locals_ == kink.subgradient(*point), point


ROUTING = [op for op in OPERATIONS if op.routes]


@pytest.mark.parametrize("op", ROUTING, ids=lambda op: op.name)
@some
@given(data=st.data())
def test_what_an_operation_does_not_pass_on_is_not_asked_for_its_derivative(op, data):
    point = data.draw(points(op))
    ignored = [i for i in range(len(point)) if local_at(op, i, point) == 0.0]
    root = Value(0.0)  # √ has an infinite derivative here
    operands = [Value(x) for x in point]
    for index in ignored:
        operands[index] = autograd.sqrt(root) + operands[index]
    y = op.apply(tuple(operands))
    y.backward()
    assert root.grad == 0.0
    assert autograd.steps(y).grad(root) == 0.0
    assert autograd.gradients(y, [root])[0].data == 0.0


@pytest.mark.parametrize("op", ROUTING, ids=lambda op: op.name)
@some
@given(data=st.data())
def test_nor_is_it_asked_in_forward_mode(op, data):
    point = data.draw(points(op))
    ignored = [i for i in range(len(point)) if local_at(op, i, point) == 0.0]

    def of_root(x: Any) -> Any:
        mixed: list[Any] = list(point)
        for index in ignored:
            mixed[index] = autograd.sqrt(x) + point[index]
        return op.apply(tuple(mixed))

    assert autograd.jvp(of_root, [0.0], [1.0])[1] == 0.0


# --- expressions ----------------------------------------------------------------------------------


def reference(expression: Expression) -> tuple[list[mp.mpf], list[mp.mpf], list[mp.mpf]]:
    """The values and the gradient by mpmath, and how far off a good gradient in floats may be.

    The tolerance is a first-order error analysis. Let each line's result be multiplied by 1 + δ.

    - Values. The computed result is the exact result for some |δ| <= 4 units in the last place, the
      bound of the operations. The gradient at those values differs from the true one by
      Σ δ · ∂(gradient)/∂δ: the conditioning of this very expression, which cancellation makes as
      large as it likes.
    - Derivatives. Each product of local derivatives along a path is off by 4 units per factor and
      half a unit per multiplication and addition: altogether by that times the number of lines,
      times the sum over paths of |product|, which a backward pass with absolute values adds up.

    All derivatives in it are one-sided differences with a step of 1e-40 in 160 digits, so no rule
    of ours has a part in it; 1e-30 is for what they neglect. Twice the bound allows for what is of
    second order.
    """
    with mp.workdps(160):
        h = mp.mpf(10) ** -40
        inputs = [mp.mpf(x) for x in expression.inputs]
        count = len(expression.lines)
        shifted = [[x + h * (i == j) for j, x in enumerate(inputs)] for i in range(len(inputs))]
        values = expression.exact(inputs)
        gradient = [(expression.exact(point)[-1] - values[-1]) / h for point in shifted]
        conditioning = [mp.mpf(0)] * len(inputs)
        for line in range(count):
            factors = [1 + h * (line == other) for other in range(count)]
            base = expression.exact(inputs, factors)[-1]
            for i, point in enumerate(shifted):
                there = (expression.exact(point, factors)[-1] - base) / h
                conditioning[i] += abs(there - gradient[i]) / h
        paths = _absolute_paths(expression, values, h)
        unit = 2 * mp.mpf(ROUNDING)
        tolerance = [
            2 * (4 * unit * bend + 6 * unit * count * path) + mp.mpf(10) ** -30
            for bend, path in zip(conditioning, paths, strict=True)
        ]
    return values, gradient, tolerance


def _absolute_paths(expression: Expression, values: list[mp.mpf], h: mp.mpf) -> list[mp.mpf]:
    # Σ over paths of Π |local derivative|, from the result back to each input.
    first = len(expression.inputs)
    sums = [mp.mpf(0)] * len(values)
    sums[-1] = mp.mpf(1)
    for line in reversed(range(len(expression.lines))):
        name, row = expression.lines[line]
        here = first + line
        operands = [values[x] if isinstance(x, int) else mp.mpf(x) for x in row]
        for index, place in enumerate(row):
            if isinstance(place, int):
                moved = [x + h * (i == index) for i, x in enumerate(operands)]
                local = (ORACLE[name].value(*moved) - values[here]) / h
                sums[place] += abs(local) * sums[here]
    return sums[:first]


@settings(max_examples=100)
@given(expressions())
def test_the_gradient_of_an_expression_is_that_of_mpmath(expression):
    _, gradient, tolerance = reference(expression)
    y, leaves = expression.graph()
    y.backward()
    for leaf, exact, allowed in zip(leaves, gradient, tolerance, strict=True):
        assert is_close(leaf.grad, exact, allowed)


@settings(max_examples=100)
@given(expressions())
def test_an_expression_has_one_value_on_floats_and_on_values(expression):
    y, _ = expression.graph()
    assert bits(y.data) == bits(expression.on_floats(*expression.inputs))
    assert bits(y.data) == bits(expression(*expression.inputs))


@settings(max_examples=100)
@given(expressions(), numbers)
def test_steps_add_up_to_backward_to_the_last_bit(expression, seed):
    y, leaves = expression.graph()
    walk = autograd.steps(y, seed=seed)
    y.backward(seed)
    assert not walk.premature
    sums: dict[Value, float] = {}
    for step in walk:
        assert bits(step.upstream) == bits(step.value.grad)
        assert step.complete == step.upstream
        if step.contribution or step.local:  # else it wasn't passed on
            assert bits(step.contribution) == bits(step.local * step.upstream)
        sums[step.parent] = sums.get(step.parent, 0.0) + step.contribution
        assert bits(step.accumulated) == bits(sums[step.parent])
    for v, total in sums.items():
        if v is not y:
            assert bits(v.grad) == bits(total)
            assert bits(walk.grad(v)) == bits(total)
    assert all(leaf in sums or leaf.grad == 0.0 or leaf is y for leaf in leaves)
    edges = sum(len(v.parents) for v in reached(y))
    assert len(walk) == edges


def reached(y: Value) -> list[Value]:
    """The computed values that a contribution reaches."""
    return [v for v in backward.sort(y)[0] if v._grad is not None and _is_reached(v, y)]


def _is_reached(v: Value, y: Value) -> bool:
    return v is y or v._grad is not backward._UNREACHED


@settings(max_examples=100)
@given(expressions(), numbers)
def test_the_fast_loop_is_the_generic_one(expression, seed):
    fast, leaves = expression.graph()
    fast.backward(seed)
    generic, others = expression.graph()
    computed, _ = backward.sort(generic)
    backward._walk_by_steps(generic, computed, seed)
    assert [bits(x.grad) for x in leaves] == [bits(x.grad) for x in others]
    with autograd.ieee():
        again, third = expression.graph()
        again.backward(seed)
    assert [bits(x.grad) for x in leaves] == [bits(x.grad) for x in third]


@settings(max_examples=50)
@given(expressions())
def test_gradients_are_those_of_backward_and_change_no_grad(expression):
    y, leaves = expression.graph()
    results = autograd.gradients(y, leaves)
    assert all(v._grad is None for part in backward.sort(y) for v in part)
    y.backward()
    assert [bits(g.data) for g in results] == [bits(x.grad) for x in leaves]
    of_list = autograd.grad(lambda xs: expression(*xs))(list(expression.inputs))
    assert [bits(g) for g in of_list] == [bits(x.grad) for x in leaves]


@settings(max_examples=50)
@given(expressions())
def test_backward_twice_gives_leaves_exactly_twice_and_values_between_the_same(expression):
    y, leaves = expression.graph()
    y.backward()
    computed, _ = backward.sort(y)
    once = [x.grad for x in leaves]
    between = [v.grad for v in computed]
    y.backward()
    assert [x.grad for x in leaves] == [2.0 * g for g in once]
    assert [v.grad for v in computed] == between


@settings(max_examples=50)
@given(expressions(), expressions())
def test_leaves_add_up_over_results_that_share_them(one, other):
    leaves = [Value(x) for x in one.inputs]
    first = one(*leaves)
    first.backward()
    before = [x.grad for x in leaves]
    second = autograd.sum([first, *leaves])
    second.backward(2.0)
    fresh = [Value(x) for x in one.inputs]
    autograd.sum([one(*fresh), *fresh]).backward(2.0)
    assert [bits(x.grad) for x in leaves] == [
        bits(x.grad + old) for x, old in zip(fresh, before, strict=True)
    ]
    elsewhere = [x.grad for x in leaves]
    other.graph()[0].backward()
    assert [x.grad for x in leaves] == elsewhere


@settings(max_examples=50)
@given(expressions(), st.integers(-20, 20), numbers, numbers)
def test_gradients_are_linear_in_the_seed(expression, power, one, other):
    def seeded(seed: float) -> list[float]:
        y, leaves = expression.graph()
        y.backward(seed)
        assert y.grad == (seed if y.op else leaves[-1].grad)
        return [x.grad for x in leaves]

    unit, scale = seeded(1.0), 2.0**power
    assert seeded(scale) == [scale * g for g in unit]
    assert seeded(-1.0) == [-g for g in unit]
    _, _, tolerance = reference(expression)
    total = (one + other, abs(one) + abs(other))
    parts = zip(seeded(one), seeded(other), seeded(total[0]), tolerance, strict=True)
    for a, b, both, allowed in parts:
        assert abs(a + b - both) <= total[1] * float(allowed) + 1e-300


@settings(max_examples=50)
@given(expressions(most_lines=5))
def test_a_gradient_is_the_sum_over_paths(expression):
    y, leaves = expression.graph()
    y.backward()
    for leaf in leaves:
        ways = autograd.paths(y, leaf, limit=10**5)
        for way in ways:
            assert way.values[0] is y
            assert way.values[-1] is leaf
            assert way.product == math.prod(way.locals)
        total = math.fsum(way.product for way in ways)
        size = math.fsum(abs(way.product) for way in ways)
        longest = len(expression.lines)
        allowed = 4.0 * ROUNDING * longest * longest * size
        assert abs(total - leaf.grad) <= allowed


@settings(max_examples=50)
@given(expressions(), st.data())
def test_forward_mode_on_an_expression_is_the_transpose_of_reverse_mode(expression, data):
    inputs = list(expression.inputs)
    part = st.lists(numbers, min_size=len(inputs), max_size=len(inputs))
    direction, u = data.draw(part), data.draw(numbers)
    values, along = autograd.jvp(lambda xs: [expression(*xs)], [inputs], [direction])
    again, pull = autograd.vjp(lambda xs: [expression(*xs)], inputs)
    (back,) = pull([u])
    assert values == again == [expression.on_floats(*inputs)]
    _, _, tolerance = reference(expression)
    allowed = math.fsum(
        abs(u * d) * 2.0 * float(t) for d, t in zip(direction, tolerance, strict=True)
    )
    right = math.fsum(a * b for a, b in zip(back, direction, strict=True))
    assert abs(u * along[0] - right) <= allowed


@settings(max_examples=30)
@given(expressions(most_lines=5))
def test_the_hessian_of_an_expression_is_symmetric_and_hvp_its_product(expression):
    inputs = list(expression.inputs)
    rows = autograd.hessian(lambda xs: expression(*xs))(inputs)
    size = max(abs(x) for row in rows for x in row)
    columns = list(zip(*rows, strict=True))
    # Both are sums of the same products of second-order paths: here only their order differs.
    big = 1e-9 * size + 1e-9
    for row, column in zip(rows, columns, strict=True):
        assert all(abs(a - b) <= big for a, b in zip(row, column, strict=True))
    for j in range(len(inputs)):
        unit = [float(i == j) for i in range(len(inputs))]
        product = autograd.hvp(lambda xs: expression(*xs), inputs, unit)
        assert all(abs(a - b) <= big for a, b in zip(product, columns[j], strict=True))


@settings(max_examples=50)
@given(expressions())
def test_an_expression_survives_pickle_and_deepcopy_with_its_gradients(expression):
    y, leaves = expression.graph()
    y.backward(3.0)
    for number, v in enumerate(backward.sort(y)[0]):
        v.label = f"v{number}"
    _assert_copies(y, leaves)


# --- the engine -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(expressions(), st.data())
def test_a_changed_leaf_makes_every_value_above_it_stale(expression, data):
    y, leaves = expression.graph()
    used = sorted(backward.sort(y)[1], key=leaves.index)
    leaf = data.draw(st.sampled_from(used))
    leaf.label = "changed"
    leaf.data = leaf.data
    for ask in (y.backward, lambda: autograd.steps(y), lambda: autograd.gradients(y, leaves)):
        with pytest.raises(RuntimeError, match="leaf 'changed' changed"):
            ask()
    assert all(x.grad == 0.0 for x in leaves)
    for v in _all_values(y):
        for parent, local in v.edges():
            if parent is leaf:
                with pytest.raises(RuntimeError, match="leaf 'changed' changed"):
                    local()
    again, fresh = expression(*leaves), expression.graph()
    again.backward()
    fresh[0].backward()
    assert [x.grad for x in leaves] == [x.grad for x in fresh[1]]


@pytest.mark.parametrize(
    "combine",
    [
        lambda leaf, other: leaf + other,
        lambda leaf, other: other - leaf,
        lambda leaf, other: autograd.sum([leaf, other]),
        lambda leaf, other: autograd.sum([other, 1.0, leaf]),
        lambda leaf, other: autograd.clip(leaf, 0.0, other),
    ],
)
def test_a_value_made_afterwards_excuses_no_stale_one(combine):
    leaf, other = Value(1.0, "leaf"), Value(3.0)
    old = combine(leaf, other)
    leaf.data = 2.0
    new = combine(leaf, other)
    for y in (old, new + old, old + new, autograd.sum([new, old, new])):
        with pytest.raises(RuntimeError, match="leaf 'leaf' changed"):
            y.backward()
    new.backward()
    assert leaf.grad


def _all_values(y: Value) -> list[Value]:
    """The computed values below `y`, found without the engine's help."""
    found: list[Value] = []
    todo = [y]
    while todo:
        v = todo.pop()
        if v.op is not None and all(v is not other for other in found):
            found.append(v)
            todo += v.parents
    return found


@settings(max_examples=50)
@given(expressions())
def test_the_order_is_topological_and_complete(expression):
    y, leaves = expression.graph()
    computed, found = backward.sort(y)
    place = {v: k for k, v in enumerate(computed)}
    assert len(place) == len(computed)
    assert set(place) == set(_all_values(y))
    assert computed[-1] is y
    for v in computed:
        assert all(place[x] < place[v] for x in v.parents if x.op)
    assert len(set(found)) == len(found)
    assert set(found) == {x for v in computed for x in v.parents if not x.op} <= set(leaves)


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        (lambda a: a + a, 2.0),
        (lambda a: a - a, 0.0),
        (lambda a: a * a, 6.0),
        (lambda a: a / a, 0.0),
        (lambda a: autograd.hypot(a, a), math.sqrt(2.0)),
        (lambda a: autograd.maximum(a, a), 1.0),
        (lambda a: autograd.sum([a, a, 1.0, a]), 3.0),
        (lambda a: autograd.sum([a, a, a]), 3.0),
        (lambda a: autograd.dot([a, 2.0], [a, a]), 8.0),
        (lambda a: autograd.clip(a, a, a), 1.0),
    ],
)
def test_an_operand_used_twice_has_an_edge_for_each_use(combine, expected):
    a = Value(3.0)
    y = combine(a)
    assert set(y.parents) == {a}
    assert len(y.parents) == len(y.edges()) == len(autograd.steps(y)) > 1
    y.backward()
    (lifted,) = autograd.gradients(y, [a])
    total = math.fsum(local() for _, local in y.edges())
    along = autograd.jvp(combine, [3.0], [1.0])[1]
    for gradient in (a.grad, lifted.data, total, along, autograd.steps(y).grad(a)):
        assert math.isclose(gradient, expected, abs_tol=1e-15)


@given(numbers)
def test_a_result_that_is_a_leaf_accumulates_its_seed(seed):
    leaf = Value(1.0)
    leaf.backward(seed)
    leaf.backward(seed)
    assert leaf.grad == 2.0 * seed


def test_ieee_ends_with_its_block_and_may_be_nested():
    def is_active() -> bool:
        try:
            return autograd.log(-1.0) != 0.0
        except ValueError:
            return False

    assert not is_active()
    with autograd.ieee():
        assert is_active()
        with autograd.ieee():
            assert is_active()
        assert is_active()
        x = Value(0.0)
        autograd.sqrt(x).backward()
        assert x.grad == math.inf
    assert not is_active()
    with pytest.raises(KeyError, match="left by an error"), autograd.ieee():
        raise KeyError("left by an error")
    assert not is_active()


def test_an_infinite_gradient_is_an_error_and_changes_no_grad():
    x, w, unasked = Value(0.0), Value(2.0), Value(0.0)
    w.grad = 5.0
    y = w * autograd.sqrt(x) + w
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match=r"sqrt\(0.0\): the derivative is infinite"):
            y.backward()
        assert (x.grad, w.grad, y.grad, y._first.grad) == (0.0, 5.0, 0.0, 0.0)
    large = Value(1e200)
    with pytest.raises(OverflowError, match="a gradient is infinite: at mul"):
        (large * 1e200 * 1e-200 * 1e-200 * 1e300 * 1e-10 * unasked).backward(1e300)
    assert (large.grad, unasked.grad) == (0.0, 0.0)


def test_derivatives_that_nobody_wants_are_not_evaluated():
    x, n = Value(-2.0), Value(3.0)
    y = x**n
    assert autograd.gradients(y, [x])[0].data == 12.0
    assert autograd.jvp(lambda a: a**n, [-2.0], [1.0])[1] == 12.0
    with pytest.raises(ValueError, match="in operand 2 is undefined"):
        y.backward()


def test_nested_derivatives_are_not_confused():
    d = autograd.grad
    assert d(lambda x: x * d(lambda y: x + y)(1.0))(1.0) == 1.0
    assert d(lambda x: x * d(lambda y: x * y)(2.0))(3.0) == 6.0
    assert d(lambda x: d(lambda y: y * y * x)(x))(3.0) == 12.0
    assert d(d(d(lambda x: x**4)))(2.0) == 48.0
    along = autograd.jvp(lambda x: x * autograd.jvp(lambda y: x * y, [x], [1.0])[1], [3.0], [1.0])
    assert along == (9.0, 6.0)


def test_recursion_without_an_order_goes_wrong_where_steps_say_so():
    x = Value(2.0)
    a = x * x
    b = a * 3.0
    y = a * b
    right, wrong = autograd.steps(y), autograd.steps(y, order="recursive")
    assert right.grad(x) == 3.0 * 4.0 * 2.0**3
    assert wrong.grad(x) != right.grad(x)
    assert {step.value for step in wrong.premature} == {a}
    assert not right.premature
