"""The real data sets as benchmarks use them: unpacked once, encoded once, split as their makers split them.

Packs lie in the folder that NEXTLABEL_DATA names, or in shared/data beside the checkout. What is made of
them is kept in ~/.cache/nextlabel.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.encoders import make
from strategies.types import Floats, Positions

CACHE = Path.home() / ".cache" / "nextlabel"

Labelled = list[tuple[str, str]]
"""(text, or path of a picture; class)"""


@dataclass(frozen=True)
class Encoded:
    """A data set in numbers.

    pool, test:     (n, d) and (m, d) embeddings of unit length
    answers, truth: (n,) and (m,), each in [0, classes)
    fingerprint:    changes with any number of them
    """

    name: str
    pool: Floats
    answers: Positions
    test: Floats
    truth: Positions
    classes: int
    fingerprint: str


def folder() -> Path:
    """Where the packs should lie."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("NEXTLABEL_DATA", beside))


def unpack(pack: str) -> Path:
    """Give the folder of what `pack` holds, unpacked on first use; FileNotFoundError where there is none."""
    target = CACHE / "data" / pack
    if target.is_dir():
        return target
    source = folder() / f"{pack}.tar.xz"
    if not source.is_file():
        raise FileNotFoundError(f"no data pack {source}, expected it there or in the folder NEXTLABEL_DATA")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{pack}.{os.getpid()}")
    with tarfile.open(source) as archive:
        archive.extractall(unfinished, filter="data")
    try:
        unfinished.rename(target)
    except OSError:  # somebody else was quicker
        if not target.is_dir():
            raise
    return target


def banking77() -> tuple[Labelled, Labelled]:
    """Questions to a bank, 77 classes: the makers' train and test."""
    root = unpack("banking77") / "banking_data"

    def read(part: str) -> Labelled:
        with (root / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            return [(row["text"], row["category"]) for row in csv.DictReader(file)]

    return read("train"), read("test")


def sms_spam() -> tuple[Labelled, Labelled]:
    """Short messages, 13 % spam, each text once; a fixed fifth is the test, for its makers split nothing."""
    text = (unpack("sms_spam") / "data" / "sms.tsv").read_text(encoding="utf-8")
    pairs = [line.split("\t", 1) for line in text.split("\n") if line.strip()]
    rows = list({message.strip(): label for label, message in reversed(pairs)}.items())
    order = np.random.default_rng(0).permutation(len(rows))
    cut = len(rows) // 5
    return [rows[i] for i in order[cut:]], [rows[i] for i in order[:cut]]


def snips() -> tuple[Labelled, Labelled]:
    """Commands to an assistant, 7 intents: train and valid, and test."""
    root = unpack("snips_bio") / "data" / "snips"

    def read(part: str) -> Labelled:
        texts = (root / part / "seq.in").read_text(encoding="utf-8").splitlines()
        labels = (root / part / "label").read_text(encoding="utf-8").splitlines()
        return [(text.strip(), label.strip()) for text, label in zip(texts, labels, strict=True)]

    return read("train") + read("valid"), read("test")


def cifar10() -> tuple[Labelled, Labelled]:
    """Pictures of 10 kinds of things, by path: 10,000 of train, and a fixed 2,000 of test."""
    root = next(unpack("cifar10_20k").rglob("train")).parent

    def read(part: str) -> Labelled:
        return [(str(path), path.parent.name) for path in sorted((root / part).glob("*/*.jpg"))]

    test = read("test")
    kept = np.sort(np.random.default_rng(0).permutation(len(test))[:2000])
    return read("train"), [test[i] for i in kept]


SETS: dict[str, tuple[Callable[[], tuple[Labelled, Labelled]], str]] = {
    "banking77": (banking77, "sentence"),
    "sms_spam": (sms_spam, "sentence"),
    "snips": (snips, "sentence"),
    "cifar10": (cifar10, "image"),
}
"""How each is read, and the encoder that suits it."""


def encoded(name: str) -> Encoded:
    """Give the data set `name`, encoded on first use."""
    read, encoder_name = SETS[name]
    encoder = make(encoder_name, {})
    kept = CACHE / "encoded" / f"{name}-{encoder.fingerprint}.npz"
    if not kept.is_file():
        pool, test = read()
        names = sorted({label for _, label in pool + test})
        arrays = {
            "pool": encoder.encode([given for given, _ in pool]),
            "test": encoder.encode([given for given, _ in test]),
            "answers": np.array([names.index(label) for _, label in pool]),
            "truth": np.array([names.index(label) for _, label in test]),
            "classes": np.int64(len(names)),
        }
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_name(f".{kept.stem}.{os.getpid()}.npz")
        np.savez(unfinished, **arrays)  # type: ignore[arg-type]
        unfinished.replace(kept)
    with np.load(kept) as file:
        parts = {key: file[key] for key in ("pool", "answers", "test", "truth")}
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts.values()))
        return Encoded(name=name, classes=int(file["classes"]), fingerprint=digest.hexdigest()[:16], **parts)
