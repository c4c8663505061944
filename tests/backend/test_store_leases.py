"""Leases: one holder at a time, and an epoch that fences off whoever was overtaken."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.config.types import Rounds
from backend.domain import LeaseLost, Project
from backend.store import Store
from backend.store.leases import FORGOTTEN, LONGEST, SKEW
from backend.training.run import LEASE_SECONDS

pytestmark = pytest.mark.databases

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds):
    return START + timedelta(seconds=seconds)


@pytest.fixture
def store(url):
    store = Store.open(url)
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    yield store
    store.close()


def test_a_lease_is_one_workers_until_it_expires(store):
    mine = store.leases.take(1, "a", now=START, seconds=10)
    assert (mine.holder, mine.epoch) == ("a", 1)
    assert store.leases.take(1, "b", now=after(9.9), seconds=10) is None
    assert store.leases.take(1, "a", now=after(9.9), seconds=10) is None, "its own neither: it has it"
    assert store.leases.holder(1, now=after(9.9)) == "a"
    assert store.leases.holder(1, now=after(10)) is None
    assert store.leases.take(1, "b", now=after(10), seconds=10).epoch == 2


def test_renewing_prolongs_and_an_overtaken_holder_cannot(store):
    mine = store.leases.take(1, "a", now=START, seconds=10)
    store.leases.renew(mine, now=after(9), seconds=10)
    assert store.leases.take(1, "b", now=after(15), seconds=10) is None
    theirs = store.leases.take(1, "b", now=after(19), seconds=10)
    with pytest.raises(LeaseLost, match=r"project 1 was taken over by b \(epoch 2\)"):
        store.leases.renew(mine, now=after(20), seconds=10)
    with pytest.raises(LeaseLost):
        store.leases.check(mine, now=after(20))
    store.leases.check(theirs, now=after(20))


def test_a_lease_that_ran_out_is_good_for_nothing_until_it_is_renewed(store):
    """A worker that slept (a laptop's lid) finds out; when nobody took over it may go on."""
    mine = store.leases.take(1, "a", now=START, seconds=10)
    with pytest.raises(LeaseLost, match="ran out at 12:00:10 UTC"):
        store.leases.check(mine, now=after(10))
    store.leases.renew(mine, now=after(11), seconds=10)
    store.leases.check(mine, now=after(20))


def test_a_released_lease_is_free_at_once_and_its_epoch_is_never_used_again(store):
    mine = store.leases.take(1, "a", now=START, seconds=10)
    store.leases.release(mine, now=after(1))
    theirs = store.leases.take(1, "b", now=after(1), seconds=10)
    assert theirs.epoch == 2
    store.leases.release(mine, now=after(2))
    store.leases.check(theirs, now=after(2))


def test_a_forgotten_projects_lease_is_lost(store):
    mine = store.leases.take(1, "a", now=START, seconds=10)
    store.projects.forget(1)
    with pytest.raises(LeaseLost, match="project 1 was forgotten while a worked on it"):
        store.leases.renew(mine, now=START, seconds=10)


def test_workers_are_those_that_were_alive_lately(store):
    store.leases.beat("a", now=START)
    store.leases.beat("b", now=after(10))
    store.leases.beat("c", now=after(10))
    store.leases.retire("c")
    assert store.leases.workers(now=after(20)) == ["b"]
    store.leases.beat("a", now=after(20))
    assert sorted(store.leases.workers(now=after(20))) == ["a", "b"]


def test_a_worker_seen_in_the_future_is_not_alive(store):
    """It was killed, or will beat again in a moment; a clock that is a little ahead does no harm."""
    store.leases.beat("killed", now=after(3600))
    store.leases.beat("a little ahead", now=after(5))
    assert store.leases.workers(now=START) == ["a little ahead"]


def test_of_workers_that_were_killed_nothing_is_kept(store):
    store.leases.beat("killed", now=START)
    store.leases.beat("killed, with a clock ahead", now=START + 9 * FORGOTTEN)
    store.leases.beat("killed lately", now=after(60))
    store.leases.beat("a", now=START + FORGOTTEN + timedelta(seconds=1))
    everybody = store.leases.workers(now=START, within=99 * FORGOTTEN)
    assert sorted(everybody) == ["a", "killed lately"]


def test_no_lease_that_can_be_configured_is_beyond_belief():
    [most] = [rule.le for rule in Rounds.model_fields["lease_seconds"].metadata if hasattr(rule, "le")]
    assert most == LONGEST.total_seconds()
    assert most >= LEASE_SECONDS


def test_a_lease_that_ends_later_than_any_could_is_free(store):
    """Its holder was killed, and had a clock that was ahead: nobody waits for that day."""
    longest = LONGEST.total_seconds()
    store.leases.take(1, "a", now=START + SKEW, seconds=longest)
    assert store.leases.take(1, "b", now=START, seconds=10) is None, "a clock may be a little ahead"
    assert store.leases.take(1, "b", now=after(-1), seconds=10).epoch == 2
    store.projects.forget(1)
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    store.leases.take(1, "a", now=START + timedelta(days=3), seconds=10)
    assert store.leases.holder(1, now=START) is None
    assert store.leases.take(1, "b", now=START, seconds=10).epoch == 2
    assert store.leases.holder(1, now=START) == "b"


def test_whose_clock_was_put_back_is_fenced_off_until_it_renews_and_for_good_once_overtaken(store):
    """Anybody may take its lease meanwhile, so it must change nothing."""
    mine = store.leases.take(1, "a", now=START + timedelta(days=3), seconds=10)
    with pytest.raises(LeaseLost, match="ends at 2026-03-04 12:00:10 UTC, later than any could"):
        store.leases.check(mine, now=START)
    store.leases.renew(mine, now=after(1), seconds=10)
    store.leases.check(mine, now=after(1))
    store.leases.renew(mine, now=START + timedelta(days=3), seconds=10)
    theirs = store.leases.take(1, "b", now=after(2), seconds=10)
    for moment in (after(2), START + timedelta(days=3)):
        with pytest.raises(LeaseLost, match=r"taken over by b \(epoch 2\)"):
            store.leases.check(mine, now=moment)
        with pytest.raises(LeaseLost, match=r"taken over by b \(epoch 2\)"):
            store.leases.renew(mine, now=moment, seconds=10)
    store.leases.release(mine, now=after(3))
    store.leases.check(theirs, now=after(3))


def test_of_many_threads_exactly_one_takes_the_lease(store):
    with ThreadPoolExecutor(8) as threads:
        takes = [threads.submit(store.leases.take, 1, f"w{n}", now=START, seconds=10) for n in range(24)]
        got = [take.result() for take in takes]
    assert len([lease for lease in got if lease]) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "renew", "release"]), st.sampled_from("abc"), st.integers(0, 8)),
        max_size=20,
    )
)
def test_never_two_holders_and_never_an_epoch_twice(store, steps):
    """The twin: who holds it until when, by the clock alone."""
    store.projects.forget(1)
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    clock, owner, until, held, epochs = 0, None, 0, {}, []
    for action, name, pause in steps:
        clock += pause
        if action == "take":
            lease = store.leases.take(1, name, now=after(clock), seconds=5)
            assert (lease is not None) == (clock >= until)
            if lease:
                owner, until, held[name] = lease, clock + 5, lease
                epochs.append(lease.epoch)
        elif name in held and action == "renew":
            if held[name] is owner:
                store.leases.renew(held[name], now=after(clock), seconds=5)
                until = clock + 5
            else:
                with pytest.raises(LeaseLost):
                    store.leases.renew(held[name], now=after(clock), seconds=5)
        elif name in held:
            store.leases.release(held[name], now=after(clock))
            until = clock if held[name] is owner else until
        assert store.leases.holder(1, now=after(clock)) == (owner.holder if clock < until else None)
    assert epochs == list(range(1, len(epochs) + 1))
