"""`Stepper`: a page that steps through the passes over a graph; HTML that needs nothing else.

It is built to lose parts without falling apart. The drawing is an `<img>` and the steps are a
`<details>` table: they are all that is left where scripts are off or stripped. The script finds
everything it needs in these two, so that nothing is sent twice, and makes the controls itself.
"""

from __future__ import annotations

import json
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import layout
from .drawing import Drawing, replace_file
from .minify import data_uri, small
from .passes import Passes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from autograd.value import Value

    from .dot import Look
    from .passes import Row

# Boxes that are drawn where there are no scopes to collapse. One is 1 kB of the page.
MOST_BOXES = 100

# Steps whose rule is spelt out in the table. Beyond, rows name the two values and the caption has
# the rule, which saves a quarter of the page; the script says it in full all the same.
MOST_SPELT_OUT = 300

# Said in the page itself: it loads nothing, from nowhere.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
html {{ color-scheme: light dark }}
body {{ margin: 0 auto; padding: 1rem; max-width: 100rem; font-family: system-ui, sans-serif }}
h1 {{ margin: 0 0 .75rem; font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere }}
body {{ --ag-ground: #fff; background: var(--ag-ground) }}
@media (prefers-color-scheme: dark) {{ body {{ --ag-ground: #0b1120; color: #e2e8f0 }} }}
</style>
</head>
<body class="ag-page">
<main>
<h1>{title}</h1>
{fragment}
</main>
</body>
</html>
"""
_FRAGMENT = """\
<div class="ag-stepper" id="{prefix}-stepper">
<style>
{css}</style>
{image}
<details class="ag-steps">
<summary>{summary}</summary>
<table class="ag-forward">
<caption>Forward: each value from its operands</caption>
{forward}</table>
<table class="ag-backward">
<caption>Backward: {rule} = upstream × local</caption>
{backward}</table>
</details>
<script type="application/json">{data}</script>
<script>
{script}</script>
</div>"""


class Stepper:
    """The passes over a graph to step through: `html` is a page, and a notebook shows it by itself.

    It shows the graph as it was when the stepper was made, and the gradients of its own backward
    pass; no `grad` is read or changed.
    """

    def __init__(
        self, y: Value, look: Look, *, scopes: bool, collapse: int, engine: str | None
    ) -> None:
        self._passes = Passes(y)
        look = look._replace(grad=self._passes.widest_grad)
        self._drawing = _Sketch(y, look, scopes=scopes, collapse=collapse, engine=engine)
        self._drawing.passes = self._passes
        self._values = list(self._drawing.numbers)
        self._forward = self._passes.forward(self._values)
        spelt_out = len(self._passes.steps) <= MOST_SPELT_OUT
        self._rule, self._backward = self._passes.backward(spelt_out=spelt_out)

    @property
    def prefix(self) -> str:
        """What the ids of the page's elements begin with; see `Drawing`."""
        return self._drawing.prefix

    @cached_property
    def html(self) -> str:
        """A whole page, to open, to send or to put on a server."""
        title = escape(self._drawing.title)
        return _PAGE.format(policy=_POLICY, title=title, fragment=self.fragment)

    @cached_property
    def fragment(self) -> str:
        """The stepper alone, as one element to put into a page."""
        return _FRAGMENT.format(
            rule=escape(self._rule),
            prefix=self.prefix,
            css=_asset("stepper.css"),
            image=self._drawing.image(),
            summary=self._summary(),
            forward=_rows(self._forward),
            backward=_rows(self._backward),
            data=_json(self._data()),
            script=_asset("stepper.js"),
        )

    def _summary(self) -> str:
        values, count = len(self._values), len(self._passes.steps)
        return f"All steps: {_count(values, 'value')} forward, {_count(count, 'step')} backward"

    def _data(self) -> dict[str, Any]:
        numbers = self._drawing.numbers
        return {
            "prefix": self.prefix,
            "boxes": list(numbers.values()),
            "result": len(numbers) - 1,
            "walk": self._passes.walk(self._values),
            "grads": self._drawing.has_grads,
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, whatever its suffix; return its path.

        A file that exists is replaced whole or, on an error, not at all.

        Raises:
            OSError: if the file can't be written.

        """
        return replace_file(Path(path), self.html.encode())

    def __repr__(self) -> str:
        return f"<Stepper: {self._drawing.title}. {self._summary()}.>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.fragment, "text/plain": repr(self)}

    def _mime_(self) -> tuple[str, str]:
        # What marimo asks for. It runs no scripts in HTML, so the page goes into a frame.
        style = "width:100%;height:42rem;border:0"
        title = escape(self._drawing.title)
        frame = f'<iframe title="{title}" style="{style}" srcdoc="{escape(self.html)}"></iframe>'
        return "text/html", frame


class _Sketch(Drawing):
    """The drawing in the page: small, and with the gradients of the stepper's own pass."""

    passes: Passes
    _most = MOST_BOXES

    @property
    def numbers(self) -> dict[Value, int]:
        """The box of each value, in the order of evaluation."""
        return self._picture.numbers

    @property
    def has_grads(self) -> bool:
        """Whether the last line of a box is its gradient."""
        return "grad" in self._look.shown

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG for browsers."""
        raw = layout.render(self.dot, "svg", self._engine)
        boxes = self._picture.boxes.items() if self.has_grads else ()
        last = {f"{self.prefix}-v{n}": self.passes.final_grad(box) for n, box in boxes}
        return small(raw, self.prefix, self.title, self.description, last)

    def _data_uri(self) -> str:
        return data_uri(self.svg)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _rows(rows: Iterable[Row]) -> str:
    # HTML ends cells and rows by itself, and four thousand rows are a lot of end tags.
    return "".join(f"{_row(row)}\n" for row in rows)


def _row(row: Row) -> str:
    title = f' title="{escape(row.label)}"' if row.label else ""
    return f"<tr><td{title}>{'<td>'.join(map(escape, row[:3]))}"


def _json(data: Any) -> str:
    r"""Return data as JSON that can stand in a script element, whatever the strings in it."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII: U+2028 and U+2029 are escaped as well
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
