"""The manager is told once of a closing, by real servers; one that fails is asked again, and then left."""

from __future__ import annotations

import email
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.budget import Gate, Standing, save_budget, save_stand
from backend.budget.notify import TRIES, post
from backend.budget.notify import Message as Words
from backend.config import ProjectConfig
from backend.config.types import Notify
from backend.domain import Annotation, Project
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Labelstudio:
    def __init__(self) -> None:
        self.info = Project(1, "개 <and> cats", "<View/>", "", "", True, 1, 0, 0)

    def project(self, project_id: int) -> Project:
        return self.info

    def update_project(self, project_id: int, **fields: Any) -> Project:
        self.info = replace(self.info, **fields)
        return self.info


class Post(HTTPServer):
    """Keeps what was posted; answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.elsewhere = "/elsewhere"
        self.answers: list[int] = []


class _Posted(BaseHTTPRequestHandler):
    server: Post

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        code = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", self.server.elsewhere)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Mail(socketserver.TCPServer):
    """As much of SMTP as a letter takes."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Letter)
        self.letters: list[Message] = []
        self.to: list[str] = []
        self.logins: list[str] = []
        self.refuse = ""


class _Letter(socketserver.StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == self.server.refuse:
                self._say("550 no")
            elif word == "EHLO":
                self._say("250-here\r\n250 AUTH PLAIN")
            elif word == "AUTH":
                self.server.logins.append(line)
                self._say("235 welcome")
            elif word == "DATA":
                self._say("354 go on")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.letters.append(email.message_from_bytes(body, policy=default))
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                if word == "RCPT":
                    self.server.to.append(line)
                self._say("250 fine")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def running(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Desk:
    def __init__(self, store: Store, config: Notify, password: str | None = None) -> None:
        self.store, self.time, self.labelstudio = store, START, Labelstudio()
        self.config = ProjectConfig(notify=config)
        self.password = SecretStr(password) if password else None
        store.projects.connect(self.labelstudio.info, {}, now=START)
        now = START
        items = [Annotation(i, i, (), False, False, 1, 36.0, now, now) for i in range(1, 11)]
        store.annotations.heard(1, items, now=now)

    def budget(self, revision: int, **fields: Any) -> None:
        save_budget(self.store, 1, fields, revision=revision, author="Ada", now=self.time)

    def settle(self, minutes: int = 0) -> dict[str, Any]:
        """A new process each time: what was told is in the store."""
        self.time += timedelta(minutes=minutes)
        gate = Gate(self.store, self.config, 1, now=lambda: self.time, smtp_password=self.password)
        gate.settle(self.labelstudio, self.store.projects.get(1))
        closure = self.store.closures.get(1)
        return dict(closure.told) if closure else {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


def test_a_webhook_is_posted_once_for_each_closing(store: Store) -> None:
    with running(Post()) as server:
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{server.server_port}/hook/s3cret"))
        desk.budget(0, labels=10, currency="EUR", per_hour=20)
        for _ in range(3):
            told = desk.settle(minutes=5)
        [body] = server.bodies
        assert told["webhook"]["ok"]
        assert body["text"].splitlines() == [
            "Project 1 “개 <and> cats”: the queue is closed, for all 10 labels are made.",
            "Spent: 10 labels, 6 minutes, 2.00 EUR.",
            "To go on, raise the budget in the page, or with: nextlabel budget 1 set",
        ]
        assert body["spent"] == {"labels": 10, "hours": 0.1, "money": "2.00", "currency": "EUR"}
        assert body["reasons"][0]["kind"] == "labels"
        desk.budget(1, labels=11)
        desk.settle()
        desk.budget(2, labels=9)
        desk.settle()
        assert len(server.bodies) == 2
        assert server.bodies[1]["key"] != body["key"]


def test_a_webhook_that_fails_is_tried_again_later_and_not_for_ever(store: Store) -> None:
    with running(Post()) as server:
        server.answers = [500, 302, 500]
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{server.server_port}/hook/s3cret"))
        desk.budget(0, labels=10)
        told = desk.settle()
        assert (told["webhook"]["ok"], told["webhook"]["tries"]) == (False, 1)
        assert "answered 500" in told["webhook"]["error"]
        assert "s3cret" not in str(told), "the address may hold a secret"
        desk.settle()
        assert len(server.bodies) == 1, "not at once"
        for minutes in (1, 2, 4, 8, 16, 32):
            told = desk.settle(minutes)
        assert (told["webhook"]["ok"], told["webhook"]["tries"], len(server.bodies)) == (True, 4, 4)
        assert len({body["key"] for body in server.bodies}) == 1
    desk.budget(1, labels=11)
    desk.settle()
    desk.budget(2, labels=9)
    for minutes in (0, 1, 2, 4, 8, 16, 32):  # nobody listens any more
        told = desk.settle(minutes)
    assert (told["webhook"]["ok"], told["webhook"]["tries"]) == (False, TRIES)


def test_each_further_pause_is_twice_as_long(store: Store) -> None:
    with running(Post()) as server:
        server.answers = [500] * TRIES
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{server.server_port}/"))
        desk.budget(0, labels=10)
        desk.settle()
        for tries, pause in enumerate((60, 120, 240, 480), start=1):
            for seconds, tried in ((pause - 1, tries), (1, tries + 1)):
                desk.time += timedelta(seconds=seconds)
                desk.settle()
                assert len(server.bodies) == tried, f"{pause} s after try {tries}"


def test_a_try_in_the_future_keeps_nobody_waiting(store: Store) -> None:
    """It was made on a clock that was ahead, and was put back."""
    with running(Post()) as server:
        server.answers = [500]
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{server.server_port}/"))
        desk.budget(0, labels=10)
        desk.settle(minutes=60 * 24 * 3)
        told = desk.settle(minutes=-60 * 24 * 3)
        assert (told["webhook"]["ok"], len(server.bodies)) == (True, 2)


def test_a_server_that_does_not_answer_at_all_holds_up_nothing_else(store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{taken.getsockname()[1]}/"))
        desk.budget(0, labels=10)
        assert desk.settle()["webhook"]["ok"] is False
        assert desk.labelstudio.info.maximum_annotations == 0


def test_who_paused_or_closed_it_by_hand_is_told_nothing(store: Store) -> None:
    with running(Post()) as server:
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{server.server_port}/"))
        for standing in (Standing.PAUSED, Standing.CLOSED):
            save_stand(store, 1, standing, author="Ada", now=START)
            assert desk.settle() == {}
        assert server.bodies == []
        desk.budget(0, labels=10)
        desk.settle()
        assert len(server.bodies) == 1, "but when the budget is spent meanwhile"


def letters(server: Mail, **more: Any) -> Notify:
    return Notify(
        email="ada@example.org, bob@example.org",
        smtp_host="127.0.0.1",
        smtp_port=server.server_address[1],
        smtp_tls=False,
        **more,
    )


def test_an_e_mail_reaches_everybody_with_a_log_in(store: Store) -> None:
    with running(Mail()) as server:
        desk = Desk(store, letters(server, smtp_user="me"), password="hunter2")
        desk.budget(0, labels=10)
        desk.settle()
        assert desk.settle(5)["email"]["ok"]
        [letter] = server.letters
        assert letter["Subject"] == "Labelling of “개 <and> cats” is closed"
        assert "all 10 labels are made" in letter.get_content()  # type: ignore[attr-defined]
        assert [line for line in server.to if "ada@" in line or "bob@" in line] == server.to
        assert len(server.to) == 2
        assert len(server.logins) == 1
        assert letter["Message-ID"].endswith("@nextlabel>")


def test_a_password_that_is_missing_is_said(store: Store) -> None:
    with running(Mail()) as server:
        desk = Desk(store, letters(server, smtp_user="me"))
        desk.budget(0, labels=10)
        assert "NEXTLABEL_SMTP_PASSWORD: not set" in desk.settle()["email"]["error"]
        assert server.letters == []


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA", "AUTH"])
def test_a_mail_server_that_refuses_is_one_line_without_the_password(store: Store, word: str) -> None:
    with running(Mail()) as server:
        server.refuse = word
        desk = Desk(store, letters(server, smtp_user="me"), password="hunter2")
        desk.budget(0, labels=10)
        error = desk.settle()["email"]["error"]
        assert error.startswith("mail server 127.0.0.1:")
        assert "hunter2" not in error
        assert "\n" not in error


def test_a_mail_server_without_encryption_gets_nothing_unless_that_is_wanted(store: Store) -> None:
    with running(Mail()) as server:
        config = letters(server).model_copy(update={"smtp_tls": True})
        desk = Desk(store, config)
        desk.budget(0, labels=10)
        assert "STARTTLS" in desk.settle()["email"]["error"]
        assert server.letters == []


def test_one_channel_that_fails_does_not_stop_the_other(store: Store) -> None:
    with running(Post()) as post, running(Mail()) as mail:
        post.answers = [500]
        config = letters(mail).model_copy(update={"webhook_url": f"http://127.0.0.1:{post.server_port}/"})
        desk = Desk(store, config)
        desk.budget(0, labels=10)
        told = desk.settle()
        assert (told["webhook"]["ok"], told["email"]["ok"]) == (False, True)
        desk.settle(1)
        assert (len(post.bodies), len(mail.letters)) == (2, 1)


def test_an_address_may_hold_any_letters(store: Store) -> None:
    """They are quoted on the way; what is quoted already stays as it is."""
    with running(Post()) as server:
        url = f"http://127.0.0.1:{server.server_port}/훅/a%20b?to=알림&n=1"
        desk = Desk(store, Notify(webhook_url=url))
        desk.budget(0, labels=10)
        assert desk.settle()["webhook"]["ok"]
        assert server.paths == ["/%ED%9B%85/a%20b?to=%EC%95%8C%EB%A6%BC&n=1"]


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("알림.한국", "xn--4y2bl5s.xn--3e0b707e"),
        ("bücher", "xn--bcher-kva"),
        ("Chat.Example.", "chat.example."),
        ("[::1]", "::1"),
        ("나:비밀@알림.한국", "xn--4y2bl5s.xn--3e0b707e"),  # no configuration has it
    ],
)
def test_a_host_of_any_letters_is_found_with_its_port(
    monkeypatch: pytest.MonkeyPatch, host: str, asked: str
) -> None:
    """The port is no part of the name, and who logs in there is not sent."""
    hosts: list[Any] = []
    look_up = socket.getaddrinfo

    def here(host: str, *more: Any, **named: Any) -> Any:
        hosts.append(host)
        return look_up("127.0.0.1", *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    with running(Post()) as server:
        post(Words("1.1", "closed", "closed", {}), f"http://{host}:{server.server_port}/hook")
        assert (hosts, server.paths) == ([asked], ["/hook"])


def test_who_sends_elsewhere_to_what_is_no_address_was_not_told(store: Store) -> None:
    with running(Post()) as server:
        server.answers, server.elsewhere = [302], "http://[::1/"
        desk = Desk(store, Notify(webhook_url=f"http://127.0.0.1:{server.server_port}/"))
        desk.budget(0, labels=10)
        told = desk.settle()["webhook"]
        assert (told["ok"], told["error"]) == (
            False,
            f"webhook at 127.0.0.1:{server.server_port}: Invalid IPv6 URL",
        )


def test_a_title_of_several_lines_has_a_subject_of_one(store: Store) -> None:
    with running(Mail()) as server:
        config = letters(server).model_copy(update={"smtp_from": "no\nreply <no-reply@example.org>"})
        desk = Desk(store, config)
        desk.labelstudio.info = replace(desk.labelstudio.info, title="Line one\r\nline\x85two\u2028 three")
        desk.store.projects.describe(desk.labelstudio.info)
        desk.budget(0, labels=10)
        assert desk.settle()["email"] == {"ok": True, "tries": 1, "at": START.isoformat()}
        [letter] = server.letters
        assert letter["Subject"] == "Labelling of “Line one line two three” is closed"
        assert letter["From"] == "no reply <no-reply@example.org>"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[::1/s3cret", "notify.webhook_url: Invalid IPv6 URL; expected an address to post to"),
        ("http://a..b/s3cret", "notify.webhook_url: "),
        (f"http://{'a' * 64}.b/s3cret", "notify.webhook_url: "),
        ("http://127.0.0.1:port/s3cret", "notify.webhook_url: Port "),
        ("http://127.0.0.1:99999/s3cret", "notify.webhook_url: Port out of range"),
    ],
)
def test_an_address_that_is_none_is_a_message_that_is_not_told(store: Store, url: str, words: str) -> None:
    """It ends no round, is tried no more often than others, and the next channel has its turn."""
    with running(Mail()) as mail:
        desk = Desk(store, letters(mail).model_copy(update={"webhook_url": url}))
        desk.budget(0, labels=10)
        for minutes in (0, 1, 2, 4, 8, 16, 32):
            told = desk.settle(minutes)
        assert (told["webhook"]["ok"], told["webhook"]["tries"]) == (False, TRIES)
        assert told["webhook"]["error"].startswith(words)
        assert "s3cret" not in str(told)
        assert told["email"]["ok"]


def test_addresses_on_several_lines_all_get_the_letter(store: Store) -> None:
    with running(Mail()) as server:
        lines = Notify(email="ada@example.org,\n  bob@example.org,\u2028eve@example.org")
        desk = Desk(store, letters(server).model_copy(update={"email": lines.email}))
        desk.budget(0, labels=10)
        assert desk.settle()["email"]["ok"]
        [letter] = server.letters
        assert letter["To"] == "ada@example.org, bob@example.org, eve@example.org"
        assert len(server.to) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"smtp_from": "no reply <"}, {"email": "<@example.org"}, {"smtp_host": "a..b"}],
)
def test_a_letter_that_cannot_be_written_is_one_that_is_not_told(store: Store, wrong: dict[str, str]) -> None:
    with running(Mail()) as mail:
        mail.refuse = "RCPT"
        desk = Desk(store, letters(mail).model_copy(update=wrong))
        desk.budget(0, labels=10)
        told = desk.settle()["email"]
        assert (told["ok"], told["tries"], mail.letters) == (False, 1, [])
        assert desk.settle(1)["email"]["tries"] == 2
