"""The versions of each product and the three names that matter: champion, challenger, previous."""

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from deployments.errors import BadArtifact, NotFound, RegistryUnreachable
from deployments.model_manifest import check_intact, digest_of, manifest_of
from deployments.registry.artifact_download import download
from deployments.registry.launch_spec import Kept, read_start_record, write_start_record
from deployments.registry.mlflow_client import translated_errors
from deployments.registry.mlflow_versions import RegisteredVersions
from deployments.registry.model_folder import MODEL, MODEL_FILE, VERIFICATION, keep_model_folder, size_of
from deployments.registry.model_version import (
    DEPLOYED_AT,
    IMAGE,
    ROLLBACK_VERSION,
    SEAL,
    STATUS,
    DeploymentStatus,
    ModelVersion,
    VersionFacts,
    is_ours,
    tags_of,
    version_of,
)
from deployments.registry.registry_diff import CHALLENGER, CHAMPION, PREVIOUS, Edit, Entry, Standing, edits
from deployments.registry.seal_verification import seal_of
from deployments.registry.undelete import undelete
from deployments.registry.version_seal import Statement
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, check_types

# What MLflow's pages show as a description.
_NOTE: Final = "mlflow.note.content"
_MOST_VOUCHED_BYTES: Final = 16_000_000_000


