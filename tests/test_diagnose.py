"""The laws of `diagnose`: where inf and nan begin, in both passes, and what helps."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import (
    REGISTRY,
    Value,
    define,
    diagnose,
    exp,
    ieee,
    log,
    mean,
    polygamma,
    relu,
    scope,
    softmax,
    sqrt,
    steps,
    tanh,
    where,
)
from autograd.backward import sort
from autograd.diagnosis import REMEDIES
from autograd.op import Binary
from autograd.value import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INF, NAN = math.inf, math.nan
BEYOND = "beyond the largest double, 1.8e308"


def bits(x: float) -> bytes:
    """Return the eight bytes of a double, all nans alike."""
    return struct.pack("<d", math.nan if math.isnan(x) else x)


def lines(text: object) -> list[str]:
    """Return a text's lines without the spaces that align them."""
    return [" ".join(line.split()) for line in str(text).split("\n")]


# --- against a plain reading of the graph ---------------------------------------------------------

UNARY = ["exp", "log", "sqrt", "square", "relu", "abs", "sin", "neg"]
BINARY = ["add", "sub", "mul", "div", "maximum", "pow", "hypot"]


@st.composite
def spoilt_graphs(draw: Any) -> Value:
    """A graph computed inside ieee() from numbers at which things go wrong."""
    number = st.sampled_from([0.0, 1.0, -1.0, 2.5, 800.0, 1e200, 1e-310, INF, NAN])
    with ieee():
        values = [Value(draw(number)) for _ in range(draw(st.integers(1, 3)))]
        for _ in range(draw(st.integers(1, 8))):
            pick = st.sampled_from(values)
            kind = draw(st.integers(0, 4))
            if kind == 0:
                made = getattr(autograd, draw(st.sampled_from(UNARY)))(draw(pick))
            elif kind == 1:
                made = getattr(autograd, draw(st.sampled_from(BINARY)))(draw(pick), draw(pick))
            elif kind == 2:
                operands = draw(st.permutations([draw(number), draw(pick)]))
                made = getattr(autograd, draw(st.sampled_from(BINARY)))(*operands)
            elif kind == 3:
                made = autograd.sum([draw(pick), draw(number), draw(pick)])
            else:
                made = where(draw(st.booleans()), draw(pick), draw(pick))
            values.append(made)
    return values[-1]


@given(spoilt_graphs())
def test_the_forward_culprit_is_the_first_value_that_is_not_finite_on_finite_operands(
    y: Value,
) -> None:
    computed, leaves = sort(y)
    values = [*leaves, *computed]
    bad = [v for v in values if not math.isfinite(v.data)]
    begun = [v for v in bad if all(math.isfinite(x.data) for x in v.parents)]
    found = diagnose(y).forward
    assert (found is None) == (not bad)
    if found is None:
        return
    assert any(found.value is v for v in begun)
    assert found.path[0] is found.value
    assert found.path[-1] is y
    for below, above in zip(found.path, found.path[1:], strict=False):
        assert any(x is below for x in above.parents)
    assert found.spoils == (not math.isfinite(y.data))
    if found.spoils:
        assert not any(math.isfinite(v.data) for v in found.path)
    else:
        assert found.value is begun[0]
    assert [*map(bits, found.operands)] == [bits(plain(x)) for x in found.value.operands]


@given(spoilt_graphs())
def test_of_the_values_that_spoil_the_result_the_first_is_named(y: Value) -> None:
    def spoils(v: Value) -> bool:
        above = {v}
        for node in sort(y)[0]:
            if not math.isfinite(node.data) and not above.isdisjoint(node.parents):
                above.add(node)
        return y in above

    computed, leaves = sort(y)
    begun = [
        v
        for v in (*leaves, *computed)
        if not math.isfinite(v.data) and all(math.isfinite(x.data) for x in v.parents)
    ]
    spoiling = [v for v in begun if spoils(v)]
    found = diagnose(y).forward
    if math.isfinite(y.data):
        assert spoiling == []
    else:
        assert found is not None
        assert found.value is spoiling[0]
        assert found.total == len(spoiling)


