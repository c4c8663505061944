"""What the demo measures with: embeddings and targets of the tasks, the held-out tasks, and random orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from backend.config import ProjectConfig
from backend.demo.material import Material
from backend.demo.play import Labelled
from backend.demo.stage import Stage, Twin, store_home
from backend.domain import Progress
from backend.encoders import Encoder
from backend.labels import read as read_label_config
from backend.models import make as make_head
from backend.pool import TaskPool
from backend.simulate.curves import Needed, Point, Scorer, grid, labels_needed, random_continuation
from backend.simulate.examples import Example
from strategies.types import Floats, Positions

STEP = 10
"""Labels between two points of a curve."""
ORDERS = 7
"""Random orders that are drawn afterwards."""
CONTINUED = 3
"""Ways in which the order that was played is carried on."""
FURTHEST = 10
"""How far random orders are followed, in times the labels played."""
ENCODED_AT_ONCE = 128


@dataclass(frozen=True)
class Measure:
    """The tasks as the proxy sees them, in the material's order, and what scores it.

    embeddings: (n, d)   targets: (n,)
    """

    embeddings: Floats
    targets: Positions
    score: Scorer

    def point(self, rows: Positions) -> Point | None:
        """Score what the labels of `rows` (m,) teach."""
        return self.score(self.embeddings[rows], self.targets[rows])

    def learned(self, twin: Twin, answers: Sequence[Labelled]) -> Point | None:
        """Score what `answers` in one of the projects taught."""
        return self.point(rows_of(twin, answers))


def rows_of(twin: Twin, answers: Sequence[Labelled]) -> Positions:
    """Find the answered tasks (m,) in the material."""
    place = {task: row for row, task in enumerate(twin.tasks)}
    return np.array([place[answer.task_id] for answer in answers], np.int64)


def make_scorer(material: Material, engine: ProjectConfig, encoder: Encoder, progress: Progress) -> Scorer:
    """Encode the held-out tasks, once."""
    texts = [example.text for example in material.held_out]
    parts = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        progress("encode held-out tasks", start, len(texts))
        parts.append(encoder.encode(texts[start : start + ENCODED_AT_ONCE]))
    progress("encode held-out tasks", len(texts), len(texts))
    classes = len(material.labels)
    new_head = partial(make_head, engine.proxy.name, engine.proxy.options, classes=classes)
    return Scorer(new_head, np.concatenate(parts), targets_of(material, material.held_out), classes)


def make_measure(
    stage: Stage, material: Material, engine: ProjectConfig, encoder: Encoder, scorer: Scorer
) -> Measure:
    """Take the tasks' embeddings as the worker has encoded them."""
    known = stage.store.projects.get(stage.connected.id)
    kind = read_label_config(known.label_config, primary=engine.labels.control)
    pool = TaskPool(stage.store, stage.connected.id, store_home(stage.folder), kind, encoder)
    pool.refresh()
    row = {int(task): place for place, task in enumerate(pool.task_ids)}
    embeddings = pool.embeddings[[row[task] for task in stage.connected.tasks]]
    return Measure(embeddings, targets_of(material, material.tasks), scorer)


def targets_of(material: Material, examples: Sequence[Example]) -> Positions:
    """Turn the true labels of `examples` into classes (n,)."""
    place = {label: target for target, label in enumerate(material.labels)}
    return np.array([place[example.label] for example in examples], np.int64)


def random_orders(
    measure: Measure, goal: float, labels: int, progress: Progress
) -> tuple[list[list[Point]], Needed]:
    """Follow random orders until all have reached the accuracy `goal`, or `FURTHEST` times `labels`."""
    orders = [
        random_continuation(np.empty(0, np.int64), len(measure.targets), np.random.default_rng(seed))
        for seed in range(ORDERS)
    ]
    curves, limit = _follow(measure, orders, 0, goal, labels, progress, "draw random orders")
    return curves, Needed(goal, tuple(labels_needed(curve, goal) for curve in curves), limit)


def carried_on(
    measure: Measure, begun: Positions, curve: Sequence[Point], goal: float, labels: int, progress: Progress
) -> Needed:
    """Carry the order that was played on at random, where its own `curve` has not reached `goal`."""
    orders = [
        random_continuation(begun, len(measure.targets), np.random.default_rng(seed))
        for seed in range(CONTINUED)
    ]
    rest, limit = _follow(measure, orders, len(begun), goal, labels, progress, "carry the played order on")
    return Needed(goal, tuple(labels_needed([*curve, *more], goal) for more in rest), limit)


def _follow(
    measure: Measure,
    orders: Sequence[Positions],
    start: int,
    goal: float,
    labels: int,
    progress: Progress,
    step: str,
) -> tuple[list[list[Point]], int]:
    """Measure all orders side by side until each has reached the goal; how far that was."""
    furthest = min(FURTHEST * labels, len(measure.targets))
    found: list[list[Point]] = [[] for _ in orders]
    size = start
    for size in grid(start, furthest, step=STEP):
        progress(step, size, None)
        points = [measure.point(order[:size]) for order in orders]
        if None in points:
            continue
        for curve, point in zip(found, points, strict=True):
            curve += [point] if point is not None else []
        if size >= labels and all(labels_needed(curve, goal) is not None for curve in found):
            break
    return found, size
