"""The pages as people use them: log-in, every page in every language, forms, and what a page never does."""

import base64
import gzip
import html
import json
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from filled_store import PEOPLE, fill, set_budget

from backend.budget import budget_of, stand_of
from backend.config.types import Queue
from backend.domain import FrontTask, Origin, Project, Task
from backend.store import Store, digest
from backend.web import WebSettings, create_app
from backend.web.attempts import Attempts
from backend.web.gate import COOKIE
from backend.web.languages import LANGUAGES, gaps, words

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "pässwort:with colon"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}
PROJECT_PAGES = ("", "/queue", "/quality", "/map", "/people", "/rounds", "/budget", "/history")
WEB = Path(__file__).parents[2] / "backend" / "web"


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory):
    """A project after some weeks, made once."""
    file = tmp_path_factory.mktemp("filled") / "store.db"
    store = fill(f"sqlite:///{file}", now=NOW, tasks=300, annotations=130, rounds=30, front=50)
    set_budget(store, 1, now=NOW)
    store.close()
    return file


@pytest.fixture
def store(filled_file, tmp_path):
    copy = tmp_path / "copy.db"
    original = Store(f"sqlite:///{filled_file}")
    original.backup(copy)
    original.close()
    opened = Store(f"sqlite:///{copy}")
    yield opened
    opened.close()


def app_of(store, password=PASSWORD, now=lambda: NOW, **settings):
    return create_app(store, WebSettings(password, 100_000, "9.8.7", 60, **settings), now=now)


@pytest.fixture
def client(store):
    return app_of(store).test_client()


def csrf_of(client, path="/login"):
    return re.search(r'name="csrf" value="([^"]+)"', client.get(path, follow_redirects=True).text).group(1)


def log_in(client, password=PASSWORD, **fields):
    form = {"csrf": csrf_of(client), **({"password": password} if password else {}), **fields}
    return client.post("/login", data=form)


@pytest.fixture
def inside(client):
    assert log_in(client).status_code == 303
    return client


def send(client, path, **fields):
    return client.post(path, data={"csrf": csrf_of(client, "/projects"), **fields})


def front_task(store):
    current = store.queue.current(1)
    return store.queue.front(1, current.version)[0].task_id


# --- coming in --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/projects", *(f"/projects/1{page}" for page in PROJECT_PAGES), "/tokens"])
def test_nobody_sees_a_page_without_logging_in(client, path):
    """They are taken to the log-in, and from there to where they wanted to go."""
    answer = client.get(path, environ_base=ELSEWHERE)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={path.replace('/', '/')}")
    form = {"csrf": csrf_of(client), "password": PASSWORD, "next": path}
    assert client.post("/login", data=form).headers["Location"] == path


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "https://evil.example/projects", "/\\evil.example", "javascript:alert(1)", "/health"],
)
def test_a_log_in_leads_nowhere_else(client, address):
    assert log_in(client, next=address).headers["Location"] == "/projects"


def test_a_wrong_password_is_told_beside_the_form_and_opens_nothing(client):
    answer = log_in(client, "wrong")
    assert answer.status_code == 401
    assert "This is not the password." in answer.text
    assert client.get("/projects").status_code == 303


def test_the_cookie_tells_scripts_nothing_and_its_secret_is_not_in_the_store(client, store, tmp_path):
    cookie = log_in(client).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    key = json.loads(base64.urlsafe_b64decode(cookie.split("=")[1].split(".")[0] + "==="))["key"]
    assert store.access.find_login(key, now=NOW) is not None
    store.close()
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.glob("copy.db*"))


