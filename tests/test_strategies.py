"""The laws of the Hypothesis strategies: what is drawn, that it is right, and how it shrinks."""

from __future__ import annotations

import inspect
import math
import textwrap
from functools import partial
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

import mpmath as mp
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from mutants_operations import scaled, scaled_entry
from mutants_planting import changed

import autograd
from autograd import REGISTRY, Interval, Kink, Op, Value, define, gradients
from autograd.testing import check_gradients, strategies
from autograd.testing import strategies as ad
from autograd.testing.differences import derivative
from autograd.testing.exact import FUNCTIONS
from autograd.testing.locate import domain_of
from autograd.testing.strategies import Expression, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUNDING = 2.0**-53  # half a unit in the last place of 1

OPERATIONS = [op for op in REGISTRY.values() if op.builtin]
WITH_KINKS = [op for op in OPERATIONS if op.kinks]

any_operation = st.sampled_from(OPERATIONS)
some, many = settings(max_examples=30), settings(max_examples=500)


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    before, attributes = dict(REGISTRY), set(vars(Value))
    yield
    for name in set(REGISTRY) - set(before):
        del REGISTRY[name]
    for name in set(vars(Value)) - attributes:
        delattr(Value, name)


QUIET = settings(max_examples=3000, database=None, suppress_health_check=list(HealthCheck))
UNSHRUNK = settings(QUIET, phases=[Phase.generate])


def first(
    strategy: st.SearchStrategy[Any],
    condition: Callable[[Any], bool] = lambda _: True,
    how: settings = UNSHRUNK,
) -> Any:
    """Something of this kind that is drawn; an error if nothing is."""
    return find(strategy, condition, settings=how, random=Random(0))  # noqa: S311  (no secret)


def apply(function: Callable[..., bool], point: Sequence[float]) -> bool:
    return function(*point)


def simplest(
    strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool] = lambda _: True
) -> Any:
    """What Hypothesis would show as the failing example of a test."""
    return first(strategy, condition, QUIET)


def wanted(op: Op, point: Sequence[float]) -> list[int]:
    """The operands that have a derivative."""
    return [k for k in range(len(point)) if domain_of(op, k).low < domain_of(op, k).high]


# --- points ---------------------------------------------------------------------------------------


def test_the_module_starts_with_examples_that_run():
    doc = inspect.getdoc(strategies) or ""
    code = textwrap.dedent("\n".join(x for x in doc.splitlines() if not x or x.startswith("    ")))
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (our own text)
    for name in ("test_log", "test_graphs"):
        settings(max_examples=10, database=None)(names[name])()


@many
@given(any_operation, st.data())
def test_a_point_lies_in_the_domain_and_has_a_finite_value_and_derivatives(op, data):
    point = data.draw(ad.points(op))
    assert all(x in domain_of(op, k) for k, x in enumerate(point))
    y = op.evaluate(*point)
    assert math.isfinite(y)
    assert all(math.isfinite(op.local(k, y, point)) for k in wanted(op, point))


@many
@given(any_operation, st.data())
def test_whatever_is_asked_for_a_point_lies_in_the_domain(op, data):
    asked = data.draw(st.fixed_dictionaries(dict.fromkeys(("tails", "boundaries"), st.booleans())))
    point = data.draw(ad.points(op, **asked, kinks=data.draw(st.booleans())))
    assert all(x in domain_of(op, k) for k, x in enumerate(point))


@many
@given(any_operation, st.data())
def test_a_number_is_of_moderate_size_and_not_near_an_end(op, data):
    index = data.draw(st.integers(0, (op.arity or 3) - 1))
    x = data.draw(ad.operands(op, index))
    low, high, _ = domain_of(op, index)
    assert low == high or (1e-3 <= abs(x) <= 31.0 and x - low >= 9e-4 and high - x >= 9e-4)


