"""From the tape to LLVM's intermediate language: each instruction a loop nest.

One function is made, `run(frame)`. Its parts, in order: copy the shared arguments; shared
instructions; then for each block of rows load its arguments and run the rows' instructions, each
over the whole block; last write the results. In the row space a place holds one vector after the
other for the block's rows, so that the innermost loop of every instruction is over vectors.

Nothing is left to LLVM's optimiser: what is emitted is compiled as it stands, which keeps the time
to compile in proportion to the number of instructions.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from . import frame as words
from .lanes import libm_function
from .vector import NAMES, PAIRS, function, pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .tape import Instruction, Operand, Tape

    Emit = Callable[["Vectors"], Any]

I64 = ir.IntType(64)
I32 = ir.IntType(32)
DOUBLE = ir.DoubleType()
POINTER = ir.PointerType()
BYTE = ir.IntType(8)

TILE = 16  # sums that are kept in registers at once
SMALL = 1024  # terms in all: below it half a tile is nearly as fast, and half the code
PAIR = 2  # vectors of one place that a sum goes through at once
STRAIGHT = 4  # up to so many nodes are written one by one, without a loop


def index(n: int) -> ir.Constant:
    """Return a whole number of 64 bits."""
    return ir.Constant(I64, n)


class Callee:
    """An address to call, with the type that llvmlite asks for: an opaque pointer has none."""

    def __init__(self, address: ir.Value, function_type: ir.FunctionType) -> None:
        self.function_type = function_type
        self.type = address.type
        self.get_reference = address.get_reference


class Build:
    """A builder with loops, and arithmetic on places that may be known already."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder

    @property
    def module(self) -> ir.Module:
        """Return the module that is built."""
        return self.b.module

    # --- whole numbers and addresses -------------------------------------------------------------

    def plus(self, a: Any, b: Any) -> Any:
        """Return a + b; Python's own numbers are added at once."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if isinstance(a, int) and a == 0:
            return b
        if isinstance(b, int) and b == 0:
            return a
        return self.b.add(self.word(a), self.word(b))

    def times(self, a: Any, b: Any) -> Any:
        """Return a · b, likewise."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        for x, other in ((a, b), (b, a)):
            if isinstance(x, int) and x in (0, 1):
                return other if x else 0
        return self.b.mul(self.word(a), self.word(b))

    def word(self, a: Any) -> ir.Value:
        """Return a whole number as an operand."""
        return index(a) if isinstance(a, int) else a

    def at(self, base: ir.Value, offset: Any, kind: ir.Type = DOUBLE) -> ir.Value:
        """Return the address of the element at that offset."""
        return self.b.gep(base, [self.word(offset)], source_etype=kind)

    def load(self, address: ir.Value, kind: ir.Type = DOUBLE) -> ir.Value:
        """Return what lies there; doubles are aligned as doubles only."""
        return self.b.load(address, typ=kind, align=8 if kind != I32 else 4)

    def store(self, value: ir.Value, address: ir.Value) -> None:
        """Put a number or a vector there."""
        self.b.store(value, address, align=8)

    # --- loops -----------------------------------------------------------------------------------

    @contextmanager
    def loop(
        self, count: Any, carried: Sequence[ir.Value] = (), step: int = 1
    ) -> Iterator[tuple[Any, list[ir.Value]]]:
        """Run the body for i = 0, step, … below `count`, with the list of what is carried on."""
        b = self.b
        before = b.block
        body = b.append_basic_block("loop")
        after = b.append_basic_block("after")
        count = self.word(count)
        some = b.icmp_signed(">", count, index(0))
        b.cbranch(some, body, after)
        b.position_at_end(body)
        i = b.phi(I64)
        i.add_incoming(index(0), before)
        phis = []
        for value in carried:
            phi = b.phi(value.type)
            phi.add_incoming(value, before)
            phis.append(phi)
        state = list(phis)
        yield i, state
        end = b.block
        following = b.add(i, index(step))
        i.add_incoming(following, end)
        for phi, value in zip(phis, state, strict=True):
            phi.add_incoming(value, end)
        more = b.icmp_signed("<", following, count)
        b.cbranch(more, body, after)
        b.position_at_end(after)
        for k, (value, first) in enumerate(zip(state, carried, strict=True)):
            phi = b.phi(first.type)
            phi.add_incoming(first, before)
            phi.add_incoming(value, end)
            state[k] = phi

    @contextmanager
    def nest(self, dims: Sequence[int]) -> Iterator[list[Any]]:
        """Run the body for all indices below `dims`; loops of one turn are none."""
        if not dims:
            yield []
        elif dims[0] == 1:
            with self.nest(dims[1:]) as rest:
                yield [0, *rest]
        else:
            with self.loop(dims[0]) as (i, _), self.nest(dims[1:]) as rest:
                yield [i, *rest]


