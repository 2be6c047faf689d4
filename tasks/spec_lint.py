"""What can be known of a product without its data: whether its model can be made and stored, and its suite be used."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deployments.errors import BadModel, BadSpec, NotFound
from deployments.settings import Settings
from tasks.data_validation.plain_expectations import is_plain
from tasks.data_validation.suite_file import Suite, load_suite
from tasks.data_validation.used_columns import only_warnings
from tasks.execution.fit_location import check_installed
from tasks.models.estimator import build_estimator
from tasks.models.model_files import types_to_trust
from tasks.models.pipeline import build_pipeline
from tasks.product_spec import ProductSpec


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a spec, one sentence each, and what is only not there yet."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_spec(spec: ProductSpec, settings: Settings) -> Checked:
    """Everything that a release would refuse whatever the data say. Imports the estimator, or calls the factory."""
    problems = [*_told(lambda: check_installed(spec.execution)), *_told(lambda: check_model(spec, settings))]
    try:
        suite = load_suite(Path(spec.validation.suite))
    except NotFound:
        note = f"validation.suite: there is none yet: `seatrial profile {spec.product} --write` proposes one"
        return Checked(tuple(problems), (note,))
    except BadSpec as error:
        return Checked((*problems, str(error)), ())
    others = only_warnings(suite, spec)
    note = (
        f"validation.suite: nothing in the spec uses {', '.join(others)}: their checks only warn; columns under "
        "validation.guarded may refuse a release"
    )
    return Checked((*problems, *_told(lambda: _check_expectations(suite))), (note,) if others else ())


def _check_expectations(suite: Suite) -> None:
    """Only what is not plain is tried with Great Expectations itself, which takes seconds to import."""
    if all(map(is_plain, suite.expectations)):
        return
    from tasks.data_validation.expectations import check_known

    check_known(suite)


def check_model(spec: ProductSpec, settings: Settings) -> None:
    """Makes the unfitted model of `spec` and throws it away. Raises `BadModel` if it cannot be made, or not stored."""
    estimator = build_estimator(spec.model, settings)
    name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    types_to_trust(build_pipeline(spec.preprocessing, estimator), name, spec, settings)


def _told(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except (BadModel, BadSpec) as error:
        return [str(error)]
    return []
