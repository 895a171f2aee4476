"""What a check found: a verdict for every derivative, as data and as a table."""

from __future__ import annotations

from math import floor, isfinite, log10
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .verdict import Verdict

_WIDTH = 100  # columns
_MOST_RIGHT_ROWS = 12  # a model has hundreds of parameters, most of them right


class Row(NamedTuple):
    """The verdict on one derivative: our number beside that of differences, and its error.

    `ours` is None where there was an error instead of a number; `ok` is false where the derivative
    is wrong, or missing though there is one. `note` says what the numbers don't.
    """

    input: str
    ours: float | None
    numeric: float
    error: float
    verdict: Verdict
    ok: bool
    note: str


class Report:
    """The verdicts on all derivatives of a function: true if none is wrong, and a table as `str`.

    `rows` has one entry per derivative, `culprit` names the smallest part of the graph that is
    wrong by itself, `kinks` lists those that the evaluation sat on, `call` repeats the check.
    """

    def __init__(
        self, rows: Sequence[Row], *, culprit: str = "", kinks: Sequence[Any] = (), call: str = ""
    ) -> None:
        self.rows = list(rows)
        self.culprit = culprit
        self.kinks = list(kinks)
        self.call = call

    def __bool__(self) -> bool:
        return all(row.ok for row in self.rows)

    @property
    def wrong(self) -> list[Row]:
        """The derivatives that are wrong, or missing though they exist."""
        return [row for row in self.rows if not row.ok]

    @property
    def unclear(self) -> list[Row]:
        """The derivatives on which the differences are too noisy to tell."""
        return [row for row in self.rows if row.verdict == "too noisy to tell"]

    def __str__(self) -> str:
        """Return a line per derivative, then what is to be said of them."""
        right = [row for row in self.rows if row.verdict == "right"]
        hidden = len(right) if len(right) > _MOST_RIGHT_ROWS else 0
        shown = [row for row in self.rows if not (hidden and row.verdict == "right")]
        lines = _table(shown) if shown else []
        if hidden:
            lines.append(f"{'and ' if shown else ''}{hidden} right")
        said = [f"{row.input}: {row.note}" for row in shown if row.note]
        said += [str(kink) for kink in self.kinks]
        said += self.culprit.splitlines()
        for text in said:
            lines += wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        if not self and self.call:
            lines.append(f"again: {self.call}")
        return "\n".join(lines) or "nothing to check: no input"

    __repr__ = __str__


def _table(rows: Sequence[Row]) -> list[str]:
    cells = [("input", "ours", "differences", "verdict")]
    for row in rows:
        ours = "-" if row.ours is None else f"{row.ours:.10g}"
        # On a kink there are two slopes, and the note has them.
        slope = "-" if row.verdict == "kink" else _with_error(row.numeric, row.error)
        cells.append((row.input, ours, slope, row.verdict))
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    return [
        "  ".join(
            [cell.ljust(width) for cell, width in zip(line, widths, strict=False)] + [line[-1]]
        )
        for line in cells
    ]


def _with_error(x: float, error: float) -> str:
    # As many digits as the error leaves, and one more.
    if not (isfinite(x) and isfinite(error)):
        return "-"
    digits = 2 + floor(log10(abs(x) / error)) if x and 0.0 < error < abs(x) else 2
    return f"{x:.{min(max(digits, 2), 10)}g} ± {error:.0e}"
