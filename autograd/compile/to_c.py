"""The tape as a C file: one function, readable, that needs nothing but `math.h`.

Each instruction becomes a loop, with the line that it comes from in a comment. Arguments are read
where they lie; what is computed goes into memory that the caller hands over, so that the function
allocates nothing and may run in several threads at once.
"""

from __future__ import annotations

import re
from itertools import accumulate
from math import isinf, isnan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .c_words import EXPRESSIONS, FUNCTIONS, LETTERS, RESERVED
from .graph import CALL
from .names import shape_of
from .structure import size
from .tape import RESULT, ROW, SHARED, TERMS, Instruction, Operand

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .names import Argument, Names
    from .program import Program

INDENT = "    "
PER_LINE = 12
LONGEST = 90  # characters in a function's head
PART = 100  # instructions in one function


class Parameter(NamedTuple):
    """An argument in C: its name, and where its numbers begin in their space."""

    name: str
    argument: Argument
    start: int
    size: int

    @property
    def is_number(self) -> bool:
        """Whether it is one number for all rows, which is passed as such."""
        return self.argument.structure is None and not self.argument.varies

    @property
    def declaration(self) -> str:
        """How it stands in the function's head."""
        return f"double {self.name}" if self.is_number else f"const double *{self.name}"


def to_c(program: Program, name: str | None) -> str:
    """Return the text of a C file with the function that a program computes.

    Raises:
        ValueError: if an operation is computed by Python, or the name isn't one in C.

    """
    tape = program.traced.tape
    if tape.calls:
        raise ValueError(refusal(tape.calls, "C", exact=program.options.exact))
    names = tape.names
    assert names is not None  # noqa: S101  (a compiled function's tape has them)
    if name is None:
        name = _identifier(names.function, set())
    elif _identifier(name, set()) != name:
        message = f"name must be an identifier in C that this file doesn't use; got {name!r}"
        raise ValueError(message)
    return _File(program, names, name).text()


def refusal(calls: Sequence[tuple[str, int]], target: str, *, exact: bool) -> str:
    """Return why operations that Python computes can't go elsewhere."""
    own = ", ".join(dict.fromkeys(code.removeprefix(CALL) for code, _ in calls))
    rule = (
        "without exact=True they may have one" if exact else "define(..., lowering=...) gives one"
    )
    return f"{own}: computed by Python, with no formula for {target}; {rule}"


def _identifier(name: str, taken: set[str]) -> str:
    # A name in C that is as much like Python's as can be.
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "f"
    if plain[0].isdigit():
        plain = f"x{plain}"
    while plain in RESERVED or plain in taken:
        plain += "_"
    return plain


