"""What `status` says of quality: any metric, savings, and what is not known yet."""

from __future__ import annotations

from backend.cli.outlook import lines, metric, shown

NOTHING = {"forecast": None, "agreement": None, "against_random": [], "savings": None}


def said(**known):
    return dict(lines({**NOTHING, **known}))


def test_nothing_known_is_nothing_said():
    assert said() == {}


def test_a_metric_is_named_and_written_as_its_kind_is():
    assert (metric(None), metric({"value": 1}), metric({"metric": "entity_f1"})) == (
        "accuracy",
        "accuracy",
        "entity F1",
    )
    assert shown({"metric": "spearman"}, 0.618, 1) == "0.62"
    assert shown({"metric": "micro_f1"}, 0.618, 1) == "61.8%"
    figures = {"level": 0.8, "more_labels": [100], "value": [0.6], "low": [0.5], "high": [0.7]}
    assert said(forecast={**figures, "metric": "spearman"})["forecast"] == (
        "Spearman 0.60 (0.50 to 0.70) with 100 more labels (80% intervals)"
    )
    assert said(forecast=figures)["forecast"].startswith("accuracy 60% (50% to 70%)")


def test_numbers_have_no_bound_of_f1():
    figures = {"kappas": [0.991], "labels": [100, 110], "f1_change_at_most": None, "agree": False}
    told = said(agreement=figures)["agreement"]
    assert "0.991" in told
    assert "F1" not in told
    assert "changed by at most 3.0%" in said(agreement={**figures, "f1_change_at_most": 0.03})["agreement"]


def test_savings_are_told_as_far_as_they_are_known():
    figures = {
        "labelled": 800,
        "today": 0.91,
        "random_at_same": {"value": 0.88, "low": 0.84, "high": 0.9},
        "random_labels_needed": None,
    }
    told = said(savings=figures)["saved"]
    assert "with the same 800 labels random order would be right in 88% (84% to 90%)" in told
    assert told.endswith("how many labels that saves is not known yet")
    known = {**figures, "random_labels_needed": {"value": 1600, "low": 1100, "high": 2900}}
    assert said(savings=known)["saved"].endswith("it would need 1,600 (1,100 to 2,900, 90 % intervals)")
