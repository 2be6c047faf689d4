"""Proxies of the environment: never between the parts of a platform, and none that no client could use.

httpx, requests and aiohttp read `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` by themselves, and each breaks
in its own way: a proxy gets what is meant for this machine, and httpx fails for every address when a variable names
a kind of proxy that it does not know.
"""

import os
import re
from collections.abc import MutableMapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_EXEMPT: Final = ("no_proxy", "NO_PROXY")
_KNOWN: Final = frozenset({"http", "https", "socks5", "socks5h"})
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
# A name, a part of one, or a network of IPv4, each perhaps with a scheme before it and a port behind.
_EXEMPTION: Final = re.compile(r"(?:[a-z0-9]+://)?[!-9;-~]+(?::[0-9]{1,5})?")


def heed_proxies(environment: MutableMapping[str, str] | None = None) -> tuple[str, ...]:
    """Sees to it that this process and its children reach this machine directly; None: changes `os.environ`.

    Returns a sentence for each variable that nobody can use, which is taken out, and for each entry of `NO_PROXY` that
    no client understands; a variable's value may hold a password, and is not quoted.
    """
    variables = os.environ if environment is None else environment
    told = []
    for name in sorted(variables):
        if name.lower() not in _PROXIES or not variables[name]:
            continue
        variables[name] = variables[name].strip()
        if (problem := _problem(variables[name])) is not None:
            del variables[name]
            told.append(f"{name} is not used: it names {problem}, and {', '.join(sorted(_KNOWN))} work")
    given = list(dict.fromkeys(entry for name in _EXEMPT for entry in _entries(variables.get(name, ""))))
    exempt = [known for entry in given if (known := _understood(entry)) is not None]
    told += [
        f"{entry[:80]!r} in NO_PROXY is not heeded: no client knows what it says"
        for entry in given
        if not _understood(entry)
    ]
    if any(variables.get(name) for proxy in _PROXIES for name in (proxy, proxy.upper())):
        # Whoever reads one of the two spellings must find all that the other says.
        variables["no_proxy"] = variables["NO_PROXY"] = ",".join(dict.fromkeys([*exempt, *LOOPBACK]))
    elif exempt != given:
        # httpx reads them where there is no proxy, too, and fails.
        variables["no_proxy"] = variables["NO_PROXY"] = ",".join(exempt)
    return tuple(told)


def _entries(text: str) -> list[str]:
    return [entry for each in text.split(",") if (entry := each.strip())]


def _understood(entry: str) -> str | None:
    """As every client reads it; None for what makes httpx fail, such as a network of IPv6, which none knows."""
    bracketed = _BRACKETED.fullmatch(entry)
    plain = bracketed[1] if bracketed else entry
    if plain.count(":") > 1 and "://" not in plain:
        with suppress(ValueError):
            return str(ip_address(plain))
        return None
    return plain if _EXEMPTION.fullmatch(plain) else None


def _problem(address: str) -> str | None:
    """What is wrong with it; None for nothing. `host:port` alone is one of HTTP."""
    whole = address if "://" in address else f"http://{address}"
    scheme = whole.partition("://")[0].lower()
    try:
        parts = urlsplit(whole)
        _ = parts.port
    except ValueError:
        return f"a proxy of kind {scheme!r} at no address"
    if scheme not in _KNOWN:
        return f"a proxy of kind {scheme!r}"
    return None if parts.hostname else f"a proxy of kind {scheme!r} at no address"
