"""A weak but real detector of blood cells, for benchmarks that need one: blobs, judged by a random forest.

Round dark places of a photograph are proposed, and a forest that is fit on a few pictures says of each
whether it is a red cell, a white one, a platelet or nothing. It misses cells that lie on each other, and
takes smears for cells: errors of its own, not made up, with confidences that mean something.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from packs import CACHE, unpack
from PIL import Image
from scipy import ndimage

LABELS = ("RBC", "WBC", "Platelets")
NOTHING = len(LABELS)
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Boxes (n, 4) as left, top, right, bottom in pixels; their labels (n,), and confidences (n,)."""

    boxes: Doubles
    labels: NDArray[np.int64]
    sure: Doubles


@dataclass(frozen=True)
class Photograph:
    """One picture, what is on it, and its size in pixels."""

    path: Path
    truth: Cells
    size: tuple[int, int]


def photographs() -> list[Photograph]:
    """All pictures of the pack bccd; degenerate boxes are left out."""
    root = unpack("bccd") / "BCCD"
    found = []
    for file in sorted((root / "Annotations").glob("*.xml")):
        tree = ElementTree.parse(file).getroot()
        boxes, labels = [], []
        for item in tree.iter("object"):
            box = [float(item.findtext(f"bndbox/{side}", "0")) for side in ("xmin", "ymin", "xmax", "ymax")]
            if box[2] > box[0] and box[3] > box[1]:
                boxes.append(box)
                labels.append(LABELS.index(item.findtext("name", "")))
        path = root / "JPEGImages" / f"{file.stem}.jpg"
        with Image.open(path) as image:
            size = image.size
        cells = Cells(np.array(boxes).reshape(-1, 4), np.array(labels, np.int64), np.ones(len(boxes)))
        found.append(Photograph(path, cells, size))
    return found


class Detector:
    """Proposals and a forest; `fit` on a few photographs, then `detect`."""

    def __init__(self, threshold: float = 0.35) -> None:
        self._threshold = threshold
        self._model: Any = None

    def fit(self, pictures: Sequence[Photograph]) -> None:
        """Learn which proposals are cells."""
        from sklearn.ensemble import RandomForestClassifier

        rows, targets = [], []
        for picture in pictures:
            boxes, features = kept(picture.path)
            overlap = iou(boxes, picture.truth.boxes)
            best = overlap.argmax(axis=1)
            rows.append(features)
            targets.append(np.where(overlap.max(axis=1) >= 0.5, picture.truth.labels[best], NOTHING))
        self._model = RandomForestClassifier(200, min_samples_leaf=2, random_state=0)
        self._model.fit(np.concatenate(rows), np.concatenate(targets))

    def detect(self, path: Path) -> Cells:
        """Find cells: the surest first, and none that lies on a surer one of its kind."""
        boxes, features = kept(path)
        found = np.zeros((len(boxes), NOTHING + 1))
        found[:, self._model.classes_] = self._model.predict_proba(features)
        labels, sure = found[:, :NOTHING].argmax(axis=1), found[:, :NOTHING].max(axis=1)
        chosen: list[int] = []
        for place in np.argsort(-sure):
            if sure[place] < self._threshold:
                break
            beside = [other for other in chosen if labels[other] == labels[place]]
            if not beside or iou(boxes[[place]], boxes[beside]).max() < 0.4:
                chosen.append(int(place))
        return Cells(boxes[chosen], labels[chosen], sure[chosen])


def kept(path: Path) -> tuple[Doubles, Doubles]:
    """Give `proposals`, made on first use."""
    file = CACHE / "cells" / f"{path.stem}.npz"
    if not file.is_file():
        boxes, features = proposals(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.stem}.{os.getpid()}.npz")
        np.savez(unfinished, boxes=boxes, features=features)
        unfinished.replace(file)
    with np.load(file) as held:
        return held["boxes"], held["features"]


def proposals(path: Path) -> tuple[Doubles, Doubles]:
    """Boxes (n, 4) around round dark places, and what is seen in each (n, d)."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), np.float64)
    green = ndimage.gaussian_filter(pixels[..., 1], 1.5)
    purple = ndimage.gaussian_filter(pixels[..., 2] - pixels[..., 1], 1.5)
    light = np.percentile(green, 95)
    boxes: list[list[float]] = []
    rows: list[list[float]] = []
    for name, mask, least, widths in (
        ("red", ndimage.binary_fill_holes(green < light - 12), 16.0, (44.0, 53.0, 60.0)),
        ("red", ndimage.binary_fill_holes(green < light - 24), 16.0, (44.0, 53.0, 60.0)),
        ("platelet", purple > np.percentile(purple, 60) + 25, 3.0, (17.0, 22.0)),
        ("white", purple > np.percentile(purple, 60) + 35, 18.0, (75.0, 95.0, 115.0)),
    ):
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 2.0)
        peaks = (depth == ndimage.maximum_filter(depth, size=int(1.6 * least))) & (depth >= least)
        places, count = ndimage.label(peaks)
        for down, across in ndimage.center_of_mass(peaks, places, range(1, count + 1)):
            radius = float(depth[int(down), int(across)])
            if name == "platelet" and radius > 16:
                continue
            for wide in widths:
                box = _cut(across, down, wide, green.shape)
                boxes.append(box)
                rows.append(_seen(pixels, purple, mask, box, wide, radius))
    return np.array(boxes).reshape(-1, 4), np.array(rows).reshape(len(boxes), -1)


def _cut(across: float, down: float, wide: float, shape: tuple[int, ...]) -> list[float]:
    high, broad = shape
    return [max(0.0, across - wide), max(0.0, down - wide), min(broad, across + wide), min(high, down + wide)]


def _seen(
    pixels: Doubles, purple: Doubles, mask: Any, box: list[float], wide: float, radius: float
) -> list[float]:
    left, top, right, bottom = (int(side) for side in box)
    part, stain = pixels[top:bottom, left:right], purple[top:bottom, left:right]
    inside = mask[top:bottom, left:right]
    high, broad = inside.shape
    rim, middle = inside.copy(), inside[high // 4 : -(high // 4), broad // 4 : -(broad // 4)]
    rim[3:-3, 3:-3] = False
    edges = 2 * (high + broad) * 3
    return [
        *part.mean(axis=(0, 1)),
        *part.std(axis=(0, 1)),
        stain.mean(),
        stain.max(),
        inside.mean(),
        middle.mean() if middle.size else 0.0,
        rim.sum() / edges,
        np.log1p(radius),
        radius / wide,
        np.log(wide),
        np.log(wide) ** 2,
        float(left == 0 or top == 0),
        float(right >= pixels.shape[1] - 1 or bottom >= pixels.shape[0] - 1),
    ]


def iou(boxes: Doubles, others: Doubles) -> Doubles:
    """Overlap (n, m) of each two boxes, as a share of what they cover together; (n, 1) of zeros for none."""
    if len(others) == 0:
        return np.zeros((len(boxes), 1))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    found: Doubles = both / np.maximum(areas[0][:, None] + areas[1][None, :] - both, 1e-9)
    return found


def errors(found: Cells, truth: Cells) -> int:
    """Count what somebody must correct: boxes that are on no cell of their label, and cells without a box."""
    overlap = iou(found.boxes, truth.boxes)
    free, right = set(range(len(truth.boxes))), 0
    for place in np.argsort(-found.sure):
        fitting = [t for t in free if overlap[place, t] >= 0.5 and truth.labels[t] == found.labels[place]]
        if fitting:
            free.remove(max(fitting, key=lambda t: overlap[place, t]))
            right += 1
    return len(found.boxes) - right + len(free)
