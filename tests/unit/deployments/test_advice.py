"""Advice of the doors, the settings and the platform is followed here, and helps."""

import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filelock import FileLock
from pydantic import TypeAdapter
from sqlalchemy import MetaData

from deployments.database import Database
from deployments.durations import Duration, parse_duration
from deployments.errors import (
    BadInput,
    Busy,
    NotFound,
    PlatformUnreachable,
    RouterRefused,
    SeatrialError,
)
from deployments.inference_log_reader.location import check_location, check_reachable_by_fsspec
from deployments.journals.in_memory import InMemoryJournal
from deployments.local_platform import await_prefect, lifecycle
from deployments.local_platform.addresses import free_port
from deployments.process_identity import Owner, this_process
from deployments.registry.in_memory import InMemoryRegistry
from deployments.routers.canonical_routing import accepted
from deployments.routers.in_memory import InMemoryRouter
from deployments.routers.rollback_routing import Retreat
from deployments.settings import Settings, current
from deployments.supervision import Program
from deployments.supervision.program import ini_value, script_of
from deployments.supervision.supervisord import write_configuration
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights
from tests import ports
from tests.advice import followed

NOW, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
ONE, TWO = Backend(1, ("/run/1",)), Backend(2, ("/run/2",))
ALL = Routing((ONE,), Weights.all_to(1))
LONG = "/" + "x" * 120

Attempt = Callable[[], object]


def program(**changes: Any) -> Program:
    fields: dict[str, Any] = {"name": "a", "command": ("true",), "directory": Path("/"), "log": Path("/dev/null")}
    return Program(**fields | changes)


def of_duration(value: object) -> timedelta:
    found: timedelta = TypeAdapter(Duration).validate_python(value)
    return found


# What fails, what is said of it, and what the advice makes of it.
SIMPLE: list[tuple[Attempt, str, Attempt]] = [
    (
        lambda: of_duration(30),
        followed("write a number and a unit in quotes or bare"),
        lambda: of_duration("30s"),
    ),
    (
        lambda: parse_duration("soon"),
        followed("write a number and one of ms, s, m, h, d, w"),
        lambda: parse_duration("14d"),
    ),
    (lambda: parse_duration("9999w"), followed("is longer than a century"), lambda: parse_duration("99w")),
    (
        lambda: check_location("s3://"),
        followed("names no folder: write protocol://place/folder"),
        lambda: check_location("s3://a/b"),
    ),
    (
        lambda: check_location("s3://[a"),
        followed("the address is no URL: write protocol://place/folder"),
        lambda: check_location("s3://a/b"),
    ),
    (
        lambda: check_location("s3://me:hush@a/b"),
        followed("give them in the environment or in fsspec's configuration"),
        lambda: check_location("s3://a/b"),
    ),
    (
        lambda: check_reachable_by_fsspec("s4://a/b"),
        followed("use one that fsspec knows, such as s3"),
        lambda: check_reachable_by_fsspec("s3://a/b"),
    ),
    (lambda: Match(2, "\n", header="x-a"), followed("give printable text"), lambda: Match(2, "a", header="x-a")),
    (lambda: Mirror(2, 0), followed("mirrors nothing: leave it out"), lambda: Routing((ONE, TWO), Weights.all_to(1))),
    (lambda: Mirror(2, 1.234), followed("give at most two decimals"), lambda: Mirror(2, 1.23)),
    (StickyKey, followed("give exactly one of header ("), lambda: StickyKey(header="x-user")),
    (lambda: StickyKey(header="x user"), followed("use A-Z, 0-9 and -"), lambda: StickyKey(header="X-User-1")),
    (
        lambda: Routing((ONE, TWO), Weights.all_to(1), (Match(2, "a", header="x"), Match(1, "a", header="x"))),
        followed("two matches are on the same value"),
        lambda: Routing((ONE, TWO), Weights.all_to(1), (Match(2, "a", header="x"),)),
    ),
    (
        lambda: accepted("shop", Routing((ONE, Backend(1, ("/run/3",))), Weights.all_to(1))),
        followed("give all its addresses in one"),
        lambda: accepted("shop", Routing((Backend(1, ("/run/1", "/run/3")),), Weights.all_to(1))),
    ),
    (
        lambda: accepted("Shop", ALL),
        followed("cannot be a product's path: use 1 to 40 lower-case letters, digits and -"),
        lambda: accepted("shop-1", ALL),
    ),
    (
        lambda: accepted("v2", ALL),
        followed("for itself: give the product another name", "deployments/routers/canonical_routing.py"),
        lambda: accepted("v3", ALL),
    ),
    (
        lambda: accepted("shop", Routing((Backend(1, ("run/1",)),), Weights.all_to(1))),
        followed("is relative: give the absolute path"),
        lambda: accepted("shop", ALL),
    ),
    (
        lambda: accepted("shop", Routing((Backend(1, ("localhost",)),), Weights.all_to(1))),
        followed("give an absolute socket path or host:port"),
        lambda: accepted("shop", Routing((Backend(1, ("localhost:80",)),), Weights.all_to(1))),
    ),
    (
        lambda: accepted("shop", Routing((Backend(1, (LONG,)),), Weights.all_to(1))),
        followed("bytes: use a shorter folder"),
        lambda: accepted("shop", Routing((Backend(1, (LONG[:50],)),), Weights.all_to(1))),
    ),
    (
        lambda: program(name="A b"),
        followed("use small letters, digits and dashes, at most 100"),
        lambda: program(name="a-1"),
    ),
    (lambda: program(command=()), followed("give at least the executable"), lambda: program(command=("true",))),
    (
        lambda: program(environment={"A-B": "1"}),
        followed("cannot name an environment variable: use letters, digits and _"),
        lambda: program(environment={"A_B1": "1"}),
    ),
    (
        lambda: script_of(program(command=("a\0b",))),
        followed("holds a NUL character: remove it"),
        lambda: script_of(program(command=("ab",))),
    ),
    (
        lambda: ini_value("/a ;b\n"),
        followed("use a path without ' ;', ' #' and line ends"),
        lambda: ini_value("/a;b"),
    ),
    (
        lambda: Database("nonsense", MetaData(), "the journal"),
        followed("holds no database URL: write dialect://user:password@host/name", "deployments/database.py"),
        lambda: Database("sqlite://", MetaData(), "the journal").close(),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "told", "right"), SIMPLE, ids=[told for _, told, _ in SIMPLE])
