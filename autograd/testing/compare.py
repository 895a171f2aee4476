"""One derivative by every method there is, side by side."""

from __future__ import annotations

import operator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from math import fabs, inf, isfinite
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings

from autograd.backward import differentiate
from autograd.kinks import kinks
from autograd.op import is_real
from autograd.transforms import push
from autograd.value import Value

from .differences import derivative
from .exact import derivative_by_complex_step, derivative_by_mpmath, rerun
from .inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from autograd.op import Op

    Function = Callable[..., Any]
    Cell = float | Exception
    Method = Callable[["_Run"], list[Cell]]

STEP = 1e-6  # the one that is taken by hand
TRUTH = "mpmath"
_WIDTH = 100
_MOST_INPUTS = 12  # that are printed


class Row(NamedTuple):
    """The derivatives in one input, by the method's name; without those that gave no number.

    `error` is the bound on the error of "differences".
    """

    input: str
    at: float
    derivatives: dict[str, float]
    error: float


class Comparison:
    """Derivatives of a function by several methods; as `str`, a table.

    `columns` are the names of the methods, `rows` has an entry per input, and `notes` say why a
    method gave no number, and which kinks the evaluation sat on.
    """

    def __init__(
        self, value: float, columns: Sequence[str], rows: Sequence[Row], notes: Sequence[str]
    ) -> None:
        self.value = value
        self.columns = tuple(columns)
        self.rows = list(rows)
        self.notes = list(notes)

    @property
    def distances(self) -> dict[str, float]:
        """For each method the largest distance of a number of its from mpmath's.

        It is relative to mpmath's number, or absolute where that is 0. A method without a number to
        compare isn't in it.
        """
        found: dict[str, float] = {}
        for row in self.rows:
            if TRUTH in row.derivatives:
                true = row.derivatives[TRUTH]
                for name, number in row.derivatives.items():
                    if name == TRUTH:
                        continue
                    distance = fabs(number - true) / (fabs(true) or 1.0)
                    if not isfinite(distance):
                        distance = inf
                    found[name] = max(distance, found.get(name, 0.0))
        return found

    def __str__(self) -> str:
        """Return a line per method and a column per input, in several parts where it is wide."""
        first, last = self._frame()
        columns = [self._column(row) for row in self.rows[:_MOST_INPUTS]]
        lines = [f"the value is {self.value!r}"]
        for part in _parts(columns, _width(first) + _width(last) + 4):
            lines += ["", *_lines([first, *part, last])]
        hidden = len(self.rows) - len(columns)
        if hidden:
            lines += ["", f"… {hidden:,} more inputs …"]
        lines += [""] if self.notes else []
        for note in self.notes:
            lines += wrap(note, _WIDTH, subsequent_indent="  ")
        return "\n".join(lines)

    __repr__ = __str__

    def _frame(self) -> tuple[list[str], list[str]]:
        """Return the cells on the left, which name the lines, and the distances on the right."""
        left, right = ["derivative in", "  at"], ["relative error", ""]
        distances = self.distances
        for name in self.columns:
            left.append(name)
            right.append(_short(distances[name]) if name in distances else "-")
            if name == TRUTH:
                right[-1] = "reference"
            if name == DIFFERENCES:
                left.append("  at most off by")
                right.append("")
        return left, right

    def _column(self, row: Row) -> list[str]:
        cells = [row.input, repr(row.at)]
        for name in self.columns:
            found = row.derivatives.get(name)
            cells.append("-" if found is None else repr(found))
            if name == DIFFERENCES:
                cells.append(_short(row.error) if isfinite(row.error) else "-")
        # Under one another are the digits, not the signs.
        signed = any(cell.startswith("-") and cell != "-" for cell in cells[1:])
        return cells[:1] + [
            f" {cell}" if signed and not cell.startswith("-") else cell for cell in cells[1:]
        ]


def _short(number: float) -> str:
    return f"{number:.1e}" if number else "0"


def _width(cells: Sequence[str]) -> int:
    return max(map(len, cells))


def _parts(columns: Sequence[list[str]], taken: int) -> Iterator[list[list[str]]]:
    part: list[list[str]] = []
    width = taken
    for column in columns:
        width += _width(column) + 2
        if part and width > _WIDTH:
            yield part
            part, width = [], taken + _width(column) + 2
        part.append(column)
    yield part


def _lines(columns: Sequence[list[str]]) -> list[str]:
    widths = [_width(column) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in zip(*columns, strict=True)
    ]


