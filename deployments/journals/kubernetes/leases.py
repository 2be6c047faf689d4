"""Who may change a product's traffic, by a Lease of the product's own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from deployments.cluster import Cluster, labels_of
from deployments.cluster.object_names import KIND, product_object_name, safe_label
from deployments.cluster.resource_kinds import LEASE
from deployments.fencing import next_token
from deployments.journals.kubernetes.compare_and_swap import read, swap
from deployments.journals.protocol import Lease
from deployments.journals.refusals import held_by, is_over
from deployments.process_identity import Owner

Object = dict[str, Any]
# The rollout that the holder writes, as it stands in names: whoever takes the lease over has to fence its object.
_WRITES: Final = "seatrial.dev/writes"
# A lease of which less than this share is over is not renewed: nobody could have taken it.
_FRESH: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a Lease object says. `holder` None: nobody has it. `writes` is the rollout that is written, or empty."""

    holder: Owner | None
    token: int
    until: datetime
    writes: str

    @classmethod
    def of(cls, found: Object | None) -> "Held":
        """The object, read; None for none."""
        if found is None:
            return cls(None, 0, datetime.min.replace(tzinfo=UTC), "")
        spec = found["spec"]
        return cls(
            Owner.parse(spec["holderIdentity"]) if spec.get("holderIdentity") else None,
            spec["leaseTransitions"],
            datetime.fromisoformat(spec["renewTime"]) + timedelta(seconds=spec["leaseDurationSeconds"]),
            (found["metadata"].get("annotations") or {}).get(_WRITES, ""),
        )

    def lives(self, now: datetime) -> bool:
        """Whether somebody has it: see `Owner.keeps`, of another pod nothing can be known."""
        return self.holder is not None and self.holder.keeps(self.until, now)

    def belongs_to(self, holder: Owner) -> bool:
        """Whether `holder` has it, be it over its time: nobody took it since."""
        return str(self.holder) == str(holder)


class Leases:
    """The Lease objects of a namespace. Times are compared as the clocks of the runners have them.

    What was written here is remembered, so that the next write takes one call.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._written: dict[str, Object] = {}

    def read(self, product: str) -> Held:
        """As it is now."""
        return Held.of(read(self._cluster, LEASE, _name(product)))

    def take(
        self,
        product: str,
        holder: Owner,
        now: datetime,
        ttl: timedelta,
        floor: Callable[[], int] = lambda: 0,
        above: int = 0,
    ) -> Held:
        """The lease for `holder`, with a higher token unless it has it already. Raises `Busy` while another lives.

        One that `holder` renewed a moment ago is not renewed again. `floor`: a token that was given out, by a Lease
        that is there no more; `above`: one that somebody else was shown.
        """
        known = self._written.get(product)
        if known is not None and _is_fresh(known, holder, now, ttl) and Held.of(known).token > above:
            return Held.of(known)
        if known is not None and not Held.of(known).belongs_to(holder):
            del self._written[product]
        renewed = _until(now, ttl)

        def taken(found: Object | None) -> Object | None:
            held = Held.of(found)
            ours = found is not None and held.belongs_to(holder)
            if found is not None and ours and held.token > above:
                return found | {"spec": found["spec"] | renewed}
            if held.holder is not None and not ours and held.lives(now):
                raise held_by(product, held.holder)
            former = max(above, held.token if found is not None else floor())
            token = {"leaseTransitions": next_token(former, now), "acquireTime": renewed["renewTime"]}
            return _manifest(product, {"holderIdentity": str(holder)} | token | renewed, held.writes)

        return Held.of(self._swap(product, taken))

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> None:
        """It lasts anew. Raises `Busy` if it was given back, or somebody else has it."""
        known = self._written.get(lease.product)
        if known is not None and _is(known, lease) and _is_fresh(known, lease.holder, now, ttl):
            return

        def renewed(found: Object | None) -> Object | None:
            if found is None or not _is(found, lease):
                raise is_over(lease)
            return found | {"spec": found["spec"] | _until(now, ttl)}

        self._swap(lease.product, renewed)

    def give_back(self, lease: Lease) -> None:
        """Nobody has it, unless somebody else has it by now."""

        def given_back(found: Object | None) -> Object | None:
            if found is None or not _is(found, lease):
                return None
            rest = {name: value for name, value in found["spec"].items() if name != "holderIdentity"}
            return found | {"spec": rest}

        self._swap(lease.product, given_back)
        self._written.pop(lease.product, None)

    def let_write(self, lease: Lease, rollout: str) -> None:
        """From now on the holder writes the object of this rollout. Raises `Busy` if it has the lease no more."""

        def writing(found: Object | None) -> Object | None:
            if found is None or not _is(found, lease):
                raise is_over(lease)
            wanted = _manifest(lease.product, found["spec"], rollout)
            return None if Held.of(found).writes == rollout else wanted

        self._swap(lease.product, writing)

    def _swap(self, product: str, edit: Callable[[Object | None], Object | None]) -> Object | None:
        written = swap(self._cluster, LEASE, _name(product), self._written.pop(product, None), edit)
        if written is not None:
            self._written[product] = written
        return written


def _is_fresh(found: Object, holder: Owner, now: datetime, ttl: timedelta) -> bool:
    """Whether it is the holder's, and for nearly as long as it would be if it were renewed."""
    held, begun = Held.of(found), datetime.fromisoformat(found["spec"]["renewTime"])
    return held.belongs_to(holder) and begun <= now and held.until - now >= ttl * (1 - _FRESH)


def _until(now: datetime, ttl: timedelta) -> Object:
    return {"renewTime": _micro_time(now), "leaseDurationSeconds": ceil(ttl.total_seconds())}


def _is(found: Object, lease: Lease) -> bool:
    held = Held.of(found)
    return held.token == lease.token and held.belongs_to(lease.holder)


def _manifest(product: str, spec: Object, writes: str) -> Object:
    labels = labels_of(safe_label(product)) | {KIND: "lease"}
    return {"metadata": {"name": _name(product), "labels": labels, "annotations": {_WRITES: writes}}, "spec": spec}


def _name(product: str) -> str:
    return product_object_name(safe_label(product))


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
