"""The compiler's elementary functions: as exact as the operations' own, in every width.

Two judges: mpmath, in units in the last place (ulp) of the true result, and the operation on
floats, in doubles between the two results.
"""

from __future__ import annotations

import ctypes
import math
import random
import struct
import sys
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import binding, ir
from mpmath import mp, mpf
from oracle import ORACLE

import autograd
from autograd.compile.lanes import DOUBLE, LIBM, lend_libm, vector_type
from autograd.compile.vector import NAMES, function
from autograd.op import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Point = tuple[float, ...]
    Emit = Callable[[ir.Module, str, int], ir.Function]

T = TypeVar("T")
INF = math.inf
NAN = math.nan
TINY = sys.float_info.min
HUGE = sys.float_info.max
SUBNORMAL = math.ulp(0.0)

WIDTHS = (1, 2, 4, 8)
BITS = 320  # of mpmath's working precision
# Doubles between a compiled result and the operation's own: 2, but more where that rests on the C
# library's erfc, which is off by up to 3 ulp, and where the formula makes three of one ulp of e^a.
DISTANCES = {"erfc": 4, "gelu": 6, "normal_cdf": 4, "sech2": 3, "silu": 3}

# What the formula of autograd.special loses to its roundings, these lose too. All others: 1 ulp.
ULPS = {
    "gauss": 2.0,
    "gelu": 3.0,
    "log_sigmoid": 2.0,
    "sech2": 3.5,
    "sigmoid": 2.5,
    "silu": 3.0,
    "softplus": 2.0,
}


# --- calling them from Python ---------------------------------------------------------------------


def emit_loop(module: ir.Module, name: str, width: int, emit: Emit = function) -> None:
    """Emit name.loop(operands…, results, n): the function on n vectors."""
    pointer, count = ir.PointerType(), ir.IntType(64)
    arity = NAMES[name]
    kind = ir.FunctionType(ir.VoidType(), [pointer] * (arity + 1) + [count])
    loop = ir.Function(module, kind, f"{name}.loop")
    *pointers, stop = loop.args
    builder = ir.IRBuilder(loop.append_basic_block())
    start, body, end = builder.block, loop.append_basic_block(), loop.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(count)
    index.add_incoming(ir.Constant(count, 0), start)
    vector = vector_type(DOUBLE, width)
    offset = builder.mul(index, ir.Constant(count, width))
    places = [builder.gep(place, [offset], source_etype=DOUBLE) for place in pointers]
    operands = [builder.load(place, typ=vector, align=8) for place in places[:-1]]
    builder.store(builder.call(emit(module, name, width), operands), places[-1], align=8)
    following = builder.add(index, ir.Constant(count, 1))
    index.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, stop), body, end)
    builder.position_at_end(end)
    builder.ret_void()


def compiled(module: ir.Module, cpu: str, features: str) -> binding.ExecutionEngine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    engine = binding.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    return engine


@cache
def library(width: int, *, has_fma: bool = True) -> binding.ExecutionEngine:
    """Return every function of that width, compiled for this machine, or for any without an fma."""
    module = ir.Module()
    for name in NAMES:
        emit_loop(module, name, width, lambda *at: function(*at, has_fma=has_fma))
    if not has_fma:
        return compiled(module, "", "")
    features = binding.get_host_cpu_features().flatten()
    return compiled(module, binding.get_host_cpu_name(), features)


