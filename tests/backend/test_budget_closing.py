"""When nothing is left the queue closes, whatever is killed meanwhile, and opens again as it was."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.budget import Gate, Kind, Standing, allowance, give_back, save_budget, save_stand, spent
from backend.budget.closing import banner, without_banner
from backend.config import ProjectConfig
from backend.config.types import Notify
from backend.domain import Annotation, LeaseLost, NotFound, Project, StepTiming, Task
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OWN = "<p>Label the <b>animal</b>.</p><p>If unsure, skip.</p>"


class Crash(Exception):
    """The process dies here."""


class Switchboard:
    """A project's settings in Label Studio; `before` is called with each request and may raise."""

    def __init__(self, overlap: int = 1) -> None:
        self.info = Project(
            1,
            "animals",
            "<View/>",
            "",
            "",
            True,
            overlap,
            0,
            0,
            expert_instruction=OWN,
            show_instruction=False,
        )
        self.requests: list[str] = []
        self.before: Callable[[str], None] = lambda name: None

    def project(self, project_id: int) -> Project:
        self._ask("project")
        return self.info

    def update_project(self, project_id: int, **fields: Any) -> Project:
        self._ask("update")
        self.info = replace(self.info, **fields)
        self.before("update was done")
        return self.info

    def settings(self) -> tuple[int, str, bool]:
        return self.info.maximum_annotations, self.info.expert_instruction, self.info.show_instruction

    def _ask(self, name: str) -> None:
        self.requests.append(name)
        self.before(name)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        self.time += SECOND
        return self.time


class Desk:
    """A store, a Label Studio, a manager, an annotator and the worker's gate."""

    def __init__(self, store: Store, overlap: int = 1) -> None:
        self.store, self.clock, self.labelstudio = store, Clock(), Switchboard(overlap)
        self.ids = itertools.count(1)
        store.projects.connect(self.labelstudio.info, {}, now=self.clock())
        self.start()

    def start(self) -> None:
        self.gate = Gate(self.store, ProjectConfig(), 1, now=self.clock)

    def budget(self, **fields: Any) -> None:
        from backend.budget import budget_of

        revision = budget_of(self.store, 1).revision
        save_budget(self.store, 1, fields, revision=revision, author="Ada", now=self.clock())

    def label(self, count: int = 1, seconds: float = 10, **more: Any) -> None:
        for _ in range(count):
            now, id_ = self.clock(), next(self.ids)
            item = Annotation(id_, id_, (), more.get("skip", False), False, 1, seconds, now, now)
            self.store.annotations.heard(1, [item], now=now)

    def settle(self, **options: Any) -> Any:
        return self.gate.settle(self.labelstudio, self.store.projects.get(1), **options)

    def poll(self) -> Any:
        """Read the project as a sync does, and settle."""
        seen = self.labelstudio.project(1)
        self.store.projects.describe(seen)
        return self.settle(seen=seen)

    def measure(self, low: float, high: float = 0.99, metric: str = "accuracy", n: int = 400) -> None:
        last = self.store.rounds.latest(1)
        number = last.number + 1 if last else 1
        figures = {f"audit_{metric}": {"value": (low + high) / 2, "low": low, "high": high, "n": n}}
        self.store.rounds.start(1, number, 1, "test", now=self.clock())
        steps = [StepTiming("fit", 0.1)]
        self.store.rounds.finish(1, number, 1, change=1, steps=steps, figures=figures, now=self.clock())
        self.start()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store, overlap=2)


# --- how much may be asked for ----------------------------------------------------------------------


def test_without_a_budget_nothing_is_limited(desk: Desk) -> None:
    desk.label(5)
    allowed = desk.settle()
    assert (allowed.labels, allowed.closed, allowed.reasons) == (None, False, ())
    assert allowed.cut([1] * 100) == 100
    assert desk.labelstudio.requests == [], "Label Studio is not asked"


def test_batches_shrink_to_the_labels_that_are_left(desk: Desk) -> None:
    desk.budget(labels=10)
    desk.label(4)
    allowed = desk.settle()
    assert (allowed.labels, allowed.soon) == (6, True)
    assert allowed.cut([1] * 100) == 6
    assert allowed.cut([2] * 100) == 3
    assert allowed.cut([1, 2, 2, 2]) == 3
    assert allowed.cut([7, 1]) == 1, "while the queue is open, something is in it"
    assert allowed.cut([]) == 0
    assert "6 of 10 labels left" in allowed.says