def test_behind_https_the_cookie_is_for_https_alone(client):
    form = {"csrf": csrf_of(client), "password": PASSWORD}
    answer = client.post("/login", data=form, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_log_in_ends_with_logging_out_wherever_its_cookie_went(inside, store):
    stolen = inside.get_cookie(COOKIE).value
    assert send(inside, "/logout").status_code == 303
    other = app_of(store).test_client()
    other.set_cookie(COOKIE, stolen)
    assert other.get("/projects").status_code == 303


def test_a_log_in_ends_after_half_a_day(store):
    clock = [NOW]
    client = app_of(store, now=lambda: clock[0]).test_client()
    log_in(client)
    clock[0] = NOW + timedelta(hours=11, minutes=59)
    assert client.get("/projects").status_code == 200
    clock[0] = NOW + timedelta(hours=12)
    assert client.get("/projects").status_code == 303


@pytest.mark.parametrize("value", ["", "x", "eyJrZXkiOiJ4In0.forged", "é"])
def test_a_cookie_that_we_did_not_sign_is_none(client, value):
    client.set_cookie(COOKIE, value)
    assert client.get("/projects").status_code == 303


def test_after_many_tries_an_address_must_wait(client):
    for _ in range(Attempts.MOST):
        assert log_in(client, "wrong").status_code == 401
    answer = log_in(client)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"
    form = {"csrf": csrf_of(client), "password": PASSWORD}
    assert client.post("/login", data=form, environ_base=ELSEWHERE).status_code == 303, "others need not"


@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/preferences", "/projects/1/do", "/projects/1/budget", "/tokens"]
)
@pytest.mark.parametrize("csrf", [None, "", "guess"])
def test_a_form_that_is_not_ours_does_nothing(inside, store, path, csrf):
    fields = {"password": PASSWORD, "action": "close", "labels": "5", "revision": "1", "name": "x"}
    answer = inside.post(path, data=fields if csrf is None else {**fields, "csrf": csrf})
    assert answer.status_code == 403
    assert stand_of(store, 1).revision == 0
    assert budget_of(store, 1).revision == 1
    assert store.access.tokens() == []


# --- without a password -----------------------------------------------------------------------------


def test_without_a_password_this_machine_alone_comes_in_by_itself(store):
    client = app_of(store, None).test_client()
    assert client.get("/projects").status_code == 200
    assert client.get("/projects", environ_base=ELSEWHERE).status_code == 303
    assert client.get("/projects", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 303


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil"]
)
def test_without_a_password_a_foreign_name_for_this_machine_opens_nothing(store, host):
    """A page elsewhere can have its own name point here: then the browser would send its requests to us."""
    client = app_of(store, None).test_client()
    for path in ("/projects", "/api/v1/projects"):
        assert client.get(path, headers={"Host": host}).status_code in (303, 401)
    for ours in ("localhost:9090", "127.0.0.1:9090", "[::1]:9090", "[::1]", "localhost"):
        assert client.get("/projects", headers={"Host": ours}).status_code == 200, ours


# --- Label Studio's tokens --------------------------------------------------------------------------

LEGACY, PERSONAL = "a" * 40, "head.claims.signature"


@dataclass
class Fake:
    """Label Studio's answers to a log-in; `readable` are the projects that its user may read."""

    url: str
    readable: set
    asked: list
    who: dict


