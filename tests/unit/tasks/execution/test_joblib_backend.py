"""What joblib cuts a fit into is done by a cluster, and the fit is the same."""

import threading
import time
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from deployments.clock import ManualClock
from deployments.errors import PlatformUnreachable
from tasks.execution.fit_location import fitted_by
from tasks.product_spec import ExecutionSection
from tests.unit.tasks.execution.threads import Threads


def execution(**fields: Any) -> ExecutionSection:
    return ExecutionSection.model_validate({"backend": "dask", "address": "tcp://cluster:8786"} | fields, strict=False)


def rows(count: int = 6_000) -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    features = random.normal(size=(count, 5))
    return features, features[:, 0] + random.normal(size=count) > 0


def fitted(model: Any, cluster: Threads, **fields: Any) -> Any:
    with fitted_by(cluster, execution(**fields), ManualClock()):
        return model.fit(*rows())


def test_a_forest_is_the_same_wherever_it_grows() -> None:
    cluster = Threads()
    forest = RandomForestClassifier(20, random_state=7)
    here = forest.fit(*rows()).predict_proba(rows()[0])
    there = fitted(RandomForestClassifier(20, random_state=7), cluster).predict_proba(rows()[0])
    assert cluster.pieces > 0
    assert (here == there).all()


def test_a_search_finds_the_same_wherever_it_looks() -> None:
    def search() -> GridSearchCV:
        return GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0, 100.0]}, cv=3)

    cluster = Threads()
    here, there = search().fit(*rows()), fitted(search(), cluster)
    assert cluster.pieces > 0
    assert here.best_params_ == there.best_params_
    assert (here.cv_results_["mean_test_score"] == there.cv_results_["mean_test_score"]).all()


def test_the_rows_are_put_on_the_cluster_once_for_all_trees() -> None:
    cluster = Threads()
    fitted(RandomForestClassifier(20, random_state=7), cluster)
    assert [value.shape for value in cluster.kept] == [(6_000, 5)]


def test_no_more_is_under_way_than_the_spec_allows() -> None:
    cluster, meeting = Threads(cores=8), threading.Barrier(3)
    cluster.before_piece = lambda: meeting.wait(60) and None if cluster.pieces <= 3 else time.sleep(0.002)
    fitted(RandomForestClassifier(30, random_state=7), cluster, jobs=3)
    assert cluster.most_at_once == 3


def test_a_cluster_of_one_core_does_the_work_all_the_same() -> None:
    cluster = Threads(cores=1)
    fitted(RandomForestClassifier(4, random_state=7), cluster)
    assert cluster.pieces > 0


def test_an_estimator_that_wants_one_job_is_fitted_here() -> None:
    cluster = Threads()
    fitted(RandomForestClassifier(4, random_state=7, n_jobs=1), cluster)
    assert cluster.pieces == 0


def test_loops_inside_a_piece_start_no_pieces_of_their_own() -> None:
    cluster = Threads()
    search = GridSearchCV(RandomForestClassifier(3, n_jobs=-1), {"max_depth": [2, 3]}, cv=2, refit=False)
    fitted(search, cluster)
    assert cluster.pieces <= 4


def fails(number: int) -> int:
    if number == 5:
        raise ZeroDivisionError(f"piece {number}")
    return number


def test_what_a_piece_raises_is_raised_by_the_fit() -> None:
    cluster = Threads()
    with pytest.raises(ZeroDivisionError, match="piece 5"), fitted_by(cluster, execution(), ManualClock()):
        joblib.Parallel()(joblib.delayed(fails)(number) for number in range(40))


@pytest.mark.parametrize("at", [1, 9], ids=["at once", "in the middle"])
def test_a_cluster_that_takes_no_more_pieces_ends_the_fit_instead_of_holding_it_up(at: int) -> None:
    cluster, started = Threads(), 0

    def refuse() -> None:
        nonlocal started
        started += 1
        if started == at:
            raise PlatformUnreachable("the scheduler is gone")

    cluster.before_start = refuse
    with pytest.raises(PlatformUnreachable, match="scheduler is gone"):
        fitted(RandomForestClassifier(200, random_state=7), cluster)


def test_an_interrupted_fit_leaves_nothing_to_be_done() -> None:
    cluster, let_go = Threads(cores=20), threading.Event()
    cluster.before_piece = lambda: let_go.wait(60) and None

    def interrupted() -> Any:
        yield from (joblib.delayed(fails)(number) for number in range(20, 40))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fitted_by(cluster, execution(), ManualClock()):
        joblib.Parallel(pre_dispatch="all", batch_size=1)(interrupted())
    let_go.set()
    cluster._pool.shutdown(wait=True)
    assert cluster.pieces <= 8, "only what had begun was done"
