"""What labels may cost, what they did cost, what is left, and when to stop."""

from __future__ import annotations

from backend.budget import wording
from backend.budget.advice import Advice, Reason, Recommendation, recommend
from backend.budget.allowance import Allowance, Limit, Measured, allowance, measured
from backend.budget.closing import give_back, open_again
from backend.budget.gate import Gate
from backend.budget.live import (
    Change,
    Held,
    Stand,
    Standing,
    budget_of,
    first_budget,
    history,
    save_budget,
    save_shares,
    save_stand,
    seed,
    seeded,
    shares_of,
    stand_of,
)
from backend.budget.purchases import Purchase
from backend.budget.shares import Shares, with_shares
from backend.budget.spent import Pace, Spent, pace, spent
from backend.budget.terms import (
    METRICS,
    METRICS_BY_FORM,
    Budget,
    FieldErrors,
    Kind,
    as_fields,
    parse_and_check,
)

__all__ = [
    "METRICS",
    "METRICS_BY_FORM",
    "Advice",
    "Allowance",
    "Budget",
    "Change",
    "FieldErrors",
    "Gate",
    "Held",
    "Kind",
    "Limit",
    "Measured",
    "Pace",
    "Purchase",
    "Reason",
    "Recommendation",
    "Shares",
    "Spent",
    "Stand",
    "Standing",
    "allowance",
    "as_fields",
    "budget_of",
    "first_budget",
    "give_back",
    "history",
    "measured",
    "open_again",
    "pace",
    "parse_and_check",
    "recommend",
    "save_budget",
    "save_shares",
    "save_stand",
    "seed",
    "seeded",
    "shares_of",
    "spent",
    "stand_of",
    "with_shares",
    "wording",
]
