"""Watching a model while it learns: per layer, what flows forward and back, and what a step does.

    with watch(model) as watching:
        for epoch in range(100):
            loss = mse([model(x) for x in X], y)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            watching.record()

or `fit(model, X, y, callbacks=[watching])` in the place of the loop. Outside of the `with` the
model is as it was, so that a model that isn't watched pays nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, sqrt
from typing import TYPE_CHECKING, Any, Self

from autograd import Value

from .blocks import Activation
from .hooks import Hook
from .layers import Neuron
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .history import History

FLAT = 0.05  # a sigmoid or tanh passes on less than this share of its steepest slope: saturated


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """What one layer did between two records, on `examples` in training.

    `mean`, `spread` (the standard deviation) and `saturated` (a share) are those of its outputs.
    `silent` has for each unit the share of examples on which its output was 0 and passed no
    gradient on, as a ReLU's does. The norms are Euclidean, over the layer's own parameters; they
    are None where there are none. `update_ratio` is ‖change of the parameters‖ / ‖parameters‖
    since the record before, and inf if they were 0.
    """

    examples: int
    mean: float
    spread: float
    saturated: float
    silent: tuple[float, ...]
    gradient_norm: float | None
    weight_norm: float | None
    update_ratio: float | None

    @property
    def dead(self) -> int:
        """How many units were silent on every example."""
        return sum(share == 1.0 for share in self.silent)


Record = dict[str, LayerRecord]
"""The layers by name, from the input to the output."""


def watch(model: Module) -> Watching:
    """Return a `Watching` for the model: use it in a `with`.

    A layer is a module that is made of no other modules (but neurons) and has parameters or is an
    `Activation`.

    Raises:
        TypeError: if `model` is no module.
        ValueError: if there is no layer in it.

    """
    return Watching(model)


class Watching:
    """What was seen of a model: `records`, and the last record's `activations` by layer."""

    def __init__(self, model: Module) -> None:
        if not isinstance(model, Module):
            message = f"watch takes a module, such as an MLP; got {model!r}"
            raise TypeError(message)
        self._layers = [_Watched(name, module) for name, module in _layers(model)]
        if not self._layers:
            message = f"{model.signature()} has no layer to watch: no part of it has parameters"
            raise ValueError(message)
        self._hooks: list[Hook] = []
        self.records: list[Record] = []
        self.activations: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        hooks = [hook for layer in self._layers for hook in layer.hooks()]
        for hook in hooks:  # all of them first: none is left hanging after an error
            hook.check()
        for layer in self._layers:
            layer.begin()
        for hook in hooks:
            hook.hang()
        self._hooks = hooks
        return self

    def __exit__(self, *_: object) -> None:
        while self._hooks:
            self._hooks.pop().take_down()

    def record(self) -> Record:
        """Record what was computed in training since the last record, and add it to `records`.

        Call it after `optimizer.step()`, while the parameters still have their gradients. If these
        were clipped, their norms are those after clipping.

        Raises:
            RuntimeError: outside of the `with`, or if the model has computed nothing in training.

        """
        if not self._hooks:
            message = "nothing is watched now: write `with watch(model) as watching:` around it"
            raise RuntimeError(message)
        if not any(layer.numbers for layer in self._layers):
            message = (
                "the watched model has computed nothing in training since the last record: call "
                "model(x) before, and not after model.eval()"
            )
            raise RuntimeError(message)
        self.activations = {layer.name: layer.numbers for layer in self._layers}
        made = {layer.name: layer.record() for layer in self._layers}
        self.records.append(made)
        return made

    def __call__(self, history: History) -> None:
        """Record an epoch and hand the records to the history: watching is a callback of `fit`."""
        self.record()
        history.records = self.records


class _Watched:
    """A layer, and what has been seen of it since the last record."""

    def __init__(self, name: str, module: Module) -> None:
        self.name = name
        self.module = module
        self.begin()

    def begin(self) -> None:
        self._parameters = self.module.parameters()
        self._before = [p.data for p in self._parameters]
        self._forget()

    def _forget(self) -> None:
        self.numbers: list[float] = []
        self._silent: list[list[bool]] = []
        self._saturated = 0

    def hooks(self) -> Iterator[Hook]:
        yield Hook(self.module, "forward", self.see)
        if type(self.module).forward_batch is not Module.forward_batch:
            yield Hook(self.module, "forward_batch", self.see_all)

    def see(self, output: Any) -> None:
        # Numbers, not Values: those would keep the graphs of a whole epoch.
        values = list(_values(output))
        self.numbers += [x.data for x in values]
        self._silent.append([_is_silent(x) for x in values])
        self._saturated += sum(map(_is_saturated, values))

    def see_all(self, outputs: list[Any]) -> None:
        for output in outputs:
            self.see(output)

    def record(self) -> LayerRecord:
        count = len(self.numbers) or 1
        mean = sum(self.numbers) / count  # fsum and squares would overflow where a run explodes
        distance = hypot(*(x - mean for x in self.numbers))
        units = max(map(len, self._silent), default=0)  # sequences may differ in length
        columns = [[row[i] for row in self._silent if i < len(row)] for i in range(units)]
        after = [p.data for p in self._parameters]
        change = hypot(*(a - b for a, b in zip(after, self._before, strict=True)))
        size = hypot(*self._before)
        made = LayerRecord(
            examples=len(self._silent),
            mean=mean,
            spread=distance / sqrt(count),
            saturated=self._saturated / count,
            silent=tuple(sum(column) / len(column) for column in columns),
            gradient_norm=hypot(*(p.grad for p in self._parameters)) if after else None,
            weight_norm=hypot(*after) if after else None,
            update_ratio=_ratio(change, size) if after else None,
        )
        self._before = after
        self._forget()
        return made


def _layers(model: Module) -> Iterator[tuple[str, Module]]:
    for name, module in model.named_modules():
        is_part = isinstance(module, Neuron) and module is not model
        is_whole = all(isinstance(part, Neuron) for part in module.modules()[1:])
        learns = isinstance(module, Activation) or module.parameters()
        if is_whole and learns and not is_part:
            yield name or type(module).__name__.lower(), module


def _values(output: Any) -> Iterator[Value]:
    if isinstance(output, list | tuple):
        for part in output:
            yield from _values(part)
    elif type(output) is Value:
        yield output


def _is_silent(x: Value) -> bool:
    if x.data != 0.0 or x.op is None:
        return False
    # Others can do that, too: maximum(0, x), clip, or an operation of the user's own.
    return x.op.name == "relu" or all(slope() == 0.0 for _, slope in x.edges())


def _is_saturated(x: Value) -> bool:
    # σ′ = σ(1 - σ) is at most 1/4, tanh′ = 1 - tanh² at most 1.
    if x.op is None or x.op.name not in {"sigmoid", "tanh"}:
        return False
    slope = 4.0 * x.data * (1.0 - x.data) if x.op.name == "sigmoid" else 1.0 - x.data**2
    return slope < FLAT


def _ratio(change: float, size: float) -> float:
    if size == 0.0:
        return inf if change else 0.0
    return change / size
