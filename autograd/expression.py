"""Arithmetic from text: parsed by `ast`, held to a whitelist, evaluated on floats or Values.

Three things keep the text from reaching Python. Characters: a scanner lets through numbers, names
and + - * / ** ( ) [ ] , and nothing else, so no text, attribute or comparison gets as far as the
parser. Node kinds: the tree is turned into instructions kind by kind, and a kind that isn't in
`_READERS` is an error. Numbers: every literal becomes a float at once, so 9**9**9 overflows as a
float does, instead of computing an integer of 369 million digits.

Nothing here recurses over the tree: what `ast` can build, this evaluates, at any recursion limit.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import combining, normalize

from . import ops
from .op import REGISTRY, Op, Variadic
from .value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Number = float | Value

CONSTANTS = {"pi": math.pi, "e": math.e}
MAX_TEXT = 1_000_000  # characters of a file
MAX_LINE = 250_000  # characters of an expression; the parser needs up to 600 bytes for each
MAX_LITERAL = 1_000  # digits of a number; a double has 17 significant ones
MAX_NESTING = 100  # brackets; Python's own tokenizer gives up at 200
_EXCERPT = 72  # columns of a source line that an error shows


# --- errors ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a source: its name, the line's number from 1, and its text."""

    source: str
    number: int
    text: str

    def error(  # noqa: PLR0913  (an error's parts, by name)
        self,
        index: int,
        rule: str,
        remedy: str,
        *,
        name: str = "",
        value: object = None,
        usage: bool = True,
    ) -> ExpressionError:
        """Return the error for what stands at `index` (from 0) of this line."""
        return ExpressionError(
            name=name,
            value=value,
            rule=rule,
            remedy=remedy,
            line=self,
            index=index,
            usage=usage,
        )

    def excerpt(self, index: int) -> tuple[str, str]:
        """Return the part of the text around `index`, and a caret to put under it."""
        start = max(0, index - _EXCERPT // 2) if len(self.text) > _EXCERPT else 0
        end = start + _EXCERPT
        before = ("... " if start else "") + self.text[start:index]
        after = self.text[index:end] + (" ..." if len(self.text) > end else "")
        blanks = ("\t" if c == "\t" else " " for c in before if not combining(c))
        caret = "".join(blanks) + "^"
        return visible(before + after), caret


def visible(text: str) -> str:
    """Return the text without control characters, which could drive the reader's terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


class ExpressionError(ValueError):
    """What is wrong with a text, where, and what to do.

    `name` is what it is about and `value` what was found (None if that says nothing), `rule` what
    doesn't hold and `remedy` what to do. `line`, `column` (from 1) and `source` say where. `usage`
    is true if the text has to be changed, false if its computation failed.
    """

    def __init__(  # noqa: PLR0913  (the parts of a record)
        self,
        *,
        rule: str,
        remedy: str,
        line: Line,
        index: int,
        name: str = "",
        value: object = None,
        usage: bool = True,
    ) -> None:
        self.name = name
        self.value = value
        self.rule = rule
        self.remedy = remedy
        self.usage = usage
        self.source = line.source
        self.line = line.number
        self.column = index + 1
        self._where = line
        excerpt, caret = line.excerpt(index)
        subject = _shorten(name) + ("" if value is None else f" (={value!r})")
        sentence = visible(f"{subject} {rule}: {remedy}".strip())
        place = visible(f"{self.source}, line {self.line}, column {self.column}")
        super().__init__(f"{place}\n    {excerpt}\n    {caret}\n  {sentence}")

    def during(self, what: str) -> ExpressionError:
        """Return the same error, which happened while doing `what`."""
        return self._where.error(
            self.column - 1,
            f"{what}: {self.name} {self.rule}".replace(":  ", ": "),
            self.remedy,
            usage=self.usage,
        )


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean x? ` for the known name most like `name`, or nothing."""
    close = get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}? " if close else ""


# --- characters -----------------------------------------------------------------------------------


class Token(NamedTuple):
    """A number, a name, an operator or the end of the line, and where it begins (from 0)."""

    kind: str
    text: str
    at: int


