"""How many more labels may be asked for, and why not more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import Any

from backend.budget import wording
from backend.budget.live import Held, Stand, Standing, budget_of, stand_of
from backend.budget.spent import Pace, Spent, pace, spent
from backend.budget.surely import surely_above
from backend.budget.terms import Budget, Kind
from backend.domain import RoundState
from backend.store import Closure, Store, asks

LOOKED_BACK = 50
"""How many finished rounds are searched for the last measurement."""

SOON = 20
"""With so few labels left Label Studio is asked more often: who has a task open may be the last."""


@dataclass(frozen=True)
class Limit:
    """One thing that limits: how many labels it leaves (None: it does not count labels), in words."""

    kind: Kind
    labels: int | None
    says: str

    def as_json(self) -> dict[str, Any]:
        """Give plain JSON, as a closing keeps it."""
        return {"kind": self.kind.value, "labels": self.labels, "says": self.says}


@dataclass(frozen=True)
class Measured:
    """A metric on the audit slice, with its 90 % interval."""

    metric: str
    value: float
    low: float
    high: float
    n: int

    def surely_above(self, target: Decimal) -> bool:
        """Whether it is above `target` however often it was measured, and not by luck."""
        return surely_above(self.metric, self.value, self.low, self.n, float(target))


@dataclass(frozen=True)
class Allowance:
    """How many labels may be asked for now.

    labels:   None where nothing limits them; at least 1 while the queue is open
    closed:   nothing may be asked for: the queue should be closed
    reasons:  what closes it, or else what limits it, the tightest first
    measured: the target's metric, as it was measured last
    """

    labels: int | None
    closed: bool
    reasons: tuple[Limit, ...]
    budget: Held[Budget]
    stand: Held[Stand]
    spent: Spent
    pace: Pace
    measured: Measured | None = None
    left: Mapping[str, Any] = field(default_factory=dict)

    @property
    def soon(self) -> bool:
        """Whether so little is left that Label Studio should be asked every few seconds."""
        return not self.closed and self.labels is not None and self.labels <= SOON

    @property
    def says(self) -> str:
        """In one line."""
        if not self.reasons:
            return "no budget limits the labels"
        return "; ".join(limit.says for limit in self.reasons)

    def cut(self, wants: Sequence[int]) -> int:
        """Say how many tasks from the front's beginning may be asked for.

        wants: (k,) annotations that each task still wants, in the order of the front
        """
        if self.closed:
            return 0
        if self.labels is None:
            return len(wants)
        asked = 0
        for count, wanted in enumerate(wants):
            asked += max(1, wanted)
            if asked > self.labels:
                return max(1, count)
        return len(wants)


def allowance(store: Store, project_id: int, *, now: datetime) -> Allowance:
    """Reckon how many more labels a project may ask for, from the store alone.

    Nothing is held back for what annotators have open: that comes on top. Hours and money are turned into
    labels at the upper end of what a label costs, so they run out a little late rather than early only by
    the last label. The target is reached when the metric is surely above it; once that closed the queue, it
    stays closed until somebody saves the budget again: the next measurement may be a little lower, and
    annotators should not be called back for it.
    """
    budget, stand = budget_of(store, project_id), stand_of(store, project_id)
    done, rate = spent(store, project_id, budget.value), pace(store, project_id, budget.value)
    found = measured(store, project_id, budget.value.target_metric)
    closure = store.closures.get(project_id)
    limits = [
        *_standing(stand),
        *_amounts(budget.value, done, rate),
        *_deadline(budget.value, now),
        *_target(budget, found, closure),
    ]
    closing = tuple(limit for limit in limits if limit.labels == 0)
    counted = sorted((limit for limit in limits if limit.labels), key=lambda limit: limit.labels or 0)
    return Allowance(
        labels=0 if closing else counted[0].labels if counted else None,
        closed=bool(closing),
        reasons=closing or tuple(counted),
        budget=budget,
        stand=stand,
        spent=done,
        pace=rate,
        measured=found,
        left=_left(budget.value, done),
    )


def measured(store: Store, project_id: int, metric: str) -> Measured | None:
    """Look up the last measurement of a metric on the audit slice; None while today's question has none."""
    rounds = store.rounds.recent(project_id, RoundState.DONE, limit=LOOKED_BACK)
    asked = rounds[0].figures.get("asks") if rounds else None
    for each in takewhile(lambda each: asks(each.figures, asked), rounds):
        figures = each.figures.get(f"audit_{metric}")
        if figures:
            value, low, high = (float(figures[name]) for name in ("value", "low", "high"))
            # rounds call the headline of any kind of labels "accuracy"
            return Measured(str(figures.get("metric", metric)), value, low, high, int(figures.get("n", 0)))
    return None


