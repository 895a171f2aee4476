"""`Value`: a number that remembers where it came from."""

from __future__ import annotations

from math import inf, nan, nextafter
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, final

from . import ops
from . import scopes as _scopes
from . import tracing as _tracing
from .methods import Methods
from .op import REGISTRY, Op, Variadic, is_real, to_float

if TYPE_CHECKING:
    from collections.abc import Callable

_new = object.__new__
_FLOATS = {float}

# Like `make`: a node carries the time at which it was computed, a leaf the time of its last change,
# and a node older than one of its leaves is stale. The clock ticks only when a leaf changes, so
# that nodes share the int and recording costs one load.
_clock = 0
_clock_lock = Lock()


def _tick() -> int:
    global _clock  # noqa: PLW0603  (one clock for all graphs: leaves are shared between them)
    with _clock_lock:
        _clock += 1
        return _clock


@final
class Value(Methods):
    """A real number and, if it was computed, the operation and the operands it came from.

    A leaf is made by `Value(data)`; every other value by an operation on values. `a + b` records
    one node: the `Op` and two operands. Nothing else is stored, because everything else can be read
    off that record: the parents, each local derivative, the whole graph.

    The arithmetic of Python works with numbers on either side. Comparisons, `bool` and `format`
    look at the data; the hash is the identity.
    """

    # Operands sit in the node itself, or in a tuple in `_first` where there are more than two: a
    # tuple in every node would cost 64 bytes and a second object for the collector to visit. Beside
    # that tuple `_second` has the parts that it was made of, if they are worth knowing.
    # `_grad` is None until a backward pass has reached the node. `_mark` belongs to `sort`.
    __slots__ = (
        "__weakref__",
        "_clock",
        "_data",
        "_first",
        "_grad",
        "_label",
        "_mark",
        "_scope",
        "_second",
        "op",
    )

    op: Op | None

    def __init__(self, data: Any, label: str | None = None) -> None:
        """Make a leaf.

        Raises:
            TypeError: if `data` isn't a real number, or `label` isn't text.

        """
        self._data: float = to_float(data)
        self._grad: float | None = None
        self.op = None
        self._first: Any = None
        self._second: Any = None
        self._clock = _clock
        self._mark: object = None
        self.label = label
        if _scopes.are_open:
            self.scope = _scopes.path()
        if _tracing.are_active:
            _tracing.note_leaf(self)

    def __init_subclass__(cls) -> NoReturn:
        message = "Value can't be subclassed: wrap it, or give it an operation with autograd.define"
        raise TypeError(message)

    # --- what it holds ---------------------------------------------------------------------------

    @property
    def data(self) -> float:
        """The number. It can be set on a leaf, which makes what was computed from it stale."""
        if _tracing.are_active:
            self._refuse_to_be_frozen(".data was read")
        return self._data

    @data.setter
    def data(self, number: Any) -> None:
        if self.op is not None:
            message = f"data can be set on a leaf only; {self!r} was computed by {self.op.name}"
            raise AttributeError(message)
        if _tracing.are_active:
            self._refuse_to_be_frozen(".data was set")
        self._data = to_float(number)
        self._clock = _tick()

    @property
    def grad(self) -> float:
        """∂(result)/∂(this) after the result's `backward()`; 0.0 before."""
        if _tracing.are_active:
            self._refuse_to_be_frozen(".grad was read")
        return 0.0 if self._grad is None else self._grad

    @grad.setter
    def grad(self, number: Any) -> None:
        if _tracing.are_active:
            self._refuse_to_be_frozen(".grad was set")
        self._grad = to_float(number, "grad")

    @property
    def label(self) -> str | None:
        """The name that a person gave it."""
        return self._label

    @label.setter
    def label(self, text: str | None) -> None:
        if text is not None and not isinstance(text, str):
            message = f"label must be text or None; got {text!r}"
            raise TypeError(message)
        self._label = text

    @property
    def scope(self) -> str | None:
        """The scopes that were open when it was made, such as "mlp/layer1"; None if none was."""
        try:
            return self._scope
        except AttributeError:  # not set by default: that would cost each value a store
            return None

    @scope.setter
    def scope(self, path: str | None) -> None:
        if path is not None and not isinstance(path, str):
            message = f"scope must be text or None; got {path!r}"
            raise TypeError(message)
        self._scope: str | None = path

    @property
    def operands(self) -> tuple[Any, ...]:
        """What the operation was applied to, in order: Values and constants (floats)."""
        if self.op is None:
            return ()
        if self.op.arity == 1:
            return (self._first,)
        return (self._first, self._second) if self.op.arity == 2 else self._first  # noqa: PLR2004

    @property
    def parents(self) -> tuple[Value, ...]:
        """The operands that are Values, in order; twice the same in `a * a`."""
        return tuple(x for x in self.operands if type(x) is Value)

    def edges(self) -> list[tuple[Value, Callable[[], float]]]:
        """Return a pair per parent: the parent and a closure that returns ∂self/∂parent.

        Raises:
            RuntimeError: by the closure, if a leaf was changed since.
            ZeroDivisionError, OverflowError, ValueError: by the closure, where the derivative is
                infinite or undefined.

        """
        operands = self.operands
        return [
            (x, lambda i=i: self._local(i))  # type: ignore[misc]
            for i, x in enumerate(operands)
            if type(x) is Value
        ]

    def _local(self, index: int) -> float:
        assert self.op is not None  # noqa: S101  (a leaf has no edges)
        self._refuse_to_be_frozen("an edge's derivative was read")
        for x in self.parents:
            if x._clock > self._clock:
                raise stale(self, x)
        return float(self.op.local(index, self._data, [plain(x) for x in self.operands]))

    def backward(self, seed: float = 1.0) -> None:
        """Set `grad` of every value below to seed · ∂self/∂value.

        Leaves accumulate over calls; the values in between start afresh. Either all of it
        happens or, on an error, none.

        Raises:
            RuntimeError: if a leaf was changed after this was computed.
            ZeroDivisionError, OverflowError, ValueError: where a derivative is infinite or
                undefined; inf and nan inside `with ieee():` instead.

        """
        from .backward import backward  # noqa: PLC0415  (backward imports value)

        self._refuse_to_be_frozen("backward() was called")
        backward(self, seed)

    # --- recording -------------------------------------------------------------------------------

    def record(
        self, op: Op, operands: tuple[Any, ...], parts: tuple[tuple[Any, ...], ...] = ()
    ) -> Value:
        """Return the node that holds `op(*operands)`; numbers among the operands become floats.

        `parts` are tuples that make up the operands: a backward pass looks but once at one that
        several nodes share, such as a neuron's weights.
        """
        data = [x._data if type(x) is Value else x for x in operands]
        if {*map(type, data)} != _FLOATS:
            parts = ()
            operands = tuple(
                [
                    x if type(x) is Value else to_float(x, f"an operand of {op.name}")
                    for x in operands
                ]
            )
            data = [plain(x) for x in operands]
        node = _new(Value)
        try:
            node._data = op.forward(*data)
        except (ArithmeticError, ValueError) as error:
            node._data = op.exceptional(error, *data)
        node._grad = None
        node.op = op
        if op.arity == 1:
            (node._first,) = operands
            node._second = None
        elif op.arity == 2:  # noqa: PLR2004
            node._first, node._second = operands
        else:
            node._first, node._second = operands, parts
        node._clock = _clock
        node._mark = None
        node._label = None
        if _scopes.are_open:
            node.scope = _scopes.path()
        return node

    # --- Python's own protocols ------------------------------------------------------------------

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        grad = 0.0 if self._grad is None else self._grad
        return f"Value(data={self._data!r}, grad={grad!r}{label})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else repr(self)

    def __bool__(self) -> bool:
        answer = self._data != 0.0
        return _tracing.decide(self, answer=answer) if _tracing.are_active else answer

    __hash__ = object.__hash__

    # A comparison gives a bool. While a function is traced it gives the Value that is 1.0 where it
    # holds and 0.0 elsewhere, whose truth, if it is asked for, is the same.

    def __eq__(self, other: object) -> Any:
        if (x := _comparable(other)) is None:
            return NotImplemented
        if _tracing.active():
            return ops.equal(self, _same(other, x))
        return bool(self._data == x)

    def __ne__(self, other: object) -> Any:
        if (x := _comparable(other)) is None:
            return NotImplemented
        if _tracing.active():
            return 1.0 - ops.equal(self, _same(other, x))
        return bool(self._data != x)

    def __lt__(self, other: Any) -> Any:
        if (x := _comparable(other)) is None:
            return NotImplemented
        if _tracing.active():
            return ops.less(self, _double(other, x, inf))
        return bool(self._data < x)

    def __le__(self, other: Any) -> Any:
        if (x := _comparable(other)) is None:
            return NotImplemented
        if _tracing.active():
            return ops.less_equal(self, _double(other, x, -inf))
        return bool(self._data <= x)

    def __gt__(self, other: Any) -> Any:
        if (x := _comparable(other)) is None:
            return NotImplemented
        if _tracing.active():
            return ops.less(_double(other, x, -inf), self)
        return bool(self._data > x)

    def __ge__(self, other: Any) -> Any:
        if (x := _comparable(other)) is None:
            return NotImplemented
        if _tracing.active():
            return ops.less_equal(_double(other, x, inf), self)
        return bool(self._data >= x)

    def _refuse_to_be_frozen(self, what: str) -> None:
        if _tracing.active():
            message = (
                f"{self!r}: {what} while this function is compiled, and the number would "
                "be the same in every later call: use the Value itself (comparisons, "
                "autograd.where, autograd.grad)"
            )
            raise TypeError(message)

    def _refuse(self, *_: object) -> NoReturn:
        message = (
            f"{self!r} can't become a plain number without losing its gradient: "
            "use .data for the number, or autograd's function, "
            "such as autograd.sin(v) for math.sin(v)"
        )
        raise TypeError(message)

    __float__ = __int__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _refuse

    def __index__(self) -> NoReturn:
        message = f"{self!r} can't be an index or a count: nothing is differentiable in those"
        raise TypeError(message)

    def __copy__(self) -> Value:
        from .copying import copy_node  # noqa: PLC0415  (copying imports value)

        self._refuse_to_be_frozen("a copy was made")
        return copy_node(self, self.operands)

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        from .copying import copy_graph  # noqa: PLC0415  (copying imports value)

        self._refuse_to_be_frozen("a copy was made")
        return copy_graph(self, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        from .copying import reduce_value  # noqa: PLC0415  (copying imports value)

        self._refuse_to_be_frozen("a copy was made")
        return reduce_value(self)

    if TYPE_CHECKING:

        def __add__(self, other: float | Value) -> Value: ...
        def __radd__(self, other: float) -> Value: ...
        def __sub__(self, other: float | Value) -> Value: ...
        def __rsub__(self, other: float) -> Value: ...
        def __mul__(self, other: float | Value) -> Value: ...
        def __rmul__(self, other: float) -> Value: ...
        def __truediv__(self, other: float | Value) -> Value: ...
        def __rtruediv__(self, other: float) -> Value: ...
        def __pow__(self, other: float | Value) -> Value: ...
        def __rpow__(self, other: float) -> Value: ...
        def __neg__(self) -> Value: ...
        def __pos__(self) -> Value: ...
        def __abs__(self) -> Value: ...


def plain(x: Any) -> float:
    """Return the data of a Value, or the number itself."""
    return x._data if type(x) is Value else x


def stale(node: Value, leaf: Value) -> RuntimeError:
    """Return the error for a node that is older than its leaf's last change."""
    assert node.op is not None  # noqa: S101  (only a computed value can be stale)
    name = repr(leaf.label) if leaf.label else repr(leaf)
    return RuntimeError(
        f"the data of leaf {name} changed (it is {leaf._data!r} now) after "
        f"{node.op.name} had used it: compute the result again, then call backward()"
    )


def _comparable(other: object) -> Any:
    # Python compares a float with an int, a Fraction or a Decimal exactly, so they stay what they
    # are. None for what is no number.
    if type(other) is Value:
        return other._data
    return other if is_real(other) else None


def _double(other: Any, x: Any, side: float) -> Any:
    # What is recorded for a comparison with `other`, whose number is x: where that is no double,
    # such as ⅓, the next one on that side, with which every double compares alike.
    if type(x) is float:
        return other
    try:
        near = float(x)
    except OverflowError:  # a whole number
        near = inf if x > 0 else -inf
    is_past = near < x if side > 0.0 else near > x
    return nextafter(near, side) if is_past else near


def _same(other: Any, x: Any) -> Any:
    # Likewise for equality: no double is equal to ⅓, and none to a nan.
    low, high = _double(other, x, -inf), _double(other, x, inf)
    return low if low is high or low == high else nan


_FOREIGN = (complex, str, bytes, list, tuple, dict, set, type(None))


def _constant(other: Any, op: Op) -> Any:
    # Our error where nobody else can answer; NotImplemented where the other side may (an array).
    try:
        return to_float(other, f"an operand of {op.name}")
    except TypeError:
        if isinstance(other, _FOREIGN):
            raise
        return NotImplemented


def _number(other: Any, op: Op) -> float:
    return to_float(other, f"an operand of {op.name}")


# The three kinds of node that Python's operators and the methods make, spelt out: recording is what
# a program spends its time on. They do what `record` does, and a test holds them to it.


def _unary_method(op: Op) -> Callable[[Value], Value]:
    forward = op.forward

    def method(self: Value) -> Value:
        try:
            data = forward(self._data)
        except (ArithmeticError, ValueError) as error:
            data = op.exceptional(error, self._data)
        node = _new(Value)
        node._data = data
        node._grad = None
        node.op = op
        node._first = self
        node._second = None
        node._clock = _clock
        node._mark = None
        node._label = None
        if _scopes.are_open:
            node.scope = _scopes.path()
        return node

    return method


def _binary_method(op: Op, constant: Callable[[Any, Op], Any]) -> Callable[[Value, Any], Value]:
    forward = op.forward

    def method(self: Value, other: Any) -> Value:
        if type(other) is Value:
            x = other._data
        elif type(other) is float:
            x = other
        else:
            x = other = constant(other, op)
            if x is NotImplemented:
                return x  # type: ignore[no-any-return]  # Python asks the other side then
        try:
            data = forward(self._data, x)
        except (ArithmeticError, ValueError) as error:
            data = op.exceptional(error, self._data, x)
        node = _new(Value)
        node._data = data
        node._grad = None
        node.op = op
        node._first = self
        node._second = other
        node._clock = _clock
        node._mark = None
        node._label = None
        if _scopes.are_open:
            node.scope = _scopes.path()
        return node

    return method


def _reflected_method(op: Op) -> Callable[[Value, Any], Value]:
    def method(self: Value, other: Any) -> Value:
        x = _constant(other, op)
        return x if x is NotImplemented else self.record(op, (x, self))

    return method


def _method_with_defaults(op: Op) -> Callable[..., Value]:
    def method(self: Value, *others: Any) -> Value:
        return op(self, *others)  # type: ignore[operator,no-any-return]  # a Binary or a Ternary

    return method


def add_method(op: Op) -> None:
    """Give `Value` the operation as a method, under its name and its aliases."""
    if isinstance(op, Variadic):
        return
    if op.arity == 1:
        method: Callable[..., Value] = _unary_method(op)
    elif op.arity == 2 and not op.defaults:  # noqa: PLR2004
        method = _binary_method(op, _number)
    else:
        method = _method_with_defaults(op)
    for name in (op.name, *op.aliases):
        _set_method(name, method, f"Return {op.formula} (`autograd.{op.name}`).")


def _set_method(name: str, method: Callable[..., Value], doc: str) -> None:
    method.__name__ = name
    method.__qualname__ = f"Value.{name}"
    method.__doc__ = doc
    setattr(Value, name, method)


def _add_operators() -> None:
    for name, op in (
        ("add", ops.add),
        ("sub", ops.sub),
        ("mul", ops.mul),
        ("truediv", ops.div),
        ("pow", ops.pow),
    ):
        _set_method(f"__{name}__", _binary_method(op, _constant), f"Return {op.formula}.")
        _set_method(f"__r{name}__", _reflected_method(op), f"Return {op.formula}, reflected.")
    for name, unary in (("neg", ops.neg), ("pos", ops.pos), ("abs", ops.abs)):
        _set_method(f"__{name}__", _unary_method(unary), f"Return {unary.formula}.")


Op.lift = Value
_add_operators()
for _op in tuple(REGISTRY.values()):
    add_method(_op)
