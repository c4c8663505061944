"""Target models by form: tags and pairs, resuming after a kill, thresholds, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import LABELS, QUICK, WORDS, texts, tiny, tiny_vision

from backend.domain import ConfigError, EncoderError
from backend.labels.forms import Form, Span, blank, gather
from backend.models.classifier import Classifier
from backend.models.fine_tuning.thresholds import CAUTION, tuned
from backend.models.regressor import Regressor
from backend.models.tagger import Tagger
from backend.models.targets import (
    AUTO,
    TARGETS,
    answers_of,
    check_target,
    load_target,
    make_target,
    misfit,
    suited,
    target_names,
)
from strategies.types import BadInput


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on thin layers wait for each other, long where other tests run beside these."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("made") / "sentence", "sentence")


def tagged(n: int, seed: int = 0) -> tuple[list[str], Any]:
    """Words of which each tells a tag of its own."""
    rng = np.random.default_rng(seed)
    made = [" ".join(rng.choice(WORDS, 6)) for _ in range(n)]
    told = [{WORDS[0], WORDS[1], WORDS[2]}, {WORDS[3], WORDS[4]}, {WORDS[5], WORDS[6]}]
    return made, np.array([[bool(tell & set(text.split())) for tell in told] for text in made])


def test_auto_finds_what_suits_each_form() -> None:
    """Classes and tags of texts, pairs and images; numbers; spans. Nothing learns regions."""
    assert suited(Form.CLASSES, "text") == "classifier"
    assert suited(Form.TAGS, "pair") == "classifier"
    assert suited(Form.TAGS, "image") == "image_classifier"
    assert suited(Form.NUMBER, "text") == "regressor"
    assert suited(Form.SPANS, "text") == "tagger"
    assert suited(Form.REGIONS, "image") is None
    assert suited(Form.SPANS, "image") is None


@pytest.mark.parametrize("name", target_names())
def test_every_target_keeps_the_contract(name: str) -> None:
    """It says what it learns and takes, is made with labels and form, and refuses before it is fitted."""
    made: Any = TARGETS.constructor(name)
    assert made.learns <= set(Form)
    assert made.learns
    assert made.takes <= {"text", "pair", "image"}
    for form in made.learns:
        model = make_target(name, {}, labels=("a", "b"), form=form)
        assert model.form is form
        assert not model.can_fit(blank(form, 0, 2))
        with pytest.raises(BadInput):
            model.predict(["x"])
    check_target(name, {})
    with pytest.raises(ConfigError, match="unknown option"):
        check_target(name, {"no_such_option": 1})


def test_what_a_target_does_not_learn_is_refused() -> None:
    """One line that names the form and the targets that learn it."""
    with pytest.raises(ConfigError, match=r"'tagger' does not learn classes; expected one of .*classifier"):
        make_target("tagger", {}, labels=("a",), form=Form.CLASSES)
    assert "does not learn classes of inputs of kind 'image'" in str(
        misfit("classifier", Form.CLASSES, "image")
    )
    with pytest.raises(ConfigError, match="'auto' takes no options"):
        check_target(AUTO, {"epochs": 3})
    check_target(AUTO, {})


def test_tags_are_learned_each_by_itself(checkpoint: Path, tmp_path: Path) -> None:
    """Most tags of unseen texts; saved, loaded, and by transformers alone the same probabilities."""
    from transformers import pipeline

    made, targets = tagged(240)
    model = Classifier(LABELS, form=Form.TAGS, model=str(checkpoint), **QUICK)
    model.fit(made, targets, seed=0)
    asked, truth = tagged(80, seed=1)
    answer = answers_of(model, asked)
    assert answer.targets.dtype == np.bool_
    assert (answer.targets == truth).mean() > 0.85
    assert ((answer.scores > 0) & (answer.scores <= 1)).all()
    assert not np.array_equal(model.thresholds, np.full(3, 0.5))
    folder = tmp_path / "model"
    model.save(folder)
    again = load_target("classifier", folder)
    assert (again.form, again.labels) == (Form.TAGS, LABELS)
    np.testing.assert_array_equal(answers_of(again, asked).targets, answer.targets)
    told = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")(asked[:5])
    theirs = [[{each["label"]: each["score"] for each in row}[label] for label in LABELS] for row in told]
    prediction: Any = model.predict(asked[:5])
    np.testing.assert_allclose(theirs, prediction.values[0], atol=2e-3)


def test_pairs_are_read_as_two_texts(checkpoint: Path, tmp_path: Path) -> None:
    """Which of two texts has the word: only both together tell, and their order matters."""
    from transformers import pipeline

    rng = np.random.default_rng(0)
    plain = [" ".join(rng.choice(WORDS[7:], 3)) for _ in range(160)]
    targets = np.arange(80) % 2
    marked = [f"{text} red" for text in plain]
    pairs = [
        (marked[2 * i], plain[2 * i + 1]) if target == 0 else (plain[2 * i], marked[2 * i + 1])
        for i, target in enumerate(targets)
    ]
    model = Classifier(("first", "second"), model=str(checkpoint), **{**QUICK, "epochs": 40})
    model.fit(pairs, targets, seed=0)
    assert (answers_of(model, pairs).targets == targets).mean() > 0.9
    model.save(tmp_path / "model")
    classify = pipeline("text-classification", model=str(tmp_path / "model"), top_k=None, device="cpu")
    told = classify([{"text": first, "text_pair": second} for first, second in pairs[:4]])
    theirs = [{each["label"]: each["score"] for each in row}["first"] for row in told]
    np.testing.assert_allclose(theirs, model.predict(pairs[:4]).values[0, :, 0], atol=2e-3)  # type: ignore[union-attr]


def target_of(kind: str, checkpoint: Path) -> tuple[Any, list[Any], Any]:
    """A target, inputs and targets of each kind."""
    options = {**QUICK, "epochs": 3, "holdout": 0.2}
    made, classes = texts(48)
    match kind:
        case "classifier":
            return Classifier(LABELS, model=str(checkpoint), **options), made, classes
        case "tags":
            words, tags = tagged(48)
            return Classifier(LABELS, form=Form.TAGS, model=str(checkpoint), **options), words, tags
        case "regressor":
            return Regressor(model=str(checkpoint), **options), made, classes * 1.5 + 10
        case _:
            spans = gather(Form.SPANS, [(Span(0, len(text.split()[0]), 0),) for text in made], 1)
            return Tagger(("first",), model=str(checkpoint), **options), made, spans


@pytest.mark.parametrize("kind", ["classifier", "tags", "regressor", "tagger"])
@pytest.mark.parametrize("at", [1, 7, 13])
def test_killed_and_begun_again_it_learns_the_same(
    checkpoint: Path, tmp_path: Path, kind: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any step: the weights are those of a training that nobody disturbed, bit for bit."""
    import torch

    from backend.models.fine_tuning import checkpoints

    monkeypatch.setattr(checkpoints, "EVERY", 3)
    undisturbed, inputs, targets = target_of(kind, checkpoint)
    undisturbed.fit(inputs, targets, seed=0)

    def killed(step: str, done: int, total: int | None) -> None:
        if step == "fine-tune" and done == at:
            raise KeyboardInterrupt

    steps: list[int] = []

    def count(step: str, done: int, total: int | None) -> None:
        if step == "fine-tune":
            steps.append(done)

    folder = tmp_path / "checkpoints"
    with pytest.raises(KeyboardInterrupt):
        target_of(kind, checkpoint)[0].fit(inputs, targets, seed=0, progress=killed, checkpoints=folder)
    again, _, _ = target_of(kind, checkpoint)
    again.fit(inputs, targets, seed=0, progress=count, checkpoints=folder)
    assert steps[0] == 1 + (at - 1) // 3 * 3, "it goes on from the last checkpoint"
    mine, theirs = again._network.model.state_dict(), undisturbed._network.model.state_dict()
    for name, part in theirs.items():
        assert torch.equal(part, mine[name]), name


