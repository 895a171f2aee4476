"""Which operations belong together: multiply-adds, chains of additions, sums of products.

A chain s + a·b + c·d + … is one node afterwards, `dot_in_order`, with its additions in the order of
the program; where a product is added to something once only, it becomes a fused multiply-add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .graph import Graph, Node

_NOT_COMPUTED = ("input", "const", "copy")


class Output(NamedTuple):
    """A node that is asked for; with `summed`, its sum over the rows. `shared` is added to that."""

    node: Node
    summed: bool
    shared: Node | None = None


def fuse(graph: Graph, outputs: list[Output], *, exact: bool) -> None:
    """Rewrite the graph in place: chains become one node each, and pairs become `fma`.

    With `exact`, nothing that would be rounded in another way.
    """
    if not exact:
        _Chains(graph, uses(graph, outputs)).rewrite()
    _unmix(graph, outputs)


def uses(graph: Graph, outputs: list[Output]) -> list[int]:
    """Return how often each node is used by a node that an output depends on, or by an output."""
    count = [0] * len(graph)
    for output in outputs:
        count[output.node] += 1
        if output.shared is not None:
            count[output.shared] += 1
    # First what varies, then the copies (whose users are numbered before them), then what the rows
    # share: nothing of that depends on a row.
    varies, code, args = graph.varies, graph.code, graph.args
    copies = [n for n, kind in enumerate(code) if kind == "copy"]
    rows = any(varies)
    for is_row in (True, False) if rows else (False,):
        for node in range(len(code) - 1, -1, -1):
            if count[node] and varies[node] == is_row and code[node] not in _NOT_COMPUTED:
                for x in args[node]:
                    count[x] += 1
        if is_row:
            for node in copies:
                count[args[node][0]] += count[node] > 0
    return count


def part(graph: Graph, outputs: list[Output]) -> list[Output]:
    """Return the outputs with what all rows share taken out of the sums over the rows.

    The penalty on a network's weights, say, is no part of what is computed for each row.
    """
    if not any(graph.varies):
        return outputs
    count = uses(graph, outputs)
    return [_parted(graph, x) if count[x.node] == 1 else x for x in outputs]


def _parted(graph: Graph, output: Output) -> Output:
    node = output.node
    if not output.summed or not graph.varies[node]:
        return output
    code, args = graph.code[node], graph.args[node]
    if code == "add":
        shared = next((x for x in args if not graph.varies[x]), None)
        if shared is not None:
            (other,) = (x for x in args if graph.varies[x])
            return Output(other, summed=True, shared=shared)
    elif code == "fma" and not graph.varies[args[2]]:
        graph.code[node], graph.args[node] = "mul", args[:2]
        return output._replace(shared=args[2])
    elif code in ("dot", "dot_in_order"):
        start, *products = args
        if not graph.varies[start] and graph.constant(start) is None:
            graph.args[node] = (graph.const(-0.0), *products)
            return output._replace(shared=start)
    return output


class _Chains:
    def __init__(self, graph: Graph, count: list[int]) -> None:
        self.graph = graph
        self.count = count
        self.taken = [False] * len(graph)  # parts of a chain that has been rewritten

    def rewrite(self) -> None:
        code, count = self.graph.code, self.count
        for node in range(len(code) - 1, -1, -1):
            if not count[node] or self.taken[node]:
                continue
            if code[node] == "add":
                self._add(node)
            elif code[node] == "sub":
                self._sub(node)

    def _is_part(self, node: Node, code: str, whole: Node) -> bool:
        # Whether a node is of that code and only there for the whole. What the rows share is
        # computed apart from what varies.
        graph = self.graph
        return (
            self.count[node] == 1
            and graph.code[node] == code
            and graph.varies[node] == graph.varies[whole]
        )

    def _add(self, node: Node) -> None:
        graph = self.graph
        terms: list[Node] = []
        # `spine + other` is unrolled from the outside, as long as the spine is a sum itself.
        spine, other = self._spine(node, node)
        if graph.varies[node] and not graph.varies[other]:
            return  # a bias, behind the products: it is added to their sum
        while graph.code[spine] == "add" and self._is_part(spine, "add", node):
            terms.append(other)
            self.taken[spine] = True
            spine, other = self._spine(spine, node)
        terms.append(other)
        terms.reverse()
        start = spine
        products = [self._is_part(x, "mul", node) for x in terms]
        if len(terms) == 1:
            if products[0]:
                graph.code[node] = "fma"
                graph.args[node] = (*self._product(terms[0]), start)
            return
        if 2 * sum(products) < len(terms):
            # A few products are better multiplied first than all else by 1.
            graph.code[node] = "sum_in_order"
            graph.args[node] = (start, *terms)
            return
        if self._is_part(start, "mul", node) and graph.varies[node]:
            # One more product: from 0 on it is rounded as the product by itself is.
            terms, products = [start, *terms], [True, *products]
            start = graph.const(-0.0)
        one = graph.const(1.0)
        flat = [start]
        for term, is_product in zip(terms, products, strict=True):
            flat += self._product(term) if is_product else (one, term)
        graph.code[node] = "dot_in_order"
        graph.args[node] = tuple(flat)
        self._grow()

    def _spine(self, addition: Node, whole: Node) -> tuple[Node, Node]:
        # The operand that is a sum or, at the end of the chain, anything but the only product.
        a, b = self.graph.args[addition]
        if self._is_part(a, "add", whole):
            return a, b
        if self._is_part(b, "add", whole):
            return b, a
        is_product = self._is_part(a, "mul", whole), self._is_part(b, "mul", whole)
        return (b, a) if is_product == (True, False) else (a, b)

    def _sub(self, node: Node) -> None:
        graph = self.graph
        a, b = graph.args[node]
        if self._is_part(b, "mul", node):
            graph.code[node] = "fnma"  # a - x·y
            graph.args[node] = (*self._product(b), a)
        elif self._is_part(a, "mul", node):
            graph.code[node] = "fms"  # x·y - b
            graph.args[node] = (*self._product(a), b)

    def _product(self, node: Node) -> tuple[Node, Node]:
        self.taken[node] = True
        a, b = self.graph.args[node]
        return (b, a) if self.graph.varies[a] and not self.graph.varies[b] else (a, b)

    def _grow(self) -> None:
        # A constant that is new has no uses yet.
        more = len(self.graph) - len(self.count)
        self.count += [1] * more
        self.taken += [True] * more


def _unmix(graph: Graph, outputs: list[Output]) -> None:
    # In a sum or product of many operands, those of one kind (all first factors, say) lie in one
    # place: where some are shared by the rows and others aren't, the former are copied.
    if not any(graph.varies):
        return
    count = uses(graph, outputs)
    for node in range(len(count)):
        code = graph.code[node]
        if count[node] and graph.varies[node]:
            if code in ("sum", "sum_in_order", "max"):
                graph.args[node] = _one_kind(graph, graph.args[node])
            elif code in ("dot", "dot_in_order"):
                start, *rest = graph.args[node]
                first, second = _one_kind(graph, rest[::2]), _one_kind(graph, rest[1::2])
                pairs = zip(first, second, strict=True)
                graph.args[node] = (start, *[x for pair in pairs for x in pair])


def _one_kind(graph: Graph, nodes: list[Node] | tuple[Node, ...]) -> tuple[Node, ...]:
    kinds = {graph.varies[x] for x in nodes}
    if len(kinds) < 2:  # noqa: PLR2004  (of one kind)
        return tuple(nodes)
    return tuple(x if graph.varies[x] else graph.copy(x) for x in nodes)
