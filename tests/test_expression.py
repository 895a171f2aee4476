"""What a text computes, and what it can't do."""

import math
import os
import string
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import autograd
from autograd.explain import CHECK_BUDGET, Explanation, align, explain
from autograd.expression import (
    CONSTANTS,
    MAX_LINE,
    MAX_TEXT,
    ExpressionError,
    Line,
    Model,
    operations,
    parse,
    parse_given,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def model(text: str, *words: str) -> Model:
    inputs = parse_given(words)
    return parse(text, "text", inputs).bind(inputs)


def value(text: str, *words: str) -> float:
    bound = model(text, *words)
    return bound.evaluate()[bound.last.name]


def attempt(text: str, *words: str, lr: float | None = None) -> Explanation | ExpressionError:
    try:
        return explain(model(text, *words), "text", lr=lr)
    except ExpressionError as error:
        return error


def failure(text: str, *words: str) -> ExpressionError:
    with pytest.raises(ExpressionError, match=r"\^") as caught:
        explain(model(text, *words), "text")
    return caught.value


# --- arithmetic -----------------------------------------------------------------------------------

Tree = float | str | tuple[Any, ...]
NAMES = {"x": 0.75, "y": -2.0, "ŷ": 3.5, "e": 2.0}

LEAVES = st.one_of(
    st.integers(0, 9).map(float),
    st.floats(0.0, 1e6),
    st.sampled_from(sorted(NAMES)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "**"]), inner, inner),
        st.tuples(st.sampled_from(["+", "-"]), inner),
    ),
    max_leaves=25,
)


def as_text(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, float):
        return repr(tree)
    if len(tree) == 2:
        return f"{tree[0]}({as_text(tree[1])})"
    return f"({as_text(tree[1])}) {tree[0]}({as_text(tree[2])})"


def by_python(tree: Tree) -> float:
    """Return the value by Python's own float arithmetic; ArithmeticError if it isn't finite."""
    if isinstance(tree, str):
        return NAMES[tree]
    if isinstance(tree, float):
        return tree
    operands = [by_python(x) for x in tree[1:]]
    if len(operands) == 1:
        return -operands[0] if tree[0] == "-" else operands[0]
    a, b = operands
    result: float | complex = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "**": lambda: a**b,
    }[tree[0]]()
    if isinstance(result, complex) or not math.isfinite(result):
        raise ArithmeticError
    return result


