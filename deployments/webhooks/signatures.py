"""HMAC-SHA256 over what was sent, byte for byte, and ids that may stand in logs and headers."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from deployments.webhooks.requests import NotTaken

_ID: Final = re.compile(r"[A-Za-z0-9_.:=+/-]{1,128}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")


def digest(key: bytes, content: bytes) -> bytes:
    """The HMAC (RFC 2104) with SHA-256, 32 bytes."""
    return hmac.new(key, content, hashlib.sha256).digest()


def check_signed(genuine: Iterable[bytes], shown: bytes) -> None:
    """Raises `NotTaken` unless `shown` is one of `genuine`, in a time that tells nothing of either."""
    found = False
    for each in genuine:
        found |= hmac.compare_digest(each, shown)
    if not found:
        raise wrong_signature()


def wrong_signature() -> NotTaken:
    """What is said of every signature that no key of the webhook makes."""
    return NotTaken(401, "the signature is not that of a key of this webhook")


def checked_id(text: str) -> str:
    """An id as senders make them. Raises `NotTaken` for one that could be anything else."""
    if not _ID.fullmatch(text):
        raise NotTaken(400, "the delivery's id has other characters than letters, digits and _.:=+/-, or more than 128")
    return text


def unix_time(text: str) -> datetime:
    """Whole seconds since 1970. Raises `NotTaken` for anything else."""
    if not _SECONDS.fullmatch(text):
        raise NotTaken(400, "the delivery's time is not in whole seconds since 1970")
    return datetime.fromtimestamp(int(text), UTC)
