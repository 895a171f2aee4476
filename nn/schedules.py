"""Learning-rate schedules: functions of the epoch, counted from 0, that return a factor for lr.

>>> schedule = warmup(2, then=step(10))
>>> [schedule(epoch) for epoch in (0, 1, 2, 11, 12)]
[0.5, 1.0, 1.0, 1.0, 0.1]

In a loop of one's own: `optimizer.lr = lr * schedule(epoch)`. One of your own, such as
`lambda epoch: 1 / (1 + epoch)`, goes wherever one of these goes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

Schedule = Callable[[int], float]


def constant() -> Schedule:
    """Return a schedule that leaves lr as it is."""
    return lambda _epoch: 1.0


def step(every: int, factor: float = 0.1) -> Schedule:
    """Return a schedule that multiplies lr by `factor` each time `every` epochs have passed.

    Raises:
        ValueError: if every < 1, or factor isn't > 0.

    """
    _check_count("step", "every", every)
    _check_factor("step", factor)
    return lambda epoch: factor ** (epoch // every)


def exponential(factor: float) -> Schedule:
    """Return a schedule that multiplies lr by `factor` after each epoch.

    Raises:
        ValueError: if factor isn't > 0.

    """
    _check_factor("exponential", factor)
    return lambda epoch: factor**epoch


def cosine(epochs: int, minimum: float = 0.0) -> Schedule:
    """Return a schedule that falls from 1 to `minimum` along half a cosine, and stays there.

    Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2017), equation 5,
    without the restarts.

    Raises:
        ValueError: if epochs < 1, or minimum isn't between 0 and 1.

    """
    _check_count("cosine", "epochs", epochs)
    if not 0.0 <= minimum <= 1.0:
        message = f"cosine: minimum must lie between 0 and 1; got {minimum!r}"
        raise ValueError(message)

    def factor(epoch: int) -> float:
        done = min(epoch / epochs, 1.0)
        return minimum + (1.0 - minimum) * 0.5 * (1.0 + cos(pi * done))

    return factor


def warmup(epochs: int, then: Schedule | None = None) -> Schedule:
    """Return a schedule that rises 1/n, 2/n, … 1 in n = `epochs` epochs, then goes on as `then`.

    `then` counts its own epochs from 0; without it, lr stays as it is.

    Raises:
        ValueError: if epochs < 1.

    """
    _check_count("warmup", "epochs", epochs)
    after = then or constant()
    return lambda epoch: (epoch + 1) / epochs if epoch < epochs else after(epoch - epochs)


def _check_count(name: str, what: str, count: int) -> None:
    if not count >= 1:
        message = f"{name}: {what} must be a number of epochs, at least 1; got {count!r}"
        raise ValueError(message)


def _check_factor(name: str, factor: float) -> None:
    if not factor > 0.0:
        message = f"{name}: factor must be > 0, and below 1 to slow down; got {factor!r}"
        raise ValueError(message)
