"""The laws of the backward pass: `Value.backward` and `gradients`."""

from __future__ import annotations

import gc
import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Value, gradients
from autograd.backward import contributions, sort


def bits(x: float) -> bytes:
    """Return the eight bytes of a double."""
    return struct.pack("<d", x)


# --- random graphs --------------------------------------------------------------------------------

UNARY = ["tanh", "sin", "cos", "atan", "sigmoid", "relu", "abs", "softplus", "neg", "erf", "gelu"]
BINARY = ["add", "sub", "mul", "maximum", "minimum", "hypot", "logaddexp", "leaky_relu"]
VARIADIC = ["sum", "mean", "logsumexp"]


@st.composite
def graphs(draw: Any) -> tuple[list[Value], Value]:
    """Leaves, and a result with shared subexpressions and constants on both sides."""
    number = st.floats(-3.0, 3.0).map(lambda x: round(x, 3))
    leaves = [Value(draw(number), f"x{i}") for i in range(draw(st.integers(1, 4)))]
    values = list(leaves)
    for _ in range(draw(st.integers(1, 12))):
        pick = st.sampled_from(values)
        kind = draw(st.integers(0, 4))
        if kind == 0:
            made = getattr(autograd, draw(st.sampled_from(UNARY)))(draw(pick))
        elif kind == 1:
            name = draw(st.sampled_from(BINARY))
            made = getattr(autograd, name)(draw(pick), draw(pick))
        elif kind == 2:
            constant = draw(number)
            a, b = draw(st.permutations([constant, draw(pick)]))
            made = getattr(autograd, draw(st.sampled_from(BINARY)))(a, b)
        elif kind == 3:
            operands = [*draw(st.lists(pick | number, max_size=4)), draw(pick)]
            made = getattr(autograd, draw(st.sampled_from(VARIADIC)))(operands)
        else:
            made = autograd.where(draw(pick) > 0.0, draw(pick), draw(pick))
        values.append(made)
    return leaves, values[-1]


# --- what a pass does -----------------------------------------------------------------------------


def test_leaves_accumulate_and_interior_values_start_afresh() -> None:
    x = Value(3.0)
    inner = 2.0 * x
    y = inner**2.0
    y.backward()
    once = (x.grad, inner.grad, y.grad)
    assert once == (24.0, 12.0, 1.0)
    y.backward()
    assert (x.grad, inner.grad, y.grad) == (48.0, 12.0, 1.0)


@given(graphs(), st.floats(-1e3, 1e3))
def test_two_calls_give_exactly_twice_the_leafs_gradient_and_nothing_else(
    graph: tuple[list[Value], Value], seed: float
) -> None:
    leaves, y = graph
    y.backward(seed)
    once = [x.grad for x in leaves]
    computed, _ = sort(y)
    inside = [bits(v.grad) for v in computed]
    y.backward(seed)
    assert [x.grad for x in leaves] == [2.0 * g for g in once]
    assert [bits(v.grad) for v in computed] == inside


@given(graphs(), st.integers(-8, 8))
def test_a_seed_scales_every_gradient(graph: tuple[list[Value], Value], power: int) -> None:
    leaves, y = graph
    y.backward()
    plain = [x.grad for x in leaves]
    for x in leaves:
        x.grad = 0.0
    y.backward(seed=-(2.0**power))  # a power of two: the scaling is exact
    assert [x.grad for x in leaves] == [-(2.0**power) * g for g in plain]


@given(graphs())
def test_the_walk_spelt_out_by_arity_equals_the_generic_one_to_the_last_bit(
    graph: tuple[list[Value], Value],
) -> None:
    leaves, y = graph
    y.backward()
    computed, _ = sort(y)
    grads: dict[Value, float] = {y: 1.0}
    for _ in contributions(computed, grads):
        pass
    for v in [*computed, *leaves]:
        assert bits(v.grad) == bits(grads.get(v, 0.0))
    for x in leaves:
        x.grad = 0.0
    with autograd.ieee():
        y.backward()
    for v in [*computed, *leaves]:
        assert bits(v.grad) == bits(grads.get(v, 0.0))


@given(graphs())
def test_gradients_as_values_equal_the_gradients_of_backward(
    graph: tuple[list[Value], Value],
) -> None:
    leaves, y = graph
    made = gradients(y, leaves)
    assert {*map(type, made)} == {Value}
    assert [x.grad for x in leaves] == [0.0] * len(leaves)  # no grad was changed
    y.backward()
    assert [g.data for g in made] == pytest.approx([x.grad for x in leaves], rel=1e-14, abs=1e-300)


