"""What every registered head must do; a new file is found by itself. And the ensemble's own rules."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import models
from backend.domain import ConfigError, EncoderError
from backend.encoders.tokens import Tokens
from backend.labels.forms import Form, Span, Targets, alike, blank
from backend.models import HEADS
from backend.models.ensemble import EnsembleHead, resampled
from backend.models.linear import LinearHead
from strategies import checks
from strategies.types import BadInput, Floats, Mask, Positions, Prediction, Probabilities
from strategies.uncertainty import bald, energy

CLASSES = 4
FORMS = [Form.CLASSES, Form.TAGS, Form.NUMBER, Form.SPANS]
"""Forms that are learned; regions are kept and shown."""


def blobs(seed: int, n: int = 90, classes: int = 3, noise: float = 0.5) -> tuple[Floats, Positions]:
    """Rows of unit length around one direction per class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % classes
    rows = np.eye(8)[targets] + noise * rng.normal(size=(n, 8))
    return unit(rows), targets


def unit(rows: np.ndarray) -> Floats:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def tagged(seed: int, n: int = 90, noise: float = 0.5) -> tuple[Floats, Mask]:
    """Rows that are the sum of a direction per tag; the last tag never occurs."""
    rng = np.random.default_rng(seed)
    targets = rng.random((n, CLASSES)) < (0.5, 0.3, 0.3, 0)
    return unit(targets @ np.eye(CLASSES, 8) + 0.5 * noise * rng.normal(size=(n, 8))), targets


def numbered(seed: int, n: int = 90, noise: float = 0.5) -> tuple[Floats, Floats]:
    """Numbers that rise along one direction."""
    rng = np.random.default_rng(seed)
    rows = unit(rng.normal(size=(n, 8)))
    return rows, 40 + 10 * (rows @ np.eye(8)[0] + 0.2 * noise * rng.normal(size=n))


def preferred(seed: int, n: int = 90, noise: float = 0.5) -> tuple[Floats, Positions]:
    """Differences, and which side lies farther along one direction."""
    rng = np.random.default_rng(seed)
    rows = unit(rng.normal(size=(n, 8)))
    return rows, (rows[:, 0] + 0.2 * noise * rng.normal(size=n) < 0).astype(np.int64)


def spanned(seed: int, n: int = 90, noise: float = 0.5) -> tuple[Tokens, Targets]:
    """Texts of six tokens of two characters and a space, an entity of two tokens in most of them."""
    rng = np.random.default_rng(seed)
    kinds, targets = np.zeros((n, 6), np.int64), np.empty(n, object)
    for text in range(n):
        label, first = int(rng.integers(3)), int(rng.integers(5))
        targets[text] = () if text % 5 == 0 else (Span(3 * first, 3 * first + 5, label),)
        if targets[text]:
            kinds[text, first : first + 2] = 2 * label + 1, 2 * label + 2
    values = unit(np.eye(8)[kinds.ravel()] + 0.3 * noise * rng.normal(size=(6 * n, 8)))
    begin = np.tile(np.arange(6) * 3, n)
    return Tokens(values, np.arange(n + 1) * 6, np.stack([begin, begin + 2], axis=1)), targets


@dataclass(frozen=True)
class Example:
    """What a head of some form can learn, and what it cannot.

    draw:   features and targets, by seed and number
    score:  the least that answers to fresh rows of little noise are alike to the truth
    alone:  targets that are too little to learn from
    wrong:  targets (n, ...) that do not fit the form
    """

    draw: Callable[..., tuple[Any, Targets]]
    classes: int
    score: float
    alone: Callable[[Targets], Targets]
    wrong: Sequence[Callable[[Targets], Targets]]


EXAMPLES = {
    Form.CLASSES: Example(
        blobs, CLASSES, 0.9, np.zeros_like, [lambda targets: targets + CLASSES, lambda targets: targets - 1]
    ),
    Form.TAGS: Example(
        tagged,
        CLASSES,
        0.9,
        np.zeros_like,
        [lambda targets: targets[:, :-1], lambda targets: targets.astype(np.int64)],
    ),
    Form.NUMBER: Example(
        numbered, 0, 0.9, np.ones_like, [lambda targets: targets[:, None], lambda targets: targets * np.nan]
    ),
    Form.SPANS: Example(spanned, CLASSES, 0.8, lambda targets: targets[:0], []),
}
PAIRS = Example(
    preferred, 2, 0.9, lambda targets: targets[:1], [lambda targets: targets + 2, lambda targets: targets - 1]
)