def compare(f: Function, *args: Any) -> Comparison:
    """Return the derivatives of f at `args` by every method: one row per input.

    f takes numbers, (nested) lists of numbers or models, and returns one number. The methods are
    reverse and forward mode, differences of f (with a bound on their error; and with the one step
    1e-6, on one side and on both), the graph evaluated at x + ih (complex step), and in hundreds of
    digits (mpmath). Where they are installed, PyTorch and JAX differentiate the same graph.

    >>> from autograd import sin
    >>> compare(lambda x: sin(x), 0.0).rows[0].derivatives["complex step"]
    1.0

    Raises:
        TypeError: if an argument is no number, or f's result isn't one; and what f raises.

    """
    inputs = Inputs(f, args)
    run = _Run(f, inputs)
    with inputs.restored():
        y, _ = run.graph()
        notes = [f"on a kink: {kink}" for kink in kinks(y)]
        found = {name: _attempt(method, run) for name, method in METHODS.items()}
    rows = []
    for i, (name, x) in enumerate(zip(inputs.names, inputs.point, strict=True)):
        cells = {method: column[i] for method, column in found.items()}
        numbers = {method: cell for method, cell in cells.items() if isinstance(cell, float)}
        rows.append(Row(name, x, numbers, run.errors[i]))
    return Comparison(y.data, list(METHODS), rows, [*_reasons(inputs.names, found), *notes])


def _attempt(method: Method, run: _Run) -> list[Cell]:
    try:
        return method(run)
    except Exception as error:  # noqa: BLE001  (whatever it is, it stands below the table)
        return [error] * len(run.point)


def _reasons(names: Sequence[str], found: dict[str, list[Cell]]) -> Iterator[str]:
    for method, cells in found.items():
        inputs: dict[str, list[str]] = {}
        for name, cell in zip(names, cells, strict=True):
            if isinstance(cell, Exception):
                inputs.setdefault(_reason(cell), []).append(name)
        for reason, where in inputs.items():
            place = "" if len(where) == len(names) else f" in {', '.join(where)}"
            yield f"{method}{place}: {reason}"


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, ImportError | LookupError) else f"{type(error).__name__}: "
    return f"{kind}{error}"


# --- one run --------------------------------------------------------------------------------------


class _Run:
    """f at its arguments: as a graph, and as a function of each input."""

    def __init__(self, f: Function, inputs: Inputs) -> None:
        self.point = inputs.point
        self.errors = [inf] * len(inputs.point)
        self._f = f
        self._inputs = inputs

    def graph(self, numbers: Sequence[float] | None = None) -> tuple[Value, list[Value]]:
        """Return f's result and the leaves that it was computed from."""
        args, leaves = self._inputs.on_values(self.point if numbers is None else numbers)
        y = self._f(*args)
        if type(y) is not Value and not is_real(y):
            message = f"compare takes a function that returns one number; got {y!r}"
            raise TypeError(message)
        return y if type(y) is Value else Value(y), leaves

    def along(self, index: int) -> Callable[[float], float]:
        """Return f as a function of one input, on floats."""

        def value(x: float) -> float:
            moved = [*self.point[:index], x, *self.point[index + 1 :]]
            return self.graph(moved)[0].data

        return value


# --- the methods ----------------------------------------------------------------------------------
# Each returns a number per input, or an error in its place: that of all, if it raises one.


def _each(function: Callable[[Any], float], things: Iterable[Any]) -> list[Cell]:
    cells: list[Cell] = []
    for thing in things:
        try:
            cells.append(float(function(thing)))
        except Exception as error:  # noqa: BLE001  (whatever it is, it stands below the table)
            cells.append(error)
    return cells


def _by_reverse_mode(run: _Run) -> list[Cell]:
    y, leaves = run.graph()
    try:
        return [float(x) for x in differentiate(y, leaves, lift=False)]
    except (ArithmeticError, ValueError):  # of one of them: the others may well exist
        return _each(lambda leaf: differentiate(y, [leaf], lift=False)[0], leaves)


def _by_forward_mode(run: _Run) -> list[Cell]:
    y, leaves = run.graph()
    return _each(lambda leaf: push([y], {leaf: 1.0}, lift=False)[0], leaves)


def _by_differences(run: _Run) -> list[Cell]:
    def slope(index: int) -> float:
        estimate = derivative(run.along(index), run.point[index])
        run.errors[index] = estimate.error
        if not isfinite(estimate.derivative):
            message = "they settle on no number"
            raise ArithmeticError(message)
        return estimate.derivative

    return _each(slope, range(len(run.point)))


def _by_hand(run: _Run, *, below: float) -> list[Cell]:
    def slope(index: int) -> float:
        f, x = run.along(index), run.point[index]
        return (f(x + STEP) - f(x - below)) / (STEP + below)

    return _each(slope, range(len(run.point)))


def _through_graph(method: Callable[[Value, Value], float], run: _Run) -> list[Cell]:
    y, leaves = run.graph()
    return _each(partial(method, y), leaves)


def _by_torch(run: _Run) -> list[Cell]:
    torch = _installed("torch")
    y, leaves = run.graph()
    number = partial(torch.tensor, dtype=torch.float64)
    tensors = [number(x.data, requires_grad=True) for x in leaves]
    library = _Library(torch, _torch_functions(torch), torch.Tensor)
    result = rerun(y, dict(zip(leaves, tensors, strict=True)), number, library.apply)
    if not result.requires_grad:
        return [0.0] * len(leaves)
    grads = torch.autograd.grad(result, tensors, allow_unused=True)
    return [0.0 if x is None else float(x) for x in grads]


