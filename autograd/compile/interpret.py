"""The tape on numpy: one array operation per instruction, where there is no llvmlite.

It is called as the machine code is: `Interpreted` has what `code.Loaded` has, and works on the same
words and the same memory. Arrays are laid over that memory once, an operand being a view with the
instruction's strides, so that an instruction is a call or two of numpy. The rows are gone through
in blocks that stay in the processor's cache.
"""

from __future__ import annotations

import ctypes
from math import erf, erfc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.op import find, ieee

from . import frame as words
from .arrays import UFUNCS, Formulas
from .graph import CALL
from .lower import LIBM
from .tape import ROW, SHARED, TERMS, Instruction, Operand, Tape

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .frame import Signature
    from .options import Options
    from .program import Frame

    Array = NDArray[Any]
    Run = Callable[["_Machine"], Any]  # which doesn't hold the machine: that would be a cycle
    Operands = list[Callable[[], Array]]

DOUBLE = 8  # bytes
CACHE_LINE = 64  # bytes; the row space begins with one


def load(tape: Tape, signature: Signature, options: Options) -> Interpreted:
    """Return a tape as something to run."""
    return Interpreted(tape, signature, exact=options.exact)


class Interpreted:
    """A tape that numpy runs, in the place of machine code (`code.Loaded`)."""

    width = 1  # rows are as many as they are, and not filled up to whole vectors

    def __init__(self, tape: Tape, signature: Signature, *, exact: bool) -> None:
        self.tape = tape
        self.signature = signature
        self.exact = exact
        self.table = np.zeros(1, dtype=np.int32)  # machine code has its places here, and
        self.calls = np.zeros(1, dtype=np.int64)  # the addresses of Python's operations

    def builtin(self, frame: Frame) -> Any:
        """Return the function without arguments that runs on that frame.

        It keeps alive what the words point to, and not the frame, which has it.
        """
        return _Machine(self, frame.words, (frame.payload, frame.keep))

    def run(self, frame: Frame) -> int:
        """Run; return 0, or the number of the guard that fails."""
        return int(frame.call.run())


