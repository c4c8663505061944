"""Spans as tokens see them: windows over long texts, BIO labels, and back to exact characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.labels.forms import Span
from backend.models.fine_tuning.batches import Tokens
from backend.models.fine_tuning.network import Network, clean
from strategies.types import Floats, Mask, Positions

IGNORED = -100
"""What the loss passes over: tokens that another window sees better."""


def bio_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Name the outputs: O, then B- and I- of each label; label i begins at 1 + 2 i."""
    return ("O", *(f"{part}-{label}" for label in labels for part in "BI"))


def span_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Name the labels that outputs `names` stand for; ValueError where they are not those of `bio_labels`."""
    labels = tuple(name[2:] for name in names[1::2])
    if tuple(names) != bio_labels(labels):
        raise ValueError(f"its labels are {', '.join(names[:5])}…; expected O, B-x, I-x, B-y, I-y, …")
    return labels


@dataclass(frozen=True)
class Windows:
    """n texts in windows of tokens, each as long as the network reads; neighbours overlap.

    tokens:  one row a window, special tokens too
    offsets: for each window (length, 2): where its tokens are in the text, in Python's characters
    words:   for each window (length,): which word each token is of, -1 for special tokens
    owned:   for each window (length,): whether the token counts here: special ones nowhere, and those that
             two windows have where they are farther from the edge
    starts:  (n + 1,): text i has the windows starts[i] to starts[i + 1]
    """

    tokens: Tokens
    offsets: Sequence[Positions]
    words: Sequence[Positions]
    owned: Sequence[Mask]
    starts: Positions

    def of_text(self, text: int) -> tuple[Positions, Positions]:
        """Offsets (tokens, 2) and words (tokens,) of one text's own tokens, in order."""
        span = range(self.starts[text], self.starts[text + 1])
        offsets = [self.offsets[row][self.owned[row]] for row in span]
        words = [self.words[row][self.owned[row]] for row in span]
        return np.concatenate(offsets), np.concatenate(words)

    def lengths(self) -> Positions:
        """How many own tokens each text has, (n,)."""
        sizes = np.array([int(owned.sum()) for owned in self.owned], np.int64)
        return np.add.reduceat(np.concatenate([sizes, [0]]), self.starts[:-1]) if len(sizes) else sizes


def windows(network: Network, texts: Sequence[str]) -> Windows:
    """Tokenize texts whole; a quarter of a window overlaps with the one before."""
    rows: list[Sequence[int]] = []
    offsets: list[Positions] = []
    words: list[Positions] = []
    owned: list[Mask] = []
    starts = np.zeros(len(texts) + 1, np.int64)
    overlap = network.most_tokens // 4
    if len(texts):
        given = network.tokenizer(
            [clean(text) for text in texts],
            truncation=True,
            max_length=network.most_tokens,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
        )
        of_text = np.array(given["overflow_to_sample_mapping"], np.int64)
        starts[1:] = np.cumsum(np.bincount(of_text, minlength=len(texts)))
        for row, ids in enumerate(given["input_ids"]):
            real = ~np.array(given["special_tokens_mask"][row], np.bool_)
            rows.append(ids)
            offsets.append(np.array(given["offset_mapping"][row], np.int64).reshape(-1, 2))
            words.append(np.array([-1 if word is None else word for word in given.word_ids(row)], np.int64))
            first = row == 0 or of_text[row - 1] != of_text[row]
            last = row + 1 == len(of_text) or of_text[row + 1] != of_text[row]
            owned.append(_owned(real, overlap, first=first, last=last))
    return Windows(Tokens(rows, network.fill), offsets, words, owned, starts)


def _owned(real: Mask, overlap: int, *, first: bool, last: bool) -> Mask:
    """Half of the overlap belongs to either window."""
    places = np.flatnonzero(real)
    kept = np.zeros(len(real), np.bool_)
    begin = 0 if first else overlap - overlap // 2
    end = len(places) if last else len(places) - overlap // 2
    kept[places[begin:end]] = True
    return kept


