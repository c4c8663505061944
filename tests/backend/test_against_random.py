"""Chosen labels against random ones: found out where they are bad, left in peace where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.labels.forms import Form
from backend.models.likeliest import likeliest
from backend.rounds.against_random import CONFIDENCE, FEWEST, Contest, Labels, against_random, upper_end
from strategies.types import Probabilities

CLASSES = 4


class Centroids:
    """A head that is quick enough for hundreds of contests: the class of the nearest mean."""

    def can_fit(self, targets):
        return len(np.unique(targets)) >= 2

    def fit(self, embeddings, targets, *, seed):
        self.seen = np.unique(targets)
        self.means = np.array([embeddings[targets == one].mean(axis=0) for one in self.seen])

    def predict(self, embeddings):
        values = np.zeros((1, len(embeddings), CLASSES), np.float32)
        nearest = ((embeddings[:, None] - self.means) ** 2).sum(axis=2).argmin(axis=1)
        values[0, np.arange(len(embeddings)), self.seen[nearest]] = 1
        return Probabilities(values)

    def decide(self, features, prediction):
        return likeliest(prediction)


def tasks(rng, n, noise=0.7):
    """Rows of unit length around one direction per class, and their classes."""
    targets = rng.integers(0, CLASSES, n)
    rows = np.eye(10)[targets] + noise * rng.normal(size=(n, 10))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), targets


def labels(rng, chosen, audited=80, earlier=0):
    """`chosen` is (rows, targets), in order; audit and earlier labels are drawn at random."""
    parts = [chosen, tasks(rng, audited), tasks(rng, earlier)]
    count = len(chosen[1])
    audit = np.zeros(count + audited + earlier, bool)
    audit[count : count + audited] = True
    return Labels(
        np.concatenate([rows for rows, _ in parts]).__getitem__,
        Form.CLASSES,
        np.concatenate([targets for _, targets in parts]),
        audit,
        np.arange(count),
        np.arange(count + audited, count + audited + earlier),
    )


def outliers(rng, n):
    """The rows of class 0 that lie farthest from all others: what a strategy that loves outliers takes."""
    rows, targets = tasks(rng, 40 * n)
    mine = np.flatnonzero(targets == 0)
    far = mine[np.argsort(rows[mine] @ rows.mean(axis=0))][:n]
    return rows[far], targets[far]


def spread(rng, n):
    """Typical rows of each class in turn."""
    targets = np.arange(n) % CLASSES
    rows = np.eye(10)[targets] + 0.2 * rng.normal(size=(n, 10))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), targets


@pytest.mark.parametrize("seed", range(5))
def test_outliers_of_one_class_are_found_out(seed):
    """Also where the head cannot even be fit on them; the words name the figures and a remedy."""
    rng = np.random.default_rng(seed)
    first, last = against_random(Centroids, labels(rng, outliers(rng, 160)), seed=seed)
    assert first.worse
    assert first.random > first.chosen + 0.2
    assert (first.labels, first.known, last.known, first.judged) == (64, 0, 96, 80)
    assert "worse than random order" in first.says
    assert f"{first.chosen:.1%} right with the first 64 chosen labels" in first.says
    assert "selection.strategy to random" in first.says


def alarms(choose, seeds):
    """How often labels that `choose` draws raise an alarm."""
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        contests = against_random(Centroids, labels(rng, choose(rng, 160)), seed=seed)
        assert len(contests) == 2
        found.append(any(contest.worse for contest in contests))
    return np.mean(found)


def test_good_labels_raise_no_alarm():
    """Labels that teach more than random ones; false alarms would be a bother."""
    assert alarms(spread, 100) <= 0.02


def test_random_labels_raise_an_alarm_at_most_one_time_in_ten():
    """Nothing to find: what remains are false alarms, over 300 seeds."""
    assert alarms(tasks, 300) <= 0.1


@pytest.mark.parametrize("seed", range(3))
def test_a_strategy_that_went_astray_is_found_out_by_its_last_labels(seed):
    """The first were good, the last say nothing of two classes that the first had left out."""
    rng = np.random.default_rng(seed)
    rows, targets = spread(rng, 320)
    far, of_far = outliers(rng, 64)
    known = targets < 2
    chosen = np.concatenate([rows[known], far]), np.concatenate([targets[known], of_far])
    _, last = against_random(Centroids, labels(rng, chosen), seed=seed)
    assert (last.which, last.worse) == ("last", True)


def test_what_was_labelled_before_the_strategy_teaches_both_sides():
    """With all that is to know known already, there is no difference left."""
    rng = np.random.default_rng(0)
    (contest,) = against_random(Centroids, labels(rng, outliers(rng, 80), earlier=400), seed=0)
    assert contest.known == 400
    assert abs(contest.chosen - contest.random) < 0.1
    assert not contest.worse


@pytest.mark.parametrize(("audited", "chosen"), [(FEWEST - 1, 80), (80, 63), (80, 0)])
def test_too_few_labels_are_no_contest(audited, chosen):
    rng = np.random.default_rng(0)
    assert against_random(Centroids, labels(rng, tasks(rng, chosen), audited), seed=0) == []


def test_it_gives_way_between_two_fits():
    """Whoever wants the worker to stop need not wait for twenty fits."""

    class Stop(Exception):
        pass

    def pause():
        raise Stop

    rng = np.random.default_rng(0)
    with pytest.raises(Stop):
        against_random(Centroids, labels(rng, tasks(rng, 80)), seed=0, pause=pause)


def test_the_same_seed_gives_the_same_contest():
    rng = np.random.default_rng(0)
    given_ = labels(rng, tasks(rng, 80))
    assert against_random(Centroids, given_, seed=4) == against_random(Centroids, given_, seed=4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=20), st.sampled_from([0.1, 0.2, 0.5]))
def test_the_upper_end_is_the_published_formula(differences, held):
    """Twin: Nadeau and Bengio's variance, written out."""
    from scipy.stats import t

    count, mean = len(differences), sum(differences) / len(differences)
    variance = sum((d - mean) ** 2 for d in differences) / (count - 1)
    twin = mean + t.ppf(CONFIDENCE, count - 1) * ((1 / count + held / (1 - held)) * variance) ** 0.5
    assert upper_end(np.array(differences), held=held, level=CONFIDENCE) == pytest.approx(twin)


def test_figures_are_plain_json():
    import json

    contest = Contest("first", 32, 0, 0.5, 0.75, -0.1, 40)
    assert json.loads(json.dumps(contest.as_figures()))["worse"] is True
    assert "worse than random" not in Contest("first", 32, 0, 0.5, 0.75, 0.1, 40).says
