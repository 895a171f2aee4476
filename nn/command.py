"""The command `autograd train`: a network for moons, iris, digits or a CSV file of one's own."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .csv import read_csv
from .diagnose import diagnose
from .options import parser
from .outputs import OUTPUTS, CommandError, check, write
from .tasks import CLASSIFIERS, SAMPLES, Task, sample

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from .csv import Table

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str]) -> int:
    """Run `autograd train` with the arguments that follow it; return the exit status."""
    try:
        return _run(parser().parse_args(argv))
    except SystemExit as stop:  # argparse has printed what there is to say
        return stop.code if isinstance(stop.code, int) else USAGE
    except CommandError as error:
        _complain(error)
        return USAGE if error.usage else FAILED
    except BrokenPipeError:
        with suppress(OSError):  # Python would complain about stdout once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        _complain(f"the output can't be written: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    files = {name: path for name in OUTPUTS if (path := getattr(options, name))}
    task = _task(options, files)
    _write(_described(Path(options.data).name, task))
    task.train(
        optimizer=options.optimizer,
        lr=options.lr or (0.1 if options.optimizer == "sgd" else 0.01),
        epochs=options.epochs,
        batch_size=options.batch_size,
        until=options.until,
        seed=options.seed,
    )
    _write(_result(task))
    for name, path in files.items():
        write(name, task, path)
        _write(f"{name.replace('_', ' ')}: {path}\n")
    return {"interrupted": INTERRUPTED, "nan": FAILED}.get(task.history.stopped, OK)


def _task(options: argparse.Namespace, files: dict[str, Path]) -> Task:
    try:
        table = _table(options)
        for name, path in files.items():
            check(name, path, table)
        return Task(
            table,
            loss=options.loss,
            widths=options.layers,
            activation=options.activation,
            validation=options.validation,
            seed=options.seed,
        )
    except (ImportError, ValueError) as error:
        raise CommandError(str(error), usage=isinstance(error, ValueError)) from None


def _table(options: argparse.Namespace) -> Table:
    if options.data in SAMPLES:
        if options.target is not None:
            message = f"--target is for a FILE.csv: {options.data} has its own"
            raise ValueError(message)
        return sample(options.data)
    try:
        return read_csv(options.data, options.target, classify=options.loss in CLASSIFIERS)
    except OSError as error:
        message = (
            f"{options.data!r} can't be read ({error.strerror or error}): name a CSV file, or one "
            f"of {', '.join(SAMPLES)}"
        )
        raise ValueError(message) from None


def _described(name: str, task: Task) -> str:
    table = task.table
    if table.classes:
        target = f"{table.target}, {len(table.classes)} classes"
    else:
        target = f"{table.target} = {task.mean:.6g} + {task.std:.6g} · output"
    return (
        f"{name}: {len(table.X)} examples, {len(task.X)} of them to train on\n"
        f"target: {target}\n"
        f"loss: {task.loss}\n"
        f"{task.model}\n\n"
    )


def _result(task: Task) -> str:
    lines = [str(task.history)]
    if not task.table.classes and task.history.stopped != "nan":
        lines.append(f"typical error: {task.error():.4g}, in the unit of {task.table.target}")
    return "\n".join([*lines, "", str(diagnose(task.history))]) + "\n"


def _write(text: str) -> None:
    if sys.stdout is None:  # closed by the shell, `>&-`
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    fitting = text.encode(encoding, errors="backslashreplace").decode(encoding)
    sys.stdout.write(fitting)
    sys.stdout.flush()


def _complain(error: object) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"autograd: {error}\n")
