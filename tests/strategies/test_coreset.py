"""Core-sets: every method keeps k distinct rows; each against its slow twin; bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.coreset import CORESETS, LabelledSet, core_set, methods, proportional, quotas
from strategies.types import BadInput

DRAWN = {"random", "balanced_random", "stratified", "forgetting", "deduplicate"}
"""These draw rows by place (or break ties so): another order of the rows is another draw."""


def labelled(n=90, width=6, classes=3, epochs=4, seed=0):
    """Clusters with labels, and probabilities that grow towards the truth."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    targets[:classes] = np.arange(classes)
    rows = rng.normal(size=(classes, width))[targets] * 2 + rng.normal(size=(n, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    logits = (
        rng.normal(size=(epochs, n, classes)) + np.arange(epochs)[:, None, None] * np.eye(classes)[targets]
    )
    odds = np.exp(logits)
    dynamics = (odds / odds.sum(axis=2, keepdims=True)).astype(np.float32)
    return LabelledSet(rows.astype(np.float32), targets, dynamics)


def keep(data, k, method, seed=0):
    return core_set(data, k, method, np.random.default_rng(seed))


@pytest.fixture(params=methods())
def method(request):
    return request.param


@pytest.mark.parametrize("k", [0, 1, 2, 17, 89, 90])
def test_it_keeps_k_distinct_rows(method, k):
    """Exactly k, each once, whatever k."""
    kept = keep(labelled(), k, method)
    assert kept.dtype == np.int64
    assert len(kept) == k == len(set(kept.tolist()))
    assert set(kept.tolist()) <= set(range(90))


def test_the_same_seed_keeps_the_same_rows(method):
    """Nothing but the generator is drawn from."""
    np.testing.assert_array_equal(keep(labelled(), 20, method, seed=3), keep(labelled(), 20, method, seed=3))


def test_permuting_the_rows_permutes_the_core_set(method):
    """A method sees rows, not their order; those that draw rows by place are exempt."""
    if method in DRAWN:
        pytest.skip("draws rows by place")
    data, order = labelled(), np.random.default_rng(1).permutation(90)
    kept = keep(data, 25, method)
    np.testing.assert_array_equal(np.sort(order[keep(data.part(order), 25, method)]), np.sort(kept))


@pytest.mark.parametrize("row", [[0.0] * 4, [1.0, 0, 0, 0]])
def test_identical_rows_and_zero_vectors(method, row):
    """Nothing tells the rows apart: any of them, none twice."""
    dynamics = np.full((2, 20, 2), 0.5, np.float32)
    data = LabelledSet(np.array([row] * 20, np.float32), np.arange(20) % 2, dynamics)
    assert len(set(keep(data, 9, method).tolist())) == 9


def test_one_class_and_one_row(method):
    """The smallest sets there are."""
    data = labelled(classes=1, n=8)
    assert len(keep(data, 3, method)) == 3
    np.testing.assert_array_equal(keep(data.part(np.array([5])), 1, method), [0])


@pytest.mark.parametrize("k", [-1, 91, 2.5])
def test_a_size_that_makes_no_sense_is_refused(method, k):
    """The error names k and its limits."""
    with pytest.raises(BadInput, match="k is"):
        keep(labelled(), k, method)


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'herding'"):
        keep(labelled(), 3, "herdin")


def test_methods_of_dynamics_say_that_there_are_none():
    """The others do without."""
    bare = LabelledSet(labelled().features, labelled().targets)
    refused = set()
    for name in methods():
        try:
            keep(bare, 5, name)
        except BadInput as error:
            assert "needs dynamics" in str(error)  # noqa: PT017 - either outcome is right
            refused.add(name)
    assert refused == {"forgetting", "el2n", "entropy", "stratified", "hard_coverage"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.full((3, 2), np.nan)}, "features row 0 holds NaN"),
        ({"features": np.zeros(3)}, "features has shape"),
        ({"targets": np.array([0, 1])}, "targets are int64"),
        ({"targets": np.array([0.0, 1, 1])}, "targets are float64"),
        ({"targets": np.array([0, -1, 1])}, "targets hold -1"),
        ({"dynamics": np.full((1, 3, 2), 0.4)}, "sum to"),
        ({"dynamics": np.full((1, 2, 2), 0.5)}, "probabilities have shape"),
        ({"targets": np.array([0, 2, 1]), "dynamics": np.full((1, 3, 2), 0.5)}, "targets hold 2"),
    ],
)
def test_a_set_that_is_none_is_refused(change, message):
    """The error names the argument, its value and what was expected."""
    given = {"features": np.eye(3, 2), "targets": np.array([0, 1, 1]), **change}
    with pytest.raises(BadInput, match=message):
        LabelledSet(**given)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.data())
def test_quotas_are_as_even_as_the_classes_allow(sizes, data):
    """Twin: one row at a time to a class that has fewest and has any left; the same sizes, sorted."""
    k = data.draw(st.integers(0, sum(sizes)))
    slow = [0] * len(sizes)
    for _ in range(k):
        open_ = [place for place, size in enumerate(sizes) if slow[place] < size]
        slow[min(open_, key=lambda place: slow[place])] += 1
    found = quotas(sizes, k)
    assert sorted(found.tolist()) == sorted(slow)
    assert found.sum() == k
    assert (found <= sizes).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.data())
def test_proportional_shares_are_off_by_less_than_one(sizes, data):
    """Each class has its exact share, rounded up or down; together they are k."""
    k = data.draw(st.integers(0, sum(sizes)))
    found = proportional(sizes, k)
    assert found.sum() == k
    assert (np.abs(found - np.array(sizes) * k / max(1, sum(sizes))) < 1).all()
    assert (found <= sizes).all()


def test_balanced_methods_keep_as_many_of_each_class():
    """Every beginning of the order, too, is balanced to one row."""
    data = labelled(n=300)
    for name in ("balanced_random", "k_center", "facility_location", "herding"):
        kept = data.targets[keep(data, 60, name)]
        np.testing.assert_array_equal(np.bincount(kept), [20, 20, 20])
        assert np.ptp(np.bincount(kept[:30], minlength=3)) <= 1


def test_every_method_is_listed_by_its_name():
    assert set(methods()) == set(CORESETS)