# Letters, digits and combining marks, as in x\u0302; what isn't an identifier is sorted out later.
_NAME = r"[^\W\d][\w\u0300-\u036f]*"
_TOKEN = re.compile(
    r"(?P<space>[ \t]+)"
    r"|(?P<number>0[xXoObB]\w*|(?:[0-9]|\.[0-9])(?:[eE][+-]|[\w.])*)"
    rf"|(?P<name>{_NAME})"
    r"|(?P<foreign>//)"
    r"|(?P<operator>\*\*|[-+*/(),\[\]])"
    r"|(?P<other>.)",
    re.DOTALL,
)

_COMPARE = "comparisons aren't part of an expression", "for `b if x > 0` write where(step(x), b, c)"
_TEXT = "text isn't part of an expression", "write a number or a name without quotes"
_FOREIGN = {
    ".": ("attributes can't be reached", "use the operations by name, such as sin(x)"),
    "=": ("an assignment is name = expression, at the start of a line", "use one = a line"),
    "'": _TEXT,
    '"': _TEXT,
    "<": _COMPARE,
    ">": _COMPARE,
    "!": _COMPARE,
    "^": ("^ isn't an operator", "write ** for a power"),
    "//": ("// isn't an operator", "it has no useful derivative; write / for a quotient"),
    "%": ("% isn't an operator", "write x / 100 for a percentage"),
    "²": ("² isn't an operator", "write **2 for a square"),
    "³": ("³ isn't an operator", "write **3 for a cube"),
    "√": ("√ isn't an operator", "write sqrt(x)"),
    "×": ("× isn't an operator", "write * for a product"),
    "·": ("· isn't an operator", "write * for a product"),
    "−": ("− is a typographic minus", "write the hyphen, -"),
    "–": ("– is a dash", "write the hyphen, -"),
    "÷": ("÷ isn't an operator", "write / for a quotient"),
    ";": ("; doesn't separate", "put each assignment on a line of its own"),
}
_ALLOWED = "an expression has numbers, names, + - * / **, parentheses and operations such as sin(x)"


def _scan(line: Line, code: str, start: int) -> list[Token]:
    """Return the tokens of `code` from `start` on; ExpressionError at the first foreign one."""
    if len(code) - start > MAX_LINE:
        rule = f"has {len(code) - start} characters; at most {MAX_LINE} are read"
        raise line.error(start, rule, "give its parts names of their own", name="the expression")
    tokens = []
    for match in _TOKEN.finditer(code, start):
        token = Token(str(match.lastgroup), match.group(), match.start())
        if token.kind == "space":
            continue
        if token.kind in ("other", "foreign"):
            raise _foreign(line, token)
        if token.kind == "number":
            _check_number(line, token)
        if token.kind == "name":
            _check_name(line, token)
        tokens.append(token)
    _check_brackets(line, tokens)
    return tokens


def _foreign(line: Line, token: Token) -> ExpressionError:
    if token.text in _FOREIGN:
        rule, remedy = _FOREIGN[token.text]
        return line.error(token.at, rule, remedy)
    shown = token.text if token.text.isprintable() else f"U+{ord(token.text):04X}"
    return line.error(token.at, f"{shown} isn't part of an expression", _ALLOWED)


def _check_number(line: Line, token: Token) -> None:
    if len(token.text) > MAX_LITERAL:
        rule = f"has {len(token.text)} characters; at most {MAX_LITERAL} are read"
        raise line.error(token.at, rule, "17 digits are all that a double keeps", name="a number")
    if re.fullmatch(r"[0-9._]+([eE][+-]?[0-9_]+)?[jJ]", token.text):
        remedy = "use real numbers only"
        raise line.error(token.at, "is complex", remedy, name=token.text)
    if re.fullmatch(r"0[0-9_]*[1-9][0-9_]*", token.text):
        rule, remedy = "begins with 0", f"write {token.text.lstrip('0_')}"
        raise line.error(token.at, rule, remedy, name=token.text)
    try:
        number = _literal(token.text)
    except ValueError:
        raise _not_a_number(line, token) from None
    except OverflowError:
        number = math.inf
    if number == math.inf:
        rule, remedy = "is beyond the largest double, 1.8e308", "use a smaller number"
        raise line.error(token.at, rule, remedy, name=_shorten(token.text))


