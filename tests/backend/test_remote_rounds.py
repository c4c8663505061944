"""An ML backend elsewhere in rounds: what it is asked, what the pool gets, what happens without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from small_ml_backend import SmallMlBackend, boxes

from backend.cli.setup import catalogue
from backend.config import Config, ProjectConfig
from backend.config import load as load_config
from backend.config.installation import LabelStudio
from backend.config.installation import Store as StoreSection
from backend.config.types import Proxy, Secrets, Target
from backend.domain import Annotation, ConfigError, LabelConfigError, Project, Task
from backend.labels import read as read_label_config
from backend.models.remote import RemoteError
from backend.pool import TaskPool
from backend.rounds.remote import RemoteHead, RemoteModel, remote_of, suited
from backend.store import Store
from backend.training.run import chosen
from strategies.registry import build
from strategies.types import Floats

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels>
</View>"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = read_label_config(CONFIG)
COUNT = 60


class Pictures:
    """Embeddings of pictures by the number in their name; the doubt rises with the first coordinate."""

    takes = "image"
    fingerprint = "pictures"
    dimension = 4

    def encode(self, inputs: Sequence[str]) -> Floats:
        raise AssertionError("pictures are encoded one by one, so that a broken one does no harm")

    def encode_or_say(self, inputs: Sequence[str]) -> tuple[Floats, dict[int, str]]:
        rows = np.array([np.random.default_rng(int(Path(path).stem)).normal(size=4) for path in inputs])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), {}

    def misfit(self, inputs: Sequence[str]) -> str | None:
        return None


@pytest.fixture
def backend() -> Iterator[SmallMlBackend]:
    running = SmallMlBackend(lambda task: boxes([0.9, 0.8] if task["id"] % 2 else [0.3]))
    yield running
    running.close()


@pytest.fixture
def connected(store: Store) -> Any:
    known = store.projects.connect(Project(1, "p", CONFIG, "", "", True, 1, COUNT, 0), {}, now=NOW)
    tasks = [Task(number, {"image": f"/data/upload/1/{number}.png"}, NOW) for number in range(1, COUNT + 1)]
    store.tasks.record(1, tasks, asked_at=NOW, now=NOW)
    return known


@pytest.fixture
def pool(store: Store, connected: Any, tmp_path: Path) -> TaskPool:
    made = TaskPool(
        store, 1, tmp_path, KIND, Pictures(), fetch=lambda pairs: [Path(address) for _, address in pairs]
    )
    made.tasks.refresh()
    made.encode()
    return made


@pytest.fixture
def load(
    store: Store, connected: Any, backend: SmallMlBackend, tmp_path: Path
) -> Iterator[Callable[..., Any]]:
    opened: list[RemoteModel] = []

    def make(
        name: str = "remote", target: dict[str, Any] | None = None, **options: Any
    ) -> RemoteModel | None:
        given: dict[str, Any] = {"url": backend.url, "sample": 20, **options} if name == "remote" else {}
        config = Config(
            label_studio=LabelStudio(url="http://ls.example.org"),
            store=StoreSection(home=tmp_path),
            proxy=Proxy(name=name, options=given),
            target=Target(name="remote", options=target) if target else Target(),
            secrets=Secrets(label_studio_token=SecretStr("a-token"), remote_password=SecretStr("a-word")),
        )
        found = remote_of(store, config, connected, KIND)
        if found is not None:
            opened.append(found)
        return found

    yield make
    for each in opened:
        each.scorer.close()


def test_the_proxy_s_name_decides_or_else_the_target_s(load: Any, backend: SmallMlBackend) -> None:
    """As the target it only pre-annotates, and nothing of it is trained here."""
    assert load("linear") is None
    assert load().drives
    beside = load("linear", target={"url": backend.url})
    assert beside is not None
    assert not beside.drives
    with pytest.raises(ConfigError, match="remote: url is 'nowhere'"):
        load(url="nowhere")
    with pytest.raises(LabelConfigError, match=r"target\.name is remote: it is trained elsewhere"):
        chosen(KIND, ProjectConfig(target=Target(name="remote", options={"url": backend.url})))


def test_as_the_target_it_leaves_the_queue_alone(load: Any, pool: TaskPool, backend: SmallMlBackend) -> None:
    beside = load("linear", target={"url": backend.url})
    assert beside.look(pool, ProjectConfig(), 1, needed=False) is None
    assert pool.head is None
    assert backend.tasks() == []
    assert len(beside.results(pool, np.array([1]), needed=False)[1]) == 1


def test_the_configuration_knows_it(tmp_path: Path) -> None:
    """By its name, as a proxy and as a target; its options are looked at when the file is read."""
    file = tmp_path / "nextlabel.yaml"
    for section in ("proxy", "target"):
        file.write_text(f"{section}: {{name: remote, options: {{url: 'http://localhost:9091'}}}}")
        read = load_config(file, catalogue=catalogue(), environment={})
        assert getattr(read, section).options == {"url": "http://localhost:9091"}
        file.write_text(f"{section}: {{name: remote, options: {{url: 'http://h', bacth: 3}}}}")
        with pytest.raises(ConfigError, match=rf"{section}.options: .*did you mean 'batch'"):
            load_config(file, catalogue=catalogue(), environment={})


def test_it_takes_the_proxy_s_place(load: Any, pool: TaskPool, backend: SmallMlBackend) -> None:
    """Asked about a part of the candidates, never of the audit slice; the pool ranks by its doubts."""
    remote = load()
    assert remote.look(pool, ProjectConfig(), 1, needed=False) is None
    assert isinstance(pool.head, RemoteHead)
    asked = np.array(backend.tasks())
    audit = pool.tasks.ids[pool.audit.mask(ProjectConfig().queue.audit_share)]
    assert len(asked) == 20
    assert not np.isin(asked, audit).any()
    known = np.isin(pool.tasks.ids, asked)
    sure = np.where(pool.tasks.ids % 2 == 1, 0.15, 0.7)
    np.testing.assert_allclose(pool.predict(np.arange(COUNT)).sd[known], sure[known], atol=1e-6)
    strategy = suited(build("auto"))
    assert len(strategy(pool, np.arange(COUNT), 10, np.random.default_rng(0)).positions) == 10
    answers = pool.head.decide(pool.features(np.arange(3)), pool.predict(np.arange(3)))
    assert answers.targets.tolist() == [(), (), ()]
    assert pool.head.can_fit(pool.targets)
    assert pool.head.fresh().can_fit(pool.targets)


def test_the_front_gets_its_boxes(load: Any, pool: TaskPool, backend: SmallMlBackend) -> None:
    remote = load()
    rows = np.array([5, 2, 9])
    found = remote.results(pool, rows, needed=False)
    assert [len(found[row]) for row in (5, 2, 9)] == [1, 2, 1]  # row n is task n + 1
    assert backend.tasks() == [6, 3, 10]
    assert backend.asked["/predict"][0]["tasks"][0]["data"] == {"image": "/data/upload/1/6.png"}
    assert found[5][0]["from_name"] == "box"


def test_without_it_the_queue_stays_unless_a_front_is_needed(
    load: Any, pool: TaskPool, backend: SmallMlBackend
) -> None:
    """A round that can wait fails; one that cannot makes do with what is known, or with no model at all."""
    remote, rows = load(), np.array([1, 2])
    backend.misbehave["/predict"] = lambda: ("", 500)
    with pytest.raises(RemoteError, match="HTTP 500"):
        remote.look(pool, ProjectConfig(), 1, needed=False)
    with pytest.raises(RemoteError, match="HTTP 500"):
        remote.results(pool, rows, needed=False)
    said = remote.look(pool, ProjectConfig(), 1, needed=True)
    assert said is not None
    assert "HTTP 500" in said
    assert pool.head is None
    assert remote.results(pool, rows, needed=True) == {}
    del backend.misbehave["/predict"]
    assert remote.look(pool, ProjectConfig(), 2, needed=True) is None
    backend.misbehave["/setup"] = lambda: ("", 500)
    assert remote.look(pool, ProjectConfig(), 3, needed=True) is not None
    assert isinstance(pool.head, RemoteHead)


@pytest.mark.parametrize("wanted", [True, False])
def test_secrets_go_where_they_are_wanted(
    load: Any, pool: TaskPool, backend: SmallMlBackend, wanted: bool
) -> None:
    """Label Studio's token to a backend that needs it, and to no other; its password comes from outside."""
    backend.login = "a-word"
    load(send_token=wanted).look(pool, ProjectConfig(), 1, needed=False)
    [body] = backend.asked["/setup"]
    assert body["access_token"] == ("a-token" if wanted else "")
    assert (body["hostname"], body["schema"]) == ("http://ls.example.org", CONFIG)


