"""What a user can do wrong, and what can go wrong around us: no hang, no crash, no wrong number."""

from __future__ import annotations

import decimal
import gc
import linecache
import math
import operator
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import weakref
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import autograd
from autograd import Value
from autograd.op import REGISTRY, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
ENGINE = str(Path(autograd.__file__).parent)

TYPED = (
    TypeError,
    ValueError,
    ZeroDivisionError,
    OverflowError,
    RuntimeError,
    AttributeError,
    LookupError,
)


def bits(x: float) -> bytes:
    """Return the eight bytes of a double, all nans alike."""
    return struct.pack("<d", math.nan if math.isnan(x) else x)


@contextmanager
def no_hang(seconds: float = 20.0) -> Iterator[None]:
    """Interrupt what takes longer than that, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> NoReturn:
        pytest.fail("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


# --- objects of every kind ------------------------------------------------------------------------


class Hostile:
    """Raises wherever Python's protocols allow it."""

    def _raise(self, *_: object) -> NoReturn:
        message = "hostile"
        raise ValueError(message)

    __float__ = __int__ = __index__ = __bool__ = __len__ = __iter__ = _raise
    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = _raise
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = __abs__ = _raise
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _raise
    __call__ = _raise
    __hash__ = object.__hash__


class Float(float):
    """A float whose conversion fails."""

    def __float__(self) -> NoReturn:
        message = "hostile"
        raise ValueError(message)


class Int(int):
    """An int whose conversion fails."""

    def __float__(self) -> NoReturn:
        message = "hostile"
        raise ValueError(message)


class Text(str):
    """A str of another type."""

    __slots__ = ()


class Liar:
    """Says that it is a float, and isn't."""

    def __getattribute__(self, name: str) -> Any:
        return float if name == "__class__" else object.__getattribute__(self, name)

    __hash__ = object.__hash__


class Defers:
    """Takes over whatever operator it is part of."""

    def _answer(self, *_: object) -> str:
        return "deferred"

    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = _answer
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _answer


def generator() -> Iterator[float]:
    """Give two numbers, once."""
    yield from (1.0, 2.0)


CYCLE: list[Any] = []
CYCLE.append(CYCLE)

with np.errstate(all="ignore"):
    NUMPY = [
        np.dtype(code).type(1) for code in ("?", "b", "h", "i", "q", "B", "Q", "e", "f", "d", "g")
    ]
ODD = [
    None,
    ...,
    NotImplemented,
    object(),
    object,
    1j,
    "1",
    "",
    Text("x"),
    b"1",
    bytearray(b"1"),
    memoryview(b"1"),
    [],
    [1.0],
    [[1.0], None],
    CYCLE,
    (),
    {},
    {1: 2},
    {1.0},
    range(2),
    slice(None),
    print,
    len,
    int,
    Value,
    math,
    autograd,
    autograd.tanh,
    Hostile(),
    Defers(),
    Float(1.5),
    Int(3),
    ValueError("x"),
    np.complex64(1),
    np.complex128(1),
    np.str_("1"),
    np.bytes_(b"1"),
    np.datetime64("2020"),
    np.timedelta64(5, "s"),
    np.timedelta64(5, "D"),
    np.void(b"1"),
    np.array([1.0]),
    np.array([]),
    np.eye(2),
    np.array(1j),
    np.array("1"),
    np.array(None),
    np.array([Value(1.0)]),
    np.ma.masked,
    np.dtype("f8"),
]
REAL: list[Any] = [
    0,
    -3,
    10**30,
    True,
    0.0,
    -0.0,
    0.5,
    -2.5,
    1e308,
    5e-324,
    math.inf,
    -math.inf,
    math.nan,
    Fraction(1, 3),
    Decimal("0.1"),
    Decimal("-inf"),
    *NUMPY,
    np.array(0.5),
    np.array(2),
]
TOO_LARGE: list[Any] = [
    10**400,
    -(10**400),
    Fraction(10**400, 7),
    Decimal("1e400"),
    Decimal("sNaN"),
    np.longdouble("1e400"),
]


