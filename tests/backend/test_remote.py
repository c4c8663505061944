"""ML backends elsewhere: asked as Label Studio asks, believed only after a look, every failure one line."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Response, jsonify, redirect
from hypothesis import given
from hypothesis import strategies as st
from small_ml_backend import SmallMlBackend, box, boxes, prediction

from backend.domain import ConfigError
from backend.labels import LabelKind
from backend.labels import read as read_label_config
from backend.models.remote import MlBackend, RemoteError, RemoteProject, open_remote, read_options
from backend.models.remote.doubt import DOUBTS
from backend.models.remote.reading import Answer, confidences, read_predictions, refuse_foreign

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels>
</View>"""
PROJECT = RemoteProject("7.1700000000", CONFIG, "http://ls.example.org")


@pytest.fixture(scope="module")
def kind() -> LabelKind:
    return read_label_config(CONFIG)


@pytest.fixture
def start() -> Iterator[Callable[..., SmallMlBackend]]:
    running: list[SmallMlBackend] = []

    def make(predict: Any = lambda task: boxes([0.9]), **options: Any) -> SmallMlBackend:
        running.append(SmallMlBackend(predict, **options))
        return running[-1]

    yield make
    for each in running:
        each.close()


@pytest.fixture
def ask() -> Iterator[Callable[..., Any]]:
    """Ask a backend about three tasks."""
    opened: list[MlBackend] = []

    def predict(url: str, count: int = 3, **options: Any) -> Any:
        opened.append(MlBackend(url, **options))
        tasks = [{"id": number, "data": {"image": f"/data/upload/{number}.png"}} for number in range(count)]
        return opened[-1].predict(PROJECT, tasks)

    yield predict
    for each in opened:
        each.close()


# --- the protocol ----------------------------------------------------------------------------------


def test_it_is_asked_as_label_studio_asks(start: Any, ask: Any) -> None:
    """The same bodies; Label Studio's token stays here unless it is wanted."""
    backend = start(lambda task: boxes([task["id"] / 10]))
    client = MlBackend(f"{backend.url}/")
    client.health()
    assert client.setup(PROJECT) == "v1"
    client.close()
    assert backend.asked["/setup"] == [
        {
            "project": "7.1700000000",
            "schema": CONFIG,
            "hostname": "http://ls.example.org",
            "access_token": "",
            "extra_params": None,
        }
    ]
    answers = ask(backend.url)
    assert [answer.items[0]["score"] for answer in answers] == [0.0, 0.1, 0.2]
    [body] = backend.asked["/predict"]
    assert body["label_config"] == CONFIG
    assert body["project"] == "7.1700000000"
    assert body["params"] == {"login": None, "password": None, "context": None}
    assert body["tasks"][2]["data"] == {"image": "/data/upload/2.png"}
    assert (body["tasks"][2]["id"], body["tasks"][2]["project"]) == (2, 7)


def test_a_backend_that_answers_one_task_at_a_time_is_asked_one_at_a_time(start: Any) -> None:
    """As Label Studio does; it learns that from the first answer."""
    backend = start(lambda task: boxes([task["id"] / 10]))
    backend.first_only = True
    client = MlBackend(backend.url)
    for _ in range(2):
        answers = client.predict(PROJECT, [{"id": n, "data": {}} for n in range(3)])
        assert [answer.items[0]["score"] for answer in answers] == [0.0, 0.1, 0.2]
    assert [len(body["tasks"]) for body in backend.asked["/predict"]] == [3, 1, 1, 1, 1, 1, 1]
    client.close()


def test_it_logs_in_by_basic_authentication(start: Any, ask: Any) -> None:
    backend = start(login="secret-word")
    assert len(ask(backend.url, user="me", password="secret-word")) == 3
    for options in ({}, {"user": "me", "password": "wrong-word"}):
        with pytest.raises(RemoteError, match=r"HTTP 401, .*; set NEXTLABEL_REMOTE_USER") as raised:
            ask(backend.url, **options)
        assert "word" not in str(raised.value)


@pytest.mark.parametrize("version", [None, "", "v7", 3])
def test_a_version_may_be_anything(start: Any, version: Any) -> None:
    backend = start(version=version)
    client = MlBackend(backend.url)
    assert client.setup(PROJECT) == str(version or "")
    client.close()


# --- what goes wrong -------------------------------------------------------------------------------


def raw(text: str, status: int = 200, kind: str = "application/json") -> Callable[[], Response]:
    return lambda: Response(text, status, content_type=kind)


def answering(*results: Any) -> Callable[[], Any]:
    return lambda: jsonify({"results": list(results)})


