"""What Label Studio answered, in one clear line that never shows a token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from backend.domain import LabelStudioError, NotFound, Unauthorized, Unreachable

if TYPE_CHECKING:
    import httpx

LONGEST = 400
GATEWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class AddressBlocked(LabelStudioError):
    """Label Studio refuses to call this address, because it lies in a private network."""


class NoSuchApi(NotFound):
    """The address answers, but knows no such API: not Label Studio, or another edition of it."""


class MissingTasks(LabelStudioError):
    """Predictions were to be written for tasks that the project does not have (any more).

    task_ids: those tasks; nothing was written for the rest either (see `Publishing.import_predictions`)
    """

    def __init__(self, message: str, task_ids: Sequence[int]) -> None:
        super().__init__(message)
        self.task_ids = tuple(task_ids)


def one_line(text: str, secrets: Sequence[str] = ()) -> str:
    """Squeeze `text` into one line of bounded length without any of the `secrets`."""
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def answered(response: httpx.Response) -> str:
    """Say what came back: Label Studio's own words where there are any."""
    try:
        body = response.json()
    except ValueError:
        kind = response.headers.get("content-type", "something").split(";")[0]
        title = re.search(r"<title>(.*?)</title>", response.text[:20_000], re.DOTALL | re.IGNORECASE)
        return f"{kind} page '{title[1].strip()}'" if title else f"{kind}, which is not JSON"
    if not isinstance(body, dict):
        return json.dumps(body)
    details = body.get("validation_errors")
    words = str(body.get("detail") or body.get("error") or json.dumps(body))
    return f"{words}: {json.dumps(details)}" if details else words


def failure(response: httpx.Response, asked: str, secrets: Sequence[str]) -> LabelStudioError | None:
    """Translate an answer that is not the JSON asked for; None where it is.

    asked: the address and the request, as a person would look for it
    """
    status = response.status_code
    if response.is_redirect:
        target = response.headers.get("location", "nowhere")
        return LabelStudioError(
            one_line(f"{asked}: redirected to {target}; give the address that it ends at", secrets)
        )
    said = one_line(f"{asked}: HTTP {status}, {answered(response)}", secrets)
    speaks_json = _is_json(response)
    if response.is_success:
        fine = speaks_json or not response.content
        return None if fine else LabelStudioError(f"{said}; is this the address of a Label Studio?")
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(f"{said}; give a valid token of its 'Account & Settings' page")
    if status == HTTPStatus.FORBIDDEN:
        blocked = "network address" in said
        return AddressBlocked(said) if blocked else Unauthorized(f"{said}; the token's user may not do this")
    if status == HTTPStatus.NOT_FOUND:
        known = speaks_json and "detail" in response.json()
        return NotFound(said) if known else NoSuchApi(f"{said}; is this Label Studio's address?")
    return Unreachable(said) if status in GATEWAY else LabelStudioError(said)


def _is_json(response: httpx.Response) -> bool:
    try:
        response.json()
    except ValueError:
        return False
    return True


@contextmanager
def reading(what: str, body: Any) -> Iterator[None]:
    """Turn the slips of picking fields out of `body` into one line that says what was being read."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as slip:
        found = sorted(body)[:8] if isinstance(body, dict) else type(body).__name__
        raise LabelStudioError(
            f"{what}: Label Studio's answer has not the form expected ({slip!r}; it holds {found})"
        ) from slip
