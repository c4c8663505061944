"""The chain against sums over all sequences; tags and spans; what the head for spans learns and keeps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import ConfigError, EncoderError
from backend.encoders.tokens import Tokens
from backend.labels.forms import Form, Span, gather
from backend.models import answers, make
from backend.models.chain import Batch, forward_backward, likeliest
from backend.models.span_features import Window
from backend.models.span_field import _Problem, gathered, spread
from backend.models.span_tags import allowed, count, spans_of, tags_of
from backend.models.spans import SpansHead
from strategies.types import BadInput
from strategies.uncertainty import entropy, least_confidence, margin, mnlp

SEEDS = st.integers(0, 2**32 - 1)


def chain(seed, labels=1, lengths=(3, 0, 1, 2)):
    rng = np.random.default_rng(seed)
    tags = count(labels)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    moves, begin = allowed(labels)
    scores = rng.normal(0, 2, (starts[-1], tags)).astype(np.float32)
    moves = moves + rng.normal(0, 2, moves.shape).astype(np.float32)
    return scores, moves, begin + rng.normal(0, 2, tags).astype(np.float32), Batch(starts)


def sequences(scores, moves, begin, low, high):
    """Every sequence of tags of the tokens low to high, and its score."""
    for tags in itertools.product(range(scores.shape[1]), repeat=high - low):
        total = float(begin[tags[0]]) + sum(float(scores[low + at, tag]) for at, tag in enumerate(tags))
        yield tags, total + sum(float(moves[pair]) for pair in itertools.pairwise(tags))


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_forward_backward_is_the_sum_over_all_sequences(seed):
    """Partition function, marginals, expected moves and beginnings; strays (I after O) get no probability."""
    scores, moves, begin, batch = chain(seed)
    passed = forward_backward(scores, moves, begin, batch, with_pairs=True)
    log_z, marginals = 0.0, np.zeros_like(scores, dtype=np.float64)
    pairs, first = np.zeros(moves.shape), np.zeros(len(begin))
    for low, high in itertools.pairwise(batch.starts.tolist()):
        if low == high:
            continue
        found = list(sequences(scores, moves, begin, low, high))
        logs = np.array([total for _, total in found])
        whole = np.logaddexp.reduce(logs)
        log_z += whole
        for (tags, _), weight in zip(found, np.exp(logs - whole), strict=True):
            first[tags[0]] += weight
            for at, tag in enumerate(tags):
                marginals[low + at, tag] += weight
            for pair in itertools.pairwise(tags):
                pairs[pair] += weight
    assert passed.log_z == pytest.approx(log_z, rel=1e-4, abs=1e-3)
    np.testing.assert_allclose(passed.marginals, marginals, atol=1e-4)
    np.testing.assert_allclose(passed.pairs, pairs, atol=1e-3)
    np.testing.assert_allclose(passed.first, first, atol=1e-3)


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_the_likeliest_tags_are_the_best_of_all_sequences(seed):
    scores, moves, begin, batch = chain(seed, labels=2, lengths=(2, 0, 3))
    found = likeliest(scores, moves, begin, batch)
    for low, high in itertools.pairwise(batch.starts.tolist()):
        if low < high:
            best, _ = max(sequences(scores, moves, begin, low, high), key=lambda each: each[1])
            assert found[low:high].tolist() == list(best)


def test_a_chain_of_thousands_of_tokens_stays_finite():
    scores, moves, begin, batch = chain(0, labels=3, lengths=(5000, 2))
    passed = forward_backward(scores * 20, moves, begin, batch)
    assert np.isfinite(passed.log_z)
    np.testing.assert_allclose(passed.marginals.sum(axis=1), 1, atol=1e-3)


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_the_gradient_is_that_of_small_steps(seed):
    """Along a random direction, in every kind of parameter at once."""
    rng = np.random.default_rng(seed)
    batch = Batch(np.array([0, 4, 4, 9], np.int64))
    tags = np.array([0, 1, 2, 0, 3, 4, 1, 0, 0])
    problem = _Problem(rng.normal(0, 1, (9, 5)).astype(np.float32), tags, batch, 2, 3.0)
    at = rng.normal(0, 1, len(problem.scale))
    way = rng.normal(0, 1, len(at))
    way /= np.linalg.norm(way)
    value = {step: problem.loss(at + step * way)[0] for step in (-1e-2, 1e-2)}
    slope = (value[1e-2] - value[-1e-2]) / 2e-2
    assert problem.loss(at)[1] @ way == pytest.approx(slope, rel=0.02, abs=0.02)


@given(SEEDS)
@settings(deadline=None)
def test_what_tags_share_is_spread_and_gathered_by_transposes(seed):
    rng = np.random.default_rng(seed)
    shared, scores = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(3, 7)).astype(np.float32)
    assert (spread(shared) * scores).sum() == pytest.approx((shared * gathered(scores)).sum(), abs=1e-3)


def made(offsets_of_texts):
    starts = np.concatenate([[0], np.cumsum([len(each) for each in offsets_of_texts])]).astype(np.int64)
    offsets = np.array([pair for each in offsets_of_texts for pair in each], np.int64).reshape(-1, 2)
    return Tokens(np.zeros((len(offsets), 2), np.float32), starts, offsets)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_features_times_weights_need_no_features(seed):
    """The same as making them, word by word; a text's ends see zeros beside them."""
    rng = np.random.default_rng(seed)
    lengths = np.append(rng.integers(0, 4, 6), 2)
    values = rng.normal(size=(lengths.sum(), 5)).astype(np.float32)
    tokens = Tokens(values, np.append(0, np.cumsum(lengths)), np.zeros((len(values), 2), np.int64))
    window = Window.of(tokens)
    weights = rng.normal(size=(len(window.shift), 3)).astype(np.float32)
    texts = [values[low:high] - window.center for low, high in itertools.pairwise(tokens.starts)]
    rows = []
    for words in texts:
        padded = [np.zeros(window.gist.shape[1]), *(words @ window.gist), np.zeros(window.gist.shape[1])]
        topic = np.sum(words, axis=0) / max(len(words), 1) @ window.topic
        rows += [np.concatenate([word, padded[at], padded[at + 2], topic]) for at, word in enumerate(words)]
    features = (np.array(rows) - window.shift) @ window.axes
    np.testing.assert_allclose(window(tokens), features, atol=1e-4)
    np.testing.assert_allclose(window.times(tokens, weights), features @ weights, atol=1e-3)


