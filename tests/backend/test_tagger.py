"""The tagger: exact characters on any Unicode, long texts whole, well-formed spans, a pipeline of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import QUICK, WORDS, tiny

from backend.labels.forms import Form, Span, alike, gather
from backend.models.fine_tuning.network import load
from backend.models.fine_tuning.spans import (
    _viterbi,
    bio_labels,
    decode,
    encode,
    span_labels,
    whole_words,
    windows,
)
from backend.models.tagger import Tagger
from backend.models.targets import answers_of, load_target
from strategies.types import BadInput

LABELS = ("colour", "shape")


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
    return tiny(tmp_path_factory.mktemp("made") / "bert")


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> Any:
    """It reads 16 tokens at a time, of which 14 are the text's."""
    return load(checkpoint, ("O", "B-x", "I-x"), Form.SPANS, device="cpu", half=False, most_tokens=16)


def sentences(n: int, seed: int = 0, *, words: int = 8) -> tuple[list[str], Any]:
    """Colours and shapes among other words, with `very` before them if it is there."""
    rng = np.random.default_rng(seed)
    made, spans = [], []
    for _ in range(n):
        text, found, begun = "", [], -1
        for word in rng.choice(WORDS, words):
            start = begun if begun >= 0 else len(text)
            begun = len(text) if word == "very" else -1
            text += str(word)
            if word in WORDS[:5]:
                found.append(Span(start, len(text), int(word in WORDS[3:5])))
            text += " "
        made.append(text.strip())
        spans.append(tuple(found))
    return made, gather(Form.SPANS, spans, 2)


def test_it_learns_spans_and_transformers_alone_finds_the_same(checkpoint: Path, tmp_path: Path) -> None:
    """Most spans of unseen sentences; saved, loaded, and by a pipeline."""
    from transformers import pipeline

    made, targets = sentences(200)
    model = Tagger(LABELS, model=str(checkpoint), **{**QUICK, "epochs": 20})
    model.fit(made, targets, seed=0)
    asked, truth = sentences(40, seed=1)
    answer = answers_of(model, asked)
    assert alike(Form.SPANS, truth, answer.targets).mean() > 0.8
    assert ((answer.scores > 0) & (answer.scores <= 1)).all()
    model.save(tmp_path / "model")
    again = load_target("tagger", tmp_path / "model")
    assert again.labels == LABELS
    assert alike(Form.SPANS, answer.targets, answers_of(again, asked).targets).mean() > 0.98
    find = pipeline(
        "token-classification", model=str(tmp_path / "model"), aggregation_strategy="simple", device="cpu"
    )
    theirs = [
        {(each["start"], each["end"], each["entity_group"]) for each in of_text} for of_text in find(asked)
    ]
    mine = [{(span.start, span.end, LABELS[span.label]) for span in spans} for spans in answer.targets]
    assert sum(a == b for a, b in zip(mine, theirs, strict=True)) >= 36, "Viterbi differs where BIO is broken"
    assert {path.suffix for path in (tmp_path / "model").iterdir()} <= {".json", ".safetensors", ".txt"}


def test_a_text_longer_than_the_window_is_read_whole(checkpoint: Path) -> None:
    """Spans at its end are found as well as at its beginning."""
    made, targets = sentences(200)
    model = Tagger(LABELS, model=str(checkpoint), max_tokens=16, **{**QUICK, "epochs": 20})
    model.fit(made, targets, seed=0)
    long, truth = sentences(10, seed=2, words=100)
    answer = answers_of(model, long)
    assert alike(Form.SPANS, truth, answer.targets).mean() > 0.75
    late = [span for spans in answer.targets for span in spans if span.start > 300]
    assert len(late) > 20


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_every_token_counts_in_just_one_window(network: Any, texts: list[str]) -> None:
    """Twin: the tokenizer without windows gives the same tokens at the same characters, on any Unicode."""
    seen = windows(network, texts)
    for place, text in enumerate(texts):
        clean = text.encode("utf-8", "replace").decode()
        whole = network.tokenizer(clean, add_special_tokens=False, return_offsets_mapping=True)
        offsets, _ = seen.of_text(place)
        assert offsets.tolist() == [list(each) for each in whole["offset_mapping"]]
    assert max(seen.tokens.lengths) <= 16
    assert seen.lengths().tolist() == [len(seen.of_text(place)[0]) for place in range(len(texts))]


ODD = [*"abc ,.\n", "\u00e9", "e\u0301", "ß", "한", "국", "漢", "🙂", "👩\u200d👩\u200d👧", "\u0130", "ﬁ"]
UNICODE = st.lists(st.sampled_from(ODD), max_size=12).map("".join)


