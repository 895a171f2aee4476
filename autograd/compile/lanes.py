"""Numbers that are W doubles side by side: arithmetic on them, written as Python and emitted as IR.

`Lanes` knows the builder and the width. A `Number` holds W doubles, a `Mask` W truth values and a
`Bits` W whole numbers of 64 bits; an operator on them emits one instruction. Plain numbers may
stand on either side. A width of 1 gives scalar code from the same lines.

No instruction carries a fast-math flag: results are those of IEEE 754 in the order that is written.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from llvmlite import binding, ir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOUBLE = ir.DoubleType()
_INT64 = ir.IntType(64)
_BIT = ir.IntType(1)


_UNARY = """
    acos acosh asin asinh atan atanh cbrt cos cosh erf erfc exp expm1 log log10 log1p log2
    sin sinh tan tanh
"""
LIBM = dict.fromkeys(_UNARY.split(), 1) | {"atan2": 2, "fma": 3, "hypot": 2, "pow": 2}
"""The C library's functions that code may call, and how many operands each takes."""


class Lanes:
    """Emits with `builder`, `width` doubles at a time.

    `has_fma` says whether the machine multiplies and adds in one instruction. Where it doesn't,
    `fma` is still right and very slow, so that functions had better call the C library.
    """

    def __init__(self, builder: ir.IRBuilder, width: int, *, has_fma: bool = True) -> None:
        self.builder = builder
        self.width = width
        self.has_fma = has_fma
        self.number_type = vector_type(DOUBLE, width)
        self.bits_type = vector_type(_INT64, width)
        self._numbers: dict[str, Number] = {}

    def number(self, x: Operand) -> Number:
        """Return a constant in every lane, or a `Number` as it is."""
        if isinstance(x, Number):
            return x
        key = x.hex()  # tells -0.0 from 0.0
        if key not in self._numbers:
            self._numbers[key] = Number(self, self._constant(self.number_type, x))
        return self._numbers[key]

    def bits(self, n: int | Bits) -> Bits:
        """Return a whole number in every lane, or `Bits` as they are."""
        return n if isinstance(n, Bits) else Bits(self, self._constant(self.bits_type, n))

    def _constant(self, kind: ir.Type, x: float) -> ir.Constant:
        return ir.Constant(kind, x if self.width == 1 else [x] * self.width)

    def intrinsic(self, name: str, *operands: Operand) -> Number:
        """Call LLVM's own function of that name, such as "llvm.sqrt"."""
        name += ".f64" if self.width == 1 else f".v{self.width}f64"
        kind = self.number_type
        function = declare(self.builder.module, name, ir.FunctionType(kind, [kind] * len(operands)))
        return self.call(function, *operands)

    def call(self, function: ir.Function, *operands: Operand) -> Number:
        """Call a function of vectors of this width."""
        values = [self.number(x).value for x in operands]
        return Number(self, self.builder.call(function, values))

    def libm(self, name: str, *operands: Operand) -> Number:
        """Call the C library's function of doubles on one lane after the other."""
        function = libm_function(self.builder.module, name)
        values = [self.number(x).value for x in operands]
        builder = self.builder
        if self.width == 1:
            return Number(self, builder.call(function, values))
        result = ir.Constant(self.number_type, ir.Undefined)
        for lane in range(self.width):
            index = ir.Constant(ir.IntType(32), lane)
            scalars = [builder.extract_element(value, index) for value in values]
            result = builder.insert_element(result, builder.call(function, scalars), index)
        return Number(self, result)


def vector_type(element: ir.Type, width: int) -> ir.Type:
    """Return the type of `width` elements: the element's own for a width of 1."""
    return element if width == 1 else ir.VectorType(element, width)


def declare(module: ir.Module, name: str, kind: ir.FunctionType) -> ir.Function:
    """Return the module's function of that name, declared if it is new."""
    known = module.globals.get(name)
    return ir.Function(module, kind, name) if known is None else known


