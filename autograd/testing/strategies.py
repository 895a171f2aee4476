"""Hypothesis strategies for whoever tests derivatives: points, expressions and networks.

    from hypothesis import given

    import autograd
    from autograd.testing import assert_gradients, strategies as ad

    @given(ad.points(autograd.log))  # operands of an operation, inside its domain
    def test_log(point):
        assert_gradients(autograd.log, *point)

    @given(ad.expressions(max_operations=8))  # whole random graphs
    def test_graphs(expression):
        assert_gradients(expression, *expression.inputs)

Everything is read off the operations' records, so that one of your own (`autograd.define`) is drawn
like ours. All of it shrinks: numbers to 1.0, an expression to the one operation that is wrong.
Hypothesis comes with the extra `chainrule[check]`.
"""

from __future__ import annotations

import ast
import operator
import re
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise, product
from math import fabs, frexp, fsum, inf, isfinite, ldexp, nextafter, ulp
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from autograd import ops
from autograd.backward import gradients
from autograd.op import REGISTRY, Interval, Kink, Op, find
from autograd.value import Value

from .locate import domain_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hypothesis.strategies import SearchStrategy

__all__ = ["Expression", "Network", "expressions", "networks", "operands", "points"]

SMALLEST, LARGEST = 1e-3, 30.0  # sizes at which differences of every operation tell something
MARGIN = 0.03  # distance from a kink or an end, in units of the numbers there
BOUND = 1e3  # no value of an expression is larger, and none but 0 below 1 / BOUND

# --- numbers --------------------------------------------------------------------------------------


@cache
def _ends(interval: Interval) -> tuple[float, float]:
    # The first and the last number that lie in it.
    low, high, closed = interval
    first, last = (low, high) if closed else (nextafter(low, inf), nextafter(high, -inf))
    if not first <= last:
        message = f"no number lies in the domain from {low!r} to {high!r}"
        raise ValueError(message)
    return first, last


def _margin(end: float, width: float) -> float:
    if not isfinite(end):
        return 0.0
    return MARGIN * width if width <= LARGEST else SMALLEST * max(1.0, fabs(end))


@cache
def _inner(interval: Interval) -> tuple[float, float]:
    # The part of it that keeps its distance from the ends.
    (low, high, _), (first, last) = interval, _ends(interval)
    width = high - low
    inner = max(first, low + _margin(low, width)), min(last, high - _margin(high, width))
    return inner if inner[0] <= inner[1] else (first, last)


@cache
def _window(interval: Interval) -> tuple[float, float]:
    # The part of that which is of moderate size.
    low, high = _inner(interval)
    nearest = min(max(0.0, interval.low), interval.high)
    reach = LARGEST * max(1.0, fabs(nearest))
    return max(low, nearest - reach), min(high, nearest + reach)


@cache
def _moderate(interval: Interval) -> SearchStrategy[float]:
    low, high = _window(interval)
    if low == high:
        return st.just(low)
    numbers = st.floats(low, high)
    if not low <= 0.0 <= high:
        return numbers
    # At 0 whatever is in proportion to the operand is 0, right or wrong.
    farthest = high if high >= -low else low
    least = min(SMALLEST, MARGIN * fabs(farthest))
    simple = next((x for x in (1.0, 0.5, -1.0) if low <= x <= high), 0.5 * farthest)
    return numbers.map(lambda x: simple if fabs(x) < least else x)


def _into(interval: Interval, x: float) -> float:
    # A number of moderate size as one in that window.
    low, high = _window(interval)
    simple = (0.5, 2.0, -0.5, -2.0, low) if x == 1.0 else ()
    scaled = low + fabs(x) / LARGEST * (high - low)
    return next((y for y in (x, -x, *simple) if low <= y <= high), min(max(low, scaled), high))


@cache
def _tails(interval: Interval) -> SearchStrategy[float]:
    low, high, _ = interval
    anchors = [x for x in dict.fromkeys((0.0, low, high)) if isfinite(x) and low <= x <= high]
    sides = [
        (x, sign, high - x if sign > 0.0 else x - low) for x in anchors for sign in (1.0, -1.0)
    ]
    return st.one_of([_beside(interval, *side) for side in sides if side[2] > 0.0])


def _beside(interval: Interval, anchor: float, sign: float, reach: float) -> SearchStrategy[float]:
    # Every order of magnitude of the distance alike, which st.floats doesn't give.
    first, last = _ends(interval)
    orders = st.integers(frexp(ulp(anchor))[1], frexp(min(reach, 1e300))[1])
    return st.builds(
        lambda order, part: min(max(anchor + sign * ldexp(part, order), first), last),
        orders,
        st.floats(0.5, 1.0, exclude_max=True),
    )


