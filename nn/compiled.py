"""The steps of a training run as machine code: the same steps, on arrays in the place of Values.

A step is two native calls. The first has the mean loss of a batch and its gradient: the loss of one
row is traced, and the compiler maps it over rows. The second is the optimiser's formula, traced for
one parameter and mapped over all of them. Between two steps the parameters, and what the optimiser
remembers of them, lie in `Steps.state`, a row for each parameter. `store` writes them back into the
Values, before anybody can look at these, and `load` reads them again.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from math import hypot, isfinite, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd
from autograd import Value, gradients

from .compilable import NotCompiledError, is_ours
from .graphs import substituted
from .metrics import accuracy
from .module import Module
from .rowwise import accuracy_of_row, loss_of_row, nested
from .trainer import mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .data import Rows
    from .trainer import Batches, Trainer

CHECKED = 8  # on so many rows code that isn't ours has to agree with what was compiled of it
CLOSE = 1e-6
SAFE = (1e-150, 1e150)  # whose squares don't overflow, nor lose digits


class Steps:
    """Takes a trainer's steps; `is_ours` says that its model and loss are made of our parts alone.

    Raises:
        NotCompiledError: if it can't.

    """

    def __init__(
        self,
        trainer: Trainer,
        batches: Batches,
        held: tuple[Rows, Rows] | None,
        *,
        is_ours: bool,
    ) -> None:
        self._trainer = trainer
        self._optimizer = trainer.optimizer
        self._batches = batches
        self._held = held
        self._is_ours = is_ours
        self._order_parameters()
        self._make_rows()
        self._make_buffers()
        self._compile()

    # --- making ----------------------------------------------------------------------------------

    def _order_parameters(self) -> None:
        # Those that the optimiser moves come first; `_places` is where it has them.
        optimizer, every = self._optimizer, self._trainer.parameters
        frozen = optimizer.frozen()
        places = [(i, p) for i, p in enumerate(optimizer.parameters) if p not in frozen]
        self._places = [i for i, _ in places]
        if not places:
            message = "all parameters are frozen: there is no step to take"
            raise NotCompiledError(message)
        moved = dict.fromkeys(p for _, p in places)
        self._parameters = [*moved, *[p for p in every if p not in moved]]
        # What is clipped and penalised; nearly always the same.
        free = set(self._trainer.moved)
        self._free: Any = slice(len(moved))
        if free != moved.keys():
            self._free = [i for i, p in enumerate(self._parameters) if p in free]
        model = self._trainer.model
        self._modules = model.modules() if isinstance(model, Module) else []
        self._look = _copied(self._appearance())

    def _make_rows(self) -> None:
        trainer, (inputs, targets) = self._trainer, self._batches.rows(None)
        held_inputs, held_targets = self._held or ([], [])
        try:
            x = np.array([*inputs, *held_inputs], dtype=np.float64)
            np.array(targets := [*targets, *held_targets], dtype=np.float64)
        except (TypeError, ValueError):
            message = "the rows hold Values, or differ in length"
            raise NotCompiledError(message) from None
        self._row_shape = x.shape[1:]
        self._output = output = trainer.outputs(inputs[:1])[0]
        trainer.check_labels(output)
        table, self._loss_of_row = loss_of_row(trainer.loss, targets, output)
        parts = [x.reshape(len(x), -1), table]
        self._native: list[Any] = []  # a function of a row for each metric; None for Python's
        for metric in trainer.metrics:
            found = accuracy_of_row(targets, output) if metric is accuracy else None
            self._native.append(found and found[1])
            parts += [found[0]] if found else []
        self._bounds = list(pairwise(np.cumsum([0, *[part.shape[1] for part in parts]]).tolist()))
        rows = np.hstack(parts)
        self._rows, self._held_rows = rows[: len(inputs)], rows[len(inputs) :]

    def _make_buffers(self) -> None:
        count, moved = len(self._parameters), len(self._places)
        width = 1 + len(self._optimizer.averages)
        self.state = np.zeros((count, width))
        self._moved, self._next = self.state[:moved], np.zeros((moved, width))
        self._figures = 1 + sum(figure is not None for figure in self._native)
        self._result = np.zeros(self._figures + count)
        self._gradient = self._result[self._figures :]
        self._judgement = np.zeros(self._figures + count)  # of the validation part
        self._lr = np.zeros(1)
        self._has_gaps = self._has_gaps_now()
        self._count = np.zeros((moved, 1) if self._has_gaps else 1)
        self._bindings: dict[int, tuple[Any, Callable[[], None]]] = {}
        self.load()

    def _compile(self) -> None:
        self._of_rows, self._outputs_of_rows = self._programs()
        self._held_outputs_of_rows = self._outputs_of_rows
        self._validation: Callable[[], None] | None = None
        first = self._rows[:CHECKED].copy()
        self._of_rows.bind(first, self.state[:, 0], out=self._result)()
        if not self._is_ours:
            self._check_agreement(len(first))
        for path in self._of_rows.paths:
            if path != "no decisions":
                message = f"it decides by {path}: autograd.where(condition, a, b) is compiled"
                raise NotCompiledError(message)
        self._update = self._compiled_update()

    def _programs(self) -> tuple[Any, Any]:
        model, parameters = self._trainer.model, self._parameters
        run_on = _row_runner(model, self._row_shape, self._bounds[0][1])
        figures = [self._loss_of_row, *[of_row for of_row in self._native if of_row]]
        step = _step_of_row(run_on, figures, self._bounds[1:], parameters)
        outputs = _outputs_of_row(run_on, parameters)
        return autograd.compile(step, rows=0, reduce="mean"), autograd.compile(outputs, rows=0)

    def _compiled_update(self) -> Callable[[], None] | None:
        optimizer = self._optimizer
        if not is_ours(type(optimizer)):
            return None  # its step may be anything, and stays in Python
        update = autograd.compile(
            _with_lists(optimizer.formula()), rows=(0, 1, 3) if self._has_gaps else (0, 1)
        )
        gradient = self._gradient[: len(self._moved)]
        run: Callable[[], None] = update.bind(
            self._moved, gradient, self._lr, self._count, out=self._next
        )
        return run

    def _check_agreement(self, count: int) -> None:
        # A loss may be anything but a mean over rows, and a model may be of another opinion each
        # time that it is asked.
        trainer = self._trainer
        inputs, targets = self._batches.rows(range(count))
        grads = [p.grad for p in self._parameters]
        loss = trainer.loss(trainer.outputs(inputs), targets)
        for p in self._parameters:
            p.grad = 0.0
        try:
            loss.backward()
            expected = np.array([loss.data, *[p.grad for p in self._parameters]])
        finally:
            for p, grad in zip(self._parameters, grads, strict=True):
                p.grad = grad
        found = np.array([self._result[0], *self._gradient])
        if not np.allclose(found, expected, rtol=CLOSE, atol=CLOSE * abs(expected).max()):
            message = (
                f"on {count} rows the loss is {expected[0]:.6g}, and the mean of those of each row "
                f"{found[0]:.6g}, or their gradients differ: only a loss that is such a mean can "
                "be compiled, of a model without chance or memory"
            )
            raise NotCompiledError(message)

    # --- Values and arrays -----------------------------------------------------------------------

    def _appearance(self) -> list[Any]:
        # All that was taken for granted when the steps were compiled.
        optimizer = self._optimizer
        options = [getattr(optimizer, name) for name in optimizer.options]
        return [self._has_gaps_now(), options, [list(vars(x).values()) for x in self._modules]]

    def _has_gaps_now(self) -> bool:
        # Whether some parameters were frozen at times: the number of steps isn't one for all.
        steps = self._optimizer.steps
        return any(steps[i] != steps[self._places[0]] for i in self._places)

    @property
    def is_outdated(self) -> bool:
        """Whether the model or the optimiser isn't what it was when this was compiled."""
        return not _are_same(self._look, self._appearance())

    def load(self) -> None:
        """Read the parameters, and what the optimiser remembers of them."""
        optimizer = self._optimizer
        self.state[:, 0] = [p.data for p in self._parameters]
        for column, name in enumerate(optimizer.averages, start=1):
            numbers = getattr(optimizer, name)
            self._moved[:, column] = [numbers[i] for i in self._places]
        steps = [optimizer.steps[i] for i in self._places]
        self._count[...] = np.reshape(steps, (-1, 1)) if self._has_gaps else steps[0]
        self._is_newer = False

    def store(self) -> None:
        """Write them, and the last gradient, into the Values and the optimiser."""
        if not self._is_newer:
            return
        numbers, grads = self.state[:, 0].tolist(), self._gradient.tolist()
        for p, number, grad in zip(self._parameters, numbers, grads, strict=True):
            p.data, p.grad = number, grad
        optimizer = self._optimizer
        counts = np.broadcast_to(self._count.ravel(), len(self._places))
        columns = [counts.astype(int), *self._moved.T[1:]]
        for name, column in zip(("steps", *optimizer.averages), columns, strict=True):
            remembered, found = getattr(optimizer, name), column.tolist()
            if len(found) == len(remembered):
                remembered[:] = found
            else:
                for i, number in zip(self._places, found, strict=True):
                    remembered[i] = number
        self._is_newer = False  # at last: an interrupt before this has it all written once more

    def are_finite(self) -> bool:
        """Say whether all parameters are finite."""
        return bool(np.isfinite(self.state[:, 0]).all())

    # --- steps -----------------------------------------------------------------------------------

    def step(self, chosen: Sequence[int], *, keep: bool) -> list[float]:
        """Take a step on the chosen rows, and return its figures, as `Trainer.step`."""
        trainer = self._trainer
        self._on(chosen)()
        self._is_newer = True
        loss = self._penalized(self._result)
        if not (isfinite(loss) and isfinite(self._gradient.dot(self._gradient))):
            # Or its square isn't, but it is itself: Python has a closer look.
            self.store()
            figures = trainer.step(chosen, keep=keep)
            self.load()
            return figures
        if keep:
            trainer.good = self._parameters, self.state[:, 0].copy(), trainer.statistics()
        self._shape_gradient()
        figures = self._all_figures(self._result, loss, chosen)
        if self._update:
            if self._has_gaps:
                self._count += 1.0
            else:
                self._count[0] += 1.0
            self._update()
            self._moved[...] = self._next
            self._is_newer = True  # metrics may have had it stored meanwhile
        else:
            self.store()
            self._optimizer.step()
            self.load()
        return figures

    def begin(self) -> np.errstate:
        """Begin an epoch; return the context in which its steps are taken."""
        self._lr[0] = self._optimizer.lr
        self._warnings = np.geterr()
        return np.errstate(all="ignore")  # inf and nan are looked for, and no news

    def _on(self, chosen: Sequence[int]) -> Callable[[], None]:
        count = len(chosen)
        if count not in self._bindings:
            rows = self._rows if count == len(self._rows) else self._rows[:count].copy()
            run = self._of_rows.bind(rows, self.state[:, 0], out=self._result)
            self._bindings[count] = rows, run
        rows, run = self._bindings[count]
        if rows is not self._rows:
            self._rows.take(chosen, axis=0, out=rows, mode="clip")  # "raise" would copy twice
        return run

    def _penalized(self, result: Any) -> float:
        loss = float(result[0])
        if l2 := self._trainer.l2:
            w = self.state[self._free, 0]
            loss += l2 * float(w.dot(w))
        return loss

    def _shape_gradient(self) -> None:
        l2, clip = self._trainer.l2, self._trainer.clip
        if not l2 and clip is None:
            return
        g = self._gradient[self._free]
        if l2:
            g = g + 2.0 * l2 * self.state[self._free, 0]
        if clip is not None:
            norm = sqrt(g.dot(g))
            if not SAFE[0] < norm < SAFE[1]:
                norm = hypot(*g.tolist())
            if norm > clip:
                g = g * (clip / norm)
        self._gradient[self._free] = g

    def _all_figures(self, result: Any, loss: float, chosen: Sequence[int] | None) -> list[float]:
        metrics = self._trainer.metrics
        native = iter(result[1 : self._figures].tolist())
        if all(self._native):
            return [loss, *native]
        self.store()
        outputs, targets = self._outputs(chosen)
        figures = [loss]
        with np.errstate(**self._warnings):
            for metric, of_row in zip(metrics, self._native, strict=True):
                figures.append(next(native) if of_row else float(metric(outputs, targets)))
        return figures

    def _outputs(self, chosen: Sequence[int] | None) -> tuple[list[Any], Rows]:
        # For metrics that are Python's: of the chosen rows, or of the validation part.
        if chosen is None:
            assert self._held is not None  # noqa: S101  (there is no other part to look at)
            table = self._held_outputs_of_rows(self._held_rows, self.state[:, 0])
            targets = self._held[1]
        else:
            table = self._outputs_of_rows(self._rows[chosen], self.state[:, 0])
            targets = self._batches.rows(chosen)[1]
        return [_like(self._output, iter(row)) for row in table.tolist()], targets

    def validate(self) -> list[float]:
        """Return the figures of the validation part, as `Trainer.validate`."""
        assert self._held is not None  # noqa: S101  (as above)
        if self._validation is None:
            self._validation = self._bound_validation()
        self._validation()
        loss = self._penalized(self._judgement)
        if not isfinite(loss):
            self.store()
            return self._trainer.validate(*self._held)
        return self._all_figures(self._judgement, loss, None)

    def _bound_validation(self) -> Callable[[], None]:
        judge = self._of_rows
        with ExitStack() as stack:
            if not self._is_ours:  # it may do otherwise in evaluation
                stack.enter_context(mode(self._trainer.model, training=False))
                judge, self._held_outputs_of_rows = self._programs()
                self._held_outputs_of_rows(self._held_rows, self.state[:, 0])
            run: Callable[[], None] = judge.bind(
                self._held_rows, self.state[:, 0], out=self._judgement
            )
        return run


