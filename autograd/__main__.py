"""The command line: `autograd explain`, `autograd check` and `autograd train`.

autograd explain EXPRESSION|FILE name=value ...    values, steps, gradients, descent, drawings
autograd check   EXPRESSION|FILE name=value ...    are the gradients right? Status 1 if not
autograd train   moons|iris|digits|FILE.csv ...    a network, trained (written in nn/command.py)
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from .expression import (
    MAX_TEXT,
    ExpressionError,
    Line,
    operations,
    parse,
    parse_given,
    suggest,
    visible,
)

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from .explain import Explanation

EXAMPLES = Path(__file__).with_name("examples")
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_MAX_DIGITS = 17

_DESCRIPTION = "See every chain-rule step of a computation, and whether its gradients are right."
_EXPLAIN = """\
Print the values of a computation, each step of its backward pass, its gradients,
and a check of each gradient by finite differences.
"""
_CHECK = """\
Hold each gradient of a computation against finite differences of its values, and
print the verdicts, the kinks that the computation sat on, and for a wrong gradient
the smallest part of the graph that is wrong.

    right                  the differences agree
    wrong                  they don't; where it is so at a kink, "wrong (kink)"
    kink                   the slopes on the two sides differ; ours is one between
    too noisy to tell      the differences are too inaccurate
    edge of the domain     the function ends here; ours is its slope on this side
    infinite or undefined  there is no derivative, and ours isn't a number either
    unchecked              it would take too long: choose fewer by --wrt
"""
_TEXT = """
An EXPRESSION has numbers, names, + - * / **, parentheses, pi, e and the operations
below. A FILE has assignments, one a line; # begins a comment, and the last
assignment is the result:

    x = 2            # data
    w = 0.5
    L = (w*x - 1)**2

A name whose assignment uses no other name is an input. `# data` at the end of its
line marks it as data, which explain --lr leaves alone. A word name=value gives an
input its value, before the file's own.
"""
_EXPLAIN_EXAMPLES = """\
  autograd explain "sin(x)*y" x=0.5 y=2
  autograd explain "(w*x + b - y)**2" w=0.5 x=2 b=0.1 y=1 --wrt w,b --lr 0.1
  autograd explain neuron --lr 0.1          one neuron
  autograd explain chain w1=0.9             two neurons in a chain
  autograd explain network --lr 0.5         a 2-2-1 network
  autograd explain my.txt --output z --wrt 'w*' --json
  echo "x**3" | autograd explain - x=2
  autograd explain neuron --html neuron.html --open   step through it in the browser
  autograd explain chain --svg - | less               the graph alone
"""
_CHECK_EXAMPLES = """\
  autograd check network                    a 2-2-1 network
  autograd check "tanh(w*x + b)" w=0.5 x=2 b=0.1 --wrt w,b
  autograd check "relu(x) - relu(-x)" x=0   kinks that make a wrong gradient
  autograd check my.txt --json >check.json || echo wrong
"""
_STATUS = """
exit status: 0 done, 1 the computation failed or check found a wrong gradient,
2 the text or the usage has to change.
Colour is used on a terminal, unless NO_COLOR is set.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (it failed) or 2 (usage)."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as stop:  # argparse has printed what there is to say
        return stop.code if isinstance(stop.code, int) else USAGE
    except ExpressionError as error:
        _complain(str(error))
        return USAGE if error.usage else FAILED
    except BrokenPipeError:
        _give_up_stdout()
        return OK
    except (RecursionError, MemoryError, OSError) as error:
        if isinstance(error, OSError):
            _complain(f"the output can't be written: {error.strerror or error}")
        else:
            _complain(f"{type(error).__name__}: the computation is too large: split it")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: list[str]) -> int:
    parser, commands = _parsers()
    name = argv[0] if argv else ""
    if name == "train":
        from nn.command import main as train  # noqa: PLC0415  (the other commands need no nn)

        return train(argv[1:])
    if name not in commands:
        parser.parse_args(argv)  # --help, --version and errors end here
        parser.print_help()
        return USAGE
    command = commands[name]
    # Intermixed, for `explain network --lr 0.5 w=2`: parse_args takes positionals in one run only.
    arguments = command.parse_intermixed_args([_shield(word) for word in argv[1:]])
    words = [word.removeprefix(_SHIELD) for word in arguments.words]
    if not words:
        command.error(f"what shall I {name}? an EXPRESSION, a FILE or {', '.join(_examples())}")
    if name == "check":
        return _checked(words, arguments)
    files = arguments.svg, arguments.html
    if files == ("-", "-"):
        command.error("--svg and --html can't both be -: there is one standard output")
    if arguments.json and "-" in files:
        command.error("--json and - are both for standard output: name a file")
    explanation = _explained(words, arguments, lr=arguments.lr)
    if (arguments.svg, arguments.html, arguments.open) != (None, None, False):
        return _drawn(explanation, arguments)
    _write(_rendered(explanation, arguments))
    return OK


