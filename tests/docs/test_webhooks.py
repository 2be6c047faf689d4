"""What docs/triggers.md claims of webhooks, held against the endpoint and the command line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deployments.webhooks.hooks import OVERLAP
from deployments.webhooks.inbox import KEPT_FOR, MOST_WAITING
from deployments.webhooks.reconciler import DELIVERED_WITHIN, EVERY
from deployments.webhooks.requests import FRESH_FOR
from deployments.webhooks.sources import SOURCES
from deployments.webhooks.sources.github import FRESH_FOR as GITHUB_FRESH_FOR
from deployments.webhooks.strict_json import DEEPEST
from flows.entrypoints.cli import main as cli
from flows.entrypoints.control_service.webhooks.endpoint import MAX_BODY_BYTES
from tests.architecture.test_documentation import DOCS, rows
from tests.docs.claims import claim
from tests.docs.pages import text_of
from tests.unit.deployments.webhooks.deliveries import LibraryDatetime, resigned
from tests.unit.flows.webhook_scene import Scene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", LibraryDatetime)
    made = Scene(tmp_path)
    yield made
    made.inbox.close()


def test_every_command_of_webhooks_is_documented_with_its_options() -> None:
    group: Any = typer.main.get_command(cli.app)
    real = {
        name: {option for each in command.params for option in each.opts if option.startswith("-")} - {"--help"}
        for name, command in group.commands["webhook"].commands.items()
    }
    told = {cells[0].strip("`").split()[0]: set(re.findall(r"`(-[-a-z]+)`", cells[1])) for cells in _commands()}
    assert told == real


def _commands() -> list[list[str]]:
    return list(rows(DOCS / "cli.md", "`webhook`"))


def test_the_sources_are_those_of_the_table_with_their_usual_rules() -> None:
    found = {cells[0].strip("`"): cells for cells in rows(DOCS / "triggers.md", "source")}
    assert set(found) == set(SOURCES)
    for name, source in SOURCES.items():
        for rule in source.usual_rules:
            assert f"`{rule}`" in found[name][1]
            source.check_rule(rule)


@claim(
    "docs/triggers.md",
    "| 400, 411, 413, 415 | not the form: JSON of at most 1 MiB with its length, 32 levels, no name twice in an object "
    "|",
    "and 20,000 of a product may wait.",
    "what happened more than three days ago is refused:",
    "So every 15 s the control service compares the registry with what was delivered, and starts after half a minute "
    "what was not.",
    "draws a new one, and the present one is good for a day more (`--overlap`).",
)
def test_the_bounds_are_those_of_the_code() -> None:
    assert (MAX_BODY_BYTES, DEEPEST, MOST_WAITING) == (1024 * 1024, 32, 20_000)
    assert (GITHUB_FRESH_FOR.days, FRESH_FOR.total_seconds(), OVERLAP.days) == (3, 300, 1)
    assert (EVERY.total_seconds(), DELIVERED_WITHIN.total_seconds()) == (15, 30)


def test_marks_are_kept_longer_than_anything_is_fresh() -> None:
    assert KEPT_FOR.days == 9
    assert KEPT_FOR > 2 * GITHUB_FRESH_FOR


@claim(
    "docs/triggers.md",
    'A generic delivery is `{"type": "release"}` or `{"type": "rollout", "data": {"version": 3}}`.',
    "| 202 | accepted: it is on the disk, and its run will be started |",
    "| 200 | nothing to do: accepted before, or an event that this webhook does not start anything on |",
    "| 422 | signed, and not allowed: another product, another action, anything beside them |",
)
def test_what_is_answered_is_what_the_page_says(scene: Scene) -> None:
    hook = scene.hook("generic")

    def status(content: object) -> int:
        headers, _ = scene.good("generic")
        return scene.send(hook.path, *resigned(hook, headers, content)).status

    assert status({"type": "release"}) == 202
    assert status({"type": "rollout", "data": {"version": 3}}) == 202
    assert status({"type": "rollback"}) == 422
    assert status({"type": "release", "data": {"product": "other"}}) == 422
    assert status({"type": "release", "data": {"window": "60d"}}) == 422
    headers, body = scene.good("github")
    assert [scene.send(scene.hook("github").path, headers, body).status for _ in range(2)] == [202, 200]
    assert scene.send("/seatrial/webhooks/generic/nope", headers, body).status == 404
    assert scene.send(hook.path, {**headers, "origin": "http://a.example"}, body).status == 403


def test_the_pages_example_signs_what_is_taken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the page, but for where it sends and what time it is."""
    (code,) = re.findall(r"```python\n(.*?)```", text_of("docs/triggers.md"), flags=re.DOTALL)
    sent: dict[str, Any] = {}

    class Posted:
        def __init__(self, url: str, content: str, headers: dict[str, str]) -> None:
            sent.update(path=url.partition("8080")[2].replace("flights", "shop"), content=content, headers=headers)

        def raise_for_status(self) -> None:
            return

    monkeypatch.setattr("httpx.post", Posted)
    monkeypatch.setattr("datetime.datetime", LibraryDatetime)
    monkeypatch.setenv("KEY", scene.hook("generic").keys[0].secret)
    exec(compile(code, "triggers.md", "exec"), {})  # noqa: S102 - the page's own code is what is tried
    assert scene.send(sent["path"], sent["headers"], sent["content"].encode()).status == 202