def results(
    name: str, points: Sequence[Point], width: int = 8, *, has_fma: bool = True
) -> list[float]:
    """Return the function's values, `width` at a time; the last vector is filled up with 0.5."""
    missing = -len(points) % width
    columns = [[*column, *[0.5] * missing] for column in zip(*points, strict=True)]
    length = len(points) + missing
    buffers = [(ctypes.c_double * length)(*column) for column in columns]
    out = (ctypes.c_double * length)()
    address = library(width, has_fma=has_fma).get_function_address(f"{name}.loop")
    pointers = [ctypes.c_void_p] * (NAMES[name] + 1)
    ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)(address)(*buffers, out, length // width)
    return list(out)[: len(points)]


# --- judging them ---------------------------------------------------------------------------------


def operation(name: str, *xs: float) -> float:
    """Return what the interpreter returns."""
    if name == "erfc":  # a part of normal_cdf, and no operation
        return math.erfc(*xs)
    with autograd.ieee():
        return float(getattr(autograd.ops, name)(*xs))


def place(x: float) -> int:
    """Return the number of a double when they are counted upwards, both zeros being 0."""
    bits = int.from_bytes(struct.pack(">d", abs(x)))
    return -bits if x < 0.0 else bits


def same(x: float, y: float) -> bool:
    """Say whether two doubles are the same: signs of zeros count, those of nans don't."""
    return struct.pack("<d", x) == struct.pack("<d", y) or (math.isnan(x) and math.isnan(y))


def agree(name: str, x: float, y: float) -> bool:
    """Say whether the doubles are neighbours but one, and of one sign."""
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    sign = math.copysign(1.0, x) == math.copysign(1.0, y)
    return sign and abs(place(x) - place(y)) <= DISTANCES.get(name, 2)


def is_lost(name: str, x: float) -> bool:
    """Say whether the operation multiplies a subnormal Φ(x), of few digits, by x."""
    return name == "gelu" and -39.0 < x < -37.5


def ulps(x: float, exact: mpf) -> float:
    """Return the error in units in the last place."""
    if math.isinf(x):
        beyond = abs(exact) >= mpf(2) ** 1024 - mpf(2) ** 970
        return 0.0 if beyond and (exact > 0) == (x > 0) else INF
    return float(abs(mpf(x) - exact) / mpf(math.ulp(float(exact))))


def truth(name: str, *xs: float) -> mpf:
    return mp.erfc(*xs) if name == "erfc" else ORACLE[name].value(*map(mpf, xs))


# --- where to look --------------------------------------------------------------------------------

EDGES = (
    *(0.0, SUBNORMAL, 3 * SUBNORMAL, 1e-310, TINY, 2.0**-54, 2.0**-28, 2.0**-27, 1e-5),
    *(0.125, 0.17328679513998632, 0.34657359027997264, 0.41421356237309503, 0.5),
    *(0.7071067811865476, 0.9999999999999999, 1.0, 1.0000000000000002, 1.4142135623730951),
    *(math.pi / 4, math.pi / 2, math.pi, 22.0, 355.0, 2.414213562373095, 2.0, 3.0, 9.0, 10.0),
    *(18.714973875118524, 19.061547465398496, 36.7, 38.48, 38.57, 39.0, 300.0, 354.9, 372.5),
    *(708.3964185322641, 709.782712893384, 709.7827128933841, 710.4758600739439, 745.1332191019411),
    *(745.1332191019412, 750.0, 1022.0, 1023.9999999999999, 1024.0, 1074.0, 1075.0, 1500.0),
    *(2.0**26, 2.0**30, 1073741824.0000002, 2.0**53, 2.0**55),
    *(1e15, 1e22, 1e154, 1e155, 1e300, HUGE, INF),
)


def numbers(count: int, seed: str) -> list[float]:
    """Return doubles of every exponent, of the common ones more, and the edges with neighbours."""
    choose = random.Random(seed)  # noqa: S311  (samples, no secrets)

    def mantissa() -> float:
        return choose.choice((-1.0, 1.0)) * choose.uniform(1.0, 2.0)

    edges = [y for x in EDGES for y in (math.nextafter(x, 0.0), x, math.nextafter(x, INF))]
    return [
        *[s * x for x in edges for s in (1.0, -1.0)],
        NAN,
        *[math.ldexp(mantissa(), choose.randint(-1074, 1023)) for _ in range(count)],
        *[math.ldexp(mantissa(), choose.randint(-30, 10)) for _ in range(count)],
        *[choose.uniform(-3.0, 3.0) for _ in range(count)],
        *[1.0 + math.ldexp(mantissa(), choose.randint(-53, -1)) for _ in range(count)],
        *[choose.uniform(-760.0, 760.0) for _ in range(count)],
        *[choose.randint(-700, 700) * math.pi / 2 for _ in range(count)],
    ]


def shuffled(xs: Sequence[T]) -> list[T]:
    return random.Random(len(xs)).sample(xs, len(xs))  # noqa: S311  (as above)


@cache
def points(name: str) -> list[Point]:
    if NAMES[name] == 1:
        return [(x,) for x in numbers(150, name) if not is_lost(name, x)]
    xs = numbers(150, name)
    ys = shuffled(xs)
    near = [(x, math.nextafter(x, y)) for x, y in zip(xs, ys, strict=True)]
    special = (0.0, 0.5, 1.0, 2.0, 3.0, INF, NAN)
    signed = [s * x for x in special for s in (1.0, -1.0)]
    squares = [(x, y) for x in signed for y in signed]
    moderate = [(x, math.fmod(y, 30.0)) for x, y in zip(xs, ys, strict=True) if abs(y) < HUGE]
    return [*zip(xs, ys, strict=True), *near, *squares, *moderate]


# --- the laws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_the_operation_of_that_name_on_as_many_operands(name):
    assert name == "erfc" or REGISTRY[name].arity == NAMES[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_finite_result_is_the_true_one_to_an_ulp(name):
    values = results(name, points(name))
    with mp.workprec(BITS):
        errors = [
            (ulps(y, truth(name, *xs)), xs)
            for xs, y in zip(points(name), values, strict=True)
            if all(xs) and y != 0.0 and all(map(math.isfinite, (*xs, y)))
        ]
    assert len(errors) > 100
    assert max(errors) <= (ULPS.get(name, 1.0),)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_the_interpreters_but_for_two_ulp(name):
    values = results(name, points(name))
    expected = [operation(name, *xs) for xs in points(name)]
    compared = list(zip(points(name), values, expected, strict=True))
    assert [case for case in compared if not agree(name, *case[1:])] == []


@pytest.mark.parametrize("name", NAMES)
def test_without_fma_a_result_is_the_interpreters_but_for_two_ulp(name):
    values = results(name, points(name), 4, has_fma=False)
    expected = [operation(name, *xs) for xs in points(name)]
    compared = list(zip(points(name), values, expected, strict=True))
    assert [case for case in compared if not agree(name, *case[1:])] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_width_gives_the_same_bits(name):
    one, *others = (results(name, points(name), width) for width in WIDTHS)
    for other in others:
        pairs = zip(points(name), one, other, strict=True)
        assert [case for case in pairs if not same(case[1], case[2])] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_lane_does_not_depend_on_its_neighbours(name):
    among_others = results(name, points(name))
    order = shuffled(range(len(among_others)))
    elsewhere = results(name, [points(name)[i] for i in order])
    assert all(same(among_others[i], y) for i, y in zip(order, elsewhere, strict=True))


@given(st.floats(), st.floats())
def test_any_double_gives_what_the_interpreter_gives_but_for_two_ulp(a, b):
    for name, arity in NAMES.items():
        (result,) = results(name, [(a, b)[:arity]])
        expected = operation(name, *(a, b)[:arity])
        assert is_lost(name, a) or agree(name, result, expected), (name, result, expected)


@pytest.mark.parametrize(
    ("name", "xs", "result"),
    [
        ("exp", (-INF,), 0.0),
        ("exp", (709.782712893384,), 1.7976931348622732e308),
        ("exp", (709.7827128933841,), INF),
        ("exp", (-745.1332191019411,), SUBNORMAL),
        ("exp", (-745.1332191019412,), 0.0),
        ("expm1", (-0.0,), -0.0),
        ("expm1", (-INF,), -1.0),
        ("exp2", (-1074.0,), SUBNORMAL),
        ("exp2", (10.0,), 1024.0),
        ("log", (0.0,), -INF),
        ("log", (-0.0,), -INF),
        ("log", (-1.0,), NAN),
        ("log", (1.0,), 0.0),
        ("log2", (8.0,), 3.0),
        ("log2", (SUBNORMAL,), -1074.0),
        ("log10", (1000.0,), 3.0),
        ("log10", (1e22,), 22.0),
        ("log1p", (-0.0,), -0.0),
        ("log1p", (-1.0,), -INF),
        ("log1p", (-2.0,), NAN),
        ("tanh", (-0.0,), -0.0),
        ("tanh", (SUBNORMAL,), SUBNORMAL),
        ("tanh", (-INF,), -1.0),
        ("sigmoid", (INF,), 1.0),
        ("sigmoid", (-INF,), 0.0),
        ("softplus", (INF,), INF),
        ("log_sigmoid", (-INF,), -INF),
        ("sech2", (INF,), 0.0),
        ("sech2", (0.0,), 1.0),
        ("sin", (-0.0,), -0.0),
        ("sin", (INF,), NAN),
        ("cos", (0.0,), 1.0),
        ("tan", (-0.0,), -0.0),
        ("sinh", (-INF,), -INF),
        ("cosh", (-711.0,), INF),
        ("asinh", (-HUGE,), -710.475860073944),
        ("acosh", (1.0,), 0.0),
        ("acosh", (0.5,), NAN),
        ("acosh", (INF,), INF),
        ("atanh", (-1.0,), -INF),
        ("atanh", (2.0,), NAN),
        ("asin", (-1.0,), -math.pi / 2),
        ("acos", (-1.0,), math.pi),
        ("acos", (1.0,), 0.0),
        ("acos", (1.5,), NAN),
        ("atan", (-INF,), -math.pi / 2),
        ("atan2", (0.0, -0.0), math.pi),
        ("atan2", (-0.0, 1.0), -0.0),
        ("atan2", (INF, -INF), 3 * math.pi / 4),
        ("cbrt", (-27.0,), -3.0),
        ("cbrt", (-0.0,), -0.0),
        ("cbrt", (-INF,), -INF),
        ("hypot", (3.0, -4.0), 5.0),
        ("hypot", (NAN, -INF), INF),
        ("hypot", (HUGE, HUGE), INF),
        ("hypot", (3 * SUBNORMAL, 4 * SUBNORMAL), 5 * SUBNORMAL),
        ("erf", (-INF,), -1.0),
        ("gauss", (INF,), 0.0),
        ("normal_cdf", (-INF,), 0.0),
        ("normal_cdf", (INF,), 1.0),
        ("silu", (-INF,), -0.0),
        ("silu", (-750.0,), -3 * SUBNORMAL),
        ("gelu", (-INF,), 0.0),
        ("gelu", (INF,), INF),
        ("pow", (-2.0, 3.0), -8.0),
        ("pow", (-0.0, -1.0), -INF),
        ("pow", (0.0, 0.0), 1.0),
        ("pow", (-1.0, -INF), 1.0),
        ("pow", (-8.0, 1 / 3), NAN),
        ("pow", (NAN, 0.0), 1.0),
    ],
)
def test_special_values_are_exact(name, xs, result):
    assert [y for y in results(name, [xs] * 8) if not same(y, result)] == []


@pytest.mark.parametrize("name", [name for name, arity in NAMES.items() if arity == 1])
def test_nan_gives_nan(name):
    assert all(map(math.isnan, results(name, [(NAN,), (-NAN,)])))


# --- how they are emitted -------------------------------------------------------------------------


def test_a_function_is_emitted_once_for_each_width():
    module = ir.Module()
    first = function(module, "tanh", 4)
    assert function(module, "tanh", 4) is first
    assert function(module, "tanh", 8) is not first
    assert first.linkage == "internal"


def test_functions_need_no_pass_of_the_optimiser():
    module = ir.Module()
    for name in NAMES:
        function(module, name, 4)
    text = str(module)
    assert "alloca" not in text
    assert " fast " not in text


def test_every_c_function_that_is_called_can_be_linked():
    lend_libm()
    assert [name for name in LIBM if not binding.address_of_symbol(name)] == []
    for has_fma in (True, False):
        module = ir.Module()
        for name in NAMES:
            function(module, name, 4, has_fma=has_fma)
        called = {f.name for f in module.functions if f.is_declaration and "llvm." not in f.name}
        assert called
        assert called <= LIBM.keys()


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError, match="gamma"):
        function(ir.Module(), "gamma", 4)
