"""Mistakes in the record of an operation.

- Every local derivative: times 1 + 1e-5, with the sign flipped, exchanged with its neighbour.
- What a local derivative is computed from, taken for a plain number: the derivative is right, and
  its graph, from which second derivatives come, has a gap.
- On every kink: another subgradient than the declared one, and what is no subgradient at all.
- Every value: times 1 + 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from mutants_planting import RECORD_CHECK, Mutant, blind_on_kinks, changed, seen_on_kinks

from autograd import Kink, Op, Value, gradients
from autograd.value import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mutants_planting import Plant

SLIGHTLY = 1.0 + 1e-5
LETTERS = "abc"

MPMATH = "a_local_derivative_is_that_of_mpmath"
DIFFERENCES = "a_local_derivative_is_that_of_differences"
SECOND = "a_second_derivative_is_that_of_differences_of_the_first"
VALUES = "a_value_is_that_of_mpmath"
KINKS = "on_a_kink_the_derivative_is_the_declared_subgradient"

Rules = tuple[Any, ...]


def mutants_of(of: Op) -> Iterator[Mutant]:
    """Yield the mutants of one operation."""
    for words, wrong in wrong_partials(of) if of.arity else wrong_lists(of):
        yield with_rules(of, words, wrong, MPMATH, DIFFERENCES)
    for words, wrong in cut_off(of):
        yield with_rules(of, words, wrong, SECOND)
    yield from wrong_subgradients(of)
    yield from other_subgradients(of)
    yield wrong_value(of)
    if of.name == "polygamma":
        plant = with_attribute(of, "partials", (0.0, of.partials[1]))
        law = "polygamma_has_no_derivative_in_its_order"
        why = "between whole orders there is no function to take differences of"
        name = "polygamma: ∂/∂a is 0"
        yield Mutant(name, plant, (law,), (), of.name, (RECORD_CHECK,), why)


def with_rules(of: Op, words: str, wrong: Any, *laws: str) -> Mutant:
    """Return the mutant of an operation with other local derivatives."""
    plant = with_attribute(of, "partials", wrong)
    return Mutant(f"{of.name}: {words}", plant, laws, (RECORD_CHECK,), of.name)


def with_attribute(of: Op, attribute: str, new: Any) -> Plant:
    """Return how to plant another attribute in an operation."""
    return lambda: changed(of, attribute, new)


def wrong_value(of: Op) -> Mutant:
    """Return the mutant with a wrong value; what its derivatives should be, nobody can know then.

    They are found wrong where they were made for the right value, which they are but for a few.
    """
    forward = of.forward
    plant = with_attribute(of, "forward", lambda *operands: forward(*operands) * SLIGHTLY)
    why = RIGHT_FOR_WRONG.get(of.name, "")
    checks, blind = ((), (RECORD_CHECK,)) if why else ((RECORD_CHECK,), ())
    name = f"{of.name}: value · (1 + 1e-5)"
    return Mutant(name, plant, (VALUES,), checks, of.name, blind, why)


_GROWS = "its derivatives are multiples of its values, so they have changed with it"
_FLAT = "its derivative is 0 whatever its values are"

RIGHT_FOR_WRONG = {
    **dict.fromkeys(("exp", "exp2", "gauss", "polygamma", "pow_below"), _GROWS),
    **dict.fromkeys(("sign", "step", "less", "less_equal", "equal"), _FLAT),
}


# --- a wrong derivative ---------------------------------------------------------------------------


def scaled(rule: Any, factor: float) -> Any:
    """Return a local derivative times a factor."""
    if callable(rule):
        return lambda y, *operands: rule(y, *operands) * factor
    return rule * factor


def scaled_entry(rules: Callable[..., list[Any]], index: int, factor: float) -> Any:
    """Return the list of local derivatives with one of them times a factor."""

    def wrong(y: Any, *operands: Any) -> list[Any]:
        found = list(rules(y, *operands))
        found[index] = found[index] * factor
        return found

    return wrong


def replaced(rules: Rules, index: int, rule: Any) -> Rules:
    """Return the local derivatives with another one in one place."""
    return (*rules[:index], rule, *rules[index + 1 :])


def exchanged(rules: Rules, i: int, j: int) -> Rules:
    """Return the local derivatives with two in each other's place."""
    return replaced(replaced(rules, i, rules[j]), j, rules[i])


FACTORS = {"· (1 + 1e-5)": SLIGHTLY, "· (-1)": -1.0}


def wrong_partials(of: Op) -> Iterator[tuple[str, Any]]:
    """Yield what is wrong and the wrong local derivatives, for an operation of fixed arity."""
    right: Any = of.partials
    for index, rule in enumerate(right):
        wrong = {words: scaled(rule, factor) for words, factor in FACTORS.items()}
        if rule == 0.0:  # nothing times 0 is a change
            wrong = {"+ 1e-5": 1e-5}
        if (of.name, index) == ("polygamma", 0):  # there is no derivative that could be wrong
            continue
        for words, other in wrong.items():
            yield f"∂/∂{LETTERS[index]} {words}", replaced(right, index, other)
    for i, j in combinations(range(len(right)), 2):
        if right[i] != right[j]:  # add has 1 in both places: exchanging them changes nothing
            words = f"∂/∂{LETTERS[i]} and ∂/∂{LETTERS[j]} exchanged"
            yield words, exchanged(right, i, j)