def objects() -> st.SearchStrategy[Any]:
    """Any object: the odd ones above, numbers of all kinds, and containers of them."""
    fresh = st.builds(Value, st.floats()) | st.builds(generator)
    fixed = [*ODD, *REAL, *TOO_LARGE]
    listed = st.integers(0, len(fixed) - 1).map(fixed.__getitem__)  # not all of them have a hash
    one = listed | fresh | st.floats() | st.integers()
    return one | st.lists(one, max_size=3) | st.tuples(one, one) | st.text(max_size=3)


def number_in(thing: Any) -> float | None:  # noqa: PLR0911  (one per kind)
    """Return the float that `thing` stands for in the contract, or None."""
    if type(thing) is Value:
        return thing.data
    none = [np.ma.masked, *TOO_LARGE]
    if any(thing is x for x in none) or type(thing) in (Float, Int):
        return None
    if thing is np.ma.masked:
        return None
    if isinstance(thing, np.generic | np.ndarray):
        return float(thing) if thing.shape == () and thing.dtype.kind in "biuf" else None
    if not isinstance(thing, int | float | Fraction | Decimal):
        return None
    try:
        return float(thing)
    except (OverflowError, ValueError):
        return None


def judge(error: Exception) -> None:
    """Fail unless the error is typed, speaks, and was raised on purpose."""
    assert isinstance(error, TYPED), f"{type(error).__name__}: {error}"
    assert str(error), f"{type(error).__name__} without a word"
    traceback = error.__traceback__
    assert traceback is not None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    path = traceback.tb_frame.f_code.co_filename
    if not path.startswith(ENGINE):
        return  # Python's own words at the call, or the object's
    statement = linecache.getline(path, traceback.tb_lineno).strip()
    if statement in {"self.result = f(*traced, **kw)", "return self.forward(*operands)"}:
        return  # Python's words at the call of the user's function, such as define's forward=len
    where = f"{Path(path).name}:{traceback.tb_lineno}"
    assert statement.startswith("raise"), (
        f"{type(error).__name__}: {error} comes from deep inside, {where}: {statement}"
    )


def attempt(call: Callable[[], Any]) -> Any:
    """Return the result; the error if it is a good one; fail on a bad one."""
    try:
        with no_hang():
            result = call()
    except Exception as error:  # noqa: BLE001  (which errors are good is the question here)
        judge(error)
        return error
    assert result is not NotImplemented, "NotImplemented came back as a result"
    return result


def same(found: Any, expected: Any) -> bool:
    """Say whether two outcomes agree: to the last bit, or in the kind of error."""
    if isinstance(expected, Exception):
        return type(found) is type(expected)
    if isinstance(found, Exception):
        return False
    if isinstance(expected, list):
        return all(same(f, e) for f, e in zip(found, expected, strict=True))
    return bits(getattr(found, "data", found)) == bits(getattr(expected, "data", expected))


