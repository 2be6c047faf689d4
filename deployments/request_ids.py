"""Request ids with a seal: which of them a model server of this platform gave out, for which answer, and when.

A client sees `<id>.<seal>`. Inside the platform only the id itself is known, by which the gateway, two servers that
answered the same request and their logs agree: whoever reads these can seal nothing. A seal holds when the answer was
given and, if the request had a sticky key, a hash of it; and a keyed hash of all that, the product and the version.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from deployments.clock import Clock

KEY_NAME: Final = "requests"
# Where a model server finds the file of the key.
VARIABLE: Final = "SEATRIAL_REQUESTS_KEY"
# Of an id without its seal.
LONGEST_ID: Final = 128
_MAC_BYTES: Final = 12
_USER_BYTES: Final = 6
_TIME_BYTES: Final = 4
# A time need not be finer, and asking for it costs more than the hash.
_SECONDS_BETWEEN_STAMPS: Final = 10.0
_SEALED: Final = re.compile(r"([A-Za-z0-9._:/+=@-]{1,128})\.([0-9a-f]{32}|[0-9a-f]{44})")


@dataclass(frozen=True, slots=True)
class GivenOut:
    """An id without its seal, when its answer was given, and whose that was: empty without a sticky key."""

    request_id: str
    at: datetime
    user: str


class Sealer:
    """Seals the ids of one model server's answers. Not for several threads."""

    def __init__(self, secret: bytes, product: str, version: int, clock: Clock) -> None:
        self._macs, self._users = _macs(secret, product, version), _users(secret, product)
        self._clock = clock
        self._until = -1.0

    def sealed(self, request_id: str, key: bytes | None, since: float) -> str:
        """The id as the client gets it; `since` is the moment of its request on the monotonic clock."""
        if since >= self._until:
            self._take_stamp(since)
        if not key:
            mac = self._of_nobody.copy()
            mac.update(request_id.encode())
            return f"{request_id}.{self._stamp}{mac.hexdigest()}"
        hashed = self._users.copy()
        hashed.update(key)
        user = hashed.digest()
        mac = self._of_a_user.copy()
        mac.update(user + request_id.encode())
        return f"{request_id}.{self._stamp}{user.hex()}{mac.hexdigest()}"

    def _take_stamp(self, since: float) -> None:
        """What all seals of the next seconds begin with is hashed here, once."""
        stamp = int(self._clock.now().timestamp()).to_bytes(_TIME_BYTES)
        self._stamp, self._until = stamp.hex(), since + _SECONDS_BETWEEN_STAMPS
        self._of_nobody, self._of_a_user = self._macs.copy(), self._macs.copy()
        self._of_nobody.update(_length(_TIME_BYTES) + stamp)
        self._of_a_user.update(_length(_TIME_BYTES + _USER_BYTES) + stamp)


class Seals:
    """Opens what servers with the same secret sealed. Safe for several threads."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def opened(self, given: str, product: str, version: int) -> GivenOut | None:
        """None for what no server gave out for an answer of this version."""
        found = _SEALED.fullmatch(given)
        if found is None:
            return None
        request_id, seal = found[1], bytes.fromhex(found[2])
        told, mac = seal[:-_MAC_BYTES], seal[-_MAC_BYTES:]
        wanted = _macs(self._secret, product, version)
        wanted.update(_length(len(told)) + told + request_id.encode())
        if not hmac.compare_digest(mac, wanted.digest()):
            return None
        at = datetime.fromtimestamp(int.from_bytes(told[:_TIME_BYTES]), UTC)
        return GivenOut(request_id, at, told[_TIME_BYTES:].hex())

    def user(self, product: str, key: str) -> str:
        """What stands in the seals of the answers to the user with this sticky key."""
        hashed = _users(self._secret, product)
        hashed.update(key.encode())
        return hashed.hexdigest()


def without_seal(given: str) -> str:
    """The id that logs know, whether it came with a seal or not."""
    found = _SEALED.fullmatch(given)
    return found[1] if found else given


def _length(told: int) -> bytes:
    # Of what a seal says, before it: else the first letters of an id could be passed off as a user.
    return b"%d " % told


def _macs(secret: bytes, product: str, version: int) -> "hashlib.blake2b":
    hashed = hashlib.blake2b(digest_size=_MAC_BYTES, key=_key_of(secret), person=b"request id")
    hashed.update(f"{product} {version} ".encode())
    return hashed


def _users(secret: bytes, product: str) -> "hashlib.blake2b":
    hashed = hashlib.blake2b(digest_size=_USER_BYTES, key=_key_of(secret), person=b"sticky key")
    hashed.update(f"{product} ".encode())
    return hashed


def _key_of(secret: bytes) -> bytes:
    """A key of the length that BLAKE2b takes, whatever was drawn or given."""
    return hashlib.blake2b(secret).digest()
