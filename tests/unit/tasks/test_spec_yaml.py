"""A hostile or odd spec file gets a sentence, at once, and takes no memory."""

import errno
import os
import stat
import string
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import BadSpec, NotFound
from tasks.spec_file import load_product
from tasks.spec_yaml import MOST_BYTES, read_yaml
from tests.advice import followed


def written(folder: Path, text: str) -> Path:
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def aliases_of_aliases(levels: int, many: int) -> str:
    """`many` to the power of `levels` values in a few lines."""
    lines = [f"a: &a [{', '.join('x' * many)}]"]
    for former, name in zip(string.ascii_lowercase, string.ascii_lowercase[1 : levels + 1], strict=False):
        lines.append(f"{name}: &{name} [{', '.join([f'*{former}'] * many)}]")
    return "\n".join(lines)


def test_a_few_lines_that_stand_for_billions_of_values_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, aliases_of_aliases(9, 9))
    tracemalloc.start()
    try:
        with pytest.raises(BadSpec, match="stands for more than 100,000 values") as told:
            load_product(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert followed(" values once its aliases are followed: write fewer") in str(told.value)
    assert len(read_yaml(written(tmp_path, aliases_of_aliases(2, 9)))) == 3


def test_aliases_as_people_use_them_are_fine(tmp_path: Path) -> None:
    path = written(tmp_path, "a: &a {x: 1, y: [1, 2]}\nb: *a\nc: {<<: *a, x: 3}\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": [1, 2]}, "b": {"x": 1, "y": [1, 2]}, "c": {"x": 3, "y": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("product: &a [*a]", "line 1 holds itself"),
        ("product: &a {x: {y: *a}}", "line 1 holds itself"),
        ("x: 1\nproduct: &a\n  <<: *a", "line 2 holds itself"),
        ("product: " + "[" * 500_000, "more than 50 deep"),
        ("product: " + "{a: " * 3000 + "1" + "}" * 3000, "more than 50 deep"),
        ("? " * 100_000, "more than 50 deep"),
        ("product: " + "9" * 5000, "no value of kind 'int' in line 1, column 10"),
        ("product: 0x" + "f" * 6000, "a whole number of 24000 bits"),
        ("product: 18446744073709551616", "a whole number of 65 bits"),
        ("!!map [1]", "has a value that YAML cannot stand for"),
        ("!!timestamp 2020-01-01: x", "a key must be text in line 1"),
        ("!!binary aGVsbG8=: x", "a key must be text in line 1"),
        ("x: !!timestamp foo", "no value of kind 'timestamp'"),
        ("x: !!bool foo", "no value of kind 'bool'"),
        ("x: !!int ''", "no value of kind 'int'"),
        ("product: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("product: x\n---\nproduct: y", "expected a single document"),
        ("", "must be a mapping"),
        ("a: 1\na: 2", "the key 'a' is given twice"),
        ("? [a, b]\n: 1", "a key must be text"),
    ],
)
def test_what_no_person_writes_gets_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSpec, match=said):
        load_product(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\npassword: 'hunter2\nb: 1\n",
        "source: {url: https://u:hunter2@host/x.csv",
        "password: !vault hunter2",
        "password: !!int hunter2",
        "a: 1\n\tpassword: hunter2",
    ],
)
def test_the_line_that_is_no_yaml_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSpec, match=r"is not YAML: .* in line \d, column \d") as error:
        load_product(written(tmp_path, text))
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(BadSpec, match="more than 1048576 bytes: is it the spec, and not its data"):
        load_product(written(tmp_path, "x" * (MOST_BYTES + 1)))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(BadSpec, match=followed(" is no ordinary file: give the YAML file itself")):
        load_product(tmp_path / "pipe.yaml")
    assert read_yaml(written(tmp_path, "a: 1")) == {"a": 1}
    with pytest.raises(BadSpec, match="is a folder"):
        load_product(tmp_path)
    with pytest.raises(NotFound, match=followed("no spec at ", "tasks/spec_yaml.py")):
        load_product(tmp_path / "none.yaml")


def test_a_file_whose_permissions_are_mended_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = written(tmp_path, "a: 1"), Path.open

    def as_anybody(self: Path, *how: Any) -> Any:
        """As for an account that is not root, for which everything is open."""
        if self == path and not path.stat().st_mode & stat.S_IRUSR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(self, *how)

    monkeypatch.setattr(Path, "open", as_anybody)
    path.chmod(0)
    with pytest.raises(BadSpec) as error:
        read_yaml(path)
    assert followed("): check its permissions") in str(error.value)
    path.chmod(0o600)
    assert read_yaml(path) == {"a": 1}


@pytest.mark.parametrize(
    ("written_as", "meant"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5e+2", -250.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("010", "010"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("e3", "e3"),
        ("2013-01-01", "2013-01-01"),
        ("'1e3'", "1e3"),
    ],
)
def test_numbers_are_those_of_yaml_1_2(written_as: str, meant: object, tmp_path: Path) -> None:
    found = read_yaml(written(tmp_path, f"a: {written_as}"))["a"]

    assert (found, type(found)) == (meant, type(meant))
