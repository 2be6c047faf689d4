"""GitHub: a push, a merged pull request or a finished workflow on the default branch of a repository.

`X-Hub-Signature-256` is over the body alone: neither the delivery's id nor the event's name is signed, and there is no
time. So a repetition is known by its body, and the time is that of the event in the body: three days, in which GitHub
sends a delivery again if somebody asks for it there.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from deployments.errors import BadInput
from deployments.webhooks.requests import Action, Headers, Nothing, NotTaken, Signed, Wish, check_fresh, only
from deployments.webhooks.signatures import check_signed, checked_id, digest, wrong_signature

FRESH_FOR: Final = timedelta(days=3)
_ID, _SIGNATURE = "x-github-delivery", "x-hub-signature-256"
_RULES: Final = ("push", "merge", "workflow")


class GitHub:
    """Rules are `push`, `merge` and `workflow`."""

    name: Final = "github"
    usual_rules: Final = ("push",)

    def check_rule(self, rule: str) -> None:
        """See `Source`."""
        if rule not in _RULES:
            raise BadInput(f"{rule!r} is no event of GitHub that starts something: write one of {', '.join(_RULES)}")

    def draw_key(self) -> str:
        """256 random bits as text."""
        return secrets.token_urlsafe(32)

    def verified(self, headers: Headers, body: bytes, keys: Sequence[str], now: datetime) -> Signed:
        """See `Source`. Whether it is late, `wish` says."""
        delivery, signature = only(headers, _ID, _SIGNATURE)
        algorithm, _, text = signature.partition("=")
        try:
            shown = bytes.fromhex(text) if algorithm == "sha256" else b""
        except ValueError:
            raise wrong_signature() from None
        check_signed((digest(key.encode(), body) for key in keys), shown)
        return Signed(hashlib.sha256(body).hexdigest(), checked_id(delivery), now)

    def wish(self, payload: Mapping[str, Any], product: str, rules: Sequence[str], signed: Signed) -> Wish | Nothing:
        """See `Source`."""
        repository = payload.get("repository")
        if not isinstance(repository, dict) or "default_branch" not in repository:
            return Nothing("it tells of no repository's branch")
        event, branch = _event(payload), str(repository["default_branch"])
        if event not in rules:
            return Nothing(f"this webhook starts something on {', '.join(rules)} only")
        match event:
            case "push":
                happened = payload.get("ref") == f"refs/heads/{branch}" and payload.get("deleted") is not True
                commit, time = payload.get("after"), repository.get("pushed_at")
            case "merge":
                about = _object(payload, "pull_request")
                happened = payload.get("action") == "closed" and about.get("merged") is True
                happened = happened and _object(about, "base").get("ref") == branch
                commit, time = about.get("merge_commit_sha"), about.get("merged_at")
            case _:
                about = _object(payload, "workflow_run")
                happened = payload.get("action") == "completed" and about.get("conclusion") == "success"
                # A fork may call its branch as it likes.
                own = _object(about, "head_repository").get("full_name") == repository.get("full_name")
                happened = happened and own and about.get("head_branch") == branch
                commit, time = about.get("head_sha"), about.get("updated_at")
        if not happened:
            return Nothing(f"no {event} on {branch} that succeeded")
        at = _moment(time)
        check_fresh(at, signed.sent_at or at, FRESH_FOR)
        return Wish(Action.RELEASE, None, event, f"{event} of {str(commit)[:7]} to {branch}", at)

    def sample(
        self, product: str, rules: Sequence[str], version: int, now: datetime
    ) -> tuple[Mapping[str, str], bytes]:
        """See `Source`."""
        repository = {"full_name": "seatrial/test", "default_branch": "main", "pushed_at": int(now.timestamp())}
        commit, time = uuid4().hex, now.isoformat()
        bodies: dict[str, dict[str, object]] = {
            "push": {"ref": "refs/heads/main", "after": commit},
            "merge": {
                "action": "closed",
                "pull_request": {
                    "merged": True,
                    "base": {"ref": "main"},
                    "merge_commit_sha": commit,
                    "merged_at": time,
                },
            },
            "workflow": {
                "action": "completed",
                "workflow_run": {
                    "conclusion": "success",
                    "head_branch": "main",
                    "head_repository": repository,
                    "head_sha": commit,
                    "updated_at": time,
                },
            },
        }
        return {_ID: str(uuid4())}, json.dumps(bodies[rules[0]] | {"repository": repository}).encode()

    def signature(self, headers: Mapping[str, str], body: bytes, key: str) -> Mapping[str, str]:
        """See `Source`."""
        return {_SIGNATURE: f"sha256={digest(key.encode(), body).hex()}"}


def _event(payload: Mapping[str, Any]) -> str:
    """By what the signed body holds: the header with the event's name is not signed."""
    if "workflow_run" in payload:
        return "workflow"
    return "merge" if "pull_request" in payload else "push"


def _object(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, dict) else {}


def _moment(value: object) -> datetime:
    """As GitHub writes times: whole seconds since 1970 in a push, ISO 8601 elsewhere. Aware UTC."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise NotTaken(422, "the body does not say when it happened") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
