"""A queue driven by an ML backend elsewhere: what is asked, what is kept, what is foretold."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ml_backend import SmallMlBackend, box, boxes, prediction

from backend.domain import StoreError
from backend.labels import read as read_label_config
from backend.models.remote import Answer, RemoteError, RemoteProject, RemoteScorer, open_remote
from backend.models.remote.answer_log import AnswerLog
from backend.models.remote.ridge import FEWEST, STRENGTHS, Ridge
from strategies.pool import ArrayPool
from strategies.registry import build
from strategies.types import BadInput, Floats

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels>
  <Choices name="day" toName="image"><Choice value="yes"/><Choice value="no"/></Choices>
</View>"""
KIND = read_label_config(CONFIG, primary="box")
PROJECT = RemoteProject("7.1700000000", CONFIG)


def rows_of(n: int = 200, seed: int = 0) -> Floats:
    """Embeddings of unit length; the doubt rises with the first coordinate."""
    rows = np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


EMBEDDINGS = rows_of()
EVERY = np.arange(len(EMBEDDINGS))


def doubts(rows: Any = EVERY) -> Any:
    return 0.5 + 0.4 * EMBEDDINGS[rows, 0]


def tasks(rows: Any) -> list[dict[str, Any]]:
    return [{"id": 1000 + int(row), "data": {"image": f"/data/{row}.png"}} for row in rows]


def unsure(task: dict[str, Any]) -> Any:
    return boxes([1 - float(doubts(task["id"] - 1000))])


@pytest.fixture
def backend() -> Iterator[SmallMlBackend]:
    running = SmallMlBackend(unsure)
    yield running
    running.close()


@pytest.fixture
def scorer(backend: SmallMlBackend, tmp_path: Path) -> Iterator[Callable[..., RemoteScorer]]:
    opened: list[RemoteScorer] = []

    def make(clock: Callable[[], float] = lambda: 0.0, **options: Any) -> RemoteScorer:
        given_options = {"url": backend.url, "sample": 40, "batch": 4, **options}
        opened.append(open_remote(given_options, KIND, PROJECT, tmp_path, clock=clock))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- asking ----------------------------------------------------------------------------------------


def test_a_bounded_spread_out_part_is_asked_about_once(scorer: Any, backend: SmallMlBackend) -> None:
    """`sample` rows at first, then a batch a round; none twice; farther apart than rows drawn at random."""
    scoring = scorer(sample=20, batch=8)
    asked = scoring.look(EVERY[:150], EMBEDDINGS, tasks, rng())
    assert (asked.new, asked.left, asked.known) == (20, 0, 20)
    assert [len(body["tasks"]) for body in backend.asked["/predict"]] == [8, 8, 4]
    first = np.array(backend.tasks()) - 1000
    assert first.max() < 150

    def apart(rows: Any) -> float:
        similar = EMBEDDINGS[rows] @ EMBEDDINGS[rows].T - 2 * np.eye(len(rows))
        return float(similar.max(axis=1).mean())

    at_random = [apart(rng().choice(150, 20, replace=False)) for _ in range(5)]
    assert apart(first) < min(at_random)
    scoring.look(EVERY[:150], EMBEDDINGS, tasks, rng())
    assert len(set(backend.tasks())) == len(backend.tasks()) == 28
    for _ in range(16):
        scoring.look(EVERY[:150], EMBEDDINGS, tasks, rng())
    assert sorted(backend.tasks()) == [1000 + row for row in range(150)]


def test_the_front_is_asked_about_in_its_order(scorer: Any, backend: SmallMlBackend) -> None:
    scoring = scorer(batch=3)
    asked = scoring.answer(np.array([9, 2, 5, 7]), tasks)
    assert backend.tasks() == [1009, 1002, 1005, 1007]
    assert (asked.new, asked.known) == (4, 4)
    assert scoring.answer(np.array([2, 9, 1]), tasks).new == 1


def test_time_is_bounded_and_what_is_left_comes_later(scorer: Any, backend: SmallMlBackend) -> None:
    """A slow backend holds a round for `seconds` at most, and one batch is always asked about."""
    now = iter(range(1000))
    scoring = scorer(clock=lambda: next(now), batch=2, seconds=2.5)
    asked = scoring.answer(EVERY[:20], tasks)
    assert (asked.new, asked.left) == (6, 14)
    assert scorer(clock=lambda: 0.0, batch=2, seconds=0).answer(EVERY[100:120], tasks).new == 20


