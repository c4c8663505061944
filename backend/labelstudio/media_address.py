"""Where what a task's image field holds is to be fetched from, and whether it may be."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit

from backend.domain import NextlabelError

_CLOUD = ("s3", "gs", "azure-blob", "azure_spi", "dbx")
"""Schemes of Label Studio's storages: it alone holds their keys."""
_MEDIA = re.compile(r"/(data|storage-data)/|/(tasks|projects)/\d+/(resolve|presign)/")
"""Paths at which Label Studio hands out files; our token goes nowhere else."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*(?=:)")
_EXPECTED = (
    "an uploaded file (/data/upload/...), a local file (/data/local-files/?d=...), "
    "a storage's address (s3://, gs://, azure-blob://), http(s):// or a data: URI"
)


class MediaError(NextlabelError):
    """One task's image cannot be had; the others' can.

    passing: it may be there another time, as when its host does not answer
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Location:
    """Where to ask.

    url:   absolute
    ours:  Label Studio serves it: it gets our token, and may send us on to its storage
    """

    url: str
    ours: bool


@dataclass(frozen=True)
class Site:
    """Label Studio's address, and the other hosts that images may come from.

    url:   `http(s)://host[:port][/prefix]`
    hosts: `host`, `host:port`, `*.domain` (any host below it) or `*` (any at all)
    """

    url: str
    hosts: Sequence[str] = ()

    def locate(self, address: str, task_id: int) -> Location | bytes:
        """Say where `address` lies; a data: URI is the file itself. Raises MediaError where it may not be."""
        address = address.strip()
        if not address:
            raise MediaError(f"there is no image; expected {_EXPECTED}")
        if address.startswith(("upload/", "/upload/")):
            address = f"/data/{address.lstrip('/')}"
        if address.startswith("/") and not address.startswith("//"):
            return self._at_home(address)
        scheme = _SCHEME.match(address)
        kind = scheme[0].lower() if scheme else ""
        if kind in ("http", "https"):
            return self.at(address)
        if kind in _CLOUD:
            encoded = base64.urlsafe_b64encode(address.encode()).decode()
            return Location(f"{self.url}/tasks/{task_id}/resolve/?fileuri={encoded}", ours=True)
        if kind == "data":
            return _decoded(address)
        raise MediaError(f"{shown(address)} is no address of an image; expected {_EXPECTED}")

    def at(self, url: str) -> Location:
        """Look at an http(s) address. Raises MediaError unless it is Label Studio's or of an allowed host."""
        parts = _split(url)
        if origin(parts) == origin(urlsplit(self.url)):
            below = parts.path.removeprefix(urlsplit(self.url).path)
            return Location(url, ours=bool(_MEDIA.match(below)) and not _climbs(parts))
        if not self.allows(url):
            raise MediaError(
                f"{shown(url)} lies on the host {parts.hostname!r}; expected one of {self._listed()} "
                "(media.hosts)"
            )
        return Location(url, ours=False)

    def allows(self, url: str) -> bool:
        """Whether the host of `url` is one of `hosts`."""
        parts = _split(url)
        host = (parts.hostname or "").lower().rstrip(".")
        named = {host, f"{host}:{origin(parts)[2]}"}
        return any(
            each == "*"
            or each.lower() in named
            or (each.startswith("*.") and host.endswith(each[1:].lower()))
            for each in self.hosts
        )

    def _at_home(self, path: str) -> Location:
        base = urlsplit(self.url)
        prefix = "" if base.path and path.startswith(f"{base.path}/") else base.path
        return self.at(f"{base.scheme}://{base.netloc}{prefix}{path}")

    def _listed(self) -> str:
        return ", ".join([urlsplit(self.url).hostname or self.url, *self.hosts])


def origin(parts: SplitResult) -> tuple[str, str, int]:
    """Scheme, host and port."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme.lower(), (parts.hostname or "").lower(), port


def shown(address: str) -> str:
    """Quote an address, cut to a readable length, without what a signed one is signed with."""
    plain = address.split("?X-Amz-")[0].split("?X-Goog-")[0].split("?sv=")[0]
    return repr(plain if len(plain) <= 120 else f"{plain[:117]}...")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - looks whether it is a number
    except ValueError as error:
        raise MediaError(f"{shown(url)} is no web address ({error}); expected http(s)://host/...") from error
    if not parts.hostname or parts.scheme.lower() not in ("http", "https"):
        raise MediaError(f"{shown(url)} is no web address; expected http(s)://host/...")
    if parts.username is not None or parts.password is not None or "\\" in url:
        raise MediaError(f"an address on {parts.hostname} holds credentials or backslashes; expected none")
    return parts


def _climbs(parts: SplitResult) -> bool:
    return ".." in unquote(unquote(parts.path)).replace("\\", "/").split("/")


def _decoded(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise MediaError(f"{shown(uri)} is no data: URI; expected data:image/png;base64,...")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(unquote(body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MediaError(
            f"{shown(uri)} is not base64 ({error}); expected data:image/png;base64,..."
        ) from error
