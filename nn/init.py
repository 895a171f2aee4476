"""How weights begin: initialisers by name.

An initialiser is a function (fan_in, fan_out, rng) -> float that is called once for each weight:
fan_in and fan_out count the inputs and outputs of its layer, rng is a `random.Random`. There is no
other source of chance: the same seed gives the same weights.
"""

from __future__ import annotations

from math import sqrt
from random import Random
from typing import TYPE_CHECKING, Any

from .activations import unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    Initializer = Callable[[int, int, Random], float]


def zeros(_fan_in: int, _fan_out: int, _rng: Random) -> float:
    """Return 0: all neurons of a layer stay alike then, which a notebook shows."""
    return 0.0


def uniform(_fan_in: int, _fan_out: int, rng: Random) -> float:
    """Return a number from -1 to 1, as micrograd does."""
    return rng.uniform(-1.0, 1.0)


def normal(_fan_in: int, _fan_out: int, rng: Random) -> float:
    """Return a small number: normally distributed with standard deviation 0.01."""
    return rng.gauss(0.0, 0.01)


def xavier(fan_in: int, fan_out: int, rng: Random) -> float:
    """Return a number from -√(6 / (fan_in + fan_out)) to √(6 / (fan_in + fan_out)).

    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks
    (2010), equation 16. For tanh and sigmoid.
    """
    bound = sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound)


def he(fan_in: int, _fan_out: int, rng: Random) -> float:
    """Return a normally distributed number with standard deviation √(2 / fan_in).

    He, Zhang, Ren and Sun, Delving deep into rectifiers (2015), equation 10. For relu.
    """
    return rng.gauss(0.0, sqrt(2.0 / fan_in))


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "uniform": uniform,
    "normal": normal,
    "xavier": xavier,
    "he": he,
}
"""Every initialiser that has a name."""


def initializer(function: str | Initializer) -> Initializer:
    """Return the initialiser of that name; a function is returned as it is.

    Raises:
        ValueError: if no initialiser has that name.
        TypeError: if `function` is neither text nor a function.

    """
    if callable(function):
        return function
    if not isinstance(function, str):
        message = (
            "init must be a name, such as 'he', or a function of (fan_in, fan_out, rng); "
            f"got {function!r}"
        )
        raise TypeError(message)
    if function not in INITIALIZERS:
        raise unknown("initialiser", function, INITIALIZERS)
    return INITIALIZERS[function]


def generator(seed: Any) -> Random:
    """Return the source of chance that begins at a seed; a `random.Random` is returned as it is.

    Raises:
        TypeError: if `seed` is neither a whole number nor a `random.Random`.

    """
    if isinstance(seed, Random):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int):
        message = f"seed must be a whole number or a random.Random; got {seed!r}"
        raise TypeError(message)
    return Random(seed)  # noqa: S311  (no cryptography)
