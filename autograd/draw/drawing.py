"""`Drawing`: the graph behind a value as a picture, and files that are replaced whole."""

from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import layout
from .dot import write
from .graph import MOST_VALUES, picture
from .svg import finish
from .text import shorten, visible

if TYPE_CHECKING:
    from autograd.value import Value

    from .dot import Look

FORMATS = {".svg", ".dot", ".png", ".pdf"}
MOST_NAMED = 10  # collapsed scopes in a description


class Drawing:
    """A drawn graph: `dot` and `svg` are text, `save` writes a file, a notebook shows it by itself.

    `prefix` is what the ids of its elements begin with: value n (in the order of evaluation) is
    `<prefix>-v<n>`, its operation `-o<n>`, the edge of its operand i `-e<n>_<i>`.
    """

    _most = MOST_VALUES

    def __init__(
        self, y: Value, look: Look, *, scopes: bool, collapse: int, engine: str | None
    ) -> None:
        self._picture = picture(y, scopes=scopes, collapse=collapse, most=self._most)
        self.dot, self.prefix = write(self._picture, look)
        self._look = look
        self._name = shorten(visible(y.label or "the result"))
        self._engine = engine

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG: one `<svg>` element, which can stand in a page or in a file."""
        raw = layout.render(self.dot, "svg", self._engine)
        return finish(raw, self.prefix, self.title, self.description)

    @property
    def engine(self) -> str:
        """Which Graphviz makes the layout, for people."""
        return layout.describe(self._engine)

    @property
    def title(self) -> str:
        """What the drawing shows, in a few words."""
        return f"Computation graph of {self._name}"

    @property
    def description(self) -> str:
        """What the drawing shows, in a sentence or two, for those who can't see it."""
        shown = self._picture
        groups = [box for box in shown.boxes.values() if box.kind == "group"]
        text = f"{shown.values} values and {len(shown.edges)} edges, from the leaves to the result."
        if groups:
            hidden = sum(len(box.values) for box in groups)
            named = groups[:MOST_NAMED]
            names = ", ".join(shorten(visible("/".join((*box.scope, box.name)))) for box in named)
            more = f" and {len(groups) - len(named)} more" if len(groups) > len(named) else ""
            text += f" {hidden} of them are collapsed into {len(groups)} boxes: {names}{more}."
        return text

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawing to a .svg, .dot, .png or .pdf file, by its suffix; return its path.

        A file that exists is replaced whole or, on an error, not at all.

        Raises:
            ValueError: for another suffix.
            LayoutError: if the engine at hand can't make that format.
            OSError: if the file can't be written.

        """
        target = Path(path)
        return replace_file(target, self._as_bytes(target))

    def _as_bytes(self, target: Path) -> bytes:
        suffix = target.suffix.lower()
        if suffix not in FORMATS:
            message = f"the suffix of {str(target)!r} must be one of {', '.join(sorted(FORMATS))}"
            raise ValueError(message)
        if suffix == ".dot":
            return self.dot.encode()
        if suffix == ".svg":
            return self.svg.encode()
        return layout.render(self.dot, suffix[1:], self._engine)

    def __repr__(self) -> str:
        return f"<{self.title}: {self.description}>"

    def image(self) -> str:
        """Return an HTML `<img>` that holds the SVG, for pages in which inline SVG is stripped."""
        alt = escape(f"{self.title}: {self.description}", quote=True)
        return f'<img class="ag-image" alt="{alt}" src="{self._data_uri()}">'

    def _data_uri(self) -> str:
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # A front end takes the richest that it trusts: SVG, an image in HTML, or a sentence.
        return {"image/svg+xml": self.svg, "text/html": self.image(), "text/plain": repr(self)}

    def _mime_(self) -> tuple[str, str]:
        # What marimo asks for first: it makes a tab of each entry of a bundle.
        return "text/html", self.image()


def replace_file(target: Path, content: bytes) -> Path:
    """Write the content into a new file beside `target` and move it there; return `target`.

    Raises:
        OSError: if that can't be done; `target` is then as it was.

    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
