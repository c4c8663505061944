"""A second view of texts, by their n-grams: finds bearers of rare tags that embeddings put anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backend.encoders.ngram import counted, folded
from strategies.types import Floats, Mask, Positions

COLUMNS = 1 << 17
MAX_CHARACTERS = 2000
"""What comes later in a text is not looked at."""
EXAMPLES = 500
"""Rows drawn at random that a tag's bearers are held against."""
_SEED = 0


def hashed(texts: Sequence[str]) -> Any:
    """Count the n-grams of `texts`, those that the encoder `ngram` sees: a CSR array (n, COLUMNS) of float32.

    An n-gram weighs 1 + log count. Its column is its hash: nothing is fitted, so rows can be made one by one.
    """
    from scipy.sparse import csr_array, vstack

    parts = [csr_array((0, COLUMNS), dtype=np.float32)]
    for block in folded(texts, MAX_CHARACTERS):
        row, hashes, counts = counted(block, _SEED)
        place = (hashes % np.uint64(COLUMNS)).astype(np.int32)
        weights = (1 + np.log(counts)).astype(np.float32)
        parts.append(csr_array((weights, (row.astype(np.int32), place)), shape=(len(block), COLUMNS)))
    return vstack(parts, format="csr")


def say(ngrams: Callable[[Positions], Any], positions: Positions, known: Positions, truth: Mask) -> Floats:
    """Say how much the n-grams of rows `positions` (m,) speak for each tag; larger is more.

    ngrams:  gives those of rows, as `hashed` does
    known:   (k,) rows whose tags are known
    truth:   (k, tags) which each has
    returns: (m, tags) log-odds of a logistic regression with balanced classes on n-grams weighed by how rare
             they are, learned from the bearers of all these tags and `EXAMPLES` others; -inf for a tag that
             none of them has, or each
    """
    drawn = np.zeros(len(known), np.bool_)
    drawn[np.random.default_rng(len(known)).permutation(len(known))[:EXAMPLES]] = True
    drawn |= truth.any(axis=1)
    return _learned(ngrams(known[drawn]), truth[drawn], ngrams(positions))


def _learned(known: Any, truth: Mask, rows: Any) -> Floats:
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    found = np.full((rows.shape[0], truth.shape[1]), -np.inf, np.float32)
    telling = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    if not len(telling) or not len(found):
        return found
    both = vstack([known, rows], format="csr")
    texts_with = np.bincount(both.indices, minlength=COLUMNS)
    both.data *= (np.log((1 + both.shape[0]) / (1 + texts_with)) + 1)[both.indices]
    both = normalize(both)
    seen, asked = both[: len(truth)], both[len(truth) :]
    for tag in telling:
        model = LogisticRegression(class_weight="balanced", solver="liblinear", random_state=_SEED)
        found[:, tag] = model.fit(seen, truth[:, tag]).decision_function(asked)
    return found
