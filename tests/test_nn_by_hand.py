"""nn beside backpropagation written by hand with matrices: the same numbers to 1e-12."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn.layers import MLP
from nn.losses import LOSSES, half_mse
from nn.optim import SGD

if TYPE_CHECKING:
    from collections.abc import Callable

    from autograd import Value

    Array = np.ndarray[Any, np.dtype[np.float64]]

# --- by hand --------------------------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    """1 / (1 + e⁻ᶻ)."""
    return 1.0 / (1.0 + np.exp(-z))


class TwoLayers:
    """The documents' first class: sigmoid twice, L = ½(ŷ - y)², every line written out.

    A row of `w1` and `w2` belongs to a neuron, a row of `x` and `y` to an example.
    """

    def __init__(self, w1: Array, b1: Array, w2: Array, b2: Array) -> None:
        self.w1, self.b1, self.w2, self.b2 = w1, b1, w2, b2

    def forward(self, x: Array) -> Array:
        self.x = x
        self.z1 = x @ self.w1.T + self.b1
        self.a1 = sigmoid(self.z1)
        self.z2 = self.a1 @ self.w2.T + self.b2
        self.a2 = sigmoid(self.z2)
        return self.a2

    def loss(self, y: Array) -> float:
        return float(np.mean(0.5 * (self.a2 - y) ** 2))

    def backward(self, y: Array) -> None:
        self.dz2 = (self.a2 - y) * self.a2 * (1.0 - self.a2) / y.size
        self.dw2 = self.dz2.T @ self.a1
        self.db2 = self.dz2.sum(axis=0)
        self.dz1 = self.dz2 @ self.w2 * self.a1 * (1.0 - self.a1)
        self.dw1 = self.dz1.T @ self.x
        self.db1 = self.dz1.sum(axis=0)

    def update(self, lr: float) -> None:
        self.w1 -= lr * self.dw1
        self.b1 -= lr * self.db1
        self.w2 -= lr * self.dw2
        self.b2 -= lr * self.db2

    def parts(self, prefix: str = "") -> list[tuple[Array, Array]]:
        """The weights and biases of each layer; with "d", their gradients."""
        names = [(f"{prefix}w{i}", f"{prefix}b{i}") for i in (1, 2)]
        return [(getattr(self, w), getattr(self, b)) for w, b in names]


# f(z), and f'(z) as a function of z and a = f(z)
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "linear": (lambda z: z, lambda z, _a: np.ones_like(z)),
    "sigmoid": (sigmoid, lambda _z, a: a * (1.0 - a)),
    "tanh": (np.tanh, lambda _z, a: 1.0 - a**2),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z, _a: (z > 0.0).astype(float)),
    "leaky_relu": (
        lambda z: np.where(z > 0.0, z, 0.01 * z),
        lambda z, _a: np.where(z > 0.0, 1.0, 0.01),
    ),
}


def softmax(z: Array) -> Array:
    """Shares, by row."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    shares: Array = e / e.sum(axis=1, keepdims=True)
    return shares


# L(output, y), and ∂L/∂output
HAND_LOSSES: dict[str, tuple[Callable[[Array, Array], Any], Callable[[Array, Array], Array]]] = {
    "mse": (lambda a, y: np.mean((a - y) ** 2), lambda a, y: 2.0 * (a - y) / y.size),
    "half_mse": (lambda a, y: np.mean((a - y) ** 2) / 2.0, lambda a, y: (a - y) / y.size),
    "mae": (lambda a, y: np.mean(np.abs(a - y)), lambda a, y: np.sign(a - y) / y.size),
    "binary_cross_entropy": (
        lambda z, y: np.mean(np.logaddexp(0.0, z) - y * z),
        lambda z, y: (sigmoid(z) - y) / y.size,
    ),
    "cross_entropy": (
        lambda z, y: -np.mean(np.sum(y * np.log(softmax(z)), axis=1)),
        lambda z, y: (softmax(z) - y) / len(y),
    ),
    "hinge": (
        lambda s, y: np.mean(np.maximum(0.0, 1.0 - y * s)),
        lambda s, y: np.where(y * s < 1.0, -y, 0.0) / y.size,
    ),
}


