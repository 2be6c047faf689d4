"""A fake cluster, and a caller that shows what the wire shows."""

from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.fakes.kubernetes.asking import Caller


@pytest.fixture(scope="session")
def wire() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as api:
        yield api


@pytest.fixture
def bare() -> Iterator[FakeKubernetes]:
    """A cluster in which nothing comes to life."""
    with FakeKubernetes(controllers=False) as api:
        yield api


@pytest.fixture
def ask(api: FakeKubernetes, wire: httpx.Client) -> Caller:
    return Caller(api, wire)


@pytest.fixture
def ask_bare(bare: FakeKubernetes, wire: httpx.Client) -> Caller:
    return Caller(bare, wire)
