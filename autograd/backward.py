"""The backward pass: a topological order, and the chain rule along it."""

from __future__ import annotations

import os
from contextvars import Context
from functools import cache
from itertools import repeat
from math import isfinite, isnan
from operator import attrgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from . import ops, scopes, tracing
from .op import Interval, all_finite, ieee, sequence, to_float
from .value import Value, plain, stale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .op import Op

# Held while a pass writes `_mark` and `_grad`: threads may share leaves (a model's parameters).
_lock = RLock()
if hasattr(os, "register_at_fork"):
    # A child made while another thread holds it would wait for that thread, which it hasn't got.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
_get_grad = attrgetter("_grad")

# What a pass starts from: 0.0 as a number, but a float object of its own, by which a node that no
# contribution has reached can be told from one whose contributions add up to 0.
_UNREACHED = float("0.0")


def sort(root: Value) -> tuple[list[Value], list[Value]]:
    """Return the computed values that `root` depends on, operands first, and its leaves.

    It is a depth-first search, operands from left to right, with a stack of its own, so that a
    graph may be as deep as memory allows. A node stays on the stack, marked `opened`, until all
    that it depends on has been listed.

    Raises:
        RuntimeError: if a leaf was changed after a value was computed from it.

    """
    if root.op is None:
        return [], [root]
    opened, listed = object(), object()  # marks that nobody else has need no clearing
    computed: list[Value] = []
    leaves: list[Value] = []
    stack: list[Value] = []
    pop, push, add_leaf = stack.pop, stack.append, leaves.append
    # Tuples of operands by their id, each with the time of its youngest leaf. All that is in one
    # has been listed before a second node with the same is come to: what leads to that node comes
    # after the first.
    seen: dict[int, int] = {}
    node = root
    with _lock:
        while True:
            if node._mark is opened:
                node._mark = listed
                computed.append(node)
            elif node._mark is not listed:  # it may have been reached another way meanwhile
                node._mark = opened
                push(node)
                # Leaves needn't be pushed; they only must not be younger than what uses them.
                x = node._second
                if type(x) is Value:
                    if x.op is not None:
                        if x._mark is not listed:
                            push(x)
                    elif x._clock > node._clock:
                        raise stale(node, x)
                    elif x._mark is not listed:
                        x._mark = listed
                        add_leaf(x)
                x = node._first
                if type(x) is Value:
                    if x.op is not None:
                        if x._mark is not listed:
                            node = x  # a push that would be popped at once
                            continue
                    elif x._clock > node._clock:
                        raise stale(node, x)
                    elif x._mark is not listed:
                        x._mark = listed
                        add_leaf(x)
                elif type(x) is tuple:
                    for part in reversed(node._second or (x,)):
                        if seen.get(id(part), node._clock + 1) <= node._clock:
                            continue
                        youngest = 0
                        for x in reversed(part):
                            if type(x) is Value:
                                if x.op is not None:
                                    push(x)
                                    continue
                                if x._clock > youngest:
                                    youngest = x._clock
                                    if youngest > node._clock:
                                        raise stale(node, x)
                                if x._mark is not listed:
                                    x._mark = listed
                                    add_leaf(x)
                        seen[id(part)] = youngest
            if not stack:
                return computed, leaves
            node = pop()


def backward(root: Value, seed: float = 1.0) -> None:
    """Add seed · ∂root/∂leaf to the grad of each leaf; set the grad of each value above the leaves.

    A node needs its operands and its upstream gradient, nothing else. The upstream gradient is
    complete when the walk comes to the node, because in the reversed topological order all that
    uses the node has come before.

    Raises:
        RuntimeError, ZeroDivisionError, OverflowError, ValueError: as `Value.backward`.

    """
    seed = to_float(seed, "seed")
    with _lock:
        computed, leaves = sort(root)
        nodes = computed + leaves
        before = list(map(_get_grad, nodes))
        try:
            for node in nodes:
                node._grad = _UNREACHED
            root._grad = seed
            if ieee.active():
                _walk_by_steps(root, computed, seed)
            else:
                _walk(computed)
                check_finite(root, list(map(_get_grad, leaves)))
            old = before[len(computed) :]
            if any(old):  # seldom: most passes follow a zero_grad or are a leaf's first
                _set_all(leaves, _sums(old, leaves))
        except BaseException:  # an interrupt, too, has to leave all grads as if nothing had been
            _set_all(nodes, before)
            raise


