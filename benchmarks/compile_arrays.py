"""The engines of compile.py that compute with arrays: a whole batch at once, as their users do."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compile_cases import (
    L2,
    Graph,
    Prepared,
    by_neuron,
    function_of,
    matrices,
    one_hot,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compile_cases import Case

    Layers = list[tuple[Any, Any]]


def _numbers(value: Any, layers: Any) -> list[float]:
    return [float(value), *by_neuron(layers)]


def _rosenbrock(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


# --- NumPy, by hand -------------------------------------------------------------------------------


def numpy(case: Case, _style: str, _scratch: Path) -> Prepared:
    """Return the case on NumPy, with derivatives by hand."""
    np = import_module("numpy")
    if case.kind == "rosenbrock":
        return _numpy_point(np, case)
    X, y = (np.array(each) for each in (case.data.rows, case.data.targets))
    # All parameters are one vector, of which the layers are views; the gradients, too.
    p = np.concatenate([np.ravel(each) for layer in matrices(case.data) for each in layer])
    g = np.empty_like(p)
    layers, gradients = _views(case, p), _views(case, g)
    classes, numbered, rows = y.astype(int), np.arange(case.size), case.size

    def margins(score: Any) -> tuple[Any, Any]:
        margin = 1.0 - y * score[:, 0]
        active = margin > 0.0
        loss = margin[active].sum() / rows + L2 * (p @ p)
        return loss, np.where(active, -y / rows, 0.0)[:, None]

    def entropy(z: Any) -> tuple[Any, Any]:
        z -= z.max(1, keepdims=True)
        powers = np.exp(z)
        sums = powers.sum(1, keepdims=True)
        loss = (np.log(sums).sum() - z[numbered, classes].sum()) / rows
        powers /= sums
        powers[numbered, classes] -= 1.0
        powers /= rows
        return loss, powers

    outputs, slopes = ([np.empty((rows, len(b))) for _, b in layers] for _ in range(2))

    def call() -> Any:
        x = X
        for depth, ((weights, biases), z) in enumerate(zip(layers, outputs, strict=True), start=1):
            x = np.matmul(x, weights, out=z)
            x += biases
            if depth < len(layers):
                x = np.maximum(x, 0.0, out=x) if case.kind == "moons" else np.tanh(x, out=x)
        loss, d = margins(x) if case.kind == "moons" else entropy(x)
        for depth in reversed(range(len(layers))):
            gw, gb = gradients[depth]
            h = outputs[depth - 1] if depth else X
            np.matmul(h.T, d, out=gw)
            np.sum(d, axis=0, out=gb)
            if depth:
                d = np.matmul(d, layers[depth][0].T, out=slopes[depth - 1])
                d *= h > 0.0 if case.kind == "moons" else 1.0 - h * h
        if case.kind == "moons":
            np.add(g, 2.0 * L2 * p, out=g)
        return loss

    return Prepared(call, lambda: _numbers(call(), gradients))


def _views(case: Case, vector: Any) -> Layers:
    views, at = [], 0
    for weights, biases in matrices(case.data):
        nin, nout = len(weights), len(biases)
        end = at + nin * nout
        views.append((vector[at:end].reshape(nin, nout), vector[end : end + nout]))
        at = end + nout
    return views


def _numpy_point(np: Any, case: Case) -> Prepared:
    x, g = np.array(case.data), np.empty(case.size)

    def call() -> Any:
        slope, rest = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
        g[-1] = 0.0
        g[:-1] = -400.0 * slope * x[:-1] - 2.0 * rest
        g[1:] += 200.0 * slope
        return 100.0 * (slope @ slope) + rest @ rest

    return Prepared(call, lambda: [float(call()), *g.tolist()])


# --- torch ----------------------------------------------------------------------------------------


def torch(case: Case, _style: str, _scratch: Path) -> Prepared:
    """Return the case on torch's tensors, eager, in batches."""
    module = import_module("torch")
    module.set_num_threads(1)
    loss_of, leaves = (_torch_point if case.kind == "rosenbrock" else _torch_network)(module, case)

    def call() -> Any:
        loss = loss_of()
        return loss, module.autograd.grad(loss, leaves)

    def result() -> list[float]:
        loss, gradients = call()
        if case.kind == "rosenbrock":
            return [loss.item(), *gradients[0].tolist()]
        return _numbers(loss.detach(), list(zip(gradients[::2], gradients[1::2], strict=True)))

    return Prepared(call, result)


def _torch_point(module: Any, case: Case) -> tuple[Callable[[], Any], list[Any]]:
    x = module.tensor(case.data, dtype=module.float64).requires_grad_()
    return lambda: _rosenbrock(x), [x]


