"""A replay of targets of any form that embeddings tell: fit, rank, label the batch, again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backend.labels.forms import Form, Targets, groups
from backend.models import Head, answers
from backend.models import make as make_head
from backend.models.ngram_view import say
from backend.pool.ngram_rows import NgramRows
from backend.simulate.form_scores import guess, score
from backend.simulate.plan import rankers
from backend.simulate.replay import Plan
from backend.simulate.seed import read_job, write_job
from strategies.pool import ArrayPool
from strategies.types import Floats, Positions, QueryStrategy

_TEXTS = "texts.json"
_ARRAYS = ("rows", "answers", "test", "truth", "names")


@dataclass(frozen=True)
class FormStep:
    """How good the model is after so many labels: its scores by their keys."""

    labels: int
    scores: Mapping[str, float]
    seconds: float

    def plain(self) -> dict[str, Any]:
        """Give plain JSON."""
        return {"labels": self.labels, **self.scores, "seconds": self.seconds}


@dataclass(frozen=True)
class Parts:
    """What one seed labels and measures on: embeddings and answers of the pool, and of the test part.

    texts: (n,) of the pool, where n-grams have a say
    """

    pool: Floats
    answers: Targets
    test: Floats
    truth: Targets
    texts: Sequence[str] | None = None

    def view(self) -> Callable[[Positions, Positions, Positions], Floats] | None:
        """Make what asks the n-grams of rows about tags, when rows (k,) are labelled; None without texts."""
        if (texts := self.texts) is None:
            return None
        ngrams = NgramRows(lambda rows: [texts[row] for row in rows.tolist()])

        def ask(positions: Positions, labels: Positions, known: Positions) -> Floats:
            return say(ngrams, positions, known, np.asarray(self.answers[known])[:, labels])

        return ask


@dataclass(frozen=True)
class FormJob:
    """What every seed and strategy has in common; see `backend.simulate.seed.Job`.

    rows, answers: (n, d) embeddings and (n, ...) answers of the examples, by their form
    names:         (classes, d) what tags are called, embedded as the rows are; None of other forms
    texts:         (n,) whose n-grams say what tags a text may have; None of other forms
    """

    kind: str
    form: Form
    rows: Floats
    answers: Targets
    test: Floats | None
    truth: Targets | None
    classes: int
    plan: Plan
    cold_start: str
    cold_start_labels: int
    head: tuple[str, Mapping[str, Any]]
    names: Floats | None = None
    texts: Sequence[str] | None = None

    def material(self, seed: int) -> Parts:
        """Give what `seed` labels and measures on."""
        if self.test is not None and self.truth is not None:
            return Parts(self.rows, self.answers, self.test, self.truth, self.texts)
        from backend.simulate.answered import held_out_count

        by_group = groups(self.form, np.asarray(self.answers), self.classes)
        held = held_out_rows(by_group, held_out_count(len(by_group)), seed=seed)
        kept = np.setdiff1d(np.arange(len(by_group)), held)
        texts = None if self.texts is None else [self.texts[row] for row in kept.tolist()]
        return Parts(self.rows[kept], self.answers[kept], self.rows[held], self.answers[held], texts)

    def play(self, strategy: str, seed: int, material: Parts) -> Iterator[FormStep]:
        """Replay one seed of one strategy, with one BLAS thread; a step after the start and each batch."""
        from threadpoolctl import threadpool_limits

        built, begins = rankers(strategy, self.cold_start, self.cold_start_labels, start=self.plan.start)
        with threadpool_limits(limits=1):
            yield from self._steps(built, begins, seed, material)

    def save(self, folder: Path) -> None:
        """Write it where `load` finds it."""
        for name in _ARRAYS:
            array = getattr(self, name)
            if array is not None:
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
        if self.texts is not None:
            (folder / _TEXTS).write_text(json.dumps(list(self.texts)), "utf-8")
        rest = {"classes": self.classes, "plan": asdict(self.plan), "head": list(self.head)}
        rest |= {"cold_start": self.cold_start, "cold_start_labels": self.cold_start_labels}
        write_job(folder, self.kind, {**rest, "form": self.form})

    @classmethod
    def load(cls, folder: Path) -> FormJob:
        """Read what `save` wrote; the arrays stay on disk, and processes share them."""
        rest = read_job(folder)
        arrays: dict[str, Any] = {}
        for name in _ARRAYS:
            file = folder / f"{name}.npy"
            arrays[name] = np.load(file, mmap_mode="r") if file.exists() else None
        texts = folder / _TEXTS
        arrays["texts"] = json.loads(texts.read_text("utf-8")) if texts.exists() else None
        plan, head, form = Plan(**rest.pop("plan")), tuple(rest.pop("head")), Form(rest.pop("form"))
        return cls(**arrays, **rest, plan=plan, head=head, form=form)

    def _steps(
        self, strategy: QueryStrategy, cold_start: QueryStrategy, seed: int, parts: Parts
    ) -> Iterator[FormStep]:
        """Replay; while labels are too few to fit, `cold_start` ranks and the guess is the usual answer."""
        name, options = self.head
        new_head = partial(make_head, name, options, classes=self.classes, form=self.form)
        chosen: Positions = np.random.default_rng([seed, 1]).permutation(len(parts.pool))[: self.plan.start]
        rng = np.random.default_rng([seed, 2])
        pool = ArrayPool(
            np.asarray(parts.pool),
            np.zeros(len(parts.pool), bool),
            label_embeddings=self.names,
            view=parts.view(),
        )
        budget = min(self.plan.budget, len(parts.pool))
        spent = 0.0
        while True:
            begun = time.perf_counter()
            pool = pool.label(chosen)
            rows = np.flatnonzero(pool.labelled)
            known = np.asarray(parts.answers[rows])
            head: Head | None = new_head()
            assert head is not None
            if head.can_fit(known):
                head.fit(pool.embeddings[rows], known, seed=seed)
                pool = pool.label([], model=head.predict)
            else:
                head = None
            spent += time.perf_counter() - begun
            found = (
                guess(self.form, known, len(parts.truth))
                if head is None
                else answers(head, np.asarray(parts.test)).targets
            )
            yield FormStep(len(rows), score(self.form, np.asarray(parts.truth), found), spent)
            if len(rows) >= budget:
                return
            begun = time.perf_counter()
            ranker = cold_start if head is None else strategy
            chosen = ranker(
                pool, pool.candidates, min(self.plan.wanted(len(rows)), budget - len(rows)), rng
            ).positions
            spent = time.perf_counter() - begun


def held_out_rows(by_group: Positions, count: int, *, seed: int) -> Positions:
    """Draw `count` rows that measure under `seed`, ascending: about the same share of every group."""
    rng = np.random.default_rng([seed, 3])
    order = np.lexsort((rng.random(len(by_group)), by_group))
    places = (np.arange(count) + rng.random()) * len(by_group) / max(count, 1)
    return np.sort(order[np.minimum(places.astype(np.int64), len(by_group) - 1)])
