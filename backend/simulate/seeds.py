"""Replay all strategies and seeds, in processes of their own; all are gone when it ends, however it ends."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from backend.domain import NextlabelError, Progress, silent
from backend.simulate.kinds import Job

Key: TypeAlias = tuple[str, int]
Played: TypeAlias = dict[Key, list[dict[str, Any]]]
"""The steps by strategy and seed."""

STOP_SECONDS = 5
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def play(
    job: Job, names: Sequence[str], seeds: Sequence[int], *, jobs: int, progress: Progress = silent
) -> Played:
    """Replay every strategy under every seed, `jobs` at a time; one job needs no other process.

    The outcome, but for the seconds, does not depend on `jobs`.
    raises: NextlabelError that names the strategy and the seed which failed
    """
    keys = [(name, seed) for seed in seeds for name in names]
    played: Played = {}
    counts = dict.fromkeys(names, 0)
    rounds = (1 - (job.plan.start - job.plan.budget) // job.plan.batch) * len(seeds)
    for name in names:
        progress(name, 0, rounds)
    for key, step in _here(job, keys) if jobs == 1 else _elsewhere(job, keys, jobs):
        played.setdefault(key, []).append(step)
        counts[key[0]] += 1
        progress(key[0], counts[key[0]], rounds)
    return played


def _here(job: Job, keys: Sequence[Key]) -> Iterator[tuple[Key, dict[str, Any]]]:
    for name, seed in keys:
        try:
            for step in job.play(name, seed, job.material(seed)):
                yield (name, seed), step.plain()
        except (ValueError, ArithmeticError) as error:
            raise _failed(name, seed, f"{type(error).__name__}: {error}") from error


def _elsewhere(job: Job, keys: Sequence[Key], jobs: int) -> Iterator[tuple[Key, dict[str, Any]]]:
    waiting = list(reversed(keys))
    with tempfile.TemporaryDirectory(prefix="nextlabel-") as place, selectors.DefaultSelector() as ready:
        folder = Path(place)
        job.save(folder)
        with _children(folder, min(jobs, len(keys))) as children:
            for child in children:
                child.ask(waiting.pop())
                ready.register(child.out, selectors.EVENT_READ, child)
            while ready.get_map():
                for seen, _ in ready.select():
                    child = seen.data
                    for answer in child.answers():
                        if not answer.get("done"):
                            yield child.key, answer
                        elif waiting:
                            child.ask(waiting.pop())
                        else:
                            ready.unregister(child.out)


@dataclass
class _Child:
    """A process that replays one seed of one strategy at a time."""

    process: subprocess.Popen[bytes]
    log: Path
    key: Key = ("", 0)
    rest: bytes = field(default=b"")

    @property
    def out(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def ask(self, key: Key) -> None:
        self.key = key
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: reading its answers tells why
            self.process.stdin.write(json.dumps({"strategy": key[0], "seed": key[1]}).encode() + b"\n")
            self.process.stdin.flush()

    def answers(self) -> list[dict[str, Any]]:
        """Read the lines that have come; NextlabelError where one tells of an error, or no more will come."""
        read = os.read(self.out, 1 << 16)
        if not read:
            lines = self.log.read_text("utf-8", errors="replace").strip().splitlines()
            code = self.process.wait()
            raise _failed(*self.key, f"its process ended with {code}: {lines[-1] if lines else 'no word'}")
        *lines_, self.rest = (self.rest + read).split(b"\n")
        found: list[dict[str, Any]] = [json.loads(line) for line in lines_]
        for answer in found:
            if "error" in answer:
                raise _failed(*self.key, answer["error"])
        return found


@contextmanager
def _children(folder: Path, count: int) -> Iterator[list[_Child]]:
    """Start processes with one thread each, in groups of their own: Ctrl-C reaches us, and we end them."""
    environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    children: list[_Child] = []
    try:
        for place in range(count):
            log = folder / f"{place}.log"
            with log.open("wb") as errors:
                process = subprocess.Popen(  # noqa: S603 - our own command line
                    [sys.executable, "-P", "-m", "backend.simulate.seed", str(folder)],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            children.append(_Child(process, log))
        yield children
    finally:
        for child in children:
            child.process.kill()
        for child in children:
            child.process.wait(timeout=STOP_SECONDS)
            for pipe in (child.process.stdin, child.process.stdout):
                with suppress(BrokenPipeError):
                    assert pipe is not None
                    pipe.close()


def _failed(name: str, seed: int, why: str) -> NextlabelError:
    return NextlabelError(f"strategy {name}, seed {seed}: {why}")
