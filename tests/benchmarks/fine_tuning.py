"""The fine-tuned classifier beside the linear head (accuracy) and beside the plain Trainer loop (speed).

    python tests/benchmarks/fine_tuning.py accuracy snips --rows 500
    python tests/benchmarks/fine_tuning.py accuracy banking77
    python tests/benchmarks/fine_tuning.py speed --rows 1000 --epochs 3 --plain-epochs 10 --turns 3
    python tests/benchmarks/fine_tuning.py speed --rows 10003 --device cuda

`accuracy`: the packaged MiniLM fine-tuned on some or all rows, and the proxy (a linear head on the same
MiniLM's frozen embeddings, its strength by cross-validation) on the same rows; both on the data's own test.

`speed`: rows a second of training, ours and those of the loop of `transformers.Trainer`, on banking77.
`Trainer` itself wants the package accelerate, so its loop is written out: random batches padded to their
longest text, AdamW with linear warm-up and decay, clipped gradients, in float32 as it comes. A head that
starts from nothing needs more epochs: it is given so many that it is as accurate. Seconds are those of the
clock, and CPU seconds beside them, which other work on the machine disturbs less; the loops take turns.

What was measured is kept, so a run that was cut short goes on; a fine-tuning itself goes on too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import packs
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

from backend.encoders.arithmetic import has_bfloat16
from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.sentence import MINILM
from backend.models import answers, make
from backend.models.classifier import Classifier
from strategies.types import Positions

BATCH, RATE = 32, 2e-4
KEPT = packs.CACHE / "fine_tuning"


@dataclass(frozen=True)
class Run:
    """One fine-tuning: seconds by the clock and of the processor, and accuracy on what was held out."""

    seconds: float
    cpu: float
    accuracy: float
    rows: int


def timed(
    fit: Callable[[], Callable[[Sequence[str]], Positions]], texts: Sequence[str], truth: Positions, rows: int
) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    predict = fit()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Run(wall, cpu, float((predict(texts) == truth).mean()), rows)


def plain(
    texts: Sequence[str], targets: Positions, classes: int, epochs: int, seed: int, device: str
) -> Callable[[Sequence[str]], Positions]:
    """What `Trainer` does."""
    folder = str(locate(PACKAGED, MINILM))
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    steps = -(-len(texts) // BATCH) * epochs
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))
    )
    ids = tokenizer(list(texts), truncation=True, max_length=256)["input_ids"]
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(texts)).split(BATCH):
            batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt").to(device)
            loss = model(**batch, labels=torch.from_numpy(targets[rows.numpy()]).to(device)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

    def predict(asked: Sequence[str]) -> Positions:
        model.eval()
        found = []
        with torch.inference_mode():
            for start in range(0, len(asked), 64):
                batch = tokenizer(list(asked[start : start + 64]), padding=True, return_tensors="pt").to(
                    device
                )
                found.append(model(**batch).logits.argmax(dim=1).cpu().numpy())
        return np.concatenate(found)

    return predict


def ours(
    texts: Sequence[str],
    targets: Positions,
    classes: int,
    epochs: int | None,
    seed: int,
    device: str,
    checkpoints: Path | None = None,
) -> Callable[[Sequence[str]], Positions]:
    labels = [str(target) for target in range(classes)]
    model = Classifier(labels, epochs=epochs, batch=BATCH, rate=RATE, device=device)
    model.fit(texts, targets, seed=seed, checkpoints=checkpoints)
    return lambda asked: model.predict(asked).mean.argmax(axis=1)


def kept(name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured under `name`, now or before."""
    file = KEPT / f"{name}.json"
    if not file.is_file():
        found = measure()
        KEPT.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def accuracy(name: str, rows: int | None, epochs: int | None, turns: int, device: str) -> None:
    """Print both accuracies on the test part of the data set `name`."""
    (pool, test), data = packs.SETS[name][0](), packs.encoded(name)
    rows = min(rows or len(pool), len(pool))
    found: dict[str, list[float]] = {"linear head": [], "fine-tuned": []}
    for turn in range(turns):
        train = np.random.default_rng([turn, 11]).permutation(len(pool))[:rows]
        texts, targets = [pool[row][0] for row in train], data.answers[train]

        def linear() -> dict[str, Any]:
            head = make("linear", {}, classes=data.classes)
            head.fit(data.pool[train], targets, seed=turn)  # noqa: B023 - called at once
            return {"accuracy": float((answers(head, data.test).targets == data.truth).mean())}

        def fine_tuned() -> dict[str, Any]:
            held = [text for text, _ in test]
            state = KEPT / f"{name}-{rows}-{turn}"  # noqa: B023
            run = timed(
                lambda: ours(texts, targets, data.classes, epochs, turn, device, state),  # noqa: B023
                held,
                data.truth,
                rows,
            )
            return asdict(run)

        for title, measure in (("linear head", linear), ("fine-tuned", fine_tuned)):
            key = f"{name}-{rows}-{epochs}-{turn}-{title.replace(' ', '-')}{suffix(device)}"
            found[title].append(kept(key, measure)["accuracy"])
            print(f"{name}, {rows} rows, turn {turn}: {title} {found[title][-1]:.4f}", flush=True)
    gains = [mine - base for base, mine in zip(found["linear head"], found["fine-tuned"], strict=True)]
    print(
        f"{name}, {rows} rows: linear head {statistics.mean(found['linear head']):.4f}, fine-tuned "
        f"{statistics.mean(found['fine-tuned']):.4f}; ahead by {statistics.mean(gains):+.4f} "
        f"(least {min(gains):+.4f} of {turns})"
    )


