"""An explanation: what a computation does forward and backward, as data, as text and as JSON."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from .backward import contributions, differentiate, local_derivatives, sort
from .expression import ExpressionError, Line, Made, Model, suggest
from .kinks import kinks
from .testing.differences import Curve
from .testing.locate import locate
from .testing.opinion import second_opinion
from .testing.rounding import rounding_bound
from .testing.verdict import KNOWN, judge
from .value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Instructions that checks may run in all: some five seconds. A gradient that comes after is shown
# without a check, and says so.
CHECK_BUDGET = 5_000_000
_EVALUATIONS = 100  # of the function; a verdict takes 27 where all is well, some 500 at worst


# --- as data --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A value: `role` is data, input, computed or intermediate, `formula` how it was computed."""

    name: str
    value: float
    role: str
    formula: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """One application of the chain rule: contribution = upstream · local.

    `total` is the parent's gradient after it, and `first` says that it is the first contribution.
    """

    value: str
    parent: str
    upstream: float
    local: float
    contribution: float
    total: float
    first: bool


@dataclass(frozen=True, slots=True)
class GradientRow:
    """A gradient, the finite difference that it is held against with its error, and the verdict.

    The verdict is one of `autograd.testing`'s, or unchecked where the budget was spent. `ok` is
    false where the gradient is wrong, or missing though there is one, and `note` says what the
    numbers don't. A number that doesn't exist is None.
    """

    name: str
    gradient: float | None
    difference: float | None
    error: float | None
    verdict: str
    ok: bool
    note: str

    @property
    def label(self) -> str:
        """The verdict for people, who ask first whether it is wrong."""
        return self.verdict if self.ok or self.verdict == "wrong" else f"wrong ({self.verdict})"


@dataclass(frozen=True, slots=True)
class Change:
    """A named value before and after a descent step; `gradient` is None unless it was stepped."""

    name: str
    before: float
    after: float
    gradient: float | None = None


