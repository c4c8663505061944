"""What is near the labels, on disk; the rows kept in memory; what SEALS misses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cli.status import _seals
from backend.config import ProjectConfig
from backend.config.types import Queue, Selection
from backend.pool import cache
from backend.pool.cache import CandidateRows
from backend.pool.embeddings import EmbeddingFile
from backend.pool.nearness import Nearness
from backend.rounds.recall import EVERY, RecallAudit, drawn, let_in
from strategies import ArrayPool, FaissIndex, Probabilities, neighbors
from strategies.near_labelled import one_group


def unit(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def file_of(folder: Path, rows: np.ndarray) -> EmbeddingFile:
    (folder / "rows.f16").unlink(missing_ok=True)
    made = EmbeddingFile(folder / "rows.f16", rows.shape[1], committed=0)
    made.append(rows)
    return made


def slow_near(rows: np.ndarray, labelled: np.ndarray, live: np.ndarray, neighbors: int) -> list[int]:
    """All pairs, sorted, from nothing."""
    near: set[int] = set()
    for row in np.flatnonzero(labelled):
        order = np.argsort(-(rows @ rows[row]))
        near.update([int(other) for other in order if other != row and live[other]][:neighbors])
    return sorted(near)


class Asked:
    """Counts what the index is built of and asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.built, self.queries = 0, 0
        build, search = FaissIndex.build.__func__, FaissIndex.search  # type: ignore[attr-defined]

        def counted_build(kind: type[FaissIndex], rows: object, **options: object) -> FaissIndex:
            self.built += 1
            return build(kind, rows, **options)  # type: ignore[no-any-return]

        def counted_search(index: FaissIndex, vectors: np.ndarray, k: int) -> object:
            self.queries += len(vectors)
            return search(index, vectors, k)

        monkeypatch.setattr(FaissIndex, "build", classmethod(counted_build))
        monkeypatch.setattr(FaissIndex, "search", counted_search)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def near(nearness: Nearness, labelled: np.ndarray, live: np.ndarray | None = None) -> list[int]:
    live = np.ones(len(labelled), bool) if live is None else live
    return nearness.rows(labelled, live, at_most=None, groups=one_group).tolist()


def test_a_restart_builds_nothing_and_asks_nothing_again(tmp_path: Path, asked: Asked) -> None:
    """Both files are read; a few lists that were not written yet are asked for again."""
    embeddings = file_of(tmp_path, unit(200))
    labelled = np.arange(200) < 40
    first = near(Nearness(tmp_path, embeddings, 5), labelled)
    assert (asked.built, asked.queries) == (1, 40)
    again = Nearness(tmp_path, embeddings, 5)
    assert near(again, labelled) == first
    assert (asked.built, asked.queries) == (1, 40)
    labelled[100] = True
    near(again, labelled)
    near(Nearness(tmp_path, embeddings, 5), labelled)
    assert (asked.built, asked.queries) == (1, 42)


@pytest.mark.parametrize("file", ["neighbors.faiss", "near-5.npz"])
@pytest.mark.parametrize("damage", ["gone", "empty", "rubbish", "cut", "flipped"])
def test_a_file_that_was_lost_or_spoilt_is_made_anew(tmp_path: Path, file: str, damage: str) -> None:
    """The answer is the same as before."""
    embeddings = file_of(tmp_path, unit(120))
    labelled = np.arange(120) % 7 == 0
    first = near(Nearness(tmp_path, embeddings, 5), labelled)
    path = tmp_path / file
    whole = path.read_bytes()
    spoilt = {"empty": b"", "rubbish": b"x" * 500, "cut": whole[:-40], "flipped": b"\0" * 40 + whole[40:]}
    path.unlink() if damage == "gone" else path.write_bytes(spoilt[damage])
    assert near(Nearness(tmp_path, embeddings, 5), labelled) == first


def test_files_of_other_rows_are_not_believed(tmp_path: Path) -> None:
    """A store that was restored can have other tasks in the same rows."""
    labelled = np.arange(150) % 9 == 0
    near(Nearness(tmp_path, file_of(tmp_path, unit(150)), 5), labelled)
    others = file_of(tmp_path, unit(150, seed=5))
    expected = slow_near(others[np.arange(150)], labelled, np.ones(150, bool), 5)
    assert near(Nearness(tmp_path, others, 5), labelled) == expected


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(
        st.tuples(st.sampled_from(["label", "add", "delete", "restart"]), st.integers(1, 9)), max_size=8
    ),
)
def test_any_history_on_disk_ends_where_the_slow_twin_begins(
    tmp_path_factory: pytest.TempPathFactory, seed: int, events: list[tuple[str, int]]
) -> None:
    """Labels, new tasks, deleted tasks and restarts, in any order."""
    folder = tmp_path_factory.mktemp("pool")
    rng = np.random.default_rng(seed)
    embeddings = file_of(folder, unit(40, seed=seed))
    nearness = Nearness(folder, embeddings, 4)
    labelled, live = np.zeros(40, bool), np.ones(40, bool)
    for event, size in [("label", 5), *events]:
        some = rng.integers(0, len(live), size)
        if event == "label":
            labelled[some[live[some]]] = True
        elif event == "delete":
            live[some] = labelled[some] = False
        elif event == "add":
            embeddings.append(unit(size, seed=seed + len(live)))
            labelled, live = np.append(labelled, [False] * size), np.append(live, [True] * size)
        else:
            nearness = Nearness(folder, embeddings, 4)
        rows = embeddings[np.arange(len(live))]
        assert near(nearness, labelled, live) == slow_near(rows, labelled, live, 4)


