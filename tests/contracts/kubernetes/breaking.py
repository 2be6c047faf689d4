"""Acts against an API server that fails at a moment of the test's choice."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.errors import TryAgain
from tests.fakes.kubernetes import FakeKubernetes, Request

# As often as a request is sent: once, and four times again.
ATTEMPTS = 5
# What differs between two clusters that were led to the same.
OWN = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "ownerReferences"}
GIVEN = {"clusterIP", "clusterIPs"}


def on_request(api: FakeKubernetes, number: int, happens: Callable[[Request], None]) -> None:
    """`happens` before the request of that number from now on, counted from 0."""
    count = iter(range(10**6))
    api.faults.before_each = lambda request: happens(request) if next(count) == number else None


def once(api: FakeKubernetes, method: str, path: str, happens: Callable[[], None]) -> None:
    """`happens` before the first such request."""
    waiting = [happens]

    def before(request: Request) -> None:
        if waiting and request.method == method and path in request.path:
            waiting.pop()()

    api.faults.before_each = before


def once_watched(api: FakeKubernetes, path: str, happens: Callable[[], None]) -> None:
    """`happens` when somebody begins to watch such objects."""
    waiting = [happens]

    def before(request: Request) -> None:
        if waiting and "watch" in request.query and path in request.path:
            waiting.pop()()

    api.faults.before_each = before


def goes_late(api: FakeKubernetes, deployment: str) -> None:
    """That Deployment is held after its last pod has gone, until somebody watches for it."""

    def held_by(finalizers: list[str]) -> None:
        found = api.object("Deployment", deployment)
        assert found is not None
        api.put({**found, "metadata": {"name": deployment, "finalizers": finalizers}})

    held_by(["example.net/slow"])
    once_watched(api, "deployments", lambda: held_by([]))


def broken_off_anywhere(api: FakeKubernetes, act: Callable[[], object], begin: Callable[[], object]) -> Iterator[int]:
    """Does `begin`, then `act` with one request of it failing for good, for each request there is, then `act` again.

    Yields after each round; it ends when `act` has no request of that number.
    """
    for number in range(100):
        begin()
        on_request(api, number, lambda _: api.faults.fail_next(ATTEMPTS, 503))
        before = api.request_count
        try:
            act()
            assert api.request_count - before <= number, f"request {number} failed and nobody said so"
            api.faults.heal()
            return
        except TryAgain:
            api.faults.heal()
        act()
        yield number
    raise AssertionError("it never ends")


def kept(thing: dict[str, Any] | None) -> Any:
    """An object as its owner wrote it."""
    assert thing is not None
    metadata = {name: value for name, value in thing["metadata"].items() if name not in OWN}
    return {"metadata": metadata, "spec": {name: value for name, value in thing["spec"].items() if name not in GIVEN}}


def refused(error: type[Exception], act: Callable[[], object]) -> str:
    """What `act` is refused with."""
    with pytest.raises(error) as caught:
        act()
    assert "fake-token" not in str(caught.value)
    return str(caught.value)
