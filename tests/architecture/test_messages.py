"""Every text that reaches people, as far as a machine can read it: counts with nouns, times with zones, marks.

What only a reader can judge is not here: `make words` prints all of them, `python -m tests.architecture.advice` those
that advise something.
"""

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from flows.entrypoints.console import _mark
from tests.architecture.texts import FILLED, PACKAGES, ROOT, Kind, Text, messages, texts_of

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
    r"\u2026 answers of each version|"
    r"requests/s|\u2026 items at once|under \u2026 names|\u2026 times|\u2026 bits|\u2026 characters, fewer|"
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


# Words of the code for what people know by another name, or need not know.
_OURS = re.compile(
    r"\b(carriers?|orphans?|wish(es)?|prefork\w*|golden|verification rows|not ours|of ours|sanity|apply again|"
    r"finale|retreat)\b"
)
# Names begin with a capital letter wherever they stand.
_NAMES = re.compile(
    r"(Envoy|Gateway|Prometheus|Prefect|MLflow|Parquet|Service|Deployment|Secrets?|ServiceAccount|Unix|SQLAlchemy|TCP|"
    r"PersistentVolumeClaim|Inference-Header|Great Expectations)"
)
_SPACES = re.compile(r"\S {2,}\S")
_A_TABLE = re.compile(r"^\s*(\w+ {3,}|\u2026 UTC  \u2026)")
# What a text must not have, and which texts are meant.
RULES: dict[str, Callable[[Text], object]] = {
    "a value in quotes is written by !r": lambda text: (
        text.kind is not Kind.OTHER and re.search(rf"(?<!\w)['\"]{FILLED}['\"]", text.words)
    ),
    "one space between words, but in tables": lambda text: (
        _SPACES.search(text.words) and "\n" not in text.words and not _A_TABLE.search(text.words)
    ),
    "an error that is one sentence has no full stop": lambda text: (
        text.kind is Kind.ERROR and re.search(r"[^.\u2026]\.$", text.words) and ". " not in text.words
    ),
    "an error begins like the rest of a line": lambda text: (
        text.kind is Kind.ERROR and re.match(r"[A-Z][a-z]", text.words) and not _NAMES.match(text.words)
    ),
    "help is a phrase; only a program's own is a sentence": lambda text: (
        text.kind is Kind.HELP
        and re.match(r"[A-Z][a-z]", text.words) is not None
        and not text.words.endswith(".")
        and not _NAMES.match(text.words)
    ),
    "what is left out is no None of Python": lambda text: text.kind is Kind.HELP and re.search(r"\bNone\b", text.words),
    "12 %, not 12%": lambda text: re.search(r"%\}", text.shown),
    "plurals come from counted": lambda text: re.search(r"[\"']s[\"'] \*", text.shown),
    "an error of others is told by said_by": lambda text: "error!r" in text.shown,
    "no word of the code's own": lambda text: _OURS.search(text.words),
    "no list or dict as Python prints it": lambda text: re.search(r"\{(\[|dict\(|list\(|sorted\()", text.shown),
}


@pytest.mark.parametrize("rule", RULES)
def test_messages_keep_the_rules(rule: str) -> None:
    assert [str(text) for text in messages() if RULES[rule](text)] == []


@pytest.mark.parametrize(
    ("rule", "source"),
    list(
        zip(
            RULES,
            [
                """raise BadInput(f"no product '{name}'")""",
                'say("wait for  it")',
                'raise BadInput("the file is gone.")',
                'raise BadInput("The file is gone")',
                'Field(help="How long to wait")',
                'Field(description="how long; None: for ever")',
                'say(f"it is {share:.0%} of them")',
                """say(f"{count} row{'s' * (count > 1)}")""",
                'raise BadInput(f"it cannot be read ({error!r})")',
                'say("its carrier is gone")',
                'say(f"it has {[each.version for each in there]}")',
            ],
            strict=True,
        )
    ),
)
def test_a_message_that_breaks_a_rule_is_found(rule: str, source: str) -> None:
    assert [text for text in texts_of(source, "a.py") if RULES[rule](text)]


_OF_THE_SYSTEM = frozenset({"OSError", "PermissionError", "FileNotFoundError", "ConnectionError"})


def errors_with_their_number(source: str, path: str) -> Iterator[str]:
    """Errors of the system in f-strings as they are: `[Errno 2] …`. `said_by` and `strerror` have their words."""
    for handler in ast.walk(ast.parse(source)):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        if {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} & _OF_THE_SYSTEM:
            for node in ast.walk(handler):
                if isinstance(node, ast.FormattedValue) and ast.unparse(node.value) in {
                    handler.name,
                    f"str({handler.name})",
                }:
                    yield f"{path}:{node.lineno}: {ast.unparse(handler.type)}"


def test_an_error_of_the_system_is_told_without_its_number() -> None:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found += errors_with_their_number(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    assert found == []
    assert list(errors_with_their_number('try:\n    a()\nexcept OSError as e:\n    say(f"no: {e}")', "a.py"))


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
