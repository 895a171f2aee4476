"""What the codes of the tape are in C."""

from __future__ import annotations

LETTERS = "ijlmnpq"  # of the loops; k is that of the terms

EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabs({0})",
    "copy": "{0}",
    "store": "{0}",
    "fma": "{0} * {1} + {2}",
    "fms": "{0} * {1} - {2}",
    "fnma": "{2} - {0} * {1}",
    "if_less": "{0} < {1} ? {2} : {3}",
    "if_less_equal": "{0} <= {1} ? {2} : {3}",
    "if_equal": "{0} == {1} ? {2} : {3}",
    "cbrt": "cube_root({0})",
    "add_up": "{0}",
    "add_product": "{0} * {1}",
}
"""What a code is in C; every other is a function of its name."""

# What isn't in math.h, or less exact there than in special.py, whose formulas these are.
FUNCTIONS = {
    "maximum": """\
static double maximum(double a, double b) {
    return a > b || a != a ? a : b;
}""",
    "minimum": """\
static double minimum(double a, double b) {
    return a < b || a != a ? a : b;
}""",
    "product_error": """\
/* a*b - product, exactly, where product is a*b rounded (Dekker). */
static double product_error(double a, double b, double product) {
    double c = 134217729.0 * a;
    double a_high = c - (c - a);
    double a_low = a - a_high;
    c = 134217729.0 * b;
    double b_high = c - (c - b);
    double b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
}""",
    "cube_root": """\
/* The C library's cube root after a step of Newton's. */
static double cube_root(double x) {
    if (x == 0.0 || !isfinite(x))
        return x;
    int exponent;
    double mantissa = frexp(x, &exponent);
    int rest = (exponent % 3 + 3) % 3;
    mantissa = ldexp(mantissa, rest);
    double y = cbrt(mantissa);
    double square = y * y;
    double cube = square * y;
    double error = product_error(square, y, cube) + product_error(y, y, square) * y;
    y += ((mantissa - cube) - error) / (3.0 * square);
    return ldexp(y, (exponent - rest) / 3);
}""",
    "sigmoid": """\
/* 1 / (1 + exp(-x)) */
static double sigmoid(double x) {
    if (x < 0.0) {
        double e = exp(x);
        return e / (1.0 + e);
    }
    return 1.0 / (1.0 + exp(-x));
}""",
    "softplus": """\
/* log(1 + exp(x)) */
static double softplus(double x) {
    double rest = log1p(exp(-fabs(x)));
    return x < 0.0 ? rest : x + rest;
}""",
    "log_sigmoid": """\
static double log_sigmoid(double x) {
    return -softplus(-x);
}""",
    "silu": """\
/* x * sigmoid(x), in halves where sigmoid(x) is subnormal. */
static double silu(double x) {
    if (x < -700.0) {
        double root = exp(0.5 * x);
        return x > -1500.0 ? x * root * root : -0.0;
    }
    return x * sigmoid(x);
}""",
    "sech2": """\
/* 1 / cosh(x)**2 */
static double sech2(double x) {
    x = fabs(x);
    if (x > 300.0) {
        double root = 2.0 * exp(-x);
        return root * root;
    }
    double e = exp(-2.0 * x);
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}""",
    "gauss": """\
/* exp(-x*x/2), what the rounding of x*x loses being put back. */
static double gauss(double x) {
    if (fabs(x) > 39.0)
        return 0.0;
    double square = x * x;
    return exp(-0.5 * square) * (1.0 - 0.5 * product_error(x, x, square));
}""",
    "normal_cdf": """\
/* erfc(-x/sqrt(2)) / 2, what the rounding of x/sqrt(2) loses being put back. */
static double normal_cdf(double x) {
    if (x < -39.0)
        return 0.0;
    if (x > 9.0)
        return 1.0;
    double z = x * 0.7071067811865476;
    double delta = product_error(x, 0.7071067811865476, z) + x * -4.833646656726457e-17;
    return 0.5 * erfc(-z) + delta * gauss(x) * 0.5641895835477563;
}""",
    "gelu": """\
static double gelu(double x) {
    return isinf(x) && x < 0.0 ? 0.0 : x * normal_cdf(x);
}""",
}

_NAMES = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while asm fortran main
    s r total rows row result work sum constants captured k results_of_all results_of_rows
    INFINITY NAN abs acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp
    exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp hypot ilogb isfinite isinf isnan j0 j1 jn
    ldexp lgamma log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow remainder
    remquo rint round scalbn signbit sin sinh sqrt tan tanh tgamma trunc y0 y1 yn
"""
RESERVED = {*_NAMES.split(), *LETTERS, *FUNCTIONS}
"""What an argument can't be called in C: its own words, the functions' own names, and math.h."""
