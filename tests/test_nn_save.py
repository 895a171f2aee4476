"""The laws of saving and loading, and of going to PyTorch and back where it is installed."""

from __future__ import annotations

import json
import math
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Value
from nn.activations import ACTIVATIONS
from nn.blocks import Activation, Dropout, Residual, Sequential
from nn.conv import Conv2d, Flatten, MaxPool2d, MeanPool2d
from nn.layers import MLP, Layer
from nn.module import Module
from nn.normalize import BatchNorm, Standardize
from nn.save import load, save
from nn.torch import from_torch, to_torch

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = [".json", ".safetensors"]
ROWS = [[0.5, -1.0], [1.5, 2.0], [-0.25, 0.125]]


def model(seed: int = 0) -> Sequential:
    return Sequential(Standardize(2), Layer(2, 2, "tanh", seed=seed), BatchNorm(2), MLP(2, [1]))


def trained() -> Sequential:
    made = model(seed=1)
    standardize: Any = made[0]
    standardize.fit(ROWS)
    made.batch(ROWS)  # which moves the averages of the BatchNorm
    return made


def state(module: Module) -> list[Any]:
    numbers = [[p.data for p in module.parameters()]]
    return numbers + [getattr(m, name) for m in module.modules() for name in m.statistics]


class One(Module):
    """One parameter, w."""

    def __init__(self, w: float = 0.0) -> None:
        self.w = Value(w)


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_loaded_model_is_the_saved_one_to_the_last_bit(tmp_path: Path, suffix: str):
    path = tmp_path / f"model{suffix}"
    saved = trained()
    save(saved, path)
    loaded = load(model(), str(path))
    assert state(loaded) == state(saved)
    assert loaded.eval().batch(ROWS) == saved.eval().batch(ROWS)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(x=st.floats(allow_nan=True, allow_infinity=True))
def test_every_double_comes_back(
    tmp_path_factory: pytest.TempPathFactory, *, suffix: str, x: float
):
    path = tmp_path_factory.getbasetemp() / f"one{suffix}"
    save(One(x), path)
    back = load(One(), path).w.data
    assert repr(back) == repr(x)
    assert math.copysign(1.0, back) == math.copysign(1.0, x) or math.isnan(x)


def test_json_can_be_read_and_written_by_people(tmp_path: Path):
    path = tmp_path / "one.json"
    save(Sequential(Layer(1, 1, init=lambda *_: 0.1), Standardize(1).fit([2.0])), path)
    assert path.read_text() == (
        '{\n "layer1.neuron1.w1": 0.1,\n "layer1.neuron1.b": 0.0,\n'
        ' "standardize2.mean": [\n  2.0\n ],\n "standardize2.std": [\n  1.0\n ]\n}\n'
    )
    path.write_text('{"w": 3}')
    assert load(One(), path).w.data == 3.0


def test_a_parameter_stays_the_same_value(tmp_path: Path):
    save(One(2.0), tmp_path / "one.json")
    module = One()
    w = module.w
    load(module, tmp_path / "one.json")
    assert module.w is w
    assert w.data == 2.0


