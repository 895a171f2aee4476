"""`fit`: the training loop, with its usual extras. Without them it is these five lines.

    for epoch in range(epochs):
        loss = mse([model(x) for x in X], y)
        model.zero_grad()
        loss.backward()
        optimizer.step()

There is nothing else to it: each step does just this, on a batch. Where it pays, and can be done,
the step is compiled, and does the same to rounding.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from . import schedules
from .compilable import compiled_steps
from .data import examples, split
from .history import History
from .losses import loss as find_loss
from .metrics import accuracy
from .module import Module
from .optim import SGD
from .optim import optimizer as find_optimizer
from .optimizer import Optimizer, check_positive
from .progress import Progress
from .trainer import Batches, NotFiniteError, Trainer, mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from autograd import Value

    from .data import Rows
    from .losses import Loss
    from .schedules import Schedule
    from .trainer import Metric

LR = 0.1  # of plain gradient descent, where nothing is said


def fit(  # noqa: PLR0913  (by keyword, each with a default)
    model: Callable[[Any], Any],
    X: Any,  # noqa: N803  (the field's name)
    y: Any,
    *,
    loss: str | Loss = "mse",
    optimizer: str | type[Optimizer] | Optimizer | None = None,
    lr: float | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    validation: float | tuple[Any, Any] | None = None,
    until: float | Callable[[History], bool] | None = None,
    callbacks: Iterable[Callable[[History], Any]] = (),
    seed: int = 0,
    schedule: Schedule | None = None,
    clip: float | None = None,
    l2: float = 0.0,
    metrics: Iterable[Metric] = (),
    progress: bool | None = None,
    parameters: Sequence[Value] | None = None,
    compiled: bool | None = None,
) -> History:
    """Train the model on the examples (X[i], y[i]), and return the run's `History`.

    X and y are lists, numpy arrays or pandas frames (see `nn.data.examples`). The model is a
    module, or any function of one input: then `parameters` are the Values to train.

    loss: a name, or a function (outputs, targets) -> Value.
    optimizer: a name, with `lr`, or an optimiser that was made for the model. None is gradient
        descent, "sgd", with lr 0.1.
    batch_size: None takes one step per epoch. Otherwise an epoch goes through all examples in
        batches of about that many (and no more), shuffled by the `seed`; 1 is a step per example.
    validation: (Xv, yv), or the fraction of the examples that `nn.split` sets apart by the `seed`.
    until: the run ends when the loss is below this number, or when `until(history)` is true.
    callbacks: each is called with the history after each epoch; if one returns True, the run ends.
    schedule: a function of the epoch, from 0, that returns a factor for lr.
    clip: the largest norm of the gradient of all parameters.
    l2: l2·Σw² is added to the loss, over all parameters that are trained.
    metrics: functions (outputs, targets) -> number; `accuracy` is one of them for the losses of
        classification. They get the outputs that the loss was made of.
    progress: whether to show a bar. None shows one where somebody watches, after a second.
    compiled: whether steps are machine code (`pip install "chainrule[compile]"`): the same numbers
        to rounding, many times faster. None compiles runs that are long enough, if model and loss
        are made of parts of `nn`; with True, code of your own is compiled, too. It is then traced,
        which takes a few calls, and not run at the steps: it may depend on its arguments and the
        parameters alone, and the loss must be a mean over the rows. `history.compiled` says
        what was done.

    Ctrl-C ends the run; the model and the history stay as they are then. A loss or a gradient that
    isn't finite ends it, too: `history.diagnosis` says where it came from, and the parameters are
    set back to those with which the last epoch began whose first loss and gradient were finite.

    Raises:
        TypeError, ValueError: if an argument is wrong, or a label doesn't suit the loss. No
            parameter has changed then. What the model, the loss or a callback raises passes
            through, unless it is an arithmetic error and inf or nan is what IEEE 754 has there.
        ValueError: with compiled=True, if the run can't be compiled.

    """
    _check(epochs, batch_size, until, l2)
    _check_options(clip, compiled)
    calls = _functions("callbacks", callbacks)
    train, held, labels = _parts(X, y, validation, seed)
    criterion = find_loss(loss)
    figures = _with_accuracy(_functions("metrics", metrics), criterion, train[1][0])
    chosen = _optimizer(model, optimizer, lr, parameters)
    trainer = Trainer(model, criterion, chosen, figures, labels, l2=l2, clip=clip)
    batches = Batches(*train, batch_size, Random(seed))  # noqa: S311  (no cryptography)
    history, base = History(), chosen.lr
    if compiled is not False:
        make = partial(compiled_steps, trainer, batches, held, history, epochs, wanted=compiled)
        trainer.compile(make, is_watched=_is_watched(calls, until, schedule))
    bar = Progress(history, epochs, batches.count, show=progress)
    try:
        with mode(model, training=True):
            for epoch in range(epochs):
                chosen.lr = base * schedule(epoch) if schedule else base
                trainer.epoch(batches, held, bar)
                if stopped := _stopped(until, calls, history):
                    history.stopped = stopped
                    break
            else:
                history.stopped = "epochs"
    except KeyboardInterrupt:
        history.stopped = "interrupted"
    except NotFiniteError as found:
        history.stopped, history.diagnosis = "nan", str(found)
        trainer.restore()
    finally:
        trainer.finish()
        chosen.lr = base
        bar.close()
    return history


# --- what fit is given ----------------------------------------------------------------------------


def _check(epochs: Any, batch_size: Any, until: Any, l2: Any) -> None:
    for name, number, least in (("epochs", epochs, 0), ("batch_size", batch_size, 1)):
        if name == "batch_size" and number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            message = f"{name} must be a whole number, at least {least}; got {number!r}"
            raise (ValueError if isinstance(number, int) else TypeError)(message)
    if not (until is None or callable(until) or isinstance(until, int | float)):
        message = f"until must be a number or a function of the history; got {until!r}"
        raise TypeError(message)
    if not l2 >= 0.0:
        message = f"l2 must be >= 0; got {l2!r}"
        raise ValueError(message)


def _check_options(clip: Any, compiled: Any) -> None:
    if clip is not None:
        check_positive("clip_by_norm", "limit", clip)
    if not (compiled is None or isinstance(compiled, bool)):
        message = f"compiled must be True, False or None; got {compiled!r}"
        raise TypeError(message)


def _functions(name: str, given: Any) -> list[Any]:
    functions = list(given) if hasattr(given, "__iter__") else [given]
    for function in functions:
        if not callable(function):
            message = f"{name} must be a list of functions; got {function!r} in it"
            raise TypeError(message)
    return functions


def _parts(
    X: Any,  # noqa: N803  (the field's name)
    y: Any,
    validation: Any,
    seed: int,
) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows] | None, dict[str, Rows]]:
    inputs, targets = examples(X, y)
    if validation is None:
        return (inputs, targets), None, {"y": targets}
    if not isinstance(validation, tuple | list):
        parts = split(inputs, targets, validation, seed)
        return parts[:2], parts[2:], {"y": targets}
    if len(validation) != 2:  # noqa: PLR2004  (X and y)
        message = f"validation must be a pair (Xv, yv), or a fraction; got {len(validation)} parts"
        raise ValueError(message)
    held_X, held_y = validation  # noqa: N806  (as above)
    held = examples(held_X, held_y, ("validation X", "validation y"))
    return (inputs, targets), held, {"y": targets, "validation y": held[1]}


def _with_accuracy(metrics: list[Metric], loss: Loss, target: Any) -> list[Metric]:
    names = ["cross_entropy", "hinge", "max_margin"]
    if not isinstance(target, list):  # several yes-or-no answers are no classes
        names.append("binary_cross_entropy")
    is_classifier = loss in [find_loss(name) for name in names]
    return [accuracy, *metrics] if is_classifier and accuracy not in metrics else metrics


def _optimizer(
    model: Any,
    given: str | type[Optimizer] | Optimizer | None,
    lr: float | None,
    parameters: Sequence[Value] | None,
) -> Optimizer:
    if isinstance(given, Optimizer):
        if lr is not None or parameters is not None:
            message = "lr and parameters go with an optimizer's name: this one has its own"
            raise ValueError(message)
        return given
    kind: Callable[..., Optimizer] = find_optimizer("sgd" if given is None else given)
    if parameters is None and not hasattr(model, "parameters"):
        message = f"{model!r} has no parameters(): say which to train, parameters=[...]"
        raise TypeError(message)
    if lr is None and kind is SGD:
        lr = LR
    options = {} if lr is None else {"lr": lr}
    if parameters is not None:
        return kind(list(parameters), **options)
    # Of a module, what is frozen meanwhile is left alone.
    return kind(model if isinstance(model, Module) else list(model.parameters()), **options)


def _stopped(until: Any, callbacks: list[Any], history: History) -> str:
    answers = [callback(history) for callback in callbacks]
    if until is not None and (until(history) if callable(until) else history.loss[-1] < until):
        return "until"
    return "callback" if any(answer is True for answer in answers) else ""


def _is_watched(callbacks: list[Any], until: Any, schedule: Any) -> bool:
    # Whether somebody's code is run between two epochs, and may look at the parameters.
    own = schedule is not None and getattr(schedule, "__module__", "") != schedules.__name__
    return bool(callbacks) or callable(until) or own