@pytest.fixture
def label_studio():
    who = {"id": 2, "email": "jun@example.org", "first_name": "Jun-ho", "last_name": "Park"}
    fake = Fake("", {1}, [], who)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            good = self.path == "/api/token/refresh/" and body == {"refresh": PERSONAL}
            self.say(200 if good else 401, {"access": "fresh"} if good else {"detail": "no"})

        def do_GET(self):
            fake.asked.append(self.path)
            if self.headers["Authorization"] not in (f"Token {LEGACY}", "Bearer fresh"):
                self.say(401, {"detail": "Invalid token."})
            elif self.path == "/api/current-user/whoami":
                self.say(200, fake.who)
            elif int(self.path.split("/")[3]) in fake.readable:
                self.say(200, {"id": 1})
            else:
                self.say(404, {"detail": "Not found."})

        def say(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("token", [LEGACY, PERSONAL, f" {LEGACY} "])
def test_a_token_of_label_studio_opens_the_projects_that_its_user_may_read(store, label_studio, token):
    store.projects.connect(Project(2, "secret", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    client = app_of(store, label_studio_url=label_studio.url).test_client()
    assert log_in(client, None, token=token).status_code == 303
    page = client.get("/projects").text
    assert "jun@example.org" in page
    assert "Customer questions" in page
    assert "secret" not in page
    for path in ("/projects/2", "/projects/2/budget", "/api/v1/projects/2", "/projects/99"):
        assert client.get(path).status_code == 404, path
    assert [each["id"] for each in client.get("/api/v1/projects").json["projects"]] == [1]
    assert store.access.people()[2] == "Jun-ho Park"


@pytest.mark.parametrize(
    ("who", "author"),
    [
        ({"email": "jun@example.org", "first_name": "operator"}, "jun@example.org"),
        ({"email": "jun@example.org", "first_name": "this machine"}, "jun@example.org"),
        ({"email": "jun@example.org", "first_name": "program (API)"}, "jun@example.org"),
        ({"email": "", "first_name": "operator"}, "operator (user 2)"),
        ({"email": None, "username": "operator"}, "operator (user 2)"),
        ({"email": "operator", "first_name": "Jun-ho", "last_name": "Park"}, "Jun-ho Park (user 2)"),
        ({}, "user 2 (user 2)"),
    ],
)
def test_nobody_becomes_somebody_else_by_what_they_call_themselves(store, label_studio, who, author):
    """Neither the operator, nor this machine, nor a token of the API: what is theirs stays theirs."""
    for maker in ("operator", "this machine", "program (API)"):
        store.access.make_token(f"of {maker}", "write", None, by=maker, now=NOW)
    label_studio.who = {"id": 2, **who}
    client = app_of(store, label_studio_url=label_studio.url).test_client()
    assert log_in(client, None, token=LEGACY).status_code == 303
    assert client.get("/api/v1/tokens").json == {"tokens": []}
    for token in store.access.tokens():
        send(client, f"/tokens/{token.id}/revoke")
    assert not any(each.revoked_at for each in store.access.tokens())
    send(client, "/projects/1/do", action="pause")
    assert stand_of(store, 1).author == author
    send(client, "/tokens", name="mine", rights="read")
    assert [each["made_by"] for each in client.get("/api/v1/tokens").json["tokens"]] == [author]


WRITING = [
    ("/projects/1/do", {"action": "pause"}),
    ("/projects/1/budget", {"subject": "budget", "revision": "1", "labels": "9"}),
    ("/tokens", {"name": "mine", "rights": "write"}),
]


@pytest.mark.parametrize(
    ("managers", "may"),
    [((), True), (("jun@example.org",), True), (("Jun@example.org",), False), (("a@b",), False)],
)
def test_managers_alone_change_anything_where_the_configuration_names_them(
    store, label_studio, managers, may
):
    """Everybody else looks: in the community edition every annotator may read every project."""
    settings = {"label_studio_url": label_studio.url, "managers": frozenset(managers)}
    client = app_of(store, **settings).test_client()
    log_in(client, None, token=LEGACY)
    for path, fields in WRITING:
        answer = send(client, path, **fields)
        assert (answer.status_code != 403) is may, path
        assert may or "jun@example.org may only look; expected one of web.managers" in answer.text
    assert (stand_of(store, 1).revision, len(store.access.tokens())) == ((1, 1) if may else (0, 0))
    assert budget_of(store, 1).revision == (2 if may else 1)
    for path in paths(store):
        page = client.get(path)
        assert page.status_code == 200
        forms = set(re.findall(r'method="post" action="([^"]*)"', page.text))
        assert may or forms <= {"/preferences", "/logout"}, path
    assert ('<button class="main"' in client.get("/tokens").text) is may
    assert send(client, "/preferences", theme="dark").status_code == 303
    assert send(client, "/logout").status_code == 303


def test_the_operator_needs_not_be_named_among_the_managers(store):
    client = app_of(store, managers=frozenset({"jun@example.org"})).test_client()
    log_in(client)
    send(client, "/projects/1/do", action="pause")
    assert stand_of(store, 1).author == "operator"


def test_a_token_is_kept_nowhere(store, label_studio, tmp_path, caplog):
    caplog.set_level("DEBUG")
    client = app_of(store, label_studio_url=label_studio.url).test_client()
    log_in(client, None, token=LEGACY)
    store.close()
    assert not any(LEGACY.encode() in file.read_bytes() for file in tmp_path.glob("copy.db*"))
    assert LEGACY not in client.get_cookie(COOKIE).value
    assert LEGACY not in caplog.text


@pytest.mark.parametrize("token", ["b" * 40, "x.y.z", "with space", "ü" * 40, "line\nbreak"])
def test_a_token_that_label_studio_does_not_know_opens_nothing(store, label_studio, token):
    client = app_of(store, label_studio_url=label_studio.url).test_client()
    answer = log_in(client, None, token=token)
    assert answer.status_code == 401
    assert "Label Studio does not accept this token." in html.unescape(answer.text)
    assert client.get("/projects").status_code == 303


def test_a_label_studio_that_does_not_answer_is_named(store):
    client = app_of(store, label_studio_url="http://127.0.0.1:9", timeout_seconds=2).test_client()
    answer = log_in(client, None, token=LEGACY)
    assert answer.status_code == 502
    assert "http://127.0.0.1:9 does not answer" in answer.text


# --- every page -------------------------------------------------------------------------------------


def paths(store):
    own = [f"/projects/1{page}" for page in PROJECT_PAGES]
    return ["/projects", "/tokens", f"/projects/1/tasks/{front_task(store)}", *own]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_every_page_is_whole_in_every_language(inside, store, language, full):
    """Of a project full of figures, and of one that was connected a moment ago."""
    if not full:
        store.projects.forget(1)
        store.projects.connect(Project(1, "fresh", "<View/>", "", "", True, 1, 4, 0), {}, now=NOW)
    inside.set_cookie("nextlabel_language", language)
    for path in paths(store) if full else ["/projects", *(f"/projects/1{page}" for page in PROJECT_PAGES)]:
        answer = inside.get(path)
        assert answer.status_code == 200, path
        assert f'<html lang="{language}"' in answer.text
        assert answer.text.count("<h1>") == 1
        assert answer.text.count("<main") == 1
        assert "Traceback" not in answer.text


def test_pages_run_nothing_that_is_written_into_them(inside, store):
    """The policy forbids scripts and styles inside a page, so there must be none: they would not work."""
    for path in [*paths(store), "/login"]:
        answer = inside.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for script in re.findall(r"<script([^>]*)>", answer.text):
            assert "src=" in script or 'type="application/json"' in script
        assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text), path
        assert "<style" not in answer.text
        assert not re.search(r"""(src|href)="(https?:)?//(?!localhost)""", answer.text), (
            "nothing from elsewhere"
        )


def test_what_a_task_says_is_text_never_markup(inside, store):
    """In lists, on its own page, in the data of a plot."""
    evil = '</script><script>alert(1)</script><b onclick="x">'
    store.tasks.record(1, [Task(77, {"text": evil}, NOW)], asked_at=NOW, now=NOW)
    lease = store.leases.take(1, "other", now=NOW + timedelta(days=9), seconds=60)
    front = [FrontTask(77, 0, 0.1, Origin.CHOSEN, 0.4, f"near {evil}")]
    store.queue.begin(lease, "nextlabel-99.1", front, number=99, attempt=1, now=NOW + timedelta(days=9))
    store.queue.switch(1, "nextlabel-99.1", now=NOW)
    for path in ("/projects/1", "/projects/1/queue", "/projects/1/tasks/77"):
        text = inside.get(path).text
        assert "alert(1)" in text
        assert "<script>alert(1)" not in text
        assert "<b onclick" not in text


def test_the_overview_says_what_a_manager_asks(inside):
    text = html.unescape(inside.get("/projects/1").text)
    for word in (
        "Go on labelling",
        "Learning curve",
        "Spent so far",
        "What comes next",
        "Labels so far",
        "EUR",
    ):
        assert word in text, word
    data = json.loads(re.search(r'data-for="curve">(.*?)</script>', text, re.S).group(1))
    assert data["target"] == 0.93
    assert all(point["low"] <= point["value"] <= point["high"] for point in data["points"])
    assert data["forecast"]["more_labels"] == [100], "300 tasks, of which 130 are labelled"


def test_a_task_page_says_why_in_plain_words(inside, store):
    task = next(
        task for task in store.queue.front(1, store.queue.current(1).version) if task.origin is Origin.AUDIT
    )
    text = html.unescape(inside.get(f"/projects/1/tasks/{task.task_id}").text)
    assert "drawn at random, to measure how good the model is" in text
    assert "The model hesitates between" in text
    assert "The nearest labelled example" in text
    assert inside.get("/projects/1/tasks/1").status_code == 404


def test_failures_of_rounds_are_told_in_words(inside):
    assert "no answer within 30 s" in inside.get("/projects/1/rounds").text


def test_annotators_have_names_where_they_are_known(inside):
    text = inside.get("/projects/1/people").text
    assert PEOPLE[1] in text


def test_an_unknown_page_of_ours_is_told_on_a_page(inside):
    answer = inside.get("/projects/99")
    assert answer.status_code == 404
    assert "That did not work" in answer.text


def test_a_browser_at_the_root_comes_to_the_projects_and_a_monitor_to_health(client):
    browser = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (browser.status_code, browser.headers["Location"]) == (302, "/projects")
    for accept in ("*/*", "application/json"):
        assert client.get("/", headers={"Accept": accept}).json["status"] == "UP"


# --- language and colours ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "language"), [("ko-KR,ko;q=0.9,en;q=0.5", "ko"), ("de,en;q=0.4", "en"), ("fr", "en")]
)
def test_the_browser_says_which_language(client, header, language):
    assert f'<html lang="{language}"' in client.get("/login", headers={"Accept-Language": header}).text


def test_choices_are_kept_and_lead_back_to_the_page(inside):
    token = csrf_of(inside, "/projects")
    referrer = {"Referer": "http://localhost/projects/1/queue"}
    answer = inside.post("/preferences", data={"csrf": token, "language": "ko"}, headers=referrer)
    assert answer.headers["Location"] == "/projects/1/queue"
    inside.post("/preferences", data={"csrf": token, "theme": "dark"})
    inside.post("/preferences", data={"csrf": token, "theme": "x", "language": "xx"})
    text = inside.get("/projects/1/queue").text
    assert '<html lang="ko" data-theme="dark">' in text
    assert "대기열" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_word_with_the_same_gaps(language):
    assert words(language).keys() == words("en").keys()
    for key, text in words("en").items():
        assert gaps(words(language)[key]) == gaps(text), key
        assert words(language)[key].strip()


def used_keys():
    """Keys as written in templates and modules; those that are put together count as their beginnings."""
    exact, begun = set(), set()
    for file in [*WEB.glob("*.py"), *WEB.glob("templates/*.html")]:
        text = file.read_text()
        exact |= set(re.findall(r"""(?:\bt|\bspeech|\braw|\))\(\s*\(?["']([a-z_0-9.]+[a-z_0-9])["']""", text))
        begun |= set(re.findall(r"""\b(?:t|speech)\(\s*["']([a-z_.]+\.)["'] \+""", text))
        begun |= {f"{name}." for name in re.findall(r"""\bof\(\s*["']([a-z_.]+)["']""", text)}
        begun |= set(re.findall(r"""f["']([a-z_]+\.)(?:no_)?\{""", text))
        exact |= set(re.findall(r"""["']((?:wrong|unit|advice|reason|limit|expected)\.[a-z_]+)["']""", text))
    return exact, begun


def test_every_word_that_is_used_is_there_and_none_is_left_over():
    exact, begun = used_keys()
    known = set(words("en"))
    assert not {key for key in exact if key not in known and f"{key}." not in begun}
    assert begun, "pages put some keys together"
    left = {key for key in known - exact if not any(key.startswith(beginning) for beginning in begun)}
    assert not {key for key in left if not re.search(r"\.(one|many)$", key)}


# --- doing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "standing"),
    [("pause", "paused"), ("close", "closed"), ("resume", "running"), ("reopen", "running")],
)
def test_buttons_set_how_the_project_stands(inside, store, action, standing):
    answer = send(inside, "/projects/1/do", action=action, back="/projects/1/queue")
    assert answer.headers["Location"] == f"/projects/1/queue?done={action}"
    assert stand_of(store, 1).value.standing == standing
    assert stand_of(store, 1).author == "operator"
    assert 'role="status"' in inside.get(answer.headers["Location"]).text


