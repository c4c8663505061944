"""Selection via proxy: the same ten rounds chosen by the proxy, and by the fine-tuned target itself.

Both begin with the same random labels and use the same strategy; at the end the target is fine-tuned on what
either has chosen, and measured on the makers' test part. Seconds of selection are CPU seconds of one thread:
fit and score of the chooser, and the strategy's own pick. Every round is kept in ~/.cache/nextlabel, so that
an interrupted run goes on where it was.

    python tests/benchmarks/proxy_selection.py [--data banking77,snips] [--seeds 3] [--strategy margin]
        [--rows 0] [--layers 0] [--only-report]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import packs

from backend.models import make as make_head
from backend.models.targets import make_target
from strategies import ArrayPool, build
from strategies.types import Floats, Mask, Pool, Positions, Prediction

CHOOSERS = ("proxy", "target")
START = 100
BATCH = 90
ROUNDS = 10


@dataclass(frozen=True)
class Settings:
    """What a result depends on, beside data set, seed and chooser."""

    strategy: str
    rows: int
    target: dict[str, Any]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass
class Cell:
    """One chooser's rounds under one seed.

    chosen:  rows labelled so far
    seconds: of selection, each round
    error:   of the target that was fine-tuned on all of them
    """

    file: Path
    chosen: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    error: float | None = None

    @classmethod
    def kept(cls, file: Path) -> Cell:
        if not file.is_file():
            return cls(file)
        return cls(file, **json.loads(file.read_text()))

    def keep(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.file.with_suffix(f".{os.getpid()}")
        state = {"chosen": self.chosen, "seconds": self.seconds, "error": self.error}
        unfinished.write_text(json.dumps(state))
        unfinished.replace(self.file)


class Task:
    """A data set as texts and as embeddings; the pool cut to `rows` where that is not 0."""

    def __init__(self, name: str, rows: int) -> None:
        self.name = name
        pool, test = packs.SETS[name][0]()
        self.data = packs.encoded(name)
        drawn = np.random.default_rng(7).permutation(len(pool))[: rows or len(pool)]
        self.kept = np.sort(drawn)
        self.texts = [pool[row][0] for row in self.kept]
        self.answers = self.data.answers[self.kept]
        self.test_texts = [text for text, _ in test]
        self.labels = [str(target) for target in range(self.data.classes)]

    @cached_property
    def embeddings(self) -> Floats:
        return self.data.pool[self.kept]


@dataclass(frozen=True)
class TargetPool:
    """A pool whose model reads the texts themselves."""

    inner: ArrayPool
    texts: Sequence[str]
    model: Callable[[Sequence[str]], Prediction]

    @property
    def embeddings(self) -> Floats:
        return self.inner.embeddings

    @property
    def labelled(self) -> Mask:
        return self.inner.labelled

    def predict(self, positions: Positions) -> Prediction:
        return self.model([self.texts[row] for row in positions])

    def predict_vectors(self, vectors: Floats) -> Prediction:
        raise NotImplementedError("the target reads texts")

    def near_labelled(self, neighbors: int) -> Mask:
        return self.inner.near_labelled(neighbors)


def pool_of(task: Task, chooser: str, rows: Positions, settings: Settings, seed: int) -> Pool:
    """Fit the chooser on `rows` and give the pool as it sees it."""
    pool = ArrayPool(task.embeddings, np.isin(np.arange(len(task.texts)), rows))
    if chooser == "proxy":
        head = make_head("linear", {}, classes=task.data.classes)
        head.fit(task.embeddings[rows], task.answers[rows], seed=seed)
        return pool.label([], model=head.predict)
    return TargetPool(pool, task.texts, fine_tuned(task, rows, settings, seed).predict)


def fine_tuned(task: Task, rows: Positions, settings: Settings, seed: int) -> Any:
    target: Any = make_target("classifier", settings.target, labels=task.labels)
    target.fit([task.texts[row] for row in rows], task.answers[rows], seed=seed)
    return target


def play(task: Task, chooser: str, settings: Settings, seed: int, cell: Cell) -> None:
    """Choose, round by round, and fine-tune the target on what was chosen."""
    if not cell.chosen:
        start = np.random.default_rng([seed, 1]).permutation(len(task.texts))[:START]
        cell.chosen = start.tolist()
    strategy = build(settings.strategy)
    while len(cell.seconds) < ROUNDS:
        rows = np.sort(np.array(cell.chosen, np.int64))
        begun = time.process_time()
        pool = pool_of(task, chooser, rows, settings, seed)
        rng = np.random.default_rng([seed, 2, len(cell.seconds)])
        ranking = strategy(pool, np.flatnonzero(~pool.labelled), BATCH, rng)
        cell.seconds.append(time.process_time() - begun)
        cell.chosen += ranking.positions.tolist()
        cell.keep()
        print(f"  {task.name} seed {seed} {chooser} {len(cell.chosen)}: {cell.seconds[-1]:.2f} s", flush=True)
    if cell.error is None:
        target = fine_tuned(task, np.sort(np.array(cell.chosen)), settings, seed)
        guesses = target.predict(task.test_texts).mean.argmax(axis=1)
        cell.error = float((guesses != task.data.truth).mean())
        cell.keep()
        print(f"  {task.name} seed {seed} {chooser}: error {cell.error:.4f}", flush=True)


def report(name: str, found: dict[str, list[Cell]], settings: Settings) -> None:
    """Print one data set: both choosers side by side, and what the proxy costs and saves."""
    print(f"\n{name}: {START} random labels, then {ROUNDS} rounds of {BATCH}, by {settings.strategy}")
    pairs = [
        (proxy, target)
        for proxy, target in zip(found["proxy"], found["target"], strict=True)
        if proxy.error is not None and target.error is not None
    ]
    if not pairs:
        print("  no seed is finished")
        return
    for place, chooser in enumerate(CHOOSERS):
        cells = [pair[place] for pair in pairs]
        seconds = np.mean([sum(cell.seconds) for cell in cells])
        errors = " ".join(f"{100 * (cell.error or 0):.2f}" for cell in cells)
        mean = 100 * np.mean([cell.error for cell in cells])
        print(f"  chosen by the {chooser:7s} {seconds:8.1f} s of selection   error {mean:.2f} % ({errors})")
    ratio = np.mean([sum(target.seconds) for _, target in pairs]) / np.mean(
        [sum(proxy.seconds) for proxy, _ in pairs]
    )
    worse = 100 * np.mean([(proxy.error or 0) - (target.error or 0) for proxy, target in pairs])
    print(f"  speed-up {ratio:.0f} x; the proxy's choice costs {worse:+.2f} points ({len(pairs)} seeds)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="banking77,snips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategy", default="margin")
    parser.add_argument("--rows", type=int, default=0, help="cut the pool to so many; 0 takes all")
    parser.add_argument("--layers", type=int, default=0, help="train so many layers of the target; 0: all")
    parser.add_argument("--only-report", action="store_true")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    settings = Settings(given.strategy, given.rows, {"layers": given.layers} if given.layers else {})
    folder = packs.CACHE / "proxy_selection" / settings.digest
    names = given.data.split(",")
    results = {
        name: {
            chooser: [Cell.kept(folder / f"{name}-{seed}-{chooser}.json") for seed in range(given.seeds)]
            for chooser in CHOOSERS
        }
        for name in names
    }
    if not given.only_report:
        tasks = {name: Task(name, given.rows) for name in names}
        for seed in range(given.seeds):
            for name in names:
                for chooser in CHOOSERS:
                    play(tasks[name], chooser, settings, seed, results[name][chooser][seed])
    for name in names:
        report(name, results[name], settings)


if __name__ == "__main__":
    main()
