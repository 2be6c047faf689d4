"""Which servers a routing has to wait for."""

from dataclasses import replace

import pytest

from deployments.routers.required_servers import servers_missing
from deployments.traffic import Backend, Match, Mirror, Routing, Weights


def routing(percents: dict[int, int], **addresses: tuple[str, ...]) -> Routing:
    backends = tuple(Backend(int(name.removeprefix("v")), listed) for name, listed in addresses.items())
    return Routing(backends, Weights(percents))


OLD = routing({1: 100}, v1=("/a",))
BOTH = routing({1: 100}, v1=("/a",), v2=("/b",))
YES = Match(2, "yes", header="x-beta")


@pytest.mark.parametrize(
    ("former", "wanted", "well", "missing"),
    [
        pytest.param(None, OLD, "", ("v1 at /a",), id="new and sick"),
        pytest.param(None, OLD, "/a", (), id="new and well"),
        pytest.param(OLD, OLD, "", (), id="nothing changes for a sick one"),
        pytest.param(
            OLD,
            routing({1: 100}, v1=("/a", "/b")),
            "/a",
            ("v1 at /b",),
            id="one more server, which is sick",
        ),
        pytest.param(
            OLD,
            routing({1: 100, 2: 0}, v1=("/a",), v2=("/b",)),
            "/a",
            ("v2 at /b",),
            id="warm without traffic, but new and sick",
        ),
        pytest.param(
            routing({1: 90, 2: 10}, v1=("/a",), v2=("/b",)),
            routing({1: 100, 2: 0}, v1=("/a",), v2=("/b",)),
            "/a",
            (),
            id="traffic leaves a dead canary",
        ),
        pytest.param(
            routing({1: 90, 2: 10}, v1=("/a", "/c"), v2=("/b",)),
            routing({1: 100}, v1=("/a", "/c")),
            "/c",
            (),
            id="one of two is well where traffic grows",
        ),
        pytest.param(
            routing({1: 90, 2: 10}, v1=("/a", "/c"), v2=("/b",)),
            routing({1: 100}, v1=("/a", "/c")),
            "",
            ("v1 at /a", "v1 at /c"),
            id="none is well where traffic grows",
        ),
        pytest.param(BOTH, replace(BOTH, matches=(YES,)), "/a", ("v2 at /b",), id="a match to one that is sick"),
        pytest.param(replace(BOTH, matches=(YES,)), BOTH, "/a", (), id="a match leaves a sick one"),
        pytest.param(BOTH, replace(BOTH, mirror=Mirror(2, 5)), "/a", ("v2 at /b",), id="copies to one that is sick"),
        pytest.param(replace(BOTH, mirror=Mirror(2, 5)), BOTH, "/a", (), id="copies leave a sick one"),
        pytest.param(
            replace(BOTH, mirror=Mirror(2, 5)),
            replace(BOTH, mirror=Mirror(2, 5), matches=(Match(1, "no", header="x-beta"),)),
            "/a",
            (),
            id="something else changes while copies go to a sick one",
        ),
    ],
)
def test_servers_that_are_waited_for(
    former: Routing | None, wanted: Routing, well: str, missing: tuple[str, ...]
) -> None:
    assert servers_missing(former, wanted, lambda _, address: address == well) == missing
