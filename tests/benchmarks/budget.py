"""How long it takes to add up a budget: what a worker does after each label, and a page at each look.

    python tests/benchmarks/budget.py --annotations 10000,100000

Each annotation has one to three versions. Beside it: reading the same versions into Python and adding them
up.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from backend.budget import Budget, allowance, recommend, save_budget, spent
from backend.domain import Annotation, Project
from backend.store import Store
from backend.store.schema import annotation_version
from backend.store.versions import note_versions

START = datetime(2026, 1, 1, tzinfo=UTC)
TURNS = 9


def fill(store: Store, annotations: int) -> None:
    """Write annotations of ten annotators over thirty days, a third of them edited."""
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    rng = np.random.default_rng(0)
    for first in range(0, annotations, 1000):
        items = []
        for id_ in range(first + 1, min(first + 1000, annotations) + 1):
            born, total = START + timedelta(minutes=43200 * id_ / annotations), 0.0
            for edit in range(int(rng.choice([1, 1, 2, 3]))):
                total += float(rng.lognormal(2.5, 0.6))
                at = born + timedelta(minutes=edit)
                items.append(Annotation(id_, id_, (), id_ % 20 == 0, False, id_ % 10, total, born, at))
        with store.database.write() as db:
            note_versions(db, 1, items)


def by_hand(store: Store) -> int:
    """Add up every version in Python."""
    c = annotation_version.c
    query = sa.select(c.annotation_id, c.milliseconds).order_by(c.annotation_id, c.updated_at)
    total, last, longest = 0, None, 0
    with store.database.read() as db:
        for id_, milliseconds in db.execute(query):
            longest = longest if id_ == last else 0
            if milliseconds and milliseconds > longest:
                total += min(3_600_000, milliseconds - longest)
                longest = milliseconds
            last = id_
    return total


def timed(what: Callable[[], object]) -> float:
    """Give the median CPU milliseconds of some turns: other work on the machine does not count."""
    took = []
    for _ in range(TURNS):
        begun = time.process_time()
        what()
        took.append(1000 * (time.process_time() - begun))
    return statistics.median(took)


def row(store: Store, count: int, now: datetime) -> str:
    """Fill a store, and time what is asked of it."""
    budget = Budget()
    fill(store, count)
    fields = {"labels": 10 * count, "per_hour": 18, "currency": "EUR"}
    save_budget(store, 1, fields, revision=0, author="benchmark", now=now)
    assert spent(store, 1, budget).milliseconds == by_hand(store)
    ours, theirs = timed(lambda: spent(store, 1, budget)), timed(lambda: by_hand(store))
    rest = [
        timed(lambda: allowance(store, 1, now=now)),
        timed(lambda: recommend(store, 1, now=now)),
        timed(lambda: store.work.by_day(1, cap=budget.cap)),
    ]
    figures = [f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.1f}", *(f"{each:.1f}" for each in rest)]
    return f"| {count:,} | {' | '.join(figures)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotations", default="1000,10000,100000")
    args = parser.parse_args()
    now = START + timedelta(days=31)
    print("| annotations | spent, ms | by hand, ms | ratio | allowance, ms | recommendation, ms | days, ms |")
    print("|---|---|---|---|---|---|---|")
    for count in map(int, args.annotations.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            store = Store.open(f"sqlite:///{Path(folder)}/store.db")
            print(row(store, count, now), flush=True)
            store.close()


if __name__ == "__main__":
    main()
