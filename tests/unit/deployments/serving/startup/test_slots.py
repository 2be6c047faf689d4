"""Servers that start together take turns, and nobody waits for one that hangs."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.serving.startup.slots import start_slot

MINUTE = timedelta(minutes=1)


def test_no_more_have_a_turn_than_there_are(tmp_path: Path) -> None:
    clock = ManualClock()
    with start_slot(tmp_path, clock, 2, MINUTE) as first, start_slot(tmp_path, clock, 2, MINUTE) as second:
        assert (first, second) == (True, True)
        began = clock.monotonic()
        with start_slot(tmp_path, clock, 2, MINUTE) as third:
            assert not third
        assert clock.monotonic() - began >= MINUTE.total_seconds()
    with start_slot(tmp_path, clock, 2, MINUTE) as again:
        assert again


def test_a_turn_ends_with_a_failure(tmp_path: Path) -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="broken"), start_slot(tmp_path, clock, 1, MINUTE):
        raise ValueError("broken")
    with start_slot(tmp_path, clock, 1, MINUTE) as again:
        assert again


def test_where_no_turn_can_be_noted_a_server_starts_all_the_same(tmp_path: Path) -> None:
    with start_slot(tmp_path / "missing", ManualClock(), 2, MINUTE) as had:
        assert not had
