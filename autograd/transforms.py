"""Derivatives of functions: each transform takes a function and returns one.

The arguments that are differentiated are numbers or (nested) lists or tuples of numbers. Each is
replaced by a Value that nobody else has, f runs on those, and the derivative is read off the graph
that it leaves. The results are floats in the arguments' structure, or Values where they depend on
somebody's Value, as they do inside another transform: so they nest to any order.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

from . import ops, tracing
from .backward import differentiate, either, local_derivatives, may_be_infinite, pass_on, sort
from .op import all_finite, ieee, sequence, to_float
from .value import Value, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Argnums = int | tuple[int, ...]


def grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function (args) -> ∂f/∂args[argnums].

    f returns one number. The result has the structure of the argument: a float for a number, a list
    for a list; for a tuple of `argnums`, a tuple of those.

    >>> grad(lambda x: x**3)(2.0)
    12.0

    Raises (when called):
        TypeError: if an argument isn't a number or nested list of numbers, or f's result no number.
        ValueError: if there is no argument of that number.
        ZeroDivisionError, OverflowError, ValueError: where the derivative doesn't exist.

    """
    numbers = _numbers(f, argnums, "grad")
    return wraps(f)(lambda *args, **kw: _value_and_grad(f, numbers, args, kw)[1])


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function (args) -> (f(args), ∂f/∂args[argnums]); see `grad`."""
    numbers = _numbers(f, argnums, "value_and_grad")
    return wraps(f)(lambda *args, **kw: _value_and_grad(f, numbers, args, kw))


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return (f(*primals), pull), where pull(u) is the tuple of uᵀ · ∂f/∂primal, one per primal.

    `u` has the structure of f's result, each part of the pull that of its primal.

    Raises:
        TypeError: as `grad`, and by `pull` if u hasn't the structure of f's result.

    """
    trace = _Trace(f, primals, range(len(primals)), {}, "vjp")

    def pull(u: Any) -> tuple[Any, ...]:
        weights = _flatten_like(u, trace.result, "vjp: u")
        lift = trace.lift or any(type(x) is Value for x in weights)
        return trace.derivatives(ops.dot(trace.outputs, weights), lift=lift)

    return trace.value(), pull


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return (f(*primals), J · tangents): the derivative of f along a direction, by forward mode.

    `tangents` has the structure of `primals`; the result has that of f's.

    Raises:
        TypeError: as `grad`, and if tangents and primals differ in structure.

    """
    points = sequence(primals, "jvp: primals")
    directions = _flatten_like(sequence(tangents, "jvp: tangents"), points, "jvp: tangents")
    trace = _Trace(f, points, range(len(points)), {}, "jvp")
    along = dict(zip(trace.leaves, directions, strict=True))
    lift = trace.lift or any(type(x) is Value for x in directions)
    flat = push(trace.outputs, along, lift=lift)
    if not (ieee.active() or all_finite([plain(x) for x in flat])):
        message = "jvp: the derivative along the tangents is infinite or undefined"
        raise OverflowError(message)
    return trace.value(), _unflatten(trace.result, iter(flat))


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """Return ∇²f(x) · v for f of one argument, at the cost of a few gradients, without the matrix.

    Raises:
        TypeError: as `grad`, and if v hasn't the structure of x.

    """
    return jvp(grad(f), [x], [v])[1]


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function (args) -> ∂f/∂args[argnums].

    The result has the structure of f's result, with the structure of the argument in the place of
    each number: for f from n to m numbers in lists, m lists of n numbers.

    Raises (when called):
        TypeError, ValueError: as `grad`.

    """
    numbers = _numbers(f, argnums, "jacobian")

    def transformed(*args: Any, **kw: Any) -> Any:
        trace = _Trace(f, args, numbers, kw, "jacobian")
        rows = [trace.derivatives(y, lift=trace.lift) for y in trace.outputs]
        return _unflatten(trace.result, iter([_one_or_all(row, numbers) for row in rows]))

    return wraps(f)(transformed)


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return the function (args) -> ∂²f/∂args[argnums]²: for n numbers in a list, n lists of n.

    Raises (when called):
        TypeError, ValueError: as `grad`.

    """
    return jacobian(grad(f, argnums), argnums)


# The inputs of the transforms under way, outermost first. What an inner transform returns has to
# keep its graph if it depends on one of them: d/dx of x · (d/dy x·y) is 2x, not x.
_under_way: ContextVar[tuple[Value, ...]] = ContextVar("autograd.under_way", default=())


class _Trace:
    """One run of f on fresh Values, and what can be read off the graph that it left."""

    __slots__ = ("inputs", "leaves", "lift", "outputs", "result")

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        argnums: Argnums | range,
        kw: dict[str, Any],
        name: str,
    ) -> None:
        _check_callable(f, name)
        traced = list(args)
        places: set[int] = set()
        self.inputs = []
        self.leaves: list[Value] = []
        # Whether the results are to be Values. While a function is traced they are: they may depend
        # on a leaf that isn't an argument, and whose number may be another one in a later call.
        self.lift = tracing.active()
        for number in (argnums,) if isinstance(argnums, int) else argnums:
            if not -len(args) <= number < len(args):
                message = f"{name}: argnums (={number}) must name one of the {len(args)} arguments"
                raise ValueError(message)
            if number % len(args) in places:
                message = f"{name}: argnums (={argnums}) must name an argument once only"
                raise ValueError(message)
            places.add(number % len(args))
            argument = args[number]
            flat = _flatten(argument, f"{name}: an argument to differentiate")
            self.lift |= any(type(x) is Value for x in flat)
            # `+x` is a new node on x: this derivative can't be confused with that of an outer
            # transform, which goes on through it to x.
            fresh = [ops.pos(x) if type(x) is Value else Value(x) for x in flat]
            self.leaves += fresh
            self.inputs.append(argument)
            traced[number] = _unflatten(argument, iter(fresh))
        outer = _under_way.get()
        token = _under_way.set((*outer, *self.leaves))
        try:
            self.result = f(*traced, **kw)
        finally:
            _under_way.reset(token)
        self.outputs = _flatten(self.result, f"{name}: the result of f")
        self.lift |= _depends(self.outputs, outer)

    def value(self) -> Any:
        """Return f's result as the caller knows it: floats, unless it depends on his own Values."""
        if self.lift:
            return self.result
        return _unflatten(self.result, iter([plain(y) for y in self.outputs]))

    def derivatives(self, y: Any, *, lift: bool) -> tuple[Any, ...]:
        """Return ∂y/∂input for each input, in its structure."""
        flat = iter([0.0] * len(self.leaves))
        if type(y) is Value:  # else a constant
            flat = iter(differentiate(y, self.leaves, lift=lift))
        return tuple(_unflatten(argument, flat) for argument in self.inputs)


