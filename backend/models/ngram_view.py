"""A second view of texts, by their n-grams: finds bearers of rare tags that embeddings put anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backend.encoders.ngram import counted, folded
from strategies.types import Floats, Mask, Positions

COLUMNS = 1 << 17
END = 200
"""Characters at either end of a text that are looked at."""
OTHERS = 300
"""Rows drawn at random that a tag's bearers are held against."""
_SEED = 0


def hashed(texts: Sequence[str]) -> Any:
    """Count the n-grams at both ends of `texts`, as the encoder `ngram` does: a CSR array (n, COLUMNS).

    An n-gram weighs 1 + log count. Its column is its hash: nothing is fitted, so rows can be made one by one.
    """
    from scipy.sparse import csr_array, vstack

    parts = [csr_array((0, COLUMNS), dtype=np.float32)]
    for block in folded([_ends(text) for text in texts], 2 * END + 1):
        row, hashes, counts = counted(block, _SEED)
        place = (hashes % np.uint64(COLUMNS)).astype(np.int32)
        weights = (1 + np.log(counts)).astype(np.float32)
        parts.append(csr_array((weights, (row.astype(np.int32), place)), shape=(len(block), COLUMNS)))
    return vstack(parts, format="csr")


def _ends(text: str) -> str:
    return text if len(text) <= 2 * END else f"{text[:END]} {text[-END:]}"


def say(ngrams: Callable[[Positions], Any], positions: Positions, known: Positions, truth: Mask) -> Floats:
    """Say how much the n-grams of rows `positions` (m,) speak for each tag; larger is more.

    ngrams:  gives those of rows, as `hashed` does
    known:   (k,) rows whose tags are known
    truth:   (k, tags) which each has
    returns: (m, tags) log-odds of a logistic regression with balanced classes on n-grams weighed by how rare
             they are, of a tag's bearers against `OTHERS` drawn at random; -inf where there is nothing to
             tell apart
    """
    from scipy.sparse import vstack
    from sklearn.preprocessing import normalize

    found = np.full((len(positions), truth.shape[1]), -np.inf, np.float32)
    drawn = np.zeros(len(known), np.bool_)
    drawn[np.random.default_rng(len(known)).permutation(len(known))[:OTHERS]] = True
    used = np.flatnonzero(drawn | truth.any(axis=1))
    if not len(used) or not len(positions):
        return found
    both = vstack([ngrams(known[used]), ngrams(positions)], format="csr")
    texts_with = np.bincount(both.indices, minlength=COLUMNS)
    both.data *= (np.log((1 + both.shape[0]) / (1 + texts_with)) + 1)[both.indices]
    both = normalize(both)
    seen, asked = both[: len(used)], both[len(used) :]
    for tag, bears in enumerate(truth[used].T):
        rows = np.flatnonzero(bears | drawn[used])
        if bears.any() and not bears[rows].all():
            found[:, tag] = _apart(seen[rows], bears[rows], asked)
    return found


def _apart(seen: Any, bears: Mask, asked: Any) -> Floats:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(class_weight="balanced", solver="liblinear", random_state=_SEED)
    odds: Floats = model.fit(seen, bears).decision_function(asked)
    return odds