class Vectors:
    """Arithmetic by codes on vectors of one width."""

    def __init__(self, build: Build, width: int, target: Target) -> None:
        self.build = build
        self.b = build.b
        self.width = width
        self.has_fma = target.has_fma
        self.exact = target.exact
        self.type = DOUBLE if width == 1 else ir.VectorType(DOUBLE, width)
        self._codes = self._own_codes()

    def splat(self, x: ir.Value) -> ir.Value:
        """Return a double in every lane."""
        if self.width == 1:
            return x
        lane = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        empty = ir.Constant(self.type, ir.Undefined)
        first = self.b.insert_element(empty, x, ir.Constant(I32, 0))
        return self.b.shuffle_vector(first, empty, lane)

    def const(self, x: float) -> ir.Constant:
        """Return a number in every lane."""
        return ir.Constant(self.type, x if self.width == 1 else [x] * self.width)

    def gather(self, numbers: Sequence[ir.Value]) -> ir.Value:
        """Return one vector of `width` doubles."""
        if self.width == 1:
            return numbers[0]
        result: ir.Value = ir.Constant(self.type, ir.Undefined)
        for lane, x in enumerate(numbers):
            result = self.b.insert_element(result, x, ir.Constant(I32, lane))
        return result

    def lanes(self, vector: ir.Value) -> list[ir.Value]:
        """Return the doubles of a vector."""
        if self.width == 1:
            return [vector]
        return [
            self.b.extract_element(vector, ir.Constant(I32, lane)) for lane in range(self.width)
        ]

    def intrinsic(self, name: str, *xs: ir.Value) -> ir.Value:
        """Return LLVM's own function of that name."""
        kind = "f64" if self.width == 1 else f"v{self.width}f64"
        full = f"{name}.{kind}"
        known = self.build.module.globals.get(full)
        if known is None:
            signature = ir.FunctionType(self.type, [self.type] * len(xs))
            known = ir.Function(self.build.module, signature, full)
        return self.b.call(known, xs)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Return a·b + c, rounded once where the processor can."""
        if self.has_fma and not self.exact:
            return self.intrinsic("llvm.fma", a, b, c)
        return self.b.fadd(self.b.fmul(a, b), c)

    def larger(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """Return the larger, and a nan if either is one."""
        above = self.b.fcmp_ordered(">", a, b)
        is_nan = self.b.fcmp_unordered("uno", a, a)
        return self.b.select(self.b.or_(above, is_nan), a, b)

    def next(self, code: str, total: ir.Value, xs: Sequence[ir.Value]) -> ir.Value:
        """Return a sum, or what else goes through terms, with one more term."""
        if code.startswith("dot"):
            first, second = xs
            return self.fma(first, second, total)
        return self.larger(total, xs[0]) if code == "max" else self.b.fadd(total, xs[0])

    def apply(self, code: str, xs: Sequence[ir.Value]) -> ir.Value:
        """Return what the code makes of the operands."""
        if code in NAMES:
            return self._call(code, xs)
        return self._codes[code](*xs)

    def _choice(self, sign: str) -> Callable[..., ir.Value]:
        b = self.b
        return lambda p, q, yes, no: b.select(b.fcmp_ordered(sign, p, q), yes, no)

    def _own_codes(self) -> dict[str, Callable[..., ir.Value]]:
        b = self.b
        return {
            "add": b.fadd,
            "sub": b.fsub,
            "mul": b.fmul,
            "div": b.fdiv,
            "neg": b.fneg,
            "copy": lambda x: x,
            "fma": self.fma,
            "fms": lambda x, y, z: self.fma(x, y, b.fneg(z)),
            "fnma": lambda x, y, z: self.fma(b.fneg(x), y, z),
            "if_less": self._choice("<"),
            "if_less_equal": self._choice("<="),
            "if_equal": self._choice("=="),
            "maximum": self.larger,
            "minimum": lambda x, y: b.fneg(self.larger(b.fneg(x), b.fneg(y))),
            "abs": lambda x: self.intrinsic("llvm.fabs", x),
            "sqrt": lambda x: self.intrinsic("llvm.sqrt", x),
            "copysign": lambda x, y: self.intrinsic("llvm.copysign", x, y),
        }

    def both(self, names: tuple[str, str], x: ir.Value) -> list[ir.Value]:
        """Return two functions of one number that have most of their work in common."""
        result = self.b.call(pair(self.build.module, names, self.width), [x])
        return [self.b.extract_value(result, i) for i in range(2)]

    def pairs(self, steps: Sequence[Instruction]) -> dict[int, tuple[str, str]]:
        """Return the pairs that functions in one loop are in, by the function's place."""
        if self.exact or not self.has_fma:
            return {}
        asked = {(step.code, step.operands[0].base) for step in steps if step.code in PAIRS}
        found = {}
        for step in steps:
            names = PAIRS.get(step.code)
            operand = step.operands[0]
            if names and operand.table is None and all((x, operand.base) in asked for x in names):
                found[step.out.base] = names
        return found

    def _call(self, code: str, xs: Sequence[ir.Value]) -> ir.Value:
        if self.exact:
            known = libm_function(self.build.module, code)
            lanes = zip(*[self.lanes(x) for x in xs], strict=True)
            return self.gather([self.b.call(known, lane) for lane in lanes])
        known = function(self.build.module, code, self.width, has_fma=self.has_fma)
        return self.b.call(known, xs)


