"""Promises 1, 2, 3, 5 and 6 on a Label Studio in memory, which can crash us at any request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import draw
from pydantic import ValidationError

from backend.cli.outlook import lines
from backend.cli.status import describe
from backend.config import ProjectConfig
from backend.config.types import Queue, Rounds, Selection
from backend.domain import MOST_IN_FRONT, LabelStudioError, LeaseLost, Origin, RoundState, VersionState
from backend.labelstudio.publishing import AT_ONCE
from backend.pool import TaskPool
from backend.rounds import Models, ProjectLoop
from backend.rounds.review import Review
from backend.store import Lease, Store
from strategies.registry import STRATEGIES
from strategies.types import Ranking

CONFIG = ProjectConfig(
    selection=Selection(strategy="uncertainty_k_center(margin)", cold_start_labels=6),
    queue=Queue(size=12),
    rounds=Rounds(reconcile_minutes=1),
)


class Crash(Exception):
    """The process dies here."""


class Clock:
    """Runs ahead of the fake Label Studio's, as a real one might."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=10)
        return self.time


class Bench:
    """A store, a fake Label Studio, and a loop that can be killed and started again."""

    def __init__(self, store: Store, labelstudio: Any, encoder: Any, folder: Path) -> None:
        self.store, self.labelstudio, self.encoder, self.folder = store, labelstudio, encoder, folder
        self.config = CONFIG
        self.clock = Clock()
        store.projects.connect(labelstudio.info, {"sampling": "Sequential sampling"}, now=self.clock())
        self.start()

    def start(self) -> None:
        """A new process: nothing is left but the store and the disk."""
        self.clock.time += timedelta(seconds=60)
        self.lease = self.take()
        self.loop = ProjectLoop(
            self.store,
            self.labelstudio,
            self.config,
            1,
            folder=self.folder,
            models=Models(lambda takes: self.encoder),
            now=self.clock,
        )

    def take(self, holder: str = "me") -> Lease:
        lease = self.store.leases.take(1, holder, now=self.clock(), seconds=30)
        assert lease is not None
        return lease

    def turn(self) -> str | None:
        """Poll, and run a round if one is due."""
        self.store.leases.renew(self.lease, now=self.clock(), seconds=30)
        self.loop.sync(self.lease)
        why = self.loop.due()
        if why is None:
            return None
        version = self.loop.run(self.lease, why)
        self.loop.tidy(busy=False)
        return version


