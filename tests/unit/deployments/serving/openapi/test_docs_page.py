import base64
import hashlib
import json
import re
from typing import Any

import pytest

from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.openapi.docs_page import docs_page
from deployments.serving.openapi.document import openapi
from deployments.serving.request_limits import Limits

FEATURES = (
    Feature("hour", Kind.NUMERIC, "double", required=True),
    Feature("</script><b>", Kind.CATEGORICAL, "string", required=False),
)
FLIGHTS = Description("flights", Output.PROBABILITY, (False, True), FEATURES)


@pytest.fixture
def headers() -> dict[str, str]:
    headers, _ = docs_page(FLIGHTS, "3", openapi(FLIGHTS, "3", Limits()))
    return {name.decode(): value.decode() for name, value in headers}


@pytest.fixture
def page() -> str:
    return docs_page(FLIGHTS, "3", openapi(FLIGHTS, "3", Limits()))[1].decode()


def model_in(page: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="model">(.*?)</script>', page, flags=re.DOTALL)
    model: dict[str, Any] = json.loads(text)
    return model


def test_the_page_asks_nobody_else_for_anything(page: str, headers: dict[str, str]) -> None:
    assert not re.findall(r"(?:https?:)?//[a-z]", page)
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "openapi.json", "openapi.json"]
    assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("tag", ["script", "style"])
def test_only_its_own_script_and_style_may_run(page: str, headers: dict[str, str], tag: str) -> None:
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}'" in headers["content-security-policy"]


def test_it_tells_the_columns_the_endpoints_and_the_codes(page: str) -> None:
    model = model_in(page)
    assert [(column["name"], column["datatype"]) for column in model["columns"]] == [
        ("hour", "FP64"),
        ("</script><b>", "BYTES"),
    ]
    assert {"verb": "POST", "path": "invocations", "meaning": "Predict, in MLflow's form"} in model["endpoints"]
    assert [code["code"] for code in model["codes"]] == ["200", "400", "408", "413", "415", "422", "500", "503"]


def test_a_name_of_a_column_is_never_markup(page: str) -> None:
    assert "</script><b>" not in page


def test_its_requests_are_those_of_the_description(page: str) -> None:
    bodies = {request["name"]: request["body"] for request in model_in(page)["requests"]}
    examples = openapi(FLIGHTS, "3", Limits())["paths"]["/invocations"]["post"]["requestBody"]["content"]
    told = examples["application/json"]["examples"]
    assert json.loads(bodies["MLflow, rows as lists"]) == told["split"]["value"]
    assert json.loads(bodies["MLflow, rows as objects"]) == told["records"]["value"]
    assert bodies["CSV"] == examples["text/csv"]["example"]


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (FLIGHTS, "the probabilities of false, true, in this order"),
        (Description("x", Output.PREDICTION, ("a", "b"), FEATURES), "one of a, b"),
        (Description("x", Output.PREDICTION, (), FEATURES), "a number"),
    ],
)
def test_it_says_what_an_answer_is(description: Description, said: str) -> None:
    _, page = docs_page(description, "3", openapi(description, "3", Limits()))
    assert said in model_in(page.decode())["lead"]