def test_a_round_is_asked_for(inside, store):
    send(inside, "/projects/1/do", action="round")
    assert store.projects.get(1).wanted == "asked for by operator"
    assert [(event.name, event.action) for event in store.deeds.events(1)] == [("operator", "round")]


def test_retraining_is_wished_for_until_it_was_done(inside, store):
    send(inside, "/projects/1/do", action="retrain")
    asked = store.deeds.wishes(1)["retrain"]
    assert asked == NOW
    assert re.search(r'value="retrain" disabled', inside.get("/projects/1").text)
    store.deeds.grant(1, "retrain", asked)
    assert store.deeds.wishes(1) == {}


@pytest.mark.parametrize("action", ["", "drop", "round; drop"])
def test_an_unknown_action_is_refused(inside, store, action):
    assert send(inside, "/projects/1/do", action=action).status_code == 400
    assert store.deeds.events(1) == []


def test_what_was_done_and_changed_is_in_the_history(inside):
    send(inside, "/projects/1/do", action="pause")
    send(inside, "/projects/1/do", action="round")
    text = html.unescape(inside.get("/projects/1/history").text)
    for word in ("asked for a round", "Standing", "paused", "Budget: money", "Lena Fischer", "operator"):
        assert word in text, word


# --- the budget -------------------------------------------------------------------------------------

