"""The instructions of what all rows share: each once, several of its nodes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import frame as words
from . import irregular
from .graph import CALL
from .native import DOUBLE, STRAIGHT, Emitter, index
from .stages import SHORT
from .tape import SHARED, TERMS, Instruction, Operand, first_added

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llvmlite import ir

CHAINS = 4  # sums that go on side by side, since each addition waits for the one before it


class SharedEmitter(Emitter):
    """Emits the shared instructions one after the other.

    `known` has what was computed without a loop in the block that is being written: it is used from
    its register, and written to memory for those who come later.
    """

    def begin(self) -> None:
        """Begin a stretch without jumps."""
        self.known: dict[int, ir.Value] = {}
        self.block = self.b.block

    def emit(self, stage: list[Instruction]) -> None:
        """Emit the instructions of one stage."""
        if self.b.block is not self.block:
            self.begin()
        step = stage[0]
        if step.count <= STRAIGHT and (step.code not in TERMS or step.terms <= STRAIGHT):
            for own in stage:
                for flat in range(own.count):
                    self._one(own, _unflatten(own.dims, flat))
            return
        if _is_irregular(step):
            irregular.call(self, step, self._width(stage) if step.code not in TERMS else 1)
        elif step.code in TERMS:
            self._terms(step)
        elif step.code.startswith(CALL) or (step.code == "store" and len(stage) == 1):
            with self.build.nest(step.dims) as node:
                self._one(step, node)
        else:
            self._each(stage)
        self.begin()

    # --- one node --------------------------------------------------------------------------------

    def _load(self, place: Any) -> ir.Value:
        if isinstance(place, int) and self.b.block is self.block:
            if place not in self.known:
                self.known[place] = self.build.load(self.build.at(self.shared, place))
            return self.known[place]
        return self.build.load(self.build.at(self.shared, place))

    def place(self, step: Instruction, operand: Operand, node: Sequence[Any], term: Any = 0) -> Any:
        """Return the place, as a number where it is one."""
        if operand.table is not None and all(isinstance(i, int) for i in (*node, term)):
            return int(operand.table[self._flat(step.dims, node), term])
        return super().place(step, operand, node, term)

    def _one(self, step: Instruction, node: Sequence[Any]) -> None:
        lane = self.vectors[1]
        if step.code == "store":
            (operand,) = step.operands
            value = self._load(self.place(step, operand, node))
            self._put_result(value, self.place(step, step.out, node))
            return
        if step.code in TERMS:
            value = self._fold(step, node)
        else:
            xs = [self._load(self.place(step, operand, node)) for operand in step.operands]
            is_call = step.code.startswith(CALL)
            value = self.call(step.code, xs) if is_call else lane.apply(step.code, xs)
        place = self.place(step, step.out, node)
        self.build.store(value, self.build.at(self.shared, place))
        if isinstance(place, int) and self.b.block is self.block:
            self.known[place] = value

    def _fold(self, step: Instruction, node: Sequence[Any]) -> ir.Value:
        # Term after term, written out.
        lane = self.vectors[1]
        total = self._load(self.place(step, step.operands[0], node))
        for term in range(first_added(step.code), step.terms):
            xs = [
                self._load(self.place(step, step.operands[i], node, term)) for i in TERMS[step.code]
            ]
            total = lane.next(step.code, total, xs)
        return total

    def _put_result(self, value: ir.Value, place: Any) -> None:
        weight = self.word(words.WEIGHT, DOUBLE)
        self.build.store(self.b.fmul(value, weight), self.build.at(self.results, place))

    # --- several nodes at a time -----------------------------------------------------------------

    def _each(self, stage: list[Instruction]) -> None:
        # All of them for some nodes; what isn't kept stays in registers.
        width = self._width(stage)
        lane = self.vectors[width]
        makers = {step.out.base for step in stage if step.out.space == SHARED}
        *outer, inner = stage[0].dims
        with self.build.nest(outer) as node:
            for i in self._stretch(inner, width, written_out=_is_even(stage)):
                known: dict[Any, ir.Value] = {}
                for step in stage:
                    self._some(step, [*node, i], lane, known, makers)

    def _some(
        self,
        step: Instruction,
        node: list[Any],
        lane: Any,
        known: dict[Any, ir.Value],
        makers: set[int],
    ) -> None:
        build = self.build
        values = []
        for operand in step.operands:
            key: Any = operand.base
            if operand.table is not None:
                key = id(operand)
            elif operand.base not in makers:
                key = (operand.base, operand.strides)
            if key not in known:
                known[key] = self._vector(step, operand, node, lane)
            values.append(known[key])
        place = self.place(step, step.out, node)
        if step.code == "store":
            weight = lane.splat(self.word(words.WEIGHT, DOUBLE))
            build.store(self.b.fmul(values[0], weight), build.at(self.results, place))
            return
        known[step.out.base] = result = lane.apply(step.code, values)
        if step.kept:
            build.store(result, build.at(self.shared, place))

    def _width(self, stage: list[Instruction]) -> int:
        # The widest vector that the innermost loop fills. Numbers that lie apart have to be
        # collected one by one, which pays where a function takes longer than that.
        width = self.width
        while width > stage[0].dims[-1]:
            width //= 2
        even = _is_even(stage)
        scattered = (
            any(step.out.table is not None or step.out.strides[-1] != 1 for step in stage)
            and stage[0].dims[-1] > 1
        )
        cheap = any(step.code in SHORT for step in stage)
        return 1 if scattered or (cheap and not even) else width

    def _stretch(self, count: int, width: int, *, written_out: bool) -> Iterator[Any]:
        # The first nodes of each vector. The last vector may overlap the one before it: what is
        # computed twice is the same.
        last = count - width
        if count == width:
            yield 0
        elif written_out and count <= width * STRAIGHT:
            yield from [*range(0, last, width), last]
        else:
            with self.build.loop(-(-count // width)) as (k, _):
                at = self.b.mul(k, index(width))
                yield at if count % width == 0 else self._least(at, last)

    def _least(self, a: ir.Value, b: int) -> ir.Value:
        return self.b.select(self.b.icmp_signed("<", a, index(b)), a, index(b))

    def _vector(
        self, step: Instruction, operand: Operand, node: list[Any], lane: Any, term: Any = 0
    ) -> ir.Value:
        build = self.build
        if lane.width == 1:
            return build.load(build.at(self.shared, self.place(step, operand, node, term)))
        if operand.table is None and operand.strides[-1] in (0, 1):
            at = build.at(self.shared, self.place(step, operand, node, term))
            if operand.strides[-1]:
                return build.load(at, lane.type)
            return lane.splat(build.load(at))
        numbers = []
        for k in range(lane.width):
            there = [*node[:-1], build.plus(node[-1], k)]
            numbers.append(
                build.load(build.at(self.shared, self.place(step, operand, there, term)))
            )
        return lane.gather(numbers)

    # --- many terms ------------------------------------------------------------------------------

    def _terms(self, step: Instruction) -> None:
        along = [step.operands[i] for i in TERMS[step.code]]
        free = step.code in ("sum", "dot", "max")  # of an order
        in_order = all(x.table is None and x.term == 1 for x in along)
        across = all(x.table is None and x.strides[-1] in (0, 1) for x in step.operands)
        if free and in_order and step.terms >= self.width:
            with self.build.nest(step.dims) as node:
                self._along(step, node)
        elif across and step.dims[-1] >= self.width:
            self._across(step)
        else:
            with self.build.nest(step.dims) as node:
                self._serial(step, node)

    def _along(self, step: Instruction, node: Sequence[Any]) -> None:
        # Vectors of terms, several sums side by side; in the end they are added up.
        build, lane, width = self.build, self.vectors[self.width], self.width
        neutral = lane.const(0.0)
        if step.code == "max":
            first = build.at(self.shared, self.place(step, step.operands[0], node))
            neutral = lane.splat(build.load(first))
        at = [
            build.at(self.shared, self.place(step, step.operands[i], node))
            for i in TERMS[step.code]
        ]

        def take(k: Any, size: int) -> list[ir.Value]:
            kind = self.vectors[size].type
            return [build.load(build.at(x, k), kind) for x in at]

        block = width * CHAINS
        whole = step.terms // block * block
        sums = [neutral] * CHAINS
        if whole:
            with build.loop(whole, sums, step=block) as (k, state):
                for chain in range(CHAINS):
                    xs = take(build.plus(k, chain * width), width)
                    state[chain] = lane.next(step.code, state[chain], xs)
            sums = state
        for k in range(whole, step.terms - width + 1, width):
            chain = k // width % CHAINS
            sums[chain] = lane.next(step.code, sums[chain], take(k, width))
        one = self.vectors[1]
        total = self._collect(step.code, sums, lane)
        if step.code == "dot":
            start = build.load(build.at(self.shared, self.place(step, step.operands[0], node)))
            total = self.b.fadd(start, total)
        for k in range(step.terms // width * width, step.terms):
            total = one.next(step.code, total, take(k, 1))
        place = self.place(step, step.out, node)
        build.store(total, build.at(self.shared, place))

    def _collect(self, code: str, sums: list[ir.Value], lane: Any) -> ir.Value:
        def both(x: ir.Value, y: ir.Value, lane: Any) -> ir.Value:
            return lane.larger(x, y) if code == "max" else self.b.fadd(x, y)

        while len(sums) > 1:
            half = len(sums) // 2
            pairs = zip(sums[:half], sums[half:], strict=True)
            sums = [both(x, y, lane) for x, y in pairs]
        lanes = lane.lanes(sums[0])
        while len(lanes) > 1:
            half = len(lanes) // 2
            pairs = zip(lanes[:half], lanes[half:], strict=True)
            lanes = [both(x, y, self.vectors[1]) for x, y in pairs]
        return lanes[0]

    def _across(self, step: Instruction) -> None:
        # Vectors of nodes, term after term.
        build, lane = self.build, self.vectors[self.width]
        *outer, inner = step.dims
        with build.nest(outer) as node:
            for i in self._stretch(inner, self.width, written_out=False):
                here = [*node, i]
                total = self._vector(step, step.operands[0], here, lane)
                first = first_added(step.code)
                with build.loop(step.terms - first, [total]) as (k, state):
                    term = build.plus(k, first)
                    xs = [
                        self._vector(step, step.operands[i], here, lane, term)
                        for i in TERMS[step.code]
                    ]
                    state[0] = lane.next(step.code, state[0], xs)
                place = self.place(step, step.out, here)
                build.store(state[0], build.at(self.shared, place))

    def _serial(self, step: Instruction, node: Sequence[Any]) -> None:
        build, lane = self.build, self.vectors[1]
        first = first_added(step.code)
        total = build.load(build.at(self.shared, self.place(step, step.operands[0], node)))
        with build.loop(step.terms - first, [total]) as (k, state):
            term = build.plus(k, first)
            xs = [
                build.load(build.at(self.shared, self.place(step, step.operands[i], node, term)))
                for i in TERMS[step.code]
            ]
            state[0] = lane.next(step.code, state[0], xs)
        build.store(state[0], build.at(self.shared, self.place(step, step.out, node)))


def _is_irregular(step: Instruction) -> bool:
    if step.code == "store" or step.code.startswith(CALL):
        return False
    return any(x.table is not None for x in step.operands) and len(step.dims) == 1


def _is_even(stage: list[Instruction]) -> bool:
    # Whether vectors of operands lie side by side.
    both = [x for step in stage for x in step.operands]
    return all(x.table is None and x.strides[-1] in (0, 1) for x in both)


def _unflatten(dims: Sequence[int], flat: int) -> list[int]:
    node: list[int] = []
    for n in reversed(dims):
        node.insert(0, flat % n)
        flat //= n
    return node
