"""`seatrial open`: how a browser is led to a page, logged in."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.clock import SystemClock
from deployments.errors import BadInput, PlatformUnreachable
from deployments.local_platform import lifecycle
from deployments.local_platform.addresses import Addresses
from deployments.settings import current
from deployments.web_login.login_link import address_with_ticket, passes_of, write_leading_file
from flows.entrypoints.cli import open_page, platform_commands
from flows.entrypoints.cli.status import print_status
from tests.advice import followed


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    current.cache_clear()
    return tmp_path / "home"


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "live_addresses", lambda _: Addresses("127.0.0.1", prefect=4200, mlflow=5000))


def ticket_in(address: str) -> str:
    found = re.fullmatch(r"http://127\.0\.0\.1:\d+/seatrial/login#ticket=([\w.-]+)", address)
    assert found is not None, address
    return found[1]


@pytest.mark.usefixtures("up")
@pytest.mark.parametrize("page", ["prefect", "mlflow"])
def test_without_a_browser_an_address_is_printed_that_logs_in_once(page: str) -> None:
    said = CliRunner().invoke(open_page.app, [page, "--print"], catch_exceptions=False).stdout.strip()
    known = passes_of(current().keys_folder, page)
    assert known.redeem(ticket_in(said), SystemClock().now())
    assert not known.redeem(ticket_in(said), SystemClock().now())


@pytest.mark.usefixtures("up")
def test_a_browser_is_started_with_a_private_file_and_not_with_the_ticket(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setenv("BROWSER", "x")
    monkeypatch.setattr(open_page.webbrowser, "open", lambda url: bool(asked.append(url)) or True)
    result = CliRunner().invoke(open_page.app, ["prefect"], catch_exceptions=False)
    file = current().run_folder / "open-prefect.html"
    assert asked == [file.as_uri()]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "#ticket=" in file.read_text()
    assert "#ticket=" not in result.output
    assert followed(" is opened in the browser (`seatrial open ") in result.output
    ticket_in(CliRunner().invoke(open_page.app, ["prefect", "--print"], catch_exceptions=False).stdout.strip())


@pytest.mark.usefixtures("up")
def test_where_no_browser_comes_up_the_address_is_printed_and_no_file_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "x")
    monkeypatch.setattr(open_page.webbrowser, "open", lambda _: False)
    ticket_in(CliRunner().invoke(open_page.app, ["prefect"], catch_exceptions=False).stdout.strip())
    assert not (current().run_folder / "open-prefect.html").exists()


def test_a_page_that_is_not_up_or_not_there_or_not_ours_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlatformUnreachable) as down:
        open_page.open_page("prefect", show=True)
    assert followed(" is not up: start it with `seatrial up`", "flows/entrypoints/cli/open_page.py") in str(down.value)
    with pytest.raises(BadInput, match="prefect or mlflow"):
        open_page.open_page("gateway", show=True)
    monkeypatch.setenv("SEATRIAL_TRACKING_URI", "http://ann:hunter2@mlflow.example")
    current.cache_clear()
    with pytest.raises(BadInput, match="MLflow is your own") as told:
        open_page.open_page("mlflow", show=True)
    assert "hunter2" not in str(told.value)


def test_what_is_said_when_the_platform_is_up_opens_its_pages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = Addresses("127.0.0.1", gateway=8080, prefect=4200, mlflow=5000)
    monkeypatch.setattr(lifecycle, "up", lambda *_: addresses)
    monkeypatch.setattr(lifecycle, "live_addresses", lambda _: addresses)
    platform_commands.up()
    said = " ".join(capsys.readouterr().err.split())
    told = followed("pages         `seatrial open` and `seatrial open mlflow` open them logged in")
    assert " ".join(told.split()) in said
    urls = {part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")}
    print_status({"platform": urls, "products": {}, "rollouts": []})
    told = followed("Pages: `seatrial open` and `seatrial open mlflow` open them logged in.")
    assert told in " ".join(capsys.readouterr().out.split())
    for page in open_page.PAGES:
        ticket_in(CliRunner().invoke(open_page.app, [page, "--print"], catch_exceptions=False).stdout.strip())


def test_the_leading_file_holds_nothing_that_a_page_could_close(tmp_path: Path) -> None:
    write_leading_file(tmp_path / "x.html", 'http://127.0.0.1:1/"></script><script>alert(1)</script>')
    assert (tmp_path / "x.html").read_text().count("</script>") == 1


def test_a_ticket_is_for_one_page(home: Path) -> None:
    keys, now = current().keys_folder, SystemClock().now()
    ticket = ticket_in(address_with_ticket("http://127.0.0.1:4200", keys, "prefect", now))
    assert not passes_of(keys, "mlflow").redeem(ticket, now)
