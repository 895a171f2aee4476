"""Our side of compile.py: each case through the public interface."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
from compile_cases import Graph, Prepared, flat, function_of, inputs_of, one_hot, row_loss

import autograd

if TYPE_CHECKING:
    from pathlib import Path

    from compile_cases import Case


COMPILE = autograd.compile


class Maths:
    """Just what is used: whether that is still the same the cache can tell, not so of a module."""

    relu, tanh, logsumexp = autograd.relu, autograd.tanh, autograd.logsumexp
    dot = staticmethod(autograd.dot)


# What compiling needs is imported before a clock starts, as the peers' libraries are.
COMPILE(lambda x: x, cache=False)(0.0)


def ours(case: Case, style: str, _scratch: Path) -> Prepared:
    """Return the case compiled by us.

    The styles are "bound", to buffers, "called", with arrays or a list, and "cached": bound, with
    the cache on disk.
    """
    compiled, arguments, size = _compiled(case, cache=style == "cached")
    if style == "called":
        return Prepared(lambda: compiled(*arguments), lambda: _flat(compiled(*arguments)))
    value, gradient = array("d", [0.0]), array("d", bytes(8 * size))
    bound = [array("d", each) if isinstance(each, list) else each for each in arguments]
    run = compiled.bind(*bound, out=(value, gradient) if size else value)

    def result() -> list[float]:
        run()
        return [*value, *gradient]

    return Prepared(run, result)


def _compiled(case: Case, *, cache: bool) -> tuple[Any, list[Any], int]:
    """Return the compiled function, its arguments and the size of the gradient."""
    if case.kind in {"moons", "digits"}:
        loss = row_loss(case.kind, case.data.widths, Maths)
        step = autograd.value_and_grad(loss, argnums=2)
        targets = case.data.targets if case.kind == "moons" else one_hot(case.data)
        arguments = [np.array(each) for each in (case.data.rows, targets, flat(case.data))]
        compiled = COMPILE(step, rows=(0, 1), reduce="mean", cache=cache)
        return compiled, arguments, len(arguments[2])
    f, x = function_of(case, autograd), inputs_of(case)
    if isinstance(case.data, Graph):
        return COMPILE(f, cache=cache), [x], 0
    return COMPILE(autograd.value_and_grad(f), cache=cache), [x], case.size


def _flat(result: Any) -> list[float]:
    value, gradient = result if isinstance(result, tuple) else (result, [])
    return [float(value), *map(float, gradient)]
