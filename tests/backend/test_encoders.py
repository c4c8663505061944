"""Every encoder keeps one contract; the n-gram encoder is its slow twin; names are found and explained."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backend import encoders
from backend.domain import ConfigError
from backend.encoders import Encoder
from backend.encoders.languages import not_english, script_shares
from backend.encoders.ngram import NgramEncoder, _features
from backend.registry import Registry

ODD = [
    "",
    " ",
    "\n\t",
    "a",
    "A a",
    "é",
    "é",
    "日本語のテキスト",
    "Привет, мир",
    "한국어",
    "🙂👍",
    "\x00",
    "\u200b",
]
TEXTS = ["My card has not arrived", "my card hasn't arrived yet", "exchange rates", *ODD, "exchange rates"]

texts_of_any_kind = st.lists(st.text(max_size=60), max_size=12)


@dataclass(frozen=True)
class Examples:
    """Inputs of one kind.

    inputs: the first two are alike, the third is not, and the last is the third again
    empty:  (n,) those of them that hold nothing
    alone:  one more, and lists of what may be encoded beside it
    huge:   some that are large
    """

    inputs: list[str]
    empty: np.ndarray
    alone: str
    beside: list[list[str]]
    huge: list[str]


def texts() -> Examples:
    return Examples(
        inputs=TEXTS,
        empty=np.array([not text.strip() for text in TEXTS]),
        alone="Why was my transfer declined?",
        beside=[["no"], ["a much longer text, of many words, " * 20], TEXTS],
        huge=["the quick brown fox " * 50_000, "x" * 1_000_000, "語" * 300_000],
    )


def images(folder: Path) -> Examples:
    """Stripes twice, rings twice, and files of every mode and size."""
    stripes = picture("stripes", 96, 64)
    drawn = {
        "a.png": stripes,
        "b.jpg": stripes.resize((120, 80)),
        "c.png": picture("rings", 64, 64),
        "grey.png": stripes.convert("L"),
        "palette.gif": picture("rings", 40, 30).convert("P"),
        "clear.png": stripes.convert("RGBA"),
        "dot.bmp": picture("rings", 1, 1),
        "thread.png": picture("rings", 2, 900),
        "huge.jpg": picture("rings", 4000, 3000),
    }
    paths = {}
    for name, image in drawn.items():
        image.save(folder / name)
        paths[name] = str(folder / name)
    inputs = [paths[name] for name in drawn if name != "huge.jpg"]
    return Examples(
        inputs=[*inputs, paths["c.png"]],
        empty=np.zeros(len(inputs) + 1, bool),
        alone=paths["a.png"],
        beside=[[paths["c.png"]], [paths["huge.jpg"]], inputs],
        huge=[paths["huge.jpg"]],
    )


def picture(kind: str, width: int, height: int) -> Image.Image:
    down, across = np.mgrid[0:height, 0:width]
    wave = across / 5 if kind == "stripes" else np.hypot(down - height / 2, across - width / 2) / 2
    tint = (255, 160, 40) if kind == "stripes" else (60, 120, 255)
    return Image.fromarray(((np.sin(wave)[..., None] + 1) / 2 * tint).astype(np.uint8))


@pytest.fixture(scope="module", params=encoders.names())
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return encoders.make(request.param, {})


@pytest.fixture(
    scope="module", params=[name for name in encoders.names() if encoders.make(name, {}).takes == "text"]
)
def text_encoder(request: pytest.FixtureRequest) -> Encoder:
    return encoders.make(request.param, {})


@pytest.fixture(scope="module")
def examples(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """What the encoder says that it takes."""
    return texts() if encoder.takes == "text" else images(tmp_path_factory.mktemp("images"))


def test_embeddings_have_unit_length_or_are_zero(encoder: Encoder, examples: Examples) -> None:
    """Zeros are for inputs that hold nothing; everything is finite float32."""
    found = encoder.encode(examples.inputs)
    assert found.shape == (len(examples.inputs), encoder.dimension)
    assert found.dtype == np.float32
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(lengths[~examples.empty], 1, atol=1e-5)
    assert all(length == 0 or abs(length - 1) < 1e-5 for length in lengths[examples.empty])


def test_the_order_of_the_inputs_is_kept(encoder: Encoder, examples: Examples) -> None:
    """Permuting the inputs permutes the embeddings, but for rounding."""
    order = np.random.default_rng(0).permutation(len(examples.inputs))
    found = encoder.encode([examples.inputs[place] for place in order])
    np.testing.assert_allclose(found, encoder.encode(examples.inputs)[order], atol=0.01)


def test_the_same_input_twice_is_the_same_embedding_twice(encoder: Encoder, examples: Examples) -> None:
    assert examples.inputs[2] == examples.inputs[-1]
    found = encoder.encode(examples.inputs)
    np.testing.assert_array_equal(found[2], found[-1])


def test_what_is_encoded_beside_an_input_does_not_matter(encoder: Encoder, examples: Examples) -> None:
    """Alone, or beside others, longer or larger: cosine above 0.999."""
    alone = encoder.encode([examples.alone])[0]
    for others in examples.beside:
        assert float(encoder.encode([*others, examples.alone])[-1] @ alone) > 0.999


def test_encoding_twice_gives_the_same_bits(encoder: Encoder, examples: Examples) -> None:
    np.testing.assert_array_equal(encoder.encode(examples.inputs), encoder.encode(examples.inputs))


def test_nothing_gives_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_a_megabyte_of_text_and_a_large_image_are_embedded(encoder: Encoder, examples: Examples) -> None:
    """Texts with and without a space to cut at."""
    found = encoder.encode(examples.huge)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_lone_surrogate_is_no_reason_to_fail(text_encoder: Encoder) -> None:
    """Broken data must not stop the encoding of a pool."""
    assert np.isfinite(text_encoder.encode(["broken \ud83d text", "whole"])).all()


def test_like_inputs_are_nearer_than_unlike_ones(encoder: Encoder, examples: Examples) -> None:
    one, same, other = encoder.encode(examples.inputs[:3])
    assert one @ same > one @ other + 0.1


def test_inputs_of_the_other_kind_do_not_suit_an_image_encoder(encoder: Encoder, examples: Examples) -> None:
    """What it takes suits it; texts are no images."""
    assert encoder.misfit(examples.inputs[:3]) is None
    assert (encoder.misfit(["My card has not arrived"]) is None) == (encoder.takes == "text")


def test_fingerprints_name_a_folder_and_tell_encoders_apart(encoder: Encoder) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", encoder.fingerprint)
    others = [encoders.make(name, {}).fingerprint for name in encoders.names()]
    assert others.count(encoder.fingerprint) == 1


@pytest.mark.parametrize("option", [{"dimension": 100}, {"seed": 1}, {"max_characters": 50}])
def test_the_ngram_fingerprint_follows_every_setting(option: dict[str, int]) -> None:
    assert NgramEncoder(**option).fingerprint != NgramEncoder().fingerprint


def slow_features(text: str) -> Counter[str]:
    """Every n-gram of 2 to 4 characters in " word ", and every word, marked."""
    found: Counter[str] = Counter()
    for word in text.split():
        padded = f" {word} "
        for length in range(2, 5):
            for start in range(len(padded) - length + 1):
                found[padded[start : start + length]] += 1
        found[f"word:{word}"] += 1
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab é日", max_size=20), min_size=1, max_size=6))
def test_features_are_those_of_the_slow_twin(texts: list[str]) -> None:
    """Each distinct n-gram or word is one hash, everywhere, and is counted as often as it occurs."""
    padded = [f" {' '.join(text.split())} " for text in texts]
    rows, hashes = _features(padded, seed=0)
    name_of: dict[int, tuple[int, ...]] = {}
    for row, text in enumerate(padded):
        ours = Counter(hashes[rows == row].tolist())
        assert sorted(ours.values()) == sorted(slow_features(text).values())
    occurrences: dict[str, tuple[int, ...]] = {}
    for text in padded:
        for feature in slow_features(text):
            occurrences[feature] = tuple(slow_features(other)[feature] for other in padded)
    for value in np.unique(hashes).tolist():
        name_of[value] = tuple(int(((rows == row) & (hashes == value)).sum()) for row in range(len(padded)))
    assert sorted(name_of.values()) == sorted(occurrences.values())


@settings(max_examples=40, deadline=None)
@given(texts_of_any_kind)
def test_ngram_embeddings_do_not_depend_on_neighbours_at_all(texts: list[str]) -> None:
    """Twin: one text at a time."""
    encoder = NgramEncoder(dimension=64)
    alone = [encoder.encode([text])[0] for text in texts]
    np.testing.assert_allclose(encoder.encode(texts), np.array(alone).reshape(-1, 64), atol=1e-6)


def test_blocks_are_joined_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of any size is encoded block by block."""
    whole = NgramEncoder().encode(TEXTS)
    monkeypatch.setattr("backend.encoders.ngram._CHARACTERS_PER_BLOCK", 20)
    np.testing.assert_allclose(NgramEncoder().encode(TEXTS), whole, atol=1e-6)


