"""Requests to copy: made of the names and types of a model's columns, and of none of its data."""

import csv
import io
from typing import Any

from deployments.serving.codecs.open_inference import datatype_of
from deployments.serving.model_metadata import Description, Feature

Cell = str | float | bool


def example_row(description: Description) -> dict[str, Cell]:
    """A value for each column."""
    return {feature.name: _example_value(feature) for feature in description.features}


def example_split(description: Description) -> dict[str, Any]:
    """MLflow's `dataframe_split`."""
    row = example_row(description)
    return {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}


def example_records(description: Description) -> dict[str, Any]:
    """MLflow's `dataframe_records`."""
    return {"dataframe_records": [example_row(description)]}


def example_csv(description: Description) -> str:
    """A header and a row."""
    text, row = io.StringIO(), example_row(description)
    csv.writer(text, lineterminator="\n").writerows([row.keys(), row.values()])
    return text.getvalue()


def example_tensors(description: Description) -> dict[str, Any]:
    """A V2 request with one tensor a column."""
    return {
        "inputs": [
            {"name": feature.name, "datatype": datatype_of(feature), "shape": [1], "data": [_example_value(feature)]}
            for feature in description.features
        ]
    }


def example_matrix(description: Description) -> dict[str, Any]:
    """A V2 request with one tensor of all rows and columns, for a model that takes nothing but numbers."""
    row = list(example_row(description).values())
    return {"inputs": [{"name": "input-0", "datatype": "FP64", "shape": [1, len(row)], "data": row}]}


def _example_value(feature: Feature) -> Cell:
    match datatype_of(feature):
        case "BYTES":
            return "text"
        case "BOOL":
            return True
        case "INT64" | "INT32":
            return 1
        case _:
            return 1.5
