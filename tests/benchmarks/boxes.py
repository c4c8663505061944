"""Boxes: are pictures on which a remote detector errs much labelled sooner than in random order?

    python tests/benchmarks/boxes.py [--seeds 5] [--labels 150] [--batch 15]

364 photographs of blood cells (pack bccd). For each seed a weak but real detector (`blood_cells.py`) is fit
on 20 of them and served as an ML backend over HTTP; the others are the pool. Each round asks it as nextlabel
does (32 pictures at first, 8 more a round, and the front), and the strategy takes the next batch. Counted is
what people would have to correct: boxes that are on no cell, and cells without a box (IoU 0.5; the pack's own
labels are the truth, and lack some cells). `lift` is how many times as many errors the first n pictures of
our order hold as n at random, `worst` the same for the quarter of pictures with the most errors.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blood_cells import LABELS, Cells, Detector, Photograph, errors, photographs
from packs import CACHE

from backend.encoders import make
from backend.labels import read as read_label_config
from backend.models.remote import RemoteProject, open_remote
from backend.models.remote.doubt import DOUBTS
from strategies.pool import ArrayPool
from strategies.registry import build
from strategies.types import Floats, Positions

sys.path.append(str(Path(__file__).parents[1] / "e2e"))
from small_ml_backend import SmallMlBackend, prediction

CONFIG = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="cells" toName="image">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + "</RectangleLabels></View>"
)
KNOWN = 20


@dataclass(frozen=True)
class Way:
    """How the pictures are chosen."""

    uncertainty: str
    calibrate: bool
    strategy: str


STRATEGIES = ("auto(cold_labels=0)", "margin", "uncertainty_k_center(margin)")
WAYS = [
    *(Way(uncertainty, False, strategy) for uncertainty in DOUBTS for strategy in STRATEGIES),
    *(Way("mean", True, strategy) for strategy in STRATEGIES),
]
MARKS = (50, 100, 150)


def embedded(pictures: list[Photograph]) -> Floats:
    """(n, d), made on first use."""
    encoder = make("image", {})
    file = CACHE / "encoded" / f"bccd-{encoder.fingerprint}.npy"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, encoder.encode([str(picture.path) for picture in pictures]))
    rows: Floats = np.load(file)
    return rows


def result(cells: Cells, picture: Photograph) -> dict[str, Any]:
    """Write a prediction as backends do."""
    wide, high = picture.size
    items = []
    for (left, top, right, bottom), label, sure in zip(cells.boxes, cells.labels, cells.sure, strict=True):
        value = {
            "x": 100 * left / wide,
            "y": 100 * top / high,
            "width": 100 * (right - left) / wide,
            "height": 100 * (bottom - top) / high,
            "rectanglelabels": [LABELS[label]],
        }
        item = {"from_name": "cells", "to_name": "image", "type": "rectanglelabels", "value": value}
        items.append({**item, "score": float(sure)})
    return prediction(*items)


def play(
    answers: list[dict[str, Any]],
    wrong: Positions,
    rows: Floats,
    way: Way,
    *,
    labels: int,
    batch: int,
    seed: int,
) -> tuple[Positions, float]:
    """Label round by round; gives the order, and what the embeddings explained of the doubts at last."""
    backend = SmallMlBackend(lambda task: answers[task["id"]])
    kind, rng = read_label_config(CONFIG), np.random.default_rng(seed)

    def tasks(wanted: Positions) -> list[dict[str, Any]]:
        return [{"id": int(row), "data": {"image": f"/data/upload/1/{row}.jpg"}} for row in wanted]

    with tempfile.TemporaryDirectory() as folder:
        options = {"url": backend.url, "uncertainty": way.uncertainty, "calibrate": way.calibrate}
        scorer = open_remote(options, kind, RemoteProject("1.1", CONFIG), Path(folder))
        labelled = np.zeros(len(rows), np.bool_)
        order: list[int] = []
        while len(order) < labels:
            free = np.flatnonzero(~labelled)
            corrected = {row: float(wrong[row]) for row in order}
            scorer.look(free, rows, tasks, rng, corrections=lambda given=corrected: given)
            pool = ArrayPool(rows, labelled, scorer.predict)
            front = build(way.strategy)(pool, free, batch, rng).positions
            scorer.answer(front, tasks)
            order += front.tolist()
            labelled[front] = True
        scorer.close()
    backend.close()
    return np.array(order), scorer.explained


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--labels", type=int, default=150)
    options.add_argument("--batch", type=int, default=15)
    given = options.parse_args()
    pictures = photographs()
    rows = embedded(pictures)
    lifts: dict[Way, list[list[float]]] = {}
    best: list[list[float]] = []
    for seed in range(given.seeds):
        order = np.random.default_rng(seed).permutation(len(pictures))
        detector = Detector()
        detector.fit([pictures[i] for i in order[:KNOWN]])
        pool = np.sort(order[KNOWN:])
        found = [detector.detect(pictures[i].path) for i in pool]
        wrong = np.array([errors(cells, pictures[i].truth) for cells, i in zip(found, pool, strict=True)])
        answers = [result(cells, pictures[i]) for cells, i in zip(found, pool, strict=True)]
        cells = sum(len(pictures[i].truth.boxes) for i in pool)
        print(f"seed {seed}: {wrong.sum()} errors on {len(pool)} pictures with {cells} cells", flush=True)
        worst = wrong >= np.quantile(wrong, 0.75)

        def marks(order: Positions, wrong: Any = wrong, worst: Any = worst) -> list[float]:
            held = [mark for mark in MARKS if mark <= given.labels]
            lift = [wrong[order[:n]].sum() / wrong.sum() * len(wrong) / n for n in held]
            return lift + [worst[order[:n]].sum() / worst.sum() * len(wrong) / n for n in held]

        best.append(marks(np.argsort(-wrong)))
        for way in WAYS:
            ours, explained = play(
                answers,
                wrong,
                rows[pool],
                way,
                labels=given.labels,
                batch=given.batch,
                seed=seed,
            )
            lifts.setdefault(way, []).append([*marks(ours), explained])
        show(lifts, best, [mark for mark in MARKS if mark <= given.labels])


def show(lifts: dict[Way, list[list[float]]], best: list[list[float]], held: list[int]) -> None:
    """Print means over the seeds, and the worst seed of the first mark."""
    heads = [f"lift {n}" for n in held] + [f"worst {n}" for n in held]
    print(
        f"{'uncertainty':>11} {'strategy':30} "
        + " ".join(f"{head:>9}" for head in heads)
        + "  least  foretold"
    )
    for way, seeds in lifts.items():
        means = [statistics.mean(column) for column in zip(*seeds, strict=True)]
        least = min(seed[0] for seed in seeds)
        words = " ".join(f"{value:9.2f}" for value in means[:-1])
        name = "calibrated" if way.calibrate else way.uncertainty
        print(f"{name:>11} {way.strategy:30} {words}  {least:5.2f}  {means[-1]:8.2f}")
    means = [statistics.mean(column) for column in zip(*best, strict=True)]
    print(f"{'':>11} {'most errors first (the ceiling)':31}" + " ".join(f"{value:9.2f}" for value in means))
    print(f"{'':>11} {'random order':30} " + " ".join(f"{1.0:9.2f}" for _ in means))


if __name__ == "__main__":
    main()