def wrong_lists(of: Op) -> Iterator[tuple[str, Any]]:
    """Yield the same for an operation of any number of operands."""
    right: Any = of.partials
    for place, index in {"first": 0, "last": -1}.items():
        for words, factor in FACTORS.items():
            yield f"∂/∂{place} {words}", scaled_entry(right, index, factor)
    if of.name not in {"sum", "mean"}:  # whose derivatives are all equal
        yield "∂s in reverse", lambda y, *xs: right(y, *xs)[::-1]


# --- a derivative without its graph ---------------------------------------------------------------


def cut_off(of: Op) -> Iterator[tuple[str, Any]]:
    """Yield the local derivatives with an argument of one taken for a number, where it matters."""
    right: Any = of.partials
    if of.arity is None:
        if matters(right, of, 1, count=4):
            yield "∂s forget that they depend on the first", without(right, 1)
        if matters(right, of, 0, count=4):
            yield "∂s forget that they depend on y", without(right, 0)
        return
    for index, rule in enumerate(right):
        for place in range(of.arity + 1):
            if callable(rule) and matters(rule, of, place, count=of.arity):
                words = f"∂/∂{LETTERS[index]} forgets that it depends on {'yabc'[place]}"
                yield words, replaced(right, index, without(rule, place))


def without(rule: Callable[..., Any], place: int) -> Callable[..., Any]:
    """Return the rule with one of (y, *operands) taken for a number."""

    def wrong(*arguments: Any) -> Any:
        return rule(*replaced(arguments, place, plain(arguments[place])))

    return wrong


def matters(rule: Callable[..., Any], of: Op, place: int, *, count: int) -> bool:
    """Say whether the rule's derivative in one of (y, *operands) is other than 0 somewhere."""
    for point in product((0.6, -0.7, 1.7, 2.0), repeat=count):
        try:
            arguments = [Value(x) for x in (of.forward(*point), *point)]
            lifted = rule(*arguments)
            for y in lifted if isinstance(lifted, list) else [lifted]:
                if type(y) is Value and gradients(y, [arguments[place]])[0].data:
                    return True
        except (ArithmeticError, ValueError):
            continue
    return False


# --- another subgradient --------------------------------------------------------------------------

Move = Callable[[Any], Any]

# The kinks with operands in which the slopes on the two sides differ: one of them, and 1 or 0.
BENT = {
    "abs: a = 0": "a",
    "hypot: a = b = 0": "ab",
    "relu: a = 0": "a",
    "leaky_relu: a = 0": "a",
    "elu: a = 0, b ≠ 1": "a",
}

# Ties: each derivative may be anything from 0 to 1, but the two add up to 1.
TIES = {
    "maximum: a = b": "ab",
    "minimum: a = b": "ab",
    "clip: a = b": "ab",
    "clip: a = c": "ac",
}

CORNER = "clip: b = a = c"  # outside of the domain in which derivatives exist
# At this one point there is another value, whatever is moved.
LONELY = {"where: a = 0": "a", "equal: a = b": "ab"}


def wrong_subgradients(of: Op) -> Iterator[Mutant]:
    """Yield the mutants with a derivative on a kink that is no subgradient."""
    right: Any = of.partials
    for kink in of.kinks:
        place = f"{of.name}: {kink.at}"
        for letter in LETTERS[: len(right)]:
            wrong = with_moves(right, kink, {letter: add(10.0)})
            mutant = with_rules(of, f"∂/∂{letter} is 10 more where {kink.at}", wrong, KINKS)
            if letter in LONELY.get(place, ""):
                yield blind_on_kinks(mutant, "a jump to a single point has no slopes")
            else:
                yield mutant if place == CORNER else seen_on_kinks(mutant)
        for letter in TIES.get(place, ""):
            wrong = with_moves(right, kink, {letter: add(0.25)})
            words = f"∂/∂{letter} alone is nearer to 1 where {kink.at}"
            yield seen_on_kinks(with_rules(of, words, wrong, KINKS))


def other_subgradients(of: Op) -> Iterator[Mutant]:
    """Yield the mutants with another subgradient on a kink than the declared one."""
    right: Any = of.partials
    for kink in of.kinks:
        place = f"{of.name}: {kink.at}"
        for letter in BENT.get(place, ""):
            wrong = with_moves(right, kink, {letter: lambda local: local + 0.25 * (1.0 - local)})
            words = f"∂/∂{letter} is nearer to 1 where {kink.at}"
            yield blind_on_kinks(with_rules(of, words, wrong, KINKS))
        if place in TIES:
            moves = dict(zip(TIES[place], (add(0.5), add(-0.5)), strict=True))
            words = f"all belongs to a where {kink.at}"
            wrong = with_moves(right, kink, moves)
            yield blind_on_kinks(with_rules(of, words, wrong, KINKS))


def add(amount: float) -> Move:
    """Return the function that adds a number."""
    return lambda local: local + amount


def with_moves(rules: Rules, kink: Kink, moves: dict[str, Move]) -> Rules:
    """Return the rules with other results on a kink, by the operand's letter."""
    for letter, move in moves.items():
        index = LETTERS.index(letter)
        rules = replaced(rules, index, moved(rules[index], kink, move))
    return rules


def moved(rule: Any, kink: Kink, move: Move) -> Callable[..., Any]:
    """Return the rule with another result on a kink."""

    def wrong(y: Any, *operands: Any) -> Any:
        local = rule(y, *operands) if callable(rule) else rule
        return move(local) if kink.holds(*map(plain, operands)) else local

    return wrong
