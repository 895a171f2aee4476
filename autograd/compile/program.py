"""A program in memory: its code, and the blocks of words that it is called with."""

from __future__ import annotations

import ctypes
from array import array
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from . import frame as words
from .frame import Signature
from .storage import LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .options import Options
    from .tape import Tape
    from .trace import Traced

BLOCK = 1 << 19  # bytes of the row space that are worked on at once: they stay in the second cache


class Loaded(Protocol):
    """What runs a tape on a frame: machine code, or numpy."""

    signature: Signature
    width: int
    table: Any
    calls: Any

    def builtin(self, frame: Frame) -> Any:
        """Return the function without arguments that runs on that frame."""

    def run(self, frame: Frame) -> int:
        """Run; return 0, or the number of the guard that fails."""


def load(tape: Tape, signature: Signature, options: Options, carried: dict[str, Any]) -> Loaded:
    """Return a tape as machine code; without llvmlite, as calls of numpy."""
    if find_spec("llvmlite") is None:
        from .interpret import load as load_interpreted  # noqa: PLC0415  (one of the two)

        return load_interpreted(tape, signature, options)
    from .code import load as load_native  # noqa: PLC0415  (imports llvmlite)

    return load_native(tape, signature, options, carried)


class Failed:
    """What a call gives back where a guard doesn't hold."""


class NotFinite:
    """What a call of an optimistic program comes to where a result isn't finite."""


def _failed() -> type[Failed]:
    return Failed


class Program:
    """What one trace came to, ready to be called."""

    def __init__(self, traced: Traced, sizes: Sequence[int], options: Options) -> None:
        self.traced = traced
        self.sizes = tuple(sizes)
        self.options = replace(options, exact=traced.exact)
        self.shared = [i for i in range(len(sizes)) if i not in options.rows]
        captured = 1 if traced.captured else 0
        # How many numbers of the result are no row's own.
        self.summed = traced.outputs.count(False)
        self.signature = Signature(
            len(self.shared) + captured, len(options.rows), traced.guards, traced.optimistic
        )
        self.carried: dict[str, Any] = {}  # small code, which goes where the program goes
        self._loaded: Loaded | None = None
        self._frames: list[Frame] = []

    def loaded(self) -> Loaded:
        """Return the code, which is made when it is first asked for."""
        if self._loaded is None:
            self._loaded = load(self.traced.tape, self.signature, self.options, self.carried)
        return self._loaded

    def frame(self) -> Frame:
        """Return a frame that nobody uses; give it back to `release`."""
        try:
            return self._frames.pop()  # one operation: two threads never get the same
        except IndexError:
            return Frame(self)

    def release(self, frame: Frame) -> None:
        """Take a frame back."""
        self._frames.append(frame)


class Payload(bytes):
    """The words of a frame, as what a builtin is bound to."""

    __slots__ = ()

    def __reduce_ex__(self, _: Any) -> NoReturn:
        """Refuse to be pickled, as a part of a bound function: addresses mean nothing elsewhere.

        Raises:
            TypeError: always.

        """
        message = (
            "a bound function can't be pickled: its buffers are memory of this process; pickle the "
            "compiled function, and bind it where it arrives"
        )
        raise TypeError(message)