@pytest.mark.parametrize("op", WITH_KINKS, ids=lambda op: op.name)
def test_points_are_on_a_kink_only_if_that_is_asked_for(op):
    def is_on_kink(point: Sequence[float]) -> bool:
        return any(kink.holds(*point) for kink in op.kinks)

    @some
    @given(ad.points(op), ad.points(op, tails=True, boundaries=True))
    def never(point: tuple[float, ...], extreme: tuple[float, ...]) -> None:
        assert not is_on_kink(point)
        assert not is_on_kink(extreme)

    never()
    # The corner of clip, where both bounds are equal, isn't in its domain.
    on_kinks = [k.holds for k in op.kinks if k.at != "b = a = c"]
    for holds in on_kinks:
        first(ad.points(op, kinks=True), partial(apply, holds))
    assert not is_on_kink(first(ad.points(op, kinks=True), lambda point: not is_on_kink(point)))


def test_the_number_of_a_kink_that_lies_in_one_operand_is_drawn_for_it():
    assert first(ad.operands(autograd.relu, 0, kinks=True), lambda x: x == 0.0) == 0.0
    assert first(ad.operands("where", 0, kinks=True), lambda x: x == 0.0) == 0.0


TAILS = [
    ("add", 0, lambda x: 0.0 < x < 1e-290),
    ("add", 1, lambda x: -1e-290 < x < 0.0),
    ("mul", 0, lambda x: 0.0 < abs(x) < 2.3e-308),
    ("mul", 1, lambda x: x > 1e290),
    ("log", 0, lambda x: x < 1e-290),
    ("log", 0, lambda x: x > 1e290),
    ("log1p", 0, lambda x: -1.0 < x < -1.0 + 1e-13),
    ("acosh", 0, lambda x: 1.0 < x < 1.0 + 1e-13),
    ("asin", 0, lambda x: x > 1.0 - 1e-13),
    ("asin", 0, lambda x: 0.0 < x < 1e-290),
    ("sum", 2, lambda x: x < -1e290),
]


@pytest.mark.parametrize(("name", "index", "is_there"), TAILS)
def test_tails_reach_all_orders_of_magnitude_from_0_and_from_the_ends(name, index, is_there):
    first(ad.operands(name, index, tails=True), is_there)


BOUNDARIES = [
    ("log", 0, 5e-324),
    ("asin", 0, math.nextafter(1.0, 0.0)),
    ("asin", 0, math.nextafter(-1.0, 0.0)),
    ("acosh", 0, math.nextafter(1.0, 2.0)),
    ("exp", 0, math.nextafter(709.0, 0.0)),
    ("clip", 1, -5e-324),
    ("polygamma", 0, 0.0),
]


@pytest.mark.parametrize(("name", "index", "end"), BOUNDARIES)
def test_boundaries_are_the_numbers_next_to_the_ends_of_an_open_domain(name, index, end):
    first(ad.operands(name, index, boundaries=True), lambda x: x == end)


ends = st.floats(-1e6, 1e6) | st.sampled_from([-math.inf, math.inf, 0.0, 1.0, 1e-9, 1e200])


@given(ends, ends, st.booleans(), st.data())
def test_numbers_lie_in_the_domain_whatever_it_is(one, other, closed, data):
    interval = Interval(min(one, other), max(one, other), closed)
    if math.nextafter(interval.low, math.inf) >= interval.high:  # no number, or none but the ends
        interval = Interval(1.0, 2.0, closed)
    with changed(autograd.sin, "domain", (interval,)):
        asked = {"tails": data.draw(st.booleans()), "boundaries": data.draw(st.booleans())}
        assert data.draw(ad.operands(autograd.sin, 0, **asked)) in interval


def test_numbers_are_simple_when_they_have_shrunk():
    expected = {"sin": 1.0, "log": 1.0, "asin": 0.5, "acosh": 2.0, "exp": 1.0}
    for name, number in expected.items():
        assert simplest(ad.points(name)) == (number,)
    for name in ("maximum", "hypot", "clip"):  # equal operands of the first are a kink
        assert {abs(x) for x in simplest(ad.points(name))} <= {0.5, 1.0, 2.0}
    assert simplest(ad.points(autograd.dot)) == (1.0, 1.0)


