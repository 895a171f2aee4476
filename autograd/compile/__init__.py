"""Compiling: a function traced once, its graph rolled up into loops, and those as machine code.

`compile` is all that a user needs. How it works is told in the modules, in this order: `trace` (a
function becomes a graph of values), `lower` and `graph` (the machine's operations), `chains`,
`roll` and `loops` (the loops are found again), `stages` and `storage` (what shares a loop or a
place), `tape` and `listing` (the program that comes out, to be read), `native`, `emit` and its two
halves, `irregular`, `lanes` and `vector` (machine code), `frame`, `program`, `bound` and `compiled`
(calling it). `cache`, `fingerprint` and `transport` carry programs to the next run and to other
processes, `interpret` runs them on numpy, `to_c` and `foreign` hand them to others.

Only what `import autograd` may cost is here; the rest is imported when something is compiled.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any, Literal

from autograd.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .compiled import Compiled

REDUCTIONS = (None, "sum", "mean")
LOADED = time()  # sources that are younger than this aren't what was imported


def compile(  # noqa: A001, PLR0913  (the product's word; options, by name)
    f: Callable[..., Any] | Value,
    *,
    inputs: Sequence[Value] | None = None,
    rows: int | Sequence[int] | None = None,
    reduce: Literal["sum", "mean"] | None = None,
    exact: bool = False,
    threads: int = 1,
    cache: bool = True,
) -> Compiled:
    """Return a function that computes what f computes, as machine code.

    f takes numbers and (nested) lists of numbers and returns such; its derivatives are functions
    like others: `compile(value_and_grad(f))`. It is traced at the first call, and again for
    arguments of another structure, or where it decides otherwise: an `if x > 0` in it holds for one
    side, and the other is traced when it comes. Numbers that it takes from elsewhere are constants,
    but for the data of Values, which is read at every call.

    >>> from autograd import grad, sin
    >>> slope = compile(grad(lambda x: sin(x) * x))
    >>> round(slope(2.0), 12)
    0.077003753730

    inputs: f may be a Value instead: the function of the data of these Values that its graph is.
    rows: the arguments, by position, that have a row for each example: arrays, or lists of rows. f
        is written for one row, and gets a number or a list of each; the others are the same for
        all. Every number of the result becomes an array with an entry for each row.
    reduce: "sum" or "mean", over the rows: the loss of a batch, say, and its gradient. Then lists
        of numbers in the result become arrays. In which order rows are added up is not defined.
    exact: every result to the last bit as f itself has it: without fused multiply-adds, and with
        the C library's functions. (But for the sign of a derivative that is 0; a second derivative
        behind a choice may be added up in another order; and Python's own `sum`, which from 3.12 on
        makes up for rounding where it gets floats, adds Values one by one.) Elsewhere each
        operation may differ by 2 units in the last place, and a sum may overflow on the way.
    threads: how many share the rows.
    cache: whether machine code is kept on disk for the next run of the program.

    What f would raise, an overflow or a logarithm of -1, is inf or nan here, as in `ieee()`.

    Raises:
        TypeError, ValueError: if an argument here is wrong.
        ImportError: without numpy (`pip install "chainrule[compile]"`).

    """
    try:
        from .compiled import Compiled, compile_graph  # noqa: PLC0415  (imports numpy)
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        message = 'compile needs numpy: pip install "chainrule[compile]"'
        raise ImportError(message, name="numpy") from error
    options = _options(rows, reduce, exact=exact, threads=threads, cache=cache)
    if isinstance(f, Value):
        if inputs is None:
            message = "compile(y) of a Value needs inputs=[...]: what it is a function of"
            raise TypeError(message)
        return compile_graph(f, inputs, options)
    if inputs is not None:
        message = "inputs goes with a Value: a function has its arguments"
        raise TypeError(message)
    if not callable(f):
        message = f"compile takes a function or a Value; got {f!r} ({type(f).__name__})"
        raise TypeError(message)
    return Compiled(f, options)


def _options(rows: Any, reduce: Any, *, exact: bool, threads: Any, cache: bool) -> Any:
    from .options import Options  # noqa: PLC0415  (dataclasses cost as much as the package)

    if reduce not in REDUCTIONS:
        message = f"reduce must be 'sum', 'mean' or None; got {reduce!r}"
        raise ValueError(message)
    listed = tuple(rows) if isinstance(rows, list | tuple | range) else (rows,)
    places = () if rows is None else listed
    if not all(type(i) is int and i >= 0 for i in places) or len({*places}) < len(places):
        message = f"rows must be positions of arguments, such as (0, 1); got {rows!r}"
        raise ValueError(message)
    if reduce is not None and not places:
        message = f"reduce={reduce!r} needs rows: the arguments that have a row for each example"
        raise ValueError(message)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        message = f"threads must be a whole number, at least 1; got {threads!r}"
        raise ValueError(message)
    if threads > 1 and not places:
        message = f"threads={threads} needs rows: the work is shared by them"
        raise ValueError(message)
    return Options(places, reduce, exact=exact, threads=threads, cache=cache)
