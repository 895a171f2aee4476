"""Where inf and nan come from: the first culprit of the forward pass, and of the backward pass."""

from __future__ import annotations

from contextvars import Context
from math import inf, isfinite, isinf, isnan, nan
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from . import ops
from .arguments import argument_names
from .backward import Contribution, contributions, local_derivatives, sort
from .op import all_finite, ieee, is_real
from .steps import Step, name_values, show
from .value import Value, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .op import Op

# --- what helps -----------------------------------------------------------------------------------


class Case:
    """What a remedy is chosen by: an operation at its operands, and an edge of the backward pass.

    `op` is "leaf" for a leaf, and "number" for a result that no Value went into.
    """

    __slots__ = ("local", "op", "operands", "result", "upstream")

    def __init__(self, op: str, value: Value, local: float = 1.0, upstream: float = 1.0) -> None:
        self.op = op
        self.result = value.data
        self.operands = _data(value)
        self.local = local
        self.upstream = upstream


class Remedy(NamedTuple):
    """What helps where `part` ("value" or "slope") of one of these operations isn't finite.

    `ops` are names with blanks between them, none for every operation; `when` narrows it down.
    """

    part: str
    ops: str
    text: str
    when: Callable[[Case], bool] = lambda _: True


_SCALE = "normalise the inputs, start from smaller weights, or add logarithms for a product"
_SAFE = "keep the operand away from there, or choose with a safe operand inside:\n"