@given(st.data())
@settings(deadline=None)
def test_spans_at_words_edges_become_tags_and_come_back(data):
    texts, truth = [], []
    for _ in range(data.draw(st.integers(1, 4))):
        words = [[at, at + 1] for at in range(data.draw(st.integers(0, 8)))]
        cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=6))) if words else []
        chosen = [pair for pair in itertools.pairwise(cuts) if data.draw(st.booleans())]
        texts.append(words)
        truth.append(tuple(Span(a, b, data.draw(st.integers(0, 2))) for a, b in chosen))
    tokens, targets = made(texts), gather(Form.SPANS, truth, 3)
    tags = tags_of(targets, tokens)
    moves, begin = allowed(3)
    for low, high in itertools.pairwise(tokens.starts.tolist()):
        steps = (
            [begin[tags[low]], *(moves[pair] for pair in itertools.pairwise(tags[low:high]))]
            if low < high
            else []
        )
        assert all(step == 0 for step in steps)
    sure = np.eye(count(3), dtype=np.float32)[tags]
    found = spans_of(tags, tokens, sure)
    assert [tuple((s.start, s.end, s.label) for s in spans) for spans in found] == [
        tuple((s.start, s.end, s.label) for s in spans) for spans in truth
    ]
    assert all(span.score == pytest.approx(1) for spans in found for span in spans)


def test_a_word_belongs_to_the_longest_span_that_touches_it():
    """A span that ends within a word takes all of it; what is left of a shorter one begins anew."""
    tokens = made([[[0, 4], [5, 9], [10, 14]]])
    assert tags_of(gather(Form.SPANS, [(Span(2, 7, 0),)], 2), tokens).tolist() == [1, 2, 0]
    longer = gather(Form.SPANS, [(Span(0, 7, 0), Span(6, 14, 1))], 2)
    assert tags_of(longer, tokens).tolist() == [1, 3, 4]
    equal = gather(Form.SPANS, [(Span(0, 8, 0), Span(6, 14, 1))], 2)
    assert tags_of(equal, tokens).tolist() == [1, 2, 3]


def task(n, seed=0, *, noise=0.6):
    """Texts of six words; a word near the first axis is a city, two near the second are one name."""
    rng = np.random.default_rng(seed)
    values, truth = rng.normal(0, noise, (n * 6, 8)).astype(np.float32), []
    for text in range(n):
        kind, at = rng.integers(3), int(rng.integers(4))
        spans = ()
        if kind == 1:
            values[text * 6 + at, 0] += 2
            spans = (Span(10 * at, 10 * at + 4, 0),)
        if kind == 2:
            values[text * 6 + at : text * 6 + at + 2, 1] += 2
            spans = (Span(10 * at, 10 * at + 14, 1),)
        truth.append(spans)
    offsets = np.tile([[10 * at, 10 * at + 4] for at in range(6)], (n, 1)).astype(np.int64)
    return Tokens(values, np.arange(0, 6 * n + 1, 6), offsets), gather(Form.SPANS, truth, 2)


