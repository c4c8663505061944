"""The target `ngram`: any language, three forms, honest about itself, one file without pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import ConfigError, EncoderError
from backend.labels.forms import Form, Targets, alike
from backend.models.ngram import FILE, NgramModel
from backend.models.ngram_fits import _held_out, learn, rated
from backend.models.sparse_features import Vocabulary
from backend.models.sparse_linear import fit_classes, fit_numbers, fit_tags
from backend.models.targets import answers_of, load_target, make_target, misfit
from strategies import checks
from strategies.types import BadInput, Gaussian, Prediction, Probabilities

WORDS = ("좋아요", "최고", "추천", "재미", "감동", "별로", "지루", "실망", "최악", "노잼")
"""Words of Korean film reviews: the first five praise, the others do not."""


def reviews(seed: int, n: int, words: int = 6) -> tuple[list[str], np.ndarray]:
    """Texts, and how many of their words praise: each glued to a particle, as Korean does."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 10, (n, words))
    drawn[rng.random(n) < 0.5] %= 5
    particles = ("은", "는", "이", "도", "!")
    texts = [" ".join(WORDS[w] + particles[int(rng.integers(5))] for w in row) for row in drawn]
    return texts, (drawn < 5).sum(axis=1)


def material(form: Form, seed: int, n: int = 300) -> tuple[list[str], Targets]:
    texts, praise = reviews(seed, n)
    if form is Form.NUMBER:
        return texts, praise + np.random.default_rng(seed).normal(size=n)
    if form is Form.TAGS:
        return texts, np.stack(
            [["감동" in t for t in texts], ["최악" in t for t in texts], [False] * n], axis=1
        )
    return texts, (praise >= 5).astype(np.int64)


LABELS = {Form.CLASSES: ("bad", "good", "unseen"), Form.TAGS: ("moving", "worst", "never"), Form.NUMBER: ()}


def silent(step: str, done: int, total: int | None) -> None:
    """Nobody watches."""


def fitted(form: Form, n: int = 300, **options: Any) -> NgramModel:
    model = NgramModel(LABELS[form], form=form, **options)
    model.fit(*material(form, 0, n), seed=0, progress=silent)
    return model


def parts(prediction: Prediction) -> list[np.ndarray]:
    return [value for value in vars(prediction).values() if value is not None]


@pytest.fixture(params=list(LABELS))
def form(request) -> Form:
    return request.param


@pytest.mark.parametrize("bar", [0.85])
def test_it_learns(form: Form, bar: float) -> None:
    """Right on fresh texts, in its form's own measure."""
    texts, truth = material(form, 1, 400)
    found = answers_of(fitted(form), texts)
    assert alike(form, truth, found.targets).mean() > bar
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("n", [0, 1, 30])
def test_its_predictions_are_those_of_its_form(form: Form, n: int) -> None:
    """As strategies take them; labels that never occurred get next to nothing."""
    model = fitted(form)
    found = model.predict(material(form, 1)[0][:n])
    checks.prediction(found, n)
    assert len(found) == n
    if form is not Form.NUMBER:
        assert (parts(found)[0][..., 2] < 0.01).all()
    answers = model.decide(material(form, 1)[0][:n], found)
    assert len(answers.targets) == len(answers.scores) == n


def test_a_saved_model_is_one_file_without_pickle_and_answers_alike(form: Form, tmp_path: Path) -> None:
    """Labels and form are in it."""
    model = fitted(form)
    model.save(tmp_path / "kept")
    assert [each.name for each in (tmp_path / "kept").iterdir()] == [FILE]
    with np.load(tmp_path / "kept" / FILE, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file)
    again = load_target("ngram", tmp_path / "kept")
    assert (again.labels, again.form) == (model.labels, form)
    texts = [*material(form, 1)[0], "", "нет таких слов", "\ud800 🙂"]
    for one, other in zip(parts(model.predict(texts)), parts(again.predict(texts)), strict=True):
        np.testing.assert_array_equal(one, other)
    one, other = answers_of(model, texts), answers_of(again, texts)
    np.testing.assert_array_equal(one.targets, other.targets)
    np.testing.assert_array_equal(one.scores, other.scores)


