"""What was spent, and what a label costs: both derived from the annotations ever seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean, median, stdev

from backend.budget.terms import MILLISECONDS_PER_HOUR, Budget
from backend.store import Store, Totals, Worked

RECENT = 500
"""How many annotations tell what a label costs today."""

FEWEST = 5
"""Annotations below which nobody knows what a label costs."""

UNKNOWN_SECONDS = 60.0
"""What a label is taken to cost while nobody knows."""

OUTLYING = 3.0
"""Standard deviations of the logarithm of seconds beyond which a lead time is a break, or a slip."""

NARROWEST = 0.25
UPPER = 1.2816
"""Normal quantile of a one-sided 90 % interval."""


@dataclass(frozen=True)
class Spent:
    """What all work came to; `money` is None without rates."""

    labels: int
    skips: int
    deleted: int
    edits: int
    milliseconds: int
    capped: int
    untimed: int
    money: Decimal | None

    @property
    def hours(self) -> float:
        """Annotators' hours."""
        return self.milliseconds / MILLISECONDS_PER_HOUR


@dataclass(frozen=True)
class Pace:
    """Seconds that a label costs, skips and edits included.

    upper: the upper end of a one-sided 90 % interval of the mean; what limits are reckoned with
    known: from how many annotations; 0 while they are too few to tell
    """

    seconds: float = UNKNOWN_SECONDS
    upper: float = UNKNOWN_SECONDS
    known: int = 0


def spent(store: Store, project_id: int, budget: Budget) -> Spent:
    """Add up what was spent; the same annotations give the same sum, however they came to be known."""
    return priced(store.work.totals(project_id, cap=budget.cap, since=budget.since), budget)


def priced(totals: Totals, budget: Budget) -> Spent:
    """Put a price on work."""
    return Spent(**vars(totals), money=budget.cost(totals.milliseconds, totals.labels))


def pace(store: Store, project_id: int, budget: Budget) -> Pace:
    """Learn what a label costs from the annotations of late."""
    return pace_of(store.work.recent(project_id, RECENT), budget)


def pace_of(worked: Sequence[Worked], budget: Budget) -> Pace:
    """Give the mean of seconds per label, robust to breaks and slips.

    A lead time outside `OUTLYING` robust standard deviations of the logarithm counts as the bound: a tab
    that stayed open overnight, or a click by mistake, would move the mean of hundreds. Paid is what was
    recorded all the same: that is what `spent` adds up.
    """
    capped = [min(one.milliseconds, budget.cap) / 1000 for one in worked if one.milliseconds]
    labels = sum(not one.skipped for one in worked if one.milliseconds)
    if len(capped) < FEWEST or labels == 0:
        return Pace()
    seconds = winsorised(capped)
    mean, each = fmean(seconds), len(seconds) / labels
    error = stdev(seconds) / math.sqrt(len(seconds))
    return Pace(mean * each, (mean + UPPER * error) * each, len(seconds))


def winsorised(seconds: Sequence[float]) -> list[float]:
    """Pull outlying times to the bounds: median ± 3 robust standard deviations, on the logarithm.

    source: Tukey 1962; the median absolute deviation as in Hampel 1974
    """
    logs = [math.log(one) for one in seconds]
    middle = median(logs)
    spread = max(1.4826 * median(abs(one - middle) for one in logs), NARROWEST)
    low, high = math.exp(middle - OUTLYING * spread), math.exp(middle + OUTLYING * spread)
    return [min(max(one, low), high) for one in seconds]
