"""A parsed request in, an answer out: what the server does, without HTTP."""

from dataclasses import dataclass
from typing import Any

from deployments.serving.model import Model, Output
from deployments.serving.schema import Unanswerable, columns_of_mlflow, columns_of_v2, datatype_of, frame_of

_DATATYPE_OF_LABEL: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller, and how many rows it is about."""

    rows: int
    content: dict[str, Any]


def answer_invocation(model: Model, document: Any, max_rows: int) -> Answer:
    """`{"predictions": […]}` as MLflow's scoring server says it.

    Rows of class probabilities when that is the model's output, else a class or number a row.
    Raises `Unanswerable` and `NotFinite`.
    """
    features = model.description.features
    frame = frame_of(columns_of_mlflow(document, features), features, max_rows)
    gives_probabilities = model.description.output is Output.PROBABILITY
    return Answer(
        len(frame), {"predictions": model.probabilities(frame) if gives_probabilities else model.predictions(frame)}
    )


def answer_inference(model: Model, version: str, document: Any, request_id: str, max_rows: int) -> Answer:
    """Answer of the Open Inference Protocol V2: the outputs asked for, else all that the model has.

    Raises `Unanswerable` and `NotFinite`.
    """
    features = model.description.features
    frame = frame_of(columns_of_v2(document, features), features, max_rows)
    given_id = document.get("id")
    content = {
        "model_name": model.description.product,
        "model_version": version,
        "id": given_id if isinstance(given_id, str) else request_id,
        "outputs": [_tensor(model, name, frame) for name in _wanted_outputs(model, document)],
    }
    return Answer(len(frame), content)


def describe_model(model: Model, version: str) -> dict[str, Any]:
    """Model metadata of the Open Inference Protocol V2; the length of a shape is -1 where it is the number of rows."""
    description = model.description
    labels = description.classes or (0.0,)
    outputs = [{"name": "prediction", "datatype": _datatype_of(labels[0]), "shape": [-1]}]
    if description.output is Output.PROBABILITY:
        outputs.append({"name": "probability", "datatype": "FP64", "shape": [-1, len(labels)]})
    return {
        "name": description.product,
        "versions": [version],
        "platform": "sklearn",
        "inputs": [{"name": f.name, "datatype": datatype_of(f), "shape": [-1]} for f in description.features],
        "outputs": outputs,
    }


def _wanted_outputs(model: Model, document: dict[str, Any]) -> list[str]:
    offered = ["prediction", *(["probability"] if model.description.output is Output.PROBABILITY else [])]
    wanted = document.get("outputs")
    if wanted is None:
        return offered
    names = (
        [output.get("name") if isinstance(output, dict) else None for output in wanted]
        if isinstance(wanted, list)
        else []
    )
    known = [name for name in names if name in offered]
    if not known or known != names:
        raise Unanswerable(422, f"`outputs` must name some of {', '.join(offered)}, or be left out")
    return known


def _tensor(model: Model, name: str, frame: Any) -> dict[str, Any]:
    if name == "probability":
        rows = model.probabilities(frame)
        flat = [value for row in rows for value in row]
        return {"name": name, "datatype": "FP64", "shape": [len(rows), len(rows[0])], "data": flat}
    labels = model.predictions(frame)
    return {"name": name, "datatype": _datatype_of(labels[0]), "shape": [len(labels)], "data": labels}


def _datatype_of(label: Any) -> str:
    return _DATATYPE_OF_LABEL.get(type(label), "BYTES")
