"""The operations as methods of `Value`. Written by tests/generate.py from the table in ops.py."""

from .op import Operand
from .value import Value

class Methods(Operand):
    def add(self, b: float | Value, /) -> Value:
        """Return a + b."""
    def sub(self, b: float | Value, /) -> Value:
        """Return a - b."""
    def mul(self, b: float | Value, /) -> Value:
        """Return a · b."""
    def div(self, b: float | Value, /) -> Value:
        """Return a / b."""
    def neg(self, /) -> Value:
        """Return -a."""
    def pos(self, /) -> Value:
        """Return +a."""
    def pow(self, b: float | Value, /) -> Value:
        """Return aᵇ."""
    def pow_below(self, b: float | Value, /) -> Value:
        """Return aᵇ⁻¹."""
    def abs(self, /) -> Value:
        """Return |a|."""
    def square(self, /) -> Value:
        """Return a²."""
    def sqrt(self, /) -> Value:
        """Return √a."""
    def cbrt(self, /) -> Value:
        """Return ∛a."""
    def exp(self, /) -> Value:
        """Return eᵃ."""
    def expm1(self, /) -> Value:
        """Return eᵃ - 1."""
    def exp2(self, /) -> Value:
        """Return 2ᵃ."""
    def log(self, /) -> Value:
        """Return log a."""
    def log1p(self, /) -> Value:
        """Return log(1 + a)."""
    def log2(self, /) -> Value:
        """Return log₂ a."""
    def log10(self, /) -> Value:
        """Return log₁₀ a."""
    def sin(self, /) -> Value:
        """Return sin a."""
    def cos(self, /) -> Value:
        """Return cos a."""
    def tan(self, /) -> Value:
        """Return tan a."""
    def cocircle(self, /) -> Value:
        """Return √(1 - a²)."""
    def asin(self, /) -> Value:
        """Return arcsin a."""
    def arcsin(self, /) -> Value:
        """Return arcsin a."""
    def acos(self, /) -> Value:
        """Return arccos a."""
    def arccos(self, /) -> Value:
        """Return arccos a."""
    def atan(self, /) -> Value:
        """Return arctan a."""
    def arctan(self, /) -> Value:
        """Return arctan a."""
    def direction(self, b: float | Value, /) -> Value:
        """Return a / √(a² + b²)."""
    def inversion(self, b: float | Value, /) -> Value:
        """Return a / (a² + b²)."""
    def hypot(self, b: float | Value, /) -> Value:
        """Return √(a² + b²)."""
    def atan2(self, b: float | Value, /) -> Value:
        """Return arctan(a / b)."""
    def arctan2(self, b: float | Value, /) -> Value:
        """Return arctan(a / b)."""
    def sinh(self, /) -> Value:
        """Return sinh a."""
    def cosh(self, /) -> Value:
        """Return cosh a."""
    def sech2(self, /) -> Value:
        """Return sech² a."""
    def tanh(self, /) -> Value:
        """Return tanh a."""
    def asinh(self, /) -> Value:
        """Return arsinh a."""
    def arcsinh(self, /) -> Value:
        """Return arsinh a."""
    def acosh(self, /) -> Value:
        """Return arcosh a."""
    def arccosh(self, /) -> Value:
        """Return arcosh a."""
    def atanh(self, /) -> Value:
        """Return artanh a."""
    def arctanh(self, /) -> Value:
        """Return artanh a."""
    def gauss(self, /) -> Value:
        """Return exp(-a²/2)."""
    def normal_cdf(self, /) -> Value:
        """Return Φ(a)."""
    def erf(self, /) -> Value:
        """Return erf a."""
    def polygamma(self, b: float | Value, /) -> Value:
        """Return ψ⁽ᵃ⁾(b)."""
    def lgamma(self, /) -> Value:
        """Return log |Γ(a)|."""
    def sigmoid(self, /) -> Value:
        """Return 1 / (1 + e⁻ᵃ)."""
    def log_sigmoid(self, /) -> Value:
        """Return log σ(a)."""
    def softplus(self, /) -> Value:
        """Return log(1 + eᵃ)."""
    def relu(self, /) -> Value:
        """Return max(a, 0)."""
    def leaky_relu(self, b: float | Value = 0.01, /) -> Value:
        """Return a if a > 0 else b·a."""
    def elu(self, b: float | Value = 1.0, /) -> Value:
        """Return a if a > 0 else b(eᵃ - 1)."""
    def gelu(self, /) -> Value:
        """Return a · Φ(a)."""
    def silu(self, /) -> Value:
        """Return a · σ(a)."""
    def sign(self, /) -> Value:
        """Return sign a."""
    def step(self, /) -> Value:
        """Return 1 if a > 0 else 0."""
    def maximum(self, b: float | Value, /) -> Value:
        """Return max(a, b)."""
    def minimum(self, b: float | Value, /) -> Value:
        """Return min(a, b)."""
    def clip(self, b: float | Value, c: float | Value, /) -> Value:
        """Return min(max(a, b), c)."""
    def where(self, b: float | Value, c: float | Value, /) -> Value:
        """Return b if a else c."""
    def less(self, b: float | Value, /) -> Value:
        """Return 1 if a < b else 0."""
    def less_equal(self, b: float | Value, /) -> Value:
        """Return 1 if a ≤ b else 0."""
    def equal(self, b: float | Value, /) -> Value:
        """Return 1 if a = b else 0."""
    def logaddexp(self, b: float | Value, /) -> Value:
        """Return log(eᵃ + eᵇ)."""