@given(TREES)
def test_any_expression_is_worth_what_python_makes_of_it_to_the_last_bit(tree):
    words = [f"{name}={number!r}" for name, number in NAMES.items()]
    text = f"result = 0*x + 0*y + 0*ŷ + 0*e\nz = {as_text(tree)}"
    try:
        expected = by_python(tree)
    except ArithmeticError:
        with pytest.raises(ExpressionError, match="line 2, column") as caught:
            value(text, *words)
        assert not caught.value.usage
        return
    assert repr(value(text, *words)) == repr(expected)
    named, _ = model(text, *words).record()
    if "z" in named:
        assert repr(named["z"].data) == repr(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2*3", 7.0),
        ("-2**2", -4.0),
        ("2**3**2", 512.0),
        ("2**-1", 0.5),
        ("7 - 2 - 1", 4.0),
        ("8 / 4 / 2", 1.0),
        ("0x10 + 0b11 + 0o7", 26.0),
        ("1_000 + .5 + 5. + 1e-3", 1005.501),
        ("\t( 1 )\t", 1.0),
        ("pi", math.pi),
        ("e", math.e),
        ("sum([1, 2, 3,])", 6.0),
        ("sum([])", 0.0),
        ("mean([1, 2])", 1.5),
        ("dot([1, 2], [3, 4])", 11.0),
        ("logsumexp([0, 0])", math.log(2.0)),
        ("leaky_relu(-1)", -0.01),
        ("leaky_relu(-1, 0.5)", -0.5),
        ("where(1, 2, 3)", 2.0),
        ("arctan2(0, 1)", 0.0),
    ],
)
def test_text_is_read_by_pythons_rules_of_precedence_and_the_operations_by_name(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize("name", sorted(operations()))
def test_every_operation_of_the_registry_can_be_called_from_text(name):
    op = operations()[name]
    if op.arity is None:
        text = f"{name}([0.5, 0.25], [1, 2])" if name == "dot" else f"{name}([0.5, 0.25])"
    else:
        operands = ["x", "0.25", "0.75"][: op.arity]
        text = f"{name}({', '.join(operands)})"
    x = "0" if name == "polygamma" else "1.5" if name in ("acosh", "arccosh") else "0.5"
    bound = model(f"{text} + 0*x", f"x={x}")
    assert math.isfinite(bound.evaluate()["y"])


def test_an_operation_gets_its_operands_in_their_order():
    assert value("atan2(y, x)", "y=1", "x=2") == math.atan2(1.0, 2.0)
    assert value("where(0, 1, 2) - clip(7, 1, 3)") == -1.0


def test_integers_become_floats_before_anything_is_computed():
    assert value("2**0.5**2 + 10**300 / 10**299") == 2.0**0.25 + 10.0
    assert "1.8e308" in str(failure("9**9**9"))
    assert not failure("9**9**9").usage


def test_a_number_among_values_stays_a_number():
    named, made = model("2*x", "x=3").record()
    assert named["y"].operands == (2.0, named["x"])
    assert len(made) == 1


# --- programs -------------------------------------------------------------------------------------


def test_a_later_line_uses_the_names_of_earlier_ones_and_comments_are_skipped():
    text = "\ufeff# a comment\r\na = 2 # two\n\n  b = a*3\rc = b + a\n"
    assert model(text).evaluate() | CONSTANTS == {"a": 2.0, "b": 6.0, "c": 8.0} | CONSTANTS


def test_an_assignment_without_other_names_is_an_input_and_data_is_what_its_comment_says():
    bound = model("x = 1/2 # data: seen\nw = -pi # weight, no data\nb = sqrt(2)\ny = w*x + b")
    assert list(bound.inputs) == ["x", "w", "b"]
    assert bound.data == {"x"}
    assert [step.name for step in bound.steps] == ["y"]


def test_words_give_inputs_their_values_before_the_text_does():
    bound = model("w = 3\ny = w*x", "w=5", "x=-1/4")
    assert bound.inputs == {"x": -0.25, "w": 5.0}
    assert bound.evaluate()["y"] == -1.25


def test_a_name_that_is_assigned_hides_the_constant_of_that_name():
    assert value("e = 3\ny = e*2") == 6.0
    assert value("e*pi", "e=2", "pi=5") == 10.0


def test_an_operations_name_can_be_a_variable_too():
    assert value("mean = mean([1, 3])\ny = mean*2") == 4.0


def test_a_bare_expression_gets_a_name_that_nothing_else_has():
    assert model("x", "x=1").last.name == "y"
    assert model("x*y", "x=1", "y=2").last.name == "f"
    assert model("x*y*f*out*result", "x=1", "y=2", "f=1", "out=1", "result=1").last.name == "y0"


def test_the_same_letter_in_two_encodings_is_one_name():
    assert value("y\u0302 + 0", "\u0177=2") == 2.0


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "rule"),
    [
        ("x.__class__", 2, "attributes can't be reached"),
        ("(1).real", 4, "attributes can't be reached"),
        ("1.real", 2, "attributes can't be reached"),
        ("__import__('os')", 12, "text isn't part"),
        ('f"{x}"', 2, "text isn't part"),
        ("x[0]", 1, "elements can't be reached"),
        ("[1, 2]", 1, "a list isn't a number"),
        ("sin([x])", 5, "a list isn't a number"),
        ("sum([[x]])", 6, "a list isn't a number"),
        ("sum(x)", 5, "sum takes lists"),
        ("sum([x], [x])", 1, "takes one list; got 2"),
        ("dot([x], [x, x])", 1, "of one length; got 1 and 2"),
        ("dot([x])", 1, "takes two lists; got 1"),
        ("softmax([x])", 1, "gives a list"),
        ("[x for x in x]", 4, "a word of Python's own"),
        ("lambda", 1, "a word of Python's own"),
        ("True", 1, "a word of Python's own"),
        ("x if x else x", 3, r"write where\(step"),
        ("x > 0", 3, "comparisons aren't part"),
        ("x == x", 3, "assignment is name = expression"),
        ("(x := 2)", 4, "isn't part of an expression"),
        ("x ^ 2", 3, r"write \*\* for a power"),
        ("x // 2", 3, "// isn't an operator"),
        ("x % 2", 3, "% isn't an operator"),
        ("x²", 2, r"write \*\*2"),
        ("2·x", 2, r"write \* for a product"),
        ("x; x", 2, "a line of its own"),
        ("x\0", 2, r"U\+0000 isn't part"),
        ("x\udc80", 2, r"U\+DC80 isn't part"),
        ("x\u00a0", 2, r"U\+00A0 isn't part"),
        ("x, x", 1, "a comma separates operands"),
        ("sin(x=1)", 6, "assignment is name = expression"),
        ("sin(*[x])", 5, "a number or a name is missing before"),
        ("sin(**x)", 5, "a number or a name is missing before"),
        ("sin(x)(x)", 1, "only operations can be called"),
        ("2(x)", 1, "only operations can be called"),
        ("sin(x, x)", 1, r"takes 1 operand; got 2: write sin\(a\)"),
        ("sin()", 1, "takes 1 operand; got 0"),
        ("atan2(x)", 1, r"takes 2 operands; got 1: write atan2\(a, b\)"),
        ("elu(x, x, x)", 1, "takes 1 to 2 operands; got 3"),
        ("sin", 1, r"is an operation: call it, sin\(...\)"),
        ("sigmod(x)", 1, r"did you mean sigmoid\?"),
        ("ln(x)", 1, r"did you mean log\?"),
        ("max(x, x)", 1, r"did you mean maximum\?"),
        ("qqqq(x)", 1, r"for a product write qqqq\*"),
        ("x*", 3, "missing before the end"),
        ("*x", 1, "missing before"),
        ("x + * x", 5, "missing before"),
        ("sin(x, , x)", 8, "missing before ,"),
        ("()", 1, "isn't part|comma|missing|can't be read"),
        ("2 x", 3, "an operator is missing between 2 and x"),
        ("x x", 3, "an operator is missing between x and x"),
        ("(x) 2", 5, "an operator is missing"),
        ("2x", 1, r"2x isn't a number: write 2\*x"),
        ("1e", 1, "1e isn't a number"),
        ("0x", 1, "0x isn't a number"),
        ("1__0", 1, "1__0 isn't a number"),
        ("010", 1, "begins with 0: write 10"),
        ("1.2.3", 4, "attributes can't be reached"),
        ("1j", 1, "is complex"),
        ("1e999", 1, r"beyond the largest double"),
        ("0x" + "f" * 500, 1, r"beyond the largest double"),
        ("(x", 1, r"\( is never closed"),
        ("x)", 2, r"\) closes nothing"),
        ("(x]", 3, r"doesn't close the \( at column 1: write \)"),
        ("", 1, "there is nothing to compute"),
        ("# only this", 1, "there is nothing to compute"),
        ("a =", 4, "an expression is missing here"),
        ("2 = x", 3, "assignment is name = expression"),
    ],
)
def test_what_cant_be_read_is_an_error_with_its_column_and_a_remedy(text, column, rule):
    with pytest.raises(ExpressionError, match=rule) as caught:
        model(text, "x=1")
    assert caught.value.usage
    assert (caught.value.line, caught.value.column) == (1, column)
    place, shown, caret, sentence = str(caught.value).split("\n")
    assert place == f"text, line 1, column {column}"
    assert caret.index("^") == shown.index("    ") + 4 + column - 1
    assert ": " in sentence


