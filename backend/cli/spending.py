"""A budget in words and as JSON: what was set, spent and is left, and what to do."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.text import Text

from backend.budget import Allowance, Budget, as_fields, recommend, wording
from backend.cli.output import Said
from backend.store import Store


def lines(store: Store, project: int, allowed: Allowance, now: datetime) -> list[tuple[str, Said]]:
    """Say in words what was set, spent and is left, and what to do."""
    budget = allowed.budget.value
    found: list[tuple[str, Said]] = [("budget", _limits(budget))]
    if allowed.budget.revision:
        at = f"{allowed.budget.at:%Y-%m-%d %H:%M} UTC"
        found.append(("set by", f"{allowed.budget.author}, {at} (revision {allowed.budget.revision})"))
    found.append(("spent", _spent(allowed)))
    found.append(("left", allowed.says))
    if allowed.pace.known:
        found.append(("a label", f"costs about {allowed.pace.seconds:.0f} s of annotation"))
    closure = store.closures.get(project)
    if closure is not None and (closure.closed or not closure.settled):
        found.append(("queue", _queue(closure.closed, closure.settled)))
        for channel, told in closure.told.items():
            outcome = "was told" if told.get("ok") else f"was not told: {told.get('error')}"
            found.append((channel, f"the manager {outcome}"))
    advice = recommend(store, project, now=now, allowed=allowed)
    found.append(("advice", Text(advice.advice, style="bold")))
    return found + [("", reason.says) for reason in advice.reasons]


def describe(store: Store, project: int, allowed: Allowance, now: datetime) -> dict[str, Any]:
    """Collect the same as plain JSON."""
    advice = recommend(store, project, now=now, allowed=allowed)
    closure = store.closures.get(project)
    return {
        "project": project,
        "revision": allowed.budget.revision,
        "author": allowed.budget.author or None,
        "at": allowed.budget.at,
        "budget": as_fields(allowed.budget.value),
        "standing": allowed.stand.value.standing,
        "spent": {**vars(allowed.spent), "hours": round(allowed.spent.hours, 4)},
        "left": allowed.left,
        "labels_allowed": allowed.labels,
        "closed": allowed.closed,
        "reasons": [limit.as_json() for limit in allowed.reasons],
        "seconds_per_label": round(allowed.pace.seconds, 2) if allowed.pace.known else None,
        "label_studio_closed": bool(closure and closure.closed and closure.settled),
        "told": dict(closure.told) if closure else {},
        "advice": {
            "advice": advice.advice,
            "reasons": [vars(reason) for reason in advice.reasons],
            "purchases": [vars(purchase) for purchase in advice.purchases],
            "gain": advice.gain,
        },
    }


def _limits(budget: Budget) -> str:
    said = []
    if budget.labels is not None:
        said.append(wording.labels(budget.labels))
    if budget.hours is not None:
        said.append(wording.hours(budget.hours))
    if budget.money is not None:
        said.append(wording.money(budget.money, budget.currency))
    if budget.deadline is not None:
        said.append(f"until {budget.deadline:%Y-%m-%d %H:%M} UTC")
    if budget.target_value is not None:
        value = wording.score(budget.target_metric, budget.target_value)
        said.append(f"{budget.target_metric.replace('_', ' ')} of {value}")
    rates = [
        f"{wording.money(rate, budget.currency)} {name}"
        for rate, name in ((budget.per_hour, "an hour"), (budget.per_label, "a label"))
        if rate is not None
    ]
    paid = f" (at {' and '.join(rates)})" if rates else ""
    since = f", counted since {budget.since:%Y-%m-%d %H:%M} UTC" if budget.since else ""
    return (", ".join(said) or "no limits") + paid + since


def _spent(allowed: Allowance) -> str:
    done, budget = allowed.spent, allowed.budget.value
    said = [wording.labels(done.labels), wording.hours(done.hours)]
    if done.money is not None:
        said.append(wording.money(done.money, budget.currency))
    notes = [
        f"{count:,} {words}"
        for count, words in (
            (done.skips, "skipped"),
            (done.deleted, "deleted since"),
            (done.edits, "edits"),
            (done.capped, f"sittings counted as {budget.most_minutes.normalize() + Decimal():f} minutes"),
            (done.untimed, "without a lead time"),
        )
        if count
    ]
    return ", ".join(said) + (f" ({', '.join(notes)})" if notes else "")


def _queue(closed: bool, settled: bool) -> str:
    if closed:
        return "closed in Label Studio" if settled else "to be closed; nextlabel up does that"
    return "to be opened again; nextlabel up does that"
