"""`seatrial ci` in a git repository with a product, beside no platform at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.settings import Settings, current
from flows.entrypoints.cli import main
from tasks.data_validation.expectations import warm_up
from tasks.models.train import version_facts
from tests.advice import followed
from tests.e2e.conftest import SPEC, SUITE, rows
from tests.unit.tasks.ci.test_git_base import git
from tests.unit.tasks.models.real_mlflow import _migrated

ROOT = Path(__file__).parents[3]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The product `shop`, committed on `main`; a branch `change` is checked out."""
    folder = tmp_path / "repository"
    (folder / "specs").mkdir(parents=True)
    rows().to_csv(folder / "specs" / "rows.csv", index=False)
    (folder / "specs" / "suite.json").write_text(json.dumps(SUITE))
    write(folder, {})
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a product")
    git(folder, "checkout", "-qb", "change")
    monkeypatch.setenv("SEATRIAL_PROJECT", str(folder))
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    _migrated()  # outside the folder that shall be empty
    warm_up()  # once, instead of a process for each validation
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("deployments.registry.mlflow_client._open", migrated)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return folder


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """No home, and nothing in the folder of temporary files."""
    yield
    assert not (tmp_path / "home").exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def migrated(database: Path) -> None:
    """The migrations of a new database take seconds."""
    database.parent.mkdir(parents=True, exist_ok=True)
    if not database.exists():
        shutil.copy(_migrated(), database)


def write(folder: Path, changes: dict[str, Any], name: str = "shop") -> None:
    (folder / "specs" / f"{name}.yaml").write_text(yaml.safe_dump({"product": name} | SPEC | changes))


