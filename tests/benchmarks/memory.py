"""What a process that encodes all day keeps in memory, beside the same without a bound on kept kernels.

oneDNN makes a kernel for each shape of a batch and keeps it, as PyTorch keeps what it laid out for it: a
thousand of either by default, which no two batches of texts of any length share. Both children encode the
same random texts; what is printed is the memory that is theirs alone (RssAnon, Linux), and rows a second.

    python tests/benchmarks/memory.py [batches]
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from backend.cli.commands import BEFORE_TORCH
from backend.encoders import make

WORDS = (
    "the",
    "card",
    "lost",
    "pin",
    "please",
    "my",
    "how",
    "do",
    "I",
    "top",
    "up",
    "money",
    "exchange",
    "to",
)
FIRST = 10
"""Batches after which memory is looked at for the first time."""


def held() -> int:
    """Megabytes that are this process's own."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024


def child(batches: int) -> None:
    """Encode; print megabytes after `FIRST` batches and at the end, and rows a second."""
    draw = random.Random(0)
    encoder = make("sentence", {})
    begun, rows, first = time.perf_counter(), 0, 0
    for batch in range(batches):
        lengths = [1 + min(200, int(draw.expovariate(1 / 15))) for _ in range(draw.randrange(1, 120))]
        encoder.encode([" ".join(draw.choices(WORDS, k=length)) for length in lengths])
        rows += len(lengths)
        if batch + 1 == FIRST:
            first = held()
    print(json.dumps([first, held(), rows / (time.perf_counter() - begun)]))


def measured(batches: int, environment: dict[str, str]) -> tuple[int, int, float]:
    """Run one child."""
    own = {key: value for key, value in os.environ.items() if key not in BEFORE_TORCH} | environment
    told = subprocess.run(
        [sys.executable, __file__, str(batches), "child"], env=own, check=True, capture_output=True, text=True
    ).stdout
    first, last, speed = json.loads(told)
    return first, last, speed


def main() -> None:
    """Compare."""
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    if len(sys.argv) > 2:
        child(batches)
        return
    unbounded = measured(batches, {})
    bounded = measured(batches, BEFORE_TORCH)
    print(f"MB after {FIRST} and after {batches} batches, rows a second")
    for name, (first, last, speed) in (("without a bound", unbounded), ("nextlabel", bounded)):
        print(f"{name:16s}{first:6,}{last:6,}{speed:6,.0f}")
    grown = [last - first for first, last, _ in (unbounded, bounded)]
    print(
        f"grown by {grown[1]:,} MB, without a bound {grown[0]:,} MB; speed {bounded[2] / unbounded[2]:.2f} x"
    )


if __name__ == "__main__":
    main()
