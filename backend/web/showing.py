"""What the pages make of the facts: cards, tables, and advice, in the reader's language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.budget.wording import money as in_money
from backend.store.access import Token
from backend.web.facts import Facts
from backend.web.languages import DASH, Speech

STEPS_ROUNDS = 30
MOST_CLASSES = 30
"""Classes above which a confusion matrix cannot be read: the commonest confusions are listed instead."""


def cards(speech: Speech, summary: Facts, quality: Facts, budget: Facts) -> list[dict[str, str]]:
    """Give the figures that are shown large: what each is, its value, and a note."""
    accuracy, spent, left = quality["accuracy"], budget["spent"], budget["left"]
    fields = budget["fields"]
    found = [
        {
            "what": speech("card.accuracy"),
            "value": speech.share(accuracy["value"]) if accuracy else DASH,
            "note": interval(speech, accuracy) if accuracy else speech("accuracy.unknown"),
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


def interval(speech: Speech, figures: Mapping[str, Any]) -> str:
    """Say an accuracy's interval, and what it was measured on."""
    low, high = speech.share(figures["low"]), speech.share(figures["high"])
    return speech("accuracy.interval", low=low, high=high, count=int(figures["n"]))


def _savings_card(speech: Speech, quality: Facts) -> dict[str, str]:
    savings = quality["quality"].get("savings") or {}
    card = {"what": speech("card.savings"), "value": DASH, "note": speech("savings.unknown")}
    saved = savings.get("labels", savings.get("value")) if isinstance(savings, Mapping) else None
    if isinstance(saved, int | float):
        card["value"] = speech("savings.labels", count=round(saved))
        low, high = savings.get("low"), savings.get("high")
        known = isinstance(low, int | float) and isinstance(high, int | float)
        card["note"] = speech("savings.interval", low=round(low or 0), high=round(high or 0)) if known else ""
    return card


# --- when to stop -----------------------------------------------------------------------------------


def advice(speech: Speech, summary: Facts, curve: Facts, quality: Facts, budget: Facts) -> Facts:
    """Say whether to go on labelling, and why."""
    reasons = list(_reasons(speech, curve, quality, budget))
    worse = [each for each in quality["against_random"] if each.get("worse")]
    if summary["closed"] or summary["queue_closed"]:
        return {"tone": "stop", "title": speech("advice.closed"), "reasons": reasons}
    if summary["paused"]:
        return {"tone": "look", "title": speech("advice.paused"), "reasons": reasons}
    if worse:
        return {"tone": "look", "title": speech("advice.worse"), "reasons": reasons}
    target, agreement = budget["target"], quality["agreement"]
    if target and target["reached"]:
        return {"tone": "stop", "title": speech("advice.reached"), "reasons": reasons}
    gain = _gain(curve)
    settled = bool(agreement and agreement.get("agree"))
    if settled and gain is not None and 100 * gain < float(budget["fields"]["least_gain"] or 0):
        return {"tone": "stop", "title": speech("advice.stop"), "reasons": reasons}
    if quality["accuracy"] is None:
        return {
            "tone": "",
            "title": speech("advice.early"),
            "reasons": reasons or [speech("advice.early_why")],
        }
    return {"tone": "", "title": speech("advice.go_on"), "reasons": reasons}


def _reasons(speech: Speech, curve: Facts, quality: Facts, budget: Facts) -> Iterable[str]:
    target = budget["target"]
    if target:
        wanted = speech.share(target["value"])
        found = target["measured"]
        if found is None:
            yield speech("reason.target_unknown", target=wanted)
        else:
            key = "reason.target_reached" if target["reached"] else "reason.target_open"
            low, high = speech.share(found["low"]), speech.share(found["high"])
            yield speech(key, target=wanted, low=low, high=high)
    rows = forecast_rows(curve, budget)
    if rows:
        row = rows[min(1, len(rows) - 1)]
        yield speech(
            "reason.forecast",
            count=row["more"],
            low=speech.share(row["low"]),
            high=speech.share(row["high"]),
            cost=_cost(speech, row, budget),
        )
    agreement = quality["agreement"]
    if agreement:
        kappa = speech.number(agreement["kappas"][-1], 3)
        yield speech("reason.settled" if agreement["agree"] else "reason.moving", kappa=kappa)
    yield from (_limit(speech, limit, budget) for limit in budget["limits"])
    for contest in quality["against_random"]:
        key = "reason.worse" if contest.get("worse") else "reason.random"
        chosen, other = speech.share(contest["chosen"]), speech.share(contest["random"])
        which = speech(f"which.{contest['which']}")
        yield speech(key, which=which, count=contest["labels"], chosen=chosen, random=other)


