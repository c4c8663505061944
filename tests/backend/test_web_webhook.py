"""Webhooks: every action, every payload that Label Studio sends, and those that nobody should."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.domain import Project, Task
from backend.store import Store
from backend.web import WebSettings, create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET, OTHER_SECRET, LIMIT = "a webhook's secret", "another's", 20_000


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    file = tmp_path_factory.mktemp("template") / "store.db"
    store = Store.open(f"sqlite:///{file}")
    for id_, secret in ((1, SECRET), (2, OTHER_SECRET), (3, None)):
        store.projects.connect(Project(id_, f"p{id_}", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
        store.projects.set_webhook(id_, 7, secret)
    store.projects.connect(Project(4, "p4", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    store.projects.disconnect(4)
    tasks = [Task(id_, {"text": str(id_)}, NOW) for id_ in (11, 12)]
    store.tasks.record(1, tasks, asked_at=NOW - timedelta(hours=1), now=NOW)
    store.close()
    return file


@pytest.fixture
def store(template, tmp_path):
    store = Store(f"sqlite:///{shutil.copy(template, tmp_path / 'store.db')}")
    yield store
    store.close()


@pytest.fixture
def client(store):
    """A client of an app that always waits until its webhook is written: what follows may look at once."""
    settings = WebSettings("operator", LIMIT, patience_seconds=60)
    return create_app(store, settings, now=lambda: NOW).test_client()


def annotation(id_=5, task=11, **changes):
    times = {"created_at": "2026-03-01T10:00:00.123456Z", "updated_at": "2026-03-01T10:00:00.123456Z"}
    result = [{"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["a"]}}]
    flags = {"was_cancelled": False, "ground_truth": False, "completed_by": 1, "lead_time": 3.5}
    return {"id": id_, "task": task, "project": 1, "result": result} | flags | times | changes


def post(client, body, *, secret=SECRET, **extra):
    headers = {} if secret is None else {"X-Nextlabel-Secret": secret}
    data = body if isinstance(body, bytes) else json.dumps(body)
    return client.post("/webhook", data=data, headers=headers, **extra)


def event(action="ANNOTATION_CREATED", **body):
    return {"action": action, "project": {"id": 1, "token": "t0ken"}, **body}


def answers(store, task=11, project=1):
    return store.annotations.of_tasks(project, [task]).get(task, [])


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"])
def test_one_annotation_is_stored_as_it_came(client, store, action):
    assert post(client, event(action, annotation=annotation(), task={"id": 11})).json == {"status": "stored"}
    (answer,) = answers(store)
    assert answer.result[0]["value"] == {"choices": ["a"]}
    assert answer.updated_at == datetime(2026, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert store.projects.get(1).webhook_seen_at == NOW


def test_a_webhook_raises_the_projects_change_once_however_often_it_comes(client, store):
    before = store.projects.get(1).change
    for _ in range(3):
        assert post(client, event(annotation=annotation())).status_code == 200
    assert store.projects.get(1).change == before + 1


def test_annotations_created_carries_a_list_under_the_singular_key(client, store):
    """That is how Label Studio 1.23 sends predictions that were turned into annotations."""
    body = event("ANNOTATIONS_CREATED", annotation=[annotation(5), annotation(6, task=12)], task=[{}, {}])
    assert post(client, body).status_code == 200
    assert [len(answers(store, task)) for task in (11, 12)] == [1, 1]


def test_annotations_deleted_buries_by_id_alone(client, store):
    post(client, event(annotation=annotation()))
    assert post(client, event("ANNOTATIONS_DELETED", annotations=[{"id": 5}])).json == {"status": "stored"}
    post(client, event(annotation=annotation(updated_at="2026-03-01T11:00:00Z")))
    assert answers(store) == [], "a late webhook must not revive what was deleted"


def test_a_skip_is_a_skip(client, store):
    post(client, event(annotation=annotation(result=[], was_cancelled=True)))
    assert store.annotations.counts(1).skipped == 1


def test_an_annotation_of_an_unknown_task_is_kept_for_when_the_task_is_known(client, store):
    assert post(client, event(annotation=annotation(task=99))).status_code == 200
    assert len(answers(store, 99)) == 1


def test_tasks_deleted_removes_them_and_wakes_the_worker(client, store):
    assert post(client, event("TASKS_DELETED", tasks=[{"id": 11}, {"id": 77}])).status_code == 200
    assert store.tasks.live_ids(1) == {12}
    assert store.projects.get(1).woken_at == NOW


@pytest.mark.parametrize("action", ["TASKS_CREATED", "PROJECT_UPDATED"])
def test_what_only_a_poll_can_tell_wakes_the_worker(client, store, action):
    assert post(client, event(action, tasks=[{"id": 13}])).json == {"status": "noted"}
    woken = store.projects.get(1)
    assert (woken.woken_at, woken.webhook_seen_at) == (NOW, NOW)
    assert store.projects.get(2).woken_at is None


def test_our_own_switch_of_the_queue_costs_no_poll(client, store):
    """It comes back as PROJECT_UPDATED after each round; a changed label config still wakes the worker."""
    known = store.projects.get(1)
    project = {
        "id": 1,
        "label_config": known.label_config,
        "maximum_annotations": known.maximum_annotations,
        "model_version": "nextlabel-abcd-7.1",
    }
    assert post(client, event("PROJECT_UPDATED", project=project)).status_code == 200
    seen = store.projects.get(1)
    assert (seen.woken_at, seen.webhook_seen_at) == (None, NOW)
    project["label_config"] += " "
    assert post(client, event("PROJECT_UPDATED", project=project)).status_code == 200
    assert store.projects.get(1).woken_at == NOW


@pytest.mark.parametrize(
    "action", ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED"]
)
def test_an_event_without_a_body_wakes_the_worker_of_the_project_whose_secret_it_carries(
    client, store, action
):
    """Sent when the payload is switched off, or when its objects are gone by the time it is made."""
    assert post(client, {"action": action}, secret=OTHER_SECRET).json == {"status": "noted"}
    assert [store.projects.get(id_).woken_at for id_ in (1, 2)] == [None, NOW]


@pytest.mark.parametrize("action", ["LABEL_LINK_CREATED", "PROJECT_CREATED", "whatever"])
def test_an_unknown_action_is_ignored_with_200(client, store, action):
    before = store.projects.get(1)
    answer = post(client, event(action))
    assert (answer.status_code, answer.json) == (200, {"status": "ignored"})
    assert store.projects.get(1) == before


def test_start_training_asks_for_a_round(client, store):
    assert post(client, event("START_TRAINING")).json == {"status": "wanted"}
    assert store.projects.get(1).wanted == "asked for in Label Studio"


def test_nobody_asks_for_a_round_of_a_disconnected_project(client, store):
    body = {"action": "START_TRAINING", "project": {"id": 4}}
    assert post(client, body, secret=None, auth=("anyone", "operator")).status_code == 404
    assert store.projects.get(4).wanted is None


def test_start_training_comes_from_the_page_with_the_ml_backends_credentials(client, store):
    answer = post(client, event("START_TRAINING"), secret=None, auth=("anyone", "operator"))
    assert answer.status_code == 200
    assert store.projects.get(1).wanted
    assert post(client, event("START_TRAINING"), secret=None, auth=("anyone", "wrong")).status_code == 401
    assert post(client, event("START_TRAINING"), secret=None).status_code == 401


def test_the_operators_password_is_no_secret_of_a_webhook(client, store):
    answer = post(client, event(annotation=annotation()), secret=None, auth=("anyone", "operator"))
    assert answer.status_code == 401
    assert answers(store) == []


@pytest.mark.parametrize(
    ("project", "secret", "status"),
    [
        (1, "wrong", 401),
        (1, "", 401),
        (1, None, 401),
        (1, OTHER_SECRET, 401),
        (3, SECRET, 401),
        (99, SECRET, 404),
        (4, SECRET, 404),
        (None, None, 401),
        (None, "wrong", 401),
    ],
)
def test_whoever_is_not_the_projects_webhook_stores_nothing(client, store, project, secret, status):
    """A wrong secret, another project's, a project without a webhook, one that is not connected."""
    body = event(annotation=annotation(project=project)) | {"project": project and {"id": project}}
    answer = post(client, body, secret=secret)
    assert answer.status_code == status
    assert_one_line(answer)
    assert store.annotations.counts(1) == store.annotations.counts(2)
    assert answers(store) == []
    assert all(found.woken_at is None for found in store.projects.all())