def _not_a_number(line: Line, token: Token) -> ExpressionError:
    digits = re.match(r"[0-9]+(\.[0-9]+)?", token.text)
    rest = token.text[digits.end() :] if digits else ""
    if rest.startswith("."):
        index = token.at + len(token.text) - len(rest)
        return _foreign(line, Token("other", ".", index))
    if digits and rest.isidentifier():
        remedy = f"write {digits.group()}*{rest} for a product"
    else:
        remedy = "write a number such as 2, 0.5 or 1e-3"
    return line.error(token.at, "isn't a number", remedy, name=_shorten(token.text))


def _literal(text: str) -> float:
    return float(int(text, 0)) if text[:2].lower() in ("0x", "0o", "0b") else float(text)


def _shorten(text: str, limit: int = 24) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _check_name(line: Line, token: Token) -> None:
    if not token.text.isidentifier():
        # If each character may follow in a name, the first is one that can't begin it.
        bad = next((c for c in token.text if not f"_{c}".isidentifier()), token.text[0])
        raise _foreign(line, Token("other", bad, token.at + token.text.index(bad)))
    if iskeyword(token.text):
        remedy = "choose another name"
        if token.text in ("if", "else", "and", "or", "not"):
            remedy = "for `b if x > 0 else c` write where(step(x), b, c)"
        raise line.error(token.at, "is a word of Python's own", remedy, name=token.text)


def _check_brackets(line: Line, tokens: list[Token]) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.text in ("(", "["):
            opened.append(token)
            if len(opened) > MAX_NESTING:
                rule = f"brackets are nested more than {MAX_NESTING} deep"
                raise line.error(token.at, rule, "give the inner part a name of its own")
        elif token.text in (")", "]"):
            if not opened:
                rule, remedy = "closes nothing", "remove it, or open it before"
                raise line.error(token.at, rule, remedy, name=token.text)
            last = opened.pop()
            if last.text + token.text not in ("()", "[]"):
                rule = f"doesn't close the {last.text} at column {last.at + 1}"
                remedy = f"write {')' if last.text == '(' else ']'}"
                raise line.error(token.at, rule, remedy, name=token.text)
    if opened:
        rule, remedy = "is never closed", "close it"
        raise line.error(opened[-1].at, rule, remedy, name=opened[-1].text)


# --- from text to instructions --------------------------------------------------------------------


class Push(NamedTuple):
    """Put a number on the stack."""

    number: float


class Load(NamedTuple):
    """Put the value of a name on the stack."""

    name: str
    at: int


class Apply(NamedTuple):
    """Replace the last operands on the stack by an operation's result.

    `sizes` has the lengths of the lists that the operation takes, or is None if it takes its
    `operands` one by one.
    """

    function: Callable[..., Any]
    name: str
    operands: int
    sizes: tuple[int, ...] | None
    at: int


Instruction = Push | Load | Apply
Code = tuple[Instruction, ...]

_BINARY: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("add", "+"),
    ast.Sub: ("sub", "-"),
    ast.Mult: ("mul", "*"),
    ast.Div: ("div", "/"),
    ast.Pow: ("pow", "**"),
}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "neg", ast.UAdd: "pos"}

# What people call operations elsewhere; difflib wouldn't think of log for ln.
_ELSEWHERE = {
    "ln": "log",
    "max": "maximum",
    "min": "minimum",
    "lg": "log2",
    "tg": "tan",
    "sgn": "sign",
    "heaviside": "step",
    "logistic": "sigmoid",
    "swish": "silu",
    "fabs": "abs",
    "power": "pow",
    "cond": "where",
    "norm": "hypot",
    "avg": "mean",
    "lse": "logsumexp",
}


def operations() -> dict[str, Op]:
    """Return the operations that text may call, by name and alias."""
    found = {name: op for name, op in REGISTRY.items() if name != "softmax"}  # it returns a list
    return {alias: op for op in found.values() for alias in op.aliases} | found