def _boundaries(interval: Interval) -> list[float]:
    ends = zip(_ends(interval), interval[:2], strict=True)
    return [x for x, end in ends if isfinite(end)]


# --- points ---------------------------------------------------------------------------------------


def operands(
    op: Any, index: int, *, tails: bool = False, boundaries: bool = False, kinks: bool = False
) -> SearchStrategy[float]:
    """Return a strategy for the numbers that operand `index` of an operation may be.

    By default they lie well inside the domain and are of moderate size: 0.001 to 30 from 0, or from
    the end of a domain that doesn't reach so far. These come in addition:

    tails: from the smallest subnormal to 1e300, at every order of magnitude, away from 0 and from
        the ends of the domain. The operation itself may overflow there.
    boundaries: the ends of a closed domain, the numbers next to the ends of an open one.
    kinks: numbers at which the operation has a kink whatever the other operands are. They are
        looked for at 0, ±1 and the numbers in `Kink.at`.

    An operand whose domain is a single number (the order of `polygamma`) is that number.

    Raises:
        ValueError: if `op` isn't an operation (an `Op`, its function or its name).

    """
    op = _operation(op)
    interval = domain_of(op, index)
    choices = [_moderate(interval)]
    if tails and interval.low < interval.high:
        choices.append(_tails(interval))
    if boundaries and _boundaries(interval):
        choices.append(st.sampled_from(_boundaries(interval)))
    if kinks and (numbers := _kink_numbers(_recipes_of(op, index + 1), index)):
        choices.append(st.sampled_from(numbers))
    return st.one_of(choices)


def points(
    op: Any, *, tails: bool = False, boundaries: bool = False, kinks: bool = False
) -> SearchStrategy[tuple[float, ...]]:
    """Return a strategy for operands of an operation, in its domain: tuples of floats.

    The options are those of `operands`. With `kinks` about half of the points are on one: some
    `Kink.holds`. Without it none is, and none is closer than 3 % unless tails or boundaries are
    asked for. An operation of any number of operands gets one to four (`dot`: the xs, then as many
    ys).

    Raises:
        ValueError: if `op` isn't an operation, or `kinks` is asked for and none of those that it
            declares is found.

    """
    op = _operation(op)

    def columns(count: int) -> SearchStrategy[tuple[float, ...]]:
        options = {"tails": tails, "boundaries": boundaries, "kinks": kinks}
        return st.tuples(*[operands(op, index, **options) for index in range(count)])

    drawn = columns(op.arity) if op.arity else _counts(op).flatmap(columns)
    if not op.kinks:
        return drawn
    if not kinks:
        exactly = tails or boundaries
        return drawn.filter(lambda x: not _on_kink(op, x) and (exactly or _is_clear(op, x)))
    recipes = _recipes_of(op)
    if not recipes:
        message = (
            f"{op.name}: no point of a kink ({'; '.join(kink.at for kink in op.kinks)}) was found "
            "at 0, ±1, the numbers that `at` names or ties: name the number there"
        )
        raise ValueError(message)
    pairs = st.tuples(st.sampled_from(recipes), columns(op.arity or 2))
    return drawn | pairs.map(_substitute).filter(lambda x: _on_kink(op, x) and _is_inside(op, x))


def _operation(op: Any) -> Op:
    name = op if isinstance(op, str) else getattr(op, "name", None)
    if op is ops.dot or op is ops.softmax:  # functions, named like the operation that they make
        name = op.__name__
    found = REGISTRY.get(name) if isinstance(name, str) else None
    if found is None or (isinstance(op, Op) and found is not op):
        message = f"an operation is one of autograd's, one made by define, or its name; got {op!r}"
        raise ValueError(message)
    return found


def _is_inside(op: Op, point: Sequence[float]) -> bool:
    return all(x in domain_of(op, index) for index, x in enumerate(point))


def _counts(op: Op) -> SearchStrategy[int]:
    return _PAIRS if op.name == "dot" else _COUNTS


_COUNTS, _PAIRS = st.integers(1, 4), st.sampled_from([2, 4])

# --- kinks ----------------------------------------------------------------------------------------


class _Same(NamedTuple):
    # In a recipe: equal to that operand.
    operand: int


_Recipe = tuple[float | _Same | None, ...]  # how to change a point; None: not at all

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def _on_kink(op: Op, point: Sequence[float]) -> bool:
    return any(kink.holds(*point) for kink in op.kinks)


