"""Without a password this machine is served, by its own names: no page from elsewhere in a browser on it."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from backend.domain import FrontTask, Origin, Project, Task
from backend.store import Store
from backend.web import WebSettings, create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET, PASSWORD = "a webhook's secret", "password"
RESULT = {"from_name": "t", "to_name": "x", "type": "choices", "value": {"choices": ["what it will be"]}}
EVIL = {"Host": "evil.example:9090", "Origin": "http://evil.example:9090"}
CONTAINER = {"REMOTE_ADDR": "172.18.0.2"}
COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker" / "nextlabel.yaml").read_text())
INSIDE = COMPOSE["web"]["public_url"]
"""What Label Studio calls in docker/compose.yaml."""

START = {"action": "START_TRAINING", "project": {"id": 1}}
OPERATORS = [
    ("POST", "/setup", {"project": "1.1"}, 200),
    ("POST", "/predict", {"project": "1.1", "tasks": [{"id": 11}]}, 200),
    ("POST", "/webhook", START, 200),
    ("GET", "/versions", None, 200),
    ("GET", "/metrics", None, 200),
]
"""What the operator may ask, and what answers it."""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A project with a task in the front that is served."""
    file = tmp_path_factory.mktemp("template") / "store.db"
    opened = Store.open(f"sqlite:///{file}")
    opened.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    opened.projects.set_webhook(1, 7, SECRET)
    opened.tasks.record(1, [Task(11, {"text": "x"}, NOW)], asked_at=NOW, now=NOW)
    lease = opened.leases.take(1, "worker", now=NOW, seconds=60)
    place = FrontTask(11, 0, 0.25, Origin.CHOSEN, 0.9, "close call", (RESULT,))
    opened.queue.begin(lease, "1.1", [place], number=1, attempt=1, now=NOW)
    opened.queue.switch(1, "1.1", now=NOW)
    opened.close()
    return file


@pytest.fixture
def store(template, tmp_path):
    opened = Store(f"sqlite:///{shutil.copy(template, tmp_path / 'store.db')}")
    yield opened
    opened.close()


def client_of(store, password=None, public_url=None):
    settings = WebSettings(password, patience_seconds=60, public_url=public_url)
    return create_app(store, settings, now=lambda: NOW).test_client()


def ask(client, method, path, body, headers, **more):
    return client.open(path, method=method, json=body, headers=headers, **more)


# --- who is kept out --------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body", "_status"), OPERATORS)
@pytest.mark.parametrize(
    "host", ["evil.example:9090", "evil.example", "localhost.evil.example", "127.0.0.1.evil:9090", ""]
)
def test_a_foreign_name_for_this_machine_opens_nothing(store, method, path, body, _status, host):
    """A page elsewhere has its own name point here: the browser would let it read what we answer."""
    answer = ask(client_of(store), method, path, body, {"Host": host})
    assert answer.status_code == 401
    assert (
        f"Host {host!r}: not a name of ours; expected one of 127.0.0.1, [::1], localhost"
        in answer.json["error"]
    )
    assert "NEXTLABEL_PASSWORD" in answer.json["error"]
    assert store.projects.get(1).wanted is None


@pytest.mark.parametrize(("method", "path", "body", "_status"), OPERATORS)
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://localhost:3000", "http://localhost", "null", "", "file://", "http://["],
)
def test_a_page_of_another_site_asks_in_vain(store, method, path, body, _status, origin):
    """It could not read the answer, but what it asked for would be done."""
    headers = {"Host": "localhost:9090", "Origin": origin}
    answer = ask(client_of(store), method, path, body, headers)
    assert answer.status_code == 401
    assert f"Origin {origin!r}: another site's page asks" in answer.json["error"]
    assert store.projects.get(1).wanted is None


