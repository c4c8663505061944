"""Who a Label Studio token lets in, asked of the real one."""

from __future__ import annotations

from typing import Any

import pytest

from backend.domain import Unauthorized
from backend.web.identity import identify


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_either_kind_of_token_names_its_user_and_what_they_may_read(
    label_studio: Any, owner: Any, client: Any, project: Any, kind: str
) -> None:
    """A project that is there counts, one that is not does not."""
    made = project(["one text"])
    token = label_studio.token if kind == "legacy" else owner.personal_token()
    found = identify(label_studio.url, token, [made.id, 10_000_000], timeout=10)
    assert found.id == client.whoami().id
    assert found.projects == {made.id}
    assert found.name
    assert found.account == label_studio.email


@pytest.mark.parametrize("token", ["0" * 40, "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"])
def test_a_token_that_is_not_known_is_refused(label_studio: Any, token: str) -> None:
    with pytest.raises(Unauthorized):
        identify(label_studio.url, token, [], timeout=10)
