"""The tape as a function for another engine: JAX or PyTorch, or any library of arrays like numpy.

Each instruction becomes a few calls of the library on whole arrays, so that an engine that traces
the function sees as many operations as there are instructions, and can differentiate it, put it on
another device or make it part of something larger. Nothing is written in place: where an operand
lies is looked up once, when the function is built, as indices into the results that it comes from.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrays import Formulas
from .interpret import places_of
from .names import shape_of
from .structure import assemble, flatten, leaves, size
from .tape import ROW, SHARED, TERMS, Instruction, Operand, Tape
from .to_c import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .names import Argument
    from .program import Program

    Run = Callable[[list[Any]], Any]
    Places = NDArray[np.int64]


ROWS = 2  # the value that is the rows' arguments


class Jax(Formulas):
    """JAX; it has to be told that doubles are wanted, once and for all of a process."""

    def __init__(self) -> None:
        import jax  # noqa: PLC0415  (an engine that is there only if its user has it)
        import jax.numpy  # noqa: PLC0415
        import jax.scipy.special  # noqa: PLC0415

        if not jax.config.jax_enable_x64:
            message = (
                "to_jax computes with doubles, which JAX has to be told first: "
                'jax.config.update("jax_enable_x64", True)'
            )
            raise RuntimeError(message)
        super().__init__(jax.numpy)
        self._special = jax.scipy.special

    def erf(self, a: Any) -> Any:
        """Return erf a."""
        return self._special.erf(a)

    def erfc(self, a: Any) -> Any:
        """Return 1 - erf a."""
        return self._special.erfc(a)


class Torch(Formulas):
    """PyTorch."""

    def __init__(self) -> None:
        import torch  # noqa: PLC0415  (as above)

        super().__init__(torch)

    def array(self, x: Any) -> Any:
        """Return a tensor of doubles; asarray would cut off its history."""
        double = self.library.float64
        return x.to(double) if self.is_array(x) else self.library.as_tensor(x, dtype=double)

    def index(self, places: Any) -> Any:
        """Return a tensor of indices."""
        return self.library.as_tensor(places)

    def is_array(self, x: Any) -> bool:
        """Say whether it is a tensor."""
        return isinstance(x, self.library.Tensor)

    def cbrt(self, a: Any) -> Any:
        """Return ∛a, which PyTorch hasn't got."""
        return self.of("copysign")(abs(a) ** (1.0 / 3.0), a)


def function(program: Program, library: Formulas, target: str) -> Callable[..., Any]:
    """Return the function of the library's arrays that a program computes.

    Raises:
        ValueError: if Python computes one of its operations.

    """
    if program.traced.tape.calls:
        calls, exact = program.traced.tape.calls, program.options.exact
        raise ValueError(refusal(calls, target, exact=exact))
    return _Function(program, library).call


class _Fetch(NamedTuple):
    """Where an operand comes from: values, one after the other, and indices into them.

    The indices have an axis for each loop, and one for the terms. `varies` says whether the values
    have one more, for the rows.
    """

    values: tuple[int, ...]
    indices: Places
    varies: bool

    def is_alike(self, axis: int) -> bool:
        """Say whether the indices are the same all along an axis, of more than one."""
        same = self.indices == self.indices.take([0], axis)
        return bool(same.all()) and self.indices.shape[axis] > 1

    def first(self, axis: int) -> _Fetch:
        """Return what comes first along an axis."""
        return self._replace(indices=np.take(self.indices, 0, axis))


