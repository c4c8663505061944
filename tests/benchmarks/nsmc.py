"""Numbers: stars of Korean film reviews, by the target `ngram` on all labels and by the proxy with few.

    python tests/benchmarks/nsmc.py [--seeds 5] [--strategies auto] [--budget 2000] [--batch 100] [--dev]

A hash of the text says what measures (a fifth) and, with --dev, what is tuned on (another fifth) instead.
The target learns all the others. For labels saved each seed cuts another pool of 10,000 from the others;
every strategy begins by itself, without a label; the proxy is the linear head for numbers on embeddings of
the encoder `ngram`. Beside the target: the proxy on the same labels, and everybody's mean.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import packs
from label_figures import area, interval, saving
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.domain import silent
from backend.encoders import make as make_encoder
from backend.labels.forms import Form
from backend.models import answers, make
from backend.models.targets import make_target
from backend.simulate.form_scores import score
from backend.simulate.plan import own_beginning, split_names
from strategies import ArrayPool, build
from strategies.types import Floats

POOL = 10_000
COLD_LABELS = 20
SHOWN = (100, 200, 400, 600, 1000, 1500, 2000)
WITHIN = 1.6448536
ENCODER = {"dimension": 1024}


@dataclass(frozen=True)
class Reviews:
    """Texts, stars (n,), and which fifth each text's hash falls into (n,)."""

    texts: list[str]
    stars: NDArray[np.float64]
    fifth: NDArray[np.int64]


def reviews() -> Reviews:
    """Read the pack, each text once."""
    file = next(packs.unpack("nsmc_stars_a").rglob("nsmc_a.tsv"))
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").split("\n")[1:] if line.strip()]
    stars: dict[str, int] = {}
    for _, _, given, text in rows:
        if text.strip():
            stars.setdefault(text.strip(), int(given))
    fifth = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10 // 2 for text in stars]
    return Reviews(list(stars), np.array(list(stars.values()), float), np.array(fifth))


def embeddings(data: Reviews) -> Floats:
    """Encode every text, once."""
    encoder = make_encoder("ngram", ENCODER)
    kept = packs.CACHE / "encoded" / f"nsmc-{encoder.fingerprint}.npy"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(f"{kept}.unfinished.npy")
        np.save(unfinished, encoder.encode(data.texts))
        unfinished.replace(kept)
    rows: Floats = np.load(kept)
    return rows


def all_labels(data: Reviews, rows: Floats, measured: int, left_out: set[int]) -> None:
    """Fit the target, and beside it the proxy, on all labels that are neither measured nor left out."""
    test = np.flatnonzero(data.fifth == measured)
    train = np.flatnonzero((data.fifth != measured) & ~np.isin(data.fifth, list(left_out)))
    truth = data.stars[test]
    print(f"all labels: {len(train):,} reviews, measured on {len(test):,} others")
    mean = np.full(len(test), data.stars[train].mean())
    print(f"{'everybody their mean':28s} Spearman  .000  MAE {np.abs(truth - mean).mean():.3f}")
    proxy = make("linear", {}, classes=0, form=Form.NUMBER)
    target = make_target("ngram", {}, labels=(), form=Form.NUMBER)
    asked = [data.texts[row] for row in test]
    for name in ("proxy on the encoder ngram", "target ngram"):
        begun = time.process_time()
        if name.startswith("proxy"):
            proxy.fit(rows[train], data.stars[train], seed=0)
            found = proxy.predict(rows[test])
        else:
            target.fit([data.texts[row] for row in train], data.stars[train], seed=0, progress=silent)
            found = target.predict(asked)
        took = time.process_time() - begun
        scores = score(Form.NUMBER, truth, found.mean.astype(float))
        inside = (np.abs(truth - found.mean) <= WITHIN * found.sd).mean()
        print(
            f"{name:28s} Spearman {scores['spearman']:.3f}  MAE {-scores['negative_mae']:.3f}  "
            f"{inside:.1%} within the 90 % interval  ({took:.0f} s of CPU)",
            flush=True,
        )


def curve(
    strategy: str, seed: int, rows: Floats, stars: Floats, test: tuple[Floats, Floats], plan: list[int]
) -> NDArray[np.float64]:
    """Replay one strategy under one seed: Spearman and MAE (budgets,), at the label counts of `plan`."""
    built = own_beginning(build(strategy), build("typicality"), COLD_LABELS)
    rng = np.random.default_rng([seed, 2])
    pool, found = ArrayPool(rows, np.zeros(len(rows), bool)), []
    for goal in plan:
        while (count := int(pool.labelled.sum())) < goal:
            wanted = min(goal - count, COLD_LABELS if count < COLD_LABELS else goal - count)
            pool = pool.label(built(pool, pool.candidates, wanted, rng).positions)
            known = np.flatnonzero(pool.labelled)
            head = make("linear", {}, classes=0, form=Form.NUMBER)
            head.fit(rows[known], stars[known], seed=seed)
            pool = pool.label([], model=head.predict)
        scores = score(Form.NUMBER, test[1], answers(head, test[0]).targets)
        found.append((scores["spearman"], scores["negative_mae"]))
    return np.array(found).T


def main() -> None:
    """Fit on all labels, then replay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", type=split_names, default=["auto"])
    parser.add_argument("--seeds", type=int, default=5, help="0: all labels alone")
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--dev", action="store_true", help="measure on the fifth for tuning")
    args = parser.parse_args()
    data = reviews()
    rows = embeddings(data)
    measured, left_out = (1, {0}) if args.dev else (0, set())
    plan = list(range(args.batch, args.budget + 1, args.batch))
    with threadpool_limits(1):
        all_labels(data, rows, measured, left_out)
        if args.seeds == 0:
            return
        test = np.flatnonzero(data.fifth == measured)
        others = np.flatnonzero((data.fifth != measured) & ~np.isin(data.fifth, list(left_out)))
        curves: dict[str, list[NDArray[np.float64]]] = {}
        for seed in range(args.seeds):
            kept = np.random.default_rng([seed, 7]).permutation(others)[:POOL]
            for name in ["random", *args.strategies]:
                played = curve(name, seed, rows[kept], data.stars[kept], (rows[test], data.stars[test]), plan)
                curves.setdefault(name, []).append(played)
    shown = [plan.index(count) for count in SHOWN if count in plan]
    print(f"\nSpearman by labels, mean of {args.seeds} seeds; pool of {POOL:,}")
    print(f"{'labels':36s}" + "".join(f"{plan[at]:>8,}" for at in shown) + "    area     MAE  saved")
    base = np.array(curves["random"])
    for name, each in curves.items():
        found = np.array(each)
        mean, errors = found[:, 0].mean(axis=0), -found[:, 1].mean(axis=0)
        line = f"{name:36s}" + "".join(f"{mean[at]:8.3f}" for at in shown)
        line += f"  {area(plan, mean):.4f}  {area(plan, errors):.3f}"
        if name != "random":
            saved = saving(np.array(plan), found[:, 0], base[:, 0])
            pairs = zip(found[:, 0], base[:, 0], strict=True)
            lead = interval([area(plan, a) - area(plan, b) for a, b in pairs])
            line += f"  {saved.share:5.0%}   ahead by {lead.mean:+.4f} ({lead.low:+.4f} to {lead.high:+.4f})"
        print(line)


if __name__ == "__main__":
    main()