def test_a_result_that_is_a_leaf_has_the_gradient_of_the_seed_and_accumulates_it() -> None:
    x = Value(5.0)
    x.backward()
    x.backward(0.5)
    assert x.grad == 1.5


def test_a_value_outside_the_graph_keeps_its_gradient() -> None:
    x, other = Value(1.0), Value(2.0)
    other.grad = 7.0
    above = x.exp()
    y = x * 2.0
    above.backward()
    y.backward()
    assert (other.grad, above.grad) == (7.0, 1.0)


def test_a_gradient_set_by_the_user_is_what_a_leaf_accumulates_upon() -> None:
    x = Value(2.0)
    x.grad = 0.5
    (x * x).backward()
    assert x.grad == 4.5


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda a: a + a, 2.0),
        (lambda a: a - a, 0.0),
        (lambda a: a * a, 6.0),
        (lambda a: a / a, 0.0),
        (lambda a: a * a * a, 27.0),
        (lambda a: (a + 1.0) * (a - 1.0), 6.0),
        (lambda a: autograd.sum([a, a, a]), 3.0),
        (lambda a: autograd.dot([a, a], [a, 2.0]), 8.0),
    ],
)
def test_an_operand_used_twice_gets_both_contributions(build: Any, expected: float) -> None:
    a = Value(3.0)
    build(a).backward()
    assert bits(a.grad) == bits(expected)


def test_a_diamond_waits_for_both_branches_before_it_passes_on() -> None:
    a = Value(2.0)
    b = a * 3.0
    d = (b + 1.0) * (b * 2.0)
    d.backward()
    assert (b.grad, a.grad) == (26.0, 78.0)  # d = 2b² + 2b, at b = 6


def test_a_stack_of_diamonds_costs_linear_time_and_is_exact() -> None:
    x = y = Value(1.0)
    for _ in range(1000):
        y = y + y
    y.backward()
    assert x.grad == 2.0**1000


def test_the_order_is_operands_before_values_and_each_once() -> None:
    a, b = Value(1.0, "a"), Value(2.0, "b")
    c = a * b
    d = c + a
    e = d * c
    computed, leaves = sort(e)
    assert [id(v) for v in computed] == [id(c), id(d), id(e)]
    assert {id(v) for v in leaves} == {id(a), id(b)}


# --- known gradients ------------------------------------------------------------------------------


def test_micrograds_readme_example_has_its_exact_gradients() -> None:
    def build(a: Any, b: Any, relu: Any) -> Any:
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + relu(b + a)
        d += 3 * d + relu(b - a)
        e = c - d
        f = e**2
        g = f / 2
        g += 10 / f
        return g

    a, b = Value(-4.0), Value(2.0)
    g = build(a, b, Value.relu)
    g.backward()
    exact = build(Fraction(-4), Fraction(2), lambda x: max(x, Fraction(0)))
    assert g.data == pytest.approx(float(exact), rel=4e-16)
    assert f"{g.data:.4f} {a.grad:.4f} {b.grad:.4f}" == "24.7041 138.8338 645.5773"
    # g is a rational function: e = -7 - 12·(…) is linear in a and cubic in b near this point.
    h = Fraction(1, 10**12)
    for leaf, da, db in ((a, h, 0), (b, 0, h)):
        above = build(Fraction(-4) + da, Fraction(2) + db, lambda x: max(x, Fraction(0)))
        below = build(Fraction(-4) - da, Fraction(2) - db, lambda x: max(x, Fraction(0)))
        if leaf is b:  # relu(b + a) is 0 at b = 2 and for all smaller b + a
            assert leaf.grad == pytest.approx(float((above - below) / (2 * h)), rel=1e-10)


def test_the_lectures_neuron_has_its_known_gradients() -> None:
    x1, x2 = Value(2.0, "x1"), Value(0.0, "x2")
    w1, w2 = Value(-3.0, "w1"), Value(1.0, "w2")
    b = Value(6.8813735870195432, "b")
    n = x1 * w1 + x2 * w2 + b
    o = n.tanh()
    o.backward()
    assert o.data == pytest.approx(math.sqrt(0.5), rel=4e-16)
    grads = [n.grad, x1.grad, w1.grad, x2.grad, w2.grad]
    assert grads == pytest.approx([0.5, -1.5, 1.0, 0.5, 0.0], rel=1e-15)
    e = (2 * n).exp()
    taken_apart = (e - 1) / (e + 1)
    for v in (x1, x2, w1, w2, b):
        v.grad = 0.0
    taken_apart.backward()
    assert taken_apart.data == pytest.approx(o.data, rel=1e-15)
    grads = [x1.grad, w1.grad, x2.grad, w2.grad]
    assert grads == pytest.approx([-1.5, 1.0, 0.5, 0.0], rel=1e-14)


