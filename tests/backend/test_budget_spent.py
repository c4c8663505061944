"""What was spent equals a recount of the history exactly, whatever order, loss or repetition it came in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from migrating import upgrade

from backend.budget import Budget, pace, spent
from backend.budget.spent import UNKNOWN_SECONDS, pace_of, winsorised
from backend.domain import Annotation, Project, Task
from backend.store import Store, Worked

pytestmark = pytest.mark.databases

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RATES = Budget(per_hour=Decimal("13.7"), per_label=Decimal("0.035"), currency="EUR")


def connect(store: Store) -> None:
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    connect(opened)
    yield opened
    opened.close()


@dataclass
class Sitting:
    """One annotator at one task, once: what really happened."""

    annotation: Annotation
    milliseconds: int


@dataclass
class Office:
    """A Label Studio with annotators, and everything that it ever said."""

    rng: random.Random
    grows: bool = True
    now: datetime = START
    live: dict[int, Annotation] = field(default_factory=dict)
    sittings: list[Sitting] = field(default_factory=list)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    tasks: set[int] = field(default_factory=lambda: set(range(1, 6)))
    ids: int = 0

    def sit(self) -> None:
        """Somebody labels, skips, or edits; Label Studio's lead time grows with each sitting.

        Unless a program writes it (not `grows`): that may name the time of the last sitting alone.
        """
        self.now += SECOND * self.rng.randint(1, 900)
        took = self.rng.choice([0, 0, self.rng.randint(1, 90_000), self.rng.randint(1, 20_000_000)])
        skipped = self.rng.random() < 0.25
        if self.live and self.rng.random() < 0.5:
            before = self.live[self.rng.choice(sorted(self.live))]
            total = (round((before.lead_time or 0) * 1000) if self.grows else 0) + took
            made = replace(before, was_cancelled=skipped, lead_time=total / 1000, updated_at=self.now)
        elif self.tasks:
            self.ids += 1
            task, user = self.rng.choice(sorted(self.tasks)), self.rng.choice([1, 2, None])
            lead = None if took == 0 and self.rng.random() < 0.5 else took / 1000
            made = Annotation(self.ids, task, (), skipped, False, user, lead, self.now, self.now)
        else:
            return
        self.live[made.id] = made
        self.sittings.append(Sitting(made, took))
        self.sent.append(("heard", made))

    def delete(self) -> None:
        self.now += SECOND
        if self.live and self.rng.random() < 0.8:
            id_ = self.rng.choice(sorted(self.live))
            del self.live[id_]
            self.sent.append(("deleted", id_))
        elif self.tasks and self.rng.random() < 0.3:
            task = self.rng.choice(sorted(self.tasks))
            self.tasks.remove(task)
            self.live = {id_: one for id_, one in self.live.items() if one.task_id != task}
            self.sent.append(("task deleted", task))

    def listing(self) -> list[Task]:
        of = {task: [one for one in self.live.values() if one.task_id == task] for task in self.tasks}
        return [Task(task, {"text": str(task)}, self.now, tuple(of[task])) for task in sorted(self.tasks)]


def play(store: Store, url: str, seed: int) -> tuple[Store, Office, list[Annotation]]:
    """Play one history; returns what happened, and every version that the store was ever told of."""
    rng = random.Random(seed)
    office, told, asked = Office(rng, grows=seed % 4 != 0), [], []
    for _ in range(rng.randint(5, 25)):
        event = rng.choice(["sit", "sit", "sit", "delete", "deliver", "deliver", "ask", "record", "restart"])
        if event == "sit":
            office.sit()
        elif event == "delete":
            office.delete()
        elif event == "deliver" and office.sent:  # late, repeated, out of order
            kind, what = rng.choice(office.sent)
            deliver(store, kind, what, office.now, told)
        elif event == "ask":
            asked.append((office.now, office.listing()))
        elif event == "record" and asked:
            at, tasks = rng.choice(asked)
            store.tasks.record(1, tasks, asked_at=at, now=office.now)
            told += [one for task in tasks for one in task.annotations]
        elif event == "restart":
            store.close()
            store = Store(url)
    if rng.random() < 0.5:  # a poll finds the rest, and late webhooks come once more
        at = office.now + timedelta(minutes=5)
        tasks = office.listing()
        store.tasks.record(1, tasks, asked_at=at, now=at)
        told += [one for task in tasks for one in task.annotations]
        for kind, what in office.sent:
            if rng.random() < 0.3:
                deliver(store, kind, what, at, told)
    return store, office, told


def deliver(store: Store, kind: str, what: Any, now: datetime, told: list[Annotation]) -> None:
    if kind == "heard":
        store.annotations.heard(1, [what], now=now)
        told.append(what)
    elif kind == "deleted":
        store.annotations.heard_deleted(1, [what], now=now)
    else:
        store.tasks.remove(1, [what], now=now)


def recount(told: list[Annotation], cap: int, since: datetime | None) -> tuple[int, int, int]:
    """Labels, skips and milliseconds by going through every annotation's versions, one after another."""
    labels = skips = milliseconds = 0
    for id_ in {one.id for one in told}:
        versions = {one.updated_at: one for one in told if one.id == id_}
        longest = 0
        for place, at in enumerate(sorted(versions)):
            one = versions[at]
            lead = round((one.lead_time or 0) * 1000)
            when = one.created_at if place == 0 else at
            if lead > longest and (since is None or when >= since):
                milliseconds += min(cap, lead - longest)
            longest = max(longest, lead)
        if since is None or min(one.created_at for one in versions.values()) >= since:
            if all(one.was_cancelled for one in versions.values()):
                skips += 1
            else:
                labels += 1
    return labels, skips, milliseconds