def example_of(form: Form, name: str) -> Example:
    return PAIRS if name == "preference" else EXAMPLES[form]


CASES = [(form, name) for form in FORMS for name in models.names(form)]


@pytest.fixture(params=CASES, ids=[f"{form}-{name}" for form, name in CASES])
def case(request):
    return request.param


@pytest.fixture
def example(case) -> Example:
    return example_of(*case)


@pytest.fixture
def head(case, example):
    form, name = case
    return models.make(name, {}, classes=example.classes, form=form)


def parts(prediction: Prediction) -> dict[str, Any]:
    """The arrays of a prediction."""
    found = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    return {name: value for name, value in found.items() if value is not None}


def same(one: Prediction, other: Prediction) -> None:
    assert type(one) is type(other)
    for (name, value), twin in zip(parts(one).items(), parts(other).values(), strict=True):
        np.testing.assert_array_equal(value, twin, err_msg=name)


def some(features: Any, count: int) -> Any:
    return features.take(np.arange(count)) if isinstance(features, Tokens) else features[:count]


def test_every_form_has_a_proxy_called_linear() -> None:
    """The default proxy learns whatever the control tag asks for."""
    assert [form for form in FORMS if models.names(form) and "linear" not in models.names(form)] == []
    assert {Form.CLASSES, Form.TAGS, Form.NUMBER} <= {form for form, _ in CASES}


def test_it_learns(case, example, head) -> None:
    """Nearly always right on fresh rows that are easy to tell."""
    head.fit(*example.draw(0, 200, noise=0.3), seed=0)
    features, targets = example.draw(1, 200, noise=0.3)
    answers = models.answers(head, features)
    assert alike(case[0], targets, answers.targets).mean() > example.score


@pytest.mark.parametrize("n", [0, 1, 50])
def test_it_predicts_what_strategies_take_and_answers_in_its_form(case, example, head, n: int) -> None:
    """A prediction that strategies accept; targets as the form's arrays hold them; scores from 0 to 1."""
    head.fit(*example.draw(0), seed=0)
    features = some(example.draw(1)[0], n)
    prediction = head.predict(features)
    checks.prediction(prediction, n)
    assert len(prediction) == n
    answers = head.decide(features, prediction)
    assert answers.targets.dtype == blank(case[0], 0, example.classes).dtype
    assert answers.targets.shape == blank(case[0], n, example.classes).shape
    assert answers.scores.shape == (n,)
    assert ((answers.scores >= 0) & (answers.scores <= 1)).all()


@pytest.mark.parametrize("n", [0, 1, 50])
@pytest.mark.parametrize("name", [name for name in models.names(Form.CLASSES) if name != "preference"])
def test_a_class_without_labels_gets_nothing_and_evidence_is_finite(name: str, n: int) -> None:
    """(members, n, classes), each row summing to one."""
    head = models.make(name, {}, classes=CLASSES)
    head.fit(*blobs(0), seed=0)
    found = head.predict(blobs(1)[0][:n])
    assert isinstance(found, Probabilities)
    assert found.values.shape[1:] == (n, CLASSES)
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values.sum(axis=2), 1, atol=1e-5)
    assert (found.values[..., CLASSES - 1] == 0).all()
    if found.evidence is not None:
        assert (found.evidence.shape, found.evidence.dtype) == ((n,), np.float32)
        assert np.isfinite(found.evidence).all()


def test_the_same_seed_gives_the_same_answers(case, example, head) -> None:
    """Nothing but the seed is drawn from."""
    features, targets = example.draw(0)
    twin = models.make(case[1], {}, classes=example.classes, form=case[0])
    head.fit(features, targets, seed=3)
    twin.fit(features, targets, seed=3)
    same(head.predict(features), twin.predict(features))


