"""The app under gunicorn, as it runs in production: real sockets, real signals."""

import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from backend.domain import ConfigError, Project
from backend.store import Store
from backend.web.serving import listen

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVER = """
import sys
from backend.domain import NextlabelError
from backend.store import Store
from backend.web import WebSettings, create_app
from backend.web.serving import serve

url, port = sys.argv[1], int(sys.argv[2])
try:
    make_app = lambda: create_app(Store.open(url), WebSettings(None, 5000))
    serve(make_app, host="127.0.0.1", port=port, threads=4)
except NextlabelError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
print("after serve", flush=True)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(url, port):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, url, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def wait_until_up(process, port):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            return ask(port, "GET", "/health")
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not come up: {process.communicate(timeout=30)}")


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    store = Store.open(url)
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 4, 0), {}, now=NOW)
    store.projects.set_webhook(1, 7, "s3cret")
    store.close()
    return url


def webhook(number):
    times = {"created_at": NOW.isoformat(), "updated_at": NOW.isoformat()}
    annotation = {"id": number, "task": 1, "result": [], **times}
    return json.dumps({"action": "ANNOTATION_CREATED", "project": {"id": 1}, "annotation": annotation})


def test_it_serves_and_a_signal_ends_it_with_code_0(url):
    """And what the caller does after `serve` happens once, not in the child as well."""
    port = free_port()
    with server(url, port) as process:
        assert wait_until_up(process, port)[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == "after serve\n"


def test_a_webhook_accepted_while_the_store_is_locked_is_answered_at_once_and_written_before_the_end(
    url, tmp_path
):
    """Not even a signal to stop loses what was accepted."""
    port = free_port()
    with server(url, port) as process:
        wait_until_up(process, port)
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        headers = {"X-Nextlabel-Secret": "s3cret"}
        for number in range(1, 11):
            assert ask(port, "POST", "/webhook", webhook(number), headers) == (202, {"status": "stored"})
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        other.execute("ROLLBACK")
        other.close()
        assert process.wait(timeout=30) == 0
    store = Store(url)
    assert sorted(answer.id for answer in store.annotations.of_tasks(1, [1])[1]) == list(range(1, 11))
    store.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_whether_or_not_it_says_its_length(url, chunked):
    port = free_port()
    with server(url, port) as process:
        wait_until_up(process, port)
        body = iter([b"x" * 3000, b"x" * 3000]) if chunked else b"x" * 6000
        status, answer = ask(port, "POST", "/webhook", body)
        assert (status, list(answer)) == (413, ["error"])


def test_a_port_in_use_is_one_clear_line(url):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"web.port {port}: Address already in use; expected a free port"
        ):
            listen("127.0.0.1", port)
        with server(url, port) as process:
            out, _ = process.communicate(timeout=60)
    assert process.returncode == ConfigError.exit_code
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("host", ["no such host", "203.0.113.77"])
def test_an_address_that_is_not_this_machines_is_one_clear_line(host):
    with pytest.raises(ConfigError, match=r"^web\.host .*expected") as caught:
        listen(host, free_port())
    assert "\n" not in str(caught.value)


def test_a_store_that_cannot_be_opened_ends_the_server_with_a_clear_line(tmp_path):
    (tmp_path / "not-a-database.db").write_bytes(b"something else" * 1000)
    with server(f"sqlite:///{tmp_path}/not-a-database.db", free_port()) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "not a database" in out
    assert "Traceback" not in out