# The first row that fits is what a diagnosis says.
REMEDIES = (
    Remedy(
        "value",
        "leaf",
        "it was so before anything was computed: look at the data that it came from, or at the "
        "update that set it (too large an lr?)",
    ),
    Remedy(
        "value",
        "number",
        "no Value went into it, so there is nothing to trace: look at the numbers (an empty list?)",
    ),
    Remedy(
        "value",
        "",
        "a plain number among the operands was so before: look at where it came from (the mean of "
        "an empty list is nan)",
        lambda c: not all_finite(c.operands),
    ),
    Remedy(
        "value",
        "exp expm1 exp2 sinh cosh",
        "softmax, logsumexp, logaddexp, softplus, log_sigmoid, sigmoid and tanh give what is "
        "mostly made of exponentials, and form none that overflows",
    ),
    Remedy(
        "value",
        "log log2 log10",
        "the log of a softmax is x - logsumexp(xs), that of a sigmoid log_sigmoid(x). Else "
        f"{_SAFE}where(x > 0, log(where(x > 0, x, 1)), 0)",
    ),
    Remedy("value", "log1p", f"{_SAFE}where(x > -1, log1p(where(x > -1, x, 0)), 0)"),
    Remedy(
        "value",
        "sqrt",
        "rounding may take below 0 what ought to be 0: choose with a safe operand inside:\n"
        "where(x > 0, sqrt(where(x > 0, x, 1)), 0)",
    ),
    Remedy(
        "value",
        "div",
        "add a small number to a divisor that is never negative, or choose with a safe one:\n"
        "where(d != 0, x / where(d != 0, d, 1), 0)",
        lambda c: c.operands[1] == 0.0,
    ),
    Remedy(
        "value",
        "pow",
        f"{_SAFE}where(x != 0, where(x != 0, x, 1) ** n, 0)",
        lambda c: c.operands[0] == 0.0,
    ),
    Remedy(
        "value",
        "pow",
        "take a whole exponent, or abs(x) ** n",
        lambda c: c.operands[0] < 0.0 and c.operands[1] % 1.0 != 0.0,
    ),
    Remedy(
        "value",
        "asin acos atanh cocircle",
        "rounding takes a cosine past 1. The angle between two directions is atan2(cross, dot), "
        "which has no ends; or keep inside them with clip(x, -1 + 1e-12, 1 - 1e-12)",
    ),
    Remedy("value", "acosh", "rounding may take it below 1: maximum(x, 1 + 1e-12)"),
    Remedy(
        "value",
        "lgamma polygamma",
        "the poles are 0, -1, -2, …: keep the operand off them",
        lambda c: c.operands[-1] <= 0.0,
    ),
    Remedy("value", "clip", "the order is clip(x, low, high)"),
    Remedy(
        "value",
        "add sub mul div pow square sum mean dot hypot lgamma",
        f"the numbers grow too large: {_SCALE}",
    ),
    Remedy(
        "slope",
        "",
        "it wasn't finite in the forward pass already: cure that first",
        lambda c: not all_finite((c.result, *c.operands)),
    ),
    Remedy(
        "slope",
        "sqrt",
        "√ of a square is abs(x), of two squares hypot(x, y): both have the derivative 0 at 0. "
        "Any other √ is infinitely steep there: choose with a safe operand inside:\n"
        "where(x > 0, sqrt(where(x > 0, x, 1)), 0)",
        lambda c: c.operands[0] == 0.0,
    ),
    Remedy(
        "slope",
        "cbrt",
        f"∛ is infinitely steep at 0: {_SAFE}where(x != 0, cbrt(where(x != 0, x, 1)), 0)",
        lambda c: c.operands[0] == 0.0,
    ),
    Remedy(
        "slope",
        "pow",
        "a power below 1 is infinitely steep at 0, like a root: "
        f"{_SAFE}where(x > 0, where(x > 0, x, 1) ** n, 0)",
        lambda c: c.operands[0] == 0.0 and 0.0 < c.operands[1] < 1.0,
    ),
    Remedy(
        "slope",
        "pow",
        "the derivative in the exponent has log a in it: make the exponent a plain number (2.0, "
        "not Value(2.0)), or keep the base above 0",
        lambda c: c.operands[0] <= 0.0,
    ),
    Remedy(
        "slope",
        "asin acos cocircle",
        "it is infinitely steep at -1 and 1. The angle between two directions is "
        "atan2(cross, dot), which has no ends; or keep inside: clip(x, -1 + 1e-12, 1 - 1e-12)",
    ),
    Remedy("slope", "acosh", "it is infinitely steep at 1: maximum(x, 1 + 1e-12)"),
    Remedy(
        "slope",
        "atan2",
        f"the point (0, 0) has no direction: {_SAFE}"
        "where(hypot(x, y) > 0, atan2(y, where(hypot(x, y) > 0, x, 1)), 0)",
    ),
    Remedy(
        "slope",
        "polygamma",
        "make the order a plain number (1.0, not Value(1.0))",
        lambda c: isnan(c.local),
    ),
    Remedy(
        "slope",
        "log log2 log10 div lgamma polygamma",
        "it is so near to the pole that the reciprocal overflows: add a small number to it",
        lambda c: not isfinite(c.local),
    ),
    Remedy(
        "slope",
        "",
        "what is multiplied by 0 is asked for its derivative all the same, and 0 · inf is nan; "
        "where(condition, x, 0) doesn't ask the branch that isn't taken",
        lambda c: c.upstream == 0.0,
    ),
    Remedy("slope", "", f"the gradient grows too large: {_SCALE}", lambda c: isfinite(c.local)),
    Remedy("", "", "keep the operands away from there, or take the place out with where(…)"),
)


def _remedy(part: str, case: Case) -> str:
    return next(
        row.text
        for row in REMEDIES
        if row.part in (part, "") and (not row.ops or case.op in row.ops.split()) and row.when(case)
    )


# --- what is found --------------------------------------------------------------------------------


