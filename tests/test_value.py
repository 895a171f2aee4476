"""The laws of `Value`: what it keeps, what it shows, and what it refuses."""

from __future__ import annotations

import gc
import math
import operator
import struct
import weakref
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import autograd
from autograd import Value

if TYPE_CHECKING:
    from collections.abc import Callable

REALS = [
    3,
    -2.5,
    True,
    Fraction(1, 3),
    Decimal("0.1"),
    np.float16(0.1),
    np.float32(0.1),
    np.float64(0.1),
    np.longdouble("0.1"),
    np.int8(-7),
    np.int64(7),
    np.uint64(2**64 - 1),
    np.bool_(True),  # noqa: FBT003  (a number like any other here)
    np.array(0.1),
    np.array(3),
    np.array(True),  # noqa: FBT003
]

NOT_REAL: list[tuple[Any, str]] = [
    (None, "got NoneType: pass a number"),
    (1 + 2j, "got complex: real and imaginary part go into two Values"),
    (np.complex128(1), "got complex: real and imaginary part go into two Values"),
    ("1.5", r"got text, '1\.5': convert it first, float"),
    (b"1", "got text, b'1': convert it first, float"),
    ([1.0], "got a list: make one Value per element"),
    ((1.0,), "got a tuple: make one Value per element"),
    ({}, "got dict: pass a number"),
    (print, "got builtin_function_or_method: pass a number"),
    (float, "got type: pass a number"),
    (np.array([1.0]), "got ndarray: pass a number"),
    (np.array(None), "got ndarray: pass a number"),
    (np.datetime64("2020"), "got datetime64: pass a number"),
    (np.timedelta64(5, "s"), "got timedelta64: pass a number"),
    (np.timedelta64(5, "D"), "got timedelta64: pass a number"),
    (np.str_("1"), "got text"),
    (Value(3.0), "got a Value already: use it as it is, or its .data"),
]

BINARY: list[Callable[[Any, Any], Any]] = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
]
COMPARISONS: list[Callable[[Any, Any], Any]] = [
    operator.lt,
    operator.le,
    operator.eq,
    operator.ne,
    operator.ge,
    operator.gt,
]


def bits(x: float) -> bytes:
    """Return the eight bytes of a double: two are equal to the last bit, the sign of 0 included."""
    return struct.pack("<d", x)


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", REALS, ids=repr)
def test_every_kind_of_real_number_is_kept_as_the_nearest_python_float(number: Any) -> None:
    v = Value(number)
    assert type(v.data) is float
    assert v.data == float(number)


@pytest.mark.parametrize(("thing", "remedy"), NOT_REAL, ids=lambda x: repr(x)[:30])
def test_what_is_not_a_real_number_is_refused_with_what_came_and_what_to_do(
    thing: Any, remedy: str
) -> None:
    with pytest.raises(TypeError, match=f"^data must be a real number; {remedy}"):
        Value(thing)
    leaf = Value(1.0)
    with pytest.raises(TypeError, match=f"^data must be a real number; {remedy}"):
        leaf.data = thing
    with pytest.raises(TypeError, match=f"^grad must be a real number; {remedy}"):
        leaf.grad = thing
    assert (leaf.data, leaf.grad) == (1.0, 0.0)


HUGE = [10**400, Fraction(10**400, 3), Decimal("1e400"), np.longdouble("1e400")]


@pytest.mark.parametrize("huge", HUGE, ids=lambda x: type(x).__name__)
def test_a_finite_number_beyond_the_doubles_is_an_overflow_and_never_an_infinity(huge: Any) -> None:
    with pytest.raises(OverflowError, match=r"^data is beyond the largest double, 1\.8e308"):
        Value(huge)


def test_infinities_and_nans_of_every_kind_are_kept() -> None:
    assert Value(Decimal("-inf")).data == -math.inf
    assert Value(np.float32("inf")).data == math.inf
    assert math.isnan(Value(Decimal("nan")).data)
    assert math.isnan(Value(np.float16("nan")).data)


def test_a_signalling_nan_and_a_masked_number_are_refused_in_our_words() -> None:
    with pytest.raises(ValueError, match=r"^data .*signal"):
        Value(Decimal("sNaN"))
    with pytest.raises((TypeError, ValueError), match=r"^data .*mask"):
        Value(np.ma.masked)


@given(st.fractions() | st.decimals(allow_nan=False, allow_infinity=False))
def test_data_is_the_double_nearest_to_an_exact_number(number: Fraction | Decimal) -> None:
    exact = Fraction(number)
    assert bits(abs(Value(number).data)) == bits(abs(float(exact)))


