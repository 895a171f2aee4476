"""One operation against its record: value, local derivatives, second order, domain and kinks."""

from __future__ import annotations

from itertools import product
from math import fabs, inf, isfinite, isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.backward import differentiate
from autograd.op import Interval, Op, to_float
from autograd.value import Value, plain

from .differences import Curve
from .locate import domain_of
from .report import Report, Row
from .verdict import Judgement, judge

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

_SAMPLES = (0.37, -0.61, 1.43, -1.9, 3.1, 0.05, -7.3, 11.7)
_FRACTIONS = (0.41, 0.13, 0.77, 0.59, 0.29, 0.91, 0.05, 0.67)
_SPECIAL = (0.0, 1.0, -1.0)  # where kinks lie, and where operands tie
_VARIADIC = 4  # operands that an operation of any number is tried with: even, for dot's pairs
_EXACT = 1e-9  # how well a rule on Values has to repeat its own number on floats


class Check(NamedTuple):
    """One comparison: what was compared, at which point, our number and the verdict."""

    what: str
    point: tuple[float, ...]
    ours: float | Exception | None
    found: Judgement

    def row(self) -> Row:
        """Return it as a row of a report."""
        ours = self.ours if isinstance(self.ours, float) else None
        note = self.found.note and f"at {self.point}: {self.found.note}"
        found = self.found
        return Row(self.what, ours, found.numeric, found.error, found.verdict, found.ok, note)


def check_operation(op: Op) -> Report:
    """Return the verdict on all that an operation's record says, at points of its domain.

    There is a row for each local derivative, each derivative of that one, the domain of each
    operand and each kink: the first wrong comparison of its kind or, if none is wrong, the last.
    """
    rows: dict[str, Row] = {}
    wrong: set[str] = set()  # what needs no second look
    for checks in (derivative_checks(op, wrong), domain_checks(op), kink_checks(op)):
        for check in checks:
            if check.what not in rows or _says_more(check.row(), rows[check.what]):
                rows[check.what] = check.row()
            if not check.found.ok:
                wrong.add(check.what)
    return Report(list(rows.values()), call=f"check_gradients(autograd.{op.name})")


def _says_more(new: Row, old: Row) -> bool:
    return old.ok and (not new.ok or new.verdict != "too noisy to tell")


def derivative_checks(op: Op, wrong: Container[str] = ()) -> Iterator[Check]:
    """Yield a check per local derivative, and per derivative of that, at points of the domain.

    What is in `wrong` is passed over.

    Raises:
        TypeError: if `forward` doesn't return a float, or a derivative doesn't run on Values.

    """
    for point, y in values(op):
        if isfinite(y) and not any(kink.holds(*point) for kink in op.kinks):
            for index in range(len(point)):
                if f"∂/∂operand {index + 1}" not in wrong:
                    yield from _checks_at(op, index, point, wrong)


def values(op: Op) -> Iterator[tuple[tuple[float, ...], float]]:
    """Yield points of the domain, each with the operation's value there; none without a value.

    Raises:
        TypeError: if `forward` doesn't return a float.

    """
    for point in _points(op):
        try:
            y = op.evaluate(*point)
        except (ArithmeticError, ValueError):
            continue
        if type(y) is not float:
            message = f"{op.name}: forward must return a float; got {y!r} ({type(y).__name__})"
            raise TypeError(message)
        yield point, y


def _points(op: Op) -> Iterator[tuple[float, ...]]:
    for number in range(len(_SAMPLES)):
        # A stride of its own for each operand, so that no two stay equal.
        yield tuple(
            _inside(domain_of(op, i), number * (2 * i + 1) + i)
            for i in range(op.arity or _VARIADIC)
        )


def _inside(interval: Interval, number: int) -> float:
    low, high = interval[:2]
    sample = _SAMPLES[number % len(_SAMPLES)]
    if low == -inf and high == inf:
        return sample
    if low == -inf:
        return high - fabs(sample)
    if high == inf:
        return low + fabs(sample)
    return low + (high - low) * _FRACTIONS[number % len(_FRACTIONS)]


def _checks_at(
    op: Op, index: int, point: tuple[float, ...], wrong: Container[str]
) -> Iterator[Check]:
    if domain_of(op, index).low == domain_of(op, index).high:
        return  # one number only, such as the order of polygamma

    def value_along(x: float) -> float:
        return op.evaluate(*_with(point, index, x))

    ours = _local(op, index, point)
    found = judge(ours, Curve(value_along, point[index], *domain_of(op, index)[:2]))
    yield Check(f"∂/∂operand {index + 1}", point, ours, found)
    if isinstance(ours, Exception):
        return
    lifted = _lifted(op, index, point)
    if lifted is None:
        return
    xs, slope = lifted
    if not fabs(plain(slope) - ours) <= _EXACT * fabs(ours):
        note = f"on Values the derivative is {plain(slope)!r}"
        odd = Judgement("wrong", nan, inf, ok=False, note=note)
        yield Check(f"∂/∂operand {index + 1} on Values", point, ours, odd)
        return
    for other, x in enumerate(xs):
        which = f"∂²/∂operand {index + 1}²"
        if other != index:
            which = f"∂²/∂operand {index + 1}∂operand {other + 1}"
        if which in wrong:
            continue

        def partial_along(x: float, other: int = other) -> float:
            slope = _local(op, index, _with(point, other, x))
            return nan if isinstance(slope, Exception) else slope

        second = _derivative(slope, x)
        curve = Curve(partial_along, point[other], *domain_of(op, other)[:2])
        yield Check(which, point, second, judge(second, curve))


