"""Which neighbour index at which size: processor seconds to build and to search, bytes, recall at 100.

python tests/benchmarks/neighbors.py --rows 50000 200000 1000000
One thread and processor time, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import mixture
import numpy as np

from strategies import FaissIndex, inverted
from strategies.neighbors import KINDS, kind_for
from strategies.types import Floats, Positions

FOLDER = Path.home() / ".cache" / "nextlabel" / "bench"
ASKED = 100
NEIGHBORS = 100


def exact(rows: np.ndarray, asked: Floats) -> Positions:
    """The nearest (m, NEIGHBORS) of all rows, by blocks."""
    likeness = np.concatenate(
        [asked @ rows[s : s + 65_536].astype(np.float32).T for s in range(0, len(rows), 65_536)], axis=1
    )
    nearest: Positions = np.argpartition(-likeness, NEIGHBORS, axis=1)[:, :NEIGHBORS]
    return nearest


def main() -> None:
    """Print a line for each size and kind."""
    import faiss

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    args = parser.parse_args()
    for n in args.rows:
        rows, _ = mixture.write(mixture.real_texts, n, FOLDER)
        drawn = np.random.default_rng(1).choice(n, ASKED, replace=False)
        asked = rows[drawn].astype(np.float32)
        expected = exact(rows, asked)
        print(f"{n:,} rows (the default there: {kind_for(n)})")
        for kind in args.kinds:
            with inverted.one_thread():
                begun = time.process_time()
                index = FaissIndex.build(rows, seed=0, kind=kind)
                built = time.process_time() - begun
                took = []
                for _ in range(3):
                    begun = time.process_time()
                    _, found = index.search(asked, NEIGHBORS)
                    took.append(time.process_time() - begun)
            shared = [len(np.intersect1d(a, b)) for a, b in zip(found, expected, strict=True)]
            size = len(faiss.serialize_index(index._index)) / 2**20
            print(
                f"  {kind:8} built in {built:7.1f} s, {size:6.0f} MiB; "
                f"{ASKED} queries {1000 * min(took):6.0f} ms; recall {np.mean(shared) / NEIGHBORS:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
