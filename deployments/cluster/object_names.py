"""What our objects are called, and how we tell them from others'."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

MANAGER: Final = "seatrial"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
# Where a model server in a pod listens: for users, for copies of requests whose answers nobody gets, and for requests
# that are copied to another version.
PORT: Final = 8080
COPIES_PORT: Final = 8081
PAIRED_PORT: Final = 8082

PRODUCT: Final = "seatrial.dev/product"
VERSION: Final = "seatrial.dev/version"
# Of a pod: what it was made from. One that was made from something else is on its way out.
TEMPLATE: Final = "seatrial.dev/template"
ROLLOUT: Final = "seatrial.dev/rollout"
KIND: Final = "seatrial.dev/kind"
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def safe_label(identity: str) -> str:
    """An id as a label and as a part of a name: as it is where DNS takes it, else a hash of it."""
    return identity if _LABEL.fullmatch(identity) else f"x{sha256(identity.encode()).hexdigest()[:40]}"


def object_name(product: str, version: int) -> str:
    """Name of every object of a version."""
    return f"model-{product}-v{version}"


def product_object_name(product: str) -> str:
    """Name of every object of a product as a whole."""
    return f"seatrial-{product}"


def user_address(host: str) -> str:
    """Where a server on `host`, an IP address or a name, listens for users; IPv6 in brackets (RFC 3986)."""
    return f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"


def labels_of(product: str, version: int | None = None) -> dict[str, str]:
    """Labels of an object of ours: of a version, or of the product as a whole."""
    labels = {MANAGED_BY: MANAGER, PRODUCT: product}
    return labels if version is None else labels | {VERSION: str(version)}


def selector_of(product: str, version: int | None = None) -> str:
    """Label selector of the objects of a product, or of one of its versions."""
    return ",".join(f"{name}={value}" for name, value in labels_of(product, version).items())


def is_ours(found: Mapping[str, Any], product: str) -> bool:
    """Whether we made this object for this product."""
    labels = found.get("metadata", {}).get("labels") or {}
    return bool(labels.get(MANAGED_BY) == MANAGER and labels.get(PRODUCT) == product)


def version_of(found: Mapping[str, Any]) -> int | None:
    """The model version that an object of ours belongs to; None where its label says none."""
    text = (found.get("metadata", {}).get("labels") or {}).get(VERSION, "")
    return int(text) if text.isdigit() else None
