"""Inputs with the label that is right for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """One text, or the path of one picture, and the label that is right for it.

    row: its place among the records of what it was read from, where somebody has noted that
    """

    text: str
    label: str
    row: int = field(default=-1, compare=False)


def distinct(
    examples: Sequence[Example], key: Callable[[Example], str] = lambda example: example.text
) -> list[Example]:
    """Keep each `key` once, in order; one with two different labels has no answer and goes."""
    keys = [key(example) for example in examples]
    labels: dict[str, set[str]] = {}
    for each, example in zip(keys, examples, strict=True):
        labels.setdefault(each, set()).add(example.label)
    kept: dict[str, Example] = {}
    for each, example in zip(keys, examples, strict=True):
        if len(labels[each]) == 1:
            kept.setdefault(each, example)
    return list(kept.values())


def text_digest(text: str) -> str:
    """Hash a text; equal texts have equal hashes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def file_digest(path: str) -> str:
    """Hash what a file holds, whatever it is called."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
