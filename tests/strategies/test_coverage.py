"""Greedy coverage: the same picks as the slow twin; what the strategies cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from strategies import ArrayPool, BadInput, Coverage, FacilityLocation, Probabilities, greedy_coverage
from strategies.coverage import gaussian


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_twin(similarity, k, weights, covered):
    """Every gain of every candidate, again for each pick."""
    cover, picks, gains = np.array(covered, np.float64), [], []
    for _ in range(k):
        gain = [
            -1.0
            if j in picks
            else sum(w * max(s - c, 0) for s, c, w in zip(row, cover, weights, strict=True))
            for j, row in enumerate(similarity.astype(np.float64))
        ]
        best = next(j for j, value in enumerate(gain) if value >= max(gain) * (1 - 1e-6) and j not in picks)
        picks.append(best)
        gains.append(gain[best])
        cover = np.maximum(cover, similarity[best])
    return picks, gains


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 40),
    r=st.integers(1, 25),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    coarse=st.booleans(),
)
def test_the_picks_are_those_of_the_slow_twin(seed, m, r, share, coarse):
    """Dense and sparse, weighted, partly covered, with ties and with candidates that add nothing."""
    rng = np.random.default_rng(seed)
    similarity = rng.random((m, r)).astype(np.float32) * (rng.random((m, r)) < share)
    if coarse:
        similarity = np.round(similarity * 4) / 4
    weights = rng.random(r) * (rng.random(r) < 0.8)
    covered = (rng.random(r) * 0.3).astype(np.float32)
    k = int(rng.integers(0, m + 1))
    picks, gains = slow_twin(similarity, k, weights, covered)
    for form in (similarity, sparse.csr_array(similarity), sparse.coo_matrix(similarity)):
        positions, worth = greedy_coverage(form, k, weights=weights, covered=covered)
        assert positions.tolist() == picks
        np.testing.assert_allclose(worth, gains, rtol=1e-5, atol=1e-12)


def test_lazy_evaluation_is_exact_beyond_one_batch():
    """Hundreds of candidates, so that only some gains are measured again."""
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(6, 8))[rng.integers(0, 6, 700)] + 0.4 * rng.normal(size=(700, 8)))
    similarity, weights = gaussian(rows, rows[:300], 0.5), rng.random(300)
    cover, picks = np.zeros(300), []
    for _ in range(60):
        gain = np.maximum(similarity.astype(np.float64) - cover, 0) @ weights
        gain[picks] = -1
        picks.append(int(gain.argmax()))
        cover = np.maximum(cover, similarity[picks[-1]])
    assert greedy_coverage(similarity, 60, weights=weights)[0].tolist() == picks


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_permuting_candidates_and_points_permutes_the_picks(seed):
    """Greedy coverage sees a set of candidates and a set of points; gains never rise."""
    rng = np.random.default_rng(seed)
    similarity, weights = rng.random((30, 20)), rng.random(20)
    picks, gains = greedy_coverage(similarity, 10, weights=weights)
    rows, columns = rng.permutation(30), rng.permutation(20)
    permuted, again = greedy_coverage(similarity[rows][:, columns], 10, weights=weights[columns])
    assert rows[permuted].tolist() == picks.tolist()
    np.testing.assert_allclose(again, gains, rtol=1e-6)
    assert (np.diff(gains) <= 1e-6).all()


def test_the_arguments_are_left_as_they_were():
    """Neither what is covered nor a sparse matrix with entries in two parts, which count as their sum."""
    parts = sparse.csr_array((np.full(4, 0.25), np.array([0, 0, 1, 1]), np.array([0, 2, 4])), shape=(2, 2))
    covered = np.array([0.4, 0.1])
    positions, gains = greedy_coverage(parts, 2, covered=covered)
    assert positions.tolist() == [1, 0]
    np.testing.assert_allclose(gains, [0.4, 0.1], rtol=1e-6)
    assert parts.nnz == 4
    assert covered.tolist() == [0.4, 0.1]


@pytest.mark.parametrize(
    ("similarity", "options", "message"),
    [
        (np.array([[0.5, np.nan]]), {}, "similarity holds NaN"),
        (np.array([[0.5, np.inf]]), {}, "similarity holds NaN, infinity"),
        (np.array([[0.5, -0.1]]), {}, "negative"),
        (sparse.csr_array(np.array([[0.5, -0.1]])), {}, "negative"),
        (np.ones(3), {}, r"similarity is float64 \(3,\)"),
        (np.array([["a"]]), {}, "expected numbers"),
        (np.ones((2, 3)), {"k": 3}, "k is 3"),
        (np.ones((2, 3)), {"weights": [1, 1]}, r"weights has shape \(2,\)"),
        (np.ones((2, 3)), {"weights": [1, 1, -1]}, r"weights\[2\] is -1"),
        (np.ones((2, 3)), {"covered": [1, 1, np.nan]}, r"covered\[2\] is nan"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(similarity, options, message):
    """The error names the argument, its value and what was expected."""
    with pytest.raises(BadInput, match=message):
        greedy_coverage(similarity, options.pop("k", 1), **options)


def by_row(rows, unsure):
    """A pool whose model is `unsure` (n,) of each row: it knows the rows by heart."""
    known = {row.tobytes(): share for row, share in zip(rows, unsure, strict=True)}

    def model(embeddings):
        lead = 1 - np.array([known[row.tobytes()] for row in embeddings], np.float32)
        return Probabilities(np.stack([(1 + lead) / 2, (1 - lead) / 2], axis=1)[None])

    return ArrayPool(rows, np.zeros(len(rows), dtype=bool), model)


def groups(sizes, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    home = np.repeat(np.arange(len(sizes)), sizes)
    return unit(np.eye(12)[home] + spread * rng.normal(size=(len(home), 12))), home


def rank(strategy, pool, k):
    return strategy(pool, pool.candidates, k, np.random.default_rng(0))


def test_the_strategy_is_greedy_coverage_of_the_candidates():
    """Weights are the uncertainty, the labelled rows cover, similarity is Gaussian in the distance."""
    rng = np.random.default_rng(3)
    rows, unsure = unit(rng.normal(size=(60, 6))), rng.uniform(0.05, 1, 60)
    pool = by_row(rows, unsure).label(range(8))
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    alike = np.exp(-(apart**2) / (2 * 0.7**2))
    for kind, weights in (
        (Coverage, unsure[8:]),
        (FacilityLocation, np.ones(52)),
    ):
        picks, gains = slow_twin(alike[8:, 8:], 9, weights, alike[:8, 8:].max(axis=0))
        ranking = rank(kind(radius=0.7), pool, 9)
        assert (ranking.positions - 8).tolist() == picks
        np.testing.assert_allclose(ranking.utility, gains, rtol=1e-3)


def test_groups_without_a_label_come_first_the_largest_before():
    """And a lone row, however unsure the model is of it, after those that stand for many."""
    rows, home = groups((40, 30, 20, 1))
    pool = by_row(rows, np.where(home == 3, 1, 0.5)).label([0])
    for strategy in (Coverage(), FacilityLocation()):
        first = home[rank(strategy, pool, 3).positions]
        assert first[:2].tolist() == [1, 2]
        assert 3 not in first


def test_what_the_model_is_sure_of_need_not_be_covered():
    """A large group that is settled gives way to a small one that is not; facility location does not look."""
    rows, home = groups((60, 10))
    pool = by_row(rows, np.where(home == 0, 0.01, 0.9))
    assert home[rank(Coverage(), pool, 1).positions].tolist() == [1]
    assert home[rank(FacilityLocation(), pool, 1).positions].tolist() == [0]


def test_a_sample_stands_for_a_large_pool():
    """Where both limits bind, each group is still found, and only the unsure are eligible."""
    rows, home = groups((300, 300, 300, 300))
    unsure = np.where(np.arange(1200) % 3, 0.9, 0.2)
    picks = rank(Coverage(reference=100, shortlist=200), by_row(rows, unsure), 4).positions
    assert set(home[picks]) <= {0, 1, 2, 3}
    assert (picks % 3 > 0).all()
    picks = rank(FacilityLocation(reference=100, shortlist=200), by_row(rows, unsure), 4).positions
    assert sorted(home[picks]) == [0, 1, 2, 3]


@pytest.mark.parametrize("strategy", [Coverage, FacilityLocation])
@pytest.mark.parametrize(
    ("field", "value"), [("radius", 0.0), ("radius", np.nan), ("reference", 0), ("shortlist", 0)]
)
def test_settings_out_of_range_are_refused(strategy, field, value):
    """One clear error."""
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        strategy(**{field: value})