def test_what_was_added_is_written_once_it_is_worth_it(tmp_path: Path, asked: Asked) -> None:
    """The index in the file grows by whole steps; rows beyond it are searched all the same."""
    rows = unit(400)
    embeddings = file_of(tmp_path, rows[:300])
    labelled = np.arange(400) < 3
    near(Nearness(tmp_path, embeddings, 5), labelled[:300])
    embeddings.append(rows[300:302])
    nearness = Nearness(tmp_path, embeddings, 5)
    near(nearness, labelled[:302])
    assert len(FaissIndex.load(tmp_path / "neighbors.faiss")) == 300
    embeddings.append(rows[302:])
    near(nearness, labelled)
    assert len(FaissIndex.load(tmp_path / "neighbors.faiss")) == 400
    assert asked.built == 1


def test_an_index_that_the_pool_outgrew_is_built_anew(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that began small ends with the index that suits its size; the lists stay."""
    monkeypatch.setattr(neighbors, "EXACT_ROWS", 100)
    rows = unit(320)
    embeddings = file_of(tmp_path, rows[:90])
    labelled = np.arange(320) < 3
    nearness = Nearness(tmp_path, embeddings, 5)
    near(nearness, labelled[:90])
    embeddings.append(rows[90:])
    found = near(nearness, labelled)
    assert (asked.built, asked.queries) == (2, 3)
    assert found == slow_near(embeddings[np.arange(320)], labelled, np.ones(320, bool), 5)
    assert near(Nearness(tmp_path, embeddings, 5), labelled) == found
    assert asked.built == 2


# --- rows kept in memory ------------------------------------------------------------------------------


class CountedRows:
    """An array that counts the rows read from it."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.shape, self.read = rows, rows.shape, 0

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        self.read += len(positions)
        return self.rows[positions]


def doubled(evidence: bool) -> Callable[[np.ndarray], Probabilities]:
    """A model that tells rows apart."""
    return lambda rows: Probabilities(rows[None] * 2, rows[:, 0] if evidence else None)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FEW", 3)
    monkeypatch.setattr(cache, "BLOCK", 8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.booleans(),
    st.integers(10, 200),
)
def test_predictions_are_those_of_the_rows_asked_for(
    seed: int, shares: list[float], evidence: bool, most: int
) -> None:
    """Whatever was asked before; in any order of the rows."""
    few, block = cache.FEW, cache.BLOCK
    cache.FEW, cache.BLOCK = 3, 8
    try:
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(120, 4)).astype(np.float32)
        kept = CandidateRows(rows, most=most)
        for share in shares:
            asked_for = np.flatnonzero(rng.random(120) < share)
            if share > 0.9:
                rng.shuffle(asked_for)
            found = kept.predict(asked_for, doubled(evidence))
            np.testing.assert_array_equal(found.values, rows[asked_for][None] * 2)
            if evidence:
                np.testing.assert_array_equal(found.evidence, rows[asked_for, 0])
    finally:
        cache.FEW, cache.BLOCK = few, block


@pytest.mark.usefixtures("small_blocks")
def test_only_rows_that_are_new_are_read() -> None:
    """From round to round the candidates change a little."""
    rows = CountedRows(np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32))
    kept = CandidateRows(rows)
    kept.predict(np.arange(60), doubled(False))
    assert rows.read == 60
    kept.predict(np.arange(5, 70), doubled(False))
    assert rows.read == 70
    assert sum(len(block) for block in kept._blocks) <= 72


# --- what SEALS misses --------------------------------------------------------------------------------


class FakePool(ArrayPool):
    """An array pool with what the audit asks of a project's pool besides."""

    project_id = 1
    head = SimpleNamespace(predict=lambda rows: Probabilities(_unsure_of_the_first(rows)))

    def __len__(self) -> int:
        return len(self.labelled)

    @property
    def tasks(self) -> SimpleNamespace:
        return SimpleNamespace(unanswered=lambda: ~self.labelled)

    @property
    def audit(self) -> SimpleNamespace:
        return SimpleNamespace(mask=lambda share: np.zeros(len(self), bool))