def ci(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    current.cache_clear()
    monkeypatch.setattr(sys, "argv", ["seatrial", "ci", *arguments])
    return main.run()


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_changed_strategy_is_shown_tried_and_reported(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repository, {"rollout": SPEC["rollout"] | {"strategy": "canary"}})
    report, summary = tmp_path / "report.md", tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    before = sorted((each, each.stat().st_mtime_ns) for each in repository.rglob("*"))
    assert ci(monkeypatch, "--base", "main", "--sample", "200", "--report", str(report), "--json") == 0
    (spec,) = told(capsys)["specs"]
    assert (spec["spec"], spec["fate"], spec["outcome"]) == ("specs/shop.yaml", "changed", "passed")
    assert {each["what"]: each["now"] for each in spec["differences"]}["rollout.strategy"] == "canary"
    assert any(line.startswith("+ watch for") for line in spec["steps_diff"])
    assert (spec["training"]["rows"], spec["training"]["of"], spec["training"]["held_out"]) == (200, 400, 50)
    assert (spec["data"]["critical"], spec["gate"]["passed"], spec["gate"]["compared"]) == ([], True, False)
    assert {row["result"] for row in spec["gate"]["rows"] if row["rule"] == "not worse than the champion"} == {
        "not tried"
    }
    assert "nothing was compared" in report.read_text()
    assert summary.read_text() == report.read_text()
    assert sorted((each, each.stat().st_mtime_ns) for each in repository.rglob("*")) == before


def test_refused_by_the_gate_and_by_data_is_3_and_a_broken_spec_2(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repository, {"gate": {"thresholds": [{"metric": "roc_auc", "min": 0.999}]}})
    assert ci(monkeypatch, "--base", "main", "--json") == 3
    (spec,) = told(capsys)["specs"]
    assert spec["outcome"] == "refused by the gate"
    assert "below the floor 0.999" in spec["problems"][0]

    write(repository, {})
    frame = rows()
    frame.loc[3, "price"] = -1.0
    frame.to_csv(repository / "specs" / "rows.csv", index=False)
    assert ci(monkeypatch, "--base", "main", "--json") == 3  # its data changed alone
    (spec,) = told(capsys)["specs"]
    assert (spec["outcome"], spec["differences"], spec["training"]) == ("refused by its data", [], None)
    assert "price" in spec["problems"][0]

    write(repository, {"model": SPEC["model"] | {"estimatr": "x"}})
    assert ci(monkeypatch, "--base", "main", "--json") == 2
    (spec,) = told(capsys)["specs"]
    assert spec["outcome"] == "broken"
    assert "did you mean 'estimator'" in spec["problems"][0]


def test_a_report_that_cannot_be_written_is_told_before_anything_is_tried(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "nowhere" / "report.md"
    assert ci(monkeypatch, "--base", "main", "--report", str(report)) == 2
    assert followed(": make it, or write somewhere else") in capsys.readouterr().err
    report.parent.mkdir()
    assert ci(monkeypatch, "--base", "main", "--report", str(report)) == 0
    assert "No spec changed" in report.read_text()


def test_only_what_changed_is_looked_at(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ci(monkeypatch, "--base", "main", "--json") == 0
    assert told(capsys)["specs"] == []
    (repository / "specs" / "shop.yaml").unlink()
    assert ci(monkeypatch, "--base", "main", "--json") == 0
    (spec,) = told(capsys)["specs"]
    assert (spec["product"], spec["fate"], spec["outcome"]) == ("shop", "removed", "removed")


def test_without_git_or_a_repository_it_goes_without_a_base(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ci(monkeypatch, "--list") == 0
    assert capsys.readouterr().out == "shop\n"
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        assert ci(without, "--base", "main", "--list") == 2
        assert followed("there is no git here: install it, or leave --base out") in capsys.readouterr().err
        assert ci(without, "--list") == 0
    shutil.rmtree(repository / ".git")
    assert ci(monkeypatch, "--base", "main", "--list") == 2
    assert followed(" is no git repository, so nothing can be compared with ") in capsys.readouterr().err
    assert ci(monkeypatch, "--list") == 0
    capsys.readouterr()
    monkeypatch.setenv("SEATRIAL_SPECS", "elsewhere")
    assert ci(monkeypatch, "--list") == 2
    assert followed(": name the files that are meant") in capsys.readouterr().err
    assert ci(monkeypatch, str(repository / "specs" / "shop.yaml"), "--list", "--json") == 0
    assert told(capsys) == ["shop"]


def test_it_compares_with_a_champion_and_changes_nothing_at_its_registry(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = registered(repository, tmp_path / "platform", capsys, monkeypatch)
    files = {each: each.read_bytes() for each in there.parent.rglob("*") if each.is_file()}
    assert ci(monkeypatch, "shop", "--sample", "50%", "--against", f"sqlite:///{there}", "--json") == 0
    (spec,) = told(capsys)["specs"]
    assert (spec["gate"]["compared"], spec["gate"]["against"]) == (True, "the champion shop v1")
    nobody = f"sqlite:///{tmp_path / 'nowhere.db'}"
    assert ci(monkeypatch, "shop", "--sample", "50%", "--against", nobody, "--json") == 0
    (without,) = told(capsys)["specs"]
    assert (without["gate"]["compared"], "nothing was compared" in without["gate"]["against"]) == (False, True)
    assert not (tmp_path / "nowhere.db").exists()
    compared = [row for row in spec["gate"]["rows"] if row["champion"]]
    assert "roc_auc" in {row["metric"] for row in compared}
    assert {each: each.read_bytes() for each in there.parent.rglob("*") if each.is_file()} == files


def registered(
    repository: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The database of an MLflow in which v1 of shop, trained from the same spec, is champion."""
    from datetime import UTC, datetime

    from deployments.registry import ModelRegistry
    from tasks.datasets.snapshot import load_snapshot, take_snapshot
    from tasks.datasets.split import split_by_time
    from tasks.gate.scoring import Scores
    from tasks.models.train import DataFacts, train
    from tasks.spec_file import load_product

    settings = Settings(home=home, project=repository)
    spec, now = load_product(repository / "specs" / "shop.yaml"), datetime.now(UTC)
    snapshot = take_snapshot(spec, settings.snapshots)
    trained = train(spec, split_by_time(load_snapshot(snapshot), spec.data), DataFacts(snapshot), settings)
    registry = ModelRegistry(settings.mlflow_uri, settings.keys_folder)
    facts = version_facts(trained, spec, snapshot, Scores({"roc_auc": 0.8}, {}), now)
    registry.register("shop", trained.run_id, trained.model_uri, facts)
    registry.promote("shop", 1, now, None)
    return home / "mlflow" / "mlflow.db"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.crash)])
def test_an_interruption_leaves_nothing(repository: Path, number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.entrypoints.cli.main", "ci", "shop"]
    trying = subprocess.Popen(
        ["/usr/bin/env", "--default-signal=INT", *command],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=repository,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert trying.stderr is not None
    line = trying.stderr.readline()
    assert "reading and validating" in line, line
    time.sleep(0.5)  # now its child validates
    trying.send_signal(number)
    _, said = trying.communicate(timeout=60)
    assert trying.returncode == 130, said
    assert "interrupted: nothing was written" in said
    assert not (tmp_path / "home").exists()
