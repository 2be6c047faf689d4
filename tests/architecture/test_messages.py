"""Every text that reaches people, as far as a machine can read it: counts with nouns, times with zones, marks.

What only a reader can judge is not here: `make words` prints all of them, `python -m tests.architecture.advice` those
that advise something.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from flows.entrypoints.console import _mark
from tests.architecture.texts import FILLED, PACKAGES, ROOT, messages

# Verbs, which follow names and versions: "v… serves", "$… names".
_VERBS = frozenset(
    re.findall(
        r"\w+",
        "is was has does as asks allows belongs carries compares defines ends fails fits gives goes holds keeps knows "
        "lacks leads leaves makes mirrors names needs refuses returns says serves sounds stands starts stays takes "
        "tells wants this its spans answers",
    )
)
_COUNTED = re.compile(rf"{FILLED} (?:(?!has |holds )[a-z]+ )?([a-z]{{3,}}s)\b(?! {FILLED}:)")
# Never one: bounds that are constants of the code or come from it, or a plural whatever the number.
_NEVER_ONE = re.compile(
    r"(more|larger) than (the )?\u2026 (bytes|columns|values|rows)|bytes would take|\u2026 files\) that were|"
    r"requests/s|\u2026 answers of each version|\u2026 items at once|under \u2026 names|\u2026 times|\u2026 bits|\u2026 characters, fewer|"
    r"\u2026 printable|\u2026 buckets|\u2026 columns: \u2026|requests are being answered|\u2026 errors are|"
    r"\u2026 errors of \u2026 requests cannot|how many requests match|(target|order|text|names) in all \u2026 rows"
)
_FORMATTED = re.compile(r":[^{}]*%H:%M")
# What stands under a heading that names the zone, and formats for machines.
_WITH_ZONE = re.compile(r"UTC|Z[\"\'}]|%z|times are UTC|UTC\b")


def unlike_a_person(words: str) -> list[str]:
    """Plurals after a number that is filled in, which may be 1."""
    plain = _NEVER_ONE.sub("", words)
    return [noun for noun in _COUNTED.findall(plain) if noun not in _VERBS]


def test_a_number_that_may_be_one_has_its_noun_from_counted() -> None:
    """`deployments.plurals.counted` knows both forms; a text of its own knows only one."""
    assert [str(text) for text in messages() if unlike_a_person(text.words)] == []


@pytest.mark.parametrize(
    "words",
    ["suite …: … expectations cannot be used", "takes about … requests", "→ … by … looks, the last …", "… sample rows"],
)
def test_a_plural_after_a_number_is_found(words: str) -> None:
    assert unlike_a_person(words)


def times_without_zone(source: str, path: str) -> Iterator[str]:
    """Times of a day in f-strings that do not say whose."""
    lines = source.splitlines()
    headed = "times are UTC" in source
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        written = ast.unparse(node)
        if _FORMATTED.search(written) and not _WITH_ZONE.search(written) and not headed:
            yield f"{path}:{node.lineno}: {lines[node.lineno - 1].strip()}"


def test_a_time_says_its_zone() -> None:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found += times_without_zone(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    assert found == []


def test_a_time_without_a_zone_is_found() -> None:
    assert list(times_without_zone('say(f"seen at {now:%H:%M:%S}")', "a.py"))
    assert not list(times_without_zone('say(f"seen at {now:%H:%M:%S} UTC")', "a.py"))


def events() -> Iterator[str]:
    """The last word of every event that is told; what is filled in stands as one sign."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tell" and node.args:
                    yield from _words_of(node.args[0])


def _words_of(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*_words_of(node.body), *_words_of(node.orelse))
    elif (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", node.value)
    ):
        yield node.value


ENDS = ["release.refused", "retry.failed", "rollback.interrupted", "retry.interrupted", "run.interrupted"]
PHASES = ["rollout.rolled_back", "rollout.restoring", "rollout.done", "rollout.holding", "rollout.paused"]
BAD = re.compile(r"refused|failed|interrupted|given_up|rolled_back|restoring|left_open|delayed|warning|holding|paused")


def test_events_are_found() -> None:
    assert {"gate.passed", "data.warning", "rollout.given_up", "rollout.tried_again"} <= set(events())


@pytest.mark.parametrize("event", sorted({*events(), *ENDS, *PHASES}))
def test_only_what_went_well_has_a_tick_and_every_event_has_a_mark(event: str) -> None:
    mark = _mark(event)
    assert mark != "·", f"{event}: say in flows/entrypoints/console.py how it went"
    assert ("✓" in mark) is not bool(BAD.search(event)) or "…" in mark or "!" in mark


def test_an_event_that_nobody_has_thought_of_has_no_tick() -> None:
    assert "✓" not in _mark("rollout.exploded")