def _with(point: Sequence[float], index: int, x: float) -> tuple[float, ...]:
    return (*point[:index], x, *point[index + 1 :])


def _local(op: Op, index: int, point: Sequence[float]) -> float | Exception:
    """Return the local derivative by the operation's rule, or the error that it raises."""
    try:
        return plain(_by_rule(op, index, op.evaluate(*point), point))
    except (ArithmeticError, ValueError) as error:
        return error


def _by_rule(op: Op, index: int, y: Any, operands: Sequence[Any]) -> Any:
    local = op.local(index, y, operands)
    return local if type(local) is Value else to_float(local, f"{op.name}: a partial's result")


def _lifted(op: Op, index: int, point: Sequence[float]) -> tuple[list[Value], Any] | None:
    """Return Values at the point and the rule's derivative in one of them, with its graph."""
    xs = [Value(x) for x in point]
    try:
        return xs, _by_rule(op, index, xs[0].record(op, tuple(xs)), xs)
    except TypeError as error:
        message = (
            f"{op.name}: the derivative in operand {index + 1} must run on Values, too, for "
            f"second derivatives: use autograd's functions in it ({error})"
        )
        raise TypeError(message) from None
    except (ArithmeticError, ValueError):
        return None


def _derivative(y: Any, x: Value) -> float | Exception:
    if type(y) is not Value:
        return 0.0
    try:
        return plain(differentiate(y, [x], lift=False)[0])
    except (ArithmeticError, ValueError) as error:
        return error


# --- what is declared -----------------------------------------------------------------------------


def domain_checks(op: Op) -> Iterator[Check]:
    """Yield a check per operand: `forward` is finite throughout its interval, and never nan.

    Outside, it may raise; a nan without an error would be silent.
    """
    for point in _points(op):
        for index in range(len(point)):
            low, high = domain_of(op, index)[:2]
            inside = [x for x in (point[index], *_near_the_ends(low, high)) if low < x < high]
            outside = [low - 1.0, low - 1e-3, high + 1e-3, high + 1.0]
            problem = _problem(op, point, index, inside, [x for x in outside if isfinite(x)])
            verdict = Judgement(
                "wrong" if problem else "right", nan, inf, ok=not problem, note=problem
            )
            yield Check(f"domain of operand {index + 1}", point, None, verdict)


def _near_the_ends(low: float, high: float) -> list[float]:
    width = min(high - low, 1.0)
    return [low + 1e-3 * width, low + 1e-9 * width, high - 1e-3 * width, high - 1e-9 * width]


def _problem(
    op: Op, point: Sequence[float], index: int, inside: Sequence[float], outside: Sequence[float]
) -> str:
    for x in (*inside, *outside):
        moved = _with(point, index, x)
        try:
            y = op.forward(*moved)
        except (ArithmeticError, ValueError) as error:
            if x in inside and _is_inside(op, moved):
                return f"{op.call_text(moved)} raises {error!r}, though it lies in the domain"
        else:
            if isnan(y):
                return f"{op.call_text(moved)} is nan: raise a ValueError, or narrow the domain"
    return ""


def _is_inside(op: Op, point: Sequence[float]) -> bool:
    return all(x in domain_of(op, index) for index, x in enumerate(point))


def kink_checks(op: Op) -> Iterator[Check]:
    """Yield a check per kink and operand, at points where operands are 0, ±1 or tie.

    A declared subgradient is what the rule returns and, where the operand can be moved either way,
    lies between the slopes on the two sides; a kink that differences find is declared.
    """
    for point in _special_points(op):
        kink = next((kink for kink in op.kinks if kink.holds(*point)), None)
        for index in range(len(point)):
            interval = domain_of(op, index)
            if interval.low == interval.high:
                continue

            def along(x: float, index: int = index, point: Sequence[float] = point) -> float:
                return op.evaluate(*_with(point, index, x))

            ours = _local(op, index, point)
            found = judge(ours, Curve(along, point[index]))
            if kink is not None:
                which = f"kink at {kink.at}: ∂/∂operand {index + 1}"
                declared = kink.subgradient(*point)[index]
                yield Check(which, point, ours, _declared(declared, ours, found))
            elif found.verdict == "kink" and found.shape != "jump":  # atan2 jumps at its cut
                note = f"{found.note}: declare it, kinks=[Kink(...)]"
                which = f"∂/∂operand {index + 1} on a kink that isn't declared"
                yield Check(which, point, ours, found._replace(ok=False, note=note))


def _special_points(op: Op) -> Iterator[tuple[float, ...]]:
    if op.arity is None:
        return
    for point in product((*_SPECIAL, 0.37), repeat=op.arity):
        try:
            op.evaluate(*point)
        except (ArithmeticError, ValueError):
            continue
        yield point


def _declared(declared: float, ours: float | Exception, found: Judgement) -> Judgement:
    if ours != declared:
        note = f"{declared:g} is declared, the rule returns {ours}"
        return found._replace(verdict="wrong", ok=False, note=note)
    if found.shape == "edge":  # a corner of the domain: there is nothing to lie between
        return found._replace(verdict="edge of the domain", ok=True)
    return found
