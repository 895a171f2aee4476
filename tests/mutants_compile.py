"""Mistakes in the compiler: in its formulas, its simplifications, its loops and its decisions.

`check_gradients` runs the function itself, so that none of them is for it to find.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mutants_planting import OWN_CHECK, Mutant, edited

from autograd import lowering, value
from autograd.compile import chains, graph, lower, native, rows, structure, trace

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDS = "an_operation_and_its_derivatives_are_equal_at_the_ends_of_the_doubles"
LEFT_OUT = "nothing_is_left_out_that_matters_to_a_zero_an_infinity_or_a_nan"
PROGRAM = "a_program_is_equal_in_its_numbers_and_its_structure"
EVERY_ROW = "every_row_is_equal_whatever_their_number"
ADD_UP = "rows_add_up_whatever_their_number"
GRADIENT = "the_derivatives_of_a_program_are_equal"
CAPTURED = "the_data_of_a_captured_value_is_read_at_every_call"
LAYOUT = "rows_are_read_from_arrays_of_any_layout_and_from_lists"
NUMBER = "a_function_that_decides_about_a_number_is_that_function"
LIST = "a_function_that_decides_about_a_list_is_that_function"
WAYS = "there_is_one_program_for_each_way_and_they_are_told_in_words"
ROUNDING = "where_rounding_decides_otherwise_the_function_itself_answers"
DISAGREE = "one_row_of_many_that_disagrees_is_noticed_wherever_it_is"
COMPARED = "arguments_are_compared_as_python_compares_them"
ANY_KIND = "an_argument_is_compared_with_any_kind_of_number"
KINDS = "a_list_stays_a_list_and_a_tuple_a_tuple"
STRUCTURE = "arguments_of_another_structure_are_traced_anew"

UNSEEN = "check_gradients runs the function itself, without compiling it"


def forget() -> None:
    """Have the laws compile again what they keep."""
    for name in ("test_compile_equal", "test_compile_paths"):
        for thing in vars(sys.modules[name]).values() if name in sys.modules else ():
            clear = getattr(thing, "cache_clear", None)
            if clear is not None and getattr(thing, "__module__", "") == name:
                clear()


def mistake(law: str, name: str, function: Any, *edits: Any, operation: str = "") -> Mutant:
    """Return the mutant of one of the compiler's functions."""
    full = f"compile: {name}"
    mutant = edited(law, full, function, *edits, unseen=UNSEEN, operation=operation, then=forget)
    return mutant._replace(blind=(OWN_CHECK,))  # none of the checks compiles: one shows it


def compiler() -> Iterator[Mutant]:
    """Yield the mutants of the compiler."""
    yield from formulas()
    yield from simplifications()
    yield from lowerings()
    yield from loops()
    yield from traces()
    yield from calls()
    yield from decisions()


# An operation, the text in its formula, and what is wrong instead.
FORMULAS: list[tuple[str, str, str]] = [
    ("relu", "m.if_less_equal(a, 0.0, 0.0, a)", "m.if_less(0.0, a, a, 0.0)"),
    ("leaky_relu", "slope * a", "slope"),
    ("elu", "m.expm1(a)", "(m.exp(a) - 1.0)"),
    ("sign", "m.if_equal(a, a, 0.0, a)", "0.0"),
    ("step", "m.if_less(0.0, a,", "m.if_less_equal(0.0, a,"),
    ("clip", "m.if_less(high, low, nan, ", "m.if_less(high, low, low, "),
    ("where", "m.if_equal(condition, 0.0, b, a)", "m.if_less(0.0, condition, a, b)"),
    ("cocircle", "1.0 - a * a", "1.0 - a"),
    ("direction", "m.if_equal(largest, 0.0, 0.0, ", "m.if_equal(largest, 1.0, 1.0, "),
    ("direction", "b * scale", "b"),
    ("inversion", "* inner * scale", "* scale"),
    ("inversion", "m.copysign(0.0, a)", "a"),
    ("pow_below", "m.power(a, b) / a", "m.power(a, b - 1.0)"),
    ("softmax", "m.if_equal(greatest, -inf, nan, at_end)", "at_end"),
    ("softmax", "parts[0] / total", "parts[-1] / total"),
    ("logsumexp", "m.if_less(-0.7, result, near_zero, small)", "small"),
    ("logsumexp", "- 1.0)", "- 0.0)"),
    ("mean", "float(len(xs))", "float(len(xs) + 1)"),
]


