"""The laws of `steps` and `paths`: the backward pass as data and as lines to read."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from test_backward import graphs

import autograd
from autograd import Value, paths, steps

if TYPE_CHECKING:
    from collections.abc import Callable


def bits(x: float) -> bytes:
    """Return the eight bytes of a double."""
    return struct.pack("<d", x)


def network() -> dict[str, Value]:
    """The documents' 2-2-1 network (row W3), every value labelled."""
    data = {"x1": 0.5, "x2": 0.8, "y": 1.0, "w11": 0.15, "w12": 0.25, "w21": 0.2, "w22": 0.3}
    data |= {"b1": 0.35, "b2": 0.35, "v1": 0.4, "v2": 0.5, "c": 0.6}
    v = {name: Value(number, name) for name, number in data.items()}
    v["z1"] = autograd.sum([v["w11"] * v["x1"], v["w12"] * v["x2"], v["b1"]])
    v["z2"] = autograd.sum([v["w21"] * v["x1"], v["w22"] * v["x2"], v["b2"]])
    v["a1"], v["a2"] = v["z1"].sigmoid(), v["z2"].sigmoid()
    v["z"] = autograd.sum([v["v1"] * v["a1"], v["v2"] * v["a2"], v["c"]])
    v["yhat"] = v["z"].sigmoid()
    v["L"] = (v["y"] - v["yhat"]) ** 2 / 2
    for name, value in v.items():
        value.label = name
    return v


# --- equal to backward() --------------------------------------------------------------------------


@given(graphs())
def test_the_steps_add_up_to_what_backward_gives_to_the_last_bit(
    graph: tuple[list[Value], Value],
) -> None:
    leaves, y = graph
    made = steps(y)
    assert [bits(x.grad) for x in leaves] == [bits(0.0)] * len(leaves)  # no grad was changed
    y.backward()
    for x in leaves:
        assert bits(made.grad(x)) == bits(x.grad)
    for step in made:
        assert bits(step.upstream) == bits(step.value.grad)


@given(graphs())
def test_a_step_is_an_edge_with_contribution_local_times_upstream(
    graph: tuple[list[Value], Value],
) -> None:
    leaves, y = graph
    running: dict[Value, float] = {}
    seen: set[Value] = set()
    for step in steps(y):
        assert any(step.parent is x for x in step.value.parents)
        assert step.contribution == step.local * step.upstream
        assert step.parent not in seen  # nothing arrives after a value has passed its own on
        seen.add(step.value)
        running[step.parent] = running.get(step.parent, 0.0) + step.contribution
        assert step.accumulated == running[step.parent]
        assert step.complete == step.upstream
        assert not step.is_premature
    y.backward()
    for x in leaves:
        if x is not y:
            assert running.get(x, 0.0) == x.grad


def test_a_seed_scales_the_steps_and_a_leaf_has_none() -> None:
    x = Value(3.0, "x")
    made = steps(x * x, seed=2.0)
    assert [s.contribution for s in made] == [6.0, 6.0]
    assert made.grad(x) == 12.0
    assert len(steps(x)) == 0
    assert str(steps(x)) == "no steps: the result is a leaf"
    assert steps(x).grad(x) == 1.0
    assert steps(x).grad(Value(1.0)) == 0.0


def test_steps_are_a_sequence() -> None:
    x = Value(3.0, "x")
    made = steps(x * x + x)
    assert len(made) == len(list(made)) == 4
    assert made[0] is next(iter(made))
    assert made[-1] is list(made)[3]
    assert made[1:3] == list(made)[1:3]
    with pytest.raises(IndexError, match="index out of range"):
        _ = made[4]
    assert repr(made).startswith("<4 chain-rule steps from Value(data=12.0")


def test_steps_raise_what_backward_raises() -> None:
    for make, kind, words in (
        (lambda x: x.sqrt(), ZeroDivisionError, r"sqrt\(0\.0\): the derivative is infinite"),
        (lambda x: x ** Value(-0.0) * (x - 1.0) ** Value(3.0), ValueError, "undefined"),
    ):
        for use in (steps, Value.backward):
            with pytest.raises(kind, match=words):
                use(make(Value(0.0)))


