"""What a stepper's page holds, read without a browser: tests/test_stepper_browser.py clicks it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from math import sin
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Value, scope, steps, tanh
from autograd.backward import sort
from autograd.draw import passes
from autograd.draw.minify import relative
from autograd.draw.text import shorten, visible

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"img", "meta"}

# Everything that we write, and nothing else: element -> attributes.
HTML = {
    "html": {"lang"},
    "head": set(),
    "meta": {"charset", "name", "content", "http-equiv"},
    "title": set(),
    "style": set(),
    "body": {"class"},
    "main": set(),
    "h1": set(),
    "div": {"class", "id"},
    "img": {"class", "alt", "src"},
    "details": {"class"},
    "summary": set(),
    "table": {"class"},
    "caption": set(),
    "tr": set(),
    "td": {"title"},
    "script": {"type"},
}
DRAWN = {
    "svg": {"width", "height", "viewBox", "id", "class", "role", "aria-labelledby"},
    "title": {"id"},
    "desc": {"id"},
    "style": {"media"},
    "g": {"id", "class", "transform"},
    "path": {"d", "class", "stroke-width"},
    "ellipse": {"cx", "cy", "rx", "ry"},
    "text": {"x", "y"},
}


class Page(HTMLParser):
    """A page as a list of (element, attributes), the text in each kind, and the tables' rows."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.texts = {}
        self.rows = []
        self.open = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ""
        self.texts[tag] = self.texts.get(tag, "") + data
        if tag == "td":
            self.rows[-1][-1] += data.removesuffix("\n")

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def drawing(page):
    (image,) = page.attributes("img")
    head, _, data = image["src"].partition(",")
    assert head == "data:image/svg+xml"
    return ET.fromstring(unquote(data))  # noqa: S314  (we wrote it)


def check_whitelist(html):
    page = Page(html)
    for tag, attributes in page.elements:
        assert attributes.keys() <= HTML[tag], tag
    assert len(page.attributes("script")) == 2
    root = drawing(page)
    for element in root.iter():
        tag = element.tag.removeprefix(SVG)
        assert element.attrib.keys() <= DRAWN[tag], tag
    return page, root


def neuron():
    x1, x2 = Value(2.0, "x1"), Value(0.0, "x2")
    w1, w2 = Value(-3.0, "w1"), Value(1.0, "w2")
    o = tanh(x1 * w1 + x2 * w2 + Value(6.8813735870195432, "b"))
    o.label = "o"
    return o


def network(widths):
    """Return the loss-like value of an MLP with scopes as nn makes them."""
    xs = [Value(sin(i), f"x{i}") for i in range(widths[0])]
    for number, width in enumerate(widths[1:], 1):
        with scope(f"layer{number}"):
            xs = [_neuron(xs, i) for i in range(width)]
    return autograd.sum(xs)


def _neuron(xs, i):
    with scope(f"neuron{i}"):
        total = Value(sin(i), "b")
        for j, x in enumerate(xs):
            total = total + Value(sin(i + 7 * j)) * x
        return tanh(total)


def of_size(size, widths):
    """Return a value that depends on exactly so many."""
    y = network(widths)
    for _ in range(size - len(autograd.stepper(y)._values)):
        y = -y
    assert len(autograd.stepper(y)._values) == size
    return y


def unscoped(y):
    for values in sort(y):
        for value in values:
            value.scope = None
    return y


def test_the_table_holds_every_step_as_str_has_it():
    y = neuron()
    rows = Page(autograd.stepper(y).html).rows
    expected = [str(step) for step in steps(y)]
    assert [" = ".join(row) for row in rows[-len(expected) :]] == expected


def test_the_table_begins_with_each_value_in_the_order_of_evaluation():
    rows = Page(autograd.stepper(neuron()).html).rows
    assert rows[:3] == [["x1", "", "2"], ["w1", "", "-3"], ["v1", "x1 × w1", "2 × (-3) = -6"]]
    assert rows[9:11] == [["o", "tanh(v4)", "tanh(0.8814) = 0.7071"], ["∂o/∂o", "", "1"]]


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda a, b: a - b, "a - b"),
        (lambda a, b: a**b, "a ^ b"),
        (lambda a, _: -a, "-a"),
        (lambda a, _: a**-2.0, "a ^ (-2)"),
        (autograd.maximum, "maximum(a, b)"),
        (lambda a, b: autograd.sum([a, b] * 10), "sum(a, b, a, b, a, b, a, b, … (12 more))"),
    ],
)
def test_a_value_is_written_as_a_person_would(function, left):
    y = function(Value(2.0, "a"), Value(3.0, "b"))
    rows = Page(autograd.stepper(y).html).rows
    assert next(row[1] for row in rows if row[1]) == left