@given(spoilt_graphs())
def test_the_backward_culprit_is_the_first_step_that_is_not_finite(y: Value) -> None:
    with ieee():
        made = list(steps(y))
    bad = [s for s in made if not math.isfinite(s.accumulated)]
    found = diagnose(y).backward
    assert (found is None) == (not bad)
    if found is None:
        return
    first = bad[0]
    assert found.step.value is first.value is found.value
    assert found.step.parent is first.parent
    assert found.step.names == first.names
    for field in ("local", "upstream", "contribution", "before", "accumulated", "complete"):
        assert bits(getattr(found.step, field)) == bits(getattr(first, field))
    assert all(math.isfinite(s.local) for s in made[: made.index(first)])
    assert found.path[0] is y
    assert found.path[-2:] == (first.value, first.parent)
    edges = {(id(s.value), id(s.parent)) for s in made}
    assert {(id(a), id(b)) for a, b in zip(found.path, found.path[1:], strict=False)} <= edges


@given(spoilt_graphs())
def test_the_step_that_turns_inf_into_nan_is_named(y: Value) -> None:
    found = diagnose(y).backward
    if found is None:
        return
    if math.isnan(found.step.accumulated):
        assert found.turned is None
        return
    with ieee():
        made = list(steps(y))
    turns = [
        s
        for s in made
        if math.isnan(s.accumulated) and not any(map(math.isnan, (s.local, s.upstream, s.before)))
    ]
    assert (found.turned is None) == (not turns)
    if found.turned is not None:
        assert str(found.turned) == str(turns[0])


@given(spoilt_graphs())
def test_a_diagnosis_is_false_exactly_where_all_is_finite_and_changes_nothing(y: Value) -> None:
    computed, leaves = sort(y)
    values = [*leaves, *computed]
    for number, v in enumerate(values):
        v.grad = number
    found = diagnose(y)
    assert [v.grad for v in values] == list(range(len(values)))
    with ieee():
        gradients = [s.accumulated for s in steps(y)]
    finite = all(map(math.isfinite, (*gradients, *(v.data for v in values))))
    assert bool(found) == (not finite)
    assert str(found).startswith("all finite: ") == finite


@given(spoilt_graphs())
def test_where_backward_raises_there_is_a_diagnosis(y: Value) -> None:
    try:
        y.backward()
    except (ValueError, ArithmeticError):
        assert diagnose(y).backward is not None


# --- what a learner sees --------------------------------------------------------------------------


def test_the_root_of_a_square_at_0() -> None:
    found = diagnose(lambda x: sqrt(x * x), 0.0)
    assert str(found) == (
        "forward   finite\n"
        "backward  ∂y/∂v1 = ∂y/∂y · ∂y/∂v1 = 1 × inf = inf\n"
        "  at      y = sqrt(v1) = sqrt(0.0) = 0.0: the derivative is infinite here\n"
        "  from    v1 = x * x\n"
        "  path    y → v1\n"
        "  then    ∂y/∂x = ∂y/∂v1 · ∂v1/∂x = inf × 0 = nan\n"
        "  remedy  √ of a square is abs(x), of two squares hypot(x, y): both have the derivative "
        "0 at 0. Any\n"
        "          other √ is infinitely steep there: choose with a safe operand inside:\n"
        "          where(x > 0, sqrt(where(x > 0, x, 1)), 0)"
    )
    assert repr(found) == str(found)


def test_a_logarithm_that_a_choice_leaves_out_is_named_and_called_harmless() -> None:
    found = diagnose(lambda x: where(x > 0.0, log(x), 0.0), -1.0)
    assert lines(found)[:2] == [
        "forward v1 = log(x) = log(-1.0) = nan: operand must be > 0",
        "path v1 (nan) → y (0): the result is finite all the same",
    ]
    assert lines(found)[-1] == "backward finite"
    assert found
    assert not diagnose(lambda x: where(x > 0.0, log(where(x > 0.0, x, 1.0)), 0.0), -1.0)


