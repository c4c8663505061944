"""How often the score some labels ahead lies in the forecast's 80 % interval, beside a naive interval.

python tests/benchmarks/forecast.py --data banking77 snips sms_spam goemotions nsmc --seeds 5 --ahead 200

Each data set's train part is split into a pool and a truth; its test is not touched. One label in ten is of a
random audit slice, as in a project; the headline is measured on those alone, as a round does it: accuracy, of
goemotions (28 tags) micro-F1, of nsmc (stars of Korean reviews) Spearman's correlation. The naive interval is
that of the last measurement.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from packs import encoded

from backend.labels.forms import Form, Targets
from backend.models import Head, answers
from backend.models.linear import LinearHead
from backend.models.number import NumberHead
from backend.models.tags import TagsHead
from backend.quality import Score, measure
from backend.quality.intervals import share_range
from backend.rounds.measure import measure_slice
from strategies import ArrayPool, build
from strategies.forecast import forecast
from strategies.types import Floats

LEVEL = 0.8
START, BATCH, AUDIT_SHARE = 20, 50, 0.1
FEWEST_POINTS = 3
MOST = 12_000


@dataclass(frozen=True)
class Point:
    """A project after so many labels: what it could know of itself, and the truth."""

    labels: int
    score: Score
    truth: float


@dataclass(frozen=True)
class Material:
    """Embeddings (n, d) and targets (n, ...) of a form, and how many labels there are."""

    form: Form
    rows: Floats
    targets: Targets
    labels: int

    def head(self) -> Head:
        """Make an unfitted proxy."""
        made: dict[Form, Any] = {Form.CLASSES: LinearHead, Form.TAGS: TagsHead, Form.NUMBER: NumberHead}
        head: Head = made[self.form](self.labels)
        return head


def material(name: str) -> Material:
    """Load a data set, encoded on first use."""
    if name == "goemotions":
        import goemotions

        tags = goemotions.encoded()
        return Material(Form.TAGS, tags.rows[:MOST], tags.tags[:MOST], tags.tags.shape[1])
    if name == "nsmc":
        import nsmc

        reviews = nsmc.reviews()
        return Material(Form.NUMBER, nsmc.embeddings(reviews)[:MOST], reviews.stars[:MOST], 0)
    data = encoded(name)
    return Material(Form.CLASSES, data.pool, data.answers, data.classes)


def project(name: str, strategy: str, budget: int, seed: int) -> Iterator[Point]:
    """Label in batches as a project would; a point after each batch that can be measured."""
    data = material(name)
    labels = [str(each) for each in range(data.labels)]
    order = np.random.default_rng([seed, 7]).permutation(len(data.rows))
    held = min(2000, len(order) // 3)
    rows, targets = data.rows[order[held:]], data.targets[order[held:]]
    test, truth = data.rows[order[:held]], data.targets[order[:held]]
    rng = np.random.default_rng(seed)
    slice_ = np.zeros(len(rows), bool)
    slice_[rng.permutation(len(rows))[: int(AUDIT_SHARE * len(rows))]] = True
    waiting = rng.permutation(np.flatnonzero(slice_))
    pool = ArrayPool(rows, np.zeros(len(rows), bool))
    cold, warm = build("typicality"), build(strategy)
    head = None
    while pool.labelled.sum() < budget:
        batch = BATCH if pool.labelled.any() else START
        audited = round(AUDIT_SHARE * (pool.labelled.sum() + batch)) - int((pool.labelled & slice_).sum())
        free = np.flatnonzero(~pool.labelled & ~slice_)
        chosen = (warm if head else cold)(pool, free, batch - audited, rng).positions
        taken, waiting = waiting[:audited], waiting[audited:]
        pool = pool.label(np.concatenate([chosen, taken]))
        known = np.flatnonzero(pool.labelled)
        fresh = data.head()
        if not fresh.can_fit(targets[known]):
            continue
        fresh.fit(rows[known], targets[known], seed=seed)
        head = fresh
        pool = pool.label([], model=fresh.predict)
        found = measure_slice(
            fresh, rows[known].__getitem__, data.form, targets[known], slice_[known], labels, seed=seed
        )
        if found is not None:
            said = answers(fresh, test)
            right = measure(data.form, truth, said.targets, said.scores, labels).headline
            yield Point(len(known), found.headline, right.value)


def naive(point: Point) -> tuple[float, float]:
    """The interval of the last measurement, as if nothing were learned from here on."""
    n = point.score.effective_n
    return share_range(min(max(point.score.value, 0), 1) * n, n, LEVEL)


def judge(points: list[Point], ahead: int) -> list[tuple[float, ...]]:
    """Score the forecast and the naive interval at each point whose truth `ahead` is known."""
    found = []
    for place in range(FEWEST_POINTS - 1, len(points)):
        past, now = points[: place + 1], points[place]
        later = [point for point in points if point.labels == now.labels + ahead]
        if not later:
            continue
        answer = forecast(
            [each.labels for each in past],
            [min(max(each.score.value, 0), 1) for each in past],
            [each.score.effective_n for each in past],
            [now.labels + ahead],
            level=LEVEL,
        )
        ours = float(answer.low[0]), float(answer.high[0])
        found.append((*_score(ours, later[0].truth), *_score(naive(now), later[0].truth)))
    return found


def _score(interval: tuple[float, float], truth: float) -> tuple[float, float, float]:
    """Hit, width, and the interval score: width plus what a miss costs (Gneiting & Raftery 2007)."""
    low, high = interval
    missed = max(low - truth, truth - high, 0.0)
    return float(missed == 0), high - low, high - low + 2 / (1 - LEVEL) * missed


def main() -> None:
    """Print coverage, mean width and mean interval score of both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["banking77", "snips", "sms_spam"])
    parser.add_argument("--strategies", nargs="+", default=["random", "uncertainty_k_center(margin)"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=920)
    parser.add_argument("--ahead", type=int, default=200)
    args = parser.parse_args()
    print(f"{'':40} forecast                 last value and its interval")
    print(f"{'data, strategy':40} inside  width  score     inside  width  score   forecasts")
    total = []
    for name in args.data:
        for strategy in args.strategies:
            play = partial(project, name, strategy, args.budget)
            found = [row for seed in range(args.seeds) for row in judge(list(play(seed)), args.ahead)]
            _print(f"{name}, {strategy}", found)
            total += found
    _print("all", total)


def _print(name: str, found: list[tuple[float, ...]]) -> None:
    a, b, c, d, e, f = np.mean(found, axis=0)
    print(f"{name:40} {a:6.1%} {b:6.3f} {c:6.3f}     {d:6.1%} {e:6.3f} {f:6.3f}   {len(found)}", flush=True)


if __name__ == "__main__":
    main()
