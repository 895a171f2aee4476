"""A picture as DOT, Graphviz's language: the same graph gives the same text, to the byte."""

from __future__ import annotations

from hashlib import sha256
from math import isnan
from typing import TYPE_CHECKING, NamedTuple

from autograd.steps import show

from .graph import crossed
from .text import field, quote, shorten, tooltip, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from . import Direction, Style
    from .graph import Box, Edge, Picture, Scope

FILLS = {
    "leaf": "#dbeafe",
    "parameter": "#dcfce7",
    "interior": "#f8fafc",
    "result": "#fef3c7",
    "group": "#ede9fe",
}
BORDERS = {
    "leaf": "#3b82f6",
    "parameter": "#16a34a",
    "interior": "#64748b",
    "result": "#d97706",
    "group": "#8b5cf6",
}
INK = "#0f172a"
LINE = "#64748b"
OP_FILL = "#334155"
OP_INK = "#ffffff"
CONSTANT = "#64748b"

HEAD = f"""\
  bgcolor="transparent"
  fontname="Helvetica"
  fontsize="11"
  fontcolor="{LINE}"
  labeljust="l"
  nodesep="0.2"
  ranksep="0.35"
  node [fontname="Helvetica" fontsize="10" fontcolor="{INK}" height="0.2" margin="0.08,0.03"]
  edge [fontname="Helvetica" fontsize="9" fontcolor="{LINE}" color="{LINE}" arrowsize="0.6"]
"""

# Graphviz' time grows faster than the drawing: it puts each edge's label in a rank of its own, and
# then searches for the best order and the shortest edges without an end. Where there are more boxes
# than this, or their edges cross more ranks, labels go beside the edges once all else is placed,
# and the search is cut short. Without that 751 boxes took two seconds, 1,001 more than a minute.
MOST_BOXES = 150
MOST_CROSSED = 400
HURRY = """\
  nslimit="1"
  nslimit1="1"
  mclimit="0.2"
"""


def recorded_grad(box: Box) -> str:
    """Return what a box says of its gradient after the last backward pass."""
    grad = box.largest_grad
    if grad is None:
        return "no grad yet"
    return f"max abs grad {show(abs(grad))}" if box.kind == "group" else f"grad {show(grad)}"


class Look(NamedTuple):
    """How a picture is drawn; `grad` gives a box its line about the gradient."""

    style: Style
    direction: Direction
    shown: frozenset[str]
    grad: Callable[[Box], str] = recorded_grad


class Written(NamedTuple):
    """DOT text, and the prefix of the ids in it: element ids are `<prefix>-v3`, `-o3`, `-e3.0`."""

    dot: str
    prefix: str


def write(picture: Picture, look: Look) -> Written:
    """Return the picture as DOT.

    The prefix is a digest of the rest, so that drawings on one page don't share ids, and yet the
    text depends on nothing but the graph.
    """
    body = "".join(_lines(picture, look))
    prefix = "g" + sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return Written(body.replace("@", prefix + "-").replace("\0", "@"), prefix)


def _id(text: str) -> str:
    # "@" stands for the prefix until it is known; \0, which `visible` never lets through, for a @.
    return f'id="@{text}"'


def _text(text: str) -> str:
    return text.replace("@", "\0")


def _lines(picture: Picture, look: Look) -> Iterator[str]:
    yield "digraph {\n"
    yield f'  rankdir="{look.direction}"\n'
    yield HEAD
    hurry = len(picture.boxes) > MOST_BOXES or crossed(picture) > MOST_CROSSED
    if hurry:
        yield HURRY
    yield from _clusters(picture, look)
    label = "xlabel" if hurry else "label"
    for edge in picture.edges:
        yield _edge(edge, picture.boxes, look, label)
    yield "}\n"


def _clusters(picture: Picture, look: Look) -> Iterator[str]:
    tree: dict[Scope, list[Box]] = {}
    for box in picture.boxes.values():
        for depth in range(len(box.scope) + 1):
            tree.setdefault(box.scope[:depth], [])
        tree[box.scope].append(box)
    yield from _cluster((), tree, look, {scope: n for n, scope in enumerate(tree)})


