"""Whether to go on labelling, and why, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backend.budget import Allowance
from backend.budget.advice import Advice, Reason, Recommendation, least_gain, recommend
from backend.budget.purchases import Purchase, told
from backend.budget.terms import METRICS_BY_FORM, own_name
from backend.budget.wording import CORRELATIONS
from backend.budget.wording import money as in_money
from backend.store import Store
from backend.web.facts import Facts
from backend.web.languages import Speech
from backend.web.showing import amount, heading, span

_TITLES = ("no tasks", "all labelled")
"""Reasons that are the advice."""

_TONES = {Advice.GO_ON: "", Advice.STOP_SOON: "look", Advice.STOP: "stop"}


def advice_facts(store: Store, project_id: int, allowed: Allowance, *, now: datetime) -> Facts:
    """Give the recommendation as plain JSON."""
    found = recommend(store, project_id, now=now, allowed=allowed)
    return {
        "advice": found.advice.value,
        "reasons": [{"code": reason.code, "says": reason.says} for reason in found.reasons],
        "purchases": [_purchase(each) for each in found.purchases],
        "gain": found.gain,
        "metric": found.metric,
    }


def advising(
    speech: Speech, store: Store, project_id: int, allowed: Allowance, quality: Facts, *, now: datetime
) -> Facts:
    """Say what to do, why, and what more labels would buy."""
    found = recommend(store, project_id, now=now, allowed=allowed)
    values = _values(speech, found, allowed, quality)
    reasons = [_reason(speech, each, values, closed=allowed.closed) for each in found.reasons]
    worse = any(each.get("worse") for each in quality["against_random"])
    key = "closed" if allowed.closed else "worse" if worse else found.advice.value
    key = next((each.code for each in found.reasons if each.code in _TITLES), key).replace(" ", "_")
    return {
        "tone": "look" if worse and not allowed.closed else _TONES[found.advice],
        "title": speech(f"advice.{key}"),
        "reasons": reasons + contests(speech, quality["against_random"]),
        "purchases": [
            {**_purchase(each), "range": span(speech, found.metric, each.low, each.high)}
            for each in found.purchases
        ],
        "metric": heading(speech, found.metric),
        "currency": allowed.budget.value.currency,
    }


def contests(speech: Speech, found: list[Mapping[str, Any]]) -> list[str]:
    """Say how the strategy's labels did against random ones."""
    return [
        speech(
            "reason.worse" if each.get("worse") else "reason.random",
            which=speech.of("which", each["which"]),
            count=each["labels"],
            chosen=speech.share(each["chosen"]),
            random=speech.share(each["random"]),
        )
        for each in found
    ]


def _reason(speech: Speech, reason: Reason, values: Mapping[str, Any], *, closed: bool) -> str:
    name = reason.code.replace(" ", "_")
    key = f"limit.no_{name}" if closed and name in ("labels", "hours", "money") else f"limit.{name}"
    if not closed:
        key = f"reason.{name}"
    if not speech.knows(key):
        return reason.says
    try:
        return speech(key, **values, **({} if reason.count is None else {"count": reason.count}))
    except KeyError:  # a reason that needs a figure which nobody has given
        return reason.says


def _values(speech: Speech, found: Recommendation, allowed: Allowance, quality: Facts) -> dict[str, Any]:
    budget, measured, agreement = allowed.budget.value, allowed.measured, quality["agreement"]
    values: dict[str, Any] = {"least": least_gain(budget, found.metric)}
    if found.gain is not None:
        values["gain"] = _points(speech, found.metric, found.gain)
    if agreement:
        values["kappa"] = ", ".join(speech.number(kappa, 3) for kappa in agreement["kappas"])
    if budget.target_value is not None:
        name = _target_metric(allowed, quality)
        values["target"] = amount(speech, name, float(budget.target_value))
        values["metric"] = speech.of("metric", name)
        for each in found.purchases:
            if each.value >= float(budget.target_value):
                values["more"] = each.labels
                break
    if measured is not None:
        values |= {name: amount(speech, measured.metric, getattr(measured, name)) for name in ("low", "high")}
    if found.purchases:
        last = found.purchases[-1]
        values |= {"most": amount(speech, found.metric, last.high), "last": last.labels}
    shown = told(found.purchases)
    if shown is not None:
        values["range"] = span(speech, found.metric, shown.low, shown.high)
        values["cost"] = _cost(speech, shown, allowed)
    return values


def _points(speech: Speech, metric: str, gain: float) -> str:
    if metric in CORRELATIONS:
        return speech.number(gain / 100, 3)
    return speech("unit.points", value=speech.number(gain, 1))


def _target_metric(allowed: Allowance, quality: Facts) -> str:
    """Name what the target is of: a target of "accuracy" is one of the headline, whatever that is."""
    if allowed.measured is not None:
        return allowed.measured.metric
    return own_name(allowed.budget.value.target_metric, METRICS_BY_FORM.get(quality["form"] or "", ()))


def _cost(speech: Speech, shown: Purchase, allowed: Allowance) -> str:
    parts = [speech.hours(shown.hours)] if allowed.pace.known else []
    if shown.money is not None and (allowed.pace.known or allowed.budget.value.per_hour is None):
        parts.append(in_money(shown.money, allowed.budget.value.currency))
    return ", ".join(parts) or speech("cost.unknown")


def _purchase(each: Purchase) -> Facts:
    return {**vars(each), "money": None if each.money is None else float(each.money)}