def test_pages_and_the_api_judge_names_and_origins_alike(store):
    client = client_of(store, public_url="http://here.example:9090")
    for headers, may in (
        (EVIL, False),
        ({"Host": "localhost:9090", "Origin": "http://evil.example"}, False),
        ({"Host": "localhost:9090", "Origin": "http://localhost:9090"}, True),
        ({"Host": "here.example:9090"}, True),
    ):
        assert client.get("/projects", headers=headers).status_code == (200 if may else 303), headers
        assert client.get("/api/v1/projects", headers=headers).status_code == (200 if may else 401), headers


def test_health_is_open_under_every_name(store):
    for path in ("/", "/health"):
        assert client_of(store).get(path, headers=EVIL, environ_base=CONTAINER).status_code == 200


# --- who is let in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body", "status"), OPERATORS)
@pytest.mark.parametrize("host", ["localhost:9090", "LOCALHOST", "127.0.0.1:9090", "[::1]:9090", "[::1]"])
def test_this_machine_is_served_by_its_own_names(store, method, path, body, status, host):
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
        assert ask(client_of(store), method, path, body, headers).status_code == status


@pytest.mark.parametrize(("method", "path", "body", "status"), OPERATORS)
@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("http://host.docker.internal:9090", "host.docker.internal:9090"),
        ("http://Nextlabel.Example/behind", "nextlabel.example"),
        ("http://nextlabel.example:8000", "NEXTLABEL.example:9090"),
        (INSIDE, "nextlabel:9090"),
        ("http://Bücher.example:9090", "xn--bcher-kva.example:9090"),
        ("https://알림.한국", "xn--4y2bl5s.xn--3e0b707e"),
        ("http://[fe80::2]:9090", "[FE80::2]:9090"),
    ],
)
def test_label_studio_is_served_by_the_name_that_it_was_given(
    store, method, path, body, status, public_url, host
):
    """As from a container whose requests the machine's own relay brings: they come from this machine."""
    assert ask(client_of(store), method, path, body, {"Host": host}).status_code == 401
    answer = ask(client_of(store, public_url=public_url), method, path, body, {"Host": host})
    assert answer.status_code == status
    assert ask(client_of(store, public_url=public_url), method, path, body, EVIL).status_code == 401


@pytest.mark.parametrize("public_url", ["http://[127.0.0.1:9090", "http://a..b", "http://", "", "x"])
def test_an_address_that_is_none_gives_us_no_name(store, public_url):
    client = client_of(store, public_url=public_url)
    for host, status in (("localhost:9090", 200), ("evil.example", 401), ("", 401)):
        assert client.get("/versions", headers={"Host": host}).status_code == status
        assert client.get("/projects", headers={"Host": host}).status_code == (200 if status == 200 else 303)


@pytest.mark.parametrize(("method", "path", "body", "status"), OPERATORS)
@pytest.mark.parametrize("host", ["nextlabel:9090", "anything.example", "10.0.0.7:9090"])
def test_with_a_password_names_do_not_matter(store, method, path, body, status, host):
    """Another machine or container sends it, as compose.yaml has it: no page knows it."""
    for public_url in (None, INSIDE):
        client = client_of(store, PASSWORD, public_url)
        more = {"auth": ("label studio", PASSWORD), "environ_base": CONTAINER}
        assert ask(client, method, path, body, {"Host": host}, **more).status_code == status


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_webhook_with_its_secret_comes_in_from_everywhere(store, password):
    """No page knows the secret, and none may send that header across sites without asking first."""
    headers = {"Host": "nextlabel:9090", "X-Nextlabel-Secret": SECRET}
    event = {"action": "TASKS_CREATED", "project": {"id": 1}}
    answer = ask(client_of(store, password), "POST", "/webhook", event, headers, environ_base=CONTAINER)
    assert (answer.status_code, answer.json) == (200, {"status": "noted"})
    wrong = headers | {"X-Nextlabel-Secret": "wrong", "Host": "localhost:9090"}
    assert ask(client_of(store, password), "POST", "/webhook", event, wrong).status_code == 401
