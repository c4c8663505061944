"""Ids in addresses."""

from __future__ import annotations

from werkzeug.exceptions import NotFound
from werkzeug.routing import IntegerConverter

from backend.web.payloads import MAX_ID

_DIGITS = len(str(MAX_ID))


class Id(IntegerConverter):
    """An id; NotFound for what none can be: Python reads no number of any length, no database looks it up."""

    def to_python(self, value: str) -> int:
        """Read the id."""
        if len(value) > _DIGITS or int(value) > MAX_ID:
            # no ValidationError: another method's rule of the same address would make it a 405
            raise NotFound(f"id {value[: 2 * _DIGITS]}: there is none beyond {MAX_ID}")
        return int(value)
