"""The laws that hold for every operation of the table, read off its record."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Value, gradients
from autograd.op import REGISTRY, Op

CONTRACT = {
    name
    for line in (
        "exp expm1 exp2 log log1p log2 log10 sqrt cbrt square sin cos tan asin acos atan atan2",
        "sinh cosh tanh asinh acosh atanh sigmoid log_sigmoid softplus relu leaky_relu elu gelu",
        "silu abs sign step hypot pow erf lgamma maximum minimum clip where sum mean dot",
        "logsumexp logaddexp softmax add sub mul div neg pos",
    )
    for name in line.split()
}
BUILTIN: dict[str, Any] = {name: op for name, op in REGISTRY.items() if op.builtin}
FIXED = sorted(name for name, op in BUILTIN.items() if op.arity)
every_op = pytest.mark.parametrize("name", sorted(BUILTIN))
every_fixed_op = pytest.mark.parametrize("name", FIXED)

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    3.0,
    1e-310,
    1e300,
    -1e300,
    math.inf,
    -math.inf,
    math.nan,
]
ERRORS = (ValueError, ZeroDivisionError, OverflowError)


def bits(x: float) -> bytes:
    """Return the eight bytes of a double, all nans alike."""
    return struct.pack("<d", math.nan if math.isnan(x) else x)


def outcome(f: Any, *operands: Any) -> Any:
    """Return f's result as bits, or its error as text."""
    try:
        result = f(*operands)
    except ERRORS as error:
        return type(error), str(error)
    return bits(result.data if isinstance(result, Value) else result)


def points(op: Op) -> list[tuple[float, ...]]:
    """Return a few points inside an operation's domain."""
    axes = []
    for low, high, *_ in op.domain:
        inside = [0.3, 0.7, -0.4, 1.9, -2.6, 40.0]
        if low == high:
            inside = [low]
        axes.append(
            [x for x in inside if low <= x <= high and (x not in (low, high) or low == high)]
        )
    return list(itertools.product(*axes))[:40]


# --- the record -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_operation_of_the_contract_is_a_function_of_the_package(name: str) -> None:
    assert callable(getattr(autograd, name))
    assert name in REGISTRY


@every_op
def test_a_record_is_complete(name: str) -> None:
    op = BUILTIN[name]
    assert op.name == name
    assert op.formula
    assert op.symbol
    assert op.locals
    if op.arity is not None:
        assert len(op.locals) == len(op.partials) == len(op.domain) == op.arity
        assert all(len(kink.declared) == op.arity for kink in op.kinks)
    for kink in op.kinks:
        assert "a" in kink.at
    assert repr(op) == f"<op {name}: {op.formula}>"


@every_fixed_op
def test_every_operation_of_fixed_arity_is_a_method_under_all_its_names(name: str) -> None:
    op = BUILTIN[name]
    point = points(op)[0]
    for called in (name, *op.aliases):
        x, *others = map(Value, point)
        made = getattr(x, called)(*others)
        assert made.op is op
        assert [id(v) for v in made.parents] == [id(v) for v in (x, *others)]
        assert bits(made.data) == bits(op(*point))


@every_fixed_op
def test_a_method_an_operator_and_a_function_record_the_same_node(name: str) -> None:
    op = BUILTIN[name]
    for point in points(op)[:5]:
        by_record = Value(0.0).record(op, tuple(map(Value, point)))
        by_function = op(*map(Value, point))
        x, *others = map(Value, point)
        by_method = getattr(x, name)(*others)
        for made in (by_function, by_method):
            for slot in ("_data", "_grad", "op", "_clock", "_mark", "label"):
                assert getattr(made, slot) == getattr(by_record, slot)
            assert len(made.operands) == len(by_record.operands) == op.arity
            assert (made._second is None) == (by_record._second is None)


# --- kinds of operands ----------------------------------------------------------------------------


@every_fixed_op
def test_floats_give_a_float_and_a_value_among_them_gives_a_value(name: str) -> None:
    op = BUILTIN[name]
    for point in points(op):
        plain = op(*point)
        assert type(plain) is float
        for where in range(op.arity):
            mixed = [Value(x) if i == where else x for i, x in enumerate(point)]
            made = op(*mixed)
            assert type(made) is Value
            assert bits(made.data) == bits(plain)
            assert len(made.parents) == 1


@every_fixed_op
def test_a_number_of_another_kind_counts_as_the_float_it_stands_for(name: str) -> None:
    op = BUILTIN[name]
    for one in (1, True, np.float32(1.0), np.int16(1), np.array(1.0)):
        as_floats = outcome(op, *[1.0] * op.arity)
        assert outcome(op, *[one] * op.arity) == as_floats
        assert outcome(op, *[one] * (op.arity - 1), Value(1.0)) == as_floats


