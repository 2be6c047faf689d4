"""What a spec says of its servers is what a server reads on its command line."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.serving.__main__ import _limits_of, _parse
from deployments.serving.inference_log import LogOptions, options_of
from deployments.serving.request_limits import Limits
from deployments.spec import LimitsSection, LogSection, ServerSection, StickyKey
from deployments.targets.server_flags import server_flags

HEADER = StickyKey(header="X-User")
HOME = Path("/home/inference-log")


def read(log: LogSection, key: StickyKey = HEADER) -> LogOptions | None:
    needed = ["--model", "m", "--product", "p", "--version", "1", "--port", "1"]
    return options_of(_parse([*needed, *server_flags(ServerSection(log=log), key, HOME)]))


def test_by_default_all_is_logged_in_the_home() -> None:
    assert read(LogSection()) == LogOptions(str(HOME), 1.0, timedelta(seconds=10), frozenset(), "x-user")


def test_everything_that_a_spec_says_arrives() -> None:
    log = LogSection(
        sample=0.25,
        folder="s3://bucket/log",
        flush=timedelta(minutes=1),
        mask=("age", "-- name"),
        size=2**30,
        rate=2**20,
    )
    names = frozenset({"age", "-- name"})
    wanted = LogOptions("s3://bucket/log", 0.25, timedelta(minutes=1), names, "x-user", size=2**30, rate=2**20)
    assert read(log) == wanted


def test_a_key_in_a_cookie_is_looked_for_in_the_header_of_cookies() -> None:
    options = read(LogSection(), StickyKey(cookie="Sid"))
    assert options is not None
    assert (options.key_header, options.key_cookie) == ("cookie", "Sid")


@pytest.mark.parametrize("log", [LogSection(enabled=False), LogSection(sample=0.0)])
def test_a_log_that_would_hold_nothing_is_not_kept(log: LogSection) -> None:
    assert read(log) is None


def test_the_secret_comes_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_LOG_SECRET", "hunter2")
    options = read(LogSection())
    assert options is not None
    assert options.secret == b"hunter2"


@pytest.mark.parametrize(
    "wrong", [["--log-sample", "1.5"], ["--log-flush", "0"], ["--log-flush", "soon"], ["--log-size", "0"]]
)
def test_a_flag_that_makes_no_sense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parse(["--model", "m", "--product", "p", "--version", "1", "--port", "1", *wrong])
    assert wrong[0] in capsys.readouterr().err


def limits_read(server: ServerSection) -> Limits:
    needed = ["--model", "m", "--product", "p", "--version", "1", "--port", "1"]
    return _limits_of(_parse([*needed, *server_flags(server, HEADER, HOME)]))


def test_limits_and_policies_arrive_and_both_have_the_same_defaults() -> None:
    assert limits_read(ServerSection()) == Limits()
    limits = LimitsSection(body=2048, rows=7, time=timedelta(seconds=1.5), in_flight=3)
    strict = ServerSection(limits=limits, missing="refuse", unknown_categories="refuse", unknown_columns="ignore")
    assert limits_read(strict) == Limits(2048, 7, timedelta(seconds=1.5), 3, False, False, True)