FIXED = sorted(name for name, op in REGISTRY.items() if op.arity)
VARIADIC = ["sum", "mean", "logsumexp", "softmax"]
many = settings(
    max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@many
@given(st.sampled_from(FIXED), st.data())
def test_an_operation_on_any_objects_is_right_or_a_typed_error_with_a_remedy(
    name: str, data: st.DataObject
) -> None:
    op: Any = REGISTRY[name]
    things = [data.draw(objects()) for _ in range(op.arity)]
    numbers = [number_in(x) for x in things]
    found = attempt(lambda: op(*things))
    floats = [x for x in numbers if x is not None]
    if len(floats) == len(numbers):
        expected = attempt(lambda: op(*floats))
        assert same(found, expected), (name, things, found, expected)
        wanted = Value if any(type(x) is Value for x in things) else float
        assert isinstance(found, Exception) or type(found) is wanted
    elif not (things[-1] is None and op.defaults):
        assert isinstance(found, Exception), (name, things, found)


@many
@given(st.sampled_from(FIXED), st.data())
def test_a_method_on_any_objects_is_right_or_a_typed_error_with_a_remedy(
    name: str, data: st.DataObject
) -> None:
    op: Any = REGISTRY[name]
    v = Value(data.draw(st.sampled_from([0.5, 2.0, -1.5])))
    things = [data.draw(objects()) for _ in range(op.arity - 1)]
    numbers = [number_in(x) for x in things]
    found = attempt(lambda: getattr(v, name)(*things))
    floats = [x for x in numbers if x is not None]
    if len(floats) == len(numbers):
        expected = attempt(lambda: op(v.data, *floats))
        assert same(found, expected), (name, v, things, found, expected)
    elif not (things[-1] is None and op.defaults):
        assert isinstance(found, Exception), (name, v, things, found)


@many
@given(st.sampled_from(VARIADIC), st.lists(objects(), max_size=3) | objects())
def test_an_operation_on_any_sequence_is_right_or_a_typed_error_with_a_remedy(
    name: str, things: Any
) -> None:
    function = getattr(autograd, name)
    found = attempt(lambda: function(things))
    if isinstance(things, list):
        numbers = [number_in(x) for x in things]
        floats = [x for x in numbers if x is not None]
        if len(floats) == len(numbers):
            assert same(found, attempt(lambda: function(floats))), (name, things, found)
        else:
            assert isinstance(found, Exception), (name, things, found)
    elif isinstance(things, str | bytes | bytearray | memoryview | dict | Value | type):
        assert isinstance(found, TypeError), (name, things, found)


@many
@given(objects(), objects())
def test_dot_of_any_objects_is_right_or_a_typed_error_with_a_remedy(xs: Any, ys: Any) -> None:
    found = attempt(lambda: autograd.dot(xs, ys))
    if isinstance(xs, list) and isinstance(ys, list) and len(xs) != len(ys):
        assert isinstance(found, ValueError)


COMPARISONS = [operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


@many
@given(st.sampled_from(COMPARISONS + ARITHMETIC), objects(), st.booleans())
@example(operator.eq, Decimal("sNaN"), False)  # noqa: FBT003
@example(operator.lt, 10**400, True)  # noqa: FBT003
def test_an_operator_with_any_object_is_right_or_a_typed_error(
    op: Callable[[Any, Any], Any],
    thing: Any,
    left: bool,  # noqa: FBT001
) -> None:
    v = Value(1.5)
    a, b = (thing, v) if left else (v, thing)
    if isinstance(thing, Decimal) and thing.is_snan() and op in COMPARISONS:
        with pytest.raises(decimal.InvalidOperation, match="InvalidOperation"):
            op(a, b)  # as Python itself has it: 1.5 == Decimal("sNaN")
        return
    found = attempt(lambda: op(a, b))
    number = number_in(thing)
    if number is not None and not isinstance(thing, np.ndarray):
        x, y = (number, 1.5) if left else (1.5, number)
        names = {"truediv": "div"}
        function: Any = getattr(autograd, names.get(op.__name__, op.__name__), op)
        assert same(found, attempt(lambda: function(x, y))), (op, a, b, found)


def test_an_object_that_pretends_to_be_a_float_is_refused_in_our_words() -> None:
    # Not among the objects above: Hypothesis, too, takes it for a float when it prints it.
    uses: list[Callable[[], Any]] = [
        lambda: Value(Liar()),
        lambda: Value(1.0).backward(Liar()),  # type: ignore[arg-type]
        lambda: autograd.tanh(Liar()),  # type: ignore[call-overload]
        lambda: autograd.sum([1.0, Liar()]),  # type: ignore[list-item]
        lambda: autograd.grad(product)(Liar()),
        lambda: Value(1.0).maximum(Liar()),  # type: ignore[arg-type]
    ]
    for use in uses:
        found = attempt(use)
        assert isinstance(found, TypeError)
    for op in ARITHMETIC:
        assert isinstance(attempt(partial(op, Value(1.0), Liar())), TypeError)


def product(xs: Any) -> Any:
    """Multiply all that is in nested lists."""
    if not isinstance(xs, list | tuple):
        return xs * 1.0
    result: Any = 1.0
    for x in xs:
        result = result * product(x)
    return result


def relabel(label: Any) -> str:
    """Set a label and show it."""
    v = Value(1.0)
    v.label = label
    return repr(v)


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "Value": lambda a, b: Value(a, b),  # noqa: PLW0108
    "data": lambda a, b: setattr(Value(1.0), "data", a),  # noqa: ARG005
    "grad of a Value": lambda a, b: setattr(Value(1.0), "grad", a),  # noqa: ARG005
    "label": lambda a, b: relabel(a),  # noqa: ARG005
    "backward": lambda a, b: (Value(2.0) * 3.0).backward(a),  # noqa: ARG005
    "gradients": lambda a, b: autograd.gradients(a, b),  # noqa: PLW0108
    "gradients of a Value": lambda a, b: autograd.gradients(Value(1.0), a),  # noqa: ARG005
    "steps": lambda a, b: autograd.steps(a),  # noqa: ARG005
    "steps, order": lambda a, b: autograd.steps(Value(1.0) * 2.0, order=a),  # noqa: ARG005
    "steps, seed": lambda a, b: str(autograd.steps(Value(1.0) * 2.0, seed=a)),  # noqa: ARG005
    "steps, grad": lambda a, b: autograd.steps(Value(1.0)).grad(a),  # noqa: ARG005
    "paths": lambda a, b: autograd.paths(a, b),  # noqa: PLW0108
    "paths, limit": lambda a, b: autograd.paths(v := Value(1.0), v, limit=a),  # noqa: ARG005
    "grad": lambda a, b: autograd.grad(a)(b),
    "grad, argument": lambda a, b: autograd.grad(product)(a),  # noqa: ARG005
    "grad, argnums": lambda a, b: autograd.grad(product, a)(2.0, 3.0),  # noqa: ARG005
    "grad, result": lambda a, b: autograd.grad(lambda x: a)(2.0),  # noqa: ARG005
    "value_and_grad": lambda a, b: autograd.value_and_grad(product, b)(a),
    "jvp": lambda a, b: autograd.jvp(product, a, b),
    "jvp, function": lambda a, b: autograd.jvp(a, [1.0], [1.0]),  # noqa: ARG005
    "jvp, tangents": lambda a, b: autograd.jvp(product, [2.0], a),  # noqa: ARG005
    "vjp": lambda a, b: autograd.vjp(product, a)[1](b),
    "vjp, u": lambda a, b: autograd.vjp(product, 2.0)[1](a),  # noqa: ARG005
    "hvp": lambda a, b: autograd.hvp(product, a, b),
    "jacobian": lambda a, b: autograd.jacobian(product, b)(a),
    "jacobian, result": lambda a, b: autograd.jacobian(lambda x: a)(2.0),  # noqa: ARG005
    "hessian": lambda a, b: autograd.hessian(product, b)(a),
    "find": lambda a, b: find(a),  # noqa: ARG005
}

DEFINE: dict[str, Any] = {
    "name": "broken_by_test",
    "forward": lambda a: a * a,
    "partials": lambda y, a: 2.0 * a,  # noqa: ARG005
    "formula": "",
    "locals": (),
    "rule": "",
    "domain": (),
    "kinks": (),
    "lowering": None,
    "symbol": "",
}


@settings(parent=many, max_examples=1500)
@given(st.sampled_from(sorted(CALLS)), objects(), objects())
def test_a_public_function_on_any_objects_gives_a_result_or_a_typed_error_with_a_remedy(
    name: str, a: Any, b: Any
) -> None:
    found = attempt(lambda: CALLS[name](a, b))
    if name in ("Value", "data", "grad of a Value", "backward"):
        accepted = number_in(a) is not None and type(a) is not Value
        if name == "Value":
            accepted = accepted and (b is None or isinstance(b, str))
        if name == "backward":
            # The gradient is three times the seed, and has to be a double.
            accepted = accepted and math.isfinite(3.0 * float(a))
        assert isinstance(found, Exception) is not accepted, (name, a, b, found)


@many
@given(st.sampled_from(sorted(DEFINE)), objects())
def test_define_with_any_object_anywhere_gives_an_operation_or_a_typed_error_with_a_remedy(
    field: str, thing: Any
) -> None:
    before = dict(REGISTRY)
    arguments = {**DEFINE, field: thing}
    found = attempt(lambda: autograd.define(**arguments))
    if isinstance(found, Exception):
        assert before == REGISTRY  # nothing is left behind of a definition that failed
        return
    REGISTRY.pop(found.name)
    if hasattr(Value, found.name):
        delattr(Value, found.name)
    assert found(3.0) == 9.0
    v = Value(3.0)
    y = found(v)
    y.backward()
    assert v.grad == 6.0
    assert "3" in str(autograd.steps(y)) or str(autograd.steps(y))


# --- an interrupt at every line -------------------------------------------------------------------


def in_threads(work: Callable[[int], Any], count: int = 8) -> list[Any]:
    """Run work(0), work(1), … at once, switching as often as possible; return their results."""
    results: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def run(number: int) -> None:
        gate.wait()
        try:
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001  (shown by the test that waits for it)
            results[number] = error

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)
    finally:
        sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads), "the threads wait for each other"
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def other_threads_go_on() -> bool:
    """Say whether no lock was left behind that other threads would wait for."""
    x = Value(2.0)
    in_threads(lambda _: (x * x).backward(), 1)
    return x.grad == 4.0


