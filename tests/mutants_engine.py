"""Mistakes in the engine: in its sums, its order, its graphs, its state and the ways to a gradient.

Each of them that makes a derivative wrong is for `check_gradients` to find, too; for each of the
others `unseen` says why it makes none wrong.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mutants_planting import (
    RECORD_CHECK,
    STALE_CHECK,
    WAY_CHECK,
    Mutant,
    blind_on_kinks,
    changed,
    edited,
    seen_on_kinks,
)

from autograd import REGISTRY, backward, copying, op, ops, tracing, transforms, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

steps = import_module("autograd.steps")  # `autograd.steps` is the function in it

PASSES = "an_operation_passes_back_upstream_times_its_local_derivatives"
FAST = "the_fast_loop_is_the_generic_one"
STEPS = "steps_add_up_to_backward_to_the_last_bit"
GRADIENTS = "gradients_are_those_of_backward_and_change_no_grad"
DUPLICATES = "an_operand_used_twice_has_an_edge_for_each_use"
ORDER = "the_order_is_topological_and_complete"
SECOND = "a_second_derivative_is_that_of_differences_of_the_first"
CONFUSED = "perturbations_of_nested_transforms_are_not_confused"
SETTER = "the_data_of_a_leaf_can_be_set_and_that_of_a_computed_value_cannot"
STALE = "a_changed_leaf_makes_every_value_above_it_stale"
AFTERWARDS = "a_value_made_afterwards_excuses_no_stale_one"
TWICE = "backward_twice_gives_leaves_exactly_twice_and_values_between_the_same"
SHARED = "leaves_add_up_over_results_that_share_them"
SEED = "gradients_are_linear_in_the_seed"
ATOMIC = "an_infinite_gradient_is_an_error_and_changes_no_grad"
ROUTES = "what_an_operation_does_not_pass_on_is_not_asked_for_its_derivative"
WANTED = "derivatives_that_nobody_wants_are_not_evaluated"
KINKS = "on_a_kink_the_derivative_is_the_declared_subgradient"
IEEE = "ieee_ends_with_its_block_and_may_be_nested"
NUMBERS = "numbers_of_every_kind_become_the_same_float"
RECORD = "methods_and_operators_record_what_record_does"
COPIES = "an_expression_survives_pickle_and_deepcopy_with_its_gradients"
TRANSPOSE = "forward_mode_on_an_expression_is_the_transpose_of_reverse_mode"
NESTED = "nested_derivatives_are_not_confused"
PATHS = "a_gradient_is_the_sum_over_paths"
EDGES = "an_edge_holds_a_parent_and_its_local_derivative"
CUT = "forward_mode_passes_a_choice_by_on_the_edges_that_it_cuts_and_on_no_other"
TRACED = "a_traced_derivative_is_right_wherever_a_choice_goes_the_other_way"
OWN = "an_operation_of_ones_own_counts_as_singular_since_nobody_knows"
INSIDE = "a_transform_inside_a_trace_keeps_its_graph_also_at_plain_numbers"
SCOPE = "an_error_in_a_derivative_leaves_the_scope_as_it_was"
COMPARED = "a_comparison_in_a_trace_is_a_value_that_is_1_where_it_holds"
NOTED = "where_python_asks_for_a_truth_the_question_the_answer_and_the_line_are_noted"
HOLDS = "a_trace_holds_exactly_where_its_decisions_are_the_same"
FROZEN = "what_would_freeze_a_number_is_an_error_in_a_trace_and_the_remedy_is_named"
THREAD = "a_trace_is_of_its_own_thread_only"
CAREFUL = "a_careful_trace_is_right_for_numbers_that_are_not_finite_too"
UNMASKED = "a_trace_is_right_where_what_it_has_left_unmasked_is_finite"
MADE = "the_leaves_that_a_function_makes_are_noted"
RECURSIVE = "recursion_without_an_order_goes_wrong_where_steps_say_so"

walk, many, sort = backward._walk, backward._walk_many, backward.sort
contributions, local_derivatives = backward.contributions, backward.local_derivatives
data_setter: Any = value.Value.data.fset  # type: ignore[attr-defined]  # a property is one
parents: Any = value.Value.parents.fget  # type: ignore[attr-defined]
FIRST, SECOND_USE = 1, 2


def engine() -> Iterator[Mutant]:
    """Yield the mutants of the engine."""
    yield from sums()
    yield from generic_sums()
    yield from exchanges()
    yield from duplicates()
    yield from orders()
    yield from graphs_of_gradients()
    yield from state()
    yield from passes()
    yield from choices()
    yield from kinks()
    yield from recording()
    yield from copies()
    yield from forward_mode_and_steps()
    yield from traced_choices()
    yield from decisions()


# --- the backward pass ----------------------------------------------------------------------------

# Where the fast loop adds a contribution: the line, which of those like it, and an operation by
# whose gradients a law sees it.
ADDITIONS: dict[str, tuple[Any, str, int, str]] = {
    "first of two": (walk, "a._grad += first * upstream", FIRST, "mul"),
    "second of two": (walk, "b._grad += second * upstream", FIRST, "mul"),
    "only operand": (walk, "a._grad += first * upstream", SECOND_USE, "exp"),
    "any number of operands": (many, "x._grad += local * upstream", FIRST, "logsumexp"),
    "three operands": (many, "x._grad += local * upstream", SECOND_USE, "where"),
}

MISTAKES: dict[str, Callable[[str], str]] = {
    "accumulation missing": lambda line: line.replace("+=", "="),
    "off by 1e-5": lambda line: f"{line} * 1.00001",
    "sign": lambda line: line.replace("+=", "-="),
    "not multiplied by upstream": lambda line: line.replace(" * upstream", ""),
    "not multiplied by the local derivative": lambda line: f"{line.split()[0]} += upstream",
}


def sums() -> Iterator[Mutant]:
    """Yield mistakes in what the fast loop adds to a gradient."""
    for mistake, wrong in MISTAKES.items():
        for place, (function, line, occurrence, user) in ADDITIONS.items():
            law = PASSES
            if mistake == "accumulation missing":
                # In a * a the second contribution is added whatever the first has done.
                law = FAST if place in {"first of two", "only operand"} else DUPLICATES
            elif place == "three operands" and mistake == "not multiplied by the local derivative":
                law = DUPLICATES  # those of `where` are 1 or cut the edge
            change = (line, wrong(line), occurrence)
            yield edited(law, f"{mistake}: {place}", function, change, operation=user)


def generic_sums() -> Iterator[Mutant]:
    """Yield the same mistakes in the generic loop."""
    product = "local * upstream"
    for mistake, wrong in {
        "off by 1e-5": f"{product} * 1.00001",
        "sign": f"-{product}",
        "not multiplied by upstream": "local",
        "not multiplied by the local derivative": "upstream",
    }.items():
        yield edited(STEPS, f"{mistake}: generic", contributions, (product, wrong))
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


def exchanges() -> Iterator[Mutant]:
    """Yield the mistake of taking one operand for another."""
    a, b = "a._data if type(a) is Value else a", "b._data if type(b) is Value else b"
    yield edited(
        PASSES,
        "local derivatives exchanged: two operands",
        walk,
        ("first, second = op.partials", "second, first = op.partials"),
        operation="div",
    )
    yield edited(
        PASSES,
        "operands of a rule exchanged: first of two",
        walk,
        (f"first(node._data, a._data, {b})", f"first(node._data, {b}, a._data)"),
        operation="div",
    )
    yield edited(
        PASSES,
        "operands of a rule exchanged: second of two",
        walk,
        (f"second(node._data, {a}, b._data)", f"second(node._data, b._data, {a})"),
        operation="div",
    )
    yield edited(
        PASSES,
        "local derivatives exchanged: any number of operands",
        many,
        ("op.partials(node._data, *data)", "op.partials(node._data, *data)[::-1]"),
        operation="dot",
    )
    rule = "op.local(index, y, xs)"
    yield edited(
        STEPS,
        "local derivatives exchanged: generic",
        local_derivatives,
        (rule, "op.local(-1 - index, y, xs)"),
    )
    yield edited(
        STEPS,
        "operands of a rule exchanged: generic",
        local_derivatives,
        (rule, "op.local(index, y, xs[::-1])"),
    )


def duplicates() -> Iterator[Mutant]:
    """Yield the mistake of counting an operand that is used twice once."""
    yield edited(
        DUPLICATES,
        "first edge of a * a lost",
        walk,
        ("if type(a) is Value:", "if type(a) is Value and a is not b:"),
    )
    yield edited(
        DUPLICATES,
        "second edge of a * a lost",
        walk,
        ("if type(b) is Value:", "if type(b) is Value and b is not a:"),
    )
    yield edited(
        DUPLICATES,
        "duplicate edges lost: any number of operands",
        many,
        ("in zip(", "in dict(zip("),
        ("strict=True):", "strict=True)).items():"),
    )
    yield edited(
        DUPLICATES,
        "duplicate edges lost: generic",
        local_derivatives,
        ("if type(x) is not Value or", "if type(x) is not Value or x in operands[:index] or"),
    )
    yield edited(
        DUPLICATES,
        "duplicate edges lost: edges()",
        value.Value.edges,
        ("if type(x) is Value", "if type(x) is Value and x not in operands[:i]"),
        check=WAY_CHECK,
    )
    yield edited(
        DUPLICATES,
        "duplicate parents lost",
        parents,
        ("tuple(x for x in self.operands if type(x) is Value)", "tuple({*self.operands})"),
        unseen="no pass counts parents: each goes by the operands",
    )


def orders() -> Iterator[Mutant]:
    """Yield mistakes in the order in which values pass their gradients on."""
    reverse = "for node in reversed(computed):"
    breadth_first = (
        "order = computed[-1:]\n"
        "    for node in order:\n"
        "        new = [x for x in node.parents if x.op and id(x) not in {*map(id, order)}]\n"
        "        order += dict.fromkeys(new)"
    )
    for law, which, loop in ((FAST, "fast", walk), (STEPS, "generic", contributions)):
        yield edited(law, f"order not reversed: {which}", loop, (reverse, "for node in computed:"))
        # A value comes as soon as one of its uses has, which may be before its other uses.
        yield edited(law, f"premature, breadth first: {which}", loop, (reverse, breadth_first))
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
    yield edited(ORDER, "second operand not visited", sort, ("push(x)", "pass"), check=WAY_CHECK)
    yield edited(
        ORDER,
        "last of many operands not visited",
        sort,
        ("reversed(part)", "reversed(part[:-1])"),
        check=WAY_CHECK,
    )


def graphs_of_gradients() -> Iterator[Mutant]:
    """Yield gaps in the graphs of gradients: the first derivative is right, the second isn't."""
    yield edited(
        SECOND,
        "local derivatives have no graph",
        local_derivatives,
        ("if not lift:", "if True:"),
        operation="exp",
    )
    yield edited(
        SECOND,
        "local derivatives forget that they depend on the result",
        local_derivatives,
        ("y: Any = node", "y: Any = node._data"),
        operation="exp",
    )
    yield edited(
        SECOND,
        "local derivatives forget that they depend on the operands",
        local_derivatives,
        ("xs: Any = operands", "xs: Any = [plain(x) for x in operands]"),
        operation="sin",
    )
    product = "else local * upstream"
    yield edited(
        CONFUSED,
        "the upstream gradient has no graph",
        contributions,
        (product, "else local * plain(upstream)"),
    )
    yield edited(
        CONFUSED,
        "a local derivative that happens to be 1 has no graph",
        contributions,
        ("type(local) is float and local == 1.0", "local == 1.0"),
    )
    total = "grads[x] + contribution if"
    yield edited(
        CONFUSED,
        "earlier contributions have no graph",
        contributions,
        (total, "plain(grads[x]) + contribution if"),
    )
    yield edited(
        CONFUSED,
        "later contributions have no graph",
        contributions,
        (total, "grads[x] + plain(contribution) if"),
    )
    yield edited(
        SECOND,
        "gradients() are leaves",
        backward.gradients,
        ("g if type(g) is Value else Value(g)", "Value(plain(g))"),
        operation="exp",
    )


