"""The pages that Label Studio, operators and Prometheus ask for."""

import base64
import logging
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.domain import FrontTask, Origin, Project, StepTiming, StoreError, Task
from backend.store import Store
from backend.web import WebSettings, create_app
from backend.web.attempts import Attempts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET, PASSWORD = "a webhook's secret", "pässwort:with colon"
RESULT = ({"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["a"]}},)
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def store(tmp_path):
    """A project with four tasks; 11 and 12 are in the front that is served, 13 in one that was."""
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 4, 0), {}, now=NOW)
    store.projects.set_webhook(1, 7, SECRET)
    tasks = [Task(id_, {"text": str(id_)}, NOW) for id_ in (11, 12, 13, 14)]
    store.tasks.record(1, tasks, asked_at=NOW, now=NOW)
    lease = store.leases.take(1, "worker", now=NOW, seconds=60)
    store.queue.begin(lease, "1.1", [place(13, 0)], number=1, attempt=1, now=NOW)
    store.queue.switch(1, "1.1", now=NOW)
    blind = FrontTask(12, 1, 0.5, Origin.AUDIT, 0.0, "audit", ())
    store.queue.begin(lease, "2.1", [place(11, 0), blind], number=2, attempt=1, now=NOW)
    store.queue.switch(1, "2.1", now=NOW)
    yield store
    store.close()


def place(task_id, rank):
    return FrontTask(task_id, rank, 0.25, Origin.CHOSEN, 0.9, "close call", RESULT)


def app_of(store, password=PASSWORD):
    return create_app(store, WebSettings(password, 10_000, "9.8.7", 60), now=lambda: NOW)


@pytest.fixture
def client(store):
    return app_of(store).test_client()


def predict(client, tasks, project="1.1700000000"):
    body = {"tasks": tasks, "project": project, "label_config": "<View/>", "params": {"context": None}}
    return client.post("/predict", json=body, auth=("label studio", PASSWORD))


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_is_open_and_says_up(client, path):
    answer = client.get(path, environ_base=ELSEWHERE)
    assert (answer.status_code, answer.json) == (
        200,
        {"status": "UP", "model_class": "nextlabel", "version": "9.8.7"},
    )


def test_health_says_503_in_one_line_when_the_store_is_unusable(tmp_path, caplog):
    """And not where the store is, for health is open to everybody: that stands in the log."""
    answer = app_of(Store(f"sqlite:///{tmp_path}/never-migrated.db")).test_client().get("/health")
    assert (answer.status_code, answer.json["status"]) == (503, "DOWN")
    assert "store is unusable; see the log" in answer.json["error"]
    assert "never-migrated" not in answer.text
    assert "never-migrated.db: no such table" in caplog.text


@pytest.mark.parametrize("left", [0, 5000], ids=["emptied", "cut off"])
def test_health_says_503_as_soon_as_a_store_that_was_well_cannot_be_read(store, tmp_path, left):
    client = app_of(store).test_client()
    assert client.get("/health").status_code == 200
    store.close()
    file = tmp_path / "store.db"
    file.write_bytes(file.read_bytes()[:left])
    assert client.get("/health").status_code == 503


def test_health_is_about_reading_and_writes_nothing(client, store, monkeypatch):
    """On a full disk what is stored is served all the same; what cannot be written is refused by name."""

    @contextmanager
    def full():
        raise StoreError("store sqlite:///x.db: database or disk is full")
        yield

    monkeypatch.setattr(store.database, "write", full)
    assert client.get("/health").json["status"] == "UP"
    assert predict(client, [{"id": 11}]).json["results"][0]["result"] == [dict(RESULT[0])]
    event = {"action": "TASKS_CREATED", "project": {"id": 1}}
    answer = client.post("/webhook", json=event, headers={"X-Nextlabel-Secret": SECRET})
    assert (answer.status_code, "store is unusable" in answer.json["error"]) == (503, True)
    assert samples(client)["nextlabel_webhooks_total", ("outcome", "refused")] == 1


@pytest.mark.parametrize("path", ["/predict", "/webhook", "/metrics"])
def test_every_page_says_503_in_one_line_when_the_store_is_unusable(tmp_path, path):
    client = app_of(Store(f"sqlite:///{tmp_path}/never-migrated.db"), None).test_client()
    body = {"tasks": [{"id": 1}], "project": "1.1"} if path == "/predict" else {"action": "x", "project": 1}
    answer = client.get(path) if path == "/metrics" else client.post(path, json=body)
    assert answer.status_code == 503
    assert list(answer.json) == ["error"]