def test_the_image_shows_the_gradients_at_the_end_without_a_backward_pass():
    y = neuron()
    texts = [text.text for text in drawing(Page(autograd.stepper(y).html)).iter(f"{SVG}text")]
    assert texts.count("grad 0.5000") == 6
    assert {"grad 1", "grad -1.5000", "grad 1.0000", "grad 0"} <= set(texts)
    assert y._grad is None


def test_gradients_of_an_earlier_backward_pass_change_nothing():
    y = neuron()
    before = autograd.stepper(y).html
    y.backward(7.0)
    assert autograd.stepper(y).html == before


def test_the_same_graph_gives_the_same_bytes():
    assert autograd.stepper(neuron()).html == autograd.stepper(neuron()).html


def test_the_data_says_which_edges_the_steps_take():
    a = Value(3.0, "a")
    page = Page(autograd.stepper(a * a + 2.0).html)
    data = json.loads(page.texts["script"].partition("\n")[0])
    assert data["boxes"] == [1, 2, 3]
    assert data["result"] == 2
    assert data["walk"] == [[2, [1, -1]], [1, [0, 0]]]


def test_values_in_one_collapsed_scope_share_a_box():
    data = autograd.stepper(network([3, 4, 2]), collapse=5)._data()
    assert len(set(data["boxes"])) < len(data["boxes"])


def test_the_page_loads_nothing():
    html = autograd.stepper(neuron()).html
    page = Page(html)
    addresses = set(re.findall(r"https?://[^\s'\"<)]*", html))
    assert addresses == {"http://www.w3.org/2000/svg"}
    policy = page.attributes("meta")[2]["content"]
    assert policy.startswith("default-src 'none'; img-src data:")


def test_a_notebook_gets_the_fragment_and_a_sentence():
    stepper = autograd.stepper(neuron())
    bundle = stepper._repr_mimebundle_()
    assert bundle["text/html"] in stepper.html
    assert bundle["text/html"].startswith(f'<div class="ag-stepper" id="{stepper.prefix}-stepper">')
    assert bundle["text/plain"] == repr(stepper)
    assert "10 values forward, 9 steps backward" in repr(stepper)


def test_marimo_gets_the_page_in_a_frame():
    stepper = autograd.stepper(neuron())
    kind, html = stepper._mime_()
    assert kind == "text/html"
    ((tag, attributes),) = Page(html).elements
    assert tag == "iframe"
    assert attributes["srcdoc"] == stepper.html


def test_without_script_and_style_only_image_and_tables_are_left():
    fragment = autograd.stepper(neuron()).fragment
    for element in ("script", "style"):
        fragment = re.sub(rf"(?s)<{element}.*?</{element}>", "", fragment)
    page = Page(fragment)
    assert {tag for tag, _ in page.elements} == {
        *("div", "img", "details", "summary", "table", "caption", "tr", "td")
    }


def test_a_file_is_replaced_whole(tmp_path):
    stepper = autograd.stepper(neuron())
    target = tmp_path / "page.html"
    target.write_text("old")
    assert stepper.save(target) == target
    assert target.read_text("utf-8") == stepper.html
    with pytest.raises(OSError, match="nowhere"):
        stepper.save(tmp_path / "nowhere" / "page.html")


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]><!--",
    "-->",
    '"\'><b onclick="x">',
    "a\nb\tc\r\0d",
    "\u202eevil\u2066\u200b",
    "\u2028\u2029\ufeff\ud800",
    "&lt;&#x41;&amp;",
    "@prefix {name} %s \\N \\G ${x}",
    "</title></svg></style></table></details>",
    "é" * 10_000,
    " = ",
    " ",
    "∂a/∂b = 1 × 2 = 2, with 1 from before: 3",
    "grad 5",
]
LABELS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30))