def test_hours_and_money_become_labels_at_the_upper_end_of_what_one_costs(desk: Desk) -> None:
    desk.label(50, seconds=36)
    desk.budget(hours=1, money=20, currency="EUR", per_hour=20, per_label="0.1")
    allowed = desk.settle()
    assert allowed.pace.seconds == pytest.approx(36)
    # half an hour is left, of 20 EUR half an hour's 10 and 50 labels' 5: 5 EUR at 0.30 a label
    assert {limit.kind: limit.labels for limit in allowed.reasons} == {Kind.MONEY: 16, Kind.HOURS: 50}
    assert allowed.labels == 16
    assert allowed.left["hours"] == pytest.approx(0.5)
    now = desk.clock()
    uneven = [Annotation(900 + i, 900 + i, (), False, False, 1, (9, 70)[i % 2], now, now) for i in range(20)]
    desk.store.annotations.heard(1, uneven, now=now)
    desk.budget(hours=1)
    wide = desk.settle()
    assert wide.pace.upper > wide.pace.seconds
    seconds_left = 3600 - (50 * 36 + 10 * 79)
    assert wide.labels == int(seconds_left / wide.pace.upper)


def test_the_tightest_limit_comes_first_and_at_least_one_label_while_anything_is_left(desk: Desk) -> None:
    desk.label(20, seconds=100)
    desk.budget(labels=1000, hours="0.56")
    allowed = desk.settle()
    assert (allowed.labels, allowed.closed) == (1, False)
    assert allowed.reasons[0].kind is Kind.HOURS
    desk.label(1, seconds=100)
    assert desk.settle().closed


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"labels": 5}, "all 5 labels are made"),
        ({"hours": "0.01"}, "all 36 seconds are spent"),
        ({"money": 1, "currency": "EUR", "per_label": "0.2"}, "all 1.00 EUR are spent"),
        ({"deadline": "2026-03-01T12:30"}, "the deadline 2026-03-01 12:30 UTC has passed"),
    ],
)
def test_each_limit_closes(desk: Desk, fields: dict[str, Any], says: str) -> None:
    desk.budget(**fields)
    assert not desk.settle().closed
    desk.label(5)
    desk.clock.time += timedelta(hours=1)
    allowed = desk.settle()
    assert (allowed.closed, allowed.labels, allowed.says, allowed.cut([1])) == (True, 0, says, 0)
    assert desk.labelstudio.info.maximum_annotations == 0


def test_the_target_is_reached_when_the_metric_is_surely_above_it_and_stays_so(desk: Desk) -> None:
    desk.budget(target_value="0.9")
    assert not desk.settle().closed, "0 audit labels: nobody knows"
    desk.measure(low=0.88, high=0.94)
    assert not desk.settle().closed
    desk.measure(low=0.91, n=50)
    assert not desk.settle().closed, "the best of many looks may be luck"
    desk.measure(low=0.91)
    allowed = desk.settle()
    assert allowed.closed
    assert allowed.says == "the target is reached: accuracy 91.0 % to 99.0 %, 90.0 % was wanted"
    desk.measure(low=0.89)
    assert desk.settle().closed, "annotators are not called back for a fluctuation"
    desk.budget(target_value="0.95")
    assert not desk.settle().closed, "but for a higher target"


def test_saving_the_budget_again_opens_what_its_target_closed_where_it_no_longer_holds(desk: Desk) -> None:
    """Labels were corrected; the budget is the same, word for word."""
    desk.budget(target_value="0.9")
    desk.measure(low=0.91)
    assert desk.settle().closed
    desk.measure(low=0.8)
    assert desk.settle().closed
    desk.budget(target_value="0.9")
    assert not desk.settle().closed


def test_what_was_measured_of_another_question_reaches_no_target(desk: Desk) -> None:
    """The label config was changed: other classes, or the same of another part of the task."""
    desk.budget(target_value="0.9")
    asked = {"asks": "label Text $text classes 1f"}
    reached = {"metric": "accuracy", "value": 0.97, "low": 0.95, "high": 0.98, "n": 300}
    rounds = [
        {**asked, "audit_accuracy": reached},
        {"asks": "label Text $text classes 2e"},
        {"asks": "label Text $title classes 1f"},
        asked,
    ]
    closed = []
    for number, figures in enumerate(rounds, start=1):
        desk.store.rounds.start(1, number, 1, "test", now=desk.clock())
        desk.store.rounds.finish(1, number, 1, change=1, steps=[], figures=figures, now=desk.clock())
        if number > 1:
            closed.append(desk.settle().closed)
    assert closed == [False, False, False]
    desk.store.rounds.add_figures(1, 4, {"audit_accuracy": reached})
    assert desk.settle().closed


