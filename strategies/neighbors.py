"""The neighbour index: nearest rows by inner product, exact for few rows, approximate for many (Faiss)."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from strategies import checks, inverted
from strategies.types import BadInput, Floats, Positions, Rows

EXACT_ROWS = 50_000
PRODUCT_ROWS = 25_000_000
BLOCK = 65_536
KINDS = ("flat", "hnsw", "ivf_sq8", "ivf_pq")

_TRAILER = struct.Struct("<8sQQ")  # what save writes after Faiss' bytes: a mark, their number, the stamp
_MARK = b"nextlbl1"


def _ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def kind_for(n: int, *, exact_rows: int | None = None) -> str:
    """Choose the kind of index for `n` rows; `exact_rows` instead of `EXACT_ROWS` where given."""
    if n <= (EXACT_ROWS if exact_rows is None else exact_rows):
        return "flat"
    return "ivf_sq8" if n <= PRODUCT_ROWS else "ivf_pq"


class FaissIndex:
    """Inner product on unit vectors; rows are only ever added, in the pool's order.

    Kinds, by size: `flat`, exact, up to 50,000 rows; beyond, `ivf_sq8`, an inverted file of about 4 sqrt(n)
    lists with one byte a number; beyond 25 million rows `ivf_pq`, 96 bytes a row, as bytes would take more
    than 10 GiB. `hnsw` by name only. Measured at 100,000 x 384 on one thread, 100 queries
    (tests/benchmarks/neighbors.py): flat 516 ms; ivf_sq8 built in 9 s, 15 ms, recall .89; hnsw 20 s, 43 ms,
    .95, four times the memory; ivf_pq 23 s, 16 ms, .80. At ten million ivf_sq8 takes 75 ms, recall .85.
    A mapped index stays on disk, and is read-only there: rows that are added lie in a small exact index
    beside it until `save` writes both as one.
    stamp: any number that `save` was given, to tell whether the file belongs to today's rows
    """

    # Faiss is imported where it is used: listing the strategies imports this module, the index is for few

    def __init__(self, index: Any, *, mapped_from: Path | None = None, stamp: int = 0) -> None:
        self._index = index
        if hasattr(index, "nlist"):
            index.nprobe = inverted.probes(int(index.nlist))
        self._mapped_from = mapped_from
        self._tail: Any = None
        self.stamp = stamp

    @classmethod
    def build(
        cls,
        rows: Rows,
        *,
        seed: int,
        kind: str | None = None,
        exact_rows: int | None = None,
        progress: Callable[[int, int], None] = _ignore,
    ) -> Self:
        """Index `rows` (n, d), read in blocks; deterministic by `seed`.

        `progress` hears rows done, of n; what it raises ends the work. Cost: about 65 processor seconds for a
        million rows of 384 numbers, training included, and ten times that for ten million.
        """
        if len(rows.shape) != 2:
            raise BadInput(f"rows have shape {rows.shape}, expected (n, d)")
        n, width = rows.shape
        kind = kind or kind_for(n, exact_rows=exact_rows)
        progress(0, n)
        made = cls(_empty(kind, rows, width, seed))
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            made.add(rows[np.arange(start, stop)])
            progress(stop, n)
        return made

    def __len__(self) -> int:
        return int(self._index.ntotal) + self._added

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return int(self._index.d)

    def outgrown(self, rows: int) -> bool:
        """Whether an index of so many rows had better be built anew: it was made for far fewer."""
        if hasattr(self._index, "nlist"):
            return inverted.lists_for(rows) > 2 * int(self._index.nlist)
        return rows > 2 * EXACT_ROWS and not hasattr(self._index, "hnsw")

    @property
    def _added(self) -> int:
        return 0 if self._tail is None else int(self._tail.ntotal)

    def add(self, vectors: Floats) -> None:
        """Append (m, d) rows after those already held."""
        checked = checks.finite_rows("vectors", vectors, self.width)
        if len(checked) == 0:
            return
        if self._mapped_from is None:
            _add(self._index, checked)
            return
        if self._tail is None:
            self._tail = _beside(self.width)
        self._tail.add(checked)

    def search(self, vectors: Floats, k: int) -> tuple[Floats, Positions]:
        """Similarities (m, k) and positions (m, k), nearest first; -1 where fewer were found.

        A row that is searched by its own vector is among its own neighbours, though not always first.
        """
        checked = checks.finite_rows("vectors", vectors, self.width)
        count = checks.whole("k", k, 0)
        if count == 0 or len(checked) == 0:
            return np.empty((len(checked), count), np.float32), np.empty((len(checked), count), np.int64)
        similarity, positions = self._index.search(checked, count)
        if not self._added:
            return similarity, positions
        others, places = self._tail.search(checked, count)
        places = np.where(places < 0, -1, places + int(self._index.ntotal))
        similarity = np.concatenate([similarity, others], axis=1)
        positions = np.concatenate([positions, places], axis=1)
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(similarity, best, axis=1), np.take_along_axis(positions, best, axis=1)

    def save(self, path: Path, *, stamp: int = 0) -> None:
        """Write the index to `path`, all or nothing; one that is mapped gives up the rows beside it."""
        import faiss

        if self._added and self._mapped_from is not None:
            whole = _read(self._mapped_from, mapped=False)[0]
            _add(whole, self._tail.reconstruct_n(0, self._added))
            self._index, self._mapped_from, self._tail = whole, None, None
        part = path.with_name(path.name + ".part")
        faiss.write_index(self._index, str(part))
        with part.open("ab") as stream:
            stream.write(_TRAILER.pack(_MARK, stream.tell(), stamp))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
        self.stamp = stamp

    @classmethod
    def load(cls, path: Path, *, mapped: bool = False) -> Self:
        """Read what `save` wrote, or map it; raise BadInput where that is not there or not whole."""
        index, stamp = _read(path, mapped=mapped)
        return cls(index, mapped_from=path if mapped else None, stamp=stamp)


def _read(path: Path, *, mapped: bool) -> tuple[Any, int]:
    import faiss

    expected = "expected a file that save wrote"
    try:
        with path.open("rb") as stream:
            # a mapped file that ends too soon would kill the process at some later search
            end = stream.seek(0, os.SEEK_END) - _TRAILER.size
            stream.seek(max(end, 0))
            mark, size, stamp = _TRAILER.unpack(stream.read(_TRAILER.size))
        if mark != _MARK or size != end:
            raise BadInput(f"{path} is not a readable index: it is not whole, {expected}")
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except (OSError, struct.error, RuntimeError) as error:
        raise BadInput(f"{path} is not a readable index, {expected}") from error
    return index, stamp


def _empty(kind: str, rows: Rows, width: int, seed: int) -> Any:
    import faiss

    if kind == "flat":
        return faiss.IndexFlatIP(width)
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, inverted.GRAPH, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = 128
        return index
    if kind in KINDS:
        return inverted.train(rows, seed=seed, product=kind == "ivf_pq")
    raise BadInput(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")


def _add(index: Any, vectors: Floats) -> None:
    if hasattr(index, "hnsw"):
        with inverted.one_thread():  # several would link the graph in an order of their own each time
            index.add(vectors)
    else:
        index.add(vectors)


def _beside(width: int) -> Any:
    import faiss

    half = faiss.ScalarQuantizer.QT_fp16  # what the pool holds on disk: nothing is lost
    return faiss.IndexScalarQuantizer(width, half, faiss.METRIC_INNER_PRODUCT)