class _File:
    def __init__(self, program: Program, names: Names, name: str) -> None:
        self.program = program
        self.tape = program.traced.tape
        self.options = program.options
        self.names = names
        self.name = name
        self.shared, self.row = self._parameters(varies=False), self._parameters(varies=True)
        self.parameters = self._in_order()
        self.tables: list[str] = []
        self.copied: set[str] = set()  # spaces in which something lies with what isn't like it
        self.functions: set[str] = set()
        self.parts: list[str] = []  # functions of their own, of a program that is long
        self.has_both = False  # results of each row, and others

    def _parameters(self, *, varies: bool) -> list[Parameter]:
        taken = {self.name, f"{self.name}_work"}
        found = {}
        for number, x in enumerate(self.names.arguments):
            found[number] = "captured" if self._is_captured(number) else _identifier(x.name, taken)
            taken.add(found[number])
        own = [(i, x) for i, x in enumerate(self.names.arguments) if x.varies == varies]
        sizes = [size(x.structure) for _, x in own]
        starts = accumulate(sizes, initial=0)
        return [
            Parameter(found[i], x, start, count)
            for (i, x), start, count in zip(own, starts, sizes, strict=False)
        ]

    def _is_captured(self, number: int) -> bool:
        return bool(self.program.traced.captured) and number == len(self.names.arguments) - 1

    def _in_order(self) -> list[Parameter]:
        shared, row = iter(self.shared), iter(self.row)
        every = [next(row if x.varies else shared) for x in self.names.arguments]
        return every[:-1] if self.program.traced.captured else every

    # --- the file --------------------------------------------------------------------------------

    def text(self) -> str:
        body = self._body()
        functions = [FUNCTIONS[name] for name in FUNCTIONS if name in self.functions]
        head, memory = _declared(f"int {self.name}", self._head()), f"{self.name}_work"
        blocks = [
            self._comment(head),
            "#include <math.h>",
            f"{head};\nextern const long {memory};\nconst long {memory} = {self._work()};",
            *self._data(body),
            *self.tables,
            *functions,
            *self.parts,
            _function(head, body),
        ]
        return "\n\n".join(blocks) + "\n"

    def _head(self) -> list[str]:
        rows = ["long rows"] if self.options.rows else []
        own = [x.declaration for x in self.parameters]
        return [*rows, *own, "double *result", "double *work"]

    def _work(self) -> int:
        return max(1, self.tape.shared_size + self.tape.row_size + self.tape.results)

    def _comment(self, head: str) -> str:
        title = f"{self.names.function}, as autograd.compile found it."
        lines = [title, "", *f"{head};".split("\n"), ""]
        width = max(len(x.name) for x in self.parameters) if self.parameters else 0
        width = max(width, len("result"))
        about = [(x.name, self._about(x)) for x in self.parameters]
        if self.options.rows:
            about.insert(0, ("rows", "how many rows there are"))
        about += [("result", self._about_result()), ("work", self._about_work())]
        lines += [f"{name:<{width}}  {text}" for name, text in about]
        lines += ["", *self._about_guards()]
        inner = "\n".join(f"   {_plain(line)}".rstrip() for line in lines)
        return f"/*\n{inner}\n*/"

    def _about(self, x: Parameter) -> str:
        shape = shape_of(x.argument.structure)
        if shape is not None and len(shape) > 1:
            kind = " x ".join(map(str, shape)) + " numbers, the last index running fastest"
        else:
            kind = "a number" if x.argument.structure is None else f"{x.size} numbers"
        return f"{kind}, for each row (one row after the other)" if x.argument.varies else kind

    def _about_result(self) -> str:
        count = len(self.program.traced.outputs)
        what = (
            "a number" if count == 1 else f"{count} numbers in the order of the function's result"
        )
        if not self.options.rows:
            return what
        how = {
            None: "for each row",
            "sum": "summed over the rows",
            "mean": "the mean over the rows",
        }
        return f"{what}, {how[self.options.reduce]}"

    def _about_work(self) -> str:
        return f"memory for {self.name}_work numbers; nothing that is in it counts"

    def _about_guards(self) -> list[str]:
        if not self.names.guards:
            return ["Returns 0."]
        return [
            "Returns 0; or, where the function itself would decide otherwise than it did when it",
            "was compiled, the number of that decision, and what is in result then is undefined:",
            *[f"{i + 1}: {text}" for i, text in enumerate(self.names.guards)],
        ]

    def _data(self, body: list[str]) -> list[str]:
        lines = [*body, *self.parts]
        captured = [x._data for x in self.program.traced.captured]  # noqa: SLF001  (a Value's slot)
        arrays = {"constants": self.tape.constants, "captured": captured}
        return [
            f"static const double {name}[{len(numbers)}] = {_braced(map(_literal, numbers))};"
            for name, numbers in arrays.items()
            if _mentions(lines, name)
        ]

    # --- the function ----------------------------------------------------------------------------

    def _body(self) -> list[str]:
        once = self._steps(self.tape.shared, 1)
        each = self._steps(self.tape.rows, len(self.tape.shared) + 1)
        if SHARED in self.copied:
            once = [*self._copies(self.shared, "s"), *self._copied_constants(), *once]
        if ROW in self.copied:
            each = [*self._copies(self.row, "r"), *each]
        if each:
            inner = [INDENT + line if line else "" for line in each[not each[0] :]]
            once += ["", "for (long row = 0; row < rows; row++) {", *inner, "}"]
        lines = [*once, "", *self._end()]
        return [*self._memory(lines), *lines]

    def _steps(self, steps: Sequence[Instruction], first: int) -> list[str]:
        # Compilers take longer per line the longer a function is: it is cut into several.
        if len(steps) > PART:
            starts = range(0, len(steps), PART)
            return ["", *[self._part(steps[i : i + PART], first + i) for i in starts]]
        numbered = enumerate(steps, start=first)
        return [line for number, step in numbered for line in ["", *self._step(number, step)]]

    def _part(self, steps: Sequence[Instruction], first: int) -> str:
        _, *lines = self._steps(steps, first)
        memory = ["double *s", "double *r", "double *total", "long row"]
        every = {_name_in(x): x for x in [*self._head(), *memory]}
        used = {name: x for name, x in every.items() if _mentions(lines, name)}
        name = f"{self.name}_part_{len(self.parts) + 1}"
        head = _declared(f"static void {name}", list(used.values()))
        self.parts.append(_function(head, lines))
        return f"{name}({', '.join(used)});"

    def _memory(self, lines: list[str]) -> list[str]:
        tape = self.tape
        declared = []
        at = 0
        for name, count in (("s", tape.shared_size), ("r", tape.row_size), ("total", tape.results)):
            if _mentions(lines, name):
                declared.append(f"double *{name} = {_sum([('work', 1)], at)};")
            at += count
        used = [*declared, *lines]
        unused = [x for x in map(_name_in, self._head()) if not _mentions(used, x)]
        declared += [f"(void){name};" for name in unused]
        return [*declared, *_for_each(tape.results, "total[{}] = 0.0;")]

    def _copies(self, parameters: list[Parameter], target: str) -> list[str]:
        lines = []
        for x in parameters:
            if x.is_number:
                lines.append(f"{target}[{x.start}] = {x.name};")
                continue
            moves = [("i", 1)] if x.size > 1 else []
            source = _sum([("row", x.size if x.argument.varies else 0), *moves], 0)
            put = f"{target}[{_sum(moves, x.start)}] = {x.name}[{source}];"
            lines += _for_each(x.size, put)
        return lines

    def _copied_constants(self) -> list[str]:
        count = len(self.tape.constants)
        place = _sum([("i", 1)] if count > 1 else [], self.tape.shared_inputs)
        return _for_each(count, f"s[{place}] = constants[{{}}];")

    def _end(self) -> list[str]:
        lines = []
        rows, reduce = self.options.rows, self.options.reduce
        for number, guard in enumerate(self.program.traced.guards, start=1):
            expected = "0.0"
            if guard.answer:
                counts = rows and (guard.varies or reduce)
                expected = "(double)rows" if counts else "1.0"
            lines.append(f"if (total[{guard.place}] != {expected})")
            lines.append(f"{INDENT}return {number};")
        outputs = self.program.traced.outputs
        if not rows or reduce:
            share = " / (double)rows" if reduce == "mean" else ""
            lines += _for_each(len(outputs), f"result[{{0}}] = total[{{0}}]{share};")
        elif not all(outputs):
            places = [i for i, varies in enumerate(outputs) if not varies]
            where = self.table("results_of_all", np.array(places))
            put = f"result[{len(outputs)} * row + {where}[{{0}}]] = total[{{0}}];"
            lines += _loop("row", "rows", _for_each(len(places), put))
            if self.has_both:
                of_rows = [i for i, varies in enumerate(outputs) if varies]
                self.table("results_of_rows", np.array(of_rows))
        return [*lines, "return 0;"]

    # --- instructions ----------------------------------------------------------------------------

    def _step(self, number: int, step: Instruction) -> list[str]:
        where = ", ".join(place for place in step.places if place)
        what = step.code.removesuffix("_in_order").replace("_", " ")
        self.where = _Where(self, step, number)
        inner = self._terms(step) if step.code in TERMS else [self._assignment(step)]
        for letter, n in reversed(list(zip(LETTERS, step.dims, strict=False))):
            inner = _loop(letter, n, inner) if n > 1 else inner
        return [f"/* {number}. {what}{': ' if where else ''}{_plain(where)} */", *inner]

    def _assignment(self, step: Instruction) -> str:
        xs = [self.where.operand(x) for x in step.operands]
        sign = "+=" if step.code in ("add_up", "add_product") else "="
        value = self._expression(step.code, xs)
        if step.code == "store" and step.home == SHARED and self.options.reduce:
            value = f"(double)rows * {value}"
        return f"{self.where.operand(step.out)} {sign} {value};"

    def _expression(self, code: str, xs: Sequence[str]) -> str:
        self._need(code)
        if code in EXPRESSIONS:
            return EXPRESSIONS[code].format(*xs)
        return f"{code}({', '.join(xs)})"

    def _need(self, code: str) -> None:
        name = "cube_root" if code == "cbrt" else code
        if name in FUNCTIONS and name not in self.functions:
            self.functions.add(name)
            for other in FUNCTIONS:
                if re.search(rf"\b{other}\(", FUNCTIONS[name]):
                    self._need(other)

    def _terms(self, step: Instruction) -> list[str]:
        along = [step.operands[i] for i in TERMS[step.code]]
        starts = step.code.startswith("dot")
        begin = self.where.operand(step.operands[0], None if starts else "0")
        xs = [self.where.operand(x, "k") for x in along]
        if step.code == "max":
            each = f"sum = {self._expression('maximum', ['sum', *xs])};"
        else:
            each = f"sum += {' * '.join(xs)};"
        lines = [f"double sum = {begin};"]
        lines += _loop("k", step.terms, [each], start=0 if starts else 1)
        lines.append(f"{self.where.operand(step.out)} = sum;")
        if all(n == 1 for n in step.dims):
            return ["{", *[INDENT + line for line in lines], "}"]
        return lines

    def table(self, name: str, places: Any) -> str:
        """Put a table of places into the file; return its name."""
        flat = places.reshape(-1).tolist()
        self.tables.append(f"static const int {name}[{len(flat)}] = {_braced(map(str, flat))};")
        return name


