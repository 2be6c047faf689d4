"""Gradient boosting on histograms; `gradient_boosting` has that without."""

import copy
from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import NotCompiled
from deployments.serving.compiled.feature_matrix import Features
from deployments.serving.compiled.merged_trees import MOST_NODES, branches_to, is_worthwhile, numbered, summed
from deployments.serving.compiled.probe_batches import Splits
from deployments.serving.compiled.quickscorer import Masks, Node
from deployments.serving.row_batch import Batch


def compile_boosting(model: Any, features: Features) -> Any:
    """None for another kind of model. Raises `NotCompiled`."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if type(model) is HistGradientBoostingClassifier:
        return Classes(model, features)
    if type(model) is HistGradientBoostingRegressor:
        return Values(model, features)
    return None


class _Boosting:
    how = "boosting"

    def __init__(self, model: Any, features: Features) -> None:
        if model._preprocessor is not None:
            raise NotCompiled("categories inside of the model")
        self._features = features
        self._model = model
        self._trees = [tree for iteration in model._predictors for tree in iteration]
        self._outputs = model.n_trees_per_iteration_
        self._baseline = model._baseline_prediction.reshape(-1, 1)
        self._known = model._bin_mapper.make_known_categories_bitsets()
        self._grove = _grove(self._trees, model.n_features_in_)
        self._masks = _masks(self._trees, features)

    def variants(self) -> "list[_Boosting]":
        """With masks, if they can be; else with the grove and without it, as for few rows and for many."""
        if self._masks is not None:
            return [self]
        without = copy.copy(self)
        without._grove = None
        return [self, without]

    @property
    def splits(self) -> Splits:
        """What the nodes ask."""
        nodes = np.concatenate([tree.nodes[tree.nodes["is_leaf"] == 0] for tree in self._trees])
        return nodes["feature_idx"], nodes["num_threshold"]

    def _raw(self, batch: Batch) -> np.ndarray:
        """Sums of the trees, shape (rows, outputs), in Fortran order as the link functions get them."""
        if self._masks is not None:
            return self._summed(self._masks.leaf_values(batch))
        matrix = self._features.dense(batch)
        if self._grove is not None and is_worthwhile(matrix, len(self._trees), 1):
            leaves = self._grove.predict(numbered(matrix, len(self._trees)), *self._known, 1)
            return self._summed(leaves.reshape(len(self._trees), batch.rows))
        raw = np.zeros((batch.rows, self._outputs), order="F")
        raw += self._baseline.T
        for number, tree in enumerate(self._trees):
            raw[:, number % self._outputs] += tree.predict(matrix, *self._known, 1)
        return raw

    def _summed(self, leaves: np.ndarray) -> np.ndarray:
        trees, rows = leaves.shape
        terms = np.empty((trees // self._outputs + 1, self._outputs, rows))
        terms[0] = self._baseline
        terms[1:] = leaves.reshape(-1, self._outputs, rows)
        return summed(terms).T


class Values(_Boosting):
    """A regression."""

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        values: np.ndarray = self._model._loss.link.inverse(self._raw(batch).ravel())
        return values


class Classes(_Boosting):
    """A classifier."""

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        raw = self._raw(batch)
        chosen = (raw.ravel() > 0).astype(np.intp) if self._outputs == 1 else raw.argmax(axis=1)
        classes: np.ndarray = self._model.classes_.take(chosen)
        return classes

    def predict_proba(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        probabilities: np.ndarray = self._model._loss.predict_proba(self._raw(batch))
        return probabilities


def _masks(trees: list[Any], features: Features) -> Masks | None:
    """None where the trees are too big for masks, or ask for categories."""
    if any(tree.nodes["is_categorical"].any() for tree in trees):
        return None
    fields = ["value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right"]
    try:
        return Masks([[Node(*node) for node in tree.nodes[fields].tolist()] for tree in trees], features)
    except NotCompiled:
        return None


def _grove(trees: list[Any], width: int) -> Any:
    """All trees as one; None where they are too many nodes."""
    counts = [len(tree.nodes) for tree in trees]
    if sum(counts) > MOST_NODES:
        return None
    branches = branches_to(counts)
    first = np.zeros(len(trees) - 1, trees[0].nodes.dtype)
    first["feature_idx"], first["num_threshold"] = width, branches.thresholds
    first["left"], first["right"] = branches.left, branches.right
    bitsets = np.cumsum([0, *(len(tree.raw_left_cat_bitsets) for tree in trees)])
    moved = [_moved(tree.nodes, *where) for tree, *where in zip(trees, branches.roots, bitsets[:-1], strict=True)]
    raw = np.concatenate([tree.raw_left_cat_bitsets for tree in trees])
    return type(trees[0])(np.concatenate([first, *moved]), raw, raw)


def _moved(nodes: np.ndarray, root: int, bitset: int) -> np.ndarray:
    moved = nodes.copy()
    inner = moved["is_leaf"] == 0
    for child in ("left", "right"):
        moved[child][inner] += np.uint32(root)
    moved["bitset_idx"] += np.uint32(bitset)
    return moved
