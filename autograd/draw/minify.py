"""Our SVG made small for the stepper's page: short numbers, one path a box, colours from classes.

A browser shows it, on its own as an image and inside a page. Other programs that show SVG may know
no style sheets or variables, so files that are saved keep an attribute on each element.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree as ET

from .dot import BORDERS, CONSTANT, FILLS, INK, LINE, OP_FILL, OP_INK
from .svg import FONTS, SVG, name, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What the style sheet says instead.
_SHARED = {"fill", "stroke", "font-family", "font-size", "text-anchor", "stroke-dasharray"}
_SHARED |= {"{http://www.w3.org/XML/1998/namespace}space"}  # our texts stand on a line of their own
_NUMBER = re.compile(r"-?\d+\.\d+")
_KINDS = "".join(
    f".ag-graph .ag-{kind} path{{fill:{FILLS[kind]};stroke:{BORDERS[kind]}}}\n" for kind in FILLS
)

# The variables are for a page that knows better than the browser whether it is dark.
STYLE = f"""
.ag-graph text{{font:10px {FONTS};fill:{INK};text-anchor:middle}}
.ag-graph path{{fill:none;stroke:var(--ag-line,{LINE})}}
.ag-graph .ag-edge text,.ag-graph .ag-bundle text{{font-size:9px}}
.ag-graph .ag-edge text,.ag-graph .ag-bundle text,.ag-graph .ag-scope text,.ag-graph \
.ag-constant text{{fill:var(--ag-note,{CONSTANT})}}
.ag-graph .ag-scope text{{font-size:11px}}
.ag-graph .ag-tip{{fill:var(--ag-line,{LINE})}}
.ag-graph .ag-constant path{{stroke-dasharray:1 5}}
.ag-graph .ag-constant .ag-tip{{stroke-dasharray:none}}
.ag-graph .ag-op ellipse{{fill:{OP_FILL};stroke:{LINE}}}
.ag-graph .ag-op text{{fill:{OP_INK}}}
{_KINDS}"""
DARK = ".ag-graph{--ag-line:#94a3b8;--ag-note:#cbd5e1}"


def small(
    raw: bytes, prefix: str, title: str, description: str, last_texts: Mapping[str, str]
) -> str:
    """Return what `svg.finish` returns, for browsers only, in a third of the characters.

    `last_texts` has, by the id of a box, what its last line is to say in place of what was there
    when the layout was made.
    """
    root = read(raw)
    for group in root.iter(f"{{{SVG}}}g"):
        _join_shapes(group)
        if group.get("id") in last_texts:
            group.findall(f"{{{SVG}}}text")[-1].text = last_texts[group.get("id", "")]
    for element in root.iter():
        _shrink(element)
    light, dark = ET.Element(f"{{{SVG}}}style"), ET.Element(f"{{{SVG}}}style")
    light.text, dark.text = STYLE, DARK
    # An element of its own, which a page with a theme of its own can take out.
    dark.attrib |= {"media": "(prefers-color-scheme:dark)"}
    text = name(root, prefix, title, description, light, dark)
    text = re.sub("<[^>]*>", _single_quotes, text.replace(" />", "/>"))
    return text.replace("class='ag-drawing'", "class='ag-drawing ag-graph'", 1)


def data_uri(svg: str) -> str:
    """Return an SVG as a data URI: percent signs are a sixth shorter here than base64."""
    return "data:image/svg+xml," + quote(svg, safe=" !'()*,-./:;=?@[]^_`{|}~")


def _single_quotes(tag: re.Match[str]) -> str:
    # A double quote takes three characters in a data URI, a single one takes one.
    return tag[0] if "'" in tag[0] else tag[0].replace('"', "'")


def _join_shapes(group: ET.Element) -> None:
    # A record's outline is a path, and the lines across it are another; an arrow's tip is one, too.
    shapes = [x for x in group if x.tag in (f"{{{SVG}}}polygon", f"{{{SVG}}}polyline")]
    if not shapes:
        return
    outline, *rules = shapes
    place = list(group).index(outline)
    for shape in shapes:
        group.remove(shape)
    if rules:
        lines = "".join(map(_path, rules))
        group.insert(place, ET.Element(f"{{{SVG}}}path", {"class": "ag-rule", "d": lines}))
    path = ET.Element(f"{{{SVG}}}path", {"d": _path(outline)})
    if "ag-value" not in group.get("class", ""):
        path.attrib["class"] = "ag-tip"
    group.insert(place, path)


def _path(shape: ET.Element) -> str:
    points = shape.get("points", "").split()
    closed = shape.tag.endswith("polygon")
    return f"M{' '.join(points[:-1] if closed else points)}{'z' if closed else ''}"


def _shrink(element: ET.Element) -> None:
    for key, value in list(element.attrib.items()):
        if key in _SHARED:
            del element.attrib[key]
        elif key == "class":
            element.set(key, re.sub(r"^(node|edge|cluster) ", "", value))
        elif key == "d":
            element.set(key, relative(value))
        elif key not in ("id", "viewBox"):
            element.set(key, _NUMBER.sub(_short, value))
    if element.text and not element.text.strip() and len(element):
        element.text = None
    element.tail = None


def _short(number: re.Match[str]) -> str:
    return _tenths(round(10 * float(number[0])))


def _tenths(n: int) -> str:
    whole, tenth = divmod(abs(n), 10)
    return f"{'-' * (n < 0)}{whole or ''}.{tenth}" if tenth else f"{n // 10}"


def relative(d: str) -> str:
    """Return a path of M, C and z with rounded steps in place of positions, which are longer.

    A position is rounded before a step to it is taken, so the errors don't add up.
    """
    x = y = 0
    out = []
    for command, arguments in re.findall(r"([MCz])([^MCz]*)", d):
        numbers = [round(10 * float(n)) for n in re.findall(r"-?[\d.]+", arguments)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        step = 3 if command == "C" else 1  # of three points the last is where the curve ends
        out.append(command if command == "z" else command.lower())
        for start in range(0, len(points), step):
            bend = points[start : start + step]
            out.append(_join(n for px, py in bend for n in (px - x, py - y)))
            x, y = bend[-1]
    return re.sub(r"(?<=[a-z]) | (?=[-a-z])", "", " ".join(out))


def _join(numbers: Iterable[int]) -> str:
    return " ".join(map(_tenths, numbers))