class _Where:
    """Where the operands of one instruction are, as expressions in C."""

    def __init__(self, file: _File, step: Instruction, number: int) -> None:
        self.file = file
        self.step = step
        self.number = number
        self.letters = list(zip(LETTERS, step.dims, strict=False))
        self.tables: dict[int, str] = {}  # by the operand

    def operand(self, operand: Operand, term: str | None = None) -> str:
        """Return an operand of the node i, j, …, and of that term, if it goes through terms."""
        low, high = self._reach(operand, term)
        if operand.space == RESULT:
            return self._result(operand)
        tape = self.file.tape
        constants = tape.shared_inputs
        if operand.space == SHARED and constants <= low <= high < constants + len(tape.constants):
            if low == high:
                return _literal(tape.constants[low - constants])
            return f"constants[{self._index(operand, term, constants)}]"
        for x in self.file.row if operand.space == ROW else self.file.shared:
            if x.start <= low <= high < x.start + x.size:
                if x.is_number:
                    return x.name
                first = [("row", x.size)] if x.argument.varies else []
                return f"{x.name}[{self._index(operand, term, x.start, first)}]"
        known = tape.row_inputs if operand.space == ROW else constants + len(tape.constants)
        if low < known:
            self.file.copied.add(operand.space)
        return f"{'r' if operand.space == ROW else 's'}[{self._index(operand, term, 0)}]"

    def _result(self, operand: Operand) -> str:
        place = self._index(operand, None, 0)
        if self.step.home == SHARED or self.step.code != "store":
            return f"total[{place}]"
        outputs = self.file.program.traced.outputs
        if not all(outputs):
            self.file.has_both = True
            place = f"results_of_rows[{place}]"
        return f"result[{len(outputs)} * row + {place}]" if len(outputs) > 1 else "result[row]"

    def _reach(self, operand: Operand, term: str | None) -> tuple[int, int]:
        if operand.table is None:
            return operand.reach(self.step)
        places = operand.table[:, 0] if term is None else operand.table
        return int(places.min()), int(places.max())

    def _index(
        self,
        operand: Operand,
        term: str | None,
        start: int,
        first: Sequence[tuple[str, int]] = (),
    ) -> str:
        if operand.table is not None:
            name = self._table(operand, operand.table if term else operand.table[:, :1], start)
            width = operand.table.shape[1] if term else 1
            return _sum([*first, (f"{name}[{self._flat(width, term)}]", 1)], 0)
        moves = [(x, s) for (x, n), s in zip(self.letters, operand.strides, strict=True) if n > 1]
        if term is None or term == "0":
            offset = operand.term[0] if isinstance(operand.term, tuple) else 0
            return _sum([*first, *moves], operand.base + offset - start)
        if isinstance(operand.term, tuple):
            name = self._table(operand, np.array(operand.term), 0)
            moves.append((f"{name}[{term}]", 1))
        else:
            moves.append((term, operand.term))
        return _sum([*first, *moves], operand.base - start)

    def _flat(self, width: int, term: str | None) -> str:
        # The index in a table, which has a line of `width` places for each node.
        moves: list[tuple[str, int]] = []
        for letter, n in reversed(self.letters):
            if n > 1:
                moves.insert(0, (letter, width))
            width *= n
        return _sum([*moves, *([(term, 1)] if term and term != "0" else [])], 0)

    def _table(self, operand: Operand, places: Any, start: int) -> str:
        if id(operand) not in self.tables:
            name = f"places_{self.number}_{len(self.tables) + 1}"
            self.tables[id(operand)] = self.file.table(name, places - start)
        return self.tables[id(operand)]


