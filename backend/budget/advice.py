"""Go on, stop soon, or stop: one recommendation from κ, forecast, target and budget, with its reasons."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from backend.budget import wording
from backend.budget.allowance import Allowance, allowance
from backend.budget.purchases import SHOWN, Purchase, gain_of, purchases_of, told
from backend.budget.terms import HEADLINE, METRICS_BY_FORM, Budget, own_name
from backend.domain import RoundState
from backend.store import Store

FEW_LEFT = 100
"""With fewer tasks left nobody asks what a hundred labels bring."""

MEASURES = 10
"""So many labelled random tasks a measurement takes."""

NEARLY = Decimal("0.1")
NEARLY_LABELS = 50
"""A budget is nearly spent when a tenth of it is left, or labels for half a front."""


class Advice(enum.StrEnum):
    """What to do."""

    GO_ON = "go on"
    STOP_SOON = "stop soon"
    STOP = "stop"


@dataclass(frozen=True)
class Reason:
    """Why, in plain words; `code` names it for translations, and `count` is the number that they tell."""

    code: str
    says: str
    count: int | None = None


@dataclass(frozen=True)
class Recommendation:
    """The advice, why, and what more labels would buy.

    gain:   points of the metric (in %) that the hundred labels after the next are expected to bring
    metric: what is foretold
    """

    advice: Advice
    reasons: tuple[Reason, ...]
    purchases: tuple[Purchase, ...] = ()
    gain: float | None = None
    metric: str = "accuracy"


def recommend(
    store: Store, project_id: int, *, now: datetime, allowed: Allowance | None = None
) -> Recommendation:
    """Recommend from what the store knows; the one knob is the budget's `least_gain`.

    Stop: when the queue is closed; or when the next labels bring less than the least gain and successive
    models agree. Either of the two alone, a target that is near, or a budget that is nearly spent: stop soon.
    Where nothing is left to label, or there are no tasks at all, that is said instead.
    """
    allowed = allowed or allowance(store, project_id, now=now)
    done = store.rounds.latest(project_id, RoundState.DONE)
    figures: Mapping[str, Any] = done.figures if done else {}
    forecast = figures.get("forecast") or {}
    foreseen = purchases_of(forecast, allowed)
    gain, metric = gain_of(foreseen), _metric(figures)
    tasks, left = _left(store, project_id, figures)
    bought = tuple(one for one in foreseen if left is None or one.labels <= left)
    if allowed.closed:
        reasons = tuple(Reason(limit.kind.value, limit.says) for limit in allowed.reasons)
        return Recommendation(Advice.STOP, reasons, bought, gain, metric)
    unmeasured = None if figures.get("audit_accuracy") else unmeasurable(store, project_id, figures)
    if tasks == 0 and store.projects.get(project_id).polled_at is not None:
        none = Reason("no tasks", "there are no tasks: import some into Label Studio")
        return Recommendation(Advice.GO_ON, (none,))
    if left is not None and _all_asked(figures, tasks):
        full = Reason("all labelled", "everything is labelled: more labels need more tasks")
        why = (full, unmeasured, _target((), allowed, figures.get("form")))
        return Recommendation(Advice.STOP, tuple(filter(None, why)), metric=metric)
    # rounds call the headline of any kind of labels "accuracy", and forecast that
    foretold = bought if allowed.budget.value.target_metric in ("accuracy", metric) else ()
    further = [_told(bought, allowed, metric), _target(foretold, allowed, figures.get("form"))]
    little, agreed = _little(gain, allowed, metric), _agreed(figures.get("agreement"))
    spent = _nearly_spent(allowed)
    advice = Advice.GO_ON
    if little and agreed:
        advice = Advice.STOP
    elif little or agreed or spent or _near(foretold, allowed):
        advice = Advice.STOP_SOON
    if advice is Advice.GO_ON and not unmeasured:
        few = _few_left(left) if gain is not None else None
        further.insert(0, few or _worth_it(gain, allowed, figures, metric))
    reasons = tuple(reason for reason in (little, agreed, spent, unmeasured, *further) if reason)
    return Recommendation(advice, reasons, bought, gain, metric)


def _left(store: Store, project_id: int, figures: Mapping[str, Any]) -> tuple[int, int | None]:
    """Count the tasks, and those without a label; None of these before the first round."""
    tasks = store.tasks.count(project_id)
    return tasks, None if "labelled" not in figures else max(0, tasks - int(figures["labelled"]))


def _all_asked(figures: Mapping[str, Any], tasks: int) -> bool:
    """Whether the last round found nothing to ask any more, and no task came since."""
    asked = figures.get("unanswered") == 0 and not figures.get("front")
    return asked and tasks <= int(figures.get("tasks", 0))


def unmeasurable(store: Store, project_id: int, figures: Mapping[str, Any]) -> Reason | None:
    """Say why no round will ever measure what there is; None where one may."""
    if METRICS_BY_FORM.get(figures.get("form") or "") == ():
        return Reason("not measured", "nothing measures labels of this kind")
    random = int(figures.get("random_tasks", MEASURES))
    if random >= MEASURES or store.tasks.count(project_id) > int(figures.get("tasks", 0)):
        return None
    are = "is" if random == 1 else "are"
    return Reason(
        "few random",
        f"quality cannot be measured: only {random} of the tasks {are} drawn at random, and it takes "
        f"{MEASURES}; import more tasks, or raise queue.audit_share",
        random,
    )


def _few_left(left: int | None) -> Reason | None:
    if left is None or left >= FEW_LEFT:
        return None
    tasks = "1 task is" if left == 1 else f"{left} tasks are"
    return Reason("few left", f"only {tasks} left to label", left)


def _metric(figures: Mapping[str, Any]) -> str:
    """Name what a round foretold, or else its headline; rounds of old measured accuracy."""
    for name in ("forecast", "audit_accuracy"):
        found = (figures.get(name) or {}).get("metric")
        if found is not None:
            return str(found)
    return "accuracy"


def _little(gain: float | None, allowed: Allowance, metric: str) -> Reason | None:
    if gain is None or gain >= float(allowed.budget.value.least_gain):
        return None
    brings, least = wording.points(metric, gain), least_gain(allowed.budget.value, metric)
    return Reason(
        "little gain",
        f"100 more labels are expected to bring {brings}; below {least} is not worth it to you",
    )


def least_gain(budget: Budget, metric: str) -> str:
    """Write the least gain that is worth 100 labels, in points of a share or as a correlation is written."""
    least = budget.least_gain / 100 if metric in wording.CORRELATIONS else budget.least_gain
    return f"{float(least):g}"


def _worth_it(gain: float | None, allowed: Allowance, figures: Mapping[str, Any], metric: str) -> Reason:
    if gain is not None:
        brings, least = wording.points(metric, gain), least_gain(allowed.budget.value, metric)
        return Reason(
            "worth it", f"100 more labels are expected to bring {brings}; {least} are worth it to you"
        )
    if figures.get("audit_accuracy"):
        return Reason("few measurements", "nothing can be foretold yet: it takes three measurements")
    return Reason(
        "no measurement",
        "quality is not known yet: it takes 10 labelled tasks of the audit slice, drawn at random",
    )


def _agreed(agreement: Mapping[str, Any] | None) -> Reason | None:
    if not agreement or not agreement.get("agree"):
        return None
    kappas = ", ".join(f"{kappa:.3f}" for kappa in agreement["kappas"])
    return Reason("models agree", f"successive models have stopped changing (κ {kappas})")


def _nearly_spent(allowed: Allowance) -> Reason | None:
    budget, left = allowed.budget.value, allowed.left
    for name in ("labels", "hours", "money"):
        total = getattr(budget, name)
        if total is not None and name in left and left[name] <= NEARLY * total:
            return Reason("nearly spent", f"the budget is nearly spent: {allowed.says}")
    if allowed.labels is not None and allowed.labels <= NEARLY_LABELS:
        return Reason("nearly spent", f"the budget is nearly spent: {allowed.says}")
    return None


def _told(bought: tuple[Purchase, ...], allowed: Allowance, metric: str) -> Reason | None:
    """Such as: 200 more labels: 91.0 % to 93.0 %, 3.1 hours, 56.00 EUR."""
    one = told(bought)
    if one is None:
        return None
    parts = [f"{wording.score(metric, one.low)} to {wording.score(metric, one.high)}"]
    if allowed.pace.known:
        parts.append(wording.hours(one.hours))
    if one.money is not None and (allowed.pace.known or allowed.budget.value.per_hour is None):
        parts.append(wording.money(one.money, allowed.budget.value.currency))
    more = f"{one.labels} more label{'s' * (one.labels != 1)}"
    return Reason("forecast", f"{more}: {', '.join(parts)}", one.labels)


def _near(bought: tuple[Purchase, ...], allowed: Allowance) -> bool:
    target = allowed.budget.value.target_value
    if target is None:
        return False
    return any(one.labels <= SHOWN and Decimal(str(one.low)) >= target for one in bought)


def _target(bought: tuple[Purchase, ...], allowed: Allowance, form: str | None) -> Reason | None:
    """Say how far the target is, by forecasts of its metric."""
    budget = allowed.budget.value
    target = budget.target_value
    if target is None:
        return None
    found = allowed.measured
    if found is None:
        metric, known = budget.target_metric, METRICS_BY_FORM.get(form or "")
        if known is not None and metric not in (HEADLINE, *known):
            says = f"the target can never be reached: {metric} is not measured of labels of this kind"
            return Reason("target unmeasurable", says)
        name = own_name(metric, known or ()).replace("_", " ")
        return Reason("target unknown", f"nobody knows how far the target is: {name} is not measured yet")
    name, wanted = found.metric.replace("_", " "), wording.score(found.metric, target)
    now = f"{wording.score(found.metric, found.low)} to {wording.score(found.metric, found.high)}"
    if Decimal(str(found.low)) >= target:
        says = f"the target {wanted} is probably reached: it is {now}; more random tasks will make it sure"
        return Reason("target probable", says)
    if not bought:
        return Reason("target", f"the target is {name} {wanted}; it is {now}")
    for one in bought:
        if Decimal(str(one.value)) >= target:
            left = "" if one.affordable else ", more than the budget has left"
            says = f"the target {wanted} is expected with about {one.labels} more labels{left}; it is {now}"
            return Reason("target in reach", says)
    most = bought[-1]
    if Decimal(str(most.high)) < target:
        best = wording.score(found.metric, most.high)
        says = f"the target {wanted} is out of reach: {most.labels} more labels reach at most {best}"
        return Reason("target out of reach", says)
    return Reason("target", f"the target is {name} {wanted}; it is {now}")
