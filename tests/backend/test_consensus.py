"""Several annotators become one target, and their quality is told without looking at their own answers."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.labels.answers import majority, majority_of_each
from backend.labels.forms import Form, Span
from backend.quality.alpha import krippendorff
from backend.quality.consensus import Given, agree_all, one_target
from backend.quality.panel import SHARED, learn_panel
from strategies.types import BadInput

NAMES = ("a", "b", "c", "d")


def crowd(skills, tasks=400, classes=4, each=3, seed=0, prior=None):
    """(truth, answers): each task goes to `each` annotators, who are right as often as `skills` says."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, tasks, p=prior)
    answers = []
    for row, true in enumerate(truth):
        for who in rng.choice(len(skills), each, replace=False):
            wrong = rng.choice([other for other in range(classes) if other != true])
            answers.append(Given(row, int(who), int(true if rng.random() < skills[who] else wrong)))
    return truth, answers


def right(agreed, truth):
    return np.mean([agreed.targets[row] == true for row, true in enumerate(truth)])


# --- one target --------------------------------------------------------------------------------------


def test_the_majority_of_each_form():
    assert one_target(Form.CLASSES, [(1, 2), (2, 0), (3, 2)]) == 2
    assert one_target(Form.CLASSES, [(1, 2), (2, 0)]) == 0  # the latest of two alike
    assert one_target(Form.TAGS, [(1, {0, 1}), (2, {1}), (3, {1, 2})]) == {1}
    assert one_target(Form.NUMBER, [(1, 2.0), (2, 9.0), (3, 3.0)]) == 3.0
    drawn = [(1, (Span(0, 3, 0), Span(5, 8, 1))), (2, (Span(0, 3, 0),)), (3, (Span(0, 4, 0),))]
    assert one_target(Form.SPANS, drawn) == (Span(0, 3, 0),)
    assert one_target(Form.REGIONS, [(1, ({"a": 1},)), (2, ({"a": 2},))]) == ({"a": 2},)


def test_ground_truth_goes_before_all_others():
    given_ = [Given(7, 1, 0), Given(7, 2, 0), Given(7, 3, 1, ground_truth=True)]
    agreed = agree_all(Form.CLASSES, given_, NAMES)
    assert (agreed.targets, agreed.sureness) == ({7: 1}, {7: 1.0})


def test_sureness_says_how_far_the_answers_carry_the_target():
    agreed = agree_all(
        Form.CLASSES, [(1, 1, 0), (1, 2, 0), (1, 3, 2), (2, 1, 3), (3, 1, 1), (3, 2, 1)], NAMES
    )
    assert agreed.sureness == pytest.approx({1: 2 / 3, 2: 1.0, 3: 1.0})


def test_an_unknown_method_is_refused():
    with pytest.raises(BadInput, match="method is 'vote'; expected majority or dawid_skene"):
        agree_all(Form.CLASSES, [], NAMES, method="vote")


def test_no_answers_agree_on_nothing():
    for method in ("majority", "dawid_skene"):
        agreed = agree_all(Form.TAGS, [], NAMES, method=method)
        assert (agreed.targets, agreed.annotators, agreed.alpha) == ({}, {}, None)


# --- Dawid and Skene -----------------------------------------------------------------------------------


def test_one_good_annotator_outvotes_two_bad_ones():
    """Twin: majority, which cannot; and nobody's target is one that nobody gave."""
    truth, answers = crowd([0.97, 0.97, 0.45, 0.45, 0.45], seed=1)
    plain = agree_all(Form.CLASSES, answers, NAMES)
    modelled = agree_all(Form.CLASSES, answers, NAMES, method="dawid_skene")
    assert right(modelled, truth) > right(plain, truth) + 0.05
    given_ = {
        row: {each.target for each in of_row} for row, of_row in itertools.groupby(answers, lambda a: a.row)
    }
    assert all(target in given_[row] for row, target in modelled.targets.items())


