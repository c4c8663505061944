"""A replay of texts with spans: fit, rank, label the batch, again; counted in texts and in tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from backend.encoders.tokens import Tokens
from backend.labels.forms import Form, Span, Targets, gather, groups
from backend.models import Head, answers
from backend.models import make as make_head
from backend.simulate.form_job import held_out_rows
from backend.simulate.plan import rankers
from backend.simulate.replay import Plan
from backend.simulate.seed import read_job, write_job
from strategies.pool import ArrayPool, NoModel
from strategies.types import Floats, Positions, Prediction, QueryStrategy

_TOKENS = ("values", "starts", "offsets")


@dataclass(frozen=True)
class SpanPool(ArrayPool):
    """A pool whose model reads words, in memory."""

    tokens: Tokens | None = None
    head: Head | None = None

    def predict(self, positions: Positions) -> Prediction:
        """Ask the head about the words of `positions` (m,) only."""
        if self.head is None or self.tokens is None:
            raise NoModel("the pool has no model, expected one where a strategy needs predictions")
        return self.head.predict(self.tokens.take(positions))

    def token_embeddings(self, positions: Positions) -> tuple[Floats, Positions]:
        """Embeddings of the words of `positions` (m,), and where each text's begin, (m + 1,)."""
        assert self.tokens is not None
        found = self.tokens.take(positions)
        return found.values, found.starts


@dataclass(frozen=True)
class Texts:
    """Texts with their spans.

    rows: (n, d) embeddings   tokens: their words   answers: (n,) tuples of spans
    """

    rows: Floats
    tokens: Tokens
    answers: Targets

    def take(self, positions: Positions) -> Texts:
        """Keep the texts at `positions` (m,)."""
        return Texts(np.asarray(self.rows[positions]), self.tokens.take(positions), self.answers[positions])

    def save(self, folder: Path, name: str) -> None:
        """Write all into `folder`."""
        np.save(folder / f"{name}-rows.npy", self.rows)
        for part in _TOKENS:
            np.save(folder / f"{name}-{part}.npy", getattr(self.tokens, part))
        plain = [[[span.start, span.end, span.label] for span in spans] for spans in self.answers]
        (folder / f"{name}-spans.json").write_text(json.dumps(plain), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote; the arrays stay on disk."""
        plain = json.loads((folder / f"{name}-spans.json").read_text(encoding="utf-8"))
        spans = gather(Form.SPANS, [tuple(Span(*each) for each in text) for text in plain], 0)
        parts = [np.load(folder / f"{name}-{part}.npy", mmap_mode="r") for part in _TOKENS]
        rows = np.load(folder / f"{name}-rows.npy", mmap_mode="r")
        return cls(rows, Tokens(parts[0], np.asarray(parts[1]), np.asarray(parts[2])), spans)


@dataclass(frozen=True)
class SpanStep:
    """How good the model is after so many texts and tokens."""

    labels: int
    tokens: int
    span_f1: float
    macro_f1: float
    seconds: float

    def plain(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SpanJob:
    """What every seed and strategy has in common; see `backend.simulate.seed.Job`."""

    examples: Texts
    test: Texts | None
    classes: int
    plan: Plan
    cold_start: str
    cold_start_labels: int
    head: tuple[str, Mapping[str, Any]]

    def material(self, seed: int) -> tuple[Texts, Texts]:
        """Give what `seed` labels, and what it measures on."""
        if self.test is not None:
            return self.examples, self.test
        from backend.simulate.answered import held_out_count

        by_group = groups(Form.SPANS, self.examples.answers, self.classes)
        held = held_out_rows(by_group, held_out_count(len(by_group)), seed=seed)
        kept = np.setdiff1d(np.arange(len(by_group)), held)
        return self.examples.take(kept), self.examples.take(held)

    def play(self, strategy: str, seed: int, material: tuple[Texts, Texts]) -> Iterator[SpanStep]:
        """Replay one seed of one strategy, with one BLAS thread; a step after the start and each batch."""
        from threadpoolctl import threadpool_limits

        built, begins = rankers(strategy, self.cold_start, self.cold_start_labels, start=self.plan.start)
        name, options = self.head
        new_head = partial(make_head, name, options, classes=self.classes, form=Form.SPANS)
        with threadpool_limits(limits=1):
            yield from _replay(self.plan, built, begins, new_head, seed, *material)

    def save(self, folder: Path) -> None:
        """Write it where `load` finds it."""
        self.examples.save(folder, "examples")
        if self.test is not None:
            self.test.save(folder, "test")
        rest = {"classes": self.classes, "plan": asdict(self.plan), "head": list(self.head)}
        rest |= {"cold_start": self.cold_start, "cold_start_labels": self.cold_start_labels}
        write_job(folder, "entities", {**rest, "measured": self.test is not None})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the arrays stay on disk, and processes share them."""
        rest = read_job(folder)
        rest.pop("kind")
        plan, head = Plan(**rest.pop("plan")), tuple(rest.pop("head"))
        test = Texts.load(folder, "test") if rest.pop("measured") else None
        return cls(Texts.load(folder, "examples"), test, plan=plan, head=head, **rest)


def _replay(
    plan: Plan,
    strategy: QueryStrategy,
    cold_start: QueryStrategy,
    new_head: Any,
    seed: int,
    texts: Texts,
    measures: Texts,
) -> Iterator[SpanStep]:
    """Label as a project would; while no span is known `cold_start` ranks, and no span is the guess."""
    count = len(texts.answers)
    chosen: Positions = np.random.default_rng([seed, 1]).permutation(count)[: plan.start]
    rng = np.random.default_rng([seed, 2])
    pool = SpanPool(np.asarray(texts.rows), np.zeros(count, bool), tokens=texts.tokens)
    lengths, budget, spent = np.diff(texts.tokens.starts), min(plan.budget, count), 0.0
    while True:
        begun = time.perf_counter()
        pool = pool.label(chosen)
        rows = np.flatnonzero(pool.labelled)
        head = new_head()
        fitted = head.can_fit(texts.answers[rows])
        if fitted:
            head.fit(texts.tokens.take(rows), texts.answers[rows], seed=seed)
            pool = replace(pool, head=head)
        spent += time.perf_counter() - begun
        nothing = gather(Form.SPANS, [()] * len(measures.answers), 0)
        found = answers(head, measures.tokens).targets if fitted else nothing
        micro, macro = span_f1(measures.answers, found)
        yield SpanStep(len(rows), int(lengths[rows].sum()), micro, macro, spent)
        if len(rows) >= budget:
            return
        begun = time.perf_counter()
        ranker = strategy if fitted else cold_start
        chosen = ranker(pool, pool.candidates, min(plan.wanted(len(rows)), budget - len(rows)), rng).positions
        spent = time.perf_counter() - begun


def span_f1(truth: Targets, found: Targets) -> tuple[float, float]:
    """Score exact spans with the right label: F1 over all of them, and the average of the labels' F1.

    As CoNLL's conlleval does; labels that occur in neither do not count.
    """
    right: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for true, guess in zip(truth, found, strict=True):
        known, guessed = ({(s.start, s.end, s.label) for s in spans} for spans in (true, guess))
        for *_, label in known & guessed:
            right[label] = right.get(label, 0) + 1
        for *_, label in [*known, *guessed]:
            sizes[label] = sizes.get(label, 0) + 1
    if not sizes:
        return 1.0, 1.0
    each = [2 * right.get(label, 0) / size for label, size in sizes.items()]
    return 2 * sum(right.values()) / sum(sizes.values()), sum(each) / len(each)
