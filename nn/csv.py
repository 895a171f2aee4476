"""A user's own table: a CSV file as inputs and targets, with errors that name line and column.

The first line names the columns. Fields are separated by , or ; (then 1,5 is a number, too). A
column of numbers is an input as it is; a column of text becomes one input per category, 1 where the
row has it and 0 elsewhere (one-hot), named such as colour=red.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    Row = tuple[int, list[str]]  # the number of its line, its fields

MOST_LINES = 6  # that an error lists
MOST_CATEGORIES = 20  # a text column with more is a name or a date, and would be learned by heart


@dataclass(frozen=True)
class Table:
    """Inputs with their names, and targets.

    Where the targets are classes, y holds their numbers from 0, and `classes` what they are called.
    """

    names: list[str]
    X: list[list[float]]
    y: list[int] | list[float]
    target: str
    classes: list[str]


def read_csv(
    path: str | os.PathLike[str], target: str | None = None, *, classify: bool = False
) -> Table:
    """Return the table in a CSV file.

    `target` names the column to predict, without it the last one. Text in it is classes, in
    alphabetical order; numbers are numbers or, with `classify`, classes in their order.

    Raises:
        OSError: if the file can't be read.
        ValueError: if it isn't such a table. A field is missing, is no number in a column of
            numbers, or a text column has more than 20 categories: with the line and the column.

    """
    file = Path(path)
    text = _text(file)
    separator = _separator(text)
    header, rows = _records(file.name, text, separator)
    # Where , separates, a field 1,234 in quotes is no number: it is 1234 to one, 1.234 to another.
    decimal = "," if separator == ";" else "."
    columns = [_Column(file.name, name, i, rows, decimal) for i, name in enumerate(header)]
    chosen = columns[_find(file.name, header, target)]
    inputs = [column for column in columns if column is not chosen]
    if not inputs:
        message = f"{file.name} has the one column {chosen.name!r}: nothing to predict it from"
        raise ValueError(message)
    encoded = [pair for column in inputs for pair in column.encoded()]
    names = [name for name, _ in encoded]
    X = [list(row) for row in zip(*(numbers for _, numbers in encoded), strict=True)]  # noqa: N806  (the field's name)
    if chosen.is_numeric and not classify:
        return Table(names, X, chosen.numbers(), chosen.name, [])
    labels, classes = chosen.labels()
    return Table(names, X, labels, chosen.name, classes)


def _text(file: Path) -> str:
    content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")  # the byte-order mark of some editors
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        message = f"{file.name}, line {line}: byte 0x{byte:02x} isn't UTF-8; save it as UTF-8"
        raise ValueError(message) from None


def _separator(text: str) -> str:
    first = text.lstrip("\r\n").partition("\n")[0]
    widths = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in ",;"}
    return ";" if widths[";"] > widths[","] else ","


def _records(source: str, text: str, separator: str) -> tuple[list[str], list[Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records = list(_lines(source, reader))
    if len(records) < 2:  # noqa: PLR2004  (the names and a row)
        message = f"{source} must have a line with the columns' names, and rows below it"
        raise ValueError(message)
    (line, header), *rows = records
    for i, name in enumerate(header):
        if not name or name in header[:i]:
            what = f"column {name!r} comes twice" if name else f"column {i + 1} has no name"
            message = f"{source}, line {line}: {what}; the first line names the columns"
            raise ValueError(message)
    for number, fields in rows:
        if len(fields) != len(header):
            plural = "" if len(fields) == 1 else "s"
            message = (
                f"{source}, line {number} has {len(fields)} field{plural}, and the first line "
                f"names {len(header)} columns; a field with the separator in it goes in quotes"
            )
            raise ValueError(message)
    return header, rows


def _lines(source: str, reader: Iterator[list[str]]) -> Iterator[Row]:
    line = 1
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if stripped not in ([], [""]):
                yield line, stripped
            line = reader.line_num + 1  # type: ignore[attr-defined]  # csv's reader has it
    except csv.Error as error:
        message = f"{source}, line {line}: {error}"
        raise ValueError(message) from None


def _find(source: str, header: list[str], target: str | None) -> int:
    if target is None:
        return len(header) - 1
    if target in header:
        return header.index(target)
    close = get_close_matches(target, header, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    message = f"{source} has no column {target!r}: {hint}there are {', '.join(map(repr, header))}"
    raise ValueError(message)


class _Column:
    """The fields of a column, as texts and as numbers."""

    def __init__(self, source: str, name: str, index: int, rows: list[Row], decimal: str) -> None:
        self.name = name
        self._source = source
        self._lines = [line for line, _ in rows]
        self._texts = [fields[index] for _, fields in rows]
        self._numbers = [_number(text, decimal) for text in self._texts]
        # A few texts among numbers are mistakes.
        self.is_numeric = 2 * sum(x is not None for x in self._numbers) > len(rows)
        self._demand([text != "" for text in self._texts], "the field is empty")

    def numbers(self) -> list[float]:
        """Return the column's numbers."""
        numbers = [nan if x is None else x for x in self._numbers]
        self._demand(list(map(isfinite, numbers)), "it isn't a finite number, as most of them are")
        return numbers

    def labels(self) -> tuple[list[int], list[str]]:
        """Return the fields as classes, by number, and what the classes are called."""
        keys: list[Any] = self.numbers() if self.is_numeric else self._texts
        found = sorted(set(keys))
        if len(found) == 1:
            message = (
                f"{self._source}: the target {self.name!r} is {self._texts[0]!r:.40} in every row: "
                "there is nothing to tell apart"
            )
            raise ValueError(message)
        names = [f"{key:g}" for key in found] if self.is_numeric else found
        return [found.index(key) for key in keys], names

    def encoded(self) -> list[tuple[str, list[float]]]:
        """Return the inputs that the column becomes, with their names."""
        if self.is_numeric:
            return [(self.name, self.numbers())]
        found = sorted(set(self._texts))
        if len(found) > MOST_CATEGORIES:
            message = (
                f"{self._source}: column {self.name!r} has {len(found)} different texts, such as "
                f"{self._texts[0]!r:.40}; up to {MOST_CATEGORIES} are taken for categories: leave "
                "the column out, or write it as numbers"
            )
            raise ValueError(message)
        return [
            (f"{self.name}={key}", [float(text == key) for text in self._texts]) for key in found
        ]

    def _demand(self, good: list[bool], rule: str) -> None:
        wrong = [i for i, is_good in enumerate(good) if not is_good]
        if not wrong:
            return
        shown = self._texts[wrong[0]]
        others = ", ".join(str(self._lines[i]) for i in wrong[1:MOST_LINES])
        more = f" (and {len(wrong) - 1} more, line {others}{', …' * (len(wrong) > MOST_LINES)})"
        message = (
            f"{self._source}, line {self._lines[wrong[0]]}, column {self.name!r}: "
            f"{f'{shown!r:.40}: ' if shown else ''}{rule}{more if others else ''}; "
            "fill it in, or leave the row out"
        )
        raise ValueError(message)


def _number(text: str, decimal: str) -> float | None:
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return None
