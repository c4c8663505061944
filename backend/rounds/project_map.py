"""The map of the pool: a sample of its tasks in two dimensions, neighbours beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from backend.domain import Clock, is_over
from backend.labels import Form
from backend.labels.forms import groups
from backend.models import answers
from backend.pool import TaskPool
from backend.pool.audit import audit_order
from backend.store import Store
from backend.store.pages import PoolMap
from backend.task_text import columns, shown
from strategies.types import Floats, Mask, Positions

SAMPLE, LABELLED_SHOWN = 4000, 800
"""Tasks drawn at random; those of the front and the last rows that were labelled come on top."""
LANDMARKS, NEIGHBORS = 1000, 5
"""Tasks that are laid out together; any other is put amid the landmarks that it is nearest to."""
COMPONENTS, STEPS = 50, 500
GROWTH, EVERY = 1.05, timedelta(seconds=30)
TEXT_CHARACTERS = 90
DISTINCT_NUMBERS = 12

_APART = 0x4D4150  # so that the sample has nothing to do with the audit's

Points = NDArray[np.float64]


class MapMaker:
    """Draws the map after publishing, when nobody waits; tasks keep their places from map to map."""

    def __init__(
        self,
        store: Store,
        project_id: int,
        *,
        seed: int,
        now: Clock,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._project_id = store, project_id
        self._seed, self._now, self._pause = seed, now, pause

    def look(self, pool: TaskPool, number: int, *, layout: str) -> bool:
        """Draw the map of round `number` if it is time; returns whether it was drawn.

        layout: names what the embeddings are made by, such as the encoder's fingerprint: places are kept
                while it stays the same
        cost:   seconds the first time (t-SNE of 1,500 tasks); then predictions for some 5,000 tasks
        """
        labelled = int(np.count_nonzero(pool.labelled))
        if not self._is_due(labelled):
            return False
        front = self._front()
        ready = pool.tasks.live & (np.arange(len(pool)) < len(pool.embeddings))
        rows = sample(pool.tasks.ids, ready, pool.labelled, set(front), seed=self._seed)
        if len(rows) < 3:
            return False
        ids = pool.tasks.ids[rows].tolist()
        places = place(pool.embeddings[rows], ids, self._kept(layout), seed=self._seed)
        self._pause()
        texts = self._texts(ids)
        points = {
            "task_id": ids,
            "x": places[:, 0].round(3).tolist(),
            "y": places[:, 1].round(3).tolist(),
            "label": label_names(pool, rows),
            "uncertainty": uncertainty(pool, rows),
            "origin": [front.get(task) for task in ids],
            "text": [texts.get(task, "") for task in ids],
        }
        drawn = PoolMap(number, labelled, layout, self._now(), points)
        self._store.pages.set_map(self._project_id, drawn)
        return True

    def _is_due(self, labelled: int) -> bool:
        stands = self._store.pages.map_stands(self._project_id)
        if stands is None:
            return True
        before, drawn_at = stands
        grown = labelled < before or labelled >= max(GROWTH * before, before + 1)
        return grown and is_over(EVERY, drawn_at, now=self._now())

    def _front(self) -> dict[int, str]:
        current = self._store.queue.current(self._project_id)
        tasks = self._store.queue.front(self._project_id, current.version) if current else []
        return {task.task_id: task.origin.value for task in tasks}

    def _kept(self, layout: str) -> dict[int, tuple[float, float]]:
        """Where tasks were on the map before, if that was laid out alike."""
        drawn = self._store.pages.map(self._project_id)
        if drawn is None or drawn.layout != layout:
            return {}
        at = drawn.points
        return {
            int(task): (float(x), float(y))
            for task, x, y in zip(at["task_id"], at["x"], at["y"], strict=True)
        }

    def _texts(self, ids: list[int]) -> dict[int, str]:
        wanted = columns(self._store.projects.get(self._project_id).label_config)
        data = self._store.pages.data(self._project_id, ids)
        return {task: shown(each, wanted, most=TEXT_CHARACTERS) for task, each in data.items()}


def sample(
    task_ids: NDArray[np.int64], allowed: Mask, labelled: Mask, front: set[int], *, seed: int
) -> Positions:
    """Pick the rows (m,) to show, ascending: a random part of `allowed` (n,), the same one each time,
    the front, and the last rows that are `labelled` (n,)."""
    rows = np.flatnonzero(allowed)
    order = audit_order(task_ids[rows], seed=seed + _APART)
    drawn = rows if len(rows) <= SAMPLE else rows[np.argpartition(order, SAMPLE)[:SAMPLE]]
    last = np.flatnonzero(allowed & labelled)[-LABELLED_SHOWN:]
    queued = rows[np.isin(task_ids[rows], np.fromiter(front, np.int64, len(front)))]
    found: Positions = np.unique(np.concatenate([drawn, last, queued]))
    return found


def place(
    embeddings: Floats, ids: list[int], kept: Mapping[int, tuple[float, float]], *, seed: int
) -> Points:
    """Put m inputs on a map, (m, 2): those in `kept` where they were, the others amid what they are near to.

    embeddings: (m, d), unit length   ids: (m,), what `kept` knows them by
    The map is laid out anew when fewer than half of the inputs have a place on it.
    """
    known = np.array([id_ in kept for id_ in ids], np.bool_)
    if known.sum() * 2 < len(ids):
        landmarks = np.random.default_rng(seed).permutation(len(ids))[:LANDMARKS]
        known = np.zeros(len(ids), np.bool_)
        known[landmarks] = True
        at = lay_out(embeddings[known], seed=seed)
    else:
        at = np.array([kept[id_] for id_ in ids if id_ in kept])
    places = np.empty((len(ids), 2))
    places[known] = at
    others = np.flatnonzero(~known)
    if len(others):
        places[others] = amid(embeddings[others], embeddings[known], at)
    return places


def amid(points: Floats, landmarks: Floats, at: Points) -> Points:
    """Put `points` (k, d) at the median place (k, 2) of the landmarks (l, d), at (l, 2), nearest to each."""
    similarity = points @ landmarks.T
    count = min(NEIGHBORS, len(landmarks))
    near = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    found: Points = np.median(at[near], axis=1)
    return found


def lay_out(embeddings: Floats, *, seed: int) -> Points:
    """Lay m inputs out in two dimensions, (m, 2), so that neighbours stay neighbours.

    t-SNE of the first 50 principal components, begun from the first two; these alone where inputs are few.
    On 5,000 customer questions of 77 kinds, .73 of the ten nearest on the map are of the same kind, against
    .16 with two principal components.
    source: van der Maaten & Hinton 2008; the start, Kobak & Berens 2019
    """
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    components = centred @ axes[:, ::-1][:, :COMPONENTS]
    if components.shape[1] < 2:
        components = np.column_stack([components, np.zeros(len(components))])
    start: Points = components[:, :2] / max(float(components[:, 0].std()), 1e-12)
    if len(embeddings) < 4 * NEIGHBORS:
        return start
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    method = TSNE(
        init=(1e-4 * start).astype(np.float32),
        perplexity=perplexity,
        max_iter=STEPS,
        random_state=seed,
        n_jobs=1,
    )
    # beside other work, threads that wait for each other take twenty times as long
    with threadpool_limits(limits=1):
        found: Points = method.fit_transform(components.astype(np.float32)).astype(np.float64)
    return found


def label_names(pool: TaskPool, rows: Positions) -> list[str | None]:
    """Name each row's label, None where nobody answered: the class; the rarest tag or kind of span; the
    number, or the slice that it is in."""
    kind, labelled = pool.kind, pool.labelled[rows]
    names: list[str | None] = [None] * len(rows)
    if not labelled.any():
        return names
    targets, places = pool.targets[rows][labelled], np.flatnonzero(labelled)
    if kind.form is Form.REGIONS:
        said = ["labelled"] * len(places)
    elif kind.form is Form.NUMBER:
        said = _slices(targets.astype(np.float64))
    else:
        of = groups(kind.form, targets, len(kind.labels))
        said = [kind.labels[label] if label < len(kind.labels) else "none" for label in of.tolist()]
    for row, name in zip(places.tolist(), said, strict=True):
        names[row] = name
    return names


def uncertainty(pool: TaskPool, rows: Positions) -> list[float | None]:
    """How unsure the proxy is of each row, in [0, 1]; None before the first fit, and for spans, whose tokens
    would have to be encoded first."""
    if pool.head is None or pool.kind.form is Form.SPANS:
        return [None] * len(rows)
    scores = answers(pool.head, pool.features(rows)).scores
    return [round(1 - float(score), 4) for score in np.clip(scores, 0, 1)]


def _slices(numbers: Points) -> list[str]:
    if len(np.unique(numbers)) <= DISTINCT_NUMBERS:
        return [f"{number:g}" for number in numbers.tolist()]
    edges = np.unique(np.quantile(numbers, np.arange(0, 1.01, 0.2)))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    return [f"{edges[place]:g} to {edges[place + 1]:g}" for place in places.tolist()]
