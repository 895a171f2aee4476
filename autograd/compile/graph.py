"""The graph that the compiler works on: machine operations on numbered nodes, each there once.

A node is a code and the numbers of the nodes that it is computed from; they come before it. What
is equal is one node (hash-consing), what is constant is computed at once, and what IEEE 754 allows
to be left out is: x · 1, x / 1, x - 0, a choice that is made already; but not x + 0, for -0.0.
"""

from __future__ import annotations

import struct
from math import copysign, fabs, sqrt
from typing import TYPE_CHECKING, Any

from autograd.op import find, ieee

if TYPE_CHECKING:
    from collections.abc import Callable

Node = int

CHOICES = {
    "if_less": lambda a, b: a < b,
    "if_less_equal": lambda a, b: a <= b,
    "if_equal": lambda a, b: a == b,
}
"""Codes of four operands, `c if a < b else d`, by the comparison that they make."""

ARITHMETIC: dict[str, Callable[..., float]] = {
    "abs": fabs,
    "copysign": copysign,
    "sqrt": sqrt,
}
"""The machine's own functions that aren't operations of `ops` under the same name or rule."""

VARIADIC = {"sum", "sum_in_order", "dot", "dot_in_order", "max"}
"""Codes of any number of operands.

sum: the sum of all. dot: c + a₁b₁ + a₂b₂ + …, the operands being c, a₁, b₁, a₂, b₂, …. Where they
were chains of additions in the program they are summed up in that order. max: the largest, or nan.
"""

CALL = "call "
"""What the code of an operation begins with that Python computes: "call lgamma"."""


class Term:
    """A node, as the formulas of lowering.py know it: with Python's arithmetic."""

    __slots__ = ("graph", "node")

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node

    def _with(self, code: str, *others: Any) -> Term:
        return self.graph.term(code, self, *others)

    def __add__(self, other: Any) -> Term:
        return self._with("add", other)

    def __radd__(self, other: Any) -> Term:
        return self.graph.term("add", other, self)

    def __sub__(self, other: Any) -> Term:
        return self._with("sub", other)

    def __rsub__(self, other: Any) -> Term:
        return self.graph.term("sub", other, self)

    def __mul__(self, other: Any) -> Term:
        return self._with("mul", other)

    def __rmul__(self, other: Any) -> Term:
        return self.graph.term("mul", other, self)

    def __truediv__(self, other: Any) -> Term:
        return self._with("div", other)

    def __rtruediv__(self, other: Any) -> Term:
        return self.graph.term("div", other, self)

    def __neg__(self) -> Term:
        return self._with("neg")

    def __abs__(self) -> Term:
        return self._with("abs")


class Graph:
    """Nodes in the order in which they can be computed.

    `code[n]` and `args[n]` say what node n is: ("input", (i,)) is the i-th number of the arguments,
    ("const", (x,)) a number, and for every other code `args[n]` are nodes. `varies[n]` says whether
    it is another number in each row, and `place[n]` where in the program it comes from.
    """

    def __init__(self) -> None:
        self.code: list[str] = []
        self.args: list[tuple[Any, ...]] = []
        self.varies: list[bool] = []
        self.place: list[str] = []
        self.here = ""
        self._known: dict[Any, Node] = {}

    def __len__(self) -> int:
        return len(self.code)

    def input(self, index: int, *, varies: bool) -> Node:
        """Return the node of the arguments' i-th number."""
        return self._add("input", (index,), varies=varies)

    def const(self, x: float) -> Node:
        """Return the node of a number."""
        # -0.0 and 0.0 are equal and not the same, and a nan isn't equal to itself: by their bits.
        key = struct.pack("d", x)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self._add("const", (x,), varies=False)
        return node

    def constant(self, node: Node) -> float | None:
        """Return the number that a node always is, or None."""
        return self.args[node][0] if self.code[node] == "const" else None

    def node(self, code: str, *args: Node) -> Node:
        """Return the node that is that code of those nodes, in its simplest form."""
        if code == "mul" and self._comes_first(args[1], args[0]):
            args = args[::-1]  # a·b and b·a are one node
        key = (code, *args)
        node = self._known.get(key)
        if node is None:
            node = self._simpler(code, args)
            if node is None:
                varies = self.varies
                node = self._add(code, args, varies=True in [varies[x] for x in args])
            self._known[key] = node
        return node

    def copy(self, node: Node) -> Node:
        """Return a node that is the same number in each row, and lies with what varies."""
        key = ("copy", node)
        if key not in self._known:
            self._known[key] = self._add("copy", (node,), varies=True)
        return self._known[key]

    def term(self, code: str, *args: Any) -> Term:
        """Return `node` for terms and numbers, as a term."""
        return Term(self, self.node(code, *map(self.of, args)))

    def of(self, thing: Any) -> Node:
        """Return the node of a term or a number."""
        return thing.node if type(thing) is Term else self.const(float(thing))

    def _add(self, code: str, args: tuple[Any, ...], *, varies: bool) -> Node:
        self.code.append(code)
        self.args.append(args)
        self.varies.append(varies)
        self.place.append(self.here)
        return len(self.code) - 1

    def _comes_first(self, a: Node, b: Node) -> bool:
        # In a product: constants come first, then what the rows share, then what is older.
        if self.varies[a] != self.varies[b]:
            return self.varies[b]
        if (self.code[a] == "const") != (self.code[b] == "const"):
            return self.code[a] == "const"
        return a < b

    def _simpler(self, code: str, args: tuple[Node, ...]) -> Node | None:
        rule = _RULES.get(code)
        if rule is not None and (node := rule(self, *args)) is not None:
            return node
        decisive = args[:2] if code in CHOICES else args
        codes = self.code
        for x in decisive:
            if codes[x] != "const":
                return None
        numbers = [self.args[x][0] for x in decisive]
        if code in CHOICES:
            return args[2] if CHOICES[code](*numbers) else args[3]
        return self.const(evaluate(code, *numbers))


