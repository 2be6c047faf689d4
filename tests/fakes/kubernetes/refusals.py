"""What the server says when it does not do as asked: `Status` objects, worded as a real API server words them."""

from collections.abc import Iterable

from .kinds import Json, Kind


class Refused(Exception):
    """A request was refused; `status` is the body of the answer, `headers` go with it."""

    def __init__(self, status: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(status["message"])
        self.status = status
        self.code: int = status["code"]
        self.headers = headers or {}


def status(code: int, reason: str, message: str, details: Json | None = None) -> Json:
    """A `Status` object that tells a failure."""
    told: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    if reason:
        told["reason"] = reason
    if details is not None:
        told["details"] = details
    return {**told, "code": code}


def success(kind: Kind, name: str, uid: str) -> Json:
    """What a finished deletion is answered with."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": _details(kind, name) | {"uid": uid},
    }


def not_found(kind: Kind, name: str) -> Refused:
    """No object of that name."""
    return Refused(status(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name)))


def no_such_resource() -> Refused:
    """The group is served, the resource is none of it."""
    return Refused(status(404, "NotFound", "the server could not find the requested resource", {}))


def method_not_allowed() -> Refused:
    """That resource has no such method."""
    message = "the server does not allow this method on the requested resource"
    return Refused(status(405, "MethodNotAllowed", message, {}))


def unsupported_patch(kind: Kind, accepted: Iterable[str]) -> Refused:
    """The content type is none that this kind can be patched with."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return Refused(status(415, "UnsupportedMediaType", message, {"group": kind.group, "kind": kind.plural}))


def already_exists(kind: Kind, name: str) -> Refused:
    """The name is taken."""
    return Refused(status(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name)))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(kind: Kind, name: str, why: str = MODIFIED) -> Refused:
    """The object is no longer what the writer thought it was."""
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refused(status(409, "Conflict", message, _details(kind, name)))


def forbidden(kind: Kind, name: str, why: str) -> Refused:
    """Somebody may not do this, or a quota does not allow it. `name` is empty for a collection."""
    called = f'{kind.resource} "{name}"' if name else kind.resource
    return Refused(status(403, "Forbidden", f"{called} is forbidden: {why}", _details(kind, name)))


def invalid(kind: Kind, name: str, field: str, why: str, cause: str = "FieldValueInvalid") -> Refused:
    """A field holds what it must not hold; `why` reads `Invalid value: "…": …` or `Required value`."""
    causes = [{"reason": cause, "message": why, "field": field}]
    message = f'{kind.qualified_name} "{name}" is invalid: {field}: {why}'
    details = {**_details(kind, name), "kind": kind.name, "causes": causes}
    return Refused(status(422, "Invalid", message, details))


def bad_request(message: str) -> Refused:
    """The request cannot be understood."""
    return Refused(status(400, "BadRequest", message))


def internal(message: str) -> Refused:
    """Something went wrong inside the server."""
    details = {"causes": [{"message": message}]}
    return Refused(status(500, "InternalError", f"Internal error occurred: {message}", details))


def expired(message: str, token: str = "") -> Refused:
    """A resourceVersion or a continue token is older than what the server remembers."""
    told = status(410, "Expired", message)
    if token:
        told["metadata"] = {"continue": token}
    return Refused(told)


def too_large_version(asked: int, current: int) -> Refused:
    """The resourceVersion has not come yet."""
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return Refused(status(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1}))


def failing(code: int, retry_after: int | None = None) -> Refused:
    """What a server in trouble says (429, 500, 503 or 504), or one that no longer knows the client (401)."""
    reason, message = {
        401: ("Unauthorized", "Unauthorized"),
        429: ("TooManyRequests", "Too many requests, please try again later."),
        500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
        503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
    }[code]
    if retry_after is None:
        return Refused(status(code, reason, message, {}))
    details = {"retryAfterSeconds": retry_after}
    return Refused(status(code, reason, message, details), {"Retry-After": str(retry_after)})


def _details(kind: Kind, name: str) -> Json:
    named = {"name": name} if name else {}
    return {**named, "group": kind.group, "kind": kind.plural} if kind.group else {**named, "kind": kind.plural}
