"""What managers type: checked field by field, saved whole or not at all, and never forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.budget import (
    Budget,
    FieldErrors,
    Shares,
    Standing,
    as_fields,
    budget_of,
    first_budget,
    history,
    parse_and_check,
    save_budget,
    save_shares,
    save_stand,
    seed,
    seeded,
    shares_of,
    stand_of,
    with_shares,
)
from backend.budget.terms import METRICS, METRICS_BY_FORM, NAMES, from_fields
from backend.config import ProjectConfig
from backend.config.types import Budget as Section
from backend.config.types import Queue
from backend.domain import ConfigError, NotFound, Outdated, Project
from backend.labels.forms import Form, Span, gather
from backend.quality import HEADLINES, measure
from backend.store import Store

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    opened.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    yield opened
    opened.close()


def check(**fields: Any) -> Budget:
    return parse_and_check(fields, now=NOW)


def wrong(**fields: Any) -> dict[str, str]:
    with pytest.raises(FieldErrors) as caught:
        check(**fields)
    return caught.value.errors


# --- fields -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("labels", ["0", "-5", "1.5", "1e12", "many", "nan", True, "1,000"]),
        ("hours", ["0", "-1", "1e9", "inf", "x", "0.0000001"]),
        ("money", ["-1", "0", "1e13"]),
        ("per_hour", ["-1", "1e10"]),
        ("per_label", ["-0.01"]),
        ("currency", ["EURO", "E1R", "€", "e"]),
        ("deadline", ["soon", "2026-02-30", "2026-03-01T11:59", "2025-01-01", "9999-12-31T23:59-10:00"]),
        ("target_metric", ["beauty"]),
        ("target_value", ["1.5", "0", "1", "150%", "-0.1", "nan", "100%"]),
        ("since", ["2027-01-01", "once"]),
        ("most_minutes", ["0", "1441"]),
        ("least_gain", ["-1", "21"]),
        ("labls", ["500"]),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(field: str, values: list[Any]) -> None:
    for value in values:
        given = {field: value}
        if field in ("money", "per_hour", "per_label"):
            given |= {"currency": "EUR"} | ({"per_label": 1} if field == "money" else {})
        errors = wrong(**given)
        assert list(errors) == [field], (value, errors)
        assert "expected" in errors[field]


def test_all_errors_come_at_once() -> None:
    errors = wrong(labels="-5", target_value="1.5", hours="x", money="100")
    assert sorted(errors) == ["currency", "hours", "labels", "money", "target_value"]
    assert errors["target_value"] == '"1.5"; expected a number between 0 and 1, such as 0.9 or 90%'
    assert "per_hour or per_label" in errors["money"]


def test_a_form_and_json_say_the_same() -> None:
    form = check(labels="500", hours=" 12.50 ", currency="eur", per_hour="15", target_value="90%", money="")
    json = check(labels=500, hours=12.5, currency="EUR", per_hour=15.0, target_value=0.9, money=None)
    assert form == json
    assert (form.labels, form.hours, form.currency) == (500, Decimal("12.5"), "EUR")
    assert check() == Budget()


def test_times_without_a_zone_are_utc_and_a_day_is_its_end() -> None:
    assert check(deadline="2026-03-01").deadline == datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    assert check(deadline="2026-03-02T01:00+09:00").deadline == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert check(deadline="2026-03-01T18:30").deadline == datetime(2026, 3, 1, 18, 30, tzinfo=UTC)
    assert check(since="2026-03-01").since == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_deadline_that_has_passed_may_stay_while_something_else_is_changed() -> None:
    before = check(deadline="2026-03-02")
    later = NOW + timedelta(days=9)
    kept = parse_and_check(as_fields(before) | {"labels": "5"}, now=later, before=before)
    assert (kept.labels, kept.deadline) == (5, before.deadline)
    with pytest.raises(FieldErrors, match="deadline"):
        parse_and_check(as_fields(before), now=later, before=Budget())


_amount = st.none() | st.decimals("0.01", "99999", places=2)
_budgets = st.builds(
    Budget,
    labels=st.none() | st.integers(1, 10**8),
    hours=_amount,
    money=_amount,
    currency=st.sampled_from(["EUR", "KRW"]),
    per_hour=_amount,
    per_label=st.decimals("0", "10", places=4),
    deadline=st.none() | st.datetimes(datetime(2026, 4, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    target_metric=st.sampled_from(METRICS),
    target_value=st.none() | st.decimals("0.001", "0.999", places=3),
    since=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2026, 3, 1), timezones=st.just(UTC)),
    most_minutes=st.decimals("1", "1440", places=1),
    least_gain=st.decimals("0", "20", places=2),
)


@given(_budgets)
def test_what_is_kept_reads_back_as_it_was(budget: Budget) -> None:
    assert from_fields(as_fields(budget)) == budget
    assert parse_and_check(as_fields(budget), now=NOW) == budget


_junk = st.one_of(
    st.none(), st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.lists(st.integers())
)


@given(st.dictionaries(st.sampled_from(NAMES), _junk))
def test_whatever_is_typed_is_read_or_refused(fields: dict[str, Any]) -> None:
    errors: dict[str, str] = {}
    try:
        budget = parse_and_check(fields, now=NOW)
    except FieldErrors as caught:
        errors = caught.errors
        budget = Budget()
    assert set(errors) <= set(NAMES)
    assert from_fields(as_fields(budget)) == budget


# --- saving -----------------------------------------------------------------------------------------


def save(store: Store, revision: int, author: str = "Ada", *, hours_later: int = 0, **fields: Any) -> Any:
    return save_budget(store, 1, fields, revision=revision, author=author, now=NOW + hours_later * HOUR)


def test_two_managers_save_at_once_and_the_second_is_told(store: Store) -> None:
    save(store, 0, labels=500)
    save(store, 1, "Ada", labels=600)
    with pytest.raises(Outdated, match=r"Ada saved revision 2 at 2026-03-01 12:00 UTC, after you had read"):
        save(store, 1, "Bob", labels=700, hours=5)
    held = budget_of(store, 1)
    assert (held.value, held.revision, held.author) == (Budget(labels=600), 2, "Ada")
    assert len(history(store, 1)) == 2, "nothing of the second is kept"
    with pytest.raises(Outdated):
        save(store, 7, "Bob", labels=700)


def test_a_wrong_field_saves_nothing(store: Store) -> None:
    save(store, 0, labels=500)
    with pytest.raises(FieldErrors):
        save(store, 1, labels=600, hours=-1)
    assert budget_of(store, 1).value == Budget(labels=500)


def test_every_change_is_kept_with_who_when_old_and_new(store: Store) -> None:
    save(store, 0, "Ada", labels=500)
    save(store, 1, "Bob", hours_later=1, labels=600, hours=2)
    save_stand(store, 1, Standing.PAUSED, note="new  guidelines", author="Cy", now=NOW + 2 * HOUR)
    save_shares(store, 1, {"audit": "20%"}, queue=Queue(), revision=0, author="Di", now=NOW + 3 * HOUR)
    told = [(one.author, one.field, one.old, one.new, one.at) for one in history(store, 1)]
    assert told == [
        ("Di", "audit", None, "0.2", NOW + 3 * HOUR),
        ("Cy", "note", None, "new guidelines", NOW + 2 * HOUR),
        ("Cy", "standing", None, "paused", NOW + 2 * HOUR),
        ("Bob", "hours", None, "2", NOW + HOUR),
        ("Bob", "labels", "500", "600", NOW + HOUR),
        ("Ada", "labels", None, "500", NOW),
    ]


def test_saving_the_same_again_is_no_change(store: Store) -> None:
    save(store, 0, labels=500)
    assert save(store, 1, "Bob", labels="500").author == "Ada"
    assert len(history(store, 1)) == 1


def test_saving_wakes_the_worker(store: Store) -> None:
    store.projects.polled(1, cursor=None, now=NOW - HOUR)
    save(store, 0, labels=500)
    known = store.projects.get(1)
    assert known.wanted == "the budget was changed"
    assert known.woken_at is not None
    assert known.polled_at is not None
    assert known.woken_at > known.polled_at


def test_a_project_that_is_not_connected_has_no_budget_to_set(store: Store) -> None:
    with pytest.raises(NotFound, match="nextlabel connect 9"):
        save_budget(store, 9, {"labels": 5}, revision=0, author="Ada", now=NOW)
    assert budget_of(store, 9).revision == 0


def test_somebody_must_have_done_it(store: Store) -> None:
    with pytest.raises(FieldErrors, match="author"):
        save(store, 0, "  ", labels=5)


# --- standing and shares ----------------------------------------------------------------------------


def test_a_project_runs_until_somebody_pauses_it(store: Store) -> None:
    assert stand_of(store, 1).value.standing is Standing.RUNNING
    save_stand(store, 1, "paused", author="Ada", now=NOW)
    assert (stand_of(store, 1).value.standing, stand_of(store, 1).author) == (Standing.PAUSED, "Ada")
    with pytest.raises(FieldErrors, match="expected one of running, paused, closed"):
        save_stand(store, 1, "gone", author="Ada", now=NOW)
    with pytest.raises(FieldErrors, match="at most 500"):
        save_stand(store, 1, "paused", note="x" * 501, author="Ada", now=NOW)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"audit": "0.6"}, "audit"),
        ({"audit": -0.1}, "audit"),
        ({"exploration": "much"}, "exploration"),
        ({"relabel": "nan"}, "relabel"),
        ({"audit": 0.5, "relabel": 0.5}, "audit"),
        ({"luck": 0.1}, "luck"),
    ],
)
def test_a_share_out_of_range_is_refused(store: Store, given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        save_shares(store, 1, given, queue=Queue(), revision=0, author="Ada", now=NOW)
    assert list(caught.value.errors) == [field]
    assert shares_of(store, 1).value == Shares()


def test_live_shares_go_before_the_configuration_and_an_empty_one_leaves_it(store: Store) -> None:
    save_shares(
        store, 1, {"audit": "0.25", "exploration": ""}, queue=Queue(), revision=0, author="Ada", now=NOW
    )
    config = with_shares(ProjectConfig(), shares_of(store, 1).value)
    assert (config.queue.audit_share, config.queue.exploration_share) == (0.25, 0.05)
    assert with_shares(ProjectConfig(), Shares()) == ProjectConfig()


def test_an_empty_share_counts_what_the_configuration_says(store: Store) -> None:
    """The strategy is left a tenth at least, of what holds and not of what was typed alone."""
    queue = Queue(audit_share=0.5, exploration_share=0.1)
    with pytest.raises(FieldErrors) as caught:
        save_shares(store, 1, {"relabel": "0.4"}, queue=queue, revision=0, author="Ada", now=NOW)
    assert caught.value.errors == {
        "audit": "all shares together are 1.0 (left empty, audit counts 0.5, exploration counts 0.1); "
        "expected at most 0.9"
    }
    assert shares_of(store, 1).revision == 0
    save_shares(store, 1, {"relabel": "30 %"}, queue=queue, revision=0, author="Ada", now=NOW)
    given = {"relabel": "0.4", "audit": "0.4", "exploration": ""}
    save_shares(store, 1, given, queue=queue, revision=1, author="Ada", now=NOW)
    assert shares_of(store, 1).value == Shares(audit=Decimal("0.4"), relabel=Decimal("0.4"))


def test_shares_that_are_left_empty_count_by_their_defaults_where_none_is_configured(store: Store) -> None:
    with pytest.raises(FieldErrors, match=r"together are 0\.95 \(left empty, exploration counts 0\.05\)"):
        save_shares(
            store, 1, {"audit": 0.4, "relabel": 0.5}, queue=Queue(), revision=0, author="Ada", now=NOW
        )
    save_shares(
        store,
        1,
        {"audit": 0.4, "relabel": 0.5, "exploration": 0},
        queue=Queue(),
        revision=0,
        author="Ada",
        now=NOW,
    )


SHARE = st.decimals(0, Decimal("0.4"), places=2)


@given(SHARE, st.none() | SHARE, st.none() | SHARE, SHARE, SHARE)
def test_a_configuration_that_was_changed_since_gives_way_to_the_shares_that_were_set(
    relabel: Decimal, audit: Decimal | None, exploration: Decimal | None, mine: Decimal, other: Decimal
) -> None:
    """What was set holds, the strategy keeps its tenth, and what fits stays as it is configured."""
    live = Shares(audit, exploration, relabel)
    assume(sum(value for value in vars(live).values() if value is not None) <= Decimal("0.9"))
    queue = Queue(audit_share=float(mine), exploration_share=float(other))
    found = with_shares(ProjectConfig(queue=queue), live).queue.shares
    assert {name: found[name] for name, value in vars(live).items() if value is not None} == {
        name: value for name, value in vars(live).items() if value is not None
    }
    assert float(sum(found.values())) <= 0.9 + 1e-12
    plain = {name: queue.shares[name] if value is None else value for name, value in vars(live).items()}
    if sum(plain.values()) <= Decimal("0.9"):
        assert found == plain


# --- from the configuration -------------------------------------------------------------------------


def test_the_configuration_seeds_a_project_once(store: Store) -> None:
    config = ProjectConfig(budget=Section(labels=500, hours=2.5, deadline="2026-12-31"))
    seed(store, 1, seeded(config, now=NOW), now=NOW)
    held = budget_of(store, 1)
    assert (held.value.labels, held.value.hours, held.author) == (500, Decimal("2.5"), "the configuration")
    save(store, 1, labels=900)
    seed(store, 1, seeded(config, now=NOW), now=NOW)
    assert budget_of(store, 1).value.labels == 900


def test_a_deadline_of_the_file_that_has_passed_keeps_nobody_from_connecting_again(store: Store) -> None:
    config = ProjectConfig(budget=Section(labels=500, deadline="2026-12-31"))
    seed(store, 1, first_budget(store, 1, config, now=NOW), now=NOW)
    later = datetime(2027, 3, 1, tzinfo=UTC)
    assert first_budget(store, 1, config, now=later) == Budget()
    with pytest.raises(ConfigError, match=r"budget\.deadline"):
        first_budget(store, 2, config, now=later)


def test_a_configuration_without_a_budget_seeds_nothing(store: Store) -> None:
    seed(store, 1, seeded(ProjectConfig(), now=NOW), now=NOW)
    assert budget_of(store, 1).revision == 0
    assert as_fields(seeded(ProjectConfig(), now=NOW)) == as_fields(Budget())


def test_a_budget_that_makes_no_sense_together_is_a_configuration_error() -> None:
    config = ProjectConfig(budget=Section(money=100, deadline="2026-01-01"))
    with pytest.raises(ConfigError) as caught:
        seeded(config, now=NOW)
    told = str(caught.value).splitlines()
    assert sorted(line.split(":")[0] for line in told) == [
        "budget.currency",
        "budget.deadline",
        "budget.money",
    ]


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.REGIONS])
def test_what_labels_of_a_form_are_measured_by_is_what_rounds_measure(form: Form) -> None:
    assert METRICS_BY_FORM.keys() == set(Form)
    names, rng = METRICS_BY_FORM[form], np.random.default_rng(0)
    truth: Any = rng.integers(0, 2, 40)
    if form is Form.TAGS:
        truth = rng.integers(0, 2, (40, 2)).astype(np.int8)
    if form is Form.NUMBER:
        truth = rng.random(40)
    if form is Form.SPANS:
        truth = gather(form, [(Span(0, 3, int(label)),) for label in truth], 2)
    measured = [score.name for score in measure(form, truth, truth, np.ones(40, np.float32), "ab").scores]
    assert names[0] == HEADLINES[form] == measured[0]
    assert set(names) == set(measured) & set(METRICS)


def test_a_target_is_of_something_that_is_measured() -> None:
    def read(before: Budget | None = None, **given: Any) -> Budget:
        return parse_and_check(given, now=NOW, before=before, metrics=("spearman", "r2"))

    assert read(target_value=".5").target_metric == "spearman", "accuracy names the headline of any labels"
    assert read(target_value=".5", target_metric="accuracy").target_metric == "spearman"
    assert read(target_value=".5", target_metric="r2").target_metric == "r2"
    assert read(labels=5).target_metric == "accuracy", "nothing is aimed at: nothing changes"
    with pytest.raises(FieldErrors, match=r"macro_f1 is not measured .* expected one of spearman, r2"):
        read(target_metric="macro_f1")
    old = Budget(target_metric="macro_f1", target_value=Decimal("0.5"))
    assert read(old, target_metric="macro_f1", target_value=".5", labels=5).labels == 5, "it may stay"
    with pytest.raises(FieldErrors, match=r"target_value: .* are not measured"):
        parse_and_check({"target_value": ".5"}, now=NOW, metrics=())