@pytest.mark.parametrize(
    ("text", "words", "place", "rule"),
    [
        ("x*w + b", ["x=1"], (1, 3), "w has no value: add w=... b=..."),
        ("wieght*2", ["weight=2"], (1, 1), "did you mean weight?"),
        ("rate = 2\ny = rat*2", [], (2, 5), "did you mean rate?"),
        ("a = 1\n\na = 2", [], (3, 1), "a has a value since line 1"),
        ("a = b\nb = 2", [], (1, 5), "b is used before line 2 gives it a value"),
        ("a = a + 1", [], (1, 5), "a is used before line 1"),
        ("a = e\ne = 2", [], (1, 5), "e is used before line 2"),
        ("x + 1\ny = 2", ["x=1"], (1, 1), "only the last line"),
        ("lambda = 2", [], (1, 1), "lambda is a word of Python's own"),
        ("x", ["x=1", "x=2"], (1, 1), "x is given twice: leave x=1 or x=2 out"),
        ("x", ["x=abc"], (1, 3), "abc isn't a number"),
        ("x", ["x="], (1, 3), "an expression is missing"),
        ("x", ["x=nan"], (1, 3), "nan isn't a number"),
        ("x", ["x=inf"], (1, 3), "inf isn't a number"),
        ("x", ["x=1e999"], (1, 3), "beyond the largest double"),
        ("x", ["x=1", "2"], (1, 1), "2 isn't name=value"),
        ("x", ["x==1"], (1, 1), "x==1 isn't name=value"),
        ("x", ["x=1", "z=2"], (1, 1), "z isn't used: leave it out"),
        ("width*2", ["width=1", "widht=2"], (1, 1), "did you mean width?"),
        ("x = 1\nz = 2*x\nL = z", ["z=3"], (1, 1), "z is computed in line 2"),
    ],
)
def test_a_name_without_a_value_or_with_two_is_an_error_with_its_place(text, words, place, rule):
    with pytest.raises(ExpressionError, match=r"\^") as caught:
        model(text, *words)
    assert rule in str(caught.value)
    assert caught.value.usage
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(
    ("text", "words", "place", "rule"),
    [
        ("a = 2\n1/(a - a)", [], (2, 2), "div(1.0, 0.0): the divisor must not be 0"),
        ("1 + log(x)", ["x=-1"], (1, 5), "log(-1.0): operand must be > 0"),
        ("(x)**(0.5)", ["x=-1"], (1, 4), "pow(-1.0, 0.5): a negative base"),
        ("exp(x)", ["x=1000"], (1, 1), "exp(1000.0): the result is beyond"),
        ("2*(1e308*x)", ["x=10"], (1, 9), "mul(1e+308, 10.0) is inf"),
        ("3*sqrt(x)", ["x=0"], (1, 3), "sqrt(0.0): the derivative is infinite here"),
        ("x = 1/0", [], (1, 6), "the divisor must not be 0"),
        ("x", ["x=1/0"], (1, 4), "the divisor must not be 0"),
        ("ŷ + 1/(ŷ - 1)", ["ŷ=1"], (1, 6), "the divisor must not be 0"),
    ],
)
def test_a_failed_computation_says_which_operation_failed_in_its_own_words(
    text, words, place, rule
):
    error = failure(text, *words)
    assert rule in str(error)
    assert not error.usage
    assert (error.line, error.column) == place


