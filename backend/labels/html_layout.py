"""A HyperText as Label Studio's page counts its characters: the text nodes that a browser makes of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SILENT = ("script", "style", "noscript", "template", "title", "-comment")


@dataclass(frozen=True)
class TextNode:
    """One text node, or a line break, which counts as one character.

    xpath: from the body, such as `/p[1]/text()[2]`; empty for a line break
    start: where it begins in the whole text, in code points
    """

    xpath: str
    text: str
    start: int


@dataclass(frozen=True)
class Place:
    """A stretch of a HyperText as a result item writes it; offsets count UTF-16 units within the nodes."""

    start: str
    end: str
    start_offset: int
    end_offset: int


class LaidOut(str):
    """The text of a HyperText that knows the nodes it is made of.

    Whitespace is kept as it is, and a `<br>` reads as a line break, so that a place in this text is what
    Label Studio calls a global offset, in code points. Words of blocks that touch in the HTML (`</td><td>`)
    touch here too.
    """

    nodes: tuple[TextNode, ...]

    def __new__(cls, nodes: tuple[TextNode, ...]) -> LaidOut:
        """Join the nodes' texts."""
        made = super().__new__(cls, "".join(node.text for node in nodes))
        made.nodes = nodes
        return made

    def __str__(self) -> str:
        """Give itself: `str` of it must not forget the nodes."""
        return self

    def place(self, start: int, end: int) -> Place | None:
        """Find where code points [start, end) lie; None for an empty stretch, or one that ends in a break."""
        if not 0 <= start < end <= len(self):
            return None
        starts = [node.start for node in self.nodes]
        first = self.nodes[bisect_right(starts, start) - 1]
        last = self.nodes[bisect_right(starts, end - 1) - 1]
        if not first.xpath or not last.xpath:
            return None
        return Place(
            first.xpath,
            last.xpath,
            utf16_length(first.text[: start - first.start]),
            utf16_length(last.text[: end - last.start]),
        )


def lay_out(html: str) -> LaidOut:
    """Read `html` as a browser does (the HTML standard's own algorithm), scripts and styles left out."""
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser(html).body
    nodes: list[TextNode] = []
    length = 0
    for xpath, text in () if body is None else _texts(body, ""):
        nodes.append(TextNode(xpath, text, length))
        length += len(text)
    return LaidOut(tuple(nodes))


def utf16_length(text: str) -> int:
    """Count the UTF-16 units of `text`, as JavaScript's strings do."""
    return len(text) + sum(character > "\uffff" for character in text)


def _texts(parent: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text node below `parent` with its XPath, in order, and line breaks."""
    seen: dict[str, int] = {}
    child = parent.child
    while child is not None:
        tag = str(child.tag)
        seen[tag] = seen.get(tag, 0) + 1
        if tag == "-text":
            if text := child.text_content:
                yield f"{path}/text()[{seen[tag]}]", text
        elif tag == "br":
            yield "", "\n"
        elif tag not in _SILENT:
            yield from _texts(child, f"{path}/{tag}[{seen[tag]}]")
        child = child.next
