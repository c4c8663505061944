"""Uncertainties against their definitions, written out in plain Python."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import UNCERTAINTIES, ArrayPool, BadInput, Probabilities, build, checks
from strategies.types import Gaussian, TagProbabilities, TokenProbabilities
from strategies.uncertainty import (
    bald,
    energy,
    entropy,
    hardest_tag,
    least_confidence,
    margin,
    mnlp,
    rare_tag,
    top,
)

SHARPNESS = [0.05, 1, 20]


def plain_entropy(row):
    return -sum(p * math.log(p) for p in row if p > 0)


def slow(values):
    """(margin, entropy, least confidence, bald) of one input, from its members' rows."""
    classes = len(values[0])
    mean = [sum(row[c] for row in values) / len(values) for c in range(classes)]
    ordered = sorted(mean, reverse=True)
    disagreement = plain_entropy(mean) - sum(plain_entropy(row) for row in values) / len(values)
    return (
        1 - (ordered[0] - ordered[1]),
        plain_entropy(mean) / math.log(classes),
        (1 - ordered[0]) * classes / (classes - 1),
        disagreement / math.log(classes),
    )


def texts(rng, n, labels):
    """Token probabilities of n texts, some of which are empty."""
    lengths = rng.integers(0, 6, n)
    values = rng.dirichlet(np.full(labels, rng.choice(SHARPNESS)), lengths.sum()).astype(np.float32)
    return TokenProbabilities(values, np.append(0, lengths.cumsum()))


def examples(n=30):
    """One prediction of each kind, of n inputs."""
    rng = np.random.default_rng(n)
    classes = rng.dirichlet(np.ones(5), (3, n)).astype(np.float32)
    return [
        Probabilities(classes, evidence=rng.normal(size=n).astype(np.float32)),
        TagProbabilities(rng.random((2, n, 4)).astype(np.float32)),
        Gaussian(rng.normal(size=n).astype(np.float32), rng.random(n).astype(np.float32)),
        texts(rng, n, 3),
    ]


def take(prediction, rows):
    """The prediction of these rows alone."""
    match prediction:
        case Probabilities():
            return Probabilities(prediction.values[:, rows], prediction.evidence[rows])
        case TagProbabilities():
            return TagProbabilities(prediction.values[:, rows])
        case Gaussian():
            return Gaussian(prediction.mean[rows], prediction.sd[rows])
        case _:
            parts = np.split(prediction.values, prediction.starts[1:-1])
            kept = [parts[row] for row in rows]
            return TokenProbabilities(np.concatenate(kept), np.append(0, np.cumsum([len(k) for k in kept])))


def works(name, prediction):
    """Whether the uncertainty can score this kind at all."""
    if name == "energy":
        return isinstance(prediction, Probabilities)
    return not (name in {"bald", "hardest_tag", "rare_tag"} and isinstance(prediction, TokenProbabilities))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 9), st.integers(2, 6))