def _limit(speech: Speech, limit: Mapping[str, Any], budget: Facts) -> str:
    kind, count, left, fields = limit["kind"], limit["labels"], budget["left"], budget["fields"]
    amounts = {
        "labels": lambda: speech.number(left.get("labels", 0)),
        "hours": lambda: speech.hours(left.get("hours", 0)),
        "money": lambda: in_money(left.get("money", 0), fields["currency"]),
    }
    if kind in amounts:
        return speech(
            f"limit.{kind}" if count else f"limit.no_{kind}", amount=amounts[kind](), count=count or 0
        )
    return speech(f"limit.{kind}")


def _cost(speech: Speech, row: Facts, budget: Facts) -> str:
    if row["money"] is not None:
        return f"{speech.hours(row['hours'])}, {in_money(row['money'], budget['fields']['currency'])}"
    return speech.hours(row["hours"]) if row["hours"] is not None else speech("cost.unknown")


def _gain(curve: Facts) -> float | None:
    """What 100 more labels are foretold to bring."""
    ahead, points = curve["forecast"], curve["points"]
    if not ahead or not points:
        return None
    return float(ahead["value"][0] - points[-1]["value"]) * 100 / float(ahead["more_labels"][0])


def forecast_rows(curve: Facts, budget: Facts) -> list[Facts]:
    """List what more labels would buy: accuracy, hours, money."""
    ahead, seconds, fields = curve["forecast"], budget["seconds_per_label"], budget["fields"]
    if not ahead:
        return []
    rows = []
    for more, value, low, high in zip(
        ahead["more_labels"], ahead["value"], ahead["low"], ahead["high"], strict=True
    ):
        hours = None if seconds is None else more * seconds / 3600
        per_hour, per_label = float(fields["per_hour"] or 0), float(fields["per_label"] or 0)
        priced = hours is not None and bool(per_hour or per_label)
        money = per_hour * (hours or 0) + per_label * more if priced else None
        rows.append({"more": more, "value": value, "low": low, "high": high, "hours": hours, "money": money})
    return rows


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


def map_table(drawn: Facts) -> Facts | None:
    """Sum the map up for those who do not see it; None while there is no map."""
    points = drawn["points"]
    if not points:
        return None
    counts: dict[str | None, int] = defaultdict(int)
    unsure: dict[str | None, list[float]] = defaultdict(list)
    for name, value in zip(points["label"], points["uncertainty"], strict=True):
        counts[name] += 1
        if value is not None:
            unsure[name].append(value)
    rows = [
        {
            "label": name,
            "count": count,
            "uncertainty": sum(unsure[name]) / len(unsure[name]) if unsure[name] else None,
        }
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    kept = {name: drawn[name] for name in ("labelled", "made_at", "round")}
    return {**kept, "count": len(points["x"]), "table": rows}


def times(token: Token) -> dict[str, str | None]:
    """Write a token's times as the pages take them."""
    return {name: _iso(getattr(token, name)) for name in ("made_at", "used_at", "revoked_at")}


def annotator_quality(speech: Speech, found: Mapping[str, Any] | None) -> str:
    """Say how good an annotator's answers are, with its interval where there is one."""
    if not found or not isinstance(found.get("value"), int | float):
        return ""
    if isinstance(found.get("low"), int | float) and isinstance(found.get("high"), int | float):
        return f"{speech.share(found['value'], 0)} ({speech.range(found['low'], found['high'])})"
    return speech.share(found["value"], 0)


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
