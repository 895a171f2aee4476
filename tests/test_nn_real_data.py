"""Networks learn real data: each to a figure that something else has reached or sets."""

from __future__ import annotations

import copy
import itertools
import random
from typing import Any

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
    rows, classes = load_iris(return_X_y=True)
    X, y, Xv, yv = nn.split(rows, classes, 1 / 3)
    model = nn.Sequential(nn.Standardize(4).fit(X), nn.MLP(4, [8, 3], "tanh", init="xavier"))
    schedule = nn.schedules.cosine(30)
    options: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": "adam",
        "lr": 0.03,
        "schedule": schedule,
    }
    history = nn.fit(model, X, y, validation=(Xv, yv), epochs=30, batch_size=10, **options)
    assert len(yv) == 50
    assert history.validation_accuracy[-1] >= 0.92


@pytest.fixture(scope="module")
def diabetes():
    rows, progression = load_diabetes(return_X_y=True)
    X, y, Xv, yv = nn.split(rows, progression, 1 / 3)
    scale, target = nn.Standardize(10).fit(X), nn.Standardize(1).fit(y)
    parts = ((scale, X), (target, y), (scale, Xv), (target, yv))
    return [[standardize(x) for x in part] for standardize, part in parts]


def test_a_regression_beats_the_mean_and_comes_near_linear_least_squares(diabetes):
    X, y, Xv, yv = diabetes
    model = nn.MLP(10, [6, 1], "tanh", init="xavier")
    options: dict[str, Any] = {
        "optimizer": "adam",
        "lr": 0.01,
        "epochs": 15,
        "batch_size": 32,
        "l2": 1e-3,
    }
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
    options: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": "adam",
        "lr": 0.02,
        "schedule": schedule,
    }
    history = nn.fit(model, *digits, validation=1 / 3, epochs=5, batch_size=16, **options)
    assert history.validation_accuracy[-1] >= 0.95


def convolution(classes, seed):
    body = nn.Sequential(nn.Conv2d(1, 4, 3, seed=seed), nn.MaxPool2d(2), nn.Flatten())
    return nn.Sequential(body, nn.Layer(36, classes, "linear", init="xavier", seed=seed + 1))


@pytest.mark.slow
def test_four_kernels_of_a_convolution_read_most_digits_after_400_of_them(digits):
    rest, labels, held, held_labels = nn.split(images(digits[0]), digits[1], 200 / 1797)
    model = convolution(10, seed=1)
    assert len(model.parameters()) == 4 * (9 + 1) + 10 * (36 + 1)
    schedule = nn.schedules.cosine(6)
    options: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": "adam",
        "lr": 0.03,
        "schedule": schedule,
    }
    options |= {"epochs": 6, "batch_size": 15, "validation": (held, held_labels)}
    history = nn.fit(model, rest[:400], labels[:400], **options)
    assert history.validation_accuracy[-1] >= 0.85


def epochs_to_three_quarters(model, train, held):
    options: dict[str, Any] = {"loss": "cross_entropy", "lr": 0.03, "epochs": 12, "batch_size": 5}
    options |= {"until": lambda history: history.validation_accuracy[-1] >= 0.75}
    history = nn.fit(model, *train, validation=held, **options)
    assert history.stopped == "until"
    return history.epochs


@pytest.mark.slow
def test_with_frozen_kernels_from_0_to_4_5_to_9_are_learned_in_half_the_epochs(digits):
    pairs = list(zip(images(digits[0]), digits[1], strict=True))
    low = [(x, t) for x, t in pairs if t < 5]
    high = [(x, t - 5) for x, t in pairs if t >= 5]

    base = convolution(5, seed=3)
    low_X, low_y, *_ = nn.split([x for x, _ in low], [t for _, t in low], 501 / 901)
    options: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": "adam",
        "lr": 0.02,
        "epochs": 5,
    }
    history = nn.fit(base, low_X, low_y, batch_size=10, **options)
    assert history.accuracy[-1] > 0.95

    X, y, *held = nn.split([x for x, _ in high], [t for _, t in high], 150 / 896)
    fresh = convolution(5, seed=53)
    transferred = nn.Sequential(base[0].freeze(), copy.deepcopy(fresh[1]))
    before = [p.data for p in base[0].parameters()]
    faster = epochs_to_three_quarters(transferred, (X[:100], y[:100]), held)
    assert [p.data for p in base[0].parameters()] == before
    assert 2 * faster <= epochs_to_three_quarters(fresh, (X[:100], y[:100]), held)


# --- sequences ------------------------------------------------------------------------------------


class Reader(nn.Module):
    """Reads a sequence number by number, and gives its opinion after each."""

    def __init__(self):
        self.rnn = nn.RNN(1, 6)
        self.output = nn.Neuron(6, "linear", init="xavier", seed=1)

    def forward(self, xs):
        states, _ = self.rnn(xs)
        return [self.output(state) for state in states]


def test_a_recurrent_network_learns_to_repeat_what_it_heard_two_steps_ago():
    rng = random.Random(0)  # noqa: S311  (no cryptography)
    X = [[[rng.uniform(-1.0, 1.0)] for _ in range(8)] for _ in range(60)]
    y = [[0.0, 0.0, *(number for (number,) in xs[:-2])] for xs in X]
    held = X[40:], y[40:]
    options: dict[str, Any] = {"optimizer": "adam", "lr": 0.02, "epochs": 30, "batch_size": 8}
    history = nn.fit(Reader(), X[:40], y[:40], validation=held, **options)
    assert history.validation_loss[-1] < 0.02 * np.mean(np.square(held[1]))


def words(length):
    return [[[bit] for bit in bits] for bits in itertools.product((0.0, 1.0), repeat=length)]


def parity(word):
    return sum(bit for (bit,) in word) % 2


def test_a_recurrent_network_that_learned_parity_on_up_to_4_bits_knows_it_of_all_words_of_8():
    reader = Reader()
    X = [word for length in range(1, 5) for word in words(length)]
    options: dict[str, Any] = {"optimizer": "adam", "lr": 0.03, "epochs": 300, "batch_size": 10}
    options |= {"loss": "binary_cross_entropy", "until": 0.01}
    last = nn.fit(
        lambda xs: reader(xs)[-1],
        X,
        [parity(word) for word in X],
        parameters=reader.parameters(),
        **options,
    )
    assert last.stopped == "until"
    for word in words(8):
        assert (reader(word)[-1].data > 0.0) == parity(word)