def _landmarks(kinks: Iterable[Kink]) -> list[float]:
    # Numbers at which kinks may lie, by what they say.
    return _named(tuple([kink.at for kink in kinks]))


@cache
def _named(texts: tuple[str, ...]) -> list[float]:
    found = {1.0, *[float(x) for text in texts for x in _NUMBER.findall(text)]} - {0.0}
    return [0.0, *sorted(found), *sorted(-x for x in found)]


def _changes(recipe: _Recipe) -> int:
    return len(recipe) - recipe.count(None)


def _substitute(drawn: tuple[_Recipe, Sequence[float]]) -> tuple[float, ...]:
    recipe, point = drawn
    return tuple(
        point[part.operand] if isinstance(part, _Same) else x if part is None else part
        for part, x in zip(recipe, point, strict=True)
    )


def _recipes_of(op: Op, count: int = 2) -> list[_Recipe]:
    # Kept by what they depend on and not by the operation: what `declared` holds may be a list.
    kinks = tuple([Kink(kink.at, kink.holds, ()) for kink in op.kinks])
    return _recipes(op.domain, kinks, op.arity or count) if kinks else []


@cache
def _recipes(domain: tuple[Interval, ...], kinks: tuple[Kink, ...], count: int) -> list[_Recipe]:
    # For each kink, the fewest changes of an ordinary point after which it holds.
    domain = domain if len(domain) == count else domain[:1] * count
    windows = enumerate(map(_window, domain))
    sample = [low + (0.29 + 0.13 * k) * (high - low) for k, (low, high) in windows]
    numbers = [[x for x in _landmarks(kinks) if x in interval] for interval in domain]
    others = [[_Same(j) for j in range(count) if j != i] for i in range(count)]
    parts = [(None, *x, *y) for x, y in zip(numbers, others, strict=True)]

    def makes(kink: Kink, recipe: _Recipe) -> bool:
        point = _substitute((recipe, sample))
        return all(map(Interval.__contains__, domain, point)) and kink.holds(*point)

    found: list[_Recipe] = []
    for kink in kinks:
        making = [recipe for recipe in product(*parts) if makes(kink, recipe)]
        fewest = min(map(_changes, making), default=0)
        found += [recipe for recipe in making if _changes(recipe) == fewest]
    return found


def _kink_numbers(recipes: Iterable[_Recipe], index: int) -> list[float]:
    alone = {recipe[index] for recipe in recipes if _changes(recipe) == 1}
    return sorted([x for x in alone if isinstance(x, float)], key=lambda x: (fabs(x), -x))


def _is_clear(op: Op, point: Sequence[float], moving: Sequence[int] = ()) -> bool:
    # Whether no kink is near that the operands in `moving` (all, if empty) could step across:
    # where(0.0, x, y) is smooth in x and y although its condition sits on a kink.
    if not op.kinks:
        return True
    others = [*_landmarks(op.kinks), *point]
    choices = [_snapped(x, others, domain_of(op, k)) for k, x in enumerate(point)]
    return not any(
        kink.holds(*near) and (not moving or _leaves(kink, near, moving))
        for near in product(*choices)
        for kink in op.kinks
    )


def _snapped(x: float, others: Iterable[float], interval: Interval) -> set[float]:
    # x, and the numbers that it is too near to.
    unit = min(1.0, interval.high - interval.low)
    near = {y for y in others if fabs(x - y) <= MARGIN * max(fabs(x), fabs(y), unit)}
    return near | {x}


def _leaves(kink: Kink, point: Sequence[float], moving: Sequence[int]) -> bool:
    # No two operands move by the same amount, so that no tie stays one.
    shifts = {k: (0.1 + 0.01 * k) * max(1.0, fabs(point[k])) for k in moving}
    return not kink.holds(*[x + shifts.get(k, 0.0) for k, x in enumerate(point)])


# --- expressions ----------------------------------------------------------------------------------

SPELLED: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
}
"""Python's own spelling of an operation, where it has one."""

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "neg": "-", "pos": "+"}
_NODES: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.USub: "neg",
    ast.UAdd: "pos",
}

Place = int | float  # an earlier value, by its number, or a constant
Line = tuple[str, tuple[Place, ...]]  # an operation's name and its operands' places


