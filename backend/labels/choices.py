"""Choices on a text or an image: one answer out of a list (classes), or any number (tags)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backend.domain import LabelConfigError
from backend.labels.answers import Rule, refuse
from backend.labels.choice_tags import FROM_TASKS, children, enough, name_of
from backend.labels.kinds import LABEL_KINDS, LabelKind
from backend.labels.picking import Answers, OneOf, Path, SomeOf
from backend.labels.sources import source_of
from backend.labels.tags import Control, Object

_SINGLE = (None, "single", "single-radio")
_RULES = (
    Rule("choice", (*_SINGLE, "multiple"), 'is unknown; expected "single", "single-radio" or "multiple"'),
    Rule("allowNested", (None, "false"), "makes answers paths; expected a flat list, or a Taxonomy tag"),
    FROM_TASKS,
)


@LABEL_KINDS("Choices")
def choices(control: Control, objects: Mapping[str, Object]) -> LabelKind:
    """Make the kind that a Choices tag asks for; `choice="multiple"` asks for tags."""
    refuse(control, *_RULES)
    shown = source_of(control, objects)
    single = control.attributes.get("choice") in _SINGLE
    paths = enough(list(_listed(control)), control, 2 if single else 1)
    answers = Answers(control, paths, "choices", lambda chosen: [path[0] for path in chosen])
    return (OneOf if single else SomeOf)(answers, shown, control.to_name)


def _listed(control: Control) -> Iterator[Path]:
    for choice in children(control.element):
        if next(children(choice), None) is not None:
            raise LabelConfigError(
                f'{control}: Choice "{choice.get("value")}" holds other Choice tags; expected a flat list, '
                "or a Taxonomy tag"
            )
        if name := name_of(choice, control):
            yield (name,)
