"""Graphviz' SVG, made into ours: named, readable aloud, for light and dark, nothing foreign."""

from __future__ import annotations

from xml.etree import ElementTree as ET

SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}"
FONTS = "Helvetica, Arial, sans-serif"

# Where the page is dark, only what lies on the page itself changes; boxes bring their own ground.
STYLE = """
#{id} .ag-edge path, #{id} .ag-out path, #{id} .ag-bundle path {{ stroke-linecap: round }}
@media (prefers-color-scheme: dark) {{
  #{id} .edge path, #{id} .cluster path {{ stroke: #94a3b8 }}
  #{id} .edge polygon {{ stroke: #94a3b8; fill: #94a3b8 }}
  #{id} .edge text, #{id} .cluster text, #{id} .ag-constant text {{ fill: #cbd5e1 }}
}}
"""


def finish(raw: bytes, prefix: str, title: str, description: str) -> str:
    """Return Graphviz' SVG with our ids, a title and description, and a style for dark pages.

    Links that hold nothing but a tooltip become groups with a `<title>`, which browsers show in the
    same way and pages can't follow.
    """
    root = read(raw)
    style = _element("style", STYLE.format(id=f"{prefix}-svg"), f"{prefix}-style")
    return name(root, prefix, title, description, style)


def read(raw: bytes) -> ET.Element:
    """Return Graphviz' SVG as a tree, without what is foreign to the drawing."""
    ET.register_namespace("", SVG)
    root = ET.fromstring(raw.decode("utf-8"))  # noqa: S314  (our own Graphviz wrote it)
    for group in list(root.iter(f"{{{SVG}}}g")):
        _lift_tooltip(group)
    for element in root.iter():
        _clean(element)
    return root


def name(root: ET.Element, prefix: str, title: str, description: str, *styles: ET.Element) -> str:
    """Return the tree as text, named for those who can't see it, with the styles at its head."""
    root.attrib |= {
        "id": f"{prefix}-svg",
        "class": "ag-drawing",
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
    }
    head = [
        _element("title", title, f"{prefix}-title"),
        _element("desc", description, f"{prefix}-desc"),
        *styles,
    ]
    for place, element in enumerate(head):
        root.insert(place, element)
    return ET.tostring(root, encoding="unicode")


def _element(tag: str, text: str, ident: str) -> ET.Element:
    element = ET.Element(f"{{{SVG}}}{tag}", {"id": ident})
    element.text = text
    return element


def _clean(element: ET.Element) -> None:
    if element.get("class") == "graph":
        element.attrib = {"transform": element.get("transform", "")}  # its id is "graph0" in each
    element.attrib = {
        name: FONTS if name == "font-family" else value
        for name, value in element.attrib.items()
        if not name.startswith(XLINK)
    }


def _lift_tooltip(group: ET.Element) -> None:
    # <g class="node"><title>v3</title><g><a title="text">shapes</a></g></g>, as Graphviz has it,
    # becomes <g class="node"><title>text</title>shapes</g>.
    # Without a tooltip the title is a name of Graphviz' or ours, "o3->v3", and goes.
    title = group.find(f"{{{SVG}}}title")
    if title is None:
        return
    text = None
    for wrapper in group.findall(f"{{{SVG}}}g"):
        link = wrapper.find(f"{{{SVG}}}a")
        if link is None:
            continue
        text = link.get(f"{XLINK}title") or text
        place = list(group).index(wrapper)
        group[place : place + 1] = list(link)
    if text:
        title.text = text
    else:
        group.remove(title)
