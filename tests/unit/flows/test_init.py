"""`init`, `products` and `remove` at the command line."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments import wiring
from deployments.settings import current
from flows.entrypoints.cli import main
from tests.advice import followed
from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command line in a folder of its own: exit code, output, errors."""
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEATRIAL_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    current.cache_clear()

    def told(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seatrial", *arguments])
        code = main.run()
        said = capsys.readouterr()
        return code, said.out, " ".join(said.err.split())

    yield told
    current.cache_clear()


def table(folder: Path) -> None:
    random = np.random.default_rng(1)
    price = random.uniform(10, 500, 300).round(2)
    moments = pd.date_range("2026-01-01", periods=300, freq="h")
    frame = pd.DataFrame({"booked_at": moments, "arrival": moments, "price": price})
    frame["cancelled"] = (random.uniform(size=300) < 1 / (1 + np.exp(3 - price / 80))).astype(int)
    frame.to_csv(folder / "bookings.csv", index=False)


def test_without_a_terminal_it_says_what_is_missing_and_then_makes_a_product(run: Run, tmp_path: Path) -> None:
    table(tmp_path)
    code, out, _ = run("products")
    assert code == 0
    hint = followed("There is no product yet: `seatrial init FILE --target COLUMN` makes one of a file of rows")
    assert hint in " ".join(out.split())
    code, _, err = run("init", "bookings.csv")
    assert (code, "Name it with --target" in err) == (2, True)
    code, _, err = run("init", "bookings.csv", "--target", "cancelled")
    assert followed("which column says when a row happened? Name it with --time (can be: ") in err
    assert not (tmp_path / "specs").exists()
    code, out, err = run("init", "bookings.csv", "--target", "cancelled", "--time", "booked_at")
    assert code == 0, err
    assert "seatrial release bookings" in out
    assert run("lint", "bookings")[0] == 0
    products = json.loads(run("products", "--json")[1])
    assert (products["bookings"]["state"], products["bookings"]["serves"]) == ("not released", None)


def test_an_interruption_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.scaffolding.product_draft.propose_suite", interrupted)
    code, _, err = run("init", "bookings.csv", "--target", "cancelled", "--time", "booked_at")
    assert (code, "nothing was written" in err) == (130, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bookings.csv"]


@pytest.fixture
def doors(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(wiring, "doors", lambda _: world.doors)
    return world


def test_remove_must_be_meant(doors: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str]) -> None:
    assert seatrial("remove", PRODUCT) == 2
    assert "off the air: say so with --yes" in " ".join(capsys.readouterr().err.split())
    assert doors.served_by == {1: 100}
    assert seatrial("remove", PRODUCT, "--yes") == 0
    assert f"`seatrial release {PRODUCT}{followed('` brings it back', 'flows/entrypoints/cli/products.py')}" in (
        capsys.readouterr().out
    )
    assert doors.router.read(PRODUCT) is None
    doors.run(doors.wish(2))
    assert doors.served_by == {2: 100}


def test_an_interrupted_removal_is_finished_by_the_same_command(
    doors: World, seatrial: Seatrial, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(doors.target, "retire", interrupted)
        assert seatrial("remove", PRODUCT, "--yes") == 130
    assert followed("the same command again finishes what was begun (") in " ".join(capsys.readouterr().err.split())
    assert seatrial("remove", PRODUCT, "--yes") == 0
    assert doors.target.versions(PRODUCT) == ()