def test_the_data_of_a_leaf_can_be_set_and_that_of_a_computed_value_cannot() -> None:
    x = Value(1.0, "x")
    x.data = np.float32(2.0)
    assert type(x.data) is float
    assert x.data == 2.0
    y = x * 3.0
    with pytest.raises(AttributeError, match=r"data can be set on a leaf only; .* computed by mul"):
        y.data = 1.0
    assert y.data == 6.0


def test_grad_starts_at_zero_can_be_set_and_is_a_float() -> None:
    x = Value(1.0)
    assert bits(x.grad) == bits(0.0)
    x.grad = 3
    assert type(x.grad) is float
    assert x.grad == 3.0


def test_a_label_is_text_or_nothing_also_when_it_is_set_later() -> None:
    assert Value(1.0).label is None
    assert Value(1.0, label="x").label == "x"
    x = Value(1.0, "x")
    x.label = "w"
    assert x.label == "w"
    x.label = None
    with pytest.raises(TypeError, match=r"^label must be text or None; got 5$"):
        Value(1.0, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^label must be text or None; got 5$"):
        x.label = 5  # type: ignore[assignment]
    assert x.label is None


def test_a_subclass_of_value_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match=r"Value can't be subclassed: wrap it, or .*define"):
        type("Sub", (Value,), {})


# --- the record -----------------------------------------------------------------------------------


def test_a_leaf_has_no_op_no_operands_no_parents_and_no_edges() -> None:
    x = Value(1.0)
    assert x.op is None
    assert (x.operands, x.parents, x.edges()) == ((), (), [])


def test_operands_are_ordered_with_constants_and_parents_keep_duplicates() -> None:
    a, b = Value(2.0), Value(5.0)
    assert [x is y for x, y in zip((a - b).operands, (a, b), strict=True)] == [True, True]
    assert [x is a for x in (a * a).parents] == [True, True]
    assert (a / 4).operands[1] == 4.0
    assert (4 / a).operands[0] == 4.0
    assert (4 / a).parents[0] is a
    assert len((4 / a).parents) == 1
    many = autograd.sum([a, 1, b, a])
    assert [type(x) for x in many.operands] == [Value, float, Value, Value]
    assert [id(x) for x in many.parents] == [id(a), id(b), id(a)]
    three = a.clip(0, b)
    assert [type(x) for x in three.operands] == [Value, float, Value]
    assert [id(x) for x in three.parents] == [id(a), id(b)]


@pytest.mark.parametrize("number", REALS, ids=repr)
def test_a_constant_stays_a_number_and_makes_no_node(number: Any) -> None:
    x = Value(2.0)
    for node, place in ((x * number, 1), (number * x, 0)):
        assert node.op is autograd.mul
        assert len(node.parents) == 1
        assert type(node.operands[place]) is float
        assert node.operands[place] == float(number)


def test_edges_pair_each_parent_with_a_closure_that_returns_its_local_derivative() -> None:
    a, b = Value(3.0), Value(4.0)
    assert [(p is a, local()) for p, local in (a / b).edges()] == [(True, 0.25), (False, -0.1875)]
    assert [(p is a, local()) for p, local in (a * a).edges()] == [(True, 3.0), (True, 3.0)]
    assert [local() for _, local in (2.0 * a).edges()] == [2.0]
    assert [local() for _, local in autograd.dot([a, b], [b, 7]).edges()] == [4.0, 7.0, 3.0]


def test_an_edge_is_evaluated_only_when_its_closure_is_called() -> None:
    edges = (Value(-2.0) ** Value(3.0)).edges()
    assert edges[0][1]() == 12.0
    with pytest.raises(ValueError, match=r"pow\(-2\.0, 3\.0\): the derivative in operand 2 is und"):
        edges[1][1]()


def test_an_edge_to_a_changed_leaf_is_an_error_that_names_the_leaf() -> None:
    x = Value(3.0, "x")
    ((_, local),) = (x.square()).edges()
    x.data = 4.0
    with pytest.raises(RuntimeError, match=r"leaf 'x' changed .* after square had used it"):
        local()


@pytest.mark.parametrize("op", BINARY)
def test_an_operator_records_what_the_function_of_that_name_records(op: Any) -> None:
    named = {"truediv": "div"}.get(op.__name__, op.__name__)
    function = getattr(autograd, named)
    a, b = Value(2.0), Value(3.0)
    for left, right in ((a, b), (a, 3.0), (2.0, b)):
        by_operator, by_function = op(left, right), function(left, right)
        assert by_operator.op is by_function.op is function
        assert bits(by_operator.data) == bits(by_function.data)
        assert list(map(id, by_operator.parents)) == list(map(id, by_function.parents))
        assert len(by_operator.operands) == len(by_function.operands) == 2


