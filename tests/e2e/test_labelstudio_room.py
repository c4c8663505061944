"""The room that talks with Label Studio, against a real one."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from membership import add_member, add_user

from backend.demo.annotator import Annotator, choice
from backend.demo.owner import Owner
from backend.demo.server import LabelStudioServer, free_port
from backend.domain import (
    Finding,
    LabelStudioError,
    Level,
    NotFound,
    QueuedPrediction,
    Task,
    Unauthorized,
    Unreachable,
)
from backend.labelstudio import AddressBlocked, LabelStudio, MissingTasks
from backend.labelstudio.doctor import OurSide, examine

TEXTS = [f"text {i}" for i in range(8)]
HOOK = "http://127.0.0.1:9/webhook"


@pytest.fixture(scope="module")
def client(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    connected = LabelStudio(label_studio.url, label_studio.token)
    yield connected
    connected.close()


def everything(client: LabelStudio, project_id: int, since: datetime | None = None) -> dict[int, Task]:
    return {task.id: task for page in client.changed_tasks(project_id, since) for task in page}


def newest(client: LabelStudio, project_id: int) -> datetime:
    """The latest `updated_at`: a fair `since` where nobody else is writing."""
    return max(task.updated_at for task in everything(client, project_id).values())


def front(tasks: list[int]) -> list[QueuedPrediction]:
    """Publish `tasks`, first one first."""
    return [
        QueuedPrediction(task, (choice("yes"),), rank / len(tasks))
        for rank, task in enumerate(tasks, start=1)
    ]


# --- connection ---


def test_it_tells_whom_it_talks_to(client, label_studio):
    assert client.version() == "1.23.2"
    assert client.whoami().email == label_studio.email
    assert abs(client.server_time() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_personal_access_token_serves_as_well_and_is_refreshed(owner, label_studio, project):
    """A refresh JWT is exchanged for a short-lived one, and again when that one is gone."""
    made = project(TEXTS)
    with_jwt = LabelStudio(label_studio.url, owner.personal_token())
    assert with_jwt.token_kind == "personal"
    assert with_jwt.token_expires > datetime.now(UTC)
    assert with_jwt.project(made.id).task_number == len(TEXTS)
    stale = base64.urlsafe_b64encode(b'{"exp": 4102444800}').decode().rstrip("=")
    with_jwt._sdk._tokens_client._access_token = f"e30.{stale}.e30"  # fresh to us, unknown to the server
    assert with_jwt.project(made.id).task_number == len(TEXTS)
    with_jwt.close()


def test_a_wrong_token_is_named_as_such_and_never_shown(label_studio):
    with pytest.raises(Unauthorized) as error:
        LabelStudio(label_studio.url, "f" * 40).project(1)
    assert "f" * 40 not in str(error.value)
    assert "Account & Settings" in str(error.value)


def test_a_revoked_personal_token_is_unauthorized(owner, label_studio):
    token = owner.personal_token()
    owner.revoke(token)
    with pytest.raises(Unauthorized) as error:
        LabelStudio(label_studio.url, token).projects()
    assert token not in str(error.value)


def test_an_unknown_project_is_not_found(client):
    with pytest.raises(NotFound, match="/api/projects/987654/"):
        client.project(987654)


def test_nobody_at_the_address_is_unreachable():
    with pytest.raises(Unreachable, match="127"):
        LabelStudio(f"http://127.0.0.1:{free_port()}", "f" * 40, sleep=lambda _: None).version()


def test_a_page_of_label_studio_is_not_its_address(label_studio):
    """The address of a project's page, as people copy it from the browser."""
    with pytest.raises(LabelStudioError, match="address"):
        LabelStudio(f"{label_studio.url}/projects/1/data", label_studio.token).project(1)


# --- reading ---


def test_the_first_reading_has_every_task_in_order_of_id(client, project):
    """Page sizes do not matter."""
    made = project([f"text {i}" for i in range(23)])
    for page_size in (1, 7, 1000):
        pages = list(client.changed_tasks(made.id, None, page_size=page_size))
        tasks = [task for page in pages for task in page]
        assert [task.id for task in tasks] == made.tasks
        assert all(len(page) <= page_size for page in pages)
    assert tasks[3].data == {"text": "text 3"}
    assert [i for page in client.task_ids(made.id, page_size=5) for i in page] == made.tasks