# --- what changes over time -----------------------------------------------------------------------


def state() -> Iterator[Mutant]:
    """Yield mistakes about leaves that changed."""
    for words, place, (test, which) in (
        ("second operand", 1, ("elif x._clock >", FIRST)),
        ("first operand", 2, ("elif x._clock >", SECOND_USE)),
        ("many operands", 3, ("if x._clock > youngest", FIRST)),
    ):
        yield edited(
            AFTERWARDS,
            f"stale check removed: {words}",
            sort,
            ("raise stale(node, x)", "pass", place),
            check=STALE_CHECK,
        )
        first_time = test.replace("x._clock", "x._mark is not listed and x._clock")
        yield edited(
            AFTERWARDS,
            f"stale check for the first user only: {words}",
            sort,
            (test, first_time, which),
            check=STALE_CHECK,
        )
    yield edited(
        STALE,
        "stale check removed: edges()",
        value.Value._local,
        ("raise stale", "stale"),
        check=STALE_CHECK,
    )
    yield edited(
        STALE,
        "a leaf's change leaves no time stamp",
        data_setter,
        ("_tick()", "self._clock"),
        check=STALE_CHECK,
    )
    for maker in (value._unary_method, value._binary_method):
        yield edited(
            RECORD,
            f"a method's node is always young: {maker.__name__}",
            maker,
            ("node._clock = _clock", "node._clock = 10**9"),
            check=STALE_CHECK,
            then=remake_methods,
        )
    yield edited(
        SETTER,
        "a leaf keeps its old data",
        data_setter,
        ("self._data = to_float(number)", "to_float(number)"),
    )