def evaluate(code: str, *numbers: float) -> float:
    """Return what a code makes of numbers, as IEEE 754 has it."""
    with ieee():
        if code in ("dot", "dot_in_order"):
            start, *rest = numbers
            return float(find("dot").evaluate(start, *rest[::2], 1.0, *rest[1::2]))
        if code == "max":
            largest = numbers[0]
            for x in numbers[1:]:
                largest = find("maximum").evaluate(largest, x)
            return largest
        name = "sum" if code == "sum_in_order" else code.removeprefix(CALL)
        if name in ARITHMETIC and not (name == "sqrt" and numbers[0] < 0.0):
            return ARITHMETIC[name](*numbers)
        return float(find(name).evaluate(*numbers))


# --- what is simpler ------------------------------------------------------------------------------


def _mul(g: Graph, a: Node, b: Node) -> Node | None:
    number = g.constant(a)  # if either is one: it comes first
    if number == 1.0:
        return b
    if number == -1.0:
        return g.node("neg", b)
    # Nothing but a finite number makes 0 of 0 times it: the branches of a comparison are.
    if number == 0.0 and _is_flag(g, b) and copysign(1.0, number) > 0.0:
        return a
    return None


def _is_flag(g: Graph, node: Node) -> bool:
    if g.code[node] not in CHOICES:
        return False
    yes, no = (g.constant(x) for x in g.args[node][2:])
    return yes in (0.0, 1.0) and no in (0.0, 1.0)


def _add(g: Graph, a: Node, b: Node) -> Node | None:
    for x, other in ((a, b), (b, a)):
        # A dot product that starts from nothing may as well start from what is added to it.
        if g.code[x] == "dot" and g.constant(g.args[x][0]) == 0.0:
            return g.node("dot", other, *g.args[x][1:])
    if g.code[b] == "neg":
        return g.node("sub", a, g.args[b][0])
    if g.code[a] == "neg":
        return g.node("sub", b, g.args[a][0])
    return None


def _sub(g: Graph, a: Node, b: Node) -> Node | None:
    if (number := g.constant(b)) == 0.0 and copysign(1.0, number) > 0.0:
        return a
    return g.node("add", a, g.args[b][0]) if g.code[b] == "neg" else None


def _dot(_: Graph, start: Node, *rest: Node) -> Node | None:
    return None if rest else start


def _div(g: Graph, a: Node, b: Node) -> Node | None:
    return a if g.constant(b) == 1.0 else None


def _neg(g: Graph, a: Node) -> Node | None:
    return g.args[a][0] if g.code[a] == "neg" else None


def _choice(_: Graph, *operands: Node) -> Node | None:
    yes, no = operands[2:]
    return yes if yes == no else None


def _if_equal(g: Graph, a: Node, b: Node, c: Node, d: Node) -> Node | None:
    if c == d:
        return c
    # Whether a choice between two numbers is 0 is the choice itself.
    if g.constant(b) == 0.0 and g.code[a] in CHOICES:
        p, q, yes, no = g.args[a]
        if g.constant(yes) is not None and g.constant(no) is not None:
            first = c if g.constant(yes) == 0.0 else d
            second = c if g.constant(no) == 0.0 else d
            return g.node(g.code[a], p, q, first, second)
    return None


_RULES: dict[str, Callable[..., Node | None]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "dot": _dot,
    "neg": _neg,
    "if_less": _choice,
    "if_less_equal": _choice,
    "if_equal": _if_equal,
}
