"""Opening a page logged in: an address with a ticket, and a file that leads a browser to it.

A browser is started with the file's name and not with the address: every account of the machine can read command lines.
"""

import html
import json
from datetime import datetime
from pathlib import Path

from deployments.atomic_files import write_atomically
from deployments.key_files import key
from deployments.web_login.middleware import LOGIN
from deployments.web_login.sessions import Passes

_PAGES = "pages"
_PRIVATE = 0o600


def passes_of(keys: Path, part: str) -> Passes:
    """Of `part`, under the key of the platform whose secrets lie in `keys`; drawn if there is none yet."""
    return Passes(key(keys, _PAGES), part)


def address_with_ticket(page: str, keys: Path, part: str, now: datetime) -> str:
    """Leads to `page` (`http://HOST:PORT`), once, for a minute."""
    return f"{page}{LOGIN}#ticket={passes_of(keys, part).ticket(now)}"


def write_leading_file(path: Path, address: str) -> None:
    """A page of this account alone that leads to `address`."""
    target = json.dumps(address).replace("<", "\\u003c")
    content = (
        '<!doctype html><meta charset="utf-8"><title>Seatrial</title>'
        f'<p><a href="{html.escape(address)}" rel="noreferrer">Go on</a></p>'
        f"<script>location.replace({target})</script>\n"
    )
    write_atomically(path, content.encode(), mode=_PRIVATE)