@pytest.fixture
def bench(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> Bench:
    return Bench(store, labelstudio, encoder, tmp_path)


def test_next_follows_our_order_and_never_runs_dry(bench: Bench) -> None:
    """One annotator labels the whole pool: each task is served from the queue, each exactly once."""
    bench.turn()
    served = []
    while (found := bench.labelstudio.next())[0] is not None:
        task_id, from_queue = found
        assert from_queue, f"after {len(served)} labels the order was Label Studio's own"
        assert task_id == next(id_ for id_ in bench.labelstudio.front() if id_ not in served)
        served.append(task_id)
        bench.labelstudio.label(task_id)
        bench.turn()
    assert sorted(served) == sorted(bench.labelstudio.tasks_)


def test_a_round_without_new_tasks_encodes_nothing_and_reads_what_changed_only(bench: Bench) -> None:
    """Each task is encoded once; a poll after one label reads few tasks, not the pool."""
    bench.turn()
    assert bench.encoder.encoded == 60
    bench.labelstudio.now += timedelta(minutes=1)
    bench.turn()
    bench.labelstudio.read_tasks = 0
    bench.labelstudio.label(bench.labelstudio.next()[0])
    assert bench.turn() is not None
    assert (bench.encoder.encoded, bench.labelstudio.read_tasks) == (60, 1)


def test_the_second_front_learns(bench: Bench) -> None:
    """Past the cold start the front is chosen by the model, pre-annotated, and audit tasks stay blind."""
    bench.turn()
    for _ in range(8):
        bench.labelstudio.label(bench.labelstudio.next()[0])
    bench.turn()
    version = bench.store.queue.current(1)
    assert version is not None
    front = bench.store.queue.front(1, version.version)
    assert Origin.CHOSEN in {task.origin for task in front}
    for task in front:
        blind = task.origin is Origin.AUDIT
        assert bool(task.result) is not blind
        if task.result:
            wanted = "cat" if task.task_id % 2 else "dog"
            assert task.result[0]["value"] == {"choices": [wanted]}


def test_many_classes_do_not_prolong_the_cold_start(bench: Bench) -> None:
    """With 15 classes the model chooses from the sixth label on, and suggests from the fifteenth."""
    more = "".join(f'<Choice value="{value}"/>' for value in range(13))
    config = bench.labelstudio.info.label_config.replace("</Choices>", more + "</Choices>")
    bench.labelstudio.info = replace(bench.labelstudio.info, label_config=config)
    seen = []
    for labels in (5, 1, 8, 1):
        for _ in range(labels):
            bench.labelstudio.label((bench.turn(), bench.labelstudio.next())[1][0])
        bench.turn()
        version = bench.store.queue.current(1)
        assert version is not None
        front = bench.store.queue.front(1, version.version)
        chosen = Origin.CHOSEN in {task.origin for task in front}
        seen.append((chosen, any(task.result for task in front)))
    assert seen == [(False, False), (True, False), (True, False), (True, True)]


@pytest.mark.parametrize("labels", [6, 24])
def test_auto_begins_as_the_configuration_says(bench: Bench, labels: int) -> None:
    """Its own cold start of 20 labels stays out of the way of a shorter one, and of a longer one."""
    selection = Selection(cold_start_labels=labels)
    bench.config = CONFIG.model_copy(update={"selection": selection})
    bench.start()
    seen = []
    for _ in range(labels + 1):
        bench.turn()
        version = bench.store.queue.current(1)
        assert version is not None
        front = bench.store.queue.front(1, version.version)
        seen.append({task.origin for task in front} & {Origin.COLD_START, Origin.CHOSEN})
        reasons = {task.origin: task.reason for task in front if task.utility}
        bench.labelstudio.label(bench.labelstudio.next()[0])
    assert seen == [{Origin.COLD_START}] * labels + [{Origin.CHOSEN}]
    assert reasons[Origin.CHOSEN].startswith("the model is unsure of this")


REQUESTS = [
    "project",
    "changed_tasks",
    "import_predictions",
    "import_predictions was done",
    "switch",
    "switch was done",
    "delete_version",
]


@pytest.mark.parametrize("when", REQUESTS)
@pytest.mark.parametrize("round_", [1, 2])
def test_killed_at_any_request_it_resumes(bench: Bench, when: str, round_: int) -> None:
    """Annotators see the old front or the new one; after a restart all is as if nothing had happened."""
    if round_ == 2:
        bench.turn()
        for _ in range(3):
            bench.labelstudio.label(bench.labelstudio.next()[0])
    old = bench.labelstudio.front()

    def crash(name: str) -> None:
        if name == when:
            raise Crash

    bench.labelstudio.before = crash
    try:
        bench.turn()
    except Crash:
        died = True
    else:
        died = False
    assert died or (when == "delete_version" and round_ == 1)
    served = bench.labelstudio.front()
    assert served == old or len(served) == 12
    bench.labelstudio.before = lambda name: None
    bench.start()
    bench.turn()
    current = bench.store.queue.current(1)
    assert current is not None
    assert current.version == bench.labelstudio.info.model_version
    assert bench.encoder.encoded == 60
    while bench.loop.tidy(busy=False):
        pass
    assert set(bench.labelstudio.predictions) == {current.version}
    assert bench.labelstudio.next()[1]


@pytest.mark.parametrize("told", [True, False])
def test_a_round_that_broke_is_repeated_though_nothing_changed(bench: Bench, told: bool) -> None:
    """One that was asked for too, and whether the worker could still write down why, or was killed."""
    bench.turn()
    bench.store.projects.want_round(1, "asked for by Ada")

    def crash(name: str) -> None:
        if name == "import_predictions":
            raise Crash

    bench.labelstudio.before = crash
    for _ in range(2):
        with pytest.raises(Crash):
            bench.turn()
        if told:
            bench.loop.failed("HTTP 500")
        else:
            bench.start()
    bench.labelstudio.before = lambda name: None
    assert bench.loop.due() == "asked for by Ada"
    assert bench.turn() == bench.labelstudio.info.model_version
    latest = bench.store.rounds.latest(1)
    assert latest is not None
    assert (latest.number, latest.attempt, latest.state) == (2, 3, RoundState.DONE)
    assert bench.turn() is None


def test_a_wish_that_comes_while_a_round_runs_is_kept(bench: Bench) -> None:
    """Though it is in the same words: the round may have looked already at what the wish is about."""
    bench.turn()
    bench.store.projects.want_round(1, "the budget was changed")

    def again(name: str) -> None:
        if name == "switch":
            bench.store.projects.want_round(1, "the budget was changed")

    bench.labelstudio.before = again
    assert bench.turn() is not None
    bench.labelstudio.before = lambda name: None
    assert bench.turn() is not None
    assert bench.turn() is None


def test_a_project_that_was_given_back_and_is_connected_again_gets_a_front(bench: Bench) -> None:
    """Nothing has changed since the last round, but what it published is erased."""
    bench.turn()
    bench.labelstudio.label(bench.labelstudio.next()[0])
    bench.turn()
    for version in bench.store.queue.versions(1):
        bench.store.queue.withdraw(1, version.version, now=bench.clock())
    bench.labelstudio.predictions.clear()
    bench.labelstudio.info = replace(bench.labelstudio.info, model_version="")
    bench.store.projects.disconnect(1)
    bench.store.projects.connect(bench.labelstudio.info, {}, now=bench.clock())
    bench.start()
    assert bench.turn() is not None
    assert bench.labelstudio.next()[1]
    assert bench.turn() is None


def test_killed_between_flush_and_commit_rows_are_encoded_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on disk beyond the committed rows is not trusted."""
    real = bench.store.tasks.set_encoded

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(bench.store.tasks, "set_encoded", crash)
    with pytest.raises(Crash):
        bench.turn()
    monkeypatch.setattr(bench.store.tasks, "set_encoded", real)
    bench.start()
    assert bench.turn() is not None
    file = next(bench.folder.glob("projects/1/*/rows.f16"))
    assert file.stat().st_size == 60 * 8 * 2


def test_whoever_was_overtaken_cannot_switch(bench: Bench) -> None:
    """A worker that slept through its lease finds out before it switches anything."""
    bench.turn()
    front = bench.labelstudio.front()
    bench.labelstudio.label(bench.labelstudio.next()[0])

    def overtake(name: str) -> None:
        if name == "import_predictions was done":
            bench.clock.time += timedelta(seconds=60)
            bench.take("you")

    bench.labelstudio.before = overtake
    with pytest.raises(LeaseLost, match="taken over by you"):
        bench.turn()
    assert bench.labelstudio.front() == front


def test_whoever_was_overtaken_says_nothing_of_the_round_that_another_finished(bench: Bench) -> None:
    bench.turn()
    bench.labelstudio.label(bench.labelstudio.next()[0])
    late = bench.loop

    def overtake(name: str) -> None:
        if name == "import_predictions was done":
            bench.labelstudio.before = lambda name: None
            bench.start()
            assert bench.turn() is not None

    bench.labelstudio.before = overtake
    with pytest.raises(LeaseLost, match="taken over"):
        bench.turn()
    done = bench.store.rounds.latest(1)
    assert done is not None
    assert (done.number, done.attempt, done.state) == (2, 2, RoundState.DONE)
    late.failed("taken over by another worker")
    assert bench.store.rounds.latest(1) == done


def test_tasks_deleted_while_a_front_is_sent_are_left_out(bench: Bench) -> None:
    """The front that is served holds only tasks that exist."""
    gone: list[int] = []

    def delete(name: str) -> None:
        if name == "import_predictions" and not gone:
            gone.extend(list(bench.labelstudio.tasks_)[:50])
            for id_ in gone:
                del bench.labelstudio.tasks_[id_]

    bench.labelstudio.before = delete
    assert bench.turn() is not None
    assert bench.labelstudio.front()
    assert not set(bench.labelstudio.front()) & set(gone)
    bench.turn()
    assert bench.store.tasks.count(1) == 10


def test_a_skipped_task_comes_last(bench: Bench) -> None:
    """It stays out of the queue while others are left, and is offered again at the end."""
    bench.turn()
    skipped = bench.labelstudio.next()[0]
    bench.labelstudio.label(skipped, skip=True)
    bench.turn()
    assert skipped not in bench.labelstudio.front()
    while bench.labelstudio.next()[0] is not None:
        bench.labelstudio.label(bench.labelstudio.next()[0])
        bench.turn()
    assert bench.labelstudio.front() == [skipped]


def test_begun_tasks_stay_in_the_front_until_enough_annotators_answered(bench: Bench) -> None:
    """With an overlap of two Label Studio serves begun tasks first: they are in the front, and come first."""
    bench.labelstudio.info = replace(bench.labelstudio.info, maximum_annotations=2)
    bench.turn()
    first = bench.labelstudio.front()[0]
    bench.labelstudio.label(first, user=1)
    bench.turn()
    assert bench.labelstudio.front()[0] == first
    assert len(bench.labelstudio.front()) == 13
    bench.labelstudio.label(first, user=2)
    bench.turn()
    assert first not in bench.labelstudio.front()


def test_a_front_is_never_larger_than_what_label_studio_erases_in_one_go(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are begun: some of them wait outside, and as many fresh tasks as ever are in it."""
    monkeypatch.setattr("backend.rounds.select.MOST_IN_FRONT", 20)
    bench.labelstudio.info = replace(bench.labelstudio.info, maximum_annotations=2)
    bench.turn()
    begun = bench.labelstudio.front()
    for task_id in begun:
        bench.labelstudio.label(task_id, user=1)
    bench.turn()
    front = bench.labelstudio.front()
    assert len(front) == 20
    assert set(front[:8]) < set(begun)
    assert not set(front[8:]) & set(begun)


def test_the_largest_queue_can_be_erased_in_one_go() -> None:
    assert ProjectConfig(queue=Queue(size=MOST_IN_FRONT)).queue.size == AT_ONCE
    with pytest.raises(ValidationError):
        Queue(size=MOST_IN_FRONT + 1)


def test_one_class_only_keeps_the_cold_start(bench: Bench) -> None:
    """There is nothing to tell apart: no model, no suggestions, but a front."""
    bench.turn()
    for _ in range(10):
        bench.labelstudio.label(bench.labelstudio.next()[0], "cat")
    assert bench.turn() is not None
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert done.figures["cold_start"] is True
    assert not any(
        p.result for p in bench.labelstudio.predictions[bench.labelstudio.info.model_version].values()
    )


def test_a_label_that_the_config_lost_is_named_and_not_learned(bench: Bench) -> None:
    """It counts as answered, so that nobody is asked again."""
    bench.turn()
    task_id = bench.labelstudio.next()[0]
    bench.labelstudio.label(task_id, "axolotl")
    bench.turn()
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert (done.figures["labelled"], done.figures["unknown_labels"]) == (0, ["axolotl"])
    assert task_id not in bench.labelstudio.front()


def test_a_new_label_config_is_taken_up_although_its_first_reading_broke_off(bench: Bench) -> None:
    """The reading that saw it was cut short; the same worker's next round knows the new class."""
    bench.turn()
    config = bench.labelstudio.info.label_config.replace("</Choices>", '<Choice value="axolotl"/></Choices>')
    bench.labelstudio.info = replace(bench.labelstudio.info, label_config=config)

    def break_off(name: str) -> None:
        if name == "changed_tasks":
            raise Crash

    bench.labelstudio.before = break_off
    with pytest.raises(Crash):
        bench.turn()
    bench.labelstudio.before = lambda name: None
    assert bench.turn() is not None
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert list(done.figures["classes"]) == ["cat", "dog", "axolotl"]


def test_a_new_label_config_waits_for_no_further_labels(bench: Bench) -> None:
    """Rounds begin with ten new labels here; one label that came beside it does not hide it."""
    bench.config = CONFIG.model_copy(update={"rounds": Rounds(reconcile_minutes=1, new_labels=10)})
    bench.start()
    bench.turn()
    bench.labelstudio.label(bench.labelstudio.next()[0])
    assert bench.turn() is None
    bench.labelstudio.label(bench.labelstudio.next()[0])
    config = bench.labelstudio.info.label_config.replace("</Choices>", '<Choice value="axolotl"/></Choices>')
    bench.labelstudio.info = replace(bench.labelstudio.info, label_config=config)
    assert bench.turn() is not None
    assert bench.turn() is None


def test_a_round_whose_measuring_was_cut_short_is_measured_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart in the seconds after publishing; no label comes any more."""
    bench.config = CONFIG.model_copy(update={"queue": Queue(size=12, audit_share=0.5)})
    bench.start()
    bench.turn()
    draw(bench.store, bench.lease, bench.labelstudio.tasks_, now=bench.clock())
    for task_id in list(bench.labelstudio.tasks_)[:50]:
        bench.labelstudio.label(task_id)

    def die(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr("backend.rounds.review.measure_slice", die)
        with pytest.raises(Crash):
            bench.turn()
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert done.figures.get("audit_accuracy") is None
    bench.start()
    assert bench.turn() is not None
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert done.why == "the last round was not measured to the end"
    assert done.figures["audit_accuracy"]["n"] >= 10
    assert bench.turn() is None


def test_what_nobody_drew_at_random_does_not_measure(bench: Bench) -> None:
    """Fifty tasks were labelled before; only what the queue asks for after that measures."""
    bench.config = CONFIG.model_copy(update={"queue": Queue(size=12, audit_share=0.5)})
    for task_id in list(bench.labelstudio.tasks_)[:50]:
        bench.labelstudio.label(task_id)
    for _ in range(60):
        bench.labelstudio.add_task()
    bench.start()
    bench.turn()
    asked = set()
    while len(asked) < 40:
        task_id, _ = bench.labelstudio.next()
        assert task_id is not None
        bench.labelstudio.label(task_id)
        asked.add(task_id)
        bench.turn()
    pool = bench.loop._front.pool  # type: ignore[union-attr]
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    measured = pool.tasks.ids[pool.audit.measures(pool.labelled, 0.5)].tolist()
    assert len(measured) >= 15
    assert set(measured) < asked
    assert done.figures["audit_accuracy"]["n"] == len(measured)
    assert (pool.labelled & pool.audit.mask(0.5)).sum() > len(measured) + 10


def test_an_answer_that_is_corrected_in_the_audit_slice_is_measured_anew(bench: Bench) -> None:
    """As many labels as before, but another truth."""
    bench.config = CONFIG.model_copy(update={"queue": Queue(size=12, audit_share=0.5)})
    bench.start()
    bench.turn()
    pool = bench.loop._front.pool  # type: ignore[union-attr]
    draw(bench.store, bench.lease, bench.labelstudio.tasks_, now=bench.clock())
    slips = pool.tasks.ids[pool.audit.mask(0.5)].tolist()[:8]

    def accuracy() -> float:
        done = bench.store.rounds.latest(1, RoundState.DONE)
        assert done is not None
        return float(done.figures["audit_accuracy"]["value"])

    for task_id in bench.labelstudio.tasks_:
        right, wrong = ("cat", "dog") if task_id % 2 else ("dog", "cat")
        bench.labelstudio.label(task_id, wrong if task_id in slips else right)
    bench.turn()
    before = accuracy()
    for task_id in slips:
        task, now = bench.labelstudio.tasks_[task_id], bench.labelstudio._tick()
        result = {**task.annotations[0].result[0], "value": {"choices": ["cat" if task_id % 2 else "dog"]}}
        corrected = replace(task.annotations[0], result=(result,), updated_at=now)
        bench.labelstudio.tasks_[task_id] = replace(task, annotations=(corrected,), updated_at=now)
    bench.turn()
    assert before < 0.9 < accuracy()


def test_annotators_names_are_asked_for_again_where_the_answer_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.rounds.loop.QUIET", timedelta())
    bench.turn()
    annotators = bench.labelstudio.annotators

    def fail(project_id: int) -> None:
        raise LabelStudioError("502")

    bench.labelstudio.annotators = fail
    bench.labelstudio.label(1)
    bench.turn()
    assert bench.store.access.people() == {}
    bench.labelstudio.annotators = annotators
    bench.labelstudio.label(2)
    bench.turn()
    assert list(bench.store.access.people()) == [1]


def test_ground_truth_wins(bench: Bench) -> None:
    """One trusted answer outweighs two others, and the mark can move without the others' time moving."""
    bench.turn()
    task_id = bench.labelstudio.next()[0]
    for label in ("cat", "cat", "dog"):
        bench.labelstudio.label(task_id, label)

    def trust(place: int) -> dict[str, int]:
        task = bench.labelstudio.tasks_[task_id]
        marked = [replace(a, ground_truth=a is task.annotations[place]) for a in task.annotations]
        marked[place] = replace(marked[place], updated_at=bench.labelstudio._tick())
        bench.labelstudio.tasks_[task_id] = replace(
            task, annotations=tuple(marked), updated_at=marked[place].updated_at
        )
        bench.turn()
        done = bench.store.rounds.latest(1, RoundState.DONE)
        assert done is not None
        return dict(done.figures["classes"])

    assert trust(2) == {"cat": 0, "dog": 1}
    assert trust(0) == {"cat": 1, "dog": 0}


@pytest.mark.parametrize("tasks", [0, 1])
def test_tiny_pools(bench: Bench, tasks: int) -> None:
    """No task: a round that publishes nothing. One: it is served, and then there is nothing."""
    for id_ in list(bench.labelstudio.tasks_)[tasks:]:
        del bench.labelstudio.tasks_[id_]
    version = bench.turn()
    assert (version is not None) is bool(tasks)
    assert len(bench.labelstudio.front()) == tasks
    if tasks:
        bench.labelstudio.label(bench.labelstudio.next()[0])
        assert bench.turn() is None
    bench.labelstudio.add_task()
    assert bench.turn() is not None
    assert bench.labelstudio.next()[1]


def test_an_edited_task_is_encoded_again_and_keeps_its_label(bench: Bench) -> None:
    """Rows are append-only: the edit gets a new one, and the annotation goes with the task."""
    bench.turn()
    task_id = bench.labelstudio.next()[0]
    bench.labelstudio.label(task_id)
    bench.turn()
    task = bench.labelstudio.tasks_[task_id]
    edited = replace(task, data={"text": "cat, edited"}, updated_at=bench.labelstudio._tick())
    bench.labelstudio.tasks_[task_id] = edited
    bench.turn()
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert (bench.encoder.encoded, done.figures["tasks"], done.figures["labelled"]) == (61, 60, 1)


def test_somebody_else_switching_the_queue_is_noticed(bench: Bench) -> None:
    """Label Studio serves another version: the front is published again."""
    bench.turn()
    bench.labelstudio.predictions["theirs"] = dict(
        bench.labelstudio.predictions[bench.labelstudio.info.model_version]
    )
    bench.labelstudio.info = replace(bench.labelstudio.info, model_version="theirs")
    assert bench.turn() == bench.labelstudio.info.model_version


def test_nothing_new_costs_no_round(bench: Bench) -> None:
    """The worker looks, and leaves the queue alone."""
    bench.turn()
    before = bench.store.queue.current(1)
    assert bench.turn() is None
    assert bench.store.queue.current(1) == before
    assert bench.store.queue.versions(1, VersionState.PUBLISHING) == []


def test_a_deleted_annotation_puts_its_task_back(bench: Bench) -> None:
    """What nobody has answered can be asked again."""
    bench.turn()
    task_id = bench.labelstudio.next()[0]
    bench.labelstudio.label(task_id)
    bench.turn()
    task = bench.labelstudio.tasks_[task_id]
    bench.clock.time += timedelta(seconds=30)
    bench.labelstudio.tasks_[task_id] = replace(task, annotations=(), updated_at=bench.labelstudio._tick())
    bench.turn()
    assert bench.store.annotations.counts(1).deleted == 1
    while not bench.labelstudio.tasks_[task_id].annotations:
        bench.labelstudio.label(bench.labelstudio.next()[0])
        bench.turn()


def test_seals_admits_the_neighbours_of_labels_alone(bench: Bench) -> None:
    """By name it is on for any pool; incremental and through restarts it admits what a full search would."""
    strategy = "seals(uncertainty_k_center(margin), neighbors=3, explore=0.0)"
    bench.config = CONFIG.model_copy(
        update={"selection": CONFIG.selection.model_copy(update={"strategy": strategy})}
    )
    bench.start()
    bench.turn()
    for turn in range(12):
        bench.labelstudio.label(bench.labelstudio.next()[0])
        if turn % 4 == 3:
            bench.start()
        bench.turn()
    pool = bench.loop._front.pool
    assert pool is not None
    embeddings = pool.embeddings[np.arange(len(pool))]
    expected = np.zeros(len(pool), bool)
    for row in np.flatnonzero(pool.labelled):
        likeness = embeddings @ embeddings[row]
        likeness[row] = -np.inf
        expected[np.argsort(-likeness)[:3]] = True
    assert pool.near_labelled(3).tolist() == np.flatnonzero(expected).tolist()
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert done.figures["seals"] is True
    assert done.figures["seals_lists"] == done.figures["seals_labelled"] == done.figures["labelled"]
    assert done.figures["seals_rows"] == expected.sum()


def test_a_recall_audit_follows_the_round_and_is_repeated_by_those_after(bench: Bench) -> None:
    """After publishing, SEALS is held against a sample; while little changed the figures say so again."""
    strategy = "seals(margin, neighbors=2)"
    selection = CONFIG.selection.model_copy(update={"strategy": strategy})
    bench.config = CONFIG.model_copy(update={"selection": selection})
    for _ in range(60):
        bench.labelstudio.add_task()
    bench.start()
    found = []
    for _ in range(12):
        bench.turn()
        done = bench.store.rounds.latest(1, RoundState.DONE)
        assert done is not None
        if "seals_recall" in done.figures:
            found.append((done.number, done.figures["seals_recall"]))
        bench.labelstudio.label(bench.labelstudio.next()[0])
    assert [recall["round"] for _, recall in found] == sorted(recall["round"] for _, recall in found)
    assert found[0][0] == found[0][1]["round"]
    assert found[-1][0] > found[-1][1]["round"]
    recall = found[-1][1]
    assert recall["n"] == 20
    assert 0 <= recall["low"] <= recall["value"] <= recall["high"] <= 1


def test_a_round_asks_the_model_about_candidates_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SEALS on, only what it let in is predicted: not the pool, not the labelled rows."""
    strategy = "seals(uncertainty_k_center(margin), neighbors=2, explore=0.0)"
    bench.config = CONFIG.model_copy(
        update={
            "selection": CONFIG.selection.model_copy(update={"strategy": strategy}),
            "queue": Queue(size=10, audit_share=0, exploration_share=0, preannotate=False),
        }
    )
    bench.start()
    bench.turn()
    for _ in range(8):
        bench.labelstudio.label(bench.labelstudio.next()[0])
        bench.turn()
    asked: list[int] = []
    real = TaskPool.predict

    def watched(pool: TaskPool, positions: Any) -> Any:
        asked.extend(positions.tolist())
        return real(pool, positions)

    monkeypatch.setattr(TaskPool, "predict", watched)
    # what is looked at when nobody waits asks about the front and about samples of a fixed size
    for name in ("look", "idle"):
        monkeypatch.setattr(Review, name, lambda *_given, **_named: None)
    bench.labelstudio.label(bench.labelstudio.next()[0])
    bench.turn()
    pool = bench.loop._front.pool
    assert pool is not None
    admitted = pool.near_labelled(2)
    assert sorted(asked) == admitted[pool.tasks.unanswered()[admitted]].tolist()
    assert len(asked) < pool.tasks.unanswered().sum()


def test_due_names_its_reason(bench: Bench) -> None:
    """Every round says why it ran."""
    why: Callable[[], str | None] = bench.loop.due
    assert why() is None
    bench.loop.sync(bench.lease)
    assert why() == "first round"
    bench.turn()
    bench.labelstudio.label(bench.labelstudio.next()[0])
    bench.loop.sync(bench.lease)
    assert why() == "1 new annotation"
    bench.turn()
    bench.store.projects.want_round(1, "asked for")
    assert why() == "asked for"


def test_one_label_in_ten_measures_when_each_label_starts_a_round(bench: Bench) -> None:
    """Only the first task of each front is labelled then: turns go on from front to front."""
    bench.turn()
    _label_all(bench, 40)
    pool = bench.loop._front.pool
    assert pool is not None
    assert 3 <= (pool.labelled & (pool.audit.order < CONFIG.queue.audit_share)).sum() <= 5


def _label_all(bench: Bench, count: int, label: str | None = None) -> dict[str, Any]:
    """Label that many tasks as they are served, a round after each; gives the last round's figures."""
    for _ in range(count):
        bench.labelstudio.label(bench.labelstudio.next()[0], label)
        bench.turn()
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    return dict(done.figures)


def test_successive_models_are_compared_and_the_curve_is_foretold(bench: Bench) -> None:
    """After publishing, through restarts; each model with one of a tenth fewer labels, not with the last."""
    bench.config = CONFIG.model_copy(update={"queue": Queue(size=12, audit_share=0.5)})
    bench.start()
    bench.turn()
    assert "agreement" not in _label_all(bench, 8)
    first = _label_all(bench, 14)
    bench.start()
    figures = _label_all(bench, 18)
    before, now = figures["agreement"]["labels"]
    assert before >= first["agreement"]["labels"][1]
    assert now >= before + 10
    assert len(figures["agreement"]["kappas"]) == 3
    assert figures["agreement"]["tasks"] == 60
    assert figures["agreement"]["f1_change_at_most"] <= 1
    forecast = figures["forecast"]
    assert forecast["more_labels"] == [10, 20], "no more than there are tasks"
    assert all(
        0 <= low <= value <= high <= 1
        for low, value, high in zip(forecast["low"], forecast["value"], forecast["high"], strict=True)
    )
    assert figures["strategy"] == "uncertainty_k_center(margin)"


@dataclass(frozen=True)
class _CatsFirst:
    """A bad strategy: one class, until there is none of it left."""

    def __call__(self, pool: TaskPool, candidates: Any, k: int, rng: Any) -> Ranking:
        rows = candidates[np.argsort(pool.tasks.ids[candidates] % 2 == 0, kind="stable")][:k]
        return Ranking(rows, np.zeros(len(rows), np.float32), ("a cat",) * len(rows))


@pytest.mark.parametrize("bad", [True, False])
def test_a_strategy_that_does_worse_than_random_order_is_told_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, bad: bool
) -> None:
    """In the figures, in status and in the log, with what to do; a good strategy hears nothing of it."""
    monkeypatch.setitem(STRATEGIES._entries, "cats_first", _CatsFirst)
    for _ in range(40):
        bench.labelstudio.add_task()
    bench.labelstudio.now = bench.clock.time + timedelta(days=1)  # labelled after it was connected
    strategy = "cats_first" if bad else "uncertainty_k_center(margin)"
    bench.config = CONFIG.model_copy(
        update={
            "selection": Selection(
                strategy=strategy,
                cold_start="cats_first" if bad else "typicality",
                cold_start_labels=6,
            ),
            "queue": Queue(size=12, audit_share=0.5, exploration_share=0),
        }
    )
    bench.start()
    bench.turn()
    figures = _label_all(bench, 54)
    entry = describe(bench.store, bench.store.projects.get(1), bench.clock())
    shown = dict(lines(entry))
    assert {contest["worse"] for contest in figures["against_random"][:1]} == {bad}
    assert ("worse than random order" in shown["strategy"]) is bad
    assert ("worse than random order" in caplog.text) is bad
    assert "chosen labels" in shown["strategy"]
    assert "with 46 more" in shown["forecast"]
    assert "macro-F1 changed by at most" in shown["agreement"]


