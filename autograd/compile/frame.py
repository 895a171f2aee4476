"""What a program is handed: one block of 64-bit words, with the addresses that it works on.

The machine code knows nothing but these words. They are filled in by `program.py`, which checks
that each address has as many numbers behind it as the program will touch.
"""

from __future__ import annotations

from typing import NamedTuple

ROWS = 0  # how many rows there are
WORK = 1  # the program's own memory: shared numbers, results, then a block of rows
TABLES = 2  # places that follow no order, 32 bits each
CALLS = 3  # the addresses of Python's operations, one to a word
STRIDE = 4  # how many bytes lie between two places of the row space
WEIGHT = 5  # what a shared number counts in a sum over the rows: a double
SCALE = 6  # what results are multiplied by in the end: a double
EACH_ROW = 7  # where the results of each row go: rows one after the other
NONE = 8  # for a call from Python: the address of None,
NEW_REFERENCE = 9  # of Py_NewRef,
OTHERWISE = 10  # of what is called where a guard doesn't hold
CALL_OBJECT = 11  # and of PyObject_CallNoArgs
RESULTS = 12  # to how many buffers the results go
ARGUMENTS = 13  # descriptors of the shared arguments, then those of the rows', then of the results

DESCRIPTOR = 4  # its words: address, count, bytes between numbers, bytes between rows


class Guarded(NamedTuple):
    """A decision that the program relies on: where its count is among the results."""

    place: int
    varies: bool
    answer: bool


class Signature(NamedTuple):
    """How many descriptors of arguments there are, and what has to hold in the end."""

    shared: int
    rows: int
    guards: tuple[Guarded, ...]
    watched: bool = False  # whether results that aren't finite are no results
