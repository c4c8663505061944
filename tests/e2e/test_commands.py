"""Every command as people and scripts run it: what it does, what it says, and its exit code."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import sqlalchemy as sa
from nextlabel_process import Nextlabel, Watcher, until

from backend.connecting import take_away
from backend.demo.annotator import choice
from backend.demo.server import HOST, free_port
from backend.domain import LabelStudioError, NotFound, QueuedPrediction, utc_now
from backend.labelstudio import LabelStudio
from backend.store.schema import metadata

Connect = Callable[..., tuple[Any, Watcher]]
SETTINGS = ("sampling", "show_collab_predictions", "model_version")


def texts(count: int) -> list[str]:
    return [f"{('the cat purrs', 'a dog barks')[i % 2]} {i}" for i in range(count)]


def settings(client: LabelStudio, project_id: int) -> dict[str, Any]:
    found = client.project(project_id)
    return {name: getattr(found, name) for name in SETTINGS}


def complaint(done: Any, code: int) -> str:
    """The one line that a failed command leaves on standard error."""
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    [line] = done.stderr.splitlines()
    assert line.startswith("nextlabel: ")
    assert "Traceback" not in done.stdout
    return line


@pytest.fixture
def connect(running: Nextlabel, client: LabelStudio, project: Any) -> Iterator[Connect]:
    """Make a project and connect it to the nextlabel that all tests here share."""
    made: list[int] = []

    def make(contents: Sequence[str], *options: str, **given: Any) -> tuple[Any, Watcher]:
        created = project(contents, **given)
        made.append(created.id)
        running.does("connect", created.id, *options)
        return created, Watcher(running, client, created.id)

    yield make
    for project_id in made:
        with suppress(NotFound):  # a test may have forgotten it
            take_away(running.store, project_id, now=utc_now)
            running.store.projects.forget(project_id)


# --- connect, disconnect, forget ---


def test_connect_is_safe_to_repeat(connect, running, client, annotator):
    """One webhook, the queue stays ours, and what `disconnect` restores is what was there at first."""
    made, watcher = connect(texts(12))
    [first] = client.webhooks(made.id)
    assert list(first.headers) == ["X-Nextlabel-Secret"]
    again = running.run("connect", made.id)
    assert again.returncode == 0
    assert "it was before" in again.stdout
    [second] = client.webhooks(made.id)
    assert second.headers != first.headers
    annotator.annotate(made.tasks[0], choice("yes"))
    until("the webhook's word", lambda: running.store.annotations.counts(made.id).submitted == 1)
    watcher.agree()
    running.does("disconnect", made.id)
    assert settings(client, made.id)["sampling"] == "Sequential sampling"


@pytest.mark.parametrize(
    "before",
    [
        {"sampling": "Uniform sampling", "show_collab_predictions": True, "model_version": "theirs"},
        {"sampling": "Sequential sampling", "show_collab_predictions": False, "model_version": ""},
    ],
)
def test_disconnect_restores_what_was_and_erases_what_is_ours(project, running, client, annotator, before):
    """Also while rounds run: none of them switches anything afterwards."""
    made = project(texts(30))
    client.import_predictions(made.id, "theirs", [QueuedPrediction(made.tasks[0], (choice("yes"),), 0.5)])
    client.update_project(made.id, **before)
    running.does("connect", made.id, "--ml-backend")
    watcher = Watcher(running, client, made.id)
    for _ in range(4):
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes"))
    running.does("disconnect", made.id)
    for _ in range(10):
        assert settings(client, made.id) == before
        assert client.versions(made.id) == {"theirs": 1}
        time.sleep(0.1)
    assert client.webhooks(made.id) == []
    assert client.ml_backends(made.id) == []
    assert not running.json("status", made.id)["projects"][0]["connected"]
    running.does("disconnect", made.id)
    client.update_project(made.id, sampling="Uncertainty sampling")
    running.does("disconnect", made.id)
    assert client.project(made.id).sampling == "Uncertainty sampling", "it was not ours to restore"
    running.does("connect", made.id)
    watcher.agree()
    assert running.store.annotations.counts(made.id).submitted == 4
    assert watcher.version() != before["model_version"]
    task, fronts = watcher.next(annotator)
    assert task["id"] in {front[0] for front in fronts}
    running.does("disconnect", made.id)


def test_what_could_not_be_restored_is_restored_the_next_time(connect, running, client, label_studio):
    """`disconnect` with Label Studio out of reach fails in one line, and finishes when it is run again."""
    made, _ = connect(texts(12))
    nowhere = f"http://{HOST}:{free_port()}"
    line = complaint(running.run("disconnect", made.id, LABEL_STUDIO_URL=nowhere), 3)
    assert "not everything was restored" in line
    assert line.count("refused") == 1
    assert client.webhooks(made.id)
    assert "not given back yet" in running.does("status", made.id)
    running.does("disconnect", made.id)
    assert "not given back" not in running.does("status", made.id)
    assert client.webhooks(made.id) == []
    assert client.versions(made.id) == {}
    assert settings(client, made.id)["sampling"] == "Sequential sampling"


def test_forget_leaves_nothing(connect, running, client, annotator):
    """No row in any table, no folder, nothing of ours in Label Studio; other projects stay."""
    other, _ = connect(texts(10))
    made, watcher = connect(texts(30))
    for _ in range(3):
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes"))
    assert held(running, made.id)
    asked = running.run("forget", made.id)
    assert asked.returncode == 1, "it asks before it erases"
    assert held(running, made.id)
    running.does("forget", made.id, "--yes")
    for _ in range(10):
        assert held(running, made.id) == []
        time.sleep(0.1)
    assert client.versions(made.id) == {}
    assert client.webhooks(made.id) == []
    assert held(running, other.id)
    assert "not connected" in complaint(running.run("forget", made.id, "--yes"), 3)


def held(nextlabel: Nextlabel, project_id: int) -> list[str]:
    """Where anything is kept of a project."""
    with nextlabel.store.database.read() as db:
        found = []
        for table in metadata.tables.values():
            column = table.c.id if table.name == "project" else table.c.get("project_id")
            if column is not None and db.scalar(sa.select(sa.func.count()).where(column == project_id)):
                found.append(table.name)
    home = Path(nextlabel.environment["NEXTLABEL_HOME"])
    return found + [str(path) for path in (home / "projects").glob(str(project_id))]


def test_a_project_that_was_deleted_in_label_studio_can_be_forgotten(running, owner, client):
    """The worker says what is wrong; `forget` needs no Label Studio to restore."""
    project_id = owner.create_project("soon gone", client_config())
    owner.import_tasks(project_id, [{"data": {"text": text}} for text in texts(10)])
    running.does("connect", project_id, "--no-webhook")
    owner.delete_project(project_id)
    until("trouble", lambda: running.store.projects.get(project_id).trouble)
    found = running.run("doctor", project_id)
    assert found.returncode in (1, 3)
    assert "Traceback" not in found.stderr
    running.does("forget", project_id, "--yes")
    assert held(running, project_id) == []


def client_config() -> str:
    return """<View><Text name="text" value="$text"/><Choices name="label" toName="text">
    <Choice value="yes"/><Choice value="no"/></Choices></View>"""


def test_two_installations_do_not_fight_over_a_project(connect, running, nextlabel, client):
    """The second refuses until it is told that the first is gone, and restores nothing of the first."""
    made, watcher = connect(texts(12))
    before = client._get(f"/api/projects/{made.id}/")
    line = complaint(nextlabel.run("connect", made.id), 1)
    assert watcher.version() in line
    assert "--take-over" in line
    assert client._get(f"/api/projects/{made.id}/") == before
    take_away(running.store, made.id, now=utc_now)
    assert "Where that one still runs, stop it" in nextlabel.does("connect", made.id, "--take-over")
    nextlabel.does("disconnect", made.id)
    assert settings(client, made.id) == {
        "sampling": "Sequential sampling",
        "show_collab_predictions": True,
        "model_version": "",
    }
    assert client.webhooks(made.id) == []


# --- what is told ---


def test_status_and_doctor_tell_people_and_scripts(connect, running, annotator):
    made, watcher = connect(texts(12))
    for _ in range(3):
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes"))
    watcher.agree()
    [entry] = running.json("status", made.id)["projects"]
    assert (entry["tasks"], entry["annotations"], entry["labelled"]) == (12, 3, 3)
    assert entry["queue_version"] == watcher.version()
    assert entry["seals"] is False
    assert entry["worker"]
    shown = running.does("status")
    assert f"Project {made.id}" in shown
    assert "SEALS" in shown
    found = json.loads(running.does("doctor", made.id, "--json"))
    assert {finding["level"] for finding in found} <= {"ok", "warning"}, found
    assert {"worker", "token", "sampling", "model version", "webhook", "encoder"} <= {
        f["check"] for f in found
    }
    assert "ok" in running.does("doctor")


def test_doctor_names_what_somebody_broke_and_ends_with_1(connect, running, client):
    made, _ = connect(texts(12))
    client.update_project(made.id, sampling="Sequential sampling")
    [hook] = client.webhooks(made.id)
    client.delete_webhook(hook.id)
    done = running.run("doctor", made.id, "--json")
    assert done.returncode == 1
    levels = {finding["check"]: finding["level"] for finding in json.loads(done.stdout)}
    assert (levels["sampling"], levels["webhook"]) == ("error", "warning")
    assert all(finding["remedy"] for finding in json.loads(done.stdout) if finding["level"] != "ok")


def test_doctor_and_status_say_that_no_worker_runs(nextlabel, project):
    made = project(texts(10))
    nextlabel.does("connect", made.id, "--no-webhook")
    assert "No worker is running" in nextlabel.does("status")
    done = nextlabel.run("doctor")
    assert done.returncode == 1
    assert "no worker runs" in done.stdout


def test_a_backup_taken_while_everything_runs_serves_as_a_store(
    nextlabel, project, client, annotator, label_studio, tmp_path
):
    """Rounds go on from it, under names of their own; only the embeddings are made anew."""
    made = project(texts(40))
    nextlabel.up()
    nextlabel.does("connect", made.id)
    watcher = Watcher(nextlabel, client, made.id)
    copy = tmp_path / "copy.db"
    for number in range(8):
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes" if "cat" in task["data"]["text"] else "no"))
        if number == 4:
            nextlabel.does("backup", copy)
            assert "exists already" in complaint(nextlabel.run("backup", copy), 5)
    nextlabel.stop()
    (tmp_path / "elsewhere").mkdir()
    restored = Nextlabel(tmp_path / "elsewhere", label_studio, NEXTLABEL_STORE_URL=f"sqlite:///{copy}")
    try:
        assert restored.json("status", made.id)["projects"][0]["tasks"] == 40
        restored.up()
        watcher = Watcher(restored, client, made.id)
        watcher.agree()
        assert watcher.published(client) == watcher.front(), "a version of before was used again"
        task, fronts = watcher.next(annotator)
        assert any(task["id"] in front for front in fronts)
    finally:
        restored.close()


# --- the web process ---


def test_connected_as_an_ml_backend_it_is_healthy_and_leaves_the_queue_alone(
    connect, running, client, annotator, owner
):
    """Label Studio lists it as connected; opening tasks and asking for predictions changes no order."""
    made, watcher = connect(texts(60), "--ml-backend")
    [backend] = client._get("/api/ml/", project=made.id)
    assert (backend["url"], backend["state"]) == (running.url, "CO")
    running.does("connect", made.id, "--ml-backend")
    assert len(client.ml_backends(made.id)) == 1
    assert len(client.webhooks(made.id)) == 1
    version = watcher.version()
    assert version.startswith("nextlabel-")
    front = watcher.front()
    outside = next(id_ for id_ in made.tasks if id_ not in front)
    assert client._get(f"/api/tasks/{outside}/", project=made.id)["id"] == outside
    owner.act(made.id, "retrieve_tasks_predictions", [outside, front[-1]])
    assert watcher.version() == version
    assert watcher.published(client) == front
    asked = {"tasks": [{"id": outside}, {"id": front[0]}], "project": f"{made.id}.1", "params": {}}
    answers = httpx.post(f"{running.url}/predict", json=asked).json()["results"]
    assert len(answers) == 2
    assert all(answer["model_version"] not in (version, "") for answer in answers)
    task, fronts = watcher.next(annotator)
    assert task["id"] in {each[0] for each in fronts}


def test_the_web_process_has_loaded_no_heavy_library(running):
    """It starts fast and stays small: look at what its processes have mapped."""
    web = running.child("serve")
    for process in [web, *web.children(recursive=True)]:
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        loaded = [
            name for name in ("torch", "faiss", "sklearn", "scipy", "transformers") if f"/{name}/" in maps
        ]
        assert loaded == []


def test_a_webhook_for_another_project_changes_nothing(connect, running, client):
    """With the secret of one project nobody speaks for another; an unknown project is not found."""
    mine, _ = connect(texts(10))
    other, _ = connect(texts(10))
    [hook] = client.webhooks(mine.id)
    counts = running.store.annotations.counts(other.id)
    for project_id, status in ((other.id, 401), (987654, 404)):
        event = {"action": "ANNOTATION_CREATED", "project": {"id": project_id}, "task": {"id": 1}}
        event["annotation"] = {"id": 99_000_000, "result": [], "task": 1}
        answer = httpx.post(f"{running.url}/webhook", json=event, headers=dict(hook.headers))
        assert answer.status_code == status
        assert len(answer.json()["error"].splitlines()) == 1
    assert running.store.annotations.counts(other.id) == counts


# --- what is wrong from the start ---


def test_a_personal_access_token_does_all_that_a_legacy_one_does(
    nextlabel, owner, project, client, annotator
):
    nextlabel.environment["LABEL_STUDIO_API_KEY"] = owner.personal_token()
    nextlabel.up()
    made = project(texts(20))
    nextlabel.does("connect", made.id)
    watcher = Watcher(nextlabel, client, made.id)
    task, _ = watcher.next(annotator)
    annotator.annotate(task["id"], choice("yes"))
    watcher.agree()
    found = json.loads(nextlabel.does("doctor", made.id, "--json"))
    assert "personal" in next(finding["message"] for finding in found if finding["check"] == "token")
    nextlabel.does("disconnect", made.id)


def test_an_address_where_nobody_is_takes_one_line(nextlabel):
    nowhere = f"http://{HOST}:{free_port()}"
    for command in (("connect", 1), ("up",)):
        line = complaint(nextlabel.run(*command, LABEL_STUDIO_URL=nowhere), 3)
        assert nowhere in line
    assert "expected an http" in complaint(nextlabel.run("connect", 1, LABEL_STUDIO_URL="localhost"), 2)


def test_an_address_of_something_else_takes_one_line(nextlabel, running):
    """Here: of nextlabel itself."""
    line = complaint(nextlabel.run("connect", 1, LABEL_STUDIO_URL=running.url), 3)
    assert "address" in line


def test_a_wrong_token_takes_one_line_and_is_not_shown(nextlabel, owner):
    for wrong in ("f" * 40, "not-a-token"):
        line = complaint(nextlabel.run("connect", 1, LABEL_STUDIO_API_KEY=wrong), 3)
        assert wrong not in line
        assert "Account & Settings" in line
    revoked = owner.personal_token()
    owner.revoke(revoked)
    line = complaint(nextlabel.run("connect", 1, LABEL_STUDIO_API_KEY=revoked), 3)
    assert revoked not in line


def test_a_missing_token_takes_one_line(nextlabel):
    line = complaint(nextlabel.run("connect", 1, LABEL_STUDIO_API_KEY=None), 2)
    assert "LABEL_STUDIO_API_KEY: not set" in line
    complaint(nextlabel.run("up", LABEL_STUDIO_API_KEY=None), 2)


def test_an_unknown_project_takes_one_line(nextlabel):
    assert "987654" in complaint(nextlabel.run("connect", 987654), 3)
    for command in ("disconnect", "status", "round", "doctor"):
        assert "nextlabel connect 987654" in complaint(nextlabel.run(command, 987654), 3)


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_port_in_use_takes_one_line(nextlabel, command):
    with socket.socket() as taken:
        taken.bind((HOST, nextlabel.port))
        taken.listen()
        line = complaint(nextlabel.run(command), 2)
    assert f"web.port {nextlabel.port}" in line
    assert not [p for p in psutil.process_iter() if p.ppid() == 1 and str(nextlabel.folder) in _cwd(p)]


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ('<View><Text name="text" value="$text"/></View>', "control"),
        (
            '<View><Text name="text" value="$text"/><Choices name="c" toName="text" perRegion="true">'
            '<Choice value="a"/><Choice value="b"/></Choices></View>',
            "perRegion",
        ),
        (
            '<View><Audio name="a" value="$a"/><Rating name="r" toName="a"/></View>',
            "Audio",
        ),
    ],
)
def test_a_label_config_that_cannot_be_learned_changes_nothing(nextlabel, project, client, config, named):
    made = project([], label_config=config)
    before = client._get(f"/api/projects/{made.id}/")
    assert named in complaint(nextlabel.run("connect", made.id), 4)
    assert client._get(f"/api/projects/{made.id}/") == before
    assert client.webhooks(made.id) == []
    assert nextlabel.json("status")["projects"] == []


# --- what is odd in the data ---


@pytest.mark.parametrize("count", [0, 1])
def test_a_project_with_hardly_a_task_waits_for_more(connect, running, owner, annotator, count):
    """None, then one, then enough: nothing breaks, and each new task is queued."""
    made, watcher = connect(texts(count))
    assert running.json("status", made.id)["projects"][0]["tasks"] == count
    assert running.store.projects.get(made.id).trouble is None
    if count:
        task, fronts = watcher.next(annotator)
        assert fronts == [[task["id"]]]
        annotator.annotate(task["id"], choice("yes"))
    new = owner.import_tasks(made.id, [{"data": {"text": text}} for text in texts(12)])
    until("the new tasks in the front", lambda: set(watcher.front()) == set(new))
    watcher.agree()


def test_a_project_with_all_tasks_labelled_has_nothing_to_queue(project, running, client, annotator):
    made = project(texts(4))
    for task in made.tasks:
        annotator.annotate(task, choice("yes"))
    said = running.does("connect", made.id)
    assert "All 4 tasks are answered" in said
    assert annotator.next(made.id) is None
    [entry] = running.json("status", made.id)["projects"]
    assert (entry["labelled"], entry["front_left"], entry["trouble"]) == (4, 0, None)
    running.does("disconnect", made.id)


def test_one_class_only_stays_with_the_cold_start(connect, running, annotator):
    """A model cannot tell one class from nothing: typical tasks go on until a second one turns up."""
    made, watcher = connect(texts(30))
    for _ in range(8):
        task, _ = watcher.next(annotator)
        annotator.annotate(task["id"], choice("yes"))
    watcher.agree()
    assert running.json("status", made.id)["projects"][0]["cold_start"] is True
    task, _ = watcher.next(annotator)
    annotator.annotate(task["id"], choice("no"))
    watcher.agree()
    assert running.json("status", made.id)["projects"][0]["cold_start"] is False


def test_empty_huge_and_repeated_texts_are_tasks_like_others(connect, running, annotator):
    """Empty, a megabyte, the same fifteen times, no words, not even a character: all are served once."""
    odd = ["", " ", "\u200b", "🦊" * 10, "the same text", *["the same text"] * 14, "long " * 200_000]
    made, watcher = connect([*odd, *texts(4)])
    served = []
    while True:
        task, fronts = watcher.next(annotator)
        if task is None:
            break
        assert any(task["id"] in front for front in fronts)
        annotator.annotate(task["id"], choice("yes" if len(served) % 2 else "no"))
        served.append(task["id"])
    assert sorted(served) == made.tasks
    watcher.agree()
    assert running.store.projects.get(made.id).trouble is None


def test_a_task_without_the_text_is_a_task_like_others(connect, owner, running):
    """The key is missing, null, a number or a list: what Label Studio takes, nextlabel survives."""
    made, watcher = connect(texts(4))
    for data in ({"text": None}, {"text": 12}, {"text": ["a", "b"]}, {"text": {"a": 1}}, {"other": "x"}):
        with suppress(LabelStudioError):  # where Label Studio itself refuses it there is nothing to survive
            owner.import_tasks(made.id, [{"data": data}])
    watcher.agree()
    assert running.store.projects.get(made.id).trouble is None


def test_a_label_that_the_config_has_no_more_is_named_and_not_learned(connect, running, annotator):
    made, watcher = connect(texts(12))
    for task, label in zip(made.tasks, ("yes", "no", "perhaps"), strict=False):
        annotator.annotate(task, choice(label))
    until("the store agrees", lambda: watcher.truth() == watcher.known())
    until("a round has seen it all", lambda: running.caught_up(made.id))
    [entry] = running.json("status", made.id)["projects"]
    assert (entry["annotations"], entry["labelled"]) == (3, 2)
    assert entry["unknown_labels"] == ["perhaps"]
    assert entry["trouble"] is None
    assert "'perhaps'" in running.does("status", made.id)
