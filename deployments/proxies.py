"""Proxies of the environment: never between the parts of a platform, and none that no client could use.

httpx, requests and aiohttp read `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` by themselves, and each breaks
in its own way: a proxy gets what is meant for this machine, and httpx fails for every address when a variable names
a kind of proxy that it does not know.
"""

import os
from collections.abc import MutableMapping
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_KNOWN: Final = frozenset({"http", "https", "socks5", "socks5h"})


def heed_proxies(environment: MutableMapping[str, str] | None = None) -> tuple[str, ...]:
    """Sees to it that this process and its children reach this machine directly; None: changes `os.environ`.

    Returns a sentence for each variable that nobody can use, which is taken out; its value may hold a password, and is
    not quoted.
    """
    variables = os.environ if environment is None else environment
    told = []
    for name in sorted(variables):
        if name.lower() in _PROXIES and variables[name] and (scheme := _unknown_scheme(variables[name])) is not None:
            del variables[name]
            told.append(
                f"{name} is not used: it names a proxy of kind {scheme!r}, and {', '.join(sorted(_KNOWN))} work"
            )
    if any(variables.get(name) for proxy in _PROXIES for name in (proxy, proxy.upper())):
        # Whoever reads one of the two spellings must find all that the other says.
        exempt = [*_entries(variables.get("no_proxy", "")), *_entries(variables.get("NO_PROXY", "")), *LOOPBACK]
        variables["no_proxy"] = variables["NO_PROXY"] = ",".join(dict.fromkeys(exempt))
    return tuple(told)


def _entries(text: str) -> list[str]:
    return [entry for each in text.split(",") if (entry := each.strip())]


def _unknown_scheme(address: str) -> str | None:
    """None for one that is known; `host:port` alone is one of HTTP."""
    if "://" not in address:
        return None
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return address.partition("://")[0]
    return None if parts.scheme in _KNOWN and parts.hostname else parts.scheme