def test_setup_answers_a_model_version_that_is_no_queue_version_and_keeps_no_token(client, store, tmp_path):
    body = {
        "project": "1.1700000000",
        "schema": "<View/>",
        "hostname": "http://localhost:8080",
        "access_token": "t0ken-of-a-person",
        "extra_params": None,
    }
    answer = client.post("/setup", json=body, auth=("x", PASSWORD))
    assert answer.json == {"model_version": "nextlabel"}
    assert "nextlabel" not in {version.version for version in store.queue.versions(1)}
    store.close()
    assert not any(b"t0ken-of-a-person" in file.read_bytes() for file in tmp_path.iterdir())


def test_versions_names_no_queue_version(client):
    assert client.get("/versions", auth=("x", PASSWORD)).json == {"versions": ["nextlabel"]}


def test_predict_answers_each_task_in_order_from_the_current_front(client):
    """Blind, unknown, repeated and idless tasks get an empty result; retired fronts say nothing."""
    asked = [
        {"id": 12},
        {"id": 11},
        {"id": 13},
        {"id": 99},
        {"data": {}},
        {"id": 11},
        {"id": "11"},
        {"id": 2**70},
    ]
    results = predict(client, asked).json["results"]
    empty = {"result": [], "score": 0.0, "model_version": "nextlabel"}
    full = {"result": [dict(RESULT[0])], "score": 0.25, "model_version": "nextlabel"}
    assert results == [empty | {"score": 0.5}, full, empty, empty, empty, full, empty, empty]


def test_predict_never_names_a_queue_version(client):
    assert "2.1" not in predict(client, [{"id": 11}, {"id": 12}]).text


@pytest.mark.parametrize("project", [None, "", "77.1700000000"])
def test_predict_for_a_project_that_is_not_connected_is_empty(client, project):
    assert [answer["result"] for answer in predict(client, [{"id": 11}], project).json["results"]] == [[]]


def test_predict_for_no_tasks_gives_no_results(client):
    assert predict(client, []).json == {"results": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"project": "1.1"}),
        ("/predict", {"tasks": [1], "project": "1.1"}),
        ("/predict", {"tasks": {}, "project": "1.1"}),
        ("/predict", {"tasks": [], "project": {"id": 1}}),
        ("/predict", [1]),
        ("/setup", {"project": "one"}),
        ("/setup", {"project": "99999999999.1"}),
        ("/setup", "text"),
    ],
)
def test_what_is_no_request_of_the_protocol_is_refused_in_one_line(client, path, body):
    answer = client.post(path, json=body, auth=("x", PASSWORD))
    assert answer.status_code == 400
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]


PAGES = [("POST", "/setup"), ("POST", "/predict"), ("GET", "/versions"), ("GET", "/metrics")]


@pytest.mark.parametrize(("method", "path"), PAGES)
@pytest.mark.parametrize("given", [None, ("x", ""), ("x", "wrong"), (PASSWORD, "x"), ("x", PASSWORD + " ")])
def test_without_the_password_nobody_is_served(client, method, path, given):
    answer = client.open(path, method=method, auth=given)
    assert answer.status_code == 401
    assert "NEXTLABEL_PASSWORD" in answer.json["error"]
    assert answer.headers["WWW-Authenticate"].lower().startswith("basic")


@pytest.mark.parametrize(("method", "path"), [*PAGES, ("POST", "/webhook")])
def test_after_many_wrong_passwords_an_address_must_wait_even_with_the_right_one(client, method, path):
    """Or else it would find out which one is right."""
    for guess in range(Attempts.MOST):
        answer = client.open(path, method=method, auth=("x", f"guess {guess}"), environ_base=ELSEWHERE)
        assert answer.status_code == 401
    for password in ("guess", PASSWORD):
        answer = client.open(path, method=method, auth=("x", password), environ_base=ELSEWHERE)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "60"
    assert client.get("/versions", auth=("x", PASSWORD)).status_code == 200, "other addresses need not"