def test_an_error_shows_a_window_of_a_long_line_and_no_control_characters():
    text = "x + " * 100 + "y" + " + x" * 100
    error = failure(text, "x=1")
    shown, caret = str(error).split("\n")[1:3]
    assert len(shown) < 100
    assert shown[caret.index("^")] == "y"
    assert "\x1b" not in str(failure("x\x1b[31m", "x=1"))
    assert "\x1b" not in str(failure("x", "\x1b=1"))
    tabbed = str(failure("\t\tx + z", "x=1")).split("\n")
    assert tabbed[2] == "    \t\t    ^"


def test_an_error_can_be_read_part_by_part():
    error = Line("a.txt", 3, "w*x").error(2, "must be small", "make it smaller", name="x", value=9)
    parts = (error.source, error.line, error.column, error.name, error.value, error.rule)
    assert parts == ("a.txt", 3, 3, "x", 9, "must be small")
    assert str(error).endswith("x (=9) must be small: make it smaller")
    assert isinstance(error, ValueError)


# --- nothing gets through -------------------------------------------------------------------------

PIECES = st.lists(
    st.one_of(
        st.sampled_from([*"xyz0123456789.+-*/()[],= \n#eE_'\"%<>;:@{}~\\", "**", "sin", "sum"]),
        st.sampled_from(["lambda ", "x", "1e9", "dot(", "log(", "__class__", "where(", " if "]),
        st.characters(),
    ),
    max_size=40,
).map("".join)


@given(st.one_of(st.text(), PIECES), st.lists(st.one_of(PIECES, st.just("x=2")), max_size=3))
@example("x = 2\nx.y", [])
@example("\u0e33", [])  # a letter that can't begin a name
@example("\ud800", ["\ud800=1"])
@example("((((((((((((((((((((x)))))))))))))))))))", ["x=1"])
def test_any_text_gives_an_explanation_or_our_error_with_a_place_in_the_text(text, words):
    result = attempt(text, "x=0.5", "y=3", *words, lr=0.1)
    if isinstance(result, Explanation):
        assert math.isfinite(result.value)
        assert result.text()
    else:
        assert result.line >= 1
        assert result.column >= 1
        assert str(result).count("\n") == 3
        assert str(result).split("\n")[2].strip() == "^"


