"""GET /docs: a page about one model, all of it from this server; the browser may ask no other for anything."""

import hashlib
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson

from deployments.metrics.class_labels import label_text
from deployments.serving.codecs.open_inference import datatype_of
from deployments.serving.inference_request import Written
from deployments.serving.model_metadata import Description, Output
from deployments.serving.openapi.column_schema import accepted
from deployments.serving.openapi.request_examples import (
    example_csv,
    example_matrix,
    example_records,
    example_split,
    example_tensors,
)

_TEMPLATE = Path(__file__).with_name("docs_page.html")


def docs_page(description: Description, version: str, described: dict[str, Any]) -> Written:
    """Headers and body of the page; `described` is the OpenAPI document."""
    template = _TEMPLATE.read_text(encoding="utf-8")
    model = orjson.dumps(_model(description, version, described)).decode().replace("<", "\\u003c")
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _policy(template).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    return headers, template.replace("{{model}}", model).encode()


def _policy(template: str) -> str:
    """Only the page's own script and style run, and they may talk to this server only."""
    style, script = (_hash_of(tag, template) for tag in ("style", "script"))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash_of(tag: str, template: str) -> str:
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", template, flags=re.DOTALL)
    return f"'sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _model(description: Description, version: str, described: dict[str, Any]) -> dict[str, Any]:
    responses = described["paths"]["/invocations"]["post"]["responses"]
    return {
        "product": description.product,
        "version": version,
        "lead": _lead(description),
        "columns": [
            {"name": f.name, "takes": accepted(f), "datatype": datatype_of(f), "required": f.required}
            for f in description.features
        ],
        "requests": _requests(description),
        "endpoints": [
            {"verb": verb.upper(), "path": path.lstrip("/"), "meaning": operation["summary"]}
            for path, verbs in described["paths"].items()
            for verb, operation in verbs.items()
        ],
        "codes": [{"code": code, "meaning": each["description"]} for code, each in responses.items()],
    }


def _lead(description: Description) -> str:
    classes = ", ".join(map(label_text, description.classes))
    match description.output:
        case Output.PROBABILITY:
            says = f"Answers with the probabilities of {classes}, in this order."
        case Output.PREDICTION:
            says = f"Answers with one of {classes}." if classes else "Answers with a number."
    return f"{says} A missing value is null; in CSV, an empty field."


def _requests(description: Description) -> list[dict[str, str]]:
    infer = f"v2/models/{description.product}/infer"
    forms = [
        ("MLflow, rows as lists", "invocations", _json(example_split(description))),
        ("MLflow, rows as objects", "invocations", _json(example_records(description))),
        ("V2, a tensor a column", infer, _json(example_tensors(description))),
    ]
    if description.only_numbers:
        forms.append(("V2, one tensor", infer, _json(example_matrix(description))))
    requests = [{"name": name, "path": path, "type": "application/json", "body": body} for name, path, body in forms]
    table = {"name": "CSV", "path": "invocations", "type": "text/csv", "body": example_csv(description)}
    return [*requests, table]


def _json(document: dict[str, Any]) -> str:
    """JSON that a person can read: what is flat stands on one line."""
    return _laid_out(document, 0)


def _laid_out(value: Any, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if (len(flat) <= 60 and depth) or not items:
        return flat
    before, after = ("{", "}") if isinstance(value, dict) else ("[", "]")
    lead = "  " * (depth + 1)
    names = (
        [f"{json.dumps(name, ensure_ascii=False)}: " for name in value]
        if isinstance(value, dict)
        else [""] * len(value)
    )
    lines = [f"{lead}{name}{_laid_out(item, depth + 1)}" for name, item in zip(names, items, strict=True)]
    return "\n".join((before, ",\n".join(lines), "  " * depth + after))