def test_a_checkpoint_of_another_training_is_not_gone_on_with(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other labels, another seed, spoilt: it begins at the first step."""
    from backend.models.fine_tuning import checkpoints

    monkeypatch.setattr(checkpoints, "EVERY", 2)
    model, inputs, targets = target_of("classifier", checkpoint)
    model.fit(inputs, targets, seed=0, checkpoints=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]

    def first_step(targets: Any, seed: int) -> int:
        steps: list[int] = []
        target_of("classifier", checkpoint)[0].fit(
            inputs,
            targets,
            seed=seed,
            progress=lambda step, done, total: steps.append(done) if step == "fine-tune" else None,
            checkpoints=tmp_path,
        )
        return steps[0] if steps else -1

    assert first_step(targets, 0) != 1
    assert first_step(targets[::-1].copy(), 0) == 1
    assert first_step(targets[::-1].copy(), 1) == 1
    next(tmp_path.iterdir()).write_bytes(b"torn")
    assert first_step(targets[::-1].copy(), 1) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=30))
def test_thresholds_are_those_of_highest_f1(rows: list[tuple[int, bool]]) -> None:
    """Twin: every cut between two probabilities tried; the logit is drawn towards 0 by ten examples."""
    probabilities = np.array([[0.05 + score / 11] for score, _ in rows], np.float32)
    truth = np.array([[held] for _, held in rows])
    found = float(tuned(probabilities, truth)[0])
    positives = int(truth.sum())
    if positives == 0:
        assert found == 0.5
        return

    def f1(cut: float) -> float:
        said = probabilities[:, 0] >= cut
        return 2 * float((said & truth[:, 0]).sum()) / float(said.sum() + positives)

    share = positives / (positives + CAUTION)
    untouched = 1 / (1 + np.exp(-np.log(found / (1 - found)) / share))
    best = max(f1(cut) for cut in probabilities[:, 0])
    assert f1(untouched) == pytest.approx(best)


@pytest.mark.parametrize(("target", "form"), [("classifier", Form.CLASSES), ("tagger", Form.SPANS)])
def test_checkpoints_that_cannot_be_used_are_refused_in_one_line(
    checkpoint: Path, tmp_path: Path, target: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown, without weights, with too few, of another kind, no hub to reach: each names itself."""
    bare = tmp_path / "bare"
    shutil.copytree(checkpoint, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    lacking = tmp_path / "lacking"
    shutil.copytree(checkpoint, lacking)
    config = json.loads((lacking / "config.json").read_text())
    (lacking / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    pictures = tiny_vision(tmp_path / "pictures")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    wrong = {
        str(bare): "expected a transformers checkpoint",
        str(lacking): "lacks .* weights",
        str(pictures): "expected a transformers checkpoint",
        "./nowhere": "no such folder",
        "nobody/no-such-model": "hub failed",
    }
    inputs, targets = ["a", "the"], np.array([0, 1])
    if form is Form.SPANS:
        targets = gather(form, [(Span(0, 1, 0),), ()], 2)
    for model, message in wrong.items():
        with pytest.raises(EncoderError, match=message) as raised:
            make_target(target, {"model": model}, labels=("x", "y"), form=form).fit(
                inputs, targets, seed=0, progress=lambda *_: None
            )
        assert "\n" not in str(raised.value)
        assert Path(model).name in str(raised.value)


def test_a_head_is_replaced_when_the_labels_change(checkpoint: Path, tmp_path: Path) -> None:
    """A saved classifier is a checkpoint like any other: four classes from one of three."""
    made, targets = texts(48)
    model = Classifier(LABELS, model=str(checkpoint), **QUICK)
    model.fit(made, targets, seed=0)
    model.save(tmp_path / "three")
    four = Classifier((*LABELS, "new"), model=str(tmp_path / "three"), **{**QUICK, "epochs": 2})
    four.fit(made, np.where(np.arange(48) < 8, 3, targets), seed=0)
    assert four.predict(made[:3]).values.shape == (1, 3, 4)
