"""The smallest part of a graph in which a mistake sits."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from autograd.backward import contributions, sort
from autograd.kinks import kinks
from autograd.steps import name_values
from autograd.value import Value, plain

from .differences import Curve
from .verdict import UNSEEN, Judgement, corner_forgiven, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autograd.op import Interval, Op


def judge_local(op: Op, index: int, point: Sequence[float]) -> tuple[float | Exception, Judgement]:
    """Return ∂op/∂operand[index] at the point, by its rule, and the verdict on it."""
    before, after = point[:index], point[index + 1 :]

    def along(x: float) -> float:
        return op.evaluate(*before, x, *after)

    ours: float | Exception
    try:
        ours = float(plain(op.local(index, op.evaluate(*point), point)))
    except (ArithmeticError, ValueError) as error:
        ours = error
    doubt = 0.0 if op.builtin else UNSEEN
    low, high = domain_of(op, index)[:2]
    if not low <= point[index] <= high:  # the domain is that of the tests: there may be more
        low, high = -inf, inf
    found = judge(ours, Curve(along, point[index], low, high, doubt=doubt))
    if any(kink.holds(*point) for kink in op.kinks):
        found = corner_forgiven(found)
    return ours, found


def domain_of(op: Op, index: int) -> Interval:
    """Return where that operand may lie."""
    return op.domain[index if op.arity else 0]


def locate(y: Value, leaves: Sequence[Value]) -> str:
    """Return, for people, the first operation below y whose value or local derivative is wrong.

    If each is right by itself, the mistake is in how the contributions are added up.
    """
    computed, below = sort(y)
    names = name_values(y, below, computed)
    for node in computed:
        op: Any = node.op
        point = [plain(x) for x in node.operands]
        call = f"{names[node]} = {op.name}({', '.join(_operand_names(node, names))})"
        where = f"the first mistake is in {call}"
        where += f" in scope {node.scope}" if node.scope else ""
        value = op.evaluate(*point)
        if value != node.data:
            return f"{where}: it holds {node.data!r}, but {op.call_text(point)} is {value!r}"
        for index, x in enumerate(node.operands):
            if type(x) is not Value:
                continue
            ours, found = judge_local(op, index, point)
            if not found.ok:
                return (
                    f"{where}: at {op.call_text(point)} its derivative in operand {index + 1} "
                    f"is {ours}, differences of its value give {found.numeric:.10g} ± "
                    f"{found.error:.0e} ({found.note})"
                )
    if kinks(y):
        return (
            "each local derivative is right by itself, and the evaluation sits on kinks, where a "
            "gradient made of subgradients may be wrong, in every engine: check at a point beside"
        )
    try:
        return _added_up(y, leaves, names)
    except (ArithmeticError, ValueError) as error:
        return f"the chain rule stops at {error}"


def _operand_names(node: Value, names: dict[Value, str]) -> list[str]:
    return [names[x] if type(x) is Value else f"{x!r}" for x in node.operands]


def _added_up(y: Value, leaves: Sequence[Value], names: dict[Value, str]) -> str:
    computed, _ = sort(y)
    grads: dict[Value, Any] = {y: 1.0}
    wanted = set(leaves)
    parts: dict[Value, list[str]] = {}
    for c in contributions(computed, grads):
        if c.parent in wanted:
            through = f"{c.contribution:.6g} through {names[c.value]}"
            parts.setdefault(c.parent, []).append(through)
    lines = [
        f"  {names[leaf]}: {', '.join(texts[:5])}{', …' if len(texts) > 5 else ''}"  # noqa: PLR2004
        for leaf, texts in list(parts.items())[:5]
    ]
    head = "each local derivative is right by itself, so look at how they are added up (missing "
    head += "accumulation, a wrong order, a value cut off from the graph). The contributions are"
    return "\n".join([head, *lines])