def formulas() -> Iterator[Mutant]:
    """Yield mistakes in how an operation is computed by a machine."""
    for name, right, wrong in FORMULAS:
        function = getattr(lowering, name)
        told = f"{name} with {wrong!r} for {right!r}"
        yield mistake(ENDS, told, function, (right, wrong), operation=name)
    yield mistake(LEFT_OUT, "a cube is a square", lowering.pow, ("a * a * a", "a * a"))
    yield mistake(LEFT_OUT, "x⁰ is x", lowering.pow, ("return m.const(1.0)", "return a"))
    yield mistake(GRADIENT, "the exponent isn't one less", lowering.pow_below, ("- 1.0)", ")"))
    dot = lowering.dot
    yield mistake(PROGRAM, "the halves of a dot product", dot, ("len(xs) // 2", "len(xs) // 2 - 1"))


def simplifications() -> Iterator[Mutant]:
    """Yield mistakes in what is left out of a graph."""
    product = graph._mul
    flag = "number == 0.0 and _is_flag(g, b) and copysign(1.0, number) > 0.0"
    yield mistake(LEFT_OUT, "0 · x is 0", product, (flag, "number == 0.0"))
    yield mistake(LEFT_OUT, "-1 · x is x", product, ('return g.node("neg", b)', "return b"))
    signed = "== 0.0 and copysign(1.0, number) > 0.0"
    yield mistake(LEFT_OUT, "x - -0 is x", graph._sub, (signed, "== 0.0"))
    turned = ('g.node("sub", a, g.args[b][0])', 'g.node("sub", g.args[b][0], a)')
    yield mistake(LEFT_OUT, "a + -b is b - a", graph._add, turned)
    kept = ("g.args[a][0] if", "a if")
    yield mistake(LEFT_OUT, "--x is -x", graph._neg, kept)
    yield mistake(LEFT_OUT, "x / -1 is x", graph._div, ("g.constant(b) == 1.0", "g.constant(b)"))
    packed = ('struct.pack("d", x)', "x")
    yield mistake(LEFT_OUT, "-0 and 0 are one number", graph.Graph.const, packed)
    ordered = ("(code, *args)", "(code, *sorted(args))")
    yield mistake(LEFT_OUT, "a - b and b - a are one node", graph.Graph.node, ordered)
    made = ("args[2] if CHOICES[code](*numbers) else args[3]", "args[2]")
    yield mistake(LEFT_OUT, "a choice is made wrongly", graph.Graph._simpler, made)
    sides = ("c if g.constant(yes) == 0.0 else d", "d if g.constant(yes) == 0.0 else c")
    yield mistake(LEFT_OUT, "a choice of a choice", graph._if_equal, sides)
    rest = ("return None if rest else start", "return start")
    yield mistake(LEFT_OUT, "a dot product is what it starts from", graph._dot, rest)


def lowerings() -> Iterator[Mutant]:
    """Yield mistakes on the way from operations to the machine's."""
    routed = lower.Lowering._routed
    sides = ("for side in (yes, no)", "for side in (no, yes)")
    yield mistake(ENDS, "the sides of a routed product", routed, sides, operation="where")
    stopped = ("m.if_less_equal(a, 0.0, 0.0, a)", "u")
    yield mistake(EVERY_ROW, "relu passes everything on", routed, stopped)
    bias = ("(a if b == one else b for a, b in pairs", "(b if b == one else a for a, b in pairs")
    yield mistake(LEFT_OUT, "a bias is 1", lower.Machine.dot, bias)
    by_call = ("graph.node(CALL + op.name, *args)", "graph.node(CALL + op.name, *args[::-1])")
    told = "operands of a call in another order"
    yield mistake(ENDS, told, lower.Lowering._lower, by_call, operation="polygamma")
    exact = ("self._exact and op.name not in EXACT", "False")
    yield mistake(ENDS, "exact isn't", lower.Lowering._lower, exact, operation="softplus")


