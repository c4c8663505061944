"""Label a data set whose labels are known as a project would: fit, rank, label the batch, again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.models import Head, answers
from backend.simulate.curves import macro_f1
from strategies.pool import ArrayPool
from strategies.types import Floats, NeighborIndex, Positions, QueryStrategy


@dataclass(frozen=True)
class Material:
    """Labelled data, encoded: what can be asked for, and what measures.

    pool, test:     (n, d) and (m, d) embeddings of unit length
    answers, truth: (n,) and (m,) their classes, each in [0, classes)
    """

    pool: Floats
    answers: Positions
    test: Floats
    truth: Positions
    classes: int
    index: NeighborIndex | None = None


@dataclass(frozen=True)
class Plan:
    """How the labels are spent: `start` random labels, then batches until the budget is spent.

    growth: a batch has at least this share of what is labelled already
    """

    start: int
    batch: int
    budget: int
    growth: float = 0.0

    def wanted(self, labelled: int) -> int:
        """Size of the batch after so many labels."""
        return max(self.batch, int(self.growth * labelled))


@dataclass(frozen=True)
class Step:
    """How good the model is after so many labels, and what it took to choose the last of them.

    seconds: fit and selection since the step before
    chosen:  rows labelled since the step before, in the strategy's order
    """

    labels: int
    accuracy: float
    macro_f1: float
    seconds: float
    chosen: Positions

    def plain(self) -> dict[str, Any]:
        """Give plain JSON, without the rows."""
        return {
            "labels": self.labels,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "seconds": self.seconds,
        }


def random_start(material: Material, plan: Plan, *, seed: int) -> Positions:
    """Draw the rows that every strategy begins with under `seed`: (start,)."""
    return np.random.default_rng([seed, 1]).permutation(len(material.pool))[: plan.start]


def replay(
    material: Material,
    plan: Plan,
    strategy: QueryStrategy,
    *,
    cold_start: QueryStrategy,
    new_head: Callable[[], Head],
    seed: int,
) -> Iterator[Step]:
    """Play one seed; a step after the start and after each batch.

    While the labels are too few to fit (one class, say) `cold_start` ranks, and the guess is the answer that
    occurred; with no label at all the accuracy is 0.
    """
    labelled = np.zeros(len(material.pool), bool)
    chosen = random_start(material, plan, seed=seed)
    rng = np.random.default_rng([seed, 2])
    pool = ArrayPool(material.pool, labelled, index=material.index)
    budget = min(plan.budget, len(material.pool))
    spent = 0.0
    while True:
        begun = time.perf_counter()
        pool = pool.label(chosen)
        rows = np.flatnonzero(pool.labelled)
        head = new_head()
        fitted = head.can_fit(material.answers[rows])
        if fitted:
            head.fit(material.pool[rows], material.answers[rows], seed=seed)
            pool = pool.label([], model=head.predict)
        spent += time.perf_counter() - begun
        yield _step(material, head if fitted else None, rows, spent, chosen)
        if len(rows) >= budget:
            return
        begun = time.perf_counter()
        ranker = strategy if fitted else cold_start
        wanted = min(plan.wanted(len(rows)), budget - len(rows))
        chosen = ranker(pool, pool.candidates, wanted, rng).positions
        spent = time.perf_counter() - begun


def _step(material: Material, head: Head | None, rows: Positions, seconds: float, chosen: Positions) -> Step:
    if head is not None:
        guesses = answers(head, material.test).targets
    elif len(rows):
        guesses = np.full(len(material.truth), np.bincount(material.answers[rows]).argmax())
    else:
        return Step(0, 0.0, 0.0, seconds, chosen)
    accuracy = float((guesses == material.truth).mean())
    score = macro_f1(material.truth, guesses, material.classes)
    return Step(len(rows), accuracy, score, seconds, chosen)
