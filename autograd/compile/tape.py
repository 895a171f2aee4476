"""The tape: a program of few instructions, each of them many operations.

An instruction is one code for a block of nodes, as a loop nest: `dims` says how often each loop
runs, the outermost first. Where an operand lies is a base and a stride for each loop; a code that
takes many terms (`dot`, `sum`, `max`) has one loop more over those. Where there is no such order,
a table has the places one by one.

There are two spaces of numbers. What all rows share lies in "shared", a number to a place: first
the arguments, then the constants, then what is computed. What varies lies in "row", a number *for
each row* to a place. Shared instructions run once, the others for every row (or for a block of
rows at once). Without rows everything is shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .names import Names

SHARED, ROW, RESULT = "shared", "row", "result"

TERMS = {"sum": (0,), "sum_in_order": (0,), "max": (0,), "dot": (1, 2), "dot_in_order": (1, 2)}
"""The codes that go through terms, and which of their operands do."""


def first_added(code: str) -> int:
    """Return the first term to add: a dot starts from an operand of its own, others from term 0."""
    return 0 if 0 not in TERMS[code] else 1


@dataclass(slots=True)
class Operand:
    """Where the numbers are: in node (i, j, …) and term k at base + i·strides[0] + … + term·k.

    A tuple in the place of `term` has the offset of each term from the first. A `table` has the
    place for each node and term, and nothing else counts then.
    """

    space: str
    base: int = 0
    strides: tuple[int, ...] = ()
    term: int | tuple[int, ...] = 0
    table: NDArray[Any] | None = None

    def reach(self, step: Instruction) -> tuple[int, int]:
        """Return the lowest and the highest place that an instruction's loops lead to."""
        low = high = self.base
        moves = [s * (n - 1) for s, n in zip(self.strides, step.dims, strict=True)]
        if isinstance(self.term, tuple):
            low, high = low + min(self.term), high + max(self.term)
        else:
            moves.append(self.term * (max(1, step.terms) - 1))
        return low + sum(min(0, x) for x in moves), high + sum(max(0, x) for x in moves)


@dataclass(slots=True)
class Instruction:
    """One code for `count` nodes in loops of `dims`, each of `terms` terms; it runs at `home`.

    Those of one `stage` may share their loops; what isn't `kept` is needed by nobody else.
    """

    home: str
    code: str
    dims: tuple[int, ...]
    terms: int
    operands: tuple[Operand, ...]
    out: Operand
    places: tuple[str, ...]
    stage: int = 0
    kept: bool = True

    @property
    def count(self) -> int:
        """How many nodes it computes."""
        product = 1
        for n in self.dims:
            product *= n
        return product


@dataclass(slots=True)
class Tape:
    """A program: its instructions, and the sizes of the spaces.

    `inputs` has (index of the argument's number, place) for those that are used; results that are
    summed over rows, or don't vary, are numbered from 0 in "result"; so are, apart, those of which
    each row has one.
    """

    shared: list[Instruction]
    rows: list[Instruction]
    constants: list[float]
    shared_inputs: int
    row_inputs: int
    shared_size: int
    row_size: int
    results: int
    row_results: int
    calls: tuple[tuple[str, int], ...]
    names: Names | None = None

    @property
    def instructions(self) -> int:
        """How many there are."""
        return len(self.shared) + len(self.rows)

    @property
    def operations(self) -> int:
        """How many operations one run makes, of those that vary for each row; a term is one."""
        both = self.shared + self.rows
        return sum(step.count * max(1, step.terms) for step in both)

    def __str__(self) -> str:
        from .listing import listing  # noqa: PLC0415  (for people only)

        return listing(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from .listing import html  # noqa: PLC0415  (as above)

        return html(self)
