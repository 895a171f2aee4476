"""A compiled function decides like the function that it was made of, whatever was traced before."""

from __future__ import annotations

import math
import operator
import struct
from array import array
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import autograd
from autograd import Value, grad, hessian, ieee, value_and_grad
from autograd.compile import compile as compile_
from autograd.compile import compiled as compiling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What earlier runs have left on disk would count among the paths.
compiled = partial(compile_, cache=False)

INF = math.inf
NAN = math.nan

fast_and_exact = pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])


def bits(x: Any) -> Any:
    """The bits of the numbers; all nans are one, and -0.0 is 0.0, as gradients of floats are."""
    if isinstance(x, list | tuple):
        return [bits(part) for part in x]
    return struct.pack("<d", NAN if x != x else x + 0.0)  # noqa: PLR0124  (a nan)


def interpreted(f: Callable[..., Any], *args: Any) -> Any:
    with ieee():
        return f(*args)


def assert_same(f: Callable[..., Any], own: Callable[..., Any], *args: Any) -> None:
    assert bits(own(*args)) == bits(interpreted(f, *args)), args


# --- programs that decide -------------------------------------------------------------------------


def absolute(x: Any) -> Any:
    return x if x >= 0.0 else -x


def largest(xs: list[Any]) -> Any:
    return max(xs) * 2.0 + min(xs)


def ordered(xs: list[Any]) -> Any:
    return sorted(xs)


def bubble(xs: list[Any]) -> Any:
    xs = list(xs)
    for i in range(len(xs)):
        for j in range(len(xs) - 1 - i):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
    return xs


def halvings(x: Any) -> Any:
    count = 0
    while abs(x) > 1.0:
        x = x * 0.5
        count += 1
    return [x, count]


def collatz(x: Any) -> Any:
    y = x * x
    for _ in range(6):
        y = y * 0.5 if y > 4.0 else 3.0 * y + 1.0
    return y


def in_between(x: Any) -> Any:
    return 1.0 * x if -1.0 < x <= 2.0 else (x - 3.0 if x == 3.0 else x * x)


def truths(x: Any) -> Any:
    y = x * 2.0 if x else 1.0
    return y + 1.0 if not (x - 1.0) else y


def signs(x: Any) -> Any:
    return [x * x if x != 0.0 else 7.0, abs(x), x + 1.0 if x is not None else 0.0]


def first_above(xs: list[Any]) -> Any:
    for i, x in enumerate(xs):
        if x > 0.5:
            return x * float(i)
    return 0.0


def counted(xs: list[Any]) -> Any:
    return len([x for x in xs if x > 0.0]), sum(x for x in xs if x > 0.0)


def of_flags(x: Any) -> Any:
    # A comparison is a number, too, and then no decision.
    return (x > 1.0) * x + (x == 2.0) + (x < -1.0) * 3.0 + (x != 0.0) + (x >= 1.0) * (x >= 3.0)


def any_and_all(xs: list[Any]) -> Any:
    return any(x > 1.0 for x in xs) * 2.0 + all(x > -1.0 for x in xs) * 1.0 + (xs[0] in xs[1:])


def powers(x: Any) -> Any:
    return autograd.where(x > 0.0, x * x, 3.0) if x != 2.0 else x**3


NUMBERS = {
    f.__name__: f
    for f in (absolute, halvings, collatz, in_between, truths, signs, of_flags, powers)
}
LISTS = {f.__name__: f for f in (largest, ordered, bubble, first_above, counted, any_and_all)}
POINTS = [0.0, -0.0, 0.5, 1.0, -1.0, 2.0, 3.0, -3.5, 4.0, 100.0, -64.25, 1e-3, INF, -INF, NAN]
ORDERS = [[3.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 2.0, 1.0], [-1.0, 0.0, -0.0], [1.0, NAN, 0.0]]
ORDERS += [[0.75, -INF, INF], [-3.0, -2.0, -1.0], [3.0, 1.0, 2.0]]


