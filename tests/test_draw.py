"""The laws of autograd.draw and autograd.scope; test_layout.py has those of the layout itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Value, draw, ieee, scope, tanh
from autograd.draw import layout
from autograd.draw.graph import LAST_VALUES, MOST_CROSSED, crossed
from autograd.draw.text import shorten, visible

ROOT = Path(__file__).resolve().parent.parent
SVG = "{http://www.w3.org/2000/svg}"
XML = "{http://www.w3.org/XML/1998/namespace}"
PAINT = {"fill", "stroke", "stroke-width", "stroke-dasharray"}

# Everything that a drawing may hold, and nothing else: element -> attributes.
DRAWN = {
    "svg": {"width", "height", "viewBox", "id", "class", "role", "aria-labelledby"},
    "title": {"id"},
    "desc": {"id"},
    "style": {"id"},
    "g": {"id", "class", "transform"},
    "path": {"d", *PAINT},
    "polygon": {"points", *PAINT},
    "polyline": {"points", *PAINT},
    "ellipse": {"cx", "cy", "rx", "ry", *PAINT},
    "text": {"x", "y", "text-anchor", "font-family", "font-size", "fill", f"{XML}space"},
}


@pytest.fixture(autouse=True)
def _no_choice_from_outside(monkeypatch):
    monkeypatch.delenv(layout.VARIABLE, raising=False)


def neuron():
    x1, x2 = Value(2.0, "x1"), Value(0.0, "x2")
    w1, w2 = Value(-3.0, "w1"), Value(1.0, "w2")
    o = tanh(x1 * w1 + x2 * w2 + Value(6.8813735870195432, "b"))
    o.label = "o"
    return o


def mlp(widths):
    xs = [Value(0.5 + i, f"x{i}") for i in range(widths[0])]
    for number, width in enumerate(widths[1:], 1):
        with scope(f"layer{number}"):
            xs = [_unit(xs, i) for i in range(width)]
    return autograd.sum(xs)


def _unit(xs, i):
    with scope(f"neuron{i}"):
        total = Value(0.1, "b")
        for x in xs:
            total = total + Value(0.01 * i, "w") * x
        return tanh(total)


def chain(size):
    y = Value(1.0, "x")
    for _ in range(size - 1):
        y = -y
    return y


def parsed(drawing):
    return ET.fromstring(drawing.svg)  # noqa: S314  (we wrote it)


def texts(root):
    return ["".join(text.itertext()).replace("\xa0", " ") for text in root.iter(f"{SVG}text")]


def tips(root):
    return ["".join(title.itertext()).replace("\xa0", " ") for title in root.iter(f"{SVG}title")]


def check_whitelist(drawing):
    root = parsed(drawing)
    for element in root.iter():
        assert element.tag.startswith(SVG)
        assert element.attrib.keys() <= DRAWN[element.tag.removeprefix(SVG)], element.tag
    idents = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(idents) == len(set(idents))
    assert all(ident.startswith(f"{drawing.prefix}-") for ident in idents)
    return root


# --- the same graph gives the same bytes ----------------------------------------------------------

PROGRAM = """
import sys; sys.path.insert(0, "tests")
import autograd, test_draw
print(autograd.draw(test_draw.neuron()).dot + autograd.draw(test_draw.mlp([3, 4, 2])).dot, end="")
"""


def test_the_same_graph_gives_the_same_bytes_in_every_process():
    expected = draw(neuron()).dot + draw(mlp([3, 4, 2])).dot
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", PROGRAM],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().replace("\r\n", "\n") == expected


def test_different_graphs_have_different_prefixes():
    assert draw(neuron()).prefix != draw(mlp([2, 2])).prefix


# --- what is drawn --------------------------------------------------------------------------------


def test_both_edges_of_a_value_times_itself_are_drawn():
    a = Value(3.0, "a")
    drawing = draw(a * a)
    assert drawing.dot.count("v1 -> o2 ") == 2
    idents = {element.get("id") for element in parsed(drawing).iter()}
    assert {f"{drawing.prefix}-e2_0", f"{drawing.prefix}-e2_1"} <= idents
    assert texts(parsed(drawing)).count("3") == 2  # the local derivatives


def test_constants_are_shown():
    root = parsed(draw(Value(3.0, "a") * 2.5))
    assert "2.5000" in texts(root) or "2.5" in texts(root)
    assert "constant" in tips(root)


def test_before_the_backward_pass_no_gradient_is_shown_as_a_number():
    y = neuron()
    before = texts(parsed(draw(y)))
    assert before.count("no grad yet") == 10
    assert not any(text.startswith("grad ") for text in before)
    y.backward()
    after = texts(parsed(draw(y)))
    assert "no grad yet" not in after
    assert {"grad -1.5000", "grad 0.5000", "grad 1"} <= set(after)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-5, r"data 1(\.0+)?e-0?5"),
        (1e300, r"data 1(\.0+)?e\+?300"),
        (-0.0, r"data -0(\.0)?"),
        (6.8813735870195432, "data 6.8814"),
    ],
)
def test_numbers_are_readable(number, text):
    assert any(re.fullmatch(text, shown) for shown in texts(parsed(draw(Value(number, "a")))))


def test_infinity_is_shown_as_such():
    with ieee():
        y = autograd.exp(Value(1e4, "a"))
    assert "data inf" in texts(parsed(draw(y)))


def test_a_local_derivative_that_does_not_exist_is_called_undefined():
    with ieee():
        y = autograd.log(Value(0.0, "a"))
    assert "undefined" in draw(y).dot or "inf" in draw(y).dot


def test_compact_style_has_the_operation_inside_the_box():
    root = parsed(draw(neuron(), style="compact"))
    classes = [group.get("class", "") for group in root.iter(f"{SVG}g")]
    assert not any("ag-op" in names for names in classes)
    assert texts(root).count("tanh") == 1
    teaching = parsed(draw(neuron()))
    classes = [group.get("class", "") for group in teaching.iter(f"{SVG}g")]
    assert sum("ag-op" in names for names in classes) == 5


@pytest.mark.parametrize("direction", ["LR", "TB", "RL", "BT"])
def test_the_result_lies_in_the_direction_that_is_asked_for(direction):
    drawing = draw(neuron(), direction=direction)
    root = check_whitelist(drawing)
    horizontal = direction in ("LR", "RL")
    places = {}
    for group in root.iter(f"{SVG}g"):
        text = group.find(f"{SVG}text")
        if text is not None and text.text in ("x1", "o"):
            places[text.text] = float(text.get("x" if horizontal else "y", "nan"))
    assert (places["x1"] < places["o"]) == (direction in ("LR", "TB"))
    assert {"x1", "data 2", "no grad yet"} <= set(texts(root))


def test_only_what_is_to_be_shown_is_shown():
    y = neuron()
    y.backward()
    for shown, word in (("data", "data "), ("grad", "grad ")):
        found = texts(parsed(draw(y, show=[shown])))
        assert {text.split()[0] for text in found if " " in text} == {word.strip()}
    assert not any("data " in t or "grad " in t for t in texts(parsed(draw(y, show=()))))
    assert 'label="-3"' in draw(y, show="local").dot
    assert 'label="-3"' not in draw(y, show=()).dot


def test_each_kind_of_value_has_a_class_of_its_own():
    with scope("layer"):
        w = Value(2.0, "w")
        v = w * Value(3.0, "v")
    y = v + Value(1.0, "x")
    names = re.findall(r'class="ag-value ag-(\w+)"', draw(y).dot)
    assert sorted(names) == ["interior", "leaf", "parameter", "parameter", "result"]


# --- scopes in a drawing --------------------------------------------------------------------------


def test_scopes_are_clusters_within_one_another():
    y = mlp([1, 2])
    root = parsed(draw(y))
    classes = [group.get("class", "") for group in root.iter(f"{SVG}g")]
    assert sum("ag-scope" in names for names in classes) == 3
    assert {"layer1", "neuron0", "neuron1"} <= set(texts(root))
    assert "subgraph" not in draw(y, scopes=False).dot


def test_scopes_collapse_into_boxes_with_their_count_and_largest_gradient():
    y = mlp([4, 4, 2])
    y.backward()
    drawing = draw(y, collapse=20)
    shown = texts(parsed(drawing))
    groups = [box for box in drawing._picture.boxes.values() if box.kind == "group"]
    paths = {"/".join([*box.scope, box.name]) for box in groups}
    assert paths == {f"layer{i}/neuron{j}" for i, width in ((1, 4), (2, 2)) for j in range(width)}
    assert shown.count("14 values") == 6
    largest = max(abs(v.grad) for v in groups[0].values)
    assert f"max abs grad {largest:.4f}" in shown
    assert "84 of them are collapsed into 6 boxes: " in drawing.description
    outer = draw(y, collapse=3)
    assert len(outer._picture.boxes) == 4 + 2 + 1


def test_beyond_what_is_drawn_one_by_one_the_earlier_values_are_one_box():
    drawing = draw(chain(1000))
    assert len(drawing._picture.boxes) == LAST_VALUES + 1
    assert f"{1000 - LAST_VALUES} values" in texts(parsed(drawing))
    assert f"{1000 - LAST_VALUES} of them are collapsed" in drawing.description


def test_so_many_scopes_that_they_are_too_many_boxes_are_cut_as_well():
    y = Value(1.0)
    for i in range(1500):
        with scope(f"step{i}"):
            y = y * 1.5 + 1.0 if i < 100 else -y
    drawing = draw(y)
    assert len(drawing._picture.boxes) == LAST_VALUES + 1
    assert "step1499" in drawing.dot


def test_a_collapse_larger_than_can_be_drawn_still_collapses():
    assert len(draw(mlp([20, 20, 20, 1]), collapse=10**6)._picture.boxes) < 600


# --- ids, classes, words for those who can't see it -----------------------------------------------


def test_every_id_has_the_prefix_of_the_drawing_and_the_drawing_can_be_read_aloud():
    drawing = draw(neuron())
    root = check_whitelist(drawing)
    prefix = drawing.prefix
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{prefix}-title {prefix}-desc"
    by_id = {element.get("id"): element for element in root.iter()}
    assert by_id[f"{prefix}-title"].text == "Computation graph of o"
    assert by_id[f"{prefix}-desc"].text == ("10 values and 9 edges, from the leaves to the result.")
    for ident, name in (("v10", "ag-value"), ("o10", "ag-op"), ("e10_0", "ag-edge")):
        assert name in by_id[f"{prefix}-{ident}"].get("class", "").split()


HOSTILE = [
    "a<b",
    "x>0",
    "w_{1}",
    "x|y",
    "a\\b",
    "a\\\\nb\\N\\G",
    "\"'",
    "😀 é ∂",
    "</script><script>alert(1)</script>",
    '</svg><b onclick="x">\'',
    "]]><!-- -->",
    "a\nb\tc\r\0d",
    "\u202eevil\u2066\u200b",
    "\u2028\u2029\ufeff\ud800\uffff",
    "&lt;&#x41;&amp;&",
    "@prefix {name} %s ${x}",
    "];}digraph{x[label=<b>]",
    " two  blanks ",
    "é" * 10_000,
    "&" * 10_000,
]
LABELS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30))


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_rendered_literally(label, direction):
    root = check_whitelist(draw(tanh(Value(0.5, label)), direction=direction))
    assert shorten(visible(label)).strip() in {text.strip() for text in texts(root)}
    assert visible(label).strip() in {text.strip() for text in tips(root)}


@settings(max_examples=50)
@given(LABELS, LABELS, LABELS, st.booleans(), st.sampled_from(["teaching", "compact"]))
def test_whatever_labels_and_scopes_hold_is_text(first, second, name, collapsed, style):
    with scope(name):
        a = Value(2.0, first)
        b = a * a
    b.label = second
    drawing = draw(b + a, style=style, collapse=1 if collapsed else 60)
    root = check_whitelist(drawing)
    drawing.dot.encode()
    outermost = name.split("/")[0]  # the others may be collapsed into it
    assert not outermost or visible(outermost).replace("\xa0", " ").strip() in {
        text.strip() for text in tips(root)
    }
    if not collapsed:
        assert visible(first).replace("\xa0", " ").strip() in {text.strip() for text in tips(root)}


# --- files and notebooks --------------------------------------------------------------------------


def test_a_drawing_is_saved_by_its_suffix(tmp_path):
    drawing = draw(neuron())
    assert drawing.save(tmp_path / "x.svg") == tmp_path / "x.svg"
    assert (tmp_path / "x.svg").read_text("utf-8") == drawing.svg
    drawing.save(str(tmp_path / "x.DOT"))
    assert (tmp_path / "x.DOT").read_bytes() == drawing.dot.encode()


def test_a_drawing_is_saved_as_png(tmp_path):
    draw(neuron()).save(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.skipif(not shutil.which("dot"), reason="the system has no program `dot`")
def test_a_drawing_is_saved_as_pdf(tmp_path):
    draw(neuron(), engine="system").save(tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.svg.gz"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"suffix of .* must be one of \.dot, \.pdf, \.png, \.svg"):
        draw(neuron()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "x.svg"
    target.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(neuron()).save(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_notebook_gets_svg_an_image_and_a_sentence():
    drawing = draw(neuron())
    bundle = drawing._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml", "text/html", "text/plain"]
    assert bundle["image/svg+xml"] == drawing.svg
    assert re.fullmatch(
        r'<img class="ag-image" alt="[^"<>]*" src="data:image/svg\+xml;base64,[\w+/=]*">',
        bundle["text/html"],
    )
    assert bundle["text/plain"] == repr(drawing)
    assert repr(drawing).startswith("<Computation graph of o: 10 values and 9 edges")


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"style": "fancy"}, r"style \(='fancy'\) must be one of 'teaching', 'compact'"),
        ({"direction": "up"}, r"direction \(='up'\) must be one of 'LR', 'TB', 'RL', 'BT'"),
        ({"show": ["data", "all"]}, r"show \(='all'\) must be one of 'data', 'grad', 'local'"),
        ({"collapse": 0}, r"collapse \(=0\) must be at least 1"),
    ],
)
def test_an_option_that_does_not_exist_is_an_error_with_the_remedy(options, match):
    with pytest.raises(ValueError, match=match):
        draw(Value(1.0), **options)


def test_what_is_not_a_value_is_refused():
    with pytest.raises(TypeError, match=r"draw\(y\) takes the Value .* got 2.0 \(float\)"):
        draw(2.0)  # type: ignore[arg-type]


def test_an_engine_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"engine \(='neato'\) must be 'system' or 'wasm'"):
        _ = draw(Value(1.0), engine="neato").svg


def test_a_leaf_changed_since_is_an_error_and_not_a_wrong_drawing():
    a = Value(2.0, "a")
    y = a * a
    a.data = 3.0
    with pytest.raises(RuntimeError, match="a"):
        draw(y)


# --- size -----------------------------------------------------------------------------------------


def everything_before(size):
    """Return a value where each one depends on all before it: the most edges, and the longest."""
    values = [Value(1.0)]
    while len(values) < size:
        values.append(autograd.mean(values))
    return values[-1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: chain(500),
        lambda: chain(1000),
        lambda: mlp([10, 17, 5, 1]),
        lambda: autograd.sum([Value(float(i)) for i in range(1000)]),
        lambda: everything_before(25),
        lambda: everything_before(200),
    ],
)
@pytest.mark.parametrize("engine", layout.available())
def test_a_thousand_values_are_laid_out_in_no_time_to_speak_of(make, engine):
    layout.render("digraph{}", engine=engine)
    y = make()
    begin = perf_counter()
    drawing = draw(y, engine=engine, collapse=10**6)
    assert "</svg>" in drawing.svg
    assert crossed(drawing._picture) <= MOST_CROSSED
    assert perf_counter() - begin < 10.0  # benchmarks/draw.py: about a second at most


@pytest.mark.slow
def test_a_chain_of_a_million_values_has_a_picture_in_seconds():
    y = chain(1_000_000)
    begin = perf_counter()
    svg = draw(y).svg
    taken = perf_counter() - begin
    assert f"{1_000_000 - LAST_VALUES} values" in svg.replace("\xa0", " ")
    assert taken < 20.0  # 5 s where nothing else runs


# --- scope ----------------------------------------------------------------------------------------


def test_scopes_nest_and_end():
    with scope("mlp"):
        with scope("layer1"):
            inner = Value(1.0)
        outer = inner * 2.0
    assert (inner.scope, outer.scope, (outer + 1.0).scope) == ("mlp/layer1", "mlp", None)


def test_a_scope_may_be_entered_again_even_inside_itself():
    layer = scope("layer")
    with layer:
        with layer:
            assert Value(1.0).scope == "layer/layer"
        assert Value(1.0).scope == "layer"
    with layer:
        assert Value(1.0).scope == "layer"
    assert Value(1.0).scope is None


def test_a_scope_ends_with_an_error_too():
    with pytest.raises(KeyError, match="stop"), scope("layer"):
        raise KeyError("stop")
    assert Value(1.0).scope is None


def test_a_scope_holds_for_its_own_thread():
    found = []

    def work():
        found.append(Value(1.0).scope)
        with scope("inside"):
            found.append(Value(1.0).scope)

    with scope("outside"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert Value(1.0).scope == "outside"
    assert found == [None, "inside"]


@pytest.mark.parametrize("name", [None, 1, b"x"])
def test_the_name_of_a_scope_is_text(name):
    with pytest.raises(TypeError, match="a scope's name must be text; got"):
        scope(name)


def test_the_name_of_a_scope_is_not_empty():
    with pytest.raises(ValueError, match="a scope's name must not be empty"):
        scope("")