# --- text -----------------------------------------------------------------------------------------


def _function(head: str, lines: Sequence[str]) -> str:
    inner = [INDENT + line if line else "" for line in lines]
    return "\n".join([f"{head} {{", *inner, "}"])


def _declared(name: str, parameters: Sequence[str]) -> str:
    # The head of a function, in several lines where it is long.
    lines = [f"{name}("]
    for x in parameters:
        text = x if lines[-1].endswith("(") else f", {x}"
        if len(lines[-1]) + len(text) > LONGEST:
            lines[-1] += ","
            text = " " * (len(name) + 1) + x
            lines.append("")
        lines[-1] += text
    return "\n".join(lines) + ")"


def _name_in(declaration: str) -> str:
    return re.split(r"[ *]", declaration)[-1]


def _mentions(lines: Sequence[str], name: str) -> bool:
    # In code; a comment may have any word.
    word = re.compile(rf"\b{name}\b")
    code = re.sub(r"/\*.*?\*/", "", "\n".join(lines))
    return word.search(code) is not None


def _loop(letter: str, count: int | str, body: Sequence[str], start: int = 0) -> list[str]:
    kind = "int" if isinstance(count, int) else "long"
    head = f"for ({kind} {letter} = {start}; {letter} < {count}; {letter}++)"
    inner = [INDENT + line for line in body]
    return [head, *inner] if len(body) == 1 else [f"{head} {{", *inner, "}"]


