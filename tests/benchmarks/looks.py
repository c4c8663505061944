"""How often a target that is not passed is called reached, over all looks at a growing audit slice.

python tests/benchmarks/looks.py [--repeats 400]

Accuracy exactly; F1s and correlations by simulation, looked at after every tenth random task.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from intervals import class_answers, entity_texts
from numpy.random import Generator
from numpy.typing import NDArray

from backend.budget.surely import surely_above
from backend.quality.intervals import correlation_range, f1, f1_range, share_range

Numbers = NDArray[np.float64]
Look = tuple[int, float, float, float]
"""Random tasks, the metric, the lower end of its 90 % interval, what it truly is."""

FIRST, LAST, STEP = 10, 300, 10
DRAWS = 300


def chance(closes: Callable[[int, int], bool], share: float, last: int = LAST) -> Numbers:
    """(last + 1,): exact chance that accuracy was called reached by each number of random tasks."""
    alive, closed = np.zeros(last + 1), np.zeros(last + 1)
    alive[0] = 1
    for n in range(1, last + 1):
        alive[1:] = alive[1:] * (1 - share) + alive[:-1] * share
        alive[0] *= 1 - share
        if n >= FIRST:
            for right in np.flatnonzero(alive[: n + 1]):
                if closes(int(right), n):
                    closed[n] += alive[right]
                    alive[right] = 0
    return np.asarray(closed.cumsum())


def ours(target: float) -> Callable[[int, int], bool]:
    """What nextlabel asks."""
    return lambda right, n: right > target * n and surely_above("accuracy", right / n, 0, n, target)


def naive(target: float) -> Callable[[int, int], bool]:
    """The lower end of the interval, whenever one looks."""
    return lambda right, n: right > target * n and share_range(right, n)[0] >= target


# --- by simulation ----------------------------------------------------------------------------------


def of_macro_f1(classes: int, rng: Generator) -> Sequence[Look]:
    """Macro-F1 over the classes met, whose true F1s are known."""
    right, sizes, truth, truths = class_answers(classes, LAST, rng)
    looks = []
    for n in range(FIRST, LAST + 1, STEP):
        met = np.bincount(truth[:n], minlength=classes) > 0
        looks.append(_f1(right[:n, met], sizes[:n, met], float(truths[met].mean()), macro=True))
    return looks


def of_entity_f1(spans: float, rng: Generator) -> Sequence[Look]:
    """Micro-F1 of texts that are easy or hard as a whole."""
    drawn, truth = entity_texts(spans, rng)
    right, sizes = drawn(LAST)
    return [_f1(right[:n], sizes[:n], truth, macro=False) for n in range(FIRST, LAST + 1, STEP)]


def _f1(right: Numbers, sizes: Numbers, truth: float, *, macro: bool) -> Look:
    value = f1(right.sum(axis=0), sizes.sum(axis=0), macro=macro)
    return len(right), value, f1_range(right, sizes, seed=0, macro=macro, draws=DRAWS)[0], truth


def of_spearman(linear: float, rng: Generator) -> Sequence[Look]:
    """Numbers that are jointly normal."""
    from scipy.stats import spearmanr

    a = rng.normal(size=LAST)
    b = linear * a + math.sqrt(1 - linear**2) * rng.normal(size=LAST)
    truth, looks = 6 / math.pi * math.asin(linear / 2), []
    for n in range(FIRST, LAST + 1, STEP):
        value = float(spearmanr(a[:n], b[:n]).statistic)
        looks.append((n, value, correlation_range(value, n)[0], truth))
    return looks


SIMULATED: list[tuple[str, str, Callable[..., Sequence[Look]], float]] = [
    *((f"macro-F1, {classes} classes", "macro_f1", of_macro_f1, classes) for classes in (3, 10)),
    *((f"entity F1, {spans} spans a text", "entity_f1", of_entity_f1, spans) for spans in (0.5, 2.5)),
    *((f"Spearman, {linear}", "spearman", of_spearman, linear) for linear in (0.5, 0.8, 0.95)),
]


def _first(true: NDArray[np.bool_]) -> str:
    return str(int(np.argmax(true))) if true.any() else f"over {len(true) - 1:,}"


def main() -> None:
    """Print what is called reached wrongly, then how long it takes where it is rightly so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")
    print(f"{f'called reached by {LAST} random tasks':36}{'ours':>8}{'naive':>8}")
    for target in (0.7, 0.8, 0.9, 0.95):
        found = [chance(rule(target), target)[-1] for rule in (ours, naive)]
        print(f"{f'accuracy exactly at {target}':36}{found[0]:8.1%}{found[1]:8.1%}", flush=True)
    for name, metric, looks_of, what in SIMULATED:
        rng, wrong = np.random.default_rng(int(100 * what)), np.zeros(2)
        for _ in range(repeats):
            looks = looks_of(what, rng)
            wrong += (
                any(surely_above(metric, value, low, n, truth) for n, value, low, truth in looks),
                any(low >= truth for _, _, low, truth in looks),
            )
        print(f"{name:36}{wrong[0] / repeats:8.1%}{wrong[1] / repeats:8.1%}", flush=True)
    print("\nrandom tasks until half (8 of 10) of the projects have closed, target .9")
    for share in (0.92, 0.93, 0.95, 0.97):
        closed = chance(ours(0.9), share, last=2000)
        half, most = (_first(closed >= part) for part in (0.5, 0.8))
        print(f"accuracy {share}: {half} ({most})", flush=True)


if __name__ == "__main__":
    main()
