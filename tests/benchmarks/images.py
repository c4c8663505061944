"""Pictures end to end: how soon does a model of them learn, labelled as Label Studio serves them?

    python tests/benchmarks/images.py [--pictures 400] [--labels 150] [--pace 0.5] [--tests 1000]

A real Label Studio with pictures of CIFAR-10 (pack cifar10_20k) uploaded to it, a real `nextlabel up` with
the packaged image encoder, which fetches them from there. One annotator takes what is served and answers.
Judged afterwards on pictures that were never uploaded, by a linear head fit on the first n labels: as they
were served, and in random order from the same pictures (mean of ten orders). All labels are the ceiling.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from latency import ROOT, nextlabel
from packs import cifar10

from backend.demo.annotator import Annotator, choice
from backend.demo.owner import Owner
from backend.demo.server import LabelStudioServer
from backend.domain import RoundState
from backend.encoders import make
from backend.models.linear import LinearHead
from backend.store import Store
from strategies.types import Floats, Positions

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="what" toName="image">'
    + "".join(f'<Choice value="{name}"/>' for name in CLASSES)
    + "</Choices></View>"
)
MARKS = (20, 30, 50, 75, 100, 150, 200, 300)
ORDERS = 10


def accuracy(rows: Floats, targets: Positions, test: Floats, truth: Positions) -> float:
    """Share of right answers of a head fit on `rows`; the commonest class where there is but one."""
    head = LinearHead(len(CLASSES))
    if not head.can_fit(targets):
        return float((truth == targets[0]).mean())
    head.fit(rows, targets, seed=0)
    return float((head.predict(test).mean.argmax(axis=1) == truth).mean())


def label(
    server: LabelStudioServer, project: int, truth: dict[int, str], labels: int, pace: float
) -> list[int]:
    """Annotate what is served; gives the tasks in order."""
    annotator, served = Annotator(server.url, server.token), []
    for _ in range(labels):
        task = annotator.next(project)
        assert task is not None, f"nothing was served after {len(served)} labels"
        annotator.annotate(task["id"], choice(truth[task["id"]], control="what", source="image"))
        served.append(task["id"])
        time.sleep(pace)
    return served


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--pictures", type=int, default=400)
    options.add_argument("--labels", type=int, default=150)
    options.add_argument("--pace", type=float, default=0.5)
    options.add_argument("--tests", type=int, default=1000)
    given = options.parse_args()
    rng = np.random.default_rng(0)
    everything, held = cifar10()
    chosen = [everything[i] for i in rng.choice(len(everything), given.pictures, replace=False)]
    files = {f"{kind}-{Path(path).name}": (path, kind) for path, kind in chosen}
    with tempfile.TemporaryDirectory() as folder, LabelStudioServer.boot(Path(folder) / "ls") as server:
        owner = Owner(server.url, server.token, timeout=600)
        project = owner.create_project("pictures", CONFIG)
        begun = time.perf_counter()
        tasks = owner.upload(project, {name: Path(path).read_bytes() for name, (path, _) in files.items()})
        print(f"{len(tasks)} pictures uploaded in {time.perf_counter() - begun:.1f} s")
        truth = {task: files[name][1] for name, task in tasks.items()}
        with nextlabel(Path(folder) / "home", server, "image") as environment:
            store = wait_for_first_round(Path(folder) / "home", environment, project)
            served = label(server, project, truth, given.labels, given.pace)
            time.sleep(5)
            rounds = store.rounds.recent(project, RoundState.DONE, limit=10_000)
    steps: dict[str, list[float]] = {}
    for each in rounds[:-1]:
        for step in each.steps:
            steps.setdefault(step["step"], []).append(step["seconds"])
    begun_with = ", ".join(f"{step['step']} {step['seconds']:.1f} s" for step in rounds[-1].steps)
    print(f"first round, which fetches and encodes all: {begun_with}")
    medians = ", ".join(f"{name} {statistics.median(found):.2f}" for name, found in steps.items())
    print(f"{len(rounds)} rounds; median seconds by step: {medians}")
    report(served, truth, {task: files[name][0] for name, task in tasks.items()}, held[: given.tests])


def wait_for_first_round(home: Path, environment: dict[str, str], project: int) -> Store:
    """Connect, and wait for the first front."""
    command = [sys.executable, "-m", "backend.cli", "connect", str(project)]
    subprocess.run(command, env=environment, check=True, cwd=ROOT)
    store = Store(f"sqlite:///{home}/nextlabel.db")
    while store.rounds.latest(project, RoundState.DONE) is None:
        time.sleep(0.2)
    return store


def report(
    served: list[int], truth: dict[int, str], paths: dict[int, str], held: list[tuple[str, str]]
) -> None:
    """Print accuracy by labels, as served and in random order."""
    encoder = make("image", {})
    order = list(truth)
    rows = encoder.encode([paths[task] for task in order])
    targets = np.array([CLASSES.index(truth[task]) for task in order])
    test = encoder.encode([path for path, _ in held])
    answers = np.array([CLASSES.index(kind) for _, kind in held])
    place = {task: i for i, task in enumerate(order)}
    ours = np.array([place[task] for task in served])
    shuffles = [np.random.default_rng(seed).permutation(len(order)) for seed in range(ORDERS)]
    print(f"accuracy on {len(held)} other pictures, by labels: as served | random order | errors, as a ratio")
    for mark in [mark for mark in MARKS if mark <= len(served)]:
        found = accuracy(rows[ours[:mark]], targets[ours[:mark]], test, answers)
        random = statistics.mean(accuracy(rows[s[:mark]], targets[s[:mark]], test, answers) for s in shuffles)
        print(f"  {mark:4}: {found:.3f} | {random:.3f} | {(1 - found) / (1 - random):.2f}")
    print(f"  all {len(order)}: {accuracy(rows, targets, test, answers):.3f}")


if __name__ == "__main__":
    main()
