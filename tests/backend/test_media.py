"""Media: every kind of address an image field holds, and everything that must be refused."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.domain import Unauthorized, Unreachable
from backend.labelstudio import media as media_module
from backend.labelstudio.media import Limits, Media, MediaError
from backend.labelstudio.media_address import Location, Site, shown

TOKEN = "a" * 40
SITE = Site("https://ls.example.org/prefix", ("images.example.org", "cdn.example.org:8443", "*.safe.net"))


def png(colour: str = "red", side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims to be large; its head is whole."""
    data = bytearray(png(side=1))
    data[16:24] = width.to_bytes(4) + height.to_bytes(4)
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4)
    return bytes(data)


def personal(kind: str, seconds: float) -> str:
    """A token of the kind that Label Studio signs; nobody here checks signatures."""

    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = {"exp": int(time.time() + seconds), "token_type": kind, "n": time.time_ns()}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{part({})}"


class Server:
    """Label Studio's media paths, as far as they answer here; what was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.lock = threading.Lock()
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with outer.lock:
                    outer.asked.append((self.path, self.headers.get("Authorization")))
                outer.answers.get(self.path, lambda to: reply(to, 404, b"{}", "application/json"))(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps({"access": personal("access", 300)}).encode()
                reply(self, 200, body, "application/json")

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.elsewhere = f"http://localhost:{self.port}"  # another host to whoever compares names
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def serves(self, path: str, body: bytes, status: int = 200, kind: str = "image/png") -> None:
        self.answers[path] = lambda to: reply(to, status, body, kind)

    def redirects(self, path: str, target: str) -> None:
        self.answers[path] = lambda to: reply(to, 303, b"", "text/plain", Location=target)


def reply(to: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, **headers: str) -> None:
    to.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
        to.send_header(name, value)
    to.end_headers()
    to.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    serving = Server()
    yield serving
    serving.http.shutdown()
    serving.http.server_close()


@pytest.fixture
def media(server: Server, tmp_path: Path) -> Iterator[Callable[..., Media]]:
    opened: list[Media] = []

    def make(*hosts: str, token: str = TOKEN, **limits: Any) -> Media:
        found = Media(server.url, token, tmp_path / "media", hosts, Limits(**{"seconds": 2.0, **limits}))
        opened.append(found)
        return found

    yield make
    for each in opened:
        each.close()


# --- where addresses lie ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "url", "ours"),
    [
        ("/data/upload/3/a-cat.jpg", "https://ls.example.org/prefix/data/upload/3/a-cat.jpg", True),
        ("upload/3/a.jpg", "https://ls.example.org/prefix/data/upload/3/a.jpg", True),
        ("/prefix/data/upload/3/a.jpg", "https://ls.example.org/prefix/data/upload/3/a.jpg", True),
        (
            "/data/local-files/?d=dir/1.jpg",
            "https://ls.example.org/prefix/data/local-files/?d=dir/1.jpg",
            True,
        ),
        (" /data/a ", "https://ls.example.org/prefix/data/a", True),
        ("https://ls.example.org/prefix/data/a", "https://ls.example.org/prefix/data/a", True),
        ("https://LS.example.org:443/prefix/data/a", "https://LS.example.org:443/prefix/data/a", True),
        ("/static/a.jpg", "https://ls.example.org/prefix/static/a.jpg", False),
        ("/api/projects/3/", "https://ls.example.org/prefix/api/projects/3/", False),
        ("/data/../api/x", "https://ls.example.org/prefix/data/../api/x", False),
        ("/data/%2e%2e/api/x", "https://ls.example.org/prefix/data/%2e%2e/api/x", False),
        ("https://images.example.org/a", "https://images.example.org/a", False),
        ("http://images.example.org:81/a", "http://images.example.org:81/a", False),
        ("https://cdn.example.org:8443/a", "https://cdn.example.org:8443/a", False),
        ("https://deep.er.safe.net/a", "https://deep.er.safe.net/a", False),
    ],
)
def test_an_address_is_located(address: str, url: str, ours: bool) -> None:
    """Label Studio's own media get the token; its other pages, and other hosts, do not."""
    assert SITE.locate(address, 7) == Location(url, ours)


