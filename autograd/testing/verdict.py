"""One derivative against differences of its function: the verdict, and what probably went wrong."""

from __future__ import annotations

from math import fabs, inf, isfinite, log, nan, pi
from typing import Literal, NamedTuple, TypeGuard

from .differences import (
    LEFT,
    RIGHT,
    SEEN,
    UNKNOWN,
    Curve,
    Estimate,
    grows_without_bound,
    slope_close_by,
    slope_of,
)

Verdict = Literal[
    "right",
    "wrong",
    "kink",
    "too noisy to tell",
    "edge of the domain",
    "infinite or undefined",
]

_MARGIN = 2.0  # estimates between a derivative and its differences that are still agreement
_TIGHT = 1e-4  # an error that tells right from wrong, in units of the slopes nearby
_LOOSE_MARGIN = 5.0  # the same where the estimate is loose, and so is its bound
_DIM = 0.5  # an error, in units of the slopes nearby, that leaves a slope's sign to be seen
_VISIBLE = 1e-3  # a part of a number that is no mere rounding
_NEAR = 1e-7  # how close a ratio is to that of a known mistake, where differences see that far

# How far off the slope of a computed function may be without showing it, relative to the slope:
# where nobody sees inside (a solver that stops early), and where rounding is known at one point.
UNSEEN = 2e-7
KNOWN = 1e-8

# What a wrong derivative is, as a multiple of the right one, and what that suggests.
_FACTORS: dict[float, str] = {
    -1.0: "the sign",
    2.0: "a factor 2 too many",
    0.5: "a factor 2 is missing, or one of two equal contributions (missing accumulation)",
    -2.0: "the sign, and a factor 2 too many",
    -0.5: "the sign, and a factor 2 is missing",
    3.0: "a factor 3 too many",
    1.0 / 3.0: "a factor 3 is missing, or two of three equal contributions (missing accumulation)",
    2.0 / 3.0: "2 in the place of 3 as a factor, or one of three contributions is missing",
    1.5: "3 in the place of 2 as a factor",
    4.0: "a factor 4 too many",
    0.25: "a factor 4 is missing",
    log(10.0): "log for log10: a factor log 10 too many",
    1.0 / log(10.0): "log10 for log: a factor log 10 is missing",
    log(2.0): "log2 for log: a factor log 2",
    1.0 / log(2.0): "log for log2: a factor 1 / log 2",
    pi / 180.0: "degrees for radians: a factor π / 180",
    180.0 / pi: "radians for degrees: a factor 180 / π",
}


class Judgement(NamedTuple):
    """The verdict on one derivative, the number it was held against, and a bound on its error.

    `ok` is false where the derivative is wrong, or is missing though there is one. `note` says
    what a person needs to know beyond the numbers. `shape` says that f is defined on one side of
    the point only, or that it jumps there.
    """

    verdict: Verdict
    numeric: float
    error: float
    ok: bool = True
    note: str = ""
    shape: Literal["", "edge", "jump"] = ""


def judge(ours: float | Exception, curve: Curve) -> Judgement:
    """Return the verdict on `ours`, a curve's derivative at its point or the error it raised."""
    around = slope_of(curve)
    if _is_told(ours) and _agree(ours, around) and _is_tight(around, ours):
        return Judgement("right", around.derivative, around.error)
    look = _Look(curve, around, slope_of(curve, LEFT), slope_of(curve, RIGHT))
    return look.told(ours) if _is_told(ours) else look.missing(ours)


def _is_told(ours: float | Exception) -> TypeGuard[float]:
    return isinstance(ours, float) and isfinite(ours)


def _agree(ours: float, estimate: Estimate) -> bool:
    return fabs(ours - estimate.derivative) <= _MARGIN * estimate.error


def _is_tight(estimate: Estimate, ours: float = 0.0) -> bool:
    return estimate.error <= _TIGHT * max(estimate.scale, fabs(ours)) or (
        estimate.scale == 0.0 == ours and isfinite(estimate.error)  # constant to the last bit
    )


def not_repeatable() -> Judgement:
    """Return the verdict on every derivative of a function that answers differently each time."""
    note = "the function gives another value each time: fix its seed"
    return Judgement("too noisy to tell", nan, inf, note=note)


