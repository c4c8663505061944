"""Tell the manager once that the queue was closed: by a webhook, by e-mail, or both."""

from __future__ import annotations

import http.client
import json
import logging
import smtplib
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

from pydantic import SecretStr

from backend.budget import wording
from backend.budget.allowance import Allowance
from backend.budget.terms import Kind
from backend.config.spending import Notify
from backend.domain import ConfigError, NextlabelError, is_over
from backend.store import Closure, Store

log = logging.getLogger(__name__)

TRIES = 5
PAUSE = timedelta(minutes=1)
"""After the first failure; each further pause is twice as long."""

TIMEOUT_SECONDS = 10
_AS_THEY_ARE = "/?:@!$&'()*+,;=~%"
"""What a path or query may hold beside letters; % because an address may be quoted already."""

BY_HAND = frozenset((Kind.PAUSED, Kind.CLOSED))


class NotTold(NextlabelError):
    """A message could not be delivered."""


@dataclass(frozen=True)
class Message:
    """What the manager is told."""

    key: str
    subject: str
    text: str
    facts: Mapping[str, Any]


def tell(
    store: Store,
    project_id: int,
    closure: Closure,
    allowed: Allowance,
    config: Notify,
    password: SecretStr | None,
    *,
    now: datetime,
) -> None:
    """Send what is due of this closing; what failed is tried again, `TRIES` times in all.

    Who closed or paused the queue by hand knows it. A crash between sending and writing that down may repeat
    a message: it carries the same key then. What came of it is in the store, for the page to show.
    """
    if not closure.closed or {limit.kind for limit in allowed.reasons} <= BY_HAND:
        return
    for channel, send in _channels(config, password).items():
        before = closure.told.get(channel) or {}
        if before.get("ok") or before.get("tries", 0) >= TRIES:
            continue
        if before and not is_over(_pause(before), datetime.fromisoformat(before["at"]), now=now):
            continue
        message = message_of(store, project_id, closure, allowed)
        outcome: dict[str, Any] = {"at": now.isoformat(), "tries": before.get("tries", 0) + 1}
        try:
            send(message)
            outcome["ok"] = True
        except NextlabelError as error:
            outcome |= {"ok": False, "error": str(error)}
            log.warning("project %s: the manager was not told: %s", project_id, error)
        closure_now = store.closures.get(project_id)
        told = dict(closure_now.told) if closure_now else {}
        store.closures.told(project_id, closure.number, {**told, channel: outcome})


def _pause(before: Mapping[str, Any]) -> timedelta:
    return PAUSE * int(2 ** (before["tries"] - 1))


def message_of(store: Store, project_id: int, closure: Closure, allowed: Allowance) -> Message:
    """Write the message."""
    title = store.projects.get(project_id).title
    budget, done = allowed.budget.value, allowed.spent
    price = "" if done.money is None else f", {wording.money(done.money, budget.currency)}"
    lines = [
        f"Project {project_id} “{title}”: the queue is closed, for {allowed.says}.",
        f"Spent: {wording.labels(done.labels)}, {wording.hours(done.hours)}{price}.",
    ]
    if found := allowed.measured:
        value, low, high = (
            wording.score(found.metric, each) for each in (found.value, found.low, found.high)
        )
        lines.append(
            f"{found.metric.replace('_', ' ').capitalize()} on {found.n} random tasks: "
            f"{value} (90 % interval {low} to {high})."
        )
    lines.append("To go on, raise the budget in the page, or with: " + f"nextlabel budget {project_id} set")
    facts = {
        "event": "queue closed",
        "project": project_id,
        "title": title,
        "closing": closure.number,
        "reasons": [limit.as_json() for limit in allowed.reasons],
        "spent": {
            "labels": done.labels,
            "hours": round(done.hours, 4),
            "money": None if done.money is None else str(done.money),
            "currency": budget.currency,
        },
    }
    key = f"{project_id}.{closure.number}.{closure.changed_at:%Y%m%d%H%M%S}"
    return Message(key, f"Labelling of “{title}” is closed", "\n".join(lines), facts)


def post(message: Message, url: str) -> None:
    """Post a message as JSON; raises NotTold. The address may hold a secret, so no error shows its path."""
    body = json.dumps({"text": message.text, "key": message.key, **message.facts}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "nextlabel"}
    try:
        request = urllib.request.Request(_ascii(url), body, headers)  # noqa: S310 - http(s) alone is configured
    except ValueError as error:
        raise NotTold(f"notify.webhook_url: {_reason(error)}; expected an address to post to") from None
    host = request.host
    try:
        with _NO_REDIRECTS.open(request, timeout=TIMEOUT_SECONDS) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        with error:
            raise NotTold(f"webhook at {host}: answered {error.code}; expected 200") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotTold(f"webhook at {host}: {_reason(error)}") from None


def _ascii(url: str) -> str:
    """Write an address as it is sent: a path has no other letters than ASCII's, a host its name in IDNA."""
    parts = urllib.parse.urlsplit(url)
    path, query = (urllib.parse.quote(part, safe=_AS_THEY_ARE) for part in (parts.path, parts.query))
    host = (parts.hostname or "").encode("idna").decode()  # alone: with a port behind it, its end is no name
    host = f"[{host}]" if ":" in host else host
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    return parts._replace(netloc=netloc, path=path, query=query).geturl()


def mail(message: Message, config: Notify, password: SecretStr | None) -> None:
    """Send a message by e-mail; raises NotTold, or ConfigError where the password is missing."""
    assert config.smtp_host is not None
    if config.smtp_user is not None and password is None:
        raise ConfigError("NEXTLABEL_SMTP_PASSWORD: not set; expected the password of notify.smtp_user")
    try:
        letter = _letter(message, config)
    except (ValueError, IndexError) as error:  # the library's reader of addresses runs off their end
        who = f"notify.smtp_from {config.smtp_from!r}, notify.email {config.email!r}"
        raise NotTold(f"{who}: {_reason(error)}; expected e-mail addresses") from None
    try:
        with _server(config) as server:
            if config.smtp_user is not None and password is not None:
                server.login(config.smtp_user, password.get_secret_value())
            server.send_message(letter)
    except (OSError, ValueError) as error:
        raise NotTold(f"mail server {config.smtp_host}:{config.smtp_port}: {_reason(error)}") from None


def _letter(message: Message, config: Notify) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"], letter["From"] = _in_one_line(message.subject), _in_one_line(config.smtp_from)
    letter["To"] = _in_one_line(config.email or "")
    letter["Message-ID"] = f"<{message.key}@nextlabel>"
    letter.set_content(message.text)
    return letter


def _server(config: Notify) -> smtplib.SMTP:
    host, port = config.smtp_host or "", config.smtp_port
    context = ssl.create_default_context()
    if port == smtplib.SMTP_SSL_PORT:
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    if config.smtp_tls:
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _channels(config: Notify, password: SecretStr | None) -> dict[str, Callable[[Message], None]]:
    channels: dict[str, Callable[[Message], None]] = {}
    if (url := config.webhook_url) is not None:
        channels["webhook"] = lambda message: post(message, url)
    if config.email is not None and config.smtp_host is not None:
        channels["email"] = lambda message: mail(message, config, password)
    return channels


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: what was posted would be lost on the way."""


_NO_REDIRECTS = urllib.request.build_opener(_NoRedirects)


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"answered {error.smtp_code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return _in_one_line(str(cause))[:200] or type(error).__name__


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
