"""What each code of the tape makes of arrays, for any library of arrays: numpy, JAX, PyTorch.

The formulas are those of special.py, element by element. Where a formula has two ranges both are
computed and one is taken; each is finite where it isn't taken, since an engine that differentiates
them multiplies by 0 there, and 0 · inf is nan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

UFUNCS = {
    "neg": "negative",
    "abs": "abs",
    "sqrt": "sqrt",
    "copysign": "copysign",
    "exp": "exp",
    "expm1": "expm1",
    "exp2": "exp2",
    "log": "log",
    "log1p": "log1p",
    "log2": "log2",
    "log10": "log10",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "hypot": "hypot",
    "maximum": "maximum",
    "minimum": "minimum",
}
"""Codes that are one function of a library's own, by the name that all of them have for it."""

_SQRT_HALF = 0.7071067811865476
_SQRT_HALF_LOW = -4.833646656726457e-17  # √½ - _SQRT_HALF
_INV_SQRT_PI = 0.5641895835477563
_SPLIT = 134217729.0  # 2²⁷ + 1 (Dekker)


class Formulas:
    """The codes as functions of arrays, by name; `library` has numpy's functions."""

    def __init__(self, library: Any) -> None:
        self.library = library
        for code, name in UFUNCS.items():
            setattr(self, code, getattr(library, name))
        self.where = library.where

    def of(self, code: str) -> Callable[..., Any]:
        """Return the function that a code is."""
        return getattr(self, code)  # type: ignore[no-any-return]  # one of ours, or a library's

    # --- arrays ----------------------------------------------------------------------------------

    def is_array(self, x: Any) -> bool:
        """Say whether it is an array already."""
        return hasattr(x, "shape")

    def array(self, x: Any) -> Any:
        """Return an array of doubles, with the history that it may have."""
        return self.library.asarray(x, dtype=self.library.float64)

    def index(self, places: Any) -> Any:
        """Return indices, which come as an array of numpy's, as the library likes them best."""
        return places

    # --- arithmetic and choices ------------------------------------------------------------------

    def copy(self, a: Any) -> Any:
        """Return a."""
        return a

    def add(self, a: Any, b: Any) -> Any:
        """Return a + b."""
        return a + b

    def sub(self, a: Any, b: Any) -> Any:
        """Return a - b."""
        return a - b

    def mul(self, a: Any, b: Any) -> Any:
        """Return a · b."""
        return a * b

    def div(self, a: Any, b: Any) -> Any:
        """Return a / b."""
        return a / b

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b + c."""
        return a * b + c

    def fms(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b - c."""
        return a * b - c

    def fnma(self, a: Any, b: Any, c: Any) -> Any:
        """Return c - a·b."""
        return c - a * b

    def if_less(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Return c where a < b, else d."""
        return self.where(a < b, c, d)

    def if_less_equal(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Return c where a <= b, else d."""
        return self.where(a <= b, c, d)

    def if_equal(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Return c where a = b, else d."""
        return self.where(a == b, c, d)

    # --- functions that libraries lack, or name each in its own way -------------------------------

    def pow(self, a: Any, b: Any) -> Any:
        """Return aᵇ."""
        return a**b

    def cbrt(self, a: Any) -> Any:
        """Return ∛a."""
        return self.library.cbrt(a)

    def erf(self, a: Any) -> Any:
        """Return erf a."""
        return self.library.erf(a)

    def erfc(self, a: Any) -> Any:
        """Return 1 - erf a."""
        return self.library.erfc(a)

    def _below(self, a: Any) -> Any:
        # -|a|, whose derivative at 0 is -1: with |a|, engines would have 0 for it.
        return self.where(a < 0.0, a, -a)

    def sigmoid(self, a: Any) -> Any:
        """Return 1 / (1 + e⁻ᵃ)."""
        e = self.of("exp")(self._below(a))
        return self.where(a < 0.0, e, 1.0) / (1.0 + e)

    def softplus(self, a: Any) -> Any:
        """Return log(1 + eᵃ)."""
        rest = self.of("log1p")(self.of("exp")(self._below(a)))
        return self.where(a < 0.0, rest, a + rest)

    def log_sigmoid(self, a: Any) -> Any:
        """Return -log(1 + e⁻ᵃ)."""
        return -self.softplus(-a)

    def sech2(self, a: Any) -> Any:
        """Return 1 / cosh² a."""
        exp, below = self.of("exp"), self._below(a)
        root = 2.0 * exp(below)
        e = exp(2.0 * below)
        near = 4.0 * e / ((1.0 + e) * (1.0 + e))
        return self.where(below < -300.0, root * root, near)  # noqa: PLR2004  (as in special.py)

    def silu(self, a: Any) -> Any:
        """Return a · sigmoid a."""
        root = self.of("exp")(0.5 * self._below(a))
        # Below -1500 the root is 0, and -inf times that is nan.
        far = self.where(a < -1500.0, -0.0, a) * root * root  # noqa: PLR2004  (as in special.py)
        return self.where(a < -700.0, far, self.where(a < -700.0, 0.0, a) * self.sigmoid(a))  # noqa: PLR2004  (as in special.py)

    def gauss(self, a: Any) -> Any:
        """Return e^(-a²/2)."""
        inside = self.where(abs(a) > 39.0, 39.0, a)  # noqa: PLR2004  (as in special.py)
        square = inside * inside
        high = _SPLIT * inside
        high = high - (high - inside)
        low = inside - high
        error = ((high * high - square) + high * low + low * high) + low * low
        result = self.of("exp")(-0.5 * square) * (1.0 - 0.5 * error)
        return self.where(abs(a) > 39.0, 0.0, result)  # noqa: PLR2004  (as in special.py)

    def normal_cdf(self, a: Any) -> Any:
        """Return erfc(-a/√2) / 2."""
        inside = self.where(a < -39.0, -39.0, self.where(a > 39.0, 39.0, a))  # noqa: PLR2004  (as in special.py)
        z = inside * _SQRT_HALF
        high = _SPLIT * inside
        high = high - (high - inside)
        low = inside - high
        split = _SPLIT * _SQRT_HALF
        factor_high = split - (split - _SQRT_HALF)
        factor_low = _SQRT_HALF - factor_high
        error = (
            (high * factor_high - z) + high * factor_low + low * factor_high
        ) + low * factor_low
        delta = error + inside * _SQRT_HALF_LOW
        return 0.5 * self.erfc(-z) + delta * self.gauss(inside) * _INV_SQRT_PI

    def gelu(self, a: Any) -> Any:
        """Return a · normal_cdf a, and 0 at -inf."""
        inside = self.where(a < -39.0, -39.0, a)  # noqa: PLR2004  (as in special.py)
        return inside * self.normal_cdf(inside)
