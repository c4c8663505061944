"""Tags: goemotions (28 tags, several a text), macro-F1 by labels, and how soon rare tags are found.

    python tests/benchmarks/goemotions.py [--seeds 5] [--strategies auto] [--budget 5000] [--batch 200]
    python tests/benchmarks/goemotions.py --without-names --without-words

Each seed cuts another pool of 10,000 from the makers' train part; their test part measures. Every strategy
begins by itself, without a label; the proxy is the linear head for tags on MiniLM embeddings. Random order's
time to find a tag is exact: of c rows among n, the 20th comes after 20 (n + 1) / (c + 1) on average. Replays
are kept in ~/.cache/nextlabel/goemotions under strategy, seed, plan, and what strategy and proxy do on a
small part of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import packs
from label_figures import area, interval, saving
from threadpoolctl import threadpool_limits

from backend.encoders import make as make_encoder
from backend.encoders.naming import label_embeddings
from backend.labels.forms import Form
from backend.models import answers, make
from backend.models.ngram_view import hashed, say
from backend.simulate.form_scores import score
from backend.simulate.plan import own_beginning, split_names
from strategies import ArrayPool, build
from strategies.types import Floats, Mask, Positions

POOL = 10_000
RARE, WANTED = 0.01, 20
COLD_LABELS = 20
SHOWN = (100, 200, 400, 600, 1000, 1600, 2000, 3000, 4000, 5000)


@dataclass(frozen=True)
class Encoded:
    """Embeddings (n, d) and tags (n, 28) of the makers' train and test part; the train part's texts."""

    rows: Floats
    tags: Mask
    test: Floats
    truth: Mask
    names: tuple[str, ...]
    named: Floats | None
    texts: tuple[str, ...] | None


@dataclass(frozen=True)
class Job:
    """What a kept replay depends on."""

    strategy: str
    seed: int
    budget: int
    batch: int
    behaviour: str

    @property
    def path(self) -> Path:
        key = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]
        return packs.CACHE / "goemotions" / f"{key}.json"


def encoded() -> Encoded:
    """Give the data set, encoded on first use."""
    folder = packs.unpack("goemotions") / "data" / "original"
    names = tuple((folder / "labels.txt").read_text(encoding="utf-8").split())
    encoder = make_encoder("sentence", {})
    kept = packs.CACHE / "encoded" / f"goemotions-{encoder.fingerprint}.npz"
    if not kept.is_file():
        arrays: dict[str, Any] = {}
        for part in ("train", "test"):
            lines = lines_of(folder, part)
            tags = np.zeros((len(lines), len(names)), bool)
            for row, (_, labels, _) in enumerate(lines):
                tags[row, [int(label) for label in labels.split(",")]] = True
            arrays |= {part: encoder.encode([text for text, _, _ in lines]), f"{part}_tags": tags}
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_name(f".{kept.stem}.{os.getpid()}.npz")
        np.savez(unfinished, **arrays)
        unfinished.replace(kept)
    with np.load(kept) as file:
        named = label_embeddings(names, encoder)
        texts = tuple(text for text, _, _ in lines_of(folder, "train"))
        return Encoded(
            file["train"], file["train_tags"], file["test"], file["test_tags"], names, named, texts
        )


def lines_of(folder: Path, part: str) -> list[list[str]]:
    """Read text, tags and id of each line."""
    lines = (folder / f"{part}.tsv").read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line.strip()]


def kept_in(data: Encoded, seed: int) -> Positions:
    """Draw the rows of the pool of `seed`."""
    return np.random.default_rng([seed, 7]).permutation(len(data.rows))[:POOL]


def view(texts: Sequence[str], tags: Mask) -> Callable[[Positions, Positions, Positions], Floats]:
    """Make what asks the n-grams of a pool's texts about its tags."""
    ngrams = hashed(texts)
    return lambda rows, asked, known: say(lambda some: ngrams[some], rows, known, tags[np.ix_(known, asked)])


def play(job: Job, data: Encoded) -> dict[str, Any]:
    """Replay one strategy under one seed: labels, macro- and micro-F1, and the tags in labelling order."""
    kept = kept_in(data, job.seed)
    rows, tags = data.rows[kept], data.tags[kept]
    words = None if data.texts is None else view([data.texts[row] for row in kept], tags)
    strategy = own_beginning(build(job.strategy), build("typicality"), COLD_LABELS)
    rng = np.random.default_rng([job.seed, 2])
    pool = ArrayPool(rows, np.zeros(POOL, bool), label_embeddings=data.named, view=words)
    order = np.empty(0, np.int64)
    found: dict[str, Any] = {"labels": [], "macro_f1": [], "micro_f1": []}
    begun = time.process_time()
    while len(order) < job.budget:
        # the cold start is for the first labels alone
        wanted = COLD_LABELS if len(order) == 0 else job.batch - len(order) % job.batch
        chosen = strategy(pool, pool.candidates, min(wanted, job.budget - len(order)), rng).positions
        order = np.concatenate([order, chosen])
        pool = pool.label(chosen)
        known = np.flatnonzero(pool.labelled)
        head = make("linear", {}, classes=tags.shape[1], form=Form.TAGS)
        head.fit(rows[known], tags[known], seed=job.seed)
        pool = pool.label([], model=head.predict)
        scores = score(Form.TAGS, data.truth, answers(head, data.test).targets)
        found["labels"].append(len(order))
        for name, value in scores.items():
            found[name].append(value)
    rare = np.flatnonzero(data.tags.mean(axis=0) < RARE)
    met = np.cumsum(tags[order][:, rare], axis=0) >= WANTED
    times = [int(column.argmax()) + 1 if column.any() else None for column in met.T]
    found["rare"] = {data.names[tag]: found_at for tag, found_at in zip(rare, times, strict=True)}
    found["seconds"] = time.process_time() - begun
    return found


