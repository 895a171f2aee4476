"""The laws of losses: their formulas, stable at any size, their gradients, and what is refused."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import Value
from autograd.testing import assert_gradients
from nn.losses import (
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    half_mse,
    hinge,
    huber,
    loss,
    mae,
    max_margin,
    mse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

numbers = st.floats(-800.0, 800.0)
TINY = 1e-300  # below, doubles have fewer digits


def batches(outputs: Any, targets: Any) -> Any:
    """One to three examples, as (outputs, targets)."""
    examples = st.lists(st.tuples(outputs, targets), min_size=1, max_size=3)
    return examples.map(lambda pairs: tuple(map(list, zip(*pairs, strict=True))))


def lists(of: Any, size: int = 3) -> Any:
    """Lists of that size."""
    return st.lists(of, min_size=size, max_size=size)


def gradient(function: Callable[..., Value], outputs: list[Any], targets: Any) -> list[float]:
    """The derivative in each output, for lists of numbers."""
    leaves = [Value(y) for y in outputs]
    function(leaves, targets).backward()
    return [y.grad for y in leaves]


def slopes(function: Callable[..., Value], row: list[float], target: Any) -> list[float]:
    """The derivative in each number of a single output."""
    leaves = [Value(y) for y in row]
    function([leaves], [target]).backward()
    return [y.grad for y in leaves]


# --- formulas -------------------------------------------------------------------------------------

ELEMENTWISE: dict[str, tuple[Callable[..., Value], Callable[[float, float], float]]] = {
    "mse": (mse, lambda y, t: (y - t) ** 2),
    "half_mse": (half_mse, lambda y, t: (y - t) ** 2 / 2),
    "mae": (mae, lambda y, t: abs(y - t)),
    "huber": (huber, lambda y, t: (y - t) ** 2 / 2 if abs(y - t) <= 1 else abs(y - t) - 0.5),
    "huber, delta 50": (
        partial(huber, delta=50.0),
        lambda y, t: (y - t) ** 2 / 2 if abs(y - t) <= 50 else 50 * (abs(y - t) - 25),
    ),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(batch=batches(numbers, numbers))
def test_a_regression_loss_is_the_mean_of_its_formula(name: str, batch: Any) -> None:
    function, formula = ELEMENTWISE[name]
    expected = np.mean([formula(y, t) for y, t in zip(*batch, strict=True)])
    assert function(*batch).data == pytest.approx(expected, rel=1e-13, abs=TINY)


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(batch=batches(lists(numbers, 2), lists(numbers, 2)))
def test_for_lists_the_mean_is_over_all_numbers(name: str, batch: Any) -> None:
    function, _ = ELEMENTWISE[name]
    flat = [[x for row in rows for x in row] for rows in batch]
    assert function(*batch).data == function(*flat).data


def exact_binary(z: float, t: float) -> Any:
    """The textbook formula, with digits enough for 1 - p, which may be exp(-800)."""
    with mpmath.workdps(400):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        return -t * mpmath.log(p) - (1 - mpmath.mpf(t)) * mpmath.log(1 - p)


def exact_softmax(z: list[float], p: list[float]) -> Any:
    """The textbook formula, with digits enough for its sum."""
    with mpmath.workdps(50):
        total = mpmath.fsum([mpmath.exp(mpmath.mpf(x)) for x in z])
        shares = [mpmath.exp(mpmath.mpf(x)) / total for x in z]
        return -mpmath.fsum([x * mpmath.log(share) for x, share in zip(p, shares, strict=True)])


@given(batches(numbers, st.sampled_from([0, 1, 0.0, 1.0, True]) | st.floats(0.0, 1.0)))
def test_binary_cross_entropy_is_its_formula_to_the_last_digits(batch: Any) -> None:
    expected = sum(exact_binary(z, t) for z, t in zip(*batch, strict=True)) / len(batch[0])
    assert binary_cross_entropy(*batch).data == pytest.approx(float(expected), rel=1e-14, abs=TINY)


@given(batches(lists(numbers), st.integers(0, 2)))
def test_cross_entropy_is_its_formula(batch: Any) -> None:
    one_hot = [[float(i == t) for i in range(3)] for t in batch[1]]
    expected = np.mean([float(exact_softmax(*row)) for row in zip(batch[0], one_hot, strict=True)])
    for targets in (batch[1], one_hot, np.array(batch[1]), np.array(one_hot)):
        found = cross_entropy(batch[0], targets).data
        assert found == pytest.approx(expected, rel=1e-14, abs=2e-13)  # 800 has 1e-13 in its last


@given(lists(numbers), lists(st.floats(0.01, 1.0)))
def test_cross_entropy_takes_probabilities(z: list[float], weights: list[float]) -> None:
    p = [w / math.fsum(weights) for w in weights]
    expected = float(exact_softmax(z, p))
    assert cross_entropy([z], [p]).data == pytest.approx(expected, rel=1e-13, abs=4e-13)


@given(batches(numbers, st.sampled_from([-1, 1])))
def test_hinge_and_max_margin_of_a_score_are_the_missing_margin(batch: Any) -> None:
    expected = np.mean([max(0.0, 1.0 - t * s) for s, t in zip(*batch, strict=True)])
    for function in (hinge, max_margin):
        assert function(*batch).data == pytest.approx(expected, rel=1e-14)


@given(batches(lists(numbers, 4), st.integers(0, 3)))
def test_of_classes_hinge_adds_up_what_is_missing_and_max_margin_takes_the_worst(
    batch: Any,
) -> None:
    missing = [
        [max(0.0, 1.0 + s - row[t]) for i, s in enumerate(row) if i != t]
        for row, t in zip(*batch, strict=True)
    ]
    expected = np.mean([sum(row) for row in missing])
    assert hinge(*batch).data == pytest.approx(expected, rel=1e-13, abs=1e-13)
    worst = np.mean([max(row) for row in missing])
    assert max_margin(*batch).data == pytest.approx(worst, rel=1e-13, abs=1e-13)


# --- by hand --------------------------------------------------------------------------------------

LOG2 = math.log(2.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: mse([1.1], [1.0]), 0.01),
        (lambda: half_mse([1.1], [1.0]), 0.005),  # the documents' first example
        (lambda: half_mse([0.581735142037886], [1.0]), 0.0874727457030337),  # and their second
        (lambda: mse([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]), 14.0 / 4.0),
        (lambda: mae([1.0, -2.0], [0.0, 1.0]), 2.0),
        (lambda: huber([0.5, 3.0], [0.0, 0.0]), (0.125 + 2.5) / 2.0),
        (lambda: huber([1e200], [0.0]), 1e200),
        (lambda: binary_cross_entropy([0.0, 0.0], [0, 1]), LOG2),
        (lambda: binary_cross_entropy([0.0], [0.3]), LOG2),
        (lambda: binary_cross_entropy([800.0, -800.0], [0, 1]), 800.0),
        (lambda: binary_cross_entropy([700.0, -700.0], [1, 0]), math.exp(-700.0)),
        (lambda: binary_cross_entropy([[0.0, 800.0]], [[1, 1]]), LOG2 / 2.0),
        (lambda: cross_entropy([[5.0, 5.0, 5.0]], [2]), math.log(3.0)),
        (lambda: cross_entropy([[800.0, -800.0]], [1]), 1600.0),
        (lambda: cross_entropy([[800.0, -800.0]], [0]), 0.0),
        (lambda: cross_entropy([[800.0, -800.0]], [[0.0, 1.0]]), 1600.0),
        (lambda: hinge([0.5, -2.0, 3.0], [1, 1, 1]), (0.5 + 3.0) / 3.0),
        (lambda: hinge([[3.2, 5.1, -1.7]], [0]), 2.9),  # the cat of the Stanford course CS231n,
        (lambda: hinge([[2.2, 2.5, -3.1]], [2]), 12.9),  # and its frog
        (lambda: max_margin([[2.2, 2.5, -3.1]], [2]), 6.6),
    ],
)
def test_values_that_can_be_worked_out_by_hand(value: Any, expected: float) -> None:
    assert value().data == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: gradient(mse, [1.5, 0.0], [1.0, 1.0]), [0.5, -1.0]),
        (lambda: gradient(half_mse, [1.5, 0.0], [1.0, 1.0]), [0.25, -0.5]),
        (lambda: gradient(mae, [1.5, 0.0, 1.0], [1.0, 1.0, 1.0]), [1 / 3, -1 / 3, 0.0]),
        (lambda: gradient(huber, [0.25, 1.0, -9.0, 1e200], [0.0] * 4), [0.0625, 0.25, -0.25, 0.25]),
        (lambda: gradient(binary_cross_entropy, [0.0, 0.0], [0, 1]), [0.25, -0.25]),
        (lambda: gradient(binary_cross_entropy, [800.0, -800.0], [0, 1]), [0.5, -0.5]),
        (lambda: gradient(binary_cross_entropy, [800.0, -800.0], [1, 0]), [0.0, 0.0]),
        (lambda: gradient(binary_cross_entropy, [0.0], [0.3]), [0.2]),
        (lambda: slopes(cross_entropy, [0.0, 0.0], 1), [0.5, -0.5]),
        (lambda: slopes(cross_entropy, [800.0, -800.0], 1), [1.0, -1.0]),
        (lambda: slopes(cross_entropy, [0.0, 0.0], [0.25, 0.75]), [0.25, -0.25]),
        (lambda: gradient(hinge, [0.5, 1.0, -9.0], [1, 1, -1]), [-1 / 3, 0.0, 0.0]),
        (lambda: slopes(hinge, [3.2, 5.1, 2.7], 0), [-2.0, 1.0, 1.0]),
        (lambda: slopes(max_margin, [3.2, 5.1, 2.7], 0), [-1.0, 1.0, 0.0]),
    ],
)
def test_gradients_that_can_be_worked_out_by_hand(found: Any, expected: list[float]) -> None:
    assert found() == pytest.approx(expected, rel=1e-14, abs=1e-300)


# --- gradients ------------------------------------------------------------------------------------

moderate = st.floats(-5.0, 5.0).map(lambda x: round(x, 2))  # apart, or equal
SMOOTH: dict[str, tuple[Callable[..., Value], Any]] = {
    "mse": (mse, batches(moderate, moderate)),
    "half_mse": (half_mse, batches(lists(moderate, 2), lists(moderate, 2))),
    "huber": (huber, batches(moderate, moderate)),
    "binary_cross_entropy": (binary_cross_entropy, batches(moderate, st.sampled_from([0, 0.3, 1]))),
    "cross_entropy": (cross_entropy, batches(lists(moderate), st.integers(0, 2))),
    "cross_entropy of shares": (
        cross_entropy,
        batches(lists(moderate), st.permutations([0.0, 0.25, 0.75])),
    ),
    # Off the kinks: no difference is 0 or ±1.
    "mae": (mae, batches(moderate.map(lambda x: round(x) + 0.25), st.integers(-3, 3))),
    "hinge": (hinge, batches(moderate.map(lambda x: round(x) + 0.25), st.sampled_from([-1, 1]))),
    "hinge of classes": (hinge, batches(st.permutations([0.0, 0.3, 0.7, 2.2]), st.integers(0, 3))),
    "max_margin": (max_margin, batches(st.permutations([0.0, 0.3, 0.7, 2.2]), st.integers(0, 3))),
}


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=20)  # each is many derivatives
@given(data=st.data())
def test_gradients_are_those_of_differences(name: str, data: Any) -> None:
    function, drawn = SMOOTH[name]
    outputs, targets = data.draw(drawn)
    assert_gradients(lambda ys: function(ys, targets), [*outputs])


def test_the_gradient_reaches_a_target_that_is_a_value() -> None:
    y, t = Value(2.0), Value(0.5)
    mse([y], [t]).backward()
    assert (y.grad, t.grad) == (3.0, -3.0)


# --- what comes in --------------------------------------------------------------------------------

GOOD: dict[str, tuple[Any, Any]] = {
    "mse": ([1.0, 2.0], [0.0, 1.0]),
    "half_mse": ([1.0, 2.0], [0.0, 1.0]),
    "mae": ([1.0, 2.0], [0.0, 1.0]),
    "huber": ([1.0, 2.0], [0.0, 1.0]),
    "binary_cross_entropy": ([1.0, 2.0], [0.0, 1.0]),
    "cross_entropy": ([[1.0, 2.0], [0.0, 1.0]], [0, 1]),
    "hinge": ([1.0, 2.0], [-1.0, 1.0]),
    "max_margin": ([1.0, 2.0], [-1.0, 1.0]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_numbers_values_tuples_and_arrays_give_the_same_value(name: str) -> None:
    outputs, targets = GOOD[name]
    expected = LOSSES[name](outputs, targets)
    assert type(expected) is Value
    values = [[Value(x) for x in y] if isinstance(y, list) else Value(y) for y in outputs]
    for ys in (values, tuple(values), np.array(outputs), np.array(values)):
        for ts in (targets, tuple(targets), np.array(targets), np.array(targets, np.float32)):
            found = LOSSES[name](ys, ts)
            assert type(found) is Value
            assert found.data == expected.data


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_no_batch_is_refused(name: str) -> None:
    function, (outputs, targets) = LOSSES[name], GOOD[name]
    with pytest.raises(ValueError, match=f"^{name}: 2 outputs for 1 targets; each example needs"):
        function(outputs, targets[:1])
    with pytest.raises(ValueError, match=f"^{name}: the batch has no examples"):
        function([], [])
    for wrong in (Value(1.0), 1.0, np.array(1.0)):
        with pytest.raises(TypeError, match=rf"^{name}: outputs must be a list .*\[model\(x\)\]"):
            function(wrong, targets)
    with pytest.raises(TypeError, match=f"^{name}: targets must be a list .* got 1.0"):
        function(outputs, 1.0)


WRONG: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: mse([1.0, 2.0], np.ones((2, 1))),
        ValueError,
        r"^mse: outputs\[0\] is one number and targets\[0\] is a list of 1; .*y\.ravel\(\)",
    ),
    (
        lambda: mae([[1.0, 2.0]], [[1.0]]),
        ValueError,
        r"^mae: outputs\[0\] is a list of 2 and targets\[0\] is a list of 1",
    ),
    (lambda: huber([1.0], [0.0], 0.0), ValueError, r"^huber: delta must be > 0; got 0\.0"),
    (lambda: huber([1.0], [0.0], math.nan), ValueError, "^huber: delta must be > 0; got nan"),
    (
        lambda: binary_cross_entropy([1.0, 1.0], [1, -1]),
        ValueError,
        r"must lie between 0 and 1; got -1\. Labels -1 and 1 become 0 and 1 by \(y \+ 1\) / 2",
    ),
    (lambda: binary_cross_entropy([1.0], [math.nan]), ValueError, "between 0 and 1; got nan"),
    (lambda: binary_cross_entropy([1.0], ["1"]), TypeError, "must be a plain number; got '1'"),
    (lambda: binary_cross_entropy([1.0], [Value(1)]), TypeError, "a plain number; got Value"),
    (
        lambda: cross_entropy([[1.0, 2.0], [1.0, 2.0]], [0, 2]),
        ValueError,
        r"^cross_entropy: targets\[1\] is 2; with 2 outputs a class is a whole number from 0 to 1",
    ),
    (lambda: cross_entropy([[1.0, 2.0]], [-1]), ValueError, r"targets\[0\] is -1; with 2 outputs"),
    (lambda: cross_entropy([[1.0, 2.0]], [0.5]), ValueError, r"targets\[0\] is 0\.5; with 2 out"),
    (lambda: cross_entropy([[1.0, 2.0]], [math.nan]), ValueError, r"targets\[0\] is nan"),
    (lambda: cross_entropy([[1.0, 2.0]], ["a"]), TypeError, "must be a plain number; got 'a'"),
    (
        lambda: cross_entropy([[1.0, 2.0]], [[0.5, 0.6]]),
        ValueError,
        r"targets\[0\] must be a class or 2 probabilities that add up to 1; got \[0\.5, 0\.6\]",
    ),
    (lambda: cross_entropy([[1.0, 2.0]], [[1.0]]), ValueError, "a class or 2 probabilities"),
    (lambda: cross_entropy([[1.0, 2.0]], [[-1.0, 2.0]]), ValueError, "between 0 and 1; got -1"),
    (
        lambda: cross_entropy([1.0], [0]),
        ValueError,
        r"outputs\[0\] must be a list .* two or more classes; got one number.*binary_cross",
    ),
    (lambda: cross_entropy([[1.0]], [0]), ValueError, "two or more classes; got a list of 1"),
    (
        lambda: hinge([1.0, 1.0], [1, 0]),
        ValueError,
        r"^hinge: labels are -1 and 1; targets\[1\] is 0\. .* become -1 and 1 by 2 \* y - 1",
    ),
    (lambda: max_margin([1.0], [2]), ValueError, r"^max_margin: labels are -1 and 1; .* is 2"),
    (lambda: hinge([[1.0, 2.0]], [2]), ValueError, r"^hinge: targets\[0\] is 2; with 2 outputs"),
    (lambda: hinge([[1.0]], [0]), ValueError, r"^hinge: .* there is a number instead of a list"),
]


@pytest.mark.parametrize(("call", "kind", "words"), WRONG)
def test_what_does_not_fit_is_refused(call: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_losses_are_found_by_name() -> None:
    assert [loss(name) for name in LOSSES] == list(LOSSES.values())
    assert [function.__name__ for function in LOSSES.values()] == list(LOSSES)
    own = lambda outputs, targets: mse(outputs, targets) + 1.0  # noqa: E731  (as a user writes it)
    assert loss(own) is own
    with pytest.raises(ValueError, match="no loss is called 'cross_entropi'; did you mean 'cross_"):
        loss("cross_entropi")
    with pytest.raises(TypeError, match="loss must be a name, such as 'mse', or a function of"):
        loss(None)  # type: ignore[arg-type]
