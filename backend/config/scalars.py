"""Numbers, booleans and null as people write them, in the file and in the environment alike."""

from __future__ import annotations

import re

DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]{1,300}")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def number(text: str) -> int | float | None:
    """Read a decimal number; None where it is none.

    YAML 1.1 takes 050 for 40, 1:30 for 90 and 5e-1 for a text.
    """
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) else None


def truth(text: str) -> bool | None:
    """Read true or false, by any of the names that YAML has for them; None where it is neither."""
    return _TRUTH.get(text.lower())


def is_null(text: str) -> bool:
    """Tell whether `text` stands for nothing."""
    return text.lower() in ("null", "~")