def passes() -> Iterator[Mutant]:
    """Yield mistakes about earlier passes, seeds and passes that fail."""
    run, total = backward.backward, backward._sums
    yield edited(
        TWICE,
        "leaves don't accumulate",
        total,
        ("x.grad + (old or 0.0)", "x.grad"),
        check=WAY_CHECK,
    )
    yield edited(
        TWICE,
        "leaves accumulate twice over",
        total,
        ("(old or 0.0)", "2.0 * (old or 0.0)"),
        check=WAY_CHECK,
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
        check=WAY_CHECK,
    )
    yield edited(
        SEED, "seed ignored", run, ("root._grad = seed", "root._grad = 1.0"), check=WAY_CHECK
    )
    yield edited(
        FAST,
        "seed ignored inside ieee()",
        run,
        ("computed, seed)", "computed, 1.0)"),
        check=WAY_CHECK,
    )
    yield edited(
        STEPS, "seed ignored: steps", steps.steps, ("{y: seed}", "{y: 1.0}"), check=WAY_CHECK
    )
    yield edited(
        ATOMIC,
        "a failed pass leaves its grads",
        run,
        ("_set_all(nodes, before)", "pass"),
        check=WAY_CHECK,
    )
    yield edited(
        ATOMIC,
        "a failed pass forgets earlier grads",
        run,
        ("_set_all(nodes, before)", "_set_all(nodes, [None] * len(nodes))"),
        check=WAY_CHECK,
    )
    yield edited(
        ATOMIC,
        "an infinite gradient passes in silence",
        backward.check_finite,
        ("isfinite(sum(grads)) or all_finite(grads)", "True"),
        unseen="an error and an infinite number both say that there is no derivative",
    )