def test_similarity_of_ngram_embeddings_is_that_of_the_features() -> None:
    """The projection keeps cosines: with many dimensions they are those of (1 + log count) vectors."""
    texts = ["the card was declined", "the card has been declined twice", "exchange rate", "cards and rates"]
    features = [{name: 1 + np.log(n) for name, n in slow_features(text).items()} for text in texts]
    found = NgramEncoder(dimension=1 << 15).encode(texts)
    for one in range(4):
        for other in range(4):
            shared = features[one].keys() & features[other].keys()
            dot = sum(features[one][name] * features[other][name] for name in shared)
            norms = [np.sqrt(sum(value**2 for value in features[place].values())) for place in (one, other)]
            assert found[one] @ found[other] == pytest.approx(dot / norms[0] / norms[1], abs=0.03)


def test_case_and_compatibility_forms_are_the_same_to_ngrams() -> None:
    one, other = NgramEncoder().encode(["STRASSE ﬁne café", "straße fine cafe\u0301"])
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_ngrams_suit_every_language() -> None:
    assert NgramEncoder().misfit(["안녕하세요 반갑습니다"] * 10) is None


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["이 영화 정말 재미있어요 최고의 배우들"] * 3, "100% of the letters are Hangul"),
        (["Моя карта ещё не пришла, что делать"] * 3, "Cyrillic"),
        (["私のカードはまだ届いていませんがどうすればいいですか"] * 3, "of the letters are"),
        (["Où est ma carte ? Je l'ai commandée à la société générale, déjà payée"] * 20, "accented"),
        (["Meine Karte ist für die Überweisung gesperrt, können Sie mir bestätigen"] * 20, "accented"),
    ],
)
def test_other_languages_than_english_are_noticed(texts: list[str], named: str) -> None:
    assert named in (not_english(texts) or "")


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["", "123 456", "!?"],
        ["My card has not arrived, and it is the second time that this happens to me."] * 30,
        ["The café's résumé was a cliché, but the naïve façade of it was for them at least déjà vu."] * 30,
        ["laptop 15 inch silver", "usb cable black 2 m"] * 60,
        ["안녕"],
    ],
)
def test_english_and_too_little_to_tell_are_no_misfit(texts: list[str]) -> None:
    assert not_english(texts) is None