FIELDS = {
    "subject": "budget", "revision": "1", "labels": "900", "hours": "", "money": "300", "currency": "eur",
    "per_hour": "20", "per_label": "", "deadline": "2026-12-31", "target_metric": "accuracy",
    "target_value": "95 %", "least_gain": "0.5", "since": "", "most_minutes": "60",
}  # fmt: skip


def test_a_budget_is_saved_with_its_author(inside, store):
    answer = send(inside, "/projects/1/budget", **FIELDS)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/projects/1/budget?done=budget")
    held = budget_of(store, 1)
    assert (held.revision, held.author) == (2, "operator")
    assert (held.value.labels, str(held.value.money), held.value.currency) == (900, "300", "EUR")
    assert str(held.value.target_value) == "0.95"


WRONG = [
    ("labels", "-5"), ("labels", "2.5"), ("labels", "many"), ("hours", "-1"), ("hours", "nan"),
    ("money", "0"), ("money", "1e30"), ("target_value", "1.5"), ("target_value", "0"), ("currency", "€"),
    ("deadline", "2020-01-01"), ("deadline", "tomorrow"), ("per_hour", "-3"), ("since", "2030-01-01"),
    ("most_minutes", "0"), ("least_gain", "99"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "typed"), WRONG)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_saved(inside, store, name, typed, language):
    inside.set_cookie("nextlabel_language", language)
    answer = send(inside, "/projects/1/budget", **{**FIELDS, name: typed})
    assert answer.status_code == 422
    field = re.search(rf'<input id="f-{name}"[^>]*>', answer.text).group(0)
    assert 'aria-invalid="true"' in field
    assert f"e-{name}" in re.search(r'aria-describedby="([^"]+)"', field).group(1).split()
    assert re.search(rf'<p class="error" id="e-{name}">.+?</p>', answer.text, re.S)
    assert f'value="{html.escape(typed)}"' in field, "what was typed stays"
    assert answer.text.count('aria-invalid="true"') == 1
    assert budget_of(store, 1).revision == 1
    if language == "ko":
        assert "expected" not in re.search(rf'id="e-{name}">(.+?)</p>', answer.text, re.S).group(1)


