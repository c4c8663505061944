"""A running Label Studio ML backend, asked as Label Studio asks it: /health, /setup, /predict."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backend.domain import ConfigError, Json
from backend.labelstudio.errors import answered, one_line
from backend.models.remote.reading import Answer, RemoteError, read_predictions

if TYPE_CHECKING:
    import httpx

SETUP_SECONDS = 10.0
"""How long /health and /setup may take: they load no model in a well-made backend."""


@dataclass(frozen=True)
class RemoteProject:
    """What a backend is told of the project.

    uid:      `id.timestamp`, the timestamp telling two projects of one id apart
    hostname: Label Studio's address, for backends that fetch media from it
    token:    Label Studio's token for the same; empty unless the operator wants it sent
    """

    uid: str
    label_config: str
    hostname: str = ""
    token: str = ""


class MlBackend:
    """Every failure is a `RemoteError` of one line: the address, what was asked, what came back.

    url:             `http(s)://host[:port][/prefix]`; any host, for only the operator names it
    timeout:         seconds that one answer may take, from the first byte sent to the last received
    most_bytes:      of one answer
    user, password:  HTTP basic authentication, where the backend asks for it
    credentials:     where a person sets them
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 100.0,
        most_bytes: int = 64_000_000,
        user: str = "",
        password: str = "",
        credentials: str = "NEXTLABEL_REMOTE_USER and NEXTLABEL_REMOTE_PASSWORD",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = checked_url(url)
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._auth = (user, password) if user or password else None
        self._credentials = credentials
        self._clock = clock
        self._singly = False

    def health(self) -> None:
        """Raise RemoteError unless it says that it is well."""
        self._json("GET", "/health", None, SETUP_SECONDS)

    def setup(self, project: RemoteProject) -> str:
        """Introduce the project; gives the model's version, empty where it names none."""
        body = {
            "project": project.uid,
            "schema": project.label_config,
            "hostname": project.hostname,
            "access_token": project.token,
            "extra_params": None,
        }
        answer = self._json("POST", "/setup", body, SETUP_SECONDS)
        if not isinstance(answer, dict):
            raise RemoteError(
                f"{self._asked('POST', '/setup')}: answered {_kind(answer)}; expected an object"
            )
        return str(answer.get("model_version") or "")

    def predict(self, project: RemoteProject, tasks: Sequence[Json]) -> list[Answer]:
        """Ask about `tasks` (`id`, `data`) in one request; exactly one answer for each, in order.

        A backend that answers the first task only is asked about one at a time from then on: many do.
        """
        if self._singly and len(tasks) > 1:
            return [answer for task in tasks for answer in self.predict(project, [task])]
        number = int(project.uid.split(".")[0])
        body = {
            "tasks": [
                {"annotations": [], "predictions": [], "project": number, "meta": {}, **task}
                for task in tasks
            ],
            "project": project.uid,
            "label_config": project.label_config,
            "params": {"login": None, "password": None, "context": None},
        }
        asked = self._asked("POST", "/predict")
        answer = self._json("POST", "/predict", body, self._timeout)
        found = read_predictions(answer, [task.get("id") for task in tasks], asked)
        if found is None:
            self._singly = True
            return self.predict(project, tasks)
        return found

    def start_training(self, project: Json) -> None:
        """Say that somebody pressed *Start training*, as Label Studio's webhook does."""
        self._json("POST", "/webhook", {"action": "START_TRAINING", "project": project}, SETUP_SECONDS)

    def close(self) -> None:
        """Close idle connections."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def _json(self, method: str, path: str, body: Any, seconds: float) -> Any:
        import httpx

        asked = self._asked(method, path)
        try:
            status, headers, content = self._exchange(method, path, body, seconds)
        except httpx.TimeoutException as slow:
            raise RemoteError(f"{asked}: no answer within {seconds:g} s") from slow
        except (httpx.HTTPError, httpx.InvalidURL) as broken:
            raise RemoteError(one_line(f"{asked}: {broken or type(broken).__name__}")) from broken
        response = httpx.Response(status, headers={"content-type": headers}, content=content)
        if response.is_redirect or not response.is_success:
            what = "redirected" if response.is_redirect else _said(response)
            raise RemoteError(one_line(f"{asked}: HTTP {status}, {what}{self._hint(status)}"))
        try:
            return json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError) as garbage:
            line = f"{asked}: answered {_said(response)}; is this the address of an ML backend?"
            raise RemoteError(one_line(line)) from garbage

    def _exchange(self, method: str, path: str, body: Any, seconds: float) -> tuple[int, str, bytes]:
        import httpx

        end = self._clock() + seconds
        content = None if body is None else json.dumps(body, default=str).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = self._client.build_request(
            method, f"{self.url}{path}", content=content, headers=headers, timeout=seconds
        )
        response = self._client.send(request, stream=True)
        try:
            parts, held = [], 0
            for chunk in response.iter_bytes():
                held += len(chunk)
                if held > self._most_bytes:
                    most = self._most_bytes / 1e6
                    raise RemoteError(f"{self._asked(method, path)}: more than {most:g} MB (max_answer_mb)")
                if self._clock() > end:
                    raise httpx.ReadTimeout("the answer drips")
                parts.append(chunk)
            return response.status_code, response.headers.get("content-type", ""), b"".join(parts)
        finally:
            response.close()

    def _hint(self, status: int) -> str:
        if status in (401, 403):
            return f"; set {self._credentials}"
        return "; give the address that it ends at" if 300 <= status < 400 else ""

    def _asked(self, method: str, path: str) -> str:
        return f"ML backend at {self.url}: {method} {path}"

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        client = httpx.Client(
            follow_redirects=False, auth=self._auth, limits=httpx.Limits(keepalive_expiry=2.0)
        )
        weakref.finalize(self, client.close)
        return client


def checked_url(url: Any) -> str:
    """Give `url` without a slash at its end. Raises ConfigError unless it can be a backend's address."""
    expected = "expected the address of an ML backend, such as http://localhost:9091"
    if not isinstance(url, str):
        raise ConfigError(f"remote: url is {url!r}; {expected}")
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - looks whether it is a number
    except ValueError as error:
        raise ConfigError(f"remote: url is {url!r} ({error}); {expected}") from error
    if parts.username or parts.password:
        raise ConfigError(
            f"remote: the url of {parts.hostname} holds credentials; expected them in the environment: "
            "NEXTLABEL_REMOTE_USER, NEXTLABEL_REMOTE_PASSWORD"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"remote: url is {url!r}; {expected}")
    return url.strip().rstrip("/")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _said(response: httpx.Response) -> str:
    try:
        return answered(response)
    except RecursionError:
        return "JSON that is nested without end"


def _kind(answer: Any) -> str:
    return "nothing" if answer is None else f"a {type(answer).__name__}"