def test_a_product_with_0_takes_nothing_out() -> None:
    found = diagnose(lambda x: x + log(x) * 0.0, 0.0)
    assert lines(found)[:2] == [
        "forward v1 = log(x) = log(0.0) = -inf: operand must be > 0",
        "path v1 (-inf) → v2 (nan) → y (nan)",
    ]
    assert "backward ∂y/∂x = ∂y/∂v1 · ∂v1/∂x = 0 × inf = nan" in str(found).replace("  ", " ")
    assert lines(found)[-1].endswith("wasn't finite in the forward pass already: cure that first")


def test_a_softmax_by_hand_overflows_in_exp_and_not_in_the_division() -> None:
    def by_hand(xs: list[Value]) -> list[Value]:
        powers = [exp(x) for x in xs]
        return [power / autograd.sum(powers) for power in powers]

    found = diagnose(by_hand, [1.0, 1000.0])
    assert lines(found)[:2] == [
        f"forward v2 = exp(xs[1]) = exp(1000.0) = inf: the result is {BEYOND}",
        "path v2 (inf) → result[1] (nan)",
    ]
    assert "softmax, logsumexp" in str(found)
    assert found.backward is not None
    assert str(found.backward.step).startswith("∂Σresult/∂v")
    assert not diagnose(softmax, [1.0, 1000.0])


def test_a_quotient_of_infinities_is_blamed_on_the_first() -> None:
    found = diagnose(lambda x: exp(x) / exp(x), 1000.0)
    assert str(found) == (
        f"forward   v1 = exp(x) = exp(1000.0) = inf: the result is {BEYOND}\n"
        "  path    v1 (inf) → y (nan)\n"
        "  count   the first of 2 that begin so\n"
        "  remedy  softmax, logsumexp, logaddexp, softplus, log_sigmoid, sigmoid and tanh give "
        "what is mostly\n"
        "          made of exponentials, and form none that overflows\n"
        "backward  ∂y/∂v2 = ∂y/∂y · ∂y/∂v2 = 1 × nan = nan\n"
        "  at      y = v1 / v2 = inf / inf = nan: the derivative is undefined here\n"
        "  remedy  it wasn't finite in the forward pass already: cure that first"
    )


def test_the_words_are_the_same_inside_ieee() -> None:
    with ieee():
        y = log(Value(-1.0, "x"))
        found = diagnose(y)
    assert str(found) == str(diagnose(y))
    assert lines(found)[0] == "forward y = log(x) = log(-1.0) = nan: operand must be > 0"


def test_numbers_below_0_are_bracketed_and_an_operand_is_explained_once() -> None:
    power = diagnose(lambda x, n: x**n, -2.0, 3.0).backward
    assert power is not None
    assert "y = x ** n = (-2.0) ** 3.0 = -8.0: the derivative is undefined here" in str(power)
    square = diagnose(lambda x: (x + 1.0) * (x + 1.0), 1e200).forward
    assert square is not None
    assert square.sources == ("v1 = x + 1.0", "v2 = x + 1.0")

    def of_one(x: Value) -> Value:
        v = x + 1.0
        return v * v

    once = diagnose(of_one, 1e200).forward
    assert once is not None
    assert once.sources == ("v1 = x + 1.0",)


def test_the_mean_of_nothing_is_told_in_the_words_of_the_operation() -> None:
    found = diagnose(mean, [])
    assert lines(found)[0].startswith("forward y = nan: mean(): it needs at least one operand")
    assert "an empty list?" in str(found)
    within = diagnose(lambda x: x * mean([]), 2.0)
    assert lines(within)[0] == "forward y = x * nan = 2.0 * nan = nan"
    assert "the mean of an empty list is nan" in " ".join(lines(within))
    infinite = diagnose(lambda x: x + INF, 1.0)
    assert lines(infinite)[0] == "forward y = x + inf = 1.0 + inf = inf"


