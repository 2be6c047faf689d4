"""Proofs that runs and gateways show to model servers, and what servers are told of them."""

from pathlib import Path

import pytest

from deployments.caller_authentication import GATEWAY_VARIABLE, KEY, RUN_VARIABLE, Admitted, Proofs
from deployments.key_files import key


@pytest.fixture
def proofs(tmp_path: Path) -> Proofs:
    key(tmp_path, KEY)
    return Proofs(tmp_path)


def admitted(proofs: Proofs, product: str, version: int) -> Admitted:
    """What the server of this version goes by."""
    told = proofs.told_to_pods(product, version)
    return Admitted(told[RUN_VARIABLE], told[GATEWAY_VARIABLE])


def test_a_server_knows_the_run_and_the_gateway_by_their_own_proofs_alone(proofs: Proofs) -> None:
    server = admitted(proofs, "flights", 3)
    run, gateway = proofs.of_run("flights", 3).encode(), proofs.of_gateway("flights").encode()
    assert (server.is_run(run), server.is_gateway(gateway)) == (True, True)
    assert (server.is_run(gateway), server.is_gateway(run)) == (False, False)
    for nothing in (None, b"", b"\xff", server.run.encode(), server.gateway.encode()):
        assert (server.is_run(nothing), server.is_gateway(nothing)) == (False, False)


@pytest.mark.parametrize(("product", "version"), [("flights", 4), ("flights-3", 3), ("flight", 3)])
def test_what_was_shown_to_one_version_opens_no_other(proofs: Proofs, product: str, version: int) -> None:
    assert not admitted(proofs, product, version).is_run(proofs.of_run("flights", 3).encode())


def test_another_platforms_proof_is_none(proofs: Proofs, tmp_path: Path) -> None:
    key(tmp_path / "other", KEY)
    other = Proofs(tmp_path / "other")
    assert not admitted(proofs, "flights", 3).is_run(other.of_run("flights", 3).encode())
    assert not admitted(proofs, "flights", 3).is_gateway(other.of_gateway("flights").encode())


def test_a_server_that_was_told_nothing_asks_for_nothing() -> None:
    assert Admitted().is_run(None)
    assert Admitted().is_gateway(None)


def test_without_a_key_nothing_is_shown_and_nothing_asked_for_until_there_is_one(tmp_path: Path) -> None:
    proofs = Proofs(tmp_path)
    assert (proofs.of_run("flights", 3), proofs.told_to_pods("flights", 3)) == ("", {})
    key(tmp_path, KEY)
    assert proofs.of_run("flights", 3)


def test_a_key_that_others_may_read_stops_nobody_from_going_back(tmp_path: Path) -> None:
    key(tmp_path, KEY)
    (tmp_path / KEY).chmod(0o644)
    assert Proofs(tmp_path).of_gateway("flights") == ""


def test_what_a_pod_is_told_does_not_hold_the_proof(proofs: Proofs) -> None:
    told = str(proofs.told_to_pods("flights", 3))
    assert proofs.of_run("flights", 3) not in told
    assert proofs.of_gateway("flights") not in told
