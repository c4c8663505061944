"""What kinds of label share: which controls are refused, whose result items are whose, how people agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any, TypeVar

from backend.domain import Json, LabelConfigError
from backend.labels.tags import Control

T = TypeVar("T")

_WHOLE_TASK = "asks about parts; expected one answer about the whole task"


@dataclass(frozen=True)
class Rule:
    """An attribute that changes what answers are: values that are learned, and what is expected."""

    attribute: str
    allowed: tuple[str | None, ...]
    expected: str


_RULES = (
    Rule("perRegion", (None, "false"), _WHOLE_TASK),
    Rule("perItem", (None, "false"), _WHOLE_TASK),
)


def refuse(control: Control, *rules: Rule) -> None:
    """Refuse a control that asks for more than one answer about the whole task, or breaks one of `rules`.

    errors: LabelConfigError
    """
    for rule in (*rules, *_RULES):
        value = control.attributes.get(rule.attribute)
        if value not in rule.allowed:
            raise LabelConfigError(f'{control}: {rule.attribute}="{value}" {rule.expected}')
    if "{{" in control.name:
        raise LabelConfigError(
            f"{control} is repeated for each item; expected one answer about the whole task"
        )


def items_of(control: Control, results: Any) -> tuple[Json, ...]:
    """Result items that `control` gave, of whatever type; nothing where `results` is no list."""
    if not isinstance(results, list | tuple):
        return ()
    return tuple(
        item for item in results if isinstance(item, Mapping) and item.get("from_name") == control.name
    )


def values_of(control: Control, items: Sequence[Json]) -> tuple[Json, ...]:
    """`value` of each item whose type is the control's."""
    values = (item.get("value") for item in items if item.get("type") == control.tag.lower())
    return tuple(value for value in values if isinstance(value, Mapping))


def may_stay_empty(control: Control) -> bool:
    """Whether an annotator who was shown the control could submit without answering it."""
    return control.always_shown and control.attributes.get("required", "false").lower() != "true"


def number(value: Any) -> float | None:
    """Read a finite JSON number; None for anything else, a boolean too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        return None


def item(control: Control, to_name: str, value: Json, score: float) -> Json:
    """Make one result item; Label Studio gives it an id by itself."""
    return {
        "from_name": control.name,
        "to_name": to_name,
        "type": control.tag.lower(),
        "value": value,
        "score": round(float(score), 4),
    }


def majority(targets: Sequence[T | None]) -> T | None:
    """Take the most frequent answer, and of several equally frequent ones the latest given."""
    given = [target for target in targets if target is not None]
    votes = Counter(given)
    return max(reversed(given), key=votes.__getitem__, default=None)


def majority_of_each(targets: Sequence[Collection[int] | None]) -> frozenset[int] | None:
    """Take the tags that most annotators gave; where exactly half did, as the latest has it."""
    given = [frozenset(target) for target in targets if target is not None]
    if not given:
        return None
    votes = Counter(tag for target in given for tag in target)
    return frozenset(tag for tag, count in votes.items() if 2 * count > len(given) - (tag in given[-1]))


def middle(targets: Sequence[float | None]) -> float | None:
    """Take the median, of an even count the mean of the middle two."""
    given = [target for target in targets if target is not None]
    return float(median(given)) if given else None
