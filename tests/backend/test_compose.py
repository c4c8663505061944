"""The front: full, fair at every length, and without repeats."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.domain import Origin
from backend.rounds.compose import Place, Source, compose

ORIGINS = [Origin.CHOSEN, Origin.AUDIT, Origin.EXPLORATION]


def places(origin: Origin, rows: list[int]) -> list[Place]:
    return [Place(row, origin, 0.0, "") for row in rows]


rows_ = st.lists(st.integers(0, 60), max_size=30)


@settings(max_examples=200)
@given(rows_, st.lists(rows_, min_size=3, max_size=3), rows_, st.integers(1, 40))
def test_the_front_is_full_while_rows_are_left(
    first: list[int], sources: list[list[int]], last: list[int], size: int
) -> None:
    """As many distinct rows as there are, up to the size; every first before every last."""
    given_sources = [Source(places(origin, rows), 0.3) for origin, rows in zip(ORIGINS, sources, strict=True)]
    front = compose(places(Origin.IN_PROGRESS, first), given_sources, places(Origin.LAST_RESORT, last), size)
    rows = [place.row for place in front]
    assert len(rows) == len(set(rows)) == min(size, len({*first, *last, *chain(*sources)}))
    origins = [place.origin for place in front]
    assert origins == sorted(origins, key=lambda o: {Origin.IN_PROGRESS: 0, Origin.LAST_RESORT: 2}.get(o, 1))


@given(st.integers(1, 100), st.floats(0, 0.5), st.floats(0, 0.4))
def test_every_beginning_has_each_source_to_within_a_place(length: int, audit: float, explore: float) -> None:
    """Whoever labels only the beginning has still measured."""
    shares = [1 - audit - explore, audit, explore]
    sources = [
        Source(places(origin, list(range(1000 * i, 1000 * i + 200))), share)
        for i, (origin, share) in enumerate(zip(ORIGINS, shares, strict=True))
    ]
    counts = Counter(place.origin for place in compose([], sources, [], length))
    for origin, share in zip(ORIGINS, shares, strict=True):
        assert abs(counts[origin] - share * length) < 1.5


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 3000),
    st.integers(1, 60),
    st.sampled_from([(0.1, 0.05), (0.5, 0.0), (0.0, 0.4), (0.25, 0.25)]),
)
def test_a_front_for_each_label_serves_what_one_front_for_all_would(
    turn: int, length: int, shares: tuple[float, float]
) -> None:
    """Only the first place of each front is ever labelled then; every source still has its share."""
    audit, explore = shares
    sources = [
        Source(places(origin, list(range(100 * i, 100 * i + 100))), share)
        for i, (origin, share) in enumerate(zip(ORIGINS, (1 - audit - explore, audit, explore), strict=True))
    ]
    firsts = [compose([], sources, [], 1, turn=turn + label)[0].origin for label in range(length)]
    whole = [place.origin for place in compose([], sources, [], length, turn=turn)]
    if turn // 1000 == (turn + length - 1) // 1000:
        assert firsts == whole
    for origin, share in zip(ORIGINS, (1 - audit - explore, audit, explore), strict=True):
        assert abs(Counter(firsts)[origin] - share * length) < 3


def test_a_source_without_a_share_steps_in_when_the_others_are_empty() -> None:
    """With an audit share of 0 the audit rows wait until nothing else is left."""
    chosen, audit = places(Origin.CHOSEN, [1, 2]), places(Origin.AUDIT, [3, 4])
    front = compose([], [Source(audit, 0.0), Source(chosen, 1.0)], [], 4)
    assert [place.row for place in front] == [1, 2, 3, 4]