class _Reader:
    """Turns the tree of one line into instructions."""

    def __init__(self, line: Line, code: str) -> None:
        self.line = line
        self.code = code
        # ast counts bytes of UTF-8, people count characters.
        self.columns: list[int] = []
        if not code.isascii():
            for i, character in enumerate(code):
                self.columns += [i] * len(character.encode())
            self.columns.append(len(code))

    def column(self, offset: int) -> int:
        return self.columns[offset] if self.columns else offset

    def read(self, tree: ast.expr) -> Code:
        """Return the instructions in the order of evaluation, operands before their operation."""
        reverse: list[Instruction] = []
        todo = [tree]
        while todo:
            node = todo.pop()
            reader = _READERS.get(type(node))
            if reader is None:
                raise self.refuse(node)
            instruction, operands = reader(self, node)
            reverse.append(instruction)
            todo += operands  # the last operand is popped first: the order is reversed throughout
        return tuple(reversed(reverse))

    def refuse(self, node: ast.expr) -> ExpressionError:
        index = self.column(node.col_offset)
        if isinstance(node, ast.List):
            rule = "a list isn't a number"
            return self.line.error(index, rule, "lists go into sum, mean, dot and logsumexp")
        if isinstance(node, ast.Subscript):
            rule = "elements can't be reached by [...]"
            return self.line.error(index, rule, "give each element a name of its own, such as x1")
        if isinstance(node, ast.Tuple):
            rule = "a comma separates operands of an operation"
            return self.line.error(index, rule, "write one expression, with . in numbers")
        if isinstance(node, ast.Starred):
            return self.line.error(index, "a number or a name is missing before *", "write it")
        rule = f"{type(node).__name__} isn't part of an expression"
        return self.line.error(index, rule, _ALLOWED)

    def constant(self, node: ast.Constant) -> tuple[Instruction, list[ast.expr]]:
        if type(node.value) not in (int, float):
            raise self.refuse(node)
        return Push(float(node.value)), []  # type: ignore[arg-type]  # int or float, as just seen

    def name(self, node: ast.Name) -> tuple[Instruction, list[ast.expr]]:
        return Load(node.id, self.column(node.col_offset)), []

    def unary(self, node: ast.UnaryOp) -> tuple[Instruction, list[ast.expr]]:
        if type(node.op) not in _UNARY:
            raise self.refuse(node)
        name, index = _UNARY[type(node.op)], self.column(node.col_offset)
        return Apply(_function(name), name, 1, None, index), [node.operand]

    def binary(self, node: ast.BinOp) -> tuple[Instruction, list[ast.expr]]:
        if type(node.op) not in _BINARY:
            raise self.refuse(node)
        name, symbol = _BINARY[type(node.op)]
        # Between the operands there are brackets, blanks and the operator, so this is it.
        index = self.code.index(symbol, self.column(node.left.end_col_offset or 0))
        return Apply(_function(name), name, 2, None, index), [node.left, node.right]

    def call(self, node: ast.Call) -> tuple[Instruction, list[ast.expr]]:
        index = self.column(node.col_offset)
        if not isinstance(node.func, ast.Name):
            remedy = "write a*(b) for a product, and an operation by its name"
            raise self.line.error(index, "only operations can be called", remedy)
        if node.keywords:  # `=` didn't get past the scanner, so this is f(**x)
            where = self.column(node.keywords[0].col_offset)
            raise self.line.error(where, "a number or a name is missing before **", "write it")
        name = node.func.id
        op = operations().get(name)
        if op is None:
            raise self.unknown(name, index)
        if isinstance(op, Variadic):
            return self.on_lists(node, name, index)
        self.check_count(op, node, name, index)
        return Apply(_function(op.name), name, len(node.args), None, index), node.args

    def on_lists(self, node: ast.Call, name: str, index: int) -> tuple[Instruction, list[ast.expr]]:
        """Return a call such as `sum([a, b])` as one instruction on all the elements."""
        form = "dot([a, b], [c, d])" if name == "dot" else f"{name}([a, b])"
        elements: list[ast.expr] = []
        sizes = []
        for argument in node.args:
            if not isinstance(argument, ast.List):
                where = self.column(argument.col_offset)
                raise self.line.error(where, f"{name} takes lists", f"write {form}")
            elements += argument.elts
            sizes.append(len(argument.elts))
        if len(sizes) != (2 if name == "dot" else 1):
            rule = f"takes {'two lists' if name == 'dot' else 'one list'}; got {len(sizes)}"
            raise self.line.error(index, rule, f"write {form}", name=name)
        if len(set(sizes)) > 1:
            rule = f"takes two lists of one length; got {sizes[0]} and {sizes[1]} elements"
            raise self.line.error(index, rule, f"write {form}", name=name)
        return Apply(_function(name), name, len(elements), tuple(sizes), index), elements

    def check_count(self, op: Op, node: ast.Call, name: str, index: int) -> None:
        most = op.arity or 0
        least = most - len(op.defaults)
        if least <= len(node.args) <= most:
            return
        expected = f"{least} to {most}" if least < most else f"{most}"
        rule = f"takes {expected} operand{'s' if most > 1 else ''}; got {len(node.args)}"
        remedy = f"write {name}({', '.join('abc'[:most])})"
        raise self.line.error(index, rule, remedy, name=name)

    def unknown(self, name: str, index: int) -> ExpressionError:
        if name == "softmax":
            rule, remedy = "gives a list", "for one share write exp(a - logsumexp([a, b]))"
            return self.line.error(index, rule, remedy, name=name)
        hint = suggest(name, operations())
        if name in _ELSEWHERE:
            hint = f"did you mean {_ELSEWHERE[name]}? "
        remedy = hint or f"for a product write {_shorten(name)}*(...). "
        remedy += "`autograd explain --help` lists the operations"
        return self.line.error(index, "isn't an operation", remedy, name=_shorten(name))


