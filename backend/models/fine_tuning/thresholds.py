"""From which probability on a tag is given: tuned for F1 on rows that were not learned from."""

from __future__ import annotations

import numpy as np

from strategies.types import Floats, Mask

CAUTION = 10.0
"""So many examples of a tag weigh as much as the threshold 0.5, which is right where probabilities are."""


def tuned(probabilities: Floats, truth: Mask) -> Floats:
    """Give each tag the threshold of highest F1, drawn towards 0.5 the fewer examples there are.

    probabilities, truth: (n, tags)
    returns: (tags,) in (0, 1); 0.5 for a tag without an example
    """
    found = np.full(truth.shape[1], 0.5, np.float32)
    for tag in range(truth.shape[1]):
        positives = int(truth[:, tag].sum())
        if positives == 0:
            continue
        order = np.argsort(-probabilities[:, tag], kind="stable")
        ranked, right = probabilities[order, tag], np.cumsum(truth[order, tag])
        scores = 2 * right / (np.arange(1, len(order) + 1) + positives)
        tied = np.append(ranked[1:] == ranked[:-1], False)
        best = int(np.where(tied, -1, scores).argmax())
        below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
        share = positives / (positives + CAUTION)
        logit = share * _logit((ranked[best] + below) / 2)
        found[tag] = 1 / (1 + np.exp(-logit))
    return found


def _logit(probability: float) -> float:
    held = min(max(float(probability), 1e-4), 1 - 1e-4)
    return float(np.log(held / (1 - held)))
