"""Break the engine on purpose, one mistake at a time, and show that the laws notice each.

`python -m tests.mutants` plants the mutants below one after another, runs the laws that ought to
catch each, and prints a table. The exit status is 1 if one survives.

- Every local derivative of every operation: times 1 + 1e-5, with the sign flipped, and exchanged
  with its neighbour; every value times 1 + 1e-5. The comparison with mpmath and the one with
  differences each have to see a wrong derivative by themselves.
- The engine: an edit of a function's source. The edited function is compiled and its code put in
  the place of the old one, so that whoever has imported it runs the mutant.

A law that fails without the mutant has caught nothing, so each is tried on the sound engine too.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import io
import multiprocessing
import os
import signal
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import import_module
from itertools import combinations
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd import REGISTRY, Op, backward, copying, op, ops, transforms, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

steps = import_module("autograd.steps")  # `autograd.steps` is the function in it

SLIGHTLY = 1.0 + 1e-5
PATIENCE = 30  # seconds for one law: a mutant may well loop for ever

MPMATH = "a_local_derivative_is_that_of_mpmath"
DIFFERENCES = "a_local_derivative_is_that_of_differences"
VALUES = "a_value_is_that_of_mpmath"


class StaleMutantError(LookupError):
    """The text that a mutant changes isn't there any more."""


class Mutant(NamedTuple):
    """A mistake: how to plant it, and the laws that are expected to catch it."""

    name: str
    plant: Callable[[], contextlib.AbstractContextManager[None]]
    laws: tuple[str, ...]
    operation: str = ""


# --- mistakes in an operation ---------------------------------------------------------------------


@contextlib.contextmanager
def changed(thing: Any, attribute: str, new: Any) -> Iterator[None]:
    """Give a thing another attribute for a while."""
    old = getattr(thing, attribute)
    setattr(thing, attribute, new)
    try:
        yield
    finally:
        setattr(thing, attribute, old)


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


def with_attribute(
    of: Op, attribute: str, new: Any
) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Return how to plant another attribute in an operation."""
    return lambda: changed(of, attribute, new)


def exchanged(partials: tuple[Any, ...], i: int, j: int) -> tuple[Any, ...]:
    """Return the local derivatives with two in each other's place."""
    found = list(partials)
    found[i], found[j] = found[j], found[i]
    return tuple(found)


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
            yield f"∂/∂{'abc'[index]} {words}", (*right[:index], other, *right[index + 1 :])
    for i, j in combinations(range(len(right)), 2):
        if right[i] != right[j]:  # add has 1 in both places: exchanging them changes nothing
            yield f"∂/∂{'abc'[i]} and ∂/∂{'abc'[j]} exchanged", exchanged(right, i, j)


def wrong_lists(of: Op) -> Iterator[tuple[str, Any]]:
    """Yield the same for an operation of any number of operands."""
    right: Any = of.partials
    for place, index in {"first": 0, "last": -1}.items():
        for words, factor in FACTORS.items():
            yield f"∂/∂{place} {words}", scaled_entry(right, index, factor)
    if of.name not in {"sum", "mean"}:  # whose derivatives are all equal
        yield "∂s in reverse", lambda y, *xs: right(y, *xs)[::-1]


def mutants_of(of: Op) -> Iterator[Mutant]:
    """Yield the mutants of one operation."""
    for words, wrong in wrong_partials(of) if of.arity else wrong_lists(of):
        plant = with_attribute(of, "partials", wrong)
        yield Mutant(f"{of.name}: {words}", plant, (MPMATH, DIFFERENCES), of.name)
    if of.name == "polygamma":
        plant = with_attribute(of, "partials", (0.0, of.partials[1]))
        law = "polygamma_has_no_derivative_in_its_order"
        yield Mutant("polygamma: ∂/∂a is 0", plant, (law,))
    forward = of.forward
    plant = with_attribute(of, "forward", lambda *operands: forward(*operands) * SLIGHTLY)
    yield Mutant(f"{of.name}: value · (1 + 1e-5)", plant, (VALUES,), of.name)


