"""Texts with spans out of CoNLL files: a token a line, its tag last, a blank line after a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.domain import ConfigError

_MARK = "-DOCSTART-"


@dataclass(frozen=True)
class Marked:
    """One text and its spans: (start, end, label), in order, in Python's characters."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


def read_conll(file: Path) -> list[Marked]:
    """Read texts whose tokens stand a line each: the first column is the token, the last its tag.

    Columns are parted by tabs, or else by spaces. Tags are BIO (`B-PER`, `I-PER`, `O`), IOB, where a span may
    begin with I, or BIOES; a span without B begins where the label changes. Spaces join the tokens.
    errors: ConfigError that names the file, the line and what was expected
    """
    try:
        content = file.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a CoNLL file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is no UTF-8 ({error.reason}); expected a CoNLL file in UTF-8") from error
    found = [_marked(file, lines) for lines in _texts(content)]
    kept = [each for each in found if each is not None]
    if not kept:
        raise ConfigError(f"{file}: holds no tokens; expected a token a line with its tag in the last column")
    return kept


def _texts(content: str) -> Iterator[list[tuple[int, str]]]:
    """Lines of each text with their numbers; nothing but line ends parts lines."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(content.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip() and not line.startswith(_MARK):
            lines.append((number, line))
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def _marked(file: Path, lines: list[tuple[int, str]]) -> Marked | None:
    words: list[str] = []
    spans: list[tuple[int, int, str]] = []
    at, last = 0, ("O", "")
    for number, line in lines:
        columns = [part for part in (line.split("\t") if "\t" in line else line.split()) if part.strip()]
        if line.startswith("# ") and len(columns) != 2:
            continue  # a comment about the text
        if len(columns) < 2:
            raise ConfigError(f"{file}, line {number}: has one column; expected a token and a tag")
        word, (kind, label) = columns[0].strip(), _tag(file, number, columns[-1].strip())
        end = at + len(word)
        if kind == "I" and last[1] == label and spans:
            spans[-1] = (spans[-1][0], end, label)
        elif kind != "O":
            spans.append((at, end, label))
        last = (kind, label)
        words.append(word)
        at = end + 1
    return Marked(" ".join(words), tuple(spans)) if words else None


def _tag(file: Path, number: int, tag: str) -> tuple[str, str]:
    """B, I or O, and the label; the end of a span (E, L) goes on with it, a single one (S, U) begins it."""
    if tag in ("O", "_"):
        return "O", ""
    kind, dash, label = tag.partition("-")
    plain = {"B": "B", "I": "I", "E": "I", "L": "I", "S": "B", "U": "B"}.get(kind)
    if plain is None or not dash or not label:
        raise ConfigError(f"{file}, line {number}: has the tag {tag!r}; expected O, B-LABEL or I-LABEL")
    return plain, label
