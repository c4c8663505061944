"""How often the savings told from the audit slice alone hold what random order really reached and needed.

python tests/benchmarks/savings.py --data banking77 snips sms_spam --seeds 3

A project is played as in forecast.py; beside it, heads are fit on really random labels of the same pool, as
many and more. Truth is judged on tasks that nobody labelled.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from packs import encoded

from backend.labels.forms import Form
from backend.models.linear import LinearHead
from backend.rounds.against_random import Labels
from backend.rounds.savings import FARTHEST, Estimate, savings
from strategies import ArrayPool, build
from strategies.types import Floats, Positions

CHECKED = (400, 600, 1000, 1500)
START, BATCH, AUDIT_SHARE = 20, 20, 0.1
TIMES = np.geomspace(1 / 4, FARTHEST / 2, 11)


def share_right(head: LinearHead, test: Floats, truth: Positions) -> float:
    """Share of right answers."""
    return float((head.predict(test).mean.argmax(axis=1) == truth).mean())


def play(name: str, strategy: str, seed: int) -> list[tuple[Any, ...]]:
    """Rows of (labels, today, random really, estimate, needed really, estimate of that)."""
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
    head, found = None, []

    def fitted(known: np.ndarray) -> float:
        fresh = LinearHead(data.classes)
        fresh.fit(rows[known], answers[known], seed=seed)
        return share_right(fresh, test, truth)

    while pool.labelled.sum() < min(CHECKED[-1], 0.6 * len(rows)):
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
        if len(known) not in CHECKED:
            continue
        none = np.empty(0, np.int64)
        labels = Labels(rows[known].__getitem__, Form.CLASSES, answers[known], slice_[known], none, none)
        told = savings(fresh.fresh, labels, seed=seed)
        if told is None:
            continue
        shuffled = rng.permutation(len(rows))
        sizes = [int(size) for size in len(known) * TIMES if size <= len(rows)]
        curve = [fitted(shuffled[:size]) for size in sizes]
        today = share_right(fresh, test, truth)
        same = float(np.interp(len(known), sizes, curve))
        better = np.maximum.accumulate(curve)
        need = float(np.interp(today, better, sizes)) if better[-1] >= today else np.inf
        found.append((len(known), today, same, told.random_at_same, need, told.needed))
        print(
            f"{name:10} {strategy[:24]:24} {seed} {len(known):5} labels: {_line(*found[-1][1:])}", flush=True
        )
    return found


def _line(today: float, same: float, told: Estimate, need: float, needed: Estimate | None) -> str:
    guess = "-" if needed is None else f"{needed.value:.0f} ({needed.low:.0f}-{needed.high:.0f})"
    return (
        f"today {today:.3f}; random {same:.3f}, told {told.value:.3f} ({told.low:.3f}-{told.high:.3f}); "
        f"needed {need:6.0f}, told {guess}"
    )


def main() -> None:
    """Print each estimate and how often the intervals hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["banking77", "snips", "sms_spam"])
    parser.add_argument("--strategies", nargs="+", default=["random", "uncertainty_k_center(margin)"])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    found = [
        row
        for name in args.data
        for strategy in args.strategies
        for seed in range(args.seeds)
        for row in play(name, strategy, seed)
    ]
    same = [each.low <= real <= each.high for _, _, real, each, _, _ in found]
    width = np.mean([each.high - each.low for _, _, _, each, _, _ in found])
    known = [(real, each) for _, _, _, _, real, each in found if each is not None]
    needed = [each.low <= real <= each.high for real, each in known]
    print(f"random at the same count: {np.mean(same):.0%} of {len(same)} inside, mean width {width:.3f}")
    print(f"labels needed: told {len(known)} times of {len(found)}, {np.mean(needed):.0%} inside")


if __name__ == "__main__":
    main()
