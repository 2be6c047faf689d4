"""`status` and `repair` after somebody edited the registry by hand."""

import json

import pytest

from deployments import wiring
from deployments.errors import NotFound, RegistryUnreachable
from deployments.journals.protocol import Event
from flows.entrypoints.cli import status
from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The platform runs."""
    monkeypatch.setattr("deployments.local_platform.lifecycle.programs", lambda _: {"model-bikes-v1-0": Running()})
    return world


class Running:
    """What supervisord says of a program."""

    state = type("State", (), {"value": "RUNNING"})


def test_status_shows_what_differs_and_how_to_mend_it(looked_at: World, seatrial: Seatrial, capsys: Captured) -> None:
    looked_at.registry.edit_alias(PRODUCT, "champion", None)
    looked_at.registry.edit_status(PRODUCT, 3, "Archived")
    seatrial("status")
    told = capsys.readouterr().out
    assert "bikes: the registry differs from what is true; v1 serves all the same; `seatrial repair bikes`" in told
    assert "the alias champion is on no version, not on v1" in told
    assert "v3: the tag seatrial.status says 'Archived', which is no status" in told


def test_repair_says_what_it_changed_and_then_that_nothing_differs(
    looked_at: World, seatrial: Seatrial, capsys: Captured
) -> None:
    looked_at.registry.edit_alias(PRODUCT, "champion", 3)
    assert seatrial("repair", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "product": PRODUCT,
        "serving": 1,
        "changed": ["the alias champion is on v3, not on v1"],
        "left": [],
    }
    assert seatrial("repair", PRODUCT) == 0
    assert "v1 serves, and the registry says the same: nothing to repair" in capsys.readouterr().out
    assert looked_at.served_by == {1: 100}


def test_repair_says_plainly_what_it_cannot_mend(looked_at: World, seatrial: Seatrial, capsys: Captured) -> None:
    looked_at.registry.delete(PRODUCT, 1)
    assert seatrial("repair", PRODUCT) == 0
    told = capsys.readouterr()
    assert "cannot be repaired: v1 (champion) is not in the registry any more" in told.err
    assert "bikes v1 serves on all the same, from its model folder" in told.out
    seatrial("status")
    assert "not in the registry" in capsys.readouterr().out


def test_repair_of_an_unknown_product_is_refused(looked_at: World, seatrial: Seatrial, capsys: Captured) -> None:
    assert seatrial("repair", "boats") == 2
    assert "nothing is known of 'boats'" in capsys.readouterr().err


@pytest.mark.parametrize("error", [NotFound("gone"), RegistryUnreachable("MLflow does not answer")])
def test_a_registry_that_cannot_tell_is_told_and_hides_no_traffic(
    looked_at: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def told() -> None:
        raise error

    monkeypatch.setattr(looked_at.registry, "entries", told)
    report = status.status_report(None)["products"][PRODUCT]
    assert report["amiss"] == [str(error)]
    assert (report["champion"], report["traffic"], report["versions"]) == (1, {"1": 100}, [])


def test_a_product_that_serves_is_shown_without_the_registry(looked_at: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> tuple[str, ...]:
        raise RegistryUnreachable("MLflow does not answer")

    monkeypatch.setattr(looked_at.registry, "products", away)
    assert status.status_report(None)["products"]["bikes"]["traffic"] == {"1": 100}


def test_a_renamed_model_is_still_shown_under_the_name_of_its_product(looked_at: World) -> None:
    for version in (1, 2, 3):
        looked_at.registry.delete(PRODUCT, version)
    report = status.status_report(None)["products"][PRODUCT]
    assert (report["champion"], report["traffic"]) == (1, {"1": 100})
    assert report["registry"] == ["v1 (champion) is not in the registry any more, or is not Seatrial's there"]
    assert wiring.registry().products() == ()


def test_repair_seals_again_what_the_journal_registered_and_the_home_holds(
    looked_at: World, seatrial: Seatrial, capsys: Captured
) -> None:
    """v1 serves from files here; v2 is said to be registered, and was never fetched; v3 is nobody's."""
    for version in (1, 2):
        detail = {"version": version, "mlflow_run": f"run-{version}"}
        looked_at.journal.record(Event(PRODUCT, "", looked_at.clock.now(), "model.registered", detail))
    looked_at.registry.model(PRODUCT, 1, looked_at.folder)
    for version in (1, 2, 3):
        looked_at.registry.edit_seal(PRODUCT, version)
    assert seatrial("repair", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    (sealed,) = told["changed"]
    assert sealed.startswith("v1 is sealed again: its files lie in ")
    assert [each.split(" is not known to be what was judged")[0] for each in told["left"]] == ["bikes v2", "bikes v3"]
    assert looked_at.served_by == {1: 100}
