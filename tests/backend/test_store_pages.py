"""What the pages ask of the store, against slow twins that count everything in Python."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import Annotation, FrontTask, Origin, Project, RoundState, StepTiming, Task
from backend.store.pages import PoolMap, _thinned

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def project(store):
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    return store


def annotation(id_, task, by, *, skipped=False, seconds=4.0, day=0):
    at = NOW + timedelta(days=day)
    return Annotation(id_, task, ({"value": id_},), skipped, False, by, seconds, at, at)


def random_history(store, rng, tasks=40):
    """Annotations by three people, some skips, some without a time, some deleted, some tasks gone."""
    made = [
        annotation(
            100 + number,
            int(rng.integers(tasks)) + 1,
            int(rng.integers(3)) + 1,
            skipped=bool(rng.random() < 0.2),
            seconds=float(rng.integers(1, 90)) if rng.random() < 0.8 else None,
            day=int(rng.integers(5)),
        )
        for number in range(60)
    ]
    store.tasks.record(
        1, [Task(id_, {"text": f"t{id_}"}, NOW) for id_ in range(1, tasks + 1)], asked_at=NOW, now=NOW
    )
    store.annotations.heard(1, made, now=NOW)
    deleted = {int(id_) for id_ in rng.choice([each.id for each in made], 10, replace=False)}
    store.annotations.heard_deleted(1, [*deleted, 9999], now=NOW)
    return made, deleted


@pytest.mark.parametrize("seed", range(5))
def test_annotators_are_summed_up_as_a_recount_does(project, seed):
    """Each sitting up to the cap; what was deleted was given too."""
    made, deleted = random_history(project, np.random.default_rng(seed))
    twin, last = defaultdict(Counter), {}
    for each in made:
        of = twin[each.completed_by]
        of["skips" if each.was_cancelled else "labels"] += 1
        of["deleted"] += each.id in deleted and not each.was_cancelled
        of["milliseconds"] += min(30, each.lead_time or 0) * 1000
        of["timed"] += each.lead_time is not None
        last[each.completed_by] = max(each.updated_at, last.get(each.completed_by, each.updated_at))
    found = project.work.by_annotator(1, cap=30_000)
    names = ("labels", "skips", "deleted", "milliseconds", "timed")
    assert {id_: {name: getattr(of, name) for name in names} for id_, of in found.items()} == {
        id_: {name: of[name] for name in names} for id_, of in twin.items()
    }
    assert project.work.last_by_annotator(1) == last


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_a_recount(project, seed):
    made, deleted = random_history(project, np.random.default_rng(seed))
    project.tasks.remove(1, [1, 2, 3], now=NOW)
    alive = [each for each in made if each.id not in deleted and each.task_id > 3]
    assert project.pages.counts(1) == {
        "tasks": 37,
        "annotations": sum(not each.was_cancelled for each in alive),
        "skips": sum(each.was_cancelled for each in alive),
    }


def publish(store, tasks, version="nextlabel-1.1", number=1):
    lease = store.leases.take(1, f"worker-{version}", now=NOW + timedelta(days=number), seconds=60)
    front = [FrontTask(task, rank, rank / 10, Origin.CHOSEN, 0.5, "why") for rank, task in enumerate(tasks)]
    store.queue.begin(lease, version, front, number=number, attempt=1, now=NOW + timedelta(days=number))
    store.queue.switch(1, version, now=NOW)


def test_the_queue_is_the_served_front_in_order_with_texts_and_answers(project):
    tasks = [Task(id_, {"text": f"t{id_}"}, NOW) for id_ in range(1, 6)]
    project.tasks.record(1, tasks, asked_at=NOW, now=NOW)
    publish(project, [1, 2])
    publish(project, [5, 3, 4], "nextlabel-2.1", 2)
    project.annotations.heard(1, [annotation(7, 3, 1), annotation(8, 4, 1)], now=NOW)
    project.annotations.heard_deleted(1, [8], now=NOW)
    project.tasks.record(1, [Task(5, {"text": "edited"}, NOW)], asked_at=NOW, now=NOW)
    found = project.pages.queue(1)
    assert [(each.task_id, each.data["text"], each.answered) for each in found] == [
        (5, "edited", False),
        (3, "t3", True),
        (4, "t4", False),
    ]
    assert [each.task_id for each in project.pages.queue(1, task_id=4)] == [4]
    assert project.pages.queue(1, task_id=1) == [], "it was in a front that is served no more"


def test_what_is_left_of_a_front_is_what_the_queue_shows_unanswered(project):
    tasks = [Task(id_, {"text": f"t{id_}"}, NOW) for id_ in range(1, 30)]
    project.tasks.record(1, tasks, asked_at=NOW, now=NOW)
    publish(project, range(1, 21))
    project.annotations.heard(
        1, [annotation(100 + id_, id_, 1, skipped=id_ % 2 == 0) for id_ in range(1, 8)], now=NOW
    )
    project.tasks.remove(1, [9, 10], now=NOW)
    waiting = [each for each in project.pages.queue(1) if not each.answered]
    assert len(waiting) == project.queue.left(1, "nextlabel-1.1") == 11


# --- the curve --------------------------------------------------------------------------------------


def rounds(store, count):
    for number in range(1, count + 1):
        store.rounds.start(1, number, 1, f"why {number}", now=NOW)
        if number % 7 == 3:
            store.rounds.fail(1, number, 1, "broken", steps=[], now=NOW)
            continue
        accuracy = {"value": number / 100, "low": 0.0, "high": 1.0, "n": number} if number > 4 else None
        figures = {"labelled": number, "audit_accuracy": accuracy, "long": "x" * 2000}
        steps = [StepTiming("fit", 0.5)]
        store.rounds.finish(1, number, 1, change=1, steps=steps, figures=figures, now=NOW)


def test_the_curve_begins_where_todays_question_was_asked_first(project):
    """Rounds of old did not write the question down: what stands before the first one that did is kept."""
    drawn = []
    for number, question in enumerate([None, "label text", "label text", "label title", None], start=1):
        figures = {"labelled": number} | ({"asks": question} if question else {})
        project.rounds.start(1, number, 1, "test", now=NOW)
        project.rounds.finish(1, number, 1, change=1, steps=[], figures=figures, now=NOW)
        drawn.append([each.round for each in project.pages.curve(1)])
    assert drawn == [[1], [1, 2], [1, 2, 3], [4], [4, 5]]


@pytest.mark.parametrize("points", [3, 10, 150])
def test_the_curve_is_a_thinned_list_of_all_rounds(project, points):
    rounds(project, 40)
    every = {each.number: each for each in project.rounds.recent(1, RoundState.DONE, limit=5000)}
    found = project.pages.curve(1, points=points)
    assert len(found) <= points
    assert [each.round for each in found] == sorted(each.round for each in found)
    for each in found:
        assert each.labelled == every[each.round].figures["labelled"]
        assert each.accuracy == every[each.round].figures["audit_accuracy"]
    assert found[-1].round == 40
    if points > 40:
        assert [each.round for each in found] == sorted(every)


@given(st.sets(st.integers(1, 10_000), min_size=1, max_size=400), st.integers(2, 50))
def test_thinning_keeps_both_ends_and_not_more_than_asked(numbers, points):
    ascending = sorted(numbers)
    kept = _thinned(ascending, points)
    assert kept == sorted(set(kept))
    assert set(kept) <= numbers
    assert (kept[0], kept[-1]) == (ascending[0], ascending[-1])
    assert len(kept) <= max(points, 1) or len(ascending) <= points
    if len(ascending) > points:
        gaps = np.diff([ascending.index(number) for number in kept])
        assert gaps.max() - gaps.min() <= 1, "evenly"


def test_a_list_of_rounds_is_that_of_the_rounds_without_their_figures(project):
    rounds(project, 12)
    for line, each in zip(project.pages.rounds(1, limit=9), project.rounds.recent(1, limit=9), strict=True):
        assert (line.number, line.state, line.why, line.error) == (
            each.number,
            each.state,
            each.why,
            each.error,
        )
        assert line.labelled == each.figures.get("labelled")
        assert list(line.steps) == list(each.steps)


# --- wishes, events, map ----------------------------------------------------------------------------


def test_a_wish_that_came_meanwhile_is_not_granted_with_the_old_one(project):
    project.deeds.wish(1, "retrain", by="a", now=NOW)
    asked = project.deeds.wishes(1)["retrain"]
    project.deeds.wish(1, "retrain", by="b", now=NOW + timedelta(seconds=1))
    project.deeds.grant(1, "retrain", asked)
    assert list(project.deeds.wishes(1)) == ["retrain"]
    project.deeds.grant(1, "retrain", project.deeds.wishes(1)["retrain"])
    assert project.deeds.wishes(1) == {}
    assert [event.name for event in project.deeds.events(1)] == ["b", "a"], "the newest first"


def test_a_map_replaces_the_one_before_and_is_summed_up(project):
    points = {"label": ["a", None, "a", None, None], "uncertainty": [0.1, 0.5, 0.3, None, 0.7]}
    assert project.pages.map(1) is None
    assert project.pages.map_summary(1) is None
    project.pages.set_map(1, PoolMap(1, 2, "x", NOW, {"label": [], "uncertainty": []}))
    project.pages.set_map(1, PoolMap(3, 5, "y", NOW, points))
    assert project.pages.map(1) == PoolMap(3, 5, "y", NOW, points)
    assert project.pages.map_stands(1) == (5, NOW)
    assert project.pages.map_summary(1).summary == [
        {"label": None, "count": 3, "uncertainty": 0.6},
        {"label": "a", "count": 2, "uncertainty": 0.2},
    ]


def test_facts_are_those_of_the_front_that_is_asked_for(project):
    project.pages.set_facts(1, "nextlabel-1.1", {"5": {"uncertainty": 0.4}})
    assert project.pages.facts(1, "nextlabel-1.1") == {"5": {"uncertainty": 0.4}}
    assert project.pages.facts(1, "nextlabel-2.1") == {}