@pytest.mark.parametrize("uri", ["s3://bucket/a cat.jpg", "gs://b/ü.png", "azure-blob://box/x.jpg"])
def test_a_storage_s_address_goes_through_label_studio(uri: str) -> None:
    found = SITE.locate(uri, 7)
    assert isinstance(found, Location)
    assert found.url.startswith("https://ls.example.org/prefix/tasks/7/resolve/?fileuri=")
    [encoded] = parse_qs(urlsplit(found.url).query)["fileuri"]
    assert base64.urlsafe_b64decode(encoded).decode() == uri
    assert found.ours


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "there is no image; expected an uploaded file"),
        ("file:///etc/passwd", "is no address of an image"),
        ("C:\\cat.jpg", "is no address of an image"),
        ("just words", "is no address of an image"),
        ("//evil.com/x.png", "is no address of an image"),
        ("ftp://images.example.org/a", "is no address of an image"),
        ("https://example.org/a", "lies on the host 'example.org'; expected one of ls.example.org, images."),
        ("https://safe.net/a", "lies on the host 'safe.net'"),
        ("https://evilsafe.net/a", "lies on the host 'evilsafe.net'"),
        ("https://images.example.org.evil.com/a", "lies on the host"),
        ("https://cdn.example.org/a", "lies on the host 'cdn.example.org'"),
        ("http://ls.example.org/prefix/data/a", "lies on the host 'ls.example.org'"),
        ("http://169.254.169.254/latest/meta-data", "lies on the host '169.254.169.254'"),
        ("http://[::1]/a", "lies on the host '::1'"),
        ("https://images.example.org@evil.com/a", "holds credentials"),
        ("https://evil.com\\@images.example.org/a", "credentials or backslashes"),
        ("http://images.example.org:99999/", "is no web address"),
        ("http:///a", "is no web address"),
        ("data:image/png;base64", "is no data: URI"),
        ("data:image/png;base64,!!!", "is not base64"),
    ],
)
def test_an_address_that_must_not_be_asked_is_refused(address: str, said: str) -> None:
    """By what it says, before anything is sent."""
    with pytest.raises(MediaError) as raised:
        SITE.locate(address, 7)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text(max_size=60))
def test_any_text_is_located_or_refused_and_never_leaves_the_allowed_hosts(address: str) -> None:
    """Whatever is in the field: Label Studio, an allowed host, bytes, or MediaError."""
    for text in (address, f"http://{address}", f"https://images.example.org{address}", f"/data/{address}"):
        try:
            found = SITE.locate(text, 1)
        except MediaError:
            continue
        if isinstance(found, Location):
            host = urlsplit(found.url).hostname or ""
            assert host in ("ls.example.org", "images.example.org", "cdn.example.org") or host.endswith(
                ".safe.net"
            )


@given(st.text(st.sampled_from("ab.:/@#?\\[]%1 \t\n\u3002ß"), max_size=30))
def test_the_host_that_is_looked_at_is_the_host_that_is_asked(tail: str) -> None:
    """Two readers of addresses must not see two hosts in one."""
    for url in (f"http://images.example.org{tail}", f"http://{tail}images.example.org/"):
        try:
            found = SITE.at(url)
        except MediaError:
            continue
        try:
            host = httpx.URL(found.url).host
        except httpx.InvalidURL:
            continue
        assert host.rstrip(".") == "images.example.org" or media_module._differ(found.url)


def test_what_signs_an_address_is_not_shown() -> None:
    assert shown("https://b.s3.amazonaws.com/a.jpg?X-Amz-Signature=secret") == (
        "'https://b.s3.amazonaws.com/a.jpg'"
    )