class Interrupter:
    """Raises KeyboardInterrupt at the n-th line that the engine executes.

    The lines of `with` and `try` are left out: CPython handles signals after a call and at a jump
    backwards, never between a lock's `__enter__` and the body nor between the body and `__exit__`,
    nor on the no-op that `try:` is, which lies outside the range of its handler.
    """

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(ENGINE):
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith(("with ", "try:")):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def network() -> tuple[list[Value], list[Value], Value]:
    """Leaves, interior values with gradients of an earlier pass, and a result of every arity."""
    a, b, c = leaves = [Value(0.5, "a"), Value(-1.5, "b"), Value(2.0, "c")]
    product = a * b
    inner = [product, product.tanh(), autograd.sum([product, a, c, 1.0]), c.clip(0.0, a + 5.0)]
    total = inner[1] * inner[2] + autograd.dot([a, inner[3]], [c, b])
    result = autograd.logsumexp([total, inner[1], c]) / (3.0 - a)
    (total * 2.0).backward()
    return leaves, [*inner, total, result], result


def grads_of(values: list[Value]) -> list[bytes]:
    """Return their grads to the last bit."""
    return [bits(v.grad) for v in values]


@pytest.mark.parametrize("inside_ieee", [False, True])
def test_an_interrupt_at_any_line_of_backward_leaves_all_of_it_or_nothing(
    inside_ieee: bool,  # noqa: FBT001
) -> None:
    leaves, interior, result = network()
    untouched = grads_of(leaves + interior)
    with autograd.ieee() if inside_ieee else no_hang(60.0):
        result.backward()
        complete = grads_of(leaves + interior)
        assert complete != untouched
        number = 0
        interrupted = True
        tracer = sys.gettrace()
        while interrupted:
            number += 1
            leaves, interior, result = network()
            sys.settrace(Interrupter(number))
            try:
                result.backward()
                interrupted = False
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(tracer)
            after = grads_of(leaves + interior)
            if interrupted:
                assert after in (untouched, complete), f"half a pass was left at line {number}"
            if after == untouched:
                result.backward()
            assert grads_of(leaves + interior) == complete
    assert number > 50
    assert other_threads_go_on()


