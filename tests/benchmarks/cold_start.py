"""Cold starts: how many labels they should collect, and which is best, beside random order.

    python tests/benchmarks/cold_start.py --data banking77 --seeds 3 --labels 20 80

Each begins with no label, a batch at a time, and hands over to `auto`; random order stays random. Pools of
5,000 are cut from the makers' train part, and 2,000 other rows of it measure: the test part is not looked at.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import packs
from threadpoolctl import threadpool_limits

from backend.models import make
from backend.simulate.plan import OwnBeginning, split_names
from backend.simulate.replay import Material, Plan, replay
from strategies import build
from strategies.auto import without_cold_start

ROWS, MEASURED = 5_000, 2_000


def material(data: packs.Encoded, seed: int) -> Material:
    """Cut the pool of `seed`; the same rows measure for every seed."""
    order = np.random.default_rng([77, 1]).permutation(len(data.pool))
    held, rest = order[:MEASURED], order[MEASURED:]
    kept = np.random.default_rng([seed, 7]).permutation(rest)[:ROWS]
    pool, answers = data.pool[kept], data.answers[kept]
    return Material(pool, answers, data.pool[held], data.answers[held], data.classes)


def curve(name: str, labels: int, given: Material, plan: Plan, seed: int) -> dict[int, float]:
    """Give accuracy by labels."""
    cold = build(name)
    strategy = OwnBeginning(cold if name == "random" else without_cold_start(build("auto")), cold, labels)
    new_head = partial(make, "linear", {}, classes=given.classes)
    steps = replay(given, plan, strategy, cold_start=cold, new_head=new_head, seed=seed)
    return {step.labels: step.accuracy for step in steps}


def main() -> None:
    """Play all, and print accuracy beside random order's as a ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=list(packs.SETS), default="banking77")
    parser.add_argument("--strategies", type=split_names, default=["typicality", "facility_location"])
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 80])
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    data = packs.encoded(args.data)
    plan = Plan(0, args.batch, args.budget)
    shown = [count for count in range(args.batch, args.budget + 1, args.batch) if count % 20 == 0][:10]
    base: dict[int, float] | None = None
    print(f"{args.data}, {data.classes} classes: accuracy (and its multiple of random order's) by labels")
    with threadpool_limits(1):
        for name, labels in [("random", 0), *((n, c) for n in args.strategies for c in args.labels)]:
            curves = [curve(name, labels, material(data, s), plan, s) for s in range(args.seeds)]
            mean = {count: float(np.mean([each[count] for each in curves])) for count in shown}
            base = base or mean
            told = "  ".join(
                f"{count}: {mean[count]:.3f} ({mean[count] / base[count]:.2f})" for count in shown
            )
            print(f"{name + (f' up to {labels}' if labels else ''):28s}{told}", flush=True)


if __name__ == "__main__":
    main()
