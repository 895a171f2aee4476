"""Graphs of Values, as what has been computed is read off them and done again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograd import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def values(thing: Any) -> Iterator[Value]:
    """Yield the Values in nested lists and tuples."""
    if isinstance(thing, list | tuple):
        for part in thing:
            yield from values(part)
    elif type(thing) is Value:
        yield thing


def computed(roots: Iterable[Value]) -> list[Value]:
    """Return the values that the roots are computed by, themselves too, each after its parents."""
    order: list[Value] = []
    seen: set[Value] = set()
    stack = [(root, False) for root in roots]
    while stack:
        node, is_ready = stack.pop()
        if is_ready:
            order.append(node)
        elif node.op is not None and node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(x, False) for x in node.parents if x not in seen]
    return order


def substituted(results: Sequence[Any], new: dict[Value, Value]) -> list[Any]:
    """Return the same results, computed from the `new` leaves in the place of those they had."""
    found = dict(new)
    for node in computed(values(list(results))):
        operands = tuple([found.get(x, x) if type(x) is Value else x for x in node.operands])
        again = node.record(node.op, operands)  # type: ignore[arg-type]  # computed: it has an op
        again.scope = node.scope
        found[node] = again
    return [found.get(x, x) if type(x) is Value else x for x in results]
