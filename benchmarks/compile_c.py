"""compile.py's C by hand: compiled by gcc, called through ctypes or by a loop in C."""

from __future__ import annotations

import ctypes
import subprocess
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compile_cases import Prepared, by_neuron, matrices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from compile_cases import Case

SOURCE = Path(__file__).resolve().with_name("compile_by_hand.c")
LINE = 64
FLAGS = {
    "-O3": ("-O3",),
    "-ffast-math": ("-O3", "-ffast-math"),
    "tuned -O3": ("-O3", "-DTUNED"),
    "tuned -ffast-math": ("-O3", "-ffast-math", "-DTUNED"),
}


def shared_library(source: Path, target: Path, flags: Iterable[str]) -> None:
    """Compile a C file for this processor, unless that was done before."""
    if target.exists():
        return
    command = ["gcc", *flags, "-march=native", "-shared", "-fPIC", "-o", str(target), str(source)]
    subprocess.run([*command, "-lm"], check=True, capture_output=True)


def by_hand(case: Case, style: str, scratch: Path) -> Prepared:
    """Return the case in C; the style is the flags."""
    target = scratch / f"by_hand{style.replace(' ', '')}.so"
    shared_library(SOURCE, target, FLAGS[style])
    library = ctypes.CDLL(str(target))
    step = getattr(library, case.kind)
    step.restype = ctypes.c_double
    inputs, size = _inputs(case)
    repeat = library.repeat_step if case.kind != "rosenbrock" else library.repeat_point
    gradient = _array([0.0] * size)
    # Unlike its address alone, a cast array lives as long as what it was cast to.
    pointers = [ctypes.cast(array, ctypes.c_void_p) for array in (*inputs, gradient)]
    call = partial(step, case.size, *pointers)

    def result() -> list[float]:
        value = call()
        return [value, *(gradient if case.kind == "rosenbrock" else _by_neuron(case, gradient))]

    def loop(times: int) -> None:
        repeat(times, step, case.size, *pointers)

    return Prepared(call, result, loop)


def _inputs(case: Case) -> tuple[list[Any], int]:
    if case.kind == "rosenbrock":
        return [_array(case.data)], case.size
    layers = matrices(case.data)
    parameters = [p for weights, biases in layers for row in (*weights, biases) for p in row]
    rows = _array(chain.from_iterable(case.data.rows))
    return [rows, _array(case.data.targets), _array(parameters)], len(parameters)


def _array(numbers: Iterable[float]) -> Any:
    # Aligned to a cache line, as it is done in C: a vector across two of them is slower.
    numbers = list(numbers)
    room = ctypes.create_string_buffer(8 * len(numbers) + LINE)
    kind: Any = ctypes.c_double * len(numbers)
    array = kind.from_buffer(room, -ctypes.addressof(room) % LINE)
    array[:] = numbers
    return array


def _by_neuron(case: Case, numbers: Sequence[float]) -> list[float]:
    return by_neuron(list(_layers(case.data.widths, iter(numbers))))


def _layers(widths: Sequence[int], numbers: Iterator[float]) -> Iterator[tuple[Any, Any]]:
    for nin, nout in pairwise(widths):
        *weights, biases = [[next(numbers) for _ in range(nout)] for _ in range(nin + 1)]
        yield weights, biases