@fast_and_exact
@pytest.mark.parametrize("name", NUMBERS)
def test_a_function_that_decides_about_a_number_is_that_function(name, exact):
    f = NUMBERS[name]
    own = compiled(f, exact=exact)
    for x in [*POINTS, *reversed(POINTS)]:
        if not (name == "halvings" and math.isinf(x)):
            assert_same(f, own, x)


@fast_and_exact
@pytest.mark.parametrize("name", LISTS)
def test_a_function_that_decides_about_a_list_is_that_function(name, exact):
    f = LISTS[name]
    own = compiled(f, exact=exact)
    for xs in [*ORDERS, *reversed(ORDERS)]:
        assert_same(f, own, xs)


@fast_and_exact
@pytest.mark.parametrize("name", ["absolute", "collatz", "in_between", "powers"])
def test_the_derivatives_of_a_function_that_decides_are_those_of_the_way_it_goes(name, exact):
    f = NUMBERS[name]
    for g in (value_and_grad(f), grad(grad(f)), lambda x, f=f: hessian(lambda xs: f(xs[0]))([x])):
        own = compiled(g, exact=exact)
        for x in [0.5, -3.5, 3.0, 2.0, 100.0, -1.0, 0.0]:
            assert_same(g, own, x)


# --- random programs ------------------------------------------------------------------------------

COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
Statement = tuple[Any, ...]


class Program:
    """A random program: statements on a list of variables, some of them inside `if` and `while`.

    With EXACT operations it computes with small whole numbers and halves only, which doubles do
    without rounding.
    """

    def __init__(self, statements: Sequence[Statement], operations: Any) -> None:
        self.statements = statements
        self.operations = operations

    def __repr__(self) -> str:
        lines = [f"def program({', '.join(f'v{i}' for i in range(COUNT))}):"]
        lines += [line for s in self.statements for line in self._written(s, "    ")]
        return "\n".join([*lines, "    return everything"])

    def _written(self, statement: Statement, indent: str) -> list[str]:
        kind, *rest = statement
        if kind in ("if", "while"):
            sign, a, b, body, *otherwise = rest
            lines = [f"{indent}{kind} v{a} {sign} {self._name(b)}:"]
            lines += [line for s in body for line in self._written(s, indent + "    ")]
            if otherwise:
                lines += [f"{indent}else:"]
                lines += [x for s in otherwise[0] for x in self._written(s, indent + "    ")]
            return lines
        target, *operands = rest
        words = ", ".join(map(self._name, operands))
        return [f"{indent}v{target} = {kind}({words})"]

    @staticmethod
    def _name(operand: Any) -> str:
        return f"v{operand}" if isinstance(operand, int) else repr(operand)

    def __call__(self, xs: list[Any]) -> list[Any]:
        variables = list(xs)
        for statement in self.statements:
            self._run(statement, variables)
        return variables

    def _run(self, statement: Statement, variables: list[Any]) -> None:
        kind, *rest = statement

        def operand(x: Any) -> Any:
            return variables[x] if isinstance(x, int) else x

        if kind == "if":
            sign, a, b, body, otherwise = rest
            taken = body if COMPARISONS[sign](variables[a], operand(b)) else otherwise
            for inner in taken:
                self._run(inner, variables)
        elif kind == "while":
            sign, a, b, body = rest
            turns = 0
            while turns < 3 and COMPARISONS[sign](variables[a], operand(b)):
                turns += 1
                for inner in body:
                    self._run(inner, variables)
        else:
            target, *operands = rest
            variables[target] = self.operations[kind](*map(operand, operands))


def wrapped(a: Any, b: Any) -> Any:
    """A product that stays small: halves of whole numbers up to 64."""
    y = a * b
    return autograd.where(abs(y) > 8.0, 0.5, y)