def test_money_without_a_price_is_told_at_the_money(inside, store):
    answer = send(inside, "/projects/1/budget", **{**FIELDS, "per_hour": ""})
    assert "Money needs a price" in re.search(r'id="e-money">(.+?)</p>', answer.text, re.S).group(1)


def test_of_two_managers_the_later_one_is_told_and_loses_nothing_that_they_typed(inside, store):
    send(inside, "/projects/1/budget", **{**FIELDS, "labels": "700"})
    answer = send(inside, "/projects/1/budget", **{**FIELDS, "labels": "800"})
    assert answer.status_code == 409
    assert "Somebody else saved meanwhile" in answer.text
    assert 'value="800"' in answer.text
    assert 'name="revision" value="2"' in answer.text, "saving once more is meant"
    assert budget_of(store, 1).value.labels == 700


def test_shares_are_saved_and_refused_alike(inside, store):
    good = send(
        inside, "/projects/1/budget", subject="shares", revision="0", audit="15 %", exploration="", relabel=""
    )
    assert good.status_code == 303
    bad = send(
        inside, "/projects/1/budget", subject="shares", revision="1", audit="80 %", exploration="", relabel=""
    )
    assert bad.status_code == 422
    assert 'id="e-audit"' in bad.text
    assert send(inside, "/projects/1/budget", subject="other", revision="1").status_code == 400


