"""What the web process answers does not depend on the database beneath."""

import re
from datetime import UTC, datetime

import pytest
from filled_store import fill, set_budget

from backend.web import WebSettings, create_app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMES = {"/metrics"}
"""What tells how long answers took."""
FORM_KEY = re.compile(r'value="[\w-]{32}"')
"""Each form has one of its own."""


@pytest.fixture(scope="module")
def stores(postgresql, tmp_path_factory):
    """The same project after some weeks in SQLite and in PostgreSQL."""
    folder = tmp_path_factory.mktemp("filled")
    both = []
    for url in (f"sqlite:///{folder}/store.db", postgresql.made()):
        store = fill(url, now=NOW, tasks=300, annotations=130, rounds=30, front=50)
        set_budget(store, 1, now=NOW)
        store.deeds.wish(1, "retrain", by="operator", now=NOW)
        store.access.secret("cookies")
        both.append(store)
    yield both
    for store in both:
        store.close()


def test_every_page_and_every_answer_is_the_same_on_both_databases(stores):
    clients = [create_app(store, WebSettings(), now=lambda: NOW).test_client() for store in stores]
    paths = {
        rule.rule.replace("<int:project_id>", "1")
        for rule in clients[0].application.url_map.iter_rules()
        if "GET" in rule.methods and rule.arguments <= {"project_id"}
    }
    assert len(paths) > 25
    for path in sorted(paths):
        answers = [client.get(path) for client in clients]
        assert answers[0].status_code == answers[1].status_code < 400, path
        if path not in TIMES:
            one, other = (FORM_KEY.sub("", answer.get_data(as_text=True)) for answer in answers)
            assert one == other, path