class Forward(NamedTuple):
    """The first value of a forward pass that isn't finite although its operands are.

    It is a leaf, or `op` at `operands`; `names` are its own and theirs, and `sources` say how they
    were computed. `path` leads from it to the result, which isn't finite either if it `spoils` it.
    `total` counts such values, and `cause` is what the operation says about its operands.
    """

    value: Value
    op: Op | None
    label: str | None
    scope: str | None
    operands: tuple[float, ...]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    path: tuple[Value, ...]
    path_names: tuple[str, ...]
    cause: str
    remedy: str
    spoils: bool
    total: int

    def __str__(self) -> str:
        """Return it as lines for people."""
        ways = [f"{n} ({show(v.data)})" for n, v in zip(self.path_names, self.path, strict=True)]
        if not self.spoils:
            ways[-1] += ": the result is finite all the same"
        return _table(
            ("forward", _formula(self.value, self.names, self.cause)),
            ("  from", "\n".join(self.sources)),
            ("  scope", self.scope or ""),
            ("  path", _arrows(ways) if len(ways) > 1 else ""),
            ("  count", f"the first of {self.total:,} that begin so" if self.total > 1 else ""),
            ("  remedy", _wrapped(self.remedy)),
        )

    def __repr__(self) -> str:
        return str(self)


class Backward(NamedTuple):
    """The first edge of a backward pass on which the derivative or the gradient isn't finite.

    It belongs to the `op` that made `value`, for which the fields are those of `Forward`. `path`
    leads from the result to the edge's parent. `step` is the edge's part in the chain rule, and
    `turned` the later one on which inf became nan, if there is one: by 0 · inf or inf - inf.
    """

    value: Value
    op: Op | None
    label: str | None
    scope: str | None
    operands: tuple[float, ...]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    path: tuple[Value, ...]
    path_names: tuple[str, ...]
    cause: str
    remedy: str
    step: Step
    turned: Step | None

    @property
    def follows(self) -> bool:
        """Whether the value or an operand wasn't finite in the forward pass already."""
        return not all_finite((self.value.data, *self.operands))

    def __str__(self) -> str:
        """Return it as lines for people."""
        rows = [
            ("backward", str(self.step)),
            ("  at", _formula(self.value, self.names, self.cause)),
            ("  from", "\n".join(self.sources)),
            ("  scope", self.scope or ""),
            ("  path", _arrows(self.path_names)),
            ("  then", str(self.turned or "")),
            ("  remedy", _wrapped(self.remedy)),
        ]
        # What the forward pass has spoilt is told there.
        return _table(*(rows[:2] + rows[-1:] if self.follows else rows))

    def __repr__(self) -> str:
        return str(self)


class Diagnosis:
    """What `diagnose` found: false where every number is finite, and as `str` a text to read.

    `forward` and `backward` are the first culprits of the two passes, or None.
    """

    def __init__(self, forward: Forward | None, backward: Backward | None, summary: str) -> None:
        self.forward = forward
        self.backward = backward
        self._summary = summary

    def __bool__(self) -> bool:
        return self.forward is not None or self.backward is not None

    def __str__(self) -> str:
        """Return the culprits and the remedies, or that all is finite."""
        if not self:
            return f"all finite: {self._summary}"
        parts = (("forward", self.forward), ("backward", self.backward))
        return "\n".join(str(found or _table((name, "finite"))) for name, found in parts)

    __repr__ = __str__  # a notebook shows it by itself


# --- as text --------------------------------------------------------------------------------------

_WIDTH = 100
_MARGIN = 10
_MOST = 7  # values of a path that are written out
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}


