"""The form of a project's budget and shares: what it shows, what was typed, what was wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from backend.aims import metrics_of
from backend.budget import as_fields, budget_of, shares_of, stand_of
from backend.budget.live import BUDGET, SHARES
from backend.budget.terms import NAMES
from backend.budget.wording import money as in_money
from backend.store import Store
from backend.web.facts import Facts
from backend.web.languages import Speech

AMOUNTS = ("labels", "hours", "money", "currency", "per_hour", "per_label", "deadline")
AMOUNTS_SPENT = ("labels", "hours", "money")
AIMS = ("target_value", "least_gain")
COUNTING = ("since", "most_minutes")
SHARE_NAMES = ("audit", "exploration", "relabel")
UNITS = {"hours": "unit.of_hours", "most_minutes": "unit.of_minutes", "least_gain": "unit.of_points"}


@dataclass(frozen=True)
class Form:
    """What was typed and could not be saved: the fields, and what is wrong with each or with all."""

    subject: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    conflict: str | None = None


def read(form: MultiDict[str, str], subject: str) -> dict[str, str]:
    """Take the fields of `subject` out of what was sent."""
    names = NAMES if subject == BUDGET else SHARE_NAMES
    return {name: form[name].strip() for name in names if name in form}


def content(store: Store, project_id: int, form: Form) -> Facts:
    """Give what the page shows: what was typed where that could not be saved, else what holds."""
    held, shares = budget_of(store, project_id), shares_of(store, project_id)
    values = as_fields(held.value)
    portions = {name: _plain(getattr(shares.value, name)) for name in SHARE_NAMES}
    if form.subject == BUDGET:
        values = {**values, **form.given}
    if form.subject == SHARES:
        portions = {**portions, **form.given}
    return {
        "values": values,
        "portions": portions,
        "errors": form.errors if form.subject == BUDGET else {},
        "share_errors": form.errors if form.subject == SHARES else {},
        "conflict": form.conflict,
        "revision": held.revision,
        "shares_revision": shares.revision,
        "amounts": AMOUNTS,
        "aims": AIMS,
        "counting": COUNTING,
        "share_names": SHARE_NAMES,
        "metrics": metrics_of(store, project_id),
        "units": UNITS,
        "stand": stand_of(store, project_id),
    }


def stands(speech: Speech, budget: Facts, project: Facts) -> Facts | None:
    """Say what closes or limits the queue, as it is and as a worker will make it; None for nothing."""
    closed, limits, queue_closed = budget["closed"], budget["limits"], project["queue_closed"]
    if not project["connected"] or not (closed or queue_closed or limits):
        return None
    key = "reopening" if queue_closed else "limited"
    if closed:
        key = "closed" if queue_closed else "closing"
    return {
        "tone": "warn" if closed else "calm",
        "title": speech(f"budget.{key}"),
        "says": [_limit(speech, limit, budget) for limit in limits],
    }


def _limit(speech: Speech, limit: Facts, budget: Facts) -> str:
    """Say one limit: that it is used up, or how much it leaves."""
    kind, count = limit["kind"], limit["labels"]
    if count == 0:
        return speech(f"limit.no_{kind}" if kind in AMOUNTS_SPENT else f"limit.{kind}")
    left = budget["left"][kind]
    amounts = {
        "labels": speech.number(left),
        "hours": speech.hours(left),
        "money": in_money(left, budget["fields"]["currency"]),
    }
    return speech(f"limit.{kind}", amount=amounts[kind], count=count)


def translated(
    speech: Speech, subject: str, errors: Mapping[str, str], given: Mapping[str, Any]
) -> dict[str, str]:
    """Say what is wrong with each field in the reader's language."""
    unread = {"per_hour", "per_label"} & errors.keys()
    return {
        name: _say(speech, subject, name, said, str(given.get(name, "")))
        for name, said in errors.items()
        # a price that could not be read is no missing one
        if not (unread and name == "money" and _NO_RATE in said)
    }


def _say(speech: Speech, subject: str, name: str, said: str, typed: str) -> str:
    for sign, key in _SIGNS.items():
        if sign in said:
            return speech(key)
    expected = f"expected.{name if subject == BUDGET else 'share'}"
    if speech.knows(expected):
        return speech(
            "wrong.value", typed=typed if len(typed) <= 40 else typed[:37] + "…", expected=speech(expected)
        )
    return said


_NO_RATE = "has no rate"
_SIGNS = {
    _NO_RATE: "wrong.no_rate",
    "missing; expected a code": "wrong.no_currency",
    "is past": "wrong.past",
    "is to come": "wrong.future",
    "together are": "wrong.too_much",
    "is not measured of": "wrong.unmeasured",
    "are not measured": "wrong.regions",
}


def _plain(value: Any) -> str | None:
    return None if value is None else format(value, "f")
