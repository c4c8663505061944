"""A simulation from data to files: encode once, play every strategy under every seed, report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from backend.config import ProjectConfig
from backend.domain import ConfigError, Progress, silent
from backend.encoders import Encoder, make_for
from backend.encoders import make as make_encoder
from backend.simulate.data import Data
from backend.simulate.encoding import encode
from backend.simulate.examples import file_digest, text_digest
from backend.simulate.kinds import Job as AnyJob
from backend.simulate.kinds import Labelled
from backend.simulate.measures import CLASSES, Measures
from backend.simulate.outcome import Outcome, gather
from backend.simulate.replay import Plan
from backend.simulate.seed import Job
from backend.simulate.seeds import Played, play
from backend.store import Store
from strategies.registry import build
from strategies.types import Floats

CACHE = "simulate"
"""The folder of embeddings within the store's home."""


def encoder_for(config: ProjectConfig, *, pictures: bool) -> Encoder:
    """Make the configured encoder, or the default one for pictures where that one takes texts (and so on)."""
    return make_for("image" if pictures else "text", config.encoder.name, config.encoder.options)


def load_project(
    store: Store, project_id: int, config: ProjectConfig, *, home: Path, progress: Progress = silent
) -> tuple[Data, Encoder]:
    """Read a connected project's labels, and embeddings as far as its rounds have made them."""
    from backend.simulate.project import load_project as load

    encoder = make_encoder(config.encoder.name, config.encoder.options)
    digest = file_digest if encoder.takes == "image" else text_digest

    def embed(inputs: Sequence[str]) -> Floats:
        return encode(inputs, encoder, home / CACHE, digest=digest, progress=progress)

    return load(store, project_id, home=home, config=config, encoder=encoder, encode=embed), encoder


def make_job(
    data: Data,
    plan: Plan,
    config: ProjectConfig,
    encoder: Encoder,
    *,
    home: Path,
    progress: Progress = silent,
) -> Job:
    """Encode what has not been encoded yet, and put together what every seed needs."""

    def embed(texts: Sequence[str], step: str) -> Floats:
        return encode(texts, encoder, home / CACHE, digest=data.digest, progress=progress, step=step)

    rows = data.embeddings
    if rows is None:
        rows = embed([example.text for example in data.examples], "encode")
    test = truth = None
    if data.test is not None:
        test = embed([example.text for example in data.test], "encode the test part")
        truth = data.targets(data.test)
    return Job(
        rows=rows,
        answers=data.targets(data.examples),
        test=test,
        truth=truth,
        classes=len(data.classes),
        plan=plan,
        cold_start=config.selection.cold_start,
        cold_start_labels=config.selection.cold_start_labels,
        head=(config.proxy.name, dict(config.proxy.options)),
    )


def simulate(
    job: AnyJob,
    names: Sequence[str],
    seeds: int,
    *,
    jobs: int,
    measures: Measures = CLASSES,
    progress: Progress = silent,
) -> tuple[Outcome, str]:
    """Play all; gives the outcome and `curves.csv`."""
    played = play(job, names, range(seeds), jobs=jobs, progress=progress)
    return gather(played, names, measures), curves_csv(played, names, measures)


def curves_csv(played: Played, names: Sequence[str], measures: Measures = CLASSES) -> str:
    """Write a line per strategy, seed and step; a step without any label is left out."""
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    costs = [cost.key for cost in measures.costs]
    shares = [measures.first.key, measures.second.key]
    lines.writerow(["strategy", "seed", "labels", *costs, *shares, "seconds"])
    for name in names:
        for seed in sorted(seed for strategy, seed in played if strategy == name):
            for step in played[name, seed]:
                if step["labels"]:
                    counts = [step[key] for key in ("labels", *costs)]
                    values = [f"{step[key]:.6f}" for key in shares]
                    lines.writerow([name, seed, *counts, *values, f"{step['seconds']:.4f}"])
    return stream.getvalue()


def settings(
    data: Labelled, job: AnyJob, encoder: Encoder, names: Sequence[str], seeds: int
) -> list[tuple[str, str]]:
    """List what it takes to repeat a simulation."""
    plan = job.plan
    measured = "a test part" if data.test is not None else "held out by seed, by class"
    begins = f"{plan.start:,} random ones, the same for every strategy"
    if plan.start == 0:
        first = f"{job.cold_start} up to {job.cold_start_labels:,}"
        begins = f"chosen by each strategy; by {first} where it needs a model"
    head, options = job.head
    return [
        ("data", f"{data.name}: {len(data.examples):,} examples of {len(data.classes):,} classes"),
        ("pool", f"{data.pool_size:,}"),
        ("measured on", f"{data.test_size:,}: {measured}"),
        ("strategies", "; ".join(str(build(name)) for name in names)),
        ("first labels", begins),
        ("batch", f"{plan.batch:,}"),
        ("budget", f"{plan.budget:,}"),
        ("seeds", f"0 to {seeds - 1}"),
        ("encoder", encoder.fingerprint),
        ("proxy", f"{head} {options}" if options else head),
    ]


def open_folder(folder: Path) -> Path:
    """Make the folder for the outcome; ConfigError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"--out {folder}: is a file; expected a folder") from error
    except OSError as error:
        raise ConfigError(f"--out {folder}: {error.strerror}; expected a folder to write to") from error
    return folder


def put(file: Path, content: str) -> None:
    """Write a file, all or nothing."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(file)
    except OSError as error:
        raise ConfigError(f"--out: {file}: {error.strerror}; expected a folder to write to") from error