def behaviour(strategy: str, data: Encoded) -> str:
    """Fingerprint what the strategy picks and the proxy predicts, on a small part of the data."""
    rows, tags = data.rows[:800], data.tags[:800]
    head = make("linear", {}, classes=tags.shape[1], form=Form.TAGS)
    head.fit(rows[:200], tags[:200], seed=0)
    words = None if data.texts is None else view(data.texts[:800], tags)
    pool = ArrayPool(rows, np.arange(800) < 200, head.predict, label_embeddings=data.named, view=words)
    picks = build(strategy)(pool, pool.candidates, 20, np.random.default_rng(1)).positions
    told = answers(head, rows[200:]).targets
    return hashlib.sha256(picks.tobytes() + told.tobytes()).hexdigest()[:16]


def report(data: Encoded, results: dict[str, list[dict[str, Any]]]) -> None:
    """Print random and each strategy beside it."""
    random = results["random"]
    labels = np.array(random[0]["labels"])
    shown = [int(np.flatnonzero(labels == count)[0]) for count in SHOWN if count in labels]
    print(f"\nmacro-F1 on the makers' test part, mean of {len(random)} seeds; pool of {POOL:,}")
    print(f"{'labels':44s}" + "".join(f"{labels[at]:>8,}" for at in shown) + "    area  micro  saved")
    for name, found in results.items():
        curves = {key: np.array([each[key] for each in found]) for key in ("macro_f1", "micro_f1")}
        base = np.array([each["macro_f1"] for each in random])
        mean = curves["macro_f1"].mean(axis=0)
        micro = float(np.mean([area(labels, curve) for curve in curves["micro_f1"]]))
        line = f"{name:44s}" + "".join(f"{mean[at]:8.3f}" for at in shown) + f"  {area(labels, mean):.4f}"
        line += f"  {micro:.3f}"
        if name != "random":
            gaps = [area(labels, a) - area(labels, b) for a, b in zip(curves["macro_f1"], base, strict=True)]
            lead, saved = interval(gaps), saving(labels, curves["macro_f1"], base)
            line += f"  {saved.share:5.0%}   ahead by {lead.mean:+.4f} ({lead.low:+.4f} to {lead.high:+.4f})"
        print(line)
    print(f"\nlabels until {WANTED} examples of a tag under {RARE:.0%} are there (pools that have as many)")
    for name, found in results.items():
        if name == "random":
            continue
        for tag in found[0]["rare"]:
            times, expected = [], []
            for seed, each in enumerate(found):
                there = int(data.tags[kept_in(data, seed), data.names.index(tag)].sum())
                if there >= WANTED:
                    times.append(each["rare"][tag] or np.inf)
                    expected.append(WANTED * (POOL + 1) / (there + 1))
            if times:
                ours, order = float(np.median(times)), float(np.median(expected))
                gain = f"{order / ours:.1f} x sooner" if np.isfinite(ours) else "not within the budget"
                told = f"{ours:,.0f}" if np.isfinite(ours) else "-"
                line = f"{name:44s}{tag:16s}{told:>8s}  random order {order:8,.0f}   {gain}"
                print(f"{line}  ({len(times)} pools)")


def main() -> None:
    """Play what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", type=split_names, default=["auto"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--without-names", action="store_true", help="tags are not looked for by their names")
    parser.add_argument("--without-words", action="store_true", help="nor by the n-grams of the texts")
    args = parser.parse_args()
    data = encoded()
    if args.without_names:
        data = replace(data, named=None)
    if args.without_words:
        data = replace(data, texts=None)
    results: dict[str, list[dict[str, Any]]] = {}
    names = ["random", *(name for name in args.strategies if name != "random")]
    with threadpool_limits(1):
        for seed in range(args.seeds):
            for name in names:
                does = behaviour(name, data)
                job = Job(name, seed, args.budget, args.batch, does)
                if not job.path.is_file():
                    played = play(job, data)
                    job.path.parent.mkdir(parents=True, exist_ok=True)
                    unfinished = job.path.with_suffix(f".{os.getpid()}")
                    unfinished.write_text(json.dumps(played), encoding="utf-8")
                    unfinished.replace(job.path)
                    print(f"{name}, seed {seed}: {played['seconds']:.0f} s of CPU", flush=True)
                results.setdefault(name, []).append(json.loads(job.path.read_text(encoding="utf-8")))
    report(data, results)


if __name__ == "__main__":
    main()
