"""From recorded values to the compiler's graph: each operation by its own lowering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograd.value import Value

from .graph import CALL, CHOICES, Graph, Node, Term

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autograd.op import Op

# Operations whose lowering gives the very bits of `forward`: selections, and what IEEE 754 rounds
# exactly. The rest of `LIBM` is one call of the C library in Python, too.
EXACT = {
    *("add", "sub", "mul", "div", "neg", "pos", "abs", "square", "sqrt", "relu", "leaky_relu"),
    *("sign", "step", "clip", "where", "maximum", "minimum", "less", "less_equal", "equal"),
}
LIBM = {
    *("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
}


def is_rounded_alike(computed: Sequence[Value]) -> bool:
    """Say whether the compiler gives the very bits of these values even where it isn't exact.

    It does for single operations that IEEE 754 rounds; a product that is added to something may be
    a fused multiply-add.
    """
    names = {value.op.name for value in computed if value.op is not None}
    is_fused = not names.isdisjoint({"add", "sub"}) and not names.isdisjoint({"mul", "square"})
    return names <= EXACT and not is_fused


class Machine:
    """What the formulas of lowering.py ask for: choices, sums, and functions by name."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Callable[..., Term]:
        # m.exp(a): the code of that name. Looked up once.
        def function(*args: Any) -> Term:
            return self._graph.term(name, *args)

        setattr(self, name, function)
        return function

    def power(self, a: Any, b: Any) -> Term:
        """Return aᵇ, whatever b is."""
        return self._graph.term("pow", a, b)

    def const(self, x: float) -> Term:
        """Return a number as a term."""
        return Term(self._graph, self._graph.const(x))

    def constant(self, a: Term) -> float | None:
        """Return the number that a term always is, or None."""
        return self._graph.constant(a.node)

    def sum(self, xs: Sequence[Term]) -> Term:
        """Return the sum."""
        return self._graph.term("sum", *xs)

    def max(self, xs: Sequence[Term]) -> Term:
        """Return the largest, and a nan if there is one."""
        return self._graph.term("max", *xs)

    def dot(self, xs: Sequence[Term], ys: Sequence[Term]) -> Term:
        """Return the sum of products; what is shared by the rows comes first in each."""
        graph = self._graph
        one = graph.const(1.0)
        pairs = [_by_kind(graph, x.node, y.node) for x, y in zip(xs, ys, strict=True)]
        # A product with 1, such as a bias, is what the sum starts from.
        start = next((a if b == one else b for a, b in pairs if one in (a, b)), None)
        if start is None:
            start = graph.const(0.0)
        else:
            pairs.remove((start, one) if (start, one) in pairs else (one, start))
        return Term(graph, graph.node("dot", start, *[x for pair in pairs for x in pair]))

    def in_one_order(self, xs: Sequence[Term]) -> list[Term]:
        """Return the terms in an order that doesn't depend on theirs: equal sums are one node."""
        return sorted(xs, key=lambda x: x.node)


def _by_kind(graph: Graph, a: Node, b: Node) -> tuple[Node, Node]:
    # In a product: what the rows share first.
    return (b, a) if graph.varies[a] and not graph.varies[b] else (a, b)


class Lowering:
    """Puts values into a graph; `node[v]` is the node of each value that is there already."""

    def __init__(self, graph: Graph, *, exact: bool) -> None:
        self.graph = graph
        self.node: dict[Value, Node] = {}
        self._machine = Machine(graph)
        self._exact = exact

    def add(self, computed: Sequence[Value]) -> None:
        """Put in values, each after its operands; their leaves have to be there already."""
        node, graph, exact = self.node, self.graph, self._exact
        for value in computed:
            op: Any = value.op
            args = [node[x] if type(x) is Value else graph.const(x) for x in value.operands]
            graph.here = value.scope or ""
            if not exact and type(op.lowering) is str:  # most of them
                node[value] = graph.node(op.lowering, *args)
            else:
                node[value] = self._lower(op, value, args)

    def truth(self, node: Node) -> Term:
        """Return 1 where a number is true for Python, which is everything but 0."""
        return self._machine.if_equal(Term(self.graph, node), 0.0, 0.0, 1.0)

    def _lower(self, op: Op, value: Value, args: list[Node]) -> Node:
        graph, lowering = self.graph, op.lowering
        if self._exact and op.name not in EXACT:
            return graph.node(op.name if op.name in LIBM else CALL + op.name, *args)
        if type(lowering) is str:
            return graph.node(lowering, *args)
        if lowering is None:
            return graph.node(CALL + op.name, *args)
        if op.name == "where" and (node := self._routed(value)) is not None:
            return node
        return graph.of(lowering(self._machine, *[Term(graph, x) for x in args]))  # type: ignore[operator]  # no str

    def _routed(self, value: Value) -> Node | None:
        # where(local, local · upstream, 0) is what the traced chain rule has for an operation that
        # routes: where `local` is a choice between two numbers, no product is needed.
        local, product, otherwise = value.operands
        if type(local) is not Value or type(product) is not Value or otherwise != 0.0:
            return None
        if product.op is None or product.op.name != "mul" or product.operands[0] is not local:
            return None
        graph, m, zero = self.graph, self._machine, self.graph.const(0.0)
        factor = product.operands[1]
        upstream = self.node[factor] if type(factor) is Value else graph.const(factor)
        if local.op is not None and local.op.name == "step":
            a, u = Term(graph, self.node[local.operands[0]]), Term(graph, upstream)
            return graph.of(m.if_less(0.0, a, u, m.if_less_equal(a, 0.0, 0.0, a)))
        node = self.node[local]
        if graph.code[node] not in CHOICES:
            return None
        p, q, yes, no = graph.args[node]
        if graph.constant(yes) is None or graph.constant(no) is None:
            return None
        sides = [
            zero if graph.constant(side) == 0.0 else graph.node("mul", side, upstream)
            for side in (yes, no)
        ]
        return graph.node(graph.code[node], p, q, *sides)
