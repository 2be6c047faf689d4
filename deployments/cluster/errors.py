"""What the API server said instead of an answer, in as many classes as somebody reacts to differently."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deployments.errors import ClusterRefused, TryAgain


class ApiError(Exception):
    """`status` is the HTTP code; the text is the server's own message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiUnreachable(ApiError):
    """No answer, or one that says to come back later; status 0 for no answer at all."""


class Missing(ApiError):
    """404: no such object, or the cluster does not know its kind."""


class Conflicting(ApiError):
    """409: somebody else changed or removed the object, owns the field, or made one of that name."""


class Expired(ApiError):
    """410: the cluster has forgotten what happened since then: list again."""


class ApiForbidden(ApiError):
    """401 or 403: by RBAC, a quota or an admission policy; the message names the verb or the limit."""


class Invalid(ApiError):
    """The server does not take the object."""


_CLASSES: dict[int, type[ApiError]] = {
    401: ApiForbidden,
    403: ApiForbidden,
    404: Missing,
    408: ApiUnreachable,
    409: Conflicting,
    410: Expired,
    429: ApiUnreachable,
}


def error_of(status: int, body: bytes) -> ApiError:
    """The error that an answer with a code from 400 on stands for."""
    kind = ApiUnreachable if status >= 500 else _CLASSES.get(status, Invalid)
    return kind(status, _message_in(body) or f"HTTP {status}")


def is_missing_right(error: ApiForbidden) -> bool:
    """Whether it is about who asks; a quota or an admission policy is about what is asked."""
    return error.status == 401 or " cannot " in str(error)


@contextmanager
def errors_as(unreachable: type[TryAgain], where: str) -> Iterator[None]:
    """Turns what is raised within into the errors of a door: `unreachable`, or `ClusterRefused`; `where` names it."""
    try:
        yield
    except (ApiUnreachable, Expired, Conflicting) as error:
        raise unreachable(f"{where}: {error}") from error
    except ApiForbidden as error:
        raise ClusterRefused(f"{where}: {error}: allow it, or see docs/kubernetes.md for the rights needed") from error
    except ApiError as error:
        raise ClusterRefused(f"{where}: {error}") from error


def _message_in(body: bytes) -> str:
    """Of a Status object, else the first line."""
    try:
        status: Any = json.loads(body)
        return str(status.get("message") or status.get("reason") or "")
    except (ValueError, AttributeError):
        return body[:200].decode("utf-8", "replace").partition("\n")[0]