class ModelRegistry(RegisteredVersions):
    """The model registry in the MLflow at `tracking_uri`: `sqlite:///…` or an http server.

    `keys` is the folder with the key that versions are sealed with; `noted` gives the digest of a version's seal that
    the journal keeps.

    It connects at the first call. Every method raises `RegistryUnreachable` when MLflow does not answer, `NotFound` for
    an unknown product or version, `DiskFull` when the database or the disk has no room. One writer per product is
    assumed (MLflow's aliases know no compare-and-swap): callers hold the product's lease while they promote.
    """

    def register(self, product: str, run_id: str, model_uri: str, facts: VersionFacts, beyond: int = 0) -> ModelVersion:
        """The version of this run; made with all its metadata in one call, or the one that exists already.

        `model_uri` is `models:/<model id>`, as training returns it. Its number is greater than `beyond`: a registry
        that lost its versions would count from 1 again, and give numbers of others that serve. Safe to repeat.
        """
        with translated_errors(self._uri):
            self._see_to_product(product)
            for raw in self._search(product):
                if raw.run_id == run_id and is_ours(raw.tags):
                    return self._sealed(product, int(raw.version), run_id, facts)
            model_id = _model_id(model_uri)
            # The model's own location: resolving `models:/…` in the store would ask the process-wide tracking URI.
            source = self._client.get_logged_model(model_id).artifact_location
            self._count_beyond(beyond, product, source)
            raw = self._client.create_model_version(
                product, source, run_id=run_id, tags=tags_of(facts), model_id=model_id
            )
            return self._sealed(product, int(raw.version), run_id, facts)

    def describe(self, product: str, version: int, text: str) -> None:
        """For people on MLflow's pages: the run is named after the version, and `text` says what the product is for.

        `text` stands with the model, the version and the experiment; empty, it changes nothing there. Safe to repeat.
        """
        with translated_errors(self._uri):
            run = self._client.get_model_version(product, str(version)).run_id
            self._client.update_run(run, name=f"{product} v{version}")
            if not text:
                return
            self._client.update_registered_model(product, text)
            self._client.update_model_version(product, str(version), text)
            experiment = self._client.get_run(run).info.experiment_id
            self._client.set_experiment_tag(experiment, _NOTE, text)
            self._client.set_tag(run, _NOTE, text)

    def set_challenger(self, product: str, version: int | None) -> None:
        """Names the version that is to become champion; None takes the name away. Safe to repeat."""
        with translated_errors(self._uri):
            if version is None:
                self._client.delete_registered_model_alias(product, CHALLENGER)
                return
            self.get(product, version)
            self._client.set_registered_model_alias(product, CHALLENGER, str(version))

    def promote(self, product: str, version: int, at: datetime, former: int | None) -> ModelVersion:
        """Makes `version` champion; `former`, which served before it (None: nobody), becomes `previous` and retired.

        Killed between any two calls it leaves a champion that exists; calling it again completes it. `at` is when the
        traffic had moved; a call that finds `version` champion already keeps the time that is written there.
        """
        self.get(product, version)
        with translated_errors(self._uri):
            if former is not None and former != version:
                self._tag(product, version, ROLLBACK_VERSION, str(former))
            if self._aliases(product).get(CHAMPION) != version:
                self._crown(product, version, at)
            self._settle(product, version)
        return self.get(product, version)

    def reinstate(self, product: str, version: int, at: datetime, ousted: int | None) -> ModelVersion:
        """Puts a former champion back; `ousted`, from which it takes over, is marked rolled back.

        `previous` is afterwards what `version` itself once replaced, or nothing. As kill-safe as `promote`.
        """
        self.get(product, version)
        with translated_errors(self._uri):
            if ousted is not None and ousted != version:
                with contextlib.suppress(NotFound):  # somebody deleted it, and there is nobody left to mark
                    self.get(product, ousted)
                    self._tag(product, ousted, STATUS, DeploymentStatus.ROLLED_BACK)
            if self._aliases(product).get(CHAMPION) != version:
                self._crown(product, version, at)
            self._settle(product, version)
        return self.get(product, version)

    def differences(self, product: str, wanted: Standing) -> tuple[str, ...]:
        """Where the registry says something else than what is `wanted`, a sentence each; empty if it agrees."""
        return Entry(self.versions(product), self._named(product)).differences(wanted)

    def repair(self, product: str, wanted: Standing) -> tuple[str, ...]:
        """Makes the registry say what is `wanted`, as far as aliases and tags can; returns what it changed.

        Safe to repeat; `differences` tells what is left.
        """
        changed = edits(self.versions(product), self._named(product), wanted)
        with translated_errors(self._uri):
            for edit in changed:
                self._write(product, edit)
        return tuple(edit.why for edit in changed)

    def bring_back(self, product: str, runs: Collection[str]) -> tuple[str, ...]:
        """Undoes what hides a product whose versions come of `runs`; returns what was done, a sentence each.

        A model that was renamed gets its name again, where no other one has it by now; an experiment or a run that was
        deleted is restored, as long as MLflow still has it.
        """
        with translated_errors(self._uri):
            named = bool(self._search(product))
            return tuple(undelete(self._client, self._uri, product, runs, named=named))

    def set_status(self, product: str, version: int, status: DeploymentStatus) -> None:
        """Writes what became of a version. Safe to repeat."""
        self.get(product, version)
        with translated_errors(self._uri):
            self._tag(product, version, STATUS, status)

    def set_image(self, product: str, version: int, image: str) -> None:
        """Writes which container image holds the model of a version. Safe to repeat."""
        self.get(product, version)
        with translated_errors(self._uri):
            self._tag(product, version, IMAGE, image)

    def fetch(self, product: str, version: int, folder: Path) -> Path:
        """`<folder>/<product>/v<version>`: the model folder of a version, every byte checked against its seal.

        An intact copy is used again. Raises `BadArtifact`, naming the file, if a byte differs or a file is missing or
        added; the folder then keeps what it had before.
        """
        return self.model(product, version, folder).folder

    def model(self, product: str, version: int, folder: Path) -> Kept:
        """The model folder as `fetch` gives it, and the types that the model was allowed to hold, by its seal.

        A version that was fetched here before is still had when the registry does not answer, does not know it any
        more, or has it without a seal that fits: then by the manifest that lies in the folder.
        """
        try:
            with translated_errors(self._uri):
                raw = self._client.get_model_version(product, str(version))
            statement = self._prover.statement(raw)
        except (NotFound, RegistryUnreachable, BadArtifact):
            if (before := read_start_record(folder, product, version)) is None:
                raise
            return before
        place = folder / product / f"v{version}"
        keep_model_folder(
            place, statement.files, lambda into: self._fill(raw.source or "", statement.run, into, statement.size)
        )
        model = Kept(place, statement.trusted, digest_of(statement.files), sealed=True)
        if model.trusted:
            write_start_record(folder, product, version, model)
        return model

    def fetch_pinned(self, product: str, version: int, digest: str, most_bytes: int, folder: Path) -> Path:
        """`fetch` for whoever was told the digest of the manifest by somebody who proved it, and has no key.

        Raises `BadArtifact` where the registry has no manifest of that digest, or other files.
        """
        with translated_errors(self._uri):
            raw = self._client.get_model_version(product, str(version))
        files = next((each for each in _manifests(raw) if digest_of(each) == digest), None)
        if files is None:
            raise BadArtifact(
                f"the registry has another manifest of {product} v{version} than the one with digest {digest} that was "
                f"judged: somebody edited it; `seatrial status {product}` says what differs"
            )
        place = folder / product / f"v{version}"
        return keep_model_folder(
            place, files, lambda into: self._fill(raw.source or "", raw.run_id or "", into, most_bytes)
        )

    def fetch_unproved(self, version: ModelVersion, folder: Path) -> Path:
        """The model folder of a version, for a look that serves nobody: its files are only those of its own manifest.

        For whoever has no key to prove the seal with. Raises `BadArtifact` where the registry names no manifest, or has
        other files.
        """
        if not version.facts.manifest:
            raise BadArtifact(f"the registry does not say which files {version.name} has: it has no manifest")
        place = folder / version.product / f"v{version.version}"
        return keep_model_folder(
            place,
            version.facts.manifest,
            lambda into: self._fill(version.model_uri, version.run_id, into, _MOST_VOUCHED_BYTES),
        )

    def fetch_candidate(
        self, run_id: str, model_uri: str, manifest: Mapping[str, str], folder: Path, most_bytes: int
    ) -> Path:
        """`<folder>/<run_id>`: the model folder of a run that is not registered yet; otherwise like `fetch`."""
        with translated_errors(self._uri):
            source = self._client.get_logged_model(_model_id(model_uri)).artifact_location
        return keep_model_folder(folder / run_id, manifest, lambda into: self._fill(source, run_id, into, most_bytes))

    def reseal(self, product: str, version: int, run: str, noted: str | None, folder: Path) -> str:
        """Seals a version again that Seatrial registered from `run`; how it is known, or empty if it is not.

        Known is what the journal `noted` (the seal is whole, its key was lost), and what lies in `folder` since it was
        fetched for the version. Safe to repeat.
        """
        with translated_errors(self._uri):
            raw = self._client.get_model_version(product, str(version))
            if raw.run_id != run:
                return ""
            with contextlib.suppress(ValueError):
                seal = seal_of(raw)
                if seal is not None and seal.digest == noted:
                    self._tag(product, version, SEAL, self._sealer.seal(seal.statement))
                    return "the journal knows its seal"
            before = read_start_record(folder, product, version)
            # What older versions of Seatrial noted of types came from tags.
            if before is None or not before.digest or (before.trusted and not before.sealed):
                return ""
            statement = _statement(product, version, run, before.folder, before.trusted)
            self._tag(product, version, SEAL, self._sealer.seal(statement))
        return f"its files lie in {before.folder}"

    def vouch(self, product: str, version: int, trusted: tuple[str, ...], folder: Path) -> Statement:
        """Seals what the registry holds of a version, because a person says so; `trusted` are the types by its spec.

        Raises `BadArtifact` where its files are not those of its own manifest, or hold types that nobody trusts.
        """
        found = self.get(product, version)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".vouched-", dir=folder) as scratch:
            place = Path(scratch)
            self._fill(found.model_uri, found.run_id, place, _MOST_VOUCHED_BYTES)
            if found.facts.manifest:
                check_intact(place, found.facts.manifest)
            check_types(place / MODEL_FILE, (*DEFAULT_TRUSTED_TYPES, *trusted))
            statement = _statement(product, version, found.run_id, place, trusted)
        with translated_errors(self._uri):
            self._tag(product, version, SEAL, self._sealer.seal(statement))
        write_start_record(folder, product, version, self.model(product, version, folder))
        return statement

    def _see_to_product(self, product: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(product)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _write(self, product: str, edit: Edit) -> None:
        if edit.alias is not None and edit.version is None:
            self._client.delete_registered_model_alias(product, edit.alias)
        elif edit.alias is not None:
            self._client.set_registered_model_alias(product, edit.alias, str(edit.version))
        elif edit.tag is not None and edit.value:
            self._client.set_model_version_tag(product, str(edit.version), edit.tag, edit.value)
        elif edit.tag is not None:
            self._client.delete_model_version_tag(product, str(edit.version), edit.tag)

    def _count_beyond(self, beyond: int, product: str, source: str) -> None:
        """MLflow chooses the numbers; one that was taken once is not given again, even if its version is deleted."""
        given = 0
        while given < beyond:
            if not given and beyond <= max((int(raw.version) for raw in self._search(product)), default=0):
                return
            given = int(self._client.create_model_version(product, source).version)
            self._client.delete_model_version(product, str(given))

    def _tag(self, product: str, version: int, key: str, value: str) -> None:
        self._client.set_model_version_tag(product, str(version), key, value)

    def _crown(self, product: str, version: int, at: datetime) -> None:
        self._tag(product, version, DEPLOYED_AT, at.isoformat())
        self._client.set_registered_model_alias(product, CHAMPION, str(version))

    def _settle(self, product: str, champion: int) -> None:
        """Makes `previous`, `challenger` and every status agree with the champion, whatever a kill left behind."""
        versions = {each.version: each for each in self.versions(product)}
        for each in versions.values():
            if each.version != champion and each.status is DeploymentStatus.LIVE:
                self._tag(product, each.version, STATUS, DeploymentStatus.RETIRED)
        former = versions.get(versions[champion].rollback_version or 0)
        if former is None or former.status is DeploymentStatus.ROLLED_BACK:
            self._client.delete_registered_model_alias(product, PREVIOUS)
        else:
            self._client.set_registered_model_alias(product, PREVIOUS, str(former.version))
        if CHALLENGER in versions[champion].aliases:
            self._client.delete_registered_model_alias(product, CHALLENGER)
        self._tag(product, champion, STATUS, DeploymentStatus.LIVE)

    def _sealed(self, product: str, version: int, run: str, facts: VersionFacts) -> ModelVersion:
        """The version with the seal that `facts` give it: a kill, or somebody else, may have come between."""
        statement = Statement(product, version, run, facts.manifest, round(facts.size_mb * 1e6), facts.trusted_types)
        found = self.get(product, version)
        if found.doubt:
            for tag, value in tags_of(facts).items():
                if tag != STATUS:
                    self._tag(product, version, tag, value)
            self._tag(product, version, SEAL, self._sealer.seal(statement))
            found = self.get(product, version)
        return found

    def _fill(self, source: str, run_id: str, into: Path, most_bytes: int) -> None:
        with translated_errors(self._uri):
            artifacts = self._client.get_run(run_id).info.artifact_uri
        download(self._uri, source, into, most_bytes).replace(into / MODEL)
        download(self._uri, f"{artifacts}/{VERIFICATION}", into, most_bytes)


def _manifests(raw: Any) -> Iterator[Mapping[str, str]]:
    """What the registry says that a version's files are, from its seal and from its tag; nothing of it is proved."""
    with contextlib.suppress(ValueError):
        if seal := seal_of(raw):
            yield seal.statement.files
    yield version_of(raw, ()).facts.manifest


def _statement(product: str, version: int, run: str, folder: Path, trusted: tuple[str, ...]) -> Statement:
    return Statement(product, version, run, manifest_of(folder), size_of(folder), trusted)


def _model_id(model_uri: str) -> str:
    return model_uri.removeprefix("models:/")
