"""From a project's label config to the one control that is learned."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from backend.domain import LabelConfigError
from backend.labels.kinds import LABEL_KINDS, LabelKind
from backend.labels.tags import Control, Object, parse


def read(label_config: str, *, primary: str | None = None) -> LabelKind:
    """Pick the control named `primary`, or else the first that can be learned.

    errors: LabelConfigError that names the tags found and what was expected
    """
    controls, objects = parse(label_config)
    if primary is not None:
        return _make(_named(primary, controls), objects)
    refused: list[str] = []
    for control in controls:
        try:
            return _make(control, objects)
        except LabelConfigError as why:
            refused.append(str(why))
    found = "; ".join(refused) or "it has no control tag at all"
    raise LabelConfigError(f"label config has nothing to learn: {found}; expected a {_learnable()} tag")


def _make(control: Control, objects: Mapping[str, Object]) -> LabelKind:
    maker = LABEL_KINDS.found().get(control.tag)
    if maker is None:
        raise LabelConfigError(f"{control} is of a kind that is not learned; expected {_learnable()}")
    return maker(control, objects)


def _named(name: str, controls: tuple[Control, ...]) -> Control:
    for control in controls:
        if control.name == name:
            return control
    names = [control.name for control in controls]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    listed = ", ".join(str(control) for control in controls) or "none"
    raise LabelConfigError(f'label config has no control tag named "{name}"; expected one of: {listed}{hint}')


def _learnable() -> str:
    return " or ".join(LABEL_KINDS.found())