def test_good_annotators_lose_nothing():
    truth, answers = crowd([0.9] * 6, seed=2)
    plain = agree_all(Form.CLASSES, answers, NAMES)
    assert (
        right(agree_all(Form.CLASSES, answers, NAMES, method="dawid_skene"), truth)
        >= right(plain, truth) - 0.01
    )


def test_many_classes_and_few_answers_do_not_upset_it():
    """Fifty classes, sixty tasks: tables of errors of their own would be nonsense."""
    truth, answers = crowd([0.85] * 5, tasks=60, classes=50, seed=3)
    labels = [str(each) for each in range(50)]
    plain, modelled = (
        agree_all(Form.CLASSES, answers, labels, method=m) for m in ("majority", "dawid_skene")
    )
    assert right(modelled, truth) >= right(plain, truth) - 0.05


def test_a_single_answer_stays_as_it_is():
    """Whoever gave it, and whatever is believed of them."""
    _, answers = crowd([0.95, 0.95, 0.95, 0.3], tasks=200)
    alone = [Given(1000 + each, 3, each % 4) for each in range(20)]
    agreed = agree_all(Form.CLASSES, [*answers, *alone], NAMES, method="dawid_skene")
    assert all(agreed.targets[each.row] == each.target for each in alone)


def test_tags_and_spans_are_weighed_part_by_part():
    """Two who are careful against three who add and leave out at will."""
    rng = np.random.default_rng(0)
    skills = [0.97, 0.97, 0.6, 0.6, 0.6]
    tags, spans, truths = [], [], []
    for row in range(300):
        true = set(np.flatnonzero(rng.random(4) < 0.4).tolist())
        truths.append(true)
        for who in rng.choice(5, 3, replace=False):
            said = {tag for tag in range(4) if (tag in true) == (rng.random() < skills[who])}
            tags.append(Given(row, int(who), frozenset(said)))
            spans.append(
                Given(row, int(who), tuple(Span(10 * tag, 10 * tag + 5, tag) for tag in sorted(said)))
            )
    for form, answers in ((Form.TAGS, tags), (Form.SPANS, spans)):
        rates = []
        for method in ("majority", "dawid_skene"):
            found = agree_all(form, answers, NAMES, method=method).targets
            as_tags = [
                found[row] if form is Form.TAGS else {s.label for s in found[row]} for row in range(300)
            ]
            rates.append(np.mean([len(set(one) ^ true) for one, true in zip(as_tags, truths, strict=True)]))
        assert rates[1] < 0.8 * rates[0]


def test_a_panel_is_learned_from_shared_tasks_alone():
    assert learn_panel(Form.CLASSES, [(1, 1, 0), (2, 2, 1), (2, 2, 1)], 4) is None
    assert learn_panel(Form.NUMBER, [(1, 1, 0.5), (1, 2, 0.7)], 0) is None


def test_a_panels_tables_are_chances_and_follow_the_skills():
    _, answers = crowd([0.95, 0.95, 0.5, 0.8], tasks=600, each=3)
    panel = learn_panel(Form.CLASSES, [each[:3] for each in answers], 4)
    assert panel.priors.sum() == pytest.approx(1)
    for who, skill in enumerate([0.95, 0.95, 0.5, 0.8]):
        assert panel.errors[who].sum(axis=0) == pytest.approx(np.ones(4))
        assert np.diag(panel.errors[who]).mean() == pytest.approx(skill, abs=0.06 + SHARED / 200)
    # twin of Bayes' rule for one task
    given_ = [(0, 2), (2, 1), (None, 1)]
    twin = panel.priors * panel.errors[0][2] * panel.errors[2][1] * panel.usual[1]
    assert panel.chances(given_) == pytest.approx(twin / twin.sum())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_without_a_panel_it_is_what_the_label_kinds_do(given_):
    targets = [target for _, target in given_]
    assert one_target(Form.CLASSES, given_) == majority(targets)
    tags = [(who, {target, 0}) for who, target in given_]
    assert one_target(Form.TAGS, tags) == majority_of_each([set_ for _, set_ in tags])


