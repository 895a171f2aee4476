"""The laws notice every mistake that is planted: `python -m tests.mutants` prints which does."""

import contextlib

import mutants
import pytest

from autograd import REGISTRY, Value


@pytest.mark.mutants
def test_every_mutant_is_caught_by_each_law_that_should_catch_it():
    expected = {mutant.name: mutant.laws for mutant in mutants.all_mutants()}
    verdicts = list(mutants.judge_all())
    assert len(verdicts) == len(expected)  # no two have one name
    missed = [verdict for verdict in verdicts if verdict.caught_by != expected[verdict.mutant]]
    assert not missed, "\n".join(map(str, missed))


def test_every_local_derivative_of_every_operation_has_mutants():
    names = [mutant.name for mutant in mutants.all_mutants()]
    for op in REGISTRY.values():
        if op.builtin:
            places = "abc"[: op.arity] if op.arity else ("first", "last")
            for place in places:
                assert any(name.startswith(f"{op.name}: ∂/∂{place} ") for name in names)
            assert f"{op.name}: value · (1 + 1e-5)" in names


def test_a_mutant_leaves_no_trace():
    def derivatives() -> list[float]:
        a, b = Value(0.5), Value(0.5)
        ((a + b) * a.tanh() / b.maximum(a) - 2.0 * a).backward()
        return [a.grad, b.grad]

    before = derivatives()
    for mutant in mutants.all_mutants():
        with contextlib.suppress(mutants.StaleMutantError), mutant.plant():
            pass
    assert derivatives() == before


def test_a_mutant_of_code_that_is_gone_says_so():
    def sound(x: float) -> float:
        return x + 1.0

    mutant = mutants.edited("law", "name", sound, ("x - 1.0", "x"))
    with pytest.raises(
        mutants.StaleMutantError, match=r"sound has changed: 'x - 1\.0' isn't in it"
    ):
        mutant.plant().__enter__()
