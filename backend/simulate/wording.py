"""The outcome in words and numbers as people read them: in the terminal and on the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from backend.simulate.outcome import Curves, Interval, Outcome, Saved

NOT_REACHED = "not reached"
HEAD = (
    "strategy",
    "accuracy",
    "against random",
    "macro-F1",
    "labels for random's accuracy",
    "saved",
    "for its macro-F1",
    "a round",
)
SHORT_HEAD = ("strategy", "accuracy", "macro-F1", "labels", "saved", "a round")
"""`labels`: needed for random order's accuracy."""


def headline(outcome: Outcome) -> str:
    """Say in a sentence what the best strategy saves; names stand in backticks."""
    base, best = outcome.random, outcome.best
    budget = int(base.labels[-1])
    goal = percent(base.accuracy[:, -1].mean())
    if best is None:
        return f"Random order reaches {goal} accuracy with {budget:,} labels."
    found = outcome.saved[best.name]
    if found.share is None:
        reached = percent(best.accuracy[:, -1].mean())
        return (
            f"No strategy reaches random order's {goal} within {budget:,} labels; `{best.name}` comes "
            f"closest with {reached}."
        )
    said = f"`{best.name}` needs {compared(found.share)} labels than random order for the same accuracy"
    if (between := range_of(found)) is None:
        return f"{said} (one seed: no interval)."
    unclear = found.low is None or found.low <= 0
    doubt = ", which may be chance" if unclear and found.share > 0 else ""
    return f"{said}{doubt} (90 % interval {between})."


def footing(outcome: Outcome, examples: int, classes: int, measured: int) -> str:
    """Say what the headline stands on."""
    base, best = outcome.random, outcome.best
    seeds, budget = len(outcome.seeds), int(base.labels[-1])
    job = (
        f"{seeds} replay{'s' * (seeds != 1)} of {budget:,} labels, from a pool of {examples:,} examples of "
        f"{classes} classes; {measured:,} others measure."
    )
    if best is None:
        return job
    found = outcome.saved[best.name]
    others = len(outcome.curves) - 1
    chosen = f"The best of {others} strategies that were compared. " if others > 1 else ""
    got = "" if found.needed is None else f"{found.needed:,.0f} labels instead of {found.of_random:,.0f}. "
    return f"{got}{chosen}{job}"


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Give a line per strategy under `HEAD`; what follows a line break is the interval."""
    return [_row(outcome, each) for each in outcome.curves]


def short_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Give a line per strategy under `SHORT_HEAD`, for eighty columns."""
    found: list[tuple[str, ...]] = []
    for row in rows(outcome):
        name, accuracy, _, macro, needed, saved, _, seconds = row
        share, _, between = saved.partition("\n")
        found.append((name, accuracy, macro, needed, f"{share} ({between})" if between else share, seconds))
    return found


def plain(outcome: Outcome) -> list[dict[str, Any]]:
    """Give plain JSON: a strategy's final values, labels saved, and its mean curves."""
    return [
        {
            "strategy": each.name,
            "labels": each.labels.tolist(),
            "accuracy": each.accuracy.mean(axis=0).round(6).tolist(),
            "macro_f1": each.macro_f1.mean(axis=0).round(6).tolist(),
            "accuracy_against_random": asdict(outcome.lead(each)),
            "saved": asdict(outcome.saved[each.name]),
            "saved_macro_f1": asdict(outcome.saved_f1[each.name]),
            "seconds_per_round": round(each.seconds_per_round, 4),
        }
        for each in outcome.curves
    ]


def percent(share: float, digits: int = 1) -> str:
    """Write a share as people read it."""
    return f"{100 * share:.{digits}f} %"


def compared(share: float) -> str:
    """Say how many labels fewer, or more."""
    return f"{percent(abs(share), 0)} {'fewer' if share >= 0 else 'more'}"


def range_of(found: Saved) -> str | None:
    """Say where the share saved lies; None where a single seed leaves that open."""
    if found.high is None and found.low is None:
        return f"{NOT_REACHED} in {percent(found.never, 0)} of the draws" if found.never > 0 else None
    if found.low is None:
        return f"from {NOT_REACHED} to {compared(found.high or 0)}"
    assert found.high is not None
    if found.low > 0:
        return f"{100 * found.low:.0f} to {percent(found.high, 0)}"
    return f"{compared(found.low)} to {compared(found.high)}"


def _row(outcome: Outcome, each: Curves) -> tuple[str, ...]:
    found, f1 = outcome.saved[each.name], outcome.saved_f1[each.name]
    base = each is outcome.random
    lead = "" if base else _points(outcome.lead(each))
    needed = NOT_REACHED if found.needed is None else f"{found.needed:,.0f}"
    return (
        each.name,
        percent(each.accuracy[:, -1].mean()),
        lead,
        percent(each.macro_f1[:, -1].mean()),
        needed,
        "" if base else _saving(found),
        "" if base else _saving(f1),
        f"{each.seconds_per_round:.2f} s",
    )


def _saving(found: Saved) -> str:
    share = "" if found.share is None else percent(found.share, 0).replace("-", "\N{MINUS SIGN}")
    between = range_of(found)
    return "\n".join(part for part in (share or NOT_REACHED, between) if part)


def _points(lead: Interval) -> str:
    said = f"{100 * lead.mean:+.1f}"
    if lead.low is not None and lead.high is not None:
        said += f"\n{100 * lead.low:+.1f} to {100 * lead.high:+.1f}"
    return said.replace("-", "\N{MINUS SIGN}")
