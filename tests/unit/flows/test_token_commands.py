"""`seatrial token`: made, shown once, listed, revoked; and what its messages advise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.access_control.principal import at_command_line
from deployments.errors import BadInput, NotFound
from flows.entrypoints.cli import tokens
from tests.advice import followed

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(tokens.app, ["token", *arguments], catch_exceptions=False)

    return run


def facts(run: Run, *arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_a_token_is_shown_once_and_listed_without_its_secret(run: Run) -> None:
    made = facts(run, "create", "bot", "--role", "operator", "--product", "shop", "--product", "flights")
    assert made["grants"] == {"shop": "operator", "flights": "operator"}
    assert made["made_by"] == at_command_line()
    listed = run("list", "--json").stdout
    assert made["token"] not in listed
    assert made["token"].rpartition("_")[2] not in listed
    (one,) = json.loads(listed)["tokens"]
    assert (one["name"], one["good"], one["used"]) == ("bot", True, None)
    assert facts(run, "revoke", made["id"])["revoked"]
    assert not facts(run, "list")["tokens"][0]["good"]


def test_people_are_told_in_words_and_programs_read_the_secret_alone(run: Run) -> None:
    result = run("create", "ann", "--role", "viewer", "--expires", "never")
    assert result.stdout.startswith("seatrial_")
    assert len(result.stdout.split()) == 1
    assert "ann is viewer of all products, until it is revoked" in " ".join(result.stderr.split())
    assert "never" in run("list").stdout


def test_the_advice_of_the_list_of_nothing_makes_one(run: Run) -> None:
    said = run("list").stdout
    assert followed("There is no token yet: `seatrial token create NAME --role viewer` makes one") in " ".join(
        said.split()
    )
    assert run("create", "NAME", "--role", "viewer").exit_code == 0
    assert "NAME" in run("list").stdout


def test_a_name_that_is_taken_is_free_once_its_token_is_revoked(run: Run) -> None:
    run("create", "bot", "--role", "viewer")
    with pytest.raises(BadInput) as taken:
        run("create", "bot", "--role", "viewer")
    assert followed(" already: `seatrial token revoke ") in str(taken.value)
    run("revoke", "bot")
    assert run("create", "bot", "--role", "viewer").exit_code == 0


def test_one_that_there_is_not_is_found_in_the_list(run: Run) -> None:
    facts(run, "create", "bot", "--role", "viewer")
    with pytest.raises(NotFound) as gone:
        run("revoke", "nobody")
    assert followed(" that is good: `seatrial token list` shows them") in str(gone.value)
    assert facts(run, "list")["tokens"][0]["name"] == "bot"


def test_what_is_wrong_with_an_option_is_said_with_what_is_right(run: Run) -> None:
    with pytest.raises(BadInput) as wrong:
        run("create", "bot", "--role", "root")
    assert followed("no role ", "deployments/access_control/tokens.py") in str(wrong.value)
    for role in str(wrong.value).rpartition("write ")[2].split(", "):
        assert run("create", role, "--role", role).exit_code == 0
    with pytest.raises(BadInput, match=r"--expires: .*or never"):
        run("create", "bot", "--role", "viewer", "--expires", "soon")
    with pytest.raises(BadInput) as dead:
        run("create", "bot", "--role", "viewer", "--expires", "0s")
    assert followed(" would have expired already: let it live longer") in str(dead.value)
    assert run("create", "bot", "--role", "viewer", "--expires", "1h").exit_code == 0
