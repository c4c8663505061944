"""Styles, scripts and Plotly, from this installation alone: compressed once, kept by browsers for long."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import mimetypes
import re
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Request, Response
from werkzeug.exceptions import NotFound

FOLDER = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"
KEPT_SECONDS = 365 * 86400
WORTH_COMPRESSING = 1024

_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)\)\{var \w+=document\.createElement\("style"\)')


@dataclass(frozen=True)
class File:
    """One file as it is sent."""

    content: bytes
    compressed: bytes
    kind: str
    tag: str


class StaticFiles:
    """Reads each file once, when it is first asked for."""

    def __init__(self) -> None:
        self._names = {path.name: path for path in FOLDER.iterdir() if path.is_file()}
        self._files: dict[str, File] = {}
        self._tags: dict[str, str] = {}
        self._lock = threading.Lock()

    def tag(self, name: str) -> str:
        """Hash a file's content: its address changes when it does, so that it may be kept for ever."""
        if name not in self._tags:
            content = self._path(name).read_bytes()
            self._tags[name] = hashlib.blake2b(content, digest_size=6).hexdigest()
        return self._tags[name]

    @cached_property
    def plotly_styles(self) -> tuple[str, ...]:
        """List the ids of the style elements that Plotly's script writes into a page that has none of them.

        A strict policy blocks these; they are for maps of the world, which we do not draw.
        """
        return tuple(dict.fromkeys(_STYLE.findall(self._path(PLOTLY).read_text(encoding="utf-8"))))

    def answer(self, name: str, request: Request) -> Response:
        """Send a file; NotFound for any other than ours."""
        file = self._file(name)
        small = request.accept_encodings["gzip"] > 0 and len(file.compressed) < len(file.content)
        response = Response(file.compressed if small else file.content, content_type=file.kind)
        if small:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = f"public, max-age={KEPT_SECONDS}, immutable"
        response.set_etag(file.tag + "-gzip" * small)
        response.make_conditional(request)
        return response

    def _file(self, name: str) -> File:
        if name not in self._files:
            with self._lock:  # Plotly takes a moment to compress: once is enough
                if name not in self._files:
                    content = self._path(name).read_bytes()
                    compressed = (
                        gzip.compress(content, 6, mtime=0) if len(content) > WORTH_COMPRESSING else content
                    )
                    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                    if kind.startswith("text/"):
                        kind += "; charset=utf-8"
                    self._files[name] = File(content, compressed, kind, self.tag(name))
        return self._files[name]

    def _path(self, name: str) -> Path:
        if name == PLOTLY:
            return plotly_script()
        if name not in self._names:
            raise NotFound(f"no file {name!r}")
        return self._names[name]


def plotly_script() -> Path:
    """Find Plotly's script in its Python package, without importing that."""
    found = importlib.util.find_spec("plotly")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / "package_data" / PLOTLY
        if file.is_file():
            return file
    raise NotFound("the Python package plotly is not installed, or not whole")


def compress(response: Response, request: Request) -> Response:
    """Compress a large answer for those who take it so."""
    if (
        response.direct_passthrough
        or response.status_code != 200
        or request.accept_encodings["gzip"] == 0
        or "Content-Encoding" in response.headers
        or (response.content_length or 0) < 20 * WORTH_COMPRESSING
    ):
        return response
    response.set_data(gzip.compress(response.get_data(), 4, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return response
