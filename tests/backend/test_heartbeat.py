"""A thread that beats, whatever happens to a beat."""

from __future__ import annotations

import threading

import pytest

from backend.domain import StoreError
from backend.heartbeat import Heartbeat


@pytest.mark.parametrize(
    "error", [StoreError("no answer"), RuntimeError("nobody foresaw this"), TimeoutError()]
)
def test_it_goes_on_after_a_beat_that_failed_and_says_so(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    beats, again, ended = [], threading.Event(), []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 2:
            raise error
        if len(beats) > 2:
            again.set()

    with Heartbeat(beat, seconds=0.01, end=lambda: ended.append(1)):
        assert again.wait(10)
    assert ended == [1]
    assert str(error) in caplog.text
    assert "heartbeat" in caplog.text


def test_it_beats_at_once_and_never_after_its_end() -> None:
    beats: list[int] = []
    with Heartbeat(lambda: beats.append(1), seconds=60, end=lambda: beats.append(2)):
        assert beats == [1]
    assert beats == [1, 2]