_READERS: dict[type[ast.expr], Callable[..., tuple[Instruction, list[ast.expr]]]] = {
    ast.Constant: _Reader.constant,
    ast.Name: _Reader.name,
    ast.UnaryOp: _Reader.unary,
    ast.BinOp: _Reader.binary,
    ast.Call: _Reader.call,
}


def _function(name: str) -> Callable[..., Any]:
    # The registry's record of dot takes one flat sequence; the function takes the two lists.
    return ops.dot if name == "dot" else REGISTRY[name]  # type: ignore[return-value]  # has a call


def _read(line: Line, code: str, start: int) -> Code:
    """Return the instructions of the expression that begins at `start` of `code`."""
    tokens = _scan(line, code, start)
    if not tokens:
        remedy = "write name = expression"
        raise line.error(len(code.rstrip()), "an expression is missing here", remedy)
    # Blanks for what stands before keep the columns; brackets allow for blanks at the start.
    code = " " * start + code[start:]
    try:
        tree = ast.parse(f"(\n{code}\n)", mode="eval").body
    except SyntaxError as error:
        raise _explain_syntax(line, tokens, error) from None
    except (RecursionError, MemoryError):
        rule = "is too long or too deep for Python's parser"
        remedy = "use sum([a, b, ...]), or give its parts names of their own"
        raise line.error(tokens[0].at, rule, remedy, name="the expression") from None
    return _Reader(line, code).read(tree)


def _explain_syntax(line: Line, tokens: list[Token], error: SyntaxError) -> ExpressionError:
    """Return an error at the first two tokens that can't stand side by side."""
    end = Token("end", "the end", tokens[-1].at + len(tokens[-1].text))
    start = Token("start", "the start", tokens[0].at)
    for before, after in pairwise([start, *tokens, end]):
        ends = before.kind in ("number", "name") or before.text in (")", "]")
        begins = after.kind in ("number", "name")
        if ends and (begins or (before.kind == "number" and after.text in ("(", "["))):
            rule = (
                f"an operator is missing between {_shorten(before.text)} and {_shorten(after.text)}"
            )
            return line.error(after.at, rule, "write * for a product")
        needs = not ends and not begins and after.text not in ("(", "[", "+", "-")
        empty = before.text in ("(", "[", ",") and after.text in (")", "]")
        if needs and not empty:
            rule = f"a number or a name is missing before {after.text}"
            return line.error(after.at, rule, "write it, or remove the operator")
    offset = min(max((error.offset or 1) - 1, tokens[0].at), end.at)
    return line.error(offset, "this can't be read as an expression", _ALLOWED)


