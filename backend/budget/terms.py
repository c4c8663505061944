"""The terms of a budget: read from a form, a command or the configuration, and checked field by field."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from backend.domain import NextlabelError

METRICS = ("accuracy", "macro_f1", "micro_f1", "entity_f1", "spearman", "r2")
"""What a target can be set for: rounds keep each as audit_NAME with value, low and high."""

METRICS_BY_FORM: Mapping[str, tuple[str, ...]] = {
    "classes": ("accuracy", "macro_f1"),
    "tags": ("micro_f1", "macro_f1"),
    "spans": ("entity_f1", "macro_f1"),
    "number": ("spearman", "r2"),
    "regions": (),
}
"""What labels of each form are measured by, the headline first; "accuracy" also means the headline of any."""

HEADLINE = "accuracy"
MOST_MINUTES = Decimal(60)
LEAST_GAIN = Decimal("0.5")
MILLISECONDS_PER_HOUR = 3_600_000


class Kind(enum.StrEnum):
    """What limits a project."""

    PAUSED = "paused"
    CLOSED = "closed"
    LABELS = "labels"
    HOURS = "hours"
    MONEY = "money"
    DEADLINE = "deadline"
    TARGET = "target"


class FieldErrors(NextlabelError):
    """What is wrong with the fields of a form: field to message. Nothing was saved."""

    exit_code = 2

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{name}: {said}" for name, said in self.errors.items()))


@dataclass(frozen=True)
class Budget:
    """What the labels of a project may cost; None is no limit.

    labels:       annotations that are submitted, of audit tasks and of overlap too
    hours:        annotators' work, skips and edits too
    money:        in `currency`, at `per_hour` and `per_label`
    deadline:     when the queue closes, whatever is left
    target_value: reached when the lower end of the metric's interval is at least that
    since:        only work from then on counts; None counts all that was ever seen
    most_minutes: what one sitting counts at most
    least_gain:   points of the metric (in %) that 100 more labels must bring to be worth it: the patience
    """

    labels: int | None = None
    hours: Decimal | None = None
    money: Decimal | None = None
    currency: str | None = None
    per_hour: Decimal | None = None
    per_label: Decimal | None = None
    deadline: datetime | None = None
    target_metric: str = HEADLINE
    target_value: Decimal | None = None
    since: datetime | None = None
    most_minutes: Decimal = MOST_MINUTES
    least_gain: Decimal = LEAST_GAIN

    @property
    def cap(self) -> int:
        """Milliseconds that one sitting counts at most."""
        return int(self.most_minutes * 60_000)

    def cost(self, milliseconds: int, labels: int) -> Decimal | None:
        """What so much work and so many labels cost, to the hundredth; None without rates."""
        if self.per_hour is None and self.per_label is None:
            return None
        work = (self.per_hour or Decimal()) * milliseconds / MILLISECONDS_PER_HOUR
        return (work + (self.per_label or Decimal()) * labels).quantize(Decimal("0.01"))


NAMES = tuple(field.name for field in fields(Budget))
Read: TypeAlias = Callable[[str], Any]


def parse_and_check(
    given: Mapping[str, Any],
    *,
    now: datetime,
    before: Budget | None = None,
    metrics: Sequence[str] = METRICS,
) -> Budget:
    """Read a budget whole: a field that is missing, None or empty is no limit.

    given:   texts as from a form, or numbers as from JSON; a share such as .9 may be given as 90 %; a time
             without a zone is UTC, and a day alone is its end
    before:  what holds now; a deadline that has passed since may stay, and a target that is measured no more
    metrics: that the project is measured by, the headline first, which "accuracy" also names
    raises:  FieldErrors with every field that is wrong
    """
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name in given:
        if name not in NAMES:
            errors[name] = f"unknown; expected one of {', '.join(NAMES)}"
    for name in NAMES:
        text = _text(given.get(name))
        if text is not None:
            try:
                values[name] = _READ[name](text)
            except (ValueError, InvalidOperation, OverflowError):
                errors[name] = f"{_short(text)}; expected {_EXPECTED[name]}"
    budget = _named(Budget(**values), metrics)
    wrong = _together(budget, before, now) | _unmeasured(budget, before, metrics)
    errors |= {name: said for name, said in wrong.items() if name not in errors}
    if errors:
        raise FieldErrors(errors)
    return budget


def as_fields(budget: Budget) -> dict[str, str | None]:
    """Write a budget as `parse_and_check` reads it, and as the store keeps it."""
    return {name: _plain(getattr(budget, name)) for name in NAMES}


def from_fields(content: Mapping[str, Any]) -> Budget:
    """Read what the store keeps: checked when it was saved, and still valid after its deadline."""
    known = {name: _text(value) for name, value in content.items() if name in NAMES}
    return Budget(**{name: _READ[name](text) for name, text in known.items() if text is not None})


def _together(budget: Budget, before: Budget | None, now: datetime) -> dict[str, str]:
    errors = {}
    if budget.money is not None and budget.per_hour is None and budget.per_label is None:
        errors["money"] = "has no rate; expected per_hour or per_label too, or nothing would ever be spent"
    amounts = (budget.money, budget.per_hour, budget.per_label)
    if budget.currency is None and any(amount is not None for amount in amounts):
        errors["currency"] = "missing; expected a code of three letters, such as EUR"
    kept = before is not None and before.deadline == budget.deadline
    if budget.deadline is not None and budget.deadline <= now and not kept:
        errors["deadline"] = f"{budget.deadline:%Y-%m-%d %H:%M} UTC is past; expected a time after now"
    if budget.since is not None and budget.since > now:
        errors["since"] = f"{budget.since:%Y-%m-%d %H:%M} UTC is to come; expected a time before now"
    return errors


def own_name(metric: str, measured: Sequence[str]) -> str:
    """Name a metric; "accuracy" is the headline of what is measured, the first of `measured`."""
    return measured[0] if metric == HEADLINE and measured and HEADLINE not in measured else metric


def _named(budget: Budget, metrics: Sequence[str]) -> Budget:
    """Call a target's metric by its own name where "accuracy" means another headline."""
    if budget.target_value is None:
        return budget
    return replace(budget, target_metric=own_name(budget.target_metric, metrics))


