"""Log-ins, API tokens and the installation's secrets: only hashes are kept, and each is made once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from backend.cli.access import token as command
from backend.cli.setup import Setup
from backend.domain import ConfigError, NotFound, Project
from backend.store import Store
from backend.store.access import TOKEN_PREFIX, USED_EVERY

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_secret_is_made_once_by_whoever_asks_first(store):
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: store.access.secret("cookies"), range(32)))
    assert len(found) == 1
    assert len(found.pop()) > 40
    assert store.access.secret("cookies") != store.access.secret("other")


def test_log_ins_that_have_expired_are_cleared_away(store):
    old, _ = store.access.log_in("a", "password", None, now=NOW - timedelta(days=2))
    key, login = store.access.log_in("b", "Label Studio", [3, 1], now=NOW)
    assert store.access.find_login(old, now=NOW) is None
    assert store.access.find_login(key, now=NOW) == login
    assert login.projects == {1, 3}
    assert store.access.find_login(key, now=login.expires_at) is None
    store.access.log_out(key)
    assert store.access.find_login(key, now=NOW) is None


def test_an_empty_list_of_projects_is_not_all_of_them(store):
    _, login = store.access.log_in("a", "Label Studio", [], now=NOW)
    _, made = store.access.make_token("t", "read", [], by="a", now=NOW)
    assert login.projects == frozenset()
    assert made.projects == ()


def test_the_last_use_of_a_token_is_known_without_writing_each_time(store):
    key, made = store.access.make_token("t", "write", None, by="a", now=NOW)
    assert key.startswith(TOKEN_PREFIX)
    assert made.used_at is None
    for minutes, known in ((0, 0), (2, 0), (6, 6)):
        store.access.find_token(key, now=NOW + timedelta(minutes=minutes))
        assert store.access.tokens()[0].used_at == NOW + timedelta(minutes=known), minutes
    assert timedelta(minutes=2) < USED_EVERY < timedelta(minutes=6)


def test_what_is_no_token_is_none_and_what_is_unknown_cannot_be_revoked(store):
    store.access.make_token("t", "read", None, by="a", now=NOW)
    for key in ("", "nlt_", "nlt_guess", "x" * 10_000, "é"):
        assert store.access.find_token(key, now=NOW) is None
    with pytest.raises(NotFound, match="token 99"):
        store.access.revoke_token(99, now=NOW)


def test_names_are_remembered_and_renewed(store):
    store.access.name_people({})
    store.access.name_people({1: "Ada", 2: "Jun"})
    store.access.name_people({2: "Jun-ho"})
    assert store.access.people() == {1: "Ada", 2: "Jun-ho"}


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture
def setup(tmp_path):
    made = Setup(None, {"NEXTLABEL_STORE_URL": f"sqlite:///{tmp_path}/cli.db"})
    made.store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    yield made
    made.store.close()


def run(setup, *arguments):
    return CliRunner().invoke(command, list(arguments), obj=setup, catch_exceptions=False)


def test_the_command_makes_lists_and_revokes_tokens(setup):
    assert "nextlabel token NAME" in run(setup).output
    key = run(setup, "nightly", "--write", "--project", "1").stdout.split()[0]
    found = setup.store.access.find_token(key, now=NOW)
    assert (found.name, found.rights, found.projects) == ("nightly", "write", (1,))
    assert key not in run(setup).output
    assert "nightly" in run(setup).output
    with pytest.raises(ConfigError, match="exists already"):
        run(setup, "nightly")
    run(setup, "nightly", "--revoke")
    assert setup.store.access.find_token(key, now=NOW) is None
    with pytest.raises(ConfigError, match="none in use"):
        run(setup, "nightly", "--revoke")


def test_a_token_for_a_project_that_is_not_connected_is_not_made(setup):
    with pytest.raises(NotFound):
        run(setup, "x", "--project", "9")
    with pytest.raises(ConfigError, match="1 to 100"):
        run(setup, "x" * 101)
    assert setup.store.access.tokens() == []


def test_a_store_opened_elsewhere_knows_the_same(store, tmp_path):
    key, _ = store.access.make_token("t", "read", None, by="a", now=NOW)
    other = Store(store.database.url.render_as_string(hide_password=False))
    assert other.access.find_token(key, now=NOW) is not None
    assert other.access.secret("cookies") == store.access.secret("cookies")
    other.close()