def test_an_empty_project_has_nothing_to_read(client, project):
    made = project([])
    assert list(client.changed_tasks(made.id, None)) == []
    assert list(client.task_ids(made.id)) == []
    assert client.compare_ids(made.id, []).gone == ()
    assert client.project(made.id).task_number == 0


def test_annotations_come_with_all_that_matters(client, annotator, project):
    made = project(TEXTS)
    labelled = annotator.annotate(made.tasks[0], choice("no"), lead_time=2.5)
    skipped = annotator.skip(made.tasks[1])
    annotator.annotate(made.tasks[2], choice("yes"), ground_truth=True)
    tasks = everything(client, made.id)
    [first] = tasks[made.tasks[0]].annotations
    assert (first.id, first.task_id, first.was_cancelled, first.ground_truth) == (
        labelled,
        made.tasks[0],
        False,
        False,
    )
    assert (first.lead_time, first.completed_by) == (2.5, client.whoami().id)
    assert first.result[0]["value"] == {"choices": ["no"]}
    [second] = tasks[made.tasks[1]].annotations
    assert (second.id, second.was_cancelled, second.result) == (skipped, True, ())
    assert tasks[made.tasks[2]].annotations[0].ground_truth
    assert client.project(made.id).total_annotations == 2
    assert [member.email for member in client.annotators(made.id)] == [client.whoami().email]


def test_each_kind_of_change_is_read_again(client, annotator, owner, project):
    """What the table of `reading.py` says is bumped."""
    made = project(TEXTS)
    written = [annotator.annotate(task, choice("yes")) for task in made.tasks[:5]]
    changes = {
        made.tasks[0]: lambda: annotator.edit(written[0], choice("no")),
        made.tasks[1]: lambda: annotator.delete(written[1]),
        made.tasks[2]: lambda: annotator.edit(written[2], was_cancelled=True),
        made.tasks[3]: lambda: annotator.edit(written[3], choice("yes"), ground_truth=True),
        made.tasks[4]: lambda: owner.act(made.id, "delete_tasks_annotations", [made.tasks[4]]),
        made.tasks[5]: lambda: annotator.skip(made.tasks[5]),
        made.tasks[6]: lambda: owner.edit_task(made.tasks[6], {"text": "edited"}),
        made.tasks[7]: lambda: annotator.annotate(made.tasks[7], choice("no")),
    }
    for task, change in changes.items():
        since = newest(client, made.id)
        change()
        assert set(everything(client, made.id, since)) == {task}
    tasks = everything(client, made.id)
    assert [len(tasks[task].annotations) for task in made.tasks] == [1, 0, 1, 1, 0, 1, 0, 1]
    assert tasks[made.tasks[2]].annotations[0].was_cancelled
    assert tasks[made.tasks[3]].annotations[0].ground_truth
    assert tasks[made.tasks[6]].data == {"text": "edited"}


def test_tasks_imported_with_annotations_are_read(client, owner, project):
    made = project(TEXTS)
    since = newest(client, made.id)
    new = owner.import_tasks(
        made.id,
        [{"data": {"text": "new"}, "annotations": [{"result": [choice("no")], "ground_truth": False}]}],
    )
    changed = everything(client, made.id, since)
    assert list(changed) == new
    assert changed[new[0]].annotations[0].result[0]["value"] == {"choices": ["no"]}


def test_our_own_publishing_makes_no_task_look_changed(client, project):
    """An import of predictions and a delete by version leave `updated_at` alone."""
    made = project(TEXTS)
    since = newest(client, made.id)
    client.import_predictions(made.id, "q1", front(made.tasks))
    client.switch(made.id, "q1")
    client.import_predictions(made.id, "q2", front(made.tasks))
    client.switch(made.id, "q2")
    client.delete_version(made.id, "q1")
    assert everything(client, made.id, since) == {}


def test_the_cursor_reaches_back_to_what_was_just_written(client, annotator, project):
    made = project(TEXTS)
    cursor = client.cursor()
    annotator.annotate(made.tasks[0], choice("yes"))
    assert made.tasks[0] in everything(client, made.id, cursor)