def test_an_operation_of_ones_own_is_drawn_from_its_record():
    op = define(
        "bent",
        lambda a, b: b * max(a, 2.5),
        [lambda _y, a, b: b * autograd.step(a - 2.5), lambda _y, a, _b: autograd.maximum(a, 2.5)],
        domain=[Interval(2.0, 3.0, closed=True), Interval(-math.inf, -1.0)],
        kinks=[Kink("a = 2.5", lambda a, _: a == 2.5, (0.0, 2.5))],
    )
    for name in (op, "bent"):
        found = first(ad.points(name, boundaries=True), lambda point: point[0] == 3.0)
        assert found[1] < -1.0
    assert simplest(ad.points(op, kinks=True), lambda point: point[0] == 2.5) == (2.5, -2.0)

    @some
    @given(ad.points(op))
    def keeps_clear(point: tuple[float, float]) -> None:
        a, b = point
        assert 2.0 < a < 3.0
        assert abs(a - 2.5) > 0.02
        assert -32.0 <= b < -1.0

    keeps_clear()


def test_a_kink_that_nobody_can_find_is_an_error_that_says_where_it_was_looked_for():
    kink = Kink("a = somewhere", lambda a: a == 0.123, (1.0,))
    with changed(autograd.relu, "kinks", (kink,)):
        with pytest.raises(ValueError, match=r"relu: no point of a kink \(a = somewhere\) was fou"):
            ad.points(autograd.relu, kinks=True)
        with changed(autograd.relu, "kinks", (kink._replace(at="a = 0.123"),)):
            first(ad.points(autograd.relu, kinks=True), lambda point: point == (0.123,))


def test_what_is_no_operation_is_refused():
    old = define("cubed", lambda a: a * a * a, lambda _y, a: 3.0 * a * a)
    define("cubed", lambda a: a * a * a, lambda _y, a: 3.0 * a * a, replace=True)
    for thing in ("logg", 3.0, None, math.log, autograd.grad, old):
        for make in (
            ad.points,
            lambda op: ad.operands(op, 0),
            lambda op: ad.expressions(operations=[op]),
        ):
            with pytest.raises(ValueError, match="an operation is one of autograd's, one made by"):
                make(thing)


# --- expressions ----------------------------------------------------------------------------------


def numbers_of(expression: Expression) -> list[tuple[Op, list[float], list[int]]]:
    """Each line's operation, operands, and the operands that aren't constants."""
    values = expression.run(expression.inputs, lambda name, row: REGISTRY[name].forward(*row))
    return [
        (
            REGISTRY[name],
            [values[x] if isinstance(x, int) else x for x in row],
            [k for k, x in enumerate(row) if isinstance(x, int)],
        )
        for name, row in expression.lines
    ]


@given(ad.expressions(max_condition=math.inf))
def test_an_expression_has_one_value_on_values_on_floats_and_by_mpmath(expression):
    y, leaves = expression.graph()
    assert [x.data for x in leaves] == list(expression.inputs)
    assert y.data == expression.on_floats(*expression.inputs) == expression(*expression.inputs)
    assert type(expression(*expression.inputs)) is float
    exact = expression.exact(*expression.inputs)
    # Each line is right to 4 units in the last place, and Σ |v · ∂y/∂v| is what becomes of that.
    perturbed = [Value(1.0) for _ in expression.lines]
    factors = iter(perturbed)
    values = expression.run(leaves, lambda name, row: REGISTRY[name].apply(row) * next(factors))
    total = math.fsum(abs(d.data) for d in gradients(values[-1], perturbed))
    assert abs(mp.mpf(y.data) - exact) <= 10.0 * ROUNDING * total


@given(ad.expressions(max_condition=math.inf))
def test_every_input_and_every_line_has_a_part_in_the_result(expression):
    used = {x for _, row in expression.lines for x in row if isinstance(x, int)}
    count = len(expression.inputs) + len(expression.lines)
    assert used == set(range(count - 1))


@given(ad.expressions(max_condition=math.inf))
def test_values_are_moderate_and_clear_of_kinks_and_ends(expression):
    y, leaves = expression.graph()
    assert not autograd.kinks(y)
    assert all(math.isfinite(d.data) for d in gradients(y, leaves))
    for op, row, moving in numbers_of(expression):
        assert op.arity in (None, len(row))
        assert moving
        for k, x in enumerate(row):
            interval = domain_of(op, k)
            assert x in interval
            if k in moving:
                assert x == 0.0 or 1e-3 <= abs(x) <= 1e3
                assert interval.low + 9e-4 <= x <= interval.high - 9e-4
    assert y.data == 0.0 or 1e-3 <= abs(y.data) <= 1e3


