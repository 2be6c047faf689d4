"""An interruption is one wherever it falls, in Prefect's own engine, too."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import prefect.flow_engine
import prefect.task_engine
import pytest
from prefect import flow
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments import wiring
from deployments.clock import SystemClock
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.spec import Strategy
from deployments.strategies.plan import Goal
from deployments.web_login.password import credentials, drawn_password
from flows.entrypoints.cli import release as moving
from flows.entrypoints.runner.temporary_prefect import PrefectForOneCommand
from flows.rollout import roll_out
from tasks.decision_log import failure_recorded
from tasks.rollout_engine import carrier
from tasks.run_context import Result, Run
from tasks.signals import PRESENT, CommandInterruptedError
from tasks.spec_file import load_product
from tests.unit.flows.conftest import project
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World

ENGINES = (prefect.task_engine.__file__, prefect.flow_engine.__file__)
pytestmark = pytest.mark.platform


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect's API, in a process of its own."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PREFECT_HOME", str(home))
        settings = Settings(home=home)
        server = PrefectForOneCommand(settings)
        server.wait()
        login = credentials(drawn_password(settings.keys_folder))
        with temporary_settings({PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: login}):
            yield
        server._end()


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Released"]:
    """A product in memory, whose v1 is champion."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(prefect.flow_engine.BaseFlowRunEngine, "heartbeat_seconds", property(lambda _: None))
    monkeypatch.setattr(moving, "name_of", lambda _: PRODUCT)
    spec = load_product(project(tmp_path) / "specs" / "flights.yaml").model_copy(update={"product": PRODUCT})
    PRESENT.__init__()  # type: ignore[misc]
    yield Released(tmp_path, monkeypatch, spec)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    PRESENT.__init__()  # type: ignore[misc]


@dataclass
class Released:
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    spec: Any
    world: World = field(init=False)

    def __call__(self, strategy: Strategy) -> None:
        """Roll v2 out as the command line does. Raises what comes out of that."""
        self.world = World(self.folder)
        self.world.run(self.world.wish(1))
        self.world.clock.sleep(MINUTE)
        section = SECTION.model_copy(update={"strategy": strategy})
        self.monkeypatch.setattr(wiring, "doors", lambda *_: self.world.doors)
        self.monkeypatch.setattr(wiring, "journal", lambda *_: self.world.journal)
        # The world's time begins in the past of the machine's.
        self.monkeypatch.setattr(moving, "SystemClock", lambda: self.world.clock)
        spec = self.spec.model_copy(update={"rollout": section})

        @flow(name="release", flow_run_name="test")
        def release(request: str) -> Result:
            run = Run(str(flow_run.id), spec, None, SystemClock().now())
            with failure_recorded(run):
                return roll_out(run, 2, Goal.PROMOTE)

        moving._run(release, "now", self.folder, json=True)


@dataclass
class Bomb:
    """Calls `explode` at the `line`-th line that Prefect's engines come to in the `nth` call of `inside`."""

    inside: str
    nth: int
    explode: Callable[[], None]
    line: int = 1
    calls: int = 0
    lines: int = 0
    exploded: bool = False

    def __enter__(self) -> "Bomb":
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, _: str, __: object) -> Any:
        if frame.f_code.co_filename not in ENGINES:
            return None
        self.calls += frame.f_code.co_qualname == self.inside
        return self._trace

    def _trace(self, _: FrameType, event: str, __: object) -> Any:
        if event == "line" and self.calls >= self.nth and not self.exploded:
            self.lines += 1
            if self.lines == self.line:
                self.exploded = True
                self.explode()
        return self._trace


def raise_it() -> None:
    raise KeyboardInterrupt


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


