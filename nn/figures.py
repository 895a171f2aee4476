"""How the pictures look: a transparent ground, and inks that can be read on white and on black."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK = "#64748b"
BLUE, RED, GREEN, AMBER, VIOLET = "#3b82f6", "#dc2626", "#16a34a", "#d97706", "#8b5cf6"
COLOURS = (BLUE, RED, GREEN, AMBER, VIOLET)
SIZE = (7.0, 3.8)  # inches


def new_figure(count: int, *, square: bool = False) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes, `count` of them, side by side or in several lines."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra, and slow to import)
    except ImportError as error:
        message = "plots need matplotlib: pip install 'chainrule[plot]'"
        raise ImportError(message) from error
    columns = count if count <= 3 else ceil(sqrt(count))  # noqa: PLR2004  (fit side by side)
    lines = ceil(count / columns)
    size = (5.0, 4.4) if square else SIZE
    figure = Figure(size, facecolor="none", layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    panels = list(grid.flat)
    for empty in panels[count:]:
        empty.remove()
    for axes in panels[:count]:
        style(axes)
    return figure, panels[:count]


def style(axes: Axes) -> None:
    """Give axes our inks."""
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, which="both")
    axes.spines[:].set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=INK, alpha=0.3)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(INK)


def legend(axes: Axes) -> None:
    """Put a legend above the axes, where it hides nothing."""
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, labelcolor=INK
    )


def red_to_blue() -> Colormap:
    """Return the colours of weights, clear in the middle."""
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415  (as Figure)

    return LinearSegmentedColormap.from_list("weights", [RED, f"{INK}00", BLUE])


def colour_of(number: int) -> str:
    """Return the colour of the curve or class with that number, from 0."""
    return COLOURS[number % len(COLOURS)]
