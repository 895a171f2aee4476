"""`Compiled`: a function as its user calls it."""

from __future__ import annotations

import os
from array import array
from copy import deepcopy
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from autograd.arguments import argument_names
from autograd.backward import sort
from autograd.op import ieee
from autograd.value import Value

from .bound import bind
from .names import names_of
from .program import Failed, NotFinite, Program
from .remember import recall, remembered
from .rows import RowCall, by_the_function
from .structure import (
    HasHistoryError,
    Structure,
    flatten,
    size,
    unpacker,
)
from .trace import Traced, trace, trace_graph
from .transport import pack, share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .options import Options
    from .tape import Tape

PATHS = 64  # programs for one structure of arguments: a function with more decisions needs `where`


_all: WeakSet[Compiled] = WeakSet()


def _renew_locks() -> None:
    # After a fork: the thread that held one may be in the parent only.
    for compiled in _all:
        compiled._lock = RLock()  # noqa: SLF001  (its own parts)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class Path:
    """A program, and what makes a result of its numbers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.unpack = unpacker(program.traced.result)
        self.recalled = False  # whether an earlier run has traced it
        self.careful: Path | None = None  # what is run where a result isn't finite


class Compiled:
    """A compiled function: call it like the function that it was made of.

    `tape` is the program, to be read; `paths` has one for each way through the function that was
    taken so far. `bind` ties it to buffers.
    """

    def __init__(self, f: Callable[..., Any], options: Options) -> None:
        self.f = f
        self.options = options
        self.labels: list[str] = []  # of the arguments, where the function doesn't name them
        self._paths: dict[Any, list[Path]] = {}
        self._used: Path | None = None  # by the last call
        self._lock = RLock()
        _all.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to make it again in another process: see `transport`."""
        return pack(self)

    def __copy__(self) -> Compiled:
        """Return another one with the same programs."""
        return share(self, self.f)

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        """Return one of a copy of the function; a plain function is its own copy."""
        return share(self, deepcopy(self.f, memo))

    def __repr__(self) -> str:
        name = getattr(self.f, "__qualname__", repr(self.f))
        return f"<compiled {name}: {sum(map(len, self._paths.values()))} programs>"

    def __call__(self, *args: Any) -> Any:
        """Return what the function returns for these arguments, as floats and lists of them."""
        if self.options.rows:
            return self._call_rows(args)
        try:
            flat = [flatten(x, f"argument {i}") for i, x in enumerate(args)]
        except HasHistoryError:
            # Somebody wants the graph: it is the function itself that records it.
            return self.f(*args)
        key = tuple([structure for structure, _ in flat])
        paths = self._paths.get(key) or self._recalled(key)
        numbers = [own for _, own in flat]
        for path in paths:
            result = self._run(path, flat)
            if result is not Failed:
                if path is not paths[0]:
                    self._prefer(key, path)
                break
        else:
            path = self._trace(key, numbers)
            result = self._run(path, flat)
        if result is NotFinite:
            result = self._run(self._careful(path, key, numbers), flat)
        return self._interpreted(args) if result is Failed else result

    def _run(self, path: Path, flat: list[tuple[Structure, Any]]) -> Any:
        self._used = path
        program = path.program
        frame = program.frame()
        inputs = frame.inputs
        at = 0
        for _, numbers in flat:
            if type(numbers) is tuple:
                inputs[at] = numbers[0]
                at += 1
            else:
                end = at + len(numbers)
                if type(numbers) is not array:
                    frame.view[at:end] = numbers
                elif numbers:  # to assign nothing is to delete, which a buffer in use forbids
                    inputs[at:end] = numbers
                at = end
        if program.traced.captured:
            frame.read_captured()
        result = frame.call()
        if result is None:
            result = path.unpack(frame.out)
        elif program.traced.optimistic and frame.guards_hold():
            result = NotFinite
        program.release(frame)
        return result

    def _careful(self, path: Path, key: Any, numbers: Sequence[Sequence[float]]) -> Path:
        # The same way through the function, without the hope that all numbers are finite.
        with self._lock:
            if path.careful is None:
                path.careful = self._path(key, self._traced(key, numbers, careful=True))
            return path.careful

    def _interpreted(self, args: Any) -> Any:
        # Where rounding decides differently in the program and in the function, the function is
        # right.
        with ieee():
            return self.f(*args)

    # --- programs --------------------------------------------------------------------------------

    def key(self, *args: Any) -> tuple[Structure, ...]:
        """Return the structures of arguments, by which programs are found."""
        if self.options.rows:
            return RowCall(self.f, self.options, args).key
        return tuple([flatten(x, f"argument {i}")[0] for i, x in enumerate(args)])

    def _trace(self, key: Any, numbers: Sequence[Sequence[float]]) -> Path:
        with self._lock:
            found = self._paths.get(key, [])
            if sum(not path.recalled for path in found) >= PATHS:
                raise RuntimeError(self._too_many(found))

            def make() -> Traced:
                return self._traced(key, numbers)

            path = self._path(key, remembered(self.f, key, self.options, make))
            self._paths[key] = [path, *found]
            return path

    def _traced(
        self, key: Any, numbers: Sequence[Sequence[float]], *, careful: bool = False
    ) -> Traced:
        return trace(
            self.f,
            key,
            numbers,
            self.options.rows,
            names=self.labels or argument_names(self.f, len(key)),
            reduced=self.options.reduce is not None,
            exact=self.options.exact,
            careful=careful,
        )

    def _recalled(self, key: Any) -> list[Path]:
        # What an earlier run of the program has traced for such arguments.
        with self._lock:
            if key not in self._paths:
                paths = [self._path(key, x) for x in recall(self.f, key, self.options)]
                for path in paths:
                    path.recalled = True
                if paths:
                    self._paths[key] = paths
            return self._paths.get(key, [])

    def _path(self, key: Any, traced: Traced) -> Path:
        name = getattr(self.f, "__name__", type(self.f).__name__)
        arguments = self.labels or argument_names(self.f, len(key))
        traced.tape.names = names_of(name, arguments, key, self.options, traced)
        return Path(Program(traced, [size(structure) for structure in key], self.options))

    def _prefer(self, key: Any, path: Path) -> None:
        with self._lock:
            others = [x for x in self._paths[key] if x is not path]
            self._paths[key] = [path, *others]

    def _too_many(self, found: list[Path]) -> str:
        last = found[0].program.traced.decisions[-1]
        return (
            f"{self!r} has taken {len(found)} ways through the function, the last by {last}: "
            "choose by autograd.where(condition, a, b) instead of `if`: one program for both"
        )

    @property
    def programs(self) -> list[Program]:
        """Every program so far, the latest first."""
        return [path.program for paths in self._paths.values() for path in paths]

    @property
    def tape(self) -> Tape:
        """The program of the last call, to be printed.

        Raises:
            RuntimeError: if the function hasn't been called yet.

        """
        return self._last.traced.tape

    @property
    def _last(self) -> Program:
        if not self._paths:
            message = f"{self!r} has no tape yet: call it once, with arguments to trace it for"
            raise RuntimeError(message)
        path = self._used or next(reversed(self._paths.values()))[0]
        return path.program

    def to_c(self, name: str | None = None) -> str:
        """Return a C file with the program of the last call as a function, under that name.

        It needs `math.h` only; what it takes and returns stands in its first comment. Data of
        Values that are no arguments become constants.

        Raises:
            ValueError: if Python computes an operation, or the name is none in C.
            RuntimeError: if the function hasn't been called yet.

        """
        from .to_c import to_c  # noqa: PLC0415  (seldom wanted)

        return to_c(self._last, name)

    def llvm(self) -> str:
        """Return the program of the last call in LLVM's language, as it is compiled.

        Raises:
            RuntimeError: if the function hasn't been called yet.
            ImportError: without llvmlite.

        """
        from .code import emitted  # noqa: PLC0415  (for people only)

        program = self._last
        module, _ = emitted(program.traced.tape, program.signature, program.options)
        return str(module)

    def assembly(self) -> str:
        """Return the machine code of the program of the last call as text; errors as `llvm`."""
        from .machine import assembly  # noqa: PLC0415  (for people only)

        return assembly(self.llvm())

    def to_jax(self) -> Callable[..., Any]:
        """Return the program of the last call as a function of JAX arrays, to differentiate or jit.

        It takes what this function takes and returns the same in arrays of doubles. It goes one way
        only: where the function would decide otherwise, its results are nan. Data of Values that
        are no arguments become constants.

        Raises:
            ValueError: if Python computes an operation.
            RuntimeError: if the function hasn't been called yet, or JAX isn't set to doubles.

        """
        from .foreign import Jax, function  # noqa: PLC0415  (imports JAX)

        return function(self._last, Jax(), "JAX")

    def to_torch(self) -> Callable[..., Any]:
        """Return the program of the last call as a function of PyTorch's tensors, as `to_jax`."""
        from .foreign import Torch, function  # noqa: PLC0415  (imports PyTorch)

        return function(self._last, Torch(), "PyTorch")

    @property
    def paths(self) -> list[str]:
        """The ways through the function that were taken, each in words: its decisions."""
        return [
            "; ".join(map(str, program.traced.decisions)) or "no decisions"
            for program in self.programs
        ]

    # --- rows ------------------------------------------------------------------------------------

    def _call_rows(self, args: tuple[Any, ...]) -> Any:
        try:
            call = RowCall(self.f, self.options, args)
        except HasHistoryError:
            # As above: by the function itself.
            return by_the_function(self.f, self.options, args)
        for path in list(self._paths.get(call.key) or self._recalled(call.key)):
            result = call.run(path.program)
            if result is not Failed:
                break
        else:
            path = self._trace(call.key, call.first())
            result = call.run(path.program)
        self._used = path
        if result is NotFinite:
            careful = self._careful(path, call.key, call.first())
            result = call.run(careful.program)
        return call.interpreted() if result is Failed else result

    def bind(self, *args: Any, out: Any = None) -> Any:
        """Return a function without arguments that works on these buffers in place.

        Arguments are numbers, which are read now, or buffers of doubles (`array('d')`, numpy,
        memoryview), which are read at each call. `out` has the structure of the result, with a
        buffer in the place of every list, and one of a single number in the place of a number; it
        is written to at each call, which returns None and costs about a tenth of a microsecond.
        With rows and no `reduce`, `out` is one buffer with the results of each row in a row.

        Raises:
            TypeError, ValueError: if a buffer isn't one of doubles, has another size than the
                result, can't be written to, or overlaps another.

        """
        return bind(self, args, out)