ENGINE = "SyncTaskRunEngine"
PLACES = [
    ("FlowRunEngine.create_flow_run", 1),
    ("_create_task_run_locally", 1),
    ("_create_task_run_locally", 4),
    (f"{ENGINE}.setup_run_context", 2),
    (f"{ENGINE}.begin_run", 3),
    (f"{ENGINE}.set_state", 8),
    (f"{ENGINE}.asset_context", 4),
    (f"{ENGINE}.transaction_context", 5),
    (f"{ENGINE}.handle_success", 4),
    (f"{ENGINE}.handle_success", 7),
    ("BaseTaskRunEngine.log_finished_message", 5),
    ("FlowRunEngine.handle_success", 1),
]
OF_A_SUBFLOW = [("FlowRunEngine.create_flow_run", 2), ("FlowRunEngine.begin_run", 2), ("FlowRunEngine.set_state", 3)]
CASES = [
    *((place, Strategy.ROLLING) for place in PLACES),
    *((place, Strategy.CANARY) for place in (*OF_A_SUBFLOW, *PLACES[4:7])),
]


def ended_by(released: Released, bomb: Bomb, strategy: Strategy) -> str:
    """What is said of the interruption; empty where the release was over before, and nothing was interrupted."""
    try:
        with bomb:
            released(strategy)
    except CommandInterruptedError as error:
        return str(error)
    return ""


def see_that_all_is_well(released: Released, said: str) -> None:
    world = released.world
    world.settled()
    mine = [state for state in world.journal.rollouts(PRODUCT) if state.candidate == 2]
    if mine and mine[0].phase is Phase.DONE:
        assert world.served_by == {2: 100}
        assert said in {"", f"interrupted when all was done: {mine[0].reason}"}
        return
    assert world.served_by == {1: 100}
    assert said == "interrupted: traffic is as before (`seatrial status` shows it)"
    if mine:
        assert mine[0].reason.startswith("interrupted (")
    kinds = [event.kind for event in world.journal.events(PRODUCT) if event.kind.startswith("release.")]
    assert kinds in ([], ["release.interrupted"])


@pytest.mark.parametrize(("place", "strategy"), CASES)
def test_an_exception_in_the_engine_ends_as_an_interruption(
    released: Released, place: tuple[str, int], strategy: Strategy
) -> None:
    """As if nobody kept signals away from the engine: an interruption comes out of it as whatever it likes."""
    bomb = Bomb(*place, raise_it)
    said = ended_by(released, bomb, strategy)
    assert bomb.exploded
    see_that_all_is_well(released, said)


# Python hears a signal wherever it is, in the middle of opening a file, too: the collector closes that one.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("press", [press_ctrl_c, terminate])
@pytest.mark.parametrize(("place", "strategy"), CASES[1::3])
def test_a_signal_in_the_engine_ends_as_an_interruption(
    released: Released, place: tuple[str, int], strategy: Strategy, press: Callable[[], None]
) -> None:
    PRESENT.heed()
    bomb = Bomb(*place, press)
    said = ended_by(released, bomb, strategy)
    assert bomb.exploded
    assert PRESENT.asked
    see_that_all_is_well(released, said)


@pytest.mark.crash
@pytest.mark.parametrize("line", range(1, 2000, 37))
@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.CANARY])
def test_an_exception_at_any_line_of_the_engine_ends_as_an_interruption(
    released: Released, line: int, strategy: Strategy
) -> None:
    bomb = Bomb("_create_task_run_locally", 1, raise_it, line)
    said = ended_by(released, bomb, strategy)
    assert bomb.exploded
    see_that_all_is_well(released, said)


def test_a_second_signal_does_not_end_the_way_back(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    PRESENT.heed()
    launches = []

    def press_again(*arguments: Any, **options: Any) -> Any:
        launches.append(1)
        press_ctrl_c()
        return put_back(*arguments, **options)

    put_back = carrier.put_champion_back
    monkeypatch.setattr(carrier, "put_champion_back", press_again)
    said = ended_by(released, Bomb(f"{ENGINE}.begin_run", 4, press_ctrl_c), Strategy.ROLLING)
    assert launches == [1]
    see_that_all_is_well(released, said)
