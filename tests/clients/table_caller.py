"""What Triton's or KServe's own client gets for a table: `table_caller.py CLIENT URL`, the table from standard input.

The table is columns by name, each a list of values. They are sent as numpy has them, and as text, as clients that know
of no types send them: `str(True)` is "True". Runs where the clients are installed.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Table = Mapping[str, Sequence[Any]]


def arrays(table: Table, as_text: bool) -> Mapping[str, tuple[str, Any]]:
    """Datatype and values of each column; what no array has a null for is text."""
    return {name: _texts(values) if as_text else _typed(values) for name, values in table.items()}


def _typed(values: Sequence[Any]) -> tuple[str, Any]:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "BOOL", np.array(values, bool)
    if kinds == {int}:
        return "INT64", np.array(values, np.int64)
    if kinds <= {float, int, type(None)} and float in kinds:
        return "FP64", np.array([np.nan if value is None else value for value in values], np.float64)
    return _texts(values)


def _texts(values: Sequence[Any]) -> tuple[str, Any]:
    return "BYTES", np.array([str(value) for value in values], object)


def by_triton(url: str, table: Table) -> Mapping[str, list[float]]:
    """Predictions by the way of asking."""
    from tritonclient.http import InferenceServerClient, InferInput

    client, answers = InferenceServerClient(url), {}
    for way, (as_text, binary) in WAYS.items():
        inputs = []
        for name, (datatype, values) in arrays(table, as_text).items():
            given = InferInput(name, list(values.shape), datatype)
            given.set_data_from_numpy(values, binary_data=binary)
            inputs.append(given)
        answers[way] = client.infer("shop", inputs).as_numpy("prediction").tolist()
    return answers


async def by_kserve(url: str, table: Table) -> Mapping[str, list[float]]:
    """Predictions by the way of asking."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    answers = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        for way, (as_text, binary) in WAYS.items():
            inputs = []
            for name, (datatype, values) in arrays(table, as_text).items():
                given = InferInput(name, list(values.shape), datatype)
                given.set_data_from_numpy(values, binary_data=binary)
                inputs.append(given)
            answer = await client.infer(url, InferRequest("shop", inputs), model_name="shop")
            answers[way] = answer.outputs[0].as_numpy().tolist()
    return answers


WAYS = {
    "typed JSON": (False, False),
    "typed bytes": (False, True),
    "text JSON": (True, False),
    "text bytes": (True, True),
}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    if sys.argv[1] == "triton":
        told = by_triton(sys.argv[2].removeprefix("http://"), asked)
    else:
        told = asyncio.run(by_kserve(sys.argv[2], asked))
    sys.stdout.write(json.dumps(told))
