"""How long from a saved annotation to the re-ordered queue, and what does a round cost as the pool grows?

    python tests/benchmarks/latency.py [--tasks 20000] [--labels 60] [--pace 2] [--encoder sentence]

A real Label Studio, a real `nextlabel up`, a project of that many tasks, already encoded. One annotator
takes what is served and answers. A label counts as learned when the queue version of a round that had read
it is switched to. The baseline is what writing scores back means without a front: a prediction for every
task in one import, before the switch; its time is given once, for the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from backend.demo.annotator import Annotator, choice
from backend.demo.owner import Owner
from backend.demo.server import LabelStudioServer, free_port
from backend.domain import QueuedPrediction, RoundState
from backend.labelstudio import LabelStudio
from backend.store import Store
from backend.store.schema import annotation

ROOT = Path(__file__).parents[2]

CONFIG = """<View><Text name="text" value="$text"/><Choices name="label" toName="text">{}</Choices></View>"""
TOPICS = {
    "weather": ["rain", "sun", "cloud", "storm", "wind", "snow", "forecast", "degrees", "frost"],
    "kitchen": ["pan", "stove", "salt", "recipe", "oven", "knife", "butter", "flour", "simmer"],
    "travel": ["train", "ticket", "hotel", "airport", "luggage", "border", "map", "coach", "ferry"],
    "music": ["guitar", "chord", "rhythm", "album", "singer", "melody", "drum", "choir", "concert"],
    "sport": ["goal", "match", "referee", "league", "sprint", "medal", "coach", "stadium", "tennis"],
}
FILLER = [
    "the",
    "a",
    "we",
    "they",
    "about",
    "with",
    "some",
    "very",
    "often",
    "under",
    "near",
    "before",
    "after",
    "again",
    "many",
    "little",
]


def texts(count: int) -> list[tuple[str, str]]:
    """Made-up notes, (text, topic): a few words of one topic, now and then of another, among fillers."""
    rng, names = random.Random(0), list(TOPICS)
    made = []
    for _ in range(count):
        topic = rng.choices(names, [5, 4, 3, 2, 1])[0]
        own = [rng.choice(TOPICS[topic if rng.random() < 0.8 else rng.choice(names)]) for _ in range(4)]
        words = own + rng.choices(FILLER, k=rng.randint(4, 16))
        rng.shuffle(words)
        made.append((" ".join(words), topic))
    return made


@contextmanager
def nextlabel(home: Path, server: LabelStudioServer, encoder: str) -> Iterator[dict[str, str]]:
    """Run `nextlabel up`; gives the environment for further commands."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTLABEL_")} | {
        "LABEL_STUDIO_URL": server.url,
        "LABEL_STUDIO_API_KEY": server.token,
        "NEXTLABEL_HOME": str(home),
        "NEXTLABEL_WEB_PORT": str(free_port()),
        "NEXTLABEL_ENCODER_NAME": encoder,
    }
    command = [sys.executable, "-m", "backend.cli", "up"]
    running = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        yield environment
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(180)  # a machine with other work


def label_for_a_while(
    server: LabelStudioServer, project: int, truth: dict[str, str], labels: int, pace: float
) -> dict[int, datetime]:
    """Annotate what is served; gives when each annotation was saved."""
    annotator, saved = Annotator(server.url, server.token), {}
    for _ in range(labels):
        task = annotator.next(project)
        assert task is not None
        made = annotator.annotate(task["id"], choice(truth[task["data"]["text"]]))
        saved[made] = datetime.now(UTC)
        time.sleep(pace)
    return saved


def delays(store: Store, project: int, saved: dict[int, datetime]) -> list[float]:
    """Seconds from each annotation to the first switch that had read it."""
    with store.database.read() as db:
        query = sa.select(annotation.c.id, annotation.c.change).where(annotation.c.project_id == project)
        changes = {row.id: row.change for row in db.execute(query)}
    rounds = store.rounds.recent(project, RoundState.DONE, limit=10_000)
    found = []
    for id_, moment in saved.items():
        # a round is finished a few milliseconds after its switch
        later = [r.finished_at for r in rounds if r.finished_at and (r.change or 0) >= changes[id_]]
        if later:
            found.append(max(0.0, (min(later) - moment).total_seconds()))
    return found


def publish_everything(server: LabelStudioServer, project: int, tasks: list[int]) -> float:
    """The baseline: seconds to write one prediction for every task."""
    labelstudio = LabelStudio(server.url, server.token, timeout=600)
    begun = time.perf_counter()
    items = [QueuedPrediction(task, (), place / len(tasks)) for place, task in enumerate(tasks)]
    assert labelstudio.import_predictions(project, "everything", items) == len(tasks)
    return time.perf_counter() - begun


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--tasks", type=int, default=20_000)
    options.add_argument("--labels", type=int, default=60)
    options.add_argument("--pace", type=float, default=2.0)
    options.add_argument("--encoder", default="sentence")
    given = options.parse_args()
    notes = texts(given.tasks)
    config = CONFIG.format("".join(f'<Choice value="{topic}"/>' for topic in TOPICS))
    with tempfile.TemporaryDirectory() as folder, LabelStudioServer.boot(Path(folder) / "ls") as server:
        owner = Owner(server.url, server.token)
        project = owner.create_project("latency", config)
        tasks = owner.import_tasks(project, [{"data": {"text": text}} for text, _ in notes])
        with nextlabel(Path(folder) / "home", server, given.encoder) as environment:
            begun = time.perf_counter()
            connect = [sys.executable, "-m", "backend.cli", "connect", str(project), "--json"]
            done = subprocess.run(connect, env=environment, check=True, stdout=subprocess.PIPE, cwd=ROOT)
            print(
                f"first sync, encoding, front of {given.tasks:,} tasks: {time.perf_counter() - begun:.1f} s"
            )
            assert json.loads(done.stdout)["webhook"], "the benchmark is about webhooks"
            saved = label_for_a_while(server, project, dict(notes), given.labels, given.pace)
            time.sleep(15)
            store = Store(f"sqlite:///{folder}/home/nextlabel.db")
            found = sorted(delays(store, project, saved))
            steps: dict[str, list[float]] = {}
            for round_ in store.rounds.recent(project, RoundState.DONE, limit=10_000):
                for step in round_.steps:
                    steps.setdefault(step["step"], []).append(step["seconds"])
        baseline = publish_everything(server, project, tasks)
    median, high = statistics.median(found), found[int(0.95 * len(found))]
    print(f"labels {len(saved)}, of which learned {len(found)}; rounds {len(steps['fit'])}")
    print("median seconds by step: " + ", ".join(f"{k} {statistics.median(v):.2f}" for k, v in steps.items()))
    print(
        f"saved to re-ordered: median {median:.2f} s, 95th percentile {high:.2f} s, worst {found[-1]:.2f} s"
    )
    print(f"a prediction for every task instead: {baseline:.1f} s, {baseline / median:.1f} x our median")


if __name__ == "__main__":
    main()
