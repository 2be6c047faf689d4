"""JSON Schema (draft 2020-12) of the requests that one model takes and of the answers that it gives."""

from typing import Any

from deployments.metrics.class_labels import label_text
from deployments.serving.codecs.open_inference import datatype_of_labels, offered_outputs
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.openapi.column_schema import cell_schema, text_schema
from deployments.serving.request_limits import Limits

Schema = dict[str, Any]

_REALS = ["FP16", "FP32", "FP64"]
_WHOLES = [f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
_COUNT: Schema = {"type": "integer", "minimum": 1}
_PARAMETERS: Schema = {"type": "object", "description": "Whatever the server does not know is ignored."}


def schemas(description: Description, limits: Limits) -> dict[str, Schema]:
    """By name."""
    return {
        "Row": _row(description),
        "Invocation": _invocation(description, limits),
        "Predictions": _object({"predictions": _answer(description, description.output)}),
        "Inference": _inference(description, limits),
        "Inferred": _inferred(description),
        "Refusal": _object({"error": {"type": "string"}, "request_id": {"type": "string"}}),
        "MlflowRefusal": _object(
            {name: {"type": "string"} for name in ("error_code", "message", "error", "request_id")}
        ),
    }


def reference(name: str) -> Schema:
    """Where another schema stands."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties | (optional or {})}


def _row(description: Description) -> Schema:
    return _of_columns({feature: cell_schema(feature) for feature in description.features})


def _of_columns(columns: dict[Feature, Schema]) -> Schema:
    """An object with something for each column, but for those that may be absent."""
    required = {feature.name: schema for feature, schema in columns.items() if feature.required}
    return _object(required, {feature.name: schema for feature, schema in columns.items() if not feature.required})


def _invocation(description: Description, limits: Limits) -> Schema:
    names = [feature.name for feature in description.features]
    rows = {"type": "array", "minItems": 1, "maxItems": limits.rows}
    cells = {
        "type": "array",
        "prefixItems": [cell_schema(feature) for feature in description.features],
        "minItems": len(names),
        "maxItems": len(names),
    }
    split = _object({"columns": {"const": names}, "data": rows | {"items": cells}})
    split["description"] = "The columns may stand in any order" + (
        ", with further ones that are left out." if limits.unknown_columns else "; any other one is refused."
    )
    records = rows | {"items": reference("Row")}
    columns = _of_columns({each: rows | {"items": cell_schema(each)} for each in description.features})
    columns["description"] = "Equally long lists, one a column."
    return {
        "oneOf": [
            _object({"dataframe_split": split}),
            _object({"dataframe_records": records}),
            _object({"instances": {"anyOf": [records, rows | {"items": cells}]}}),
            _object({"inputs": {"anyOf": [columns, records]}}),
        ]
    }


def _inference(description: Description, limits: Limits) -> Schema:
    tensors = [_column_tensor(feature, limits) for feature in description.features]
    required = sum(feature.required for feature in description.features)
    inputs: Schema = {
        "type": "array",
        "items": {"oneOf": tensors},
        "minItems": max(1, required),
        "maxItems": len(tensors),
        "allOf": [
            {"contains": {"type": "object", "properties": {"name": {"const": feature.name}}}, "maxContains": 1}
            for feature in description.features
            if feature.required
        ],
        "description": "Equally many rows, one tensor a column.",
    }
    if description.only_numbers:
        inputs = {"anyOf": [inputs, _matrix(len(tensors), limits)]}
    name = {"name": {"enum": list(offered_outputs(description))}}
    outputs = {"type": "array", "items": _object(name, {"parameters": _PARAMETERS})}
    return _object({"inputs": inputs}, {"id": {"type": "string"}, "outputs": outputs, "parameters": _PARAMETERS})


def _column_tensor(feature: Feature, limits: Limits) -> Schema:
    count = _COUNT | {"maximum": limits.rows}
    shape = {"type": "array", "prefixItems": [count, {"const": 1}], "minItems": 1, "maxItems": 2}
    common: dict[str, Schema] = {"name": {"const": feature.name}, "shape": shape}
    forms = [
        _tensor(common, _REALS, {"type": ["number", "boolean", "null"]}),
        _tensor(common, _WHOLES, {"type": ["integer", "null"]}),
        _tensor(common, ["BOOL"], {"type": ["boolean", "null"]}),
    ]
    texts = _tensor(common, ["BYTES"], {"anyOf": [text_schema(feature), {"type": "null"}]})
    return {"anyOf": [*forms, texts] if feature.kind is Kind.NUMERIC else [texts, *forms]}


def _tensor(common: dict[str, Schema], datatypes: list[str], items: Schema) -> Schema:
    data = {"type": "array", "items": items, "minItems": 1}
    return _object(common | {"datatype": {"enum": datatypes}, "data": data}, {"parameters": _PARAMETERS})


def _matrix(columns: int, limits: Limits) -> Schema:
    count = _COUNT | {"maximum": limits.rows}
    shape = {"type": "array", "prefixItems": [count, {"const": columns}], "minItems": 2, "maxItems": 2}
    tensor = _tensor({"name": {"type": "string"}, "shape": shape}, _REALS, {"type": ["number", "boolean", "null"]})
    return {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1, "description": "All rows and columns."}


def _answer(description: Description, output: Output) -> Schema:
    classes = list(description.classes)
    if output is Output.PREDICTION:
        return {"type": "array", "items": {"enum": classes} if classes else {"type": "number"}}
    row = {"type": "array", "items": {"type": "number"}, "minItems": len(classes), "maxItems": len(classes)}
    row["description"] = f"Probabilities of {', '.join(map(label_text, classes))}, in this order."
    return {"type": "array", "items": row}


def _inferred(description: Description) -> Schema:
    datatypes = {Output.PREDICTION: datatype_of_labels(description), Output.PROBABILITY: "FP64"}
    tensors = [
        _object(
            {"name": {"const": output}, "datatype": {"const": datatypes[output]}, "shape": _integers()},
            {"data": {"type": "array"}, "parameters": {"type": "object"}},
        )
        for output in offered_outputs(description)
    ]
    texts = {name: {"type": "string"} for name in ("model_name", "model_version", "id")}
    return _object(texts | {"outputs": {"type": "array", "items": {"oneOf": tensors}}})


def _integers() -> Schema:
    return {"type": "array", "items": {"type": "integer"}}