def test_a_projects_webhook_cannot_touch_another_projects_annotations(client, store):
    post(client, event(annotation=annotation()))
    mine = answers(store)
    theirs = annotation(project=2, updated_at="2027-01-01T00:00:00Z", result=[])
    body = {"action": "ANNOTATION_UPDATED", "project": {"id": 2}}
    assert post(client, body | {"annotation": theirs}, secret=OTHER_SECRET).status_code == 200
    gone = {"action": "ANNOTATIONS_DELETED", "project": {"id": 2}, "annotations": [{"id": 5}]}
    assert post(client, gone, secret=OTHER_SECRET).status_code == 200
    tasks = {"action": "TASKS_DELETED", "project": {"id": 2}, "tasks": [{"id": 11}]}
    assert post(client, tasks, secret=OTHER_SECRET).status_code == 200
    assert answers(store) == mine
    assert answers(store, project=2) == []
    assert store.tasks.live_ids(1) == {11, 12}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"id": "5"}, "id"),
        ({"id": True}, "id"),
        ({"id": -1}, "id"),
        ({"id": 2**40}, "id"),
        ({"task": None}, "task"),
        ({"project": 2}, "project"),
        ({"result": "text"}, "result"),
        ({"result": [1]}, "result"),
        ({"was_cancelled": "no"}, "was_cancelled"),
        ({"updated_at": None}, "updated_at"),
        ({"updated_at": "yesterday"}, "updated_at"),
        ({"updated_at": "2026-03-01T10:00:00"}, "updated_at"),
        ({"updated_at": "0001-01-01T00:00:00+23:59"}, "updated_at"),
        ({"created_at": 5}, "created_at"),
        ({"lead_time": "long"}, "lead_time"),
        ({"lead_time": 10**400}, "lead_time"),
        ({"completed_by": "me"}, "completed_by"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_refused_by_name_and_wakes_the_worker(
    client, store, changes, names
):
    answer = post(client, event(annotation=annotation(**changes)))
    assert answer.status_code == 400
    assert f"annotation[0].{names}" in assert_one_line(answer)
    assert answers(store) == []
    assert store.projects.get(1).woken_at == NOW


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"action": NaN}',
        b"[" * 15_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b'{"action": 5}',
        b'{"action": "ANNOTATION_CREATED", "project": "one"}',
        b'{"action": "ANNOTATION_CREATED", "project": {"id": [1]}}',
        b'{"action": "ANNOTATION_CREATED", "project": 1, "annotation": "text"}',
        b'{"action": "ANNOTATIONS_DELETED", "project": 1, "annotations": {"id": 1}}',
        b'{"action": "TASKS_DELETED", "project": 1, "tasks": [{"id": null}]}',
        b'{"action": "x", "n": ' + b"9" * 5_000 + b"}",
    ],
)
def test_a_body_that_is_no_webhook_is_answered_400_and_wakes_the_worker(client, store, body):
    answer = post(client, body)
    assert answer.status_code == 400
    assert_one_line(answer)
    assert store.projects.get(1).woken_at == NOW, "the secret told whose webhook it was"