def encode(spans: Sequence[Span], offsets: Positions) -> Positions:
    """Give each token (at `offsets` (tokens, 2)) its BIO label: of the first span that it overlaps."""
    found = np.zeros(len(offsets), np.int64)
    for span in sorted(spans, reverse=True):
        inside = (offsets[:, 0] < span.end) & (offsets[:, 1] > span.start)
        places = np.flatnonzero(inside)
        found[places] = 2 + 2 * span.label
        found[places[:1]] = 1 + 2 * span.label
    return found


def whole_words(spans: Sequence[Sequence[Span]], seen: Windows) -> bool:
    """Whether (nearly) all spans begin and end where words do, so that no word need be cut."""
    inside = total = 0
    for text, of_text in enumerate(spans):
        offsets, words = seen.of_text(text)
        for span in of_text:
            touched = words[(offsets[:, 0] < span.end) & (offsets[:, 1] > span.start)]
            of_words = offsets[np.isin(words, touched)]
            if len(of_words):
                total += 1
                inside += bool(of_words[0, 0] >= span.start and of_words[-1, 1] <= span.end)
    return total > 0 and inside >= 0.98 * total


def decode(
    probabilities: Floats, offsets: Positions, words: Positions, *, by_word: bool
) -> tuple[tuple[Span, ...], float]:
    """Find the likeliest spans of one text, and how sure that is: the geometric mean over its tokens.

    probabilities: (tokens, outputs) in the order of `bio_labels`
    by_word:       no word is cut: its tokens get one label, B only on the first
    source:        Viterbi 1967, where I-x follows only B-x and I-x
    """
    if len(probabilities) == 0:
        return (), 1.0
    scores = np.log(np.maximum(probabilities, 1e-12)).astype(np.float64)
    fresh = np.ones(len(scores), np.bool_)
    if by_word:
        fresh[1:] = (words[1:] != words[:-1]) | (words[1:] < 0)
    begins = np.flatnonzero(fresh)
    inner = scores.copy()
    inner[:, 1::2] = scores[:, 2::2]  # within a word B goes on as I
    steps = np.add.reduceat(np.where(fresh[:, None], scores, inner), begins, axis=0)
    path = np.repeat(_viterbi(steps), np.diff(np.append(begins, len(scores))))
    inside = ~fresh & (path % 2 == 1)
    path[inside] += 1
    chosen = probabilities[np.arange(len(path)), path]
    sure = float(np.exp(np.log(np.maximum(chosen, 1e-12)).mean()))
    return _spans(path, probabilities, offsets), sure


def _viterbi(steps: Floats) -> Positions:
    """The best labels (n,) by `steps` (n, outputs), where I-x follows only B-x and I-x."""
    n, outputs = steps.shape
    back = np.zeros((n, outputs), np.int64)
    best = steps[0].copy()
    best[2::2] = -np.inf
    begin, middle = np.arange(1, outputs, 2), np.arange(2, outputs, 2)
    for place in range(1, n):
        from_any = int(best.argmax())
        back[place] = from_any
        back[place, 2::2] = np.where(best[begin] >= best[middle], begin, middle)
        best = best[back[place]] + steps[place]
    path = np.empty(n, np.int64)
    path[-1] = best.argmax()
    for place in range(n - 1, 0, -1):
        path[place - 1] = back[place, path[place]]
    return path


def _spans(path: Positions, probabilities: Floats, offsets: Positions) -> tuple[Span, ...]:
    """Put tokens that belong together into spans; each as sure as its tokens are of its label."""
    found: list[Span] = []
    begins = np.flatnonzero(path % 2 == 1)
    for begin in begins:
        end = int(begin) + 1
        while end < len(path) and path[end] == path[begin] + 1:
            end += 1
        label = int(path[begin] - 1) // 2
        sure = probabilities[begin:end, 1 + 2 * label : 3 + 2 * label].sum(axis=1).mean()
        start, stop = int(offsets[begin:end, 0].min()), int(offsets[begin:end, 1].max())
        if stop > start:
            found.append(Span(start, stop, label, float(min(sure, 1.0))))
    return tuple(found)


def ragged(given: Any, lengths: Positions) -> list[Any]:
    """Cut rows that lie one after another into pieces of `lengths`."""
    return np.split(given, np.cumsum(lengths)[:-1]) if len(lengths) else []
