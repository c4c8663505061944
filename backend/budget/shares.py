"""Shares of the queue that the strategy does not choose: as they are typed, and over the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from backend.budget.terms import FieldErrors
from backend.config import ProjectConfig
from backend.config.types import MOST_RANDOM, Queue

_MOST: Mapping[str, Decimal] = {
    "audit": Decimal("0.5"),
    "exploration": Decimal("0.4"),
    "relabel": Decimal("0.5"),
}


@dataclass(frozen=True)
class Shares:
    """Shares of the queue; None leaves what the configuration says."""

    audit: Decimal | None = None
    exploration: Decimal | None = None
    relabel: Decimal | None = None


def check_shares(given: Mapping[str, Any], queue: Queue) -> Shares:
    """Read shares such as .1 or 10 %, those of `queue` where one is empty; raises FieldErrors."""
    errors, values = {}, {}
    for name in given:
        if name not in _MOST:
            errors[name] = f"unknown; expected one of {', '.join(_MOST)}"
    for name, most in _MOST.items():
        text = "" if given.get(name) is None else str(given[name]).strip()
        if text:
            try:
                share = Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)
                if not 0 <= share <= most:
                    raise ValueError
                values[name] = share
            except (ValueError, InvalidOperation):
                errors[name] = f'"{text[:40]}"; expected a number from 0 to {most}, or up to {most:.0%}'
    if not errors:
        errors = _too_much(values, queue.shares)
    if errors:
        raise FieldErrors(errors)
    return Shares(**values)


def _too_much(given: Mapping[str, Decimal], configured: Mapping[str, Decimal]) -> dict[str, str]:
    total = sum({**configured, **given}.values())
    if total <= MOST_RANDOM:
        return {}
    empty = [f"{name} counts {share}" for name, share in configured.items() if share and name not in given]
    why = f" (left empty, {', '.join(empty)})" if empty else ""
    return {"audit": f"all shares together are {total}{why}; expected at most {MOST_RANDOM}"}


def with_shares(config: ProjectConfig, shares: Shares) -> ProjectConfig:
    """Lay the live shares over a project's configuration.

    A configuration that was changed since they were saved may leave the strategy nothing: it gives way then.
    """
    live: dict[str, Decimal] = {name: value for name, value in vars(shares).items() if value is not None}
    left = {name: value for name, value in config.queue.shares.items() if name not in live}
    room, wanted = MOST_RANDOM - sum(live.values()), sum(left.values())
    if wanted > room:
        left = {name: value * room / wanted for name, value in left.items()}
    update = {f"{name}_share": float(value) for name, value in {**left, **live}.items()}
    return config.model_copy(update={"queue": config.queue.model_copy(update=update)})
