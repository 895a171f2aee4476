"""Activation functions by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import autograd
from autograd import Op, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def linear(x: Any) -> Any:
    """Return x itself."""
    return x


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": linear,
    "relu": autograd.relu,
    "leaky_relu": autograd.leaky_relu,
    "elu": autograd.elu,
    "gelu": autograd.gelu,
    "silu": autograd.silu,
    "softplus": autograd.softplus,
    "sigmoid": autograd.sigmoid,
    "tanh": autograd.tanh,
}
"""Every activation that has a name, as a function of a number or a Value."""


def activation(function: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the activation of that name; a function is returned as it is.

    Raises:
        ValueError: if no activation has that name.
        TypeError: if `function` is neither text nor a function.

    """
    if callable(function):
        return function
    if not isinstance(function, str):
        message = f"activation must be a name, such as 'relu', or a function; got {function!r}"
        raise TypeError(message)
    if function == "softmax":
        message = (
            "activation 'softmax' is no function of one number: let the outputs be linear and "
            "train with cross_entropy, which takes them so; autograd.softmax(outputs) gives the "
            "probabilities"
        )
        raise ValueError(message)
    if function not in ACTIVATIONS:
        raise unknown("activation", function, ACTIVATIONS)
    return ACTIVATIONS[function]


def name_of(function: Callable[[Any], Any]) -> str:
    """Return what a function is called: the name under which we know it, or its own."""
    for name, known in ACTIVATIONS.items():
        if function is known:
            return name
    own: str = getattr(function, "name", "") or getattr(function, "__name__", "")
    return own or repr(function)


def on_value(function: Callable[[Any], Any]) -> Callable[[Value], Value]:
    """Return the same function for Values alone, which needn't look at what it is given."""
    if isinstance(function, Op):
        method: Callable[[Value], Value] = getattr(Value, function.name)
        return method
    return function


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error for a name that nothing has, with the one that was meant, perhaps."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return ValueError(f"no {kind} is called {name!r}; {hint}there are {', '.join(names)}")