def _unsure_of_the_first(rows: np.ndarray) -> np.ndarray:
    sure = (1 + np.abs(rows[:, 0])) / 2
    return np.stack([sure, 1 - sure], axis=1)[None].astype(np.float32)


def audit_of(strategy: str) -> RecallAudit:
    return RecallAudit(ProjectConfig(selection=Selection(strategy=strategy), queue=Queue(size=10)))


def test_recall_is_that_of_a_full_scan() -> None:
    """A sample as large as the pool: the share of the 20 most uncertain rows that are near a label."""
    pool = FakePool(unit(300, seed=1), np.arange(300) < 15)
    found = audit_of("seals(margin, neighbors=12, explore=0.0)").look(pool, 1)["seals_recall"]  # type: ignore[arg-type]
    score = 1 - np.abs(pool.embeddings[:, 0])
    best = np.argsort(-np.where(pool.labelled, -1, score))[:20]
    assert found["value"] == np.isin(best, pool.near_labelled(12)).mean()
    assert 0 < found["low"] <= found["value"] <= found["high"] < 1
    assert (found["n"], found["sample"], found["round"], found["labelled"]) == (20, 285, 1, 15)


def test_recall_is_measured_now_and_then() -> None:
    """After ten rounds, or a fifth more labels; in between the figures repeat what was found."""
    pool, audit = FakePool(unit(300), np.arange(300) < 15), audit_of("seals(margin, neighbors=6)")
    rounds = [audit.look(pool, number)["seals_recall"]["round"] for number in range(1, EVERY + 2)]  # type: ignore[arg-type]
    assert rounds == [1] * EVERY + [EVERY + 1]
    assert audit.look(pool.label([20, 21]), 20)["seals_recall"]["round"] == EVERY + 1  # type: ignore[arg-type]
    assert audit.look(pool.label([20, 21, 22]), 20)["seals_recall"]["round"] == 20  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["margin", "seals(margin, from_rows=301)"])
def test_without_seals_there_is_no_recall(strategy: str) -> None:
    """Nor while the pool is too small for it, or too small to tell."""
    pool = FakePool(unit(300), np.arange(300) < 15)
    assert audit_of(strategy).look(pool, 1) == {}  # type: ignore[arg-type]
    assert audit_of("seals(margin)").look(FakePool(unit(40), np.arange(40) < 5), 1) == {}  # type: ignore[arg-type]


def test_status_says_what_is_let_in_and_what_is_missed() -> None:
    """In plain words; less where less is known."""
    recall = {"value": 0.62, "low": 0.56, "high": 0.675, "n": 200, "sample": 20_000, "round": 12}
    entry = {"seals_why": "on: …", "seals_rows": 160_000, "seals_lists": 1_600, "seals_labelled": 2_000}
    assert _seals({**entry, "seals_recall": recall}) == (
        "on: …; 160,000 neighbours are let in now, "
        "through 1,600 of the 2,000 labelled rows that stand for all; "
        "62% of the most uncertain tasks were among them (90 % interval 56% to 68%, "
        "from the top 200 of 20,000 random tasks in round 12)"
    )
    few = {**entry, "seals_lists": 2_000, "seals_recall": None}
    assert _seals(few) == "on: …; 160,000 neighbours are let in now"
    assert _seals({**entry, "seals_rows": None, "seals_recall": None}) == "on: …"


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_let_in_counts_the_best_that_are_admitted(seed: int, top: int) -> None:
    """Against sets."""
    rng = np.random.default_rng(seed)
    score, rows = rng.random(60).astype(np.float32), rng.permutation(200)[:60]
    admitted = np.flatnonzero(rng.random(200) < 0.4)
    best = sorted(zip(-score, rows, strict=True))[:top]
    assert let_in(score, rows, admitted, top) == len({row for _, row in best} & set(admitted))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 80))
def test_rows_are_drawn_from_the_mask_each_once(seed: int, share: float, size: int) -> None:
    """However few it holds."""
    rng = np.random.default_rng(seed)
    mask = rng.random(80) < share
    wanted = min(size, int(mask.sum()))
    rows = drawn(mask, wanted, rng)
    assert len(set(rows.tolist())) == len(rows) == wanted
    assert mask[rows].all()


def test_rows_are_drawn_evenly() -> None:
    """Each row of the mask as often as any other."""
    rng = np.random.default_rng(0)
    mask = np.arange(50) % 2 == 0
    counts = np.bincount(np.concatenate([drawn(mask, 5, rng) for _ in range(2000)]), minlength=50)[mask]
    assert counts.sum() == 10_000
    assert counts.min() > 320
    assert counts.max() < 480