class Expression:
    """A program of operations and the point it was drawn for: `f(*f.inputs)`.

    In `lines` the places 0, 1, … are the inputs, the next ones the lines; a float is a constant.
    The last line is the result. Calling an expression records a graph if there is a Value among the
    arguments, and gives a float if there is none.

    `str` is the program for people, which runs as it stands after `from autograd import *`, and
    `repr` the call of `parse` that makes the expression again:

    >>> Expression.parse("x0 = 2.0; v0 = x0 * x0; v1 = log(v0)")(3.0)
    2.1972245773362196
    """

    # No dataclass: Hypothesis would show its fields and not the repr.
    def __init__(self, inputs: Iterable[float], lines: Iterable[Line]) -> None:
        self.inputs = tuple(inputs)
        self.lines = tuple(lines)

    @classmethod
    def parse(cls, program: str) -> Expression:
        """Return the expression that a program describes, as `str` and `repr` give it.

        Raises:
            ValueError: for a statement that is neither an input's number nor one operation.

        """
        inputs: list[float] = []
        lines: list[Line] = []
        places: dict[str, int] = {}
        for statement in program.replace(";", "\n").splitlines():
            if not (text := statement.strip()):
                continue
            name, made = _parse(text, places)
            if isinstance(made, float) and not lines:
                inputs.append(made)
            elif isinstance(made, tuple):
                lines.append(made)
            else:
                message = (
                    "a program is its inputs (x0 = 1.0), then lines, each a known operation on "
                    f"names and numbers (v0 = log(x0)); got {text!r}"
                )
                raise ValueError(message)
            places[name] = len(inputs) + len(lines) - 1
        return cls(inputs, lines)

    def __str__(self) -> str:
        return "\n".join(self._written())

    def __repr__(self) -> str:
        text = "; ".join(self._written())
        if len(text) > 70:  # noqa: PLR2004  (what fits into a line beside the call)
            text = "\n".join(["", *self._written(), ""])
            return f'Expression.parse("""{text}""")'
        return f'Expression.parse("{text}")'

    def _written(self) -> Iterator[str]:
        names = [f"x{k}" for k in range(len(self.inputs))]
        for k, x in enumerate(self.inputs):
            yield f"x{k} = {x!r}"
        for k, (operation, row) in enumerate(self.lines):
            words = [names[x] if isinstance(x, int) else repr(x) for x in row]
            yield f"v{k} = {_spell(operation, words)}"
            names.append(f"v{k}")

    # As tuples, place 1 and the constant 1.0 would be equal.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def run(self, inputs: Sequence[Any], apply: Callable[..., Any]) -> list[Any]:
        """Return all values, `apply(name, operands)` being the result of one operation."""
        if len(inputs) != len(self.inputs):
            message = f"the expression has {len(self.inputs)} inputs; got {len(inputs)}"
            raise TypeError(message)
        values = list(inputs)
        for name, row in self.lines:
            values.append(apply(name, tuple([values[x] if isinstance(x, int) else x for x in row])))
        return values

    def __call__(self, *inputs: Any) -> Any:
        """Return the result: a Value if an input is one, else a float."""
        return self.run(inputs, _record)[-1]

    def graph(self) -> tuple[Value, list[Value]]:
        """Return the result at `inputs`, a Value, and its leaves."""
        leaves = [Value(x, f"x{k}") for k, x in enumerate(self.inputs)]
        return self(*leaves), leaves

    def on_floats(self, *inputs: float) -> float:
        """Return the result by the operations' forward functions alone: nothing is recorded."""
        return float(self.run(inputs, _forward)[-1])

    def exact(self, *inputs: Any) -> Any:
        """Return the result by mpmath, to 320 bits or to mpmath's own precision if that is more.

        Raises:
            LookupError: for an operation that `autograd.testing.exact.FUNCTIONS` doesn't have.

        """
        from mpmath import mp  # noqa: PLC0415  (an extra that nothing else in here needs)

        from .exact import FUNCTIONS  # noqa: PLC0415  (as mpmath)

        def apply(name: str, row: tuple[Any, ...]) -> Any:
            if name not in FUNCTIONS:
                message = f"{name} has no exact value: put it into exact.FUNCTIONS[{name!r}]"
                raise LookupError(message)
            return FUNCTIONS[name](mp, *map(mp.convert, row))

        with mp.workprec(max(mp.prec, 320)):
            return self.run(inputs, apply)[-1]

    def condition(self, *inputs: float) -> float:
        """Return how many times a rounding error is amplified there, in the value and the gradient.

        Let v be a line's result, y the last one, x an input and g = ∂y/∂x. It is the largest of

        - Σ |v · ∂y/∂v| / |y| over all lines: what a rounding of each does to the value;
        - Σ |v · ∂g/∂v| / |g|, so understood too: what it does to the derivative;
        - Σ |∏ local derivatives| / |g| over all paths from y to x: what is lost in cancellation;
        - |y| / |x · g|: what the value's rounding does to differences

        for every input, where 0 / 0 counts as 0. It is 1 for exp at 1.0 and inf for x - x. The
        derivatives in it are the engine's own.

        Raises:
            ValueError, ZeroDivisionError, OverflowError: where a derivative doesn't exist.

        """
        xs = [Value(x) for x in inputs]
        factors: list[Value] = []

        def perturbed(name: str, row: tuple[Any, ...]) -> Any:
            factors.append(Value(1.0))  # ∂y/∂factor is v · ∂y/∂v
            return _record(name, row) * factors[-1]

        y = self.run(xs, perturbed)[-1]
        ratios = [_ratio(_total(y, factors), y.data)]
        for x, g, path in zip(inputs, gradients(y, xs), self._paths(inputs), strict=True):
            ratios += [_ratio(_total(g, factors), g.data), _ratio(path, g.data)]
            ratios += [_ratio(y.data, x * g.data)] if path else []
        return max(ratios)

    def _paths(self, inputs: Sequence[float]) -> list[float]:
        # The backward pass with absolute values in the place of local derivatives.
        values = self.run(inputs, _forward)
        sums = [0.0] * len(values)
        sums[-1] = 1.0
        for here, (name, row) in reversed([*enumerate(self.lines, len(inputs))]):
            numbers = [values[x] if isinstance(x, int) else x for x in row]
            for index, place in enumerate(row):
                if isinstance(place, int):
                    local = find(name).local(index, values[here], numbers)
                    sums[place] += fabs(local) * sums[here]
        return sums[: len(inputs)]


