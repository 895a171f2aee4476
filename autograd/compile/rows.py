"""Calls with rows: arguments checked and laid out, results arranged, the work shared by threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.op import ieee
from autograd.value import Value

from .program import Failed, Frame, NotFinite, Program
from .structure import (
    HasHistoryError,
    Structure,
    assemble,
    flatten,
    leaves,
    numeric,
    of_result,
    unflatten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .options import Options


class RowCall:
    """The arguments of one call with rows: checked, and laid out for the program."""

    def __init__(self, f: Callable[..., Any], options: Options, args: tuple[Any, ...]) -> None:
        self.f = f
        self.options = options
        self.args = args
        places = options.rows
        if max(places) >= len(args):
            message = f"rows={places} names argument {max(places)}; there are {len(args)} arguments"
            raise ValueError(message)
        self.columns: list[tuple[Any, int, int]] = []  # an array, its count and its step
        self.shared: list[Any] = []
        structures: list[Structure] = []
        self.rows = -1
        for i, x in enumerate(args):
            if i in places:
                structures.append(self._add_rows(i, x))
            else:
                structure, numbers = flatten(x, f"argument {i}")
                structures.append(structure)
                self.shared.append(numbers)
        self.key = tuple(structures)

    def _add_rows(self, i: int, x: Any) -> Structure:
        what = f"argument {i}, whose rows are mapped over,"
        numbers = row_array(x, what)
        if self.rows < 0:
            self.rows = len(numbers)
            self.named = i
        if len(numbers) != self.rows:
            message = (
                f"{what} has {len(numbers)} rows, and argument {self.named} has {self.rows}: "
                "they must be as many"
            )
            raise ValueError(message)
        if not len(numbers):
            message = f"{what} has no rows: there is nothing to compute"
            raise ValueError(message)
        structure, count, step = row_layout(numbers)
        if step is None:
            numbers, step = np.ascontiguousarray(numbers), 8
        self.columns.append((numbers, count, step))
        return structure

    def first(self) -> list[Any]:
        """Return the numbers of the first row, and of the shared arguments, in order."""
        shared, columns = iter(self.shared), iter(self.columns)
        places = self.options.rows
        return [
            next(columns)[0][0].reshape(-1).tolist() if i in places else next(shared)
            for i in range(len(self.args))
        ]

    def run(self, program: Program) -> Any:
        """Return the result; Failed where all rows decide otherwise, or NotFinite.

        Raises:
            ValueError: where some rows decide otherwise.

        """
        frame = program.frame()
        self._fill(frame)
        threads = min(self.options.threads, self.rows)
        if threads > 1 and self.options.reduce and not program.traced.guards:
            result: Any = _run_threads(self, program, frame, threads)
        else:
            result = frame.call()
        if result is Failed and program.traced.optimistic and frame.guards_hold():
            result = NotFinite
        if result is Failed:
            self._check_agreement(frame)
        elif result is None and program.options.reduce:
            result = _with_arrays(program.traced.result, frame.out)
        elif result is None:
            result = _arranged(program.traced.result, _columns(program, frame, self.rows))
            if program.traced.optimistic and not np.isfinite(frame.each_row).all():
                result = NotFinite
            frame.rows = -1  # the next call gets a new array for its results
        program.release(frame)
        return result

    def _fill(self, frame: Frame) -> None:
        frame.set_rows(self.rows)
        at = 0
        for numbers in self.shared:
            end = at + len(numbers)
            frame.view[at:end] = numbers
            at = end
        for number, (column, count, step) in enumerate(self.columns):
            frame.describe_row(number, column.ctypes.data, count, step, column.strides[0])
        if frame.traced.captured:
            frame.read_captured()

    def _check_agreement(self, frame: Frame) -> None:
        traced = frame.traced
        for guard, decision in zip(traced.guards, traced.decisions, strict=True):
            found = frame.results[guard.place]
            expected = frame.rows if guard.answer else 0
            if guard.varies and found != expected:
                if 0 < found < frame.rows:
                    message = (
                        f"the rows disagree: {decision.text} at {decision.place} is true in "
                        f"{found:.0f} of {frame.rows} of them, and a program goes one way for all: "
                        "choose by autograd.where(condition, a, b) instead"
                    )
                    raise ValueError(message)
                return

    def interpreted(self) -> Any:
        """Return the result by the function itself, row after row."""
        with ieee():
            return by_the_function(self.f, self.options, self.args)


def row_array(x: Any, what: str) -> Any:
    """Return an argument with rows as an array of doubles; TypeError if it isn't one of numbers."""
    if type(x) is np.ndarray and x.dtype == np.float64 and x.flags.aligned:
        return x
    if isinstance(x, list | tuple) and _has_value(x):
        raise HasHistoryError
    try:
        numbers = np.asanyarray(x)
    except ValueError as error:
        message = f"{what} must be an array, or a list of rows of one length ({error})"
        raise ValueError(message) from None
    if not numbers.ndim:
        message = f"{what} must be an array or a list of rows; got {x!r}"
        raise TypeError(message)
    return numeric(numbers, what)


