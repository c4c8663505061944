"""The neighbour index: nearest rows by inner product, exact for few rows, approximate for many (Faiss)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from strategies import checks
from strategies.types import BadInput, Floats, Positions, Rows

EXACT_ROWS = 50_000
HNSW_ROWS = 1_000_000
BLOCK = 65_536
TRAINING = 64  # rows for each list of the inverted file


def _ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


class FaissIndex:
    """Inner product on unit vectors; rows are only ever added, in the pool's order.

    Up to 50,000 rows: flat, exact. Beyond: an inverted file of about 4 sqrt(n) lists with 8-bit codes
    (`IVF,SQ8`), whose coarse quantiser is an HNSW graph above a million rows. `build` chooses the kind.
    """

    # Faiss is imported where it is used: listing the strategies imports this module, the index is for few

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(
        cls,
        rows: Rows,
        *,
        seed: int,
        exact_rows: int = EXACT_ROWS,
        progress: Callable[[int, int], None] = _ignore,
    ) -> Self:
        """Index `rows` (n, d), read in blocks; deterministic by `seed`. `progress` hears rows done, of n."""
        import faiss

        if len(rows.shape) != 2:
            raise BadInput(f"rows have shape {rows.shape}, expected (n, d)")
        n, width = rows.shape
        made = cls(faiss.IndexFlatIP(width) if n <= exact_rows else _trained(rows, seed))
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            made.add(rows[np.arange(start, stop)])
            progress(stop, n)
        return made

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return int(self._index.d)

    def add(self, vectors: Floats) -> None:
        """Append (m, d) rows after those already held."""
        checked = checks.finite_rows("vectors", vectors, self.width)
        if len(checked):
            self._index.add(checked)

    def search(self, vectors: Floats, k: int) -> tuple[Floats, Positions]:
        """Similarities (m, k) and positions (m, k), nearest first; -1 where fewer were found.

        A row that is searched by its own vector is among its own neighbours, though not always first.
        """
        checked = checks.finite_rows("vectors", vectors, self.width)
        count = checks.whole("k", k, 0)
        if count == 0 or len(checked) == 0:
            return np.empty((len(checked), count), np.float32), np.empty((len(checked), count), np.int64)
        similarity, positions = self._index.search(checked, count)
        return similarity, positions

    def save(self, path: Path) -> None:
        """Write the index to `path`, all or nothing."""
        import faiss

        part = path.with_name(path.name + ".part")
        faiss.write_index(self._index, str(part))
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raise BadInput where there is no index."""
        import faiss

        try:
            return cls(faiss.read_index(str(path)))
        except RuntimeError as error:
            raise BadInput(f"{path} is not a readable index, expected a file that save wrote") from error


def _trained(rows: Rows, seed: int) -> Any:
    import faiss

    n, width = rows.shape
    lists = int(2 ** round(np.log2(4 * np.sqrt(n))))
    coarse = "_HNSW32" if n > HNSW_ROWS else ""
    index = faiss.index_factory(width, f"IVF{lists}{coarse},SQ8", faiss.METRIC_INNER_PRODUCT)
    inverted = faiss.extract_index_ivf(index)
    inverted.cp.seed = seed & 0x7FFFFFFF
    inverted.nprobe = max(16, lists // 64)
    # training on fewer rows a list than Faiss likes makes it warn on stderr; fewer than 39 are its own choice
    inverted.cp.min_points_per_centroid = 1
    drawn = np.random.default_rng(seed).choice(n, min(n, TRAINING * lists), replace=False)
    drawn.sort()
    index.train(checks.finite_rows("rows", rows[drawn]))
    return index