def _depends(outputs: Sequence[Any], on: Sequence[Value]) -> bool:
    if not on:
        return False
    wanted = set(on)
    graphs = (sort(y) for y in outputs if type(y) is Value)
    return any(not wanted.isdisjoint(part) for graph in graphs for part in graph)


def _value_and_grad(
    f: Callable[..., Any], argnums: Argnums, args: tuple[Any, ...], kw: dict[str, Any]
) -> tuple[Any, Any]:
    trace = _Trace(f, args, argnums, kw, "grad")
    if isinstance(trace.result, list | tuple):
        kind = type(trace.result).__name__
        message = f"grad: f must return one number; got a {kind}: use jacobian"
        raise TypeError(message)
    (y,) = trace.outputs
    return trace.value(), _one_or_all(trace.derivatives(y, lift=trace.lift), argnums)


def _numbers(f: Any, argnums: Any, name: str) -> Argnums:
    _check_callable(f, name)
    for number in argnums if isinstance(argnums, tuple) else (argnums,):
        if not isinstance(number, int):
            message = f"{name}: argnums (={argnums!r}) must be an int, or a tuple of ints"
            raise TypeError(message)
    return argnums  # type: ignore[no-any-return]  # checked just now


def _check_callable(f: Any, name: str) -> None:
    if not callable(f):
        message = f"{name} takes a function; got {f!r} ({type(f).__name__})"
        raise TypeError(message)