def test_an_interrupt_inside_a_derivative_leaves_all_grads_as_they_were() -> None:
    leaves, interior, result = network()
    before = grads_of(leaves + interior)
    op: Any = autograd.tanh
    partials = op.partials

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    op.partials = (interrupt,)
    try:
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            result.backward()
    finally:
        op.partials = partials
    assert grads_of(leaves + interior) == before
    fresh, _, again = network()
    again.backward()
    result.backward()
    assert grads_of(leaves) == grads_of(fresh)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX timers only")
def test_real_interrupts_at_random_moments_leave_all_of_a_pass_or_nothing() -> None:
    x = Value(1.0)
    y = x
    for _ in range(2000):
        y = y + x
    y.backward()
    step = x.grad

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    try:
        for attempt_number in range(300):
            before = x.grad
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 * (1 + attempt_number % 150))
                y.backward()
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            except KeyboardInterrupt:
                interrupts += 1
            assert x.grad in (before, before + step)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupts > 10
    x.grad = 0.0
    y.backward()
    assert x.grad == step
    assert other_threads_go_on()


# --- threads --------------------------------------------------------------------------------------


def test_threads_build_and_differentiate_graphs_of_their_own_at_once() -> None:
    def work(number: int) -> float:
        for _ in range(30):
            x = Value(float(number))
            y = x
            for _ in range(40):
                y = y * 0.5 + x
            y.backward()
            assert x.grad == 2.0 - 0.5**40
            assert autograd.grad(lambda a: a**3)(float(number)) == 3.0 * number**2
            x.data = 1.0
        return x.grad

    in_threads(work)


