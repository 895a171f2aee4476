"""Gradients against differences of their function: a verdict for every input."""

from __future__ import annotations

import warnings
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.backward import differentiate, gradients, sort
from autograd.kinks import kinks
from autograd.op import Op
from autograd.value import Value, plain

from .differences import Curve
from .inputs import Inputs
from .locate import locate
from .opinion import second_opinion
from .report import Report, Row
from .rounding import rounding_bound
from .verdict import KNOWN, UNSEEN, Judgement, corner_forgiven, judge, not_repeatable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class GradientWarning(UserWarning):
    """A gradient could be told neither right nor wrong."""


def check_gradients(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    gradient: Callable[..., Any] | None = None,
) -> Report:
    """Return the verdict on every derivative of f at `args`, held against differences of f.

    f takes numbers, (nested) lists of numbers, leaf Values or models (objects with
    `named_parameters()`), and returns a number or a list of numbers. With `order=2` the second
    derivatives are held against differences of the first ones, and so on. Where differences are too
    noisy to tell, mpmath is asked, if it is installed.

    With `gradient`, its result at `args` is judged instead of ours: f and `gradient` are functions
    of floats, of any origin; `gradient(*args)` returns ∂f/∂args, one number for each input.

    An operation without `args` is checked by itself, at points of its domain: its value, each
    local derivative, second derivatives, and what it declares of its domain and kinks.

    >>> check_gradients(lambda x: x**2, 3.0)
    input  ours  differences  verdict
    x      6     6 ± 2e-13    right

    Raises:
        TypeError, ValueError: if an argument is no number or f returns none, and what f raises.

    """
    if isinstance(f, Op) and not args:
        from .operation import check_operation  # noqa: PLC0415  (for operations only)

        return check_operation(f)
    if type(order) is not int or order < 1:
        message = f"order (={order!r}) must be a whole number from 1 on"
        raise ValueError(message)
    inputs = Inputs(f, args)
    with inputs.restored():
        if gradient is not None:
            if order > 1:
                message = f"order (={order}) must be 1 with gradient: pass the derivative as f"
                raise ValueError(message)
            rows = _foreign_rows(f, gradient, inputs)
            return Report(_exchanged(rows), call=_call(f, args, "gradient=…"))
        return _own_report(f, args, inputs, order)


def assert_gradients(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    gradient: Callable[..., Any] | None = None,
) -> None:
    """Raise an AssertionError with the report of `check_gradients` if a derivative is wrong.

    Where differences are too noisy to tell, it warns with `GradientWarning`.
    """
    report = check_gradients(f, *args, order=order, gradient=gradient)
    if not report:
        raise AssertionError(f"a gradient is wrong\n{report}")
    if report.unclear:
        warnings.warn(f"not all gradients could be told\n{report}", GradientWarning, stacklevel=2)


def _call(f: Callable[..., Any], args: Sequence[Any], *options: str) -> str:
    name: str = getattr(f, "name", "") or getattr(f, "__name__", "f")
    name = "f" if name == "<lambda>" else name
    return f"check_gradients({', '.join([name, *map(repr, args), *options])})"


# --- our own gradients ----------------------------------------------------------------------------


class _Output(NamedTuple):
    """What is differentiated: f's result or part of it, or a derivative of that."""

    name: str
    inputs: tuple[str, ...]
    value: Value

    def derivative_name(self, by: str, *, alone: bool) -> str:
        """Return what to call the derivative by that input: "x", "∂f[1]/∂x", "∂²/∂x∂y"."""
        names = (*self.inputs, by)
        if alone and len(names) == 1:
            return by
        power = "" if len(names) == 1 else str(len(names)).translate(_SUPERSCRIPTS)
        return f"∂{power}{self.name}/" + "".join(f"∂{name}" for name in names)


class _Traced(NamedTuple):
    """One run of f on Values: the leaves, and per order what is differentiated next."""

    leaves: list[Value]
    levels: list[list[_Output]]

    def data(self) -> list[float]:
        """Return the numbers that are differentiated next."""
        return [out.value.data for out in self.levels[-1]]


def _trace(f: Callable[..., Any], inputs: Inputs, numbers: Sequence[float], order: int) -> _Traced:
    args, leaves = inputs.on_values(numbers)
    result = f(*args)
    parts = _parts(result, "" if not isinstance(result, list | tuple) else "f")
    levels = [[_Output(name, (), y) for name, y in parts]]
    for _ in range(order - 1):
        levels.append(
            [
                _Output(out.name, (*out.inputs, name), slope)
                for out in levels[-1]
                for name, slope in zip(inputs.names, gradients(out.value, leaves), strict=True)
            ]
        )
    return _Traced(leaves, levels)


