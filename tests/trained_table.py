"""A model trained on any table, as a release trains it, and its server's two dialects, without MLflow or sockets."""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deployments.clock import SystemClock
from deployments.serving.codecs.mlflow import MlflowDialect
from deployments.serving.codecs.open_inference import OipDialect
from deployments.serving.data_plane import answers_of
from deployments.serving.inference_request import Dialect, Query
from deployments.serving.loaded_model import Model, load
from deployments.serving.model_metadata import Output
from deployments.serving.request_limits import Limits
from deployments.settings import Settings
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.models.features import select_features
from tasks.models.fitting import fit
from tasks.models.golden_rows import HeldOut, verification_sample
from tasks.models.mlmodel_metadata import ModelCard, metadata_of
from tasks.problem_types import TaskKind
from tasks.product_spec import Output as AskedOutput
from tasks.product_spec import ProductSpec
from tests.model_folder import write_manifest

JSON, CSV, BINARY = b"application/json", b"text/csv", b"application/octet-stream"
Cells = Mapping[str, Sequence[Any]]


def spec_of(
    source: Mapping[str, Any],
    numeric: Sequence[str],
    categorical: Sequence[str],
    *,
    encode: str = "ordinal",
    estimator: str = "sklearn.tree.DecisionTreeRegressor",
    **data: Any,
) -> ProductSpec:
    """A regression of `y` on these columns."""
    preprocessing: dict[str, Any] = {}
    if numeric:
        preprocessing["numeric"] = {"columns": list(numeric), "scale": "none"}
    if categorical:
        preprocessing["categorical"] = {"columns": list(categorical), "encode": encode}
    return ProductSpec.model_validate_json(
        json.dumps(
            {
                "product": "shop",
                "data": {"source": source, "target": "y"} | data,
                "validation": {"suite": "shop.suite.json"},
                "preprocessing": preprocessing,
                "model": {"task": "regression", "estimator": estimator},
                "gate": {"thresholds": [{"metric": "mae", "max": 1e9}]},
            }
        )
    )


@dataclass(frozen=True)
class Trained:
    """A loaded model and its folder, the rows as training gave them to it, and what training predicts for them."""

    folder: Path
    model: Model
    rows: pd.DataFrame
    predictions: list[float]

    @property
    def names(self) -> list[str]:
        """Of the features, in the model's order."""
        return [feature.name for feature in self.model.description.features]

    def asked(self, dialect: type[Dialect], headers: dict[bytes, bytes], body: bytes) -> list[float]:
        """What the server predicts for a request."""
        query = self.read(dialect, headers, body)
        return list(answers_of(self.model, query)[Output.PREDICTION].tolist())

    def read(self, dialect: type[Dialect], headers: dict[bytes, bytes], body: bytes) -> Query:
        """What the server takes a request for."""
        description, limits = self.model.description, Limits()
        made = OipDialect(description, "1", limits) if dialect is OipDialect else MlflowDialect(description, limits)
        return made.read(headers, body)


def trained(spec: ProductSpec, place: Path, *, told: bool = True) -> Trained:
    """Reads, trains, stores and loads as a release and a server do.

    Not `told`: as of old, when a version said nothing of what its columns hold.
    """
    frame = load_snapshot(take_snapshot(spec, place / "snapshots"))
    fitted = fit(spec, frame, Settings(home=place), SystemClock())
    rows = select_features(frame, fitted.features)
    folder = place / "folder"
    card = ModelCard("shop", TaskKind.REGRESSION, AskedOutput.PREDICTION, (), fitted.features)
    _store(
        folder, fitted.model, card, verification_sample(fitted.model, HeldOut(frame), fitted.features, card.output, 20)
    )
    model = load(folder, "shop", ("sklearn.tree._tree.Tree",))
    return Trained(folder, model, rows, list(fitted.model.predict(rows).tolist()))


def _store(folder: Path, estimator: Any, card: ModelCard, verification: bytes) -> None:
    import skops.io
    import yaml

    (folder / "model").mkdir(parents=True)
    skops.io.dump(estimator, folder / "model" / "model.skops")
    types = {"numeric": "double", "categorical": "string"}
    inputs = [{"name": each.name, "type": types[each.kind], "required": True} for each in card.features]
    described = {"signature": {"inputs": json.dumps(inputs)}, "metadata": metadata_of(card)}
    (folder / "model" / "MLmodel").write_text(yaml.safe_dump(described))
    (folder / "verification.json").write_bytes(verification)
    write_manifest(folder)


def requests_of(cells: Cells) -> Iterator[tuple[str, type[Dialect], dict[bytes, bytes], bytes]]:
    """The same rows in each of MLflow's forms of JSON, and in V2 as JSON and as bytes; with the name of the form.

    Text goes as text, and everything else as what JSON or a tensor has for it.
    """
    names = list(cells)
    rows = [list(row) for row in zip(*cells.values(), strict=True)]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    documents: dict[str, Any] = {
        "split": {"dataframe_split": {"columns": names, "data": rows}},
        "records": {"dataframe_records": records},
        "instances": {"instances": records},
        "inputs": {"inputs": {name: list(values) for name, values in cells.items()}},
    }
    for form, document in documents.items():
        yield form, MlflowDialect, {b"content-type": JSON}, json.dumps(document).encode()
    tensors = [
        {"name": name, "datatype": datatype_of(values), "shape": [len(rows)], "data": list(values)}
        for name, values in cells.items()
    ]
    yield "V2 JSON", OipDialect, {b"content-type": JSON}, json.dumps({"inputs": tensors}).encode()
    yield "V2 bytes", OipDialect, *_in_bytes(cells)


def datatype_of(values: Sequence[Any]) -> str:
    """The V2 datatype that a client would choose."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return "BOOL"
    if kinds <= {int} and kinds:
        return "UINT64" if max(value for value in values if value is not None) >= 2**63 else "INT64"
    return "BYTES" if str in kinds or not kinds else "FP64"


def _in_bytes(cells: Cells) -> tuple[dict[bytes, bytes], bytes]:
    """A missing value is NaN, or no text; truth values and whole numbers with gaps go as text, as clients send them."""
    tensors, tail = [], []
    for name, values in cells.items():
        datatype = datatype_of(values)
        if None in values and datatype in {"BOOL", "INT64", "UINT64"}:
            datatype = "BYTES"
        content = _packed(values, datatype)
        parameters = {"binary_data_size": len(content)}
        tensors.append({"name": name, "datatype": datatype, "shape": [len(values)], "parameters": parameters})
        tail.append(content)
    document = json.dumps({"inputs": tensors}).encode()
    headers = {b"content-type": BINARY, b"inference-header-content-length": str(len(document)).encode()}
    return headers, document + b"".join(tail)


def _packed(values: Sequence[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = ["" if value is None else str(value) for value in values]
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    code = {"BOOL": "?", "INT64": "<q", "UINT64": "<Q", "FP64": "<d"}[datatype]
    return b"".join(struct.pack(code, float("nan") if value is None else value) for value in values)
