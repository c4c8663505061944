"""What a kind of label can do, and which kinds there are.

A new kind is one new file in this folder: a class with the decorator `@LABEL_KINDS("Tag")`, made from the
control tag and the objects beside it, that raises `LabelConfigError` for what it cannot learn. It gives what
`LabelKind` says, and may give what `Named` and `Scaled` say: nothing is registered for that.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import backend.labels
from backend.domain import Json
from backend.labels.forms import Form, Target
from backend.labels.tags import Control, Object

Takes: TypeAlias = Literal["text", "image", "pair"]
Input: TypeAlias = str | tuple[str, str]
"""A text, the address of an image as the task has it, or the two texts of a pair."""


class LabelKind(Protocol):
    """One control tag of one project: what goes into the model, and what comes out of annotations."""

    @property
    def control(self) -> str:
        """The control tag's `name`: results carry it as `from_name`."""

    @property
    def form(self) -> Form:
        """What its targets are made of."""

    @property
    def takes(self) -> Takes:
        """What `input` gives."""

    @property
    def source(self) -> str:
        """Where the input comes from, such as `Text $text`: where it agrees, embeddings are shared."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What can be chosen, in the config's order, as results write it; label index = place in it.

        Of a number: nothing.
        """

    def input(self, data: Json) -> Input:
        """Input of one task's `data`; empty where the task has none."""

    def target(self, results: Sequence[Json]) -> Target | None:
        """Target in one annotation's `result`; None where it holds none that can be learned."""

    def unknown(self, results: Sequence[Json]) -> tuple[str, ...]:
        """Labels in one annotation's `result` that the config does not have (any more)."""

    def results(self, target: Target, score: float, text: str = "", /) -> tuple[Json, ...]:
        """Write the `result` of a pre-annotation: a target, how sure it is, and the input text of spans."""

    def agree(self, targets: Sequence[Target]) -> Target | None:
        """Make one target of several annotators' (oldest first); None where nobody answered."""


@runtime_checkable
class Named(Protocol):
    """What a kind may give besides: results write its labels otherwise than annotators read them."""

    @property
    def names(self) -> tuple[str, ...]:
        """What annotators read, one for each of the kind's `labels`."""


@runtime_checkable
class Scaled(Protocol):
    """What a kind of numbers may give besides: its answers mean something on a scale alone."""

    @property
    def comparable(self) -> object:
        """The scale; numbers are compared where `str` of it is the same."""


Maker: TypeAlias = Callable[[Control, Mapping[str, Object]], LabelKind]
MakerT = TypeVar("MakerT", bound=Maker)


class Kinds:
    """Control tag to the class that learns it, filled by decorators."""

    def __init__(self) -> None:
        self._makers: dict[str, Maker] = {}

    def __call__(self, *tags: str) -> Callable[[MakerT], MakerT]:
        """Register the decorated class for each of the control tags `tags`."""

        def register(maker: MakerT) -> MakerT:
            for tag in tags:
                self._makers[tag] = maker
            return maker

        return register

    def found(self) -> Mapping[str, Maker]:
        """Import every file of this folder and list what they registered."""
        for module in pkgutil.iter_modules(backend.labels.__path__):
            importlib.import_module(f"{backend.labels.__name__}.{module.name}")
        return dict(sorted(self._makers.items()))


def names(kind: LabelKind) -> tuple[str, ...]:
    """Give what annotators read of each of the kind's `labels`."""
    return kind.names if isinstance(kind, Named) else kind.labels


def question(kind: LabelKind) -> str:
    """Name what annotators are asked: figures of two rounds can be compared where it is the same."""
    scale = str(kind.comparable) if isinstance(kind, Scaled) else ""
    answers = hashlib.blake2b("\0".join([scale, *sorted(kind.labels)]).encode(), digest_size=6).hexdigest()
    return f"{kind.control} {kind.source} {kind.form.value} {answers}"


LABEL_KINDS = Kinds()