DEEP = {
    "parentheses": "(" * 10_000 + "x" + ")" * 10_000,
    "signs": "-" * 100_000 + "x",
    "powers": "x" + "**1" * 30_000,
    "sum": "x" + "+x" * 99_999,
    "shorter sum": "x" + "+x" * 1_500,
    "list": "sum([" + "x," * 40_000 + "])",
    "calls": "sin(" * 99 + "x" + ")" * 99,
    "lists": "[" * 5_000,
    "digits": "1" * 100_000,
    "name": "x" * 100_000,
    "long line": "x " * MAX_LINE,
    "long text": "\n" * (MAX_TEXT + 1),
    "many lines": "a0 = x\n" + "".join(f"a{i + 1} = a{i} + 1\n" for i in range(2_000)),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_a_deep_or_huge_text_gives_a_result_or_an_error(text):
    result = attempt(text, "x=0.5")
    if isinstance(result, Explanation):
        assert math.isfinite(result.value)
    else:
        assert result.usage
        assert len(str(result)) < 1_000


@pytest.mark.parametrize("name", DEEP)
def test_a_recursion_limit_of_100_changes_nothing_but_what_pythons_parser_can_read(name, tmp_path):
    path = tmp_path / "deep.txt"
    path.write_text(DEEP[name])
    code = (
        "import sys; sys.setrecursionlimit(100)\n"
        "from autograd.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "explain", str(path), "x=0.5"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert run.returncode in (0, 2)
    assert b"Traceback" not in run.stderr


# --- explanations ---------------------------------------------------------------------------------


def test_the_steps_and_gradients_are_those_of_the_engine_to_the_last_bit():
    bound = model("a = x*w + x\nb = tanh(a)*a - x/3\nL = b**2 + sum([a, b, x])", "x=0.3", "w=-1.7")
    explanation = explain(bound, "text")
    named, _ = bound.record()
    named["L"].backward()
    steps = list(autograd.steps(named["L"]))
    assert [(s.upstream, s.local, s.contribution, s.total) for s in explanation.steps] == [
        (s.upstream, s.local, s.contribution, s.accumulated) for s in steps
    ]
    assert {row.name: row.gradient for row in explanation.gradients} == {
        "x": named["x"].grad,
        "w": named["w"].grad,
    }


def test_every_value_has_a_name_and_none_has_two():
    explanation = explain(model("v1 = x*2 + 1\nz = v1*x*x", "x=3"), "text")
    rows = [(row.name, row.formula) for row in explanation.values]
    assert rows == [
        ("x", ""),
        ("v2", "x * 2"),
        ("v1", "v2 + 1"),
        ("v3", "v1 * x"),
        ("z", "v3 * x"),
    ]


def test_a_second_name_for_a_value_is_shown_as_such():
    explanation = explain(model("a = x*2\nb = a\nL = b + a", "x=3"), "text")
    assert [(row.name, row.formula) for row in explanation.values] == [
        ("x", ""),
        ("a", "x * 2"),
        ("b", "a"),
        ("L", "a + a"),
    ]
    assert explanation.gradients[0].gradient == 4.0


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("-x", "-x"),
        ("+x", "+x"),
        ("x - 3", "x - 3"),
        ("x * (-3)", "x * (-3)"),
        ("-3 + x", "(-3) + x"),
        ("2.5 ** x", "2.5 ** x"),
        ("atan2(x, 1)", "atan2(x, 1)"),
        ("mean([x, 1, x])", "mean([x, 1, x])"),
        ("dot([x, 2], [3, x])", "dot([x, 2], [3, x])"),
    ],
)
def test_a_formula_reads_as_it_was_written(text, formula):
    assert explain(model(text, "x=0.5"), "text").values[-1].formula == formula


def test_an_input_without_a_path_to_the_output_has_the_gradient_0():
    rows = explain(model("x = 2\nw = 3\nL = w*w"), "text").gradients
    assert [(row.name, row.gradient, row.verdict) for row in rows] == [
        ("x", 0.0, "right"),
        ("w", 6.0, "right"),
    ]


