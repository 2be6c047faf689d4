"""What can go wrong between a client and an API server, on purpose."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .kinds import Json, Kind
from .refusals import conflict, failing, forbidden
from .routing import Target

FOREVER = 10**9
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `further` are its headers `x-…`, in lower case, which a proxy passes on."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str = ""
    user_agent: str = ""
    body: bytes = field(default=b"", repr=False)
    further: dict[str, str] = field(default_factory=dict)


class ConnectionCut(Exception):
    """The connection is to be reset instead of answered."""


@dataclass(slots=True)
class _Failing:
    """`code` is the answer, or 0: do as asked, then cut the connection. `left` counts down."""

    left: int
    code: int
    method: str
    path: re.Pattern[str]
    retry_after: int | None

    def takes(self, request: Request) -> bool:
        if self.left <= 0 or self.method not in ("", request.method) or not self.path.search(request.path):
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class Faults:
    """All faults that are switched on; `heal` ends them."""

    user: str = "system:serviceaccount:default:seatrial"
    before_each: Callable[[Request], None] | None = None
    switched_off_groups: set[str] = field(default_factory=set)
    watch_ends_after: int | None = None
    watch_ends_cleanly: bool = False
    gone_as_status: bool = False
    permitted: list[Json] | None = None
    starting: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _failing: list[_Failing] = field(default_factory=list)
    _conflicting: dict[str, int] = field(default_factory=dict)
    _forbidden: set[tuple[str, str]] = field(default_factory=set)
    _quotas: dict[str, tuple[str, int]] = field(default_factory=dict)

    def heal(self) -> None:
        """Nothing goes wrong any longer; switched-off groups are back."""
        healthy = Faults(user=self.user)
        for name in self.__slots__:
            setattr(self, name, getattr(healthy, name))

    def fail_next(
        self, times: int, code: int, method: str = "", path: str = "", retry_after: int | None = None
    ) -> None:
        """The next requests of that method whose path matches the expression get 401, 429, 500, 503 or 504."""
        self._failing.append(_Failing(times, code, method, re.compile(path), retry_after))

    def lose_next_answers(self, times: int, method: str = "", path: str = "") -> None:
        """The next such requests are carried out, and then the connection is cut: the client does not know."""
        self._failing.append(_Failing(times, 0, method, re.compile(path), None))

    def conflict_on(self, plural: str, times: int | None = None) -> None:
        """From now on every write to that resource (the next `times`) meets a newer version of the object (409)."""
        self._conflicting[plural] = FOREVER if times is None else times

    def forbid(self, verb: str, resource: str) -> None:
        """The user may not: verb as in RBAC (`patch`, `*`), resource as in RBAC (`deployments`, `pods/log`)."""
        self._forbidden.add((verb, resource))

    def permit_only(self, rules: list[Json]) -> None:
        """The user may do what these rules of a Role allow, and nothing else."""
        self.permitted = rules

    def limit(self, plural: str, most: int, quota: str = "seatrial-quota") -> None:
        """A ResourceQuota: no more than that many objects in a namespace."""
        self._quotas[plural] = (quota, most)

    def meet(self, request: Request) -> bool:
        """Raises `Refused` if this request is to fail; True if its answer is to be lost."""
        if self.before_each:
            self.before_each(request)
        with self._guard:
            fault = next((fault for fault in self._failing if fault.takes(request)), None)
        if fault is not None and fault.code:
            raise failing(fault.code, fault.retry_after)
        return fault is not None

    def refuse_conflict(self, method: str, target: Target) -> None:
        """Raises `Refused` (409) where every write is to conflict."""
        plural = target.kind.plural
        with self._guard:
            if method not in WRITES - {"POST"} or self._conflicting.get(plural, 0) <= 0:
                return
            self._conflicting[plural] -= 1
        raise conflict(target.kind, target.name)

    def allows(self, verb: str, group: str, resource: str, name: str = "") -> bool:
        """Whether the user may do that."""
        if self.starting:
            return False
        if any((by, on) in self._forbidden for by in (verb, "*") for on in (resource, "*")):
            return False
        return self.permitted is None or any(_covers(rule, verb, group, resource, name) for rule in self.permitted)

    def refuse_forbidden(self, verb: str, target: Target) -> None:
        """Raises `Refused` (403) if the user may not do that."""
        kind = target.kind
        resource = f"{kind.plural}/{target.subresource}" if target.subresource else kind.plural
        if self.allows(verb, kind.group, resource, target.name):
            return
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        why = f'User "{self.user}" cannot {verb} resource "{resource}" in API group "{kind.group}" {where}'
        raise forbidden(kind, target.name, why)

    def refuse_over_quota(self, kind: Kind, thing: Json, present: int) -> None:
        """Raises `Refused` (403) if one more of that kind is more than the quota allows."""
        if kind.plural not in self._quotas:
            return
        quota, most = self._quotas[kind.plural]
        counted = kind.plural if kind.name == "Pod" else f"count/{kind.resource}"
        if present >= most:
            why = (
                f"exceeded quota: {quota}, requested: {counted}=1, used: {counted}={present}, limited: {counted}={most}"
            )
            raise forbidden(kind, thing["metadata"]["name"], why)


def _covers(rule: Json, verb: str, group: str, resource: str, name: str) -> bool:
    names = rule.get("resourceNames") or []
    return (
        _holds(rule.get("apiGroups"), group)
        and _holds(rule.get("resources"), resource)
        and _holds(rule.get("verbs"), verb)
        and (not names or name in names)
    )


def _holds(listed: list[str] | None, wanted: str) -> bool:
    return "*" in (listed or []) or wanted in (listed or [])