@given(ad.expressions(max_condition=math.inf))
def test_the_repr_makes_the_expression_again(expression):
    again = eval(repr(expression), {"Expression": Expression})  # noqa: S307  (our own text)
    assert again == expression
    assert hash(again) == hash(expression)
    assert (again.inputs, again.lines) == (expression.inputs, expression.lines)
    assert list(map(repr, chain(*[row for _, row in again.lines]))) == list(
        map(repr, chain(*[row for _, row in expression.lines]))
    )
    assert Expression.parse(f"\n  {expression}\n") == expression


@given(ad.expressions(max_condition=math.inf))
def test_the_text_is_a_program_that_runs_as_it_stands(expression):
    names: dict[str, Any] = dict(vars(autograd))
    text = str(expression)
    exec(text, names)  # noqa: S102  (our own text)
    result = text.splitlines()[-1].split(" = ")[0]
    assert names[result] == expression(*expression.inputs)
    for k, x in enumerate(expression.inputs):
        text = text.replace(f"x{k} = {x!r}", f"x{k} = Value({x!r})")
    exec(text, names)  # noqa: S102
    assert names[result].data == expression(*expression.inputs)


def test_an_expression_reads_like_the_program_that_it_is():
    text = "x0 = 2.0; x1 = -1.5; v0 = x0 ** 2.0; v1 = (-3.0) / v0; v2 = dot([x1, 1.0], [v1, v0])"
    expression = Expression.parse(text)
    assert expression.inputs == (2.0, -1.5)
    assert [name for name, _ in expression.lines] == ["pow", "div", "dot"]
    assert str(expression) == text.replace("; ", "\n")
    assert repr(expression) == f'Expression.parse("""\n{expression}\n""")'
    assert expression(2.0, -1.5) == 5.125
    assert repr(Expression.parse("x0 = 1.0; v0 = -x0")) == 'Expression.parse("x0 = 1.0; v0 = -x0")'