def test_what_is_advised_is_taken(wrong: Attempt, told: str, right: Attempt) -> None:
    with pytest.raises((SeatrialError, ValueError)) as error:
        wrong()
    assert told in str(error.value)
    right()


def test_a_server_that_is_started_takes_the_traffic_that_was_refused() -> None:
    up = {"/run/1"}
    router = InMemoryRouter(up.__contains__)
    router.apply("shop", ALL)
    both = Routing((ONE, TWO), Weights({1: 50, 2: 50}))
    with pytest.raises(RouterRefused) as error:
        router.apply("shop", both)
    assert followed("is not ready: start it, then try again", "deployments/routers/in_memory.py") in str(error.value)
    assert router.read("shop") == ALL
    up.add("/run/2")
    router.apply("shop", both)
    assert router.read("shop") == both


def test_a_retreat_that_finds_no_server_leads_to_one_that_does() -> None:
    up = {"/run/2"}
    router, note = InMemoryRouter(up.__contains__), Retreat("r", "harm", NOW)
    router.apply("shop", Routing((TWO,), Weights.all_to(2)))
    with pytest.raises(RouterRefused) as error:
        router.retreat("shop", 1, note)
    assert followed("that is ready: start one, then try again") in str(error.value)
    up.add("/run/1")
    router.apply("shop", Routing((ONE, TWO), Weights.all_to(2)))
    router.retreat("shop", 1, note)
    live = router.read("shop")
    assert live is not None
    assert live.versions == (1,)


def test_a_lease_that_another_has_is_to_be_had_once_he_ends() -> None:
    journal, other = InMemoryJournal(), Owner("another-host", 1, 0.0)
    theirs = journal.acquire("shop", other, NOW, HOUR)
    with pytest.raises(Busy) as error:
        journal.acquire("shop", this_process(), NOW, HOUR)
    assert followed("is changing its traffic: wait for it to end, or end it") in str(error.value)
    journal.release(theirs)
    assert journal.acquire("shop", this_process(), NOW, HOUR).holder == this_process()


def test_a_version_that_is_not_in_memory_is_asked_for_by_those_that_are() -> None:
    with pytest.raises(NotFound) as error:
        InMemoryRegistry().get("shop", 3)
    assert followed("no version ", "deployments/registry/in_memory.py") in str(error.value)
    assert InMemoryRegistry().versions("shop") == ()


