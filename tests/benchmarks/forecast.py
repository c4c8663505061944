"""How often the accuracy some labels ahead lies in the forecast's 80 % interval, beside a naive interval.

python tests/benchmarks/forecast.py --data banking77 snips sms_spam --seeds 5 --ahead 200

Each data set's train part is split into a pool and a truth; its test is not touched. One label in ten is of a
random audit slice, as in a project; accuracy is cross-fitted on those alone. The naive interval is the last
accuracy's binomial one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from packs import encoded

from backend.labels.forms import Form
from backend.models.linear import LinearHead
from backend.rounds.measure import measure_slice
from strategies import ArrayPool, build
from strategies.forecast import forecast
from strategies.types import Floats, Positions

LEVEL = 0.8
START, BATCH, AUDIT_SHARE = 20, 50, 0.1
FEWEST_POINTS = 3


@dataclass(frozen=True)
class Point:
    """A project after so many labels: what it could know of itself, and the truth."""

    labels: int
    accuracy: float
    audited: int
    truth: float


def project(name: str, strategy: str, budget: int, seed: int) -> Iterator[Point]:
    """Label in batches as a project would; a point after each batch that can be measured."""
    data = encoded(name)
    order = np.random.default_rng([seed, 7]).permutation(len(data.pool))
    held = min(2000, len(order) // 3)
    rows, answers = data.pool[order[held:]], data.answers[order[held:]]
    test, truth = data.pool[order[:held]], data.answers[order[:held]]
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
        fresh = LinearHead(data.classes)
        if not fresh.can_fit(answers[known]):
            continue
        fresh.fit(rows[known], answers[known], seed=seed)
        head = fresh
        pool = pool.label([], model=fresh.predict)
        labels = [str(each) for each in range(data.classes)]
        found = measure_slice(
            fresh, rows[known].__getitem__, Form.CLASSES, answers[known], slice_[known], labels, seed=seed
        )
        if found is not None:
            yield Point(len(known), found.headline.value, found.headline.n, right(fresh, test, truth))


def right(head: object, test: Floats, truth: Positions) -> float:
    """Share of right answers."""
    return float((head.predict(test).mean.argmax(axis=1) == truth).mean())  # type: ignore[attr-defined]


def naive(point: Point) -> tuple[float, float]:
    """The binomial interval of the last accuracy, as if nothing were learned from here on."""
    from scipy.stats import binomtest

    found = binomtest(round(point.accuracy * point.audited), point.audited).proportion_ci(
        LEVEL, method="wilson"
    )
    return float(found.low), float(found.high)


def judge(points: list[Point], ahead: int) -> list[tuple[float, ...]]:
    """Score the forecast and the naive interval at each point whose truth `ahead` is known."""
    found = []
    for place in range(FEWEST_POINTS - 1, len(points)):
        past, now = points[: place + 1], points[place]
        later = [point for point in points if point.labels == now.labels + ahead]
        if not later:
            continue
        answer = forecast(
            [p.labels for p in past], [p.accuracy for p in past], [p.audited for p in past],
            [now.labels + ahead], level=LEVEL,
        )  # fmt: skip
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
