"""What the pages make of the facts: cards and tables, in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from backend.budget.wording import CORRELATIONS
from backend.budget.wording import money as in_money
from backend.store.access import Token
from backend.web.facts import Facts, in_iso
from backend.web.languages import DASH, Speech

STEPS_ROUNDS = 30
_COUNTED = {
    re.compile(r"(\d+) new annotations?"): "round_for.annotations",
    re.compile(r"the front is getting low: (\d+) left"): "round_for.low",
}


def cards(
    speech: Speech, summary: Facts, quality: Facts, budget: Facts, unknown: str
) -> list[dict[str, str]]:
    """Give the figures that are shown large: what each is, its value, and a note.

    unknown: names the words that say why quality is not known
    """
    accuracy, spent, left = quality["accuracy"], budget["spent"], budget["left"]
    fields = budget["fields"]
    found = [
        {
            "what": metric(speech, accuracy),
            "value": score(speech, accuracy) if accuracy else DASH,
            "note": interval(speech, accuracy) if accuracy else speech(unknown),
        },
        {
            "what": speech("card.labelled"),
            "value": speech.number(summary["labelled"]),
            "note": speech("card.labelled_note", tasks=summary["tasks"], annotations=summary["annotations"]),
        },
        {
            "what": speech("card.queue"),
            "value": speech.number(summary["front_left"]),
            "note": speech("card.queue_note", size=summary["front"]),
        },
    ]
    cost = (
        in_money(spent["money"], fields["currency"])
        if spent["money"] is not None
        else speech.hours(spent["hours"])
    )
    note = speech("card.no_budget")
    if "money" in left:
        note = speech("card.left", amount=in_money(left["money"], fields["currency"]))
    elif "hours" in left:
        note = speech("card.left", amount=speech.hours(left["hours"]))
    elif "labels" in left:
        note = speech("card.left_labels", count=int(left["labels"]))
    found.append({"what": speech("card.spent"), "value": cost, "note": note})
    found.append(_savings_card(speech, quality))
    return found


def metric(speech: Speech, figures: Mapping[str, Any] | None) -> str:
    """Name what was measured."""
    return speech.of("metric", (figures or {}).get("metric", "accuracy"))


def heading(speech: Speech, name: str) -> str:
    """Name a metric at the head of a column."""
    said = speech.of("metric", name)
    return said[:1].upper() + said[1:]


def score(speech: Speech, figures: Mapping[str, Any], name: str = "value") -> str:
    """Write a measured value: shares as per cent, correlations as they are."""
    return amount(speech, figures.get("metric", "accuracy"), figures[name])


def amount(speech: Speech, name: str, value: float) -> str:
    """Write a value of the metric `name`: shares as per cent, correlations as they are."""
    return speech.number(value, 2) if name in CORRELATIONS else speech.share(value)


def span(speech: Speech, name: str, low: float, high: float) -> str:
    """Write an interval of the metric `name`."""
    return f"{amount(speech, name, low)} {DASH} {amount(speech, name, high)}"


def tile(speech: Speech, figures: Mapping[str, Any] | None, unknown: str) -> dict[str, str]:
    """Give the headline for the list of projects: its value, and what it is."""
    if not figures:
        return {"value": DASH, "note": speech(unknown)}
    low, high = score(speech, figures, "low"), score(speech, figures, "high")
    note = speech("projects.accuracy", metric=metric(speech, figures), low=low, high=high)
    return {"value": score(speech, figures), "note": note}


def curve(speech: Speech, found: Facts, *, target: float | None) -> Facts:
    """Give the learning curve for its plot: of what metric, whether that is a correlation, and the target."""
    name = found["points"][-1].get("metric", "accuracy") if found["points"] else "accuracy"
    said = speech.of("metric", name)
    return {**found, "target": target, "metric": said, "correlation": name in CORRELATIONS}


def curve_table(speech: Speech, points: Sequence[Facts]) -> list[dict[str, Any]]:
    """List the measurements of the curve in words."""
    return [
        {
            "labelled": each["labelled"],
            "value": score(speech, each),
            "interval": span(speech, each.get("metric", "accuracy"), each["low"], each["high"]),
            "n": each["n"],
        }
        for each in points
    ]


def interval(speech: Speech, figures: Mapping[str, Any]) -> str:
    """Say a score's interval, and what it was measured on."""
    low, high = score(speech, figures, "low"), score(speech, figures, "high")
    return speech("accuracy.interval", low=low, high=high, count=int(figures["n"]))