def _for_each(count: int, line: str) -> list[str]:
    # A line for each i, which stands where the line has {}.
    if count < 2:  # noqa: PLR2004  (that is a loop)
        return [line.format(0)] * count
    return _loop("i", count, [line.format("i")])


def _sum(moves: Sequence[tuple[str, int]], base: int) -> str:
    parts = [_product(x, step) for x, step in moves if step]
    if base or not parts:
        # In the last place, but for a sum that would begin with a minus.
        parts.insert(0 if parts and parts[0].startswith("-") else len(parts), str(base))
    return " + ".join(parts).replace("+ -", "- ")


def _product(x: str, step: int) -> str:
    return {1: x, -1: f"-{x}"}.get(step, f"{step} * {x}")


def _literal(x: float) -> str:
    if isnan(x):
        return "NAN"
    if isinf(x):
        return "INFINITY" if x > 0 else "-INFINITY"
    return repr(float(x))


def _braced(numbers: Iterable[str]) -> str:
    every = list(numbers)
    if len(every) <= PER_LINE:
        return f"{{{', '.join(every)}}}"
    starts = range(0, len(every), PER_LINE)
    lines = [f"{INDENT}{', '.join(every[i : i + PER_LINE])}," for i in starts]
    return "\n".join(["{", *lines, "}"])


def _plain(text: str) -> str:
    # What may stand in a comment.
    return text.replace("*/", "* /").replace("/*", "/ *")
