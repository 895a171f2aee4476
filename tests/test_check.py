"""`check_gradients` tells right from wrong, and says what can't be told."""

from __future__ import annotations

import math
import struct
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import REGISTRY, Kink, Op, Value, define, dot, ops, relu, scope, sqrt, tanh
from autograd.testing import GradientWarning, Report, assert_gradients, check_gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def mistake(op: Op, factor: float, index: int = 0) -> Iterator[None]:
    """Multiply one local derivative of an operation by a factor for a while."""
    right = op.partials
    rules = list(right)
    rule = rules[index]
    rules[index] = lambda y, *xs: rule(y, *xs) * factor
    op.partials = tuple(rules)
    try:
        yield
    finally:
        op.partials = right


@contextmanager
def defined(name: str, *args: Any, **fields: Any) -> Iterator[Any]:
    """Define an operation for a while."""
    op = define(name, *args, **fields)
    try:
        yield op
    finally:
        del REGISTRY[name]
        delattr(Value, name)


def verdicts(report: Report) -> dict[str, str]:
    return {row.input: row.verdict for row in report.rows}


def single(x: float) -> float:
    """The nearest number of 32 bits."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


# --- verdicts -------------------------------------------------------------------------------------


def test_a_right_gradient_is_right_in_every_input_by_its_name():
    report = check_gradients(lambda x, w: tanh(x * w[0]) + w[1] ** 3, 0.5, [2.0, -1.5])
    assert report
    assert verdicts(report) == {"x": "right", "w[0]": "right", "w[1]": "right"}
    assert not report.wrong
    assert not report.unclear


@given(st.floats(-20.0, 20.0), st.sampled_from([1.0 + 1e-6, 1.0 - 1e-6, -1.0, 2.0, 0.0]))
def test_a_derivative_that_is_off_by_a_millionth_is_wrong(x, factor):
    report = check_gradients(math.exp, x, gradient=lambda x: factor * math.exp(x))
    assert verdicts(report) == {"x1": "wrong"} or verdicts(report) == {"x": "wrong"}
    assert not report


CAUSES: list[tuple[str, Callable[[float], float], float, float, str]] = [
    ("a factor 2", lambda x: x * x, 3.0, 12.0, "a factor 2 too many"),
    ("a half", lambda x: x * x, 3.0, 3.0, "missing accumulation"),
    ("a sign", math.cos, 1.0, math.sin(1.0), "the sign"),
    ("log10 for log", math.log10, 3.0, 1.0 / 3.0, "log for log10"),
    ("degrees", lambda x: math.sin(math.radians(x)), 30.0, math.cos(math.pi / 6.0), "180 / π"),
    ("nothing", lambda x: 2.0 * x, 0.5, 0.0, "no gradient comes through"),
    ("another branch", lambda x: x if x > 0.0 else 0.1 * x, 0.5, 0.1, "a branch"),
]


@pytest.mark.parametrize(("what", "f", "x", "wrong", "cause"), CAUSES, ids=[c[0] for c in CAUSES])
def test_a_known_kind_of_mistake_is_named(what, f, x, wrong, cause):
    (row,) = check_gradients(f, x, gradient=lambda _: wrong).rows
    assert row.verdict == "wrong", what
    assert cause in row.note
    assert "times the error bound" in row.note


def test_exchanged_operands_are_named():
    report = check_gradients(
        lambda x, y: x**2 * y, 3.0, 5.0, gradient=lambda x, y: (x**2, 2.0 * x * y)
    )
    assert [row.verdict for row in report.rows] == ["wrong", "wrong"]
    assert "that is the derivative in y: are the two exchanged?" in report.rows[0].note


@pytest.mark.parametrize(("slope", "ok"), [(0.0, True), (0.5, True), (1.0, True), (2.0, False)])
def test_at_a_kink_both_slopes_are_shown_and_whether_ours_lies_between(slope, ok):
    report = check_gradients(lambda x: max(x, 0.0), 0.0, gradient=lambda _: slope)
    (row,) = report.rows
    assert row.verdict == "kink"
    assert bool(report) is ok
    assert "0 on the left and 1 on the right" in row.note
    assert ("ours lies between" in row.note) is ok


TIES = [(0.5, 0.5, True), (1.0, 0.0, True), (0.3, 0.7, True), (1.0, 1.0, False), (0.0, 0.0, False)]


@pytest.mark.parametrize(("a", "b", "ok"), TIES)
def test_at_a_tie_the_derivatives_have_to_add_up_along_the_diagonal(a, b, ok):
    report = check_gradients(max, 2.0, 2.0, gradient=lambda _x, _y: (a, b))
    assert [row.verdict for row in report.rows] == ["kink", "kink"]
    assert bool(report) is ok
    assert ("along the diagonal" in str(report)) is not ok


def test_a_function_that_is_something_else_at_one_point_has_no_derivative_there():
    report = check_gradients(lambda x: 5.0 if x == 1.0 else x * x, 1.0, gradient=lambda _: 0.0)
    assert verdicts(report) == {"x": "infinite or undefined"}
    assert "is 5 here and tends to 1" in str(report)


def test_the_report_lists_the_kinks_that_the_evaluation_sat_on():
    report = check_gradients(lambda x: relu(x) - relu(-x), 0.0)  # which is x
    assert verdicts(report) == {"x": "wrong"}
    assert len(report.kinks) == 2
    assert "relu(0.0)" in str(report)


def test_a_function_that_is_rounded_inside_is_too_noisy_to_tell_and_no_failure():
    report = check_gradients(lambda x: float(np.float16(x)) ** 2, 1.0, gradient=lambda x: 2.0 * x)
    assert verdicts(report) == {"x": "too noisy to tell"}
    assert report
    assert report.unclear == report.rows
    assert "in float64" in report.rows[0].note


def test_a_wrong_derivative_of_a_noisy_function_is_still_wrong():
    report = check_gradients(
        lambda x: single(math.sin(single(x))), 1.0, gradient=lambda x: 1.001 * math.cos(x)
    )
    assert verdicts(report) == {"x": "wrong"}


def test_a_function_that_answers_differently_each_time_is_told_to_fix_its_seed():
    dice = iter(np.random.default_rng(0).random(10_000))
    report = check_gradients(lambda x: x + float(next(dice)), 1.0, gradient=lambda _: 1.0)
    assert verdicts(report) == {"x": "too noisy to tell"}
    assert "fix its seed" in report.rows[0].note


def test_at_the_edge_of_its_domain_a_function_is_judged_from_inside():
    def power(x: float) -> float:
        if x < 0.0:
            raise ValueError
        return x * math.sqrt(x)

    report = check_gradients(power, 0.0, gradient=lambda x: 1.5 * math.sqrt(x))
    assert report
    assert verdicts(report) == {"x": "edge of the domain"}
    assert not check_gradients(power, 0.0, gradient=lambda _: 0.1)


def test_an_infinite_derivative_has_to_be_missing_and_not_a_number():
    assert verdicts(check_gradients(sqrt, 0.0)) == {"a": "infinite or undefined"}
    assert check_gradients(sqrt, 0.0)
    report = check_gradients(math.sqrt, 0.0, gradient=lambda _: 0.0)
    assert [row.verdict for row in report.rows] == ["infinite or undefined"]
    assert not report


def test_a_missing_derivative_that_exists_is_a_failure():
    report = check_gradients(lambda x: sqrt(x * x * x * x), 0.0)  # x², whose slope at 0 is 0
    (row,) = report.rows
    assert (row.verdict, row.ours, row.ok) == ("infinite or undefined", None, False)
    assert "though the function has a derivative here" in row.note


def test_a_constant_function_with_a_zero_gradient_is_right():
    assert verdicts(check_gradients(lambda x: 0.0 * x + 3.0, 1.0)) == {"x": "right"}
    assert verdicts(check_gradients(lambda _: 3.0, 1.0)) == {"_": "right"}


def test_a_slope_that_is_lost_in_rounding_on_its_flatter_side_is_no_mistake():
    def f(x):
        return autograd.inversion(-0.0069021947894754455, autograd.gauss(x))

    report = check_gradients(f, 6.893784194500096)
    assert report, str(report)


# --- what can be checked --------------------------------------------------------------------------


def test_lists_of_results_and_second_derivatives_are_checked_by_name():
    report = check_gradients(lambda x: [x**2, autograd.sin(x)], 0.7)
    assert list(verdicts(report)) == ["∂f[0]/∂x", "∂f[1]/∂x"]
    report = check_gradients(lambda x, y: x**2 * y, 0.7, 0.3, order=2)
    assert report
    assert list(verdicts(report))[2:] == ["∂²/∂x∂x", "∂²/∂x∂y", "∂²/∂y∂x", "∂²/∂y∂y"]


def test_a_rule_that_loses_its_graph_is_wrong_in_the_second_order_only():
    def deaf(y: Any, a: Any) -> Any:
        return y * autograd.log(a.data if isinstance(a, Value) else a) / y * y * 0.0 + 2.0 * (
            a.data if isinstance(a, Value) else a
        )

    right = ops.square.partials
    ops.square.partials = (deaf,)
    try:
        assert check_gradients(ops.square, 3.0)
        report = check_gradients(ops.square, 3.0, order=2)
    finally:
        ops.square.partials = right
    assert not report
    assert report.wrong[0].input == "∂²/∂a∂a"


class Model:
    """The least that counts as a model."""

    def __init__(self) -> None:
        self.w = Value(0.3, "w")
        self.b = Value(-0.2, "b")

    def named_parameters(self) -> list[tuple[str, Value]]:
        return [("layer.w", self.w), ("layer.b", self.b)]

    def __call__(self, x: float) -> Value:
        return tanh(self.w * x + self.b)


def test_every_parameter_of_a_model_is_checked_and_left_as_it_was():
    model = Model()
    model.w.grad = 5.0
    report = check_gradients(lambda m: m(0.5) ** 2, model)
    assert verdicts(report) == {"layer.w": "right", "layer.b": "right"}
    assert (model.w.data, model.w.grad, model.b.data) == (0.3, 5.0, -0.2)


def test_a_leaf_goes_by_its_label_and_is_not_touched():
    w = Value(2.0, "weight")
    assert verdicts(check_gradients(lambda v: v * v, w)) == {"weight": "right"}
    assert (w.data, w.grad) == (2.0, 0.0)


def test_a_gradient_of_any_origin_may_be_an_array():
    def f(x: list[float]) -> Any:
        return np.sum(np.array(x) ** 2)

    assert check_gradients(f, [1.0, 2.0], gradient=lambda x: 2.0 * np.array(x))
    with pytest.raises(
        ValueError, match=r"gradient must return 2 numbers \(x\[0\], x\[1\]\); got 3"
    ):
        check_gradients(f, [1.0, 2.0], gradient=lambda _: [1.0, 2.0, 3.0])


def test_an_error_of_backward_counts_where_the_derivative_exists(monkeypatch):
    def f(a):
        return ops.maximum(sqrt(a * a) - 9.0, a)  # at 0 the root isn't taken, and is steep there

    assert check_gradients(f, 0.0)
    monkeypatch.setattr(ops.maximum, "routes", False)  # and so the branch not taken is asked
    assert not check_gradients(f, 0.0)


def test_a_leaf_that_is_no_input_may_have_no_derivative():
    assert check_gradients(lambda x: x ** Value(3.0), -2.0)


def test_at_a_corner_of_its_domain_a_kink_has_nothing_to_lie_between():
    report = check_gradients(autograd.clip, -1.0, -1.0, -1.0)
    assert verdicts(report) == {"a": "right", "b": "edge of the domain", "c": "edge of the domain"}
    assert report


# --- an operation by itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "op", [op for op in REGISTRY.values() if op.builtin], ids=lambda op: op.name
)
def test_every_operation_of_ours_passes_the_check_of_its_record(op):
    report = check_gradients(op)
    assert report, str(report)
    assert not report.unclear


def test_a_wrong_rule_is_refused_with_its_ratio_when_it_is_defined():
    with pytest.raises(ValueError, match=r"cube: ∂/∂operand 1 at .*0.666666667 times"):
        define("cube", lambda a: a * a * a, lambda y, a: 2.0 * a * a)  # noqa: ARG005


def test_a_kink_has_to_be_declared_and_as_the_rule_has_it():
    rule = (lambda y, a: autograd.sign(a),)  # noqa: ARG005
    with defined("magnitude", abs, rule) as op:
        report = check_gradients(op)
        assert [row.input for row in report.wrong] == ["∂/∂operand 1 on a kink that isn't declared"]
        assert "declare it" in report.wrong[0].note
    with defined("magnitude", abs, rule, kinks=[Kink("a = 0", lambda a: a == 0.0, (1.0,))]) as op:
        assert "1 is declared, the rule returns 0.0" in str(check_gradients(op))
    with defined("magnitude", abs, rule, kinks=[Kink("a = 0", lambda a: a == 0.0, (0.0,))]) as op:
        assert check_gradients(op)


def test_a_domain_that_is_too_wide_is_found():
    def root(a: float) -> float:
        return math.sqrt(a)

    with defined("root", root, lambda y, a: 0.5 / y) as op:  # noqa: ARG005
        report = check_gradients(op)
        assert [row.input for row in report.wrong] == ["domain of operand 1"]
        assert "though it lies in the domain" in report.wrong[0].note


# --- the failure ----------------------------------------------------------------------------------


def neuron(x: list[Any], w: list[Any]) -> Any:
    with scope("neuron"):
        return tanh(dot(x, w))


def test_a_failure_names_the_first_operation_that_is_wrong_by_itself():
    with mistake(ops.tanh, 1.0 + 1e-5):
        report = check_gradients(neuron, [0.5, 0.8], [0.1, 0.2])
    text = str(report)
    assert len(report.wrong) == 4
    assert "the first mistake is in y = tanh(v1) in scope neuron: at tanh(0.21" in text
    assert "1.00001 times the differences" in text
    assert text.endswith("again: check_gradients(neuron, [0.5, 0.8], [0.1, 0.2])")


def test_a_value_that_was_cut_off_the_graph_is_told_by_its_contributions():
    report = check_gradients(lambda a: a.data * a, 3.0)
    assert "each local derivative is right by itself" in report.culprit
    assert "a: 3 through y" in report.culprit


def test_assert_gradients_raises_the_report_and_is_silent_where_all_is_well():
    assert_gradients(tanh, 0.5)
    with mistake(ops.tanh, -1.0), pytest.raises(AssertionError, match=r"(?s)wrong.*the sign"):
        assert_gradients(tanh, 0.5)


def test_assert_gradients_warns_where_it_could_not_tell():
    with pytest.warns(GradientWarning, match="too noisy to tell"):
        assert_gradients(lambda x: float(np.float16(x)), 1.0, gradient=lambda _: 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_gradients(lambda x: x, 1.0)


def test_many_right_rows_are_counted_and_the_others_shown():
    report = check_gradients(lambda w: relu(w[0]) + autograd.sum(w), [0.0, *[1.0] * 30])
    assert "and 30 right" in str(report)
    assert "w[0]" in str(report)
    assert "w[30]" not in str(report)


# --- bad input ------------------------------------------------------------------------------------


def test_bad_input_says_what_came():
    with pytest.raises(TypeError, match=r"x must be a real number; got text, 'a'"):
        check_gradients(lambda x: x, "a")
    with pytest.raises(TypeError, match=r"x \(=Value\(.*\) was computed by add: pass a leaf"):
        check_gradients(lambda x: x, Value(1.0) + 1.0)
    with pytest.raises(ValueError, match=r"order \(=0\) must be a whole number from 1 on"):
        check_gradients(lambda x: x, 1.0, order=0)
    with pytest.raises(ValueError, match=r"order \(=2\) must be 1 with gradient"):
        check_gradients(lambda x: x, 1.0, order=2, gradient=lambda _: 1.0)
    with pytest.raises(TypeError, match="data must be a real number"):
        check_gradients(lambda _: "a", 1.0)
    with pytest.raises(ValueError, match=r"^log\(-1\.0\): operand must be > 0$"):
        check_gradients(autograd.log, -1.0)


# --- a second opinion -----------------------------------------------------------------------------


def test_where_differences_are_too_noisy_mpmath_is_asked():
    (row,) = check_gradients(lambda x: (x + 1e16) - 1e16, 3.0).rows
    assert (row.verdict, row.numeric) == ("right", 1.0)
    assert "mpmath gives 1" in row.note


def test_a_number_that_mpmath_does_not_confirm_stays_untold():
    (row,) = check_gradients(lambda x: autograd.tan(autograd.sinh(x)), 66.0).rows
    assert row.verdict == "too noisy to tell"
    assert "mpmath gives 3.34" in row.note