def _sums(before: list[float | None], leaves: list[Value]) -> list[float]:
    # A function of its own: from 3.12 on a comprehension is inlined, and an interrupt in it passes
    # by the handler and the lock around it.
    return [x.grad + (old or 0.0) for old, x in zip(before, leaves, strict=True)]


def _set_all(nodes: list[Value], grads: Sequence[float | None]) -> None:
    # `any` and `map` run in C, where no interrupt comes between the first and the last.
    any(map(setattr, nodes, repeat("_grad"), grads))


def _walk(computed: list[Value]) -> None:
    # `contributions` says the same in a third of the lines and takes three times as long; a test
    # holds the two together to the last bit. (Where an operation routes, a local derivative of
    # exactly 0 cuts the edge: see `Op`.)
    for node in reversed(computed):
        upstream: Any = node._grad
        if upstream is _UNREACHED:
            continue
        op: Any = node.op
        a = node._first
        try:
            if op.arity == 2:  # noqa: PLR2004
                b = node._second
                first, second = op.partials
                if type(a) is Value:
                    if type(first) is not float:
                        first = first(node._data, a._data, b._data if type(b) is Value else b)
                    if first or not op.routes:
                        a._grad += first * upstream
                if type(b) is Value:
                    if type(second) is not float:
                        second = second(node._data, a._data if type(a) is Value else a, b._data)
                    if second or not op.routes:
                        b._grad += second * upstream
            elif op.arity == 1:
                (first,) = op.partials
                if type(first) is not float:
                    first = first(node._data, a._data)
                if first or not op.routes:
                    a._grad += first * upstream
            else:
                _walk_many(node, upstream)
        except (ArithmeticError, ValueError):
            for _ in local_derivatives(node):  # raises the same in the operation's words
                pass
            raise


def _walk_many(node: Value, upstream: float) -> None:
    op: Any = node.op
    operands = node._first
    if op.arity is None:
        data = [x._data if type(x) is Value else x for x in operands]
        for x, local in zip(operands, op.partials(node._data, *data), strict=True):
            if type(x) is Value:
                x._grad += local * upstream
        return
    for _, x, local in local_derivatives(node):
        if local or not op.routes:
            x._grad += local * upstream


def local_derivatives(
    node: Value, *, lift: bool = False, wanted: set[Value] | None = None
) -> Iterator[tuple[int, Value, Any]]:
    """Yield (index, parent, ∂node/∂parent) for each operand that is a Value, in order.

    The derivative is a float; with `lift`, it is computed with Values, so that it has a graph of
    its own. Parents outside `wanted` are passed over and their derivatives not evaluated.

    Raises:
        ZeroDivisionError, OverflowError, ValueError: where one is infinite or undefined.

    """
    op: Any = node.op
    operands = node.operands
    y: Any = node
    xs: Any = operands
    if not lift:
        y = node._data
        xs = [x._data if type(x) is Value else x for x in operands]
    every = op.every_local(y, xs) if op.arity is None else None
    for index, x in enumerate(operands):
        if type(x) is not Value or (wanted is not None and x not in wanted):
            continue
        yield index, x, every[index] if every is not None else op.local(index, y, xs)


class Contribution(NamedTuple):
    """What one edge adds to a gradient: contribution = local · upstream."""

    value: Value
    place: int
    parent: Value
    local: Any
    upstream: Any
    contribution: Any