def test_a_step_that_overflows_is_an_error_in_steps_as_in_backward() -> None:
    y = (Value(1e-300) * 1e200) * 1e200
    for use in (y.backward, lambda: steps(y)):
        with pytest.raises(OverflowError, match=r"a gradient is infinite: at mul"):
            use()
    with autograd.ieee():
        assert steps(y)[1].contribution == math.inf


# --- as text --------------------------------------------------------------------------------------


def test_a_step_prints_as_a_line_that_a_learner_can_read() -> None:
    v = network()
    lines = [str(step) for step in steps(v["L"])]
    assert "∂L/∂v1 = ∂L/∂" in "\n".join(lines)
    assert any(line.endswith("= -0.0415 × 0.6514 = -0.0270") for line in lines)
    assert any(
        line.startswith("∂L/∂z = ∂L/∂yhat · ∂yhat/∂z = -0.2326 × 0.1785 = ") for line in lines
    )


def test_the_table_numbers_its_lines_and_sets_the_equal_signs_under_one_another() -> None:
    table = str(steps(network()["L"])).split("\n")
    assert [int(line.split()[0]) for line in table] == list(range(1, len(table) + 1))
    assert len({line.index("=") for line in table}) == 1
    assert len({line.index("=", line.index("=") + 1) for line in table}) == 1


def test_a_second_contribution_says_what_was_there_before() -> None:
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    first, second = map(str, steps(y))
    assert first == "∂y/∂x = ∂y/∂y · ∂y/∂x = 1 × 3 = 3"
    assert second == "∂y/∂x = ∂y/∂y · ∂y/∂x = 1 × 3 = 3, with 3 from before: 6"


def test_what_was_there_before_is_shown_as_it_was_and_not_by_subtraction() -> None:
    x = Value(1.0, "x")
    big, small = x * 1e16, x * 0.25
    y = autograd.sum([small, big])
    lines = [str(step) for step in steps(y) if step.parent is x]
    assert lines[1].endswith(
        (", with 1.000e+16 from before: 1.000e+16", "with 0.25 from before: 1.000e+16")
    )
    with autograd.ieee():
        infinite = autograd.sum([x * math.inf, x * math.inf])
        text = "\n".join(str(step) for step in steps(infinite))
    assert "with inf from before: inf" in text


def test_values_without_a_label_get_names_that_nobody_else_has() -> None:
    a, b = Value(2.0), Value(3.0, "v1")
    names = {name for step in steps(a * b + a) for name in step.names}
    assert names == {"v1", "v2", "v3", "y"}
    y = Value(2.0, "y")
    assert steps(y * y)[0].names == ("v1", "v1", "y")


def test_numbers_are_shown_with_four_decimals_or_three_significant_digits() -> None:
    from autograd.steps import show  # noqa: PLC0415  (not public; this test is about its rule)

    shown = [0.5, 0.651354, -0.0270489, 0.00123456, 1e-5, 1e300, -0.0, 0.0, 12.0, 123456.7891234]
    assert [show(x) for x in shown] == [
        *("0.5", "0.6514", "-0.0270", "0.00123", "1.000e-05", "1.000e+300", "-0", "0", "12"),
        "123456.7891",
    ]
    assert [show(x) for x in (math.inf, -math.inf, math.nan)] == ["inf", "-inf", "nan"]


# --- why a topological order ----------------------------------------------------------------------


def test_naive_recursion_goes_wrong_at_a_diamond_and_the_steps_say_where() -> None:
    x = Value(3.0, "x")
    a = x * 2.0
    a.label = "a"
    y = a * a.tanh() + a
    right, naive = steps(y), steps(y, order="recursive")
    assert not right.premature
    assert naive.premature
    assert {s.value for s in naive.premature} == {a}
    assert naive.grad(x) != right.grad(x)
    assert "✗ too early: ∂y/∂a becomes" in str(naive)
    assert "✗" not in str(right)


def test_in_a_tree_naive_recursion_is_right_too() -> None:
    v = network()
    right, naive = steps(v["L"]), steps(v["L"], order="recursive")
    assert not naive.premature
    for value in v.values():
        assert naive.grad(value) == right.grad(value)


