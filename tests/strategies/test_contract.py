"""What every registered strategy must do; a new file is found by itself."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import get_type_hints

import numpy as np
import pytest

from strategies import ArrayPool, BadInput, Probabilities, build
from strategies.registry import STRATEGIES, UNCERTAINTIES, Uncertainty, discover
from strategies.types import Gaussian, QueryStrategy, TagProbabilities

discover()

# these draw rows by place: another order of the pool is another draw
DRAWS = {"alfa_mix", "auto", "badge", "dropquery", "probcover", "random", "typicality"}


NEED_CLASSES = {"alfa_mix", "badge", "cal", "dropquery"}
NEED_MORE = {"energy": "evidence"}
SHAPES = ["top({})", "coverage({})", "uncertainty_k_center({})", "cluster_margin({})", "seals({})"]


def example(name):
    """The strategy with its defaults; what has none gets margin."""
    kind = STRATEGIES.get(name)
    hints = get_type_hints(kind)
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    known = {QueryStrategy: "margin", Uncertainty: "margin", int: "3", float: "1.0", str: "'a'"}
    return build(f"{name}({', '.join(f'{field}={known[hints[field]]}' for field in required)})")


def linear(width, classes, members=2):
    """A model whose probabilities are a fixed function of the embedding."""
    weights = np.random.default_rng(99).normal(size=(members, width, classes)).astype(np.float32)

    def model(embeddings):
        logits = np.einsum("nd,mdc->mnc", embeddings, weights) * 2
        odds = np.exp(logits - logits.max(axis=2, keepdims=True))
        return Probabilities(odds / odds.sum(axis=2, keepdims=True))

    return model


def pool_of(embeddings, labelled=(), classes=3):
    mask = np.zeros(len(embeddings), dtype=bool)
    mask[list(labelled)] = True
    return ArrayPool(np.asarray(embeddings, np.float32), mask, linear(np.shape(embeddings)[1], classes))


def clusters(n=160, width=8, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(6, width))[rng.integers(0, 6, n)] * 2 + rng.normal(size=(n, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def ask(strategy, pool, k, seed=0, candidates=None):
    """Rank, and hold the answer to the contract."""
    chosen = pool.candidates if candidates is None else np.asarray(candidates)
    ranking = strategy(pool, chosen, k, np.random.default_rng(seed))
    assert len(ranking) == min(k, len(chosen)) == len(ranking.utility) == len(ranking.reasons)
    assert ranking.positions.dtype == np.int64
    assert len(set(ranking.positions.tolist())) == len(ranking)
    assert set(ranking.positions.tolist()) <= set(chosen.tolist())
    assert not pool.labelled[ranking.positions].any()
    assert np.isfinite(ranking.utility).all()
    assert all(reason and "\n" not in reason for reason in ranking.reasons)
    return ranking


@pytest.fixture(params=list(STRATEGIES))
def name(request):
    return request.param


@pytest.fixture
def strategy(name):
    return example(name)


@pytest.mark.parametrize("k", [0, 1, 7, 150, 10_000])
def test_it_ranks_distinct_unlabelled_candidates(strategy, k):
    """min(k, m) of them, whatever k."""
    ask(strategy, pool_of(clusters(), labelled=range(0, 40, 3)), k)


def test_it_keeps_to_the_candidates(strategy):
    """Rows that are not candidates are never ranked."""
    ask(strategy, pool_of(clusters(), labelled=[0, 1]), 10, candidates=[5, 80, 31, 7, 150])


def test_the_order_of_the_candidates_does_not_matter(strategy):
    """Candidates are a set."""
    pool = pool_of(clusters(), labelled=[3, 50])
    backwards = ask(strategy, pool, 12, candidates=pool.candidates[::-1])
    np.testing.assert_array_equal(backwards.positions, ask(strategy, pool, 12).positions)


def test_a_mask_of_candidates_is_as_good_as_their_rows(strategy):
    """A large pool's candidates come as a mask, for what looks at few of them."""
    pool = pool_of(clusters(), labelled=[3, 50])
    mask = ~pool.labelled & (np.arange(160) % 3 > 0)
    by_mask = strategy(pool, mask, 12, np.random.default_rng(0))
    np.testing.assert_array_equal(
        by_mask.positions, ask(strategy, pool, 12, candidates=np.flatnonzero(mask)).positions
    )


