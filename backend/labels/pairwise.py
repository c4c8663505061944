"""Pairwise on two texts: which of them is preferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.domain import Json, LabelConfigError
from backend.labels.answers import refuse
from backend.labels.kinds import LABEL_KINDS, LabelKind, Takes
from backend.labels.picking import Answers, OneOf
from backend.labels.sources import TEXTS, find
from backend.labels.tags import Control, Object


@dataclass(frozen=True)
class Pair:
    """Two texts of each task, the left one first."""

    left: Object
    right: Object

    @property
    def takes(self) -> Takes:
        """Two texts."""
        return "pair"

    def __str__(self) -> str:
        return f"{self.left.tag} {self.left.value} and {self.right.tag} {self.right.value}"

    def input(self, data: Json) -> tuple[str, str]:
        """Both texts of one task's `data`; each is empty where the task has none."""
        return self.left.text(data), self.right.text(data)


@LABEL_KINDS("Pairwise")
def pairwise(control: Control, objects: Mapping[str, Object]) -> LabelKind:
    """Make the kind that a Pairwise tag asks for: `left` or `right`, whatever their texts are called.

    Label Studio's page writes the control itself as `to_name`, and its import refuses that: predictions name
    the left text, which both take.
    """
    refuse(control)
    names = [name.strip() for name in control.to_name.split(",")]
    if len(names) != 2 or names[0] == names[1]:
        raise LabelConfigError(f'{control}: toName="{control.to_name}"; expected two texts, such as "a,b"')
    left, right = (find(control, name, objects, TEXTS) for name in names)
    answers = Answers(control, (("left",), ("right",)), "selected", lambda chosen: chosen[0][0])
    return OneOf(answers, Pair(left, right), names[0])