def test_a_row_of_data_that_is_nan_comes_before_what_it_spoils() -> None:
    rows = [[0.5, 1.0], [0.1, NAN], [0.3, 0.2], [NAN, 1.0]]

    def loss(w: list[Value], rows: Any) -> Any:
        return mean([(w[0] * row[0] + w[1] * row[1] - 1.0) ** 2 for row in rows])

    found = diagnose(loss, [0.1, 0.2], rows)
    assert lines(found)[:3] == [
        "forward rows[1][1] = nan: a leaf",
        "path rows[1][1] (nan) → v7 (nan) → v8 (nan) → v9 (nan) → v10 (nan) → y (nan)",
        "count the first of 2 that begin so",
    ]
    assert found.forward is not None
    assert found.forward.op is None
    both = diagnose(lambda x, y: exp(x) + y, 1000.0, NAN)
    assert lines(both)[0] == "forward y = nan: a leaf"
    constant = diagnose(lambda w: loss(w, rows), [0.1, 0.2])
    assert lines(constant)[0] == "forward v7 = w[1] * nan = 0.2 * nan = nan"


def test_in_a_network_the_layer_that_overflows_is_named() -> None:
    def network(x: Value) -> Value:
        for number in (1, 2, 3):
            with scope(f"layer{number}"):
                z = x * 40.0
                z.label = f"z{number}"
                x = exp(z) if number == 2 else tanh(z)
                x.label = f"a{number}"
        with scope("loss"):
            return exp(x * 800.0 * Value(1.0, "w")) - x

    found = diagnose(network, 1.0).forward
    assert found is not None
    assert (found.scope, found.label, found.names) == ("loss", None, ("v3", "v2"))
    assert {"  scope   loss", "  from    v2 = v1 * w"} <= set(str(found).split("\n"))

    def deep(x: Value) -> Value:
        with scope("mlp"), scope("layer2"):
            h = exp(x)
            h.label = "h"
        return h / (h + 1.0)

    inner = diagnose(deep, 1000.0).forward
    assert inner is not None
    assert (inner.label, inner.scope, inner.op) == ("h", "mlp/layer2", exp)
    assert inner.operands == (1000.0,)
    assert inner.names == ("h", "x")
    assert inner.path_names == ("h", "y")


def test_an_infinity_that_is_meant_is_still_reported() -> None:
    found = diagnose(lambda x: 1.0 / exp(x), 1000.0)
    assert "path v1 (inf) → y (0): the result is finite all the same" in lines(found)
    assert found.forward is not None
    assert not found.forward.spoils
    assert found.backward is not None
    assert found.backward.follows


def test_what_is_harmless_is_not_blamed_for_what_is_not() -> None:
    def mixed(x: Value) -> Value:
        masked = where(x > 0.0, log(x), 0.0)
        return masked + exp(1000.0 - x)

    found = diagnose(mixed, -1.0).forward
    assert found is not None
    assert found.op is exp
    assert found.total == 1


def test_where_all_is_finite_that_is_said_with_the_number_of_values() -> None:
    found = diagnose(lambda x: tanh(x * 2.0), 0.5)
    assert not found
    assert (found.forward, found.backward) == (None, None)
    assert str(found) == "all finite: 3 values and their gradients"


def test_sums_and_products_that_overflow_on_the_way_back_are_told_apart() -> None:
    y = (Value(1e-300, "x") * 1e200) * 1e200
    product = diagnose(y).backward
    assert product is not None
    assert product.cause == f"the product is {BEYOND}"
    assert str(product.step).endswith("= 1.000e+200 × 1.000e+200 = inf")
    total = diagnose(lambda x: 1e308 * x + 1e308 * x, 1e-3).backward
    assert total is not None
    assert total.cause == f"the sum is {BEYOND}"
    assert str(total.step).endswith("with 1.000e+308 from before: inf")


