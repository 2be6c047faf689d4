"""Proofs by which a model server in a pod knows who asks, whatever a cluster's network lets through.

A run shows one to read what the pod answered, and a Gateway one with copies of requests, and with what is copied. Both
follow from the platform's key `manifests`, which runs have and pods have not: a pod is told a hash of each when it is
made. A run's proof is of one version: a server to which it was shown can read nothing of another one's.
"""

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.errors import BadInput, NotFound
from deployments.key_files import known_key

KEY: Final = "manifests"
# Headers: the API server keeps `authorization` for itself.
RUN_HEADER: Final = "x-seatrial-run"
GATEWAY_HEADER: Final = "x-seatrial-gateway"
# Where a pod finds the hash of either; without one it asks for no proof, as a pod of an earlier release.
RUN_VARIABLE: Final = "SEATRIAL_RUN_PROOF"
GATEWAY_VARIABLE: Final = "SEATRIAL_GATEWAY_PROOF"
# How a server answers a question that is a run's to whoever cannot show that he is one.
UNPROVED: Final = 401


class Proofs:
    """What this process can show, by the key in the folder `place`; nothing (empty texts) while there is none.

    Whoever cannot show a proof can do all that moves traffic; it only reads no counts of pods that ask for one. So
    a key that is missing, or that others may read, raises nothing here: it must not stop a rollback.
    """

    def __init__(self, place: Path | None) -> None:
        self._place = place
        self._secret = b""

    def of_run(self, product: str, version: int) -> str:
        """What a run shows to the servers of this version."""
        return self._derived(b"run", f"{product} {version}")

    def of_gateway(self, product: str) -> str:
        """What a Gateway shows to all servers of this product."""
        return self._derived(b"gateway", product)

    def told_to_pods(self, product: str, version: int) -> dict[str, str]:
        """Environment of the servers of this version; empty where there is no key."""
        shown = {RUN_VARIABLE: self.of_run(product, version), GATEWAY_VARIABLE: self.of_gateway(product)}
        return {name: fingerprint(proof.encode()) for name, proof in shown.items() if proof}

    def _derived(self, whose: bytes, about: str) -> str:
        if not self._secret and self._place is not None:
            with suppress(NotFound, BadInput):
                self._secret = hashlib.blake2b(known_key(self._place, KEY)).digest()
        if not self._secret:
            return ""
        return hashlib.blake2b(about.encode(), digest_size=32, key=self._secret, person=b"proof " + whose).hexdigest()


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whom a server takes for a run or for its Gateway, by the hashes of their proofs; empty: anybody."""

    run: str = ""
    gateway: str = ""

    def is_run(self, proof: bytes | None) -> bool:
        """Whether a run shows this."""
        return not self.run or _fits(proof, self.run)

    def is_gateway(self, proof: bytes | None) -> bool:
        """Whether the Gateway shows this."""
        return not self.gateway or _fits(proof, self.gateway)


def fingerprint(proof: bytes) -> str:
    """What a pod is told of a proof: it says whether one is right, and nobody can make one of it."""
    return hashlib.blake2b(proof, digest_size=32).hexdigest()


def _fits(proof: bytes | None, wanted: str) -> bool:
    return proof is not None and hmac.compare_digest(fingerprint(proof).encode(), wanted.encode())
