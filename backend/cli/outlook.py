"""What `status` says about stopping: do models still change, what would more labels buy, is random better."""

from __future__ import annotations

from typing import Any


def lines(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """Give (name, what to say) of what is known of it so far."""
    found = []
    if entry["forecast"]:
        found.append(("forecast", _forecast(entry["forecast"])))
    if entry["agreement"]:
        found.append(("agreement", _agreement(entry["agreement"])))
    contests = entry["against_random"]
    worse = [contest for contest in contests if contest["worse"]]
    found += [("strategy", f"[red]{contest['says']}[/red]") for contest in worse]
    if contests and not worse:
        found.append(("strategy", "; ".join(contest["says"] for contest in contests)))
    return found


def _forecast(figures: dict[str, Any]) -> str:
    each = zip(figures["more_labels"], figures["value"], figures["low"], figures["high"], strict=True)
    told = ", ".join(
        f"{value:.0%} ({low:.0%} to {high:.0%}) with {more} more" for more, value, low, high in each
    )
    return f"accuracy {told} labels ({figures['level']:.0%} intervals)"


def _agreement(figures: dict[str, Any]) -> str:
    kappas = ", ".join(f"{kappa:.3f}" for kappa in figures["kappas"])
    before, now = figures["labels"]
    told = (
        f"each model with that of a tenth fewer labels: \u03ba {kappas}; from {before:,} to {now:,} labels "
        f"macro-F1 changed by at most {figures['f1_change_at_most']:.1%}"
    )
    return f"{told}; models have stopped changing, more labels change little" if figures["agree"] else told