class GraphFunction:
    """A graph that exists, as a function of some of its Values."""

    def __init__(self, y: Value, inputs: list[Value]) -> None:
        self.y = y
        self.inputs = inputs
        self.computed = sort(y)[0]  # now, while it isn't stale

    def __call__(self, *args: Any) -> Any:
        """Return what the graph computes with these in the place of its inputs."""
        known: dict[Any, Any] = dict(zip(self.inputs, args, strict=True))
        for node in self.computed:
            if node not in known:
                op: Any = node.op
                known[node] = op.apply(tuple([known.get(x, x) for x in node.operands]))
        return known.get(self.y, self.y)


def compile_graph(y: Value, inputs: Sequence[Value], options: Options) -> Compiled:
    """Return the compiled function of the inputs' data that a graph is."""
    own = list(inputs)
    first: dict[int, int] = {}  # by identity: Values are equal by their data
    for i, x in enumerate(own):
        if type(x) is not Value:
            message = f"inputs[{i}] must be a Value; got {x!r} ({type(x).__name__})"
            raise TypeError(message)
        if first.setdefault(id(x), i) != i:
            message = f"inputs[{i}] is inputs[{first[id(x)]}] again: each gets one number only"
            raise ValueError(message)

    compiled = Compiled(GraphFunction(y, own), options)
    traced = trace_graph(y, own, exact=options.exact)
    key = (None,) * len(own)
    compiled.labels = [x.label or f"x{i + 1}" for i, x in enumerate(own)]
    compiled._paths[key] = [compiled._path(key, traced)]  # noqa: SLF001  (made here)
    return compiled
