"""Rows that are not in the inference log are shown to whoever asks how things stand, with what to change."""

import json

import pytest

from deployments.errors import MetricsUnreachable
from deployments.metrics.model_servers import log_losses
from flows.entrypoints.cli.status import _print_amiss

FACTS = {"amiss": [], "registry": [], "champion": 1}


def told(address: str, path: str) -> tuple[int, bytes]:
    assert path == "/seatrial/log"
    if address == "gone":
        raise MetricsUnreachable("gone")
    if address == "of old":
        return 404, b"{}"
    return 200, json.dumps({"dropped": {"rate": 20, address: 1}, "removed_parts": 0}).encode()


def test_what_all_servers_lost_is_added_up_and_who_does_not_know_is_left_out() -> None:
    assert log_losses(["too_large", "gone", "of old", "disk_full"], told) == {
        "rate": 40,
        "too_large": 1,
        "disk_full": 1,
    }


def test_the_reason_is_told_with_the_setting(capsys: pytest.CaptureFixture[str]) -> None:
    _print_amiss("flights", FACTS | {"log_dropped": {"rate": 1200, "stopped": 3}})
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "flights: rows that are not in the inference log: 1,200 by rate (more than rollout.server.log.rate); 3" in said
    )


def test_nothing_is_said_where_nothing_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    _print_amiss("flights", FACTS | {"log_dropped": {}})
    assert capsys.readouterr().out == ""
