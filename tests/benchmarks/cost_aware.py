"""Cost-aware selection: accuracy for the same annotation time, with utility per second and without.

    python tests/benchmarks/cost_aware.py --data banking77,snips --seeds 10

Real texts, simulated annotators: 4 s and what reading takes (15 characters a second), times the annotator's
pace (three of them, 0.7 to 1.4), times log-normal noise; one time in fifty a break of 5 to 60 minutes is in
it. The cost is learned from the lead times so far, as in a project. Every strategy starts from the same
random rows and is played until the same time is spent; curves are compared at the same seconds of work,
without the breaks.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import packs
from numpy.typing import NDArray

from backend.budget.cost import Cost, PerSecond, fit_cost
from backend.models import Head, answers, make
from strategies import build
from strategies.pool import ArrayPool
from strategies.types import Floats, Positions, QueryStrategy

Numbers = NDArray[np.float64]

ROWS, START, BATCH = 5_000, 20, 20
HOURS = {"banking77": 1.75, "snips": 0.5, "sms_spam": 0.6}
SECONDS_BEFORE, CHARACTERS_PER_SECOND = 4.0, 15.0
PACES = (0.7, 1.0, 1.4)
POINTS = 40
STRATEGIES = ("random", "auto", "margin")


@dataclass(frozen=True)
class Material:
    """One seed's cut of a data set, and what each of its rows would take."""

    pool: Floats
    answers: Positions
    test: Floats
    truth: Positions
    classes: int
    lengths: Numbers
    seconds: Numbers
    recorded: Numbers
    annotators: Positions


def material(name: str, seed: int) -> Material:
    """Cut the pool to 5,000 rows, another cut for each seed, and draw lead times."""
    data, texts = packs.encoded(name), [text for text, _ in packs.SETS[name][0]()[0]]
    rng = np.random.default_rng([seed, 7])
    kept = rng.permutation(len(data.pool))[:ROWS]
    lengths = np.array([len(texts[row]) for row in kept], np.float64)
    annotators = rng.integers(0, len(PACES), len(kept))
    seconds = SECONDS_BEFORE + lengths / CHARACTERS_PER_SECOND
    seconds = seconds * np.array(PACES)[annotators] * rng.lognormal(0, 0.35, len(kept))
    breaks = np.where(rng.random(len(kept)) < 0.02, rng.uniform(300, 3600, len(kept)), 0)
    return Material(
        data.pool[kept],
        data.answers[kept],
        data.test,
        data.truth,
        data.classes,
        lengths,
        seconds,
        seconds + breaks,
        annotators,
    )


def learned(given: Material, rows: Positions) -> Cost:
    """Learn the cost from what was recorded of `rows`."""
    return fit_cost(given.lengths[rows], given.recorded[rows], given.annotators[rows].tolist())


def play(given: Material, strategy: str, wider: int, budget: float, seed: int) -> tuple[Numbers, Numbers]:
    """Label until `budget` seconds are spent; returns seconds spent and accuracy after each batch.

    wider: 0 for the strategy as it is
    """
    base: QueryStrategy = build(strategy)
    pool = ArrayPool(given.pool, np.zeros(len(given.pool), bool))
    rows = np.random.default_rng([seed, 1]).permutation(len(given.pool))[:START]
    rng = np.random.default_rng([seed, 2])
    spent, times, accuracy = 0.0, [], []
    while True:
        pool = pool.label(rows)
        spent += float(given.seconds[rows].sum())
        labelled = np.flatnonzero(pool.labelled)
        head: Head = make("linear", {}, classes=given.classes)
        head.fit(given.pool[labelled], given.answers[labelled], seed=seed)
        pool = pool.label([], model=head.predict)
        times.append(spent)
        accuracy.append(float((answers(head, given.test).targets == given.truth).mean()))
        if spent >= budget:
            return np.array(times), np.array(accuracy)
        chooser = base
        if wider:
            cost = learned(given, labelled)
            chooser = PerSecond(base, lambda at, cost=cost: cost.seconds(given.lengths[at]), wider)
        rows = chooser(pool, pool.candidates, BATCH, rng).positions


def compare(name: str, seeds: int, widths: Sequence[int], strategies: Sequence[str]) -> None:
    """Play all and print a table: mean accuracy over the time, in pairs against the plain strategy."""
    budget = HOURS[name] * 3600
    grid = np.linspace(budget * 0.1, budget, POINTS)
    print(f"\n{name}: {HOURS[name]:g} hours of annotation, batches of {BATCH}, {seeds} seeds", flush=True)
    print(
        "| strategy | accuracy, mean over the time | at the end | labels at the end "
        "| per second, less plain |"
    )
    print("|---|---|---|---|---|", flush=True)
    for strategy in strategies:
        plain: list[float] = []
        for wider in (0, *widths):
            means, ends, labels = [], [], []
            for seed in range(seeds):
                times, accuracy = play(material(name, seed), strategy, wider, budget, seed)
                at = np.interp(grid, times, accuracy)
                means.append(float(at.mean()))
                ends.append(float(at[-1]))
                labels.append(START + BATCH * (len(times) - 1))
            said = ""
            if wider:
                gain = np.array(means) - np.array(plain)
                error = gain.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else float("nan")
                said = f"{gain.mean():+.4f} ± {error:.4f} ({(gain > 0).sum()} of {seeds} seeds ahead)"
            else:
                plain = means
            shown = strategy + (f", per second of {wider} times as many" if wider else "")
            print(
                f"| {shown} | {np.mean(means):.4f} | {np.mean(ends):.4f} | {np.mean(labels):.0f} | {said} |",
                flush=True,
            )


def fit_of_cost(name: str) -> None:
    """Print how well seconds are foretold, against the mean of all, robust or not."""
    print(f"\n{name}: relative error of expected seconds per task (median), 200 lead times, 20 seeds")
    robust, plain, flat = [], [], []
    for seed in range(20):
        given = material(name, seed)
        rows = np.random.default_rng([seed, 3]).permutation(len(given.pool))[:400]
        known, judged = rows[:200], rows[200:]
        expected = (
            (SECONDS_BEFORE + given.lengths / CHARACTERS_PER_SECOND) * np.mean(PACES) * np.exp(0.35**2 / 2)
        )
        error = partial(_relative, expected[judged])
        robust.append(error(learned(given, known).seconds(given.lengths[judged])))
        design = np.column_stack([np.ones(200), given.lengths[known]])
        line = np.linalg.lstsq(design, given.recorded[known], rcond=None)[0]
        plain.append(error(line[0] + line[1] * given.lengths[judged]))
        flat.append(error(np.full(len(judged), given.recorded[known].mean())))
    print("| robust | least squares | mean of all |\n|---|---|---|")
    print(f"| {np.mean(robust):.3f} | {np.mean(plain):.3f} | {np.mean(flat):.3f} |", flush=True)


def _relative(truth: Numbers, found: Numbers) -> float:
    return float(np.median(np.abs(found - truth) / truth))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="banking77,snips,sms_spam")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--wider", default="4")
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    args = parser.parse_args()
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    begun = time.perf_counter()
    for name in args.data.split(","):
        fit_of_cost(name)
        compare(name, args.seeds, [int(one) for one in args.wider.split(",")], args.strategies.split(","))
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