# --- programs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """One assignment: `name` gets what `code` computes; `marked` if its comment is `# data`."""

    name: str
    line: Line
    index: int
    code: Code
    marked: bool = False

    def loads(self) -> Iterator[Load]:
        """Return the places where names are used."""
        return (item for item in self.code if type(item) is Load)


_ASSIGNMENT = re.compile(rf"\s*(?P<name>{_NAME})\s*=(?!=)")
_DATA = re.compile(r"\s*data\b", re.IGNORECASE)


def parse(text: str, source: str = "expression", given: Iterable[str] = ()) -> Program:
    """Return the program that `text` describes: assignments, one a line, `#` begins a comment.

    The last line may be a bare expression; its name is then the first of y, f, out, result that
    neither the text uses nor `given` has.

    Raises:
        ExpressionError: with the line and the column of the first thing that can't be read.

    """
    if len(text) > MAX_TEXT:
        line = Line(source, 1, text[:_EXCERPT].partition("\n")[0])
        rule = f"has more than {MAX_TEXT} characters"
        raise line.error(0, rule, "split it", name="the text")
    lines = [
        Line(source, number, row)
        for number, row in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), start=1)
    ]
    rows = [line for line in lines if line.text.partition("#")[0].strip()]
    if not rows:
        rule, remedy = "there is nothing to compute", "write an expression, such as w*x + b"
        raise lines[0].error(0, rule, remedy)
    return Program(tuple(_statements(rows, set(given))))


def _statements(rows: list[Line], used: set[str]) -> Iterator[Statement]:
    seen: dict[str, int] = {}
    for line in rows:
        code, _, comment = line.text.partition("#")
        match = _ASSIGNMENT.match(code)
        if match is None:
            statement = _bare(line, code, used | set(seen), last=line is rows[-1])
        else:
            name, index = normalize("NFKC", match["name"]), match.start("name")
            _check_name(line, Token("name", match["name"], index))
            if name in seen:
                rule, remedy = f"has a value since line {seen[name]}", "choose another name"
                raise line.error(index, rule, remedy, name=name)
            marked = _DATA.match(comment) is not None
            statement = Statement(name, line, index, _read(line, code, match.end()), marked)
        seen[statement.name] = line.number
        used.update(load.name for load in statement.loads())
        yield statement


def _bare(line: Line, code: str, used: set[str], *, last: bool) -> Statement:
    index = len(code) - len(code.lstrip())
    instructions = _read(line, code, 0)
    if not last:
        rule, remedy = "only the last line can do without a name", "write name = expression"
        raise line.error(index, rule, remedy)
    used = used | {item.name for item in instructions if type(item) is Load}
    candidates = ["y", "f", "out", "result", *(f"y{i}" for i in range(len(used) + 1))]
    name = next(name for name in candidates if name not in used)
    return Statement(name, line, index, instructions)


