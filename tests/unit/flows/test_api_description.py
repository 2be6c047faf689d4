"""What the API says of itself, taken at its word; and that nothing which the command line does is missing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from schemathesis.core.failures import FailureGroup
from starlette.routing import Route

from deployments.rollout.state import Phase
from flows.entrypoints.cli import main
from flows.entrypoints.control_service.api import looks
from flows.entrypoints.control_service.api.openapi import description
from flows.entrypoints.control_service.api.operations import OPERATIONS, ROOT
from flows.entrypoints.control_service.api.reference_page import reference_page
from tests.unit.flows.api_judgement import judged
from tests.unit.flows.api_scene import ApiScene, api_over
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import World

# Commands that no operation does, each with the reason.
_ONLY_HERE: Final = {
    "up": "starts what would answer",
    "down": "stops what would answer",
    "repair": "mends the registry with the rights of the platform's own account",
    "doctor": "looks at this machine",
    "logs": "files of this machine",
    "deploy": "reads the specs of a folder",
    "apply": "reads the specs of a folder",
    "remove": "takes a product off the air, for an admin at the machine",
    "open": "opens a browser here",
    "init": "writes files here",
    "lint": "reads files here",
    "schema": "of files here",
    "profile": "reads data here",
    "log": "rows of users, which are read where they lie",
    "image": "builds here",
    "key create": "secrets are made at the machine",
    "key list": "secrets are looked after at the machine",
    "key revoke": "secrets are looked after at the machine",
    "token create": "secrets are made at the machine",
    "token list": "secrets are looked after at the machine",
    "token revoke": "secrets are looked after at the machine",
    "webhook create": "secrets are made at the machine",
    "webhook rotate": "secrets are made at the machine",
    "webhook remove": "secrets are made at the machine",
    "webhook test": "sends with a key of the machine",
    "webhook retry": "an admin's, at the machine",
}


@pytest.fixture
def service(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> ApiScene:
    return api_over(world, tmp_path, monkeypatch, api_rate=10**6)


def _commands(group: Any, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_every_command_that_looks_or_orders_is_an_operation_and_the_others_say_why_not() -> None:
    commands = set(_commands(typer.main.get_command(main.app)))
    offered = {each.command for each in OPERATIONS if each.command}
    assert offered | set(_ONLY_HERE) == commands
    assert not offered & set(_ONLY_HERE)


def test_routes_and_description_are_made_of_one_table(service: ApiScene) -> None:
    described = service.get("/openapi.json").json()
    told = {(method.upper(), path) for path, each in described["paths"].items() for method in each}
    served = {
        (method, route.path)
        for route in service.app.routes
        if isinstance(route, Route) and route.path.startswith(f"{ROOT}/")
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert served - {("GET", f"{ROOT}/"), ("GET", f"{ROOT}/openapi.json")} == told
    assert told == {(each.method, f"{ROOT}{each.path}") for each in OPERATIONS}
    named = set(re.findall(r"#/components/schemas/(\w+)", str(described)))
    assert named == set(described["components"]["schemas"])


def test_the_page_shows_every_operation_and_asks_nobody_for_anything(service: ApiScene) -> None:
    answer = service.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in answer.headers["content-security-policy"]
    for each in OPERATIONS:
        assert f"<code>{ROOT}{each.path}</code>" in answer.text
    assert set(re.findall(r'(?:src|href|action)="([^"]+)"', answer.text)) == {"data:,", "openapi.json"}
    assert "<script" not in answer.text


def test_what_the_description_says_is_text_on_the_page() -> None:
    hostile = description()
    hostile["info"]["description"] = "<script>alert(1)</script>"
    assert "<script" not in reference_page(hostile)


def test_what_the_api_says_of_itself_is_true(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    assert judged(service, 2, 7) > 100


def test_an_answer_that_is_not_as_described_is_noticed(service: ApiScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "state_report", lambda state: {"rollout": state.rollout_id})
    until(service.world, Phase.OBSERVING)
    with pytest.raises(FailureGroup, match="distinct failure"):
        judged(service, 1, 7)