@pytest.mark.parametrize("name", ["sum", "mean", "logsumexp"])
def test_an_operation_on_a_sequence_is_one_node_with_many_operands(name: str) -> None:
    function: Any = getattr(autograd, name)
    xs = [Value(float(i)) for i in range(50)]
    for given_as in (xs, tuple(xs), iter(xs), np.array(xs)):
        made = function(given_as)
        assert made.op is REGISTRY[name]
        assert [id(x) for x in made.operands] == [id(x) for x in xs]
    assert type(function([1.0, 2])) is float
    assert type(function([1.0, Value(2.0)])) is Value
    assert function([Value(2.0)]).data == 2.0


def test_dot_is_one_node_whose_operands_are_the_xs_and_then_the_ys() -> None:
    xs: list[Any] = [Value(1.0), 2.0, Value(3.0)]
    ys: list[Any] = [4.0, Value(5.0), Value(6.0)]
    made = autograd.dot(xs, ys)
    assert made.data == 32.0
    assert made.operands == (*xs, *ys)
    made.backward()
    assert [x.grad for x in made.parents] == [4.0, 6.0, 2.0, 3.0]
    assert type(autograd.dot([1.0], [2.0])) is float
    assert autograd.dot([], []) == 0.0
    with pytest.raises(ValueError, match="two sequences of one length; got 3 and 2"):
        autograd.dot(xs, ys[:2])


def test_softmax_gives_a_list_of_shares_that_sum_to_one() -> None:
    xs = [Value(1.0), Value(2.0), Value(1000.0)]
    shares = autograd.softmax(xs)
    assert [type(s) for s in shares] == [Value] * 3
    assert math.fsum(s.data for s in shares) == pytest.approx(1.0, rel=1e-15)
    assert autograd.softmax([0.0, 0.0]) == [0.5, 0.5]
    assert autograd.softmax([]) == []
    even = [Value(0.0), Value(0.0)]
    autograd.softmax(even)[0].backward()
    assert [x.grad for x in even] == [0.25, -0.25]


def test_a_sum_is_rounded_once_whatever_its_order() -> None:
    for xs in itertools.permutations([1e16, 1.0, -1e16, 1e-3]):
        assert autograd.sum(xs) == 1.001
    assert autograd.mean([0.1] * 10) == 0.1


@pytest.mark.parametrize(
    ("xs", "total"),
    [([1e308, 1e308, -1e308], 1e308), ([1.7e308, 1.7e308, -1.7e308, -1.7e308], 0.0)],
)
def test_a_sum_within_the_doubles_is_found_although_a_partial_sum_is_beyond(
    xs: list[float], total: float
) -> None:
    assert autograd.sum(xs) == total
    assert autograd.mean(xs) == total / len(xs)
    assert autograd.mean([1.7e308, 1.7e308]) == 1.7e308
    assert autograd.dot(xs, [1.0] * len(xs)) == total


@pytest.mark.parametrize("name", ["sum", "mean", "logsumexp", "softmax"])
@pytest.mark.parametrize("thing", [None, 5, 1.0, Value(1.0), "12", b"12", {1: 2}, print])
def test_what_is_no_sequence_is_a_type_error_that_shows_one(name: str, thing: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{name} takes a sequence, .*\[a, b, c\].*; got "):
        getattr(autograd, name)(thing)


@pytest.mark.parametrize(
    "thing", [None, 1j, "1", [1.0], (1.0,), {}, print, np.array([1.0])], ids=str
)
def test_what_is_no_number_is_a_type_error_that_names_the_operation(thing: Any) -> None:
    for name in FIXED:
        op = BUILTIN[name]
        words = f"^an operand of {name} must be a real number; got "
        for where, other in itertools.product(range(op.arity), (1.0, Value(1.0))):
            if op.defaults and where == op.arity - 1 and thing is None:
                continue  # None stands for the default
            operands = [thing if i == where else other for i in range(op.arity)]
            with pytest.raises(TypeError, match=words):
                op(*operands)


@pytest.mark.parametrize("thing", [object(), print, np.array([1.0, 2.0]), np.array(None)], ids=type)
def test_a_method_never_returns_notimplemented(thing: Any) -> None:
    for name in FIXED:
        if BUILTIN[name].arity == 2:
            with pytest.raises(TypeError, match="must be a real number; got"):
                getattr(Value(1.0), name)(thing)


def test_a_missing_operand_is_said_to_be_missing() -> None:
    for name in ("add", "hypot", "maximum"):
        with pytest.raises(TypeError, match=r"missing|takes|two operands"):
            getattr(autograd, name)(1.0)


def test_operands_that_are_left_out_have_their_documented_defaults() -> None:
    assert autograd.leaky_relu(-2.0) == -0.02
    assert autograd.elu(-1.0) == math.expm1(-1.0)
    assert Value(-2.0).leaky_relu().data == -0.02
    assert Value(-2.0).leaky_relu(0.5).data == -1.0
    assert Value(-1.0).elu(2.0).data == 2.0 * math.expm1(-1.0)


# --- derivatives ----------------------------------------------------------------------------------


@every_fixed_op
def test_a_derivative_recorded_on_values_is_that_on_floats(name: str) -> None:
    op = BUILTIN[name]
    for point in points(op):
        xs = [Value(x) for x in point]
        y = op(*xs)
        for index in range(op.arity):
            if name == "polygamma" and index == 0:
                continue  # no derivative in the order
            local = op.local(index, y.data, point)
            lifted = op.local(index, y, xs)
            assert bits(getattr(lifted, "data", lifted)) == bits(float(local))
            assert y.edges()[index][1]() == local


@pytest.mark.parametrize("name", [n for n in FIXED if BUILTIN[n].kinks])
def test_at_a_kink_the_declared_subgradient_is_what_comes_back(name: str) -> None:
    op = BUILTIN[name]
    found = 0
    for point in itertools.product([0.0, -0.0, 1.0, 2.0, -1.0], repeat=op.arity):
        for kink in op.kinks:
            declared = kink.subgradient(*point)
            if not kink.holds(*point) or not all(map(math.isfinite, declared)):
                continue
            found += 1
            y = outcome(op, *point)
            if isinstance(y, tuple):
                assert name == "clip"  # its bounds are the wrong way round
                continue
            assert [op.local(i, op(*point), point) for i in range(op.arity)] == list(declared)
    assert found or name == "direction"


def test_where_asks_for_nothing_behind_the_branch_that_is_not_taken() -> None:
    x = Value(0.0)
    for y in (
        autograd.where(x, x.sqrt(), x * 2.0),
        autograd.where(x == 0.0, x * 2.0, x.sqrt()),
        autograd.maximum(x.sqrt() - 1.0, x * 2.0),
        autograd.relu(x.sqrt() - 1.0) + x * 2.0,
        autograd.clip(x.sqrt() - 1.0, 0.0, 1.0) + x * 2.0,
    ):
        x.grad = 0.0
        y.backward()
        assert x.grad == 2.0


# --- ieee() ---------------------------------------------------------------------------------------

NUMPY = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "div": "divide",
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "neg": "negative",
    "pos": "positive",
    "pow": "power",
}
SAME = {
    name
    for line in (
        "exp expm1 exp2 log log1p log2 log10 sqrt cbrt square sin cos tan sinh cosh tanh abs",
        "sign hypot maximum minimum logaddexp",
    )
    for name in line.split()
}


