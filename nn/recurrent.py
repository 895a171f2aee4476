"""Recurrent networks: one cell, applied to a sequence step by step, gradients through time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .activations import name_of
from .init import generator
from .layers import Neuron
from .module import Module, check_size, check_width, name_parts, vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .init import Initializer


class RNNCell(Module):
    """The next state: activation(W · [x, state] + b), a neuron for each of its numbers.

    A neuron's weights w1, w2, … go to the `nin` inputs first and to the `nhidden` numbers of the
    old state then. Elman, Finding structure in time (1990).

    Raises:
        TypeError, ValueError: as `Layer`.

    """

    def __init__(  # noqa: PLR0913  (as Layer)
        self,
        nin: int,
        nhidden: int,
        activation: str | Callable[[Any], Any] = "tanh",
        *,
        init: str | Initializer = "xavier",
        seed: int | Random = 0,
        textbook: bool = False,
    ) -> None:
        self.nin = check_width("RNNCell", "nin", nin)
        self.nhidden = check_width("RNNCell", "nhidden", nhidden)
        self.textbook = textbook
        rng = generator(seed)
        self.neurons = [
            Neuron(
                nin + nhidden, activation, init=init, seed=rng, textbook=textbook, fan_out=nhidden
            )
            for _ in range(nhidden)
        ]
        name_parts(self)

    def forward(self, x: Any, state: Any = None) -> list[Any]:
        """Return the state after the vector x; before the first one it is zeros."""
        x = vector(x)
        check_size(self, x, self.nin)
        state = [0.0] * self.nhidden if state is None else vector(state)
        if len(state) != self.nhidden:
            message = f"{self.signature()} got a state of {len(state)}; expected {self.nhidden}"
            raise ValueError(message)
        if self.textbook:
            return [neuron([*x, *state]) for neuron in self.neurons]
        inputs = (*x, *state, 1.0)
        return [neuron.at(inputs) for neuron in self.neurons]

    def signature(self) -> str:
        """Return the call that makes such a cell."""
        name = name_of(self.neurons[0].activation)
        return f"{type(self).__name__}({self.nin}, {self.nhidden}, {name!r})"

    def __repr__(self) -> str:
        """Return one line, as for a layer."""
        return super().__repr__().splitlines()[0]


class RNN(Module):
    """A cell unrolled over a sequence: the same parameters at every step."""

    def __init__(  # noqa: PLR0913  (as RNNCell)
        self,
        nin: int,
        nhidden: int,
        activation: str | Callable[[Any], Any] = "tanh",
        *,
        init: str | Initializer = "xavier",
        seed: int | Random = 0,
        textbook: bool = False,
    ) -> None:
        self.cell = RNNCell(nin, nhidden, activation, init=init, seed=seed, textbook=textbook)
        self.textbook = textbook
        name_parts(self)

    def forward(self, xs: Any, state: Any = None) -> tuple[list[Any], Any]:
        """Return (the states after each vector of xs, the last of them).

        Raises:
            ValueError: if xs is empty, or a vector or the first state has another size.

        """
        states: list[Any] = []
        for x in xs:
            state = self.cell(x, state)
            states.append(state)
        if not states:
            message = f"{self.signature()} needs a sequence of at least one vector; got none"
            raise ValueError(message)
        return states, state

    def signature(self) -> str:
        """Return the call that makes such a network."""
        return self.cell.signature().replace("RNNCell", "RNN")
