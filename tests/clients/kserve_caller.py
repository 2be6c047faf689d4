"""What KServe's own HTTP client gets from a server: `kserve_caller.py URL`; runs where that client is installed."""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def main(url: str) -> dict[str, Any]:
    """Everything that the tests ask about."""
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model ready": await client.is_model_ready(url, "flights"),
            "another model": await client.is_model_ready(url, "bikes"),
            "bytes": await asked(client, url, binary=True),
            "json": await asked(client, url, binary=False),
            "all in bytes": await asked(client, url, binary=True, parameters={"binary_data_output": True}),
            "only": await asked(client, url, binary=False, request_outputs=[RequestedOutput("probability")]),
            "refused": await refused(client, url),
        }


async def asked(client: Any, url: str, binary: bool, **more: Any) -> dict[str, Any]:
    """The answer to three rows."""
    request = InferRequest("flights", inputs_of(binary), request_id="mine", **more)
    answer = await client.infer(url, request, model_name="flights")
    return {"id": answer.id, **{output.name: output.as_numpy().tolist() for output in answer.outputs}}


def inputs_of(binary: bool) -> list[Any]:
    """A tensor a column."""
    columns = [
        ("distance", "FP64", np.array([1400.0, 740.0, 2475.0])),
        ("hour", "FP32", np.array([5.0, 8.5, 17.0], np.float32)),
        ("carrier", "BYTES", np.array(["UA", "B6", "Ünknown"], object)),
    ]
    inputs = []
    for name, datatype, values in columns:
        given = InferInput(name, list(values.shape), datatype)
        given.set_data_from_numpy(values, binary_data=binary)
        inputs.append(given)
    return inputs


async def refused(client: Any, url: str) -> str:
    """What the client says of a request without a column that the model needs."""
    try:
        await client.infer(url, InferRequest("flights", inputs_of(True)[1:]), model_name="flights")
    except httpx.HTTPStatusError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1]))))
