"""The laws of modules: parameters found and named by themselves; activations and initialisers."""

from __future__ import annotations

import copy
import doctest
import pickle
import random
import statistics
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import autograd
import nn.layers
import nn.module
from autograd import Value
from nn.activations import ACTIVATIONS, activation
from nn.init import INITIALIZERS, generator, initializer
from nn.layers import MLP, Layer, Neuron
from nn.module import Module

if TYPE_CHECKING:
    from types import ModuleType


class Parts(Module):
    """Whatever attributes a test needs."""

    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)


def names(module: Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


@pytest.mark.parametrize("module", [nn.module, nn.layers], ids=lambda m: m.__name__)
def test_the_examples_in_docstrings_are_true(module: ModuleType):
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


# --- finding and naming ---------------------------------------------------------------------------


def test_parameters_are_named_by_layer_neuron_and_place():
    found = names(MLP(2, [2, 1]))
    assert found[:3] == ["layer1.neuron1.w1", "layer1.neuron1.w2", "layer1.neuron1.b"]
    assert found[3] == "layer1.neuron2.w1"
    assert found[-1] == "layer2.neuron1.b"
    assert len(found) == 9


def test_a_parameter_carries_its_name_as_label_and_its_path_as_scope():
    model = MLP(2, [2, 1])
    assert all(p.label == name for name, p in model.named_parameters())
    assert model.layers[0].neurons[1].w[0].scope == "layer1/neuron2"
    assert Neuron(1).w[0].label == "w1"


def test_attributes_give_their_names_in_the_order_of_assignment():
    v = [Value(float(i)) for i in range(10)]
    module = Parts(
        slope=v[0],
        inner=Parts(b=v[1]),
        weights=[v[2], (v[3], [v[4]])],
        bias=[v[5]],
        w1=[v[6]],
        loss=[v[7]],
        s=[v[8]],
        last=v[9],
    )
    assert names(module) == [
        "slope",
        "inner.b",
        "weight1",
        "weight2_1",
        "weight2_2_1",
        "bias1",
        "w1_1",
        "loss1",
        "s1",
        "last",
    ]
    assert module.parameters() == v


def test_what_is_private_computed_or_no_value_is_no_parameter():
    w = Value(1.0)
    module = Parts(_hidden=Value(2.0), w=w, y=w * 2.0, n=3, text="w", numbers=[1.0, None])
    assert names(module) == ["w"]


def test_what_is_shared_is_found_once_under_its_first_name():
    shared = Value(1.0)
    inner = Parts(w=shared)
    module = Parts(first=inner, second=inner, third=Parts(w=shared))
    assert names(module) == ["first.w"]
    assert [name for name, _ in module.named_modules()] == ["", "first", "third"]


def test_a_module_may_know_the_one_that_it_is_part_of():
    inner = Parts(w=Value(1.0))
    outer = Parts(inner=inner)
    vars(inner)["outer"] = outer
    assert names(outer) == ["inner.w"]


def test_two_parameters_of_one_name_are_an_error():
    module = Parts(w=[Value(1.0)], w1=Value(2.0))
    with pytest.raises(ValueError, match="two parameters of Parts are called 'w1': rename"):
        module.named_parameters()


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Parts has no forward\(x\): define it"):
        Parts()(1.0)


def test_a_batch_is_the_module_at_every_row():
    model = MLP(2, [3, 2])
    rows = [[1.0, 2.0], [0.5, -1.0]]
    assert model.batch(iter(rows)) == [model(x) for x in rows]


# --- state ----------------------------------------------------------------------------------------


def test_zero_grad_sets_every_gradient_to_0():
    model = MLP(2, [3, 1])
    model([1.0, 2.0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [0.0] * 13


def test_frozen_parameters_are_not_trainable_and_stay_parameters():
    model = MLP(2, [3, 1])
    first, last = model.layers
    assert model.freeze() is model
    assert model.trainable_parameters() == []
    last.unfreeze()
    assert model.trainable_parameters() == last.parameters()
    assert len(model.parameters()) == 13
    assert all(name.startswith("layer2.") for name, _ in model.named_parameters(trainable=True))
    assert first.frozen
    assert "layer1: Layer(2, 3, 'relu'): 9 parameters, frozen\n" in repr(model)


def test_a_parameter_shared_with_a_frozen_module_is_frozen():
    shared = Value(1.0)
    model = Parts(a=Parts(w=shared), b=Parts(w=shared, v=Value(2.0)))
    model.b.freeze()  # type: ignore[attr-defined]  # Parts has what it is given
    assert model.trainable_parameters() == []


def test_training_and_evaluation_reach_every_module():
    model = MLP(2, [3, 1])
    assert model.training
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    model.train()
    assert all(module.training for module in model.modules())


def pickled(model: Module) -> Any:
    return pickle.loads(pickle.dumps(model))  # noqa: S301  (our own bytes)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_of_a_model_learns_by_itself(copied: Any):
    model = MLP(2, [3, 1], activation="tanh")
    twin = copied(model)
    assert twin([1.0, 2.0]) == model([1.0, 2.0])
    twin([1.0, 2.0]).backward()
    assert all(p.grad == 0.0 for p in model.parameters())
    assert all(p.grad for p in twin.layers[1].parameters())
    twin.layers[0].neurons[0].w[0].data += 1.0
    assert twin([1.0, 2.0]) != model([1.0, 2.0])


def test_a_repr_shows_the_structure_and_counts_the_parameters():
    assert repr(Parts(inner=Parts(w=Value(1.0)), b=Value(0.0))) == (
        "Parts(): 2 parameters\n  inner: Parts(): 1 parameter"
    )
    assert repr(Neuron(2, "tanh")) == "Neuron(2, 'tanh'): 3 parameters"


# --- activations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_is_found_by_name_and_works_on_numbers_and_values(name: str):
    function = activation(name)
    expected = 0.3 if name == "linear" else getattr(autograd, name)(0.3)
    assert function(0.3) == expected
    assert Neuron(1, name, init=lambda *_: 1.0)(0.3) == expected
    assert repr(Neuron(1, name)).startswith(f"Neuron(1, {name!r})")


def test_a_function_of_ones_own_is_an_activation():
    def bump(x: Any) -> Any:
        return autograd.exp(-x * x)

    neuron = Neuron(1, bump, init=lambda *_: 1.0)
    assert neuron([2.0]) == autograd.exp(-4.0)
    assert repr(neuron) == "Neuron(1, 'bump'): 2 parameters"


def test_an_unknown_activation_is_an_error_with_a_suggestion():
    with pytest.raises(ValueError, match=r"'rleu'; did you mean 'relu'\? there are elu, gelu, "):
        MLP(2, [1], activation="rleu")
    with pytest.raises(ValueError, match="called 'foo'; there are elu"):
        activation("foo")
    with pytest.raises(ValueError, match=r"let the outputs be linear and .* cross_entropy"):
        activation("softmax")
    with pytest.raises(TypeError, match="a name, such as 'relu', or a function; got 3"):
        Layer(1, 1, 3)  # type: ignore[arg-type]


# --- initialisers ---------------------------------------------------------------------------------


def draws(name: str, fan_in: int = 200, fan_out: int = 50) -> list[float]:
    rng = generator(1)
    return [initializer(name)(fan_in, fan_out, rng) for _ in range(20_000)]


# Of 20,000 draws the standard deviation is within 1 % by two standard errors (1/√(2n) = 0.5 %).
@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("uniform", 1.0 / 3.0**0.5),
        ("normal", 0.01),
        ("xavier", (2.0 / (200 + 50)) ** 0.5),
        ("he", (2.0 / 200) ** 0.5),
    ],
)
def test_an_initialiser_has_the_published_deviation(name: str, deviation: float):
    numbers = draws(name)
    assert statistics.pstdev(numbers) == pytest.approx(deviation, rel=0.01)
    assert statistics.fmean(numbers) == pytest.approx(0.0, abs=0.03 * deviation)


def test_xavier_and_uniform_are_bounded_and_zeros_are_zero():
    bound = (6.0 / 250) ** 0.5
    assert 0.99 * bound < max(draws("xavier")) <= bound
    assert -1.0 <= min(draws("uniform")) < -0.99
    assert set(draws("zeros")) == {0.0}


def test_an_initialiser_is_told_the_fans_and_biases_begin_at_0():
    seen = []

    def note(fan_in: int, fan_out: int, rng: Random) -> float:
        seen.append((fan_in, fan_out))
        return rng.random()

    model = MLP(3, [2, 1], init=note)
    assert seen == [(3, 2)] * 6 + [(2, 1)] * 2
    assert [p.data for name, p in model.named_parameters() if name.endswith(".b")] == [0.0] * 3


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_the_same_seed_gives_the_same_weights_and_nothing_global_is_touched(name: str):
    before = random.getstate()
    first, again, other = (MLP(3, [4, 1], init=name, seed=seed) for seed in (5, 5, 6))
    assert random.getstate() == before
    data = [p.data for p in first.parameters()]
    assert data == [p.data for p in again.parameters()]
    assert (data == [p.data for p in other.parameters()]) == (name == "zeros")


def test_a_generator_may_be_passed_along():
    rng = generator(3)
    first, second = Neuron(2, seed=rng), Neuron(2, seed=rng)
    assert first.w[0].data != second.w[0].data
    assert generator(rng) is rng


@pytest.mark.parametrize("seed", [None, 1.5, True, "1"], ids=repr)
def test_a_seed_is_a_whole_number(seed: Any):
    with pytest.raises(TypeError, match=r"seed must be a whole number or a random\.Random; got"):
        MLP(2, [1], seed=seed)


def test_an_unknown_initialiser_is_an_error_with_a_suggestion():
    with pytest.raises(ValueError, match="no initialiser is called 'xaver'; did you mean 'xavier'"):
        MLP(2, [1], init="xaver")
    with pytest.raises(
        TypeError, match=r"'he', or a function of \(fan_in, fan_out, rng\); got 0.1"
    ):
        MLP(2, [1], init=0.1)  # type: ignore[arg-type]
