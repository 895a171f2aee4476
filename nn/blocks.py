"""What networks are put together from, beside layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograd import Value

from .activations import activation as find_activation
from .activations import name_of, on_value
from .init import generator
from .module import Module, elementwise, name_parts, vector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random


class Sequential(Module):
    """One module after the other; `model[0]` is the first, or by its name `model.layer1`.

    A module is called after its class and its place: layer1, dropout2, conv2d_3.

    Raises:
        TypeError: if one of `modules` is no module.

    """

    def __init__(self, *modules: Module) -> None:
        for place, module in enumerate(modules, start=1):
            if not isinstance(module, Module):
                message = (
                    f"Sequential takes modules; number {place} is {module!r}: "
                    "Activation(…) makes a module of a function or its name"
                )
                raise TypeError(message)
            name = type(module).__name__.lower()
            joint = "_" if any(map(str.isdigit, name)) else ""
            setattr(self, f"{name}{joint}{place}", module)
        self.textbook = any(module.textbook for module in modules)
        name_parts(self)

    def __iter__(self) -> Iterator[Module]:
        return (part for part in vars(self).values() if isinstance(part, Module))

    def __len__(self) -> int:
        return sum(isinstance(part, Module) for part in vars(self).values())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]

    def forward(self, x: Any) -> Any:
        """Return the last module's value at the one before's, and so on down to x."""
        for module in self:
            x = module(x)
        return x

    def forward_batch(self, rows: list[Any]) -> list[Any]:
        """Return the same for all rows, module by module."""
        for module in self:
            rows = module.batch(rows)
        return rows


class Activation(Module):
    """A function of one number, by name or itself, applied to every element.

    Raises:
        TypeError, ValueError: if it is no function, or no activation has that name.

    """

    def __init__(self, function: str | Callable[[Any], Any]) -> None:
        self.function = find_activation(function)

    def forward(self, x: Any) -> Any:
        """Return x with the function applied to every element."""
        function, fast = self.function, on_value(self.function)
        return elementwise(lambda a: fast(a) if type(a) is Value else function(a), x)

    def signature(self) -> str:
        """Return the call that makes such an activation."""
        return f"Activation({name_of(self.function)!r})"


class Residual(Module):
    """x + module(x): the gradient reaches x undiminished, whatever the module does to it.

    He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015).
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.textbook = module.textbook
        name_parts(self)

    def forward(self, x: Any) -> Any:
        """Return x + module(x)."""
        return self._sum(x, self.module(x))

    def forward_batch(self, rows: list[Any]) -> list[Any]:
        """Return the same for all rows."""
        return list(map(self._sum, rows, self.module.batch(rows)))

    def _sum(self, x: Any, y: Any) -> Any:
        if not hasattr(y, "__len__"):  # a layer of one neuron
            (x,) = vector(x)
        try:
            return elementwise(lambda a, b: a + b, x, y)
        except ValueError as error:
            message = f"Residual: the module's outputs and inputs differ in number: {error}"
            raise ValueError(message) from None


class Dropout(Module):
    """In training, each element is 0 with probability p, and 1 / (1 - p) times itself otherwise.

    Srivastava et al., Dropout (2014), scaled in training rather than in evaluation, where it
    returns x. What is dropped depends on `seed` alone.

    Raises:
        ValueError: unless 0 <= p < 1.

    """

    def __init__(self, p: float = 0.5, *, seed: int | Random = 0) -> None:
        if not 0.0 <= p < 1.0:
            message = f"Dropout: p (={p!r}) must be at least 0 and less than 1"
            raise ValueError(message)
        self.p = p
        self._rng = generator(seed)

    def forward(self, x: Any) -> Any:
        """Return x with some elements dropped; in evaluation x itself."""
        if not self.training:
            return x
        scale = 1.0 / (1.0 - self.p)
        random = self._rng.random
        return elementwise(lambda a: 0.0 if random() < self.p else a * scale, x)

    def signature(self) -> str:
        """Return the call that makes such a dropout."""
        return f"Dropout({self.p})"