def test_the_form_counts_a_share_that_is_left_empty_as_the_configuration_says(store):
    inside = app_of(store, queue=lambda _project: Queue(audit_share=0.5)).test_client()
    log_in(inside)
    answer = send(inside, "/projects/1/budget", subject="shares", revision="0", audit="", relabel="45 %")
    assert answer.status_code == 422
    assert 'id="e-audit"' in answer.text


# --- tokens -----------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(inside, store, tmp_path):
    text = send(inside, "/tokens", name="nightly report", rights="read").text
    key = re.search(r'class="secret">([^<]+)<', text).group(1)
    assert key.startswith("nlt_")
    assert key not in inside.get("/tokens").text
    assert store.access.find_token(key, now=NOW).rights == "read"
    token_id = store.access.tokens()[0].id
    send(inside, f"/tokens/{token_id}/revoke")
    assert store.access.find_token(key, now=NOW) is None
    store.close()
    content = b"".join(file.read_bytes() for file in tmp_path.glob("copy.db*"))
    assert key.encode() not in content
    assert digest(key).encode() in content


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\0b"])
def test_a_token_needs_a_name(inside, store, name):
    answer = send(inside, "/tokens", name=name, rights="write")
    assert answer.status_code == 422
    assert 'id="e-name"' in answer.text
    assert store.access.tokens() == []


def test_people_see_and_revoke_their_own_tokens_alone(inside, store, label_studio):
    send(inside, "/tokens", name="the operator's", rights="write")
    other = app_of(store, label_studio_url=label_studio.url).test_client()
    log_in(other, None, token=LEGACY)
    assert "the operator" not in other.get("/tokens").text
    send(other, f"/tokens/{store.access.tokens()[0].id}/revoke")
    assert store.access.tokens()[0].revoked_at is None
    send(other, "/tokens", name="mine", rights="write")
    assert store.access.tokens()[0].projects == (1,)
    assert "mine" in inside.get("/tokens").text, "the operator sees all"


# --- files ------------------------------------------------------------------------------------------


def test_files_are_compressed_and_kept(client):
    text = client.get("/login").text
    address = re.search(r'href="(/static/[0-9a-f]+/app.css)"', text).group(1)
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    small = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data == (WEB / "static" / "app.css").read_bytes()
    assert "immutable" in plain.headers["Cache-Control"]
    again = client.get(address, headers={"Accept-Encoding": "gzip", "If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert plain.content_type == "text/css; charset=utf-8"


def test_plotly_comes_from_this_installation(inside):
    address = re.search(r'src="(/static/[0-9a-f]+/plotly.min.js)"', inside.get("/projects/1").text).group(1)
    answer = inside.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert len(answer.data) < 2_000_000
    assert b"plotly.js" in gzip.decompress(answer.data)[:200]


@pytest.mark.parametrize("name", ["other.css", "..%2Fapp.py", "../app.py", "%2e%2e/app.py", "app.py"])
def test_nothing_else_is_sent(client, name):
    assert client.get(f"/static/x/{name}").status_code in (308, 404)


def test_the_wheel_holds_templates_words_and_files():
    """Hatch takes the package's folder as a whole: what is beside the modules goes with them."""
    kept = {file.suffix for folder in ("templates", "static", "words") for file in (WEB / folder).iterdir()}
    assert kept == {".html", ".css", ".js", ".svg", ".json"}
    ignored = (WEB.parents[1] / ".gitignore").read_text().split()
    assert not {f"*{suffix}" for suffix in kept} & set(ignored), "hatch leaves out what git ignores"
