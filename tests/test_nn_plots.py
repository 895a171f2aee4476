"""The laws of `nn.plots`: each picture shows the numbers it is given, on any ground."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from typing import Any

import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from nn import plots
from nn.blocks import Sequential
from nn.conv import Conv2d
from nn.fit import fit
from nn.history import History
from nn.layers import MLP, Layer
from nn.normalize import BatchNorm
from nn.watch import watch

X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
Y = [0, 1, 1, 0]
GREY = "#64748b"


@pytest.fixture(scope="module")
def watched():
    model = MLP(2, [3, 1], "tanh")
    with watch(model) as watching:
        history = fit(model, X, Y, epochs=5, validation=(X, Y), callbacks=[watching])
    return model, watching, history


def panels(figure: Figure) -> list[Any]:
    # matplotlib's types are those of all that could be in a figure.
    return list(figure.axes)


def pictures(watched):
    model, watching, history = watched
    return {
        "loss_curves": plots.loss_curves(history),
        "gradient_flow": plots.gradient_flow(watching),
        "activation_histograms": plots.activation_histograms(watching),
        "decision_boundary": plots.decision_boundary(model, X, Y),
        "weights": plots.weights(model.layers[0]),
    }


def inks(axes):
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label]
    texts += axes.get_xticklabels() + axes.get_yticklabels()
    return {to_hex(text.get_color()) for text in texts}


def test_every_picture_is_a_figure_with_labelled_axes_on_a_transparent_ground(watched):
    for name, figure in pictures(watched).items():
        assert isinstance(figure, Figure)
        assert to_rgba(figure.get_facecolor())[3] == 0.0, name
        for axes in panels(figure):
            assert to_rgba(axes.get_facecolor())[3] == 0.0, name
            assert inks(axes) == {GREY}, name
            assert axes.get_ylabel(), name
        assert panels(figure)[0].get_xlabel(), name


def test_every_picture_can_be_written_as_svg_and_as_png(watched):
    for figure in pictures(watched).values():
        for suffix, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
            file = BytesIO()
            figure.savefig(file, format=suffix)
            assert file.getvalue().startswith(start)


def test_no_picture_touches_pyplot():
    text = (
        "import sys, nn.plots as p; from nn import History; p.loss_curves(History(loss=[1.0]));"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0


def test_loss_curves_are_the_losses_by_epoch(watched):
    _, _, history = watched
    lines = panels(plots.loss_curves(history))[0].lines
    assert [line.get_label() for line in lines] == ["training", "validation"]
    assert list(lines[0].get_xdata()) == [1, 2, 3, 4, 5]
    assert list(lines[0].get_ydata()) == history.loss
    assert list(lines[1].get_ydata()) == history.validation_loss


def test_losses_are_on_a_logarithmic_scale_where_they_fall_to_a_tenth_and_stay_positive():
    for losses, scale in (([1.0, 0.11], "linear"), ([1.0, 0.09], "log"), ([1.0, 0.0], "linear")):
        assert panels(plots.loss_curves(History(loss=losses)))[0].get_yscale() == scale


def test_runs_by_name_share_the_axes():
    runs = {"a": History(loss=[1.0, 0.5]), "b": History(loss=[2.0])}
    lines = panels(plots.loss_curves(runs))[0].lines
    assert [line.get_label() for line in lines] == ["a", "b"]
    assert lines[0].get_color() != lines[1].get_color()


def test_gradient_flow_is_the_median_norm_of_each_layer_that_has_parameters(watched):
    _, watching, _ = watched
    axes = panels(plots.gradient_flow(watching))[0]
    (line,) = axes.lines
    expected = [
        sorted(record[name].gradient_norm for record in watching.records)[2]
        for name in ("layer1", "layer2")
    ]
    assert list(line.get_ydata()) == expected
    assert [text.get_text() for text in axes.get_xticklabels()] == ["layer1", "layer2"]


def test_a_histogram_counts_each_output_of_the_last_record_once(watched):
    _, watching, _ = watched
    figure = plots.activation_histograms(watching)
    for axes, numbers in zip(panels(figure), watching.activations.values(), strict=True):
        assert sum(bar.get_height() for bar in axes.patches) == len(numbers)


def test_a_boundary_shows_each_example_once_and_what_the_model_says_around_them():
    figure = plots.decision_boundary(lambda x: x[0] - 0.5, X, [-1, -1, 1, 1])
    axes = panels(figure)[0]
    contours, *classes = axes.collections
    assert [len(points.get_offsets()) for points in classes] == [2, 2]
    no, yes = contours.get_paths()
    assert no.vertices[:, 0].min() < 0.0 < no.vertices[:, 0].max() < 0.6
    assert 0.4 < yes.vertices[:, 0].min() < 1.0 < yes.vertices[:, 0].max()


def test_a_boundary_of_several_classes_is_that_of_the_largest_output():
    def model(x):
        return [1.0 - x[0], x[0], x[1] * 2.0]

    figure = plots.decision_boundary(model, X, [0, 2, 1, 2])
    assert len(panels(figure)[0].collections) == 4


def test_a_boundary_is_drawn_in_evaluation_and_leaves_the_model_in_training():
    model = Sequential(Layer(2, 2), BatchNorm(2), Layer(2, 1, "linear"))
    plots.decision_boundary(model, X, Y)
    assert all(module.training for module in model.modules())


def test_weights_are_one_image_with_a_row_per_neuron_or_a_square_picture_for_each():
    layer = Layer(4, 3)
    (image,) = panels(plots.weights(layer))[0].images
    assert image.get_array().tolist() == [[w.data for w in n.w] for n in layer.neurons]
    kernels = Conv2d(1, 2, 3)
    figure = plots.weights(kernels)
    shapes = [axes.images[0].get_array().shape for axes in panels(figure)[:2]]
    assert shapes == [(3, 3), (3, 3)]
    assert panels(figure)[1].images[0].get_array().ravel().tolist() == [
        w.data for w in kernels.kernels[1].w
    ]


def test_without_anything_to_show_the_error_says_what_is_missing(watched):
    model, _, _ = watched
    with pytest.raises(ValueError, match="no epoch was finished"):
        plots.loss_curves(History())
    for plot in (plots.gradient_flow, plots.activation_histograms):
        with pytest.raises(ValueError, match=r"nothing was recorded: call watching\.record"):
            plot(watch(model))
    with pytest.raises(ValueError, match="rows of two numbers"):
        plots.decision_boundary(model, [[1.0]], [1])
    with pytest.raises(ValueError, match=r"has no neurons; pass one layer"):
        plots.weights(model)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'chainrule\[plot\]'"):
        plots.loss_curves(History(loss=[1.0]))
