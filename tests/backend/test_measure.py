"""What is measured on the audit slice is honest, for every form of target."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backend.encoders.arithmetic import unit
from backend.labels.forms import Form, Span
from backend.models import Decided
from backend.models.number import NumberHead
from backend.quality.crossfit import cross_fit, tempered
from backend.rounds.measure import FEWEST, MOST_GROUND_TRUTH, interval, measure_slice
from strategies.types import Gaussian, Probabilities

LABELS = ("cat", "dog")


class Parrot:
    """Remembers what it saw, and answers 0 to all else; tells how often it was fit, and with what."""

    temperature = 1.0

    def __init__(self, fits=None):
        self.fits = [] if fits is None else fits

    def fresh(self):
        return Parrot(self.fits)

    def can_fit(self, targets):
        return len(np.unique(targets)) >= 2

    def fit(self, features, targets, *, seed):
        self.fits.append(set(features[:, 0].tolist()))
        self.known = dict(zip(features[:, 0].tolist(), targets.tolist(), strict=True))

    def predict(self, features):
        said = [self.known.get(each, 0) for each in features[:, 0].tolist()]
        return Probabilities(np.eye(2, dtype=np.float32)[said][None] * 0.8 + 0.1)

    def decide(self, features, prediction):
        return Decided(prediction.mean.argmax(axis=1), prediction.mean.max(axis=1))


def look(head, targets, audit, **more):
    features = np.arange(len(targets))[:, None].astype(np.float32)
    return measure_slice(
        head,
        features.__getitem__,
        Form.CLASSES,
        np.asarray(targets),
        np.asarray(audit),
        LABELS,
        seed=0,
        **more,
    )


def test_audit_rows_are_judged_by_models_that_did_not_see_them():
    """A model that only remembers would be right everywhere; held out, it is right where 0 is."""
    head = Parrot()
    found = look(head, np.arange(40) % 2, np.arange(40) < 20)
    assert (found.headline.value, found.headline.n, found.headline.name) == (0.5, 20, "accuracy")
    assert len(head.fits) == 5
    assert all(len(seen) == 36 and set(range(20, 40)) <= seen for seen in head.fits)
    assert set.union(*(set(range(20)) - seen for seen in head.fits)) == set(range(20))


def test_few_audit_labels_measure_nothing():
    assert look(Parrot(), np.arange(30) % 2, np.arange(30) < FEWEST - 1) is None
    assert look(Parrot(), np.arange(30) % 2, np.arange(30) < FEWEST) is not None


def test_a_fold_that_leaves_one_class_measures_nothing():
    targets = np.zeros(20, int)
    targets[3] = 1
    assert look(Parrot(), targets, np.ones(20, bool)) is None


def test_regions_are_not_measured():
    features = np.zeros((20, 1), np.float32)
    none = measure_slice(
        Parrot(), features.__getitem__, Form.REGIONS, np.empty(20, object), np.ones(20, bool), (), seed=0
    )
    assert none is None


def test_chosen_ground_truth_is_told_apart():
    """It never enters the slice's figure, whatever is right there; in the slice it is as the rest is."""
    targets = np.arange(60) % 2
    targets[20:40] = 1  # chosen and hard: the parrot knows none of them when it is held out
    audit, truth = np.arange(60) < 20, (np.arange(60) >= 10) & (np.arange(60) < 40)
    found = look(Parrot(), targets, audit, ground_truth=truth)
    assert found.headline.value == 0.5
    assert (found.ground_truth.value, found.ground_truth.n) == (0.0, 20)
    assert found.quality == look(Parrot(), targets, audit).quality
    assert look(Parrot(), targets, audit, ground_truth=audit).ground_truth is None


def test_much_ground_truth_is_sampled():
    n = MOST_GROUND_TRUTH + 200
    found = look(Parrot(), np.arange(n) % 2, np.arange(n) < 20, ground_truth=np.ones(n, bool))
    assert found.ground_truth.n == MOST_GROUND_TRUTH


def test_figures_keep_their_names():
    """What status, the page and the forecast read, and plain JSON all of it."""
    figures = json.loads(json.dumps(look(Parrot(), np.arange(40) % 2, np.arange(40) < 20).as_figures()))
    assert set(figures["audit_accuracy"]) == {"metric", "value", "low", "high", "n"}
    assert figures["audit_accuracy"] == figures["quality"]["accuracy"]
    assert figures["audit_macro_f1"]["metric"] == "macro_f1"
    assert {"per_class", "confusion", "calibration", "ground_truth"} <= set(figures["quality"])


