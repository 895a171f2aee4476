"""The instructions of the rows: each over a block of rows, a vector of them at a time."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from . import frame as words
from .graph import CALL
from .native import BYTE, I64, PAIR, POINTER, SMALL, TILE, Emitter, index
from .tape import ROW, TERMS, Instruction, Operand, first_added

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Node = list[Any]


class RowEmitter(Emitter):
    """Emits for one block: `count` rows, in `vectors_here` vectors of which `full` are full."""

    def open_block(
        self, base: ir.Value, stride: ir.Value, count: ir.Value, first: ir.Value
    ) -> None:
        """Begin a block of `count` rows, the first of them being row `first`."""
        b, width = self.b, self.width
        self.base = base
        self.stride = stride
        self.count = count
        self.first = first
        self.lane = self.vectors[width]
        self.used = b.sdiv(b.add(count, index(width - 1)), index(width))
        self.vectors_here = b.and_(b.add(self.used, index(PAIR - 1)), index(-PAIR))

    # --- operands --------------------------------------------------------------------------------

    def address(self, place: Any) -> ir.Value:
        """Return where the first row's number of that place lies."""
        return self.build.at(self.base, self.build.times(place, self.stride), BYTE)

    def vector(self, address: ir.Value, t: Any) -> ir.Value:
        """Load the t-th vector of a place."""
        at = self.build.at(address, self.build.times(t, self.width))
        return self.build.load(at, self.lane.type)

    def start(self, step: Instruction, operand: Operand, node: Node, term: Any = 0) -> ir.Value:
        """Return an address in the row space, or a splat of what all rows share."""
        place = self.place(step, operand, node, term)
        if operand.space == ROW:
            return self.address(place)
        return self.lane.splat(self.build.load(self.build.at(self.shared, place)))

    def value(self, operand: Operand, start: ir.Value, t: Any) -> ir.Value:
        """Return the t-th vector of an operand that `start` has been asked for."""
        return self.vector(start, t) if operand.space == ROW else start

    def put(self, value: ir.Value, address: ir.Value, t: Any) -> None:
        """Store the t-th vector of a place."""
        self.build.store(value, self.build.at(address, self.build.times(t, self.width)))

    # --- instructions ----------------------------------------------------------------------------

    def emit(self, stage: list[Instruction]) -> None:
        """Emit the instructions of one stage."""
        step = stage[0]
        if step.code in TERMS:
            self._terms(stage)
        elif step.code in ("add_up", "add_product"):
            self._sums(step)
        elif step.code == "store":
            for own in stage:
                self._store(own)
        elif step.code.startswith(CALL):
            self._calls(step)
        else:
            self._each(stage)

    def _each(self, stage: list[Instruction]) -> None:
        # All of them for one node in one loop over the vectors: what isn't kept stays in registers.
        build = self.build
        makers = {step.out.base for step in stage}
        paired = self.lane.pairs(stage)
        with build.nest(stage[0].dims) as node:
            starts: dict[Any, ir.Value] = {}
            for step in stage:
                for operand in step.operands:
                    key = _key(operand, makers)
                    if key not in starts and not isinstance(key, int):
                        starts[key] = self.start(step, operand, node)
            outs = {
                step.out.base: self.address(self.place(step, step.out, node))
                for step in stage
                if step.kept
            }
            with build.loop(self.used) as (t, _):
                known: dict[Any, Any] = {}
                for step in stage:
                    values = self._operands(step, node, t, starts, known, makers)
                    known[step.out.base] = self._made(step, values, known, paired)
                    if step.kept:
                        self.put(known[step.out.base], outs[step.out.base], t)

    def _made(
        self,
        step: Instruction,
        values: list[ir.Value],
        known: dict[Any, Any],
        paired: dict[int, tuple[str, str]],
    ) -> ir.Value:
        # What the instruction makes of its operands; two functions of one number together.
        names = paired.get(step.out.base)
        if names is None:
            return self.lane.apply(step.code, values)
        key = names, step.operands[0].base
        if key not in known:
            known[key] = self.lane.both(names, values[0])
        return known[key][names.index(step.code)]

    def _terms(self, stage: list[Instruction]) -> None:
        # Tiles of nodes by a few vectors, so that the sums stay in registers and what nodes have in
        # common is loaded once for all of them.
        *outer, inner = stage[0].dims
        nodes = min(inner, _tile(stage[0]) // PAIR)
        with self.build.loop(self.vectors_here, step=PAIR) as (t, _):
            at = [self.build.plus(t, u) for u in range(PAIR)]
            with self.build.nest(outer) as node:
                for first, size in self._cut(inner, nodes):
                    with first as i:
                        tile = [[*node, self.build.plus(i, j)] for j in range(size)]
                        sums = self._tile(stage[0], tile, at)
                        self._go_on(stage, tile, at, sums)

    def _go_on(
        self, stage: list[Instruction], tile: list[Node], at: list[Any], sums: list[ir.Value]
    ) -> None:
        # What the stage does with each of the sums.
        makers = {step.out.base for step in stage}
        alike: dict[Any, ir.Value] = {}  # what all of the tile's nodes have in common
        for j, node in enumerate(tile):
            starts = dict(alike)
            for u, t in enumerate(at):
                known: dict[Any, Any] = {stage[0].out.base: sums[j * len(at) + u]}
                for step in stage[1:]:
                    values = self._operands(step, node, t, starts, known, makers)
                    known[step.out.base] = self.lane.apply(step.code, values)
                for step in stage:
                    if step.kept:
                        key = ("out", step.out.base)
                        if key not in starts:
                            starts[key] = self.address(self.place(step, step.out, node))
                        self.put(known[step.out.base], starts[key], t)
            for step in stage[1:]:
                for operand in step.operands:
                    key = _key(operand, makers)
                    if operand.table is None and not operand.strides[-1] and key in starts:
                        alike[key] = starts[key]

    def _operands(  # noqa: PLR0913, PLR0917  (an instruction, and where it stands)
        self,
        step: Instruction,
        node: Node,
        t: Any,
        starts: dict[Any, ir.Value],
        known: dict[Any, Any],
        makers: set[int],
    ) -> list[ir.Value]:
        values = []
        for operand in step.operands:
            key = _key(operand, makers)
            if key not in known:
                if key not in starts:
                    starts[key] = self.start(step, operand, node)
                known[key] = self.value(operand, starts[key], t)
            values.append(known[key])
        return values

    def _cut(self, count: int, size: int) -> Iterator[tuple[Any, int]]:
        # Whole tiles, in a loop if there are several, and what is left over: where each begins.
        whole = count // size
        if whole == 1:
            yield nullcontext(0), size
        elif whole:
            yield self._tile_starts(whole, size), size
        if count % size:
            yield nullcontext(whole * size), count % size

    @contextmanager
    def _tile_starts(self, whole: int, size: int) -> Iterator[ir.Value]:
        with self.build.loop(whole * size, step=size) as (i, _):
            yield i

    def _tile(self, step: Instruction, tile: list[Node], at: list[Any]) -> list[ir.Value]:
        build, lane = self.build, self.lane
        terms = TERMS[step.code]
        vectors = len(at)
        us = range(vectors)
        sums: list[ir.Value] = []
        for node in tile:
            start = self.start(step, step.operands[0], node)
            sums += [self.value(step.operands[0], start, x) for x in at]
        first = first_added(step.code)
        with build.loop(step.terms - first, sums) as (k, state):
            term = build.plus(k, first)
            loaded: dict[Any, list[ir.Value]] = {}
            for j, node in enumerate(tile):
                values = []
                for i in terms:
                    operand = step.operands[i]
                    alike = operand.table is None and operand.strides[-1] == 0
                    key = (i, 0 if alike else j)
                    if key not in loaded:
                        start = self.start(step, operand, node, term)
                        loaded[key] = [self.value(operand, start, x) for x in at]
                    values.append(loaded[key])
                for u in us:
                    place = j * vectors + u
                    state[place] = lane.next(step.code, state[place], [x[u] for x in values])
        return state

    # --- sums over the rows ----------------------------------------------------------------------

    def _sums(self, step: Instruction) -> None:
        *outer, inner = step.dims
        columns = min(inner, self.width)
        if not outer:
            for first, size in self._cut(inner, columns):
                with first as i:
                    self._sum_tile(step, [[self.build.plus(i, k)] for k in range(size)], size)
            return
        *outer, middle = outer
        lines = min(middle, max(1, _tile(step) // columns))
        with self.build.nest(outer) as node:
            for line, height in self._cut(middle, lines):
                with line as j:
                    for first, size in self._cut(inner, columns):
                        with first as i:
                            tile = [
                                [*node, self.build.plus(j, q), self.build.plus(i, k)]
                                for q in range(height)
                                for k in range(size)
                            ]
                            self._sum_tile(step, tile, size)

    def _sum_tile(self, step: Instruction, tile: list[Node], columns: int) -> None:
        build, lane = self.build, self.lane
        starts: dict[Any, ir.Value] = {}
        keys: list[list[Any]] = []
        for n, node in enumerate(tile):
            mine = []
            for o, operand in enumerate(step.operands):
                key = (o, *_same(operand, n, columns))
                if key not in starts:
                    starts[key] = self.start(step, operand, node)
                mine.append(key)
            keys.append(mine)
        zero = lane.const(0.0)
        with build.loop(self.used, [zero] * len(tile)) as (t, state):
            # The last vector may have lanes without a row.
            mask = self._mask(t)
            loaded = {
                key: self.b.select(mask, self.value(step.operands[key[0]], start, t), zero)
                for key, start in starts.items()
            }
            for n, mine in enumerate(keys):
                values = [loaded[key] for key in mine]
                if len(values) == 1:
                    state[n] = self.b.fadd(state[n], values[0])
                else:
                    state[n] = lane.fma(values[0], values[1], state[n])
        for line in range(0, len(tile), columns):
            nodes = tile[line : line + columns]
            self._add_to_results(step, nodes, state[line : line + columns])

    def _mask(self, t: ir.Value) -> ir.Value:
        # Which lanes of the t-th vector have a row.
        b, width = self.b, self.width
        left = b.sub(self.count, b.mul(t, index(width)))
        if width == 1:
            return b.icmp_signed(">", left, index(0))
        vector = ir.VectorType(I64, width)
        empty = ir.Constant(vector, ir.Undefined)
        one = b.insert_element(empty, left, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
        numbers = ir.Constant(vector, list(range(width)))
        return b.icmp_signed("<", numbers, b.shuffle_vector(one, empty, lanes))

    def _add_to_results(self, step: Instruction, nodes: list[Node], sums: list[ir.Value]) -> None:
        build, b = self.build, self.b
        if len(nodes) < self.width or self.width == 1:
            totals = [self._total(vector) for vector in sums]
        else:
            total = self._transposed_sum(sums)
            if step.out.table is None and step.out.strides[-1] == 1:
                at = build.at(self.results, self.place(step, step.out, nodes[0]))
                build.store(b.fadd(build.load(at, self.lane.type), total), at)
                return
            totals = self.lane.lanes(total)
        for node, number in zip(nodes, totals, strict=True):
            at = build.at(self.results, self.place(step, step.out, node))
            build.store(b.fadd(build.load(at), number), at)

    def _total(self, vector: ir.Value) -> ir.Value:
        lanes = self.lane.lanes(vector)
        while len(lanes) > 1:
            half = len(lanes) // 2
            pairs = zip(lanes[:half], lanes[half:], strict=True)
            lanes = [self.b.fadd(x, y) for x, y in pairs]
        return lanes[0]

    def _transposed_sum(self, sums: list[ir.Value]) -> ir.Value:
        # Lane i of the result is the total of sums[i]. Vectors are added pairwise with their halves
        # exchanged, then quarters, and so on: width - 1 additions in all.
        width = self.width
        half = width // 2
        while half:
            following = []
            for x, y in zip(sums[: len(sums) // 2], sums[len(sums) // 2 :], strict=True):
                low, high = _halves(width, half)
                following.append(self.b.fadd(self._shuffle(x, y, low), self._shuffle(x, y, high)))
            sums = following
            half //= 2
        return sums[0]

    def _shuffle(self, x: ir.Value, y: ir.Value, lanes: Sequence[int]) -> ir.Value:
        kind = ir.VectorType(ir.IntType(32), self.width)
        return self.b.shuffle_vector(x, y, ir.Constant(kind, list(lanes)))

    # --- row after row ---------------------------------------------------------------------------

    def _store(self, step: Instruction) -> None:
        build = self.build
        out = self.word(words.EACH_ROW, POINTER)
        many = self.tape.row_results
        with build.nest(step.dims) as node:
            (operand,) = step.operands
            start = self.address(self.place(step, operand, node))
            place = self.place(step, step.out, node)
            with build.loop(self.count) as (r, _):
                row = build.times(build.plus(self.first, r), many)
                build.store(build.load(build.at(start, r)), build.at(out, build.plus(row, place)))

    def _calls(self, step: Instruction) -> None:
        build = self.build
        with build.nest(step.dims) as node:
            places = [self.place(step, operand, node) for operand in step.operands]
            out = self.address(self.place(step, step.out, node))
            with build.loop(self.count) as (r, _):
                xs = []
                for operand, place in zip(step.operands, places, strict=True):
                    if operand.space == ROW:
                        xs.append(build.load(build.at(self.address(place), r)))
                    else:
                        xs.append(build.load(build.at(self.shared, place)))
                build.store(self.call(step.code, xs), build.at(out, r))

    def load_arguments(self, descriptors: int, many: int) -> None:
        """Copy this block's rows of the arguments into their places, numbers by rows as vectors.

        Lanes without a row compute what the last row computes, and nobody asks them.
        """
        build, b = self.build, self.b
        with build.loop(many, [index(0)]) as (number, state):
            place = state[0]
            at = b.add(index(descriptors), b.mul(number, index(words.DESCRIPTOR)))
            source, count, between, rows = (
                build.load(build.at(self.frame, b.add(at, index(k)), I64), kind)
                for k, kind in enumerate((POINTER, I64, I64, I64))
            )
            source = build.at(source, b.mul(self.first, rows), BYTE)
            last = b.sub(self.count, index(1))
            with build.loop(self.used) as (t, _):
                lines = []
                for lane in range(self.width):
                    row = b.add(b.mul(t, index(self.width)), index(lane))
                    row = b.select(b.icmp_signed("<", row, last), row, last)
                    lines.append(build.at(source, b.mul(row, rows), BYTE))
                done: ir.Value = index(0)
                if self.tape.row_inputs >= self.width > 1:
                    is_close = b.icmp_signed("==", between, index(8))
                    blocks = b.select(is_close, b.sdiv(count, index(self.width)), index(0))
                    with build.loop(blocks) as (e, _):
                        self._load_square(lines, b.mul(e, index(self.width)), place, t)
                    done = b.mul(blocks, index(self.width))
                with build.loop(b.sub(count, done)) as (i, _):
                    e = b.add(i, done)
                    offset = b.mul(e, between)
                    numbers = [build.load(build.at(line, offset, BYTE)) for line in lines]
                    self.put(self.lane.gather(numbers), self.address(b.add(place, e)), t)
            state[0] = b.add(place, count)

    def _load_square(
        self, lines: list[ir.Value], e: ir.Value, place: ir.Value, t: ir.Value
    ) -> None:
        # As many numbers of as many rows as a vector has lanes: loaded along the rows, transposed
        # by exchanging halves, then quarters, and so on.
        build, b, width = self.build, self.b, self.width
        vectors = [build.load(build.at(line, e), self.lane.type) for line in lines]
        half = width // 2
        while half:
            low, high = _halves(width, half)
            for i in range(width):
                if not i & half:
                    x, y = vectors[i], vectors[i + half]
                    vectors[i] = self._shuffle(x, y, low)
                    vectors[i + half] = self._shuffle(x, y, high)
            half //= 2
        for k, vector in enumerate(vectors):
            self.put(vector, self.address(b.add(b.add(place, e), index(k))), t)


def _halves(width: int, half: int) -> tuple[list[int], list[int]]:
    # The lanes of two vectors side by side, so that each one's halves (or quarters, …) meet.
    lanes = range(width)
    low = [i if not i & half else width + i - half for i in lanes]
    high = [i + half if not i & half else width + i for i in lanes]
    return low, high


def _tile(step: Instruction) -> int:
    # How many sums are kept in registers at once.
    return TILE if step.count * max(1, step.terms) >= SMALL else TILE // 2


def _key(operand: Operand, makers: set[int]) -> Any:
    # What tells an operand from others in a stage: where it lies, for a result of the stage as an
    # int.
    if operand.table is not None:
        return "table", id(operand)
    if operand.space == ROW and operand.base in makers:
        return operand.base
    return operand.space, operand.base, operand.strides


def _same(operand: Operand, n: int, columns: int) -> tuple[int, int]:
    # Which of a tile's nodes an operand is the same number in: its line and its column there.
    line, column = divmod(n, columns)
    if operand.table is not None:
        return line, column
    over = operand.strides[-2] if len(operand.strides) > 1 else 1
    return (line if over else 0), (column if operand.strides[-1] else 0)