def test_hypothesis_shows_the_call_that_makes_a_thing_again():
    @settings(database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
    @given(ad.expressions(), ad.networks())
    def fails(e: Expression, n: Network) -> None:
        raise AssertionError(f"for {e} and {n}")

    with pytest.raises(AssertionError, match="for x0") as caught:
        fails()
    text = "\n".join(caught.value.__notes__)
    assert 'e=Expression.parse("x0 = 1.0; v0 = +x0")' in text
    assert (
        "n=Network(activation='tanh', weights=[[[1.0, 1.0]]], rows=[[1.0]], targets=[1.0])" in text
    )


def test_a_constant_is_not_taken_for_a_place():
    place = Expression((1.0, 2.0), (("add", (0, 1)),))
    constant = Expression((1.0, 2.0), (("add", (0, 1.0)),))
    assert place != constant
    assert (place(1.0, 5.0), constant(1.0, 5.0)) == (6.0, 2.0)


@pytest.mark.parametrize(
    "statement",
    [
        "v0 = y * 2",
        "v0 = unheard_of(x0)",
        "v0 = log(x0, x0)",
        "v0 = exp(log(x0))",
        "v0 = (x0, x0)",
        "v0 = x0 @ x0",
        "v0 = ",
        "x0 + 1",
        "import os",
        "v0 = log(x0); x1 = 2.0",
    ],
)
def test_a_program_that_can_not_be_read_is_refused_with_the_statement(statement):
    with pytest.raises(ValueError, match=r"a program is its inputs \(x0 = 1.0\), then .* got '"):
        Expression.parse(f"x0 = 1.0; {statement}")


def test_the_wrong_number_of_inputs_is_refused():
    expression = Expression.parse("x0 = 1.0; x1 = 2.0; v0 = x0 * x1")
    for run in (expression, expression.on_floats, expression.exact):
        with pytest.raises(TypeError, match="the expression has 2 inputs; got 1"):
            run(1.0)


def is_shared(expression: Expression) -> bool:
    places = [x for _, row in expression.lines for x in row if isinstance(x, int)]
    return len(places) != len(set(places))


def has_constants(expression: Expression) -> bool:
    return any(isinstance(x, float) for _, row in expression.lines for x in row)


@given(st.integers(1, 6), st.integers(1, 3), st.booleans(), st.booleans(), st.data())
def test_the_options_are_kept(most_lines, most_inputs, sharing, constants, data):
    names = ["add", "log", "tanh", "where", "logsumexp"]
    expression = data.draw(
        ad.expressions(
            max_operations=most_lines,
            max_inputs=most_inputs,
            sharing=sharing,
            constants=constants,
            operations=names,
        )
    )
    assert 1 <= len(expression.lines) <= most_lines
    assert 1 <= len(expression.inputs) <= most_inputs
    assert {name for name, _ in expression.lines} <= set(names)
    assert sharing or not is_shared(expression)
    assert constants or not has_constants(expression)


def is_in(text: str, expression: Expression) -> bool:
    return text in str(expression)


def test_what_the_options_allow_is_drawn():
    drawn = ad.expressions(max_operations=8, max_inputs=3)
    first(drawn, lambda e: len(e.lines) == 8)
    first(drawn, lambda e: len(e.inputs) == 3)
    first(drawn, lambda e: is_shared(e) and has_constants(e))
    # Both branches of a choice by a constant condition, and one by a computed condition.
    for condition in ("0.0", "1.0", "x0"):
        few = ad.expressions(operations=["where", "add"])
        first(few, partial(is_in, f"where({condition}, "))


def test_every_operation_is_drawn():
    assert set(ad._simplest_first()) == set(OPERATIONS)
    for op in OPERATIONS:
        first(ad.expressions(operations=[op]))


def test_operations_of_ones_own_are_drawn_if_they_are_listed():
    op = define("cubed", lambda a: a * a * a, lambda _y, a: 3.0 * a * a)
    found = first(
        ad.expressions(operations=[op, "add"]),
        lambda e: len(e.lines) > 1 and any(name == "cubed" for name, _ in e.lines),
    )
    assert eval(repr(found), {"Expression": Expression}) == found  # noqa: S307
    with pytest.raises(LookupError, match=r"cubed has no exact value: put it into exact.FUNCTIONS"):
        found.exact(*found.inputs)
    FUNCTIONS["cubed"] = lambda _m, a: a**3
    try:
        exact = found.exact(*found.inputs)
        assert math.isclose(exact, found(*found.inputs), rel_tol=1e-12)
    finally:
        del FUNCTIONS["cubed"]


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="max_operations must be at least 1; got 0"):
        ad.expressions(max_operations=0)
    with pytest.raises(ValueError, match="max_inputs must be at least 1; got -1"):
        ad.expressions(max_inputs=-1)
    with pytest.raises(ValueError, match="operations is empty: list at least one"):
        ad.expressions(operations=[])


# --- conditioning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("x0 = 1.0; v0 = exp(x0)", 1.0),
        ("x0 = 2.0; v0 = x0 * x0", 1.0),
        ("x0 = 1.0; v0 = sign(x0)", 1.0),
        ("x0 = 1.0; v0 = x0 - x0", math.inf),
        ("x0 = 1.0; v0 = x0 * 1000.0; v1 = v0 - 999.0", 1001.0),
        ("x0 = 1.0; v0 = x0 + 999.0", 1000.0),
        ("x0 = 4.0; v0 = x0 * 3.0; v1 = x0 * 2.0; v2 = v0 - v1", 6.0),
        ("x0 = 4.0; v0 = dot([x0, x0], [3.0, -2.0])", 5.0),
        ("x0 = 0.5; v0 = x0 ** x0", 2.0 / (1.0 - math.log(2.0))),
    ],
)
def test_the_condition_of_a_program(program, expected):
    expression = Expression.parse(program)
    assert math.isclose(expression.condition(*expression.inputs), expected, rel_tol=1e-12)


def along(expression: Expression, index: int) -> Callable[[float], float]:
    """The expression as a function of one input."""
    before, after = expression.inputs[:index], expression.inputs[index + 1 :]
    return lambda x: expression.on_floats(*before, x, *after)


