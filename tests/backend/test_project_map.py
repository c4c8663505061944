"""The map of the pool and the reasons of the queue: what the worker writes for the pages."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.domain import FrontTask, Origin, Project, Task
from backend.labels.forms import Form, Span, gather
from backend.models import Decided
from backend.rounds.project_map import (
    LABELLED_SHOWN,
    SAMPLE,
    MapMaker,
    amid,
    label_names,
    lay_out,
    place,
    sample,
)
from backend.rounds.reasons import explain_front, front_facts, nearest
from strategies.types import Gaussian, Probabilities

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABELS = ("cat", "dog", "owl")


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Kind:
    form: Form = Form.CLASSES
    labels: tuple = LABELS


class FakeHead:
    """Sure of what lies along the first axis."""

    def predict(self, features):
        first = 1 / (1 + np.exp(-3 * features[:, :1]))
        rest = (1 - first) / 2
        return Probabilities(np.concatenate([first, rest, rest], axis=1)[None].astype(np.float32))

    def decide(self, features, prediction):
        return Decided(prediction.mean.argmax(axis=1), prediction.mean.max(axis=1))


@dataclass
class FakePool:
    """As much of a `TaskPool` as the map and the reasons look at."""

    embeddings: np.ndarray
    ids: np.ndarray
    labelled: np.ndarray
    targets: np.ndarray
    kind: Kind = field(default_factory=Kind)
    head: object = field(default_factory=FakeHead)
    project_id: int = 1

    def __post_init__(self):
        self.tasks = SimpleNamespace(ids=self.ids, live=np.ones(len(self.ids), np.bool_))

    def __len__(self):
        return len(self.ids)

    def features(self, rows):
        return self.embeddings[rows]

    def predict(self, rows):
        return self.head.predict(self.embeddings[rows])


def pool_of(n=120, labelled=40, seed=0, **more):
    rng = np.random.default_rng(seed)
    topic = rng.integers(3, size=n)
    embeddings = unit(np.eye(3, 8)[topic] * 4 + rng.normal(size=(n, 8)) * 0.4)
    known = np.zeros(n, np.bool_)
    known[rng.choice(n, labelled, replace=False)] = True
    targets = np.where(known, topic, -1)
    return FakePool(embeddings, np.arange(n) + 1000, known, targets, **more)


# --- the sample -------------------------------------------------------------------------------------


def test_a_small_pool_is_shown_whole_as_far_as_it_lives():
    pool = pool_of()
    pool.tasks.live[::7] = False
    assert (
        sample(pool.tasks.ids, pool.tasks.live, pool.labelled, set(), seed=1).tolist()
        == np.flatnonzero(pool.tasks.live).tolist()
    )


def test_of_a_large_pool_a_random_part_the_front_and_the_newest_labels_are_shown():
    n = 20_000
    ids, known = np.arange(n) + 5, np.zeros(n, np.bool_)
    known[:3000] = True
    front = set(range(15_000, 15_100))
    rows = sample(ids, np.ones(n, np.bool_), known, front, seed=1)
    assert len(rows) <= SAMPLE + LABELLED_SHOWN + len(front)
    assert front <= set(ids[rows].tolist())
    assert set(range(3000 - LABELLED_SHOWN, 3000)) <= set(rows.tolist())
    spread = np.histogram(rows, bins=10, range=(0, n))[0]
    assert spread.min() > 0.8 * SAMPLE / 10, "from all over"


def test_the_sample_is_the_same_each_time_and_does_not_depend_on_the_rows():
    n, rng = 9000, np.random.default_rng(0)
    ids, none = np.arange(n) + 5, np.zeros(n, np.bool_)
    rows = sample(ids, ~none, none, set(), seed=3)
    order = rng.permutation(n)
    permuted = sample(ids[order], ~none, none, set(), seed=3)
    assert set(ids[rows].tolist()) == set(ids[order][permuted].tolist())
    assert set(rows.tolist()) != set(sample(ids, ~none, none, set(), seed=4).tolist())


# --- the places -------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 40))
def test_amid_is_the_median_of_the_nearest(seed, points, landmarks):
    rng = np.random.default_rng(seed)
    a, b, at = (
        unit(rng.normal(size=(points, 6))),
        unit(rng.normal(size=(landmarks, 6))),
        rng.normal(size=(landmarks, 2)),
    )
    found = amid(a, b, at)
    for each, where in zip(a, found, strict=True):
        near = sorted(range(landmarks), key=lambda row: -float(b[row] @ each))[:5]
        assert where == pytest.approx(np.median(at[near], axis=0))


def test_tasks_keep_their_places_and_new_ones_come_amid_what_they_are_like():
    pool = pool_of()
    ids = pool.tasks.ids.tolist()
    before = place(pool.embeddings[:100], ids[:100], {}, seed=0)
    kept = {id_: tuple(at) for id_, at in zip(ids[:100], before, strict=True)}
    after = place(pool.embeddings, ids, kept, seed=0)
    assert after[:100] == pytest.approx(before)
    assert after[100:] == pytest.approx(amid(pool.embeddings[100:], pool.embeddings[:100], before))


def test_a_map_of_which_little_is_left_is_laid_out_anew():
    pool = pool_of()
    kept = dict.fromkeys(pool.tasks.ids[:20].tolist(), (0.0, 0.0))
    places = place(pool.embeddings, pool.tasks.ids.tolist(), kept, seed=0)
    assert len(np.unique(places.round(3), axis=0)) > 100


@pytest.mark.parametrize("n", [3, 7, 19, 20, 60, 400])
def test_any_number_of_tasks_can_be_laid_out_the_same_each_time(n):
    pool = pool_of(n, 1)
    found = lay_out(pool.embeddings, seed=0)
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()
    assert (found == lay_out(pool.embeddings, seed=0)).all()


def test_equal_tasks_are_no_trouble():
    assert np.isfinite(lay_out(np.tile(unit(np.ones((1, 8))), (50, 1)), seed=0)).all()


def test_neighbours_stay_neighbours():
    """On the map, the nearest of a task is of its own group, as in the embeddings."""
    pool = pool_of(300, 300)
    at = lay_out(pool.embeddings, seed=0)
    distance = ((at[:, None] - at[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (pool.targets[distance.argmin(axis=1)] == pool.targets).mean() > 0.95


# --- labels -----------------------------------------------------------------------------------------


def pool_with(form, targets, labels=LABELS):
    n = len(targets)
    known = np.array([target is not None for target in targets])
    given_ = [target if target is not None else _blank(form) for target in targets]
    pool = FakePool(np.zeros((n, 2), np.float32), np.arange(n), known, gather(form, given_, len(labels)))
    pool.kind = Kind(form, labels)
    return pool


def _blank(form):
    return {Form.CLASSES: -1, Form.TAGS: frozenset(), Form.NUMBER: np.nan}.get(form, ())


@pytest.mark.parametrize(
    ("form", "targets", "names"),
    [
        (Form.CLASSES, [0, None, 2], ["cat", None, "owl"]),
        (Form.TAGS, [frozenset({0, 1}), frozenset({0}), frozenset(), None], ["dog", "cat", "none", None]),
        (Form.NUMBER, [1.0, 4.5, None, 1.0], ["1", "4.5", None, "1"]),
        (Form.SPANS, [(Span(0, 2, 2),), (), None], ["owl", "none", None]),
        (Form.REGIONS, [({"x": 1},), None], ["labelled", None]),
    ],
)
def test_a_label_of_any_form_has_a_name(form, targets, names):
    pool = pool_with(form, targets)
    assert label_names(pool, np.arange(len(targets))) == names


def test_many_numbers_are_named_by_slices():
    pool = pool_with(Form.NUMBER, [float(number) for number in range(100)])
    names = label_names(pool, np.arange(100))
    assert len(set(names)) == 5
    assert names[0] == "0 to 19.8"
    assert all(float(name.split(" to ")[0]) <= number for number, name in enumerate(names))


# --- the map in the store ---------------------------------------------------------------------------


@pytest.fixture
def ready(store):
    """A store that knows the pool's tasks, and serves three of them."""
    store.projects.connect(
        Project(1, "p", '<View><Text name="t" value="$text"/></View>', "", "", True, 1, 0, 0), {}, now=NOW
    )
    tasks = [Task(id_, {"text": f"text {id_}"}, NOW) for id_ in range(1000, 1120)]
    store.tasks.record(1, tasks, asked_at=NOW, now=NOW)
    lease = store.leases.take(1, "worker", now=NOW, seconds=60)
    origins = (Origin.CHOSEN, Origin.AUDIT, Origin.EXPLORATION)
    front = [FrontTask(1100 + n, n, n / 3, origin, 0.5, "why") for n, origin in enumerate(origins)]
    store.queue.begin(lease, "nextlabel-1.1", front, number=1, attempt=1, now=NOW)
    store.queue.switch(1, "nextlabel-1.1", now=NOW)
    return store


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


