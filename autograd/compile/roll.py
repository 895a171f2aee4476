"""Find the loops in a flat graph again.

The nodes are put on levels: a level needs only those below it. What is on one level and has one
code is independent of each other, so it can be computed in any order; it is put in the one in
which the operands' places advance by constant steps, and becomes a few loop nests. Results get
consecutive places, so that the next level finds constant steps again.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .chains import Output, fuse, part, uses
from .graph import CALL, Graph, Node
from .loops import Shape, loops
from .stages import keep, stage
from .storage import CONSTANTS, Places
from .tape import RESULT, ROW, SHARED, TERMS, Instruction, Operand, Tape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.int64]

SHORT = 16  # terms that may be added one by one
FEW = 4  # a group isn't parted into pieces with fewer nodes than this
OUTPUTS = ("store", "add_product", "add_up")
"""The codes that write results: `store`, and the sums over the rows of a number or a product."""


def build(graph: Graph, outputs: Sequence[Output], *, exact: bool = False) -> Tape:
    """Return the program that computes the outputs; the graph is used up by it.

    An output that is `summed` becomes the sum over the rows, if it varies; results are numbered in
    the order of the outputs, those of each row apart from the others.
    """
    wanted = list(outputs)
    fuse(graph, wanted, exact=exact)
    return _Roll(graph, part(graph, wanted)).tape()


@dataclass(slots=True)
class _Group:
    """Nodes of one code on one level, a row for each.

    `nodes` has the node (or, for an output, the result's number) and its operands, and `places`
    where the operands lie. `regular` says that the terms lie alike in all of them.
    """

    code: str
    home: str
    nodes: Matrix
    places: Matrix
    regular: bool = True

    @property
    def width(self) -> int:
        """How many operands each has."""
        return int(self.places.shape[1])

    @property
    def is_dot(self) -> bool:
        """Whether its terms are products."""
        return self.code.startswith("dot")

    @property
    def terms(self) -> int:
        """How many terms each has; 0 where there are none."""
        if self.code not in TERMS:
            return 0
        return (self.width - 1) // 2 if self.is_dot else self.width

    def along(self, index: int) -> Matrix:
        """Return the places of one of the factors, or of all terms of a sum."""
        return self.places[:, index::2] if self.is_dot else self.places

    def take(self, rows: Any, *, regular: bool | None = None) -> _Group:
        """Return some of its nodes, in that order."""
        same = self.regular if regular is None else regular
        return replace(self, nodes=self.nodes[rows], places=self.places[rows], regular=same)

    def firsts(self) -> Matrix:
        """Return the places of the operands, of terms the first one only."""
        if self.code not in TERMS:
            return self.places
        return self.places[:, :3] if self.is_dot else self.places[:, :1]


class _Roll:
    def __init__(self, graph: Graph, outputs: list[Output]) -> None:
        self.graph = graph
        self.outputs = outputs
        self.count = uses(graph, outputs)
        self.spaces = {space: Places(space, len(graph)) for space in (SHARED, ROW)}
        self.slot = [-1] * len(graph)  # each node's place in its space
        self.constants: list[float] = []
        self.steps: dict[str, list[Instruction]] = {SHARED: [], ROW: []}
        self.results = {True: 0, False: 0}  # of each row, and summed or shared
        self.calls: dict[tuple[str, int], None] = {}

    def tape(self) -> Tape:
        self._place_leaves()
        self.level = self._levels()
        groups: dict[Any, list[tuple[Node, ...]]] = defaultdict(list)
        self._add_outputs(groups)
        self._add_nodes(groups)
        for key in sorted(groups):
            varies, _, code, *_ = key
            self._emit(code, ROW if varies else SHARED, groups[key])
        for space, places in self.spaces.items():
            self.steps[space] = stage(self.steps[space], places)
        every = self.steps[SHARED] + self.steps[ROW]
        keep(every, self.spaces)
        for places in self.spaces.values():
            places.live(every)
            places.settle(every)
        shared, row = self.spaces[SHARED], self.spaces[ROW]
        return Tape(
            shared=self.steps[SHARED],
            rows=self.steps[ROW],
            constants=self.constants,
            shared_inputs=shared.inputs,
            row_inputs=row.inputs,
            shared_size=shared.size,
            row_size=row.size,
            results=self.results[False],
            row_results=self.results[True],
            calls=tuple(self.calls),
        )

    # --- leaves and levels -----------------------------------------------------------------------

    def _space(self, node: Node) -> str:
        return ROW if self.graph.varies[node] else SHARED

    def _place_leaves(self) -> None:
        for node, code in enumerate(self.graph.code):
            if code == "input":
                places = self.spaces[self._space(node)]
                self.slot[node] = places.inputs
                places.inputs += 1
            elif code == "const" and self.count[node]:
                self.slot[node] = CONSTANTS + len(self.constants)
                self.constants.append(self.graph.args[node][0])
        self.spaces[SHARED].constants = len(self.constants)

    def _levels(self) -> list[int]:
        # A node is one level above the highest of its operands in its own space.
        graph, code, args = self.graph, self.graph.code, self.graph.args
        varies = graph.varies
        level = [int(kind == "copy") for kind in code]
        for node, kind in enumerate(code):
            if not self.count[node] or kind in ("input", "const", "copy"):
                continue
            if varies[node]:
                level[node] = 1 + max([level[x] for x in args[node] if varies[x]])
            else:
                level[node] = 1 + max([level[x] for x in args[node]], default=0)
        return level

    # --- groups: by space, level, code, number of operands and the spaces of these ----------------

    def _add_nodes(self, groups: dict[Any, list[tuple[Node, ...]]]) -> None:
        varies, level = self.graph.varies, self.level
        for node, (kind, operands) in enumerate(zip(self.graph.code, self.graph.args, strict=True)):
            if not self.count[node] or kind in ("input", "const"):
                continue
            if kind.startswith(CALL):
                self.calls[kind, len(operands)] = None
            some = operands[:3] if kind in TERMS else operands
            spaces = tuple([varies[x] for x in some])
            key = (varies[node], level[node], kind, len(operands), spaces)
            groups[key].append((node, *operands))

    def _add_outputs(self, groups: dict[Any, list[tuple[Node, ...]]]) -> None:
        graph = self.graph

        def add(code: str, place: int, *operands: Node, varies: bool) -> None:
            level = 1 + max(self.level[x] for x in operands)
            spaces = tuple(graph.varies[x] for x in operands)
            groups[varies, level, code, len(operands), spaces].append((place, *operands))

        for output in self.outputs:
            node = output.node
            each_row = graph.varies[node] and not output.summed
            place = self.results[each_row]
            self.results[each_row] += 1
            if output.shared is not None:
                add("store", place, output.shared, varies=False)
            if each_row or not graph.varies[node]:
                add("store", place, node, varies=graph.varies[node])
            elif graph.code[node] == "mul" and self.count[node] == 1:
                # The product itself is nowhere needed: only its sum over the rows.
                add("add_product", place, *graph.args[node], varies=True)
                self.count[node] = 0
            else:
                add("add_up", place, node, varies=True)

    # --- instructions ----------------------------------------------------------------------------

    def _emit(self, code: str, home: str, rows: list[tuple[Node, ...]]) -> None:
        if len(rows) == 1 and code not in TERMS:
            self._emit_one(code, home, rows[0])
            return
        nodes = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
        slot = self.slot
        flat = [slot[x] for row in rows for x in row[1:]]
        places = np.array(flat, dtype=np.int64).reshape(len(rows), -1)
        if code in ("sum", "max", "dot"):
            places = _in_order(code, places)
        for regular in self._by_patterns(_Group(code, home, nodes, places)):
            for group in self._by_blocks(regular):
                self._emit_group(group)

    def _emit_one(self, code: str, home: str, row: tuple[Node, ...]) -> None:
        # What long chains are made of: no loops to look for.
        first, *args = row
        operands = tuple([Operand(self._space(x), self.slot[x], (0,)) for x in args])
        if code in OUTPUTS:
            out, node = Operand(RESULT, first, (0,)), args[0]
        else:
            self.slot[first] = self.spaces[home].new(1)
            out, node = Operand(home, self.slot[first], (0,)), first
        place = self.graph.place[node]
        self.steps[home].append(Instruction(home, code, (1,), 0, operands, out, (place,)))

    def _by_patterns(self, group: _Group) -> Iterator[_Group]:
        # By the pattern in which the terms lie, where there are few patterns.
        if group.code not in TERMS or len(group.nodes) == 1:
            yield group
            return
        terms = group.places[:, 1 if group.is_dot else 0 :]
        step = 2 if group.is_dot else 1
        offsets = terms - np.tile(terms[:, :step], (1, terms.shape[1] // step))
        _, which = np.unique(offsets, axis=0, return_inverse=True)
        which = which.reshape(-1)
        kinds = int(which.max()) + 1
        if kinds == 1:
            yield group
        elif kinds * FEW > len(group.nodes):
            yield group.take(slice(None), regular=False)
        else:
            yield from (group.take(which == kind) for kind in range(kinds))

    def _by_blocks(self, group: _Group) -> Iterator[_Group]:
        # By the instructions that the operands come from: what was one vector in the program stays
        # one. Where that would be many small parts, they are left together.
        if len(group.nodes) >= FEW:
            firsts = group.firsts()
            spaces = [self.spaces[self._space(x)] for x in group.nodes[0, 1:].tolist()]
            blocks = [spaces[i].owners(firsts[:, i]) for i in range(firsts.shape[1])]
            _, which = np.unique(np.stack(blocks, axis=1), axis=0, return_inverse=True)
            which = which.reshape(-1)
            kinds = int(which.max()) + 1
            if 1 < kinds <= len(group.nodes) // FEW:
                yield from (group.take(which == kind) for kind in range(kinds))
                return
        yield group

    def _emit_group(self, group: _Group) -> None:
        columns = group.firsts()
        if not group.regular:
            columns = columns[:, : 1 if group.is_dot else 0]
        if group.code in OUTPUTS:
            columns = np.concatenate([columns, group.nodes[:, :1]], axis=1)
        found = loops(columns)
        if found is None:
            self._add(group, None)
            return
        order, shapes = found
        start = 0
        for shape in shapes:
            size = int(np.prod(shape.dims))
            self._add(group.take(order[start : start + size]), shape)
            start += size

    def _add(self, group: _Group, shape: Shape | None) -> None:
        if shape is not None and group.terms and self._is_short(group):
            self._add_term_by_term(group, shape)
            return
        dims = (len(group.nodes),) if shape is None else shape.dims
        operands = [self._operand(group, shape, i) for i in range(group.firsts().shape[1])]
        if group.code in OUTPUTS:
            out = _result(group, shape)
        else:
            out = Operand(group.home, self._new_block(group), _strides(dims))
        self._append(group, group.code, dims, operands, out)

    def _append(
        self,
        group: _Group,
        code: str,
        dims: tuple[int, ...],
        operands: Sequence[Operand],
        out: Operand,
    ) -> None:
        of = group.nodes[:, 1 if code in OUTPUTS else 0]
        some = of[:: max(1, len(of) // 8)].tolist()
        places = tuple(dict.fromkeys(self.graph.place[node] for node in some))
        terms = group.terms if code in TERMS else 0
        step = Instruction(group.home, code, dims, terms, tuple(operands), out, places)
        self.steps[group.home].append(step)

    def _new_block(self, group: _Group) -> int:
        base = self.spaces[group.home].new(len(group.nodes))
        for offset, node in enumerate(group.nodes[:, 0].tolist()):
            self.slot[node] = base + offset
        return base

    def _is_short(self, group: _Group) -> bool:
        # Whether the terms are few, and come from instructions here and there: then each is added
        # by itself, in vectors, where one loop over all would have to look up their places.
        if not group.regular or group.terms > SHORT:
            return False
        return not all(
            self.spaces[self._space(int(group.nodes[0, 1 + i]))].is_block(group.along(i))
            for i in TERMS[group.code]
        )

    def _add_term_by_term(self, group: _Group, shape: Shape) -> None:
        code = "fma" if group.is_dot else "maximum" if group.code == "max" else "add"
        homes = [self._space(x) for x in group.nodes[0, 1:].tolist()]

        def operand(column: int, like: int) -> Operand:
            every = group.places[:, column : column + 1]
            if not self.spaces[homes[column]].is_block(every):
                return Operand(homes[column], table=every)
            strides = tuple(step[like] for step in shape.steps)
            return Operand(homes[column], int(every[0, 0]), strides)

        total = operand(0, 0)
        for column in range(1, group.width, 2 if group.is_dot else 1):
            is_last = column + (2 if group.is_dot else 1) >= group.width
            count = len(group.nodes)
            base = self._new_block(group) if is_last else self.spaces[group.home].new(count)
            out = Operand(group.home, base, _strides(shape.dims))
            if not group.is_dot:
                each, operands = code, [total, operand(column, 0)]
            elif self._is_one(group.nodes[:, 1 + column]):
                each, operands = "add", [total, operand(column + 1, 2)]
            else:
                each, operands = code, [operand(column, 1), operand(column + 1, 2), total]
            self._append(group, each, shape.dims, operands, out)
            total = replace(out)

    def _is_one(self, nodes: NDArray[Any]) -> bool:
        return all(self.graph.constant(node) == 1.0 for node in set(nodes.tolist()))

    def _operand(self, group: _Group, shape: Shape | None, index: int) -> Operand:
        space = self._space(int(group.nodes[0, 1 + index]))
        has_terms = index in TERMS.get(group.code, ())
        every = group.along(index) if has_terms else group.places[:, index : index + 1]
        is_even = shape is not None and (group.regular or not has_terms)
        if shape is None or not is_even or not self.spaces[space].is_block(every):
            return Operand(space, table=every)
        strides = tuple(step[index] for step in shape.steps)
        return Operand(space, int(every[0, 0]), strides, _pattern(every[0]))


def _pattern(terms: NDArray[Any]) -> int | tuple[int, ...]:
    # How far each term lies from the first: a step, or all of it.
    if len(terms) == 1:
        return 0
    offsets = terms - terms[0]
    step = int(offsets[1])
    is_even = bool((offsets == step * np.arange(len(offsets))).all())
    return step if is_even else tuple(offsets.tolist())


def _result(group: _Group, shape: Shape | None) -> Operand:
    numbers = group.nodes[:, :1]
    if shape is None:
        return Operand(RESULT, table=numbers)
    return Operand(RESULT, int(numbers[0, 0]), tuple(step[group.width] for step in shape.steps))


def _in_order(code: str, places: Matrix) -> Matrix:
    """Return each node's terms by their places, where the order of the terms is free."""
    if code != "dot":
        return np.sort(places, axis=1)
    first, second = places[:, 1::2], places[:, 2::2]
    order = np.lexsort((second, first), axis=1)
    placed = places.copy()
    placed[:, 1::2] = np.take_along_axis(first, order, axis=1)
    placed[:, 2::2] = np.take_along_axis(second, order, axis=1)
    return placed


def _strides(dims: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for n in reversed(dims):
        strides.insert(0, step if n > 1 else 0)  # as an operand that there is one of
        step *= n
    return tuple(strides)
