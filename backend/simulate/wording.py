"""The outcome in words and numbers as people read them: in the terminal and on the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from backend.simulate.measures import Measure
from backend.simulate.outcome import Curves, Interval, Outcome, Saved

NOT_REACHED = "not reached"


def head(outcome: Outcome) -> tuple[str, ...]:
    """Name the columns of `rows`."""
    first, second = outcome.measures.first.title, outcome.measures.second.title
    return (
        "strategy",
        first,
        "against random",
        second,
        f"labels for random's {first}",
        "saved",
        f"for its {second}",
        *(f"{cost.title} saved" for cost in outcome.measures.costs),
        "a round",
    )


def short_head(outcome: Outcome) -> tuple[str, ...]:
    """Name the columns of `short_rows`; `labels`: needed for random order's first measure."""
    measures = outcome.measures
    costs = [f"{cost.title} saved" for cost in measures.costs]
    return ("strategy", measures.first.title, measures.second.title, "labels", "saved", *costs, "a round")


def headline(outcome: Outcome) -> str:
    """Say in a sentence what the best strategy saves; names stand in backticks."""
    base, best = outcome.random, outcome.best
    budget = int(base.labels[-1])
    measure = outcome.measures.first
    goal = measure.shown(base.first[:, -1].mean())
    if best is None:
        return f"Random order reaches {goal} {measure.title} with {budget:,} labels."
    found = outcome.saved[best.name]
    if found.share is None:
        reached = measure.shown(best.first[:, -1].mean())
        return (
            f"No strategy reaches random order's {goal} within {budget:,} labels; `{best.name}` comes "
            f"closest with {reached}."
        )
    said = (
        f"`{best.name}` needs {compared(found.share)} labels than random order for the same {measure.title}"
    )
    if (between := range_of(found)) is None:
        return f"{said} (one seed: no interval)."
    unclear = found.low is None or found.low <= 0
    doubt = ", which may be chance" if unclear and found.share > 0 else ""
    return f"{said}{doubt} (90 % interval {between})."


def footing(outcome: Outcome, examples: int, classes: int, measured: int) -> str:
    """Say what the headline stands on."""
    base, best = outcome.random, outcome.best
    seeds, budget = len(outcome.seeds), int(base.labels[-1])
    of_classes = f" of {classes} classes" if classes else ""
    job = (
        f"{seeds} replay{'s' * (seeds != 1)} of {budget:,} labels, from a pool of {examples:,} "
        f"{outcome.measures.unit}{of_classes}; {measured:,} others measure."
    )
    if best is None:
        return job
    found = outcome.saved[best.name]
    others = len(outcome.curves) - 1
    chosen = f"The best of {others} strategies that were compared. " if others > 1 else ""
    got = "" if found.needed is None else f"{found.needed:,.0f} labels instead of {found.of_random:,.0f}. "
    return f"{got}{chosen}{job}"


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Give a line per strategy under `head`; what follows a line break is the interval."""
    return [_row(outcome, each) for each in outcome.curves]


def short_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Give a line per strategy under `short_head`, for eighty columns."""
    found: list[tuple[str, ...]] = []
    for row in rows(outcome):
        name, first, _, second, needed, saved, _, *costs, seconds = row
        found.append((name, first, second, needed, *map(_on_a_line, [saved, *costs]), seconds))
    return found


def plain(outcome: Outcome) -> list[dict[str, Any]]:
    """Give plain JSON: a strategy's final values, labels saved, and its mean curves."""
    first, second = outcome.measures.first.key, outcome.measures.second.key
    return [
        {
            "strategy": each.name,
            "labels": each.labels.tolist(),
            **{key: values.mean(axis=0).round(1).tolist() for key, values in each.costs.items()},
            first: each.first.mean(axis=0).round(6).tolist(),
            second: each.second.mean(axis=0).round(6).tolist(),
            f"{first}_against_random": asdict(outcome.lead(each)),
            "saved": asdict(outcome.saved[each.name]),
            f"saved_{second}": asdict(outcome.saved_second[each.name]),
            **{f"saved_{key}": asdict(outcome.saved_cost(key)[each.name]) for key in each.costs},
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
    measures = outcome.measures
    found, second = outcome.saved[each.name], outcome.saved_second[each.name]
    base = each is outcome.random
    lead = "" if base else _lead(outcome.lead(each), measures.first)
    costs = ["" if base else _saving(outcome.saved_cost(cost.key)[each.name]) for cost in measures.costs]
    needed = NOT_REACHED if found.needed is None else f"{found.needed:,.0f}"
    return (
        each.name,
        measures.first.shown(each.first[:, -1].mean()),
        lead,
        measures.second.shown(each.second[:, -1].mean()),
        needed,
        "" if base else _saving(found),
        "" if base else _saving(second),
        *costs,
        f"{each.seconds_per_round:.2f} s",
    )


def _on_a_line(saving: str) -> str:
    share, _, between = saving.partition("\n")
    return f"{share} ({between})" if between else share


def _saving(found: Saved) -> str:
    share = "" if found.share is None else percent(found.share, 0).replace("-", "\N{MINUS SIGN}")
    between = range_of(found)
    return "\n".join(part for part in (share or NOT_REACHED, between) if part)


def _lead(lead: Interval, measure: Measure) -> str:
    said = measure.difference(lead.mean)
    if lead.low is not None and lead.high is not None:
        said += f"\n{measure.difference(lead.low)} to {measure.difference(lead.high)}"
    return said
