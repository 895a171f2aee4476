"""One table of a derivative by every method: each is right, and what can't answer says why."""

from __future__ import annotations

import doctest
import math
import sys
from contextlib import nullcontext
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import REGISTRY, Op, Value, define
from autograd.testing.compare import Comparison, Row, compare
from autograd.testing.strategies import points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUILTIN = [op for op in REGISTRY.values() if op.builtin]

# How far a number may be from mpmath's, relatively and absolutely: only rounding parts them.
ROUNDING = {
    "reverse mode": (1e-13, 1e-15),
    "forward mode": (1e-13, 1e-15),
    "complex step": (1e-12, 1e-15),
    "PyTorch": (1e-8, 1e-14),  # its softplus is a straight line from 20 on
    "JAX": (1e-11, 1e-14),  # in both, tanh' is 1 - tanh², which cancels
}


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    registry, attributes = dict(REGISTRY), set(vars(Value))
    yield
    for name in set(REGISTRY) - set(registry):
        del REGISTRY[name]
    for name in set(vars(Value)) - attributes:
        delattr(Value, name)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave PyTorch and JAX out, installed or not."""
    for name in ("torch", "jax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys.modules[compare.__module__], "find_spec", lambda _: None)


def example(a: Any, b: Any, c: Any) -> Any:
    return -(a**3) + autograd.sin(3 * b) - 1.0 / c + b**2.5 - a**0.5


EXACT = {"a": -12.353553390593273, "b": 10.25699027111255, "c": 0.0625}


def derivatives(table: Comparison, method: str) -> dict[str, float]:
    """Return what a method found, by input."""
    return {row.input: row.derivatives[method] for row in table.rows}


# --- the numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("op", BUILTIN, ids=lambda op: op.name)
@given(data=st.data())
@settings(max_examples=3)
def test_every_method_agrees_with_mpmath_on_every_operation(op: Op, data: st.DataObject) -> None:
    point = data.draw(points(op))
    table = compare(lambda *xs: op.apply(xs), *point)
    for row in table.rows[op.name == "polygamma" :]:  # its order has no derivative
        true = row.derivatives["mpmath"]
        for method, number in row.derivatives.items():
            if method in ROUNDING:
                relative, absolute = ROUNDING[method]
                assert number == pytest.approx(true, rel=relative, abs=absolute), method
        if "differences" in row.derivatives:
            assert abs(row.derivatives["differences"] - true) <= row.error


def test_the_documents_example_by_every_method() -> None:
    table = compare(example, 2.0, 3.0, 4.0)
    assert table.value == example(2.0, 3.0, 4.0)
    assert [(row.input, row.at) for row in table.rows] == [("a", 2.0), ("b", 3.0), ("c", 4.0)]
    for method in ("reverse mode", "forward mode", "mpmath"):
        assert derivatives(table, method) == EXACT
        assert table.distances.get(method, 0.0) == 0.0
    assert derivatives(table, "complex step") == pytest.approx(EXACT, rel=1e-15)
    assert derivatives(table, "differences") == pytest.approx(EXACT, rel=1e-11)
    h = 1e-6
    by_hand = (example(2.0, 3.0 + h, 4.0) - example(2.0, 3.0, 4.0)) / h
    assert derivatives(table, "one-sided, h = 1e-6")["b"] == by_hand
    by_hand = (example(2.0, 3.0 + h, 4.0) - example(2.0, 3.0 - h, 4.0)) / (2 * h)
    assert derivatives(table, "central, h = 1e-6")["b"] == pytest.approx(by_hand, rel=1e-15)
    assert 1e-8 < table.distances["one-sided, h = 1e-6"] < 1e-6
    assert 1e-11 < table.distances["central, h = 1e-6"] < 1e-7


def test_an_input_has_the_name_of_its_parameter_and_its_place_in_it() -> None:
    def f(w: Any, x: Any) -> Any:
        return w[0][0] * x + w[1][0] * w[1][1]

    table = compare(f, [[2], [3.0, 4.0]], 5)
    assert derivatives(table, "reverse mode") == {"w[0][0]": 5, "w[1][0]": 4, "w[1][1]": 3, "x": 2}


def test_a_model_s_parameters_are_inputs_and_come_back_as_they_were() -> None:
    w, b = Value(2.0), Value(-1.0)
    w.grad = 7.0
    model = SimpleNamespace(named_parameters=lambda: [("w", w), ("b", b)])
    table = compare(lambda m: (w * w + b) * len(m.named_parameters()), model)
    for method in ("reverse mode", "forward mode", "complex step", "mpmath"):
        assert derivatives(table, method) == {"w": 8.0, "b": 2.0}
    assert derivatives(table, "differences") == pytest.approx({"w": 8.0, "b": 2.0})
    assert (w.data, w.grad, b.data, b.grad) == (2.0, 7.0, -1.0, 0.0)


def test_a_model_comes_back_as_it_was_from_an_interrupt() -> None:
    w = Value(2.0)
    model = SimpleNamespace(named_parameters=lambda: [("w", w)])

    def f(_: Any) -> Value:
        if w.data != 2.0:
            message = "stop"
            raise KeyboardInterrupt(message)
        return w * w

    with pytest.raises(KeyboardInterrupt, match="stop"):
        compare(f, model)
    assert w.data == 2.0


def test_a_function_without_the_input_has_the_derivative_0_by_every_method() -> None:
    for f in (lambda _x: 3, lambda _x: Value(3.0)):
        row = compare(f, 2.0).rows[0]
        assert len(row.derivatives) >= 7
        assert set(row.derivatives.values()) == {0.0}


# --- what gives no number -------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_what_is_not_installed_is_a_note_and_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpmath", None)
    table = compare(example, 2.0, 3.0, 4.0)
    assert {"PyTorch", "JAX", "complex step", "mpmath"}.isdisjoint(table.rows[0].derivatives)
    need = 'exact derivatives need mpmath: pip install "chainrule[check]"'
    assert table.notes == [
        f"complex step: {need}",
        f"mpmath: {need}",
        "PyTorch: not installed (pip install torch)",
        "JAX: not installed (pip install jax)",
    ]
    assert table.distances == {}
    assert str(table).count("reference") == 1


@pytest.mark.usefixtures("alone")
def test_an_operation_without_an_exact_function_is_a_note_that_says_how_to_give_it_one() -> None:
    own = define("own", math.sin, lambda _, a: autograd.cos(a))
    table = compare(own, 0.5)
    assert set(table.rows[0].derivatives) == {
        *("reverse mode", "forward mode", "differences"),
        *("one-sided, h = 1e-6", "central, h = 1e-6"),
    }
    assert table.notes[0].startswith("complex step: operation 'own' has no exact function")
    assert "FUNCTIONS['own'] = lambda m, a: ..." in table.notes[1]


@pytest.mark.usefixtures("alone")
def test_a_derivative_that_doesn_t_exist_is_a_note_and_the_others_stand() -> None:
    table = compare(lambda x, y: autograd.sqrt(x) + y * y, 0.0, 3.0)
    for method in ("reverse mode", "mpmath", "differences", "central, h = 1e-6"):
        assert method not in table.rows[0].derivatives
        assert table.rows[1].derivatives[method] == pytest.approx(6.0)
    notes = "\n".join(table.notes)
    assert "reverse mode in x: ZeroDivisionError: sqrt(0.0): the derivative is infinite" in notes
    assert "mpmath in x: OverflowError: the derivative is infinite here" in notes
    assert "differences in x: ArithmeticError: they settle on no number" in notes
    assert "  at most off by     -       " in str(table)
    assert "central, h = 1e-6 in x: ValueError: sqrt(-1e-06): operand must be >= 0" in notes


@pytest.mark.usefixtures("alone")
def test_a_kink_is_noted_with_the_subgradient_that_stands_there() -> None:
    table = compare(autograd.relu, 0.0)
    assert table.rows[0].derivatives["reverse mode"] == 0.0
    assert table.rows[0].derivatives["central, h = 1e-6"] == 0.5
    assert table.notes[-1].startswith("on a kink: y = relu(0.0) sits on its kink a = 0")


@pytest.mark.parametrize("result", [[1.0], "1", None, 1j])
def test_a_function_that_returns_no_number_is_a_type_error(result: Any) -> None:
    with pytest.raises(TypeError, match="compare takes a function that returns one number; got"):
        compare(lambda _x: result, 1.0)


def test_what_the_function_raises_is_raised() -> None:
    with pytest.raises(ValueError, match=r"log\(-1\.0\): operand must be > 0"):
        compare(autograd.log, -1.0)


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_the_table_of_the_documents_example_reads_like_this() -> None:
    lines = str(compare(example, 2, 3, 4)).split("\n")
    assert max(map(len, lines)) <= 100
    assert lines[:6] == [
        "the value is 6.336362190988558",
        "",
        f"derivative in        a{' ' * 20}b{' ' * 19}c{' ' * 21}relative error",
        "  at                  2.0                 3.0                 4.0",
        "reverse mode         -12.353553390593273  10.25699027111255   0.0625                0",
        "forward mode         -12.353553390593273  10.25699027111255   0.0625                0",
    ]
    assert [text.split("  ")[0] for text in lines[6:]] == [
        *("differences", "", "one-sided, h = 1e-6", "central, h = 1e-6", "complex step", "mpmath"),
        *("PyTorch", "JAX", "", "PyTorch: not installed (pip install torch)"),
        "JAX: not installed (pip install jax)",
    ]
    assert lines[7].startswith("  at most off by      ")
    assert lines[11].endswith("0.0625                reference")
    assert lines[12].split() == ["PyTorch", "-", "-", "-", "-"]


def table_of(count: int) -> str:
    """Print a made-up table with that many inputs."""
    rows = [Row(f"x[{i}]", 0.1, {"mpmath": -1 / 3, "JAX": -0.25}, math.inf) for i in range(count)]
    return str(Comparison(0.5, ["differences", "mpmath", "JAX"], rows, ["a note"]))


def test_a_wide_table_is_printed_in_parts_that_fit_and_the_rest_is_counted() -> None:
    text = table_of(14)
    assert max(map(len, text.split("\n"))) <= 100
    assert text.count("relative error") == text.count("derivative in") > 1
    names = [f"x[{i}]" for i in range(14)]
    assert [name for name in names if f" {name} " in text] == names[:12]
    assert text.endswith("… 2 more inputs …\n\na note")
    assert "more inputs" not in table_of(12)


def test_the_distance_is_the_largest_one_relative_or_absolute_at_0() -> None:
    rows = [
        Row("a", 1.0, {"mpmath": 2.0, "JAX": 2.5, "PyTorch": 2.0}, 0.0),
        Row("b", 1.0, {"mpmath": 0.0, "JAX": 0.125, "PyTorch": math.nan}, 0.0),
        Row("c", 1.0, {"JAX": 100.0}, 0.0),
    ]
    table = Comparison(0.0, ["mpmath", "PyTorch", "JAX"], rows, [])
    assert table.distances == {"JAX": 0.25, "PyTorch": math.inf}
    assert repr(table) == str(table)


def test_the_example_in_the_docstring_gives_what_it_says() -> None:
    assert doctest.testmod(sys.modules[compare.__module__]).attempted == 2
    assert doctest.testmod(sys.modules[compare.__module__]).failed == 0


# --- PyTorch and JAX, by stand-ins made of this package -------------------------------------------


class Fake(ModuleType):
    """A library that has the functions of autograd, and cbrt not."""

    def __init__(self, name: str, **has: Any) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        vars(self).update(has)

    def __getattr__(self, name: str) -> Any:
        if name == "cbrt":
            raise AttributeError(name)
        return getattr(autograd, name, None)


class Tensor:
    """A Value that calls itself a tensor."""

    def __init__(self, value: Any, *, requires_grad: bool = False) -> None:
        self.value = Value(value) if type(value) is float else value
        self.requires_grad = requires_grad

    def _with(self, name: str, *others: Any) -> Tensor:
        numbers = [x.value if isinstance(x, Tensor) else x for x in others]
        needed = [self, *others]
        return Tensor(
            getattr(self.value, name)(*numbers),
            requires_grad=any(getattr(x, "requires_grad", False) for x in needed),
        )

    def __add__(self, other: Any) -> Tensor:
        return self._with("__add__", other)

    def __sub__(self, other: Any) -> Tensor:
        return self._with("__sub__", other)

    def __mul__(self, other: Any) -> Tensor:
        return self._with("__mul__", other)

    def __truediv__(self, other: Any) -> Tensor:
        return self._with("__truediv__", other)

    def __neg__(self) -> Tensor:
        return self._with("__neg__")


def tensor(x: float, *, dtype: str, requires_grad: bool = False) -> Tensor:
    assert dtype == "float64"
    return Tensor(x, requires_grad=requires_grad)


def torch_grad(
    result: Tensor, inputs: Sequence[Tensor], *, allow_unused: bool
) -> list[float | None]:
    assert allow_unused
    found = autograd.gradients(result.value, [x.value for x in inputs])
    return [x.data or None for x in found]


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put stand-ins in the places of both libraries."""
    torch = Fake(
        "torch",
        float64="float64",
        Tensor=Tensor,
        tensor=tensor,
        sin=lambda a: a._with("sin"),
        pow=lambda a, b: a._with("__pow__", b),
        special=Fake("special"),
        nn=SimpleNamespace(functional=Fake("functional")),
        autograd=SimpleNamespace(grad=torch_grad),
    )
    jax = Fake(
        "jax",
        numpy=Fake("numpy", float64=float),
        scipy=SimpleNamespace(special=Fake("special")),
        nn=Fake("nn"),
        Array=Value | float,
        grad=autograd.grad,
        enable_x64=nullcontext,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "jax", jax)


