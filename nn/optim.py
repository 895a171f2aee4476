"""Optimisers: one formula each.

>>> from autograd import Value
>>> w = Value(3.0)
>>> optimizer = SGD([w], lr=0.1)
>>> for _ in range(100):
...     loss = (w - 1.0) ** 2
...     optimizer.zero_grad()
...     loss.backward()
...     optimizer.step()
>>> round(w.data, 6)
1.0

Arguments have PyTorch's names, defaults and meaning: the same gradients give the same steps.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import autograd

from .activations import unknown
from .optimizer import Optimizer, check_positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .optimizer import Parameters

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "optimizer",
]


class SGD(Optimizer):
    """Gradient descent w ← w - lr · g; with momentum w ← w - lr · v, where v ← momentum · v + g.

    With `dampening`, v gets (1 - dampening) · g, after the first step. With `nesterov`, the step
    looks ahead: w ← w - lr · (g + momentum · v) (I. Sutskever et al., On the importance of
    initialization and momentum in deep learning, 2013). The name is customary: whether it is
    stochastic depends on the batch.

    Raises:
        TypeError, ValueError: as `Optimizer`; momentum and dampening are >= 0 and < 1, and nesterov
            needs momentum and no dampening.

    """

    options = ("momentum", "dampening", "nesterov", "weight_decay")
    averages = ("velocity",)
    velocity: list[float]

    def __init__(  # noqa: PLR0913  (by keyword, as in PyTorch)
        self,
        parameters: Parameters,
        lr: float = 0.001,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.momentum = self.check("momentum", momentum, below=1.0)
        self.dampening = self.check("dampening", dampening, below=1.0)
        self.nesterov = nesterov
        if nesterov and (momentum == 0.0 or dampening != 0.0):
            message = (
                "SGD: nesterov needs momentum > 0 and dampening = 0; "
                f"got momentum={momentum!r}, dampening={dampening!r}"
            )
            raise ValueError(message)

    def update(self, i: int, w: float, gradient: float) -> float:
        """Return w after a step."""
        g = gradient + self.weight_decay * w
        if self.momentum == 0.0:
            return w - self.lr * g
        share = 1.0 - self.dampening * (self.steps[i] > 1)
        v = self.velocity[i] = self.momentum * self.velocity[i] + share * g
        return w - self.lr * (g + self.momentum * v if self.nesterov else v)


class RMSprop(Optimizer):
    """w ← w - lr · g / (√s + eps), where s ← alpha · s + (1 - alpha) · g², a mean of squares.

    With momentum w ← w - lr · v, where v ← momentum · v + g / (√s + eps). (T. Tieleman and G.
    Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012.)

    Raises:
        TypeError, ValueError: as `Optimizer`; alpha and momentum are >= 0 and < 1, eps is > 0.

    """

    options = ("alpha", "eps", "momentum", "weight_decay")
    averages = ("squares", "velocity")
    squares: list[float]
    velocity: list[float]

    def __init__(  # noqa: PLR0913  (by keyword, as in PyTorch)
        self,
        parameters: Parameters,
        lr: float = 0.01,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.alpha = self.check("alpha", alpha, below=1.0)
        self.eps = check_positive("RMSprop", "eps", eps)
        self.momentum = self.check("momentum", momentum, below=1.0)

    def update(self, i: int, w: float, gradient: float) -> float:
        """Return w after a step."""
        g = gradient + self.weight_decay * w
        s = self.squares[i] = self.alpha * self.squares[i] + (1.0 - self.alpha) * g * g
        v = self.velocity[i] = self.momentum * self.velocity[i] + g / (_sqrt(s) + self.eps)
        return w - self.lr * v


class Adam(Optimizer):
    """w ← w - lr · m̂ / (√ŝ + eps): RMSprop with a mean in the place of the gradient.

    m ← β₁ · m + (1 - β₁) · g and s ← β₂ · s + (1 - β₂) · g² are means that start from 0. At step t
    m̂ = m / (1 - β₁ᵗ) and ŝ = s / (1 - β₂ᵗ) take out that start (D. Kingma and J. Ba, Adam: A Method
    for Stochastic Optimization, 2015, algorithm 1). Texts often leave this out, as
    `bias_correction=False` does: m̂ = m, ŝ = s. The steps then come out too long at first: the first
    one is lr · (1 - β₁) / √(1 - β₂), about 3.2 lr, where the published one is lr.

    Raises:
        TypeError, ValueError: as `Optimizer`; both betas are >= 0 and < 1, eps is > 0.

    """

    options = ("betas", "eps", "weight_decay", "bias_correction")
    averages = ("means", "squares")
    means: list[float]
    squares: list[float]

    def __init__(  # noqa: PLR0913  (by keyword, as in PyTorch)
        self,
        parameters: Parameters,
        lr: float = 0.001,
        *,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        if not hasattr(betas, "__len__") or len(betas) != 2:  # noqa: PLR2004  (β₁ and β₂)
            message = f"{type(self).__name__}: betas must be two numbers; got {betas!r}"
            raise ValueError(message)
        first, second = betas
        self.betas = (
            self.check("betas[0]", first, below=1.0),
            self.check("betas[1]", second, below=1.0),
        )
        self.eps = check_positive(type(self).__name__, "eps", eps)
        self.bias_correction = bias_correction

    def update(self, i: int, w: float, gradient: float) -> float:
        """Return w after a step."""
        return w - self.lr * self.direction(i, gradient + self.weight_decay * w)

    def direction(self, i: int, g: float) -> float:
        """Return m̂ / (√ŝ + eps) after taking the gradient g into the means."""
        beta1, beta2 = self.betas
        m = self.means[i] = beta1 * self.means[i] + (1.0 - beta1) * g
        s = self.squares[i] = beta2 * self.squares[i] + (1.0 - beta2) * g * g
        if self.bias_correction:
            m /= 1.0 - beta1 ** self.steps[i]
            s /= 1.0 - beta2 ** self.steps[i]
        return m / (_sqrt(s) + self.eps)


class AdamW(Adam):
    """Adam with the weight decay outside of the means: w ← (1 - lr · weight_decay) · w first.

    In Adam, the decay is divided by √ŝ as the gradient is, so that where gradients are large little
    is left of it (I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, 2019,
    algorithm 2). Arguments and errors are those of `Adam`, but weight_decay is 0.01 by default.
    """

    def __init__(self, parameters: Parameters, lr: float = 0.001, **options: Any) -> None:
        super().__init__(parameters, lr, **{"weight_decay": 0.01, **options})

    def update(self, i: int, w: float, gradient: float) -> float:
        """Return w after a step."""
        return w * (1.0 - self.lr * self.weight_decay) - self.lr * self.direction(i, gradient)


def _sqrt(x: float) -> float:
    return sqrt(x) if type(x) is float else autograd.sqrt(x)  # a Value: see Optimizer.formula


# --- by name --------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}
"""Every optimiser that has a name."""


def optimizer(kind: str | type[Optimizer]) -> type[Optimizer]:
    """Return the class of that name, in small or capital letters; a class is returned as it is.

    Raises:
        ValueError: if no optimiser has that name.
        TypeError: if `kind` is neither text nor such a class.

    """
    if isinstance(kind, type) and issubclass(kind, Optimizer):
        return kind
    if not isinstance(kind, str):
        message = f"optimizer must be a name, such as 'adam', or a class; got {kind!r}"
        raise TypeError(message)
    if kind.lower() not in OPTIMIZERS:
        raise unknown("optimiser", kind, OPTIMIZERS)
    return OPTIMIZERS[kind.lower()]
