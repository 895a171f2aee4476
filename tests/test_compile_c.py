"""The C file of a program: its text, and what gcc makes of it, to the bit where that is exact."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from test_compile_equal import (
    INF,
    NAN,
    OPERATIONS,
    PROGRAMS,
    SCALARS,
    STEP,
    WEIGHTS,
    WS,
    XS,
    assert_found,
    batch,
    bits,
    compiled,
    count,
    ends,
    flat,
    interpreted,
    over_rows,
)

import autograd
from autograd import Value, hessian, value_and_grad
from autograd.compile import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from autograd import Op

GCC = ["gcc", "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]

# --- the text -------------------------------------------------------------------------------------


def loss(x: list[Any], y: Any, w: list[Any]) -> Any:
    score = autograd.dot(w[:2], x) + w[2]
    return autograd.softplus(-y * score)


LOSS = """\
/*
   loss, as autograd.compile found it.

   int loss(long rows, const double *x, const double *y, const double *w, double *result,
            double *work);

   rows    how many rows there are
   x       2 numbers, for each row (one row after the other)
   y       a number, for each row (one row after the other)
   w       3 numbers
   result  a number, the mean over the rows
   work    memory for loss_work numbers; nothing that is in it counts

   Returns 0.
*/

#include <math.h>

int loss(long rows, const double *x, const double *y, const double *w, double *result,
         double *work);
extern const long loss_work;
const long loss_work = 17;

/* log(1 + exp(x)) */
static double softplus(double x) {
    double rest = log1p(exp(-fabs(x)));
    return x < 0.0 ? rest : x + rest;
}

int loss(long rows, const double *x, const double *y, const double *w, double *result,
         double *work) {
    double *r = work + 8;
    double *total = work + 16;
    total[0] = 0.0;

    for (long row = 0; row < rows; row++) {
        /* 1. dot: test_compile_c.py:FIRST */
        {
            double sum = w[2];
            for (int k = 0; k < 2; k++)
                sum += w[k] * x[2 * row + k];
            r[3] = sum;
        }

        /* 2. neg: test_compile_c.py:SECOND */
        r[4] = -y[row];

        /* 3. mul: test_compile_c.py:SECOND */
        r[5] = r[4] * r[3];

        /* 4. softplus: test_compile_c.py:SECOND */
        r[4] = softplus(r[5]);

        /* 5. add up: test_compile_c.py:SECOND */
        total[0] += r[4];
    }

    result[0] = total[0] / (double)rows;
    return 0;
}
"""


def test_the_file_is_one_that_people_can_read():
    f = compiled(loss, rows=(0, 1), reduce="mean")
    f([[1.0, 2.0]], [1.0], [0.1, 0.2, 0.3])
    first = loss.__code__.co_firstlineno
    text = LOSS.replace("FIRST", str(first + 1)).replace("SECOND", str(first + 2))
    assert f.to_c() == text
    assert f.to_c("cost") == text.replace("loss(", "cost(").replace("loss_work", "cost_work")


def test_an_argument_keeps_its_name_unless_c_has_another_use_for_it():
    def f(x: Any, exp: Any, row: Any, größe: Any, double: Any) -> Any:  # noqa: PLC2401  (the point)
        return x * exp + row * größe * double

    own = compiled(f)
    own(*[1.0] * 5)
    names = "double x, double exp_, double row_, double gr_e, double double_, double *result"
    assert f"int f({names}, double *work);" in " ".join(own.to_c().split())


def test_the_name_of_a_lambda_is_left_to_c():
    f = compiled(lambda x: x + 1.0)
    f(1.0)
    assert "int lambda(double x, double *result, double *work)" in f.to_c()


@pytest.mark.parametrize("name", ["2x", "a b", "", "for", "exp", "x;", "größe"])
def test_a_name_that_is_none_in_c_is_refused(name):
    f = compiled(lambda x: x + 1.0)
    f(1.0)
    with pytest.raises(ValueError, match="name must be an identifier in C"):
        f.to_c(name)


def test_an_operation_that_python_computes_is_refused():
    f = compiled(lambda x: autograd.lgamma(x) * autograd.polygamma(1.0, x))
    f(1.5)
    with pytest.raises(
        ValueError, match=r"^lgamma, polygamma: computed by Python, .* for C; define"
    ):
        f.to_c()


def test_a_place_that_would_end_a_comment_does_not():
    def f(x: Any) -> Any:
        with autograd.scope("a*/b"):
            return x * x

    own = compiled(f)
    own(1.0)
    assert "/* 1. mul: a* /b */" in own.to_c()


def test_numbers_that_are_not_finite_have_their_names_in_c():
    f = compiled(lambda x: [x + INF, x * -INF, x * NAN, -0.0 * x])
    f(1.0)
    text = f.to_c()
    assert all(f" {name}" in text for name in ("INFINITY", "-INFINITY", "NAN", "-0.0"))


# --- what a compiler makes of it ------------------------------------------------------------------


class Built(NamedTuple):
    """A compiled function and the C function that was made of it, under a name of its own."""

    compiled: Any
    name: str

    def run(self, library: ctypes.CDLL, *args: Any) -> tuple[int, list[float]]:
        """Call the C function; return its status and its results."""
        rows = self.compiled.options.rows
        count = len(self.compiled.programs[0].traced.outputs)
        if rows and not self.compiled.options.reduce:
            count *= len(args[rows[0]])
        work = np.full(ctypes.c_long.in_dll(library, f"{self.name}_work").value, NAN)
        out = np.full(max(1, count), NAN)
        held = [
            x if isinstance(x, float) and i not in rows else np.array(flat(x), dtype=float)
            for i, x in enumerate(args)
        ]
        passed = [ctypes.c_double(x) if isinstance(x, float) else pointer(x) for x in held]
        first = [ctypes.c_long(len(args[rows[0]]))] if rows else []
        status = getattr(library, self.name)(*first, *passed, pointer(out), pointer(work))
        return status, out[:count].tolist()


def pointer(x: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.ctypes.data)


def built(f: Callable[..., Any], *args: Any, **options: Any) -> Built:
    """Compile a function and trace it; the C function's name is one that nobody else has."""
    own = compiled(f, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "find_spec", lambda _: None)  # no machine code, which nobody runs
        own(*args)
    return Built(own, f"f{next(NUMBERS)}")