@dataclass(frozen=True, slots=True)
class Descent:
    """One step of gradient descent: the parameters that were stepped, and what followed from it."""

    lr: float
    parameters: tuple[Change, ...]
    values: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that `explain` and `check` print, and the graph's result, to be drawn.

    `kinks` are those that the evaluation sat on, as text; `culprit` is the smallest part of the
    graph that is wrong.
    """

    source: str
    output: str
    value: float
    values: tuple[ValueRow, ...]
    steps: tuple[StepRow, ...]
    gradients: tuple[GradientRow, ...]
    kinks: tuple[str, ...]
    culprit: str
    descent: Descent | None
    result: Value = field(compare=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether no gradient is wrong."""
        return all(row.ok for row in self.gradients)

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as plain lists and dicts, for JSON; no number is rounded.

        JSON has no inf and nan: None stands for a number that doesn't exist.
        """
        tree: dict[str, Any] = asdict(replace(self, result=Value(self.value))) | {"ok": self.ok}
        del tree["result"]  # the graph
        for row in tree["steps"]:  # inf where a branch that isn't taken cuts it off again
            lost = {key for key, x in row.items() if isinstance(x, float) and not math.isfinite(x)}
            row.update(dict.fromkeys(lost))
        return tree

    def text(self, digits: int = 6, *, colour: bool = False) -> str:
        """Return the explanation as tables, numbers with that many significant digits."""
        return _Text(digits, colour=colour).explanation(self)

    def verdicts(self, digits: int = 6, *, colour: bool = False) -> str:
        """Return the part of the text that is about the check, and a line that sums it up."""
        text = _Text(digits, colour=colour)
        return "\n\n".join([*text.findings(self), text.summary(self)]) + "\n"


def explain(  # noqa: PLR0913  (the command's options)
    model: Model,
    source: str,
    *,
    wrt: Line | None = None,
    output: Line | None = None,
    lr: float | None = None,
    strict: bool = True,
) -> Explanation:
    """Return the explanation of `output` (the last assignment, if None).

    `wrt` has the names whose gradients are wanted, separated by commas, with * and ? as in file
    names (all inputs, if None); `output` has one name. With `lr` one descent step is taken: by the
    names in `wrt`, or by all inputs that aren't marked as data.

    Raises:
        ExpressionError: if the computation fails, or a name is unknown; with `strict` also if a
            gradient doesn't exist that `wrt` has, or none does.

    """
    name = _output(model, output)
    wanted = _wanted(model, wrt, stepped=lr is not None)
    named, made = model.record()
    labels = _label(model, named, made)
    result, xs = named[name], {key: named[key] for key in wanted}
    ours = _differentiate(model, made, result, xs)
    known = {key: g for key, g in ours.items() if not isinstance(g, Exception)}
    if strict and len(known) < len(ours) and (wrt is not None or not known):
        raise _place(model, made, next(g for g in ours.values() if isinstance(g, Exception)))
    gradients = tuple(_gradients(model, result, xs, ours, labels))
    descent = None
    if lr is not None:
        moved = {key: g for key, g in known.items() if wrt is not None or key not in model.data}
        descent = _descend(model, moved, lr)
    wrong = [xs[row.name] for row in gradients if not row.ok]
    return Explanation(
        source=source,
        output=name,
        value=result.data,
        values=tuple(_rows(model, named, made, labels)),
        steps=tuple(_steps(result, {xs[key] for key in known}, labels)),
        gradients=gradients,
        kinks=tuple(map(str, kinks(result))),
        culprit=locate(result, wrong) if wrong else "",
        descent=descent,
        result=result,
    )


# --- names ----------------------------------------------------------------------------------------


def _output(model: Model, chosen: Line | None) -> str:
    if chosen is None:
        return model.last.name
    name = chosen.text.strip()
    if name not in model.names:
        raise _unknown(model, chosen, 0, name)
    return name


def _unknown(model: Model, line: Line, index: int, name: str) -> ExpressionError:
    remedy = f"{suggest(name, model.names)}the names are {_listing(model.names)}"
    return line.error(index, "isn't assigned", remedy, name=name or "an empty name")


def _listing(names: Sequence[str], most: int = 30) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _wanted(model: Model, wrt: Line | None, *, stepped: bool) -> list[str]:
    if wrt is None:
        return list(model.inputs)
    found: dict[str, None] = {}
    index = 0
    for part in wrt.text.split(","):
        pattern = part.strip()
        names = [name for name in model.names if fnmatchcase(name, pattern)]
        where = index + len(part) - len(part.lstrip())
        if "*" in pattern or "?" in pattern:
            names = [name for name in names if name in model.inputs]
        if not names:
            raise _unknown(model, wrt, where, pattern)
        if stepped and names[0] not in model.inputs:
            rule, remedy = "is computed", "only an input can be stepped by --lr"
            raise wrt.error(where, rule, remedy, name=pattern)
        found.update(dict.fromkeys(names))
        index += len(part) + 1
    return list(found)


def _label(model: Model, named: Mapping[str, Value], made: Sequence[Made]) -> dict[Value, str]:
    """Label every recorded value: with its name, else v1, v2, ... in the order of computation."""
    labels: dict[Value, str] = {}
    for name in reversed(model.names):  # of two names for one value the first one is kept
        labels[named[name]] = name
    count = 0
    for item in made:
        if item.value not in labels:
            count += 1
            while f"v{count}" in named:
                count += 1
            labels[item.value] = f"v{count}"
    for value, label in labels.items():
        value.label = label
    return labels


# --- values ---------------------------------------------------------------------------------------

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}


def _rows(
    model: Model, named: Mapping[str, Value], made: Sequence[Made], labels: Mapping[Value, str]
) -> Iterator[ValueRow]:
    for name, number in model.inputs.items():
        yield ValueRow(name, number, "data" if name in model.data else "input", "")
    start = 0
    for step in model.steps:
        value = named[step.name]
        while start < len(made) and made[start].statement is step:
            between = made[start].value
            if between is not value:
                formula = _formula(between, labels)
                yield ValueRow(labels[between], between.data, "intermediate", formula)
            start += 1
        other = labels[value] != step.name  # a second name for a value that has one
        formula = labels[value] if other else _formula(value, labels)
        yield ValueRow(step.name, value.data, "computed", formula)


def _formula(value: Value, labels: Mapping[Value, str]) -> str:
    """Return how the value was computed, one operation, in the names of its operands."""
    assert value.op is not None  # noqa: S101  (a computed value)
    name = value.op.name
    texts = [labels[x] if isinstance(x, Value) else _constant(x) for x in value.operands]
    if name in _INFIX:
        return f"{_bracket(texts[0])} {_INFIX[name]} {_bracket(texts[1])}"
    if name in ("neg", "pos"):
        return ("-" if name == "neg" else "+") + _bracket(texts[0])
    if name == "dot":
        half = len(texts) // 2
        return f"dot([{_listing(texts[:half], 8)}], [{_listing(texts[half:], 8)}])"
    inner = _listing(texts, 8)
    return f"{name}([{inner}])" if value.op.arity is None else f"{name}({inner})"


def _constant(x: float) -> str:
    return repr(x).removesuffix(".0")


def _bracket(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


# --- the backward pass ----------------------------------------------------------------------------


def _differentiate(
    model: Model, made: Sequence[Made], result: Value, xs: Mapping[str, Value]
) -> dict[str, float | Exception]:
    """Return each gradient, or the error that says why it doesn't exist.

    Only edges that lead to the xs are walked, so that x**n at x = -2 has its derivative in x
    although it has none in n.
    """
    try:
        return dict(zip(xs, differentiate(result, [*xs.values()], lift=False), strict=True))
    except (ArithmeticError, ValueError) as error:
        if len(xs) * len(made) > CHECK_BUDGET:
            raise _place(model, made, error) from None
    ours: dict[str, float | Exception] = {}
    for name, x in xs.items():
        try:
            (ours[name],) = differentiate(result, [x], lift=False)
        except (ArithmeticError, ValueError) as error:
            ours[name] = error
    return ours


def _place(model: Model, made: Sequence[Made], failure: Exception) -> ExpressionError:
    """Return the failure of a derivative with the place of the operation that it comes from."""
    statement, index = model.last, model.last.index
    for item in reversed(made):
        try:
            for _ in local_derivatives(item.value):
                pass
        except (ArithmeticError, ValueError) as error:
            if str(error) == str(failure):
                statement, index = item.statement, item.at
                break
    remedy = "change the inputs, or choose by --wrt the gradients that exist"
    return statement.line.error(index, str(failure), remedy, usage=False)


def _steps(result: Value, wanted: set[Value], labels: Mapping[Value, str]) -> Iterator[StepRow]:
    computed, _ = sort(result)
    for node in computed:
        if not wanted.isdisjoint(node.parents):
            wanted.add(node)
    totals: dict[Value, float] = {}
    for step in contributions(computed, {result: 1.0}, wanted=wanted):
        first = step.parent not in totals
        total = totals[step.parent] = totals.get(step.parent, 0.0) + step.contribution
        names = labels[step.value], labels[step.parent]
        yield StepRow(*names, step.upstream, step.local, step.contribution, total, first)


# --- the check ------------------------------------------------------------------------------------


def _gradients(
    model: Model,
    result: Value,
    xs: Mapping[str, Value],
    ours: Mapping[str, float | Exception],
    labels: Mapping[Value, str],
) -> Iterator[GradientRow]:
    # By label: what uses a value by its first name doesn't depend on a second one.
    cost = sum(len(step.code) + 5 for step in model.needed(labels[result]))
    left = CHECK_BUDGET // (cost or 1)
    noise = rounding_bound(result)
    for name, found in ours.items():
        number = None if isinstance(found, Exception) else found
        if left < _EVALUATIONS:
            note = "too much to compute at once: choose fewer by --wrt"
            yield GradientRow(name, number, None, None, "unchecked", ok=True, note=note)
            continue
        f = cache(model.function(labels[result], labels[xs[name]]))
        told = judge(found, Curve(f, xs[name].data, noise=noise, doubt=KNOWN))
        told = second_opinion(told, found, result, xs[name])
        left -= f.cache_info().misses
        known = math.isfinite(told.numeric) and math.isfinite(told.error)
        difference, error = (told.numeric, told.error) if known else (None, None)
        yield GradientRow(name, number, difference, error, told.verdict, told.ok, told.note)


# --- descent --------------------------------------------------------------------------------------


def _descend(model: Model, gradients: Mapping[str, float], lr: float) -> Descent:
    after = {name: model.inputs[name] - lr * g for name, g in gradients.items()}
    for name, number in after.items():
        if not math.isfinite(number):
            line = Line("--lr", 1, repr(lr))
            rule = f"steps {name} from {model.inputs[name]!r} to {number!r}"
            raise line.error(0, rule, "use a smaller one", name="lr", value=lr, usage=False)
    old = model.evaluate()
    try:
        new = model.evaluate(after)
    except ExpressionError as error:
        raise error.during("after the descent step") from None
    return Descent(
        lr,
        tuple(Change(name, old[name], new[name], g) for name, g in gradients.items()),
        tuple(Change(step.name, old[step.name], new[step.name]) for step in model.steps),
    )


# --- as text --------------------------------------------------------------------------------------

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_MOST_KINKS = 10
_ON_KINKS = (
    "A gradient that is made of subgradients may be wrong though each of them is right, in every "
    "autograd engine: check at a point beside."
)

Cell = str | tuple[str, str]  # a text, or a text and its style


class _Text:
    """Renders an explanation with a number of digits, in colour or not."""

    def __init__(self, digits: int, *, colour: bool) -> None:
        self.digits = digits
        self.colour = colour

    def explanation(self, explanation: Explanation) -> str:
        sections = [
            self.values(explanation),
            self.steps(explanation),
            *self.findings(explanation),
        ]
        if explanation.descent is not None:
            sections.append(self.descent(explanation, explanation.descent))
        return "\n\n".join(sections) + "\n"

    def number(self, x: float | None) -> str:
        return (
            "-" if x is None else f"{x + 0.0:.{self.digits}g}"
        )  # + 0.0: a learner's 0 has no sign

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and style and text else text

    def heading(self, title: str, note: str) -> str:
        return f"{self.paint(title, 'bold')}  {self.paint(note, 'dim')}"

    def values(self, explanation: Explanation) -> str:
        rows = explanation.values
        numbers = align([self.number(row.value) for row in rows])
        result = explanation.output
        cells: list[list[Cell]] = []
        for row, number in zip(rows, numbers, strict=True):
            style = "bold" if row.name == result else ""
            how = (f"= {row.formula}", "") if row.formula else (row.role, "dim")
            cells.append([(row.name, style), (number, style), how])
        note = f"{explanation.source}, computed from top to bottom"
        return f"{self.heading('Values', note)}\n{self.table(cells)}"

    def steps(self, explanation: Explanation) -> str:
        rows = explanation.steps
        y = explanation.output
        title = self.heading("Steps", "the chain rule, from the result back: upstream × local")
        if not rows:
            itself = next((row.name for row in explanation.gradients if row.gradient), "")
            why = f"is {itself} itself" if itself else "doesn't depend on what was asked for"
            return f"{title}\n  none: {y} {why}"
        once = "=" if all(row.first for row in rows) else " ="
        columns = [
            align([self.number(getattr(row, part)) for row in rows])
            for part in ("upstream", "local", "contribution", "total")
        ]
        cells: list[list[Cell]] = []
        for i, (row, upstream, local, contribution, total) in enumerate(
            zip(rows, *columns, strict=True), start=1
        ):
            sign, rest = (once, "") if row.first else ("+=", f"total {total.strip()}")
            cells.append(
                [
                    (f"{i:>{len(str(len(rows)))}}", "dim"),
                    f"∂{y}/∂{row.parent}",
                    f"{sign} ∂{y}/∂{row.value}",
                    f"· ∂{row.value}/∂{row.parent}",
                    f"= {upstream}",
                    f"× {local}",
                    f"= {contribution}",
                    (rest, "dim"),
                ]
            )
        return f"{title}\n{self.table(cells, gap=' ')}"

    def findings(self, explanation: Explanation) -> Iterator[str]:
        yield self.gradients(explanation)
        if explanation.kinks:
            lines = list(explanation.kinks[:_MOST_KINKS])
            if len(explanation.kinks) > _MOST_KINKS:
                lines.append(f"and {len(explanation.kinks) - _MOST_KINKS} more")
            if not explanation.ok:
                lines.append(_ON_KINKS)
            note = "where a subgradient stands in for the derivative that doesn't exist"
            yield "\n".join([self.heading("Kinks", note), *map(_wrapped, lines)])
        if explanation.culprit:
            heading = self.heading("Mistake", "where in the graph it comes from")
            yield "\n".join([heading, *map(_wrapped, explanation.culprit.split("\n"))])

    def gradients(self, explanation: Explanation) -> str:
        rows = explanation.gradients
        names = [f"∂{explanation.output}/∂{row.name}" for row in rows]
        errors = ["-" if row.error is None else f"{row.error:.2g}" for row in rows]
        table = grid(
            names,
            ("gradient", [self.number(row.gradient) for row in rows]),
            ("finite difference", [self.number(row.difference) for row in rows]),
            ("its error", errors),
        )
        table[0].append(("verdict", "dim"))
        for line, row in zip(table[1:], rows, strict=True):
            style = "yellow" if row.ok else "red"
            line.append((row.label, "green" if row.label == "right" else style))
        note = "by the chain rule, and checked by finite differences"
        lines = [self.heading("Gradients", note), self.table(table)]
        # Under the table, one line for each note: in it they would tear the columns apart.
        notes: dict[str, list[str]] = {}
        for name, row in zip(names, rows, strict=True):
            notes.setdefault(row.note, []).append(name)
        notes.pop("", None)
        lines += [_wrapped(f"{_listing(which, 6)}: {text}") for text, which in notes.items()]
        return "\n".join(lines)

    def summary(self, explanation: Explanation) -> str:
        counts = Counter(row.label for row in explanation.gradients)
        labels = sorted(counts, key=lambda label: label != "right")
        text = ", ".join(_count(counts[label], label) for label in labels)
        style = "yellow" if explanation.ok else "red"
        return self.paint(text, "green" if labels == ["right"] else style)

    def descent(self, explanation: Explanation, descent: Descent) -> str:
        rows = [*descent.parameters, *descent.values]
        sign = "+" if descent.lr < 0.0 else "-"
        lr = f"{sign} {self.number(abs(descent.lr))}"
        note = f"each parameter w becomes w {lr} · ∂{explanation.output}/∂w"
        table = grid(
            [row.name for row in rows],
            ("before", [self.number(row.before) for row in rows]),
            ("after", [self.number(row.after) for row in rows]),
            ("change", [self.number(row.after - row.before) for row in rows]),
        )
        for line, row in zip(table[1:], rows, strict=True):
            if row.name == explanation.output:
                line[:] = [(str(cell), "bold") for cell in line]  # no style in them as yet
        table.insert(1 + len(descent.parameters), [])
        return f"{self.heading('One descent step', note)}\n{self.table(table)}"

    def table(self, rows: Sequence[Sequence[Cell]], gap: str = "   ") -> str:
        """Return rows of cells as lines with aligned columns."""
        pairs = [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
        count = max(map(len, pairs), default=0)
        widths = [
            max((len(row[i][0]) for row in pairs if i < len(row)), default=0) for i in range(count)
        ]
        lines = []
        for row in pairs:
            cells = [
                self.paint(text.rstrip(), style) + " " * (width - len(text.rstrip()))
                for (text, style), width in zip(row, widths, strict=False)
            ]
            lines.append(("  " + gap.join(cells)).rstrip())
        return "\n".join(lines)


def _count(number: int, label: str) -> str:
    return f"{number} {label if number == 1 else label.replace('kink', 'kinks')}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 80, initial_indent="  ", subsequent_indent="    ")


def align(numbers: Sequence[str]) -> list[str]:
    """Return the numbers padded to one width, with their decimal points in one column."""
    points = [_point(number) for number in numbers]
    before = max(points, default=0)
    padded = [
        " " * (before - point) + number for point, number in zip(points, numbers, strict=True)
    ]
    width = max(map(len, padded), default=0)
    return [number.ljust(width) for number in padded]


def _point(number: str) -> int:
    return next((i for i, c in enumerate(number) if c in ".e"), len(number))


def grid(names: Sequence[str], *columns: tuple[str, Sequence[str]]) -> list[list[Cell]]:
    """Return a row of dim titles, then a row per name, each column's numbers aligned."""
    aligned = [align(numbers) for _, numbers in columns]
    titles: list[Cell] = [("", ""), *((title, "dim") for title, _ in columns)]
    return [titles, *(list(row) for row in zip(names, *aligned, strict=True))]
