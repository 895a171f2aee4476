"""The structure of arguments and results: numbers, and nested lists and tuples of numbers.

A structure is hashable, since programs are found by the structures of their arguments: None for a
number, and (list or tuple, (structure, …)) for what has parts; a list of n numbers, the most common
by far, is (list, n).
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.op import is_real, to_float
from autograd.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Structure = Any
DEEPEST = 30  # a list in itself is deeper than any that somebody meant


class HasHistoryError(Exception):
    """An argument is a Value: somebody wants its history."""


def size(structure: Structure) -> int:
    """Return how many numbers a structure has."""
    if structure is None:
        return 1
    _, parts = structure
    return parts if isinstance(parts, int) else sum(map(size, parts))


def flatten(thing: Any, what: str, depth: int = 0) -> tuple[Structure, Any]:
    """Return a structure and its numbers in order, as something that `array('d')` can be made of.

    Raises:
        TypeError: for what is no number and no list, tuple or array of numbers.
        HasHistoryError: for a Value.

    """
    if type(thing) is float:
        return None, (thing,)
    if isinstance(thing, list | tuple):
        kind = list if isinstance(thing, list) else tuple
        try:
            return (kind, len(thing)), array("d", thing)
        except (TypeError, OverflowError):
            return _flatten_parts(thing, kind, what, depth)
    if isinstance(thing, array | memoryview | np.ndarray) and np.ndim(thing):
        numbers = numeric(thing, what)
        return _of_shape(numbers.shape), numbers.reshape(-1)
    if type(thing) is Value:
        raise HasHistoryError
    return None, (to_float(thing, what),)


def _flatten_parts(thing: Any, kind: type, what: str, depth: int) -> tuple[Structure, Any]:
    if depth == DEEPEST:
        message = f"{what} is nested more than {DEEPEST} lists deep"
        raise ValueError(message)
    parts, numbers = [], array("d")
    for i, part in enumerate(thing):
        structure, own = flatten(part, f"{what}[{i}]", depth + 1)
        parts.append(structure)
        numbers.extend(own)
    return _joined(kind, parts), numbers


def _joined(kind: type, parts: list[Structure]) -> Structure:
    return (kind, len(parts)) if all(part is None for part in parts) else (kind, tuple(parts))


def _of_shape(shape: tuple[int, ...]) -> Structure:
    structure: Structure = (list, shape[-1])
    for n in reversed(shape[:-1]):
        structure = (list, (structure,) * n)
    return structure


def numeric(thing: Any, what: str) -> Any:
    """Return an array of doubles; TypeError if it isn't one of real numbers."""
    # numpy.ma isn't imported for this, which takes as long as a compiled start.
    if "numpy.ma" in sys.modules and np.ma.is_masked(thing):
        message = f"{what} has masked numbers: fill them or leave them out first"
        raise TypeError(message)
    numbers = np.asarray(thing)
    if numbers.dtype.kind not in "biuf":
        message = f"{what} must be an array of real numbers; got one of {numbers.dtype}"
        raise TypeError(message)
    return np.require(numbers, np.float64, ["C", "A"])


def unflatten(structure: Structure, numbers: Iterator[Any]) -> Any:
    """Return the numbers in their structure."""
    if structure is None:
        return next(numbers)
    kind, parts = structure
    if isinstance(parts, int):
        return kind([next(numbers) for _ in range(parts)])
    return kind([unflatten(part, numbers) for part in parts])


def of_result(result: Any) -> tuple[Structure, list[Any]]:
    """Return the structure of what a traced function returned, and its Values and floats.

    Raises:
        TypeError: if it is anything else.

    """
    if isinstance(result, list | tuple):
        kind = list if isinstance(result, list) else tuple
        parts = [of_result(part) for part in result]
        return _joined(kind, [part for part, _ in parts]), [x for _, own in parts for x in own]
    if type(result) is Value:
        return None, [result]
    if is_real(result):
        return None, [to_float(result)]
    message = (
        f"a compiled function returns numbers, lists and tuples of them; got {result!r} "
        f"({type(result).__name__})"
    )
    raise TypeError(message)


def leaves(structure: Structure) -> list[int | None]:
    """Return the numbers (None) and the lists of numbers (their lengths) in a structure.

    A list of numbers is one thing, a vector; a tuple of numbers is several.
    """
    if structure is None:
        return [None]
    kind, parts = structure
    if isinstance(parts, int):
        return [parts] if kind is list else [None] * parts
    return [leaf for part in parts for leaf in leaves(part)]


def assemble(structure: Structure, parts: Iterator[Any]) -> Any:
    """Return one thing for each of `leaves`, in the structure's lists and tuples."""
    if structure is None:
        return next(parts)
    kind, inner = structure
    if isinstance(inner, int):
        return next(parts) if kind is list else tuple([next(parts) for _ in range(inner)])
    return kind([assemble(part, parts) for part in inner])


def unpacker(structure: Structure) -> Callable[[Any], Any]:
    """Return the function that makes a result of a flat array('d')."""
    if structure is None:
        return lambda flat: flat[0]
    if isinstance(structure[1], int):
        kind = structure[0]
        return (lambda flat: flat.tolist()) if kind is list else (lambda flat: tuple(flat.tolist()))
    bounds: list[tuple[int, int | None]] = []
    at = 0
    for leaf in leaves(structure):
        bounds.append((at, leaf))
        at += 1 if leaf is None else leaf

    def unpack(flat: Any) -> Any:
        parts = (flat[a] if n is None else flat[a : a + n].tolist() for a, n in bounds)
        return assemble(structure, parts)

    return unpack