def _checked(words: list[str], arguments: argparse.Namespace) -> int:
    explanation = _explained(words, arguments, strict=False)
    if arguments.json:
        text = _rendered(explanation, arguments)
    else:
        text = explanation.verdicts(arguments.digits, colour=_colour())
    try:
        _write(text)
    except BrokenPipeError:  # what is wrong stays wrong, whoever reads it
        _give_up_stdout()
    return OK if explanation.ok else FAILED


def _explained(words: list[str], arguments: argparse.Namespace, **settings: Any) -> Explanation:
    from .explain import explain  # noqa: PLC0415  (--help and --version don't need it)

    given = parse_given(words[1:])
    text, source = _source(words[0], given)
    return explain(
        parse(text, source, given).bind(given),
        source,
        wrt=_option("--wrt", arguments.wrt),
        output=_option("--output", arguments.output),
        **settings,
    )


def _rendered(explanation: Explanation, arguments: argparse.Namespace) -> str:
    if not arguments.json:
        return explanation.text(arguments.digits, colour=_colour())
    import json  # noqa: PLC0415  (for --json only)

    return json.dumps(explanation.as_dict(), indent=2, allow_nan=False, ensure_ascii=True) + "\n"


def _drawn(explanation: Explanation, arguments: argparse.Namespace) -> int:
    """Draw what is explained, into files or standard output, and print the rest if that is free."""
    from .draw.layout import LayoutError  # noqa: PLC0415  (for drawings only)

    try:
        pages, piped = _pages(explanation, arguments)
    except (LayoutError, ArithmeticError, ValueError) as error:  # also a wrong CHAINRULE_LAYOUT
        _complain(f"no drawing: {error}")
        return FAILED
    opened: Path | None = None
    for name, suffix, text in pages:
        try:
            opened = _put(name, suffix, text)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            where = "the folder for temporary files" if name is None else repr(name)
            remedy = "name a file in a folder that you may use"
            _complain(f"{where} can't be written ({reason}): {remedy}")
            return FAILED
    if piped:
        _write_utf8(piped)
    else:
        _write(_rendered(explanation, arguments))
    return _opened(opened) if arguments.open and opened else OK


def _pages(
    explanation: Explanation, arguments: argparse.Namespace
) -> tuple[list[tuple[str | None, str, str]], str]:
    """Return the files to write (name, suffix, text; the last is opened), and what goes to `-`.

    A file without a name is a temporary one.
    """
    from . import draw, stepper  # noqa: PLC0415  (for drawings only)

    result = explanation.result
    files: list[tuple[str | None, str, str]] = []
    piped = ""
    if arguments.svg is not None:
        result.backward()
        svg = draw(result).svg + "\n"
        if arguments.svg == "-":
            piped = svg
        else:
            files.append((arguments.svg, ".svg", svg))
    temporary = arguments.open and not files and arguments.html in (None, "-")
    if temporary or arguments.html is not None:
        page = stepper(result).html
        piped = page if arguments.html == "-" else piped
        if temporary or arguments.html != "-":
            files.append((None if temporary else arguments.html, ".html", page))
    return files, piped


def _put(name: str | None, suffix: str, text: str) -> Path:
    """Write the text to the file of that name, or to a temporary file."""
    from .draw.drawing import replace_file  # noqa: PLC0415  (for drawings only)

    if name is not None:
        path = Path(name)
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(text.encode())  # /dev/null or a pipe: there is nothing to replace
            return path
        return replace_file(path, text.encode())
    import tempfile  # noqa: PLC0415  (for --open only)

    # It stays: the browser reads it when this process may be gone.
    with tempfile.NamedTemporaryFile(prefix="autograd-", suffix=suffix, delete=False) as file:
        file.write(text.encode())
    return Path(file.name)


