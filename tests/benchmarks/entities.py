"""Entities: tokens to read for 95 % of the all-data F1 beside random order, refits, and offsets.

    python tests/benchmarks/entities.py labels --set wnut17 --seeds 5
    python tests/benchmarks/entities.py live --seeds 3
    python tests/benchmarks/entities.py refit
    python tests/benchmarks/entities.py offsets

What was played and encoded is kept in ~/.cache/nextlabel/entities: a run that was cut short goes on. `--rows`
takes that many texts of the pool, for machines that are busy. F1 is that of exact spans on the makers' test
part (or on their development part with --dev, where strategies were compared).

Both orders begin with the same 100 random texts. A batch is 25 texts, or 15 % of what is labelled where
that is more: a live project ranks again after every label, and the first batches matter most. F1 by tokens is
noisy and flat where the goal lies, so that where it first touches the goal is luck; the goal is read off the
rising curve that fits best (isotonic regression), in both orders alike.

`live` plays the sentences of `make demo KIND=entities` as a project does: from no label, a round after each.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from packs import CACHE, unpack

from backend.demo.mentions import mention_material
from backend.domain import Progress, silent
from backend.encoders import make
from backend.encoders.arithmetic import unit
from backend.encoders.token_encoder import token_encoder
from backend.encoders.words import split
from backend.labels import read
from backend.labels.forms import Form, Span, Targets, gather
from backend.models import answers
from backend.models.spans import SpansHead
from backend.simulate.conll_file import Marked, read_conll
from backend.simulate.replay import Plan
from backend.simulate.span_job import SpanJob, Texts, span_f1
from backend.simulate.token_cache import encode_words

# the walk of test_words is the slow twin here too
sys.path.append(str(Path(__file__).parents[1] / "backend"))
HOME = CACHE / "entities"
SHARE = 0.95
PLANS = {"snips_bio": Plan(100, 25, 2500, 0.15), "wnut17": Plan(100, 25, 2500, 0.15)}
LONGER = {"snips_bio": 4000, "wnut17": 2500}
"""Texts that random order is given to reach the goal in."""
HEAD = 2  # part of what is kept: raise it whenever the head learns otherwise
STRATEGY = "gist_coverage"
CONFIG = """<View><Labels name="ner" toName="text"><Label value="x"/></Labels>
<Text name="text" value="$text"/></View>"""


def snips(part: str) -> list[Marked]:
    """Read commands to an assistant with their slots."""
    root = unpack("snips_bio") / "data" / "snips" / part
    columns = [(root / name).read_text("utf-8").splitlines() for name in ("seq.in", "seq.out")]
    made = HOME / f"snips-{part}.conll"
    made.parent.mkdir(parents=True, exist_ok=True)
    texts = [
        "\n".join(map("\t".join, zip(a.split(), b.split(), strict=True)))
        for a, b in zip(*columns, strict=True)
    ]
    made.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return read_conll(made)


def parts(name: str, *, dev: bool) -> tuple[list[Marked], list[Marked]]:
    """Give the pool and what measures."""
    if name == "snips_bio":
        return snips("train"), snips("valid" if dev else "test")
    root = unpack("wnut17")
    measured = "emerging.dev.conll" if dev else "emerging.test.annotated"
    return read_conll(root / "wnut17train.conll"), read_conll(root / measured)


def prepared(
    name: str, rows: int | None, *, dev: bool, progress: Progress = silent
) -> tuple[Texts, Texts, int]:
    """Encode both parts; a text's embedding is the mean of its words'."""
    pool, test = parts(name, dev=dev)
    if rows is not None and rows < len(pool):
        pool = random.Random(0).sample(pool, rows)
    labels = sorted({label for each in [*pool, *test] for *_, label in each.spans})
    encoder = make("sentence", {})

    def texts(marked: list[Marked]) -> Texts:
        tokens = encode_words([each.text for each in marked], encoder, HOME, progress=progress)
        sums = np.zeros((len(marked), tokens.values.shape[1]), np.float32)
        np.add.at(sums, np.repeat(np.arange(len(marked)), np.diff(tokens.starts)), tokens.values)
        return Texts(unit(sums), tokens, targets(marked, labels))

    return texts(pool), texts(test), len(labels)


def targets(marked: list[Marked], labels: list[str]) -> Targets:
    """Turn spans into targets."""
    place = {label: at for at, label in enumerate(labels)}
    return gather(
        Form.SPANS, [tuple(Span(a, b, place[label]) for a, b, label in each.spans) for each in marked], 0
    )


def kept(file: Path, make_steps: object) -> list[dict[str, float]]:
    """Read the steps out of `file`, or make and keep them."""
    if file.is_file():
        found: list[dict[str, float]] = json.loads(file.read_text())
        return found
    steps: list[dict[str, float]] = list(make_steps())  # type: ignore[operator]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(steps))
    return steps


def rising(values: list[float]) -> list[float]:
    """Fit a curve that never falls, by least squares: neighbours that fall are averaged until none does."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] >= mean:
            before, many = blocks.pop()
            mean, count = (mean * count + before * many) / (count + many), count + many
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]


