import asyncio
import json
import re
from typing import Any

import httpx
import jsonschema
import pytest

from deployments.columns import is_number
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.openapi.column_schema import text_schema
from deployments.serving.openapi.document import openapi
from deployments.serving.request_limits import Limits
from deployments.serving.server_state import Service
from tests.model_folder import ROWS

FEATURES = tuple(Feature(name, Kind.NUMERIC, "double", required=True) for name in ("a", "b"))
NUMBERS = Description("sums", Output.PREDICTION, (), FEATURES)


class Summing:
    def predict(self, frame: Any) -> Any:
        return frame.to_numpy().sum(axis=1)


@pytest.fixture(params=["flights", "sums"])
def service(request: pytest.FixtureRequest, model: Model) -> Service:
    return Service(model if request.param == "flights" else Model(NUMBERS, Summing()), "3")


def ask(service: Service, method: str, path: str, **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, **more)

    return asyncio.run(send())


def document_of(service: Service) -> dict[str, Any]:
    document: dict[str, Any] = ask(service, "GET", "/openapi.json").json()
    return document


def check(document: dict[str, Any], schema: str, value: Any) -> None:
    within = {"components": document["components"], "$ref": f"#/components/schemas/{schema}"}
    jsonschema.Draft202012Validator(within).validate(value)


def test_every_schema_is_a_json_schema(service: Service) -> None:
    for schema in document_of(service)["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_example_is_as_described_and_is_answered_as_described(service: Service) -> None:
    document = document_of(service)
    tried = 0
    for path, operations in document["paths"].items():
        for kind, body in operations.get("post", {}).get("requestBody", {}).get("content", {}).items():
            answers = operations["post"]["responses"]["200"]["content"]
            for example in [each["value"] for each in body.get("examples", {}).values()] or [body.get("example")]:
                if example is None:
                    continue
                if kind == "application/json":
                    check(document, body["schema"]["$ref"].rpartition("/")[2], example)
                content = example if isinstance(example, str) else json.dumps(example)
                answer = ask(service, "POST", path, content=content, headers={"content-type": kind})
                assert answer.status_code == 200
                check(document, answers["application/json"]["schema"]["$ref"].rpartition("/")[2], answer.json())
                tried += 1
    assert tried == 3 + 2 * (2 if service.model.description is NUMBERS else 1)


def test_every_path_that_is_described_is_there(service: Service) -> None:
    for path, operations in document_of(service)["paths"].items():
        for method in operations:
            assert ask(service, method.upper(), path).status_code != 404


def test_a_refusal_is_as_described(service: Service) -> None:
    document = document_of(service)
    check(document, "MlflowRefusal", ask(service, "POST", "/invocations", content=b"{").json())
    infer = f"/v2/models/{service.model.description.product}/infer"
    check(document, "Refusal", ask(service, "POST", infer, content=b"{").json())


def test_the_schema_knows_the_columns(service: Service) -> None:
    document = document_of(service)
    first = service.model.description.features[0].name
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Invocation", {"dataframe_records": [{}]})
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Inference", {"inputs": [{"name": first, "datatype": "FP64", "shape": [1], "data": ["text"]}]})


def test_nothing_of_the_models_data_is_told(model: Model) -> None:
    told = json.dumps(openapi(model.description, "3", Limits()))
    assert not [text for row in ROWS for text in row if isinstance(text, str) and f'"{text}"' in told]


@pytest.mark.parametrize(
    "text", ["1", " -2.5e3\t", "0x1F", "True", "", "NA", "-1.#IND", "#N/A N/A", "one", "1,5", "NAN"]
)
def test_a_text_is_a_number_to_the_schema_where_it_is_one_to_the_server(text: str) -> None:
    feature = Feature("n", Kind.NUMERIC, "double", required=True)
    said = re.search(text_schema(feature)["pattern"], text) is not None
    assert said is is_number(text, feature.meaning)
