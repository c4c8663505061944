"""What more labels buy: the forecast of the last round, with what it would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backend.budget.allowance import Allowance, price_of_label

SHOWN = 200
"""For so many more labels the figures are told in words, or for as many as there are tasks."""


@dataclass(frozen=True)
class Purchase:
    """What so many more labels are expected to buy, and to cost; `affordable` within what is left."""

    labels: int
    value: float
    low: float
    high: float
    hours: float
    money: Decimal | None
    affordable: bool


def purchases_of(forecast: Mapping[str, Any] | None, allowed: Allowance) -> tuple[Purchase, ...]:
    """Price each step of a round's `forecast` at the project's pace and rates; none without a forecast."""
    if not forecast:
        return ()
    seconds = allowed.pace.seconds
    budget = allowed.budget.value
    price = price_of_label(budget, seconds)
    rated = budget.per_hour is not None or budget.per_label is not None
    return tuple(
        Purchase(
            labels=int(more),
            value=float(value),
            low=float(low),
            high=float(high),
            hours=more * seconds / 3600,
            money=Decimal(str(more * price)).quantize(Decimal("0.01")) if rated else None,
            affordable=allowed.labels is None or more <= allowed.labels,
        )
        for more, value, low, high in zip(
            forecast["more_labels"], forecast["value"], forecast["low"], forecast["high"], strict=True
        )
    )


def told(bought: Sequence[Purchase]) -> Purchase | None:
    """Pick the purchase that is told in words: the largest up to `SHOWN`."""
    return max((one for one in bought if one.labels <= SHOWN), key=lambda one: one.labels, default=None)


def gain_of(bought: tuple[Purchase, ...]) -> float | None:
    """Tell the points of the metric (in %) that the hundred labels after the next bring; None without two.

    Between two forecasts, for what was measured last has an error of its own.
    """
    if len(bought) < 2:
        return None
    first, second = bought[:2]
    return 100 * (second.value - first.value) * 100 / (second.labels - first.labels)