def contributions(
    computed: list[Value],
    grads: dict[Value, Any],
    *,
    lift: bool = False,
    wanted: set[Value] | None = None,
) -> Iterator[Contribution]:
    """Walk backward over `computed` and yield each edge's contribution, adding it into `grads`.

    `grads` starts as {result: seed}. A value that no contribution reached stays out of it: its
    gradient is 0, and its derivatives are not asked for.
    """
    if tracing.active():
        yield from _traced_contributions(computed, grads, wanted)
        return
    for node in reversed(computed):
        if node not in grads:
            continue
        upstream = grads[node]
        routes = node.op.routes  # type: ignore[union-attr]  # a computed value has an op
        for index, x, local in local_derivatives(node, lift=lift, wanted=wanted):
            if routes and local == 0.0:
                yield Contribution(node, index, x, local, upstream, 0.0)
                continue
            # Multiplying by 1 changes no bit, and would be one more node.
            contribution = upstream if type(local) is float and local == 1.0 else local * upstream
            if not lift:
                grads[x] = grads.get(x, 0.0) + contribution
            else:
                grads[x] = grads[x] + contribution if x in grads else contribution
            yield Contribution(node, index, x, local, upstream, contribution)


def _traced_contributions(
    computed: list[Value], grads: dict[Value, Any], wanted: set[Value] | None
) -> Iterator[Contribution]:
    # As `contributions`, for a graph that will be computed again with other numbers. `reached` has
    # the condition for each value that a contribution may not reach then.
    reached: dict[Value, Any] = dict.fromkeys(grads, 1.0)
    wild = may_be_infinite(computed)
    place = scopes.path_or_none()
    try:
        for node in reversed(computed):
            if node not in grads:
                continue
            upstream = grads[node]
            scopes.name_as(f"∂ {node.scope}")
            for index, x, local in local_derivatives(node, lift=True, wanted=wanted):
                passed = pass_on(node, local, upstream, reached[node], wild)
                if passed is None:
                    continue
                contribution, here = passed
                grads[x] = grads[x] + contribution if x in grads else contribution
                reached[x] = either(reached[x], here) if x in reached else here
                yield Contribution(node, index, x, local, upstream, contribution)
    finally:
        scopes.name_as(place)


def pass_on(
    node: Value, local: Any, factor: Any, reached: Any, wild: set[Value]
) -> tuple[Any, Any] | None:
    """Return local · factor and whether it is passed on, both to be computed again; None for never.

    Whether an operation routes past an operand, and so whether what lies behind is reached at all,
    is a part of a traced graph. `reached` is the condition under which the factor has come here:
    1.0, or a Value that is 0 where it hasn't. There the product has to be 0 for a local derivative
    that is infinite, too, as it may be for a node in `wild` and, in a careful trace, for any.
    """
    routes = node.op.routes  # type: ignore[union-attr]  # a computed value has an op
    is_constant = type(local) is float
    if routes and is_constant and local == 0.0:
        return None
    product = factor if is_constant and local == 1.0 else local * factor
    if is_constant:
        return product, reached
    beyond = reached
    if routes:
        product, beyond = ops.where(local, product, 0.0), ops.where(local, reached, 0.0)
    if type(reached) is Value and (node in wild or not tracing.may_leave_unmasked(product)):
        product = ops.where(reached, product, 0.0)
    return product, beyond


def either(a: Any, b: Any) -> Any:
    """Return the condition that one of two such conditions holds."""
    return 1.0 if type(a) is float or type(b) is float else ops.maximum(a, b)


def may_be_infinite(computed: list[Value]) -> set[Value]:
    """Return the values that may be infinite, or have an infinite derivative, for finite leaves.

    That a product of finite numbers may overflow is left out: it would be the end of all products.
    """
    wild: set[Value] = set()
    for node in computed:
        if _is_singular(node.op) or not wild.isdisjoint(node.parents):
            wild.add(node)
    return wild


