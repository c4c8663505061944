"""Choice tags, flat or one under another, as Choices and Taxonomy hold them."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from backend.domain import LabelConfigError
from backend.labels.answers import Rule
from backend.labels.picking import Path
from backend.labels.tags import Control

FROM_TASKS = Rule(
    "value", (None, ""), "takes the choices from each task; expected Choice tags, the same for all"
)


def name_of(choice: Element, control: Control) -> str | None:
    """Read what results call a Choice; None where it has no name.

    errors: LabelConfigError where each task names it
    """
    name = choice.get("alias") or choice.get("value")
    if name and name.startswith("$"):
        raise LabelConfigError(
            f'{control}: {choice.tag} "{name}" comes from each task; expected a fixed label'
        )
    return name


def children(parent: Element, tag: str = "Choice") -> Iterator[Element]:
    """List the nearest `tag` elements below `parent`, those inside View and the like too."""
    for child in parent:
        if child.tag == tag:
            yield child
        else:
            yield from children(child, tag)


def enough(paths: list[Path], control: Control, least: int) -> tuple[Path, ...]:
    """Give `paths`, each once.

    errors: LabelConfigError where there are fewer than `least`
    """
    once = tuple(dict.fromkeys(paths))
    if len(once) < least:
        found = ", ".join(f'"{path[-1]}"' for path in once) or "none"
        wanted = "at least two Choice tags" if least > 1 else "a Choice tag"
        raise LabelConfigError(f"{control} has too few labels ({found}); expected {wanted}")
    return once
