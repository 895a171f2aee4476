"""`fit` is the plain loop: the same numbers, and beyond it what people need around a loop."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from math import isfinite
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Value
from nn import MLP, SGD, Adam, BatchNorm, Dropout, Layer, Sequential, accuracy, fit, mse, split
from nn import progress as progress_module
from nn.losses import cross_entropy, hinge

ROOT = Path(__file__).resolve().parent.parent
X = [[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [-1.0, 0.25], [0.5, 0.5], [-2.0, -1.0], [1.5, 1.5]]
Y = [1.0, -1.0, 0.5, 0.25, 0.0, 2.0, -0.5]
LABELS = [0, 1, 2, 2, 1, 0, 1]


def small(nout: int = 1, seed: int = 0) -> MLP:
    return MLP(2, [3, nout], "tanh", seed=seed)


def numbers(model: Any) -> list[float]:
    return [p.data for p in model.parameters()]


def never(*_: Any) -> Any:
    pytest.fail("the model was called")


# --- the same loop --------------------------------------------------------------------------------


def test_fit_is_the_five_line_loop_to_the_last_bit() -> None:
    model, losses = small(), []
    optimizer = SGD(model, lr=0.05)
    for _ in range(20):
        loss = mse([model(x) for x in X], Y)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.data)
    fitted = small()
    history = fit(fitted, X, Y, lr=0.05, epochs=20)
    assert history.loss == losses
    assert numbers(fitted) == numbers(model)
    assert (history.epochs, history.stopped, history.diagnosis) == (20, "epochs", None)


def test_mini_batches_are_the_loop_over_shuffled_batches() -> None:
    model, order, rng = small(), list(range(7)), Random(3)  # noqa: S311  (no cryptography)
    optimizer = Adam(model, lr=0.05)
    losses = []
    for _ in range(4):
        rng.shuffle(order)
        total = 0.0
        for batch in (order[:2], order[2:4], order[4:]):
            loss = mse([model(X[i]) for i in batch], [Y[i] for i in batch])
            model.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.data * len(batch)
        losses.append(total / 7)
    fitted = small()
    history = fit(fitted, X, Y, optimizer="adam", lr=0.05, epochs=4, batch_size=3, seed=3)
    assert numbers(fitted) == numbers(model)
    assert history.loss == pytest.approx(losses, rel=1e-14)


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 5))
@settings(max_examples=30)
def test_each_epoch_goes_once_through_all_examples_in_even_batches(
    count: int, size: int, seed: int
) -> None:
    seen: list[list[int]] = []
    w = Value(0.5)

    def spy(outputs: Any, targets: Any) -> Value:
        seen.append(list(targets))
        return mse(outputs, targets)

    rows = [i / 20 for i in range(count)]
    options: dict[str, Any] = {"loss": spy, "parameters": [w], "batch_size": size, "seed": seed}
    fit(lambda x: w * x, rows, list(range(count)), lr=0.001, epochs=2, **options)
    half = len(seen) // 2
    for epoch in (seen[:half], seen[half:]):
        assert sorted(i for batch in epoch for i in batch) == list(range(count))
        sizes = {len(batch) for batch in epoch}
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1


def test_the_same_seed_gives_the_same_run_and_leaves_global_chance_alone() -> None:
    import random  # noqa: PLC0415  (the module, for its global state)

    before = random.getstate()
    runs = []
    for seed in (1, 1, 2):
        model = small()
        fit(model, X, Y, epochs=3, batch_size=1, seed=seed, validation=0.3)
        runs.append(numbers(model))
    assert runs[0] == runs[1] != runs[2]
    assert random.getstate() == before


def test_lists_arrays_and_frames_train_alike() -> None:
    frame = pd.DataFrame(X, columns=["a", "b"])
    runs = []
    for inputs, targets in (
        (X, Y),
        (tuple(map(tuple, X)), tuple(Y)),
        (np.array(X), np.array(Y)),
        (np.array(X), np.array(Y).reshape(-1, 1)),
        (frame, pd.Series(Y, index=range(7, 0, -1))),
        (frame, pd.DataFrame({"y": Y})),
        ([np.array(x) for x in X], [np.float64(y) for y in Y]),
    ):
        model = small()
        runs.append((fit(model, inputs, targets, epochs=2).loss, numbers(model)))
    assert all(run == runs[0] for run in runs)


def test_a_plain_function_with_its_parameters_and_a_loss_of_ones_own() -> None:
    a, b = Value(0.0), Value(0.0)

    def cubic(outputs: Any, targets: Any) -> Value:
        total = Value(0.0)
        for z, t in zip(outputs, targets, strict=True):
            total = total + abs(z - t) ** 3
        return total

    history = fit(
        lambda x: a * x + b,
        [0.0, 1.0, 2.0],
        [1.0, 3.0, 5.0],
        loss=cubic,
        parameters=[a, b],
        lr=0.02,
        epochs=800,
    )
    assert history.loss[-1] < 1e-3
    assert [a.data, b.data] == pytest.approx([2.0, 1.0], abs=0.1)
    again = fit(lambda x: a * x + b, [1.0], [3.0], optimizer=SGD([a, b], lr=0.1), epochs=1)
    assert again.epochs == 1


def test_any_callable_with_parameters_is_a_model() -> None:
    class Line:
        def __init__(self) -> None:
            self.w = Value(0.0)

        def parameters(self) -> list[Value]:
            return [self.w]

        def __call__(self, x: Any) -> Any:
            return self.w * x

    line = Line()
    fit(line, [1.0, 2.0], [2.0, 4.0], until=1e-6)
    assert line.w.data == pytest.approx(2.0, abs=1e-2)


# --- what a run has beyond the loop ---------------------------------------------------------------


def test_until_ends_the_run_below_a_loss_or_where_a_function_says_so() -> None:
    history = fit(small(), X, Y, until=0.9, epochs=500)
    assert history.stopped == "until"
    assert history.loss[-1] < 0.9 <= min(history.loss[:-1])
    history = fit(small(), X, Y, until=lambda h: h.epochs == 3)
    assert (history.epochs, history.stopped) == (3, "until")
    assert fit(small(), X, Y, epochs=2, until=0.0).stopped == "epochs"


def test_callbacks_are_called_after_each_epoch_and_only_true_ends_the_run() -> None:
    seen: list[int] = []
    history = fit(
        small(),
        X,
        Y,
        callbacks=[lambda h: seen.append(h.epochs), lambda _: 1, lambda h: h.epochs == 3],
    )
    assert seen == [1, 2, 3]
    assert history.stopped == "callback"


def test_a_history_has_one_entry_per_epoch() -> None:
    model = small(3)
    history = fit(model, X, LABELS, loss="cross_entropy", validation=0.3, epochs=5)
    rows = (
        history.loss,
        history.validation_loss,
        history.accuracy,
        history.validation_accuracy,
        history.lr,
        history.seconds,
    )
    assert [len(row) for row in rows] == [5] * 6
    assert "5 epochs in" in str(history)
    assert f"accuracy: {history.accuracy[-1]:.1%}" in str(history)
    assert fit(model, X, LABELS, epochs=0, loss="cross_entropy").latest() == {}


def test_validation_is_what_split_sets_apart_judged_after_the_epoch() -> None:
    model, twin = small(3), small(3)
    history = fit(model, X, LABELS, loss="cross_entropy", validation=0.3, epochs=3, seed=5)
    train_x, train_y, held_x, held_y = split(X, LABELS, 0.3, seed=5)
    pair = fit(twin, train_x, train_y, loss="cross_entropy", validation=(held_x, held_y), epochs=3)
    assert len(held_x) == 2
    assert sorted(train_x + held_x) == sorted(X)
    assert (history.loss, history.validation_loss) == (pair.loss, pair.validation_loss)
    outputs = model.batch(held_x)
    assert history.validation_loss[-1] == cross_entropy(outputs, held_y).data
    assert history.validation_accuracy[-1] == accuracy(outputs, held_y)


def test_training_is_in_training_mode_validation_in_evaluation_and_all_is_put_back() -> None:
    modes = []

    class Spy(Layer):
        def forward(self, *inputs: Any, **options: Any) -> Any:
            modes.append((self.training, dropout.training))
            return super().forward(*inputs, **options)

    dropout = Dropout(0.5)
    model = Sequential(Spy(2, 1, "linear"), dropout)
    dropout.training = False  # by itself: that is kept
    fit(model, X[:1], Y[:1], validation=(X[1:2], Y[1:2]), epochs=1)
    assert modes == [(True, False), (False, False)]
    assert (model.training, dropout.training) == (True, False)
    model.eval()
    modes.clear()
    fit(model, X[:1], Y[:1], epochs=1)
    assert modes == [(True, True)]
    assert (model.training, dropout.training) == (False, False)


def test_a_schedule_is_a_factor_of_lr_and_lr_is_put_back() -> None:
    model = small()
    optimizer = SGD(model, lr=0.5)
    history = fit(
        model, X, Y, optimizer=optimizer, epochs=3, schedule=lambda epoch: 1 / (1 + epoch)
    )
    assert history.lr == [0.5, 0.25, 0.5 / 3]
    assert optimizer.lr == 0.5


def test_clip_bounds_the_norm_of_the_step() -> None:
    model = small()
    before = numbers(model)
    fit(model, X, [1000.0 * y for y in Y], lr=1.0, clip=0.5, epochs=1)
    moved = [a - b for a, b in zip(numbers(model), before, strict=True)]
    assert np.linalg.norm(moved) == pytest.approx(0.5)


def test_l2_adds_its_sum_of_squares_to_the_loss() -> None:
    plain, penalised = small(), small()
    squares = sum(p.data**2 for p in plain.parameters())
    first = fit(plain, X, Y, epochs=1, lr=0.1)
    second = fit(penalised, X, Y, epochs=1, lr=0.1, l2=0.01)
    assert second.loss[0] == pytest.approx(first.loss[0] + 0.01 * squares)
    start = numbers(small())
    for w, a, b in zip(start, numbers(plain), numbers(penalised), strict=True):
        assert b == pytest.approx(a - 0.1 * 0.02 * w)


def test_frozen_parameters_stay_and_are_not_penalised() -> None:
    model = small()
    model.layers[0].freeze()
    frozen = numbers(model.layers[0])
    free = sum(p.data**2 for p in model.trainable_parameters())
    plain = fit(small(), X, Y, epochs=1).loss[0]
    history = fit(model, X, Y, epochs=3, l2=0.5)
    assert numbers(model.layers[0]) == frozen
    assert history.loss[0] == pytest.approx(plain + 0.5 * free)


# --- accuracy and other figures -------------------------------------------------------------------


def test_figures_come_from_the_outputs_at_hand() -> None:
    calls = 0
    model = small(3)

    def counted(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return model(x)

    def spread(outputs: Any, _targets: Any) -> float:
        return float(max(z.data for z in outputs[0]))

    history = fit(
        counted,
        X,
        LABELS,
        loss="cross_entropy",
        parameters=model.parameters(),
        metrics=[spread],
        epochs=4,
    )
    assert calls == 4 * len(X)
    assert list(history.metrics) == ["accuracy", "spread"]
    twin = small(3)
    assert history.accuracy[0] == accuracy([twin(x) for x in X], LABELS)
    assert history.metrics["spread"][0] == spread([twin(X[0])], None)


@pytest.mark.parametrize(
    ("outputs", "targets", "share"),
    [
        ([[0.1, 0.9], [0.8, 0.2], [0.3, 0.4]], [1, 1, 1], 2 / 3),
        ([[0.1, 0.9], [0.8, 0.2]], [[0.0, 1.0], [1.0, 0.0]], 1.0),
        ([[Value(1.0), Value(2.0)]], [0], 0.0),
        ([-0.1, 0.1, Value(3.0), Value(-3.0)], [0, 1, 0, 0], 0.75),
        ([-0.1, 0.1, 3.0, -3.0], [-1, 1, -1, 1], 0.5),
        ([0.0], [0], 1.0),
    ],
)
def test_accuracy_is_the_share_of_right_classes(outputs: Any, targets: Any, share: float) -> None:
    assert accuracy(outputs, targets) == share


def test_regressions_have_no_accuracy() -> None:
    assert fit(small(), X, Y, epochs=1).accuracy == []
    many = fit(small(2), X, [[0, 1]] * 7, loss="binary_cross_entropy", epochs=1)
    assert many.accuracy == []
    assert fit(small(), X, [0, 1] * 3 + [1], loss="binary_cross_entropy", epochs=1).accuracy


# --- what ends a run early ------------------------------------------------------------------------


def test_an_interrupt_keeps_the_model_and_the_history() -> None:
    model = small()
    calls = 0

    def interrupted(outputs: Any, targets: Any) -> Value:
        nonlocal calls
        calls += 1
        if calls == 4:
            signal.raise_signal(signal.SIGINT)
        return mse(outputs, targets)

    history = fit(model, X, Y, loss=interrupted, epochs=100)
    assert (history.stopped, history.epochs) == ("interrupted", 3)
    twin = small()
    assert fit(twin, X, Y, epochs=3).loss == history.loss
    assert numbers(twin) == numbers(model)


def diverging(function: Any, epochs: int) -> Any:
    """Return a loss that is mse for some epochs, and mse plus function(output) then."""
    calls = 0

    def loss(outputs: Any, targets: Any) -> Value:
        nonlocal calls
        calls += 1
        value = mse(outputs, targets)
        return value + function(outputs[0]) if calls > epochs else value

    return loss


NOT_FINITE = {
    "nan": (lambda z: z * float("inf") - z * float("inf"), "nan"),
    "overflow": (lambda z: autograd.exp(1000.0 + 0.0 * z), "exp"),
    "domain": (lambda z: autograd.log(0.0 * z - 1.0), "log"),
    "division": (lambda z: 1.0 / (0.0 * z), "div"),
    "gradient": (lambda z: autograd.sqrt(0.0 * z), "backward"),
}


@pytest.mark.parametrize("kind", NOT_FINITE)
def test_a_number_that_is_not_finite_ends_the_run_with_its_origin(kind: str) -> None:
    function, words = NOT_FINITE[kind]
    model, twin = small(), small()
    history = fit(model, X, Y, loss=diverging(function, 3), epochs=100)
    assert (history.stopped, history.epochs) == ("nan", 3)
    assert words in str(history.diagnosis)
    assert str(history.diagnosis) in str(history)
    # Back to the parameters of the last loss and gradient that were finite.
    assert fit(twin, X, Y, epochs=2).loss == history.loss[:2]
    assert numbers(model) == numbers(twin)


def test_a_step_that_explodes_is_found_in_the_last_epoch_too() -> None:
    model = small()
    before = numbers(model)
    history = fit(model, X, Y, lr=1e308, epochs=1, l2=10.0)
    assert history.stopped == "nan"
    assert "the optimiser's step took the parameter layer1.neuron1.w1 to" in str(history.diagnosis)
    assert numbers(model) == before


def test_exploding_training_leaves_a_finite_model() -> None:
    model = small()
    history = fit(model, X, Y, lr=1e6, epochs=400)
    assert history.stopped == "nan"
    assert all(map(isfinite, numbers(model)))
    assert all(map(isfinite, history.loss))


def test_running_statistics_are_put_back_with_the_parameters() -> None:
    norm = BatchNorm(2)
    model = Sequential(norm, Layer(2, 1, "linear"))
    loss = diverging(NOT_FINITE["overflow"][0], 1)
    fit(model, X, Y, loss=loss, epochs=5)
    twin = BatchNorm(2)
    twin.batch(X)
    assert (norm.mean, norm.variance) == (twin.mean, twin.variance)


def test_an_error_of_somebody_else_passes_through() -> None:
    def broken(_outputs: Any, _targets: Any) -> Value:
        message = "my own mistake"
        raise ValueError(message)

    with pytest.raises(ValueError, match="my own mistake"):
        fit(small(), X, Y, loss=broken)
    with pytest.raises(ValueError, match="got 3 inputs; expected 2"):
        fit(small(), [[1.0, 2.0, 3.0]], [1.0])
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        fit(small(), X, Y, metrics=[lambda *_: 1 / 0])


# --- arguments ------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"epochs": -1}, "epochs must be a whole number, at least 0; got -1"),
    ({"epochs": 1.5}, "epochs must be a whole number, at least 0; got 1.5"),
    ({"batch_size": 0}, "batch_size must be a whole number, at least 1; got 0"),
    ({"until": "soon"}, "until must be a number or a function of the history; got 'soon'"),
    ({"l2": -0.1}, r"l2 must be >= 0; got -0\.1"),
    ({"clip": 0.0}, "limit must be > 0"),
    ({"loss": "msee"}, "did you mean 'mse'"),
    ({"optimizer": "adamm"}, "adamm"),
    ({"callbacks": [3]}, "callbacks must be a list of functions; got 3 in it"),
    ({"metrics": ["accuracy"]}, "metrics must be a list of functions; got 'accuracy' in it"),
    ({"validation": 1.0}, r"validation part is 1\.0 of 7 examples: that leaves none on one side"),
    ({"validation": "0.2"}, r"part must be a fraction, such as 0\.2, or"),
    ({"validation": (X, Y, X)}, "must be a pair .* got 3 parts"),
    ({"validation": (X, Y[:2])}, "validation X has 7 rows and validation y has 2"),
    ({"lr": -1.0}, "lr must be > 0"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=[b[1][:25] for b in BAD])
def test_wrong_arguments_are_errors_before_anything_changes(
    options: dict[str, Any], words: str
) -> None:
    model = small()
    before = numbers(model)
    with pytest.raises((TypeError, ValueError), match=words):
        fit(model, X, Y, **options)
    assert numbers(model) == before


def test_an_optimizer_must_belong_to_the_model_and_keeps_its_own_lr() -> None:
    model = small()
    with pytest.raises(ValueError, match="moves none of the model's parameters"):
        fit(model, X, Y, optimizer=SGD(small(), lr=0.1))
    with pytest.raises(ValueError, match="this one has its own"):
        fit(model, X, Y, optimizer=SGD(model, lr=0.1), lr=0.2)
    with pytest.raises(TypeError, match=r"has no parameters\(\): say which to train"):
        fit(lambda x: x, X, Y)


def test_the_loss_must_be_made_of_values() -> None:
    with pytest.raises(TypeError, match=r"the loss must return a Value, .* got 0\.5 \(float\)"):
        fit(small(), X, Y, loss=lambda *_: 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nout", "loss", "labels", "words"),
    [
        (3, "cross_entropy", [*LABELS[:-1], 3], r"y doesn't suit .* targets\[6\] is 3; with 3"),
        (1, "binary_cross_entropy", [0, 1, 0, 1, 0, 1, -1], r"y doesn't suit .* got -1"),
        (1, "hinge", [-1, 1, -1, 1, -1, 1, 0], r"y doesn't suit .* targets\[6\] is 0"),
        (
            2,
            "mse",
            [[1.0, 2.0, 3.0]] * 7,
            r"y doesn't suit .* a list of 2 and targets\[0\] is a list",
        ),
    ],
)
def test_a_label_out_of_range_is_found_before_the_first_step(
    nout: int, loss: str, labels: Any, words: str
) -> None:
    model = small(nout)
    before = numbers(model)
    with pytest.raises(ValueError, match=words):
        fit(model, X, labels, loss=loss, batch_size=1)
    assert numbers(model) == before
    held = (X, labels)
    good = {"cross_entropy": 2, "hinge": 1, "mse": [0.0, 0.0], "binary_cross_entropy": 1}[loss]
    with pytest.raises(ValueError, match="validation " + words):
        fit(model, X, [good] * 7, loss=loss, validation=held)
    assert numbers(model) == before


# --- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, *, stdout: bool = True) -> Terminal:
    # In the test itself: between a fixture and its test pytest puts its own streams back.
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", Terminal() if stdout else io.StringIO())
    return stream


@pytest.mark.parametrize("tqdm", [True, False])
def test_what_lasts_shows_epoch_loss_and_time_left_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, *, tqdm: bool
) -> None:
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(progress_module, "PATIENCE", 0.05)
    terminal = on_terminal(monkeypatch)
    history = fit(small(), X, Y, epochs=300, validation=0.3)
    shown = terminal.getvalue()
    assert re.search(r"epoch [1-9]\d*/300", shown)
    assert shown.count("\r") < history.epochs
    assert "validation loss" in shown
    assert ("<" if tqdm else " s left") in shown  # tqdm: [elapsed<left, speed]
    assert shown.endswith("\n")


def test_what_is_quick_shows_nothing_and_what_is_piped_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    fit(small(), X, Y, epochs=3)
    assert terminal.getvalue() == ""
    monkeypatch.setattr(progress_module, "PATIENCE", 0.0)
    fit(small(), X, Y, epochs=3)
    assert terminal.getvalue() != ""
    terminal = on_terminal(monkeypatch, stdout=False)
    fit(small(), X, Y, epochs=3)
    assert terminal.getvalue() == ""


def test_nothing_is_shown_into_a_pipe_unless_it_is_asked_for() -> None:
    program = """