# --- Python's arithmetic --------------------------------------------------------------------------


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("number", REALS, ids=repr)
def test_arithmetic_takes_every_kind_of_number_on_either_side(op: Any, number: Any) -> None:
    exponent = 2.0 if op is operator.pow else 1.5  # a negative base takes whole exponents only
    left = op(number, Value(exponent))
    assert type(left) is Value
    assert bits(left.data) == bits(op(float(number), exponent))
    if op is not operator.pow or float(number) < 1e3:
        right = op(Value(1.5), number)
        assert type(right) is Value
        assert bits(right.data) == bits(op(1.5, float(number)))


def test_a_negative_number_to_a_fractional_value_is_an_error_and_never_complex() -> None:
    words = r"pow\(-2\.5, 1\.5\): a negative base takes whole exponents only"
    with pytest.raises(ValueError, match=words):
        _ = (-2.5) ** Value(1.5)
    with pytest.raises(ValueError, match=words):
        _ = Value(-2.5) ** 1.5


ordinary = st.floats(-1e100, 1e100)


@given(ordinary, ordinary)
def test_arithmetic_on_values_is_pythons_arithmetic_on_floats_to_the_last_bit(
    a: float, b: float
) -> None:
    x, y = Value(a), Value(b)
    for op in (operator.add, operator.sub, operator.mul):
        assert bits(op(x, y).data) == bits(op(a, b))
    if b:
        assert bits((x / y).data) == bits(a / b)
    for unary in (operator.neg, operator.pos, operator.abs):
        assert bits(unary(x).data) == bits(unary(a))


@given(st.integers(-300, 300), st.integers(-300, 300).filter(bool))
def test_a_quotient_is_the_ieee_quotient(a: int, b: int) -> None:
    assert bits((Value(a) / b).data) == bits((a / Value(b)).data) == bits(a / b)


@pytest.mark.parametrize("text", ["//", "%", "@", "<<", "&", "|", "^"])
def test_an_operator_without_a_derivative_is_a_type_error(text: str) -> None:
    for expression in (f"v {text} v", f"v {text} 2", f"2 {text} v"):
        with pytest.raises(TypeError, match="unsupported operand"):
            eval(expression, {"v": Value(1.0)})  # noqa: S307  (text of our own)


def test_an_augmented_assignment_makes_a_new_value_and_leaves_the_old_one_alone() -> None:
    x = y = Value(2.0)
    y *= 3.0
    assert x is not y
    assert (x.data, x.op, y.data) == (2.0, None, 6.0)


def test_pythons_sum_of_values_is_a_value() -> None:
    xs = [Value(1.0), Value(2.0)]
    total = sum(xs)
    assert isinstance(total, Value)
    total.backward()
    assert [x.grad for x in xs] == [1.0, 1.0]


# --- comparisons, bool, hash ----------------------------------------------------------------------

anything = st.floats() | st.integers() | st.fractions() | st.decimals(allow_nan=False)


@given(st.floats(), anything)
def test_a_comparison_says_what_the_same_comparison_of_the_data_says(a: float, b: Any) -> None:
    assume(not (math.isnan(a) and isinstance(b, Decimal)))  # Python raises InvalidOperation
    for compare in COMPARISONS:
        assert compare(Value(a), b) is compare(a, b)
        assert compare(b, Value(a)) is compare(b, a)
        if isinstance(b, float):
            assert compare(Value(a), Value(b)) is compare(a, b)


@pytest.mark.parametrize(
    "number", [2**53 + 1, 10**400, -(10**400), Fraction(1, 10), Decimal("0.1")], ids=str
)
@pytest.mark.parametrize("data", [0.1, 2.0**53])
def test_a_comparison_does_not_round_the_number_on_the_other_side(data: float, number: Any) -> None:
    for compare in COMPARISONS:
        assert compare(Value(data), number) is compare(data, number)
        assert compare(number, Value(data)) is compare(number, data)


@pytest.mark.parametrize(
    "thing", [None, "1", 1j + 1, [1.0], object(), print], ids=lambda x: type(x).__name__
)
def test_a_value_is_unequal_to_what_is_no_number_and_cannot_be_ordered_with_it(thing: Any) -> None:
    v = Value(1.0)
    assert not v == thing  # noqa: SIM201  (== and != are two methods)
    assert v != thing
    with pytest.raises(TypeError, match="not supported between instances"):
        _ = v < thing


