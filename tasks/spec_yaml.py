"""The YAML of a product spec: read strictly, and never more of it than a person would write."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from deployments.errors import BadSpec, NotFound

MOST_BYTES: Final = 1024 * 1024
# Of all values once each alias stands for what it names: a few lines of aliases of aliases can stand for billions.
MOST_VALUES: Final = 100_000
MOST_DEPTH: Final = 50
_MERGE: Final = "tag:yaml.org,2002:merge"
_LARGEST: Final = 2**63


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice instead of silently keeping the last, depth, and numbers past 64 bits."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise RecursionError
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | None):  # a date, bytes, or a list, by a tag
                raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key_node.start_mark)
            if isinstance(key, str | int) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark)
            if isinstance(key, str | int):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = int(super().construct_yaml_int(node))
        if abs(number) >= _LARGEST:
            raise yaml.MarkedYAMLError(
                problem=f"a whole number of {number.bit_length()} bits, and 63 is the most",
                problem_mark=node.start_mark,
            )
        return number

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        # What a tag or a number of 5,000 digits makes Python say would quote the value.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(problem=f"no value of kind {kind!r}", problem_mark=node.start_mark) from None


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)

# Dates stay text here; the spec's own types read them and name the field when one is wrong. Numbers are those of
# YAML 1.2 and JSON: YAML 1.1 reads `1e-3` as text, `010` as eight and `1:30` as ninety.
_NUMBERS: Final = {
    "tag:yaml.org,2002:int": r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+)\Z",
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))\Z"
        r"|\.(?:nan|NaN|NAN)\Z"
    ),
}
_READ_ANEW: Final = {*_NUMBERS, "tag:yaml.org,2002:timestamp"}
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _READ_ANEW]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _StrictLoader.add_implicit_resolver(_tag, re.compile(_pattern), list("-+0123456789."))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in `path`. Raises `NotFound` for a missing file, and `BadSpec` for all that is no spec.

    What is there twice because of an alias is one object in what is returned, and counts twice.
    """
    try:
        content = _loaded(_text_of(path), path)
    except RecursionError:
        raise BadSpec(f"{path}: its values are nested more than {MOST_DEPTH} deep, which no spec is") from None
    except yaml.YAMLError as error:
        raise BadSpec(f"{path} is not YAML: {_without_the_line(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # a mapping that is a list, by a tag
        raise BadSpec(f"{path} has a value that YAML cannot stand for, by its tags (!!…)") from None
    if not isinstance(content, dict):
        raise BadSpec(f"{path} must be a mapping that starts with `product: name`, not {type(content).__name__}")
    return content


def _without_the_line(error: yaml.YAMLError) -> str:
    """What is wrong, and where; the line itself may hold a password."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    parts = ((error.context, error.context_mark), (error.problem, error.problem_mark))
    return ", ".join(f"{said}{_at(mark)}" for said, mark in parts if said)


def _at(mark: yaml.Mark | None) -> str:
    return f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise BadSpec(f"{path} is no ordinary file: give the YAML file itself")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BadSpec(f"{path} has more than {MOST_BYTES} bytes: is it the spec, and not its data?")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise NotFound(f"no spec at {path}: check the path") from None
    except IsADirectoryError:
        raise BadSpec(f"{path} is a folder: give the YAML file itself") from None
    except UnicodeDecodeError as error:
        raise BadSpec(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise BadSpec(f"{path} cannot be read ({error.strerror}): check its permissions") from None


def _loaded(text: str, path: Path) -> Any:
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node, path)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_size(root: yaml.Node, path: Path) -> None:
    """Counts without following the same alias twice. Raises `BadSpec`."""
    known: dict[int, int] = {}
    within: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in within:
            line = node.start_mark.line + 1
            raise BadSpec(f"{path}: the value that begins in line {line} holds itself (an alias in it names it)")
        if depth > MOST_DEPTH:
            raise RecursionError
        if id(node) not in known:
            within.add(id(node))
            known[id(node)] = 1 + sum(size(each, depth + 1) for each in _parts(node))
            within.remove(id(node))
        return known[id(node)]

    if size(root, 0) > MOST_VALUES:
        raise BadSpec(f"{path} stands for more than {MOST_VALUES:,} values once its aliases are followed: write fewer")


def _parts(node: yaml.Node) -> list[yaml.Node]:
    match node:
        case yaml.MappingNode():
            return [each for pair in node.value for each in pair]
        case yaml.SequenceNode():
            return list(node.value)
    return []