def test_a_port_is_free_once_another_is_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.MonkeyPatch.context() as patched, pytest.raises(PlatformUnreachable) as error:
            patched.setattr("deployments.local_platform.addresses._TRIES", 1)
            free_port(port, "127.0.0.1")
    assert followed("set SEATRIAL_GATEWAY_PORT, SEATRIAL_PREFECT_PORT or SEATRIAL_MLFLOW_PORT to others") in str(
        error.value
    )
    another = ports.free_port()
    settings = Settings(gateway_port=another)
    assert free_port(settings.gateway_port, settings.gateway_host) == another


def test_an_address_of_another_machine_is_replaced_by_one_of_this() -> None:
    with pytest.raises(PlatformUnreachable) as error:
        free_port(80, "192.0.2.1")
    assert followed("set SEATRIAL_GATEWAY_HOST to an address of this machine") in str(error.value)
    port = ports.free_port()
    assert free_port(port, Settings(gateway_host="127.0.0.1").gateway_host) == port


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    current.cache_clear()
    yield monkeypatch
    current.cache_clear()


def test_a_list_is_written_as_the_message_shows_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SEATRIAL_ALLOWED_PACKAGES", "sklearn")
    with pytest.raises(BadInput) as error:
        current()
    assert followed("SEATRIAL_ variables that hold a list are JSON, such as '[\"sklearn\"]'") in str(error.value)
    environment.setenv("SEATRIAL_ALLOWED_PACKAGES", str(error.value).rpartition("'[")[2].join(["[", ""]).rstrip("'"))
    assert current().allowed_packages == ("sklearn",)


def test_a_setting_that_cannot_be_used_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SEATRIAL_GATEWAY_PORT", "door")
    with pytest.raises(BadInput) as error:
        current()
    assert "SEATRIAL_GATEWAY_PORT: " in str(error.value)
    environment.setenv("SEATRIAL_GATEWAY_PORT", "8080")
    assert current().gateway_port == 8080


def test_a_home_that_cannot_be_made_is_made_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput) as error:
        _ = Settings(home=tmp_path / "file" / "home").run_folder
    assert followed("set SEATRIAL_HOME to another place") in str(error.value)
    assert Settings(home=tmp_path / "home").run_folder.is_dir()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A place for a home whose run folder lies in it: its path is short."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_what_stands_in_the_place_of_the_run_folder_is_removed(tmp_path: Path, short_folder: Path) -> None:
    settings = Settings(home=short_folder)
    (settings.private_home() / "run").symlink_to(tmp_path)
    with pytest.raises(BadInput) as error:
        _ = settings.run_folder
    assert followed("remove what stands there, or ") in str(error.value)
    (settings.home / "run").unlink()
    assert settings.run_folder.is_dir()


def test_what_stands_in_the_place_of_the_link_to_the_run_folder_is_removed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ("x" * 100))
    (settings.private_home() / "run").mkdir()
    with pytest.raises(BadInput) as error:
        _ = settings.run_folder
    assert followed(" must be a link to a folder with a short name: remove it, or ") in str(error.value)
    (settings.home / "run").rmdir()
    folder = settings.run_folder
    assert (settings.home / "run").readlink() == folder
    folder.rmdir()


def test_a_home_with_a_long_name_is_given_a_shorter_one(tmp_path: Path) -> None:
    long, short = tmp_path / ("x" * 100), Path(os.path.realpath("/tmp")) / f"a-{os.getpid()}"  # noqa: S108
    for folder in (long, short):
        (folder / "run").mkdir(parents=True)
    with pytest.raises(BadInput) as error:
        write_configuration(long / "run", long, long / "programs", long / "logs")
    assert followed("is too long for a Unix socket: set SEATRIAL_HOME to a shorter path") in str(error.value)
    write_configuration(short / "run", tmp_path, tmp_path / "programs", tmp_path / "logs").unlink()
    (short / "run").rmdir()
    short.rmdir()


def test_another_up_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, done = Settings(home=tmp_path), []
    monkeypatch.setattr(lifecycle, "_up", lambda *_: done.append(1))
    with FileLock(tmp_path / "up.lock"), pytest.raises(Busy) as error:
        lifecycle.up(settings, print)
    assert followed("is at work in ") in str(error.value)
    assert followed("another `seatrial up`") in str(error.value)
    lifecycle.up(settings, print)
    assert done == [1]


def test_a_prefect_that_is_not_named_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert await_prefect.main() == 2
    assert (
        followed("PREFECT_API_URL is not set: set it to the address of Prefect's API, such as http://prefect:4200/api")
        in capsys.readouterr().out
    )
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(await_prefect, "_why_not", lambda _: "")
    assert await_prefect.main() == 0