def test_bool_looks_at_data() -> None:
    assert not Value(0.0)
    assert not Value(-0.0)
    assert Value(5e-324)
    assert Value(math.nan)


def test_hash_is_identity_so_equal_values_are_two_keys() -> None:
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert len({a, b}) == 2
    assert {a: 1}[a] == 1
    old = hash(a)
    a.data = 2.0
    assert hash(a) == old


# --- what would lose the gradient -----------------------------------------------------------------

LOSSY: list[Callable[[Any], Any]] = [
    float,
    int,
    complex,
    round,
    math.sin,
    math.floor,
    math.ceil,
    math.trunc,
    np.float64,
    lambda v: np.array([v], dtype=float),
    lambda v: math.hypot(v, 1.0),
    lambda v: math.fsum([v]),
]


@pytest.mark.parametrize("lossy", LOSSY)
def test_a_gradient_is_never_lost_in_silence(lossy: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"use \.data for the number, or .*autograd\.sin"):
        lossy(Value(1.0))


@pytest.mark.parametrize("use", [lambda v: [1][v], range, lambda v: bytearray(1) * v, hex])
def test_a_value_is_no_index_and_no_count(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="can't be an index or a count"):
        use(Value(1.0))


# --- text -----------------------------------------------------------------------------------------


def test_repr_shows_data_grad_and_the_label_if_there_is_one() -> None:
    a, b = Value(2.0), Value(3.0)
    c = a * b
    assert repr(c) == "Value(data=6.0, grad=0.0)"
    c.label = "c"
    assert repr(c) == "Value(data=6.0, grad=0.0, label='c')"
    c.backward()
    assert repr(c) == "Value(data=6.0, grad=1.0, label='c')"
    assert str(c) == repr(c)
    assert repr(Value(math.inf, "a'b\n")) == 'Value(data=inf, grad=0.0, label="a\'b\\n")'
    assert repr(Value(-0.0, "")) == "Value(data=-0.0, grad=0.0, label='')"


def test_format_formats_the_data_and_an_empty_format_is_the_repr() -> None:
    v = Value(2.0 / 3.0, "v")
    assert format(v, ".3f") == "0.667"
    assert f"{v:>10.2e}|" == "  6.67e-01|"
    assert f"{v}" == repr(v)
    with pytest.raises(ValueError, match="Unknown format code 'x'"):
        format(v, "x")


# --- numpy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", BINARY)
def test_a_numpy_array_on_either_side_gives_an_object_array_of_values(op: Any) -> None:
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    for result in (op(array, Value(1.5)), op(Value(1.5), array)):
        assert isinstance(result, np.ndarray)
        assert result.dtype == object
        assert result.shape == (2, 2)
        assert {*map(type, result.ravel())} == {Value}
    assert [[v.data for v in row] for row in op(array, Value(1.5))] == op(array, 1.5).tolist()
    assert [[v.data for v in row] for row in op(Value(1.5), array)] == op(1.5, array).tolist()


UFUNCS = [
    name
    for line in (
        "exp expm1 exp2 log log1p log2 log10 sqrt cbrt square sin cos tan arcsin arccos arctan",
        "sinh cosh tanh arcsinh arctanh absolute negative positive reciprocal",
    )
    for name in line.split()
]


@pytest.mark.parametrize("name", UFUNCS)
def test_numpys_functions_work_on_object_arrays_of_values(name: str) -> None:
    ufunc = getattr(np, name)
    points = [0.25, 0.5]
    values = np.array([Value(x) for x in points])
    for result, x in zip(ufunc(values), points, strict=True):
        assert type(result) is Value
        assert result.data == pytest.approx(float(ufunc(x)), rel=4e-16)
        result.backward()
    wide = [float((ufunc(x + 1e-6) - ufunc(x - 1e-6)) / 2e-6) for x in points]
    assert [v.grad for v in values] == pytest.approx(wide, rel=1e-8)


