"""Model servers as pods of a fake cluster: real servers without sockets, asked through the API server's proxy."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from deployments.caller_authentication import Admitted
from deployments.clock import ManualClock
from deployments.cluster import Cluster, labels_of
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT
from deployments.serving.asgi import Front
from deployments.serving.inflight_record import Remains
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.mirror_headers import MIRRORED, PAIRED
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.server_state import Service
from tests.fakes.kubernetes import FakeKubernetes, Proxied, Request, Target
from tests.model_fleet import PREDICTION_OF_ROW

CLASSES = ("no", "yes", "maybe")
ANSWER_MS = 3


@dataclass
class Labels:
    """An estimator that takes 3 ms by its clock, and predicts the class with the number in its only column."""

    clock: ManualClock

    def predict(self, frame: Any) -> Any:
        self.clock.advance(timedelta(milliseconds=ANSWER_MS))
        return [CLASSES[int(number)] for number in frame[PREDICTION_OF_ROW]]


@dataclass
class Pod:
    """One pod, with a model server of product `shop` in it."""

    name: str
    service: Service
    app: Front

    def ask(self, *rows: float, port: int = PORT, request_id: str = "") -> int:
        """The HTTP code for a request of these rows that comes in by `port`."""
        body = {"dataframe_records": [{PREDICTION_OF_ROW: row} for row in rows]}
        headers = {"x-request-id": request_id} if request_id else {}
        return self.send("POST", port, "/invocations", json=body, headers=headers).status_code

    def send(self, method: str, port: int, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{self.name}:{port}") as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())


@dataclass
class Pods:
    """A namespace with pods of product `shop`."""

    api: FakeKubernetes
    clock: ManualClock = field(default_factory=ManualClock)
    pods: dict[str, Pod] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api.answer_pods(self._proxied)

    def cluster(self) -> Cluster:
        with tempfile.TemporaryDirectory() as folder:
            return Cluster.of(kubeconfig=self.api.kubeconfig(Path(folder) / "config"))

    def start(
        self,
        version: int,
        name: str = "",
        product: str = "shop",
        phase: str = "Running",
        remains: Remains | None = None,
        admitted: Admitted | None = None,
    ) -> Pod:
        """A pod of that version; in the place of the one of that name, if there is one, as after a crash."""
        features = (Feature(PREDICTION_OF_ROW, Kind.NUMERIC, "double", required=True),)
        description = Description(product, Output.PREDICTION, CLASSES, features)
        marks = {COPIES_PORT: MIRRORED, PAIRED_PORT: PAIRED}
        model = Model(description, Labels(self.clock))
        service = Service(model, str(version), marks=marks, clock=self.clock, remains=remains)
        service.admitted = admitted or Admitted()
        name = name or f"model-{product}-v{version}-pod"
        self.pods[name] = Pod(name, service, make_app(service))
        self.api.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels_of(product, version)},
                "spec": {"containers": [{"name": "server", "image": "image"}]},
                "status": {"phase": phase},
            }
        )
        return self.pods[name]

    def _proxied(self, request: Request, target: Target) -> Proxied | None:
        """As the API server does: with headers of its own."""
        name, _, port = target.name.partition(":")
        if name not in self.pods:
            return None
        headers = {"x-forwarded-proto": "http", "x-forwarded-uri": request.path} | request.further
        path: str = f"/{target.rest}"
        query: Mapping[str, str] = request.query
        said = self.pods[name].send(request.method, int(port), path, params=query, headers=headers)
        return Proxied(said.status_code, said.content)