# --- annotators ----------------------------------------------------------------------------------------


def test_annotators_are_judged_by_the_others():
    """Two who always contradict each other agree with no consensus: it is not made of their own answers."""
    answers = [Given(row, who, who) for row in range(20) for who in (0, 1)]
    found = agree_all(Form.CLASSES, answers, NAMES).annotators
    assert [found[who].consensus.value for who in (0, 1)] == [0, 0]
    assert found[0].truth is None


def test_quality_follows_the_skills_and_the_intervals_hold_them():
    skills = [0.95, 0.9, 0.6, 0.9]
    truth, answers = crowd(skills, tasks=500)
    known = [Given(row, None, int(true), ground_truth=True) for row, true in enumerate(truth[:200])]
    found = agree_all(Form.CLASSES, [*answers, *known], NAMES).annotators
    assert list(found) == [0, 1, 2, 3]
    assert min(found, key=lambda who: found[who].consensus.value) == 2
    for who, skill in enumerate(skills):
        score = found[who].truth
        assert score.low - 0.03 <= skill <= score.high + 0.03
        assert found[who].as_figures()["value"] == round(score.value, 5)
    assert json.loads(json.dumps(found[0].as_figures()))["consensus"]["n"] > 300


def test_ones_own_ground_truth_is_no_test_of_oneself():
    answers = [Given(row, 5, 1, ground_truth=True) for row in range(12)]
    assert agree_all(Form.CLASSES, answers, NAMES).annotators[5].truth is None


def test_seconds_are_the_median():
    answers = [Given(row, 1, 0, seconds=seconds) for row, seconds in enumerate([3.0, 4.0, 3600.0, None])]
    one = agree_all(Form.CLASSES, answers, NAMES).annotators[1]
    assert (one.answers, one.seconds, one.consensus) == (4, 4.0, None)


# --- alpha ---------------------------------------------------------------------------------------------


def test_alpha_is_krippendorffs():
    """His own example of nominal data (Krippendorff 2011, C): .743; and of interval data: .849."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[row[unit] for row in table if row[unit] is not None] for unit in range(12)]
    assert krippendorff(Form.CLASSES, units, 6).value == pytest.approx(0.743, abs=5e-4)
    assert krippendorff(Form.NUMBER, [[float(v) for v in unit] for unit in units], 0).value == pytest.approx(
        0.849, abs=5e-4
    )


@pytest.mark.parametrize("form", [Form.CLASSES, Form.TAGS, Form.SPANS, Form.NUMBER])
def test_alpha_is_one_for_the_same_and_near_nought_for_chance(form):
    rng = np.random.default_rng(0)
    make = {
        Form.CLASSES: lambda: int(rng.integers(4)),
        Form.TAGS: lambda: frozenset(np.flatnonzero(rng.random(4) < 0.5).tolist()),
        Form.SPANS: lambda: (Span(int(rng.integers(4)), 9, int(rng.integers(2))),),
        Form.NUMBER: lambda: float(rng.normal()),
    }[form]
    values = [make() for _ in range(300)]
    assert krippendorff(form, [[value, value] for value in values], 4).value == 1
    by_chance = krippendorff(form, [[make(), make()] for _ in range(300)], 4)
    assert abs(by_chance.value) < 0.15
    assert by_chance.low <= by_chance.value <= by_chance.high


def test_alpha_needs_a_task_with_two_answers():
    assert krippendorff(Form.CLASSES, [[1], [2]], 4) is None
    assert krippendorff(Form.REGIONS, [[(), ()]], 4) is None
    assert krippendorff(Form.CLASSES, [[1, 1], [1, 1]], 4).value == 1
