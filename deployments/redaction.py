"""Addresses as they may be shown: without passwords, keys and tokens."""

import json
import re
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote, urlsplit

_HIDDEN = "***"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"']+")
_NAMES = r"passw|passphrase|pwd|secret|token|credential|signature|(?:api|access|account|private)[_-]?key"
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
# `password=…` as in the addresses of databases and object stores that are no URLs.
_ASSIGNED = re.compile(rf"([\w-]*(?:{_NAMES})[\w-]*\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s;,&]+)", re.IGNORECASE)


def _quoted(secret: str) -> str:
    return quote(secret, safe="")


# Whoever quotes an address may have decoded it, or encoded it anew.
_WAYS_TO_WRITE = (str, unquote, quote_plus, _quoted)


def masked(address: str) -> str:
    """`address` with `***` for user, password and every value after `?`; a path stays as it is."""
    if "://" not in address:
        return address
    return "::".join(_masked_link(link) for link in address.split("::"))


def quoted(value: object, most: int = 80) -> str:
    """`value` as JSON in an error: cut after `most` characters, addresses masked, and so is what a secret is called.

    Masked before it is cut: half an address would not be known as one.
    """
    text = json.dumps(_hushed(value), default=str, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def sounds_secret(name: str) -> bool:
    """Whether a field or variable of that name may hold a password, a key or a token."""
    return _SECRET_NAME.search(name) is not None


def _hushed(value: object) -> object:
    match value:
        case str():
            return _ASSIGNED.sub(rf"\1{_HIDDEN}", _ADDRESS.sub(lambda found: masked(found[0]), value))
        case dict():
            return {
                name: _HIDDEN if sounds_secret(str(name)) and isinstance(each, str) else _hushed(each)
                for name, each in value.items()
            }
        case list() | tuple():
            return [_hushed(each) for each in value]
    return value


def without_secrets(text: str, address: str) -> str:
    """`text` of somebody else's error, in which `address` and each secret part of it are hidden."""
    shown = text.replace(address, masked(address))
    written = {way(secret) for secret in _secrets(address) for way in _WAYS_TO_WRITE}
    for secret in sorted(written, key=len, reverse=True):
        shown = shown.replace(secret, _HIDDEN)
    return shown


def _masked_link(link: str) -> str:
    parts = _split(link)
    if parts is None:
        return _HIDDEN
    host = f"{_HIDDEN}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    query = "&".join(f"{name}={_HIDDEN}" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.scheme}://{host}{parts.path}{'?' + query if query else ''}" if parts.scheme else link


def _secrets(address: str) -> set[str]:
    found: set[str] = set()
    for link in address.split("::"):
        parts = _split(link)
        if parts is None:
            return {address}
        found.update(value for _, value in parse_qsl(parts.query))
        found.update(parts.netloc.rpartition("@")[0].split(":")[1:] or [parts.netloc.rpartition("@")[0]])
    return {secret for secret in found if secret}


def _split(link: str) -> SplitResult | None:
    """None for what cannot even be split, such as an unclosed bracket."""
    try:
        return urlsplit(link)
    except ValueError:
        return None
