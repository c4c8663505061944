"""Millions of rows with the structure of real embeddings: a mixture around real texts, on disk as float16."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from strategies.types import Floats, Positions

BLOCK = 100_000
SHAPES = 16
CLASSES = 10
POWER = 1.0  # cluster sizes fall like 1 / (rank + 10): a few percent of the pool to one in a million
NEAREST = 6


class Mixture:
    """Clusters centred on real rows; each spreads as real neighbours there differ from each other.

    A row is its centre plus a normal deviate with the covariance of the differences between real rows and
    their nearest neighbours, estimated in each of `SHAPES` regions, times a spread of the cluster's own; then
    unit length. Its class is the region of its centre among `CLASSES`. Any block is the same in any size.
    """

    def __init__(self, real: Floats, *, seed: int) -> None:
        import faiss

        self.seed = seed
        rng = np.random.default_rng(seed)
        width = real.shape[1]
        index = faiss.IndexFlatIP(width)
        index.add(real)
        _, near = index.search(real, NEAREST)
        distinct = np.flatnonzero((real * real[near[:, 1]]).sum(axis=1) < 0.999)
        self.centres = real[distinct]
        shape_of = _regions(self.centres, SHAPES, seed)
        self.classes = _regions(self.centres, CLASSES, seed + 1)
        differences = real[distinct][:, None] - real[near[distinct, 1:]]
        self.roots = [_root(differences[shape_of == shape].reshape(-1, width)) for shape in range(SHAPES)]
        self.shape_of = shape_of
        share = 1 / (np.arange(len(distinct)) + 10) ** POWER
        self.share = (share / share.sum())[rng.permutation(len(distinct))]
        self.spread = np.exp(0.25 * rng.standard_normal(len(distinct))).astype(np.float32)

    def block(self, number: int) -> tuple[Floats, Positions]:
        """Draw rows (BLOCK, d) and their classes (BLOCK,)."""
        rng = np.random.default_rng([self.seed, number])
        home = rng.choice(len(self.share), BLOCK, p=self.share)
        rows = rng.standard_normal((BLOCK, self.centres.shape[1]), dtype=np.float32)
        for shape, root in enumerate(self.roots):
            mine = np.flatnonzero(self.shape_of[home] == shape)
            rows[mine] = rows[mine] @ root
        rows *= self.spread[home][:, None]
        rows += self.centres[home]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows, self.classes[home]


def _regions(rows: Floats, count: int, seed: int) -> Positions:
    import faiss

    means = faiss.Kmeans(rows.shape[1], count, seed=seed, niter=20, spherical=True)
    means.train(rows)
    nearest: Positions = means.index.search(rows, 1)[1][:, 0]
    return nearest


def _root(differences: Floats) -> Floats:
    """A matrix whose normal deviates have half the covariance of `differences`: each end has its share."""
    values, axes = np.linalg.eigh(differences.T @ differences / (2 * len(differences)))
    root: Floats = (np.sqrt(np.maximum(values, 0))[:, None] * axes.T).astype(np.float32)
    return root


def real_texts() -> Floats:
    """Embed about 40,000 short texts of four data sets: (n, 384); kept once made."""
    import packs

    from backend.encoders import make

    kept = packs.CACHE / "bench" / "real.npy"
    if not kept.is_file():
        root = packs.unpack("goemotions") / "data" / "original"
        lines = (root / "train.tsv").read_text(encoding="utf-8").splitlines()
        texts = [line.split("\t")[0] for line in lines if "," not in line.split("\t")[1]][:12_000]
        sets = [packs.encoded(name).pool for name in ("banking77", "sms_spam", "snips")]
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.concatenate([*sets, make("sentence", {}).encode(texts)]))
    found: Floats = np.load(kept)
    return found


def write(
    real: Callable[[], Floats], rows: int, folder: Path, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Give the first `rows` rows (n, d) float16 and classes (n,) from `folder`, drawing what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    width = 384
    data, classes = folder / f"mixture-{seed}.f16", folder / f"mixture-{seed}.classes"
    for path in (data, classes):
        path.touch()
    done = classes.stat().st_size // BLOCK
    os.truncate(data, done * BLOCK * width * 2)
    os.truncate(classes, done * BLOCK)
    if done * BLOCK < rows:
        mixture = Mixture(real(), seed=seed)
        with data.open("ab") as stream, classes.open("ab") as other:
            for number in range(done, -(-rows // BLOCK)):
                block, kinds = mixture.block(number)
                stream.write(block.astype(np.float16).tobytes())
                stream.flush()
                other.write(kinds.astype(np.int8).tobytes())
                other.flush()
                print(f"\r  drawing rows: {(number + 1) * BLOCK:,} of {rows:,}", end="", flush=True)
        print()
    return (
        np.memmap(data, np.float16, "r", shape=(rows, width)),
        np.memmap(classes, np.int8, "r", shape=(rows,)),
    )
