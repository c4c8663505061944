"""A project's budget as plain JSON: what was set, spent and left, day by day, and who changed what."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from backend.budget import Allowance, Budget, as_fields, stand_of
from backend.budget import history as setting_history
from backend.budget.terms import MILLISECONDS_PER_HOUR
from backend.store import Store
from backend.web.facts import Facts, in_iso

DAYS_LOOKED_BACK, DAYS_AHEAD = 7, 60
CHANGES_SHOWN = 100


def standing(store: Store, project_id: int) -> Facts:
    """Say whether annotators are asked: paused or closed by somebody, or closed by the budget."""
    stand, closure = stand_of(store, project_id), store.closures.get(project_id)
    closed = closure is not None and closure.closed
    return {
        "standing": stand.value.standing.value,
        "note": stand.value.note,
        "by": stand.author or None,
        "queue_closed": closed,
        "reasons": [str(reason.get("says", "")) for reason in closure.reasons] if closure and closed else [],
    }


def budget_facts(found: Allowance) -> Facts:
    """Give the budget, what was spent of it, and what limits the labels."""
    spent, pace = found.spent, found.pace
    return {
        "revision": found.budget.revision,
        "saved_by": found.budget.author or None,
        "saved_at": in_iso(found.budget.at),
        "fields": as_fields(found.budget.value),
        "closed": found.closed,
        "labels_left": found.labels,
        "limits": [limit.as_json() for limit in found.reasons],
        "spent": {
            "labels": spent.labels,
            "skips": spent.skips,
            "deleted": spent.deleted,
            "edits": spent.edits,
            "hours": spent.hours,
            "money": None if spent.money is None else float(spent.money),
        },
        "left": {name: float(amount) for name, amount in found.left.items()},
        "seconds_per_label": pace.seconds if pace.known else None,
        "target": _target(found),
    }


def burn(store: Store, project_id: int, budget: Budget, *, now: datetime) -> Facts:
    """Give what was spent in all by the end of each day, in the unit that the budget limits, and the limit.

    ahead: the pace of the last seven days, carried on until the limit or the deadline, two months at most
    """
    unit, limit = _unit(budget)
    labels = milliseconds = 0
    days: list[str] = []
    amounts: list[float] = []
    for each in store.work.by_day(project_id, cap=budget.cap, since=budget.since):
        labels, milliseconds = labels + each.labels, milliseconds + each.milliseconds
        days.append(each.day)
        amounts.append(_amount(budget, unit, labels, milliseconds))
    return {
        "unit": budget.currency if unit == "money" else unit,
        "days": days,
        "spent": amounts,
        "limit": limit,
        "deadline": budget.deadline.date().isoformat() if budget.deadline else None,
        "ahead": _ahead(days, amounts, limit, budget.deadline, now),
    }


def changes(store: Store, project_id: int, *, limit: int = CHANGES_SHOWN) -> Facts:
    """List who changed and who did what, the newest first."""
    found = [
        {
            "at": each.at.isoformat(),
            "by": each.author,
            "what": f"{each.subject}.{each.field}",
            "old": each.old,
            "new": each.new,
        }
        for each in setting_history(store, project_id, limit=limit)
    ]
    found += [
        {"at": each.at.isoformat(), "by": each.name, "what": each.action, "old": None, "new": None}
        for each in store.deeds.events(project_id, limit=limit)
    ]
    return {"changes": sorted(found, key=lambda each: str(each["at"]), reverse=True)[:limit]}


def _target(found: Allowance) -> Facts | None:
    budget, known = found.budget.value, found.measured
    if budget.target_value is None:
        return None
    measured = (
        None if known is None else {name: getattr(known, name) for name in ("value", "low", "high", "n")}
    )
    reached = known is not None and known.surely_above(budget.target_value)
    return {
        "metric": budget.target_metric if known is None else known.metric,
        "value": float(budget.target_value),
        "measured": measured,
        "reached": reached,
    }


def _unit(budget: Budget) -> tuple[str, float | None]:
    for name in ("money", "hours", "labels"):
        limit = getattr(budget, name)
        if limit is not None:
            return name, float(limit)
    return "labels", None


def _amount(budget: Budget, unit: str, labels: int, milliseconds: int) -> float:
    if unit == "money":
        return float(budget.cost(milliseconds, labels) or 0)
    return milliseconds / MILLISECONDS_PER_HOUR if unit == "hours" else float(labels)


def _ahead(
    days: list[str], amounts: list[float], limit: float | None, deadline: datetime | None, now: datetime
) -> dict[str, Any] | None:
    since = (now - timedelta(days=DAYS_LOOKED_BACK)).date().isoformat()
    earlier = [amount for day, amount in zip(days, amounts, strict=True) if day <= since]
    if not days or days[-1] <= since:
        return None
    a_day = (amounts[-1] - (earlier[-1] if earlier else 0.0)) / DAYS_LOOKED_BACK
    if a_day <= 0 or (limit is None and deadline is None):
        return None
    count = float(DAYS_AHEAD)
    if limit is not None:
        count = min(count, max(0.0, (limit - amounts[-1]) / a_day))
    if deadline is not None:
        count = min(count, max(0.0, (deadline - now) / timedelta(days=1)))
    end = now + timedelta(days=count)
    return {"days": [days[-1], end.isoformat()], "spent": [amounts[-1], amounts[-1] + a_day * count]}