def test_answers_survive_a_restart_and_a_new_model_version_begins_anew(
    scorer: Any, backend: SmallMlBackend
) -> None:
    """To ask again may take seconds a picture; but a retrained model says something else."""
    scorer().look(EVERY, EMBEDDINGS, tasks, rng())
    asked = len(backend.tasks())
    again = scorer()
    assert again.answer(np.array(backend.tasks()) - 1000, tasks).new == 0
    assert len(backend.tasks()) == asked
    backend.version = "v2"
    assert again.answer(EVERY[:5], tasks).new == 5
    assert (again.version, again.known) == ("v2", 5)
    assert not again.can_predict()
    again.look(EVERY, EMBEDDINGS, tasks, rng())
    assert again.figures()["remote_version"] == "v2"


def test_a_broken_backend_leaves_what_is_known(scorer: Any, backend: SmallMlBackend) -> None:
    """The round fails; the next one, once the backend is well, goes on."""
    scoring = scorer(batch=4)
    scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    before = scoring.predict(EMBEDDINGS).sd
    for path in ("/setup", "/predict"):
        backend.misbehave[path] = lambda: ("out of memory", 500)
        with pytest.raises(RemoteError, match="HTTP 500"):
            scoring.look(EVERY, EMBEDDINGS, tasks, rng())
        np.testing.assert_array_equal(scoring.predict(EMBEDDINGS).sd, before)
        assert scoring.known == 40
        del backend.misbehave[path]
    assert scoring.look(EVERY, EMBEDDINGS, tasks, rng()).known == 44


def test_labels_of_another_project_are_never_kept(scorer: Any, backend: SmallMlBackend) -> None:
    """The error comes each round, until the backend speaks of our labels; some unknown ones are noted."""
    scoring = scorer(sample=4, batch=2)
    backend.predict = lambda task: prediction(box("cow", 0.9))
    for _ in range(2):
        with pytest.raises(RemoteError, match=r"answers 'box' with the labels cow; expected cat, dog"):
            scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    assert scoring.known == 0
    backend.predict = lambda task: prediction(box("cow", 0.9), box("dog", 0.4))
    scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    assert scoring.unknown_labels == ("cow",)
    assert scoring.figures()["remote_unknown_labels"] == ["cow"]
    row = backend.tasks()[-1] - 1000
    [result] = scoring.results(np.array([row]))[row]
    assert result["value"]["rectanglelabels"] == ["dog"]
    assert scoring.predict(EMBEDDINGS[[row]]).sd[0] == pytest.approx(0.6)


def test_nothing_found_anywhere_is_no_error(scorer: Any, backend: SmallMlBackend) -> None:
    """A detector may see nothing in all pictures: all are equally in doubt, as configured."""
    backend.predict = lambda task: prediction()
    scoring = scorer(empty=0.7)
    scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    np.testing.assert_allclose(scoring.predict(EMBEDDINGS).sd, 0.7, rtol=1e-6)


