"""A function becomes a graph: it is run once on Values, and their record says what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from autograd import ops, tracing
from autograd.backward import sort
from autograd.collector import no_collector
from autograd.op import ieee
from autograd.value import Value

from .chains import Output
from .frame import Guarded
from .graph import Graph
from .lower import Lowering, is_rounded_alike
from .roll import build
from .structure import Structure, of_result, size, unflatten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .tape import Tape


class Traced(NamedTuple):
    """What one run of a function left: a program, and when it holds.

    `outputs` says of each number of the result whether there is one for each row.
    `captured` are the leaves that are no arguments: their data are arguments of the program, too.
    `exact` says that it has to compute every bit as the function does. `optimistic` says that
    numbers which aren't finite may have spread to where the function has 0; where a result isn't
    finite, a careful trace has to be asked.
    """

    tape: Tape
    result: Structure
    outputs: tuple[bool, ...]
    captured: list[Value]
    guards: tuple[Guarded, ...]
    decisions: tuple[Decision, ...]
    exact: bool
    optimistic: bool


class Decision(NamedTuple):
    """A guard for people: `x > 0.0` at "model.py:12" was true."""

    text: str
    answer: bool
    place: str

    def __str__(self) -> str:
        return f"{self.text} at {self.place} is {self.answer}"


def trace(  # noqa: PLR0913  (a function, its arguments, and what is asked of it)
    f: Callable[..., Any],
    structures: Sequence[Structure],
    numbers: Sequence[Sequence[float]],
    rows: Sequence[int],
    *,
    names: Sequence[str],
    reduced: bool,
    exact: bool,
    careful: bool = False,
) -> Traced:
    """Run f on Values of that structure and those numbers, and return its program.

    `rows` are the arguments that vary, which f gets one row of; `reduced` says that their results
    are summed up. `names` are what people call the arguments. What f raises passes through.
    """
    inputs = [
        [Value(x, name if structure is None else f"{name}[{i}]") for i, x in enumerate(own)]
        for own, structure, name in zip(numbers, structures, names, strict=True)
    ]
    args = [unflatten(s, iter(own)) for s, own in zip(structures, inputs, strict=True)]
    with ieee(), no_collector(), tracing.tracing(careful=careful) as record:
        result = f(*args)
    if record.unmasked and _may_hide(record, result):
        return trace(
            f, structures, numbers, rows, names=names, reduced=reduced, exact=exact, careful=True
        )
    return _traced(inputs, result, record, rows, reduced=reduced, exact=exact)


def trace_graph(y: Value, inputs: Sequence[Value], *, exact: bool) -> Traced:
    """Return the program of a graph that exists."""
    record = tracing.Record([], [], [], careful=True)
    return _traced([list(inputs)], y, record, (), reduced=False, exact=exact)


def _traced(  # noqa: PLR0913  (what a run has left)
    inputs: list[list[Value]],
    result: Any,
    record: tracing.Record,
    rows: Sequence[int],
    *,
    reduced: bool,
    exact: bool,
) -> Traced:
    structure, outputs = of_result(result)
    inputs_alone = dict.fromkeys(x for own in inputs for x in own)
    asked, _ = _sorted([guard.condition for guard in record.guards], inputs_alone)
    # A decision has to be the function's own, to the bit: near a threshold, another rounding would
    # go the other way.
    exact = exact or not is_rounded_alike(asked)
    graph = Graph()
    lowering = Lowering(graph, exact=exact)
    index = 0
    for argument, own in enumerate(inputs):
        for x in own:
            lowering.node[x] = graph.input(index, varies=argument in rows)
            index += 1
    wanted = [*outputs, *[guard.condition for guard in record.guards]]
    computed, leaves = _sorted([y for y in wanted if type(y) is Value], lowering.node)
    made = set(record.leaves)
    captured = [x for x in leaves if x not in lowering.node and x not in made]
    for x in captured:
        lowering.node[x] = graph.input(index, varies=False)
        index += 1
    for x in leaves:
        if x not in lowering.node:
            lowering.node[x] = graph.const(x._data)  # noqa: SLF001  (.data is refused in a trace)
    lowering.add(computed)
    nodes = [lowering.node[y] if type(y) is Value else graph.const(y) for y in outputs]
    varying = [graph.varies[node] and not reduced for node in nodes]
    guards, decisions = _guards(record, lowering, results=varying.count(False))
    goals = [Output(node, summed=reduced) for node in nodes]
    goals += [Output(node, summed=True) for node, _ in guards]
    return Traced(
        build(graph, goals, exact=exact),
        structure,
        tuple(varying),
        captured,
        tuple(guarded for _, guarded in guards),
        tuple(decisions),
        exact,
        bool(record.unmasked),
    )


# What makes an ordinary number of a nan, in one of its operands.
HIDING = {"less", "less_equal", "equal", "pow", "pow_below", "hypot"}


def _may_hide(record: tracing.Record, result: Any) -> bool:
    # Whether a nan that shouldn't be there might not be seen in the results: where something was
    # decided by it.
    _, outputs = of_result(result)
    asked = [guard.condition for guard in record.guards]
    computed, _ = _sorted([y for y in (*outputs, *asked) if type(y) is Value], {})
    tainted = set(record.unmasked)
    for node in computed:
        if tainted.isdisjoint(node.parents):
            continue
        tainted.add(node)
        op: Any = node.op
        if op.name in HIDING or (op.name == "where" and node.operands[0] in tainted):
            return True
    return not tainted.isdisjoint(asked)


def _sorted(roots: Sequence[Value], known: dict[Value, Any]) -> tuple[list[Value], list[Value]]:
    # One more node on top of them all makes one graph of it. The inputs of a graph that exists may
    # have been computed: what lies behind them doesn't matter.
    if not roots:
        return [], []
    with ieee():
        computed, leaves = sort(ops.sum([*roots, 0.0]))
    computed.pop()
    if any(x.op is not None for x in known):
        return _above(computed, leaves, roots, known)
    return computed, leaves


def _above(
    computed: list[Value], leaves: list[Value], roots: Sequence[Value], known: dict[Value, Any]
) -> tuple[list[Value], list[Value]]:
    needed = {x for x in roots if x not in known}
    for node in reversed(computed):
        if node in needed:
            needed |= {x for x in node.parents if x not in known}
    return [x for x in computed if x in needed], [x for x in leaves if x in needed]


def _guards(
    record: tracing.Record, lowering: Lowering, *, results: int
) -> tuple[list[tuple[int, Guarded]], list[Decision]]:
    # A guard is one more result: in how many rows its condition is true. The same question need
    # not be asked twice.
    graph = lowering.graph
    guards: dict[int, Guarded] = {}
    decisions = []
    for guard in record.guards:
        condition = lowering.node[guard.condition]
        node = graph.of(lowering.truth(condition))
        if graph.constant(node) is not None or node in guards:
            continue
        place = results + len(guards)
        guards[node] = Guarded(place, graph.varies[node], guard.answer)
        decisions.append(Decision(_text(guard.condition), guard.answer, guard.place))
    return list(guards.items()), decisions


SIGNS = {"less": "<", "less_equal": "<=", "equal": "=="}


def _text(condition: Value) -> str:
    op = condition.op
    if op is None or op.name not in SIGNS:
        return f"bool({_name(condition)})"
    left, right = condition.operands
    return f"{_name(left)} {SIGNS[op.name]} {_name(right)}"


def _name(x: Any) -> str:
    if type(x) is not Value:
        return repr(x)
    if x.label:
        return x.label
    if x.op is not None and x.op.name == "pos":  # what a transform puts on its argument
        return _name(x.operands[0])
    return "an argument" if x.op is None else f"the {x.op.name} of {x.scope or 'the graph'}"


def total(structures: Sequence[Structure]) -> int:
    """Return how many numbers some arguments have."""
    return sum(map(size, structures))
