"""The sample file and the table, made from the types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from backend.config.types import SECTIONS
from backend.config.words import expected

_ACTIVE = (("label_studio", "url"), ("encoder", "name"), ("selection", "strategy"), ("queue", "size"))

_HEAD = """\
# nextlabel's settings. Every key is listed with its default; take the # away from what you change.
# `nextlabel check nextlabel.yaml` tells whether it is right.
# Secrets come from the environment alone: LABEL_STUDIO_API_KEY (a token of your Label Studio account),
# NEXTLABEL_PASSWORD, NEXTLABEL_SMTP_PASSWORD, and NEXTLABEL_REMOTE_USER and NEXTLABEL_REMOTE_PASSWORD for
# another ML backend. NEXTLABEL_SECTION_KEY overrides any single value, such as NEXTLABEL_QUEUE_SIZE=50.
"""
_TAIL = """
# What one project does differently, by its number in Label Studio's address bar.
projects:
  # 12:
  #   labels: {control: sentiment}
  #   queue: {size: 50, preannotate: false}
"""


def sample() -> str:
    """Write the commented `nextlabel.yaml` that a new user starts from; it holds the defaults."""
    lines: list[str] = []
    for section, kind in SECTIONS.items():
        lines += ["", f"# {kind.__doc__}", f"{section}:"]
        for key, description, takes, default in _rows(section):
            mark = "" if (section, key) in _ACTIVE else "# "
            lines += [f"  # {description} ({takes})", f"  {mark}{key}: {default}"]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL


def table() -> str:
    """Write the configuration as a Markdown table: key, what it takes, default, what it does."""
    lines = ["| key | takes | default | what it does |", "|---|---|---|---|"]
    for section in SECTIONS:
        for key, description, takes, default in _rows(section):
            lines.append(f"| `{section}.{key}` | {takes} | `{default}` | {description} |")
    return "\n".join(lines)


def _rows(section: str) -> Iterator[tuple[str, str, str, str]]:
    for key, field in SECTIONS[section].model_fields.items():
        yield key, field.description or "", expected(field), _yaml(field.default)


def _yaml(value: Any) -> str:
    plain = str(value) if isinstance(value, Path) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")