def _total(y: Value, factors: Sequence[Value]) -> float:
    return fsum([fabs(d.data) for d in gradients(y, factors)])


def _ratio(part: float, whole: float) -> float:
    if part == 0.0:
        return 0.0
    return fabs(part / whole) if whole else inf


def _record(name: str, row: tuple[Any, ...]) -> Any:
    # As a user would: by Python's operator, as a method, or by the function.
    op = find(name)
    if not any(type(x) is Value for x in row):
        return op.apply(row)
    if name in SPELLED:
        return SPELLED[name](*row)
    return getattr(row[0], name)() if op.arity == 1 else op.apply(row)


def _forward(name: str, row: tuple[float, ...]) -> float:
    return find(name).forward(*row)


# --- programs as text -----------------------------------------------------------------------------


def _spell(name: str, words: list[str]) -> str:
    if name in _SIGNS:
        words = [f"({word})" if word.startswith("-") else word for word in words]
        return _SIGNS[name] + words[0] if len(words) == 1 else f" {_SIGNS[name]} ".join(words)
    if name == "dot":
        half = len(words) // 2
        return f"dot([{', '.join(words[:half])}], [{', '.join(words[half:])}])"
    if name in REGISTRY and REGISTRY[name].arity is None:
        return f"{name}([{', '.join(words)}])" + "[0]" * (name == "softmax")
    return f"{name}({', '.join(words)})"


def _parse(statement: str, places: dict[str, int]) -> tuple[str, float | Line | None]:
    # A name, and the input or the line that it stands for, or None for what is neither.
    try:
        made: Any = ast.parse(statement).body[0]
        name, value = made.targets[0].id, made.value
        if (number := _number(value)) is not None:
            return name, number
        operation, nodes = _operation_of(value)
        row: list[Any] = [places[x.id] if isinstance(x, ast.Name) else _number(x) for x in nodes]
        if None not in row and find(operation).arity in (None, len(row)):
            return name, (operation, tuple(row))
    except (AttributeError, LookupError, SyntaxError):
        pass
    return "", None


