"""Entities, the fine-tuned recogniser: tokens to read for 95 % of its all-data F1 beside random order.

    python tests/benchmarks/entities_tuned.py --set snips_bio --seeds 3

The proxy orders the queue, as in a project and in `entities.py labels`, from the same starts; the first so
many texts of either order then fine-tune the packaged MiniLM (target `tagger`), which the makers' test part
measures. The goal is read off the rising curve that fits the few sizes best. What was trained is kept, so
that a run that was cut short goes on. Which sizes to train was looked up on snips_bio's development part.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from entities import HEAD, HOME, PLANS, SHARE, STRATEGY, kept, parts, prepared, report, targets
from numpy.random import Generator

from backend.models.tagger import Tagger
from backend.simulate.conll_file import Marked
from backend.simulate.span_job import SpanJob, span_f1
from strategies.registry import STRATEGIES
from strategies.types import Pool, Positions, QueryStrategy, Ranking

SIZES = {
    "snips_bio": {STRATEGY: (700, 900, 1150, 1500), "random": (1400, 1800, 2300, 3000)},
    "wnut17": {STRATEGY: (500, 700, 1000, 1400), "random": (1000, 1400, 2000, 2800)},
}
"""Texts that fine-tune it, of either order."""
CHOSEN: list[Positions] = []


@STRATEGIES("noted")
@dataclass(frozen=True)
class Noted:
    """Ranks as `inner` does, and notes in `CHOSEN` what was labelled before and what it ranks."""

    inner: QueryStrategy

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        if not CHOSEN:
            CHOSEN.append(np.flatnonzero(pool.labelled))
        ranking = self.inner(pool, candidates, k, rng)
        CHOSEN.append(np.asarray(ranking.positions))
        return ranking


def order(job: SpanJob, strategy: str, count: int, seed: int) -> Positions:
    """The first `count` rows that a replay labels."""
    CHOSEN.clear()
    assert job.test is not None
    played = replace(job, plan=replace(job.plan, budget=count))
    for _ in played.play(f"noted({strategy})", seed, (job.examples, job.test)):
        pass
    return np.concatenate(CHOSEN)[:count]


def tuned_f1(pool: list[Marked], test: list[Marked], rows: Positions, seed: int) -> float:
    """Fine-tune on `rows` of the pool; give the F1 of exact spans on `test`."""
    labels = sorted({label for each in [*pool, *test] for *_, label in each.spans})
    model = Tagger(labels)
    model.fit([pool[row].text for row in rows], targets([pool[row] for row in rows], labels), seed=seed)
    texts = [each.text for each in test]
    found = model.decide(texts, model.predict(texts)).targets
    return span_f1(targets(test, labels), found)[0]


def main() -> None:
    """Read what is asked; print as `entities.py labels` does."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--set", choices=list(SIZES), default="snips_bio")
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--dev", action="store_true")
    asked = reader.parse_args()
    pool, test = parts(asked.set, dev=asked.dev)
    texts, measured, classes = prepared(asked.set, None, dev=asked.dev)
    job = SpanJob(
        texts, measured, classes, PLANS[asked.set], "typicality", 20, ("linear", {"calibrate": False})
    )
    lengths = np.diff(texts.tokens.starts)
    tag = f"tuned-{asked.set}{'-dev' if asked.dev else ''}-head{HEAD}"

    def step(rows: Positions, seed: int) -> Iterator[dict[str, float]]:
        f1 = tuned_f1(pool, test, rows, seed)
        yield {"labels": len(rows), "tokens": int(lengths[rows].sum()), "span_f1": f1}

    everything = np.arange(len(pool))
    best = kept(HOME / "played" / f"{tag}-all.json", lambda: step(everything, 0))[0]["span_f1"]
    print(f"{tag}: {len(pool):,} texts, {lengths.sum():,} tokens; all-data F1 {best:.3f}", flush=True)
    curves: dict[str, list[list[dict[str, float]]]] = {}
    for seed in range(asked.seeds):
        for name in ("random", STRATEGY):
            sizes = SIZES[asked.set][name]
            rows = order(job, name, sizes[-1], seed)
            found = [
                kept(
                    HOME / "played" / f"{tag}-{size}-{name}-{seed}.json",
                    lambda r=rows[:size], s=seed: step(r, s),  # type: ignore[misc]
                )[0]
                for size in sizes
            ]
            curves.setdefault(name, []).append(found)
            told = "  ".join(f"{each['tokens']:,.0f}: {each['span_f1']:.3f}" for each in found)
            print(f"{name} {seed}: {told}", flush=True)
        report(curves, SHARE * best)


if __name__ == "__main__":
    main()