def libm_function(module: ir.Module, name: str) -> ir.Function:
    """Return the C library's function of doubles as one of the module's."""
    lend_libm()
    return declare(module, name, ir.FunctionType(DOUBLE, [DOUBLE] * LIBM[name]))


@cache
def lend_libm() -> None:
    """Let the JIT link calls of `LIBM`, whether or not it finds them in the process by itself.

    It is needed once in a process, also where code is loaded that another one has compiled.
    """
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    for name in LIBM:
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        binding.add_symbol(name, address)


class _Lanewise:
    __slots__ = ("lanes", "value")

    def __init__(self, lanes: Lanes, value: ir.Value) -> None:
        self.lanes = lanes
        self.value = value


class Number(_Lanewise):
    """W doubles. A comparison is false in a lane where either side is nan."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Number:
        return Number(self.lanes, self._build.fadd(self.value, self._other(other)))

    def __radd__(self, other: Operand) -> Number:
        return self.lanes.number(other) + self

    def __sub__(self, other: Operand) -> Number:
        return Number(self.lanes, self._build.fsub(self.value, self._other(other)))

    def __rsub__(self, other: Operand) -> Number:
        return self.lanes.number(other) - self

    def __mul__(self, other: Operand) -> Number:
        return Number(self.lanes, self._build.fmul(self.value, self._other(other)))

    def __rmul__(self, other: Operand) -> Number:
        return self.lanes.number(other) * self

    def __truediv__(self, other: Operand) -> Number:
        return Number(self.lanes, self._build.fdiv(self.value, self._other(other)))

    def __rtruediv__(self, other: Operand) -> Number:
        return self.lanes.number(other) / self

    def __neg__(self) -> Number:
        return Number(self.lanes, self._build.fneg(self.value))

    def __abs__(self) -> Number:
        return self.lanes.intrinsic("llvm.fabs", self)

    def __lt__(self, other: Operand) -> Mask:
        return self._compare("<", other)

    def __le__(self, other: Operand) -> Mask:
        return self._compare("<=", other)

    def __gt__(self, other: Operand) -> Mask:
        return self._compare(">", other)

    def __ge__(self, other: Operand) -> Mask:
        return self._compare(">=", other)

    def equals(self, other: Operand) -> Mask:
        """Say where both sides are equal: `==` stays Python's, about objects."""
        return self._compare("==", other)

    def is_nan(self) -> Mask:
        """Say where it is not a number."""
        return Mask(self.lanes, self._build.fcmp_unordered("uno", self.value, self.value))

    def bits(self) -> Bits:
        """Return the 64 bits that stand for each double."""
        return Bits(self.lanes, self._build.bitcast(self.value, self.lanes.bits_type))

    @property
    def _build(self) -> ir.IRBuilder:
        return self.lanes.builder

    def _other(self, other: Operand) -> ir.Value:
        return self.lanes.number(other).value

    def _compare(self, relation: str, other: Operand) -> Mask:
        return Mask(self.lanes, self._build.fcmp_ordered(relation, self.value, self._other(other)))


Operand: TypeAlias = "Number | float"


class Mask(_Lanewise):
    """W truth values."""

    __slots__ = ()

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.lanes, self.lanes.builder.and_(self.value, other.value))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.lanes, self.lanes.builder.or_(self.value, other.value))

    def __invert__(self) -> Mask:
        return Mask(self.lanes, self.lanes.builder.not_(self.value))

    def any(self) -> ir.Value:
        """Return one bit: whether some lane is true."""
        width = self.lanes.width
        if width == 1:
            return self.value
        together = self.lanes.builder.bitcast(self.value, ir.IntType(width))
        return self.lanes.builder.icmp_unsigned("!=", together, ir.Constant(together.type, 0))


