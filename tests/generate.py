"""Write what is derived from the operation table: `python tests/generate.py`.

That is autograd/methods.pyi, the operations as methods of `Value` for editors and type checkers,
and the table in README.md. tests/test_generated.py fails when either is out of step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autograd.op import REGISTRY, Variadic

if TYPE_CHECKING:
    from autograd.op import Op

ROOT = Path(__file__).parent.parent
STUB = ROOT / "autograd" / "methods.pyi"
README = ROOT / "README.md"
BEGIN, END = "<!-- operations -->", "<!-- /operations -->"

STUB_HEAD = '''\
"""The operations as methods of `Value`. Written by tests/generate.py from the table in ops.py."""

from .op import Operand
from .value import Value

class Methods(Operand):
'''


def builtin_operations() -> list[Op]:
    """Return the operations of the table, in its order."""
    return [op for op in REGISTRY.values() if op.builtin]


def stub() -> str:
    """Return the text of autograd/methods.pyi."""
    lines = []
    for op in builtin_operations():
        if isinstance(op, Variadic):
            continue
        for name in (op.name, *op.aliases):
            lines.append(f"    def {name}({_parameters(op)}) -> Value:")
            lines.append(f'        """Return {op.formula}."""')
    return STUB_HEAD + "\n".join(lines) + "\n"


def _parameters(op: Op) -> str:
    others = "bc"[: (op.arity or 1) - 1]
    first_default = len(others) - len(op.defaults)
    parts = ["self"]
    for i, name in enumerate(others):
        default = f" = {op.defaults[i - first_default]}" if i >= first_default else ""
        parts.append(f"{name}: float | Value{default}")
    return ", ".join([*parts, "/"])


def table() -> str:
    """Return the README's table of operations."""
    rows = ["| operation | value | derivative in each operand | defined for | at a kink |"]
    rows.append("|---|---|---|---|---|")
    for op in builtin_operations():
        derivatives = ", ".join(op.locals)
        kinks = "; ".join(map(str, op.kinks))
        cells = (f"`{op.name}`", op.formula, derivatives, op.rule.removeprefix("operand "), kinks)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def readme(text: str) -> str:
    """Return the README's text with the table of operations put in."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
