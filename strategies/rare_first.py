"""Rare tags first: part of each batch goes to the likeliest bearers of tags that have few examples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies import checks
from strategies.registry import STRATEGIES, describe
from strategies.types import BadInput, Floats, Mask, Pool, Positions, QueryStrategy, Ranking, TagProbabilities
from strategies.uncertainty import rare_tag, top
from strategies.uncertainty_k_center import UncertaintyKCenter

OtherView: TypeAlias = Callable[[Positions, Positions], Floats]
"""Says of rows (m,) and labels (t,) how much another view of the rows speaks for each (m, t); larger is more,
-inf for a label of which it knows nothing."""
TINY = 1e-6
GOLDEN, SILVER = (5**0.5 - 1) / 2, 2**0.5 - 1  # no multiple of one is near a multiple of the other
SMOOTH = 10  # so that the first few places count about alike
FIRST = 1000
SOUGHT = 32
"""Tags that the other view is asked about at most."""
LOOKED_AT = 4000
"""Rows that the other view is asked about: to read texts takes far longer than to read embeddings."""
PATIENCE = 40


@STRATEGIES("rare_first")
@dataclass(frozen=True)
class RareFirst:
    """Look for examples of tags that have few; the rest of the batch is the base's.

    Doubt is greatest at one half, but the likeliest bearers of a rare tag have a chance of a few per
    cent: to find them is retrieval, and goes by chance, as greedy active search does (Garnett et al.
    2012). A tag's candidates queue by its share in the summed chances of all tags; where the pool embeds
    the tags' names, by their likeness to its name; and where the pool has another view of its rows, such
    as the words in them, by what that says about the best of the others. Views err in different places
    (Blum & Mitchell 1998); they are fused by the product of the places (Cormack et al. 2009). How many
    examples a tag has is what the model expects of the labelled rows together: a regression with a free
    bias expects of its training rows as many as there were. The tags take turns in proportion to what
    each lacks, and their picks with the base's. Whose turn it is goes by the number of labels, so that a
    ranking of which only the first row is labelled does not begin with the same again. A tag that nobody
    ever gave is looked for by its name ever less, and no more after 40 x `enough` labels.

    base:   ranks the rest, and everything where no tag lacks examples or the model gives no tags
    enough: how many examples a tag should have
    share:  of the batch, what goes to tags that have fewer
    Cost beside the base's: one prediction a candidate and a labelled row; two partitions of the candidates a
    tag and view; one question to the other view about 4,000 rows and 32 tags at most. A row's utility is that
    of the base's pick beside it.
    """

    base: QueryStrategy = field(default_factory=lambda: UncertaintyKCenter(rare_tag))
    enough: int = 25
    share: float = 0.65

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
        names = label_embeddings(pool, chance.shape[1])
        lack = np.maximum(self.enough - have, 0)
        unknown = np.ptp(chance, axis=0) == 0
        lack[unknown] *= max(0, 1 - len(labelled) / (PATIENCE * self.enough)) if names is not None else 0
        turns = len(labelled) + 1 + np.arange(count)
        looks = turns * SILVER % 1 < self.share
        if not looks.any() or not lack.any():
            return self.base(pool, rows, count, rng)
        views = [chance / np.maximum(chance.sum(axis=1, keepdims=True), TINY)]
        if names is not None:
            views.append(checks.embeddings(pool, rows) @ names.T)
        other = _other_view(pool, rows, views, _soonest(lack, len(labelled)))
        score = fused(views if other is None else [*views, other], lack > 0)
        picks, tags = in_turn(score, lack, int(looks.sum()), first=len(labelled))
        others = np.delete(rows, picks)
        ranked = self.base(pool, others, count - len(picks), rng)
        reasons = tuple(f"it may have a tag with few examples (about {have[tag]:.0f})" for tag in tags)
        return _shuffled(rows[picks], reasons, ranked, looks)

    def __str__(self) -> str:
        return describe(self)


def in_turn(
    score: Floats, lack: NDArray[np.float64], k: int, *, first: int = 0
) -> tuple[Positions, Positions]:
    """Pick `k` rows: turn by turn the next best of a tag; a row that was picked for another costs the turn.

    Turns go to tags in proportion to their lack, by the golden ratio: any run of turns is shared out about as
    fairly as can be, wherever it begins.

    score:   (n, tags), larger is better; ties to the lowest row
    lack:    (tags,) >= 0; a tag that lacks nothing picks nothing
    first:   the number of the first turn
    returns: positions (m,) and the tag (m,) each is picked for; m is min(k, n), or 0 where nothing is lacking
    """
    wanted = min(k, len(score)) if lack.any() else 0
    queues = {int(tag): iter(top(score[:, tag], wanted).tolist()) for tag in np.flatnonzero(lack)}
    picks: dict[int, int] = {}
    turns = _turns(lack, first)
    while len(picks) < wanted:
        tag = next(turns)
        # a queue that has run out has had `wanted` rows picked
        picks.setdefault(next(queues[tag]), tag)
    return np.array(list(picks), np.int64), np.array(list(picks.values()), np.int64)


def _turns(lack: NDArray[np.float64], first: int) -> Iterator[int]:
    ends = np.cumsum(lack)
    for turn in itertools.count(first):
        yield int(np.searchsorted(ends, turn * GOLDEN % 1 * ends[-1], side="right"))


def _soonest(lack: NDArray[np.float64], first: int) -> Mask:
    """Mark the tags, `SOUGHT` at most, whose turns come first of those that lack something."""
    asked = np.zeros(len(lack), np.bool_)
    wanted = min(SOUGHT, int(np.count_nonzero(lack)))
    for tag in itertools.islice(_turns(lack, first), 10 * wanted):
        asked[tag] = True
        if np.count_nonzero(asked) == wanted:
            break
    return asked


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


def fused(views: Sequence[Floats], asked: Mask) -> Floats:
    """Fuse rankings, column by column: larger where the product of the places is smaller.

    views: each (n, tags), larger is better; equals share the first of their places, and places from `FIRST`
           on count alike. One view alone is given back.
    asked: (tags,) columns that are wanted; the others stay 0
    """
    if len(views) == 1:
        return views[0]
    found = np.zeros(views[0].shape, np.float32)
    for tag in np.flatnonzero(asked):
        for view in views:
            found[:, tag] -= np.log(_places(view[:, tag]) + SMOOTH)
    return found


def _places(score: Floats) -> Positions:
    """Count how many are ahead of each (n,), `FIRST` at most."""
    best = np.sort(-score[top(score, FIRST)])
    places: Positions = np.searchsorted(best, -score)
    return places


def _other_view(pool: Pool, rows: Positions, views: Sequence[Floats], asked: Mask) -> Floats | None:
    """Ask the pool's `other_view` about `LOOKED_AT` rows: the best by each of `views` for each tag.

    asked:   (tags,) for which
    returns: (n, tags), -inf for the other rows and tags; None where the pool has no other view
    """
    ask: OtherView | None = getattr(pool, "other_view", None)
    if ask is None:
        return None
    tags = np.flatnonzero(asked)
    near, best = np.zeros(len(rows), np.bool_), max(1, LOOKED_AT // (len(views) * len(tags)))
    for view in views:
        for tag in tags:
            near[top(view[:, tag], best)] = True
    told = np.asarray(ask(rows[near], tags), np.float32)
    if told.shape != (int(near.sum()), len(tags)) or np.isnan(told).any():
        expected = f"({int(near.sum())}, {len(tags)}) without NaN"
        raise BadInput(f"other_view gave {told.shape}, expected {expected}")
    found = np.full((len(rows), len(asked)), -np.inf, np.float32)
    found[np.ix_(near, tags)] = told
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


def _shuffled(found: Positions, reasons: tuple[str, ...], ranked: Ranking, looks: Mask) -> Ranking:
    """Put `found` into a ranking where `looks` (k,) says so, with the utility of what it comes beside."""
    beside = np.minimum(np.cumsum(~looks)[looks], max(len(ranked) - 1, 0))
    worth = ranked.utility[beside] if len(ranked) else np.ones(len(found), np.float32)
    order = np.argsort(np.argsort(~looks, kind="stable"), kind="stable")
    everyone = (*reasons, *ranked.reasons)
    return Ranking(
        np.concatenate([found, ranked.positions])[order],
        np.concatenate([worth, ranked.utility])[order],
        tuple(everyone[at] for at in order),
    )