class ManyLayers:
    """The documents' second class: any number of layers, each (W, b, name of the activation)."""

    def __init__(self, layers: list[tuple[Array, Array, str]], loss: str) -> None:
        self.weights = [w for w, _, _ in layers]
        self.biases = [b for _, b, _ in layers]
        self.activations = [ACTIVATIONS[name] for _, _, name in layers]
        self.criterion, self.slope = HAND_LOSSES[loss]

    def forward(self, x: Array) -> Array:
        self.zs: list[Array] = []
        self.signals = [x]
        for w, b, (f, _) in zip(self.weights, self.biases, self.activations, strict=True):
            self.zs.append(self.signals[-1] @ w.T + b)
            self.signals.append(f(self.zs[-1]))
        return self.signals[-1]

    def loss(self, y: Array) -> float:
        return float(self.criterion(self.signals[-1], y))

    def backward(self, y: Array) -> None:
        self.gradients: list[tuple[Array, Array]] = []
        da = self.slope(self.signals[-1], y)
        for i in reversed(range(len(self.weights))):
            dz = da * self.activations[i][1](self.zs[i], self.signals[i + 1])
            self.gradients.insert(0, (dz.T @ self.signals[i], dz.sum(axis=0)))
            da = dz @ self.weights[i]

    def update(self, lr: float) -> None:
        for w, b, (dw, db) in zip(self.weights, self.biases, self.gradients, strict=True):
            w -= lr * dw  # noqa: PLW2901  (in place, as NumPy's -= is)
            b -= lr * db  # noqa: PLW2901

    def parts(self, prefix: str = "") -> list[tuple[Array, Array]]:
        """The weights and biases of each layer; with "d", their gradients."""
        return self.gradients if prefix else [*zip(self.weights, self.biases, strict=True)]


# --- the same with nn -----------------------------------------------------------------------------


def network(hand: TwoLayers | ManyLayers, activation: str, output: str) -> MLP:
    """The MLP with these weights, set by their names."""
    parts = hand.parts()
    widths = [len(w) for w, _ in parts]
    model = MLP(parts[0][0].shape[1], widths, activation, output_activation=output)
    parameters = dict(model.named_parameters())
    for name, x in named(parts).items():
        parameters[name].data = x
    return model


def named(parts: list[tuple[Array, Array]]) -> dict[str, float]:
    """What nn calls the numbers of the matrices."""
    found: dict[str, float] = {}
    for k, (w, b) in enumerate(parts, start=1):
        for j, (row, bias) in enumerate(zip(w, b, strict=True), start=1):
            found |= {f"layer{k}.neuron{j}.w{i}": float(x) for i, x in enumerate(row, start=1)}
            found[f"layer{k}.neuron{j}.b"] = float(bias)
    return found


def close(found: Any, expected: Any) -> Any:
    """Equality to 1e-12, relative to numbers above 1."""
    return found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def assert_alike(
    hand: TwoLayers | ManyLayers,
    model: MLP,
    loss: Callable[..., Value],
    batches: list[tuple[Array, Array, Any]],
    lr: float,
) -> None:
    """Train both on the batches (x, y as a matrix, y as nn takes it), comparing all numbers."""
    optimizer = SGD(model, lr=lr)
    for x, y, targets in batches:
        outputs = model.batch(x.tolist())
        found = loss(outputs, targets)
        model.zero_grad()
        found.backward()
        rows = [[v.data for v in row] if isinstance(row, list) else [row.data] for row in outputs]
        assert close(np.array(rows), hand.forward(x))
        assert close(found.data, hand.loss(y))
        hand.backward(y)
        assert close({name: p.grad for name, p in model.named_parameters()}, named(hand.parts("d")))
        optimizer.step()
        hand.update(lr)
        assert close({name: p.data for name, p in model.named_parameters()}, named(hand.parts()))


# --- the documents' examples ----------------------------------------------------------------------


def third_example() -> TwoLayers:
    """The 2-2-1 network with sigmoids."""
    w1, b1 = np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([0.35, 0.35])
    return TwoLayers(w1, b1, np.array([[0.40, 0.50]]), np.array([0.60]))


def test_the_third_example_has_the_documents_exact_figures_by_hand_and_by_nn() -> None:
    hand, x, y = third_example(), np.array([[0.5, 0.8]]), np.array([[1.0]])
    model = network(hand, "sigmoid", "sigmoid")
    assert_alike(hand, model, half_mse, [(x, y, [1.0])], lr=0.5)
    grads = {name: p.grad for name, p in model.named_parameters()}
    dw1 = [[-0.001886098611, -0.003017757777], [-0.002309485651, -0.003695177042]]
    db1, dz2 = [-0.003772197222, -0.004618971303], -0.041527245817
    dw2 = [-0.027048973579, -0.027655772274]
    expected = named([(np.array(dw1), np.array(db1)), (np.array([dw2]), np.array([dz2]))])
    assert grads == pytest.approx(expected, abs=1e-12)
    assert hand.z1[0] == pytest.approx([0.625, 0.69], abs=1e-12)
    assert hand.a1[0] == pytest.approx([0.651354864666, 0.665966926752], abs=1e-12)
    assert hand.z2[0, 0] == pytest.approx(1.193525409242, abs=1e-12)
    assert hand.loss(y) == pytest.approx(0.027058128646, abs=1e-12)
    assert hand.a2[0, 0] == pytest.approx(0.767370987853, abs=1e-12)
    after = model([0.5, 0.8])
    assert after.data == pytest.approx(0.774367732370, abs=1e-12)
    assert half_mse([after], [1.0]).data == pytest.approx(0.025454960098, abs=1e-12)