def test_threads_that_share_leaves_add_up_every_gradient() -> None:
    shared = [Value(2.0, "a"), Value(4.0, "b")]

    def work(number: int) -> None:
        a, b = shared
        for _ in range(50):
            y = (a * b + a * float(number)) * 0.5
            y.backward()

    in_threads(work)
    numbers = 50.0 * sum(range(8)) * 0.5
    assert [v.grad for v in shared] == [50.0 * 8 * 4.0 * 0.5 + numbers, 50.0 * 8 * 2.0 * 0.5]


def gradients_of(y: Value) -> bool:
    """Run the backward pass and say that it is over."""
    y.backward()
    return True


def test_threads_that_differentiate_one_shared_graph_add_up_every_gradient() -> None:
    x = Value(3.0)
    y = x
    for _ in range(30):
        y = y + x
    results = in_threads(lambda _: [gradients_of(y) for _ in range(50)])
    assert len(results) == 8
    assert x.grad == 8 * 50 * 31.0


def test_ieee_in_one_thread_does_not_hold_in_another() -> None:
    def work(number: int) -> None:
        for _ in range(200):
            if number % 2:
                with autograd.ieee():
                    assert autograd.log(Value(0.0)).data == -math.inf
            else:
                with pytest.raises(ValueError, match=r"^log\(0\.0\): operand must be > 0"):
                    autograd.log(Value(0.0))

    in_threads(work)
    assert not autograd.ieee.active()


def test_threads_may_pickle_one_graph_at_once() -> None:
    x = Value(3.0)
    y = x
    for _ in range(50):
        y = y * 0.5 + x

    def work(_: int) -> bool:
        for _ in range(30):
            made = pickle.loads(pickle.dumps(y))  # noqa: S301  (our own bytes)
            assert made.data == y.data
        return True

    assert all(in_threads(work))


# --- ieee() and no_collector() as context managers ------------------------------------------------


def test_ieee_may_be_nested_also_one_and_the_same_object_and_ends_where_it_ends() -> None:
    mode = autograd.ieee()
    for first, second in ((mode, autograd.ieee()), (mode, mode)):
        with first:
            with second:
                assert autograd.log(0.0) == -math.inf
            assert autograd.log(0.0) == -math.inf
        with pytest.raises(ValueError, match="operand must be > 0"):
            autograd.log(0.0)
    with pytest.raises(KeyError, match="x"), mode:
        raise KeyError("x")
    assert not autograd.ieee.active()


def test_no_collector_pauses_the_collector_and_leaves_it_as_it_was() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError, match="x"), autograd.no_collector():  # noqa: PT012
        assert not gc.isenabled()
        with autograd.no_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise KeyError("x")
    assert gc.isenabled()
    gc.disable()
    try:
        with autograd.no_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


# --- other interpreters ---------------------------------------------------------------------------

TOUR = """
import copy, gc, pickle, sys
import autograd
from autograd import Value

def check(fact, what):
    if not fact:
        raise SystemExit(f"not so: {what}")

def raises(kind, words, f):
    try:
        f()
    except kind as error:
        check(words in str(error), f"{words!r} in {error!r}")
    else:
        check(False, f"{kind} raised")

LIMIT
x, w = Value(0.5, "x"), Value(-2.0, "w")
y = x
for _ in range(DEPTH):
    y = y * 0.5 + x
y = autograd.sum([y, (x * w).tanh(), autograd.dot([x, w], [w, 3.0]), x.clip(0.0, 1.0)])
y.backward()
check(abs(x.grad - (2.0 - 2.0 + w.data * (1 - (x * w).tanh().data ** 2) + 1.0)) < 1e-9, x.grad)
check(len(list(autograd.steps(y))) == 3 * DEPTH + 11, len(autograd.steps(y)))
check(len(str(autograd.steps(y))) > 1000, "text")
check(autograd.gradients(y, [x])[0].data == x.grad, "gradients")
for made in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
    check(made.data == y.data and repr(made) == repr(y), "copy")
check(autograd.hessian(lambda a: a[0] * a[1] ** 3)([2.0, 3.0]) == [[0.0, 27.0], [27.0, 36.0]], "h")
check(autograd.grad(autograd.grad(lambda a: a**3))(2.0) == 12.0, "grad of grad")
check(autograd.jvp(lambda a: a * a, [3.0], [2.0]) == (9.0, 12.0), "jvp")
cube = autograd.define("tour_cube", lambda a: a * a * a, lambda y, a: 3 * a * a)
check(autograd.grad(cube)(2.0) == 12.0 and x.tour_cube().data == 0.125, "define")
raises(ValueError, "differences of", lambda: autograd.define(
    "tour_wrong", lambda a: a * a, lambda y, a: 2.001 * a))
raises(ValueError, "log(-1.0): operand must be > 0", lambda: autograd.log(-1.0))
raises(TypeError, "autograd.sin", lambda: float(x))
raises(TypeError, "two Values", lambda: Value(1j))
raises(ValueError, "undefined", lambda: (Value(-2.0) ** Value(3.0)).backward())
stale = x * w
x.data = 1.0
raises(RuntimeError, "leaf 'x' changed", stale.backward)
with autograd.ieee():
    check(autograd.log(0.0) == -float("inf"), "ieee")
del y, made, stale
print("done")
"""


