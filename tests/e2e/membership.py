"""More people in a Label Studio than the demo has: colleagues who sign up, and members of a project."""

from __future__ import annotations

import http
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Any

import httpx

from backend.demo.server import LabelStudioServer


def add_user(server: LabelStudioServer, email: str) -> str:
    """Sign a colleague up into the same organization; gives their token."""
    with httpx.Client(base_url=server.url, timeout=60) as browser:
        invitation = browser.get("/api/invite", headers={"Authorization": f"Token {server.token}"}).json()
        browser.cookies.clear()
        browser.get("/user/signup/").raise_for_status()
        form = {
            "email": email,
            "password": secrets.token_urlsafe(12),
            "csrfmiddlewaretoken": browser.cookies.get("csrftoken", ""),
        }
        browser.post("/user/signup/", data=form, params={"token": invitation["token"]})
        answer = browser.get("/api/current-user/token")
    assert answer.status_code == http.HTTPStatus.OK, f"{server.url} did not sign {email} up: {answer.text}"
    token: str = answer.json()["token"]
    return token


def add_member(server: LabelStudioServer, project_id: int, email: str) -> None:
    """Make a user a `ProjectMember`, which no page and no API of the community edition does."""
    found = sql(server, "SELECT id FROM htx_user WHERE email = ?", (email,))
    assert found, f"{server.url} has no user {email}"
    sql(
        server,
        "INSERT INTO projects_projectmember (enabled, created_at, updated_at, project_id, user_id) "
        "VALUES (1, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, ?, ?)",
        (project_id, found[0][0]),
    )


def sql(server: LabelStudioServer, statement: str, values: Sequence[object]) -> list[Any]:
    """Talk to the database past Label Studio: its schema is fixed by the release that we install."""
    connection = sqlite3.connect(server.folder / "label_studio.sqlite3", timeout=30)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()
