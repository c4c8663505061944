"""Whether a metric is surely above its target, however often one has looked.

Each round measures anew. If the first 95 % bound that clears the target closed the queue, a model that is
exactly as good as the target would close it within 300 random tasks in 20 % of projects. What is asked here
holds over all measurements together: it ever says "above" of a metric that is not in at most 5 % of projects.
The price is that it says so later: tests/benchmarks/looks.py tells how much.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WRONG = 0.05
"""Share of projects that may close although the target is not reached."""
BETS = 200
"""Shares above the target that are bet on."""
TIGHTEST = 25.0
"""Of means: a boundary that is nearly the closest possible from 50 to 1,000 tasks."""
_Z = 1.6448536269514722
"""Standard deviations that one side of a 90 % interval is wide."""


def surely_above(metric: str, value: float, low: float, n: int, target: float) -> bool:
    """Whether a metric of `n` random tasks is above `target`; `low` is the lower end of its 90 % interval.

    Of accuracy exactly; of all others nearly, as their intervals do.
    """
    if n <= 0 or value <= target:
        return False
    if metric == "accuracy":
        return log_evidence(round(value * n), n, target) >= math.log(1 / WRONG)
    return value - (value - low) * wider(n) >= target


def log_evidence(right: int, n: int, target: float) -> float:
    """Give the logarithm of what bets against "at most `target` of the answers are right" have made of 1.

    It is put in equal parts on shares above the target, each part multiplied by how much likelier that
    share makes each answer than the target does. Where the share is at most the target, no part is expected
    to grow, so that all together ever come to 1 / `WRONG` with a chance of `WRONG` at most (Ville).

    source: Ville 1939; Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021
    """
    way = (np.arange(BETS) + 0.5) / BETS  # from the target to 1
    logs: Any = right * np.log1p(way * (1 - target) / target) + (n - right) * np.log1p(-way)
    return float(np.logaddexp.reduce(logs) - math.log(BETS))


def wider(n: int) -> float:
    """How many times as far a lower end must be so that it holds for every number of tasks at once.

    source: Howard et al. 2021, equation 14 (one-sided normal mixture); Waudby-Smith, Arbour, Sinha, Kennedy &
    Ramdas 2024 (it holds in the limit for whatever is normal in the limit)
    """
    more = 1 + TIGHTEST / n
    return math.sqrt(2 * more * math.log1p(math.sqrt(more * n / TIGHTEST) / (2 * WRONG))) / _Z