def loops() -> Iterator[Mutant]:
    """Yield mistakes in how operations are put together, and in the code that comes out."""
    taken = chains._Chains._sub
    yield mistake(LEFT_OUT, "a - x·y for x·y - a", taken, ('"fnma"', '"fms"'))
    yield mistake(LEFT_OUT, "x·y - a for a - x·y", taken, ('"fms"', '"fnma"'))
    uses = chains.uses
    copied = ("count[args[node][0]] += count[node] > 0", "pass")
    yield mistake(ENDS, "what is copied has no place", uses, copied, operation="gelu")
    larger = native.Vectors.larger
    yield mistake(
        ENDS, "a nan is lost", larger, ("self.b.or_(above, is_nan)", "above"), operation="maximum"
    )


def traces() -> Iterator[Mutant]:
    """Yield mistakes in what is read off a trace."""
    frozen = ("if x not in lowering.node and x not in made", "if False")
    yield mistake(CAPTURED, "captured data is a constant", trace._traced, frozen)
    reduced = ("graph.varies[node] and not reduced", "graph.varies[node]")
    yield mistake(ADD_UP, "rows aren't added up", trace._traced, reduced)
    shared = ("varies=argument in rows", "varies=True")
    yield mistake(EVERY_ROW, "shared arguments vary", trace._traced, shared)


def calls() -> Iterator[Mutant]:
    """Yield mistakes in how arguments are taken and results given back."""
    yield mistake(KINDS, "a tuple is a list", structure.flatten, ("else tuple", "else list"))
    yield mistake(
        STRUCTURE,
        "lists of all lengths are one",
        structure.flatten,
        ("len(thing)), array", "0), array"),
    )
    layout = rows.row_layout
    order = ("inner.flags.c_contiguous", "True")
    yield mistake(
        "rows_of_matrices_have_the_structure_of_nested_lists",
        "any order is row by row",
        layout,
        order,
    )
    step = ("count, step, column.strides[0])", "count, step, 8)")
    yield mistake(LAYOUT, "rows lie 8 bytes apart", rows.RowCall._fill, step)
    mean = ("own.rows / call.rows if mean else 1.0", "1.0")
    yield mistake(ADD_UP, "the threads' means are added up", rows._run_threads, mean)
    ranges = ("start * column.strides[0]", "start * 8")
    yield mistake(ADD_UP, "a thread's rows begin elsewhere", rows._run_threads, ranges)


def decisions() -> Iterator[Mutant]:
    """Yield mistakes that replay a program where it isn't valid."""
    asked = ("for guard in record.guards", "for guard in record.guards[:1]")
    yield mistake(LIST, "only the first question counts", trace._guards, asked)
    none = ("for guard in record.guards", "for guard in ()")
    yield mistake(NUMBER, "no question counts", trace._guards, none)
    answer = ("graph.varies[node], guard.answer)", "graph.varies[node], not guard.answer)")
    yield mistake(WAYS, "the other answer", trace._guards, answer)
    rounded = ("exact = exact or not is_rounded_alike(asked)", "pass")
    yield mistake(ROUNDING, "rounding decides", trace._traced, rounded)
    fused = ("and not is_fused", "")
    yield mistake(ROUNDING, "a fused multiply-add decides", lower.is_rounded_alike, fused)
    some = ("0 < found < frame.rows", "1 < found < frame.rows - 1")
    yield mistake(DISAGREE, "one row doesn't matter", rows.RowCall._check_agreement, some)
    truth = ("0.0, 0.0, 1.0)", "0.0, 1.0, 0.0)")
    yield mistake(WAYS, "truth and falsehood", lower.Lowering.truth, truth)
    for name, right, wrong in [
        ("__lt__", "ops.less(", "ops.less_equal("),
        ("__le__", "ops.less_equal(", "ops.less("),
        ("__gt__", "ops.less(", "ops.less_equal("),
        ("__ge__", "ops.less_equal(", "ops.less("),
        ("__ne__", "1.0 - ops.equal", "ops.equal"),
        ("__eq__", "ops.equal(", "ops.less_equal("),
    ]:
        method = getattr(value.Value, name)
        yield mistake(COMPARED, f"{name} is traced as {wrong[4:-1]}", method, (right, wrong))
    beside = ("nextafter(near, side) if is_past else near", "near")
    yield mistake(ANY_KIND, "⅓ is the nearest double", value._double, beside)
