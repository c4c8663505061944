"""How fast do the pages answer while a round runs on the same machine?

    python tests/benchmarks/pages.py [--tasks 100000] [--annotations 10000] [--rounds 3000] [--repeats 15]

The real server under gunicorn, over a SQLite store that holds a project of that size, in its own process.
Beside it stands a round: a niced process of matrix products that also records tasks in the same store.
A page counts from the first byte asked to the last byte read, over a new connection, log-in and all.
The baseline for each page is what its questions cost when asked plainly, through the store's general methods,
in an idle process: all annotations of all tasks, all rounds with all figures, all tasks of the pool.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

PASSWORD = "benchmark"
TARGET_MS = 200
PAGES = (
    "/projects",
    "/projects/1",
    "/projects/1/queue",
    "/projects/1/tasks/{task}",
    "/projects/1/quality",
    "/projects/1/map",
    "/projects/1/people",
    "/projects/1/rounds",
    "/projects/1/budget",
    "/projects/1/history",
    "/api/v1/projects/1",
    "/api/v1/projects/1/curve",
    "/api/v1/projects/1/queue",
    "/api/v1/projects/1/map",
)


def serve(url: str, port: int) -> None:
    from backend.store import Store
    from backend.web import WebSettings, create_app
    from backend.web.serving import serve as run

    run(lambda: create_app(Store(url), WebSettings(PASSWORD)), host="127.0.0.1", port=port, threads=8)


def work_like_a_round(url: str, first_task: int) -> None:
    import numpy as np

    from backend.domain import Task
    from backend.store import Store

    os.nice(10)
    store, matrix, task = Store(url), np.ones((700, 700)), first_task
    while True:
        until = time.perf_counter() + 0.5
        while time.perf_counter() < until:
            matrix = np.tanh(matrix @ matrix)
        now = datetime.now(UTC)
        page = [Task(id_, {"text": f"{id_} what an annotator reads"}, now) for id_ in range(task, task + 200)]
        store.tasks.record(1, page, asked_at=now, now=now)
        task += 200


# --- the plain way ----------------------------------------------------------------------------------


def plain_ways(url: str) -> dict[str, Callable[[], object]]:
    """Give for each page what answers its questions by the general methods of the store, and Python."""
    from backend.store import Store

    store = Store(url)

    def answers() -> list:
        ids = list(store.tasks.live_ids(1))
        return [each for given in store.annotations.of_tasks(1, ids).values() for each in given]

    def curve() -> list:
        return [each.figures.get("audit_accuracy") for each in store.rounds.recent(1, limit=5000)]

    def queue() -> list:
        current = store.queue.current(1)
        front = store.queue.front(1, current.version) if current else []
        data = store.tasks.data(1, 0, 10**9)
        return [task for task in front if data]

    def counts() -> tuple:
        return len(store.tasks.live_ids(1)), Counter(each.was_cancelled for each in answers())

    def people() -> Counter:
        return Counter(each.completed_by for each in answers())

    ways: dict[str, Callable[[], object]] = {
        "/projects": counts,
        "/projects/1": lambda: (counts(), curve(), queue()),
        "/projects/1/queue": queue,
        "/projects/1/tasks/{task}": queue,
        "/projects/1/quality": curve,
        "/projects/1/map": lambda: store.tasks.data(1, 0, 10**9),
        "/projects/1/people": people,
        "/projects/1/rounds": curve,
        "/projects/1/budget": lambda: (people(), curve()),
        "/projects/1/history": people,
    }
    return ways | {
        f"/api/v1{page}": ways[page] for page in ("/projects/1", "/projects/1/queue", "/projects/1/map")
    }


# --- asking -----------------------------------------------------------------------------------------


class Browser:
    """Logs in and asks for pages, each over a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port, self._cookie = port, ""
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.ask("/login")[1].decode())
        form = urllib.parse.urlencode({"csrf": csrf.group(1) if csrf else "", "password": PASSWORD})
        status, _, _ = self.ask("/login", form)
        if status != 303:
            raise SystemExit(f"the log-in answered {status}")

    def ask(self, path: str, form: str | None = None) -> tuple[int, bytes, float]:
        headers = {"Accept-Encoding": "gzip" if path.startswith("/api") else "identity"}
        if self._cookie:
            headers["Cookie"] = self._cookie
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        begun = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("POST" if form is not None else "GET", path, form, headers)
        answer = connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - begun
        connection.close()
        if answer.headers["Set-Cookie"]:
            self._cookie = answer.headers["Set-Cookie"].split(";")[0]
        return answer.status, content, seconds


@contextmanager
def running(role: str, url: str, number: int) -> Iterator[None]:
    """Run one of the processes."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--role", role, url, str(number)]
    process = subprocess.Popen(command, env={**os.environ, **threads})
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--tasks", type=int, default=100_000)
    arguments.add_argument("--annotations", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=3000)
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--port", type=int, default=9394)
    arguments.add_argument("--folder", type=Path, help="keep the store there, or use the one that is")
    arguments.add_argument("--skip-baseline", action="store_true")
    arguments.add_argument("--role", nargs=3, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.role:
        role, url, number = given.role
        {"serve": serve, "round": work_like_a_round}[role](url, int(number))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        return measure(f"sqlite:///{folder}/nextlabel.db", given)


def measure(url: str, given: argparse.Namespace) -> int:
    from filled_store import fill, set_budget

    from backend.store import Store

    now = datetime.now(UTC)
    if not Path(url.removeprefix("sqlite:///")).exists():
        fill(url, now=now, tasks=given.tasks, annotations=given.annotations, rounds=given.rounds).close()
        set_budget(Store(url), 1, now=now)
    store = Store(url)
    version = store.queue.current(1).version
    task = store.queue.front(1, version)[0].task_id
    print(
        f"{store.tasks.count(1):,} tasks, {store.annotations.counts(1).submitted:,} annotations, "
        f"{sum(store.rounds.counts(1).values()):,} rounds; a round running on {os.cpu_count()} cores; "
        f"load before the start {os.getloadavg()[0]:.1f}"
    )
    store.close()
    plain: dict[str, float] = {}
    if not given.skip_baseline:
        for page, way in plain_ways(url).items():
            begun = time.perf_counter()
            way()
            plain[page] = 1000 * (time.perf_counter() - begun)
    medians = {}
    with running("serve", url, given.port):
        wait_for(given.port)
        with running("round", url, 50_000_000):
            time.sleep(3)  # let it come up
            browser = Browser(given.port)
            for page in PAGES:
                times = []
                for _ in range(given.repeats):
                    status, content, seconds = browser.ask(page.format(task=task))
                    if status != 200:
                        raise SystemExit(f"{page} answered {status}: {content[:300]!r}")
                    times.append(1000 * seconds)
                medians[page] = statistics.median(times)
                line = f"{page:28} {medians[page]:7.1f} ms  max {max(times):7.1f}  {len(content):>8,} B"
                if page in plain:
                    line += f"  {plain[page]:9.0f} ms  {plain[page] / medians[page]:6.1f} times"
                print(line, flush=True)
    worst = max(medians, key=lambda page: medians[page])
    met = medians[worst] <= TARGET_MS
    print(
        f"slowest: {worst} {medians[worst]:.1f} ms; target: <= {TARGET_MS} ms: {'met' if met else 'MISSED'}"
    )
    print(json.dumps({"median_ms": {page: round(each, 1) for page, each in medians.items()}}))
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
