"""What the demo is played with: texts with their truth, some of them held out to measure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from backend.demo.classes import CLASSES
from backend.demo.kind import DemoKind, TaskText
from backend.simulate.examples import Example, distinct

HELD_OUT = 1000
HELD_OUT_SHARE = 0.25
"""Of a small data set no more than this is held out."""

TaskT = TypeVar("TaskT", bound=TaskText)


@dataclass(frozen=True)
class Material:
    """One labelling job.

    question: what the annotator is asked
    tasks:    texts to label, each once; both projects get all of them in this order
    held_out: texts of which none is among the tasks
    labels:   what can be answered, most frequent first
    kind:     what is asked for: what tasks and their answers look like
    """

    question: str
    tasks: tuple[Any, ...]
    held_out: tuple[Any, ...]
    labels: tuple[str, ...]
    kind: DemoKind = CLASSES

    @cached_property
    def truth(self) -> dict[str, Any]:
        """Each task, which knows its answer, by its text."""
        return {task.text: task for task in self.tasks}


def split(examples: Sequence[Example], question: str, *, held_out: int = HELD_OUT) -> Material:
    """Hold `held_out` of the distinct examples out, or a quarter if they are few; a hash of the text decides.

    The same examples in another order make the same material.
    """
    tasks, held = hold_out(distinct(examples), held_out)
    labels = by_frequency(example.label for example in (*tasks, *held))
    return Material(question, tasks, held, labels)


def hold_out(tasks: Sequence[TaskT], count: int) -> tuple[tuple[TaskT, ...], tuple[TaskT, ...]]:
    """Part tasks with distinct texts, by a hash of the text: what is labelled, and `count` or a quarter."""
    # not the key by which texts may have been chosen: the first by it would be those of the largest sources
    shuffled = sorted(tasks, key=lambda task: text_hash(task.text, "shuffled"))
    count = min(count, round(HELD_OUT_SHARE * len(shuffled)))
    return tuple(shuffled[count:]), tuple(shuffled[:count])


def by_frequency(labels: Iterable[str]) -> tuple[str, ...]:
    """List the different labels, most frequent first."""
    counts = Counter(labels)
    return tuple(sorted(counts, key=lambda label: (-counts[label], label)))


def text_hash(text: str, purpose: str = "") -> str:
    """Give a fixed shuffling key; keys for different purposes have nothing to do with each other."""
    return hashlib.sha256((purpose + text).encode("utf-8", "replace")).hexdigest()
