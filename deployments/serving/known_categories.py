"""Which categories training saw: what the encoders in a fitted pipeline list."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from deployments.serving.compiled.numeric_features import flattened
from deployments.serving.model_metadata import Description


def with_known_categories(description: Description, estimator: Any) -> Description:
    """The description with the categories of each column that an encoder in `estimator` lists."""
    known = known_categories(estimator)
    features = (replace(each, categories=known.get(each.name)) for each in description.features)
    return replace(description, features=tuple(features))


def known_categories(estimator: Any) -> dict[str, frozenset[str]]:
    """By column, those that an encoder in `estimator` lists."""
    return dict(_listed(estimator))


def _listed(estimator: Any) -> Iterator[tuple[str, frozenset[str]]]:
    for step in flattened(estimator):
        for _, fitted, names in getattr(step, "transformers_", ()):
            for inner in flattened(fitted):
                learned = getattr(inner, "categories_", ())
                if len(learned) == len(names):
                    for name, categories in zip(names, learned, strict=True):
                        yield str(name), frozenset(each for each in categories if isinstance(each, str))