def needed(steps: list[dict[str, float]], goal: float, key: str) -> float:
    """Where the rising curve reaches `goal`, on straight lines; infinite where never."""
    before = None
    for step, height in zip(steps, rising([step["span_f1"] for step in steps]), strict=True):
        if height >= goal:
            if before is None:
                return step[key]
            place, low = before
            return place + (goal - low) / (height - low) * (step[key] - place)
        before = step[key], height
    return float("inf")


def labels(asked: argparse.Namespace) -> None:
    """Play every seed of both orders; print tokens and texts needed, and their ratio, paired."""
    pool, test, classes = prepared(asked.set, asked.rows, dev=asked.dev, progress=_told)
    tag = f"{asked.set}-{len(pool.answers)}{'-dev' if asked.dev else ''}-head{HEAD}"
    head = SpansHead(classes, calibrate=False)

    def fitted_on_all() -> list[dict[str, float]]:
        head.fit(pool.tokens, pool.answers, seed=0)
        return [{"span_f1": span_f1(test.answers, answers(head, test.tokens).targets)[0]}]

    best = kept(HOME / "played" / f"{tag}-all.json", fitted_on_all)[0]["span_f1"]
    goal = SHARE * best
    plan = PLANS[asked.set]
    plan = replace(plan, batch=asked.batch, budget=min(asked.budget or plan.budget, len(pool.answers)))
    print(f"{tag}: {len(pool.answers):,} texts, {len(pool.tokens.offsets):,} tokens; all-data F1 {best:.3f}")
    job = SpanJob(pool, test, classes, plan, "typicality", 20, ("linear", {"calibrate": False}))
    curves: dict[str, list[list[dict[str, float]]]] = {}
    for seed in range(asked.seeds):
        for name in ("random", *asked.strategies):
            most = LONGER[asked.set] if name == "random" and not asked.budget else plan.budget
            ours = replace(job, plan=replace(plan, budget=min(most, len(pool.answers))))
            file = f"{tag}-{plan.batch}-{plan.growth}-{ours.plan.budget}-{name}-{seed}.json"
            steps = kept(
                HOME / "played" / file,
                lambda n=name, s=seed, j=ours: [x.plain() for x in j.play(n, s, (pool, test))],
            )
            curves.setdefault(name, []).append(steps)
    report(curves, goal)


def report(curves: dict[str, list[list[dict[str, float]]]], goal: float) -> None:
    """Print for each strategy what it needs, and by seed the share of what random order needs.

    Where random order does not get there, a share is below that of all it was given (<).
    """
    base = [needed(steps, goal, "tokens") for steps in curves["random"]]
    given = [min(tokens, steps[-1]["tokens"]) for tokens, steps in zip(base, curves["random"], strict=True)]
    for name, by_seed in curves.items():
        tokens = [needed(steps, goal, "tokens") for steps in by_seed]
        texts = [needed(steps, goal, "labels") for steps in by_seed]
        shares = [
            f"{'<' if np.isinf(whole) else ''}{mine / least:.0%}"
            for mine, whole, least in zip(tokens, base, given, strict=True)
        ]
        below = "<" if np.isinf(np.median(base)) else ""
        print(
            f"{name}: {np.median(tokens):,.0f} tokens ({np.median(texts):,.0f} texts) for F1 {goal:.3f}, "
            f"{below}{np.median(tokens) / np.median(given):.0%} of random order's; by seed "
            f"{' '.join(shares)}; tokens by seed {' '.join(f'{each:,.0f}' for each in tokens)}; "
            f"F1 at the end {np.mean([steps[-1]['span_f1'] for steps in by_seed]):.3f}"
        )


