"""Rows of the last large question, in memory: candidates change little from round to round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from strategies.types import Floats, Gaussian, Positions, Prediction, Probabilities, Rows, TagProbabilities

FEW = 4096
"""Fewer rows are read each time."""
BLOCK = 16_384
"""Rows predicted at a time: what is in between stays in the processor's cache."""


class CandidateRows:
    """Predicts for rows of a file and keeps what it read, for the next question about nearly the same rows.

    A row keeps its place in memory while it is asked for; one that is not asked for gives up its place.
    Memory: four bytes a number, for at most `most` rows; more are read in blocks and not kept.
    """

    def __init__(self, rows: Rows, *, most: int = 300_000) -> None:
        self._rows = rows
        self._most = most
        self._forget()

    def predict(self, positions: Positions, model: Callable[[Floats], Prediction]) -> Prediction:
        """Ask `model` about the rows at `positions` (m,), in their order."""
        if len(positions) <= FEW:
            return model(self._rows[positions])
        if len(positions) > self._most or not (positions[1:] > positions[:-1]).all():
            blocks = np.split(positions, np.arange(BLOCK, len(positions), BLOCK))
            return _joined([model(self._rows[block]) for block in blocks])
        self._read(positions)
        ends = (min(BLOCK, self._end - start) for start in range(0, self._end, BLOCK))
        parts = [model(block[:end]) for block, end in zip(self._blocks, ends, strict=True)]
        return _taken(_joined(parts), self._places)

    def _forget(self) -> None:
        self._blocks: list[Floats] = []  # of BLOCK rows
        self._positions: Positions = np.empty(0, np.int64)  # ascending
        self._places: Positions = np.empty(0, np.int64)  # of each, among the rows held
        self._end = 0  # of the places in use

    def _read(self, positions: Positions) -> None:
        """Hold just `positions`, ascending: those not held take the places of those no longer wanted."""
        if len(positions) < self._end // 2:
            self._forget()
        at = np.searchsorted(self._positions, positions)
        known = np.zeros(len(positions), np.bool_)
        inside = at < len(self._positions)
        known[inside] = self._positions[at[inside]] == positions[inside]
        kept = np.zeros(len(self._positions), np.bool_)
        kept[at[known]] = True
        new = positions[~known]
        taken = np.zeros(self._end, np.bool_)
        taken[self._places[kept]] = True
        free = np.flatnonzero(~taken)[: len(new)]
        fresh = np.concatenate([free, np.arange(self._end, self._end + len(new) - len(free))])
        places = np.empty(len(positions), np.int64)
        places[known], places[~known] = self._places[at[known]], fresh
        self._end = max(self._end, int(fresh.max(initial=-1)) + 1)
        self._positions, self._places = positions, places
        self._fill(fresh, new)

    def _fill(self, places: Positions, rows: Positions) -> None:
        while len(self._blocks) * BLOCK < self._end:
            self._blocks.append(np.zeros((BLOCK, self._rows.shape[1]), np.float32))
        edges = np.searchsorted(places, np.arange(len(self._blocks) + 1) * BLOCK)
        for number, (start, stop) in enumerate(pairwise(edges)):
            if start < stop:
                self._blocks[number][places[start:stop] - number * BLOCK] = self._rows[rows[start:stop]]


def _joined(parts: Sequence[Prediction]) -> Prediction:
    """Put predictions of the same form one after another."""
    first = parts[0]
    if isinstance(first, Gaussian):
        numbers = [part for part in parts if isinstance(part, Gaussian)]
        return Gaussian(
            np.concatenate([part.mean for part in numbers]), np.concatenate([part.sd for part in numbers])
        )
    if isinstance(first, TagProbabilities):
        tags = [part.values for part in parts if isinstance(part, TagProbabilities)]
        return TagProbabilities(np.concatenate(tags, axis=1))
    classes = [part for part in parts if isinstance(part, Probabilities)]
    evidence = [part.evidence for part in classes if part.evidence is not None]
    return Probabilities(
        np.concatenate([part.values for part in classes], axis=1),
        np.concatenate(evidence) if len(evidence) == len(classes) else None,
    )


def _taken(prediction: Prediction, places: Positions) -> Prediction:
    """Keep the inputs at `places`."""
    match prediction:
        case Gaussian(mean, sd):
            return Gaussian(mean[places], sd[places])
        case TagProbabilities(values):
            return TagProbabilities(np.take(values, places, axis=1))
        case Probabilities(values, evidence):
            kept = None if evidence is None else evidence[places]
            return Probabilities(np.take(values, places, axis=1), kept)
        case _:
            raise TypeError(f"{type(prediction).__name__}: tokens are not kept here")
