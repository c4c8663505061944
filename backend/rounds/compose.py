"""Compose a front from quotas: chosen tasks, the audit slice, exploration, and what was begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend.domain import Origin


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
    first: Sequence[Place], sources: Sequence[Source], last: Sequence[Place], size: int
) -> list[Place]:
    """Fill `size` places: all of `first`, then `sources` interleaved by their shares, then `last`.

    A row is placed once, by the first that names it. A source that runs out leaves its share to the others,
    so the front is full while any row is left. Anywhere in the front, each source has had its share to within
    a place or so: whoever labels only the beginning has still measured and explored.
    """
    front: list[Place] = []
    seen: set[int] = set()
    for place in _in_turn(first, sources, last):
        if len(front) >= size:
            break
        if place.row not in seen:
            seen.add(place.row)
            front.append(place)
    return front


def _in_turn(first: Sequence[Place], sources: Sequence[Source], last: Sequence[Place]) -> Iterator[Place]:
    yield from first
    waiting = [(source.share, iter(source.places)) for source in sources]
    credit = [0.0] * len(waiting)
    while waiting:
        total = sum(share for share, _ in waiting)
        credit = [
            owed + (share / total if total else 1 / len(waiting))
            for owed, (share, _) in zip(credit, waiting, strict=True)
        ]
        turn = max(range(len(waiting)), key=lambda i: (credit[i], waiting[i][0], -i))
        place = next(waiting[turn][1], None)
        if place is None:
            del waiting[turn], credit[turn]
            continue
        credit[turn] -= 1
        yield place
    yield from last
