import json
from typing import Any

import pytest

from deployments.errors import MetricsUnreachable
from deployments.metrics.category_drift import is_jump, unknown_categories
from tests.advice import followed


@pytest.mark.parametrize(
    ("unknown", "rows", "usual", "jumped"),
    [
        (49, 49, 0.0, False),
        (60, 60, 0.0, True),
        (1, 100, 0.0, False),
        (20, 1000, 0.0, False),
        (50, 1000, 0.0, True),
        (50, 1000, 0.05, False),
        (400, 1000, 0.05, True),
        (1000, 1000, 0.5, False),
    ],
)
def test_a_jump_is_surely_more_than_training_held_out(unknown: int, rows: int, usual: float, jumped: bool) -> None:
    assert is_jump(unknown, rows, usual) is jumped


def test_the_servers_of_a_version_are_taken_together_and_a_silent_one_passes() -> None:
    def ask(address: str, path: str) -> tuple[int, bytes]:
        assert path == "/seatrial/counts"
        if address == "gone":
            raise MetricsUnreachable("gone")
        told: dict[str, object] = {"epoch": address, "began": "2026-01-01T00:00:00+00:00"}
        if address != "old":
            told["unknown_categories"] = {"zip": {"unknown": 40, "rows": 40, "usual": 0.01}}
        return 200, json.dumps(told).encode()

    assert unknown_categories({1: ["a", "gone", "old"]}, ask) == []
    [said] = unknown_categories({1: ["a", "b", "gone"], 2: ["old"]}, ask)
    assert said.startswith(
        "v1: column 'zip' holds a category that training never saw in 80 of the last 80 rows (100 %;"
    )


def test_who_sends_what_training_read_is_told_of_no_more() -> None:
    def ask_with(unknown: int) -> Any:
        late = {"zip": {"unknown": unknown, "rows": 400, "usual": 0.01}}
        told = {"epoch": "a", "began": "2026-01-01T00:00:00+00:00", "unknown_categories": late}
        return lambda _address, _path: (200, json.dumps(told).encode())

    [said] = unknown_categories({1: ["a"]}, ask_with(300))
    assert followed("see whether callers send what training read") in said
    assert unknown_categories({1: ["a"]}, ask_with(4)) == []
