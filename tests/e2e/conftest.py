"""One real Label Studio per test run, and the people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from membership import add_user
from nextlabel_process import Nextlabel

from backend.demo.annotator import Annotator
from backend.demo.owner import Owner
from backend.demo.server import LabelStudioServer
from backend.labelstudio import LabelStudio

LABEL_CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text"><Choice value="yes"/><Choice value="no"/></Choices>
</View>"""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that failed shows what nextlabel wrote meanwhile."""
    report = (yield).get_result()  # type: ignore[misc]  # pluggy sends the outcome
    if report.failed:
        for name in ("running", "nextlabel"):
            installed = getattr(item, "funcargs", {}).get(name)
            if isinstance(installed, Nextlabel) and installed.log.exists():
                lines = installed.log.read_text(errors="replace").splitlines()
                report.sections.append((f"the end of {name}'s log", "\n".join(lines[-60:])))


@dataclass(frozen=True)
class Made:
    """A project made for one test: its tasks' ids in the order of their texts."""

    id: int
    tasks: list[int]


MakeProject = Callable[..., Made]


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    with LabelStudioServer.boot(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


@pytest.fixture(scope="session")
def owner(label_studio: LabelStudioServer) -> Iterator[Owner]:
    playing = Owner(label_studio.url, label_studio.token)
    yield playing
    playing.close()


@pytest.fixture(scope="session")
def annotator(label_studio: LabelStudioServer) -> Iterator[Annotator]:
    """The administrator, labelling."""
    playing = Annotator(label_studio.url, label_studio.token)
    yield playing
    playing.close()


@pytest.fixture
def project(owner: Owner) -> Iterator[MakeProject]:
    """Make a Choices project; texts become tasks. Deleted after the test."""
    made: list[int] = []

    def make(texts: Sequence[str], *, label_config: str = LABEL_CONFIG, **settings: object) -> Made:
        project_id = owner.create_project("made by a test", label_config, **settings)
        made.append(project_id)
        tasks = owner.import_tasks(project_id, [{"data": {"text": text}} for text in texts]) if texts else []
        return Made(project_id, tasks)

    yield make
    for project_id in made:
        owner.delete_project(project_id)


# --- nextlabel itself ---


@pytest.fixture(scope="session")
def client(label_studio: LabelStudioServer) -> Iterator[LabelStudio]:
    """Label Studio as a test sees it."""
    connected = LabelStudio(label_studio.url, label_studio.token)
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def colleagues(label_studio: LabelStudioServer) -> Iterator[list[Annotator]]:
    """Three people who label."""
    tokens = [add_user(label_studio, f"annotator{i}@nextlabel.io") for i in range(3)]
    playing = [Annotator(label_studio.url, token) for token in tokens]
    yield playing
    for each in playing:
        each.close()


@pytest.fixture
def nextlabel(tmp_path: Path, label_studio: LabelStudioServer) -> Iterator[Nextlabel]:
    """An installation for one test, nothing of it running yet."""
    installed = Nextlabel(tmp_path, label_studio)
    yield installed
    installed.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, label_studio: LabelStudioServer) -> Iterator[Nextlabel]:
    """`nextlabel up`, for all tests of a module."""
    installed = Nextlabel(tmp_path_factory.mktemp("nextlabel"), label_studio)
    installed.up()
    yield installed
    installed.close()