def corner_forgiven(found: Judgement) -> Judgement:
    """Return the verdict for a point on a kink: at a corner of the domain, any will do.

    Where an operand can be moved one way only, there are no two slopes to lie between.
    """
    if found.shape == "edge" and not found.ok:
        return found._replace(verdict="edge of the domain", ok=True, note="a corner of the domain")
    return found


class _Look(NamedTuple):
    """What can be seen of a curve at its point: differences around it, and on either side."""

    curve: Curve
    around: Estimate
    left: Estimate
    right: Estimate

    def told(self, ours: float) -> Judgement:
        """Return the verdict on a finite number that the differences around x don't confirm."""
        left, right = self.left, self.right
        if self._is_drowned():
            return self._noisy(min(self.around, left, right, key=_error))
        if _is_tight(left) and _is_tight(right):
            return self._from_both_sides(ours)
        for one, other, sign in ((left, right, -1.0), (right, left, 1.0)):
            if other is UNKNOWN and one is not UNKNOWN:
                return self._edge(ours, one, sign)
        if _is_tight(self.around):
            return self._smooth(ours, self.around)
        return self._unclear(ours)

    def _from_both_sides(self, ours: float) -> Judgement:
        if self._is_elsewhere():
            value, limit = self.curve.at(self.curve.x), self.left.limit
            note = f"the function is {value:g} here and tends to {limit:g}: it has no derivative"
            return Judgement("infinite or undefined", nan, inf, note=note)
        if self._is_staircase() and _agree(ours, self.around):
            return self._noisy(self.around)
        if self._is_jump() or self.left.differs(self.right):
            return self._kink(ours)
        tight = [*filter(_is_tight, (self.around, self.left, self.right))]
        best = min(tight, key=_error)
        if best.scale == 0.0:  # all constant: the side that flattens out says least of the slope
            best = max(tight, key=_error)
        return self._smooth(ours, best)

    def missing(self, ours: float | Exception) -> Judgement:
        """Return the verdict where there is no finite number to judge: an error, inf or nan."""
        what = f"ours is missing: {ours}" if isinstance(ours, Exception) else f"ours is {ours}"
        left, right = self.left, self.right
        if _is_tight(self.around):
            best = self.around
        elif _is_tight(left) and _is_tight(right) and not left.differs(right):
            best = min(left, right, key=_error)
        else:
            if _is_tight(left) and _is_tight(right):
                what += f"; differences give {left.derivative:.6g} on the left of the point "
                what += f"and {right.derivative:.6g} on its right"
            return Judgement("infinite or undefined", self.around.derivative, inf, note=what)
        what += ", though the function has a derivative here"
        return Judgement("infinite or undefined", best.derivative, best.error, ok=False, note=what)

    def _is_jump(self) -> bool:
        gap = fabs(self.left.limit - self.right.limit)
        return gap > 10.0 * (self.left.limit_error + self.right.limit_error)

    def _is_elsewhere(self) -> bool:
        # The one point where the function is something else, as where(x, 1, 0) is at 0.
        gaps = [
            fabs(self.curve.at(self.curve.x) - side.limit)
            > 10.0 * (side.limit_error + self.curve.rounding(fabs(side.limit)))
            for side in (self.left, self.right)
        ]
        return all(gaps) and not self._is_jump()

    def _is_drowned(self) -> bool:
        # tan(sinh(66)): its value is all rounding, and jumps about between neighbouring doubles.
        x, own, y = self.curve.x, self.curve.own, self.curve.at(self.curve.x)
        others = [self.curve.at(x + part * own) for part in (-0.5, -0.04, 0.04, 0.5)]
        rises = [fabs(other - y) for other in others if isfinite(other)]
        return self.curve.noise > max([_VISIBLE * fabs(y), *rises])

    def _is_staircase(self) -> bool:
        # Constant on either side, and seen from afar a slope: rounding, as in (x + 1e16) - 1e16.
        flat = self.left.scale == self.right.scale == 0.0
        return flat and self.around.error < SEEN * self.around.scale

    def _kink(self, ours: float) -> Judgement:
        low, high = sorted((self.left, self.right))
        error = max(low.error, high.error)
        margin = _MARGIN * error
        ok = low.derivative - margin <= ours <= high.derivative + margin
        shape: Literal["", "jump"] = "jump" if self._is_jump() else ""
        note = (
            f"{'it jumps here: ' if shape else ''}the slope is {self.left.derivative:.6g} on the "
            f"left and {self.right.derivative:.6g} on the right; ours "
            f"{'lies between' if ok else 'does not lie between'}"
        )
        middle = 0.5 * (low.derivative + high.derivative)
        return Judgement("kink", middle, error, ok, note, shape)

    def _smooth(self, ours: float, estimate: Estimate) -> Judgement:
        # Of a constant all that can be said is that no rise is as large as a rounding.
        margin = _LOOSE_MARGIN if estimate.scale == 0.0 else _MARGIN
        if not self._differ(ours, estimate, margin):
            if _is_tight(estimate, ours):
                return Judgement("right", estimate.derivative, estimate.error)
            return self._noisy(estimate)
        return self._wrong(ours, estimate)

    def _differ(self, ours: float, estimate: Estimate, margin: float) -> bool:
        apart = fabs(ours - estimate.derivative)
        return apart > margin * estimate.error + self.curve.doubt * estimate.scale

    def _edge(self, ours: float, one: Estimate, sign: float) -> Judgement:
        # Where the slope tends to 0 like √h, the estimate on the narrowest interval is all noise
        # to itself; it is judged by the slopes farther in.
        x, step = self.curve.x, 0.5 * self.curve.own
        afar = fabs(self.curve.at(x + sign * step) - self.curve.at(x)) / step
        if _is_tight(one, max(afar, fabs(ours)) if isfinite(afar) else ours):
            # Functions are seldom smooth at the edge of their domain: the bound is a loose one.
            if self._differ(ours, one, _LOOSE_MARGIN):
                return self._wrong(ours, one)._replace(shape="edge")
            side = "right" if sign > 0.0 else "left"
            note = f"the function is defined on the {side} of this point only"
            return Judgement(
                "edge of the domain", one.derivative, one.error, note=note, shape="edge"
            )
        return self._unclear(ours)

    def _unclear(self, ours: float) -> Judgement:
        if grows_without_bound(self.curve):
            note = f"the differences grow without bound as their step shrinks; ours is {ours:g}"
            return Judgement("infinite or undefined", nan, inf, ok=False, note=note)
        views = (self.around, self.left, self.right)
        best = min(views, key=_error)
        seen = best.error <= _DIM * best.scale
        if seen and all(self._differ(ours, view, _LOOSE_MARGIN) for view in views):
            return self._wrong(ours, best)
        return self._noisy(best)

    def _noisy(self, best: Estimate) -> Judgement:
        return Judgement("too noisy to tell", best.derivative, best.error, note=self._help(best))

    def _help(self, best: Estimate) -> str:
        if best is UNKNOWN:
            return "the function can't be evaluated around this point"
        if best.scale == 0.0:
            return "the function is constant to the last digit around this point: try another"
        return (
            f"the differences are off by up to {best.error / best.scale:.1g} times the slope here: "
            "compute the function more exactly (in float64, with less cancellation), rescale it, "
            "or try another point"
        )

    def _wrong(self, ours: float, estimate: Estimate) -> Judgement:
        close_by = slope_close_by(self.curve)
        seen = close_by.error <= SEEN * close_by.scale
        if seen and _agree(ours, close_by) and close_by.differs(estimate):
            return self._noisy(estimate._replace(error=fabs(ours - estimate.derivative)))
        numeric, error = estimate.derivative, estimate.error
        apart = fabs(ours - numeric) / error if error else inf
        note = f"off by {apart:.1g} times the error bound"
        if numeric:
            note += f", {ours / numeric:.9g} times the differences"
        cause = self._cause(ours, estimate)
        note = f"{note}: {cause}" if cause else note
        return Judgement("wrong", numeric, error, ok=False, note=note)

    def _cause(self, ours: float, estimate: Estimate) -> str:
        if ours == 0.0:
            return "no gradient comes through (a graph cut by .data or float, another branch?)"
        if estimate.error < _VISIBLE * fabs(estimate.derivative):
            near = max(_NEAR, _MARGIN * estimate.error / fabs(estimate.derivative))
            for factor, words in _FACTORS.items():
                if fabs(ours / estimate.derivative / factor - 1.0) < near:
                    return words
        x = self.curve.x
        for place in (-x, 0.5 * x, 1.5 * x, x - 1.0, x + 1.0):
            there = slope_of(self.curve._replace(x=place))
            if _is_tight(there) and _agree(ours, there) and there.differs(estimate):
                return f"a branch: that is the slope at {place:.6g}"
        return ""


def _error(estimate: Estimate) -> float:
    return estimate.error
