"""Splits traffic by an HTTPRoute (see `Router`); everything is in the cluster, so that whoever asks sees the same."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from deployments.caller_authentication import Proofs
from deployments.clock import Clock
from deployments.cluster import (
    TRIES,
    Cluster,
    Conflicting,
    Expired,
    annotation,
    errors_as,
    is_ours,
    labels_of,
    newest_token,
    object_name,
    selector_of,
    token_annotation,
)
from deployments.cluster.object_names import product_object_name, user_address, version_of
from deployments.cluster.resource_kinds import ENDPOINT_SLICE, HTTP_ROUTE
from deployments.errors import RouterRefused, RouterUnreachable
from deployments.routers.canonical_routing import accepted
from deployments.routers.counter_source import CountedElsewhere, Counters
from deployments.routers.gateway_api.route_rules import (
    are_as_written,
    known_versions,
    ours_among,
    routing_of,
    rules_of,
    update_stages,
    with_ours,
)
from deployments.routers.gateway_api.route_status import refusal_of
from deployments.routers.required_servers import servers_missing
from deployments.routers.rollback_routing import Retreat, everything_to, has_everything, unknown
from deployments.spec import GatewaySection
from deployments.traffic import Backend, Routing

Object = dict[str, Any]

_ACCEPTANCE_SECONDS: Final = 30.0
# What a Service leads to follows its pods within moments.
_ENDPOINT_SECONDS: Final = 5.0
_PAUSE: Final = timedelta(seconds=0.5)


class GatewayApiRouter(CountedElsewhere):
    """Rules of ours in an HTTPRoute below the Gateway of `section`; rules of others in it stay as they are."""

    def __init__(
        self,
        cluster: Cluster,
        section: GatewaySection,
        counters: Counters,
        clock: Clock,
        settling: timedelta = timedelta(seconds=2),
        proofs: Proofs | None = None,
    ) -> None:
        """`settling` is how long after its word a gateway may still lead by what was before.

        It shows servers that it is the Gateway by our `proofs`.
        """
        super().__init__(counters)
        self._proofs = proofs or Proofs(None)
        self._cluster, self._section, self._clock, self._settling = cluster, section, clock, settling
        self.shortfall = section.shortfall

    def read(self, product: str) -> Routing | None:
        """See `Router`. A route that a gateway refuses is none, and neither are rules that are not as we write them."""
        with self._reaching():
            route = self._route(product)
            return None if route is None or refusal_of(route, self._section) else self._routing(product, route)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """See `Router`; confirmed is what the Gateway of the spec has accepted.

        Raises `RouterRefused` too for an HTTPRoute of our name that is somebody else's.
        """
        wanted = accepted(product, routing)
        rules = self._rules(product, wanted)
        with self._reaching():
            former = self._our_route(product)
            token_annotation((former,) if former else (), product, token)
            self._check_servers(product, former, wanted)
            *before, last = update_stages(product, self._known_to_gateway(product, former), rules, self._path(product))
            for stage in before:
                # What is refused of it (a Service on its way out is gone, say) is no matter of the last one.
                self._said_of(self._write(product, stage, self._attachment(), token))
                self._clock.sleep(self._settling)
            self._confirmed(product, former, last, token)

    def retreat(self, product: str, version: int, note: Retreat, token: int | None = None) -> None:
        """See `Router.retreat`: one write, whatever the gateway says to it later."""
        with self._reaching():
            route = self._our_route(product)
            if route is None:
                raise unknown(product, version)
            ours, ready = self._ours(product, route["spec"]), self._ready(product)
            known = known_versions(product, ours)
            if has_everything(version, routing_of(product, ours, self._backends(product, known, ready))):
                return
            if not ready.get(version):
                raise unknown(product, version)
            wanted = everything_to(product, version, self._backends(product, known, ready))
            self._write(product, self._rules(product, wanted), self._attached(route), token, note)

    def retreated(self, product: str) -> Retreat | None:
        """See `Router.retreated`; it is an annotation of the route."""
        with self._reaching():
            route = self._route(product)
        return None if route is None else _note_of(product, route)

    def _known_to_gateway(self, product: str, former: Object | None) -> list[Object]:
        """Our rules that the Gateway of the spec has been told; none where the route hangs at another."""
        if former is None or self._attached(former) != self._attachment():
            return []
        return self._ours(product, former["spec"])

    def _confirmed(self, product: str, former: Object | None, rules: Sequence[Object], token: int | None) -> None:
        """Our rules are `rules`, and the gateway has taken them; if it refuses, they are as before."""
        written = self._write(product, rules, self._attachment(), token)
        refusal = self._dropped(product, written, rules) or self._refusal(former, written)
        if refusal:
            self._put_back(product, former, written, token)
            raise RouterRefused(f"{product}: the gateway does not take the route: {refusal}")

    def newest_token(self, product: str) -> int:
        """See `Router.newest_token`."""
        with self._reaching():
            route = self._route(product)
            return newest_token((route,) if route else (), product)

    def remove(self, product: str, token: int | None = None) -> None:
        """See `Router`. A route of the user's stays, without our rules; with an own one its token is forgotten."""
        with self._reaching():
            route = self._route(product)
            if route is not None and self._section.route is not None:
                self._write(product, [], {}, token)
            elif route is not None:
                self._take_away(product, route, token)

    def _delete(self, product: str, route: Object, token: int | None) -> None:
        token_annotation((route,), product, token)
        metadata = route["metadata"]
        version = None if token is None else metadata["resourceVersion"]
        self._cluster.delete(HTTP_ROUTE, _name(route), uid=metadata["uid"], version=version)

    def _route(self, product: str) -> Object | None:
        """The route of that name; None for none, and for one that is somebody else's."""
        with suppress(RouterRefused):
            return self._our_route(product)
        return None

    def _our_route(self, product: str) -> Object | None:
        """The same, but raises `RouterRefused` for one that is somebody else's."""
        found = self._cluster.get(HTTP_ROUTE, self._route_name(product))
        if found is not None and self._section.route is None and not is_ours(found, product):
            raise RouterRefused(
                f"HTTPRoute {_name(found)} in namespace {self._cluster.namespace} is not Seatrial's: "
                "rename or remove it, or name it in rollout.kubernetes.gateway.route"
            )
        return found

    def _rules(self, product: str, routing: Routing) -> list[Object]:
        return rules_of(product, routing, self._path(product), self._proofs.of_gateway(product))

    def _routing(self, product: str, route: Object) -> Routing | None:
        ours = self._ours(product, route["spec"])
        routing = routing_of(
            product, ours, self._backends(product, known_versions(product, ours), self._ready(product))
        )
        if routing is None or not are_as_written(self._rules(product, routing), ours):
            return None
        return routing

    def _backends(self, product: str, versions: Iterable[int], ready: Mapping[int, set[str]]) -> tuple[Backend, ...]:
        return tuple(
            Backend(version, tuple(sorted(ready.get(version, ()))) or (self._nowhere(product, version),))
            for version in versions
        )

    def _ours(self, product: str, spec: Object) -> list[Object]:
        return ours_among(product, spec.get("rules") or [], self._path(product))

    def _nowhere(self, product: str, version: int) -> str:
        """Stands for the servers of a version that has none just now: its Service."""
        return user_address(f"{object_name(product, version)}.{self._cluster.namespace}")

    def _ready(self, product: str) -> Mapping[int, set[str]]:
        """Where a gateway finds the servers of each version that has any."""
        # Labels of a Service are on its slices too.
        slices, _ = self._cluster.list(ENDPOINT_SLICE, selector_of(product))
        found: dict[int, set[str]] = {}
        for each in slices:
            if (version := version_of(each)) is not None:
                found.setdefault(version, set()).update(_addresses(each))
        return found

    def _check_servers(self, product: str, former: Object | None, wanted: Routing) -> None:
        """A version's servers are what its Service leads to, whatever addresses were named."""
        live = None if former is None else self._routing(product, former)
        limit = self._clock.monotonic() + _ENDPOINT_SECONDS
        while missing := self._missing(product, live, wanted):
            if self._clock.monotonic() >= limit:
                raise RouterRefused(
                    f"{product}: {', '.join(missing)} is not ready: start it, then apply again; "
                    "the former routing is still live"
                )
            self._clock.sleep(_PAUSE)

    def _missing(self, product: str, live: Routing | None, wanted: Routing) -> tuple[str, ...]:
        ready = self._ready(product)
        return servers_missing(live, wanted, lambda version, address: address in ready.get(version, ()))

    def _write(
        self,
        product: str,
        rules: Sequence[Object],
        attachment: Object,
        token: int | None,
        note: Retreat | None = None,
    ) -> Object:
        """The route with our rules being `rules`, whatever else changes in it meanwhile.

        `attachment` is what an own route hangs at, and nothing for a route of the user's. Without `note` there is none.
        """
        for _ in range(TRIES):
            found = self._our_route(product)
            if found is None:
                self._check_kind(product)
            with suppress(Conflicting):
                if found is None:
                    return self._cluster.create(HTTP_ROUTE, self._new_route(product, rules, attachment, token))
                return self._rewritten(
                    product, found, rules, attachment, token_annotation((found,), product, token), note
                )
        raise self._others_are_quicker(product)

    def _others_are_quicker(self, product: str) -> RouterUnreachable:
        return RouterUnreachable(f"{product}: others keep changing HTTPRoute {self._route_name(product)}: try again")

    def _rewritten(
        self,
        product: str,
        found: Object,
        rules: Sequence[Object],
        attachment: Object,
        annotations: Object,
        note: Retreat | None,
    ) -> Object:
        spec = found["spec"]
        rest = {name: value for name, value in spec.items() if name not in self._attached(found)}
        rules = with_ours(spec.get("rules") or [], self._ours(product, spec), rules)
        changed = {**rest, **attachment, "rules": rules}
        if changed == spec and not annotations and note == _note_of(product, found):
            return found
        return self._cluster.replace(HTTP_ROUTE, {**_noted(product, found, note, annotations), "spec": changed})

    def _check_kind(self, product: str) -> None:
        if not self._cluster.knows(HTTP_ROUTE):
            raise RouterRefused(
                f"{product}: the cluster knows no HTTPRoute ({HTTP_ROUTE.version}): install Gateway API, "
                "or leave rollout.kubernetes.gateway out for shares of whole pods"
            )

    def _put_back(self, product: str, former: Object | None, written: Object, token: int | None) -> None:
        if former is None:
            self._take_away(product, written, token)
        else:
            self._write(product, self._ours(product, former["spec"]), self._attached(former), token)

    def _take_away(self, product: str, written: Object, token: int | None) -> None:
        for _ in range(TRIES):
            found = self._route(product)
            if found is None or found["metadata"]["uid"] != written["metadata"]["uid"]:
                return
            with suppress(Conflicting):
                self._delete(product, found, token)
                return
        raise self._others_are_quicker(product)

    def _dropped(self, product: str, written: Object, rules: Sequence[Object]) -> str:
        """Why what was written is not what is kept; empty if it is."""
        if are_as_written(rules, self._ours(product, written["spec"])):
            return ""
        return "the cluster's HTTPRoutes lack a field (the fraction of a mirror, say): install a newer Gateway API"

    def _refusal(self, former: Object | None, written: Object) -> str:
        """See `_said_of`; that a gateway which did not have the route before says nothing is a refusal, too."""
        try:
            return self._said_of(written)
        except RouterUnreachable as error:
            if former is None or self._attached(former) == self._attachment():
                raise
            return str(error)

    def _said_of(self, route: Object) -> str:
        """Why it is refused, empty if it is taken. Raises `RouterUnreachable` if no gateway says anything."""
        limit = self._clock.monotonic() + _ACCEPTANCE_SECONDS
        while (refusal := refusal_of(route, self._section)) is None:
            left = limit - self._clock.monotonic()
            if left <= 0:
                raise RouterUnreachable(
                    f"Gateway {self._section.name} has said nothing of HTTPRoute {_name(route)} for "
                    f"{_ACCEPTANCE_SECONDS:g} s: is it there, is the route attached to it, does a controller run it?"
                )
            self._await_word(route, left)
            found = self._cluster.get(HTTP_ROUTE, _name(route))
            if found is None:
                raise RouterUnreachable(f"somebody removed HTTPRoute {_name(route)} while it was being applied")
            route = found
        return refusal

    def _await_word(self, route: Object, seconds: float) -> None:
        """Until a gateway may have said something; a server that hangs up on us is not asked again at once."""
        name, since = _name(route), route["metadata"]["resourceVersion"]
        with suppress(Expired):
            for happened, seen in self._cluster.watch(HTTP_ROUTE, since, seconds, fields=f"metadata.name={name}"):
                if happened == "DELETED" or refusal_of(seen, self._section) is not None:
                    return
        self._clock.sleep(_PAUSE)

    def _new_route(self, product: str, rules: Sequence[Object], attachment: Object, token: int | None) -> Object:
        if self._section.route is not None:
            raise RouterRefused(
                f"{product}: there is no HTTPRoute {self._section.route} in namespace {self._cluster.namespace}: "
                "make it, or leave rollout.kubernetes.gateway.route out"
            )
        metadata: Object = {"name": self._route_name(product), "labels": labels_of(product)}
        if told := annotation(product, token):
            metadata["annotations"] = told
        return {"metadata": metadata, "spec": {**attachment, "rules": list(rules)}}

    def _attached(self, route: Object) -> Object:
        """What a route of our own hangs at; nothing for one of the user's, where that is theirs."""
        if self._section.route is not None:
            return {}
        return {name: route["spec"][name] for name in ("parentRefs", "hostnames") if name in route["spec"]}

    def _attachment(self) -> Object:
        """What the spec has our route hang at."""
        section = self._section
        if section.route is not None:
            return {}
        parent: Object = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": section.name}
        if section.namespace:
            parent["namespace"] = section.namespace
        if section.listener:
            parent["sectionName"] = section.listener
        attachment: Object = {"parentRefs": [parent]}
        return attachment | ({"hostnames": list(section.hostnames)} if section.hostnames else {})

    def _route_name(self, product: str) -> str:
        return self._section.route or product_object_name(product)

    def _path(self, product: str) -> str:
        return self._section.path or f"/{product}/"

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with errors_as(RouterUnreachable, f"cluster {self._cluster.address}"):
            yield


def _addresses(endpoint_slice: Object) -> Iterator[str]:
    for endpoint in endpoint_slice.get("endpoints") or []:
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield from map(user_address, endpoint["addresses"])


def _note_of(product: str, route: Object) -> Retreat | None:
    told = (route["metadata"].get("annotations") or {}).get(_retreat_name(product))
    try:
        return Retreat.read(json.loads(told)) if told else None
    except ValueError:
        return None


def _noted(product: str, route: Object, note: Retreat | None, also: Object) -> Object:
    """The route with this note, or without any, and with other annotations of ours."""
    name, metadata = _retreat_name(product), route["metadata"]
    rest = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != name}
    annotations = rest | also | ({name: json.dumps(note.document())} if note else {})
    kept = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**route, "metadata": kept | ({"annotations": annotations} if annotations else {})}


def _retreat_name(product: str) -> str:
    """One a product: several may share a route of the user's."""
    return f"seatrial.dev/retreat-{product}"


def _name(route: Mapping[str, Any]) -> str:
    return str(route["metadata"]["name"])
