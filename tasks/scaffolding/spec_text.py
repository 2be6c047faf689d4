"""A spec as a person would write it: every section with what it means and what to change."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from deployments.plurals import counted
from deployments.printable import in_one_line
from tasks.product_spec import ProductSpec
from tasks.scaffolding.baseline_model import Limit
from tasks.scaffolding.column_roles import LeftOut

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS: Final = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_LONGEST_LINE: Final = 100


def spec_text(spec: ProductSpec, left_out: Sequence[LeftOut], limits: Sequence[Limit], rows: int) -> str:
    """The YAML of `spec`, which holds only what `seatrial init` decides on; the rest are defaults."""
    parts = (_head(spec), _data(spec), _preprocessing(spec, left_out), _model(spec, rows), _gate(spec, limits))
    return "\n".join(line for part in (*parts, _ROLLOUT) for line in part) + "\n"


def _head(spec: ProductSpec) -> Iterator[str]:
    yield "# Written by `seatrial init`: yours to edit. Every field stands in docs/spec.md; `seatrial lint` checks it."
    yield f"product: {spec.product}"
    yield "# One line for people, shown beside the product in MLflow."
    yield f"description: {_scalar(spec.description)}"
    yield ""


def _data(spec: ProductSpec) -> Iterator[str]:
    data = spec.data
    yield "# Which rows and columns the product learns from."
    yield "data:"
    yield f"  source: {_mapping(data.source.model_dump(mode='json', exclude_defaults=True))}"
    yield "  # The column to predict; it may not be empty in any row."
    yield f"  target: {_scalar(data.target)}"
    if data.time_column:
        yield "  # When a row happened: the newest rows are held out. `window: {last: 60d}` keeps the last 60 days."
        yield f"  time_column: {_scalar(data.time_column)}"
    else:
        yield "  # time_column: NAME would say when a row happened, and the newest rows be held out."
    if data.key:
        yield "  # These columns together tell rows apart: a release with a key that is there twice is refused."
        yield f"  key: {_list(data.key)}"
    else:
        yield "  # key: [NAME] would name the columns that together tell rows apart; it is checked."
    yield "  # What each column is, and how its text is read in files and in requests: number, category (the text that"
    yield "  # stands there), boolean or time; docs/spec.md has null words, decimal signs and formats."
    yield "  columns:"
    for name, column in data.columns.items():
        yield f"    {_scalar(name)}: {{type: {column.type.value}}}"
    yield "  # The share of the rows that the model never learns from: it is judged by them."
    yield f"  split: {{share: {data.split.share:g}}}"
    yield ""
    yield "# What the data must satisfy before anything is trained: read the file, and edit what is not meant so."
    yield "validation:"
    yield f"  suite: {_scalar(spec.validation.suite)}"
    yield ""


def _preprocessing(spec: ProductSpec, left_out: Sequence[LeftOut]) -> Iterator[str]:
    yield "# How columns become features. What is not named here is not looked at by the model."
    yield "preprocessing:"
    numeric, categorical = spec.preprocessing.numeric, spec.preprocessing.categorical
    if numeric:
        yield "  # Numbers."
        yield "  numeric:"
        yield from _columns(numeric.columns)
        yield f"    impute: {numeric.impute.value}"
        yield f"    scale: {numeric.scale.value}"
    if categorical:
        yield "  # Categories: text, booleans, codes. Values that training never saw form a category of their own."
        yield "  categorical:"
        yield from _columns(categorical.columns)
        yield f"    encode: {categorical.encode.value}"
        if categorical.min_frequency:
            yield "    # Rarer ones are put together."
            yield f"    min_frequency: {categorical.min_frequency}"
    if left_out:
        yield "  # Left out; move a column up to use it:"
        for each in left_out:
            yield f"  #   {_scalar(each.name)}: {in_one_line(each.why)}"
    yield ""


def _model(spec: ProductSpec, rows: int) -> Iterator[str]:
    yield f"# What is trained: a start for {counted(rows, 'row')}. Any estimator of scikit-learn may stand here."
    yield "model:"
    yield f"  task: {spec.model.task.value}"
    yield f"  estimator: {spec.model.estimator}"
    if spec.model.parameters:
        yield f"  parameters: {_mapping(spec.model.parameters)}"
    yield f"  seed: {spec.model.seed}"
    yield f"  output: {spec.model.output.value}"
    yield ""


def _gate(spec: ProductSpec, limits: Sequence[Limit]) -> Iterator[str]:
    yield "# What a candidate must reach on the held-out rows before it is registered. One answer for every row (a"
    yield "# constant) is of no use: what it reaches is the limit here. Ask for as much as you need."
    yield "gate:"
    yield "  thresholds:"
    for each in limits:
        if each.beats_constant:
            yield f"    # A constant reaches {each.constant:.4g} on these rows, the first model {each.model:.4g}."
        else:
            yield f"    # The first model reaches {each.model:.4g}, no better than a constant ({each.constant:.4g}): it"
            yield "    # may only not get worse. Find columns that tell more of the target."
        yield f"    - {{metric: {each.metric}, {each.side}: {each.limit!r}}}"
    yield "  # How much worse than the version that serves still counts as not worse, in the metric's own units."
    yield "  against_champion:"
    for each in limits:
        yield f"    - {{metric: {each.metric}, margin: {each.margin!r}}}"
    yield ""


_ROLLOUT: Final = (
    "# How a version comes to traffic: `rolling` is all at once, server by server. `canary` sends it a few percent",
    "# first and judges it by what happens. `blue_green`, `ab` and `shadow` stand in docs/rollouts.md.",
    "rollout:",
    "  strategy: rolling",
    "  # Servers of each version.",
    "  replicas: 1",
)


def _columns(names: Sequence[str]) -> Iterator[str]:
    whole = f"    columns: {_list(names)}"
    if len(whole) <= _LONGEST_LINE:
        yield whole
        return
    yield "    columns:"
    for name in names:
        yield f"      - {_scalar(name)}"


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_scalar, names))}]"


def _mapping(values: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{name}: {_value(value)}' for name, value in values.items())}}}"


def _value(value: Any) -> str:
    return _scalar(value) if isinstance(value, str) else repr(value)


def _scalar(text: str) -> str:
    """Text as it stands where YAML takes it for text, else in quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=False, width=10**9)
    return quoted.strip()
