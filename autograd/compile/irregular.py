"""Instructions whose operands follow no order: one loop for each code, which all of them call.

Such instructions differ in nothing but the places of their operands, and a large irregular graph
has thousands. So the loop is a function, and each instruction is a call of it with the places: two
or three words for each operand. Where an operand has a table, they are where it begins and how many
places each node has there; otherwise its base and its strides over nodes and over terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir

from .native import I32, I64, POINTER, Build, Vectors, index
from .tape import TERMS, first_added

if TYPE_CHECKING:
    from .native import Emitter, Target
    from .tape import Instruction, Operand

WORDS = 3  # that say where an operand lies


def call(emitter: Emitter, step: Instruction, width: int) -> None:
    """Emit a call that computes the nodes of one instruction, `width` at a time."""
    kinds = "".join(_kind(operand) for operand in step.operands)
    function = _function(emitter.build.module, step.code, kinds, width, emitter.target)
    where = [word for operand in step.operands for word in _where(emitter, operand)]
    words = [step.count, step.terms, step.out.base, *where]
    emitter.b.call(function, [emitter.shared, emitter.table, *map(index, words)])


def _kind(operand: Operand) -> str:
    if operand.table is not None:
        return "t"
    return "o" if isinstance(operand.term, tuple) else "s"


def _where(emitter: Emitter, operand: Operand) -> tuple[int, int, int]:
    if operand.table is not None:
        table = operand.table
        return emitter.table_start(operand, table.reshape(-1).tolist()), table.shape[1], 1
    (stride,) = operand.strides
    if isinstance(operand.term, tuple):
        return operand.base, stride, emitter.table_start(operand, operand.term)
    return operand.base, stride, operand.term


def _function(module: ir.Module, code: str, kinds: str, width: int, target: Target) -> ir.Function:
    name = f"each.{code}.{kinds}.{width}"
    if name in module.globals:
        return module.globals[name]
    numbers = 3 + WORDS * len(kinds)
    signature = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, *[I64] * numbers])
    function = ir.Function(module, signature, name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    body = _Loop(function, code, kinds, width, target)
    body.emit()
    return function


class _Loop:
    def __init__(
        self, function: ir.Function, code: str, kinds: str, width: int, target: Target
    ) -> None:
        self.build = Build(ir.IRBuilder(function.append_basic_block()))
        self.b = self.build.b
        self.lane = Vectors(self.build, width, target)
        self.code = code
        self.kinds = kinds
        self.shared, self.table, self.count, self.terms, self.out, *where = function.args
        self.where = [where[i : i + WORDS] for i in range(0, len(where), WORDS)]

    def emit(self) -> None:
        build, b, width = self.build, self.b, self.lane.width
        vectors = b.sdiv(b.add(self.count, index(width - 1)), index(width))
        with build.loop(vectors) as (k, _):
            # The last vector may overlap the one before it: what is computed twice is the same.
            at, last = b.mul(k, index(width)), b.sub(self.count, index(width))
            node = b.select(b.icmp_signed("<", at, last), at, last) if width > 1 else k
            result = self._sum(node) if self.code in TERMS else self._single(node)
            build.store(result, build.at(self.shared, b.add(self.out, node)))
        b.ret_void()

    def _single(self, node: ir.Value) -> ir.Value:
        values = [self._vector(i, node, index(0)) for i in range(len(self.kinds))]
        return self.lane.apply(self.code, values)

    def _sum(self, node: ir.Value) -> ir.Value:
        first = first_added(self.code)
        total = self._vector(0, node, index(0))
        with self.build.loop(self.b.sub(self.terms, index(first)), [total]) as (k, state):
            term = self.b.add(k, index(first))
            values = [self._vector(i, node, term) for i in TERMS[self.code]]
            state[0] = self.lane.next(self.code, state[0], values)
        return state[0]

    def _vector(self, operand: int, node: ir.Value, term: ir.Value) -> ir.Value:
        nodes = [self.b.add(node, index(k)) for k in range(self.lane.width)]
        return self.lane.gather([self._load(operand, x, term) for x in nodes])

    def _load(self, operand: int, node: ir.Value, term: ir.Value) -> ir.Value:
        build, b = self.build, self.b
        kind, (start, stride, more) = self.kinds[operand], self.where[operand]
        place = b.add(start, b.mul(node, stride))
        if kind == "s":
            place = b.add(place, b.mul(term, more))
        elif kind == "o":
            place = b.add(place, self._entry(b.add(more, term)))
        else:
            place = self._entry(b.add(place, term))
        return build.load(build.at(self.shared, place))

    def _entry(self, at: ir.Value) -> Any:
        return self.b.sext(self.build.load(self.build.at(self.table, at, I32), I32), I64)
