"""One recommendation, with its reasons, from what the store knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.budget import Advice, Recommendation, Standing, recommend, save_budget, save_stand
from backend.budget.advice import MEASURES
from backend.domain import Annotation, Project, Task
from backend.rounds.measure import FEWEST
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AGREE = {"kappas": [0.991, 0.993, 0.992], "labels": [90, 100], "agree": True}
APART = {"kappas": [0.8, 0.9], "labels": [90, 100], "agree": False}


def forecast(*values: float) -> dict[str, Any]:
    return {
        "level": 0.8,
        "more_labels": [100, 200, 500],
        "value": list(values),
        "low": [value - 0.01 for value in values],
        "high": [value + 0.01 for value in values],
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    opened.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    items = [Annotation(i, i, (), False, False, 1, 56.0, START, START) for i in range(1, 101)]
    opened.annotations.heard(1, items, now=START)
    yield opened
    opened.close()


def advise(store: Store, figures: dict[str, Any], **budget: Any) -> Recommendation:
    if budget:
        save_budget(store, 1, budget, revision=0, author="Ada", now=START)
    store.rounds.start(1, 1, 1, "test", now=START)
    store.rounds.finish(1, 1, 1, change=1, steps=[], figures=figures, now=START)
    return recommend(store, 1, now=START)


def codes(found: Recommendation) -> list[str]:
    return [reason.code for reason in found.reasons]


ACCURACY = {"value": 0.9, "low": 0.86, "high": 0.93, "n": 60}


def test_nothing_is_known_at_first(store: Store) -> None:
    found = recommend(store, 1, now=START)
    assert (found.advice, codes(found), found.purchases) == (Advice.GO_ON, ["no measurement"], ())
    assert codes(advise(store, {"audit_accuracy": ACCURACY})) == ["few measurements"]


def test_what_200_more_labels_buy_and_cost(store: Store) -> None:
    found = advise(
        store,
        {"audit_accuracy": ACCURACY, "forecast": forecast(0.905, 0.92, 0.94)},
        labels=1000,
        per_hour=18,
        currency="EUR",
    )
    assert found.advice is Advice.GO_ON
    assert found.reasons[-1].says == "200 more labels: 91.0 % to 93.0 %, 3.1 hours, 56.00 EUR"
    assert found.gain == pytest.approx(1.5)
    assert [(one.labels, one.affordable) for one in found.purchases] == [
        (100, True),
        (200, True),
        (500, True),
    ]


@pytest.mark.parametrize(
    ("values", "agreement", "advice", "first"),
    [
        ((0.91, 0.93, 0.94), APART, Advice.GO_ON, "worth it"),
        ((0.91, 0.912, 0.913), APART, Advice.STOP_SOON, "little gain"),
        ((0.91, 0.93, 0.94), AGREE, Advice.STOP_SOON, "models agree"),
        ((0.91, 0.912, 0.913), AGREE, Advice.STOP, "little gain"),
    ],
)
def test_little_gain_and_agreement_together_stop(
    store: Store, values: tuple[float, ...], agreement: dict[str, Any], advice: Advice, first: str
) -> None:
    figures = {"audit_accuracy": ACCURACY, "forecast": forecast(*values), "agreement": agreement}
    found = advise(store, figures)
    assert (found.advice, codes(found)[0]) == (advice, first)


def test_the_one_knob_is_the_least_gain_that_is_worth_it(store: Store) -> None:
    figures = {"audit_accuracy": ACCURACY, "forecast": forecast(0.91, 0.912, 0.913), "agreement": AGREE}
    assert advise(store, figures, least_gain="0.1").advice is Advice.STOP_SOON
    assert "0.1 are worth it" not in str(recommend(store, 1, now=START)), "that is not why"


def test_a_budget_that_is_nearly_spent_says_stop_soon(store: Store) -> None:
    figures = {"forecast": forecast(0.91, 0.93, 0.94)}
    found = advise(store, figures, labels=110)
    assert (found.advice, codes(found)[0]) == (Advice.STOP_SOON, "nearly spent")
    assert "10 of 110 labels left" in found.reasons[0].says
    assert not any(one.affordable for one in found.purchases)


def test_a_closed_queue_says_stop_and_why(store: Store) -> None:
    found = advise(store, {}, labels=100)
    assert (found.advice, codes(found)) == (Advice.STOP, ["labels"])
    save_budget(store, 1, {}, revision=1, author="Ada", now=START)
    save_stand(store, 1, Standing.PAUSED, author="Ada", now=START)
    assert codes(recommend(store, 1, now=START)) == ["paused"]


@pytest.mark.parametrize(
    ("target", "advice", "code", "says"),
    [
        ("0.89", Advice.STOP_SOON, "target in reach", "with about 100 more labels"),
        (
            "0.925",
            Advice.GO_ON,
            "target in reach",
            "about 200 more labels, more than the budget has left",
        ),
        ("0.97", Advice.GO_ON, "target out of reach", "500 more labels reach at most 95.0 %"),
        (
            "0.85",
            Advice.STOP_SOON,
            "target probable",
            "probably reached: it is 86.0 % to 93.0 %; more random",
        ),
        ("0.945", Advice.GO_ON, "target", "the target is accuracy 94.5 %; it is 86.0 % to 93.0 %"),
    ],
)
def test_how_far_the_target_is(store: Store, target: str, advice: Advice, code: str, says: str) -> None:
    figures = {"audit_accuracy": ACCURACY, "forecast": forecast(0.91, 0.93, 0.94)}
    found = advise(store, figures, target_value=target, labels=250)
    [reason] = [reason for reason in found.reasons if reason.code.startswith("target")]
    assert (found.advice, reason.code) == (advice, code)
    assert says in reason.says


def test_without_audit_labels_nobody_knows_how_far_the_target_is(store: Store) -> None:
    assert "target unknown" in codes(advise(store, {}, target_value="0.9"))


def test_a_forecast_of_another_metric_says_nothing_of_the_target(store: Store) -> None:
    figures = {
        "audit_accuracy": ACCURACY,
        "audit_macro_f1": {**ACCURACY, "metric": "macro_f1"},
        "forecast": {**forecast(0.91, 0.93, 0.94), "metric": "accuracy"},
    }
    found = advise(store, figures, target_value="0.89", target_metric="macro_f1")
    assert (found.advice, codes(found)[-1]) == (Advice.GO_ON, "target")
    figures["forecast"]["metric"] = "macro_f1"
    store.rounds.finish(1, 1, 1, change=1, steps=[], figures=figures, now=START)
    found = recommend(store, 1, now=START)
    assert (found.advice, codes(found)[-1]) == (Advice.STOP_SOON, "target in reach")


# --- what is left to label --------------------------------------------------------------------------


def fill(store: Store, tasks: int) -> None:
    store.tasks.record(1, [Task(i, {}, START) for i in range(1, tasks + 1)], asked_at=START, now=START)


def pool(tasks: int, unanswered: int, **more: Any) -> dict[str, Any]:
    return {"tasks": tasks, "labelled": tasks - unanswered, "unanswered": unanswered, **more}


def test_without_tasks_some_are_asked_for(store: Store) -> None:
    store.projects.polled(1, cursor=START, now=START)
    assert codes(advise(store, pool(0, 0))) == ["no tasks"]


def test_where_everything_is_labelled_it_is_time_to_stop(store: Store) -> None:
    fill(store, 45)
    figures = pool(45, 0, front=0, random_tasks=4, form="classes", forecast=forecast(0.91, 0.93, 0.94))
    found = advise(store, figures)
    assert (found.advice, codes(found), found.purchases) == (Advice.STOP, ["all labelled", "few random"], ())
    assert "only 4 of the tasks are drawn at random" in found.reasons[1].says


def test_a_queue_that_others_have_begun_is_not_done(store: Store) -> None:
    fill(store, 45)
    assert "all labelled" not in codes(advise(store, pool(45, 0, front=3)))


@pytest.mark.parametrize(
    ("tasks", "known", "random", "code"),
    [
        (45, 45, 9, "few random"),
        (45, 45, 10, "no measurement"),
        (50, 45, 4, "no measurement"),  # what came since may be random
    ],
)
def test_a_slice_that_is_too_small_for_good_is_told(
    store: Store, tasks: int, known: int, random: int, code: str
) -> None:
    fill(store, tasks)
    assert MEASURES == FEWEST
    found = advise(store, pool(known, known - 5, front=30, random_tasks=random, form="classes"))
    assert codes(found) == [code]


def test_no_more_labels_are_offered_than_there_are_tasks(store: Store) -> None:
    fill(store, 400)
    found = advise(store, pool(400, 150, front=100, forecast=forecast(0.905, 0.92, 0.94)))
    assert [one.labels for one in found.purchases] == [100]
    assert found.gain == pytest.approx(1.5)
    assert found.reasons[-1].says.startswith("100 more labels: 89.5 % to 91.5 %")


def test_with_few_tasks_left_nobody_is_told_what_a_hundred_labels_bring(store: Store) -> None:
    fill(store, 400)
    figures = pool(400, 60, front=60, audit_accuracy=ACCURACY, forecast=forecast(0.905, 0.92, 0.94))
    figures["forecast"]["more_labels"] = [30, 60, 61]
    found = advise(store, figures)
    assert found.reasons[0].says == "only 60 tasks are left to label"
    assert [one.labels for one in found.purchases] == [30, 60]
