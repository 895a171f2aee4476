"""Every mistake that is planted is noticed: `python -m tests.mutants` prints by what."""

import contextlib

import mutants
import mutants_planting
import pytest
from mutants_checks import (  # noqa: F401  (pytest runs them from here, on the sound engine)
    test_check_gradients_finds_a_gradient_right_or_it_is_refused_after_a_change,
    test_check_gradients_finds_a_record_right,
    test_check_gradients_finds_a_subgradient_right,
    test_check_gradients_finds_each_way_to_a_gradient_right,
    test_check_gradients_finds_our_gradients_right,
)

from autograd import REGISTRY, Value


@pytest.mark.mutants
def test_every_mutant_is_caught_by_those_that_should_catch_it_and_by_them_alone():
    missed = [verdict for verdict in mutants.judge_all() if verdict.complaint]
    assert not missed, "\n".join(map(str, missed))


def test_every_mutant_is_one_for_the_suite_and_for_check_gradients_or_says_why_not():
    everyone = mutants.all_mutants()
    assert len({mutant.name for mutant in everyone}) == len(everyone)
    for mutant in everyone:
        assert mutant.laws
        assert mutant.checks or mutant.why
        assert bool(mutant.blind) == bool(mutant.why)


def test_every_local_derivative_of_every_operation_has_mutants():
    names = [mutant.name for mutant in mutants.all_mutants()]
    for op in REGISTRY.values():
        if op.builtin:
            places = "abc"[: op.arity] if op.arity else ("first", "last")
            for place in places:
                assert any(name.startswith(f"{op.name}: ∂/∂{place} ") for name in names)
                for kink in op.kinks:
                    assert f"{op.name}: ∂/∂{place} is 10 more where {kink.at}" in names
            assert f"{op.name}: value · (1 + 1e-5)" in names


# They are straight between their kinks, or everywhere: a derivative of the derivative is 0.
STRAIGHT = {"abs", "add", "clip", "maximum", "mean", "minimum", "neg", "pos", "relu", "sign"}
STRAIGHT |= {"step", "sub", "sum", "where", "less", "less_equal", "equal"}


def test_every_derivative_that_is_not_constant_has_a_mutant_with_a_gap_in_its_graph():
    names = [mutant.name for mutant in mutants.all_mutants()]
    for op in REGISTRY.values():
        has = any(n.startswith(f"{op.name}: ") and "that it depends on" in n for n in names)
        has |= any(n.startswith(f"{op.name}: ") and "that they depend on" in n for n in names)
        assert has == (op.builtin and op.name not in STRAIGHT), op.name


def test_a_mutant_leaves_no_trace():
    def derivatives() -> list[float]:
        a, b = Value(0.5), Value(0.5)
        ((a + b) * a.tanh() / b.maximum(a) - 2.0 * a).backward()
        return [a.grad, b.grad]

    before = derivatives()
    for mutant in mutants.all_mutants():
        with contextlib.suppress(mutants_planting.StaleMutantError), mutant.plant():
            pass
    assert derivatives() == before


def test_a_mutant_of_code_that_is_gone_says_so():
    def sound(x: float) -> float:
        return x + 1.0

    mutant = mutants_planting.edited("law", "name", sound, ("x - 1.0", "x"))
    with pytest.raises(
        mutants_planting.StaleMutantError, match=r"sound has changed: 'x - 1\.0' isn't in it"
    ):
        mutant.plant().__enter__()
