"""Label efficiency: our strategies beside small-text's and scikit-activeml's, and beside random.

    $(tests/benchmarks/peers.sh) tests/benchmarks/label_efficiency.py --strategies auto,random,peers --jobs 2

Every strategy starts from the same random rows, asks the same proxy on the same embeddings, and is scored
on the same held-out rows, seed by seed; pools are cut to 5,000 rows, another cut for each seed. Each replay
is kept in ~/.cache/nextlabel/label_efficiency under its strategy, seed, plan and data, and under what the
proxy and the strategy do on a small fixed problem: an interrupted run goes on where it was, another strategy
costs only its own replays, and changed code is played anew.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import behaviour
import numpy as np
import packs
import peer_strategies
from label_report import Result, report
from numpy.random import Generator
from threadpoolctl import threadpool_limits

from backend.domain import ConfigError, EncoderError
from backend.models import make
from backend.simulate.plan import split_names
from backend.simulate.replay import Material, Plan, replay
from strategies import build
from strategies.registry import describe
from strategies.types import Pool, Positions, QueryStrategy, Ranking

ROWS = 5_000
PLANS = {
    "banking77": Plan(20, 50, 770),
    "sms_spam": Plan(20, 10, 220),
    "snips": Plan(20, 20, 320),
    "cifar10": Plan(20, 50, 520),
}
COLD_START = "typicality"
HEAD = "linear"
OURS = ("random", "margin", "uncertainty_k_center(margin)")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """One replay: the key it is kept under."""

    data: str
    fingerprint: str
    strategy: str
    behaviour: str
    seed: int
    plan: Plan
    rows: int = ROWS
    head: str = HEAD
    cold_start: str = COLD_START

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        key = json.dumps(asdict(self), sort_keys=True)
        return packs.CACHE / "label_efficiency" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


@dataclass
class Timed:
    """The strategy, and the CPU seconds of each choice: other work on the machine does not count."""

    strategy: QueryStrategy
    seconds: list[float] = field(default_factory=list)

    def __call__(self, pool: Pool, candidates: Positions, k: int, rng: Generator) -> Ranking:
        """Rank as the strategy does."""
        begun = time.process_time()
        ranking = self.strategy(pool, candidates, k, rng)
        self.seconds.append(time.process_time() - begun)
        return ranking


data = cache(packs.encoded)


def material(encoded: packs.Encoded, seed: int, rows: int) -> Material:
    """Cut the pool to `rows`, another cut for each seed."""
    kept = np.random.default_rng([seed, 7]).permutation(len(encoded.pool))[:rows]
    return Material(encoded.pool[kept], encoded.answers[kept], encoded.test, encoded.truth, encoded.classes)


def strategy_of(expression: str) -> QueryStrategy:
    """Build one of ours, or a peer's."""
    return peer_strategies.build(expression) if is_peer(expression) else build(expression)


def is_peer(expression: str) -> bool:
    """Whether a peer's package is named."""
    return expression.startswith(("small_text.", "skactiveml."))


def play(job: Job) -> tuple[Job, float]:
    """Replay one job and keep its result; give the wall seconds it took."""
    begun = time.perf_counter()
    given = material(data(job.data), job.seed, job.rows)
    timed = Timed(strategy_of(job.strategy))
    steps = list(
        replay(
            given,
            job.plan,
            timed,
            cold_start=build(job.cold_start),
            new_head=partial(make, job.head, {}, classes=given.classes),
            seed=job.seed,
        )
    )
    result = {
        "job": asdict(job),
        "labels": [step.labels for step in steps],
        "accuracy": [step.accuracy for step in steps],
        "macro_f1": [step.macro_f1 for step in steps],
        "seconds": timed.seconds,
        "filled": getattr(timed.strategy, "filled", 0),
    }
    job.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = job.path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(result), encoding="utf-8")
    unfinished.replace(job.path)
    return job, time.perf_counter() - begun


def play_all(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, float]]:
    """Replay the jobs, several at a time, each in a process with one thread."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for done in as_completed([pool.submit(play, job) for job in jobs]):
            yield done.result()


def kept(jobs: Sequence[Job]) -> list[Result]:
    """Read what is there."""
    found = []
    for job in jobs:
        if job.path.is_file():
            row: dict[str, Any] = json.loads(job.path.read_text(encoding="utf-8"))
            curves = {metric: np.array(row[metric]) for metric in ("accuracy", "macro_f1")}
            seconds = float(np.mean(row["seconds"])) if row["seconds"] else 0.0
            result = Result(
                data=job.data,
                strategy=job.strategy,
                seed=job.seed,
                labels=np.array(row["labels"]),
                curves=curves,
                seconds=seconds,
                filled=row.get("filled", 0),
            )
            found.append(result)
    return found


def split(given: str) -> list[str]:
    """Split at commas outside brackets; `peers` stands for every peer's strategy."""
    named = split_names(given)
    return [name for part in named for name in (peer_strategies.NAMES if part == "peers" else (part,))]


def in_full(expression: str) -> str:
    """Spell out every parameter, so that a changed default is another strategy."""
    return expression if is_peer(expression) else describe(build(expression))


def does(strategy: str) -> str:
    """Fingerprint the strategy: the peer's version, or what ours picks; and what the proxy predicts."""
    new_head = partial(make, HEAD, {}, classes=behaviour.CLASSES)
    with threadpool_limits(1):
        if is_peer(strategy):
            package = "small-text" if strategy.startswith("small_text") else "scikit-activeml"
            own = importlib.metadata.version(package)
        else:
            own = behaviour.of_strategy(partial(build, strategy), new_head)
        return f"{own} {behaviour.of_model(new_head)}"


def jobs_of(sets: Sequence[str], strategies: Sequence[str], seeds: int) -> list[Job]:
    """List every replay, seed by seed; a data set that cannot be had is left out, and said."""
    fingerprints = {}
    for name in sets:
        try:
            fingerprints[name] = data(name).fingerprint
        except (FileNotFoundError, ConfigError, EncoderError) as error:
            print(f"{name} is left out: {error}")
    behaves = {strategy: does(strategy) for strategy in strategies}
    return [
        Job(name, fingerprint, strategy, behaves[strategy], seed, PLANS[name])
        for seed in range(seeds)
        for name, fingerprint in fingerprints.items()
        for strategy in strategies
    ]


def main() -> None:
    """Play what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", type=split, default=[*OURS, *peer_strategies.NAMES])
    parser.add_argument("--data", type=split, default=list(PLANS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="play nothing, print what is there")
    args = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    strategies = {in_full(name): name for name in ["random", *args.strategies]}
    jobs = jobs_of(args.data, list(strategies), args.seeds)
    if not args.report:
        missing = [job for job in jobs if not job.path.is_file()]
        for count, (job, took) in enumerate(play_all(missing, args.jobs), 1):
            print(
                f"{count}/{len(missing)} {job.data} {job.seed} {strategies[job.strategy]} {took:.0f} s",
                flush=True,
            )
    print(report(kept(jobs), strategies))


if __name__ == "__main__":
    main()
