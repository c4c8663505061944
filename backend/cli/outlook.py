"""What `status` says about stopping: do models still change, what would more labels buy, is random better,
what was saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.cli.output import Said, red

METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "entity_f1": "entity F1",
    "spearman": "Spearman",
}


def metric(figures: Mapping[str, Any] | None) -> str:
    """Name the metric of some figures; rounds from before metrics had names measured accuracy."""
    name = str((figures or {}).get("metric", "accuracy"))
    return METRICS.get(name, name)


def shown(figures: Mapping[str, Any], value: float, digits: int = 0) -> str:
    """Write a value of the figures' metric: a share in percent, a correlation as it is."""
    return f"{value:.2f}" if figures.get("metric") == "spearman" else f"{value:.{digits}%}"


def lines(entry: dict[str, Any]) -> list[tuple[str, Said]]:
    """Give (name, what to say) of what is known of it so far."""
    found: list[tuple[str, Said]] = []
    if entry["forecast"]:
        found.append(("forecast", _forecast(entry["forecast"])))
    if entry["agreement"]:
        found.append(("agreement", _agreement(entry["agreement"])))
    contests = entry["against_random"]
    worse = [contest for contest in contests if contest["worse"]]
    found += [("strategy", red(contest["says"])) for contest in worse]
    if contests and not worse:
        found.append(("strategy", "; ".join(contest["says"] for contest in contests)))
    if entry["savings"]:
        found.append(("saved", _savings(entry["savings"])))
    return found


def _forecast(figures: dict[str, Any]) -> str:
    each = zip(figures["more_labels"], figures["value"], figures["low"], figures["high"], strict=True)
    told = ", ".join(
        f"{shown(figures, value)} ({shown(figures, low)} to {shown(figures, high)}) with {more} more"
        for more, value, low, high in each
    )
    return f"{metric(figures)} {told} labels ({figures['level']:.0%} intervals)"


def _savings(figures: dict[str, Any]) -> str:
    same, needed = figures["random_at_same"], figures["random_labels_needed"]
    told = (
        f"with the same {figures['labelled']:,} labels random order would be right in {same['value']:.0%} "
        f"({same['low']:.0%} to {same['high']:.0%}) of the random tasks; this is in {figures['today']:.0%}"
    )
    if needed is None:
        return f"{told}; how many labels that saves is not known yet"
    return (
        f"{told}; to be as good it would need {needed['value']:,} "
        f"({needed['low']:,} to {needed['high']:,}, 90 % intervals)"
    )


def _agreement(figures: dict[str, Any]) -> str:
    kappas = ", ".join(f"{kappa:.3f}" for kappa in figures["kappas"])
    before, now = figures["labels"]
    told = f"each model with that of a tenth fewer labels: \u03ba {kappas}"
    if figures["f1_change_at_most"] is not None:  # of numbers nothing bounds it
        changed = f"macro-F1 changed by at most {figures['f1_change_at_most']:.1%}"
        told += f"; from {before:,} to {now:,} labels {changed}"
    return f"{told}; models have stopped changing, more labels change little" if figures["agree"] else told
