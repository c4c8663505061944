"""Strategies of small-text and scikit-activeml as ours: each peer's own code, called from its own package.

    build("small_text.badge")(pool, candidates, 50, rng)

Both peers get our embeddings, and our fitted model where they ask for one; neither fits a model of its own.
What is not said here stays at the peer's default. `peers.sh` makes the environment that has them.

Some draw from NumPy's global generator, which is seeded from `rng` at each call; small-text's BADGE draws
from one that nobody can seed, so its picks differ from run to run.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator

from strategies import checks
from strategies.types import BadInput, Floats, Pool, Positions, QueryStrategy, Ranking

NAMES = (
    "small_text.breaking_ties",
    "small_text.prediction_entropy",
    "small_text.cal",
    "small_text.badge",
    "small_text.greedy_coreset",
    "small_text.embedding_kmeans",
    "skactiveml.uncertainty",
    "skactiveml.typiclust",
    "skactiveml.probcover",
    "skactiveml.badge",
    "skactiveml.coreset",
    "skactiveml.dropquery",
)


def installed() -> bool:
    """Whether both peers can be imported here."""
    return all(importlib.util.find_spec(name) for name in ("small_text", "skactiveml"))


def build(name: str) -> QueryStrategy:
    """Make the peer's strategy `name`; one instance serves one pool, since some keep what they computed."""
    if name not in NAMES:
        raise BadInput(f"unknown peer {name!r}; expected one of {', '.join(NAMES)}")
    package, short = name.split(".")
    return SmallText(short) if package == "small_text" else Skactiveml(short)