# --- mistakes in the engine -----------------------------------------------------------------------


def code_with(function: Any, edits: Sequence[tuple[str, str, int]]) -> CodeType:
    """Return a function's code after edits of its source, each (old text, new text, occurrence)."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new, occurrence in edits:
        parts = source.split(old)
        if len(parts) <= occurrence:
            message = f"{function.__qualname__} has changed: {old!r} isn't in it; edit the mutant"
            raise StaleMutantError(message)
        source = old.join(parts[:occurrence]) + new + old.join(parts[occurrence:])
    source = "from __future__ import annotations\n" + source
    module = compile(source, f"<mutant of {function.__qualname__}>", "exec")
    return next(
        part
        for part in module.co_consts
        if isinstance(part, CodeType) and part.co_name == function.__name__
    )


def edited(
    law: str | tuple[str, ...],
    name: str,
    function: Any,
    *edits: tuple[str, str] | tuple[str, str, int],
    then: Callable[[], None] = lambda: None,
) -> Mutant:
    """Return the mutant of a function; `then` is called once it is planted, and once it is gone."""

    @contextlib.contextmanager
    def plant() -> Iterator[None]:
        full = [(old, new, *(place or (1,))) for old, new, *place in edits]
        code = code_with(function, full)
        with changed(function, "__code__", code):
            then()
            try:
                yield
            finally:
                function.__code__ = original
                then()

    original = function.__code__
    return Mutant(name, plant, (law,) if isinstance(law, str) else law)


def remake_methods() -> None:
    """Make the methods and operators of Value again, from the functions that are there now."""
    value._add_operators()
    for operation in tuple(REGISTRY.values()):
        value.add_method(operation)


GRADIENT = "the_gradient_of_an_expression_is_that_of_mpmath"
FAST = "the_fast_loop_is_the_generic_one"
STEPS = "steps_add_up_to_backward_to_the_last_bit"
TWICE = "backward_twice_gives_leaves_exactly_twice_and_values_between_the_same"
SEED = "gradients_are_linear_in_the_seed"
DUPLICATES = "an_operand_used_twice_has_an_edge_for_each_use"
ORDER = "the_order_is_topological_and_complete"
STALE = "a_changed_leaf_makes_every_value_above_it_stale"
AFTERWARDS = "a_value_made_afterwards_excuses_no_stale_one"
ROUTES = "what_an_operation_does_not_pass_on_is_not_asked_for_its_derivative"
KINKS = "on_a_kink_the_derivative_is_the_declared_subgradient"
IEEE = "ieee_ends_with_its_block_and_may_be_nested"
ATOMIC = "an_infinite_gradient_is_an_error_and_changes_no_grad"
COPIES = "an_expression_survives_pickle_and_deepcopy_with_its_gradients"
RECORD = "methods_and_operators_record_what_record_does"
NUMBERS = "numbers_of_every_kind_become_the_same_float"
TRANSPOSE = "forward_mode_on_an_expression_is_the_transpose_of_reverse_mode"
NESTED = "nested_derivatives_are_not_confused"
PATHS = "a_gradient_is_the_sum_over_paths"
WANTED = "derivatives_that_nobody_wants_are_not_evaluated"
SHARED = "leaves_add_up_over_results_that_share_them"
SECOND = "the_hessian_of_an_expression_is_symmetric_and_hvp_its_product"
GRADIENTS = "gradients_are_those_of_backward_and_change_no_grad"
EDGES = "an_edge_holds_a_parent_and_its_local_derivative"
RECURSIVE = "recursion_without_an_order_goes_wrong_where_steps_say_so"

data_setter: Any = value.Value.data.fset  # type: ignore[attr-defined]  # a property is one
parents: Any = value.Value.parents.fget  # type: ignore[attr-defined]
FIRST, SECOND_USE = 1, 2


def engine() -> Iterator[Mutant]:
    """Yield the mutants of the engine."""
    walk, many, sort = backward._walk, backward._walk_many, backward.sort
    add = "a._grad += first * upstream"
    yield edited(FAST, "accumulation missing: first of two", walk, (add, add.replace("+", "")))
    yield edited(
        FAST, "accumulation missing: only operand", walk, (add, add.replace("+", ""), SECOND_USE)
    )
    yield edited(FAST, "accumulation missing: second of two", walk, ("b._grad +=", "b._grad ="))
    for place, words in ((FIRST, "many Values"), (SECOND_USE, "many operands")):
        change = ("x._grad += local", "x._grad = local", place)
        yield edited(FAST, f"accumulation missing: {words}", many, change)
    contributions = backward.contributions
    yield edited(
        STEPS,
        "accumulation missing: generic",
        contributions,
        ("grads.get(x, 0.0) + contribution", "contribution"),
    )
    yield edited(
        GRADIENTS,
        "accumulation missing: gradients()",
        contributions,
        ("grads[x] + contribution if x in grads else contribution", "contribution"),
    )
    yield edited(GRADIENT, "backward not multiplied by upstream", walk, (add, "a._grad += first"))
    yield edited(GRADIENT, "order not reversed", walk, ("reversed(computed)", "computed"))
    yield edited(
        STEPS, "order not reversed: generic", contributions, ("reversed(computed)", "computed")
    )
    yield edited(
        ORDER, "values listed before their operands", sort, ("push(node)", "computed.append(node)")
    )
    yield edited(ORDER, "a queue in place of the stack", sort, ("node = pop()", "node = pop(0)"))
    yield edited(
        ORDER,
        "values listed again for each use",
        sort,
        ("elif node._mark is not listed:", "else:"),
        ("node._mark = listed", "node._mark = None"),
    )
    yield edited(
        ORDER,
        "last of many operands not visited",
        sort,
        ("reversed(node._first)", "reversed(x[:-1])"),
    )
    yield edited(
        DUPLICATES,
        "second edge of a * a lost",
        walk,
        ("if type(b) is Value:", "if type(b) is Value and b is not a:"),
    )
    yield edited(
        DUPLICATES,
        "duplicate edges lost: generic",
        backward.local_derivatives,
        ("if type(x) is not Value or", "if type(x) is not Value or x in operands[:index] or"),
    )
    yield edited(
        DUPLICATES,
        "duplicate parents lost",
        parents,
        ("tuple(x for x in self.operands if type(x) is Value)", "tuple({*self.operands})"),
    )
    yield edited(
        DUPLICATES,
        "duplicate edges lost: edges()",
        value.Value.edges,
        ("if type(x) is Value", "if type(x) is Value and x not in operands[:i]"),
    )
    yield from engine_state()
    yield from engine_choices()
    yield from recording()
    yield from copies()
    yield from forward_mode_and_steps()


def engine_state() -> Iterator[Mutant]:
    """Yield mistakes about leaves that changed, earlier passes and seeds."""
    sort, run, sums = backward.sort, backward.backward, backward._sums
    for place, words in enumerate(("second operand", "first operand", "many operands"), 1):
        yield edited(
            AFTERWARDS,
            f"stale check removed: {words}",
            sort,
            ("raise stale(node, x)", "pass", place),
        )
        yield edited(
            AFTERWARDS,
            f"stale check for the first user only: {words}",
            sort,
            ("elif x._clock", "elif x._mark is not listed and x._clock", place),
        )
    yield edited(
        STALE, "stale check removed: edges()", value.Value._local, ("raise stale", "stale")
    )
    yield edited(
        STALE, "a leaf's change leaves no time stamp", data_setter, ("_tick()", "self._clock")
    )
    yield edited(TWICE, "leaves don't accumulate", sums, ("x.grad + (old or 0.0)", "x.grad"))
    yield edited(
        TWICE, "leaves accumulate twice over", sums, ("(old or 0.0)", "2.0 * (old or 0.0)")
    )
    yield edited(
        TWICE,
        "values between not reset",
        run,
        (
            "node._grad = _UNREACHED",
            "node._grad = node._grad if node.op and node._grad else _UNREACHED",
        ),
    )
    yield edited(
        SHARED,
        "leaves reset for good",
        run,
        ("before = list(map(_get_grad, nodes))", "before = [None] * len(nodes)"),
    )
    yield edited(SEED, "seed ignored", run, ("root._grad = seed", "root._grad = 1.0"))
    yield edited(FAST, "seed ignored inside ieee()", run, ("computed, seed)", "computed, 1.0)"))
    yield edited(STEPS, "seed ignored: steps", steps.steps, ("{y: seed}", "{y: 1.0}"))
    yield edited(
        ATOMIC,
        "a failed pass leaves its grads",
        run,
        ("_set_all(nodes, before)", "pass"),
    )
    yield edited(
        ATOMIC,
        "a failed pass forgets earlier grads",
        run,
        ("_set_all(nodes, before)", "_set_all(nodes, [None] * len(nodes))"),
    )
    yield edited(
        ATOMIC,
        "an infinite gradient passes in silence",
        backward.check_finite,
        ("isfinite(sum(grads)) or all_finite(grads)", "True"),
    )


def engine_choices() -> Iterator[Mutant]:
    """Yield mistakes about kinks, about edges that lead nowhere, and about ieee()."""
    walk, contributions = backward._walk, backward.contributions
    for place, words in ((FIRST, "first of two"), (SECOND_USE, "only operand")):
        change = ("if first or not op.routes:", "if True:", place)
        yield edited(ROUTES, f"routes ignored: {words}", walk, change)
    yield edited(
        ROUTES,
        "routes ignored: second of two",
        walk,
        ("if second or not op.routes:", "if True:"),
    )
    yield edited(
        ROUTES,
        "routes ignored: many operands",
        backward._walk_many,
        ("if local or not op.routes:", "if True:"),
    )
    yield edited(
        ROUTES, "routes ignored: generic", contributions, ("routes and local == 0.0", "False")
    )
    yield edited(
        ROUTES,
        "values that nothing reaches are asked",
        walk,
        ("if upstream is _UNREACHED:", "if False:"),
    )
    yield edited(
        WANTED,
        "derivatives that nobody wants are asked for",
        backward.differentiate,
        ("lift=lift, wanted=wanted", "lift=lift"),
    )
    yield edited(
        WANTED,
        "tangents of constants are asked for",
        transforms._push,
        ("lift=lift, wanted=wanted", "lift=lift"),
    )
    yield edited(
        GRADIENTS,
        "gradients(): values between not wanted",
        backward.differentiate,
        ("wanted.add(node)", "pass"),
    )
    yield edited(
        KINKS,
        "a tie belongs to the first operand",
        ops._above,
        ("0.5 + 0.5 * sign(a - b)", "1.0 - step(b - a)"),
    )
    yield edited(
        KINKS, "a tie belongs to nobody", ops._above, ("0.5 + 0.5 * sign(a - b)", "step(a - b)")
    )
    yield edited(
        KINKS, "a tie belongs to both", ops._above, ("sign(a - b)", "sign(a - b + (a == b))")
    )
    yield Mutant(
        "step(0) is 1, relu'(0) too",
        lambda: changed(ops.step, "forward", lambda a: float(a >= 0.0)),
        (KINKS,),
    )
    yield edited(KINKS, "sign(0) is 1, abs'(0) too", ops._sign, ("a > 0.0", "a >= 0.0"))
    yield edited(IEEE, "ieee() never ends", op.ieee.__exit__, ("ieee._active.reset", "id"))
    yield edited(
        IEEE,
        "an inner ieee() ends the outer one",
        op.ieee.__exit__,
        ("reset(self._tokens.pop())", "set(False)"),
    )
    yield edited(IEEE, "ieee() does nothing", op.ieee.active, ("ieee._active.get()", "False"))


def recording() -> Iterator[Mutant]:
    """Yield mistakes in what a node holds."""
    record = value.Value.record
    yield edited(
        NUMBERS,
        "constants kept as they come",
        record,
        ('x if type(x) is Value else to_float(x, f"an operand of {op.name}")', "x"),
    )
    yield edited(
        RECORD,
        "operands exchanged by record",
        record,
        ("node._first, node._second = operands\n", "node._second, node._first = operands\n"),
    )
    yield edited(
        RECORD,
        "operands exchanged by a method",
        value._binary_method,
        ("node._first = self", "node._first = other"),
        ("node._second = other", "node._second = self"),
        then=remake_methods,
    )
    yield edited(
        RECORD,
        "data exchanged by a method",
        value._binary_method,
        ("forward(self._data, x)", "forward(x, self._data)"),
        then=remake_methods,
    )
    yield edited(
        RECORD,
        "a number on the left taken for the right",
        value._reflected_method,
        ("(x, self)", "(self, x)"),
        then=remake_methods,
    )
    for maker in (value._unary_method, value._binary_method):
        yield edited(
            RECORD,
            f"a method's node is always young: {maker.__name__}",
            maker,
            ("node._clock = _clock", "node._clock = 10**9"),
            then=remake_methods,
        )


def copies() -> Iterator[Mutant]:
    """Yield mistakes in copies and pickles."""
    keep = "node._data, node._grad, node._label, node.scope"
    yield edited(
        COPIES, "copies lose grad", copying._state, (keep, keep.replace("node._grad", "None"))
    )
    yield edited(
        COPIES, "copies lose the label", copying._state, (keep, keep.replace("node._label", "None"))
    )
    yield edited(
        COPIES,
        "copies are older than their leaves",
        copying.make_node,
        ("clockwork._clock", "0"),
    )
    yield edited(
        COPIES,
        "deepcopy shares the leaves",
        copying.copy_graph,
        (
            "memo[id(x)] if type(x) is Value else x",
            "memo[id(x)] if type(x) is Value and x.op else x",
        ),
    )
    yield edited(
        COPIES,
        "deepcopy copies a shared value again",
        copying.copy_graph,
        ("lambda x: id(x) in memo", "lambda x: False"),
    )
    yield edited(
        COPIES,
        "unpickling mixes up leaves",
        copying._at,
        ("outside[-1 - place]", "outside[place]"),
    )
    # That a leaf is listed once among a pickle's `outside` is economy: pickle knows it again.
    yield edited(
        COPIES,
        "pickling copies a shared value again",
        copying._Flat.__init__,
        ("return node.op is None or place is not None", "return node.op is None"),
    )


def forward_mode_and_steps() -> Iterator[Mutant]:
    """Yield mistakes in the transforms, the steps and the paths."""
    yield edited(
        TRANSPOSE, "tangents not multiplied", transforms._push, ("local * along[x]", "along[x]")
    )
    yield edited(
        TRANSPOSE,
        "only the first tangent counts",
        transforms._push,
        ("terms[0] if len(terms) == 1 else", "terms[0] if terms else"),
    )
    yield edited(
        NESTED,
        "inner and outer derivatives confused",
        transforms._Trace.__init__,
        ("ops.pos(x) if", "x if"),
    )
    yield edited(
        NESTED,
        "an inner derivative forgets its graph",
        transforms._Trace.__init__,
        ("self.lift |= _depends(self.outputs, outer)", "pass"),
    )
    yield edited(
        STEPS,
        "steps: accumulated starts afresh",
        steps.steps,
        ("running[c.parent] = before + c.contribution", "running[c.parent] = c.contribution"),
    )
    yield edited(
        RECURSIVE,
        "steps: nothing is ever too early",
        steps._recursive_steps,
        ("complete.get(value, 0.0))", "upstream)"),
    )
    yield edited(PATHS, "a path forgets its factors", steps.paths, ("product * d", "d"))
    yield edited(
        PATHS,
        "a path taken twice",
        steps.paths,
        ("stack += reversed(further)", "stack += reversed(further + further[:1])"),
    )
    yield edited(
        EDGES,
        "an edge differentiates in another operand",
        value.Value._local,
        ("op.local(index,", "op.local(-1 - index,"),
    )


@cache
def all_mutants() -> list[Mutant]:
    """Return every mutant, in the order of the table."""
    builtin = [operation for operation in REGISTRY.values() if operation.builtin]
    return [*(mutant for operation in builtin for mutant in mutants_of(operation)), *engine()]


# --- the trial ------------------------------------------------------------------------------------


@cache
def _laws() -> Any:
    # Nothing found here is worth keeping or making smaller, and every run should see the same.
    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415  (a worker's business)

    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    sys.path.insert(0, str(Path(__file__).parent))
    return import_module("test_laws")


class _OutOfTimeError(BaseException):
    """Raised by the alarm; no `except Exception` stops it."""


def _alarm(*_: object) -> None:
    raise _OutOfTimeError


def _passes(test: Any, call: dict[str, Any]) -> bool:
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            contextvars.copy_context().run(test, **call)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (pytest's own are no Exceptions; whatever it is, it tells)
        return False
    finally:
        signal.alarm(0)
    return True


def _calls(law: str, operation: str) -> list[dict[str, Any]]:
    # The arguments of pytest's parametrize; those with that operation, if one is named.
    calls: list[dict[str, Any]] = [{}]
    for mark in getattr(getattr(_laws(), f"test_{law}"), "pytestmark", []):
        names, rows = mark.args
        names = [names] if isinstance(names, str) else names
        rows = [row if len(names) > 1 else (row,) for row in rows]
        calls = [dict(zip(names, row, strict=True)) for row in rows]
    return [call for call in calls if not operation or call["op"].name == operation]


_sound: dict[tuple[str, int], bool] = {}


def catches(law: str, mutant: Mutant) -> bool:
    """Say whether the law fails with the mutant and holds without."""
    test = getattr(_laws(), f"test_{law}")
    for call in _calls(law, mutant.operation):
        with mutant.plant():
            caught = not _passes(test, call)
        if not caught:
            continue
        key = (law, hash(tuple(call.values())))
        if key not in _sound:
            _sound[key] = _passes(test, call)
        if _sound[key]:
            return True
    return False


class Verdict(NamedTuple):
    """A mutant's name and the laws that caught it; none if it survives."""

    mutant: str
    caught_by: tuple[str, ...]
    complaint: str = "SURVIVES"


def judge(number: int) -> Verdict:
    """Try one mutant, and let each of its laws have its say."""
    mutant = all_mutants()[number]
    try:
        return Verdict(mutant.name, tuple(law for law in mutant.laws if catches(law, mutant)))
    except StaleMutantError as error:
        return Verdict(mutant.name, (), str(error))


def judge_all() -> Iterator[Verdict]:
    """Yield a verdict for each mutant, in the order of the table."""
    # A fresh interpreter each, since forking a process with threads is asking for trouble.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), mp_context=context) as pool:
        yield from pool.map(judge, range(len(all_mutants())), chunksize=4)


def main() -> int:
    """Print the table and return the exit status."""
    start = time.monotonic()
    width = max(len(mutant.name) for mutant in all_mutants())
    survivors, count = 0, 0
    for verdict in judge_all():
        laws = ", ".join(verdict.caught_by) or verdict.complaint
        sys.stdout.write(f"{verdict.mutant:<{width}}  {laws}\n")
        count += 1
        survivors += not verdict.caught_by
    seconds = time.monotonic() - start
    caught = count - survivors
    sys.stdout.write(f"{count} mutants, {caught} caught, {survivors} survive ({seconds:.0f} s)\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
