"""Who may send webhooks: one file a source, and one line in `SOURCES`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deployments.webhooks.sources.generic import Generic
from deployments.webhooks.sources.github import GitHub
from deployments.webhooks.sources.mlflow import MLflow
from deployments.webhooks.sources.protocol import Source

__all__ = ["SOURCES", "Source"]

SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {source.name: source for source in (MLflow(), GitHub(), Generic())}
)