def live(asked: argparse.Namespace) -> None:
    """Play a round after each label; print F1 by labels, and as a multiple of random order's."""
    material = mention_material()
    encoder = make("sentence", {})

    def texts(marked: list[Marked]) -> Texts:
        tokens = encode_words([each.text for each in marked], encoder, HOME, progress=_told)
        rows = encoder.encode([each.text for each in marked])
        return Texts(rows, tokens, targets(marked, list(material.labels)))

    pool, test = texts(list(material.tasks)), texts(list(material.held_out))
    plan = Plan(0, 1, asked.budget or 150)
    job = SpanJob(pool, test, len(material.labels), plan, "typicality", 20, ("linear", {}))
    shown = [count for count in (20, 40, 60, 80, 100, 120, 150) if count <= plan.budget]
    base: dict[int, float] | None = None
    print(f"{len(pool.answers):,} texts; F1 (and its multiple of random order's) by labels")
    for name in ("random", *asked.strategies):
        curves = [
            {step.labels: step.span_f1 for step in job.play(name, seed, (pool, test))}
            for seed in range(asked.seeds)
        ]
        mean = {count: float(np.mean([each[count] for each in curves])) for count in shown}
        base = base or mean
        told = "  ".join(f"{count}: {mean[count]:.3f} ({mean[count] / base[count]:.2f})" for count in shown)
        print(f"{name:32s}{told}", flush=True)


def refit(asked: argparse.Namespace) -> None:
    """Time fits on 1,000 sentences of snips_bio, wall and CPU, beside one without calibration."""
    pool, _, classes = prepared("snips_bio", asked.rows or 1000, dev=True, progress=_told)
    rows = np.arange(min(1000, len(pool.answers)))
    tokens, truth = pool.tokens.take(rows), pool.answers[rows]
    for calibrate in (True, False):
        head = SpansHead(classes, calibrate=calibrate)
        wall, cpu = time.perf_counter(), time.process_time()
        head.fit(tokens, truth, seed=0)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"refit at {len(rows):,} sentences, calibrated {calibrate}: {wall:.1f} s, of CPU {cpu:.1f} s")


def offsets(asked: argparse.Namespace) -> None:
    """Check places on random Unicode: words against a walk, what is embedded, and the way through results."""
    from test_words import HARD, twin

    rng, kind, wrong = random.Random(asked.seeds), read(CONFIG), 0
    words = token_encoder(make("sentence", {}))
    embedded = 0
    for start in range(0, asked.count, 500):
        texts = [_text(rng, HARD) for _ in range(min(500, asked.count - start))]
        starts, places = split(texts)
        for at, text in enumerate(texts):
            found = places[starts[at] : starts[at + 1]].tolist()
            spans = tuple(Span(a, b, 0) for a, b in found)
            back = kind.target(json.loads(json.dumps(kind.results(spans, 1.0, text))))
            quoted = [item["value"]["text"] for item in kind.results(spans, 1.0, text)]
            wrong += found != twin(text) or back != spans or quoted != [text[a:b] for a, b in found]
        if start % 10_000 == 0:
            tokens = words.encode_tokens(texts)
            wrong += int(tokens.offsets.tolist() != places.tolist() or not np.isfinite(tokens.values).all())
            embedded += len(texts)
    print(f"{asked.count:,} random Unicode texts: {wrong} with a wrong place; {embedded:,} embedded too")


def _text(rng: random.Random, hard: str) -> str:
    """Draw characters of all planes, and many of those that are hard."""

    def one() -> str:
        if rng.random() < 0.6:
            return rng.choice(hard)
        return chr(rng.randrange(rng.choice((0x110000, 0x3000))))

    return "".join(one() for _ in range(rng.randrange(24)))


def _told(step: str, done: int, total: int | None) -> None:
    print(f"\r{step} {done} of {total}", end="" if done != total else "\n", file=sys.stderr)


def main() -> None:
    """Read what is asked."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("what", choices=["labels", "live", "refit", "offsets"])
    reader.add_argument("--set", choices=list(PLANS), default="wnut17")
    reader.add_argument("--strategies", nargs="*", default=[STRATEGY])
    reader.add_argument("--seeds", type=int, default=5)
    reader.add_argument("--rows", type=int)
    reader.add_argument("--batch", type=int, default=25)
    reader.add_argument("--budget", type=int)
    reader.add_argument("--count", type=int, default=100_000)
    reader.add_argument("--dev", action="store_true")
    asked = reader.parse_args()
    {"labels": labels, "live": live, "refit": refit, "offsets": offsets}[asked.what](asked)


if __name__ == "__main__":
    main()