def _cluster(
    scope: Scope, tree: dict[Scope, list[Box]], look: Look, numbers: dict[Scope, int]
) -> Iterator[str]:
    indent = "  " * (len(scope) + 1)
    for box in tree[scope]:
        for line in _box(box, look):
            yield indent + line
    for inner in tree:
        if len(inner) != len(scope) + 1 or inner[:-1] != scope:
            continue
        name = visible(inner[-1])
        yield f"{indent}subgraph cluster_{numbers[inner]} {{\n"
        yield f'{indent}  {_id(f"s{numbers[inner]}")} class="ag-scope"\n'
        yield f"{indent}  label={_text(quote(shorten(name)))} tooltip={_text(tooltip(name))}\n"
        yield f'{indent}  style="rounded" color="{LINE}" penwidth="0.8"\n'
        yield from _cluster(inner, tree, look, numbers)
        yield f"{indent}}}\n"


def _box(box: Box, look: Look) -> Iterator[str]:
    colours = f'style="filled" fillcolor="{FILLS[box.kind]}" color="{BORDERS[box.kind]}"'
    name = visible(box.name)
    label = "|".join(field(part) for part in (shorten(name), *_fields(box, look)))
    if look.direction in ("TB", "BT"):
        label = "{" + label + "}"  # Graphviz turns records with the direction
    tip = _text(tooltip(name))
    yield (
        f'v{box.number} [{_id(f"v{box.number}")} class="ag-value ag-{box.kind}" shape="record" '
        f'{colours} label="{_text(label)}" tooltip={tip}]\n'
    )
    if box.kind == "group" or box.values[0].op is None:
        return
    yield from _constants(box, look)
    if look.style == "teaching":
        op = box.values[0].op
        yield (
            f'o{box.number} [{_id(f"o{box.number}")} class="ag-op" shape="circle" '
            f'style="filled" fillcolor="{OP_FILL}" color="{LINE}" fontcolor="{OP_INK}" '
            f'margin="0.02" label={_text(quote(op.symbol))} tooltip={_text(tooltip(op.formula))}]\n'
        )
        ident = _id(f"r{box.number}")
        yield f'o{box.number} -> v{box.number} [{ident} class="ag-out" dir="none"]\n'


def _constants(box: Box, look: Look) -> Iterator[str]:
    head = _into(box, look)
    for place, operand in enumerate(box.values[0].operands):
        if isinstance(operand, float):
            name = f"c{box.number}_{place}"
            yield (
                f'{name} [{_id(name)} class="ag-constant" shape="plaintext" '
                f'fontcolor="{CONSTANT}" label="{show(operand)}" tooltip="constant"]\n'
            )
            yield f'{name} -> {head} [{_id("k" + name)} class="ag-constant" style="dotted"]\n'


def _into(head: Box, look: Look) -> str:
    # Where an edge ends: at the operation, where operations are nodes.
    return f"{'v' if head.kind == 'group' or look.style == 'compact' else 'o'}{head.number}"


def _fields(box: Box, look: Look) -> Sequence[str]:
    grad = [look.grad(box)] if "grad" in look.shown else []
    if box.kind == "group":
        return (f"{len(box.values)} values", *grad)
    (value,) = box.values
    fields = []
    if look.style == "compact" and value.op is not None:
        fields.append(value.op.symbol)
    if "data" in look.shown:
        fields.append(f"data {show(value.data)}")
    return fields + grad


def _edge(edge: Edge, boxes: dict[int, Box], look: Look, place: str) -> str:
    tail, head = boxes[edge.tail], boxes[edge.head]
    ends = f"  v{tail.number} -> {_into(head, look)}"
    if edge.local is None:
        label = f"{edge.size} edges" if edge.size > 1 else ""
        width = 1.5 if edge.size > 1 else 1
        ident = _id(f"b{tail.number}_{head.number}")
        return f'{ends} [{ident} class="ag-bundle" {place}="{label}" penwidth="{width}"]\n'
    number = "undefined" if isnan(edge.local) else show(edge.local)
    label = f' {place}="{number}"' if "local" in look.shown else ""
    ident = _id(f"e{head.number}_{edge.place}")
    above, below = shorten(visible(head.name)), shorten(visible(tail.name))
    tip = tooltip(f"∂{above}/∂{below} = {number}")
    return f'{ends} [{ident} class="ag-edge"{label} tooltip={_text(tip)}]\n'