def test_the_map_is_drawn_kept_and_drawn_again_when_labels_have_grown(ready):
    clock, pool, pauses = Clock(), pool_of(), []
    maker = MapMaker(ready, 1, seed=0, now=clock, pause=lambda: pauses.append(1))
    assert maker.look(pool, 1, layout="a")
    first = ready.pages.map(1)
    assert (first.round, first.labelled, len(first.points["x"])) == (1, 40, 120)
    assert {len(column) for column in first.points.values()} == {120}
    assert first.points["text"][0] == "text 1000"
    assert first.points["origin"][100:103] == ["chosen", "audit", "exploration"]
    assert pauses
    clock.now += timedelta(hours=1)
    assert not maker.look(pool, 2, layout="a"), "no label came"
    pool.labelled = pool.labelled | (np.arange(120) < 20)
    pool.targets = np.where(pool.labelled & (pool.targets < 0), 1, pool.targets)
    clock.now = NOW + timedelta(seconds=10)
    assert not maker.look(pool, 2, layout="a"), "it was drawn a moment ago"
    clock.now += timedelta(minutes=1)
    assert maker.look(pool, 3, layout="a")
    second = ready.pages.map(1)
    assert second.points["x"] == first.points["x"], "tasks keep their places"
    assert second.points["label"] != first.points["label"]


