"""The object tag that a control is on: what goes into the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.domain import Json, LabelConfigError
from backend.labels.kinds import Takes
from backend.labels.tags import Control, Object

TEXTS = ("Text", "HyperText")
IMAGES = ("Image",)
_AS_WRITTEN = (("valueType", "text"), ("encoding", "none"))
"""Attributes of texts by which a task holds an address or a code instead of the text itself."""


@dataclass(frozen=True)
class Source:
    """One text or one image of each task."""

    shown: Object

    @property
    def takes(self) -> Takes:
        """What `input` gives."""
        return "image" if self.shown.tag in IMAGES else "text"

    def __str__(self) -> str:
        return f"{self.shown.tag} {self.shown.value}"

    def input(self, data: Json) -> str:
        """Text of one task's `data`, or the address of its image as it stands there; empty where missing."""
        return self.shown.address(data) if self.takes == "image" else self.shown.text(data)


def source_of(control: Control, objects: Mapping[str, Object], on: Sequence[str] = TEXTS + IMAGES) -> Source:
    """Find the one object tag, of those named in `on`, that `control` is on.

    errors: LabelConfigError where there is none, or where it shows the same to everybody
    """
    return Source(find(control, control.to_name, objects, on))


def find(control: Control, name: str, objects: Mapping[str, Object], on: Sequence[str]) -> Object:
    """Find the object tag `name`, of those named in `on`, that the task's data fill.

    errors: LabelConfigError
    """
    wanted = f"{', '.join(on[:-1])} or {on[-1]}" if on[1:] else on[0]
    shown = objects.get(name)
    if shown is None:
        listed = ", ".join(f'{each.tag} "{each.name}"' for each in objects.values()) or "none"
        raise LabelConfigError(
            f'{control}: toName="{name}" is no object tag (found: {listed}); expected one {wanted}'
        )
    here = f'{shown.tag} "{shown.name}"'
    if shown.tag not in on:
        raise LabelConfigError(f"{control} is on {here}; expected {wanted}")
    if shown.several:
        raise LabelConfigError(f'{here}: valueList="{shown.value}" is several; expected value="$one"')
    if not shown.has_variable:
        key = "$image" if shown.tag in IMAGES else "$text"
        raise LabelConfigError(
            f'{here}: value="{shown.value}" is the same for all tasks; '
            f'expected a key of the task\'s data, such as value="{key}"'
        )
    for attribute, plain in _AS_WRITTEN if shown.tag in TEXTS else ():
        if (value := shown.attributes.get(attribute, plain)) != plain:
            raise LabelConfigError(
                f'{here}: {attribute}="{value}" is not read yet; expected {attribute}="{plain}"'
            )
    return shown
