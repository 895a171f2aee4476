"""The laws of the transforms: derivatives of functions, of any structure, to any order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Value, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from collections.abc import Callable

numbers = st.floats(-2.0, 2.0).map(lambda x: round(x, 6))
vectors = st.lists(numbers, min_size=3, max_size=3)


def field(x: Any) -> list[Any]:
    """A smooth function from three numbers to two."""
    return [
        x[0] * autograd.sin(x[1]) + autograd.tanh(x[2] * x[0]),
        autograd.exp(x[1] * x[2]) - x[0],
    ]


def bowl(x: Any) -> Any:
    """A smooth function from three numbers to one."""
    y = field(x)
    return y[0] * y[1] + x[2] ** 3


# --- grad -----------------------------------------------------------------------------------------


def test_grad_takes_a_function_of_floats_and_returns_one() -> None:
    slope = grad(lambda x: x**3 + 2 * x)
    assert slope(2.0) == 14.0
    assert type(slope(2)) is float
    assert slope(np.float32(2.0)) == 14.0
    assert value_and_grad(lambda x: x**3)(2.0) == (8.0, 12.0)


def test_a_gradient_has_the_structure_of_the_argument() -> None:
    def f(x: Any) -> Any:
        return x[0][0] * x[1] + autograd.sum(x[2]) * 2.0

    assert grad(f)([[2.0, 9.0], 3.0, [4.0, 5.0]]) == [[3.0, 0.0], 2.0, [2.0, 2.0]]
    assert grad(f)(([2.0], 3.0, (4.0, 5.0))) == ([3.0], 2.0, (2.0, 2.0))
    assert grad(lambda x: autograd.sum(x))([]) == []  # noqa: PLW0108
    assert grad(lambda x: 1.0)([[], [[]]]) == [[], [[]]]  # noqa: ARG005


def test_argnums_chooses_the_arguments_also_counted_from_the_end() -> None:
    def f(a: Any, b: Any, c: Any = 1.0) -> Any:
        return a * b * b * c

    assert grad(f, 1)(2.0, 3.0) == 12.0
    assert grad(f, (0, 1))(2.0, 3.0) == (9.0, 12.0)
    assert grad(f, (1, 0))(2.0, 3.0) == (12.0, 9.0)
    assert grad(f, -1)(2.0, 3.0) == 12.0
    assert grad(f, (0,))(2.0, 3.0, c=2.0) == (18.0,)
    assert grad(f, ())(2.0, 3.0) == ()


@pytest.mark.parametrize("argnums", [(0, 0), (0, -1), (0, 1, -2)])
def test_an_argument_asked_for_twice_is_an_error_or_right_both_times(argnums: Any) -> None:
    arguments = (3.0,) if len(argnums) == 2 else (3.0, 5.0)
    f: Callable[..., Any] = lambda a, b=0.0: a * a + 0.0 * b  # noqa: E731
    try:
        found = grad(f, argnums)(*arguments)
    except ValueError as error:
        assert "argnums" in str(error)  # noqa: PT017  (either is right)
    else:
        assert found == ((6.0, 6.0) if len(argnums) == 2 else (6.0, 0.0, 6.0))


@pytest.mark.parametrize(
    ("argnums", "kind"),
    [
        (1, ValueError),
        (-2, ValueError),
        ((0, 5), ValueError),
        (0.5, TypeError),
        ("a", TypeError),
        ([0], TypeError),
        (None, TypeError),
        ((0.0,), TypeError),
    ],
)
def test_argnums_that_name_no_argument_are_an_error_that_says_so(
    argnums: Any, kind: type[Exception]
) -> None:
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(kind, match="argnums"):
            transform(lambda x: x * x, argnums)(3.0)


def test_arguments_that_are_not_differentiated_may_be_anything() -> None:
    def power(x: Any, how: dict[str, int]) -> Any:
        return x ** how["n"]

    assert grad(power)(2.0, {"n": 3}) == 12.0
    assert grad(power)(2.0, how={"n": 2}) == 4.0


def test_the_caller_keeps_his_arguments_untouched() -> None:
    def f(x: list[Any]) -> Any:
        x.append(x[0] * 2.0)
        return x[-1]

    mine = [1.0, 2.0]
    assert grad(f)(mine) == [2.0, 0.0]
    assert mine == [1.0, 2.0]


def test_a_transformed_function_keeps_its_name_and_its_docstring() -> None:
    for transform in (grad, value_and_grad, jacobian, hessian):
        assert transform(bowl).__name__ == "bowl"
        assert transform(bowl).__doc__ == bowl.__doc__


def test_an_input_without_a_path_to_the_output_has_the_gradient_zero_exactly() -> None:
    assert grad(lambda a, b: b * b, 0)(1.0, 2.0) == 0.0  # noqa: ARG005
    assert grad(lambda a: 5.0)(1.0) == 0.0  # noqa: ARG005
    assert grad(lambda a: 5)(1.0) == 0.0  # noqa: ARG005
    assert jacobian(lambda a: [a, 2.0])([1.0, 2.0][0]) == [1.0, 0.0]
    assert hessian(lambda a: 3.0 * a)(1.0) == 0.0
    assert jvp(lambda a: 5.0, [1.0], [1.0]) == (5.0, 0.0)  # noqa: ARG005
    assert vjp(lambda a: 5.0, 1.0)[1](2.0) == (0.0,)  # noqa: ARG005


def test_control_flow_on_the_data_is_differentiated_along_the_branch_taken() -> None:
    def f(x: Any) -> Any:
        while x < 10.0:
            x = x * 2.0
        return x

    assert value_and_grad(f)(3.0) == (12.0, 4.0)


# --- errors ---------------------------------------------------------------------------------------

NOT_DIFFERENTIABLE: list[tuple[Callable[[Any], Any], Any, str]] = [
    (lambda x: "text", 1.0, "the result of f must be a real number; got text"),  # noqa: ARG005
    (lambda x: None, 1.0, "the result of f must be a real number; got NoneType"),  # noqa: ARG005
    (lambda x: {"y": x}, 1.0, "the result of f must be a real number; got dict"),
    (lambda x: x * 1j, 1.0, "an operand of mul must be a real number; got complex"),
    (lambda x: [1, 2, 3][x], 1, "can't be an index or a count"),
    (lambda x: math.sin(x), 1.0, r"autograd\.sin\(v\) for math\.sin\(v\)"),  # noqa: PLW0108
    (lambda x: x, "1", "an argument to differentiate must be a real number; got text"),
    (lambda x: x, None, "an argument to differentiate must be a real number; got NoneType"),
    (lambda x: x, {"a": 1.0}, "an argument to differentiate must be a real number; got dict"),
    (lambda x: x, [1.0, [1j]], "an argument to differentiate must be a real number; got complex"),
]


@pytest.mark.parametrize(("f", "argument", "words"), NOT_DIFFERENTIABLE)
def test_what_is_not_differentiable_is_a_type_error_that_says_what_and_why(
    f: Callable[[Any], Any], argument: Any, words: str
) -> None:
    for use in (grad(f), value_and_grad(f), jacobian(f), hessian(f), lambda x: vjp(f, x)):
        with pytest.raises(TypeError, match=words):
            use(argument)


def test_grad_of_a_function_that_returns_a_list_points_to_jacobian() -> None:
    with pytest.raises(TypeError, match="f must return one number; got a list: use jacobian"):
        grad(lambda x: [x, x])(1.0)


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_a_transform_of_what_is_no_function_is_a_type_error_at_once(transform: Any) -> None:
    with pytest.raises(TypeError, match="function"):
        transform(5.0)


def test_tangents_and_cotangents_of_another_structure_are_a_type_error() -> None:
    for call in (
        lambda: jvp(field, [[1.0, 2.0, 3.0]], [[1.0, 2.0]]),
        lambda: jvp(field, [[1.0, 2.0, 3.0]], [1.0]),
        lambda: vjp(field, [1.0, 2.0, 3.0])[1]([1.0]),
        lambda: vjp(field, [1.0, 2.0, 3.0])[1](1.0),
        lambda: hvp(bowl, [1.0, 2.0, 3.0], [1.0]),
    ):
        with pytest.raises(TypeError, match="must have the structure of"):
            call()
    for bare in (lambda: jvp(math.pow, 1.0, 1.0), lambda: jvp(field, None, None)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"jvp: .*primals"):
            bare()


def test_an_undefined_or_infinite_derivative_is_an_error_in_every_transform() -> None:
    root = autograd.sqrt
    for call in (
        lambda: grad(root)(0.0),
        lambda: jvp(root, [0.0], [1.0]),
        lambda: vjp(root, 0.0)[1](1.0),
        lambda: jacobian(root)(0.0),
    ):
        with pytest.raises(ZeroDivisionError, match=r"sqrt\(0\.0\): the derivative is infinite"):
            call()


def test_a_derivative_beyond_the_doubles_is_an_overflow_in_forward_mode_as_in_reverse() -> None:
    steep: Callable[[Any], Any] = lambda x: (x * 1e200) * 1e200  # noqa: E731
    for call in (
        lambda: grad(steep)(1e-300),
        lambda: vjp(steep, 1e-300)[1](1.0),
        lambda: jvp(steep, [1e-300], [1.0]),
    ):
        with pytest.raises(OverflowError, match="infinite"):
            call()
    with autograd.ieee():
        assert jvp(steep, [1e-300], [1.0])[1] == math.inf
        assert grad(steep)(1e-300) == math.inf


def test_an_error_inside_f_leaves_the_transforms_as_they_were() -> None:
    def fails(x: Any) -> Any:
        return grad(lambda y: (x * y).log())(1.0)

    with pytest.raises(ValueError, match=r"log\(-1\.0\)"):
        grad(fails)(-1.0)
    assert type(grad(lambda x: x * x)(1.0)) is float


# --- forward against reverse, and second order ----------------------------------------------------


@given(vectors, vectors, st.lists(numbers, min_size=2, max_size=2))
def test_forward_mode_is_the_transpose_of_reverse_mode(
    x: list[float], v: list[float], u: list[float]
) -> None:
    value, tangent = jvp(field, [x], [v])
    again, pull = vjp(field, x)
    ((*cotangent,),) = pull(u)
    assert value == again == field(x)
    forward = math.fsum(a * b for a, b in zip(u, tangent, strict=True))
    reverse = math.fsum(a * b for a, b in zip(cotangent, v, strict=True))
    assert forward == pytest.approx(reverse, rel=1e-12, abs=1e-9)


@given(vectors, vectors)
def test_the_jacobian_and_the_hessian_are_what_the_products_say(
    x: list[float], v: list[float]
) -> None:
    rows = jacobian(field)(x)
    assert [len(row) for row in rows] == [3, 3]
    products = [math.fsum(a * b for a, b in zip(row, v, strict=True)) for row in rows]
    assert jvp(field, [x], [v])[1] == pytest.approx(products, rel=1e-12, abs=1e-9)
    matrix = hessian(bowl)(x)
    for i in range(3):
        for j in range(3):
            assert matrix[i][j] == pytest.approx(matrix[j][i], rel=1e-10, abs=1e-9)
    products = [math.fsum(a * b for a, b in zip(row, v, strict=True)) for row in matrix]
    assert hvp(bowl, x, v) == pytest.approx(products, rel=1e-10, abs=1e-8)
    slopes = grad(bowl)(x)
    assert jvp(bowl, [x], [v])[1] == pytest.approx(
        math.fsum(a * b for a, b in zip(slopes, v, strict=True)), rel=1e-12, abs=1e-9
    )


def test_a_jacobian_has_the_structure_of_the_result_and_in_it_that_of_the_argument() -> None:
    f: Callable[[Any], Any] = lambda x: [x[0] * x[1], [x[0]]]  # noqa: E731
    assert jacobian(f)([2.0, 3.0]) == [[3.0, 2.0], [[1.0, 0.0]]]
    assert jacobian(lambda x: x * x)(3.0) == 6.0
    assert jacobian(lambda x, y: [x * y, x], (0, 1))(2.0, 3.0) == [(3.0, 2.0), (1.0, 0.0)]
    assert hessian(lambda x: x[0] ** 2 * x[1])([2.0, 3.0]) == [[6.0, 4.0], [4.0, 0.0]]
    assert jacobian(lambda x: [])([1.0]) == []  # noqa: ARG005


def test_the_pullback_may_be_called_many_times() -> None:
    value, pull = vjp(lambda x, y: x * x * y, 3.0, 2.0)
    assert value == 18.0
    assert [pull(1.0), pull(2.0), pull(0.0)] == [(12.0, 9.0), (24.0, 18.0), (0.0, 0.0)]


# --- nesting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(7))
def test_derivatives_nest_to_any_order(order: int) -> None:
    f: Callable[[Any], Any] = lambda x: x**6  # noqa: E731
    for _ in range(order):
        f = grad(f)
    expected = math.perm(6, order) * 2.0 ** (6 - order)
    assert f(2.0) == expected


@pytest.mark.parametrize(
    "f",
    [
        grad(grad(lambda x: x**4)),
        lambda x: jvp(grad(lambda y: y**4), [x], [1.0])[1],
        lambda x: jvp(lambda z: jvp(lambda y: y**4, [z], [1.0])[1], [x], [1.0])[1],
        grad(lambda z: jvp(lambda y: y**4, [z], [1.0])[1]),
        grad(lambda z: vjp(lambda y: y**4, z)[1](1.0)[0]),
        jacobian(jacobian(lambda x: x**4)),
        hessian(lambda x: x**4),
        lambda x: hvp(lambda y: y**4, x, 1.0),
        lambda x: value_and_grad(grad(lambda y: y**4))(x)[1],
        grad(lambda x: value_and_grad(lambda y: y**4)(x)[1]),
    ],
)
def test_every_two_transforms_compose_to_the_second_derivative(f: Callable[[Any], Any]) -> None:
    assert f(3.0) == 108.0


def test_perturbations_of_nested_transforms_are_not_confused() -> None:
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert grad(lambda x: x * grad(lambda y: x * y)(1.0))(3.0) == 6.0
    assert grad(lambda x: x * jvp(lambda y: x * y, [1.0], [1.0])[1])(3.0) == 6.0
    assert jvp(lambda x: x * grad(lambda y: x * y)(1.0), [3.0], [1.0])[1] == 6.0
    assert grad(lambda x: grad(lambda y: grad(lambda z: x * y * z)(1.0))(1.0))(1.0) == 1.0
    assert grad(lambda x: grad(lambda x: x * x)(x) * x)(3.0) == 12.0
    # The tangent is an outer variable: ∂/∂v of J·v.
    assert grad(lambda v: jvp(lambda x: x * x, [3.0], [v])[1])(1.0) == 6.0
    assert grad(lambda u: vjp(lambda x: x * x, 3.0)[1](u)[0])(1.0) == 6.0


def test_a_transform_of_values_returns_values_that_can_be_differentiated() -> None:
    x = Value(3.0)
    slope = grad(lambda y: y**3)(x)
    assert type(slope) is Value
    slope.backward()
    assert (slope.data, x.grad) == (27.0, 18.0)


def test_other_values_in_f_are_constants_and_get_no_gradient() -> None:
    w = Value(5.0)
    assert grad(lambda x: w * x)(2.0) == 5.0
    assert w.grad == 0.0


def test_a_lasting_value_inside_f_may_accumulate_by_its_own_backward() -> None:
    w = Value(2.0)

    def f(x: Any) -> Any:
        (w * 3.0).backward()
        return x * w.data

    assert grad(f)(1.0) == 2.0
    assert w.grad == 3.0


def test_a_list_in_itself_is_an_error_as_an_argument_and_as_a_direction() -> None:
    endless: list[Any] = [1.0]
    endless.append(endless)
    with pytest.raises(ValueError, match=r"grad: an argument .* more than 30 lists deep"):
        grad(lambda x: x[0])(endless)
    with pytest.raises(ValueError, match="jvp: tangents is nested more than 30 lists deep"):
        jvp(lambda x, _: x, endless, endless)


def test_forward_mode_passes_a_choice_by_on_the_edges_that_it_cuts_and_on_no_other() -> None:
    def f(x: Any) -> Any:
        root = autograd.sqrt(x)
        return autograd.where(root, root, root)  # at 0 the last one is passed on

    with autograd.ieee():
        assert jvp(f, [0.0], [1.0]) == (0.0, math.inf)
        assert grad(f)(0.0) == math.inf
