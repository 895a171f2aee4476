"""Convolution and pooling on images: nested lists [channel][row][column] of numbers or Values."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from autograd import maximum, mean

from .activations import name_of
from .init import generator
from .layers import Neuron
from .module import Module, check_size, check_width, name_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from .init import Initializer


class Conv2d(Module):
    """Each kernel is a neuron that looks at one square patch of the image after the other.

    A kernel's weights w1, w2, … go channel by channel, row by row. `stride` is the step from patch
    to patch, `padding` the number of zeros around the image. An image of one channel may be given
    as [row][column]; the result has a channel for each kernel.

    Raises:
        TypeError, ValueError: as `Layer`.

    """

    def __init__(  # noqa: PLR0913  (as Layer)
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        *,
        activation: str | Callable[[Any], Any] = "relu",
        init: str | Initializer = "he",
        seed: int | Random = 0,
        textbook: bool = False,
        bias: bool = True,
    ) -> None:
        self.channels_in = check_width("Conv2d", "channels_in", channels_in)
        self.size = check_width("Conv2d", "kernel", kernel)
        self.stride = check_width("Conv2d", "stride", stride)
        self.padding = check_width("Conv2d", "padding", padding, least=0)
        self.textbook = textbook
        rng = generator(seed)
        area = kernel * kernel
        self.kernels = [
            Neuron(
                channels_in * area,
                activation,
                init=init,
                seed=rng,
                textbook=textbook,
                bias=bias,
                fan_out=channels_out * area,
            )
            for _ in range(check_width("Conv2d", "channels_out", channels_out))
        ]
        name_parts(self)

    def forward(self, image: Any) -> list[Any]:
        """Return [[[kernel(patch) for each column] for each row] for each kernel]."""
        channels = _channels(image)
        check_size(self, channels, self.channels_in)
        padded = [_padded(channel, self.padding) for channel in channels]
        rows = [
            [self._inputs(padded, row, column) for column in self._starts(padded[0][0])]
            for row in self._starts(padded[0])
        ]
        return [
            [[self._value(kernel, inputs) for inputs in row] for row in rows]
            for kernel in self.kernels
        ]

    def _starts(self, line: Any) -> range:
        return _starts(self, len(line), self.size, self.stride)

    def _inputs(self, channels: list[Any], row: int, column: int) -> tuple[Any, ...]:
        patch = [x for channel in channels for x in _window(channel, row, column, self.size)]
        return tuple(patch) if self.textbook or self.kernels[0].b is None else (*patch, 1.0)

    def _value(self, kernel: Neuron, inputs: tuple[Any, ...]) -> Any:
        return kernel(inputs) if self.textbook else kernel.at(inputs)

    def signature(self) -> str:
        """Return the call that makes such a convolution."""
        sizes = (self.channels_in, len(self.kernels), self.size, self.stride, self.padding)
        name = name_of(self.kernels[0].activation)
        return f"Conv2d({', '.join(map(str, sizes))}, activation={name!r})"

    def __repr__(self) -> str:
        """Return one line, as for a layer."""
        return super().__repr__().splitlines()[0]


class _Pool(Module):
    def __init__(self, size: int, stride: int | None = None) -> None:
        name = type(self).__name__
        self.size = check_width(name, "size", size)
        self.stride = size if stride is None else check_width(name, "stride", stride)

    def forward(self, image: Any) -> list[Any]:
        """Return one number for each window of each channel; windows that jut out are left out."""
        return [
            [
                [
                    self._pooled(list(_window(channel, row, column, self.size)))
                    for column in _starts(self, len(channel[0]), self.size, self.stride)
                ]
                for row in _starts(self, len(channel), self.size, self.stride)
            ]
            for channel in _channels(image)
        ]

    def _pooled(self, window: list[Any]) -> Any:
        raise NotImplementedError

    def signature(self) -> str:
        """Return the call that makes such a pooling."""
        return f"{type(self).__name__}({self.size}, {self.stride})"


class MaxPool2d(_Pool):
    """The largest number in each square window; where two tie, they share the gradient."""

    def _pooled(self, window: list[Any]) -> Any:
        return reduce(maximum, window)


class MeanPool2d(_Pool):
    """The mean of the numbers in each square window."""

    def _pooled(self, window: list[Any]) -> Any:
        return mean(window)


class Flatten(Module):
    """The numbers of nested lists in one list, in order."""

    def forward(self, x: Any) -> list[Any]:
        """Return the numbers in x, channel by channel and row by row."""
        return list(_flat(x))


def _flat(x: Any) -> Iterator[Any]:
    if hasattr(x, "__len__"):
        for part in x:
            yield from _flat(part)
    else:
        yield x


def _channels(image: Any) -> Any:
    flat = not hasattr(image, "__len__") or not len(image) or not hasattr(image[0], "__len__")
    if flat or not len(image[0]):
        message = f"an image must be a list [channel][row][column] of numbers; got {image!r:.60}"
        raise TypeError(message)
    return image if hasattr(image[0][0], "__len__") else [image]


def _padded(channel: Any, padding: int) -> list[list[Any]]:
    side = [0.0] * padding
    rows = [[*side, *row, *side] for row in channel]
    width = len(rows[0])
    above = [[0.0] * width for _ in side]
    return [*above, *rows, *above]


def _starts(module: Module, length: int, size: int, stride: int) -> range:
    if length < size:
        message = f"{module.signature()} needs at least {size} rows and columns; got {length}"
        raise ValueError(message)
    return range(0, length - size + 1, stride)


def _window(channel: Any, row: int, column: int, size: int) -> Iterator[Any]:
    for line in channel[row : row + size]:
        yield from line[column : column + size]
