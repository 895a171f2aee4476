"""A function's arguments as one list of numbers with names, and the way back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autograd.arguments import argument_names
from autograd.op import to_float
from autograd.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Inputs:
    """The numbers in a function's arguments: `names` such as "x" or "w[0][1]", and the `point`.

    An argument is a number, a leaf Value, a (nested) list or tuple of these, or a model: an object
    with `named_parameters()`, whose parameters are the inputs then.

    Raises:
        TypeError: for anything else, and for a Value that was computed.

    """

    def __init__(self, f: Callable[..., Any], args: Sequence[Any]) -> None:
        self.names: list[str] = []
        self.point: list[float] = []
        self._parameters: list[Value] = []
        self._args = tuple(args)
        for name, arg in zip(argument_names(f, len(args)), args, strict=True):
            self._add(name, arg)

    def _add(self, name: str, arg: Any) -> None:
        if isinstance(arg, list | tuple):
            for index, part in enumerate(arg):
                self._add(f"{name}[{index}]", part)
        elif hasattr(arg, "named_parameters"):
            for word, parameter in arg.named_parameters():
                self._add(word, parameter.data)
                self._parameters.append(parameter)
        elif type(arg) is Value:
            if arg.op is not None:
                message = (
                    f"{name} (={arg!r}) was computed by {arg.op.name}: pass a leaf or a number"
                )
                raise TypeError(message)
            self._add(arg.label or name, arg.data)
        else:
            self.names.append(name)
            self.point.append(to_float(arg, name))

    def on_values(self, numbers: Sequence[float]) -> tuple[list[Any], list[Value]]:
        """Return the arguments with leaf Values of these numbers, and those leaves in order.

        A model stays itself: its own parameters hold the numbers then.
        """
        leaves: list[Value] = []
        flat = zip(numbers, self.names, strict=True)

        def place(parameter: Value | None) -> Value:
            x, name = next(flat)
            leaf = Value(x, name) if parameter is None else parameter
            if parameter is not None and parameter.data != x:
                parameter.data = x
            leaves.append(leaf)
            return leaf

        return [_rebuilt(arg, place) for arg in self._args], leaves

    def on_floats(self, numbers: Sequence[float]) -> list[Any]:
        """Return the arguments with these numbers in the place of their own."""
        flat = iter(numbers)
        return [_rebuilt(arg, lambda _: next(flat)) for arg in self._args]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Give the models' parameters their data and gradients back at the end."""
        before = [(p, p.data, p.grad) for p in self._parameters]
        try:
            yield
        finally:
            for p, data, grad in before:
                if p.data != data:
                    p.data = data
                p.grad = grad


def _rebuilt(arg: Any, place: Callable[[Value | None], Any]) -> Any:
    if isinstance(arg, list | tuple):
        return type(arg)([_rebuilt(part, place) for part in arg])
    if hasattr(arg, "named_parameters"):
        for _, parameter in arg.named_parameters():
            place(parameter)
        return arg
    return place(None)
