"""Core-sets from how training went: forgetting events, EL2N, entropy; and coverage of what is hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from strategies.coreset import CORESETS, LabelledSet, dynamics_of, quotas
from strategies.coreset_geometry import check_radius, cover
from strategies.types import BadInput, Floats, Positions


@CORESETS("forgetting")
@dataclass(frozen=True)
class Forgetting:
    """Keep what was learned and forgotten most often, or never learned at all (Toneva et al. 2019).

    even: as many of each class; else whatever was forgotten most. Ties are drawn
    """

    even: bool = True

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows."""
        return hardest(data, forgotten(dynamics_of(data, self), data.targets), k, rng, even=self.even)


@CORESETS("el2n")
@dataclass(frozen=True)
class El2n:
    """Keep what the model was farthest from, on average over the epochs (Paul et al. 2021).

    even: as many of each class; else whatever was hardest
    """

    even: bool = True

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows."""
        return hardest(data, error_norm(dynamics_of(data, self), data.targets), k, rng, even=self.even)


@CORESETS("entropy")
@dataclass(frozen=True)
class Entropy:
    """Keep what the model is least sure of after the last epoch (Coleman et al. 2020).

    even: as many of each class; else whatever is least sure
    """

    even: bool = True

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows."""
        last = dynamics_of(data, self)[-1]
        spread = -(last * np.log(np.maximum(last, np.finfo(np.float32).tiny))).sum(axis=1)
        return hardest(data, spread, k, rng, even=self.even)


@CORESETS("stratified")
@dataclass(frozen=True)
class Stratified:
    """Drop the hardest rows, often mislabelled, and draw evenly from all levels of difficulty.

    hard:   share of the rows that is not eligible
    strata: levels of EL2N, equally wide
    source: coverage-centric core-sets, Zheng et al. 2023
    """

    hard: float = 0.05
    strata: int = 20

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows; the hard ones only where k leaves no choice."""
        error = error_norm(dynamics_of(data, self), data.targets)
        easiest = np.argsort(error, kind="stable")[: max(k, len(data) - int(self.hard * len(data)))]
        edges = np.linspace(error[easiest].min(), error[easiest].max(), self.strata + 1)[1:-1]
        level = np.searchsorted(edges, error[easiest], side="right")
        shares = quotas(np.bincount(level, minlength=self.strata), k)
        kept = [rng.permutation(easiest[level == stratum])[:share] for stratum, share in enumerate(shares)]
        return rng.permutation(np.concatenate(kept))


@CORESETS("hard_coverage")
@dataclass(frozen=True)
class HardCoverage:
    """Cover what is hard: facility location in which the coverage of a hard row is worth more.

    A row that repeats others adds nothing, an easy region needs few rows, and an outlier, hard though it is,
    covers itself alone. Good where much is kept; where little is, herding's typical rows are better.

    emphasis: a row is worth 1 + emphasis x its EL2N over the average; 0 is plain facility location
    radius:   how far a row covers, see `coverage.gaussian`
    even:     as many of each class; else whichever class gains most from its next row
    """

    emphasis: float = 3.0
    radius: float = 0.5
    even: bool = True

    def __post_init__(self) -> None:
        check_radius(self.radius)
        if not 0 <= self.emphasis <= 1e6:
            raise BadInput(f"emphasis is {self.emphasis}, expected a number from 0 to 1e6")

    def __call__(self, data: LabelledSet, k: int, rng: Generator) -> Positions:
        """Keep `k` rows; drawn are only the rows to cover, of a class of more than 4,096."""
        return cover(data, k, self.worth(data), self.radius, rng, even=self.even)

    def worth(self, data: LabelledSet) -> Floats:
        """What covering each row is worth: (n,)."""
        error = error_norm(dynamics_of(data, self), data.targets)
        emphasised: Floats = 1 + np.float32(self.emphasis) * error / max(float(error.mean()), 1e-6)
        return emphasised


def forgotten(dynamics: Floats, targets: Positions) -> Floats:
    """Count how often a row was right in one epoch and wrong in the next: (n,); never right counts most.

    dynamics: (epochs, n, classes)
    """
    right = dynamics.argmax(axis=2) == targets
    events: Floats = (right[:-1] & ~right[1:]).sum(axis=0).astype(np.float32)
    events[~right.any(axis=0)] = len(dynamics)
    return events


def error_norm(dynamics: Floats, targets: Positions) -> Floats:
    """Measure how far (n,) the probabilities are from the truth's one-hot vector, averaged over epochs."""
    squares = np.einsum("enc,enc->en", dynamics, dynamics)
    truth = dynamics[:, np.arange(len(targets)), targets]
    norms: Floats = np.sqrt(np.maximum(squares - 2 * truth + 1, 0)).mean(axis=0, dtype=np.float32)
    return norms


def hardest(data: LabelledSet, score: Floats, k: int, rng: Generator, *, even: bool) -> Positions:
    """Keep the `k` rows of the largest `score` (n,), ties drawn; a quota of each class if `even`.

    The order is that of the score, whatever the class.
    """
    drawn = rng.permutation(len(data))
    order = drawn[np.argsort(-score[drawn], kind="stable")]
    if not even:
        return order[:k]
    _, home = np.unique(data.targets, return_inverse=True)
    shares = quotas(np.bincount(home), k)
    by_class = np.argsort(home[order], kind="stable")
    rank = np.empty(len(order), np.int64)
    sizes = np.bincount(home)
    rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[rank < shares[home[order]]]