class Tables:
    """The places that follow no order, one after the other as the program will find them."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def add(self, numbers: Sequence[int]) -> int:
        """Return where these numbers begin."""
        self.numbers.extend(numbers)
        return len(self.numbers) - len(numbers)


class Target(NamedTuple):
    """What code is made for: the doubles in a vector, whether there is an fma, and exactness."""

    width: int
    has_fma: bool
    exact: bool


class Emitter:
    """What the emitters of both spaces share: where operands lie, and what their codes make."""

    def __init__(self, build: Build, tape: Tape, tables: Tables, target: Target) -> None:
        self.build = build
        self.b = build.b
        self.tape = tape
        self.tables = tables
        self.width = target.width
        self.target = target
        self.vectors = {w: Vectors(build, w, target) for w in {1, 2, 4, target.width}}
        self._starts: dict[int, int] = {}

    def open(self, frame: ir.Value) -> None:
        """Load the addresses that everything is counted from."""
        build = self.build
        work = build.load(build.at(frame, words.WORK, I64), POINTER)
        self.frame = frame
        self.shared = work
        self.results = build.at(work, self.tape.shared_size)
        self.table = build.load(build.at(frame, words.TABLES, I64), POINTER)

    def word(self, place: int, kind: ir.Type = I64) -> ir.Value:
        """Load a word of the frame."""
        return self.build.load(self.build.at(self.frame, place, I64), kind)

    def place(self, step: Instruction, operand: Operand, node: Sequence[Any], term: Any = 0) -> Any:
        """Return the place of an operand of the node with these indices: an int, or a word."""
        build = self.build
        if operand.table is not None:
            start, width = self._table(operand)
            at = build.plus(build.times(self._flat(step.dims, node), width), term)
            return self._from_table(build.plus(start, at))
        place: Any = operand.base
        for i, stride in zip(node, operand.strides, strict=True):
            place = build.plus(place, build.times(i, stride))
        if isinstance(operand.term, tuple):
            if isinstance(term, int):
                return build.plus(place, operand.term[term])
            start = self._offsets(operand)
            return build.plus(place, self._from_table(build.plus(start, term)))
        return build.plus(place, build.times(term, operand.term))

    def _flat(self, dims: Sequence[int], node: Sequence[Any]) -> Any:
        flat: Any = 0
        for n, i in zip(dims, node, strict=True):
            flat = self.build.plus(self.build.times(flat, n), i)
        return flat

    def _table(self, operand: Operand) -> tuple[int, int]:
        assert operand.table is not None  # noqa: S101  (asked for where there is one)
        return self.table_start(operand, operand.table.reshape(-1).tolist()), operand.table.shape[1]

    def _offsets(self, operand: Operand) -> int:
        assert isinstance(operand.term, tuple)  # noqa: S101  (asked for where there is one)
        return self.table_start(operand, operand.term)

    def table_start(self, operand: Operand, numbers: Sequence[int]) -> int:
        """Return where an operand's numbers begin in the table."""
        if id(operand) not in self._starts:
            self._starts[id(operand)] = self.tables.add(numbers)
        return self._starts[id(operand)]

    def _from_table(self, at: Any) -> ir.Value:
        number = self.build.load(self.build.at(self.table, at, I32), I32)
        return self.b.sext(number, I64)

    def call(self, code: str, xs: Sequence[ir.Value]) -> ir.Value:
        """Call an operation that Python computes, on doubles."""
        build = self.build
        calls = self.word(words.CALLS, POINTER)
        at = build.at(calls, self.tape.calls.index((code, len(xs))), I64)
        address = build.load(at, POINTER)
        return self.b.call(Callee(address, ir.FunctionType(DOUBLE, [DOUBLE] * len(xs))), xs)