def test_another_metric_can_be_the_target(desk: Desk) -> None:
    desk.budget(target_value="0.9", target_metric="macro_f1")
    desk.measure(low=0.95)
    assert not desk.settle().closed
    desk.measure(low=0.95, metric="macro_f1")
    assert desk.settle().closed


def test_what_accuracy_stands_for_is_named(desk: Desk) -> None:
    """For entities the headline is their F1."""
    desk.budget(target_value="0.9")
    figures = {"metric": "entity_f1", "value": 0.95, "low": 0.93, "high": 0.97, "n": 300}
    desk.store.rounds.start(1, 1, 1, "test", now=desk.clock())
    desk.store.rounds.finish(
        1, 1, 1, change=1, steps=[], figures={"audit_accuracy": figures}, now=desk.clock()
    )
    assert "entity f1 93.0 % to 97.0 %" in desk.settle().says


# --- closing and opening ----------------------------------------------------------------------------


def test_closing_keeps_what_was_there_and_raising_the_budget_restores_it(desk: Desk) -> None:
    desk.budget(labels=3)
    desk.label(3)
    assert desk.settle().closed
    assert desk.labelstudio.settings() == (0, banner(Notify().closed_text) + OWN, True)
    desk.budget(labels=5)
    assert not desk.settle().closed
    assert desk.labelstudio.settings() == (2, OWN, False)
    assert desk.store.projects.get(1).wanted == "the queue was reopened"
    desk.label(2)
    desk.settle()
    desk.budget(labels=None)
    desk.settle()
    assert desk.labelstudio.settings() == (2, OWN, False), "and a second time"


def test_a_budget_that_is_spent_makes_a_poll_due_at_once_and_only_one(desk: Desk) -> None:
    """With webhooks the next poll may be half a minute off; closing must not wait for it."""
    desk.budget(labels=1)
    desk.settle()
    desk.store.projects.polled(1, cursor=None, now=desk.clock())
    desk.label()

    def due() -> bool:
        desk.gate.check(desk.store.projects.get(1))
        known = desk.store.projects.get(1)
        assert known.polled_at is not None
        return known.woken_at is not None and known.woken_at > known.polled_at

    assert due()
    assert desk.gate.soon
    woken = desk.store.projects.get(1).woken_at
    assert due()
    assert desk.store.projects.get(1).woken_at == woken
    desk.settle()
    desk.store.projects.polled(1, cursor=None, now=desk.clock())
    assert not due()
    assert not desk.gate.soon


def test_a_closed_queue_is_closed_once(desk: Desk) -> None:
    desk.budget(labels=1)
    desk.label(3)
    for _ in range(3):
        desk.settle()
        desk.start()
    assert desk.labelstudio.requests == ["project", "update"]