def tour(*flags: str, limit: str = "", depth: int = 300, **environment: str) -> None:
    """Walk through the whole package in an interpreter of its own."""
    code = TOUR.replace("LIMIT", limit).replace("DEPTH", str(depth))
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", ""), done.stderr[-2000:]


@pytest.mark.parametrize("flags", [["-O"], ["-OO"], ["-W", "error", "-X", "dev"], ["-bb"], ["-I"]])
def test_the_package_works_under_every_flag_of_python(flags: list[str]) -> None:
    if flags == ["-I"]:
        flags = []  # isolated mode can't see the checkout: the plain run stands for it
    tour(*flags)


def test_the_package_works_with_a_recursion_limit_of_100() -> None:
    tour(limit="sys.setrecursionlimit(100)", depth=5000)


def test_nothing_of_it_leaves_a_reference_cycle() -> None:
    start = "gc.collect(); gc.disable(); gc.set_debug(gc.DEBUG_SAVEALL)"
    end = "\ngc.collect()\nown = [x for x in gc.garbage if 'autograd' in type(x).__module__]\n"
    code = TOUR.replace("LIMIT", start).replace("DEPTH", "50")
    code = code.replace('print("done")', end + "gc.set_debug(0)\nprint(len(own), 'values')")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "0 values\n"), done.stderr[-2000:]


def test_collecting_after_a_pass_finds_nothing_at_all() -> None:
    code = """
import gc
import autograd
def work():
    x = autograd.Value(0.5)
    y = autograd.sum([x.tanh() * x, x, x / 2.0])
    y.backward()
    list(autograd.steps(y))
    autograd.gradients(y, [x])
    autograd.grad(lambda a: a * a.sin())(2.0)
work()
gc.collect()
gc.disable()
gc.set_debug(gc.DEBUG_SAVEALL)
work()
found = gc.collect()
print(found, [type(x).__name__ for x in gc.garbage])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "0 []\n"


# --- a million nodes ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_chain_of_a_million_nodes_is_built_differentiated_shown_copied_pickled_and_freed() -> (
    None
):
    import copy  # noqa: PLC0415  (used by this test only)

    gc.collect()
    gc.disable()
    try:
        x = Value(1.0, "x")
        y = x
        for _ in range(500_000):
            y = y * 1.0 + x
        assert y.data == 500_001.0
        y.backward()
        assert x.grad == 500_001.0
        assert repr(y) == "Value(data=500001.0, grad=1.0)"
        for way in (copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))):  # noqa: S301
            made: Any = way(y)
            own = made.parents[1]
            before = own.grad
            made.backward()
            assert own is not x
            assert (own.label, own.grad - before) == ("x", 500_001.0)
            assert x.grad == 500_001.0
            watched = weakref.ref(made)
            del made
            assert watched() is None
        watched = weakref.ref(y.parents[0])
        own_copy = weakref.ref(own)
        del y, own
        assert watched() is None
        assert own_copy() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_200_000_steps_are_listed_and_their_graph_has_its_second_derivative() -> None:
    x = Value(1.0, "x")
    y = x * x
    for _ in range(100_000):
        y = y + x
    y.backward()
    y.backward()
    assert x.grad == 2.0 * 100_002.0
    made = autograd.steps(y)
    assert len(made) == 200_002
    assert made.grad(x) == 100_002.0
    (first,) = autograd.gradients(y, [x])
    (second,) = autograd.gradients(first, [x])
    assert second.data == 2.0
