"""Requests about flights, in every form, as the tests of what the pages claim send them."""

import json
from typing import Any

from deployments.serving.limits import Limits
from deployments.serving.model import Model
from deployments.serving.service import Service
from tests.unit.deployments.serving.test_app import Caller

from deployments.clock import ManualClock

ROW = {"distance": 1400.0, "hour": 17, "carrier": "UA"}
INFER = "/v2/models/flights/infer"


def serving(model: Model, **limits: Any) -> Caller:
    """A server with other limits."""
    return Caller(Service(model, "3", Limits(**limits), clock=ManualClock()))


def records(**changed: Any) -> dict[str, Any]:
    """One row, of which some values are others."""
    return {"dataframe_records": [ROW | changed]}


def without(name: str) -> dict[str, Any]:
    """Two rows, of which the second lacks a column."""
    return {"dataframe_records": [ROW, {key: value for key, value in ROW.items() if key != name}]}


def tensor(name: str, *values: Any, datatype: str = "FP64", **more: Any) -> dict[str, Any]:
    """A tensor that is a column."""
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": list(values)} | more


def tensors(**changed: dict[str, Any]) -> dict[str, Any]:
    """The same row in V2, of which some tensors are others."""
    usual = {
        "distance": tensor("distance", 1400),
        "hour": tensor("hour", 17),
        "carrier": tensor("carrier", "UA", datatype="BYTES"),
    }
    return {"inputs": list((usual | changed).values())}


def status(caller: Caller, body: Any, kind: str = "application/json", path: str = "/invocations", **more: str) -> int:
    """The code of the answer."""
    return caller.post(path, body, **({"content-type": kind} | more)).status_code


def predictions(caller: Caller, body: Any, kind: str = "application/json") -> Any:
    """What was predicted."""
    response = caller.post("/invocations", body, **{"content-type": kind})
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def csv(*lines: str, header: str = "distance,hour,carrier") -> bytes:
    """A table."""
    return "".join(f"{line}\n" for line in (header, *lines)).encode()


def pinned(document: object) -> bytes:
    """As a client writes it."""
    return json.dumps(document).encode()
