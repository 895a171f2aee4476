"""The peers of compile.py that compile graphs of scalars.

Casadi has matrices, too, which serve it better for the networks. ddx is given the loss of one row,
computes each row in a column of a batch, and NumPy adds the columns up.
"""

from __future__ import annotations

from array import array
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from compile_c import shared_library
from compile_cases import (
    CLASSES,
    L2,
    Graph,
    Prepared,
    flat,
    function_of,
    inputs_of,
    one_hot,
    row_loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from compile_cases import Case


class Maths:
    """The functions that `row_loss` and `Graph.record` need, on a module that has some of them."""

    def __init__(self, module: Any, maximum: Callable[[Any, Any], Any]) -> None:
        self.tanh, self.exp, self.log = module.tanh, module.exp, module.log
        self.maximum = maximum

    def relu(self, x: Any) -> Any:
        """Return the larger one of x and zero."""
        return self.maximum(x, 0.0)

    def dot(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        """Return the sum of the products."""
        return sum(x * y for x, y in zip(xs, ys, strict=True))

    def logsumexp(self, xs: Sequence[Any]) -> Any:
        """Return the logarithm of the sum of powers of e."""
        return self.log(sum(map(self.exp, xs)))


# --- casadi ---------------------------------------------------------------------------------------


def casadi(case: Case, style: str, scratch: Path) -> Prepared:
    """Return the case through casadi: run by its virtual machine, or as C that it generates.

    The styles are "bound" and "C bound", to buffers, and "C called", with its own arrays.
    """
    module = import_module("casadi")
    function = _casadi_function(module, case)
    if style != "bound":
        source, target = scratch / "casadi.c", scratch / "casadi.so"
        if not target.exists():
            generator = module.CodeGenerator(source.name)
            generator.add(function)
            generator.generate(f"{scratch}/")
        shared_library(source, target, ("-O3",))
        function = module.external(function.name(), str(target))
    inputs = [array("d", numbers) for numbers in _casadi_inputs(case)]
    if style == "C called":
        shapes = [function.size_in(i) for i in range(function.n_in())]
        arguments = [
            module.reshape(module.DM(list(numbers)), *shape)
            for numbers, shape in zip(inputs, shapes, strict=True)
        ]

        def result() -> list[float]:
            outputs = function.call(arguments)
            return [float(x) for each in outputs for x in each.nonzeros()]

        return Prepared(lambda: function.call(arguments), result)
    outputs = [array("d", bytes(8 * function.numel_out(i))) for i in range(function.n_out())]
    buffer, run = function.buffer()
    for i, numbers in enumerate(inputs):
        buffer.set_arg(i, memoryview(numbers))
    for i, numbers in enumerate(outputs):
        buffer.set_res(i, memoryview(numbers))

    def read() -> list[float]:
        run()
        return [x for numbers in outputs for x in numbers]

    return Prepared(run, read, kept=(buffer, inputs))


def _casadi_inputs(case: Case) -> list[list[float]]:
    if case.kind not in {"moons", "digits"}:
        return [inputs_of(case)]
    targets = case.data.targets
    if case.kind == "digits":
        targets = [x for row in one_hot(case.data) for x in row]
    return [[x for row in case.data.rows for x in row], targets, flat(case.data)]


def _casadi_function(module: Any, case: Case) -> Any:
    if case.kind in {"moons", "digits"}:
        return _casadi_batch(module, case)
    x = module.SX.sym("x", len(inputs_of(case)))
    y = function_of(case, Maths(module, module.fmax))(module.vertsplit(x))
    outputs = [y] if isinstance(case.data, Graph) else [y, module.gradient(y, x)]
    return module.Function("f", [x], outputs)


def _casadi_batch(module: Any, case: Case) -> Any:
    # Its matrices are several times as fast as its map of a scalar function over the rows.
    widths, rows = case.data.widths, case.size
    x = h = module.MX.sym("x", widths[0], rows)
    t = module.MX.sym("t", 1 if case.kind == "moons" else CLASSES, rows)
    p = module.MX.sym("p", len(flat(case.data)))
    at = 0
    for depth, (nin, nout) in enumerate(pairwise(widths), start=2):
        end = at + (nin + 1) * nout
        neurons = module.reshape(p[at:end], nin + 1, nout).T
        h = module.mtimes(neurons[:, :nin], h) + module.repmat(neurons[:, nin], 1, rows)
        if depth < len(widths):
            h = module.fmax(h, 0.0) if case.kind == "moons" else module.tanh(h)
        at = end
    if case.kind == "moons":
        loss = module.sum2(module.fmax(1.0 - t * h, 0.0)) / rows + L2 * module.dot(p, p)
    else:
        logs = module.log(module.sum1(module.exp(h)))
        loss = (module.sum2(logs) - module.dot(t, h)) / rows
    return module.Function("f", [x, t, p], [loss, module.gradient(loss, p)])


# --- ddx ------------------------------------------------------------------------------------------


def ddx(case: Case, style: str, scratch: Path) -> Prepared:
    """Return the case through ddx, interpreted or compiled, bound to its buffers."""
    module, np = import_module("ddx"), import_module("numpy")
    equation = module.equation(_ddx_model(module, case))
    training = case.kind in {"moons", "digits"}
    backend = module.Backend.COMPILE if style == "compiled" else module.Backend.INTERPRET
    equation.options = module.Options(
        backend=backend, points=case.size if training else 1, cache_dir=str(scratch)
    )
    if not training:
        graph = isinstance(case.data, Graph)
        want = module.Want.VALUE if graph else module.Want.JACOBIAN
        run = equation.buffer(np.array(inputs_of(case)), want=want)

        def read() -> list[float]:
            run()
            return [float(run.value), *([] if graph else run.jacobian.tolist())]

        return Prepared(run, read)
    parameters = np.array(flat(case.data))
    count = len(parameters)
    point = np.empty((len(equation.inputs), case.size))
    # ddx sorts inputs by when they were first named, symbols before those without a derivative.
    targets = one_hot(case.data) if case.kind == "digits" else [[t] for t in case.data.targets]
    point[:count] = parameters[:, None]
    point[count:] = np.hstack([case.data.rows, targets]).T
    run = equation.buffer(point)

    def call() -> tuple[Any, Any]:
        run.x[:count] = parameters[:, None]  # a step has new parameters
        run()
        return run.value.mean(), run.jacobian.mean(1)

    def result() -> list[float]:
        value, gradient = call()
        return [float(value), *gradient.tolist()]

    return Prepared(call, result)


def _ddx_model(module: Any, case: Case) -> Callable[[], Any]:
    maths = Maths(module, module.max)
    if case.kind not in {"moons", "digits"}:
        count, f = len(inputs_of(case)), function_of(case, maths)
        return lambda: f([module.var(f"x{i}") for i in range(count)])
    loss = row_loss(case.kind, case.data.widths, maths)
    nin, count = case.data.widths[0], len(flat(case.data))

    def model() -> Any:
        p = [module.var(f"p{i}") for i in range(count)]
        x = [module.param(f"x{i}") for i in range(nin)]
        if case.kind == "moons":
            return loss(x, module.param("y"), p)
        return loss(x, [module.param(f"y{k}") for k in range(CLASSES)], p)

    return model


# --- symengine ------------------------------------------------------------------------------------


def symengine(case: Case, _style: str, _scratch: Path) -> Prepared:
    """Return the value and gradient through LLVM, from derivatives of formulas."""
    module, np = import_module("symengine"), import_module("numpy")
    x = [module.Symbol(f"x{i}") for i in range(case.size)]
    y = function_of(case, module)(x)
    f = module.Lambdify(x, [y, *[y.diff(each) for each in x]], backend="llvm", cse=True)
    point, out = np.array(case.data), np.empty(case.size + 1)
    return Prepared(lambda: f(point, out=out), lambda: f(point).tolist())