def test_the_same_seed_gives_the_same_ranking(strategy):
    """Nothing but the generator is drawn from."""
    pool = pool_of(clusters(), labelled=[3, 50])
    first, second = ask(strategy, pool, 20, seed=5), ask(strategy, pool, 20, seed=5)
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_array_equal(first.utility, second.utility)


def test_permuting_the_pool_permutes_the_ranking(name, strategy):
    """A strategy sees rows, not their order; those that draw rows by place are exempt."""
    if name in DRAWS:
        pytest.skip("draws rows by place")
    rows, order = clusters(), np.random.default_rng(1).permutation(160)
    labelled = np.array([3, 50, 77])
    place = np.argsort(order)
    ranking = ask(strategy, pool_of(rows, labelled), 15)
    permuted = ask(strategy, pool_of(rows[order], place[labelled]), 15)
    np.testing.assert_array_equal(order[permuted.positions], ranking.positions)


def test_no_candidates_no_ranking(strategy):
    """All labelled: an empty answer."""
    assert len(ask(strategy, pool_of(clusters(20), labelled=range(20)), 5)) == 0


def test_nothing_labelled_yet(strategy):
    """The first round of a project."""
    ask(strategy, pool_of(clusters()), 20)


@pytest.mark.parametrize("labelled", [(), (0, 4)])
@pytest.mark.parametrize("row", [[0.0] * 8, [1.0] + [0.0] * 7])
def test_identical_rows_and_zero_vectors(strategy, row, labelled):
    """Nothing tells the rows apart: any of them, none twice."""
    ask(strategy, pool_of([row] * 30, labelled), 10)


def test_some_zero_vectors(strategy):
    """Empty inputs among others."""
    rows = clusters()
    rows[::5] = 0
    ask(strategy, pool_of(rows, labelled=[1, 5, 9]), 30)


def test_one_class_only(strategy):
    """A model that knows one class is never unsure; the ranking is still whole."""
    ask(strategy, pool_of(clusters(), labelled=[1, 5], classes=1), 10)


