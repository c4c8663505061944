"""Which environment variables there are, and what they override."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import SecretStr

from backend.config.scalars import is_null, number, truth
from backend.config.types import SECTIONS, Secrets
from backend.config.words import nearest

_SECRETS = {
    "LABEL_STUDIO_API_KEY": ("label_studio_token", "Token for Label Studio, of either kind."),
    "LABEL_STUDIO_ACCESS_TOKEN": ("label_studio_token", "The same, under its older name."),
    "NEXTLABEL_PASSWORD": ("password", "The operator's password for the pages and calls of nextlabel."),
    "NEXTLABEL_SMTP_PASSWORD": ("smtp_password", "Password of notify.smtp_user at the mail server."),
    "NEXTLABEL_REMOTE_USER": ("remote_user", "Who logs in at a remote ML backend (HTTP basic)."),
    "NEXTLABEL_REMOTE_PASSWORD": ("remote_password", "The password for that."),
}
_SHORT = {
    "LABEL_STUDIO_URL": ("label_studio", "url"),
    "NEXTLABEL_HOME": ("store", "home"),
}
_ELSEWHERE = {
    "NEXTLABEL_CONFIG": "Path of the configuration file.",
    "NEXTLABEL_URL": "Where nextlabel answers, for the adapter of label-studio-ml.",
}


@dataclass(frozen=True)
class Environment:
    """What the environment says.

    values:   section to key to value
    sources:  (section, key) to the variable that set it
    problems: one line for each variable that nobody knows
    """

    values: Mapping[str, Mapping[str, Any]]
    sources: Mapping[tuple[str, str], str]
    secrets: Secrets
    problems: tuple[str, ...]


def variables() -> dict[str, str]:
    """List every variable that is read, with what it does; scalar keys as NEXTLABEL_SECTION_KEY."""
    said = {name: words for name, (_, words) in _SECRETS.items()} | _ELSEWHERE
    short = {name: f"Overrides {section}.{key}." for name, (section, key) in _SHORT.items()}
    return said | short | {name: f"Overrides {section}.{key}." for name, (section, key) in _long()}


def read(environment: Mapping[str, str]) -> Environment:
    """Collect what `environment` overrides; an empty variable counts as not set."""
    given = {name: value for name, value in environment.items() if value.strip()}
    values: dict[str, dict[str, Any]] = {}
    sources: dict[tuple[str, str], str] = {}
    for name, (section, key) in (*_SHORT.items(), *_long()):
        if name in given:
            values.setdefault(section, {})[key] = _value(section, key, given[name].strip())
            sources[section, key] = name
    known = variables()
    problems = tuple(
        f"{name}: unknown variable; expected NEXTLABEL_SECTION_KEY{nearest(name, known)}"
        for name in sorted(given)
        if name.startswith("NEXTLABEL_") and name not in known
    )
    return Environment(values, sources, _secrets(given), problems)


def _secrets(given: Mapping[str, str]) -> Secrets:
    secrets: dict[str, SecretStr] = {}
    for name, (key, _) in _SECRETS.items():
        if name in given:
            secrets.setdefault(key, SecretStr(given[name].strip()))
    return Secrets(**secrets)


def _long() -> Iterator[tuple[str, tuple[str, str]]]:
    for section, kind in SECTIONS.items():
        for key in kind.model_fields:
            if key != "options":
                yield f"NEXTLABEL_{section}_{key}".upper(), (section, key)


def _value(section: str, key: str, text: str) -> Any:
    """Read `text` as what the key takes; where that fails it stays as it is, for the error to show."""
    kind = SECTIONS[section].model_fields[key].annotation
    kinds = {kind, *get_args(kind)}
    if type(None) in kinds and is_null(text):
        return None
    found = truth(text) if bool in kinds else number(text) if kinds & {int, float} else None
    return text if found is None else found
