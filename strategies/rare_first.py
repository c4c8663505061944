"""Rare tags first: part of each batch goes to the likeliest bearers of tags that have few examples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.types import BadInput, Floats, Mask, Pool, Positions, QueryStrategy, Ranking, TagProbabilities
from strategies.uncertainty import rare_tag, top
from strategies.uncertainty_k_center import UncertaintyKCenter

TINY = 1e-6
SMOOTH = 10  # so that the first few places count about alike


@STRATEGIES("rare_first")
@dataclass(frozen=True)
class RareFirst:
    """Look for examples of tags that have few; the rest of the batch is the base's.

    Doubt is greatest at one half, but the likeliest bearers of a rare tag have a chance of a few per cent: to
    find them is retrieval, and goes by chance, as greedy active search does (Garnett et al. 2012). A tag's
    candidates queue by its share in the summed chances of all tags and, where the pool embeds the tags'
    names, by their likeness to its name: by the product of both places, as rankings are fused (Cormack et al.
    2009). The tags take turns in proportion to what each lacks, and their picks alternate with the base's.
    How many examples a tag has is what the model expects of the labelled rows together: a regression with a
    free bias expects of its training rows as many as there were.

    base:   ranks the rest, and everything where no tag lacks examples or the model gives no tags
    enough: how many examples a tag should have
    share:  of the batch, what goes to tags that have fewer
    Cost beside the base's: one prediction a candidate and a labelled row. A row's utility is that of the
    base's pick beside it.
    """

    base: QueryStrategy = field(default_factory=lambda: UncertaintyKCenter(rare_tag))
    enough: int = 25
    share: float = 0.35

    def __post_init__(self) -> None:
        checks.whole("enough", self.enough, 1)
        if not 0 <= self.share <= 1:
            raise BadInput(f"share is {self.share}, expected a number from 0 to 1")

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank likely bearers of tags that lack examples among the picks of the base."""
        rows, count = checks.question(pool, candidates, k)
        chance = _chance(pool, rows)
        labelled = np.flatnonzero(pool.labelled)
        known = _chance(pool, labelled) if chance is not None and len(labelled) else None
        if chance is None or known is None:
            return self.base(pool, rows, count, rng)
        have = known.sum(axis=0, dtype=np.float64)
        lack = np.maximum(self.enough - have, 0)
        score = chance / np.maximum(chance.sum(axis=1, keepdims=True), TINY)
        names = label_embeddings(pool, chance.shape[1])
        if names is None:
            lack[np.ptp(chance, axis=0) == 0] = 0
        else:
            score = fused(score, checks.embeddings(pool, rows) @ names.T, lack > 0)
        picks, tags = in_turn(score, lack, round(self.share * count))
        others = np.delete(rows, picks)
        ranked = self.base(pool, others, count - len(picks), rng)
        reasons = tuple(f"it may have a tag with few examples (about {have[tag]:.0f})" for tag in tags)
        return _alternate(rows[picks], reasons, ranked)

    def __str__(self) -> str:
        return describe(self)


def in_turn(score: Floats, lack: NDArray[np.float64], k: int) -> tuple[Positions, Positions]:
    """Pick at most `k` rows, the best of each tag, the tags taking turns in proportion to their lack.

    A tag's i-th best row is due at i / lack; a row that is due for several tags comes at the first.

    score:   (n, tags), larger is better
    lack:    (tags,) >= 0; a tag that lacks nothing picks nothing
    returns: positions (m,) in the order in which they are due, ties to the lowest row, and the tag (m,) each
             is due for; fewer than `k` only where nothing is lacking or there are fewer rows
    """
    due = np.full(len(score), np.inf)
    of = np.zeros(len(score), np.int64)
    for tag in np.flatnonzero(lack):
        queue = top(score[:, tag], k)
        turn = np.arange(1, len(queue) + 1) / lack[tag]
        sooner = turn < due[queue]
        due[queue[sooner]], of[queue[sooner]] = turn[sooner], tag
    picks: Positions = np.argsort(due, kind="stable")[: min(k, int(np.isfinite(due).sum()))]
    return picks, of[picks]


def label_embeddings(pool: Pool, labels: int) -> Floats | None:
    """Give what the pool's `label_embeddings` is: the labels' names (labels, d), embedded as its rows are.

    None where it has none. BadInput for another shape, NaN or infinity.
    """
    given = getattr(pool, "label_embeddings", None)
    if given is None:
        return None
    rows = checks.finite_rows("label_embeddings", given)
    if rows.shape != (labels, pool.embeddings.shape[1]):
        expected = f"({labels}, {pool.embeddings.shape[1]})"
        raise BadInput(f"label_embeddings has shape {rows.shape}, expected {expected}")
    return rows


def fused(score: Floats, likeness: Floats, asked: Mask) -> Floats:
    """Fuse two rankings, column by column: larger where the product of both places is smaller.

    score, likeness: (n, tags), larger is better; equals share the first of their places
    asked:           (tags,) columns that are wanted; the others stay 0
    """
    found = np.zeros(score.shape, np.float32)
    for tag in np.flatnonzero(asked):
        for each in (score[:, tag], likeness[:, tag]):
            found[:, tag] -= np.log(np.searchsorted(np.sort(-each), -each) + SMOOTH)
    return found


def _chance(pool: Pool, rows: Positions) -> Floats | None:
    """Give the chance of each tag (m, tags), None where the model gives no tags."""
    if len(rows) == 0:
        return None
    prediction = checks.prediction(pool.predict(rows), len(rows))
    if not isinstance(prediction, TagProbabilities):
        return None
    mean: Floats = np.asarray(prediction.values, np.float32).mean(axis=0)
    return mean


def _alternate(found: Positions, reasons: tuple[str, ...], ranked: Ranking) -> Ranking:
    """Shuffle `found` (m,) evenly into a ranking, each with the utility of what it comes beside."""
    if len(found) == 0:
        return ranked
    place = np.concatenate(
        [(np.arange(len(part)) + 0.5) / len(part) for part in (found, ranked) if len(part)]
    )
    order = np.argsort(place, kind="stable")
    beside = (place[: len(found)] * len(ranked)).astype(np.int64)
    worth = ranked.utility[beside] if len(ranked) else np.ones(len(found), np.float32)
    everyone = (*reasons, *ranked.reasons)
    return Ranking(
        np.concatenate([found, ranked.positions])[order],
        np.concatenate([worth, ranked.utility])[order],
        tuple(everyone[at] for at in order),
    )
