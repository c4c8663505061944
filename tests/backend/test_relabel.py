"""Labels that look wrong are found by models that did not see them, and told in words."""

from __future__ import annotations

import numpy as np
import pytest

from backend.labels.forms import Form, Span, gather
from backend.models.linear import LinearHead
from backend.quality.crossfit import HeldOut, cross_fit
from backend.quality.relabel import relabel_candidates, thresholds

NAMES = ("cat", "dog", "cow")


def held(probabilities=None, *, targets=None, scores=None, sd=None):
    values = None if probabilities is None else np.array(probabilities, np.float32)
    guesses = values.argmax(axis=1) if targets is None else np.asarray(targets)
    sure = np.ones(len(guesses), np.float32) if scores is None else np.array(scores, np.float32)
    return HeldOut(guesses, sure, values, None if sd is None else np.array(sd, np.float32))


def test_a_class_that_is_contradicted_comes_first_and_says_why():
    given = np.array([0, 0, 0, 1, 1, 2])
    said = [
        [0.9, 0.05, 0.05],
        [0.8, 0.1, 0.1],
        [0.05, 0.9, 0.05],
        [0.3, 0.6, 0.1],
        [0.2, 0.7, 0.1],
        [0.5, 0.1, 0.4],
    ]
    found = relabel_candidates(Form.CLASSES, given, held(said), NAMES)
    assert found.positions.tolist() == [2]  # row 5 is as sure of its class as is usual there
    assert found.reasons[0] == (
        "labelled 'cat', but a model that did not see the label says 'dog' (90% against 5%)"
    )
    assert found.utility[0] == pytest.approx(0.9 / 0.95)


def test_thresholds_are_the_mean_of_each_class():
    """Twin: a loop; a class that nobody gave has none."""
    rng = np.random.default_rng(0)
    given, said = rng.integers(0, 2, 40), rng.dirichlet(np.ones(3), 40).astype(np.float32)
    twin = [np.mean([said[row, label] for row in range(40) if given[row] == label]) for label in (0, 1)]
    assert thresholds(given, said)[:2] == pytest.approx(twin)
    assert thresholds(given, said)[2] == np.inf


def test_flipped_labels_lead_the_ranking():
    """Five in a hundred flipped: two thirds of them in the first five in a hundred; random order has 5 %."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 400)
    rows = (2 * np.eye(8)[truth] + 0.7 * rng.normal(size=(400, 8))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    flipped = rng.choice(400, 20, replace=False)
    given = truth.copy()
    given[flipped] = (given[flipped] + 1) % 3
    head = LinearHead(3)
    head.fit(rows, given, seed=0)
    out = cross_fit(head, rows.__getitem__, Form.CLASSES, given, np.arange(400), seed=0)
    found = relabel_candidates(Form.CLASSES, given, out, NAMES)
    assert np.isin(flipped, found.positions[:20]).mean() >= 2 / 3
    assert (np.diff(found.utility) <= 0).all()


def test_a_tag_is_doubted_by_itself():
    given = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1]], bool)
    said = [[0.9, 0.1], [0.8, 0.95], [0.9, 0.9], [0.1, 0.9], [0.05, 0.9]]
    found = relabel_candidates(Form.TAGS, given, held(said, targets=given), ("loud", "furry"))
    assert found.positions.tolist() == [1]
    assert found.reasons[0] == "it lacks the tag 'furry', which a model that did not see the label gives 95%"


def test_a_number_far_off_is_doubted():
    given = np.array([1.0, 5.0, 3.0, 9.0])
    found = relabel_candidates(Form.NUMBER, given, held(targets=[1.1, 2.0, 3.0, 5.0], sd=[1, 1, 1, 1]), ())
    assert found.positions.tolist() == [3, 1]
    assert found.reasons[0] == "labelled 9, but a model that did not see the label says 5 ± 1"


def test_spans_are_doubted_where_the_model_is_sure():
    one = (Span(0, 3, 0),)
    given = gather(Form.SPANS, [one, one, one, ()], 2)
    said = gather(Form.SPANS, [one, (Span(0, 4, 0),), (), one], 2)
    found = relabel_candidates(
        Form.SPANS, given, held(targets=said, scores=[0.9, 0.4, 0.6, 0.95]), ("x", "y")
    )
    assert found.positions.tolist() == [3, 2]
    assert found.reasons[0] == (
        "a model that did not see the label is 95% sure of other spans: 1 that it lacks, 0 that it has"
    )


def test_annotators_who_disagree_are_a_reason_without_any_model():
    found = relabel_candidates(
        Form.CLASSES, np.array([0, 1, 2, 0]), None, NAMES, sureness={1: 0.5, 3: 2 / 3, 2: 1.0}
    )
    assert found.positions.tolist() == [1, 3]
    assert found.reasons == (
        "its annotators do not agree: 50% alike",
        "its annotators do not agree: 67% alike",
    )


def test_only_candidates_are_ranked_and_no_more_than_asked_for():
    given = np.zeros(6, int)
    said = [[0.9, 0.05, 0.05]] * 3 + [[0.05, 0.9, 0.05], [0.1, 0.8, 0.1], [0.15, 0.7, 0.15]]
    allowed = np.array([1, 1, 1, 0, 1, 1], bool)
    ask = Form.CLASSES, given, held(said), NAMES
    assert relabel_candidates(*ask).positions.tolist() == [3, 4, 5]
    assert relabel_candidates(*ask, candidates=allowed).positions.tolist() == [4, 5]
    assert relabel_candidates(*ask, candidates=allowed, k=1).positions.tolist() == [4]


def test_permuted_tasks_are_the_same_tasks():
    rng = np.random.default_rng(1)
    given, said = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    order = rng.permutation(50)
    plain = relabel_candidates(Form.CLASSES, given, held(said), NAMES)
    again = relabel_candidates(Form.CLASSES, given[order], held(said[order]), NAMES)
    assert order[again.positions].tolist() == plain.positions.tolist()
    assert again.reasons == plain.reasons


def test_regions_are_left_alone():
    nothing = held(targets=np.empty(2, object))
    assert len(relabel_candidates(Form.REGIONS, np.empty(2, object), nothing, NAMES)) == 0
