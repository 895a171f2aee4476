"""The steps of a training run, the batches they are taken on, and the way back from a nan."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from autograd import Value, diagnose, dot, no_collector

from .clipping import clip_by_norm
from .losses import LOSSES
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random

    from .compiled import Steps
    from .data import Rows
    from .history import History
    from .losses import Loss
    from .optimizer import Optimizer
    from .progress import Progress

    Metric = Callable[[Sequence[Any], Sequence[Any]], float]
    State = tuple[Sequence[Value], Iterable[float], list[tuple[Module, str, Any]]]


class NotFiniteError(ArithmeticError):
    """A number that isn't finite came up; the text says where it came from."""


class Batches:
    """The examples of an epoch, in batches of at most `size`, each time in a new order."""

    def __init__(self, inputs: Rows, targets: Rows, size: int | None, rng: Random) -> None:
        self._inputs = inputs
        self._targets = targets
        self._order = list(range(len(inputs)))
        self._rng = rng
        self.count = -(-len(inputs) // size) if size else 1

    def __iter__(self) -> Iterator[Sequence[int]]:
        """Yield, for each batch, which examples are in it."""
        if self.count == 1:  # the order would only change how a sum is rounded
            yield self._order
            return
        self._rng.shuffle(self._order)
        # All of one size, but for 1: one example left over would weigh as much as a whole batch.
        bounds = [i * len(self._order) // self.count for i in range(self.count + 1)]
        for start, end in pairwise(bounds):
            yield self._order[start:end]

    def rows(self, chosen: Sequence[int] | None) -> tuple[Rows, Rows]:
        """Return the inputs and targets of these examples; of all for None."""
        if chosen is None or chosen is self._order:
            return self._inputs, self._targets
        return [self._inputs[i] for i in chosen], [self._targets[i] for i in chosen]


class Trainer:
    """Takes steps with a model; `labels` are all targets, which the loss is shown beforehand."""

    def __init__(  # noqa: PLR0913  (what a run is made of)
        self,
        model: Any,
        loss: Loss,
        optimizer: Optimizer,
        metrics: list[Metric],
        labels: dict[str, Rows],
        *,
        l2: float,
        clip: float | None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self._unchecked = labels
        self.l2 = l2
        self.clip = clip
        self.parameters = _every_parameter(model, optimizer)
        modules = model.modules() if isinstance(model, Module) else []
        self.moved = optimizer.parameters
        if any(module.frozen for module in modules):
            free = set(map(id, model.trainable_parameters()))
            self.moved = [p for p in self.moved if id(p) in free]
        self._statistics = [(module, name) for module in modules for name in module.statistics]
        self.good = self._state()
        self._make_steps: Callable[[], Steps | None] | None = None
        self._steps: Steps | None = None
        self._is_watched = True
        self.made = 0  # how many times steps have been made

    def compile(self, make_steps: Callable[[], Steps | None], *, is_watched: bool) -> None:
        """Take what `make_steps` returns for the steps, if it is something.

        `is_watched` says that somebody may look at the parameters between two epochs.
        """
        self._make_steps = make_steps
        self._is_watched = is_watched

    def epoch(self, batches: Batches, held: tuple[Rows, Rows] | None, progress: Progress) -> None:
        """Take a step on each batch, look at the validation part, and write the history."""
        start = time.perf_counter()
        self._batches = batches
        steps = self._begin()
        step = steps.step if steps else self.step
        means = [0.0] * (1 + len(self.metrics))
        seen = 0
        with no_collector(), steps.begin() if steps else nullcontext():
            for chosen in batches:
                figures = step(chosen, keep=not seen)
                seen += len(chosen)
                # Not a sum that is divided: the mean over one batch is its figure, to the last bit.
                share = len(chosen) / seen
                means = [m + (x - m) * share for m, x in zip(means, figures, strict=True)]
                progress.step(means[0])
            if not (steps and steps.are_finite()):
                self.finish()
                self._check_parameters()
            held_means = None
            if held:
                held_means = steps.validate() if steps else self.validate(*held)
        if self._is_watched:
            self.finish()
        self._write(progress.history, means, held_means, time.perf_counter() - start)

    def _begin(self) -> Steps | None:
        if self._steps and self._is_watched and not self._steps.is_outdated:
            self._steps.load()
        elif self._make_steps and (self._steps is None or self._is_watched):
            self._steps = self._make_steps()
            self.made += 1
            if self._steps is None:
                self._make_steps = None
        return self._steps

    def finish(self) -> None:
        """See that the parameters and the optimiser are what the steps have made of them."""
        if self._steps:
            self._steps.store()

    def step(self, chosen: Sequence[int], *, keep: bool) -> list[float]:
        """Take a step on these examples, and return its loss and the other figures.

        With `keep`, the parameters before it are those to come back to from a nan.
        """
        inputs, targets = self._batches.rows(chosen)
        outputs, value = self._forward(inputs, targets)
        for p in self.parameters:
            p.grad = 0.0
        try:
            value.backward()
        except (ArithmeticError, ValueError) as error:
            self._explain(error, value)
            raise
        if keep:
            self.good = self._state()
        if self.clip is not None:
            clip_by_norm(self.moved, self.clip)
        figures = self._figures(outputs, targets, value)
        self.optimizer.step()
        return figures

    def _forward(self, inputs: Rows, targets: Rows) -> tuple[Any, Value]:
        try:
            outputs = self.outputs(inputs)
            value = self._objective(outputs, targets)
        except (ArithmeticError, ValueError) as error:
            self._explain(error, lambda: self._objective(self.outputs(inputs), targets))
            raise
        if not isfinite(value.data):
            raise NotFiniteError(str(diagnose(value)))
        return outputs, value

    def outputs(self, inputs: Rows) -> Any:
        """Return the model's outputs, one for each input."""
        if isinstance(self.model, Module):
            return self.model.batch(inputs)
        return [self.model(x) for x in inputs]

    def _objective(self, outputs: Any, targets: Rows) -> Value:
        if self._unchecked:
            self.check_labels(outputs[0])
        value = self.loss(outputs, targets)
        if not isinstance(value, Value):
            message = (
                f"the loss must return a Value, made of the outputs; got {value!r} "
                f"({type(value).__name__})"
            )
            raise TypeError(message)
        return value + self.l2 * dot(self.moved, self.moved) if self.l2 else value

    def check_labels(self, output: Any) -> None:
        """Raise a TypeError or ValueError if a label doesn't suit the loss of such an output."""
        # Our losses check labels: let them see all of them, before a batch has changed anything.
        blank = [0.0] * len(output) if hasattr(output, "__len__") else 0.0
        for name, targets in self._unchecked.items():
            if self.loss not in LOSSES.values():
                break
            try:
                self.loss([blank] * len(targets), targets)
            except (TypeError, ValueError) as error:
                message = f"{name} doesn't suit the loss and the model: {error}"
                raise type(error)(message) from None
        self._unchecked = {}

    def _figures(self, outputs: Any, targets: Rows, value: Value) -> list[float]:
        return [value.data, *(float(metric(outputs, targets)) for metric in self.metrics)]

    def validate(self, inputs: Rows, targets: Rows) -> list[float]:
        """Return the loss and the other figures of the validation part."""
        with mode(self.model, training=False), no_collector():
            outputs, value = self._forward(inputs, targets)
            return self._figures(outputs, targets, value)

    def _write(
        self, history: History, means: list[float], held: list[float] | None, seconds: float
    ) -> None:
        names = [getattr(metric, "__name__", repr(metric)) for metric in self.metrics]
        for name, mean in zip(names, means[1:], strict=True):
            history.metrics.setdefault(name, []).append(mean)
        if held is not None:
            history.validation_loss.append(held[0])
            for name, mean in zip(names, held[1:], strict=True):
                history.validation_metrics.setdefault(name, []).append(mean)
        history.lr.append(self.optimizer.lr)
        history.seconds.append(seconds)
        history.loss.append(means[0])

    # --- numbers that aren't finite --------------------------------------------------------------

    def _explain(self, error: Exception, y: Any) -> None:
        """Raise a NotFiniteError if inf or nan is behind the error; else it is somebody else's."""
        try:
            found = diagnose(y)
        except (ArithmeticError, ValueError, TypeError):
            return  # it comes up with IEEE's arithmetic, too
        if found:
            raise NotFiniteError(str(found)) from error

    def _check_parameters(self) -> None:
        for i, p in enumerate(self.parameters):
            if not isfinite(p.data):
                message = (
                    f"the optimiser's step took the parameter {p.label or f'number {i}'} to "
                    f"{p.data}, from a gradient of {p.grad:.4g}: try a smaller lr, or clip"
                )
                raise NotFiniteError(message)

    def _state(self) -> State:
        return self.parameters, [p.data for p in self.parameters], self.statistics()

    def statistics(self) -> list[tuple[Module, str, Any]]:
        """Return what modules have measured, such as running averages, and where it belongs."""
        return [(module, name, getattr(module, name)) for module, name in self._statistics]

    def restore(self) -> None:
        """Set parameters (and running statistics) back to the last that were good."""
        parameters, numbers, kept = self.good
        for p, number in zip(parameters, numbers, strict=True):
            p.data = number
        for module, name, statistic in kept:
            setattr(module, name, statistic)


def _every_parameter(model: Any, optimizer: Optimizer) -> list[Value]:
    own = list(model.parameters()) if hasattr(model, "parameters") else []
    known = {id(p) for p in own}
    if own and known.isdisjoint(map(id, optimizer.parameters)):
        message = "the optimizer moves none of the model's parameters: make it for this model"
        raise ValueError(message)
    return own + [p for p in optimizer.parameters if id(p) not in known]


@contextmanager
def mode(model: Any, *, training: bool) -> Iterator[None]:
    """Switch a module to training or evaluation if it isn't, and afterwards back as it was."""
    if not isinstance(model, Module) or model.training == training:
        yield
        return
    before = [(module, module.training) for module in model.modules()]
    _ = model.train() if training else model.eval()
    try:
        yield
    finally:
        for module, flag in before:
            module.training = flag
