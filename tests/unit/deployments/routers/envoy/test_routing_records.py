"""Records follow the route table, whenever the writer dies."""

from pathlib import Path

import pytest

from deployments.errors import RouterRefused
from deployments.routers.envoy.routing_records import Records
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights

OLD = Routing((Backend(1, ("/a",)),), Weights.all_to(1))
NEW = Routing(
    (Backend(1, ("/a",)), Backend(2, ("/b", "10.0.0.1:80")), Backend(3, ("/c",))),
    Weights({1: 99.5, 2: 0.5}),
    (Match(2, "yes", header="x-beta"), Match(2, "b", cookie="exp")),
    Mirror(3, 12.5),
    StickyKey(cookie="uid"),
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    made = Records(tmp_path)
    made.intend("flights", OLD, "before")
    made.settle("before")
    return made


def test_an_intention_becomes_true_with_its_version(records: Records) -> None:
    records.intend("flights", NEW, "after")
    assert records.all() == {"flights": OLD}
    records.settle("after")
    assert records.all() == {"flights": NEW}


def test_an_intention_whose_version_never_came_is_dropped_for_good(records: Records) -> None:
    records.intend("flights", NEW, "after")
    records.settle("before")
    records.settle("after")
    assert records.all() == {"flights": OLD}


def test_settling_twice_is_settling_once(records: Records) -> None:
    records.intend("trains", NEW, "after")
    records.settle("after")
    records.settle("after")
    assert records.all() == {"flights": OLD, "trains": NEW}


def test_a_product_is_forgotten_with_its_version(records: Records) -> None:
    records.intend("flights", None, "after")
    assert records.all() == {"flights": OLD}
    records.settle("after")
    assert records.all() == {}


def test_a_record_from_before_matches_and_mirrors_is_read(records: Records, tmp_path: Path) -> None:
    (tmp_path / "products" / "flights.json").write_text('{"backends": {"1": ["/a"]}, "weights": {"1": 100}}')
    assert records.all() == {"flights": OLD}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"backends": {"1": ["/a"]}, "weights": {"1": 99}}',
        '{"backends": 3, "weights": 3}',
        '{"backends": {"1": ["no-port"]}, "weights": {"1": 100}}',
        '{"backends": {"1": ["/a"]}, "weights": {"1": 100}, "matches": [{"a later": "field"}]}',
        "[" * 100_000,
    ],
)
def test_a_damaged_record_is_named_and_hides_no_other(records: Records, tmp_path: Path, content: str) -> None:
    path = tmp_path / "products" / "trains.json"
    path.write_text(content)
    assert records.all() == {"flights": OLD}
    assert records.damaged() == (path,)
    with pytest.raises(RouterRefused, match=r"trains\.json is no routing .*rebuilds it"):
        records.one("trains")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": "after"}', '{"version": "after", "product": 3}'])
def test_a_damaged_intention_is_dropped(records: Records, tmp_path: Path, content: str) -> None:
    (tmp_path / "intention.json").write_text(content)
    records.settle("after")
    assert records.all() == {"flights": OLD}
    assert not (tmp_path / "intention.json").exists()