def _parts(result: Any, name: str) -> list[tuple[str, Value]]:
    if isinstance(result, list | tuple):
        named = [_parts(part, f"{name}[{i}]") for i, part in enumerate(result)]
        return [pair for part in named for pair in part]
    return [(name, result if type(result) is Value else Value(result))]


def _own_report(f: Callable[..., Any], args: Sequence[Any], inputs: Inputs, order: int) -> Report:
    def traced(level: int) -> _Traced:
        return _trace(f, inputs, inputs.point, level)

    rows: list[Row] = []
    culprit = ""
    for level in range(1, order + 1):
        found, wrong = _rows_of_level(f, inputs, level, order)
        rows += found
        if wrong is not None:
            rows = _exchanged(rows)
            again = traced(level)  # a model's parameters have changed, and are back
            culprit = locate(again.levels[-1][wrong].value, again.leaves)
            break
    on = [kink for out in traced(1).levels[0] for kink in kinks(out.value)]
    return Report(rows, culprit=culprit, kinks=on, call=_call(f, args))


def _rows_of_level(
    f: Callable[..., Any], inputs: Inputs, level: int, order: int
) -> tuple[list[Row], int | None]:
    """Return the verdicts on the derivatives of that order, and which output has a wrong one."""
    traced = _trace(f, inputs, inputs.point, level)
    outputs = traced.levels[-1]
    found = [_our_derivatives(out.value, traced.leaves, lift=level < order) for out in outputs]
    trust = [_Trust.of(out.value) for out in outputs]
    on_kink = [bool(kinks(out.value)) for out in outputs]
    same = traced.data() == _trace(f, inputs, inputs.point, level).data()
    along = [_Along(f, inputs, {i: 1.0}, level) for i in range(len(inputs.point))]
    rows: list[Row] = []
    wrong: list[int] = []
    for k, out in enumerate(outputs):
        judged = [
            _judge_all(found[k][i], along[i].output(k), x, trust[k]) if same else not_repeatable()
            for i, x in enumerate(inputs.point)
        ]
        if on_kink[k]:
            judged = [corner_forgiven(j) for j in judged]
        judged = _along_diagonals(
            [derivatives[0] for derivatives in found[k]],
            judged,
            lambda ways, k=k: _Along(f, inputs, ways, level).output(k),  # type: ignore[misc]
            inputs.point,
        )
        if any(found.verdict == "too noisy to tell" for found in judged) and same:
            again = _trace(f, inputs, inputs.point, level)  # a model's parameters are back now
            judged = [
                second_opinion(j, ways[0], again.levels[-1][k].value, leaf)
                for j, ways, leaf in zip(judged, found[k], again.leaves, strict=True)
            ]
        alone = len(outputs) == 1
        names = [out.derivative_name(name, alone=alone) for name in inputs.names]
        rows += [_row(name, d[0], j) for name, d, j in zip(names, found[k], judged, strict=True)]
        wrong += [] if all(j.ok for j in judged) else [k]
    return rows, min(wrong, default=None)


class _Trust(NamedTuple):
    """What is known of the errors in a computed number, and in its slope."""

    noise: float
    doubt: float

    @classmethod
    def of(cls, y: Value) -> _Trust:
        ours = all(node.op is not None and node.op.builtin for node in sort(y)[0])
        return cls(rounding_bound(y), KNOWN if ours else UNSEEN)


def _along_diagonals(
    ours: Sequence[float | Exception],
    judged: list[Judgement],
    along: Callable[[dict[int, float]], Callable[[float], float]],
    point: Sequence[float],
) -> list[Judgement]:
    """Return the verdicts, those on a kink held to the slopes along the diagonals as well.

    At a tie of maximum each derivative may lie anywhere from 0 to 1, but their sum has to be 1.
    """
    numbers = [x if isinstance(x, float) else nan for x in ours]  # on a kink each is a number
    on = [i for i, found in enumerate(judged) if found.verdict == "kink" and found.ok]
    for signs in ((1.0, 1.0), (1.0, -1.0)) if len(on) > 1 else ():
        ways = {i: signs[place % 2] * (abs(point[i]) or 1.0) for place, i in enumerate(on)}
        total = sum(way * numbers[i] for i, way in ways.items())
        found = judge(total, Curve(along(ways), 0.0))
        if not found.ok:
            note = "along the diagonal of all that are on a kink: " + found.note
            for i in on:
                judged[i] = judged[i]._replace(ok=False, note=f"{judged[i].note}; {note}")
            break
    return judged


def _row(name: str, ours: float | Exception, found: Judgement) -> Row:
    number = None if isinstance(ours, Exception) else ours
    return Row(name, number, found.numeric, found.error, found.verdict, found.ok, found.note)