def _table(*rows: tuple[str, str]) -> str:
    lines = []
    for name, text in rows:
        first, *others = text.split("\n")
        if text:
            lines.append(f"{name:<{_MARGIN}}{first}")
        lines += [" " * _MARGIN + line for line in others]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    lines = (wrap(line, _WIDTH - _MARGIN, break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(line for part in lines for line in part)


def _arrows(names: Sequence[str]) -> str:
    return " → ".join(_abbreviated(names, "values"))


def _abbreviated(names: Sequence[str], things: str) -> list[str]:
    if len(names) <= _MOST:
        return list(names)
    side = _MOST // 2
    left_out = f"… {len(names) - 2 * side:,} {things} …"
    return [*names[:side], left_out, *names[-side:]]


def _formula(value: Value, names: Sequence[str], cause: str) -> str:
    """Return a value as `v4 = exp(v3) = exp(1000.0) = inf: the cause`."""
    name, *operands = names
    parts = [name]
    if value.op is not None:
        parts.append(_call(value.op, operands))
        parts.append(_call(value.op, [repr(x) for x in _data(value)]))
    parts.append(repr(value.data))
    return " = ".join(parts) + (f": {cause}" if cause else "")


def _call(op: Op, operands: Sequence[str]) -> str:
    # As it is written in Python, with the operators where there are some.
    if op.name in _INFIX:
        left, right = (f"({x})" if x.startswith("-") else x for x in operands)
        return f"{left} {_INFIX[op.name]} {right}"
    return f"{op.name}({', '.join(_abbreviated(operands, 'more'))})"


# --- the two passes -------------------------------------------------------------------------------

# The fields that `Forward` and `Backward` begin with.
_Place = tuple[
    Value,
    "Op | None",
    "str | None",
    "str | None",
    tuple[float, ...],
    tuple[str, ...],
    tuple[str, ...],
]


class _Graph:
    """All that one or several results depend on, by name.

    `numbers` are the results that no Value went into, with the reason why they aren't finite.
    """

    def __init__(self, results: dict[str, Value], numbers: dict[Value, str]) -> None:
        self.results = list(results.values())
        self.numbers = numbers
        several = len(results) > 1
        with ieee():  # one node on top of several results, to sort what is below all of them once
            top = ops.sum(self.results) if several else self.results[0]
        self.computed, self.leaves = sort(top)
        if several:
            self.computed.pop()
        self.values = [*self.leaves, *self.computed]
        self.top = top
        self._own = {v: name for name, v in results.items() if several and not v.label}
        self._names: dict[Value, str] = {}

    @property
    def names(self) -> dict[Value, str]:
        """The names that `steps` and `draw` give, and Σresult for the sum of several results."""
        if not self._names:
            self._names = name_values(self.top, self.leaves, self.computed) | self._own
            self._names.setdefault(self.top, "Σresult")
        return self._names

    def place(self, node: Value) -> _Place:
        """Return where a culprit is, and how its operands were computed."""
        computed = [x for x in dict.fromkeys(node.parents) if x.op is not None]
        sources = [" = ".join((self.names[x], self._written(x))) for x in computed[:_MOST]]
        names = (self.names[node], *self._operand_names(node))
        return node, node.op, node.label, node.scope, _data(node), names, tuple(sources)

    def _operand_names(self, node: Value) -> list[str]:
        return [self.names[x] if type(x) is Value else repr(x) for x in node.operands]

    def _written(self, node: Value) -> str:
        assert node.op is not None  # noqa: S101  (a source was computed)
        return _call(node.op, self._operand_names(node))

    def path(self, start: Value, passes: Callable[[Value, Value], bool]) -> tuple[Value, ...]:
        """Return a shortest way from a value to a result, on edges that `passes` lets through."""
        far = {start: 0}
        below: dict[Value, Value] = {}
        for node in self.computed:
            for x in node.parents:
                if x in far and far[x] + 1 < far.get(node, inf) and passes(node, x):
                    far[node] = far[x] + 1
                    below[node] = x
        path = [min((v for v in self.results if v in far), key=far.__getitem__)]
        while path[-1] is not start:
            path.append(below[path[-1]])
        return tuple(path[::-1])


def _data(node: Value) -> tuple[float, ...]:
    return tuple(plain(x) for x in node.operands)


def _forward(graph: _Graph) -> Forward | None:
    bad = {v for v in graph.values if not isfinite(v.data)}
    if not bad:
        return None
    spoilt = {v for v in graph.results if v in bad}
    for node in reversed(graph.computed):
        if node in spoilt:
            spoilt.update(x for x in node.parents if x in bad)
    # What doesn't reach a result (1 / inf, a branch not taken) is named only where nothing does.
    suspects = spoilt or bad
    begun = [v for v in graph.values if v in suspects and bad.isdisjoint(v.parents)]
    value = begun[0]
    if value.op is None:
        kind = "number" if value in graph.numbers else "leaf"
        cause = graph.numbers.get(value, "a leaf")
    else:
        kind = value.op.name
        cause = _cause(value.op, _data(value))
    path = graph.path(value, lambda node, _: not spoilt or node in bad)
    return Forward(
        *graph.place(value),
        path=path,
        path_names=tuple(graph.names[v] for v in path),
        cause=cause,
        remedy=_remedy("value", Case(kind, value)),
        spoils=bool(spoilt),
        total=len(begun),
    )


def _cause(op: Op, operands: tuple[float, ...]) -> str:
    # What the operation says where it raises an error: in a fresh context no ieee() is active.
    try:
        result = Context().run(op.evaluate, *operands)
    except (ArithmeticError, ValueError) as error:
        return str(error).removeprefix(f"{op.call_text(operands)}: ")
    overflow = isinf(result) and all_finite(operands)
    return "the result is beyond the largest double, 1.8e308" if overflow else ""


# A contribution, the gradient before and after it, and the error for which there is none.
_Edge = tuple[Contribution, float, float, str]


def _edges(graph: _Graph) -> Iterator[_Edge]:
    """Walk the backward pass from all results together; where a derivative raises, it ends."""
    grads: dict[Value, float] = {}
    for v in graph.results:
        grads[v] = grads.get(v, 0.0) + 1.0
    running = dict(grads)
    for node in reversed(graph.computed):
        place = 0
        try:
            for part in contributions([node], grads):
                before = running.get(part.parent, 0.0)
                running[part.parent] = before + part.contribution
                yield part, before, running[part.parent], ""
                place += 1
        except (ArithmeticError, ValueError) as error:  # one that has no value inside ieee() either
            parent = node.parents[place]
            part = Contribution(node, place, parent, nan, grads[node], nan)
            yield part, running.get(parent, 0.0), nan, str(error)
            return


def _backward(graph: _Graph) -> Backward | None:
    with ieee():
        edges = _edges(graph)
        first = next((edge for edge in edges if not isfinite(edge[2])), None)
        if first is None:
            return None
        part, _, after, error = first
        turned = next(filter(_turns, edges), None) if isinf(after) else None
        path = (part.parent, *graph.path(part.value, _passes))[::-1]
    value = part.value
    op: Op = value.op  # type: ignore[assignment]  # a computed value has an op
    return Backward(
        *graph.place(value),
        path=path,
        path_names=tuple(graph.names[v] for v in path),
        cause=error or _slope_cause(part),
        remedy=_remedy("slope", Case(op.name, value, part.local, part.upstream)),
        step=_step(graph, first),
        turned=_step(graph, turned) if turned else None,
    )


def _turns(edge: _Edge) -> bool:
    part, before, after, _ = edge
    return isnan(after) and not any(map(isnan, (part.local, part.upstream, before)))


def _passes(node: Value, x: Value) -> bool:
    # A choice passes the gradient on to one operand only.
    if not node.op.routes:  # type: ignore[union-attr]  # a computed value has an op
        return True
    return any(parent is x and local != 0.0 for _, parent, local in local_derivatives(node))


def _slope_cause(part: Contribution) -> str:
    if not isfinite(part.local):
        return f"the derivative is {'undefined' if isnan(part.local) else 'infinite'} here"
    what = "product" if not isfinite(part.contribution) else "sum"
    return f"the {what} is beyond the largest double, 1.8e308"


def _step(graph: _Graph, edge: _Edge) -> Step:
    part, before, after, _ = edge
    names = (graph.names[graph.top], graph.names[part.value], graph.names[part.parent])
    return Step(
        part.value,
        part.parent,
        part.local,
        part.upstream,
        part.contribution,
        before,
        after,
        complete=part.upstream,
        names=names,
    )


# --- from a value, or from a function -------------------------------------------------------------


def diagnose(y: Value | Callable[..., Any], *args: Any) -> Diagnosis:
    """Return where inf and nan come from, on the way to y and on the way back to the gradients.

    y is a Value, whose graph is walked as `y.backward()` would inside `with ieee():`; no `grad` is
    changed. Or it is a function, for operations that raise an error before there is a Value: it is
    called inside `with ieee():` on the arguments, with a Value in the place of each number in them,
    in nested lists too. They are called after the function's parameters: x, w[0]. Everything else,
    Values included, is passed on as it is. Several results are diagnosed together.

    The result is false where all is finite. It names the first value that isn't although its
    operands are; the first edge on which a derivative or gradient isn't; and what helps.

    >>> from autograd import sqrt
    >>> print(diagnose(sqrt, 4.0))
    all finite: 2 values and their gradients
    >>> diagnose(sqrt, 0.0).backward.cause
    'the derivative is infinite here'

    Raises:
        TypeError: if y is neither, or the function returns something else than Values and numbers.
        ValueError: if it returns no number at all.
        RuntimeError: if a leaf was changed after a value was computed from it.

    """
    numbers: dict[Value, str] = {}
    if type(y) is Value:
        if args:
            message = "diagnose(y) takes one Value; arguments are for a function: diagnose(f, ...)"
            raise TypeError(message)
        results = {"y": y}
    elif callable(y):
        results, numbers = _run(y, args)
    else:
        message = f"diagnose takes a Value or a function; got {y!r} ({type(y).__name__})"
        raise TypeError(message)
    graph = _Graph(results, numbers)
    summary = f"{len(graph.values):,} values and their gradients"
    return Diagnosis(_forward(graph), _backward(graph), summary)


def _run(f: Callable[..., Any], args: Sequence[Any]) -> tuple[dict[str, Value], dict[Value, str]]:
    names = argument_names(f, len(args))
    fresh = [_lifted(arg, name) for arg, name in zip(args, names, strict=True)]
    with ieee():
        made = f(*fresh)
    name = "result" if isinstance(made, list | tuple) else "y"
    results, spoilt = {}, []
    for called, x in _flat(made, name):
        results[called] = x if type(x) is Value else Value(x)
        if type(x) is not Value and not isfinite(x):
            spoilt.append(results[called])
    if not results:
        message = f"diagnose: the function returned no number; got {made!r}"
        raise ValueError(message)
    return results, dict.fromkeys(spoilt, _error_of(f, fresh) if spoilt else "")


def _error_of(f: Callable[..., Any], args: Sequence[Any]) -> str:
    # Numbers have no history: what went wrong is in the error that an operation on them raises.
    try:
        f(*args)
    except (ArithmeticError, ValueError) as error:
        return str(error)
    return ""


_DEEPEST = 30  # a list in itself is deeper than any that somebody meant


def _lifted(thing: Any, name: str, depth: int = 0) -> Any:
    """Return an argument with a fresh Value in the place of each number."""
    if is_real(thing):
        return Value(thing, name)
    if not isinstance(thing, list | tuple):
        return thing
    _check_depth(name, depth)
    parts = [_lifted(part, f"{name}[{i}]", depth + 1) for i, part in enumerate(thing)]
    return parts if isinstance(thing, list) else tuple(parts)


def _flat(thing: Any, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, list | tuple):
        _check_depth(name, depth)
        for index, part in enumerate(thing):
            yield from _flat(part, f"{name}[{index}]", depth + 1)
    elif type(thing) is Value or is_real(thing):
        yield name, thing
    else:
        kind = type(thing).__name__
        message = f"diagnose: the function must return Values or numbers; got {thing!r} ({kind})"
        raise TypeError(message)


def _check_depth(name: str, depth: int) -> None:
    if depth == _DEEPEST:
        message = f"diagnose: {name[: name.index('[')]} is nested more than {_DEEPEST} lists deep"
        raise ValueError(message)