class _Machine:
    def __init__(self, loaded: Interpreted, table: Array, needed: object) -> None:
        self.tape = loaded.tape
        self.signature = loaded.signature
        self.exact = loaded.exact
        self.words = table
        self.floats = table.view(np.float64)
        self.needed = needed
        self.prepared: tuple[int, int] | None = None

    def __call__(self) -> Any:
        if self.run() == 0:
            return None
        # As the machine code finds it: what is called otherwise may be set at any time.
        otherwise = ctypes.cast(int(self.words[words.OTHERWISE]), ctypes.py_object)
        return otherwise.value()

    def run(self) -> int:
        """Run; return 0, or the number of the guard that fails."""
        memory = (int(self.words[words.WORK]), int(self.words[words.STRIDE]))
        if memory != self.prepared:
            self._prepare(*memory)
        with np.errstate(all="ignore"), ieee():
            self._copy_arguments()
            self.results[...] = 0.0
            for run in self.shared_runs:
                run(self)
            if self.tape.rows:
                self._run_rows(int(self.words[words.ROWS]))
        return self._failed() or self._put_results()

    def _prepare(self, work: int, stride: int) -> None:
        tape = self.tape
        self.prepared = work, stride
        self.shared = _view(work, (tape.shared_size,), (DOUBLE,))
        end = work + DOUBLE * tape.shared_size
        self.results = _view(end, (tape.results,), (DOUBLE,))
        end += DOUBLE * tape.results
        start = -(-end // CACHE_LINE) * CACHE_LINE
        self.block = stride // DOUBLE
        self.row = _view(start, (tape.row_size, self.block), (stride, DOUBLE))
        self.shared_runs = [self._instruction(step, self.row) for step in tape.shared]
        self.row_runs: dict[int, list[Run]] = {}  # by how many rows a block has

    # --- a run -----------------------------------------------------------------------------------

    def _copy_arguments(self) -> None:
        at = 0
        for number in range(self.signature.shared):
            address, count, step, _ = self._descriptor(number)
            self.shared[at : at + count] = _view(address, (count,), (step,))
            at += count

    def _descriptor(self, number: int) -> list[int]:
        at = words.ARGUMENTS + number * words.DESCRIPTOR
        return self.words[at : at + words.DESCRIPTOR].tolist()  # type: ignore[no-any-return]  # numpy's

    def _run_rows(self, rows: int) -> None:
        for first in range(0, rows, self.block):
            count = min(self.block, rows - first)
            self.first = first
            row = self.row[:, :count]
            self._copy_row_arguments(first, row)
            if count not in self.row_runs:
                self.row_runs[count] = [self._instruction(step, row) for step in self.tape.rows]
            for run in self.row_runs[count]:
                run(self)

    def _copy_row_arguments(self, first: int, row: Array) -> None:
        at = 0
        shared = self.signature.shared
        for number in range(shared, shared + self.signature.rows):
            address, count, step, between = self._descriptor(number)
            shape = (count, row.shape[1])
            row[at : at + count] = _view(address + first * between, shape, (step, between))
            at += count

    def _failed(self) -> int:
        for number, guard in enumerate(self.signature.guards):
            expected = 0.0
            if guard.answer and guard.varies:
                expected = float(self.words[words.ROWS])
            elif guard.answer:
                expected = self.floats[words.WEIGHT]
            if self.results[guard.place] != expected:
                return number + 1
        if self.signature.watched:
            count = self.tape.results - len(self.signature.guards)
            if not np.isfinite(self.results[:count]).all():
                return len(self.signature.guards) + 1
        return 0

    def _put_results(self) -> int:
        at = 0
        first = self.signature.shared + self.signature.rows
        for number in range(first, first + int(self.words[words.RESULTS])):
            address, count, step, _ = self._descriptor(number)
            target = _view(address, (count,), (step,))
            target[...] = self.results[at : at + count] * self.floats[words.SCALE]
            at += count
        return 0

    # --- instructions ----------------------------------------------------------------------------

    def _instruction(self, step: Instruction, row: Array) -> Run:
        along = TERMS.get(step.code, ())
        operands: Operands = [
            self._operand(step, x, row, terms=i in along) for i, x in enumerate(step.operands)
        ]
        places = places_of(step, step.out)
        if step.code == "store" and step.home == SHARED:
            return lambda machine: machine.store(places, operands[0])
        if step.code == "store":
            return lambda machine: machine.store_rows(places.reshape(-1), operands[0])
        if step.code in ("add_up", "add_product"):
            return lambda machine: machine.add_up(places, operands)
        out = self._operand(step, step.out, row)()
        if step.code in TERMS:
            return lambda _: _terms(step, operands, out)
        run = _runner(step.code, exact=self.exact)
        return lambda _: run(operands, out)

    def _operand(
        self, step: Instruction, operand: Operand, row: Array, *, terms: bool = False
    ) -> Callable[[], Array]:
        # Shapes are the loops', then the terms, then the rows.
        space = row if operand.space == ROW else self.shared
        over_rows = step.home == ROW and operand.space != ROW
        if operand.table is not None or isinstance(operand.term, tuple):
            places = places_of(step, operand, terms=terms)
            if over_rows:
                return lambda: space[places][..., None]
            return lambda: space[places]
        view = _strided(step, operand, space, terms=terms)
        if over_rows:
            view = view[..., None]
        return lambda: view

    def store(self, places: Array, operand: Callable[[], Array]) -> None:
        """Put shared numbers where results are collected."""
        self.results[places] = operand() * self.floats[words.WEIGHT]

    def store_rows(self, places: Array, operand: Callable[[], Array]) -> None:
        """Put the numbers of a block of rows into their results."""
        many = self.tape.row_results
        shape = (int(self.words[words.ROWS]), many)
        out = _view(int(self.words[words.EACH_ROW]), shape, (DOUBLE * many, DOUBLE))
        values = operand().reshape(len(places), -1)
        out[self.first : self.first + values.shape[1], places] = values.T

    def add_up(self, places: Array, operands: Operands) -> None:
        """Add the sums over a block of rows, or those of products, to the results."""
        values = [operand() for operand in operands]
        total = values[0].sum(axis=-1) if len(values) == 1 else _contract(*values)
        self.results[places] += total


# --- where numbers lie ----------------------------------------------------------------------------


def _view(address: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    # An array over memory that somebody else holds; strides in bytes, of either sign.
    if 0 in shape:
        return np.zeros(shape)
    moves = [s * (n - 1) for s, n in zip(strides, shape, strict=True)]
    low = sum(min(0, x) for x in moves)
    size = sum(max(0, x) for x in moves) - low + DOUBLE
    memory = (ctypes.c_char * size).from_address(address + low)
    return np.ndarray(shape, np.float64, memory, -low, strides)  # type: ignore[arg-type]  # ctypes has buffers


def _strided(step: Instruction, operand: Operand, space: Array, *, terms: bool) -> Array:
    between = space.strides[0]
    shape = [*step.dims, *([step.terms] if terms else []), *space.shape[1:]]
    strides = [between * s for s in operand.strides]
    if terms:
        assert isinstance(operand.term, int)  # noqa: S101  (others have no strides)
        strides.append(between * operand.term)
    strides += space.strides[1:]
    return np.lib.stride_tricks.as_strided(space[operand.base :], shape, strides)


def places_of(step: Instruction, operand: Operand, *, terms: bool = False) -> Array:
    """Return the places of an operand, with an axis for each loop, and one for the terms."""
    if operand.table is not None:
        width = (operand.table.shape[1],) if terms else ()
        return operand.table.reshape(step.dims + width)
    places = np.full(step.dims, operand.base)
    for axis, stride in enumerate(operand.strides):
        index = np.arange(step.dims[axis]) * stride
        places += index.reshape(-1, *[1] * (len(step.dims) - axis - 1))
    if terms:
        even = isinstance(operand.term, int)
        offsets = np.arange(step.terms) * operand.term if even else np.array(operand.term)
        places = places[..., None] + offsets
    return places


# --- what codes do --------------------------------------------------------------------------------

# What numpy can put straight into the place of the result.
_INTO = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    **{code: getattr(np, name) for code, name in UFUNCS.items()},
}
# Of 0 and -0 these two take the one that the operations take, which is not always numpy's.
del _INTO["maximum"], _INTO["minimum"]


class Numpy(Formulas):
    """The formulas, with what numpy itself does not have."""

    def __init__(self) -> None:
        each = {f.__name__: np.vectorize(f, otypes=[float]) for f in (erf, erfc)}
        super().__init__(SimpleNamespace(**vars(np), **each))
        self.maximum = lambda a, b: np.where((a > b) | (a != a), a, b)  # noqa: PLR0124  (a nan)
        self.minimum = lambda a, b: np.where((a < b) | (a != a), a, b)  # noqa: PLR0124  (as above)


_FORMULAS = Numpy()


def _runner(code: str, *, exact: bool) -> Callable[[Operands, Array], None]:
    """Return the function that puts what a code makes of its operands into an array."""
    if code.startswith(CALL) or (exact and code in LIBM):
        return _by_operation(code.removeprefix(CALL))
    if code in _INTO:
        ufunc = _INTO[code]
        return lambda operands, out: ufunc(*[x() for x in operands], out=out)
    formula = _FORMULAS.of(code)

    def run(operands: Operands, out: Array) -> None:
        out[...] = formula(*[x() for x in operands])

    return run


def _by_operation(name: str) -> Callable[[Operands, Array], None]:
    op: Any = find(name)

    def run(operands: Operands, out: Array) -> None:
        arrays = np.broadcast_arrays(*[x() for x in operands], out)[:-1]
        columns = [x.reshape(-1).tolist() for x in arrays]
        results = [op.evaluate(*xs) for xs in zip(*columns, strict=True)]
        out[...] = np.reshape(results, out.shape)

    return run


# --- sums and products of many terms --------------------------------------------------------------


def _terms(step: Instruction, operands: Operands, out: Array) -> None:
    values = [operand() for operand in operands]
    axis = len(step.dims)
    if step.code == "max":
        values[0].max(axis=axis, out=out)
    elif step.code.startswith("sum"):
        values[0].sum(axis=axis, out=out)
    else:
        start, a, b = values
        if out.ndim == axis:  # without rows: as if there were one
            np.add(start, _dot(a[..., None], b[..., None])[..., 0], out=out)
        else:
            np.add(start, _dot(a, b), out=out)


def _dot(a: Array, b: Array) -> Any:
    """Return the sums of products over the last axis but one, that of the terms."""
    if a.shape[-1] != 1:
        return np.einsum("...kr,...kr->...r", a, b)
    # Shared by the rows, as weights are: a product of matrices where the nodes have equal terms.
    if b.ndim > 2 and b.strides[-3] == 0:  # noqa: PLR2004  (an axis of nodes)
        return np.matmul(a[..., 0], b[..., 0, :, :])
    return np.matmul(a[..., None, :, 0], b)[..., 0, :]


def _contract(a: Array, b: Array) -> Any:
    """Return the sums of products over the last axis, that of the rows."""
    if a.ndim > 2:  # noqa: PLR2004  (two axes of nodes)
        # One factor for each line and one for each column: a product of matrices.
        if a.strides[-3] == b.strides[-2] == 0:
            a, b = b, a
        if a.strides[-2] == b.strides[-3] == 0:
            return np.matmul(a[..., :, 0, :], b[..., 0, :, :].swapaxes(-1, -2))
    return np.einsum("...r,...r->...", a, b)
