"""The laws of autograd.special, judged by mpmath on fixed grids."""

import math
from collections.abc import Callable, Iterable

import mpmath as mp
import pytest

from autograd import special

INF = math.inf
NAN = math.nan
SUBNORMAL = 5e-324
TINY = 2.2250738585072014e-308
HUGE = 1.7976931348623157e308
BITS = 300  # of mpmath's working precision: enough for any cancellation in the references below


def ulps(value: float, exact: mp.mpf, floor: float = 0.0) -> float:
    """Measure the error in units in the last place, a unit being at least `floor`."""
    if math.isinf(value):
        return 0.0 if abs(exact) > HUGE and (exact > 0) == (value > 0) else INF
    return float(abs(mp.mpf(value) - exact) / max(math.ulp(float(exact)), floor))


def worst(
    function: Callable[..., float],
    exact: Callable[..., mp.mpf],
    points: Iterable[float],
    floor: float = 0.0,
) -> tuple[float, float]:
    """Find the greatest error in ulps and where it is."""
    with mp.workprec(BITS):
        return max((ulps(function(x), exact(mp.mpf(x)), floor), x) for x in points)


def grid(low: float, high: float, count: int = 150) -> list[float]:
    """Points from low to high, evenly spaced but for the last bits, which should not be zeros."""
    step = (high - low) / count
    return [low, *(low + step * (k + math.modf(k * 0.6180339887)[0]) for k in range(count)), high]


def powers(low: float, high: float, count: int = 100) -> list[float]:
    """Points from 10**low to 10**high, evenly spaced in the exponent."""
    return [10.0**e for e in grid(low, high, count)]


def around(*points: float) -> list[float]:
    """Each point with its neighbours on both sides."""
    return [q for p in points for q in (math.nextafter(p, -INF), p, math.nextafter(p, INF))]


def both(points: Iterable[float]) -> list[float]:
    """Return the points and their opposites."""
    return [s * p for p in points for s in (1.0, -1.0)]


SMALL = both([SUBNORMAL, 1e-310, *around(TINY), *powers(-300, -1)])


# --- gauss ---------------------------------------------------------------------------------


def exact_gauss(x: mp.mpf) -> mp.mpf:
    return mp.exp(-x * x / 2)


def test_gauss_is_within_2_ulp_while_it_is_a_normal_number():
    points = SMALL + both(grid(0.0, 37.6, 1500) + around(1.0, 37.6))
    assert worst(special.gauss, exact_gauss, points)[0] < 2.0


def test_gauss_underflows_gradually_and_then_is_zero():
    assert worst(special.gauss, exact_gauss, both(grid(37.6, 39.5)))[0] < 2.0
    assert special.gauss(38.56) > 0.0
    assert [special.gauss(x) for x in both([*around(39.0), 1e10, 1e200, HUGE, INF])] == [0.0] * 14


# --- normal_cdf ----------------------------------------------------------------------------


def exact_cdf(x: mp.mpf) -> mp.mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def test_normal_cdf_is_within_4_ulp_or_1e_14_while_it_is_a_normal_number():
    points = SMALL + grid(-37.5, 10.0, 800) + around(-1.0, 0.0, 1.0, 8.29, 9.0)
    with mp.workprec(BITS):
        for x in points:
            value, exact = special.normal_cdf(x), exact_cdf(mp.mpf(x))
            assert abs(value - exact) < 1e-14 * exact, x


def test_normal_cdf_underflows_gradually_and_then_is_zero():
    assert worst(special.normal_cdf, exact_cdf, grid(-39.5, -37.5))[0] < 4.0
    assert special.normal_cdf(-38.0) > 0.0
    assert [special.normal_cdf(x) for x in (-39.5, -1e10, -HUGE, -INF)] == [0.0] * 4
    assert [special.normal_cdf(x) for x in (9.5, 1e10, HUGE, INF)] == [1.0] * 4


# --- sech2, sigmoid, softplus, log_sigmoid -------------------------------------------------


def test_sech2_is_within_4_ulp_up_to_its_underflow():
    points = SMALL + both(grid(0.0, 20.0) + grid(20.0, 380.0) + around(300.0, 354.0, 354.9))
    assert worst(special.sech2, lambda x: mp.sech(x) ** 2, points)[0] < 4.0
    assert [special.sech2(x) for x in both([400.0, 1e10, HUGE, INF])] == [0.0] * 8


LOGISTIC = SMALL + both(grid(0.0, 40.0, 300) + grid(40.0, 760.0) + around(36.7, 708.4, 745.1))