@cache
def _is_singular(op: Op) -> bool:
    # Whether it is infinite or undefined at some finite operands, or one of its derivatives is.
    has_rule = op.rule and op.arity is not None  # a sum's is about infinite operands
    if has_rule or not op.builtin or any(interval != Interval() for interval in op.domain):
        return True
    return op.arity is not None and Context().run(_is_singular_at_zero, op)


def _is_singular_at_zero(op: Op) -> bool:
    # There cbrt is infinitely steep, and the direction undefined that is the slope of hypot: points
    # that are no ends of a domain.
    xs = [Value(0.0) for _ in op.partials]
    with ieee():
        first = gradients(op.apply(tuple(xs)), xs)
        second = [x for slope in first for x in gradients(slope, xs)]
    return not all_finite([plain(x) for x in first + second])


def _walk_by_steps(root: Value, computed: list[Value], seed: float) -> None:
    grads: dict[Value, float] = {root: seed}
    for _ in contributions(computed, grads):
        pass
    for x, grad in grads.items():
        x._grad = grad


def check_finite(root: Value, grads: Sequence[float], wanted: set[Value] | None = None) -> None:
    """Raise unless all of these gradients of `root` are finite; name the place where it began."""
    # A finite sum has finite terms only; one that isn't finite is worth a look at each.
    if isfinite(sum(grads)) or all_finite(grads):
        return
    computed, _ = sort(root)
    culprit = None
    for step in contributions(computed, {root: 1.0}, wanted=wanted):
        if not all_finite([step.contribution]):
            culprit = step
            break
    kind: type[Exception] = ValueError if any(map(isnan, grads)) else OverflowError
    result = "nan" if kind is ValueError else "infinite"
    if culprit is None:
        message = f"a gradient is {result}: the contributions to it, or the seed, are too large"
        raise kind(message)
    op: Op = culprit.value.op  # type: ignore[assignment]  # a computed value has an op
    call = op.call_text(plain(x) for x in culprit.value.operands)
    message = (
        f"a gradient is {result}: at {call} the local derivative {culprit.local!r} times "
        f"the upstream gradient {culprit.upstream!r} is {culprit.contribution!r}; "
        "inside `with autograd.ieee():` it is returned as it is"
    )
    raise kind(message)


def gradients(y: Value, xs: Sequence[Value]) -> list[Value]:
    """Return [∂y/∂x for x in xs] as Values, which can be differentiated again.

    No `grad` is changed. A value that `y` doesn't depend on has the derivative 0.0.

    Raises:
        TypeError: if `y` or an element of `xs` isn't a Value.
        RuntimeError, ZeroDivisionError, OverflowError, ValueError: as `Value.backward`.

    """
    results = differentiate(y, xs, lift=True)
    return [g if type(g) is Value else Value(g) for g in results]


def differentiate(y: Value, xs: Sequence[Value], *, lift: bool) -> list[Any]:
    """Return [∂y/∂x for x in xs]; with `lift` as Values where they depend on one, else as floats.

    Only edges that lead to one of `xs` are walked: x ** n at x = -2 is asked for no logarithm if
    nobody wants the derivative in n.
    """
    xs = sequence(xs, "gradients(y, xs)")
    for x in (y, *xs):
        if type(x) is not Value:
            message = f"gradients(y, xs) takes Values; got {x!r} ({type(x).__name__})"
            raise TypeError(message)
    computed, _ = sort(y)
    wanted = set(xs)
    for node in computed:
        if not wanted.isdisjoint(node.parents):
            wanted.add(node)
    grads: dict[Value, Any] = {y: 1.0}
    for _ in contributions(computed, grads, lift=lift, wanted=wanted):
        pass
    results = [grads.get(x, 0.0) for x in xs]
    if not ieee.active():
        check_finite(y, [plain(g) for g in results], wanted)
    return results
