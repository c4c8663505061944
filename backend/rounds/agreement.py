"""Whether successive proxies still change their minds, on a fixed sample of the pool that needs no labels.

| prediction          | what is compared                         | by                                     |
|---------------------|------------------------------------------|----------------------------------------|
| class probabilities | the likeliest class of each task         | Cohen's kappa                          |
| tag probabilities   | each tag, on or off, of each task        | Cohen's kappa                          |
| token probabilities | the likeliest label of each token        | Cohen's kappa                          |
| numbers             | the numbers                              | Lin's concordance                      |
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.models.saving import write_arrays
from backend.pool import TaskPool
from backend.pool.audit import audit_order
from backend.store import digest
from strategies.stopping import AGREEMENT, ROUNDS, agree, cohen_kappa, macro_f_change_bound
from strategies.types import (
    Gaussian,
    Positions,
    Prediction,
    Probabilities,
    TagProbabilities,
    TokenProbabilities,
)

SAMPLE = 2000
GROWTH = 1.1
"""A proxy is compared with one that knew a tenth fewer labels: after a single label all models agree."""

FEWEST_NEW = 10

ON = 0.5
"""Probability from which a tag counts as on: thresholds that move with each fit would move the kappa."""

_APART = 0x570B  # so that the sample has nothing to do with the audit's


@dataclass(frozen=True)
class _Checkpoint:
    """What a proxy said of the sample, and how the proxies before it agreed, oldest first.

    rows:   (m,) ascending
    said:   (items,) of all rows, one after another
    starts: (m + 1,) where each row's items begin
    """

    labelled: int
    rows: Positions
    said: NDArray[Any]
    starts: Positions
    kappas: tuple[float, ...] = ()
    before: int = 0
    bound: float | None = None

    def of(self, places: Positions) -> NDArray[Any]:
        """What was said of the rows at `places`."""
        return np.concatenate([self.said[self.starts[each] : self.starts[each + 1]] for each in places])


class Agreement:
    """Compares the proxy with its predecessors; kept on disk, and begun anew where that is lost."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last: _Checkpoint | None = None

    def look(self, pool: TaskPool, *, seed: int) -> dict[str, Any] | None:
        """Compare once the labels have grown by a tenth; gives the last comparison's figures, if any.

        Cost: at most 2,000 predictions, and nothing in between.
        """
        labelled, names = int(pool.labelled.sum()), digest("\n".join([pool.kind.form, *pool.kind.labels]))
        last = self._last or self._load(names)
        if last is None or labelled >= max(GROWTH * last.labelled, last.labelled + FEWEST_NEW):
            last = _next(last, labelled, stop_set(pool, seed=seed), pool)
            self._save(last, names)
        self._last = last
        return _figures(last)

    def _save(self, last: _Checkpoint, names: str) -> None:
        arrays = {name: np.asarray(value) for name, value in vars(last).items() if value is not None}
        write_arrays(self._file, {**arrays, "names": np.asarray(names)})

    def _load(self, names: str) -> _Checkpoint | None:
        try:
            with self._file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                if str(kept["names"]) != names:
                    return None
                return _Checkpoint(
                    labelled=int(kept["labelled"]),
                    rows=kept["rows"],
                    said=kept["said"],
                    starts=kept["starts"],
                    kappas=tuple(kept["kappas"].tolist()),
                    before=int(kept["before"]),
                    bound=float(kept["bound"]) if "bound" in kept else None,
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def stop_set(pool: TaskPool, *, seed: int) -> Positions:
    """Draw up to 2,000 live rows (m,), ascending; the same ones each time, as far as they still live."""
    live = np.flatnonzero(pool.tasks.live)
    order = audit_order(pool.tasks.ids[live], seed=seed + _APART)
    if len(live) > SAMPLE:
        live = live[np.argpartition(order, SAMPLE)[:SAMPLE]]
    rows: Positions = np.sort(live)
    return rows


def _next(last: _Checkpoint | None, labelled: int, rows: Positions, pool: TaskPool) -> _Checkpoint:
    said, starts = items(pool.predict(rows))
    new = _Checkpoint(labelled, rows, said, starts)
    if last is None:
        return new
    _, now, then = np.intersect1d(rows, last.rows, assume_unique=True, return_indices=True)
    same = (
        np.diff(starts)[now] == np.diff(last.starts)[then]
    )  # texts are cut alike, unless the encoder changed
    now, then = now[same], then[same]
    if len(now) == 0:
        return new
    before, after = last.of(then), new.of(now)
    if len(before) == 0:
        return new
    if said.dtype.kind == "f":
        kappa, bound = concordance(before, after), None
    else:
        kappa, bound = cohen_kappa(before, after), macro_f_change_bound(before, after)
    kappas = (*last.kappas, kappa)[-ROUNDS:]
    return replace(new, kappas=kappas, before=last.labelled, bound=bound)


def items(prediction: Prediction) -> tuple[NDArray[Any], Positions]:
    """What is said, (items,) integers or numbers, and where each of n tasks' items begin, (n + 1,)."""
    n = len(prediction)
    match prediction:
        case Probabilities():
            return prediction.mean.argmax(axis=1).astype(np.int64), np.arange(n + 1)
        case TagProbabilities():
            on = prediction.values.mean(axis=0) >= ON
            return on.astype(np.int64).ravel(), np.arange(n + 1) * on.shape[1]
        case TokenProbabilities():
            return prediction.values.argmax(axis=1).astype(np.int64), prediction.starts
        case Gaussian():
            return prediction.mean.astype(np.float64), np.arange(n + 1)


def concordance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Give two models' agreement on numbers (n,), n at least 1; 1 where they are the same throughout.

    It is what kappa with squared weights becomes for numbers; plain kappa cannot see how near two are.
    source: Lin 1989; Fleiss & Cohen 1973
    """
    if np.array_equal(first, second):
        return 1.0
    together = np.mean((first - first.mean()) * (second - second.mean()))
    apart = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(2 * together / apart)


def _figures(last: _Checkpoint) -> dict[str, Any] | None:
    if not last.kappas:
        return None
    return {
        "kappas": [round(kappa, 5) for kappa in last.kappas],
        "labels": [last.before, last.labelled],
        "f1_change_at_most": None if last.bound is None else round(last.bound, 5),
        "tasks": len(last.rows),
        "threshold": AGREEMENT,
        "agree": agree(last.kappas),
    }
