"""The JSON that docs/cli.md shows has the names that commands print, and no others."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.rollout.state import Phase
from deployments.spec import Strategy
from tasks.run_context import Result
from tests.docs.claims import claim
from tests.docs.pages import blocks
from tests.unit.flows.conftest import Seatrial, carried_meanwhile, until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

RELEASE, STATUS, ROLLOUT, PLAN, ORDER, HISTORY = (
    json.loads(block.text) for block in blocks("docs/cli.md") if block.language == "json"
)


def told(seatrial: Seatrial, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert seatrial(*arguments, "--json") in {0, 5}  # 5 where no platform is up
    return json.loads(capsys.readouterr().out)


@claim(
    "docs/cli.md",
    "`release`, `retry` and `rollback`: what serves now.",
    "`former_version` is null for a first release.",
)
def test_what_serves_now_is_told_as_shown() -> None:
    now = ManualClock().now()
    result = Result(**{name: now if name.endswith("_at") else None for name in Result.__dataclass_fields__})
    assert list(result.document()) == list(RELEASE)


@claim(
    "docs/cli.md",
    "`status` (shortened; a part that is not up is null, and so is `traffic` while the gateway does not say):",
    "Each of `rollouts` is one under way; `step` counts from 1, and `carried_by` is null while nobody does, else the "
    "process: form of this text, machine, boot, PID namespace, pid, start, host.",
)
def test_status_tells_what_is_shown(world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    until(world, Phase.OBSERVING)
    status = told(seatrial, capsys, "status")
    assert list(status) == list(STATUS)
    assert set(status["platform"]) == set(STATUS["platform"])
    (shown,) = STATUS["products"].values()
    product = status["products"][PRODUCT]
    assert set(shown) == set(product)
    assert set(shown["versions"][0]) <= set(product["versions"][0])
    (rollout,) = status["rollouts"]
    assert set(rollout) == set(ROLLOUT)
    assert list(rollout["waiting"]) == list(ROLLOUT["waiting"])
    assert rollout["step"] >= 1
    form, *_, host = rollout["carried_by"].split(":")
    assert (form, rollout["carried_by"].count(":")) == (ROLLOUT["carried_by"][:1], ROLLOUT["carried_by"].count(":"))
    assert host == socket.gethostname()


@claim("docs/cli.md", "`explain`: what `status` says of a rollout, and `asked`,")
def test_explain_tells_all_that_status_says_of_a_rollout(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]
) -> None:
    until(world, Phase.OBSERVING)
    assert set(ROLLOUT) <= set(told(seatrial, capsys, "explain", PRODUCT))


@claim("docs/cli.md", "the steps that a release would take, how long, and how many requests each decision needs;")
def test_plan_is_told_as_shown(alone: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    plan = told(alone, capsys, "plan", "flights")
    assert (list(plan), list(plan["steps"][0])) == (list(PLAN), list(PLAN["steps"][0]))


@claim("docs/cli.md", "| `pause PRODUCT` | `--reason` `--json` | lets the weights stand; harm still rolls back |")
def test_an_order_is_told_as_shown(world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    order = told(seatrial, capsys, "pause", PRODUCT, "--reason", "lunch")
    assert list(order) == list(ORDER)
    assert (order["dealt_with"], order["phase"]) == (True, "paused")
    assert order["reason"].endswith(": lunch")


@claim("docs/cli.md", "`run` (the Prefect flow run's id) and its own details.")
def test_history_is_told_as_shown(world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    world.run(world.wish(2, Strategy.CANARY))
    events = told(seatrial, capsys, "history", PRODUCT)
    (shown,) = HISTORY
    steps = [each for each in events if each["event"] == shown["event"]]
    assert steps
    assert all(set(shown) == set(each) for each in steps)


@claim("docs/cli.md", '`repair`: `{"product": NAME, "serving": 1, "changed": [SENTENCE, …], "left": [SENTENCE, …]}`;')
def test_repair_is_told_as_shown(world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(told(seatrial, capsys, "repair", PRODUCT)) == ["product", "serving", "changed", "left"]


@claim("docs/cli.md", "`doctor` while anything is open to others.")
@claim("docs/security.md", "`seatrial doctor --mend` closes it.")
def test_doctor_ends_with_1_while_anything_is_open(
    alone: Seatrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments.settings import current

    (tmp_path / "mine" / "specs").mkdir(parents=True, mode=0o755)
    monkeypatch.setenv("SEATRIAL_PROJECT", str(tmp_path / "mine"))
    current.cache_clear()
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o755)
    assert [alone("doctor"), alone("doctor", "--mend"), alone("doctor")] == [1, 0, 0]


@claim(
    "docs/cli.md",
    "asks before, unless `--yes`; versions, history, logs and the spec stay, a release brings it back",
    "| `products` | `--json` | all products: which version serves since when, whether there is a spec, and the "
    "rollout under way |",
)
def test_a_removed_product_is_off_the_air_and_its_history_stays(
    world: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.wiring.doors", lambda _: world.doors)
    before = told(seatrial, capsys, "history", PRODUCT)
    assert seatrial("remove", PRODUCT) == 2  # nobody is there to be asked
    assert world.served_by == {1: 100}
    assert seatrial("remove", PRODUCT, "--yes") == 0
    after = told(seatrial, capsys, "history", PRODUCT)
    assert after[: len(before)] == before
    assert len(after) > len(before)
