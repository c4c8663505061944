"""Who holds a token of Label Studio is asked of Label Studio alone."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from backend.domain import LabelStudioError
from backend.web.identity import identify

LEGACY, PERSONAL = "a" * 40, "head.claims.signature"
WHO = {"id": 2, "email": "jun@example.org"}


@contextmanager
def answering(statuses, location="") -> Iterator[tuple[str, list]]:
    """Run a server that answers each path with its status; gives its address and what it was asked."""
    asked: list = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            asked.append((self.path, self.headers["Authorization"], body))
            self.send_response(statuses.get(self.path, 200))
            content = json.dumps({"access": "fresh"} if "refresh" in self.path else WHO).encode()
            if location:
                self.send_header("Location", location + self.path)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the server's own name

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("token", "path"),
    [
        (LEGACY, "/api/current-user/whoami"),
        (PERSONAL, "/api/token/refresh/"),
        (PERSONAL, "/api/current-user/whoami"),
        (LEGACY, "/api/projects/1/?include=id"),
    ],
)
def test_a_token_goes_to_no_other_address(token, path, status):
    """A redirect names whatever it likes: another server must hear neither of the token nor of its holder."""
    with answering({}) as (elsewhere, heard), answering({path: status}, elsewhere) as (url, asked):
        with pytest.raises(LabelStudioError, match=f"answered {status} to"):
            identify(url, token, [1], timeout=5)
        assert asked[-1][0] == path
        assert heard == []


def test_a_token_is_asked_about_where_nothing_redirects():
    """The test above would hold of servers that answer nobody, too."""
    with answering({}) as (url, asked):
        assert identify(url, LEGACY, [1], timeout=5).account == "jun@example.org"
        assert identify(url, PERSONAL, [1], timeout=5).projects == {1}
    assert {sent for _, sent, _ in asked} == {None, f"Token {LEGACY}", "Bearer fresh"}
