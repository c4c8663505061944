"""What `doctor` says of the installation, before and after a project is connected."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backend.cli.examining import examine
from backend.cli.setup import Setup
from backend.domain import Finding, Level, Member, Unauthorized, Unreachable, silent, utc_now
from backend.labelstudio.doctor import examine_server
from backend.labelstudio.errors import NoSuchApi
from backend.store import Store

URL = "http://127.0.0.1:1"


class Server:
    """A Label Studio that answers, or fails at each request."""

    url = URL

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def version(self) -> str:
        if self.error:
            raise self.error
        return "1.23.2"

    def whoami(self) -> Member:
        return Member(1, "anna@example.org")


def found(setup: Any, project: int | None = None) -> dict[str, Finding]:
    return {finding.check: finding for _, finding in examine(setup, project, now=utc_now, progress=silent)}


def setup_with(store: Store, labelstudio: Any) -> Any:
    return SimpleNamespace(store=store, labelstudio=labelstudio)


def test_before_the_first_connect_it_looks_at_label_studio(store: Store) -> None:
    seen = found(setup_with(store, Server()))
    assert seen["Label Studio"].level is Level.OK
    assert seen["Label Studio"].message == f"1.23.2 at {URL}, as anna@example.org"
    assert seen["projects"].level is Level.WARNING
    down = found(setup_with(store, Server(Unreachable("Connection refused"))))["Label Studio"]
    assert (down.level, down.message) == (Level.ERROR, "Connection refused")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unreachable("refused"), "Start Label Studio"),
        (Unauthorized("no"), "LABEL_STUDIO_API_KEY"),
        (NoSuchApi("404"), "LABEL_STUDIO_URL"),
    ],
)
def test_what_helps_depends_on_what_failed(error: Exception, words: str) -> None:
    server: Any = Server(error)
    assert words in examine_server(server).remedy


@pytest.mark.parametrize("key", [None, "no such token"])
def test_a_missing_key_is_one_finding_and_no_end(tmp_path: Any, key: str | None) -> None:
    given = {"LABEL_STUDIO_URL": URL, "NEXTLABEL_HOME": str(tmp_path)}
    setup = Setup(None, given if key is None else given | {"LABEL_STUDIO_API_KEY": key})
    finding = found(setup)["Label Studio"]
    assert finding.level is Level.ERROR
    assert "LABEL_STUDIO_API_KEY" in finding.remedy
    setup.store.close()


def test_what_is_wrong_with_label_studio_is_told_once(tmp_path: Any, labelstudio: Any) -> None:
    """Not again for each project; the rest of a project is looked at all the same."""
    setup = Setup(None, {"LABEL_STUDIO_URL": URL, "NEXTLABEL_HOME": str(tmp_path)})
    setup.store.projects.connect(labelstudio.info, {}, now=utc_now())
    seen = examine(setup, 1, now=utc_now, progress=silent)
    assert [finding.check for _, finding in seen] == ["Label Studio", "worker", "encoder"]
    setup.store.close()
