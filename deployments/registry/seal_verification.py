"""What is known of a version whatever stands in its tags: by its seal, or by the journal's note of it."""

from collections.abc import Callable
from typing import Any

from deployments.errors import BadArtifact, BadInput, SeatrialError
from deployments.registry.model_version import SEAL
from deployments.registry.version_seal import Seal, Sealer, Statement, read_seal

# The digest of the seal that the journal noted when a version of a product was registered; None if it noted none.
Noted = Callable[[str, int], str | None]


def nothing_noted(_product: str, _version: int) -> str | None:
    """Where there is no journal."""
    return None


class Prover:
    """Says what was judged of a version: its seal must be of this platform's key, or be the one that was noted."""

    def __init__(self, sealer: Sealer, noted: Noted = nothing_noted) -> None:
        self._sealer, self._noted = sealer, noted

    def statement(self, raw: Any) -> Statement:
        """What the seal of MLflow's entity `raw` says. Raises `BadArtifact`, with the version and the next step."""
        seal, doubt = self._read(raw)
        if seal is None or doubt:
            raise BadArtifact(_told(raw, doubt))
        return seal.statement

    def proof(self, raw: Any) -> tuple[str, str]:
        """Why there is no such statement, in words, or the digest of its seal; one of both is empty."""
        seal, doubt = self._read(raw)
        return (_told(raw, doubt), "") if seal is None or doubt else ("", seal.digest)

    def _read(self, raw: Any) -> tuple[Seal | None, str]:
        try:
            seal = seal_of(raw)
            doubt = _misfit(seal, raw) if seal else "it has no seal of Seatrial's"
            if seal is not None and not doubt and (doubt := self._sealer.doubt(seal)) and self._is_noted(seal):
                doubt = ""
        except ValueError as error:
            return None, f"its seal cannot be read: {error}"
        except BadInput as error:
            return None, f"its seal cannot be proved: {error}"
        return seal, doubt

    def _is_noted(self, seal: Seal) -> bool:
        try:
            return self._noted(seal.statement.product, seal.statement.version) == seal.digest
        except SeatrialError:
            return False


def seal_of(raw: Any) -> Seal | None:
    """The seal in the tags of MLflow's entity; None if there is none. Raises `ValueError` for what is no seal."""
    text = raw.tags.get(SEAL)
    return None if text is None else read_seal(text)


def _misfit(seal: Seal, raw: Any) -> str:
    """What the seal was made for, where that is something else than this version."""
    said, wanted = seal.statement, (str(raw.name), int(raw.version), str(raw.run_id or ""))
    for what, there, here in zip(
        ("product", "version", "run"), (said.product, said.version, said.run), wanted, strict=True
    ):
        if there != here:
            return f"its seal is that of {what} {str(there)[:80]!r}, not of {here!r}"
    return ""


def _told(raw: Any, doubt: str) -> str:
    product, version = str(raw.name), int(raw.version)
    return (
        f"{product} v{version} is not known to be what was judged: {doubt}; `seatrial repair {product}` seals it again "
        f"if the journal or a folder here knows it, `seatrial repair {product} --vouch {version}` on your word"
    )