def test_a_fit_forgets_what_was_learned_before(case, example, head) -> None:
    """Fit twice or once, the answers are those of the last labels."""
    features, targets = example.draw(0)
    head.fit(features, np.roll(targets, 1, axis=0), seed=0)
    head.fit(features, targets, seed=0)
    once = models.make(case[1], {}, classes=example.classes, form=case[0])
    once.fit(features, targets, seed=0)
    same(head.predict(features), once.predict(features))


def test_what_cannot_be_learned_is_refused_and_leaves_the_last_fit(example, head) -> None:
    """It says so beforehand, too."""
    features, targets = example.draw(0)
    head.fit(features, targets, seed=0)
    before = head.predict(features)
    alone = example.alone(targets)
    assert head.can_fit(targets)
    assert not head.can_fit(alone)
    cases = [(some(features, len(alone)), alone), (some(features, 5), targets)]
    cases += [(features, change(targets)) for change in example.wrong]
    if isinstance(features, np.ndarray):
        cases.append((features * np.nan, targets))
    for wrong_features, wrong_targets in cases:
        with pytest.raises(BadInput):
            head.fit(wrong_features, wrong_targets, seed=0)
    same(head.predict(features), before)


def test_asking_too_early_or_in_another_dimension_is_refused(example, head, tmp_path: Path) -> None:
    features, targets = example.draw(0)
    with pytest.raises(BadInput, match="before it was fitted"):
        head.predict(features)
    with pytest.raises(BadInput, match="before it was fitted"):
        head.save(tmp_path)
    head.fit(features, targets, seed=0)
    narrow: Any = np.eye(3, dtype=np.float32)
    if isinstance(features, Tokens):
        narrow = Tokens(narrow, np.array([0, 3]), np.array([[0, 1], [1, 2], [2, 3]]))
    with pytest.raises(BadInput, match=r"expected \(\w+, 8\)"):
        head.predict(narrow)


def test_a_fresh_head_is_unfitted_and_answers_alike(case, example, head) -> None:
    """Cross-fitting needs the answers, not the calibration."""
    features, targets = example.draw(0, 150)
    head.fit(features, targets, seed=0)
    fresh = head.fresh()
    with pytest.raises(BadInput, match="before it was fitted"):
        fresh.predict(features)
    fresh.fit(features, targets, seed=0)
    answers = [models.answers(one, features).targets for one in (head, fresh)]
    assert alike(case[0], *answers).mean() > 0.97


