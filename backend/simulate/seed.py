"""`python -m backend.simulate.seed FOLDER`: replays what it is asked for on standard input, line by line.

Each line in is {"strategy": …, "seed": …}; out come a line per step, then {"done": true} or {"error": …}.
A process of its own, so that BLAS has one thread from the start, and Ctrl-C can end it at any moment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backend.models import make as make_head
from backend.simulate.data import held_out
from backend.simulate.plan import rankers
from backend.simulate.replay import Material, Plan, Step, replay
from strategies.types import Floats, Positions

JOB_FILE = "job.json"


@dataclass(frozen=True)
class Job:
    """What every seed and strategy has in common.

    rows, answers: (n, d) embeddings and (n,) classes of the examples
    test, truth:   the same of the test part; None where each seed holds examples out
    cold_start:    begins where the plan starts without labels, up to `cold_start_labels` labels
    head:          the proxy's name and options
    """

    rows: Floats
    answers: Positions
    test: Floats | None
    truth: Positions | None
    classes: int
    plan: Plan
    cold_start: str
    cold_start_labels: int
    head: tuple[str, Mapping[str, Any]]

    def material(self, seed: int) -> Material:
        """Give what `seed` labels and measures on."""
        if self.test is not None and self.truth is not None:
            return Material(self.rows, self.answers, self.test, self.truth, self.classes)
        held = held_out(self.answers, seed=seed)
        pool, measures = np.flatnonzero(~held), np.flatnonzero(held)
        return Material(
            self.rows[pool], self.answers[pool], self.rows[measures], self.answers[measures], self.classes
        )

    def play(self, strategy: str, seed: int, material: Material) -> Iterator[Step]:
        """Replay one seed of one strategy, with one BLAS thread; a step after the start and each batch."""
        from threadpoolctl import threadpool_limits

        built, begins = rankers(strategy, self.cold_start, self.cold_start_labels, start=self.plan.start)
        name, options = self.head
        new_head = partial(make_head, name, options, classes=self.classes)
        with threadpool_limits(limits=1):
            yield from replay(material, self.plan, built, cold_start=begins, new_head=new_head, seed=seed)

    def save(self, folder: Path) -> None:
        """Write it where `load` finds it."""
        for name in ("rows", "answers", "test", "truth"):
            array = getattr(self, name)
            if array is not None:
                np.save(folder / f"{name}.npy", array)
        rest = {"classes": self.classes, "plan": asdict(self.plan), "head": list(self.head)}
        rest |= {"cold_start": self.cold_start, "cold_start_labels": self.cold_start_labels}
        write_job(folder, "classes", rest)

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Read what `save` wrote; the arrays stay on disk, and processes share them."""
        rest = read_job(folder)
        rest.pop("kind")
        arrays: dict[str, Any] = {}
        for name in ("rows", "answers", "test", "truth"):
            file = folder / f"{name}.npy"
            arrays[name] = np.load(file, mmap_mode="r") if file.exists() else None
        plan, head = Plan(**rest.pop("plan")), tuple(rest.pop("head"))
        return cls(**arrays, **rest, plan=plan, head=head)


def write_job(folder: Path, kind: str, rest: Mapping[str, Any]) -> None:
    """Note which kind of label is replayed in `folder`, and what is no array."""
    (folder / JOB_FILE).write_text(json.dumps({**rest, "kind": kind}), encoding="utf-8")


def read_job(folder: Path) -> dict[str, Any]:
    """Read what `write_job` wrote, `kind` among it."""
    found: dict[str, Any] = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Answer until standard input ends; what others print goes to standard error."""
    from backend.simulate import kinds

    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    folder = Path(sys.argv[1])
    job = kinds.get(read_job(folder)["kind"]).load_job(folder)
    known: tuple[int, Any] | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        seed = int(asked["seed"])
        try:
            if known is None or known[0] != seed:
                known = (seed, job.material(seed))
            for step in job.play(asked["strategy"], seed, known[1]):
                print(json.dumps(step.plain()), file=out, flush=True)
        except Exception as error:  # noqa: BLE001 - the edge of this process: the other side says it
            answer: dict[str, Any] = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        else:
            answer = {"done": True}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
