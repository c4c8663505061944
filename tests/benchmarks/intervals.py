"""How often 90 % intervals hold: of a share, exactly; of F1s, errors and correlations, by simulation.

python tests/benchmarks/intervals.py [--repeats 200]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import beta, binom, binomtest

from backend.quality.intervals import (
    CONFIDENCE,
    correlation_range,
    f1,
    f1_range,
    mean_range,
    mean_share_range,
    share_range,
)

Numbers = NDArray[np.float64]
Shares = Callable[[int], tuple[Numbers, Numbers]]

SIZES = (20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
RATES = np.arange(50, 99) / 100
TAIL = (1 - CONFIDENCE) / 2


def ours(n: int) -> tuple[Numbers, Numbers]:
    """What nextlabel reports: (n + 1,) lower and upper ends, one for each number of right answers."""
    found = np.array([share_range(right, n) for right in range(n + 1)])
    return found[:, 0], found[:, 1]


def _of_scipy(method: str) -> Shares:
    def find(n: int) -> tuple[Numbers, Numbers]:
        found = [binomtest(right, n).proportion_ci(CONFIDENCE, method=method) for right in range(n + 1)]
        return np.array([each.low for each in found]), np.array([each.high for each in found])

    return find


def jeffreys(n: int) -> tuple[Numbers, Numbers]:
    """Equal tails of Beta(x + 1/2, n - x + 1/2), 0 and 1 at the ends."""
    x = np.arange(n + 1)
    low, high = beta.ppf(TAIL, x + 0.5, n - x + 0.5), beta.ppf(1 - TAIL, x + 0.5, n - x + 0.5)
    low[0], high[-1] = 0, 1
    return low, high


def mid_p(n: int) -> tuple[Numbers, Numbers]:
    """Clopper and Pearson's with half of the probability of what was seen, by bisection."""
    x = np.arange(n + 1)

    def solve(below: Callable[[Numbers], NDArray[np.bool_]]) -> Numbers:
        low, high = np.zeros(n + 1), np.ones(n + 1)
        for _ in range(40):
            half = (low + high) / 2
            less = below(half)
            low, high = np.where(less, half, low), np.where(less, high, half)
        return low

    low = solve(lambda p: binom.sf(x, n, p) + binom.pmf(x, n, p) / 2 < TAIL)
    high = solve(lambda p: binom.cdf(x - 1, n, p) + binom.pmf(x, n, p) / 2 > TAIL)
    low[0], high[-1] = 0, 1
    return low, high


CANDIDATES: dict[str, Shares] = {
    "Agresti-Coull (ours)": ours,
    "Wilson": _of_scipy("wilson"),
    "Jeffreys": jeffreys,
    "mid-p": mid_p,
    "Clopper-Pearson": _of_scipy("exact"),
}


def coverage(interval: Shares, n: int) -> tuple[Numbers, float]:
    """Chance that the interval of n tasks holds each of `RATES`, by summing; and its mean width."""
    low, high = interval(n)
    chance = binom.pmf(np.arange(n + 1), n, RATES[:, None])
    held = (low <= RATES[:, None]) & (RATES[:, None] <= high)
    return (chance * held).sum(axis=1), float((chance * (high - low)).sum(axis=1).mean())


# --- by simulation ----------------------------------------------------------------------------------


def confusions(classes: int, rng: Generator) -> Numbers:
    """(classes, classes) joint probabilities of truth and guess: rare and common, easy and hard classes."""
    share = np.maximum(rng.dirichlet(np.ones(classes)), 0.3 / classes)
    ease = rng.uniform(0.6, 0.97)
    recall = np.clip(rng.beta(6 * ease, 6 * (1 - ease), classes), 0.02, 0.995)
    joint = np.zeros((classes, classes))
    for own in range(classes):
        others = np.arange(classes) != own
        joint[own, others] = (1 - recall[own]) * rng.dirichlet(np.full(classes - 1, 0.3))
        joint[own, own] = recall[own]
    joint *= share[:, None]
    return joint / joint.sum()


def class_answers(
    classes: int, n: int, rng: Generator
) -> tuple[Numbers, Numbers, NDArray[np.int64], Numbers]:
    """Make up n answers: right, and true and guessed ones, (n, classes) each; truth (n,); true F1s."""
    joint = confusions(classes, rng)
    truths = 2 * np.diag(joint) / (joint.sum(axis=0) + joint.sum(axis=1))
    truth, guess = np.divmod(rng.choice(classes**2, n, p=joint.ravel()), classes)
    rows = np.arange(n)
    right, sizes = np.zeros((2, n, classes))
    right[rows, truth] = truth == guess
    sizes[rows, truth] += 1
    sizes[rows, guess] += 1
    return right, sizes, truth, truths


def macro_f1_holds(classes: int, n: int, rng: Generator) -> tuple[bool, float]:
    """Whether macro-F1 over the classes met holds the truth of those classes, and the width."""
    right, sizes, truth, truths = class_answers(classes, n, rng)
    met = np.bincount(truth, minlength=classes) > 0
    low, high = f1_range(right[:, met], sizes[:, met], seed=int(rng.integers(2**31)), macro=True)
    return bool(low <= truths[met].mean() <= high), high - low


