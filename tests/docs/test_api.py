"""What docs/api.md claims, held against the operations."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.access_control.identities import machine_token
from deployments.access_control.roles import Permission, Role
from deployments.clock import SystemClock
from deployments.journals.database import DatabaseJournal
from deployments.local_platform.await_ready import answers, wait_until
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.webhooks.strict_json import DEEPEST
from flows.entrypoints.control_service.api.idempotency import KEPT_FOR
from flows.entrypoints.control_service.api.openapi import description
from flows.entrypoints.control_service.api.operations import OPERATIONS, VERBS
from flows.entrypoints.control_service.api.paging import MOST, USUAL
from flows.entrypoints.control_service.api.service import LONGEST_BODY, SLOWEST_BODY_SECONDS
from tests.architecture.test_documentation import DOCS, rows
from tests.docs.claims import claim
from tests.docs.pages import ROOT as PROJECT
from tests.docs.terminal import Terminal
from tests.docs.test_commands import typed
from tests.ports import free_port
from tests.unit.flows.api_scene import ApiScene, api_over, assert_problem
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import World

PRODUCT = "bikes"


@pytest.fixture
def service(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> ApiScene:
    return api_over(world, tmp_path, monkeypatch)


def test_the_table_has_every_operation_with_its_path_and_command() -> None:
    orders = {verb.value for verb in Verb}
    *told, last = rows(DOCS / "api.md", "id")
    assert set(re.findall(r"`(\w+)`", last[0])) == orders
    found = {(cells[0].strip("`"), cells[1].strip("`"), cells[2].strip("`")) for cells in told}
    assert found == {
        (each.id, f"{each.method} {each.path}", each.command or "none") for each in OPERATIONS if each.id not in orders
    }


def test_the_table_of_errors_has_every_status_that_the_description_has() -> None:
    told = {code for cells in rows(DOCS / "api.md", "status") for code in re.findall(r"\d{3}", cells[0])}
    described = {
        code for path in description()["paths"].values() for each in path.values() for code in each["responses"]
    }
    assert told == {code for code in described if code >= "400"} | {"405"}


@claim("docs/api.md", "`promote`, `skip` and `approve` take an approver.")
def test_what_takes_an_approver() -> None:
    assert {verb for verb, (permission, _) in VERBS.items() if permission is Permission.APPROVE} == {
        Verb.PROMOTE,
        Verb.SKIP,
        Verb.APPROVE,
    }


@claim(
    "docs/api.md",
    "Lists come as `items`, 50 at a time unless `limit` says otherwise (up to 500).",
    "for a day the answer is the same, with `idempotency-replayed: true`.",
    "| 408, 413, 415 | a body of more than 10 s, of more than 16 KiB, or that is not `application/json` |",
    "JSON that is no JSON, 32 levels, a name twice in an object |",
)
def test_the_bounds() -> None:
    assert (50, 500, timedelta(days=1), 32) == (USUAL, MOST, KEPT_FOR, DEEPEST)
    assert (SLOWEST_BODY_SECONDS, LONGEST_BODY) == (10, 16 * 1024)


@claim(
    "docs/api.md",
    "Everybody sees the products that his token is for: of any other product the answer is 404, and lists leave it "
    "out.",
)
def test_other_products_are_not_seen(service: ApiScene) -> None:
    token = service.token(Role.VIEWER, "flights")
    assert_problem(service.get(f"/products/{PRODUCT}", token), 404)
    assert service.get("/products", token).json() == {"items": []}


@claim(
    "docs/api.md",
    "A key that was used for another body is refused with 422; while the first request is under way the second gets "
    "409. "
    "A key is of one caller and one operation. What was refused, or failed, is not kept: the same key may try again.",
)
def test_keys(service: ApiScene, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = f"/products/{PRODUCT}/releases"
    assert_problem(service.post(f"/products/{PRODUCT}/orders/pause", {}, "k"), 404, "no rollout")
    until(service.world, Phase.OBSERVING)
    assert service.post(f"/products/{PRODUCT}/orders/pause", {}, "k").status_code == 202
    begin, during = service.prefect.start_run, []

    def meanwhile(*arguments: object, **named: object) -> object:
        during.append(service.post(releases, {}, "k").status_code)
        return begin(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(service.prefect, "start_run", meanwhile)
        assert service.post(releases, {}, "k").status_code == 202
    assert during == [409]
    assert service.post(releases, {"replicas": 3}, "k").status_code == 422
    other = service.token(Role.OPERATOR)
    assert "idempotency-replayed" not in service.post(releases, {}, "k", other).headers


@claim(
    "docs/api.md",
    "A cursor that leads nowhere any more is 400.",
    "with `If-None-Match` an answer that is the same is 304,",
)
def test_pages_and_etags(service: ApiScene) -> None:
    assert_problem(service.get("/products?cursor=bm9ib2R5"), 400, "first page")
    etag = service.get("/products").headers["etag"]
    assert service.get("/products", headers={"if-none-match": f'"a", {etag}'}).status_code == 304


@claim("docs/api.md", "The platform's own account has one in `.seatrial/keys/control`;")
def test_the_examples_are_typed_and_answered(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ".seatrial", project=tmp_path)
    settings.private_home()
    token = machine_token(settings.keys_folder)
    with closing(DatabaseJournal(settings.journal_address)) as journal:
        (tmp_path / "world").mkdir()
        world = World(tmp_path / "world")
        world.run(world.wish(1))
        world.journal = journal  # type: ignore[assignment]
        world.doors = replace(world.doors, journal=journal)
        state = until(world, Phase.OBSERVING)
        with _service(settings, tmp_path) as port:
            terminal = Terminal(tmp_path, {"8080": str(port)})
            first, *rest = typed("docs/api.md")
            assert terminal.type(first.text).returncode == 0
            products, rollout, order = (json.loads(terminal.type(each.text).stdout) for each in rest)
        (given,) = journal.orders(state.rollout_id)
    assert [each["product"] for each in products["items"]] == [PRODUCT]
    assert (rollout["rollout"], rollout["phase"]) == (state.rollout_id, "observing")
    assert (order["order"], order["verb"]) == (given.number, "pause")
    assert given.reason == "the shop is on sale"
    said = "".join(path.read_text(errors="replace") for path in tmp_path.glob("log*"))
    assert token not in said


@contextmanager
def _service(settings: Settings, folder: Path) -> Iterator[int]:
    port = free_port()
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "SEATRIAL_"))
    }
    told = {"SEATRIAL_HOME": str(settings.home), "SEATRIAL_PROJECT": str(folder)}
    command = [sys.executable, "-m", "flows.entrypoints.control_service.main", "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=own | told, cwd=PROJECT, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/health"
        wait_until(lambda: answers(address), "control", timedelta(minutes=2), SystemClock())
        yield port
    finally:
        process.terminate()
        process.wait(30)