EXACT: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "wrapped": wrapped,
    "max": max,
    "min": min,
    "abs": abs,
    "neg": operator.neg,
    "relu": lambda a: autograd.relu(a + 0.0),
    "maximum": autograd.maximum,
    "middle": lambda a, b, c: sorted([a, b, c])[1],
    "flag": lambda a, b: (a < b) * 1.0,
    "either": lambda a, b: a or b,
    "both": lambda a, b: a and b,
    "not": lambda a: 1.0 if not a else 0.0,
}
# What is no decision in those is one in these: rounding may choose another side of a `where`.
ROUNDED = EXACT | {
    "wrapped": lambda a, b: 0.25 * a * b,
    "flag": lambda a, b: 1.0 if a < b else 0.0,
    "abs": lambda a: autograd.sqrt(a * a + 0.1),
    "neg": lambda a: 0.3 - autograd.tanh(a),
}
ARITIES = {"abs": 1, "neg": 1, "relu": 1, "not": 1, "middle": 3}
COUNT = 3  # variables

variables = st.integers(0, COUNT - 1)
halves = st.integers(-8, 8).map(lambda n: n / 2.0)
operands = variables | halves


@st.composite
def assignments(draw: st.DrawFn) -> Statement:
    kind = draw(st.sampled_from(sorted(EXACT)))
    # Python's own max, sorted and so on take their first operand from a variable at least.
    others = [draw(operands) for _ in range(ARITIES.get(kind, 2) - 1)]
    return (kind, draw(variables), draw(variables), *others)