# --- choices --------------------------------------------------------------------------------------


def choices() -> Iterator[Mutant]:
    """Yield mistakes about edges that lead nowhere, and about ieee()."""
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
        many,
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
        transforms.push,
        ("lift=lift, wanted=wanted", "lift=lift"),
        check=WAY_CHECK,
    )
    yield edited(
        GRADIENTS,
        "gradients(): values between not wanted",
        backward.differentiate,
        ("wanted.add(node)", "pass"),
    )
    silence = "an error, inf and nan all say that there is no derivative"
    yield edited(
        IEEE, "ieee() never ends", op.ieee.__exit__, ("ieee._active.reset", "id"), check=WAY_CHECK
    )
    yield edited(
        IEEE,
        "an inner ieee() ends the outer one",
        op.ieee.__exit__,
        ("reset(self._tokens.pop())", "set(False)"),
        unseen=silence,
    )
    yield edited(
        IEEE, "ieee() does nothing", op.ieee.active, ("ieee._active.get()", "False"), unseen=silence
    )


def kinks() -> Iterator[Mutant]:
    """Yield other subgradients, in the functions from which the rules are made."""

    def tie(words: str, new: str) -> Mutant:
        change = ("0.5 + 0.5 * sign(a - b)", new)
        name = f"a tie belongs to {words}"
        return edited(KINKS, name, ops._above, change, check=RECORD_CHECK, operation="maximum")

    yield seen_on_kinks(tie("nobody", "step(a - b)"))
    yield seen_on_kinks(tie("both", "1.0 - step(b - a)"))
    wrong_step = Mutant(
        "step(0) is 1, relu'(0) too",
        lambda: changed(ops.step, "forward", lambda a: float(a >= 0.0)),
        (KINKS,),
        (RECORD_CHECK,),
        "relu",
    )
    yield blind_on_kinks(wrong_step)
    wrong_sign = edited(
        KINKS,
        "sign(0) is 1, abs'(0) too",
        ops._sign,
        ("a > 0.0", "a >= 0.0"),
        check=RECORD_CHECK,
        operation="abs",
    )
    yield blind_on_kinks(wrong_sign)