def test_a_task_deleted_while_we_page_costs_no_other_task(client, owner, project):
    """Pages by number would skip one."""
    made = project([f"text {i}" for i in range(12)])
    seen: list[int] = []
    for page in client.changed_tasks(made.id, None, page_size=4):
        seen += [task.id for task in page]
        if len(seen) == 4:
            owner.delete_task(made.tasks[0])
    assert seen == made.tasks


def test_deleted_and_unknown_tasks_are_found_by_counting(client, owner, project):
    made = project([f"text {i}" for i in range(1200)])
    assert client.compare_ids(made.id, made.tasks).gone == ()
    assert client.compare_ids(made.id, made.tasks[:-1]).unknown == (made.tasks[-1],)
    owner.delete_task(made.tasks[7])
    owner.act(made.id, "delete_tasks", made.tasks[1100:1103])
    difference = client.compare_ids(made.id, made.tasks)
    assert difference.gone == (made.tasks[7], *made.tasks[1100:1103])
    assert difference.unknown == ()
    assert client.count(made.id).tasks == 1196
    assert client.count(made.id, made.tasks[0], made.tasks[9]).tasks == 9
    some = [task.id for page in client.tasks(made.id, made.tasks[:250]) for task in page]
    assert some == [*made.tasks[:7], *made.tasks[8:250]]


# --- publishing ---


def test_a_switch_changes_what_next_serves_to_ascending_score(client, annotator, project):
    made = project(TEXTS, sampling="Uncertainty sampling")
    client.import_predictions(made.id, "q1", front(made.tasks[:4]))
    client.import_predictions(made.id, "q2", front(made.tasks[:3:-1]))
    for version, expected in (("q1", made.tasks[:2]), ("q2", made.tasks[:3:-1])):
        client.switch(made.id, version)
        for task in expected:
            served = annotator.next(made.id)
            assert served is not None
            assert served["id"] == task
            annotator.annotate(task, choice("yes"))


def test_next_has_nothing_where_all_is_labelled(annotator, project):
    made = project(["only one"])
    annotator.annotate(made.tasks[0], choice("yes"))
    assert annotator.next(made.id) is None


def test_predictions_are_created_listed_and_deleted_by_version(client, project):
    made = project(TEXTS)
    blind = [replace(prediction, result=()) for prediction in front(made.tasks)]
    assert client.import_predictions(made.id, "old", front(made.tasks)) == len(TEXTS)
    assert client.import_predictions(made.id, "new", blind) == len(TEXTS)
    client.switch(made.id, "new")
    assert client.versions(made.id) == {"old": len(TEXTS), "new": len(TEXTS)}
    client.delete_prediction(client.prediction_ids(made.id, "old")[0])
    assert client.delete_version(made.id, "old") == len(TEXTS) - 1
    assert client.delete_version(made.id, "old") == 0
    assert len(client.prediction_ids(made.id, "new")) == len(TEXTS)
    assert client.project(made.id).model_version == "new"


def test_the_queue_in_use_is_never_deleted(client, project):
    """Label Studio would blank the project's model version and serve at random."""
    made = project(TEXTS)
    client.import_predictions(made.id, "q1", front(made.tasks))
    client.switch(made.id, "q1")
    with pytest.raises(LabelStudioError, match="'q1' is project"):
        client.delete_version(made.id, "q1")
    assert client.versions(made.id) == {"q1": len(TEXTS)}


def test_a_large_version_goes_too(client, project, monkeypatch):
    """Its first part one by one."""
    monkeypatch.setattr("backend.labelstudio.publishing.AT_ONCE", 3)
    made = project(TEXTS)
    client.import_predictions(made.id, "old", front(made.tasks))
    assert client.delete_version(made.id, "old") == len(TEXTS)
    assert client.versions(made.id) == {}


def test_an_import_for_deleted_tasks_writes_nothing_and_names_them(client, owner, project):
    made = project(TEXTS)
    owner.delete_task(made.tasks[2])
    owner.delete_task(made.tasks[5])
    with pytest.raises(MissingTasks) as error:
        client.import_predictions(made.id, "q1", front(made.tasks))
    assert error.value.task_ids == (made.tasks[2], made.tasks[5])
    assert client.versions(made.id) == {}


