"""Leases: one holder at a time, and an epoch that fences off whoever was overtaken."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.domain import LeaseLost, Project
from backend.store import Store

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
