"""The server's OpenAPI 3.1 description, made from what stands beside the model."""

from typing import Any

from deployments.serving.codecs.open_inference import describe_model, describe_server
from deployments.serving.model_metadata import Description
from deployments.serving.openapi.request_examples import (
    example_csv,
    example_matrix,
    example_records,
    example_split,
    example_tensors,
)
from deployments.serving.openapi.schemas import reference, schemas
from deployments.serving.request_limits import Limits

Operation = dict[str, Any]

_REFUSALS = {
    "400": "Not JSON or CSV, or in none of the forms.",
    "408": "The request took too long to arrive.",
    "413": "Too many bytes or rows.",
    "415": "Another content type, charset or encoding.",
    "422": "A column is missing, of another type, or of another length.",
    "500": "The server failed, or the prediction is not a finite number.",
    "503": "Too many requests at once, or the answer took too long: come again after `Retry-After` seconds.",
}
_HEADERS = {
    "x-request-id": "The caller's, if it sent one; behind the last dot a seal, for feedback.",
    "x-seatrial-product": "Who answered.",
    "x-seatrial-version": "Which version answered.",
}


def openapi(description: Description, version: str, limits: Limits) -> dict[str, Any]:
    """The document, as JSON would say it. Addresses in it are relative to its own."""
    model = f"/v2/models/{description.product}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": description.product,
            "version": version,
            "description": f"Predictions of {description.product}, version {version}, in MLflow's form and in that of "
            "the Open Inference Protocol V2.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/invocations": {"post": _invoke(description)},
            "/v2": {"get": _get("server", "Server metadata", describe_server())},
            "/v2/health/live": {"get": _get("live", "Whether the server runs", {"live": True})},
            "/v2/health/ready": {"get": _ready("ready", {"ready": True})},
            **_of_model(model, "", description, version),
            **_of_model(f"{model}/versions/{version}", "_version", description, version),
            "/version": {"get": _text("version", "The version of the model")},
            "/metrics": {"get": _text("metrics", "What the server counts, in Prometheus' text format")},
        },
        "components": {
            "schemas": schemas(description, limits),
            "headers": {name: _header(meaning) for name, meaning in _HEADERS.items()},
        },
    }


def _of_model(path: str, suffix: str, description: Description, version: str) -> dict[str, Any]:
    metadata, ready = describe_model(description, version), {"name": description.product, "ready": True}
    return {
        path: {"get": _get(f"model{suffix}", "Columns and outputs of the model", metadata)},
        f"{path}/ready": {"get": _ready(f"model_ready{suffix}", ready)},
        f"{path}/infer": {"post": _infer(description, f"infer{suffix}")},
    }


def _invoke(description: Description) -> Operation:
    examples = {"split": example_split(description), "records": example_records(description)}
    content = {
        "application/json": _body("Invocation", examples),
        "text/csv": {"schema": {"type": "string"}, "example": example_csv(description)},
    }
    answers = {"application/json": {"schema": reference("Predictions")}}
    return _predict("invoke", "Predict, in MLflow's form", content, answers, "MlflowRefusal")


def _infer(description: Description, name: str) -> Operation:
    examples = {"columns": example_tensors(description)}
    if description.only_numbers:
        examples["matrix"] = example_matrix(description)
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {"application/json": _body("Inference", examples), "application/octet-stream": binary}
    answers = {"application/json": {"schema": reference("Inferred")}, "application/octet-stream": binary}
    operation = _predict(name, "Predict, by the Open Inference Protocol", content, answers, "Refusal")
    length = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Bytes of JSON before the tensors' bytes; not to be given without these.",
        "schema": {"type": "integer", "minimum": 1},
    }
    return operation | {"parameters": [length]}


def _predict(name: str, summary: str, content: Any, answers: Any, refusal: str) -> Operation:
    refused = {"application/json": {"schema": reference(refusal)}}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": _answer("Predictions, a row each.", answers),
            **{code: _answer(meaning, refused) for code, meaning in _REFUSALS.items()},
        },
    }


def _get(name: str, summary: str, example: Any) -> Operation:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"operationId": name, "summary": summary, "responses": {"200": _answer(summary, content)}}


def _ready(name: str, example: Any) -> Operation:
    operation = _get(name, "Whether requests should be sent here", example)
    content = {"application/json": {"schema": {"type": "object"}, "example": example | {"ready": False}}}
    operation["responses"]["503"] = _answer(
        "The server is leaving, though it answers still; or its model hangs.", content
    )
    return operation


def _text(name: str, summary: str) -> Operation:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"operationId": name, "summary": summary, "responses": {"200": _answer(summary, content)}}


def _body(schema: str, examples: dict[str, Any]) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    return {"schema": reference(schema), "examples": named}


def _answer(meaning: str, content: Any) -> dict[str, Any]:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    return {"description": meaning, "headers": headers, "content": content}


def _header(meaning: str) -> dict[str, Any]:
    return {"description": meaning, "schema": {"type": "string"}}
