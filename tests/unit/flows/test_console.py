"""What others wrote is shown as it stands: it is no markup, and breaks no command."""

import logging
from collections.abc import Iterator

import pytest

from flows.entrypoints import console
from tasks.operator_log import tell

TEXTS = (
    r"\[/red] x", r"\[bold]x", r"\\[/red]", "[link=http://evil.example]x[/link]", r"\[link=http://evil.example]x",
    "[0].value", "[@click=app.quit]x[/]", "tail\\", "[/]",
)  # fmt: skip


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    console.err.cache_clear()
    console.out.cache_clear()
    yield
    console.err.cache_clear()
    console.out.cache_clear()


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_is_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.warn(text)
    console.fail(text, 1)
    console.print_table("t", ["a"], [[text]])
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"warning: {text}", f"error: {text}"]
    assert shown.out.splitlines()[-1].rstrip() == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_reason_of_an_event_never_breaks_the_run_that_tells_it(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, handler = logging.getLogger("seatrial"), console.Progress()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        tell("rollout.failed", reason=text, product="flights")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert f"reason {text}  product flights" in capsys.readouterr().err
