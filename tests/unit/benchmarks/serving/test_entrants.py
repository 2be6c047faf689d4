import re
from pathlib import Path

import pytest

from benchmarks.serving import entrants
from benchmarks.serving.entrants import ENTRANTS
from benchmarks.serving.environments import pinned_version

REQUIREMENTS = Path(entrants.__file__).parent / "requirements"
LOCK = Path(entrants.__file__).parents[2] / "requirements.lock"
RIVALS = [entrant.name for entrant in ENTRANTS if not entrant.name.startswith("seatrial")]


@pytest.mark.parametrize("package", ["scikit-learn", "numpy", "scipy"])
@pytest.mark.parametrize("rival", RIVALS)
def test_a_rival_computes_with_the_same_versions_as_we_do(rival: str, package: str) -> None:
    ours = re.search(rf"^{package}==(\S+)", LOCK.read_text(), flags=re.MULTILINE)
    assert ours
    assert pinned_version(rival, package) == ours[1]


@pytest.mark.parametrize("rival", RIVALS)
def test_a_rival_is_pinned_whole_and_names_no_host(rival: str) -> None:
    lines = (REQUIREMENTS / f"{rival}.txt").read_text().splitlines()
    assert lines
    assert all(re.match(r"^[a-z0-9-]+(\[[a-z]+\])?==[\w.]+( ;.*)?$", line) for line in lines)


def test_every_rival_is_beside_a_way_of_ours() -> None:
    ours = {way.name for way in ENTRANTS[0].ways}
    assert {way.ours for entrant in ENTRANTS if entrant.name in RIVALS for way in entrant.ways} <= ours
