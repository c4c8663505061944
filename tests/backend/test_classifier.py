"""The fine-tuned classifier: learns, is saved as transformers loads it, stops, repeats itself, refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoints import LABELS, WORDS, texts, tiny

from backend.domain import ConfigError, EncoderError
from backend.models import names
from backend.models.classifier import Classifier
from backend.models.fine_tuning import Recipe
from backend.models.fine_tuning.batches import Tokens, ordered, shuffled
from backend.models.targets import make_target, target_names
from strategies.types import BadInput


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on thin layers wait for each other, long where other tests run beside these."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["bert", "distilbert", "sentence"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("made") / request.param, request.param)


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("made") / "sentence", "sentence")


def fitted(checkpoint: Path, seed: int = 0, **options: Any) -> Classifier:
    made, targets = texts(48)
    given = {
        "epochs": 12,
        "batch": 8,
        "rate": 5e-3,
        "head_rate": 2e-2,
        "precision": "float32",
        "device": "cpu",
        **options,
    }
    model = Classifier(LABELS, model=str(checkpoint), **given)
    model.fit(made, targets, seed=seed)
    return model


def accuracy(model: Classifier) -> float:
    made, targets = texts(60, seed=1)
    return float((model.predict(made).mean.argmax(axis=1) == targets).mean())


def test_it_is_a_target_and_no_head() -> None:
    """Both registries look into the same folder, each finds its own."""
    assert "classifier" in target_names()
    assert "classifier" not in names()
    assert isinstance(make_target("classifier", {"epochs": 1}, labels=("a", "b")), Classifier)
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        make_target("classifier", {"epoch": 1}, labels=("a", "b"))


def test_it_learns_what_words_tell(checkpoint: Path) -> None:
    """Any architecture: most of what was not seen, with probabilities that sum to one."""
    model = fitted(checkpoint, epochs=30, rate=1e-2)
    assert accuracy(model) > 0.75
    answer = model.predict(["a very red", "", "the large"])
    np.testing.assert_allclose(answer.values.sum(axis=2), 1, atol=1e-5)
    assert answer.values.shape == (1, 3, 3)
    assert len(model.predict([])) == 0


def test_a_pipeline_of_transformers_loads_what_was_saved(checkpoint: Path, tmp_path: Path) -> None:
    """Twin: transformers alone, from the folder, gives the same probabilities under the labels' names."""
    from transformers import pipeline

    model, folder = fitted(checkpoint), tmp_path / "model"
    model.save(folder)
    made, _ = texts(12, seed=2)
    told = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")(made)
    theirs = [[{each["label"]: each["score"] for each in row}[label] for label in LABELS] for row in told]
    np.testing.assert_allclose(theirs, model.predict(made).mean, atol=2e-3)
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".txt"}


