"""Taxonomy on a text or an image: answers are paths in a tree; classes where one is the most, or tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from backend.domain import LabelConfigError
from backend.labels.answers import Rule, refuse
from backend.labels.choice_tags import FROM_TASKS, children, enough, name_of
from backend.labels.kinds import LABEL_KINDS, LabelKind
from backend.labels.picking import Answers, OneOf, Path, SomeOf
from backend.labels.sources import source_of
from backend.labels.tags import Control, Object

_RULES = (
    Rule("apiUrl", (None, ""), "takes the tree from elsewhere; expected Choice tags, the same for all tasks"),
    Rule("labeling", (None, "false"), "marks parts; expected one answer about the whole task"),
    FROM_TASKS,
)


@LABEL_KINDS("Taxonomy")
def taxonomy(control: Control, objects: Mapping[str, Object]) -> LabelKind:
    """Make the kind that a Taxonomy tag asks for; `maxUsages="1"` asks for one class.

    Every Choice can be an answer; with `leafsOnly="true"` those alone that hold no other.
    """
    refuse(control, *_RULES)
    shown = source_of(control, objects)
    most = _most(control)
    leaves = control.attributes.get("leafsOnly", "false").lower() == "true"
    paths = enough(list(_paths(control.element, (), control, leaves=leaves)), control, 2 if most == 1 else 1)
    answers = Answers(control, paths, "taxonomy", lambda chosen: [list(path) for path in chosen], most)
    return (OneOf if most == 1 else SomeOf)(answers, shown, control.to_name)


def _paths(parent: Element, above: Path, control: Control, *, leaves: bool) -> Iterator[Path]:
    for choice in children(parent):
        name = name_of(choice, control)
        if not name:
            continue
        path = (*above, name)
        below = list(_paths(choice, path, control, leaves=leaves))
        if not (leaves and below):
            yield path
        yield from below


def _most(control: Control) -> int | None:
    written = control.attributes.get("maxUsages")
    if written is None:
        return None
    if not written.isascii() or not written.isdigit() or int(written) < 1:
        raise LabelConfigError(f'{control}: maxUsages="{written}"; expected a number of answers, 1 or more')
    return int(written)