def test_the_same_seed_gives_the_same_model_and_a_fit_forgets(form: Form) -> None:
    texts, targets = material(form, 0)
    model = NgramModel(LABELS[form], form=form)
    model.fit(texts[::-1], targets, seed=1, progress=silent)
    model.fit(texts, targets, seed=0, progress=silent)
    for one, other in zip(parts(model.predict(texts)), parts(fitted(form).predict(texts)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_progress_raises_ends_the_fit_and_leaves_the_model(form: Form) -> None:
    """Stopped between two steps, it answers as before."""
    model = fitted(form)
    texts, targets = material(form, 0)
    before = parts(model.predict(texts))
    seen: list[str] = []

    def stop(step: str, done: int, total: int | None) -> None:
        seen.append(step)
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(texts[::-1], targets, seed=1, progress=stop)
    assert set(seen) == {"read n-grams", "fit"}
    for one, other in zip(before, parts(model.predict(texts)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_texts_without_a_known_ngram_get_what_is_usual() -> None:
    """Nothing known: the mean of the numbers, the share of the classes."""
    number = fitted(Form.NUMBER).predict(["", "xyz"])
    assert isinstance(number, Gaussian)
    np.testing.assert_allclose(number.mean, material(Form.NUMBER, 0)[1].mean(), atol=1.0)
    classes = fitted(Form.CLASSES).predict(["", "xyz"])
    assert isinstance(classes, Probabilities)
    np.testing.assert_array_equal(classes.values[0, 0], classes.values[0, 1])


def test_nine_in_ten_numbers_lie_within_the_interval() -> None:
    """On fresh texts: 86 to 94 %."""
    model = fitted(Form.NUMBER, 1200)
    texts, truth = material(Form.NUMBER, 1, 3000)
    found = model.predict(texts)
    assert isinstance(found, Gaussian)
    assert 0.86 <= (np.abs(truth - found.mean) <= 1.645 * found.sd).mean() <= 0.94


def test_ratings_are_learned_level_by_level() -> None:
    """Stars that are nearly all 1 or 10: better ordered than by least squares, within the levels, honest."""
    texts, praise = reviews(0, 900)
    stars = np.where(praise + np.random.default_rng(0).normal(size=900) > 4, 10.0, 1.0)
    stars[::7] = 5
    model = NgramModel((), form=Form.NUMBER)
    model.fit(texts, stars, seed=0, progress=silent)
    found = model.predict(texts)
    assert isinstance(found, Gaussian)
    assert (found.mean.min() >= 1, found.mean.max() <= 10) == (True, True)
    assert np.corrcoef(found.mean, praise)[0, 1] > 0.85
    assert 0.86 <= (np.abs(stars - found.mean) <= 1.645 * found.sd).mean() <= 0.99


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.integers(2, 6))
def test_the_mean_and_spread_of_a_rating_are_those_of_its_distribution(seed: int, levels: int) -> None:
    """Twin: the probability of each level by hand."""
    rng = np.random.default_rng(seed)
    values = np.sort(rng.choice(50, levels, replace=False)).astype(np.float32)
    chance = rng.dirichlet(np.ones(levels))
    above = np.clip(1 - np.cumsum(chance)[:-1], 1e-6, 1 - 1e-6)
    mean, sd = rated(np.log(above / (1 - above))[None].astype(np.float32), values)
    expected = float(chance @ values)
    assert mean[0] == pytest.approx(expected, abs=1e-2)
    assert sd[0] == pytest.approx(np.sqrt(chance @ (values - expected) ** 2), abs=2e-2)


def test_the_vocabulary_is_the_encoders_and_weighs_like_the_slow_twin() -> None:
    """Twin: dictionaries of strings. N-grams of two to four characters within words, and words."""
    texts = ["ab ab c", "ab", "d ab"]
    grams = []
    for text in texts:
        counts: dict[str, int] = {}
        padded = f" {text} "
        spans = [padded[i : i + k] for k in (2, 3, 4) for i in range(len(padded) - k + 1)]
        for gram in [s for s in spans if " " not in s[1:-1] and s != "  "] + [f"w:{w}" for w in text.split()]:
            counts[gram] = counts.get(gram, 0) + 1
        grams.append(counts)
    names = sorted({gram for counts in grams for gram in counts})
    rarity = {g: np.log(4 / (1 + sum(g in counts for counts in grams))) + 1 for g in names}
    slow = np.array([[(1 + np.log(c[g])) * rarity[g] if g in c else 0 for g in names] for c in grams])
    slow /= np.linalg.norm(slow, axis=1, keepdims=True)
    vocabulary = Vocabulary.of(texts, most=1000, max_characters=100)
    rows = vocabulary.rows(texts).toarray()
    assert rows.shape == slow.shape
    np.testing.assert_allclose(rows @ rows.T, slow @ slow.T, atol=1e-6)


def test_the_vocabulary_keeps_the_most_frequent_and_drops_what_occurs_once() -> None:
    texts = [f"same {i}x{i}" for i in range(300)]
    everything = Vocabulary.of(texts, most=100_000, max_characters=100)
    assert everything.rows(["same"]).nnz == everything.rows(["same zzz"]).nnz > 0
    few = Vocabulary.of(texts, most=5, max_characters=100)
    assert len(few) == 5
    assert set(few.hashes) <= set(everything.hashes)
    assert Vocabulary.of(["", " "], most=5, max_characters=9).rows(["a", ""]).shape == (2, 1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), strength=st.sampled_from([1.0, 30.0]))
def test_the_solvers_find_what_scikit_learn_finds(seed: int, strength: float) -> None:
    """Twins: LogisticRegression and Ridge on the dense rows."""
    from sklearn.linear_model import LogisticRegression, Ridge

    texts, praise = reviews(seed, 60)
    rows = Vocabulary.of(texts, most=1000, max_characters=100).rows(texts)
    targets = np.searchsorted([3, 5], praise, side="right")
    targets[:3] = 0, 1, 2
    ours = fit_classes(rows, targets, 3, strength=strength, watch=lambda: None)
    twin = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(rows.toarray(), targets)
    odds = np.exp(ours.outputs(rows))
    np.testing.assert_allclose(
        odds / odds.sum(axis=1, keepdims=True), twin.predict_proba(rows.toarray()), atol=0.02
    )
    tags = fit_tags(rows, (targets == 1)[:, None], strength=strength, watch=lambda: None)
    twin = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(rows.toarray(), targets == 1)
    np.testing.assert_allclose(tags.outputs(rows)[:, 0], twin.decision_function(rows.toarray()), atol=0.1)
    numbers = fit_numbers(rows, praise.astype(float), penalty=1 / strength, watch=lambda: None)
    ridge = Ridge(alpha=1 / strength).fit(rows.toarray(), praise)
    np.testing.assert_allclose(numbers.outputs(rows)[:, 0], ridge.predict(rows.toarray()), atol=0.02)


def test_held_out_rows_are_judged_by_a_fit_that_has_not_seen_them() -> None:
    """Twin: a fit on the kept rows by hand."""
    texts, praise = reviews(0, 40)
    rows = Vocabulary.of(texts, most=1000, max_characters=100).rows(texts)
    folds, numbers = np.arange(40) % 3, praise.astype(float)

    def fit(some: Any, answers: Any, penalty: float) -> Any:
        return fit_numbers(some, answers, penalty=penalty, watch=lambda: None)

    found = _held_out(fit, rows, numbers, folds, 2.0, 1)
    for fold in range(3):
        twin = fit(rows[np.flatnonzero(folds != fold)], numbers[folds != fold], 2.0)
        np.testing.assert_array_equal(found[folds == fold], twin.outputs(rows[np.flatnonzero(folds == fold)]))


def test_few_rows_are_learned_too(form: Form) -> None:
    """Ten texts: nothing is held out of classes and tags; no crash, no promise."""
    texts, targets = material(form, 3, 12)
    rows = Vocabulary.of(texts, most=1000, max_characters=100).rows(texts)
    learned = learn(form, rows, targets, seed=0, progress=silent)
    assert np.isfinite(learned.linear.weights).all()


def test_it_is_found_by_name_for_its_forms_alone() -> None:
    for each in LABELS:
        assert make_target("ngram", {}, labels=LABELS[each], form=each).form is each
    assert "does not learn spans" in str(misfit("ngram", Form.SPANS))
    assert misfit("ngram", Form.CLASSES, "image") is not None
    with pytest.raises(ConfigError, match="does not learn spans"):
        NgramModel((), form=Form.SPANS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 10}, "features is 10; expected a whole number from 1000"),
        ({"features": True}, "features is True"),
        ({"max_characters": 0}, "max_characters is 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NgramModel(("a", "b"), **options)


@pytest.mark.parametrize(
    ("form_", "targets", "message"),
    [
        (Form.CLASSES, np.zeros(300, np.int64), "too few or all alike"),
        (Form.CLASSES, np.arange(300) % 4, r"targets lie in \[0, 3\]; expected \[0, 2\]"),
        (Form.CLASSES, np.arange(299) % 2, r"300 inputs and targets \(299,\); expected targets \(300,\)"),
        (Form.TAGS, np.zeros((300, 3), bool), "too few or all alike"),
        (Form.TAGS, np.zeros((300, 2), bool), r"expected targets \(300, 3\)"),
        (Form.NUMBER, np.full(300, np.nan), "not finite"),
    ],
)
def test_targets_that_do_not_fit_are_refused(form_: Form, targets: Targets, message: str) -> None:
    model = NgramModel(LABELS[form_], form=form_)
    with pytest.raises(BadInput, match=message):
        model.fit(material(form_, 0)[0], targets, seed=0, progress=silent)


def test_asking_before_a_fit_or_reading_a_torn_file_is_one_clear_error(tmp_path: Path) -> None:
    model = NgramModel(("a", "b"))
    with pytest.raises(BadInput, match="before it was fitted"):
        model.predict(["a"])
    with pytest.raises(BadInput, match="before it was fitted"):
        model.save(tmp_path)
    with pytest.raises(EncoderError, match="cannot load the ngram head"):
        NgramModel.load(tmp_path)
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(EncoderError, match="cannot load the ngram head"):
        NgramModel.load(tmp_path)