@dataclass(frozen=True, slots=True)
class Program:
    """What a text describes, before its inputs have values."""

    statements: tuple[Statement, ...]

    def bind(self, given: Mapping[str, Given]) -> Model:
        """Return the program with its inputs' values, those in `given` before the text's own.

        Raises:
            ExpressionError: if a name has no value, has one too many, or isn't used.

        """
        known = {statement.name: statement for statement in self.statements}
        inputs = {name: item.number for name, item in given.items() if name not in known}
        steps = []
        self._check_names(known, given)
        for statement in self.statements:
            if statement.name in given:
                inputs[statement.name] = given[statement.name].number
            elif _is_input(statement, known, given):
                number = run(statement, dict(CONSTANTS))
                assert isinstance(number, float)  # noqa: S101  (no Value went in)
                inputs[statement.name] = number
            else:
                steps.append(statement)
        data = frozenset(s.name for s in self.statements if s.marked)
        return Model(inputs, tuple(steps), data & inputs.keys(), self.statements[-1])

    def _check_names(self, known: Mapping[str, Statement], given: Mapping[str, Given]) -> None:
        done = set(given)
        loads: set[str] = set()
        for statement in self.statements:
            for load in statement.loads():
                loads.add(load.name)
                if load.name in done or (load.name in CONSTANTS and load.name not in known):
                    continue
                raise self._no_value(statement, load, known, given)
            done.add(statement.name)
        for name, item in given.items():
            if name not in loads and name not in known:
                hint = suggest(name, [*loads, *known])
                raise item.line.error(0, "isn't used", f"{hint}leave it out", name=name)
            if name in known and not _is_input(known[name], known, given):
                rule = f"is computed in line {known[name].line.number}"
                remedy = "give values to inputs only"
                raise item.line.error(0, rule, remedy, name=name)

    def _no_value(
        self,
        statement: Statement,
        load: Load,
        known: Mapping[str, Statement],
        given: Mapping[str, Given],
    ) -> ExpressionError:
        name = _shorten(load.name)
        if load.name in known:
            rule = f"is used before line {known[load.name].line.number} gives it a value"
            return statement.line.error(load.at, rule, "assign it on an earlier line", name=name)
        if load.name in operations():
            rule, remedy = "is an operation", f"call it, {name}(...), or add {name}=..."
            return statement.line.error(load.at, rule, remedy, name=name)
        have = {*known, *given, *CONSTANTS}
        missing = dict.fromkeys(
            item.name
            for other in self.statements
            for item in other.loads()
            if item.name not in have
        )
        # Every missing one at once: a second try for each would be tiresome.
        add = " ".join(f"{_shorten(item)}=..." for item in list(missing)[:20])
        hint = suggest(load.name, [*known, *given])
        remedy = f"{hint}If not, add {add}" if hint else f"add {add}"
        return statement.line.error(load.at, "has no value", remedy, name=name)


def _is_input(
    statement: Statement, known: Mapping[str, Statement], given: Mapping[str, Given]
) -> bool:
    return all(
        load.name in CONSTANTS and load.name not in known and load.name not in given
        for load in statement.loads()
    )


class Given(NamedTuple):
    """The value of an input, and the words that gave it."""

    number: float
    line: Line


def parse_given(words: Iterable[str]) -> dict[str, Given]:
    """Return the inputs that words such as `x=2`, `b=-1/3` or `t=pi/4` give.

    Raises:
        ExpressionError: if a word isn't `name=number`, or a name is given twice.

    """
    given: dict[str, Given] = {}
    for word in words:
        line = Line("argument", 1, word)
        match = _ASSIGNMENT.match(word)
        if match is None:
            remedy = "write it as x=2; an expression with blanks needs quotes"
            raise line.error(0, "isn't name=value", remedy, name=_shorten(word))
        _check_name(line, Token("name", match["name"], match.start("name")))
        name = normalize("NFKC", match["name"])
        if name in given:
            earlier = _shorten(given[name].line.text)
            raise line.error(
                0, "is given twice", f"leave {earlier} or {_shorten(word)} out", name=name
            )
        statement = Statement(name, line, match.end(), _read(line, word, match.end()))
        for load in statement.loads():
            if load.name not in CONSTANTS:
                rule, remedy = "isn't a number", f"give {_shorten(name)} one, such as 0.5"
                raise line.error(load.at, rule, remedy, name=_shorten(load.name))
        number = run(statement, dict(CONSTANTS))
        assert isinstance(number, float)  # noqa: S101  (no Value went in)
        given[name] = Given(number, line)
    return given


# --- evaluation -----------------------------------------------------------------------------------


class Made(NamedTuple):
    """A Value that an instruction recorded, and where its operation stands."""

    value: Value
    statement: Statement
    at: int


