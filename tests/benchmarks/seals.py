"""SEALS at ten million rows, beside the full scan; with --real, its accuracy beside the full scan's.

python tests/benchmarks/seals.py --rows 1000000 10000000
python tests/benchmarks/seals.py --real
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import mixture
import numpy as np

from backend.models import make as make_head
from backend.pool.cache import CandidateRows
from backend.pool.nearness import Nearness
from strategies.k_center import greedy_k_center, nearest_center
from strategies.registry import build
from strategies.types import Floats, Mask, Positions, Probabilities
from strategies.uncertainty import margin

FOLDER = Path.home() / ".cache" / "nextlabel" / "bench"
WIDTH = 384
CLASSES = 10
BLOCK = 16_384


class HalfRows:
    """Float16 rows on disk as float32."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.shape = rows.shape

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: Any) -> Floats:
        found: Floats = self._rows[positions].astype(np.float32)
        return found


class DiskPool:
    """The parts of a project's pool that a strategy sees, without its store; tells what each took."""

    def __init__(self, rows: np.ndarray, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "near-100.npz").unlink(missing_ok=True)  # the index is kept, the lists are of this run
        self.embeddings = HalfRows(rows)
        self.labelled: Mask = np.zeros(len(rows), np.bool_)
        self.target = np.full(len(rows), -1, np.int8)
        self._live: Mask = np.ones(len(rows), np.bool_)
        self.head = make_head("linear", {}, classes=CLASSES)
        self._cache = CandidateRows(self.embeddings)
        self.nearness = Nearness(folder, self.embeddings, 100, progress=self._told)  # type: ignore[arg-type]
        self.took: dict[str, float] = {}
        self.ranked = 0

    def label(self, rows: Positions, classes: np.ndarray) -> None:
        self.labelled[rows], self.target[rows] = True, classes[rows]

    def fit(self) -> None:
        rows = np.flatnonzero(self.labelled)
        self.head.fit(self.embeddings[rows], self.target[rows].astype(np.int64), seed=0)

    def predict(self, positions: Positions) -> Probabilities:
        begun = time.perf_counter()
        found = self._cache.predict(positions, self.predict_vectors)
        self.ranked = len(positions)
        self.took["predict"] = self.took.get("predict", 0.0) + time.perf_counter() - begun
        return found

    def predict_vectors(self, vectors: Floats) -> Probabilities:
        return self.head.predict(vectors)  # type: ignore[return-value]

    def near_labelled(self, neighbors: int, at_most: int | None = None) -> Positions:
        begun = time.perf_counter()
        assert neighbors == self.nearness.neighbors
        found = self.nearness.rows(
            self.labelled, self._live, at_most=at_most, groups=lambda rows: self.target[rows].astype(np.int64)
        )
        self.took["neighbours"] = time.perf_counter() - begun
        return found

    def _told(self, step: str, done: int, total: int | None) -> None:
        print(f"\r  {step}: {done:,} of {total:,}", end="\n" if done == total else "", flush=True)


