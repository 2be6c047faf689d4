"""What a writer may demand of an object before it is changed, and of itself."""

from dataclasses import dataclass

from .fields import first_twice
from .kinds import Json, Kind
from .refusals import Refused, conflict, status


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a client wants of a deletion; None and empty where it says nothing."""

    uid: str = ""
    version: str = ""
    policy: str = "Background"
    grace_seconds: int | None = None
    dry: bool = False


def refuse_duplicates(kind: Kind, wanted: Json, key: tuple[str, str]) -> None:
    """Raises `Refused` (500, as the real server does) if a key stands twice in a list of what is applied."""
    if twice := first_twice(kind, wanted):
        called = f"{key[0]}/{key[1]}; {kind.full_name}"
        raise Refused(status(500, "", f"failed to create typed patch object ({called}): {twice}"))


def refuse_other_version(kind: Kind, before: Json, after: Json) -> None:
    """Raises `Refused` (409) if the writer names another version, or another object, than there is."""
    metadata = after.get("metadata") or {}
    name, asked = before["metadata"]["name"], metadata.get("resourceVersion", "")
    if asked and asked != before["metadata"]["resourceVersion"]:
        raise conflict(kind, name)
    if (uid := metadata.get("uid")) and uid != before["metadata"]["uid"]:
        raise conflict(
            kind,
            name,
            "StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition failed: "
            f"UID in precondition: {uid}, UID in object meta: {before['metadata']['uid']}",
        )


def refuse_other_identity(kind: Kind, before: Json, wanted: Deletion) -> None:
    """Raises `Refused` (409) if a precondition of the deletion does not hold."""
    metadata = before["metadata"]
    if wanted.uid and wanted.uid != metadata["uid"]:
        why = (
            f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind, metadata["name"], why)
    if wanted.version and wanted.version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({wanted.version}) does not match the ResourceVersion in record "
            f"({metadata['resourceVersion']}). The object might have been modified"
        )
        raise conflict(kind, metadata["name"], why)