def branches(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
    body = st.lists(inner, min_size=1, max_size=2)
    condition = (st.sampled_from(sorted(COMPARISONS)), variables, operands)
    return st.tuples(st.just("if"), *condition, body, st.lists(inner, max_size=2)) | st.tuples(
        st.just("while"), *condition, body
    )


statements = st.recursive(assignments(), branches, max_leaves=4)
listings = st.lists(statements, min_size=1, max_size=4)
programs = listings.map(lambda listing: Program(listing, EXACT))
points = st.lists(st.lists(halves, min_size=COUNT, max_size=COUNT), min_size=2, max_size=5)
tenths = st.integers(-12, 12).map(lambda n: n / 10.0)


def assert_follows(f: Any, where: list[Any], *, exact: bool) -> None:
    own = compiled(f, exact=exact)
    for xs in [*where, *reversed(where)]:
        assert_same(f, own, xs)


@fast_and_exact
@settings(max_examples=15)
@given(program=programs, where=points)
def test_a_random_program_is_itself_whatever_was_traced_before(exact, program, where):
    assert_follows(program, where, exact=exact)


@settings(max_examples=10)
@given(program=programs, where=points)
def test_the_gradient_of_a_random_program_is_itself_whatever_was_traced_before(program, where):
    def total(xs: list[Any]) -> Any:
        y = program(xs)
        return y[0] + 2.0 * y[1] - y[2]

    assert_follows(value_and_grad(total), where, exact=False)


@pytest.mark.slow
@fast_and_exact
@settings(max_examples=50)
@given(program=programs, where=points)
def test_many_random_programs_are_themselves(exact, program, where):
    assert_follows(program, where, exact=exact)


@settings(max_examples=10)
@given(program=programs, where=points)
def test_rows_go_one_way_or_the_error_says_that_they_disagree(program, where):
    own = compiled(program, rows=0)
    for rows in [where, *[[xs] * 9 for xs in where]]:
        alike = len({tuple(way(program, xs)) for xs in rows}) == 1
        try:
            columns = own(np.array(rows))
        except ValueError as error:
            assert "the rows disagree" in str(error)  # noqa: PT017  (it is right, or it says so)
            assert not alike
        else:
            for r, xs in enumerate(rows):
                assert bits(columns[r].tolist()) == bits(interpreted(program, xs))


def way(program: Any, xs: list[float]) -> list[bool]:
    """The answers to all questions that the program asks about its variables."""
    answers: list[bool] = []

    class Asked(float):
        pass

    with autograd.tracing.tracing() as record, ieee():
        program([Value(x) for x in xs])
    answers += [guard.answer for guard in record.guards]
    return answers


# --- rounding -------------------------------------------------------------------------------------


def test_where_rounding_decides_otherwise_the_function_itself_answers():
    # a·b - c is 0 rounded, and what was rounded off in a fused multiply-add.
    def f(a: Any, b: Any, c: Any) -> Any:
        y = a * b - c
        return 1.0 if y == 0.0 else y * 4.0

    third = 1.0 / 3.0
    square = third * third
    own = compiled(f)
    for args in [(third, third, square), (2.0, 3.0, 6.0), (2.0, 3.0, 5.0), (third, third, square)]:
        assert own(*args) == f(*args)
    exact = compiled(f, exact=True)
    for args in [(2.0, 3.0, 5.0), (third, third, square), (2.0, 3.0, 6.0)]:
        assert exact(*args) == f(*args)


def test_the_llvm_shown_is_that_of_the_program_that_runs_where_a_decision_wants_every_bit():
    def f(a: Any, b: Any) -> Any:
        return a * b + b if a * b < 1.0 else a

    own, exact = compiled(f), compiled(f, exact=True)
    assert own(0.5, 0.25) == exact(0.5, 0.25) == f(0.5, 0.25)
    assert own.llvm() == exact.llvm()
    assert "llvm.fma" not in own.llvm()


ROUNDED_POINTS = st.lists(st.lists(tenths, min_size=COUNT, max_size=COUNT), min_size=2, max_size=5)


@settings(max_examples=15)
@given(listing=listings, where=ROUNDED_POINTS)
@example(  # 0.1 · 0.1 · ¼ against 0.0025
    listing=[("wrapped", 0, 0, 1), ("sub", 0, 0, 2), ("flag", 1, 0, 0.0)],
    where=[[0.1, 0.1, 0.0025], [0.2, 0.2, 0.01], [0.3, 0.3, 0.0225], [0.6, 0.6, 0.09]],
)
def test_rounding_never_leads_a_random_program_another_way(listing, where):
    program = Program(listing, ROUNDED)
    own = compiled(program)
    for xs in [*where, *reversed(where)]:
        # Far more than rounding, and far less than a decision makes.
        assert own(xs) == pytest.approx(interpreted(program, xs), rel=1e-9, abs=1e-9, nan_ok=True)


def test_an_interpreted_answer_on_rows_is_that_of_the_function():
    def f(a: Any, c: Any) -> Any:
        y = a * a - c
        return 1.0 if y == 0.0 else y * 4.0

    third = 1.0 / 3.0
    X = np.array([third] * 5)
    own = compiled(f, rows=0)
    assert own(X, third * third).tolist() == [1.0] * 5
    assert compiled(f, rows=0, reduce="mean")(X, third * third) == 1.0


@fast_and_exact
@settings(max_examples=40)
@given(x=st.floats(), y=st.floats(), sign=st.sampled_from(sorted(COMPARISONS)))
@example(x=0.0, y=-0.0, sign="==")
@example(x=NAN, y=NAN, sign="!=")
@example(x=5e-324, y=0.0, sign=">")
def test_arguments_are_compared_as_python_compares_them(exact, x, y, sign):
    own = comparing(sign, exact)
    expected = COMPARISONS[sign](x, y)
    assert own(x, y) == (1.0 if expected else 2.0, float(expected))


@cache
def comparing(sign: str, exact: bool) -> Any:  # noqa: FBT001  (cache wants it by position)
    compare = COMPARISONS[sign]

    def f(x: Any, y: Any) -> Any:
        return (1.0 if compare(x, y) else 2.0), 1.0 * compare(x, y)

    return compiled(f, exact=exact)


NUMBERS_OF_ALL_KINDS = st.integers() | st.fractions() | st.decimals(allow_nan=False)


@settings(max_examples=25)
@given(x=st.floats(), number=NUMBERS_OF_ALL_KINDS)
@example(x=1.0 / 3.0, number=Fraction(1, 3))
@example(x=math.nextafter(1.0 / 3.0, 1.0), number=Fraction(1, 3))
@example(x=2.0**53, number=2**53 + 1)
@example(x=0.1, number=Decimal("0.1"))
@example(x=INF, number=10**400)
@example(x=math.nextafter(INF, 0.0), number=-(10**400))
def test_an_argument_is_compared_with_any_kind_of_number(x, number):
    def f(x: Any) -> Any:
        return [
            1.0 if x < number else 2.0,
            1.0 if number <= x else 2.0,
            3.0 if x == number else 4.0,
        ]

    # Python doesn't compare a nan with a Decimal.
    assume(not (math.isnan(x) and isinstance(number, Decimal)))
    assert_same(f, compiled(f), x)


# --- paths ----------------------------------------------------------------------------------------


def test_there_is_one_program_for_each_way_and_they_are_told_in_words():
    own = compiled(absolute)
    for x in (1.0, 2.0, -1.0, 0.0, -5.0, 3.0):
        own(x)
    assert len(own.paths) == 2
    assert any("is True" in path for path in own.paths)
    assert any("is False" in path for path in own.paths)
    assert all("test_compile_paths.py" in path for path in own.paths)
    assert "2 programs" in repr(own)


def test_a_question_whose_answer_is_known_makes_no_path():
    def f(x: Any) -> Any:
        return x * 2.0 if Value(3.0) > 2.0 and x * 0.0 != 1.0 else x

    own = compiled(lambda x: x * 2.0 if Value(3.0) > 2.0 else x)
    assert own(1.0) == 2.0
    assert own.paths == ["no decisions"]
    assert_same(f, compiled(f), 4.0)


def test_the_same_question_is_asked_once():
    def f(x: Any) -> Any:
        total = 0.0
        for _ in range(10):
            total = total + (x if x > 0.0 else -x)
        return total

    own = compiled(f)
    assert own(1.0) == 10.0
    assert own(-1.0) == 10.0
    assert len(own.paths) == 2
    assert all(path.count("is ") == 1 for path in own.paths)


def test_a_captured_value_decides_too():
    w = Value(1.0)

    def f(x: Any) -> Any:
        return w * x if w > 0.0 else x - w

    own = compiled(f)
    for data in (1.0, -1.0, 2.0, 0.0, 1.0):
        w.data = data
        assert own(3.0) == (data * 3.0 if data > 0.0 else 3.0 - data)


def test_a_function_with_too_many_ways_says_so_and_the_ones_it_has_still_work(monkeypatch):
    assert compiling.PATHS == 64
    monkeypatch.setattr(compiling, "PATHS", 12)

    def f(x: Any) -> Any:
        n = 0
        while x > 1.0:
            x = x - 1.0
            n += 1
        return [x, n]

    own = compiled(f)
    for n in range(12):
        assert own(n + 0.5) == [0.5, float(n)]
    with pytest.raises(RuntimeError, match=r"12 ways through the function.*autograd\.where"):
        own(12.5)
    assert own(3.5) == [0.5, 3.0]
    assert own(11.25) == [0.25, 11.0]


def test_the_rows_disagree_and_the_error_names_the_comparison_and_where():
    def f(x: Any) -> Any:
        return x if x > 0.25 else -x

    own = compiled(f, rows=0)
    X = np.array([1.0, -1.0, 2.0, 3.0])
    with pytest.raises(
        ValueError,
        match=r"the rows disagree: .*0\.25.*test_compile_paths\.py.* of 4 .*autograd\.where",
    ):
        own(X)
    assert own(abs(X)).tolist() == [1.0, 1.0, 2.0, 3.0]
    assert own(-abs(X)).tolist() == [1.0, 1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="the rows disagree"):
        own(X)
    assert len(own.paths) == 2


def test_one_row_of_many_that_disagrees_is_noticed_wherever_it_is():
    def f(x: Any) -> Any:
        return x if x > 0.25 else -x

    for reduce in (None, "sum", "mean"):
        own = compiled(f, rows=0, reduce=reduce)
        for rows in (2, 8, 9, 17, 100):
            for r in {0, 1, rows // 2, rows - 2, rows - 1}:
                X = np.ones(rows)
                X[r] = 0.0
                with pytest.raises(ValueError, match=f" of {rows} "):
                    own(X)
                X[r] = NAN
                with pytest.raises(ValueError, match=f" of {rows} "):
                    own(X)


def test_a_decision_about_what_the_rows_share_is_one_for_all():
    def f(x: Any, w: Any) -> Any:
        return x * w if w > 0.0 else x + w

    for reduce in (None, "sum"):
        own = compiled(f, rows=0, reduce=reduce)
        X = np.arange(9.0)
        for w in (2.0, -1.0, 3.0):
            expected = X * w if w > 0.0 else X + w
            assert np.array_equal(own(X, w), expected.sum() if reduce else expected)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_threads_notice_rows_that_disagree(reduce):
    own = compiled(lambda x: x if x > 0.0 else -x, rows=0, reduce=reduce, threads=2)
    X = np.ones(40)
    share = 40 if reduce == "mean" else 1
    assert own(X) == 40.0 / share
    assert own(-X) == 40.0 / share
    X[33] = -1.0
    with pytest.raises(ValueError, match="the rows disagree"):
        own(X)


def test_what_a_function_raises_passes_through_and_nothing_is_kept_of_it():
    def f(x: Any) -> Any:
        if x > 0.0:
            message = "not above 0"
            raise LookupError(message)
        return x * 2.0

    own = compiled(f)
    with pytest.raises(LookupError, match="not above 0"):
        own(1.0)
    assert own(-1.0) == -2.0
    with pytest.raises(LookupError, match="not above 0"):
        own(1.0)
    assert len(own.paths) == 1


def test_reading_data_of_an_argument_is_refused_since_it_would_be_frozen():
    for f in (lambda x: x * x.data, lambda x: x * x.grad, lambda x: x * float(x)):
        with pytest.raises(TypeError, match=r"data|plain number"):
            compiled(f)(2.0)


# --- structures -----------------------------------------------------------------------------------


def test_arguments_of_another_structure_are_traced_anew():
    own = compiled(lambda xs: sum(xs) if isinstance(xs, list) else xs)
    for n in (3, 1, 0, 5, 3):
        xs = [0.5 * i for i in range(n)]
        assert own(xs) == sum(xs)
    assert own(4.0) == 4.0
    nested = compiled(lambda xs: [x[0] for x in xs])
    assert nested([[1.0, 2.0], (3.0,)]) == [1.0, 3.0]
    assert nested([(1.0, 2.0), [3.0]]) == [1.0, 3.0]
    assert nested([]) == []


def test_a_list_stays_a_list_and_a_tuple_a_tuple():
    kinds = compiled(lambda x: [isinstance(x, list), isinstance(x, tuple)])
    assert kinds([1.0]) == [1.0, 0.0]
    assert kinds((1.0,)) == [0.0, 1.0]
    assert compiled(lambda x: ([x], (x,), {0: x}[0]))(1.0) == ([1.0], (1.0,), 1.0)


@pytest.mark.parametrize(
    "number",
    [3, True, Fraction(3, 2), np.float32(1.5), np.int64(2), np.array(1.5), np.bool_(True)],  # noqa: FBT003  (a number)
    ids=lambda x: type(x).__name__,
)
def test_numbers_of_every_kind_are_arguments(number):
    own = compiled(lambda x: x * 2.0)
    assert own(number) == 2.0 * float(number)
    inside = compiled(lambda xs: xs[0] * 2.0)
    assert inside([number]) == 2.0 * float(number)
    assert inside((number,)) == 2.0 * float(number)


BAD = [
    ("text", r"argument 0.*text, 'text'.*float"),
    (b"text", r"argument 0.*float"),
    (None, r"argument 0.*NoneType"),
    (1j, r"argument 0.*complex"),
    ({1.0: 2.0}, r"argument 0.*dict"),
    ({1.0}, r"argument 0.*set"),
    (BaseException, r"argument 0.*type"),
    ([1.0, "2"], r"argument 0\[1\].*text, '2'"),
    ([1.0, None], r"argument 0\[1\].*NoneType"),
    ([1.0, 1j], r"argument 0\[1\].*complex"),
    ([[1.0], [2.0, "x"]], r"argument 0\[1\]\[1\].*text"),
    (np.array(["a"]), r"argument 0.*real numbers"),
    (np.array([1j]), r"argument 0.*real numbers.*complex"),
    (np.array([None]), r"argument 0.*real numbers.*object"),
    (np.array(["2020-01-01"], dtype="M8[D]"), r"argument 0.*real numbers.*datetime"),
]


@pytest.mark.parametrize(("thing", "words"), BAD, ids=lambda x: repr(x)[:24])
def test_an_argument_that_is_no_number_is_an_error_with_its_place_and_remedy(thing, words):
    with pytest.raises(TypeError, match=words):
        compiled(lambda x: x)(thing)


def test_a_wrong_argument_is_named_by_its_place():
    with pytest.raises(TypeError, match=r"argument 2\[1\]"):
        compiled(lambda x, y, z: x + y + z[0])(1.0, 2.0, [3.0, "4"])


def test_a_list_in_itself_is_an_error():
    xs: list[Any] = [1.0]
    xs.append(xs)
    with pytest.raises(ValueError, match=r"argument 0.*nested more than"):
        compiled(lambda x: x[0])(xs)


def test_a_number_beyond_the_doubles_is_an_error():
    with pytest.raises(OverflowError, match="beyond the largest double"):
        compiled(lambda x: x)(10**400)
    with pytest.raises(OverflowError, match="beyond the largest double"):
        compiled(lambda xs: xs[0])([10**400])


def two(x: Any, y: Any) -> Any:
    return x[0] * y


ROWS_BAD: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    (([[1.0, 2.0], [3.0]], 1.0), ValueError, r"argument 0.*rows of one length"),
    ((1.0, 1.0), TypeError, r"argument 0.*array or a list of rows; got 1\.0"),
    ((None, 1.0), TypeError, r"argument 0.*got None"),
    (("text", 1.0), TypeError, r"argument 0.*text"),
    (([["a"]], 1.0), TypeError, r"argument 0.*real numbers"),
    (([[1j]], 1.0), TypeError, r"argument 0.*real numbers"),
    (([[None]], 1.0), TypeError, r"argument 0.*real numbers"),
    ((np.zeros((0, 2)), 1.0), ValueError, r"argument 0.*no rows"),
    (([], 1.0), ValueError, r"argument 0.*no rows"),
    ((np.zeros((3, 2)), "b"), TypeError, r"argument 1.*text, 'b'"),
    ((np.array([[1.0]], dtype=object), 1.0), TypeError, r"argument 0.*object"),
    ((), ValueError, r"rows=\(0,\) names argument 0; there are 0 arguments"),
]


@pytest.mark.parametrize(("args", "kind", "words"), ROWS_BAD, ids=lambda x: repr(x)[:24])
def test_rows_that_are_none_are_an_error_with_their_place_and_remedy(args, kind, words):
    for reduce in (None, "sum"):
        with pytest.raises(kind, match=words):
            compiled(two, rows=0, reduce=reduce)(*args)


def test_arguments_with_different_numbers_of_rows_are_an_error_that_names_both():
    own = compiled(lambda x, y: x + y, rows=(0, 1))
    with pytest.raises(ValueError, match=r"argument 1.*has 4 rows, and argument 0 has 3"):
        own([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0])
    assert own([1.0], [2.0]).tolist() == [3.0]


def test_a_result_that_is_no_number_is_an_error():
    for thing in ("text", None, 1j, {1: 2.0}, np.array([1.0])):
        with pytest.raises(TypeError, match="a compiled function returns numbers"):
            compiled(lambda _, thing=thing: thing)(1.0)
        with pytest.raises(TypeError, match="a compiled function returns numbers"):
            compiled(lambda _, thing=thing: [1.0, thing], rows=0)([1.0])


OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"rows": -1}, ValueError, r"rows must be positions.*got -1"),
    ({"rows": (0, 0)}, ValueError, r"rows must be positions"),
    ({"rows": "x"}, ValueError, r"rows must be positions"),
    ({"rows": 1.0}, ValueError, r"rows must be positions"),
    ({"rows": True}, ValueError, r"rows must be positions"),
    ({"reduce": "max", "rows": 0}, ValueError, r"reduce must be 'sum', 'mean' or None; got 'max'"),
    ({"reduce": "sum"}, ValueError, r"needs rows"),
    ({"threads": 0}, ValueError, r"threads must be a whole number, at least 1; got 0"),
    ({"threads": 1.5}, ValueError, r"threads must be"),
    ({"threads": 2}, ValueError, r"threads=2 needs rows"),
    ({"inputs": [Value(1.0)]}, TypeError, r"inputs goes with a Value"),
]