# --- records and copies ---------------------------------------------------------------------------


def remake_methods() -> None:
    """Make the methods and operators of Value again, from the functions that are there now."""
    value._add_operators()
    for operation in tuple(REGISTRY.values()):
        value.add_method(operation)


def recording() -> Iterator[Mutant]:
    """Yield mistakes in what a node holds."""
    record = value.Value.record
    yield edited(
        NUMBERS,
        "constants kept as they come",
        record,
        ('x if type(x) is Value else to_float(x, f"an operand of {op.name}")', "x"),
        unseen="a Fraction is as good an operand as the float that is equal to it",
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
        check=WAY_CHECK,
    )


def copies() -> Iterator[Mutant]:
    """Yield mistakes in copies and pickles."""
    keep = "node._data, node._grad, node._label, node.scope"
    yield edited(
        COPIES,
        "copies lose grad",
        copying._state,
        (keep, keep.replace("node._grad", "None")),
        check=WAY_CHECK,
    )
    yield edited(
        COPIES,
        "copies lose the label",
        copying._state,
        (keep, keep.replace("node._label", "None")),
        unseen="a label has no part in a derivative",
    )
    yield edited(
        COPIES,
        "copies are older than their leaves",
        copying.make_node,
        ("clockwork._clock", "0"),
        unseen="it is refused: an error, and no wrong derivative",
    )
    yield edited(
        COPIES,
        "deepcopy shares the leaves",
        copying.copy_graph,
        (
            "memo[id(x)] if type(x) is Value else x",
            "memo[id(x)] if type(x) is Value and x.op else x",
        ),
        check=WAY_CHECK,
    )
    larger = "the graph is larger, and its derivatives are the same"
    yield edited(
        COPIES,
        "deepcopy copies a shared value again",
        copying.copy_graph,
        ("lambda x: id(x) in memo", "lambda x: False"),
        unseen=larger,
    )
    yield edited(
        COPIES,
        "unpickling mixes up leaves",
        copying._at,
        ("outside[-1 - place]", "outside[place]"),
        check=WAY_CHECK,
    )
    # That a leaf is listed once among a pickle's `outside` is economy: pickle knows it again.
    yield edited(
        COPIES,
        "pickling copies a shared value again",
        copying._Flat.__init__,
        ("return node.op is None or place is not None", "return node.op is None"),
        unseen=larger,
    )


# --- the other ways to a derivative ---------------------------------------------------------------


def forward_mode_and_steps() -> Iterator[Mutant]:
    """Yield mistakes in the transforms, the steps and the paths."""
    yield edited(
        TRANSPOSE,
        "tangents not multiplied",
        transforms.push,
        ("local * along[x]", "along[x]"),
        check=WAY_CHECK,
    )
    yield edited(
        TRANSPOSE,
        "only the first tangent counts",
        transforms.push,
        ("terms[0] if len(terms) == 1 else", "terms[0] if terms else"),
        check=WAY_CHECK,
    )
    yield edited(
        NESTED,
        "inner and outer derivatives confused",
        transforms._Trace.__init__,
        ("ops.pos(x) if", "x if"),
        check=WAY_CHECK,
    )
    yield edited(
        NESTED,
        "an inner derivative forgets its graph",
        transforms._Trace.__init__,
        ("self.lift |= _depends(self.outputs, outer)", "pass"),
        check=WAY_CHECK,
    )
    yield edited(
        STEPS,
        "steps: accumulated starts afresh",
        steps.steps,
        ("running[c.parent] = before + c.contribution", "running[c.parent] = c.contribution"),
        check=WAY_CHECK,
    )
    yield edited(
        RECURSIVE,
        "steps: nothing is ever too early",
        steps._recursive_steps,
        ("complete.get(value, 0.0))", "upstream)"),
        unseen="it is a remark on a gradient that is wrong on purpose",
    )
    yield edited(
        PATHS, "a path forgets its factors", steps.paths, ("product * d", "d"), check=WAY_CHECK
    )
    yield edited(
        PATHS,
        "a path taken twice",
        steps.paths,
        ("stack += reversed(further)", "stack += reversed(further + further[:1])"),
        check=WAY_CHECK,
    )
    yield edited(
        EDGES,
        "an edge differentiates in another operand",
        value.Value._local,
        ("op.local(index,", "op.local(-1 - index,"),
        check=WAY_CHECK,
    )