def test_numpys_functions_of_two_operands_work_on_object_arrays_of_values() -> None:
    a, b = Value(3.0), Value(4.0)
    for name, value, grads in (
        ("hypot", 5.0, (0.6, 0.8)),
        ("arctan2", math.atan2(3.0, 4.0), (0.16, -0.12)),
        ("power", 81.0, (108.0, 81.0 * math.log(3.0))),
        ("maximum", 4.0, (0.0, 1.0)),
        ("minimum", 3.0, (1.0, 0.0)),
    ):
        a.grad = b.grad = 0.0
        (result,) = getattr(np, name)(np.array([a]), np.array([b]))
        assert result.data == pytest.approx(value, rel=1e-15)
        result.backward()
        assert (a.grad, b.grad) == pytest.approx(grads, rel=1e-15)
    assert np.arccosh(np.array([Value(2.0)]))[0].data == math.acosh(2.0)


def test_numpys_dot_matmul_and_sum_differentiate() -> None:
    w = np.array([Value(1.0), Value(2.0), Value(3.0)])
    x = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    for result in ((x @ w).sum(), np.dot(x, w).sum(), np.sum(x * w), np.einsum("ij,j->", x, w)):
        for v in w:
            v.grad = 0.0
        assert result.data == 153.0
        result.backward()
        assert [v.grad for v in w] == [9.0, 18.0, 36.0]
    inner = np.dot(w, w)
    assert inner.data == 14.0
    inner.backward()
    assert [v.grad for v in w] == [11.0, 22.0, 42.0]


def test_a_numpy_scalar_that_meets_a_value_leaves_a_value_behind() -> None:
    total: Any = np.float64(1.0)
    total = total + Value(2.0)
    assert type(total) is Value
    assert total.data == 3.0


# --- arithmetic errors ----------------------------------------------------------------------------

BIRTHS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: Value(-1.0).log(), ValueError, r"log(-1.0): operand must be > 0"),
    (lambda: autograd.log(-1.0), ValueError, r"log(-1.0): operand must be > 0"),
    (lambda: autograd.log(Value(0.0)), ValueError, r"log(0.0): operand must be > 0"),
    (lambda: Value(-1.0).sqrt(), ValueError, r"sqrt(-1.0): operand must be >= 0"),
    (lambda: Value(1.0) / 0, ZeroDivisionError, r"div(1.0, 0.0): the divisor must not be 0"),
    (lambda: 1 / Value(0.0), ZeroDivisionError, r"div(1.0, 0.0): the divisor must not be 0"),
    (lambda: Value(0.0) ** -1, ZeroDivisionError, r"pow(0.0, -1.0): a negative base takes"),
    (lambda: Value(-1.0) ** 0.5, ValueError, r"pow(-1.0, 0.5): a negative base takes whole"),
    (lambda: Value(1000.0).exp(), OverflowError, r"exp(1000.0): the result is beyond the largest"),
    (lambda: Value(2.0).asin(), ValueError, r"asin(2.0): operand must lie in [-1, 1]"),
    (lambda: Value(0.5).acosh(), ValueError, r"acosh(0.5): operand must be >= 1"),
    (lambda: Value(1.0).atanh(), ValueError, r"atanh(1.0): operand must lie in (-1, 1)"),
    (lambda: Value(-1.0).log1p(), ValueError, r"log1p(-1.0): operand must be > -1"),
    (lambda: Value(math.inf).sin(), ValueError, r"sin(inf): operand must be finite"),
    (lambda: Value(-2.0).lgamma(), ValueError, r"lgamma(-2.0): operand must not be 0 or a neg"),
    (lambda: Value(1.0).clip(2, 0), ValueError, r"clip(1.0, 2.0, 0.0): the lower bound must be"),
    (lambda: autograd.mean([]), ZeroDivisionError, r"mean(): it needs at least one operand"),
]


@pytest.mark.parametrize(("birth", "kind", "words"), BIRTHS, ids=[b[2] for b in BIRTHS])
def test_an_arithmetic_error_is_raised_at_birth_in_the_words_of_the_operation(
    birth: Callable[[], Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        birth()
    assert str(caught.value).startswith(words)
    assert type(caught.value) is kind
    with autograd.ieee():
        assert type(birth()) in (Value, float)


# --- memory ---------------------------------------------------------------------------------------


def test_a_graph_goes_when_its_last_name_goes_with_the_collector_off() -> None:
    gc.collect()
    gc.disable()
    try:
        x = Value(0.5)
        y = autograd.sum([x.tanh() * x, x, (x / 2.0).clip(-1.0, x)])
        nodes = [y, *y.parents, *y.parents[0].parents]
        watched = [weakref.ref(node) for node in nodes]
        y.backward()
        assert len(autograd.steps(y)) > 5
        autograd.gradients(y, [x])[0].backward()
        del x, y, nodes
        assert [w() for w in watched] == [None] * len(watched)
    finally:
        gc.enable()