@pytest.mark.parametrize("part", range(10))
def test_in_500_random_histories_the_spend_is_that_of_a_recount(url: str, part: int) -> None:
    """Edits, deletes, skips, overlap, replays, losses, restarts; and what really happened agrees.

    In 50 of them on PostgreSQL.
    """
    store, edited, histories = Store.open(url), 0, 50 if url.startswith("sqlite") else 5
    for seed in range(50 * part, 50 * part + histories):
        connect(store)
        store, office, told = play(store, url, seed)
        middle = START + (office.now - START) / 2
        for minutes, since in ((1440, None), (1, None), (60, middle)):
            budget = replace(RATES, most_minutes=Decimal(minutes), since=since)
            found = spent(store, 1, budget)
            labels, skips, milliseconds = recount(told, minutes * 60_000, since)
            assert (found.labels, found.skips, found.milliseconds) == (labels, skips, milliseconds), seed
            price = Decimal("13.7") * milliseconds / 3_600_000 + Decimal("0.035") * labels
            assert found.money == price.quantize(Decimal("0.01"))
        # no sitting lasts a day: all time up to the last version that was heard of has been paid
        last = {one.id: max(t.updated_at for t in told if t.id == one.id) for one in told}
        really = sum(
            each.milliseconds
            for each in office.sittings
            if each.annotation.id in last and each.annotation.updated_at <= last[each.annotation.id]
        )
        whole = spent(store, 1, replace(RATES, most_minutes=Decimal(1440)))
        assert whole.milliseconds == really or not office.grows
        edited += whole.edits
        by_day = store.work.by_day(1, cap=RATES.cap)
        assert sum(day.labels for day in by_day) == whole.labels
        assert sum(day.milliseconds for day in by_day) == spent(store, 1, RATES).milliseconds
        by_annotator = store.work.by_annotator(1, cap=RATES.cap)
        assert sum(each.labels for each in by_annotator.values()) == whole.labels
        store.projects.forget(1)
    assert edited > 5 or histories == 5, "fifty histories hold edits"
    store.close()


# --- one rule at a time -----------------------------------------------------------------------------


def answer(
    id_: int, lead: float | None = 5.0, *, at: datetime = START, skip: bool = False, task: int = 11
) -> Annotation:
    return Annotation(id_, task, (), skip, False, 1, lead, START, at)


def hear(store: Store, *items: Annotation) -> None:
    for item in items:
        store.annotations.heard(1, [item], now=START)


def test_a_deleted_annotation_was_paid_for(store: Store) -> None:
    hear(store, answer(1), answer(2))
    store.annotations.heard_deleted(1, [2], now=START)
    found = spent(store, 1, RATES)
    assert (found.labels, found.deleted, found.milliseconds) == (2, 1, 10_000)


def test_an_annotation_that_is_heard_of_after_its_delete_was_paid_for(store: Store) -> None:
    store.annotations.heard_deleted(1, [1], now=START)
    assert spent(store, 1, RATES).labels == 0
    hear(store, answer(1))
    assert spent(store, 1, RATES).labels == 1
    assert store.annotations.counts(1).submitted == 0


def test_an_edit_adds_its_time_and_no_label(store: Store) -> None:
    hear(store, answer(1, 5), answer(1, 8.5, at=START + SECOND))
    found = spent(store, 1, RATES)
    assert (found.labels, found.edits, found.milliseconds) == (1, 1, 8500)


def test_a_lead_time_that_falls_takes_nothing_back(store: Store) -> None:
    """Programs may write what they like; what was paid stays paid."""
    hear(store, answer(1, 5), answer(1, 2, at=START + SECOND), answer(1, 6, at=START + 2 * SECOND))
    assert spent(store, 1, RATES).milliseconds == 6000


def test_a_skip_costs_time_and_is_no_label_until_it_is_submitted(store: Store) -> None:
    hear(store, answer(1, 5, skip=True))
    assert (spent(store, 1, RATES).labels, spent(store, 1, RATES).skips) == (0, 1)
    assert spent(store, 1, RATES).milliseconds == 5000
    hear(store, answer(1, 9, at=START + SECOND))
    assert (spent(store, 1, RATES).labels, spent(store, 1, RATES).skips) == (1, 0)


