"""Time greedy k-center beside one pass over the data and the plain running maximum.

python tests/benchmarks/k_center.py --rows 100000 --labelled 1000 --picks 100
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from strategies.k_center import greedy_k_center, nearest_center
from strategies.types import Floats, Positions

BLOCK = 2048


def data(kind: str, rows: int, width: int, rng: np.random.Generator) -> Floats:
    """Unit vectors: spread evenly (flat), or around 200 centres of unequal share (clustered)."""
    points = rng.standard_normal((rows, width), dtype=np.float32)
    if kind == "clustered":
        share = rng.dirichlet(np.full(200, 0.5))
        means = 2.0 * rng.standard_normal((200, width), dtype=np.float32)
        points += means[rng.choice(200, rows, p=share)]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def one_pass(points: Floats, centers: Floats) -> None:
    """The n x m matrix product, in blocks, and nothing else."""
    for start in range(0, len(points), BLOCK):
        _ = points[start : start + BLOCK] @ centers.T


def running_maximum(points: Floats, centers: Floats, k: int) -> Positions:
    """Ten lines of NumPy: one distance a row, lowered after each pick."""
    nearest = np.empty(len(points), np.float32)
    for start in range(0, len(points), BLOCK):
        nearest[start : start + BLOCK] = (points[start : start + BLOCK] @ centers.T).max(axis=1)
    picks = np.empty(k, np.int64)
    for step in range(k):
        picks[step] = nearest.argmin()
        np.maximum(nearest, points @ points[picks[step]], out=nearest)
    return picks


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Best of `repeats`, in seconds, and the last answer."""
    best, answer = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = call()
        best = min(best, time.perf_counter() - start)
    return best, answer


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--labelled", type=int, default=1_000)
    parser.add_argument("--picks", type=int, default=100)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    for kind in ("flat", "clustered"):
        rng = np.random.default_rng(0)
        points = data(kind, args.rows, args.width, rng)
        centers = points[rng.choice(args.rows, args.labelled, replace=False)]
        half = len(centers) - len(centers) // 10
        known = nearest_center(points, centers[:half])
        base, _ = timed(lambda p=points, c=centers: one_pass(p, c), args.repeats)
        plain, theirs = timed(lambda p=points, c=centers: running_maximum(p, c, args.picks), args.repeats)
        ours, (picks, _) = timed(lambda p=points, c=centers: greedy_k_center(p, c, args.picks), args.repeats)
        later, _ = timed(
            lambda p=points, c=centers[half:], n=known: greedy_k_center(p, c, args.picks, nearest=n),
            args.repeats,
        )
        update, _ = timed(
            lambda p=points, c=centers[half:], n=known: nearest_center(p, c, nearest=n), args.repeats
        )
        print(f"{kind}: {args.rows} x {args.width}, {args.labelled} labelled, {args.picks} picks")
        print(f"  one pass (n x m product)         {base:7.3f} s   1.00")
        for name, seconds in (
            ("running maximum", plain),
            ("greedy_k_center", ours),
            ("  a later round, nearest known", later),
            ("nearest_center, a tenth is new", update),
        ):
            print(f"  {name:32} {seconds:7.3f} s  {seconds / base:5.2f}")
        print(f"  picks as the running maximum's: {int((picks == theirs).sum())} of {args.picks}")


if __name__ == "__main__":
    main()