@settings(max_examples=150, deadline=None)
@given(UNICODE, UNICODE, st.sampled_from(["red", "green", "blue round"]))
def test_offsets_are_code_points(network: Any, before: str, after: str, named: str) -> None:
    """What is encoded of a span and decoded again is the span, whatever stands around it."""
    text = f"{before} {named} {after}"
    start = len(before) + 1
    span = Span(start, start + len(named), 0)
    seen = windows(network, [text])
    offsets, words = seen.of_text(0)
    path = encode([span], offsets)
    probabilities = np.full((len(path), 3), 0.05, np.float32)
    probabilities[np.arange(len(path)), path] = 0.9
    for by_word in (True, False):
        found, _ = decode(probabilities, offsets, words, by_word=by_word)
        assert [(each.start, each.end) for each in found] == [(span.start, span.end)]
        assert text[found[0].start : found[0].end] == named


def slow_viterbi(steps: Any) -> float:
    """The best score of all well-formed label sequences, each tried."""
    import itertools

    best = -np.inf
    for path in itertools.product(range(steps.shape[1]), repeat=len(steps)):
        before = (0, *path[:-1])
        if all(b % 2 == 1 or b == 0 or a in (b - 1, b) for a, b in zip(before, path, strict=True)):
            best = max(best, sum(steps[place, label] for place, label in enumerate(path)))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_viterbi_finds_the_best_well_formed_labels(tokens: int, seed: int) -> None:
    """Twin: all sequences. I-x follows B-x or I-x alone."""
    steps = np.random.default_rng(seed).normal(size=(tokens, 5))
    path = _viterbi(steps)
    before = [0, *path[:-1]]
    assert all(b % 2 == 1 or b == 0 or a in (b - 1, b) for a, b in zip(before, path, strict=True))
    assert steps[np.arange(tokens), path].sum() == pytest.approx(slow_viterbi(steps))


def test_words_are_cut_only_where_annotators_cut_them(network: Any) -> None:
    """Spans that end inside words turn word-wise decoding off."""
    texts = ["reds and blueish", "the greens"]
    whole = [(Span(0, 4, 0), Span(9, 16, 0)), (Span(4, 10, 0),)]
    cut = [(Span(0, 3, 0), Span(9, 13, 0)), (Span(4, 9, 0),)]
    seen = windows(network, texts)
    assert whole_words(whole, seen)
    assert not whole_words(cut, seen)
    offsets, words = seen.of_text(0)
    probabilities = np.full((len(offsets), 3), 0.1, np.float32)
    probabilities[:, 0] = 0.8
    probabilities[0] = [0.1, 0.8, 0.1]  # red, of reds
    assert decode(probabilities, offsets, words, by_word=False)[0][0].end == 3
    assert not decode(probabilities, offsets, words, by_word=True)[0]


def test_overlapping_spans_count_once() -> None:
    """A token in two spans is of the one that begins first."""
    offsets = np.array([[0, 1], [1, 2], [2, 3]])
    assert encode([Span(1, 3, 1), Span(0, 2, 0)], offsets).tolist() == [1, 2, 4]


def test_names_of_outputs_say_the_labels() -> None:
    assert span_labels(bio_labels(("person", "B-side"))) == ("person", "B-side")
    with pytest.raises(ValueError, match="expected O, B-x"):
        span_labels(["LABEL_0", "LABEL_1"])


def test_texts_without_a_span_are_answers_too(checkpoint: Path) -> None:
    """An empty text, one of blanks, and none at all are answered with no span."""
    made, targets = sentences(40)
    model = Tagger(LABELS, model=str(checkpoint), **{**QUICK, "epochs": 1})
    model.fit([*made, ""], gather(Form.SPANS, [*targets, ()], 2), seed=0)
    assert answers_of(model, ["", "   "]).targets.tolist() == [(), ()]
    assert len(answers_of(model, []).targets) == 0


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(), ()], "hold no span"),
        ([(Span(0, 9, 0),), ()], "text of 3 characters"),
        ([(Span(1, 1, 0),), ()], "expected it inside"),
        ([(Span(0, 1, 7),), ()], "names label 7"),
        ([(Span(0, 1, 0),)], "2 inputs and targets"),
    ],
)
def test_spans_that_make_no_sense_are_refused(spans: list[Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Tagger(LABELS).fit(["the", "red"], gather(Form.SPANS, spans, 2), seed=0)