def exact_derivative(expression: Expression, index: int) -> mp.mpf:
    """∂y/∂x by a step along the imaginary axis: f(x + ih) = f(x) + ih · f'(x) + O(h²)."""
    with mp.workprec(320):
        h = mp.mpf(2) ** -200
        inputs = [mp.mpc(x, h * (k == index)) for k, x in enumerate(expression.inputs)]
        return mp.mpf(mp.im(expression.exact(*inputs)) / h)


@given(ad.expressions())
def test_a_well_conditioned_gradient_is_exact_to_the_rounding_that_is_promised(expression):
    condition = expression.condition(*expression.inputs)
    assert condition <= 1000.0
    # First order: 4 units in the last place for each value, and on a path for each factor; for
    # each factor also the rounding of a product and of a sum.
    relative = (8.0 + 10.0 * len(expression.lines)) * ROUNDING * condition
    y, leaves = expression.graph()
    exact = expression.exact(*expression.inputs)
    assert abs(y.data - exact) <= 8.0 * ROUNDING * condition * abs(exact)
    for k, d in enumerate(gradients(y, leaves)):
        exact = exact_derivative(expression, k)
        assert abs(d.data - exact) <= relative * abs(exact) + mp.mpf(2) ** -190


@given(ad.expressions())
def test_differences_tell_a_well_conditioned_gradient_to_many_digits(expression):
    y, leaves = expression.graph()
    for k, d in enumerate(gradients(y, leaves)):
        found = derivative(along(expression, k), expression.inputs[k])
        assert abs(found.derivative - d.data) <= 2.0 * found.error
        assert found.error <= 1e-6 * abs(d.data) or d.data == 0.0


@pytest.mark.parametrize(
    "rule",
    [lambda _y, a: a / 0.0, lambda _y, a: a * math.nan, lambda _y, _a: None, lambda _y, a: 0.0 * a],
)
def test_what_a_wrong_rule_makes_of_an_expression_is_left_for_the_test_to_find(rule):
    with changed(autograd.log, "partials", (rule,)):
        first(ad.expressions(operations=["log"]))


def test_worse_conditioned_expressions_are_drawn_on_demand():
    found = simplest(ad.expressions(operations=["sub"], max_condition=math.inf))
    assert repr(found) == 'Expression.parse("x0 = 1.0; v0 = x0 - x0")'
    assert found.condition(1.0) == math.inf


# --- networks -------------------------------------------------------------------------------------


def flat(weights: list[list[list[Any]]]) -> list[Any]:
    return [w for layer in weights for neuron in layer for w in neuron]


@given(ad.networks())
def test_a_loss_is_one_number_on_floats_and_on_values_and_differentiable(network):
    leaves = [[[Value(w) for w in neuron] for neuron in layer] for layer in network.weights]
    loss = network.loss(leaves)
    assert loss.data == network.loss(network.weights)
    assert type(network.loss(network.weights)) is float
    assert not autograd.kinks(loss)
    loss.backward()
    assert all(math.isfinite(w.grad) for w in flat(leaves))


@given(ad.networks(max_layers=2, max_width=2, max_rows=3))
def test_a_network_has_the_sizes_that_its_weights_and_data_tell(network):
    widths = [len(network.rows[0]), *[len(layer) for layer in network.weights]]
    assert widths[-1] == 1
    assert 1 <= len(network.weights) <= 2
    assert all(1 <= width <= 2 for width in widths)
    assert 1 <= len(network.rows) == len(network.targets) <= 3
    for inputs, layer in zip(widths, network.weights, strict=False):
        assert all(len(neuron) == inputs + 1 for neuron in layer)
    assert eval(repr(network), {"Network": Network}) == network  # noqa: S307  (our own text)


@settings(max_examples=10)
@given(ad.networks(max_width=2, max_rows=2))
def test_the_checker_takes_a_network(network):
    assert check_gradients(network.loss, network.weights)


def test_a_network_computes_what_it_says():
    weights = [[[2.0, -1.0, 0.5], [0.25, 0.0, 1.0]], [[3.0, -2.0, 0.125]]]
    network = Network("relu", weights, [[1.0, 4.0], [2.0, 1.0]], [1.0, 2.0])
    # (relu(-1.5), relu(1.25)) -> -2.375 and (relu(3.5), relu(1.5)) -> 7.625
    assert network.loss(weights) == (3.375**2 + 5.625**2) / 2.0
    assert network.sums(weights, [1.0, 4.0]) == [[-1.5, 1.25], [-2.375]]


