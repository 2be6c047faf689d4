"""Finding Envoy's reason in its log."""

from pathlib import Path

from deployments.routers.envoy.config_rejections import Complaints

REFUSAL = "warning envoy.config Filesystem config update rejected: route: unknown weighted cluster 'v9'\n"


def test_only_what_was_said_since_counts(tmp_path: Path) -> None:
    log = tmp_path / "envoy.log"
    log.write_text(REFUSAL)
    complaints = Complaints(log)
    position = complaints.position()
    assert complaints.since(position) == f"the reason stands in {log}"
    with log.open("a") as file:
        file.write(REFUSAL.replace("v9", "v10") + "something else\n")
    assert complaints.since(position).endswith("unknown weighted cluster 'v10'")


def test_a_log_that_was_rotated_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "envoy.log"
    log.write_text("x" * 1000)
    complaints = Complaints(log)
    position = complaints.position()
    log.write_text(REFUSAL)
    assert "'v9'" in complaints.since(position)


def test_without_a_log_it_says_where_to_look(tmp_path: Path) -> None:
    for complaints in (Complaints(None), Complaints(tmp_path / "none.log")):
        assert complaints.position() == 0
        assert complaints.since(0) == "the reason stands in its standard error"