def test_infinities_of_different_signs_meeting_in_a_sum_are_named() -> None:
    found = diagnose(lambda x: sqrt(x) - sqrt(x), 0.0).backward
    assert found is not None
    assert found.turned is not None
    assert str(found.turned).endswith("from before: nan")
    assert {found.turned.before, found.turned.contribution} == {INF, -INF}


def test_a_derivative_that_has_no_value_at_all_is_told_in_its_own_words() -> None:
    found = diagnose(polygamma, 1.0, 3.0).backward
    assert found is not None
    assert found.cause == "polygamma has no derivative in n"
    assert found.step.parent.label == "a"
    assert math.isnan(found.step.local)
    second = diagnose(lambda x, n: polygamma(0.0, polygamma(n, x)), 1.0, 1.0).backward
    assert second is not None
    assert second.path_names == ("y", "v1", "n")


@pytest.fixture
def _own_operations() -> Iterator[None]:
    before = set(REGISTRY)
    yield
    for name in set(REGISTRY) - before:
        del REGISTRY[name]
        if hasattr(Value, name):
            delattr(Value, name)


@pytest.mark.usefixtures("_own_operations")
def test_operations_of_ones_own_are_diagnosed_with_their_rule() -> None:
    op = define("reciprocal", lambda a: 1.0 / a, lambda y, _a: -y * y, rule="operand must not be 0")
    found = diagnose(op, 0.0)
    assert (
        lines(found)[0]
        == "forward y = reciprocal(a) = reciprocal(0.0) = nan: operand must not be 0"
    )
    assert "keep the operands away from there" in str(found.forward)


@pytest.mark.usefixtures("_own_operations")
def test_the_operand_whose_derivative_has_no_value_is_named() -> None:
    def missing(_y: Any, _a: Any, _b: Any) -> Any:
        message = "no derivative in b"
        raise ValueError(message)

    op = Binary("half_way", "a + b", lambda a, b: a + b, (1.0, missing), builtin=False)
    found = diagnose(op, 1.0, 2.0).backward
    assert found is not None
    assert found.cause == "no derivative in b"
    assert found.step.parent.label == "b"


def test_a_nan_that_comes_of_no_inf_is_not_what_inf_turned_into() -> None:
    def f(x: Value, n: Value) -> Value:
        return (n * 2.0 + (x - 1.0) ** n) + sqrt(x)  # the pass goes from right to left

    found = diagnose(f, 0.0, 3.0).backward
    assert found is not None
    assert found.op is sqrt
    assert found.turned is None
    nan_first = diagnose(lambda x, n: sqrt(x * x) + (x - 1.0) ** n, 0.0, 3.0).backward
    assert nan_first is not None
    assert nan_first.op is autograd.pow
    assert nan_first.turned is None


# --- remedies -------------------------------------------------------------------------------------