GOOD = boxes([0.9])
BAD_ANSWERS: list[tuple[Callable[[], Any], str]] = [
    (
        raw("<html><title>Welcome</title></html>", kind="text/html"),
        "page 'Welcome'; is this the address of",
    ),
    (raw("", 500), "HTTP 500"),
    (raw('{"error": "CUDA out of memory"}', 500), "HTTP 500, CUDA out of memory"),
    (raw("not found", 404, "text/plain"), "HTTP 404"),
    (raw("{", 200), "is this the address of an ML backend?"),
    (raw('{"results": [NaN]}'), "is this the address of an ML backend?"),
    (raw("[" * 100_000), "is this the address of an ML backend?"),
    (lambda: redirect("http://example.org/"), "HTTP 302, redirected; give the address that it ends at"),
    (lambda: jsonify([]), "answered []; expected {'results': [...]}"),
    (lambda: jsonify({"results": None}), "expected {'results': [...]}"),
    (lambda: jsonify({"results": "many"}), "expected {'results': [...]}"),
    (answering(), "answered 0 results for 3 tasks; expected exactly one per task"),
    (answering(GOOD, GOOD), "answered 2 results for 3 tasks; expected exactly one per task"),
    (answering(*[GOOD] * 4), "answered 4 results for 3 tasks"),
    (answering(GOOD, GOOD, "cat"), 'task 2: answered "cat"; expected'),
    (answering(GOOD, GOOD, {"score": 0.5}), "task 2: answered"),
    (answering(GOOD, {"result": "cat"}, GOOD), 'task 1: result is "cat"; expected a list'),
    (answering(GOOD, {"result": ["cat"]}, GOOD), 'task 1: result item "cat"; expected from_name'),
    (answering({"result": [{**box("cat", 0.5), "value": 3}]}, GOOD, GOOD), "task 0: result item"),
    (answering({"result": [{**box("cat", 0.5), "type": None}]}, GOOD, GOOD), "type null; expected a text"),
    (
        answering(GOOD, GOOD, prediction(box("cat", 87.3))),
        "task 2: score is 87.3; expected a number",
    ),
    (answering(GOOD, GOOD, prediction(box("cat", -0.1))), "score is -0.1"),
    (answering(GOOD, GOOD, prediction(score=2)), "task 2: score is 2; expected a number from 0 to 1"),
    (answering(GOOD, GOOD, {"result": [{**box("cat", 0), "score": "high"}]}), 'score is "high"'),
    (answering(GOOD, GOOD, {"result": [{**box("cat", 0), "score": True}]}), "score is true"),
]


@pytest.mark.parametrize(("answer", "said"), BAD_ANSWERS, ids=range(len(BAD_ANSWERS)))
def test_an_answer_that_nobody_can_use_is_one_clear_line(
    start: Any, ask: Any, answer: Any, said: str
) -> None:
    """Which backend, what was asked, what came back, what was expected."""
    backend = start()
    backend.misbehave["/predict"] = answer
    with pytest.raises(RemoteError) as raised:
        ask(backend.url)
    message = str(raised.value)
    assert message.startswith(f"ML backend at {backend.url}: POST /predict: "), message
    assert said in message
    assert "\n" not in message
    assert len(message) < 700


def test_a_bad_setup_is_said(start: Any) -> None:
    backend = start()
    client = MlBackend(backend.url)
    backend.misbehave["/setup"] = lambda: jsonify([1])
    with pytest.raises(RemoteError, match=r"POST /setup: answered a list; expected an object"):
        client.setup(PROJECT)
    client.close()