def places(found):
    return [tuple((span.start, span.end, span.label) for span in spans) for spans in found]


def test_it_learns_spans_and_says_how_sure_it_is():
    """Right on most new texts; calibrated, so that its scores are about as often right as they say."""
    tokens, truth = task(200)
    head = make("linear", {}, classes=2, form=Form.SPANS)
    head.fit(tokens, truth, seed=0)
    fresh_tokens, fresh_truth = task(300, seed=1)
    decided = answers(head, fresh_tokens)
    right = np.array([a == b for a, b in zip(places(decided.targets), places(fresh_truth), strict=True)])
    assert 0.6 < right.mean() < 1
    assert decided.scores.shape == (300,)
    assert decided.scores[right].mean() > decided.scores[~right].mean()
    marginals = head.predict(fresh_tokens).values
    tags = tags_of(fresh_truth, fresh_tokens)
    assert abs(marginals.max(axis=1).mean() - (marginals.argmax(axis=1) == tags).mean()) < 0.03
    for uncertainty in (mnlp, margin, entropy, least_confidence):
        assert (
            uncertainty(head.predict(fresh_tokens))[~right].mean()
            > uncertainty(head.predict(fresh_tokens))[right].mean()
        )


def test_the_same_seed_learns_the_same_and_what_is_saved_predicts_the_same(tmp_path):
    tokens, truth = task(60)
    heads = [SpansHead(2), SpansHead(2)]
    for head in heads:
        head.fit(tokens, truth, seed=3)
    heads[0].save(tmp_path)
    heads.append(SpansHead.load(tmp_path))
    first, *others = (head.predict(tokens).values for head in heads)
    for other in others:
        np.testing.assert_array_equal(first, other)
    assert heads[2].temperature == heads[0].temperature
    bare = heads[0].fresh()
    bare.fit(tokens, truth, seed=3)
    assert bare.temperature == 1.0


def test_texts_do_not_depend_on_those_beside_them():
    tokens, truth = task(60)
    head = SpansHead(2)
    head.fit(tokens, truth, seed=0)
    order = np.random.default_rng(0).permutation(60)
    whole, turned = answers(head, tokens), answers(head, tokens.take(order))
    assert places(turned.targets) == [places(whole.targets)[row] for row in order]
    np.testing.assert_allclose(turned.scores, whole.scores[order], atol=1e-4)


def test_texts_without_words_have_no_spans():
    tokens, truth = task(30)
    head = SpansHead(2)
    head.fit(tokens, truth, seed=0)
    empty = Tokens(np.empty((0, 8), np.float32), np.zeros(3, np.int64), np.empty((0, 2), np.int64))
    decided = answers(head, empty)
    assert places(decided.targets) == [(), ()]
    assert decided.scores.tolist() == [1, 1]


def test_bad_input_is_named(tmp_path):
    tokens, truth = task(30)
    none = gather(Form.SPANS, [()] * 30, 2)
    head = SpansHead(2)
    assert head.can_fit(truth)
    assert not head.can_fit(none)
    for given_truth, says in (
        (none, "have no span"),
        (truth[:4], "as many"),
        (gather(Form.SPANS, [(Span(0, 4, 7),)] * 30, 2), r"labels lie in \[7, 7\]"),
        (gather(Form.SPANS, [(Span(90, 94, 0),)] * 30, 2), "no token lies in"),
    ):
        with pytest.raises(BadInput, match=says):
            head.fit(tokens, given_truth, seed=0)
    with pytest.raises(BadInput, match="before it was fitted"):
        head.predict(tokens)
    with pytest.raises(EncoderError, match="cannot load the linear head"):
        SpansHead.load(tmp_path)
    with pytest.raises(ConfigError, match="strength is -1"):
        make("linear", {"strength": -1}, classes=2, form=Form.SPANS)
    head.fit(tokens, truth, seed=0)
    with pytest.raises(BadInput, match=r"expected \(tokens, 8\)"):
        head.predict(Tokens(np.zeros((6, 9), np.float32), np.array([0, 6]), tokens.offsets[:6]))
