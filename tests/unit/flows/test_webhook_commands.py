"""`seatrial webhook …`: keys are made, shown once, rotated and taken away, and a delivery is really sent."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from deployments.clock import SystemClock
from deployments.errors import RegistryUnreachable
from deployments.local_platform.addresses import Addresses, write_addresses
from deployments.metrics.feedback.rate_limit import Rates
from deployments.settings import Settings, current
from deployments.webhooks.group_commit import GroupCommit
from deployments.webhooks.hooks import Hook, Hooks, new_hook
from deployments.webhooks.inbox import Inbox, State
from flows.entrypoints.cli import main as cli
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.webhooks.endpoint import routes
from tests.advice import followed
from tests.unit.deployments.webhooks.test_inbox import release
from tests.unit.flows.conftest import PROJECT

Captured = pytest.CaptureFixture[str]
Told = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEATRIAL_PROJECT", str(PROJECT))
    current.cache_clear()
    settings = current()
    settings.private_home()
    yield settings
    current.cache_clear()


@pytest.fixture
def seatrial(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["seatrial", "webhook", *arguments])
        return cli.run()

    return run


@pytest.fixture
def told(seatrial: Callable[..., int], capsys: Captured) -> Told:
    def run(*arguments: str) -> Any:
        capsys.readouterr()
        assert seatrial(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(seatrial: Callable[..., int], capsys: Captured) -> Callable[..., str]:
    def run(code: int, *arguments: str) -> str:
        capsys.readouterr()
        assert seatrial(*arguments) == code
        return capsys.readouterr().err

    return run


@pytest.fixture
def gateway(home: Settings) -> Iterator[int]:
    """The endpoint on the port that the platform's gateway is known to have."""
    hooks = Hooks(home.keys_folder)
    with closing(Inbox(home.feedback_database)) as inbox:
        app = make_app(routes(hooks, GroupCommit(lambda: inbox), Rates(100, SystemClock()), SystemClock()))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = int(listener.getsockname()[1])
            server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
            thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
            thread.start()
            write_addresses(home, Addresses("0.0.0.0", gateway=port))  # noqa: S104 - nothing listens there
            yield port
            server.should_exit = True
            thread.join(10)


def kept(home: Settings, source: str = "github") -> Hook:
    return Hooks(home.keys_folder).find(source, "flights")


def test_a_webhook_is_made_listed_rotated_and_taken_away(
    home: Settings, told: Told, seatrial: Callable[..., int], capsys: Captured
) -> None:
    write_addresses(home, Addresses("127.0.0.1", gateway=8080))
    made = told("create", "github", "flights", "--on", "merge", "--on", "push")
    assert made["url"] == "http://127.0.0.1:8080/seatrial/webhooks/github/flights"
    assert (made["key"], made["on"]) == (kept(home).keys[0].secret, ["merge", "push"])
    told("create", "generic", "flights", "--url", "https://ml.example.org/")
    listed = told("list")
    assert [each["source"] for each in listed["webhooks"]] == ["generic", "github"]
    assert made["key"] not in json.dumps(listed)
    rotated = told("rotate", "github", "flights", "--overlap", "2h")
    assert rotated["key"] != made["key"]
    assert kept(home).secrets(SystemClock().now()) == (rotated["key"], made["key"])
    assert len(rotated["keys_until"]) == 2
    assert seatrial("list", "flights") == 0
    assert rotated["key"] not in capsys.readouterr().out
    told("remove", "github", "flights")
    assert [each["source"] for each in told("list", "flights")["webhooks"]] == ["generic"]


def test_what_is_shown_says_where_and_the_key_this_once(
    seatrial: Callable[..., int], home: Settings, capsys: Captured
) -> None:
    assert seatrial("create", "generic", "flights", "--url", "https://ml.example.org/") == 0
    said = capsys.readouterr().out
    assert "https://ml.example.org/seatrial/webhooks/generic/flights" in said
    assert kept(home, "generic").keys[0].secret in said
    assert "shown this once" in said


def test_the_advice_of_each_refusal_helps(
    home: Settings, told: Told, refused: Callable[..., str], seatrial: Callable[..., int], capsys: Captured
) -> None:
    assert followed("is no source of webhooks: write one of") in refused(2, "create", "gitlab", "flights")
    assert "no product" in refused(2, "create", "github", "nope")
    assert followed("is no event of GitHub that starts something: write one of") in refused(
        2, "create", "github", "flights", "--on", "fork"
    )
    assert followed("is nothing that MLflow tells of: write alias:NAME, tag:KEY or tag:KEY=VALUE") in refused(
        2, "create", "mlflow", "flights", "--on", "challenger"
    )
    assert followed("is nothing that a webhook may start: write one of") in refused(
        2, "create", "generic", "flights", "--on", "rollback"
    )
    assert seatrial("list") == 0
    assert followed("There is no webhook yet: `seatrial webhook create SOURCE PRODUCT` makes one") in (
        capsys.readouterr().out
    )
    said = refused(2, "rotate", "github", "flights")
    assert followed(": `seatrial webhook create … …` makes one") in said.replace("github flights", "… …")
    assert followed("has no such webhook: `seatrial webhook create SOURCE …` makes one") in refused(
        2, "test", "flights", "--yes"
    ).replace("SOURCE flights", "SOURCE …")
    told("create", "github", "flights")
    said = refused(2, "create", "github", "flights")
    assert followed(": `seatrial webhook rotate … …` draws a new key") in said.replace("github flights", "… …")
    told("rotate", "github", "flights")
    assert "not a duration" in refused(2, "rotate", "github", "flights", "--overlap", "soon")


