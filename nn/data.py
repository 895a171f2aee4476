"""X and y as plain lists of finite numbers, from lists, numpy arrays and pandas frames.

All that may be wrong with them is said before anything is computed, with the row and the column.
Rows count from 0, as in Python.
"""

from __future__ import annotations

from math import isfinite
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from autograd import Value

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = list[Any]


def examples(X: Any, y: Any, names: tuple[str, str] = ("X", "y")) -> tuple[Rows, Rows]:  # noqa: N803  (the field's name)
    """Return inputs and targets as lists of equal length.

    An input is a number or a nested list of them: a vector, an image [channel][row][column], a
    sequence of vectors. All have the same shape, but sequences may differ in length. A target is
    a number or a list of them; whole numbers stay ints, and a column of one is made flat.
    Numbers become floats; Values are kept as they are.

    Raises:
        TypeError: if something is no list, or no number.
        ValueError: if they are empty, differ in length or shape, or hold a nan or inf.

    """
    inputs, targets = _rows(X, names[0], float), _rows(y, names[1], _whole)
    if len(inputs) != len(targets):
        message = (
            f"{names[0]} has {len(inputs)} rows and {names[1]} has {len(targets)}: "
            "each example needs one of each"
        )
        raise ValueError(message)
    if isinstance(targets[0], list) and len(targets[0]) == 1:
        targets = [target for (target,) in targets]
    return inputs, targets


def split(X: Any, y: Any, fraction: float, seed: int = 0) -> tuple[Rows, Rows, Rows, Rows]:  # noqa: N803  (as above)
    """Return X, y and Xv, yv: a random part for validation, and the rest to train on.

    `fit(validation=fraction, seed=seed)` splits in the same way. The same seed gives the same
    parts, whose examples stay in order.

    Raises:
        TypeError, ValueError: as `examples`, and if the fraction leaves either part empty.

    """
    inputs, targets = examples(X, y)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float):
        message = (
            f"the validation part must be a fraction, such as 0.2, or (Xv, yv); got {fraction!r}"
        )
        raise TypeError(message)
    count = round(len(inputs) * fraction) if isfinite(fraction) else 0
    if not 0 < count < len(inputs):
        message = (
            f"the validation part is {fraction!r} of {len(inputs)} examples: that leaves none on "
            "one side; use a fraction such as 0.2"
        )
        raise ValueError(message)
    chosen = set(Random(seed).sample(range(len(inputs)), count))  # noqa: S311  (no cryptography)
    held = [i in chosen for i in range(len(inputs))]
    train_X, valid_X = _parted(inputs, held)  # noqa: N806  (as above)
    train_y, valid_y = _parted(targets, held)
    return train_X, train_y, valid_X, valid_y


def _parted(rows: Rows, held: list[bool]) -> tuple[Rows, Rows]:
    pairs = list(zip(rows, held, strict=True))
    return [row for row, out in pairs if not out], [row for row, out in pairs if out]


def _rows(table: Any, name: str, number: Callable[[Any], float]) -> Rows:
    columns = list(getattr(table, "columns", ()))
    rows = _listed(table)
    if not isinstance(rows, list):
        message = f"{name} must be a list, an array or a frame of rows; got {rows!r:.60}"
        raise TypeError(message)
    if not rows:
        message = f"{name} is empty: there is nothing to train on"
        raise ValueError(message)
    return _Table(name, columns, number).checked(rows)


def _listed(thing: Any) -> Any:
    # Frames, series and arrays turn themselves into lists, and their numbers into Python's.
    if hasattr(thing, "to_numpy"):
        thing = thing.to_numpy()
    if hasattr(thing, "tolist"):
        return thing.tolist()
    return list(thing) if isinstance(thing, tuple | range) else thing


def _whole(number: Any) -> int | float:
    # A label may be used as an index.
    return int(number) if hasattr(number, "__index__") else float(number)


class _Table:
    """Converts rows; it knows what to call a place in them."""

    def __init__(self, name: str, columns: list[Any], number: Callable[[Any], float]) -> None:
        self._name = name
        self._columns = columns
        self._number = number

    def checked(self, rows: Rows) -> Rows:
        plain = [self._plain(row, (i,)) for i, row in enumerate(rows)]
        first = self._shape(plain[0], (0,))
        for i, row in enumerate(plain):
            shape = self._shape(row, (i,))
            # Two sequences may have different lengths, but their elements may not.
            if shape != first and (len(shape) < 2 or shape[1:] != first[1:]):  # noqa: PLR2004
                message = (
                    f"{self._place((i,))} has {_sized(shape)}, and row 0 has {_sized(first)}: "
                    "all rows must have the same shape"
                )
                raise ValueError(message)
        return plain

    def _plain(self, thing: Any, place: tuple[int, ...]) -> Any:
        if type(thing) is float and isfinite(thing) and self._number is float:
            return thing
        thing = _listed(thing)
        if isinstance(thing, list):
            if self._number is float and _are_floats(thing):
                return thing[:]
            return [self._plain(x, (*place, i)) for i, x in enumerate(thing)]
        if isinstance(thing, Value):
            return thing
        try:
            # float() takes text, too: "1.5" is a column that was read as text.
            number = None if isinstance(thing, str | bytes) else self._number(thing)
        except (TypeError, ValueError):
            number = None
        except OverflowError:
            number = float("inf")
        if number is None:
            self._refuse(thing, place)
        if not isfinite(number):
            message = (
                f"{self._place(place)} is {number}, and numbers must be finite: leave the row out, "
                "or fill in a number, before training"
            )
            raise ValueError(message)
        return number

    def _refuse(self, thing: Any, place: tuple[int, ...]) -> NoReturn:
        if isinstance(thing, str | bytes):
            what = f"is text, {thing!r:.40}"
            remedy = "number the classes from 0, or give each category a column of 0 and 1"
        else:
            what = f"is {thing!r:.40} ({type(thing).__name__})"
            remedy = "leave the row out, or fill in a number"
        message = f"{self._place(place)} {what}, and must be a number: {remedy}"
        raise TypeError(message)

    def _shape(self, thing: Any, place: tuple[int, ...]) -> tuple[int, ...]:
        if not isinstance(thing, list):
            return ()
        if not thing:
            message = f"{self._place(place)} is empty: it needs at least one number"
            raise ValueError(message)
        if list not in map(type, thing):
            return (len(thing),)
        first = self._shape(thing[0], (*place, 0))
        for i, x in enumerate(thing):
            if isinstance(x, list) or first:
                shape = self._shape(x, (*place, i))
                if shape != first:
                    where = self._place((*place, i))
                    message = f"{where} has {_sized(shape)}, and the one at 0 has {_sized(first)}"
                    raise ValueError(message)
        return (len(thing), *first)

    def _place(self, place: tuple[int, ...]) -> str:
        row, *rest = place
        if len(rest) > 1:
            return self._name + "".join(f"[{i}]" for i in place)
        columns = [repr(self._columns[i]) if i < len(self._columns) else str(i) for i in rest]
        return ", column ".join([f"{self._name}, row {row}", *columns])


def _are_floats(thing: list[Any]) -> bool:
    # Said of whole lists at once: most data are such lists.
    return {*map(type, thing)} == {float} and all(map(isfinite, thing))


def _sized(shape: tuple[int, ...]) -> str:
    if not shape:
        return "one number"
    if len(shape) == 1:
        return f"{shape[0]} number{'' if shape[0] == 1 else 's'}"
    return "shape " + "x".join(map(str, shape))