def suffix(device: str) -> str:
    """What a kept file's name says of a device; nothing of a processor."""
    return "" if device == "cpu" else f"-{device.replace(':', '')}"


def speed(rows: int, epochs: int, plain_epochs: int, turns: int, test: int, device: str) -> None:
    """Print rows a second of both loops, their ratio, and how accurate what they trained is."""
    pool, held_out = packs.banking77()
    names = sorted({label for _, label in pool})
    found: dict[str, list[Run]] = {"plain loop": [], "nextlabel": []}
    torch.ones(2, 2, device=device).matmul(torch.ones(2, 2, device=device))  # wakes the device up
    for turn in range(turns):
        train = np.random.default_rng([turn, 7]).permutation(len(pool))[:rows]
        asked = np.random.default_rng([turn, 8]).permutation(len(held_out))[:test]
        texts = [pool[row][0] for row in train]
        targets = np.array([names.index(pool[row][1]) for row in train])
        held = [held_out[row][0] for row in asked]
        truth = np.array([names.index(held_out[row][1]) for row in asked])
        for title, fit, times in (("plain loop", plain, plain_epochs), ("nextlabel", ours, epochs)):
            key = f"speed-{rows}-{times}-{test}-{turn}-{torch.get_num_threads()}-{title.replace(' ', '-')}"
            key += suffix(device)
            run = kept(
                key,
                lambda: asdict(
                    timed(
                        lambda: fit(texts, targets, len(names), times, turn, device),  # noqa: B023
                        held,  # noqa: B023
                        truth,  # noqa: B023
                        rows * times,  # noqa: B023
                    )
                ),
            )
            found[title].append(Run(**run))
            print(f"turn {turn}: {title} {run}", flush=True)
    where = torch.cuda.get_device_name() if device != "cpu" else f"{torch.get_num_threads()} threads"
    print(f"banking77, {rows} rows; {where}, bfloat16 {has_bfloat16(device)}")
    for title, runs in found.items():
        by_clock = statistics.median(run.rows / run.seconds for run in runs)
        by_cpu = statistics.median(run.rows / run.cpu for run in runs)
        mean = statistics.mean(run.accuracy for run in runs)
        print(
            f"  {title:10s} {by_clock:7.1f} rows/s {by_cpu:7.1f} rows/CPU s  accuracy {mean:.3f}  "
            f"{runs[0].rows // rows} epochs in {statistics.median(run.cpu for run in runs):.0f} CPU s"
        )
    for title, field in (("clock", "seconds"), ("CPU", "cpu")):
        ratio = statistics.median(
            (mine.rows / getattr(mine, field)) / (base.rows / getattr(base, field))
            for base, mine in zip(found["plain loop"], found["nextlabel"], strict=True)
        )
        print(f"  rows a second, ratio by {title}: {ratio:.2f} (median of {turns} turns)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parts = parser.add_subparsers(dest="part", required=True)
    first = parts.add_parser("accuracy")
    first.add_argument("name", choices=["snips", "banking77"])
    first.add_argument("--rows", type=int, default=None, help="all where it is not given")
    first.add_argument("--epochs", type=int, default=None)
    first.add_argument("--turns", type=int, default=1)
    second = parts.add_parser("speed")
    second.add_argument("--rows", type=int, default=1000)
    second.add_argument("--epochs", type=int, default=3)
    second.add_argument("--plain-epochs", type=int, default=10)
    second.add_argument("--turns", type=int, default=3)
    second.add_argument("--test", type=int, default=1000)
    for part in (first, second):
        part.add_argument("--device", default="cpu", help="cpu or cuda")
    asked = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if asked.part == "accuracy":
        accuracy(asked.name, asked.rows, asked.epochs, asked.turns, asked.device)
    else:
        speed(asked.rows, asked.epochs, asked.plain_epochs, asked.turns, asked.test, asked.device)


if __name__ == "__main__":
    main()
