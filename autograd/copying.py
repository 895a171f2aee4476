"""Copying and pickling of graphs, as deep as they may be: without recursion, identities kept."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import ref

from . import value as clockwork
from .value import Value, stale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .op import Op


def make_leaf(data: float, grad: float | None, label: str | None, scope: str | None) -> Value:
    """Return a leaf with that state."""
    leaf = Value(data, label)
    leaf._grad = grad
    leaf.scope = scope
    return leaf


def make_node(op: Op, operands: tuple[Any, ...], state: tuple[Any, ...]) -> Value:
    """Return a computed value with that state; nothing is computed."""
    node = object.__new__(Value)
    node.op = op
    if op.arity in (1, 2):
        node._first = operands[0]
        node._second = operands[1] if op.arity == 2 else None  # noqa: PLR2004
    else:
        node._first, node._second = operands, None
    node._data, node._grad, node.label, node.scope = state
    node._clock = clockwork._clock
    node._mark = None
    return node


def _state(node: Value) -> tuple[Any, ...]:
    return node._data, node._grad, node._label, node.scope


def copy_node(node: Value, operands: tuple[Any, ...]) -> Value:
    """Return a value like `node` on other operands; a leaf's copy is a leaf."""
    state = _state(node)
    made = make_leaf(*state) if node.op is None else make_node(node.op, operands, state)
    made._clock = node._clock  # a stale value's copy is stale
    return made


def _operands_first(root: Value, is_known: Callable[[Value], bool]) -> list[Value]:
    """Return what `root` depends on, operands first, without what is known and lies behind that.

    `sort` would go through all of it again for each of many values that are copied together.
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value | None] = [root]
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())  # type: ignore[arg-type]  # under a None lies a value
            continue
        if node in seen or is_known(node):
            continue
        seen.add(node)
        stack += (node, None)
        for x in node.parents:
            if x._clock > node._clock:
                raise stale(node, x)
            stack.append(x)
    return order


def copy_graph(root: Value, memo: dict[int, Any]) -> Value:
    """Return a copy of `root` with a graph of its own; `memo` is `copy.deepcopy`'s."""
    for node in _operands_first(root, lambda x: id(x) in memo):
        operands = tuple(memo[id(x)] if type(x) is Value else x for x in node.operands)
        memo[id(node)] = copy_node(node, operands)
    return memo[id(root)]  # type: ignore[no-any-return]


class _Flat:
    """A graph as flat columns, for pickle, which would recurse from node to operand.

    The values of one dump share their flat graphs: a value that belongs to one already is
    pickled as (flat graph, position), so that what was one object stays one object.
    """

    __slots__ = ("__weakref__", "depth", "nodes", "others")
    depth: int

    # Pickle goes from a flat graph to the others that it refers to, and recurses. At every
    # multiple of this depth all of them are handed over first, in their order.
    STRIDE = 50

    def __init__(self, root: Value) -> None:
        self.nodes: list[Value] = []
        self.others: dict[_Flat, None] = {}

        def is_outside(node: Value) -> bool:
            place = _place_of(node)
            if place is not None:
                self.others[place[0]] = None
            return node.op is None or place is not None

        self.nodes = _operands_first(root, is_outside)
        self.depth = 1 + max((flat.depth for flat in self.others), default=0)
        me = ref(self)
        for position, node in enumerate(self.nodes):
            _home[id(node)] = me, position

    def __del__(self) -> None:
        me = ref(self)
        with _home_lock:
            for node in self.nodes:
                if _home.get(id(node), (None, 0))[0] is me:
                    del _home[id(node)]

    def __reduce__(self) -> tuple[Any, ...]:
        places = {id(node): place for place, node in enumerate(self.nodes)}
        outside: list[Value] = []  # leaves, and values of other flat graphs: pickled one by one
        rows: list[tuple[Any, ...]] = []
        for node in self.nodes:
            row = []
            for x in node.operands:
                if type(x) is Value and id(x) not in places:
                    outside.append(x)
                    places[id(x)] = -len(outside)
                row.append(places[id(x)] if type(x) is Value else x)
            rows.append(tuple(row))
        states = list(map(_state, self.nodes))
        before = self._all_others() if self.depth % self.STRIDE == 0 else []
        return unflatten, (before, [node.op for node in self.nodes], rows, states, outside)

    def _all_others(self) -> list[_Flat]:
        found: dict[_Flat, None] = {}
        stack = list(self.others)
        while stack:
            flat = stack.pop()
            if flat not in found:
                found[flat] = None
                stack += flat.others
        return sorted(found, key=lambda flat: flat.depth)


# Which flat graph a value is in, by id: the graph keeps its values alive, so ids stay theirs, and
# lives itself as long as a pickler remembers it. Locked, since two threads may pickle one graph,
# and a graph may be dropped in the middle of a look-up.
_home: dict[int, tuple[ref[_Flat], int]] = {}
_home_lock = RLock()


def _place_of(node: Value) -> tuple[_Flat, int] | None:
    known = _home.get(id(node))
    flat = known and known[0]()
    return (flat, known[1]) if known and flat else None


def unflatten(
    _before: Sequence[Sequence[Value]],
    op_column: Sequence[Op],
    rows: Sequence[Sequence[int | float]],
    states: Sequence[tuple[Any, ...]],
    outside: Sequence[Value],
) -> list[Value]:
    """Return the values of a flat graph; an int in a row is a place, a float a constant."""
    nodes: list[Value] = []
    for op, row, state in zip(op_column, rows, states, strict=True):
        operands = tuple([_at(place, nodes, outside) for place in row])
        nodes.append(make_node(op, operands, state))
    return nodes


def _at(place: float, nodes: Sequence[Value], outside: Sequence[Value]) -> Any:
    if isinstance(place, float):
        return place
    return nodes[place] if place >= 0 else outside[-1 - place]


def pick(nodes: Sequence[Value], place: int) -> Value:
    """Return one value of an unflattened graph."""
    return nodes[place]


def reduce_value(value: Value) -> tuple[Any, ...]:
    """Return what `Value.__reduce__` returns: how to make a value like this one."""
    if value.op is None:
        return make_leaf, _state(value)
    with _home_lock:
        place = _place_of(value)
        if place is None:
            flat = _Flat(value)
            place = flat, len(flat.nodes) - 1
    return pick, place