def _our_derivatives(
    y: Value, leaves: list[Value], *, lift: bool
) -> list[tuple[float | Exception, ...]]:
    """Return, for each leaf, ∂y/∂leaf by backward(), by its floats and, with `lift`, by its graph.

    Where backward() raises an error though all derivatives are there, and no leaf that isn't an
    input can be the reason, the error is the result.
    """
    for leaf in leaves:
        leaf.grad = 0.0
    by_floats = _derivatives(y, leaves, lift=False)
    try:
        y.backward()
    except (ArithmeticError, ValueError) as error:
        others = set(sort(y)[1]).difference(leaves)
        if others or any(isinstance(x, Exception) for x in by_floats):
            return [(x,) for x in by_floats]
        return [(error,) for _ in leaves]
    ways = [[leaf.grad for leaf in leaves], by_floats]
    if lift:
        ways.append(_derivatives(y, leaves, lift=True))
    return list(zip(*ways, strict=True))


def _derivatives(y: Value, leaves: Sequence[Value], *, lift: bool) -> list[float | Exception]:
    try:
        return [plain(slope) for slope in differentiate(y, leaves, lift=lift)]
    except (ArithmeticError, ValueError) as error:  # of one of them: the others may well exist
        if len(leaves) == 1:
            return [error]
        return [_derivatives(y, [leaf], lift=lift)[0] for leaf in leaves]


def _judge_all(
    candidates: Sequence[float | Exception], f: Callable[[float], float], x: float, trust: _Trust
) -> Judgement:
    curve = Curve(f, x, noise=trust.noise, doubt=trust.doubt)
    verdict = judge(candidates[0], curve)
    for other in candidates[1:]:
        if verdict.ok and other != candidates[0]:
            second = judge(other, curve)
            if not second.ok:
                note = f"backward() is right, but gradients() gives {other}: {second.note}"
                return second._replace(note=note)
    return verdict


class _Along:
    """f along a line through the point: its outputs as functions of one number.

    With one way that number is the input's own; with several, the distance from the point.
    """

    def __init__(
        self, f: Callable[..., Any], inputs: Inputs, ways: dict[int, float], level: int
    ) -> None:
        self._run = (f, inputs)
        self._ways = ways
        self._level = level
        self._seen: dict[float, list[float]] = {}

    def output(self, number: int) -> Callable[[float], float]:
        return lambda x: self._at(x)[number]

    def _at(self, x: float) -> list[float]:
        if x not in self._seen:
            f, inputs = self._run
            self._seen[x] = _trace(
                f, inputs, moved(inputs.point, self._ways, x), self._level
            ).data()
        return self._seen[x]


def moved(point: Sequence[float], ways: dict[int, float], x: float) -> list[float]:
    """Return the point with the one input at x, or with several at the distance x along a line."""
    numbers = list(point)
    for i, way in ways.items():
        numbers[i] = x if len(ways) == 1 else numbers[i] + way * x
    return numbers


def _exchanged(rows: list[Row]) -> list[Row]:
    """Return the rows, those marked whose number is the derivative in another input."""
    return [row._replace(note=row.note + _mixed_up(row, rows)) for row in rows]


def _mixed_up(row: Row, rows: Sequence[Row]) -> str:
    if row.ok or row.ours is None:
        return ""
    for other in rows:
        agrees = abs(row.ours - other.numeric) <= 2.0 * other.error
        if agrees and other.error < 1e-6 * abs(other.numeric):
            return f"; that is the derivative in {other.input}: are the two exchanged?"
    return ""


# --- anybody's gradients --------------------------------------------------------------------------


def _foreign_rows(f: Callable[..., Any], gradient: Callable[..., Any], inputs: Inputs) -> list[Row]:
    try:
        found: list[Any] = _numbers(gradient(*inputs.on_floats(inputs.point)))
    except (ArithmeticError, ValueError) as error:
        found = [error] * len(inputs.point)
    if len(found) != len(inputs.point):
        names = ", ".join(inputs.names)
        message = f"gradient must return {len(inputs.point)} numbers ({names}); got {len(found)}"
        raise ValueError(message)
    same = repr(f(*inputs.on_floats(inputs.point))) == repr(f(*inputs.on_floats(inputs.point)))

    def along(ways: dict[int, float]) -> Callable[[float], float]:
        return lambda x: f(*inputs.on_floats(moved(inputs.point, ways, x)))

    judged = [
        judge(found[i], Curve(along({i: 1.0}), x, doubt=UNSEEN)) if same else not_repeatable()
        for i, x in enumerate(inputs.point)
    ]
    judged = _along_diagonals(found, judged, along, inputs.point)
    return [_row(*parts) for parts in zip(inputs.names, found, judged, strict=True)]


def _numbers(thing: Any) -> list[float]:
    """Return the numbers in nested lists, arrays or tensors, in order."""
    if hasattr(thing, "tolist"):
        thing = thing.tolist()
    if isinstance(thing, list | tuple):
        return [x for part in thing for x in _numbers(part)]
    return [float(thing)]