def test_down_slow_dripping_and_huge_are_said(start: Any, ask: Any) -> None:
    """Silence, an answer byte by byte, and one without end are given up at their limits."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(RemoteError, match=f"ML backend at http://127.0.0.1:{port}: POST /predict: "):
        ask(f"http://127.0.0.1:{port}")
    backend = start()
    backend.misbehave["/predict"] = lambda: (time.sleep(1), jsonify({}))[1]
    with pytest.raises(RemoteError, match=r"no answer within 0\.2 s"):
        ask(backend.url, timeout=0.2)

    def drip() -> Iterator[bytes]:
        for _ in range(100):
            yield b" "
            time.sleep(0.05)

    backend.misbehave["/predict"] = lambda: Response(drip(), content_type="application/json")
    with pytest.raises(RemoteError, match=r"no answer within 0\.3 s"):
        ask(backend.url, timeout=0.3)
    backend.misbehave["/predict"] = lambda: Response(b" " * 100_000 for _ in range(1000))
    with pytest.raises(RemoteError, match=r"more than 1 MB \(max_answer_mb\)"):
        ask(backend.url, most_bytes=1_000_000)


def test_no_prediction_and_several_are_read(start: Any, ask: Any) -> None:
    """null is an empty prediction; of several of one task the first counts; extra fields do not matter."""
    answers = [None, [boxes([0.3]), boxes([0.8])], {"result": None, "score": 0.0, "cluster": 3}]
    backend = start(lambda task: answers[task["id"]])
    none, several, empty = ask(backend.url)
    assert none == Answer()
    assert [item["score"] for item in several.items] == [0.3]
    assert empty == Answer((), 0.0)


JSONS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["results", "result", "score", "value", "type", "from_name"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSONS)
def test_whatever_is_answered_is_read_or_refused(answer: Any) -> None:
    """A RemoteError of one line, or answers of the form that is promised."""
    for given_answer in (answer, {"results": answer}, {"results": [answer, {"result": [answer]}]}):
        try:
            found = read_predictions(given_answer, [1, 2], "asked")
        except RemoteError:
            continue
        for each in found or ():
            assert each.score is None or 0 <= each.score <= 1
            assert all(isinstance(item["value"], dict) for item in each.items)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "remote: no url; expected the address of an ML backend"),
        ({"url": "localhost:9091"}, "remote: url is 'localhost:9091'; expected the address"),
        ({"url": 3}, "remote: url is 3"),
        ({"url": "http://me:secret@host"}, "holds credentials; expected them in the environment"),
        ({"url": "http://host:port/"}, "remote: url is 'http://host:port/'"),
        ({"url": "http://h", "bacth": 3}, "unknown option of 'remote': 'bacth'; did you mean 'batch'?"),
        ({"url": "http://h", "batch": 0}, "remote: batch is 0; expected a whole number from 1 to 1000"),
        ({"url": "http://h", "batch": 2.5}, "remote: batch is 2.5; expected a whole number"),
        ({"url": "http://h", "timeout_seconds": "3"}, "remote: timeout_seconds is '3'; expected a number"),
        ({"url": "http://h", "seconds": math.nan}, "remote: seconds is nan"),
        (
            {"url": "http://h", "uncertainty": "max"},
            "uncertainty is 'max'; expected least or mean or sum",
        ),
        ({"url": "http://h", "send_token": 1}, "remote: send_token is 1; expected true or false"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(options)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


# --- what an answer is worth -----------------------------------------------------------------------


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8), st.floats(0, 2))
def test_doubts_are_what_the_words_say(sure: list[float], empty: float) -> None:
    """Twin in plain words; no region counts as `empty` of one, and no score as one half."""
    filled = [0.5 if math.isnan(each) else each for each in sure]
    lacks = np.array([1 - each for each in filled])
    assert DOUBTS["sum"](sure, empty) == pytest.approx(lacks.sum() if sure else empty)
    assert DOUBTS["mean"](sure, empty) == pytest.approx(lacks.mean() if sure else empty)
    assert DOUBTS["least"](sure, empty) == pytest.approx(lacks.max() if sure else empty)


def test_a_region_s_own_score_goes_before_the_prediction_s(kind: LabelKind) -> None:
    """0 as the whole's score is what the backends' library writes where none was given."""
    items = (box("cat", 0.9), box("dog", None), box("cow", 0.1), box("cat", 0.7, control="other"))
    assert confidences(Answer(items, 0.6), kind) == (0.9, 0.6)
    assert confidences(Answer((box("dog", None), box("dog", 0.0)), 0.0), kind) == pytest.approx(
        (math.nan, 0.0), nan_ok=True
    )
    assert confidences(Answer((), 0.3), kind) == ()


def test_labels_of_another_project_are_refused(kind: LabelKind) -> None:
    """All of them; a few that are not ours are left out of what can be read."""
    refuse_foreign([Answer((box("cow", 0.5),)), Answer((box("cat", 0.5),))], kind, "http://h")
    refuse_foreign([Answer(), Answer()], kind, "http://h")
    for items, said in (
        ((box("cow", 0.5), box("emu", 0.5)), "answers 'box' with the labels cow, emu; expected cat, dog"),
        ((box("cat", 0.5, control="tag"),), "answers about tag; expected from_name 'box' with cat, dog"),
        (({**box("cat", 0.5), "type": "polygonlabels"},), "answers 'box' with {\"from_name\""),
    ):
        with pytest.raises(RemoteError) as raised:
            refuse_foreign([Answer(items)], kind, "http://h")
        assert said in str(raised.value)


# --- other forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "item", "target"),
    [
        (
            '<View><Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="yes"/>'
            '<Choice value="no"/></Choices></View>',
            {"from_name": "c", "to_name": "t", "type": "choices", "value": {"choices": ["no"]}, "score": 0.8},
            1,
        ),
        (
            '<View><Text name="t" value="$t"/><Rating name="c" toName="t" maxRating="5"/></View>',
            {"from_name": "c", "to_name": "t", "type": "rating", "value": {"rating": 4}, "score": 0.8},
            4.0,
        ),
    ],
)
def test_classes_and_numbers_become_pre_annotations_too(
    start: Any, tmp_path: Path, config: str, item: dict[str, Any], target: Any
) -> None:
    """Any kind whose target can be read from result items."""
    kind = read_label_config(config)
    backend = start(lambda task: prediction(item) if task["id"] else prediction())
    project = RemoteProject("1.1", config)
    scorer = open_remote({"url": backend.url}, kind, project, tmp_path)
    scorer.answer(np.array([0, 1]), tasks_of)
    results = scorer.results(np.array([0, 1, 2]))
    assert results.keys() == {0, 1}
    assert results[0] == ()
    assert kind.target(results[1]) == target
    assert results[1][0]["score"] == pytest.approx(0.8)
    scorer.close()


def tasks_of(rows: Any) -> list[dict[str, Any]]:
    return [{"id": int(row), "data": {"t": f"text {row}", "image": f"/data/{row}.png"}} for row in rows]
