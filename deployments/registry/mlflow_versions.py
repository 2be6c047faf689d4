"""What the model registry says of the versions of each product; nothing is changed here."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from deployments.errors import NotFound
from deployments.registry.mlflow_client import connect, translated_errors
from deployments.registry.model_version import ModelVersion, is_ours, version_of
from deployments.registry.registry_diff import CHALLENGER, CHAMPION, PREVIOUS, Entry
from deployments.registry.seal_verification import Noted, Prover, nothing_noted
from deployments.registry.version_seal import Sealer


class RegisteredVersions:
    """The versions in the MLflow at `tracking_uri`, each believed as far as its seal; see `ModelRegistry`."""

    def __init__(self, tracking_uri: str, keys: Path, noted: Noted = nothing_noted) -> None:
        self._uri = tracking_uri
        self._sealer = Sealer(keys)
        self._prover = Prover(self._sealer, noted)

    def get(self, product: str, version: int) -> ModelVersion:
        """One version, as it is now."""
        with translated_errors(self._uri):
            raw = self._client.get_model_version(product, str(version))
        return self._version(raw, tuple(raw.aliases))

    def champion(self, product: str) -> ModelVersion | None:
        """The version that serves; None if there is none, or no such product."""
        return self._by_alias(product, CHAMPION)

    def challenger(self, product: str) -> ModelVersion | None:
        """The version that is to become champion; None if there is none."""
        return self._by_alias(product, CHALLENGER)

    def previous(self, product: str) -> ModelVersion | None:
        """The champion before this one: where a rollback goes; None if there is none."""
        return self._by_alias(product, PREVIOUS)

    def versions(self, product: str) -> tuple[ModelVersion, ...]:
        """All versions that Seatrial registered, oldest first, each with its aliases; empty for an unknown product."""
        with translated_errors(self._uri):
            aliases = _by_version(self._aliases(product))
            found = [raw for raw in self._search(product) if is_ours(raw.tags)]
        versions = (self._version(raw, aliases.get(int(raw.version), ())) for raw in found)
        return tuple(sorted(versions, key=lambda each: each.version))

    def products(self) -> tuple[str, ...]:
        """Names of all products with a version of ours, in alphabetical order."""
        with translated_errors(self._uri):
            return tuple(sorted({raw.name for raw in self._search() if is_ours(raw.tags)}))

    def entries(self) -> Mapping[str, Entry]:
        """By product, all that the registry says of it, in two questions for all of them.

        Only products with a version of ours.
        """
        with translated_errors(self._uri):
            ours = [raw for raw in self._search() if is_ours(raw.tags)]
            named = {raw.name: {name: int(at) for name, at in raw.aliases.items()} for raw in self._models()}
        found: dict[str, list[ModelVersion]] = {}
        for raw in ours:
            aliases = _by_version(named.get(raw.name, {}))
            found.setdefault(raw.name, []).append(self._version(raw, aliases.get(int(raw.version), ())))
        return {
            name: Entry(sorted(versions, key=lambda each: each.version), named.get(name, {}))
            for name, versions in found.items()
        }

    @cached_property
    def _client(self) -> Any:
        return connect(self._uri)

    def _search(self, product: str | None = None) -> list[Any]:
        found, token = [], None
        while True:
            page = self._client.search_model_versions(f"name = '{product}'" if product else None, page_token=token)
            found += page
            if not (token := page.token):
                return found

    def _models(self) -> list[Any]:
        found, token = [], None
        while True:
            page = self._client.search_registered_models(page_token=token)
            found += page
            if not (token := page.token):
                return found

    def _aliases(self, product: str) -> dict[str, int]:
        with contextlib.suppress(NotFound), translated_errors(self._uri):
            return {name: int(version) for name, version in self._client.get_registered_model(product).aliases.items()}
        return {}

    def _named(self, product: str) -> dict[str, int]:
        with translated_errors(self._uri):
            return self._aliases(product)

    def _by_alias(self, product: str, alias: str) -> ModelVersion | None:
        """None also where somebody put the name on a version that is not ours, or is gone."""
        version = self._named(product).get(alias)
        with contextlib.suppress(NotFound):
            return None if version is None else self.get(product, version)
        return None

    def _version(self, raw: Any, aliases: tuple[str, ...]) -> ModelVersion:
        found = version_of(raw, aliases)
        doubt, seal = self._prover.proof(raw)
        return replace(found, doubt=doubt, seal=seal)


def _by_version(aliases: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
    return {version: tuple(name for name, at in aliases.items() if at == version) for version in aliases.values()}