def run(
    statement: Statement, names: Mapping[str, Number], made: list[Made] | None = None
) -> Number:
    """Return what the statement computes from the values of the names; Values go into `made`.

    Raises:
        ExpressionError: if an operation fails or its result isn't finite, with its place.

    """
    stack: list[Number] = []
    for item in statement.code:
        if type(item) is Push:
            stack.append(item.number)
        elif type(item) is Load:
            stack.append(names[item.name])
        else:
            assert type(item) is Apply  # noqa: S101  (there are three kinds)
            start = len(stack) - item.operands
            result = _apply(statement, item, stack[start:])
            stack[start:] = [result]
            if made is not None and isinstance(result, Value):
                made.append(Made(result, statement, item.at))
    return stack.pop()


def _apply(statement: Statement, item: Apply, operands: list[Number]) -> Number:
    try:
        result: Number = item.function(*_arguments(item.sizes, operands))
    except (ArithmeticError, ValueError) as error:
        remedy = "change the inputs, so that the operation is defined"
        raise statement.line.error(item.at, str(error), remedy, usage=False) from None
    if not math.isfinite(plain(result)):
        shown = ", ".join(repr(plain(x)) for x in operands[:4]) + (", ..." if operands[4:] else "")
        rule = f"{item.name}({shown}) is {plain(result)}"
        remedy = "the result is beyond the largest double, 1.8e308; use smaller inputs"
        raise statement.line.error(item.at, rule, remedy, usage=False)
    return result


def _arguments(sizes: tuple[int, ...] | None, operands: list[Number]) -> list[Any]:
    if sizes is None:
        return list(operands)
    lists = []
    for size in sizes:
        lists.append(operands[:size])
        operands = operands[size:]
    return lists


def plain(x: Number) -> float:
    """Return the number that a Value holds, or the number itself."""
    return x.data if isinstance(x, Value) else x


@dataclass(frozen=True, slots=True)
class Model:
    """A program whose inputs have values: it can be evaluated, on floats or on Values.

    `inputs` are the leaves, `steps` the computed assignments in order, `data` the inputs that are
    marked `# data`, and `last` the last assignment of the text.
    """

    inputs: dict[str, float]
    steps: tuple[Statement, ...]
    data: frozenset[str]
    last: Statement
    _needed: dict[str, tuple[Statement, ...]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The inputs' names, then the computed ones, in their order."""
        return [*self.inputs, *(step.name for step in self.steps)]

    def record(self) -> tuple[dict[str, Value], list[Made]]:
        """Return the Value of every name, and every Value that was recorded, in order.

        Raises:
            ExpressionError: if an operation fails, with its place.

        """
        named: dict[str, Number] = dict(CONSTANTS)
        named |= {name: Value(number, name) for name, number in self.inputs.items()}
        made: list[Made] = []
        for step in self.steps:
            named[step.name] = run(step, named, made)
        return {name: x for name, x in named.items() if isinstance(x, Value)}, made

    def evaluate(self, instead: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the number of every name; `instead` has other numbers for some inputs.

        Raises:
            ExpressionError: if an operation fails, with its place.

        """
        named: dict[str, Number] = {**CONSTANTS, **self.inputs, **(instead or {})}
        for step in self.steps:
            named[step.name] = run(step, named)
        return {name: plain(x) for name, x in named.items()}

    def function(self, output: str, name: str) -> Callable[[float], float]:
        """Return `output` as a function of `name` alone, which may be a computed name too."""
        steps = [step for step in self.needed(output) if step.name != name]
        used = {load.name for step in steps for load in step.loads()} | {output}
        inputs = {key: self.inputs[key] for key in used if key in self.inputs}

        def f(x: float) -> float:
            named: dict[str, Number] = {**CONSTANTS, **inputs, name: x}
            for step in steps:
                named[step.name] = run(step, named)
            return plain(named[output])

        return f

    def needed(self, output: str) -> tuple[Statement, ...]:
        """Return the assignments that `output` depends on, itself included."""
        if output not in self._needed:
            wanted, found = {output}, []
            for step in reversed(self.steps):
                if step.name in wanted:
                    found.append(step)
                    wanted.update(load.name for load in step.loads())
            self._needed[output] = tuple(reversed(found))
        return self._needed[output]