def test_the_first_and_second_example_have_the_documents_exact_figures() -> None:
    first = MLP(1, [1])
    w, b = first.parameters()
    w.data, b.data = 0.5, 0.1
    loss = half_mse([first([2.0])], [1.0])
    loss.backward()
    SGD(first, lr=0.1).step()
    assert [loss.data, w.grad, w.data] == pytest.approx([0.005, 0.2, 0.48], abs=1e-12)

    second = MLP(1, [1, 1], "sigmoid", output_activation="sigmoid", bias=False)
    w1, w2 = second.parameters()
    w1.data, w2.data = 0.4, 0.6
    output = second([0.5])
    loss = half_mse([output], [1.0])
    loss.backward()
    assert output.data == pytest.approx(0.581735142037886, abs=1e-14)
    assert loss.data == pytest.approx(0.0874727457030337, abs=1e-14)
    assert w2.grad == pytest.approx(-0.0559576727449952, abs=1e-14)


# --- any network ----------------------------------------------------------------------------------

sizes = st.lists(st.integers(1, 4), min_size=2, max_size=5)
seeds = st.integers(0, 2**32 - 1)


def random_layers(rng: np.random.Generator, widths: list[int]) -> list[tuple[Array, Array]]:
    """Weights and biases with which no signal explodes: rounding errors would with it."""
    return [
        (rng.normal(size=(m, n)) / np.sqrt(n), rng.uniform(-0.5, 0.5, size=m))
        for n, m in pairwise(widths)
    ]


def targets_for(loss: str, rng: np.random.Generator, rows: int, width: int) -> tuple[Array, Any]:
    """Targets, as a matrix and as nn takes them."""
    if loss == "cross_entropy":
        classes = rng.integers(width, size=rows)
        return np.eye(width)[classes], classes.tolist()
    if loss == "binary_cross_entropy":
        y = rng.integers(2, size=(rows, width)).astype(float)
    elif loss == "hinge":
        y = 2.0 * rng.integers(2, size=(rows, width)) - 1.0
    else:
        y = rng.normal(size=(rows, width))
    return y, y.ravel().tolist() if width == 1 else y.tolist()


@settings(max_examples=40)
@given(st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)), st.integers(1, 6), seeds)
def test_the_two_layer_network_is_the_one_by_hand(widths: Any, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (w1, b1), (w2, b2) = random_layers(rng, list(widths))
    hand = TwoLayers(w1, b1, w2, b2)
    batches = []
    for _ in range(3):
        y, targets = targets_for("half_mse", rng, rows, widths[-1])
        batches.append((rng.normal(size=(rows, widths[0])), y, targets))
    assert_alike(hand, network(hand, "sigmoid", "sigmoid"), half_mse, batches, lr=0.5)


@settings(max_examples=100)
@given(
    sizes,
    st.sampled_from(sorted(ACTIVATIONS)),
    st.sampled_from(sorted(HAND_LOSSES)),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    seeds,
)
def test_the_network_of_many_layers_is_the_one_by_hand(
    widths: list[int], activation: str, loss: str, batch_sizes: list[int], seed: int
) -> None:
    if loss == "hinge":
        widths[-1] = 1
    if loss == "cross_entropy":
        widths[-1] += 1
    rng = np.random.default_rng(seed)
    output = "sigmoid" if loss == "half_mse" else "linear"
    names = [activation] * (len(widths) - 2) + [output]
    layers = zip(random_layers(rng, widths), names, strict=True)
    hand = ManyLayers([(w, b, name) for (w, b), name in layers], loss)
    batches = []
    for rows in batch_sizes:
        y, targets = targets_for(loss, rng, rows, widths[-1])
        batches.append((rng.normal(size=(rows, widths[0])), y, targets))
    assert_alike(hand, network(hand, activation, output), LOSSES[loss], batches, lr=0.05)


def test_training_for_a_hundred_steps_ends_at_the_weights_by_hand() -> None:
    rng = np.random.default_rng(0)
    layers = zip(random_layers(rng, [2, 4, 3, 1]), ("tanh", "tanh", "sigmoid"), strict=True)
    hand = ManyLayers([(w, b, name) for (w, b), name in layers], "half_mse")
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [0.0]])
    model = network(hand, "tanh", "sigmoid")
    assert_alike(hand, model, half_mse, [(x, y, [0.0, 1.0, 1.0, 0.0])] * 100, lr=0.5)