def test_a_network_shrinks_to_one_neuron():
    assert simplest(ad.networks()) == Network("tanh", [[[1.0, 1.0]]], [[1.0]], [1.0])


@pytest.mark.slow
def test_a_network_shrinks_to_the_activation_at_fault():
    def is_wrong_in_the_first_weight(network: Network) -> bool:
        def along(x: Any) -> Any:
            ((_, *others), *neurons), *layers = network.weights
            return network.loss([[[x, *others], *neurons], *layers])

        x = network.weights[0][0][0]
        slope = (along(x + 1e-6) - along(x - 1e-6)) / 2e-6
        return not math.isclose(autograd.grad(along)(x), slope, rel_tol=1e-3, abs_tol=1e-3)

    with changed(autograd.relu, "partials", (0.5,)):
        found = simplest(ad.networks(max_width=2, max_rows=2), is_wrong_in_the_first_weight)
    assert found.activation == "relu"
    assert [len(layer) for layer in found.weights] == [1, 1]
    assert len(found.rows) == 1


def test_impossible_networks_are_refused():
    for size in ("max_layers", "max_width", "max_rows"):
        with pytest.raises(ValueError, match=f"{size} must be at least 1; got 0"):
            ad.networks(**dict[str, Any]({size: 0}))
    for activations in ([], ["mul"], ["tanh", autograd.mul]):
        with pytest.raises(ValueError, match="activations are operations of one operand; got "):
            ad.networks(activations=activations)


# --- shrinking ------------------------------------------------------------------------------------


def is_wrong(expression: Expression) -> bool:
    """Whether a derivative differs from differences of the values."""
    y, leaves = expression.graph()
    for k, d in enumerate(gradients(y, leaves)):
        found = derivative(along(expression, k), expression.inputs[k])
        if abs(d.data - found.derivative) > 10.0 * found.error + 1e-6 * abs(found.derivative):
            return True
    return False


def mistaken(op: Op, index: int) -> Any:
    """The operation's derivatives with one of them wrong."""
    if op.arity is None:
        return scaled_entry(op.partials, -index, -1.5)  # the first or the last
    wrong = 1.5 if op.partials[index] == 0.0 else scaled(op.partials[index], -1.5)
    return (*op.partials[:index], wrong, *op.partials[index + 1 :])


def shrunk(op: Op, index: int, among: Sequence[Op] | None = None) -> Expression:
    """What Hypothesis shows when a derivative of an operation is wrong."""
    with changed(op, "partials", mistaken(op, index)):
        found: Expression = simplest(
            ad.expressions(operations=among),
            lambda e: any(name == op.name for name, _ in e.lines) and is_wrong(e),
        )
    assert not is_wrong(found)
    return found


SOME = ["add", "div", "log", "minimum", "logsumexp"]  # of each arity; the others take as long


def assert_is_simple(expression: Expression, op: Op) -> None:
    assert len(expression.lines) <= 2
    assert len(expression.inputs) <= 3
    assert any(name == op.name for name, _ in expression.lines)
    numbers = [*expression.inputs, *[x for _, row in expression.lines for x in row]]
    assert all(2.0 * x == int(2.0 * x) and abs(x) <= 3.0 for x in numbers), expression


@pytest.mark.parametrize("name", SOME)
def test_a_wrong_derivative_shrinks_to_at_most_two_operations_on_simple_numbers(name):
    op = REGISTRY[name]
    assert_is_simple(shrunk(op, (op.arity or 2) - 1, [REGISTRY[other] for other in SOME]), op)


def test_a_lost_contribution_shrinks_to_a_value_that_is_used_twice():
    def loses_one(expression: Expression) -> bool:
        places = [x for _, row in expression.lines for x in row if isinstance(x, int)]
        return len(places) != len(set(places))

    assert str(simplest(ad.expressions(operations=["add", "mul"]), loses_one)) == (
        "x0 = 1.0\nv0 = x0 + x0"
    )
