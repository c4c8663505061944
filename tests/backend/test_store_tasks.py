"""The pool in the store: one row per (task, content), append-only, never reused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.domain import Annotation, Project, Task
from backend.store import RowState, Store, content_hash

pytestmark = pytest.mark.databases

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def store(url):
    store = Store.open(url)
    for id_ in (1, 2):
        store.projects.connect(Project(id_, f"p{id_}", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    yield store
    store.close()


def record(store, contents, *, at=START, project=1):
    tasks = [Task(id_, {"text": text}, at) for id_, text in contents.items()]
    return store.tasks.record(project, tasks, asked_at=at, now=at)


def rows(store, since=0):
    return store.tasks.changed_rows(1, since)[0]


def test_rows_are_numbered_in_the_order_in_which_tasks_come(store):
    record(store, {30: "x", 10: "y"})
    record(store, {20: "z"})
    assert [(row.row, row.task_id) for row in rows(store)] == [(0, 30), (1, 10), (2, 20)]
    assert store.tasks.data(1, 1, 3) == [{"text": "y"}, {"text": "z"}]


def test_a_page_read_again_changes_nothing(store):
    record(store, {10: "x", 20: "y"})
    before = store.projects.get(1)
    assert not record(store, {10: "x", 20: "y"}, at=START + SECOND)
    assert store.projects.get(1) == before


def test_an_edited_task_gets_a_new_row_and_the_old_one_is_not_live(store):
    record(store, {10: "old", 20: "other"})
    record(store, {10: "new"})
    assert rows(store) == [RowState(0, 10, False), RowState(1, 20, True), RowState(2, 10, True)]
    assert store.tasks.data(1, 0, 1) == [{"text": "old"}], "what was encoded for row 0 stays true"
    assert store.tasks.count(1) == 2


def test_content_edited_back_revives_the_old_row(store):
    """Its embedding is on disk already."""
    for text in ("old", "new", "old"):
        record(store, {10: text})
    assert rows(store) == [RowState(0, 10, True), RowState(1, 10, False)]


def test_the_order_of_keys_is_no_edit(store):
    assert content_hash({"a": 1, "b": [1, 2]}) == content_hash({"b": [1, 2], "a": 1})
    assert content_hash({"a": [1, 2]}) != content_hash({"a": [2, 1]})
    assert content_hash({"a": "\ud800"}) != content_hash({"a": "\ud801"}), "lone surrogates do not break it"


def test_changed_rows_lists_only_what_changed_since(store):
    record(store, {10: "x", 20: "y"})
    _, level = store.tasks.changed_rows(1, 0)
    assert rows(store, level) == []
    record(store, {20: "edited"})
    assert [row.row for row in rows(store, level)] == [1, 2]
    _, level = store.tasks.changed_rows(1, 0)
    answer = Annotation(5, 10, (), False, False, 1, 1.0, START, START)
    store.annotations.heard(1, [answer], now=START)
    assert [row.row for row in rows(store, level)] == [0], "a new label changes its task's row"


def test_removed_tasks_leave_with_their_annotations(store):
    answer = Annotation(5, 10, (), False, False, 1, 1.0, START, START)
    tasks = [Task(10, {"text": "x"}, START, (answer,)), Task(20, {"text": "y"}, START)]
    store.tasks.record(1, tasks, asked_at=START, now=START)
    assert store.tasks.remove(1, [10, 99], now=START + SECOND) == 1
    assert store.tasks.remove(1, [10], now=START + SECOND) == 0
    assert (store.tasks.live_ids(1), store.annotations.of_tasks(1, [10])) == ({20}, {})


def test_a_listing_asked_for_before_the_removal_does_not_bring_a_task_back_and_a_later_one_does(store):
    """Neither the task, nor its edited content, nor annotations that were not known yet."""
    record(store, {10: "x", 20: "y"})
    store.tasks.remove(1, [10], now=START + 5 * SECOND)
    answer = Annotation(5, 10, (), False, False, 1, 1.0, START, START)
    for text in ("x", "edited"):
        page = [Task(10, {"text": text}, START, (answer,)), Task(30, {"text": "z"}, START)]
        store.tasks.record(1, page, asked_at=START + 4 * SECOND, now=START + 6 * SECOND)
    assert store.tasks.live_ids(1) == {20, 30}
    assert store.annotations.of_tasks(1, [10]) == {}
    record(store, {10: "x"}, at=START + 7 * SECOND)
    assert store.tasks.live_ids(1) == {10, 20, 30}


def test_projects_number_their_rows_apart(store):
    record(store, {10: "x"})
    record(store, {11: "x", 12: "y"}, project=2)
    assert [row.row for row in store.tasks.changed_rows(2, 0)[0]] == [0, 1]
    store.tasks.remove(2, [10], now=START)
    assert store.tasks.live_ids(1) == {10}


def test_a_long_list_of_ids_is_cut_into_pieces_that_a_statement_can_hold(store):
    contents = {id_: str(id_) for id_ in range(1, 2502)}
    assert record(store, contents).new_rows == 2501
    assert len(store.tasks.live_ids(1)) == 2501
    assert store.tasks.remove(1, list(contents), now=START + SECOND) == 2501


def test_how_far_an_encoder_has_come_is_kept_by_its_fingerprint(store):
    assert store.tasks.encoded(1, "minilm") == 0
    for rows_ in (10, 25):
        store.tasks.set_encoded(1, "minilm", rows_)
    assert (store.tasks.encoded(1, "minilm"), store.tasks.encoded(1, "ngram")) == (25, 0)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pages=st.lists(
        st.dictionaries(st.integers(1, 6), st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6),
        max_size=8,
    )
)
def test_rows_equal_a_list_that_is_only_ever_appended_to(store, pages):
    """The twin: a list of (task, content) pairs, and a dictionary of what each task says now."""
    store.projects.forget(1)
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    twin, current = [], {}
    for page in pages:
        record(store, page)
        twin.extend((id_, text) for id_, text in page.items() if (id_, text) not in twin)
        current |= page
    expected = [RowState(row, id_, current[id_] == text) for row, (id_, text) in enumerate(twin)]
    assert rows(store) == expected
    assert [data["text"] for data in store.tasks.data(1, 0, len(twin))] == [text for _, text in twin]
