"""How fast is a webhook acknowledged while a round runs on the same machine, and is any lost?

    python tests/benchmarks/webhook.py [--seconds 30] [--rate 200]

The real server under gunicorn, over a SQLite store of 20,000 tasks, in a process of its own. Beside it stands
a round: two processes of matrix products, niced by 10 like the worker, that also record pages of 500 tasks in
the same store. Webhooks are sent open-loop by another process: a delay counts from the moment at which one
was due, and as by Label Studio each is given up after a second. The baseline is a receiver that works in the
request, as Label Studio's scikit-learn example does: TF-IDF and a logistic regression, on 500 short texts.
The floor is a receiver that does nothing at all: what is left of its delays is the machine's, and its load's.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

PROJECT, TASKS, SECRET, THREADS = 1, 20_000, "benchmark", 8
GIVE_UP_SECONDS = 1.0
TARGET_MS = 50


@dataclass(frozen=True)
class Delays:
    """Milliseconds from due to acknowledged or given up, ascending."""

    milliseconds: list[float]
    acknowledged: list[int]
    sent: int

    def at(self, share: float) -> float:
        return self.milliseconds[min(len(self.milliseconds) - 1, int(share * len(self.milliseconds)))]


# --- the processes ----------------------------------------------------------------------------------


def serve_nextlabel(url: str, port: int) -> None:
    from backend.store import Store
    from backend.web import WebSettings, create_app
    from backend.web.serving import serve

    serve(lambda: create_app(Store(url), WebSettings()), host="127.0.0.1", port=port, threads=THREADS)


def serve_floor(url: str, port: int) -> None:
    from flask import Flask, jsonify

    from backend.web.serving import serve

    def make_app() -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/health", endpoint="health", view_func=lambda: jsonify(status="UP"))
        app.add_url_rule("/webhook", "webhook", lambda: jsonify(status="nothing"), methods=["POST"])
        return app

    serve(make_app, host="127.0.0.1", port=port, threads=THREADS)


def serve_baseline(url: str, port: int) -> None:
    from flask import Flask, jsonify, request
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from backend.web.serving import serve

    def make_app() -> Flask:
        app = Flask(__name__)
        words = [f"word{number}" for number in range(500)]
        texts = [" ".join(words[(7 * i + j * j) % 500] for j in range(40)) for i in range(500)]
        labels = [i % 6 for i in range(500)]

        @app.get("/health")
        def health():
            return jsonify(status="UP")

        @app.post("/webhook")
        def webhook():
            request.get_json()
            make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)
            return jsonify(status="trained")

        return app

    serve(make_app, host="127.0.0.1", port=port, threads=THREADS)


def work_like_a_round(url: str, first_task: int) -> None:
    import numpy as np

    from backend.store import Store

    os.nice(10)
    store, matrix, task = Store(url), np.ones((700, 700)), first_task
    while True:
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            matrix = np.tanh(matrix @ matrix)
        now = datetime.now(UTC)
        store.tasks.record(PROJECT, tasks(task, 500), asked_at=now, now=now)
        task += 500


def tasks(first: int, count: int) -> list:
    from backend.domain import Task

    text, now = "what an annotator reads " * 12, datetime.now(UTC)
    return [Task(id_, {"text": f"{id_} {text}"}, now) for id_ in range(first, first + count)]


def send(port: int, seconds: float, rate: int, keep_alive: bool) -> None:
    """Send webhooks open-loop, and print what became of them as JSON."""
    bodies = [body(number) for number in range(int(seconds * rate))]
    work: queue.SimpleQueue = queue.SimpleQueue()
    done: list[tuple[int, float, bool]] = []
    idle: list[http.client.HTTPConnection] = []
    clients = [
        threading.Thread(target=client, args=(port, work, done, idle if keep_alive else None), daemon=True)
        for _ in range(rate + 50)
    ]
    for thread in clients:
        thread.start()
    start = time.perf_counter() + 0.2
    for number, content in enumerate(bodies):
        due = start + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        work.put((number, due, content))
    for _ in clients:
        work.put(None)
    for thread in clients:
        thread.join()
    print(json.dumps(done))


def client(port: int, work: queue.SimpleQueue, done: list, idle: list | None) -> None:
    while (job := work.get()) is not None:
        number, due, content = job
        try:
            acknowledged = post(port, content, idle)
        except (OSError, http.client.HTTPException):
            acknowledged = False
        done.append((number, 1000 * (time.perf_counter() - due), acknowledged))


def post(port: int, content: bytes, idle: list | None) -> bool:
    headers = {"Content-Type": "application/json", "X-Nextlabel-Secret": SECRET}
    connection = take_idle(idle) if idle else None
    if connection is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_SECONDS)
        connection.connect()
    if idle is None:
        headers["Connection"] = "close"
    try:
        connection.request("POST", "/webhook", content, headers)
        answer = connection.getresponse()
        answer.read()
    except BaseException:
        connection.close()
        raise
    if idle is None or answer.will_close:
        connection.close()
    else:
        idle.append(connection)
    return 200 <= answer.status < 300


def take_idle(idle: list) -> http.client.HTTPConnection | None:
    """Take the connection used last, unless the server has closed it meanwhile."""
    while True:
        try:
            connection = idle.pop()
        except IndexError:
            return None
        if not select.select([connection.sock], [], [], 0)[0]:
            return connection
        connection.close()


def body(number: int) -> bytes:
    """Make a webhook of the size and form that Label Studio sends."""
    now = datetime.now(UTC).isoformat()
    choice = {"id": f"r{number}", "from_name": "topic", "to_name": "text", "type": "choices"}
    result = [{**choice, "value": {"choices": ["numpy"]}, "origin": "manual"}]
    annotation = {
        "id": number + 1,
        "task": number % TASKS + 1,
        "project": PROJECT,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "completed_by": 1,
        "lead_time": 4.2,
        "created_at": now,
        "updated_at": now,
        "prediction": {"result": result, "score": 0.5, "model_version": "7.1"},
        "unique_id": "c0a8f7a6-0000-4000-8000-000000000000",
    }
    task = {"id": annotation["task"], "data": {"text": "what an annotator reads " * 12}, "meta": {}}
    project = {"id": PROJECT, "label_config": "<View>" + "<Choice value='numpy'/>" * 40 + "</View>"}
    project |= {f"setting_{place}": "a value of the project" for place in range(50)}
    return json.dumps(
        {"action": "ANNOTATION_CREATED", "annotation": annotation, "task": task, "project": project}
    ).encode()


# --- the measurement --------------------------------------------------------------------------------


def prepare(url: str) -> None:
    from backend.domain import Project
    from backend.store import Store

    store, now = Store.open(url), datetime.now(UTC)
    found = Project(PROJECT, "benchmark", "<View/>", "", "", True, 1, TASKS, 0)
    store.projects.connect(found, {}, now=now)
    store.projects.set_webhook(PROJECT, 1, SECRET)
    for first in range(1, TASKS, 1000):
        store.tasks.record(PROJECT, tasks(first, 1000), asked_at=now, now=now)
    store.close()


def stored(url: str) -> set[int]:
    from backend.store import Store

    store = Store(url)
    answers = store.annotations.of_tasks(PROJECT, range(1, TASKS + 1)).values()
    found = {answer.id - 1 for of_task in answers for answer in of_task}
    store.close()
    return found


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


def measure(role: str, port: int, seconds: float, rate: int, *, keep_alive: bool) -> tuple[Delays, set[int]]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        prepare(url)
        with running(role, url, port):
            wait_for(port)
            with running("round", url, 1_000_000), running("round", url, 2_000_000):
                time.sleep(3)  # let the round's processes come up
                command = [sys.executable, __file__, "--role", "send", url, str(port)]
                command += ["--seconds", str(seconds), "--rate", str(rate)]
                command += ["--keep-alive"] if keep_alive else []
                done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        delays = sorted(delay for _, delay, _ in done)
        return Delays(delays, [number for number, _, ok in done if ok], len(done)), stored(url)


def report(name: str, delays: Delays, lost: int | None) -> None:
    figures = "  ".join(f"{label} {delays.at(share):7.1f}" for label, share in QUANTILES)
    given_up = delays.sent - len(delays.acknowledged)
    print(
        f"{name:34} {figures}  max {delays.milliseconds[-1]:7.1f} ms   "
        f"given up {given_up}  lost {'-' if lost is None else lost} of {delays.sent}",
        flush=True,
    )


QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=30)
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--port", type=int, default=9393)
    arguments.add_argument("--skip-baseline", action="store_true")
    arguments.add_argument("--keep-alive", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--role", nargs=3, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.role:
        role, url, number = given.role
        if role == "send":
            send(int(number), given.seconds, given.rate, given.keep_alive)
        else:
            servers = {"nextlabel": serve_nextlabel, "baseline": serve_baseline, "floor": serve_floor}
            roles = {**servers, "round": work_like_a_round}
            roles[role](url, int(number))
        return 0
    print(
        f"{given.rate} webhooks a second for {given.seconds:g} s, a round running on {os.cpu_count()} cores"
    )
    print(f"load before the start: {os.getloadavg()[0]:.1f} (what else runs here counts against all)")
    worst, lost = 0.0, 0
    for keep_alive, name in ((False, "a new connection each"), (True, "connections kept alive")):
        delays, found = measure("nextlabel", given.port, given.seconds, given.rate, keep_alive=keep_alive)
        missing = delays.sent - len(found)
        report(f"nextlabel, {name}", delays, missing)
        worst, lost = max(worst, delays.at(0.99)), lost + missing
    delays, _ = measure("floor", given.port, given.seconds, given.rate, keep_alive=False)
    report("floor: does nothing", delays, None)
    print(f"nextlabel p99 / floor p99: {worst / delays.at(0.99):.1f}")
    if not given.skip_baseline:
        delays, _ = measure("baseline", given.port, given.seconds, given.rate, keep_alive=False)
        report("baseline: fits in the request", delays, None)
        print(f"baseline p99 / nextlabel p99: {delays.at(0.99) / worst:.1f}")
    print(
        f"target: p99 <= {TARGET_MS} ms, none lost: {'met' if worst <= TARGET_MS and not lost else 'MISSED'}"
    )
    return 0 if worst <= TARGET_MS and not lost else 1


if __name__ == "__main__":
    raise SystemExit(main())