def _standing(stand: Held[Stand]) -> list[Limit]:
    if stand.value.standing is Standing.RUNNING:
        return []
    kind = Kind.PAUSED if stand.value.standing is Standing.PAUSED else Kind.CLOSED
    note = f": {stand.value.note}" if stand.value.note else ""
    return [Limit(kind, 0, f"{stand.author} {kind.value} it{note}")]


def _amounts(budget: Budget, done: Spent, rate: Pace) -> list[Limit]:
    limits = []
    if budget.labels is not None:
        left = max(0, budget.labels - done.labels)
        says = f"{left:,} of {wording.labels(budget.labels)} left"
        limits.append(
            Limit(Kind.LABELS, left, says if left else f"all {wording.labels(budget.labels)} are made")
        )
    if budget.hours is not None:
        hours = budget.hours - _hours(done.milliseconds)
        count = _affordable(hours, rate.upper / 3600)
        limits.append(_bought(Kind.HOURS, count, wording.hours(hours), wording.hours(budget.hours)))
    if budget.money is not None and done.money is not None:
        amount = budget.money - done.money
        count = _affordable(amount, price_of_label(budget, rate.upper))
        said, total = (wording.money(each, budget.currency) for each in (amount, budget.money))
        limits.append(_bought(Kind.MONEY, count, said, total))
    return limits


def price_of_label(budget: Budget, seconds: float) -> float:
    """What a label of so many seconds costs, by the budget's rates."""
    return float(budget.per_hour or 0) * seconds / 3600 + float(budget.per_label or 0)


def _affordable(left: Decimal, price: float) -> int | None:
    """How many labels `left` buys, at least one while anything is left; None where a label costs nothing."""
    if left <= 0:
        return 0
    return max(1, int(float(left) / price)) if price > 0 else None


def _bought(kind: Kind, count: int | None, left: str, total: str) -> Limit:
    if count == 0:
        return Limit(kind, 0, f"all {total} are spent")
    enough = "" if count is None else f", enough for {wording.labels(count)}"
    return Limit(kind, count, f"{left} of {total} left{enough}")


def _deadline(budget: Budget, now: datetime) -> list[Limit]:
    if budget.deadline is None:
        return []
    when = f"{budget.deadline:%Y-%m-%d %H:%M} UTC"
    return [Limit(Kind.DEADLINE, 0, f"the deadline {when} has passed")] if now >= budget.deadline else []


def _target(budget: Held[Budget], found: Measured | None, closure: Closure | None) -> list[Limit]:
    target = budget.value.target_value
    if target is None:
        return []
    kept = closure is not None and closure.closed
    for reason in closure.reasons if closure is not None and kept else ():
        if reason["kind"] == Kind.TARGET and reason.get("revision") == budget.revision:
            return [Limit(Kind.TARGET, 0, str(reason["says"]))]
    if found is None or not found.surely_above(target):
        return []
    low, high, wanted = (wording.score(found.metric, each) for each in (found.low, found.high, target))
    name = found.metric.replace("_", " ")
    says = f"the target is reached: {name} {low} to {high}, {wanted} was wanted"
    return [Limit(Kind.TARGET, 0, says)]


def _left(budget: Budget, done: Spent) -> dict[str, Any]:
    left: dict[str, Any] = {}
    if budget.labels is not None:
        left["labels"] = max(0, budget.labels - done.labels)
    if budget.hours is not None:
        left["hours"] = max(Decimal(), budget.hours - _hours(done.milliseconds))
    if budget.money is not None and done.money is not None:
        left["money"] = max(Decimal(), budget.money - done.money)
    return left


def _hours(milliseconds: int) -> Decimal:
    return Decimal(milliseconds) / 3_600_000