@given(texts_of_any_kind)
def test_script_shares_sum_to_one_or_are_absent(texts: list[str]) -> None:
    shares = script_shares(texts)
    assert not shares or sum(shares.values()) == pytest.approx(1)


def test_unknown_names_and_options_name_the_nearest() -> None:
    assert encoders.names() == ("image", "ngram", "sentence")
    with pytest.raises(ConfigError, match="did you mean 'sentence'"):
        encoders.make("sentense", {})
    with pytest.raises(ConfigError, match="did you mean 'dimension'"):
        encoders.make("ngram", {"dimensions": 3})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ngram", {"dimension": 4}),
        ("ngram", {"dimension": True}),
        ("ngram", {"seed": -1}),
        ("ngram", {"max_characters": "many"}),
        ("image", {"model": 3}),
        ("image", {"device": "tpu"}),
        ("image", {"precision": "auto"}),
        ("image", {"broken": "skip"}),
        ("sentence", {"model": ""}),
        ("sentence", {"device": "gpu"}),
        ("sentence", {"precision": "float16"}),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_loaded(name: str, options: dict[str, object]) -> None:
    """One line that names the option, its value and what was expected."""
    option, value = next(iter(options.items()))
    with pytest.raises(ConfigError, match=rf"{option} is {value!r}; expected"):
        encoders.make(name, options)


def test_a_registry_refuses_a_name_twice_and_a_missing_option() -> None:
    """Two files that claim one name would otherwise be decided by the order of import."""
    registry: Registry[object] = Registry("encoder", "backend.encoders")

    @registry("one")
    class One:
        def __init__(self, needed: int) -> None: ...

    with pytest.raises(ValueError, match="registered twice"):
        registry("one")(dict)
    with pytest.raises(ConfigError, match="missing a required argument: 'needed'"):
        registry.make("one", {})


def test_the_registry_loads_nothing_heavy() -> None:
    """Listing and constructing encoders is for the command line, which must start fast."""
    program = (
        "import sys; from backend import encoders, models; from backend.cli.setup import catalogue\n"
        "catalogue()\n"
        "[encoders.make(name, {}) for name in encoders.names()]; models.make('linear', {}, classes=2)\n"
        "print(sorted({'torch', 'sklearn', 'transformers', 'faiss', 'scipy', 'PIL'} & set(sys.modules)))"
    )
    root = Path(encoders.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
