"""The files that `autograd train` writes: each appears whole or not at all."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd import draw

from .plots import decision_boundary, loss_curves
from .save import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .csv import Table
    from .tasks import Task


class CommandError(Exception):
    """What the command can't do; `usage` says whether the command line has to change."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


class Output(NamedTuple):
    """How a file is written, the suffixes it may have, and the package that it takes."""

    write: Callable[[Task, Path], object]
    suffixes: tuple[str, ...]
    package: str = ""


def check(name: str, path: Path, table: Table) -> None:
    """Raise an CommandError if it can be told before the training that there will be no file."""
    option, output = f"--{name.replace('_', '-')}", OUTPUTS[name]
    if path.suffix not in output.suffixes:
        message = f"{option}: {str(path)!r} must end in {' or '.join(output.suffixes)}"
        raise CommandError(message, usage=True)
    if not path.parent.is_dir():
        message = f"{option}: there is no folder {str(path.parent)!r}; make it first"
        raise CommandError(message, usage=True)
    if name == "boundary" and (len(table.names) != 2 or not table.classes):  # noqa: PLR2004
        message = (
            f"{option} shows classes in the plane of two inputs; here {table.target!r} is "
            f"{'classes' if table.classes else 'a number'}, from {len(table.names)} inputs"
        )
        raise CommandError(message, usage=True)
    package = "safetensors" if path.suffix == ".safetensors" else output.package
    if package and find_spec(package) is None:
        message = f"{option}: {package} isn't installed: pip install {package}"
        raise CommandError(message)


def write(name: str, task: Task, path: Path) -> None:
    """Write the file; raise an CommandError if that can't be done."""
    try:
        OUTPUTS[name].write(task, path)
    except OSError as error:
        message = f"{str(path)!r} can't be written ({error.strerror or error})"
        raise CommandError(message) from None
    except (ImportError, RuntimeError, ArithmeticError, ValueError) as error:
        message = f"no {name.replace('_', ' ')} in {str(path)!r}: {error}"
        raise CommandError(message) from None


def _loss_curve(task: Task, path: Path) -> None:
    _replace(path, loss_curves(task.history).savefig)


def _boundary(task: Task, path: Path) -> None:
    figure = decision_boundary(task.model, task.X, task.y)
    _replace(path, figure.savefig)


def _replace(path: Path, savefig: Callable[..., Any]) -> None:
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        savefig(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


# The graph comes last: for it, the model's sums are made of products and sums.
OUTPUTS = {
    "save": Output(lambda task, path: save(task.model, path), (".json", ".safetensors")),
    "loss_curve": Output(_loss_curve, (".svg", ".png", ".pdf"), "matplotlib"),
    "boundary": Output(_boundary, (".svg", ".png", ".pdf"), "matplotlib"),
    "graph": Output(lambda task, path: draw(task.example()).save(path), (".svg", ".dot", ".png")),
}
"""By the option's name."""
