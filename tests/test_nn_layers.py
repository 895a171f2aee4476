"""The laws of layers: micrograd's networks, what stands between layers, convolution, recurrence."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Value
from autograd.testing import assert_gradients
from nn.blocks import Activation, Dropout, Residual, Sequential
from nn.conv import Conv2d, Flatten, MaxPool2d, MeanPool2d
from nn.layers import MLP, Layer, Neuron
from nn.normalize import BatchNorm, Standardize
from nn.recurrent import RNN, RNNCell

if TYPE_CHECKING:
    from nn.module import Module

SMOOTH = ["linear", "tanh", "sigmoid", "gelu", "silu", "softplus"]
NUMBERS = st.floats(-2.0, 2.0)


def image(channels: int, rows: int, columns: int, seed: int = 0) -> list[list[list[float]]]:
    rng = Random(seed)  # noqa: S311  (no cryptography)
    return [
        [[rng.gauss(0, 1) for _ in range(columns)] for _ in range(rows)] for _ in range(channels)
    ]


def total(x: Any) -> Any:
    """A number that depends on each element of x in its own way."""
    return autograd.sum([autograd.sin(y + i) for i, y in enumerate(Flatten()(x))])


def data(x: Any) -> Any:
    return [data(y) for y in x] if isinstance(x, list) else x.data if type(x) is Value else x


def gradients(model: Module, loss: Value) -> list[float]:
    model.zero_grad()
    loss.backward()
    return [p.grad for p in model.parameters()]


# --- micrograd ------------------------------------------------------------------------------------


def test_a_program_written_for_micrograd_trains_two_moons():
    angles = [math.pi * i / 11 for i in range(12)]
    X = [[math.cos(a), math.sin(a)] for a in angles]
    X += [[1.0 - math.cos(a), 0.5 - math.sin(a)] for a in angles]
    y = np.array([-1] * 12 + [1] * 12)

    model = MLP(2, [16, 16, 1], seed=1337)
    print(model)  # noqa: T201  (as that program does)
    assert len(model.parameters()) == 337

    def loss() -> tuple[Any, float]:
        inputs = [list(map(Value, xrow)) for xrow in X]
        scores = list(map(model, inputs))
        losses: list[Any] = [
            (1 + -yi * scorei).relu() for yi, scorei in zip(y, scores, strict=True)
        ]
        data_loss = sum(losses) * (1.0 / len(losses))
        alpha = 1e-4
        reg_loss = alpha * sum(p * p for p in model.parameters())
        accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores, strict=True)]
        return data_loss + reg_loss, sum(accuracy) / len(accuracy)

    before, _ = loss()
    for k in range(40):
        total_loss, _ = loss()
        model.zero_grad()
        total_loss.backward()
        learning_rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad
    after, accuracy = loss()
    assert after.data < 0.2 * before.data
    assert accuracy == 1.0


def test_a_seed_gives_the_weights_that_micrograd_draws():
    # micrograd's neuron: w = [Value(random.uniform(-1,1)) for _ in range(nin)], b = Value(0).
    rng = Random(1337)  # noqa: S311  (no cryptography)
    expected: list[float] = []
    for nin, nout in ((2, 16), (16, 16), (16, 1)):
        for _ in range(nout):
            expected += [*(rng.uniform(-1, 1) for _ in range(nin)), 0.0]
    assert [p.data for p in MLP(2, [16, 16, 1], seed=1337).parameters()] == expected


def test_hidden_layers_are_relu_the_last_one_linear_and_one_output_is_a_value():
    model = MLP(2, [3, 1])
    assert model.layers[0].neurons[0].activation is autograd.relu
    assert model([1.0, 2.0]).op.name == "dot"
    assert [len(MLP(2, [1, 2])([1.0, 2.0])), len(Layer(1, 3)(0.5))] == [2, 3]
    assert type(Layer(2, 1)([1.0, 2.0])) is Value


def test_the_documents_network_has_their_figures():
    layers = [Layer(2, 2, "sigmoid"), Layer(2, 1, "sigmoid")]
    for neuron, w, b in (
        (layers[0].neurons[0], [0.15, 0.25], 0.35),
        (layers[0].neurons[1], [0.20, 0.30], 0.35),
        (layers[1].neurons[0], [0.40, 0.50], 0.60),
    ):
        neuron.w, neuron.b = tuple(map(Value, w)), Value(b)
    model = Sequential(*layers)

    def loss() -> Value:
        error: Value = 1.0 - model([0.5, 0.8])
        return 0.5 * error**2

    assert model([0.5, 0.8]).data == pytest.approx(0.767370987853, abs=5e-13)
    found = gradients(model, loss())
    expected = [-0.001886098611, -0.003017757777, -0.003772197222]
    expected += [-0.002309485651, -0.003695177042, -0.004618971303]
    expected += [-0.027048973579, -0.027655772274, -0.041527245817]
    assert found == pytest.approx(expected, abs=5e-13)
    for p in model.parameters():
        p.data -= 0.5 * p.grad
    assert model([0.5, 0.8]).data == pytest.approx(0.774367732370, abs=5e-13)
    assert loss().data == pytest.approx(0.025454960098, abs=5e-13)


# --- one dot node, or products and sums -----------------------------------------------------------


@settings(max_examples=30)
@given(
    nin=st.integers(1, 4),
    nouts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    activation=st.sampled_from([*SMOOTH, "relu", "leaky_relu", "elu"]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
    x=st.lists(NUMBERS, min_size=4, max_size=4),
)
def test_dot_nodes_and_textbook_nodes_have_equal_values_and_gradients(  # noqa: PLR0913  (drawn)
    *, nin: int, nouts: list[int], activation: str, bias: bool, seed: int, x: list[float]
):
    models = [
        MLP(nin, nouts, activation, bias=bias, seed=seed, textbook=textbook)
        for textbook in (False, True)
    ]
    losses = [total(model(x[:nin])) for model in models]
    assert losses[0].data == pytest.approx(losses[1].data, rel=1e-12, abs=1e-12)
    fast, textbook = map(gradients, models, losses)
    assert fast == pytest.approx(textbook, rel=1e-11, abs=1e-12)


def test_a_neuron_is_one_dot_node_and_its_activation_or_products_and_sums():
    y = Neuron(2, "tanh")([1.0, 2.0])
    assert [v.op for v in (y, y.parents[0])] == [autograd.tanh, autograd.REGISTRY["dot"]]
    y = Neuron(2, "linear", textbook=True)([1.0, 2.0])
    assert y.op is autograd.add
    assert [p.op for p in y.parents[0].parents] == [autograd.mul, autograd.mul]


def test_textbook_nodes_are_in_a_scope_for_their_layer_and_neuron():
    y = MLP(2, [2, 1], textbook=True)([1.0, 2.0])
    assert y.scope == "layer2/neuron1"
    assert {v.scope for v in y.parents} == {"layer2/neuron1"}
    assert Sequential(Layer(1, 2, textbook=True))([1.0])[1].scope == "layer1/neuron2"


@settings(max_examples=10)
@given(
    nouts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    activation=st.sampled_from(SMOOTH),
    textbook=st.booleans(),
    seed=st.integers(0, 99),
)
def test_parameter_gradients_are_right(
    *, nouts: list[int], activation: str, textbook: bool, seed: int
):
    model = MLP(2, nouts, activation, seed=seed, textbook=textbook)
    assert_gradients(lambda m: total(m([0.3, -0.7])), model)


# --- weights, inputs, sizes -----------------------------------------------------------------------


def test_new_weights_are_used_and_learn():
    neuron = Neuron(2, "linear")
    neuron.w = (Value(2.0), Value(3.0))
    neuron.b = Value(1.0)
    y = neuron([10.0, 100.0])
    y.backward()
    assert y.data == 321.0
    assert [p.grad for p in neuron.parameters()] == [10.0, 100.0, 1.0]
    neuron.b = None
    assert neuron([10.0, 100.0]).data == 320.0
    with pytest.raises(ValueError, match=r"Neuron\(2, 'linear'\) got 1 weight; expected 2"):
        neuron.w = (Value(1.0),)


def test_inputs_may_be_any_sequence_of_numbers_or_values():
    model = MLP(2, [3, 1])
    expected = model([1.0, 2.0])
    for x in ((1, 2), np.array([1, 2]), np.array([1.0, 2.0]), [Value(1.0), 2.0]):
        assert model(x) == expected


def test_without_a_bias_there_is_none():
    model = MLP(2, [3, 1], bias=False)
    assert len(model.parameters()) == 9
    assert model([0.0, 0.0]) == 0.0


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (MLP(3, [4, 4, 1]), [1.0, 2.0], r"MLP\(3, \[4, 4, 1\]\) got 2 inputs; expected 3"),
        (Layer(2, 2), [1.0], r"Layer\(2, 2, 'relu'\) got 1 input; expected 2"),
        (Neuron(2), [], r"Neuron\(2, 'relu'\) got 0 inputs; expected 2"),
        (MLP(3, [1]), [[1.0] * 3] * 9, r"expected 3: these are rows, which module\.batch\(rows\)"),
        (Standardize(2).fit([[1, 2]]), [1.0], r"Standardize\(2\) got 1 input; expected 2"),
        (BatchNorm(2).eval(), [1.0] * 3, r"BatchNorm\(2\) got 3 inputs; expected 2"),
        (RNNCell(2, 3), [1.0], r"RNNCell\(2, 3, 'tanh'\) got 1 input; expected 2"),
        (Conv2d(2, 1, 2), [[[1.0]]], r"Conv2d\(2, 1, 2, .*\) got 1 input; expected 2"),
        (Conv2d(1, 1, 3), image(1, 4, 2), r"needs at least 3 rows and columns; got 2"),
        (
            MaxPool2d(3),
            image(1, 2, 4),
            r"MaxPool2d\(3, 3\) needs at least 3 rows and columns; got 2",
        ),
        (Residual(Layer(2, 3)), [1.0, 2.0], "Residual: .* inputs differ in number"),
        (RNN(1, 1), [], r"RNN\(1, 1, 'tanh'\) needs a sequence of at least one vector; got none"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_wrong_size_is_an_error_that_says_what_came_and_what_is_expected(
    module: Module, x: Any, message: str
):
    with pytest.raises(ValueError, match=message):
        module(x)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MLP(2, [16, 0]), ValueError, r"MLP: nouts\[1\] \(=0\) must be at least 1"),
        (lambda: MLP(2.0, [1]), TypeError, r"MLP: nin \(=2.0\) must be a whole number"),  # type: ignore[arg-type]
        (lambda: MLP(2, 16), TypeError, r"MLP: nouts \(=16\) must be a list of widths"),  # type: ignore[arg-type]
        (lambda: MLP(2, []), TypeError, r"MLP: nouts \(=\[\]\) must be a list of widths"),
        (lambda: Layer(True, 1), TypeError, r"Layer: nin \(=True\) must be a whole number"),  # noqa: FBT003
        (lambda: Neuron(0), ValueError, r"Neuron: nin \(=0\) must be at least 1"),
        (lambda: Dropout(1.0), ValueError, r"Dropout: p \(=1.0\) must be at least 0 and less"),
        (lambda: Conv2d(1, 1, 3, padding=-1), ValueError, r"padding \(=-1\) must be at least 0"),
        (lambda: MaxPool2d(2, 0), ValueError, r"MaxPool2d: stride \(=0\) must be at least 1"),
        (lambda: Sequential(Layer(1, 1), "relu"), TypeError, "takes modules; number 2 is 'relu'"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_option_is_an_error(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()


# --- blocks ---------------------------------------------------------------------------------------


def test_a_sequence_applies_its_modules_in_order_and_names_them_by_place():
    model = Sequential(Layer(2, 3), Activation("tanh"), Conv2d(1, 1, 1), Layer(3, 1))
    assert [name for name, _ in model.named_modules() if name.count(".") == 0] == [
        "",
        "layer1",
        "activation2",
        "conv2d_3",
        "layer4",
    ]
    assert len(model) == 4
    assert model[-1] is model.layer4  # type: ignore[attr-defined]  # set by its name
    short = Sequential(Layer(2, 3, seed=1), Activation("tanh"))
    x = [1.0, 2.0]
    assert short(x) == [autograd.tanh(y) for y in Layer(2, 3, seed=1)(x)]
    assert short.batch([x, x]) == [short(x)] * 2


def test_a_residual_adds_its_input():
    module = Residual(Layer(2, 2, "tanh"))
    x = [0.5, -2.0]
    assert module(x) == [a + b for a, b in zip(x, Layer(2, 2, "tanh")(x), strict=True)]
    assert module.batch([x]) == [module(x)]
    assert Residual(Layer(1, 1, "linear", init="zeros"))(3.0) == 3.0
    assert Residual(Activation("relu"))([[1.0, -2.0]]) == [[2.0, -2.0]]
    assert_gradients(lambda m: total(m(x)), module)


def test_dropout_drops_in_training_keeps_the_mean_and_passes_all_in_evaluation():
    x = [1.0] * 4000
    kept = Dropout(0.25, seed=1)(x)
    assert set(kept) == {0.0, 1.0 / 0.75}
    assert sum(kept) / 4000 == pytest.approx(1.0, abs=3 * (0.25 / 0.75 / 4000) ** 0.5)
    assert Dropout(0.25, seed=1)(x) == kept
    assert Dropout(0.25, seed=2)(x) != kept
    assert Dropout(0.25).eval()(x) is x
    assert Dropout(0.0)(x) == x


def test_dropped_values_get_no_gradient():
    x = [Value(1.0) for _ in range(50)]
    autograd.sum(Dropout(0.5)(x)).backward()
    assert {v.grad for v in x} == {0.0, 2.0}


def test_batch_norm_gives_each_feature_mean_0_and_variance_1():
    rows = [[1.0, 10.0], [2.0, 30.0], [6.0, 80.0]]
    module = BatchNorm(2, eps=0.0)
    columns = np.array(data(module.batch(rows))).T
    assert columns.mean(axis=1) == pytest.approx([0.0, 0.0], abs=1e-15)
    assert columns.std(axis=1) == pytest.approx([1.0, 1.0], rel=1e-15)
    # As PyTorch: running = 0.9 · (0, 1) + 0.1 · (mean, unbiased variance).
    assert module.mean == pytest.approx([0.3, 4.0], rel=1e-15)
    assert module.variance == pytest.approx([0.9 + 0.1 * 7.0, 0.9 + 0.1 * 1300.0], rel=1e-15)
    module.scales[0].data, module.shifts[0].data = 2.0, 5.0
    module.eval()
    expected = [(3.0 - 0.3) / 1.6**0.5 * 2.0 + 5.0, (4.0 - 4.0) / 130.9**0.5]
    assert data(module([3.0, 4.0])) == pytest.approx(expected, rel=1e-15)
    assert module.batch([[3.0, 4.0]]) == [module([3.0, 4.0])]


def test_batch_norm_has_right_gradients_through_its_statistics():
    model = Sequential(Layer(2, 2, "tanh"), BatchNorm(2), Layer(2, 1, "linear"))
    rows = [[0.1, 0.5], [1.0, -1.0], [0.3, 0.4]]
    assert_gradients(lambda m: total(m.batch(rows)), model)


def test_batch_norm_in_training_needs_rows():
    with pytest.raises(ValueError, match=r"no statistics of a single row in training: call model"):
        BatchNorm(2)([1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"BatchNorm\(2\) needs at least 2 rows in training; got 1"
    ):
        BatchNorm(2).batch([[1.0, 2.0]])


def test_standardize_is_fitted_once_and_trains_nothing():
    module = Standardize(3)
    with pytest.raises(ValueError, match=r"Standardize\(3\) isn't fitted: call its fit\(X\)"):
        module([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="needs at least one row"):
        module.fit([])
    rows = np.array([[1.0, 5.0, 7.0], [3.0, 9.0, 7.0]])
    assert module.fit(rows) is module
    assert module([1.0, 9.0, 7.0]) == [-1.0, 1.0, 0.0]
    assert module.batch(rows) == [[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]
    assert module.parameters() == []
    assert Standardize(1).fit([1.0, 3.0])(3.0) == 1.0


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (1, 1), (3, 2)])
@pytest.mark.parametrize("textbook", [False, True])
def test_a_convolution_is_the_sum_over_every_patch(*, stride: int, padding: int, textbook: bool):
    module = Conv2d(2, 3, 2, stride, padding, activation="linear", textbook=textbook)
    module.kernels[1].b = Value(0.5)
    picture = image(2, 4, 5)
    padded = np.pad(picture, ((0, 0), (padding, padding), (padding, padding)))
    heights, widths = (range(0, n - 1, stride) for n in padded.shape[1:])
    expected = [
        [
            [
                np.dot(padded[:, r : r + 2, c : c + 2].ravel(), data(list(kernel.w))) + b
                for c in widths
            ]
            for r in heights
        ]
        for kernel, b in zip(module.kernels, (0.0, 0.5, 0.0), strict=True)
    ]
    assert np.array(data(module(picture))) == pytest.approx(
        np.array(expected), rel=1e-12, abs=1e-12
    )


def test_an_image_of_one_channel_may_be_given_as_rows_of_columns():
    module = Conv2d(1, 2, 2)
    (picture,) = image(1, 3, 3)
    assert module(picture) == module([picture])
    assert MeanPool2d(3)(picture) == [[[pytest.approx(np.mean(picture))]]]
    with pytest.raises(TypeError, match=r"an image must be a list \[channel\]\[row\]\[column\]"):
        module([1.0, 2.0])


def test_pooling_takes_the_largest_or_the_mean_of_each_whole_window():
    picture = [[[1.0, 2.0, 9.0], [4.0, 3.0, 9.0], [0.0, -1.0, 9.0]]]
    assert MaxPool2d(2)(picture) == [[[4.0]]]
    assert MaxPool2d(2, 1)(picture) == [[[4.0, 9.0], [4.0, 9.0]]]
    assert MeanPool2d(2)(picture) == [[[2.5]]]


def test_flatten_goes_channel_by_channel_and_row_by_row():
    assert Flatten()([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]) == [*range(1, 9)]


@pytest.mark.parametrize("pool", [MaxPool2d(2), MeanPool2d(2, 1)])
def test_a_convolutional_network_has_right_gradients(pool: Module):
    flat = Flatten()(pool(image(2, 3, 3)))
    model = Sequential(
        Conv2d(1, 2, 2, activation="tanh"), pool, Flatten(), Layer(len(flat), 2, "linear")
    )
    picture = image(1, 4, 4)
    assert_gradients(lambda m: total(m(picture)), model)


# --- sequences ------------------------------------------------------------------------------------


@pytest.mark.parametrize("textbook", [False, True])
def test_a_recurrent_network_repeats_its_cell(*, textbook: bool):
    module = RNN(2, 3, textbook=textbook)
    w = np.array([[p.data for p in neuron.w] for neuron in module.cell.neurons])
    state = np.zeros(3)
    expected = []
    xs = image(1, 4, 2)[0]
    for x in xs:
        state = np.tanh(w @ [*x, *state])
        expected.append(state)
    outputs, last = module(xs)
    assert np.array(data(outputs)) == pytest.approx(np.array(expected), rel=1e-12)
    assert last is outputs[-1]
    assert module(xs[2:], module(xs[:2])[1])[1] == last
    assert repr(module).startswith("RNN(2, 3, 'tanh'): 18 parameters\n  cell: RNNCell(2, 3, ")


def test_gradients_flow_through_time():
    xs = image(1, 5, 2)[0]
    assert_gradients(lambda m: total(m(xs)[1]), RNN(2, 2))
    first = [Value(x) for x in xs[0]]
    total(RNN(2, 2)([first, *xs[1:]])[1]).backward()
    assert all(v.grad for v in first)


def test_a_state_of_the_wrong_size_is_an_error():
    with pytest.raises(ValueError, match=r"RNNCell\(1, 2, 'tanh'\) got a state of 3; expected 2"):
        RNNCell(1, 2)([1.0], [0.0] * 3)