# --- leaves that change ---------------------------------------------------------------------------


def test_changing_a_leaf_between_forward_and_backward_is_an_error_that_names_it() -> None:
    w, x = Value(3.0, "w"), Value(2.0)
    y = w * x + 1.0
    w.data = 4.0
    words = (
        r"the data of leaf 'w' changed \(it is 4\.0 now\) after mul had used it: "
        r"compute the result again, then call backward\(\)"
    )
    for use in (y.backward, lambda: gradients(y, [x]), lambda: autograd.steps(y)):
        with pytest.raises(RuntimeError, match=words):
            use()
    assert (w.grad, x.grad, y.grad) == (0.0, 0.0, 0.0)


def test_a_changed_leaf_without_a_label_is_named_by_its_repr() -> None:
    x = Value(3.0)
    y = autograd.sum([x, x, 1.0])
    x.data = 5.0
    with pytest.raises(RuntimeError, match=r"leaf Value\(data=5\.0, grad=0\.0\) changed .* sum "):
        y.backward()


def test_a_value_computed_afresh_upon_a_stale_one_is_stale() -> None:
    x = Value(3.0, "x")
    stale = x * x
    x.data = 5.0
    with pytest.raises(RuntimeError, match="leaf 'x' changed"):
        (stale + x).backward()


def test_after_a_change_the_result_computed_again_has_the_new_gradient() -> None:
    x = Value(3.0)
    for data in (4.0, 5.0):
        x.data = data
        x.grad = 0.0
        (x * x).backward()
        assert x.grad == 2.0 * data


def test_changing_another_leaf_or_a_label_or_a_grad_makes_nothing_stale() -> None:
    x, other = Value(3.0), Value(1.0)
    y = x * x
    other.data = 2.0
    x.label, x.grad, y.label, y.grad = "x", 1.0, "y", 5.0
    y.backward()
    assert x.grad == 7.0


# --- errors leave everything as it was ------------------------------------------------------------


def broken_graph() -> tuple[list[Value], Value]:
    """Leaves and interior values with gradients of an earlier pass, and a result that can't."""
    x, n = Value(-2.0, "x"), Value(3.0, "n")
    inner = x * 2.0
    (inner * n).backward()
    y = inner * x**n
    return [x, n, inner], y


def test_a_derivative_that_does_not_exist_is_an_error_and_all_grads_are_as_before() -> None:
    values, y = broken_graph()
    before = [bits(v.grad) for v in values]
    assert before == [bits(6.0), bits(-4.0), bits(3.0)]
    with pytest.raises(ValueError, match=r"pow\(-2\.0, 3\.0\): the derivative in operand 2 is un"):
        y.backward()
    assert [bits(v.grad) for v in values] == before


def test_an_infinite_derivative_is_an_error_in_the_operations_words_or_inf_inside_ieee() -> None:
    x = Value(0.0)
    y = x.sqrt()
    with pytest.raises(ZeroDivisionError, match=r"^sqrt\(0\.0\): the derivative is infinite here"):
        y.backward()
    assert x.grad == 0.0
    with autograd.ieee():
        y.backward()
    assert x.grad == math.inf


def test_a_product_along_the_chain_that_overflows_is_an_error_that_says_where() -> None:
    x = Value(1e-300)
    y = (x * 1e200) * 1e200
    words = r"a gradient is infinite: at mul\(1e-300, 1e\+200\) the local derivative 1e\+200 times"
    for use in (y.backward, lambda: gradients(y, [x])):
        with pytest.raises(OverflowError, match=words):
            use()
    assert x.grad == 0.0
    with autograd.ieee():
        y.backward()
    assert x.grad == math.inf


def test_an_overflow_on_a_wanted_path_is_not_mistaken_for_a_defect_of_an_unwanted_one() -> None:
    x, n = Value(-1e-150, "x"), Value(3.0, "n")
    steep = ((x * 1e200) * 1e200) ** 1.0
    y = autograd.sum([steep, Value(-2.0) ** n])
    with pytest.raises(OverflowError, match="a gradient is infinite: at mul"):
        gradients(y, [x])


def test_a_nan_gradient_is_an_error_and_nan_inside_ieee() -> None:
    x = Value(math.nan)
    y = x * x
    with pytest.raises(ValueError, match=r"a gradient is nan: at mul\(nan, nan\)"):
        y.backward()
    with autograd.ieee():
        y.backward()
    assert math.isnan(x.grad)


