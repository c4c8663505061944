"""What is compared, and how the labels are spent: read from what people type, with defaults for any data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from backend.domain import ConfigError
from backend.simulate.replay import Plan
from strategies.auto import Auto, without_cold_start
from strategies.pool import ArrayPool, NoModel
from strategies.registry import build
from strategies.types import BadInput, Pool, Positions, QueryStrategy, Ranking

BASELINE = "random"
ROUNDS = 20
LABELS_PER_CLASS = 10
FEWEST_LABELS, MOST_LABELS = 200, 1000
"""The budget that is proposed lies between these, and takes half of the pool at most."""
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "'\""


def split_names(text: str) -> list[str]:
    """Split at commas, except those inside brackets or quotes; what is empty is left out."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def strategy_names(text: str) -> tuple[str, ...]:
    """Read the strategies to compare; random order comes first, asked for or not.

    raises: ConfigError for what is no strategy, naming the nearest
    """
    named = split_names(text)
    if not named:
        raise ConfigError(f"--strategies {text!r}: names none; expected some such as margin,seals(margin)")
    for name in named:
        try:
            build(name)
        except BadInput as error:
            raise ConfigError(f"--strategies: {error}") from error
    return tuple(dict.fromkeys([BASELINE, *named]))


def make_plan(
    pool: int, classes: int, *, budget: int | None = None, batch: int | None = None, start: int | None = None
) -> Plan:
    """Plan for a pool of `pool` rows; None takes what suits any data.

    budget: ten labels a class, from 200 to 1,000, half of the pool at most
    batch:  what makes 20 rounds
    start:  one batch
    raises: ConfigError for what cannot be
    """
    if budget is None:
        budget = max(1, min(pool // 2, max(FEWEST_LABELS, min(MOST_LABELS, LABELS_PER_CLASS * classes))))
        if start is not None and start >= budget:
            budget = min(pool, 2 * max(start, 1))
    _check("--budget", budget, 1, pool, f"the {pool:,} examples of the pool")
    if batch is None:
        batch = max(1, round(budget / ROUNDS))
    _check("--batch", batch, 1, budget, "the budget")
    if start is None:
        start = min(batch, budget - 1)
    _check("--start", start, 0, budget - 1, "fewer labels than the budget")
    return Plan(start=start, batch=batch, budget=budget)


def check_count(option: str, value: int, least: int, most: int) -> int:
    """Give `value`; ConfigError unless it is from `least` to `most`."""
    _check(option, value, least, most, f"{most:,}")
    return value


@dataclass(frozen=True)
class OwnBeginning:
    """Lets `cold_start` rank until there are `labels` labels, then `strategy`."""

    strategy: QueryStrategy
    cold_start: QueryStrategy
    labels: int

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank by whichever has its turn."""
        cold = int(pool.labelled.sum()) < self.labels
        return (self.cold_start if cold else self.strategy)(pool, candidates, k, rng)


def own_beginning(strategy: QueryStrategy, cold_start: QueryStrategy, labels: int) -> QueryStrategy:
    """Give a strategy that can begin with no label: itself, or after `cold_start` if it needs a model."""
    then = without_cold_start(strategy)
    return OwnBeginning(then, cold_start, labels) if needs_model(then) else strategy


def rankers(
    strategy: str, cold_start: str, labels: int, *, start: int
) -> tuple[QueryStrategy, QueryStrategy]:
    """Build what ranks in a replay that begins with `start` random labels, and what ranks without a model."""
    built, cold = build(strategy), build(cold_start)
    ranks = own_beginning(built, cold, labels)
    if start and without_cold_start(built) is built:
        return built, cold
    return ranks, cold if isinstance(ranks, OwnBeginning | Auto) else built


def needs_model(strategy: QueryStrategy) -> bool:
    """Whether it asks the model before there is one: tried out on a few rows without labels."""
    pool = ArrayPool(np.eye(4, dtype=np.float32), np.zeros(4, bool))
    try:
        strategy(pool, pool.candidates, 1, np.random.default_rng(0))
    except NoModel:
        return True
    return False


def _check(option: str, value: int, least: int, most: int, what: str) -> None:
    if not least <= value <= most:
        upper = f"at most {what}" if value > most else f"{least:,} or more"
        raise ConfigError(f"{option} {value}: expected {upper}")
