"""Products to be fitted on a cluster."""

from typing import Any

from tasks.product_spec import ExecutionSection, ProductSpec
from tests.unit.tasks.models.real_mlflow import spec


def product(**model: Any) -> ProductSpec:
    return spec(**model)


def spread_over(product: ProductSpec, backend: str, address: str, **fields: Any) -> ProductSpec:
    document = {"backend": backend, "address": address} | fields
    return product.model_copy(update={"execution": ExecutionSection.model_validate(document, strict=False)})