def test_an_old_version_in_an_old_listing_was_paid_for_too(store: Store) -> None:
    """Nothing else in it is news: the skip that followed was heard of before."""
    task = Task(11, {"text": "a"}, START)
    store.tasks.record(1, [task], asked_at=START, now=START)
    hear(store, answer(1, 9, at=START + SECOND, skip=True))
    assert spent(store, 1, RATES).labels == 0
    store.tasks.record(1, [replace(task, annotations=(answer(1),))], asked_at=START, now=START + SECOND)
    assert (spent(store, 1, RATES).labels, spent(store, 1, RATES).milliseconds) == (1, 9000)


def test_each_annotation_of_an_overlapping_task_counts(store: Store) -> None:
    hear(store, answer(1), answer(2), answer(3))
    assert spent(store, 1, RATES).labels == 3


def test_ten_hours_count_as_the_cap_and_zero_as_nothing(store: Store) -> None:
    hear(store, answer(1, 36_000), answer(2, 0), answer(3, None), answer(4, 30))
    found = spent(store, 1, RATES)
    assert (found.milliseconds, found.capped, found.untimed) == (3_600_000 + 30_000, 1, 2)
    assert spent(store, 1, replace(RATES, most_minutes=Decimal(10))).milliseconds == 630_000


def test_each_sitting_is_capped_on_its_own(store: Store) -> None:
    """After a night with an open tab, an edit still adds its time."""
    hear(store, answer(1, 36_000), answer(1, 36_020, at=START + SECOND))
    assert spent(store, 1, RATES).milliseconds == 3_620_000


@pytest.mark.parametrize("lead", [-5.0, float("inf"), float("nan"), 1e300])
def test_what_cannot_be_a_time_is_none(store: Store, lead: float) -> None:
    hear(store, answer(1, lead))
    found = spent(store, 1, RATES)
    assert (found.labels, found.milliseconds, found.untimed) == (1, 0, 1)


def test_what_was_seen_before_the_store_kept_versions_is_counted(new_url: str) -> None:
    """The migration starts from the annotations as they are."""
    store = Store(new_url)
    with store.database.write() as db:
        upgrade(db, "0001")
        db.execute(
            sa.text(
                "INSERT INTO project (id, title, label_config, connected_at, connected, previous)"
                " VALUES (1, 't', '', '2026-03-01 12:00:00.000000', true, '{}')"
            )
        )
        for id_, lead, deleted in ((1, "7.25", False), (2, "NULL", True)):
            db.execute(
                sa.text(
                    "INSERT INTO annotation (project_id, id, task_id, result, was_cancelled, ground_truth,"
                    " lead_time, created_at, updated_at, seen_at, deleted, change) VALUES"
                    f" (1, {id_}, 11, '[]', false, false, {lead}, '2026-03-01 12:00:00.000000',"
                    f" '2026-03-01 12:00:00.000000', '2026-03-01 12:00:00.000000', {deleted}, 1)"
                )
            )
    store.migrate()
    found = spent(store, 1, RATES)
    assert (found.labels, found.deleted, found.milliseconds) == (2, 1, 7250)
    hear(store, answer(1, 7.25))  # the same version once more
    assert spent(store, 1, RATES).milliseconds == 7250
    store.close()


# --- what a label costs -----------------------------------------------------------------------------


def worked(seconds: list[float], skips: int = 0) -> list[Worked]:
    return [Worked(id_, id_, 1, round(each * 1000), skipped=id_ < skips) for id_, each in enumerate(seconds)]


def test_a_break_of_ten_hours_moves_the_pace_little_and_zeros_not_at_all() -> None:
    rng = random.Random(1)
    usual = [rng.lognormvariate(2.5, 0.5) for _ in range(200)]
    plain = pace_of(worked(usual), Budget())
    odd = pace_of(worked([*usual, 36_000.0, 36_000.0, 0.0, 0.0]), Budget())
    assert odd.seconds == pytest.approx(plain.seconds, rel=0.1)
    assert plain.seconds == pytest.approx(sum(usual) / 200, rel=0.05), "without outliers it is the mean"
    assert odd.upper > odd.seconds


def test_skips_are_part_of_what_a_label_costs() -> None:
    assert pace_of(worked([10.0] * 20, skips=10), Budget()).seconds == pytest.approx(20)


def test_nobody_knows_what_a_label_costs_from_four(store: Store) -> None:
    assert pace_of(worked([10.0] * 4), Budget()).seconds == UNKNOWN_SECONDS
    hear(store, *(answer(id_, 12) for id_ in range(1, 9)))
    assert pace(store, 1, Budget()).seconds == pytest.approx(12)


def test_winsorising_leaves_the_order_and_the_middle() -> None:
    rng = random.Random(2)
    given = [rng.lognormvariate(2, 1) for _ in range(50)] + [1e6, 1e-6]
    kept = winsorised(given)
    assert sorted(range(52), key=lambda i: (kept[i], given[i])) == sorted(range(52), key=given.__getitem__)
    assert kept[:50] == pytest.approx(given[:50])
    assert max(kept) < 1e5