def test_deep_results_are_refused_before_anything_is_written(client, store):
    deep = []
    for _ in range(60):
        deep = [deep]
    answer = post(client, event(annotation=annotation(result=[{"value": deep}])))
    assert answer.status_code == 400
    assert "nested" in answer.json["error"]


def test_a_body_over_the_limit_is_answered_413_and_wakes_the_worker(client, store):
    answer = post(client, event(annotation=annotation(), padding="x" * LIMIT))
    assert answer.status_code == 413
    assert str(LIMIT) in assert_one_line(answer)
    assert store.projects.get(1).woken_at == NOW


@pytest.mark.parametrize("body", [b"x" * (LIMIT + 1), b"no json", b'{"action": 5}', b""])
@pytest.mark.parametrize(
    "headers", [{}, {"X-Nextlabel-Secret": ""}, {"X-Nextlabel-Secret": "wrong"}, {"Authorization": "Basic x"}]
)
def test_nothing_is_read_of_what_a_stranger_sends(client, store, monkeypatch, headers, body):
    """Whoever sends it must say first who they are: a large body costs them more than us."""

    def unexpected(*_: object) -> None:
        raise AssertionError("the body was read")

    monkeypatch.setattr("backend.web.payloads.parse", unexpected)
    answer = client.post("/webhook", data=body, headers=headers)
    assert answer.status_code == 401
    assert_one_line(answer)
    assert store.projects.get(1).woken_at is None


def test_the_operator_is_told_what_a_body_lacks(client):
    for body in ({"action": "START_TRAINING"}, {"project": 1}):
        assert post(client, body, secret=None, auth=("anyone", "operator")).status_code == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused_with_what_is_expected(client, method):
    answer = client.open("/webhook", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert "POST" in assert_one_line(answer)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00.5+00:00", datetime(2026, 3, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01T12:30:00+02:30", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00.123Z", datetime(2026, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_form_that_label_studio_writes(client, store, text, time):
    post(client, event(annotation=annotation(updated_at=text)))
    assert answers(store)[0].updated_at == time


@pytest.mark.parametrize("lead_time", [None, 0, -5, 1e300, 3])
def test_an_absurd_lead_time_is_stored_all_the_same(client, store, lead_time):
    assert post(client, event(annotation=annotation(lead_time=lead_time))).status_code == 200
    assert len(answers(store)) == 1


def test_a_null_result_is_an_empty_one(client, store):
    post(client, event(annotation=annotation(result=None)))
    assert answers(store)[0].result == []


def test_many_ids_at_once_are_all_taken(client, store):
    tasks = [Task(id_, {"text": str(id_)}, NOW) for id_ in range(100, 1300)]
    store.tasks.record(1, tasks, asked_at=NOW, now=NOW)
    body = event("TASKS_DELETED", tasks=[{"id": task.id} for task in tasks])
    assert post(client, body).status_code == 200
    assert store.tasks.live_ids(1) == {11, 12}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_odd = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED", "x"])
        | _json,
        "project": st.sampled_from([1, {"id": 1}, 99]) | _json,
        "annotation": _json
        | st.dictionaries(st.sampled_from(list(annotation())), _json).map(lambda d: annotation() | d),
        "annotations": _json,
        "tasks": _json,
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=_odd | _json)
def test_no_body_whatever_breaks_the_receiver(client, body):
    """Any JSON at all is taken or refused with one line: never a 5xx."""
    answer = post(client, body)
    assert answer.status_code in (200, 202, 400, 401, 404)
    if answer.status_code >= 400:
        assert_one_line(answer)


def assert_one_line(answer):
    assert answer.is_json
    assert set(answer.json) == {"error"}
    line = answer.json["error"]
    assert line
    assert "\n" not in line
    return line
