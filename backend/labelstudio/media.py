"""Images of tasks as local files: uploads, local files, cloud storages, allowed hosts, data: URIs."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias
from urllib.parse import urljoin, urlsplit

from backend.domain import Unauthorized, Unreachable
from backend.image_header import quiet, size
from backend.labelstudio.connection import Connection
from backend.labelstudio.errors import GATEWAY, one_line
from backend.labelstudio.file_cache import FileCache
from backend.labelstudio.media_address import Location, MediaError, Site, shown

if TYPE_CHECKING:
    import httpx

__all__ = ["Fetched", "Limits", "Media", "MediaError"]

Fetched: TypeAlias = Path | MediaError

_HOPS = 4
_PATIENCE = 10
"""How many times the timeout a file may take that does arrive, byte by byte."""


@dataclass(frozen=True)
class Limits:
    """What is too much.

    file_bytes:  of one file       pixels:      of one image, read in its head before anything is decoded
    cache_bytes: of the folder, beside what is asked for now; 0 keeps nothing
    seconds:     of silence        at_once:     files that are fetched at the same time
    """

    file_bytes: int = 50_000_000
    pixels: int = 64_000_000
    cache_bytes: int = 1_000_000_000
    seconds: float = 30.0
    at_once: int = 8


class Media(Connection):
    """Fetches what image fields hold; a token goes to Label Studio's own media paths and nowhere else.

    Nothing but Label Studio's host is asked unless it is listed: a task's data comes from anybody who may
    import. Redirects are followed under the same rule. The one exception is where Label Studio itself sends a
    media request on to its storage: to any host with public addresses.

    Files are kept, the least lately used go first: encoders read an image once, but a target model reads it
    at every training, and a second encoder once more. Those of the last call stay whatever they weigh.

    hosts: `host`, `host:port`, `*.domain` or `*`
    """

    def __init__(
        self,
        labelstudio_url: str,
        token: str,
        folder: Path,
        allowed_hosts: Sequence[str] = (),
        limits: Limits = Limits(),
    ) -> None:
        super().__init__(labelstudio_url, token, timeout=limits.seconds)
        self._files = FileCache(folder)
        self._limits = limits
        self._site = Site(self.url, tuple(allowed_hosts))

    def fetch(self, task_id: int, address: str) -> Path:
        """Give the file of one task's image.

        Raises MediaError where this image cannot be had; LabelStudioError where Label Studio cannot be asked.
        """
        [found] = self.fetch_many([(task_id, address)])
        if isinstance(found, MediaError):
            raise MediaError(f"task {task_id}: {found}", passing=found.passing)
        return found

    def fetch_many(
        self, pairs: Sequence[tuple[int, str]], *, pause: Callable[[], None] = lambda: None
    ) -> list[Fetched]:
        """Give the file of each (task id, address), or why there is none; one that is repeated is asked once.

        The files are there until the next call. Raises LabelStudioError where Label Studio is down or refuses
        the token: that is no image's fault. `pause` may raise to stop between files.
        """
        unique = {address: task_id for task_id, address in reversed(pairs)}
        self._files.make_room(self._limits.cache_bytes)
        found: dict[str, Fetched] = {}
        with quiet(), ThreadPoolExecutor(self._limits.at_once) as threads:
            begun = {
                address: threads.submit(self._one, task_id, address) for address, task_id in unique.items()
            }
            try:
                for address, future in begun.items():
                    pause()
                    found[address] = future.result()
            finally:
                threads.shutdown(cancel_futures=True)
        return [found[address] for _, address in pairs]

    def clear(self) -> None:
        """Remove every file that is kept."""
        self._files.clear()

    def close(self) -> None:
        """Close idle connections."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()
        super().close()

    def _one(self, task_id: int, address: str) -> Fetched:
        if (kept := self._files.get(address)) is not None:
            return kept
        what = shown(address)
        try:
            source = self._site.locate(address, task_id)
            with self._files.adding(address) as (file, path):
                if isinstance(source, bytes):
                    self._write(file, [source], what)
                else:
                    self._download(source, file, what)
                file.flush()
                self._look(Path(file.name), what)
        except MediaError as error:
            return error
        return path

    def _download(self, location: Location, file: IO[bytes], what: str, *, renewed: bool = False) -> None:
        first = location
        for _ in range(_HOPS):
            with self._answer(location, what) as response:
                if location.ours and response.status_code == HTTPStatus.UNAUTHORIZED:
                    break
                if not response.is_redirect:
                    self._refuse(response, location, what)
                    self._write(file, response.iter_bytes(), what)
                    return
                target = urljoin(location.url, response.headers.get("location", ""))
            location = self._sent_on(location, target, what)
        else:
            raise MediaError(f"{what}: redirected more than {_HOPS} times; expected an image")
        if self._claims is None or renewed:
            raise Unauthorized(f"{what}: Label Studio at {self.url} does not accept the token")
        super().close()  # a clock behind Label Studio's takes an access token for fresh too long
        self._download(first, file, what, renewed=True)

    @contextmanager
    def _answer(self, location: Location, what: str) -> Iterator[httpx.Response]:
        import httpx

        if _differ(location.url):
            raise MediaError(f"{what} is no web address, or can be read as two; expected http(s)://host/...")
        headers = {"Authorization": self._authorization()} if location.ours else {}
        try:
            with self._client.stream("GET", location.url, headers=headers) as response:
                yield response
        except httpx.HTTPError as broken:
            slow = isinstance(broken, httpx.TimeoutException)
            said = f"no answer within {self.timeout:g} s" if slow else broken or type(broken).__name__
            line = one_line(f"{what}: {said}", (self._token,))
            if location.ours and isinstance(broken, httpx.ConnectError | httpx.ConnectTimeout):
                raise Unreachable(f"Label Studio at {self.url}: {line}") from broken
            raise MediaError(line, passing=True) from broken

    def _refuse(self, response: httpx.Response, location: Location, what: str) -> None:
        status = response.status_code
        if response.is_success:
            length = response.headers.get("content-length", "")
            if length.isdigit() and int(length) > self._limits.file_bytes:
                raise MediaError(self._too_heavy(what, f"{int(length) / 1e6:.1f} MB"))
            return
        passing = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        if location.ours:
            if status in GATEWAY:
                raise Unreachable(f"{what}: Label Studio at {self.url} answers HTTP {status}")
            # Label Studio answers 500 for an upload that it does not have
            missing = "" if passing else "; is it still there?"
            line = f"{what}: Label Studio answers HTTP {status}, not an image{missing}"
            raise MediaError(line, passing=passing)
        passing = passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        host = urlsplit(location.url).hostname
        raise MediaError(f"{what}: {host} answers HTTP {status}, not an image", passing=passing)

    def _sent_on(self, location: Location, target: str, what: str) -> Location:
        try:
            return self._site.at(target)
        except MediaError as refused:
            if location.ours and _is_public(target):
                return Location(target, ours=False)
            raise MediaError(f"{what}: redirected: {refused}") from refused

    def _authorization(self) -> str:
        """Legacy tokens as they are; personal ones exchanged, and again when they are about to end."""
        from label_studio_sdk.core.api_error import ApiError

        try:
            return self._sdk.get_headers()["Authorization"]
        except ApiError as refused:
            raise self._refused(refused) from None

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        limits = httpx.Limits(max_connections=self._limits.at_once, keepalive_expiry=2.0)
        return httpx.Client(timeout=self.timeout, follow_redirects=False, limits=limits)

    def _write(self, file: IO[bytes], chunks: Iterable[bytes], what: str) -> None:
        end = time.monotonic() + _PATIENCE * self.timeout
        held = 0
        for chunk in chunks:
            held += len(chunk)
            if held > self._limits.file_bytes:
                raise MediaError(self._too_heavy(what, "more"))
            if time.monotonic() > end:
                raise MediaError(f"{what}: not whole after {_PATIENCE * self.timeout:g} s", passing=True)
            file.write(chunk)

    def _look(self, path: Path, what: str) -> None:
        try:
            width, height = size(path)
        except ValueError as error:
            raise MediaError(f"{what} is no image that can be read: {error}") from error
        if width * height > self._limits.pixels or 0 in (width, height):
            most = f"{self._limits.pixels / 1e6:g} million (media.max_megapixels)"
            raise MediaError(f"{what} has {width} x {height} pixels; expected at most {most}")

    def _too_heavy(self, what: str, found: str) -> str:
        most = f"{self._limits.file_bytes / 1e6:g} MB (media.max_file_mb)"
        return f"{what} has {found}; expected at most {most}"


def _differ(url: str) -> bool:
    """Whether the client would ask another host than the one that was looked at."""
    import httpx

    try:
        return httpx.URL(url).host.lower() != (urlsplit(url).hostname or "").lower()
    except httpx.InvalidURL:
        return True


def _is_public(url: str) -> bool:
    """Whether every address of the host of `url` is one of the public network."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return False
    return bool(found) and all(ipaddress.ip_address(each[4][0]).is_global for each in found)