def test_sigmoid_is_within_4_ulp_in_both_tails():
    assert worst(special.sigmoid, lambda x: 1 / (1 + mp.exp(-x)), LOGISTIC)[0] < 4.0


def test_softplus_is_within_4_ulp_in_both_tails():
    assert worst(special.softplus, lambda x: mp.log1p(mp.exp(x)), LOGISTIC)[0] < 4.0


def test_log_sigmoid_is_within_4_ulp_in_both_tails():
    assert worst(special.log_sigmoid, lambda x: -mp.log1p(mp.exp(-x)), LOGISTIC)[0] < 4.0


def test_the_logistic_functions_take_their_limits():
    for far in (1e4, 1e300, HUGE, INF):
        assert (special.sigmoid(-far), special.sigmoid(far)) == (0.0, 1.0)
        assert (special.softplus(-far), special.softplus(far)) == (0.0, far)
        assert (special.log_sigmoid(-far), special.log_sigmoid(far)) == (-far, 0.0)


# --- logaddexp, logsumexp ------------------------------------------------------------------


def exact_logsumexp(xs: Iterable[float]) -> mp.mpf:
    greatest, *others = sorted(map(mp.mpf, xs), reverse=True)
    return greatest + mp.log1p(mp.fsum(mp.exp(x - greatest) for x in others))


def test_logaddexp_is_within_4_ulp_away_from_its_zeros():
    offsets = [0.0, *both([0.3, 1.0, 3.9, 4.1, 30.0, 700.0, 1e5, 1e15, 1e300])]
    with mp.workprec(2 * BITS):
        for a in offsets:
            for d in (0.0, *grid(0.01, 60.0, 40), 700.0, 750.0):
                b = a - d
                exact = exact_logsumexp((a, b))
                if abs(exact) > 0.2:
                    assert ulps(special.logaddexp(a, b), exact) < 4.0, (a, b)


def test_logaddexp_is_within_4_ulp_where_a_tiny_result_has_no_cancellation():
    with mp.workprec(2 * BITS):
        for a in (0.0, SUBNORMAL, 1e-300, 1e-14, 1e-5, 0.3):
            for b in (-1.0, -30.0, -36.7, -37.5, -700.0, -740.0):
                assert ulps(special.logaddexp(a, b), exact_logsumexp((a, b))) < 4.0, (a, b)


def test_logaddexp_near_its_zeros_errs_by_less_than_the_rounding_of_its_exponentials():
    with mp.workprec(BITS):
        for p in (*grid(0.01, 0.99), *powers(-15, -2, 40)):
            a, b = math.log(p), math.log1p(-p)
            exact = exact_logsumexp((a, b))
            bound = 2.0**-52 * 2.0 * min(p, 1.0 - p) + 4.0 * math.ulp(float(exact))
            assert abs(special.logaddexp(a, b) - exact) < bound, p


def test_logaddexp_does_not_depend_on_the_order():
    for a in (-3.0, 0.0, 1e-9, 5.5, 1e6, INF, -INF):
        for b in (-2.0, 1e-7, 4.0, -INF):
            assert special.logaddexp(a, b) == special.logaddexp(b, a)


def test_logsumexp_is_within_4_ulp_away_from_its_zeros():
    with mp.workprec(BITS):
        for n in (1, 2, 3, 7, 40):
            for offset in (-1e6, -1000.3, -math.log(n) - 1.0, 0.7, 5.0, 800.1, 1e9):
                for spread in (0.1, 3.0, 50.0, 1000.0):
                    xs = [offset - spread * math.modf(k * 0.6180339887)[0] for k in range(n)]
                    exact = exact_logsumexp(xs)
                    if abs(exact) > 0.2:
                        assert ulps(special.logsumexp(xs), exact) < 4.0, xs


def test_logsumexp_of_the_logarithms_of_shares_is_zero_to_within_a_rounding():
    for n in (2, 3, 10, 1000):
        assert abs(special.logsumexp([-math.log(n)] * n)) < 2.0**-52 * (1.0 + math.log(n))


def test_logsumexp_of_infinite_terms_is_the_limit():
    assert special.logsumexp([]) == -INF
    assert special.logsumexp([-INF, -INF]) == -INF
    assert special.logsumexp([-INF, 2.5]) == 2.5
    assert special.logsumexp([INF, INF, -INF, 1.0]) == INF
    assert special.logsumexp([HUGE, -HUGE]) == HUGE
    assert special.logaddexp(-INF, -INF) == -INF
    assert special.logaddexp(INF, INF) == INF
    assert special.logaddexp(-INF, INF) == INF


# --- softmax_share -------------------------------------------------------------------------


