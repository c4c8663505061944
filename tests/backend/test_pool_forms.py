"""A pool whatever the controls ask for: several at once, pairs, unreadable images, tokens on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import NextlabelError
from backend.encoders.tokens import Tokens
from backend.labels.reading import read_all
from backend.models.ngram_view import hashed
from backend.pool import TaskPool
from backend.pool.encoded import difference
from backend.pool.ngram_rows import NgramRows
from backend.pool.opening import open_pool
from backend.pool.token_rows import TokenRows
from backend.store import Store
from strategies.types import Gaussian

SEVERAL = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text"><Choice value="cat"/><Choice value="dog"/></Choices>
<Choices name="moods" toName="text" choice="multiple"><Choice value="calm"/><Choice value="loud"/></Choices>
<Rating name="stars" toName="text" maxRating="5"/></View>"""
PAIRS = """<View><Text name="a" value="$text"/><Text name="b" value="$other"/>
<Pairwise name="better" toName="a,b"/></View>"""
IMAGES = """<View><Image name="image" value="$text"/>
<Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"""


def opened(
    store: Store, labelstudio: Any, encoder: Any, folder: Path, config: str, **options: Any
) -> TaskPool:
    """Connect the fake project under another label config, and read its tasks."""
    labelstudio.info = replace(labelstudio.info, label_config=config)
    store.projects.connect(labelstudio.info, {}, now=labelstudio.now)
    tasks = list(labelstudio.tasks_.values())
    store.tasks.record(1, tasks, asked_at=labelstudio.now, now=labelstudio.now)
    pool = open_pool(store, 1, folder, read_all(config).kinds, lambda takes: encoder, seed=0, **options)
    pool.tasks.refresh()
    return pool


def answer(labelstudio: Any, task_id: int, *items: tuple[str, str, dict[str, Any]]) -> None:
    """Annotate a task as Label Studio writes it: (control, type, value)."""
    labelstudio.label(task_id)
    task = labelstudio.tasks_[task_id]
    result = tuple(
        {"from_name": control, "to_name": "text", "type": kind, "value": value}
        for control, kind, value in items
    )
    labelstudio.tasks_[task_id] = replace(task, annotations=(replace(task.annotations[-1], result=result),))


