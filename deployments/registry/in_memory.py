"""A registry that lives as long as its process: tests and dry runs."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from deployments.errors import NotFound
from deployments.registry.versions import DeploymentStatus, ModelVersion, VersionFacts


class InMemoryRegistry:
    """The contract of `Champions` in plain dictionaries. `add` takes the place of training and registering."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, int], ModelVersion] = {}
        self._folders: dict[tuple[str, int], Path] = {}
        self._names: dict[tuple[str, str], int] = {}

    def add(self, product: str, facts: VersionFacts, folder: Path) -> ModelVersion:
        """Register the next version of a product, whose model folder lies ready at `folder`."""
        number = 1 + max((version for name, version in self._versions if name == product), default=0)
        version = ModelVersion(
            product, number, f"run-{number}", f"models:/m-{number}", facts, DeploymentStatus.REGISTERED
        )
        self._versions[product, number] = version
        self._folders[product, number] = folder
        return version

    def champion(self, product: str) -> ModelVersion | None:
        """See `Champions.champion`."""
        return self._named(product, "champion")

    def challenger(self, product: str) -> ModelVersion | None:
        """See `Champions.challenger`."""
        return self._named(product, "challenger")

    def previous(self, product: str) -> ModelVersion | None:
        """See `Champions.previous`."""
        champion = self.champion(product)
        if champion is None or champion.rollback_version is None:
            return None
        former = self.get(product, champion.rollback_version)
        return None if former.status is DeploymentStatus.ROLLED_BACK else former

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

    def promote(self, product: str, version: int, at: datetime) -> ModelVersion:
        """See `Champions.promote`."""
        former = self.champion(product)
        if former is not None and former.version != version:
            self.set_status(product, former.version, DeploymentStatus.RETIRED)
            self._versions[product, version] = replace(self.get(product, version), rollback_version=former.version)
        return self._crown(product, version, at, former)

    def reinstate(self, product: str, version: int, at: datetime) -> ModelVersion:
        """See `Champions.reinstate`."""
        ousted = self.champion(product)
        if ousted is not None and ousted.version != version:
            self.set_status(product, ousted.version, DeploymentStatus.ROLLED_BACK)
        return self._crown(product, version, at, ousted)

    def fetch(self, product: str, version: int, folder: Path) -> Path:
        """See `Champions.fetch`; `folder` is not used, the files lie ready."""
        self.get(product, version)
        return self._folders[product, version]

    def _named(self, product: str, name: str) -> ModelVersion | None:
        version = self._names.get((product, name))
        return None if version is None else self.get(product, version)

    def _crown(self, product: str, version: int, at: datetime, former: ModelVersion | None) -> ModelVersion:
        found = self.get(product, version)
        since = found.deployed_at if former is not None and former.version == version else at
        self._versions[product, version] = replace(found, status=DeploymentStatus.LIVE, deployed_at=since)
        self._names[product, "champion"] = version
        if self._names.get((product, "challenger")) == version:
            self.set_challenger(product, None)
        return self.get(product, version)
