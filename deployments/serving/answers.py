"""A parsed request in, an answer out: what the server does, without HTTP."""

from dataclasses import dataclass
from typing import Any

from deployments.serving.batch import Batch
from deployments.serving.description import Output
from deployments.serving.model import Model
from deployments.serving.schema import Unanswerable, batch_of, columns_of_mlflow, columns_of_v2, datatype_of

_DATATYPE_OF_LABEL: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller, how many rows it is about, and what it says of each.

    `predictions` are probabilities of the classes where the answer has them, else a class or number a row.
    """

    rows: int
    content: dict[str, Any]
    predictions: list[Any]


def answer_invocation(model: Model, document: Any, max_rows: int) -> Answer:
    """`{"predictions": […]}` as MLflow's scoring server says it.

    Rows of class probabilities when that is the model's output, else a class or number a row.
    Raises `Unanswerable` and `NotFinite`.
    """
    features = model.description.features
    batch = batch_of(columns_of_mlflow(document, features), features, max_rows)
    gives_probabilities = model.description.output is Output.PROBABILITY
    predictions = model.probabilities(batch) if gives_probabilities else model.predictions(batch)
    return Answer(batch.rows, {"predictions": predictions}, predictions)


def answer_inference(model: Model, version: str, document: Any, request_id: str, max_rows: int) -> Answer:
    """Answer of the Open Inference Protocol V2: the outputs asked for, else all that the model has.

    Raises `Unanswerable` and `NotFinite`.
    """
    features = model.description.features
    batch = batch_of(columns_of_v2(document, features), features, max_rows)
    given_id = document.get("id")
    outputs = {name: _output(model, name, batch) for name in _wanted_outputs(model, document)}
    content = {
        "model_name": model.description.product,
        "model_version": version,
        "id": given_id if isinstance(given_id, str) else request_id,
        "outputs": [_tensor(name, rows) for name, rows in outputs.items()],
    }
    return Answer(batch.rows, content, outputs.get("probability") or outputs["prediction"])


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


def _output(model: Model, name: str, batch: Batch) -> list[Any]:
    return model.probabilities(batch) if name == "probability" else model.predictions(batch)


def _tensor(name: str, rows: list[Any]) -> dict[str, Any]:
    if name == "probability":
        flat = [value for row in rows for value in row]
        return {"name": name, "datatype": "FP64", "shape": [len(rows), len(rows[0])], "data": flat}
    return {"name": name, "datatype": _datatype_of(rows[0]), "shape": [len(rows)], "data": rows}


def _datatype_of(label: Any) -> str:
    return _DATATYPE_OF_LABEL.get(type(label), "BYTES")
