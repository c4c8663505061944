"""Rows a second while fine-tuning: our classifier beside the plain `transformers.Trainer` loop.

Both fine-tune the packaged MiniLM on the same rows for the same number of epochs, with the same batch size,
threads and learning rate, and are measured on the same held-out rows of banking77. `Trainer` itself wants the
package accelerate, so its loop is written out: random batches padded to their longest text, AdamW with linear
warm-up and decay, clipped gradients, in float32 as it comes. Seconds are those of the clock, and CPU seconds
beside them, which other work on the machine disturbs less.

    python tests/benchmarks/fine_tuning.py [rows] [epochs] [turns]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import packs
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

from backend.encoders.checkpoint import PACKAGED, locate
from backend.encoders.sentence import MINILM
from backend.models.classifier import Classifier
from strategies.types import Positions

TEST = 1000
BATCH, RATE = 32, 2e-4


@dataclass(frozen=True)
class Run:
    """One fine-tuning: seconds by the clock and of the processor, and accuracy on what was held out."""

    seconds: float
    cpu: float
    accuracy: float


def timed(
    fit: Callable[[], Callable[[Sequence[str]], Positions]], texts: Sequence[str], truth: Positions
) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    predict = fit()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Run(wall, cpu, float((predict(texts) == truth).mean()))


def plain(
    texts: Sequence[str], targets: Positions, classes: int, epochs: int, seed: int
) -> Callable[[Sequence[str]], Positions]:
    """What `Trainer` does."""
    folder = str(locate(PACKAGED, MINILM))
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=classes)
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
            batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            loss = model(**batch, labels=torch.from_numpy(targets[rows.numpy()])).loss
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
                batch = tokenizer(list(asked[start : start + 64]), padding=True, return_tensors="pt")
                found.append(model(**batch).logits.argmax(dim=1).numpy())
        return np.concatenate(found)

    return predict


def ours(
    texts: Sequence[str], targets: Positions, classes: int, epochs: int, seed: int
) -> Callable[[Sequence[str]], Positions]:
    labels = [str(target) for target in range(classes)]
    model = Classifier(labels, epochs=epochs, batch=BATCH, rate=RATE, device="cpu")
    model.fit(texts, targets, seed=seed)
    return lambda asked: model.predict(asked).mean.argmax(axis=1)


def main() -> None:
    rows, epochs, turns = (
        int(sys.argv[place]) if len(sys.argv) > place else default
        for place, default in ((1, 1000), (2, 3), (3, 3))
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    pool, _ = packs.banking77()
    names = sorted({label for _, label in pool})
    found: dict[str, list[Run]] = {"plain loop": [], "nextlabel": []}
    for turn in range(turns):
        order = np.random.default_rng([turn, 7]).permutation(len(pool))
        test, train = order[:TEST], order[TEST : TEST + rows]
        texts = [pool[row][0] for row in train]
        targets = np.array([names.index(pool[row][1]) for row in train])
        held = [pool[row][0] for row in test]
        truth = np.array([names.index(pool[row][1]) for row in test])
        for name, fit in (("plain loop", plain), ("nextlabel", ours)):
            run = timed(lambda: fit(texts, targets, len(names), epochs, turn), held, truth)  # noqa: B023
            found[name].append(run)
    bfloat16 = torch.cpu._is_avx512_bf16_supported()
    print(f"banking77, {rows} rows, {epochs} epochs; {torch.get_num_threads()} threads, bfloat16 {bfloat16}")
    for name, runs in found.items():
        speed = statistics.median(rows * epochs / run.seconds for run in runs)
        cpu = statistics.median(rows * epochs / run.cpu for run in runs)
        accuracy = statistics.mean(run.accuracy for run in runs)
        print(f"  {name:10s} {speed:7.1f} rows/s   {cpu:7.1f} rows/CPU s   accuracy {accuracy:.3f}")
    for title, field in (("clock", "seconds"), ("CPU", "cpu")):
        ratio = statistics.median(
            getattr(base, field) / getattr(mine, field)
            for base, mine in zip(found["plain loop"], found["nextlabel"], strict=True)
        )
        print(f"  ratio by {title} {ratio:.2f} (median of {turns} turns)")


if __name__ == "__main__":
    main()
