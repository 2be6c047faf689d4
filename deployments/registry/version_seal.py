"""Seals: what was judged, signed, so that nobody who merely writes to the registry can have anything else served.

A seal is a DSSE envelope around an in-toto statement (https://github.com/secure-systems-lab/dsse, https://in-toto.io),
with an Ed25519 signature by the key `manifests` of the platform. It names the product, the version and its run, the
SHA-256 of every file, their size and the types that the spec allowed the model to hold: one that was taken from another
version or product fits nowhere else.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deployments import key_files
from deployments.errors import BadInput, NotFound

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY: Final = "manifests"
_SHORTEST_KEY: Final = 32
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "urn:seatrial:model-version:1"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ODD_NAME: Final = re.compile(r"[\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a seal says: `files` holds the SHA-256 of each file by its path, `size` is that of all of them in bytes."""

    product: str
    version: int
    run: str
    files: Mapping[str, str]
    size: int
    trusted: tuple[str, ...] = ()

    def payload(self) -> bytes:
        """The same bytes for the same statement."""
        document = {
            "_type": _STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": self.files[name]}} for name in sorted(self.files)],
            "predicateType": _PREDICATE,
            "predicate": {
                "product": self.product,
                "version": self.version,
                "run": self.run,
                "bytes": self.size,
                "trusted_types": list(self.trusted),
            },
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal as it was read; nothing in it is believed yet. `digest` is the SHA-256 of what was signed."""

    statement: Statement
    payload: bytes
    signature: bytes
    key: str

    @property
    def digest(self) -> str:
        """SHA-256 of what was signed: what the journal notes of a version."""
        return hashlib.sha256(self.payload).hexdigest()


def read_seal(text: str) -> Seal:
    """Raises `ValueError` for a text that is no seal, or one that names files which no model folder can have."""
    try:
        envelope = json.loads(text)
        (signed,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(signed["sig"], validate=True)
        if envelope["payloadType"] != _PAYLOAD_TYPE:
            raise ValueError(f"its type is {str(envelope['payloadType'])[:60]!r}")
        return Seal(_statement_in(json.loads(payload)), payload, signature, str(signed["keyid"])[:64])
    except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ValueError(f"it is not whole ({type(error).__name__})") from None


class Sealer:
    """Signs and proves with the key `manifests` in the folder `place`; it is drawn with the first signature."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._proves: Ed25519PublicKey | None = None

    def seal(self, statement: Statement) -> str:
        """The seal of a statement, as text. Raises `BadInput` where there is no key and none can be drawn."""
        private = _private(key_files.key(self._place, KEY))
        payload = statement.payload()
        signed = {"keyid": key_id(private.public_key()), "sig": _text(private.sign(_signed_bytes(payload)))}
        envelope = {"payload": _text(payload), "payloadType": _PAYLOAD_TYPE, "signatures": [signed]}
        return json.dumps(envelope, separators=(",", ":"))

    def doubt(self, seal: Seal) -> str:
        """What speaks against its being signed by this platform; empty: nothing. Raises `BadInput` for an odd key."""
        from cryptography.exceptions import InvalidSignature

        if (public := self._public()) is None:
            return f"it is sealed with the key {seal.key}, and {self._place} holds no key {KEY!r} to prove it by"
        if seal.key != (ours := key_id(public)):
            return f"it is sealed with the key {seal.key}, not with {ours}, which is {self._place / KEY}"
        try:
            public.verify(seal.signature, _signed_bytes(seal.payload))
        except InvalidSignature:
            return "the signature of its seal does not fit the content"
        return ""

    def _public(self) -> "Ed25519PublicKey | None":
        """None while there is no key: the first seal draws it."""
        if self._proves is None:
            with contextlib.suppress(NotFound):
                self._proves = _private(key_files.known_key(self._place, KEY)).public_key()
        return self._proves


def key_id(public: "Ed25519PublicKey") -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a public key: what people compare."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def _private(secret: bytes) -> "Ed25519PrivateKey":
    """The key that follows from a file of random text, as all our secrets are."""
    if len(secret) < _SHORTEST_KEY:
        raise BadInput(f"the key {KEY!r} has {len(secret)} characters, fewer than {_SHORTEST_KEY}: draw a random one")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"seatrial manifests 1\0" + secret).digest())


def _signed_bytes(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the type is signed with the content."""
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _statement_in(document: Any) -> Statement:
    told = document["predicate"]
    if (document["_type"], document["predicateType"]) != (_STATEMENT, _PREDICATE):
        raise ValueError(f"it states {str(document['predicateType'])[:60]!r}, not what a model version is")
    files = {_name(each["name"]): _checksum(each["digest"]["sha256"]) for each in document["subject"]}
    trusted = told["trusted_types"]
    if not isinstance(trusted, list) or not all(isinstance(each, str) for each in trusted):
        raise ValueError("its trusted types are no list of names")
    return Statement(
        str(told["product"]), int(told["version"]), str(told["run"]), files, int(told["bytes"]), tuple(trusted)
    )


def _name(name: Any) -> str:
    """A path inside the model folder, and nowhere else."""
    if not isinstance(name, str) or _ODD_NAME.search(name) or {"", ".", ".."} & set(name.split("/")):
        raise ValueError(f"it lists the file {str(name)[:60]!r}, which is no path inside a folder")
    return name


def _checksum(text: Any) -> str:
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise ValueError(f"it has the checksum {str(text)[:70]!r}, which is no SHA-256")
    return text


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