import sys
from nn import fit, progress
from autograd import Value
progress.PATIENCE = 0.0
w = Value(0.0)
fit(lambda x: w * x, [1.0], [1.0], parameters=[w], epochs=3, progress=eval(sys.argv[1]))
"""
    for show, expected in (("None", False), ("True", True), ("False", False)):
        command = [sys.executable, "-c", program, show]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == ""
        assert ("epoch" in done.stderr) == expected


def test_a_notebook_shows_it_as_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(progress_module, "PATIENCE", 0.0)
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    fit(small(), X, Y, epochs=3)
    assert "epoch 3/3" in stdout.getvalue()
    shell.kernel = None  # IPython in a terminal, whose output goes elsewhere
    stdout.seek(stdout.truncate(0))
    fit(small(), X, Y, epochs=3)
    assert stdout.getvalue() == ""


# --- cost -----------------------------------------------------------------------------------------


def calls_of(function: Any) -> int:
    """How many Python and C functions are called: a measure of time without the machine's noise."""
    count = 0

    def tally(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(tally)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_an_epoch_of_fit_costs_at_most_5_percent_more_than_one_of_the_loop() -> None:
    rng = Random(0)  # noqa: S311  (no cryptography)
    rows = [[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(15)]
    labels = [1 if x * y > 0 else -1 for x, y in rows]

    def loop(epochs: int) -> None:
        model = MLP(2, [16, 16, 1])
        optimizer = SGD(model, lr=0.1)
        for _ in range(epochs):
            for x, y in zip(rows, labels, strict=True):
                loss = hinge([model(x)], [y])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def fitted(epochs: int) -> None:
        model = MLP(2, [16, 16, 1])
        fit(model, rows, labels, loss="hinge", lr=0.1, epochs=epochs, batch_size=1)

    ours, plain = (calls_of(lambda f=f: f(3)) - calls_of(lambda f=f: f(1)) for f in (fitted, loop))
    assert ours <= 1.05 * plain
