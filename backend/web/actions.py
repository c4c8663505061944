"""What can be done to a project on a page or through the API; the worker does it, by way of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from backend.budget import Standing, save_stand
from backend.domain import RETRAIN
from backend.store import Store

Act: TypeAlias = Callable[[Store, int, str, datetime], object]


def _round(store: Store, project_id: int, author: str, now: datetime) -> None:
    store.deeds.ask_round(project_id, f"asked for by {author}", by=author, now=now)


def _retrain(store: Store, project_id: int, author: str, now: datetime) -> None:
    store.deeds.wish(project_id, RETRAIN, by=author, now=now)


def _stand(standing: Standing) -> Act:
    def act(store: Store, project_id: int, author: str, now: datetime) -> object:
        return save_stand(store, project_id, standing, author=author, now=now)

    return act


ACTIONS: Mapping[str, Act] = {
    "round": _round,
    RETRAIN: _retrain,
    "pause": _stand(Standing.PAUSED),
    "resume": _stand(Standing.RUNNING),
    "close": _stand(Standing.CLOSED),
    "reopen": _stand(Standing.RUNNING),
}
"""By name: what each asks for."""