def test_a_task_is_judged_where_it_stands():
    """Positions asked for in any order come back in that order."""
    targets = np.arange(30) % 2
    features = np.arange(30)[:, None].astype(np.float32)
    judged = np.array([7, 3, 28, 12])

    class Told(Parrot):
        def fresh(self):
            return Told()

        def predict(self, features):
            odd = (features[:, 0] % 2).astype(int)
            return Probabilities(np.eye(2, dtype=np.float32)[odd][None])

    held = cross_fit(Told(), features.__getitem__, Form.CLASSES, targets, judged, seed=1)
    assert held.targets.tolist() == [1, 1, 0, 0]


def test_the_serving_model_tells_how_sure_to_be():
    """A fresh head is not calibrated; the temperature of the one that serves is."""
    hot = Parrot()
    hot.temperature = 2.0
    features = np.arange(20)[:, None].astype(np.float32)
    ask = features.__getitem__, Form.CLASSES, np.arange(20) % 2, np.arange(20)
    cold, warm = (cross_fit(head, *ask, seed=0) for head in (Parrot(), hot))
    assert np.allclose(cold.scores, 0.9)
    assert np.allclose(warm.scores, 3 / 4)  # 9 : 1 becomes 3 : 1
    assert (cold.targets == warm.targets).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_tempering_divides_the_logits(temperature):
    """Twin: through the logits."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4))
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    twin = np.exp(logits / temperature) / np.exp(logits / temperature).sum(axis=1, keepdims=True)
    assert np.allclose(tempered(share.astype(np.float32), temperature), twin, atol=1e-5)


def test_numbers_and_spans_are_measured_alike():
    """Any head, any features that can be indexed by positions."""

    class Mean:
        def fresh(self):
            return Mean()

        def can_fit(self, targets):
            return True

        def fit(self, features, targets, *, seed):
            self.slope = float((features[:, 0] * targets).sum() / (features[:, 0] ** 2).sum())

        def predict(self, features):
            return Gaussian(features[:, 0] * self.slope, np.full(len(features), 0.5, np.float32))

        def decide(self, features, prediction):
            return Decided(prediction.mean, np.ones(len(features), np.float32))

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1)).astype(np.float32)
    y = 2 * x[:, 0] + 0.1 * rng.normal(size=60)
    found = measure_slice(Mean(), x.__getitem__, Form.NUMBER, y, np.arange(60) < 40, (), seed=0)
    assert found.headline.name == "spearman"
    assert found.headline.value > 0.95
    assert set(found.as_figures()) >= {"audit_accuracy", "audit_mae", "audit_r2", "audit_interval_coverage"}

    class Same(Mean):
        def fresh(self):
            return Same()

        def fit(self, features, targets, *, seed):
            pass

        def decide(self, features, prediction):
            spans = np.empty(len(features), object)
            spans[:] = [(Span(0, 3, 0),)] * len(features)
            return Decided(spans, np.ones(len(features), np.float32))

        def predict(self, features):
            return None

    targets = np.empty(20, object)
    targets[:] = [(Span(0, 3, 0),)] * 10 + [(Span(0, 3, 1),)] * 10
    found = measure_slice(
        Same(), np.zeros((20, 1)).__getitem__, Form.SPANS, targets, np.ones(20, bool), "ab", seed=0
    )
    assert (found.headline.name, found.headline.value) == ("entity_f1", 0.5)


def test_the_interval_of_a_share():
    """Agresti and Coull's, written out."""
    found, z = interval(17, 20), 1.6448536269514722
    middle = (17 + z * z / 2) / (20 + z * z)
    half = z * (middle * (1 - middle) / (20 + z * z)) ** 0.5
    assert (found.value, found.n) == (0.85, 20)
    assert np.allclose([found.low, found.high], [middle - half, middle + half])


def test_a_model_that_knows_nothing_of_numbers_does_not_run_against_the_truth():
    """It answers what its own labels are on average, which is low for folds that are high."""
    rng, ranks = np.random.default_rng(0), []
    for seed in range(60):
        rows = unit(rng.normal(size=(60, 64)).astype(np.float32))
        truth = rng.integers(1, 11, 60).astype(np.float32)
        head = NumberHead()
        head.fit(rows, truth, seed=0)
        found = measure_slice(head, rows.__getitem__, Form.NUMBER, truth, np.arange(60) < 15, (), seed=seed)
        ranks.append(found.headline.value)
    assert abs(np.mean(ranks)) < 0.1
