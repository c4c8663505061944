"""One connection to Label Studio: token, timeouts, retries; every failure is one of our errors."""

from __future__ import annotations

import base64
import json
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from backend.domain import ConfigError, LabelStudioError, Unauthorized, Unreachable
from backend.labelstudio.errors import failure, one_line

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk.core.client_wrapper import SyncClientWrapper
    from label_studio_sdk.core.request_options import RequestOptions

PAUSES = (0.25, 1.0)
"""Seconds before a failed GET is asked again; writes are never repeated."""
KEEP_ALIVE = 2.0
"""Seconds an idle connection is kept: less than the servers in front of Label Studio keep theirs."""


class Connection:
    """Asks Label Studio for JSON; the SDK's client underneath refreshes personal access tokens.

    url:     `http(s)://host[:port][/prefix]`
    token:   legacy token (40 hex digits) or personal access token (a JWT)
    timeout: seconds of silence after which a request is given up
    raises:  ConfigError when the address cannot be one, Unauthorized when the token cannot be one
    """

    def __init__(
        self, url: str, token: str, *, timeout: float = 60.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.url = _address(url)
        self.timeout = timeout
        self._token = _token(token, self.url)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def token_kind(self) -> str:
        """`legacy` or `personal`."""
        return "legacy" if self._claims is None else "personal"

    @property
    def token_expires(self) -> datetime | None:
        """When the personal access token ends; None for a legacy one, which never does."""
        end = (self._claims or {}).get("exp")
        return None if end is None else datetime.fromtimestamp(float(end), UTC)

    def version(self) -> str:
        """Label Studio's release, such as `1.23.2`."""
        answer = self._get("/api/version")
        release = answer.get("release") if isinstance(answer, dict) else None
        if not isinstance(release, str):
            raise LabelStudioError(f"{self.url} answers, but not as Label Studio does: GET /api/version")
        return release

    def server_time(self) -> datetime:
        """Label Studio's clock, cut to the second, just before it answered."""
        date = self._request("GET", "/api/version").headers.get("date")
        if date is None:
            raise LabelStudioError(f"Label Studio at {self.url} sends no Date header")
        return parsedate_to_datetime(date)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections; the next request opens new ones."""
        wrapper = self.__dict__.pop("_sdk", None)
        if wrapper is not None:
            wrapper.httpx_client.httpx_client.close()

    def _get(self, path: str, **params: Any) -> Any:
        """JSON of a GET, asked again where Label Studio stumbled."""
        return self._request("GET", path, params=params).json()

    def _send(self, method: str, path: str, body: Any = None, *, timeout: float | None = None) -> Any:
        """JSON of a write, None where nothing comes back."""
        response = self._request(method, path, body=body, timeout=timeout)
        return response.json() if response.content else None

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        asked = f"Label Studio at {self.url}: {method} {path}"
        pauses = list(PAUSES) if method == "GET" else []
        renewed = False
        while True:
            try:
                response = self._exchange(asked, method, path, params, body, timeout)
                problem: LabelStudioError | None = failure(response, asked, (self._token,))
                again = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            except Unreachable as unreachable:
                problem, again = unreachable, not isinstance(unreachable, TimedOut)
            if problem is None:
                return response
            if isinstance(problem, Unauthorized) and self._claims is not None and not renewed:
                renewed = True  # a clock behind Label Studio's takes an access token for fresh too long
                self.close()
            elif again and pauses:
                self._sleep(pauses.pop(0))
            else:
                raise problem

    def _exchange(
        self,
        asked: str,
        method: str,
        path: str,
        params: dict[str, Any] | None,
        body: Any,
        timeout: float | None,
    ) -> httpx.Response:
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        seconds = timeout or self.timeout
        # the type asks for whole seconds; the client takes fractions
        options = cast("RequestOptions", {"max_retries": 0, "timeout_in_seconds": seconds})
        try:
            return self._sdk.httpx_client.request(
                path,
                method=method,
                params=params,
                content=None if body is None else json.dumps(body, default=dict).encode(),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                request_options=options,
            )
        except httpx.TimeoutException as slow:
            raise TimedOut(f"{asked}: no answer within {seconds:g} s") from slow
        except httpx.HTTPError as broken:
            raise Unreachable(
                one_line(f"{asked}: {broken or type(broken).__name__}", (self._token,))
            ) from broken
        except ApiError as refused:
            raise self._refused(refused) from None  # its text repeats what was sent
        except ValueError as garbage:
            raise LabelStudioError(
                f"Label Studio at {self.url}: POST /api/token/refresh/: not JSON; is this its address?"
            ) from garbage

    def _refused(self, refused: Any) -> LabelStudioError:
        body = refused.body
        said = body.get("detail", body) if isinstance(body, dict) else body
        line = one_line(f"Label Studio at {self.url}: personal access token: {said}", (self._token,))
        if refused.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST):
            return Unauthorized(f"{line}; make a new one on its 'Account & Settings' page")
        return LabelStudioError(line)

    @cached_property
    def _sdk(self) -> SyncClientWrapper:
        import httpx
        from label_studio_sdk.core.client_wrapper import SyncClientWrapper

        client = httpx.Client(
            timeout=self.timeout, follow_redirects=False, limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE)
        )
        weakref.finalize(self, client.close)
        return SyncClientWrapper(
            api_key=self._token, base_url=f"{self.url}/", timeout=self.timeout, httpx_client=client
        )

    @cached_property
    def _claims(self) -> dict[str, Any] | None:
        """What a JWT says of itself; None for a token of another kind."""
        parts = self._token.split(".")
        if len(parts) != 3:
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except ValueError:
            return None
        return claims if isinstance(claims, dict) else None


class TimedOut(Unreachable):
    """Label Studio was reached and did not answer in time: it is busy, and asking again makes it busier."""


def _address(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"Label Studio's address is {url!r}; expected http://… or https://…")
    if parts.username or parts.password:
        raise ConfigError(f"Label Studio's address at {parts.hostname} holds credentials; expected none")
    if parts.query or parts.fragment:
        raise ConfigError(f"Label Studio's address is {url!r}; expected it without ? and #")
    return url.strip().rstrip("/")


def _token(token: str, url: str) -> str:
    token = token.strip()
    if not token:
        raise Unauthorized(
            f"no token for Label Studio at {url}; expected one of its 'Account & Settings' page"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise Unauthorized(f"the token for Label Studio at {url} holds characters that no token has")
    return token
