"""Whether a run's steps can be compiled, and are: if it is possible, and worth it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from autograd import Op

from .activations import ACTIVATIONS
from .blocks import Dropout
from .graphs import computed, values
from .losses import LOSSES
from .module import Module
from .normalize import BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .compiled import Steps
    from .data import Rows
    from .history import History
    from .trainer import Batches, Trainer

# What a run costs without a compiler, in seconds: per operand in the graph of a row, and per
# parameter of a step; and what compiling costs. They are fixed numbers and not measured on the
# spot, so that the last bits of a run don't depend on how busy the machine is.
PER_OPERAND, PER_PARAMETER = 3e-7, 1e-6
COMPILING, COMPILING_OPERAND = 0.5, 3e-4
WORTHWHILE = 1.0  # how many times as long a run has to be

FREE = 3  # after so many times, what is compiled has to have lasted for long enough so far

ERRORS = (ArithmeticError, ImportError, LookupError, RuntimeError, TypeError, ValueError)


class NotCompiledError(ValueError):
    """The run can't be compiled; the text says why."""


def compiled_steps(  # noqa: PLR0913  (what a run is made of)
    trainer: Trainer,
    batches: Batches,
    held: tuple[Rows, Rows] | None,
    history: History,
    epochs: int,
    *,
    wanted: bool | None,
) -> Steps | None:
    """Return the steps of a run, compiled, or None where they can't be; the history says which.

    `wanted` None leaves alone what isn't our own, and runs that are short.

    Raises:
        NotCompiledError: if they are wanted and can't be compiled.

    """
    history.compiled, history.not_compiled = False, ""
    try:
        check_installed()
        check_rowwise(trainer.model)
        foreign = foreign_part(trainer.model, trainer.loss)
        if wanted is None:
            if foreign:
                raise NotCompiledError(foreign)
            ahead = epochs - history.epochs
            if trainer.made >= FREE:  # somebody changes something all the time
                ahead = min(ahead, history.epochs // trainer.made)
            _check_worthwhile(trainer, batches, held, ahead)
        from .compiled import Steps  # noqa: PLC0415  (imports numpy)

        steps = Steps(trainer, batches, held, is_ours=not foreign)
    except ERRORS as error:
        if wanted:
            message = f"compiled=True: {error}"
            raise NotCompiledError(message) from error
        history.not_compiled = str(error)
        return None
    history.compiled = True
    return steps


def check_installed() -> None:
    """Raise a NotCompiledError if a package is missing."""
    for package in ("numpy", "llvmlite"):
        if find_spec(package) is None:
            message = f'{package} isn\'t installed: pip install "chainrule[compile]"'
            raise NotCompiledError(message)


def check_rowwise(model: Any) -> None:
    """Raise a NotCompiledError if a module doesn't do the same with each row at each step."""
    for module in _modules(model):
        if module.training and isinstance(module, Dropout):
            message = f"{module.signature()} draws new random numbers at each step"
            raise NotCompiledError(message)
        if module.training and isinstance(module, BatchNorm):
            message = f"{module.signature()} mixes the rows of a batch"
            raise NotCompiledError(message)
        if {"forward", "forward_batch"} & vars(module).keys():
            message = f"{module.signature()} is watched, row by row"
            raise NotCompiledError(message)


def foreign_part(model: Any, loss: Any) -> str:
    """Return what of the model and the loss isn't made of parts of `nn` alone, in words; or "".

    What is compiled is run a few times, to trace it. What somebody else's code does beside
    computing (print, count, draw numbers) would happen at no step: that is for them to ask for.
    """
    if loss not in LOSSES.values():
        return "the loss is a function of your own"
    if not isinstance(model, Module):
        return "the model is a function of your own"
    for module in _modules(model):
        if not is_ours(type(module)):
            return f"{type(module).__name__} is a class of your own"
        for name, thing in vars(module).items():
            if name[0] != "_" and callable(thing) and not _is_known(thing):
                return f"{module.signature()} has a function of your own in it"
    return ""


def is_ours(kind: type) -> bool:
    """Say whether a class, and all that it inherits from, is part of this package."""
    return all(base.__module__.split(".")[0] == __package__ for base in kind.__mro__[:-1])


def _check_worthwhile(
    trainer: Trainer, batches: Batches, held: tuple[Rows, Rows] | None, epochs: int
) -> None:
    inputs, _ = batches.rows(None)
    output = trainer.outputs(inputs[:1])[0]
    operands = sum(len(node.operands) for node in computed(values(output)))
    rows = len(inputs) + (len(held[0]) / 3 if held else 0)  # those only go forward
    steps = PER_PARAMETER * len(trainer.parameters) * batches.count
    alone = epochs * (PER_OPERAND * operands * rows + steps)
    if alone < WORTHWHILE * (COMPILING + COMPILING_OPERAND * operands):
        message = "the run is so short that compiling it would take as long"
        raise NotCompiledError(message)


def _modules(model: Any) -> Iterable[Module]:
    return model.modules() if isinstance(model, Module) else ()


def _is_known(function: Any) -> bool:
    return isinstance(function, Module | Op) or function in ACTIVATIONS.values()
