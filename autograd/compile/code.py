"""Machine code for a tape: made, or found in the cache, and loaded."""

from __future__ import annotations

import ctypes
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd.op import find, ieee

from . import cache
from .graph import CALL
from .machine import Code, compile_module, processor

if TYPE_CHECKING:
    from .frame import Signature
    from .options import Options
    from .program import Frame
    from .tape import Operand, Tape

METH_NOARGS = 4
PAYLOAD = bytes.__basicsize__ - 1  # where in a bytes object its contents begin
SMALL = 1 << 20  # bytes of code that a pickle takes along


class Made(NamedTuple):
    """What was compiled: an object file, and the table of places that its code looks at."""

    data: bytes
    table: np.ndarray[Any, Any]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.data) + self.table.nbytes


class _MethodDefinition(ctypes.Structure):
    # PyMethodDef, as Python's C API defines it.
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_new_builtin = ctypes.pythonapi.PyCFunction_NewEx
_new_builtin.restype = ctypes.py_object
_new_builtin.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)


class Loaded:
    """Code in memory, its table of places, and Python's operations that it calls."""

    def __init__(self, made: Made, tape: Tape, signature: Signature) -> None:
        self.code = Code(made.data)
        self.table = made.table
        self.signature = signature
        self.width = processor().width
        self.calls, self._callbacks = _addresses(tape.calls)
        self._definition = _MethodDefinition(b"run", self.code.call, METH_NOARGS, None)

    def builtin(self, frame: Frame) -> Any:
        """Return the function without arguments, a builtin, that runs on that frame.

        It keeps alive what it needs, in the place where a builtin has its module.
        """
        needed = (frame.payload, frame.words, frame.loaded, frame.keep)
        return _new_builtin(ctypes.addressof(self._definition), frame.payload, needed)

    def run(self, frame: Frame) -> int:
        """Run, without holding Python's lock; return 0, or the number of the guard that fails."""
        return int(self.code.run_function(frame.address))


def load(
    tape: Tape, signature: Signature, options: Options, carried: dict[str, Made] | None = None
) -> Loaded:
    """Return the code of a tape, loaded.

    `carried` has code by its names in the cache, which is used, and gets this code if it is small.
    """
    name = cache.key("code", _told(tape), signature, options.exact, PAYLOAD)
    made = carried.get(name) if carried and name else None
    if made is None and name and options.cache:
        made = cache.get(name)
    if made is None:
        made = _make(tape, signature, options)
        if name and options.cache:
            cache.put(name, made)
    if name and carried is not None and made.size <= SMALL:
        carried[name] = made
    return Loaded(made, tape, signature)


def _make(tape: Tape, signature: Signature, options: Options) -> Made:
    module, table = emitted(tape, signature, options)
    return Made(compile_module(module), np.array(table or [0], dtype=np.int32))


def emitted(tape: Tape, signature: Signature, options: Options) -> tuple[Any, list[int]]:
    """Return a tape as a module of LLVM's language, for this processor, and its table of places."""
    from .emit import emit  # noqa: PLC0415  (not needed for code that is there already)
    from .native import Target  # noqa: PLC0415  (as above)

    here = processor()
    target = Target(here.width, here.has_fma, options.exact)
    return emit(tape, signature, target, payload=PAYLOAD)


def _told(tape: Tape) -> Any:
    # All that the code of a tape depends on, as nested tuples of numbers and text.
    steps = [
        (
            step.home,
            step.code,
            step.dims,
            step.terms,
            step.stage,
            step.kept,
            *[_operand_told(x) for x in (*step.operands, step.out)],
        )
        for step in tape.shared + tape.rows
    ]
    sizes = (tape.shared_inputs, tape.row_inputs, tape.shared_size, tape.results, tape.row_results)
    return steps, sizes, len(tape.constants), tape.calls


def _operand_told(operand: Operand) -> Any:
    if operand.table is None:
        return operand.space, operand.base, operand.strides, operand.term
    table = operand.table
    return operand.space, table.dtype.str, table.shape, blake2b(table.tobytes()).hexdigest()


def _addresses(calls: tuple[tuple[str, int], ...]) -> tuple[np.ndarray[Any, Any], list[Any]]:
    callbacks = []
    for code, operands in calls:
        op = find(code.removeprefix(CALL))

        def forward(*xs: float, op: Any = op) -> float:
            with ieee():
                return float(op.evaluate(*xs))

        kind = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * operands)
        callbacks.append(kind(forward))
    addresses = [ctypes.cast(x, ctypes.c_void_p).value or 0 for x in callbacks]
    return np.array(addresses or [0], dtype=np.int64), callbacks