def test_a_saved_head_predicts_the_same_with_numpy_alone(example, head, tmp_path: Path) -> None:
    """No SciPy, scikit-learn or torch is imported to load, predict and decide; one file is written."""
    features, targets = example.draw(0)
    head.fit(features, targets, seed=0)
    head.save(tmp_path / "head")
    assert len(list((tmp_path / "head").iterdir())) == 1
    given = vars(features) if isinstance(features, Tokens) else {"rows": features}
    np.savez(tmp_path / "given.npz", **given)
    expected = head.predict(features)
    np.savez(tmp_path / "expected.npz", **parts(expected))
    np.save(tmp_path / "scores.npy", head.decide(features, expected).scores)
    program = (
        "import sys, pathlib, importlib, numpy as np; folder = pathlib.Path(sys.argv[1])\n"
        f"from {type(head).__module__} import {type(head).__name__} as Head\n"
        "from backend.encoders.tokens import Tokens\n"
        "given = dict(np.load(folder / 'given.npz'))\n"
        "features = Tokens(**given) if 'starts' in given else given['rows']\n"
        "head = Head.load(folder / 'head'); found = head.predict(features)\n"
        "for name, value in np.load(folder / 'expected.npz').items():\n"
        "    assert np.array_equal(getattr(found, name), value), name\n"
        "assert np.array_equal(head.decide(features, found).scores, np.load(folder / 'scores.npy'))\n"
        "print(sorted({'scipy', 'sklearn', 'torch', 'faiss'} & set(sys.modules)))"
    )
    root = Path(models.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=root, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
    again = type(head).load(tmp_path / "head")
    again.fit(features, targets, seed=0)
    same(again.predict(features), expected)


@pytest.mark.parametrize("kept", [None, b"", b"PK\x03\x04 torn"])
def test_a_missing_or_torn_file_is_one_clear_error(example, head, tmp_path: Path, kept: bytes | None) -> None:
    head.fit(*example.draw(0), seed=0)
    head.save(tmp_path)
    (file,) = tmp_path.iterdir()
    if kept is None:
        file.unlink()
    else:
        file.write_bytes(kept)
    with pytest.raises(EncoderError, match=r"cannot load the \w+ head .*fit it anew"):
        type(head).load(tmp_path)


def test_unknown_options_are_refused_with_the_known_ones(case, example) -> None:
    form, name = case
    with pytest.raises(ConfigError, match=r"its options are|known:"):
        models.make(name, {"strenght": 3}, classes=example.classes, form=form)
    assert "classes" in HEADS[form].options(name)


def test_every_head_can_be_checked_by_its_name_alone(case) -> None:
    """The configuration is checked before anybody knows how many labels there are."""
    models.check(case[1], {})


def test_evidence_is_less_far_from_what_was_learned() -> None:
    """Energy asks for a row between all classes before a row of one of them."""
    rows, targets = blobs(0, noise=0.1)
    head = LinearHead(CLASSES)
    head.fit(rows, targets, seed=0)
    between = -rows[:1] - rows[1:2] - rows[2:3]
    asked = np.concatenate([rows, between / np.linalg.norm(between)])
    assert energy(head.predict(asked)).argmax() == len(rows)


def test_evidence_is_the_log_sum_exp_of_the_logits() -> None:
    """Twin: SciPy's, on the regression before its temperature."""
    from scipy.special import logsumexp

    rows, targets = blobs(0)
    head = LinearHead(CLASSES, strength=3.0)
    head.fit(rows, targets, seed=0)
    assert head.temperature != 1
    state = head.state()
    logits = rows @ state["weights"] + state["bias"]
    np.testing.assert_allclose(head.predict(rows).evidence, logsumexp(logits, axis=1), rtol=1e-4)


def test_the_members_disagree_where_labels_are_few() -> None:
    """Between two classes of few rows BALD is higher than amid one of them; with many rows it falls."""
    few, many = EnsembleHead(3, strength=1), EnsembleHead(3, strength=1)
    few.fit(*blobs(0, 12), seed=0)
    many.fit(*blobs(0, 900), seed=0)
    asked = np.array([[1, 1, 0], [1, 0, 0]], np.float32) @ np.eye(3, 8, dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    assert few.predict(asked).values.shape == (8, 2, 3)
    between, amid = bald(few.predict(asked))
    assert between > amid
    assert bald(many.predict(asked)).sum() < 0.5 * bald(few.predict(asked)).sum()


def test_the_first_member_is_the_linear_head() -> None:
    """So an ensemble is never less than that."""
    rows, targets = blobs(0)
    ensemble, linear = EnsembleHead(CLASSES, members=2), LinearHead(CLASSES)
    ensemble.fit(rows, targets, seed=0)
    linear.fit(rows, targets, seed=0)
    np.testing.assert_array_equal(ensemble.predict(rows).values[:1], linear.predict(rows).values)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), classes=st.integers(1, 8))
def test_a_resample_keeps_every_class_at_its_size(seed: int, n: int, classes: int) -> None:
    """Drawn with replacement within each class, gaps between the classes' numbers or not."""
    rng = np.random.default_rng(seed)
    targets = 3 * rng.integers(0, classes, n)
    rows = resampled(targets, rng)
    assert sorted(targets[rows]) == sorted(targets)


def test_a_resample_draws_every_row_of_a_class_alike() -> None:
    """About 63 % of the rows are drawn at all, each as often as any other."""
    rng = np.random.default_rng(0)
    targets = np.arange(40) % 2
    drawn = np.array([np.bincount(resampled(targets, rng), minlength=40) for _ in range(2000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.12)
    assert (drawn > 0).mean() == pytest.approx(1 - (1 - 1 / 20) ** 20, abs=0.01)


@pytest.mark.parametrize("members", [1, 65, 2.0, True, "many"])
def test_members_that_make_no_sense_are_refused(members: object) -> None:
    with pytest.raises(ConfigError, match=r"members is .*expected a whole number from 2 to 64"):
        models.make("ensemble", {"members": members}, classes=2)
