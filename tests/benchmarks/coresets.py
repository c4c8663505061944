"""Core-sets: what the fine-tuned target loses when it trains on a share of the data.

The rows are chosen on the proxy's view (packaged MiniLM, the linear head's training dynamics) by each method,
by random and by class-balanced random of the same size; the target is fine-tuned on them and measured on the
makers' test part. The smallest share with at most 0.5 points lost against all data is printed for each. Every
cell is kept in ~/.cache/nextlabel, so that an interrupted run goes on where it was.

    python tests/benchmarks/coresets.py [--data banking77,snips] [--shares 10,30,50,70,90] [--seeds 1]
        [--methods auto,hard_coverage,herding] [--model target|proxy] [--layers 0] [--only-report]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import packs

from backend.models import make as make_head
from backend.models.dynamics import linear_dynamics
from backend.models.targets import make_target
from backend.simulate.compress import AUTO, Compressor, Labelled
from strategies.coreset import LabelledSet, core_set
from strategies.types import Positions

BASELINES = ("random", "balanced_random")
ALLOWED = 0.5


@dataclass(frozen=True)
class Settings:
    """What an accuracy depends on, beside data, rows and seed."""

    model: str
    options: dict[str, Any]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


class Task:
    """A data set as texts and as embeddings, and how good a model gets on a part of it."""

    def __init__(self, name: str, settings: Settings, *, rows: int) -> None:
        self.name, self.settings = name, settings
        pool, test = packs.SETS[name][0]()
        self.data = packs.encoded(name)
        self.rows = np.sort(np.random.default_rng(7).permutation(len(pool))[: rows or len(pool)])
        self.texts = [pool[row][0] for row in self.rows]
        self.test_texts = [text for text, _ in test]

    @cached_property
    def labelled(self) -> LabelledSet:
        rows, answers = self.data.pool[self.rows], self.data.answers[self.rows]
        return LabelledSet(rows, answers, linear_dynamics(rows, answers, self.data.classes, seed=0))

    def accuracy(self, kept: Positions, seed: int) -> float:
        """Train on `kept` rows, in whatever order they came."""
        rows = np.sort(kept)
        answers = self.labelled.targets[rows]
        if self.settings.model == "proxy":
            head = make_head("linear", {}, classes=self.data.classes)
            head.fit(self.labelled.features[rows], answers, seed=seed)
            guesses = head.predict(self.data.test).mean.argmax(axis=1)
        else:
            labels = [str(target) for target in range(self.data.classes)]
            target: Any = make_target("classifier", self.settings.options, labels=labels)
            target.fit([self.texts[row] for row in rows], answers, seed=seed)
            guesses = target.predict(self.test_texts).mean.argmax(axis=1)
        return float((guesses == self.data.truth).mean())

    def choose(self, method: str, k: int, seed: int) -> Positions:
        """Keep `k` rows; `auto` tries several methods on the proxy first."""
        if method != AUTO:
            return core_set(self.labelled, k, method, np.random.default_rng([seed, 6]))
        rows, classes = self.labelled, self.data.classes
        known = Labelled(self.texts, rows.features, rows.targets, classes)
        return Compressor(AUTO, seed, partial(make_head, "linear", {}, classes=classes))(known, k)[1]

    def cell(self, method: str, share: int, seed: int, *, only_kept: bool) -> float | None:
        """Accuracy with `share` percent by `method`; the kept one where these rows were measured before."""
        k = round(len(self.texts) * share / 100)
        kept = self.choose(method, k, seed)
        what = hashlib.sha256(np.sort(self.rows[kept]).tobytes()).hexdigest()[:16]
        file = packs.CACHE / "coresets" / self.settings.digest / f"{self.name}-{seed}-{what}.json"
        if file.is_file():
            return float(json.loads(file.read_text())["accuracy"])
        if only_kept:
            return None
        begun = time.process_time()
        found = self.accuracy(kept, seed)
        write(file, {"accuracy": found, "method": method, "share": share})
        took = time.process_time() - begun
        print(f"  {self.name} {method} {share} % seed {seed}: {found:.4f} ({took:.0f} CPU s)", flush=True)
        return found


def write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(content))
    unfinished.replace(file)


def report(
    task: Task, methods: list[str], shares: list[int], found: dict[tuple[str, int], list[float]]
) -> None:
    whole = found.get(("random", 100), [])
    if not whole:
        print(f"\n{task.name}: all data is not measured yet")
        return
    every = 100 * np.mean(whole)
    print(
        f"\n{task.name}: {task.settings.model}, {len(task.texts):,} rows; all data {every:.2f} %; points lost"
    )
    print(
        f"  {'share':17s}" + "".join(f"{share:>8d} %" for share in shares) + f"   at most {ALLOWED} lost from"
    )
    for method in methods:
        lost = {
            share: every - 100 * float(np.mean(found[method, share]))
            for share in shares
            if found[method, share]
        }
        row = "".join(f"{lost[share]:10.2f}" if share in lost else f"{'-':>10s}" for share in shares)
        print(f"  {method:17s}{row}   {smallest(lost)}")


def smallest(lost: dict[int, float]) -> str:
    """The smallest share from which on, up to all data, no more than what is allowed is lost."""
    enough = 100
    for share in sorted(lost, reverse=True):
        if lost[share] > ALLOWED:
            break
        enough = share
    return f"{enough} %"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="banking77,snips")
    parser.add_argument("--shares", default="10,20,30,40,50,60,70,80,90")
    parser.add_argument("--methods", default="auto,hard_coverage,herding")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", choices=("target", "proxy"), default="target")
    parser.add_argument("--rows", type=int, default=0, help="cut the data to so many; 0 takes all")
    parser.add_argument("--layers", type=int, default=0, help="train so many layers of the target; 0: all")
    parser.add_argument("--only-report", action="store_true")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    options = {"layers": given.layers} if given.layers and given.model == "target" else {}
    settings = Settings(given.model, options)
    shares = sorted(int(share) for share in given.shares.split(","))
    methods = [*dict.fromkeys([*given.methods.split(","), *reversed(BASELINES)])]
    for name in given.data.split(","):
        task = Task(name, settings, rows=given.rows)
        cells = [("random", 100), *((method, share) for share in reversed(shares) for method in methods)]
        found: dict[tuple[str, int], list[float]] = {cell: [] for cell in cells}
        for seed in range(given.seeds):
            for method, share in cells:
                accuracy = task.cell(method, share, seed, only_kept=given.only_report)
                if accuracy is not None:
                    found[method, share].append(accuracy)
        report(task, methods, shares, found)


if __name__ == "__main__":
    main()
