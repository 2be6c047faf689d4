"""Where a version's files may lie. It is written in the registry, which others write to, so that it may be anything.

MLflow shows the registry's password to whatever server a location names, and asks the registry for the location that
stands behind a run or another model, so both have to be known before MLflow hears of them.
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from deployments.errors import BadArtifact
from deployments.redaction import masked
from deployments.settings import current

# Servers that anybody may run; other stores are reached with credentials of the operator's.
_ANYBODYS: Final = frozenset({"http", "https", "ftp", "sftp"})
# It leads to a server: that of the registry, unless it names one.
_PROXIED: Final = "mlflow-artifacts"
# They lead to what the registry says of something else.
_ELSEWHERE: Final = frozenset({"runs", "models"})
_PORTS: Final = {"http": 80, "https": 443}


def check_location(tracking_uri: str, location: str) -> None:
    """Raises `BadArtifact` for files on a server that is neither the registry's nor in `SEATRIAL_ARTIFACT_SERVERS`."""
    if not _is_known(tracking_uri, location):
        raise BadArtifact(
            f"the files are said to lie at {masked(location)}, which is not the registry's own server: somebody edited "
            "the version; train and register the model anew, or name a server of yours in SEATRIAL_ARTIFACT_SERVERS"
        )


def check_destination(tracking_uri: str, location: str) -> None:
    """Raises `BadArtifact` where the registry would have files stored on such a server, which then got its password."""
    if not _is_known(tracking_uri, location):
        raise BadArtifact(
            f"the registry would have the files stored at {masked(location)}, which is not its own server: if it is "
            "yours, name it in SEATRIAL_ARTIFACT_SERVERS, else delete the product's experiment in MLflow"
        )


def _is_known(tracking_uri: str, location: str) -> bool:
    try:
        return _is_among_known(urlsplit(location), urlsplit(tracking_uri))
    except ValueError:  # a port that is no number, half a bracket
        return False


def _is_among_known(there: SplitResult, registry: SplitResult) -> bool:
    if there.scheme in _ELSEWHERE:
        return False
    if there.scheme == _PROXIED and not there.netloc:
        return True
    if there.scheme not in {*_ANYBODYS, _PROXIED}:
        return True
    # What proxies is asked as the registry is.
    asked = registry.scheme if there.scheme == _PROXIED else there.scheme
    place = _place(there, asked)
    return place == _place(registry, registry.scheme) or place in {
        _place(urlsplit(f"//{each}"), asked) for each in current().artifact_servers
    }


def _place(address: SplitResult, scheme: str) -> tuple[str | None, int | None]:
    return address.hostname, address.port or _PORTS.get(scheme)
