"""Rounds whatever the controls ask for: each control learns and pre-annotates, the first drives the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.config import ProjectConfig
from backend.config.types import Labels, Proxy, Queue, Selection
from backend.domain import ConfigError
from backend.rounds import Models, ProjectLoop
from backend.store import Store

SEVERAL = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text"><Choice value="cat"/><Choice value="dog"/></Choices>
<Choices name="moods" toName="text" choice="multiple"><Choice value="calm"/><Choice value="loud"/></Choices>
<Rating name="stars" toName="text" maxRating="5"/></View>"""
CONFIG = ProjectConfig(selection=Selection(cold_start_labels=6), queue=Queue(size=12))

Play = Callable[..., ProjectLoop]


def answer(labelstudio: Any, task_id: int) -> None:
    """Cats are calm and get five stars, dogs are loud and get one."""
    cat = task_id % 2 == 1
    labelstudio.label(task_id)
    task = labelstudio.tasks_[task_id]
    given = (
        ("label", "choices", {"choices": ["cat" if cat else "dog"]}),
        ("moods", "choices", {"choices": ["calm" if cat else "loud"]}),
        ("stars", "rating", {"rating": 5 if cat else 1}),
    )
    result = tuple(
        {"from_name": control, "to_name": "text", "type": kind, "value": value}
        for control, kind, value in given
    )
    labelstudio.tasks_[task_id] = replace(task, annotations=(replace(task.annotations[-1], result=result),))


@pytest.fixture
def play(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> Play:
    """Label so many tasks of the queue under a label config, a round after each."""

    def run(config: ProjectConfig, labels: int, label_config: str = SEVERAL) -> ProjectLoop:
        labelstudio.info = replace(labelstudio.info, label_config=label_config)
        store.projects.connect(labelstudio.info, {}, now=labelstudio.now)
        lease = store.leases.take(1, "me", now=labelstudio.now, seconds=600)
        assert lease is not None
        loop = ProjectLoop(
            store,
            labelstudio,
            config,
            1,
            folder=tmp_path,
            models=Models(lambda takes: encoder),
            now=lambda: labelstudio.now,
        )
        for _ in range(labels + 1):
            loop.sync(lease)
            if why := loop.due():
                loop.run(lease, why)
            task_id, from_queue = labelstudio.next()
            assert task_id is not None
            assert from_queue
            answer(labelstudio, task_id)
        return loop

    return run


def suggested(labelstudio: Any) -> dict[str, dict[int, Any]]:
    """What the current front suggests: by control, by task."""
    found: dict[str, dict[int, Any]] = {}
    for task, prediction in labelstudio.predictions[labelstudio.info.model_version].items():
        for item in prediction.result:
            [value] = item["value"].values()
            found.setdefault(item["from_name"], {})[task] = value
    return found


def test_every_control_pre_annotates(play: Play, labelstudio: Any) -> None:
    """One front carries the answers of all three, each right."""
    play(CONFIG, 16)
    found = suggested(labelstudio)
    assert set(found) == {"label", "moods", "stars"}
    assert all(value == ["cat" if task % 2 else "dog"] for task, value in found["label"].items())
    right = [value == ["calm" if task % 2 else "loud"] for task, value in found["moods"].items()]
    assert sum(right) >= 0.8 * len(right)
    assert all((value >= 3) == (task % 2 == 1) for task, value in found["stars"].items())


@pytest.mark.parametrize("control", ["moods", "stars"])
def test_the_configured_control_drives_the_queue(control: str, play: Play, store: Store) -> None:
    """Tags and numbers rank as classes do; the round says what it learned."""
    play(CONFIG.model_copy(update={"labels": Labels(control=control)}), 14)
    last = store.rounds.latest(1)
    assert last is not None
    assert last.error is None
    assert not last.figures["cold_start"]
    assert last.figures["labelled"] >= 13
    assert set(last.figures["classes"]) == ({"calm", "loud"} if control == "moods" else set())


def test_a_head_that_does_not_learn_the_form_is_named(play: Play) -> None:
    """Instead of a failure deep inside."""
    config = CONFIG.model_copy(update={"labels": Labels(control="stars"), "proxy": Proxy(name="ensemble")})
    with pytest.raises(ConfigError, match="head 'ensemble' does not learn number; expected one of linear"):
        play(config, 1)