def _unmeasured(budget: Budget, before: Budget | None, metrics: Sequence[str]) -> dict[str, str]:
    name, value = budget.target_metric, budget.target_value
    kept = before is not None and (before.target_metric, before.target_value) == (name, value)
    if kept or name in metrics or (name == HEADLINE and value is None):
        return {}
    if not metrics:
        return {"target_value": f"{value}; expected nothing: labels of this kind are not measured"}
    expected = ", ".join(metrics)
    return {"target_metric": f"{name} is not measured of labels of this kind; expected one of {expected}"}


def _number(low: str, high: str, *, above: bool = False) -> Read:
    def read(text: str) -> Decimal:
        number = Decimal(text)
        if not number.is_finite() or not Decimal(low) <= number <= Decimal(high):
            raise ValueError
        number = number.quantize(Decimal("0.000001")).normalize() + 0
        if above and number == 0:
            raise ValueError
        return number

    return read


def _whole(text: str) -> int:
    number = _number("1", "100000000")(text)
    if number != int(number):
        raise ValueError
    return int(number)


def _share(text: str) -> Decimal:
    number = Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)
    if not number.is_finite() or not 0 < number < 1:
        raise ValueError
    return number.normalize()


def _currency(text: str) -> str:
    if len(text) != 3 or not (text.isascii() and text.isalpha()):
        raise ValueError
    return text.upper()


def _metric(text: str) -> str:
    if text.lower() not in METRICS:
        raise ValueError
    return text.lower()


def _moment(text: str) -> datetime:
    if "T" not in text and " " not in text and ":" not in text:
        return datetime.combine(datetime.fromisoformat(text).date(), time(23, 59, 59), UTC)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _start(text: str) -> datetime:
    """A day alone is its beginning, where counting begins."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


_READ: Mapping[str, Read] = {
    "labels": _whole,
    "hours": _number("0", "1000000", above=True),
    "money": _number("0", "1000000000000", above=True),
    "currency": _currency,
    "per_hour": _number("0", "1000000000"),
    "per_label": _number("0", "1000000000"),
    "deadline": _moment,
    "target_metric": _metric,
    "target_value": _share,
    "since": _start,
    "most_minutes": _number("1", "1440"),
    "least_gain": _number("0", "20"),
}
_EXPECTED: Mapping[str, str] = {
    "labels": "a whole number from 1 to 100000000",
    "hours": "a number above 0, up to 1000000",
    "money": "an amount above 0, up to 1000000000000",
    "currency": "a code of three letters, such as EUR",
    "per_hour": "an amount from 0 to 1000000000",
    "per_label": "an amount from 0 to 1000000000",
    "deadline": "a day or time, such as 2026-12-31 or 2026-12-31T18:00+01:00",
    "target_metric": f"one of {', '.join(METRICS)}",
    "target_value": "a number between 0 and 1, such as 0.9 or 90%",
    "since": "a day or time, such as 2026-12-31 or 2026-12-31T18:00+01:00",
    "most_minutes": "a number from 1 to 1440",
    "least_gain": "a number from 0 to 20",
}


def _text(value: Any) -> str | None:
    """Give what was typed; a number as it is written, true and false as nothing that could be meant."""
    if value is None:
        return None
    text = format(value, "f") if isinstance(value, Decimal) else str(value).strip()
    return text or None


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _short(text: str) -> str:
    shown = " ".join(text.split())
    return f'"{shown if len(shown) <= 40 else shown[:37] + "..."}"'
