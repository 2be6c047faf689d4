"""A registry that lives as long as its process: tests and dry runs."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from deployments.errors import BadArtifact, NotFound
from deployments.registry.launch_spec import Kept
from deployments.registry.model_version import (
    DEPLOYED_AT,
    ROLLBACK_VERSION,
    STATUS,
    DeploymentStatus,
    ModelVersion,
    VersionFacts,
)
from deployments.registry.registry_diff import Edit, Entry, Standing, beyond_repair, edits


class InMemoryRegistry:
    """The contract of `Champions` in plain dictionaries. `add` takes the place of training and registering.

    `edit_…` and `delete` do what people do to a registry by hand. The seal of a version is that nobody doubts it.
    """

    def __init__(self) -> None:
        self._versions: dict[tuple[str, int], ModelVersion] = {}
        self._folders: dict[tuple[str, int], Path] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._kept: set[tuple[str, int]] = set()

    def add(self, product: str, facts: VersionFacts, folder: Path) -> ModelVersion:
        """Register the next version of a product, whose model folder lies ready at `folder`."""
        number = 1 + max((version for name, version in self._versions if name == product), default=0)
        version = ModelVersion(
            product, number, f"run-{number}", f"models:/m-{number}", facts, DeploymentStatus.REGISTERED
        )
        self._versions[product, number] = version
        self._folders[product, number] = folder
        return version

    def edit_alias(self, product: str, name: str, version: int | None) -> None:
        """Put a name on any number, be it a version or not; None takes it away."""
        if version is None:
            self._names.pop((product, name), None)
        else:
            self._names[product, name] = version

    def edit_status(self, product: str, version: int, word: str) -> None:
        """Write a word into the tag of a version, be it a status or not."""
        found = self.get(product, version)
        try:
            changed = replace(found, status=DeploymentStatus(word), problems=())
        except ValueError:
            problem = f"the tag {STATUS} says {word!r}, which is no status"
            changed = replace(found, status=DeploymentStatus.UNREADABLE, problems=(problem,))
        self._versions[product, version] = changed

    def edit_seal(self, product: str, version: int) -> None:
        """Take the seal of a version away."""
        doubt = f"{product} v{version} is not known to be what was judged: it has no seal of Seatrial's"
        self._versions[product, version] = replace(self.get(product, version), doubt=doubt)

    def delete(self, product: str, version: int) -> None:
        """Delete a version and its names; what was fetched of it stays."""
        del self._versions[product, version]
        self._names = {
            (owner, name): number
            for (owner, name), number in self._names.items()
            if (owner, number) != (product, version)
        }

    def products(self) -> tuple[str, ...]:
        """See `ModelRegistry.products`."""
        return tuple(sorted({name for name, _ in self._versions}))

    def versions(self, product: str) -> tuple[ModelVersion, ...]:
        """See `Champions.versions`."""
        return tuple(self.get(name, number) for name, number in sorted(self._versions) if name == product)

    def entries(self) -> Mapping[str, Entry]:
        """See `ModelRegistry.entries`."""
        return {
            product: Entry(
                self.versions(product),
                {name: number for (owner, name), number in self._names.items() if owner == product},
            )
            for product in self.products()
        }

    def champion(self, product: str) -> ModelVersion | None:
        """See `Champions.champion`."""
        return self._named(product, "champion")

    def challenger(self, product: str) -> ModelVersion | None:
        """See `Champions.challenger`."""
        return self._named(product, "challenger")

    def previous(self, product: str) -> ModelVersion | None:
        """See `Champions.previous`."""
        return self._named(product, "previous")

    def get(self, product: str, version: int) -> ModelVersion:
        """See `Champions.get`."""
        try:
            found = self._versions[product, version]
        except KeyError:
            raise NotFound(f"no version {version} of {product!r}: see `seatrial status {product}`") from None
        names = tuple(name for (owner, name), number in self._names.items() if owner == product and number == version)
        return replace(found, aliases=names)

    def set_challenger(self, product: str, version: int | None) -> None:
        """See `Champions.set_challenger`."""
        if version is None:
            self._names.pop((product, "challenger"), None)
        else:
            self._names[product, "challenger"] = self.get(product, version).version

    def set_status(self, product: str, version: int, status: DeploymentStatus) -> None:
        """See `Champions.set_status`."""
        self._versions[product, version] = replace(self.get(product, version), status=status)

    def set_image(self, product: str, version: int, image: str) -> None:
        """See `ModelRegistry.set_image`."""
        self._versions[product, version] = replace(self.get(product, version), image=image)

    def promote(self, product: str, version: int, at: datetime, former: int | None) -> ModelVersion:
        """See `Champions.promote`."""
        found = self.get(product, version)
        if former is not None and former != version:
            self._versions[product, version] = replace(found, rollback_version=former)
        return self._crown(product, version, at)

    def reinstate(self, product: str, version: int, at: datetime, ousted: int | None) -> ModelVersion:
        """See `Champions.reinstate`."""
        self.get(product, version)
        if ousted is not None and ousted != version and (product, ousted) in self._versions:
            self.set_status(product, ousted, DeploymentStatus.ROLLED_BACK)
        return self._crown(product, version, at)

    def differences(self, product: str, wanted: Standing) -> tuple[str, ...]:
        """See `Champions.differences`."""
        found = self.versions(product)
        return *(edit.why for edit in edits(found, self._aliases(product), wanted)), *beyond_repair(found, wanted)

    def repair(self, product: str, wanted: Standing) -> tuple[str, ...]:
        """See `Champions.repair`."""
        changed = edits(self.versions(product), self._aliases(product), wanted)
        for edit in changed:
            self._write(product, edit)
        return tuple(edit.why for edit in changed)

    def bring_back(self, product: str, runs: Collection[str]) -> tuple[str, ...]:
        """See `Champions.bring_back`: nothing can be hidden here."""
        return ()

    def fetch(self, product: str, version: int, folder: Path) -> Path:
        """See `Champions.fetch`; `folder` is not used, the files lie ready."""
        return self.model(product, version, folder).folder

    def model(self, product: str, version: int, folder: Path) -> Kept:
        """See `Champions.model`; `folder` is not used, the files lie ready."""
        if (product, version) not in self._kept:
            asked = self.get(product, version)
            if asked.doubt:
                raise BadArtifact(f"{asked.doubt}; `seatrial repair {product} --vouch {version}` seals it on your word")
            trusted = asked.facts.trusted_types
            self._kept.add((product, version))
            return Kept(self._folders[product, version], trusted, sealed=True)
        found = self._versions.get((product, version))
        return Kept(self._folders[product, version], found.facts.trusted_types if found else (), sealed=True)

    def reseal(self, product: str, version: int, run: str, noted: str | None, folder: Path) -> str:
        """See `Champions.reseal`: whatever came of that run, and was fetched."""
        found = self.get(product, version)
        if found.run_id != run or (product, version) not in self._kept:
            return ""
        self._versions[product, version] = replace(found, doubt="")
        return f"its files lie in {self._folders[product, version]}"

    def _aliases(self, product: str) -> dict[str, int]:
        return {name: number for (owner, name), number in self._names.items() if owner == product}

    def _named(self, product: str, name: str) -> ModelVersion | None:
        version = self._names.get((product, name))
        return self.get(product, version) if (product, version) in self._versions and version is not None else None

    def _write(self, product: str, edit: Edit) -> None:
        if edit.alias is not None or edit.version is None:
            self.edit_alias(product, edit.alias or "", edit.version)
        elif edit.tag == STATUS:
            self.edit_status(product, edit.version, edit.value)
        elif edit.tag == DEPLOYED_AT:
            moment = datetime.fromisoformat(edit.value) if edit.value else None
            self._versions[product, edit.version] = replace(self.get(product, edit.version), deployed_at=moment)
        elif edit.tag == ROLLBACK_VERSION:
            former = int(edit.value) if edit.value else None
            self._versions[product, edit.version] = replace(self.get(product, edit.version), rollback_version=former)

    def _crown(self, product: str, version: int, at: datetime) -> ModelVersion:
        """The names and every status agree with the champion."""
        if self._names.get((product, "champion")) != version:
            self._versions[product, version] = replace(self.get(product, version), deployed_at=at)
        for each in self.versions(product):
            if each.version != version and each.status is DeploymentStatus.LIVE:
                self.set_status(product, each.version, DeploymentStatus.RETIRED)
        self.edit_status(product, version, DeploymentStatus.LIVE)
        self._names[product, "champion"] = version
        former = self._versions.get((product, self.get(product, version).rollback_version or 0))
        way_back = former is not None and former.status is not DeploymentStatus.ROLLED_BACK
        self.edit_alias(product, "previous", former.version if former is not None and way_back else None)
        if self._names.get((product, "challenger")) == version:
            self.set_challenger(product, None)
        return self.get(product, version)