def test_auto_asks_at_once_and_other_strategies_stay() -> None:
    assert suited(build("auto")) == build("uncertainty_k_center(margin)")
    assert suited(build("margin")) == build("margin")


def test_what_people_corrected_reaches_the_scorer(
    load: Any, store: Store, pool: TaskPool, backend: SmallMlBackend
) -> None:
    """Counted from the annotations of rows that were answered; counted anew when an annotation changes."""
    remote = load(sample=60)
    remote.look(pool, ProjectConfig(), 1, needed=False)

    def annotate(task: int, items: Sequence[Any], minute: int) -> None:
        at = NOW.replace(minute=minute)
        made = Annotation(500 + task, task, tuple(items), False, False, 1, 2.0, at, at)
        store.annotations.heard(1, [made], now=at)
        pool.tasks.refresh()

    drawn = [{**each, "type": "rectanglelabels"} for each in boxes([0.9, 0.8])["result"]]
    rows = {task: int(np.flatnonzero(pool.tasks.ids == task)[0]) for task in (1, 2, 3)}
    remote.results(pool, np.array(list(rows.values())), needed=False)
    annotate(1, drawn, 1)
    annotate(2, [], 1)
    annotate(3, drawn[:1], 1)
    assert remote._corrections(pool) == {rows[1]: 0.0, rows[2]: 1.0, rows[3]: 1.0}
    annotate(3, drawn, 2)
    assert remote._corrections(pool)[rows[3]] == 0.0