def test_scores_are_those_of_the_slow_twin(seed, members, n, classes):
    """Several members, few and many classes, sharp and flat."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.full(classes, rng.choice(SHARPNESS)), (members, n)).astype(np.float32)
    prediction = Probabilities(values)
    scores = np.array([score(prediction) for score in (margin, entropy, least_confidence, bald)])
    expected = np.array([slow(values[:, i].tolist()) for i in range(n)]).reshape(n, 4).T
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 9), st.integers(1, 5))
def test_a_tag_is_a_class_of_two(seed, members, n, tags):
    """Twin: each tag as a prediction of two classes, then their average or maximum."""
    rng = np.random.default_rng(seed)
    values = rng.beta(*rng.choice(SHARPNESS, 2), (members, n, tags)).astype(np.float32)
    both = [Probabilities(np.stack([values[..., t], 1 - values[..., t]], axis=2)) for t in range(tags)]
    prediction = TagProbabilities(values)
    for score in (margin, entropy, least_confidence, bald):
        twin = np.mean([score(tag) for tag in both], axis=0)
        np.testing.assert_allclose(score(prediction), twin, atol=1e-5)
    np.testing.assert_allclose(hardest_tag(prediction), np.max([margin(t) for t in both], axis=0), atol=1e-5)
    likelier = np.array([tag.mean.max(axis=1) for tag in both])
    geometric = [math.prod(column) ** (1 / tags) for column in likelier.T.tolist()]
    np.testing.assert_allclose(mnlp(prediction), 2 * (1 - np.array(geometric)), atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5))
def test_doubts_about_rare_tags_count_more(seed, members, n, tags):
    """Twin: a loop over inputs and tags, each doubt divided by how frequent the model holds the tag."""
    values = np.random.default_rng(seed).beta(0.5, 2, (members, n, tags)).astype(np.float32)
    chance = values.mean(axis=0).tolist()
    frequency = [sum(row[t] for row in chance) / n for t in range(tags)]

    def doubt(p):
        return -sum(q * math.log2(q) for q in (p, 1 - p) if q > 0)

    twin = [sum(doubt(p) / max(frequency[t], 1e-4) for t, p in enumerate(row)) for row in chance]
    np.testing.assert_allclose(rare_tag(TagProbabilities(values)), np.array(twin) / max(twin), atol=1e-4)


def test_the_likely_bearer_of_a_rare_tag_comes_before_doubts_about_a_frequent_one():
    """Where the average tag's margin asks for coin flips, the rare tag is asked for."""
    chance = np.full((100, 2), (0.5, 0.001), np.float32)
    chance[7] = 0.9, 0.2
    prediction = TagProbabilities(chance[None])
    assert rare_tag(prediction).argmax() == 7
    assert margin(prediction).argmax() != 7


def test_tags_that_never_occur_weigh_nothing():
    """Probabilities of zero and one leave no doubt, and no division by zero."""
    values = np.zeros((1, 5, 3), np.float32)
    values[..., 1] = 1
    assert (rare_tag(TagProbabilities(values)) == 0).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 5))
def test_a_text_is_the_average_of_its_tokens(seed, n, labels):
    """Twin: a loop over texts and tokens; MNLP by the product of the first probabilities."""
    prediction = texts(np.random.default_rng(seed), n, labels)
    for place, score in enumerate((margin, entropy, least_confidence)):
        found = score(prediction)
        for i in range(n):
            rows = prediction.values[prediction.starts[i] : prediction.starts[i + 1]].tolist()
            twin = sum(slow([row])[place] for row in rows) / len(rows) if rows else 0
            assert found[i] == pytest.approx(twin, abs=1e-5)
    for i, found in enumerate(mnlp(prediction)):
        rows = prediction.values[prediction.starts[i] : prediction.starts[i + 1]].tolist()
        likely = math.prod(max(row) for row in rows) ** (1 / len(rows)) if rows else 1
        assert found == pytest.approx((1 - likely) * labels / (labels - 1), abs=1e-5)


@pytest.mark.parametrize("name", list(UNCERTAINTIES))
def test_a_text_said_twice_is_as_uncertain_as_once(name):
    """Length alone changes nothing."""
    once = examples()[3]
    if not works(name, once):
        pytest.skip("not of texts")
    parts = np.split(once.values, once.starts[1:-1])
    twice = TokenProbabilities(np.concatenate([np.tile(part, (2, 1)) for part in parts]), 2 * once.starts)
    score = UNCERTAINTIES.get(name)
    np.testing.assert_allclose(score(twice), score(once), atol=1e-6)
    assert (score(once)[np.diff(once.starts) == 0] == 0).all()