def _torch_network(module: Any, case: Case) -> tuple[Callable[[], Any], list[Any]]:
    numbers = [case.data.rows, case.data.targets]
    numbers += [each for layer in matrices(case.data) for each in layer]
    X, y, *leaves = (module.tensor(each, dtype=module.float64) for each in numbers)
    classes = y.long()
    for leaf in leaves:
        leaf.requires_grad_()
    activation = module.relu if case.kind == "moons" else module.tanh

    def loss_of() -> Any:
        h = X
        for depth in range(0, len(leaves), 2):
            h = module.addmm(leaves[depth + 1], h, leaves[depth])
            if depth + 2 < len(leaves):
                h = activation(h)
        if case.kind == "digits":
            return module.nn.functional.cross_entropy(h, classes)
        squares = sum((p * p).sum() for p in leaves)
        return module.relu(1.0 - y * h[:, 0]).mean() + L2 * squares

    return loss_of, leaves


# --- JAX ------------------------------------------------------------------------------------------


def jax(case: Case, _style: str, scratch: Path) -> Prepared:
    """Return the case through jax.jit."""
    module, np = import_module("jax"), import_module("jax.numpy")
    module.config.update("jax_enable_x64", True)  # noqa: FBT003  (that is how JAX takes it)
    for option, setting in {
        "jax_compilation_cache_dir": str(scratch / "jax"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        module.config.update(option, setting)
    if isinstance(case.data, Graph):
        f, arguments = module.jit(function_of(case, np)), [np.asarray(case.data.inputs)]
        return Prepared(lambda: f(*arguments).block_until_ready(), lambda: [float(f(*arguments))])
    if case.kind == "rosenbrock":
        arguments = [np.asarray(case.data)]
        loss = _rosenbrock
    else:
        arguments = [[tuple(map(np.asarray, layer)) for layer in matrices(case.data)]]
        arguments += [np.asarray(case.data.rows), np.asarray(case.data.targets)]
        loss = _jax_loss(module, np, case)
    f = module.jit(module.value_and_grad(loss))

    def call() -> Any:
        return module.block_until_ready(f(*arguments))

    def result() -> list[float]:
        value, gradient = call()
        if case.kind == "rosenbrock":
            return [float(value), *gradient.tolist()]
        layers = [tuple(each.tolist() for each in layer) for layer in gradient]
        return _numbers(value, layers)

    return Prepared(call, result)


def _jax_loss(module: Any, np: Any, case: Case) -> Callable[..., Any]:
    def loss(layers: Layers, X: Any, y: Any) -> Any:
        h = X
        for depth, (weights, biases) in enumerate(layers, start=1):
            h = h @ weights + biases
            if depth < len(layers):
                h = module.nn.relu(h) if case.kind == "moons" else np.tanh(h)
        if case.kind == "digits":
            logs = module.nn.log_softmax(h)
            return -np.take_along_axis(logs, y.astype(int)[:, None], 1).mean()
        squares = sum((p * p).sum() for layer in layers for p in layer)
        return np.maximum(1.0 - y * h[:, 0], 0.0).mean() + L2 * squares

    return loss


# --- PyTensor -------------------------------------------------------------------------------------


def pytensor(case: Case, _style: str, _scratch: Path) -> Prepared:
    """Return the case as a compiled PyTensor function, in its default mode."""
    module, pt = import_module("pytensor"), import_module("pytensor.tensor")
    np = import_module("numpy")
    if case.kind == "rosenbrock":
        arguments = [np.array(case.data)]
        inputs = [pt.dvector()]
        loss = _rosenbrock(*inputs)
    else:
        arguments = [np.array(each) for layer in matrices(case.data) for each in layer]
        inputs = [pt.dmatrix() if each.ndim > 1 else pt.dvector() for each in arguments]
        X, y = module.shared(np.array(case.data.rows)), np.array(case.data.targets)
        if case.kind == "moons":
            y = module.shared(y)
        else:
            y = module.shared(np.array(one_hot(case.data)))
        loss = _pytensor_loss(pt, case, inputs, X, y)
    f = module.function(inputs, [loss, *module.grad(loss, inputs)], trust_input=True)

    def result() -> list[float]:
        value, *gradients = f(*arguments)
        if case.kind == "rosenbrock":
            return [float(value), *gradients[0].tolist()]
        return _numbers(value, list(zip(gradients[::2], gradients[1::2], strict=True)))

    return Prepared(lambda: f(*arguments), result)


def _pytensor_loss(pt: Any, case: Case, inputs: list[Any], X: Any, y: Any) -> Any:
    h = X
    for depth in range(0, len(inputs), 2):
        h = h @ inputs[depth] + inputs[depth + 1]
        if depth + 2 < len(inputs):
            h = pt.maximum(h, 0.0) if case.kind == "moons" else pt.tanh(h)
    if case.kind == "digits":
        return -(y * pt.special.log_softmax(h, axis=1)).sum() / case.size
    squares = sum((p * p).sum() for p in inputs)
    return pt.maximum(1.0 - y * h[:, 0], 0.0).mean() + L2 * squares
