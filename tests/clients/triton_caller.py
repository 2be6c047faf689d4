"""What Triton's own HTTP client gets from a server: `triton_caller.py URL`; runs where that client is installed."""

import json
import sys
from typing import Any

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException


def main(url: str) -> dict[str, Any]:
    """Everything that the tests ask about."""
    client = InferenceServerClient(url)
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": [client.is_model_ready("flights"), client.is_model_ready("flights", "3")],
        "another model": client.is_model_ready("bikes"),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("flights", "3"),
        "bytes": asked(client, binary=True),
        "json": asked(client, binary=False),
        "mixed": asked(client, binary=True, wanted=[InferRequestedOutput("probability", binary_data=False)]),
        "gzip": asked(client, binary=True, compression="gzip"),
        "deflate": asked(client, binary=False, compression="deflate"),
        "all outputs": asked(client, binary=True, wanted=None),
        "many rows": asked(client, binary=True, times=5_000),
        "refused": refused(client),
    }


def asked(
    client: Any, binary: bool, wanted: Any = (), compression: str | None = None, times: int = 1
) -> dict[str, Any]:
    """The answer to three rows, each `times` over."""
    outputs = [InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "probability")]
    result = client.infer(
        "flights",
        inputs_of(binary, times),
        outputs=outputs if wanted == () else wanted,
        request_id="mine",
        priority=1,
        request_compression_algorithm=compression,
        response_compression_algorithm="gzip",
    )
    predictions = result.as_numpy("prediction")
    return {
        "id": result.get_response()["id"],
        "prediction": None if predictions is None else predictions.tolist(),
        "probability": result.as_numpy("probability").tolist(),
    }


def inputs_of(binary: bool, times: int) -> list[Any]:
    """A tensor a column."""
    columns = [
        ("distance", "FP64", np.array([1400.0, 740.0, 2475.0] * times)),
        ("hour", "FP32", np.array([5.0, 8.5, 17.0] * times, np.float32)),
        ("carrier", "BYTES", np.array(["UA", "B6", "Ünknown"] * times, object)),
    ]
    inputs = []
    for name, datatype, values in columns:
        given = InferInput(name, list(values.shape), datatype)
        given.set_data_from_numpy(values, binary_data=binary)
        inputs.append(given)
    return inputs


def refused(client: Any) -> str:
    """What the client says of a request without a column that the model needs."""
    try:
        client.infer("flights", inputs_of(True, 1)[1:])
    except InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])))