class Bits(_Lanewise):
    """W whole numbers of 64 bits, which wrap around."""

    __slots__ = ()

    def __add__(self, other: Bits | int) -> Bits:
        return Bits(self.lanes, self.lanes.builder.add(self.value, self._other(other)))

    def __sub__(self, other: Bits | int) -> Bits:
        return Bits(self.lanes, self.lanes.builder.sub(self.value, self._other(other)))

    def __and__(self, other: Bits | int) -> Bits:
        return Bits(self.lanes, self.lanes.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Bits | int) -> Bits:
        return Bits(self.lanes, self.lanes.builder.or_(self.value, self._other(other)))

    def __xor__(self, other: Bits | int) -> Bits:
        return Bits(self.lanes, self.lanes.builder.xor(self.value, self._other(other)))

    def __lshift__(self, places: int) -> Bits:
        return Bits(self.lanes, self.lanes.builder.shl(self.value, self._other(places)))

    def __rshift__(self, places: int) -> Bits:
        """Shift zeros in: no processor has a vector shift of 64 bits with sign before AVX-512."""
        return Bits(self.lanes, self.lanes.builder.lshr(self.value, self._other(places)))

    def is_zero(self) -> Mask:
        """Say where no bit is set."""
        zero = self._other(0)
        return Mask(self.lanes, self.lanes.builder.icmp_unsigned("==", self.value, zero))

    def number(self) -> Number:
        """Return the doubles that the bits stand for."""
        lanes = self.lanes
        return Number(lanes, lanes.builder.bitcast(self.value, lanes.number_type))

    def _other(self, other: Bits | int) -> ir.Value:
        return self.lanes.bits(other).value


def fma(a: Number, b: Operand, c: Operand) -> Number:
    """Return a*b + c, rounded once."""
    if a.lanes.has_fma:
        return a.lanes.intrinsic("llvm.fma", a, b, c)
    return a.lanes.libm("fma", a, b, c)


def sqrt(a: Number) -> Number:
    """Return √a, rounded correctly."""
    return a.lanes.intrinsic("llvm.sqrt", a)


def floor(a: Number) -> Number:
    """Return the greatest whole number that is at most a."""
    return a.lanes.intrinsic("llvm.floor", a)


def copysign(a: Operand, sign: Number) -> Number:
    """Return |a| with the sign of the other."""
    return sign.lanes.intrinsic("llvm.copysign", a, sign)


def select(mask: Mask, a: Operand, b: Operand) -> Number:
    """Return a where the mask is true, b elsewhere."""
    lanes = mask.lanes
    a, b = lanes.number(a), lanes.number(b)
    return Number(lanes, lanes.builder.select(mask.value, a.value, b.value))


def at_most(a: Number, bound: Operand) -> Number:
    """Return the smaller; nan where a is nan."""
    return select(a > bound, bound, a)


def at_least(a: Number, bound: Operand) -> Number:
    """Return the greater; nan where a is nan."""
    return select(a < bound, bound, a)


def rarely(mask: Mask, usual: Number, rare: Callable[[], Number]) -> Number:
    """Return what `rare` emits where the mask is true and `usual` elsewhere.

    Code from `rare` runs only where some lane asks for it, and then for all of them.
    """
    lanes = mask.lanes
    builder = lanes.builder
    before = builder.block
    with builder.if_then(mask.any(), likely=False):
        mended = select(mask, rare(), usual)
        after_rare = builder.block
    result = builder.phi(lanes.number_type)
    result.add_incoming(usual.value, before)
    result.add_incoming(mended.value, after_rare)
    return Number(lanes, result)


def polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """Return the polynomial in x with these coefficients, the constant first.

    The even and the odd powers go side by side by Horner's rule, in which each step waits for the
    last: two such chains keep a processor busy.
    """
    square = x * x
    return fma(_horner(square, coefficients[1::2]), x, _horner(square, coefficients[::2]))


def _horner(x: Number, coefficients: Sequence[float]) -> Number:
    *others, leading = coefficients
    total = x.lanes.number(leading)
    for coefficient in reversed(others):
        total = fma(total, x, coefficient)
    return total