def test_a_damaged_webhook_is_made_again(home: Settings, told: Told, refused: Callable[..., str]) -> None:
    told("create", "github", "flights")
    (home.keys_folder / "webhook-github-flights").write_text("{}")
    said = refused(2, "rotate", "github", "flights")
    assert followed("is damaged: remove that file, and make the webhook again") in said
    (home.keys_folder / "webhook-github-flights").unlink()
    assert told("create", "github", "flights")["key"]


def test_mlflow_that_was_not_started_leaves_no_half_a_webhook(
    home: Settings, refused: Callable[..., str], told: Told
) -> None:
    said = refused(5, "create", "mlflow", "flights")
    assert (
        followed("MLflow has no gateway to send to: start one with `seatrial up`, or say where it is with --url")
        in said
    )
    said = refused(5, "create", "mlflow", "flights", "--url", "http://127.0.0.1:9")
    assert followed("MLflow was not started: `seatrial up` starts it") in said
    assert told("list")["webhooks"] == []


def test_a_trial_is_really_sent_and_what_became_of_it_is_told(
    home: Settings, told: Told, refused: Callable[..., str], gateway: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.entrypoints.cli.webhooks._WAIT", SystemClock().now() - SystemClock().now())
    told("create", "github", "flights")
    assert "this starts a run of flights: say so with --yes" in refused(2, "test", "flights")
    tried = told("test", "flights", "--yes")
    assert (tried["status"], tried["answer"]["action"]) == (202, "release")
    assert (tried["delivery"]["state"], tried["delivery"]["who"]) == ("waiting", "github (webhook)")
    told("create", "generic", "flights")
    assert followed(": name one by --source") in refused(2, "test", "flights", "--yes")
    assert told("test", "flights", "--yes", "--source", "generic")["status"] == 202
    assert len(told("list")["deliveries"]) == 2


def test_a_trial_without_a_gateway_says_how_to_start_one(
    home: Settings, told: Told, refused: Callable[..., str]
) -> None:
    told("create", "github", "flights")
    advice = followed("there is no gateway to send it to: `seatrial up` starts one")
    assert advice in refused(5, "test", "flights", "--yes")
    write_addresses(home, Addresses("127.0.0.1", gateway=9))
    assert "the gateway at http://127.0.0.1:9 does not answer" in refused(5, "test", "flights", "--yes")


def test_what_was_given_up_waits_once_more(home: Settings, told: Told) -> None:
    with closing(Inbox(home.feedback_database)) as inbox:
        inbox.put([release("1", "flights")])
        inbox.became(release("1", "flights").mark, State.DEAD, "no deployment")
        assert [each["state"] for each in told("list")["deliveries"]] == ["dead"]
        assert told("retry", "flights") == {"waiting": 1}
        assert [each.state for each in inbox.newest(1)] == [State.WAITING]


class Away:
    """MLflow, as it answers the commands: not at all while it is `away`."""

    def __init__(self) -> None:
        self.away, self.told = True, list[tuple[str, str]]()

    def __enter__(self) -> "Away":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _say(self, what: str, about: str) -> None:
        if self.away:
            raise RegistryUnreachable("MLflow does not answer")
        self.told.append((what, about))

    def change_webhook(self, webhook: str, secret: str) -> None:
        self._say("changed", secret)

    def remove_webhook(self, webhook: str) -> None:
        self._say("removed", webhook)


@pytest.fixture
def mlflow(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Away:
    made = Away()
    monkeypatch.setattr("deployments.local_platform.mlflow_address.mlflow_rest", lambda _: made)
    Hooks(home.keys_folder).keep(replace(new_hook("mlflow", "flights"), registered="w1"))
    return made


def test_a_key_that_mlflow_was_not_told_of_does_not_end_the_one_it_signs_with(
    home: Settings, mlflow: Away, told: Told, seatrial: Callable[..., int]
) -> None:
    hooks = Hooks(home.keys_folder)
    before = hooks.find("mlflow", "flights")
    assert seatrial("rotate", "mlflow", "flights") == 5
    assert hooks.find("mlflow", "flights") == before
    mlflow.away = False
    told("rotate", "mlflow", "flights")
    assert mlflow.told == [("changed", Hooks(home.keys_folder).find("mlflow", "flights").keys[0].secret)]


def test_a_webhook_that_mlflow_could_not_be_told_of_is_shut_at_once_and_taken_away_later(
    home: Settings, mlflow: Away, seatrial: Callable[..., int], capsys: Captured
) -> None:
    assert seatrial("remove", "mlflow", "flights") == 5
    said = capsys.readouterr().err
    assert followed("its keys are good no more, but MLflow goes on sending (") in said
    assert Hooks(home.keys_folder).find("mlflow", "flights").secrets(SystemClock().now()) == ()
    mlflow.away = False
    assert seatrial("remove", "mlflow", "flights") == 0
    assert mlflow.told == [("removed", "w1")]
    assert list(Hooks(home.keys_folder).all()) == []
