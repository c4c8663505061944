"""What the demo is played with: texts with their truth, some of them held out to measure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from backend.simulate.examples import Example, distinct

HELD_OUT = 1000
HELD_OUT_SHARE = 0.25
"""Of a small data set no more than this is held out."""


@dataclass(frozen=True)
class Material:
    """One classification job.

    question: what the annotator is asked
    tasks:    texts to label, each once; both projects get all of them in this order
    held_out: texts of which none is among the tasks
    labels:   what can be answered, most frequent first
    """

    question: str
    tasks: tuple[Example, ...]
    held_out: tuple[Example, ...]
    labels: tuple[str, ...]

    @cached_property
    def truth(self) -> dict[str, str]:
        """Each task's label by its text."""
        return {example.text: example.label for example in self.tasks}


def split(examples: Sequence[Example], question: str, *, held_out: int = HELD_OUT) -> Material:
    """Hold `held_out` of the distinct examples out, or a quarter if they are few; a hash of the text decides.

    The same examples in another order make the same material.
    """
    shuffled = sorted(distinct(examples), key=lambda example: text_hash(example.text))
    count = min(held_out, round(HELD_OUT_SHARE * len(shuffled)))
    frequency: dict[str, int] = {}
    for example in shuffled:
        frequency[example.label] = frequency.get(example.label, 0) + 1
    labels = sorted(frequency, key=lambda label: (-frequency[label], label))
    return Material(question, tuple(shuffled[count:]), tuple(shuffled[:count]), tuple(labels))


def text_hash(text: str) -> str:
    """Give a fixed shuffling key."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
