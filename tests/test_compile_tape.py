"""The tape as a table: each instruction in words, with the function's own names."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_compile_equal import (
    PROGRAMS,
    SCALARS,
    STEP,
    WEIGHTS,
    WS,
    XS,
    batch,
    columns_of,
    compiled,
    flat,
    interpreted,
)

import autograd
from autograd import Value, grad, hessian, ieee, value_and_grad
from autograd.compile import listing as listing_module
from autograd.compile.listing import _axes, _digits, listing
from autograd.compile.names import Names, Segment, segments, shape_of
from autograd.compile.structure import size


def lines_of(f: Any, *args: Any, **options: Any) -> list[str]:
    own = compiled(f, **options)
    own(*args)
    return str(own.tape).splitlines()


def layer(x: list[Any], w: list[list[Any]]) -> list[Any]:
    return [autograd.relu(autograd.dot(own[:2], x) + own[2]) for own in w]


LAYER = """\
layer: 8 operations in 3 instructions
arguments: x (2 numbers), w (2 × 3 numbers)
memory: 16 numbers

in this order:
        times  from      what
1  2, 2 terms  my.py:28  for i < 2:  s[i + 9] = w[i][2] + the sum over k < 2 of w[i][k] · x[k]
2           2  my.py:28  s[11..12] = 0 if s[9..10] <= 0 else s[9..10]
3           2  my.py:28  result[0..1] = s[11..12]"""


def test_a_layer_of_neurons_is_three_lines():
    found = lines_of(layer, [1.0, 2.0], [[0.1, 0.2, 0.3]] * 2)
    line = f"test_compile_tape.py:{layer.__code__.co_firstlineno + 1}"
    assert [x.replace(line, "my.py:28").replace("from" + " " * 19, "from    ") for x in found] == (
        LAYER.splitlines()
    )


def test_a_tape_prints_the_same_whenever_it_is_made():
    first = lines_of(value_and_grad(PROGRAMS["chain"]), XS, WS)
    assert first == lines_of(value_and_grad(PROGRAMS["chain"]), XS, WS)
    own = compiled(grad(PROGRAMS["horner"]))
    own(XS, WS)
    assert repr(own.tape) == str(own.tape) == listing(own.tape)


# --- the table says what is computed --------------------------------------------------------------


class Cells(dict[int, Any]):
    """Places of a result, which are there when they are asked for."""

    def __missing__(self, key: int) -> Cells:
        cells = self[key] = Cells()
        return cells

    def __add__(self, x: float) -> float:
        return x


class Flat:
    """The numbers of a nested result, counted through."""

    def __init__(self, result: Cells, names: Names) -> None:
        self.result = result
        self.places = [
            (part, _digits(i, part.shape))
            for part in segments("result", names.result)
            for i in range(part.size)
        ]

    def __setitem__(self, index: int, x: float) -> None:
        part, digits = self.places[index]
        inner = self.result
        *path, last = [*map(int, re.findall(r"\d+", part.name)), *digits]
        for i in path:
            inner = inner[i]
        inner[last] = x


def numbers_of(result: Any) -> list[float]:
    if not isinstance(result, Cells):
        return [result]
    return [x for _, part in sorted(result.items()) for x in numbers_of(part)]


FUNCTIONS: dict[str, Any] = {name: op.evaluate for name, op in autograd.REGISTRY.items()}
FUNCTIONS |= {"max": max, "min": min, "sum": sum, "abs": abs, "copysign": math.copysign}
FUNCTIONS |= {"inf": math.inf, "nan": math.nan}


def obey(lines: list[str], known: dict[str, Any]) -> None:
    """Do what the lines of a table say, as Python."""
    for line in lines[1:]:
        header = lines[0]
        times, text = line[: header.index("from")], line[header.index("what") :]
        counts = [int(n) for n in re.findall(r"\d+", times.partition(",")[0])[1:]]
        loops, _, text = text.rpartition(":  ")
        letters = re.findall(r"(\w) <", loops)
        for indices in itertools.product(*map(range, counts)):
            scope = known | dict(zip(letters, indices, strict=False))
            is_whole = letters or " over k " in text
            statement = text if is_whole else of_element(text, indices[0])
            with ieee():
                exec(in_python(statement), scope)  # noqa: S102  (the text of our own listing)
            known["result"] = scope["result"]


def of_element(text: str, i: int) -> str:
    """Return what a line says of the i-th number of its ranges and lists."""
    text = re.sub(r"(\d+)\.\.\d+\]", lambda found: f"{int(found[1]) + i}]", text)
    return re.sub(r"\(([^()]*, [^()]*)\)(?<!\w\()", lambda found: _item(found, i), text)


def _item(found: re.Match[str], i: int) -> str:
    before = found.string[: found.start()]
    if before and (before[-1].isalnum() or before[-1] == "_"):
        return found[0]  # a function's operands
    return found[1].split(", ")[i]


def in_python(text: str) -> str:
    text = re.sub(r"the sum over k < (\d+) of (.*)$", r"sum([\2 for k in range(\1)])", text)
    text = re.sub(r"the greatest over k < (\d+) of (.*)$", r"max([\2 for k in range(\1)])", text)
    text = re.sub(r"(?<![\w.])(\d+)([ijklmn])\b", r"\1 * \2", text.replace("·", "*"))
    text = re.sub(r"\|(.*?)\|", r"abs(\1)", text).removesuffix(" by Python")
    return text.replace("the number of rows", "ROWS")


def table(lines: list[str], title: str) -> list[str]:
    """Return the lines of the part of a listing that is headed so."""
    starts = [i for i, line in enumerate(lines) if line.startswith(title)]
    if not starts:
        return []
    rest = lines[starts[0] + 1 :]
    return rest[: rest.index("") if "" in rest else len(rest)]


def named(f: Any, *args: Any) -> dict[str, Any]:
    """Return what is known before the first line: the arguments, by name and in memory."""
    names = f.tape.names.arguments
    own = {x.name: arg for x, arg in zip(names, args, strict=True)}
    shared = [
        x for known, arg in zip(names, args, strict=True) if not known.varies for x in flat(arg)
    ]
    memory = {"s": dict(enumerate([*shared, *f.tape.constants])), "guard": {}}

    def flat_of(thing: Any) -> Any:
        return Flat(thing, f.tape.names) if isinstance(thing, Cells) else flat(thing)

    return FUNCTIONS | own | memory | {"result": Cells(), "flat": flat_of}


@pytest.fixture
def _in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "FEW", 10**9)  # places that are written one by one


def expected_of(f: Any, *args: Any) -> Any:
    return pytest.approx(interpreted(f, *args), rel=1e-13, abs=1e-14, nan_ok=True)


@pytest.mark.usefixtures("_in_full")
@pytest.mark.parametrize("name", PROGRAMS)
def test_who_does_what_the_table_says_gets_the_result(name):
    functions = [PROGRAMS[name]]
    if name in SCALARS:
        functions += [value_and_grad(PROGRAMS[name], argnums=(0, 1)), hessian(PROGRAMS[name])]
    for f in functions:
        own = compiled(f)
        own(XS, WS)
        known = named(own, XS, WS)
        obey(table(str(own.tape).splitlines(), "in this order"), known)
        assert numbers_of(known["result"]) == expected_of(f, XS, WS)


@pytest.mark.usefixtures("_in_full")
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_who_does_it_for_every_row_gets_the_results_of_the_rows(reduce):
    X, targets = batch(5)
    own = compiled(STEP, rows=(0, 2), reduce=reduce)
    expected = own(X, WEIGHTS, targets, 1.3)
    lines = str(own.tape).splitlines()
    known = named(own, X, WEIGHTS, targets, 1.3) | {"ROWS": 5}
    obey(table(lines, "once:"), known)
    found = []
    for row, target in zip(X.tolist(), targets.tolist(), strict=True):
        known |= {"row": row, "target": target, "r": dict(enumerate([*row, target]))}
        obey(table(lines, "for each row"), known)
        found.append(numbers_of(known["result"]))
    if reduce is None:
        assert np.array(found) == pytest.approx(np.array(columns_of(expected, 5)), rel=1e-13)
        return
    share = 5 if reduce == "mean" else 1
    assert found[-1] == pytest.approx([share * x for x in flat(expected)], rel=1e-13)


# --- names ----------------------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    base=st.integers(0, 40),
    strides=st.lists(st.integers(-9, 9), min_size=1, max_size=2),
)
def test_an_index_that_is_written_out_leads_to_the_right_number(shape, base, strides):
    moves = [(letter, 3, stride) for letter, stride in zip("ij", strides, strict=False)]
    axes = _axes(base, moves, shape)
    for steps in itertools.product(range(3), repeat=len(strides)):
        place = base + sum(n * stride for n, stride in zip(steps, strides, strict=True))
        if axes is not None and place >= 0:
            known = dict(zip("ij", steps, strict=False))
            indices = [eval(in_python(axis), known) for axis in axes]  # noqa: S307  (our own)
            assert indices == _digits(place, shape)


@given(st.recursive(st.none(), lambda part: st.lists(part, max_size=3).map(tuple)))
def test_segments_have_every_number_of_a_structure_once(parts):
    structure = structured(parts)
    found = list(segments("x", structure))
    assert sum(part.size for part in found) == size(structure)
    shape = shape_of(structure)
    assert shape is None or found == [Segment("x", shape)]


def structured(parts: Any) -> Any:
    if parts is None:
        return None
    if all(part is None for part in parts):
        return (list, len(parts))
    return (list, tuple(structured(part) for part in parts))


def test_what_has_no_name_of_its_own_gets_one():
    a, b = Value(2.0, label="a"), Value(3.0)
    own = compiled(a * b + Value(7.0, label="c"), inputs=[a, b])
    text = str(own.tape)
    assert "arguments: a (a number), x2 (a number), captured (1 number)" in text
    assert "a · x2 + captured[0]" in text
    assert "= args[0] + args[1]" in "\n".join(lines_of(lambda *args: args[0] + args[1], 1.0, 2.0))


def test_a_decision_is_an_instruction_with_a_number():
    lines = lines_of(lambda x: 2.0 * x if x > 0.0 else x, 1.0)
    assert any("guard[1]" in line for line in lines)


def test_scopes_say_where_an_instruction_comes_from():
    def f(x: Any) -> Any:
        with autograd.scope("layer1"):
            return autograd.tanh(x)

    assert any(re.search(r"layer1 +s\[\d\] = tanh\(x\)", line) for line in lines_of(f, 1.0))


def test_long_lists_of_places_are_shortened():
    pairs = [(0, 3), (1, 9), (2, 4), (5, 6), (7, 1), (8, 10), (10, 5)]
    lines = lines_of(lambda x: [x[i] * x[j] for i, j in pairs], [1.5] * 11)
    few = r"\(x\[\d+\], x\[\d+\], x\[\d+\], \.\., x\[\d+\]\)"
    assert any(re.search(few, line) for line in lines)
    even = lines_of(lambda x: [x[3 * i] * x[3 * i + 1] for i in range(5)], [1.5] * 15)
    assert any("(x[0], x[3], .., x[12]) · (x[1], x[4], .., x[13])" in line for line in even)


def test_notebooks_show_the_table_as_html():
    own = compiled(lambda x: autograd.relu(x) + 1.0)
    own(1.0)
    text = own.tape._repr_html_()
    assert text.count("<tr>") == 1 + own.tape.instructions
    assert "0 if x &lt;= 0 else x" in text
    assert "&lt;lambda&gt;: 3 operations in 3 instructions" in text


def test_a_tape_without_names_is_printed_by_its_places():
    own = compiled(lambda x, y: [x * y, x + 1.0])
    own(2.0, 3.0)
    own.tape.names = None
    text = str(own.tape)
    assert "s[0] · s[1]" in text
    assert "flat(result)[0..1] = " in text