# --- what is compiled: functions that hold no more than they need, so as to be known again --------


def _row_runner(model: Any, shape: tuple[int, ...], width: int) -> Callable[..., Any]:
    """Return the function row -> the model's output at its first numbers, those of the input."""
    is_module = isinstance(model, Module)

    def run_on(row: Sequence[Value]) -> Any:
        x = nested(iter(row[:width]), shape)
        return model.batch([x])[0] if is_module else model(x)

    return run_on


def _step_of_row(
    run_on: Callable[..., Any],
    figures: Sequence[Any],
    bounds: Sequence[tuple[int, int]],
    parameters: Sequence[Value],
) -> Callable[..., list[Any]]:
    """Return the function (row, numbers) -> [loss, other figures, ..., gradient, ...]."""

    def step(row: Sequence[Value], numbers: list[Value]) -> list[Any]:
        # The model is run on the parameters themselves, wherever it has them from; then they are
        # replaced, so that they can be an argument.
        output = run_on(row)
        results = [
            figure(output, row[start:end])
            for figure, (start, end) in zip(figures, bounds, strict=True)
        ]
        results = substituted(results, dict(zip(parameters, numbers, strict=True)))
        return [*results, *gradients(results[0], numbers)]

    return step


def _outputs_of_row(
    run_on: Callable[..., Any], parameters: Sequence[Value]
) -> Callable[..., list[Any]]:
    """Return the function (row, numbers) -> the model's output, its numbers in one list."""

    def outputs(row: Sequence[Value], numbers: list[Value]) -> list[Any]:
        known = dict(zip(parameters, numbers, strict=True))
        return substituted(list(_flat(run_on(row))), known)

    return outputs


def _with_lists(formula: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    # lr and the number of steps come from buffers of one number.
    return lambda numbers, gradient, lr, steps: formula(numbers, gradient, lr[0], steps[0])


def _flat(thing: Any) -> Iterator[Any]:
    if isinstance(thing, list | tuple):
        for part in thing:
            yield from _flat(part)
    else:
        yield thing


def _like(output: Any, numbers: Iterator[float]) -> Any:
    if isinstance(output, list | tuple):
        return type(output)([_like(part, numbers) for part in output])
    number = next(numbers)
    return Value(number) if type(output) is Value else number


def _copied(thing: Any) -> Any:
    return list(map(_copied, thing)) if isinstance(thing, list) else thing


def _are_same(old: Any, new: Any) -> bool:
    # Values are the same if they are one: their data may change.
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_are_same, old, new))
    return old is new or (isinstance(new, int | float | str | tuple) and _are_equal(old, new))


def _are_equal(old: Any, new: Any) -> bool:
    if isinstance(new, tuple):
        return isinstance(old, tuple) and _are_same(list(old), list(new))
    return bool(old == new)