# --- what doesn't fit -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_does_not_fit_is_an_error_that_names_the_differences(
    tmp_path: Path, suffix: str
):
    path = tmp_path / f"model{suffix}"
    save(MLP(2, [2, 1]), path)
    other = MLP(2, [3])
    before = state(other)
    with pytest.raises(ValueError, match=r"doesn't fit this MLP: ") as caught:
        load(other, path)
    assert "missing from the file: layer1.neuron3.w1, layer1.neuron3.w2" in str(caught.value)
    assert "in the file only: layer2.neuron1.b, layer2.neuron1.w1, layer2" in str(caught.value)
    assert state(other) == before
    with pytest.raises(ValueError, match=r"neuron4\.b, layer1\.neuron5\.w1 and 7 more; in the"):
        load(MLP(1, [8]), path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_size_that_differs_is_named_and_nothing_is_changed(tmp_path: Path, suffix: str):
    path = tmp_path / f"model{suffix}"
    save(Sequential(Standardize(2).fit(ROWS)), path)
    other = Sequential(Standardize(3).fit([[1.0, 2.0, 3.0]]))
    before = state(other)
    with pytest.raises(ValueError, match=r"mean is a list of 2 in the file and a list of 3 in the"):
        load(other, path)
    assert state(other) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_or_foreign_file_is_an_error_and_changes_nothing(tmp_path: Path, suffix: str):
    path = tmp_path / f"model{suffix}"
    save(trained(), path)
    content = path.read_bytes()
    other = model()
    before = repr(state(other))  # nan, before it is fitted
    for length in (0, 1, 7, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=rf"model\{suffix} is damaged, or no file that nn"):
            load(other, path)
    path.write_bytes(b"\x80\x04\x95\xff" * 100)
    with pytest.raises(ValueError, match="is damaged"):
        load(other, path)
    assert repr(state(other)) == before


@pytest.mark.parametrize(
    "text",
    ["[1.0]", '{"w": "2"}', '{"w": {"x": 1.0}}', '{"w": true}', '{"w": [[1.0]]}', "[" * 100_000],
)
def test_json_of_another_kind_is_an_error(tmp_path: Path, text: str):
    path = tmp_path / "one.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"one\.json is damaged, or no file that nn\.save wrote"):
        load(One(), path)


@pytest.mark.parametrize("array", [[[1.0]], 3])
def test_tensors_of_another_kind_are_an_error(tmp_path: Path, array: Any):
    numpy, safetensors = import_module("numpy"), import_module("safetensors.numpy")
    path = tmp_path / "one.safetensors"
    safetensors.save_file({"w": numpy.array(array)}, path)
    with pytest.raises(ValueError, match=r"is damaged, or .* wrote: w is (float64|int64) of shape"):
        load(One(), path)


def test_only_two_kinds_of_file_are_known(tmp_path: Path):
    with pytest.raises(ValueError, match=r"as \.json or \.safetensors; got 'model\.pkl'"):
        save(One(), tmp_path / "model.pkl")
    with pytest.raises(ValueError, match=r"as \.json or \.safetensors; got 'model'"):
        load(One(), tmp_path / "model")
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        load(One(), tmp_path / "none.json")


def test_a_model_that_is_not_fitted_is_not_saved(tmp_path: Path):
    with pytest.raises(ValueError, match=r"standardize1\.mean is nan: fit Standardize\(2\) before"):
        save(model(), tmp_path / "model.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "one.json"
    save(One(1.0), path)

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(One(2.0), path)
    assert json.loads(path.read_text()) == {"w": 1.0}
    assert [p.name for p in tmp_path.iterdir()] == ["one.json"]


def test_without_the_package_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'chainrule\[train\]', or save as \.json"):
        save(One(), tmp_path / "one.safetensors")
    save(One(), tmp_path / "one.json")


# --- PyTorch --------------------------------------------------------------------------------------


def test_without_pytorch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="PyTorch isn't installed: pip install torch"):
        to_torch(MLP(2, [1]))
    with pytest.raises(ImportError, match="PyTorch isn't installed: pip install torch"):
        from_torch(None)


if find_spec("torch"):  # where it isn't, the error above is all there is to test
    torch: Any = import_module("torch")

    def assert_equal_and_comes_back(ours: Module, rows: list[Any]) -> None:
        """Hold values, parameters' and inputs' gradients together, and those of the way back."""
        theirs = to_torch(ours)
        inputs = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
        outputs = theirs(inputs)
        outputs.sin().sum().backward()
        flat = sorted(x for p in theirs.parameters() for x in p.grad.flatten().tolist())
        for module in (ours, from_torch(theirs)):
            leaves = [[Value(x) for x in Flatten()(row)] for row in rows]
            shaped = torch.tensor(rows).shape[1:]
            found = Flatten()(module.batch([nested(row, shaped) for row in leaves]))
            assert [y.data for y in found] == pytest.approx(outputs.flatten().tolist(), rel=1e-12)
            module.zero_grad()
            autograd.sum([autograd.sin(y) for y in found]).backward()
            grads = sorted(p.grad for p in module.parameters())
            assert grads == pytest.approx(flat, rel=1e-9, abs=1e-12)
            slopes = [x.grad for row in leaves for x in row]
            assert slopes == pytest.approx(inputs.grad.flatten().tolist(), rel=1e-9, abs=1e-12)

    def nested(xs: list[Any], shape: Any) -> list[Any]:
        if len(shape) == 1:
            return xs
        size = len(xs) // shape[0]
        return [nested(xs[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]

    @pytest.mark.parametrize("name", sorted(ACTIVATIONS))
    @pytest.mark.parametrize("bias", [False, True])
    def test_a_network_is_equal_in_pytorch_and_comes_back(name: str, *, bias: bool):
        ours = MLP(2, [4, 3, 2], activation=name, bias=bias)
        assert_equal_and_comes_back(ours, ROWS)
        back = from_torch(to_torch(ours))
        assert back.named_parameters() == ours.named_parameters()
        assert [repr(layer) for layer in back] == [repr(layer) for layer in ours.layers]

    def test_a_sequence_of_known_parts_is_equal_in_pytorch_and_comes_back():
        parts = [Layer(2, 3, "tanh"), BatchNorm(3), Activation("silu"), Layer(3, 1, "linear")]
        ours = Sequential(*parts, Dropout(0.0))
        assert_equal_and_comes_back(ours, ROWS)
        ours.eval()
        assert not to_torch(ours).training
        assert_equal_and_comes_back(ours, ROWS)

    @pytest.mark.parametrize("pool", [MaxPool2d(2, 1), MeanPool2d(2)])
    def test_a_convolutional_network_is_equal_in_pytorch_and_comes_back(pool: Module):
        flat = 2 * 3 * 3 if isinstance(pool, MaxPool2d) else 2 * 2 * 2
        first = Conv2d(1, 2, 3, 2, 1, activation="tanh")
        ours = Sequential(first, pool, Flatten(), Layer(flat, 2, "linear"))
        images = [[[[math.sin(i * j + k) for i in range(7)] for j in range(7)]] for k in range(2)]
        assert_equal_and_comes_back(ours, images)

    def test_the_module_is_a_plain_sequence_in_double_precision():
        before = torch.random.get_rng_state()
        theirs = to_torch(MLP(2, [3, 1], activation="tanh"))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert [type(part).__name__ for part in theirs] == ["Linear", "Tanh", "Linear"]
        shapes = {
            name: (*tensor.shape, tensor.dtype) for name, tensor in theirs.state_dict().items()
        }
        double = torch.float64
        assert shapes == {
            "0.weight": (3, 2, double),
            "0.bias": (3, double),
            "2.weight": (1, 3, double),
            "2.bias": (1, double),
        }

    def test_what_pytorch_has_no_equal_of_is_an_error():
        for module, name in (
            (Residual(Layer(2, 2)), r"Residual\(\)"),
            (Sequential(Standardize(2)), r"Standardize\(2\)"),
            (Layer(2, 2, lambda x: x), "the activation '<lambda>'"),
        ):
            with pytest.raises(TypeError, match=f"PyTorch has no module that is equal to {name}"):
                to_torch(module)

    def test_what_we_have_no_equal_of_is_an_error():
        kinds = torch.nn
        for part in (
            kinds.Bilinear(1, 1, 1),
            kinds.LeakyReLU(0.5),
            kinds.Conv2d(1, 1, (2, 3)),
            kinds.Conv2d(1, 1, 3, padding="same"),
            kinds.MaxPool2d(2, padding=1),
            kinds.BatchNorm1d(2, affine=False),
        ):
            with pytest.raises(TypeError, match="we have no module that is equal to"):
                from_torch(kinds.Sequential(kinds.Linear(2, 2), part))
