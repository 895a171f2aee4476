"""Buffers that a program works on in place."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.op import is_real, to_float

from . import frame as words
from .program import Frame
from .structure import leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .compiled import Compiled, Path
    from .structure import Structure


NATIVE = "<d" if sys.byteorder == "little" else ">d"  # doubles, as buffers may say it, too


def bind(compiled: Compiled, args: tuple[Any, ...], out: Any) -> Any:
    """Return the function without arguments that `Compiled.bind` promises."""
    return _Binding(compiled, args, out).function()


class _Binding:
    def __init__(self, compiled: Compiled, args: tuple[Any, ...], out: Any) -> None:
        self.compiled = compiled
        self.given = out
        rows = compiled.options.rows
        self.each_row = bool(rows) and compiled.options.reduce is None
        self.args = [_readable(x, f"argument {i}", in_rows=i in rows) for i, x in enumerate(args)]
        compiled(*self.args)  # traces what these arguments need, and says what is wrong with them
        self.path = self._path()
        self.frame: Frame | None = None

    def _path(self) -> Path:
        # What was used last for arguments of this structure: others may have been called since.
        return self.compiled._paths[self.compiled.key(*self.args)][0]  # noqa: SLF001  (its own part)

    def function(self) -> Any:
        structure = self.path.program.traced.result
        targets = [self._table()] if self.each_row else _targets(structure, self.given)
        # Rows are written while others are still to be read; all else is read before.
        rows = self.compiled.options.rows if self.each_row else ()
        _check_overlap(targets, [self.args[i] for i in rows])
        program = self.path.program
        frame = Frame(program, results=len(targets))
        self.frame = frame
        compiled = self.compiled
        shared, in_rows = 0, 0
        frame.keep += [*self.args, *targets]
        if compiled.options.rows:
            frame.set_rows(len(self.args[compiled.options.rows[0]]))
        for i, x in enumerate(self.args):
            if i in compiled.options.rows:
                frame.describe_row(
                    in_rows, x.ctypes.data, program.sizes[i], _step(x, 1), x.strides[0]
                )
                in_rows += 1
                continue
            if not isinstance(x, np.ndarray):
                x = np.array([x], dtype=np.float64)  # noqa: PLW2901  (a number, read once)
                frame.keep.append(x)
            frame.describe(shared, x.ctypes.data, x.size, _step(x, 0))
            shared += 1
        if self.each_row:
            frame.words[words.EACH_ROW] = targets[0].ctypes.data
            return self._callable(frame, targets)
        for number, target in enumerate(targets):
            frame.describe_result(number, target.ctypes.data, target.size, _step(target, 0))
        return self._callable(frame, targets)

    def _table(self) -> Any:
        # The results of the rows, one row after the other.
        traced = self.path.program.traced
        (*_, width) = (1,) if traced.result is None else traced.result
        if not isinstance(width, int) or not all(traced.outputs):
            message = (
                "bind with rows, and without reduce='sum' or 'mean', takes a function whose result "
                "is a number or a list of numbers, each of which differs from row to row"
            )
            raise ValueError(message)
        target = _buffer(self.given, "out")
        wanted = len(self.args[self.compiled.options.rows[0]]) * width
        if target.size != wanted or not target.flags.c_contiguous or not target.flags.writeable:
            message = f"out must be a writable buffer of {wanted} numbers without gaps (C order)"
            raise ValueError(message)
        return target

    def _callable(self, frame: Frame, targets: list[Any]) -> Any:
        # Not self in `otherwise`: the frame has it, and would be kept by what it keeps.
        compiled, args, each_row = self.compiled, self.args, self.each_row
        structure = self.path.program.traced.result

        def otherwise() -> None:
            # Another way through the function: traced if it is new.
            result = compiled(*args)
            if each_row:
                _write_rows(targets[0], result)
                return
            for target, part in zip(targets, _parts(structure, result), strict=True):
                target[...] = part

        frame.otherwise = otherwise
        frame.keep += [otherwise, frame.work]  # the builtin keeps these alive, and not the frame
        frame.words[words.OTHERWISE] = id(otherwise)
        # The machine code looks at sums over the rows itself.
        watched = targets[0] if each_row and frame.traced.optimistic else None
        if not frame.traced.captured and watched is None:
            return frame.call
        return _Attended(frame, watched)


def _write_rows(target: Any, result: Any) -> None:
    # A tuple has a column for each of its numbers; all else is in rows already.
    rows = np.stack(result, axis=1) if isinstance(result, tuple) else result
    if rows.size != target.size:
        message = (
            f"the function now returns {rows.size} numbers, and out has room for {target.size}: "
            "bind it again with another out"
        )
        raise ValueError(message)
    target[...] = rows.reshape(target.shape)


class _Attended:
    """A bound function that reads the data of Values first, and looks at each row's results."""

    __slots__ = ("_frame", "_watched")

    def __init__(self, frame: Frame, watched: Any) -> None:
        self._frame = frame
        self._watched = watched

    def __call__(self) -> None:
        """Run."""
        self._frame.read_captured()
        self._frame.call()
        if self._watched is not None and not np.isfinite(self._watched).all():
            self._frame.otherwise()

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse, as what it calls does."""
        return _Attended, (self._frame.payload, None)


def _readable(x: Any, what: str, *, in_rows: bool) -> Any:
    if is_real(x) and not in_rows and not np.ndim(x):
        return to_float(x, what)
    return _buffer(x, what)


def _buffer(x: Any, what: str) -> Any:
    try:
        view = memoryview(x)
    except TypeError:
        message = (
            f"{what} must be a buffer of doubles, such as array('d', ...) or a numpy array of "
            f"float64; got {type(x).__name__}"
        )
        raise TypeError(message) from None
    if view.format not in ("d", "@d", "=d", NATIVE) or view.itemsize != 8:  # noqa: PLR2004  (bytes of a double)
        message = f"{what} must be a buffer of doubles (format 'd'); its format is {view.format!r}"
        raise TypeError(message)
    numbers = np.asarray(view)
    if not numbers.flags.aligned:
        message = f"{what} must lie where doubles may: at an address that 8 divides"
        raise ValueError(message)
    return numbers


def _step(x: Any, axis: int) -> int:
    if x.ndim <= axis:
        return 8
    if x.ndim == axis + 1:
        return int(x.strides[axis])
    if not x[0].flags.c_contiguous if axis else not x.flags.c_contiguous:
        message = f"a bound buffer of {x.ndim} dimensions must lie without gaps (C order)"
        raise ValueError(message)
    return 8


def _targets(structure: Structure, out: Any) -> list[Any]:
    sizes = leaves(structure)
    parts = list(_parts(structure, out))
    targets = []
    for i, (count, part) in enumerate(zip(sizes, parts, strict=True)):
        what = f"out, part {i}," if len(sizes) > 1 else "out"
        target = _buffer(part, what)
        wanted = 1 if count is None else count
        if target.size != wanted:
            message = f"{what} must have room for {wanted} numbers; it has {target.size}"
            raise ValueError(message)
        if not target.flags.writeable:
            message = f"{what} can't be written to"
            raise ValueError(message)
        targets.append(target if target.ndim else target.reshape(1))
    return targets


def _parts(structure: Structure, thing: Any) -> Iterator[Any]:
    if structure is None or (structure[0] is list and isinstance(structure[1], int)):
        yield thing
        return
    _, inner = structure
    if isinstance(inner, int):
        inner = (None,) * inner
    if not isinstance(thing, list | tuple) or len(thing) != len(inner):
        message = (
            f"out must have a buffer for each of the {len(inner)} parts of the result; "
            f"got {thing!r}"
        )
        raise TypeError(message)
    for part, own in zip(inner, thing, strict=True):
        yield from _parts(part, own)


def _check_overlap(targets: list[Any], sources: list[Any]) -> None:
    for i, target in enumerate(targets):
        if any(np.may_share_memory(target, other) for other in targets[i + 1 :]):
            message = "two parts of out share memory: each needs a buffer of its own"
            raise ValueError(message)
        if any(np.may_share_memory(target, other) for other in sources):
            message = "out shares memory with rows that are still to be read: give it its own"
            raise ValueError(message)
