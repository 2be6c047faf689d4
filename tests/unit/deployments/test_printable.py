"""Text of others steers no terminal and forges no line."""

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from deployments.printable import in_lines, in_one_line
from flows.entrypoints import console
from tasks.operator_log import LOGGER, tell

CLEAR = "\x1b[2J\x1b]0;mine\x07"
TURNED = "abc\u202etxt.exe"
ODD = [CLEAR, TURNED, "a\rb", "a\x9b31m", "a\x7fb", "a\u2028b", "\ud800", "\x00"]


@pytest.mark.parametrize("text", ODD)
def test_what_steers_a_terminal_is_spelled_out(text: str) -> None:
    for shown in (in_one_line(text), in_lines(text)):
        assert shown.isprintable()
        assert shown.isascii() == text.isascii() or "\\u" in shown or "\\x" in shown


def test_what_people_write_stays() -> None:
    for text in ("Größe 5 °C – “ja” 猫 🐈 \\x1b", "[red]no markup[/red]"):
        assert in_one_line(text) == in_lines(text) == text
    assert in_lines("one\n\ttwo") == "one\n\ttwo"
    assert in_one_line("one\ntwo") == "one\\ntwo"


@pytest.mark.parametrize("text", ODD)
def test_nothing_that_a_command_prints_steers(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = io.StringIO()
    made = Console(file=printed, highlight=False, width=400)
    monkeypatch.setattr(console, "out", lambda: made)
    monkeypatch.setattr(console, "err", lambda: made)
    console.say(text)
    console.say_done(text)
    console.warn(text)
    console.fail(text, 1)
    console.print_table("t", ["a"], [[text]])
    console.line(text)
    console.print_json({text: text})
    handler = console.Progress()
    record = logging.LogRecord("seatrial", logging.INFO, "", 0, "", None, None)
    record.event, record.facts = "rollout.begun", {"reason": text}
    handler.emit(record)
    seen = printed.getvalue() + capsys.readouterr().out
    assert all(line.isprintable() for line in seen.split("\n"))


def test_a_reason_with_a_line_break_is_one_line_of_a_log(tmp_path: Path) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    LOGGER.addHandler(handler)
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    try:
        tell("rollout.ordered", reason="fine\nrollout.promoted version=666")
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
    assert heard.getvalue().count("\n") == 1
