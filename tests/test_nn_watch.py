"""The laws of `nn.watch`: what is recorded is what happened, and nothing is changed by looking."""

from __future__ import annotations

import copy
import math
import pickle
import weakref
from typing import Any

import pytest

from autograd import Value, clip
from nn.blocks import Activation, Dropout, Residual, Sequential
from nn.conv import Conv2d, Flatten
from nn.fit import fit
from nn.layers import MLP, Layer, Neuron
from nn.losses import mse
from nn.module import Module
from nn.normalize import BatchNorm
from nn.optim import SGD
from nn.recurrent import RNN
from nn.watch import watch

X = [[0.5, 1.0], [-1.0, 0.25], [2.0, -0.5]]
Y = [1.0, -1.0, 0.5]


def step(model, lr=0.1):
    loss = mse(model.batch(X), Y)
    model.zero_grad()
    loss.backward()
    SGD(model, lr=lr).step()
    return loss.data


# --- what is recorded -----------------------------------------------------------------------------


def test_norms_are_those_of_the_layers_own_parameters_and_ratios_compare_with_those_before():
    model = MLP(2, [3, 1], "tanh")
    before = {name: [p.data for p in m.parameters()] for name, m in model.named_modules()}
    with watch(model) as watching:
        step(model)
        record = watching.record()
    assert list(record) == ["layer1", "layer2"]
    for name, layer in record.items():
        parameters = dict(model.named_modules())[name].parameters()
        grads = [p.grad for p in parameters]
        norm = math.sqrt(sum(g * g for g in grads))
        size = math.sqrt(sum(w * w for w in before[name]))
        assert layer.gradient_norm == pytest.approx(norm, rel=1e-14)
        assert layer.update_ratio == pytest.approx(0.1 * norm / size, rel=1e-9)
        after = math.sqrt(sum(p.data**2 for p in parameters))
        assert layer.weight_norm == pytest.approx(after, rel=1e-14)


def test_activations_and_their_mean_and_spread_are_those_of_the_outputs():
    model = Layer(2, 2, "tanh")
    expected = [v.data for x in X for v in model(x)]
    with watch(model) as watching:
        model.batch(X)
        layer = watching.record()["layer"]
    assert watching.activations == {"layer": expected}
    mean = sum(expected) / 6
    assert layer.mean == pytest.approx(mean, rel=1e-14)
    assert layer.spread**2 == pytest.approx(sum((x - mean) ** 2 for x in expected) / 6, rel=1e-14)
    assert layer.examples == 3


def test_a_unit_is_silent_on_the_share_of_examples_on_which_its_relu_is_0_and_dead_on_all():
    layer = Layer(1, 3, "relu")
    lines = [(1.0, 0.0), (1.0, -9.0), (0.0, 9.0)]
    for neuron, (weight, bias) in zip(layer.neurons, lines, strict=True):
        neuron.w[0].data = weight
        neuron.b = Value(bias)
    with watch(layer) as watching:
        layer.batch([[1.0], [2.0], [3.0], [-1.0]])
        record = watching.record()["layer"]
    assert record.silent == (0.25, 1.0, 0.0)
    assert record.dead == 1


def test_silent_is_0_that_passes_no_gradient_whatever_the_operation():
    def hard(x):
        return clip(x, 0.0, 1.0)

    for activation, silent in ((hard, 1.0), ("linear", 0.0), ("tanh", 0.0)):
        neuron = Neuron(1, activation)
        neuron.b = Value(-1.0 if activation is hard else 0.0)
        with watch(neuron) as watching:
            neuron([0.0])
            assert watching.record()["neuron"].silent == (silent,)


@pytest.mark.parametrize(
    ("activation", "inside", "outside"), [("tanh", 2.1, 2.3), ("sigmoid", 4.2, 4.6)]
)
def test_saturated_is_what_passes_on_less_than_a_twentieth_of_the_steepest_slope(
    activation, inside, outside
):
    neuron = Neuron(1, activation)
    neuron.w[0].data = 1.0
    with watch(neuron) as watching:
        neuron([inside])
        assert watching.record()["neuron"].saturated == 0.0
        neuron([outside])
        neuron([-outside])
        neuron([inside])
        neuron([0.0])
        assert watching.record()["neuron"].saturated == 0.5


def test_a_record_has_only_what_was_computed_since_the_last_one():
    model = MLP(2, [2, 1])
    with watch(model) as watching:
        model.batch(X)
        assert watching.record()["layer1"].examples == 3
        model(X[0])
        record = watching.record()["layer1"]
    assert record.examples == 1
    assert record.update_ratio == 0.0


def test_a_step_away_from_parameters_that_are_all_0_is_infinitely_long_and_no_step_is_0():
    model = Layer(2, 1, "linear", init="zeros")
    with watch(model) as watching:
        model.batch(X)
        assert watching.record()["layer"].update_ratio == 0.0
        step(model)
        assert watching.record()["layer"].update_ratio == math.inf


def test_numbers_whose_squares_overflow_can_be_recorded():
    model = Layer(1, 2, "linear")
    for neuron in model.neurons:
        neuron.w[0].data = 1e200
    with watch(model) as watching:
        model([1.0])
        model([-1.0])
        layer = watching.record()["layer"]
    assert layer.mean == 0.0
    assert layer.spread == pytest.approx(1e200)


