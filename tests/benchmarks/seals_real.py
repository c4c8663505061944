"""What SEALS costs in accuracy: replays of real sets with it and over the whole pool, paired by seed."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import packs
from numpy.random import Generator

from backend.models import make
from backend.simulate.replay import Material, Plan, replay
from strategies import FaissIndex
from strategies.registry import build
from strategies.seals import Seals
from strategies.types import Candidates, Pool, Ranking
from strategies.uncertainty import score_rows, top

PLANS = {"banking77": Plan(77, 60, 557), "snips": Plan(20, 30, 260), "sms_spam": Plan(20, 30, 260)}
KEPT = packs.CACHE / "bench" / "seals_real.jsonl"
TOP = 0.01
OPTIONS = ["neighbors=100, explore=0.2", "neighbors=100, explore=0.0"]


@dataclass
class Audited:
    """SEALS, held against the whole pool each round: how much it let in, and of the most uncertain rows."""

    seals: Seals
    recall: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    def __call__(self, pool: Pool, candidates: Candidates, k: int, rng: Generator) -> Ranking:
        admitted = np.intersect1d(self.seals.admit(pool, np.random.default_rng(0)), candidates)
        score = score_rows(pool, candidates, build("margin").uncertainty)  # type: ignore[attr-defined]
        best = candidates[top(score, max(20, round(TOP * len(candidates))))]
        self.recall.append(float(np.isin(best, admitted).mean()))
        self.share.append(len(admitted) / len(candidates))
        return self.seals(pool, candidates, k, rng)


def play(name: str, seed: int, base: str, options: str) -> dict[str, float]:
    """Replay one seed of one set: the last accuracy, and what SEALS let in; the options may be `whole`."""
    data = packs.encoded(name)
    index = FaissIndex.build(data.pool, seed=0)
    material = Material(data.pool, data.answers, data.test, data.truth, data.classes, index)
    seals = None if options == "whole" else build(f"seals({base}, {options})")
    audited = Audited(seals) if isinstance(seals, Seals) else None
    steps = list(
        replay(
            material,
            PLANS[name],
            audited or build(base),
            cold_start=build("typicality"),
            new_head=partial(make, "linear", {}, classes=data.classes),
            seed=seed,
        )
    )
    found = {"accuracy": steps[-1].accuracy, "macro_f1": steps[-1].macro_f1}
    if audited is not None:
        found |= {"recall": float(np.mean(audited.recall)), "share": float(np.mean(audited.share))}
    return found


def kept(path: Path) -> dict[str, dict[str, float]]:
    """What earlier runs found, by what was played."""
    if not path.is_file():
        return {}
    return dict(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def main(argv: list[str] | None = None) -> None:
    """Print a table: a line for each set and number of neighbours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="uncertainty_k_center(margin)")
    parser.add_argument(
        "--options",
        nargs="+",
        default=["neighbors=100, explore=0.2", "neighbors=100, explore=0.0"],
        help="of SEALS",
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=list(PLANS))
    args = parser.parse_args(argv)
    known = kept(KEPT)
    KEPT.parent.mkdir(parents=True, exist_ok=True)

    def played(name: str, seed: int, options: str) -> dict[str, float]:
        key = f"{name} {PLANS[name]} {args.base} {options} {seed}"
        if key not in known:
            known[key] = play(name, seed, args.base, options)
            with KEPT.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, known[key]]) + "\n")
        return known[key]

    print(
        f"{args.base}: accuracy after the last batch, mean over {args.seeds} seeds; difference paired, 90 %"
    )
    for name in args.sets:
        full = [played(name, seed, "whole") for seed in range(args.seeds)]
        whole = np.array([run["accuracy"] for run in full])
        print(f"{name}, {PLANS[name].budget} labels: whole pool {whole.mean():.2%}")
        for options in args.options:
            runs = [played(name, seed, options) for seed in range(args.seeds)]
            differ = np.array([run["accuracy"] for run in runs]) - whole
            half = 1.833 * differ.std(ddof=1) / np.sqrt(len(differ))
            recall, share = (np.mean([run[part] for run in runs]) for part in ("recall", "share"))
            gap = f"{differ.mean() * 100:+.2f} ± {half * 100:.2f} points"
            seen = f"{share:.0%} of the pool and {recall:.0%} of its most uncertain hundredth"
            print(f"  seals({options}): {gap}; lets in {seen}", flush=True)


if __name__ == "__main__":
    main()
