"""One run for one product: what was asked for, and what came of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from deployments.clock import SystemClock
from deployments.cluster.object_names import product_object_name, user_address
from deployments.settings import Settings, current
from deployments.spec import RolloutSection, Second, Strategy, TargetKind
from tasks.allowed_spec_paths import asked_spec
from tasks.product_spec import ProductSpec, Window
from tasks.spec_file import check_available, load_product, parse_window


@dataclass(frozen=True, slots=True)
class Run:
    """A release or rollback under way. `run_id` is the flow run's id; `window` None means the spec's own.

    `called` is what commands call the product: its name, or the path of a spec that does not lie in specs/.
    """

    run_id: str
    spec: ProductSpec
    window: Window | None
    started_at: datetime
    called: str = ""

    @property
    def product(self) -> str:
        """The product's name."""
        return self.spec.product


@dataclass(frozen=True, slots=True)
class Result:
    """What a run ended with. `former` is the champion before, None if there was none; `outcome` says it in words."""

    product: str
    version: int
    former: int | None
    started_at: datetime
    ended_at: datetime
    address: str
    outcome: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_at - self.started_at).total_seconds()

    def since(self, started_at: datetime) -> "Result":
        """The same end of a run that began earlier."""
        return replace(self, started_at=started_at)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "product": self.product,
            "version": self.version,
            "former_version": self.former,
            "seconds": round(self.seconds, 2),
            "address": self.address,
            "outcome": self.outcome,
        }

    def sentence(self) -> str:
        """For people."""
        return f"{self.product}: {self.outcome} ({self.seconds:.1f} s): {self.address}"


def address_of(product: str, section: RolloutSection) -> str:
    """Where users ask for predictions; in a cluster by the names of what they ask, for it may have many addresses."""
    from deployments.local_platform.addresses import read_addresses

    if section.target is not TargetKind.KUBERNETES:
        return f"{read_addresses(current()).url('gateway')}/{product}/invocations"
    cluster = section.kubernetes
    if (gateway := cluster.gateway) is None:
        service = user_address(f"{product_object_name(product)}.{cluster.namespace or 'default'}")
        return f"http://{service}/invocations in the cluster"
    path = gateway.path or f"/{product}/"
    where = ", ".join(gateway.hostnames) or "any host"
    return f"{path}invocations at Gateway {gateway.name} ({where})"


def open_run(
    run_id: str,
    product: str,
    settings: Settings,
    *,
    window: str | None = None,
    run_time: datetime | None = None,
    **rollout_instead: Strategy | Second | int | None,
) -> Run:
    """The product's spec as it is now, with what this run wants instead. Raises `NotFound`, `BadSpec` or `BadInput`.

    A window that goes back from the run's time goes back from `run_time`; None: from now. `rollout_instead` are fields
    of the spec's rollout section; None leaves what the spec says.
    """
    path = asked_spec(product, settings.specs_folder)
    spec = load_product(path)
    wanted = {name: value for name, value in rollout_instead.items() if value is not None}
    rollout = spec.rollout.model_copy(update=wanted)
    check_available(rollout)
    return Run(
        run_id,
        spec.model_copy(update={"rollout": rollout}),
        parse_window(window, run_time) if window else None,
        SystemClock().now(),
        spec.product if path == settings.specs_folder / f"{spec.product}.yaml" else str(path),
    )