def test_the_log_in_page_and_basic_auth_share_their_tries(client):
    for guess in range(Attempts.MOST):
        client.get("/metrics", auth=("x", f"guess {guess}"))
    form = {"csrf": client.get("/login").text.split('name="csrf" value="')[1].split('"')[0]}
    assert client.post("/login", data={**form, "password": PASSWORD}).status_code == 429


def test_right_passwords_and_missing_ones_are_no_tries(client):
    for _ in range(2 * Attempts.MOST):
        assert client.get("/versions", auth=("x", PASSWORD)).status_code == 200
        assert client.get("/versions").status_code == 401


@pytest.mark.parametrize(
    "header", ["Basic", "Basic %%%", "Bearer x", "basic " + base64.b64encode(b"\xff").decode()]
)
def test_an_authorization_that_cannot_be_read_is_none(client, header):
    assert client.get("/versions", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("user", ["", "anyone", "label studio"])
def test_any_user_name_will_do(client, user):
    assert client.get("/versions", auth=(user, PASSWORD), environ_base=ELSEWHERE).status_code == 200


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_without_a_configured_password_only_this_machine_is_served(store, method, path):
    client = app_of(store, None).test_client()
    body = {"tasks": [], "project": "1.1"} if method == "POST" else None
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.5", 401), ("", 401)):
        answer = client.open(path, method=method, json=body, environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == status, address
    assert "NEXTLABEL_PASSWORD" in answer.json["error"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_what_a_proxy_on_this_machine_passes_on_does_not_come_from_this_machine(store, header):
    answer = app_of(store, None).test_client().get("/versions", headers={header: "127.0.0.1"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [*PAGES, ("GET", "/health"), ("GET", "/nowhere"), ("GET", "/webhook")]
)
def test_every_answer_fits_a_json_api(client, method, path):
    headers = client.open(path, method=method).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_an_unknown_page_is_404_in_one_line(client):
    answer = client.get("/nowhere")
    assert (answer.status_code, list(answer.json)) == (404, ["error"])


def test_a_protocol_body_over_the_limit_is_413(client):
    answer = client.post("/predict", data=b"x" * 10_001, auth=("x", PASSWORD))
    assert answer.status_code == 413
    assert "web.max_body_mb" in answer.json["error"]


# --- metrics ----------------------------------------------------------------------------------------


def samples(client):
    text = client.get("/metrics", auth=("prometheus", PASSWORD)).text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_the_store_holds_at_the_moment_of_asking(client, store):
    mine = ("project", "1")
    before = samples(client)
    assert before["nextlabel_tasks", mine] == 4
    assert (before["nextlabel_front_size", mine], before["nextlabel_front_left", mine]) == (2, 2)
    assert before["nextlabel_labels", mine] == 0
    assert before["nextlabel_workers",] == 0
    assert ("nextlabel_poll_age_seconds", mine) not in before, "it was never polled"
    store.leases.beat("worker", now=NOW)
    store.projects.polled(1, cursor=None, now=NOW - timedelta(seconds=42))
    store.rounds.start(1, 2, 1, "new labels", now=NOW)
    store.rounds.finish(1, 2, 1, change=1, steps=[StepTiming("fit", 0.75)], figures={}, now=NOW)
    annotation = {"id": 5, "task": 11, "result": [], "was_cancelled": False}
    annotation |= {"created_at": NOW.isoformat(), "updated_at": NOW.isoformat()}
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "annotation": annotation}
    assert client.post("/webhook", json=event, headers={"X-Nextlabel-Secret": SECRET}).status_code == 200
    assert client.post("/webhook", json=event, headers={"X-Nextlabel-Secret": "wrong"}).status_code == 401
    assert client.post("/webhook", data="x", auth=("x", PASSWORD)).status_code == 400
    after = samples(client)
    assert (after["nextlabel_labels", mine], after["nextlabel_front_left", mine]) == (1, 1)
    assert after["nextlabel_workers",] == 1
    assert after["nextlabel_poll_age_seconds", mine] == 42
    assert after["nextlabel_rounds", mine, ("state", "done")] == 1
    assert after["nextlabel_round_step_seconds", mine, ("step", "fit")] == 0.75
    for outcome in ("stored", "unauthorized", "refused"):
        assert after["nextlabel_webhooks_total", ("outcome", outcome)] == 1
    assert after["nextlabel_request_seconds_count", ("page", "/webhook"), ("status", "200")] == 1


def test_two_apps_of_one_process_count_apart(client, store):
    client.get("/health")
    other = app_of(store).test_client()
    assert not [key for key in samples(other) if key[0] == "nextlabel_request_seconds_count"]


def test_a_path_that_nobody_serves_adds_no_label_of_its_own(client):
    for path in ("/a", "/b", "/c"):
        client.get(path)
    pages = {value for key in samples(client) for name, value in key[1:] if name == "page"}
    assert pages == {"unknown"}


# --- the log ----------------------------------------------------------------------------------------

SENSITIVE = (
    "s3cret-header",
    "t0ken-of-the-project",
    "task-data-passw0rd",
    "what the annotator wrote",
    "cGFzc3dvcnQ",
)


@pytest.fixture
def logged(caplog, tmp_path):
    """The log at every level, with the store made while that is on: SQLAlchemy decides then."""
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "werkzeug", "backend"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def sensitive_webhook(client, **changes):
    result = [{"value": {"text": ["what the annotator wrote"]}}]
    annotation = {
        "id": 5,
        "task": 11,
        "result": result,
        "created_at": NOW.isoformat(),
        "updated_at": NOW.isoformat(),
    }
    project = {"id": 1, "token": "t0ken-of-the-project", "task_data_password": "task-data-passw0rd"}
    event = {"action": "ANNOTATION_CREATED", "project": project, "annotation": annotation | changes}
    headers = {"X-Nextlabel-Secret": "s3cret-header", "Authorization": "Basic cGFzc3dvcnQ6cGFzc3dvcnQ="}
    return client.post("/webhook", json=event, headers=headers)


def lines(logged):
    formatter = logging.Formatter()
    return [formatter.format(record) for record in logged.records]


@pytest.mark.parametrize("changes", [{}, {"updated_at": "what the annotator wrote"}])
def test_no_level_of_the_log_holds_a_payload_or_a_credential(logged, tmp_path, changes):
    """Not even SQLAlchemy's, which logs the values that it writes unless told not to."""
    store = Store.open(f"sqlite:///{tmp_path}/store.db")
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 4, 0), {}, now=NOW)
    store.projects.set_webhook(1, 7, "s3cret-header")
    client = app_of(store).test_client()
    assert sensitive_webhook(client, **changes).status_code == (400 if changes else 200)
    client.get("/versions", auth=("x", PASSWORD))
    text = "\n".join(lines(logged))
    assert "INSERT INTO annotation" in text or changes, "the log of SQLAlchemy is on"
    assert "POST /webhook" in text
    for word in (*SENSITIVE, PASSWORD):
        assert word not in text
    store.close()


class Broken(Store):
    """A store whose failures quote what they were given."""

    def __init__(self, url, error):
        super().__init__(url)
        self.projects = self
        self._error = error

    def get(self, project_id):
        raise self._error

    def of_webhook(self, secret):
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "named"),
    [
        (RuntimeError("what the annotator wrote t0ken-of-the-project"), 500, "RuntimeError"),
        (StoreError("store sqlite:///x.db: disk I/O error"), 503, "disk I/O error"),
    ],
)
def test_an_unforeseen_error_is_one_line_without_payload(logged, tmp_path, error, status, named):
    client = app_of(Broken(f"sqlite:///{tmp_path}/store.db", error)).test_client()
    answer = sensitive_webhook(client)
    assert answer.status_code == status
    assert "\n" not in answer.json["error"]
    (line,) = [
        text for record, text in zip(logged.records, lines(logged), strict=True) if record.levelno > 20
    ]
    assert named in line
    assert "\n" not in line
    for word in SENSITIVE:
        assert word not in line + answer.text


# --- what is loaded ---------------------------------------------------------------------------------


def test_the_web_process_loads_no_heavy_library(tmp_path):
    """It starts fast and stays small."""
    script = f"""
import sys
from backend.store import Store
from backend.web import WebSettings, create_app
import backend.web.serving
client = create_app(Store.open("sqlite:///{tmp_path}/store.db"), WebSettings()).test_client()
assert client.get("/health").status_code == 200
assert client.post("/predict", json={{"tasks": [{{"id": 1}}], "project": "1.1"}}).status_code == 200
heavy = {{"torch", "sklearn", "faiss", "scipy", "transformers", "sentence_transformers", "label_studio_sdk"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
