"""Drawing: a graph as DOT, laid out by Graphviz as SVG, and the page that steps through it.

Only what `import autograd` may cost is here; the rest is imported when something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from autograd.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from .dot import Look
    from .drawing import Drawing
    from .stepper import Stepper

Style = Literal["teaching", "compact"]
Direction = Literal["LR", "TB", "RL", "BT"]
STYLES = ("teaching", "compact")
DIRECTIONS = ("LR", "TB", "RL", "BT")
SHOWN = ("data", "grad", "local")


def draw(  # noqa: PLR0913  (options, by name)
    y: Value,
    *,
    style: Style = "teaching",
    direction: Direction = "LR",
    show: Collection[str] = SHOWN,
    scopes: bool = True,
    collapse: int = 60,
    engine: str | None = None,
) -> Drawing:
    """Return a drawing of the graph behind y; a notebook shows it by itself.

    `style` is "teaching", with operations as nodes and local derivatives on the edges into them, or
    "compact", with the operation inside the box of its value. `show` has any of "data", "grad" and
    "local". `scopes` says whether boxes are framed by scope; with more than `collapse` values a
    scope becomes one box. `engine` is "system" or "wasm": which Graphviz makes the layout.

    Raises:
        TypeError: if y isn't a Value.
        ValueError: for an option that doesn't exist.
        RuntimeError: if a leaf was changed after y was computed.

    """
    from .drawing import Drawing  # noqa: PLC0415  (imported when something is drawn)

    look = _look("draw", y, style, direction, show, collapse)
    return Drawing(y, look, scopes=scopes, collapse=collapse, engine=engine)


def stepper(  # noqa: PLR0913  (options, by name)
    y: Value,
    *,
    style: Style = "teaching",
    direction: Direction = "LR",
    show: Collection[str] = SHOWN,
    scopes: bool = True,
    collapse: int = 60,
    engine: str | None = None,
) -> Stepper:
    """Return a page that steps through both passes over y's graph; a notebook shows it by itself.

    The options are those of `draw`. The gradients are those of `steps(y)`: no `grad` is read or
    changed, and `y.backward()` needn't have been called.

    Raises:
        TypeError: if y isn't a Value.
        ValueError: for an option that doesn't exist, or a graph with too many steps for a page.
        RuntimeError: if a leaf was changed after y was computed.
        ZeroDivisionError, OverflowError, ValueError: as `steps`.

    """
    from .stepper import Stepper  # noqa: PLC0415  (imported when something is drawn)

    look = _look("stepper", y, style, direction, show, collapse)
    return Stepper(y, look, scopes=scopes, collapse=collapse, engine=engine)


def _look(  # noqa: PLR0913, PLR0917  (the options of two functions, checked in one place)
    caller: str, y: Value, style: Style, direction: Direction, show: Collection[str], collapse: int
) -> Look:
    from .dot import Look  # noqa: PLC0415  (imported when something is drawn)

    if type(y) is not Value:
        message = f"{caller}(y) takes the Value whose graph to draw; got {y!r} ({type(y).__name__})"
        raise TypeError(message)
    _check("style", style, STYLES)
    _check("direction", direction, DIRECTIONS)
    words = (show,) if isinstance(show, str) else tuple(show)
    for word in words:
        _check("show", word, SHOWN)
    if collapse < 1:
        message = f"collapse (={collapse!r}) must be at least 1"
        raise ValueError(message)
    return Look(style, direction, frozenset(words))


def _check(name: str, given: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(given, str) or given not in allowed:
        message = f"{name} (={given!r}) must be one of {', '.join(map(repr, allowed))}"
        raise ValueError(message)
