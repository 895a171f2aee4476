"""Pictures of a training run and of what was learned, with matplotlib.

Each function returns a `matplotlib.figure.Figure`: `figure.savefig("loss.svg")` writes it, and a
notebook shows it after `%matplotlib inline`. The ground is transparent and every ink can be read on
white and on black. Without matplotlib, all raise an ImportError.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, isqrt
from statistics import median
from typing import TYPE_CHECKING, Any

from autograd import Value, no_collector

from .figures import BLUE, INK, colour_of, legend, new_figure, red_to_blue, style
from .trainer import mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from .history import History
    from .module import Module
    from .watch import Watching

GRID = 60  # points along each side of the plane
BINS = 30


def loss_curves(history: History | Mapping[str, History]) -> Figure:
    """Return the losses of a run against its epochs, training and validation.

    Several runs, as a dict by name, share the axes; the dashed lines are their validation losses.

    Raises:
        ValueError: if no run has finished an epoch.

    """
    runs = history if isinstance(history, Mapping) else {"": history}
    if not any(run.loss for run in runs.values()):
        message = "loss_curves: no epoch was finished, so there is no loss to draw"
        raise ValueError(message)
    figure, (axes,) = new_figure(1)
    drawn = []
    for number, (name, run) in enumerate(runs.items()):
        colour = colour_of(number)
        for losses, part, line in (
            (run.loss, "training", "-"),
            (run.validation_loss, "validation", "--"),
        ):
            if not losses:
                continue
            label = f"{name}, {part}" if name and run.validation_loss else name or part
            axes.plot(range(1, len(losses) + 1), losses, line, color=colour, label=label)
            drawn += losses
    if 0.0 < 10.0 * min(drawn) < max(drawn):  # a logarithm shows a long fall to its end
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="loss, mean over the examples")
    legend(axes)
    return figure


def gradient_flow(watching: Watching | Mapping[str, Watching]) -> Figure:
    """Return the gradient norm of each layer: the median of all records, and the range they span.

    Several watched runs, as a dict by name, share the axes.

    Raises:
        ValueError: if nothing was recorded.

    """
    runs = watching if isinstance(watching, Mapping) else {"": watching}
    figure, (axes,) = new_figure(1)
    names: list[str] = []
    for number, (name, run) in enumerate(runs.items()):
        norms = _gradient_norms(run)
        names = max(names, list(norms), key=len)
        places = range(1, len(norms) + 1)
        middles = list(map(median, norms.values()))
        colour = colour_of(number)
        axes.plot(places, middles, "o-", color=colour, label=name)
        lows, highs = list(map(min, norms.values())), list(map(max, norms.values()))
        axes.fill_between(places, lows, highs, color=colour, alpha=0.2, linewidth=0.0)
    turned = 45 if len(names) > 6 else 0  # noqa: PLR2004  (as many fit side by side)
    axes.set_xticks(range(1, len(names) + 1), names, rotation=turned)
    axes.set_yscale("log")
    axes.set(xlabel="layer, from input to output", ylabel="gradient norm")
    if any(runs):
        legend(axes)
    return figure


def activation_histograms(watching: Watching) -> Figure:
    """Return a histogram of each layer's outputs in the last record.

    Raises:
        ValueError: if nothing was recorded.

    """
    if not watching.activations:
        raise _nothing_recorded()
    figure, panels = new_figure(len(watching.activations))
    for axes, (name, numbers) in zip(panels, watching.activations.items(), strict=True):
        axes.hist([x for x in numbers if isfinite(x)], bins=BINS, color=BLUE)
        axes.set(title=name, xlabel="output", ylabel="number of outputs")
    return figure


def decision_boundary(model: Callable[[Any], Any], X: Any, y: Any) -> Figure:  # noqa: N803  (the field's name)
    """Return what the model says in the plane around X, and the examples in their classes' colours.

    With one output, the class is 1 where it is > 0; with several, it is that of the largest one.
    Labels are 0, 1, 2, ..., or -1 and 1.

    Raises:
        ValueError: unless each row of X has two numbers.

    """
    points = [[float(number) for number in row] for row in X]
    if not points or any(len(point) != 2 for point in points):  # noqa: PLR2004  (a plane)
        message = "decision_boundary: X must have rows of two numbers, the places in the plane"
        raise ValueError(message)
    across, up = (_span(column) for column in zip(*points, strict=True))
    with mode(model, training=False), no_collector():
        said = [[_class(model([a, b])) for a in across] for b in up]
    figure, (axes,) = new_figure(1, square=True)
    labels = [int(label) for label in y]
    count = 1 + max(*labels, *map(max, said), 1)
    colours = list(map(colour_of, range(count)))
    levels = [number - 0.5 for number in range(count + 1)]
    axes.contourf(across, up, said, levels, colors=colours, alpha=0.25)
    for label in sorted(set(labels)):
        own = [point for point, t in zip(points, labels, strict=True) if t == label]
        xs, ys = zip(*own, strict=True)
        axes.scatter(xs, ys, s=18, color=colours[max(label, 0)], label=f"class {label}")
    axes.set(xlabel="first input", ylabel="second input", aspect="equal")
    legend(axes)
    return figure


def weights(layer: Module) -> Figure:
    """Return the weights of a layer's neurons as an image: blue is positive, red negative.

    Where each neuron has as many as a square picture has pixels, 3x3 at least, there is such a
    picture for each; otherwise there is one, with a row for each neuron. The bar shows the scale.

    Raises:
        ValueError: if the layer has no neurons.

    """
    neurons = getattr(layer, "neurons", None) or getattr(layer, "kernels", None)
    if not neurons:
        message = f"weights: {layer.signature()} has no neurons; pass one layer, model.layers[0]"
        raise ValueError(message)
    rows = [[w.data for w in neuron.w] for neuron in neurons]
    largest = max(abs(number) for row in rows for number in row) or 1.0
    side = isqrt(len(rows[0]))
    is_square = side >= 3 and side * side == len(rows[0])  # noqa: PLR2004  (a picture)
    pictures = [[row[i : i + side] for i in range(0, len(row), side)] for row in rows]
    figure, panels = new_figure(len(rows) if is_square else 1, square=True)
    for number, axes in enumerate(panels):
        image = axes.imshow(
            pictures[number] if is_square else rows,
            cmap=red_to_blue(),
            vmin=-largest,
            vmax=largest,
        )
        axes.grid(visible=False)
        if is_square:
            axes.set(title=f"neuron {number + 1}", xticks=[], yticks=[])
        else:
            axes.set(xlabel="input, from 0", ylabel="neuron, from 0", aspect="auto")
    bar = figure.colorbar(image, ax=panels, label="weight")
    style(bar.ax)
    bar.outline.set_edgecolor(INK)
    return figure


# --- what they show -------------------------------------------------------------------------------


def _gradient_norms(watching: Watching) -> dict[str, list[float]]:
    if not watching.records:
        raise _nothing_recorded()
    found: dict[str, list[float]] = {}
    for record in watching.records:
        for name, layer in record.items():
            if layer.gradient_norm is not None:
                found.setdefault(name, []).append(layer.gradient_norm)
    return found


def _nothing_recorded() -> ValueError:
    message = "nothing was recorded: call watching.record() after a step, or fit(callbacks=[…])"
    return ValueError(message)


def _span(numbers: Sequence[float]) -> list[float]:
    low, high = min(numbers), max(numbers)
    margin = 0.1 * (high - low) or 1.0
    step = (high - low + 2 * margin) / (GRID - 1)
    return [low - margin + i * step for i in range(GRID)]


def _class(output: Any) -> int:
    if not hasattr(output, "__len__"):
        return int(output > 0.0)
    numbers = [x.data if type(x) is Value else x for x in output]
    return numbers.index(max(numbers))