def test_softmax_share_is_within_4_ulp_for_any_offset_and_difference():
    with mp.workprec(2 * BITS):
        for offset in (0.0, 0.1, -7.7, 1e3 / 3.0, -1e6 / 3.0, 1e15, -1e300):
            for d in (*grid(-740.0, 740.0, 60), -745.5, 1e300):
                xs = [offset + d, offset, offset - 0.7, offset + 0.3]
                greatest = mp.mpf(max(xs))
                exponentials = [mp.exp(mp.mpf(x) - greatest) for x in xs]
                exact = exponentials[0] / mp.fsum(exponentials)
                assert ulps(special.softmax_share(xs), exact, SUBNORMAL) < 4.0, xs


def test_softmax_share_of_infinite_terms_is_the_limit_where_there_is_one():
    assert special.softmax_share([INF, 1.0, -INF]) == 1.0
    assert special.softmax_share([1.0, INF]) == 0.0
    assert special.softmax_share([-INF, 1.0]) == 0.0
    assert special.softmax_share([-HUGE, HUGE]) == 0.0
    assert special.softmax_share([HUGE, -HUGE]) == 1.0
    assert special.softmax_share([3.0]) == 1.0
    for xs in ([INF, INF], [INF, 1.0, INF], [0.0, INF, INF], [-INF, -INF], [-INF]):
        assert math.isnan(special.softmax_share(xs))


def test_softmax_share_needs_a_term():
    with pytest.raises(ValueError, match="must not be empty"):
        special.softmax_share([])


# --- polygamma -----------------------------------------------------------------------------

ROOT = 1.4616321449683622  # the double nearest to digamma's positive zero


def digamma(x: float) -> float:
    return special.polygamma(0.0, x)


def test_digamma_is_within_4_ulp_for_positive_arguments():
    seams = around(0.75, 1.0, 1.2, 1.75, 2.0, 2.3, 3.3, 10.0)
    points = seams + grid(0.01, 3.0, 300) + grid(3.0, 30.0) + powers(-308, 308) + [HUGE]
    assert worst(digamma, mp.digamma, points)[0] < 4.0


def test_digamma_keeps_its_relative_accuracy_at_its_positive_zero():
    points = around(ROOT) + [ROOT + d for d in both(powers(-15, -1, 60))]
    assert worst(digamma, mp.digamma, points)[0] < 4.0


def test_digamma_next_to_zero_is_minus_the_reciprocal():
    assert digamma(1e-300) == -1.0 / 1e-300
    assert digamma(-1e-300) == 1.0 / 1e-300
    assert digamma(SUBNORMAL) == -INF
    assert digamma(-SUBNORMAL) == INF


def exact_polygamma(n: int, x: mp.mpf) -> mp.mpf:
    if n == 0:
        return mp.digamma(x)
    if x > 1e20:  # where mpmath's zeta is slow; the next terms are below x**-2 of these
        return (-1) ** (n + 1) * (mp.factorial(n - 1) + mp.factorial(n) / (2 * x)) / x**n
    if x < 0:
        return mp.psi(n, x)
    # mpmath's zeta is accurate to an absolute error
    with mp.workprec(BITS + int((n + 1) * max(0, mp.log(x, 2)))):
        return (-1) ** (n + 1) * mp.factorial(n) * mp.zeta(n + 1, x)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 20, 100, 170])
def test_polygamma_is_within_4_ulp_for_positive_arguments(n: int):
    points = grid(0.1, n + 15.0, 30) + around(1.0, n + 9.0, n + 10.0)
    points += powers(-300 / (n + 1), -1, 10) + powers(1, 300 / n, 20)
    error = worst(lambda x: special.polygamma(n, x), lambda x: exact_polygamma(n, x), points)
    assert error[0] < 4.0


NEGATIVE = grid(-3.0001, -0.0001, 40) + grid(-40.1, -3.1, 20) + around(-0.5, -7.5)
NEGATIVE += [x for pole in (-1.0, -5.0) for x in around(pole) if x != pole]
NEGATIVE += [-1000.25, -1e-8]


@pytest.mark.parametrize(("n", "bound"), [(1, 4.0), (3, 4.0), (9, 45.0), (19, 45.0)])
def test_polygamma_of_odd_order_is_within_4_ulp_or_1e_14_for_negative_arguments(
    n: int, bound: float
):
    # 45 ulp are at most 1e-14
    error = worst(lambda x: special.polygamma(n, x), lambda x: exact_polygamma(n, x), NEGATIVE)
    assert error[0] < bound


