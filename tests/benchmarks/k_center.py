"""Time greedy k-center beside one pass over the data, the plain running maximum, and the peers.

    python tests/benchmarks/k_center.py                          # 100,000 rows, 1,000 labelled, 100 picks
    python tests/benchmarks/k_center.py --rows 1000000 --labelled 100
    $(tests/benchmarks/peers.sh) tests/benchmarks/k_center.py --peers

One pass is the n x m matrix product of all rows and all labelled ones, and nothing else. Every line is the
best of some repeats, taken in turn. On a machine that has other work, CPU seconds of one thread are steadier:
OMP_NUM_THREADS=1 and --clock cpu. A peer that does not finish in time at full size is run at a tenth of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from strategies.k_center import greedy_k_center, nearest_center
from strategies.types import Floats, Positions

BLOCK = 2048
WIDTH = 384
PEERS = {
    "skactiveml": "scikit-activeml CoreSet",
    "small_text": "small-text core-set",
    "modAL": "modAL ranked batch",
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TIMERS = {"wall": signal.ITIMER_REAL, "cpu": signal.ITIMER_PROF}  # they end the process by a signal
LATER, UPDATE = "later round, a tenth is new: pick", "later round, a tenth is new: update"
LIMITS = {"greedy_k_center": 1.1, "the same, weighted": 1.1, LATER: 0.25, UPDATE: 0.25}


@dataclass(frozen=True)
class Task:
    """Unit vectors: spread evenly (flat), or around 200 centres of unequal share (clustered)."""

    kind: str
    rows: int
    labelled: int
    picks: int
    clock: str

    def data(self) -> tuple[Floats, Positions]:
        """Give points (rows, 384) and the labelled ones among them."""
        rng = np.random.default_rng(0)
        points = rng.standard_normal((self.rows, WIDTH), dtype=np.float32)
        if self.kind == "clustered":
            share = rng.dirichlet(np.full(200, 0.5))
            means = 2.0 * rng.standard_normal((200, WIDTH), dtype=np.float32)
            points += means[rng.choice(200, self.rows, p=share)]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return points, rng.choice(self.rows, self.labelled, replace=False)

    def __str__(self) -> str:
        return f"{self.kind}: {self.rows:,} x {WIDTH}, {self.labelled:,} labelled, {self.picks} picks"


def one_pass(points: Floats, centers: Floats) -> None:
    """The n x m matrix product, in blocks, and nothing else."""
    for start in range(0, len(points), BLOCK):
        _ = points[start : start + BLOCK] @ centers.T


def running_maximum(points: Floats, centers: Floats, k: int, weights: Floats | None = None) -> Positions:
    """Ten lines of NumPy, the twin: one distance a row, lowered after each pick."""
    nearest = np.empty(len(points), np.float32)
    for start in range(0, len(points), BLOCK):
        nearest[start : start + BLOCK] = (points[start : start + BLOCK] @ centers.T).max(axis=1)
    picks = np.empty(k, np.int64)
    for step in range(k):
        far = np.maximum(2 - 2 * nearest, 0)
        picks[step] = (far if weights is None else far * weights**2).argmax()
        np.maximum(nearest, points @ points[picks[step]], out=nearest)
    return picks


def in_turn(
    calls: Mapping[str, Callable[[], Any]], repeats: int, clock: str
) -> tuple[dict[str, float], dict[str, Any]]:
    """Best of `repeats` in seconds, and the last answer, of each call."""
    now = CLOCKS[clock]
    best, answers = dict.fromkeys(calls, np.inf), {}
    for _ in range(repeats):
        for name, call in calls.items():
            start = now()
            answers[name] = call()
            best[name] = min(best[name], now() - start)
    return best, answers


def measure(task: Task, repeats: int) -> float:
    """Print what everything takes, as a multiple of one pass; give the seconds of greedy_k_center."""
    points, labelled = task.data()
    centers, k = points[labelled], task.picks
    weights = np.random.default_rng(1).random(task.rows).astype(np.float32)
    early = centers[: len(centers) - len(centers) // 10]
    late, known = centers[len(early) :], nearest_center(points, early)
    best, answers = in_turn(
        {
            "one pass": lambda: one_pass(points, centers),
            "running maximum, the twin": lambda: running_maximum(points, centers, k),
            "greedy_k_center": lambda: greedy_k_center(points, centers, k)[0],
            "the same, weighted": lambda: greedy_k_center(points, centers, k, weights=weights)[0],
            LATER: lambda: greedy_k_center(points, late, k, nearest=known)[0],
            UPDATE: lambda: nearest_center(points, late, nearest=known),
        },
        repeats,
        task.clock,
    )
    limits = LIMITS | ({"greedy_k_center": 1.5, "the same, weighted": 1.5} if task.rows > 500_000 else {})
    limits |= {"greedy_k_center": 0.7} if task.kind == "clustered" and task.rows <= 500_000 else {}
    print(f"\n{task}{'seconds':>12}{'ratio':>8}{'aim':>9}")
    for name, seconds in best.items():
        aim = f"<= {limits[name]:.2f}" if name in limits else ""
        print(f"  {name:58}{seconds:8.3f}{seconds / best['one pass']:8.2f}{aim:>9}")
    twin = answers["running maximum, the twin"]
    weighted = running_maximum(points, centers, k, weights)
    print(
        f"  the twin's picks: {int((answers['greedy_k_center'] == twin).sum())} of {k}; weighted: "
        f"{int((answers['the same, weighted'] == weighted).sum())}; in a later round: "
        f"{int((answers[LATER] == twin).sum())}"
    )
    return best["greedy_k_center"]


def ask(peer: str, task: Task, limit: int) -> tuple[float, list[int]]:
    """Let a peer pick; give the seconds that its own function takes, and the rows.

    The process is ended where the function takes more than `limit` seconds.
    """
    points, labelled = task.data()
    free = np.setdiff1d(np.arange(task.rows), labelled)
    if peer == "skactiveml":
        from skactiveml.pool import CoreSet

        known = np.full(task.rows, np.nan)
        known[labelled] = 0
        strategy = CoreSet(random_state=0)
        start = started(task.clock, limit)
        picks = strategy.query(points, known, batch_size=task.picks)
    elif peer == "small_text":
        from small_text.query_strategies.coresets import greedy_coreset

        start = started(task.clock, limit)
        picks = free[greedy_coreset(points, free, labelled, task.picks, distance_metric="euclidean")]
    else:
        from modAL.batch import ranked_batch

        learner: Any = SimpleNamespace(on_transformed=False, X_training=points[labelled])
        equal = np.zeros(len(free))
        start = started(task.clock, limit)
        picks = free[ranked_batch(learner, points[free], equal, task.picks, "euclidean", None)[0]]
    return CLOCKS[task.clock]() - start, [int(pick) for pick in picks]


def started(clock: str, limit: int) -> float:
    """Set the timer that ends this process, and give the time; imports are over by now."""
    signal.setitimer(TIMERS[clock], limit)
    return CLOCKS[clock]()


def ask_in_time(peer: str, task: Task, limit: int) -> tuple[float, list[int]] | None:
    """Ask in a process of its own; None where it has not answered after `limit` seconds."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--ask",
        peer,
        "--kind",
        task.kind,
        "--limit",
        str(limit),
    ]
    for name in ("rows", "labelled", "picks"):
        command += [f"--{name}", str(getattr(task, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode in (-signal.SIGALRM, -signal.SIGPROF):
        return None
    done.check_returncode()
    seconds, picks = json.loads(done.stdout)
    return float(seconds), list(picks)


def beside_peers(task: Task, ours: float, limit: int) -> None:
    """Print what each peer takes, as a multiple of ours."""
    small = Task(task.kind, task.rows // 10, task.labelled // 5, task.picks // 2, task.clock)
    points, labelled = task.data()
    twin = greedy_k_center(points, points[labelled], task.picks)[0]
    for peer, title in PEERS.items():
        answer = ask_in_time(peer, task, limit)
        if answer is not None:
            same = int((np.array(answer[1]) == twin).sum())
            print(f"  {title:36}{answer[0]:10.2f} s = {answer[0] / ours:7.1f} x ours; {same} picks the same")
            continue
        print(f"  {title:36} not done after {limit} s: more than {limit / ours:.0f} x ours")
        points, labelled = small.data()
        best, _ = in_turn(
            {"ours": lambda p=points, c=labelled: greedy_k_center(p, p[c], small.picks)}, 3, task.clock
        )
        answer = ask_in_time(peer, small, limit)
        took = f"{answer[0]:.2f} s = {answer[0] / best['ours']:.0f} x ours" if answer else "not in time"
        print(f"    {small}: {took}")


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--labelled", type=int, default=1_000)
    parser.add_argument("--picks", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=("flat", "clustered"), help="one kind of data only")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--peers", action="store_true", help="the peers too, where they are installed")
    parser.add_argument("--limit", type=int, default=120, help="seconds that a peer has")
    parser.add_argument("--ask", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ask:
        print(
            json.dumps(
                ask(args.ask, Task(args.kind, args.rows, args.labelled, args.picks, args.clock), args.limit)
            )
        )
        return
    if args.peers and not all(map(importlib.util.find_spec, PEERS)):
        parser.error(
            f"--peers needs {', '.join(PEERS)}; run with the Python that tests/benchmarks/peers.sh makes"
        )
    for kind in (args.kind,) if args.kind else ("flat", "clustered"):
        task = Task(kind, args.rows, args.labelled, args.picks, args.clock)
        ours = measure(task, args.repeats)
        if args.peers:
            beside_peers(task, ours, args.limit)


if __name__ == "__main__":
    main()