NUMBERS = iter(range(10**6))
X = np.outer(np.linspace(0.5, 1.5, 19), XS)
CONVERTIBLE = [name for name in PROGRAMS if name != "counts"]  # one is computed by Python
# In exact programs sums and the like are computed by Python.
EXACT = ["chain", "odd_order", "backwards", "convolution", "recurrent", "horner", "matrix_product"]
EXACT += ["results_that_are_arguments", "nothing", "constants", "cancelling", "shared_nodes"]
LOWERED = [op for op in OPERATIONS if op.lowering is not None]
# Those with as many operands are one program.
ALIKE = {n: [op for op in LOWERED if count(op) == n] for n in sorted(set(map(count, LOWERED)))}


@cache
def cases() -> dict[Any, Built]:
    """Everything that is compiled by C here, in one go."""
    known: dict[Any, Built] = {}
    for name in CONVERTIBLE:
        f = PROGRAMS[name]
        known[name, "alone"] = built(f, XS, WS)
        known[name, "rows"] = built(f, X, WS, rows=0)
    for name in EXACT:
        known[name, "exact"] = built(PROGRAMS[name], XS, WS, exact=True)
    for name in SCALARS:
        f = PROGRAMS[name]
        known[name, "gradient"] = built(value_and_grad(f, argnums=(0, 1)), XS, WS)
        known[name, "hessian"] = built(hessian(f), XS, WS)
    for reduce in ("sum", "mean"):
        rows, targets = batch(33)
        known["rows", reduce] = built(STEP, rows, WEIGHTS, targets, 1.3, rows=(0, 2), reduce=reduce)
    for operands, ops in ALIKE.items():
        known["operations", operands] = built(each_of(ops), np.array(ends(ops[0])), rows=0)
    known["branch"] = built(branch, 1.0, 2.0)
    known["branch of rows"] = built(branch, [1.0, 3.0], 2.0, rows=0)
    known["branch of sums"] = built(branch, [1.0, 3.0], 2.0, rows=0, reduce="sum")
    known["some of all"] = built(lambda x, y: [x * y, y * y, x], [1.0, 2.0], 3.0, rows=0)
    known["captured"] = built(lambda x: x * CAPTURED, 1.0)
    known["long"] = built(long, XS, WS)
    known["long rows"] = built(long, X, WS, rows=0)
    known["no rows"] = built(lambda x: [2.0 * x], [1.0], rows=0)
    return known


CAPTURED = Value(2.5)


def each_of(ops: list[Op]) -> Callable[[list[Any]], list[Any]]:
    return lambda xs: [op.apply(tuple(xs)) for op in ops]


def branch(x: Any, y: Any) -> list[Any]:
    return [2.0 * x if x > 0.0 else 3.0 * x, y]


def long(xs: list[Any], ws: list[Any]) -> Any:
    """More instructions than go into one function."""
    y = xs[0]
    for i in range(400):
        y = autograd.tanh(y * ws[i % 5]) if i % 3 else y / xs[i % 5] + ws[i % 4] - y * y
    return y


