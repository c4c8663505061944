"""Rows a second of our sentence encoder beside `SentenceTransformer.encode` as it comes.

Both encode the same texts with the same threads, in turns; the ratio is the median over the turns.
Short texts are banking77's training questions where the data packs are found (NEXTLABEL_DATA, or a folder
shared/data beside the checkout), else the first lines of docstrings; long texts are whole docstrings.

    python tests/benchmarks/encoding.py [rows] [turns]
"""

from __future__ import annotations

import csv
import io
import os
import statistics
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from backend.encoders import Encoder, make
from backend.encoders.sentence import MINILM
from strategies.types import Floats


def docstrings(rows: int) -> list[str]:
    """The longer docstrings of PyTorch and scikit-learn, read from their source."""
    import ast
    import sysconfig

    found: dict[str, None] = {}
    for package in ("sklearn", "torch"):
        for path in sorted((Path(sysconfig.get_paths()["purelib"]) / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                    found[text] = None
            if len(long := [text for text in found if len(text) > 200]) >= rows:
                return long[:rows]
    return long


def short_texts(rows: int) -> tuple[str, list[str]]:
    """Customer questions, or the first lines of docstrings."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    pack = Path(os.environ.get("NEXTLABEL_DATA", shared)) / "banking77.tar.xz"
    if not pack.is_file():
        return "first lines of docstrings", [text.splitlines()[0] for text in docstrings(rows)]
    with tarfile.open(pack) as archive:
        member = archive.extractfile("banking_data/train.csv")
        assert member is not None
        table = csv.DictReader(io.TextIOWrapper(member, encoding="utf-8"))
        return "banking77, train", [row["text"] for row in table][:rows]


def timed(encode: Callable[[], Floats]) -> tuple[float, Floats]:
    started = time.perf_counter()
    embeddings = encode()
    return time.perf_counter() - started, embeddings


def compare(title: str, texts: Sequence[str], ours: Encoder, theirs: SentenceTransformer, turns: int) -> None:
    ours.encode(texts[:64])
    theirs.encode(list(texts[:64]))
    seconds = []
    for _ in range(turns):
        base, expected = timed(lambda: theirs.encode(list(texts)))
        mine, found = timed(lambda: ours.encode(texts))
        seconds.append((base, mine))
    cosines = (expected * found).sum(axis=1) / np.linalg.norm(expected, axis=1)
    ratio = statistics.median(base / mine for base, mine in seconds)
    base, mine = (len(texts) / statistics.median(column) for column in zip(*seconds, strict=True))
    print(f"{title}: {len(texts)} texts of {statistics.mean(map(len, texts)):.0f} characters")
    print(f"  SentenceTransformer.encode {base:8.0f} rows/s")
    print(f"  nextlabel                  {mine:8.0f} rows/s   ratio {ratio:.2f} (median of {turns} turns)")
    print(f"  cosine to it               {cosines.min():.5f} at least, {cosines.mean():.5f} on average")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    theirs = SentenceTransformer(str(MINILM.file().parent), device="cpu", local_files_only=True)
    title, short = short_texts(rows)
    long = docstrings(rows // 4)
    print(f"{torch.get_num_threads()} threads, bfloat16 {torch.cpu._is_avx512_bf16_supported()}")
    for precision in ("auto", "float32"):
        ours = make("sentence", {"device": "cpu", "precision": precision})
        compare(f"precision {precision}, {title}", short, ours, theirs, turns)
        compare(f"precision {precision}, docstrings", long, ours, theirs, turns)
    ngram = make("ngram", {})
    took, _ = timed(lambda: ngram.encode(short))
    print(f"ngram, {title}: {len(short) / took:.0f} rows/s")


if __name__ == "__main__":
    main()
