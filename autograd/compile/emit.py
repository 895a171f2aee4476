"""The whole program as one module: `run`, and `call`, which Python calls like a builtin."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from llvmlite import ir

from . import frame as words
from .emit_rows import RowEmitter
from .emit_shared import SharedEmitter
from .native import BYTE, DOUBLE, I64, POINTER, Build, Callee, Emitter, Tables, Target, index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .frame import Signature
    from .tape import Instruction, Tape

PART = 500  # nodes that are written out in one function: longer ones take LLVM longer per node


def emit(
    tape: Tape, signature: Signature, target: Target, *, payload: int
) -> tuple[ir.Module, list[int]]:
    """Return the module and the table that belongs to it.

    `payload` is how many bytes behind the start of a Python bytes object its contents lie.
    """
    program = _Program(tape, signature, target)
    program.run()
    program.call(payload)
    return program.module, program.tables.numbers


class _End(NamedTuple):
    """One end of a copy: where it begins, and how many bytes lie between two numbers."""

    address: ir.Value
    step: ir.Value


class _Program:
    def __init__(self, tape: Tape, signature: Signature, target: Target) -> None:
        self.module = ir.Module()
        self.tape = tape
        self.signature = signature
        self.tables = Tables()
        self.target = target
        self.width = target.width

    def _function(self, name: str, result: ir.Type) -> tuple[ir.Function, Build]:
        function = ir.Function(self.module, ir.FunctionType(result, [POINTER]), name)
        function.attributes.add("nounwind")
        return function, Build(ir.IRBuilder(function.append_basic_block()))

    def run(self) -> None:
        parts = self._parts()
        self.function, build = self._function("run", I64)
        (frame,) = self.function.args
        emitter = SharedEmitter(build, self.tape, self.tables, self.target)
        emitter.open(frame)
        self._copy_arguments(emitter)
        self._clear(emitter)
        for part in parts:
            build.b.call(part, [frame])
        if self.tape.rows:
            self._rows(build, frame)
        self._finish(emitter)

    def _clear(self, emitter: SharedEmitter) -> None:
        build = emitter.build
        whole = self.tape.results // self.width * self.width
        zero = ir.Constant(DOUBLE, 0.0)
        with build.loop(whole, step=self.width) as (i, _):
            vector = emitter.vectors[self.width].const(0.0)
            build.store(vector, build.at(emitter.results, i))
        for i in range(whole, self.tape.results):
            build.store(zero, build.at(emitter.results, i))

    def _parts(self) -> list[ir.Function]:
        functions = []
        for number, steps in enumerate(_cut(self.tape.shared)):
            function, build = self._function(f"part.{number}", ir.VoidType())
            function.linkage = "internal"
            emitter = SharedEmitter(build, self.tape, self.tables, self.target)
            emitter.open(function.args[0])
            emitter.begin()
            for stage in steps:
                emitter.emit(stage)
            build.b.ret_void()
            functions.append(function)
        return functions

    def _copy_arguments(self, emitter: SharedEmitter) -> None:
        b = emitter.b
        target = emitter.shared
        for number in range(self.signature.shared):
            at = words.ARGUMENTS + number * words.DESCRIPTOR
            source = emitter.word(at, POINTER)
            count, between = emitter.word(at + 1), emitter.word(at + 2)
            self._copy(emitter, _End(source, between), _End(target, index(8)), count, None)
            target = b.gep(target, [count], source_etype=DOUBLE)

    def _copy(
        self, emitter: Emitter, source: _End, target: _End, count: ir.Value, scale: ir.Value | None
    ) -> None:
        # Whole vectors where both lie without gaps, the rest (or all) number by number.
        build, b, lane = emitter.build, emitter.build.b, emitter.vectors[self.width]
        close = b.and_(
            b.icmp_signed("==", source.step, index(8)), b.icmp_signed("==", target.step, index(8))
        )
        whole = b.select(close, b.sub(count, b.srem(count, index(self.width))), index(0))
        with build.loop(whole, step=self.width) as (i, _):
            vector = build.load(build.at(source.address, i), lane.type)
            if scale is not None:
                vector = b.fmul(vector, lane.splat(scale))
            build.store(vector, build.at(target.address, i))
        with build.loop(b.sub(count, whole)) as (i, _):
            at = b.add(i, whole)
            number = build.load(build.at(source.address, b.mul(at, source.step), BYTE))
            if scale is not None:
                number = b.fmul(number, scale)
            build.store(number, build.at(target.address, b.mul(at, target.step), BYTE))

    def _rows(self, build: Build, frame: ir.Value) -> None:
        b, tape = build.b, self.tape
        emitter = RowEmitter(build, tape, self.tables, self.target)
        emitter.open(frame)
        base = self._row_base(build, emitter)
        stride = emitter.word(words.STRIDE)
        rows = emitter.word(words.ROWS)
        many = b.sdiv(stride, index(8))
        blocks = b.sdiv(b.add(rows, b.sub(many, index(1))), many)
        with build.loop(blocks) as (i, _):
            first = b.mul(i, many)
            left = b.sub(rows, first)
            count = b.select(b.icmp_signed("<", left, many), left, many)
            emitter.open_block(base, stride, count, first)
            first_argument = words.ARGUMENTS + self.signature.shared * words.DESCRIPTOR
            emitter.load_arguments(first_argument, self.signature.rows)
            for stage in stages(tape.rows):
                emitter.emit(stage)

    def _row_base(self, build: Build, emitter: RowEmitter) -> ir.Value:
        # Behind the results, where a cache line begins.
        b = build.b
        end = build.at(emitter.results, self.tape.results)
        number = b.ptrtoint(end, I64)
        aligned = b.and_(b.add(number, index(63)), index(-64))
        return b.inttoptr(aligned, POINTER)

    def _finish(self, emitter: SharedEmitter) -> None:
        build, b = emitter.build, emitter.b
        for number, guard in enumerate(self.signature.guards):
            found = build.load(build.at(emitter.results, guard.place))
            expected: ir.Value = ir.Constant(DOUBLE, 0.0)
            if guard.answer:
                rows = b.sitofp(emitter.word(words.ROWS), DOUBLE)
                expected = rows if guard.varies else emitter.word(words.WEIGHT, DOUBLE)
            holds = b.fcmp_ordered("==", found, expected)
            self._go_on_if(b, holds, number + 1)
        if self.signature.watched:
            self._watch(emitter)
        scale = emitter.word(words.SCALE, DOUBLE)
        first = words.ARGUMENTS + words.DESCRIPTOR * (self.signature.shared + self.signature.rows)
        with build.loop(emitter.word(words.RESULTS), [emitter.results]) as (number, state):
            at = b.add(index(first), b.mul(number, index(words.DESCRIPTOR)))
            target, count, between = (
                build.load(build.at(emitter.frame, b.add(at, index(k)), I64), kind)
                for k, kind in enumerate((POINTER, I64, I64))
            )
            source = state[0]
            self._copy(emitter, _End(source, index(8)), _End(target, between), count, scale)
            state[0] = b.gep(source, [count], source_etype=DOUBLE)
        b.ret(index(0))

    def _watch(self, emitter: SharedEmitter) -> None:
        # Any number times 0 is 0, unless it is infinite or no number.
        build, b = emitter.build, emitter.build.b
        count = self.tape.results - len(self.signature.guards)
        whole = count // self.width * self.width
        lane = emitter.vectors[self.width]
        zero = lane.const(0.0)
        with build.loop(whole, [zero], step=self.width) as (i, state):
            vector = build.load(build.at(emitter.results, i), lane.type)
            state[0] = b.fadd(state[0], b.fmul(vector, zero))
        total: ir.Value = ir.Constant(DOUBLE, 0.0)
        for number in lane.lanes(state[0]):
            total = b.fadd(total, number)
        for i in range(whole, count):
            number = build.load(build.at(emitter.results, i))
            total = b.fadd(total, b.fmul(number, ir.Constant(DOUBLE, 0.0)))
        is_finite = b.fcmp_ordered("==", total, ir.Constant(DOUBLE, 0.0))
        self._go_on_if(b, is_finite, len(self.signature.guards) + 1)

    def _go_on_if(self, b: ir.IRBuilder, holds: ir.Value, status: int) -> None:
        # Otherwise `run` ends here, and says which of its conditions failed.
        fails, goes_on = self.function.append_basic_block(), self.function.append_basic_block()
        b.cbranch(holds, goes_on, fails)
        b.position_at_end(fails)
        b.ret(index(status))
        b.position_at_end(goes_on)

    def call(self, payload: int) -> None:
        """Add `call(self, args)`: what Python's builtins are, with the frame in a bytes object."""
        kind = ir.FunctionType(POINTER, [POINTER, POINTER])
        function = ir.Function(self.module, kind, "call")
        build = Build(ir.IRBuilder(function.append_basic_block()))
        b = build.b
        frame = build.at(function.args[0], payload, BYTE)
        status = b.call(self.function, [frame])
        good, bad = function.append_basic_block(), function.append_basic_block()
        b.cbranch(b.icmp_signed("==", status, index(0)), good, bad)
        for block, callee, argument in (
            (good, words.NEW_REFERENCE, words.NONE),
            (bad, words.CALL_OBJECT, words.OTHERWISE),
        ):
            b.position_at_end(block)
            address = build.load(build.at(frame, callee, I64), POINTER)
            called = Callee(address, ir.FunctionType(POINTER, [POINTER]))
            b.ret(b.call(called, [build.load(build.at(frame, argument, I64), POINTER)]))


def stages(steps: Sequence[Instruction]) -> list[list[Instruction]]:
    """Return the instructions by their stages, which they are in the order of."""
    return [list(own) for _, own in groupby(steps, key=lambda step: step.stage)]


def _cut(steps: Sequence[Instruction]) -> list[list[list[Instruction]]]:
    parts: list[list[list[Instruction]]] = []
    weight = PART
    for stage in stages(steps):
        if weight >= PART:
            parts.append([])
            weight = 0
        parts[-1].append(stage)
        weight += sum(min(step.count, 20) for step in stage)
    return parts
