"""Compress a labelled data set, and measure what a model trained on the rest of it loses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from backend.domain import ConfigError, Progress, silent
from backend.models import Head, answers
from backend.models.dynamics import linear_dynamics
from backend.models.targets import Model
from backend.simulate.curves import macro_f1
from backend.simulate.data import held_out
from strategies import Probabilities
from strategies.coreset import LabelledSet, core_set
from strategies.types import Floats, Positions

DRAWS = 5
"""Random sets of the same size that the method is compared with."""
AUTO = "auto"
CANDIDATES = ("herding", "hard_coverage", "facility_location", "stratified", "entropy", "balanced_random")
"""What `auto` tries; of equally good ones the first is taken."""
ALL, RANDOM, BALANCED = "all data", "random", "balanced_random"


@dataclass(frozen=True)
class Labelled:
    """Labelled inputs, encoded.

    texts: n inputs   embeddings: (n, d)   targets: (n,), each in [0, classes)
    """

    texts: Sequence[str]
    embeddings: Floats
    targets: Positions
    classes: int

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, rows: Positions) -> Labelled:
        """Give `rows` (m,) alone."""
        texts = [self.texts[row] for row in rows]
        return Labelled(texts, self.embeddings[rows], self.targets[rows], self.classes)


@dataclass(frozen=True)
class Score:
    """How good a model is that was trained on `rows` rows; averages where several sets were drawn.

    model:    proxy or target
    trained:  on what: all data, the method's name, or that of a baseline
    low:      the worst of the sets' accuracies; high: the best
    """

    model: str
    trained: str
    rows: int
    accuracy: float
    macro_f1: float
    low: float
    high: float


@dataclass(frozen=True)
class Compressor:
    """Chooses rows by a method, on the proxy's view of the data.

    method: the name of a core-set method; `auto` lets the proxy try several on a part of the data, and takes
            the one that it learns most from
    """

    method: str
    seed: int
    new_head: Callable[[], Head]

    def __call__(self, data: Labelled, k: int) -> tuple[str, Positions]:
        """Keep `k` rows (k,) of `data`, and say by which method."""
        method = self._best(data, k) if self.method == AUTO else self.method
        return method, core_set(self._view(data), k, method, self._rng())

    def _best(self, data: Labelled, k: int) -> str:
        aside = held_out(data.targets, seed=self.seed)
        tried, judged = data.part(np.flatnonzero(~aside)), data.part(np.flatnonzero(aside))
        view, size = self._view(tried), max(1, round(k * len(tried) / len(data)))
        right = {method: self._right(view, size, method, judged) for method in CANDIDATES}
        return max(CANDIDATES, key=lambda method: right[method])

    def _right(self, view: LabelledSet, k: int, method: str, judged: Labelled) -> float:
        """Accuracy on `judged` of a proxy that learned from `k` rows by `method`."""
        rows = core_set(view, k, method, self._rng())
        head = self.new_head()
        if not head.can_fit(view.targets[rows]):
            return 0.0
        head.fit(view.features[rows], view.targets[rows], seed=self.seed)
        return float((answers(head, judged.embeddings).targets == judged.targets).mean())

    def _view(self, data: Labelled) -> LabelledSet:
        dynamics = linear_dynamics(data.embeddings, data.targets, data.classes, seed=self.seed)
        return LabelledSet(data.embeddings, data.targets, dynamics)

    def _rng(self) -> Generator:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Measured:
    """What was lost, and what it took.

    method:  that chose the rows, the one that `auto` has found
    seconds: of choosing the rows of the part that trains
    """

    method: str
    scores: tuple[Score, ...]
    seconds: float


def size(wanted: str, rows: int, classes: int) -> int:
    """Read `--size`: a number of rows, or a share such as 30%; ConfigError says what it may be."""
    text = wanted.strip()
    expected = f"expected a number of rows from {classes} (one a class) to {rows}, or a share such as 30%"
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else None
        count = round(share * rows) if share is not None else int(text)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--size {wanted}: {expected}") from error
    if not classes <= count <= rows:
        shown = f" is {count} rows" if share is not None else ""
        raise ConfigError(f"--size {wanted}{shown}: {expected}")
    return count


def measure(
    train: Labelled,
    test: Labelled,
    k: int,
    compressor: Compressor,
    *,
    new_target: Callable[[], Model] | None = None,
    progress: Progress = silent,
) -> Measured:
    """Train on all of `train`, on `k` rows of the method and on as many random ones; score on `test`.

    The proxy sees 5 draws of each random baseline, the target (where there is one) one of each.
    """
    begun = time.perf_counter()
    method, kept = compressor(train, k)
    seconds = time.perf_counter() - begun
    known = LabelledSet(train.embeddings, train.targets)
    sets: dict[str, list[Positions]] = {ALL: [np.arange(len(train))], method: [kept]}
    for baseline in (BALANCED, RANDOM):
        if baseline != method:
            rngs = [np.random.default_rng([compressor.seed, 5, draw]) for draw in range(DRAWS)]
            sets[baseline] = [core_set(known, k, baseline, rng) for rng in rngs]

    def proxy(rows: Positions) -> Positions:
        head = compressor.new_head()
        if not head.can_fit(train.targets[rows]):
            raise ConfigError(f"--size: {k} rows by {method} have one class; expected more rows")
        head.fit(train.embeddings[rows], train.targets[rows], seed=compressor.seed)
        guesses: Positions = answers(head, test.embeddings).targets
        return guesses

    def target(rows: Positions) -> Positions:
        assert new_target is not None
        model = new_target()
        texts = [train.texts[row] for row in rows]
        model.fit(texts, train.targets[rows], seed=compressor.seed, progress=progress)
        found = model.predict(test.texts)
        assert isinstance(found, Probabilities)
        guesses: Positions = found.mean.argmax(axis=1)
        return guesses

    scores = [_score("proxy", name, each, proxy, test) for name, each in sets.items()]
    if new_target is not None:
        scores += [_score("target", name, each[:1], target, test) for name, each in sets.items()]
    return Measured(method, tuple(scores), seconds)


def _score(
    model: str, name: str, sets: Sequence[Positions], guess: Callable[[Positions], Positions], test: Labelled
) -> Score:
    guesses = [guess(rows) for rows in sets]
    right = [float((each == test.targets).mean()) for each in guesses]
    f1 = [macro_f1(test.targets, each, test.classes) for each in guesses]
    return Score(
        model=model,
        trained=name,
        rows=len(sets[0]),
        accuracy=float(np.mean(right)),
        macro_f1=float(np.mean(f1)),
        low=min(right),
        high=max(right),
    )
