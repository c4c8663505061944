"""Cluster-margin: the clusters of the slow twin, and turns over them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ArrayPool, BadInput, Probabilities
from strategies.cluster_margin import ClusterMargin, average_linkage, take_turns
from strategies.uncertainty import margin


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_linkage(points, clusters):
    """All pairs of clusters, all pairs of their rows, for each merge."""
    groups = [[row] for row in range(len(points))]
    while len(groups) > clusters:
        pairs = [(a, b) for a in range(len(groups)) for b in range(a)]
        apart = {
            (a, b): np.mean([np.linalg.norm(points[i] - points[j]) for i in groups[a] for j in groups[b]])
            for a, b in pairs
        }
        a, b = min(pairs, key=apart.__getitem__)
        groups[b] += groups.pop(a)
    return {frozenset(group) for group in groups}


def partition(home):
    return {frozenset(np.flatnonzero(home == c).tolist()) for c in np.unique(home)}


def slow_turns(home, k):
    groups = [[place for place, c in enumerate(home) if c == cluster] for cluster in set(home)]
    groups.sort(key=lambda group: (len(group), group[0]))
    turns = []
    while any(groups):
        turns += [group.pop(0) for group in groups if group]
    return turns[:k]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 18), st.integers(1, 6))
def test_the_clusters_are_those_of_the_slow_twin(seed, n, clusters):
    """Average linkage, cut where so many clusters are left."""
    points = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    assert partition(average_linkage(points, clusters)) == slow_linkage(points.astype(np.float64), clusters)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(0, 30))
def test_the_turns_are_those_of_the_slow_twin(home, k):
    """One of each cluster, the smallest first, then again."""
    assert take_turns(np.array(home), k).tolist() == slow_turns(home, k)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_ranking_is_that_of_the_slow_twin(seed):
    """Clusters of the whole pool, the shortlist by uncertainty, turns over the clusters in it."""
    rng = np.random.default_rng(seed)
    rows = unit(rng.normal(size=(24, 4)))
    weights = rng.normal(size=(4, 3)).astype(np.float32)

    def model(embeddings):
        odds = np.exp(embeddings @ weights)
        return Probabilities((odds / odds.sum(axis=1, keepdims=True))[None])

    pool = ArrayPool(rows, np.arange(24) < 4, model)
    ranking = ClusterMargin(shortlist=3, cluster_size=6)(pool, pool.candidates, 4, rng)
    score = margin(model(rows))
    short = sorted(range(4, 24), key=lambda row: -score[row])[:12]
    groups = list(slow_linkage(rows.astype(np.float64), 4))
    home = [next(c for c, group in enumerate(groups) if row in group) for row in short]
    assert ranking.positions.tolist() == [short[turn] for turn in slow_turns(home, 4)]


def test_rows_that_were_not_clustered_join_their_nearest(monkeypatch):
    """A pool beyond the sample still takes turns over its groups."""
    monkeypatch.setattr("strategies.cluster_margin.SAMPLE", 60)
    rng = np.random.default_rng(0)
    home = rng.integers(0, 3, 400)
    rows = unit(np.eye(8)[home] + 0.05 * rng.normal(size=(400, 8)))

    def model(embeddings):
        return Probabilities(np.full((1, len(embeddings), 2), 0.5, np.float32))

    pool = ArrayPool(rows, np.zeros(400, dtype=bool), model)
    ranking = ClusterMargin(cluster_size=20, shortlist=100)(pool, pool.candidates, 3, rng)
    assert sorted(home[ranking.positions]) == [0, 1, 2]


@pytest.mark.parametrize("field", ["shortlist", "cluster_size"])
def test_settings_out_of_range_are_refused(field):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is 0"):
        ClusterMargin(**{field: 0})