def memory() -> str:
    """Peak memory, and how much of today's belongs to the process alone, not to files it maps."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kept = {line.split(":")[0]: int(line.split()[1]) / 2**20 for line in lines if line.startswith("Rss")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"peak {peak:.2f} GiB (now {kept['RssAnon']:.2f} of its own and {kept['RssFile']:.2f} of files)"


def rounds(pool: DiskPool, classes: np.ndarray, args: argparse.Namespace) -> tuple[float, int]:
    """Label the batch, fit, choose the next, again: median seconds of choosing, and the rows ranked."""
    strategy = build(args.strategy)
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(classes), args.labelled, replace=False)
    seconds, asked = [], 0
    for number in range(args.rounds + 1):
        pool.label(chosen, classes)
        begun = time.perf_counter()
        pool.fit()
        fit = time.perf_counter() - begun
        allowed = ~pool.labelled
        pool.took.clear()
        begun = time.perf_counter()
        chosen = strategy(pool, allowed, args.batch, np.random.default_rng(0)).positions
        seconds.append(time.perf_counter() - begun)
        _, lists, labelled = pool.nearness.counts()
        asked = pool.ranked
        parts = ", ".join(f"{name} {1000 * value:.0f}" for name, value in pool.took.items())
        print(
            f"  round {number}{' (cold)' if number == 0 else ''}: {1000 * seconds[-1]:.0f} ms ({parts}); "
            f"{labelled:,} labelled, {lists:,} lists, {asked:,} rows ranked; fit {1000 * fit:.0f} ms"
        )
    return float(np.median(seconds[1:])), asked


def scan(pool: DiskPool) -> tuple[float, Floats]:
    """Margin of every row: seconds, and the scores."""
    begun = time.perf_counter()
    score = np.empty(len(pool.embeddings), np.float32)
    for start in range(0, len(score), BLOCK):
        stop = min(start + BLOCK, len(score))
        score[start:stop] = margin(pool.predict_vectors(pool.embeddings[slice(start, stop)]))
    score[pool.labelled] = -1
    np.argpartition(-score, 100)
    return time.perf_counter() - begun, score


def scan_k_center(pool: DiskPool, score: Floats, k: int, part: int) -> float:
    """Seconds of weighted greedy k-center over everything: the first pass on `part` rows, times n / part.

    The picks themselves are left out: after the pass they are lazy, and cost little beside it.
    """
    centers = pool.embeddings[np.flatnonzero(pool.labelled)]
    nearest = np.empty(part, np.float32)
    begun = time.perf_counter()
    for start in range(0, part, BLOCK):
        stop = min(start + BLOCK, part)
        nearest[start:stop] = nearest_center(pool.embeddings[slice(start, stop)], centers)
    took = time.perf_counter() - begun
    best = np.argsort(-nearest * np.maximum(score[:part], 0))[: 50 * k]
    greedy_k_center(
        pool.embeddings[best], centers[:0], k, weights=np.maximum(score[best], 0), nearest=nearest[best]
    )
    return took * len(score) / part


def encoding_rate(texts: int = 512) -> float:
    """Short texts a second through the packaged MiniLM, which a fine-tuned target would be like."""
    import packs

    from backend.encoders import make

    encoder = make("sentence", {})
    given = [text for text, _ in packs.banking77()[0][:texts]]
    encoder.encode(given[:64])
    begun = time.perf_counter()
    encoder.encode(given)
    return texts / (time.perf_counter() - begun)


def at_size(n: int, args: argparse.Namespace) -> float:
    """Run and print one size; give the median seconds of a round."""
    print(f"{n:,} x {WIDTH}, {args.labelled:,} labelled, {args.batch} a round, {CLASSES} classes")
    rows, kinds = mixture.write(mixture.real_texts, n, FOLDER)
    classes = np.asarray(kinds)
    pool = DiskPool(rows, FOLDER / f"seals-{n}")
    took, asked = rounds(pool, classes, args)
    print(f"  SEALS: median {1000 * took:.0f} ms a round, {asked / n:.2%} of the pool ranked; {memory()}")
    if not args.scan:
        return took
    plain, score = scan(pool)
    part = min(n, args.part)
    whole = plain + scan_k_center(pool, score, args.batch, part)
    print(f"  full scan, margin                      {plain:9.1f} s   {plain / took:7.0f} x")
    print(
        f"  full scan, margin with k-center        {whole:9.1f} s   {whole / took:7.0f} x"
        f"   (the pass over {part:,} rows, times {n / part:.0f})"
    )
    print(f"  memory with the scans: {memory()}")
    return took


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--labelled", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strategy", default="seals(uncertainty_k_center(margin))")
    parser.add_argument("--part", type=int, default=500_000, help="rows of the k-center pass")
    parser.add_argument("--no-scan", dest="scan", action="store_false")
    parser.add_argument("--real", action="store_true", help="accuracy on real sets instead")
    args = parser.parse_args()
    if args.real:
        import seals_real

        seals_real.main([])
        return
    took = [at_size(n, args) for n in args.rows]
    for n, seconds in zip(args.rows[1:], took[1:], strict=True):
        print(f"{args.rows[0]:,} -> {n:,} rows: {seconds / took[0]:.2f} x the time of a round")
    rate = encoding_rate()  # last, so that its memory is not counted with theirs
    print(f"had a target scored everything (extrapolated: {rate:,.0f} short texts a second through MiniLM):")
    for n, seconds in zip(args.rows, took, strict=True):
        print(f"  {n:,} rows: {n / rate:,.0f} s, {n / rate / seconds:,.0f} x")


if __name__ == "__main__":
    main()