def _operation_of(node: Any) -> tuple[str, list[Any]]:
    if isinstance(node, ast.BinOp):
        return _NODES[type(node.op)], [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return _NODES[type(node.op)], [node.operand]
    if isinstance(node, ast.Subscript):  # softmax([...])[0]
        node = node.value
    lists = [x.elts if isinstance(x, ast.List) else [x] for x in node.args]
    return node.func.id, [x for elements in lists for x in elements]


def _number(node: Any) -> float | None:
    try:
        return float(ast.literal_eval(node))
    except (TypeError, ValueError):
        return None


# --- drawing expressions --------------------------------------------------------------------------

# What is drawn for an operand: a constant, or a number that selects an earlier value (0, 1, … its
# place, from _NEWEST on the newest that isn't used yet) or an input. No line's draws depend on
# other lines, so that any of them can be deleted; the inputs' data is drawn before all lines.
_Choice = int | float
_NEWEST, _INPUT, _CONSTANT, _SELECTORS = 7, 20, 26, st.integers(0, 31)


def expressions(  # noqa: PLR0913  (options, each with a default)
    *,
    max_operations: int = 8,
    max_inputs: int = 3,
    operations: Iterable[Any] | None = None,
    sharing: bool = True,
    constants: bool = True,
    max_condition: float = 1000.0,
) -> SearchStrategy[Expression]:
    """Return a strategy for random expression graphs, each with a point to evaluate it at.

    Every line and every input has a part in the result. At the point derivatives exist and are well
    conditioned: a gradient, its exact derivative (`Expression.exact`) and differences of the values
    agree to many digits. All values keep away from kinks and the ends of domains, and are 0 or
    0.001 to 1000 in size; an operation whose results never are that isn't drawn.

    max_operations, max_inputs: there is at least one of each.
    operations: `Op`s, those of `define` included, or names; those to shrink to come first. By
        default all of autograd's own.
    sharing: whether a value may be used more than once; without it the graphs are trees.
    constants: whether operands may be plain numbers, too.
    max_condition: how often a rounding error may be amplified, see `Expression.condition`; by
        default three digits may be lost. With `math.inf` anything goes, such as x - x.

    Raises:
        ValueError: for what is no operation, for none at all, and for a size below 1.

    """
    _check_sizes(max_operations=max_operations, max_inputs=max_inputs)
    listed = _simplest_first() if operations is None else [*map(_operation, operations)]
    if not listed:
        message = "operations is empty: list at least one, or leave it out for all of them"
        raise ValueError(message)

    # `more` lines follow, unless it is 0.
    more = st.integers(0, 2 * max_operations)
    line = _lines(st.sampled_from(listed), more, constants=constants)
    pool = st.tuples(*[_moderate(Interval())] * max_inputs)
    draft = partial(_Draft, sharing=sharing, constants=constants)
    found = _programs(pool, line, max_operations, draft).filter(lambda made: made.lines != ())
    if max_condition == inf:
        return found
    return found.filter(lambda made: _is_well_conditioned(made, max_condition))


def _is_well_conditioned(expression: Expression, limit: float) -> bool:
    try:
        return not expression.condition(*expression.inputs) > limit  # nor nan, which is wrong
    except Exception:  # noqa: BLE001  (derivatives exist at its point: it is for the test to find)
        return True


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            message = f"{name} must be at least 1; got {size!r}"
            raise ValueError(message)


def _simplest_first() -> list[Op]:
    # +a before all others: a line that changes nothing can be left out. Those that join values
    # come several times, since they are what makes a graph of a chain.
    builtin = [op for op in REGISTRY.values() if op.builtin and op is not ops.pos]
    unary = [op for op in builtin if op.arity == 1]
    joining = [op for op in builtin if op.arity != 1]
    variadic = [op for op in joining if op.arity is None]
    return [ops.pos, *unary, *joining, *joining, *variadic, *variadic]


@st.composite
def _programs(
    draw: st.DrawFn,
    pool: SearchStrategy[tuple[float, ...]],
    line: SearchStrategy[_Drawn],
    max_operations: int,
    empty: Callable[[Sequence[float]], _Draft],
) -> Expression:
    draft = empty(draw(pool))
    for _ in range(max_operations):
        drawn = draw(line)
        draft.add(drawn.op, drawn.choices)
        if not drawn.more:
            break
    return draft.expression()


class _Drawn(NamedTuple):
    op: Op
    choices: list[_Choice]
    more: int


@st.composite
def _lines(
    draw: st.DrawFn, chosen: SearchStrategy[Op], more: SearchStrategy[int], *, constants: bool
) -> _Drawn:
    op = draw(chosen)
    count = op.arity or draw(_counts(op))
    recipes = _recipes_of(op, count)
    choices: list[_Choice] = []
    for k in range(count):
        choice: _Choice = draw(_SELECTORS)
        if choice >= _CONSTANT and constants and count > 1:
            choice = draw(_constants(domain_of(op, k), *_kink_numbers(recipes, k)))
        choices.append(choice)
    return _Drawn(op, choices, draw(more))


@cache
def _constants(interval: Interval, *kinks: float) -> SearchStrategy[float]:
    return _moderate(interval) | st.sampled_from(kinks) if kinks else _moderate(interval)


class _Draft:
    # A program while it is drawn. A value is an input, whose line is None, or a line's result.

    def __init__(self, pool: Sequence[float], *, sharing: bool, constants: bool) -> None:
        self.pool, self.sharing, self.constants = pool, sharing, constants
        self.values: list[float] = []
        self.lines: list[Line | None] = []
        self.used: set[int] = set()

    def add(self, op: Op, choices: Sequence[_Choice]) -> None:
        # Appends a line and the inputs that it needs, or nothing where no operands suit.
        before = len(self.values)
        row: list[Place] = []
        numbers: list[float] = []
        for choice in choices:
            is_last = len(row) + 1 == len(choices)
            for place, x in self.options(domain_of(op, len(row)), row, choice, is_last=is_last):
                if _fits(op, [*row, place], [*numbers, x], is_last=is_last):
                    break
            else:
                del self.values[before:], self.lines[before:]
                return
            if isinstance(place, int) and place == len(self.values):
                self.append(x, None)
            row.append(place)
            numbers.append(x)
        self.append(op.forward(*numbers), (op.name, tuple(row)))
        self.used.update(_earlier(row))

    def append(self, value: float, line: Line | None) -> None:
        self.values.append(value)
        self.lines.append(line)

    def options(
        self, interval: Interval, row: Sequence[Place], choice: _Choice, *, is_last: bool
    ) -> Iterator[tuple[Place, float]]:
        # What the next operand may be, and the number there: what was chosen, then all else.
        taken = _earlier(row)
        unused = [k for k in range(len(self.values)) if k not in self.used | taken]
        lost = [k for k in reversed(unused) if self.lines[k]]
        if is_last and choice and lost and not any(self.lines[k] for k in taken):
            # A line that leaves out all of the lines before would be the end of them.
            yield from [(k, self.values[k]) for k in lost]
            return
        if isinstance(choice, float):
            yield from [(x, x) for x in _alternatives(choice)]
        elif choice >= _INPUT:
            yield from self.inputs(interval)
        known = [*range(len(self.values))] if self.sharing else unused
        start = int(choice) % len(known) if known else 0
        if choice >= _NEWEST and unused:
            start = known.index(unused[-1])
        yield from [(k, self.values[k]) for k in known[start:] + known[:start]]
        yield from self.inputs(interval)
        if self.constants or interval.low == interval.high:
            yield from [(x, x) for x in _alternatives(_into(interval, 1.0))]

    def inputs(self, interval: Interval) -> list[tuple[Place, float]]:
        count = self.lines.count(None)
        if count == len(self.pool):
            return []
        return [(len(self.values), x) for x in _alternatives(_into(interval, self.pool[count]))]

    def expression(self) -> Expression:
        # The last line, with all that has a part in it.
        needed = {len(self.lines) - 1} if self.lines else set[int]()
        for k, line in reversed([*enumerate(self.lines)]):
            needed |= _earlier(line[1]) if line and k in needed else set()
        ordered = sorted(needed, key=lambda k: (self.lines[k] is not None, k))
        places = {k: place for place, k in enumerate(ordered)}
        return Expression(
            [self.values[k] for k in ordered if self.lines[k] is None],
            [
                (name, tuple([places[x] if isinstance(x, int) else x for x in row]))
                for name, row in filter(None, [self.lines[k] for k in ordered])
            ],
        )


def _earlier(row: Iterable[Place]) -> set[int]:
    return {x for x in row if isinstance(x, int)}


def _alternatives(x: float) -> list[float]:
    # Where x itself doesn't suit: what is another number where x ties, smaller where it overflows.
    return [x, 2.0 * x, *[ldexp(x, -k) for k in range(1, 6)]]


def _fits(op: Op, row: Sequence[Place], numbers: Sequence[float], *, is_last: bool) -> bool:
    # Whether the last of these operands suits and, if they are all, whether they go together.
    index = len(row) - 1
    interval = domain_of(op, index)
    low, high = _inner(interval)
    moving = [k for k, place in enumerate(row) if isinstance(place, int)]
    if not low <= numbers[index] <= high or (interval.low == interval.high and index in moving):
        return False
    return not is_last or (bool(moving) and _suits(op, numbers, moving))


def _suits(op: Op, point: Sequence[float], moving: Sequence[int]) -> bool:
    try:
        y = op.forward(*point)
    except (ArithmeticError, ValueError):
        return False
    if not 1.0 / BOUND <= fabs(y) <= BOUND and (y != 0.0 or _is_underflow(op, point)):
        return False
    across = moving if len(moving) < len(point) else ()
    zeros = [k for k in moving if point[k] == 0.0]
    return _is_clear(op, point, across) and all(_is_tame(op, point, k) for k in zeros)


def _is_underflow(op: Op, point: Sequence[float]) -> bool:
    # Whether 0 stands for something tiny, as exp(-1000) does: for smaller operands it can be seen.
    for halvings in range(1, 11):
        try:
            y = op.forward(*[ldexp(x, -halvings) for x in point])
        except (ArithmeticError, ValueError):
            continue
        if 0.0 < fabs(y) < 1e-30:  # noqa: PLR2004  (no operation is so steep that this is usual)
            return True
    return False


def _is_tame(op: Op, point: Sequence[float], index: int) -> bool:
    # Values are moderate or 0, and 0 is where operations have singularities that no interval tells:
    # cbrt, atan2, a / b. The slope near there must not grow as one comes closer.
    def slope(h: float) -> float:
        above, below = ((*point[:index], x, *point[index + 1 :]) for x in (h, -h))
        return fabs(op.forward(*above) - op.forward(*below)) / h

    try:
        return slope(1e-8) <= 10.0 * (slope(1e-4) + 1.0)
    except (ArithmeticError, ValueError):
        return False


# --- networks -------------------------------------------------------------------------------------

_Weights = list[list[list[Any]]]


@dataclass(frozen=True)
class Network:
    """A small network with data: layers of neurons with an activation, and a last one without.

    `weights[layer][neuron]` has a weight for each input of the layer, then the bias. `loss` takes
    such lists of numbers or of Values: `check_gradients(network.loss, network.weights)`.
    """

    activation: str
    weights: _Weights
    rows: list[list[float]]
    targets: list[float]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:  # noqa: FBT001  (IPython's protocol)
        printer.text(repr(self))  # Hypothesis would show how it was put together

    def sums(self, weights: _Weights, row: Sequence[Any]) -> list[list[Any]]:
        """Return w · x + b of every neuron, a list for each layer, the output's last."""
        found: list[list[Any]] = []
        signals = [*row]
        for layer in weights:
            found.append([ops.dot(neuron[:-1], signals) + neuron[-1] for neuron in layer])
            signals = [find(self.activation).apply((x,)) for x in found[-1]]
        return found

    def loss(self, weights: _Weights) -> Any:
        """Return the mean over all rows of (output - target)²."""
        outputs = [self.sums(weights, row)[-1][0] for row in self.rows]
        errors = [ops.sub(y, target) for y, target in zip(outputs, self.targets, strict=True)]
        return ops.mean([ops.square(error) for error in errors])

    def is_smooth(self) -> bool:
        """Say whether no neuron is near a kink of its activation, on any row."""
        hidden = [
            x for row in self.rows for layer in self.sums(self.weights, row)[:-1] for x in layer
        ]
        return all(_is_clear(find(self.activation), (x,)) for x in hidden)


def networks(
    *,
    max_layers: int = 3,
    max_width: int = 3,
    max_rows: int = 4,
    activations: Iterable[Any] = ("tanh", "sigmoid", "relu"),
) -> SearchStrategy[Network]:
    """Return a strategy for networks with one output, their weights and their data.

    There are 1 to `max_layers` layers, the output's included, 1 to `max_width` neurons in each of
    the others and as many inputs, and 1 to `max_rows` rows. No neuron is near a kink on any row.
    `activations` are operations of one operand, or their names.

    Raises:
        ValueError: for another activation, for none at all, and for a size below 1.

    """
    _check_sizes(max_layers=max_layers, max_width=max_width, max_rows=max_rows)
    listed = [*map(_operation, activations)]
    if not listed or any(op.arity != 1 for op in listed):
        message = f"activations are operations of one operand; got {listed!r}"
        raise ValueError(message)
    names = st.sampled_from([op.name for op in listed])

    @cache
    def of_sizes(*sizes: int) -> SearchStrategy[Network]:
        numbers = _moderate(Interval(-2.0, 2.0))
        layers = [
            _exactly(outputs, _exactly(inputs + 1, numbers))
            for inputs, outputs in pairwise([*sizes, 1])
        ]
        row = st.tuples(_exactly(sizes[0], numbers), numbers)
        rows = st.lists(row, min_size=1, max_size=max_rows)
        return st.tuples(names, st.tuples(*layers), rows).map(_network)

    sizes = st.lists(st.integers(1, max_width), min_size=1, max_size=max_layers)
    return sizes.flatmap(lambda drawn: of_sizes(*drawn)).filter(Network.is_smooth)


def _exactly(count: int, of: SearchStrategy[Any]) -> SearchStrategy[list[Any]]:
    return st.lists(of, min_size=count, max_size=count)


def _network(drawn: tuple[str, tuple[Any, ...], list[tuple[list[float], float]]]) -> Network:
    activation, layers, data = drawn
    return Network(activation, [*layers], [row for row, _ in data], [y for _, y in data])
