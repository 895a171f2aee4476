"""A compiled run is the interpreted one to rounding, whatever somebody does around its steps."""

from __future__ import annotations

import gc
import re
import sys
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd import Value, gradients
from nn import compilable, losses, progress
from nn.compilable import NotCompiledError
from nn.metrics import accuracy
from nn.optim import OPTIMIZERS
from nn.rowwise import accuracy_of_row, loss_of_row

if TYPE_CHECKING:
    from collections.abc import Callable

X = [[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [-1.0, 0.25], [0.5, 0.5], [-2.0, -1.0], [1.5, 1.5]]
Y = [1.0, -1.0, 0.5, 0.25, 0.0, 2.0, -0.5]
CLASSES = [0, 1, 2, 2, 1, 0, 1]
SIGNS = [1, -1, -1, 1, 1, -1, 1]
ANSWERS = [1, 0, 0, 1, 1, 0, 1]


def small(nout: int = 1, activation: Any = "tanh", seed: int = 0) -> nn.MLP:
    return nn.MLP(2, [3, nout], activation, seed=seed)


def state_of(model: Any, optimizer: Any = None) -> list[float]:
    parameters = model.parameters()
    numbers = [p.data for p in parameters] + [p.grad for p in parameters]
    for name in ("steps", *optimizer.averages) if optimizer else ():
        numbers += getattr(optimizer, name)
    return numbers


def close(numbers: Any) -> Any:
    return pytest.approx(numbers, rel=1e-9, abs=1e-12)


def run(
    make: Callable[[], Any], X: Any, y: Any, *, compiled: bool, **options: Any
) -> tuple[Any, nn.History]:
    """The model and the history; an optimizer or callbacks that are functions get the model."""
    model = make()
    for name, value in options.items():
        if isinstance(value, _Of):
            options[name] = value.make(model)
    return model, nn.fit(model, X, y, compiled=compiled, **options)


class _Of:
    """Something that is made for each of the two models."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make


def assert_same(make: Callable[[], Any], X: Any, y: Any, **options: Any) -> nn.History:
    """Train twice, assert that nothing tells one from the other, and return a history."""
    native, history = run(make, X, y, compiled=True, **options)
    plain, expected = run(make, X, y, compiled=False, **options)
    assert (history.compiled, expected.compiled) == (True, False)
    assert state_of(native) == close(state_of(plain))
    for name in ("loss", "validation_loss", "lr"):
        assert getattr(history, name) == close(getattr(expected, name)), name
    for name in ("metrics", "validation_metrics"):
        found, wanted = getattr(history, name), getattr(expected, name)
        assert found.keys() == wanted.keys()
        for metric, row in wanted.items():
            assert found[metric] == close(row), metric
    assert (history.stopped, history.diagnosis) == (expected.stopped, expected.diagnosis)
    return history


# --- the same run ---------------------------------------------------------------------------------

RUNS: list[tuple[str, int, Any, dict[str, Any]]] = [
    ("mse", 1, Y, {"optimizer": "sgd", "batch_size": 3}),
    ("mse", 2, [[y, -y] for y in Y], {"optimizer": "adam", "lr": 0.05, "l2": 0.01}),
    ("half_mse", 1, Y, {"optimizer": "rmsprop", "lr": 0.01, "clip": 0.1}),
    ("mae", 1, Y, {"optimizer": "adamw", "lr": 0.05, "batch_size": 2, "seed": 4}),
    ("huber", 1, Y, {"optimizer": "adam", "lr": 0.1, "schedule": nn.schedules.cosine(6)}),
    ("binary_cross_entropy", 1, ANSWERS, {"validation": 0.3, "batch_size": 1}),
    ("binary_cross_entropy", 1, [y / 2 for y in ANSWERS], {"optimizer": "rmsprop"}),
    ("cross_entropy", 3, CLASSES, {"validation": 0.3, "optimizer": "adam", "batch_size": 4}),
    ("cross_entropy", 2, [[y / 4, 1 - y / 4] for y in CLASSES], {"l2": 0.1, "clip": 0.05}),
    ("hinge", 1, SIGNS, {"optimizer": "adamw", "validation": (X[:3], SIGNS[:3])}),
    ("hinge", 3, CLASSES, {"batch_size": 5}),
    ("max_margin", 1, SIGNS, {"l2": 1e-3, "schedule": lambda epoch: 1 / (1 + epoch)}),
    ("max_margin", 3, CLASSES, {"optimizer": "rmsprop", "lr": 0.02}),
]


@pytest.mark.parametrize(
    ("loss", "nout", "targets", "options"),
    RUNS,
    ids=[f"{r[0]}-{r[1]}-{i}" for i, r in enumerate(RUNS)],
)
def test_a_compiled_run_is_the_interpreted_one_to_rounding(
    loss: str, nout: int, targets: Any, options: dict[str, Any]
) -> None:
    assert_same(lambda: small(nout), X, targets, loss=loss, epochs=6, **options)


def test_images_go_through_convolutions_and_scalars_through_anything() -> None:
    images = [[[x, y, x * y], [y, x + y, 1.0], [0.5, x, y]] for x, y in X]

    def convolution() -> nn.Sequential:
        body = (nn.Conv2d(1, 2, 2, activation="relu", seed=1), nn.MaxPool2d(2), nn.Flatten())
        return nn.Sequential(*body, nn.Layer(2, 3, "linear", seed=2))

    assert_same(convolution, images, CLASSES, loss="cross_entropy", epochs=3, batch_size=3)
    assert_same(lambda: nn.MLP(1, [2, 1], "gelu"), [x for x, _ in X], Y, epochs=3)


def test_parameters_that_are_shared_or_standardised_or_not_in_use_are_as_ever() -> None:
    def tied() -> nn.Sequential:
        layer = nn.Layer(2, 2, "sigmoid", seed=3)
        model = nn.Sequential(nn.Standardize(2).fit(X), layer, nn.Activation("silu"), layer)
        model.unused = Value(2.0)  # type: ignore[attr-defined]  # as anybody may
        return model

    assert len(tied().parameters()) == 7
    targets = [[y, y * y] for y in Y]
    assert_same(tied, X, targets, optimizer="adam", epochs=4, l2=0.01, batch_size=3)


def test_dropout_and_normalisation_in_evaluation_are_functions_of_a_row() -> None:
    def resting() -> nn.Sequential:
        model = nn.Sequential(nn.BatchNorm(2), nn.Dropout(0.5), nn.Layer(2, 1, "linear"))
        model[0].training = model[1].training = False
        return model

    assert_same(resting, X, Y, epochs=3)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_a_frozen_layer_stays_and_one_that_was_frozen_counts_its_own_steps(kind: Any) -> None:
    def frozen_first() -> nn.MLP:
        model = small()
        model.layers[0].freeze()
        return model

    assert_same(frozen_first, X, Y, optimizer=kind, epochs=3, l2=0.1, clip=0.5)
    states = []
    for compiled in (True, False):
        model = frozen_first()
        optimizer = kind(model, lr=0.01)
        for thaw in (False, True, True):
            if thaw:
                model.unfreeze()
            history = nn.fit(model, X, Y, optimizer=optimizer, epochs=2, compiled=compiled)
            assert history.compiled == compiled
        assert len(set(optimizer.steps)) == 2
        states.append(state_of(model, optimizer))
    assert states[0] == close(states[1])


def test_a_list_of_parameters_is_moved_though_it_is_frozen_but_not_penalised() -> None:
    def frozen_first() -> nn.MLP:
        model = small()
        model.layers[0].freeze()
        return model

    optimizer = _Of(lambda model: nn.SGD(model.parameters(), lr=0.1, momentum=0.5))
    assert_same(frozen_first, X, Y, optimizer=optimizer, epochs=3, l2=0.1, clip=0.2)


@given(st.integers(1, 9), st.integers(1, 10), st.integers(0, 3))
@settings(max_examples=10)
def test_batches_of_any_size_are_the_same_batches(count: int, size: int, seed: int) -> None:
    rows = [[i / 7, 1 - i / 5] for i in range(count)]
    options: dict[str, Any] = {"batch_size": size, "seed": seed, "epochs": 2}
    assert_same(lambda: nn.Neuron(2, "tanh"), rows, [i / 9 for i in range(count)], **options)


# --- a row's formulas -----------------------------------------------------------------------------

FEW = settings(max_examples=25)
SCORES = st.integers(-3, 3) | st.floats(-30, 30)  # whole ones: ties, and kinks
CLASSIFIED = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.tuples(st.lists(SCORES, min_size=n, max_size=n), st.integers(0, n - 1)),
        min_size=1,
        max_size=6,
    )
)


def assert_rows_average_to_the_loss(loss: Any, outputs: Any, targets: Any) -> None:
    values = [[Value(z) for z in row] if isinstance(row, list) else Value(row) for row in outputs]
    leaves = [z for row in values for z in (row if isinstance(row, list) else [row])]
    expected = loss(values, targets)
    table, of_row = loss_of_row(loss, targets, values[0])
    terms = [of_row(y, t.tolist()) for y, t in zip(values, table, strict=True)]
    found = autograd.mean(terms)
    assert found.data == pytest.approx(expected.data, rel=1e-13, abs=1e-300)
    slopes = [g.data for g in gradients(found, leaves)]
    assert slopes == pytest.approx([g.data for g in gradients(expected, leaves)], rel=1e-13)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.hinge, losses.max_margin])
@FEW
@given(rows=CLASSIFIED)
def test_the_loss_of_classes_is_the_mean_of_the_losses_of_rows(loss: Any, rows: Any) -> None:
    assert_rows_average_to_the_loss(loss, *map(list, zip(*rows, strict=True)))


@FEW
@given(rows=st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=6))
def test_the_loss_of_yes_and_no_is_the_mean_of_the_losses_of_rows(rows: Any) -> None:
    scores, answers = map(list, zip(*rows, strict=True))
    signs = [2 * int(answer) - 1 for answer in answers]
    assert_rows_average_to_the_loss(losses.hinge, scores, signs)
    assert_rows_average_to_the_loss(losses.max_margin, scores, signs)
    assert_rows_average_to_the_loss(losses.binary_cross_entropy, scores, answers)
    doubts = [0.25 + 0.5 * answer for answer in answers]
    assert_rows_average_to_the_loss(losses.binary_cross_entropy, scores, doubts)
    pairs = [[answer, 1 - answer] for answer in answers]
    assert_rows_average_to_the_loss(losses.binary_cross_entropy, [[z, -z] for z in scores], pairs)


@pytest.mark.parametrize("name", ["mse", "half_mse", "mae", "huber"])
@FEW
@given(rows=st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=6))
def test_the_loss_of_numbers_is_the_mean_of_the_losses_of_rows(name: str, rows: Any) -> None:
    outputs, targets = map(list, zip(*rows, strict=True))
    assert_rows_average_to_the_loss(losses.LOSSES[name], outputs, targets)
    pairs = [[t, 1.0] for t in targets]
    assert_rows_average_to_the_loss(losses.LOSSES[name], [[z, z] for z in outputs], pairs)


HITS: dict[int, Any] = {}


def hits_of(outputs: Any, targets: Any, output: Any) -> Any:
    """The compiled mean of the rows' accuracy; one program for each width."""
    table, of_row = accuracy_of_row(targets, output)  # type: ignore[misc]  # not None here
    is_list = isinstance(output, list)
    width = len(output) if is_list else 0
    if width not in HITS:
        HITS[width] = autograd.compile(
            lambda z, t: of_row(z if is_list else z[0], t), rows=(0, 1), reduce="mean"
        )
    return HITS[width](np.array(outputs, dtype=float).reshape(len(outputs), -1), table)


@FEW
@given(rows=CLASSIFIED)
def test_the_accuracy_of_classes_is_the_mean_of_the_rows_ties_included(rows: Any) -> None:
    outputs, targets = map(list, zip(*rows, strict=True))
    output = [Value(z) for z in outputs[0]]
    found = hits_of(outputs, targets, output)
    assert found == pytest.approx(accuracy(outputs, targets))
    shares = [[0.25 + 0.5 * (i == t) for i in range(len(output))] for t in targets]
    assert hits_of(outputs, shares, output) == pytest.approx(accuracy(outputs, shares))


@FEW
@given(rows=st.lists(st.tuples(SCORES, st.sampled_from([-1, 0, 1])), min_size=1, max_size=6))
def test_the_accuracy_of_yes_and_no_is_the_mean_of_the_rows(rows: Any) -> None:
    outputs, targets = map(list, zip(*rows, strict=True))
    assert hits_of(outputs, targets, Value(0.0)) == pytest.approx(accuracy(outputs, targets))


STEPPED = [
    nn.SGD([Value(0.0)], lr=0.1),
    nn.SGD([Value(0.0)], lr=0.1, momentum=0.9, dampening=0.4, weight_decay=0.1),
    nn.SGD([Value(0.0)], lr=0.1, momentum=0.9, nesterov=True),
    nn.RMSprop([Value(0.0)], momentum=0.5, weight_decay=0.1),
    nn.Adam([Value(0.0)], weight_decay=0.1),
    nn.Adam([Value(0.0)], bias_correction=False),
    nn.AdamW([Value(0.0)]),
]


@pytest.mark.parametrize("optimizer", STEPPED, ids=repr)
@FEW
@given(data=st.data())
def test_an_optimizers_formula_is_its_step(optimizer: Any, data: Any) -> None:
    number = st.floats(0.01, 10)
    w, gradient, lr = (data.draw(number) for _ in range(3))
    remembered = [data.draw(number) for _ in optimizer.averages]
    steps = data.draw(st.integers(0, 50))
    p = Value(w)
    twin = type(optimizer)([p], lr=1.0, **{k: getattr(optimizer, k) for k in optimizer.options})
    twin.lr, twin.steps[0], p.grad = lr, steps, gradient
    for name, x in zip(optimizer.averages, remembered, strict=True):
        getattr(twin, name)[0] = x
    before = repr(optimizer), optimizer.state_dict()
    formula = optimizer.formula()
    found = formula([w, *remembered], gradient, lr, steps + 1)
    values = formula([Value(w), *map(Value, remembered)], Value(gradient), Value(lr), steps + 1)
    twin.step()
    expected = [p.data, *[getattr(twin, name)[0] for name in optimizer.averages]]
    assert found == expected
    assert [x.data for x in values] == expected
    assert (repr(optimizer), optimizer.state_dict()) == before


# --- somebody looks -------------------------------------------------------------------------------


def test_callbacks_see_parameters_gradients_and_the_optimizers_memory_of_their_epoch() -> None:
    seen: dict[bool, list[list[float]]] = {}
    for compiled in (True, False):
        model = small()
        optimizer = nn.Adam(model, lr=0.1)
        rows = seen[compiled] = []

        def look(_: Any, rows: Any = rows, model: Any = model, opt: Any = optimizer) -> None:
            rows.append(state_of(model, opt))

        options: dict[str, Any] = {"optimizer": optimizer, "epochs": 4, "batch_size": 2}
        nn.fit(model, X, Y, callbacks=[look], compiled=compiled, l2=0.1, clip=0.3, **options)
    assert [len(rows) for rows in seen.values()] == [4, 4]
    for found, expected in zip(seen[True], seen[False], strict=True):
        assert found == close(expected)


def _set_a_parameter(model: Any, _optimizer: Any) -> None:
    model.layers[0].neurons[0].w[0].data = 3.0


def _change_an_activation(model: Any, _optimizer: Any) -> None:
    model.layers[0].neurons[1].activation = autograd.relu


def _replace(model: Any, _optimizer: Any) -> None:
    # It isn't trained, then, as the optimiser doesn't know of it.
    model.layers[1].neurons[0].b = Value(5.0)


def _freeze(model: Any, _optimizer: Any) -> None:
    model.layers[0].freeze()


def _change_momentum(_model: Any, optimizer: Any) -> None:
    optimizer.momentum = 0.0


def _forget(_model: Any, optimizer: Any) -> None:
    optimizer.velocity[:] = [0.0] * len(optimizer.velocity)


@pytest.mark.parametrize(
    "change",
    [_set_a_parameter, _change_an_activation, _freeze, _change_momentum, _forget, _replace],
)
def test_what_a_callback_changes_holds_from_the_next_step_on(
    change: Callable[[Any, Any], None],
) -> None:
    states: list[list[float]] = []
    for compiled in (True, False, False):
        model = small()
        optimizer = nn.SGD(model, lr=0.1, momentum=0.9)

        def call(history: Any, model: Any = model, optimizer: Any = optimizer) -> None:
            if history.epochs == 2 and len(states) < 2:
                change(model, optimizer)

        history = nn.fit(
            model, X, Y, optimizer=optimizer, epochs=5, callbacks=[call], compiled=compiled
        )
        assert history.compiled == compiled
        states.append([*[p.data for p in model.parameters()], *optimizer.velocity])
    assert states[0] == close(states[1])
    assert states[0] != close(states[2])


def test_a_run_that_is_changed_after_each_epoch_is_not_compiled_each_time() -> None:
    states = []
    for compiled in (None, False):
        model = small()
        optimizer = nn.SGD(model, lr=0.1, momentum=0.9)

        def anneal(_: Any, optimizer: Any = optimizer) -> None:
            optimizer.momentum *= 0.9

        options: dict[str, Any] = {"callbacks": [anneal], "until": lambda h: h.epochs == 7}
        history = nn.fit(
            model, X, Y, optimizer=optimizer, epochs=50_000, compiled=compiled, **options
        )
        states.append(state_of(model, optimizer))
        if compiled is None:
            assert (history.epochs, history.compiled) == (7, False)
            assert "so short" in history.not_compiled
    assert states[0] == close(states[1])


def test_a_callback_that_makes_compiling_impossible_is_an_error_only_if_it_was_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compilable, "WORTHWHILE", 0.0)
    for wanted in (None, True):
        dropout = nn.Dropout(0.5)
        dropout.training = False
        model = nn.Sequential(dropout, nn.Layer(2, 1, "linear"))

        def wake(history: Any, dropout: Any = dropout) -> None:
            assert history.compiled == (history.epochs <= 1)
            dropout.training = True

        if wanted:
            with pytest.raises(NotCompiledError, match=r"compiled=True: Dropout\(0\.5\) draws"):
                nn.fit(model, X, Y, epochs=3, callbacks=[wake], compiled=wanted)
        else:
            history = nn.fit(model, X, Y, epochs=3, callbacks=[wake])
            assert (history.epochs, history.compiled) == (3, False)
            assert history.not_compiled == "Dropout(0.5) draws new random numbers at each step"