# For each row of the table, by its words: what goes wrong, and the same with the remedy; if that
# is left out, the remedy's own line of code is run.
SAFE = "clip(x, -1 + 1e-12, 1 - 1e-12)"
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("too large an lr", "exp(x)", "exp(0.5)", {"x": NAN}),
    ("nothing to trace", "mean(xs)", "mean([*xs, 1.0])", {"xs": []}),
    ("a plain number among", "x + mean([])", "x + mean([x])", {"x": 1.0}),
    ("softmax, logsumexp", "log(exp(x) + 1.0)", "softplus(x)", {"x": 800.0}),
    ("the log of a softmax", "log(x)", "", {"x": 0.0}),
    ("log1p(where", "log1p(x)", "", {"x": -1.0}),
    ("below 0 what ought to be 0", "sqrt(x)", "", {"x": -1e-17}),
    ("a divisor that is never", "x / d", "", {"x": 1.0, "d": 0.0}),
    ("where(x != 0, x, 1) ** n", "x ** n", "", {"x": 0.0, "n": -0.5}),
    ("a whole exponent", "x ** 0.5", "abs(x) ** 0.5", {"x": -2.0}),
    ("takes a cosine past 1", "acos(x)", f"acos({SAFE})", {"x": 1.0 + 1e-15}),
    ("may take it below 1", "acosh(x)", "acosh(maximum(x, 1 + 1e-12))", {"x": 1.0 - 1e-15}),
    ("the poles are", "lgamma(x)", "lgamma(x + 1.0)", {"x": 0.0}),
    ("clip(x, low, high)", "clip(x, 1.0, 0.0)", "clip(x, 0.0, 1.0)", {"x": 0.5}),
    ("the numbers grow", "x * x", "(x * 1e-200) * (x * 1e-200)", {"x": 1e200}),
    ("in the forward pass", "exp(x) / exp(x)", "softmax([x, x])", {"x": 1000.0}),
    ("√ of a square", "sqrt(x)", "", {"x": 0.0}),
    ("∛ is", "cbrt(x)", "", {"x": 0.0}),
    ("a power below 1", "x ** n", "", {"x": 0.0, "n": 0.5}),
    ("has log a in it", "x ** a", "x ** 3.0", {"x": -2.0, "a": 3.0}),
    ("steep at -1 and 1", "asin(x)", f"asin({SAFE})", {"x": 1.0}),
    ("steep at 1:", "acosh(x)", "acosh(maximum(x, 1 + 1e-12))", {"x": 1.0}),
    ("has no direction", "atan2(y, x)", "", {"y": 0.0, "x": 0.0}),
    ("make the order", "polygamma(a, x)", "polygamma(1.0, x)", {"a": 1.0, "x": 2.0}),
    ("near to the pole", "log(x)", "log(x + 1e-12)", {"x": 1e-310}),
    ("multiplied by 0", "0 * inversion(x, 0)", "where(0, inversion(x, 0), 0)", {"x": 1e-200}),
    ("the gradient grows", "x * 1e200 * 1e200", "x * 1e200 * 1e100", {"x": 1e-300}),
    ("take the place out", "inversion(x, 0)", "where(0, inversion(x, 0), 0)", {"x": 1e-200}),
]


def of_text(source: str, point: dict[str, Any]) -> Any:
    """Diagnose an expression in autograd's functions; n is an exponent and stays a number."""
    names = [name for name in point if name != "n"]
    namespace = {**vars(autograd), "n": point.get("n")}
    f = eval(f"lambda {', '.join(names)}: {source}", namespace)  # noqa: S307  (our own text)
    return diagnose(f, *[point[name] for name in names])


@pytest.mark.parametrize(("words", "wrong", "cured", "point"), CASES, ids=[c[0] for c in CASES])
def test_a_remedy_is_said_where_it_helps_and_does(
    words: str, wrong: str, cured: str, point: dict[str, Any]
) -> None:
    (row,) = [row for row in REMEDIES if words in row.text]
    found = of_text(wrong, point)
    said = found.forward if row.part == "value" else found.backward
    assert said is not None
    assert said.remedy == row.text
    code = cured or row.text.split("\n")[1]
    assert str(of_text(code, point)).startswith("all finite")


def test_every_remedy_has_such_a_case_and_every_line_of_code_in_one_is_run() -> None:
    shown = {row.text: case for row in REMEDIES for case in CASES if case[0] in row.text}
    assert len(CASES) == len(REMEDIES) == len(shown)
    assert all(("\n" in text) == (case[2] == "") for text, case in shown.items())


def test_every_operation_that_a_remedy_names_exists() -> None:
    named = {name for row in REMEDIES for name in row.ops.split()}
    assert named - {"leaf", "number"} <= REGISTRY.keys()


@pytest.mark.parametrize(
    ("wrong", "cured"),
    [("sqrt(x * x)", "abs(x)"), ("sqrt(x * x + y * y)", "hypot(x, y)")],
)
def test_the_roots_of_squares_have_functions_of_their_own(wrong: str, cured: str) -> None:
    point = {"x": 0.0, "y": 0.0}
    assert of_text(wrong, point)
    assert not of_text(cured, point)


