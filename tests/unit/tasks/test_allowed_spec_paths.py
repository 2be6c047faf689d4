"""Which files a flow's parameter may name as specs."""

from pathlib import Path

import pytest

from deployments.errors import BadInput, NotFound, SeatrialError
from tasks.allowed_spec_paths import any_file, asked_spec, within
from tests.advice import followed


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project" / "specs"
    (folder / "team").mkdir(parents=True)
    for place in ("flights.yaml", "bikes.yml", "team/trains.yaml"):
        (folder / place).write_text("product: x\n")
    for place in (tmp_path / "evil.yaml", tmp_path / "project" / "evil.yaml"):
        place.write_text("product: evil\n")
    monkeypatch.chdir(tmp_path / "project")
    return folder.resolve()


@pytest.mark.parametrize(
    ("product", "file"),
    [
        ("flights", "flights.yaml"), ("bikes", "bikes.yml"), ("team/trains", "team/trains.yaml"),
        ("specs/flights.yaml", "flights.yaml"), ("./specs/../specs/bikes.yml", "bikes.yml"),
        ("team/../flights", "flights.yaml"), ("{specs}/team/trains.yaml", "team/trains.yaml"),
    ],
)  # fmt: skip
def test_one_in_the_folder_is_found(specs: Path, product: str, file: str) -> None:
    assert asked_spec(product.format(specs=specs), specs) == specs / file


@pytest.mark.parametrize(
    "product",
    [
        "../evil", "../../evil", "evil.yaml", "../evil.yaml", "specs/../evil.yaml", "specs/../../evil.yaml",
        "team/../../evil", "{outside}/evil.yaml", "{outside}/evil", "{specs}/../evil.yaml",
        "specs/team/../../../evil.yaml", "", ".", "..", "/", "/etc/passwd", "~/evil.yaml", "../specs2/x",
        "{specs}",
    ],
)  # fmt: skip
def test_one_outside_is_refused_and_never_read(specs: Path, tmp_path: Path, product: str) -> None:
    with pytest.raises(SeatrialError) as told:
        asked_spec(product.format(specs=specs, outside=tmp_path), specs)
    assert isinstance(told.value, BadInput | NotFound)


@pytest.mark.parametrize("product", ["../evil", "evil.yaml", "{outside}/evil.yaml"])
def test_a_person_at_the_command_line_may_name_any_file(specs: Path, tmp_path: Path, product: str) -> None:
    named = product.format(outside=tmp_path)
    with any_file():
        assert asked_spec(named, specs).name == "evil.yaml"
    with pytest.raises(BadInput, match=followed(": a run takes specs from there only; put it there, or name it at")):
        asked_spec(named, specs)


def test_a_link_that_lies_in_the_folder_is_its_owners_own(specs: Path, tmp_path: Path) -> None:
    (specs / "linked.yaml").symlink_to(tmp_path / "evil.yaml")
    assert asked_spec("linked", specs) == tmp_path.resolve() / "evil.yaml"
    assert asked_spec("specs/linked.yaml", specs) == tmp_path.resolve() / "evil.yaml"


def test_what_leads_through_a_link_and_back_is_read_as_it_stands(specs: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "flights.yaml").write_text("product: evil\n")
    (specs / "link").symlink_to(tmp_path / "far" / "away")
    assert asked_spec("link/../flights", specs) == specs / "flights.yaml"
    assert asked_spec("specs/link/../flights.yaml", specs) == specs / "flights.yaml"


def test_a_project_that_is_itself_behind_a_link_has_its_specs(specs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert asked_spec(str(tmp_path / "link" / "specs" / "flights.yaml"), specs) == specs / "flights.yaml"


def test_what_it_quotes_is_short(specs: Path) -> None:
    with pytest.raises(BadInput) as told:
        within("../" + "x" * 10_000, specs)
    assert len(str(told.value)) < 400


def test_an_unknown_name_is_told_with_those_that_are_there(specs: Path) -> None:
    with pytest.raises(NotFound, match=r"no product 'planes'.*bikes, flights"):
        asked_spec("planes", specs)


@pytest.mark.parametrize("product", ["flights\0", "../flights\0.yaml"])
def test_what_no_file_can_be_called_is_in_no_folder(specs: Path, product: str) -> None:
    with pytest.raises(BadInput, match="is not in"):
        asked_spec(product, specs)


@pytest.mark.parametrize("product", ["a" * 5000, "a" * 5000 + ".yaml", "flights\0", "flights\0.yaml"])
def test_such_a_name_at_the_command_line_is_not_found(specs: Path, product: str) -> None:
    with any_file(), pytest.raises(NotFound):
        asked_spec(product, specs)