@pytest.mark.parametrize("n", [0, 2, 4, 10])
def test_polygamma_of_even_order_errs_absolutely_near_its_negative_zeros(n: int):
    with mp.workprec(BITS):
        for x in NEGATIVE:
            exact = exact_polygamma(n, mp.mpf(x))
            bound = 4.0 * math.ulp(float(exact)) + 5e-16 * (
                math.factorial(n + 1) * 2.0 ** (n + 1) + abs(special.polygamma(n, 1.0 - x))
            )
            assert abs(special.polygamma(n, x) - exact) < bound, x


@pytest.mark.parametrize("n", [171, 300, 600])
def test_polygamma_of_an_order_whose_factorial_overflows_loses_only_the_logarithms_digits(n: int):
    for x in (0.9 * n, 1.5 * n, 2.5 * n):
        with mp.workprec(BITS):
            exact = exact_polygamma(n, mp.mpf(x))
            bound = 2.0**-51 * (math.lgamma(n + 1.0) + n * abs(math.log(x)))
            if 1e-300 < abs(exact) < HUGE:
                assert abs(special.polygamma(n, x) / exact - 1) < bound


def test_polygamma_takes_its_limits():
    assert digamma(INF) == INF
    assert [special.polygamma(n, INF) for n in (1.0, 2.0, 200.0)] == [0.0] * 3
    assert [special.polygamma(n, 1e300) for n in (2.0, 200.0, 1e17)] == [0.0] * 3
    assert [special.polygamma(n, 1e-300) for n in (1.0, 2.0, 201.0)] == [INF, -INF, INF]
    assert [special.polygamma(n, -1e-300) for n in (1.0, 2.0, 201.0)] == [INF, INF, INF]
    assert special.polygamma(2.0, -2.0 + 2.0**-51) < -1e40
    assert special.polygamma(2.0, -2.0 - 2.0**-51) > 1e40
    assert math.isnan(digamma(-INF))
    assert [special.polygamma(1e17, x) for x in (1e16, 5e16)] == [-INF, 0.0]


@pytest.mark.parametrize("x", [0.0, -0.0, -1.0, -7.0, -1e15, -1e300, -HUGE])
def test_polygamma_and_lgamma_name_their_poles(x: float):
    for n in (0.0, 1.0, 2.0):
        with pytest.raises(ValueError, match=r"\(n, x\): x must not be 0 or a negative integer"):
            special.polygamma(n, x)
    with pytest.raises(ValueError, match=r"lgamma\(x\): x must not be 0 or a negative integer"):
        special.lgamma(x)


@pytest.mark.parametrize("n", [-1.0, 0.5, NAN, INF])
def test_polygamma_wants_a_whole_order(n: float):
    with pytest.raises(ValueError, match="n must be 0 or a positive whole number"):
        special.polygamma(n, 1.5)


# --- lgamma --------------------------------------------------------------------------------


def test_lgamma_is_within_4_ulp_for_positive_arguments():
    seams = around(0.75, 1.0, 1.2, ROOT, 1.75, 2.0, 2.3, 3.3, 10.0)
    points = seams + [p + d for p in (1.0, 2.0) for d in both(powers(-15, -1, 60))]
    points += grid(0.01, 3.0, 300) + grid(3.0, 30.0) + powers(-323, 305) + [2.5e305]
    assert worst(special.lgamma, mp.loggamma, points)[0] < 4.0


def test_lgamma_of_a_negative_number_errs_by_4e_15_or_8_ulp():
    points = grid(-10.01, -0.01, 300) + grid(-200.3, -10.3) + [-1e10 - 0.5, -1e-5, -1e-300]
    error = worst(special.lgamma, lambda x: mp.log(abs(mp.gamma(x))), points, 4e-15 / 8.0)
    assert error[0] < 8.0


def test_lgamma_overflows_to_infinity():
    assert [special.lgamma(x) for x in (2.6e305, HUGE, INF, -INF)] == [INF] * 4


# --- nan -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        special.gauss,
        special.lgamma,
        special.log_sigmoid,
        special.normal_cdf,
        special.sech2,
        special.sigmoid,
        special.softplus,
        digamma,
    ],
)
def test_nan_gives_nan(function: Callable[[float], float]):
    assert math.isnan(function(NAN))


@pytest.mark.parametrize("other", [-INF, -1.0, 0.0, INF])
def test_a_nan_among_several_arguments_gives_nan(other: float):
    for pair in ((NAN, other), (other, NAN)):
        assert math.isnan(special.logaddexp(*pair))
        assert math.isnan(special.logsumexp(pair))
        assert math.isnan(special.softmax_share(pair))
    assert math.isnan(special.polygamma(3.0, NAN))