def test_what_was_saved_is_what_is_loaded(checkpoint: Path, tmp_path: Path) -> None:
    """The same probabilities and labels; saved again over itself, and loaded again."""
    model, folder = fitted(checkpoint), tmp_path / "model"
    made, _ = texts(12, seed=2)
    model.save(folder)
    again = Classifier.load(folder, precision="float32")
    again.save(folder)
    third = Classifier.load(folder, precision="float32")
    assert third.labels == LABELS
    np.testing.assert_allclose(third.predict(made).mean, model.predict(made).mean, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_same_seed_gives_the_same_weights(sentence: Path) -> None:
    made, _ = texts(9, seed=3)
    first, second, other = (fitted(sentence, seed).predict(made).mean for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_texts_do_not_change_each_other(sentence: Path) -> None:
    """A text has the same probabilities alone as among others of any length."""
    model = fitted(sentence)
    made, _ = texts(15, seed=4)
    alone = np.concatenate([model.predict([text]).mean for text in made])
    np.testing.assert_allclose(model.predict(made).mean, alone, atol=1e-5)


def test_dynamics_are_the_probabilities_by_epoch(sentence: Path) -> None:
    """One for each epoch and row; the truth grows likelier."""
    model = fitted(sentence, record=True)
    assert model.dynamics is not None
    assert model.dynamics.shape == (12, 48, 3)
    np.testing.assert_allclose(model.dynamics.sum(axis=2), 1, atol=1e-5)
    truth = model.dynamics[:, np.arange(48), np.arange(48) % 3].mean(axis=1)
    assert truth[-1] > truth[0]
    assert fitted(sentence).dynamics is None


def test_features_are_what_the_head_sees(sentence: Path) -> None:
    """Unit length, one row a text."""
    features = fitted(sentence).features(["a red", "the old square"])
    assert features.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_a_fit_that_is_stopped_leaves_the_model_as_it_was(sentence: Path) -> None:
    """What progress raises between two steps comes out; the old weights answer on."""
    model = fitted(sentence)
    made, targets = texts(30, seed=5)
    before = model.predict(made).mean

    def stop(step: str, done: int, total: int | None) -> None:
        if step == "fine-tune" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(made, targets[::-1].copy(), seed=0, progress=stop)
    np.testing.assert_array_equal(model.predict(made).mean, before)


def test_it_stops_early_where_the_rows_set_aside_get_no_better(sentence: Path) -> None:
    """Labels without meaning: fewer steps than were planned, and the rows set aside were not trained on."""
    made, _ = texts(60)
    targets = np.random.default_rng(0).integers(0, 3, 60)
    steps: list[int] = []
    model = Classifier(
        LABELS, model=str(sentence), epochs=40, rate=2e-2, holdout=0.2, patience=1, record=True, device="cpu"
    )
    model.fit(made, targets, seed=0, progress=lambda step, done, total: steps.append(total or 0))
    assert model.dynamics is not None
    assert len(model.dynamics) < 40
    assert np.isnan(model.dynamics[0]).any(axis=1).sum() == pytest.approx(12, abs=3)


def test_the_weights_of_the_best_epoch_are_kept(sentence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left in the end loses on the rows set aside what the best epoch lost, not the last one."""
    from backend.models.fine_tuning import training

    held_out_loss = training.held_out_loss
    seen: list[float] = []
    asked: list[tuple[Any, ...]] = []

    def recorded(*given: Any) -> float:
        asked.append(given)
        seen.append(held_out_loss(*given))
        return seen[-1]

    monkeypatch.setattr(training, "held_out_loss", recorded)
    made, _ = texts(60)
    targets = np.random.default_rng(0).integers(0, 3, 60)
    model = Classifier(
        LABELS, model=str(sentence), epochs=40, rate=2e-2, holdout=0.2, patience=2, device="cpu"
    )
    model.fit(made, targets, seed=0)
    assert len(seen) >= 3
    assert min(seen) < min(seen[-2:]), "two epochs were no better, or nothing is told apart"
    assert held_out_loss(*asked[-1]) == pytest.approx(min(seen), rel=1e-6)
    assert model._network is asked[-1][0]


def test_balance_lifts_a_rare_class(sentence: Path) -> None:
    """Words that tell nothing: without weights the frequent class is the answer, with them it is open."""
    made = [" ".join(WORDS[7:9])] * 60
    targets = (np.arange(60) % 10 == 0).astype(np.int64)
    rare = []
    for balance in (False, True):
        model = Classifier(("often", "rare"), model=str(sentence), epochs=30, rate=1e-2, head_rate=0.05,
                           balance=balance, device="cpu", precision="float32")  # fmt: skip
        model.fit(made, targets, seed=0)
        rare.append(float(model.predict(made[:1]).mean[0, 1]))
    assert rare[0] < 0.25 < 0.4 < rare[1]


def test_upper_layers_alone(sentence: Path) -> None:
    """The embeddings and the first layer stay as they were; the last layer and the head move."""
    model = fitted(sentence, layers=1)
    start = Classifier(LABELS, model=str(sentence), device="cpu", precision="float32")._fresh().model
    assert model._network is not None
    after = dict(model._network.model.named_parameters())
    for name, part in start.named_parameters():
        same = bool((part == after[name]).all())
        assert same == ("embeddings" in name or "layer.0." in name), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "model is ''"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"precision": "half"}, "precision is 'half'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": True}, "batch is True"),
        ({"rate": -1}, "rate is -1"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"holdout": 0.9}, "holdout is 0.9"),
        ({"balance": 1}, "balance is 1"),
        ({"layers": -1}, "layers is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Classifier(LABELS, **options)


@pytest.mark.parametrize(
    ("targets", "message"),
    [([0, 0, 0], "name 1 classes"), ([0, 1], r"targets \(2,\)"), ([0, 1, 3], r"\[0, 3\]"), ([], "targets")],
)
def test_targets_that_make_no_sense_are_refused(sentence: Path, targets: list[int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Classifier(LABELS, model=str(sentence)).fit(["a", "the", "red"], np.array(targets, np.int64), seed=0)


def test_before_it_is_fitted_it_has_nothing_to_say(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="asked to predict before it was fitted"):
        Classifier(LABELS).predict(["a"])
    with pytest.raises(BadInput, match="asked to save before"):
        Classifier(LABELS).save(tmp_path / "model")


def test_a_folder_without_weights_or_of_another_kind_is_refused(sentence: Path, tmp_path: Path) -> None:
    """One line that names the folder and what was expected."""
    bare = tmp_path / "bare"
    shutil.copytree(sentence, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    pictures = tmp_path / "pictures"
    shutil.copytree(sentence, pictures)
    (pictures / "config.json").write_text(json.dumps({"model_type": "vit"}))
    spoilt = tmp_path / "spoilt"
    shutil.copytree(sentence, spoilt)
    (spoilt / "model.safetensors").write_bytes(b"nonsense")
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (bare, pictures, spoilt, empty):
        with pytest.raises(EncoderError, match=f"{folder}.*expected") as raised:
            Classifier(LABELS, model=str(folder)).fit(["a", "the"], np.array([0, 1]), seed=0)
        assert "\n" not in str(raised.value)
        if folder != bare:
            with pytest.raises(EncoderError, match=str(folder)):
                Classifier.load(folder)
    with pytest.raises(EncoderError, match="no such folder"):
        Classifier(LABELS, model="./nowhere").fit(["a", "the"], np.array([0, 1]), seed=0)
    with pytest.raises(EncoderError, match=r"expected a config\.json"):
        Classifier.load(tmp_path / "nowhere")


def test_the_packaged_checkpoint_learns_from_few_labels() -> None:
    """Twelve questions about cards and money, two classes, others of the same kind told apart."""
    ask = [
        ("my card is lost", 0), ("where is my money", 1), ("the card does not work", 0),
        ("a transfer has not arrived", 1), ("i need a new card", 0), ("the payment is pending", 1),
        ("the card was stolen", 0), ("cash is missing from my account", 1),
    ]  # fmt: skip
    model = Classifier(("card", "money"), epochs=3, layers=2, device="cpu")
    model.fit([text for text, _ in ask], np.array([target for _, target in ask]), seed=0)
    asked = ["my card was swallowed by the machine", "has my transfer come in"]
    assert model.predict(asked).mean.argmax(axis=1).tolist() == [0, 1]


def test_batches_hold_every_row_once_and_little_padding() -> None:
    """Twin: the rows, sorted; padding below a tenth where random batches of the same size waste half."""
    lengths = np.random.default_rng(0).integers(3, 60, 2000)
    batches = shuffled(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(2000))
    assert max(map(len, batches)) <= 32
    padded = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
    assert padded < 1.1 * lengths.sum()
    again = shuffled(lengths, 32, np.random.default_rng(2))
    assert not np.array_equal(np.concatenate(batches), np.concatenate(again))
    within = ordered(lengths, 256)
    assert sorted(np.concatenate(within).tolist()) == list(range(2000))
    assert max(int(lengths[rows].max()) * len(rows) for rows in within) <= 256


def test_padding_stands_behind_the_tokens() -> None:
    ids, mask = Tokens([[5, 6, 7], [8], []], fill=9).padded(np.array([1, 0]))
    np.testing.assert_array_equal(ids, [[8, 9, 9], [5, 6, 7]])
    np.testing.assert_array_equal(mask, [[1, 0, 0], [1, 1, 1]])


def test_few_rows_are_seen_more_often() -> None:
    """Never fewer than three times, unless it is said."""
    seen = [Recipe().epochs_for(rows) for rows in (10, 500, 2000, 100_000)]
    assert seen == [8, 8, 4, 3]
    assert Recipe(epochs=1).epochs_for(10) == 1
