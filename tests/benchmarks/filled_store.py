"""A store as a project of many weeks leaves it: tasks, annotations, rounds and their figures, a front, a map.

For the benchmark of the pages, their tests, and a look at them:

    python tests/benchmarks/filled_store.py FOLDER [--tasks 2000] [--annotations 600] [--rounds 120]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.random import Generator

sys.path.insert(0, str(Path(__file__).parents[2]))

from backend.budget import save_budget
from backend.domain import Annotation, FrontTask, Origin, Project, StepTiming, Task
from backend.labels.forms import Form
from backend.quality import measure
from backend.store import Store
from backend.store.pages import PoolMap
from backend.store.schema import project as project_table
from backend.store.schema import round_ as round_table
from strategies.forecast import forecast

TOPICS = {
    "card declined": (
        "Why was my card declined",
        "My payment did not go through",
        "The shop refused my card",
    ),
    "card arrival": (
        "When will my new card arrive",
        "My card has not come yet",
        "How long does delivery take",
    ),
    "lost card": ("I lost my card", "Somebody stole my wallet", "Please block my card"),
    "exchange rate": ("What exchange rate do you use", "The rate looks wrong", "Do you take a fee abroad"),
    "top up failed": ("My top-up failed", "The money never reached my account", "Topping up does not work"),
    "transfer": ("How long does a transfer take", "The transfer is still pending", "Cancel my transfer"),
    "refund": ("Where is my refund", "I want my money back", "The merchant did not refund me"),
    "identity": ("Why must I verify my identity", "My passport is not accepted", "Is my selfie enough"),
}
TAILS = (
    "after the weekend?", "since yesterday", "for the second time", "at the petrol station", "in Lisbon",
    "with the app on my new phone", "and nobody answers", "even though the balance is fine", "please help",
)  # fmt: skip
LABELS = tuple(TOPICS)
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="topic" toName="text">'
    + "".join(f'<Choice value="{name}"/>' for name in LABELS)
    + "</Choices></View>"
)
PEOPLE = {1: "Ada Moreau", 2: "Jun-ho Park", 3: "Lena Fischer", 4: "Tomás Silva"}
SHARES = np.array([22, 18, 8, 14, 12, 13, 9, 4]) / 100
STEPS = ("read", "encode", "fit", "rank", "publish")


def fill(
    url: str,
    *,
    now: datetime,
    tasks: int = 2000,
    annotations: int = 600,
    rounds: int = 120,
    project_id: int = 1,
    title: str = "Customer questions",
    front: int = 100,
) -> Store:
    """Fill a store; the same arguments give the same content."""
    rng = np.random.default_rng(project_id)
    store = Store.open(url)
    begun = now - timedelta(days=21)
    store.projects.connect(
        Project(project_id, title, CONFIG, "", "", True, 1, tasks, annotations), {}, now=begun
    )
    topics = rng.choice(len(LABELS), tasks, p=SHARES)
    _record(store, project_id, topics, annotations, begun, now, rng)
    store.access.name_people(PEOPLE)
    lease = store.leases.take(project_id, "worker", now=now, seconds=3600)
    assert lease is not None
    _rounds(store, project_id, topics, annotations, rounds, begun, now, rng)
    version, queued = f"nextlabel-{rounds}.1", _front(topics, annotations, front, rng)
    store.queue.begin(lease, version, queued, number=rounds, attempt=1, now=now)
    store.queue.switch(project_id, version, now=now)
    store.pages.set_facts(project_id, version, _facts(queued, topics, annotations, rng))
    store.pages.set_map(project_id, _map(topics, annotations, queued, rounds, now, rng))
    store.leases.beat("worker", now=now)
    store.projects.polled(project_id, cursor=now, now=now)
    return store


def set_budget(store: Store, project_id: int, *, now: datetime) -> None:
    """Give the project a budget as a manager would."""
    fields = {"labels": "1200", "money": "400", "currency": "EUR", "per_hour": "22", "target_value": "0.93"}
    day = (now + timedelta(days=40)).date().isoformat()
    save_budget(store, project_id, {**fields, "deadline": day}, revision=0, author="Lena Fischer", now=now)


def text_of(task_id: int, topic: int) -> str:
    begin = TOPICS[LABELS[topic]][task_id % 3]
    return f"{begin} {TAILS[(task_id // 3) % len(TAILS)]}"


def _record(
    store: Store,
    project_id: int,
    topics: Sequence[int],
    annotations: int,
    begun: datetime,
    now: datetime,
    rng: Generator,
) -> None:
    when = np.sort(rng.random(annotations)) * (now - begun).total_seconds()
    people, pace = (
        rng.choice([1, 2, 3, 4], annotations, p=[0.45, 0.3, 0.2, 0.05]),
        rng.lognormal(3.1, 0.6, annotations),
    )
    base = project_id * 10_000_000
    for start in range(0, len(topics), 2000):
        page = []
        for index in range(start, min(start + 2000, len(topics))):
            given: tuple[Annotation, ...] = ()
            if index < annotations:
                at, skipped = begun + timedelta(seconds=float(when[index])), index % 61 == 60
                result = {"from_name": "topic", "to_name": "text", "type": "choices"}
                value = {"value": {"choices": [LABELS[topics[index]]]}}
                given = (
                    Annotation(
                        base + index, base + index, () if skipped else ({**result, **value},), skipped, False,
                        int(people[index]), float(pace[index]), at, at,
                    ),
                )  # fmt: skip
            page.append(Task(base + index, {"text": text_of(index, int(topics[index]))}, begun, given))
        store.tasks.record(project_id, page, asked_at=now, now=now)


def accuracy_at(labels: int) -> float:
    """A learning curve as they are: a power law."""
    return 0.955 - 0.62 * (1 + labels / 12) ** -0.62


def _rounds(
    store: Store,
    project_id: int,
    topics: Sequence[int],
    annotations: int,
    rounds: int,
    begun: datetime,
    now: datetime,
    rng: Generator,
) -> None:
    rows, past = [], []
    for number in range(1, rounds + 1):
        labelled = max(8, round(annotations * (number / rounds) ** 1.2))
        n = max(10, labelled // 8)
        if not past or labelled >= 1.06 * past[-1][0]:
            value = min(1.0, max(0.0, accuracy_at(labelled) + rng.normal(0, 0.12 / math.sqrt(n))))
            past.append((labelled, round(value * n) / n, n))
        at = begun + (now - begun) * (number / rounds) ** 1.1 - timedelta(seconds=20)
        steps = [StepTiming(step, round(float(rng.gamma(4, 0.06)), 4), {}) for step in STEPS]
        rows.append(
            {
                "project_id": project_id,
                "number": number,
                "attempt": 1,
                "state": "done",
                "why": "first round" if number == 1 else f"{max(1, annotations // rounds)} new annotations",
                "change": number,
                "started_at": at,
                "finished_at": at + timedelta(seconds=sum(step.seconds for step in steps)),
                "steps": [vars(step) for step in steps],
                "figures": figures(topics, labelled, annotations, past, last=number == rounds),
                "error": None,
            }
        )
    if len(rows) > 5:
        rows[-4] |= {
            "state": "failed", "figures": {}, "change": None,
            "error": "Label Studio at http://localhost:8080: POST /api/projects/1/import/predictions: "
            "no answer within 30 s",
        }  # fmt: skip
    with store.database.write() as db:
        for start in range(0, len(rows), 200):
            db.execute(sa.insert(round_table), rows[start : start + 200])
        change = sa.update(project_table).where(project_table.c.id == project_id)
        known = project_table.c.change
        db.execute(change.values(change=sa.case((known > rounds, known), else_=rounds)))


def figures(
    topics: Sequence[int], labelled: int, annotations: int, past: list[tuple[int, float, int]], *, last: bool
) -> dict[str, Any]:
    """Figures of one round, as `backend.rounds` writes them."""
    seen = np.bincount(topics[:labelled], minlength=len(LABELS))
    value, n = past[-1][1], past[-1][2]
    half = 1.645 * math.sqrt(max(value * (1 - value), 0.01) / n)
    found: dict[str, Any] = {
        "tasks": len(topics),
        "labelled": labelled,
        "unanswered": len(topics) - labelled,
        "front": 100,
        "version": "nextlabel-1.1",
        "strategy": "auto",
        "classes": {name: int(count) for name, count in zip(LABELS, seen, strict=True)},
        "unknown_labels": [],
        "candidates": len(topics) - labelled,
        "cold_start": labelled < 20,
        "seals": False,
        "seals_why": "the pool has fewer than 100,000 tasks",
        "audit_accuracy": {
            "value": value,
            "low": max(0.0, value - half),
            "high": min(1.0, value + half),
            "n": n,
        },
        "agreement": {
            "kappas": [0.93, 0.962, 0.981],
            "labels": [round(labelled / 1.1), labelled],
            "f1_change_at_most": 0.061,
            "tasks": 2000,
            "threshold": 0.99,
            "agree": False,
        },
        "against_random": [
            {
                "which": "first", "labels": 60, "known": 0, "chosen": 0.842, "random": 0.801, "high": 0.09,
                "judged": 75, "worse": False, "says": "84.2% right with the first 60 chosen labels",
            }
        ],
        "quality": quality(topics, labelled) if last else {},
    }  # fmt: skip
    if last:
        found["savings"] = {
            "labels": round(0.55 * labelled),
            "low": round(0.2 * labelled),
            "high": round(1.1 * labelled),
            "labelled": labelled,
            "today": round(value, 4),
            "random_at_same": {"value": value - 0.04, "low": value - 0.07, "high": value - 0.015},
            "random_labels_needed": {
                "value": round(1.55 * labelled),
                "low": round(1.2 * labelled),
                "high": round(2.1 * labelled),
            },
            "curve": [[8, 0.4], [n, 0.7]],
        }
    if last and len(past) >= 3:
        labels, values, counts = zip(*past, strict=True)
        ahead = forecast(labels, values, counts, [labelled + more for more in (100, 200, 500)])
        found["forecast"] = {
            "level": 0.8,
            "more_labels": [100, 200, 500],
            "value": ahead.value.round(4).tolist(),
            "low": ahead.low.round(4).tolist(),
            "high": ahead.high.round(4).tolist(),
        }
    return found


def quality(topics: Sequence[int], labelled: int) -> dict[str, Any]:
    """Measure answers of a model that errs as models do, as `backend.quality` does after each round."""
    n = max(10, labelled // 8)
    rng = np.random.default_rng(labelled)
    truth = np.asarray(topics[:n], np.int64)
    sure = np.clip(rng.beta(6, 1.6, n), 0.2, 0.99)
    wrong = rng.random(n) > sure**0.6
    guesses = np.where(wrong, (truth + rng.choice([1, 2, 7], n)) % len(LABELS), truth)
    measured = measure(Form.CLASSES, truth, guesses, sure.astype(np.float32), LABELS)
    return measured.as_figures()


def _front(topics: Sequence[int], annotations: int, size: int, rng: Generator) -> list[FrontTask]:
    base = 10_000_000
    picks = rng.choice(np.arange(annotations, len(topics)), size, replace=False)
    places = []
    for rank, index in enumerate(picks.tolist()):
        origin = Origin.AUDIT if rank % 10 == 4 else Origin.EXPLORATION if rank % 20 == 11 else Origin.CHOSEN
        reason = {
            Origin.AUDIT: "drawn at random: it measures",
            Origin.EXPLORATION: "drawn at random: it looks elsewhere",
        }.get(
            origin,
            f"uncertainty {rng.uniform(0.6, 0.98):.2f}, {rng.uniform(0.2, 0.6):.2f} from what is known",
        )
        choice = {"choices": [LABELS[topics[index]]]}
        result = {"from_name": "topic", "to_name": "text", "type": "choices", "value": choice}
        shown = () if origin is Origin.AUDIT else (result,)
        utility = float(1 / (1 + rank)) if origin is Origin.CHOSEN else 0.0
        places.append(FrontTask(base + index, rank, rank / size, origin, utility, reason, shown))
    return places


def _facts(
    queued: list[FrontTask], topics: Sequence[int], annotations: int, rng: Generator
) -> dict[str, dict[str, Any]]:
    found = {}
    for task in queued:
        index, near = task.task_id - 10_000_000, int(rng.integers(annotations))
        other = int(rng.integers(len(LABELS)))
        first = float(rng.uniform(0.36, 0.62))
        found[str(task.task_id)] = {
            "likeliest": [
                {"label": LABELS[topics[index]], "probability": round(first, 3)},
                {
                    "label": LABELS[other if other != topics[index] else other - 1],
                    "probability": round(0.94 - first, 3),
                },
            ],
            "uncertainty": round(1 - first, 3),
            "more_uncertain_than": round(float(rng.uniform(0.85, 0.995)), 3),
            "nearest": {
                "task_id": 10_000_000 + near,
                "similarity": round(float(rng.uniform(0.45, 0.93)), 3),
                "label": LABELS[topics[near]],
                "admitted": False,
            },
        }
    return found


def _map(
    topics: Sequence[int],
    annotations: int,
    queued: list[FrontTask],
    number: int,
    now: datetime,
    rng: Generator,
) -> PoolMap:
    size = min(4000, len(topics))
    picks = np.unique(
        np.concatenate(
            [rng.choice(len(topics), size, replace=False), [t.task_id - 10_000_000 for t in queued]]
        )
    )
    angles = 2 * np.pi * np.arange(len(LABELS)) / len(LABELS)
    centers = np.column_stack([np.cos(angles), np.sin(angles)]) * 22
    at = centers[topics[picks]] + rng.standard_t(4, (len(picks), 2)) * 3.4
    origin = {task.task_id: task.origin.value for task in queued}
    unsure = np.clip(1 - np.abs(rng.normal(0.75, 0.2, len(picks))), 0.01, 0.9)
    points = {
        "task_id": (10_000_000 + picks).tolist(),
        "x": at[:, 0].round(3).tolist(),
        "y": at[:, 1].round(3).tolist(),
        "label": [LABELS[topics[row]] if row < annotations else None for row in picks.tolist()],
        "uncertainty": unsure.round(3).tolist(),
        "origin": [origin.get(10_000_000 + row) for row in picks.tolist()],
        "text": [text_of(row, int(topics[row])) for row in picks.tolist()],
    }
    return PoolMap(number, annotations, "sentence", now, points)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--tasks", type=int, default=2000)
    arguments.add_argument("--annotations", type=int, default=600)
    arguments.add_argument("--rounds", type=int, default=120)
    given = arguments.parse_args()
    now = datetime.now(UTC)
    url = f"sqlite:///{given.folder}/nextlabel.db"
    store = fill(url, now=now, tasks=given.tasks, annotations=given.annotations, rounds=given.rounds)
    set_budget(store, 1, now=now)
    print(url)


if __name__ == "__main__":
    main()