def _one_or_all(parts: tuple[Any, ...], argnums: Argnums) -> Any:
    return parts if isinstance(argnums, tuple) else parts[0]


def push(outputs: Sequence[Any], along: dict[Value, Any], *, lift: bool) -> list[Any]:
    """Return the tangents of the outputs, given those of the inputs, by forward mode.

    The tangent of a value is the sum of local · tangent over its parents.
    """
    carried: dict[Value, Any] = dict.fromkeys(along, 1.0)
    for y in outputs:
        if type(y) is Value and tracing.active():
            _push_traced(y, along, carried)
            continue
        for node, passing in _passing(y) if type(y) is Value else ():
            if node in along:
                continue
            wanted = {x for x in passing if x in along}
            edges = local_derivatives(node, lift=lift, wanted=wanted) if wanted else ()
            routes = node.op.routes  # type: ignore[union-attr]  # a computed value has an op
            terms = [local * along[x] for _, x, local in edges if not (routes and local == 0.0)]
            if terms:
                along[node] = terms[0] if len(terms) == 1 else ops.sum(terms)
    return [along.get(y, 0.0) if type(y) is Value else 0.0 for y in outputs]


def _push_traced(y: Value, along: dict[Value, Any], carried: dict[Value, Any]) -> None:
    # The same for a graph that will be computed again with other numbers. `carried` has the
    # condition for each value that a tangent may not come to then.
    computed, _ = sort(y)
    wild = may_be_infinite(computed)
    for node in computed:
        wanted = {x for x in node.parents if x in along}
        if node in along or not wanted:
            continue
        terms = []
        for _, x, local in local_derivatives(node, lift=True, wanted=wanted):
            passed = pass_on(node, local, along[x], carried[x], wild)
            if passed is not None:
                terms.append(passed[0])
                carried[node] = either(carried[node], passed[1]) if node in carried else passed[1]
        if terms:
            along[node] = terms[0] if len(terms) == 1 else ops.sum(terms)


def _passing(y: Value) -> list[tuple[Value, set[Value]]]:
    # The values that y depends on, operands first, each with the parents that matter to it. What
    # a choice (`where`, `relu`) has left out isn't among them: like the backward pass, forward mode
    # doesn't ask it for derivatives, which needn't exist.
    computed, _ = sort(y)
    reached = {y}
    passing = []
    for node in reversed(computed):
        if node not in reached:
            continue
        parents = set(node.parents)
        if node.op.routes:  # type: ignore[union-attr]  # a computed value has an op
            parents = {x for _, x, local in local_derivatives(node) if local != 0.0}
        reached |= parents
        passing.append((node, parents))
    return passing[::-1]


# --- nested lists of numbers -----------------------------------------------------------------


_DEEPEST = 30  # a list in itself is deeper than any that somebody meant


def _flatten(thing: Any, what: str, depth: int = 0) -> list[Any]:
    if isinstance(thing, list | tuple):
        _check_depth(depth, what)
        return [x for part in thing for x in _flatten(part, what, depth + 1)]
    return [thing if type(thing) is Value else to_float(thing, what)]


def _flatten_like(thing: Any, model: Any, what: str, depth: int = 0) -> list[Any]:
    if isinstance(model, list | tuple):
        _check_depth(depth, what)
        if not isinstance(thing, list | tuple) or len(thing) != len(model):
            message = f"{what} must have the structure of {model!r}; got {thing!r}"
            raise TypeError(message)
        pairs = zip(thing, model, strict=True)
        return [x for part, like in pairs for x in _flatten_like(part, like, what, depth + 1)]
    return [thing if type(thing) is Value else to_float(thing, what)]


def _check_depth(depth: int, what: str) -> None:
    if depth == _DEEPEST:
        message = f"{what} is nested more than {_DEEPEST} lists deep"
        raise ValueError(message)


def _unflatten(model: Any, flat: Iterator[Any]) -> Any:
    if isinstance(model, list):
        return [_unflatten(part, flat) for part in model]
    if isinstance(model, tuple):
        return tuple(_unflatten(part, flat) for part in model)
    return next(flat)
