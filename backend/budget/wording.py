"""Amounts in words: 3.1 hours, 56.00 EUR, 500 labels."""

from __future__ import annotations

from decimal import Decimal

WHOLE = frozenset(("KRW", "JPY", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF"))
"""Currencies without a hundredth."""

CORRELATIONS = frozenset(("spearman", "r2"))
"""Metrics that are no shares: from -1 to 1, written as they are."""


def money(amount: Decimal | float, currency: str | None) -> str:
    """Write an amount of money."""
    digits = 0 if currency in WHOLE else 2
    return f"{amount:,.{digits}f} {currency or ''}".rstrip()


def hours(amount: Decimal | float) -> str:
    """Write a length of work; below an hour and a half in minutes."""
    if amount < 1.5:
        minutes = float(amount) * 60
        return f"{minutes:.0f} minutes" if minutes >= 2 else f"{minutes * 60:.0f} seconds"
    return f"{amount:,.1f} hours"


def labels(count: int) -> str:
    """Write a number of labels."""
    return f"{count:,} label{'s' * (count != 1)}"


def share(value: float | Decimal) -> str:
    """Write a metric's value: 91.7 %."""
    return f"{value * 100:.1f} %"


def score(metric: str, value: float | Decimal) -> str:
    """Write a value of `metric`: a share as 91.7 %, a correlation as 0.62."""
    return f"{value:.2f}" if metric in CORRELATIONS else share(value)


def points(metric: str, amount: float) -> str:
    """Write by how many hundredths `metric` rises: 1.5 points of a share, 0.015 of a correlation."""
    return f"{amount / 100:.3f}" if metric in CORRELATIONS else f"{amount:.1f} points"
