"""Spans as a tag for each token: B for the first of a span, I for the others, O for none.

Tag 0 is O; label x has the tags 1 + 2x (B) and 2 + 2x (I). Source: Ramshaw & Marcus 1995.
"""

from __future__ import annotations

import numpy as np

from backend.encoders.tokens import Tokens
from backend.labels.forms import Span, Targets
from strategies.types import Floats, Positions

OUTSIDE = 0


def count(labels: int) -> int:
    """How many tags there are for so many labels."""
    return 1 + 2 * labels


def tags_of(targets: Targets, tokens: Tokens) -> Positions:
    """Give each token its tag, (tokens,): that of the longest span it shares a character with.

    targets: (n,) object, spans of each text
    """
    tags = np.full(len(tokens.offsets), OUTSIDE, np.int64)
    for text, spans in enumerate(targets):
        if not spans:
            continue
        first, end = int(tokens.starts[text]), int(tokens.starts[text + 1])
        begins, ends = tokens.offsets[first:end, 0], tokens.offsets[first:end, 1]
        # each overwrites, so the longest comes last
        for span in sorted(spans, key=lambda span: (span.end - span.start, -span.start)):
            low = first + int(np.searchsorted(ends, span.start, side="right"))
            high = first + int(np.searchsorted(begins, span.end, side="left"))
            if low < high:
                tags[low:high] = 2 + 2 * span.label
                tags[low] -= 1
                if high < end and tags[high] != OUTSIDE and tags[high] % 2 == 0:
                    tags[high] -= 1  # what is left of a shorter span begins here
    return tags


def spans_of(tags: Positions, tokens: Tokens, marginals: Floats) -> Targets:
    """Read the spans of each text off valid tags (tokens,): (n,) object.

    A span scores the geometric mean of its tags' marginals (tokens, tags).
    """
    logs = np.log(np.maximum(marginals[np.arange(len(tags)), tags], np.finfo(np.float32).tiny))
    found = np.empty(len(tokens), object)
    found[:] = [()] * len(tokens)
    opens = np.flatnonzero(tags % 2 == 1)
    inside = (tags % 2 == 0) & (tags != OUTSIDE)
    # the first row after each that does not go on with the span
    stops = np.flatnonzero(~np.append(inside, False))
    closes = stops[np.searchsorted(stops, opens + 1)]
    texts = np.searchsorted(tokens.starts, opens, side="right") - 1
    closes = np.minimum(closes, tokens.starts[texts + 1])
    for begin, end, text in zip(opens.tolist(), closes.tolist(), texts.tolist(), strict=True):
        score = float(np.exp(logs[begin:end].mean()))
        label = (int(tags[begin]) - 1) // 2
        span = Span(int(tokens.offsets[begin, 0]), int(tokens.offsets[end - 1, 1]), label, score)
        found[text] = (*found[text], span)
    return found


def allowed(labels: int) -> tuple[Floats, Floats]:
    """Give what may follow what, (tags, tags), and what may begin, (tags,): 0, or -inf for a stray I."""
    tags = count(labels)
    moves = np.zeros((tags, tags), np.float32)
    begin = np.zeros(tags, np.float32)
    for inside in range(2, tags, 2):
        moves[:, inside] = -np.inf
        moves[[inside - 1, inside], inside] = 0
        begin[inside] = -np.inf
    return moves, begin
