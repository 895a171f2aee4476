"""Neurons, layers of them, and the multilayer perceptron, compatible with micrograd's.

A neuron's weighted sum w₁x₁ + … + wₙxₙ + b is one `dot` node, the bias being the weight of a
constant 1. With `textbook=True` it is made of products and sums instead, in scopes: for drawings.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from autograd import Value, dot

from .activations import activation as find_activation
from .activations import name_of, on_value
from .init import generator, initializer
from .module import Module, check_size, check_width, name_parts, vector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from .init import Initializer


class Neuron(Module):
    """activation(w₁x₁ + … + wₙxₙ + b), with parameters w1 … wn and b.

    Raises:
        TypeError, ValueError: if `nin` is no width, or nothing has the name `activation` or `init`.

    """

    b: Value | None

    def __init__(  # noqa: PLR0913  (by keyword, each with a default)
        self,
        nin: int,
        activation: str | Callable[[Any], Any] = "relu",
        *,
        init: str | Initializer = "uniform",
        seed: int | Random = 0,
        textbook: bool = False,
        bias: bool = True,
        fan_out: int = 1,
    ) -> None:
        self.nin = check_width("Neuron", "nin", nin)
        draw = initializer(init)
        rng = generator(seed)
        self.w = tuple(Value(draw(nin, fan_out, rng)) for _ in range(nin))
        self.b = Value(0.0) if bias else None
        self.activation = find_activation(activation)
        self.textbook = textbook
        name_parts(self)

    def __setattr__(self, name: str, value: Any) -> None:
        # `dot` is handed the same tuple for every row. It is made where w or b is set; w is a
        # tuple, so that it can't change unseen.
        if name == "w":
            value = tuple(value)
            if hasattr(self, "activation"):
                check_size(self, value, self.nin, "weight")
        super().__setattr__(name, value)
        if name == "b":
            self._weights = self.w if value is None else (*self.w, value)
        elif name == "w" and hasattr(self, "b"):
            self.b = self.b
        elif name == "activation":
            self._activation = on_value(value)

    def forward(self, x: Any) -> Value:
        """Return the neuron's value at the vector x."""
        x = vector(x)
        check_size(self, x, self.nin)
        if not self.textbook:
            return self.at(tuple(x) if self.b is None else (*x, 1.0))
        total: Any = self.w[0] * x[0]
        for weight, number in zip(self.w[1:], x[1:], strict=True):
            total = total + weight * number
        return self._activation(total if self.b is None else total + self.b)

    def at(self, inputs: tuple[Any, ...]) -> Value:
        """Return the neuron's value in two nodes, where `inputs` is x and, for the bias, 1.0."""
        return self._activation(dot(self._weights, inputs))

    def signature(self) -> str:
        """Return the call that makes such a neuron."""
        return f"Neuron({self.nin}, {name_of(self.activation)!r})"


class Layer(Module):
    """A list of `nout` neurons that see the same `nin` inputs; of one neuron, a single Value.

    Raises:
        TypeError, ValueError: as `Neuron`.

    """

    def __init__(  # noqa: PLR0913  (as Neuron)
        self,
        nin: int,
        nout: int,
        activation: str | Callable[[Any], Any] = "relu",
        *,
        init: str | Initializer = "uniform",
        seed: int | Random = 0,
        textbook: bool = False,
        bias: bool = True,
    ) -> None:
        self.nin = check_width("Layer", "nin", nin)
        self.nout = check_width("Layer", "nout", nout)
        self.textbook = textbook
        rng = generator(seed)
        self.neurons = [
            Neuron(
                nin,
                activation,
                init=init,
                seed=rng,
                textbook=textbook,
                bias=bias,
                fan_out=nout,
            )
            for _ in range(nout)
        ]
        name_parts(self)

    def forward(self, x: Any) -> Any:
        """Return the neurons' values at the vector x."""
        x = vector(x)
        check_size(self, x, self.nin)
        if self.textbook:
            outputs = [neuron(x) for neuron in self.neurons]
        else:
            inputs = tuple(x) if self.neurons[0].b is None else (*x, 1.0)
            outputs = [neuron.at(inputs) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs

    def signature(self) -> str:
        """Return the call that makes such a layer."""
        return f"Layer({self.nin}, {self.nout}, {name_of(self.neurons[0].activation)!r})"

    def __repr__(self) -> str:
        """Return one line: the neurons of a layer differ in their weights only."""
        return super().__repr__().splitlines()[0]


class MLP(Module):
    """A multilayer perceptron: `nin` inputs, then layers of the widths `nouts`.

    Hidden layers have the `activation`, the last one `output_activation`. The result is a list of
    Values, or a single Value where the last width is 1. Weights begin as micrograd's do, uniform
    from -1 to 1 with biases 0: `seed=s` gives the very weights that micrograd draws after
    random.seed(s). For deep networks `init="he"` (relu) or "xavier" (tanh) is better.

    >>> MLP(2, [16, 16, 1])
    MLP(2, [16, 16, 1]): 337 parameters
      layer1: Layer(2, 16, 'relu'): 48 parameters
      layer2: Layer(16, 16, 'relu'): 272 parameters
      layer3: Layer(16, 1, 'linear'): 17 parameters

    Raises:
        TypeError, ValueError: if a width is none, or nothing has the name `activation` or `init`.

    """

    def __init__(  # noqa: PLR0913  (as Neuron)
        self,
        nin: int,
        nouts: Sequence[int],
        activation: str | Callable[[Any], Any] = "relu",
        *,
        output_activation: str | Callable[[Any], Any] = "linear",
        init: str | Initializer = "uniform",
        seed: int | Random = 0,
        textbook: bool = False,
        bias: bool = True,
    ) -> None:
        self.nin = check_width("MLP", "nin", nin)
        self.nouts = _widths(nouts)
        self.textbook = textbook
        rng = generator(seed)
        hidden = find_activation(activation)  # here, so that a wrong name is one in any case
        last = len(self.nouts) - 1
        self.layers = [
            Layer(
                *widths,
                output_activation if number == last else hidden,
                init=init,
                seed=rng,
                textbook=textbook,
                bias=bias,
            )
            for number, widths in enumerate(pairwise([nin, *self.nouts]))
        ]
        name_parts(self)

    def forward(self, x: Any) -> Any:
        """Return the network's value at the vector x."""
        x = vector(x)
        check_size(self, x, self.nin)
        for layer in self.layers:
            x = layer(x)
        return x

    def signature(self) -> str:
        """Return the call that makes such a network, but for its options."""
        return f"MLP({self.nin}, {self.nouts})"


def _widths(nouts: Any) -> list[int]:
    if isinstance(nouts, str) or not hasattr(nouts, "__len__") or len(nouts) == 0:
        message = f"MLP: nouts (={nouts!r}) must be a list of widths, such as [16, 16, 1]"
        raise TypeError(message)
    return [check_width("MLP", f"nouts[{i}]", nout) for i, nout in enumerate(nouts)]
