"""One or several answers out of a fixed list, whatever tag asks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from backend.domain import Json, LabelConfigError
from backend.labels.answers import item, items_of, majority, majority_of_each, may_stay_empty, values_of
from backend.labels.forms import Form
from backend.labels.kinds import Input, Takes
from backend.labels.tags import Control

Path: TypeAlias = tuple[str, ...]
"""An answer and what it lies under, outermost first; of a flat list the answer alone."""
SEPARATOR = " / "


@dataclass(frozen=True)
class Answers:
    """What can be chosen, and how results write it.

    paths: in the config's order
    key:   where a result item's `value` has what was chosen
    write: what stands there
    most:  how many can be chosen at once; None for any number
    errors: LabelConfigError where two answers read the same
    """

    control: Control
    paths: tuple[Path, ...]
    key: str
    write: Callable[[Sequence[Path]], Any]
    most: int | None = None

    def __post_init__(self) -> None:
        twice = [label for label, count in Counter(self.labels).items() if count > 1]
        if twice:
            raise LabelConfigError(f'{self.control}: two answers read "{twice[0]}"; expected different ones')

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Answers in words."""
        return tuple(SEPARATOR.join(path) for path in self.paths)

    @cached_property
    def index(self) -> dict[Path, int]:
        """Path to place in the list."""
        return {path: place for place, path in enumerate(self.paths)}

    def chosen(self, items: Sequence[Json]) -> tuple[Path, ...]:
        """Read what the control's items name, known or not, each once."""
        values = values_of(self.control, items)
        return tuple(dict.fromkeys(path for value in values for path in _paths(value.get(self.key))))


def _paths(value: Any) -> Iterator[Path]:
    for entry in value if isinstance(value, list) else [value]:
        path = tuple(entry) if isinstance(entry, list) else (entry,)
        if path and all(isinstance(step, str) for step in path):
            yield path


class Shown(Protocol):
    """What the control is on."""

    @property
    def takes(self) -> Takes:
        """What `input` gives."""

    def input(self, data: Json) -> Input:
        """Read it in one task's `data`."""


@dataclass(frozen=True)
class Picking:
    """What one and several answers have in common.

    to_name: the object tag that results name
    """

    answers: Answers
    shown: Shown
    to_name: str

    @property
    def control(self) -> str:
        """The control tag's `name`."""
        return self.answers.control.name

    @property
    def takes(self) -> Takes:
        """What the control is on."""
        return self.shown.takes

    @property
    def source(self) -> str:
        """The object tag and what it shows."""
        return str(self.shown)

    @property
    def labels(self) -> tuple[str, ...]:
        """Aliases, or values where an answer has none; of a tree with what they lie under."""
        return self.answers.labels

    @property
    def names(self) -> tuple[str, ...]:
        """What annotators read where `labels` are aliases."""
        choices = self.answers.control.element.iter("Choice")
        read = {choice.get("alias"): choice.get("value") for choice in choices}
        return tuple(SEPARATOR.join(read.get(step) or step for step in path) for path in self.answers.paths)

    def input(self, data: Json) -> Input:
        """Read the input in one task's `data`; empty where the task has none."""
        return self.shown.input(data)

    def unknown(self, results: Sequence[Json]) -> tuple[str, ...]:
        """Labels chosen that the config does not have (any more)."""
        chosen = self.answers.chosen(items_of(self.answers.control, results))
        return tuple(SEPARATOR.join(path) for path in chosen if path not in self.answers.index)

    def _written(self, places: Sequence[int], score: float) -> tuple[Json, ...]:
        value = {self.answers.key: self.answers.write([self.answers.paths[place] for place in places])}
        return (item(self.answers.control, self.to_name, value, score),)


class OneOf(Picking):
    """One answer each."""

    @property
    def form(self) -> Form:
        """One class each."""
        return Form.CLASSES

    def target(self, results: Sequence[Json]) -> int | None:
        """Class index of the one label chosen; None for none, for several, and for one that is unknown."""
        chosen = self.answers.chosen(items_of(self.answers.control, results))
        return self.answers.index.get(chosen[0]) if len(chosen) == 1 else None

    def results(self, target: int, score: float, _text: str = "", /) -> tuple[Json, ...]:
        """Write what Label Studio imports."""
        return self._written([target], score)

    def agree(self, targets: Sequence[int]) -> int | None:
        """Take the majority's answer, and of several equally frequent ones the latest given."""
        return majority(targets)


class SomeOf(Picking):
    """Any number of answers each, none too."""

    @property
    def form(self) -> Form:
        """A set of tags each."""
        return Form.TAGS

    def target(self, results: Sequence[Json]) -> frozenset[int] | None:
        """Tags chosen, those that are unknown left out.

        The empty set where an annotator who saw the question chose nothing. None where nobody can tell: the
        question is required, or hidden at times, or all that was chosen is unknown or unreadable.
        """
        items = items_of(self.answers.control, results)
        chosen = self.answers.chosen(items)
        known = frozenset(self.answers.index[path] for path in chosen if path in self.answers.index)
        if known:
            return known
        empty = isinstance(results, list | tuple) and all(map(self._is_empty, items))
        return known if empty and may_stay_empty(self.answers.control) else None

    def results(self, target: frozenset[int], score: float, _text: str = "", /) -> tuple[Json, ...]:
        """Write what Label Studio imports; of the empty set nothing, as an annotator's would be.

        Where the control allows so many at most (`maxUsages`), those that the config has first.
        """
        return self._written(sorted(target)[: self.answers.most], score) if target else ()

    def agree(self, targets: Sequence[frozenset[int]]) -> frozenset[int] | None:
        """Take each tag that most annotators gave; where exactly half did, as the latest has it."""
        return majority_of_each(targets)

    def _is_empty(self, item: Json) -> bool:
        return [value.get(self.answers.key) for value in values_of(self.answers.control, [item])] == [[]]
