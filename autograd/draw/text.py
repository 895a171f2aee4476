"""Any text, made safe to look at and to put into DOT."""

from __future__ import annotations

import unicodedata

LONGEST_STRING = 2000  # characters in a string of DOT: 10,000 bytes if each of them is an &
LONGEST = 60  # characters of a label that are drawn; the whole of it is in the tooltip

# Characters that would not be seen, or would rearrange what stands around them, are shown by their
# code points: controls, bidirectional marks, other invisible ones, and what XML has no place for.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """Return the text with each invisible character as its code point: a line break is ⟨U+000A⟩."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟨U+{ord(c):04X}⟩" if _is_hidden(c) else c for c in text)


def _is_hidden(c: str) -> bool:
    return unicodedata.category(c) in _HIDDEN or ord(c) & 0xFFFE == 0xFFFE  # noqa: PLR2004


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return the text, its middle left out where it is longer than that many characters."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def quote(text: str) -> str:
    r"""Return the text as a DOT string that stands for exactly that: quotes and \ escaped.

    Graphviz reads HTML entities in labels, so an & is escaped as well.
    """
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def tooltip(text: str) -> str:
    r"""Return the text as a DOT string for a tooltip, which may be long.

    Graphviz resolves escapes in tooltips twice: `\\N` would become `\N`, and that the node's name.
    It reads strings of at most 16,384 bytes, but adds them up.
    """
    parts = [text[i : i + LONGEST_STRING] for i in range(0, len(text), LONGEST_STRING)] or [""]
    return " + ".join(quote(part.replace("\\", "\\\\")) for part in parts)


def field(text: str) -> str:
    """Return the text for a field of a record, without quotes around it."""
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    for special in "{}|<> ":
        escaped = escaped.replace(special, "\\" + special)
    return escaped