def _opened(path: Path) -> int:
    import webbrowser  # noqa: PLC0415  (for --open only)

    address = path.resolve().as_uri()
    if webbrowser.open(address):
        return OK
    _complain(f"no browser found: open {address} yourself, or set BROWSER")
    return FAILED


def _option(name: str, text: str | None) -> Line | None:
    return None if text is None else Line(name, 1, text.removeprefix(_SHIELD))


# --- arguments ------------------------------------------------------------------------------------

# argparse takes a word that begins with - for an option, unless it has a blank in it.
_SHIELD = " \b"


def _shield(word: str) -> str:
    is_option = word.startswith("--") or word in ("-", "-h") or not word.startswith("-")
    return word if is_option else _SHIELD + word


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    style = argparse.RawDescriptionHelpFormatter
    examples = "".join(command.examples for command in _COMMANDS.values())
    parser = argparse.ArgumentParser(
        prog="autograd",
        description=_DESCRIPTION,
        epilog=f"examples:\n{examples}{_STATUS}",
        formatter_class=style,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    group = parser.add_subparsers(metavar="COMMAND", dest="command")
    parsers = {}
    for name, command in _COMMANDS.items():
        parsers[name] = group.add_parser(
            name,
            help=command.summary,
            usage=f"autograd {name} EXPRESSION|FILE [name=value ...] [options]",
            description=command.description + _TEXT,
            epilog=f"{_operation_names()}\n\nexamples:\n{command.examples}{_STATUS}",
            formatter_class=style,
            allow_abbrev=False,
        )
        parsers[name].add_argument(
            "words",
            nargs="*",
            metavar="EXPRESSION|FILE name=value",
            help=f"what to {name} (- for standard input; shipped: {', '.join(_examples())})",
        )
        for option in command.options:
            parsers[name].add_argument(option, **_OPTIONS[option])
    group.add_parser("train", help="train a network on moons, iris, digits or a CSV file")
    return parser, parsers


class _Version(argparse.Action):
    """Prints the version by way of `_write`, which minds the stream's encoding."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from . import __version__  # noqa: PLC0415  (nothing else here needs the package itself)

        _write(f"autograd (chainrule {__version__})\n")
        parser.exit()


def _finite(text: str) -> float:
    text = text.removeprefix(_SHIELD)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        message = f"{text!r} isn't a finite number; use one such as 0.1"
        raise argparse.ArgumentTypeError(message)
    return number


def _digits(text: str) -> int:
    text = text.removeprefix(_SHIELD)
    if not (text.isdecimal() and text.isascii() and 1 <= int(text[:4]) <= _MAX_DIGITS):
        message = f"{text!r} isn't a whole number from 1 to {_MAX_DIGITS}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


class _Command(NamedTuple):
    """What the parser has to know of a subcommand; `options` are keys of `_OPTIONS`."""

    summary: str
    description: str
    examples: str
    options: tuple[str, ...]


_OPTIONS: dict[str, dict[str, Any]] = {
    "--wrt": {
        "metavar": "A,B",
        "help": "whose gradients: names, where * and ? match inputs (default: all inputs)",
    },
    "--output": {
        "metavar": "NAME",
        "help": "what to differentiate (default: the last assignment)",
    },
    "--lr": {
        "metavar": "X",
        "type": _finite,
        "help": "take one descent step with this learning rate, by --wrt or all inputs but data",
    },
    "--digits": {
        "metavar": "N",
        "type": _digits,
        "default": 6,
        "help": "significant digits of the tables (default: 6)",
    },
    "--svg": {
        "metavar": "FILE",
        "help": "draw the graph, with its gradients, into FILE (- for standard output, alone)",
    },
    "--html": {
        "metavar": "FILE",
        "help": "write a page that steps through both passes (- for standard output, alone)",
    },
    "--json": {"action": "store_true", "help": "print JSON with exact numbers"},
    "--open": {
        "action": "store_true",
        "help": "open the --html page (or the --svg) in the browser",
    },
}

_COMMANDS = {
    "explain": _Command(
        "print values, chain-rule steps, gradients and their check",
        _EXPLAIN,
        _EXPLAIN_EXAMPLES,
        tuple(_OPTIONS),
    ),
    "check": _Command(
        "say whether gradients are right (if not, status 1)",
        _CHECK,
        _CHECK_EXAMPLES,
        ("--wrt", "--output", "--digits", "--json"),
    ),
}


def _examples() -> list[str]:
    return sorted(path.stem for path in EXAMPLES.glob("*.txt"))


def _operation_names() -> str:
    import textwrap  # noqa: PLC0415  (for --help only)

    names = " ".join(sorted(operations()))
    listing = textwrap.fill(names, 78, initial_indent="  ", subsequent_indent="  ")
    return f"operations (sum, mean, logsumexp and dot take lists, sum([a, b])):\n{listing}"


# --- reading --------------------------------------------------------------------------------------


def _source(word: str, given: Container[str]) -> tuple[str, str]:
    """Return the text that `word` is or names, and what errors call it."""
    if word == "-":
        return _decoded(_standard_input(), "standard input"), "standard input"
    if _is_file(word):
        return _decoded(_contents(word), word), visible(word)
    line = Line("argument", 1, word)
    if word.isidentifier() and word not in given:
        path = EXAMPLES / f"{word}.txt"
        if path.is_file():
            return path.read_text(encoding="utf-8"), path.name
        hint = suggest(word, _examples())
        if hint:
            rule = "is neither a file nor an example that is shipped, and it has no value"
            raise line.error(0, rule, f"{hint}or add {word}=...", name=word)
    if word.endswith(".txt"):
        remedy = f"check the path, or use an example that is shipped: {', '.join(_examples())}"
        raise line.error(0, "there is no such file", remedy)
    return word, "expression"


def _is_file(word: str) -> bool:
    # Not Path's methods: they raise for null bytes and for very long text. A directory is taken for
    # a file, so that the error can say so, unless its name could be an expression too.
    return os.path.exists(word) and not (os.path.isdir(word) and word.isidentifier())  # noqa: PTH110, PTH112


def _standard_input() -> bytes:
    line = Line("argument", 1, "-")
    remedy = "pipe a text into the command, or name a file"
    if sys.stdin is None:  # closed by the shell, `<&-`
        raise line.error(0, "standard input is closed", remedy)
    try:
        if isinstance(sys.stdin, TextIOWrapper):
            content: bytes = sys.stdin.buffer.read(4 * MAX_TEXT + 1)
            return content
        return sys.stdin.read(MAX_TEXT + 1).encode(errors="surrogatepass")
    except OSError as error:
        raise line.error(0, f"standard input can't be read ({error})", remedy) from None


def _contents(word: str) -> bytes:
    try:
        with Path(word).open("rb") as file:
            return file.read(4 * MAX_TEXT + 1)  # UTF-8 has up to 4 bytes for a character
    except OSError as error:
        rule = f"can't be read ({error.strerror})"
        line = Line("argument", 1, word)
        raise line.error(0, rule, "name a file with assignments", name=word) from None


def _decoded(content: bytes, source: str) -> str:
    content = content.removeprefix(b"\xef\xbb\xbf")  # the byte-order mark of some editors
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        good = content[: error.start].decode()
        before = good.rpartition("\n")[2]
        line = Line(source, good.count("\n") + 1, before + "\ufffd")
        rule = f"byte 0x{content[error.start]:02x} isn't UTF-8"
        raise line.error(len(before), rule, "save the text as UTF-8") from None


# --- writing --------------------------------------------------------------------------------------

_PLAIN = str.maketrans(
    {"∂": "d", "·": "*", "×": "x", "−": "-", "\ufffd": "?", "±": "+-", "…": "..."}
)


def _colour() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def _fitting(text: str, stream: TextIO) -> str:
    """Return the text with stand-ins for what the stream can't encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN)
        return text.encode(encoding, errors="backslashreplace").decode(encoding)
    return text


def _write(text: str) -> None:
    if sys.stdout is None:  # closed by the shell, `>&-`
        return
    sys.stdout.write(_fitting(text, sys.stdout))
    sys.stdout.flush()


def _give_up_stdout() -> None:
    # The reader has seen enough. Python would complain about stdout once more at exit.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_utf8(text: str) -> None:
    """Write a file to standard output: in the encoding that the file says, not the terminal's."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    else:
        _write(text)


def _complain(text: str) -> None:
    if sys.stderr is None:
        return
    sys.stderr.write(_fitting(f"autograd: {text}\n", sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
