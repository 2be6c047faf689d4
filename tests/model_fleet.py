"""Real model servers in threads, each on a Unix socket: for whoever tests something that asks them."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.server_state import Service
from deployments.serving.startup.socket_handover import unix_listener
from deployments.traffic import DEFAULT_KEY

PREDICTION_OF_ROW = "x"


class Echo:
    """An estimator that predicts its only column; NaN where the row says null."""

    def predict(self, frame: Any) -> Any:
        return frame[PREDICTION_OF_ROW].to_numpy()


class Labels:
    """An estimator that predicts the class with the number in its only column."""

    def predict(self, frame: Any) -> Any:
        return [["no", "yes", "maybe"][int(number)] for number in frame[PREDICTION_OF_ROW]]


@dataclass
class RunningServer:
    """A real model server on a Unix socket, in a thread."""

    version: int
    address: str
    service: Service

    def ask(self, *rows: float | None, request_id: str = "", header: str = "", key: str | None = None) -> int:
        """The HTTP code for a request of these rows, of a user with this sticky key."""
        headers = {"x-request-id": request_id} if request_id else {}
        headers |= {f"x-seatrial-{header}": "1"} if header else {}
        headers |= {DEFAULT_KEY: key} if key else {}
        body = {"dataframe_records": [{PREDICTION_OF_ROW: row} for row in rows]}
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.address)) as client:
            return client.post("http://server/invocations", json=body, headers=headers).status_code


class Fleet:
    """Model servers that are started and stopped one by one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, tuple[uvicorn.Server, threading.Thread]] = {}
        self.addresses: dict[int, tuple[str, ...]] = {}

    def start(self, version: int, name: str = "", labels: bool = False) -> RunningServer:
        """A server of `version`; with the name of one that was stopped, in its place."""
        classes = ("no", "yes", "maybe") if labels else ()
        features = (Feature(PREDICTION_OF_ROW, Kind.NUMERIC, "double", required=True),)
        model = Model(Description("shop", Output.PREDICTION, classes, features), Labels() if labels else Echo())
        service = Service(model, str(version))
        address = str(self._folder / (name or f"v{version}.sock"))
        ready = threading.Event()
        config = uvicorn.Config(make_app(service), ws="none", lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)

        def run() -> None:
            with unix_listener(Path(address)) as listener:
                ready.set()
                asyncio.run(server.serve([listener]))

        thread = threading.Thread(target=run)
        thread.start()
        assert ready.wait(60)
        self._running[address] = (server, thread)
        self.addresses[version] = tuple(sorted({*self.addresses.get(version, ()), address}))
        return RunningServer(version, address, service)

    def stop(self, server: RunningServer) -> None:
        """Its process is gone; its address is still known."""
        running, thread = self._running.pop(server.address)
        running.should_exit = True
        thread.join(60)
        assert not thread.is_alive()

    def stop_all(self) -> None:
        """All at once."""
        for running, _ in self._running.values():
            running.should_exit = True
        for _, thread in self._running.values():
            thread.join(60)

    def servers(self, product: str) -> dict[int, tuple[str, ...]]:
        """What wiring tells the metrics of product `shop`."""
        return dict(self.addresses) if product == "shop" else {}