@cache
def library() -> ctypes.CDLL:
    """Return all of them, compiled and loaded."""
    with TemporaryDirectory() as directory:
        files = []
        for case in cases().values():
            files.append(f"{directory}/{case.name}.c")
            Path(files[-1]).write_text(case.compiled.to_c(case.name), encoding="utf-8")
        path = f"{directory}/all.so"
        subprocess.run([*GCC, "-shared", "-fPIC", *files, "-o", path, "-lm"], check=True)
        return ctypes.CDLL(path)


def results(key: Any, *args: Any) -> list[float]:
    status, numbers = cases()[key].run(library(), *args)
    assert status == 0
    return numbers


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")


@needs_gcc
@pytest.mark.parametrize("name", CONVERTIBLE)
def test_a_program_is_equal_by_itself_and_on_rows(name):
    f = PROGRAMS[name]
    found = results((name, "alone"), XS, WS)
    assert_found(f, found, interpreted(f, XS, WS), (XS, WS), exact=False)
    each = np.reshape(results((name, "rows"), X, WS), (len(X), -1)).tolist()
    for row, own in zip(X.tolist(), each, strict=True):
        assert_found(f, own, interpreted(f, row, WS), (row, WS), exact=False)


@needs_gcc
@pytest.mark.parametrize("name", EXACT)
def test_an_exact_program_is_equal_to_the_bit(name):
    found = results((name, "exact"), XS, WS)
    assert list(map(bits, found)) == list(map(bits, interpreted(PROGRAMS[name], XS, WS)))


@needs_gcc
@pytest.mark.parametrize("name", SCALARS)
def test_the_derivatives_of_a_program_are_equal(name):
    f = PROGRAMS[name]
    for kind, g in (("gradient", value_and_grad(f, argnums=(0, 1))), ("hessian", hessian(f))):
        found = results((name, kind), XS, WS)
        assert_found(g, found, interpreted(g, XS, WS), (XS, WS), exact=False)


@needs_gcc
@pytest.mark.parametrize("op", LOWERED, ids=lambda op: op.name)
def test_an_operation_is_equal_at_the_ends_of_the_doubles(op):
    points, alike = ends(op), ALIKE[count(op)]
    f = each_of([op])
    column = results(("operations", count(op)), points)[alike.index(op) :: len(alike)]
    for point, found in zip(points, column, strict=True):
        assert_found(f, [found], interpreted(f, point), (point,), exact=False)


@needs_gcc
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_rows_add_up(reduce):
    rows, targets = batch(33)

    def total(weights: Any, scale: Any) -> Any:
        def one(shared: Any, row: Any, target: Any) -> Any:
            return STEP(row, shared[0], target, shared[1])

        return over_rows(one, reduce, (weights, scale), rows, targets)

    found = results(("rows", reduce), rows, WEIGHTS, targets, 1.3)
    expected = interpreted(total, WEIGHTS, 1.3)
    assert_found(total, found, expected, (WEIGHTS, 1.3), exact=False)


@needs_gcc
def test_a_decision_that_does_not_hold_is_told_by_its_number():
    own = cases()["branch"]
    assert "   1: 0.0 < " in own.compiled.to_c()
    assert own.run(library(), 4.0, 2.0) == (0, [8.0, 2.0])
    assert own.run(library(), -4.0, 2.0)[0] == 1
    for key in ("branch of rows", "branch of sums"):
        assert cases()[key].run(library(), [1.0, -3.0], 2.0)[0] == 1
    assert results("branch of rows", [4.0, 5.0], 2.0) == [8.0, 2.0, 10.0, 2.0]
    assert results("branch of sums", [4.0, 5.0], 2.0) == [18.0, 4.0]


@needs_gcc
def test_what_no_row_changes_stands_in_every_row():
    assert results("some of all", [4.0, 5.0], 3.0) == [12.0, 9.0, 4.0, 15.0, 9.0, 5.0]


@needs_gcc
def test_captured_data_are_constants_of_the_file():
    assert results("captured", 3.0) == [7.5]


@needs_gcc
def test_no_rows_have_no_results():
    assert results("no rows", []) == []


@needs_gcc
def test_a_long_program_is_several_functions():
    assert "static void f_part_2(" in cases()["long"].compiled.to_c("f")
    assert_found(long, results("long", XS, WS), interpreted(long, XS, WS), (XS, WS), exact=False)
    for row, own in zip(X.tolist(), results("long rows", X, WS), strict=True):
        assert_found(long, [own], interpreted(long, row, WS), (row, WS), exact=False)