@pytest.mark.parametrize("name", ["margin", "entropy", "least_confidence", "mnlp", "bald"])
def test_a_number_is_as_uncertain_as_its_deviation(name):
    """In any unit, whatever the mean; none uncertain, all 0."""
    score = UNCERTAINTIES.get(name)
    sd = np.array([0.5, 2, 0, 1], np.float32)
    mean = np.array([-3, 9, 0, 1], np.float32)
    np.testing.assert_allclose(score(Gaussian(mean, sd)), [0.25, 1, 0, 0.5])
    np.testing.assert_allclose(score(Gaussian(1000 * mean, 1000 * sd)), [0.25, 1, 0, 0.5])
    assert score(Gaussian(mean, 0 * sd)).tolist() == [0, 0, 0, 0]


def test_energy_asks_for_what_has_the_least_evidence():
    """The order is that of falling evidence; a shift of all logits changes nothing; without any, an error."""
    prediction = examples()[0]
    score = energy(prediction)
    assert np.argsort(-score).tolist() == np.argsort(prediction.evidence).tolist()
    assert (score.min(), score.max()) == (0, 1)
    shifted = energy(replace(prediction, evidence=prediction.evidence + 7))
    np.testing.assert_allclose(shifted, score, atol=1e-5)
    assert energy(replace(prediction, evidence=np.zeros(30, np.float32))).tolist() == [0] * 30
    for silent in (replace(prediction, evidence=None), *examples()[1:]):
        with pytest.raises(BadInput, match="hold no evidence, which energy needs"):
            energy(silent)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("name", list(UNCERTAINTIES))
def test_every_uncertainty_scores_every_kind_or_says_why_not(name, kind):
    """(n,) float32 in [0, 1], not all alike, also for no inputs; permuting the inputs permutes the scores."""
    score, prediction = UNCERTAINTIES.get(name), examples()[kind]
    if not works(name, prediction):
        with pytest.raises(BadInput, match=r"expected|needs"):
            score(prediction)
        return
    found = score(prediction)
    assert (found.dtype, found.shape) == (np.float32, (30,))
    assert 0 <= found.min() < found.max() <= 1
    order = np.random.default_rng(1).permutation(30)
    np.testing.assert_allclose(score(take(prediction, order)), found[order], atol=1e-6)
    none = [
        Probabilities(np.empty((1, 0, 2), np.float32), np.empty(0, np.float32)),
        TagProbabilities(np.empty((1, 0, 2), np.float32)),
        Gaussian(np.empty(0, np.float32), np.empty(0, np.float32)),
        TokenProbabilities(np.empty((0, 2), np.float32), np.array([0])),
    ][kind]
    assert score(none).shape == (0,)


@pytest.mark.parametrize("name", [name for name in UNCERTAINTIES if name != "energy"])
def test_what_is_certain_scores_0_and_the_flattest_1(name):
    """Whatever the number of classes, tags or labels; a single class is certain."""
    score = UNCERTAINTIES.get(name)
    starts = np.array([0, 1, 1, 4])
    certain = [
        Probabilities(np.eye(4, dtype=np.float32)[None]),
        TagProbabilities(np.eye(4, dtype=np.float32)[None]),
    ]
    flat = [
        Probabilities(np.full((1, 3, 5), 0.2, np.float32)),
        TagProbabilities(np.full((1, 3, 5), 0.5, np.float32)),
    ]
    if works(name, examples()[3]):
        certain.append(TokenProbabilities(np.eye(4, dtype=np.float32), starts))
        np.testing.assert_allclose(
            score(TokenProbabilities(np.full((4, 4), 0.25, np.float32), starts)), [1, 0, 1], atol=1e-6
        )
    for prediction in certain:
        np.testing.assert_allclose(score(prediction), 0, atol=1e-6)
    for prediction in flat:
        np.testing.assert_allclose(score(prediction), name != "bald", atol=1e-6)
    assert score(Probabilities(np.ones((2, 3, 1), np.float32))).tolist() == [0, 0, 0]