@pytest.mark.parametrize("when", ["project", "update", "update was done", "keep", "settle", "want"])
@pytest.mark.parametrize("opening", [False, True])
def test_killed_anywhere_it_is_finished_later(
    desk: Desk, when: str, opening: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the budget was raised or spent again in between."""
    desk.budget(labels=1)
    desk.label()
    if opening:
        desk.settle()
        desk.budget(labels=2)

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        if when in ("keep", "settle", "want"):
            patched.setattr(desk.store.closures, when, crash)
        desk.labelstudio.before = lambda name: crash() if name == when else None
        try:
            desk.settle()
        except Crash:
            died = True
        else:
            died = False
    assert died or (opening and when == "keep")
    desk.labelstudio.before = lambda name: None
    desk.start()
    assert desk.poll().closed is not opening
    closed = (0, banner(Notify().closed_text) + OWN, True)
    assert desk.labelstudio.settings() == ((2, OWN, False) if opening else closed)
    desk.budget(labels=9)
    desk.start()
    desk.poll()
    assert desk.labelstudio.settings() == (2, OWN, False)


def test_while_it_is_closed_the_project_keeps_its_overlap(desk: Desk) -> None:
    """Rounds must not take 0 for the number of annotations that a task wants."""
    desk.budget(labels=1)
    desk.label()
    desk.settle()
    change = desk.store.projects.get(1).change
    desk.poll()
    known = desk.store.projects.get(1)
    assert (known.maximum_annotations, known.change) == (2, change)


def test_who_opens_it_by_hand_finds_it_closed_and_their_overlap_kept(desk: Desk) -> None:
    desk.budget(labels=1)
    desk.label()
    desk.settle()
    desk.labelstudio.info = replace(desk.labelstudio.info, maximum_annotations=3)
    desk.poll()
    assert desk.labelstudio.info.maximum_annotations == 0
    desk.budget(labels=9)
    desk.poll()
    assert desk.labelstudio.settings() == (3, OWN, False)


def test_a_stale_worker_that_closed_it_is_found_out(desk: Desk) -> None:
    desk.budget(labels=1)
    desk.label()
    desk.settle()
    desk.budget(labels=9)
    desk.settle()
    desk.labelstudio.info = replace(desk.labelstudio.info, maximum_annotations=0)
    desk.poll()
    assert desk.labelstudio.info.maximum_annotations == 2


def test_an_instruction_that_was_edited_meanwhile_stays_edited(desk: Desk) -> None:
    desk.budget(labels=1)
    desk.label()
    desk.settle()
    info = desk.labelstudio.info
    edited = info.expert_instruction.replace("animal", "plant")
    desk.labelstudio.info = replace(info, expert_instruction=edited)
    desk.budget(labels=9)
    desk.settle()
    assert desk.labelstudio.settings() == (2, OWN.replace("animal", "plant"), False)
    desk.label(8)
    desk.settle()
    desk.labelstudio.info = replace(desk.labelstudio.info, expert_instruction="<p>All new</p>")
    desk.budget(labels=99)
    desk.settle()
    assert desk.labelstudio.settings() == (2, "<p>All new</p>", True), "what is not ours is left alone"


def test_a_pause_tells_annotators_why_and_ends_without_a_trace(desk: Desk) -> None:
    note = "The guidelines <change>; back at 2"
    save_stand(desk.store, 1, Standing.PAUSED, note=note, author="Ada", now=desk.clock())
    allowed = desk.settle()
    assert allowed.says == f"Ada paused it: {note}"
    text = f"{Notify().paused_text} {note}"
    assert desk.labelstudio.settings() == (0, banner(text) + OWN, True)
    assert without_banner(desk.labelstudio.info.expert_instruction, text) == OWN
    save_stand(desk.store, 1, Standing.CLOSED, author="Ada", now=desk.clock())
    desk.settle()
    assert desk.labelstudio.settings() == (0, banner(Notify().closed_text) + OWN, True)
    save_stand(desk.store, 1, Standing.RUNNING, author="Ada", now=desk.clock())
    desk.settle()
    assert desk.labelstudio.settings() == (2, OWN, False)


def test_a_worker_that_lost_its_lease_closes_nothing(desk: Desk) -> None:
    def lost() -> None:
        raise LeaseLost("another worker has it")

    desk.budget(labels=1)
    desk.label()
    with pytest.raises(LeaseLost):
        desk.settle(check=lost)
    assert desk.labelstudio.requests == []
    assert desk.store.closures.get(1) is None


def test_a_worker_that_lost_its_lease_leaves_alone_what_was_opened_by_hand(desk: Desk) -> None:
    """The lease is looked at just before Label Studio is changed, also where the store stays as it is."""

    def lost() -> None:
        raise LeaseLost("another worker has it")

    desk.budget(labels=1)
    desk.label()
    desk.settle()
    opened = desk.labelstudio.info = replace(desk.labelstudio.info, maximum_annotations=3)
    desk.labelstudio.requests.clear()
    with pytest.raises(LeaseLost):
        desk.settle(check=lost, seen=opened)
    assert desk.labelstudio.requests == []
    assert desk.labelstudio.info == opened


def test_a_project_that_is_given_back_is_open_and_closes_again_when_it_returns(desk: Desk) -> None:
    give_back(desk.store, desk.labelstudio, 1)
    assert desk.labelstudio.requests == []
    desk.budget(labels=1)
    desk.label()
    desk.settle()
    for _ in range(2):
        give_back(desk.store, desk.labelstudio, 1)
        assert desk.labelstudio.settings() == (2, OWN, False)
    desk.start()
    desk.settle()
    assert desk.labelstudio.settings()[0] == 0


def test_a_project_deleted_in_label_studio_is_one_clear_error_and_tried_again(desk: Desk) -> None:
    def gone(name: str) -> None:
        raise NotFound("project 1 does not exist in Label Studio")

    desk.budget(labels=1)
    desk.label()
    desk.labelstudio.before = gone
    for _ in range(2):
        with pytest.raises(NotFound, match="project 1 does not exist"):
            desk.settle()
    desk.budget(labels=5)  # its budget can be set all the same
    desk.labelstudio.before = lambda name: None
    desk.settle()
    assert desk.labelstudio.settings() == (2, OWN, False)


# --- a whole project --------------------------------------------------------------------------------


@dataclass
class Floor:
    """Annotators at a Label Studio that keeps its rules: closed at 0, the front first, then at random."""

    rng: random.Random
    overlap: int
    people: int
    wants: int = 1
    front: list[int] = field(default_factory=list)
    done: dict[int, list[Annotation]] = field(default_factory=dict)
    open: dict[int, tuple[int, datetime, int]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def sit_down(self, now: datetime) -> None:
        """Everybody without a task takes the next one, if there is any."""
        for user in range(1, self.people + 1):
            if user not in self.open and (task := self._next(user)) is not None:
                took = int(self.rng.lognormvariate(2.2, 0.6) * 1000) + 1
                self.open[user] = (task, now + timedelta(milliseconds=took), took)

    def hand_in(self, user: int, now: datetime) -> Annotation:
        task, _, took = self.open.pop(user)
        skip = self.rng.random() < 0.1
        made = Annotation(next(self.ids), task, (), skip, False, user, took / 1000, now, now)
        self.done.setdefault(task, []).append(made)
        return made

    def labels(self) -> int:
        return sum(not one.was_cancelled for of in self.done.values() for one in of)

    def waiting(self, task: int) -> int:
        return self.overlap - sum(not one.was_cancelled for one in self.done.get(task, []))

    def _next(self, user: int) -> int | None:
        if self.wants < 1:
            return None
        locked = [task for task, _, _ in self.open.values()]

        def free(task: int) -> bool:
            mine = any(one.completed_by == user for one in self.done.get(task, []))
            return not mine and self.waiting(task) - locked.count(task) > 0

        begun = [task for task in self.done if free(task) and self.overlap > 1]
        if begun:
            return self.rng.choice(begun)
        ordered = [task for task in self.front if free(task)]
        rest = [task for task in range(1, 400) if free(task)]
        return ordered[0] if ordered else self.rng.choice(rest) if rest else None


@pytest.mark.parametrize("seed", range(24))
def test_the_labels_asked_for_exceed_the_budget_by_what_was_open_at_most(store: Store, seed: int) -> None:
    """Annotators, overlap, skips and restarts at random; budgets of labels, hours or money."""
    rng = random.Random(seed)
    overlap, people = rng.choice([1, 1, 2, 3]), rng.randint(1, 5)
    desk, floor = Desk(store, overlap=overlap), Floor(rng, overlap, people)
    fields: dict[str, Any] = [
        {"labels": rng.randint(5, 60)},
        {"hours": rng.randint(2, 20) / 60},
        {"money": rng.randint(1, 5), "currency": "EUR", "per_hour": 18, "per_label": "0.02"},
    ][seed % 3]
    desk.budget(**fields)
    now, open_at_end, longest = START, None, 0
    for _ in range(5000):
        desk.clock.time = now
        if rng.random() < 0.1:
            desk.start()
        allowed = desk.settle()
        floor.wants = desk.labelstudio.info.maximum_annotations
        if allowed.closed and open_at_end is None:
            open_at_end = len(floor.open)
        if not allowed.closed:
            ranked = rng.sample(range(1, 400), 399)
            wanted = [task for task in ranked if floor.waiting(task) > 0]
            floor.front = wanted[: min(30, allowed.cut([floor.waiting(task) for task in wanted]))]
            asked = sum(floor.waiting(task) for task in floor.front)
            if "labels" in fields and len(floor.front) > 1:
                assert floor.labels() + asked <= fields["labels"]
        floor.sit_down(now)
        if not floor.open:
            break
        user = min(floor.open, key=lambda each: floor.open[each][1])
        now = max(now, floor.open[user][1])
        longest = max(longest, floor.open[user][2])
        made = floor.hand_in(user, now)
        store.annotations.heard(1, [made], now=now)
    assert open_at_end is not None, "the budget was spent"
    assert not floor.open
    found = spent(store, 1, desk.settle().budget.value)
    if "labels" in fields:
        assert fields["labels"] <= found.labels <= fields["labels"] + open_at_end
    elif "hours" in fields:
        assert fields["hours"] <= found.hours <= fields["hours"] + (open_at_end + 1) * longest / 3_600_000
    else:
        most = (open_at_end + 1) * (18 * longest / 3_600_000 + 0.02)
        assert fields["money"] <= float(found.money or 0) <= fields["money"] + most + 0.01
    assert allowance(store, 1, now=now).closed


def test_a_poll_finds_the_end_of_the_budget_too(desk: Desk) -> None:
    """Without any webhook: what a listing brings closes the queue."""
    desk.budget(labels=2)
    now = desk.clock()
    items = tuple(Annotation(i, 7, (), False, False, i, 5.0, now, now) for i in (1, 2))
    desk.store.tasks.record(1, [Task(7, {"text": "x"}, now, items)], asked_at=now, now=now)
    assert desk.poll().closed
    assert desk.labelstudio.info.maximum_annotations == 0