class _Function:
    """Values are numbered as they come to be: the arguments and constants, then each instruction's.

    Each is an array with an entry for each node, and an axis for the rows where it varies.
    """

    def __init__(self, program: Program, library: Formulas) -> None:
        self.program = program
        self.library = library
        self.tape: Tape = program.traced.tape
        tape = self.tape
        self.captured = [x._data for x in program.traced.captured]  # noqa: SLF001  (a Value's slot)
        sizes = {SHARED: tape.shared_size, ROW: tape.row_size}
        # The value that each place has its number from, and where in that value it is.
        self.owner = {space: np.zeros(n, dtype=np.int64) for space, n in sizes.items()}
        self.offset = {space: np.zeros(n, dtype=np.int64) for space, n in sizes.items()}
        self.lengths: list[int] = []
        inputs, constants = tape.shared_inputs, len(tape.constants)
        self._add(SHARED, np.arange(inputs))
        self._add(SHARED, np.arange(inputs, inputs + constants))
        self._add(ROW, np.arange(tape.row_inputs))
        first = len(self.lengths)
        steps = [*tape.shared, *tape.rows]
        self.runs = [self._instruction(step) for step in steps]
        numbered = list(enumerate(steps, start=first))
        self.stores = _Results(library, numbered, ("store",), SHARED, tape.results)
        self.sums = _Results(library, numbered, ("add_up", "add_product"), ROW, tape.results)
        self.each_row = _Results(library, numbered, ("store",), ROW, tape.row_results)

    def _add(self, space: str, places: Places) -> None:
        if space in self.owner:
            self.owner[space][places] = len(self.lengths)
            self.offset[space][places] = np.arange(len(places))
        self.lengths.append(len(places))

    # --- instructions ----------------------------------------------------------------------------

    def _instruction(self, step: Instruction) -> Run:
        along = TERMS.get(step.code, ())
        fetches = [self._fetch(x, step, terms=i in along) for i, x in enumerate(step.operands)]
        self._add(step.out.space, places_of(step, step.out).reshape(-1))
        if step.code.startswith("dot"):
            return self._dot(step, *fetches)
        if step.code in TERMS:
            return self._reduction(step, fetches[0])
        if step.code == "add_product":
            return self._products(step, *fetches)
        if step.code == "add_up":
            get = self._getter(fetches[0])
            return lambda values: get(values).sum(-1).reshape(-1)
        if step.code == "copy":
            return self._copy(fetches[0])
        return self._each(step, fetches)

    def _fetch(self, operand: Operand, step: Instruction, *, terms: bool) -> _Fetch:
        places = places_of(step, operand, terms=terms)
        owners, indices = self.owner[operand.space][places], self.offset[operand.space][places]
        values = np.unique(owners)
        # Of several values it is one laid behind the other.
        starts = np.cumsum([0, *[self.lengths[v] for v in values]])
        indices = indices + starts[np.searchsorted(values, owners)]
        return _Fetch(tuple(values.tolist()), indices, operand.space == ROW)

    def _getter(self, fetch: _Fetch) -> Run:
        """Return what gives an operand in the shape of its indices, and the rows behind."""
        flat = fetch.indices.reshape(-1)
        shape = fetch.indices.shape + ((-1,) if fetch.varies else ())
        first, count = int(flat[0]), len(flat)
        is_range = bool((flat == np.arange(first, first + count)).all())
        index = slice(first, first + count) if is_range else self.library.index(flat)
        join = self.library.library.concatenate
        if len(fetch.values) == 1:
            (only,) = fetch.values
            return lambda values: values[only][index].reshape(shape)
        several = fetch.values
        return lambda values: join([values[v] for v in several])[index].reshape(shape)

    def _each(self, step: Instruction, fetches: Sequence[_Fetch]) -> Run:
        formula = self.library.of("copy" if step.code == "store" else step.code)
        gets = [self._getter(self._flat(fetch)) for fetch in fetches]
        widened = [step.home == ROW and not fetch.varies for fetch in fetches]

        def run(values: list[Any]) -> Any:
            xs = [get(values) for get in gets]
            return formula(*[x[:, None] if w else x for x, w in zip(xs, widened, strict=True)])

        return run

    def _flat(self, fetch: _Fetch) -> _Fetch:
        return fetch._replace(indices=fetch.indices.reshape(-1))

    def _copy(self, fetch: _Fetch) -> Run:
        get, spread = self._getter(self._flat(fetch)), self.library.library.broadcast_to

        def run(values: list[Any]) -> Any:
            x = get(values)
            return spread(x[:, None], (x.shape[0], values[ROWS].shape[1]))

        return run

    def _reduction(self, step: Instruction, fetch: _Fetch) -> Run:
        get, axis = self._getter(fetch), len(step.dims)
        amax = self.library.library.amax
        shape = (step.count, -1) if fetch.varies else (step.count,)
        if step.code == "max":
            return lambda values: amax(get(values), axis).reshape(shape)
        return lambda values: get(values).sum(axis).reshape(shape)

    def _dot(self, step: Instruction, start: _Fetch, a: _Fetch, b: _Fetch) -> Run:
        if a.varies and not b.varies:
            a, b = b, a
        products = self._matrix(step, a, b) if not a.varies else self._paired(a, b)
        begin = self._getter(self._flat(start))
        varies = step.home == ROW
        shape = (step.count, -1) if varies else (step.count,)
        widened = varies and not start.varies

        def run(values: list[Any]) -> Any:
            first = begin(values)
            return products(values).reshape(shape) + (first[:, None] if widened else first)

        return run

    def _matrix(self, step: Instruction, a: _Fetch, b: _Fetch) -> Run:
        # Matrix times vectors, one for each row: all nodes of the last loop with one matrix where
        # their second factors are the same numbers.
        last = len(step.dims) - 1
        is_matrix = b.is_alike(last)
        left, right = self._getter(a), self._getter(b.first(last) if is_matrix else b)
        varies = b.varies

        def run(values: list[Any]) -> Any:
            x, y = left(values), right(values)
            if not is_matrix:
                x = x[..., None, :]
            return x @ (y if varies else y[..., None])

        return run

    def _paired(self, a: _Fetch, b: _Fetch) -> Run:
        left, right = self._getter(a), self._getter(b)
        return lambda values: (left(values) * right(values)).sum(-2)

    def _products(self, step: Instruction, a: _Fetch, b: _Fetch) -> Run:
        if len(step.dims) > 1 and a.varies and b.varies:
            inner = len(step.dims) - 1
            for x, y in ((a, b), (b, a)):
                if x.is_alike(inner) and y.is_alike(inner - 1):
                    left = self._getter(x.first(inner))
                    right = self._getter(y.first(inner - 1))
                    return lambda values: (left(values) @ right(values).swapaxes(-1, -2)).reshape(
                        -1
                    )
        gets = [(self._getter(x), x.varies) for x in (a, b)]

        def run(values: list[Any]) -> Any:
            x, y = [get(values) if varies else get(values)[..., None] for get, varies in gets]
            return (x * y).sum(-1).reshape(-1)

        return run

    # --- a call ----------------------------------------------------------------------------------

    def call(self, *args: Any) -> Any:
        """Return what the function returns, lists of numbers as arrays."""
        names = self.tape.names
        assert names is not None  # noqa: S101  (a compiled function's tape has them)
        wanted = names.arguments[:-1] if self.captured else names.arguments
        if len(args) != len(wanted):
            message = f"the function takes {len(wanted)} arguments; got {len(args)}"
            raise TypeError(message)
        shared: list[Any] = []
        in_rows: list[Any] = []
        for argument, x in zip(wanted, args, strict=True):
            (in_rows if argument.varies else shared).append(self._numbers(argument, x))
        if self.captured:
            shared.append(self.library.array(self.captured))
        values = [
            self._joined(shared),
            self.library.array(self.tape.constants),
            self._joined(in_rows),
        ]
        for run in self.runs:
            values.append(run(values))  # of those before it
        return self._result(values)

    def _joined(self, parts: list[Any]) -> Any:
        return self.library.library.concatenate(parts) if parts else self.library.array([])

    def _numbers(self, argument: Argument, x: Any) -> Any:
        count = size(argument.structure)
        flat = self._array(x)
        if argument.varies:
            numbers = flat.reshape(len(flat), -1)
            found = numbers.shape[1]
        else:
            numbers = flat.reshape(-1)
            found = len(numbers)
        if found != count:
            each = " in each row" if argument.varies else ""
            message = (
                f"{argument.name} must have the {count} numbers{each} that the function was "
                f"compiled for; got {found}"
            )
            raise ValueError(message)
        return numbers.swapaxes(0, 1) if argument.varies else numbers

    def _array(self, x: Any) -> Any:
        # Lists may have arrays in them, which keep their history.
        if isinstance(x, list | tuple) and self._has_arrays(x):
            parts = [self._array(part) for part in x]
            shapes = {tuple(part.shape) for part in parts}
            if len(shapes) == 1:
                return self.library.library.stack(parts)
            return self.library.library.concatenate([part.reshape(-1) for part in parts])
        if isinstance(x, list | tuple):
            structure, numbers = flatten(x, "an argument")
            shape = shape_of(structure)
            return self.library.array(np.array(numbers).reshape(shape or -1))
        return self.library.array(x)

    def _has_arrays(self, x: Any) -> bool:
        if isinstance(x, list | tuple):
            return any(map(self._has_arrays, x))
        return self.library.is_array(x)

    def _result(self, values: list[Any]) -> Any:
        reduce = self.program.options.reduce
        rows = values[ROWS].shape[1] if self.program.options.rows else 1
        weight = rows if reduce else 1
        parts = [
            self.stores.of(values, weight),
            self.sums.of(values, 1),
        ]
        found = [part for part in parts if part is not None]
        total = sum(found[1:], found[0]) if found else self.library.array([])
        holds = self._holds(total, rows, weight)
        if reduce == "mean":
            total = total / rows
        each_row = self.each_row.of(values, 1)
        if holds is not None:
            total = self.library.where(holds, total, nan)
            each_row = None if each_row is None else self.library.where(holds, each_row, nan)
        return self._arranged(total, each_row, rows)

    def _holds(self, total: Any, rows: int, weight: int) -> Any:
        holds = None
        for guard in self.program.traced.guards:
            expected = 0 if not guard.answer else rows if guard.varies else weight
            own = total[guard.place] == expected
            holds = own if holds is None else holds & own
        return holds

    def _arranged(self, total: Any, each_row: Any, rows: int) -> Any:
        library = self.library.library
        outputs = self.program.traced.outputs
        counts = {True: 0, False: 0}
        numbers = []
        for varies in outputs:
            numbers.append((varies, counts[varies]))
            counts[varies] += 1
        by_rows = self.program.options.rows and not self.program.options.reduce
        parts = []
        at = 0
        for leaf in leaves(self.program.traced.result):
            own = numbers[at : at + (1 if leaf is None else leaf)]
            at += len(own)
            if not by_rows:
                first = own[0][1] if own else 0
                parts.append(total[first] if leaf is None else total[first : first + leaf])
                continue
            columns = [
                each_row[place] if varies else library.broadcast_to(total[place], (rows,))
                for varies, place in own
            ]
            if leaf == 0:
                parts.append(self.library.array(np.zeros((rows, 0))))
            else:
                parts.append(columns[0] if leaf is None else library.stack(columns, -1))
        return assemble(self.program.traced.result, iter(parts))


class _Results:
    """The results of one kind: the values that they are in, and their order there."""

    def __init__(
        self,
        library: Formulas,
        steps: Sequence[tuple[int, Instruction]],
        codes: Sequence[str],
        home: str,
        count: int,
    ) -> None:
        self.library = library
        own = [(v, step) for v, step in steps if step.code in codes and step.home == home]
        self.values = [v for v, _ in own]
        places = [places_of(step, step.out).reshape(-1) for _, step in own]
        flat = np.concatenate(places) if places else np.zeros(0, dtype=np.int64)
        order = np.full(count, len(flat))  # behind them all there is a 0
        order[flat] = np.arange(len(flat))
        self.is_complete = len(flat) == count
        self.order = library.index(order)

    def of(self, values: list[Any], weight: int) -> Any:
        """Return the results times a weight; None if there are none of this kind."""
        if not self.values:
            return None
        parts = [values[v] for v in self.values]
        if not self.is_complete:
            parts.append(parts[0][:1] * 0.0)
        return self.library.library.concatenate(parts)[self.order] * weight