@pytest.mark.parametrize("name", sorted([*NUMPY, *SAME]))
def test_inside_ieee_an_operation_returns_what_numpy_returns(name: str) -> None:
    op = BUILTIN[name]
    ufunc = getattr(np, NUMPY.get(name, name))
    for operands in itertools.product(SPECIAL, repeat=op.arity):
        if name == "pow" and operands[1] == 0.5:
            continue  # numpy takes a square root, of -inf and -0.0 too, where C's pow does not
        with np.errstate(all="ignore"):
            expected = float(ufunc(*operands))
        with autograd.ieee():
            for found in (op(*operands), op(*map(Value, operands)).data):
                assert found == pytest.approx(expected, rel=1e-14, abs=5e-324, nan_ok=True), (
                    operands
                )
                if not math.isnan(expected) and name not in ("maximum", "minimum"):
                    assert math.copysign(1.0, found) == math.copysign(1.0, expected), operands


@every_op
def test_inside_ieee_nothing_is_an_arithmetic_error(name: str) -> None:
    op = BUILTIN[name]
    for operands in itertools.product(SPECIAL, repeat=op.arity or 2):
        with autograd.ieee():
            y = op.evaluate(*operands)
            assert type(y) is float
            for index in range(op.arity or 2):
                if name == "polygamma" and index == 0:
                    continue
                local = op.local(index, y, operands)
                assert isinstance(local, float)


@every_op
def test_outside_ieee_an_error_begins_with_the_call_and_goes_on_in_the_rules_words(
    name: str,
) -> None:
    op = BUILTIN[name]
    for operands in itertools.product(SPECIAL, repeat=op.arity or 2):
        try:
            op.evaluate(*operands)
        except ERRORS as error:
            call = f"{name}({', '.join(map(repr, operands))}): "
            assert str(error).startswith(call)  # noqa: PT017  (some operands raise, some don't)
            words = str(error)[len(call) :]
            expected = op.rule or "the result is beyond"
            if isinstance(error, OverflowError):
                expected = "the result is beyond the largest double, 1.8e308"
            assert words.startswith(expected)
            assert "math domain" not in words


@given(st.sampled_from(FIXED), st.data())
def test_outside_ieee_a_value_and_a_float_give_the_same_number_or_the_same_error(
    name: str, data: st.DataObject
) -> None:
    op = BUILTIN[name]
    operands = [data.draw(st.floats()) for _ in range(op.arity)]
    as_floats = outcome(op, *operands)
    assert outcome(op, *map(Value, operands)) == as_floats
    assert outcome(op, *operands[:-1], Value(operands[-1])) == as_floats
    x, *others = map(Value, operands)
    assert outcome(getattr(x, name), *others) == as_floats


def test_a_gradient_of_every_order_of_a_constant_rule_is_zero() -> None:
    x = Value(3.0)
    (first,) = gradients(x + 1.0, [x])
    (second,) = gradients(first, [x])
    assert (first.data, second.data) == (1.0, 0.0)
