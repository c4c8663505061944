"""Look a project up as people know it, and say in which store when it is not there."""

from __future__ import annotations

from backend.connecting import whereabouts
from backend.domain import NotFound
from backend.store import Connection, Store


def known(store: Store, project: int, *, connected: bool = False) -> Connection:
    """Look a project up; NotFound names the store, which may be that of another folder.

    connected: whether one that was given back is not found either
    """
    try:
        found = store.projects.get(project)
    except NotFound:
        found = None
    if found is None or (connected and not found.connected):
        raise NotFound(
            f"project {project} is not connected in the store {whereabouts(store)}; "
            f"connect it with: nextlabel connect {project}"
        )
    return found
