"""What comes into training: X and y, and a CSV of the user's own; errors name row and column."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import Value
from nn import read_csv, split
from nn.data import examples

if TYPE_CHECKING:
    from pathlib import Path

NAN, INF = float("nan"), float("inf")

# --- X and y --------------------------------------------------------------------------------------


def test_inputs_become_floats_and_labels_stay_whole() -> None:
    inputs, targets = examples([[1, True], [Fraction(1, 2), Decimal("0.25")]], [3, 2.0])
    assert inputs == [[1.0, 1.0], [0.5, 0.25]]
    assert {type(x) for row in inputs for x in row} == {float}
    assert [type(t) for t in targets] == [int, float]
    _, targets = examples([1.0, 2.0], np.array([1, 0], dtype=np.int8))
    assert [type(t) for t in targets] == [int, int]


def test_images_and_sequences_of_several_lengths_are_inputs() -> None:
    images = np.zeros((2, 1, 3, 3))
    assert examples(images, [0, 1])[0] == images.tolist()
    sequences = [[[1.0], [2.0]], [[3.0]]]
    assert examples(sequences, [0, 1])[0] == sequences


def test_values_stay_what_they_are() -> None:
    x = Value(1.0)
    assert examples([[x, 2]], [1])[0][0][0] is x


FRAME = pd.DataFrame({"age": [1.0, NAN], "name": ["a", "b"]})
BAD: list[tuple[Any, Any, str]] = [
    ([], [], "X is empty: there is nothing to train on"),
    ([[1.0]], [1, 2], "X has 1 rows and y has 2: each example needs one of each"),
    (5, [1], "X must be a list, an array or a frame of rows; got 5"),
    ("abc", [1], "X must be a list, an array or a frame of rows; got 'abc'"),
    ([[1.0], [1.0, 2.0]], [1, 2], "X, row 1 has 2 numbers, and row 0 has 1 number: all rows"),
    ([[1.0], 2.0], [1, 2], "X, row 1 has one number, and row 0 has 1 number: all rows"),
    ([[]], [1], "X, row 0 is empty: it needs at least one number"),
    (
        [[[1.0], [1.0, 2.0]]],
        [1],
        r"X, row 0, column 1 has 2 numbers, and the one at 0 has 1 number",
    ),
    ([[[1.0]], [[1.0, 2.0]]], [1, 2], "X, row 1 has shape 1x2, and row 0 has shape 1x1"),
    ([[1.0, NAN]], [1], "X, row 0, column 1 is nan, and numbers must be finite"),
    ([[[1.0, INF]]], [1], r"X\[0\]\[0\]\[1\] is inf, and numbers must be finite"),
    ([[10**400]], [1], "X, row 0, column 0 is inf, and numbers must be finite"),
    (np.array([[1.0], [-INF]]), [1, 2], "X, row 1, column 0 is -inf"),
    (FRAME[["age"]], [1, 2], "X, row 1, column 'age' is nan, and numbers must be finite"),
    (pd.DataFrame({"a": [pd.NA]}), [1], "X, row 0, column 'a' is <NA>"),
    (FRAME[["name"]], [1, 2], "X, row 0, column 'name' is text, 'a', and must be a number"),
    ([["1.5"]], [1], "X, row 0, column 0 is text, '1.5', and must be a number: number the classes"),
    ([[None]], [1], r"X, row 0, column 0 is None \(NoneType\), and must be a number: leave"),
    ([[1j]], [1], r"X, row 0, column 0 is 1j \(complex\), and must be a number"),
    ([1.0], ["cat"], "y, row 0 is text, 'cat', and must be a number: number the classes from 0"),
    ([1.0, 2.0], [0.5, NAN], "y, row 1 is nan, and numbers must be finite"),
    (
        [1.0, 2.0],
        pd.Series([1, None], dtype="Int64"),
        "y, row 1 is nan, and numbers must be finite",
    ),
    ([1.0, 2.0], [[1, 2], [1]], "y, row 1 has 1 number, and row 0 has 2 numbers"),
]


@pytest.mark.parametrize(("inputs", "targets", "words"), BAD, ids=[b[2][:30] for b in BAD])
def test_what_is_wrong_with_the_data_is_said_with_its_place(
    inputs: Any, targets: Any, words: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        examples(inputs, targets)


@given(st.integers(2, 50), st.floats(0.05, 0.95), st.integers())
def test_split_parts_the_examples_by_the_seed(count: int, fraction: float, seed: int) -> None:
    rows = [[float(i)] for i in range(count)]
    held_count = round(count * fraction)
    if held_count in (0, count):
        with pytest.raises(ValueError, match="leaves none on one side"):
            split(rows, range(count), fraction, seed)
        return
    train_x, train_y, held_x, held_y = split(rows, range(count), fraction, seed)
    assert len(held_x) == held_count
    assert sorted(train_x + held_x) == rows
    assert [x for (x,) in train_x] == sorted(train_y)
    assert [x for (x,) in held_x] == sorted(held_y)
    assert split(rows, range(count), fraction, seed) == (train_x, train_y, held_x, held_y)


# --- CSV ------------------------------------------------------------------------------------------


def table(tmp_path: Path, text: str | bytes, *args: Any, **options: Any) -> Any:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, *args, **options)


def test_numbers_are_inputs_and_text_is_classes(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b,kind\n1,2,dog\n3,4e1,cat\n\n5,6,dog\n")
    assert found.names == ["a", "b"]
    assert found.X == [[1.0, 2.0], [3.0, 40.0], [5.0, 6.0]]
    assert (found.y, found.classes, found.target) == ([1, 0, 1], ["cat", "dog"], "kind")


def test_the_target_is_a_column_by_name_and_numbers_are_classes_where_asked(
    tmp_path: Path,
) -> None:
    text = "y,a\n10,1\n9,2\n10.0,3\n"
    found = table(tmp_path, text, "y")
    assert (found.X, found.y, found.classes) == ([[1.0], [2.0], [3.0]], [10.0, 9.0, 10.0], [])
    found = table(tmp_path, text, "y", classify=True)
    assert (found.y, found.classes) == ([1, 0, 1], ["9", "10"])


def test_a_column_of_text_becomes_an_input_per_category(tmp_path: Path) -> None:
    found = table(tmp_path, "colour,y\nred,1\nblue,2\nred,3\n")
    assert found.names == ["colour=blue", "colour=red"]
    assert found.X == [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]


def test_semicolons_decimal_commas_quotes_and_a_byte_order_mark(tmp_path: Path) -> None:
    found = table(tmp_path, b'\xef\xbb\xbf"a;b"; c ;y\r\n1,5;x;2\r\n-3;"y\nz";4\r\n')
    assert found.names == ["a;b", "c=x", "c=y\nz"]
    assert found.X == [[1.5, 1.0, 0.0], [-3.0, 0.0, 1.0]]
    assert table(tmp_path, 'a,y\n"1,234",1\n"1,5",2\n').names == ["a=1,234", "a=1,5"]


CSV: list[tuple[str | bytes, str]] = [
    ("", "t.csv must have a line with the columns' names, and rows below it"),
    ("a,b\n", "t.csv must have a line with the columns' names, and rows below it"),
    ("a\n1\n2\n", "t.csv has the one column 'a': nothing to predict it from"),
    ("a,a\n1,2\n", "t.csv, line 1: column 'a' comes twice"),
    ("a,\n1,2\n", "t.csv, line 1: column 2 has no name"),
    ("a,b\n1,2\n\n1,2,3\n", "t.csv, line 4 has 3 fields, and the first line names 2 columns"),
    ("a,b\n1,2\n1\n", "t.csv, line 3 has 1 field, and"),
    ("a,b\n1,2\n,3\n", "t.csv, line 3, column 'a': the field is empty; fill it in, or leave"),
    (
        "a,b\n1,2\n ,3\n4,5\n,6\n",
        r"line 3, column 'a': the field is empty \(and 1 more, line 5\)",
    ),
    ("a,b\n1,2\nx,3\n4,5\n", "t.csv, line 3, column 'a': 'x': it isn't a finite number"),
    ('a,b\n"1\n",2\n3,3\nnan,3\n', "t.csv, line 5, column 'a': 'nan': it isn't a finite number"),
    ("a,b\n1,2\n1e999,3\n4,5\n", "t.csv, line 3, column 'a': '1e999': it isn't a finite"),
    ("a,k\n1,x\n2,x\n", "t.csv: the target 'k' is 'x' in every row"),
    (
        "n,y\n" + "".join(f"name{i},1\n" for i in range(21)),
        "column 'n' has 21 different texts, such as 'name0'; up to 20",
    ),
    (b"a,b\n1,2\n\xff,3\n", "t.csv, line 3: byte 0xff isn't UTF-8"),
    ('a,b\n1,2\n"x"y,3\n', "t.csv, line 3: "),
]


@pytest.mark.parametrize(("text", "words"), CSV, ids=[words[:40] for _, words in CSV])
def test_what_is_wrong_in_a_file_is_said_with_line_and_column(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        table(tmp_path, text)


def test_an_unknown_target_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no column 'prise': did you mean 'price'\? there are"):
        table(tmp_path, "size,price\n1,2\n", "prise")
    with pytest.raises(OSError, match="No such file"):
        read_csv(tmp_path / "nothing.csv")
