"""How traffic should flow here, as journal and supervisord know: asked when the gateway's own files do not say."""

from collections.abc import Mapping
from contextlib import closing, suppress

from deployments.clock import SystemClock
from deployments.errors import SeatrialError
from deployments.journals.journal_url import open_journal
from deployments.journals.protocol import Event, Journal
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Shift
from deployments.routers.envoy import Witness
from deployments.settings import Settings
from deployments.supervision import Supervisor
from deployments.targets.process import ProcessTarget, served_by
from deployments.targets.protocol import Target
from deployments.traffic import Backend, Routing, Weights


def witness_of(settings: Settings, supervisor: Supervisor) -> Witness:
    """Who is asked about damaged files of this home's gateway; what was done about them goes into the history."""

    def otherwise() -> Mapping[str, Routing]:
        with suppress(SeatrialError):
            products = {product for name in supervisor.known() if (product := served_by(name))}
            target = ProcessTarget(supervisor, settings)
            with closing(open_journal(settings.journal_address)) as journal:
                return known_routings(products, journal, target)
        return {}

    def tell(product: str, what: str) -> None:
        with suppress(SeatrialError):
            event = Event(product, "", SystemClock().now(), "gateway.rebuilt", {"seen": what})
            with closing(open_journal(settings.journal_address)) as journal:
                journal.record(event)

    return Witness(otherwise, tell)


def known_routings(products: set[str], journal: Journal, target: Target) -> Mapping[str, Routing]:
    """By product, the split that its newest rollout wants, over the servers that are there.

    Without a word of the journal it is the only version that has servers; a product with several is left out.
    """
    found = {product: _routing(product, journal, target) for product in sorted(products)}
    return {product: routing for product, routing in found.items() if routing is not None}


def _routing(product: str, journal: Journal, target: Target) -> Routing | None:
    addresses = {
        version: tuple(each.address for each in target.replicas(product, version))
        for version in target.versions(product)
    }
    backends = tuple(Backend(version, found) for version, found in addresses.items() if found)
    split = _split(product, journal)
    if split is None and len(backends) == 1:
        split = Shift(Weights.all_to(backends[0].version))
    if split is None:
        return None
    with suppress(ValueError):  # a version that is to have traffic has no servers
        return Routing(backends, split.weights, split.matches, split.mirror, split.key)
    return None


def _split(product: str, journal: Journal) -> Shift | None:
    with suppress(SeatrialError):
        newest = next(iter(journal.rollouts(product)), None)
        return None if newest is None else _wanted(newest)
    return None


def _wanted(state: RolloutState) -> Shift | None:
    """How traffic flows by a rollout: as its last shift says, or to the former champion alone."""
    given_up = state.phase in {Phase.RESTORING, Phase.ROLLED_BACK}
    if state.split is not None and not given_up:
        return state.split
    return None if state.former is None else Shift(Weights.all_to(state.former))
