"""The stage: Label Studio and `nextlabel up` running, and two projects with the same tasks."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from backend.config import ProjectConfig
from backend.demo.children import NextlabelCli, until
from backend.demo.installation import default_cache, install
from backend.demo.material import Material
from backend.demo.owner import Owner
from backend.demo.server import HOST, LabelStudioServer, free_port
from backend.domain import NextlabelError, Progress, RoundState, utc_now
from backend.models.targets import AUTO
from backend.store import Store

Bars: TypeAlias = Callable[[], AbstractContextManager[Progress]]
"""Opens progress bars; closed in between, for they do not go together with a live table."""

LABEL_STUDIO_PORT = 8080
NEXTLABEL_PORT = 9090

NO_TARGET = (
    "# target is null: training one beside the demo would take cores from the rounds that are watched here.\n"
    "# Name one yourself (target: {name: NAME}, other than auto), and the demo trains it.\n"
)
RANDOM = "Uniform sampling"
"""Label Studio's name for its random order."""


@dataclass(frozen=True)
class Look:
    """How a project shows in Label Studio's list."""

    title: str
    description: str
    color: str


CONNECTED = Look(
    "nextlabel: most useful first", "{} The task that teaches the model most comes next.", "#2F6FED"
)
TWIN = Look("Random order, to compare", "{} The same tasks in Label Studio's random order.", "#8C8C8C")


@dataclass(frozen=True)
class Twin:
    """One of the two projects: its id, and its tasks' ids in the material's order."""

    id: int
    tasks: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """Everything that runs, and where it is.

    connected, twin: the project that nextlabel orders, and the one in random order
    running:         whether Label Studio and nextlabel are alive
    """

    folder: Path
    server: LabelStudioServer
    nextlabel_url: str
    nextlabel_log: Path
    store: Store
    connected: Twin
    twin: Twin
    running: Callable[[], bool]


@contextmanager
def staged(
    folder: Path,
    material: Material,
    engine: ProjectConfig,
    *,
    bars: Bars,
    say: Callable[[str], object],
) -> Iterator[Stage]:
    """Boot all, import the tasks twice, connect one project, await its first round; stop all at the end.

    engine: encoder, proxy, selection and so on, as the user configured them
    """
    with ExitStack() as stack:
        with bars() as progress:
            stage = _stage(stack, folder, material, engine, progress, say)
        yield stage


def _stage(
    stack: ExitStack,
    folder: Path,
    material: Material,
    engine: ProjectConfig,
    progress: Progress,
    say: Callable[[str], object],
) -> Stage:
    environment = install(default_cache(), progress)
    server = LabelStudioServer(
        folder / "label-studio", environment=environment, port=_port(LABEL_STUDIO_PORT, say)
    )
    stack.callback(server.stop)
    server.start(progress)
    connected, twin = _make_projects(server, material, progress)
    port, settings, log = _port(NEXTLABEL_PORT, say), folder / "nextlabel.yaml", folder / "nextlabel.log"
    settings.write_text(_settings(server, without_target(engine), store_home(folder), port), encoding="utf-8")
    cli = NextlabelCli(settings, server.token)
    store = Store.open(f"sqlite:///{store_home(folder).absolute() / 'nextlabel.db'}")
    stack.callback(store.close)
    child = stack.enter_context(cli.up(log))
    until(lambda: store.leases.workers(now=utc_now()), child, log, "starting nextlabel", progress)
    cli.run("connect", str(connected.id), "--no-wait")
    _await_first_round(store, connected.id, child, log, progress)
    url = f"http://{HOST}:{port}"

    def running() -> bool:
        return server.running and child.poll() is None

    return Stage(folder, server, url, log, store, connected, twin, running)


def store_home(folder: Path) -> Path:
    """Name the folder of nextlabel's store."""
    return folder / "nextlabel"


def _make_projects(server: LabelStudioServer, material: Material, progress: Progress) -> list[Twin]:
    owner = Owner(server.url, server.token, timeout=300)
    config = material.kind.label_config(material.question, material.labels)
    tasks = [{"data": {"text": example.text}} for example in material.tasks]
    made: list[Twin] = []
    try:
        for look in (CONNECTED, TWIN):
            progress("import tasks", len(made) * len(tasks), 2 * len(tasks))
            description = look.description.format(material.question)
            project = owner.create_project(
                look.title, config, description=description, color=look.color, sampling=RANDOM
            )
            made.append(Twin(project, tuple(owner.import_tasks(project, tasks))))
        progress("import tasks", 2 * len(tasks), 2 * len(tasks))
    finally:
        owner.close()
    return made


def _settings(server: LabelStudioServer, engine: ProjectConfig, home: Path, port: int) -> str:
    ours = {
        "label_studio": {"url": server.url},
        "store": {"home": str(home.absolute())},
        "web": {"host": HOST, "port": port},
    }
    theirs = engine.model_dump(mode="json", include=set(ProjectConfig.model_fields))
    text: str = yaml.safe_dump({**ours, **theirs})
    return f"# Written by nextlabel demo.\n{NO_TARGET if theirs['target']['name'] is None else ''}{text}"


def without_target(engine: ProjectConfig) -> ProjectConfig:
    """Leave the target out unless one is named: a fine-tuning would take the rounds' cores."""
    if engine.target.name != AUTO:
        return engine
    return engine.model_copy(update={"target": engine.target.model_copy(update={"name": None})})


def _await_first_round(
    store: Store, project: int, child: subprocess.Popen[bytes], log: Path, progress: Progress
) -> None:
    def forward(step: str, done: int, total: int | None) -> None:
        known = store.projects.get(project)
        if known.trouble:
            raise NextlabelError(f"project {project}: {known.trouble}")
        seen = known.progress or {"step": step, "done": done, "total": total}
        progress(seen["step"], seen["done"], seen["total"])

    until(
        lambda: store.rounds.latest(project, RoundState.DONE), child, log, "awaiting the first round", forward
    )


def _port(wanted: int, say: Callable[[str], object]) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            port = free_port()
            say(f"Port {wanted} is in use: taking {port}.")
            return port
    return wanted
