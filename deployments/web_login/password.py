"""The password of Prefect's and MLflow's APIs: drawn once for a platform, shown by every process of ours by itself."""

import base64
import hmac
from pathlib import Path

from deployments.key_files import key, known_key

USER = "seatrial"
_NAME = "prefect"


def drawn_password(keys: Path) -> str:
    """Of the platform whose secrets lie in `keys`; drawn if there is none. Raises as `deployments.key_files.key`."""
    return key(keys, _NAME).decode()


def known_password(keys: Path) -> str:
    """As it was drawn. Raises `NotFound` if there is none, and `BadInput` for one that others may read."""
    return known_key(keys, _NAME).decode()


def credentials(password: str) -> str:
    """User and password in one, as Prefect's settings hold them."""
    return f"{USER}:{password}"


def basic_header(password: str) -> str:
    """The header `Authorization` of whoever knows it (RFC 7617)."""
    return f"Basic {base64.b64encode(credentials(password).encode()).decode()}"


def is_same(shown: str, known: str) -> bool:
    """Compared in a time that tells nothing; `shown` may be text that JSON can hold and UTF-8 cannot."""
    return hmac.compare_digest(shown.encode(errors="surrogatepass"), known.encode())