def entity_texts(spans: float, rng: Generator) -> tuple[Callable[[int], tuple[Numbers, Numbers]], float]:
    """Make up texts that are easy or hard as a whole: what draws n of them, and micro-F1 over many.

    A draw gives right spans, and true and guessed ones, (n, 1) each.
    """
    ease, alike = rng.uniform(0.5, 0.95), 4.0

    def drawn(texts: int) -> tuple[Numbers, Numbers]:
        rate = rng.beta(alike * ease, alike * (1 - ease), texts)
        true = rng.poisson(spans, texts)
        right = rng.binomial(true, rate)
        wrong = rng.binomial(true, (1 - rate) * 0.7) + rng.poisson(0.05, texts)
        return right[:, None].astype(float), (2 * right + (true - right) + wrong)[:, None].astype(float)

    right, sizes = drawn(200_000)
    truth = f1(right.sum(axis=0), sizes.sum(axis=0), macro=False)
    return drawn, truth


def entity_f1_holds(spans: float, n: int, rng: Generator) -> tuple[bool, float]:
    """The same of micro-F1, where texts have `spans` spans on average, and are easy or hard as a whole."""
    drawn, truth = entity_texts(spans, rng)
    right, sizes = drawn(n)
    low, high = f1_range(right, sizes, seed=int(rng.integers(2**31)), macro=False)
    return bool(low <= truth <= high), high - low


def mean_f1_holds(_: float, n: int, rng: Generator) -> tuple[bool, float]:
    """The same of the mean of shares that are often 0 or 1."""
    a, b = rng.uniform(0.5, 4), rng.uniform(0.3, 1.5)
    ends = rng.uniform(0.2, 0.8)
    value = rng.beta(a, b, n)
    value = np.where(rng.random(n) < ends, (rng.random(n) < a / (a + b)).astype(float), value)
    low, high = mean_share_range(value, seed=int(rng.integers(2**31)))
    return bool(low <= a / (a + b) <= high), high - low


def mae_holds(shape: float, n: int, rng: Generator) -> tuple[bool, float]:
    """The same of a mean absolute error: gamma errors, those of shape 1 exponential; as a ratio."""
    low, high = mean_range(rng.gamma(shape, 1 / shape, n))
    return bool(low <= 1 <= high), high - low


def spearman_holds(_: float, n: int, rng: Generator) -> tuple[bool, float]:
    """The same of Spearman's correlation between numbers that are jointly normal."""
    from scipy.stats import spearmanr

    linear = rng.uniform(0.2, 0.95)
    a = rng.normal(size=n)
    b = linear * a + np.sqrt(1 - linear**2) * rng.normal(size=n)
    low, high = correlation_range(float(spearmanr(a, b)[0]), n)
    return bool(low <= 6 / np.pi * np.arcsin(linear / 2) <= high), high - low


SIMULATED: list[tuple[str, Callable[..., tuple[bool, float]], float]] = [
    *((f"macro-F1, {classes} classes", macro_f1_holds, classes) for classes in (2, 3, 10, 28)),
    *((f"entity F1, {spans} spans a text", entity_f1_holds, spans) for spans in (0.5, 2.5)),
    ("mean F1 of tasks", mean_f1_holds, 0),
    *((f"mean absolute error, shape {shape}", mae_holds, shape) for shape in (1, 3)),
    ("Spearman", spearman_holds, 0),
]


def simulated(repeats: int) -> Iterator[str]:
    """Lines of the second table."""
    yield f"\n{'by simulation: share of intervals that hold':34}" + "".join(
        f"{n:>7}" for n in SIMULATED_SIZES
    )
    for name, holds, what in SIMULATED:
        line = f"{name:34}"
        for n in SIMULATED_SIZES:
            rng = np.random.default_rng([n, int(10 * what)])
            found = [holds(what, n, rng)[0] for _ in range(repeats)] if n >= what else []
            line += f"{np.mean(found):7.1%}" if found else f"{'':7}"
        yield line


SIMULATED_SIZES = (20, 50, 100, 300, 1000)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--every", action="store_true", help="every n from 20 to 1,000, not eleven of them")
    args = parser.parse_args()
    sizes = range(20, 1001) if args.every else SIZES
    print(f"{'a share, exactly':24}{'mean':>8}{'least':>8}{'width':>8}   at n, p")
    for name, interval in CANDIDATES.items():
        found = [coverage(interval, n) for n in sizes]
        held = np.array([each for each, _ in found])
        row, column = np.unravel_index(held.argmin(), held.shape)
        width = np.mean([each for _, each in found])
        print(
            f"{name:24}{held.mean():8.1%}{held.min():8.1%}{width:8.3f}   {sizes[row]}, {RATES[column]:.2f}",
            flush=True,
        )
    warnings.simplefilter("ignore")
    for line in simulated(args.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()