# --- which layers ---------------------------------------------------------------------------------


def test_layers_are_what_learns_or_bends_and_no_container_and_no_single_neuron():
    model = Sequential(
        Layer(2, 3, "linear"),
        BatchNorm(3),
        Activation("relu"),
        Dropout(0.5),
        Residual(Layer(3, 3)),
        Layer(3, 1, "linear"),
    )
    with watch(model) as watching:
        step(model)
        record = watching.record()
    assert [name.split(".")[-1] for name in record] == [
        "layer1",
        "batchnorm2",
        "activation3",
        "module",
        "layer6",
    ]
    assert all(layer.examples == 3 for layer in record.values())
    assert record["activation3"].gradient_norm is None
    assert record["batchnorm2"].gradient_norm


def test_convolutions_and_recurrent_cells_are_layers():
    convolution = Sequential(Conv2d(1, 2, 2), Flatten())
    with watch(convolution) as watching:
        convolution([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
        (layer,) = watching.record().values()
    assert len(layer.silent) == 8
    rnn = RNN(1, 3)
    with watch(rnn) as watching:
        rnn([[1.0], [2.0]])
        (layer,) = watching.record().values()
    assert layer.examples == 2
    assert len(layer.silent) == 3


# --- looking changes nothing ----------------------------------------------------------------------


def test_a_watched_run_is_the_same_run_to_the_last_bit():
    plain, watched = MLP(2, [4, 4, 1]), MLP(2, [4, 4, 1])
    expected = [step(plain) for _ in range(5)]
    losses = []
    with watch(watched) as watching:
        for _ in range(5):
            losses.append(step(watched))
            watching.record()
    assert losses == expected
    assert [p.data for p in watched.parameters()] == [p.data for p in plain.parameters()]


def test_nothing_is_left_on_a_model_after_the_with_even_after_an_error():
    model = Sequential(Layer(2, 2), BatchNorm(2))
    before = [set(vars(module)) for module in model.modules()]

    def fail():
        with watch(model):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [set(vars(module)) for module in model.modules()] == before


def test_what_is_computed_in_evaluation_is_not_recorded():
    model = MLP(2, [2, 1])
    with watch(model) as watching:
        model(X[0])
        model.eval().batch(X)
        assert watching.record()["layer1"].examples == 1


def test_watching_holds_no_graph():
    model = MLP(2, [2, 1])
    with watch(model) as watching:
        output = model(X[0])
        gone = weakref.ref(output)
        del output
        assert gone() is None
        watching.record()


# --- with fit -------------------------------------------------------------------------------------


def test_watching_is_a_callback_that_records_each_epoch_and_hands_the_records_to_the_history():
    model = MLP(2, [3, 1], "tanh")
    with watch(model) as watching:
        history = fit(model, X, Y, epochs=4, validation=(X, Y), callbacks=[watching])
    assert history.records is watching.records
    assert [record["layer1"].examples for record in history.records] == [3] * 4


def test_an_epoch_of_several_batches_is_one_record_of_all_its_examples():
    model = MLP(2, [3, 1], "tanh")
    with watch(model) as watching:
        fit(model, X, Y, epochs=2, batch_size=1, callbacks=[watching])
    assert [record["layer1"].examples for record in watching.records] == [3, 3]


# --- errors ---------------------------------------------------------------------------------------


def test_only_a_module_with_layers_can_be_watched():
    number: Any = 3
    with pytest.raises(TypeError, match="watch takes a module, such as an MLP; got 3"):
        watch(number)
    with pytest.raises(ValueError, match=r"Flatten\(\) has no layer to watch"):
        watch(Flatten())


def test_recording_outside_of_the_with_or_before_anything_was_computed_says_what_to_do():
    model = MLP(2, [1])
    watching = watch(model)
    with pytest.raises(RuntimeError, match="write `with watch"):
        watching.record()
    with watching, pytest.raises(RuntimeError, match="has computed nothing in training"):
        watching.record()


def test_two_cannot_watch_one_model_and_the_first_goes_on():
    model = MLP(2, [1])
    with watch(model) as watching:
        with pytest.raises(RuntimeError, match="is watched already"), watch(model):
            pass
        model(X[0])
        assert watching.record()["layer1"].examples == 1


def test_where_one_layer_is_watched_already_the_others_are_left_alone():
    model = MLP(2, [2, 1])
    with watch(model.layers[1]):
        with pytest.raises(RuntimeError, match="is watched already"), watch(model):
            pass
        assert "forward" not in vars(model.layers[0])


def test_a_watched_model_is_not_copied_since_the_copy_would_use_the_originals_weights():
    model = MLP(2, [1])
    with watch(model):
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            copy.deepcopy(model)
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            pickle.dumps(model)
    assert copy.deepcopy(model)(X[0]).data == model(X[0]).data


def test_a_users_own_module_is_a_layer():
    class Line(Module):
        def __init__(self):
            self.slope = Value(2.0)

        def forward(self, x):
            return self.slope * x

    with watch(Line()) as watching:
        watching._layers[0].module(3.0)
        assert watching.record()["line"].mean == 6.0