def _savings_card(speech: Speech, quality: Facts) -> dict[str, str]:
    savings = quality["savings"] or {}
    card = {"what": speech("card.savings"), "value": DASH, "note": speech("savings.unknown")}
    if savings.get("labels") is not None:
        card["value"] = speech("savings.labels", count=savings["labels"])
        card["note"] = speech(
            "savings.interval", low=bound(speech, savings, "low"), high=bound(speech, savings, "high")
        )
    elif savings:
        card["note"] = savings_says(speech, savings)
    return card


def savings_says(speech: Speech, savings: Mapping[str, Any]) -> str:
    """Say what random order would have reached with as many labels."""
    same = savings["random_at_same"]
    within = speech.range(same["low"], same["high"])
    value, today = speech.share(same["value"], 0), speech.share(savings["today"], 0)
    return speech("savings.same", value=value, range=within, today=today)


def bound(speech: Speech, figures: Mapping[str, Any], name: str) -> str:
    """Write an end of an interval; one that nobody can tell has no end."""
    return "∞" if figures.get(name) is None else speech.number(figures[name])


# --- tables -----------------------------------------------------------------------------------------


def balance(classes: Mapping[str, int]) -> list[Facts]:
    """List the labels by how often they were given, the commonest first, as shares of the commonest."""
    most = max(classes.values(), default=0) or 1
    ordered = sorted(classes.items(), key=lambda item: -item[1])
    return [{"label": name, "count": count, "share": count / most} for name, count in ordered]


def steps(speech: Speech, rounds: Sequence[Facts]) -> Facts:
    """Collect how long each step of the last rounds took, for a stacked plot, the oldest round first."""
    timed = [each for each in rounds if each["steps"]][:STEPS_ROUNDS][::-1]
    names = list(dict.fromkeys(step["step"] for each in timed for step in each["steps"]))
    by_step: dict[str, list[float]] = {name: [] for name in names}
    for each in timed:
        took = {step["step"]: float(step["seconds"]) for step in each["steps"]}
        for name in names:
            by_step[name].append(took.get(name, 0.0))
    return {
        "rounds": [str(each["number"]) for each in timed],
        "steps": [{"name": speech.of("step", name), "seconds": by_step[name]} for name in names],
    }


def lines(speech: Speech, rounds: Sequence[Facts]) -> list[Facts]:
    """Give rounds with why they began in the reader's language, where that is one of our own reasons."""
    return [{**each, "why": _why(speech, str(each["why"]))} for each in rounds]


def _why(speech: Speech, why: str) -> str:
    for pattern, key in _COUNTED.items():
        found = pattern.fullmatch(why)
        if found is not None:
            return speech(key, count=int(found[1]))
    key = f"round_for.{why.replace(' ', '_')}"
    return speech(key) if speech.knows(key) else why


def change(speech: Speech, each: Mapping[str, Any]) -> Facts:
    """Give a change with what was and is in the reader's language, where it is one of our own names."""
    said: dict[str, str | None] = {}
    for name in ("old", "new"):
        value = each[name]
        if value is not None and each["what"] == "standing.standing":
            said[name] = speech.of("standing", value)
        elif value is not None and each["what"] == "budget.target_metric":
            said[name] = speech.of("metric", value)
    return {**each, **said}


def times(token: Token) -> dict[str, str | None]:
    """Write a token's times as the pages take them."""
    return {name: in_iso(getattr(token, name)) for name in ("made_at", "used_at", "revoked_at")}


def annotator_quality(speech: Speech, found: Mapping[str, Any] | None) -> str:
    """Say how good an annotator's answers are, with its interval where there is one."""
    if not found or not isinstance(found.get("value"), int | float):
        return ""
    if isinstance(found.get("low"), int | float) and isinstance(found.get("high"), int | float):
        return f"{speech.share(found['value'], 0)} ({speech.range(found['low'], found['high'])})"
    return speech.share(found["value"], 0)