def test_metrics_of_python_get_the_outputs_of_the_step_as_values() -> None:
    def spread(outputs: Any, targets: Any) -> float:
        assert len(outputs) == len(targets)
        assert all(type(z) is Value for row in outputs for z in row)
        return float(max(z.data for z in outputs[0]) - targets[0])

    def weights(model: Any) -> Any:
        def size(*_: Any) -> float:
            return float(sum(p.data**2 + p.grad**2 for p in model.parameters()))

        return [spread, size]

    options: dict[str, Any] = {"metrics": _Of(weights), "validation": 0.3, "batch_size": 2}
    history = assert_same(lambda: small(3), X, CLASSES, loss="cross_entropy", epochs=3, **options)
    assert list(history.metrics) == ["accuracy", "spread", "size"]


def test_until_is_asked_after_each_epoch() -> None:
    model = small()
    history = nn.fit(model, X, Y, until=0.9, epochs=500, compiled=True)
    assert history.stopped == "until"
    assert history.loss[-1] < 0.9 <= min(history.loss[:-1])
    assert_same(small, X, Y, epochs=9, until=lambda history: history.epochs == 4)


def test_an_optimizer_goes_on_in_the_next_run() -> None:
    states = []
    for pair in ((True, True), (False, True), (False, False)):
        model = small()
        optimizer = nn.Adam(model, lr=0.05)
        for compiled in pair:
            nn.fit(model, X, Y, optimizer=optimizer, epochs=3, compiled=compiled)
        assert optimizer.steps == [6] * len(optimizer.parameters)
        states.append(state_of(model, optimizer))
    assert states[0] == close(states[2])
    assert states[1] == close(states[2])


