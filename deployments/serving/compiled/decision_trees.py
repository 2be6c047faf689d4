"""Decision trees and forests of them."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import NotCompiled, Unusual
from deployments.serving.compiled.feature_matrix import Features
from deployments.serving.compiled.merged_trees import (
    MOST_NODES,
    MOST_VALUES,
    branches_to,
    is_worthwhile,
    numbered,
    summed,
)
from deployments.serving.compiled.probe_batches import Splits
from deployments.serving.row_batch import Batch


def compile_trees(model: Any, features: Features) -> Any:
    """None for another kind of model. Raises `NotCompiled`."""
    from sklearn import ensemble, tree

    if type(model) in {ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier}:
        return Classes(model, features, model.estimators_)
    if type(model) in {ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor}:
        return Values(model, features, model.estimators_)
    if type(model) in {tree.DecisionTreeClassifier, tree.ExtraTreeClassifier}:
        return Classes(model, features, [model])
    if type(model) in {tree.DecisionTreeRegressor, tree.ExtraTreeRegressor}:
        return Values(model, features, [model])
    return None


class Trees:
    """What all kinds of trees on float32 have in common."""

    how = "trees"

    def __init__(self, features: Features, width: int, estimators: Sequence[Any], takes_missing: bool) -> None:
        self._features = features
        self._trees = [estimator.tree_ for estimator in estimators]
        self._takes_missing = takes_missing
        self._grove = _grove(self._trees, width)

    def variants(self) -> "list[Trees]":
        """With the grove and without it, as for few rows and for many."""
        without = copy.copy(self)
        without._grove = None
        return [self, without]

    @property
    def splits(self) -> Splits:
        """What the nodes ask."""
        trees = self._trees
        return np.concatenate([tree.feature for tree in trees]), np.concatenate([tree.threshold for tree in trees])

    def _matrix(self, batch: Batch) -> np.ndarray:
        """The features as trees compare them. Raises `Unusual`."""
        with np.errstate(over="ignore"):
            matrix = self._features.dense(batch).astype(np.float32)
        if not np.isfinite(matrix).all() and (not self._takes_missing or np.isinf(matrix).any()):
            raise Unusual
        return matrix

    def _walks(self, matrix: np.ndarray) -> bool:
        return self._grove is not None and is_worthwhile(matrix, len(self._trees), self._trees[0].max_n_classes)

    def _leaves(self, matrix: np.ndarray) -> np.ndarray:
        """Value of the leaf that each row reaches, by a walk through the grove: shape (trees, rows, values)."""
        tree, values = self._grove
        count = len(self._trees)
        reached: np.ndarray = values.take(tree.apply(numbered(matrix, count)), axis=0)
        return reached.reshape(count, len(matrix), -1)


class _Mean(Trees):
    def __init__(self, model: Any, features: Features, estimators: Sequence[Any]) -> None:
        if model.n_outputs_ != 1:
            raise NotCompiled("several targets")
        few = np.zeros((1, model.n_features_in_), np.float32)
        takes_missing = features.sparse is None and estimators[0]._support_missing_values(few)
        super().__init__(features, model.n_features_in_, estimators, takes_missing)

    def _mean(self, batch: Batch) -> np.ndarray:
        """Mean over the trees, shape (rows, values of a leaf)."""
        matrix = self._matrix(batch)
        total = summed(self._leaves(matrix)) if self._walks(matrix) else self._one_by_one(matrix)
        total /= len(self._trees)
        return total

    def _one_by_one(self, matrix: np.ndarray) -> np.ndarray:
        total = np.zeros((len(matrix), self._trees[0].max_n_classes))
        for tree in self._trees:
            total += tree.predict(matrix)
        return total


class Values(_Mean):
    """A regression."""

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        return self._mean(batch)[:, 0]


class Classes(_Mean):
    """A classifier."""

    def __init__(self, model: Any, features: Features, estimators: Sequence[Any]) -> None:
        super().__init__(model, features, estimators)
        self._classes = model.classes_

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        classes: np.ndarray = self._classes.take(self._mean(batch).argmax(axis=1), axis=0)
        return classes

    def predict_proba(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        return self._mean(batch)


def _grove(trees: Sequence[Any], width: int) -> Any:
    """All trees as one, and the values of its nodes; None where they are too many, before anything is copied."""
    from sklearn.tree._tree import Tree

    counts = [tree.node_count for tree in trees]
    if sum(counts) > MOST_NODES or sum(counts) * trees[0].max_n_classes > MOST_VALUES:
        return None
    branches = branches_to(counts)
    states = [tree.__getstate__() for tree in trees]
    first = np.zeros(len(trees) - 1, states[0]["nodes"].dtype)
    first["feature"], first["threshold"] = width, branches.thresholds
    first["left_child"], first["right_child"] = branches.left, branches.right
    nodes = np.concatenate(
        [first, *(_moved(state["nodes"], root) for state, root in zip(states, branches.roots, strict=True))]
    )
    values = np.concatenate(
        [np.zeros((len(first), *states[0]["values"].shape[1:])), *(state["values"] for state in states)]
    )
    grove = Tree(width + 1, np.array([1], np.intp), 1)
    depth = max(state["max_depth"] for state in states) + len(trees).bit_length()
    single = np.zeros((len(nodes), 1, 1))
    grove.__setstate__({"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": single})
    # A sum that begins at 0 never ends at -0.
    values += 0.0
    return grove, values[:, 0, :]


def _moved(nodes: np.ndarray, root: int) -> np.ndarray:
    moved = nodes.copy()
    inner = moved["left_child"] >= 0
    for child in ("left_child", "right_child"):
        moved[child][inner] += root
    return moved
