"""From a project's label config to the controls that are learned."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import NamedTuple

from backend.domain import LabelConfigError
from backend.labels.forms import Form
from backend.labels.kinds import LABEL_KINDS, LabelKind
from backend.labels.tags import Control, Object, parse


class Learnable(NamedTuple):
    """What a label config asks that can be learned.

    kinds:   the primary control, which drives the queue, first; the others in the config's order
    refused: why each of the remaining control tags cannot be learned
    """

    kinds: tuple[LabelKind, ...]
    refused: tuple[str, ...]


def read(label_config: str, *, primary: str | None = None) -> LabelKind:
    """Pick the control named `primary`, or else the first that can be learned.

    errors: LabelConfigError that names the tags found and what was expected
    """
    return read_all(label_config, primary=primary).kinds[0]


def read_all(label_config: str, *, primary: str | None = None) -> Learnable:
    """Find every control that can be learned.

    primary: name of the control that comes first; else the first that is, one that a model of ours can learn
        before regions, which a remote model must
    errors:  LabelConfigError where nothing can be learned, or not the one named `primary`
    """
    controls, objects = parse(label_config)
    named = None if primary is None else _named(primary, controls)
    if named is not None:
        _make(named, objects)
    kinds: list[tuple[Control, LabelKind]] = []
    refused: list[str] = []
    for control in controls:
        try:
            kinds.append((control, _make(control, objects)))
        except LabelConfigError as why:
            refused.append(str(why))
    if not kinds:
        raise LabelConfigError(f"label config has nothing to learn: {_why(refused)}")
    ours = [control for control, kind in kinds if kind.form is not Form.REGIONS]
    first = named or (ours[0] if ours else kinds[0][0])
    kinds.sort(key=lambda made: made[0] is not first)
    return Learnable(tuple(kind for _, kind in kinds), tuple(refused))


def _make(control: Control, objects: Mapping[str, Object]) -> LabelKind:
    maker = LABEL_KINDS.found().get(control.tag)
    if maker is None:
        raise LabelConfigError(f"{control} is of a kind that is not learned{_one_of()}")
    return maker(control, objects)


def _why(refused: list[str]) -> str:
    """Say why nothing can be learned, and once which tags could be."""
    if not refused:
        return f"it has no control tag at all; expected a control tag of: {_learnable()}"
    return "; ".join(why.removesuffix(_one_of()) for why in refused) + _one_of()


def _named(name: str, controls: tuple[Control, ...]) -> Control:
    for control in controls:
        if control.name == name:
            return control
    names = [control.name for control in controls]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    listed = ", ".join(str(control) for control in controls) or "none"
    raise LabelConfigError(f'label config has no control tag named "{name}"; expected one of: {listed}{hint}')


def _one_of() -> str:
    return f"; expected one of: {_learnable()}"


def _learnable() -> str:
    return ", ".join(LABEL_KINDS.found())
