"""Compose a front from quotas: chosen tasks, the audit slice, exploration, and what was begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend.domain import Origin

TURNS = 1000
"""Turns after which they begin anew: shares of a thousandth are kept."""


@dataclass(frozen=True)
class Place:
    """One row on its way into the front."""

    row: int
    origin: Origin
    utility: float
    reason: str


@dataclass(frozen=True)
class Source:
    """Rows of one origin, best first, and the share of the front that they are due."""

    places: Sequence[Place]
    share: float


def compose(
    first: Sequence[Place], sources: Sequence[Source], last: Sequence[Place], size: int, *, turn: int = 0
) -> list[Place]:
    """Fill `size` places: all of `first`, then `sources` interleaved by their shares, then `last`.

    A row is placed once, by the first that names it. A source that runs out leaves its share to the others,
    so the front is full while any row is left. Anywhere in the front, each source has had its share to within
    a place or so: whoever labels only the beginning has still measured and explored.

    turn: how many tasks were labelled before; the turns go on from there. If each front began anew, and one
          followed each label, all labels would be of the source that comes first.
    """
    front: list[Place] = []
    seen: set[int] = set()
    for place in _in_turn(first, sources, last, turn % TURNS):
        if len(front) >= size:
            break
        if place.row not in seen:
            seen.add(place.row)
            front.append(place)
    return front


def _in_turn(
    first: Sequence[Place], sources: Sequence[Source], last: Sequence[Place], turn: int
) -> Iterator[Place]:
    yield from first
    waiting = [(source.share, iter(source.places)) for source in sources]
    credit = [0.0] * len(waiting)
    for _ in range(turn if waiting else 0):
        _next_turn(credit, [share for share, _ in waiting])
    while waiting:
        mine = _next_turn(credit, [share for share, _ in waiting])
        place = next(waiting[mine][1], None)
        if place is None:
            del waiting[mine], credit[mine]
        else:
            yield place
    yield from last


def _next_turn(credit: list[float], shares: Sequence[float]) -> int:
    """Give each source its share of a place, and the place to the one that is owed most; returns which."""
    total = sum(shares)
    for source, share in enumerate(shares):
        credit[source] += share / total if total else 1 / len(shares)
    mine = max(range(len(shares)), key=lambda source: (credit[source], shares[source], -source))
    credit[mine] -= 1
    return mine