def test_labels_from_before_the_strategy_are_not_laid_at_its_door(bench: Bench) -> None:
    """What was labelled before the project was connected teaches both sides; so do others' choices."""
    for id_ in list(bench.labelstudio.tasks_)[:20]:
        bench.labelstudio.label(id_, "cat")
    bench.clock.time = bench.labelstudio.now + timedelta(days=2)
    bench.store.projects.connect(bench.labelstudio.info, {}, now=bench.clock())
    bench.config = CONFIG.model_copy(update={"queue": Queue(size=12, audit_share=0.5)})
    bench.start()
    bench.labelstudio.now = bench.clock() + timedelta(seconds=1)
    bench.turn()
    watch = bench.loop._review._watch
    assert watch._since() > bench.store.projects.get(1).connected_at
    before = bench.clock()
    bench.config = bench.config.model_copy(
        update={"selection": Selection(strategy="margin", cold_start_labels=6)}
    )
    bench.start()
    _label_all(bench, 1)
    assert bench.loop._review._watch._since() > before


def test_being_stopped_while_it_measures_breaks_no_round(bench: Bench) -> None:
    """The front is served: the round has finished, whatever comes after."""
    bench.config = CONFIG.model_copy(update={"queue": Queue(size=12, audit_share=0.5)})
    bench.start()
    bench.turn()
    _label_all(bench, 40)

    def stop() -> None:
        raise Crash

    def look(*_: object) -> None:
        stop()

    bench.loop._review._watch.look = look  # type: ignore[method-assign, assignment]
    bench.labelstudio.label(bench.labelstudio.next()[0])
    with pytest.raises(Crash):
        bench.turn()
    bench.loop.failed("stopped")
    done = bench.store.rounds.latest(1)
    assert done is not None
    assert (done.state, done.error) == (RoundState.DONE, None)