# --- long graphs ----------------------------------------------------------------------------------


def test_a_long_path_is_abbreviated() -> None:
    def chain(x: Value) -> Value:
        x = log(x)
        for _ in range(1000):
            x = x + 1.0
        return x

    assert lines(diagnose(chain, -1.0))[1] == (
        "path v1 (nan) → v2 (nan) → v3 (nan) → … 995 values … → v999 (nan) → v1000 (nan) → y (nan)"
    )


def test_a_path_of_seven_values_is_written_out() -> None:
    def chain(x: Value) -> Value:
        x = log(x)
        for _ in range(6):
            x = x + 1.0
        return x

    path = "v1 (nan) → v2 (nan) → v3 (nan) → v4 (nan) → v5 (nan) → v6 (nan) → y (nan)"
    assert lines(diagnose(chain, -1.0))[1] == f"path {path}"


def test_a_path_leads_through_what_is_spoilt() -> None:
    def f(x: Value) -> Value:
        bad = log(x)
        return bad * 2.0 * 2.0 + relu(bad)

    found = diagnose(f, 0.0).forward
    assert found is not None
    assert found.path_names == ("v1", "v2", "v3", "y")


def test_a_path_of_the_backward_pass_leads_past_what_a_choice_cuts_off() -> None:
    def f(x: Value) -> Value:
        steep = sqrt(x)
        return steep * 2.0 * 2.0 + where(0.0, steep, x)

    found = diagnose(f, 0.0).backward
    assert found is not None
    assert found.path_names == ("y", "v3", "v2", "v1", "x")


def test_a_path_is_a_shortest_one() -> None:
    def ladder(x: Value) -> Value:
        bad = log(x)
        y = bad
        for _ in range(10):
            y = y * 2.0
        return y + bad

    found = diagnose(ladder, -1.0)
    assert found.forward is not None
    assert found.forward.path_names == ("v1", "y")


def test_many_operands_are_abbreviated() -> None:
    found = diagnose(lambda xs: autograd.sum([*xs, NAN]), [1.0] * 99)
    assert lines(found)[0] == (
        "forward y = sum(xs[0], xs[1], xs[2], … 94 more …, xs[97], xs[98], nan) "
        "= sum(1.0, 1.0, 1.0, … 94 more …, 1.0, 1.0, nan) = nan"
    )


def test_a_graph_of_50_000_values_is_diagnosed() -> None:
    x = Value(-1.0, "x")
    with ieee(), autograd.no_collector():
        y = log(x)
        for _ in range(50_000):
            y = y + 1.0
        found = diagnose(y)
        assert found.forward is not None
        assert len(found.forward.path) == 50_001
        assert len(repr(found.forward)) < 2000
        y = sqrt(x + 1.0)
        for _ in range(50_000):
            y = y + 1.0
        found = diagnose(y)
    assert found.backward is not None
    assert len(found.backward.path) == 50_002
    assert len(repr(found.backward)) < 2000


# --- from a function ------------------------------------------------------------------------------


def test_numbers_become_values_named_after_the_parameters() -> None:
    seen: list[Any] = []

    def f(x: Any, w: Any, *others: Any, flag: bool = True) -> Any:
        assert flag
        seen.extend([x, w, *others])
        return x * w[0][1]

    leaf, computed, array = Value(2.0), Value(3.0) * 2.0, np.array([1.0])
    diagnose(f, 1, [(2.0, np.float32(0.5))], leaf, computed, np.True_, array, "text", None)
    x, w, *others = seen
    assert (x.data, x.label) == (1.0, "x")
    assert [[v.label for v in row] for row in w] == [["w[0][0]", "w[0][1]"]]
    assert isinstance(w[0], tuple)
    assert others[0] is leaf
    assert leaf.label is None
    assert others[1] is computed
    assert others[2].label == "others[2]"
    assert others[3:] == [array, "text", None]


def test_the_arguments_of_a_function_without_a_signature_are_numbered() -> None:
    found = diagnose(max, 1.0, INF).forward
    assert found is not None
    assert found.names == ("x2",)


