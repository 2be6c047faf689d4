"""`seatrial doctor`: what other accounts may reach is told, and closed when asked."""

import json
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.errors import BadInput
from deployments.settings import current
from flows.entrypoints.cli.main import app
from tests.advice import followed


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that an earlier release made for everybody to read."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("SEATRIAL_HOME", str(place))
    monkeypatch.setenv("SEATRIAL_PROJECT", str(tmp_path / "project"))
    (tmp_path / "project" / "specs").mkdir(mode=0o755, parents=True)
    current.cache_clear()
    for name, mode in {"journal.db": 0o644, "platform.json": 0o644, "key": 0o600}.items():
        (place / name).touch()
        (place / name).chmod(mode)
    place.chmod(0o755)
    return place


def test_what_is_open_is_named_and_the_advice_closes_it(home: Path) -> None:
    seen = CliRunner().invoke(app, ["doctor"])
    assert seen.exit_code == 1
    assert "journal.db: others may reach it (mode 0644)" in seen.output.replace("\n", "")
    said = " ".join(seen.output.split())
    assert followed("`seatrial doctor --mend` closes to others what belongs to you") in said
    assert stat.S_IMODE(home.stat().st_mode) == 0o755  # looking changes nothing
    mended = CliRunner().invoke(app, ["doctor", "--mend", "--json"])
    assert mended.exit_code == 0
    assert [Path(each["path"]).name for each in json.loads(mended.stdout)["mended"]] == [
        "home",
        "journal.db",
        "platform.json",
    ]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_a_folder_above_that_everybody_may_write_is_named_until_it_is_closed(home: Path) -> None:
    CliRunner().invoke(app, ["doctor", "--mend"])
    home.parent.chmod(0o777)
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["exposed"]
    assert followed("everybody may put another folder in the place of ") in told[0]["reason"]
    home.parent.chmod(0o700)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_code_that_others_may_change_is_named_and_stays_readable(home: Path) -> None:
    CliRunner().invoke(app, ["doctor", "--mend"])
    project = home.parent / "project"
    (project / ".hidden").mkdir()
    code = [project / "specs" / "shop.yaml", project / "models.py", project / ".hidden" / "models.py"]
    for path in code:
        path.touch()
        path.chmod(0o646)
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["exposed"]
    assert [(each["path"], "others may change it (mode 0646)" in each["reason"]) for each in told] == [
        (str(code[1]), True),
        (str(code[0]), True),
    ]
    assert CliRunner().invoke(app, ["doctor", "--mend"]).exit_code == 0
    assert [stat.S_IMODE(path.stat().st_mode) for path in code] == [0o644, 0o644, 0o646]
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


@pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")
def test_code_of_another_account_is_named(home: Path) -> None:
    CliRunner().invoke(app, ["doctor", "--mend"])
    specs = home.parent / "project" / "specs"
    (specs / "shop.yaml").touch(mode=0o644)
    os.chown(specs / "shop.yaml", 65534, 65534)
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["exposed"]
    assert [(each["path"], each["reason"]) for each in told] == [
        (str(specs / "shop.yaml"), "belongs to nobody, and is run as root")
    ]


def test_of_many_only_the_first_are_shown(home: Path) -> None:
    for number in range(50):
        (home / f"part-{number}").touch()
        (home / f"part-{number}").chmod(0o644)
    assert "and 33 more" in CliRunner().invoke(app, ["doctor"]).output


def test_a_home_that_is_not_there_has_nothing_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_HOME", str(home / "none"))
    home.chmod(0o700)
    current.cache_clear()
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    assert not (home / "none").exists()


def test_a_place_that_others_need_is_not_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_HOME", "/etc")
    current.cache_clear()
    monkeypatch.setattr(
        "flows.entrypoints.cli.doctor.exposed_files", lambda _: pytest.fail("it is looked at to be closed")
    )
    asked = CliRunner().invoke(app, ["doctor", "--mend"])
    assert isinstance(asked.exception, BadInput)
    assert "/etc is needed by others" in str(asked.exception)