# --- fetching --------------------------------------------------------------------------------------


def test_uploads_come_with_the_token_and_are_asked_once(media: Any, server: Server) -> None:
    server.serves("/data/upload/1/a.png", png("red"))
    server.serves("/data/upload/1/b.png", png("blue"))
    fetching = media()
    pairs = [(1, "/data/upload/1/a.png"), (2, "/data/upload/1/b.png"), (3, "/data/upload/1/a.png")]
    first, second, third = fetching.fetch_many(pairs)
    assert (first.read_bytes(), second.read_bytes()) == (png("red"), png("blue"))
    assert third == first
    assert fetching.fetch(9, "/data/upload/1/b.png") == second
    assert sorted(server.asked) == [(path, f"Token {TOKEN}") for _, path in pairs[:2]]
    assert fetching.fetch_many([]) == []


def test_a_personal_token_is_exchanged_and_once_more_where_it_is_refused(media: Any, server: Server) -> None:
    """A clock behind Label Studio's takes a token for fresh that is not; a second refusal is the last."""

    def once(to: BaseHTTPRequestHandler) -> None:
        reply(to, 401 if len(server.asked) == 1 else 200, png(), "image/png")

    server.answers["/data/a"] = once
    server.serves("/data/b", b"{}", 401)
    fetching = media(token=personal("refresh", 9e6))
    assert fetching.fetch(1, "/data/a").read_bytes() == png()
    tokens = [authorization for _, authorization in server.asked]
    assert all(token is not None and token.startswith("Bearer ") for token in tokens)
    assert len(set(tokens)) == 2
    with pytest.raises(Unauthorized, match="does not accept the token"):
        fetching.fetch(1, "/data/b")


def test_a_refused_token_is_nobody_s_image(media: Any, server: Server) -> None:
    """The whole call fails: else each task's image would be taken for missing."""
    server.serves("/data/a", b"{}", 401)
    server.serves("/data/b", png())
    with pytest.raises(Unauthorized, match="does not accept the token") as raised:
        media().fetch_many([(1, "/data/b"), (2, "/data/a")])
    assert TOKEN not in str(raised.value)


def test_label_studio_down_is_nobody_s_image(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        Media(f"http://127.0.0.1:{port}", TOKEN, tmp_path) as fetching,
        pytest.raises(Unreachable, match=f"Label Studio at http://127.0.0.1:{port}"),
    ):
        fetching.fetch_many([(1, "/data/a")])


def test_an_allowed_host_is_asked_without_the_token(media: Any, server: Server) -> None:
    server.serves("/cat.png", png())
    assert media("localhost").fetch(1, f"{server.elsewhere}/cat.png").read_bytes() == png()
    assert server.asked == [("/cat.png", None)]
    with pytest.raises(MediaError, match=r"task 1: .* lies on the host 'localhost'"):
        media(cache_bytes=0).fetch(1, f"{server.elsewhere}/cat.png")


def test_a_data_uri_is_a_file(media: Any) -> None:
    encoded = base64.b64encode(png()).decode()
    assert media().fetch(1, f"data:image/png;base64,{encoded}").read_bytes() == png()


def test_a_redirect_is_followed_among_allowed_hosts_only(media: Any, server: Server) -> None:
    """To an allowed host, without the token; an allowed host cannot send us to one that is not."""
    server.redirects("/data/a", f"{server.elsewhere}/stored.png")
    server.serves("/stored.png", png())
    assert media("localhost").fetch(1, "/data/a").read_bytes() == png()
    assert server.asked == [("/data/a", f"Token {TOKEN}"), ("/stored.png", None)]
    server.redirects("/out", "http://169.254.169.254/latest/meta-data")
    with pytest.raises(MediaError, match=r"redirected: 'http://169\.254\.169\.254/latest/meta-data' lies on"):
        media("localhost").fetch(1, f"{server.elsewhere}/out")
    server.redirects("/loop", "/loop")
    with pytest.raises(MediaError, match="redirected more than 4 times"):
        media("localhost").fetch(1, f"{server.elsewhere}/loop")