@pytest.mark.usefixtures("fakes")
def test_other_libraries_differentiate_the_same_graph() -> None:
    table = compare(example, 2.0, 3.0, 4.0)
    assert derivatives(table, "PyTorch") == derivatives(table, "JAX") == EXACT
    assert table.notes == []
    assert derivatives(compare(lambda a, b: a * a + 0 * b, 2.0, 3.0), "PyTorch") == {
        "a": 4.0,
        "b": 0.0,
    }


@pytest.mark.usefixtures("fakes")
def test_an_operation_that_a_library_doesn_t_have_is_a_note() -> None:
    table = compare(autograd.cbrt, 8.0)
    assert {"PyTorch", "JAX"}.isdisjoint(table.rows[0].derivatives)
    assert table.notes == ["PyTorch: it has no cbrt", "JAX: it has no cbrt"]


@pytest.mark.usefixtures("fakes")
def test_an_operation_of_ones_own_runs_on_their_numbers_or_is_a_note() -> None:
    own = define("own", lambda a: a * a * a, lambda _, a: 3.0 * a * a)
    row = compare(own, 2.0).rows[0]
    assert row.derivatives["PyTorch"] == row.derivatives["JAX"] == 12.0


def loses_the_graph(a: Any) -> float:
    """Return sin a as a float, even of a tensor."""
    return math.sin(a.value.data if isinstance(a, Tensor) else a)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("forward", [math.sin, loses_the_graph])
def test_a_forward_that_doesn_t_run_on_tensors_or_makes_floats_of_them_is_a_note(
    forward: Any,
) -> None:
    table = compare(define("own", forward, lambda _, a: autograd.cos(a)), 0.5)
    assert "PyTorch: the forward function of 'own' doesn't run on its numbers" in table.notes


@pytest.mark.usefixtures("fakes")
def test_a_library_that_fails_is_a_note_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        message = "no GPU"
        raise RuntimeError(message)

    monkeypatch.setattr(sys.modules["jax"], "grad", broken)
    table = compare(example, 2.0, 3.0, 4.0)
    assert table.notes == ["JAX: RuntimeError: no GPU"]
    assert "PyTorch" in table.rows[0].derivatives
