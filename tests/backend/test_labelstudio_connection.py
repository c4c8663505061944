"""Whatever comes back from the address, the user reads one line that helps."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.domain import (
    ConfigError,
    LabelStudioError,
    NextlabelError,
    NotFound,
    QueuedPrediction,
    Unauthorized,
    Unreachable,
)
from backend.labelstudio import AddressBlocked, LabelStudio

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PROJECT = {"id": 1, "title": "one", "task_number": 3, "model_version": None}


@dataclass
class Answer:
    """What the fake says next."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False


def says(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


class Fake(ThreadingHTTPServer):
    """Answers from a list, the last one for ever; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = [says(PROJECT)]
        self.asked: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, self.path, self.headers.get("authorization", "")))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(answer.delay)
        if answer.hang_up:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(fake: Fake) -> Iterator[LabelStudio]:
    with LabelStudio(fake.url, TOKEN, timeout=0.3, sleep=lambda _: None) as connected:
        yield connected


def jwt(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


LATER = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
HTML = Answer(200, b"<!doctype html><title> Some\n shop </title>", "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (says({"detail": "Invalid token."}, 401), Unauthorized, "Invalid token."),
        (says({"detail": "You do not have permission."}, 403), Unauthorized, "may not do this"),
        (says({"detail": "URL resolves to a reserved network address"}, 403), AddressBlocked, "reserved"),
        (says({"detail": "No Project matches."}, 404), NotFound, "No Project matches."),
        (Answer(404, b"<title>404</title>", "text/html"), NotFound, "is this Label Studio's address?"),
        (HTML, LabelStudioError, "text/html page 'Some shop'; is this the address"),
        (Answer(200, b"hello", "text/plain"), LabelStudioError, "text/plain, which is not JSON"),
        (says({"detail": "database is locked"}, 500), LabelStudioError, "database is locked"),
        (Answer(500, b"", "text/html"), LabelStudioError, "HTTP 500"),
        (Answer(502, b"<title>Bad Gateway</title>", "text/html"), Unreachable, "Bad Gateway"),
        (Answer(503, b""), Unreachable, "HTTP 503"),
        (Answer(302, headers={"Location": "https://ls.example/"}), LabelStudioError, "https://ls.example/"),
        (Answer(delay=0.6), Unreachable, "no answer within 0.3 s"),
        (Answer(hang_up=True), Unreachable, "disconnected"),
        (says([1, 2]), LabelStudioError, "a project: Label Studio's answer has not the form expected"),
        (says({"title": "no id"}), LabelStudioError, "KeyError('id')"),
        (says({"id": "x", "title": "one"}), LabelStudioError, "a project"),
    ],
)
def test_each_odd_answer_is_one_line_that_says_where_and_what(fake, client, answer, error, words):
    fake.answers = [answer]
    with pytest.raises(NextlabelError) as raised:
        client.project(1)
    message = str(raised.value)
    assert isinstance(raised.value, error)
    assert words in message
    assert "\n" not in message
    assert len(message) < 600
    assert TOKEN not in message


def test_only_a_plain_label_studio_error_is_not_blamed_on_the_network(fake, client):
    """A 500 says that Label Studio failed, not that it is away."""
    fake.answers = [says({"detail": "boom"}, 500)]
    with pytest.raises(LabelStudioError) as raised:
        client.project(1)
    assert type(raised.value) is LabelStudioError


def test_a_validation_error_shows_what_label_studio_minds(fake, client):
    fake.answers = [says({"detail": "Validation error", "validation_errors": {"title": ["too short"]}}, 400)]
    with pytest.raises(LabelStudioError, match="too short"):
        client.update_project(1, title="x")


def test_a_server_that_repeats_the_token_does_not_make_us_show_it(fake, client):
    fake.answers = [says({"detail": f"I know no {TOKEN}!"}, 401)]
    with pytest.raises(Unauthorized) as raised:
        client.project(1)
    assert TOKEN not in str(raised.value)
    assert TOKEN not in repr(client)


@pytest.mark.parametrize("stumble", [Answer(500), Answer(503), Answer(hang_up=True)])
def test_a_get_is_asked_again_twice(fake, client, stumble):
    fake.answers = [stumble, stumble, says(PROJECT)]
    assert client.project(1).title == "one"
    assert len(fake.asked) == 3


@pytest.mark.parametrize("stumble", [Answer(500), Answer(503), Answer(hang_up=True), Answer(delay=0.6)])
def test_a_write_is_never_repeated(fake, client, stumble):
    """It may have been done."""
    fake.answers = [stumble, says(PROJECT)]
    with pytest.raises(LabelStudioError):
        client.update_project(1, title="two")
    assert len(fake.asked) == 1


@pytest.mark.parametrize("final", [says({}, 401), says({}, 404), says({}, 400), Answer(delay=0.6)])
def test_what_asking_again_cannot_mend_is_asked_once(fake, client, final):
    fake.answers = [final]
    with pytest.raises(LabelStudioError):
        client.project(1)
    assert len(fake.asked) == 1


def test_a_legacy_token_is_sent_as_such(fake, client):
    client.project(1)
    assert fake.asked == [("GET", "/api/projects/1/", f"Token {TOKEN}")]
    assert (client.token_kind, client.token_expires) == ("legacy", None)


def test_a_personal_token_is_exchanged_and_the_access_token_kept(fake):
    access = jwt(token_type="access", exp=LATER)
    fake.answers = [says({"access": access}), says(PROJECT), says(PROJECT)]
    with LabelStudio(fake.url, jwt(token_type="refresh", exp=LATER)) as client:
        client.project(1)
        client.project(1)
        assert client.token_kind == "personal"
        assert client.token_expires == datetime(2100, 1, 1, tzinfo=UTC)
    assert [path for _, path, _ in fake.asked] == ["/api/token/refresh/"] + ["/api/projects/1/"] * 2
    assert fake.asked[1][2] == f"Bearer {access}"


def test_a_refused_access_token_is_exchanged_once_more_even_for_a_write(fake):
    """Our clock may be behind; a 401 means that nothing was done."""
    first, second = jwt(exp=LATER), jwt(exp=LATER, jti="another")
    refused = says({"detail": "Token is invalid"}, 401)
    fake.answers = [says({"access": first}), refused, says({"access": second}), says(PROJECT)]
    with LabelStudio(fake.url, jwt(token_type="refresh", exp=LATER)) as client:
        client.update_project(1, title="two")
    assert fake.asked[-1][2] == f"Bearer {second}"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            says({"detail": "Token is blacklisted", "code": "token_not_valid"}, 401),
            Unauthorized,
            "blacklisted",
        ),
        (HTML, LabelStudioError, "is this its address?"),
        (Answer(404, b"<title>no</title>", "text/html"), LabelStudioError, "is this its address?"),
        (Answer(delay=0.6), Unreachable, "no answer"),
        (says({"detail": "oh"}, 500), LabelStudioError, "oh"),
    ],
)
def test_a_failing_exchange_of_tokens_is_explained(fake, answer, error, words):
    fake.answers = [answer]
    token = jwt(token_type="refresh", exp=LATER)
    with (
        LabelStudio(fake.url, token, timeout=0.3, sleep=lambda _: None) as client,
        pytest.raises(error, match=words) as raised,
    ):
        client.project(1)
    assert token not in str(raised.value)


def test_an_expired_personal_token_is_named_before_anything_is_sent(fake):
    with LabelStudio(fake.url, jwt(exp=1)) as client, pytest.raises(Unauthorized, match="expired"):
        client.project(1)
    assert fake.asked == []


@pytest.mark.parametrize("token", ["", "  ", "has space", "line\nbreak", "tökén"])
def test_what_cannot_be_a_token_is_refused_without_showing_it(token):
    with pytest.raises(Unauthorized) as raised:
        LabelStudio("http://127.0.0.1:1", token)
    assert not token.strip() or token not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://host", "http://", "http://user:pass@host", "http://h/?a=1", "http://h#a"],
)
def test_what_cannot_be_an_address_is_a_mistake_in_the_configuration(url):
    with pytest.raises(ConfigError) as raised:
        LabelStudio(url, TOKEN)
    assert "pass" not in str(raised.value)


def test_an_address_with_a_prefix_and_a_slash_is_kept(fake):
    with LabelStudio(f"{fake.url}/label/", TOKEN) as client:
        client.project(1)
    assert fake.asked[0][1] == "/label/api/projects/1/"


def test_nobody_listening_is_unreachable(fake):
    url = fake.url.replace("127.0.0.1", "127.0.0.2")
    with (
        LabelStudio(url, TOKEN, sleep=lambda _: None) as client,
        pytest.raises(Unreachable, match=r"127\.0\.0\.2"),
    ):
        client.version()


def test_the_clock_is_read_off_the_answer(fake, client):
    fake.answers = [says({"release": "1.23.2"})]
    assert abs((client.server_time() - datetime.now(UTC)).total_seconds()) < 60
    assert client.version() == "1.23.2"


def test_something_else_that_speaks_json_is_not_taken_for_label_studio(fake, client):
    fake.answers = [says({"hello": "world"})]
    with pytest.raises(LabelStudioError, match="not as Label Studio does"):
        client.version()


def test_projects_are_read_page_by_page(fake, client):
    more = {"results": [PROJECT], "next": "http://elsewhere/?page=2"}
    fake.answers = [says(more), says({"results": [PROJECT | {"id": 2}], "next": None})]
    assert [project.id for project in client.projects()] == [1, 2]
    assert "page=2" in fake.asked[1][1]


def test_members_are_unknown_where_the_edition_has_no_api_for_them(fake, client):
    fake.answers = [Answer(404, b"<title>404</title>", "text/html")]
    assert client.members(1) is None
    fake.answers = [says([{"user": {"id": 5, "email": "a@b.co"}}, {"id": 6, "email": "c@d.co"}])]
    assert [member.id for member in client.members(1)] == [5, 6]


def test_a_switch_that_was_not_taken_is_an_error(fake, client):
    """Label Studio answers 200 and blanks it where predictions are hidden."""
    fake.answers = [says(PROJECT)]
    with pytest.raises(LabelStudioError, match="expected 'q1'"):
        client.switch(1, "q1")


def test_an_import_refused_for_another_reason_is_passed_on(fake, client):
    fake.answers = [says({"detail": "Validation error", "validation_errors": ["too long"]}, 400)]
    with pytest.raises(LabelStudioError, match="too long"):
        client.import_predictions(1, "q1", [QueuedPrediction(1, (), 0.5)])


def test_a_label_studio_that_makes_the_webhook_of_the_probe_is_an_error(fake, client):
    """The probe must never create one."""
    fake.answers = [says({"id": 1, "url": "http://x"}, 201)]
    with pytest.raises(LabelStudioError, match="does not exist"):
        client.refusal(1, "http://x")


def test_close_is_harmless_and_not_final(client):
    close: Callable[[], None] = client.close
    close()
    assert client.project(1).title == "one"
    close()
    close()