def test_invalid_predictions_show_in_the_count(client, project):
    """Label Studio leaves them out without a word."""
    made = project(TEXTS)
    queued = front(made.tasks[:3])
    queued[0] = replace(queued[0], result=(choice("no such label"),))
    queued[1] = replace(queued[1], score=2.0)
    assert client.import_predictions(made.id, "q1", queued) == 1


def test_a_switch_to_a_version_that_nobody_wrote_is_refused(client, project):
    made = project(TEXTS)
    with pytest.raises(LabelStudioError, match="Model version doesn't exist"):
        client.switch(made.id, "nothing")


# --- linking ---


def test_webhooks_are_made_and_removed(client, project):
    made = project([])
    hook = client.create_webhook(made.id, HOOK, headers={"X-Secret": "s3cret"})
    assert client.webhooks(made.id) == [hook]
    assert "s3cret" not in repr(hook)
    assert hook.sends("ANNOTATION_CREATED")
    assert hook.headers == {"X-Secret": "s3cret"}
    assert hook.send_payload
    client.delete_webhook(hook.id)
    assert client.webhooks(made.id) == []


def test_asking_whether_a_webhook_would_be_refused_creates_none(client, project):
    made = project([])
    assert client.refusal(made.id, HOOK) == ""
    assert "hostname" in client.refusal(made.id, "http://nowhere.invalid/")
    assert client.webhooks(made.id) == []


def test_private_addresses_are_blocked_unless_label_studio_is_told(tmp_path, project):
    """As Label Studio comes."""
    with LabelStudioServer.boot(tmp_path, options={"USE_DEFAULT_BANNED_SUBNETS": "true"}) as strict:
        made = Owner(strict.url, strict.token).create_project("strict", "<View></View>")
        client = LabelStudio(strict.url, strict.token)
        assert "127.0.0.0/8" in client.refusal(made, HOOK)
        with pytest.raises(AddressBlocked):
            client.create_webhook(made, HOOK, headers={})
        findings = examine(client, made, OurSide(webhook_url=HOOK, webhook_header="X-Secret"), now=now)
        assert "USE_DEFAULT_BANNED_SUBNETS" in named(findings, "webhook").remedy
        client.close()


