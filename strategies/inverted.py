"""Inverted files for many rows: the lists' centroids, and the codes that stand for the rows (Faiss)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from strategies import checks
from strategies.types import Floats, Positions, Rows

ONE_LEVEL = 2048  # lists that plain k-means still finds quickly
TRAINING = 64  # rows for each list
SAMPLE = 2**19  # training rows at most: 0.8 GB at 384 numbers a row
GRAPH = 32  # neighbours of a centroid in the coarse quantiser's graph
ADDING = 24  # centroids kept in view while the graph is searched; as many as are probed, where that is more
ITERATIONS = 10
PIECES = 96  # of a row, one byte each, in product codes


def lists_for(n: int) -> int:
    """Give the power of two nearest 4 sqrt(n), as Faiss' guide advises from a million rows on."""
    return int(2 ** round(np.log2(4 * np.sqrt(n))))


def train(rows: Rows, *, seed: int, product: bool) -> Any:
    """Train an empty inverted file on a sample of `rows` (n, d).

    About 4 sqrt(n) lists, found through an HNSW graph of their centroids. Codes of the residuals: 8 bits a
    number, or with `product` one byte for each of 96 pieces.
    Deterministic by `seed`. Memory: the sample, at most half a million rows.
    """
    import faiss

    n, width = rows.shape
    lists = lists_for(n)
    drawn = np.random.default_rng(seed).choice(n, min(n, TRAINING * lists, SAMPLE), replace=False)
    drawn.sort()
    sample = checks.finite_rows("rows", rows[drawn])
    coarse = faiss.IndexHNSWFlat(width, GRAPH, faiss.METRIC_INNER_PRODUCT)
    with one_thread():  # several would link the graph in an order of their own each time
        coarse.add(centroids(sample, lists, seed))
    coarse.hnsw.efSearch = ADDING
    index: Any
    if product:
        pieces = max(piece for piece in range(1, PIECES + 1) if width % piece == 0)
        index = faiss.IndexIVFPQ(coarse, width, lists, pieces, 8, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed = seed & 0x7FFFFFFF
    else:
        eight = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexIVFScalarQuantizer(coarse, width, lists, eight, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.train(sample)
    return index


def probes(lists: int) -> int:
    """How many lists a search looks at: recall at 100 of about 0.9 (tests/benchmarks/neighbors.py)."""
    return min(lists, max(16, lists // 1024))


def centroids(sample: Floats, lists: int, seed: int) -> Floats:
    """Find `lists` centroids (lists, d) of `sample` (m, d) by k-means, in two levels where there are many.

    Two levels: sqrt(lists) coarse clusters, each split in proportion to its rows: a hundredth of the work.
    source: Faiss' two_level_clustering
    """
    if lists <= ONE_LEVEL:
        return _k_means(sample, lists, seed)
    coarse = _k_means(sample, int(np.sqrt(lists)), seed)
    home = _nearest(sample, coarse)
    order = np.argsort(home, kind="stable")
    ends = np.cumsum(np.bincount(home, minlength=len(coarse)))
    shares = np.diff(np.round(ends / len(sample) * lists).astype(np.int64), prepend=0)
    parts = [
        _k_means(sample[order[end - size : end]], int(share), seed)
        for end, size, share in zip(ends, np.diff(ends, prepend=0), shares, strict=True)
        if share
    ]
    found: Floats = np.concatenate(parts)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Let Faiss work on one thread meanwhile."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _k_means(rows: Floats, count: int, seed: int) -> Floats:
    import faiss

    if count >= len(rows):
        spare = np.resize(np.arange(len(rows)), count)
        return rows[spare]
    means = faiss.Kmeans(
        rows.shape[1],
        count,
        niter=ITERATIONS,
        seed=seed & 0x7FFFFFFF,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    means.train(rows)
    found: Floats = np.asarray(means.centroids).reshape(count, rows.shape[1])
    return found


def _nearest(rows: Floats, centers: Floats) -> Positions:
    import faiss

    index = faiss.IndexFlatL2(centers.shape[1])
    index.add(centers)
    nearest: Positions = index.search(rows, 1)[1][:, 0]
    return nearest
