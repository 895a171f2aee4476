"""Networks learn real data: each to a figure that something else has reached or sets."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_moons

import nn
from autograd import dot, maximum

# --- moons ----------------------------------------------------------------------------------------

# What micrograd 0.1.0 prints in its demo: the loss before the step of that number.
MICROGRAD = {
    0: 0.8958441028683222,
    1: 1.723590533697202,
    10: 0.24507023853658041,
    50: 0.09875114765619629,
    99: 0.010978370135492719,
}


def moons():
    X, y = make_moons(n_samples=100, noise=0.1, random_state=1337)
    return X.tolist(), (2 * y - 1).tolist()


def falling(epoch):
    return 1.0 - 0.9 * epoch / 100


def test_fit_on_moons_has_the_losses_of_micrograds_demo_and_classifies_all_rightly():
    X, y = moons()
    model = nn.MLP(2, [16, 16, 1], seed=1337)
    history = nn.fit(model, X, y, loss="max_margin", lr=1.0, schedule=falling, l2=1e-4)
    found = {k: history.loss[k] for k in MICROGRAD}
    assert found == pytest.approx(MICROGRAD, rel=1e-9)
    assert history.accuracy[-1] == 1.0


def test_the_plain_loop_on_moons_has_the_losses_of_micrograds_demo():
    X, y = moons()
    model = nn.MLP(2, [16, 16, 1], seed=1337)
    for k in range(11):
        parameters = model.parameters()
        loss = nn.max_margin([model(x) for x in X], y) + 1e-4 * dot(parameters, parameters)
        assert k not in MICROGRAD or loss.data == pytest.approx(MICROGRAD[k], rel=1e-12)
        model.zero_grad()
        loss.backward()
        for p in parameters:
            p.data -= falling(k) * p.grad


# --- iris and diabetes ----------------------------------------------------------------------------


def test_a_small_network_knows_most_irises_that_it_was_not_trained_on():
    X, y, Xv, yv = nn.split(*load_iris(return_X_y=True), 1 / 3)
    model = nn.Sequential(nn.Standardize(4).fit(X), nn.MLP(4, [8, 3], "tanh", init="xavier"))
    schedule = nn.schedules.cosine(30)
    options = {"loss": "cross_entropy", "optimizer": "adam", "lr": 0.03, "schedule": schedule}
    history = nn.fit(model, X, y, validation=(Xv, yv), epochs=30, batch_size=10, **options)
    assert len(yv) == 50
    assert history.validation_accuracy[-1] >= 0.92


@pytest.fixture(scope="module")
def diabetes():
    X, y, Xv, yv = nn.split(*load_diabetes(return_X_y=True), 1 / 3)
    mean, std = np.mean(y), np.std(y)
    scale = nn.Standardize(10).fit(X)
    inputs = [[scale(x) for x in rows] for rows in (X, Xv)]
    return inputs[0], ((y - mean) / std).tolist(), inputs[1], ((yv - mean) / std).tolist()


def test_a_regression_beats_the_mean_and_comes_near_linear_least_squares(diabetes):
    X, y, Xv, yv = diabetes
    model = nn.MLP(10, [6, 1], "tanh", init="xavier")
    options = {"optimizer": "adam", "lr": 0.01, "epochs": 15, "batch_size": 32, "l2": 1e-3}
    history = nn.fit(model, X, y, validation=(Xv, yv), **options)
    columns = [[*x, 1.0] for x in X]
    weights = np.linalg.lstsq(np.array(columns), np.array(y), rcond=None)[0]
    squares = np.mean((np.array([[*x, 1.0] for x in Xv]) @ weights - yv) ** 2)
    (found,) = history.validation_loss[-1:]
    assert found < 0.55 * np.mean(np.square(yv))
    assert found < 1.03 * squares


def test_a_loss_of_the_users_own_finds_the_line_under_which_nine_tenths_lie(diabetes):
    X, y, *_ = diabetes

    def ninth_decile(outputs, targets):
        errors = [t - z for z, t in zip(outputs, targets, strict=True)]
        return sum(maximum(0.9 * e, -0.1 * e) for e in errors) / len(errors)

    model = nn.MLP(10, [1], init="zeros")
    schedule = nn.schedules.cosine(60)
    nn.fit(model, X, y, loss=ninth_decile, lr=1.0, epochs=60, schedule=schedule)
    below = np.mean([t <= model(x).data for x, t in zip(X, y, strict=True)])
    assert below == pytest.approx(0.9, abs=0.02)


# --- digits ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16.0).tolist(), y.tolist()


def images(rows):
    return [[row[i : i + 8] for i in range(0, 64, 8)] for row in rows]


@pytest.mark.slow
def test_64_32_10_reads_95_of_100_digits_of_a_third_held_out(digits):
    model = nn.MLP(64, [32, 10], "tanh", init="xavier")
    schedule = nn.schedules.cosine(5)
    options = {"loss": "cross_entropy", "optimizer": "adam", "lr": 0.02, "schedule": schedule}
    history = nn.fit(model, *digits, validation=1 / 3, epochs=5, batch_size=16, **options)
    assert history.validation_accuracy[-1] >= 0.95


def convolution(classes, seed=0):
    body = nn.Sequential(nn.Conv2d(1, 4, 3, seed=seed), nn.MaxPool2d(2), nn.Flatten())
    return nn.Sequential(body, nn.Layer(36, classes, "linear", init="xavier", seed=seed + 1))


@pytest.mark.slow
def test_a_convolution_with_four_kernels_reads_digits_after_few_of_them(digits):
    X, y = images(digits[0]), digits[1]
    model = convolution(10)
    assert len(model.parameters()) == 4 * (9 + 1) + 10 * (36 + 1)
    schedule = nn.schedules.cosine(6)
    options = {"loss": "cross_entropy", "optimizer": "adam", "lr": 0.03, "schedule": schedule}
    held = X[300:500], y[300:500]
    history = nn.fit(model, X[:300], y[:300], validation=held, epochs=6, batch_size=15, **options)
    assert history.validation_accuracy[-1] >= 0.85


@pytest.mark.slow
def test_kernels_that_know_0_to_4_and_are_frozen_make_5_to_9_learned_faster(digits):
    pairs = list(zip(images(digits[0]), digits[1], strict=True))
    low = [(x, t) for x, t in pairs if t < 5][:250]
    high = [(x, t - 5) for x, t in pairs if t >= 5]
    base = convolution(5)
    first = {"loss": "cross_entropy", "optimizer": "adam", "lr": 0.01, "epochs": 5}
    nn.fit(base, *zip(*low, strict=True), batch_size=10, **first)

    X, y = map(list, zip(*high[:200], strict=True))
    held = tuple(map(list, zip(*high[200:300], strict=True)))

    def epochs(model):
        options = {"loss": "cross_entropy", "lr": 0.05, "batch_size": 10, "validation": held}
        until = lambda history: history.validation_accuracy[-1] >= 0.8  # noqa: E731  (a criterion)
        history = nn.fit(model, X, y, epochs=12, until=until, **options)
        assert history.stopped == "until"
        return history.epochs

    scratch = convolution(5, seed=7)
    body = base[0].freeze()
    before = [p.data for p in body.parameters()]
    assert epochs(nn.Sequential(body, scratch[1])) < epochs(scratch)
    assert [p.data for p in body.parameters()] == before


# --- sequences ------------------------------------------------------------------------------------


class Echo(nn.Module):
    """Says after each number what it thinks the number before the last one was."""

    def __init__(self):
        self.rnn = nn.RNN(1, 6)
        self.output = nn.Neuron(6, "linear", init="xavier")

    def forward(self, xs):
        states, _ = self.rnn(xs)
        return [self.output(state) for state in states]


def test_a_recurrent_network_learns_to_repeat_what_it_heard_two_steps_ago():
    rng = random.Random(0)
    X = [[[rng.uniform(-1.0, 1.0)] for _ in range(8)] for _ in range(60)]
    y = [[0.0, 0.0, *(number for (number,) in xs[:-2])] for xs in X]
    model = Echo()
    held = X[40:], y[40:]
    options = {"optimizer": "adam", "lr": 0.02, "epochs": 30, "batch_size": 8}
    history = nn.fit(model, X[:40], y[:40], validation=held, **options)
    nothing = np.mean(np.square(held[1]))
    assert history.validation_loss[-1] < 0.02 * nothing
