"""What docs/page.md says of orders and of the page."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.access_control.roles import Permission, Role
from flows.entrypoints.control_service.page.orders import ORDERS, label_of, permission_of
from tests.docs.claims import claim
from tests.docs.pages import ROOT
from tests.unit.flows.page_scene import PageScene


@claim(
    "docs/page.md",
    "| approve, skip, promote | approver | yes to what is asked; ends the present step; all traffic now |",
    "| pause, resume, abort | operator | weights stand still; on again; the champion gets everything back |",
    "| release, retry, roll back | operator | starts a run in Prefect |",
)
def test_who_may_give_which_order() -> None:
    of_approvers = {order for order in ORDERS if not Role.OPERATOR.permits(permission_of(order))}
    assert of_approvers == {"approve", "skip", "promote"}
    assert all(Role.APPROVER.permits(permission_of(order)) for order in ORDERS)
    assert all(permission_of(order) in {Permission.ORDER, Permission.APPROVE} for order in ORDERS)
    assert set(ORDERS) - of_approvers == {"pause", "resume", "abort", "release", "retry", "rollback"}
    assert label_of("rollback") == "Roll back"


@claim("docs/page.md", "It asks no other host for anything.")
def test_no_file_of_the_page_names_another_host() -> None:
    folder = ROOT / "flows" / "entrypoints" / "control_service" / "page"
    files = [*folder.glob("templates/*"), *folder.glob("assets/*")]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path
        assert "url(" not in text, path


@claim("docs/page.md", "When the journal does not answer, the page says so and shows what it knew before.")
def test_a_page_without_its_journal(tmp_path: Path) -> None:
    scene = PageScene(tmp_path)
    scene.spec()
    scene.as_role(Role.VIEWER)
    scene.browse("/seatrial/")
    scene.journal_away = True
    scene.clock.advance(timedelta(minutes=1))
    text = scene.browse("/seatrial/").text
    assert "The journal does not answer" in text
    assert "bikes" in text


@pytest.mark.parametrize("name", ["page-overview", "page-product", "page-phone"])
def test_the_pictures_are_there_and_small(name: str) -> None:
    assert 5_000 < (ROOT / "docs" / "images" / f"{name}.png").stat().st_size < 150_000