@dataclass
class SmallText:
    """A strategy of small-text: `query(clf, dataset, indices_unlabeled, indices_labeled, y, n)`.

    The dataset is the array of all rows, indices are rows of it, and `y` is not looked at by any of these.
    """

    name: str
    filled: int = field(default=0, init=False)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank what small-text chooses."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return ranking(rows[:0])
        labelled = np.flatnonzero(pool.labelled)
        model = SmallTextModel(pool)
        np.random.seed(int(rng.integers(2**32)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strategy = small_text_strategy(self.name, model.classes)
            every = np.asarray(pool.embeddings[np.arange(len(pool.labelled))])
            picks = strategy.query(model, every, rows, labelled, np.zeros(len(labelled), np.int64), n=count)
        picks, missing = whole(self.name, np.asarray(picks, np.int64), rows, count, rng)
        self.filled += missing
        return ranking(picks)


@dataclass(frozen=True)
class SmallTextModel:
    """Our fitted model as a classifier of small-text's; a dataset is an array of embeddings."""

    pool: Pool

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return self.predict_proba(self.pool.embeddings[np.array([0])]).shape[1]

    def predict_proba(self, dataset: Floats) -> Floats:
        """(n, classes)."""
        return class_probabilities(self.pool, dataset)

    def predict(self, dataset: Floats) -> Positions:
        """(n,)."""
        return self.predict_proba(dataset).argmax(axis=1)

    def embed(self, dataset: Floats, *, return_proba: bool = False, pbar: Any = None) -> Any:
        """Give the embeddings, as the peer expects of a classifier."""
        return (dataset, self.predict_proba(dataset)) if return_proba else dataset


def small_text_strategy(name: str, classes: int) -> Any:
    """Make small-text's own strategy."""
    import small_text
    from small_text.integrations.pytorch.query_strategies import BADGE

    kinds: dict[str, Callable[[], Any]] = {
        "breaking_ties": small_text.BreakingTies,
        "prediction_entropy": small_text.PredictionEntropy,
        "cal": lambda: small_text.ContrastiveActiveLearning(pbar=None),
        "badge": lambda: BADGE(classes),
        "greedy_coreset": small_text.GreedyCoreset,
        "embedding_kmeans": small_text.EmbeddingKMeans,
    }
    return kinds[name]()


@dataclass
class Skactiveml:
    """A strategy of scikit-activeml: `query(X, y, candidates=..., batch_size=...)`.

    X are all rows, y is NaN where a row has no label; what the labels are is not looked at by any of these.
    """

    name: str
    filled: int = field(default=0, init=False)
    _made: Any = field(default=None, init=False, repr=False)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank what scikit-activeml chooses."""
        rows, count = checks.question(pool, candidates, k)
        if count == 0:
            return ranking(rows[:0])
        model = skactiveml_model()(pool)
        if self._made is None:
            self._made = skactiveml_strategy(self.name, model.n_classes, int(rng.integers(2**31)))
        every = np.asarray(pool.embeddings[np.arange(len(pool.labelled))])
        asked: dict[str, Any] = {"candidates": rows, "batch_size": count}
        np.random.seed(int(rng.integers(2**32)))
        if self.name in ("uncertainty", "badge", "dropquery"):
            asked |= {"clf": model, "fit_clf": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picks = self._made.query(every, np.where(pool.labelled, 0.0, np.nan), **asked)
        picks, missing = whole(self.name, np.asarray(picks, np.int64), rows, count, rng)
        self.filled += missing
        return ranking(picks)


def skactiveml_strategy(name: str, classes: int, seed: int) -> Any:
    """Make scikit-activeml's own strategy."""
    from skactiveml import pool as peer

    kinds: dict[str, Callable[[], Any]] = {
        "uncertainty": lambda: peer.UncertaintySampling(method="margin_sampling", random_state=seed),
        "typiclust": lambda: peer.TypiClust(random_state=seed),
        "probcover": lambda: peer.ProbCover(n_classes=max(classes, 2), random_state=seed),
        "badge": lambda: peer.Badge(random_state=seed),
        "coreset": lambda: peer.CoreSet(random_state=seed),
        "dropquery": lambda: peer.DropQuery(random_state=seed),
    }
    return kinds[name]()


@cache
def skactiveml_model() -> Any:
    """Make the class (the peer's base class must be imported first): our fitted model as its classifier."""
    from skactiveml.base import SkactivemlClassifier

    class Model(SkactivemlClassifier):  # type: ignore[misc, unused-ignore]
        def __init__(self, pool: Pool) -> None:
            super().__init__()
            self.pool = pool

        @property
        def n_classes(self) -> int:
            return int(self.predict_proba(self.pool.embeddings[np.array([0])]).shape[1])

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
            raise BadInput("the peer fits the model, expected fit_clf=False")

        def predict_proba(self, X: Any, **options: Any) -> Floats:  # noqa: N803
            return class_probabilities(self.pool, X)

        def predict(self, X: Any, **options: Any) -> Positions:  # noqa: N803
            return self.predict_proba(X).argmax(axis=1)

    return Model


def class_probabilities(pool: Pool, vectors: Any) -> Floats:
    """Ask the pool's model: (n, classes)."""
    values = checks.probabilities(pool.predict_vectors(np.asarray(vectors, np.float32)), len(vectors))
    average: Floats = values.mean(axis=0)
    return average


def whole(
    name: str, picks: Positions, candidates: Positions, k: int, rng: Generator
) -> tuple[Positions, int]:
    """Give k distinct candidates, the peer's in its order, and how many it left out.

    Where a peer repeats a row the gap is filled at random. Raises BadInput for a row that is no candidate.
    """
    strange = np.setdiff1d(picks, candidates)
    if len(strange):
        raise BadInput(f"{name} chose row {strange[0]}, expected one of the {len(candidates)} candidates")
    _, first = np.unique(picks, return_index=True)
    distinct = picks[np.sort(first)][:k]
    missing = k - len(distinct)
    if missing:
        rest = np.setdiff1d(candidates, distinct)
        distinct = np.concatenate([distinct, rng.choice(rest, missing, replace=False)])
    return distinct, missing


def ranking(picks: Positions) -> Ranking:
    """Peers say which rows, not how much each is worth."""
    return Ranking(picks, -np.arange(len(picks), dtype=np.float32), ("a peer's choice",) * len(picks))