@pytest.mark.parametrize(
    ("seed", "kind", "words"),
    [
        (math.nan, ValueError, "a gradient is nan"),
        (math.inf, OverflowError, "a gradient is infinite"),
        ("1", TypeError, "^seed must be a real number; got text, '1'"),
        (None, TypeError, "^seed must be a real number; got NoneType"),
        (1j, TypeError, "^seed must be a real number; got complex"),
        (10**400, OverflowError, "^seed is beyond the largest double"),
    ],
)
def test_a_seed_that_is_no_finite_number_is_an_error(
    seed: Any, kind: type[Exception], words: str
) -> None:
    x = Value(2.0)
    with pytest.raises(kind, match=words):
        (x * 3.0).backward(seed)
    assert x.grad == 0.0


def test_a_seed_of_any_real_kind_is_taken() -> None:
    x = Value(2.0)
    (x * 3.0).backward(Fraction(1, 2))  # type: ignore[arg-type]
    (x * 3.0).backward(True)  # noqa: FBT003  (a number like any other)
    assert x.grad == 4.5


def test_a_value_that_no_gradient_reaches_is_not_asked_for_its_derivative() -> None:
    x = Value(0.0)
    y = autograd.where(x > 1.0, x.sqrt(), x * 3.0)
    y.backward()
    assert x.grad == 3.0


# --- gradients ------------------------------------------------------------------------------------


def test_gradients_can_be_differentiated_again_and_again() -> None:
    x = Value(2.0)
    y = x**5.0
    expected = [80.0, 160.0, 240.0, 240.0, 120.0, 0.0]
    for derivative in expected:
        (y,) = gradients(y, [x])
        assert y.data == derivative
    assert x.grad == 0.0


def test_gradients_of_what_does_not_depend_on_an_input_are_exactly_zero() -> None:
    x, z = Value(2.0), Value(3.0)
    for g in gradients(x * x, [z]):
        assert bits(g.data) == bits(0.0)
    assert [g.data for g in gradients(x, [x, z])] == [1.0, 0.0]


def test_gradients_may_be_asked_for_interior_values_and_for_one_value_twice() -> None:
    x = Value(2.0)
    inner = x * x
    y = inner * inner + x
    assert [g.data for g in gradients(y, [inner, x, x, y])] == [8.0, 33.0, 33.0, 1.0]


def test_only_edges_on_the_way_to_what_is_wanted_are_asked_for_their_derivative() -> None:
    x, n = Value(-2.0), Value(3.0)
    assert gradients(x**n, [x])[0].data == 12.0
    with pytest.raises(ValueError, match=r"pow\(-2\.0, 3\.0\): the derivative in operand 2"):
        gradients(x**n, [n])


@pytest.mark.parametrize(
    ("y", "xs", "words"),
    [
        (1.0, [Value(1.0)], r"gradients\(y, xs\) takes Values; got 1\.0 \(float\)"),
        (Value(1.0), [2.0], r"gradients\(y, xs\) takes Values; got 2\.0 \(float\)"),
        (Value(1.0), Value(1.0), r"gradients\(y, xs\) takes .*sequence"),
        (Value(1.0), None, r"gradients\(y, xs\) takes .*sequence"),
    ],
)
def test_gradients_of_what_is_no_value_are_a_type_error(y: Any, xs: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        gradients(y, xs)


# --- memory ---------------------------------------------------------------------------------------


def test_forward_backward_steps_and_errors_leave_no_reference_cycles() -> None:
    def work() -> None:
        x, n = Value(-2.0), Value(3.0)
        y = autograd.sum([x * n, x.tanh(), x.clip(-3.0, n), autograd.where(x > n, x, n)])
        y.backward()
        list(autograd.steps(y))
        gradients(gradients(y, [x])[0], [x])
        [local() for _, local in y.edges()]
        autograd.hessian(lambda a: a[0] * a[1].tanh())([1.0, 2.0])
        for bad in (lambda: x.log(), lambda: (x**n).backward(), lambda: Value(None)):  # noqa: PLW0108
            with pytest.raises((ValueError, TypeError), match=r"."):
                bad()

    work()
    gc.collect()
    flags = gc.get_debug()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        ours = [x for x in gc.garbage if type(x).__module__.startswith("autograd")]
        assert ours == []
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("newest_first", [True, False])
def test_weights_that_two_nodes_share_are_stale_in_the_older_one(newest_first):
    weights, x = (Value(1.0, "w"), Value(2.0)), (Value(3.0), 1.0)
    before = autograd.dot(weights, x)
    weights[0].data = 5.0
    after = autograd.dot(weights, x)
    total = after + before if newest_first else before + after
    with pytest.raises(RuntimeError, match="the data of leaf 'w' changed"):
        total.backward()
    after.backward()
    assert weights[0].grad == 3.0