def test_a_gradient_that_doesnt_exist_is_said_so_and_the_others_are_given():
    rows = explain(model("x**n", "x=-2", "n=3"), "text", lr=0.5)
    assert [(row.name, row.gradient, row.verdict) for row in rows.gradients] == [
        ("x", 12.0, "right"),
        ("n", None, "infinite or undefined"),
    ]
    assert rows.descent is not None
    assert [change.name for change in rows.descent.parameters] == ["x"]
    with pytest.raises(ExpressionError, match=r"log\(-2.0\): operand must be > 0") as caught:
        explain(model("x**n", "x=-2", "n=3"), "text", wrt=Line("--wrt", 1, "n"))
    assert caught.value.column == 2


@pytest.mark.parametrize(
    ("text", "x", "verdict"),
    [
        ("relu(x)", "0", "kink"),
        ("abs(x)", "0", "kink"),
        ("(x - 1)**2", "1", "right"),
        ("x - x", "1", "right"),
        ("0*x", "1", "right"),
        ("x*1e-300", "1", "right"),
        ("x*1e300", "1", "right"),
        ("x**2", "1e-150", "right"),
        ("sin(x)", "1e6", "right"),
        ("exp(-x)", "300", "right"),
        ("log(x)", "1e-300", "right"),
        ("sqrt(x - 1)", "1", "raises"),
        ("x**1.5", "0", "edge of the domain"),
    ],
)
def test_a_gradient_is_right_where_the_function_is_smooth(text, x, verdict):
    result = attempt(text, f"x={x}")
    if isinstance(result, Explanation):
        (row,) = result.gradients
        assert row.verdict == verdict
        assert row.ok
        assert bool(row.note) == (verdict != "right")
    else:
        assert verdict == "raises"


def test_a_wrong_derivative_is_found_wrong(monkeypatch):
    monkeypatch.setattr(autograd.sin, "partials", (lambda _, a: 1.001 * autograd.cos(a),))
    rows = explain(model("2*sin(x) + w", "x=0.5", "w=1"), "text").gradients
    assert [row.verdict for row in rows] == ["wrong", "right"]


def test_checks_stop_at_a_budget_and_say_so():
    count = CHECK_BUDGET // 10_000
    names = [f"a{i}" for i in range(count)]
    text = "".join(f"{name} = 1\n" for name in names) + f"L = sum([{', '.join(names)}])"
    rows = explain(model(text), "text").gradients
    assert rows[0].verdict == "right"
    assert rows[-1].verdict == "unchecked"
    assert rows[-1].gradient == 1.0
    assert "--wrt" in rows[-1].note


@given(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(-1.0, 1.0))
def test_a_descent_step_is_w_minus_lr_times_gradient(w, b, lr):
    explanation = explain(model("x = 2 # data\nL = tanh(w*x + b)", f"w={w}", f"b={b}"), "t", lr=lr)
    gradients = {row.name: row.gradient for row in explanation.gradients}
    assert explanation.descent is not None
    assert [change.name for change in explanation.descent.parameters] == ["w", "b"]
    for change in explanation.descent.parameters:
        assert change.after == change.before - lr * gradients[change.name]
    after = {change.name: change.after for change in explanation.descent.parameters}
    loss = explanation.descent.values[-1]
    assert loss.after == math.tanh(after["w"] * 2.0 + after["b"])
    assert loss.before == explanation.value


def test_a_step_out_of_the_domain_is_an_error_that_says_when():
    with pytest.raises(ExpressionError, match=r"after the descent step: log\(-99.0\)") as caught:
        explain(model("log(x)", "x=1"), "text", lr=100.0)
    assert not caught.value.usage
    with pytest.raises(ExpressionError, match="use a smaller one"):
        explain(model("x*1e200", "x=1"), "text", lr=1e200)


@given(st.lists(FINITE, min_size=1, max_size=8))
def test_numbers_are_aligned_at_their_decimal_points(numbers):
    texts = [f"{x:.6g}" for x in numbers]
    aligned = align(texts)
    assert len({len(text) for text in aligned}) == 1
    points = {
        next((i for i, c in enumerate(text.rstrip()) if c in ".e"), len(text.rstrip()))
        for text in aligned
    }
    assert len(points) == 1
    assert [text.strip() for text in aligned] == texts


def test_names_are_made_of_what_python_calls_an_identifier():
    for character in string.printable:
        if character.isidentifier():
            assert value(f"{character}*2", f"{character}=2") == 4.0
