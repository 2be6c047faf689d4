"""A person's word that a version in the registry is what it should be, where no seal says so."""

import uuid

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import NotFound
from deployments.journals.protocol import Event
from deployments.journals.registration_notes import VOUCHED
from deployments.plurals import counted
from deployments.settings import current
from tasks.spec_file import find_spec, load_product


def vouch(product: str, version: int, spec: str) -> str:
    """Seals a version as the registry holds it, with the types that spec and settings trust; what was sealed, in words.

    `spec` is the name or the path by which the product's spec is found.
    Its bytes are fetched and its types looked at; nothing of the model is loaded. The history says that it was done.
    Raises `BadArtifact` for files that are not those of the version's own manifest, and for types that nobody trusts.
    """
    settings, registry = current(), wiring.registry()
    trusted = (*_by_spec(product, spec), *settings.trusted_types)
    statement = registry.vouch(product, version, trusted, settings.models)
    sealed = registry.get(product, version).seal
    detail = {"version": version, "mlflow_run": statement.run, "seal": sealed, "files": dict(statement.files)}
    wiring.journal().record(Event(product, str(uuid.uuid4()), SystemClock().now(), VOUCHED, detail))
    held = f", which may hold {', '.join(trusted)}" if trusted else ""
    files, size = counted(len(statement.files), "file"), counted(statement.size, "byte")
    return f"v{version} is sealed on your word: {files} of {size}{held}"


def _by_spec(product: str, called: str) -> tuple[str, ...]:
    """Of a product without a spec here: none."""
    try:
        spec = load_product(find_spec(called, current().specs_folder))
    except NotFound:
        return ()
    return spec.model.trusted_types if spec.product == product else ()