def _has_value(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return any(map(_has_value, x))
    return type(x) is Value


def row_layout(numbers: Any) -> tuple[Structure, int, int | None]:
    """Return the structure of a row, its count, and the bytes between its numbers if all alike."""
    if numbers.ndim == 1:
        return None, 1, 8
    shape = numbers.shape[1:]
    structure: Structure = (list, shape[-1])
    for n in reversed(shape[:-1]):
        structure = (list, (structure,) * n)
    count = int(np.prod(shape))
    if numbers.ndim == 2:  # noqa: PLR2004  (rows of numbers)
        return structure, count, int(numbers.strides[1])
    inner = numbers[0]
    return structure, count, 8 if inner.flags.c_contiguous else None


def _each_row(args: tuple[Any, ...], places: tuple[int, ...]) -> Iterator[list[Any]]:
    count = len(args[places[0]])
    for r in range(count):
        yield [
            (x[r].tolist() if isinstance(x, np.ndarray) else x[r]) if i in places else x
            for i, x in enumerate(args)
        ]


def by_the_function(f: Callable[..., Any], options: Options, args: tuple[Any, ...]) -> Any:
    """Return what a compiled function with rows returns, by f itself, row after row."""
    results = [of_result(f(*own)) for own in _each_row(args, options.rows)]
    structure = results[0][0]
    columns = list(zip(*[numbers for _, numbers in results], strict=True))
    if options.reduce is None:
        return _arranged(structure, [np.array(column) for column in columns])
    share = len(results) if options.reduce == "mean" else 1
    totals = [sum(column[1:], column[0]) / share for column in columns]
    return unflatten(structure, iter(totals))


def _columns(program: Program, frame: Frame, rows: int) -> list[Any]:
    # Each number of the result as an array with an entry for each row.
    each, shared = iter(range(frame.each_row.shape[1])), iter(frame.out)
    return [
        frame.each_row[:, next(each)] if varies else np.full(rows, next(shared))
        for varies in program.traced.outputs
    ]


def _arranged(structure: Structure, columns: list[Any]) -> Any:
    at = 0
    parts = []
    for leaf in leaves(structure):
        if leaf is None:
            parts.append(np.ascontiguousarray(columns[at]))
            at += 1
        else:
            parts.append(
                np.stack(columns[at : at + leaf], axis=1) if leaf else np.zeros((len(columns), 0))
            )
            at += leaf
    return assemble(structure, iter(parts))


def _with_arrays(structure: Structure, flat: Any) -> Any:
    at = 0
    parts: list[Any] = []
    for leaf in leaves(structure):
        if leaf is None:
            parts.append(flat[at])
            at += 1
        else:
            parts.append(np.array(flat[at : at + leaf]))
            at += leaf
    return assemble(structure, iter(parts))


def _run_threads(call: RowCall, program: Program, frame: Frame, threads: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  (seldom wanted)

    # Each thread has a stretch of rows, and a frame; what they return is added up.
    bounds = [call.rows * i // threads for i in range(threads + 1)]
    frames = [program.frame() for _ in range(threads)]
    for own, start, end in zip(frames, bounds, bounds[1:], strict=False):
        call._fill(own)  # noqa: SLF001  (its own frames)
        own.set_rows(end - start)
        for number, (column, count, step) in enumerate(call.columns):
            address = column.ctypes.data + start * column.strides[0]
            own.describe_row(number, address, count, step, column.strides[0])
    with ThreadPoolExecutor(threads) as pool:
        statuses = list(pool.map(program.loaded().run, frames))
    mean = program.options.reduce == "mean"
    weights = [own.rows / call.rows if mean else 1.0 for own in frames]
    totals = np.dot(weights, [np.frombuffer(own.out) for own in frames])
    np.frombuffer(frame.out)[...] = totals
    for own in frames:
        program.release(own)
    return NotFinite if any(statuses) else None
