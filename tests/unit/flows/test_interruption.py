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
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import wiring
from deployments.clock import SystemClock
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.spec import Strategy
from deployments.strategies.plan import Goal
from flows.entrypoints import moving
from flows.entrypoints.prefect_server import PrefectForOneCommand
from flows.rollout import roll_out
from tasks.interruption import PRESENT, CommandInterruptedError
from tasks.product import Result, Run
from tasks.recording import failure_recorded
from tasks.spec_file import load_product
from tests.unit.flows.conftest import project
from tests.unit.tasks.rollouts.world import MINUTE, PRODUCT, SECTION, World

ENGINES = (prefect.task_engine.__file__, prefect.flow_engine.__file__)
pytestmark = pytest.mark.platform


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect's API, in a process of its own."""
    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PREFECT_HOME", str(home))
        server = PrefectForOneCommand(Settings(home=home))
        server.wait()
        with temporary_settings({PREFECT_API_URL: server.api_url}):
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
    """Calls `explode` when the interpreter comes to the `at`-th line of Prefect's engines; `where` it did."""

    at: int
    explode: Callable[[], None]
    passed: int = 0
    where: str = ""

    def __enter__(self) -> "Bomb":
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, _: str, __: object) -> Any:
        return self._line if frame.f_code.co_filename in ENGINES else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        self.passed += event == "line"
        if event == "line" and self.passed == self.at:
            self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
            self.explode()
        return self._line


def raise_it() -> None:
    raise KeyboardInterrupt


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


PLACES = os.environ.get("PLACES", "")


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.CANARY])
@pytest.mark.parametrize("explode", [raise_it, press_ctrl_c, terminate])
@pytest.mark.parametrize("at", [int(each) for each in PLACES.split()])
def test_explore(released: Released, at: int, explode: Callable[[], None], strategy: Strategy) -> None:
    if explode is not raise_it:
        PRESENT.heed()
    said = ""
    with Bomb(at, explode) as bomb:
        try:
            released(strategy)
        except CommandInterruptedError as error:
            said = str(error)
    where = bomb.where
    assert where, f"it has {bomb.passed} lines"
    mine = [state for state in released.world.journal.rollouts(PRODUCT) if state.candidate == 2]
    released.world.settled()
    if mine and mine[0].phase is Phase.DONE:
        assert released.world.served_by == {2: 100}
        assert said.startswith("interrupted when all was done") or not said, where
    else:
        assert released.world.served_by == {1: 100}
        assert said == "interrupted: traffic is as before (`seatrial status` shows it)", where
