"""Successive models are compared whatever they predict; forecasts read any headline."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from backend.quality import Score
from backend.rounds.agreement import Agreement, concordance, items
from backend.rounds.outlook import AHEAD, FEWEST, Outlook, ahead
from strategies.types import Gaussian, Probabilities, TagProbabilities, TokenProbabilities


def pool(predict, labelled=100, form="classes", n=30, labels=("a", "b")):
    return SimpleNamespace(
        labelled=np.arange(1000) < labelled,
        tasks=SimpleNamespace(ids=np.arange(1, n + 1), live=np.ones(n, bool)),
        kind=SimpleNamespace(labels=labels, form=form),
        predict=predict,
    )


def test_what_is_said_of_each_kind_of_prediction():
    said, starts = items(Probabilities(np.array([[[0.2, 0.8], [0.9, 0.1]]], np.float32)))
    assert (said.tolist(), starts.tolist()) == ([1, 0], [0, 1, 2])
    said, starts = items(TagProbabilities(np.array([[[0.2, 0.8], [0.9, 0.6]]], np.float32)))
    assert (said.tolist(), starts.tolist()) == ([0, 1, 1, 1], [0, 2, 4])
    tokens = TokenProbabilities(np.eye(3, dtype=np.float32)[[0, 2, 1]], np.array([0, 2, 2, 3]))
    said, starts = items(tokens)
    assert (said.tolist(), starts.tolist()) == ([0, 2, 1], [0, 2, 2, 3])
    said, _ = items(Gaussian(np.array([1.5, 2]), np.ones(2)))
    assert said.tolist() == [1.5, 2]


PREDICTIONS = {
    "classes": lambda move: lambda rows: Probabilities(np.eye(2, dtype=np.float32)[(rows + move) % 2][None]),
    "tags": lambda move: (
        lambda rows: TagProbabilities(
            np.stack([(rows + move) % 2, rows % 3 == 0], axis=1)[None].astype(np.float32)
        )
    ),
    "number": lambda move: lambda rows: Gaussian(rows + 20.0 * move * (rows % 3), np.ones(len(rows))),
    "spans": lambda move: (
        lambda rows: TokenProbabilities(
            np.eye(2, dtype=np.float32)[np.repeat((rows + move) % 2, rows % 3)],
            np.concatenate([[0], np.cumsum(rows % 3)]),
        )
    ),
}


@pytest.mark.parametrize("form", list(PREDICTIONS))
def test_the_same_model_agrees_and_another_does_not(form, tmp_path):
    """Across a restart too: the second look is another object's."""
    make = PREDICTIONS[form]
    look = lambda move, labelled: Agreement(tmp_path / "s.npz").look(pool(make(move), labelled, form), seed=0)  # noqa: E731
    assert look(0, 100) is None
    same = look(0, 120)
    assert same["kappas"] == [1.0]
    other = look(1, 140)
    assert other["kappas"][0] == 1.0
    assert other["kappas"][1] < 0.8
    assert (other["f1_change_at_most"] is None) == (form == "number")
    assert not other["agree"]


def test_other_labels_or_another_form_begin_anew(tmp_path):
    ask = lambda **more: Agreement(tmp_path / "s.npz").look(pool(PREDICTIONS["classes"](0), **more), seed=0)  # noqa: E731
    assert ask() is None
    assert ask(labelled=120, labels=("a", "b", "c")) is None
    assert ask(labelled=140, labels=("a", "b", "c")) is not None


def test_concordance_sees_how_near_numbers_are():
    """Twin: Lin's formula through the correlation; a shift and a stretch count, not just the order."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    b = a + 0.3 * rng.normal(size=200)
    twin = 2 * np.corrcoef(a, b)[0, 1] * a.std() * b.std() / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert concordance(a, b) == pytest.approx(twin)
    assert concordance(a, a + 0.05) > 0.99
    assert concordance(a, a + 2) < concordance(a, a + 0.5) < 0.95
    assert concordance(np.ones(3), np.ones(3)) == 1


# --- forecasts -----------------------------------------------------------------------------------------


class Rounds:
    def __init__(self, figures):
        self.figures = figures

    def recent(self, project_id, *states, limit):
        return [SimpleNamespace(figures=each) for each in self.figures][::-1]


def outlook(figures, tasks=5000):
    counted = SimpleNamespace(count=lambda project_id: tasks)
    return Outlook(SimpleNamespace(rounds=Rounds(figures), tasks=counted), 1)


def measured(labelled, value, metric="spearman", **more):
    score = Score(value, value - 0.1, value + 0.1, 60, metric).as_figures()
    return {"labelled": labelled, "asks": "q", "audit_accuracy": {**score, **more}}


def test_any_headline_is_foretold():
    past = [measured(each, 0.3 + each / 1000) for each in (100, 200, 300)]
    found = outlook(past).look(400, Score(0.7, 0.6, 0.8, 80, "spearman"), "q")
    assert found["metric"] == "spearman"
    assert all(
        low <= value <= high
        for low, value, high in zip(found["low"], found["value"], found["high"], strict=True)
    )
    assert found["value"] == sorted(found["value"])


def test_another_metrics_past_is_not_mixed_in():
    past = [measured(each, each / 400, "accuracy") for each in range(100, 100 + 10 * FEWEST, 10)]
    assert outlook(past).look(400, Score(0.7, 0.6, 0.8, 80, "spearman"), "q") is None
    assert outlook(past).look(400, Score(0.7, 0.6, 0.8, 80, "accuracy"), "q") is not None


def test_what_was_measured_before_the_question_was_another_foretells_nothing():
    past = [measured(each, each / 400, "accuracy") for each in (100, 110, 120, 130)]
    score = Score(0.7, 0.6, 0.8, 80, "accuracy")
    past[1]["asks"] = "other classes"
    assert outlook(past).look(400, score, "q") is not None
    past[2]["asks"] = "other classes"
    assert outlook(past).look(400, score, "q") is None


def test_rounds_from_before_metrics_had_names_measured_accuracy():
    past = [measured(each, each / 400, "accuracy") for each in (100, 110, 120)]
    for each in past:
        del each["audit_accuracy"]["metric"]
    assert outlook(past).look(400, Score(0.7, 0.6, 0.8, 80), "q") is not None


def test_a_measurement_read_back_is_the_same_measurement():
    """Figures are rounded; it must not count twice."""
    score = Score(2 / 3, 0.6000001, 0.7, 90)
    looks = outlook([{"labelled": 100, "asks": "q", "audit_accuracy": score.as_figures()}])
    looks.look(100, score, "q")
    assert len(looks._past) == 1


def test_a_correlation_below_nought_breaks_nothing():
    past = [measured(each, each / 200 - 0.4) for each in (20, 40, 60)]
    assert outlook(past).look(80, Score(0.1, -0.1, 0.3, 30, "spearman"), "q")["value"][0] >= 0


@pytest.mark.parametrize(
    ("left", "steps"),
    [
        (0, []), (1, [1]), (2, [1, 2]), (60, [30, 60]), (101, [50, 101]), (150, [100, 150]),
        (210, [100, 210]), (499, [100, 200, 499]), (500, list(AHEAD)), (9999, list(AHEAD)),
    ],
)  # fmt: skip
def test_no_more_labels_are_foretold_than_there_are_tasks(left, steps):
    assert ahead(left) == steps
    past = [measured(each, each / 400, "accuracy") for each in (100, 110, 120)]
    found = outlook(past, 400 + left).look(400, Score(0.7, 0.6, 0.8, 80), "q")
    assert found is None if left == 0 else found["more_labels"] == steps