def test_label_studio_may_send_us_to_its_storage_on_public_addresses(
    media: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A presigned link needs no entry in the list; one to a private network does, and no other host may."""
    encoded = base64.urlsafe_b64encode(b"s3://bucket/a.png").decode()
    server.redirects(f"/tasks/5/resolve/?fileuri={encoded}", f"{server.elsewhere}/a.png?X-Amz-Signature=s")
    server.serves("/a.png?X-Amz-Signature=s", png())
    with pytest.raises(MediaError, match=r"task 5: 's3://bucket/a.png': redirected: .*'localhost'"):
        media().fetch(5, "s3://bucket/a.png")
    monkeypatch.setattr(media_module, "_is_public", lambda url: url.startswith(server.elsewhere))
    assert media().fetch(5, "s3://bucket/a.png").read_bytes() == png()
    server.redirects("/page.png", f"{server.elsewhere}/a.png?X-Amz-Signature=s")
    with pytest.raises(MediaError, match="redirected"):
        media().fetch(5, "/page.png")  # not one of its media paths


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("[::1]", False),
        ("169.254.169.254", False),
        ("8.8.8.8", True),
    ],
)
def test_public_addresses_are_told_from_private_ones(host: str, public: bool) -> None:
    assert media_module._is_public(f"https://{host}/a") is public
    assert not media_module._is_public(f"file://{host}/a")


# --- what is too much, broken or missing -----------------------------------------------------------


def test_one_broken_image_is_that_task_s_alone(media: Any, server: Server) -> None:
    """The other files are there; each error names the address and what is wrong with it."""
    server.serves("/data/fine", png())
    server.serves("/data/page", b"<!DOCTYPE html><title>Sign in</title>", kind="text/html")
    server.serves("/data/empty", b"")
    server.serves("/data/noise", b"no image at all")
    server.serves("/data/gone", b"{}", 500, "application/json")
    server.serves("/data/huge", bomb(10_000, 10_000))
    server.serves("/data/vast", bomb(60_000, 60_000))
    expected = {
        "/data/fine": None,
        "/data/page": "'/data/page' is no image that can be read: it is a web page",
        "/data/empty": "it is empty",
        "/data/noise": "it is no image, or its head is broken",
        "/data/gone": "Label Studio answers HTTP 500, not an image; is it still there?",
        "/data/404": "Label Studio answers HTTP 404",
        "/data/huge": "has 10000 x 10000 pixels; expected at most 64 million (media.max_megapixels)",
        "/data/vast": "far too many pixels",
        "http://10.0.0.1/a": "lies on the host '10.0.0.1'",
    }
    found = media().fetch_many(list(enumerate(expected, start=1)))
    for outcome, reason in zip(found, expected.values(), strict=True):
        if reason is None:
            assert outcome.read_bytes() == png()
        else:
            assert isinstance(outcome, MediaError)
            assert reason in str(outcome)
            assert not outcome.passing


@pytest.mark.parametrize("announced", [True, False])
def test_a_heavy_file_is_given_up_at_the_limit(media: Any, server: Server, announced: bool) -> None:
    """By what it announces, or else as soon as it has sent too much."""
    sent = []

    def heavy(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        if announced:
            to.send_header("Content-Length", str(10**9))
        to.end_headers()
        try:
            for _ in range(1000):
                to.wfile.write(bytes(1_000_000))
                sent.append(1)
        except OSError:
            pass

    server.answers["/data/heavy"] = heavy
    said = "has 1000.0 MB" if announced else "has more"
    with pytest.raises(MediaError, match=f"{said}; expected at most 3 MB"):
        media(file_bytes=3_000_000).fetch(1, "/data/heavy")
    assert len(sent) < 100


def test_a_zipped_bomb_counts_as_what_it_becomes(media: Any, server: Server) -> None:
    """Few bytes on the wire, many after decompression."""
    import gzip

    body = gzip.compress(bytes(20_000_000))
    server.answers["/data/a"] = lambda to: reply(to, 200, body, "image/png", **{"Content-Encoding": "gzip"})
    with pytest.raises(MediaError, match="has more; expected at most 3 MB"):
        media(file_bytes=3_000_000).fetch(1, "/data/a")


def test_silence_is_given_up_and_may_pass(media: Any, server: Server) -> None:
    """Of one image; tried another time it may be there."""
    released = threading.Event()
    server.answers["/data/slow"] = lambda to: (released.wait(20), None)[1]
    server.serves("/data/fine", png())
    server.serves("/busy", b"", 503)
    fetching = media("localhost", seconds=0.3)
    addresses = ["/data/fine", "/data/slow", f"{server.elsewhere}/busy"]
    fine, slow, busy = fetching.fetch_many(list(enumerate(addresses)))
    released.set()
    assert fine.read_bytes() == png()
    assert "no answer within 0.3 s" in str(slow)
    assert "localhost answers HTTP 503" in str(busy)
    assert slow.passing
    assert busy.passing


@pytest.mark.parametrize(("status", "passing"), [(408, True), (429, True), (404, False), (500, False)])
def test_label_studio_being_busy_is_no_image_that_is_missing(
    media: Any, server: Server, status: int, passing: bool
) -> None:
    """It answers 500 for an upload that it does not have."""
    server.serves("/data/a", b"", status)
    [refused] = media().fetch_many([(1, "/data/a")])
    assert f"Label Studio answers HTTP {status}" in str(refused)
    assert refused.passing is passing


def test_a_broken_transfer_leaves_nothing(media: Any, server: Server, tmp_path: Path) -> None:
    """The connection ends in the middle: no half file is taken for the image, now or next time."""

    def cut(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(len(png())))
        to.end_headers()
        to.wfile.write(png()[:40])
        to.wfile.flush()
        to.connection.shutdown(socket.SHUT_RDWR)

    server.answers["/data/a"] = cut
    fetching = media()
    with pytest.raises(MediaError) as raised:
        fetching.fetch(1, "/data/a")
    assert raised.value.passing
    assert list((tmp_path / "media").iterdir()) == []
    server.serves("/data/a", png())
    assert fetching.fetch(1, "/data/a").read_bytes() == png()


def test_the_cache_forgets_what_was_used_longest_ago(media: Any, server: Server, tmp_path: Path) -> None:
    """Within its size; what one call asked for stays until the next, however much it is."""
    import os

    fetching = media(cache_bytes=3 * len(png()))
    addresses = [f"/data/{i}" for i in range(6)]
    for address in addresses:
        server.serves(address, png())
    files = fetching.fetch_many(list(enumerate(addresses)))
    assert all(file.exists() for file in files)
    for age, file in enumerate(reversed(files)):  # the last is the youngest
        os.utime(file, (1e9 - age, 1e9 - age))
    assert fetching.fetch(0, "/data/5") == files[5]
    assert sorted(file.name for file in (tmp_path / "media").iterdir()) == sorted(f.name for f in files[3:])
    fetching.clear()
    assert fetching.fetch(0, "/data/5").exists()


def test_a_stop_ends_the_fetching(media: Any, server: Server) -> None:
    """Asked to stop, it does not fetch what was not begun."""

    class Stop(Exception):
        pass

    def pause() -> None:
        raise Stop

    for number in range(50):
        server.serves(f"/data/{number}", png())
    with pytest.raises(Stop):
        media(at_once=1).fetch_many([(i, f"/data/{i}") for i in range(50)], pause=pause)
    assert len(server.asked) < 50