def _by_jax(run: _Run) -> list[Cell]:
    jax = _installed("jax")
    y, leaves = run.graph()
    number = jax.numpy.float64
    library = _Library(jax.numpy, _jax_functions(jax), jax.Array)

    def replayed(*numbers: Any) -> Any:
        return rerun(y, dict(zip(leaves, numbers, strict=True)), number, library.apply)

    with jax.enable_x64(True):  # noqa: FBT003  (as JAX has it)
        slope = jax.grad(replayed, argnums=tuple(range(len(leaves))))
        return [float(x) for x in slope(*[number(x.data) for x in leaves])]


DIFFERENCES = "differences"

METHODS: dict[str, Method] = {
    "reverse mode": _by_reverse_mode,
    "forward mode": _by_forward_mode,
    DIFFERENCES: _by_differences,
    "one-sided, h = 1e-6": partial(_by_hand, below=0.0),
    "central, h = 1e-6": partial(_by_hand, below=STEP),
    "complex step": partial(_through_graph, derivative_by_complex_step),
    TRUTH: partial(_through_graph, derivative_by_mpmath),
    "PyTorch": _by_torch,
    "JAX": _by_jax,
}


# --- the same graph in other libraries ------------------------------------------------------------


def _installed(library: str) -> Any:
    if find_spec(library) is None:
        message = f"not installed (pip install {library})"
        raise ImportError(message)
    return import_module(library)


class _Library(NamedTuple):
    """The operations in another library: by our names where it has them, else in `functions`."""

    module: Any
    functions: dict[str, Function]
    kind: type

    def apply(self, op: Op, xs: Sequence[Any]) -> Any:
        """Return the operation's value on numbers of that library."""
        if not op.builtin:
            return self._own(op, xs)
        function = self.functions.get(op.name) or getattr(self.module, op.name, None)
        if function is None:
            message = f"it has no {op.name}"
            raise LookupError(message)
        return function(*xs)

    def _own(self, op: Op, xs: Sequence[Any]) -> Any:
        message = f"the forward function of {op.name!r} doesn't run on its numbers"
        try:
            with catch_warnings(action="ignore"):  # that math.sin makes a float of a tensor
                result = op.forward(*xs)
        except Exception as error:
            raise LookupError(message) from error
        if isinstance(result, self.kind):
            return result
        raise LookupError(message)


def _common_functions(m: Any) -> dict[str, Function]:
    """Return the operations that m, PyTorch or jax.numpy, doesn't have by our names."""
    return {
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "div": operator.truediv,
        "neg": operator.neg,
        "pos": operator.pos,
        "pow_below": lambda a, b: m.pow(a, b - 1),
        "cocircle": lambda a: m.sqrt((1 - a) * (1 + a)),
        "direction": lambda a, b: a / m.hypot(a, b),
        "inversion": lambda a, b: a / (a * a + b * b),
        "sech2": lambda a: 1 / m.cosh(a) ** 2,
        "gauss": lambda a: m.exp(-a * a / 2),
        "step": lambda a: m.where(a > 0, 1.0, 0.0 * a),
        "leaky_relu": lambda a, b: m.where(a > 0, a, b * a),
        "elu": lambda a, b: m.where(a > 0, a, b * m.expm1(m.minimum(a, 0.0 * a))),
        "where": lambda a, b, c: m.where(a != 0, b, c),
        "less": lambda a, b: m.where(a < b, 1.0, 0.0 * (a + b)),
        "less_equal": lambda a, b: m.where(a <= b, 1.0, 0.0 * (a + b)),
        "equal": lambda a, b: m.where(a == b, 1.0, 0.0 * (a + b)),
        "sum": lambda *xs: m.stack(xs).sum(),
        "mean": lambda *xs: m.stack(xs).mean(),
        "dot": lambda *xs: m.dot(m.stack(xs[: len(xs) // 2]), m.stack(xs[len(xs) // 2 :])),
    }


def _torch_functions(torch: Any) -> dict[str, Function]:
    nn = torch.nn.functional
    return _common_functions(torch) | {
        "normal_cdf": torch.special.ndtr,
        "polygamma": lambda n, a: torch.polygamma(int(n), a),
        "log_sigmoid": nn.logsigmoid,
        "softplus": nn.softplus,
        "gelu": nn.gelu,
        "silu": nn.silu,
        "softmax": lambda *xs: torch.softmax(torch.stack(xs), 0)[0],
        "logsumexp": lambda *xs: torch.logsumexp(torch.stack(xs), 0),
    }


def _jax_functions(jax: Any) -> dict[str, Function]:
    nn, special = jax.nn, jax.scipy.special
    return _common_functions(jax.numpy) | {
        "normal_cdf": special.ndtr,
        "erf": special.erf,
        "lgamma": special.gammaln,
        "polygamma": special.polygamma,
        "sigmoid": nn.sigmoid,
        "log_sigmoid": nn.log_sigmoid,
        "softplus": nn.softplus,
        "relu": nn.relu,
        "gelu": partial(nn.gelu, approximate=False),
        "silu": nn.silu,
        "softmax": lambda *xs: nn.softmax(jax.numpy.stack(xs))[0],
        "logsumexp": lambda *xs: special.logsumexp(jax.numpy.stack(xs)),
    }