class _Backend(BaseHTTPRequestHandler):
    """The least that Label Studio takes for an ML backend."""

    def do_GET(self) -> None:
        self._answer({"status": "UP"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer({"model_version": "stub"})

    def _answer(self, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def ml_backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_connecting_an_ml_backend_leaves_only_our_own_webhook(client, project, ml_backend):
    """Label Studio adds one without credentials; ours at another address stays."""
    made = project(TEXTS)
    ours = client.create_webhook(made.id, HOOK, headers={"X-Secret": "s"})
    backend = client.connect_ml_backend(made.id, ml_backend, title="nextlabel", user="u", password="p")
    assert client.webhooks(made.id) == [ours]
    assert client.ml_backends(made.id) == [backend]
    assert (backend.title, backend.has_password) == ("nextlabel", True)
    client.disconnect_ml_backend(backend.id)
    assert client.ml_backends(made.id) == []


# --- the doctor ---


def now() -> datetime:
    return datetime.now(UTC)


def named(findings: list[Finding], check: str) -> Finding:
    """The worst finding of one check."""
    order = [Level.ERROR, Level.WARNING, Level.OK]
    return min((f for f in findings if f.check == check), key=lambda f: order.index(f.level))


def test_the_doctor_finds_nothing_wrong_with_a_project_as_it_should_be(client, project):
    made = project(TEXTS, sampling="Uncertainty sampling")
    client.import_predictions(made.id, "q1", front(made.tasks))
    client.switch(made.id, "q1")
    client.create_webhook(made.id, HOOK, headers={"X-Secret": "s"})
    ours = OurSide("q1", 8, 4, HOOK, "X-Secret", ("label",), tuple(range(12)))
    findings = examine(client, made.id, ours, now=now)
    assert {finding.level for finding in findings} == {Level.OK}, findings
    assert len(findings) == 10


def test_the_doctor_finds_what_is_wrong_and_says_what_to_do(client, project, ml_backend):
    made = project(TEXTS, show_collab_predictions=False, maximum_annotations=2)
    client.connect_ml_backend(made.id, ml_backend, title="the backend")
    client.create_webhook(made.id, HOOK, headers={})
    client.update_project(made.id, model_version="the backend", show_collab_predictions=False)
    ours = OurSide("q1", 1, 4, HOOK, "X-Secret", (), (5, 1, 7, 2, 9, 3, 8, 0, 6, 4, 11, 10))
    findings = examine(client, made.id, ours, now=lambda: now() - timedelta(hours=1))
    seen = {
        "clock": (Level.WARNING, "ahead of ours"),
        "label config": (Level.ERROR, "no control tag"),
        "sampling": (Level.ERROR, "'Sequential sampling'"),
        "model version": (Level.ERROR, "title of an ML backend"),
        "predictions shown": (Level.WARNING, "show_collab_predictions"),
        "queue": (Level.WARNING, "1 tasks of the front"),
        "overlap": (Level.WARNING, "maximum_annotations is 2"),
        "project members": (Level.WARNING, "of 12 answers"),
        "webhook": (Level.ERROR, "no X-Secret header"),
    }
    for check, (level, words) in seen.items():
        finding = named(findings, check)
        assert (finding.level, words in finding.message, finding.remedy != "") == (level, True, True), finding


@pytest.mark.parametrize(
    ("ours", "check", "words"),
    [
        (OurSide("q1", 0, 4), "queue", "at random"),
        (OurSide(), "model version", "nothing has been published"),
        (OurSide(webhook_url=HOOK, webhook_header="X"), "webhook", "no webhook to"),
    ],
)
def test_the_doctor_holds_our_side_against_label_studio(client, project, ours, check, words):
    finding = named(examine(client, project(TEXTS).id, ours, now=now), check)
    assert finding.level is not Level.OK
    assert words in finding.message


def test_the_doctor_sees_a_closed_queue_and_the_title_of_an_ml_backend(client, project, ml_backend):
    made = project(TEXTS)
    client.connect_ml_backend(made.id, ml_backend, title="the backend")
    assert client.project(made.id).model_version == "the backend"
    client.update_project(made.id, maximum_annotations=0)
    findings = examine(client, made.id, OurSide("q1", 5, 4), now=now)
    assert "title of an ML backend" in named(findings, "model version").message
    assert "the queue is closed" in named(findings, "queue").message


def test_the_doctor_says_when_it_gets_no_access(label_studio, client):
    wrong = LabelStudio(label_studio.url, "f" * 40)
    [token] = examine(wrong, 1, OurSide(), now=now)
    [unknown] = examine(client, 987654, OurSide(), now=now)
    assert (token.check, token.level) == (unknown.check, unknown.level) == ("access", Level.ERROR)
    assert "LABEL_STUDIO_API_KEY" in token.remedy
    assert "number" in unknown.remedy


# --- the server for tests ---


def test_a_colleague_signs_up_and_shares_projects(label_studio, project):
    made = project(TEXTS)
    colleague = Annotator(label_studio.url, add_user(label_studio, "colleague@nextlabel.io"))
    served = colleague.next(made.id)
    assert served is not None
    assert served["id"] in made.tasks


def test_two_project_members_make_the_pick_random_within_the_front(client, label_studio, project):
    """The known limit that the front's size bounds: the pick is random, but always from the front."""
    made = project([f"text {i}" for i in range(30)], sampling="Uncertainty sampling")
    for email in ("one@nextlabel.io", "two@nextlabel.io"):
        add_user(label_studio, email)
        add_member(label_studio, made.id, email)
    client.import_predictions(made.id, "q1", front(made.tasks[:20]))
    client.switch(made.id, "q1")
    playing = Annotator(label_studio.url, label_studio.token)
    order = []
    for _ in range(12):
        task = playing.next(made.id)
        assert task is not None
        order.append(task["id"])
        playing.annotate(task["id"], choice("yes"))
    assert set(order) <= set(made.tasks[:20])
    assert order != made.tasks[:12]


def test_a_server_keeps_its_data_over_a_restart(tmp_path: Path):
    with LabelStudioServer.boot(tmp_path) as server:
        made = Owner(server.url, server.token).create_project("kept", "<View></View>")
        server.stop()
        with pytest.raises(Unreachable):
            LabelStudio(server.url, server.token, sleep=lambda _: None).project(made)
        server.start()
        assert LabelStudio(server.url, server.token).project(made).title == "kept"