def test_an_optimizer_of_ones_own_takes_its_steps_in_python() -> None:
    calls = []

    class Sign(nn.Optimizer):
        averages = ("last",)

        def update(self, i: int, w: float, gradient: float) -> float:
            calls.append(i)
            assert type(gradient) is float
            self.last[i] = gradient  # type: ignore[attr-defined]  # made by Optimizer
            return w - self.lr * (1.0 if gradient > 0.0 else -1.0)

    optimizer = _Of(lambda model: Sign(model, lr=0.01))
    assert_same(small, X, Y, optimizer=optimizer, epochs=3, batch_size=4)
    assert len(calls) == 2 * 3 * 2 * len(small().parameters())


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["callback", "metric", "step"])
def test_an_interrupt_leaves_the_parameters_of_the_last_step(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    calls = 0

    def interrupt(*_: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return 0.0

    options: dict[str, Any] = {"optimizer": "adam", "lr": 0.05, "epochs": 9}
    if place == "step":
        monkeypatch.setattr(progress.Progress, "step", interrupt)
    else:
        options |= {"callbacks": interrupt} if place == "callback" else {"metrics": [interrupt]}
    states = []
    for compiled in (True, False):
        calls = 0
        model, history = run(small, X, Y, compiled=compiled, **options)
        assert (history.stopped, history.compiled) == ("interrupted", compiled)
        assert history.epochs == (4 if place == "callback" else 3)
        states.append(state_of(model))
    assert states[0] == close(states[1])


def test_an_interrupt_while_parameters_are_written_back_leaves_none_of_them_behind() -> None:
    class Interrupting(list[float]):
        has_interrupted = False

        def __setitem__(self, place: Any, number: Any) -> None:
            if not self.has_interrupted:
                self.has_interrupted = True
                raise KeyboardInterrupt
            super().__setitem__(place, number)

    def trained(*, compiled: bool, epochs: int) -> tuple[str, list[float]]:
        model = small()
        optimizer = nn.Adam(model, lr=0.05)
        if compiled:
            optimizer.means = Interrupting(optimizer.means)
        options: dict[str, Any] = {"epochs": epochs, "callbacks": [lambda _: None]}
        history = nn.fit(model, X, Y, optimizer=optimizer, compiled=compiled, **options)
        return history.stopped, state_of(model, optimizer)

    stopped, state = trained(compiled=True, epochs=5)
    assert stopped == "interrupted"
    assert state == close(trained(compiled=False, epochs=1)[1])


def steep() -> nn.MLP:
    model = nn.MLP(2, [2, 1], autograd.sqrt)
    for p in model.layers[0].parameters():
        p.data = 0.0  # there √ is 0, and infinitely steep
    return model


@pytest.mark.parametrize(
    ("make", "targets", "options"),
    [
        (small, [1e200, *Y[1:]], {"batch_size": 1}),  # its square overflows
        (steep, Y, {}),
        (small, Y, {"lr": 1e308, "l2": 10.0}),
        (lambda: nn.MLP(2, [2, 1], autograd.exp), Y, {"lr": 1e3, "optimizer": "adam"}),
        (small, Y, {"validation": (X[:2], [1e200, 0.0])}),
    ],
    ids=["loss", "gradient", "step", "later", "validation"],
)
def test_what_is_not_finite_ends_the_run_with_the_same_diagnosis_and_parameters(
    make: Any, targets: Any, options: dict[str, Any]
) -> None:
    states = []
    for compiled in (True, False):
        model, history = run(make, X, targets, compiled=compiled, epochs=4, **options)
        assert history.stopped == "nan"
        text = re.sub(r"-?\d+\.\d+", lambda x: f"{float(x[0]):.6g}", str(history.diagnosis))
        states.append((history.epochs, text, [p.data for p in model.parameters()]))
    assert states[0][:2] == states[1][:2]
    assert states[0][2] == close(states[1][2])


def test_gradients_whose_squares_overflow_are_not_taken_for_infinite_ones() -> None:
    targets = [1e153 * y for y in Y]
    assert_same(lambda: nn.Neuron(2, "linear"), X, targets, epochs=2, lr=1e-3)
    assert_same(lambda: nn.Neuron(2, "linear"), X, targets, epochs=2, lr=1e-3, clip=1.0)


# --- whether --------------------------------------------------------------------------------------


def tenfold(outputs: Any, targets: Any) -> Value:
    return 10.0 * losses.mse(outputs, targets)


class Own(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Layer(2, 1, "linear")

    def forward(self, x: Any) -> Any:
        return autograd.tanh(self.layer(x)) + 1.0


def test_nothing_is_said_of_a_run_that_is_as_it_was_asked_for() -> None:
    history = nn.fit(small(), X, Y, epochs=1, compiled=False)
    assert (history.compiled, history.not_compiled) == (False, "")


def test_a_long_run_of_our_own_parts_is_compiled_and_a_short_one_is_not() -> None:
    short = nn.fit(small(), X, Y, epochs=2)
    assert (short.compiled, short.epochs) == (False, 2)
    assert short.not_compiled == "the run is so short that compiling it would take as long"
    long = nn.fit(small(), X, Y, epochs=50_000, until=lambda history: history.epochs == 2)
    assert (long.compiled, long.not_compiled) == (True, "")
    assert long.loss == close(short.loss)


def test_code_of_somebody_elses_is_run_at_each_step_unless_compiling_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compilable, "WORTHWHILE", 0.0)
    reasons: list[tuple[Any, dict[str, Any], str]] = [
        (small(), {"loss": tenfold}, "the loss is a function of your own"),
        (Own(), {}, "Own is a class of your own"),
        (
            small(activation=lambda z: z / 2),
            {},
            "Neuron(2, '<lambda>') has a function of your own in it",
        ),
    ]
    for model, options, reason in reasons:
        history = nn.fit(model, X, Y, epochs=1, **options)
        assert (history.compiled, history.not_compiled) == (False, reason)
        assert nn.fit(model, X, Y, epochs=1, compiled=True, **options).compiled
    a, b = Value(0.5), Value(1.0)
    history = nn.fit(lambda x: a * x[0] + b, X, Y, epochs=1, parameters=[a, b])
    assert history.not_compiled == "the model is a function of your own"


def _plane(a: Value, b: Value) -> Callable[[Any], Any]:
    return lambda x: a * x[0] + b * x[1]


def test_functions_of_ones_own_are_compiled_where_that_is_asked_for() -> None:
    def quantile(outputs: Any, targets: Any) -> Any:
        errors = [t - z for z, t in zip(outputs, targets, strict=True)]
        return sum(autograd.maximum(0.9 * e, -0.1 * e) for e in errors) / len(errors)

    assert_same(Own, X, Y, loss=quantile, epochs=4, batch_size=2, validation=0.3)
    states = []
    for compiled in (True, False):
        a, b = Value(0.5), Value(1.0)
        history = nn.fit(_plane(a, b), X, Y, parameters=[b, a], compiled=compiled)
        states.append([*history.loss, a.data, b.data, a.grad, b.grad])
    assert states[0] == close(states[1])


def test_a_model_that_does_otherwise_in_evaluation_is_validated_so() -> None:
    class Scaled(Own):
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            return 0.5 * y if self.training else y

    def first(outputs: Any, _targets: Any) -> float:
        return float(outputs[0].data)

    assert_same(Scaled, X, Y, epochs=2, validation=(X, Y), metrics=[first])


def watched(model: Any) -> Any:
    model.forward = model.forward
    return model


def summed(outputs: Any, targets: Any) -> Any:
    return sum((z - t) ** 2 for z, t in zip(outputs, targets, strict=True))


def impossible(rng: Random) -> list[tuple[Any, Any, dict[str, Any], str]]:
    resting = nn.Sequential(nn.BatchNorm(2), nn.Layer(2, 1, "linear"))
    sequence = nn.Sequential(nn.Flatten(), nn.Layer(2, 1, "linear"))
    branching = small(activation=lambda z: z if z > 0.0 else 0.1 * z)
    deciding = small(activation=lambda z: z if z > -99.0 else 0.0 * z)
    frozen = small(activation=lambda z: z * z.data)
    noisy = small(activation=lambda z: z + rng.gauss(0.0, 1.0))
    return [
        (nn.Sequential(nn.Dropout(0.5), small()), X, {}, r"Dropout\(0\.5\) draws new random"),
        (resting, X, {}, r"BatchNorm\(2\) mixes the rows of a batch"),
        (watched(small()), X, {}, r"MLP\(2, \[3, 1\]\) is watched"),
        (small(), [[Value(1.0), 2.0], *X[1:]], {}, "the rows hold Values, or differ in length"),
        (sequence, [[[1.0], [2.0]], *[[[1.0]]] * 6], {}, "hold Values, or differ in length"),
        (small(), X, {"loss": summed}, "only a loss that is such a mean can be compiled"),
        (branching, X, {}, r"the rows disagree: .* choose by autograd\.where"),
        (deciding, X, {}, r"it decides by .* autograd\.where\(condition, a, b\) is compiled"),
        (frozen, X, {}, r"\.data was read while this function is compiled"),
        (noisy, X, {}, "of a model without chance or memory"),
        (small().freeze(), X, {}, "all parameters are frozen: there is no step to take"),
        (small(), X, {"loss": "hinge"}, "y doesn't suit the loss and the model"),
    ]


@pytest.mark.parametrize("case", range(12))
def test_what_can_not_be_compiled_says_why_and_changes_nothing(case: int) -> None:
    model, inputs, options, words = impossible(Random(0))[case]  # noqa: S311  (no cryptography)
    before = state_of(model)
    with pytest.raises(NotCompiledError, match="compiled=True: .*" + words):
        nn.fit(model, inputs, Y, compiled=True, **options)
    assert state_of(model) == before


@pytest.mark.parametrize("package", ["numpy", "llvmlite"])
def test_without_the_extra_a_run_is_interpreted(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(compilable, "WORTHWHILE", 0.0)
    monkeypatch.setattr(
        compilable, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    history = nn.fit(small(), X, Y, epochs=1)
    assert not history.compiled
    assert history.not_compiled.startswith(f"{package} isn't installed: pip install")
    with pytest.raises(NotCompiledError, match=f"compiled=True: {package} isn't installed"):
        nn.fit(small(), X, Y, epochs=1, compiled=True)


def test_compiled_is_a_yes_a_no_or_nothing() -> None:
    with pytest.raises(TypeError, match="compiled must be True, False or None; got 'yes'"):
        nn.fit(small(), X, Y, compiled="yes")  # type: ignore[arg-type]  # on purpose


# --- cost -----------------------------------------------------------------------------------------


def calls_of(function: Any) -> int:
    count = 0

    def tally(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    gc.disable()  # its callbacks, such as Hypothesis', would count, too
    sys.setprofile(tally)
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize("width", [3, 30])
def test_a_step_calls_a_few_functions_however_large_batch_and_network_are(width: int) -> None:
    rows, classes = X * width, CLASSES * width

    def fitted(epochs: int) -> None:
        model = nn.MLP(2, [width, 3], "tanh")
        options: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam"}
        options |= {"batch_size": 2 * width, "epochs": epochs, "compiled": True}
        nn.fit(model, rows, classes, **options)

    fitted(1)  # compiles; the programs are kept for the other runs
    steps = 4 * 4

    def shuffle() -> None:
        for _ in range(4):
            Random(0).shuffle(list(range(len(rows))))  # noqa: S311  (no cryptography)

    calls = calls_of(lambda: fitted(6)) - calls_of(lambda: fitted(2)) - calls_of(shuffle)
    assert calls < 40 * steps


@pytest.mark.slow
def test_digits_are_read_in_steps_that_nobody_waits_for() -> None:
    data = pytest.importorskip("sklearn.datasets")
    images, digits = data.load_digits(return_X_y=True)
    model = nn.MLP(64, [32, 10], "tanh", init="xavier")
    options: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam", "lr": 0.02}
    options |= {"schedule": nn.schedules.cosine(5), "batch_size": 16, "validation": 1 / 3}
    history = nn.fit(model, images / 16.0, digits, epochs=5, **options)
    assert history.compiled
    assert history.accuracy[-1] >= 0.97
    assert history.validation_accuracy[-1] >= 0.95
    assert sum(history.seconds[1:]) < 1.0  # it is 0.02 s; interpreted steps take 5 s and more