@pytest.mark.parametrize(("options", "kind", "words"), OPTIONS, ids=lambda x: repr(x)[:30])
def test_a_wrong_option_is_an_error_with_the_remedy(options, kind, words):
    with pytest.raises(kind, match=words):
        compiled(lambda x: x, **options)


def test_what_is_no_function_and_a_graph_without_inputs_are_errors():
    with pytest.raises(TypeError, match="takes a function or a Value; got 3"):
        compiled(3)  # type: ignore[arg-type]  # (the mistake)
    with pytest.raises(TypeError, match=r"needs inputs=\[\.\.\.\]"):
        compiled(Value(1.0) * 2.0)
    with pytest.raises(TypeError, match=r"inputs\[1\] must be a Value; got 2\.0"):
        compiled(Value(1.0) * 2.0, inputs=[Value(1.0), 2.0])  # type: ignore[list-item]  # (the mistake)


def test_the_number_of_arguments_is_the_functions_own_business():
    own = compiled(lambda x, y=2.0: x * y)
    assert own(3.0) == 6.0
    assert own(3.0, 4.0) == 12.0
    with pytest.raises(TypeError, match="positional argument"):
        own(1.0, 2.0, 3.0)


def test_buffers_are_arguments_in_the_place_of_lists():
    own = compiled(lambda xs: [x * 2.0 for x in xs])
    for thing in (array("d", [1.0, 2.0]), memoryview(array("d", [1.0, 2.0])), np.array([1.0, 2.0])):
        assert own(thing) == [2.0, 4.0]
    assert own(array("i", [1, 2])) == [2.0, 4.0]
    assert own(np.array([1, 2], dtype=np.int8)) == [2.0, 4.0]
    assert compiled(lambda xs: xs[1][0])(np.arange(4.0).reshape(2, 2)) == 2.0


def test_an_input_of_a_graph_that_is_given_twice_is_refused():
    a = Value(2.0)
    with pytest.raises(ValueError, match=r"inputs\[1\] is inputs\[0\] again"):
        compile_(a * a, inputs=[a, a])