@settings(max_examples=60)
@given(LABELS, LABELS, LABELS, st.booleans())
def test_whatever_a_label_holds_is_text(first, second, name, collapsed):
    with scope(name):
        a = Value(2.0, first)
        b = a * a
    b.label = second
    y = b + a
    stepper = autograd.stepper(y, collapse=1 if collapsed else 60)
    page, root = check_whitelist(stepper.html)
    shown = shorten(visible(first))
    assert page.rows[0][0] == shown
    if shown != visible(first):
        assert page.attributes("td")[0]["title"] == visible(first)
    names = {"".join(title.itertext()) for title in root.iter(f"{SVG}title")}
    outermost = name.split("/")[0]  # the others may be collapsed into it
    assert not outermost or visible(outermost) in names
    assert len(page.rows) == 3 + 1 + len(steps(y))


@pytest.mark.parametrize("label", HOSTILE)
def test_each_hostile_label_is_text(label):
    y = tanh(Value(0.5, label))
    page, root = check_whitelist(autograd.stepper(y).html)
    assert page.rows[0][0] == shorten(visible(label))
    texts = [text.text.replace("\xa0", " ") for text in root.iter(f"{SVG}text")]
    assert shorten(visible(label)).strip() in {text.strip() for text in texts}


@pytest.mark.parametrize(
    ("size", "widths", "limit"), [(751, [8, 14, 8, 1], 250_000), (2501, [16, 24, 16, 1], 600_000)]
)
def test_large_graphs_make_pages_that_can_be_sent(size, widths, limit):
    y = of_size(size, widths)
    assert len(autograd.stepper(y).html.encode()) < limit
    assert len(autograd.stepper(unscoped(y)).html.encode()) < limit


def test_a_graph_with_more_steps_than_a_page_can_hold_is_refused():
    y = Value(1.0)
    for _ in range(passes.MOST_STEPS + 1):
        y = -y
    y.label = "L"
    match = (
        r"stepper\(L\): 20,001 chain-rule steps are more than the 20,000 .* nearer to the leaves"
    )
    with pytest.raises(ValueError, match=match):
        autograd.stepper(y)


def test_a_leaf_alone_is_a_page_too():
    page, _ = check_whitelist(autograd.stepper(Value(2.0, "x")).html)
    assert page.rows == [["x", "", "2"], ["∂x/∂x", "", "1"]]


@pytest.mark.parametrize("options", [{"style": "compact"}, {"direction": "TB"}, {"show": ()}])
def test_the_options_of_draw_are_taken(options):
    check_whitelist(autograd.stepper(neuron(), **options).html)


def test_options_that_do_not_exist_are_refused_as_by_draw():
    y = Value(1.0)
    with pytest.raises(TypeError, match=r"stepper\(y\) takes the Value .* got 1.0 \(float\)"):
        autograd.stepper(1.0)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"style \(='fancy'\) must be one of 'teaching', 'compact'"
    ):
        autograd.stepper(y, style="fancy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"show \(='all'\) must be one of 'data', 'grad', 'local'"):
        autograd.stepper(y, show="all")
    with pytest.raises(ValueError, match=r"collapse \(=0\) must be at least 1"):
        autograd.stepper(y, collapse=0)


def test_a_derivative_that_does_not_exist_is_an_error_as_in_steps():
    y = autograd.sqrt(Value(0.0))
    with pytest.raises(ZeroDivisionError, match="the derivative is infinite here"):
        autograd.stepper(y)


NUMBERS = st.floats(-1e4, 1e4)
POINTS = st.tuples(NUMBERS, NUMBERS)


@given(POINTS, st.lists(st.tuples(st.just("M"), POINTS) | st.tuples(st.just("C"), *[POINTS] * 3)))
def test_a_path_of_steps_ends_where_the_path_of_positions_did(start, pieces):
    pieces = [("M", start), *pieces]
    text = "".join(c + " ".join(f"{x:.2f},{y:.2f}" for x, y in points) for c, *points in pieces)
    x = y = 0.0
    for command, arguments in re.findall(r"([mc])([^mc]*)", relative(text)):
        numbers = [float(n) for n in re.findall(r"-?(?:\d+\.\d|\.\d|\d+)", arguments)]
        assert len(numbers) == {"m": 2, "c": 6}[command]
        x, y = x + numbers[-2], y + numbers[-1]
    assert (x, y) == pytest.approx(pieces[-1][-1], abs=0.06)
