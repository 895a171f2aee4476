"""A hook on one module: what it computes is shown to somebody; no other module is slowed down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from .module import Module


class Hook:
    """Stands before a method of one module, and shows what it returns in training."""

    def __init__(self, module: Module, name: str, show: Callable[[Any], None]) -> None:
        self._module = module
        self._name = name
        self._show = show
        self._method = getattr(module, name)

    def check(self) -> None:
        """Raise a RuntimeError if another hook hangs there."""
        if self._name in vars(self._module):
            message = f"{self._module.signature()} is watched already: leave that `with` first"
            raise RuntimeError(message)

    def hang(self) -> None:
        """Stand before the method."""
        # On the object, where it hides the class' method from this one module alone.
        vars(self._module)[self._name] = self

    def take_down(self) -> None:
        """Leave the module as it was."""
        del vars(self._module)[self._name]

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Return what the method does, and show it in training."""
        output = self._method(*inputs, **options)
        if self._module.training:
            self._show(output)
        return output

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        # A copy would go on computing with the original's parameters.
        message = "a watched model can't be copied or pickled: leave the `with` first"
        raise TypeError(message)