def test_an_operation_that_raises_at_birth_is_diagnosed_from_its_function() -> None:
    with pytest.raises(ValueError, match=r"log\(-1\.0\): operand must be > 0"):
        log(Value(-1.0))
    assert diagnose(log, -1.0).forward is not None
    assert not ieee.active()


def test_ieee_is_left_again_when_the_function_fails() -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        diagnose(lambda: 1 / 0)
    assert not ieee.active()


def test_several_results_are_diagnosed_together() -> None:
    def f(x: Value) -> list[Any]:
        return [x, (x * 2.0, sqrt(x)), 3.0]

    found = diagnose(f, 0.0)
    assert found.forward is None
    assert found.backward is not None
    assert found.backward.path_names == ("result[1][1]", "x")
    assert str(found.backward.step) == (
        "∂Σresult/∂x = ∂Σresult/∂result[1][1] · ∂result[1][1]/∂x = 1 × inf = inf, "
        "with 1 from before: inf"
    )
    assert not diagnose(f, 1.0)
    assert str(diagnose(f, 1.0)) == "all finite: 4 values and their gradients"
    assert not diagnose(lambda x: [x * 1e200, x * 1e200], 1e108)  # though their sum overflows


def test_a_result_that_is_returned_twice_counts_twice() -> None:
    def twice(x: Value) -> list[Value]:
        y = sqrt(x)
        return [y, y]

    found = diagnose(twice, 0.0).backward
    assert found is not None
    assert found.step.upstream == 2.0


def test_a_number_among_several_results_is_a_culprit_too() -> None:
    found = diagnose(lambda x: [x, autograd.log(0.0)], 1.0).forward
    assert found is not None
    assert str(found).startswith("forward   result[1] = -inf: log(0.0): operand must be > 0")
    with ieee():
        silent = diagnose(lambda: autograd.log(0.0)).forward
    assert silent is not None
    assert str(silent).startswith("forward   y = -inf\n")


def test_a_leaf_is_its_own_result() -> None:
    assert not diagnose(Value(1.0))
    found = diagnose(Value(NAN, "x"))
    assert lines(found)[0] == "forward x = nan: a leaf"
    assert lines(found)[-1] == "backward finite"


# --- errors ---------------------------------------------------------------------------------------


def test_a_changed_leaf_is_the_error_that_backward_raises() -> None:
    x = Value(2.0, "x")
    y = x * x
    x.data = 3.0
    for use in (y.backward, lambda: diagnose(y), lambda: diagnose(lambda: [y, x])):
        with pytest.raises(RuntimeError, match=r"the data of leaf 'x' changed .* after mul had"):
            use()


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: diagnose(1.0), TypeError, r"takes a Value or a function; got 1\.0 \(float\)"),  # type: ignore[arg-type]
    (lambda: diagnose([Value(1.0)]), TypeError, r"a Value or a function; got .* \(list\)"),  # type: ignore[arg-type]
    (lambda: diagnose(Value(1.0), 2.0), TypeError, r"arguments are for a function"),
    (lambda: diagnose(lambda: None), TypeError, r"must return Values or numbers; got None"),
    (lambda: diagnose(lambda: {"a": 1.0}), TypeError, r"must return .* \(dict\)"),
    (lambda: diagnose(list), ValueError, r"returned no number; got \[\]"),
    (lambda: diagnose(lambda x: x, 10**400), OverflowError, "beyond the largest double"),
]


@pytest.mark.parametrize(("call", "kind", "words"), BAD, ids=[b[2] for b in BAD])
def test_what_can_not_be_diagnosed_is_an_error_that_says_why(
    call: Callable[[], Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_a_list_in_itself_is_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="diagnose: xs is nested more than 30 lists deep"):
        diagnose(mean, endless)
    with pytest.raises(ValueError, match="diagnose: result is nested more than 30 lists deep"):
        diagnose(lambda: endless)
