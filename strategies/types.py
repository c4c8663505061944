"""The words strategies share: arrays, the pool, predictions, rankings. Needs NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Positions: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Candidates: TypeAlias = NDArray[Any]
"""Rows (m,) of the pool, or a mask (n,) over it; `checks.question` takes either."""


class BadInput(ValueError):
    """An argument cannot be worked with; the message names it, its value and what was expected."""


@dataclass(frozen=True)
class Probabilities:
    """Class probabilities, as one or several models see them.

    values:   (members, n, classes), each row sums to one; one member for a single model
    evidence: (n,) log-sum-exp of the logits, where the model has any: high where an input looks familiar
    """

    values: Floats
    evidence: Floats | None = None

    def __len__(self) -> int:
        return int(self.values.shape[1])

    @property
    def mean(self) -> Floats:
        """(n, classes): the members' average."""
        average: Floats = self.values.mean(axis=0)
        return average


@dataclass(frozen=True)
class TagProbabilities:
    """Probability of each tag on its own: an input may have several, or none.

    values: (members, n, tags), each number in [0, 1]
    """

    values: Floats

    def __len__(self) -> int:
        return int(self.values.shape[1])


@dataclass(frozen=True)
class Gaussian:
    """A number for each input, and how far off it may be.

    mean: (n,)
    sd:   (n,) standard deviation, at least 0, in the unit of the mean
    """

    mean: Floats
    sd: Floats

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True)
class TokenProbabilities:
    """Label probabilities of each token of n texts, all texts' tokens one after another.

    values: (tokens, labels), each row sums to one
    starts: (n + 1,) ascending from 0: text i has the tokens starts[i] to starts[i + 1], perhaps none
    """

    values: Floats
    starts: Positions

    def __len__(self) -> int:
        return len(self.starts) - 1


Prediction: TypeAlias = Probabilities | TagProbabilities | Gaussian | TokenProbabilities
"""What a model says of n inputs: a closed union, one form for each kind of target."""


@dataclass(frozen=True)
class Ranking:
    """What to label next, best first. The order is the answer; the rest explains it.

    positions: (k,) rows of the whole pool, distinct
    utility:   (k,) what the strategy saw in each; comparable within one ranking only
    reasons:   k short phrases in plain words
    """

    positions: Positions
    utility: Floats
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions)


class Rows(Protocol):
    """An (n, d) array that need not lie in memory: fancy indexing gives float32 rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, d)."""

    def __getitem__(self, positions: Any, /) -> Any:
        """Rows at `positions` (m,): (m, d)."""


class Pool(Protocol):
    """All tasks, one row each; positions are rows of the whole pool and never change their meaning.

    A pool may give more: `token_embeddings` and `recently_labelled` (see `gist_coverage`), and
    `label_embeddings` and `other_view` (see `rare_first`). Strategies do without where it does not.
    """

    @property
    def embeddings(self) -> Rows:
        """(n, d), unit length (an empty input may be all zeros)."""

    @property
    def labelled(self) -> Mask:
        """(n,): rows that have a label."""

    def predict(self, positions: Positions) -> Prediction:
        """Ask the fitted model about `positions` (m,) only."""

    def predict_vectors(self, vectors: Floats) -> Prediction:
        """Ask the fitted model about points (m, d) of the embedding space that need not be rows."""

    def near_labelled(self, neighbors: int, at_most: int | None = None) -> Positions:
        """Rows (c,) among the `neighbors` nearest of a labelled row, ascending; some may be labelled too.

        Where they are more than `at_most`: those near a balanced part of the labelled rows.
        """


class QueryStrategy(Protocol):
    """Chooses what to label next."""

    def __call__(self, pool: Pool, candidates: Candidates, k: int, rng: Generator) -> Ranking:
        """Rank the best min(k, m) of `candidates`, m rows of the whole pool, none labelled."""


class NeighborIndex(Protocol):
    """Approximate nearest neighbours among the pool's rows; rows are only ever added."""

    def __len__(self) -> int:
        """How many rows the index holds."""

    def add(self, vectors: Floats) -> None:
        """Append (m, d) rows after those already held."""

    def search(self, vectors: Floats, k: int) -> tuple[Floats, Positions]:
        """Similarities (m, k) and positions (m, k), nearest first; -1 where fewer were found."""