# --- tracing --------------------------------------------------------------------------------------

ONLY_TRACED = "it shows in a graph that is computed again with other numbers, after a trace"


def traced_choices() -> Iterator[Mutant]:
    """Yield mistakes in how a traced derivative passes by what a choice leaves out."""
    is_singular = backward._is_singular
    for words, function, old, new in (
        ("what is cut is added", backward.pass_on, "ops.where(local, product, 0.0)", "product"),
        (
            "what is behind a cut is reached",
            backward.pass_on,
            "where(local, reached, 0.0)",
            "pos(1.0)",
        ),
        ("nothing is masked", backward.pass_on, "ops.where(reached, product, 0.0)", "product"),
        ("a constant 0 is passed on", backward.pass_on, "return None", "pass"),
        ("reached by both ways only", backward.either, "maximum", "minimum"),
        ("reached by the last way only", backward.either, "ops.maximum(a, b)", "b"),
        (
            "what follows is tame",
            backward.may_be_infinite,
            "not wild.isdisjoint(node.parents)",
            "False",
        ),
        ("carried whatever was cut", transforms._push_traced, "carried[x], wild", "1.0, wild"),
        (
            "carried by the last way only",
            transforms._push_traced,
            "either(carried[node], passed[1])",
            "passed[1]",
        ),
    ):
        yield edited(TRACED, f"tracing: {words}", function, (old, new), unseen=ONLY_TRACED)
    for law, words, old, new in (
        (TRACED, "zero is like other numbers", "Context().run(_is_singular_at_zero, op)", "False"),
        (
            TRACED,
            "no end of a domain",
            "any(interval != Interval() for interval in op.domain)",
            "False",
        ),
        (OWN, "a user's operation is tame", "not op.builtin", "False"),
    ):
        yield edited(
            law,
            f"tracing: {words}",
            is_singular.__wrapped__,
            (old, new),
            unseen=ONLY_TRACED,
            then=is_singular.cache_clear,
        )
    yield edited(
        CUT,
        "forward mode multiplies 0 by what is cut",
        transforms.push,
        ("not (routes and local == 0.0)", "True"),
        unseen="0 times a tangent is 0 unless that is infinite, and differences say nothing there",
    )


def decisions() -> Iterator[Mutant]:
    """Yield mistakes in what a trace notes, and in what it refuses."""
    v: Any = value.Value
    lift = "self.lift = tracing.active()"
    for law, words, function, old, new in (
        (
            INSIDE,
            "derivatives of numbers are numbers",
            transforms._Trace.__init__,
            lift,
            "self.lift = False",
        ),
        (
            SCOPE,
            "an error leaves its scope",
            backward._traced_contributions,
            "name_as(place)",
            "path()",
        ),
        (COMPARED, "< taken for <=", v.__lt__, "ops.less(", "ops.less_equal("),
        (
            COMPARED,
            "> taken for <",
            v.__gt__,
            "_double(other, x, -inf), self",
            "self, _double(other, x, -inf)",
        ),
        (COMPARED, "<= taken for <", v.__le__, "ops.less_equal(", "ops.less("),
        (
            COMPARED,
            ">= taken for <=",
            v.__ge__,
            "_double(other, x, inf), self",
            "self, _double(other, x, inf)",
        ),
        (COMPARED, "!= taken for ==", v.__ne__, "1.0 - ops", "ops"),
        (
            NOTED,
            "the answer turned round",
            tracing.decide,
            "condition, answer",
            "condition, not answer",
        ),
        (NOTED, "the place forgotten", tracing.decide, "scopes.line()", "''"),
        (HOLDS, "decisions not noted", v.__bool__, "if _tracing.are_active", "if False"),
        (FROZEN, "numbers are given away", v._refuse_to_be_frozen, "_tracing.active()", "False"),
        (THREAD, "of all threads", tracing.active, " and _record.get() is not None", ""),
        (CAREFUL, "care is not taken", tracing.may_leave_unmasked, " or record.careful", ""),
        (
            UNMASKED,
            "what is unmasked is not noted",
            tracing.may_leave_unmasked,
            "record.unmasked.append(contribution)",
            "pass",
        ),
        (MADE, "leaves not noted", v.__init__, "_tracing.note_leaf(self)", "pass"),
    ):
        yield edited(law, f"tracing: {words}", function, (old, new), unseen=ONLY_TRACED)
