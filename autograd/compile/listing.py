"""The tape as a table for people: a line for each instruction, in the words of mathematics.

A line has the instruction's number, how often it is done, where in the function it comes from (∂
is its derivative there), and what it does. Arguments have the function's own names; s[7] and r[7]
are places for what is computed: s for a number that all rows share, r for one of each row. A place
is used again when what was in it isn't needed any more; in both, the arguments come first.
`w[0..4]` are the numbers from w[0] to w[4], `(w[0], w[5], .., w[20])` those that lie 5 apart, and
flat(w) are all the numbers of nested lists in order. Where an instruction has several loops, or
sums up many terms, the indices are written out:

    for i < 6:  r[i + 10] = w[5i + 4] + the sum over k < 4 of w[5i + k] · x[k]
"""

from __future__ import annotations

from bisect import bisect_right
from html import escape
from itertools import accumulate, pairwise
from typing import NamedTuple

from .graph import CALL
from .names import Segment, shape_of
from .structure import size
from .tape import RESULT, ROW, SHARED, TERMS, Instruction, Operand, Tape

EACH_ROW = "each row"  # the results that each row has, apart from the others
RAW = {SHARED: "s", ROW: "r", RESULT: "flat(result)", EACH_ROW: "flat(result)"}
ADDED_UP = ("add_up", "add_product")
LETTERS = "ijlmnpqtuv"  # of the loops; k is that of the terms
FEW = 3  # places that are written one by one, of those that follow no rule

WORDS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} · {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "|{0}|",
    "copy": "{0}",
    "store": "{0}",
    "fma": "{0} · {1} + {2}",
    "fms": "{0} · {1} - {2}",
    "fnma": "{2} - {0} · {1}",
    "pow": "{0} ** {1}",
    "if_less": "{2} if {0} < {1} else {3}",
    "if_less_equal": "{2} if {0} <= {1} else {3}",
    "if_equal": "{2} if {0} == {1} else {3}",
    "maximum": "max({0}, {1})",
    "minimum": "min({0}, {1})",
    "add_up": "{0}",
    "add_product": "{0} · {1}",
}
"""What a code does; every other is a function by its name."""


class Line(NamedTuple):
    """An instruction for people."""

    number: str
    times: str
    source: str
    text: str


HEADER = Line("", "times", "from", "what")


def listing(tape: Tape) -> str:
    """Return the program as text."""
    blocks = [_head(tape)]
    for title, lines in _parts(tape):
        widths = [max(map(len, column)) for column in zip(HEADER, *lines, strict=True)]
        table = [
            f"{number:>{widths[0]}}  {times:>{widths[1]}}  {source:<{widths[2]}}  {text}"
            for number, times, source, text in [HEADER, *lines]
        ]
        blocks.append([title, *table])
    return "\n\n".join("\n".join(block) for block in blocks)


def html(tape: Tape) -> str:
    """Return the program as tables for a notebook."""
    parts = [f"<p>{'<br>'.join(map(escape, _head(tape)))}</p>"]
    for title, lines in _parts(tape):
        rows = [_html_row("th", HEADER), *[_html_row("td", line) for line in lines]]
        parts.append(f"<p>{escape(title)}</p><table>{''.join(rows)}</table>")
    return "".join(parts)


def _html_row(tag: str, line: Line) -> str:
    cells = [f'<{tag} style="text-align: left">{escape(x)}</{tag}>' for x in line]
    return f"<tr>{''.join(cells)}</tr>"


def _head(tape: Tape) -> list[str]:
    operations, steps = _many(tape.operations, "operation"), _many(tape.instructions, "instruction")
    memory = [f"memory: {_many(tape.shared_size, 'number')}"]
    if tape.rows:
        memory[0] += " that all rows share"
        memory.append(f"{tape.row_size:,} of each row")
    if tape.names is None:
        return [f"{operations} in {steps}", ", ".join(memory)]
    arguments = [
        f"{x.name} ({_kind(x.structure)}{' of each row' if x.varies else ''})"
        for x in tape.names.arguments
    ]
    return [
        f"{tape.names.function}: {operations} in {steps}",
        f"arguments: {', '.join(arguments)}",
        ", ".join(memory),
    ]


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _kind(structure: object) -> str:
    # What an argument is, in words.
    shape = shape_of(structure)
    if shape == ():
        return "a number"
    if shape is None or len(shape) == 1:
        return _many(size(structure), "number")
    return " × ".join(map(str, shape)) + " numbers"