def test_places_of_another_encoder_mean_nothing(ready):
    clock, pool = Clock(), pool_of()
    maker = MapMaker(ready, 1, seed=0, now=clock)
    maker.look(pool, 1, layout="a")
    before = ready.pages.map(1).points["x"]
    other = pool_of(seed=5)
    other.labelled[:] = True
    other.targets = np.zeros(120, np.int64)
    clock.now += timedelta(minutes=1)
    assert maker.look(other, 2, layout="b")
    assert ready.pages.map(1).points["x"] != before


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_pool_of_almost_nothing_has_no_map(ready, n):
    pool = FakePool(unit(np.ones((n, 8))), np.arange(n), np.zeros(n, np.bool_), np.full(n, -1))
    assert not MapMaker(ready, 1, seed=0, now=Clock()).look(pool, 1, layout="a")
    assert ready.pages.map(1) is None


def test_rows_that_are_not_encoded_yet_are_left_out_and_no_model_is_no_uncertainty(ready):
    pool = pool_of()
    pool.embeddings, pool.head = pool.embeddings[:50], None
    assert MapMaker(ready, 1, seed=0, now=Clock()).look(pool, 1, layout="a")
    points = ready.pages.map(1).points
    assert max(points["task_id"]) == 1049
    assert set(points["uncertainty"]) == {None}


# --- reasons ----------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 40))
def test_the_nearest_labelled_task_is_that_of_a_full_search(seed, points, known):
    rng = np.random.default_rng(seed)
    pool = pool_of(60, 10, seed)
    rows = np.sort(rng.choice(60, known, replace=False))
    asked = unit(rng.normal(size=(points, 8)))
    found, similarity = nearest(asked, pool, rows)
    for each, row, value in zip(asked, found, similarity, strict=True):
        every = [float(pool.embeddings[other] @ each) for other in rows]
        assert row in rows
        assert value == pytest.approx(max(every), abs=1e-5)


def test_facts_say_what_a_task_is_like_and_what_the_model_makes_of_it(ready):
    pool = pool_of()
    explain_front(ready, pool, "nextlabel-1.1", seals=True, seed=0)
    facts = ready.pages.facts(1, "nextlabel-1.1")
    assert facts.keys() == {"1100", "1101", "1102"}
    for name, each in facts.items():
        row = int(name) - 1000
        near = each["nearest"]["task_id"] - 1000
        assert pool.labelled[near]
        assert each["nearest"]["label"] == LABELS[pool.targets[near]]
        assert each["likeliest"][0]["probability"] == pytest.approx(1 - each["uncertainty"], abs=1e-3)
        others = [1 - float(pool.predict(np.array([other])).mean.max()) for other in range(120)]
        twin = np.mean([round(other, 4) < round(others[row], 4) for other in others])
        assert each["more_uncertain_than"] == pytest.approx(twin, abs=0.02)
    assert facts["1100"]["nearest"]["admitted"] is True, "SEALS chose it"
    assert facts["1101"]["nearest"]["admitted"] is False, "nobody chose what measures"


def test_before_the_first_label_nothing_is_said(ready):
    pool = pool_of(labelled=0)
    pool.head = None
    front = ready.queue.front(1, "nextlabel-1.1")
    facts = front_facts(pool, front, seals=False, seed=0)
    assert facts == {str(1100 + n): {"likeliest": []} for n in range(3)}


def test_numbers_have_no_likeliest_label(ready):
    pool = pool_with(Form.NUMBER, [float(n) for n in range(20)], labels=())

    class Head:
        def predict(self, features):
            return Gaussian(np.zeros(len(features), np.float32), np.ones(len(features), np.float32))

        def decide(self, features, prediction):
            return Decided(prediction.mean, np.full(len(features), 0.5, np.float32))

    pool.head = Head()
    facts = front_facts(pool, [FrontTask(3, 0, 0.0, Origin.CHOSEN, 0.5, "x")], seals=False, seed=0)
    assert facts["3"]["likeliest"] == []
    assert facts["3"]["nearest"]["label"] is not None


def test_a_front_of_tasks_that_are_gone_has_no_facts():
    assert front_facts(pool_of(), [FrontTask(7, 0, 0.0, Origin.CHOSEN, 0.5, "x")], seals=False, seed=0) == {}
