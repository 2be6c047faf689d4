"""The same events as Prefect's own, of a resource `seatrial.product.NAME`, so that its automations can match them."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from deployments.errors import BadInput, TryAgain
from deployments.event_delivery.catalogue import Occurrence
from deployments.event_delivery.outbox import Delivery
from deployments.event_delivery.sender import Answer, Arrived, Later
from deployments.prefect_api import PrefectApi

RESOURCE: Final = "seatrial.product."


class PrefectReceiver:
    """Wants all events."""

    id: Final = "prefect"

    def __init__(self, open_prefect: Callable[[], PrefectApi]) -> None:
        self._open_prefect = open_prefect

    def wants(self, product: str, kind: str) -> bool:
        """See `outbox.Wanting`."""
        return True

    def send(self, delivery: Delivery) -> Answer:
        """One try."""
        try:
            self._open_prefect().emit([prefect_event(delivery.occurrence)])
        except TryAgain as error:
            return Later(str(error), away=True)
        except BadInput as error:
            return Later(str(error))
        return Arrived()


def prefect_event(occurrence: Occurrence) -> dict[str, Any]:
    """As Prefect's API takes it."""
    product = {
        "prefect.resource.id": f"{RESOURCE}{occurrence.product}",
        "prefect.resource.name": occurrence.product,
    }
    return {
        "id": occurrence.id,
        "occurred": occurrence.at.isoformat(),
        "event": occurrence.type,
        "resource": product,
        "related": _related(occurrence.run),
        "payload": dict(occurrence.data),
    }


def _related(run: str) -> list[dict[str, str]]:
    try:
        UUID(run)
    except ValueError:
        return []
    return [{"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.role": "flow-run"}]
