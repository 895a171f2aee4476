"""Where computed numbers are kept: blocks of places, used again when nobody needs them any more."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from .tape import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .tape import Instruction, Operand

LINE = 8  # numbers in a line of the processor's cache

# Until the program is complete, places are numbered as if there were no end of them, so far apart
# that no loop leads from one kind to the next by accident.
CONSTANTS = 1 << 40
COMPUTED = 1 << 44


class Places:
    """One space: its blocks, each the results of one instruction, and when they are needed last."""

    def __init__(self, space: str, capacity: int) -> None:
        self.space = space
        self.inputs = 0
        self.constants = 0
        self.size = 0
        self._starts: list[int] = []  # of each block, counted from COMPUTED
        self._born: list[int] = []  # the stage that each block comes from
        self._last: list[float] = []  # and that which needs it last
        self._joined: list[bool] = []  # whether it has to lie behind the block before it
        self._owner = np.zeros(capacity, dtype=np.int64)  # the block of each place
        self._end = 0

    def new(self, count: int) -> int:
        """Return the first of `count` new places for the next instruction's results."""
        self._owner[self._end : self._end + count] = len(self._starts)
        self._starts.append(self._end)
        self._born.append(0)
        self._last.append(0)
        self._joined.append(False)
        self._end += count
        return COMPUTED + self._end - count

    def is_block(self, places: NDArray[Any]) -> bool:
        """Say whether loops may go through these places; if so, they will be kept side by side.

        They may where all are arguments, all constants, or all in blocks that follow each other.
        """
        low, high = int(places.min()), int(places.max())
        if (low >= COMPUTED) != (high >= COMPUTED) or (low >= CONSTANTS) != (high >= CONSTANTS):
            return False
        if low < COMPUTED:
            return True
        first, last = self.block(low), self.block(high)
        if last > first:
            touched = np.unique(self._owner[places.reshape(-1) - COMPUTED])
            if len(touched) < last - first + 1:
                return False  # others lie between them
            for block in range(first + 1, last + 1):
                self._joined[block] = True
        return True

    def owners(self, places: NDArray[Any]) -> NDArray[Any]:
        """Return the number of each place's block; -1 for a leaf's."""
        computed = places >= COMPUTED
        return np.where(computed, self._owner[np.where(computed, places - COMPUTED, 0)], -1)

    def block(self, place: int) -> int:
        """Return the number of the block that a computed place is in."""
        return bisect_right(self._starts, place - COMPUTED) - 1

    def blocks(self, operand: Operand, step: Instruction) -> Iterable[int]:
        """Return the numbers of the blocks that an operand reads."""
        if operand.table is not None:
            computed = operand.table[operand.table >= COMPUTED]
            return np.unique(self._owner[computed - COMPUTED]).tolist()  # type: ignore[no-any-return]
        if operand.term == 0 and step.dims == (1,):
            return (self.block(operand.base),) if operand.base >= COMPUTED else ()
        low, high = operand.reach(step)
        return range(self.block(low), self.block(high) + 1) if low >= COMPUTED else ()

    def live(self, steps: Iterable[Instruction]) -> None:
        """Note from where to where each block is needed, the instructions being in this order."""
        for step in steps:
            if step.home == self.space and step.out.space == self.space:
                block = self.block(step.out.base)
                self._born[block] = self._last[block] = step.stage
        for step in steps:
            for operand in step.operands:
                if operand.space == self.space:
                    # What the rows share is needed until the last row is done.
                    end = step.stage if step.home == self.space else inf
                    for block in self.blocks(operand, step):
                        self._last[block] = max(self._last[block], end)

    def settle(self, steps: Iterable[Instruction]) -> None:
        """Give every block its place for good, and write it into the instructions."""
        places = self._settled()
        known = self.inputs - CONSTANTS
        done: set[int] = set()
        for step in steps:
            for operand in (*step.operands, step.out):
                if operand.space != self.space or id(operand) in done:
                    continue
                done.add(id(operand))
                if operand.table is not None:
                    table = operand.table.copy()
                    computed = table >= COMPUTED
                    table[(table >= CONSTANTS) & ~computed] += known
                    table[computed] = places[table[computed] - COMPUTED]
                    operand.table = table
                elif operand.base >= COMPUTED:
                    operand.base = int(places[operand.base - COMPUTED])
                elif operand.base >= CONSTANTS:
                    operand.base += known
                self._check(operand, step)

    def _check(self, operand: Operand, step: Instruction) -> None:
        # What machine code reads and writes stays in its memory; a mistake of ours ends here.
        if operand.table is not None:
            low, high = int(operand.table.min()), int(operand.table.max())
        else:
            low, high = operand.reach(step)
        if low < 0 or high >= self.size:
            message = f"{step.code} leads to {low}..{high} of {self.size} places in {self.space}"
            raise AssertionError(message)

    def _settled(self) -> NDArray[Any]:
        # The place of each computed number. A block is laid where one that isn't needed any more
        # has been, if there is one; what is joined is one block.
        places = np.zeros(max(1, self._end), dtype=np.int64)
        self.size = self.inputs + self.constants
        free = {True: _Free(), False: _Free()}
        busy: list[tuple[float, int, int]] = []  # (last use, place, size), the earliest first
        for born, last, start, count in sorted(self._joined_blocks()):
            while busy and busy[0][0] < born:
                _, place, freed = heappop(busy)
                free[freed >= LINE].add(place, freed)
            # Long blocks begin where a cache line does: no vector of theirs lies in two.
            is_long = count >= LINE and self.space == SHARED
            size = -(-count // LINE) * LINE if is_long else count
            found = free[size >= LINE].take(size)
            if found is None:
                found = -(-self.size // LINE) * LINE if is_long else self.size
                self.size = found + size
            places[start : start + count] = np.arange(found, found + count)
            heappush(busy, (last, found, size))
        self.size = -(-self.size // LINE) * LINE
        return places

    def _joined_blocks(self) -> Iterator[tuple[int, float, int, int]]:
        # Where each is needed first and last, and where it begins and how long it is.
        ends = [*self._starts[1:], self._end]
        block = 0
        while block < len(self._starts):
            start, born, last = self._starts[block], self._born[block], self._last[block]
            while block + 1 < len(self._joined) and self._joined[block + 1]:
                block += 1
                born, last = min(born, self._born[block]), max(last, self._last[block])
            yield born, last, start, ends[block] - start
            block += 1


class _Free:
    """Places that nobody needs any more, by how many lie together."""

    def __init__(self) -> None:
        self._places: dict[int, list[int]] = defaultdict(list)
        self._sizes: list[int] = []

    def add(self, place: int, size: int) -> None:
        if not self._places[size]:
            insort(self._sizes, size)
        self._places[size].append(place)

    def take(self, size: int) -> int | None:
        """Return the first of `size` places, from the smallest stretch that is long enough."""
        at = bisect_left(self._sizes, size)
        if at == len(self._sizes):
            return None
        found = self._sizes[at]
        place = self._places[found].pop()
        if not self._places[found]:
            self._sizes.pop(at)
        if found > size:
            self.add(place + size, found - size)
        return place