def test_the_recursive_order_is_what_recursion_with_a_visited_set_does() -> None:
    x = Value(0.5, "x")
    a = x.sin()
    b = a * x
    y = (a + b) * b
    grads: dict[Value, float] = {y: 1.0}
    visited: set[Value] = set()

    def recurse(v: Value) -> None:
        visited.add(v)
        for parent, local in v.edges():
            grads[parent] = grads.get(parent, 0.0) + local() * grads[v]
            if parent.op is not None and parent not in visited:
                recurse(parent)

    recurse(y)
    naive = steps(y, order="recursive")
    assert [naive.grad(v) for v in (x, a, b)] == [grads[v] for v in (x, a, b)]


@pytest.mark.parametrize("order", ["depth", None, 5, ["topological"]])
def test_an_unknown_order_is_an_error_that_names_the_two(order: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="must be 'topological' or 'recursive'"):
        steps(Value(1.0), order=order)


# --- sums over paths ------------------------------------------------------------------------------


@given(graphs())
def test_a_gradient_is_the_sum_over_paths_of_the_products_of_the_locals(
    graph: tuple[list[Value], Value],
) -> None:
    leaves, y = graph
    y.backward()
    for x in leaves:
        try:
            found = paths(y, x)
        except ValueError as error:
            assert "the limit is 1000" in str(error)  # noqa: PT017  (only the large ones)
            continue
        total = math.fsum(path.product for path in found)
        size = math.fsum(abs(path.product) for path in found)
        assert total == pytest.approx(x.grad, rel=1e-9, abs=1e-12 * (1.0 + size))
        for path in found:
            assert path.values[0] is y
            assert path.values[-1] is x
            assert len(path.locals) == len(path.values) - 1


def test_paths_count_duplicates_and_print_as_products() -> None:
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    assert [p.product for p in paths(y, x)] == [3.0, 3.0]
    z = y * 0.5
    z.label = "z"
    assert [str(p) for p in paths(z, x)] == ["z → y → x:  0.5 × 3 = 1.5"] * 2
    assert [p.product for p in paths(x, x)] == [1.0]
    assert paths(y, Value(1.0)) == []


@pytest.mark.parametrize("doublings", [11, 40, 20_000])
def test_too_many_paths_are_counted_and_not_listed(doublings: int) -> None:
    x = y = Value(1.0)
    for _ in range(doublings):
        y = y * 1.0 + y * 0.0
    with pytest.raises(ValueError, match=r"paths lead from the result to that value; the limit is"):
        paths(y, x)


def test_the_limit_of_paths_is_inclusive_and_can_be_raised() -> None:
    x = y = Value(1.0)
    for _ in range(3):
        y = y + y
    assert len(paths(y, x, limit=8)) == 8
    with pytest.raises(ValueError, match=r"^8 paths lead .* the limit is 7$"):
        paths(y, x, limit=7)


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: steps(1.0), r"steps\(y\) takes the Value to differentiate; got 1\.0 \(float\)"),  # type: ignore[arg-type]
    (lambda: steps([Value(1.0)]), r"steps\(y\) takes the Value .* \(list\)"),  # type: ignore[arg-type]
    (lambda: paths(Value(1.0), 1.0), r"paths\(y, x\) takes two Values; got 1\.0 \(float\)"),  # type: ignore[arg-type]
    (lambda: steps(Value(1.0), seed="1"), "seed must be a real number; got text"),  # type: ignore[arg-type]
    (lambda: paths(Value(1.0), Value(1.0), limit="a"), "limit"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[b[1][:12] for b in BAD])
def test_what_is_no_value_is_a_type_error(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call()


# --- the documents' network -----------------------------------------------------------------------


def test_the_documents_network_has_its_exact_figures() -> None:
    v = network()
    made = steps(v["L"])
    exact = {
        "z": -0.041527245817,
        "v1": -0.027048973579,
        "v2": -0.027655772274,
        "z1": -0.003772197222,
        "z2": -0.004618971303,
        "w11": -0.001886098611,
        "w12": -0.003017757777,
        "w21": -0.002309485651,
        "w22": -0.003695177042,
    }
    assert v["L"].data == pytest.approx(0.027058128646, abs=5e-13)
    assert {name: made.grad(v[name]) for name in exact} == pytest.approx(exact, abs=5e-13)