def test_each_control_keeps_its_own_answers(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """The first drives the queue; a task that has no answer to it is answered, and not labelled."""
    answer(
        labelstudio,
        1,
        ("label", "choices", {"choices": ["dog"]}),
        ("moods", "choices", {"choices": ["loud", "calm"]}),
        ("stars", "rating", {"rating": 4}),
    )
    answer(labelstudio, 2, ("stars", "rating", {"rating": 1}))
    pool = opened(store, labelstudio, encoder, tmp_path, SEVERAL)
    moods, stars = pool.others
    assert pool.kind.control == "label"
    assert np.flatnonzero(pool.labelled).tolist() == [0]
    assert pool.targets[:2].tolist() == [1, -1]
    assert not pool.tasks.unanswered()[:2].any()
    assert moods.targets[:2].tolist() == [[True, True], [False, False]]
    assert stars.targets[:2].tolist() == [4.0, 1.0]
    assert stars.has_target[:3].tolist() == [True, True, False]
    assert pool.primary.counts(pool.tasks.live) == {"cat": 0, "dog": 1}
    assert moods.counts(pool.tasks.live) == {"calm": 1, "loud": 1}


def test_controls_on_the_same_text_share_embeddings(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """Three controls, one encoding."""
    pool = opened(store, labelstudio, encoder, tmp_path, SEVERAL)
    assert pool.encode() == len(labelstudio.tasks_)
    assert encoder.encoded == len(labelstudio.tasks_)
    for control in (pool.primary, *pool.others):
        assert np.array_equal(pool.features(np.arange(3), control), pool.embeddings[np.arange(3)])


def test_the_rows_that_were_labelled_last_are_known(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """By their annotations, whatever the order of rows; skipped ones have no label."""
    for task_id in (5, 2, 9, 4):
        labelstudio.label(task_id)
    labelstudio.label(7, skip=True)
    pool = opened(store, labelstudio, encoder, tmp_path, SEVERAL)

    def last(count: int) -> list[int]:
        return pool.tasks.ids[pool.recently_labelled(count)].tolist()

    assert (last(2), last(4), last(99), last(0)) == ([9, 4], [5, 2, 9, 4], [5, 2, 9, 4], [])


def test_one_annotator_counts_once(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> None:
    """By the latest answer, or the ground truth; answers of nobody known are all counted."""
    for label, user in (("dog", 1), ("dog", 1), ("cat", 1), ("cat", 2)):
        labelstudio.label(2, label, user=user)
    for label, user in (("dog", 1), ("cat", 2), ("cat", 2)):
        labelstudio.label(4, label, user=user)
    task = labelstudio.tasks_[4]
    marked = (task.annotations[0], replace(task.annotations[1], ground_truth=True), task.annotations[2])
    labelstudio.tasks_[4] = replace(task, annotations=marked)
    for label in ("dog", "cat", "cat"):
        labelstudio.label(6, label, user=None)
    given = opened(store, labelstudio, encoder, tmp_path, SEVERAL).primary.given
    found = {
        row: [(each.annotator, each.target, each.ground_truth) for each in given[row]] for row in (1, 3, 5)
    }
    assert found == {
        1: [(1, 0, False), (2, 0, False)],
        3: [(1, 1, False), (2, 0, True)],
        5: [(None, 1, False), (None, 0, False), (None, 0, False)],
    }


def test_what_tags_are_called_is_embedded_as_their_texts_are(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """Classes and numbers are told apart by their examples alone."""
    aliased = SEVERAL.replace('value="calm"', 'value="Calm" alias="E07"')
    kinds = {kind.control: kind for kind in read_all(aliased).kinds}
    assert kinds["moods"].labels == ("E07", "loud")
    pool = opened(store, labelstudio, encoder, tmp_path, SEVERAL)
    assert pool.label_embeddings is None
    tags = open_pool(store, 1, tmp_path, (kinds["moods"],), lambda takes: encoder, seed=0)
    found = tags.label_embeddings
    assert found is not None
    np.testing.assert_array_equal(found, encoder.encode(["calm", "loud"]))


def test_a_pair_is_embedded_as_its_difference(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """Swapping the two texts turns the embedding round; two equal texts have none."""
    texts = [("cat a", "dog b"), ("dog b", "cat a"), ("cat a", "cat a")]
    for id_, (first, second) in enumerate(texts, start=1):
        labelstudio.tasks_[id_] = replace(labelstudio.tasks_[id_], data={"text": first, "other": second})
    pool = opened(store, labelstudio, encoder, tmp_path, PAIRS)
    pool.encode()
    rows = pool.embeddings[np.arange(3)]
    assert np.allclose(rows[0], -rows[1])
    assert np.allclose(np.linalg.norm(rows[0]), 1, atol=1e-3)
    assert not rows[2].any()
    assert not difference(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)).any()


class Pictures:
    """Embeds files by their length; an empty file is broken."""

    takes = "image"
    fingerprint = "pictures"
    dimension = 2

    def encode_or_say(self, inputs: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
        sizes = [Path(each).stat().st_size for each in inputs]
        rows = np.array([[1.0, 0.0] if size else [0.0, 0.0] for size in sizes], np.float32)
        return rows, {place: "no picture" for place, size in enumerate(sizes) if size == 0}


def away() -> NextlabelError:
    """What fetching ends with where the host does not answer at the moment."""
    error = NextlabelError("no answer")
    error.passing = True  # type: ignore[attr-defined]
    return error


def test_an_image_that_cannot_be_read_stops_nobody(store: Store, labelstudio: Any, tmp_path: Path) -> None:
    """It gets an embedding of zeros, and its task and reason are kept to be told."""
    (tmp_path / "good").write_bytes(b"x")
    (tmp_path / "empty").write_bytes(b"")

    def fetch(pairs: Sequence[tuple[int, str]]) -> list[Path | NextlabelError]:
        found = {1: tmp_path / "good", 2: tmp_path / "empty"}
        return [found.get(task, NextlabelError(f"{address}: not found")) for task, address in pairs]

    pool = opened(store, labelstudio, Pictures(), tmp_path, IMAGES, fetch=fetch)
    pool.encode()
    assert pool.embeddings[np.arange(3)].tolist() == [[1, 0], [0, 0], [0, 0]]
    assert pool.unreadable[2] == "no picture"
    assert "not found" in pool.unreadable[3]
    assert 1 not in pool.unreadable


def tokens_of(texts: Sequence[str]) -> Tokens:
    """A token per character, worth its code."""
    lengths = [len(text) for text in texts]
    values = np.array([[ord(character)] for text in texts for character in text], np.float16).reshape(-1, 1)
    offsets = np.array([(i, i + 1) for text in texts for i in range(len(text))], np.int64).reshape(-1, 2)
    return Tokens(values, np.cumsum([0, *lengths]), offsets)


QUESTIONS = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6)


def check_kept(questions: list[list[int]], rows_of: Any, anew: Any, same: Any) -> None:
    """Ask `rows_of(read)` for rows, and hold what it gives against `anew(texts)`.

    Whatever is asked in whatever order, and however little fits; nothing is made twice in a row.
    """
    texts = ["".join(chr(97 + (row + i) % 26) for i in range(row % 4)) for row in range(10)]
    made: list[int] = []

    def read(rows: np.ndarray) -> list[str]:
        made.extend(rows.tolist())
        return [texts[row] for row in rows]

    rows = rows_of(read)
    for question in questions:
        same(rows(np.array(question, np.int64)), anew([texts[row] for row in question]))
    if questions and questions[-1]:
        before = len(made)
        rows(np.array(list(dict.fromkeys(questions[-1]))[-1:], np.int64))
        assert len(made) == before, "the last row asked for is still there"


@given(QUESTIONS, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_kept_tokens_are_those_that_would_be_made_anew(questions: list[list[int]], most: int) -> None:
    def same(found: Tokens, anew: Tokens) -> None:
        assert found.starts.tolist() == anew.starts.tolist()
        assert found.values.tolist() == anew.values.tolist()
        assert found.offsets.tolist() == anew.offsets.tolist()

    check_kept(questions, lambda read: TokenRows(read, tokens_of, most=most), tokens_of, same)


@given(QUESTIONS, st.integers(1, 3000))
@settings(max_examples=60, deadline=None)
def test_kept_ngrams_are_those_that_would_be_made_anew(questions: list[list[int]], most: int) -> None:
    def same(found: Any, anew: Any) -> None:
        assert found.shape == anew.shape
        assert (found != anew).nnz == 0

    check_kept(questions, lambda read: NgramRows(read, most=most), hashed, same)


def test_the_ngrams_of_texts_speak_for_tags(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """Classes have no other view; tags have one that learns from what is labelled by now."""
    tags = read_all(SEVERAL).kinds[1]
    assert opened(store, labelstudio, encoder, tmp_path, SEVERAL).other_view is None
    pool = open_pool(store, 1, tmp_path, (tags,), lambda takes: encoder, seed=0)
    pool.tasks.refresh()
    assert pool.other_view is not None
    rows, both = np.arange(30, 60), np.array([0, 1])
    assert np.isneginf(pool.other_view(rows, both)).all(), "nothing is labelled"
    for task in range(1, 21):
        moods = ["loud"] if labelstudio.tasks_[task].data["text"].startswith("dog") else ["calm"]
        answer(labelstudio, task, ("moods", "choices", {"choices": moods}))
    tasks = list(labelstudio.tasks_.values())
    store.tasks.record(1, tasks, asked_at=labelstudio.now, now=labelstudio.now)
    pool.tasks.refresh()
    said = pool.other_view(rows, both[::-1])
    dogs = np.array([str(text).startswith("dog") for text in pool.inputs(rows)])
    assert ((said[:, 0] > 0) == dogs).all()
    assert ((said[:, 1] > 0) == ~dogs).all()


def test_images_without_a_way_to_get_them_are_an_error(
    store: Store, labelstudio: Any, tmp_path: Path
) -> None:
    """Said in words, instead of rows of zeros."""
    pool = opened(store, labelstudio, Pictures(), tmp_path, IMAGES)
    with pytest.raises(NextlabelError, match="no way to get them"):
        pool.encode()


def test_an_image_whose_host_was_away_is_asked_for_again(
    store: Store, labelstudio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed in passing gets its embedding later; what is broken for good is left alone."""
    (tmp_path / "good").write_bytes(b"x")
    asked = []
    answers = {1: away(), 2: NextlabelError("broken")}

    def fetch(pairs: Sequence[tuple[int, str]]) -> list[Path | NextlabelError]:
        asked.append([task for task, _ in pairs])
        return [answers.get(task, tmp_path / "good") for task, _ in pairs]

    pool = opened(store, labelstudio, Pictures(), tmp_path, IMAGES, fetch=fetch)
    pool.encode()
    answers[1] = tmp_path / "good"
    pool.encode()
    assert len(asked) == 1, "not at once"
    monkeypatch.setattr("backend.pool.encoded.AGAIN_SECONDS", 0)
    pool.encode()
    pool.encode()
    assert asked[1:] == [[1]]
    assert pool.embeddings[np.arange(2)].tolist() == [[1, 0], [0, 0]]
    assert list(pool.unreadable) == [2]


@pytest.mark.parametrize("reopened", [False, True])
def test_an_image_whose_host_was_away_is_not_forgotten(
    store: Store, labelstudio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reopened: bool
) -> None:
    """Neither by a retry that breaks off, nor by a process that ends; and what is broken stays told."""
    monkeypatch.setattr("backend.pool.encoded.AGAIN_SECONDS", 0)
    (tmp_path / "good").write_bytes(b"x")
    answers: dict[int, Any] = {1: away(), 2: NextlabelError("broken")}

    def fetch(pairs: Sequence[tuple[int, str]]) -> list[Path | NextlabelError]:
        if answers[1] is None:
            raise NextlabelError("Label Studio is down")
        return [answers.get(task, tmp_path / "good") for task, _ in pairs]

    def opening() -> TaskPool:
        return opened(store, labelstudio, Pictures(), tmp_path, IMAGES, fetch=fetch)

    pool = opening()
    pool.encode()
    answers[1] = None
    with pytest.raises(NextlabelError, match="down"):
        pool.encode()
    answers[1] = tmp_path / "good"
    if reopened:
        with next(tmp_path.rglob("unreadable.jsonl")).open("a") as file:
            file.write('[1, "torn')
        pool = opening()
    assert pool.unreadable == {1: "no answer", 2: "broken"}
    pool.encode()
    assert pool.embeddings[np.arange(2)].tolist() == [[1, 0], [0, 0]]
    assert pool.unreadable == opening().unreadable == {2: "broken"}


def test_the_proxy_sees_an_image_that_came_late(
    store: Store, labelstudio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are held in memory for the next round's candidates are read again."""
    monkeypatch.setattr("backend.pool.encoded.AGAIN_SECONDS", 0)
    monkeypatch.setattr("backend.pool.cache.FEW", 2)
    (tmp_path / "good").write_bytes(b"x")
    answers: dict[int, Any] = {1: away()}

    def fetch(pairs: Sequence[tuple[int, str]]) -> list[Path | NextlabelError]:
        return [answers.get(task, tmp_path / "good") for task, _ in pairs]

    class Echo:
        def predict(self, features: Any) -> Gaussian:
            return Gaussian(features[:, 0], features[:, 0])

    pool = opened(store, labelstudio, Pictures(), tmp_path, IMAGES, fetch=fetch)
    pool.encode()
    pool.primary.head = Echo()  # type: ignore[assignment]
    rows = np.arange(len(pool.tasks.live))
    assert pool.predict(rows).mean[:3].tolist() == [0, 1, 1]
    answers.clear()
    pool.encode()
    assert pool.predict(rows).mean[:3].tolist() == [1, 1, 1]


class Doubter:
    """A head that wants embeddings whatever is asked for."""

    on_embeddings = True

    def predict(self, features: Any) -> Gaussian:
        assert isinstance(features, np.ndarray)
        return Gaussian(np.zeros(len(features), np.float32), np.ones(len(features), np.float32))


def test_a_model_elsewhere_is_asked_by_embeddings_of_texts_with_spans_too(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """It knows texts; their words are not embedded for it."""
    config = """<View><Text name="text" value="$text"/>
    <Labels name="label" toName="text"><Label value="cat"/><Label value="dog"/></Labels></View>"""
    pool = opened(store, labelstudio, encoder, tmp_path, config)
    pool.encode()
    pool.head = Doubter()  # type: ignore[assignment]
    assert len(pool.predict(np.arange(3))) == 3


def test_answers_move_to_the_row_of_the_new_content(
    store: Store, labelstudio: Any, encoder: Any, tmp_path: Path
) -> None:
    """Who answered an edited task, and with which unknown label, is kept of the row that lives, once."""
    answer(labelstudio, 1, ("label", "choices", {"choices": ["cat"]}))
    answer(labelstudio, 2, ("label", "choices", {"choices": ["horse"]}))
    pool = opened(store, labelstudio, encoder, tmp_path, SEVERAL)
    assert (list(pool.primary.given), list(pool.primary.unknown)) == ([0], [1])
    now, end = labelstudio._tick(), len(pool)
    edited = [replace(labelstudio.tasks_[id_], data={"text": f"new {id_}"}, updated_at=now) for id_ in (1, 2)]
    store.tasks.record(1, edited, asked_at=now, now=now)
    pool.tasks.refresh()
    assert (list(pool.primary.given), list(pool.primary.unknown)) == ([end], [end + 1])
    store.tasks.remove(1, [1, 2], now=labelstudio._tick())
    pool.tasks.refresh()
    assert (pool.primary.given, pool.primary.unknown_labels) == ({}, [])
