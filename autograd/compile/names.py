"""What the places of a program are called: `w[3]` by the function's arguments, `result[1][0]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .options import Options
    from .structure import Structure
    from .trace import Traced


class Segment(NamedTuple):
    """Places one after the other that are the numbers of one thing: its name, and its shape.

    The shape of a number is (), of a list of n numbers (n,), of m such lists (m, n).
    """

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many places there are."""
        product = 1
        for n in self.shape:
            product *= n
        return product


class Argument(NamedTuple):
    """An argument by its name, its structure, and whether there is one for each row."""

    name: str
    structure: Structure
    varies: bool


class Names(NamedTuple):
    """The arguments in order, and the result: its structure, and which numbers each row has.

    `function` is the function's own name; `guards` are the decisions, in words; `reduce` is what
    becomes of the results of the rows.
    """

    function: str
    arguments: tuple[Argument, ...]
    result: Structure
    each_row: tuple[bool, ...]
    guards: tuple[str, ...]
    reduce: str | None

    def of_arguments(self, *, varies: bool) -> list[Segment]:
        """Return what lies first in the space of the rows, or in the shared one."""
        own = [x for x in self.arguments if x.varies == varies]
        return [part for x in own for part in segments(x.name, x.structure)]

    def of_results(self, *, each_row: bool) -> list[Segment]:
        """Return the results, those that each row has or the others, and the guards' counts."""
        found = []
        at = 0
        for part in segments("result", self.result):
            kinds = self.each_row[at : at + part.size]
            if len({*kinds}) == 1:
                found += [part] if kinds[0] == each_row else []
            else:
                numbers = [Segment(f"{part.name}[{i}]", ()) for i in range(part.size)]
                found += [x for x, kind in zip(numbers, kinds, strict=True) if kind == each_row]
            at += part.size
        if not each_row:
            found += [Segment(f"guard[{i + 1}]", ()) for i in range(len(self.guards))]
        return found


def names_of(
    function: str,
    arguments: Sequence[str],
    structures: Sequence[Structure],
    options: Options,
    traced: Traced,
) -> Names:
    """Return the names in a trace; what it has captured comes behind the arguments."""
    known = [
        Argument(name, structure, i in options.rows)
        for i, (name, structure) in enumerate(zip(arguments, structures, strict=True))
    ]
    if traced.captured:
        known.append(Argument("captured", (list, len(traced.captured)), varies=False))
    guards = tuple(map(str, traced.decisions))
    own = tuple(known)
    return Names(function, own, traced.result, traced.outputs, guards, options.reduce)


def segments(name: str, structure: Structure) -> Iterator[Segment]:
    """Yield the parts of a structure that have a shape: one, or several where lists differ."""
    shape = shape_of(structure)
    if shape is not None:
        yield Segment(name, shape)
        return
    for i, part in enumerate(structure[1]):
        yield from segments(f"{name}[{i}]", part)


def shape_of(structure: Structure) -> tuple[int, ...] | None:
    """Return the shape of what has one, as arrays have, or None."""
    if structure is None:
        return ()
    _, parts = structure
    if isinstance(parts, int):
        return (parts,)
    shapes = {shape_of(part) for part in parts}
    (shape,) = shapes if len(shapes) == 1 else (None,)
    return None if shape is None else (len(parts), *shape)
