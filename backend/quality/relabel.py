"""Which labels look wrong: a model that did not see them contradicts them, or annotators do not agree.

Rank with answers out of fold only: a model that learned a label defends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backend.labels.forms import NOBODY, Form, Targets, alike, one
from backend.quality.crossfit import HeldOut
from strategies.types import Floats, Mask, Positions, Ranking

AGREED = 0.999
"""From this likeness of its answers on, a task's annotators agree."""
SURE = 0.5
"""How sure a model must be of an answer, to hold it against a span."""
FAR = 2.0
"""Standard deviations from which a number is held against its label."""


def relabel_candidates(
    form: Form,
    targets: Targets,
    held: HeldOut | None,
    labels: Sequence[str],
    *,
    candidates: Mask | None = None,
    sureness: Mapping[int, float] | None = None,
    k: int | None = None,
) -> Ranking:
    """Rank labelled tasks by how much another look at them is worth, those that look right left out.

    classes: the label's probability lies below what is usual of its class (confident learning), and below
             another class's; by the odds of that one against the label
    tags:    the same of each tag by itself, on or off; a task counts as its worst tag
    numbers: the label lies more than two of the model's standard deviations off
    spans:   what the model is sure of differs: its sureness times one less F1
    all:     annotators who do not agree, by one less their likeness to the target made of their answers

    targets:    (m, ...) of the labelled tasks
    held:       answers to all m, out of fold (`crossfit.cross_fit`); None ranks by agreement alone
    candidates: (m,) which may be asked again. Leave out the audit slice: were labels corrected there where
                the model contradicts them, accuracy would be flattered. Leave out ground truth, and tasks
                that enough people have answered.
    sureness:   of tasks with several answers, by position (`Agreed.sureness`)
    returns:    at most `k` positions among the labelled tasks, the most doubtful first, with reasons
    source:     Northcutt, Jiang & Chuang 2021; tags, Thyagarajan et al. 2022; numbers, Zhou et al. 2023
    """
    m = len(targets)
    utility: Floats = np.zeros(m, np.float32)
    reasons = [""] * m
    if held is not None:
        utility, reasons = _doubts(form, targets, held, labels)
    for place, sure in (sureness or {}).items():
        if sure < AGREED and 1 - sure > utility[place]:
            utility[place] = 1 - sure
            reasons[place] = f"its annotators do not agree: {sure:.0%} alike"
    allowed = np.ones(m, np.bool_) if candidates is None else candidates
    order = np.argsort(-utility, kind="stable")
    order = order[(utility > 0)[order] & allowed[order]][:k]
    return Ranking(order.astype(np.int64), utility[order], tuple(reasons[place] for place in order))


def _doubts(form: Form, targets: Targets, held: HeldOut, labels: Sequence[str]) -> tuple[Floats, list[str]]:
    match form:
        case Form.CLASSES if held.probabilities is not None:
            return _of_classes(targets, held.probabilities, labels)
        case Form.TAGS if held.probabilities is not None:
            return _of_tags(targets, held.probabilities, labels)
        case Form.NUMBER if held.sd is not None:
            return _of_numbers(targets, held)
        case Form.SPANS:
            return _of_spans(targets, held)
        case _:
            return np.zeros(len(targets), np.float32), [""] * len(targets)


def thresholds(targets: Positions, probabilities: Floats) -> Floats:
    """What is usual of each class (classes,): mean probability of the class where it is the label.

    A class that no label has is never taken for the truth: its threshold is infinite.
    """
    usual = np.full(probabilities.shape[1], np.inf, np.float32)
    for label in np.unique(targets[targets != NOBODY]):
        usual[label] = probabilities[targets == label, label].mean()
    return usual


def _of_classes(targets: Positions, probabilities: Floats, labels: Sequence[str]) -> tuple[Floats, list[str]]:
    rows = np.arange(len(targets))
    mine = probabilities[rows, targets]
    others = probabilities.copy()
    others[rows, targets] = -1
    other = others.argmax(axis=1)
    theirs = probabilities[rows, other]
    # a class that the model rarely dares to name is not doubted throughout
    off = (mine < thresholds(targets, probabilities)[targets]) & (theirs > mine)
    utility = np.where(off, theirs / np.maximum(theirs + mine, 1e-9), 0).astype(np.float32)
    reasons = [""] * len(targets)
    for row in np.flatnonzero(off):
        reasons[row] = (
            f"labelled {labels[targets[row]]!r}, but a model that did not see the label says "
            f"{labels[other[row]]!r} ({theirs[row]:.0%} against {mine[row]:.0%})"
        )
    return utility, reasons


def _of_tags(targets: Targets, probabilities: Floats, labels: Sequence[str]) -> tuple[Floats, list[str]]:
    given = np.where(targets, probabilities, 1 - probabilities)  # of what was said of each tag, on or off
    usual_on = _mean_where(probabilities, targets)
    usual_off = _mean_where(1 - probabilities, ~targets)
    below = given < np.where(targets, usual_on, usual_off)
    against = (1 - given) >= np.where(targets, usual_off, usual_on)
    doubt = np.where(below & against & (given < SURE), 1 - given, 0)
    worst = doubt.argmax(axis=1)
    utility = doubt[np.arange(len(targets)), worst].astype(np.float32)
    reasons = [""] * len(targets)
    for row in np.flatnonzero(utility > 0):
        tag = worst[row]
        said = "has" if targets[row, tag] else "lacks"
        reasons[row] = (
            f"it {said} the tag {labels[tag]!r}, which a model that did not see the label gives "
            f"{probabilities[row, tag]:.0%}"
        )
    return utility, reasons


def _mean_where(values: Floats, where: Mask) -> Floats:
    """(tags,): mean of `values` (n, tags) where it counts; infinite where it never does."""
    counts = where.sum(axis=0)
    sums = np.where(where, values, 0).sum(axis=0)
    mean: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf).astype(np.float32)
    return mean


def _of_numbers(targets: Targets, held: HeldOut) -> tuple[Floats, list[str]]:
    assert held.sd is not None
    off = np.abs(targets - held.targets) / np.maximum(held.sd, 1e-9)
    utility = np.where(off > FAR, 1 - np.exp(-off / FAR), 0).astype(np.float32)
    reasons = [""] * len(targets)
    for row in np.flatnonzero(utility > 0):
        reasons[row] = (
            f"labelled {targets[row]:g}, but a model that did not see the label says "
            f"{held.targets[row]:.3g} ± {held.sd[row]:.2g}"
        )
    return utility, reasons


def _of_spans(targets: Targets, held: HeldOut) -> tuple[Floats, list[str]]:
    differ = 1 - alike(Form.SPANS, targets, held.targets)
    utility = np.where((differ > 0) & (held.scores >= SURE), differ * held.scores, 0).astype(np.float32)
    reasons = [""] * len(targets)
    for row in np.flatnonzero(utility > 0):
        theirs, ours = (
            {(s.start, s.end, s.label) for s in one(Form.SPANS, each, row)}
            for each in (targets, held.targets)
        )
        reasons[row] = (
            f"a model that did not see the label is {held.scores[row]:.0%} sure of other spans: "
            f"{len(ours - theirs)} that it lacks, {len(theirs - ours)} that it has"
        )
    return utility, reasons