def test_a_stop_between_two_batches_keeps_the_first(backend: SmallMlBackend, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def pause() -> None:
        if len(backend.tasks()) >= 16:
            raise Stop

    seen: list[tuple[str, int, int | None]] = []
    scoring = open_remote(
        {"url": backend.url},
        KIND,
        PROJECT,
        tmp_path,
        progress=lambda *step: seen.append(step),
        pause=pause,
    )
    with pytest.raises(Stop):
        scoring.answer(EVERY, tasks)
    assert scoring.known == 16
    assert seen == [("ask the ML backend", 0, 200), ("ask the ML backend", 8, 200)]
    scoring.close()


# --- telling ---------------------------------------------------------------------------------------


def test_doubts_are_as_answered_or_foretold_from_embeddings(scorer: Any, backend: SmallMlBackend) -> None:
    """Known rows exactly; the others near, for they follow from what the embeddings hold."""
    scoring = scorer(sample=60)
    with pytest.raises(RemoteError, match="has answered nothing yet"):
        scoring.predict(EMBEDDINGS)
    scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    known = np.isin(EVERY, np.array(backend.tasks()) - 1000)
    found = scoring.predict(EMBEDDINGS).sd
    np.testing.assert_allclose(found[known], doubts()[known], atol=1e-6)
    np.testing.assert_allclose(found[~known], doubts()[~known], atol=0.02)
    beside = (EMBEDDINGS * np.float32(1 + 1e-5)).astype(np.float32)  # no rows of the pool
    np.testing.assert_allclose(scoring.predict(beside).sd[~known], found[~known], atol=1e-4)
    assert np.abs(scoring.predict(beside).sd - doubts()).max() > 1e-5
    assert scoring.predict(EMBEDDINGS[:0]).sd.shape == (0,)
    assert scoring.explained > 0.98
    assert (found >= 0).all()


@pytest.mark.parametrize("strategy", ["auto", "margin", "uncertainty_k_center(entropy)", "coverage(margin)"])
def test_any_strategy_ranks_by_it(scorer: Any, strategy: str) -> None:
    """The queue is led by the doubts that nobody has asked about, too."""
    scoring = scorer(sample=60)
    scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    pool = ArrayPool(EMBEDDINGS, np.arange(len(EVERY)) < 20, scoring.predict)
    ranking = build(strategy)(pool, pool.candidates, 30, rng())
    assert doubts(ranking.positions).mean() > doubts(pool.candidates).mean() + 0.02


def test_pre_annotations_of_several_controls(scorer: Any, backend: SmallMlBackend) -> None:
    """Each control reads its own items out of one answer; rows not asked about have none."""
    day = {"from_name": "day", "to_name": "image", "type": "choices", "value": {"choices": ["no"]}}
    backend.predict = lambda task: prediction(box("cat", 0.9), box("dog", 0.3), day, score=0.8)
    scoring = scorer()
    scoring.answer(np.array([3, 4]), tasks)
    results = scoring.results(np.array([3, 4, 5]))
    assert results.keys() == {3, 4}
    assert [item["value"]["rectanglelabels"] for item in results[3]] == [["cat"], ["dog"]]
    assert [item["score"] for item in results[3]] == [0.9, 0.3]
    other = scoring.results(np.array([3]), read_label_config(CONFIG, primary="day"))
    assert other[3][0]["value"] == {"choices": ["no"]}
    assert other[3][0]["score"] == pytest.approx(0.8)


# --- the answers on the disk -----------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_log_torn_anywhere_keeps_all_whole_answers(tmp_path_factory: Any, data: st.DataObject) -> None:
    """A kill in the middle of a write costs the last answer at most."""
    folder = tmp_path_factory.mktemp("log")
    log = AnswerLog(folder, "a")
    answers = [Answer((box("cat", 0.25, note="ü\n" * row),), 0.5) for row in range(5)]
    for row, answer in enumerate(answers):
        log.add([row], [answer], [(0.25, float("nan"))])
    [file] = folder.iterdir()
    content = file.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    file.write_bytes(content[:cut] + data.draw(st.sampled_from([b"", b"\n", b"{}\n", b'{"row":', b"\x00"])))
    again = AnswerLog(folder, "a")
    assert again.rows() == list(range(len(again)))
    ends = [content.find(b"\n", content.find(b'{"row": %d' % row)) for row in range(5)]
    assert len(again) >= sum(end + 1 <= cut and content.find(b"\n", end + 1) < cut for end in ends)
    again.add([9], [Answer()], [()])
    whole = AnswerLog(folder, "a")
    for row in again.rows()[:-1]:
        assert whole.answer(row) == answers[row]
        assert whole.confidences(row)[0] == 0.25
    assert whole.answer(9) == Answer()


def test_answers_that_a_full_disk_did_not_take_are_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked for again, and what is written afterwards is found again."""
    log = AnswerLog(tmp_path, "a")
    log.add([0], [Answer((box("cat", 0.25),), 0.5)], [(0.25,)])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            log.add([1, 2], [Answer(), Answer()], [(), ()])
    assert log.rows() == [0]
    log.add([3], [Answer()], [()])
    assert AnswerLog(tmp_path, "a").rows() == [0, 3]


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a file to write to"):
        AnswerLog(tmp_path / "file" / "below", "a")


# --- ridge regression ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(FEWEST, 25), st.integers(1, 12), st.sampled_from([0.0, 0.1, 3.0]))
def test_ridge_is_the_best_by_leaving_each_row_out(seed: int, n: int, d: int, noise: float) -> None:
    """Twin: fit n times without one row, by the normal equations, for every strength and for the mean."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(n, d)).astype(np.float32)
    values = rows.astype(float) @ draw.normal(size=d) + 1 + noise * draw.normal(size=n)

    def fitted(keep: Any, strength: float) -> Any:
        x, y = rows[keep].astype(float), values[keep]
        center, mean = x.mean(axis=0), y.mean()
        weights = np.zeros(d)
        if np.isfinite(strength):
            products = (x - center).T @ (x - center)
            weights = np.linalg.solve(products + strength * np.eye(d), (x - center).T @ (y - mean))
        return weights, mean - center @ weights

    def error(strength: float) -> float:
        total = 0.0
        for row in range(n):
            weights, bias = fitted(np.arange(n) != row, strength)
            total += float(rows[row].astype(float) @ weights + bias - values[row]) ** 2
        return total

    # leaving a row out moves the center of the others: the one-pass form keeps the penalty on the same center
    errors = {strength: error(strength) for strength in (*STRENGTHS, np.inf)}
    found = Ridge.fit(rows, values)
    best = min(errors.values())
    assert errors[found.strength] <= best * 1.0001 + 1e-9
    weights, bias = fitted(np.arange(n) >= 0, found.strength)
    np.testing.assert_allclose(found.predict(rows), rows @ weights + bias, atol=1e-3)
    assert found.explained == pytest.approx(1 - errors[found.strength] / errors[np.inf], abs=1e-5)


def test_ridge_without_a_pattern_is_the_mean() -> None:
    """Noise, too few rows, or the same value everywhere."""
    noise = rng().normal(size=200)
    found = Ridge.fit(EMBEDDINGS, noise)
    assert found.explained < 0.1
    assert Ridge.fit(EMBEDDINGS[: FEWEST - 1], noise[: FEWEST - 1]).strength == np.inf
    same = Ridge.fit(EMBEDDINGS, np.full(200, 0.3))
    np.testing.assert_allclose(same.predict(EMBEDDINGS), 0.3)
    with pytest.raises(BadInput, match=r"expected \(m, d\) and \(m,\), m > 0"):
        Ridge.fit(EMBEDDINGS[:0], noise[:0])
    with pytest.raises(BadInput, match=r"expected \(n, 8\)"):
        same.predict(EMBEDDINGS[:, :3])


# --- what people corrected -------------------------------------------------------------------------


def test_doubts_are_calibrated_by_what_people_corrected(scorer: Any, backend: SmallMlBackend) -> None:
    """A detector that is sure of the wrong pictures: corrections turn the order round, once there are 20."""
    backend.predict = lambda task: boxes([0.9, 0.9] if task["id"] % 2 else [0.4])
    scoring = scorer(sample=60)
    wrong = {row: 3.0 if (1000 + row) % 2 else 1.0 for row in EVERY.tolist()}
    scoring.look(EVERY, EMBEDDINGS, tasks, rng())
    known = [id_ - 1000 for id_ in backend.tasks()]
    assert not scoring.figures()["remote_calibrated"]
    np.testing.assert_allclose(
        scoring.predict(EMBEDDINGS[known]).sd, [0.1 if r % 2 else 0.6 for r in known], atol=1e-6
    )

    def corrected(count: int) -> Any:
        return lambda: {row: wrong[row] for row in known[:count]}

    scoring.look(EVERY, EMBEDDINGS, tasks, rng(), corrections=corrected(19))
    assert not scoring.calibrated
    scoring.look(EVERY, EMBEDDINGS, tasks, rng(), corrections=corrected(30))
    assert scoring.calibrated
    found = scoring.predict(EMBEDDINGS[known]).sd
    np.testing.assert_allclose(found, [wrong[row] for row in known], atol=0.1)
    plain = scorer(calibrate=False)
    plain.look(EVERY, EMBEDDINGS, tasks, rng(), corrections=corrected(30))
    assert not plain.calibrated


def test_corrections_that_confidences_tell_nothing_of_change_nothing(
    scorer: Any, backend: SmallMlBackend
) -> None:
    """Corrections that nothing tells of, and the same confidences everywhere: the doubt is what they lack."""
    backend.predict = lambda task: boxes([0.7])
    scoring = scorer(sample=60)
    scoring.look(EVERY, EMBEDDINGS, tasks, rng(), corrections=lambda: dict.fromkeys(range(200), 2.0))
    assert not scoring.calibrated
    np.testing.assert_allclose(scoring.predict(EMBEDDINGS).sd, 0.3, atol=1e-5)