def test_a_pool_of_one_row(strategy):
    """The smallest project there is."""
    ask(strategy, pool_of(clusters(1)), 3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_refused(strategy, wrong):
    """One clear error, or the same answer from a strategy that does not look at them."""
    rows = clusters()
    model = linear(8, 3)
    answer = model(rows)
    spoilt = rows.copy()
    spoilt[[2, 100]] = wrong
    mask = np.zeros(len(rows), dtype=bool)
    mask[:2] = True

    def pool(embeddings):
        made = ArrayPool(embeddings, mask)
        object.__setattr__(made, "model", lambda asked: Probabilities(answer.values[:, : len(asked)]))
        return made

    expected = ask(strategy, pool(rows), 10)
    try:
        ranking = ask(strategy, pool(spoilt), 10)
    except BadInput as error:
        assert "NaN, infinity" in str(error)  # noqa: PT017 - either outcome is right, each is checked
    else:
        np.testing.assert_array_equal(ranking.positions, expected.positions)


@pytest.mark.parametrize("shape", [(160,), (160, 8, 2)])
def test_embeddings_of_a_wrong_shape_are_refused(strategy, shape):
    """One clear error, or the same answer from a strategy that does not look at them."""
    answer = linear(8, 3)(clusters())
    pool = pool_of(clusters(), labelled=[0, 1])
    object.__setattr__(pool, "model", lambda asked: Probabilities(answer.values[:, : len(asked)]))
    expected = ask(strategy, pool, 10)
    object.__setattr__(pool, "embeddings", np.ones(shape, np.float32))
    try:
        ranking = ask(strategy, pool, 10)
    except BadInput as error:
        assert "expected (n, d)" in str(error)  # noqa: PT017 - either outcome is right, each is checked
    else:
        np.testing.assert_array_equal(ranking.positions, expected.positions)


@pytest.mark.parametrize("labelled", [(), (0, 4)])
def test_fewer_different_rows_than_are_asked_for(strategy, labelled):
    """Three texts, each many times over: each task once all the same."""
    ask(strategy, pool_of(np.repeat(np.eye(8)[:3], 12, axis=0), labelled), 20)


@pytest.mark.parametrize("wrong", ["sum", "nan", "negative", "shape"])
def test_probabilities_that_are_none_are_refused(strategy, wrong):
    """One clear error, or no question to the model at all."""
    asked = []

    def model(embeddings):
        asked.append(len(embeddings))
        values = np.full((1, len(embeddings), 2), 0.5, np.float32)
        if wrong == "shape":
            return Probabilities(values[:, :-1])
        values[0, -1] = {"sum": [0.5, 0.6], "nan": [np.nan, 1], "negative": [-0.5, 1.5]}[wrong]
        return Probabilities(values)

    rows = clusters()
    mask = np.zeros(len(rows), dtype=bool)
    mask[:2] = True
    pool = ArrayPool(rows, mask, model)
    try:
        ask(strategy, pool, 10)
    except BadInput as error:
        assert "probabilities" in str(error)  # noqa: PT017 - either outcome is right, each is checked
    else:
        assert asked == []


@pytest.mark.parametrize(
    ("candidates", "k", "message"),
    [
        ([3, 4], -1, "k is -1"),
        ([3, 4], 2.5, "k is 2.5"),
        ([3, 160], 1, "candidate 160 is outside the pool"),
        ([-1], 1, "candidate -1 is outside"),
        ([3, 0], 1, "candidate 0 is labelled"),
        ([3, 3, 4], 1, "candidates hold 3 rows, 2 distinct"),
        ([0.5], 1, "candidates are float64"),
        ([[3]], 1, r"candidates are int64 \(1, 1\)"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(strategy, candidates, k, message):
    """The error names the argument, its value and what was expected."""
    with pytest.raises(BadInput, match=message):
        strategy(pool_of(clusters(), labelled=[0]), np.array(candidates), k, np.random.default_rng(0))


def test_its_description_builds_it_again(strategy):
    """`str` is the expression with every parameter spelled out."""
    assert build(str(strategy)) == strategy


# --- tags and numbers ------------------------------------------------------------------------------


def tags(rows):
    """Five tags, each a fixed function of the embedding, two of them rare."""
    weights = np.random.default_rng(99).normal(size=(rows.shape[1], 5)) * 4
    logits = rows @ weights - np.array([0, 1, 2, 5, 6])
    return TagProbabilities((1 / (1 + np.exp(-logits)))[None].astype(np.float32))


def numbers(rows):
    """A number that rises along one axis, and an error that rises along another."""
    return Gaussian(rows[:, 0] * 3, np.exp(rows[:, 1]).astype(np.float32))


def pool_by(model, labelled=range(0, 40, 3)):
    rows = clusters()
    mask = np.zeros(len(rows), bool)
    mask[list(labelled)] = True
    return ArrayPool(rows, mask, model)


@pytest.fixture(params=[tags, numbers], ids=["tags", "numbers"])
def model(request):
    return request.param


@pytest.mark.parametrize("k", [0, 1, 25, 1000])
def test_every_strategy_ranks_or_says_that_it_needs_classes(name, model, k):
    """Those whose very idea is a class say so; all others rank as they rank classes."""
    strategy, pool = example(name), pool_by(model)
    if name in NEED_CLASSES and k:
        with pytest.raises(BadInput, match=r"prediction is a \w+, expected Probabilities"):
            ask(strategy, pool, k)
    else:
        ask(strategy, pool, k)


def test_the_same_seed_gives_the_same_ranking_of_tags_and_numbers(name, model):
    """Nothing but the generator is drawn from, whatever the model answers."""
    if name in NEED_CLASSES:
        pytest.skip("needs classes")
    strategy, pool = example(name), pool_by(model)
    first, second = (ask(strategy, pool, 20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.positions, second.positions)


@pytest.mark.parametrize("uncertainty", list(UNCERTAINTIES))
@pytest.mark.parametrize(
    "shape", ["top({})", "coverage({})", "uncertainty_k_center({})", "cluster_margin({})", "seals({})"]
)
def test_every_uncertainty_fits_into_every_strategy_that_takes_one(uncertainty, shape, model):
    """Any pair of them, or one clear word of what the model does not give."""
    strategy, pool = build(shape.format(uncertainty)), pool_by(model)
    if uncertainty in NEED_MORE:
        with pytest.raises(BadInput, match=NEED_MORE[uncertainty]):
            ask(strategy, pool, 12)
    else:
        ask(strategy, pool, 12)


def test_numbers_that_are_all_as_sure_are_ranked_all_the_same():
    """No spread at all: coverage is what is left, and nothing is divided by zero."""
    pool = pool_by(lambda rows: Gaussian(np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)))
    for expression in ("auto", "margin", "uncertainty_k_center(margin)", "cluster_margin(margin)"):
        ask(build(expression), pool, 15)