class Frame:
    """The words of one call, the memory that they point to, and the builtin that runs on them."""

    def __init__(self, program: Program, results: int = 1) -> None:
        # Not the program itself: it has the frames that are free.
        self.traced = program.traced
        self.options = program.options
        loaded = program.loaded()
        many = loaded.signature.shared + loaded.signature.rows + results
        count = words.ARGUMENTS + many * words.DESCRIPTOR
        # A bytes object is what the builtin gets as its `self`. Nobody else ever sees it, so it may
        # be written to.
        self.payload = Payload(8 * count)
        self.address = id(self.payload) + bytes.__basicsize__ - 1
        words_of = (ctypes.c_int64 * count).from_address(self.address)
        self.words = np.frombuffer(memoryview(words_of), np.int64)
        self.floats = self.words.view(np.float64)
        self.loaded = loaded
        self.rows = -1
        tape = program.traced.tape
        self.work = np.zeros(0)
        self.inputs = array("d", bytes(8 * sum(program.sizes[i] for i in program.shared)))
        self.view = np.frombuffer(self.inputs)
        self.captured = array("d", bytes(8 * len(program.traced.captured)))
        self.out = array("d", bytes(8 * program.summed))
        self.each_row = np.zeros((0, tape.row_results))
        self.otherwise: Callable[[], Any] = _failed
        self.keep: list[Any] = []
        self._fill(program, results)
        self.call = loaded.builtin(self)

    def _fill(self, program: Program, results: int) -> None:
        table, loaded = self.words, self.loaded
        table[words.TABLES] = loaded.table.ctypes.data
        table[words.CALLS] = loaded.calls.ctypes.data
        table[words.NONE] = id(None)
        table[words.NEW_REFERENCE] = _address("Py_NewRef")
        table[words.CALL_OBJECT] = _address("PyObject_CallNoArgs")
        table[words.OTHERWISE] = id(self.otherwise)
        self.floats[words.WEIGHT] = self.floats[words.SCALE] = 1.0
        at = self.inputs.buffer_info()[0]
        for number, i in enumerate(program.shared):
            self.describe(number, at, program.sizes[i])
            at += 8 * program.sizes[i]
        if program.traced.captured:
            self.describe(len(program.shared), self.captured.buffer_info()[0], len(self.captured))
        table[words.RESULTS] = results
        if results == 1:
            self.describe_result(0, self.out.buffer_info()[0], program.summed)
        self.set_rows(0)

    # --- where things are ------------------------------------------------------------------------

    def describe(self, number: int, address: int, count: int, step: int = 8, row: int = 0) -> None:
        """Say where an argument lies: `step` bytes between numbers, `row` bytes between rows."""
        at = words.ARGUMENTS + number * words.DESCRIPTOR
        self.words[at : at + words.DESCRIPTOR] = address, count, step, row

    def describe_row(self, number: int, address: int, count: int, step: int, row: int) -> None:
        """Say where an argument of the rows lies."""
        self.describe(self.loaded.signature.shared + number, address, count, step, row)

    def describe_result(self, number: int, address: int, count: int, step: int = 8) -> None:
        """Say where a part of the result goes."""
        signature = self.loaded.signature
        self.describe(signature.shared + signature.rows + number, address, count, step)

    def set_rows(self, rows: int) -> None:
        """Make room for that many rows."""
        if rows == self.rows:
            return
        tape, width = self.traced.tape, self.loaded.width
        vectors = -(-rows // width)
        most = max(2, BLOCK // (8 * width * max(1, tape.row_size)))
        blocks = max(1, -(-vectors // most))
        each = -(-vectors // blocks)
        each += each % 2
        size = tape.shared_size + tape.results + LINE + tape.row_size * each * width
        if len(self.work) < size + LINE:
            self.work = np.zeros(size + LINE)
            start = -(self.work.ctypes.data // 8) % LINE
            constants = start + tape.shared_inputs
            self.work[constants : constants + len(tape.constants)] = tape.constants
            self.words[words.WORK] = self.work.ctypes.data + 8 * start
            end = start + tape.shared_size + tape.results
            self.results = self.work[start + tape.shared_size : end]
        self.words[words.ROWS] = rows
        self.words[words.STRIDE] = 8 * width * each
        reduce = self.options.reduce
        self.floats[words.WEIGHT] = float(rows) if reduce else 1.0
        self.floats[words.SCALE] = 1.0 / rows if reduce == "mean" and rows else 1.0
        if not reduce and self.options.rows:
            # A new one each time: the caller keeps it.
            self.each_row = np.empty((rows, tape.row_results))
            self.words[words.EACH_ROW] = self.each_row.ctypes.data
        self.rows = rows

    def guards_hold(self) -> bool:
        """Say whether the last run was right about all decisions of the function."""
        for guard in self.traced.guards:
            expected = 0.0
            if guard.answer:
                expected = self.rows if guard.varies else self.floats[words.WEIGHT]
            if self.results[guard.place] != expected:
                return False
        return True

    def read_captured(self) -> None:
        """Read the data of the Values that the function has from elsewhere."""
        for i, x in enumerate(self.traced.captured):
            self.captured[i] = x._data  # noqa: SLF001  (.data is refused inside another trace)


def _address(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
