"""Words in every language of the pages: one JSON file each, all with the same keys."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import Request

FOLDER = Path(__file__).parent / "words"
LANGUAGES: Mapping[str, str] = {"en": "English", "ko": "한국어"}
DEFAULT = "en"
DASH = "\u2013"
"""Between the ends of a range, and where nothing is known."""
COOKIE = "nextlabel_language"


@cache
def words(language: str) -> Mapping[str, str]:
    """Read a language's words."""
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return found


def chosen(request: Request) -> str:
    """Pick the language: the visitor's choice, else the browser's, else English."""
    kept = request.cookies.get(COOKIE)
    if kept in LANGUAGES:
        return str(kept)
    return request.accept_languages.best_match(list(LANGUAGES)) or DEFAULT


def gaps(text: str) -> frozenset[str]:
    """List the names that a text has gaps for, such as `count` in `{count} labels`."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)


@dataclass(frozen=True)
class Speech:
    """One language: words by their keys, numbers, shares, durations and times."""

    language: str

    def __call__(self, key: str, /, **values: Any) -> str:
        """Say `key` with its gaps filled; a text of the form `one|many` is chosen by `count`."""
        text = words(self.language)[key]
        one, bar, many = text.partition("|")
        if bar:
            text = one if values.get("count") == 1 else many
        shown = {name: self.number(value) if _is_number(value) else value for name, value in values.items()}
        return text.format(**shown)

    def raw(self, key: str) -> str:
        """Give a text with its gaps, for a script to fill."""
        return words(self.language)[key]

    def knows(self, key: str) -> bool:
        """Whether there is a text of this key."""
        return key in words(self.language)

    def of(self, prefix: str, value: object) -> str:
        """Say one of our own names, such as a state; as it is where nobody translated it."""
        key = f"{prefix}.{str(value).replace(' ', '_')}"
        return words(self.language).get(key, str(value))

    def number(self, value: float, digits: int | None = None) -> str:
        """Write a number, its thousands apart; whole ones without a point."""
        if digits is None:
            digits = 0 if float(value).is_integer() or abs(value) >= 100 else 1
        return f"{value:,.{digits}f}"

    def share(self, value: float, digits: int = 1) -> str:
        """Write a share in [0, 1] as per cent."""
        return f"{100 * value:.{digits}f}\u00a0%" if self.language == "en" else f"{100 * value:.{digits}f}%"

    def range(self, low: float, high: float, digits: int = 0) -> str:
        """Write an interval of shares."""
        return f"{self.share(low, digits)} {DASH} {self.share(high, digits)}"

    def seconds(self, value: float) -> str:
        """Write a duration in the unit that suits it."""
        for size, unit in ((3600, "hours"), (60, "minutes")):
            if value >= size:
                return self(f"unit.{unit}", value=self.number(value / size, 1))
        return self("unit.seconds", value=self.number(value, 2 if value < 10 else 0))

    def hours(self, value: float) -> str:
        """Write hours."""
        return self("unit.hours", value=self.number(value, 1))

    def time(self, when: datetime) -> str:
        """Write a time in UTC; where scripts run, the page shows it in the reader's own zone."""
        there = when.astimezone(UTC)
        if self.language == "ko":
            return f"{there.year}. {there.month}. {there.day}. {there:%H:%M} UTC"
        return f"{there.day} {there:%b %Y, %H:%M} UTC"

    def ago(self, when: datetime | None, now: datetime) -> str:
        """Say how long ago something was."""
        if when is None:
            return self("ago.never")
        seconds = max(0, int((now - when).total_seconds()))
        for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
            if seconds >= size:
                return self(f"ago.{unit}", count=seconds // size)
        return self("ago.now") if seconds < 5 else self("ago.seconds", count=seconds)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
