"""Who looks at many products asks the gateway once."""

from pathlib import Path
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.errors import RouterUnreachable
from deployments.routers.envoy import EnvoyRouter


class Gateway:
    """Counts what it is asked; the first `failures` questions get no answer."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.asked = failures, 0

    def servers(self) -> dict[str, dict[str, bool]]:
        self.asked += 1
        if self.asked <= self.failures:
            raise RouterUnreachable("the gateway does not answer")
        return {}

    def route_table(self) -> dict[str, Any]:
        return {}


def router_to(gateway: Gateway, folder: Path) -> EnvoyRouter:
    router = EnvoyRouter(folder, folder, ManualClock())
    router._admin = gateway  # type: ignore[assignment]
    return router


def test_a_look_at_many_products_asks_once_and_the_next_asks_anew(tmp_path: Path) -> None:
    router = router_to(gateway := Gateway(), tmp_path)
    for times in (1, 2):
        with router.one_look():
            assert [router.read(product) for product in ("a", "b", "c")] == [None] * 3
        assert gateway.asked == times
    router.read("a")
    assert gateway.asked == 3


def test_a_gateway_that_does_not_answer_is_asked_again_each_time(tmp_path: Path) -> None:
    router = router_to(Gateway(failures=2), tmp_path)
    with router.one_look():
        with pytest.raises(RouterUnreachable):
            router.read("a")
        assert router.read("a") is None