CLASSES, TAGS, NUMBERS, TOKENS = examples(3)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (None, "prediction is a NoneType, expected Probabilities, Tag"),
        (
            replace(CLASSES, values=CLASSES.values[0]),
            r"probabilities have shape \(3, 5\), expected \(members, n, ",
        ),
        (replace(CLASSES, values=CLASSES.values[:0]), r"shape \(0, 3, 5\)"),
        (replace(CLASSES, values=2 * CLASSES.values), "probabilities of row 0 sum to 2, expected 1"),
        (replace(CLASSES, values=CLASSES.values * np.nan), "probabilities hold NaN"),
        (replace(CLASSES, evidence=CLASSES.evidence[:2]), r"evidence has shape \(2,\), expected \(3,\)"),
        (replace(CLASSES, evidence=np.array([0, np.inf, 0])), r"evidence\[1\] is inf, expected a finite"),
        (replace(TAGS, values=TAGS.values + 1), "tag probabilities hold NaN or a number outside 0 to 1"),
        (replace(TAGS, values=TAGS.values * np.nan), "tag probabilities hold NaN"),
        (replace(TAGS, values=TAGS.values[0, 0]), r"tag probabilities have shape \(4,\)"),
        (replace(NUMBERS, sd=-NUMBERS.sd), r"sd\[\d\] is -0\.\d+, expected at least 0"),
        (replace(NUMBERS, sd=NUMBERS.sd[:2]), r"sd has shape \(2,\), expected \(3,\)"),
        (replace(NUMBERS, mean=np.array([0, 0, np.nan])), r"mean\[2\] is nan"),
        (replace(NUMBERS, mean=np.zeros((3, 1))), r"mean has shape \(3, 1\), expected \(n,\)"),
        (replace(TOKENS, values=TOKENS.values / 2), "token probabilities of row 0 sum to 0.5, expected 1"),
        (replace(TOKENS, values=TOKENS.values[0]), r"token probabilities have shape \(3,\)"),
        (replace(TOKENS, starts=TOKENS.starts[:-1]), "expected to ascend from 0 to"),
        (replace(TOKENS, starts=TOKENS.starts[[0, 2, 1, 3]]), "expected to ascend from 0 to"),
        (replace(TOKENS, starts=TOKENS.starts * 1.0), "starts are float64"),
        (replace(TOKENS, starts=np.array([], np.int64)), r"starts are int64 \(0,\)"),
    ],
)
def test_a_prediction_that_is_none_is_refused(prediction, message):
    """One line that names the thing, its value and what was expected, from every uncertainty."""
    for name in UNCERTAINTIES:
        with pytest.raises(BadInput, match=message):
            UNCERTAINTIES.get(name)(prediction)


@pytest.mark.parametrize("prediction", examples(3))
def test_a_prediction_of_too_few_rows_is_refused(prediction):
    """The model was asked about more."""
    assert checks.prediction(prediction, 3) is prediction
    with pytest.raises(BadInput, match=r"expected .*[45]"):
        checks.prediction(prediction, 4)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("strategy", ["margin", "uncertainty_k_center(entropy)"])
def test_strategies_take_predictions_of_every_kind(strategy, kind):
    """What orders classes orders tags, numbers and texts."""
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    place = {row.tobytes(): i for i, row in enumerate(rows)}
    whole = examples()[kind]

    def model(asked):
        return take(whole, [place[row.tobytes()] for row in asked])

    labelled = np.zeros(30, bool)
    labelled[:5] = True
    pool = ArrayPool(rows, labelled, model)
    ranking = build(strategy)(pool, pool.candidates, 10, np.random.default_rng(0))
    assert len(set(ranking.positions.tolist())) == 10


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 40))
def test_top_is_a_stable_sort(score, k):
    """Largest first, ties to the lowest place."""
    expected = sorted(range(len(score)), key=lambda place: (-score[place], place))[:k]
    assert top(np.array(score, np.float32), k).tolist() == expected