def _parts(tape: Tape) -> list[tuple[str, list[Line]]]:
    words = _Words(tape)
    number = 0
    parts = []
    each = "for each row"
    if tape.names is not None and tape.names.reduce == "mean":
        each += " (their number divides the results in the end)"
    for title, steps in (("once:", tape.shared), (f"{each}:", tape.rows)):
        lines = [
            Line(f"{number + i}", _times(step), _source(step), words.line(step))
            for i, step in enumerate(steps, start=1)
        ]
        number += len(steps)
        if lines:
            parts.append((title if tape.rows else "in this order:", lines))
    return parts


def _times(step: Instruction) -> str:
    loops = [str(n) for n in step.dims if n > 1] or ["1"]
    terms = f", {step.terms} terms" if step.code in TERMS else ""
    return " × ".join(loops) + terms


def _source(step: Instruction) -> str:
    known = [place for place in step.places if place]
    return ", ".join(known[:2]) + (", .." if len(known) > 2 else "")  # noqa: PLR2004  (two)


class _Words:
    """What operands are called, and instructions in words."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.constants = range(tape.shared_inputs, tape.shared_inputs + len(tape.constants))
        self.segments: dict[str, list[tuple[int, Segment]]] = {}
        if tape.names is not None:
            of_arguments, of_results = tape.names.of_arguments, tape.names.of_results
            self.segments = {
                SHARED: _placed(of_arguments(varies=False)),
                ROW: _placed(of_arguments(varies=True)),
                RESULT: _placed(of_results(each_row=False)),
                EACH_ROW: _placed(of_results(each_row=True)),
            }

    def line(self, step: Instruction) -> str:
        """Return what an instruction does."""
        letters = dict(zip(LETTERS, step.dims, strict=False))
        loops = {letter: n for letter, n in letters.items() if n > 1}
        is_sum = step.code in TERMS
        self.loops = letters if len(loops) > 1 or (is_sum and loops) or is_sum else None
        out = self._operand(step, step.out, terms=False)
        along = TERMS.get(step.code, ())
        xs = [self._operand(step, x, terms=i in along) for i, x in enumerate(step.operands)]
        before = f"for {', '.join(f'{x} < {n}' for x, n in loops.items())}:  "
        sign = "+=" if step.code in ADDED_UP else "="
        return f"{before if self.loops and loops else ''}{out} {sign} {self._formula(step, xs)}"

    def _formula(self, step: Instruction, xs: list[str]) -> str:
        code = step.code
        if code in TERMS:
            which = "the greatest" if code == "max" else "the sum"
            total = f"{which} over k < {step.terms} of {' · '.join(xs[-len(TERMS[code]) :])}"
            starts = code.startswith("dot") and xs[0] not in ("0", "-0")
            return f"{xs[0]} + {total}" if starts else total
        if code == "store" and self._is_weighted(step):
            return f"{xs[0]} · the number of rows"
        if code in WORDS:
            return WORDS[code].format(*xs)
        by = " by Python" if code.startswith(CALL) else ""
        return f"{code.removeprefix(CALL)}({', '.join(xs)}){by}"

    def _is_weighted(self, step: Instruction) -> bool:
        names = self.tape.names
        return step.home == SHARED and names is not None and names.reduce is not None

    # --- operands --------------------------------------------------------------------------------

    def _operand(self, step: Instruction, operand: Operand, *, terms: bool) -> str:
        space = operand.space
        if space == RESULT and step.home == ROW and step.code == "store":
            space = EACH_ROW
        if operand.table is not None:
            every = operand.table if terms else operand.table[:, :1]
            listed = self._listed(space, every.reshape(-1).tolist())
            is_tuple = self.loops is not None and listed.startswith("(")
            return f"{listed}[{self._flat(every.shape[1])}]" if is_tuple else listed
        if self.loops is not None:
            return self._indexed(step, operand, space, terms=terms)
        (n, stride), *_ = [
            *[(n, s) for n, s in zip(step.dims, operand.strides, strict=True) if n > 1],
            (1, 0),
        ]
        places = [operand.base + i * stride for i in range(n)]
        if stride == 0 or n == 1:
            return self._name(space, operand.base)
        return self._listed(space, places)

    def _flat(self, width: int) -> str:
        # Which of a table's places it is, for the node i, j, … and the term k.
        moves = [("k", width, 1)] if width > 1 else []
        for letter, n in reversed(self.loops.items()):  # type: ignore[union-attr]  # asked for
            if n > 1:
                moves.insert(0, (letter, n, width))
            width *= n
        (index,) = _axes(0, moves, (0,)) or [""]
        return index

    def _listed(self, space: str, places: list[int]) -> str:
        if len({*places}) == 1:
            return self._name(space, places[0])
        steps = {b - a for a, b in pairwise(places)}
        shown = [self._name(space, place) for place in places]
        lists = {name.rpartition("[")[0] for name in shown}
        if self.loops is None and steps == {1} and len(lists) == 1 and "" not in lists:
            return f"{shown[0].removesuffix(']')}..{shown[-1].rpartition('[')[2]}"
        if len(shown) > FEW + 1:
            shown = [*shown[: 2 if len(steps) == 1 else FEW], "..", shown[-1]]
        return f"({', '.join(shown)})"

    def _name(self, space: str, place: int) -> str:
        if space == SHARED and place in self.constants:
            number = self.tape.constants[place - self.tape.shared_inputs]
            return repr(number).removesuffix(".0")
        start, segment = self._segment(space, place)
        return segment.name + "".join(f"[{i}]" for i in _digits(place - start, segment.shape))

    def _segment(self, space: str, place: int) -> tuple[int, Segment]:
        known = self.segments.get(space, [])
        at = bisect_right(known, place, key=lambda x: x[0]) - 1
        if at >= 0:
            start, segment = known[at]
            if place < start + segment.size:
                return start, segment
        # The first index has no bound.
        return 0, Segment(RAW[space], (0,))

    def _indexed(self, step: Instruction, operand: Operand, space: str, *, terms: bool) -> str:
        # base + stride · letter + …, index by index of the thing that the place lies in.
        moves = [
            (letter, n, stride)
            for (letter, n), stride in zip(self.loops.items(), operand.strides, strict=True)  # type: ignore[union-attr]  # asked for
            if n > 1 and stride
        ]
        if terms and isinstance(operand.term, int) and operand.term and step.terms > 1:
            moves.append(("k", step.terms, operand.term))
        low, high = operand.reach(step)
        if not moves and low == high:
            return self._name(space, operand.base)
        start, segment = self._segment(space, low)
        if self._segment(space, high)[0] != start:
            start, segment = 0, Segment(RAW[space], (0,))
        axes = _axes(operand.base - start, moves, segment.shape)
        if axes is None:
            # From list to list: counted through.
            segment = Segment(f"flat({segment.name})", (0,))
            axes = _axes(operand.base - start, moves, segment.shape)
        assert axes is not None  # noqa: S101  (an index without a bound has no carry)
        if terms and isinstance(operand.term, tuple):
            axes[-1] += f" + {_short(operand.term)}[k]"
        return segment.name + "".join(f"[{x}]" for x in axes)


def _placed(parts: list[Segment]) -> list[tuple[int, Segment]]:
    starts = accumulate([part.size for part in parts], initial=0)
    return list(zip(starts, parts, strict=False))


def _digits(offset: int, shape: tuple[int, ...]) -> list[int]:
    # The indices of the number at that offset; the first has no bound.
    digits: list[int] = []
    for n in reversed(shape[1:]):
        offset, digit = divmod(offset, n)
        digits.insert(0, digit)
    return [offset, *digits] if shape else []


def _axes(base: int, moves: list[tuple[str, int, int]], shape: tuple[int, ...]) -> list[str] | None:
    """Return the index along each axis as a sum; None if a step in one leads over into another."""
    first = _digits(base, shape)
    steps = [
        (letter, n, [d if stride > 0 else -d for d in _digits(abs(stride), shape)])
        for letter, n, stride in moves
    ]
    axes = []
    for axis, start in enumerate(first):
        ways = [(letter, digits[axis], (n - 1) * digits[axis]) for letter, n, digits in steps]
        low = start + sum(min(0, way) for *_, way in ways)
        high = start + sum(max(0, way) for *_, way in ways)
        if axis and not 0 <= low <= high < shape[axis]:
            return None
        terms = [f"{_factor(step)}{letter}" for letter, step, _ in ways if step]
        if start or not terms:
            # In the last place, but for a sum that would begin with a minus.
            terms.insert(0 if terms and terms[0].startswith("-") else len(terms), str(start))
        axes.append(" + ".join(terms).replace("+ -", "- "))
    return axes


def _factor(step: int) -> str:
    return {1: "", -1: "-"}.get(step, str(step))


def _short(offsets: tuple[int, ...]) -> str:
    shown = [str(x) for x in offsets]
    if len(shown) > 2 * FEW:
        shown = [*shown[:FEW], "..", shown[-1]]
    return f"({', '.join(shown)})"
